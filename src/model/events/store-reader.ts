/**
 * Reads of an event store over its ordered map. Each sees what was durable when it was called or later, never less.
 *
 * Not here: writes (store-writer.ts).
 */
import { DbError } from '../../base/index.ts'
import {
  beginning,
  compareBytes,
  fromHex,
  type Hashed,
  hashBytes,
  isRedaction,
  isRefused,
  type Mark,
  maxUlidMs,
  noStamp,
  parseUlid,
  putUlidTime,
  recordKey,
  sameBytes,
  toHex,
  ulidBytes,
} from '../../replication/sync/index.ts'
import { cellsWithin } from './event-range.ts'
import type { ChangesPage, Conflict, ConflictsPage, RangePage, StoredEvent } from './event-store.ts'
import { Ahead, EventFinder, successor } from './finder.ts'
import { eventKey, eventsTo, type Life, otherKey, othersOfKey, othersTo, type StoredCell } from './layout.ts'
import type { OrderedMap } from './ordered-map.ts'
import { byTime, storedEvent } from './stored-event.ts'
import type { Id, IdPage, RecordPage } from './sync-store.ts'

export interface RangeOptions {
  fromMs?: number
  toMs?: number
  afterKey?: string
  limit: number
  reverse?: boolean
}

/** Events of a range that are read at once, at most; fewer when they are large. */
const rangeEvents = 1024
/** Others that are read at once: each may have as many bytes as an event may, and so may what stands in its place. */
const othersAtOnce = 4
/** Places that are looked at at once, at most. */
const pageSlots = 4096

export class StoreReader {
  readonly #map: OrderedMap
  readonly #finder: EventFinder

  constructor(map: OrderedMap) {
    this.#map = map
    this.#finder = new EventFinder(map)
  }

  async get(keys: readonly Uint8Array[]): Promise<(StoredEvent | undefined)[]> {
    const cells = await this.#finder.cells(keys)
    return cells.map((cell) => cell && storedEvent(cell.record, cell.position))
  }

  /** Of the first keys, as many as there is room for; one at least. */
  async firstOf(keys: readonly Uint8Array[], maxBytes: number): Promise<(StoredEvent | undefined)[]> {
    const events: (StoredEvent | undefined)[] = []
    let bytes = 0
    await this.#finder.visitKeys(keys, (cell) => {
      bytes += cell?.record.length ?? 0
      if (events.length > 0 && bytes > maxBytes) return false
      events.push(cell && storedEvent(cell.record, cell.position))
      return true
    })
    return events
  }

  async changes(after: number, limit: number, position: number, maxBytes: number): Promise<ChangesPage> {
    const events: StoredEvent[] = []
    let next = after
    let places = 0
    let bytes = 0
    let full = false
    while (next < position && !full) {
      // Places that all have moved on make no page: that would look like the end.
      if (events.length === 0) places = 0
      if (places === limit) break
      const slots = await this.#finder.slots(next, position, Math.min(limit - places, pageSlots))
      if (slots.length === 0) break
      await this.#finder.visit(slots, (slot, cell) => {
        const size = cell?.record.length ?? 0
        full = events.length > 0 && bytes + size > maxBytes
        if (full) return false
        next = slot.position
        places++
        if (cell !== undefined) events.push(storedEvent(cell.record, cell.position))
        bytes += size
        return true
      })
    }
    return events.length === 0 ? { events, next: after } : { events: events.sort(byTime), next }
  }

  async range({ fromMs, toMs, afterKey, limit, reverse }: RangeOptions, maxBytes: number): Promise<RangePage> {
    let from = boundary(Math.max(0, fromMs ?? 0))
    let to = toMs === undefined || toMs > maxUlidMs ? eventsTo : boundary(Math.max(0, toMs))
    if (afterKey !== undefined) {
      const key = eventKey(parseUlid(afterKey))
      if (reverse) to = compareBytes(key, to) < 0 ? key : to
      else from = compareBytes(key, from) < 0 ? from : successor(key)
    }
    const events: StoredEvent[] = []
    const ahead = new Ahead(rangeEvents)
    let bytes = 0
    while (events.length < limit) {
      if (compareBytes(from, to) >= 0) return { events, afterKey: undefined }
      const wanted = Math.min(ahead.events, limit - events.length)
      const cells = await cellsWithin(this.#map, this.#finder, { from, to, limit: wanted, reverse })
      ahead.read(cells)
      for (const { record, position } of cells) {
        bytes += record.length
        if (events.length > 0 && bytes > maxBytes) return { events, afterKey: events.at(-1)!.key }
        events.push(storedEvent(record, position))
      }
      if (cells.length < wanted) return { events, afterKey: undefined }
      const last = eventKey(recordKey(cells[cells.length - 1].record))
      if (reverse) to = last
      else from = successor(last)
    }
    return { events, afterKey: events.at(-1)?.key }
  }

  async conflicts(limit: number, after: string | undefined, maxBytes: number): Promise<ConflictsPage> {
    let from = after === undefined ? otherKey(new Uint8Array(ulidBytes), noHash) : behindConflict(after)
    const conflicts: Conflict[] = []
    let last: string | undefined
    let bytes = 0
    while (conflicts.length < limit) {
      const entries = await this.#map.scan({ from, to: othersTo, limit: othersAtOnce })
      const kept = await this.get(entries.map((e) => recordKey(e.value)))
      for (const [i, { key, value }] of entries.entries()) {
        const standing = kept[i]
        // Erased while we read.
        if (standing === undefined || standing.redacted) continue
        bytes += value.length + standing.value.length
        const full = conflicts.length === limit || (conflicts.length > 0 && bytes > maxBytes)
        if (full) return { conflicts, after: last }
        const other = storedEvent(value, 0)
        conflicts.push({ key: other.key, kept: standing, other })
        last = `${other.key}.${toHex(key.subarray(key.length - hashBytes))}`
      }
      if (entries.length < othersAtOnce) return { conflicts, after: undefined }
      from = successor(entries[entries.length - 1].key)
    }
    return { conflicts, after: last }
  }

  /** The mark of a place of this life, which lies at or below its position. */
  async markAt(life: Life, position: number): Promise<Mark> {
    if (position === 0) return beginning(life.store, life.incarnation)
    const slot = await this.#finder.slot(position)
    return { store: life.store, incarnation: life.incarnation, position, stamp: slot?.stamp ?? noStamp }
  }

  async idsAfter(life: Life, position: number, limit: number, source: number): Promise<IdPage> {
    const ids: Id[] = []
    // A page is as long as a scan: what is skipped counts, so that one page costs so much and no more.
    const slots = await this.#finder.slots(position, life.position, limit)
    for (const { key, hash, source: from } of slots) {
      if (key !== undefined && (source === 0 || from !== source)) ids.push({ key, hash: hash! })
    }
    const last = slots.at(-1)
    if (last === undefined) return { ids, upTo: await this.markAt(life, position) }
    return {
      ids,
      upTo: { store: life.store, incarnation: life.incarnation, position: last.position, stamp: last.stamp },
    }
  }

  async lacking(ids: readonly Id[]): Promise<number[]> {
    const cells = await this.#finder.cells(ids.map((id) => id.key))
    const out: number[] = []
    for (let i = 0; i < ids.length; i++) {
      const cell = cells[i]
      if (cell === undefined || !(await this.#has(ids[i], cell))) out.push(i)
    }
    return out
  }

  /** Whether all that an id names is here: it stands, or is among the others, or both sides have the same of the key. */
  async #has(id: Id, cell: StoredCell): Promise<boolean> {
    if (sameBytes(cell.hash, id.hash) || isRedaction(cell.record)) return true
    const [other] = await this.#map.get([otherKey(id.key, id.hash)])
    if (other !== undefined) return true
    if (cell.others === 0) return false
    const { hash } = await this.#finder.slot(cell.position)
    return hash !== undefined && sameBytes(hash, id.hash)
  }

  async records(
    life: Life,
    keys: readonly Uint8Array[],
    { maxBytes, cap, behind }: { maxBytes: number; cap: number; behind: Uint8Array | undefined },
  ): Promise<RecordPage> {
    const records: Uint8Array[] = []
    let bytes = 0
    let taken = 0
    let last = 0
    const add = (record: Uint8Array): boolean => {
      if (bytes >= maxBytes || (records.length > 0 && bytes + record.length > maxBytes)) return false
      records.push(record)
      bytes += record.length
      return true
    }
    const took = (cell: StoredCell | undefined) => {
      taken++
      if (cell !== undefined && cell.position <= cap && cell.position > last) last = cell.position
    }
    const page = async (cut?: Uint8Array): Promise<RecordPage> => {
      return { records, taken, upTo: last === 0 ? undefined : await this.markAt(life, last), behind: cut }
    }
    for (;;) {
      let conflict: StoredCell | undefined
      await this.#finder.visitKeys(keys.slice(taken), (cell) => {
        if (cell !== undefined && cell.others > 0) conflict = cell
        const goesOn = conflict === undefined && (cell === undefined ? bytes < maxBytes : add(cell.record))
        if (goesOn) took(cell)
        return goesOn
      })
      if (conflict === undefined) return page()
      let cut = taken === 0 ? behind : undefined
      for await (const { record, hash } of this.#recordsOf(conflict, cut)) {
        if (!add(record)) return page(cut)
        cut = hash
      }
      took(conflict)
    }
  }

  /** The event and the others that travel with it, by ascending hash, behind one. */
  async *#recordsOf(cell: StoredCell, behind: Uint8Array | undefined): AsyncGenerator<Hashed> {
    const key = recordKey(cell.record)
    if (behind === undefined || compareBytes(behind, cell.hash) < 0) yield cell
    const { from: first, to } = othersOfKey(key)
    let from = behind === undefined ? first : successor(otherKey(key, behind))
    for (;;) {
      const entries = await this.#map.scan({ from, to, limit: othersAtOnce })
      for (const { key: at, value } of entries) {
        if (!isRefused(value)) yield { record: value, hash: at.subarray(at.length - hashBytes) }
      }
      if (entries.length < othersAtOnce) return
      from = successor(entries[entries.length - 1].key)
    }
  }

  /** Every event's key and hash in the order of reception; ones that moved on come with their last hash at the end. */
  async eachId(life: Life, visit: (key: Uint8Array, hash: Uint8Array) => void): Promise<void> {
    for (let at = 0; at < life.position; ) {
      const slots = await this.#finder.slots(at, life.position, pageSlots)
      if (slots.length === 0) break
      for (const { key, hash } of slots) if (key !== undefined) visit(key, hash!)
      at = slots[slots.length - 1].position
    }
  }
}

const noHash = new Uint8Array(hashBytes)

/** Where the others go on: behind all of a key, or behind one of them. */
function behindConflict(after: string): Uint8Array {
  const [key, hash] = after.split('.', 2)
  const parsed = parseUlid(key)
  if (hash === undefined) return othersOfKey(parsed).to
  if (/^[0-9a-f]{32}$/.test(hash)) return successor(otherKey(parsed, fromHex(hash)))
  throw new DbError('event_key_malformed', `"${after.slice(0, 80)}" names no conflict`, {
    hint: 'Continue after what the page before said, or after a key.',
  })
}

/** The first key of an event that happened at or after a time. */
function boundary(ms: number): Uint8Array {
  if (ms > maxUlidMs) return eventsTo
  const key = new Uint8Array(ulidBytes)
  putUlidTime(key, 0, Math.ceil(ms))
  return eventKey(key)
}
