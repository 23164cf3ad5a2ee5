/**
 * Rows that can be updated and deleted offline: a life, and cells.
 *
 *   life    the newest of INSERT and UPDATE (it lives) and DELETE (it does not), by hybrid timestamp
 *   cells   by column; columns that a CHECK ties together are one register, so that no merge puts together what was
 *           never checked together
 *
 * So an UPDATE that is newer than a DELETE elsewhere brings the row back, whole: cells of a deleted row stay. An INSERT over
 * a deleted row begins anew: it writes every register, and its counters and sets are empty of what was before.
 *
 * Every change gives a delta, a row with nothing but what changed, and the epochs of what has begun anew: what is sent, and
 * joined here and elsewhere.
 *
 * Not here: which columns merge how, rows of tables (model), bytes (cell-codec.ts).
 */
import { assert, DbError, type Timestamp } from '../../base/index.ts'
import {
  addToCounter,
  addToSet,
  type CellSet,
  type CellTime,
  type Counter,
  compareTimes,
  joinMaps,
  joinRowCells,
  noTime,
  type RowCell,
  removeFromSet,
} from './cells.ts'

export interface Life {
  readonly at: CellTime
  readonly alive: boolean
}

export interface CellRow {
  readonly life: Life
  readonly cells: ReadonlyMap<string, RowCell>
}

/** What a statement does to a column. */
export type CellChange =
  | { readonly kind: 'put'; readonly value: Uint8Array }
  | { readonly kind: 'add'; readonly amount: bigint }
  | { readonly kind: 'include'; readonly elements: readonly string[] }
  | { readonly kind: 'exclude'; readonly elements: readonly string[] }

export function joinRows(a: CellRow, b: CellRow): CellRow {
  return { life: joinLives(a.life, b.life), cells: joinMaps(a.cells, b.cells, joinRowCells) }
}

function joinLives(a: Life, b: Life): Life {
  const order = compareTimes(a.at, b.at)
  // One time has one life, unless an origin breaks its word; then all places agree still.
  return order > 0 || (order === 0 && a.alive) ? a : b
}

/**
 * The delta of an INSERT of every column. @param before what is here of the row: nothing, or a deleted one. @param at later
 * than everything in it, as in all of these.
 */
export function insertRow(
  before: CellRow | undefined,
  columns: ReadonlyMap<string, CellChange>,
  at: CellTime,
): CellRow {
  assert(before === undefined || !before.life.alive, 'an INSERT meets no living row')
  later(before, at)
  const epoch = before === undefined ? noTime : at
  const cells = new Map<string, RowCell>()
  for (const [column, change] of columns) cells.set(column, changed(fresh(change, epoch), change, at))
  return { life: { at, alive: true }, cells }
}

/** The delta of an UPDATE. */
export function updateRow(before: CellRow, columns: ReadonlyMap<string, CellChange>, at: CellTime): CellRow {
  assert(before.life.alive, 'an UPDATE meets a living row')
  later(before, at)
  const cells = epochsOf(before)
  // A column that was added to the table later has no cell in the row: it begins with the first epoch everywhere.
  for (const [column, change] of columns) {
    cells.set(column, changed(before.cells.get(column) ?? fresh(change, noTime), change, at))
  }
  return { life: { at, alive: true }, cells }
}

/** The delta of a DELETE. */
export function deleteRow(before: CellRow, at: CellTime): CellRow {
  assert(before.life.alive, 'a DELETE meets a living row')
  later(before, at)
  return { life: { at, alive: false }, cells: epochsOf(before) }
}

/**
 * The counters and sets of a row that began anew, as they were when it did: empty. Who hears of a change to the row and of
 * nothing before it must not go on with what there was in an older epoch.
 */
function epochsOf({ cells }: CellRow): Map<string, RowCell> {
  const out = new Map<string, RowCell>()
  for (const [column, cell] of cells) {
    if (cell.kind === 'register' || compareTimes(cell.epoch, noTime) === 0) continue
    const { epoch } = cell
    out.set(
      column,
      cell.kind === 'counter'
        ? { kind: 'counter', epoch, counts: new Map() }
        : { kind: 'set', epoch, elements: new Map() },
    )
  }
  return out
}

function later(before: CellRow | undefined, at: CellTime): void {
  assert(before === undefined || at.timestamp > newestTimestamp(before), 'what is written is later than what was seen')
}

function fresh(change: CellChange, epoch: CellTime): Counter | CellSet | undefined {
  if (change.kind === 'put') return undefined
  return change.kind === 'add'
    ? { kind: 'counter', epoch, counts: new Map() }
    : { kind: 'set', epoch, elements: new Map() }
}

function changed(cell: RowCell | undefined, change: CellChange, at: CellTime): RowCell {
  switch (change.kind) {
    case 'put':
      return { kind: 'register', at, value: change.value }
    case 'add':
      return addToCounter(cell as Counter, change.amount, at.origin)
    case 'include':
      return addToSet(cell as CellSet, change.elements, at)
    case 'exclude':
      return removeFromSet(cell as CellSet, change.elements)
  }
}

/** Of all that is in a row. */
export function newestTimestamp({ life, cells }: CellRow): Timestamp {
  let newest = life.at.timestamp
  for (const cell of cells.values()) {
    const time = cell.kind === 'register' ? cell.at : cell.epoch
    if (time.timestamp > newest) newest = time.timestamp
    if (cell.kind !== 'set') continue
    for (const presences of cell.elements.values()) {
      for (const { added, removed } of presences.values()) newest = Math.max(newest, added, removed)
    }
  }
  return newest
}

/**
 * Refuses what others wrote with a clock too far ahead: it would win over everything until then. Nothing of it is joined.
 * Errors: clock_skewed.
 */
export function refuseSkewed(row: CellRow, nowMicros: Timestamp, maxSkewMicros: number): void {
  const ahead = newestTimestamp(row) - nowMicros
  if (ahead <= maxSkewMicros) return
  throw new DbError('clock_skewed', `a row was written ${Math.ceil(ahead / 1e6)} s ahead of the clock here`, {
    hint: 'Set the clocks right at both places; the row is taken when its time is no longer ahead.',
  })
}
