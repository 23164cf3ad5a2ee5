/**
 * Aggregates whose states are a few doubles, so that those of all groups lie in one typed array:
 *
 *   sum, avg of integers   [ sum │ count ]      what a double cannot hold is carried to a bigint beside the array
 *   sum of floats          [ sum │ count ]
 *   count                  [ count ]
 *   min, max               [ value ]            NaN: none yet; bigints beside the array
 *
 * Each has two forms that must agree: source text for code that is made for a query, and a method for any value.
 * Aggregates that are not here keep an object a group, as everywhere else.
 *
 * Not here: the results, which are made from the states of the plain aggregates (aggregates.ts).
 */
import type { Value } from '../types/type.ts'
import { aggregateKey } from './aggregates.ts'
import { overflow } from './float.ts'
import type { FunctionRow } from './function.ts'

/** What does not fit doubles, by position in the array. */
export type Wide = Map<number, bigint>

export interface Accumulator {
  /** What the doubles of a new group are. */
  readonly initial: readonly number[]
  /**
   * Source that takes a value (a finite double that is exact, or ±Infinity of a date or float) into `acc` at `at`; `value`
   * and `at` are pure expressions. It may use `carry` and `overflowed` below, and `wide`.
   */
  source(at: string, value: string): string
  /** The same for any value but null. Raises what the plain aggregate's step raises. */
  take(acc: Float64Array, at: number, wide: Wide, value: Value): void
  /** Writes what was taken into a fresh state of the plain aggregate. */
  save(acc: Float64Array, at: number, wide: Wide, state: any): void
}

const most = Number.MAX_SAFE_INTEGER

/** Empties a sum that would leave the safe integers into its bigint. */
export function carry(wide: Wide, acc: Float64Array, at: number, value: number | bigint): void {
  wide.set(at, (wide.get(at) ?? 0n) + BigInt(acc[at]) + BigInt(value))
  acc[at] = 0
}

/** Of a sum of floats that became infinite or NaN. */
export function overflowed(sum: number, value: number): void {
  if (Number.isFinite(sum) && Number.isFinite(value)) throw overflow()
}

const count: Accumulator = {
  initial: [0],
  source: (at) => `acc[${at}] += 1`,
  take(acc, at) {
    acc[at]++
  },
  save(acc, at, _wide, state) {
    state.count = acc[at]
  },
}

function integerSum(save: Accumulator['save']): Accumulator {
  return {
    initial: [0, 0],
    source: (at, value) =>
      `const sum = acc[${at}] + ${value}
       if (sum > ${most} || sum < -${most}) carry(wide, acc, ${at}, ${value})
       else acc[${at}] = sum
       acc[${at} + 1] += 1`,
    take(acc, at, wide, value) {
      const sum = typeof value === 'number' ? acc[at] + value : Number.NaN
      if (Number.isSafeInteger(sum)) acc[at] = sum
      else carry(wide, acc, at, value)
      acc[at + 1]++
    },
    save,
  }
}

/** sum of int2 and int4: one of 2^32 rows is still an int8. */
const smallSum = integerSum((acc, at, wide, state) => {
  const carried = wide.get(at)
  state.count = acc[at + 1]
  const sum = carried === undefined ? acc[at] : carried + BigInt(acc[at])
  state.sum = typeof sum === 'bigint' && Number.isSafeInteger(Number(sum)) ? Number(sum) : sum
})

const exactSum = integerSum((acc, at, wide, state) => {
  state.count = acc[at + 1]
  state.sum = acc[at]
  state.carried = wide.get(at) ?? 0n
})

function floatSum(single: boolean): Accumulator {
  const rounded = (sum: string) => (single ? `Math.fround(${sum})` : sum)
  return {
    initial: [0, 0],
    source: (at, value) =>
      `const sum = acc[${at} + 1] === 0 ? ${value} : ${rounded(`acc[${at}] + ${value}`)}
       if (sum - sum !== 0) overflowed(acc[${at}], ${value})
       acc[${at}] = sum
       acc[${at} + 1] += 1`,
    take(acc, at, _wide, value: number) {
      const first = acc[at + 1] === 0
      const sum = first ? value : single ? Math.fround(acc[at] + value) : acc[at] + value
      if (!Number.isFinite(sum)) overflowed(acc[at], value)
      acc[at] = sum
      acc[at + 1]++
    },
    save(acc, at, _wide, state) {
      state.count = acc[at + 1]
      state.sum = acc[at]
    },
  }
}

/** Of integers, dates and timestamps, among which there is no NaN. */
function extreme(largest: boolean): Accumulator {
  const beats = (a: number | bigint, b: number | bigint) => (largest ? a > b : a < b)
  return {
    initial: [Number.NaN],
    source: (at, value) => `if (!(${value} ${largest ? '<=' : '>='} acc[${at}])) acc[${at}] = ${value}`,
    take(acc, at, wide, value: number | bigint) {
      if (typeof value === 'number') {
        if (Number.isNaN(acc[at]) || beats(value, acc[at])) acc[at] = value
        return
      }
      const known = wide.get(at)
      if (known === undefined || beats(value, known)) wide.set(at, value)
    },
    save(acc, at, wide, state) {
      const known = wide.get(at)
      if (!Number.isNaN(acc[at])) state.value = acc[at]
      if (known !== undefined && (state.value === null || beats(known, state.value))) state.value = known
    },
  }
}

const ordered = new Set(['int2', 'int4', 'int8', 'oid', 'date', 'time', 'timestamp', 'timestamptz'])

const byKey: Record<string, Accumulator> = {
  'sum(int2)': smallSum,
  'sum(int4)': smallSum,
  'sum(int8)': exactSum,
  'avg(int2)': exactSum,
  'avg(int4)': exactSum,
  'avg(int8)': exactSum,
  'sum(float4)': floatSum(true),
  'sum(float8)': floatSum(false),
}
const largest = extreme(true)
const smallest = extreme(false)

/** Undefined for aggregates that need more than doubles. */
export function accumulatorOf(row: FunctionRow): Accumulator | undefined {
  if (row.name === 'count') return count
  const key = aggregateKey(row)
  const known = byKey[key]
  if (known !== undefined) return known
  const [, name, argument] = /^(min|max)\((\w+)\)$/.exec(key) ?? []
  if (argument === undefined || !ordered.has(argument)) return undefined
  return name === 'max' ? largest : smallest
}
