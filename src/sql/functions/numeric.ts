/**
 * Functions and operators of numeric.
 *
 * Not here: the arithmetic itself (types/numeric.ts, types/numeric-math.ts), aggregates (aggregates-numeric.ts).
 */
import { DbError } from '../../base/index.ts'
import {
  add,
  bigAt,
  ceiling,
  compareNumeric,
  divide,
  divideInteger,
  floor,
  fromInteger,
  isFiniteNumeric,
  isNumericNaN,
  maxScale,
  multiply,
  type Numeric,
  negate,
  numericOne,
  remainder,
  round,
  signOf,
  subtract,
  trimScale,
  truncate,
} from '../types/numeric.ts'
import {
  exponential,
  factorial,
  greatestDivisor,
  leastMultiple,
  logarithm,
  naturalLogarithm,
  power,
  squareRoot,
} from '../types/numeric-math.ts'
import { applyNumericTypmod } from '../types/numeric-type.ts'
import type { FunctionCode } from './function.ts'
import { type Int8, int4Range } from './integer.ts'

const ten = fromInteger(10)

/** Scales beyond what numeric can show are the nearest it can. */
function limitScale(scale: number): number {
  return Math.min(Math.max(scale, -131073), maxScale)
}

function bucketError(message: string): DbError {
  return new DbError('invalid_argument_for_width_bucket_function', message)
}

function widthBucketNumeric(value: Numeric, low: Numeric, high: Numeric, count: number): number {
  if (count <= 0) throw bucketError('count must be greater than zero')
  if (isNumericNaN(value) || isNumericNaN(low) || isNumericNaN(high)) {
    throw bucketError('operand, lower bound, and upper bound cannot be NaN')
  }
  if (!isFiniteNumeric(low) || !isFiniteNumeric(high)) throw bucketError('lower and upper bounds must be finite')
  const order = compareNumeric(low, high)
  if (order === 0) throw bucketError('lower bound cannot equal upper bound')
  const up = order < 0
  const below = up ? compareNumeric(value, low) < 0 : compareNumeric(value, low) > 0
  const above = up ? compareNumeric(value, high) >= 0 : compareNumeric(value, high) <= 0
  if (below) return 0
  if (above) return increment(count)
  const scale = Math.max(value.scale, low.scale, high.scale)
  const base = bigAt(low, scale)
  return Number(((bigAt(value, scale) - base) * BigInt(count)) / (bigAt(high, scale) - base)) + 1
}

function increment(count: number): number {
  if (count === 2147483647) throw int4Range()
  return count + 1
}

function widthBucketFloat(value: number, low: number, high: number, count: number): number {
  if (count <= 0) throw bucketError('count must be greater than zero')
  if (Number.isNaN(value) || Number.isNaN(low) || Number.isNaN(high)) {
    throw bucketError('operand, lower bound, and upper bound cannot be NaN')
  }
  if (!Number.isFinite(low) || !Number.isFinite(high)) throw bucketError('lower and upper bounds must be finite')
  if (low === high) throw bucketError('lower bound cannot equal upper bound')
  const up = low < high
  if (up ? value < low : value > low) return 0
  if (up ? value >= high : value <= high) return increment(count)
  const span = up ? high - low : low - high
  const offset = up ? value - low : low - value
  // Halved when the span overflows a double.
  const ratio = Number.isFinite(span)
    ? offset / span
    : (up ? value / 2 - low / 2 : low / 2 - value / 2) / (up ? high / 2 - low / 2 : low / 2 - high / 2)
  return Math.min(Math.trunc(ratio * count), count - 1) + 1
}

/** Digits after the point that the value needs. */
function minScale(a: Numeric): number {
  return trimScale(a).scale
}

export const numericCode: Record<string, FunctionCode> = {
  numeric_add: (a: Numeric, b: Numeric) => add(a, b),
  numeric_sub: (a: Numeric, b: Numeric) => subtract(a, b),
  numeric_mul: (a: Numeric, b: Numeric) => multiply(a, b),
  numeric_div: (a: Numeric, b: Numeric) => divide(a, b),
  numeric_mod: (a: Numeric, b: Numeric) => remainder(a, b),
  numeric_div_trunc: (a: Numeric, b: Numeric) => divideInteger(a, b),
  numeric_uminus: (a: Numeric) => negate(a),
  numeric_uplus: (a: Numeric) => a,
  numeric_abs: (a: Numeric) => (a.coefficient < 0 ? negate(a) : a),
  numeric_sign: (a: Numeric) => (isNumericNaN(a) ? a : fromInteger(signOf(a))),
  numeric_inc: (a: Numeric) => add(a, numericOne),
  numeric_eq: (a: Numeric, b: Numeric) => compareNumeric(a, b) === 0,
  numeric_ne: (a: Numeric, b: Numeric) => compareNumeric(a, b) !== 0,
  numeric_lt: (a: Numeric, b: Numeric) => compareNumeric(a, b) < 0,
  numeric_le: (a: Numeric, b: Numeric) => compareNumeric(a, b) <= 0,
  numeric_gt: (a: Numeric, b: Numeric) => compareNumeric(a, b) > 0,
  numeric_ge: (a: Numeric, b: Numeric) => compareNumeric(a, b) >= 0,
  numeric_cmp: (a: Numeric, b: Numeric) => Math.sign(compareNumeric(a, b)),
  numeric_larger: (a: Numeric, b: Numeric) => (compareNumeric(a, b) > 0 ? a : b),
  numeric_smaller: (a: Numeric, b: Numeric) => (compareNumeric(a, b) < 0 ? a : b),
  numeric_round: (a: Numeric, scale: number) => round(a, limitScale(scale)),
  numeric_trunc: (a: Numeric, scale: number) => truncate(a, limitScale(scale)),
  'round(numeric)': (a: Numeric) => round(a, 0),
  'trunc(numeric)': (a: Numeric) => truncate(a, 0),
  numeric_ceil: (a: Numeric) => ceiling(a),
  numeric_floor: (a: Numeric) => floor(a),
  numeric_sqrt: (a: Numeric) => squareRoot(a),
  numeric_exp: (a: Numeric) => exponential(a),
  numeric_ln: (a: Numeric) => naturalLogarithm(a),
  numeric_log: (base: Numeric, a: Numeric) => logarithm(base, a),
  'log(numeric)': (a: Numeric) => logarithm(ten, a),
  'log10(numeric)': (a: Numeric) => logarithm(ten, a),
  numeric_power: (a: Numeric, b: Numeric) => power(a, b),
  numeric_fac: (a: Int8) => factorial(a),
  numeric_gcd: (a: Numeric, b: Numeric) => greatestDivisor(a, b),
  numeric_lcm: (a: Numeric, b: Numeric) => leastMultiple(a, b),
  numeric_scale: (a: Numeric) => (isFiniteNumeric(a) ? a.scale : null),
  numeric_min_scale: (a: Numeric) => (isFiniteNumeric(a) ? minScale(a) : null),
  numeric_trim_scale: (a: Numeric) => trimScale(a),
  numeric: (a: Numeric, typmod: number) => applyNumericTypmod(a, typmod),
  width_bucket_numeric: widthBucketNumeric,
  width_bucket_float8: widthBucketFloat,
}
