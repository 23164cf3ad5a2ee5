/**
 * Arithmetic, comparison and mathematical functions of float4 and float8, with PostgreSQL's checks: a finite operation
 * that overflows or underflows is an error, NaN equals NaN and is greater than every number.
 *
 * Not here: casts to and from numeric (casts.ts).
 */
import { DbError } from '../../base/index.ts'
import { compareFloat } from '../types/floats.ts'
import { roundEven } from '../types/interval-input.ts'
import { divisionByZero } from '../types/numeric.ts'
import type { FunctionCode } from './function.ts'

export function overflow(): DbError {
  return new DbError('numeric_value_out_of_range', 'value out of range: overflow')
}

function underflow(): DbError {
  return new DbError('numeric_value_out_of_range', 'value out of range: underflow')
}

function inputRange(): DbError {
  return new DbError('numeric_value_out_of_range', 'input is out of range')
}

/** Infinity out of finite operands is an overflow. */
function sum8(result: number, a: number, b: number): number {
  if (!Number.isFinite(result) && Number.isFinite(a) && Number.isFinite(b)) throw overflow()
  return result
}

/** As sum8, and zero out of nonzero factors is an underflow. */
function product8(result: number, a: number, b: number): number {
  if (result === 0 && a !== 0 && b !== 0) throw underflow()
  return sum8(result, a, b)
}

function divide8(a: number, b: number): number {
  if (b === 0 && !Number.isNaN(a)) throw divisionByZero()
  const result = a / b
  if (result === 0 && a !== 0 && Number.isFinite(b)) throw underflow()
  return sum8(result, a, b)
}

/** A double as a float4. */
export function toFloat4(value: number): number {
  const result = Math.fround(value)
  if (!Number.isFinite(result) && Number.isFinite(value)) throw overflow()
  if (result === 0 && value !== 0) throw underflow()
  return result
}

const arithmetic: Record<string, FunctionCode> = {
  float8pl: (a: number, b: number) => {
    const sum = a + b
    return Number.isFinite(sum) ? sum : sum8(sum, a, b)
  },
  float8mi: (a: number, b: number) => {
    const difference = a - b
    return Number.isFinite(difference) ? difference : sum8(difference, a, b)
  },
  float8mul: (a: number, b: number) => product8(a * b, a, b),
  float8div: divide8,
  float4pl: (a: number, b: number) => sum8(Math.fround(a + b), a, b),
  float4mi: (a: number, b: number) => sum8(Math.fround(a - b), a, b),
  float4mul: (a: number, b: number) => product8(Math.fround(a * b), a, b),
  float4div: (a: number, b: number) => {
    if (b === 0 && !Number.isNaN(a)) throw divisionByZero()
    const result = Math.fround(a / b)
    if (result === 0 && a !== 0 && Number.isFinite(b)) throw underflow()
    return sum8(result, a, b)
  },
  float8um: (a: number) => -a,
  float4um: (a: number) => -a,
  float8up: (a: number) => a,
  float4up: (a: number) => a,
  float8abs: (a: number) => Math.abs(a),
  float4abs: (a: number) => Math.abs(a),
}
for (const mixed of ['float48', 'float84']) {
  arithmetic[`${mixed}pl`] = (a: number, b: number) => sum8(a + b, a, b)
  arithmetic[`${mixed}mi`] = (a: number, b: number) => sum8(a - b, a, b)
  arithmetic[`${mixed}mul`] = (a: number, b: number) => product8(a * b, a, b)
  arithmetic[`${mixed}div`] = (a: number, b: number) => divide8(a, b)
}

const comparisons: Record<string, FunctionCode> = {
  float8eq: (a: number, b: number) => a === b || (Number.isNaN(a) && Number.isNaN(b)),
  float8ne: (a: number, b: number) => a !== b && !(Number.isNaN(a) && Number.isNaN(b)),
  float8lt: (a: number, b: number) => a < b || (Number.isNaN(b) && !Number.isNaN(a)),
  float8le: (a: number, b: number) => a <= b || Number.isNaN(b),
  float8gt: (a: number, b: number) => a > b || (Number.isNaN(a) && !Number.isNaN(b)),
  float8ge: (a: number, b: number) => a >= b || Number.isNaN(a),
}
for (const prefix of ['float4', 'float48', 'float84']) {
  comparisons[`${prefix}eq`] = (a: number, b: number) => a === b || (Number.isNaN(a) && Number.isNaN(b))
  comparisons[`${prefix}ne`] = (a: number, b: number) => a !== b && !(Number.isNaN(a) && Number.isNaN(b))
  comparisons[`${prefix}lt`] = (a: number, b: number) => a < b || (Number.isNaN(b) && !Number.isNaN(a))
  comparisons[`${prefix}le`] = (a: number, b: number) => a <= b || Number.isNaN(b)
  comparisons[`${prefix}gt`] = (a: number, b: number) => a > b || (Number.isNaN(a) && !Number.isNaN(b))
  comparisons[`${prefix}ge`] = (a: number, b: number) => a >= b || Number.isNaN(a)
}
for (const prefix of ['float4', 'float8', 'float48', 'float84']) comparisons[`bt${prefix}cmp`] = compareFloat
for (const prefix of ['float4', 'float8']) {
  comparisons[`${prefix}larger`] = (a: number, b: number) => (compareFloat(a, b) > 0 ? a : b)
  comparisons[`${prefix}smaller`] = (a: number, b: number) => (compareFloat(a, b) < 0 ? a : b)
}

function checkedResult(result: number, a: number): number {
  if (!Number.isFinite(result) && Number.isFinite(a)) throw overflow()
  return result
}

function logarithm(name: 'log' | 'log10'): FunctionCode {
  return (a: number) => {
    if (a === 0) throw new DbError('invalid_argument_for_logarithm', 'cannot take logarithm of zero')
    if (a < 0) throw new DbError('invalid_argument_for_logarithm', 'cannot take logarithm of a negative number')
    return Math[name](a)
  }
}

function power(a: number, b: number): number {
  if (Number.isNaN(a)) return b === 0 ? 1 : a
  if (Number.isNaN(b)) return a === 1 ? 1 : b
  if (a === 0 && b < 0) {
    throw new DbError('invalid_argument_for_power_function', 'zero raised to a negative power is undefined')
  }
  if (a < 0 && Number.isFinite(b) && !Number.isInteger(b)) {
    const message = 'a negative number raised to a non-integer power yields a complex result'
    throw new DbError('invalid_argument_for_power_function', message)
  }
  // JavaScript says NaN for ±1 to an infinite power, C says 1.
  if (Math.abs(a) === 1 && !Number.isFinite(b)) return 1
  const result = a ** b
  if (!Number.isFinite(a) || !Number.isFinite(b)) return result
  if (!Number.isFinite(result)) throw overflow()
  if (result === 0 && a !== 0) throw underflow()
  return result
}

function exponential(a: number): number {
  const result = Math.exp(a)
  if (!Number.isFinite(a)) return result
  if (!Number.isFinite(result)) throw overflow()
  if (result === 0) throw underflow()
  return result
}

function squareRoot(a: number): number {
  if (a < 0) throw new DbError('invalid_argument_for_power_function', 'cannot take square root of a negative number')
  return Math.sqrt(a)
}

/** A function of an angle; infinity is refused. */
function ofAngle(f: (a: number) => number): FunctionCode {
  return (a: number) => {
    if (a === Number.POSITIVE_INFINITY || a === Number.NEGATIVE_INFINITY) throw inputRange()
    return f(a)
  }
}

/** An inverse that is defined on [-1, 1]. */
function ofUnit(f: (a: number) => number): FunctionCode {
  return (a: number) => {
    if (a < -1 || a > 1) throw inputRange()
    return f(a)
  }
}

const radian = Math.PI / 180
const sin30 = Math.sin(30 * radian)
const oneMinusCos60 = 1 - Math.cos(60 * radian)
const asinHalf = Math.asin(0.5)
const acosHalf = Math.acos(0.5)
const tan45 = degreesQuotient(45)
const cot45 = 1 / tan45
const atanOne = Math.atan(1)

/** sin of an angle in [0°, 90°], exact at 0, 30 and 90. */
function sineFirst(x: number): number {
  return x <= 30 ? Math.sin(x * radian) / sin30 / 2 : cosineLow(90 - x)
}

function cosineLow(x: number): number {
  return x <= 60 ? 1 - (1 - Math.cos(x * radian)) / oneMinusCos60 / 2 : Math.sin((90 - x) * radian) / sin30 / 2
}

function degreesQuotient(x: number): number {
  return sineFirst(x) / cosineLow(x)
}

function sineDegrees(a: number): number {
  let x = a % 360
  let sign = 1
  if (x < 0) {
    x = -x
    sign = -sign
  }
  if (x > 180) {
    x = 360 - x
    sign = -sign
  }
  if (x > 90) x = 180 - x
  return sign * sineFirst(x)
}

function cosineDegrees(a: number): number {
  let x = Math.abs(a % 360)
  let sign = 1
  if (x > 180) x = 360 - x
  if (x > 90) {
    x = 180 - x
    sign = -sign
  }
  return sign * cosineLow(x)
}

function tangentDegrees(a: number, co: boolean): number {
  let x = a % 360
  let sign = 1
  if (x < 0) {
    x = -x
    sign = -sign
  }
  if (x > 180) {
    x = 360 - x
    sign = -sign
  }
  if (x > 90) {
    x = 180 - x
    sign = -sign
  }
  const value = co ? cosineLow(x) / sineFirst(x) / cot45 : degreesQuotient(x) / tan45
  const result = sign * value
  return result === 0 ? 0 : result
}

function arcsineFirst(x: number): number {
  return x <= 0.5 ? (Math.asin(x) / asinHalf) * 30 : 90 - (Math.acos(x) / acosHalf) * 60
}

function arccosineFirst(x: number): number {
  return x <= 0.5 ? 90 - (Math.asin(x) / asinHalf) * 30 : (Math.acos(x) / acosHalf) * 60
}

const functions: Record<string, FunctionCode> = {
  dround: roundEvenFloat,
  dceil: (a: number) => Math.ceil(a),
  dfloor: (a: number) => Math.floor(a),
  dtrunc: (a: number) => Math.trunc(a),
  dsign: (a: number) => (a > 0 ? 1 : a < 0 ? -1 : 0),
  dsqrt: squareRoot,
  dcbrt: (a: number) => cubeRoot(a),
  dpow: power,
  dexp: exponential,
  dlog1: logarithm('log'),
  dlog10: logarithm('log10'),
  dpi: () => Math.PI,
  degrees: (a: number) => checkedResult(a / radian, a),
  radians: (a: number) => a * radian,
  dacos: ofUnit(Math.acos),
  dasin: ofUnit(Math.asin),
  datan: (a: number) => Math.atan(a),
  datan2: (a: number, b: number) => Math.atan2(a, b),
  dcos: ofAngle(Math.cos),
  dsin: ofAngle(Math.sin),
  dtan: ofAngle(Math.tan),
  dcot: ofAngle((a) => 1 / Math.tan(a)),
  dsind: ofAngle(sineDegrees),
  dcosd: ofAngle(cosineDegrees),
  dtand: ofAngle((a) => tangentDegrees(a, false)),
  dcotd: ofAngle((a) => tangentDegrees(a, true)),
  dasind: ofUnit((a) => (a >= 0 ? arcsineFirst(a) : -arcsineFirst(-a))),
  dacosd: ofUnit((a) => (a >= 0 ? arccosineFirst(a) : 90 + arcsineFirst(-a))),
  datand: (a: number) => (Math.atan(a) / atanOne) * 45,
  datan2d: (a: number, b: number) => (Math.atan2(a, b) / atanOne) * 45,
  dsinh: (a: number) => Math.sinh(a),
  dcosh: (a: number) => Math.cosh(a),
  dtanh: (a: number) => Math.tanh(a),
  dasinh: (a: number) => Math.asinh(a),
  dacosh: (a: number) => {
    if (a < 1) throw inputRange()
    return Math.acosh(a)
  },
  datanh: ofUnit(Math.atanh),
  ftod: (a: number) => a,
  dtof: toFloat4,
}

function roundEvenFloat(a: number): number {
  if (!Number.isFinite(a) || Math.abs(a) >= 2 ** 52) return a
  const result = roundEven(a)
  return result === 0 && a < 0 ? -0 : result
}

/** JavaScript's cbrt, made exact for perfect cubes as C's is. */
function cubeRoot(a: number): number {
  const root = Math.cbrt(a)
  const near = Math.round(root)
  return near ** 3 === a ? near : root
}

export const floatCode: Record<string, FunctionCode> = { ...arithmetic, ...comparisons, ...functions }
