/**
 * Object identifiers without coordination: every node owns ranges of them, and gives half of its largest to a node that
 * joins with it as sponsor
 * (binary subdivision, as buddy schemes of address allocation do). They are PostgreSQL's oids, so they fit 32 bits.
 *
 *   16384                                                        2^32
 *   ├──────────── node 1 ────────────┼──── node 3 ────┼── node 2 ──┤
 *
 * Not here: keeping ranges on disk (identity.ts, identifier-allocator.ts).
 */
import { assert } from '../base/index.ts'

/** From `first` up to, not including, `end`. */
export interface IdentifierRange {
  readonly first: number
  readonly end: number
}

/** What the first node of a cluster owns: PostgreSQL's oids for users' objects. */
export const allIdentifiers: IdentifierRange = { first: 16384, end: 0x1_0000_0000 }

/** The unused ranges of one node, in order. Pure: every operation changes memory only. */
export class Identifiers {
  #ranges: IdentifierRange[]

  constructor(ranges: readonly IdentifierRange[]) {
    this.#ranges = [...ranges].sort((a, b) => a.first - b.first)
    this.#ranges.forEach((range, i) => {
      assert(isRange(range), `no range of identifiers: [${range.first}, ${range.end})`)
      assert(i === 0 || this.#ranges[i - 1].end <= range.first, 'ranges of identifiers overlap')
    })
  }

  /** As they are now. */
  get ranges(): readonly IdentifierRange[] {
    return [...this.#ranges]
  }

  /** How many identifiers are left. */
  get size(): number {
    return this.#ranges.reduce((sum, range) => sum + range.end - range.first, 0)
  }

  /** Takes up to `count` identifiers out, the lowest first; undefined when none are left. */
  take(count: number): IdentifierRange | undefined {
    const range = this.#ranges[0]
    if (range === undefined) return undefined
    const end = Math.min(range.end, range.first + count)
    if (end === range.end) this.#ranges.shift()
    else this.#ranges[0] = { first: end, end: range.end }
    return { first: range.first, end }
  }

  /** Gives away the upper half of the largest range; undefined when no range has two. */
  split(): IdentifierRange | undefined {
    let largest = -1
    this.#ranges.forEach((range, i) => {
      const size = range.end - range.first
      if (size >= 2 && (largest < 0 || size > this.#ranges[largest].end - this.#ranges[largest].first)) largest = i
    })
    if (largest < 0) return undefined
    const { first, end } = this.#ranges[largest]
    const middle = first + Math.ceil((end - first) / 2)
    this.#ranges[largest] = { first, end: middle }
    return { first: middle, end }
  }

  /** Takes over a range, such as that of a node that is gone for good. */
  add(range: IdentifierRange): void {
    this.#ranges = new Identifiers([...this.#ranges, range]).#ranges
  }
}

export function isRange(range: IdentifierRange): boolean {
  const { first, end } = range
  return (
    Number.isSafeInteger(first) && Number.isSafeInteger(end) && first >= 1 && first < end && end <= allIdentifiers.end
  )
}
