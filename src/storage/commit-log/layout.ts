/**
 * The bytes of the commit log: segment headers, groups and records. docs/formats/commit-log.md has the pictures.
 *
 * Not here: when they are written (segmented-commit-log.ts) or believed (recovery.ts).
 */
import { crc32 } from 'node:zlib'
import { getSafe, putSafe } from '../../encoding/index.ts'
import { formatVersion } from '../data-directory.ts'

export const segmentHeaderBytes = 64
export const groupHeaderBytes = 32
export const groupMagic = 0x70756f47

/** Kinds of records. */
export const entryKind = 1
export const hardStateKind = 2
export const checkpointKind = 3
export const restartKind = 4
export const forgetKind = 5

export const entryHeaderBytes = 40
export const hardStateBytes = 48
export const checkpointBytes = 56
/** Of a record that says no more than its kind, stream and index. */
export const markBytes = 40

const segmentMagic = Buffer.from('LATTLOG1', 'latin1')

export const alignGroup = (position: number): number => (position + 15) & ~15
export const alignRecord = (length: number): number => (length + 7) & ~7

/** The words of a buffer that begins at a multiple of four of its memory. */
export const wordsOf = (bytes: Uint8Array): Uint32Array =>
  new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2)

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

export function segmentName(number: number): string {
  return `${String(number).padStart(10, '0')}.log`
}

/** The number in a segment's file name, or undefined for another file. */
export function segmentNumberOf(name: string): number | undefined {
  return /^[0-9]{10}\.log$/.test(name) ? Number(name.slice(0, 10)) : undefined
}

export function encodeSegmentHeader(number: number, identity: Uint8Array): Buffer {
  const header = Buffer.alloc(segmentHeaderBytes)
  const view = viewOf(header)
  header.set(segmentMagic, 0)
  view.setUint32(8, formatVersion, true)
  putSafe(view, 16, number)
  header.set(identity, 24)
  view.setUint32(12, crc32(header.subarray(16)), true)
  return header
}

export interface SegmentHeader {
  readonly version: number
  readonly number: number
  readonly identity: Uint8Array
}

/** The header, or undefined when the bytes are none. */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | undefined {
  if (bytes.length < segmentHeaderBytes || segmentMagic.compare(bytes, 0, 8) !== 0) return undefined
  const view = viewOf(bytes)
  if (view.getUint32(12, true) !== crc32(bytes.subarray(16, segmentHeaderBytes))) return undefined
  return {
    version: view.getUint32(8, true),
    number: getSafe(view, 16),
    identity: new Uint8Array(bytes.subarray(24, 40)),
  }
}

const seedBytes = Buffer.alloc(32)
const seedView = viewOf(seedBytes)

/** The checksum of a group at its place: `bytes` begins with the group's header. */
export function groupChecksum(
  identity: Uint8Array,
  segment: number,
  offset: number,
  bytes: Uint8Array,
  start: number,
  length: number,
): number {
  seedBytes.set(identity, 0)
  putSafe(seedView, 16, segment)
  putSafe(seedView, 24, offset)
  return crc32(bytes.subarray(start + 8, start + length), crc32(seedBytes))
}

/**
 * The checksum of a record's words: MurmurHash3's mixing, which needs no call out of JavaScript for the hundred bytes that
 * most records have. Changing one word always changes it; the group's CRC stands behind it.
 */
function mix(words: Uint32Array, from: number, to: number): number {
  let h = 0x6c617474
  for (let i = from; i < to; i++) {
    let k = Math.imul(words[i], 0xcc9e2d51)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, 0x1b873593)
    h = (h << 13) | (h >>> 19)
    h = (Math.imul(h, 5) + 0xe6546b64) | 0
  }
  h ^= to - from
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Writes the first eight bytes of a record, all others, padding included, being there. `at` is a multiple of 8. */
export function sealRecord(view: DataView, words: Uint32Array, at: number, length: number): void {
  view.setUint32(at + 4, length, true)
  view.setUint32(at, mix(words, (at >>> 2) + 1, (at + alignRecord(length)) >>> 2), true)
}

export function recordIsSound(view: DataView, words: Uint32Array, at: number, available: number): boolean {
  if (available < entryHeaderBytes) return false
  const length = view.getUint32(at + 4, true)
  if (length < entryHeaderBytes || alignRecord(length) > available) return false
  return view.getUint32(at, true) === mix(words, (at >>> 2) + 1, (at + alignRecord(length)) >>> 2)
}

/** Where a group stands and what it claims. */
export interface GroupHeader {
  readonly length: number
  readonly records: number
  readonly number: number
  readonly durable: number
}

/** The group at `at` of a whole segment's bytes, or undefined when there is no sound one. */
export function decodeGroup(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  segment: number,
  identity: Uint8Array,
): GroupHeader | undefined {
  if (at + groupHeaderBytes > bytes.length || view.getUint32(at, true) !== groupMagic) return undefined
  const length = view.getUint32(at + 8, true)
  if (length < groupHeaderBytes || at + length > bytes.length) return undefined
  if (view.getUint32(at + 4, true) !== groupChecksum(identity, segment, at, bytes, at, length)) return undefined
  return {
    length,
    records: view.getUint32(at + 12, true),
    number: getSafe(view, at + 16),
    durable: getSafe(view, at + 24),
  }
}
