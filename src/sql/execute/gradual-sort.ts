/**
 * Sorting that lets go of the loop: parts small enough for a slice are sorted, then merged pairwise, stable as
 * Array.sort is.
 *
 *   │ part │ part │ part │ part │  →  │   run    │   run    │  →  │        all         │
 *
 * Not here: what the rows are (sort.ts), runs on disk.
 */
import { END, type Step, YIELD } from '../../base/index.ts'

/** Rows that Array.sort orders in about a slice, and rows merged between two looks at the clock. */
const part = 8192
const look = 1024

export class GradualSort<T> {
  readonly #order: (a: T, b: T) => number
  #rows: T[]
  #target: T[] = []
  /** Length of the sorted runs, and where the merge stands: the next pair, heads and end of the running one. */
  #run = part
  #sorted = 0
  #pair = 0
  #left = 0
  #right = 0
  #out = 0

  constructor(rows: T[], order: (a: T, b: T) => number) {
    this.#rows = rows
    this.#order = order
  }

  /** The rows, once `step` said END. */
  get rows(): T[] {
    return this.#rows
  }

  /** END when sorted, YIELD when the slice is used up: call again. */
  step(slice: { readonly spent: boolean }): Step {
    if (this.#rows.length <= part) {
      this.#rows.sort(this.#order)
      return END
    }
    while (this.#sorted < this.#rows.length) {
      const end = Math.min(this.#sorted + part, this.#rows.length)
      const sorted = this.#rows.slice(this.#sorted, end).sort(this.#order)
      for (let i = 0; i < sorted.length; i++) this.#rows[this.#sorted + i] = sorted[i]
      this.#sorted = end
      if (slice.spent) return YIELD
    }
    while (this.#run < this.#rows.length) {
      if (this.#pair === 0 && this.#out === 0) {
        this.#target = new Array(this.#rows.length)
        this.#begin()
      }
      while (this.#out < this.#rows.length) {
        this.#merge()
        if (slice.spent) return YIELD
      }
      this.#rows = this.#target
      this.#run *= 2
      this.#pair = this.#out = 0
    }
    this.#target = []
    return END
  }

  #begin(): void {
    this.#left = this.#pair
    this.#right = Math.min(this.#pair + this.#run, this.#rows.length)
  }

  /** Merges some rows of the running pair; begins the next one at its end. */
  #merge(): void {
    const rows = this.#rows
    const target = this.#target
    const order = this.#order
    const middle = Math.min(this.#pair + this.#run, rows.length)
    const end = Math.min(this.#pair + 2 * this.#run, rows.length)
    const stop = Math.min(end, this.#out + look)
    let left = this.#left
    let right = this.#right
    let out = this.#out
    for (; out < stop; out++) {
      const fromLeft = left < middle && (right >= end || order(rows[left], rows[right]) <= 0)
      target[out] = fromLeft ? rows[left++] : rows[right++]
    }
    this.#left = left
    this.#right = right
    this.#out = out
    if (out < end) return
    this.#pair = end
    this.#begin()
  }
}
