/**
 * Chooses what to compact next. A pure function of the levels' tables, so that a golden script can show its choices.
 *
 *   level 0     tables of flushes: from `level0Tables` of them on they are merged into level 1
 *   level n     above baseBytes × 10^(n−1): one table, and what it overlaps in level n + 1
 *   garbage     a table of which much can be collected: rewritten, downwards as long as something lies beneath it
 *
 * A table that overlaps nothing in the next level moves there without being rewritten.
 *
 * Not here: doing it (run.ts), the format of the result (lsm-options.ts).
 */
import type { Timestamp } from '../../../base/index.ts'
import { compareKeys } from '../../key-order.ts'
import type { TableMeta } from '../table-meta.ts'

export interface PickRules {
  readonly level0Tables: number
  readonly baseBytes: number
  /** Share of a table's entries that must be collectable candidates before it is rewritten for their sake. */
  readonly garbageShare: number
}

export interface Pick {
  readonly level: number
  readonly outputLevel: number
  /** Tables of `level`, as the level orders them. */
  readonly upper: readonly TableMeta[]
  /** Tables of `outputLevel` that overlap them; none when a level is rewritten in place. */
  readonly lower: readonly TableMeta[]
  /** The upper tables change level as they are. */
  readonly move: boolean
}

type Levels = readonly (readonly TableMeta[])[]

/** Bytes that a level may have before it is compacted into the next. */
export function levelLimit(level: number, rules: PickRules): number {
  return rules.baseBytes * 10 ** (level - 1)
}

export function pickCompaction(levels: Levels, collected: Timestamp, rules: PickRules): Pick | undefined {
  let best = 0
  let bestScore = 1
  for (let level = 0; level < levels.length - 1; level++) {
    const score = levelScore(levels, level, rules)
    if (score >= bestScore && (score > bestScore || best === 0)) {
      best = level
      bestScore = score
      if (level === 0) break // reads pay for every table of level 0
    }
  }
  if (levelScore(levels, best, rules) >= 1)
    return best === 0 ? pickLevel0(levels, collected) : pickLevel(levels, best, collected)
  return pickGarbage(levels, collected, rules)
}

function levelScore(levels: Levels, level: number, rules: PickRules): number {
  if (level === 0) return levels[0].length / rules.level0Tables
  let bytes = 0
  for (const table of levels[level]) bytes += table.bytes
  return bytes / levelLimit(level, rules)
}

function pickLevel0(levels: Levels, collected: Timestamp): Pick {
  const [tables, below] = levels
  const oldest = tables[tables.length - 1]
  // Whatever newer tables hold stays above it.
  if (oldest.collectable > collected && overlapping(below, [oldest]).length === 0) {
    return { level: 0, outputLevel: 1, upper: [oldest], lower: [], move: true }
  }
  return { level: 0, outputLevel: 1, upper: tables, lower: overlapping(below, tables), move: false }
}

/** The table that drags along the least of the next level. */
function pickLevel(levels: Levels, level: number, collected: Timestamp): Pick {
  let best: Pick | undefined
  let bestRatio = Number.POSITIVE_INFINITY
  for (const table of levels[level]) {
    const lower = overlapping(levels[level + 1], [table])
    const ratio = lower.reduce((sum, other) => sum + other.bytes, 0) / table.bytes
    if (ratio >= bestRatio) continue
    const move = lower.length === 0 && table.collectable > collected
    best = { level, outputLevel: level + 1, upper: [table], lower, move }
    bestRatio = ratio
    if (ratio === 0) break
  }
  return best!
}

function pickGarbage(levels: Levels, collected: Timestamp, rules: PickRules): Pick | undefined {
  for (let level = 0; level < levels.length; level++) {
    for (const table of levels[level]) {
      if (table.collectable > collected) continue
      if (table.superseded + table.deletions < rules.garbageShare * table.entries) continue
      if (level === 0) return pickLevel0(levels, collected)
      const beneath = levels.slice(level + 1).some((below) => overlapping(below, [table]).length > 0)
      if (!beneath) return { level, outputLevel: level, upper: [table], lower: [], move: false }
      return {
        level,
        outputLevel: level + 1,
        upper: [table],
        lower: overlapping(levels[level + 1], [table]),
        move: false,
      }
    }
  }
  return undefined
}

/** The tables of a sorted level that overlap the range of some others. */
export function overlapping(level: readonly TableMeta[], tables: readonly TableMeta[]): TableMeta[] {
  let { start, end } = tables[0]
  for (const table of tables) {
    if (compareKeys(table.start, start) < 0) start = table.start
    if (compareKeys(table.end, end) > 0) end = table.end
  }
  let low = 0
  let high = level.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareKeys(level[middle].end, start) <= 0) low = middle + 1
    else high = middle
  }
  const out: TableMeta[] = []
  for (; low < level.length && compareKeys(level[low].start, end) < 0; low++) out.push(level[low])
  return out
}
