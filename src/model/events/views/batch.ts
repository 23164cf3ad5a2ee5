/**
 * One step of a build: some received events, folded into the states that they concern.
 *
 *   received ──► by key:  added at the end ───────────────► folded onto the state
 *                         added before the end, the order ► folded again from the last snapshot before it
 *                         of events counting
 *                         erased, or another value now ───► the same, or retracted
 *
 * Everything that it changes is one batch of the ordered map, together with how far the build is then: after a crash it
 * is done whole or not at all.
 *
 * Not here: reading what was received (builder.ts), what readers do (views.ts).
 */
import type { Change } from '../ordered-map.ts'
import type { Applied, BuildSpace } from './build-space.ts'
import { Folding, type Pace } from './folding.ts'
import { keyHistory, type Source, wholeHistory } from './history.ts'
import { type Item, itemOf, keyOf, partsOf } from './item.ts'
import { after, feedKey, firstMark, keyedMark, lastMark, type Mark, markAtEnd, stateKey } from './space-keys.ts'
import type { View } from './view.ts'
import { encodeKeyRecord, encodeSnapshot, type KeyRecord } from './view-record.ts'

/** What a batch works with. */
export interface Workplace {
  readonly view: View
  readonly space: BuildSpace
  readonly sources: readonly Source[]
  /** Of each stream. */
  readonly sourceOf: readonly number[]
  readonly snapshotEvery: number
  readonly pace: Pace
}

export interface Incoming {
  readonly item: Item
  readonly redacted: boolean
}

/** A state as it is kept, and as the object that reducers have been given and may have changed. */
export interface Held {
  readonly record: KeyRecord
  readonly state: unknown
}

/** The answer of a key has changed. Texts are JSON; undefined: there is none. */
export interface AnswerChange {
  readonly key: string
  readonly sequence: number
  readonly correction: boolean
  readonly old: string | undefined
  readonly new: string | undefined
}

interface Group {
  readonly added: Item[]
  readonly retracted: Item[]
  /** Marks whose events are no more, or are among `added` with another value. */
  readonly removed: Set<Mark>
  /** Fold again from here on. */
  dirty: Mark | undefined
  /** A value was erased: nothing derived from it may stay. */
  erased: boolean
}

const page = 256

export class Batch {
  readonly #place: Workplace
  readonly #positions: readonly number[]
  readonly #tip: Mark
  #sequence: number
  readonly #groups = new Map<string, Group>()
  readonly changes: Change[] = []
  readonly held = new Map<string, Held>()
  readonly answers: AnswerChange[] = []
  /** Something was folded that is not at the end: snapshots of before do not stand. */
  late = false
  /** Something was folded again. */
  again = false

  /** @param positions of the stores once this batch is in. @param tip, sequence the build's so far. */
  constructor(place: Workplace, positions: readonly number[], tip: Mark, sequence: number) {
    this.#place = place
    this.#positions = positions
    this.#tip = tip
    this.#sequence = sequence
  }

  get sequence(): number {
    return this.#sequence
  }

  /** Sorts events by the states that they concern. Throws ViewFailure. */
  async take(received: readonly Incoming[]): Promise<void> {
    const { view, space, pace } = this.#place
    // A view of one state whose events have an order folds again from whatever comes late, known or not.
    const indexed = view.keyed || view.commutative
    const back = received.filter(({ item }) => item.mark <= this.#tip)
    const applied = new Map<Mark, Applied>()
    if (indexed && back.length > 0) {
      const found = await space.applied(back.map(({ item }) => item.mark))
      for (const [i, { item }] of back.entries()) if (found[i] !== undefined) applied.set(item.mark, found[i])
    }
    for (const { item, redacted } of received) {
      if (pace.due) await pace.rest()
      const before = applied.get(item.mark)
      const key = redacted ? undefined : keyOf(view, item)
      if (before !== undefined) this.#remove(before, item, key, redacted)
      else if (!indexed && item.mark <= this.#tip && redacted) {
        this.#dirty(this.#group(''), item.mark, redacted)
      }
      if (key === undefined) continue
      this.#group(key).added.push(item)
      if (!indexed) continue
      const kept = view.streams[item.stream].retract === undefined ? undefined : partsOf(item.event)
      space.putApplied(this.changes, item.mark, { key, event: kept }, view.keyed && before?.key !== key)
    }
    if (!view.keyed) this.#group('')
  }

  #group(key: string): Group {
    let group = this.#groups.get(key)
    if (group === undefined) {
      group = { added: [], retracted: [], removed: new Set(), dirty: undefined, erased: false }
      this.#groups.set(key, group)
    }
    return group
  }

  #dirty(group: Group, from: Mark, erased: boolean): void {
    if (group.dirty === undefined || from < group.dirty) group.dirty = from
    if (erased) group.erased = true
  }

  /** An event that was folded in is no more as it was. @param key of what it is now, if it is anything. */
  #remove(before: Applied, item: Item, key: string | undefined, redacted: boolean): void {
    const { view, space } = this.#place
    const group = this.#group(before.key)
    group.removed.add(item.mark)
    if (before.event !== undefined && view.streams[item.stream].retract !== undefined) {
      group.retracted.push(itemOf(before.event, item.stream))
      if (redacted) group.erased = true
    } else this.#dirty(group, item.mark, redacted)
    if (key === before.key) return
    if (key === undefined) space.removeApplied(this.changes, item.mark, before.key, view.keyed)
    else if (view.keyed)
      this.changes.push({ key: keyedMark(space.build, 'k', before.key, item.mark), value: undefined })
  }

  /** Folds. @param hold states that are at hand. Throws ViewFailure. */
  async fold(hold: (key: string) => Held | undefined): Promise<void> {
    const { view, space, pace, sources, snapshotEvery } = this.#place
    const names = [...this.#groups.keys()]
    const absent = names.filter((n) => hold(n) === undefined)
    const read = new Map<string, KeyRecord | undefined>()
    for (const [i, record] of (await space.records(absent)).entries()) read.set(absent[i], record)
    for (const [key, group] of this.#groups) {
      if (pace.due) await pace.rest()
      const record = hold(key)?.record ?? read.get(key)
      group.added.sort((a, b) => (a.mark < b.mark ? -1 : 1))
      const first = group.added[0]?.mark
      const late = record !== undefined && first !== undefined && first <= record.last
      if (late && (!view.commutative || group.dirty !== undefined)) this.#dirty(group, first, false)
      let folding: Folding
      if (group.dirty !== undefined) folding = await this.#foldAgain(key, group)
      else {
        folding = Folding.of(view, snapshotEvery, sources.length, record, hold(key)?.state)
        await this.#foldOn(key, group, folding, late ? first : undefined)
      }
      this.#keep(key, group, folding, record, late || group.removed.size > 0 || group.dirty !== undefined)
    }
  }

  async #foldOn(key: string, group: Group, folding: Folding, lateFrom: Mark | undefined): Promise<void> {
    const { pace, sourceOf } = this.#place
    let stale = lateFrom
    for (const item of group.retracted) {
      folding.retract(item)
      if (stale === undefined || item.mark < stale) stale = item.mark
    }
    if (stale !== undefined) {
      this.late = true
      await this.#dropSnapshots(key, stale, new Set())
      // The next snapshot follows one that is further back: what lies between them was not counted.
      folding.least.fill(0)
    }
    for (const item of group.added) {
      if (pace.due) await pace.rest()
      folding.add(item, sourceOf[item.stream])
    }
  }

  async #foldAgain(key: string, group: Group): Promise<Folding> {
    const { view, space, sources, snapshotEvery, pace, sourceOf } = this.#place
    this.late = true
    this.again = true
    const [base] = await space.snapshots(key, firstMark, group.dirty!, 1)
    const folding = new Folding(view, snapshotEvery, sources.length, base)
    const bounds = { positions: this.#positions, upTo: lastMark }
    const added = new Map(group.added.map((item) => [item.mark, item]))
    const history = view.keyed
      ? keyHistory(space, sources, key, bounds, { added, removed: group.removed })
      : wholeHistory(sources, bounds)
    let next: Mark | undefined = base?.last ?? firstMark
    while (next !== undefined) {
      const found = await history(next, page)
      for (const item of found.items) {
        if (pace.due) await pace.rest()
        folding.add(item, sourceOf[item.stream])
      }
      next = found.next
    }
    await this.#dropSnapshots(key, group.dirty!, new Set(folding.snapshots.map((s) => s.last)))
    return folding
  }

  /** Deletes a key's snapshots from a mark on, those excepted that are taken anew. */
  async #dropSnapshots(key: string, from: Mark, anew: ReadonlySet<Mark>): Promise<void> {
    const { space, pace } = this.#place
    const to = keyedMark(space.build, 'n', key, lastMark)
    let begin = keyedMark(space.build, 'n', key, from)
    for (;;) {
      const found = await space.map.scan({ from: begin, to, limit: page })
      for (const entry of found) {
        if (!anew.has(markAtEnd(entry.key))) this.changes.push({ key: entry.key, value: undefined })
      }
      if (found.length < page) return
      begin = after(found[found.length - 1].key)
      if (pace.due) await pace.rest()
    }
  }

  #keep(key: string, group: Group, folding: Folding, record: KeyRecord | undefined, corrects: boolean): void {
    const { build } = this.#place.space
    for (const snapshot of folding.snapshots) {
      this.changes.push({ key: keyedMark(build, 'n', key, snapshot.last), value: encodeSnapshot(snapshot) })
    }
    const state = folding.text()
    const answer = folding.answer(state)
    const old = record?.answer
    const changed = answer !== old
    const correction = changed && corrects && old !== undefined
    const sequence = changed ? ++this.#sequence : (record?.sequence ?? 0)
    const { count, last, reach, least, since, sinceBytes } = folding
    const next: KeyRecord = {
      ...{ state, answer, count, last, reach, least, since, sinceBytes, sequence },
      corrected: correction ? sequence : (record?.corrected ?? 0),
      before: group.erased ? undefined : correction ? old : record?.before,
      changedAt: changed ? this.#positions : (record?.changedAt ?? this.#positions),
    }
    this.changes.push({ key: stateKey(build, key), value: encodeKeyRecord(next) })
    this.held.set(key, { record: next, state: folding.state })
    if (!changed) return
    if (record !== undefined && record.sequence > 0) {
      this.changes.push({ key: feedKey(build, record.sequence), value: undefined })
    }
    this.changes.push({ key: feedKey(build, sequence), value: new TextEncoder().encode(JSON.stringify(key)) })
    this.answers.push({ key, sequence, correction, old: group.erased ? undefined : old, new: answer })
  }
}
