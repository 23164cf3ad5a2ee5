/**
 * The manifest: a sequence of edits that says which tables make up the store. docs/formats/manifest.md.
 *
 * Not here: what the edits do to the version (table-set.ts).
 */
import { crc32 } from 'node:zlib'
import { assert, DbError, type Timestamp } from '../../base/index.ts'
import { ByteWriter, getSafe, putSafe } from '../../encoding/index.ts'
import type { File, Io } from '../../io/index.ts'
import { type TableMeta, tableNumberOf } from './table-meta.ts'

export interface TableChange {
  readonly level: number
  readonly meta: TableMeta
}

export interface Edit {
  readonly nextFile: number
  readonly collected: Timestamp
  /** Per stream the index whose effects are in tables; 0 when the stream is no more. */
  readonly positions: ReadonlyMap<number, number>
  readonly removed: readonly TableChange[]
  readonly added: readonly TableChange[]
}

const recordHeader = 16
/** A manifest that has grown beyond this is begun anew. Bytes. */
const renewBytes = 1 << 20

export const manifestName = (number: number): string => `MANIFEST-${String(number).padStart(10, '0')}`

export function manifestNumberOf(name: string): number | undefined {
  return /^MANIFEST-[0-9]{10}$/.test(name) ? Number(name.slice(9)) : undefined
}

export class Manifest {
  readonly #io: Io
  readonly #directory: string
  #file: File
  #number: number
  #sequence = 0
  #length = 0

  private constructor(io: Io, directory: string, file: File, number: number) {
    this.#io = io
    this.#directory = directory
    this.#file = file
    this.#number = number
  }

  /** Begins manifest `number` with the whole state and makes it durable; older ones may go then. */
  static async create(io: Io, directory: string, number: number, whole: Edit): Promise<Manifest> {
    const file = await io.disk.open(`${directory}/${manifestName(number)}`, { create: true })
    await file.truncate(0)
    const manifest = new Manifest(io, directory, file, number)
    await manifest.append(whole)
    await io.disk.syncDirectory(directory)
    return manifest
  }

  get number(): number {
    return this.#number
  }

  get overgrown(): boolean {
    return this.#length > renewBytes
  }

  /** Writes and syncs an edit. On an error nothing counts as written; a failed sync ends the node. */
  async append(edit: Edit): Promise<void> {
    const record = encodeRecord(this.#number, this.#sequence + 1, edit)
    await this.#file.write(record, 0, record.length, this.#length)
    try {
      await this.#file.sync()
    } catch (error) {
      this.#io.fatal('the manifest could not be synced', error)
      throw error
    }
    this.#sequence++
    this.#length += record.length
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  async remove(): Promise<void> {
    await this.#file.close()
    await this.#io.disk.remove(`${this.#directory}/${manifestName(this.#number)}`)
  }
}

function encodeRecord(number: number, sequence: number, edit: Edit): Buffer {
  const payload = encodeEdit(edit)
  const record = Buffer.alloc((recordHeader + payload.length + 7) & ~7)
  const view = new DataView(record.buffer, record.byteOffset)
  view.setUint32(4, payload.length, true)
  putSafe(view, 8, sequence)
  record.set(payload, recordHeader)
  view.setUint32(0, checksum(number, record, 0, recordHeader + payload.length), true)
  return record
}

const seed = Buffer.alloc(8)

function checksum(number: number, bytes: Uint8Array, start: number, end: number): number {
  putSafe(new DataView(seed.buffer, seed.byteOffset, 8), 0, number)
  return crc32(bytes.subarray(start + 4, end), crc32(seed))
}

function corrupt(path: string, offset: number, what: string): DbError {
  return new DbError('data_corrupted', `manifest corrupted: ${what}`, { detail: `File ${path}, offset ${offset}.` })
}

/** The edits of the newest manifest whose first record is sound; undefined when there is none. */
export async function readManifest(
  io: Io,
  directory: string,
): Promise<{ number: number; path: string; edits: Edit[] } | undefined> {
  const names = await io.disk.list(directory)
  const numbers = names.map(manifestNumberOf).filter((number) => number !== undefined)
  for (const number of numbers.toReversed()) {
    const path = `${directory}/${manifestName(number)}`
    const file = await io.disk.open(path, { readOnly: true })
    const size = await file.size()
    const bytes = Buffer.alloc(size)
    await file.read(bytes, 0, size, 0)
    await file.close()
    const edits = decodeRecords(path, number, bytes)
    if (edits.length > 0) return { number, path, edits }
    // A manifest counts once its first record is durable; only then does its predecessor go, or a first table come.
  }
  if (numbers.length === 0 || !names.some((name) => tableNumberOf(name) !== undefined)) return undefined
  throw corrupt(`${directory}/${manifestName(numbers.at(-1)!)}`, 0, 'no manifest has a sound first record')
}

/** What a sequence of edits amounts to. */
export interface ManifestState {
  readonly tables: TableChange[]
  readonly positions: Map<number, number>
  readonly nextFile: number
  readonly collected: Timestamp
}

export function placeOf(level: number, meta: TableMeta): string {
  return `${level}/${meta.number}/${Buffer.from(meta.start).toString('latin1')}`
}

export function foldEdits(path: string, edits: readonly Edit[]): ManifestState {
  const tables = new Map<string, TableChange>()
  const positions = new Map<number, number>()
  let nextFile = 1
  let collected = 0
  for (const edit of edits) {
    for (const { level, meta } of edit.removed) {
      if (!tables.delete(placeOf(level, meta))) throw corrupt(path, 0, `table ${meta.number} goes but never came`)
    }
    for (const change of edit.added) tables.set(placeOf(change.level, change.meta), change)
    for (const [stream, index] of edit.positions) {
      if (index > 0) positions.set(stream, index)
      else positions.delete(stream)
    }
    nextFile = Math.max(nextFile, edit.nextFile)
    collected = edit.collected
  }
  return { tables: [...tables.values()], positions, nextFile, collected }
}

function decodeRecords(path: string, number: number, bytes: Buffer): Edit[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const edits: Edit[] = []
  let at = 0
  for (;;) {
    const length = recordAt(view, bytes, at, number, edits.length + 1)
    if (length === 0) break
    edits.push(decodeEdit(bytes.subarray(at + recordHeader, at + recordHeader + length), path, at))
    at += (recordHeader + length + 7) & ~7
  }
  for (let later = at + 8; later + recordHeader <= bytes.length; later += 8) {
    if (recordAt(view, bytes, later, number, undefined) === 0) continue
    throw corrupt(path, at, `the record at offset ${later} is sound, what precedes it is not`)
  }
  return edits
}

/** Length of the payload of a sound record, 0 when there is none. */
function recordAt(view: DataView, bytes: Buffer, at: number, number: number, sequence: number | undefined): number {
  if (at + recordHeader > bytes.length) return 0
  const length = view.getUint32(at + 4, true)
  const end = at + recordHeader + length
  if (length === 0 || end > bytes.length) return 0
  if (sequence !== undefined && getSafe(view, at + 8) !== sequence) return 0
  return view.getUint32(at, true) === checksum(number, bytes, at, end) ? length : 0
}

function encodeEdit(edit: Edit): Uint8Array {
  const w = new ByteWriter(1024)
  const key = (bytes: Uint8Array) => {
    w.varint(bytes.length)
    w.raw(bytes)
  }
  w.varint(edit.nextFile)
  w.varint(edit.collected)
  w.varint(edit.positions.size)
  for (const [stream, index] of edit.positions) {
    w.varint(stream)
    w.varint(index)
  }
  w.varint(edit.removed.length)
  for (const { level, meta } of edit.removed) {
    w.varint(level)
    w.varint(meta.number)
    key(meta.start)
  }
  w.varint(edit.added.length)
  for (const { level, meta } of edit.added) {
    w.varint(level)
    const { number, age, bytes, entries, deletions, superseded, oldest, newest, collectable } = meta
    for (const value of [number, age, bytes, entries, deletions, superseded, oldest, newest, collectable])
      w.varint(value)
    key(meta.start)
    key(meta.end)
  }
  return w.bytes
}

function decodeEdit(bytes: Uint8Array, path: string, offset: number): Edit {
  let at = 0
  const varint = (): number => {
    let value = 0
    let scale = 1
    for (;;) {
      if (at >= bytes.length) throw corrupt(path, offset, 'an edit is cut off')
      const byte = bytes[at++]
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
  }
  const key = (): Uint8Array => {
    const length = varint()
    const out = Uint8Array.from(bytes.subarray(at, at + length))
    at += length
    return out
  }
  const nextFile = varint()
  const collected = varint()
  const positions = new Map<number, number>()
  for (let left = varint(); left > 0; left--) {
    const stream = varint()
    positions.set(stream, varint())
  }
  const removed: TableChange[] = []
  for (let left = varint(); left > 0; left--) {
    const level = varint()
    const number = varint()
    const none = { age: 0, bytes: 0, entries: 0, deletions: 0, superseded: 0, oldest: 0, newest: 0, collectable: 0 }
    removed.push({ level, meta: { number, ...none, start: key(), end: new Uint8Array(0) } })
  }
  const added: TableChange[] = []
  for (let left = varint(); left > 0; left--) {
    const level = varint()
    const [number, age, size, entries, deletions, superseded] = [
      varint(),
      varint(),
      varint(),
      varint(),
      varint(),
      varint(),
    ]
    const [oldest, newest, collectable] = [varint(), varint(), varint()]
    const meta = { number, age, bytes: size, entries, deletions, superseded, oldest, newest, collectable }
    added.push({ level, meta: { ...meta, start: key(), end: key() } })
  }
  assert(at === bytes.length, 'an edit is read to its end')
  return { nextFile, collected, positions, removed, added }
}
