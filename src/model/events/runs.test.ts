import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { formatUlid, toHex } from '../../replication/sync/index.ts'
import { SimRandom } from '../../testing/sim-random.ts'
import { type EventStore, memoryMap, type NewEvent, type OrderedMap, openEventStore } from './index.ts'
import { timeOfKey } from './key-time.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('latin1')
const everything = { from: new Uint8Array(0), to: Uint8Array.of(255), limit: Number.MAX_SAFE_INTEGER }

let micros = 1_767_225_600_000_000
const clock = { wallMicros: () => (micros += 11), monotonicMicros: () => micros }
const open = (seed: string, map: OrderedMap) =>
  openEventStore({ name: 'orders', map, clock, random: new SimRandom(seed), limits: { pageBytes: 20_000 } })

interface Known {
  readonly key: string
  value: string | undefined
}

/** Appends (now, backdated, chosen keys) and erases at random; all reads are compared with a plain list. */
async function runAtRandom(seed: string, map: OrderedMap): Promise<void> {
  const random = new SimRandom(`runs ${seed}`)
  const known: Known[] = []
  let store = await open(seed, map)
  for (let step = 0; step < 25; step++) {
    const die = random.below(10)
    if (die < 6) await appendSome(store, random, known, step)
    else if (die < 9 && known.length > 0) {
      const erased = Array.from({ length: random.between(1, 6) }, () => random.pick(known))
      await store.redact(erased.map((e) => e.key))
      for (const each of erased) each.value = undefined
    } else store = await open(`${seed} ${step}`, map)
  }
  known.sort((a, b) => (a.key < b.key ? -1 : 1))
  for (let i = 0; i < 12; i++) await compareRange(store, random, known)
  await compareChanges(store, random, known)
  await compareKeys(store, random, known)
  await erasedIsGone(map, known)
}

async function appendSome(store: EventStore, random: SimRandom, known: Known[], step: number): Promise<void> {
  // Within a run, longer than one, and of values that leave no room for a second one.
  const count = random.pick([1, 3, 40, 300])
  const size = random.pick([0, 20, 3_000, 40_000])
  const texts: string[] = []
  const events: NewEvent[] = Array.from({ length: size > 1000 ? Math.min(count, 20) : count }, (_, i) => {
    const text = `[${step}.${i}]`.padEnd(random.below(size + 1), '.')
    texts.push(text)
    const at = random.chance(0.1) ? Math.floor(micros / 1000) - random.below(50) : undefined
    return { value: encoder.encode(text), contentType: 'text/plain', atMs: at }
  })
  const keys = await store.append(events)
  for (const [i, key] of keys.entries()) known.push({ key, value: texts[i] })
}

const asKnown = (events: readonly { key: string; redacted: boolean; value: Uint8Array }[]): Known[] =>
  events.map((e) => ({ key: e.key, value: e.redacted ? undefined : decoder.decode(e.value) }))

async function compareRange(store: EventStore, random: SimRandom, known: readonly Known[]): Promise<void> {
  const bound = () => (random.chance(0.3) ? undefined : timeOfKey(random.pick(known).key) + random.below(3) - 1)
  const [fromMs, toMs] = [bound(), bound()]
  const afterKey = random.chance(0.5) ? random.pick(known).key : undefined
  const reverse = random.chance(0.5)
  const limit = random.pick([1, 7, 150, 10_000])
  const wanted = known
    .filter(({ key }) => fromMs === undefined || timeOfKey(key) >= fromMs)
    .filter(({ key }) => toMs === undefined || timeOfKey(key) < toMs)
    .filter(({ key }) => afterKey === undefined || (reverse ? key < afterKey : key > afterKey))
  if (reverse) wanted.reverse()
  const found: Known[] = []
  for (let behind = afterKey; found.length < limit; ) {
    const page = await store.range({ fromMs, toMs, afterKey: behind, reverse, limit: limit - found.length })
    const bytes = page.events.reduce((sum, e) => sum + e.value.length, 0)
    assert.ok(bytes <= 20_000 || page.events.length === 1, `a page of ${bytes} bytes`)
    found.push(...asKnown(page.events))
    if (page.afterKey === undefined) break
    behind = page.afterKey
  }
  assert.deepEqual(found, wanted.slice(0, limit))
}

async function compareChanges(store: EventStore, random: SimRandom, known: readonly Known[]): Promise<void> {
  const found: Known[] = []
  for (let after = 0; ; ) {
    const limit = random.pick([1, 3, 50, 1_000])
    const page = await store.changes(after, limit)
    if (page.events.length === 0) break
    const bytes = page.events.reduce((sum, e) => sum + e.value.length, 0)
    assert.ok(page.events.length <= limit && (bytes <= 20_000 || page.events.length === 1), `a page of ${bytes} bytes`)
    assert.ok(page.events.every((e) => e.position > after && e.position <= page.next))
    found.push(...asKnown(page.events))
    after = page.next
  }
  found.sort((a, b) => (a.key < b.key ? -1 : 1))
  assert.deepEqual(found, known)
}

async function compareKeys(store: EventStore, random: SimRandom, known: readonly Known[]): Promise<void> {
  const asked = Array.from({ length: 40 }, () => random.pick(known))
  const keys = asked.map((e) => e.key)
  const unknown = `${keys[0].slice(0, 20)}${keys[0][20] === '0' ? '1' : '0'}00000`
  const asking = [...keys, unknown]
  const found: Awaited<ReturnType<EventStore['get']>> = []
  while (found.length < asking.length) {
    const page = await store.get(asking.slice(found.length), 20_000)
    const bytes = page.reduce((sum, e) => sum + (e?.value.length ?? 0), 0)
    assert.ok(page.length > 0 && (bytes <= 20_000 || page.length === 1), `${bytes} bytes`)
    found.push(...page)
  }
  assert.deepEqual(await store.get(asking), found)
  assert.equal(found.pop(), undefined)
  assert.deepEqual(asKnown(found as NonNullable<(typeof found)[0]>[]), asked)
}

/** No value that was erased is left in the map. */
async function erasedIsGone(map: OrderedMap, known: readonly Known[]): Promise<void> {
  const bytes = (await map.scan(everything)).map((e) => decoder.decode(e.value)).join('|')
  for (const { value } of known) assert.ok(value === undefined || bytes.includes(value))
  const steps = new Set(known.map((e) => e.value?.slice(0, e.value.indexOf(']') + 1)))
  for (const [mark] of bytes.matchAll(/\[\d+\.\d+\]/g)) assert.ok(steps.has(mark), `the erased ${mark} is still there`)
}

const seeds = process.env.SEED === undefined ? Array.from({ length: 15 }, (_, i) => String(i)) : [process.env.SEED]

test('whatever is in runs and whatever stands by itself is found by key, by time and by position', async () => {
  for (const seed of seeds) {
    await runAtRandom(seed, memoryMap()).catch((error) => {
      console.log(`failed with SEED=${seed} node --test src/model/events/runs.test.ts`)
      throw error
    })
  }
})

/** Records of runs are written once and never again. */
function keepingRecords(): OrderedMap {
  const map = memoryMap()
  const records = 6
  const written = new Set<string>()
  return {
    write: async (changes) => {
      await map.write(changes.filter(({ key }) => key[0] !== records || !written.has(toHex(key))))
      for (const { key } of changes) written.add(toHex(key))
    },
    get: (keys) => map.get(keys),
    scan: (options) => map.scan(options),
    close: () => map.close(),
  }
}

test('a run that keeps what was erased in it is found', async () => {
  await assert.rejects(async () => {
    for (const seed of seeds) await runAtRandom(seed, keepingRecords())
  }, /is still there/)
})

/** A map that counts the bytes that are read of it. */
function counting(read: { bytes: number }): OrderedMap {
  const map = memoryMap()
  return {
    write: (changes) => map.write(changes),
    get: async (keys) => {
      const values = await map.get(keys)
      for (const value of values) read.bytes += value?.length ?? 0
      return values
    },
    scan: async (options) => {
      const entries = await map.scan(options)
      for (const { value } of entries) read.bytes += value.length
      return entries
    },
    close: () => map.close(),
  }
}

test('a page, of changes, of a range, of keys or for a peer, reads about as many bytes as it has', async () => {
  const read = { bytes: 0 }
  const store = await open('bounded', counting(read))
  const large = 'x'.repeat(100_000)
  // Half of them in runs, half by themselves.
  const atMs = Math.floor(micros / 1000) - 5_000
  for (let i = 0; i < 30; i++) await store.append(Array.from({ length: 10 }, () => event(large)))
  for (let i = 0; i < 30; i++) await store.append(Array.from({ length: 10 }, () => ({ ...event(large), atMs })))
  for (const after of [0, 300]) {
    read.bytes = 0
    const { events } = await store.changes(after, 1_000)
    assert.equal(events.length, 1)
    assert.ok(read.bytes < 2_000_000, `${read.bytes} bytes for a page of one`)
    read.bytes = 0
    const ranged = await store.range({ limit: 1_000, reverse: after > 0 })
    assert.deepEqual([ranged.events.length, ranged.afterKey], [1, ranged.events[0].key])
    assert.ok(read.bytes < 3_000_000, `${read.bytes} bytes for a range of one`)
    const { ids } = await store.idsAfter(after, 300, undefined)
    read.bytes = 0
    const found = await store.get(
      ids.map((id) => formatUlid(id.key)),
      250_000,
    )
    assert.equal(found.length, 2)
    assert.ok(read.bytes < 3_000_000, `${read.bytes} bytes for two of ${ids.length} keys`)
    read.bytes = 0
    const { records } = await store.records(
      ids.map((id) => id.key),
      256 * 1024,
      1_000,
    )
    assert.equal(records.length, 2)
    assert.ok(read.bytes < 2_000_000, `${read.bytes} bytes for a message of ${records.length}`)
  }
})

test('a page of conflicts has so many bytes, and the next begins where it ended', async () => {
  const read = { bytes: 0 }
  const store = await open('conflicts', counting(read))
  const keys = await store.append([event('a'), event('b'), event('c')])
  const refused: string[] = []
  for (const key of keys) {
    for (let i = 0; i < 5; i++) {
      const text = `${key} ${i}`.padEnd(7_000, '.')
      refused.push(text)
      await assert.rejects(store.append([{ ...event(text), key }]), { code: 'event_conflict' })
    }
  }
  for (const limit of [1, 2, 1_000]) {
    const listed: string[] = []
    for (let after: string | undefined; ; ) {
      read.bytes = 0
      const page = await store.conflicts(limit, after)
      assert.ok(page.conflicts.length <= Math.min(limit, 2) && read.bytes < 60_000, `${read.bytes} bytes`)
      listed.push(...page.conflicts.map((c) => decoder.decode(c.other.value)))
      if (page.after === undefined) break
      after = page.after
    }
    assert.deepEqual(listed.sort(), refused)
  }
  const behind = await store.conflicts(1_000, keys[1])
  assert.ok(behind.conflicts.length > 0 && behind.conflicts.every((c) => c.key === keys[2]))
  for (const wrong of ['x', `${keys[0]}.`, `${keys[0]}.zz`])
    await assert.rejects(store.conflicts(10, wrong), { code: 'event_key_malformed' })
})

/** A map that says at once that it takes a batch, and makes it durable when it is told to. */
class SlowMap {
  readonly inner = memoryMap()
  readonly waiting: (() => void)[] = []
  full = false

  readonly map: OrderedMap = {
    write: async (changes, accepted) => {
      if (this.full) throw new DbError('disk_full', 'full')
      const copies = changes.map(({ key, value }) => ({ key: key.slice(), value: value?.slice() }))
      accepted?.()
      await new Promise<void>((next) => this.waiting.push(next))
      await this.inner.write(copies)
    },
    get: (keys) => this.inner.get(keys),
    scan: (options) => this.inner.scan(options),
    close: () => this.inner.close(),
  }

  async settle(): Promise<void> {
    for (let i = 0; i < 50; i++) await undefined
  }
}

const event = (text: string): NewEvent => ({ value: encoder.encode(text), contentType: 'text/plain' })

test('appends are prepared while others become durable; readers see what is durable, and what looks first waits', async () => {
  const slow = new SlowMap()
  const opening = open('pipeline', slow.map)
  await slow.settle()
  slow.waiting.shift()!()
  const store = await opening
  const done: string[] = []
  const first = store.append([event('a'), event('b')]).then((keys) => {
    done.push('first')
    return keys
  })
  await slow.settle()
  void store.append([event('c')]).then(() => done.push('second'))
  await slow.settle()
  void store.redact(['01J00000000000000000000000']).then(() => done.push('erasure'))
  await slow.settle()
  assert.equal(slow.waiting.length, 2)
  assert.equal(store.position, 0)
  slow.waiting.shift()!()
  await slow.settle()
  assert.deepEqual(done, ['first'])
  assert.deepEqual([store.position, (await first).length], [2, 2])
  assert.equal(slow.waiting.length, 1)
  slow.waiting.shift()!()
  await slow.settle()
  assert.equal(slow.waiting.length, 1)
  slow.waiting.shift()!()
  await slow.settle()
  assert.deepEqual(done, ['first', 'second', 'erasure'])
  assert.equal(store.position, 4)
})

test('what a full disk refuses leaves no gap, also behind appends that are under way', async () => {
  const slow = new SlowMap()
  const opening = open('full', slow.map)
  await slow.settle()
  slow.waiting.shift()!()
  const store = await opening
  const one = store.append([event('a')])
  await slow.settle()
  slow.full = true
  await assert.rejects(store.append([event('b')]), (error: DbError) => error.code === 'disk_full')
  slow.full = false
  const two = store.append([event('c')])
  await slow.settle()
  for (const next of slow.waiting.splice(0)) next()
  await Promise.all([one, two])
  const { events } = await store.changes(0, 10)
  assert.deepEqual(
    events.map((e) => `${e.position} ${e.sequence} ${decoder.decode(e.value)}`),
    ['1 1 a', '2 2 c'],
  )
})
