/**
 * Bugs of leases, promises and clocks.
 */
import type { Plant } from '../plant.ts'

export const leasePlants: readonly Plant[] = [
  {
    name: 'stale-lease',
    breaks: 'a lease that was had once is had for ever: reads at a leader that has been replaced',
    edits: [
      {
        file: 'replication/partitions/partition-replica.ts',
        find: 'if (this.#host.now() < this.#leaseUntil && at <= this.#ceiling) return true',
        replace: 'if (this.#leaseUntil > 0) return true',
      },
    ],
    wishes: { faults: ['isolate', 'cut', 'pause'], workloads: ['registers', 'sessions'] },
    guards: /^(two-leases|not-linearizable|own-write-not-read|read-went-back)/,
  },
  {
    name: 'lease-of-a-minority',
    breaks: 'our own promise to ourselves is enough for a lease',
    edits: [
      {
        file: 'replication/partitions/partition-replica.ts',
        find: 'const quorum = Math.floor(side.length / 2)',
        replace: 'const quorum = 0 * side.length',
      },
    ],
    wishes: { nodes: 3, faults: ['isolate', 'cut', 'pause'], workloads: ['registers', 'sessions'] },
    guards: /^(two-leases|not-linearizable|own-write-not-read|read-went-back)/,
  },
  {
    name: 'promises-forgotten-at-restart',
    breaks: 'a restarted node votes at once, against what it promised before',
    edits: [
      {
        file: 'replication/partitions/liveness.ts',
        find: 'return this.#fresh || this.#now() - this.#started >= leaseMicros',
        replace: 'return this.#started >= 0',
      },
    ],
    // Half a second from the promise to the end of the lease: restart, pre-votes, election and the new lease's promises.
    wishes: { nodes: 3, faults: ['amnesia'], workloads: ['registers', 'sessions'], delayMicros: [50, 500] },
    guards: /^(two-leases|not-linearizable|own-write-not-read|read-went-back)/,
  },
  {
    name: 'short-promise',
    breaks: 'followers keep their promise for a fifth of the time that leaders count on',
    edits: [
      {
        file: 'replication/partitions/liveness.ts',
        find: 'const until = this.#now() + leaseMicros',
        replace: 'const until = this.#now() + leaseMicros / 5',
      },
    ],
    wishes: { nodes: 3, faults: ['isolate', 'cut', 'pause', 'slow', 'oneWay'], workloads: ['registers', 'sessions'] },
    guards: /^(two-leases|not-linearizable|own-write-not-read|read-went-back)/,
  },
  {
    name: 'lease-begins-in-the-past',
    breaks: 'a new leader’s clock may be behind what the old one has served',
    edits: [
      {
        file: 'replication/partitions/partition-replica.ts',
        find: 'if (ready.becameLeader) this.#host.clock.observe(this.raft.electionCeiling)',
        replace: '',
      },
    ],
    // A write below a read that the old leader has served: few writes, which carry clocks along, and long transactions.
    wishes: {
      nodes: 3,
      isolation: 'serializable',
      faults: ['skew', 'transfer'],
      workloads: ['lists'],
      keys: 4,
      clients: 6,
      delayMicros: [1_000, 20_000],
      pauseMs: 60,
    },
    guards: /^(lost-append|incompatible-order|G)/,
  },
  {
    name: 'lease-before-own-entry',
    breaks: 'a new leader serves before it has applied what earlier ones committed',
    edits: [
      {
        file: 'replication/partitions/partition-replica.ts',
        find: "if (this.serving || this.raft.role !== 'leader' || this.window.term(this.applied) !== this.raft.term) return",
        replace: "if (this.serving || this.raft.role !== 'leader') return",
      },
    ],
    // A new leader that has not applied all: behind a transaction that is applied in slices while its disk is slow.
    wishes: {
      nodes: 3,
      faults: ['handover'],
      workloads: ['registers', 'large'],
      bulkBytes: 2_500,
      segmentBytes: 1024 * 1024,
      memtableBytes: 128 * 1024,
      splitBytes: 1 << 30,
      clients: 8,
      delayMicros: [50, 500],
      pauseMs: 80,
    },
    seconds: 6,
    guards: /^(incomplete-leader|not-linearizable)/,
  },
  {
    name: 'uncertainty-ignored',
    breaks: 'a snapshot chosen by one clock is read at another node as if the clocks were the same',
    edits: [
      {
        file: 'transaction/partitions/leaseholder.ts',
        find: 'return ours ? now : Math.max(now, uncertainTo)',
        replace: 'return ours ? now : Math.max(now, uncertainTo * 0)',
      },
    ],
    // Five nodes: whoever applies a commit has its timestamp, so the snapshot is chosen where that partition is not.
    wishes: {
      nodes: 5,
      faults: ['skew', 'split', 'transfer', 'move'],
      workloads: ['snapshots'],
      pauseMs: 40,
    },
    seconds: 10,
    guards: /^(own-write-not-read|read-went-back)/,
  },
]
