/**
 * Bugs of disks and of the commit log.
 */
import type { Plant } from '../plant.ts'

const power = ['crash', 'outage', 'storm'] as const

/** Segments go and are used again: the log's budget is small, and idle partitions, which pin them, are copied forward. */
const recycling = {
  segmentBytes: 64 * 1024,
  logBudgetBytes: 128 * 1024,
  memtableBytes: 64 * 1024,
  keptEntries: 20,
  bulkBytes: 120,
  pauseMs: 60,
} as const

export const storagePlants: readonly Plant[] = [
  {
    name: 'forgotten-fsync',
    breaks: 'groups of the commit log are written and never synced: what was acknowledged goes with the power',
    edits: [
      {
        file: 'storage/commit-log/segments.ts',
        find: 'const file = await disk.open(path, { durable: true })',
        replace: 'const file = await disk.open(path)',
      },
      {
        file: 'storage/commit-log/segments.ts',
        find: 'file: await this.#io.disk.open(path, { durable: true })',
        replace: 'file: await this.#io.disk.open(path)',
      },
    ],
    wishes: { faults: ['brownout'], workloads: ['bank', 'registers', 'sessions'], pauseMs: 30 },
    guards: /commit log corrupted|^(lost-write|not-linearizable|own-write-not-read)/,
  },
  {
    name: 'acknowledged-before-durable',
    breaks: 'who waits for a group is told before it is durable',
    edits: [
      {
        file: 'storage/commit-log/segmented-commit-log.ts',
        find: 'await segment.file.write(group.bytes',
        replace: `const early = group.durables.splice(0)
    for (let i = 0; i < early.length; i++) early[i]()
    await segment.file.write(group.bytes`,
      },
    ],
    wishes: { faults: ['brownout'], workloads: ['bank', 'registers', 'sessions'], pauseMs: 30 },
    guards: /^(lost-write|not-linearizable|own-write-not-read|entries-differ|incomplete-leader)/,
  },
  {
    name: 'dropped-checkpoint',
    breaks: 'segments begin without the streams’ terms and votes: they go with the segment that held them',
    edits: [
      {
        file: 'storage/commit-log/segmented-commit-log.ts',
        find: 'for (const [stream, state] of this.#streams) group.checkpoint(stream, state)',
        replace: '',
      },
    ],
    wishes: { ...recycling, nodes: 3, faults: power, workloads: ['large', 'bank', 'lists'] },
    seeds: [12, 6],
    guards: /no entry is of a later term than the hard state|^forgotten-vote/,
  },
  {
    name: 'recycled-ghost',
    breaks: 'checksums do not cover the segment’s number: groups of a segment’s former life look sound',
    edits: [
      {
        file: 'storage/commit-log/layout.ts',
        find: 'putSafe(seedView, 16, segment)',
        replace: 'putSafe(seedView, 16, 0)',
      },
    ],
    wishes: { ...recycling, faults: power, workloads: ['large', 'bank', 'lists'] },
    guards: /commit log corrupted/,
  },
  {
    name: 'hard-state-not-persisted',
    breaks: 'terms and votes are never written: a replica forgets whom it voted for',
    edits: [
      {
        file: 'replication/partitions/partition-replica.ts',
        find: 'this.#persist(ready.mustSync ? ready.hardState : undefined,',
        replace: 'this.#persist(undefined,',
      },
    ],
    wishes: { faults: power, workloads: ['bank', 'lists'] },
    guards: /no entry is of a later term than the hard state|^forgotten-vote/,
  },
  {
    name: 'checkpoint-without-vote',
    breaks: 'a restart finds the term without the vote that was given in it, and every commit index is void',
    edits: [
      {
        file: 'storage/commit-log/segmented-commit-log.ts',
        find: 'state.term = hardState.term',
        replace: 'state.term = Math.min(hardState.term, 6)',
      },
    ],
    wishes: { faults: power, workloads: ['bank', 'lists'] },
    guards: /no entry is of a later term than the hard state|^forgotten-vote/,
  },
  {
    name: 'vote-not-persisted',
    breaks: 'terms are kept and votes are not: who restarts votes for another in the same term',
    edits: [
      {
        file: 'storage/commit-log/segmented-commit-log.ts',
        find: 'state.vote = hardState.vote',
        replace: 'state.vote = hardState.vote * 0',
      },
    ],
    wishes: { faults: power, workloads: ['bank', 'lists'] },
    guards: /^forgotten-vote/,
  },
]
