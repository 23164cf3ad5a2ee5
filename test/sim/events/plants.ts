/**
 * Bugs that the simulation must find: each makes stores break one of their promises.
 *
 * Not here: the promises' checks (run.ts, model.ts, feed-reader.ts).
 */
import type { SyncStore } from '../../../src/model/events/index.ts'
import { formatUlid, RangeIndex } from '../../../src/replication/sync/index.ts'
import type { Plant } from './live-store.ts'

type Methods = { [K in keyof SyncStore]?: (store: SyncStore) => SyncStore[K] }

/** A store with some methods replaced. */
function replacing(methods: Methods): Plant {
  return {
    store: (store) =>
      new Proxy(store, {
        get(target, name) {
          const replaced = methods[name as keyof SyncStore]
          if (replaced !== undefined) return replaced(target)
          const value = Reflect.get(target, name, target) as unknown
          return typeof value === 'function' ? value.bind(target) : value
        },
      }),
  }
}

const event = { value: new TextEncoder().encode('{"n":1,"who":"nobody"}'), contentType: 'application/json' }

export interface PlantedBug {
  readonly plant: Plant
  /** Where it shows; plain memory unless said. */
  readonly on?: 'disk'
  /** What the violation begins with. */
  readonly found: RegExp
}

export const plants: Record<string, PlantedBug> = {
  'acknowledges before it is durable': {
    plant: {
      map: (map) => ({
        write: async (changes) => void map.write(changes),
        get: (keys) => map.get(keys),
        scan: (options) => map.scan(options),
        close: () => map.close(),
      }),
    },
    on: 'disk',
    found: /^(lost|feed|error|apart|count)/,
  },
  'takes for durable what is only under way': {
    plant: {
      map: (map) => ({
        write: (changes, accepted) =>
          new Promise<void>((done, fail) => {
            const under = () => {
              accepted?.()
              done()
            }
            map.write(changes, under).then(done, fail)
          }),
        get: (keys) => map.get(keys),
        scan: (options) => map.scan(options),
        close: () => map.close(),
      }),
    },
    on: 'disk',
    found: /^(lost|feed|error|apart|count)/,
  },
  'drops an event and claims to have all': {
    plant: replacing({
      receive: (store) => (peer, records, claim, hashes) =>
        store.receive(peer, records.length > 2 ? records.slice(1) : records, claim, hashes),
    }),
    found: /^(apart|lost)/,
  },
  'takes only events of unknown keys': {
    plant: replacing({
      lacking: (store) => async (ids) => {
        const lacking = await store.lacking(ids)
        const known = await store.records(
          ids.map((id) => id.key),
          Number.MAX_SAFE_INTEGER,
          0,
        )
        const keys = new Set(known.records.map((r) => String(r.subarray(1, 17))))
        return lacking.filter((i) => !keys.has(String(ids[i].key)))
      },
    }),
    found: /^(apart|lost)/,
  },
  'sends only what stands': {
    plant: replacing({
      records:
        (store) =>
        async (...args) => {
          const page = await store.records(...args)
          const seen = new Set<string>()
          const standing = page.records.filter((r) => seen.size !== seen.add(String(r.subarray(1, 17))).size)
          return { ...page, records: standing }
        },
    }),
    found: /^(apart|error)/,
  },
  'leaves out what came from anybody': {
    plant: replacing({
      idsAfter: (store) => async (position, limit, peer) => {
        const page = await store.idsAfter(position, limit, peer)
        const origin = store.identity.store
        const own = await store.get(page.ids.map((id) => formatUlid(id.key)))
        return { ...page, ids: page.ids.filter((_, i) => own[i]?.redacted || own[i]?.origin.startsWith(origin)) }
      },
    }),
    found: /^(apart|lost)/,
  },
  'believes every place of its own': {
    plant: replacing({ knows: () => async () => true }),
    found: /^(apart|lost|error)/,
  },
  'goes on in its old life when it was restored': {
    plant: replacing({ renewIncarnation: () => async () => {} }),
    found: /^(apart|lost|error)/,
  },
  'compares by an index that is never brought up to date': {
    plant: replacing({
      ranges: (store) => async () => {
        const frozen = new RangeIndex()
        const index = await store.ranges()
        let left = index.count >> 1
        index.each((key, hash) => {
          if (left-- > 0) frozen.set(key, hash)
        })
        return frozen
      },
    }),
    found: /^(apart|lost|error)/,
  },
  'forgets an erasure': { plant: replacing({ redact: () => async () => {} }), found: /^lost/ },
  'invents an event': {
    plant: replacing({
      append: (store) => async (events) => (await store.append([...events, event])).slice(0, events.length),
    }),
    found: /^invented/,
  },
  'skips a change': {
    plant: replacing({
      changes: (store) => async (after, limit) => {
        const page = await store.changes(after, limit)
        return page.events.length > 7 ? { ...page, events: page.events.slice(1) } : page
      },
    }),
    found: /^feed/,
  },
  'repeats a change': {
    plant: replacing({
      changes: (store) => async (after, limit) => {
        const page = await store.changes(after, limit)
        return page.events.length > 7 ? { ...page, next: page.next - 1 } : page
      },
    }),
    found: /^feed/,
  },
}
