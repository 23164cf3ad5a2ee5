/**
 * The event databases behind a node's local tables: opened once, with the view of rows that a merging table needs.
 *
 * Nothing is read or written before what a crash left in the outbox is in its stores: a counter would count on from too
 * little otherwise.
 *
 * Not here: transactions (local-session.ts), the outbox (outbox.ts).
 */
import { DbError, HybridClock } from '../../base/index.ts'
import type { Io } from '../../io/index.ts'
import type { EventStore } from '../../model/events/index.ts'
import { rowsView } from '../../model/local-tables/rows-view.ts'
import type { CellTime } from '../../replication/sync/index.ts'
import { formatUlid, UlidSource, ulidBytes } from '../../replication/sync/index.ts'
import type { LocalStore, SqlEvents } from '../local-port.ts'
import { Outbox, type OutboxPlace } from './outbox.ts'

export interface OpenTable extends LocalStore {
  readonly name: string
  readonly merging: boolean
}

export class LocalTables {
  readonly outbox: Outbox
  readonly #io: Io
  readonly #events: SqlEvents
  readonly #ulids: UlidSource
  readonly #clock: HybridClock
  readonly #opened = new Map<string, Promise<OpenTable>>()
  readonly #stores = new Map<string, EventStore>()
  readonly #turns = new Map<string, Promise<void>>()
  #ready: Promise<void> | undefined

  constructor(io: Io, events: SqlEvents, place: OutboxPlace) {
    this.#io = io
    this.#events = events
    this.#ulids = new UlidSource(io.random)
    this.#clock = new HybridClock(() => io.clock.wallMicros())
    this.outbox = new Outbox(place, (name) => events.open(name), io)
  }

  /** Puts what an earlier life left in the outbox into its stores, in the background. */
  start(): void {
    // Whoever opens a table tries again, and hears of it.
    this.#drained().catch(() => {})
  }

  #drained(): Promise<void> {
    this.#ready ??= this.outbox.drain().catch((error) => {
      this.#ready = undefined
      throw error
    })
    return this.#ready
  }

  checkName(name: string): void {
    this.#events.checkName(name)
  }

  open(name: string, merging: boolean): Promise<OpenTable> {
    const key = `${merging ? 'm' : 'e'} ${name}`
    let opened = this.#opened.get(key)
    if (opened === undefined) {
      opened = this.#open(name, merging)
      this.#opened.set(key, opened)
      opened.catch(() => this.#opened.delete(key))
    }
    return opened
  }

  async #open(name: string, merging: boolean): Promise<OpenTable> {
    await this.#drained()
    const { store, views } = await this.#events.open(name)
    if (merging) await views.add(rowsView())
    this.#stores.set(name, store)
    return { store, views, name, merging }
  }

  /** Raises event_schema_violation for what the event database's schema, if it has one, does not allow. */
  async checkValues(name: string, texts: readonly (readonly [key: string, value: string])[]): Promise<void> {
    const { check } = await this.#events.open(name)
    if (check !== undefined) for (const [, value] of texts) check(JSON.parse(value))
  }

  /** Events of a store that was opened. */
  countOf(name: string): number | undefined {
    return this.#stores.get(name)?.count
  }

  /** A key that is above all that this node has made before. */
  newKey(): string {
    const bytes = new Uint8Array(ulidBytes)
    this.#ulids.now(Math.floor(this.#io.clock.wallMicros() / 1000), bytes, 0)
    this.#newestKey = formatUlid(bytes)
    return this.#newestKey
  }
  #newestKey = ''

  /** The last one made: nobody else can have it. */
  get newestKey(): string {
    return this.#newestKey
  }

  /**
   * When something is written at a store: later than all that this node has written and than `seen`. Raises clock_skewed
   * when that is far ahead of the clock here, since nobody would believe it.
   */
  newTime(store: LocalStore, seen: number, toleranceMicros: number): CellTime {
    this.#clock.observe(seen)
    const ahead = this.#clock.aheadMicros
    if (ahead > toleranceMicros) {
      throw new DbError('clock_skewed', `the row was written ${Math.ceil(ahead / 1e6)} s ahead of the clock here`, {
        hint: 'Set the clocks right at both places, or wait so long and try again.',
      })
    }
    const { store: id, incarnation } = store.store.identity
    return { timestamp: this.#clock.next(), origin: `${id}.${incarnation}` }
  }

  /** Resolves when nobody else commits to the merging table; the result is called when the commit is over. */
  async takeTurn(name: string): Promise<() => void> {
    const before = this.#turns.get(name)
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#turns.set(name, promise)
    await before
    return () => {
      if (this.#turns.get(name) === promise) this.#turns.delete(name)
      resolve()
    }
  }

  /** Waits for appends that go on. */
  async close(): Promise<void> {
    await this.#ready?.catch(() => {})
    await this.outbox.close()
  }
}
