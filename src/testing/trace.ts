/**
 * A running hash over every call of every port: two runs that did the same have the same hash, and one more call of
 * anything changes it.
 *
 * Not here: a readable log of the calls, except on request (`record`).
 */
import { crc32 } from 'node:zlib'

export class Trace {
  #high = 0x243f6a88
  #low = 0x85a308d3
  calls = 0
  /** When set, every call is also kept as a line: to find where two runs part. */
  lines: string[] | undefined

  record(): void {
    this.lines = []
  }

  note(what: string, a: number = 0, b: number = 0, text: string = ''): void {
    this.calls++
    this.#mix(what.length)
    for (let i = 0; i < what.length; i++) this.#mix(what.charCodeAt(i))
    this.#mix(a | 0)
    this.#mix((a / 0x1_0000_0000) | 0)
    this.#mix(b | 0)
    this.#mix((b / 0x1_0000_0000) | 0)
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i))
    this.lines?.push(`${what} ${a} ${b} ${text}`)
  }

  /** Notes bytes by their checksum. */
  noteBytes(what: string, text: string, position: number, bytes: Uint8Array): void {
    this.note(what, position, crc32(bytes) * 0x10_0000 + (bytes.length & 0xfffff), text)
  }

  get hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0')
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x5bd1e995)
    this.#low ^= this.#low >>> 15
    this.#high = Math.imul(this.#high ^ this.#low, 0x27d4eb2f)
    this.#high ^= this.#high >>> 13
  }
}
