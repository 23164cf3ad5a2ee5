/**
 * Comparing keys where they lie: four bytes at a time through a DataView, no views cut out, nothing allocated.
 *
 * Not here: keys as values of their own (../key-order.ts).
 */
import { assert } from '../../base/index.ts'
import { maxKeyBytes } from '../key-order.ts'

/** Negative, zero or positive as a's key sorts before, with or after b's. Both are known to agree up to `from`. */
export function compareAt(
  a: DataView,
  aStart: number,
  aLength: number,
  b: DataView,
  bStart: number,
  bLength: number,
  from: number = 0,
): number {
  const common = aLength < bLength ? aLength : bLength
  let i = from
  for (; i + 4 <= common; i += 4) {
    const x = a.getUint32(aStart + i)
    const y = b.getUint32(bStart + i)
    if (x !== y) return x < y ? -1 : 1
  }
  for (; i < common; i++) {
    const difference = a.getUint8(aStart + i) - b.getUint8(bStart + i)
    if (difference !== 0) return difference
  }
  return aLength - bLength
}

/** How many leading bytes two keys share. */
export function commonPrefix(
  a: DataView,
  aStart: number,
  aLength: number,
  b: DataView,
  bStart: number,
  bLength: number,
): number {
  const common = aLength < bLength ? aLength : bLength
  let i = 0
  while (i + 4 <= common && a.getUint32(aStart + i) === b.getUint32(bStart + i)) i += 4
  while (i < common && a.getUint8(aStart + i) === b.getUint8(bStart + i)) i++
  return i
}

/** The four bytes of a key behind a prefix as a number, padded with zeros: keys with different words sort as these do. */
export function keyWord(view: DataView, start: number, length: number, prefix: number): number {
  const left = length - prefix
  if (left >= 4) return view.getUint32(start + prefix)
  let word = 0
  for (let i = 0; i < 4; i++) word = (word << 8) | (i < left ? view.getUint8(start + prefix + i) : 0)
  return word >>> 0
}

/** A key to look for, copied once to where it can be compared quickly; one instance serves many searches. */
export class SearchKey {
  readonly bytes: Uint8Array
  readonly view: DataView
  length = 0

  constructor(capacity: number = maxKeyBytes + 8) {
    this.bytes = new Uint8Array(capacity)
    this.view = new DataView(this.bytes.buffer)
  }

  set(key: Uint8Array): void {
    this.setRange(key, 0, key.length)
  }

  setRange(from: Uint8Array, start: number, length: number): void {
    const { bytes } = this
    assert(length <= maxKeyBytes + 1, 'a key has at most 8 KiB')
    if (length <= 64) for (let i = 0; i < length; i++) bytes[i] = from[start + i]
    else bytes.set(from.subarray(start, start + length))
    this.length = length
  }
}

/** A key that is compared with often: its bytes seen through a DataView. */
export interface BoundView {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly length: number
}

export function boundView(key: Uint8Array): BoundView {
  const own = new Uint8Array(key)
  return { bytes: own, view: new DataView(own.buffer), length: own.length }
}
