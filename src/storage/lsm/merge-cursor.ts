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
import { type BoundView, boundView } from './order.ts'
import type { Source } from './source.ts'
import type { Version } from './version.ts'

export class MergeCursor implements EngineCursor {
  #batch: SlabBatch | undefined = takeBatch()
  readonly #version: Version
  readonly #memtables: readonly Memtable[]
  readonly #span: Span
  readonly #reverse: boolean
  readonly #all: Source[]
  readonly #start: BoundView
  readonly #end: BoundView | undefined
  /** Positioned sources, the next one first. */
  readonly #sources: Source[] = []
  readonly #waiting: Source[] = []
  #position: BoundView | undefined
  #opened = false
  /** A key that is settled, while other sources may stand at it. */
  #settledKey = new Uint8Array(0)
  #settledView: DataView | undefined

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
    this.#end = end
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
    while (this.#waiting.length === 0 && this.#sources.length > 0 && out.count < most) {
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
    this.#sources.length = 0
    this.#waiting.length = 0
    this.#settledView = undefined
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
    if (this.#reverse) {
      if (source.compareKey(this.#start.view, 0, this.#start.length) < 0) return
    } else if (this.#end !== undefined && source.compareKey(this.#end.view, 0, this.#end.length) >= 0) return
    const sources = this.#sources
    let i = sources.length
    sources.push(source)
    for (; i > 0; i--) {
      const other = sources[i - 1]
      const order = this.#reverse ? other.compareTo(source) : source.compareTo(other)
      if (order > 0 || (order === 0 && source.priority > other.priority)) break
      sources[i] = other
    }
    sources[i] = source
  }

  #advance(out: SlabBatch, limit: number): void {
    const sources = this.#sources
    const source = sources[0]
    if (sources.length === 1 && this.#settledView === undefined) {
      const end = this.#end
      const step = end ? source.drain(out, limit, end.view, 0, end.length) : source.drain(out, limit, undefined, 0, 0)
      this.#replace(source, step)
      return
    }
    if (this.#isSettled(source)) {
      this.#replace(source, source.skipKey())
      return
    }
    this.#settledView = undefined
    if (sources.length === 1) return
    const other = sources[1]
    if (source.compareTo(other) !== 0) {
      this.#replace(source, source.drain(out, limit, other.view, other.keyStart, other.keyLength))
      return
    }
    const key = this.#keyOf(source)
    let step = source.takeKey(out)
    if (step === ROW) {
      this.#settle(key)
      step = source.settle()
    }
    this.#replace(source, step)
  }

  #advanceReverse(out: SlabBatch, limit: number): void {
    const sources = this.#sources
    const source = sources[0]
    const start = this.#start
    if (sources.length === 1 && this.#settledView === undefined) {
      this.#replace(source, source.drainReverse(out, limit, start.view, 0, start.length, true))
      return
    }
    if (this.#isSettled(source)) {
      this.#replace(source, source.skipKeyReverse())
      return
    }
    this.#settledView = undefined
    if (sources.length === 1) return
    const other = sources[1]
    if (source.compareTo(other) !== 0) {
      this.#replace(source, source.drainReverse(out, limit, other.view, other.keyStart, other.keyLength, false))
      return
    }
    const key = this.#keyOf(source)
    let step = source.takeKeyReverse(out)
    if (step === ROW) this.#settle(key)
    if (step !== WAIT && !source.exhausted) step = source.settleReverse()
    this.#replace(source, step)
  }

  /** The first source has moved: it goes where it belongs now. */
  #replace(source: Source, step: Step): void {
    this.#sources.shift()
    this.#place(source, step)
  }

  #isSettled(source: Source): boolean {
    const view = this.#settledView
    return view !== undefined && source.compareKey(view, 0, this.#settledKey.length) === 0
  }

  #keyOf(source: Source): Uint8Array {
    return source.run.bytes.slice(source.keyStart, source.keyStart + source.keyLength)
  }

  #settle(key: Uint8Array): void {
    this.#settledKey = new Uint8Array(key)
    this.#settledView = new DataView(this.#settledKey.buffer)
  }
}
