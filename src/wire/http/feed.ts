/**
 * Waiting for events that are yet to come: long polls, and streams of Server-Sent Events.
 *
 *   id: 5f….09….1234        the position, with its store: what a browser sends back when it reconnects
 *   data: {"key":"01J…",…}  one event
 *
 * A page of the changes feed is sorted by (timestamp, key) inside. In a stream each event has its own id, so there they
 * follow one another in the order of reception: whoever is cut off in the middle goes on with the next one.
 *
 * Not here: pages (event-routes.ts).
 */
import type { Tasks } from '../../io/index.ts'
import type { EventStore } from '../../model/events/event-store.ts'
import { formatCursor } from './cursor.ts'
import { eventJson } from './event-json.ts'

const pageEvents = 500
/** Proxies close connections over which nothing comes. */
export const heartbeatMs = 15_000
/** Sent at once: headers leave with the first bytes. The time is that before a browser connects again, in ms. */
export const streamBeginning = 'retry: 1000\n\n'

/** True when the store has something after `after`; false when the time is over or the signal is given before. */
export async function arrival(
  store: EventStore,
  after: number,
  { tasks, waitMs, signal }: { tasks: Tasks; waitMs: number; signal: AbortSignal },
): Promise<boolean> {
  if (store.position > after) return true
  if (signal.aborted) return false
  const done = Promise.withResolvers<boolean>()
  const unsubscribe = store.subscribe(() => {
    if (store.position > after) done.resolve(true)
  })
  const timer = tasks.after(waitMs, () => done.resolve(false))
  const stop = () => done.resolve(false)
  signal.addEventListener('abort', stop)
  try {
    return await done.promise
  } finally {
    unsubscribe()
    timer.cancel()
    signal.removeEventListener('abort', stop)
  }
}

/** Text of the stream, as fast as it is read; ends with the signal, or when the store's positions become others. */
export async function* serverSentEvents(
  store: EventStore,
  after: number,
  { tasks, signal }: { tasks: Tasks; signal: AbortSignal },
): AsyncGenerator<string> {
  const { identity } = store
  yield streamBeginning
  while (!signal.aborted && store.identity.incarnation === identity.incarnation) {
    const page = await store.changes(after, pageEvents)
    after = page.next
    if (page.events.length > 0) {
      const received = page.events.toSorted((a, b) => a.position - b.position)
      yield received.map((e) => `id: ${formatCursor(identity, e.position)}\ndata: ${eventJson(e)}\n\n`).join('')
    } else if (!(await arrival(store, after, { tasks, waitMs: heartbeatMs, signal })) && !signal.aborted) {
      yield ': nothing new\n\n'
    }
  }
}
