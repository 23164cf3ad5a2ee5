/**
 * What waits in line to be written: one of these for each call, with the room for its outcome.
 *
 * Not here: how they are carried out (store-writer.ts).
 */
import type { Hashed, Stretch } from '../../replication/sync/index.ts'
import type { NewEvent } from './event-store.ts'

export interface AppendWork {
  readonly kind: 'append'
  readonly events: readonly NewEvent[]
  /** Bytes of the keys that callers chose; undefined when none did. */
  readonly chosen: readonly (Uint8Array | undefined)[] | undefined
  /** Filled as the work is carried out. */
  readonly keys: string[]
  /** Set when the work alone is refused. */
  error: unknown
}

export interface RedactWork {
  readonly kind: 'redact'
  readonly keys: readonly Uint8Array[]
}

export interface ReceiveWork {
  readonly kind: 'receive'
  readonly peer: Uint8Array
  readonly records: readonly Hashed[]
  readonly claim: Stretch | undefined
  /** Newest hybrid timestamp among the records that our clock may follow, 0 when there is none. */
  readonly newest: number
  added: number
  conflicts: number
}

/** What was heard of peers becomes durable. */
export interface SaveWork {
  readonly kind: 'save'
}

export interface RenewWork {
  readonly kind: 'renew'
}

export type Work = AppendWork | RedactWork | ReceiveWork | SaveWork | RenewWork
