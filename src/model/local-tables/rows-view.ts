/**
 * The rows of a table that merges: a view of its events, by row key, which joins their deltas. Joins are the same in any
 * order, so what comes late needs no folding again.
 *
 *   answer   {"row": {"title": "milk", "votes": 3, "tags": ["a"]} or null when it is deleted, "cells": base64 of all its cells}
 *
 * Counters are numbers while they are safe integers, else strings of digits.
 *
 * Not here: column types (sql/local).
 */
import {
  type CellRow,
  compareTimes,
  counterValue,
  decodeCellRow,
  encodeCellRow,
  joinRows,
  setValue,
} from '../../replication/sync/index.ts'
import { type View, view } from '../events/views/view.ts'
import { fromBase64, readRowEvent, toBase64 } from './row-event.ts'

export const rowsViewName = 'rows'

export interface RowAnswer {
  readonly row: Readonly<Record<string, unknown>> | null
  readonly cells: string
}

interface State {
  cells: string
}

const decoder = new TextDecoder()

export function rowsView(): View<State, RowAnswer> {
  return view<unknown>()<State, RowAnswer>({
    name: rowsViewName,
    version: 1,
    commutative: true,
    initial: () => ({ cells: '' }),
    key: (event) => readRowEvent(jsonOf(event), event.timestamp)?.row,
    reduce: (state, event) => {
      const { delta } = readRowEvent(jsonOf(event), event.timestamp)!
      const joined = state.cells === '' ? delta : joinRows(stateCells(state), delta)
      return { cells: toBase64(encodeCellRow(joined)) }
    },
    result: (state) => ({ row: rowOf(stateCells(state)), cells: state.cells }),
  })
}

export function stateCells({ cells }: { readonly cells: string }): CellRow {
  return decodeCellRow(fromBase64(cells))
}

/** What the cells say, by column; null when the row is deleted. */
export function rowOf({ life, cells }: CellRow): Record<string, unknown> | null {
  if (!life.alive) return null
  const row: Record<string, unknown> = Object.create(null)
  // A column may have been in other registers before: when a CHECK that tied it to others was dropped.
  const registers = [...cells.values()].filter((cell) => cell.kind === 'register')
  for (const { value } of registers.sort((a, b) => compareTimes(a.at, b.at))) {
    Object.assign(row, JSON.parse(decoder.decode(value)))
  }
  for (const [name, cell] of cells) {
    switch (cell.kind) {
      case 'counter': {
        const value = counterValue(cell)
        row[name.slice(2)] = Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
        break
      }
      case 'set':
        row[name.slice(2)] = setValue(cell).map((element) => JSON.parse(element))
    }
  }
  return { ...row }
}

/** An event that is not JSON concerns no row. */
function jsonOf(event: { readonly value: unknown }): unknown {
  try {
    return event.value
  } catch {
    return undefined
  }
}
