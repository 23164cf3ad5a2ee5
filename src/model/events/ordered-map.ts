/**
 * Where one event store keeps its bytes: an ordered map, changed by atomic, durable batches. It is all that a store needs
 * of its place, so that a node's engine, a directory of a program, a browser's IndexedDB and plain memory all do.
 *
 * Keys are compared as unsigned bytes. One implementation is one store's own space: nobody else writes there.
 *
 * Not here: versions, transactions, what keys mean (see layout.ts).
 */

export interface Entry {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/** A value to put, or undefined to delete. */
export interface Change {
  readonly key: Uint8Array
  readonly value: Uint8Array | undefined
}

export interface ScanOptions {
  /** First key, inclusive. */
  readonly from: Uint8Array
  /** End, exclusive. */
  readonly to: Uint8Array
  readonly reverse?: boolean
  /** At most so many entries. */
  readonly limit: number
}

export interface OrderedMap {
  /**
   * Makes all changes or none; resolves when they are durable. A rejection with disk_full says that nothing was written and
   * that the next call may succeed; after any other one the changes may be there or not, and the map is unusable.
   * Keys are unique within a batch.
   * Batches take effect in the order of the calls, whether awaited or not; a read called after a batch resolved sees it.
   * The caller leaves keys and values unchanged.
   *
   * `accepted` is called, before it resolves, where a map can tell that early: the batch is not refused any more, and the
   * memory of its keys and values is the caller's again. So the next one, which builds on it, may be written while it becomes
   * durable.
   */
  write(changes: readonly Change[], accepted?: () => void): Promise<void>
  /** Values in the order of the keys; undefined where there is none. */
  get(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>
  /** Entries in key order (or reverse), the caller's to keep and not to change. Fewer than `limit` only at the end of the range. */
  scan(options: ScanOptions): Promise<Entry[]>
  /** Later calls reject. What was written stays. */
  close(): Promise<void>
}
