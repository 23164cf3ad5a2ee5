/**
 * A run: some versions in key order whose columns lie in typed arrays: a block's directory, or a copy of a memtable
 * leaf. All reading above the memtable works on runs, so that its loops see one shape.
 *
 *   i         0      1      2   …
 *   start     key start in slab; key length in info; then the value, up to valueEnd
 *   info      bits 0–13 key length │ sameKey: an older version of the key before │ deletion
 *
 * Not here: where runs come from (block.ts, memtable-feed.ts).
 */
import type { Slab } from '../engine.ts'
import { commonPrefix, compareAt, keyWord } from './order.ts'

export const keyLengthMask = 0x3fff
export const sameKeyBit = 0x4000
export const deletionBit = 0x8000

export class Run implements Slab {
  bytes: Uint8Array
  view: DataView
  count: number
  start: Int32Array
  valueEnd: Int32Array
  info: Uint16Array
  timestamp: Float64Array
  /** Leading bytes that all keys share. */
  prefix = 0
  /** The newest timestamp of a run that has one version of every key and no deletions; else infinite. */
  newestOfPlain = Number.POSITIVE_INFINITY
  /** Key words behind the prefix, in blocks: a search touches these few lines instead of keys all over the block. */
  words: Uint32Array | undefined

  constructor(
    bytes: Uint8Array,
    view: DataView,
    count: number,
    start: Int32Array,
    valueEnd: Int32Array,
    info: Uint16Array,
    timestamp: Float64Array,
  ) {
    this.bytes = bytes
    this.view = view
    this.count = count
    this.start = start
    this.valueEnd = valueEnd
    this.info = info
    this.timestamp = timestamp
  }

  keyLength(i: number): number {
    return this.info[i] & keyLengthMask
  }

  /** Of a run whose entries stay as they are. */
  setNewest(): void {
    const { info, timestamp, count } = this
    let marks = 0
    let newest = 0
    for (let i = 0; i < count; i++) {
      marks |= info[i]
      if (timestamp[i] > newest) newest = timestamp[i]
    }
    if ((marks & (sameKeyBit | deletionBit)) === 0) this.newestOfPlain = newest
  }

  setWords(): void {
    const last = this.count - 1
    this.prefix = commonPrefix(
      this.view,
      this.start[0],
      this.keyLength(0),
      this.view,
      this.start[last],
      this.keyLength(last),
    )
    const words = new Uint32Array(this.count)
    for (let i = 0; i < this.count; i++) {
      words[i] = keyWord(this.view, this.start[i], this.info[i] & keyLengthMask, this.prefix)
    }
    this.words = words
  }

  /** The sign of (entry i's user key) − key. */
  compareKey(i: number, key: DataView, keyStart: number, keyLength: number): number {
    const { words, prefix, view, start } = this
    const length = this.info[i] & keyLengthMask
    if (words !== undefined && keyLength >= prefix) {
      // Mostly the word tells, and the entry's bytes, which may be far from any cache, are not asked for.
      const first = compareAt(view, start[0], prefix, key, keyStart, prefix)
      if (first !== 0) return first
      const word = keyWord(key, keyStart, keyLength, prefix)
      if (words[i] !== word) return words[i] < word ? -1 : 1
      if (length <= prefix + 4 && keyLength <= prefix + 4) return length - keyLength
    }
    return compareAt(view, start[i], length, key, keyStart, keyLength)
  }

  /** The first entry at or behind (key, at): of that key with a timestamp ≤ `at`, or of a greater key. */
  lowerBound(key: DataView, keyStart: number, keyLength: number, at: number): number {
    const { view, start, info, timestamp } = this
    let from = this.prefix
    if (from > 0) {
      const side = compareAt(view, start[0], from, key, keyStart, keyLength < from ? keyLength : from)
      if (side !== 0) return side > 0 ? 0 : this.count
      if (keyLength < from) from = keyLength
    }
    let low = 0
    let high = this.count
    const { words } = this
    if (words !== undefined) {
      const wanted = keyWord(key, keyStart, keyLength, this.prefix)
      // First by words alone: to the entries whose word is the wanted one.
      while (low < high) {
        const middle = (low + high) >>> 1
        if (words[middle] < wanted) low = middle + 1
        else high = middle
      }
      high = low
      while (high < this.count && words[high] === wanted) high++
    }
    while (low < high) {
      const middle = (low + high) >>> 1
      const order = compareAt(view, start[middle], info[middle] & keyLengthMask, key, keyStart, keyLength, from)
      if (order < 0 || (order === 0 && timestamp[middle] > at)) low = middle + 1
      else high = middle
    }
    return low
  }

  /**
   * The first entry in [i, end) whose key is ≥ a key, `end` when there is none; the key of entry i is smaller. Gallops: in
   * a merge the next source's key is mostly near, and beyond the block when it is not.
   */
  gallop(i: number, end: number, key: DataView, keyStart: number, keyLength: number): number {
    const { words, prefix } = this
    if (words === undefined) return this.#gallopKeys(i, end, key, keyStart, keyLength)
    // As entry i is smaller, a key that does not begin as all entries do is behind them.
    if (keyLength < prefix || compareAt(this.view, this.start[i], prefix, key, keyStart, prefix) !== 0) return end
    const word = keyWord(key, keyStart, keyLength, prefix)
    const low = this.gallopWords(i, end, word)
    // Of keys with the same word only the bytes tell.
    if (low === end || words[low] !== word || this.compareKey(low, key, keyStart, keyLength) >= 0) return low
    let same = low + 1
    while (same < end && words[same] === word) same++
    return this.#gallopKeys(low, same, key, keyStart, keyLength)
  }

  /** The first entry in (i, end) whose word is ≥ a word, `end` when there is none. */
  gallopWords(i: number, end: number, word: number): number {
    const words = this.words!
    let step = 1
    let low = i
    let high = i + 1
    while (high < end && words[high] < word) {
      low = high
      step <<= 1
      high += step
    }
    if (high > end) high = end
    low++
    while (low < high) {
      const middle = (low + high) >>> 1
      if (words[middle] < word) low = middle + 1
      else high = middle
    }
    return low
  }

  #gallopKeys(i: number, end: number, key: DataView, keyStart: number, keyLength: number): number {
    let step = 1
    let low = i
    let high = i + 1
    while (high < end && this.compareKey(high, key, keyStart, keyLength) < 0) {
      low = high
      step <<= 1
      high += step
      if (step === 8 && this.compareKey(end - 1, key, keyStart, keyLength) < 0) return end
    }
    if (high > end) high = end
    low++
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.compareKey(middle, key, keyStart, keyLength) < 0) low = middle + 1
      else high = middle
    }
    return low < end ? low : end
  }
}
