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
import type { ChangesPage, Conflict, StoredEvent } from './event-store.ts'
import {
  eventKey,
  eventsTo,
  isGone,
  type Life,
  otherKey,
  othersOfKey,
  othersTo,
  readEventValue,
  receptionEvent,
  receptionHash,
  receptionKey,
  receptionSource,
  receptionStamp,
  type StoredCell,
} from './layout.ts'
import type { Entry, OrderedMap } from './ordered-map.ts'
import { byTime, storedEvent } from './stored-event.ts'
import type { Id, IdPage, RecordPage } from './sync-store.ts'

export interface RangeOptions {
  fromMs?: number
  toMs?: number
  afterKey?: string
  limit: number
  reverse?: boolean
}

export class StoreReader {
  readonly #map: OrderedMap

  constructor(map: OrderedMap) {
    this.#map = map
  }

  async get(keys: readonly Uint8Array[]): Promise<(StoredEvent | undefined)[]> {
    const cells = await this.#cells(keys)
    return cells.map((cell) => cell && storedEvent(cell.record, cell.position))
  }

  async changes(after: number, limit: number, position: number): Promise<ChangesPage> {
    let next = after
    while (next < position) {
      const to = receptionKey(position + 1)
      const places = await this.#map.scan({ from: receptionKey(next + 1), to, limit })
      if (places.length === 0) break
      const keys = places.filter((p) => !isGone(p.value)).map((p) => receptionEvent(p.value))
      const first = next + 1
      next += places.length
      const cells = await this.#cells(keys)
      const events: StoredEvent[] = []
      for (const cell of cells) {
        // One that moves on while we read comes again at its new place.
        if (cell === undefined || cell.position < first || cell.position > next) continue
        events.push(storedEvent(cell.record, cell.position))
      }
      if (events.length > 0) return { events: events.sort(byTime), next }
    }
    return { events: [], next: after }
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
    const entries = await this.#map.scan({ from, to, reverse, limit })
    return entries.map(({ value }) => {
      const { record, position } = readEventValue(value)
      return storedEvent(record, position)
    })
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
    const [place] = await this.#map.get([receptionKey(position)])
    const stamp = place === undefined ? noStamp : receptionStamp(place)
    return { store: life.store, incarnation: life.incarnation, position, stamp }
  }

  async idsAfter(life: Life, position: number, limit: number, source: number): Promise<IdPage> {
    const ids: Id[] = []
    let last = position
    let stamp: Uint8Array | undefined
    // A page is as long as a scan: what is skipped counts, so that one page costs so much and no more.
    const to = receptionKey(life.position + 1)
    const places = limit === 0 ? [] : await this.#map.scan({ from: receptionKey(position + 1), to, limit })
    for (const { value } of places) {
      last++
      stamp = receptionStamp(value)
      if (isGone(value) || (source !== 0 && receptionSource(value) === source)) continue
      ids.push({ key: receptionEvent(value), hash: receptionHash(value) })
    }
    const upTo = stamp === undefined ? await this.markAt(life, position) : { ...life, position: last, stamp }
    return {
      ids,
      upTo: { store: upTo.store, incarnation: upTo.incarnation, position: upTo.position, stamp: upTo.stamp },
    }
  }

  async lacking(ids: readonly Id[]): Promise<number[]> {
    const cells = await this.#cells(ids.map((id) => id.key))
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
    // Values may be large: not all of them at once.
    for (let at = 0; at < keys.length && bytes < maxBytes; at += 64) {
      for (const cell of await this.#cells(keys.slice(at, at + 64))) {
        if (records.length > 0 && bytes + (cell?.record.length ?? 0) > maxBytes) {
          bytes = maxBytes
          break
        }
        taken++
        if (cell === undefined) continue
        if (cell.position <= cap && cell.position > last) last = cell.position
        records.push(cell.record)
        bytes += cell.record.length
      }
    }
    return { records, taken, upTo: last === 0 ? undefined : await this.markAt(life, last) }
  }

  /** Every event's key and hash in the order of reception; ones that moved on come with their last hash at the end. */
  async eachId(life: Life, visit: (key: Uint8Array, hash: Uint8Array) => void): Promise<void> {
    const pageEntries = 4096
    let at = 1
    while (at <= life.position) {
      const to = receptionKey(life.position + 1)
      const places = await this.#map.scan({ from: receptionKey(at), to, limit: pageEntries })
      for (const { value } of places) if (!isGone(value)) visit(receptionEvent(value), receptionHash(value))
      if (places.length < pageEntries) break
      at += places.length
    }
  }

  async #cells(keys: readonly Uint8Array[]): Promise<(StoredCell | undefined)[]> {
    const found = await this.#dense(keys)
    const missing: number[] = []
    for (let i = 0; i < keys.length; i++) if (found[i] === undefined) missing.push(i)
    if (missing.length > 0) {
      const values = await this.#map.get(missing.map((i) => eventKey(keys[i])))
      for (let i = 0; i < missing.length; i++) found[missing[i]] = values[i]
    }
    return found.map((value) => value && readEventValue(value))
  }

  /** Events received one after the other mostly have keys that are neighbours too: one scan then finds all. */
  async #dense(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    const found = new Array<Uint8Array | undefined>(keys.length).fill(undefined)
    if (keys.length < 8) return found
    for (let i = 1; i < keys.length; i++) if (compareBytes(keys[i - 1], keys[i]) >= 0) return found
    const to = successor(eventKey(keys[keys.length - 1]))
    const entries: Entry[] = await this.#map.scan({ from: eventKey(keys[0]), to, limit: keys.length })
    let e = 0
    for (let i = 0; i < keys.length && e < entries.length; i++) {
      while (e < entries.length && compareBytes(entries[e].key.subarray(1), keys[i]) < 0) e++
      if (e < entries.length && sameBytes(entries[e].key.subarray(1), keys[i])) found[i] = entries[e++].value
    }
    return found
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

function successor(key: Uint8Array): Uint8Array {
  const out = new Uint8Array(key.length + 1)
  out.set(key)
  return out
}
