/**
 * Reads a memtable in order. Each leaf is copied into a run of its own: at most 64 entries of four columns, which costs
 * little beside handing them out, and makes the reader deaf to what is inserted meanwhile.
 *
 * Not here: point reads (memtable.ts).
 */
import { assert, END, ROW, type Step } from '../../base/index.ts'
import type { Feed } from './feed.ts'
import { fanout, lengthMask, type Memtable, slotsAt, wordsAt } from './memtable.ts'
import { deletionBit, Run, sameKeyBit } from './run.ts'

const resolved = Promise.resolve()

export class MemtableFeed implements Feed {
  readonly run: Run
  low = 0
  high = 0
  readonly inside = false
  readonly #memtable: Memtable
  #leaf = 0
  #changes = -1
  #firstTimestamp = 0
  #lastTimestamp = 0
  readonly #limit: number

  /** @param limit what was inserted when so many bytes of the arena were in use, or later, is dated to infinity. */
  constructor(memtable: Memtable, limit: number = Number.POSITIVE_INFINITY) {
    this.#memtable = memtable
    this.#limit = limit
    this.run = new Run(
      memtable.bytes,
      memtable.view,
      0,
      new Int32Array(fanout),
      new Int32Array(fanout),
      new Uint16Array(fanout),
      new Float64Array(fanout),
    )
    this.run.words = new Uint32Array(fanout)
  }

  seek(key: DataView, keyStart: number, keyLength: number, at: number): Step {
    const memtable = this.#memtable
    const leaf = memtable.seek(key, keyStart, keyLength, at)
    return this.#from(leaf, memtable.slot)
  }

  seekBefore(key: DataView | undefined, keyStart: number, keyLength: number): Step {
    const memtable = this.#memtable
    if (key === undefined) {
      const leaf = memtable.lastLeaf()
      return this.#before(leaf, memtable.words[leaf])
    }
    const leaf = memtable.seek(key, keyStart, keyLength, Number.MAX_SAFE_INTEGER)
    return this.#before(leaf, memtable.slot)
  }

  next(): Step {
    const memtable = this.#memtable
    if (memtable.changes === this.#changes) return this.#from(memtable.words[this.#leaf + 2], 0)
    // The tree has changed: find the last entry that was handed out, and go on behind it.
    const { run } = this
    const last = run.count - 1
    const leaf = memtable.seek(memtable.view, run.start[last], run.keyLength(last), this.#lastTimestamp)
    return this.#from(leaf, memtable.slot + 1)
  }

  previous(): Step {
    const memtable = this.#memtable
    if (memtable.changes === this.#changes) {
      const leaf = memtable.words[this.#leaf + 3]
      return leaf === 0 ? END : this.#before(leaf, memtable.words[leaf])
    }
    const { run } = this
    const leaf = memtable.seek(memtable.view, run.start[0], run.keyLength(0), this.#firstTimestamp)
    return this.#before(leaf, memtable.slot)
  }

  again(): Step {
    assert(false, 'a memtable never waits')
  }

  ready(): Promise<void> {
    return resolved
  }

  /** Takes the leaf from a slot on; at its end the leaf behind it. */
  #from(leaf: number, slot: number): Step {
    const { words } = this.#memtable
    if (leaf !== 0 && slot >= words[leaf]) {
      leaf = words[leaf + 2]
      slot = 0
    }
    if (leaf === 0 || words[leaf] === 0) return END
    this.#copy(leaf)
    this.low = slot
    return ROW
  }

  /** Takes the leaf up to a slot; at its beginning the leaf before it. */
  #before(leaf: number, slot: number): Step {
    const { words } = this.#memtable
    if (slot === 0) {
      leaf = words[leaf + 3]
      if (leaf === 0) return END
      slot = words[leaf]
    }
    this.#copy(leaf)
    this.high = slot
    return ROW
  }

  #copy(leaf: number): void {
    const { words, doubles, changes } = this.#memtable
    const { run } = this
    const count = words[leaf]
    for (let i = 0; i < count; i++) {
      const header = words[leaf + slotsAt + i]
      const at32 = header >>> 2
      const key = words[at32 + 3]
      const keyStart = words[at32 + 2]
      const keyLength = key & lengthMask
      const value = words[at32 + 4]
      run.timestamp[i] = doubles[header >>> 3]
      run.start[i] = keyStart
      run.valueEnd[i] = value === 0 ? keyStart + keyLength : keyStart + keyLength + value - 1
      run.info[i] = keyLength | (key !== keyLength ? sameKeyBit : 0) | (value === 0 ? deletionBit : 0)
      run.words![i] = words[leaf + wordsAt + i]
    }
    run.count = count
    run.prefix = words[leaf + 1]
    this.low = 0
    this.high = count
    this.#leaf = leaf
    this.#changes = changes
    this.#firstTimestamp = run.timestamp[0]
    this.#lastTimestamp = run.timestamp[count - 1]
    if (this.#limit === Number.POSITIVE_INFINITY) return
    for (let i = 0; i < count; i++) {
      if (words[leaf + slotsAt + i] >= this.#limit) run.timestamp[i] = Number.POSITIVE_INFINITY
    }
  }
}
