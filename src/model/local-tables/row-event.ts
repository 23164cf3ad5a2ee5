/**
 * What one statement did to one row of a table that merges, as an event: a delta of cells (replication/sync/cell-row.ts).
 *
 *   {"$row":"7f…","$cells":"AQAG…"}     which row (its primary key as text), and the delta's bytes in base64
 *
 *   cells     "r:a,b"  register: a JSON object of the columns that it is of     "c:votes" counter     "s:tags" set of JSON texts
 *
 * The name says the kind, so that a column whose way to merge was changed has another cell. docs/formats/local-tables.md.
 *
 * Not here: the rows that deltas add up to (rows-view.ts), SQL.
 */
import { DbError } from '../../base/index.ts'
import {
  type CellRow,
  decodeCellRow,
  encodeCellRow,
  newestTimestamp,
  type RowCell,
} from '../../replication/sync/index.ts'

export interface RowEvent {
  readonly $row: string
  readonly $cells: string
}

/**
 * How much later than its event a cell may say that it was written. Microseconds. Clocks of one node differ by less; more is
 * a clock that lies, whose cells would win until then.
 */
export const cellToleranceMicros = 1_000_000

/** Characters of a row's key. */
export const longestRowKey = 340

const prefixes = { register: 'r:', counter: 'c:', set: 's:' } as const

export function cellName(kind: keyof typeof prefixes, columns: readonly string[]): string {
  return prefixes[kind] + columns.join(',')
}

export function rowEvent(row: string, delta: CellRow): RowEvent {
  return { $row: row, $cells: toBase64(encodeCellRow(delta)) }
}

/** Undefined when the value is no such event, or says that it was written later than it was received first. */
export function readRowEvent(value: unknown, timestamp: number): { row: string; delta: CellRow } | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { $row: row, $cells: cells } = value as Partial<RowEvent>
  if (typeof row !== 'string' || row.length > longestRowKey || typeof cells !== 'string') return undefined
  const delta = readCells(cells)
  if (delta === undefined || newestTimestamp(delta) > timestamp + cellToleranceMicros) return undefined
  return { row, delta }
}

const decoder = new TextDecoder()

function readCells(text: string): CellRow | undefined {
  try {
    const row = decodeCellRow(fromBase64(text))
    for (const [name, cell] of row.cells) if (!name.startsWith(prefixes[cell.kind]) || !isWhole(cell)) return undefined
    return row
  } catch (error) {
    // Anybody may put anything into an event database: what is no delta changes no row.
    if (error instanceof DbError || error instanceof SyntaxError || error instanceof DOMException) return undefined
    throw error
  }
}

/** Raises SyntaxError where there is no JSON. */
function isWhole(cell: RowCell): boolean {
  if (cell.kind === 'set') for (const element of cell.elements.keys()) JSON.parse(element)
  if (cell.kind !== 'register') return true
  const value: unknown = JSON.parse(decoder.decode(cell.value))
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function toBase64(bytes: Uint8Array): string {
  let binary = ''
  for (const byte of bytes) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** Raises a DOMException for what is no base64. */
export function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0))
}
