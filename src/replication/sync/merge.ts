/**
 * What becomes of a key when another record of it comes: the join of a grow-only map from key to cell.
 *
 *   cell = the records seen of one key, as a join: a redaction takes all others away; otherwise the record with the
 *          smallest hash stands, and those with another value than it are kept beside it to be looked at
 *
 * Two records of one value that differ in who received it first (the same key and value was appended at two places) are no
 * conflict: the smaller hash stands, the other goes. So cells form a semilattice: joining is idempotent, commutative and
 * associative, and what stands depends on the set of records alone, whatever order they came in. Of very many values those
 * of the smallest hashes are kept, which is a semilattice, too: what is among them anywhere is among them wherever it comes.
 *
 * A value that was refused at one store (record.ts) is kept there among the others, behind all that are events.
 *
 * Shapiro et al., "Conflict-free replicated data types" (2011). Not here: where cells are kept (model/events).
 */
import { digestInto } from './digest.ts'
import { compareBytes, sameBytes } from './key-bytes.ts'
import { type EventRecord, hashBytes, isRedaction, isRefused, readRecord } from './record.ts'

/** Others of one key that are kept; those of greater hashes go. */
export const othersKept = 64

/** A record with its hash. */
export interface Hashed {
  readonly record: Uint8Array
  readonly hash: Uint8Array
}

export interface Cell {
  readonly standing: Hashed
  /** Records of other values, events before refused ones, each by ascending hash; empty when redacted. */
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
  return equalValues(readRecord(a), readRecord(b))
}

function equalValues(a: EventRecord, b: EventRecord): boolean {
  return a.contentType === b.contentType && sameBytes(a.value, b.value)
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
  const values = [readRecord(standing.record)]
  for (const candidate of candidates.toSorted(byRank)) {
    if (out.length === othersKept) break
    const value = readRecord(candidate.record)
    if (values.some((kept) => equalValues(kept, value))) continue
    out.push(candidate)
    values.push(value)
  }
  return out
}

/** The order of others. */
export function byRank(a: Hashed, b: Hashed): number {
  return Number(isRefused(a.record)) - Number(isRefused(b.record)) || compareBytes(a.hash, b.hash)
}

/** Those of a cell's others that travel with it. */
export function travelling({ others }: Cell): readonly Hashed[] {
  return others.filter(({ record }) => !isRefused(record))
}

/** Names all of a cell that travels: two stores with one name for a key have the same of it. */
export function cellHash(cell: Cell): Uint8Array {
  const others = travelling(cell)
  if (others.length === 0) return cell.standing.hash
  const hashes = new Uint8Array(hashBytes * (1 + others.length))
  hashes.set(cell.standing.hash)
  for (let i = 0; i < others.length; i++) hashes.set(others[i].hash, hashBytes * (1 + i))
  const out = new Uint8Array(hashBytes)
  digestInto(hashes, out, 0, hashBytes)
  return out
}
