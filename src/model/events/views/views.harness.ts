/**
 * Views under whatever can happen to them, drawn from a seed: late events, events of other stores, other values of the same
 * keys, erasures, full disks, crashes, new versions, code that throws. Whatever is asked is held against a recomputation
 * from nothing over the same events.
 */
import assert from 'node:assert/strict'
import { DbError } from '../../../base/index.ts'
import { parseUlid } from '../../../replication/sync/index.ts'
import { SimRandom } from '../../../testing/sim-random.ts'
import {
  type Change,
  memoryMap,
  type OrderedMap,
  type ScanOptions,
  type StoredEvent,
  type SyncStore,
} from '../index.ts'
import {
  join,
  openViews,
  recompute,
  type View,
  type ViewChange,
  type Views,
  view,
  viewFromDefinition,
} from './index.ts'
import { timeOf } from './item.ts'
import { allEvents, HandClock, json, openStore } from './views.fixture.ts'

interface Value {
  g: number
  n: number
}

/** A place that can be full, and whose process can die: what it writes after that is not there. */
class FrailMap implements OrderedMap {
  readonly #map: OrderedMap
  full = false
  dead = false
  constructor(map: OrderedMap) {
    this.#map = map
  }
  async write(changes: readonly Change[]): Promise<void> {
    if (this.dead) throw new Error('crashed')
    if (this.full) throw new DbError('disk_full', 'full')
    const names = new Set(changes.map((c) => String(c.key)))
    assert.equal(names.size, changes.length, 'keys are unique within a batch')
    await this.#map.write(changes)
  }
  get(keys: readonly Uint8Array[]) {
    return this.#map.get(keys)
  }
  scan(options: ScanOptions) {
    return this.#map.scan(options)
  }
  async close(): Promise<void> {}
}

/** A state that depends on every event and on their order. */
interface Chain {
  hash: number
  count: number
}
const chained = (chain: Chain, n: number, factor: number) => {
  chain.hash = (chain.hash * factor + n + 1) % 1_000_003
  chain.count++
  return chain
}

/** All kinds of views; `broken` makes one of them throw. */
function viewsOf(version: number, broken: () => boolean): View[] {
  const factor = 30 + version
  const chain = { version, initial: { hash: 7, count: 0 } as Chain }
  const sum = {
    version,
    initial: 0,
    commutative: true,
    reduce: (s: number, e: { value: Value }) => s + e.value.n * factor,
  }
  const group = (e: { value: Value }) => (e.value.g === 3 ? undefined : `g${e.value.g}\0${version % 2}`)
  const retract = (s: number, e: { value: Value }) => s - e.value.n * factor
  const order = (c: Chain, e: { value: Value }) => chained(c, e.value.n, factor)
  const store = 'orders'
  const two = {
    orders: { reduce: order },
    others: { reduce: (c: Chain, e: { value: Value }) => chained(c, e.value.n + 50, factor) },
  }
  return [
    view<Value>()({ name: 'sum', store, ...sum }),
    view<Value>()({ name: 'sum-retract', store, ...sum, retract }),
    view<Value>()({ name: 'sum-by-group', store, ...sum, key: group }),
    view<Value>()({ name: 'sum-by-group-retract', store, ...sum, key: group, retract }),
    view<Value>()({ name: 'chain', store, ...chain, reduce: order }),
    view<Value>()({ name: 'chain-by-group', store, ...chain, key: group, reduce: order, result: (c) => [c.hash] }),
    join<{ orders: Value; others: Value }>()({ name: 'join', ...chain, streams: two }),
    join<{ orders: Value; others: Value }>()({
      name: 'join-by-group',
      ...chain,
      streams: { orders: { ...two.orders, key: group }, others: { ...two.others, key: group } },
    }),
    join<{ even: Value; all: Value }>()({
      name: 'one-store-twice',
      ...chain,
      streams: {
        even: { store, reduce: (c, e) => (e.value.n % 2 === 0 ? chained(c, e.value.n + 90, factor) : c) },
        all: { store, reduce: order },
      },
    }),
    view<Value>()({
      name: 'frail',
      store,
      ...chain,
      key: group,
      reduce: (c, e) => {
        // Half of the change is made before it throws. Late events make later ones throw, too.
        c.count += 1000
        if (broken() && (e.value.n === 9 || c.count % 7 === 6)) throw new Error('broken')
        c.count -= 1000
        return order(c, e)
      },
    }),
    viewFromDefinition({
      ...{ name: 'defined', version, store, key: '/g' },
      aggregates: {
        ...{ n: 'count', s: { sum: '/n' }, a: { avg: '/n' }, lo: { min: '/n' }, hi: { max: '/n' }, all: { set: '/n' } },
        ...{ first: { first: '/n' }, last: { last: '/n' } },
      },
    }),
  ]
}

/** What a reader has who follows a view. */
interface Reader {
  after: number
  answers: Map<string, unknown>
}

export class ViewsRun {
  readonly random: SimRandom
  /** Of what the views ask for: what happens must not depend on how often they do. */
  readonly #pace: SimRandom
  readonly clock = new HandClock()
  readonly #base = memoryMap()
  #map = new FrailMap(this.#base)
  #stores!: SyncStore[]
  #peer!: SyncStore
  #views!: Views
  #version = 1
  #broken = false
  readonly #readers = new Map<string, Reader>()
  /** What subscribers were told since all was read anew. */
  readonly #heard = new Map<string, Map<string, unknown> | undefined>()
  #keys: string[] = []
  /** Keys that the peer has with a value of its own. */
  readonly #twice = new Set<string>()

  constructor(seed: string) {
    this.random = new SimRandom(seed)
    this.#pace = new SimRandom(`pace of ${seed}`)
  }

  async run(steps: number): Promise<void> {
    const open = (name: string) => openStore(name, this.clock, `${name}-${this.random.below(1 << 30)}`)
    this.#stores = [await open('orders'), await open('others')]
    this.#peer = await open('orders')
    await this.#append()
    await this.#open()
    for (let i = 0; i < steps; i++) await this.#step()
    await this.#check()
    await this.#views.close()
  }

  get #store(): SyncStore {
    return this.#stores[0]
  }

  async #open(): Promise<void> {
    const clock = { monotonicMicros: () => this.#pace.below(10) * 1000 }
    const tasks = {
      yield: async () => {
        for (let i = this.#pace.below(4); i > 0; i--) await undefined
      },
    }
    const limits = { snapshotEvery: 3, heldKeys: 2, batchEvents: 6, sliceMicros: 4000 }
    this.#views = await openViews({ map: this.#map, stores: this.#stores, clock, tasks, limits })
    this.#heard.clear()
    this.#views.subscribe((changes) => this.#hear(changes))
    await this.#addAll()
  }

  async #addAll(): Promise<void> {
    for (const v of viewsOf(this.#version, () => this.#broken)) await this.#views.add(v)
  }

  #hear(changes: readonly ViewChange[]): void {
    for (const { view: name, key, kind, old, new: now } of changes) {
      const heard = this.#heard.get(name)
      if (kind === 'rebuilt') this.#heard.set(name, undefined)
      else if (heard !== undefined) {
        if (old !== undefined) assert.deepEqual(heard.get(key), old, `${name}/${key}: what a change says was before`)
        if (now === undefined) heard.delete(key)
        else heard.set(key, now)
      }
    }
  }

  async #step(): Promise<void> {
    this.clock.micros += this.random.below(3000)
    const dice = this.random.below(100)
    if (dice < 40) await this.#append()
    else if (dice < 52) await this.#sync()
    else if (dice < 60) await this.#redact()
    else if (dice < 66) await this.#askWhileWriting()
    else if (dice < 70) await this.#crash()
    else if (dice < 74) this.#map.full = !this.#map.full
    else if (dice < 77) await this.#otherVersion()
    else if (dice < 82) this.#broken = !this.#broken
    else if (dice < 84) for (const { name } of this.#views.list()) this.#views.resume(name)
    else await this.#check()
  }

  #events(): ReturnType<typeof json>[] {
    const now = this.clock.micros / 1000
    return Array.from({ length: 1 + this.random.below(this.random.below(4) === 0 ? 20 : 3) }, () => {
      const late = this.random.below(3) === 0 ? this.random.below(30) : 0
      return json({ g: this.random.below(5), n: this.random.below(10) }, Math.floor(now - late))
    })
  }

  async #append(): Promise<void> {
    const store = this.#stores[this.random.below(4) === 0 ? 1 : 0]
    const keys = await store.append(this.#events())
    if (store === this.#store) this.#keys.push(...keys)
  }

  /** The peer has made events, some of keys that are here with other values; they come at once, in parts. */
  async #sync(): Promise<void> {
    const made = await this.#peer.append(this.#events())
    for (let i = this.random.below(3); i > 0 && this.#keys.length > 0; i--) {
      const key = this.#keys[this.random.below(this.#keys.length)]
      if ((await this.#peer.get([key]))[0] !== undefined) continue
      this.#twice.add(key)
      made.push(
        ...(await this.#peer.append([json({ g: this.random.below(5), n: this.random.below(10) }, undefined, key)])),
      )
    }
    if (this.random.below(4) === 0) await this.#peer.redact([made[0]])
    const { records } = await this.#peer.records(
      made.map((k) => parseUlid(k)),
      1 << 20,
      this.#peer.position,
    )
    await this.#store.receive(parseStore(this.#peer), records, undefined)
    this.#keys.push(...made)
  }

  async #redact(): Promise<void> {
    if (this.#keys.length === 0) return
    const keys = Array.from(
      { length: 1 + this.random.below(3) },
      () => this.#keys[this.random.below(this.#keys.length)],
    )
    await this.#store.redact([...new Set(keys)])
  }

  /** The past does not depend on what is received meanwhile. */
  async #askWhileWriting(): Promise<void> {
    const events = await allEvents(this.#store)
    const position = this.random.below(this.#store.position + 1)
    const all = viewsOf(this.#version, () => this.#broken)
    const name = ['sum', 'chain', 'sum-retract'][this.random.below(3)]
    if (!this.#live(name)) return
    const timeMs = this.random.below(2) === 0 ? undefined : this.clock.micros / 1000 - this.random.below(40)
    const asked = this.#views.asOf(name, { position, timeMs })
    const healed = this.#views.asOf(name, { timeMs: this.clock.micros / 1000 - this.random.below(30) }).catch(() => {})
    await this.#append()
    const then = events.filter((e) => e.position <= position && timeOf(e.key) <= (timeMs ?? Number.POSITIVE_INFINITY))
    const model = recompute(all.find((v) => v.name === name)!, () => then)
    await healed
    let answer: unknown
    try {
      answer = await asked
    } catch (error) {
      if (this.#map.full || (error instanceof DbError && error.code === 'cannot_connect_now')) return
      throw error
    }
    assert.deepEqual(answer, model.get(''), `${name} as of ${position}, ${timeMs} while writing`)
  }

  /** Whether it can be asked for the past: built, and not held up by a full disk. */
  #live(name: string): boolean {
    const { state, answering, version } = this.#views.status(name)
    return state === 'live' && answering?.version === version && !this.#map.full
  }

  async #crash(): Promise<void> {
    if (this.random.below(2) === 0) await this.#append()
    this.#map.dead = true
    const old = this.#views
    this.#map = new FrailMap(this.#base)
    await old.close()
    // A full disk does not keep a program from starting again later.
    await this.#open()
  }

  async #otherVersion(): Promise<void> {
    if (this.#map.full) return
    this.#version++
    await this.#addAll()
  }

  async #check(): Promise<void> {
    this.#map.full = false
    const lists = new Map<string, StoredEvent[]>()
    for (const store of this.#stores) lists.set(store.name, await allEvents(store))
    for (const v of viewsOf(this.#version, () => false)) {
      const passing = this.#views.status(v.name).failure?.passing
      if (!this.#broken || v.name !== 'frail' || passing) this.#views.resume(v.name)
      await this.#views.settled(v.name)
      const status = this.#views.status(v.name)
      if (status.state === 'stopped') {
        assert.ok(this.#broken && v.name === 'frail', `${v.name} stopped: ${status.failure?.message}`)
        if (status.answering?.version !== v.version) continue
        assert.equal(status.failure?.function, 'reduce')
        // What was erased or gave way behind the place where it stopped is in its states until it goes on.
        const behind = lists.get('orders')!.filter((e) => e.position > status.positions.orders)
        if (behind.some((e) => e.redacted || this.#twice.has(e.key))) continue
      }
      await this.#checkView(v, lists, status.positions, !(this.#broken && v.name === 'frail'))
    }
  }

  async #checkView(v: View, lists: Map<string, StoredEvent[]>, at: Readonly<Record<string, number>>, past: boolean) {
    const answersOf = (seen: (e: StoredEvent, store: string) => boolean) =>
      recompute(v, (store) => lists.get(store)!.filter((e) => seen(e, store)))
    const model = answersOf((e, store) => e.position <= at[store])
    const entries = await this.#views.entries(v.name, { limit: 100 })
    const answers = new Map(entries.map((e) => [e.key, e.value]))
    assert.deepEqual(sorted(answers), sorted(model), `${v.name} equals a recomputation`)
    for (const [key, answer] of model)
      assert.deepEqual(await this.#views.get(v.name, v.keyed ? key : undefined), answer)
    await this.#checkReaders(v.name, answers)
    if (!past) return
    const position: Record<string, number> = {}
    for (const name of Object.keys(at))
      position[name] = this.random.below(3) === 0 ? at[name] : this.random.below(at[name] + 1)
    const timeMs = this.random.below(3) === 0 ? undefined : this.clock.micros / 1000 - this.random.below(60)
    const then = answersOf((e, s) => e.position <= position[s] && (timeMs === undefined || timeOf(e.key) <= timeMs))
    const asOf = { position: this.random.below(2) === 0 ? position : undefined, timeMs }
    const now = answersOf((e, s) => e.position <= at[s] && (timeMs === undefined || timeOf(e.key) <= timeMs))
    const listed = await this.#views.entries(v.name, { limit: 100, asOf })
    const wanted = asOf.position === undefined ? now : then
    assert.deepEqual(
      sorted(new Map(listed.map((e) => [e.key, e.value]))),
      sorted(wanted),
      `${v.name} as of ${JSON.stringify(asOf)}`,
    )
  }

  /** The feed replayed and the changes heard are the answers. */
  async #checkReaders(name: string, answers: Map<string, unknown>): Promise<void> {
    const reader = this.#readers.get(name) ?? { after: 0, answers: new Map<string, unknown>() }
    this.#readers.set(name, reader)
    for (;;) {
      const page = await this.#views.corrections(name, reader.after, 1 + this.random.below(3))
      if (page.reset) reader.answers.clear()
      for (const { key, new: now } of page.changes) {
        if (now === undefined) reader.answers.delete(key)
        else reader.answers.set(key, now)
      }
      reader.after = page.next
      if (page.changes.length === 0) break
    }
    assert.deepEqual(sorted(reader.answers), sorted(answers), `${name}: its feed replayed`)
    const heard = this.#heard.get(name)
    if (heard !== undefined) assert.deepEqual(sorted(heard), sorted(answers), `${name}: the changes heard`)
    this.#heard.set(name, new Map(answers))
  }
}

function sorted(map: Map<string, unknown>): [string, unknown][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}

function parseStore(store: SyncStore): Uint8Array {
  return Uint8Array.from(store.identity.store.match(/../g)!, (h) => Number.parseInt(h, 16))
}
