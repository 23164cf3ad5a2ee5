/**
 * An event on its way into a view: what reducers see, and its place in the order in which things happened.
 *
 * Not here: how that order is written in keys (space-keys.ts).
 */
import { formatUlid, parseUlid, putUlidTime, ulidBytes, ulidTimeMs } from '../../../replication/sync/index.ts'
import type { StoredEvent } from '../event-store.ts'
import { type Mark, markOf } from './space-keys.ts'
import type { View, ViewEvent } from './view.ts'

/** An event for one stream of a view. */
export interface Item {
  readonly mark: Mark
  readonly stream: number
  readonly event: ViewEvent<any>
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Milliseconds since the Unix epoch at which the event of a key happened. */
export function timeOf(key: string): number {
  return ulidTimeMs(parseUlid(key))
}

/** The greatest key of a millisecond. Errors: event_key_malformed. */
export function lastKeyOf(ms: number): string {
  const bytes = new Uint8Array(ulidBytes).fill(0xff)
  putUlidTime(bytes, 0, ms)
  return formatUlid(bytes)
}

/** What reducers see of a stored event. */
export type EventParts = Pick<StoredEvent, 'key' | 'position' | 'timestamp' | 'origin' | 'contentType' | 'value'>

/** Each view reads events of its own, so that no reducer can change what another one sees. */
class ReadEvent implements ViewEvent<unknown> {
  readonly #stored: EventParts
  #value: unknown

  constructor(stored: EventParts) {
    this.#stored = stored
  }
  get key() {
    return this.#stored.key
  }
  get atMs() {
    return timeOf(this.#stored.key)
  }
  get position() {
    return this.#stored.position
  }
  get timestamp() {
    return this.#stored.timestamp
  }
  get origin() {
    return this.#stored.origin
  }
  get contentType() {
    return this.#stored.contentType
  }
  get bytes() {
    return this.#stored.value
  }
  get value() {
    this.#value ??= isJson(this.contentType) ? JSON.parse(decoder.decode(this.bytes)) : this.bytes
    return this.#value
  }
}

function isJson(contentType: string): boolean {
  return /^application\/(json|[\w.-]+\+json)\s*(;|$)/i.test(contentType)
}

export function partsOf({ key, position, timestamp, origin, contentType, bytes }: ViewEvent<unknown>): EventParts {
  return { key, position, timestamp, origin, contentType, value: bytes }
}

export function itemOf(stored: EventParts, stream: number): Item {
  return { mark: markOf(stored.key, stream), stream, event: new ReadEvent(stored) }
}

/** What a view's own code threw, and at which event. */
export class ViewFailure extends Error {
  override readonly name = 'ViewFailure'
  readonly item: Item
  readonly in: string

  constructor(item: Item, inFunction: string, cause: unknown) {
    super(`${inFunction}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
    this.item = item
    this.in = inFunction
  }
}

const maxKeyBytes = 1024
const encoder = new TextEncoder()

/** The key of the state that an item belongs to ('' in a view of one state), or undefined. Throws ViewFailure. */
export function keyOf(view: View, item: Item): string | undefined {
  const make = view.streams[item.stream].key
  if (make === undefined) return ''
  let key: unknown
  try {
    key = make(item.event)
  } catch (error) {
    throw new ViewFailure(item, 'key', error)
  }
  if (key === undefined) return undefined
  if (typeof key !== 'string')
    throw new ViewFailure(item, 'key', `returned ${key === null ? 'null' : typeof key}, not a string`)
  if (key.length * 3 > maxKeyBytes && encoder.encode(key).length > maxKeyBytes)
    throw new ViewFailure(item, 'key', `returned more than ${maxKeyBytes} bytes`)
  return key.toWellFormed()
}
