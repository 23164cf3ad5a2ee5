/**
 * Reads tables that do not overlap, in key order: a level, or one table of level 0.
 *
 *   tables   [ T0 ][ T1 ][ T2 ]          blocks of a table   [ b0 ][ b1 ] …
 *
 * A block that is not in memory answers WAIT. `ready` reads it and, as a scan goes on, ever more of those behind it.
 *
 * Not here: caching (block-cache.ts), merging (source.ts).
 */
import { END, ROW, type Step, WAIT } from '../../base/index.ts'
import type { Feed } from './feed.ts'
import type { LevelTable } from './level-table.ts'
import { type BoundView, compareAt } from './order.ts'
import { Run } from './run.ts'

const longestReadahead = 16
const none = new Run(
  new Uint8Array(0),
  new DataView(new ArrayBuffer(0)),
  0,
  new Int32Array(0),
  new Int32Array(0),
  new Uint16Array(0),
  new Float64Array(0),
)

/** What to do with a block once it is in memory. */
const takeWhole = 0
const takeFrom = 1
const takeBefore = 2

export class TableFeed implements Feed {
  run: Run = none
  low = 0
  high = 0
  inside = false
  readonly #tables: readonly LevelTable[]
  /** Blocks that begin at or behind this key are not read. */
  readonly #until: BoundView | undefined
  #table = 0
  #block = 0
  #readahead = 1
  #pending = takeWhole
  #key: DataView | undefined
  #keyStart = 0
  #keyLength = 0
  #at = 0
  #backwards = false
  #loaded: Run | undefined

  constructor(tables: readonly LevelTable[], until: BoundView | undefined) {
    this.#tables = tables
    this.#until = until
  }

  seek(key: DataView, keyStart: number, keyLength: number, at: number): Step {
    const tables = this.#tables
    this.#backwards = false
    // The first table that ends behind the key.
    let low = 0
    let high = tables.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const { end } = tables[middle]
      if (compareAt(end.view, 0, end.length, key, keyStart, keyLength) <= 0) low = middle + 1
      else high = middle
    }
    this.#table = low
    if (low === tables.length || this.#beyond(tables[low])) return END
    const table = tables[low]
    const { start } = table
    if (compareAt(key, keyStart, keyLength, start.view, 0, start.length) <= 0) {
      return this.#find(start.view, 0, start.length, Number.MAX_SAFE_INTEGER, takeFrom)
    }
    return this.#find(key, keyStart, keyLength, at, takeFrom)
  }

  seekBefore(key: DataView | undefined, keyStart: number, keyLength: number): Step {
    const tables = this.#tables
    this.#backwards = true
    // The last table that begins before the key.
    let low = 0
    let high = tables.length
    while (key !== undefined && low < high) {
      const middle = (low + high) >>> 1
      const { start } = tables[middle]
      if (compareAt(start.view, 0, start.length, key, keyStart, keyLength) < 0) low = middle + 1
      else high = middle
    }
    this.#table = (key === undefined ? tables.length : low) - 1
    if (this.#table < 0) return END
    const { end } = tables[this.#table]
    if (key === undefined || compareAt(key, keyStart, keyLength, end.view, 0, end.length) > 0) {
      return this.#find(end.view, 0, end.length, Number.MAX_SAFE_INTEGER, takeBefore)
    }
    return this.#find(key, keyStart, keyLength, Number.MAX_SAFE_INTEGER, takeBefore)
  }

  next(): Step {
    const table = this.#tables[this.#table]
    this.#block++
    this.#pending = takeWhole
    const { end } = table
    // A block behind the table's end is another table's part of the file: it says nothing about the tables that follow.
    if (this.#block < table.file.index.count && table.file.compareFirst(this.#block, end.view, 0, end.length) < 0) {
      const until = this.#until
      if (until && table.file.compareFirst(this.#block, until.view, 0, until.length) >= 0) return END
      return this.again()
    }
    this.#table++
    if (this.#table === this.#tables.length || this.#beyond(this.#tables[this.#table])) return END
    const { start } = this.#tables[this.#table]
    return this.#find(start.view, 0, start.length, Number.MAX_SAFE_INTEGER, takeFrom)
  }

  previous(): Step {
    const table = this.#tables[this.#table]
    const { start } = table
    this.#pending = takeWhole
    // The block at hand begins before the range: nothing visible lies before it.
    if (this.#block > 0 && table.file.compareFirst(this.#block, start.view, 0, start.length) >= 0) {
      this.#block--
      const step = this.again()
      if (step !== END) return step
    }
    this.#table--
    if (this.#table < 0) return END
    const { end } = this.#tables[this.#table]
    return this.#find(end.view, 0, end.length, Number.MAX_SAFE_INTEGER, takeBefore)
  }

  again(): Step {
    const table = this.#tables[this.#table]
    const run = table.file.block(this.#block) ?? this.#loaded
    this.#loaded = undefined
    if (run === undefined) return WAIT
    this.run = run
    this.low = 0
    this.high = run.count
    const pending = this.#pending
    if (pending === takeFrom) this.low = run.lowerBound(this.#key!, this.#keyStart, this.#keyLength, this.#at)
    else if (pending === takeBefore) this.high = run.lowerBound(this.#key!, this.#keyStart, this.#keyLength, this.#at)
    // The index of blocks tells mostly: what a block itself would be asked comes from far, block by block.
    this.inside = this.#until === undefined || this.#endsBefore(table, this.#until)
    if (this.#beginsBefore(table) || !this.#endsBefore(table, table.end)) this.#narrow(table, run)
    if (this.low < this.high) return ROW
    return this.#backwards ? this.previous() : this.next()
  }

  async ready(): Promise<void> {
    const { file } = this.#tables[this.#table]
    const block = this.#block
    const first = this.#backwards ? Math.max(0, block - this.#readahead + 1) : block
    const count = this.#backwards ? block - first + 1 : this.#readahead
    if (this.#readahead < longestReadahead) this.#readahead *= 2
    // Kept until it is taken, however small the cache.
    this.#loaded = await file.load(first, count, block)
  }

  #beyond(table: LevelTable): boolean {
    const until = this.#until
    const { start } = table
    return until !== undefined && compareAt(start.view, 0, start.length, until.view, 0, until.length) >= 0
  }

  #find(key: DataView, keyStart: number, keyLength: number, at: number, pending: number): Step {
    const { file } = this.#tables[this.#table]
    this.#block = file.blockOf(key, keyStart, keyLength, at)
    // Of a key to stop before, the block that begins with it holds nothing.
    if (pending === takeBefore && this.#block > 0 && file.compareFirst(this.#block, key, keyStart, keyLength) >= 0) {
      this.#block--
    }
    this.#pending = pending
    this.#key = key
    this.#keyStart = keyStart
    this.#keyLength = keyLength
    this.#at = at
    return this.again()
  }

  /** Whether the index of blocks says that all keys of the block are < key. */
  #endsBefore(table: LevelTable, key: BoundView): boolean {
    const { file } = table
    const next = this.#block + 1
    return next < file.index.count && file.compareFirst(next, key.view, 0, key.length) < 0
  }

  /** Whether the block begins before the table's range does. */
  #beginsBefore(table: LevelTable): boolean {
    const { start, file } = table
    return file.compareFirst(this.#block, start.view, 0, start.length) < 0
  }

  /** Cuts what a block at the edge of the table's range has outside it. */
  #narrow(table: LevelTable, run: Run): void {
    const { start, end } = table
    if (run.compareKey(run.count - 1, end.view, 0, end.length) >= 0) {
      const bound = run.lowerBound(end.view, 0, end.length, Number.MAX_SAFE_INTEGER)
      if (bound < this.high) this.high = bound
    }
    if (this.low === 0 && run.compareKey(0, start.view, 0, start.length) < 0) {
      const bound = run.lowerBound(start.view, 0, start.length, Number.MAX_SAFE_INTEGER)
      if (bound > this.low) this.low = bound
    }
  }
}
