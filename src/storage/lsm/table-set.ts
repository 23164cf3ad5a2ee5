/**
 * The tables of the store: the current version, and edits to it, one after another, each durable before it shows.
 *
 *   edit ─▶ open what is added ─▶ append to the manifest, sync ─▶ install the new version ─▶ old files go with their readers
 *
 * Not here: why tables change (flusher.ts, compactor.ts, lsm-engine.ts).
 */
import type { Timestamp } from '../../base/index.ts'
import type { Io } from '../../io/index.ts'
import type { BlockCache } from './block-cache.ts'
import { LevelTable } from './level-table.ts'
import {
  type Edit,
  foldEdits,
  Manifest,
  manifestNumberOf,
  placeOf,
  readManifest,
  type TableChange,
} from './manifest.ts'
import { openTable, type TableFile } from './table-file.ts'
import { tableName, tableNumberOf } from './table-meta.ts'
import { levelCount, sortLevel, Version } from './version.ts'

/** What one edit changes; `positions` are streams' applied indexes whose effects the added tables complete. */
export interface SetChange {
  readonly removed?: readonly TableChange[]
  readonly added?: readonly TableChange[]
  readonly positions?: ReadonlyMap<number, number>
}

const writeChunk = 1 << 20
const none: ReadonlyMap<number, number> = new Map()

export class TableSet {
  readonly #io: Io
  readonly directory: string
  readonly #cache: BlockCache
  readonly #files = new Map<number, TableFile>()
  readonly positions = new Map<number, number>()
  version: Version
  #manifest: Manifest | undefined
  #nextFile = 1
  /** The threshold that is on disk. */
  collected: Timestamp = 0
  /** Asked before each edit: what the threshold is by then. */
  currentCollected: () => Timestamp = () => this.collected
  #turn: Promise<unknown> = Promise.resolve()
  /** Streams that were forgotten; their numbers are not used again. */
  readonly #forgotten = new Set<number>()
  /** Those of them that the manifest still has a position of. */
  readonly #forgetting = new Set<number>()

  private constructor(io: Io, directory: string, cache: BlockCache) {
    this.#io = io
    this.directory = directory
    this.#cache = cache
    this.version = new Version(Array.from({ length: levelCount }, () => []))
  }

  /** Reads the manifest, opens its tables, removes what no manifest names, begins a manifest of its own. */
  static async open(io: Io, directory: string, cache: BlockCache): Promise<TableSet> {
    const set = new TableSet(io, directory, cache)
    const found = await readManifest(io, directory)
    const { tables, positions, nextFile, collected } = foldEdits(found?.path ?? '', found?.edits ?? [])
    for (const [stream, index] of positions) set.positions.set(stream, index)
    set.#nextFile = nextFile
    set.collected = collected
    await set.#openAll(tables.map(({ meta }) => meta.number))
    set.#install([], tables)
    const number = (found?.number ?? 0) + 1
    set.#manifest = await Manifest.create(io, directory, number, set.#whole())
    await set.#removeLeftovers(number)
    return set
  }

  newFile(): number {
    return this.#nextFile++
  }

  /** Writes a table's bytes and syncs the file; the directory is synced by the edit that adds it. */
  async write(number: number, bytes: Uint8Array): Promise<void> {
    const path = this.pathOf(number)
    const file = await this.#io.disk.open(path, { create: true })
    try {
      await file.truncate(0)
      for (let at = 0; at < bytes.length; at += writeChunk) {
        await file.write(bytes, at, Math.min(writeChunk, bytes.length - at), at)
      }
      try {
        await file.sync()
      } catch (error) {
        this.#io.fatal('a table could not be synced', error)
        throw error
      }
    } finally {
      await file.close()
    }
  }

  pathOf(number: number): string {
    return `${this.directory}/${tableName(number)}`
  }

  /** Removes files that were written and never added. */
  async discard(numbers: readonly number[]): Promise<void> {
    for (const number of numbers) {
      if (!this.#files.has(number)) await this.#io.disk.remove(this.pathOf(number)).catch(() => undefined)
    }
  }

  /**
   * Makes a change durable, then visible. `change` is called when earlier edits are done, on the version they left;
   * `installed` runs synchronously with the change becoming visible.
   */
  edit(change: (version: Version) => SetChange, installed?: () => void): Promise<void> {
    const run = async () => {
      const { removed = [], added = [], positions: applied = none } = change(this.version)
      const opened = await this.#openAll(added.map(({ meta }) => meta.number))
      const collected = this.currentCollected()
      const positions = new Map<number, number>()
      try {
        if (added.length > 0) await this.#io.disk.syncDirectory(this.directory)
        for (const [stream, index] of applied) if (!this.#forgotten.has(stream)) positions.set(stream, index)
        for (const stream of this.#forgetting) positions.set(stream, 0)
        await this.#manifest!.append({ nextFile: this.#nextFile, collected, positions, removed, added })
      } catch (error) {
        for (const file of opened) {
          this.#files.delete(file.number)
          await file.close()
        }
        throw error
      }
      this.collected = collected
      for (const [stream, index] of positions) {
        if (index === 0) this.#forgetting.delete(stream)
        else if (this.#forgotten.has(stream)) this.#forgetting.add(stream)
        else this.positions.set(stream, index)
      }
      this.#install(removed, added)
      installed?.()
      if (this.#manifest!.overgrown) await this.#renew()
    }
    const turn = this.#turn.then(run)
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  /** Drops a stream's position; the next edit makes that durable. */
  forget(stream: number): void {
    this.#forgotten.add(stream)
    if (this.positions.delete(stream)) this.#forgetting.add(stream)
  }

  hasForgotten(stream: number): boolean {
    return this.#forgotten.has(stream)
  }

  /** Whether forgotten streams wait for an edit. */
  get forgetting(): boolean {
    return this.#forgetting.size > 0
  }

  async close(): Promise<void> {
    await this.#turn
    await this.#manifest?.close()
    for (const file of this.#files.values()) await file.close()
    this.#files.clear()
  }

  async #openAll(numbers: readonly number[]): Promise<TableFile[]> {
    const opened: TableFile[] = []
    for (const number of numbers) {
      if (this.#files.has(number)) continue
      const file = await openTable(this.#io, this.directory, number, this.#cache)
      this.#files.set(number, file)
      opened.push(file)
    }
    return opened
  }

  #install(removed: readonly TableChange[], added: readonly TableChange[]): void {
    const gone = new Set(removed.map(({ level, meta }) => placeOf(level, meta)))
    const levels = this.version.levels.map((tables, level) => {
      const touched = added.some((change) => change.level === level) || removed.some((change) => change.level === level)
      if (!touched) return tables
      const next = tables.filter(({ meta }) => !gone.has(placeOf(level, meta)))
      for (const change of added) {
        if (change.level === level) next.push(new LevelTable(change.meta, this.#files.get(change.meta.number)!))
      }
      return sortLevel(level, next)
    })
    const before = this.version
    this.version = new Version(levels)
    const named = new Set<number>()
    for (const tables of levels) for (const { file } of tables) named.add(file.number)
    for (const { meta } of removed) {
      const file = this.#files.get(meta.number)
      if (file === undefined || named.has(meta.number)) continue
      file.dropped = true
      this.#files.delete(meta.number)
    }
    before.release()
  }

  #whole(): Edit {
    const added = this.version.levels.flatMap((tables, level) => tables.map(({ meta }) => ({ level, meta })))
    const { positions, collected } = this
    return { nextFile: this.#nextFile, collected, positions, removed: [], added }
  }

  async #renew(): Promise<void> {
    const old = this.#manifest!
    this.#manifest = await Manifest.create(this.#io, this.directory, old.number + 1, this.#whole())
    await old.remove()
  }

  async #removeLeftovers(manifest: number): Promise<void> {
    for (const name of await this.#io.disk.list(this.directory)) {
      const table = tableNumberOf(name)
      const other = manifestNumberOf(name)
      const leftover = (table !== undefined && !this.#files.has(table)) || (other !== undefined && other !== manifest)
      if (leftover) await this.#io.disk.remove(`${this.directory}/${name}`)
      // A leftover may have a number that the manifest has not given out yet.
      if (table !== undefined && table >= this.#nextFile) this.#nextFile = table + 1
    }
  }
}
