/**
 * Variance, deviation, covariance, correlation and regression.
 *
 * Floats use the Youngs-Cramer updates, in PostgreSQL's order of operations, so that results agree to the last digit.
 * Integers and numerics keep exact sums of the values and of their squares.
 * Source: Youngs and Cramer, "Some results relevant to choice of sum and sum-of-product algorithms", 1971.
 * Not here: sum and avg of exact numbers (aggregates.ts).
 */
import {
  add,
  divideAt,
  fromInteger,
  isFiniteNumeric,
  multiply,
  type Numeric,
  numericNaN,
  numericZero,
  quotientScale,
  signOf,
  subtract,
} from '../types/numeric.ts'
import { squareRootAt } from '../types/numeric-math.ts'
import { overflow } from './float.ts'
import type { AggregateCode } from './function.ts'
import type { Int8 } from './integer.ts'

interface FloatMoments {
  n: number
  sx: number
  sxx: number
}

function floatMoments(finish: (state: FloatMoments) => number | null): AggregateCode<FloatMoments> {
  return {
    strict: true,
    init: () => ({ n: 0, sx: 0, sxx: 0 }),
    step(state, value: number) {
      const before = state.n
      const wasFinite = Number.isFinite(state.sx)
      state.n = before + 1
      state.sx += value
      if (before > 0) {
        const difference = value * state.n - state.sx
        state.sxx += (difference * difference) / (state.n * before)
        if (!Number.isFinite(state.sx) || !Number.isFinite(state.sxx)) {
          if (wasFinite && Number.isFinite(value)) throw overflow()
          state.sxx = Number.NaN
        }
      } else if (!Number.isFinite(value)) {
        state.sxx = Number.NaN
      }
      return state
    },
    finish,
  }
}

interface FloatPairs extends FloatMoments {
  sy: number
  syy: number
  sxy: number
}

function floatPairs(finish: (state: FloatPairs) => number | null): AggregateCode<FloatPairs> {
  return {
    strict: true,
    init: () => ({ n: 0, sx: 0, sxx: 0, sy: 0, syy: 0, sxy: 0 }),
    step(state, y: number, x: number) {
      const before = state.n
      const finite = Number.isFinite(state.sx) && Number.isFinite(state.sy) && Number.isFinite(x) && Number.isFinite(y)
      state.n = before + 1
      state.sx += x
      state.sy += y
      if (before > 0) {
        const dx = x * state.n - state.sx
        const dy = y * state.n - state.sy
        const scale = 1 / (state.n * before)
        state.sxx += dx * dx * scale
        state.syy += dy * dy * scale
        state.sxy += dx * dy * scale
        checkPairs(state, finite)
      } else {
        if (!Number.isFinite(x)) state.sxx = state.sxy = Number.NaN
        if (!Number.isFinite(y)) state.syy = state.sxy = Number.NaN
      }
      return state
    },
    finish,
  }
}

function checkPairs(state: FloatPairs, inputsFinite: boolean): void {
  const all = [state.sx, state.sxx, state.sy, state.syy, state.sxy]
  if (all.every(Number.isFinite)) return
  if (inputsFinite) throw overflow()
  if (!Number.isFinite(state.sxx)) state.sxx = Number.NaN
  if (!Number.isFinite(state.syy)) state.syy = Number.NaN
  if (!Number.isFinite(state.sxy)) state.sxy = Number.NaN
}

interface ExactMoments {
  n: number
  sum: Numeric
  squares: Numeric
}

/** The variance or deviation as PostgreSQL's numeric does it: (n·Σx² - (Σx)²) / (n·(n-1)), or / n². */
function exactMoments(sample: boolean, root: boolean, integers: boolean): AggregateCode<ExactMoments> {
  return {
    strict: true,
    init: () => ({ n: 0, sum: numericZero, squares: numericZero }),
    step(state, value: Numeric | Int8) {
      const x = integers ? fromInteger(value as Int8) : (value as Numeric)
      state.n++
      state.sum = add(state.sum, x)
      state.squares = add(state.squares, multiply(x, x))
      return state
    },
    finish(state) {
      if (state.n === 0 || (sample && state.n === 1)) return null
      if (!isFiniteNumeric(state.sum)) return numericNaN
      const n = fromInteger(state.n)
      const numerator = subtract(multiply(n, state.squares), multiply(state.sum, state.sum))
      if (signOf(numerator) <= 0) return numericZero
      const denominator = multiply(n, sample ? fromInteger(state.n - 1) : n)
      const scale = quotientScale(numerator, denominator)
      const variance = divideAt(numerator, denominator, scale)
      return root ? squareRootAt(variance, scale) : variance
    },
  }
}

const variancePop = (s: FloatMoments) => (s.n === 0 ? null : s.sxx / s.n)
const varianceSample = (s: FloatMoments) => (s.n <= 1 ? null : s.sxx / (s.n - 1))
const rootOf = (f: (s: FloatMoments) => number | null) => (s: FloatMoments) => {
  const value = f(s)
  return value === null ? null : Math.sqrt(value)
}

export const statisticsCode: Record<string, AggregateCode> = {
  corr: floatPairs((s) => (s.n < 1 || s.sxx === 0 || s.syy === 0 ? null : s.sxy / Math.sqrt(s.sxx * s.syy))),
  covar_pop: floatPairs((s) => (s.n < 1 ? null : s.sxy / s.n)),
  covar_samp: floatPairs((s) => (s.n < 2 ? null : s.sxy / (s.n - 1))),
  regr_avgx: floatPairs((s) => (s.n < 1 ? null : s.sx / s.n)),
  regr_avgy: floatPairs((s) => (s.n < 1 ? null : s.sy / s.n)),
  regr_count: floatPairs((s) => s.n),
  regr_intercept: floatPairs((s) => (s.n < 1 || s.sxx === 0 ? null : (s.sy - (s.sx * s.sxy) / s.sxx) / s.n)),
  regr_r2: floatPairs((s) => {
    if (s.n < 1 || s.sxx === 0) return null
    return s.syy === 0 ? 1 : (s.sxy * s.sxy) / (s.sxx * s.syy)
  }),
  regr_slope: floatPairs((s) => (s.n < 1 || s.sxx === 0 ? null : s.sxy / s.sxx)),
  regr_sxx: floatPairs((s) => (s.n < 1 ? null : s.sxx)),
  regr_sxy: floatPairs((s) => (s.n < 1 ? null : s.sxy)),
  regr_syy: floatPairs((s) => (s.n < 1 ? null : s.syy)),
}

for (const type of ['float4', 'float8']) {
  statisticsCode[`avg(${type})`] = floatMoments((s) => (s.n === 0 ? null : s.sx / s.n))
  statisticsCode[`var_pop(${type})`] = floatMoments(variancePop)
  statisticsCode[`var_samp(${type})`] = floatMoments(varianceSample)
  statisticsCode[`variance(${type})`] = floatMoments(varianceSample)
  statisticsCode[`stddev_pop(${type})`] = floatMoments(rootOf(variancePop))
  statisticsCode[`stddev_samp(${type})`] = floatMoments(rootOf(varianceSample))
  statisticsCode[`stddev(${type})`] = floatMoments(rootOf(varianceSample))
}
for (const type of ['int2', 'int4', 'int8', 'numeric']) {
  const integers = type !== 'numeric'
  statisticsCode[`var_pop(${type})`] = exactMoments(false, false, integers)
  statisticsCode[`var_samp(${type})`] = exactMoments(true, false, integers)
  statisticsCode[`variance(${type})`] = exactMoments(true, false, integers)
  statisticsCode[`stddev_pop(${type})`] = exactMoments(false, true, integers)
  statisticsCode[`stddev_samp(${type})`] = exactMoments(true, true, integers)
  statisticsCode[`stddev(${type})`] = exactMoments(true, true, integers)
}
