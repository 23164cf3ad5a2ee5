/**
 * An event store whose values are JSON of one type: what a program holds instead of bytes.
 *
 *   append(order) ─► schema ─► JSON ─► EventStore          for await (const e of store.changes()) e.value: Order
 *
 * Values are checked as they are appended here. What other stores send has been checked there, by the schema that they
 * have; it is not refused, or stores would differ.
 *
 * Not here: the store itself (event-store.ts), meeting others (client/events), views (views/).
 */
import { DbError } from '../../base/index.ts'
import type { EventStore, NewEvent, StoredEvent, StoreIdentity } from './event-store.ts'
import { timeOfKey } from './key-time.ts'
import type { ValueCheck } from './typed-schema.ts'

/** An event whose value is JSON. */
export interface TypedEvent<T> {
  /** ULID. */
  readonly key: string
  /** When it happened, milliseconds since the Unix epoch. */
  readonly at: number
  /** Where in this store's order of reception, from 1. `changes({ after: position })` goes on behind it. */
  readonly position: number
  /** Undefined when the value was erased, or is no JSON (see `bytes`). */
  readonly value: T
  readonly redacted: boolean
  readonly bytes: Uint8Array
  readonly contentType: string
  /** The store that received it first, and its incarnation. */
  readonly origin: string
  readonly sequence: number
  /** Hybrid timestamp of the append, microseconds. */
  readonly timestamp: number
}

export interface TypedConflict<T> {
  readonly key: string
  readonly kept: TypedEvent<T>
  readonly other: TypedEvent<T>
}

/** Milliseconds since the Unix epoch, a Date, or a Temporal.Instant. */
export type Instant = number | { getTime(): number } | { readonly epochMilliseconds: number }

export interface AppendOptions {
  /** When it happened; now when absent. */
  readonly at?: Instant
  /** ULID of the caller's, for one value. */
  readonly key?: string
}

export interface ChangesOptions {
  /** Position after which to begin, 0 for all. */
  readonly after?: number
  /** Ends the iteration quietly. */
  readonly signal?: AbortSignal
  /** false: end once everything that is here has been seen. Default true: wait for more. */
  readonly live?: boolean
}

export interface RangeOptions {
  /** Not before. */
  readonly from?: Instant
  /** Before. */
  readonly to?: Instant
  readonly reverse?: boolean
}

const contentType = 'application/json'
const pageEvents = 500
const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class TypedStore<Out = unknown, In = Out> {
  /** The store of bytes underneath. */
  readonly events: EventStore
  readonly #check: ValueCheck | undefined

  constructor(events: EventStore, check?: ValueCheck) {
    this.events = events
    this.#check = check
  }

  get name(): string {
    return this.events.name
  }

  get identity(): StoreIdentity {
    return this.events.identity
  }

  /** Position of the newest event. */
  get position(): number {
    return this.events.position
  }

  get count(): number {
    return this.events.count
  }

  /**
   * Resolves with the key once the value is durable here; an array is as many events, all or none. (A value that is an
   * array itself goes inside of one.)
   * Errors: event_schema_violation, event_key_malformed, event_conflict, event_too_large, store_closed.
   */
  append(values: readonly In[], options?: AppendOptions): Promise<string[]>
  append(value: In, options?: AppendOptions): Promise<string>
  async append(given: In | readonly In[], { at, key }: AppendOptions = {}): Promise<string | string[]> {
    const values: readonly unknown[] = Array.isArray(given) ? given : [given]
    if (key !== undefined && values.length !== 1) {
      throw new DbError('invalid_parameter_value', 'a key is for one value, not for several')
    }
    const atMs = at === undefined ? undefined : millisOf(at)
    const checked = this.#check === undefined ? values : await Promise.all(values.map(this.#check))
    const keys = await this.events.append(
      checked.map((value): NewEvent => ({ value: encode(value), contentType, key, atMs })),
    )
    return Array.isArray(given) ? keys : keys[0]
  }

  /** Erases values for ever, here and in every store that this one meets. */
  redact(keys: string | readonly string[]): Promise<void> {
    return this.events.redact(typeof keys === 'string' ? [keys] : keys)
  }

  async get(key: string): Promise<TypedEvent<Out> | undefined> {
    const [event] = await this.events.get([key])
    return event && typed(event)
  }

  /** Every event in the order in which this store received it, those that are yet to come included. */
  async *changes({ after = 0, signal, live = true }: ChangesOptions = {}): AsyncGenerator<TypedEvent<Out>, void, void> {
    while (!signal?.aborted) {
      const { events, next } = await this.events.changes(after, pageEvents)
      // By position, so that whoever stops at an event can go on behind it.
      for (const event of events.toSorted((a, b) => a.position - b.position)) {
        if (signal?.aborted) return
        yield typed(event)
      }
      if (events.length === 0) {
        if (!live) return
        await this.#arrival(next, signal)
      }
      after = next
    }
  }

  #arrival(after: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.events.position > after || signal?.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        unsubscribe()
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const unsubscribe = this.events.subscribe(() => {
        if (this.events.position > after) done()
      })
      signal?.addEventListener('abort', done)
    })
  }

  /** Events by the time at which they happened. */
  async *range({ from, to, reverse }: RangeOptions = {}): AsyncGenerator<TypedEvent<Out>, void, void> {
    const fromMs = from === undefined ? undefined : millisOf(from)
    const toMs = to === undefined ? undefined : millisOf(to)
    let afterKey: string | undefined
    for (;;) {
      const page = await this.events.range({ fromMs, toMs, afterKey, limit: pageEvents, reverse })
      for (const event of page.events) yield typed(event)
      if (page.afterKey === undefined) return
      afterKey = page.afterKey
    }
  }

  /** Keys that came with two values, at most `limit`: the one that stands, and the other. Continues behind `afterKey`. */
  async conflicts({
    limit = 1_000,
    afterKey,
  }: {
    limit?: number
    afterKey?: string
  } = {}): Promise<TypedConflict<Out>[]> {
    const out: TypedConflict<Out>[] = []
    for (let after = afterKey; out.length < limit; ) {
      const page = await this.events.conflicts(limit - out.length, after)
      for (const { key, kept, other } of page.conflicts) out.push({ key, kept: typed(kept), other: typed(other) })
      if (page.after === undefined) break
      after = page.after
    }
    return out
  }

  /** Calls back after each change, once it can be read. Returns what unsubscribes. */
  subscribe(listener: () => void): () => void {
    return this.events.subscribe(listener)
  }
}

function millisOf(at: Instant): number {
  return typeof at === 'number' ? at : 'getTime' in at ? at.getTime() : at.epochMilliseconds
}

function encode(value: unknown): Uint8Array {
  let json: string | undefined
  try {
    json = JSON.stringify(value)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new DbError('invalid_json_text', `a value must be JSON: ${reason}`, { cause })
  }
  if (json !== undefined) return encoder.encode(json)
  throw new DbError('invalid_json_text', `a value must be JSON, not ${typeof value}`)
}

function typed<T>(event: StoredEvent): TypedEvent<T> {
  const { key, position, redacted, contentType, origin, sequence, timestamp } = event
  const value = redacted ? undefined : jsonOf(event)
  const at = timeOfKey(key)
  return {
    key,
    at,
    position,
    value: value as T,
    redacted,
    bytes: event.value,
    contentType,
    origin,
    sequence,
    timestamp,
  }
}

function jsonOf({ value, contentType }: StoredEvent): unknown {
  if (!/^application\/(json|[^;]*\+json) *(;|$)/i.test(contentType)) return undefined
  try {
    return JSON.parse(decoder.decode(value))
  } catch {
    return undefined
  }
}
