/**
 * A version: which tables make up the store at one moment. Immutable; the engine installs a new one after each manifest
 * edit, and a cursor keeps the one it began with, and so its files, alive.
 *
 *   level 0     tables of flushes, newest first, ranges may overlap
 *   level 1 …   tables in key order, ranges disjoint, each level about ten times the one above
 *
 * Not here: how versions follow each other (manifest.ts, table-set.ts).
 */
import type { Span } from '../engine.ts'
import { compareKeys } from '../key-order.ts'
import type { LevelTable } from './level-table.ts'

export const levelCount = 7

export class Version {
  readonly levels: readonly (readonly LevelTable[])[]
  #references = 1

  /** Takes a reference to each table's file. */
  constructor(levels: readonly (readonly LevelTable[])[]) {
    this.levels = levels
    for (const tables of levels) for (const { file } of tables) file.references++
  }

  retain(): void {
    this.#references++
  }

  release(): void {
    this.#references--
    if (this.#references > 0) return
    for (const tables of this.levels) for (const { file } of tables) file.release()
  }

  /** The tables of a level that overlap a span, in order. */
  overlapping(level: number, span: Span): LevelTable[] {
    return this.levels[level].filter((table) => table.overlaps(span))
  }
}

/** Sorts a level's tables as the level demands. */
export function sortLevel(level: number, tables: LevelTable[]): LevelTable[] {
  if (level === 0) return tables.sort((a, b) => b.meta.age - a.meta.age || compareKeys(a.meta.start, b.meta.start))
  return tables.sort((a, b) => compareKeys(a.meta.start, b.meta.start))
}
