/**
 * A partition's copy on this node, as the layers above see it, whatever the mode that replicates it.
 *
 * Not here: what payloads mean.
 */
export interface Replica {
  readonly stream: number
  /**
   * Replicates an entry. `applied` runs once the entry is committed and applied, in order with all others of the
   * stream. The caller leaves the payload unchanged until then. After a failure that leaves the outcome open the node stops.
   */
  propose(payload: Uint8Array, transactionId: number, applied: () => void): void
  /** Lets the log drop what tables already hold. */
  reclaim(): void
  close(): Promise<void>
}
