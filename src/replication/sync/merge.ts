/**
 * What becomes of a key when another record of it comes: the join of a grow-only map from key to cell.
 *
 *   cell = the records seen of one key, as a join: a redaction takes all others away; otherwise the record with the
 *          smallest hash stands, and those with another value than it are kept beside it to be looked at
 *
 * Two records of one value that differ in who received it first (the same key and value was appended at two places) are no
 * conflict: the smaller hash stands, the other goes. So cells form a semilattice: joining is idempotent, commutative and
 * associative, and what stands depends on the set of records alone, whatever order they came in.
 *
 * Shapiro et al., "Conflict-free replicated data types" (2011). Not here: where cells are kept (model/events).
 */
import { compareBytes, sameBytes } from './key-bytes.ts'
import { isRedaction, readRecord } from './record.ts'

/** A record with its hash. */
export interface Hashed {
  readonly record: Uint8Array
  readonly hash: Uint8Array
}

export interface Cell {
  readonly standing: Hashed
  /** Records of other values, by ascending hash; empty when redacted. */
  readonly others: readonly Hashed[]
}

/** True when `b` takes the place of `a`: both are records of one key. */
export function supersedes(b: Hashed, a: Hashed): boolean {
  if (isRedaction(a.record)) return false
  return isRedaction(b.record) || compareBytes(b.hash, a.hash) < 0
}

/** Same content type and bytes. A redaction has no value and equals only redactions. */
export function sameValue(a: Uint8Array, b: Uint8Array): boolean {
  if (isRedaction(a) || isRedaction(b)) return isRedaction(a) && isRedaction(b)
  const x = readRecord(a)
  const y = readRecord(b)
  return x.contentType === y.contentType && sameBytes(x.value, y.value)
}

export function cellOf(hashed: Hashed): Cell {
  return { standing: hashed, others: [] }
}

export function joinCells(a: Cell, b: Cell): Cell {
  const standing = supersedes(b.standing, a.standing) ? b.standing : a.standing
  if (isRedaction(standing.record)) return cellOf(standing)
  return { standing, others: othersOf(standing, [...a.others, ...b.others, a.standing, b.standing]) }
}

/** One record of each value that is not the standing one's: that with the smallest hash, as for the standing one. */
function othersOf(standing: Hashed, candidates: readonly Hashed[]): Hashed[] {
  const out: Hashed[] = []
  for (const candidate of candidates.toSorted((x, y) => compareBytes(x.hash, y.hash))) {
    if (sameValue(candidate.record, standing.record)) continue
    if (!out.some((kept) => sameValue(kept.record, candidate.record))) out.push(candidate)
  }
  return out
}
