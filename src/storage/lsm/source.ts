/**
 * A source of a merge: a feed, a position in its run, and the loops that hand out what is visible at a timestamp.
 *
 *   forward   the newest version ≤ S of a key is the first one that qualifies; the rest of the key is skipped by mark
 *   reverse   versions come oldest first; the last one that qualifies is held until the key's first version is passed
 *
 * `drain` hands out whole keys up to a bound without comparing keys, run by run: that is the hot path. `takeKey` and
 * `skipKey` settle a single key that several sources have.
 *
 * Not here: choosing among sources (merge-cursor.ts).
 */
import { END, ROW, type Step } from '../../base/index.ts'
import type { Slab } from '../engine.ts'
import { batchCapacity, type SlabBatch } from '../entry-batch.ts'
import type { Feed } from './feed.ts'
import { MergeKey } from './merge-key.ts'
import type { BoundView } from './order.ts'
import { deletionBit, keyLengthMask, type Run, sameKeyBit } from './run.ts'

export class Source {
  readonly feed: Feed
  /** Newer data first: among sources with one key the lowest decides. */
  readonly priority: number
  readonly #at: number
  readonly #deletions: boolean
  /** Forward: where it ends. */
  readonly #until: BoundView | undefined
  readonly #key = new MergeKey()
  run: Run
  /** The current entry. */
  i = 0
  /** The feed has nothing more. */
  exhausted = false
  #low = 0
  #high = 0
  /** Forward: nothing behind this run is before the end. */
  #last = false
  /** Forward: the key before the current entry is settled, so what carries the same-key mark is skipped. */
  #taken = false
  /** Reverse: the newest visible version so far of the key being passed. */
  #held = false
  #heldSlab: Slab
  #heldStart = 0
  #heldKeyEnd = 0
  #heldValueEnd = 0
  #heldInfo = 0
  #heldTimestamp = 0

  constructor(feed: Feed, priority: number, at: number, deletions: boolean, until: BoundView | undefined) {
    this.#until = until
    this.feed = feed
    this.priority = priority
    this.#at = at
    this.#deletions = deletions
    this.run = feed.run
    this.#heldSlab = feed.run
  }

  /** Starts at the first entry at or behind a key. */
  seek(key: DataView, length: number): Step {
    this.#taken = false
    this.#last = false
    return this.#adoptForward(this.feed.seek(key, 0, length, this.#at))
  }

  seekBefore(key: DataView | undefined, length: number): Step {
    this.#held = false
    return this.#adoptReverse(this.feed.seekBefore(key, 0, length))
  }

  /** After the feed's `ready`. */
  resume(reverse: boolean): Step {
    const step = this.feed.again()
    return reverse ? this.#adoptReverse(step) : this.#adoptForward(step)
  }

  compareKey(key: DataView, start: number, length: number): number {
    return this.run.compareKey(this.i, key, start, length)
  }

  /** To be called when it has moved, before `compareTo`. @param shared how many bytes all keys of the merge begin with */
  noteKey(shared: number): void {
    this.#key.note(this.run, this.i, shared)
  }

  /** The sign of (this source's key) − (the other's). */
  compareTo(other: Source): number {
    return this.#key.compare(other.#key)
  }

  get view(): DataView {
    return this.run.view
  }

  get keyStart(): number {
    return this.run.start[this.i]
  }

  get keyLength(): number {
    return this.run.info[this.i] & keyLengthMask
  }

  /**
   * Hands out visible keys < the key where `stop` stands until the batch has `limit`; the current key is. ROW: the source
   * stands at a key that is to come; END; WAIT.
   */
  drain(out: SlabBatch, limit: number, stop: Source | undefined): Step {
    for (;;) {
      const { run } = this
      let end = this.#high
      if (stop !== undefined) end = this.#key.gallop(run, this.i, end, stop.#key)
      this.#emit(out, run, end, limit)
      if (this.i < end) return this.settle()
      if (end < this.#high) return ROW
      const step = this.#adoptForward(this.#next())
      if (step !== ROW || out.count === limit) return step
      // The next run may begin at or beyond the bound.
      if (stop !== undefined && this.compareKey(stop.view, stop.keyStart, stop.keyLength) >= 0) return ROW
    }
  }

  /** Moves past versions of the key that is settled. */
  settle(): Step {
    for (;;) {
      const { info } = this.run
      while (this.i < this.#high) {
        if (!this.#taken || (info[this.i] & sameKeyBit) === 0) return ROW
        this.i++
      }
      const step = this.#next()
      if (step !== ROW) return this.#adoptForward(step)
      if (!this.#takeRun()) return this.#adoptForward(END)
    }
  }

  #next(): Step {
    return this.#last ? END : this.feed.next()
  }

  /** Takes the feed's run, as far as it lies before the end; false when nothing does. */
  #takeRun(): boolean {
    const { run, low, high } = this.feed
    const until = this.#until
    this.run = run
    this.i = low
    this.#high = high
    this.#key.changeRun()
    if (until === undefined || this.feed.inside || run.compareKey(high - 1, until.view, 0, until.length) < 0)
      return true
    this.#last = true
    const end = run.lowerBound(until.view, 0, until.length, Number.MAX_SAFE_INTEGER)
    if (end < high) this.#high = end
    return low < this.#high
  }

  /** ROW when a version of the current key is visible (handed out, unless it is a hidden deletion); END; WAIT. */
  takeKey(out: SlabBatch): Step {
    let first = true
    this.#taken = false
    for (;;) {
      const { run } = this
      for (; this.i < this.#high; this.i++) {
        if (!first && (run.info[this.i] & sameKeyBit) === 0) return END
        first = false
        if (run.timestamp[this.i] > this.#at) continue
        this.#push(out, run, this.i)
        this.#taken = true
        this.i++
        return ROW
      }
      const step = this.#adoptForward(this.#next())
      if (step !== ROW) return step
    }
  }

  /** The current key was settled by another source. */
  skipKey(): Step {
    this.#taken = true
    this.i++
    return this.settle()
  }

  /** As `drain`, downwards: keys > stop, or ≥ stop when it is inclusive. */
  drainReverse(
    out: SlabBatch,
    limit: number,
    stop: DataView | undefined,
    stopStart: number,
    stopLength: number,
    inclusive: boolean,
  ): Step {
    for (;;) {
      const { run } = this
      let start = this.#low
      let bounded = false
      if (stop !== undefined) {
        const side = run.compareKey(start, stop, stopStart, stopLength)
        if (side < 0 || (side === 0 && !inclusive)) {
          bounded = true
          start = run.lowerBound(stop, stopStart, stopLength, inclusive ? Number.MAX_SAFE_INTEGER : -1)
        }
      }
      while (this.i >= start && out.count < limit) this.#passKey(out, run, start)
      if (this.i >= start || bounded) return ROW
      const step = this.#adoptReverse(this.feed.previous())
      if (step !== ROW) {
        if (step === END) this.#emitHeld(out)
        return step
      }
    }
  }

  /** Settles the current key, downwards. */
  takeKeyReverse(out: SlabBatch): Step {
    for (;;) {
      const { run } = this
      while (this.i >= this.#low) {
        this.#hold(run, this.i)
        const last = (run.info[this.i--] & sameKeyBit) === 0
        if (last) return this.#emitHeld(out) ? ROW : END
      }
      const step = this.#adoptReverse(this.feed.previous())
      if (step === END) return this.#emitHeld(out) ? ROW : END
      if (step !== ROW) return step
    }
  }

  skipKeyReverse(): Step {
    for (;;) {
      const { info } = this.run
      while (this.i >= this.#low) {
        if ((info[this.i--] & sameKeyBit) === 0) {
          this.#held = false
          return this.settleReverse()
        }
      }
      const step = this.#adoptReverse(this.feed.previous())
      if (step !== ROW) return step
    }
  }

  /** Brings the entry before the ones passed within reach. */
  settleReverse(): Step {
    return this.i >= this.#low ? ROW : this.#adoptReverse(this.feed.previous())
  }

  #adoptForward(step: Step): Step {
    if (step === ROW && !this.#takeRun()) step = END
    this.exhausted = step === END
    if (step !== ROW) return step
    return this.#taken ? this.settle() : ROW
  }

  #adoptReverse(step: Step): Step {
    this.exhausted = step === END
    if (step !== ROW) return step
    this.run = this.feed.run
    this.#key.changeRun()
    this.#low = this.feed.low
    this.i = this.feed.high - 1
    return ROW
  }

  /** Hands out what is visible among [i, end). */
  #emit(out: SlabBatch, run: Run, end: number, limit: number): void {
    if (run.newestOfPlain > this.#at) {
      this.#emitVisible(out, run, end, limit)
      return
    }
    const room = (limit < batchCapacity ? limit : batchCapacity) - out.count
    const { i } = this
    const n = end - i < room ? end - i : room
    if (n <= 0) return
    emitPlain(out, run, i, n)
    this.i = i + n
    this.#taken = true
  }

  /** The same where some versions may be hidden. */
  #emitVisible(out: SlabBatch, run: Run, end: number, limit: number): void {
    const { start, valueEnd, info, timestamp } = run
    const { slab, keyStart, keyEnd, valueStart, valueEnd: ends, timestamps } = out
    const at = this.#at
    const deletions = this.#deletions
    const most = limit < batchCapacity ? limit : batchCapacity
    let number = -1
    let taken = this.#taken
    let { count } = out
    let i = this.i
    for (; i < end && count < most; i++) {
      const mark = info[i]
      if ((mark & sameKeyBit) === 0) taken = false
      else if (taken) continue
      const version = timestamp[i]
      if (version > at) continue
      taken = true
      const deleted = mark >= deletionBit
      if (deleted && !deletions) continue
      if (number < 0) number = out.slabNumber(run)
      const key = start[i]
      const behind = key + (mark & keyLengthMask)
      slab[count] = number
      keyStart[count] = key
      keyEnd[count] = behind
      valueStart[count] = deleted ? -1 : behind
      ends[count] = deleted ? -1 : valueEnd[i]
      timestamps[count] = version
      count++
    }
    out.count = count
    this.i = i
    this.#taken = taken
  }

  /** Passes one key downwards, as far as it lies in [start, i]. */
  #passKey(out: SlabBatch, run: Run, start: number): void {
    const { info, timestamp } = run
    const at = this.#at
    let held = -1
    let i = this.i
    while (i >= start) {
      if (timestamp[i] <= at) held = i
      if ((info[i] & sameKeyBit) === 0) {
        this.i = i - 1
        if (held >= 0) {
          this.#held = false
          this.#push(out, run, held)
        } else this.#emitHeld(out)
        return
      }
      i--
    }
    this.i = i
    if (held >= 0) this.#hold(run, held)
  }

  #hold(run: Run, i: number): void {
    if (run.timestamp[i] > this.#at) return
    this.#held = true
    this.#heldSlab = { bytes: run.bytes, view: run.view }
    this.#heldStart = run.start[i]
    this.#heldKeyEnd = run.start[i] + (run.info[i] & keyLengthMask)
    this.#heldValueEnd = run.valueEnd[i]
    this.#heldInfo = run.info[i]
    this.#heldTimestamp = run.timestamp[i]
  }

  /** Hands out the held version, if there is one; tells whether there was. */
  #emitHeld(out: SlabBatch): boolean {
    if (!this.#held) return false
    this.#held = false
    const deleted = (this.#heldInfo & deletionBit) !== 0
    if (deleted && !this.#deletions) return true
    const i = out.count++
    out.slab[i] = out.slabNumber(this.#heldSlab)
    out.keyStart[i] = this.#heldStart
    out.keyEnd[i] = this.#heldKeyEnd
    out.valueStart[i] = deleted ? -1 : this.#heldKeyEnd
    out.valueEnd[i] = deleted ? -1 : this.#heldValueEnd
    out.timestamps[i] = this.#heldTimestamp
    return true
  }

  #push(out: SlabBatch, run: Run, i: number): void {
    const mark = run.info[i]
    const deleted = (mark & deletionBit) !== 0
    if (deleted && !this.#deletions) return
    const count = out.count++
    const behind = run.start[i] + (mark & keyLengthMask)
    out.slab[count] = out.slabNumber(run)
    out.keyStart[count] = run.start[i]
    out.keyEnd[count] = behind
    out.valueStart[count] = deleted ? -1 : behind
    out.valueEnd[count] = deleted ? -1 : run.valueEnd[i]
    out.timestamps[count] = run.timestamp[i]
  }
}

/** The hot loop: hands out `n` entries from `i` on, all of them visible. */
function emitPlain(out: SlabBatch, run: Run, i: number, n: number): void {
  const { start, valueEnd, info, timestamp } = run
  const { slab, keyStart, keyEnd, valueStart, valueEnd: ends, timestamps } = out
  const number = out.slabNumber(run)
  let { count } = out
  for (const behind = i + n; i < behind; i++, count++) {
    const key = start[i]
    const value = key + info[i]
    slab[count] = number
    keyStart[count] = key
    keyEnd[count] = value
    valueStart[count] = value
    ends[count] = valueEnd[i]
    timestamps[count] = timestamp[i]
  }
  out.count = count
}
