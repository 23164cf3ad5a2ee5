/**
 * Events of transactions that wrote elsewhere too, or very much: entries of the same commit, whose events are appended to their stores
 * afterwards, and again after a crash. Their keys and values are fixed, so appending twice is appending once.
 *
 *   key     storage id 3, u32 │ node u32 │ ULID 16
 *   value   JSON: {"store": "orders", "events": [[key, JSON text of the value], …]}
 *           or with "origin": changes of bridged tables, which get their keys and ends by the entry's commit (change.ts)
 *
 * Each node appends its own entries: they are its own events, and its counters count on from them.
 *
 * Not here: who writes entries (local-commit.ts).
 */
import { DbError, type Timestamp } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import type { Io } from '../../io/index.ts'
import type { NewEvent } from '../../model/events/index.ts'
import { parseUlid } from '../../replication/sync/index.ts'
import type { TransactionStore } from '../../transaction/index.ts'
import { readAll } from '../catalog/catalog-store.ts'
import type { LocalStore } from '../local-port.ts'
import { stamped } from './change.ts'

export const outboxStorage = 3
export const jsonType = 'application/json'

export interface OutboxPlace {
  readonly store: TransactionStore
  /** 0 on a node of its own. */
  readonly node: number
}

export interface OutboxBatch {
  readonly store: string
  readonly events: readonly (readonly [key: string, value: string])[]
  /** Events are changes of this origin that have not got their commit yet. */
  readonly origin?: string
}

const encoder = new TextEncoder()
/** Of one event; the store's own limit, which must be kept before anything is committed. */
export const maxEventBytes = 1 << 20
/** One append, and one entry of the outbox, has so much at most. */
const maxEvents = 1_000
const maxCharacters = 1 << 20

/** The same in parts that can each be appended at once. An event's size is that of its text, roughly. */
export function parted(batches: readonly OutboxBatch[]): OutboxBatch[] {
  const out: OutboxBatch[] = []
  for (const { events, ...same } of batches) {
    let part: (readonly [string, string])[] = []
    let size = 0
    for (const event of events) {
      if (part.length === maxEvents || (part.length > 0 && size + event[1].length > maxCharacters)) {
        out.push({ ...same, events: part })
        part = []
        size = 0
      }
      part.push(event)
      size += event[1].length
    }
    if (part.length > 0) out.push({ ...same, events: part })
  }
  return out
}

export interface OutboxEntry {
  readonly key: Uint8Array
  readonly batch: OutboxBatch
}

export class Outbox {
  readonly #place: OutboxPlace
  readonly #open: (name: string) => Promise<LocalStore>
  readonly #io: Pick<Io, 'log' | 'dead'>
  #failure: unknown
  readonly #going = new Set<Promise<void>>()

  constructor(place: OutboxPlace, open: (name: string) => Promise<LocalStore>, io: Pick<Io, 'log' | 'dead'>) {
    this.#place = place
    this.#open = open
    this.#io = io
  }

  /** Raises what keeps committed events from their stores: nothing may count on from what is there. */
  check(): void {
    if (this.#failure === undefined) return
    throw new DbError('object_not_in_prerequisite_state', 'rows that were committed before could not be appended', {
      cause: this.#failure,
      hint: 'Put right what the log says of "outbox-waits", and start the node again: they are not lost.',
    })
  }

  entryKey(ulid: string): Uint8Array {
    const out = new ByteWriter(24)
    out.u32(outboxStorage)
    out.u32(this.#place.node)
    const id = parseUlid(ulid)
    out.range(id, 0, id.length)
    return out.copy()
  }

  entryValue(batch: OutboxBatch): Uint8Array {
    return encoder.encode(JSON.stringify(batch))
  }

  /** All entries of this node, in the order of their commits as far as that is known. */
  async drain(): Promise<void> {
    const found: [OutboxEntry, Timestamp][] = []
    await readAll(this.#place.store, outboxStorage, (key, value, at) => {
      const node = new DataView(key.buffer, key.byteOffset, key.length).getUint32(4)
      if (node === this.#place.node)
        found.push([{ key: key.slice(), batch: JSON.parse(Buffer.from(value).toString()) as OutboxBatch }, at])
    })
    for (const [entry, at] of found) await this.#deliver(entry, at)
  }

  /** Appends committed entries' events. Never rejects: what fails stays for the next start. @param at of their commit */
  deliver(entries: readonly OutboxEntry[], at: Timestamp): Promise<void> {
    const going = Promise.all(entries.map((entry) => this.#deliver(entry, at))).then(
      () => {},
      (error) => {
        this.#failure = error
        this.#io.log.error('outbox-waits', { stores: stores(entries), reason: String(error) })
      },
    )
    this.#going.add(going)
    return going.finally(() => this.#going.delete(going))
  }

  async #deliver({ key, batch }: OutboxEntry, at: Timestamp): Promise<void> {
    const { store: name, origin } = batch
    const events = origin === undefined ? batch.events : batch.events.map((e) => stamped(e, origin, at))
    const { store: local } = await this.#open(name)
    const all = events.map(([k, value]) => ({ key: k, value: encoder.encode(value), contentType: jsonType }))
    try {
      await local.append(all)
    } catch (error) {
      if (!isConflict(error)) throw error
      await appendApart(local.append.bind(local), all)
    }
    const { store } = this.#place
    const set = store.builder()
    set.delete(key)
    // Should this be lost, the events are appended again, which changes nothing.
    if (!this.#io.dead) store.commit(set, 0, () => {})
  }

  async close(): Promise<void> {
    await Promise.all(this.#going)
  }
}

function stores(entries: readonly OutboxEntry[]): string {
  return [...new Set(entries.map((e) => e.batch.store))].join(' ')
}

function isConflict(error: unknown): boolean {
  return error instanceof DbError && error.code === 'event_conflict'
}

/** Somebody else has taken a key for another value: the store keeps ours among its conflicts, and takes the others. */
async function appendApart(append: (events: NewEvent[]) => Promise<string[]>, events: NewEvent[]): Promise<void> {
  for (const event of events) {
    try {
      await append([event])
    } catch (error) {
      if (!isConflict(error)) throw error
    }
  }
}
