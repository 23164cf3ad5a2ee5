/**
 * A replica's log as its steps see it: the driver's window of what was handed out, and behind it what was appended since
 * the last `ready`. The tail hides what the window still shows at its indexes and above.
 *
 *        firstIndex              tail[0].index        lastIndex
 *   ……│ e  e  e  e  e  e  e  e │ e  e  e  e  e  e  e  e │
 *     └ the driver's window ───┘└ tail: handed out next ┘
 *     └ gone: needs a snapshot
 *
 * Not here: disks and caches (the driver), what overwriting is allowed to do (raft.ts asserts it).
 */
import { assert } from '../../base/index.ts'
import { type Entry, entryBytes, limitBytes } from './entry.ts'

/** The replica's log as the driver keeps it in memory; every answer is synchronous. */
export interface LogView {
  /** Entries below this one are gone: who needs them gets a snapshot. 1 for a new log. */
  firstIndex(): number
  /** firstIndex() - 1 when there is no entry. */
  lastIndex(): number
  /** Of every index from firstIndex() - 1 (the point where the log was cut; 0 at 0) to lastIndex(), else undefined. */
  term(index: number): number | undefined
  /**
   * Entries [from, to) up to maxBytes, at least one; undefined when they must first be loaded, after which the driver
   * calls `raft.loaded()`.
   */
  entries(from: number, to: number, maxBytes: number): readonly Entry[] | undefined
}

const nothing: readonly Entry[] = []

export class RaftLog {
  readonly #view: LogView
  #tail: Entry[] = []
  /** What the window must have grown (or shrunk) to since the last `take`. */
  #expected: number

  constructor(view: LogView) {
    this.#view = view
    this.#expected = view.lastIndex()
  }

  get firstIndex(): number {
    return this.#view.firstIndex()
  }

  get lastIndex(): number {
    const n = this.#tail.length
    if (n > 0) return this.#tail[n - 1].index
    assert(
      this.#view.lastIndex() === this.#expected,
      'the log view holds what ready() handed out, before the next call',
    )
    return this.#expected
  }

  get lastTerm(): number {
    const term = this.term(this.lastIndex)
    assert(term !== undefined, 'the log view knows the term of its last entry')
    return term
  }

  get hasTail(): boolean {
    return this.#tail.length > 0
  }

  term(index: number): number | undefined {
    if (this.#tail.length > 0 && index >= this.#tail[0].index) return this.#tail[index - this.#tail[0].index]?.term
    return this.#view.term(index)
  }

  matches(index: number, term: number): boolean {
    return this.term(index) === term
  }

  /** Entries [from, to) up to maxBytes, at least one; undefined when the driver must load them. */
  entries(from: number, to: number, maxBytes: number): readonly Entry[] | undefined {
    const tailStart = this.#tail.length > 0 ? this.#tail[0].index : to
    if (from >= tailStart) return limitBytes(this.#tail.slice(from - tailStart, to - tailStart), maxBytes)
    const stable = this.#view.entries(from, Math.min(to, tailStart), maxBytes)
    if (stable === undefined || to <= tailStart || from + stable.length < tailStart) return stable
    let bytes = 0
    for (const entry of stable) bytes += entryBytes(entry)
    if (bytes + entryBytes(this.#tail[0]) > maxBytes) return stable
    return [...stable, ...limitBytes(this.#tail.slice(0, to - tailStart), maxBytes - bytes)]
  }

  /** Appends entries, cancelling what stood at their indexes and above. */
  append(entries: readonly Entry[]): void {
    const first = entries[0].index
    assert(first <= this.lastIndex + 1, 'a log has no gaps')
    if (this.#tail.length > 0) {
      const keep = first - this.#tail[0].index
      if (keep < this.#tail.length) this.#tail.length = Math.max(keep, 0)
    }
    for (const entry of entries) this.#tail.push(entry)
  }

  /** Hands the tail out; the driver has it in its window before the next call. */
  take(): readonly Entry[] {
    const tail = this.#tail
    if (tail.length === 0) return nothing
    this.#expected = tail[tail.length - 1].index
    this.#tail = []
    return tail
  }

  /** The window begins anew behind an installed snapshot. */
  reset(index: number): void {
    this.#tail = []
    this.#expected = index
    assert(this.#view.lastIndex() === index, 'the log view begins behind the snapshot before restored() is called')
  }

  /**
   * The highest index ≤ `index` where a log whose term there is ≤ `term` may agree with ours, for a faster way back after a
   * conflict; never below `floor`. The paper's section 5.3, with whole terms skipped from both sides.
   */
  agreement(index: number, term: number, floor: number): number {
    let at = Math.min(index, this.lastIndex)
    while (at > floor) {
      const own = this.term(at)
      if (own === undefined || own <= term) break
      at--
    }
    return Math.max(at, floor)
  }
}
