/**
 * All (key, hash) of a store in key order, with a fingerprint of any range of them: what two stores compare so that what
 * they exchange grows with their difference.
 *
 *   leaves   [ leaf ][ leaf ][ leaf ] …          in order; a few thousand for a million events
 *   leaf     key 4 × u32 │ hash 4 × u32 │ …      flat, up to 512 entries
 *            sum 4 × u32                         of its hashes, mod 2^128
 *
 *   fingerprint of a range = the first 12 bytes of SHA-256 of (sum of its hashes mod 2^128, count)
 *
 * Sums of leaves make a range cost its leaves, not its entries; at its two ends entries are added. A flat list of leaves
 * does what a tree's inner nodes would: inserting one moves some thousand pointers. 32 bytes an event in full leaves, as
 * ascending keys leave them, and about 46 after insertion at random.
 *
 * Range-based set reconciliation: Meyer, 2023 (arXiv:2212.13567). The hashes are cryptographic, a sum of them is not: who
 * searches long enough can write events whose sums cancel out, and so hide these from a comparison by fingerprints. What
 * others wrote is out of their reach, and comparison by positions does not use sums.
 *
 * Not here: what is asked and answered (reconcile.ts).
 */
import { getU32 } from './byte-input.ts'
import { putU32 } from './byte-output.ts'
import { digestInto } from './digest.ts'

const leafEntries = 512
const words = 8
/** Shorter than a hash: they meet by accident in one of 2^96 comparisons, and they are most of what travels. */
export const fingerprintBytes = 12

class Leaf {
  count = 0
  data = new Uint32Array(16 * words)
  readonly sum = new Uint32Array(4)
}

/** Before entry `at` of a leaf; `at` may be its end. */
interface Place {
  readonly leaf: number
  readonly at: number
}

/**
 * Half-open range of keys; undefined is the beginning or the end of all. A bound may be shorter than a key, and stands for
 * itself followed by zeros.
 */
export interface KeyRange {
  readonly from: Uint8Array | undefined
  readonly to: Uint8Array | undefined
}

/** A part of a range: where it ends, and what is in it. */
export interface RangePart {
  readonly to: Uint8Array | undefined
  readonly count: number
  readonly fingerprint: Uint8Array
}

export class RangeIndex {
  readonly #leaves: Leaf[] = [new Leaf()]
  #count = 0
  readonly #probe = new Uint32Array(words)

  get count(): number {
    return this.#count
  }

  /** Bytes of memory that entries take. */
  get bytes(): number {
    return this.#leaves.reduce((sum, leaf) => sum + leaf.data.byteLength, 0)
  }

  /** Puts a key with its hash; the hash of a key that is there is replaced. */
  set(key: Uint8Array, hash: Uint8Array): void {
    const probe = this.#probe
    loadWords(probe, 0, key)
    loadWords(probe, 4, hash)
    const l = this.#leafOf(probe)
    const leaf = this.#leaves[l]
    const at = lowerBound(leaf, probe)
    if (at < leaf.count && compare(leaf, at, probe) === 0) {
      subtract(leaf.sum, leaf.data, at * words + 4)
      leaf.data.set(probe, at * words)
      add(leaf.sum, probe, 4)
    } else this.#insert(l, at)
  }

  /** Cuts a range into at most so many parts of about equally many entries; one part when there are no more entries. */
  split(range: KeyRange, parts: number): RangePart[] {
    const start = range.from === undefined ? this.#first() : this.#placeOf(range.from)
    const end = range.to === undefined ? this.#last() : this.#placeOf(range.to)
    const total = this.#between(start, end)
    const n = Math.max(1, Math.min(parts, total))
    const out: RangePart[] = []
    const sum = new Uint32Array(4)
    let { leaf: l, at } = start
    let done = 0
    for (let part = 1; part <= n; part++) {
      const target = Math.floor((total * part) / n)
      const first = done
      sum.fill(0)
      while (done < target) {
        const leaf = this.#leaves[l]
        const take = Math.min(leaf.count - at, target - done)
        if (at === 0 && take === leaf.count) add(sum, leaf.sum, 0)
        else for (let i = at; i < at + take; i++) add(sum, leaf.data, i * words + 4)
        done += take
        at += take
        if (at === leaf.count) {
          l++
          at = 0
        }
      }
      const to = part === n ? range.to : this.#boundBefore(l, at)
      out.push({ to, count: target - first, fingerprint: fingerprintOf(sum, target - first) })
    }
    return out
  }

  /** Visits at most `limit` entries of a range in order; key and hash are new arrays. */
  each(
    visit: (key: Uint8Array, hash: Uint8Array) => void,
    range: KeyRange = { from: undefined, to: undefined },
    limit = Number.POSITIVE_INFINITY,
  ): void {
    const end = range.to === undefined ? this.#last() : this.#placeOf(range.to)
    let { leaf: l, at } = range.from === undefined ? this.#first() : this.#placeOf(range.from)
    while (limit > 0 && (l < end.leaf || (l === end.leaf && at < end.at))) {
      const leaf = this.#leaves[l]
      if (at >= leaf.count) {
        l++
        at = 0
        continue
      }
      visit(wordsAt(leaf.data, at * words), wordsAt(leaf.data, at * words + 4))
      limit--
      at++
    }
  }

  #insert(l: number, at: number): void {
    let leaf = this.#leaves[l]
    if (leaf.count === leafEntries) {
      const right = this.#halve(l, at)
      if (at > leaf.count || leaf.count === leafEntries) {
        at -= leaf.count
        leaf = right
      }
    }
    put(leaf, at, this.#probe)
    this.#count++
  }

  /** What ascends leaves full leaves behind; otherwise a leaf is halved. Answers with the new one to its right. */
  #halve(l: number, at: number): Leaf {
    const leaf = this.#leaves[l]
    const keep = at === leafEntries && l === this.#leaves.length - 1 ? leafEntries : leafEntries >> 1
    const right = new Leaf()
    right.data = new Uint32Array(leafEntries * words)
    right.data.set(leaf.data.subarray(keep * words))
    right.count = leafEntries - keep
    leaf.count = keep
    for (let i = 0; i < right.count; i++) {
      add(right.sum, right.data, i * words + 4)
      subtract(leaf.sum, right.data, i * words + 4)
    }
    this.#leaves.splice(l + 1, 0, right)
    return right
  }

  #first(): Place {
    return { leaf: 0, at: 0 }
  }

  #last(): Place {
    const leaf = this.#leaves.length - 1
    return { leaf, at: this.#leaves[leaf].count }
  }

  #placeOf(key: Uint8Array): Place {
    loadWords(this.#probe, 0, key)
    const leaf = this.#leafOf(this.#probe)
    return { leaf, at: lowerBound(this.#leaves[leaf], this.#probe) }
  }

  #between(a: Place, b: Place): number {
    if (a.leaf > b.leaf) return 0
    if (a.leaf === b.leaf) return Math.max(0, b.at - a.at)
    let sum = this.#leaves[a.leaf].count - a.at + b.at
    for (let l = a.leaf + 1; l < b.leaf; l++) sum += this.#leaves[l].count
    return sum
  }

  /** The shortest bound that lies between an entry, not the first, and the one before it. */
  #boundBefore(l: number, at: number): Uint8Array {
    const before = at > 0 ? this.#leaves[l] : this.#leaves[l - 1]
    const key = wordsAt(this.#leaves[l].data, at * words)
    const previous = wordsAt(before.data, (at > 0 ? at - 1 : before.count - 1) * words)
    let i = 0
    while (key[i] === previous[i]) i++
    return key.subarray(0, i + 1)
  }

  /** The last leaf that begins at or before the key; the first when there is none. */
  #leafOf(probe: Uint32Array): number {
    const leaves = this.#leaves
    let low = 0
    let high = leaves.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (compare(leaves[middle], 0, probe) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** Compares the key of an entry with that of a probe. */
function compare(leaf: Leaf, entry: number, probe: Uint32Array): number {
  const { data } = leaf
  const at = entry * words
  for (let i = 0; i < 4; i++) if (data[at + i] !== probe[i]) return data[at + i] - probe[i]
  return 0
}

/** The first entry ≥ the probe's key. */
function lowerBound(leaf: Leaf, probe: Uint32Array): number {
  let low = 0
  let high = leaf.count
  while (low < high) {
    const middle = (low + high) >> 1
    if (compare(leaf, middle, probe) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function put(leaf: Leaf, at: number, probe: Uint32Array): void {
  if (leaf.data.length === leaf.count * words) {
    const grown = new Uint32Array(leaf.data.length * 2)
    grown.set(leaf.data)
    leaf.data = grown
  }
  leaf.data.copyWithin((at + 1) * words, at * words, leaf.count * words)
  leaf.data.set(probe, at * words)
  leaf.count++
  add(leaf.sum, probe, 4)
}

/** sum += the 128 bits at an offset; the most significant word is first. */
function add(sum: Uint32Array, from: Uint32Array, at: number): void {
  let carry = 0
  for (let i = 3; i >= 0; i--) {
    const word = sum[i] + from[at + i] + carry
    sum[i] = word
    carry = word > 0xffffffff ? 1 : 0
  }
}

function subtract(sum: Uint32Array, from: Uint32Array, at: number): void {
  let borrow = 0
  for (let i = 3; i >= 0; i--) {
    const word = sum[i] - from[at + i] - borrow
    sum[i] = word
    borrow = word < 0 ? 1 : 0
  }
}

function loadWords(into: Uint32Array, at: number, bytes: Uint8Array): void {
  if (bytes.length >= 16) {
    for (let i = 0; i < 4; i++) into[at + i] = getU32(bytes, 4 * i)
    return
  }
  into.fill(0, at, at + 4)
  for (let i = 0; i < bytes.length; i++) into[at + (i >> 2)] |= bytes[i] << (24 - 8 * (i & 3))
}

function wordsAt(data: Uint32Array, at: number): Uint8Array {
  const out = new Uint8Array(16)
  for (let i = 0; i < 4; i++) putU32(out, 4 * i, data[at + i])
  return out
}

function fingerprintOf(sum: Uint32Array, count: number): Uint8Array {
  const bytes = new Uint8Array(20)
  bytes.set(wordsAt(sum, 0))
  putU32(bytes, 16, count)
  const fingerprint = new Uint8Array(fingerprintBytes)
  digestInto(bytes, fingerprint, 0, fingerprintBytes)
  return fingerprint
}
