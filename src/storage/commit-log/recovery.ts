/**
 * Reads the segments of a log after a start, tells a torn tail from corruption in the middle, and rebuilds what is
 * known of every stream. The rules are in docs/formats/commit-log.md, "Recovery".
 *
 * Not here: replaying entries into the engine (replication does it through `CommitLog.read`).
 */

import { DbError } from '../../base/index.ts'
import { getSafe } from '../../encoding/index.ts'
import type { Io } from '../../io/index.ts'
import { formatVersion } from '../data-directory.ts'
import {
  alignGroup,
  alignRecord,
  checkpointKind,
  decodeGroup,
  decodeSegmentHeader,
  entryKind,
  forgetKind,
  type GroupHeader,
  hardStateKind,
  restartKind,
  segmentHeaderBytes,
  segmentNumberOf,
  viewOf,
} from './layout.ts'
import { StreamState } from './stream-state.ts'

/** A segment as recovery found it. */
export interface FoundSegment {
  readonly path: string
  readonly number: number
  readonly fileBytes: number
  /** Where the next group goes: the end of the last sound one. */
  readonly end: number
  readonly groups: number
  readonly records: number
}

export interface FoundLog {
  readonly identity: Uint8Array | undefined
  /** Segments that hold groups, oldest first. */
  readonly segments: FoundSegment[]
  /** Files that hold none: prepared ahead, or left half prepared. */
  readonly unused: { readonly path: string; readonly number: number }[]
  readonly streams: Map<number, StreamState>
  readonly lastGroup: number
}

export function corruptLog(path: string, offset: number, what: string): DbError {
  return new DbError('data_corrupted', `commit log corrupted: ${what}`, { detail: `File ${path}, offset ${offset}.` })
}

interface Candidate {
  readonly path: string
  readonly number: number
  readonly bytes: Buffer
  readonly view: DataView
  readonly identity: Uint8Array | undefined
}

export async function recoverLog(io: Io, directory: string): Promise<FoundLog> {
  const numbers = (await io.disk.list(directory)).map(segmentNumberOf).filter((number) => number !== undefined)
  const found: FoundLog & { identity: Uint8Array | undefined; lastGroup: number } = {
    identity: undefined,
    segments: [],
    unused: [],
    streams: new Map(),
    lastGroup: 0,
  }
  let torn: { path: string; end: number } | undefined
  for (const number of numbers) {
    const candidate = await load(io, directory, number)
    const identity = candidate.identity
    const first = identity && decodeGroup(candidate.bytes, candidate.view, segmentHeaderBytes, number, identity)
    if (identity === undefined || first === undefined) {
      // Nothing of its own at its start. Sound groups behind it would prove that there was.
      const known = identity ?? found.identity
      if (known) rejectLaterGroup(candidate, identity ? segmentHeaderBytes : segmentHeaderBytes - 16, known)
      found.unused.push({ path: candidate.path, number })
      continue
    }
    if (found.identity === undefined) found.identity = identity
    else if (Buffer.compare(found.identity, identity) !== 0) {
      throw corruptLog(candidate.path, 24, 'a segment of another log')
    }
    const previous = found.segments.at(-1)
    if (previous !== undefined) {
      if (found.unused.length > 0)
        throw corruptLog(found.unused[0].path, 0, 'a segment before the newest is unreadable')
      if (first.number !== found.lastGroup + 1) throw corruptLog(torn!.path, torn!.end, 'groups are missing')
      if (number !== previous.number + 1)
        throw corruptLog(candidate.path, 0, `segment ${previous.number + 1} is missing`)
    } else if (found.unused.length > 0) {
      throw corruptLog(found.unused[0].path, 0, 'a segment before the newest is unreadable')
    }
    const segment = readSegment(candidate, identity, first, found)
    torn = { path: segment.path, end: segment.end }
    found.segments.push(segment)
  }
  return found
}

async function load(io: Io, directory: string, number: number): Promise<Candidate> {
  const path = `${directory}/${String(number).padStart(10, '0')}.log`
  const file = await io.disk.open(path, { readOnly: true })
  const size = await file.size()
  const bytes = Buffer.allocUnsafeSlow(size)
  const count = await file.read(bytes, 0, size, 0)
  await file.close()
  if (count < size) throw corruptLog(path, count, 'the file ends early')
  const header = decodeSegmentHeader(bytes)
  if (header && header.version !== formatVersion) {
    throw new DbError('incompatible_format', `the commit log in ${directory} has format ${header.version}`, {
      detail: `This program reads and writes format ${formatVersion}.`,
    })
  }
  // A header lies within one sector: it is whole, or what was there before it. Before it were zeros or a former life.
  if (header === undefined && bytes.subarray(0, segmentHeaderBytes).some((byte) => byte !== 0)) {
    throw corruptLog(path, 0, 'the segment header fails its checks')
  }
  const identity = header?.number === number ? header.identity : undefined
  return { path, number, bytes, view: viewOf(bytes), identity }
}

function readSegment(
  candidate: Candidate,
  identity: Uint8Array,
  first: GroupHeader,
  found: { streams: Map<number, StreamState>; lastGroup: number; segments: FoundSegment[] },
): FoundSegment {
  const { path, number, bytes, view } = candidate
  let at = segmentHeaderBytes
  let group: GroupHeader | undefined = first
  let groups = 0
  let records = 0
  const oldest = found.segments.length === 0
  while (group !== undefined) {
    if (found.lastGroup !== 0 && group.number !== found.lastGroup + 1) {
      throw corruptLog(path, at, `group ${group.number} follows group ${found.lastGroup}`)
    }
    readRecords(candidate, at, group, found.streams, oldest)
    found.lastGroup = group.number
    groups++
    records += group.records
    at = alignGroup(at + group.length)
    group = decodeGroup(bytes, view, at, number, identity)
  }
  rejectLaterGroup(candidate, at, identity)
  return { path, number, fileBytes: bytes.length, end: at, groups, records }
}

/** A sound group behind an unsound one means that the unsound one was durable once. */
function rejectLaterGroup(candidate: Candidate, from: number, identity: Uint8Array): void {
  const { bytes, view, number, path } = candidate
  for (let at = from + 16; at < bytes.length; at += 16) {
    const later = decodeGroup(bytes, view, at, number, identity)
    if (later === undefined) continue
    throw corruptLog(path, from, `group ${later.number} at offset ${at} is sound, what precedes it is not`)
  }
}

function readRecords(
  candidate: Candidate,
  groupAt: number,
  group: GroupHeader,
  streams: Map<number, StreamState>,
  oldest: boolean,
): void {
  const { view, path, number } = candidate
  const end = groupAt + group.length
  let at = groupAt + 32
  for (let left = group.records; left > 0; left--) {
    const length = at + 40 <= end ? view.getUint32(at + 4, true) : 0
    if (length < 40 || at + length > end) throw corruptLog(path, at, 'a record reaches beyond its group')
    const kind = view.getUint8(at + 8)
    const stream = view.getUint32(at + 12, true)
    let state = streams.get(stream)
    if (state === undefined) streams.set(stream, (state = new StreamState()))
    if (kind === entryKind) {
      const index = getSafe(view, at + 16)
      if (index > state.last + 1) state.restart(index - 1)
      state.append(index, getSafe(view, at + 24), number, at)
    } else if (kind === hardStateKind || kind === checkpointKind) {
      state.term = getSafe(view, at + 24)
      state.vote = getSafe(view, at + 32)
      state.commit = getSafe(view, at + 40)
      if (kind === checkpointKind) {
        // In the oldest segment what the checkpoint calls live lay in segments that are gone: released since.
        state.release(oldest ? getSafe(view, at + 16) : getSafe(view, at + 48) - 1)
      }
    } else if (kind === restartKind) state.restart(getSafe(view, at + 16))
    else if (kind === forgetKind) streams.delete(stream)
    else throw corruptLog(path, at, `a record of unknown kind ${kind}`)
    at += alignRecord(length)
  }
}
