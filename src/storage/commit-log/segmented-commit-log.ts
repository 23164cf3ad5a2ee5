/**
 * The node's commit log: segments, group commit, reclaiming.
 *
 *   append ──▶ filling group ─────(one durable write)─────▶ durable callbacks, in append order
 *                    ▲                    │
 *                    └── fills while the group before it is being synced
 *
 * One group is in flight at a time, so the existence of a group proves that its predecessor is durable, and under load
 * the groups grow by themselves. A group's place is known when it begins: rotation decides at append time.
 *
 * Not here: bytes (layout.ts, group.ts), recovery (recovery.ts), files (segments.ts).
 */
import { assert, DbError } from '../../base/index.ts'
import type { Io } from '../../io/index.ts'
import { logDirectory, openDataDirectory } from '../data-directory.ts'
import type { CommitLog, HardState, LogRecord } from './commit-log.ts'
import { Group } from './group.ts'
import {
  alignGroup,
  alignRecord,
  entryHeaderBytes,
  forgetKind,
  groupHeaderBytes,
  hardStateBytes,
  markBytes,
  restartKind,
  segmentHeaderBytes,
} from './layout.ts'
import { readEntries } from './read.ts'
import { recoverLog } from './recovery.ts'
import { Segments } from './segments.ts'
import { StreamState } from './stream-state.ts'

export interface CommitLogOptions {
  readonly io: Io
  /** The data directory; segments live in its `log/`. */
  readonly directory: string
  /** Default 16 MiB. */
  readonly segmentBytes?: number
  /** Above this, streams that pin the oldest segments are laggards. Default 512 MiB. */
  readonly budgetBytes?: number
}

/** A group that is larger is closed, so that its write does not delay the acknowledgement of what is in it. */
const groupLimit = 4 * 1024 * 1024
/** The largest payload of one record. */
export const maxPayloadBytes = 256 * 1024 * 1024
/** What is left of a stream in the oldest segment is copied forward rather than waited for, up to this. */
const copyForwardBytes = 64 * 1024

/**
 * Opens or creates the log of a data directory. Errors: incompatible_format, data_corrupted (with file and offset),
 * what the disk reports.
 */
export async function openCommitLog(options: CommitLogOptions): Promise<CommitLog> {
  const { io } = options
  await openDataDirectory(io, options.directory)
  const directory = logDirectory(options.directory)
  const segmentBytes = options.segmentBytes ?? 16 * 1024 * 1024
  const found = await recoverLog(io, directory)
  const segments = new Segments(io, directory, found.identity ?? io.random.bytes(16), segmentBytes)
  for (const name of await io.disk.list(directory)) {
    if (name.startsWith('spare-')) await segments.adoptSpare(`${directory}/${name}`)
  }
  for (const { path } of found.unused) await io.disk.remove(path)
  for (const segment of found.segments) await segments.adopt(segment.number, segment.fileBytes)
  const tail = found.segments.at(-1)
  // What was read may have been in the page cache only, and will now be acted upon.
  if (tail !== undefined) await segments.at(tail.number).file.sync()
  const log = new SegmentedCommitLog(io, segments, found.streams, {
    budgetBytes: options.budgetBytes ?? 512 * 1024 * 1024,
    segment: tail?.number ?? 0,
    position: tail?.end ?? segmentBytes,
    lastGroup: found.lastGroup,
  })
  if (tail === undefined) await log.begin()
  return log
}

interface Start {
  readonly budgetBytes: number
  readonly segment: number
  readonly position: number
  readonly lastGroup: number
}

class SegmentedCommitLog implements CommitLog {
  readonly #io: Io
  readonly #segments: Segments
  readonly #streams: Map<number, StreamState>
  readonly #forgotten = new Set<number>()
  readonly #budgetBytes: number
  /** The group being filled, if it has begun. */
  #filling: Group | undefined
  /** Closed groups before it, the first of which is perhaps being written. */
  readonly #queue: Group[] = []
  readonly #free: Group[] = []
  /** Where the next group begins. */
  #segment: number
  #position: number
  #lastSealed: number
  #lastDurable: number
  #writing = false
  #reclaiming: Promise<void> | undefined
  #reclaimAgain = false
  #closed = false
  #groups = 0
  #records = 0

  constructor(io: Io, segments: Segments, streams: Map<number, StreamState>, start: Start) {
    this.#io = io
    this.#segments = segments
    this.#streams = streams
    this.#budgetBytes = start.budgetBytes
    this.#segment = start.segment
    this.#position = start.position
    this.#lastSealed = start.lastGroup
    this.#lastDurable = start.lastGroup
  }

  /** Writes the first segment's checkpoint, so that a new log is one that was opened. */
  async begin(): Promise<void> {
    this.#room(0)
    this.#kick()
    await this.sync()
  }

  append(record: LogRecord, durable: (() => void) | undefined): void {
    const { stream, index, payload } = record
    const state = this.#streams.get(stream) ?? this.#newStream(stream)
    assert(index >= 1 && index <= state.last + 1, `entry ${index} of stream ${stream} follows entry ${state.last}`)
    if (payload.length > maxPayloadBytes) {
      throw new DbError('program_limit_exceeded', `a log record of ${payload.length} bytes is too large`, {
        detail: `The limit is ${maxPayloadBytes} bytes.`,
      })
    }
    const group = this.#room(alignRecord(entryHeaderBytes + payload.length))
    const offset = group.entry(stream, index, record.term, record.transactionId, payload)
    state.append(index, record.term, group.segment, offset)
    this.#appended(group, durable)
  }

  saveHardState(stream: number, hardState: HardState, durable: (() => void) | undefined): void {
    const group = this.#room(alignRecord(hardStateBytes))
    const state = this.#streams.get(stream) ?? this.#newStream(stream)
    state.term = hardState.term
    state.vote = hardState.vote
    state.commit = hardState.commit
    group.hardState(stream, state)
    this.#appended(group, durable)
  }

  hardState(stream: number): HardState {
    const state = this.#streams.get(stream)
    return { term: state?.term ?? 0, vote: state?.vote ?? 0, commit: state?.commit ?? 0 }
  }

  streams(): number[] {
    return [...this.#streams.keys()].sort((a, b) => a - b)
  }

  firstIndex(stream: number): number {
    const state = this.#streams.get(stream)
    return state === undefined || (state.last === 0 && state.live === 0) ? 0 : state.first
  }

  lastIndex(stream: number): number {
    return this.#streams.get(stream)?.last ?? 0
  }

  async read(stream: number, from: number, to: number, visit: (record: LogRecord) => void): Promise<void> {
    if (from > to) return
    const state = this.#streams.get(stream)
    if (state === undefined || from < state.first || to > state.last) {
      throw new DbError(
        'object_not_in_prerequisite_state',
        `entries ${from} to ${to} of stream ${stream} are not in the log`,
        {
          detail: `The log has ${this.firstIndex(stream)} to ${this.lastIndex(stream)}.`,
        },
      )
    }
    await readEntries(
      this.#segments,
      (segment, offset) => this.#unwritten(segment, offset),
      state,
      stream,
      from,
      to,
      visit,
    )
  }

  release(stream: number, index: number): void {
    const state = this.#streams.get(stream)
    if (index < (state?.first ?? 1) || this.#forgotten.has(stream)) return
    if (state === undefined || index > state.last) {
      this.restart(stream, index, undefined)
      return
    }
    state.release(index)
    this.#reclaimSoon()
  }

  restart(stream: number, index: number, durable: (() => void) | undefined): void {
    const group = this.#room(alignRecord(markBytes))
    const state = this.#streams.get(stream) ?? this.#newStream(stream)
    group.mark(restartKind, stream, index)
    state.restart(index)
    this.#appended(group, durable)
    this.#reclaimSoon()
  }

  forget(stream: number, durable?: () => void): void {
    const group = this.#room(alignRecord(markBytes))
    const state = this.#streams.get(stream)
    this.#streams.delete(stream)
    this.#forgotten.add(stream)
    group.mark(forgetKind, stream, 0)
    // For reads under way.
    state?.restart(state.last)
    this.#appended(group, durable)
    this.#reclaimSoon()
  }

  term(stream: number, index: number): number | undefined {
    return this.#streams.get(stream)?.termOf(index)
  }

  laggards(): { stream: number; index: number }[] {
    const excess = Math.ceil((this.#segments.bytes - this.#budgetBytes) / this.#segments.segmentBytes)
    if (excess <= 0) return []
    const limit = Math.min(this.#segments.used[0].number + excess, this.#segment) - 1
    const out: { stream: number; index: number }[] = []
    for (const [stream, state] of this.#streams) {
      if (state.live > 0 && state.segmentOf(state.first) <= limit) out.push({ stream, index: state.lastWithin(limit) })
    }
    return out
  }

  get full(): boolean {
    return this.#segments.full
  }

  sync(): Promise<void> {
    const group = this.#filling ?? this.#queue.at(-1)
    if (group === undefined) return Promise.resolve()
    return new Promise((done) => group.durables.push(done))
  }

  get durableGroup(): number {
    return this.#lastDurable
  }

  stats(): { segments: number; bytes: number; groups: number; records: number } {
    return {
      segments: this.#segments.used.length,
      bytes: this.#segments.bytes,
      groups: this.#groups,
      records: this.#records,
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    await this.sync()
    this.#closed = true
    await this.#reclaiming
    await this.#segments.close()
  }

  #newStream(stream: number): StreamState {
    assert(!this.#forgotten.has(stream), `stream ${stream} is forgotten`)
    const state = new StreamState()
    this.#streams.set(stream, state)
    return state
  }

  /** Something was put into a group: it is to be written. */
  #appended(group: Group, durable: (() => void) | undefined): void {
    if (durable !== undefined) group.durables.push(durable)
    if (!this.#writing) this.#kick()
  }

  /** The group that takes the next `bytes`; rotates when the segment has no room for them. */
  #room(bytes: number): Group {
    assert(!this.#closed, 'a closed log is not appended to')
    const capacity = this.#segments.segmentBytes
    // Nothing may wait on a segment that a full disk denies: nobody could be told.
    const denied = this.#segments.full && this.#segment > this.#segments.newest
    if (denied) throw diskFull()
    let group = this.#filling
    if (group !== undefined) {
      const fits = group.offset + group.length + bytes <= capacity
      if (fits && (group.length + bytes <= groupLimit || group.records === 0)) return group
      this.#close()
    }
    if (this.#position + groupHeaderBytes + bytes <= capacity) return this.#open()
    if (this.#segments.full) throw diskFull()
    this.#segment++
    this.#position = segmentHeaderBytes
    group = this.#open()
    for (const [stream, state] of this.#streams) group.checkpoint(stream, state)
    return group
  }

  #open(): Group {
    const group = this.#free.pop() ?? new Group()
    group.begin(this.#segment, this.#position)
    this.#filling = group
    return group
  }

  /** The filling group gets no more; the next one begins behind it. */
  #close(): void {
    const group = this.#filling!
    this.#filling = undefined
    this.#position = alignGroup(group.offset + group.length)
    this.#queue.push(group)
  }

  #kick(): void {
    this.#writing = true
    void this.#write()
  }

  async #write(): Promise<void> {
    try {
      // Appends of the same turn of the loop join the group. Starting at the first append instead halves the groups, and
      // yielding again between groups leaves the disk idle while the loop works: both measured slower.
      await this.#io.tasks.yield()
      for (;;) {
        if (this.#io.dead) return
        if (this.#queue.length === 0) {
          if (this.#filling === undefined) break
          this.#close()
        }
        await this.#writeGroup(this.#queue[0])
      }
      this.#writing = false
    } catch (error) {
      if (!this.#io.dead) this.#io.fatal('the commit log could not be written', error)
    }
  }

  async #writeGroup(group: Group): Promise<void> {
    group.seal(this.#segments.identity, ++this.#lastSealed, this.#lastDurable)
    const segment = await this.#segments.take(group.segment)
    await segment.file.write(group.bytes, 0, group.length, group.offset)
    if (this.#io.dead) return
    this.#lastDurable = this.#lastSealed
    this.#groups++
    this.#records += group.records
    const end = group.offset + group.length
    if (end > segment.bytes) segment.bytes = end
    if (end * 2 > this.#segments.segmentBytes) this.#segments.prepare(group.segment + 1)
    this.#queue.shift()
    const { durables } = group
    for (let i = 0; i < durables.length; i++) durables[i]()
    if (this.#free.length < 2) this.#free.push(group)
  }

  /** The group in memory that holds an offset of a segment, if it is not yet on disk. */
  #unwritten(segment: number, offset: number): Group | undefined {
    for (const group of this.#queue) if (holds(group, segment, offset)) return group
    return this.#filling !== undefined && holds(this.#filling, segment, offset) ? this.#filling : undefined
  }

  #reclaimSoon(): void {
    this.#reclaimAgain = true
    this.#reclaiming ??= this.#reclaim().finally(() => {
      this.#reclaiming = undefined
    })
  }

  async #reclaim(): Promise<void> {
    try {
      while (this.#reclaimAgain && !this.#closed && !this.#io.dead) {
        this.#reclaimAgain = false
        await this.#io.tasks.yield()
        if (this.#segments.bytes > this.#budgetBytes) await this.#copyForward()
        if (this.#oldestNeeded() <= this.#segments.used[0].number) continue
        const needed = this.#oldestNeeded()
        // What made the segment unneeded (a cancelling append, a copy) must be on disk before it goes.
        await this.sync()
        while (!this.#closed && this.#segments.used[0].number < needed && this.#segments.used[0].readers === 0) {
          await this.#segments.recycleOldest()
        }
      }
    } catch (error) {
      if (!this.#io.dead) this.#io.fatal('a commit log segment could not be recycled', error)
    }
  }

  /** The lowest segment that some stream or the write position needs. */
  #oldestNeeded(): number {
    let oldest = this.#segments.newest
    for (const state of this.#streams.values()) {
      if (state.live > 0) oldest = Math.min(oldest, state.segmentOf(state.first))
    }
    return oldest
  }

  /** Appends again what little is left of idle streams in the oldest segment. */
  async #copyForward(): Promise<void> {
    const oldest = this.#segments.used[0].number
    if (oldest === this.#segment) return
    const capacity = this.#segments.segmentBytes
    let budget = Math.min(copyForwardBytes, capacity / 4)
    for (const [stream, state] of [...this.#streams]) {
      if (state.live === 0 || state.segmentOf(state.first) > oldest) continue
      // A guess before reading: a stream with many entries has more than the budget anyway.
      if (state.live * alignRecord(entryHeaderBytes + 1) > budget) return
      const { first, last, changes } = state
      const copies: LogRecord[] = []
      let bytes = 0
      try {
        await this.read(stream, first, last, (record) => {
          bytes += alignRecord(entryHeaderBytes + record.payload.length)
          if (bytes <= budget) copies.push({ ...record, payload: new Uint8Array(record.payload) })
        })
      } catch (error) {
        // Released, cancelled or forgotten under our eyes: nothing to copy any more.
        if (error instanceof DbError && error.code === 'object_not_in_prerequisite_state') continue
        throw error
      }
      if (bytes > budget || this.#closed || this.#io.dead) return
      if (state.first !== first || state.changes !== changes) continue
      budget -= bytes
      // One group for all: the first copy cancels the originals, so no crash may come between them.
      const group = this.#room(bytes)
      if (group.offset + group.length + bytes > capacity) return
      for (const copy of copies) this.append(copy, undefined)
    }
  }
}

function holds(group: Group, segment: number, offset: number): boolean {
  return group.segment === segment && offset >= group.offset && offset < group.offset + group.length
}

function diskFull(): DbError {
  return new DbError('disk_full', 'the commit log cannot grow: no space left on the disk', {
    hint: 'Make room on the disk: writes go on then by themselves. What was acknowledged is safe, reads go on.',
  })
}
