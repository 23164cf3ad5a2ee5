import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { SimRandom } from '../../testing/sim-random.ts'
import { type EventStore, memoryMap, type NewEvent, type OrderedMap, openEventStore } from './index.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A clock that tests move. */
class HandClock {
  micros = 1_767_225_600_000_000
  wallMicros(): number {
    return this.micros
  }
  monotonicMicros(): number {
    return this.micros
  }
}

export const event = (text: string, more: Partial<NewEvent> = {}): NewEvent => ({
  value: encoder.encode(text),
  contentType: 'text/plain',
  ...more,
})

const open = (seed = 'store', map: OrderedMap = memoryMap(), clock = new HandClock()) =>
  openEventStore({ name: 'orders', map, clock, random: new SimRandom(seed) })

const text = (value: Uint8Array) => decoder.decode(value)

async function feed(store: EventStore, limit = 3, after = 0): Promise<string[]> {
  const out: string[] = []
  for (;;) {
    const page = await store.changes(after, limit)
    if (page.next === after) return out
    out.push(page.events.map((e) => `${e.position}:${e.redacted ? '-' : text(e.value)}`).join(' '))
    after = page.next
  }
}

test('keys ascend as they are made, positions follow each other, and values come back', async () => {
  const store = await open()
  const first = await store.append([event('a'), event('b')])
  const both = await Promise.all([store.append([event('c')]), store.append([event('d'), event('e')])])
  const keys = [...first, ...both.flat()]
  assert.deepEqual(keys, keys.toSorted())
  assert.equal(new Set(keys).size, 5)
  assert.deepEqual([store.position, store.count], [5, 5])
  const [b, none] = await store.get([keys[1].toLowerCase(), '01ARZ3NDEKTSV4RRFFQ69G5FAV'])
  assert.deepEqual([b?.position, text(b!.value), b?.contentType, b?.sequence], [2, 'b', 'text/plain', 2])
  assert.equal(b?.origin, `${store.identity.store}.${store.identity.incarnation}`)
  assert.equal(none, undefined)
  assert.deepEqual(await feed(store), ['1:a 2:b 3:c', '4:d 5:e'])
  assert.deepEqual(await store.changes(5, 10), { events: [], next: 5 })
  await assert.rejects(store.changes(6, 10), refusal('position_unknown'))
})

const refusal = (code: string) => (error: unknown) => error instanceof DbError && error.code === code

test('appends that meet share one write, and what one of them did wrong is its own', async () => {
  const map = memoryMap()
  let writes = 0
  const counted: OrderedMap = {
    ...map,
    write: (changes) => {
      writes++
      return map.write(changes)
    },
    get: (keys) => map.get(keys),
    scan: (options) => map.scan(options),
    close: () => map.close(),
  }
  const store = await open('group', counted)
  const key = (await store.append([event('kept')]))[0]
  writes = 0
  const all = await Promise.allSettled([
    ...Array.from({ length: 50 }, (_, i) => store.append([event(`n${i}`)])),
    store.append([event('another', { key }), event('innocent')]),
  ])
  assert.equal(writes, 1)
  assert.equal(all.filter((r) => r.status === 'rejected').length, 1)
  assert.equal(store.count, 51)
})

test('a backdated event is found by its time and received at its place', async () => {
  const clock = new HandClock()
  const store = await open('past', memoryMap(), clock)
  const now = clock.micros / 1000
  await store.append([event('now')])
  const [old] = await store.append([event('yesterday', { atMs: now - 86_400_000 })])
  await store.append([event('tomorrow', { atMs: now + 86_400_000 }), event('later')])
  const ranged = async (options: object) =>
    (await store.range({ limit: 10, ...options })).events.map((e) => text(e.value))
  assert.deepEqual(await ranged({}), ['yesterday', 'now', 'later', 'tomorrow'])
  assert.deepEqual(await ranged({ reverse: true, limit: 2 }), ['tomorrow', 'later'])
  assert.deepEqual(await ranged({ toMs: now }), ['yesterday'])
  assert.deepEqual(await ranged({ fromMs: now, toMs: now + 1 }), ['now', 'later'])
  assert.deepEqual(await ranged({ afterKey: old }), ['now', 'later', 'tomorrow'])
  assert.deepEqual(await ranged({ afterKey: old, reverse: true }), [])
  assert.deepEqual(await feed(store, 10), ['1:now 2:yesterday 3:tomorrow 4:later'])
  const [timestamp] = (await store.range({ fromMs: now + 1, limit: 1 })).events.map((e) => e.timestamp)
  assert.ok(timestamp < clock.micros + 1000, 'the clock did not follow the time of the event')
})

test('a key with another value is refused whole and listed; the same value again is no error', async () => {
  const store = await open()
  const key = '01J00000000000000000000000'
  await store.append([event('one', { key })])
  assert.deepEqual(await store.append([event('one', { key })]), [key])
  assert.equal(store.position, 1)
  await assert.rejects(store.append([event('x'), event('two', { key })]), refusal('event_conflict'))
  assert.equal(store.count, 1)
  const [conflict] = (await store.conflicts(10)).conflicts
  assert.deepEqual([conflict.key, text(conflict.kept.value), text(conflict.other.value)], [key, 'one', 'two'])
  await assert.rejects(
    store.append([
      event('p', { key: '01J00000000000000000000001' }),
      event('q', { key: '01J00000000000000000000001' }),
    ]),
    refusal('event_conflict'),
  )
  await assert.rejects(store.append([event('x', { key: 'no key' })]), refusal('event_key_malformed'))
  await assert.rejects(store.append([event('x'.repeat(2 << 20))]), refusal('event_too_large'))
  await assert.rejects(store.append([event('x', { contentType: 'a\nb' })]), refusal('invalid_parameter_value'))
  await assert.rejects(store.append([event('x', { atMs: -1 })]), refusal('event_key_malformed'))
  assert.equal(store.count, 1)
})

test('a redaction erases the value, the conflicts, and what comes later; the event is received anew', async () => {
  const store = await open()
  const [a, b] = await store.append([event('a'), event('b')])
  await assert.rejects(store.append([event('other', { key: a })]))
  await store.redact([a, '01J00000000000000000000000'])
  await store.redact([a])
  assert.deepEqual(await feed(store, 10), ['4:- 3:- 2:b'])
  const [erased] = await store.get([a])
  assert.deepEqual([erased?.redacted, erased?.value.length, erased?.contentType], [true, 0, ''])
  assert.deepEqual((await store.conflicts(10)).conflicts, [])
  await assert.rejects(store.append([event('again', { key: a })]), refusal('event_conflict'))
  await assert.rejects(store.append([event('new', { key: '01J00000000000000000000000' })]), refusal('event_conflict'))
  assert.deepEqual((await store.conflicts(10)).conflicts, [])
  assert.equal(store.count, 3)
  assert.ok(b)
})

test('a store that is opened again goes on: positions, sequences, keys and time, also when the clock went back', async () => {
  const map = memoryMap()
  const clock = new HandClock()
  const first = await open('life', map, clock)
  const identity = first.identity
  const [key] = await first.append([event('a')])
  clock.micros -= 10_000_000_000
  const again = await open('other randomness', map, clock)
  assert.deepEqual(again.identity, identity)
  const [next] = await again.append([event('b')])
  assert.ok(next > key)
  const [a, b] = await again.get([key, next])
  assert.ok(b!.timestamp > a!.timestamp)
  assert.deepEqual([b?.position, b?.sequence], [2, 2])
  await again.renewIncarnation()
  assert.notEqual(again.identity.incarnation, identity.incarnation)
  assert.equal(again.identity.store, identity.store)
  await again.close()
  await assert.rejects(again.append([event('c')]), refusal('store_closed'))
})

test('what an older version has written is refused by its format, before anything of it is read', async () => {
  const map = memoryMap()
  await (await open('old', map)).append([event('a')])
  const [life] = await map.get([Uint8Array.of(0)])
  const older = life!.slice()
  older[0] = 1
  await map.write([
    { key: Uint8Array.of(0), value: older },
    { key: Uint8Array.of(3, 1), value: Uint8Array.of(1, 2, 3) },
  ])
  await assert.rejects(open('new', map), refusal('incompatible_format'))
})

test('copies of one store make different keys', async () => {
  const map = memoryMap()
  const clock = new HandClock()
  await (await open('origin', map, clock)).append([event('a')])
  const copy = memoryMap()
  const entries = await map.scan({ from: new Uint8Array(0), to: Uint8Array.of(255), limit: 100 })
  await copy.write(entries)
  clock.micros -= 1_000_000
  const one = await (await open('one', map, clock)).append([event('b')])
  const two = await (await open('two', copy, clock)).append([event('c')])
  assert.notDeepEqual(one, two)
})

test('listeners hear of what can be read', async () => {
  const store = await open()
  const heard: number[] = []
  const stop = store.subscribe(() => heard.push(store.position))
  await store.append([event('a')])
  await store.append([event('b')])
  stop()
  await store.append([event('c')])
  assert.deepEqual(heard, [1, 2])
})
