/**
 * A scan of a transaction that has written in the scanned storage: the engine's entries merged with the overlay's.
 *
 *   engine   a    c d     f          overlay   b   c'  ✗d          result   a b c' f
 *
 * Scans of untouched storages use the engine's cursor as it is.
 */
import { END, ROW, type Step, WAIT } from '../base/index.ts'
import type { EngineCursor, EntryBatch, Slab } from '../storage/index.ts'
import type { Overlay } from './overlay.ts'

export const batchCapacity = 1024
const capacity = batchCapacity

export class MergedBatch implements EntryBatch {
  count = 0
  readonly slabs: Slab[] = []
  readonly slab = new Uint16Array(capacity)
  readonly keyStart = new Int32Array(capacity)
  readonly keyEnd = new Int32Array(capacity)
  readonly valueStart = new Int32Array(capacity)
  readonly valueEnd = new Int32Array(capacity)
  readonly timestamps = new Float64Array(capacity)

  reset(): void {
    this.count = 0
    this.slabs.length = 0
  }

  add(slab: Slab, keyStart: number, keyEnd: number, valueStart: number, valueEnd: number, timestamp: number): void {
    const n = this.slabs.length
    if (n === 0 || this.slabs[n - 1] !== slab) this.slabs.push(slab)
    const i = this.count++
    this.slab[i] = this.slabs.length - 1
    this.keyStart[i] = keyStart
    this.keyEnd[i] = keyEnd
    this.valueStart[i] = valueStart
    this.valueEnd[i] = valueEnd
    this.timestamps[i] = timestamp
  }
}

export class MergedCursor implements EngineCursor {
  readonly batch = new MergedBatch()
  readonly #engine: EngineCursor
  readonly #overlay: Overlay
  readonly #storage: number
  readonly #before: number
  readonly #reverse: boolean
  readonly #keys: readonly string[]
  /** Next overlay key, and where they end (exclusive; -1 when reverse). */
  #at: number
  #stop: number
  readonly #low: number
  readonly #high: number
  #engineAt = 0
  #engineKey: string | undefined
  #engineDone = false

  /** @param before statement number: only versions of earlier statements are seen. */
  constructor(
    engine: EngineCursor,
    overlay: Overlay,
    storage: number,
    start: string,
    end: string | undefined,
    before: number,
    reverse: boolean,
  ) {
    this.#engine = engine
    this.#overlay = overlay
    this.#storage = storage
    this.#before = before
    this.#reverse = reverse
    this.#keys = overlay.keys(storage)
    this.#low = lowerBound(this.#keys, start)
    this.#high = end === undefined ? this.#keys.length : lowerBound(this.#keys, end)
    this.#at = reverse ? this.#high - 1 : this.#low
    this.#stop = reverse ? this.#low - 1 : this.#high
  }

  next(limit = capacity): Step {
    const out = this.batch
    out.reset()
    const most = Math.min(limit, capacity)
    while (out.count < most) {
      if (this.#engineKey === undefined && !this.#engineDone) {
        if (this.#engineAt >= this.#engine.batch.count) {
          // The engine's next batch overwrites the last: hand out first what refers to it.
          if (out.count > 0) return ROW
          const step = this.#engine.next()
          if (step === WAIT) return WAIT
          this.#engineAt = 0
          if (step === END) {
            this.#engineDone = true
            this.#engine.batch.count = 0
          }
        }
        if (!this.#engineDone) this.#engineKey = this.#readEngineKey()
      }
      const own = this.#at === this.#stop ? undefined : this.#keys[this.#at]
      const theirs = this.#engineKey
      if (own === undefined && theirs === undefined) break
      if (own !== undefined && (theirs === undefined || own === theirs || own < theirs !== this.#reverse)) {
        this.#at += this.#reverse ? -1 : 1
        const version = this.#overlay.version(this.#storage, own, this.#before)
        // Not written before this statement: the engine's version, if any, shows.
        if (version === undefined) continue
        if (own === theirs) this.#skipEngine()
        if (version.valueStart >= 0) {
          out.add(
            version.slab,
            version.keyStart,
            version.keyEnd,
            version.valueStart,
            version.valueEnd,
            Number.MAX_SAFE_INTEGER,
          )
        }
        continue
      }
      const b = this.#engine.batch
      const i = this.#engineAt
      out.add(b.slabs[b.slab[i]], b.keyStart[i], b.keyEnd[i], b.valueStart[i], b.valueEnd[i], b.timestamps[i])
      this.#skipEngine()
    }
    return out.count > 0 ? ROW : END
  }

  seek(key: Uint8Array): void {
    const text = keyText(key, 0, key.length)
    const position = Math.min(Math.max(lowerBound(this.#keys, text), this.#low), this.#high)
    this.#at = this.#reverse ? position - 1 : position
    this.#engine.seek(key)
    this.#engineAt = 0
    this.#engine.batch.count = 0
    this.#engineKey = undefined
    this.#engineDone = false
  }

  ready(): Promise<void> {
    return this.#engine.ready()
  }

  close(): void {
    this.#engine.close()
  }

  #readEngineKey(): string {
    const b = this.#engine.batch
    const i = this.#engineAt
    return keyText(b.slabs[b.slab[i]].bytes, b.keyStart[i], b.keyEnd[i])
  }

  #skipEngine(): void {
    this.#engineAt++
    this.#engineKey = undefined
  }
}

/** A key as a string of its bytes: what maps are keyed by; compares as the bytes do. */
export function keyText(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1')
}

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const mid = (low + high) >> 1
    if (keys[mid] < key) low = mid + 1
    else high = mid
  }
  return low
}
