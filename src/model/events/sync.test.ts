import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { decodeMessage, encodeMessage, type Mark, type Message } from '../../replication/sync/index.ts'
import { SimRandom } from '../../testing/sim-random.ts'
import {
  answerSync,
  type EventStore,
  memoryMap,
  type NewEvent,
  type OrderedMap,
  openEventStore,
  type StoredEvent,
  type StoreLimits,
  type SyncExchange,
  type SyncStore,
  syncWith,
} from './index.ts'

const clock = { micros: 1_767_225_600_000_000 }
const encoder = new TextEncoder()
const event = (text: string, more: Partial<NewEvent> = {}): NewEvent => ({
  value: encoder.encode(text),
  contentType: 'text/plain',
  ...more,
})

function open(seed: string, map: OrderedMap = memoryMap(), limits: Partial<StoreLimits> = {}, aheadMs = 0) {
  const wall = () => clock.micros++ + aheadMs * 1000
  return openEventStore({
    name: seed,
    map,
    clock: { wallMicros: wall, monotonicMicros: wall },
    random: new SimRandom(seed),
    limits,
  })
}

const to =
  (store: SyncStore): SyncExchange =>
  (request) =>
    answerSync(store, request.slice())

async function fill(store: EventStore, n: number, bytes = 20): Promise<void> {
  for (let i = 0; i < n; i += 500) {
    await store.append(
      Array.from({ length: Math.min(500, n - i) }, (_, j) => event(`${store.name} ${i + j} `.padEnd(bytes, '.'))),
    )
  }
}

/** All of a store as comparable text, positions left out. */
export async function contents(store: EventStore): Promise<string[]> {
  const out: string[] = []
  for (let afterKey: string | undefined; ; ) {
    const page = await store.range({ limit: 1_000_000, afterKey })
    out.push(...page.events.map(asText))
    if (page.afterKey === undefined) return out
    afterKey = page.afterKey
  }
}

function asText({ position: _, value, ...rest }: StoredEvent): string {
  return JSON.stringify({ ...rest, value: new TextDecoder('latin1').decode(value) })
}

async function same(...stores: EventStore[]): Promise<void> {
  const [first, ...others] = await Promise.all(stores.map(contents))
  for (const other of others) assert.deepEqual(other, first)
}

async function copyOf(map: OrderedMap): Promise<OrderedMap> {
  const copy = memoryMap()
  await copy.write(await map.scan({ from: new Uint8Array(0), to: Uint8Array.of(255), limit: 10_000_000 }))
  return copy
}

test('two stores end with the same events, and a sync of nothing new is one question', async () => {
  const [a, b] = [await open('a'), await open('b')]
  await fill(a, 700)
  await fill(b, 400)
  const report = await syncWith(a, to(b))
  assert.deepEqual([report.sent, report.received, report.mode], [700, 400, 'positions'])
  await same(a, b)
  const again = await syncWith(a, to(b), { peer: report.peer.store })
  assert.deepEqual([again.sent, again.received, again.messages], [0, 0, 2])
  const back = await syncWith(b, to(a), { peer: a.identity.store })
  assert.deepEqual([back.sent, back.received, back.messages], [0, 0, 2])
  await fill(a, 10)
  await fill(b, 10)
  const four = await syncWith(a, to(b), { peer: report.peer.store })
  assert.deepEqual([four.sent, four.received, four.messages], [10, 10, 4])
  await same(a, b)
  const [peer] = a.peers()
  assert.deepEqual([peer.store, peer.incarnation], [b.identity.store, b.identity.incarnation])
  assert.deepEqual([peer.received, peer.acknowledged, peer.position], [1_110, 1_110, 1_120])
})

test('an empty store takes all page by page, and what came from a peer is not offered back', async () => {
  const [a, b] = [await open('a'), await open('b')]
  await fill(a, 5_000)
  const seen: number[] = []
  const report = await syncWith(b, to(a), { onProgress: ({ received }) => seen.push(received) })
  assert.deepEqual([report.received, report.mode], [5_000, 'positions'])
  assert.ok(seen.length >= 5 && seen[0] < 2_000)
  await same(a, b)
  await fill(b, 1)
  const next = await syncWith(b, to(a))
  assert.deepEqual([next.sent, next.received], [1, 0])
  assert.ok(next.bytesSent < 2_000, `${next.bytesSent}`)
})

test('what is to be sent counts what the peer lacks, not what came from it, also after a restart', async () => {
  const [mapA, mapB] = [memoryMap(), memoryMap()]
  const [a, b] = [await open('a', mapA), await open('b', mapB)]
  const lags = (one: EventStore, two: EventStore) => [one, two].map((store) => store.peers()[0].lag)
  for (let round = 0; round < 5; round++) {
    await fill(a, 1_700)
    await fill(b, 1_300 * (round % 2))
    await syncWith(round < 2 ? b : a, to(round < 2 ? a : b))
    // Who was asked hears with the next question what has arrived.
    await syncWith(round < 2 ? b : a, to(round < 2 ? a : b))
    assert.deepEqual(
      lags(a, b).map((lag) => lag.toSend),
      [0, 0],
    )
  }
  await fill(a, 3)
  await fill(b, 2)
  assert.deepEqual(
    lags(a, b).map((lag) => lag.toSend),
    [3, 2],
  )
  // What was heard is written with what was appended.
  const again = [await open('a again', mapA), await open('b again', mapB)] as const
  assert.deepEqual(
    lags(...again).map((lag) => lag.toSend),
    [3, 2],
  )
})

test('strangers with much in common compare fingerprints: what moves grows with the difference', async () => {
  const map = memoryMap()
  const first = await open('a', map)
  await fill(first, 20_000)
  const b = await open('b')
  await syncWith(b, to(first))
  // The same events in a store that has never met the other.
  const c = await open('c')
  await syncWith(c, to(first))
  await fill(b, 30)
  await fill(c, 20)
  const report = await syncWith(c, to(b))
  assert.deepEqual([report.mode, report.sent, report.received], ['fingerprints', 20, 30])
  assert.ok(report.bytesSent + report.bytesReceived < 60_000, `${report.bytesSent + report.bytesReceived}`)
  await same(b, c)
  const after = await syncWith(b, to(c))
  assert.deepEqual([after.mode, after.sent, after.received], ['positions', 0, 0])
})

test('a large store and one with a few other events: no side is asked to hold all ids', async () => {
  const [a, b] = [await open('a'), await open('b')]
  await fill(a, 30_000)
  await fill(b, 3)
  const report = await syncWith(b, to(a))
  assert.deepEqual([report.sent, report.received], [3, 30_000])
  await same(a, b)
})

test('values of one key: the smaller hash stands everywhere, the other is listed at both', async () => {
  const [a, b] = [await open('a'), await open('b')]
  const key = '01J00000000000000000000000'
  await a.append([event('one', { key }), event('same', { key: '01J00000000000000000000001' })])
  await b.append([event('two', { key }), event('same', { key: '01J00000000000000000000001' })])
  const report = await syncWith(a, to(b))
  assert.ok(report.conflicts >= 1)
  await same(a, b)
  const text = ({ value }: StoredEvent) => new TextDecoder().decode(value)
  const listed = (await a.conflicts(10)).conflicts.map(({ kept, other }) => [text(kept), text(other)])
  assert.deepEqual(
    listed.map((c) => c.toSorted()),
    [['one', 'two']],
  )
  for (const store of [a, b])
    assert.deepEqual(
      (await store.conflicts(10)).conflicts.map(({ kept, other }) => [text(kept), text(other)]),
      listed,
    )
  await b.redact([key])
  await syncWith(a, to(b))
  await same(a, b)
  assert.deepEqual([...(await a.conflicts(10)).conflicts, ...(await b.conflicts(10)).conflicts], [])
  assert.equal((await a.get([key]))[0]?.redacted, true)
})

test('an interrupted sync loses nothing, and the next goes on where it broke off', async () => {
  for (let cut = 1; cut < 30; cut++) {
    const [a, b] = [await open('a'), await open('b')]
    await fill(a, 2_500, 300)
    await fill(b, 1_500, 300)
    let left = cut
    const broken: SyncExchange = async (request) => {
      if (left-- === 0) throw new DbError('connection_failure', 'cut')
      const response = await answerSync(b, request)
      if (left-- === 0) throw new DbError('connection_failure', 'cut')
      return response
    }
    await syncWith(a, broken).catch((error) => assert.equal(error.code, 'connection_failure'))
    const had = a.count + b.count - 4_000
    const report = await syncWith(a, to(b))
    assert.equal(report.sent + report.received + had, 4_000)
    await same(a, b)
  }
  const [a, b] = [await open('a'), await open('b')]
  const stopped = syncWith(a, to(b), { signal: AbortSignal.abort() })
  await assert.rejects(stopped, (e) => e instanceof DbError && e.code === 'query_canceled')
})

test('a restored copy begins a new incarnation by itself, whoever asks, and gets back what it had lost', async () => {
  for (const direction of ['restored asks', 'restored answers']) {
    for (const more of [0, 5, 300]) {
      const map = memoryMap()
      const original = await open('a', map)
      await fill(original, 100)
      const b = await open('b')
      await syncWith(original, to(b))
      const backup = await copyOf(map)
      await fill(original, 50)
      await syncWith(b, to(original))
      const restored = await open('restored', backup)
      const { incarnation } = restored.identity
      await fill(restored, more)
      const report = direction === 'restored asks' ? await syncWith(restored, to(b)) : await syncWith(b, to(restored))
      assert.notEqual(restored.identity.incarnation, incarnation, `${direction}, ${more}`)
      assert.equal(report.renewed, direction === 'restored asks')
      assert.equal(restored.count, 150 + more)
      await same(restored, b)
      // The original may live on beside it.
      await fill(original, 7)
      await syncWith(original, to(b))
      await syncWith(restored, to(b))
      await same(restored, b, original)
    }
  }
})

test('copies of one store that both live on can meet each other', async () => {
  const map = memoryMap()
  const a = await open('a', map)
  await fill(a, 2_000)
  const copy = await open('copy', await copyOf(map))
  await assert.rejects(syncWith(a, to(copy)), /itself/)
  await assert.rejects(syncWith(a, to(a)), /itself/)
  await fill(copy, 3)
  await fill(a, 2)
  await syncWith(a, to(copy))
  await same(a, copy)
  assert.notEqual(a.identity.incarnation, copy.identity.incarnation)
})

test('events stamped far in the future are refused with an error, all others are kept, and our clock is not moved', async () => {
  const [a, wrong] = [await open('a'), await open('wrong', memoryMap(), {}, 40 * 3_600_000)]
  await fill(a, 5)
  await fill(wrong, 5)
  await assert.rejects(syncWith(a, to(wrong)), (e) => e instanceof DbError && e.code === 'clock_skewed')
  assert.deepEqual([a.count, wrong.count], [5, 10])
  const [key] = await a.append([event('now')])
  assert.ok((await a.get([key]))[0]!.timestamp <= clock.micros + 100)
  const near = await open('near', memoryMap(), {}, 3_600_000)
  await fill(near, 5)
  await syncWith(a, to(near))
  const [next] = await a.append([event('now')])
  assert.ok((await a.get([next]))[0]!.timestamp <= clock.micros + 100, 'an hour ahead is taken, and not followed')
})

test('messages that are damaged or replayed change nothing', async () => {
  const [a, b] = [await open('a'), await open('b')]
  await fill(a, 50)
  await fill(b, 50)
  const requests: Uint8Array[] = []
  await syncWith(a, async (request) => {
    requests.push(request.slice())
    return answerSync(b, request)
  })
  const before = await contents(b)
  const { position } = b
  for (const request of [...requests, ...requests.toReversed()]) await answerSync(b, request)
  const random = new SimRandom('damage')
  for (let i = 0; i < 2_000; i++) {
    const damaged = random.pick(requests).slice(0)
    for (let j = random.below(3); j >= 0; j--) damaged[random.below(damaged.length)] = random.below(256)
    await answerSync(b, damaged.subarray(0, random.chance(0.2) ? random.below(damaged.length + 1) : damaged.length))
  }
  assert.deepEqual(await contents(b), before)
  assert.equal(b.position, position)
  const damagedAnswers = syncWith(a, async (request) => {
    const response = await answerSync(b, request)
    response[response.length - 1 - random.below(20)] ^= 1
    return response
  })
  await assert.rejects(damagedAnswers, refused('protocol_violation'))
  await fill(a, 5)
  await fill(b, 5)
  await syncWith(a, to(b))
  await same(a, b)
})

const refused = (code: string) => (error: unknown) => error instanceof DbError && error.code === code

/** A peer that changes what it says before it says it. */
function lying(store: SyncStore, lie: (message: Message) => Message): SyncExchange {
  return async (request) => encodeMessage(lie(decodeMessage(await answerSync(store, request))))
}

test('a peer that lies is refused', async () => {
  const far = (mark: Mark): Mark => ({ ...mark, position: mark.position + 1_000 })
  const lies: Record<string, (m: Message) => Message> = {
    'a place beyond its own': (m) =>
      m.kind === 'answer' ? { ...m, offer: { ...m.offer, upTo: far(m.offer.upTo) } } : m,
    'more of ours than there is': (m) => (m.kind === 'answer' ? { ...m, yours: { ...m.from, position: 9 } } : m),
    'wants what was not offered': (m) => (m.kind === 'answer' ? { ...m, wants: [700] } : m),
    'another event than the one offered': (m) =>
      m.kind === 'carried' ? { ...m, records: m.records.map((r) => Uint8Array.from(r).fill(200, 60)) } : m,
    'an event that nobody asked for': (m) =>
      m.kind === 'carried' ? { ...m, records: [...m.records, Uint8Array.from(m.records[0]).fill(3, 1, 17)] } : m,
    'nothing at all': (m) => (m.kind === 'carried' ? { ...m, records: [], taken: 0 } : m),
    'another kind of answer': (m) => (m.kind === 'answer' ? { kind: 'welcome', from: m.from } : m),
  }
  for (const [what, lie] of Object.entries(lies)) {
    const [a, b] = [await open('a'), await open('b')]
    await fill(a, 10)
    await fill(b, 20)
    await syncWith(a, to(b))
    await fill(a, 10)
    await fill(b, 20)
    await assert.rejects(syncWith(a, lying(b, lie)), refused('protocol_violation'), what)
    assert.ok(a.count >= 40)
    await syncWith(a, to(b))
    await same(a, b)
  }
})

test('a peer that offers more than it has, speaks for another or for a past that is not ours, is refused', async () => {
  const [a, b, c] = [await open('a'), await open('b'), await open('c')]
  await fill(a, 10)
  const from = a.mark()
  const none = { after: await a.markAt(0), upTo: await a.markAt(0), ids: [] }
  const upTo = { ...from, position: 11 }
  const messages: Message[] = [
    { kind: 'offer', from, count: 10, begun: false, yours: undefined, offer: { ...none, upTo } },
    { kind: 'offer', from, count: 10, begun: false, yours: undefined, offer: { ...none, upTo: c.mark() } },
    { kind: 'carry', from, to: b.mark(), records: [], claim: { ...none, upTo }, wants: [], cap: 0, behind: undefined },
    { kind: 'carry', from, to: c.mark(), records: [], claim: undefined, wants: [], cap: 0, behind: undefined },
    { kind: 'compared', from, answers: [] },
  ]
  for (const message of messages) {
    const response = decodeMessage(await answerSync(b, encodeMessage(message)))
    assert.equal(response.kind === 'refusal' && response.error.code, 'protocol_violation', message.kind)
  }
  await syncWith(a, to(b))
  await same(a, b)
})
