/**
 * Bugs of partitions that are cut and moved.
 */
import type { Plant } from '../plant.ts'

const machine = 'transaction/partitions/machine.ts'
const snapshot = 'replication/partitions/snapshot.ts'

export const partitionPlants: readonly Plant[] = [
  {
    name: 'stale-generation',
    breaks: 'what was proposed for a partition before it was cut is applied after',
    edits: [
      {
        file: machine,
        find: 'if (generationOf(payload) !== replica.partition.generation) {',
        replace: 'if (generationOf(payload) > replica.partition.generation) {',
      },
      {
        file: 'replication/partitions/changes.ts',
        find: 'const quiet = await this.#until(replica, () => this.#host.machine.quiescent(replica), quiescenceMs)',
        replace: 'const quiet = quiescenceMs > 0',
      },
      {
        file: machine,
        find: "assert(from.prepared.size + from.chunks.size === 0, 'a partition with unfinished transactions is not cut')",
        replace: '',
      },
      {
        file: 'replication/partitions/changes.ts',
        find: 'replica.frozen = true\n    const quiet',
        replace: 'const quiet',
      },
      {
        file: 'replication/partitions/host.ts',
        find: '    replica.frozen = true\n    const thaw',
        replace: '    const thaw',
      },
    ],
    wishes: {
      nodes: 3,
      faults: ['split', 'slow', 'slowDisk'],
      workloads: ['bank', 'lists'],
      splitBytes: 1 << 30,
      delayMicros: [1_000, 20_000],
      clients: 8,
      pauseMs: 60,
    },
    seconds: 12,
    seeds: [5, 17],
    guards: /^(missing-version|lost-write|lost-append|wrong-total)|^leftover: .* is prepared/,
  },
  {
    name: 'split-forgets-prepares',
    breaks: 'a partition is cut while transactions are prepared in it: those of the right side are lost',
    edits: [
      {
        file: machine,
        find: 'return prepared.size === 0 && chunks.size === 0 && this.events.quiescent(replica)',
        replace: 'return prepared.size + chunks.size >= 0 && this.events.quiescent(replica)',
      },
      {
        file: machine,
        find: "assert(from.prepared.size + from.chunks.size === 0, 'a partition with unfinished transactions is not cut')",
        replace: '',
      },
    ],
    wishes: { nodes: 3, faults: ['split', 'slow', 'isolate', 'crash'], workloads: ['bank', 'lists'], pauseMs: 20 },
    guards: /^(missing-version|lost-write|lost-append|wrong-total)/,
  },
  {
    name: 'snapshot-without-deletions',
    breaks: 'deleted rows come back when a partition is copied',
    edits: [
      {
        file: snapshot,
        find: '    out.varint(b.keyEnd[i] - b.keyStart[i])',
        // Of tables only: what is addressed to a partition has storages below.
        replace:
          '    if (b.valueStart[i] < 0 && bytes[b.keyStart[i] + 2] >= 64) continue\n    out.varint(b.keyEnd[i] - b.keyStart[i])',
      },
    ],
    wishes: { nodes: 5, faults: ['move', 'transfer'], workloads: ['orders'], splitBytes: 1 << 30, pauseMs: 30 },
    seconds: 15,
    guards: /^(missing-version|orphan|invented)/,
  },
  {
    name: 'snapshot-without-prepares',
    breaks: 'prepared transactions and commit records stay behind when a partition is copied',
    edits: [
      {
        file: snapshot,
        find: 'host.engine.versions(addressedSpan(state.partition)),',
        replace: '',
      },
    ],
    wishes: { nodes: 5, faults: ['move', 'transfer', 'split', 'crash'], workloads: ['bank', 'lists'], pauseMs: 30 },
    seconds: 12,
    guards: /^(missing-version|lost-write|lost-append|wrong-total)/,
  },
  {
    name: 'snapshot-without-outcomes',
    breaks: 'a copy of a partition does not know what became of recent transactions',
    edits: [
      { file: snapshot, find: 'host.machine.importState(replica, machineState)', replace: 'machineState.fill(0)' },
    ],
    wishes: {
      nodes: 5,
      faults: ['heir'],
      workloads: ['bank', 'registers'],
      splitBytes: 1 << 30,
      delayMicros: [1_000, 20_000],
      pauseMs: 30,
    },
    guards: /^(failed-write-visible|not-linearizable|duplicate)/,
  },
  {
    name: 'snapshot-keeps-what-was-there',
    breaks: 'a snapshot is laid over a follower’s rows instead of taking their place',
    edits: [
      {
        file: snapshot,
        find: 'addressedSpan(state.partition), spanOf(state.partition)]',
        replace: 'addressedSpan(state.partition)]',
      },
    ],
    // A follower that is away while its leader collects deletions and what they delete, and comes back by a snapshot.
    wishes: {
      nodes: 3,
      faults: ['relapse'],
      workloads: ['orders', 'schema'],
      keptEntries: 2,
      memtableBytes: 64 * 1024,
      retentionMs: 300,
      pauseMs: 30,
    },
    seconds: 15,
    guards: /^missing-version/,
  },
  {
    name: 'removed-replica-returns',
    breaks: 'no tombstone is kept of a removed replica: late messages bring it back',
    edits: [
      {
        file: 'replication/partitions/host.ts',
        find: 'this.#tombstones.set(partition.id, replica.id)\n',
        replace: '\n',
      },
      // Routes mostly know of the removal, but not always.
      {
        file: 'replication/partitions/host.ts',
        find: ' || this.#isWithout(route, wanted)',
        replace: '',
      },
    ],
    wishes: { nodes: 5, faults: ['move', 'slow', 'cut', 'isolate'], workloads: ['bank', 'lists'] },
    seeds: [7, 9],
    guards: /^(forgotten-vote|two-leaders|two-leases|entries-differ)/,
  },
]
