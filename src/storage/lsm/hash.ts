/**
 * The hash of a user key for bloom filters, and the filter: cache lines of 64 bytes (Putze, Sanders, Singler: "Cache-,
 * Hash- and Space-Efficient Bloom Filters", 2007). All probes of a key hit one line.
 *
 *   line  = high part of h × lines        bits = 6 × 9 bits out of a second mixing of h
 *
 * Not here: when a filter is asked.
 */
const probes = 6
export const bitsPerKey = 10
export const lineBytes = 64

/** A 32-bit hash of a key; the words are mixed as in MurmurHash3. */
export function hashKey(view: DataView, start: number, length: number): number {
  let h = 0x2f0b4a97 ^ length
  let i = 0
  for (; i + 4 <= length; i += 4) {
    let k = Math.imul(view.getUint32(start + i, true), 0xcc9e2d51)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, 0x1b873593)
    h = (h << 13) | (h >>> 19)
    h = (Math.imul(h, 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (; i < length; i++) tail = (tail << 8) | view.getUint8(start + i)
  h ^= Math.imul(tail, 0x85ebca6b)
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

export function filterBytes(keys: number): number {
  return Math.max(1, Math.ceil((keys * bitsPerKey) / (lineBytes * 8))) * lineBytes
}

export function addToFilter(filter: Uint8Array, hash: number): void {
  const line = lineOf(hash, filter.length / lineBytes)
  let bits = remix(hash)
  for (let i = 0; i < probes; i++) {
    const bit = bits & 511
    filter[line + (bit >>> 3)] |= 1 << (bit & 7)
    bits = nextBits(bits)
  }
}

/** False when the key is certainly not in the table. */
export function filterHas(filter: Uint8Array, hash: number): boolean {
  const line = lineOf(hash, filter.length / lineBytes)
  let bits = remix(hash)
  for (let i = 0; i < probes; i++) {
    const bit = bits & 511
    if ((filter[line + (bit >>> 3)] & (1 << (bit & 7))) === 0) return false
    bits = nextBits(bits)
  }
  return true
}

function lineOf(hash: number, lines: number): number {
  return Math.floor((hash / 0x1_0000_0000) * lines) * lineBytes
}

function remix(hash: number): number {
  const h = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d)
  return h ^ (h >>> 12)
}

function nextBits(bits: number): number {
  const h = Math.imul(bits, 0x9e3779b1)
  return h ^ (h >>> 15)
}
