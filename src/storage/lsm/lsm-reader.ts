/**
 * Point reads and change checks over memtables and tables, synchronous while what they need is in memory.
 *
 *   get   memtable → older memtables → level 0, newest first → level 1 → …      the first version ≤ S decides
 *
 * Not here: scans (merge-cursor.ts).
 */
import { END, ROW, type Step, type Timestamp, WAIT } from '../../base/index.ts'
import type { Found, Slab, Span } from '../engine.ts'
import { filterHas, hashKey } from './hash.ts'
import type { LevelTable } from './level-table.ts'
import { lengthMask, type Memtable } from './memtable.ts'
import { type BoundView, compareAt, SearchKey } from './order.ts'
import { deletionBit, keyLengthMask, type Run } from './run.ts'
import type { TableFile } from './table-file.ts'
import type { Version } from './version.ts'

export class LsmFound implements Found {
  slab: Slab
  valueStart = 0
  valueEnd = 0
  timestamp: Timestamp = 0
  /** What the read waits for. */
  wantedFile: TableFile | undefined
  wantedBlock = 0
  /** Blocks loaded for this read: it must get through, however small the cache. */
  loaded: { file: TableFile; block: number; run: Run }[] | undefined

  constructor(slab: Slab) {
    this.slab = slab
  }

  async ready(): Promise<void> {
    const file = this.wantedFile
    // A table that compaction has replaced and closed meanwhile is not read any more: the read finds the new one.
    if (file === undefined || (file.dropped && file.references === 0)) return
    const block = this.wantedBlock
    file.references++
    try {
      const run = await file.load(block, 1, block)
      this.loaded ??= []
      this.loaded.push({ file, block, run })
    } finally {
      file.release()
    }
  }

  /** A block, if it is in memory; else notes that it is wanted. */
  block(file: TableFile, block: number): Run | undefined {
    const run = file.block(block)
    if (run !== undefined) return run
    if (this.loaded !== undefined) {
      for (const held of this.loaded) if (held.file === file && held.block === block) return held.run
    }
    this.wantedFile = file
    this.wantedBlock = block
    return undefined
  }
}

export class LsmReader {
  readonly #key = new SearchKey()
  readonly #end = new SearchKey()
  #hash = 0
  #hashed = false

  get(memtables: readonly Memtable[], version: Version, key: Uint8Array, at: Timestamp, found: LsmFound): Step {
    const wanted = this.#key
    wanted.set(key)
    this.#hashed = false
    found.timestamp = 0
    for (let i = 0; i < memtables.length; i++) {
      const memtable = memtables[i]
      if (memtable.entries === 0 || memtable.oldest > at) continue
      const header = memtable.find(wanted, at)
      if (header !== 0) return this.#inMemtable(memtable, header, found)
    }
    const { levels } = version
    const level0 = levels[0]
    for (let i = 0; i < level0.length; i++) {
      const step = this.#inTable(level0[i], at, found)
      if (step !== -1) return step
    }
    for (let level = 1; level < levels.length; level++) {
      const tables = levels[level]
      if (tables.length === 0) continue
      const table = tables[this.#tableOf(tables)]
      if (table === undefined) continue
      const step = this.#inTable(table, at, found)
      if (step !== -1) return step
    }
    found.loaded = undefined
    return END
  }

  changed(
    memtables: readonly Memtable[],
    version: Version,
    span: Span,
    after: Timestamp,
    upTo: Timestamp,
    found: LsmFound,
  ): Step {
    found.timestamp = 0
    const wanted = this.#key
    wanted.set(span.start)
    const end = span.end === undefined ? undefined : this.#end
    if (span.end !== undefined) this.#end.set(span.end)
    for (let i = 0; i < memtables.length; i++) {
      const memtable = memtables[i]
      if (memtable.newest <= after || memtable.oldest > upTo) continue
      const timestamp = memtable.changedWithin(wanted, end, after, upTo)
      if (timestamp === 0) continue
      found.timestamp = timestamp
      return ROW
    }
    for (const tables of version.levels) {
      for (let i = 0; i < tables.length; i++) {
        const { meta } = tables[i]
        if (meta.newest <= after || meta.oldest > upTo || !tables[i].overlaps(span)) continue
        const step = this.#changedTable(tables[i], end, after, upTo, found)
        if (step !== END) return step
      }
    }
    found.loaded = undefined
    return END
  }

  #inMemtable(memtable: Memtable, header: number, found: LsmFound): Step {
    const { words } = memtable
    const at32 = header >>> 2
    found.timestamp = memtable.doubles[header >>> 3]
    const value = words[at32 + 4]
    if (value === 0) return END
    const start = words[at32 + 2] + (words[at32 + 3] & lengthMask)
    found.slab = memtable
    found.valueStart = start
    found.valueEnd = start + value - 1
    return ROW
  }

  /** Index of the only table of a sorted level that may hold the key; beyond the level when none may. */
  #tableOf(tables: readonly LevelTable[]): number {
    const { view, length } = this.#key
    let low = 0
    let high = tables.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const { end } = tables[middle]
      if (compareAt(end.view, 0, end.length, view, 0, length) <= 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** ROW, END (a deletion) or WAIT; -1 when the table has no version of the key ≤ at. */
  #inTable(table: LevelTable, at: Timestamp, found: LsmFound): Step | -1 {
    const { meta, start, end, file } = table
    if (meta.oldest > at) return -1
    const { view, length } = this.#key
    if (compareAt(view, 0, length, start.view, 0, start.length) < 0) return -1
    if (compareAt(view, 0, length, end.view, 0, end.length) >= 0) return -1
    if (!this.#hashed) {
      this.#hash = hashKey(view, 0, length)
      this.#hashed = true
    }
    if (!filterHas(file.filter, this.#hash)) return -1
    let block = file.blockOf(view, 0, length, at)
    let run = found.block(file, block)
    if (run === undefined) return WAIT
    let i = run.lowerBound(view, 0, length, at)
    if (i === run.count) {
      // The versions wanted may begin with the next block.
      block++
      if (block === file.index.count || file.compareFirst(block, view, 0, length) !== 0) return -1
      run = found.block(file, block)
      if (run === undefined) return WAIT
      i = 0
    }
    if (run.compareKey(i, view, 0, length) !== 0) return -1
    found.timestamp = run.timestamp[i]
    found.loaded = undefined
    const info = run.info[i]
    if ((info & deletionBit) !== 0) return END
    found.slab = run
    found.valueStart = run.start[i] + (info & keyLengthMask)
    found.valueEnd = run.valueEnd[i]
    return ROW
  }

  #changedTable(
    table: LevelTable,
    spanEnd: BoundView | undefined,
    after: Timestamp,
    upTo: Timestamp,
    found: LsmFound,
  ): Step {
    const { file } = table
    let start: BoundView = this.#key
    let end: BoundView = table.end
    if (compareAt(table.start.view, 0, table.start.length, start.view, 0, start.length) > 0) start = table.start
    if (spanEnd && compareAt(end.view, 0, end.length, spanEnd.view, 0, spanEnd.length) > 0) end = spanEnd
    const { index } = file
    let block = file.blockOf(start.view, 0, start.length, Number.MAX_SAFE_INTEGER)
    for (; block < index.count; block++) {
      if (file.compareFirst(block, end.view, 0, end.length) >= 0) break
      if (index.newest[block] <= after) continue
      const run = found.block(file, block)
      if (run === undefined) return WAIT
      const high = run.lowerBound(end.view, 0, end.length, Number.MAX_SAFE_INTEGER)
      for (let i = run.lowerBound(start.view, 0, start.length, Number.MAX_SAFE_INTEGER); i < high; i++) {
        const timestamp = run.timestamp[i]
        if (timestamp <= after || timestamp > upTo) continue
        found.timestamp = timestamp
        found.loaded = undefined
        return ROW
      }
    }
    return END
  }
}
