/**
 * What the replicas of partitions drive: committed entries go up, leases come and go. The transaction layer implements
 * it, so that replication never learns what a row is.
 *
 * An entry's payload begins with its kind; the kinds below 16 are the partition's own, all others the machine's.
 */
import type { PartitionReplica } from './partition-replica.ts'

export const kindNoop = 0
export const kindConfiguration = 1
export const kindSplit = 2
export const kindMerge = 3
/** First kind that belongs to the machine. */
export const firstMachineKind = 16

export interface PartitionMachine {
  /** A replica was opened, or a snapshot or merge has replaced what it holds: read what is kept beside rows. */
  opened(replica: PartitionReplica): Promise<void>
  /**
   * Applies a committed entry: exactly one `engine.apply` for (stream, index). Deterministic. What it returns goes to
   * the proposer, if it is on this node.
   */
  apply(replica: PartitionReplica, payload: Uint8Array, transactionId: number, index: number): unknown
  /**
   * As `apply`, over several turns of the loop of about 2 ms each: for entries that change so much; undefined for all
   * others. Nothing else of the replica is applied meanwhile. Stops when the replica is removed.
   */
  applySlices(
    replica: PartitionReplica,
    payload: Uint8Array,
    transactionId: number,
    index: number,
  ): Promise<unknown> | undefined
  /** This replica serves from now on; the clock stands above all that others may have served. */
  leaseAcquired(replica: PartitionReplica): void
  leaseLost(replica: PartitionReplica): void
  /** Whether the partition may be cut now: nothing prepared or in flight lies in it. False: ask again a little later. */
  quiescent(replica: PartitionReplica): boolean
  /**
   * The left side has shrunk to its new span: divide what is kept in memory. `right` undefined: the right side is here
   * already, or is opened from what a former life has kept.
   */
  split(left: PartitionReplica, right: PartitionReplica | undefined): void
  /** What followers must have beside rows and their addressed keys: goes with snapshots. */
  exportState(replica: PartitionReplica): Uint8Array
  importState(replica: PartitionReplica, state: Uint8Array): void
  /** For a cooperative transfer: what the next leaseholder should know of locks; and taking it in. */
  exportLocks(replica: PartitionReplica): Uint8Array
  importLocks(replica: PartitionReplica, locks: Uint8Array): void
  /** The replica is gone from this node. */
  removed(replica: PartitionReplica): void
}
