/**
 * Compaction: picks, reads slices, has a worker merge them, writes the results, edits the manifest.
 *
 * What it read may change under it (excise, ingest): before the edit it looks whether its inputs are still there and
 * nothing has come into its output range, and throws its work away otherwise.
 *
 * Not here: the choice (compaction/pick.ts), the merge (compaction/merge.ts).
 */
import { assert, type Timestamp } from '../../base/index.ts'
import type { Io } from '../../io/index.ts'
import { Arenas } from './arenas.ts'
import { mergeTables, type Piece } from './compaction/merge.ts'
import { overlapping, type Pick, type PickRules, pickCompaction } from './compaction/pick.ts'
import { cutSlices, readPiece, type Slice } from './compaction/slice.ts'
import type { LevelTable } from './level-table.ts'
import { codecOf, type LsmSettings } from './lsm-options.ts'
import type { TableChange } from './manifest.ts'
import { metaOf, type TableMeta } from './table-meta.ts'
import type { TableSet } from './table-set.ts'
import type { Version } from './version.ts'

/** Rules of a compaction by hand: all that can be done is done. */
const everything = { level0Tables: 1, garbageShare: 0 }

export class Compactor {
  readonly #io: Io
  readonly #set: TableSet
  readonly #settings: LsmSettings
  readonly #collected: () => Timestamp
  readonly #rooms: Arenas
  /** Asked between slices. */
  stopped: () => boolean = () => false
  compactions = 0
  bytesCompacted = 0

  constructor(io: Io, set: TableSet, settings: LsmSettings, collected: () => Timestamp) {
    this.#io = io
    this.#set = set
    this.#settings = settings
    this.#collected = collected
    // The blocks at the ends of a slice are in it as a whole.
    this.#rooms = new Arenas(2 * settings.tableBytes, 2)
  }

  /** Does one compaction, if one is due; tells whether. */
  async once(byHand: boolean): Promise<boolean> {
    const { rules } = this.#settings
    const applied: PickRules = byHand ? { ...rules, ...everything } : rules
    const { version } = this.#set
    const metas = version.levels.map((tables) => tables.map(({ meta }) => meta))
    const pick = pickCompaction(metas, this.#collected(), applied)
    if (pick === undefined) return false
    version.retain()
    try {
      if (pick.move) await this.#move(pick)
      else await this.#rewrite(pick, version)
    } finally {
      version.release()
    }
    this.compactions++
    return !this.stopped()
  }

  async #move(pick: Pick): Promise<void> {
    const removed = pick.upper.map((meta) => ({ level: pick.level, meta }))
    const added = pick.upper.map((meta) => ({ level: pick.outputLevel, meta }))
    await this.#set.edit((version) => (inputsAreThere(version, pick) ? { removed, added } : {}))
  }

  async #rewrite(pick: Pick, version: Version): Promise<void> {
    const upper = tablesOf(version, pick.level, pick.upper)
    const lower = pick.lower.length > 0 ? tablesOf(version, pick.outputLevel, pick.lower) : []
    // Level 0 overlaps within itself: each of its tables is a source. A deeper level's tables follow each other.
    const sources = pick.level === 0 ? upper.map((table) => [table]) : [upper]
    if (lower.length > 0) sources.push(lower)
    const written: TableMeta[] = []
    let done = false
    try {
      for (const slice of cutSlices([...upper, ...lower], this.#settings.tableBytes)) {
        if (this.stopped()) return
        const meta = await this.#mergeSlice(sources, slice, pick.outputLevel, version)
        if (meta !== undefined) written.push(meta)
      }
      const removed: TableChange[] = [
        ...pick.upper.map((meta) => ({ level: pick.level, meta })),
        ...pick.lower.map((meta) => ({ level: pick.outputLevel, meta })),
      ]
      const added = written.map((meta) => ({ level: pick.outputLevel, meta }))
      await this.#set.edit((current) => {
        if (!inputsAreThere(current, pick)) return {}
        done = true
        return { removed, added }
      })
    } catch (error) {
      done = false
      throw error
    } finally {
      if (!done && !this.#io.dead) await this.#set.discard(written.map(({ number }) => number))
    }
  }

  async #mergeSlice(
    sources: readonly (readonly LevelTable[])[],
    slice: Slice,
    level: number,
    version: Version,
  ): Promise<TableMeta | undefined> {
    const [read, room] = [this.#rooms.take(0), this.#rooms.take(0)]
    try {
      return await this.#mergeIn(read, room, sources, slice, level, version)
    } finally {
      this.#rooms.giveBack(read)
      this.#rooms.giveBack(room)
    }
  }

  /** @param read where what is merged is read to. @param room where the table is put together. */
  async #mergeIn(
    read: SharedArrayBuffer,
    room: SharedArrayBuffer,
    sources: readonly (readonly LevelTable[])[],
    slice: Slice,
    level: number,
    version: Version,
  ): Promise<TableMeta | undefined> {
    const place = placesIn(read)
    const input: Piece[][] = []
    for (const tables of sources) {
      const pieces: Piece[] = []
      for (const table of tables) {
        const piece = await readPiece(table, slice, place)
        if (piece === undefined) continue
        pieces.push(piece)
        this.bytesCompacted += piece.bytes.length
      }
      if (pieces.length > 0) input.push(pieces)
    }
    if (input.length === 0) return undefined
    const file = this.#set.newFile()
    const image = await this.#io.tasks.cpu(
      mergeTables,
      {
        sources: input,
        file,
        format: { codec: codecOf(this.#settings, level), blockBytes: this.#settings.blockBytes },
        room,
        threshold: this.#collected(),
        bottom: isBottom(version, level, slice),
      },
      // Those for which the arena had no place left.
      input.flatMap((pieces) => pieces.map((piece) => piece.bytes.buffer)),
    )
    if (image === undefined) return undefined
    await this.#set.write(file, image.bytes)
    return metaOf(file, file, image.bytes.length, image.properties)
  }
}

/** Gives one piece of the arena after the other, and memory of its own when none is left. */
function placesIn(arena: SharedArrayBuffer): (length: number) => Buffer {
  let at = 0
  return (length) => {
    // Blocks are opened where they were read to.
    const start = (at + 7) & ~7
    if (start + length > arena.byteLength) return Buffer.allocUnsafeSlow(length)
    at = start + length
    return Buffer.from(arena, start, length)
  }
}

function isBottom(version: Version, level: number, slice: Slice): boolean {
  for (let below = level + 1; below < version.levels.length; below++) {
    if (version.overlapping(below, slice).length > 0) return false
  }
  return true
}

function tablesOf(version: Version, level: number, metas: readonly TableMeta[]): LevelTable[] {
  return metas.map((meta) => {
    const table = version.levels[level].find((candidate) => candidate.meta === meta)
    assert(table !== undefined, 'a pick names tables of its version')
    return table
  })
}

/** Whether nothing has happened to the inputs since they were picked, and nothing has come between them. */
function inputsAreThere(version: Version, pick: Pick): boolean {
  const upper = version.levels[pick.level]
  if (!pick.upper.every((meta) => upper.some((table) => table.meta === meta))) return false
  if (pick.level === pick.outputLevel) return true
  const there = overlapping(
    version.levels[pick.outputLevel].map(({ meta }) => meta),
    pick.upper,
  )
  return there.length === pick.lower.length && there.every((meta) => pick.lower.includes(meta))
}
