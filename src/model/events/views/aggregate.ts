/**
 * Aggregates whose state is the same in whatever order values come. Sums of doubles are not: 0.1 + 0.2 + 0.3 depends on
 * where one begins. So numbers are added as the decimals that they are written as, exactly, and rounded when read.
 *
 * Not here: where values are found (definition.ts).
 */
export interface Aggregate<S> {
  readonly empty: () => S
  /** @param value neither null nor undefined. @param key of the event. Values of other types leave the state as it is. */
  readonly add: (state: S, value: unknown, key: string) => S
  /** Undoes `add` when it can be undone. */
  readonly remove?: (state: S, value: unknown, key: string) => S
  readonly result: (state: S) => unknown
}

/** An exact sum: digits × 10^-scale, and how many numbers are in it. */
interface Sum {
  readonly digits: string
  readonly scale: number
  readonly count: number
}

const nothing: Sum = { digits: '0', scale: 0, count: 0 }

function adding(sign: 1n | -1n) {
  return (sum: Sum, value: unknown): Sum => {
    if (typeof value !== 'number') return sum
    if (sum.scale === 0 && sum.digits.length < 16 && Number.isSafeInteger(value) && Math.abs(value) < 1e15) {
      return { digits: String(Number(sum.digits) + Number(sign) * value), scale: 0, count: sum.count + Number(sign) }
    }
    const [mantissa, exponent] = value.toExponential().split('e')
    const [whole, fraction = ''] = mantissa.split('.')
    let digits = sign * BigInt(whole + fraction)
    let scale = fraction.length - Number(exponent)
    let before = BigInt(sum.digits)
    if (scale < 0) {
      digits *= 10n ** BigInt(-scale)
      scale = 0
    }
    if (scale < sum.scale) digits *= 10n ** BigInt(sum.scale - scale)
    else before *= 10n ** BigInt(scale - sum.scale)
    return reduced(before + digits, Math.max(scale, sum.scale), sum.count + Number(sign))
  }
}

/** One sum, one state: without zeros at the end. */
function reduced(digits: bigint, scale: number, count: number): Sum {
  while (scale > 0 && digits % 10n === 0n) {
    digits /= 10n
    scale--
  }
  return { digits: String(digits), scale, count }
}

function total({ digits, scale }: Sum): number {
  const number = Number(`${digits}e${-scale}`)
  return Number.isFinite(number) ? number : Math.sign(number) * Number.MAX_VALUE
}

type Scalar = string | number | boolean

function isScalar(value: unknown): value is Scalar {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

/** Numbers before strings, and strings by their code units. */
function less(a: number | string, b: number | string): boolean {
  return typeof a === typeof b ? a < b : typeof a === 'number'
}

function extreme(better: (a: number | string, b: number | string) => boolean): Aggregate<number | string | null> {
  return {
    empty: () => null,
    add: (state, value) => {
      if (typeof value !== 'number' && typeof value !== 'string') return state
      return state === null || better(value, state) ? value : state
    },
    result: (state) => state,
  }
}

interface Place {
  readonly key: string
  readonly value: unknown
}

function atEnd(better: (a: string, b: string) => boolean): Aggregate<Place | null> {
  return {
    empty: () => null,
    add: (state, value, key) => (state === null || better(key, state.key) ? { key, value } : state),
    result: (state) => (state === null ? null : state.value),
  }
}

/** Distinct values, and of how many events each is. */
const distinct: Aggregate<Record<string, number>> = {
  empty: () => ({}),
  add: (state, value) => {
    if (isScalar(value)) state[JSON.stringify(value)] = (state[JSON.stringify(value)] ?? 0) + 1
    return state
  },
  remove: (state, value) => {
    if (!isScalar(value)) return state
    const text = JSON.stringify(value)
    if (state[text] === 1) delete state[text]
    else state[text]--
    return state
  },
  result: (state) => {
    const texts = Object.keys(state)
    return texts.sort((a, b) => (a < b ? -1 : 1)).map((text) => JSON.parse(text) as Scalar)
  },
}

export type AggregateName = 'count' | 'sum' | 'avg' | 'min' | 'max' | 'first' | 'last' | 'set'

export const aggregates: Readonly<Record<AggregateName, Aggregate<any>>> = {
  count: { empty: () => 0, add: (n: number) => n + 1, remove: (n: number) => n - 1, result: (n) => n },
  sum: { empty: () => nothing, add: adding(1n), remove: adding(-1n), result: total },
  avg: {
    empty: () => nothing,
    add: adding(1n),
    remove: adding(-1n),
    result: (sum: Sum) => (sum.count === 0 ? null : total(sum) / sum.count),
  },
  min: extreme(less),
  max: extreme((a, b) => less(b, a)),
  first: atEnd((a, b) => a < b),
  last: atEnd((a, b) => a > b),
  set: distinct,
}
