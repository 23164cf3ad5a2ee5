/**
 * What statements do to a row that merges, before it is known when and over what: a transaction's steps become a delta only
 * at its commit, one commit of a table after the other, so that no two count on from the same counter.
 *
 * Not here: the delta as an event (row-event.ts), which columns changed how (sql/local).
 */
import {
  type CellChange,
  type CellRow,
  type CellTime,
  deleteRow,
  insertRow,
  joinRows,
  updateRow,
} from '../../replication/sync/index.ts'

export type RowStep =
  | { readonly kind: 'insert'; readonly cells: ReadonlyMap<string, CellChange> }
  /** One after the other: a set may get elements and lose others. */
  | { readonly kind: 'update'; readonly changes: readonly ReadonlyMap<string, CellChange>[] }
  | { readonly kind: 'delete' }

/**
 * The delta of steps over what is here of the row; undefined when they do nothing. A row that was deleted here since an
 * UPDATE saw it is updated as if it had been elsewhere: it comes back. `taken` when an INSERT meets a living row.
 *
 * @param time a later time at each call, later than all that is in the row
 */
export function deltaOf(
  before: CellRow | undefined,
  steps: readonly RowStep[],
  time: () => CellTime,
): CellRow | 'taken' | undefined {
  let state = before
  let delta: CellRow | undefined
  const apply = (change: CellRow) => {
    state = state === undefined ? change : joinRows(state, change)
    delta = delta === undefined ? change : joinRows(delta, change)
  }
  for (const step of steps) {
    if (step.kind === 'insert') {
      if (state?.life.alive) return 'taken'
      apply(insertRow(state, step.cells, time()))
    } else if (state === undefined) continue
    else if (step.kind === 'delete') {
      if (state.life.alive) apply(deleteRow(state, time()))
    } else for (const change of step.changes) apply(updateRow(living(state), change, time()))
  }
  return delta
}

function living(row: CellRow): CellRow {
  return row.life.alive ? row : { ...row, life: { ...row.life, alive: true } }
}
