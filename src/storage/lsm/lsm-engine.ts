/**
 * The log-structured merge tree (O'Neil et al., 1996) behind the `Engine` interface.
 *
 *   apply ─▶ memtable ─full─▶ frozen memtables ─flush─▶ level 0 ─compact─▶ level 1 ─▶ …
 *   read  ─▶ all of them, newest first
 *
 * There is no log here: what memtables hold is rebuilt by replaying the commit log from `applied` on.
 *
 * Not here: reading (lsm-reader.ts, merge-cursor.ts), tables on disk (table-set.ts), choosing compactions (compaction/).
 */
import { assert, DbError, type Step, type Timestamp } from '../../base/index.ts'
import { WriteSetReader } from '../../encoding/index.ts'
import type { Io } from '../../io/index.ts'
import { openDataDirectory, storeDirectory } from '../data-directory.ts'
import type {
  BuiltTable,
  CursorOptions,
  Engine,
  EngineCursor,
  EngineStats,
  Found,
  LogPosition,
  Span,
  TableWriter,
} from '../engine.ts'
import { compareKeys } from '../key-order.ts'
import { Retention } from '../retention.ts'
import { Arenas } from './arenas.ts'
import { Background } from './background.ts'
import { BlockCache } from './block-cache.ts'
import { flushMemtable } from './compaction/flush.ts'
import { Compactor } from './compactor.ts'
import { codecOf, type LsmOptions, type LsmSettings, settingsOf } from './lsm-options.ts'
import { LsmFound, LsmReader } from './lsm-reader.ts'
import { LsmTableWriter } from './lsm-table-writer.ts'
import type { TableChange } from './manifest.ts'
import { Memtable } from './memtable.ts'
import { MemtableFeed } from './memtable-feed.ts'
import { MergeCursor } from './merge-cursor.ts'
import { boundView, SearchKey } from './order.ts'
import { Source } from './source.ts'
import { TableFeed } from './table-feed.ts'
import { metaOf, type TableMeta } from './table-meta.ts'
import { TableSet } from './table-set.ts'
import type { Version } from './version.ts'

/**
 * Opens or creates the store of a data directory. Errors: incompatible_format, data_corrupted (with file and offset),
 * what the disk reports. Log entries above `applied(stream)` are to be applied again by the caller.
 */
export async function openEngine(options: LsmOptions): Promise<LsmEngine> {
  const { io } = options
  const settings = settingsOf(options)
  await openDataDirectory(io, options.directory)
  const cache = new BlockCache(settings.cacheBytes)
  const set = await TableSet.open(io, storeDirectory(options.directory), cache)
  return new LsmEngine(io, settings, set, cache)
}

const resolved = Promise.resolve()

export class LsmEngine implements Engine {
  readonly #io: Io
  readonly #settings: LsmSettings
  readonly #set: TableSet
  readonly #cache: BlockCache
  readonly #retention: Retention
  readonly #reader = new LsmReader()
  readonly #compactor: Compactor
  readonly #flushing: Background
  readonly #compacting: Background
  readonly #applied: Map<number, number>
  readonly #built = new Map<number, TableMeta>()
  readonly #arenas: Arenas
  /** The one that is written first, then those waiting to be flushed, newest first. */
  #memtables: Memtable[]
  #stallWaiters: (() => void)[] = []
  #stalledSince = 0
  #stallMicros = 0
  #flushes = 0
  #bytesFlushed = 0
  #byHand = false
  #closed = false

  constructor(io: Io, settings: LsmSettings, set: TableSet, cache: BlockCache) {
    this.#io = io
    this.#settings = settings
    this.#set = set
    this.#cache = cache
    this.#retention = new Retention(set.collected)
    set.currentCollected = () => this.#retention.collected
    this.#applied = new Map(set.positions)
    this.#arenas = new Arenas(settings.memtableBytes)
    this.#memtables = [new Memtable(this.#arenas.take(0))]
    this.#compactor = new Compactor(io, set, settings, () => this.#retention.collected)
    this.#flushing = new Background(
      io,
      'flush',
      () => this.#flushOnce(),
      (error) => this.#backgroundFailed('flush', error),
    )
    this.#compacting = new Background(
      io,
      'compaction',
      () => this.#compactOnce(),
      (error) => this.#backgroundFailed('compaction', error),
    )
    this.#compactor.stopped = () => this.#compacting.stopped || io.dead
    this.#compacting.kick()
  }

  apply(writeSet: Uint8Array, stream: number, index: number): void {
    assert(!this.#closed, 'a closed engine is not written to')
    const applied = this.#applied.get(stream) ?? 0
    assert(index > applied, `entry ${index} of stream ${stream} is applied once, in order`)
    const reader = new WriteSetReader(writeSet)
    let memtable = this.#memtables[0]
    if (!memtable.fits(writeSet.length, reader.count)) {
      this.#freeze(Memtable.need(writeSet.length, reader.count))
      memtable = this.#memtables[0]
    }
    memtable.apply(writeSet, reader)
    memtable.applied.set(stream, index)
    this.#applied.set(stream, index)
  }

  applied(stream: number): number {
    return this.#applied.get(stream) ?? 0
  }

  flushed(stream: number): number {
    return this.#set.positions.get(stream) ?? 0
  }

  /** The newest timestamp in tables, 0 when there are none: after opening, clocks and snapshots start above it. */
  get newestInTables(): Timestamp {
    let newest = 0
    for (const level of this.#set.version.levels) for (const { meta } of level) newest = Math.max(newest, meta.newest)
    return newest
  }

  found(): Found {
    return new LsmFound(this.#memtables[0])
  }

  get(key: Uint8Array, at: Timestamp, found: Found): Step {
    return this.#reader.get(this.#memtables, this.#set.version, key, at, found as LsmFound)
  }

  changed(span: Span, after: Timestamp, upTo: Timestamp, found: Found): Step {
    return this.#reader.changed(this.#memtables, this.#set.version, span, after, upTo, found as LsmFound)
  }

  cursor(span: Span, at: Timestamp, options?: CursorOptions): EngineCursor {
    const reverse = options?.reverse ?? false
    const deletions = options?.deletions ?? false
    const start = boundView(span.start)
    const end = span.end && boundView(span.end)
    const own = { start: start.bytes, end: end?.bytes }
    const { version } = this.#set
    const sources: Source[] = []
    const memtables: Memtable[] = []
    for (const memtable of this.#memtables) {
      if (memtable.entries === 0 || memtable.oldest > at) continue
      memtable.retain()
      memtables.push(memtable)
      sources.push(new Source(new MemtableFeed(memtable), sources.length, at, deletions))
    }
    for (const table of version.levels[0]) {
      if (table.meta.oldest > at || !table.overlaps(own)) continue
      sources.push(new Source(new TableFeed([table], end), sources.length, at, deletions))
    }
    for (let level = 1; level < version.levels.length; level++) {
      const tables = version.levels[level]
      if (tables.length === 0) continue
      sources.push(new Source(new TableFeed(tables, end), sources.length, at, deletions))
    }
    return new MergeCursor(version, memtables, sources, own, reverse, start, end)
  }

  get stalled(): boolean {
    const { stallMemtables, stallTables, holdFlush } = this.#settings
    const full = !holdFlush && this.#memtables.length > stallMemtables
    const stalled = full || this.#set.version.levels[0].length >= stallTables
    if (stalled && this.#stalledSince === 0) this.#stalledSince = this.#io.clock.monotonicMicros()
    return stalled
  }

  unstalled(): Promise<void> {
    if (!this.stalled) return resolved
    return new Promise((done) => this.#stallWaiters.push(done))
  }

  protect(at: Timestamp): { release(): void } {
    return this.#retention.protect(at)
  }

  get collectedBefore(): Timestamp {
    return this.#retention.collected
  }

  collectBefore(at: Timestamp): void {
    this.#retention.collectBefore(at)
    this.#compacting.kick()
  }

  tableWriter(timestamp: Timestamp): TableWriter {
    return new LsmTableWriter(this.#set, this.#settings, timestamp, (meta) => this.#built.set(meta.number, meta))
  }

  async ingest(tables: readonly BuiltTable[], excised: Span | undefined, position: LogPosition): Promise<void> {
    const metas = tables.map(({ fileNumber }) => {
      const meta = this.#built.get(fileNumber)
      assert(meta !== undefined, `table ${fileNumber} was built here and not yet ingested`)
      this.#built.delete(fileNumber)
      return meta
    })
    await this.#replace(excised, metas, position)
  }

  async discard(spans: readonly Span[]): Promise<void> {
    await this.flush()
    for (const span of spans) {
      await this.#set.edit((version) => {
        const removed: TableChange[] = []
        const added: TableChange[] = []
        cutOut(version, span, removed, added)
        return { removed, added, positions: new Map() }
      })
    }
    this.#compacting.kick()
  }

  async excise(span: Span, position: LogPosition): Promise<void> {
    await this.#replace(span, [], position)
  }

  async flush(): Promise<void> {
    if (this.#memtables[0].applied.size > 0) this.#freeze(0)
    this.#flushing.kick()
    await this.#flushing.idle()
  }

  async compact(): Promise<void> {
    this.#byHand = true
    this.#compacting.kick()
    await this.#compacting.idle()
  }

  debugLevels() {
    return this.#set.version.levels
  }
  estimate(span: Span): { bytes: number; entries: number } {
    const start = new SearchKey()
    start.set(span.start)
    const end = span.end && boundView(span.end)
    let bytes = 0
    let entries = 0
    for (const memtable of this.#memtables) {
      const part = memtable.measure(start, end)
      bytes += part.bytes
      entries += part.entries
    }
    for (const tables of this.#set.version.levels) {
      for (const table of tables) {
        if (!table.overlaps(span)) continue
        const { index } = table.file
        const low = compareKeys(span.start, table.meta.start) > 0 ? boundView(span.start) : table.start
        const high = end !== undefined && compareKeys(span.end!, table.meta.end) < 0 ? end : table.end
        const first = table.file.blockOf(low.view, 0, low.length, Number.MAX_SAFE_INTEGER)
        const last = table.file.blockOf(high.view, 0, high.length, Number.MAX_SAFE_INTEGER)
        for (let block = first; block <= last; block++) {
          bytes += index.stored[block]
          entries += index.entries[block]
        }
      }
    }
    return { bytes, entries }
  }

  stats(): EngineStats {
    let memtableBytes = 0
    let memtableEntries = 0
    for (const memtable of this.#memtables) {
      memtableBytes += memtable.used
      memtableEntries += memtable.entries
    }
    const levels = this.#set.version.levels.map((tables, level) => {
      return { level, tables: tables.length, bytes: tables.reduce((sum, { meta }) => sum + meta.bytes, 0) }
    })
    return {
      memtables: this.#memtables.length,
      memtableBytes,
      memtableEntries,
      levels,
      blockCacheBytes: this.#cache.bytes,
      blockCacheHits: this.#cache.hits,
      blockCacheMisses: this.#cache.misses,
      flushes: this.#flushes,
      compactions: this.#compactor.compactions,
      bytesFlushed: this.#bytesFlushed,
      bytesCompacted: this.#compactor.bytesCompacted,
      stallMicros: this.#stallMicros,
    }
  }

  /** Ends background work and closes the files. What was not flushed is in the log. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all([this.#flushing.stop(), this.#compacting.stop()])
    await this.#set.close()
  }

  /** Begins a new memtable with room for a write set of `need` arena bytes. */
  #freeze(need: number): void {
    const memtable = new Memtable(this.#arenas.take(need + 4096))
    // A memtable that nothing was written to is just too small: there is nothing in it to flush.
    if (this.#memtables[0].applied.size === 0) this.#memtables[0] = memtable
    else this.#memtables = [memtable, ...this.#memtables]
    if (!this.#settings.holdFlush) this.#flushing.kick()
  }

  async #flushOnce(): Promise<boolean> {
    const memtable = this.#memtables[this.#memtables.length - 1]
    if (this.#memtables.length === 1) return false
    const file = this.#set.newFile()
    const format = { codec: codecOf(this.#settings, 0), blockBytes: this.#settings.blockBytes }
    const { buffer, firstLeaf, used } = memtable
    const threshold = this.#retention.collected
    const image = await this.#io.tasks.cpu(flushMemtable, { arena: buffer, firstLeaf, used, file, format, threshold })
    const added = image ? [{ level: 0, meta: metaOf(file, file, image.bytes.length, image.properties) }] : []
    try {
      if (image !== undefined) await this.#set.write(file, image.bytes)
      await this.#set.edit(
        () => ({ added, positions: memtable.applied }),
        () => {
          assert(this.#memtables.pop() === memtable, 'memtables are flushed in their order')
          memtable.retire((arena) => this.#arenas.giveBack(arena))
        },
      )
    } catch (error) {
      if (!this.#io.dead) await this.#set.discard([file])
      throw error
    }
    this.#flushes++
    this.#bytesFlushed += image?.bytes.length ?? 0
    this.#relieve()
    this.#compacting.kick()
    return true
  }

  async #compactOnce(): Promise<boolean> {
    const did = await this.#compactor.once(this.#byHand)
    if (!did) this.#byHand = false
    this.#relieve()
    return did
  }

  /** Lets those go on who wait for flushing or compaction to catch up. */
  #relieve(): void {
    if (this.stalled) return
    if (this.#stalledSince > 0) this.#stallMicros += this.#io.clock.monotonicMicros() - this.#stalledSince
    this.#stalledSince = 0
    const waiters = this.#stallWaiters
    this.#stallWaiters = []
    for (const done of waiters) done()
  }

  #backgroundFailed(during: string, error: unknown): void {
    if (error instanceof DbError && error.code === 'data_corrupted') {
      // Reads of what is sound go on; the node's health shows it.
      this.#io.log.error('storage-corrupted', { during, error: error.message, detail: error.detail })
      return
    }
    this.#io.fatal(`${during} failed`, error)
  }

  /** Takes a span out of all tables and puts tables in, in one edit. */
  async #replace(excised: Span | undefined, metas: readonly TableMeta[], position: LogPosition): Promise<void> {
    const { stream, index } = position
    assert(index > this.applied(stream), 'a log position is applied once, in order')
    await this.flush()
    const age = this.#set.newFile()
    await this.#set.edit((version) => {
      const removed: TableChange[] = []
      const added: TableChange[] = []
      if (excised !== undefined) cutOut(version, excised, removed, added)
      for (const meta of metas) {
        const span = { start: meta.start, end: meta.end }
        const level = version.deepestFree(span, excised)
        added.push({ level, meta: { ...meta, age } })
      }
      return { removed, added, positions: new Map([[stream, index]]) }
    })
    this.#applied.set(stream, index)
    this.#compacting.kick()
  }
}

/** Narrows, splits or removes the tables that a span overlaps. */
function cutOut(version: Version, span: Span, removed: TableChange[], added: TableChange[]): void {
  for (let level = 0; level < version.levels.length; level++) {
    for (const { meta } of version.overlapping(level, span)) {
      removed.push({ level, meta })
      if (compareKeys(meta.start, span.start) < 0)
        added.push({ level, meta: { ...meta, end: Uint8Array.from(span.start) } })
      if (span.end !== undefined && compareKeys(meta.end, span.end) > 0) {
        added.push({ level, meta: { ...meta, start: Uint8Array.from(span.end) } })
      }
    }
  }
}
