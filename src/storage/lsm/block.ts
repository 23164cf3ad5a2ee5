/**
 * Blocks of a table: building one, and opening one that was read. docs/formats/table.md, "Block (raw)".
 *
 * Not here: checksums and compression (codec.ts), caching (block-cache.ts).
 */
import { assert } from '../../base/index.ts'
import { keyLengthMask, Run } from './run.ts'

const initialEntries = 512

/** Collects entries until the caller finds it large enough, then lays the block out. */
export class BlockBuilder {
  bytes = Buffer.allocUnsafeSlow(64 * 1024)
  view = new DataView(this.bytes.buffer)
  #length = 8
  count = 0
  #start = new Uint32Array(initialEntries)
  #info = new Uint16Array(initialEntries)
  #timestamp = new Float64Array(initialEntries)
  newest = 0

  /** Bytes that the block would have now. */
  get size(): number {
    return this.#length + this.count * 14 + 16
  }

  reset(): void {
    this.#length = 8
    this.count = 0
    this.newest = 0
  }

  /** Adds a key and, directly behind it in `from`, its value. Key and value lengths; a deletion has bit 15 of info. */
  add(from: Uint8Array, start: number, end: number, info: number, timestamp: number): void {
    const at = this.#length
    const next = at + end - start
    if (next + 14 * (this.count + 2) + 32 > this.bytes.length) this.#grow(next)
    if (this.count === this.#info.length) this.#growColumns()
    this.bytes.set(from.subarray(start, end), at)
    const i = this.count++
    this.#start[i] = at
    this.#info[i] = info
    this.#timestamp[i] = timestamp
    if (timestamp > this.newest) this.newest = timestamp
    this.#length = next
  }

  /** The same for a key and a value that lie apart; a deletion's value is empty. */
  addApart(key: Uint8Array, value: Uint8Array, info: number, timestamp: number): void {
    this.add(key, 0, key.length, info, timestamp)
    const next = this.#length + value.length
    if (next + 14 * (this.count + 2) + 32 > this.bytes.length) this.#grow(next)
    this.bytes.set(value, this.#length)
    this.#length = next
  }

  /** Lays out the directory and gives the raw block, a view that the next `reset` invalidates. */
  finish(): Uint8Array {
    const { view, count } = this
    const directory = (this.#length + 7) & ~7
    for (let at = this.#length; at < directory; at++) this.bytes[at] = 0
    view.setUint32(0, count, true)
    view.setUint32(4, directory, true)
    let at = directory
    for (let i = 0; i < count; i++, at += 8) view.setFloat64(at, this.#timestamp[i], true)
    for (let i = 0; i < count; i++, at += 4) view.setUint32(at, this.#start[i], true)
    view.setUint32(at, this.#length, true)
    at += 4
    for (let i = 0; i < count; i++, at += 2) view.setUint16(at, this.#info[i], true)
    return this.bytes.subarray(0, at)
  }

  /** User key of the first entry. */
  firstKey(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.bytes, 8, 8 + (this.#info[0] & keyLengthMask))
  }

  /** User key of the last entry. */
  lastKey(): Uint8Array {
    const at = this.#start[this.count - 1]
    return Uint8Array.prototype.slice.call(this.bytes, at, at + (this.#info[this.count - 1] & keyLengthMask))
  }

  get firstTimestamp(): number {
    return this.#timestamp[0]
  }

  #grow(need: number): void {
    let size = this.bytes.length * 2
    while (size < need + 14 * (this.count + 2) + 32) size *= 2
    const grown = Buffer.allocUnsafeSlow(size)
    this.bytes.copy(grown, 0, 0, this.#length)
    this.bytes = grown
    this.view = new DataView(grown.buffer)
  }

  #growColumns(): void {
    const size = this.#info.length * 2
    const start = new Uint32Array(size)
    const info = new Uint16Array(size)
    const timestamp = new Float64Array(size)
    start.set(this.#start)
    info.set(this.#info)
    timestamp.set(this.#timestamp)
    this.#start = start
    this.#info = info
    this.#timestamp = timestamp
  }
}

/** Opens a raw block whose checksum has held; it must begin at a multiple of 8 of its buffer. */
export function openBlock(raw: Uint8Array): Run {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength)
  const count = view.getUint32(0, true)
  const directory = raw.byteOffset + view.getUint32(4, true)
  assert(count > 0 && directory % 8 === 0, 'a block has entries and an aligned directory')
  const timestamp = new Float64Array(raw.buffer, directory, count)
  const starts = directory + 8 * count
  const start = new Int32Array(raw.buffer, starts, count)
  // One column read at two places: where the next key begins the value ends.
  const valueEnd = new Int32Array(raw.buffer, starts + 4, count)
  const info = new Uint16Array(raw.buffer, starts + 4 * (count + 1), count)
  const run = new Run(raw, view, count, start, valueEnd, info, timestamp)
  run.setWords()
  run.setNewest()
  return run
}
