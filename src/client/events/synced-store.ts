/**
 * A typed store that meets others and keeps views: what programs get in Node and in browsers alike.
 *
 * Not here: where its bytes are (event-store.ts, browser.ts), values and types (model/events/typed-store.ts).
 */
import { DbError } from '../../base/index.ts'
import type { Clock, Tasks } from '../../io/index.ts'
import type { PeerStatus, SyncReport } from '../../model/events/index.ts'
import { compileSchema, type Schema, type ValueCheck } from '../../model/events/typed-schema.ts'
import { TypedStore } from '../../model/events/typed-store.ts'
import { openViews, type View, type ViewStatus, type Views } from '../../model/events/views/index.ts'
import type { LiveStatus } from '../../wire/sync/index.ts'
import type { OpenedEvents } from './opened-events.ts'

export interface SyncCallOptions {
  /** Sent as a bearer token. */
  readonly token?: string
  /** Ends it: a sync that is under way after the message that is, one that is live for good. */
  readonly signal?: AbortSignal
}

export interface OnceOptions extends SyncCallOptions {
  readonly live?: false
  readonly onProgress?: (progress: SyncReport) => void
}

export interface LiveCallOptions extends SyncCallOptions {
  readonly live: true
  readonly onStatus?: (status: LiveStatus) => void
}

export interface StorePorts {
  readonly clock: Clock
  readonly tasks: Pick<Tasks, 'yield'>
}

export class SyncedStore<Out = unknown, In = Out> extends TypedStore<Out, In> {
  readonly #opened: OpenedEvents
  readonly #ports: StorePorts
  readonly #ending = new AbortController()
  readonly #live = new Set<Promise<void>>()
  #views: Promise<Views> | undefined
  #closed: Promise<void> | undefined

  constructor(opened: OpenedEvents, ports: StorePorts, check: ValueCheck | undefined) {
    super(opened.store, check)
    this.#opened = opened
    this.#ports = ports
  }

  /**
   * Exchanges with another store what each lacks: once, or from now on (`live`), through breaks of the network, until the
   * signal is given or the store is closed. `url` is that of a database: http://127.0.0.1:7480/db/orders.
   * Errors: connection_failure (not when live), refusals of the other store. What was exchanged before them is kept.
   */
  sync(url: string, options: LiveCallOptions): Promise<void>
  sync(url: string, options?: OnceOptions): Promise<SyncReport>
  sync(url: string, options: OnceOptions | LiveCallOptions = {}): Promise<unknown> {
    const { signal } = options
    const both = signal === undefined ? this.#ending.signal : AbortSignal.any([signal, this.#ending.signal])
    if (!options.live) return this.#opened.meet(url, { ...options, signal: both })
    const live = this.#opened.stayInTouch(url, { ...options, signal: both })
    const kept = live.catch(() => {}).finally(() => this.#live.delete(kept))
    this.#live.add(kept)
    return live
  }

  /** The stores that this one has met, and what each lacks. */
  peers(): PeerStatus[] {
    return this.events.peers()
  }

  /** The store's views. Those of code are added again after each opening, and go on where they were. */
  views(): Promise<Views> {
    this.#views ??= this.#openViews()
    return this.#views
  }

  async #openViews(): Promise<Views> {
    const { clock, tasks } = this.#ports
    return openViews({ map: await this.#opened.openViewsMap(), stores: [this.events], clock, tasks })
  }

  /** Adds a view, or gives one its code again, and answers what reads it. */
  async view<S, A>(view: View<S, A>): Promise<ViewHandle<A>> {
    const views = await this.views()
    await views.add(view)
    return new ViewHandle(views, view.name)
  }

  /** Changes its positions: a store that was copied or restored calls this before it meets others again. */
  renewIncarnation(): Promise<void> {
    return this.events.renewIncarnation()
  }

  /** Ends what is live and closes; calling it again waits for the same. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#ending.abort(new DbError('store_closed', 'the store is closed'))
    await Promise.all(this.#live)
    const views = await this.#views?.catch(() => undefined)
    await views?.close()
    await this.#opened.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** One view, with the type of what it answers. */
export class ViewHandle<A> {
  readonly #views: Views
  readonly name: string

  constructor(views: Views, name: string) {
    this.#views = views
    this.name = name
  }

  /** Whether it follows the store, and where and why its code threw if it did: it stopped there. */
  status(): ViewStatus {
    return this.#views.status(this.name)
  }

  /** With everything that the store had when it was asked; of a view that has stopped, what it answered before. */
  get(key?: string): Promise<A | undefined> {
    return this.#views.get(this.name, key) as Promise<A | undefined>
  }

  async entries(
    options: { from?: string; behind?: string; limit?: number } = {},
  ): Promise<{ key: string; value: A }[]> {
    const entries = await this.#views.entries(this.name, { limit: 1_000, ...options })
    return entries as { key: string; value: A }[]
  }

  /** As of an event time (milliseconds, inclusive), a position, or both. */
  asOf(when: { timeMs?: number; position?: number }, key?: string): Promise<A | undefined> {
    return this.#views.asOf(this.name, when, key) as Promise<A | undefined>
  }

  /** Calls back when an answer changed: the key, '' in a view of one state; undefined when everything may have. */
  subscribe(listener: (key: string | undefined) => void): () => void {
    return this.#views.subscribe((changes) => {
      for (const { view, kind, key } of changes) {
        if (view === this.name) listener(kind === 'rebuilt' ? undefined : key)
      }
    })
  }
}

export interface SchemaOption {
  /** Values are checked as they are appended, and have its type: a Standard Schema, or a JSON Schema `as const`. */
  readonly schema?: Schema
}

export async function checkOf({ schema }: SchemaOption): Promise<ValueCheck | undefined> {
  return schema === undefined ? undefined : compileSchema(schema)
}
