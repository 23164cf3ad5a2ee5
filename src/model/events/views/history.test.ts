/** Histories of large events: what is read at once is bounded by bytes, and nothing is left out or repeated. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BuildSpace } from './build-space.ts'
import { type History, keyHistory, type Source, wholeHistory } from './history.ts'
import type { Item } from './item.ts'
import { firstMark, lastMark, type Mark, markOf } from './space-keys.ts'
import { allEvents, HandClock, json, openStore } from './views.fixture.ts'

const large = 'x'.repeat(1_000_000)
const events = 11

/** Two stores of large events whose times alternate; the streams 0 and 2 read the first, 1 the second. */
async function sources(): Promise<{ sources: Source[]; marks: Mark[] }> {
  const clock = new HandClock()
  const out: Source[] = []
  const marks: Mark[] = []
  for (const [name, streams] of [
    ['a', [0, 2]],
    ['b', [1]],
  ] as const) {
    const store = await openStore(name, clock, name)
    for (let i = 0; i < events; i++) await store.append([json(large, 2 * i + out.length)])
    for (const { key } of await allEvents(store)) for (const stream of streams) marks.push(markOf(key, stream))
    out.push({ store, streams })
  }
  return { sources: out, marks: marks.sort() }
}

async function readAll(history: History, limit: number): Promise<Item[]> {
  const out: Item[] = []
  for (let next: Mark | undefined = firstMark; next !== undefined; ) {
    const page = await history(next, limit)
    const bytes = page.items.reduce((sum, { event }) => sum + event.bytes.length, 0)
    // Of each stream that reads a store the page has the store's events.
    assert.ok(bytes <= 3 * (4 << 20), `a page of ${bytes} bytes`)
    out.push(...page.items)
    next = page.next
  }
  return out
}

test('the whole history of large events comes in pages of some bytes', async () => {
  const { sources: from, marks } = await sources()
  const bounds = { positions: from.map(({ store }) => store.position), upTo: lastMark }
  for (const limit of [1, 3, 256]) {
    const found = await readAll(wholeHistory(from, bounds), limit)
    assert.deepEqual(
      found.map(({ mark }) => mark),
      marks,
    )
  }
})

test("so does one key's", async () => {
  const { sources: from, marks } = await sources()
  const space = {
    marks: async (_key: string, after: Mark, limit: number) => marks.filter((m) => m > after).slice(0, limit),
  } as unknown as BuildSpace
  for (const upTo of [lastMark, marks[20]]) {
    const bounds = { positions: from.map(({ store }) => store.position), upTo }
    for (const limit of [1, 3, 256]) {
      const found = await readAll(keyHistory(space, from, 'k', bounds, undefined), limit)
      assert.deepEqual(
        found.map(({ mark }) => mark),
        marks.filter((m) => m <= upTo),
      )
    }
  }
})
