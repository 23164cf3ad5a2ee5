/**
 * Events of transactions that wrote elsewhere too: an entry of the same commit, whose events are appended to their stores
 * afterwards, and again after a crash. Their keys and values are fixed, so appending twice is appending once.
 *
 *   key     storage id 3, u32 │ node u32 │ ULID 16
 *   value   JSON: [{"store": "orders", "events": [[key, JSON text of the value], …]}, …]
 *
 * Each node appends its own entries: they are its own events, and its counters count on from them.
 *
 * Not here: who writes entries (local-commit.ts).
 */
import { DbError } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import type { Io } from '../../io/index.ts'
import type { NewEvent } from '../../model/events/index.ts'
import { parseUlid } from '../../replication/sync/index.ts'
import type { TransactionStore } from '../../transaction/index.ts'
import { readAll } from '../catalog/catalog-store.ts'
import type { LocalStore } from '../local-port.ts'

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
}

const encoder = new TextEncoder()

export class Outbox {
  readonly #place: OutboxPlace
  readonly #open: (name: string) => Promise<LocalStore>
  readonly #io: Pick<Io, 'log' | 'dead'>
  readonly #going = new Set<Promise<void>>()

  constructor(place: OutboxPlace, open: (name: string) => Promise<LocalStore>, io: Pick<Io, 'log' | 'dead'>) {
    this.#place = place
    this.#open = open
    this.#io = io
  }

  entryKey(ulid: string): Uint8Array {
    const out = new ByteWriter(24)
    out.u32(outboxStorage)
    out.u32(this.#place.node)
    const id = parseUlid(ulid)
    out.range(id, 0, id.length)
    return out.copy()
  }

  entryValue(batches: readonly OutboxBatch[]): Uint8Array {
    return encoder.encode(JSON.stringify(batches))
  }

  /** All entries of this node, in the order of their commits as far as that is known. */
  async drain(): Promise<void> {
    const found: { key: Uint8Array; batches: OutboxBatch[] }[] = []
    await readAll(this.#place.store, outboxStorage, (key, value) => {
      const node = new DataView(key.buffer, key.byteOffset, key.length).getUint32(4)
      if (node === this.#place.node)
        found.push({ key: key.slice(), batches: JSON.parse(Buffer.from(value).toString()) as OutboxBatch[] })
    })
    for (const { key, batches } of found) await this.#deliver(key, batches)
  }

  /** Appends a committed entry's events. Never rejects: what fails stays for the next start. */
  deliver(key: Uint8Array, batches: readonly OutboxBatch[]): Promise<void> {
    const going = this.#deliver(key, batches).catch((error) => {
      this.#io.log.error('outbox-waits', { stores: batches.map((b) => b.store).join(' '), reason: String(error) })
    })
    this.#going.add(going)
    return going.finally(() => this.#going.delete(going))
  }

  async #deliver(key: Uint8Array, batches: readonly OutboxBatch[]): Promise<void> {
    for (const { store: name, events } of batches) {
      const { store } = await this.#open(name)
      const all = events.map(([k, value]) => ({ key: k, value: encoder.encode(value), contentType: jsonType }))
      try {
        await store.append(all)
      } catch (error) {
        if (!isConflict(error)) throw error
        await appendApart(store.append.bind(store), all)
      }
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
