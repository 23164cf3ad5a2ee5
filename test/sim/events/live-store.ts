/**
 * A simulated store over its lives: opened, crashed, restored, wiped; with views and a reader of its changes.
 *
 * Not here: what happens to it when (run.ts).
 */
import type { Clock } from '../../../src/io/index.ts'
import { type OrderedMap, openEventStore, type StoreLimits, type SyncStore } from '../../../src/model/events/index.ts'
import { openViews, recompute, type View, type Views, view } from '../../../src/model/events/views/index.ts'
import type { SimRandom } from '../../../src/testing/sim-random.ts'
import { FeedReader } from './feed-reader.ts'
import { contents } from './model.ts'
import { type Backup, backUp, type Life, type Place, restore } from './place.ts'

export interface Value {
  readonly n: number
  readonly who: string
}

const asKnown = (value: unknown): Value => value as Value

const views: readonly View[] = [
  view<Value>()({
    name: 'sums',
    version: 1,
    key: (e) => asKnown(e.value).who,
    initial: () => ({ count: 0, sum: 0 }),
    commutative: true,
    reduce: (s: { count: number; sum: number }, e) => ({ count: s.count + 1, sum: s.sum + asKnown(e.value).n }),
  }),
  view<Value>()({
    name: 'story',
    version: 1,
    initial: 7,
    reduce: (hash: number, e) => (Math.imul(hash, 31) + asKnown(e.value).n) | 0,
  }),
]

/** Where tests plant bugs. */
export interface Plant {
  readonly store?: (store: SyncStore) => SyncStore
  readonly map?: (map: OrderedMap) => OrderedMap
}

export class LiveStore {
  readonly name: string
  readonly #makePlace: () => Place
  readonly #clock: Clock
  readonly #random: SimRandom
  readonly #plant: Plant
  readonly #limits: Partial<StoreLimits>
  #place: Place
  #life!: Life
  #lives = 0
  store!: SyncStore
  #views: Views | undefined
  readonly reader = new FeedReader()
  crashes = 0

  constructor(name: string, makePlace: () => Place, clock: Clock, random: SimRandom, plant: Plant) {
    // Small messages, so that small stores have many pages and compare fingerprints.
    this.#limits = { syncIds: random.pick([3, 15, 1_000]), syncBytes: random.pick([300, 256 * 1024]) }
    this.name = name
    this.#makePlace = makePlace
    this.#clock = clock
    this.#random = random
    this.#plant = plant
    this.#place = makePlace()
  }

  get down(): boolean {
    return this.#life.dead
  }

  async open(): Promise<void> {
    this.#life = await this.#place.open()
    const random = this.#random.fork(`life ${++this.#lives}`)
    const { events } = this.#life
    // The life closes the map: views write until then.
    const lasting: OrderedMap = {
      write: (changes, accepted) => events.write(changes, accepted),
      get: (keys) => events.get(keys),
      scan: (options) => events.scan(options),
      close: async () => {},
    }
    const map = this.#plant.map?.(lasting) ?? lasting
    const store = await openEventStore({ name: 'orders', map, clock: this.#clock, random, limits: this.#limits })
    this.store = this.#plant.store?.(store) ?? store
    this.#views = undefined
  }

  /** What the work answers; undefined when the store died over it. */
  async race<T>(work: Promise<T>): Promise<T | undefined> {
    const life = this.#life
    return Promise.race([work, life.died.then(() => undefined)])
  }

  crash(when: 'now' | 'soon'): void {
    this.crashes++
    this.#life.crash(when)
  }

  async reopen(): Promise<void> {
    await this.#close()
    await this.open()
  }

  /** Any part of it may be the end by a crash. */
  async #close(): Promise<void> {
    if (!this.down && this.#views !== undefined) await this.race(this.#views.close())
    if (!this.down) await this.race(this.store.close())
    if (!this.down) await this.race(this.#life.close())
  }

  backUp(): Promise<Backup> {
    return backUp(this.#life)
  }

  /** Another place takes over with what a backup had, or nothing. */
  async replace(backup: Backup | undefined): Promise<void> {
    await this.#close()
    this.#place = this.#makePlace()
    if (backup !== undefined) await restore(this.#place, backup)
    this.reader.reset()
    await this.open()
  }

  /** Opens the views, if they are not, and lets them follow. */
  async follow(): Promise<Views> {
    if (this.#views !== undefined) return this.#views
    const clock = { monotonicMicros: () => 0 }
    const opened = await openViews({
      map: this.#life.views,
      stores: [this.store],
      clock,
      tasks: { yield: async () => {} },
    })
    this.#views = opened
    for (const each of views) await opened.add(each)
    return opened
  }

  /** What is wrong with the views, which are held against a recomputation from nothing. */
  async checkViews(): Promise<string[]> {
    const wrong: string[] = []
    const opened = await this.follow()
    const events = [...(await contents(this.store)).values()]
    for (const each of views) {
      await opened.settled(each.name)
      const entries = await opened.entries(each.name, { limit: 1_000_000 })
      const [is, due] = [entries.map((e) => [e.key, e.value]), [...recompute(each, () => events)]].map((list) =>
        JSON.stringify((list as [string, unknown][]).sort(([a], [b]) => (a < b ? -1 : 1))),
      )
      if (is !== due) wrong.push(`view: ${each.name} of ${this.name} is ${is}, not ${due}`)
    }
    return wrong
  }
}
