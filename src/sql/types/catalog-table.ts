/**
 * A system catalog's built-in rows, as tools/catalog-data.ts wrote them: one tab-separated line a row, `\N` for null.
 * Columns are found by name once, cells are cut out when the rows are read.
 *
 * Not here: which tables there are (each reader imports its own file of src/sql/catalog/data).
 */
import { assert } from '../../base/index.ts'

export interface CatalogFile {
  readonly columns: readonly string[]
  readonly rows: readonly string[]
}

/** Positions of the columns asked for, in that order. */
export function columnPositions(file: CatalogFile, names: readonly string[]): number[] {
  return names.map((name) => {
    const position = file.columns.indexOf(name)
    assert(position >= 0, `the catalog file has no column ${name}`)
    return position
  })
}

/** The cells of a row, unescaped; null for SQL's null. */
export function catalogCells(row: string): (string | null)[] {
  const cells: (string | null)[] = row.split('\t')
  for (let i = 0; i < cells.length; i++) {
    const cell = cells[i]!
    if (cell === '\\N') cells[i] = null
    else if (cell.includes('\\')) cells[i] = cell.replace(/\\([\\nrt])/g, (_, c: string) => escapes[c])
  }
  return cells
}

const escapes: Record<string, string> = { '\\': '\\', n: '\n', r: '\r', t: '\t' }

/** "23 25 1009" as numbers; none for an empty or null cell. */
export function oidList(cell: string | null): number[] {
  return cell === null || cell === '' ? [] : cell.split(' ').map(Number)
}
