/**
 * The rows of a local table or continuous view, page by page, or those of some keys.
 *
 * Not here: what the transaction itself has written (local-scan.ts), values of columns (row-json.ts).
 */
import type { StoredEvent } from '../../model/events/index.ts'
import type { Views } from '../../model/events/views/index.ts'
import { type RowAnswer, rowsViewName } from '../../model/local-tables/rows-view.ts'
import type { OpenTable } from './local-tables.ts'
import type { RowText } from './row-json.ts'

export interface FoundRow {
  readonly key: string
  readonly row: RowText
}

/** Undefined after the last page; a page may be empty. */
export type RowPages = () => Promise<FoundRow[] | undefined>

const pageRows = 1_000
/** Of events that are read by their keys at once. */
const pageBytes = 4 << 20

/** Events up to a position. One that is erased is no row. */
export function eventPages({ store }: OpenTable, bound: number | undefined): RowPages {
  const upTo = bound ?? store.position
  let after = 0
  return async () => {
    if (after >= upTo) return undefined
    const { events, next } = await store.changes(after, pageRows)
    if (next === after) return undefined
    after = next
    return rowsOf(events, upTo)
  }
}

export function eventsByKey({ store }: OpenTable, keys: readonly string[], bound: number | undefined): RowPages {
  const upTo = bound ?? store.position
  let done = 0
  return async () => {
    if (done >= keys.length) return undefined
    const events = await store.get(keys.slice(done, done + pageRows), pageBytes)
    done += events.length
    return rowsOf(events, upTo)
  }
}

function rowsOf(events: readonly (StoredEvent | undefined)[], upTo: number): FoundRow[] {
  const out: FoundRow[] = []
  for (const e of events) {
    if (e !== undefined && !e.redacted && e.position <= upTo) out.push({ key: e.key, row: e.value })
  }
  return out
}

/** Groups of a continuous view. */
export function groupPages({ views }: OpenTable, view: string, bound: number | undefined): RowPages {
  return entryPages(views, view, bound, (key, value) => [{ key, row: value as Record<string, unknown> }])
}

/** Rows of a merging table, those that live. */
export function mergedPages({ views }: OpenTable, bound: number | undefined): RowPages {
  return entryPages(views, rowsViewName, bound, living)
}

function entryPages(
  views: Views,
  name: string,
  bound: number | undefined,
  rows: (key: string, value: unknown) => FoundRow[],
): RowPages {
  const asOf = bound === undefined ? undefined : { position: bound }
  let behind: string | undefined
  let ended = false
  return async () => {
    if (ended) return undefined
    const found = await views.entries(name, { behind, limit: pageRows, asOf })
    if (found.length < pageRows) ended = true
    behind = found.at(-1)?.key
    return found.flatMap(({ key, value }) => rows(key, value))
  }
}

export function mergedByKey({ views }: OpenTable, keys: readonly string[], bound: number | undefined): RowPages {
  const read = (key: string) =>
    bound === undefined ? views.get(rowsViewName, key) : views.asOf(rowsViewName, { position: bound }, key)
  return once(async () => (await Promise.all(keys.map(async (key) => living(key, await read(key))))).flat())
}

function living(key: string, answer: unknown): FoundRow[] {
  const row = (answer as RowAnswer | undefined)?.row
  return row === null || row === undefined ? [] : [{ key, row }]
}

function once(read: () => Promise<FoundRow[]>): RowPages {
  let done = false
  return async () => {
    if (done) return undefined
    done = true
    return read()
  }
}
