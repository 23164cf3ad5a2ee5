/**
 * What the log knows of one stream: its hard state and where each live entry lies.
 *
 *   index      first … … … last
 *   slot       index & (capacity − 1)       segment[slot], offset[slot]
 *
 * A ring of typed arrays: eight bytes an entry, no allocation per append. Terms change rarely, so they are kept as the
 * indexes from which on each holds.
 *
 * Not here: entries themselves.
 */
import { assert } from '../../base/index.ts'

const initialCapacity = 64

export class StreamState {
  term = 0
  vote = 0
  commit = 0
  /** First live index; last + 1 when there is none. */
  first = 1
  last = 0
  /** Raised by every append and restart: what was read before may have been replaced since. */
  changes = 0
  #segment = new Uint32Array(initialCapacity)
  #offset = new Uint32Array(initialCapacity)
  #mask = initialCapacity - 1
  /** Entries from `#termStart[i]` on, up to the next start, have term `#terms[i]`. */
  readonly #termStart: number[] = []
  readonly #terms: number[] = []

  get live(): number {
    return this.last - this.first + 1
  }

  /** Notes an appended entry; what stood at its index and above is cancelled. */
  append(index: number, term: number, segment: number, offset: number): void {
    assert(index <= this.last + 1, `entry ${index} follows entry ${this.last} without a gap`)
    this.changes++
    if (index < this.first) this.first = index
    if (index <= this.last) this.#cutTerms(index)
    this.last = index
    if (this.#terms.length === 0 || this.#terms[this.#terms.length - 1] !== term) {
      this.#termStart.push(index)
      this.#terms.push(term)
    }
    if (index - this.first > this.#mask) this.#grow()
    const slot = index & this.#mask
    this.#segment[slot] = segment
    this.#offset[slot] = offset
  }

  /** Everything up to the index is needed no more; above the last one as `restart`. */
  release(index: number): void {
    if (index < this.first) return
    this.first = index + 1
    if (index > this.last) this.restart(index)
    while (this.#terms.length > 1 && this.#termStart[1] <= this.first) {
      this.#termStart.shift()
      this.#terms.shift()
    }
  }

  /** Nothing that was there counts; the next entry is index + 1. */
  restart(index: number): void {
    this.changes++
    this.first = index + 1
    this.last = index
    this.#cutTerms(0)
  }

  /** The term of a live entry, undefined for another index. */
  termOf(index: number): number | undefined {
    if (index < this.first || index > this.last) return undefined
    let low = 0
    let high = this.#terms.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.#termStart[middle] <= index) low = middle
      else high = middle - 1
    }
    return this.#terms[low]
  }

  segmentOf(index: number): number {
    return this.#segment[index & this.#mask]
  }

  offsetOf(index: number): number {
    return this.#offset[index & this.#mask]
  }

  /** The last live index that lies in a segment ≤ the given one; first − 1 when none does. */
  lastWithin(segment: number): number {
    let low = this.first - 1
    let high = this.last
    while (low < high) {
      const middle = Math.ceil((low + high) / 2)
      if (this.segmentOf(middle) <= segment) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Forgets terms of entries from an index on. */
  #cutTerms(index: number): void {
    let left = this.#terms.length
    while (left > 0 && this.#termStart[left - 1] >= index) left--
    this.#termStart.length = left
    this.#terms.length = left
  }

  #grow(): void {
    const capacity = (this.#mask + 1) * 2
    const segment = new Uint32Array(capacity)
    const offset = new Uint32Array(capacity)
    for (let index = this.first; index < this.last; index++) {
      segment[index & (capacity - 1)] = this.segmentOf(index)
      offset[index & (capacity - 1)] = this.offsetOf(index)
    }
    this.#segment = segment
    this.#offset = offset
    this.#mask = capacity - 1
  }
}
