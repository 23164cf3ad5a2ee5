/** Stores of a program: values of a type, changes, times, views, schemas, directories, meeting a server. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, test } from 'node:test'
import { z } from 'zod'
import { openTestPort } from '../../../test/events/port.ts'
import { type DbError, EventStore, type LiveStatus, type OutputOf, view } from './index.ts'

const root = mkdtempSync(path(tmpdir(), 'lattice-events-'))
after(() => rmSync(root, { recursive: true, force: true }))

interface Order {
  readonly item: string
  readonly cents: number
}

const order = z.object({ item: z.string(), cents: z.number().int().default(0) })

test('append, get, changes, range: values as they were, times as they are said', async () => {
  await using store = await EventStore.open<Order>('orders')
  const key = await store.append({ item: 'tea', cents: 3 }, { at: new Date(5000) })
  const keys = await store.append([
    { item: 'a', cents: 1 },
    { item: 'b', cents: 2 },
  ])
  assert.deepEqual((await store.get(key))?.value, { item: 'tea', cents: 3 })
  assert.equal((await store.get(key))?.at, 5000)
  assert.equal(await store.get(key.replace(/.$/, (c) => (c === '0' ? '1' : '0'))), undefined)
  const seen: string[] = []
  const controller = new AbortController()
  for await (const { key, position } of store.changes({ signal: controller.signal })) {
    seen.push(key)
    if (position === 3) void store.append({ item: 'late', cents: 0 }, { at: 1 })
    if (position === 4) controller.abort()
  }
  assert.deepEqual(seen.slice(0, 3), [key, ...keys])
  const items: string[] = []
  for await (const { value } of store.range({ to: { epochMilliseconds: 6000 }, reverse: true })) items.push(value.item)
  assert.deepEqual(items, ['tea', 'late'])
  const rest: number[] = []
  for await (const { position } of store.changes({ after: 2, live: false })) rest.push(position)
  assert.deepEqual(rest, [3, 4])
  await store.redact(key)
  assert.deepEqual([(await store.get(key))?.redacted, (await store.get(key))?.value], [true, undefined])
})

test('what is no JSON is refused, whatever it is', async () => {
  await using store = await EventStore.open('bad')
  const round: unknown[] = []
  round.push(round)
  for (const value of [undefined, 1n, { n: 1n }, round, () => 1]) {
    await assert.rejects(store.append(value as never), { code: 'invalid_json_text' })
  }
  assert.equal(store.events.count, 0)
})

test('a view whose code throws answers as before, says where it stopped, and goes on with better code', async () => {
  await using store = await EventStore.open<number>('numbers')
  const sum = (most: number) =>
    view<number>()({
      name: 'sum',
      version: 1,
      initial: 0,
      reduce: (total, { value }) => {
        if (value > most) throw new Error(`${value} is too much`)
        return total + value
      },
    })
  const handle = await store.view(sum(2))
  await store.append([1, 2])
  assert.equal(await handle.get(), 3)
  const key = await store.append(3)
  assert.equal(await handle.get(), 3)
  const { state, failure } = handle.status()
  assert.equal(state, 'stopped')
  assert.match(failure!.message, /3 is too much/)
  assert.match(JSON.stringify(failure), new RegExp(key))
  assert.equal(await (await store.view(sum(9))).get(), 6)
  assert.equal(handle.status().state, 'live')
})

test('a Standard Schema checks, fills in, and gives the type', async () => {
  await using store = await EventStore.open('orders', { schema: order })
  const key = await store.append({ item: 'tea' })
  const event = await store.get(key)
  const cents: number = event!.value.cents
  assert.equal(cents, 0)
  // @ts-expect-error: an item is a string
  const wrong = store.append([{ item: 'fine' }, { item: 3 }])
  await assert.rejects(wrong, (error: DbError) => {
    assert.equal(error.code, 'event_schema_violation')
    assert.match(error.detail!, /\/item: /)
    return true
  })
  assert.equal(store.count, 1)
})

test('a JSON Schema checks and gives the type', async () => {
  const schema = {
    type: 'object',
    properties: { item: { type: 'string' }, tags: { type: 'array', items: { enum: ['a', 'b'] } } },
    required: ['item'],
    additionalProperties: false,
  } as const
  const value: OutputOf<typeof schema> = { item: 'x', tags: ['a'] }
  // @ts-expect-error: tags are a or b
  const other: OutputOf<typeof schema> = { item: 'x', tags: ['c'] }
  await using store = await EventStore.open('orders', { schema })
  await store.append(value)
  await assert.rejects(store.append(other), { code: 'event_schema_violation' })
  await assert.rejects(EventStore.open('x', { schema: { type: 'nonsense' } }), { code: 'invalid_schema_definition' })
})

const total = view<Order>()({ name: 'total', version: 1, initial: 0, reduce: (sum, e) => sum + e.value.cents })

test('stores of one directory, opened again with their views', async () => {
  const at = path(root, 'data')
  const [one, two] = await Promise.all([EventStore.open<Order>('one', { at }), EventStore.open<Order>('two', { at })])
  await one.append({ item: 'x', cents: 5 })
  const sum = await one.view(total)
  assert.equal(await sum.get(), 5)
  await two.append([{ item: 'y', cents: 1 }])
  const { identity } = one
  await one.close()
  await two.close()
  const again = await EventStore.open<Order>('one', { at })
  assert.deepEqual([again.identity, again.position], [identity, 1])
  const changed = new Promise<string | undefined>((resolve) => void again.view(total).then((v) => v.subscribe(resolve)))
  await (await again.view(total)).get()
  await again.append({ item: 'z', cents: 2 })
  await changed
  assert.equal(await (await again.view(total)).get(), 7)
  assert.equal(await (await again.view(total)).asOf({ position: 1 }), 5)
  await again.close()
  await assert.rejects(again.append({ item: 'q', cents: 1 }), { code: 'store_closed' })
})

test('a store meets a server once, and stays in touch while it is told to', async () => {
  const port = await openTestPort()
  await port.databases.create('orders', {})
  const url = `${port.url}/db/orders`
  await using here = await EventStore.open<Order>('orders')
  await using there = await EventStore.open<Order>('orders')
  await here.append({ item: 'a', cents: 1 })
  assert.equal((await here.sync(url)).sent, 1)
  assert.equal(here.peers().length, 1)
  const controller = new AbortController()
  const states: LiveStatus['state'][] = []
  const live = there.sync(url, { live: true, signal: controller.signal, onStatus: ({ state }) => states.push(state) })
  for await (const { value } of there.changes()) if (value.item === 'a') break
  const both = here.sync(url, { live: true })
  await here.append({ item: 'b', cents: 1 })
  for await (const { value } of there.changes()) if (value.item === 'b') break
  controller.abort()
  await live
  assert.deepEqual(states.slice(0, 3), ['connecting', 'syncing', 'synced'])
  await here.close()
  await both
  await assert.rejects(there.sync('nowhere'), { code: 'invalid_parameter_value' })
  await assert.rejects(there.sync(`${port.url}/db/nobody`), { code: 'invalid_catalog_name' })
  await port.close()
  await assert.rejects(there.sync(url), { code: 'connection_failure' })
})
