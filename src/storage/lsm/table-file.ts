/**
 * An open table: its index and filter in memory, its blocks through the cache.
 *
 *   point read   filter → index (binary search) → block slot → binary search in the block
 *
 * Not here: which tables make up the store (version.ts), order across tables (table-feed.ts).
 */
import { crc32 } from 'node:zlib'
import { assert, DbError } from '../../base/index.ts'
import { getSafe } from '../../encoding/index.ts'
import type { File, Io } from '../../io/index.ts'
import { formatVersion } from '../data-directory.ts'
import { openBlock } from './block.ts'
import type { BlockCache, CachedBlock } from './block-cache.ts'
import { decodeSection, tableCorrupted } from './codec.ts'
import { commonPrefix, compareAt, keyWord } from './order.ts'
import type { Run } from './run.ts'
import { footerBytes, tableMagic } from './table-builder.ts'
import { tableName } from './table-meta.ts'

/** Columns of a table's index; see docs/formats/table.md. */
export interface TableIndex {
  readonly count: number
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly first: Float64Array
  readonly newest: Float64Array
  readonly offset: Float64Array
  readonly stored: Uint32Array
  readonly entries: Uint32Array
  readonly keyStart: Uint32Array
  /** Bytes that all keys share, and the words behind them, as in a run. */
  readonly prefix: number
  readonly words: Uint32Array
}

const allocate = (length: number): Buffer => Buffer.allocUnsafeSlow(length)

export class TableFile {
  readonly number: number
  readonly path: string
  readonly bytes: number
  readonly index: TableIndex
  readonly filter: Uint8Array
  readonly lastKey: Uint8Array
  readonly slots: (CachedBlock | undefined)[]
  /** Versions and cursors that use the file. */
  references = 0
  /** No version names it any more: it goes with its last reference. */
  dropped = false
  readonly #io: Io
  readonly #file: File
  readonly #cache: BlockCache
  readonly #loading = new Map<number, Promise<Run>>()

  constructor(io: Io, number: number, file: File, cache: BlockCache, bytes: number, parts: TableParts) {
    this.#io = io
    this.number = number
    this.path = file.path
    this.bytes = bytes
    this.#file = file
    this.#cache = cache
    this.index = parts.index
    this.filter = parts.filter
    this.lastKey = parts.lastKey
    this.slots = new Array(parts.index.count).fill(undefined)
  }

  /** The last block whose first version is at or before (key, at); 0 when all are behind it. */
  blockOf(key: DataView, keyStart: number, keyLength: number, at: number): number {
    const { view, keyStart: starts, first, count, prefix, words } = this.index
    if (prefix > 0) {
      const side = compareAt(view, starts[0], prefix, key, keyStart, keyLength < prefix ? keyLength : prefix)
      if (side !== 0) return side > 0 ? 0 : count - 1
    }
    const wanted = keyWord(key, keyStart, keyLength, prefix)
    let low = 0
    let high = count - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      let atOrBefore: boolean
      if (words[middle] !== wanted) atOrBefore = words[middle] < wanted
      else {
        const start = starts[middle]
        const order = compareAt(view, start, starts[middle + 1] - start, key, keyStart, keyLength)
        atOrBefore = order < 0 || (order === 0 && first[middle] >= at)
      }
      if (atOrBefore) low = middle
      else high = middle - 1
    }
    return low
  }

  /** The sign of (first key of a block) − key. */
  compareFirst(block: number, key: DataView, keyStart: number, keyLength: number): number {
    const { view, keyStart: starts } = this.index
    return compareAt(view, starts[block], starts[block + 1] - starts[block], key, keyStart, keyLength)
  }

  /** A block in memory, or undefined: load it then. */
  block(index: number): Run | undefined {
    const cached = this.slots[index]
    if (cached === undefined) {
      this.#cache.misses++
      return undefined
    }
    this.#cache.hits++
    cached.used = true
    return cached.run
  }

  /**
   * Brings `count` blocks into memory with one read and answers with one of them, which may have left the cache again
   * when the promise is settled. Throws data_corrupted.
   */
  async load(first: number, count: number, wanted: number): Promise<Run> {
    for (;;) {
      const cached = this.slots[wanted]
      if (cached !== undefined) return cached.run
      const under = this.#loading.get(wanted)
      if (under === undefined) break
      await under
    }
    const end = Math.min(first + count, this.index.count)
    const loading = this.#read(first, end, wanted)
    for (let i = first; i < end; i++) if (!this.#loading.has(i)) this.#loading.set(i, loading)
    try {
      return await loading
    } finally {
      for (let i = first; i < end; i++) if (this.#loading.get(i) === loading) this.#loading.delete(i)
    }
  }

  /** Reads blocks [first, end) as they are stored, past the cache, into memory that `room` gives. */
  async readStored(first: number, end: number, room: (length: number) => Buffer = allocate): Promise<Buffer> {
    const { offset, stored } = this.index
    const from = offset[first]
    const length = offset[end - 1] + stored[end - 1] - from
    const bytes = room(length)
    const count = await this.#file.read(bytes, 0, length, from)
    if (count < length) throw tableCorrupted(this.path, from + count, 'the file ends early')
    return bytes
  }

  /** Gives back a reference; the last one to a table that no version names removes the file. */
  release(): void {
    this.references--
    if (this.references > 0 || !this.dropped) return
    void this.#remove()
  }

  async close(): Promise<void> {
    this.#cache.drop(this.slots)
    await this.#file.close()
  }

  async #remove(): Promise<void> {
    try {
      await this.close()
      await this.#io.disk.remove(this.path)
    } catch (error) {
      // Left over: the next start removes what no manifest names.
      this.#io.log.warn('table-not-removed', { path: this.path, error: String(error) })
    }
  }

  async #read(first: number, end: number, wanted: number): Promise<Run> {
    const { offset, stored } = this.index
    const bytes = await this.readStored(first, end)
    for (let i = first; i < end; i++) {
      if (this.slots[i] !== undefined || i === wanted) continue
      this.#open(i, copyOf(bytes, offset[i] - offset[first], stored[i]))
    }
    const own = end - first === 1 ? bytes : copyOf(bytes, offset[wanted] - offset[first], stored[wanted])
    return this.#open(wanted, own)
  }

  /** Each block has memory of its own, so that they can leave one by one. */
  #open(index: number, own: Uint8Array): Run {
    const raw = decodeSection(own, 0, this.path, this.number, this.index.offset[index])
    const run = openBlock(raw)
    if (this.slots[index] === undefined) this.#cache.add(run, this.slots, index)
    return run
  }
}

function copyOf(bytes: Uint8Array, at: number, length: number): Uint8Array {
  const own = Buffer.allocUnsafeSlow(length)
  own.set(bytes.subarray(at, at + length))
  return own
}

interface TableParts {
  readonly index: TableIndex
  readonly filter: Uint8Array
  readonly lastKey: Uint8Array
}

/** Opens a table and checks its footer, index, filter and properties. */
export async function openTable(io: Io, directory: string, number: number, cache: BlockCache): Promise<TableFile> {
  const path = `${directory}/${tableName(number)}`
  let file: File
  try {
    file = await io.disk.open(path, { readOnly: true })
  } catch (error) {
    if (!(error instanceof DbError) || error.code !== 'undefined_file') throw error
    throw tableCorrupted(path, 0, 'the file is missing')
  }
  try {
    const size = await file.size()
    const parts = await readParts(file, number, size)
    return new TableFile(io, number, file, cache, size, parts)
  } catch (error) {
    await file.close()
    throw error
  }
}

async function readParts(file: File, number: number, size: number): Promise<TableParts> {
  const { path } = file
  if (size < footerBytes) throw tableCorrupted(path, 0, 'the file is too short')
  const at = size - footerBytes
  const footer = Buffer.allocUnsafeSlow(footerBytes)
  await file.read(footer, 0, footerBytes, at)
  const view = new DataView(footer.buffer)
  const sound = tableMagic.compare(footer, 0, 8) === 0 && view.getUint32(12, true) === crc32(footer.subarray(16))
  if (!sound || getSafe(view, 16) !== number) throw tableCorrupted(path, at, 'the footer fails its checks')
  if (view.getUint32(8, true) !== formatVersion) {
    throw new DbError('incompatible_format', `the table ${path} has format ${view.getUint32(8, true)}`, {
      detail: `This program reads and writes format ${formatVersion}.`,
    })
  }
  const filterAt = getSafe(view, 24)
  const indexAt = getSafe(view, 32)
  const propertiesAt = getSafe(view, 40)
  if (filterAt > indexAt || indexAt > propertiesAt || propertiesAt > at) {
    throw tableCorrupted(path, at, 'the footer points outside the file')
  }
  const tail = Buffer.allocUnsafeSlow(at - filterAt)
  await file.read(tail, 0, tail.length, filterAt)
  const section = (offset: number) => decodeSection(tail, offset - filterAt, path, number, offset)
  const properties = section(propertiesAt)
  const propertiesView = new DataView(properties.buffer, properties.byteOffset, properties.byteLength)
  const lastKey = Uint8Array.prototype.slice.call(properties, 60, 60 + propertiesView.getUint32(56, true))
  return { index: openIndex(section(indexAt)), filter: Uint8Array.from(section(filterAt)), lastKey }
}

function openIndex(raw: Uint8Array): TableIndex {
  const bytes = Uint8Array.from(raw) // its own buffer: columns must be aligned
  const view = new DataView(bytes.buffer)
  const count = view.getUint32(0, true)
  assert(count > 0, 'a table has a block')
  const words = 8 + 24 * count
  const keyStart = new Uint32Array(bytes.buffer, words + 8 * count, count + 1)
  const lengthOf = (block: number) => keyStart[block + 1] - keyStart[block]
  const last = count - 1
  const prefix = commonPrefix(view, keyStart[0], lengthOf(0), view, keyStart[last], lengthOf(last))
  const keyWords = new Uint32Array(count)
  for (let i = 0; i < count; i++) keyWords[i] = keyWord(view, keyStart[i], lengthOf(i), prefix)
  return {
    count,
    bytes,
    view,
    first: new Float64Array(bytes.buffer, 8, count),
    newest: new Float64Array(bytes.buffer, 8 + 8 * count, count),
    offset: new Float64Array(bytes.buffer, 8 + 16 * count, count),
    stored: new Uint32Array(bytes.buffer, words, count),
    entries: new Uint32Array(bytes.buffer, words + 4 * count, count),
    keyStart,
    prefix,
    words: keyWords,
  }
}
