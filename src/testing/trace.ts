/**
 * A running hash over every call of every port: two runs that did the same have the same hash, and one more call of
 * anything changes it.
 *
 * Not here: a readable log of the calls, except on request (`record`).
 */
import { crc32 } from 'node:zlib'

/** Texts whose hash is remembered; paths and addresses come again and again. */
const keptTexts = 4096

export class Trace {
  #high = 0x243f6a88
  #low = 0x85a308d3
  calls = 0
  /** When set, every call is also kept as a line: to find where two runs part. */
  lines: string[] | undefined
  readonly #texts = new Map<string, number>()

  record(): void {
    this.lines = []
  }

  note(what: string, a: number = 0, b: number = 0, text: string = ''): void {
    this.calls++
    this.#mix(this.#hashOf(what))
    this.#mix(a | 0)
    this.#mix((a / 0x1_0000_0000) | 0)
    this.#mix(b | 0)
    this.#mix((b / 0x1_0000_0000) | 0)
    if (text !== '') this.#mix(this.#hashOf(text))
    this.lines?.push(`${what} ${a} ${b} ${text}`)
  }

  /** Notes bytes by their checksum. */
  noteBytes(what: string, text: string, position: number, bytes: Uint8Array): void {
    this.note(what, position, crc32(bytes) * 0x10_0000 + (bytes.length & 0xfffff), text)
  }

  get hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0')
  }

  #hashOf(text: string): number {
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    let h = text.length ^ 0x9e3779b9
    for (let i = 0; i < text.length; i++) {
      h = Math.imul(h ^ text.charCodeAt(i), 0x5bd1e995)
      h ^= h >>> 15
    }
    if (this.#texts.size >= keptTexts) this.#texts.clear()
    this.#texts.set(text, h)
    return h
  }

  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x5bd1e995)
    this.#low ^= this.#low >>> 15
    this.#high = Math.imul(this.#high ^ this.#low, 0x27d4eb2f)
    this.#high ^= this.#high >>> 13
  }
}
