/**
 * Runs: events that one write appended and for which the store made keys. Their keys ascend with their positions, so what
 * is kept of them is kept once for a run and not for each:
 *
 *   5 │ first key 16        run: first position u64, last key 16
 *   2 │ first position u64  ids: stamp 8, then key 16 and hash 16 of each; zeros for one that has moved on
 *   6 │ first position u64  records: one after the other, then the end of each u32, their count u32
 *
 * Keys of runs ascend over the whole life of a store, whatever its clock does: no two runs overlap, and the only one that a
 * key can be in is the last that begins at or before it. What came from elsewhere, and what has moved on to a later
 * position, stands by itself (layout.ts), and before what a run says of its key. One that has moved on leaves flags 2 and its
 * key in the run: nothing of its value.
 *
 * A run is at most 128 events, and 32 KiB unless one event alone is larger: who needs one event reads its run.
 *
 * Not here: when runs are written (commit-group.ts), who looks for a key (finder.ts).
 */
import type { Timestamp } from '../../base/index.ts'
import {
  ByteOutput,
  compareBytes,
  digestInto,
  getSafe64,
  getU32,
  hashBytes,
  hashRecord,
  headKeyAt,
  putSafe64,
  recordHead,
  recordKey,
  stampBytes,
  ulidBytes,
  writeRecord,
} from '../../replication/sync/index.ts'
import { receptionKey, receptionStamp, type Slot, type StoredCell } from './layout.ts'
import type { Change, Entry } from './ordered-map.ts'

const runSpace = 5
const recordsSpace = 6
const runEvents = 128
const runBytes = 32 * 1024
const idBytes = ulidBytes + hashBytes
const gone = 2

export const runsFrom = Uint8Array.of(runSpace)
export const runsTo = Uint8Array.of(runSpace + 1)

/** Of a key, or of a bound between keys. */
export function runKey(key: Uint8Array): Uint8Array {
  const out = new Uint8Array(1 + key.length)
  out[0] = runSpace
  out.set(key, 1)
  return out
}

export function recordsKey(position: number): Uint8Array {
  const out = receptionKey(position)
  out[0] = recordsSpace
  return out
}

export interface Run {
  readonly first: Uint8Array
  readonly last: Uint8Array
  readonly position: number
}

export function readRun({ key, value }: Entry): Run {
  return { first: key.subarray(1), position: getSafe64(value, 0), last: value.subarray(8) }
}

/** How many positions an entry of the order of reception stands for. */
export function slotsOf(reception: Uint8Array): number {
  const ids = reception.length - stampBytes
  return ids > 0 && ids % idBytes === 0 ? ids / idBytes : 1
}

export const isRun = (reception: Uint8Array): boolean =>
  reception.length > stampBytes && (reception.length - stampBytes) % idBytes === 0

/** One position of a run. */
export function slotOfRun(run: number, ids: Uint8Array, i: number): Slot {
  const at = stampBytes + i * idBytes
  const stamp = receptionStamp(ids)
  if (isZero(ids, at)) return { position: run + i, stamp, key: undefined, hash: undefined, source: 0, run }
  const hashAt = at + ulidBytes
  const key = ids.subarray(at, hashAt)
  return { position: run + i, stamp, key, hash: ids.subarray(hashAt, at + idBytes), source: 0, run }
}

function isZero(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < ulidBytes; i++) if (bytes[at + i] !== 0) return false
  return true
}

/** An event of a run. Its hash is made when it is asked for: readers of values do not need it. */
class RunCell implements StoredCell {
  readonly position: number
  readonly record: Uint8Array
  readonly run: number
  /** What has others is in no run. */
  readonly others = 0

  constructor(position: number, record: Uint8Array, run: number) {
    this.position = position
    this.record = record
    this.run = run
  }

  get hash(): Uint8Array {
    return hashRecord(this.record)
  }
}

/** The records of a run, as they are stored. */
export class RunRecords {
  readonly position: number
  readonly count: number
  readonly #bytes: Uint8Array
  readonly #ends: number

  constructor(position: number, bytes: Uint8Array) {
    this.position = position
    this.#bytes = bytes
    this.count = getU32(bytes, bytes.length - 4)
    this.#ends = bytes.length - 4 - 4 * this.count
  }

  record(i: number): Uint8Array {
    return this.#bytes.subarray(this.#start(i), getU32(this.#bytes, this.#ends + 4 * i))
  }

  /** Undefined when it has moved on. */
  cell(i: number): StoredCell | undefined {
    const record = this.record(i)
    return record[0] === gone ? undefined : new RunCell(this.position + i, record, this.position)
  }

  /** Place of the first record whose key is not below; the count when there is none. */
  lowerBound(key: Uint8Array): number {
    let low = 0
    let high = this.count
    while (low < high) {
      const middle = (low + high) >> 1
      if (compareBytes(recordKey(this.record(middle)), key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Whether that place is the key's, and there is one. */
  holds(i: number, key: Uint8Array): boolean {
    return i < this.count && compareBytes(recordKey(this.record(i)), key) === 0
  }

  #start(i: number): number {
    return i === 0 ? 0 : getU32(this.#bytes, this.#ends + 4 * (i - 1))
  }
}

/** A run of which events move on. */
export class ShrinkingRun {
  readonly #ids: Uint8Array
  readonly #records: RunRecords
  readonly #gone = new Set<number>()

  constructor(position: number, ids: Uint8Array, records: Uint8Array) {
    this.#ids = ids
    this.#records = new RunRecords(position, records)
  }

  /** The event at that position goes elsewhere. */
  drop(position: number): void {
    this.#gone.add(position - this.#records.position)
  }

  /** What is left of it; nothing when nothing was dropped. */
  flush(changes: Change[]): void {
    if (this.#gone.size === 0) return
    const { position, count } = this.#records
    const ids = this.#ids.slice()
    const out = new ByteOutput(runBytes)
    const ends = new Uint32Array(count)
    for (let i = 0; i < count; i++) {
      const record = this.#records.record(i)
      if (this.#gone.has(i)) {
        ids.fill(0, stampBytes + i * idBytes, stampBytes + (i + 1) * idBytes)
        out.u8(gone)
        out.raw(recordKey(record))
      } else out.raw(record)
      ends[i] = out.length
    }
    putEnds(out, ends, count)
    changes.push({ key: receptionKey(position), value: ids }, { key: recordsKey(position), value: out.bytes })
  }
}

/** Runs in the making: each goes to `changes` when it is full or closed. */
export class RunWriter {
  readonly #changes: Change[]
  readonly #stamp: Uint8Array
  readonly #records: ByteOutput
  readonly #ends = new Uint32Array(runEvents)
  /** What the next record begins with: its key is to be written there. */
  readonly head: Uint8Array
  /** Events that are still to come, at most. */
  #left: number
  #ids: Uint8Array = new Uint8Array(0)
  readonly #closed: Uint8Array[] = []
  #position = 0
  #start = 0
  #count = 0

  /** @param records empty; where records go, and stay until the changes are written. @param events that are to come, at most. */
  constructor(changes: Change[], stamp: Uint8Array, origin: Uint8Array, records: ByteOutput, events: number) {
    this.#changes = changes
    this.#stamp = stamp
    this.head = recordHead(origin)
    this.#left = events
    this.#records = records
  }

  /** The event whose key is in the head; positions of one run follow each other. */
  add(position: number, sequence: number, timestamp: Timestamp, contentType: string, value: Uint8Array): void {
    const out = this.#records
    const full = this.#count === runEvents || out.length - this.#start + value.length > runBytes
    if (this.#count > 0 && full) this.close()
    if (this.#count === 0) this.#begin(position)
    const start = out.length
    writeRecord(out, this.head, sequence, timestamp, contentType, value)
    const at = stampBytes + this.#count * idBytes
    const { head } = this
    const ids = this.#ids
    for (let i = 0; i < ulidBytes; i++) ids[at + i] = head[headKeyAt + i]
    digestInto(out.buffer.subarray(start, out.length), ids, at + ulidBytes, hashBytes)
    this.#ends[this.#count++] = out.length - this.#start
    this.#left--
  }

  /** The next event begins another run. */
  close(): void {
    if (this.#count === 0) return
    const ids = this.#ids.subarray(0, stampBytes + this.#count * idBytes)
    const out = this.#records
    putEnds(out, this.#ends, this.#count)
    const run = new Uint8Array(8 + ulidBytes)
    putSafe64(run, 0, this.#position)
    run.set(ids.subarray(ids.length - idBytes, ids.length - hashBytes), 8)
    this.#changes.push(
      { key: runKey(ids.subarray(stampBytes, stampBytes + ulidBytes)), value: run },
      { key: receptionKey(this.#position), value: ids },
      { key: recordsKey(this.#position), value: out.buffer.subarray(this.#start, out.length) },
    )
    this.#closed.push(ids)
    this.#count = 0
  }

  /** Keys and hashes of all that were added; all runs are closed. */
  each(visit: (key: Uint8Array, hash: Uint8Array) => void): void {
    for (const ids of this.#closed) {
      for (let at = stampBytes; at < ids.length; at += idBytes) {
        visit(ids.subarray(at, at + ulidBytes), ids.subarray(at + ulidBytes, at + idBytes))
      }
    }
  }

  #begin(position: number): void {
    this.#position = position
    this.#start = this.#records.length
    this.#ids = new Uint8Array(stampBytes + Math.min(this.#left, runEvents) * idBytes)
    this.#ids.set(this.#stamp)
  }
}

function putEnds(out: ByteOutput, ends: Uint32Array, count: number): void {
  for (let i = 0; i < count; i++) out.u32(ends[i])
  out.u32(count)
}
