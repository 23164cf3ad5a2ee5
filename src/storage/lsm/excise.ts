/**
 * Takes spans out of levels, and finds the level where something else fits in: what an edit that moves whole spans does.
 *
 *   table     [─────────────)  [─────)      [──────)
 *   excised        [───)         [────────────────────)
 *   left      [────)   [────)  [─)
 *
 * Not here: making the edit (lsm-engine.ts).
 */
import type { Span } from '../engine.ts'
import { compareKeys } from '../key-order.ts'
import { overlapping } from './compaction/pick.ts'
import type { TableChange } from './manifest.ts'
import type { TableMeta } from './table-meta.ts'

/** What is left of levels, and how it differs from what was. */
export interface Excision {
  readonly levels: readonly (readonly TableMeta[])[]
  readonly removed: TableChange[]
  readonly added: TableChange[]
}

/** Narrows, splits or removes the tables that the spans overlap. A table that none overlaps stays the same object. */
export function excise(levels: readonly (readonly TableMeta[])[], spans: readonly Span[]): Excision {
  const removed: TableChange[] = []
  const added: TableChange[] = []
  const left = levels.map((tables, level) => {
    return tables.flatMap((meta) => {
      let parts = [meta]
      for (const span of spans) parts = parts.flatMap((part) => without(part, span))
      if (parts.length === 1 && parts[0] === meta) return parts
      removed.push({ level, meta })
      for (const part of parts) added.push({ level, meta: part })
      return parts
    })
  })
  return { levels: left, removed, added }
}

/** What of a table lies outside a span: itself, or its parts on either side. */
function without(meta: TableMeta, { start, end }: Span): TableMeta[] {
  const before = compareKeys(meta.start, start) < 0
  const behind = end !== undefined && compareKeys(meta.end, end) > 0
  const empty = end !== undefined && compareKeys(start, end) >= 0
  const apart = compareKeys(meta.end, start) <= 0 || (end !== undefined && compareKeys(meta.start, end) >= 0)
  if (empty || apart) return [meta]
  const parts: TableMeta[] = []
  if (before) parts.push({ ...meta, end: Uint8Array.from(start) })
  if (behind) parts.push({ ...meta, start: Uint8Array.from(end) })
  return parts
}

/** The deepest level that a table can be put into: nothing at it or above overlaps. */
export function deepestFree(levels: readonly (readonly TableMeta[])[], table: TableMeta): number {
  const overlaps = ({ start, end }: TableMeta) => compareKeys(end, table.start) > 0 && compareKeys(start, table.end) < 0
  if (levels[0].some(overlaps)) return 0
  let level = 1
  while (level < levels.length && overlapping(levels[level], [table]).length === 0) level++
  return level - 1
}
