/**
 * Bugs of consensus.
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
    guards: /^(incomplete-leader|entries-differ|two-leases|lost-write|not-linearizable)/,
  },
  {
    name: 'quorum-of-the-new-only',
    breaks: 'while members change, a majority of the new ones is enough: the old ones may have another',
    edits: [
      {
        file: 'replication/raft/quorum.ts',
        find: 'most(c.voters, agrees) && (c.outgoing.length === 0 || most(c.outgoing, agrees))',
        replace: 'most(c.voters, agrees)',
      },
      {
        file: 'replication/raft/quorum.ts',
        find: 'return c.outgoing.length === 0 ? index : Math.min(index, reached(c.outgoing, indexOf))',
        replace: 'return index',
      },
    ],
    wishes: { nodes: 5, faults: ['move', 'cut', 'isolate'], workloads: ['registers', 'bank'], splitBytes: 1 << 30 },
    seeds: [10, 7],
    guards: /^(two-leaders|two-leases|incomplete-leader|entries-differ)/,
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
    seeds: [2, 7],
    guards: /^two-(votes|leaders)/,
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
    guards: /^(incomplete-leader|entries-differ|lost-write|not-linearizable)/,
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
    guards: /a leader has every committed entry|^(incomplete-leader|entries-differ|lost-write)/,
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
    guards: /^forgotten-vote/,
  },
  {
    name: 'commits-of-older-terms',
    breaks: 'a leader commits an entry of an older term because a majority has it (figure 8 of the paper)',
    edits: [
      {
        file: 'replication/raft/leadership.ts',
        find: 'return this.#state.log.term(index) === this.#state.term',
        replace: 'return this.#state.log.term(index) <= this.#state.term',
      },
    ],
    // A leader's first entry leaves together with the older ones, so that a whole cluster hardly ever comes upon it.
    wishes: {},
    script: 'figure-8',
    guards: /a leader has every committed entry|a committed entry is never overwritten/,
  },
]
