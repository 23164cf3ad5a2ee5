/**
 * A write set: what one committed transaction changes in one partition. It is the payload of its log record and what
 * `Engine.apply` takes, byte for byte.
 *
 *   0        8         12
 *   ┌────────┬─────────┬───────────────────────────────────────────────┬──────
 *   │ time-  │ number  │ varint key   varint value      key     value  │ next
 *   │ stamp  │ of      │ length       length + 1,       bytes   bytes  │ …
 *   │ u64 BE │ entries │              0 = deletion                     │
 *   └────────┴─────────┴───────────────────────────────────────────────┴──────
 *
 * Keys are unique within a set, in any order.
 */
import { ByteWriter } from './byte-writer.ts'

export const writeSetHeader = 12
/** The two lengths of an entry, for most. */
const usualLengths = 4

export class WriteSetBuilder {
  readonly writer = new ByteWriter(512)
  #count = 0

  constructor() {
    this.reset()
  }

  get count(): number {
    return this.#count
  }

  reset(): void {
    this.#count = 0
    this.writer.reset()
    this.writer.i64(0)
    this.writer.u32(0)
  }

  put(key: Uint8Array, value: Uint8Array): void {
    const w = this.writer
    w.varint(key.length)
    w.varint(value.length + 1)
    w.raw(key)
    w.raw(value)
    this.#count++
  }

  /** Key and value as ranges of one array. */
  putRange(bytes: Uint8Array, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number): void {
    const w = this.writer
    w.varint(keyEnd - keyStart)
    w.varint(valueEnd - valueStart + 1)
    if (keyEnd === valueStart) w.range(bytes, keyStart, valueEnd)
    else {
      w.range(bytes, keyStart, keyEnd)
      w.range(bytes, valueStart, valueEnd)
    }
    this.#count++
  }

  /** Makes room for entries of so many bytes in keys and values. */
  reserve(bytes: number, entries: number): void {
    this.writer.reserve(bytes + usualLengths * entries)
  }

  deleteRange(bytes: Uint8Array, keyStart: number, keyEnd: number): void {
    const w = this.writer
    w.varint(keyEnd - keyStart)
    w.u8(0)
    w.range(bytes, keyStart, keyEnd)
    this.#count++
  }

  delete(key: Uint8Array): void {
    const w = this.writer
    w.varint(key.length)
    w.u8(0)
    w.raw(key)
    this.#count++
  }

  /** Stamps the set and returns a view of it, valid until the next `reset` or write. */
  finish(timestamp: number): Uint8Array {
    const w = this.writer
    const high = Math.floor(timestamp / 0x1_0000_0000)
    w.u32At(0, high)
    w.u32At(4, (timestamp - high * 0x1_0000_0000) | 0)
    w.u32At(8, this.#count)
    return w.bytes
  }
}

/** Walks the entries of a write set; fields describe the current entry, `valueStart` is -1 for a deletion. */
export class WriteSetReader {
  readonly bytes: Uint8Array
  readonly timestamp: number
  readonly count: number
  keyStart = 0
  keyEnd = 0
  valueStart = 0
  valueEnd = 0
  /** Where the next entry begins. */
  at = writeSetHeader
  /** Entries that are still to come. */
  left: number

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.timestamp = u32(bytes, 0) * 0x1_0000_0000 + u32(bytes, 4)
    this.count = u32(bytes, 8)
    this.left = this.count
  }

  /** Another reader at the same place. */
  copy(): WriteSetReader {
    const other = new WriteSetReader(this.bytes)
    other.at = this.at
    other.left = this.left
    return other
  }

  next(): boolean {
    if (this.left === 0) return false
    this.left--
    const keyLength = this.#varint()
    const valueLength = this.#varint() - 1
    this.keyStart = this.at
    this.keyEnd = this.at + keyLength
    if (valueLength < 0) {
      this.valueStart = -1
      this.valueEnd = -1
      this.at = this.keyEnd
    } else {
      this.valueStart = this.keyEnd
      this.valueEnd = this.keyEnd + valueLength
      this.at = this.valueEnd
    }
    return true
  }

  #varint(): number {
    const b = this.bytes
    let byte = b[this.at++]
    if (byte < 0x80) return byte
    let value = byte & 0x7f
    let scale = 128
    do {
      byte = b[this.at++]
      value += (byte & 0x7f) * scale
      scale *= 128
    } while (byte >= 0x80)
    return value
  }
}

function u32(b: Uint8Array, at: number): number {
  return ((b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]) >>> 0
}
