/** How much is done for an event: counted, not timed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryMap, type OrderedMap } from '../index.ts'
import { openViews, type View, view } from './index.ts'
import { allEvents, HandClock, json, openStore } from './views.fixture.ts'

interface Value {
  g: number
  n: number
}

const snapshotEvery = 16

/** Calls of reducers, and entries that a map was asked for or given. */
class Counts {
  reduces = 0
  entries = 0

  over(map: OrderedMap): OrderedMap {
    return {
      write: (changes) => {
        this.entries += changes.length
        return map.write(changes)
      },
      get: (keys) => {
        this.entries += keys.length
        return map.get(keys)
      },
      scan: async (options) => {
        const found = await map.scan(options)
        this.entries += 1 + found.length
        return found
      },
      close: () => map.close(),
    }
  }

  kinds(): View[] {
    const chain = (hash: number, e: { value: Value }) => {
      this.reduces++
      return (hash * 31 + e.value.n) % 1_000_003
    }
    const sum = (s: number, e: { value: Value }) => {
      this.reduces++
      return s + e.value.n
    }
    const key = (e: { value: Value }) => `g${e.value.g}`
    const shape = { version: 1, initial: 0 }
    return [
      view<Value>()({ name: 'chain', ...shape, reduce: chain }),
      view<Value>()({ name: 'chain-by-group', ...shape, key, reduce: chain }),
      view<Value>()({ name: 'sum', ...shape, reduce: sum, commutative: true }),
      view<Value>()({
        name: 'sum-by-group',
        ...shape,
        key,
        reduce: sum,
        commutative: true,
        retract: (s, e) => s - e.value.n,
      }),
    ]
  }

  async of(run: () => Promise<unknown>): Promise<{ reduces: number; entries: number }> {
    const { reduces, entries } = this
    await run()
    return { reduces: this.reduces - reduces, entries: this.entries - entries }
  }
}

async function history(v: (counts: Counts) => View, events: number) {
  const clock = new HandClock()
  const now = clock.micros / 1000
  const store = await openStore('orders', clock, 'work')
  const values = Array.from({ length: events }, (_, i) => json({ g: i % 4, n: i % 7 }, now - events * 10 + i * 10))
  for (let i = 0; i < events; i += 500) await store.append(values.slice(i, i + 500))
  const counts = new Counts()
  const views = await openViews({
    map: counts.over(memoryMap()),
    stores: [store],
    clock: { monotonicMicros: () => 0 },
    tasks: { yield: async () => {} },
    limits: { snapshotEvery },
  })
  const { name } = v(counts)
  const built = await counts.of(async () => {
    await views.add(v(counts))
    await views.settled(name)
  })
  assert.equal(built.reduces, events, 'each event once')
  const after = (atMs: number | undefined) =>
    counts.of(async () => {
      await store.append([json({ g: 1, n: 3 }, atMs)])
      await views.settled(name)
    })
  return { clock, now, store, views, counts, after }
}

for (const { name } of new Counts().kinds()) {
  const kind = (counts: Counts) => counts.kinds().find((v) => v.name === name)!

  test(`${name}: an event at the end costs the same after ten times the history`, async () => {
    const costs = await Promise.all(
      [400, 4000].map(async (events) => {
        const { after } = await history(kind, events)
        await after(undefined)
        const cost = await after(undefined)
        assert.equal(cost.reduces, 1)
        return cost.entries
      }),
    )
    assert.ok(costs[1] <= costs[0], `${costs}`)
    assert.ok(costs[1] <= 20, `${costs}`)
  })

  test(`${name}: an event from the past costs what has happened since, or nothing when the order is of no matter`, async () => {
    const commutative = name.startsWith('sum')
    for (const events of [400, 4000]) {
      const { now, after } = await history(kind, events)
      const since = 50
      const { reduces, entries } = await after(now - since * 10 - 5)
      if (commutative) assert.equal(reduces, 1)
      else
        assert.ok(
          reduces > (name === 'chain' ? since : since / 4) && reduces <= since + 1 + snapshotEvery,
          `${reduces}`,
        )
      assert.ok(entries <= 4 * since, `${entries} entries`)
    }
  })

  test(`${name}: the past is found from the nearest snapshot`, async () => {
    for (const events of [400, 4000]) {
      const { now, views, counts } = await history(kind, events)
      const key = name.endsWith('group') ? 'g1' : undefined
      for (const part of [0.1, 0.5, 0.9]) {
        const n = Math.floor(events * part)
        const byPosition = await counts.of(() => views.asOf(name, { position: n }, key))
        const byTime = await counts.of(() => views.asOf(name, { timeMs: now - n * 10 }, key))
        assert.ok(byPosition.reduces <= snapshotEvery, `${byPosition.reduces} reductions`)
        assert.ok(byTime.reduces <= snapshotEvery, `${byTime.reduces} reductions`)
        assert.ok(byPosition.entries <= 450, `${byPosition.entries} entries`)
        assert.ok(byTime.entries <= 350, `${byTime.entries} entries`)
      }
    }
  })

  test(`${name}: another version folds each event once, however late it came, erased ones never`, async () => {
    const { now, store, views, counts, after } = await history(kind, 400)
    for (let i = 0; i < 60; i++) await after(now - i * 61 - 1)
    await store.redact((await allEvents(store)).slice(0, 10).map((e) => e.key))
    await views.settled(name)
    const cost = await counts.of(async () => {
      await views.add({ ...kind(counts), version: 2 })
      await views.settled(name)
    })
    assert.equal(cost.reduces, 450)
  })
}

test('many late events cost a few folds, not one each', async () => {
  const { now, store, views, counts } = await history((c) => c.kinds()[0], 4000)
  const cost = await counts.of(async () => {
    for (let i = 0; i < 8; i++) {
      await store.append(
        Array.from({ length: 500 }, (_, j) => json({ g: 1, n: j }, now - ((i * 500 + j) % 4000) * 10 - 5)),
      )
    }
    await views.settled('chain')
  })
  assert.ok(cost.reduces <= 10 * 8000, `${cost.reduces}`)
})

test('snapshots that a late event cost a view whose order is of no matter come back with whoever asks for the past', async () => {
  const { now, views, counts, after } = await history((c) => c.kinds()[2], 400)
  await after(now - 399 * 10)
  const ask = () => counts.of(() => views.asOf('sum', { timeMs: now - 50 }))
  assert.ok((await ask()).reduces > 300)
  assert.ok((await ask()).reduces <= snapshotEvery)
})

test('nothing takes longer than a slice, and the store never waits', async () => {
  const clock = new HandClock()
  const store = await openStore('orders', clock, 'slices')
  let micros = 0
  let since = 0
  let longest = 0
  let go: () => void = () => {}
  let held = false
  const slow = view<Value>()({
    name: 'slow',
    version: 1,
    initial: 0,
    reduce: (n) => {
      micros += 1000
      longest = Math.max(longest, ++since)
      return n + 1
    },
  })
  const views = await openViews({
    map: memoryMap(),
    stores: [store],
    clock: { monotonicMicros: () => micros },
    tasks: {
      yield: async () => {
        since = 0
        if (held) await new Promise<void>((resolve) => (go = resolve))
      },
    },
  })
  await views.add(slow)
  await store.append(Array.from({ length: 100 }, () => json({ g: 1, n: 1 })))
  assert.equal(await views.get('slow'), 100)
  assert.ok(longest <= 5, `${longest} ms without yielding`)
  held = true
  await store.append(Array.from({ length: 100 }, () => json({ g: 1, n: 1 })))
  await store.append([json({ g: 1, n: 1 })])
  assert.equal(store.position, 201, 'the store goes on while the view is held up')
  held = false
  go()
  assert.equal(await views.get('slow'), 201)
})
