/**
 * Reads a range of a stream's entries, in large pieces of the segments they lie in, or out of groups still in memory.
 *
 * Not here: which entries are live (stream-state.ts).
 */

import { DbError } from '../../base/index.ts'
import { getSafe } from '../../encoding/index.ts'
import type { LogRecord } from './commit-log.ts'
import type { Group } from './group.ts'
import { alignRecord, entryHeaderBytes, entryKind, recordIsSound, viewOf, wordsOf } from './layout.ts'
import { corruptLog } from './recovery.ts'
import type { Segment, Segments } from './segments.ts'
import type { StreamState } from './stream-state.ts'

const chunkBytes = 256 * 1024

export async function readEntries(
  segments: Segments,
  unwritten: (segment: number, offset: number) => Group | undefined,
  state: StreamState,
  stream: number,
  from: number,
  to: number,
  visit: (record: LogRecord) => void,
): Promise<void> {
  let chunk: Buffer | undefined
  let view: DataView | undefined
  let words: Uint32Array | undefined
  let chunkSegment = 0
  let chunkStart = 0
  let chunkEnd = 0
  for (let index = from; index <= to; index++) {
    if (index < state.first || index > state.last) {
      throw new DbError('object_not_in_prerequisite_state', `entry ${index} of stream ${stream} left the log meanwhile`)
    }
    const number = state.segmentOf(index)
    const offset = state.offsetOf(index)
    const group = unwritten(number, offset)
    if (group !== undefined) {
      visitRecord(
        group.bytes,
        group.view,
        group.words,
        offset - group.offset,
        group.length,
        stream,
        index,
        visit,
        () => 'memory',
      )
      continue
    }
    const segment = segments.at(number)
    let available = number === chunkSegment && offset >= chunkStart ? chunkEnd - offset : 0
    const whole = available >= 8 ? alignRecord(view!.getUint32(offset - chunkStart + 4, true)) : entryHeaderBytes
    if (available < whole) {
      // The length in the record is not trusted before its checksum is: the file bounds it.
      const want = Math.min(Math.max(chunkBytes, available >= 8 ? whole : 0), segment.bytes - offset)
      if (chunk === undefined || chunk.length < want) {
        chunk = Buffer.allocUnsafeSlow(Math.max(chunkBytes, want))
        view = viewOf(chunk)
        words = wordsOf(chunk)
      }
      const count = await readAt(segment, chunk, want, offset)
      chunkSegment = number
      chunkStart = offset
      chunkEnd = offset + count
      available = count
      if (available >= 8 && alignRecord(view!.getUint32(4, true)) > available && available < segment.bytes - offset) {
        index-- // a record larger than a chunk: now its length is known
        continue
      }
    }
    visitRecord(
      chunk!,
      view!,
      words!,
      offset - chunkStart,
      chunkEnd - chunkStart,
      stream,
      index,
      visit,
      () => segment.path,
    )
  }
}

async function readAt(segment: Segment, into: Buffer, length: number, position: number): Promise<number> {
  segment.readers++
  try {
    return await segment.file.read(into, 0, length, position)
  } finally {
    segment.readers--
  }
}

function visitRecord(
  bytes: Buffer,
  view: DataView,
  words: Uint32Array,
  at: number,
  end: number,
  stream: number,
  index: number,
  visit: (record: LogRecord) => void,
  path: () => string,
): void {
  const sound = recordIsSound(view, words, at, end - at)
  const ours =
    sound &&
    view.getUint8(at + 8) === entryKind &&
    view.getUint32(at + 12, true) === stream &&
    getSafe(view, at + 16) === index
  if (!ours) throw corruptLog(path(), at, `entry ${index} of stream ${stream} cannot be read back`)
  visit({
    stream,
    index,
    term: getSafe(view, at + 24),
    transactionId: getSafe(view, at + 32),
    payload: bytes.subarray(at + entryHeaderBytes, at + view.getUint32(at + 4, true)),
  })
}
