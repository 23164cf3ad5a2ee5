/**
 * A growable output of bytes that needs nothing but the language: stores run in browsers, where there is no Buffer.
 * Big-endian; varints are unsigned LEB128 of safe integers.
 *
 * Not here: row tuples and protocol messages of the server (encoding/).
 */
const encoder = new TextEncoder()

export class ByteOutput {
  buffer: Uint8Array
  length = 0

  constructor(capacity = 256) {
    this.buffer = new Uint8Array(capacity)
  }

  /** What was written, as a view that the next write may invalidate. */
  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.length)
  }

  /** Hands the bytes over and begins anew: the caller may keep them. */
  take(capacity = 256): Uint8Array {
    const { bytes } = this
    this.buffer = new Uint8Array(capacity)
    this.length = 0
    return bytes
  }

  u8(value: number): void {
    this.#room(1)
    this.buffer[this.length++] = value
  }

  u32(value: number): void {
    this.#room(4)
    putU32(this.buffer, this.length, value)
    this.length += 4
  }

  /** A safe integer, not negative, in 8 bytes. */
  safe(value: number): void {
    this.#room(8)
    putSafe64(this.buffer, this.length, value)
    this.length += 8
  }

  varint(value: number): void {
    this.#room(8)
    const b = this.buffer
    let at = this.length
    while (value > 0x7fffffff) {
      b[at++] = (value % 128) | 0x80
      value = Math.floor(value / 128)
    }
    while (value > 0x7f) {
      b[at++] = (value & 0x7f) | 0x80
      value >>>= 7
    }
    b[at++] = value
    this.length = at
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.buffer.set(bytes, this.length)
    this.length += bytes.length
  }

  /** Bytes behind their varint length. */
  block(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.raw(bytes)
  }

  text(text: string): void {
    this.block(encoder.encode(text))
  }

  #room(count: number): void {
    const need = this.length + count
    if (need <= this.buffer.length) return
    let capacity = Math.max(64, this.buffer.length * 2)
    while (capacity < need) capacity *= 2
    const grown = new Uint8Array(capacity)
    grown.set(this.buffer.subarray(0, this.length))
    this.buffer = grown
  }
}

export function putU32(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24
  b[at + 1] = value >>> 16
  b[at + 2] = value >>> 8
  b[at + 3] = value
}

export function putSafe64(b: Uint8Array, at: number, value: number): void {
  const high = Math.floor(value / 0x1_0000_0000)
  putU32(b, at, high)
  putU32(b, at + 4, (value - high * 0x1_0000_0000) | 0)
}
