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
  ApplyTask,
  BuiltTable,
  CursorOptions,
  Engine,
  EngineCursor,
  EngineStats,
  Found,
  LogPosition,
  Span,
  TableWriter,
  VersionWriter,
} from '../engine.ts'
import { compareKeys } from '../key-order.ts'
import { Retention } from '../retention.ts'
import { SingleTimestampWriter } from '../single-timestamp-writer.ts'
import { Arenas } from './arenas.ts'
import { Background } from './background.ts'
import { BlockCache } from './block-cache.ts'
import { flushMemtable } from './compaction/flush.ts'
import { Compactor } from './compactor.ts'
import { deepestFree, excise } from './excise.ts'
import type { Feed } from './feed.ts'
import { codecOf, type LsmOptions, type LsmSettings, settingsOf } from './lsm-options.ts'
import { LsmFound, LsmReader } from './lsm-reader.ts'
import { LsmVersionWriter } from './lsm-version-writer.ts'
import { Memtable } from './memtable.ts'
import { MemtableFeed } from './memtable-feed.ts'
import { MergeCursor } from './merge-cursor.ts'
import { boundView, SearchKey } from './order.ts'
import { Source } from './source.ts'
import { TableFeed } from './table-feed.ts'
import { metaOf, type TableMeta } from './table-meta.ts'
import { TableSet } from './table-set.ts'
import type { Version } from './version.ts'
import { VersionCursor } from './version-cursor.ts'

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
/** Larger write sets go into memtables in slices of this many entries: room is taken for the worst case of each. */
const sliceEntries = 4096
/** Arenas of as many memtables as can be full or in flushing at once. */
const memtablesKept = 6
/** A table is about as large as what it is made from: without the tree, with a filter and an index. */
const tableRoom = (memtableBytes: number): number => memtableBytes + (memtableBytes >> 3)

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
  /** Where memtables are turned into tables. */
  readonly #rooms: Arenas
  /** The one that is written first, then those waiting to be flushed, newest first. */
  #memtables: Memtable[]
  /** Write sets of which only a part is applied, by stream. */
  readonly #unfinished = new Map<number, ApplyTask>()
  #stallWaiters: (() => void)[] = []
  readonly #flushWaiters = new Map<Memtable, (() => void)[]>()
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
    this.#arenas = new Arenas(settings.memtableBytes, memtablesKept)
    this.#rooms = new Arenas(tableRoom(settings.memtableBytes), 1)
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
    this.#checkNext(stream, index)
    const reader = new WriteSetReader(writeSet)
    if (reader.count > sliceEntries) this.#applySlices(reader, reader.count)
    else this.#roomFor(writeSet.length, reader.count).apply(reader, writeSet.length, reader.count)
    this.#memtables[0].applied.set(stream, index)
    this.#applied.set(stream, index)
  }

  beginApply(writeSet: Uint8Array, stream: number, index: number): ApplyTask {
    this.#checkNext(stream, index)
    const reader = new WriteSetReader(writeSet)
    const task: ApplyTask = {
      step: (maxEntries) => {
        assert(!this.#closed, 'a closed engine is not written to')
        assert(this.#unfinished.get(stream) === task, 'a task that is done or void takes no step')
        this.#applySlices(reader, Math.min(maxEntries, reader.left))
        if (reader.left > 0) return false
        this.#unfinished.delete(stream)
        this.#memtables[0].applied.set(stream, index)
        this.#applied.set(stream, index)
        return true
      },
    }
    this.#unfinished.set(stream, task)
    return task
  }

  applied(stream: number): number {
    return this.#applied.get(stream) ?? 0
  }

  flushed(stream: number): number {
    return this.#set.positions.get(stream) ?? 0
  }

  forget(stream: number): void {
    this.#unfinished.delete(stream)
    this.#applied.delete(stream)
    for (const memtable of this.#memtables) memtable.applied.delete(stream)
    this.#set.forget(stream)
  }

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
    const add = (feed: Feed) => sources.push(new Source(feed, sources.length, at, deletions, reverse ? undefined : end))
    for (const memtable of this.#memtables) {
      if (memtable.entries === 0 || memtable.oldest > at) continue
      memtable.retain()
      memtables.push(memtable)
      add(new MemtableFeed(memtable))
    }
    for (const table of version.levels[0]) {
      if (table.meta.oldest > at || !table.overlaps(own)) continue
      add(new TableFeed([table], end))
    }
    for (let level = 1; level < version.levels.length; level++) {
      const tables = version.levels[level]
      if (tables.length === 0) continue
      add(new TableFeed(tables, end))
    }
    return new MergeCursor(version, memtables, sources, own, reverse, start, end)
  }

  versions(span: Span): EngineCursor {
    const end = span.end && boundView(span.end)
    const own = { start: Uint8Array.from(span.start), end: end?.bytes }
    const { version } = this.#set
    const feeds: Feed[] = []
    const memtables: Memtable[] = []
    for (const memtable of this.#memtables) {
      if (memtable.entries === 0) continue
      memtable.retain()
      memtables.push(memtable)
      feeds.push(new MemtableFeed(memtable, memtable.used))
    }
    for (const table of version.levels[0]) if (table.overlaps(own)) feeds.push(new TableFeed([table], end))
    for (let level = 1; level < version.levels.length; level++) {
      if (version.levels[level].length > 0) feeds.push(new TableFeed(version.levels[level], end))
    }
    version.retain()
    return new VersionCursor(version, memtables, feeds, own)
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
    return new SingleTimestampWriter(timestamp, this.versionWriter())
  }

  versionWriter(): VersionWriter {
    return new LsmVersionWriter(this.#set, this.#settings, this.#built)
  }

  async ingest(tables: readonly BuiltTable[], excised: readonly Span[], position: LogPosition): Promise<void> {
    const { stream, index } = position
    this.#checkNext(stream, index)
    const metas = tables.map(({ fileNumber }) => {
      const meta = this.#built.get(fileNumber)
      assert(meta !== undefined, `table ${fileNumber} was built here and not yet ingested`)
      this.#built.delete(fileNumber)
      return meta
    })
    checkDisjoint(metas)
    // What memtables hold of the spans goes into tables first, to be cut out of them. What other streams write
    // meanwhile stays above: their entries and positions come with later flushes.
    await this.#flushAll()
    const age = this.#set.newFile()
    await this.#set.edit(
      (version) => {
        const { levels, removed, added } = excise(metasOf(version), excised)
        for (const meta of metas) added.push({ level: deepestFree(levels, meta), meta: { ...meta, age } })
        return { removed, added, positions: new Map([[stream, index]]) }
      },
      () => {
        if (!this.#set.hasForgotten(stream)) this.#applied.set(stream, index)
      },
    )
    this.#compacting.kick()
  }

  async excise(span: Span, position: LogPosition): Promise<void> {
    await this.ingest([], [span], position)
  }

  async discard(spans: readonly Span[]): Promise<void> {
    await this.#flushAll()
    await this.#set.edit((version) => excise(metasOf(version), spans))
    this.#compacting.kick()
  }

  async flush(): Promise<void> {
    await this.#flushWhatIs()
    if (this.#set.forgetting && !this.#closed) await this.#set.edit(() => ({}))
  }

  async compact(): Promise<void> {
    this.#byHand = true
    this.#compacting.kick()
    await this.#compacting.idle()
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

  #checkNext(stream: number, index: number): void {
    assert(!this.#closed, 'a closed engine is not written to')
    const applied = this.#applied.get(stream)
    if (applied === undefined) assert(!this.#set.hasForgotten(stream), 'a forgotten stream is not written to')
    if (!(index > (applied ?? 0))) assert(false, `entry ${index} of stream ${stream} is applied once, in order`)
    if (this.#unfinished.size > 0) {
      assert(!this.#unfinished.has(stream), 'what was begun of a stream is applied to its end first')
    }
  }

  /** The memtable that takes so many entries of so many bytes. */
  #roomFor(bytes: number, count: number): Memtable {
    if (!this.#memtables[0].fits(bytes, count)) this.#freeze(Memtable.need(bytes, count))
    return this.#memtables[0]
  }

  /** Applies the next `count` entries of a write set, few at a time. */
  #applySlices(reader: WriteSetReader, count: number): void {
    const most = this.#settings.memtableBytes / 4
    const ahead = reader.copy()
    const end = reader.left - count
    while (reader.left > end) {
      const from = reader.at
      const least = Math.max(end, reader.left - sliceEntries)
      while (ahead.left > least && ahead.at - from < most) ahead.next()
      const entries = reader.left - ahead.left
      this.#roomFor(ahead.at - from, entries).apply(reader, ahead.at, entries)
    }
  }

  /** Begins a new memtable with room for a write set of `need` arena bytes. */
  #freeze(need: number): void {
    const memtable = new Memtable(this.#arenas.take(need + 4096))
    // A memtable that nothing was written to is just too small: there is nothing in it to flush.
    if (!this.#memtables[0].written) this.#memtables[0] = memtable
    else this.#memtables = [memtable, ...this.#memtables]
    if (!this.#settings.holdFlush) this.#flushing.kick()
  }

  /** Flushes what memtables hold now, not what comes meanwhile; false when that was given up. */
  async #flushWhatIs(): Promise<boolean> {
    if (this.#memtables[0].written) this.#freeze(0)
    const newest = this.#memtables[1]
    if (newest === undefined) return true
    const flushed = new Promise<void>((done) => {
      const waiters = this.#flushWaiters.get(newest)
      if (waiters) waiters.push(done)
      else this.#flushWaiters.set(newest, [done])
    })
    this.#flushing.kick()
    await Promise.race([flushed, this.#flushing.idle()])
    return !this.#memtables.includes(newest)
  }

  /** The same for what is of no use without. */
  async #flushAll(): Promise<void> {
    if (await this.#flushWhatIs()) return
    if (this.#closed) throw new DbError('admin_shutdown', 'the storage engine is being closed')
    throw new DbError('io_error', 'memtables could not be flushed', { hint: 'The log of the node says why.' })
  }

  async #flushOnce(): Promise<boolean> {
    const memtable = this.#memtables[this.#memtables.length - 1]
    if (this.#memtables.length === 1) return false
    const file = this.#set.newFile()
    const format = { codec: codecOf(this.#settings, 0), blockBytes: this.#settings.blockBytes }
    const { buffer, firstLeaf, used } = memtable
    const threshold = this.#retention.collected
    const room = this.#rooms.take(tableRoom(used))
    try {
      const image = await this.#io.tasks.cpu(flushMemtable, { arena: buffer, firstLeaf, file, format, room, threshold })
      const added = image ? [{ level: 0, meta: metaOf(file, file, image.bytes.length, image.properties) }] : []
      if (image !== undefined) await this.#set.write(file, image.bytes)
      await this.#set.edit(
        () => ({ added, positions: memtable.applied }),
        () => {
          assert(this.#memtables.pop() === memtable, 'memtables are flushed in their order')
          memtable.retire((arena) => this.#arenas.giveBack(arena))
          for (const done of this.#flushWaiters.get(memtable) ?? []) done()
          this.#flushWaiters.delete(memtable)
        },
      )
      this.#bytesFlushed += image?.bytes.length ?? 0
    } catch (error) {
      if (!this.#io.dead) await this.#set.discard([file])
      throw error
    } finally {
      this.#rooms.giveBack(room)
    }
    this.#flushes++
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
}

function metasOf(version: Version): TableMeta[][] {
  return version.levels.map((tables) => tables.map(({ meta }) => meta))
}

function checkDisjoint(metas: readonly TableMeta[]): void {
  const sorted = [...metas].sort((a, b) => compareKeys(a.start, b.start))
  for (let i = 1; i < sorted.length; i++) {
    assert(compareKeys(sorted[i - 1].end, sorted[i].start) <= 0, 'tables that are ingested together do not overlap')
  }
}
