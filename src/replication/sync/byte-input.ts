/**
 * Reads what `ByteOutput` writes, front to back. The bytes may be anybody's: what ends too soon, or is no safe integer,
 * raises protocol_violation and never reads beside them.
 *
 * Not here: what the values mean.
 */
import { DbError } from '../../base/index.ts'

const decoder = new TextDecoder('utf-8', { fatal: true })

export class ByteInput {
  readonly bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, at = 0) {
    // A slice of a Buffer would be a view of it, where others' is a copy.
    const plain = bytes.constructor === Uint8Array
    this.bytes = plain ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    this.at = at
  }

  get left(): number {
    return this.bytes.length - this.at
  }

  u8(): number {
    return this.bytes[this.#take(1)]
  }

  u32(): number {
    return getU32(this.bytes, this.#take(4))
  }

  safe(): number {
    const value = getSafe64(this.bytes, this.#take(8))
    if (value > Number.MAX_SAFE_INTEGER) throw malformed('a number is too large')
    return value
  }

  varint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.u8()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      scale *= 128
    }
    throw malformed('a number is too large')
  }

  /** A number of things that take at least `least` bytes each: no more than can follow. */
  count(least: number): number {
    const count = this.varint()
    if (count * least > this.left) throw malformed('more is announced than follows')
    return count
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
    try {
      return decoder.decode(block)
    } catch {
      throw malformed('a text is no UTF-8')
    }
  }

  /** Nothing may follow. */
  end(): void {
    if (this.left > 0) throw malformed(`${this.left} bytes follow its end`)
  }

  #take(count: number): number {
    const { at } = this
    if (at + count > this.bytes.length) throw malformed('it ends too soon')
    this.at = at + count
    return at
  }
}

export function getU32(b: Uint8Array, at: number): number {
  return ((b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]) >>> 0
}

export function getSafe64(b: Uint8Array, at: number): number {
  return getU32(b, at) * 0x1_0000_0000 + getU32(b, at + 4)
}

export function malformed(what: string): DbError {
  return new DbError('protocol_violation', `a message of a sync cannot be read: ${what}`, {
    hint: 'Both sides must run versions that understand each other, and nothing between them may change the bytes.',
  })
}
