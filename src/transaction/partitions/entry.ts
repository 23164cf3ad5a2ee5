/**
 * What transactions replicate: the payloads of a partition's log entries.
 *
 *   write     u8 16 │ u32 generation │ write set, or what names chunks (chunks.ts)  a transaction of one partition
 *   prepare   u8 17 │ u32 generation │ i64 transaction │ u32 gateway │ block anchor │ write set at the prepare timestamp
 *   resolve   u8 18 │ u32 generation │ i64 transaction │ i64 commit timestamp, 0: aborted
 *   record    u8 19 │ u32 generation │ i64 transaction │ i64 commit timestamp │ block anchor │ u16 n │ n × block key
 *   fence     u8 20 │ u32 generation │ i64 transaction │ block anchor                aborts it unless it is known here
 *   forget    u8 21 │ u32 generation │ i64 transaction │ block anchor                every participant has resolved
 *
 * The anchor is the first key that the transaction wrote; its partition holds the commit record. The keys of a record
 * say where the other prepares are: addressed by key, they follow splits. Entries of an older generation are refused
 * by apply, deterministically.
 *
 * Not here: applying (machine.ts).
 */
import type { Timestamp } from '../../base/index.ts'
import { ByteReader, ByteWriter } from '../../encoding/index.ts'

export const kindWrite = 16
export const kindPrepare = 17
export const kindResolve = 18
export const kindRecord = 19
export const kindFence = 20
export const kindForget = 21

/** Where a write entry's write set begins. */
export const writeHeader = 5

/** @param bytes a write set, or what names chunks in its place */
export function encodeWrite(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(writeHeader + bytes.length)
  out[0] = kindWrite
  out.set(bytes, writeHeader)
  return out
}

/** Fills in what only the leaseholder knows. */
export function stampWrite(payload: Uint8Array, generation: number, timestamp: Timestamp): void {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
  view.setUint32(1, generation)
  stampSet(view, writeHeader, timestamp)
}

/** Overwrites a write set's timestamp. */
export function stampSet(view: DataView, at: number, timestamp: Timestamp): void {
  view.setUint32(at, Math.floor(timestamp / 0x1_0000_0000))
  view.setUint32(at + 4, timestamp % 0x1_0000_0000)
}

export interface PrepareEntry {
  readonly generation: number
  readonly transaction: number
  /** The node that coordinates. */
  readonly gateway: number
  readonly anchor: Uint8Array
  /** A write set; its timestamp is the prepare's. */
  readonly writes: Uint8Array
}

export function encodePrepare(e: PrepareEntry): Uint8Array {
  const out = new ByteWriter(e.writes.length + e.anchor.length + 32)
  out.u8(kindPrepare)
  out.u32(e.generation)
  out.i64(e.transaction)
  out.u32(e.gateway)
  out.block(e.anchor)
  out.raw(e.writes)
  return out.copy()
}

export function decodePrepare(payload: Uint8Array): PrepareEntry {
  const read = new ByteReader(payload, 1)
  const generation = read.u32()
  const transaction = read.i64()
  const gateway = read.u32()
  const anchor = read.block()
  return { generation, transaction, gateway, anchor, writes: read.rest() }
}

export interface ResolveEntry {
  readonly generation: number
  readonly transaction: number
  readonly timestamp: Timestamp
}

export function encodeResolve(e: ResolveEntry): Uint8Array {
  const out = new ByteWriter(24)
  out.u8(kindResolve)
  out.u32(e.generation)
  out.i64(e.transaction)
  out.i64(e.timestamp)
  return out.copy()
}

export function decodeResolve(payload: Uint8Array): ResolveEntry {
  const read = new ByteReader(payload, 1)
  const generation = read.u32()
  const transaction = read.i64()
  return { generation, transaction, timestamp: read.i64() }
}

export interface RecordEntry extends ResolveEntry {
  readonly anchor: Uint8Array
  /** A key of every other participant's writes. */
  readonly participants: readonly Uint8Array[]
}

export function encodeRecord(e: RecordEntry): Uint8Array {
  const out = new ByteWriter(64)
  out.u8(kindRecord)
  out.u32(e.generation)
  writeRecord(out, e)
  return out.copy()
}

export function writeRecord(out: ByteWriter, e: RecordEntry): void {
  out.i64(e.transaction)
  out.i64(e.timestamp)
  out.block(e.anchor)
  out.u16(e.participants.length)
  for (const key of e.participants) out.block(key)
}

export function decodeRecord(payload: Uint8Array): RecordEntry {
  const read = new ByteReader(payload, 1)
  const generation = read.u32()
  return { generation, ...readRecord(read) }
}

export function readRecord(read: ByteReader): Omit<RecordEntry, 'generation'> {
  const transaction = read.i64()
  const timestamp = read.i64()
  const anchor = read.block().slice()
  const participants: Uint8Array[] = []
  for (let n = read.u16(); n > 0; n--) participants.push(read.block().slice())
  return { transaction, timestamp, anchor, participants }
}

export interface AnchorEntry {
  readonly generation: number
  readonly transaction: number
  readonly anchor: Uint8Array
}

export function encodeAnchor(kind: typeof kindFence | typeof kindForget, e: AnchorEntry): Uint8Array {
  const out = new ByteWriter(e.anchor.length + 24)
  out.u8(kind)
  out.u32(e.generation)
  out.i64(e.transaction)
  out.block(e.anchor)
  return out.copy()
}

export function decodeAnchor(payload: Uint8Array): AnchorEntry {
  const read = new ByteReader(payload, 1)
  const generation = read.u32()
  const transaction = read.i64()
  return { generation, transaction, anchor: read.block() }
}
