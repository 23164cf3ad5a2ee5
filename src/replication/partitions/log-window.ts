/**
 * The part of a replica's log that is kept in memory for followers and for applying; older entries are read back from
 * the commit log.
 *
 *   commit log     base │ first ………………………………………… last
 *   in memory                            from … last      (bounded by bytes; never what is not applied)
 *   terms          a run per term: [first index of the run, term]
 *
 * Not here: reading back (replica.ts).
 */
import { assert } from '../../base/index.ts'
import type { Entry, LogView } from '../raft/index.ts'

const keptBytes = 4 * 1024 * 1024

export class LogWindow implements LogView {
  /** The entry before the first one of the log, and its term. */
  #base: number
  /** The first index in memory. */
  #from: number
  #entries: Entry[] = []
  #bytes = 0
  /** Runs of equal terms, oldest first; the first run holds the base. */
  readonly #runs: { index: number; term: number }[]
  /** Entries read back for a follower, until the next ones. */
  #loaded: readonly Entry[] = []
  /** What `entries` asked for and did not have. */
  wanted: { readonly from: number; readonly to: number } | undefined

  constructor(base: number, baseTerm: number) {
    this.#base = base
    this.#from = base + 1
    this.#runs = [{ index: base, term: baseTerm }]
  }

  firstIndex(): number {
    return this.#base + 1
  }

  lastIndex(): number {
    return this.#from + this.#entries.length - 1
  }

  term(index: number): number | undefined {
    if (index < this.#base || index > this.lastIndex()) return undefined
    const runs = this.#runs
    for (let i = runs.length - 1; i >= 0; i--) if (runs[i].index <= index) return runs[i].term
    return undefined
  }

  entry(index: number): Entry | undefined {
    return this.#entries[index - this.#from]
  }

  entries(from: number, to: number, maxBytes: number): readonly Entry[] | undefined {
    let source = this.#entries
    let at = from - this.#from
    if (at < 0) {
      source = this.#loaded as Entry[]
      at = source.length === 0 ? -1 : from - source[0].index
      if (at < 0 || at >= source.length) {
        this.wanted = { from, to: Math.min(to, this.#from) }
        return undefined
      }
    }
    const end = Math.min(at + to - from, source.length)
    let bytes = 0
    let stop = at
    while (stop < end && (stop === at || bytes + source[stop].payload.length <= maxBytes)) {
      bytes += source[stop].payload.length
      stop++
    }
    return source.slice(at, stop)
  }

  /** Entries that `wanted` asked for, read back. */
  load(entries: readonly Entry[]): void {
    this.#loaded = entries
    this.wanted = undefined
  }

  /** Adds an entry; what stood at its index and above goes. */
  append(entry: Entry): void {
    const { index } = entry
    assert(index > this.#base && index <= this.lastIndex() + 1, 'entries follow each other')
    if (index <= this.lastIndex()) this.#truncate(index)
    this.#entries.push(entry)
    this.#bytes += entry.payload.length
    const last = this.#runs[this.#runs.length - 1]
    if (last.term !== entry.term) this.#runs.push({ index, term: entry.term })
  }

  #truncate(index: number): void {
    assert(index >= this.#from, 'only entries that are not committed are overwritten, and those are in memory')
    for (const gone of this.#entries.splice(index - this.#from)) this.#bytes -= gone.payload.length
    while (this.#runs.length > 1 && this.#runs[this.#runs.length - 1].index >= index) this.#runs.pop()
    this.#loaded = []
  }

  /** Forgets entries up to `applied` that do not fit into memory. */
  trim(applied: number): void {
    if (this.#bytes <= keptBytes) return
    let count = 0
    while (this.#bytes > keptBytes / 2 && this.#from + count <= applied && count < this.#entries.length) {
      this.#bytes -= this.#entries[count].payload.length
      count++
    }
    this.#entries.splice(0, count)
    this.#from += count
  }

  /** The log begins behind `base` from now on. */
  truncateTo(base: number): void {
    if (base <= this.#base) return
    const term = this.term(base)
    assert(term !== undefined, 'the log is cut where it is known')
    while (this.#runs.length > 1 && this.#runs[1].index <= base) this.#runs.shift()
    this.#base = base
    const gone = Math.min(Math.max(0, base + 1 - this.#from), this.#entries.length)
    for (const entry of this.#entries.splice(0, gone)) this.#bytes -= entry.payload.length
    this.#from += gone
  }

  /** A snapshot took the place of everything. */
  reset(base: number, baseTerm: number): void {
    this.#base = base
    this.#from = base + 1
    this.#entries = []
    this.#bytes = 0
    this.#loaded = []
    this.#runs.length = 0
    this.#runs.push({ index: base, term: baseTerm })
  }
}
