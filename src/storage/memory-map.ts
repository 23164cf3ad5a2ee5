/**
 * An ordered map of keys in memory, as plain as can be: sorted arrays of at most 512 keys in a sorted array.
 *
 * Not here: versions' meaning (memory.ts), speed (lsm/memtable).
 */
import type { Timestamp } from '../base/index.ts'
import type { Slab } from './engine.ts'
import { compareKeys } from './key-order.ts'

export interface Version {
  readonly timestamp: Timestamp
  readonly slab: Slab
  readonly keyStart: number
  readonly keyEnd: number
  /** -1 for a deletion. */
  readonly valueStart: number
  readonly valueEnd: number
}

export interface Row {
  readonly key: Uint8Array
  /** Newest first, never empty. */
  readonly versions: Version[]
}

const chunkLimit = 512

export class MemoryMap {
  #chunks: Row[][] = [[]]
  size = 0

  get(key: Uint8Array): Row | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)]
    const row = chunk[lowerBound(chunk, key)]
    return row !== undefined && compareKeys(row.key, key) === 0 ? row : undefined
  }

  insert(row: Row): void {
    const index = this.#chunkOf(row.key)
    const chunk = this.#chunks[index]
    chunk.splice(lowerBound(chunk, row.key), 0, row)
    this.size++
    if (chunk.length > chunkLimit) this.#chunks.splice(index + 1, 0, chunk.splice(chunkLimit / 2))
  }

  /** Visits rows ≥ start (after it when `exclusive`) upwards until the visitor answers false. */
  ascend(start: Uint8Array, exclusive: boolean, visit: (row: Row) => boolean): void {
    let index = this.#chunkOf(start)
    let at = lowerBound(this.#chunks[index], start)
    if (exclusive && at < this.#chunks[index].length && compareKeys(this.#chunks[index][at].key, start) === 0) at++
    for (; index < this.#chunks.length; index++, at = 0) {
      const chunk = this.#chunks[index]
      for (; at < chunk.length; at++) if (!visit(chunk[at])) return
    }
  }

  /** Visits rows < end (all when absent) downwards until the visitor answers false. */
  descend(end: Uint8Array | undefined, visit: (row: Row) => boolean): void {
    let index = end === undefined ? this.#chunks.length - 1 : this.#chunkOf(end)
    let at = end === undefined ? this.#chunks[index].length : lowerBound(this.#chunks[index], end)
    for (; ; at = this.#chunks[index].length) {
      const chunk = this.#chunks[index]
      while (at > 0) if (!visit(chunk[--at])) return
      if (--index < 0) return
    }
  }

  /** Keeps the rows for which the test holds. */
  filter(keep: (row: Row) => boolean): void {
    this.#chunks = this.#chunks.map((chunk) => chunk.filter(keep)).filter((chunk) => chunk.length > 0)
    if (this.#chunks.length === 0) this.#chunks.push([])
    this.size = this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  }

  /** The last chunk whose first key is ≤ the key, else the first one. */
  #chunkOf(key: Uint8Array): number {
    let low = 0
    let high = this.#chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (compareKeys(this.#chunks[middle][0].key, key) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }
}

function lowerBound(rows: readonly Row[], key: Uint8Array): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareKeys(rows[middle].key, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
