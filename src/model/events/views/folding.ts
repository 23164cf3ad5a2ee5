/**
 * The fold of one key's events into its state, and the snapshots that it leaves behind.
 *
 * A snapshot is taken when `every` events were folded since the last one and these events were, together, at least as
 * long as the state is: snapshots cost no more than the events do, and going back to one costs no more than what a state
 * of that length took to come about.
 *
 * Not here: which events (history.ts), when to fold again (batch.ts).
 */
import type { Clock, Tasks } from '../../../io/ports.ts'
import { type Item, ViewFailure } from './item.ts'
import { jsonText } from './json-text.ts'
import { firstMark, type Mark } from './space-keys.ts'
import type { View } from './view.ts'
import type { KeyRecord, Snapshot } from './view-record.ts'

/** Lets other work have its turn when ours took long enough. */
export class Pace {
  readonly #clock: Pick<Clock, 'monotonicMicros'>
  readonly #tasks: Pick<Tasks, 'yield'>
  readonly #sliceMicros: number
  #began = 0

  constructor(clock: Pick<Clock, 'monotonicMicros'>, tasks: Pick<Tasks, 'yield'>, sliceMicros: number) {
    this.#clock = clock
    this.#tasks = tasks
    this.#sliceMicros = sliceMicros
    this.#began = clock.monotonicMicros()
  }

  /** Whether to `rest` before going on. */
  get due(): boolean {
    return this.#clock.monotonicMicros() - this.#began >= this.#sliceMicros
  }

  async rest(): Promise<void> {
    await this.#tasks.yield()
    this.#began = this.#clock.monotonicMicros()
  }
}

export class Folding {
  readonly #view: View
  readonly #every: number
  state: unknown
  count: number
  last: Mark
  reach: number[]
  /** The least position since the newest snapshot, for each store; 0 where that is not known. */
  least: number[]
  /** Events since the newest snapshot, and their bytes. */
  since = 0
  sinceBytes = 0
  /** Taken on the way. */
  readonly snapshots: Snapshot[] = []
  #length: number
  #item: Item | undefined

  /** @param from begin here; at the initial state when absent. @param stores how many the view reads. */
  constructor(view: View, every: number, stores: number, from: Snapshot | undefined) {
    this.#view = view
    this.#every = every
    this.state = from === undefined ? view.initial() : JSON.parse(from.state)
    this.count = from?.count ?? 0
    this.last = from?.last ?? firstMark
    this.reach = from === undefined ? new Array<number>(stores).fill(0) : [...from.reach]
    this.least = new Array<number>(stores).fill(Number.MAX_SAFE_INTEGER)
    this.#length = from?.state.length ?? 0
  }

  /** Goes on where a key is, with its state as an object when that is at hand. */
  static of(view: View, every: number, stores: number, record: KeyRecord | undefined, state: unknown): Folding {
    const folding = new Folding(view, every, stores, state === undefined ? record : undefined)
    if (record === undefined) return folding
    if (state !== undefined) folding.state = state
    folding.count = record.count
    folding.last = record.last
    folding.reach = [...record.reach]
    folding.least = [...record.least]
    folding.since = record.since
    folding.sinceBytes = record.sinceBytes
    folding.#length = record.state.length
    return folding
  }

  /** Throws ViewFailure. @param source the number of the item's store. */
  add(item: Item, source: number): void {
    this.#item = item
    try {
      this.state = this.#view.streams[item.stream].reduce(this.state, item.event)
    } catch (error) {
      throw new ViewFailure(item, 'reduce', error)
    }
    this.count++
    this.since++
    this.sinceBytes += item.event.bytes.length + item.mark.length
    const { position } = item.event
    if (position > this.reach[source]) this.reach[source] = position
    if (position < this.least[source]) this.least[source] = position
    if (item.mark <= this.last) return
    this.last = item.mark
    if (this.since >= this.#every && this.sinceBytes >= this.#length) this.#snap()
  }

  retract(item: Item): void {
    this.#item = item
    try {
      this.state = this.#view.streams[item.stream].retract!(this.state, item.event)
    } catch (error) {
      throw new ViewFailure(item, 'retract', error)
    }
    this.count--
  }

  /** JSON of the state. Throws ViewFailure. */
  text(): string {
    return this.#said('reduce', () => this.state)
  }

  /** JSON of what readers get, or undefined when the key is no more. Throws ViewFailure. */
  answer(stateText: string): string | undefined {
    const { keyed, result } = this.#view
    if (keyed && this.count === 0) return undefined
    // What `result` does to its argument must not stay.
    return result === undefined ? stateText : this.#said('result', () => result(JSON.parse(stateText)))
  }

  #said(name: string, make: () => unknown): string {
    try {
      return jsonText(make())
    } catch (error) {
      if (this.#item === undefined) throw error
      throw new ViewFailure(this.#item, name, error)
    }
  }

  #snap(): void {
    const state = this.text()
    this.snapshots.push({ state, count: this.count, last: this.last, reach: [...this.reach], least: this.least })
    this.least = this.least.map(() => Number.MAX_SAFE_INTEGER)
    this.since = 0
    this.sinceBytes = 0
    this.#length = state.length
  }
}
