/**
 * All versions of a span of the memory engine, collected when the cursor is made: versions are immutable, so the list is
 * the picture.
 *
 * Not here: reads at a timestamp (memory-cursor.ts).
 */
import { assert, END, ROW, type Step } from '../base/index.ts'
import type { EngineCursor, EntryBatch, Span } from './engine.ts'
import { batchCapacity, returnBatch, type SlabBatch, takeBatch } from './entry-batch.ts'
import { compareKeys, inSpan } from './key-order.ts'
import { push } from './memory-cursor.ts'
import type { MemoryMap, Version } from './memory-map.ts'

export class MemoryVersionCursor implements EngineCursor {
  readonly #versions: Version[] = []
  #next = 0
  #batch: SlabBatch | undefined = takeBatch()

  constructor(rows: MemoryMap, span: Span) {
    rows.ascend(span.start, false, (row) => {
      if (!inSpan(span, row.key)) return false
      for (const version of row.versions) this.#versions.push(version)
      return true
    })
  }

  get batch(): EntryBatch {
    assert(this.#batch !== undefined, 'a closed cursor is not read')
    return this.#batch
  }

  next(limit: number = batchCapacity): Step {
    const batch = this.#batch
    assert(batch !== undefined, 'a closed cursor is not read')
    batch.clear()
    const end = Math.min(this.#versions.length, this.#next + Math.min(limit, batchCapacity))
    while (this.#next < end) push(batch, this.#versions[this.#next++])
    return batch.count > 0 ? ROW : END
  }

  seek(key: Uint8Array): void {
    const first = this.#versions.findIndex(({ slab, keyStart, keyEnd }) => {
      return compareKeys(slab.bytes.subarray(keyStart, keyEnd), key) >= 0
    })
    this.#next = first < 0 ? this.#versions.length : first
  }

  ready(): Promise<void> {
    return Promise.resolve()
  }

  close(): void {
    if (this.#batch) returnBatch(this.#batch)
    this.#batch = undefined
  }
}
