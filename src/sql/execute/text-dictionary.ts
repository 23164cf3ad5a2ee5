/**
 * Texts numbered from 0 in the order in which they come, found by their bytes where they lie: a string is made of one
 * only when it is asked for.
 *
 *   bytes   [ text 0 │ text 1 │ … ]      ends[n]: where text n ends       slots: hash → number, −1: free
 */
import { decodeUtf8 } from '../types/code-points.ts'

export class TextDictionary {
  #bytes = new Uint8Array(1024)
  #ends = new Int32Array(64)
  #hashes = new Int32Array(64)
  #slots = new Int32Array(128).fill(-1)
  #count = 0
  #length = 0

  /** About how much memory it takes. */
  get bytes(): number {
    return this.#bytes.length + 4 * (this.#ends.length + this.#hashes.length + this.#slots.length)
  }

  numberOf(text: string): number {
    const bytes = Buffer.from(text)
    return this.number(bytes, 0, bytes.length)
  }

  number(from: Uint8Array, start: number, end: number): number {
    let hash = end - start
    for (let i = start; i < end; i++) hash = Math.imul(hash ^ from[i], 0x01000193)
    hash ^= hash >>> 15
    const mask = this.#slots.length - 1
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const n = this.#slots[at]
      if (n < 0) return this.#add(at, hash, from, start, end)
      if (this.#hashes[n] === hash && this.#same(n, from, start, end)) return n
    }
  }

  text(n: number): string {
    return decodeUtf8(this.#bytes, n === 0 ? 0 : this.#ends[n - 1], this.#ends[n])
  }

  #same(n: number, from: Uint8Array, start: number, end: number): boolean {
    const own = n === 0 ? 0 : this.#ends[n - 1]
    if (this.#ends[n] - own !== end - start) return false
    const bytes = this.#bytes
    for (let i = start, j = own; i < end; i++, j++) if (from[i] !== bytes[j]) return false
    return true
  }

  #add(at: number, hash: number, from: Uint8Array, start: number, end: number): number {
    const n = this.#count++
    if (n === this.#ends.length) {
      this.#ends = doubled(this.#ends)
      this.#hashes = doubled(this.#hashes)
    }
    const length = this.#length + end - start
    if (length > this.#bytes.length) {
      const bytes = new Uint8Array(Math.max(length, 2 * this.#bytes.length))
      bytes.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = bytes
    }
    for (let i = start, j = this.#length; i < end; i++, j++) this.#bytes[j] = from[i]
    this.#length = length
    this.#ends[n] = length
    this.#hashes[n] = hash
    this.#slots[at] = n
    if (2 * this.#count > this.#slots.length) this.#rehash()
    return n
  }

  #rehash(): void {
    const slots = new Int32Array(2 * this.#slots.length).fill(-1)
    const mask = slots.length - 1
    for (let n = 0; n < this.#count; n++) {
      let at = this.#hashes[n] & mask
      while (slots[at] >= 0) at = (at + 1) & mask
      slots[at] = n
    }
    this.#slots = slots
  }
}

function doubled(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const out = new Int32Array(2 * array.length)
  out.set(array)
  return out
}
