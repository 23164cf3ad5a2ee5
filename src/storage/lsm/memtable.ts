/**
 * The memtable: a B+-tree of versions in one flat SharedArrayBuffer, so that a worker can flush it while the loop goes
 * on reading it.
 *
 *   arena   [ write set │ version headers ][ node ][ write set │ … ]          grows upwards, never moves
 *
 *   version header (24 bytes)   timestamp f64 │ key start u32 │ key length u32 (bit 31: superseded) │ value length + 1 u32
 *   leaf    count │ prefix length │ next │ previous │ newest f64 │ prefix × 4 │ key words × 64 │ headers × 64
 *   inner   count │ prefix length │  –   │  –       │  –         │ prefix × 4 │ key words × 64 │ headers × 64 │ children × 64
 *
 * A node keeps, for each slot, the four key bytes that follow the prefix all its keys share, and the first 16 bytes of
 * that prefix: a search compares those and looks at whole keys, a cache miss or two each, only where they tie (the "poor
 * man's normalized keys" of Graefe and Larson, 2001). A write set is
 * copied into the arena as it is; headers point into it. Versions of a key lie newest first; a version that follows a
 * newer one is marked superseded. Slots are never removed, so nodes only split.
 *
 * Not here: more than one memtable (lsm-engine.ts), reading in order (memtable-feed.ts).
 */
import { assert, type Timestamp } from '../../base/index.ts'
import type { WriteSetReader } from '../../encoding/index.ts'
import type { Slab } from '../engine.ts'
import { checkKeyLength } from '../key-order.ts'
import { type BoundView, commonPrefix, compareAt, keyWord, type SearchKey } from './order.ts'

export const fanout = 64
const prefixAt = 6
/** Words of the shared prefix that a node holds itself. */
const prefixWords = 4
export const wordsAt = prefixAt + prefixWords
export const slotsAt = wordsAt + fanout
const childrenAt = slotsAt + fanout
const leafWords = slotsAt + fanout
const innerWords = childrenAt + fanout
const headerBytes = 24
const supersededBit = 0x8000_0000
export const lengthMask = 0x7fff_ffff

export class Memtable implements Slab {
  readonly buffer: SharedArrayBuffer
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly words: Uint32Array
  readonly doubles: Float64Array
  /** Index applied per stream by what is in here. */
  readonly applied = new Map<number, number>()
  /** Bytes of the arena in use. */
  used = 64
  entries = 0
  oldest: Timestamp = Number.MAX_SAFE_INTEGER
  newest: Timestamp = 0
  /** Raised by every change: positions taken earlier must be found again. */
  changes = 0
  #root: number
  firstLeaf: number
  /** 0: the root is a leaf. */
  #depth = 0
  readonly #path = new Int32Array(32)
  readonly #pathSlot = new Int32Array(32)
  /** Key word that the last search in a node looked for; -1 when the key does not share the node's prefix. */
  #word = -1
  /** The node of that search, while its prefix is what it was. */
  #wordNode = 0

  #references = 0
  #recycle: ((arena: SharedArrayBuffer) => void) | undefined

  /** @param arena its memory, of any former contents. */
  constructor(arena: SharedArrayBuffer) {
    this.buffer = arena
    this.bytes = new Uint8Array(this.buffer)
    this.view = new DataView(this.buffer)
    this.words = new Uint32Array(this.buffer)
    this.doubles = new Float64Array(this.buffer)
    this.#root = this.#node(leafWords)
    this.firstLeaf = this.#root
  }

  /** Whether there is something to flush. */
  get written(): boolean {
    return this.entries > 0 || this.applied.size > 0
  }

  get capacity(): number {
    return this.buffer.byteLength
  }

  /** Keeps the arena from being used again until released. */
  retain(): void {
    this.#references++
  }

  release(): void {
    this.#references--
    if (this.#references === 0) this.#recycle?.(this.buffer)
  }

  /** What is in here is in a table now: once nobody reads it any more the arena goes back. */
  retire(recycle: (arena: SharedArrayBuffer) => void): void {
    if (this.#references === 0) recycle(this.buffer)
    else this.#recycle = recycle
  }

  /** Whether a write set fits, splits at their worst included. */
  fits(bytes: number, count: number): boolean {
    return this.used + Memtable.need(bytes, count) <= this.capacity
  }

  /** Arena bytes that a write set takes at most. */
  static need(bytes: number, count: number): number {
    // At worst every entry meets a full leaf; inner nodes split for every 32nd leaf, and along one path.
    const leaves = (count + 2) * leafWords * 4
    const inners = (Math.ceil(count / (fanout / 2)) + 16) * innerWords * 4
    return bytes + 64 + count * (headerBytes + 4) + leaves + inners
  }

  /** Inserts the next `count` entries of a write set, which end at `end` of its bytes. The caller has seen to the room. */
  apply(reader: WriteSetReader, end: number, count: number): void {
    const { bytes, timestamp } = reader
    const base = this.used
    // A view of a part costs more than the few bytes of header that a whole set brings along.
    const whole = count === reader.count
    const from = whole ? 0 : reader.at
    this.bytes.set(whole ? bytes : bytes.subarray(from, end), base)
    const shift = base - from
    let header = (shift + end + 7) & ~7
    this.used = header + count * headerBytes
    for (let left = count; left > 0; left--) {
      reader.next()
      const keyLength = reader.keyEnd - reader.keyStart
      checkKeyLength(keyLength)
      const word = header >>> 2
      this.doubles[header >>> 3] = timestamp
      this.words[word + 2] = shift + reader.keyStart
      this.words[word + 3] = keyLength
      this.words[word + 4] = reader.valueStart < 0 ? 0 : reader.valueEnd - reader.valueStart + 1
      this.#insert(header)
      header += headerBytes
    }
    if (timestamp > this.newest) this.newest = timestamp
    if (timestamp < this.oldest) this.oldest = timestamp
    this.changes++
  }

  /** The header of the first version at or behind (key, at), if it is of that key, else 0. */
  find(key: SearchKey, at: Timestamp): number {
    let leaf = this.seek(key.view, 0, key.length, at)
    let slot = this.slot
    if (slot === this.words[leaf]) {
      leaf = this.words[leaf + 2]
      if (leaf === 0) return 0
      slot = 0
    }
    const header = this.words[leaf + slotsAt + slot]
    const length = this.words[(header >>> 2) + 3] & lengthMask
    if (length !== key.length) return 0
    return compareAt(this.view, this.words[(header >>> 2) + 2], length, key.view, 0, length) === 0 ? header : 0
  }

  /** Where `seek` found its place within the leaf; may be the leaf's count. */
  slot = 0

  /** The leaf that holds, or would hold, (key, at); the slot in it goes to `slot`. */
  seek(key: DataView, keyStart: number, keyLength: number, at: Timestamp): number {
    let node = this.#root
    for (let level = this.#depth; level > 0; level--) {
      // Slot 0 of an inner node stands for everything below slot 1.
      const slot = this.#lowerBound(node, key, keyStart, keyLength, at, true)
      const child = slot === 0 ? 0 : slot - 1
      this.#path[level] = node
      this.#pathSlot[level] = child
      node = this.words[node + childrenAt + child]
    }
    this.slot = this.#lowerBound(node, key, keyStart, keyLength, at, false)
    return node
  }

  /** The timestamp of some version in (after, upTo] of a key in [start, end), 0 when there is none. */
  changedWithin(start: SearchKey, end: BoundView | undefined, after: Timestamp, upTo: Timestamp): Timestamp {
    const { words, doubles, view } = this
    let leaf = this.seek(start.view, 0, start.length, Number.MAX_SAFE_INTEGER)
    let { slot } = this
    for (; leaf !== 0; leaf = words[leaf + 2], slot = 0) {
      const count = words[leaf]
      const recent = doubles[(leaf + 4) >>> 1] > after
      for (; slot < count; slot++) {
        const header = words[leaf + slotsAt + slot]
        const at32 = header >>> 2
        if (end !== undefined) {
          const length = words[at32 + 3] & lengthMask
          if (compareAt(view, words[at32 + 2], length, end.view, 0, end.length) >= 0) return 0
        }
        // Nothing newer in the leaf: only its first key mattered, to see the end.
        if (!recent) break
        const timestamp = doubles[header >>> 3]
        if (timestamp > after && timestamp <= upTo) return timestamp
      }
    }
    return 0
  }

  /** Versions and bytes of keys in [start, end). */
  measure(start: SearchKey, end: BoundView | undefined): { entries: number; bytes: number } {
    const { words, view } = this
    const each = this.entries === 0 ? 0 : this.used / this.entries
    let leaf = this.seek(start.view, 0, start.length, Number.MAX_SAFE_INTEGER)
    let entries = -this.slot
    for (; leaf !== 0; leaf = words[leaf + 2]) {
      const count = words[leaf]
      const last = words[leaf + slotsAt + count - 1] >>> 2
      const length = words[last + 3] & lengthMask
      if (count > 0 && end && compareAt(view, words[last + 2], length, end.view, 0, end.length) >= 0) {
        entries += this.#lowerBound(leaf, end.view, 0, end.length, Number.MAX_SAFE_INTEGER, false)
        break
      }
      entries += count
    }
    return { entries: Math.max(0, entries), bytes: Math.round(Math.max(0, entries) * each) }
  }

  lastLeaf(): number {
    let node = this.#root
    for (let level = this.#depth; level > 0; level--) node = this.words[node + childrenAt + this.words[node] - 1]
    return node
  }

  /**
   * Lower bound of (key, at) among the slots. `after`: slots equal to it count as smaller, so that descending goes into
   * the child that begins with it.
   */
  #lowerBound(node: number, key: DataView, keyStart: number, keyLength: number, at: Timestamp, after: boolean): number {
    const { words, view } = this
    const count = words[node]
    if (count === 0) return 0
    const prefix = words[node + 1]
    this.#word = -1
    this.#wordNode = node
    if (prefix > 0) {
      const side = this.#comparePrefix(node, prefix, key, keyStart, keyLength)
      if (side !== 0) return side > 0 ? 0 : count
    }
    const wanted = keyWord(key, keyStart, keyLength, prefix)
    this.#word = wanted
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      const word = words[node + wordsAt + middle]
      let before: boolean
      if (word !== wanted) before = word < wanted
      else {
        const header = words[node + slotsAt + middle]
        const at32 = header >>> 2
        const length = words[at32 + 3] & lengthMask
        const order = compareAt(view, words[at32 + 2], length, key, keyStart, keyLength, prefix)
        if (order !== 0) before = order < 0
        else {
          const timestamp = this.doubles[header >>> 3]
          before = timestamp > at || (after && timestamp === at)
        }
      }
      if (before) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The sign of the node's shared prefix − the key's beginning. */
  #comparePrefix(node: number, prefix: number, key: DataView, keyStart: number, keyLength: number): number {
    const { words } = this
    if (prefix > prefixWords * 4 || keyLength < prefix) {
      const first = words[node + slotsAt] >>> 2
      const shared = keyLength < prefix ? keyLength : prefix
      return compareAt(this.view, words[first + 2], prefix, key, keyStart, shared)
    }
    let i = 0
    for (; i + 4 <= prefix; i += 4) {
      const ours = words[node + prefixAt + (i >>> 2)]
      const theirs = key.getUint32(keyStart + i)
      if (ours !== theirs) return ours > theirs ? 1 : -1
    }
    if (i === prefix) return 0
    const shift = 32 - 8 * (prefix - i)
    const ours = words[node + prefixAt + (i >>> 2)] >>> shift
    const theirs = keyWord(key, keyStart, keyLength, i) >>> shift
    return ours - theirs
  }

  #insert(header: number): void {
    const { words, view } = this
    const at32 = header >>> 2
    const keyStart = words[at32 + 2]
    const keyLength = words[at32 + 3]
    const timestamp = this.doubles[header >>> 3]
    const leaf = this.seek(view, keyStart, keyLength, timestamp)
    const { slot } = this
    const count = words[leaf]
    const word = this.#word
    if (slot < count) {
      const next = words[leaf + slotsAt + slot]
      if (words[leaf + wordsAt + slot] === word && this.#sameKey(next, keyStart, keyLength)) {
        if (this.doubles[next >>> 3] === timestamp) {
          // The same timestamp again replaces, in place: headers are as old as their versions, which pictures rely on.
          words[(next >>> 2) + 2] = keyStart
          words[(next >>> 2) + 4] = words[at32 + 4]
          return
        }
        words[(next >>> 2) + 3] |= supersededBit
      }
    } else {
      const nextLeaf = words[leaf + 2]
      if (nextLeaf !== 0) {
        const next = words[nextLeaf + slotsAt]
        if (this.#sameKey(next, keyStart, keyLength)) {
          assert(this.doubles[next >>> 3] < timestamp, 'a replaced version is found where it is')
          words[(next >>> 2) + 3] |= supersededBit
        }
      }
    }
    if (slot > 0) {
      const before = words[leaf + slotsAt + slot - 1]
      const same = words[leaf + wordsAt + slot - 1] === word && this.#sameKey(before, keyStart, keyLength)
      assert(!same, 'the timestamps of one key never go back')
    }
    this.entries++
    if (slot === 0) {
      this.#lowerSeparators(header)
      this.#wordNode = 0 // its searches were in other nodes
    }
    this.#insertAt(leaf, slot, header, 0, 0)
    if (timestamp > this.doubles[(leaf + 4) >>> 1]) this.doubles[(leaf + 4) >>> 1] = timestamp
  }

  /** A version before all others of a subtree becomes the separator on the way to it, or separators lose their order. */
  #lowerSeparators(header: number): void {
    const { words } = this
    const at32 = header >>> 2
    const length = words[at32 + 3]
    for (let level = 1; level <= this.#depth && this.#pathSlot[level] === 0; level++) {
      const node = this.#path[level]
      const first = this.#lowerBound(node, this.view, words[at32 + 2], length, this.doubles[header >>> 3], false)
      if (first > 0) return
      words[node + slotsAt] = header
      this.#setPrefix(node)
    }
  }

  #sameKey(header: number, keyStart: number, keyLength: number): boolean {
    const at32 = header >>> 2
    const length = this.words[at32 + 3] & lengthMask
    if (length !== keyLength) return false
    return compareAt(this.view, this.words[at32 + 2], length, this.view, keyStart, keyLength) === 0
  }

  /** Puts a slot into a node of a level, which splits when it is full. */
  #insertAt(node: number, slot: number, header: number, child: number, level: number): void {
    const { words } = this
    const count = words[node]
    if (count === fanout) {
      this.#split(node, slot, header, child, level)
      return
    }
    for (let i = count; i > slot; i--) {
      words[node + wordsAt + i] = words[node + wordsAt + i - 1]
      words[node + slotsAt + i] = words[node + slotsAt + i - 1]
    }
    if (level > 0) {
      for (let i = count; i > slot; i--) words[node + childrenAt + i] = words[node + childrenAt + i - 1]
      words[node + childrenAt + slot] = child
    }
    words[node + slotsAt + slot] = header
    words[node] = count + 1
    if (node === this.#wordNode && this.#word >= 0 && count > 0) {
      words[node + wordsAt + slot] = this.#word
      return
    }
    const at32 = header >>> 2
    const keyStart = words[at32 + 2]
    const keyLength = words[at32 + 3] & lengthMask
    const prefix = words[node + 1]
    if (count === 0 || !this.#hasPrefix(node, slot === 0 ? 1 : 0, keyStart, keyLength, prefix)) this.#setPrefix(node)
    else words[node + wordsAt + slot] = keyWord(this.view, keyStart, keyLength, prefix)
  }

  #hasPrefix(node: number, other: number, keyStart: number, keyLength: number, prefix: number): boolean {
    if (prefix === 0) return true
    if (keyLength < prefix) return false
    const at32 = this.words[node + slotsAt + other] >>> 2
    return compareAt(this.view, this.words[at32 + 2], prefix, this.view, keyStart, prefix) === 0
  }

  /** Recomputes the shared prefix, which first and last key decide, and all key words. */
  #setPrefix(node: number): void {
    const { words, view } = this
    this.#wordNode = 0
    const count = words[node]
    const first = words[node + slotsAt] >>> 2
    const last = words[node + slotsAt + count - 1] >>> 2
    const firstLength = words[first + 3] & lengthMask
    const prefix = commonPrefix(
      view,
      words[first + 2],
      firstLength,
      view,
      words[last + 2],
      words[last + 3] & lengthMask,
    )
    words[node + 1] = prefix
    for (let i = 0; i < prefixWords; i++) {
      words[node + prefixAt + i] = keyWord(view, words[first + 2], firstLength, i * 4)
    }
    for (let i = 0; i < count; i++) {
      const at32 = words[node + slotsAt + i] >>> 2
      words[node + wordsAt + i] = keyWord(view, words[at32 + 2], words[at32 + 3] & lengthMask, prefix)
    }
  }

  #split(node: number, slot: number, header: number, child: number, level: number): void {
    const { words } = this
    const right = this.#node(level === 0 ? leafWords : innerWords)
    // Ascending insertion leaves full nodes behind; anything else halves.
    const last = level === 0 ? words[node + 2] === 0 : slot === fanout
    const keep = slot === fanout && last ? fanout : fanout / 2
    const moved = fanout - keep
    for (let i = 0; i < moved; i++) {
      words[right + slotsAt + i] = words[node + slotsAt + keep + i]
      if (level > 0) words[right + childrenAt + i] = words[node + childrenAt + keep + i]
    }
    words[node] = keep
    words[right] = moved
    if (level === 0) {
      const next = words[node + 2]
      words[right + 2] = next
      words[right + 3] = node
      words[node + 2] = right
      if (next !== 0) words[next + 3] = right
      this.doubles[(right + 4) >>> 1] = this.doubles[(node + 4) >>> 1]
    }
    if (moved > 0) {
      this.#setPrefix(right)
      this.#setPrefix(node)
    }
    if (slot > keep || moved === 0) this.#insertAt(right, slot - keep, header, child, level)
    else this.#insertAt(node, slot, header, child, level)
    if (level === 0 && (slot > keep || moved === 0)) {
      const timestamp = this.doubles[header >>> 3]
      if (moved === 0) this.doubles[(right + 4) >>> 1] = timestamp
      else if (timestamp > this.doubles[(right + 4) >>> 1]) this.doubles[(right + 4) >>> 1] = timestamp
    }
    this.#addToParent(node, right, level)
  }

  #addToParent(left: number, right: number, level: number): void {
    const { words } = this
    if (level === this.#depth) {
      const root = this.#node(innerWords)
      this.#depth++
      this.#root = root
      this.#insertAt(root, 0, words[left + slotsAt], left, level + 1)
      this.#insertAt(root, 1, words[right + slotsAt], right, level + 1)
      this.#path[level + 1] = root
      return
    }
    this.#insertAt(this.#path[level + 1], this.#pathSlot[level + 1] + 1, words[right + slotsAt], right, level + 1)
  }

  #node(size: number): number {
    // Nodes begin at multiples of 8 bytes: their third pair of words is a double.
    const at = (this.used + 7) & ~7
    this.used = at + size * 4
    assert(this.used <= this.capacity, 'the room of an arena is checked before it is written')
    const node = at >>> 2
    this.words.fill(0, node, node + wordsAt) // an arena may have had a life before
    return node
  }
}
