/**
 * What gateways ask of leaseholders, and the answers. Plain data: a gateway that holds the lease itself passes the
 * objects, others send them (codec.ts).
 *
 * Not here: bytes, routing (routing.ts), doing (leaseholder.ts).
 */
import type { Timestamp } from '../../base/index.ts'
import type { Span } from '../../storage/index.ts'

/** A session of a gateway, as lock owners are known to other nodes. */
export interface OwnerId {
  readonly node: number
  readonly session: number
}

/** Choose the timestamp at the leaseholder. */
export const chooseTimestamp: Timestamp = 0
/** Read the newest committed version, at a timestamp above all that the leaseholder has seen. */
export const latestTimestamp: Timestamp = -1

export interface ReadRequest {
  readonly key: Uint8Array
  readonly at: Timestamp
  /** Versions in (at, uncertainTo] may have been acknowledged before the reader began, unless the leaseholder chose `at`. */
  readonly uncertainTo: Timestamp
  /** The node that chose the timestamp. */
  readonly chosenBy: number
}

export interface ReadAnswer {
  readonly at: Timestamp
  /** The node that answered. */
  readonly node: number
  /** A version in the uncertain interval: the reader must move up to it. 0: none. */
  readonly uncertain: Timestamp
  /** Of the version found, deletions included; 0 when there is none. */
  readonly timestamp: Timestamp
  readonly value: Uint8Array | undefined
}

export interface ScanRequest {
  readonly span: Span
  readonly at: Timestamp
  readonly uncertainTo: Timestamp
  readonly chosenBy: number
  readonly reverse: boolean
  readonly limit: number
  /** What is to be done with rows, in a form that whoever asks and whoever answers agree on above this layer; a hint: see RowProgram. */
  readonly program: Uint8Array | undefined
}

/** False for a value (a row tuple at an offset) that the asker has no use for; any row may be let through. */
export type RowFilter = (bytes: Uint8Array, view: DataView, start: number) => boolean

/** Made of a request's program where rows are. The asker tests for itself again what it gets. */
export interface RowProgram {
  readonly test: RowFilter
  /** Absent: rows are answered as they are. */
  readonly gatherer: (() => RowGatherer) | undefined
}

/** Makes few entries of many rows. They are answered with the timestamp `gathered` and the key that was looked at last. */
export interface RowGatherer {
  /** Takes the row in that was tested last; false: it cannot, and the row itself is answered. */
  add(): boolean
  /** Entries that there would be. */
  readonly size: number
  finish(): Uint8Array[]
}

/** The timestamp of an entry that stands for rows, in place of a version's. */
export const gathered = 0

export interface ScanAnswer {
  readonly at: Timestamp
  readonly node: number
  readonly uncertain: Timestamp
  readonly keys: readonly Uint8Array[]
  readonly values: readonly Uint8Array[]
  readonly timestamps: readonly Timestamp[]
  /** Where to go on; undefined: the request's span is read to its end. */
  readonly resume: Span | undefined
}

export interface LockRequest {
  readonly owner: OwnerId
  readonly transaction: number
  readonly key: Uint8Array
  readonly mode: number
  readonly policy: 'wait' | 'nowait' | 'skip'
}

export interface LockAnswer {
  readonly granted: boolean
  readonly node: number
  /** Nothing was committed to the key after `timestamp` up to `at`; whatever follows is above `at`. */
  readonly at: Timestamp
  readonly timestamp: Timestamp
  readonly value: Uint8Array | undefined
}

/** "No version in (at, commit timestamp], and no foreign prepare." */
export interface KeyCheck {
  readonly key: Uint8Array
  readonly at: Timestamp
}

export interface SpanCheck extends Span {
  readonly at: Timestamp
}

export interface Checks {
  readonly keys: readonly KeyCheck[]
  readonly spans: readonly SpanCheck[]
  /** As spans, but only versions of keys that the transaction writes itself count: see Transaction.claimTail. */
  readonly tails: readonly SpanCheck[]
}

export interface CommitRequest {
  readonly owner: OwnerId
  readonly transaction: number
  /** A write entry (entry.ts) that lacks generation and timestamp. It is the leaseholder's from now on. */
  readonly payload: Uint8Array
  readonly checks: Checks
}

export interface PrepareRequest {
  readonly owner: OwnerId
  readonly transaction: number
  readonly anchor: Uint8Array
  /** A write set without timestamp. */
  readonly writes: Uint8Array
  readonly checks: Checks
}

export interface ValidateRequest {
  readonly transaction: number
  readonly upTo: Timestamp
  readonly checks: Checks
  /** Waits for prepared transactions instead of failing. */
  readonly wait: boolean
}

export interface RecordRequest {
  readonly transaction: number
  readonly timestamp: Timestamp
  readonly anchor: Uint8Array
  readonly participants: readonly Uint8Array[]
}

export interface ResolveRequest {
  readonly transaction: number
  readonly timestamp: Timestamp
  /** A key that the transaction wrote in the partition. */
  readonly key: Uint8Array
}

export interface OutcomeRequest {
  readonly transaction: number
  readonly key: Uint8Array
  /** Makes "not known" final. Without it the answer to that is `undecided`. */
  readonly fence: boolean
}

export const undecided = -1

export interface ReleaseRequest {
  readonly owner: OwnerId
  /** Undefined: everything. */
  readonly keys: readonly Uint8Array[] | undefined
}
