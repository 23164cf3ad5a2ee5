/**
 * Where a source of a merge stands, as numbers: the first eight bytes of its key behind what all keys of the merge share.
 *
 *   key    shared │ word │ word2 │ rest         run    shared │ common to the run │ word of the entry │ …
 *                  0      4       8                            0 … d               d … d + 4
 *
 * A run that has words beside its entries gives both without a look at the entry: merges pass over keys that are far from
 * any cache, and waiting for them one by one is what would take their time.
 */
import { compareAt, keyWord } from './order.ts'
import { keyLengthMask, type Run } from './run.ts'

export class MergeKey {
  word = 0
  word2 = 0
  length = 0
  /** Where what the words do not hold begins in the key; 0: they hold all of it. */
  rest = 0
  #run: Run | undefined
  #i = 0
  /** The words of what is common to the run, zeros behind it. */
  #base = 0
  #base2 = 0
  /** How much longer that is than what the merge shares; −1: the run's words are of no use. */
  #common = -1

  /** The source has another run, or the same with other entries. */
  changeRun(): void {
    this.#run = undefined
  }

  /** @param shared how many bytes all keys of the merge begin with */
  note(run: Run, i: number, shared: number): void {
    if (run !== this.#run) this.#adopt(run, shared)
    this.#i = i
    const length = run.info[i] & keyLengthMask
    const d = this.#common
    this.length = length
    this.rest = length > shared + 8 ? shared + 8 : 0
    if (d >= 0 && (d >= 4 || length <= run.prefix + 4)) {
      const word = run.words![i]
      this.word = d < 4 ? (this.#base | (word >>> (8 * d))) >>> 0 : this.#base
      if (d < 4) this.word2 = d === 0 ? 0 : (word << (32 - 8 * d)) >>> 0
      else this.word2 = d < 8 ? (this.#base2 | (word >>> (8 * d - 32))) >>> 0 : this.#base2
      return
    }
    const start = run.start[i]
    this.word = keyWord(run.view, start, length, shared)
    this.word2 = length > shared + 4 ? keyWord(run.view, start, length, shared + 4) : 0
  }

  #adopt(run: Run, shared: number): void {
    this.#run = run
    const { prefix } = run
    this.#common = run.words !== undefined && prefix >= shared && prefix <= shared + 8 ? prefix - shared : -1
    if (this.#common < 0) return
    this.#base = keyWord(run.view, run.start[0], prefix, shared)
    this.#base2 = prefix > shared + 4 ? keyWord(run.view, run.start[0], prefix, shared + 4) : 0
  }

  /** The sign of (this key) − (the other). */
  compare(other: MergeKey): number {
    if (this.word !== other.word) return this.word < other.word ? -1 : 1
    if (this.word2 !== other.word2) return this.word2 < other.word2 ? -1 : 1
    const { rest } = this
    if (rest === 0 || other.rest === 0) return this.length - other.length
    const [a, b] = [this.#run!, other.#run!]
    return compareAt(a.view, a.start[this.#i], this.length, b.view, b.start[other.#i], other.length, rest)
  }

  /** The first entry in (i, end) of the run whose key is ≥ the other, `end` when there is none; entry i's is smaller. */
  gallop(run: Run, i: number, end: number, other: MergeKey): number {
    const d = this.#common
    const theirs = other.#run!
    const start = theirs.start[other.#i]
    if (d < 0 || run !== this.#run || other.rest !== 0) return run.gallop(i, end, theirs.view, start, other.length)
    // As entry i is smaller, a key that does not begin as all entries do is behind them.
    if (!this.#beginsAsRun(other, d)) return end
    let word = d < 4 ? other.word << (8 * d) : d < 8 ? other.word2 << (8 * d - 32) : 0
    if (d > 0 && d < 4) word |= other.word2 >>> (32 - 8 * d)
    word >>>= 0
    const at = run.gallopWords(i, end, word)
    if (at === end || run.words![at] !== word) return at
    if (other.length <= run.prefix + 4 && (run.info[at] & keyLengthMask) === other.length) return at
    return run.gallop(i, end, theirs.view, start, other.length)
  }

  #beginsAsRun(other: MergeKey, d: number): boolean {
    if (d < 4) return d === 0 || (other.word ^ this.#base) >>> (32 - 8 * d) === 0
    if (other.word !== this.#base) return false
    return d === 4 || (other.word2 ^ this.#base2) >>> (64 - 8 * d) === 0
  }
}
