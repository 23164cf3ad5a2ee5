/**
 * Builds a table file in memory: versions come in order, bytes come out. Pure, so that it runs on a worker.
 *
 *   blocks … │ filter │ index │ properties │ footer            docs/formats/table.md
 *
 * Not here: writing the file, choosing what goes in.
 */
import { crc32 } from 'node:zlib'
import type { Timestamp } from '../../base/index.ts'
import { putSafe } from '../../encoding/index.ts'
import { formatVersion } from '../data-directory.ts'
import { BlockBuilder } from './block.ts'
import { type Codec, codecs, encodeStored, sectionChecksum, sectionHeader } from './codec.ts'
import { addToFilter, filterBytes, hashKey } from './hash.ts'
import { deletionBit, keyLengthMask, sameKeyBit } from './run.ts'
import type { TableProperties } from './table-meta.ts'

export const footerBytes = 64
export const tableMagic = Buffer.from('LATTTBL1', 'latin1')

export interface TableFormat {
  readonly codec: Codec
  /** A block is closed once it has this size. Bytes. */
  readonly blockBytes: number
}

export interface TableImage {
  readonly bytes: Uint8Array
  readonly properties: TableProperties
}

interface IndexRow {
  readonly key: Uint8Array
  readonly first: number
  readonly newest: number
  readonly offset: number
  readonly stored: number
  readonly entries: number
}

export class TableBuilder {
  readonly #file: number
  readonly #format: TableFormat
  readonly #block = new BlockBuilder()
  readonly #index: IndexRow[] = []
  #out: Buffer
  #length = 0
  #hashes = new Uint32Array(4096)
  #keys = 0
  #entries = 0
  #deletions = 0
  #superseded = 0
  #oldest = Number.MAX_SAFE_INTEGER
  #newest = 0
  #collectable: Timestamp = Number.MAX_SAFE_INTEGER
  #rawBytes = 0
  #lastTimestamp = 0
  #lastKey: Uint8Array = new Uint8Array(0)

  /** @param room where the file is put together; memory of its own takes over when that is too little. */
  constructor(file: number, format: TableFormat, room: Buffer = Buffer.allocUnsafeSlow(1 << 20)) {
    this.#file = file
    this.#format = format
    this.#out = room
  }

  get entries(): number {
    return this.#entries
  }

  /** Bytes of finished blocks. */
  get bytes(): number {
    return this.#length + this.#block.size
  }

  /**
   * Adds a version: the key at `start`, its value directly behind it up to `end`. `view` looks at the whole of `from`.
   * Info as in a run: key length, same key as the version before, deletion.
   */
  add(from: Uint8Array, view: DataView, start: number, end: number, info: number, timestamp: number): void {
    this.#note(view, start, end - start, info, timestamp)
    this.#block.add(from, start, end, info, timestamp)
    if (this.#block.size >= this.#format.blockBytes) this.#endBlock()
  }

  /** Adds a version whose key and value lie apart; info as in `add`. */
  addApart(key: Uint8Array, value: Uint8Array, info: number, timestamp: number): void {
    const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
    this.#note(view, 0, key.length + value.length, info, timestamp)
    this.#block.addApart(key, value, info, timestamp)
    if (this.#block.size >= this.#format.blockBytes) this.#endBlock()
  }

  finish(): TableImage {
    if (this.#block.count > 0) this.#endBlock()
    const filter = new Uint8Array(filterBytes(this.#keys))
    for (let i = 0; i < this.#keys; i++) addToFilter(filter, this.#hashes[i])
    const properties: TableProperties = {
      entries: this.#entries,
      deletions: this.#deletions,
      superseded: this.#superseded,
      oldest: this.#oldest,
      newest: this.#newest,
      collectable: this.#collectable,
      firstKey: this.#index[0].key,
      lastKey: this.#lastKey,
      rawBytes: this.#rawBytes,
    }
    const filterAt = this.#section(filter, 'none')
    const indexAt = this.#section(encodeIndex(this.#index), 'none')
    const propertiesAt = this.#section(encodeProperties(properties), 'none')
    this.#reserve(footerBytes)
    const footer = this.#out.subarray(this.#length, this.#length + footerBytes).fill(0)
    footer.set(tableMagic, 0)
    footer.writeUInt32LE(formatVersion, 8)
    const view = new DataView(footer.buffer, footer.byteOffset, footerBytes)
    putSafe(view, 16, this.#file)
    putSafe(view, 24, filterAt)
    putSafe(view, 32, indexAt)
    putSafe(view, 40, propertiesAt)
    footer.writeUInt32LE(crc32(footer.subarray(16)), 12)
    this.#length += footerBytes
    return { bytes: this.#out.subarray(0, this.#length), properties }
  }

  #note(view: DataView, start: number, length: number, info: number, timestamp: number): void {
    this.#entries++
    this.#rawBytes += length
    if (timestamp < this.#oldest) this.#oldest = timestamp
    if (timestamp > this.#newest) this.#newest = timestamp
    if ((info & sameKeyBit) !== 0) {
      this.#superseded++
      if (this.#lastTimestamp < this.#collectable) this.#collectable = this.#lastTimestamp
    } else {
      if (this.#keys === this.#hashes.length) {
        const grown = new Uint32Array(this.#keys * 2)
        grown.set(this.#hashes)
        this.#hashes = grown
      }
      this.#hashes[this.#keys++] = hashKey(view, start, info & keyLengthMask)
    }
    if ((info & deletionBit) !== 0) {
      this.#deletions++
      if (timestamp < this.#collectable) this.#collectable = timestamp
    }
    this.#lastTimestamp = timestamp
  }

  #endBlock(): void {
    const block = this.#block
    const raw = block.finish()
    const key = block.firstKey()
    this.#lastKey = block.lastKey()
    const offset = this.#section(raw, this.#format.codec)
    this.#index.push({
      key,
      first: block.firstTimestamp,
      newest: block.newest,
      offset,
      stored: this.#length - offset,
      entries: block.count,
    })
    block.reset()
  }

  /** Appends a section and answers with its offset. */
  #section(raw: Uint8Array, wanted: Codec): number {
    const { codec, stored } = encodeStored(raw, wanted)
    this.#reserve(sectionHeader + stored.length + 8)
    // Sections begin at multiples of 8, so that blocks can be opened where they were read to.
    const at = (this.#length + 7) & ~7
    const out = this.#out
    out.fill(0, this.#length, at)
    out.writeUInt32LE(codecs.indexOf(codec), at + 4)
    out.writeUInt32LE(stored.length, at + 8)
    out.writeUInt32LE(raw.length, at + 12)
    out.set(stored, at + sectionHeader)
    const end = at + sectionHeader + stored.length
    out.writeUInt32LE(sectionChecksum(out, at, end, this.#file, at), at)
    this.#length = end
    return at
  }

  #reserve(count: number): void {
    const need = this.#length + count
    if (need <= this.#out.length) return
    let size = this.#out.length * 2
    while (size < need) size *= 2
    const grown = Buffer.allocUnsafeSlow(size)
    this.#out.copy(grown, 0, 0, this.#length)
    this.#out = grown
  }
}

function encodeIndex(rows: readonly IndexRow[]): Uint8Array {
  const count = rows.length
  let keyBytes = 0
  for (const row of rows) keyBytes += row.key.length
  const out = new Uint8Array(8 + count * 24 + count * 8 + (count + 1) * 4 + keyBytes)
  const view = new DataView(out.buffer)
  view.setUint32(0, count, true)
  view.setUint32(4, keyBytes, true)
  let at = 8
  for (const row of rows) view.setFloat64((at += 8) - 8, row.first, true)
  for (const row of rows) view.setFloat64((at += 8) - 8, row.newest, true)
  for (const row of rows) view.setFloat64((at += 8) - 8, row.offset, true)
  for (const row of rows) view.setUint32((at += 4) - 4, row.stored, true)
  for (const row of rows) view.setUint32((at += 4) - 4, row.entries, true)
  let key = 8 + count * 32 + (count + 1) * 4
  for (const row of rows) {
    view.setUint32((at += 4) - 4, key, true)
    out.set(row.key, key)
    key += row.key.length
  }
  view.setUint32(at, key, true)
  return out
}

function encodeProperties(properties: TableProperties): Uint8Array {
  const out = new Uint8Array(60 + properties.lastKey.length)
  const view = new DataView(out.buffer)
  const { entries, deletions, superseded, oldest, newest, collectable, rawBytes } = properties
  const numbers = [entries, deletions, superseded, oldest, newest, collectable, rawBytes]
  numbers.forEach((value, i) => {
    putSafe(view, i * 8, value)
  })
  view.setUint32(56, properties.lastKey.length, true)
  out.set(properties.lastKey, 60)
  return out
}
