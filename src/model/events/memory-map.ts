/**
 * The ordered map in plain memory: for tests, for stores that need not outlive their program, and as the model of others.
 *
 *   chunks   [ a b c … ] [ m n … ] [ x y z ]     each sorted, at most 512 entries, none empty but the only one
 *
 * Not here: durability.
 */
import { DbError } from '../../base/index.ts'
import { compareBytes } from '../../replication/sync/index.ts'
import type { Change, Entry, OrderedMap, ScanOptions } from './ordered-map.ts'

const chunkEntries = 512

export function memoryMap(): OrderedMap {
  return new MemoryOrderedMap()
}

class MemoryOrderedMap implements OrderedMap {
  #chunks: Entry[][] = [[]]
  #closed = false

  async write(changes: readonly Change[]): Promise<void> {
    this.#check()
    for (const { key, value } of changes) {
      if (value === undefined) this.#delete(key)
      else this.#put({ key, value })
    }
  }

  async get(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    this.#check()
    return keys.map((key) => {
      const chunk = this.#chunks[this.#chunkOf(key)]
      const at = lowerBound(chunk, key)
      return at < chunk.length && compareBytes(chunk[at].key, key) === 0 ? chunk[at].value : undefined
    })
  }

  async scan({ from, to, reverse, limit }: ScanOptions): Promise<Entry[]> {
    this.#check()
    const out: Entry[] = []
    if (reverse) {
      let c = this.#chunkOf(to)
      let at = lowerBound(this.#chunks[c], to) - 1
      while (out.length < limit) {
        if (at < 0) {
          if (--c < 0) break
          at = this.#chunks[c].length - 1
          continue
        }
        const entry = this.#chunks[c][at--]
        if (compareBytes(entry.key, from) < 0) break
        out.push(entry)
      }
      return out
    }
    let c = this.#chunkOf(from)
    let at = lowerBound(this.#chunks[c], from)
    while (out.length < limit) {
      if (at >= this.#chunks[c].length) {
        if (++c >= this.#chunks.length) break
        at = 0
        continue
      }
      const entry = this.#chunks[c][at++]
      if (compareBytes(entry.key, to) >= 0) break
      out.push(entry)
    }
    return out
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #check(): void {
    if (this.#closed) throw new DbError('store_closed', 'the map is closed')
  }

  /** The last chunk that begins at or before the key; the first when there is none. */
  #chunkOf(key: Uint8Array): number {
    const chunks = this.#chunks
    let low = 0
    let high = chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (compareBytes(chunks[middle][0].key, key) <= 0) low = middle
      else high = middle - 1
    }
    return low
  }

  #put(entry: Entry): void {
    const c = this.#chunkOf(entry.key)
    const chunk = this.#chunks[c]
    const at = lowerBound(chunk, entry.key)
    if (at < chunk.length && compareBytes(chunk[at].key, entry.key) === 0) {
      chunk[at] = entry
      return
    }
    if (at === chunk.length) chunk.push(entry)
    else chunk.splice(at, 0, entry)
    if (chunk.length <= chunkEntries) return
    // What ascends leaves full chunks behind.
    const half = at === chunk.length - 1 ? chunk.length - 1 : chunk.length >> 1
    this.#chunks.splice(c + 1, 0, chunk.splice(half))
  }

  #delete(key: Uint8Array): void {
    const c = this.#chunkOf(key)
    const chunk = this.#chunks[c]
    const at = lowerBound(chunk, key)
    if (at >= chunk.length || compareBytes(chunk[at].key, key) !== 0) return
    chunk.splice(at, 1)
    if (chunk.length === 0 && this.#chunks.length > 1) this.#chunks.splice(c, 1)
  }
}

/** Index of the first entry ≥ key. */
function lowerBound(entries: readonly Entry[], key: Uint8Array): number {
  let low = 0
  let high = entries.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareBytes(entries[middle].key, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
