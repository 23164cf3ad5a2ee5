import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DbError } from '../../../base/index.ts'
import { memoryMap, type OrderedMap } from '../index.ts'
import { join, openViews, recompute, type ViewChange, view, viewFromDefinition } from './index.ts'
import { allEvents, HandClock, json, openBench, openStore, viewsOver } from './views.fixture.ts'

interface Order {
  customer: string
  cents: number
}

const total = view<Order>()({
  name: 'total',
  version: 1,
  initial: 0,
  reduce: (sum, event) => sum + event.value.cents,
  commutative: true,
})

const perCustomer = view<Order>()({
  name: 'per-customer',
  version: 1,
  key: (event) => event.value.customer,
  initial: () => ({ orders: 0, cents: [] as number[] }),
  reduce: (state, event) => ({ orders: state.orders + 1, cents: [...state.cents, event.value.cents] }),
})

test('a view of one state and one of many follow what is appended', async () => {
  const { store, views } = await openBench()
  await store.append([json({ customer: 'ann', cents: 5 })])
  await views.add(total)
  await views.add(perCustomer)
  assert.equal(await views.get('total'), 5)
  await store.append([json({ customer: 'bob', cents: 7 }), json({ customer: 'ann', cents: 1 })])
  assert.equal(await views.get('total'), 13)
  assert.deepEqual(await views.get('per-customer', 'ann'), { orders: 2, cents: [5, 1] })
  assert.equal(await views.get('per-customer', 'nobody'), undefined)
  assert.deepEqual(await views.entries('per-customer', { limit: 10 }), [
    { key: 'ann', value: { orders: 2, cents: [5, 1] } },
    { key: 'bob', value: { orders: 1, cents: [7] } },
  ])
  assert.deepEqual(await views.entries('per-customer', { behind: 'ann', limit: 1 }), [
    { key: 'bob', value: { orders: 1, cents: [7] } },
  ])
  assert.equal(views.status('total').state, 'live')
  assert.deepEqual(views.status('total').behind, { orders: 0 })
})

test('a view of nothing answers its initial state', async () => {
  const { views } = await openBench()
  await views.add(total)
  assert.equal(await views.get('total'), 0)
  const page = await views.corrections('total', 0, 10)
  assert.deepEqual(
    page.changes.map((c) => c.new),
    [0],
  )
})

test('what happened earlier is folded in where it belongs, and told as a correction', async () => {
  const { clock, store, views } = await openBench()
  const now = clock.micros / 1000
  await views.add(perCustomer)
  await store.append([json({ customer: 'ann', cents: 1 }, now - 50), json({ customer: 'ann', cents: 3 }, now - 10)])
  await views.settled('per-customer')
  const heard: ViewChange[] = []
  views.subscribe((changes) => heard.push(...changes))
  const before = await views.corrections('per-customer', 0, 10)
  await store.append([json({ customer: 'ann', cents: 2 }, now - 30)])
  assert.deepEqual(await views.get('per-customer', 'ann'), { orders: 3, cents: [1, 2, 3] })
  const { changes, reset } = await views.corrections('per-customer', before.next, 10)
  assert.equal(reset, false)
  assert.deepEqual(
    changes.map(({ kind, old, new: now }) => ({ kind, old, now })),
    [{ kind: 'correction', old: { orders: 2, cents: [1, 3] }, now: { orders: 3, cents: [1, 2, 3] } }],
  )
  assert.deepEqual(heard, changes)
})

test('what is erased is taken out of the states, the snapshots and the feed', async () => {
  const { store, views } = await openBench({ snapshotEvery: 1 })
  await views.add(perCustomer)
  await views.add(total)
  const [, secret] = await store.append([1, 424_242, 3].map((cents) => json({ customer: 'ann', cents })))
  await views.settled('per-customer')
  await store.redact([secret])
  assert.deepEqual(await views.get('per-customer', 'ann'), { orders: 2, cents: [1, 3] })
  assert.equal(await views.get('total'), 4)
  await store.redact(await allEvents(store).then((events) => events.map((e) => e.key)))
  assert.equal(await views.get('per-customer', 'ann'), undefined)
  assert.deepEqual(await views.entries('per-customer', { limit: 5 }), [])
  const { changes } = await views.corrections('per-customer', 0, 10)
  assert.deepEqual(
    changes.map((c) => [c.key, c.new]),
    [['ann', undefined]],
  )
})

test('nothing that is derived from an erased value is left in the map', async () => {
  const { store, views, map } = await openBench({ snapshotEvery: 1 })
  const retracting = view<Order>()({
    ...{ name: 'retracting', version: 1, initial: 0, commutative: true },
    reduce: (sum: number, event) => sum + event.value.cents,
    retract: (sum: number, event) => sum - event.value.cents,
  })
  for (const v of [perCustomer, retracting]) await views.add(v)
  const keys = await store.append([1, 424_242, 3].map((cents) => json({ customer: 'ann', cents })))
  // Late, so that what readers got before it is kept beside it.
  await store.append([json({ customer: 'ann', cents: 7 }, 1000)])
  for (const v of views.list()) await views.settled(v.name)
  const texts = async () => {
    const entries = await map.scan({ from: Uint8Array.of(0), to: Uint8Array.of(255), limit: 10_000 })
    return entries.map((e) => new TextDecoder().decode(e.value)).join('\n')
  }
  assert.match(await texts(), /4242/)
  await store.redact([keys[1]])
  for (const v of views.list()) await views.settled(v.name)
  assert.doesNotMatch(await texts(), /4242/)
  assert.equal(await views.get('retracting'), 11)
})

/** All values in the views' map, once nothing of `text` is left there; a failure when that does not come about. */
async function untilWithout(map: OrderedMap, text: RegExp): Promise<void> {
  for (let i = 0; ; i++) {
    const entries = await map.scan({ from: Uint8Array.of(0), to: Uint8Array.of(255), limit: 10_000 })
    const left = entries.map((e) => new TextDecoder().decode(e.value)).join('\n')
    if (!text.test(left)) return
    assert.ok(i < 200, `${text} is left`)
    await others()
  }
}

/** Lets what waits go on: here nothing waits for more than a promise. */
async function others(): Promise<void> {
  for (let i = 0; i < 100; i++) await undefined
}

test('what a stopped view was made of is given up when it is erased, and made anew when the view goes on', async () => {
  for (const keyed of [false, true]) {
    const { store, views, map } = await openBench({ snapshotEvery: 1 })
    const picky = (limit: number) =>
      view<Order>()({
        ...{ name: 'picky', version: 1, initial: [] as number[], key: keyed ? (e) => e.value.customer : undefined },
        reduce: (all: number[], event) => {
          if (event.value.cents > limit) throw new Error(`more than ${limit}`)
          return [...all, event.value.cents]
        },
      })
    await views.add(picky(500_000))
    const keys = await store.append([1, 424_242, 3].map((cents) => json({ customer: 'ann', cents })))
    await views.settled('picky')
    await store.append([json({ customer: 'bob', cents: 600_000 })])
    await views.settled('picky')
    assert.equal(views.status('picky').state, 'stopped')
    const key = keyed ? 'ann' : undefined
    assert.deepEqual(await views.get('picky', key), [1, 424_242, 3])
    // Of nothing that it was made of, so it is left alone.
    if (keyed) await store.redact(['01J00000000000000000000000'])
    await store.append([json({ customer: 'ann', cents: 5 })])
    await others()
    if (keyed) assert.deepEqual(await views.get('picky', key), [1, 424_242, 3])
    await store.redact([keys[1]])
    await untilWithout(map, /424242/)
    await assert.rejects(views.get('picky', key), /stopped and has no answer/)
    await views.add(picky(1_000_000))
    assert.deepEqual(await views.get('picky', key), keyed ? [1, 3, 5] : [1, 3, 600_000, 5])
    await views.close()
  }
})

test('a version that answers while the next one is made, and a view without its code, keep nothing erased', async () => {
  const { store, views, map } = await openBench({ snapshotEvery: 1 })
  const failing = { ...perCustomer, version: 2, streams: [{ ...perCustomer.streams[0], key: () => assert.fail('no') }] }
  await views.add(perCustomer)
  const keys = await store.append([1, 424_242, 3, 77_777].map((cents) => json({ customer: 'ann', cents })))
  await views.settled('per-customer')
  await views.add(failing)
  await views.settled('per-customer')
  assert.deepEqual(await views.get('per-customer', 'ann'), { orders: 4, cents: [1, 424_242, 3, 77_777] })
  await store.redact([keys[1]])
  await untilWithout(map, /424242/)
  await assert.rejects(views.get('per-customer', 'ann'), /stopped and has no answer/)
  await views.add({ ...perCustomer, version: 3 })
  assert.deepEqual(await views.get('per-customer', 'ann'), { orders: 3, cents: [1, 3, 77_777] })
  await views.close()
  const again = await viewsOver([store], map)
  await store.redact([keys[3]])
  await untilWithout(map, /77777/)
  await again.add({ ...perCustomer, version: 3 })
  assert.deepEqual(await again.get('per-customer', 'ann'), { orders: 2, cents: [1, 3] })
  await again.close()
})

test('a view whose code throws stops there and says where; others go on; it resumes with code put right', async () => {
  const { store, views } = await openBench()
  const picky = (version: number, limit: number) =>
    view<Order>()({
      name: 'picky',
      version,
      initial: 0,
      reduce: (sum, event) => {
        if (event.value.cents > limit) throw new Error(`more than ${limit}`)
        return sum + event.value.cents
      },
    })
  await views.add(total)
  await views.add(picky(1, 100))
  const keys = await store.append([10, 20, 500, 30].map((cents) => json({ customer: 'ann', cents })))
  assert.equal(await views.get('total'), 560)
  assert.equal(await views.get('picky'), 30, 'everything before it')
  const { state, failure, positions } = views.status('picky')
  assert.equal(state, 'stopped')
  assert.deepEqual(positions, { orders: 2 })
  assert.deepEqual(failure, {
    message: 'reduce: more than 100',
    function: 'reduce',
    event: keys[2],
    store: 'orders',
    position: 3,
    passing: false,
  })
  await store.append([json({ customer: 'bob', cents: 1 })])
  views.resume('picky')
  await views.settled('picky')
  assert.equal(views.status('picky').state, 'stopped', 'nothing was put right')
  await views.add(picky(1, 1000))
  assert.equal(await views.get('picky'), 561)
  await store.append([json({ customer: 'bob', cents: 5000 })])
  await views.settled('picky')
  assert.equal(views.status('picky').state, 'stopped')
  await views.add(picky(2, 10_000))
  assert.equal(await views.get('picky'), 561, 'the version before answers while the new one is built')
  await views.settled('picky')
  assert.equal(await views.get('picky'), 5561)
})

test('keys that throw, states that are no JSON, and events that are none: each is said', async () => {
  const { store, views } = await openBench()
  const shape = { version: 1, initial: 0, reduce: (n: number) => n + 1 }
  await views.add(view<Order>()({ ...shape, name: 'a', key: (e) => (e.value as any).who.name }))
  await views.add(view<Order>()({ ...shape, name: 'b', reduce: () => Number.NaN }))
  await views.add(view<Order>()({ ...shape, name: 'c', reduce: (n, e) => n + e.value.cents }))
  await views.add(view<Order>()({ ...shape, name: 'd', initial: () => ({}), reduce: () => ({ x: { y: new Map() } }) }))
  await views.add(view<Order>()({ ...shape, name: 'e', key: () => 5 as any }))
  await store.append([
    { value: new TextEncoder().encode('{'), contentType: 'application/json' },
    json({ customer: 'ann', cents: 1 }),
  ])
  for (const { name } of views.list()) await views.settled(name)
  const messages = views.list().map((v) => [v.state, v.failure?.function, v.failure?.position, v.failure?.message])
  assert.deepEqual(
    messages.map((m) => m.slice(0, 3)),
    [
      ['stopped', 'key', 1],
      ['stopped', 'reduce', 1],
      ['stopped', 'reduce', 1],
      ['stopped', 'reduce', 1],
      ['stopped', 'key', 1],
    ],
  )
  assert.match(String(messages[1][3]), /not JSON: NaN at the top/)
  assert.match(String(messages[2][3]), /JSON/)
  assert.match(String(messages[3][3]), /not JSON: an object of Map at \/x\/y/)
  assert.match(String(messages[4][3]), /returned number, not a string/)
})

test('reducers may change what they are given; a throw half way leaves no trace', async () => {
  const { store, views } = await openBench({ snapshotEvery: 2 })
  let broken = true
  const list = view<Order>()({
    name: 'list',
    version: 1,
    initial: [] as number[],
    reduce: (state, event) => {
      state.push(event.value.cents)
      if (broken && state.length === 3) throw new Error('half way')
      event.value.cents = -1
      return state
    },
  })
  await views.add(list)
  await views.add(total)
  await store.append([1, 2].map((cents) => json({ customer: 'ann', cents })))
  const answer = (await views.get('list')) as number[]
  answer.push(99)
  await store.append([3, 4].map((cents) => json({ customer: 'ann', cents })))
  await views.settled('list')
  assert.equal(views.status('list').failure?.position, 3)
  assert.deepEqual(await views.get('list'), [1, 2])
  broken = false
  views.resume('list')
  assert.deepEqual(await views.get('list'), [1, 2, 3, 4])
  assert.equal(await views.get('total'), 10, 'what one view does to a value no other one sees')
})

test('as of a position and as of a time', async () => {
  const { clock, store, views } = await openBench({ snapshotEvery: 4 })
  const now = clock.micros / 1000
  await views.add(perCustomer)
  await views.add(total)
  // Every fifth event comes late.
  for (let i = 0; i < 40; i++) {
    const at = i % 5 === 4 ? now + i * 10 - 25 : now + i * 10
    await store.append([json({ customer: i % 2 ? 'ann' : 'bob', cents: i }, at)])
  }
  const events = await allEvents(store)
  for (let n = 0; n <= 40; n++) {
    const then = events.filter((e) => e.position <= n)
    assert.deepEqual(await views.asOf('total', { position: n }), recompute(total, () => then).get(''))
    const model = recompute(perCustomer, () => then)
    for (const who of ['ann', 'bob'])
      assert.deepEqual(await views.asOf('per-customer', { position: n }, who), model.get(who))
    const listed = await views.entries('per-customer', { limit: 10, asOf: { position: n } })
    assert.deepEqual(new Map(listed.map((e) => [e.key, e.value])), new Map([...model].sort()))
  }
  for (let ms = now - 5; ms < now + 420; ms += 7) {
    const last = Math.floor(ms)
    const then = events.filter((e) => Number.parseInt([...e.key.slice(0, 10)].map(digit).join(''), 32) <= last)
    assert.deepEqual(await views.asOf('total', { timeMs: ms }), recompute(total, () => then).get(''))
    const model = recompute(perCustomer, () => then)
    assert.deepEqual(await views.asOf('per-customer', { timeMs: ms }, 'ann'), model.get('ann'))
  }
  await assert.rejects(views.asOf('total', { position: 41 }), (e: DbError) => e.code === 'position_unknown')
})

const digit = (c: string) => '0123456789ABCDEFGHJKMNPQRSTVWXYZ'.indexOf(c).toString(32)

test('a join folds the streams of two stores, in the order in which things happened', async () => {
  const clock = new HandClock()
  const orders = await openStore('orders', clock, 'o')
  const shipments = await openStore('shipments', clock, 's')
  const views = await viewsOver([orders, shipments], memoryMap())
  const delivery = join<{ orders: { id: string }; shipments: { order: string; by: string } }>()({
    name: 'delivery',
    version: 1,
    initial: () => ({ ordered: 0, shipped: [] as string[], early: false }),
    streams: {
      orders: { key: (e) => e.value.id, reduce: (s) => ({ ...s, ordered: s.ordered + 1 }) },
      shipments: {
        key: (e) => e.value.order,
        reduce: (s, e) => ({ ...s, shipped: [...s.shipped, e.value.by], early: s.early || s.ordered === 0 }),
      },
    },
  })
  await views.add(delivery)
  const now = clock.micros / 1000
  await shipments.append([json({ order: 'x', by: 'ship' }, now + 50)])
  assert.deepEqual(await views.get('delivery', 'x'), { ordered: 0, shipped: ['ship'], early: true })
  await orders.append([json({ id: 'x' }, now)])
  assert.deepEqual(await views.get('delivery', 'x'), { ordered: 1, shipped: ['ship'], early: false })
  assert.deepEqual(await views.asOf('delivery', { position: { orders: 0, shipments: 1 } }, 'x'), {
    ordered: 0,
    shipped: ['ship'],
    early: true,
  })
  await assert.rejects(views.asOf('delivery', { position: 1 }, 'x'), /several stores/)
})

test('views go on after a restart without folding again what they have', async () => {
  const { store, views, map } = await openBench()
  let calls = 0
  const count = (n: number) => {
    calls++
    return n + 1
  }
  const counting = view<Order>()({ name: 'n', version: 1, initial: 0, reduce: count })
  await views.add(counting)
  await views.add(viewFromDefinition({ name: 'd', version: 1, aggregates: { n: 'count' } }))
  await store.append(Array.from({ length: 100 }, () => json({ customer: 'ann', cents: 1 })))
  assert.equal(await views.get('n'), 100)
  assert.deepEqual(await views.get('d'), { n: 100 })
  await views.close()
  const again = await viewsOver([store], map)
  assert.deepEqual(
    again.list().map((v) => v.name),
    ['d'],
    'definitions come back by themselves',
  )
  await again.add(counting)
  await store.append([json({ customer: 'ann', cents: 1 })])
  assert.equal(await again.get('n'), 101)
  assert.equal(calls, 101)
})

test('another version is built beside the one that answers; its readers are told to begin anew', async () => {
  const { store, views, map } = await openBench()
  await store.append(Array.from({ length: 300 }, (_, i) => json({ customer: `c${i % 3}`, cents: i })))
  await views.add(perCustomer)
  const followed = new AbortController()
  const kinds: string[] = []
  const following = (async () => {
    for await (const change of views.follow('per-customer', { signal: followed.signal })) kinds.push(change.kind)
  })()
  await views.settled('per-customer')
  const before = await views.corrections('per-customer', 0, 100)
  await views.add({ ...perCustomer, version: 2, streams: [{ ...perCustomer.streams[0], key: () => 'all' }] })
  const status = views.status('per-customer')
  assert.equal(status.state, 'building')
  assert.deepEqual(status.answering, { version: 1, positions: { orders: 300 } })
  await views.settled('per-customer')
  assert.deepEqual(
    (await views.entries('per-customer', { limit: 9 })).map((e) => e.key),
    ['all'],
  )
  const page = await views.corrections('per-customer', before.next, 100)
  assert.equal(page.reset, true)
  assert.deepEqual(
    page.changes.map((c) => c.key),
    ['all'],
  )
  await views.settled('per-customer')
  followed.abort()
  await following
  assert.equal(kinds.filter((k) => k === 'advance').length >= 3, true)
  await views.remove('per-customer')
  await views.close()
  const left = await map.scan({ from: Uint8Array.of(0), to: Uint8Array.of(255), limit: 10_000 })
  assert.deepEqual(
    left.map((e) => e.key[0]).filter((k) => k !== 1 && k !== 2 && k !== 0x10),
    [],
  )
})

test('snapshots that a reader of the past puts back do not outlive what came before them meanwhile', async () => {
  const clock = new HandClock()
  const now = clock.micros / 1000
  const store = await openStore('orders', clock, 'race')
  const base = memoryMap()
  const turns = async () => {
    for (let i = 0; i < 2000; i++) await undefined
  }
  let micros = 0
  let slow = false
  let armed = false
  const writing = Promise.withResolvers<void>()
  const written = Promise.withResolvers<void>()
  const views = await openViews({
    map: {
      get: (keys) => base.get(keys),
      scan: (options) => base.scan(options),
      close: () => base.close(),
      write: async (changes) => {
        if (armed) {
          armed = false
          writing.resolve()
          await written.promise
        }
        await base.write(changes)
      },
    },
    stores: [store],
    clock: { monotonicMicros: () => (micros += 10_000) },
    tasks: {
      yield: async () => {
        const wait = slow
        slow = false
        if (wait) await writing.promise
      },
    },
    limits: { snapshotEvery: 4 },
  })
  const at = (ms: number) => json({ customer: 'ann', cents: 1 }, now - ms)
  await store.append(Array.from({ length: 40 }, (_, i) => at(400 - 10 * i)))
  await views.add(total)
  await views.settled('total')
  // This one takes the snapshots; the reader folds over their places.
  await store.append([at(401)])
  await views.settled('total')
  slow = true
  const asked = views.asOf('total', { timeMs: now - 15 })
  await turns()
  // Now it stands still. Another late event is folded in, and is about to be written when the reader goes on to the end.
  armed = true
  await store.append([at(395)])
  await writing.promise
  await turns()
  written.resolve()
  assert.equal(await asked, 40)
  for (let ms = 5; ms < 400; ms += 10) {
    const happened = 42 - Math.floor(ms / 10)
    assert.equal(await views.asOf('total', { timeMs: now - ms }), happened, `${ms} ms ago`)
  }
})

test('who follows a view gets each change, then waits; closing ends it', async () => {
  const { store, views } = await openBench()
  await views.add(total)
  const changes = views.follow('total')
  const next = async () => {
    const { value } = await changes.next()
    return [value!.kind, value!.old, value!.new]
  }
  assert.deepEqual(await next(), ['advance', undefined, 0])
  const waiting = next()
  await store.append([json({ customer: 'ann', cents: 5 })])
  assert.deepEqual(await waiting, ['advance', undefined, 5])
  await store.append([json({ customer: 'ann', cents: 2 }, 1000)])
  assert.deepEqual(await next(), ['correction', 5, 7])
  const last = changes.next()
  await views.close()
  await assert.rejects(last, (e: DbError) => e.code === 'store_closed')
  await assert.rejects(views.get('total'), (e: DbError) => e.code === 'store_closed')
  await assert.rejects(views.add(total), (e: DbError) => e.code === 'store_closed')
})

test('a store that begins a new life has its views made anew', async () => {
  const { store, views } = await openBench()
  const seen: number[] = []
  const reduce = (sum: number, e: { value: Order }) => {
    seen.push(e.value.cents)
    return sum + e.value.cents
  }
  await views.add(view<Order>()({ name: 'seen', version: 1, initial: 0, reduce }))
  await store.append([json({ customer: 'ann', cents: 5 })])
  assert.equal(await views.get('seen'), 5)
  await store.renewIncarnation()
  await store.append([json({ customer: 'ann', cents: 6 })])
  await views.settled('seen')
  await views.settled('seen')
  assert.equal(await views.get('seen'), 11)
  assert.deepEqual(seen, [5, 5, 6])
})

test('what cannot be is refused, with what to do', async () => {
  const { views } = await openBench()
  const shape = { name: 'x', version: 1, initial: 0, reduce: (n: number) => n }
  const bad = (make: () => unknown, says: RegExp) =>
    assert.throws(make, (e: DbError) => {
      assert.equal(e.code, 'invalid_parameter_value')
      assert.match(e.message, says)
      return e.hint !== undefined
    })
  bad(() => view()({ ...shape, name: 'a/b' }), /not a name/)
  bad(() => view()({ ...shape, version: 0 }), /version 0/)
  bad(() => view()({ ...shape, initial: Number.NaN }), /initial state: not JSON/)
  bad(() => view()({ ...shape, retract: (n: number) => n }), /retract/)
  bad(() => join()({ ...shape, streams: {} }), /0 streams/)
  await assert.rejects(views.get('nothing'), (e: DbError) => e.code === 'undefined_object')
  await views.add(perCustomer)
  await assert.rejects(views.get('per-customer'), /no key was given/)
  await assert.rejects(views.add(view()({ ...shape, store: 'elsewhere' })), /"elsewhere", which is not here/)
  await views.add(viewFromDefinition({ name: 'd', version: 1, aggregates: { n: 'count' } }))
  await assert.rejects(
    views.add(viewFromDefinition({ name: 'd', version: 1, aggregates: { m: 'count' } })),
    (e: DbError) => e.code === 'duplicate_object',
  )
})
