/**
 * The views over one or several event stores: which there are, and their answers.
 *
 *   add ──► building ──► live ──► stopped (its code threw) ──► resume, or add again with the code put right
 *             └─ a version before it, if there was one, answers meanwhile as it was when it was replaced
 *
 * Views follow their stores at their own pace: a store never waits for a view, and no view for another one.
 *
 * Not here: folding (builder.ts), HTTP (wire/http).
 */
import { DbError } from '../../../base/index.ts'
import type { Clock, Tasks } from '../../../io/ports.ts'
import type { EventStore } from '../event-store.ts'
import type { OrderedMap } from '../ordered-map.ts'
import { BuildSpace } from './build-space.ts'
import type { BuildLimits } from './builder.ts'
import { viewFromDefinition } from './definition.ts'
import { ErasureWatch } from './erasure-watch.ts'
import { lastKeyOf } from './item.ts'
import { type Answering, RunningView, type ViewFailureReport } from './running-view.ts'
import { lastMark, type Mark, markBehind } from './space-keys.ts'
import { checked, type View } from './view.ts'
import { type ViewNote, ViewShelf } from './view-shelf.ts'

export interface ViewsOptions {
  /** A space of the views' own, durable where the stores are. */
  readonly map: OrderedMap
  readonly stores: readonly EventStore[]
  readonly clock: Pick<Clock, 'monotonicMicros'>
  readonly tasks: Pick<Tasks, 'yield'>
  readonly limits?: Partial<ViewLimits>
}

export interface ViewLimits extends BuildLimits {
  /** Other work has its turn after so long. Default 4,000. */
  readonly sliceMicros: number
}

const defaults: ViewLimits = { snapshotEvery: 128, heldKeys: 10_000, batchEvents: 1_024, sliceMicros: 4_000 }

export interface ViewStatus {
  readonly name: string
  readonly version: number
  readonly keyed: boolean
  readonly commutative: boolean
  /** `building`: no answer of this version yet. `stopped`: see `failure`; answers are those of before it. */
  readonly state: 'building' | 'live' | 'stopped'
  /** Of the answers that readers get now; undefined when there are none. */
  readonly answering: Answering | undefined
  /** By store: events up to this position are folded in (or, while building, will be first), and how many are to come. */
  readonly positions: Readonly<Record<string, number>>
  readonly behind: Readonly<Record<string, number>>
  readonly failure: ViewFailureReport | undefined
}

/** When. Both: what had happened by then, as far as it had been received. */
export interface AsOf {
  /** After the first so many received events of each store; by name when the view has several. */
  readonly position?: number | Readonly<Record<string, number>>
  /** Events that happened until then, inclusive: milliseconds since the Unix epoch. */
  readonly timeMs?: number
}

export interface ViewChange {
  readonly view: string
  /** '' in a view of one state. */
  readonly key: string
  /** Numbers ascend within a view, with gaps. */
  readonly sequence: number
  /**
   * `advance`: something new happened. `correction`: what was answered before was not all: an event came late, or was
   * erased. `rebuilt`: another version answers, or the view begins; read everything again (no key, old and new).
   */
  readonly kind: 'advance' | 'correction' | 'rebuilt'
  /** Undefined when there was none, or when it contained what was erased. Of a page: before the newest correction. */
  readonly old: unknown
  /** Undefined when there is none any more. */
  readonly new: unknown
  /** By store, the positions that brought it. */
  readonly positions: Readonly<Record<string, number>>
}

export interface CorrectionsPage {
  /** By sequence. Of a key that changed several times the newest change only. */
  readonly changes: readonly ViewChange[]
  /** Continue after this. */
  readonly next: number
  /** The reader's number was of another build: what it has is void, and the pages from here on are everything. */
  readonly reset: boolean
}

export interface EntriesOptions {
  /** First key, inclusive. */
  readonly from?: string
  /** Continue behind this key. */
  readonly behind?: string
  readonly limit: number
  readonly asOf?: AsOf
}

export interface ReadOptions {
  /** Wait until what the stores have now is folded in. Default true. */
  readonly wait?: boolean
}

/** Errors of all that take a name: undefined_object. */
export interface Views {
  /**
   * Adds a view, or gives one its code again after a restart, or a new version or repaired code to one that is there.
   * Resolves when it is known, before it is built. Errors: invalid_parameter_value; duplicate_object (another definition
   * of the same version); object_not_in_prerequisite_state (a store that is not here).
   */
  add(view: View): Promise<void>
  /** Forgets the view and, in the background, what was kept of it. */
  remove(name: string): Promise<void>
  list(): ViewStatus[]
  status(name: string): ViewStatus
  /** The texts of those views that were made of one (`viewFromDefinition`), by name. */
  definitions(): ReadonlyMap<string, unknown>
  /** Goes on after a failure, at the event where it stopped. */
  resume(name: string): void
  /** Resolves when what the stores have now is folded in, or the view has stopped. */
  settled(name: string): Promise<void>

  /**
   * What a key's state answers; undefined when no event concerns it. Without a key, of a view of one state.
   * Errors: invalid_parameter_value (a key where there are none, or none), cannot_connect_now (`wait: false`, and no build
   * is ready), object_not_in_prerequisite_state (it stopped before it answered, or what it
   * had answered was made of something that is erased now).
   */
  get(name: string, key?: string, options?: ReadOptions): Promise<unknown>
  /** Keys with answers, in the order of their UTF-8. A view of one state has the key ''. Errors as of `get`. */
  entries(name: string, options: EntriesOptions & ReadOptions): Promise<{ key: string; value: unknown }[]>
  /**
   * What `get` would have answered. What is erased today counts as never received. Costs a fold from the nearest
   * snapshot that nothing later has come before. Errors: those of `get`; position_unknown; raise_exception (the view's code
   * threw); cannot_connect_now while the version is built.
   */
  asOf(name: string, when: AsOf, key?: string): Promise<unknown>
  /** Which answers changed after a number (0: from the beginning), and what they are now. Replayed, they are `entries`. */
  corrections(name: string, after: number, limit: number): Promise<CorrectionsPage>
  /** The same as it goes on, for ever. Where a page would say `reset` there is a change of kind `rebuilt`. */
  follow(name: string, options?: { after?: number; signal?: AbortSignal }): AsyncGenerator<ViewChange>
  /** Calls back with every change of every view, once it can be read. Returns what unsubscribes. */
  subscribe(listener: (changes: readonly ViewChange[]) => void): () => void
  /** Stops following. What was folded in is kept. */
  close(): Promise<void>
}

/**
 * Views that were added by definition are there again; those of code come back with `add`. Nothing that was erased is kept:
 * what a view without its code, or one that has stopped, made of it is given up, and made anew when it goes on.
 */
export async function openViews(options: ViewsOptions): Promise<Views> {
  const views = new StoredViews(options)
  await views.open()
  return views
}

class StoredViews implements Views {
  readonly #options: ViewsOptions
  readonly #limits: ViewLimits
  readonly #shelf: ViewShelf
  readonly #views = new Map<string, RunningView>()
  /** Views whose code nobody has given yet. */
  readonly #waiting = new Map<string, ErasureWatch[]>()
  #watching = false
  readonly #listeners = new Set<(changes: readonly ViewChange[]) => void>()
  readonly #unsubscribe: (() => void)[] = []
  #closed = false
  /** Adding and removing, one after the other. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: ViewsOptions) {
    this.#options = options
    this.#limits = { ...defaults, ...options.limits }
    this.#shelf = new ViewShelf(options.map, options.tasks)
  }

  async open(): Promise<void> {
    for (const record of await this.#shelf.open()) {
      if (record.definition !== undefined) await this.add(viewFromDefinition(record.definition))
      else this.#waiting.set(record.name, this.#watchesOf(record))
    }
    for (const store of this.#options.stores) {
      this.#unsubscribe.push(store.subscribe(() => this.#wake()))
    }
    this.#wake()
  }

  #wake(): void {
    for (const view of this.#views.values()) view.wake()
    if (this.#waiting.size === 0 || this.#watching) return
    this.#watching = true
    // What fails here is tried again when something else comes.
    void this.#after(() => this.#forgetErased()).catch(() => undefined)
  }

  #watchesOf({ answering, building }: ViewNote): ErasureWatch[] {
    const builds = [answering, building].flatMap((note) => (note === undefined ? [] : [note.build]))
    return builds.map((build) => new ErasureWatch(new BuildSpace(this.#options.map, build), this.#options.stores))
  }

  /** A view whose code is not here forgets all that it was made of when some of that is erased. */
  async #forgetErased(): Promise<void> {
    this.#watching = false
    for (const [name, watches] of this.#waiting) {
      for (const watch of watches) {
        if (this.#closed || !(await watch.concerned())) continue
        this.#waiting.delete(name)
        await this.#shelf.remove(name)
        break
      }
    }
  }

  #after<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run)
    this.#turn = result.catch(() => {})
    return result
  }

  add(view: View): Promise<void> {
    return this.#after(async () => {
      if (this.#closed) throw closed()
      const stores = this.#storesOf(checked(view))
      const running = this.#views.get(view.name)
      await running?.stop()
      const listener = (changes: readonly ViewChange[]) => {
        for (const l of this.#listeners) l(changes)
      }
      const { clock, tasks } = this.#options
      const next = new RunningView(view, stores, this.#shelf, { clock, tasks, limits: this.#limits, listener })
      try {
        await next.open()
      } catch (error) {
        running?.wake()
        throw error
      }
      running?.succeed(next)
      this.#views.set(view.name, next)
      this.#waiting.delete(view.name)
      next.wake()
    })
  }

  #storesOf(view: View): EventStore[] {
    const { stores } = this.#options
    const out: EventStore[] = []
    for (const stream of view.streams) {
      const store =
        stream.store === undefined && stores.length === 1 ? stores[0] : stores.find((s) => s.name === stream.store)
      if (store === undefined) {
        throw new DbError(
          'object_not_in_prerequisite_state',
          `view "${view.name}" reads ${stream.store === undefined ? 'a store without saying which' : `store "${stream.store}", which is not here`}`,
          { hint: `Stores here: ${stores.map((s) => s.name).join(', ')}.` },
        )
      }
      if (!out.includes(store)) out.push(store)
    }
    return out
  }

  remove(name: string): Promise<void> {
    return this.#after(async () => {
      const running = this.#views.get(name)
      await running?.stop()
      this.#views.delete(name)
      this.#waiting.delete(name)
      if (!(await this.#shelf.remove(name)) && running === undefined) throw this.#unknown(name)
      running?.end(this.#unknown(name))
    })
  }

  #unknown(name: string): DbError {
    return new DbError('undefined_object', `there is no view "${name}"`, {
      hint: this.#views.size === 0 ? 'No view was added.' : `Views here: ${[...this.#views.keys()].join(', ')}.`,
    })
  }

  #view(name: string): RunningView {
    if (this.#closed) throw closed()
    const view = this.#views.get(name)
    if (view === undefined) throw this.#unknown(name)
    return view
  }

  definitions(): ReadonlyMap<string, unknown> {
    const out = new Map<string, unknown>()
    for (const { view } of this.#views.values()) if (view.definition !== undefined) out.set(view.name, view.definition)
    return out
  }

  list(): ViewStatus[] {
    return [...this.#views.values()].map((v) => v.status())
  }
  status(name: string): ViewStatus {
    return this.#view(name).status()
  }
  resume(name: string): void {
    this.#view(name).resume()
  }
  async settled(name: string): Promise<void> {
    await this.#view(name).settled()
  }

  async get(name: string, key?: string, { wait = true }: ReadOptions = {}): Promise<unknown> {
    const view = this.#view(name)
    view.checkKey(key)
    const record = await (await view.answering(wait)).space.records([key ?? ''])
    return parsed(record[0]?.answer)
  }

  async entries(name: string, { from, behind, limit, asOf, wait = true }: EntriesOptions & ReadOptions) {
    const view = this.#view(name)
    const { space } = await view.answering(wait)
    if (asOf === undefined) {
      const found = await space.entries({ from, behind, limit })
      return found.map(({ key, record }) => ({ key, value: parsed(record.answer) }))
    }
    const { builder, positions, upTo } = await this.#point(view, asOf)
    const out: { key: string; value: unknown }[] = []
    for (let last = behind; out.length < limit; ) {
      const found = await builder.space.entries({ from, behind: last, limit })
      for (const { key } of found) {
        const answer = await view.guarded(() => builder.asOf(key, positions, upTo))
        if (answer !== undefined && out.length < limit) out.push({ key, value: parsed(answer) })
      }
      if (found.length < limit) break
      last = found[found.length - 1].key
    }
    return out
  }

  async asOf(name: string, when: AsOf, key?: string): Promise<unknown> {
    const view = this.#view(name)
    view.checkKey(key)
    const { builder, positions, upTo } = await this.#point(view, when)
    return parsed(await view.guarded(() => builder.asOf(key ?? '', positions, upTo)))
  }

  async #point(view: RunningView, { position, timeMs }: AsOf) {
    const builder = await view.current()
    if (timeMs !== undefined && !(timeMs >= 0 && timeMs < 2 ** 48)) {
      throw new DbError('invalid_parameter_value', `${timeMs} is no time that an event can have`, {
        hint: 'Give milliseconds since 1970, from 0 to 281474976710655.',
      })
    }
    const upTo: Mark = timeMs === undefined ? lastMark : markBehind(lastKeyOf(Math.floor(timeMs)))
    const positions = builder.sources.map(({ store }, i) => {
      const wanted = typeof position === 'number' && builder.sources.length > 1 ? undefined : position
      if (wanted === undefined && position !== undefined) {
        throw new DbError('invalid_parameter_value', `view "${view.name}" reads several stores`, {
          hint: 'Give a position for each: { "store": position, … }.',
        })
      }
      const own = typeof wanted === 'object' ? wanted[store.name] : wanted
      if (own !== undefined && (!Number.isSafeInteger(own) || own < 0 || own > builder.positions[i])) {
        throw new DbError(
          'position_unknown',
          `position ${own} of store "${store.name}" is not there for view "${view.name}"`,
          {
            hint: `Positions go from 0 to ${builder.positions[i]}.`,
          },
        )
      }
      return own ?? builder.positions[i]
    })
    return { builder, positions, upTo }
  }

  async corrections(name: string, after: number, limit: number): Promise<CorrectionsPage> {
    return (await this.#view(name).answering(true)).changed(after, limit)
  }

  async *follow(name: string, { after = 0, signal }: { after?: number; signal?: AbortSignal } = {}) {
    let last = after
    for (;;) {
      if (signal?.aborted) return
      const view = this.#view(name)
      const more = view.next(signal)
      const page = await (await view.answering(true)).changed(last, 256)
      if (page.reset) {
        const { positions } = view.status()
        yield {
          view: name,
          key: '',
          sequence: last,
          kind: 'rebuilt' as const,
          old: undefined,
          new: undefined,
          positions,
        }
      }
      yield* page.changes
      last = page.next
      if (page.changes.length === 0) await more
    }
  }

  subscribe(listener: (changes: readonly ViewChange[]) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe()
    await this.#after(async () => {
      for (const view of this.#views.values()) {
        await view.stop()
        view.end(closed())
      }
      this.#views.clear()
      await this.#shelf.close()
    })
  }
}

function closed(): DbError {
  return new DbError('store_closed', 'the views are closed', { hint: 'Open them again.' })
}

function parsed(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text)
}
