/**
 * Cuts the inputs of a compaction into slices of the key space, each about one output table, so that memory stays
 * bounded and a slice is one job. All versions of a key fall into one slice.
 *
 *   upper   [  b0  |  b1  |  b2  ]
 *   lower   [ b0 | b1 ][ b0 | b1 | b2 ]
 *   slices  |    0     |     1    |          cut at first keys of blocks
 *
 * Not here: merging a slice (merge.ts).
 */
import { compareKeys } from '../../key-order.ts'
import type { LevelTable } from '../level-table.ts'
import { boundView } from '../order.ts'
import type { Piece } from './merge.ts'

/** Keys in [start, end). */
export interface Slice {
  readonly start: Uint8Array
  readonly end: Uint8Array
}

export function cutSlices(tables: readonly LevelTable[], targetBytes: number): Slice[] {
  const blocks: { key: Uint8Array; bytes: number }[] = []
  for (const { meta, file } of tables) {
    const { index } = file
    for (let block = 0; block < index.count; block++) {
      const key = index.bytes.subarray(index.keyStart[block], index.keyStart[block + 1])
      if (compareKeys(key, meta.end) >= 0) break
      blocks.push({ key: compareKeys(key, meta.start) < 0 ? meta.start : key, bytes: index.stored[block] })
    }
  }
  blocks.sort((a, b) => compareKeys(a.key, b.key))
  const slices: Slice[] = []
  let start = blocks[0].key
  let bytes = 0
  for (const block of blocks) {
    if (bytes >= targetBytes && compareKeys(block.key, start) > 0) {
      slices.push({ start, end: block.key })
      start = block.key
      bytes = 0
    }
    bytes += block.bytes
  }
  let { end } = tables[0].meta
  for (const { meta } of tables) if (compareKeys(meta.end, end) > 0) end = meta.end
  slices.push({ start, end })
  return slices
}

/** Reads what a table contributes to a slice, into memory that `room` gives; undefined when that is nothing. */
export async function readPiece(
  table: LevelTable,
  slice: Slice,
  room: (length: number) => Buffer,
): Promise<Piece | undefined> {
  const { file, meta } = table
  const start = compareKeys(meta.start, slice.start) > 0 ? meta.start : slice.start
  const end = compareKeys(meta.end, slice.end) < 0 ? meta.end : slice.end
  if (compareKeys(start, end) >= 0) return undefined
  const from = boundView(start)
  const to = boundView(end)
  const first = file.blockOf(from.view, 0, from.length, Number.MAX_SAFE_INTEGER)
  const last = file.blockOf(to.view, 0, to.length, Number.MAX_SAFE_INTEGER)
  if (file.compareFirst(first, to.view, 0, to.length) >= 0) return undefined
  const bytes = await file.readStored(first, last + 1, room)
  return { bytes, file: file.number, path: file.path, offsets: file.index.offset.slice(first, last + 1), start, end }
}
