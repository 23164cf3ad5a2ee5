/**
 * An event store: a grow-only map from ULID to bytes, which is a CRDT. Any two stores of one name exchange what the other
 * lacks, in any order, as often or seldom as they meet, and end with the same events.
 *
 * An event has two times: the one at which it happened (its key's; it may lie in the past) and the one at which this
 * store received it (its position, 1, 2, 3 … without gaps, the store's own). Readers follow positions, so that nothing
 * that arrives late is missed.
 *
 * Not here: views (views/), JSON and its types (typed-store.ts), how stores find and reach each other (wire/http).
 */
import type { Timestamp } from '../../base/index.ts'

/** Who received an event first: 32 hexadecimal digits of the store, a dot, and its incarnation. */
export type Origin = string

/** One life of one store's positions. A store restored from a copy begins a new incarnation: its positions are others. */
export interface StoreIdentity {
  /** 32 hexadecimal digits, random, for ever. */
  readonly store: string
  /** 16 hexadecimal digits, random. */
  readonly incarnation: string
}

export interface StoredEvent {
  /** ULID: 26 characters of Crockford's base32, upper case. */
  readonly key: string
  /** Where in this store's order of reception, from 1. 0 in `Conflict.other`, which has no place there. */
  readonly position: number
  /** Empty when redacted, as is the content type. */
  readonly value: Uint8Array
  readonly contentType: string
  /** Empty when redacted: an erasure is the same wherever it was made, so it says nothing but the key. */
  readonly origin: Origin
  /** 0 when redacted. The origin's count of its own events, from 1, without gaps. */
  readonly sequence: number
  /** Hybrid timestamp of the append at its origin; the time of the key when redacted. */
  readonly timestamp: Timestamp
  /** Erased: the value is gone here and wherever this marker comes. */
  readonly redacted: boolean
}

export interface NewEvent {
  readonly value: Uint8Array
  readonly contentType: string
  /** ULID of the caller's; made when absent. */
  readonly key?: string
  /** Milliseconds since the Unix epoch at which it happened; now when absent. Ignored beside `key`. */
  readonly atMs?: number
}

/**
 * The same key came with two values: the smaller hash is canonical, the other stays to be looked at, here and wherever this
 * store syncs; at most 64 of a key.
 */
export interface Conflict {
  readonly key: string
  readonly kept: StoredEvent
  /** Its sequence is 0 when it is a value that this store refused to append: that stays here. */
  readonly other: StoredEvent
}

export interface ChangesPage {
  /**
   * A contiguous run of reception order, sorted inside by (timestamp, key). An event that was redacted, or
   * that another value came for from elsewhere, whether it gave way or not, is received anew: it stands at a later position,
   * and its earlier one is empty.
   */
  readonly events: readonly StoredEvent[]
  /** Continue after this position; equals `after` when nothing is new. Without events there is nothing new. */
  readonly next: number
}

export interface RangePage {
  readonly events: readonly StoredEvent[]
  /** There may be more: continue after this key. Undefined at the end. */
  readonly afterKey: string | undefined
}

export interface ConflictsPage {
  /** By key, then by hash of the other value. A key that came with several values has a conflict for each. */
  readonly conflicts: readonly Conflict[]
  /** There may be more: continue after this one. Undefined at the end. */
  readonly after: string | undefined
}

/** How much is taken at once. */
export interface StoreLimits {
  /** Of one value. Default 1 MiB. */
  readonly eventBytes: number
  /** Of one call of `append`. Default 10,000. */
  readonly batchEvents: number
  /** Sum of the values of one call of `append`. Default 16 MiB. */
  readonly batchBytes: number
  /** Events of others whose hybrid timestamp is further ahead of our clock are refused. Default a day. */
  readonly maxSkewMs: number
  /** Ids, and keys asked for, that one message of a sync carries. Stores that differ by no more are not compared. Default 1,000. */
  readonly syncIds: number
  /** Of events that one message of a sync carries; one event may be more. Default 256 KiB. */
  readonly syncBytes: number
  /** Of events that one page of changes, of a range or of conflicts has; one of them may be more. Default 4 MiB. */
  readonly pageBytes: number
}

/** Another store that this one has met. */
export interface PeerStatus {
  /** 32 hexadecimal digits. */
  readonly store: string
  readonly incarnation: string
  /** All of theirs up to this position of theirs is here. */
  readonly received: number
  /** Their newest position that was heard of. */
  readonly position: number
  /** All of ours up to this position of ours is there. */
  readonly acknowledged: number
  /**
   * Positions of theirs that are to come, and of ours that are to go. What came from them does not go back; of others one may
   * turn out to be there already.
   */
  readonly lag: { readonly toReceive: number; readonly toSend: number }
  /** Milliseconds since the Unix epoch of the last meeting. */
  readonly metMs: number
}

export interface EventStore {
  readonly name: string
  readonly identity: StoreIdentity
  /** Position of the newest event, 0 when empty. */
  readonly position: number
  /** Events that are here, redacted ones included. */
  readonly count: number

  /**
   * Appends all or none; resolves with their keys when they are durable. Keys of one store ascend as they are made.
   * The same key with the same value again is no error and appends nothing.
   * Errors: event_key_malformed, event_conflict (same key, another value; nothing of the batch is kept, the refused value
   * is among `conflicts()`; also for a key that was erased, whose value is not kept), event_too_large, store_closed, what
   * the place reports.
   */
  append(events: readonly NewEvent[]): Promise<string[]>
  /** Erases values for ever, here and everywhere the marker comes. Unknown keys are erased before they arrive. */
  redact(keys: readonly string[]): Promise<void>

  /**
   * In the order of the keys; undefined where there is none. With `maxBytes` as many of the first keys as there is room for
   * their events, one at least: the answer is shorter than the keys then, and the rest is to be asked for.
   */
  get(keys: readonly string[], maxBytes?: number): Promise<(StoredEvent | undefined)[]>
  /** At most `limit` events received after `after`, of at most `pageBytes`; one at least. Errors: position_unknown (greater than `position`). */
  changes(after: number, limit: number): Promise<ChangesPage>
  /** Events by the time they happened, fromMs ≤ time < toMs, by key; at most `limit`, of at most `pageBytes`, one at least. */
  range(options: {
    fromMs?: number
    toMs?: number
    afterKey?: string
    limit: number
    reverse?: boolean
  }): Promise<RangePage>
  /** Calls back after each append, sync or redaction, once the events can be read. Returns what unsubscribes. */
  subscribe(listener: () => void): () => void
  /** At most `limit`, of at most `pageBytes`, one at least. @param after as a page said, or a key. Errors: event_key_malformed. */
  conflicts(limit: number, after?: string): Promise<ConflictsPage>
  peers(): PeerStatus[]

  /** What changes its positions: a store that was copied or restored calls this before it meets others again. */
  renewIncarnation(): Promise<void>
  close(): Promise<void>
}
