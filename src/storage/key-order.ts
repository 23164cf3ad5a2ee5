/**
 * The order of keys: byte strings compared as unsigned bytes, a prefix before what it begins.
 *
 * Not here: the packed comparisons of the LSM's hot loops (lsm/).
 */
import { assert } from '../base/index.ts'
import type { Span } from './engine.ts'

/** Longest key that an engine takes. Bytes. */
export const maxKeyBytes = 8192

/** Negative, zero or positive, as a sorts before, with or after b. */
export function compareKeys(a: Uint8Array, b: Uint8Array): number {
  const length = a.length < b.length ? a.length : b.length
  for (let i = 0; i < length; i++) {
    const difference = a[i] - b[i]
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

export function inSpan(span: Span, key: Uint8Array): boolean {
  return compareKeys(key, span.start) >= 0 && (span.end === undefined || compareKeys(key, span.end) < 0)
}

export function checkKeyLength(length: number): void {
  // The text is made only when it is needed: this is on the path of every write.
  if (length > maxKeyBytes) assert(false, `a key of ${length} bytes is above the limit of ${maxKeyBytes}`)
}
