/**
 * Cuts a byte stream into protocol messages, in place: a message that lies whole in the chunk is read where it is; one
 * that is split is gathered in a buffer of its own, each byte copied once.
 *
 *   chunk 1  │ msg a │ msg b │ msg c, fir│            a, b: ranges of chunk 1
 *   chunk 2  │st half│ msg d │                        c: gathered; d: a range of chunk 2
 *
 * The range is valid until the next `next()`. A chunk is valid only while its data handler runs: whoever stops before
 * `next()` said false calls `keep()`.
 *
 * Not here: what the bytes of a message mean.
 */
import { DbError } from '../../base/index.ts'
import { startupMessageBytes } from './protocol.ts'

const none = Buffer.alloc(0)
const reusableBytes = 64 * 1024

export class FrameReader {
  /** The message that `next` found: its type (0 for an untyped one) and its body, buffer[start, end). */
  type = 0
  buffer: Buffer = none
  start = 0
  end = 0

  /** Longest message taken; bytes, as its length word says. */
  limit = startupMessageBytes
  /** Length of what precedes the body: 4 for an untyped first message, 5 after. */
  #header = 4

  #input: Buffer = none
  #at = 0
  #partial: Buffer = none
  #filled = 0
  #needed = 0

  /** From now on messages start with a type byte. */
  typed(): void {
    this.#header = 5
  }

  /** Gives the next chunk of the stream. */
  feed(chunk: Uint8Array): void {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    if (this.#at < this.#input.length) this.#input = Buffer.concat([this.#input.subarray(this.#at), bytes])
    else this.#input = bytes
    this.#at = 0
  }

  /** Bytes that were fed and not yet read as messages. */
  get unread(): number {
    return this.#input.length - this.#at + this.#filled
  }

  /** Copies what is unread out of the chunk, so that the chunk's owner may reuse it. */
  keep(): void {
    this.#input = this.#at < this.#input.length ? Buffer.from(this.#input.subarray(this.#at)) : none
    this.#at = 0
  }

  /** Moves to the next whole message; false when more input is needed. Raises protocol_violation for a bad length. */
  next(): boolean {
    if (this.#filled > 0) return this.#gather()
    const input = this.#input
    const at = this.#at
    const header = this.#header
    const available = input.length - at
    if (available < header) {
      if (available > 0) this.#stash(header, available)
      return false
    }
    const needed = header - 4 + this.#lengthAt(input, at + header - 4)
    if (available < needed) {
      this.#stash(needed, available)
      return false
    }
    this.type = header === 5 ? input[at] : 0
    this.buffer = input
    this.start = at + header
    this.end = this.#at = at + needed
    return true
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const length = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]
    if (length < 4) throw new DbError('protocol_violation', 'invalid message length')
    if (length > this.limit) {
      if (this.limit <= startupMessageBytes) throw new DbError('protocol_violation', 'invalid message length')
      throw new DbError(
        'program_limit_exceeded',
        `message of ${length} bytes exceeds the limit of ${this.limit} bytes`,
        { hint: "Send less at once, or raise the limit on message length in the node's configuration." },
      )
    }
    return length
  }

  /** Moves the beginning of a message into the gathering buffer. */
  #stash(needed: number, available: number): void {
    this.#room(needed)
    this.#input.copy(this.#partial, 0, this.#at, this.#input.length)
    this.#filled = available
    this.#at = this.#input.length
  }

  /** Makes the gathering buffer hold `needed` bytes, keeping what is in it. */
  #room(needed: number): void {
    this.#needed = needed
    const old = this.#partial
    const fits = old.length >= needed && (old.length <= reusableBytes || this.#filled > 0)
    if (fits) return
    this.#partial = Buffer.allocUnsafeSlow(Math.max(needed, 256))
    old.copy(this.#partial, 0, 0, this.#filled)
  }

  #fill(): boolean {
    const count = Math.min(this.#needed - this.#filled, this.#input.length - this.#at)
    this.#input.copy(this.#partial, this.#filled, this.#at, this.#at + count)
    this.#filled += count
    this.#at += count
    return this.#filled === this.#needed
  }

  #gather(): boolean {
    const header = this.#header
    if (this.#filled < header) {
      this.#needed = header
      if (!this.#fill()) return false
    }
    this.#room(header - 4 + this.#lengthAt(this.#partial, header - 4))
    if (!this.#fill()) return false
    this.type = header === 5 ? this.#partial[0] : 0
    this.buffer = this.#partial
    this.start = header
    this.end = this.#needed
    this.#filled = 0
    return true
  }
}
