/**
 * What a store shows to those that carry its events to another store and back.
 *
 * Not here: messages (replication/sync), the conversation (sync.ts, answer-sync.ts).
 */
import type { Mark, RangeIndex } from '../../replication/sync/index.ts'
import type { EventStore, StoreLimits } from './event-store.ts'
import type { Claim, Peer } from './peers.ts'

export interface Id {
  readonly key: Uint8Array
  readonly hash: Uint8Array
}

export interface IdPage {
  readonly ids: readonly Id[]
  /** The page covers (after, upTo]; what of it is not among the ids came from the peer itself or has moved on. */
  readonly upTo: Mark
}

/** Records with the places where they stand in this store's order. */
export interface RecordPage {
  readonly records: readonly Uint8Array[]
  /** Of the last record whose position ascends without a break from the first; undefined when there is none. */
  readonly upTo: Mark | undefined
  /** How many of the keys were answered, from the front. */
  readonly taken: number
}

export interface Received {
  /** Records that changed something here. */
  readonly added: number
  /** Of other values than what is here of their keys. */
  readonly conflicts: number
}

export interface SyncStore extends EventStore {
  readonly limits: StoreLimits
  /** The newest place in this store's order. */
  mark(): Mark
  /** The place with the stamp that it has, which is all that a peer may be told of it. */
  markAt(position: number): Promise<Mark>
  /** Whether the place lies in this store's history. False for another incarnation's, and when the history was another one. */
  knows(mark: Mark): Promise<boolean>
  peer(store: Uint8Array): Peer | undefined
  /** Takes note of a meeting; durable with the next write or at once. */
  met(store: Uint8Array, told: { position: Mark; acknowledged: Mark | undefined }): Promise<void>
  /** At most `limit` ids received after a position, without those that are known to be at `peer`. */
  idsAfter(position: number, limit: number, peer: Uint8Array): Promise<IdPage>
  /** Indices of the ids whose records would change something here. */
  lacking(ids: readonly Id[]): Promise<number[]>
  /** Records of the keys, in their order, until so many bytes are full (one at least); unknown keys are passed over. */
  records(keys: readonly Uint8Array[], maxBytes: number): Promise<RecordPage>
  /**
   * Joins records of a peer, durable when it resolves. With a claim they advance what is known to be here of the peer,
   * in the same write. Errors: protocol_violation, event_too_large (nothing is kept then); clock_skewed (what is not
   * skewed is kept, and the claim is not).
   */
  receive(peer: Uint8Array, records: readonly Uint8Array[], claim: Claim | undefined): Promise<Received>
  /** Fingerprints over all events; loaded when it is first asked for, kept since. */
  ranges(): Promise<RangeIndex>
}
