/**
 * The cursor of the LSM engine: merges memtables, tables of level 0 and levels.
 *
 *   sources, by current key   [ s0 │ s1 │ s2 ]      s0 hands out all its keys < key(s1) without a comparison
 *
 * Where several sources stand at one key, the newest decides, and the others skip it. A source whose block is not in
 * memory moves to `waiting`; nothing goes on without it.
 *
 * Not here: visibility within a source (source.ts).
 */
import { assert, END, ROW, type Step, WAIT } from '../../base/index.ts'
import type { EngineCursor, EntryBatch, Span } from '../engine.ts'
import { batchCapacity, returnBatch, type SlabBatch, takeBatch } from '../entry-batch.ts'
import { compareKeys } from '../key-order.ts'
import type { Memtable } from './memtable.ts'
import { type BoundView, boundView, commonPrefix, SearchKey } from './order.ts'
import type { Source } from './source.ts'
import type { Version } from './version.ts'

/** Longer keys get more room when they come. */
const usualKeyBytes = 64

export class MergeCursor implements EngineCursor {
  #batch: SlabBatch | undefined = takeBatch()
  readonly #version: Version
  readonly #memtables: readonly Memtable[]
  readonly #span: Span
  readonly #reverse: boolean
  readonly #all: Source[]
  readonly #start: BoundView
  /** Positioned sources, the next one first; what is behind `#count` is of before. */
  readonly #sources: Source[] = []
  #count = 0
  readonly #waiting: Source[] = []
  /** How many bytes all keys of the span begin with. */
  readonly #prefix: number
  #position: BoundView | undefined
  #opened = false
  /** A key that is settled while other sources may stand at it: copied, as its source moves on. */
  #settledKey = new SearchKey(usualKeyBytes)
  #settled = false

  constructor(
    version: Version,
    memtables: readonly Memtable[],
    sources: Source[],
    span: Span,
    reverse: boolean,
    start: BoundView,
    end: BoundView | undefined,
  ) {
    this.#version = version
    version.retain()
    this.#memtables = memtables
    this.#all = sources
    this.#span = span
    this.#reverse = reverse
    this.#start = start
    this.#prefix = end === undefined ? 0 : commonPrefix(start.view, 0, start.length, end.view, 0, end.length)
    this.#position = reverse ? end : start
  }

  get batch(): EntryBatch {
    assert(this.#batch !== undefined, 'a closed cursor is not read')
    return this.#batch
  }

  next(limit: number = batchCapacity): Step {
    const out = this.#batch
    assert(out !== undefined, 'a closed cursor is not read')
    out.clear()
    const most = limit < batchCapacity ? limit : batchCapacity
    if (!this.#opened) this.#open()
    else if (this.#waiting.length > 0) this.#resume()
    while (this.#waiting.length === 0 && this.#count > 0 && out.count < most) {
      if (this.#reverse) this.#advanceReverse(out, most)
      else this.#advance(out, most)
    }
    if (out.count > 0) return ROW
    return this.#waiting.length > 0 ? WAIT : END
  }

  seek(key: Uint8Array): void {
    const { start, end } = this.#span
    let to = key
    if (this.#reverse && end !== undefined && compareKeys(key, end) > 0) to = end
    else if (!this.#reverse && compareKeys(key, start) < 0) to = start
    this.#position = boundView(to)
    this.#opened = false
  }

  async ready(): Promise<void> {
    if (this.#waiting.length === 1) await this.#waiting[0].feed.ready()
    else await Promise.all(this.#waiting.map((source) => source.feed.ready()))
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
    this.#count = 0
    this.#waiting.length = 0
    this.#settled = false
    const position = this.#position
    for (const source of this.#all) {
      const step = this.#reverse
        ? source.seekBefore(position?.view, position?.length ?? 0)
        : source.seek(position!.view, position!.length)
      this.#place(source, step)
    }
  }

  #resume(): void {
    const waiting = this.#waiting.splice(0)
    for (const source of waiting) this.#place(source, source.resume(this.#reverse))
  }

  /** Puts a source where its current key belongs; leaves out one that is beyond the span. */
  #place(source: Source, step: Step): void {
    if (step === WAIT) {
      this.#waiting.push(source)
      return
    }
    if (source.exhausted) return
    if (this.#reverse && source.compareKey(this.#start.view, 0, this.#start.length) < 0) return
    const sources = this.#sources
    const n = this.#count++
    source.noteKey(this.#prefix)
    // What has just moved is mostly still near the front.
    let i = 0
    for (; i < n; i++) {
      const other = sources[i]
      const order = this.#reverse ? other.compareTo(source) : source.compareTo(other)
      if (order < 0 || (order === 0 && source.priority < other.priority)) break
    }
    for (let k = n; k > i; k--) sources[k] = sources[k - 1]
    sources[i] = source
  }

  #advance(out: SlabBatch, limit: number): void {
    const sources = this.#sources
    const source = sources[0]
    if (this.#count === 1 && !this.#settled) {
      this.#replace(source, source.drain(out, limit, undefined))
      return
    }
    if (this.#isSettled(source)) {
      this.#replace(source, source.skipKey())
      return
    }
    this.#settled = false
    if (this.#count === 1) return
    const other = sources[1]
    if (this.#count === 2 || other.compareTo(sources[2]) < 0) this.#advancePair(out, limit)
    else if (source.compareTo(other) < 0) this.#replace(source, source.drain(out, limit, other))
    else {
      this.#copyKey(source)
      let step = source.takeKey(out)
      if (step === ROW) {
        this.#settled = true
        step = source.settle()
      }
      this.#replace(source, step)
    }
  }

  /** The first two take turns as long as both are before the third: mostly old versions and their successors. */
  #advancePair(out: SlabBatch, limit: number): void {
    const third = this.#count > 2 ? this.#sources[2] : undefined
    let [a, b] = this.#sources
    let stepA: Step = ROW
    let stepB: Step = ROW
    while (out.count < limit && (third === undefined || b.compareTo(third) < 0)) {
      const order = a.compareTo(b)
      // Of two that stand at one key the newer decides.
      if (order > 0 || (order === 0 && b.priority < a.priority)) [a, b] = [b, a]
      else if (order < 0) {
        stepA = a.drain(out, limit, b)
        if (stepA !== ROW) break
        a.noteKey(this.#prefix)
      } else {
        stepA = a.takeKey(out)
        if (stepA !== ROW) break
        stepA = a.settle()
        stepB = b.skipKey()
        if (stepA !== ROW || stepB !== ROW) break
        a.noteKey(this.#prefix)
        b.noteKey(this.#prefix)
      }
    }
    this.#removeFirst()
    this.#removeFirst()
    this.#place(a, stepA)
    this.#place(b, stepB)
  }

  #advanceReverse(out: SlabBatch, limit: number): void {
    const sources = this.#sources
    const source = sources[0]
    const start = this.#start
    if (this.#count === 1 && !this.#settled) {
      this.#replace(source, source.drainReverse(out, limit, start.view, 0, start.length, true))
      return
    }
    if (this.#isSettled(source)) {
      this.#replace(source, source.skipKeyReverse())
      return
    }
    this.#settled = false
    if (this.#count === 1) return
    const other = sources[1]
    if (source.compareTo(other) !== 0) {
      this.#replace(source, source.drainReverse(out, limit, other.view, other.keyStart, other.keyLength, false))
      return
    }
    this.#copyKey(source)
    let step = source.takeKeyReverse(out)
    this.#settled = step === ROW
    if (step !== WAIT && !source.exhausted) step = source.settleReverse()
    this.#replace(source, step)
  }

  /** The first source has moved: it goes where it belongs now. */
  #replace(source: Source, step: Step): void {
    this.#removeFirst()
    this.#place(source, step)
  }

  #removeFirst(): void {
    const sources = this.#sources
    const n = --this.#count
    for (let i = 0; i < n; i++) sources[i] = sources[i + 1]
  }

  #isSettled(source: Source): boolean {
    const { view, length } = this.#settledKey
    return this.#settled && source.compareKey(view, 0, length) === 0
  }

  #copyKey(source: Source): void {
    const { keyStart, keyLength, run } = source
    if (keyLength > this.#settledKey.bytes.length) this.#settledKey = new SearchKey()
    this.#settledKey.setRange(run.bytes, keyStart, keyLength)
  }
}
