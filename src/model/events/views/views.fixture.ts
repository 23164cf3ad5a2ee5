/** Stores and views for tests: a clock that is moved by hand, time that passes only when it is told to. */
import { SimRandom } from '../../../testing/sim-random.ts'
import { memoryMap, type OrderedMap, openEventStore, type StoredEvent, type SyncStore } from '../index.ts'
import { openViews, type ViewLimits, type Views } from './index.ts'

export class HandClock {
  micros = 1_800_000_000_000_000
  wallMicros(): number {
    return this.micros
  }
  monotonicMicros(): number {
    return this.micros
  }
}

export interface Bench {
  readonly clock: HandClock
  readonly store: SyncStore
  readonly map: OrderedMap
  readonly views: Views
}

export async function openBench(limits: Partial<ViewLimits> = {}, seed = 'views'): Promise<Bench> {
  const clock = new HandClock()
  const store = await openStore('orders', clock, seed)
  const map = memoryMap()
  return { clock, store, map, views: await viewsOver([store], map, limits) }
}

export function openStore(name: string, clock: HandClock, seed: string): Promise<SyncStore> {
  return openEventStore({ name, map: memoryMap(), clock, random: new SimRandom(seed) })
}

export function viewsOver(stores: SyncStore[], map: OrderedMap, limits: Partial<ViewLimits> = {}): Promise<Views> {
  const clock = { monotonicMicros: () => 0 }
  return openViews({ map, stores, clock, tasks: { yield: async () => {} }, limits })
}

const encoder = new TextEncoder()

export function json(value: unknown, atMs?: number, key?: string) {
  return { value: encoder.encode(JSON.stringify(value)), contentType: 'application/json', atMs, key }
}

export async function allEvents(store: SyncStore): Promise<StoredEvent[]> {
  const out: StoredEvent[] = []
  for (let after = 0; ; ) {
    const { events, next } = await store.changes(after, 500)
    if (events.length === 0) return out
    out.push(...events)
    after = next
  }
}
