/**
 * A view from nothing: what each key's answer is by definition. Tests hold everything else against it.
 *
 * Not here: anything incremental.
 */
import type { StoredEvent } from '../event-store.ts'
import { itemOf, keyOf } from './item.ts'
import type { View } from './view.ts'

/**
 * Answers by key ('' in a view of one state). @param eventsOf the events of each store, in any order; a view of one store
 * that does not name it asks for ''.
 */
export function recompute(view: View, eventsOf: (store: string) => readonly StoredEvent[]): Map<string, unknown> {
  const items = view.streams
    .flatMap((stream, i) =>
      eventsOf(stream.store ?? '')
        .filter((e) => !e.redacted)
        .map((e) => itemOf(e, i)),
    )
    .sort((a, b) => (a.mark < b.mark ? -1 : a.mark > b.mark ? 1 : 0))
  const states = new Map<string, unknown>()
  if (!view.keyed) states.set('', view.initial())
  for (const item of items) {
    const key = keyOf(view, item)
    if (key === undefined) continue
    const state = states.has(key) ? states.get(key) : view.initial()
    states.set(key, view.streams[item.stream].reduce(state, item.event))
  }
  const plain = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown
  return new Map([...states].map(([key, state]) => [key, plain(view.result ? view.result(plain(state)) : state)]))
}
