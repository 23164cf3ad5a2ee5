/**
 * Cells of rows that are changed at many places at once and merge: the join of whatever came of a cell is its state.
 *
 *   register   the value that was written last, by hybrid timestamp; of two at one timestamp that of the greater origin
 *   counter    what each origin has added and taken away, all together
 *   set        elements; one that is added at one place while another takes it away stays (add wins: who removes, removes
 *              the additions that it has seen, and no other)
 *
 * A counter and a set begin anew, empty, when a row that was deleted is inserted again: an epoch, named by the time of that
 * insert. Of two epochs the later one is the cell. Rows inserted for the first time at several places share the first
 * epoch: their counters are added up, their sets united.
 *
 * Joins are idempotent, commutative and associative, so a delta (a cell with nothing but what changed) joins like a state.
 *
 * Shapiro et al., "A comprehensive study of convergent and commutative replicated data types" (2011); Almeida et al., "Delta
 * state replicated data types" (2018). Not here: rows (cell-row.ts), bytes (cell-codec.ts), columns and SQL.
 */
import { assert, type Timestamp } from '../../base/index.ts'
import { compareBytes } from './key-bytes.ts'

/** When and where something was written. No origin gives a timestamp out twice. */
export interface CellTime {
  readonly timestamp: Timestamp
  readonly origin: string
}

/** Before all times; the epoch of first inserts. */
export const noTime: CellTime = { timestamp: 0, origin: '' }

export interface Register {
  readonly kind: 'register'
  readonly at: CellTime
  readonly value: Uint8Array
}

/** What one origin has added and taken away: both only grow, and only it changes them. */
export interface Count {
  readonly plus: bigint
  readonly minus: bigint
}

export interface Counter {
  readonly kind: 'counter'
  readonly epoch: CellTime
  readonly counts: ReadonlyMap<string, Count>
}

/** Of one element and origin: its newest addition, and the newest of its additions that anybody removed; 0 for none. */
export interface Presence {
  readonly added: Timestamp
  readonly removed: Timestamp
}

export interface CellSet {
  readonly kind: 'set'
  readonly epoch: CellTime
  /** By element (a text that is the same for equal elements), then by origin. */
  readonly elements: ReadonlyMap<string, ReadonlyMap<string, Presence>>
}

export type RowCell = Register | Counter | CellSet

export function compareTimes(a: CellTime, b: CellTime): number {
  if (a.timestamp !== b.timestamp) return a.timestamp - b.timestamp
  return a.origin < b.origin ? -1 : a.origin > b.origin ? 1 : 0
}

/** Both are of one kind: it belongs to the column. */
export function joinRowCells(a: RowCell, b: RowCell): RowCell {
  if (a.kind === 'register' && b.kind === 'register') return joinRegisters(a, b)
  assert(a.kind === b.kind && a.kind !== 'register' && b.kind !== 'register', 'a column has cells of one kind')
  const order = compareTimes(a.epoch, b.epoch)
  if (order !== 0) return order > 0 ? a : b
  if (a.kind === 'counter') return { ...a, counts: joinMaps(a.counts, (b as Counter).counts, joinCounts) }
  const joinElement = (x: ReadonlyMap<string, Presence>, y: ReadonlyMap<string, Presence>) =>
    joinMaps(x, y, joinPresences)
  return { ...a, elements: joinMaps(a.elements, (b as CellSet).elements, joinElement) }
}

function joinRegisters(a: Register, b: Register): Register {
  const order = compareTimes(a.at, b.at)
  // One time has one value, unless an origin breaks its word; then all places agree still.
  return order > 0 || (order === 0 && compareBytes(a.value, b.value) >= 0) ? a : b
}

function joinCounts(a: Count, b: Count): Count {
  return { plus: a.plus > b.plus ? a.plus : b.plus, minus: a.minus > b.minus ? a.minus : b.minus }
}

function joinPresences(a: Presence, b: Presence): Presence {
  return { added: Math.max(a.added, b.added), removed: Math.max(a.removed, b.removed) }
}

export function joinMaps<V>(a: ReadonlyMap<string, V>, b: ReadonlyMap<string, V>, join: (a: V, b: V) => V) {
  const out = new Map(a)
  for (const [key, value] of b) {
    const there = out.get(key)
    out.set(key, there === undefined ? value : join(there, value))
  }
  return out
}

export function counterValue({ counts }: Counter): bigint {
  let sum = 0n
  for (const { plus, minus } of counts.values()) sum += plus - minus
  return sum
}

/** The elements, ascending. */
export function setValue({ elements }: CellSet): string[] {
  const out: string[] = []
  for (const [element, presences] of elements) {
    for (const { added, removed } of presences.values()) {
      if (added <= removed) continue
      out.push(element)
      break
    }
  }
  return out.sort((a, b) => (a < b ? -1 : 1))
}

/** The delta of adding an amount, which may be negative. @param counter as it is at this origin. */
export function addToCounter(counter: Counter, amount: bigint, origin: string): Counter {
  const { plus, minus } = counter.counts.get(origin) ?? { plus: 0n, minus: 0n }
  const count = amount < 0n ? { plus, minus: minus - amount } : { plus: plus + amount, minus }
  return { ...counter, counts: new Map([[origin, count]]) }
}

/** The delta of adding elements. @param at later than everything that this origin has written. */
export function addToSet(set: CellSet, elements: readonly string[], at: CellTime): CellSet {
  const presence = new Map([[at.origin, { added: at.timestamp, removed: 0 }]])
  return { ...set, elements: new Map(elements.map((e) => [e, presence])) }
}

/** The delta of removing elements: their additions that are seen here. Elements that are not there stay out of it. */
export function removeFromSet(set: CellSet, elements: readonly string[]): CellSet {
  const out = new Map<string, ReadonlyMap<string, Presence>>()
  for (const element of elements) {
    const seen = [...(set.elements.get(element) ?? [])].filter(([, { added, removed }]) => added > removed)
    if (seen.length === 0) continue
    out.set(element, new Map(seen.map(([origin, { added }]) => [origin, { added, removed: added }])))
  }
  return { ...set, elements: out }
}
