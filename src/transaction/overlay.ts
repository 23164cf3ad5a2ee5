/**
 * A transaction's own writes, ordered by key, that every one of its reads is merged with.
 *
 * Keys and values lie in arenas of the overlay. A version carries the sequence number of the statement that wrote it:
 * a statement sees only what earlier ones wrote, and rolling back to a savepoint drops what came after it.
 *
 *   key ──► newest version ──► older version ──► …        (statement numbers fall along the chain)
 *
 * Not here: merging with the engine (cursor.ts), locks.
 */
import type { WriteSetBuilder } from '../encoding/index.ts'
import type { Slab } from '../storage/index.ts'

const arenaBytes = 16 * 1024

export class OverlayVersion {
  readonly slab: Slab
  readonly keyStart: number
  readonly keyEnd: number
  /** -1 for a deletion. */
  readonly valueStart: number
  readonly valueEnd: number
  readonly statement: number
  readonly older: OverlayVersion | undefined

  constructor(slab: Slab, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number, statement: number, older: OverlayVersion | undefined) {
    this.slab = slab
    this.keyStart = keyStart
    this.keyEnd = keyEnd
    this.valueStart = valueStart
    this.valueEnd = valueEnd
    this.statement = statement
    this.older = older
  }
}

/** The versions of one storage id (the first four bytes of their keys), so that a scan meets only its own. */
class Partition {
  readonly newest = new Map<string, OverlayVersion>()
  /** Keys in byte order; latin1 strings compare as their bytes do. `fresh` ones are not merged in yet. */
  sorted: string[] = []
  fresh: string[] = []

  order(): string[] {
    if (this.fresh.length > 0) {
      this.fresh.sort(byCode)
      // A key rolled back and written again stands here twice.
      this.fresh = this.fresh.filter((key, i, all) => i === 0 || key !== all[i - 1])
      this.sorted = this.sorted.length === 0 ? this.fresh : mergeSorted(this.sorted, this.fresh)
      this.fresh = []
    }
    return this.sorted
  }
}

export class Overlay {
  readonly #partitions = new Map<number, Partition>()
  readonly #undo: { partition: Partition; key: string; before: OverlayVersion | undefined }[] = []
  #slab: Slab | undefined
  #at = 0
  /** Bytes written, old versions included. */
  bytes = 0

  get empty(): boolean {
    return this.#undo.length === 0
  }

  /** Position to roll back to. */
  get mark(): number {
    return this.#undo.length
  }

  /** The newest version of a key that statements before `before` wrote. */
  get(key: Uint8Array, keyString: string, before: number): OverlayVersion | undefined {
    if (this.#undo.length === 0) return undefined
    const partition = this.#partitions.get(storageId(key))
    if (partition === undefined) return undefined
    return visible(partition.newest.get(keyString), before)
  }

  hasStorage(id: number): boolean {
    return this.#partitions.has(id)
  }

  /** Storage ids with writes. */
  storages(): Iterable<number> {
    return this.#partitions.keys()
  }

  /** Keys of a storage id in order; a snapshot that later writes do not change. */
  keys(id: number): readonly string[] {
    return this.#partitions.get(id)?.order() ?? []
  }

  version(id: number, keyString: string, before: number): OverlayVersion | undefined {
    return visible(this.#partitions.get(id)?.newest.get(keyString), before)
  }

  /** Writes a version; `value` undefined deletes. */
  set(key: Uint8Array, keyString: string, value: Uint8Array | undefined, valueStart: number, valueEnd: number, statement: number): void {
    const id = storageId(key)
    let partition = this.#partitions.get(id)
    if (partition === undefined) {
      partition = new Partition()
      this.#partitions.set(id, partition)
    }
    const before = partition.newest.get(keyString)
    if (before === undefined) partition.fresh.push(keyString)
    const valueLength = value === undefined ? 0 : valueEnd - valueStart
    const slab = this.#room(key.length + valueLength)
    const start = this.#at
    slab.bytes.set(key, start)
    let at = start + key.length
    let from = -1
    if (value !== undefined) {
      slab.bytes.set(valueStart === 0 && valueEnd === value.length ? value : value.subarray(valueStart, valueEnd), at)
      from = at
      at += valueLength
    }
    this.#at = at
    this.bytes += at - start
    partition.newest.set(keyString, new OverlayVersion(slab, start, start + key.length, from, at, statement, before))
    this.#undo.push({ partition, key: keyString, before })
  }

  /** Drops every version written since `mark`. */
  rollback(mark: number): void {
    while (this.#undo.length > mark) {
      const { partition, key, before } = this.#undo.pop()!
      if (before !== undefined) partition.newest.set(key, before)
      else partition.newest.delete(key)
    }
  }

  /** Calls `each` for the newest version of every key written. */
  forEach(each: (version: OverlayVersion, keyString: string) => void): void {
    for (const partition of this.#partitions.values()) partition.newest.forEach(each)
  }

  writeTo(set: WriteSetBuilder): void {
    this.forEach((v) => {
      if (v.valueStart < 0) set.deleteRange(v.slab.bytes, v.keyStart, v.keyEnd)
      else set.putRange(v.slab.bytes, v.keyStart, v.keyEnd, v.valueStart, v.valueEnd)
    })
  }

  #room(length: number): Slab {
    if (this.#slab === undefined || this.#at + length > this.#slab.bytes.length) {
      const size = Math.max(length, this.#slab === undefined ? 1024 : arenaBytes)
      const bytes = new Uint8Array(size)
      this.#slab = { bytes, view: new DataView(bytes.buffer) }
      this.#at = 0
    }
    return this.#slab
  }
}

export function storageId(key: Uint8Array): number {
  return ((key[0] << 24) | (key[1] << 16) | (key[2] << 8) | key[3]) >>> 0
}

function visible(version: OverlayVersion | undefined, before: number): OverlayVersion | undefined {
  let v = version
  while (v !== undefined && v.statement >= before) v = v.older
  return v
}

function byCode(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function mergeSorted(a: readonly string[], b: readonly string[]): string[] {
  const out = new Array<string>(a.length + b.length)
  let i = 0
  let j = 0
  let n = 0
  while (i < a.length && j < b.length) {
    if (a[i] < b[j]) out[n++] = a[i++]
    else if (a[i] === b[j]) {
      out[n++] = a[i++]
      j++
    } else out[n++] = b[j++]
  }
  while (i < a.length) out[n++] = a[i++]
  while (j < b.length) out[n++] = b[j++]
  out.length = n
  return out
}
