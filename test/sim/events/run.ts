/**
 * One seed: some stores, things that happen to them, and whether all of them end with what they must.
 *
 *   append (now, backdated, chosen keys) · erase · sync over a bad channel · crash · restart · back up, restore · wipe ·
 *   read changes · look at views
 *
 * Then everything is healed: all sync until nothing moves, and all must have the same events, which are those that were
 * acknowledged. A sync that nothing disturbs must leave both sides alike at once.
 *
 * Not here: many seeds (main.ts).
 */
import { isDeepStrictEqual } from 'node:util'
import { DbError } from '../../../src/base/index.ts'
import { type NewEvent, type StoredEvent, type SyncReport, syncWith } from '../../../src/model/events/index.ts'
import { SimWorld } from '../../../src/testing/index.ts'
import { SimRandom } from '../../../src/testing/sim-random.ts'
import { Channel, type Faults } from './channel.ts'
import { LiveStore, type Plant, type Value } from './live-store.ts'
import { conflicts, contents, Model, signature } from './model.ts'
import { type Backup, DiskPlace, MemoryPlace } from './place.ts'

export interface EventsOrder {
  readonly seed: string
  /** 'disk': directories on simulated disks. 'memory': maps in memory, a few times as fast. */
  readonly on: 'disk' | 'memory'
  readonly steps?: number
  /** Looks at views too. Default true. */
  readonly views?: boolean
  readonly plant?: Plant
}

export interface EventsResult {
  readonly violations: readonly string[]
  readonly events: number
  readonly syncs: number
  readonly faults: number
  /** Of what happened and what came of it: twins have the same. */
  readonly hash: string
  readonly steps: readonly string[]
}

const good: Faults = { loss: 0, again: 0 }
/** Keys that several stores write. */
const shared = ['01J00000000000000000000000', '01J00000000000000000000001', '01J00000000000000000000002']
const expected = ['event_conflict', 'connection_failure', 'store_closed', 'store_restored']

export async function runEvents(order: EventsOrder): Promise<EventsResult> {
  const world = new SimWorld(`events ${order.seed}`)
  const run = new EventsRun(order, world)
  if (order.on === 'memory') await run.main()
  else await world.run(() => run.main())
  return run.result(order.on === 'disk' ? world.trace.hash : '')
}

class EventsRun {
  readonly #order: EventsOrder
  readonly #random: SimRandom
  readonly #model = new Model()
  readonly #channel: Channel
  readonly #stores: LiveStore[]
  readonly #backups: { of: number; backup: Backup }[] = []
  readonly #violations: string[] = []
  readonly #steps: string[] = []
  #micros = 1_767_225_600_000_000
  #values = 0
  #syncs = 0

  constructor(order: EventsOrder, world: SimWorld) {
    this.#order = order
    this.#random = new SimRandom(`events ${order.seed}`)
    this.#channel = new Channel(this.#random.fork('channel'))
    this.#stores = Array.from({ length: this.#random.between(2, 4) }, (_, i) => {
      const skew = this.#random.pick([0, 0, 5_000_000, -90_000_000, 1_800_000_000])
      const now = () => (this.#micros += 7) + skew
      const random = this.#random.fork(`store ${i}`)
      let places = 0
      const place = () =>
        order.on === 'disk'
          ? new DiskPlace(world, `disk ${i}.${++places}`)
          : new MemoryPlace(random.fork(`place ${++places}`))
      return new LiveStore(`store ${i}`, place, { wallMicros: now, monotonicMicros: now }, random, order.plant ?? {})
    })
  }

  async main(): Promise<void> {
    try {
      for (const store of this.#stores) await store.open()
      for (let i = this.#order.steps ?? 40; i > 0 && this.#violations.length === 0; i--) await this.#step()
      if (this.#violations.length === 0) await this.#heal()
    } catch (error) {
      this.#violations.push(`error: ${error instanceof Error ? error.stack : String(error)}`)
    }
  }

  result(trace: string): EventsResult {
    const faults = this.#channel.faults + this.#stores.reduce((sum, s) => sum + s.crashes, 0)
    const { events } = this.#model
    const hash = `${trace} ${this.#steps.length} ${events} ${this.#channel.bytes} ${this.#micros}`
    return { violations: this.#violations, events, syncs: this.#syncs, faults, hash, steps: this.#steps }
  }

  async #step(): Promise<void> {
    const random = this.#random
    this.#micros += random.below(3_000_000)
    const n = random.below(this.#stores.length)
    const store = this.#stores[n]
    const die = random.below(100)
    if (store.down) await this.#restart(store)
    else if (die < 26) await this.#append(store)
    else if (die < 38) await this.#appendMany(store)
    else if (die < 42) await this.#erase(store)
    else if (die < 66) await this.#sync(store, random.pick(this.#stores.filter((s) => s !== store)))
    else if (die < 72) await this.#both(store)
    else if (die < 78) {
      this.#note(store, 'crashes')
      store.crash(random.pick(['now', 'soon'] as const))
    } else if (die < 82) await this.#restart(store)
    else if (die < 86) await this.#backUp(store, n)
    else if (die < 90) await this.#replace(store, n)
    else if (die < 97) this.#found(await store.race(store.reader.read(store.store, random, random.between(1, 5))))
    else if (this.#order.views !== false) await store.race(store.follow())
  }

  #note(store: LiveStore, what: string): void {
    this.#steps.push(`${store.name} ${what}`)
  }

  #found(wrong: readonly string[] | undefined): void {
    for (const each of wrong ?? []) this.#violations.push(each)
  }

  /** The work's answer; undefined when the store died, or refused for a reason that is none of ours. */
  async #try<T>(store: LiveStore, work: Promise<T>): Promise<T | undefined> {
    try {
      return await store.race(work)
    } catch (error) {
      if (error instanceof DbError && expected.includes(error.code)) return undefined
      throw error
    }
  }

  async #append(store: LiveStore): Promise<void> {
    const random = this.#random
    const events: NewEvent[] = Array.from({ length: random.pick([1, 1, 2, 5, 30]) }, () => {
      const value: Value = { n: ++this.#values, who: random.pick(['ann', 'bob', 'cy']) }
      const at = random.chance(0.25) ? Math.floor(this.#micros / 1000) - random.below(100_000_000) : undefined
      const key = random.chance(0.06) ? random.pick(shared) : undefined
      // The same value for the same key at two stores is no conflict.
      const same = key !== undefined && random.chance(0.3) ? { n: 0, who: 'ann' } : value
      return { value: new TextEncoder().encode(JSON.stringify(same)), contentType: 'application/json', key, atMs: at }
    })
    const values = events.map((e) => `${e.contentType} ${new TextDecoder().decode(e.value)}`)
    for (const [i, { key }] of events.entries()) this.#model.trying(values[i], key)
    const keys = await this.#try(store, store.store.append(events))
    for (const [i, key] of keys?.entries() ?? []) this.#model.acknowledge(key, values[i])
    this.#note(store, `appends ${events.length}: ${keys === undefined ? 'no answer' : 'done'}`)
  }

  /** Some are prepared while others become durable; the store may die in between. */
  async #appendMany(store: LiveStore): Promise<void> {
    const works: Promise<void>[] = []
    for (let left = this.#random.between(2, 4); left > 0; left--) {
      works.push(this.#append(store))
      for (let i = this.#random.below(30); i > 0; i--) await undefined
    }
    await Promise.all(works)
  }

  async #erase(store: LiveStore): Promise<void> {
    const known = this.#model.keys
    if (known.length === 0) return
    const keys = Array.from({ length: this.#random.between(1, 3) }, () => this.#random.pick(known))
    this.#model.tryingToErase(keys)
    const done = await this.#try(
      store,
      store.store.redact(keys).then(() => true),
    )
    if (done) this.#model.erased(keys)
    this.#note(store, `erases ${keys.length}: ${done ?? 'no answer'}`)
  }

  async #sync(a: LiveStore, b: LiveStore): Promise<void> {
    const random = this.#random
    // The work for somebody who has died over it would go on beside.
    if (b.down || this.#channel.underWay > 0) return
    const faults = random.chance(0.5) ? good : { loss: random.pick([0, 0.1, 0.3]), again: random.pick([0, 0.3]) }
    const report = await this.#exchange(a, b, faults)
    if (report === undefined || a.down || b.down || faults.again > 0) return
    const [mine, theirs] = [await a.race(contents(a.store)), await b.race(contents(b.store))]
    if (mine === undefined || theirs === undefined) return
    for (const [key, event] of mine) {
      const other = theirs.get(key)
      if (other === undefined) this.#violations.push(`apart: ${b.name} lacks ${key} after a sync with ${a.name}`)
      else if (signature(other) !== signature(event)) this.#violations.push(`apart: ${key} differs after a sync`)
    }
    if (theirs.size > mine.size) this.#violations.push(`apart: ${a.name} lacks events after a sync with ${b.name}`)
    const [listed, listedThere] = [await a.race(conflicts(a.store)), await b.race(conflicts(b.store))]
    if (listed !== undefined && listedThere !== undefined && !isDeepStrictEqual(listed, listedThere))
      this.#violations.push(`apart: ${a.name} and ${b.name} list other conflicts after a sync`)
  }

  async #exchange(a: LiveStore, b: LiveStore, faults: Faults): Promise<SyncReport | undefined> {
    const known = a.store.peers().map((p) => p.store)
    const peer = this.#random.chance(0.5) && known.length > 0 ? this.#random.pick(known) : undefined
    const report = await this.#try(a, syncWith(a.store, this.#channel.to(b, faults), { peer }))
    this.#syncs++
    this.#note(
      a,
      `syncs with ${b.name}: ${report === undefined ? 'broke off' : `${report.mode} ${report.sent} ${report.received}`}`,
    )
    return report
  }

  /** Several things at once. */
  async #both(store: LiveStore): Promise<void> {
    const other = this.#random.pick(this.#stores.filter((s) => s !== store))
    if (other.down) return
    const bad = { loss: 0.05, again: 0.1 }
    const works = [this.#append(store), this.#append(other), this.#exchange(store, other, bad)]
    if (this.#random.chance(0.5)) works.push(this.#exchange(other, store, bad))
    await Promise.all(works)
  }

  async #restart(store: LiveStore): Promise<void> {
    this.#note(store, 'starts again')
    await store.reopen()
  }

  async #backUp(store: LiveStore, n: number): Promise<void> {
    const backup = await store.race(store.backUp())
    if (backup !== undefined) this.#backups.push({ of: n, backup })
    this.#note(store, 'is backed up')
  }

  async #replace(store: LiveStore, n: number): Promise<void> {
    const own = this.#backups.filter(({ of }) => of === n)
    const wiped = this.#random.chance(0.3)
    if (own.length === 0 && !wiped) return
    // Who dies after this was asked starts again with what it had, so what is counted below is still there.
    const before = await store.race(contents(store.store))
    if (before === undefined) return
    await store.replace(wiped ? undefined : this.#random.pick(own).backup)
    const everywhere = []
    for (const each of this.#stores) everywhere.push(await this.#all(each))
    await this.#model.forget(before, everywhere)
    this.#note(store, wiped ? 'is wiped' : 'is restored')
  }

  /** All that a store has; it may have to start again for that. */
  async #all(store: LiveStore): Promise<Map<string, StoredEvent>> {
    for (;;) {
      const all = store.down ? undefined : await store.race(contents(store.store))
      if (all !== undefined) return all
      await store.reopen()
    }
  }

  async #heal(): Promise<void> {
    for (const store of this.#stores) await store.reopen()
    const last = this.#stores.length - 1
    for (let round = 0; ; round++) {
      let moved = 0
      for (let i = 0; i < this.#stores.length; i++) {
        const report = await this.#exchange(this.#stores[i], this.#stores[i === last ? 0 : i + 1], good)
        moved += (report?.sent ?? 1) + (report?.received ?? 1)
      }
      if (moved === 0) break
      if (round > 10) {
        this.#violations.push('apart: after ten rounds of syncs something still moves')
        return
      }
    }
    const all = await Promise.all(this.#stores.map((s) => contents(s.store)))
    const texts = all.map((map) => [...map.values()].map(signature).join('\n'))
    if (texts.some((text) => text !== texts[0])) this.#violations.push('apart: stores differ in the end')
    const listed = await Promise.all(this.#stores.map((s) => conflicts(s.store)))
    if (listed.some((each) => !isDeepStrictEqual(each, listed[0])))
      this.#violations.push('apart: stores list other conflicts in the end')
    this.#found(this.#model.check(all[0]))
    for (const store of this.#stores) {
      if (store.store.count !== all[0].size) this.#violations.push(`count: ${store.name} counts ${store.store.count}`)
      this.#found(await store.reader.finish(store.store, this.#random))
      if (this.#order.views !== false) this.#found(await store.checkViews())
    }
  }
}
