/**
 * Builds one version of a view and keeps it up to date. A new build first reads what its stores hold in the order in
 * which it happened, so that nothing comes late; then it follows what they receive.
 *
 * Code of the view that throws stops the build: the step is done again with half as many events, down to the one at which
 * it stops. Everything before it is folded in then.
 *
 * Not here: one step (batch.ts), versions and readers (views.ts).
 */
import type { EventStore } from '../event-store.ts'
import { type AnswerChange, Batch, type Held, type Workplace } from './batch.ts'
import type { BuildSpace } from './build-space.ts'
import { Folding, type Pace } from './folding.ts'
import { keyHistory, type Source, wholeHistory } from './history.ts'
import { type Item, itemOf, lastKeyOf, timeOf, ViewFailure } from './item.ts'
import { eventOf, firstMark, keyedMark, lastMark, type Mark, markBehind, progressKey } from './space-keys.ts'
import type { View } from './view.ts'
import { encodeSnapshot, encodeText, type Progress, type Snapshot } from './view-record.ts'

export interface BuildLimits {
  /** A snapshot at most once so many events of a key. */
  readonly snapshotEvery: number
  /** States of so many keys are kept as objects. */
  readonly heldKeys: number
  /** Events of one step; fewer when they are long. */
  readonly batchEvents: number
}

const batchBytes = 4 << 20
/** Events of one step when they come late: all of them cost one fold from the first one's place on. */
const lateEvents = 65_536
const page = 256

export class Builder {
  readonly view: View
  readonly space: BuildSpace
  readonly sources: readonly Source[]
  readonly #place: Workplace
  readonly #limits: BuildLimits
  #progress: Progress
  #held = new Map<string, Held>()
  #limit: number
  /** Grows when snapshots may have lost their validity. */
  #generation = 0
  #turn: Promise<unknown> = Promise.resolve()

  /** @param progress as it was kept; undefined for a new build. */
  constructor(
    view: View,
    space: BuildSpace,
    stores: readonly EventStore[],
    progress: Progress | undefined,
    limits: BuildLimits,
    pace: Pace,
  ) {
    this.view = view
    this.space = space
    this.sources = stores.map((store) => ({
      store,
      streams: view.streams.flatMap((s, i) => ((s.store ?? stores[0].name) === store.name ? [i] : [])),
    }))
    const sourceOf = view.streams.map((_, i) => this.sources.findIndex((s) => s.streams.includes(i)))
    this.#place = { view, space, sources: this.sources, sourceOf, snapshotEvery: limits.snapshotEvery, pace }
    this.#limits = limits
    this.#limit = Math.min(64, limits.batchEvents)
    this.#progress = progress ?? {
      stores: stores.map(({ identity, position }) => ({ ...identity, position })),
      scan: firstMark,
      tip: firstMark,
      // Numbers of changes differ between builds: a reader that followed another one is told so.
      sequence: space.build * 2 ** 32,
    }
  }

  /** Up to which position of each store events are folded in (when `scanned`). */
  get positions(): readonly number[] {
    return this.#progress.stores.map((s) => s.position)
  }
  /** What was there at the beginning is folded in. */
  get scanned(): boolean {
    return this.#progress.scan === undefined
  }
  get sequence(): number {
    return this.#progress.sequence
  }

  /** Positions are of one life of a store: after another one began, a build is worth nothing. */
  get stale(): boolean {
    return this.#progress.stores.some((own, i) => {
      const { identity, position } = this.sources[i].store
      return own.store !== identity.store || own.incarnation !== identity.incarnation || own.position > position
    })
  }

  /** All changes so far are in. */
  get current(): boolean {
    return this.scanned && this.#progress.stores.every((own, i) => own.position >= this.sources[i].store.position)
  }

  /**
   * Folds in some more, durable when it resolves. Returns the answers that changed, or undefined when there was nothing
   * to do. Throws ViewFailure: the state is then that before the event; other errors are the stores' and the map's.
   */
  step(): Promise<AnswerChange[] | undefined> {
    return this.#exclusive(async () => {
      for (;;) {
        try {
          const answers = this.scanned ? await this.#follow() : await this.#scan()
          return answers
        } catch (error) {
          // States may have been changed half way.
          this.#held.clear()
          if (this.#limit === 1 || !(error instanceof ViewFailure)) throw error
          this.#limit = Math.ceil(this.#limit / 2)
        }
      }
    })
  }

  #exclusive<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run)
    this.#turn = result.catch(() => {})
    return result
  }

  async #scan(): Promise<AnswerChange[]> {
    const { scan } = this.#progress
    const bounds = { positions: this.positions, upTo: lastMark }
    const { items, next } = await wholeHistory(this.sources, bounds)(scan!, this.#limit)
    const received = items.map((item) => ({ item, redacted: false }))
    return this.#done(received, { ...this.#progress, scan: next })
  }

  async #follow(): Promise<AnswerChange[] | undefined> {
    for (const [i, source] of this.sources.entries()) {
      const own = this.#progress.stores[i]
      if (source.store.position <= own.position) continue
      const { events, next } = await source.store.changes(own.position, this.#limit)
      if (events.length === 0) continue
      const received = events.flatMap((event) =>
        source.streams.map((stream) => ({ item: itemOf(event, stream), redacted: event.redacted })),
      )
      const stores = this.#progress.stores.map((s, j) => (j === i ? { ...s, position: next } : s))
      return this.#done(received, { ...this.#progress, stores })
    }
    return undefined
  }

  /** Folds, writes, and only then believes it. */
  async #done(received: readonly { item: Item; redacted: boolean }[], progress: Progress): Promise<AnswerChange[]> {
    const { tip, sequence } = this.#progress
    const batch = new Batch(
      this.#place,
      progress.stores.map((s) => s.position),
      tip,
      sequence,
    )
    await batch.take(received)
    await batch.fold((key) => this.#held.get(key))
    const last = received.reduce((mark, { item }) => (item.mark > mark ? item.mark : mark), tip)
    const next = { ...progress, tip: last, sequence: batch.sequence }
    batch.changes.push({ key: progressKey(this.space.build), value: encodeText(next) })
    await this.space.map.write(batch.changes)
    if (batch.late) this.#generation++
    this.#progress = next
    for (const [key, held] of batch.held) {
      this.#held.delete(key)
      this.#held.set(key, held)
    }
    for (const key of this.#held.keys()) {
      if (this.#held.size <= this.#limits.heldKeys) break
      this.#held.delete(key)
    }
    const bytes = received.reduce((sum, { item }) => sum + item.event.bytes.length, 0)
    const fits = bytes < batchBytes
    const most = batch.again ? lateEvents : this.#limits.batchEvents
    this.#limit = fits ? Math.min(this.#limit * 2, most) : Math.max(1, this.#limit >> 1)
    return batch.answers
  }

  /**
   * JSON of a key's answer as it was made of the events up to these positions and this mark, as far as they are not erased
   * today; undefined when there was none. Positions are at most those of the build. Throws ViewFailure.
   */
  async asOf(key: string, positions: readonly number[], upTo: Mark): Promise<string | undefined> {
    const { view, space, sources } = this
    const [record] = await space.records([key])
    if (record && record.last <= upTo && within(record.reach, positions)) return record.answer
    if (record === undefined && view.keyed) return undefined
    const generation = this.#generation
    const base = await this.#snapshotWithin(key, positions, upTo)
    const folding = new Folding(view, this.#limits.snapshotEvery, sources.length, base)
    await this.#foldPast(folding, key, positions, upTo)
    const answer = folding.answer(folding.text())
    if (folding.snapshots.length > 0 && within(this.positions, positions)) {
      await this.#addSnapshots(key, folding.snapshots, generation)
    }
    return answer
  }

  /** Folds on from where the folding is, up to the positions and the mark. */
  async #foldPast(folding: Folding, key: string, positions: readonly number[], upTo: Mark): Promise<void> {
    const { view, space, sources } = this
    const { pace, sourceOf } = this.#place
    let at = folding.last
    for (;;) {
      const ahead = await space.snapshotsBehind(key, at, 16)
      // What was received after the positions is passed over from snapshot to snapshot.
      const full = ahead.findIndex((s) => s.least.some((least, i) => least <= positions[i]))
      const passed = full < 0 ? ahead.length : full
      if (passed > 0) at = ahead[passed - 1].last
      if (at >= upTo) return
      if (full < 0 && ahead.length === 16) continue
      const end = full < 0 || ahead[full].last > upTo ? upTo : ahead[full].last
      const bounds = { positions, upTo: end }
      const history = view.keyed ? keyHistory(space, sources, key, bounds, undefined) : wholeHistory(sources, bounds)
      let next: Mark | undefined = at
      while (next !== undefined) {
        const found = await history(next, page)
        for (const item of found.items) {
          if (pace.due) await pace.rest()
          folding.add(item, sourceOf[item.stream])
        }
        next = found.next
      }
      if (end === upTo) return
      at = end
    }
  }

  /**
   * The newest snapshot up to a mark that has nothing of after the positions. What a snapshot has, later ones have too, so
   * it is looked for by halves of the time in question.
   */
  async #snapshotWithin(key: string, positions: readonly number[], upTo: Mark): Promise<Snapshot | undefined> {
    let best: Snapshot | undefined
    let from: Mark = firstMark
    let fromMs = 0
    let to: Mark = upTo
    for (;;) {
      const found = await this.space.snapshots(key, from, to, 4)
      const fit = found.find((s) => within(s.reach, positions))
      if (fit !== undefined || found.length < 4) return fit ?? best
      to = found[3].last
      const middle = Math.floor((fromMs + timeOf(eventOf(to))) / 2)
      if (middle <= fromMs) continue
      const behind = markBehind(lastKeyOf(middle))
      const [probe] = await this.space.snapshots(key, from, behind < to ? behind : to, 1)
      if (probe !== undefined && !within(probe.reach, positions)) {
        to = probe.last
        continue
      }
      best = probe ?? best
      fromMs = middle
      if (behind < to) from = behind
    }
  }

  /** What came late has cost snapshots of views that did not have to fold again; who folds that way puts them back. */
  #addSnapshots(key: string, snapshots: readonly Snapshot[], generation: number): Promise<void> {
    return this.#exclusive(async () => {
      if (this.#generation !== generation) return
      const { build, map } = this.space
      await map.write(snapshots.map((s) => ({ key: keyedMark(build, 'n', key, s.last), value: encodeSnapshot(s) })))
    })
  }
}

function within(reach: readonly number[], positions: readonly number[]): boolean {
  return reach.every((position, i) => position <= positions[i])
}
