/**
 * A growable byte buffer to append to: protocol messages, row tuples, keys, write sets. Big-endian, as PostgreSQL's
 * protocol and our keys are. One instance is reused for many values; `bytes` is a view, `copy` a copy.
 */
export class ByteWriter {
  buffer: Buffer
  length = 0

  constructor(capacity = 256) {
    this.buffer = Buffer.allocUnsafeSlow(capacity)
  }

  /** Makes room for `count` more bytes; callers that write into `buffer` themselves call it first. */
  reserve(count: number): void {
    const need = this.length + count
    if (need <= this.buffer.length) return
    let capacity = this.buffer.length * 2
    while (capacity < need) capacity *= 2
    const grown = Buffer.allocUnsafeSlow(capacity)
    this.buffer.copy(grown, 0, 0, this.length)
    this.buffer = grown
  }

  reset(): void {
    this.length = 0
  }

  /** What was written, as a view that the next write may invalidate. */
  get bytes(): Buffer {
    return this.buffer.subarray(0, this.length)
  }

  copy(): Uint8Array {
    const out = new Uint8Array(this.length)
    out.set(this.bytes)
    return out
  }

  u8(value: number): void {
    if (this.length === this.buffer.length) this.reserve(1)
    this.buffer[this.length++] = value
  }

  u16(value: number): void {
    this.reserve(2)
    const b = this.buffer
    let at = this.length
    b[at++] = value >>> 8
    b[at++] = value
    this.length = at
  }

  /** Also writes a signed 32-bit integer: the bits are the same. */
  u32(value: number): void {
    this.reserve(4)
    const b = this.buffer
    let at = this.length
    b[at++] = value >>> 24
    b[at++] = value >>> 16
    b[at++] = value >>> 8
    b[at++] = value
    this.length = at
  }

  /** Overwrites four bytes written earlier, at `position`. */
  u32At(position: number, value: number): void {
    const b = this.buffer
    b[position] = value >>> 24
    b[position + 1] = value >>> 16
    b[position + 2] = value >>> 8
    b[position + 3] = value
  }

  /** A safe integer, negative ones in two's complement, as 8 bytes. */
  i64(value: number): void {
    const high = Math.floor(value / 0x1_0000_0000)
    this.u32(high | 0)
    this.u32((value - high * 0x1_0000_0000) | 0)
  }

  bigint64(value: bigint): void {
    this.reserve(8)
    this.buffer.writeBigInt64BE(BigInt.asIntN(64, value), this.length)
    this.length += 8
  }

  f32(value: number): void {
    this.reserve(4)
    this.length = this.buffer.writeFloatBE(value, this.length)
  }

  f64(value: number): void {
    this.reserve(8)
    this.length = this.buffer.writeDoubleBE(value, this.length)
  }

  /** Unsigned LEB128 of a safe integer. */
  varint(value: number): void {
    this.reserve(8)
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
    this.reserve(bytes.length)
    this.buffer.set(bytes, this.length)
    this.length += bytes.length
  }

  range(bytes: Uint8Array, start: number, end: number): void {
    const count = end - start
    this.reserve(count)
    const b = this.buffer
    let at = this.length
    if (count <= 24) for (let i = start; i < end; i++) b[at++] = bytes[i]
    else b.set(bytes.subarray(start, end), at)
    this.length += count
  }

  /** UTF-8 of a string, without length or terminator. Returns the number of bytes. */
  utf8(text: string): number {
    const count = text.length
    this.reserve(count * 3)
    const b = this.buffer
    let at = this.length
    if (count <= 32) {
      let i = 0
      for (; i < count; i++) {
        const c = text.charCodeAt(i)
        if (c > 0x7f) break
        b[at++] = c
      }
      if (i === count) {
        this.length = at
        return count
      }
      at = this.length
    }
    const written = b.write(text, at, 'utf8')
    this.length = at + written
    return written
  }

  /** Bytes behind their varint length. */
  block(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.raw(bytes)
  }

  /** Text as a block of UTF-8. */
  text(text: string): void {
    this.block(Buffer.from(text))
  }

  /** A NUL-terminated string. */
  cstring(text: string): void {
    this.utf8(text)
    this.u8(0)
  }
}
