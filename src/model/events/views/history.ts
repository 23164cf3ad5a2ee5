/**
 * Past events in the order in which they happened, a page at a time: those of a whole view from its stores, those of one
 * key through the view's index of them. What a view has not come to yet (a greater position) is not there for it, and
 * what is erased is there for nobody.
 *
 * Not here: folding them (folding.ts).
 */
import type { EventStore, StoredEvent } from '../event-store.ts'
import type { BuildSpace } from './build-space.ts'
import { type Item, itemOf, timeOf } from './item.ts'
import { eventOf, firstMark, lastMark, type Mark, markBehind, streamOf } from './space-keys.ts'

/** Of the events of one store that a page has; one event may be more. */
const pageBytes = 4 << 20

/** A store, and the numbers of the view's streams that read it. */
export interface Source {
  readonly store: EventStore
  readonly streams: readonly number[]
}

export interface HistoryPage {
  /** Ascending; may be empty before the end. */
  readonly items: readonly Item[]
  /** Where the next page begins (exclusive); undefined at the end. */
  readonly next: Mark | undefined
}

/** Up to which positions (one a source) and up to which mark (inclusive) a history goes. */
export interface Bounds {
  readonly positions: readonly number[]
  readonly upTo: Mark
}

export type History = (after: Mark, limit: number) => Promise<HistoryPage>

function visible(event: StoredEvent | undefined, position: number): event is StoredEvent {
  return event !== undefined && !event.redacted && event.position <= position
}

function byMark(a: Item, b: Item): number {
  return a.mark < b.mark ? -1 : a.mark > b.mark ? 1 : 0
}

/** All events of all streams. */
export function wholeHistory(sources: readonly Source[], bounds: Bounds): History {
  const toMs = bounds.upTo === lastMark ? undefined : timeOf(eventOf(bounds.upTo)) + 1
  return async (after, limit) => {
    const afterKey = after === firstMark ? undefined : eventOf(after)
    let horizon: string | undefined
    const items: Item[] = []
    for (const [i, { store, streams }] of sources.entries()) {
      const page = await store.range({ afterKey, toMs, limit })
      const found: (StoredEvent | undefined)[] = [...page.events]
      const last = page.afterKey
      if (last !== undefined && (horizon === undefined || last < horizon)) horizon = last
      // Another stream of the very event where the last page ended.
      if (afterKey !== undefined && after !== markBehind(afterKey)) found.push(...(await store.get([afterKey])))
      for (const event of found) {
        if (visible(event, bounds.positions[i])) for (const stream of streams) items.push(itemOf(event, stream))
      }
    }
    const end = horizon === undefined ? bounds.upTo : markBehind(horizon)
    const within = items.filter(({ mark }) => mark > after && mark <= end && mark <= bounds.upTo).sort(byMark)
    return { items: within, next: horizon === undefined ? undefined : end }
  }
}

/** What is about to change in the index. */
export interface Pending {
  readonly added: ReadonlyMap<Mark, Item>
  readonly removed: ReadonlySet<Mark>
}

/** The events of one key. */
export function keyHistory(
  space: BuildSpace,
  sources: readonly Source[],
  key: string,
  bounds: Bounds,
  pending: Pending | undefined,
): History {
  return async (after, limit) => {
    const marks = await space.marks(key, after, limit)
    let end = marks.length < limit ? bounds.upTo : marks[marks.length - 1]
    let cut = false
    const wanted = marks.filter((m) => m <= bounds.upTo && !pending?.removed.has(m) && !pending?.added.has(m))
    const items: Item[] = []
    for (const [i, { store, streams }] of sources.entries()) {
      const own = wanted.filter((m) => streams.includes(streamOf(m)))
      const found = own.length === 0 ? [] : await store.get(own.map(eventOf), pageBytes)
      if (found.length < own.length) {
        cut = true
        const last = own[found.length - 1]
        if (last < end) end = last
      }
      for (const [j, event] of found.entries()) {
        if (visible(event, bounds.positions[i])) items.push(itemOf(event, streamOf(own[j])))
      }
    }
    for (const [mark, item] of pending?.added ?? []) if (mark > after && mark <= end) items.push(item)
    const within = items.filter(({ mark }) => mark <= end).sort(byMark)
    return { items: within, next: cut || (marks.length === limit && end < bounds.upTo) ? end : undefined }
  }
}
