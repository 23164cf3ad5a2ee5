/** Tabs that share one store: one has it open, the others ask; when it goes, what was asked is done all the same. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Tabs } from '../../io/browser/index.ts'
import { web, webIo } from '../../io/browser/index.ts'
import { memoryMap, type OrderedMap, openEventStore } from '../../model/events/index.ts'
import { OwnEvents } from './opened-events.ts'
import { openSharedEvents } from './shared-events.ts'
import { SyncedStore } from './synced-store.ts'

/** Locks and channels of one origin. A tab can be killed: it holds no locks then, hears and says nothing more. */
class Origin {
  readonly #queues = new Map<string, (() => void)[]>()
  readonly #listeners = new Map<string, Set<(message: unknown) => void>>()

  tab(): Tabs & { kill(): void; dead(): boolean } {
    let dead = false
    const held: (() => void)[] = []
    return {
      dead: () => dead,
      kill: () => {
        dead = true
        for (const release of held) release()
      },
      lock: (name, signal) =>
        new Promise((resolve, reject) => {
          const queue = this.#queues.get(name) ?? []
          this.#queues.set(name, queue)
          let released = false
          const release = () => {
            if (released) return
            released = true
            queue.shift()
            queue[0]?.()
          }
          const grant = () => {
            if (dead) return release()
            held.push(release)
            resolve(release)
          }
          queue.push(grant)
          if (queue[0] === grant) grant()
          signal.addEventListener('abort', () => {
            if (queue.indexOf(grant) > 0) queue.splice(queue.indexOf(grant), 1)
            reject(signal.reason)
          })
        }),
      channel: (name, receive) => {
        const listeners = this.#listeners.get(name) ?? new Set()
        this.#listeners.set(name, listeners)
        const listener = (message: unknown) => {
          if (!dead) receive(message)
        }
        listeners.add(listener)
        const post = (message: unknown) => {
          if (dead) return
          const copy = structuredClone(message)
          for (const other of listeners) if (other !== listener) queueMicrotask(() => other(copy))
        }
        return { post, close: () => listeners.delete(listener) }
      },
    }
  }
}

const io = webIo()

/** Stores over one map, which outlives the tabs. A dead tab writes nothing more, and learns of no write. */
function browser() {
  const origin = new Origin()
  const map = memoryMap()
  const held: { before?: Promise<void>; after?: Promise<void> } = {}
  const open = async () => {
    const tab = origin.tab()
    const own: OrderedMap = {
      write: async (changes) => {
        await held.before
        if (!tab.dead()) await map.write(changes)
        await held.after
        if (tab.dead()) await new Promise<void>(() => {})
      },
      get: (keys) => map.get(keys),
      scan: (options) => map.scan(options),
      close: async () => {},
    }
    const openOwn = async () => {
      const store = await openEventStore({ name: 'x', map: own, clock: io.clock, random: io.random })
      return new OwnEvents(store, { web, ...io }, async () => memoryMap())
    }
    const events = await openSharedEvents({ name: 'x', tabs: tab, ports: io, openOwn })
    return { tab, store: new SyncedStore<number>(events, io, undefined) }
  }
  /** Writes wait before or after they are done, until what is returned is called. */
  const hold = (when: 'before' | 'after') => {
    const { promise, resolve } = Promise.withResolvers<void>()
    held[when] = promise
    return () => {
      held[when] = undefined
      resolve()
    }
  }
  return { open, hold }
}

const valuesOf = async (store: SyncedStore<number>) => {
  const values: number[] = []
  for await (const { value } of store.changes({ live: false })) values.push(value)
  return values.sort((a, b) => a - b)
}

test('two tabs write and read one store', async () => {
  const { open } = browser()
  const [one, two] = [await open(), await open()]
  assert.deepEqual(one.store.identity, two.store.identity)
  const key = await two.store.append(1)
  await one.store.append(2)
  assert.deepEqual((await one.store.get(key))?.value, 1)
  for (const { store } of [one, two]) assert.deepEqual(await valuesOf(store), [1, 2])
  await assert.rejects(two.store.append(3, { key }), { code: 'event_conflict' })
  await two.store.close()
  await one.store.close()
})

test('a tab that only listens sees what the others write, whoever has the store', async () => {
  const { open } = browser()
  const [one, two, three] = [await open(), await open(), await open()]
  const seen: number[] = []
  void one.store.append(1)
  for await (const { value } of three.store.changes()) {
    seen.push(value)
    if (value === 1) void two.store.append(2)
    if (value === 2) void one.store.close().then(() => two.store.append(3))
    if (value === 3) break
  }
  assert.deepEqual(seen, [1, 2, 3])
})

test('what was asked of a tab that dies is done by its successor, once', async () => {
  for (const when of ['before', 'after'] as const) {
    const { open, hold } = browser()
    const [one, two, three] = [await open(), await open(), await open()]
    const release = hold(when)
    const asked = [two.store.append(1), three.store.append([2, 3])]
    await io.tasks.yield()
    one.tab.kill()
    release()
    await Promise.all(asked)
    for (const { store } of [two, three]) assert.deepEqual(await valuesOf(store), [1, 2, 3])
    assert.equal(two.store.count, 3)
  }
})

test('a store that is closed does nothing more; the next tab has what was there', async () => {
  const { open } = browser()
  const one = await open()
  await one.store.append(1)
  await one.store.close()
  await assert.rejects(one.store.append(2), { code: 'store_closed' })
  const two = await open()
  assert.deepEqual(await valuesOf(two.store), [1])
  await two.store.close()
})
