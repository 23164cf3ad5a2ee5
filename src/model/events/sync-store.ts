/**
 * What a store shows to those that carry its events to another store and back.
 *
 * Not here: messages (replication/sync), the conversation (sync.ts, answer-sync.ts).
 */
import type { Mark, RangeIndex, Stretch } from '../../replication/sync/index.ts'
import type { EventStore, StoreLimits } from './event-store.ts'
import type { Peer } from './peers.ts'

/** What a store has of a key: the event, and the events of other values that it keeps beside it (merge.ts). */
export interface Id {
  readonly key: Uint8Array
  /** Of all of that. */
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
  /** The place of the last of them that has not moved, undefined when all have. */
  readonly upTo: Mark | undefined
  /** How many of the keys were answered, from the front. */
  readonly taken: number
  /** Of the key behind these, only the records up to this hash had room. */
  readonly behind: Uint8Array | undefined
}

export interface Received {
  /** Records that changed something here. */
  readonly added: number
  /** Of these, those of keys that have several values here now. */
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
  /** Takes note of a meeting: where they are, what they have of ours. Durable with the next write; nothing rests on it. */
  met(store: Uint8Array, told: { position: Mark; acknowledged: Mark | undefined }): void
  /**
   * Ids of at most `limit` positions after one. Without those that came from `peer`, when one is given: their present life
   * must be that of what we know to have received.
   */
  idsAfter(position: number, limit: number, peer: Uint8Array | undefined): Promise<IdPage>
  /** Indices of the ids whose records would change something here. */
  lacking(ids: readonly Id[]): Promise<number[]>
  /**
   * Records of the keys, in their order, until so many bytes are full (one at least); unknown keys are passed over. Of a
   * key that has others, these too, by ascending hash; of the first key only those behind `behind`. Those that stand behind
   * position `cap` have moved since they were offered and do not count for `upTo`.
   */
  records(keys: readonly Uint8Array[], maxBytes: number, cap: number, behind?: Uint8Array): Promise<RecordPage>
  /**
   * Joins records of a peer, durable when it resolves. With a claim they advance what is known to be here of the peer,
   * in the same write. Errors: protocol_violation, event_too_large (nothing is kept then); clock_skewed (what is not
   * skewed is kept, and the claim is not). With `expected`, the hash for each key, undefined for one of which there are
   * records before or to come: protocol_violation for records that are neither that nor what takes its place.
   */
  receive(
    peer: Uint8Array,
    records: readonly Uint8Array[],
    claim: Stretch | undefined,
    expected?: ReadonlyMap<string, Uint8Array | undefined>,
  ): Promise<Received>
  /** Fingerprints over all events; loaded when it is first asked for, kept since. */
  ranges(): Promise<RangeIndex>
}
