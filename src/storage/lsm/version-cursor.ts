/**
 * The cursor over every version of a span: merges memtables and tables by key, then by timestamp, newest first.
 *
 *   sources, by current version   [ s0: b@9 ][ s1: b@7 ][ s2: d@8 ]     s0 gives b@9, then they are sorted again
 *                                 [ s0: a@9 ][ s1: d@7 ]                s0 gives all its keys < d without a comparison
 *
 * A version that two sources have (an entry that was applied again after a crash) comes once.
 *
 * Not here: what is visible at a timestamp (merge-cursor.ts).
 */
import { assert, END, ROW, type Step, WAIT } from '../../base/index.ts'
import type { EngineCursor, EntryBatch, Span } from '../engine.ts'
import { batchCapacity, returnBatch, type SlabBatch, takeBatch } from '../entry-batch.ts'
import { compareKeys } from '../key-order.ts'
import type { Feed } from './feed.ts'
import type { Memtable } from './memtable.ts'
import { type BoundView, boundView } from './order.ts'
import { deletionBit, keyLengthMask, type Run } from './run.ts'
import type { Version } from './version.ts'

/** A feed and the version that it stands at. */
class VersionSource {
  readonly feed: Feed
  /** Newer data first. */
  readonly priority: number
  run: Run
  i = 0
  high = 0
  exhausted = false

  constructor(feed: Feed, priority: number) {
    this.feed = feed
    this.priority = priority
    this.run = feed.run
  }

  seek(key: BoundView): Step {
    return this.adopt(this.feed.seek(key.view, 0, key.length, Number.MAX_SAFE_INTEGER))
  }

  /** Takes the run that the feed has come to. */
  adopt(step: Step): Step {
    this.exhausted = step === END
    if (step !== ROW) return step
    this.run = this.feed.run
    this.i = this.feed.low
    this.high = this.feed.high
    return this.settle()
  }

  /** Moves past versions that came after the picture was taken, and to the next run at the end of this one. */
  settle(): Step {
    const { timestamp } = this.run
    while (this.i < this.high && timestamp[this.i] === Number.POSITIVE_INFINITY) this.i++
    return this.i < this.high ? ROW : this.adopt(this.feed.next())
  }

  compareKey(key: BoundView): number {
    return this.run.compareKey(this.i, key.view, 0, key.length)
  }

  compareKeyTo(other: VersionSource): number {
    const { run, i } = other
    return this.run.compareKey(this.i, run.view, run.start[i], run.info[i] & keyLengthMask)
  }

  get timestamp(): number {
    return this.run.timestamp[this.i]
  }

  comesBefore(other: VersionSource): boolean {
    const order = this.compareKeyTo(other)
    if (order !== 0) return order < 0
    if (this.timestamp !== other.timestamp) return this.timestamp > other.timestamp
    return this.priority < other.priority
  }

  /** Hands out the versions in [i, end) while there is room. */
  give(out: SlabBatch, end: number, limit: number): void {
    const { run } = this
    const { start, valueEnd, info, timestamp } = run
    const slab = out.slabNumber(run)
    let { i } = this
    let { count } = out
    for (; i < end && count < limit; i++) {
      if (timestamp[i] === Number.POSITIVE_INFINITY) continue
      const mark = info[i]
      const behind = start[i] + (mark & keyLengthMask)
      const deleted = (mark & deletionBit) !== 0
      out.slab[count] = slab
      out.keyStart[count] = start[i]
      out.keyEnd[count] = behind
      out.valueStart[count] = deleted ? -1 : behind
      out.valueEnd[count] = deleted ? -1 : valueEnd[i]
      out.timestamps[count] = timestamp[i]
      count++
    }
    out.count = count
    this.i = i
  }
}

export class VersionCursor implements EngineCursor {
  #batch: SlabBatch | undefined = takeBatch()
  readonly #version: Version
  readonly #memtables: readonly Memtable[]
  readonly #span: Span
  readonly #all: VersionSource[]
  readonly #end: BoundView | undefined
  /** The one that stands at the next version first. */
  readonly #sources: VersionSource[] = []
  readonly #waiting: VersionSource[] = []
  #position: BoundView
  #opened = false

  /** @param feeds newest data first; the cursor releases version and memtables, which are retained for it. */
  constructor(version: Version, memtables: readonly Memtable[], feeds: readonly Feed[], span: Span) {
    this.#version = version
    this.#memtables = memtables
    this.#all = feeds.map((feed, priority) => new VersionSource(feed, priority))
    this.#span = span
    this.#position = boundView(span.start)
    this.#end = span.end && boundView(span.end)
  }

  get batch(): EntryBatch {
    assert(this.#batch !== undefined, 'a closed cursor is not read')
    return this.#batch
  }

  next(limit: number = batchCapacity): Step {
    const out = this.#batch
    assert(out !== undefined, 'a closed cursor is not read')
    out.clear()
    const most = Math.min(limit, batchCapacity)
    if (!this.#opened) this.#open()
    else for (const source of this.#waiting.splice(0)) this.#place(source, source.adopt(source.feed.again()))
    while (this.#waiting.length === 0 && this.#sources.length > 0 && out.count < most) this.#advance(out, most)
    if (out.count > 0) return ROW
    return this.#waiting.length > 0 ? WAIT : END
  }

  seek(key: Uint8Array): void {
    this.#position = boundView(compareKeys(key, this.#span.start) < 0 ? this.#span.start : key)
    this.#opened = false
  }

  async ready(): Promise<void> {
    await Promise.all(this.#waiting.map((source) => source.feed.ready()))
  }

  close(): void {
    if (this.#batch === undefined) return
    returnBatch(this.#batch)
    this.#batch = undefined
    this.#version.release()
    for (const memtable of this.#memtables) memtable.release()
  }

  #open(): void {
    this.#opened = true
    this.#sources.length = 0
    this.#waiting.length = 0
    for (const source of this.#all) this.#place(source, source.seek(this.#position))
  }

  /** Puts a source where its version belongs; leaves out one that is beyond the span. */
  #place(source: VersionSource, step: Step): void {
    if (step === WAIT) {
      this.#waiting.push(source)
      return
    }
    if (source.exhausted || (this.#end !== undefined && source.compareKey(this.#end) >= 0)) return
    const sources = this.#sources
    let i = sources.length
    sources.push(source)
    for (; i > 0 && source.comesBefore(sources[i - 1]); i--) sources[i] = sources[i - 1]
    sources[i] = source
  }

  #advance(out: SlabBatch, limit: number): void {
    const sources = this.#sources
    const source = sources[0]
    const { run, i, high } = source
    let until = high
    if (sources.length === 1) {
      if (this.#end !== undefined) until = run.gallop(i, high, this.#end.view, 0, this.#end.length)
    } else if (source.compareKeyTo(sources[1]) !== 0) {
      const other = sources[1].run
      const at = sources[1].i
      until = run.gallop(i, high, other.view, other.start[at], other.info[at] & keyLengthMask)
    } else {
      until = i + 1
      this.#skipSame(source)
    }
    source.give(out, until, limit)
    sources.shift()
    this.#place(source, source.settle())
  }

  /** Moves those past the version that the first source stands at which have it too. */
  #skipSame(source: VersionSource): void {
    const sources = this.#sources
    while (sources.length > 1) {
      const other = sources[1]
      if (other.timestamp !== source.timestamp || other.compareKeyTo(source) !== 0) return
      sources.splice(1, 1)
      other.i++
      this.#place(other, other.settle())
    }
  }
}
