/**
 * The keys and values of an event store in its ordered map (docs/formats/events.md).
 *
 *   0                                  life: who the store is, and its counters
 *   1 │ key 16                         event that is in no run: position u64, hash 16, others u8, record
 *   2 │ position u64                   reception: stamp 8, key 16, hash of the cell 16, source u32; only the stamp when the
 *                                      event has moved on to a later position. Of a run: see run.ts
 *   3 │ store 16                       peer: what is known of another store
 *   4 │ key 16 │ hash 16               other: a record of another value than the one that stands
 *
 *   5, 6                               runs of events that the store made keys for (run.ts)
 *
 * Not here: records (replication/sync/record.ts), when what is written (commit-group.ts).
 */
import { DbError } from '../../base/index.ts'
import {
  ByteInput,
  ByteOutput,
  getSafe64,
  getU32,
  hashBytes,
  incarnationBytes,
  putSafe64,
  putU32,
  stampBytes,
  storeBytes,
  ulidBytes,
} from '../../replication/sync/index.ts'

const eventSpace = 1
const receptionSpace = 2
const peerSpace = 3
const otherSpace = 4

const othersAt = 8 + hashBytes
export const eventHeader = othersAt + 1
const eventKeyBytes = 1 + ulidBytes
const receptionKeyBytes = 9
const receptionBytes = stampBytes + ulidBytes + hashBytes + 4
const lifeFormat = 3

export const lifeKey = Uint8Array.of(0)
export const peersFrom = Uint8Array.of(peerSpace)
export const peersTo = Uint8Array.of(peerSpace + 1)
export const othersFrom = Uint8Array.of(otherSpace)
export const othersTo = Uint8Array.of(otherSpace + 1)
export const eventsTo = Uint8Array.of(eventSpace + 1)
export const receptionTo = Uint8Array.of(receptionSpace + 1)

export function eventKey(key: Uint8Array): Uint8Array {
  const out = new Uint8Array(eventKeyBytes)
  out[0] = eventSpace
  for (let i = 0; i < ulidBytes; i++) out[1 + i] = key[i]
  return out
}

export function receptionKey(position: number): Uint8Array {
  const out = new Uint8Array(receptionKeyBytes)
  out[0] = receptionSpace
  putSafe64(out, 1, position)
  return out
}

export function peerKey(store: Uint8Array): Uint8Array {
  const out = new Uint8Array(1 + storeBytes)
  out[0] = peerSpace
  out.set(store, 1)
  return out
}

export function otherKey(key: Uint8Array, hash: Uint8Array): Uint8Array {
  const out = new Uint8Array(1 + ulidBytes + hashBytes)
  out[0] = otherSpace
  out.set(key, 1)
  out.set(hash, 1 + ulidBytes)
  return out
}

/** All records kept beside the standing one of a key: [from, to). */
export function othersOfKey(key: Uint8Array): { from: Uint8Array; to: Uint8Array } {
  const to = otherKey(key, new Uint8Array(hashBytes).fill(255))
  const end = new Uint8Array(to.length + 1)
  end.set(to)
  return { from: otherKey(key, new Uint8Array(hashBytes)), to: end }
}

/** What stands of a key. */
export interface StoredCell {
  readonly position: number
  readonly hash: Uint8Array
  readonly record: Uint8Array
  /** Records of other values that are events, too: they travel with it. */
  readonly others: number
  /** First position of the run that it is in; 0 for none. */
  readonly run: number
}

/** Fills the room that a record has been given before it. */
export function putEventHeader(value: Uint8Array, position: number, hash: Uint8Array, others: number): void {
  putSafe64(value, 0, position)
  value.set(hash, 8)
  value[othersAt] = others
}

export function readEventValue(value: Uint8Array): StoredCell {
  const hash = value.subarray(8, othersAt)
  const others = value[othersAt]
  return { position: getSafe64(value, 0), hash, record: value.subarray(eventHeader), others, run: 0 }
}

export function receptionValue(stamp: Uint8Array, key: Uint8Array, hash: Uint8Array, source: number): Uint8Array {
  const out = new Uint8Array(receptionBytes)
  out.set(stamp, 0)
  out.set(key, stampBytes)
  out.set(hash, stampBytes + ulidBytes)
  putU32(out, receptionBytes - 4, source)
  return out
}

/** One position in the order of reception. */
export interface Slot {
  readonly position: number
  /** Of the write that gave it out. */
  readonly stamp: Uint8Array
  /** Undefined, as is `hash`, when the event has moved on. */
  readonly key: Uint8Array | undefined
  /** Of the cell: of the event, and of the others that travel with it. */
  readonly hash: Uint8Array | undefined
  /** Number of the peer, in its life then, that it came from and whose mark covers it; 0 for others. */
  readonly source: number
  /** First position of the run that it is in; 0 for none. */
  readonly run: number
}

/** The slot of an entry that is no run's. */
export function readSlot(position: number, value: Uint8Array): Slot {
  const stamp = receptionStamp(value)
  if (value.length === stampBytes) return { position, stamp, key: undefined, hash: undefined, source: 0, run: 0 }
  const key = value.subarray(stampBytes, stampBytes + ulidBytes)
  const hash = value.subarray(stampBytes + ulidBytes, receptionBytes - 4)
  return { position, stamp, key, hash, source: getU32(value, receptionBytes - 4), run: 0 }
}

export const receptionPosition = (key: Uint8Array): number => getSafe64(key, 1)
export const receptionStamp = (value: Uint8Array): Uint8Array => value.subarray(0, stampBytes)

/** Who the store is and how far it has come: one entry, rewritten by every write. */
export interface Life {
  readonly store: Uint8Array
  readonly incarnation: Uint8Array
  readonly position: number
  /** Of the write that gave `position` out. */
  readonly stamp: Uint8Array
  readonly count: number
  readonly sequence: number
  /** Newest hybrid timestamp given out. */
  readonly timestamp: number
  /** Time of the newest key made. */
  readonly keyMs: number
}

export function writeLife(life: Life): Uint8Array {
  const out = new ByteOutput(96)
  out.u8(lifeFormat)
  out.raw(life.store)
  out.raw(life.incarnation)
  out.safe(life.position)
  out.raw(life.stamp)
  out.safe(life.count)
  out.safe(life.sequence)
  out.safe(life.timestamp)
  out.safe(life.keyMs)
  return out.bytes
}

export function readLife(bytes: Uint8Array): Life {
  const input = new ByteInput(bytes)
  const format = input.u8()
  if (format !== lifeFormat) {
    throw new DbError('incompatible_format', `the event store has format ${format}, not ${lifeFormat}`, {
      hint: 'Use the version of the program that wrote it.',
    })
  }
  return {
    store: input.raw(storeBytes).slice(),
    incarnation: input.raw(incarnationBytes).slice(),
    position: input.safe(),
    stamp: input.raw(stampBytes).slice(),
    count: input.safe(),
    sequence: input.safe(),
    timestamp: input.safe(),
    keyMs: input.safe(),
  }
}
