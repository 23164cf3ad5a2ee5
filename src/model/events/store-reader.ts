/**
 * Reads of an event store over its ordered map. Each sees what was durable when it was called or later, never less.
 *
 * Not here: writes (store-writer.ts).
 */
import {
  beginning,
  compareBytes,
  isRedaction,
  type Mark,
  maxUlidMs,
  noStamp,
  parseUlid,
  putUlidTime,
  recordKey,
  sameBytes,
  ulidBytes,
} from '../../replication/sync/index.ts'
import { cellsWithin } from './event-range.ts'
import type { ChangesPage, Conflict, StoredEvent } from './event-store.ts'
import { EventFinder, successor } from './finder.ts'
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

  async range({ fromMs, toMs, afterKey, limit, reverse }: RangeOptions): Promise<StoredEvent[]> {
    let from = boundary(Math.max(0, fromMs ?? 0))
    let to = toMs === undefined || toMs > maxUlidMs ? eventsTo : boundary(Math.max(0, toMs))
    if (afterKey !== undefined) {
      const key = eventKey(parseUlid(afterKey))
      if (reverse) to = compareBytes(key, to) < 0 ? key : to
      else from = compareBytes(key, from) < 0 ? from : successor(key)
    }
    if (compareBytes(from, to) >= 0) return []
    const cells = await cellsWithin(this.#map, this.#finder, { from, to, limit, reverse })
    return cells.map(({ record, position }) => storedEvent(record, position))
  }

  async conflicts(limit: number, afterKey: string | undefined): Promise<Conflict[]> {
    const from =
      afterKey === undefined ? otherKey(new Uint8Array(ulidBytes), noHash) : othersOfKey(parseUlid(afterKey)).to
    const entries = await this.#map.scan({ from, to: othersTo, limit })
    const kept = await this.get(entries.map((e) => recordKey(e.value)))
    return entries.flatMap((entry, i) => {
      const other = storedEvent(entry.value, 0)
      return kept[i] === undefined || kept[i].redacted ? [] : [{ key: other.key, kept: kept[i], other }]
    })
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
      if (cell === undefined) out.push(i)
      else if (!sameBytes(cell.hash, ids[i].hash) && !(await this.#knowsOther(ids[i], cell))) out.push(i)
    }
    return out
  }

  async #knowsOther(id: Id, cell: StoredCell): Promise<boolean> {
    if (isRedaction(cell.record)) return true
    const [other] = await this.#map.get([otherKey(id.key, id.hash)])
    return other !== undefined
  }

  async records(life: Life, keys: readonly Uint8Array[], maxBytes: number, cap: number): Promise<RecordPage> {
    const records: Uint8Array[] = []
    let bytes = 0
    let taken = 0
    let last = 0
    await this.#finder.visitKeys(keys, (cell) => {
      const size = cell?.record.length ?? 0
      if (bytes >= maxBytes || (records.length > 0 && bytes + size > maxBytes)) return false
      taken++
      if (cell === undefined) return true
      if (cell.position <= cap && cell.position > last) last = cell.position
      records.push(cell.record)
      bytes += size
      return true
    })
    return { records, taken, upTo: last === 0 ? undefined : await this.markAt(life, last) }
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

const noHash = new Uint8Array(16)

/** The first key of an event that happened at or after a time. */
function boundary(ms: number): Uint8Array {
  if (ms > maxUlidMs) return eventsTo
  const key = new Uint8Array(ulidBytes)
  putUlidTime(key, 0, Math.ceil(ms))
  return eventKey(key)
}
