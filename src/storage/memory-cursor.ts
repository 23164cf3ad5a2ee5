/**
 * A scan of the memory engine at a timestamp.
 *
 * Not here: the picture of all versions (memory-version-cursor.ts).
 */
import { assert, END, ROW, type Step, type Timestamp } from '../base/index.ts'
import type { CursorOptions, EngineCursor, EntryBatch, Span } from './engine.ts'
import { batchCapacity, returnBatch, type SlabBatch, takeBatch } from './entry-batch.ts'
import { compareKeys, inSpan } from './key-order.ts'
import type { MemoryMap, Row, Version } from './memory-map.ts'

const resolved = Promise.resolve()

export function visible(row: Row, at: Timestamp): Version | undefined {
  return row.versions.find((version) => version.timestamp <= at)
}

export class MemoryCursor implements EngineCursor {
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

export function push(batch: SlabBatch, version: Version): void {
  const i = batch.count++
  batch.slab[i] = batch.slabNumber(version.slab)
  batch.keyStart[i] = version.keyStart
  batch.keyEnd[i] = version.keyEnd
  batch.valueStart[i] = version.valueStart
  batch.valueEnd[i] = version.valueEnd
  batch.timestamps[i] = version.timestamp
}
