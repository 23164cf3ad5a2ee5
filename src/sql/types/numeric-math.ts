/**
 * Roots, exponentials, logarithms and powers of numerics, to the result scales that PostgreSQL chooses: about 16
 * significant digits, never fewer decimals than the arguments have.
 *
 * All work is on fixed-point bigints with guard digits:
 *
 *   ln x      x = d·10^e with d near 1 after halving; ln d = 2·artanh((d-1)/(d+1)); ln 2 and ln 10 from artanh(1/31),
 *             artanh(1/49), artanh(1/161)
 *   exp x     x = k·ln 10 + r; Taylor series of r/2^8, squared eight times
 *
 * Source of the scale rules: PostgreSQL's numeric.c (as facts). Not here: the four operations (numeric.ts).
 */
import { DbError } from '../../base/index.ts'
import {
  big,
  bigAt,
  compareNumeric,
  digitsOf,
  divideAt,
  divideRounded,
  divisionByZero,
  isFiniteNumeric,
  isNumericNaN,
  leadingGroup,
  multiply,
  Numeric,
  negate,
  numericInfinity,
  numericMinusInfinity,
  numericNaN,
  numericOf,
  numericOne,
  numericOverflow,
  numericZero,
  pow10,
  round,
  signOf,
  subtract,
  toFloat,
  truncate,
} from './numeric.ts'

const leastDigits = 16
const mostDecimals = 1000
const log10e = Math.LOG10E

function clampScale(scale: number): number {
  return Math.min(Math.max(scale, 0), mostDecimals)
}

/** Integer square root, rounded down (Newton). */
function integerRoot(n: bigint): bigint {
  if (n < 2n) return n
  let x = 1n << BigInt((n.toString(2).length + 1) >> 1)
  for (;;) {
    const next = (x + n / x) >> 1n
    if (next >= x) return x
    x = next
  }
}

/** The root rounded to a scale. */
export function squareRootAt(a: Numeric, scale: number): Numeric {
  const shift = 2 * (scale + 1) - a.scale
  const radicand = shift >= 0 ? big(a) * pow10(shift) : big(a) / pow10(-shift)
  return numericOf(divideRounded(integerRoot(radicand), 10n), scale)
}

export function squareRoot(a: Numeric): Numeric {
  if (isNumericNaN(a) || a.coefficient === Number.POSITIVE_INFINITY) return a
  if (signOf(a) < 0) {
    throw new DbError('invalid_argument_for_power_function', 'cannot take square root of a negative number')
  }
  const weight = leadingGroup(a).weight
  return squareRootAt(a, clampScale(Math.max(leastDigits - (weight * 2 + 1), a.scale)))
}

/** artanh(1/n) × 10^digits. */
function artanhInverse(n: bigint, digits: number): bigint {
  const square = n * n
  let power = pow10(digits) / n
  let sum = power
  for (let k = 3n; power !== 0n; k += 2n) {
    power /= square
    sum += power / k
  }
  return sum
}

let constantDigits = 0
let ln2 = 0n
let ln10 = 0n

/** ln 2 and ln 10 to at least `digits` decimals, at the scale `constantDigits`. */
function prepareConstants(digits: number): void {
  if (constantDigits >= digits) return
  constantDigits = digits + 20
  const a = artanhInverse(31n, constantDigits)
  const b = artanhInverse(49n, constantDigits)
  const c = artanhInverse(161n, constantDigits)
  ln2 = 14n * a + 10n * b + 6n * c
  ln10 = 46n * a + 34n * b + 20n * c
}

/** ln of a positive value, × 10^digits. */
function lnFixed(a: Numeric, digits: number): bigint {
  const work = digits + 12 + String(digits).length
  prepareConstants(work)
  const unit = pow10(work)
  const length = digitsOf(a).length
  const exponent = length - a.scale
  // d in [0.1, 1), at the scale `work`; doubled until it is near 1.
  let d = length <= work ? big(a) * pow10(work - length) : big(a) / pow10(length - work)
  let doublings = 0n
  const near = (unit * 7n) / 10n
  while (d < near) {
    d <<= 1n
    doublings++
  }
  const z = ((d - unit) * unit) / (d + unit)
  const square = (z * z) / unit
  let power = z
  let sum = z
  for (let k = 3n; power !== 0n; k += 2n) {
    power = (power * square) / unit
    sum += power / k
  }
  const scaled = (constant: bigint) => constant / pow10(constantDigits - work)
  const total = 2n * sum - doublings * scaled(ln2) + BigInt(exponent) * scaled(ln10)
  return divideRounded(total, pow10(work - digits))
}

/** e^a rounded to a scale. */
function exponentialAt(a: Numeric, scale: number): Numeric {
  const value = toFloat(a)
  if (Math.abs(value) >= 6000) {
    if (value > 0) throw numericOverflow()
    return new Numeric(0, scale)
  }
  const tens = Math.round(value * log10e)
  const digits = Math.max(scale + tens, 0) + 14
  prepareConstants(digits + 6)
  const unit = pow10(digits)
  const x = a.scale <= digits ? bigAt(a, digits) : divideRounded(big(a), pow10(a.scale - digits))
  const rest = x - divideRounded(BigInt(tens) * ln10, pow10(constantDigits - digits))
  const reduced = rest / 256n
  let term = unit
  let sum = unit
  for (let k = 1n; term !== 0n; k++) {
    term = (term * reduced) / (unit * k)
    sum += term
  }
  for (let i = 0; i < 8; i++) sum = (sum * sum) / unit
  // sum × 10^(tens - digits), wanted × 10^scale
  const drop = digits - tens - scale
  return numericOf(drop >= 0 ? divideRounded(sum, pow10(drop)) : sum * pow10(-drop), scale)
}

export function exponential(a: Numeric): Numeric {
  if (isNumericNaN(a)) return a
  if (!isFiniteNumeric(a)) return signOf(a) > 0 ? a : numericZero
  const weight = Math.trunc(Math.min(Math.max(toFloat(a) * log10e, -2000), 2000))
  return exponentialAt(a, clampScale(Math.max(leastDigits - weight, a.scale)))
}

const ninetieths = new Numeric(9, 1)
const elevenTenths = new Numeric(11, 1)

/** About the decimal weight of ln a. */
function lnWeight(a: Numeric): number {
  if (signOf(a) <= 0) return 0
  if (compareNumeric(a, ninetieths) >= 0 && compareNumeric(a, elevenTenths) <= 0) {
    const x = subtract(a, numericOne)
    if (x.coefficient === 0) return 0
    const { weight, first } = leadingGroup(x)
    return weight * 4 + Math.trunc(Math.log10(Math.abs(first)))
  }
  const { weight } = leadingGroup(a)
  const digits = digitsOf(a)
  const groupDigits = digits.length - a.scale - weight * 4
  const lead = digits.slice(0, groupDigits + 4).padEnd(groupDigits + 4, '0')
  const ln = Math.log(Number(lead)) + (weight - 1) * 4 * Math.LN10
  return Math.trunc(Math.log10(Math.abs(ln)))
}

function checkLogarithm(a: Numeric): void {
  if (signOf(a) < 0) {
    throw new DbError('invalid_argument_for_logarithm', 'cannot take logarithm of a negative number')
  }
  if (a.coefficient === 0) throw new DbError('invalid_argument_for_logarithm', 'cannot take logarithm of zero')
}

export function naturalLogarithm(a: Numeric): Numeric {
  if (isNumericNaN(a)) return a
  checkLogarithm(a)
  if (!isFiniteNumeric(a)) return a
  const scale = clampScale(Math.max(leastDigits - lnWeight(a), a.scale))
  return numericOf(lnFixed(a, scale), scale)
}

export function logarithm(base: Numeric, a: Numeric): Numeric {
  if (isNumericNaN(base) || isNumericNaN(a)) return numericNaN
  if (!isFiniteNumeric(base) || !isFiniteNumeric(a)) checkLogarithm(signOf(a) < 0 ? a : base)
  checkLogarithm(base)
  checkLogarithm(a)
  if (!isFiniteNumeric(base)) return isFiniteNumeric(a) ? numericZero : numericNaN
  if (!isFiniteNumeric(a)) return numericInfinity
  const baseWeight = lnWeight(base)
  const weight = lnWeight(a)
  const scale = clampScale(Math.max(leastDigits - (weight - baseWeight), base.scale, a.scale))
  const baseScale = Math.max(scale + weight - 2 * baseWeight + 8, 0)
  const ownScale = Math.max(scale - baseWeight + 8, 0)
  const lnBase = numericOf(lnFixed(base, baseScale), baseScale)
  if (lnBase.coefficient === 0) throw divisionByZero()
  return divideAt(numericOf(lnFixed(a, ownScale), ownScale), lnBase, scale)
}

function isIntegral(a: Numeric): boolean {
  return compareNumeric(a, truncate(a, 0)) === 0
}

export function power(base: Numeric, exponent: Numeric): Numeric {
  if (!isFiniteNumeric(base) || !isFiniteNumeric(exponent)) return powerSpecial(base, exponent)
  if (base.coefficient === 0 && signOf(exponent) < 0) {
    throw new DbError('invalid_argument_for_power_function', 'zero raised to a negative power is undefined')
  }
  const integral = isIntegral(exponent)
  if (signOf(base) < 0 && !integral) {
    throw new DbError(
      'invalid_argument_for_power_function',
      'a negative number raised to a non-integer power yields a complex result',
    )
  }
  if (integral) {
    const n = toFloat(exponent)
    if (n >= -0x80000000 && n <= 0x7fffffff) return powerInteger(base, n, clampScale(Math.max(leastDigits, base.scale)))
  }
  if (base.coefficient === 0) return new Numeric(0, leastDigits)
  return powerReal(base, exponent)
}

function powerReal(base: Numeric, exponent: Numeric): Numeric {
  const magnitude = signOf(base) < 0 ? negate(base) : base
  const odd = signOf(base) < 0 && big(truncate(exponent, 0)) % 2n !== 0n
  const weightOfLn = lnWeight(magnitude)
  const rough = Math.max(8 - weightOfLn, 0)
  const estimate = toFloat(multiply(numericOf(lnFixed(magnitude, rough), rough), exponent))
  if (Math.abs(estimate) > 6020) {
    if (estimate > 0) throw numericOverflow()
    return new Numeric(0, mostDecimals)
  }
  const weight = Math.trunc(estimate * log10e)
  const scale = clampScale(Math.max(leastDigits - weight, base.scale, exponent.scale))
  const work = Math.max(Math.max(scale + weight, 0) - weightOfLn + 8, 0)
  const product = round(multiply(numericOf(lnFixed(magnitude, work), work), exponent), work)
  const result = exponentialAt(product, scale)
  return odd ? negate(result) : result
}

function powerInteger(base: Numeric, n: number, scale: number): Numeric {
  if (n === 0) return numericOf(pow10(scale), scale)
  if (n === 1) return round(base, scale)
  if (n === 2) return round(multiply(base, base), scale)
  if (base.coefficient === 0) return new Numeric(0, scale)
  if (n === -1) return divideAt(numericOne, base, scale)
  const digits = digitsOf(base)
  const weight = n * (Math.log10(Number(digits.slice(0, 17))) + Math.max(digits.length - 17, 0) - base.scale)
  if (weight > 3 * 32767 * 4) throw numericOverflow()
  if (weight + 1 < -scale || weight + 1 < -mostDecimals) return new Numeric(0, scale)
  return powerBySquaring(base, n, scale, Math.max(1 + scale + Math.trunc(weight), 1))
}

/** Squares and multiplies, keeping only as many significant digits as the result can show (and guards). */
function powerBySquaring(base: Numeric, n: number, scale: number, significant: number): Numeric {
  const keep = significant + Math.ceil(Math.log10(Math.abs(n))) + 12
  let factor = base
  let result = numericOne
  for (let rest = Math.abs(n); ; ) {
    if (rest % 2 === 1) result = shorten(raw(result, factor), keep)
    rest = Math.floor(rest / 2)
    if (rest === 0) break
    factor = shorten(raw(factor, factor), keep)
  }
  if (n < 0) return divideAtAnyScale(result, scale)
  const final = result.scale >= 0 ? result : numericOf(big(result) * pow10(-result.scale), 0)
  if (digitsOf(final).length - final.scale > 131072) throw numericOverflow()
  return round(final, scale)
}

/** A product without the limits of SQL's numeric; its scale may be negative or large. */
function raw(a: Numeric, b: Numeric): Numeric {
  return numericOf(big(a) * big(b), a.scale + b.scale)
}

function shorten(a: Numeric, keep: number): Numeric {
  const extra = digitsOf(a).length - keep
  return extra <= 0 ? a : numericOf(divideRounded(big(a), pow10(extra)), a.scale - extra)
}

/** 1 / a, where the scale of `a` may be negative. */
function divideAtAnyScale(a: Numeric, scale: number): Numeric {
  const shift = scale + a.scale
  if (shift >= 0) return numericOf(divideRounded(pow10(shift), big(a)), scale)
  return numericOf(divideRounded(1n, big(a) * pow10(-shift)), scale)
}

function powerSpecial(base: Numeric, exponent: Numeric): Numeric {
  const one = new Numeric(1, 0)
  if (isNumericNaN(base)) return exponent.coefficient === 0 ? one : numericNaN
  if (isNumericNaN(exponent)) return compareNumeric(base, numericOne) === 0 ? one : numericNaN
  if (exponent.coefficient === 0) return one
  if (isFiniteNumeric(base)) {
    if (compareNumeric(base, numericOne) === 0) return one
    return powerInfiniteExponent(base, exponent)
  }
  if (!isFiniteNumeric(exponent)) {
    if (signOf(exponent) < 0) return numericZero
    return numericInfinity
  }
  if (signOf(base) < 0) {
    if (!isIntegral(exponent)) {
      throw new DbError(
        'invalid_argument_for_power_function',
        'a negative number raised to a non-integer power yields a complex result',
      )
    }
    if (signOf(exponent) < 0) return numericZero
    return big(truncate(exponent, 0)) % 2n === 0n ? numericInfinity : numericMinusInfinity
  }
  return signOf(exponent) < 0 ? numericZero : numericInfinity
}

function powerInfiniteExponent(base: Numeric, exponent: Numeric): Numeric {
  const positive = signOf(exponent) > 0
  if (base.coefficient === 0) {
    if (positive) return numericZero
    throw new DbError('invalid_argument_for_power_function', 'zero raised to a negative power is undefined')
  }
  const magnitude = compareNumeric(signOf(base) < 0 ? negate(base) : base, numericOne)
  if (magnitude === 0) return new Numeric(1, 0)
  return magnitude > 0 === positive ? numericInfinity : numericZero
}

/** n! */
export function factorial(n: number | bigint): Numeric {
  if (n < 0) throw new DbError('numeric_value_out_of_range', 'factorial of a negative number is undefined')
  if (n > 32177) throw numericOverflow()
  let result = 1n
  for (let i = 2n; i <= BigInt(n); i++) result *= i
  return numericOf(result, 0)
}

/** Greatest common divisor; the result has the larger scale. */
export function greatestDivisor(a: Numeric, b: Numeric): Numeric {
  if (!isFiniteNumeric(a) || !isFiniteNumeric(b)) return numericNaN
  const scale = Math.max(a.scale, b.scale)
  let x = bigAt(a, scale)
  let y = bigAt(b, scale)
  while (y !== 0n) [x, y] = [y, x % y]
  return numericOf(x < 0n ? -x : x, scale)
}

export function leastMultiple(a: Numeric, b: Numeric): Numeric {
  if (!isFiniteNumeric(a) || !isFiniteNumeric(b)) return numericNaN
  const scale = Math.max(a.scale, b.scale)
  if (a.coefficient === 0 || b.coefficient === 0) return numericOf(0, scale)
  const divisor = big(greatestDivisor(a, b))
  const product = (bigAt(a, scale) / divisor) * bigAt(b, scale)
  return numericOf(product < 0n ? -product : product, scale)
}
