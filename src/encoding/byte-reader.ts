/**
 * Reads what `ByteWriter` writes, front to back. Raises data_corrupted where the bytes end too soon.
 *
 * Not here: checksums (whoever frames the bytes has checked them).
 */
import { DbError } from '../base/index.ts'

export class ByteReader {
  readonly bytes: Uint8Array
  at: number
  readonly #view: DataView

  constructor(bytes: Uint8Array, at = 0) {
    // A Buffer's slice is a view of it, where others' is a copy.
    this.bytes = Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length) : bytes
    this.at = at
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  get done(): boolean {
    return this.at >= this.bytes.length
  }

  u8(): number {
    return this.bytes[this.#take(1)]
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2))
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4))
  }

  /** A safe integer that `i64` wrote. */
  i64(): number {
    const at = this.#take(8)
    return this.#view.getInt32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4)
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8))
  }

  varint(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = this.u8()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
  }

  /** A view of the next bytes, not a copy. */
  raw(length: number): Uint8Array {
    const at = this.#take(length)
    return this.bytes.subarray(at, at + length)
  }

  /** Bytes behind their varint length; a view. */
  block(): Uint8Array {
    return this.raw(this.varint())
  }

  text(): string {
    const block = this.block()
    return Buffer.from(block.buffer, block.byteOffset, block.length).toString()
  }

  /** What is left, as a view. */
  rest(): Uint8Array {
    return this.raw(this.bytes.length - this.at)
  }

  #take(count: number): number {
    const { at } = this
    if (at + count > this.bytes.length) throw new DbError('data_corrupted', 'a message ends too soon')
    this.at = at + count
    return at
  }
}
