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
    name: 'figure-8',
    breaks: 'entries of earlier terms are committed by counting replicas',
    edits: [
      {
        file: 'replication/raft/leadership.ts',
        find: 'return this.#state.log.term(index) === this.#state.term',
        replace: 'return index > 0',
      },
    ],
    wishes: {
      nodes: 5,
      faults: ['storm', 'isolate', 'cut', 'slow', 'slowDisk', 'outage'],
      workloads: ['registers', 'bank'],
      pauseMs: 20,
    },
    budget: 300,
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
    wishes: { nodes: 3, faults: ['outage', 'slowDisk', 'crash'], workloads: ['registers', 'bank'] },
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
    wishes: { nodes: 5, faults: ['move', 'replace', 'crash', 'storm'], workloads: ['registers', 'large'] },
  },
]
