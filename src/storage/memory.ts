/**
 * The engine as a model: every version of every key in an ordered map in memory. What the LSM engine does is checked
 * against this, so it is written to be obviously right rather than quick; it also serves `:memory:` databases in tests.
 *
 * Not here: durability. `flushed` means here that nothing more could be kept by flushing.
 */
import { assert, END, ROW, type Step, type Timestamp } from '../base/index.ts'
import { WriteSetReader } from '../encoding/index.ts'
import type {
  ApplyTask,
  BuiltTable,
  CursorOptions,
  Engine,
  EngineCursor,
  EngineStats,
  Found,
  LogPosition,
  Slab,
  Span,
  TableWriter,
  VersionWriter,
} from './engine.ts'
import { checkKeyLength, inSpan } from './key-order.ts'
import { MemoryCursor, visible } from './memory-cursor.ts'
import { MemoryMap, type Row, type Version } from './memory-map.ts'
import { MemoryVersionWriter } from './memory-table-writer.ts'
import { MemoryVersionCursor } from './memory-version-cursor.ts'
import { Retention } from './retention.ts'
import { SingleTimestampWriter } from './single-timestamp-writer.ts'

const slabBytes = 1 << 20
const resolved = Promise.resolve()

export class MemoryEngine implements Engine {
  readonly #rows = new MemoryMap()
  readonly #applied = new Map<number, number>()
  readonly #flushed = new Map<number, number>()
  readonly #retention = new Retention()
  readonly #built = new Map<number, Row[]>()
  /** Write sets of which only a part is applied, by stream. */
  readonly #unfinished = new Map<number, ApplyTask>()
  readonly #forgotten = new Set<number>()
  #nextFile = 1
  #slab: Slab = newSlab(slabBytes)
  #used = 0
  #bytes = 0
  #versions = 0
  #newest: Timestamp = 0
  newestInTables: Timestamp = 0

  readonly stalled = false

  unstalled(): Promise<void> {
    return resolved
  }

  apply(writeSet: Uint8Array, stream: number, index: number): void {
    this.beginApply(writeSet, stream, index).step(Number.MAX_SAFE_INTEGER)
  }

  beginApply(writeSet: Uint8Array, stream: number, index: number): ApplyTask {
    this.#checkNext(stream, index)
    const reader = new WriteSetReader(writeSet)
    const task: ApplyTask = {
      step: (maxEntries) => {
        assert(this.#unfinished.get(stream) === task, 'a task that is done or void takes no step')
        const end = Math.max(0, reader.left - maxEntries)
        while (reader.left > end && reader.next()) {
          const key = writeSet.subarray(reader.keyStart, reader.keyEnd)
          const value = reader.valueStart < 0 ? undefined : writeSet.subarray(reader.valueStart, reader.valueEnd)
          this.#put(this.#store(key, value, reader.timestamp))
        }
        if (reader.left > 0) return false
        this.#unfinished.delete(stream)
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
    return this.#flushed.get(stream) ?? 0
  }

  forget(stream: number): void {
    this.#unfinished.delete(stream)
    this.#applied.delete(stream)
    this.#flushed.delete(stream)
    this.#forgotten.add(stream)
  }

  found(): Found {
    return { slab: this.#slab, valueStart: 0, valueEnd: 0, timestamp: 0, ready: () => resolved }
  }

  get(key: Uint8Array, at: Timestamp, found: Found): Step {
    found.timestamp = 0
    const row = this.#rows.get(key)
    const version = row && visible(row, at)
    if (version === undefined) return END
    found.timestamp = version.timestamp
    if (version.valueStart < 0) return END
    found.slab = version.slab
    found.valueStart = version.valueStart
    found.valueEnd = version.valueEnd
    return ROW
  }

  cursor(span: Span, at: Timestamp, options?: CursorOptions): EngineCursor {
    return new MemoryCursor(this.#rows, span, at, options)
  }

  versions(span: Span): EngineCursor {
    return new MemoryVersionCursor(this.#rows, span)
  }

  changed(span: Span, after: Timestamp, upTo: Timestamp, found: Found): Step {
    found.timestamp = 0
    this.#rows.ascend(span.start, false, (row) => {
      if (!inSpan(span, row.key)) return false
      const version = visible(row, upTo)
      if (version === undefined || version.timestamp <= after) return true
      found.timestamp = version.timestamp
      return false
    })
    return found.timestamp > 0 ? ROW : END
  }

  protect(at: Timestamp): { release(): void } {
    return this.#retention.protect(at)
  }

  get collectedBefore(): Timestamp {
    return this.#retention.collected
  }

  collectBefore(at: Timestamp): void {
    this.#retention.collectBefore(at)
  }

  tableWriter(timestamp: Timestamp): TableWriter {
    return new SingleTimestampWriter(timestamp, this.versionWriter())
  }

  versionWriter(): VersionWriter {
    return new MemoryVersionWriter(
      (key, timestamp, value) => this.#store(key, value, timestamp),
      (rows) => {
        const fileNumber = this.#nextFile++
        this.#built.set(fileNumber, rows)
        return fileNumber
      },
      (fileNumber) => this.#built.delete(fileNumber),
    )
  }

  async ingest(tables: readonly BuiltTable[], excised: readonly Span[], position: LogPosition): Promise<void> {
    this.#checkNext(position.stream, position.index)
    const built = tables.map((table) => {
      const found = this.#built.get(table.fileNumber)
      assert(found !== undefined, `table ${table.fileNumber} was built here and not yet ingested`)
      this.#built.delete(table.fileNumber)
      return found
    })
    for (const span of excised) this.#remove(span)
    for (const rows of built)
      for (const { versions } of rows) for (const version of versions.toReversed()) this.#put(version)
    this.#applied.set(position.stream, position.index)
    await this.flush()
  }

  async discard(spans: readonly Span[]): Promise<void> {
    for (const span of spans) this.#remove(span)
  }

  async excise(span: Span, position: LogPosition): Promise<void> {
    await this.ingest([], [span], position)
  }

  async flush(): Promise<void> {
    for (const [stream, index] of this.#applied) this.#flushed.set(stream, index)
    this.newestInTables = this.#newest
  }

  async compact(): Promise<void> {
    const before = this.collectedBefore
    this.#rows.filter((row) => {
      const oldest = row.versions.findIndex((version) => version.timestamp <= before)
      if (oldest >= 0) this.#forget(row.versions.splice(oldest + 1))
      const [newest] = row.versions
      if (newest.valueStart >= 0 || newest.timestamp > before) return true
      this.#forget(row.versions)
      return false
    })
  }

  estimate(span: Span): { bytes: number; entries: number } {
    let bytes = 0
    let entries = 0
    this.#rows.ascend(span.start, false, (row) => {
      if (!inSpan(span, row.key)) return false
      entries += row.versions.length
      for (const version of row.versions) bytes += version.valueEnd - version.keyStart
      return true
    })
    return { bytes, entries }
  }

  stats(): EngineStats {
    return {
      memtables: 1,
      memtableBytes: this.#bytes,
      memtableEntries: this.#versions,
      levels: [],
      blockCacheBytes: 0,
      blockCacheHits: 0,
      blockCacheMisses: 0,
      flushes: 0,
      compactions: 0,
      bytesFlushed: 0,
      bytesCompacted: 0,
      stallMicros: 0,
    }
  }

  async close(): Promise<void> {}

  /** Copies key and value side by side into a slab. */
  #store(key: Uint8Array, value: Uint8Array | undefined, timestamp: Timestamp): Version {
    checkKeyLength(key.length)
    const length = key.length + (value?.length ?? 0)
    if (this.#used + length > this.#slab.bytes.length) {
      this.#slab = newSlab(Math.max(slabBytes, length))
      this.#used = 0
    }
    const keyStart = this.#used
    const keyEnd = keyStart + key.length
    this.#slab.bytes.set(key, keyStart)
    if (value) this.#slab.bytes.set(value, keyEnd)
    this.#used = keyStart + length
    const valueStart = value ? keyEnd : -1
    return { timestamp, slab: this.#slab, keyStart, keyEnd, valueStart, valueEnd: keyStart + length }
  }

  #put(version: Version): void {
    const key = version.slab.bytes.subarray(version.keyStart, version.keyEnd)
    const row = this.#rows.get(key)
    this.#bytes += version.valueEnd - version.keyStart
    this.#versions++
    if (version.timestamp > this.#newest) this.#newest = version.timestamp
    if (row === undefined) {
      this.#rows.insert({ key, versions: [version] })
      return
    }
    const [newest] = row.versions
    assert(version.timestamp >= newest.timestamp, 'the timestamps of one key never go back')
    if (version.timestamp === newest.timestamp) this.#forget(row.versions.splice(0, 1))
    row.versions.unshift(version)
  }

  #remove(span: Span): void {
    this.#rows.filter((row) => {
      if (!inSpan(span, row.key)) return true
      this.#forget(row.versions)
      return false
    })
  }

  #forget(versions: readonly Version[]): void {
    for (const version of versions) this.#bytes -= version.valueEnd - version.keyStart
    this.#versions -= versions.length
  }

  #checkNext(stream: number, index: number): void {
    assert(index > this.applied(stream), `entry ${index} of stream ${stream} is applied once, in order`)
    assert(!this.#unfinished.has(stream), `what was begun of stream ${stream} is applied to its end first`)
    assert(!this.#forgotten.has(stream), `stream ${stream} is forgotten`)
  }
}

function newSlab(length: number): Slab {
  const bytes = new Uint8Array(length)
  return { bytes, view: new DataView(bytes.buffer) }
}
