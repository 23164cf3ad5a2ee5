/**
 * Reads what a `ByteWriter` wrote of the group's formats, front to back; every read checks its bounds, because the bytes come
 * from a disk or a peer.
 *
 * Not here: the formats (configuration.ts, message-codec.ts).
 */
import { DbError } from '../../base/index.ts'

export class ByteReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  u8(): number {
    if (this.#at >= this.#bytes.length) throw corrupted('it ends early')
    return this.#bytes[this.#at++]
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
    throw corrupted('a number is too long')
  }

  /** How many things follow, each of at least one byte. */
  count(): number {
    const n = this.varint()
    if (n > this.#bytes.length - this.#at) throw corrupted('a count is too high')
    return n
  }

  flag(): boolean {
    const byte = this.u8()
    if (byte > 1) throw corrupted('a flag is neither 0 nor 1')
    return byte === 1
  }

  /** A view, no copy. */
  bytes(length: number): Uint8Array {
    if (length > this.#bytes.length - this.#at) throw corrupted('it ends early')
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw corrupted('bytes are left over')
  }
}

export function corrupted(why: string): DbError {
  return new DbError('data_corrupted', `not a message or configuration of a replication group: ${why}`)
}
