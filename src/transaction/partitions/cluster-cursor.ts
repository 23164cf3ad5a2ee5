/**
 * A scan over partitions, wherever their leaseholders are: the engine's own cursor where this node holds the lease, else
 * batches that were asked for.
 *
 *   span  ├── partition (ours) ──┤├── partition (node 3) ──┤├── …
 *            engine cursor           scan requests
 *
 * Not here: the transaction's own writes (MergedCursor), choosing timestamps (ClusterTransaction).
 */
import { END, ROW, type Step, WAIT } from '../../base/index.ts'
import type { EngineCursor, EntryBatch, Slab, Span } from '../../storage/index.ts'
import { batchCapacity as capacity, MergedBatch } from '../cursor.ts'
import type { ScanAnswer } from './requests.ts'

/** What the cursor asks of its transaction. */
export interface ScanSource {
  /** A cursor of this node's engine over the first part of the span, and what is left after it; undefined: not ours; WAIT. */
  openLocal(span: Span, reverse: boolean): { cursor: EngineCursor; rest: Span | undefined } | undefined | typeof WAIT
  /** Asks the leaseholder of the span's first part; raises what a statement raises. Moves nothing. */
  askScan(span: Span, reverse: boolean, limit: number): Promise<ScanAnswer>
  /** Takes an answer in: false when the snapshot had to move and the part must be asked for again. */
  accept(answer: ScanAnswer, span: Span): boolean | Promise<void>
  blocker: { ready(): Promise<void> } | undefined
}

export class ClusterCursor implements EngineCursor {
  readonly #source: ScanSource
  readonly #reverse: boolean
  readonly #span: Span
  /** What is not read yet. */
  #rest: Span | undefined
  #local: EngineCursor | undefined
  readonly #remote = new MergedBatch()
  #waiting: Promise<void> | undefined
  #failure: unknown
  #failed = false
  #answer: ScanAnswer | undefined
  #closed = false

  constructor(source: ScanSource, span: Span, reverse: boolean) {
    this.#source = source
    this.#span = span
    this.#rest = span
    this.#reverse = reverse
  }

  get batch(): EntryBatch {
    return this.#local?.batch ?? this.#remote
  }

  next(limit = capacity): Step {
    for (;;) {
      if (this.#local !== undefined) {
        const step = this.#local.next(limit)
        if (step === WAIT) {
          const local = this.#local
          this.#waiting = local.ready()
          return WAIT
        }
        if (step === ROW) return ROW
        this.#local.close()
        this.#local = undefined
        this.#remote.reset()
      }
      const step = this.#advance(limit)
      if (step !== undefined) return step
    }
  }

  /** Goes on to the next part: a step to answer, or undefined when there is a local cursor to read or more to ask. */
  #advance(limit: number): Step | undefined {
    if (this.#failed) {
      this.#failed = false
      throw this.#failure
    }
    const answer = this.#answer
    if (answer !== undefined) {
      this.#answer = undefined
      const accepted = this.#source.accept(answer, this.#rest!)
      if (accepted instanceof Promise) return this.#await(accepted)
      if (!accepted) return undefined
      this.#rest = answer.resume
      if (answer.keys.length > 0) {
        this.#fill(answer)
        return ROW
      }
    }
    if (this.#rest === undefined || this.#closed) return END
    const opened = this.#source.openLocal(this.#rest, this.#reverse)
    if (opened === WAIT) {
      this.#waiting = this.#source.blocker!.ready()
      return WAIT
    }
    if (opened !== undefined) {
      this.#local = opened.cursor
      this.#rest = opened.rest
      return undefined
    }
    return this.#await(
      this.#source.askScan(this.#rest, this.#reverse, Math.min(limit, capacity)).then((a) => {
        this.#answer = a
      }),
    )
  }

  #await(promise: Promise<void>): Step {
    this.#waiting = promise.catch((error) => {
      this.#failed = true
      this.#failure = error
    })
    return WAIT
  }

  #fill({ keys, values, timestamps }: ScanAnswer): void {
    const out = this.#remote
    out.reset()
    // Keys and values are views into the answer, or copies of their own: one slab for each run of the same memory.
    let slab: Slab | undefined
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]
      const value = values[i]
      if (key.buffer !== value.buffer) {
        const bytes = new Uint8Array(key.length + value.length)
        bytes.set(key)
        bytes.set(value, key.length)
        slab = { bytes, view: new DataView(bytes.buffer) }
        out.add(slab, 0, key.length, key.length, bytes.length, timestamps[i])
        continue
      }
      if (slab === undefined || slab.bytes.buffer !== key.buffer) {
        slab = { bytes: new Uint8Array(key.buffer), view: new DataView(key.buffer) }
      }
      const k = key.byteOffset
      const v = value.byteOffset
      out.add(slab, k, k + key.length, v, v + value.length, timestamps[i])
    }
  }

  seek(key: Uint8Array): void {
    this.#local?.close()
    this.#local = undefined
    this.#answer = undefined
    this.#remote.reset()
    const { start, end } = this.#span
    if (this.#reverse)
      this.#rest = { start, end: end !== undefined && Buffer.compare(end, key) < 0 ? end : key.slice() }
    else this.#rest = { start: Buffer.compare(start, key) > 0 ? start : key.slice(), end }
    if (this.#rest.end !== undefined && Buffer.compare(this.#rest.start, this.#rest.end) >= 0) this.#rest = undefined
  }

  async ready(): Promise<void> {
    await this.#waiting
  }

  close(): void {
    this.#closed = true
    this.#local?.close()
    this.#local = undefined
  }
}
