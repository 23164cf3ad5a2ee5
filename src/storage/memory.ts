/**
 * The engine as a model: every version of every key in an ordered map in memory. What the LSM engine does is checked
 * against this, so it is written to be obviously right rather than quick; it also serves `:memory:` databases in tests.
 *
 * Not here: durability. `flushed` means here that nothing more could be kept by flushing.
 */
import { assert, END, ROW, type Step, type Timestamp } from '../base/index.ts'
import { WriteSetReader } from '../encoding/index.ts'
import type {
  BuiltTable,
  CursorOptions,
  Engine,
  EngineCursor,
  EngineStats,
  EntryBatch,
  Found,
  LogPosition,
  Slab,
  Span,
  TableWriter,
} from './engine.ts'
import { batchCapacity, returnBatch, type SlabBatch, takeBatch } from './entry-batch.ts'
import { checkKeyLength, compareKeys, inSpan } from './key-order.ts'
import { MemoryMap, type Row, type Version } from './memory-map.ts'
import { Retention } from './retention.ts'

const slabBytes = 1 << 20
const resolved = Promise.resolve()

export class MemoryEngine implements Engine {
  readonly #rows = new MemoryMap()
  readonly #applied = new Map<number, number>()
  readonly #flushed = new Map<number, number>()
  readonly #retention = new Retention()
  readonly #built = new Map<number, { timestamp: Timestamp; rows: Row[] }>()
  #nextFile = 1
  #slab: Slab = newSlab(slabBytes)
  #used = 0
  #bytes = 0
  #versions = 0

  readonly stalled = false

  unstalled(): Promise<void> {
    return resolved
  }

  apply(writeSet: Uint8Array, stream: number, index: number): void {
    assert(index > this.applied(stream), `entry ${index} of stream ${stream} is applied once, in order`)
    const reader = new WriteSetReader(writeSet)
    while (reader.next()) {
      const key = writeSet.subarray(reader.keyStart, reader.keyEnd)
      const value = reader.valueStart < 0 ? undefined : writeSet.subarray(reader.valueStart, reader.valueEnd)
      this.#put(this.#store(key, value, reader.timestamp))
    }
    this.#applied.set(stream, index)
  }

  applied(stream: number): number {
    return this.#applied.get(stream) ?? 0
  }

  flushed(stream: number): number {
    return this.#flushed.get(stream) ?? 0
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
    return new MemoryTableWriter(
      (key, value) => this.#store(key, value, timestamp),
      (rows) => {
        const fileNumber = this.#nextFile++
        this.#built.set(fileNumber, { timestamp, rows })
        return fileNumber
      },
    )
  }

  async ingest(tables: readonly BuiltTable[], excised: Span | undefined, position: LogPosition): Promise<void> {
    const built = tables.map((table) => {
      const found = this.#built.get(table.fileNumber)
      assert(found !== undefined, `table ${table.fileNumber} was built here and not yet ingested`)
      this.#built.delete(table.fileNumber)
      return found
    })
    if (excised) this.#remove(excised)
    for (const { rows } of built) for (const row of rows) this.#put(row.versions[0])
    this.#record(position)
  }

  async discard(spans: readonly Span[]): Promise<void> {
    for (const span of spans) this.#remove(span)
  }

  async excise(span: Span, position: LogPosition): Promise<void> {
    this.#remove(span)
    this.#record(position)
  }

  async flush(): Promise<void> {
    for (const [stream, index] of this.#applied) this.#flushed.set(stream, index)
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

  #record(position: LogPosition): void {
    assert(position.index > this.applied(position.stream), 'a log position is applied once, in order')
    this.#applied.set(position.stream, position.index)
    this.#flushed.set(position.stream, position.index)
  }
}

function newSlab(length: number): Slab {
  const bytes = new Uint8Array(length)
  return { bytes, view: new DataView(bytes.buffer) }
}

function visible(row: Row, at: Timestamp): Version | undefined {
  return row.versions.find((version) => version.timestamp <= at)
}

class MemoryCursor implements EngineCursor {
  readonly #rows: MemoryMap
  readonly #span: Span
  readonly #at: Timestamp
  readonly #reverse: boolean
  readonly #deletions: boolean
  #batch: SlabBatch | undefined
  /** Where to go on: the lowest key wanted, or in reverse the key below which all is wanted. */
  #bound: Uint8Array | undefined
  #exclusive = false

  constructor(rows: MemoryMap, span: Span, at: Timestamp, options: CursorOptions | undefined) {
    this.#rows = rows
    this.#span = span
    this.#at = at
    this.#reverse = options?.reverse ?? false
    this.#deletions = options?.deletions ?? false
    this.#batch = takeBatch()
    this.#bound = this.#reverse ? span.end : span.start
  }

  get batch(): EntryBatch {
    assert(this.#batch !== undefined, 'a closed cursor is not read')
    return this.#batch
  }

  next(limit: number = batchCapacity): Step {
    const batch = this.#batch
    assert(batch !== undefined, 'a closed cursor is not read')
    batch.clear()
    const most = Math.min(limit, batchCapacity)
    const visit = (row: Row): boolean => {
      if (!inSpan(this.#span, row.key) || batch.count === most) return false
      this.#bound = row.key
      this.#exclusive = true
      const version = visible(row, this.#at)
      if (version !== undefined && (version.valueStart >= 0 || this.#deletions)) push(batch, version)
      return true
    }
    if (this.#reverse) this.#rows.descend(this.#bound, visit)
    else this.#rows.ascend(this.#bound!, this.#exclusive, visit)
    return batch.count > 0 ? ROW : END
  }

  seek(key: Uint8Array): void {
    const { start, end } = this.#span
    if (this.#reverse) this.#bound = end !== undefined && compareKeys(key, end) > 0 ? end : key.slice()
    else this.#bound = compareKeys(key, start) < 0 ? start : key.slice()
    this.#exclusive = false
  }

  ready(): Promise<void> {
    return resolved
  }

  close(): void {
    if (this.#batch) returnBatch(this.#batch)
    this.#batch = undefined
  }
}

function push(batch: SlabBatch, version: Version): void {
  const i = batch.count++
  batch.slab[i] = batch.slabNumber(version.slab)
  batch.keyStart[i] = version.keyStart
  batch.keyEnd[i] = version.keyEnd
  batch.valueStart[i] = version.valueStart
  batch.valueEnd[i] = version.valueEnd
  batch.timestamps[i] = version.timestamp
}

class MemoryTableWriter implements TableWriter {
  readonly full = false
  readonly #store: (key: Uint8Array, value: Uint8Array) => Version
  readonly #register: (rows: Row[]) => number
  readonly #rows: Row[] = []
  #bytes = 0

  constructor(store: (key: Uint8Array, value: Uint8Array) => Version, register: (rows: Row[]) => number) {
    this.#store = store
    this.#register = register
  }

  add(key: Uint8Array, value: Uint8Array): void {
    const last = this.#rows.at(-1)
    assert(last === undefined || compareKeys(last.key, key) < 0, 'the keys of a table ascend strictly')
    const version = this.#store(key, value)
    this.#rows.push({ key: version.slab.bytes.subarray(version.keyStart, version.keyEnd), versions: [version] })
    this.#bytes += key.length + value.length
  }

  async drain(): Promise<void> {}

  async finish(): Promise<BuiltTable[]> {
    if (this.#rows.length === 0) return []
    return [{ fileNumber: this.#register(this.#rows), entries: this.#rows.length, bytes: this.#bytes }]
  }

  async abandon(): Promise<void> {
    this.#rows.length = 0
  }
}
