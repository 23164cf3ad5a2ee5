/**
 * Large transactions travel in chunks. PROTOCOLS "Transactions": durable, invisible; one small entry at commit makes them
 * visible.
 *
 *   chunk entry   u8 22 │ u32 generation │ i64 transaction │ u32 number │ u32 gateway │ block first │ block low │ block high │ write set
 *   kept under    addressed key of (first, u32 number │ u8 'C' │ i64 transaction): the entry's fields
 *   write entry   names them instead of a write set: i64 timestamp │ u32 0 │ u32 chunks │ block first; so does a prepare
 *
 * `first` is the first key that the transaction wrote in the partition; low and high bound the keys of a chunk. Addressed
 * by key, chunks are in snapshots and survive restarts. They go with the entry that makes them visible, or that gives them up.
 *
 * Not here: applying (machine.ts), proposing (large-commits.ts), sending (coordinator.ts).
 */
import type { Timestamp } from '../../base/index.ts'
import { ByteReader, ByteWriter, type WriteSetBuilder, WriteSetReader, writeSetHeader } from '../../encoding/index.ts'
import { addressedKey } from '../../replication/index.ts'
import { keyText } from '../cursor.ts'

export const kindChunk = 22
export const chunkMark = 0x43
/** Their deletion is one step of the engine. */
export const maxChunks = 4000

export interface Chunk {
  readonly transaction: number
  /** From 0. */
  readonly number: number
  /** The node that coordinates. */
  readonly gateway: number
  readonly first: Uint8Array
  readonly low: Uint8Array
  readonly high: Uint8Array
  /** A write set without timestamp. */
  readonly writes: Uint8Array
}

export function encodeChunk(generation: number, chunk: Chunk): Uint8Array {
  const out = new ByteWriter(chunk.writes.length + 128)
  out.u8(kindChunk)
  out.u32(generation)
  writeChunk(out, chunk)
  return out.copy()
}

/** The fields of a chunk in the order of the entry. */
export function writeChunk(out: ByteWriter, chunk: Chunk): void {
  out.i64(chunk.transaction)
  out.u32(chunk.number)
  out.u32(chunk.gateway)
  out.block(chunk.first)
  out.block(chunk.low)
  out.block(chunk.high)
  out.raw(chunk.writes)
}

/** Where the fields begin in an entry. */
export const chunkHeader = 5

/** Views of the bytes that are read, to their end. */
export function readChunk(read: ByteReader): Chunk {
  const transaction = read.i64()
  const number = read.u32()
  const gateway = read.u32()
  const first = read.block()
  const low = read.block()
  const high = read.block()
  return { transaction, number, gateway, first, low, high, writes: read.rest() }
}

export function chunkKey(first: Uint8Array, transaction: number, number: number): Uint8Array {
  const suffix = new ByteWriter(13)
  suffix.u32(number)
  suffix.u8(chunkMark)
  suffix.i64(transaction)
  return addressedKey(first, suffix.copy())
}

/** What an entry names in the place of a write set. */
export interface Pointer {
  readonly first: Uint8Array
  readonly count: number
}

export function encodePointer({ first, count }: Pointer): Uint8Array {
  const out = new ByteWriter(first.length + 24)
  out.i64(0)
  out.u32(0)
  out.u32(count)
  out.block(first)
  return out.copy()
}

/** Whether what begins there is a pointer and no write set: those are never empty where one may stand. */
export function isPointer(bytes: Uint8Array, at: number): boolean {
  return (bytes[at + 8] | bytes[at + 9] | bytes[at + 10] | bytes[at + 11]) === 0
}

export function decodePointer(set: Uint8Array): Pointer {
  const read = new ByteReader(set, writeSetHeader)
  const count = read.u32()
  return { count, first: read.block() }
}

/** One chunk as a replica knows it. */
export interface Part {
  readonly low: string
  readonly high: string
  readonly bytes: number
  readonly entries: number
  /** The keys, once they matter; without, every key between the bounds counts. */
  keys: ReadonlySet<string> | undefined
}

/** The chunks of one transaction in one partition. */
export class Chunked {
  readonly transaction: number
  readonly gateway: number
  readonly first: Uint8Array
  readonly parts = new Map<number, Part>()
  /** The newest timestamp of a chunk. */
  timestamp: Timestamp = 0
  /** When the last one came; monotonic. */
  sinceMicros = 0

  constructor(transaction: number, gateway: number, first: Uint8Array) {
    this.transaction = transaction
    this.gateway = gateway
    this.first = first
  }

  add(number: number, { low, high, writes }: Pick<Chunk, 'low' | 'high' | 'writes'>, at: Timestamp, now: number): void {
    const bytes = writes.length - writeSetHeader
    const { count: entries } = new WriteSetReader(writes)
    const part = {
      low: keyText(low, 0, low.length),
      high: keyText(high, 0, high.length),
      bytes,
      entries,
      keys: undefined,
    }
    this.parts.set(number, part)
    this.timestamp = Math.max(this.timestamp, at)
    this.sinceMicros = now
  }

  /** Whether all chunks up to a number are here. */
  complete(count: number): boolean {
    return this.parts.size === count
  }

  has(text: string): boolean {
    for (const { low, high, keys } of this.parts.values())
      if (text >= low && text <= high && (keys === undefined || keys.has(text))) return true
    return false
  }

  /** Whether some chunk has bounds that overlap [start, end). */
  overlaps(start: string, end: string | undefined): boolean {
    for (const { low, high } of this.parts.values()) if (high >= start && (end === undefined || low < end)) return true
    return false
  }

  /** Whether bounds of chunks overlap those of another's. */
  meets(other: Chunked): boolean {
    for (const { low, high } of other.parts.values()) if (this.overlaps(low, `${high}\0`)) return true
    return false
  }

  deleteFrom(set: WriteSetBuilder): void {
    for (const number of this.parts.keys()) set.delete(chunkKey(this.first, this.transaction, number))
  }
}
