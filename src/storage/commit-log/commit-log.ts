/**
 * The commit log's interface: a node's one durable log, which every replication mode appends to.
 *
 * Streams (one per partition replica, plus the node's own) are multiplexed on one sequence of segment files. A record
 * is (stream, index, term, transaction id, payload). Appends of all streams that arrive while a group is being synced
 * form the next group: one durable write. The layout is docs/formats/commit-log.md.
 *
 * Not here: what a payload means, when an entry is committed (replication), where data lives after it (the engine).
 */
export interface LogRecord {
  readonly stream: number
  /** Consecutive from 1 in a stream. An index ≤ the last one cancels every record from it on. */
  readonly index: number
  readonly term: number
  /** Safe integer; 0 when the record belongs to no transaction. */
  readonly transactionId: number
  readonly payload: Uint8Array
}

/** Raft's persistent state of a stream besides its entries. */
export interface HardState {
  readonly term: number
  /** The node voted for in this term, 0 when none. */
  readonly vote: number
  /** A hint: replay may go up to it at once. */
  readonly commit: number
}

export interface CommitLog {
  /**
   * Copies the record into the current group and returns. `durable` runs when the group is durable, in append
   * order, synchronously with the others of its group. It never runs when the sync fails: the node stops instead.
   */
  append(record: LogRecord, durable: (() => void) | undefined): void
  /** Records a stream's hard state; durable and ordered like an append. */
  saveHardState(stream: number, state: HardState, durable: (() => void) | undefined): void
  hardState(stream: number): HardState
  streams(): number[]
  /**
   * First index still in the log, and the last one appended; 0 and 0 for an unknown stream. A stream that was released
   * to its end has first = last + 1. After a restart the first one may be lower than it was: what was released since the
   * oldest segment began is there again.
   */
  firstIndex(stream: number): number
  lastIndex(stream: number): number
  /** The term of an entry in [firstIndex, lastIndex], undefined for another one. In memory; some binary search. */
  term(stream: number, index: number): number | undefined
  /**
   * Reads records [from, to] in order. The payload is valid only during the call. Records not yet durable are read
   * too. Errors: data_corrupted; object_not_in_prerequisite_state when a record is not there, or leaves while it is read.
   */
  read(stream: number, from: number, to: number, visit: (record: LogRecord) => void): Promise<void>
  /**
   * The stream's owner needs nothing ≤ index any more; segments all of whose records are released get recycled. Above
   * the last index it is `restart`.
   */
  release(stream: number, index: number): void
  /**
   * The stream begins anew behind an index, whatever it held: every record of it, before and after, is cancelled, and
   * the next one is index + 1. Hard state stays. For a replica that a snapshot has replaced. Durable and ordered like
   * an append.
   */
  restart(stream: number, index: number, durable: (() => void) | undefined): void
  /**
   * The stream is no more: its records and hard state are gone and checkpoints do not carry it. Durable and ordered like
   * an append. The number of a forgotten stream is not used again.
   */
  forget(stream: number, durable?: () => void): void
  /** Streams that keep the log above its byte budget, with the index they must be flushed to. */
  laggards(): { stream: number; index: number }[]
  /**
   * A full disk denies the next segment: what is left of this one is for records without which nothing goes on. Whoever
   * can, appends nothing until it is false again.
   */
  readonly full: boolean
  /** Counts what is durable: it grows with every group, and is not below that after a restart. */
  readonly durableGroup: number
  /** Resolves when all that was appended before is durable. */
  sync(): Promise<void>
  stats(): { segments: number; bytes: number; groups: number; records: number }
  close(): Promise<void>
}
