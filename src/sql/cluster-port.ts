/**
 * What SQL asks of the cluster that its node belongs to; absent on a node of its own.
 *
 * Not here: where rows are (the transaction layer finds them).
 */
import type { Span } from '../storage/index.ts'

export interface SqlCluster {
  readonly nodeId: number
  /** An id that no object of the cluster has had: of objects and of storages. */
  newObjectId(): number
  /** A number that no row of any table has had; they ascend on one node. */
  newRowId(): number
  /** Tells every other node that can be reached; resolves when each has handled it or has taken too long. */
  broadcast(topic: string, message: unknown): Promise<void>
  /** One handler per topic. */
  onBroadcast(topic: string, handler: (message: any, from: number) => void | Promise<void>): void
  /** Approximate size of a span, wherever its replicas are. */
  estimate(span: Span): { bytes: number; entries: number }
  /** Whether this node is the one to look after what begins at the key, such as its statistics. */
  leads(key: Uint8Array): boolean
  /** Takes a cluster-wide advisory lock for a session: true when granted, false when `wait` is false and it is not. */
  lockAdvisory(session: number, key: string, mode: number, wait: boolean): Promise<boolean>
  unlockAdvisory(session: number, key: string, mode: number): void
}
