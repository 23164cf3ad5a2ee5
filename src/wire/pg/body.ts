/**
 * A cursor over the body of one message. Every read is checked against the body's end: a message that promises more
 * than it holds raises protocol_violation and nothing else happens to the connection.
 *
 * Not here: framing (frames.ts).
 */
import { DbError } from '../../base/index.ts'
import type { FrameReader } from './frames.ts'
import { decodeText } from './text.ts'

export class BodyReader {
  buffer: Buffer = Buffer.alloc(0)
  at = 0
  end = 0

  open(frame: FrameReader): void {
    this.buffer = frame.buffer
    this.at = frame.start
    this.end = frame.end
  }

  get left(): number {
    return this.end - this.at
  }

  u8(): number {
    if (this.at >= this.end) this.#short()
    return this.buffer[this.at++]
  }

  u16(): number {
    const at = this.at
    if (at + 2 > this.end) this.#short()
    this.at = at + 2
    return (this.buffer[at] << 8) | this.buffer[at + 1]
  }

  i16(): number {
    return (this.u16() << 16) >> 16
  }

  i32(): number {
    const at = this.at
    if (at + 4 > this.end) this.#short()
    this.at = at + 4
    const b = this.buffer
    return (b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]
  }

  u32(): number {
    return this.i32() >>> 0
  }

  /** A NUL-terminated string. */
  cstring(): string {
    const at = this.at
    const b = this.buffer
    if (at < this.end && b[at] === 0) {
      this.at = at + 1
      return ''
    }
    // Names are short: a loop beats a call. Queries go on with indexOf.
    let stop = at
    const near = Math.min(this.end, at + 32)
    while (stop < near && b[stop] !== 0) stop++
    if (stop === near && (stop === this.end || b[stop] !== 0)) stop = b.indexOf(0, stop)
    if (stop < 0 || stop >= this.end) throw new DbError('protocol_violation', 'invalid string in message')
    this.at = stop + 1
    return decodeText(b, at, stop)
  }

  /** Passes over `count` bytes and returns where they start. */
  skip(count: number): number {
    const at = this.at
    if (count < 0 || at + count > this.end) this.#short()
    this.at = at + count
    return at
  }

  /** The message ends here. */
  finish(): void {
    if (this.at !== this.end) throw new DbError('protocol_violation', 'invalid message format')
  }

  #short(): never {
    throw new DbError('protocol_violation', 'insufficient data left in message')
  }
}
