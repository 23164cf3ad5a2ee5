/**
 * One view as it runs: which build of it readers get, which one follows the stores, and why it stopped if it did.
 *
 * Not here: folding (builder.ts), names (views.ts).
 */
import { DbError } from '../../../base/index.ts'
import type { Clock, Tasks } from '../../../io/ports.ts'
import type { EventStore } from '../event-store.ts'
import type { AnswerChange } from './batch.ts'
import { BuildSpace } from './build-space.ts'
import { Builder } from './builder.ts'
import { ErasureWatch } from './erasure-watch.ts'
import { Pace } from './folding.ts'
import { ViewFailure } from './item.ts'
import type { View } from './view.ts'
import type { BuildNote, ViewNote, ViewShelf } from './view-shelf.ts'
import type { CorrectionsPage, ViewChange, ViewLimits, ViewStatus } from './views.ts'

/** A build that readers get. */
export interface Answering {
  readonly version: number
  readonly positions: Readonly<Record<string, number>>
}

export interface ViewFailureReport {
  readonly message: string
  /** Which of the view's functions threw, at which event; undefined when it was not the view's code. */
  readonly function: string | undefined
  readonly event: string | undefined
  readonly store: string | undefined
  /** The event's position in that store. */
  readonly position: number | undefined
  /** It is tried again with the next event that comes; otherwise it waits for `resume` or `add`. */
  readonly passing: boolean
}

export interface RunningOptions {
  readonly clock: Pick<Clock, 'monotonicMicros'>
  readonly tasks: Pick<Tasks, 'yield'>
  readonly limits: ViewLimits
  readonly listener: (changes: readonly ViewChange[]) => void
}

interface Read {
  readonly space: BuildSpace
  changed(after: number, limit: number): Promise<CorrectionsPage>
}

export class RunningView {
  readonly view: View
  readonly #stores: readonly EventStore[]
  readonly #shelf: ViewShelf
  readonly #options: RunningOptions
  #note: ViewNote
  #builder!: Builder
  /** What the stores had when the new build had read what was there before: it relieves another one when it has that. */
  #threshold: readonly number[] | undefined
  /** Of a build that answers while another one is made. */
  #former: Answering | undefined
  #failure: ViewFailureReport | undefined
  /** Of the build at which it stopped, and of the former one. */
  #stoppedWatch: ErasureWatch | undefined
  #formerWatch: ErasureWatch | undefined
  #pump: Promise<void> | undefined
  #again = false
  #paused = true
  #successor: RunningView | undefined
  #end: DbError | undefined
  readonly #waiting = new Set<() => void>()

  constructor(view: View, stores: readonly EventStore[], shelf: ViewShelf, options: RunningOptions) {
    this.view = view
    this.#stores = stores
    this.#shelf = shelf
    this.#options = options
    this.#note = { name: view.name, answering: undefined, building: undefined, definition: view.definition }
  }

  get name(): string {
    return this.view.name
  }

  /** Finds the build that goes on with this version, or begins one. Errors: duplicate_object. */
  async open(): Promise<void> {
    const { name, version, definition } = this.view
    const known = await this.#shelf.note(name)
    const same = [known?.answering, known?.building].find((b) => b?.version === version)
    if (same && known?.definition !== undefined && JSON.stringify(known.definition) !== JSON.stringify(definition)) {
      throw new DbError('duplicate_object', `view "${name}" has another definition in version ${version}`, {
        hint: 'Raise the version: the view is made anew then.',
      })
    }
    this.#note = { name, answering: known?.answering, building: known?.building, definition }
    if (same !== undefined && (await this.#open(same))) {
      if (same === known?.answering) {
        await this.#save({ building: undefined }, known.building)
        return
      }
      if (known?.definition === undefined && definition !== undefined) await this.#save({}, undefined)
    } else await this.#begin()
    await this.#readFormer()
  }

  async #open(note: BuildNote): Promise<boolean> {
    const space = new BuildSpace(this.#shelf.map, note.build)
    const progress = await space.progress()
    // A build of which nothing is kept has hardly begun.
    if (progress === undefined && note === this.#note.answering) return false
    if (progress !== undefined && progress.stores.length !== this.#stores.length) return false
    const { clock, tasks, limits } = this.#options
    const pace = new Pace(clock, tasks, limits.sliceMicros)
    this.#builder = new Builder(this.view, space, this.#stores, progress, limits, pace)
    return !this.#builder.stale
  }

  /** A new build, which takes the place of one that is being made. */
  async #begin(): Promise<void> {
    const building = { build: this.#shelf.newBuild(), version: this.view.version }
    await this.#save({ building }, this.#note.building)
    this.#threshold = undefined
    await this.#open(building)
  }

  async #save(changes: Partial<ViewNote>, discard: BuildNote | undefined): Promise<void> {
    const note = { ...this.#note, ...changes }
    await this.#shelf.save(note, discard === undefined ? [] : [discard.build])
    this.#note = note
  }

  async #readFormer(): Promise<void> {
    const note = this.#note.answering
    if (note === undefined) return
    const progress = await new BuildSpace(this.#shelf.map, note.build).progress()
    const positions = (progress?.stores ?? []).map((s, i) => [this.#stores[i]?.name ?? s.store, s.position])
    this.#former = { version: note.version, positions: Object.fromEntries(positions) }
  }

  /** Gives up builds into which something was folded that is erased now, and that cannot fold it out. */
  async #forgetErased(): Promise<void> {
    const { answering, building } = this.#note
    if (answering !== undefined && building !== undefined) {
      this.#formerWatch = this.#watch(this.#formerWatch, answering)
      if (await this.#formerWatch.concerned()) {
        await this.#save({ answering: undefined }, answering)
        this.#former = undefined
      }
    }
    if (this.#failure === undefined || this.#failure.passing) return
    this.#stoppedWatch = this.#watch(this.#stoppedWatch, building ?? answering!)
    if (!(await this.#stoppedWatch.concerned())) return
    if (building === undefined) {
      const anew = { build: this.#shelf.newBuild(), version: this.view.version }
      await this.#save({ answering: undefined, building: anew }, answering)
      this.#threshold = undefined
      await this.#open(anew)
    } else await this.#begin()
  }

  #watch(watch: ErasureWatch | undefined, { build }: BuildNote): ErasureWatch {
    if (watch?.space.build === build) return watch
    return new ErasureWatch(new BuildSpace(this.#shelf.map, build), this.#stores)
  }

  get #ready(): boolean {
    return this.#note.building === undefined
  }

  /** Goes on if there is something new; a failure that passes is forgotten. */
  wake(): void {
    if (this.#end !== undefined || this.#successor !== undefined) return
    this.#paused = false
    if (this.#failure?.passing) this.#failure = undefined
    this.#again = true
    this.#pump ??= this.#run().finally(() => {
      this.#pump = undefined
      this.#notify()
      if (this.#again && !this.#paused) this.wake()
    })
  }

  resume(): void {
    this.#failure = undefined
    this.wake()
  }

  /** Resolves when nothing of it runs; `wake` undoes it. */
  async stop(): Promise<void> {
    this.#paused = true
    await this.#pump
  }

  /** Those that wait for this one wait for its successor then. */
  succeed(next: RunningView): void {
    this.#successor = next
    this.#paused = true
    this.#notify()
  }

  end(reason: DbError): void {
    this.#end = reason
    this.#notify()
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#paused) {
      this.#again = false
      try {
        while (!this.#paused && this.#failure === undefined && (await this.#step())) this.#notify()
      } catch (error) {
        this.#failure = this.#report(error)
      }
      try {
        await this.#forgetErased()
      } catch (error) {
        this.#failure ??= this.#report(error)
      }
    }
  }

  /** False when there is nothing to do. */
  async #step(): Promise<boolean> {
    if (this.#builder.stale) {
      await this.#begin()
      await this.#readFormer()
    }
    if (!this.#ready) await this.#forgetErased()
    const answers = await this.#builder.step()
    if (this.#ready) {
      if (answers !== undefined) this.#publish(answers)
      return answers !== undefined
    }
    if (!this.#builder.scanned) return true
    this.#threshold ??= this.#former === undefined ? [] : this.#stores.map((s) => s.position)
    if (this.#threshold.some((p, i) => this.#builder.positions[i] < p)) return answers !== undefined
    await this.#save({ answering: this.#note.building, building: undefined }, this.#note.answering)
    this.#former = undefined
    const positions = this.#positions()
    const { sequence } = this.#builder
    this.#options.listener([
      { view: this.name, key: '', sequence, kind: 'rebuilt', old: undefined, new: undefined, positions },
    ])
    return true
  }

  #publish(answers: readonly AnswerChange[]): void {
    if (answers.length === 0) return
    const positions = this.#positions()
    const changes = answers.map((a): ViewChange => {
      const kind = a.correction ? 'correction' : 'advance'
      return {
        view: this.name,
        key: a.key,
        sequence: a.sequence,
        kind,
        old: value(a.old),
        new: value(a.new),
        positions,
      }
    })
    this.#options.listener(changes)
  }

  #report(error: unknown): ViewFailureReport {
    if (error instanceof ViewFailure) {
      const { item } = error
      const store = this.#builder.sources.find((s) => s.streams.includes(item.stream))?.store.name
      const { key: event, position } = item.event
      return { message: error.message, function: error.in, event, store, position, passing: false }
    }
    const nowhere = { function: undefined, event: undefined, store: undefined, position: undefined }
    const message = error instanceof Error ? error.message : String(error)
    return { message, ...nowhere, passing: error instanceof DbError && error.retryable }
  }

  #named(positions: readonly number[]): Record<string, number> {
    return Object.fromEntries(this.#stores.map((s, i) => [s.name, positions[i]]))
  }
  #positions(): Record<string, number> {
    return this.#named(this.#builder.positions)
  }

  status(): ViewStatus {
    const { name, version, keyed, commutative } = this.view
    const positions = this.#positions()
    const state = this.#failure !== undefined ? 'stopped' : this.#ready ? 'live' : 'building'
    const behind = this.#named(this.#stores.map((s, i) => s.position - this.#builder.positions[i]))
    const answering = this.#ready ? { version, positions } : this.#former
    return { name, version, keyed, commutative, state, answering, positions, behind, failure: this.#failure }
  }

  /** Waits until something is so, the view has stopped, or its successor has it so. Returns who has it so. */
  async #until(so: (view: RunningView) => boolean): Promise<RunningView> {
    let view: RunningView = this
    for (;;) {
      while (view.#successor !== undefined) view = view.#successor
      if (view.#end !== undefined) throw view.#end
      if (view.#failure !== undefined || so(view)) return view
      const waited = view
      await new Promise<void>((resolve) => waited.#waiting.add(resolve))
    }
  }

  #notify(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }

  /** Resolves when all that the stores have now is folded in and answered, or the view has stopped. */
  settled(): Promise<RunningView> {
    const wanted = new Map(this.#stores.map((s) => [s.name, s.position]))
    return this.#until(
      (v) => v.#ready && v.#builder.positions.every((p, i) => p >= (wanted.get(v.#stores[i].name) ?? 0)),
    )
  }

  /** Resolves when something may have changed. */
  async next(signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted || this.#end !== undefined || this.#successor !== undefined) return
    await new Promise<void>((resolve) => {
      const done = () => {
        this.#waiting.delete(done)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      this.#waiting.add(done)
      signal?.addEventListener('abort', done)
    })
  }

  /** The build that readers get. Errors: cannot_connect_now, object_not_in_prerequisite_state. */
  async answering(wait: boolean): Promise<Read> {
    const view = wait && (this.#ready || this.#note.answering === undefined) ? await this.settled() : this
    const note = view.#note.answering
    if (note === undefined) throw view.#unanswered()
    const space = view.#ready ? view.#builder.space : new BuildSpace(view.#shelf.map, note.build)
    return { space, changed: (after, limit) => view.#changed(space, after, limit) }
  }

  #unanswered(): DbError {
    if (this.#failure !== undefined) {
      return new DbError(
        'object_not_in_prerequisite_state',
        `view "${this.name}" stopped and has no answer: ${this.#failure.message}`,
        { hint: 'Add it again with its code put right, then read.' },
      )
    }
    return new DbError('cannot_connect_now', `view "${this.name}" is being built`, { hint: 'Try again in a moment.' })
  }

  /** The build of this version, up to date. Errors: as of `answering`. */
  async current(): Promise<Builder> {
    if (!this.#ready && this.#note.answering !== undefined) {
      throw new DbError('cannot_connect_now', `version ${this.view.version} of view "${this.name}" is being built`, {
        hint: 'The past can be asked for when it is done: try again in a moment.',
      })
    }
    const view = await this.settled()
    if (!view.#ready) throw view.#unanswered()
    return view.#builder
  }

  async #changed(space: BuildSpace, after: number, limit: number): Promise<CorrectionsPage> {
    const reset = after > 0 && Math.floor(after / 2 ** 32) !== space.build
    const from = reset || after === 0 ? space.build * 2 ** 32 : after
    const found = await space.changed(from, limit)
    const changes = found.map(({ sequence, key, record }): ViewChange => {
      const kind = !reset && after > 0 && record.corrected > after ? 'correction' : 'advance'
      const { answer, before, changedAt } = record
      const positions = this.#named(changedAt)
      const old = kind === 'correction' ? value(before) : undefined
      return { view: this.name, key, sequence, kind, old, new: value(answer), positions }
    })
    return { changes, next: found.at(-1)?.sequence ?? from, reset }
  }

  checkKey(key: string | undefined): void {
    if ((key !== undefined) === this.view.keyed) return
    throw new DbError(
      'invalid_parameter_value',
      this.view.keyed
        ? `view "${this.name}" has a state a key, and no key was given`
        : `view "${this.name}" has no keys`,
      { hint: this.view.keyed ? 'Give a key, or read its entries.' : 'Leave the key out.' },
    )
  }

  /** Runs the view's code for a reader: that it throws is the reader's error then. */
  async guarded<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof ViewFailure)) throw error
      throw new DbError('raise_exception', `view "${this.name}" at event ${error.item.event.key}: ${error.message}`, {
        hint: 'Put the code of the view right and add it again.',
        cause: error,
      })
    }
  }
}

function value(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text)
}
