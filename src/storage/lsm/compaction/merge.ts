/**
 * Merges a slice of some tables into one new table: a pure job for a worker. What it gets are stored blocks as they were
 * read; it checks and decodes them itself.
 *
 *   source 0 (newest)   [ piece ]                 a piece: consecutive blocks of one table, and the key range that counts
 *   source 1            [ piece ][ piece ]        pieces of a source follow each other
 *
 * Not here: cutting slices (slice.ts), reading and writing files (run.ts).
 */
import type { Timestamp } from '../../../base/index.ts'
import type { CpuJob } from '../../../io/index.ts'
import { openBlock } from '../block.ts'
import { decodeSection } from '../codec.ts'
import { type BoundView, boundView } from '../order.ts'
import { keyLengthMask, type Run, sameKeyBit } from '../run.ts'
import { TableBuilder, type TableFormat, type TableImage } from '../table-builder.ts'
import { Collector } from './collector.ts'

export interface Piece {
  readonly bytes: Uint8Array
  readonly file: number
  readonly path: string
  /** Offsets of the blocks in the file; the first one is where `bytes` begins. */
  readonly offsets: Float64Array
  /** Keys in [start, end) count. */
  readonly start: Uint8Array
  readonly end: Uint8Array
}

export interface MergeInput {
  /** Newest data first. */
  readonly sources: readonly (readonly Piece[])[]
  readonly file: number
  readonly format: TableFormat
  /** Where the table is put together. */
  readonly room: SharedArrayBuffer
  readonly threshold: Timestamp
  /** Nothing of this key range lies below the level that is written. */
  readonly bottom: boolean
}

class PieceReader {
  readonly priority: number
  readonly #pieces: readonly Piece[]
  #piece = -1
  #block = 0
  #start!: BoundView
  #end!: BoundView
  run!: Run
  i = 0
  high = 0

  constructor(pieces: readonly Piece[], priority: number) {
    this.#pieces = pieces
    this.priority = priority
  }

  /** Brings the next block with something in range; false at the end. */
  advance(): boolean {
    for (;;) {
      const piece = this.#pieces[this.#piece]
      if (piece === undefined || this.#block === piece.offsets.length) {
        const next = this.#pieces[++this.#piece]
        if (next === undefined) return false
        this.#block = 0
        this.#start = boundView(next.start)
        this.#end = boundView(next.end)
        continue
      }
      const offset = piece.offsets[this.#block++]
      this.run = openBlock(decodeSection(piece.bytes, offset - piece.offsets[0], piece.path, piece.file, offset))
      this.i = this.run.lowerBound(this.#start.view, 0, this.#start.length, Number.MAX_SAFE_INTEGER)
      this.high = this.run.lowerBound(this.#end.view, 0, this.#end.length, Number.MAX_SAFE_INTEGER)
      if (this.i < this.high) return true
    }
  }
}

/** The table, or undefined when all of it was collected. */
export function mergeJob(input: MergeInput): TableImage | undefined {
  const readers: PieceReader[] = []
  for (const [priority, pieces] of input.sources.entries()) {
    const reader = new PieceReader(pieces, priority)
    if (reader.advance()) place(readers, reader)
  }
  const builder = new TableBuilder(input.file, input.format, Buffer.from(input.room))
  const collector = new Collector(builder, input.threshold, input.bottom)
  // The last key of a source that gave way to another may be that other's first.
  let tied: PieceReader | undefined
  while (readers.length > 0) {
    const reader = readers[0]
    const tie = tied !== undefined
    tied = drain(reader, readers[1], collector, tie)
    readers.shift()
    if (reader.i < reader.high || reader.advance()) place(readers, reader)
  }
  return builder.entries === 0 ? undefined : builder.finish()
}

/**
 * Gives the collector what comes before the other reader's key, or the one key both stand at. Answers with the other
 * reader when the last key given is also its.
 */
function drain(
  reader: PieceReader,
  other: PieceReader | undefined,
  collector: Collector,
  sameAsBefore: boolean,
): PieceReader | undefined {
  const { run } = reader
  const { start, valueEnd, info, timestamp, bytes, view } = run
  let end = reader.high
  let tied: PieceReader | undefined
  if (other !== undefined) {
    const key = other.run.start[other.i]
    const length = other.run.info[other.i] & keyLengthMask
    if (run.compareKey(reader.i, other.run.view, key, length) === 0) {
      tied = other
      end = reader.i + 1
      while (end < reader.high && (info[end] & sameKeyBit) !== 0) end++
    } else end = run.gallop(reader.i, end, other.run.view, key, length)
  }
  let same = sameAsBefore
  for (let i = reader.i; i < end; i++) {
    collector.add(bytes, view, start[i], valueEnd[i], info[i], timestamp[i], same || (info[i] & sameKeyBit) !== 0)
    same = false
  }
  reader.i = end
  return tied
}

function place(readers: PieceReader[], reader: PieceReader): void {
  let i = readers.length
  readers.push(reader)
  const { run } = reader
  const start = run.start[reader.i]
  const length = run.info[reader.i] & keyLengthMask
  for (; i > 0; i--) {
    const other = readers[i - 1]
    const order = other.run.compareKey(other.i, run.view, start, length)
    if (order < 0 || (order === 0 && other.priority < reader.priority)) break
    readers[i] = other
  }
  readers[i] = reader
}

export const mergeTables: CpuJob<MergeInput, TableImage | undefined> = {
  module: import.meta.url,
  name: 'mergeJob',
  run: mergeJob,
}
