/**
 * What the log knows of one stream: its hard state and where each live entry lies.
 *
 *   index      first … … … last
 *   slot       index & (capacity − 1)       segment[slot], offset[slot]
 *
 * A ring of typed arrays: eight bytes an entry, no allocation per append.
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
  #segment = new Uint32Array(initialCapacity)
  #offset = new Uint32Array(initialCapacity)
  #mask = initialCapacity - 1

  get live(): number {
    return this.last - this.first + 1
  }

  /** Notes an appended entry; what stood at its index and above is cancelled. */
  append(index: number, segment: number, offset: number): void {
    assert(index <= this.last + 1, `entry ${index} follows entry ${this.last} without a gap`)
    if (index < this.first) this.first = index
    this.last = index
    if (index - this.first > this.#mask) this.#grow()
    const slot = index & this.#mask
    this.#segment[slot] = segment
    this.#offset[slot] = offset
  }

  /** Everything up to the index is needed no more; an index above the last begins the stream anew behind it. */
  release(index: number): void {
    if (index < this.first) return
    this.first = index + 1
    if (index > this.last) this.last = index
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
