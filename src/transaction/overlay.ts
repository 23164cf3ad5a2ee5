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
const maxArenaBytes = 1024 * 1024
/** Small transactions take their room from a slab that they share with others: memory of their own costs more than they write. */
const smallBytes = 1024
const sharedBytes = 64 * 1024
let shared = newSlab(sharedBytes)
let sharedAt = 0

interface Undo {
  readonly partition: Partition
  /** Undefined: rows were appended from `count` on. */
  readonly key: string | undefined
  readonly before: OverlayVersion | undefined
  readonly count: number
}

export class OverlayVersion {
  readonly slab: Slab
  readonly keyStart: number
  readonly keyEnd: number
  /** -1 for a deletion. */
  readonly valueStart: number
  readonly valueEnd: number
  readonly statement: number
  readonly older: OverlayVersion | undefined

  constructor(
    slab: Slab,
    keyStart: number,
    keyEnd: number,
    valueStart: number,
    valueEnd: number,
    statement: number,
    older: OverlayVersion | undefined,
  ) {
    this.slab = slab
    this.keyStart = keyStart
    this.keyEnd = keyEnd
    this.valueStart = valueStart
    this.valueEnd = valueEnd
    this.statement = statement
    this.older = older
  }
}

/** Where a version lies; see `Overlay.newest`. */
export interface OverlayRange {
  bytes: Uint8Array
  keyStart: number
  keyEnd: number
  /** -1 for a deletion. */
  valueStart: number
  valueEnd: number
}

/**
 * Rows appended in ascending key order (COPY, row ids): kept as offsets only, without an object or a string each, until
 * somebody looks at the storage.
 */
class Run {
  count = 0
  readonly slabs: Slab[] = []
  slab = new Uint16Array(8)
  keyStart = new Int32Array(8)
  keyEnd = new Int32Array(8)
  valueEnd = new Int32Array(8)
  statement = new Int32Array(8)

  add(slab: Slab, keyStart: number, keyEnd: number, valueEnd: number, statement: number): void {
    if (this.count === this.keyStart.length) this.#grow()
    if (this.slabs[this.slabs.length - 1] !== slab) this.slabs.push(slab)
    const i = this.count++
    this.slab[i] = this.slabs.length - 1
    this.keyStart[i] = keyStart
    this.keyEnd[i] = keyEnd
    this.valueEnd[i] = valueEnd
    this.statement[i] = statement
  }

  /** Whether a key comes after the last one. */
  follows(key: Uint8Array, length: number): boolean {
    if (this.count === 0) return true
    const i = this.count - 1
    const { bytes } = this.slabs[this.slab[i]]
    const start = this.keyStart[i]
    const n = this.keyEnd[i] - start
    for (let k = 0; k < n && k < length; k++) if (key[k] !== bytes[start + k]) return key[k] > bytes[start + k]
    return length > n
  }

  version(i: number): OverlayVersion {
    return new OverlayVersion(
      this.slabs[this.slab[i]],
      this.keyStart[i],
      this.keyEnd[i],
      this.keyEnd[i],
      this.valueEnd[i],
      this.statement[i],
      undefined,
    )
  }

  key(i: number): string {
    const { bytes } = this.slabs[this.slab[i]]
    return Buffer.from(bytes.buffer, bytes.byteOffset + this.keyStart[i], this.keyEnd[i] - this.keyStart[i]).toString(
      'latin1',
    )
  }

  #grow(): void {
    const double = (a: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
      const out = new Int32Array(a.length * 2)
      out.set(a)
      return out
    }
    const slab = new Uint16Array(this.slab.length * 2)
    slab.set(this.slab)
    this.slab = slab
    this.keyStart = double(this.keyStart)
    this.keyEnd = double(this.keyEnd)
    this.valueEnd = double(this.valueEnd)
    this.statement = double(this.statement)
  }
}

/** The versions of one storage id (the first four bytes of their keys), so that a scan meets only its own. */
class Partition {
  readonly newest = new Map<string, OverlayVersion>()
  /** Appended rows; those before `settled` are in `newest` too. */
  run: Run | undefined
  settled = 0

  /** Makes appended rows visible to look-ups. */
  settle(): void {
    const { run } = this
    if (run === undefined) return
    for (; this.settled < run.count; this.settled++) {
      const key = run.key(this.settled)
      this.fresh.push(key)
      this.newest.set(key, run.version(this.settled))
    }
  }

  /** Drops appended rows from `count` on. */
  truncate(count: number): void {
    const run = this.run!
    for (let i = count; i < this.settled; i++) this.newest.delete(run.key(i))
    this.settled = Math.min(this.settled, count)
    run.count = count
  }

  /** Keys in byte order; latin1 strings compare as their bytes do. `fresh` ones are not merged in yet. */
  sorted: string[] = []
  fresh: string[] = []

  order(): string[] {
    this.settle()
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
  readonly #undo: Undo[] = []
  /** Undo entries below this belong to a mark: appends after it are undone apart. */
  #sealed = 0
  #slab: Slab | undefined
  #at = 0
  /** Where this transaction's part of the slab ends. */
  #end = 0
  /** Bytes written, old versions included. */
  bytes = 0

  get empty(): boolean {
    return this.#undo.length === 0
  }

  /** Position to roll back to. */
  get mark(): number {
    this.#sealed = this.#undo.length
    return this.#undo.length
  }

  /** The newest version of a key that statements before `before` wrote. */
  get(key: Uint8Array, keyString: string, before: number): OverlayVersion | undefined {
    if (this.#undo.length === 0) return undefined
    const partition = this.#partitions.get(storageId(key))
    if (partition === undefined) return undefined
    partition.settle()
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
    const partition = this.#partitions.get(id)
    partition?.settle()
    return visible(partition?.newest.get(keyString), before)
  }

  /** Writes a version; `value` undefined deletes. */
  set(
    key: Uint8Array,
    keyString: string,
    value: Uint8Array | undefined,
    valueStart: number,
    valueEnd: number,
    statement: number,
  ): void {
    const partition = this.#partition(storageId(key))
    partition.settle()
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
    this.#undo.push({ partition, key: keyString, before, count: 0 })
  }

  /**
   * Writes a row whose key is above all others of its storage in this overlay, as long as only this method wrote to
   * the storage. False: it is not; use `set`.
   */
  append(key: Uint8Array, keyLength: number, value: Uint8Array, valueLength: number, statement: number): boolean {
    const partition = this.#partition(storageId(key))
    partition.run ??= new Run()
    const { run } = partition
    if (partition.newest.size > partition.settled || !run.follows(key, keyLength)) return false
    const slab = this.#room(keyLength + valueLength)
    const start = this.#at
    copy(key, keyLength, slab.bytes, start)
    copy(value, valueLength, slab.bytes, start + keyLength)
    this.#at = start + keyLength + valueLength
    this.bytes += keyLength + valueLength
    const last = this.#undo[this.#undo.length - 1]
    if (
      this.#undo.length <= this.#sealed ||
      last === undefined ||
      last.partition !== partition ||
      last.key !== undefined
    ) {
      this.#undo.push({ partition, key: undefined, before: undefined, count: run.count })
    }
    run.add(slab, start, start + keyLength, this.#at, statement)
    return true
  }

  #partition(id: number): Partition {
    let partition = this.#partitions.get(id)
    if (partition === undefined) {
      partition = new Partition()
      this.#partitions.set(id, partition)
    }
    return partition
  }

  /** Drops every version written since `mark`. */
  rollback(mark: number): void {
    while (this.#undo.length > mark) {
      const { partition, key, before, count } = this.#undo.pop()!
      if (key === undefined) partition.truncate(count)
      else if (before !== undefined) partition.newest.set(key, before)
      else partition.newest.delete(key)
    }
  }

  /** Calls `each` for the newest version of every key written. */
  forEach(each: (version: OverlayVersion, keyString: string) => void): void {
    for (const partition of this.#partitions.values()) {
      partition.settle()
      partition.newest.forEach(each)
    }
  }

  /**
   * The newest version of every key written, one after the other: always the same object, valid until the next. Appended
   * rows cost no object each; nothing may be written meanwhile.
   */
  *newest(): IterableIterator<OverlayRange> {
    const range: OverlayRange = { bytes: new Uint8Array(0), keyStart: 0, keyEnd: 0, valueStart: 0, valueEnd: 0 }
    for (const { newest, run, settled } of this.#partitions.values()) {
      for (let i = settled; run !== undefined && i < run.count; i++) {
        range.bytes = run.slabs[run.slab[i]].bytes
        range.keyStart = run.keyStart[i]
        range.keyEnd = run.keyEnd[i]
        range.valueStart = run.keyEnd[i]
        range.valueEnd = run.valueEnd[i]
        yield range
      }
      for (const version of newest.values()) {
        range.bytes = version.slab.bytes
        range.keyStart = version.keyStart
        range.keyEnd = version.keyEnd
        range.valueStart = version.valueStart
        range.valueEnd = version.valueEnd
        yield range
      }
    }
  }

  writeTo(set: WriteSetBuilder): void {
    let entries = 0
    for (const { newest, run, settled } of this.#partitions.values()) {
      entries += newest.size + (run?.count ?? 0) - settled
    }
    set.reserve(this.bytes, entries)
    for (const { newest, run, settled } of this.#partitions.values()) {
      for (let i = settled; run !== undefined && i < run.count; i++) {
        const { bytes } = run.slabs[run.slab[i]]
        set.putRange(bytes, run.keyStart[i], run.keyEnd[i], run.keyEnd[i], run.valueEnd[i])
      }
      newest.forEach((v) => {
        if (v.valueStart < 0) set.deleteRange(v.slab.bytes, v.keyStart, v.keyEnd)
        else set.putRange(v.slab.bytes, v.keyStart, v.keyEnd, v.valueStart, v.valueEnd)
      })
    }
  }

  #room(length: number): Slab {
    if (this.#slab === undefined && length <= smallBytes) {
      if (sharedAt === sharedBytes) {
        shared = newSlab(sharedBytes)
        sharedAt = 0
      }
      this.#slab = shared
      this.#at = sharedAt
      sharedAt += smallBytes
      this.#end = sharedAt
    } else if (this.#slab === undefined || this.#at + length > this.#end) {
      const size = Math.max(length, Math.min(maxArenaBytes, Math.max(arenaBytes, this.bytes)))
      this.#slab = newSlab(size)
      this.#at = 0
      this.#end = size
    }
    return this.#slab
  }
}

function newSlab(size: number): Slab {
  const bytes = new Uint8Array(size)
  return { bytes, view: new DataView(bytes.buffer) }
}

export function storageId(key: Uint8Array): number {
  return ((key[0] << 24) | (key[1] << 16) | (key[2] << 8) | key[3]) >>> 0
}

function visible(version: OverlayVersion | undefined, before: number): OverlayVersion | undefined {
  let v = version
  while (v !== undefined && v.statement >= before) v = v.older
  return v
}

function copy(from: Uint8Array, length: number, to: Uint8Array, at: number): void {
  if (length <= 32) for (let i = 0; i < length; i++) to[at + i] = from[i]
  else to.set(from.length === length ? from : from.subarray(0, length), at)
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
