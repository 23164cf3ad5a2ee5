/**
 * An entry of a group's log: its place (index), the term of the leader that made it, and bytes that Raft does not read,
 * except for configurations, which every replica adopts as soon as they stand in its log.
 *
 * Source: Ongaro and Ousterhout, "In search of an understandable consensus algorithm", 2014, section 5.3.
 *
 * Not here: where entries are kept (log.ts), what payloads mean (the state machine).
 */
export const entryNoop = 0
export const entryData = 1
export const entryConfiguration = 2
export type EntryKind = 0 | 1 | 2

export interface Entry {
  readonly index: number
  readonly term: number
  readonly kind: EntryKind
  /** 0 when the entry belongs to no transaction. */
  readonly transactionId: number
  readonly payload: Uint8Array
}

/** What an entry counts against byte limits: its payload and about what its header takes. */
export function entryBytes(entry: Entry): number {
  return entry.payload.length + 32
}

/** As many of the first entries as fit `maxBytes`, at least one. */
export function limitBytes(entries: readonly Entry[], maxBytes: number): readonly Entry[] {
  let bytes = 0
  for (let i = 0; i < entries.length; i++) {
    bytes += entryBytes(entries[i])
    if (bytes > maxBytes && i > 0) return entries.slice(0, i)
  }
  return entries
}
