/**
 * Where events stand: by key, and by place in the order of reception, whether in a run or by themselves.
 *
 *   by key        its own entry, else the run that begins at or before it ─► records of the run
 *   by position   the entry that begins at or before it, then those that follow
 *
 * Keys that are asked for together are mostly neighbours: those in one run are found with it, and so is that there is no run
 * between two keys.
 *
 * Not here: bytes (layout.ts, run.ts), what readers get of it (store-reader.ts).
 */
import { assert } from '../../base/index.ts'
import { compareBytes, ulidBytes } from '../../replication/sync/index.ts'
import {
  eventKey,
  readEventValue,
  readSlot,
  receptionKey,
  receptionPosition,
  type Slot,
  type StoredCell,
} from './layout.ts'
import type { Entry, OrderedMap } from './ordered-map.ts'
import {
  isRun,
  type Run,
  RunRecords,
  readRun,
  recordsKey,
  runKey,
  runsFrom,
  runsTo,
  ShrinkingRun,
  slotOfRun,
  slotsOf,
} from './run.ts'

/** Runs whose records are read at once. */
const runsAtOnce = 4
/** Entries of the order of reception that are read at once: an entry of a run has up to 4 KiB. */
const firstEntries = 32
const mostEntries = 512
/** Behind every key. */
const afterAll = new Uint8Array(ulidBytes + 1).fill(255)

export class EventFinder {
  readonly #map: OrderedMap

  constructor(map: OrderedMap) {
    this.#map = map
  }

  /** What stands of each key, undefined where there is nothing. */
  async cells(keys: readonly Uint8Array[]): Promise<(StoredCell | undefined)[]> {
    const values = await this.#single(keys)
    const found: (StoredCell | undefined)[] = []
    const missing: number[] = []
    for (let i = 0; i < keys.length; i++) {
      const value = values[i]
      found.push(value && readEventValue(value))
      if (value === undefined) missing.push(i)
    }
    if (missing.length > 0) await this.#inRuns(keys, missing, found)
    return found
  }

  /** Events of these keys that are in no run. Received one after the other they are mostly neighbours: one scan finds all. */
  async #single(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const sorted = keys.length >= 8 && ascending(keys)
    if (!sorted) return this.#map.get(keys.map((key) => eventKey(key)))
    const to = successor(eventKey(keys[keys.length - 1]))
    const entries = await this.#map.scan({ from: eventKey(keys[0]), to, limit: keys.length })
    const found = new Array<Uint8Array | undefined>(keys.length).fill(undefined)
    const missing: number[] = []
    let e = 0
    for (let i = 0; i < keys.length; i++) {
      while (e < entries.length && compareTail(entries[e].key, keys[i]) < 0) e++
      if (e < entries.length && compareTail(entries[e].key, keys[i]) === 0) found[i] = entries[e++].value
      // Behind what the scan has seen.
      else if (e === entries.length && entries.length === keys.length) missing.push(i)
    }
    const values = missing.length === 0 ? [] : await this.#map.get(missing.map((i) => eventKey(keys[i])))
    for (let i = 0; i < missing.length; i++) found[missing[i]] = values[i]
    return found
  }

  async #inRuns(
    keys: readonly Uint8Array[],
    missing: readonly number[],
    found: (StoredCell | undefined)[],
  ): Promise<void> {
    let run: Run | undefined
    let records: RunRecords | undefined
    /** No run begins between the last key looked for and this one; undefined: nothing is known. */
    let free: Uint8Array | undefined
    const moved: number[] = []
    for (const i of missing.toSorted((a, b) => compareBytes(keys[a], keys[b]))) {
      const key = keys[i]
      if (run === undefined || compareBytes(key, run.last) > 0) {
        if (free !== undefined && compareBytes(key, free) < 0) continue
        run = await this.runBefore(key)
        records = undefined
        if (run === undefined || compareBytes(key, run.last) > 0) {
          const [next] = await this.#map.scan({ from: runKey(key), to: runsTo, limit: 1 })
          free = next === undefined ? afterAll : readRun(next).first
          continue
        }
      }
      records ??= await this.recordsOf(run.position)
      const at = records.lowerBound(key)
      if (!records.holds(at, key)) continue
      found[i] = records.cell(at)
      if (found[i] === undefined) moved.push(i)
    }
    if (moved.length === 0) return
    // Since it was looked for by itself, or long ago and then it was found there.
    const values = await this.#map.get(moved.map((i) => eventKey(keys[i])))
    for (let i = 0; i < moved.length; i++) {
      const value = values[i]
      found[moved[i]] = value && readEventValue(value)
    }
  }

  /** The last run that begins at or before a key. */
  async runBefore(key: Uint8Array): Promise<Run | undefined> {
    const [entry] = await this.#map.scan({ from: runsFrom, to: successor(runKey(key)), reverse: true, limit: 1 })
    return entry && readRun(entry)
  }

  async recordsOf(run: number): Promise<RunRecords> {
    const [value] = await this.#map.get([recordsKey(run)])
    return new RunRecords(run, value!)
  }

  /** A run as what is taken out of it. */
  async shrinking(run: number): Promise<ShrinkingRun> {
    const [ids, records] = await this.#map.get([receptionKey(run), recordsKey(run)])
    return new ShrinkingRun(run, ids!, records!)
  }

  /** The places (after, upTo], `limit` of them at most. */
  async slots(after: number, upTo: number, limit: number): Promise<Slot[]> {
    const out: Slot[] = []
    const end = Math.min(upTo, after + limit)
    if (after >= end) return out
    const to = receptionKey(end + 1)
    let from = after + 1
    let entries = firstEntries
    while (from <= end) {
      let found = await this.#map.scan({ from: receptionKey(from), to, limit: Math.min(entries, end - from + 1) })
      const last = found.length < Math.min(entries, end - from + 1)
      if (found.length === 0 || receptionPosition(found[0].key) !== from) found = [await this.#around(from), ...found]
      const start = from
      for (const { key, value } of found) from = takeSlots(receptionPosition(key), value, from, end, out)
      assert(from > start, `the place ${start} has an entry`)
      if (last) break
      // As many entries as the rest may have, if it is like what was seen.
      entries = Math.min(mostEntries, Math.ceil(((end - from + 1) * found.length) / (from - start)))
    }
    return out
  }

  /** The place that a position has; it has been given out. */
  async slot(position: number): Promise<Slot> {
    return (await this.slots(position - 1, position, 1))[0]
  }

  /** The entry of the run that a position lies in, which is not its first. */
  async #around(position: number): Promise<Entry> {
    const [entry] = await this.#map.scan({
      from: receptionKey(0),
      to: receptionKey(position),
      reverse: true,
      limit: 1,
    })
    assert(entry !== undefined, `the place ${position} has an entry`)
    return entry
  }

  /**
   * What stands at places, as long as the visitor answers true; undefined for what has moved on, also meanwhile. Values may be
   * large: they are read as they are visited, some 256 KiB ahead.
   */
  async visit(slots: readonly Slot[], visitor: (slot: Slot, cell: StoredCell | undefined) => boolean): Promise<void> {
    const ahead = new Ahead()
    for (let i = 0; i < slots.length; ) {
      const part: Slot[] = []
      const runs: number[] = []
      const keys: Uint8Array[] = []
      for (; i < slots.length && keys.length < ahead.events && runs.length < runsAtOnce; i++) {
        const { key, run } = slots[i]
        if (run > 0 && run !== runs.at(-1)) runs.push(run)
        else if (run === 0 && key !== undefined) keys.push(key)
        part.push(slots[i])
      }
      // The last run to its end.
      for (; i < slots.length && slots[i].run > 0 && slots[i].run === runs.at(-1); i++) part.push(slots[i])
      const values = runs.length === 0 ? [] : await this.#map.get(runs.map((run) => recordsKey(run)))
      const records = values.map((value, n) => new RunRecords(runs[n], value!))
      const cells = keys.length === 0 ? [] : await this.cells(keys)
      ahead.read(cells)
      let r = 0
      let c = 0
      for (const slot of part) {
        let cell: StoredCell | undefined
        if (slot.key === undefined) cell = undefined
        else if (slot.run === 0) cell = cells[c++]
        else {
          while (records[r].position !== slot.run) r++
          cell = records[r].cell(slot.position - slot.run)
        }
        // One that moves on while we read comes again at its new place.
        if (!visitor(slot, cell?.position === slot.position ? cell : undefined)) return
      }
    }
  }

  /** What stands of keys, in their order, as long as the visitor answers true. */
  async visitKeys(keys: readonly Uint8Array[], visitor: (cell: StoredCell | undefined) => boolean): Promise<void> {
    const ahead = new Ahead()
    for (let i = 0; i < keys.length; ) {
      const part = keys.slice(i, i + ahead.events)
      const cells = await this.cells(part)
      ahead.read(cells)
      for (const cell of cells) if (!visitor(cell)) return
      i += part.length
    }
  }
}

/** How many events to read at once, `most` of them, by the size of those that were read. */
export class Ahead {
  events = 8
  readonly #most: number

  constructor(most = 64) {
    this.#most = most
  }

  read(cells: readonly (StoredCell | undefined)[]): void {
    let bytes = 0
    for (const cell of cells) bytes += cell?.record.length ?? 0
    const each = Math.max(64, bytes / Math.max(1, cells.length))
    this.events = Math.max(1, Math.min(this.#most, Math.floor((256 * 1024) / each)))
  }
}

/** Takes the places ≥ from and ≤ end out of an entry; answers what comes behind it. */
function takeSlots(position: number, value: Uint8Array, from: number, end: number, out: Slot[]): number {
  if (!isRun(value)) {
    out.push(readSlot(position, value))
    return position + 1
  }
  const behind = Math.min(end + 1, position + slotsOf(value))
  for (let at = from; at < behind; at++) out.push(slotOfRun(position, value, at - position))
  return behind
}

function ascending(keys: readonly Uint8Array[]): boolean {
  for (let i = 1; i < keys.length; i++) if (compareBytes(keys[i - 1], keys[i]) >= 0) return false
  return true
}

/** Of a key behind its space with a key. */
function compareTail(inSpace: Uint8Array, key: Uint8Array): number {
  for (let i = 0; i < ulidBytes; i++) if (inSpace[1 + i] !== key[i]) return inSpace[1 + i] - key[i]
  return 0
}

/** The first key behind one. */
export function successor(key: Uint8Array): Uint8Array {
  const out = new Uint8Array(key.length + 1)
  out.set(key)
  return out
}
