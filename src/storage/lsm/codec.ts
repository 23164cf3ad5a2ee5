/**
 * Sections of a table file: checksummed, perhaps compressed. docs/formats/table.md has the layout.
 *
 *   │ checksum │ codec │ stored bytes │ raw bytes │ stored … │        16 bytes of header
 *
 * Not here: which level uses which codec (engine options).
 */
import { createRequire } from 'node:module'
import { crc32, constants as zlib, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import type * as Lz4 from 'lz4-napi'
import { DbError } from '../../base/index.ts'
import { putSafe } from '../../encoding/index.ts'

export const sectionHeader = 16

export type Codec = 'none' | 'lz4' | 'zstd'
export const codecs: readonly Codec[] = ['none', 'lz4', 'zstd']

let lz4: typeof Lz4 | undefined

/** The native codec, loaded when a level first needs it. */
function lz4Codec(): typeof Lz4 {
  lz4 ??= createRequire(import.meta.url)('lz4-napi') as typeof Lz4
  return lz4
}

const seed = Buffer.alloc(16)
const seedView = new DataView(seed.buffer, seed.byteOffset, 16)

export function sectionChecksum(bytes: Uint8Array, start: number, end: number, file: number, offset: number): number {
  putSafe(seedView, 0, file)
  putSafe(seedView, 8, offset)
  return crc32(bytes.subarray(start + 4, end), crc32(seed))
}

export function tableCorrupted(path: string, offset: number, what: string): DbError {
  return new DbError('data_corrupted', `table corrupted: ${what}`, { detail: `File ${path}, offset ${offset}.` })
}

/** The stored form of a section's raw bytes: the shorter one, when a codec is given. */
export function encodeStored(raw: Uint8Array, codec: Codec): { codec: Codec; stored: Uint8Array } {
  if (codec === 'none' || raw.length < 128) return { codec: 'none', stored: raw }
  const buffer = Buffer.from(raw.buffer, raw.byteOffset, raw.length)
  const stored =
    codec === 'lz4'
      ? lz4Codec().compressSync(buffer)
      : zstdCompressSync(buffer, { params: { [zlib.ZSTD_c_compressionLevel]: 1 } })
  // What saves less than an eighth is not worth decoding on every read.
  return stored.length > raw.length - raw.length / 8 ? { codec: 'none', stored: raw } : { codec, stored }
}

/**
 * Checks the section that begins at `at` of `bytes` and gives its raw bytes: a view of them when they are stored
 * uncompressed, which is 8-byte aligned when `at` is. Throws data_corrupted with the path and the offset in the file.
 */
export function decodeSection(bytes: Uint8Array, at: number, path: string, file: number, offset: number): Uint8Array {
  if (at + sectionHeader > bytes.length) throw tableCorrupted(path, offset, 'a section is cut off')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const stored = view.getUint32(at + 8, true)
  const end = at + sectionHeader + stored
  if (end > bytes.length) throw tableCorrupted(path, offset, 'a section is cut off')
  if (view.getUint32(at, true) !== sectionChecksum(bytes, at, end, file, offset)) {
    throw tableCorrupted(path, offset, 'a section fails its checksum')
  }
  const body = bytes.subarray(at + sectionHeader, end)
  const raw = view.getUint32(at + 12, true)
  const codec = codecs[view.getUint8(at + 4)]
  if (codec === undefined) throw tableCorrupted(path, offset, `codec ${view.getUint8(at + 4)} is unknown`)
  const out = codec === 'none' ? body : decompress(body, codec)
  if (out.length !== raw) throw tableCorrupted(path, offset, 'a section has not its size after decoding')
  return out
}

function decompress(body: Uint8Array, codec: Codec): Uint8Array {
  const out = codec === 'lz4' ? lz4Codec().uncompressSync(body) : zstdDecompressSync(body)
  // Blocks are read through typed arrays: eight-byte alignment is owed to them.
  return out.byteOffset % 8 === 0 ? out : Uint8Array.from(out)
}
