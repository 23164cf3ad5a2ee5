/**
 * Bugs of consensus.
 *
 * Not here: the commit rule of Raft's figure 8. A leader's first entry leaves together with the older ones, so a whole cluster
 * hardly ever meets it; src/replication/raft/raft.test.ts plants it where messages are scripted.
 */
import type { Plant } from '../plant.ts'

const elections = ['crash', 'storm', 'isolate', 'cut', 'outage'] as const

export const raftPlants: readonly Plant[] = [
  {
    name: 'wrong-quorum',
    breaks: 'half of the voters count as a majority',
    edits: [
      {
        file: 'replication/raft/quorum.ts',
        find: 'return (count >> 1) + 1',
        replace: 'return Math.max(1, count >> 1)',
      },
    ],
    wishes: { nodes: 3, faults: ['cut', 'isolate'], workloads: ['registers', 'bank'] },
  },
  {
    name: 'double-vote',
    breaks: 'a replica votes for everybody who asks in a term',
    edits: [
      {
        file: 'replication/raft/raft.ts',
        find: 'const free = m.pre || s.vote === m.from || (s.vote === 0 && s.leader === 0)',
        replace: 'const free = true',
      },
      {
        file: 'replication/raft/raft.ts',
        find: "assert(s.vote === 0 || s.vote === m.from, 'one vote a term')",
        replace: '',
      },
    ],
    wishes: { nodes: 5, faults: elections, workloads: ['registers', 'bank'] },
  },
  {
    name: 'append-acknowledged-early',
    breaks: 'followers acknowledge entries before those are durable',
    edits: [
      {
        file: 'replication/raft/raft.ts',
        find: 'const out = index <= s.durable && s.durableTerm === s.term ? s.outbox.messages : s.outbox.afterDurable',
        replace: 'const out = s.outbox.messages',
      },
    ],
    wishes: { nodes: 3, faults: ['brownout'], workloads: ['registers', 'bank'], delayMicros: [50, 500], pauseMs: 30 },
  },
  {
    name: 'candidate-log-not-compared',
    breaks: 'votes are given to candidates that lack committed entries',
    edits: [
      {
        file: 'replication/raft/raft.ts',
        find: 'const complete = m.lastTerm > lastTerm || (m.lastTerm === lastTerm && m.lastIndex >= lastIndex)',
        replace: 'const complete = m.lastTerm >= 0 || lastTerm < lastIndex',
      },
    ],
    wishes: { nodes: 3, faults: elections, workloads: ['registers', 'bank'] },
  },
  {
    name: 'stream-of-snapshot-forgets-vote',
    breaks: 'a replica that a snapshot replaces goes on in its new stream without its term and vote',
    edits: [
      {
        file: 'replication/partitions/snapshot.ts',
        find: 'log.saveHardState(stream, { term, vote, commit: state.baseIndex }, done)',
        replace: 'log.saveHardState(stream, { term: term * 0, vote: vote * 0, commit: state.baseIndex }, done)',
      },
    ],
    // A follower that has voted for its leader is away for longer than the log is kept, and goes right after its snapshot:
    // any entry that followed would have brought the term back.
    wishes: {
      nodes: 3,
      faults: ['relapse'],
      workloads: ['registers', 'bank'],
      keptEntries: 2,
      memtableBytes: 64 * 1024,
      pauseMs: 30,
    },
  },
]
