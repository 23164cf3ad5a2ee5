/**
 * The storage engine's interface: one ordered map from (key, timestamp) to value for a whole node.
 *
 * Keys are byte strings compared as unsigned bytes, at most 8 KiB. Each write makes a version; a read at timestamp S
 * sees, per key, the newest version ≤ S, and nothing when that version is a deletion. Only committed entries come
 * here: `apply` is called in log order, after the entry is committed, so what is in memory can be rebuilt from the log.
 * Entries come from many streams of the log; each keeps its own order, and what one is doing never holds up another.
 *
 * Reads are synchronous while the data is in memory. What is not answers WAIT: await `ready()` of the same cursor or
 * `Found`, then call again. Nothing here allocates per entry: results are ranges of slabs that the engine owns.
 *
 * Not here: transactions, locks, the log, what a key or value means.
 */
import type { Step, Timestamp } from '../base/index.ts'

/** A piece of memory that holds keys and values: a memtable's arena, a decoded block. */
export interface Slab {
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** Half-open range of keys: start ≤ key < end. An absent end means to the end of the key space. */
export interface Span {
  readonly start: Uint8Array
  readonly end: Uint8Array | undefined
}

/** Where a point read puts its answer. Ranges stay valid until the caller's next await. */
export interface Found {
  slab: Slab
  valueStart: number
  valueEnd: number
  /** Timestamp of the version found; with END, of the newest version ≤ the read's timestamp (a deletion), else 0. */
  timestamp: Timestamp
  /** After WAIT: resolves when the read can be repeated. */
  ready(): Promise<void>
}

/** Up to `capacity` visible entries in key order (or reverse). Ranges stay valid until the cursor's next call or its close. */
export interface EntryBatch {
  count: number
  /** Slabs that the entries of this batch lie in; few, in runs. */
  readonly slabs: Slab[]
  readonly slab: Uint16Array
  readonly keyStart: Int32Array
  readonly keyEnd: Int32Array
  readonly valueStart: Int32Array
  readonly valueEnd: Int32Array
  readonly timestamps: Float64Array
}

export interface EngineCursor {
  readonly batch: EntryBatch
  /** Fills `batch` with the next up to `limit` (default 1,024) entries: ROW (count > 0), END or WAIT. */
  next(limit?: number): Step
  /** Continues at the first entry ≥ key (reverse: < key), inside the span. */
  seek(key: Uint8Array): void
  ready(): Promise<void>
  /** Releases what the cursor pins: memory that it reads is used again only then. Calling it again does nothing. */
  close(): void
}

export interface CursorOptions {
  reverse?: boolean
  /** Also yields keys whose newest version ≤ S is a deletion, with valueStart = -1. */
  deletions?: boolean
}

/** Position of an applied entry: (stream, index) of the commit log. */
export interface LogPosition {
  readonly stream: number
  readonly index: number
}

export interface Engine {
  /**
   * Makes a committed write set (encoding/write-set.ts) visible at its timestamp, and records `index` as applied for
   * `stream` in the same step. Synchronous. Timestamps of one key never go back; an equal one replaces.
   */
  apply(writeSet: Uint8Array, stream: number, index: number): void
  /**
   * As `apply`, in slices: for write sets that would hold the loop for too long. Until the last step nothing else of the
   * stream is applied, and the caller leaves the write set unchanged; readers stay below its timestamp. A crash before
   * counts as if nothing had been applied: the whole entry comes again.
   */
  beginApply(writeSet: Uint8Array, stream: number, index: number): ApplyTask
  /** The last index applied for a stream, 0 when none. After opening: the last one found in tables. */
  applied(stream: number): number
  /** The last index of a stream whose effects are durable in tables: the log may drop records up to it. */
  flushed(stream: number): number
  /**
   * The stream is no more: its positions go, at once in memory, on disk with the next change of tables or `flush`. What
   * it wrote stays (see `excise`); an unfinished `beginApply` of it is void. The number of a forgotten stream is not used again.
   */
  forget(stream: number): void
  /** The newest timestamp in tables, 0 when there are none: after opening, clocks and snapshots start above it. */
  readonly newestInTables: Timestamp

  /** ROW with the range in `found`, END when there is none or a deletion, WAIT. */
  get(key: Uint8Array, at: Timestamp, found: Found): Step
  found(): Found
  cursor(span: Span, at: Timestamp, options?: CursorOptions): EngineCursor
  /**
   * Every version in the span, deletions too, keys ascending and versions of a key newest first: the picture of the
   * moment of the call, whatever is written later. `batch.timestamps` has each version's; valueStart is -1 for a
   * deletion. Superseded versions below `collectedBefore` may be absent. What an unfinished `beginApply` has done is in
   * it: whoever takes the picture over applies that entry again.
   */
  versions(span: Span): EngineCursor
  /**
   * Whether some version in (after, upTo] lies in the span: ROW yes, END no, WAIT (then await `found.ready()`).
   * With ROW, `found.timestamp` is such a version's.
   */
  changed(span: Span, after: Timestamp, upTo: Timestamp, found: Found): Step

  /** True while writes should wait because flushing or compaction is behind. */
  readonly stalled: boolean
  unstalled(): Promise<void>

  /** Keeps versions visible at `at` from garbage collection until released. Throws when already collected. */
  protect(at: Timestamp): { release(): void }
  /** Reads below this are refused by callers: versions may be gone. */
  readonly collectedBefore: Timestamp
  /** Sets the retention threshold: superseded versions older than it may be dropped by compaction. */
  collectBefore(at: Timestamp): void

  /** Writes sorted entries of one timestamp to table files outside the tree; see `ingest`. */
  tableWriter(timestamp: Timestamp): TableWriter
  /** The same for entries that bring their timestamps: the other end of `versions`. */
  versionWriter(): VersionWriter
  /**
   * Adds finished tables atomically, replacing all that is in the spans `excised` in the same manifest edit, and records
   * the log position: after a crash all of it has happened or nothing. The tables' spans must not overlap each other;
   * where they lie outside `excised`, what they hold is newer than what is there. Until it resolves nothing of this
   * stream, and nothing into these spans, is applied; other streams go on.
   */
  ingest(tables: readonly BuiltTable[], excised: readonly Span[], position: LogPosition): Promise<void>
  /** Drops everything in the span, without a trace: as `ingest` of nothing. */
  excise(span: Span, position: LogPosition): Promise<void>
  /**
   * Gives the space of spans back that nobody reads or writes any more. No log position: what a crash interrupts is
   * garbage that the next call takes.
   */
  discard(spans: readonly Span[]): Promise<void>

  /** Flushes the memtables; resolves when all that was applied before is durable in tables. */
  flush(): Promise<void>
  /** Compacts until nothing is left to do. */
  compact(): Promise<void>
  /** Approximate bytes and entries of a span, from memtables and table metadata. */
  estimate(span: Span): { bytes: number; entries: number }
  stats(): EngineStats
  close(): Promise<void>
}

/** A write set on its way in; see `Engine.beginApply`. */
export interface ApplyTask {
  /** Applies at most so many more entries; true when that were the last and the index counts as applied. */
  step(maxEntries: number): boolean
}

/** What writers of tables have in common. */
export interface TableOutput {
  /** True when buffered output should be drained before adding more. */
  readonly full: boolean
  drain(): Promise<void>
  /** Errors: disk_full and what else the disk reports; `abandon` it then. */
  finish(): Promise<BuiltTable[]>
  /** Removes what was written; after `finish` too, as long as the tables are not ingested. */
  abandon(): Promise<void>
}

export interface TableWriter extends TableOutput {
  /** Keys strictly ascending. */
  add(key: Uint8Array, value: Uint8Array): void
}

export interface VersionWriter extends TableOutput {
  /** Keys ascending, timestamps of one key strictly descending; undefined is a deletion. */
  add(key: Uint8Array, timestamp: Timestamp, value: Uint8Array | undefined): void
  /**
   * The next key, a greater one, goes into another table. Between two spans it keeps a table from covering what lies
   * between them, which is others' and would be compacted together with it.
   */
  cut(): void
}

/** A finished, synced table file that belongs to no level yet. */
export interface BuiltTable {
  readonly fileNumber: number
  readonly entries: number
  readonly bytes: number
}

export interface LevelStats {
  readonly level: number
  readonly tables: number
  readonly bytes: number
}

export interface EngineStats {
  readonly memtables: number
  readonly memtableBytes: number
  readonly memtableEntries: number
  readonly levels: readonly LevelStats[]
  readonly blockCacheBytes: number
  readonly blockCacheHits: number
  readonly blockCacheMisses: number
  readonly flushes: number
  readonly compactions: number
  readonly bytesFlushed: number
  readonly bytesCompacted: number
  readonly stallMicros: number
}
