/**
 * The value of numeric: an exact decimal, coefficient × 10^-scale, where the scale is also how many digits are shown.
 *
 *   12.50  =  { coefficient: 1250, scale: 2 }
 *
 * The coefficient is a number while it is a safe integer and a bigint beyond (canonical, so small arithmetic never
 * touches bigints); NaN and ±Infinity are a coefficient that is no integer, with scale 0. Result scales of the operations
 * are PostgreSQL's (its src/backend/utils/adt/numeric.c is the reference for the rules, the arithmetic here is our own).
 *
 * Not here: roots, logarithms and powers (numeric-math.ts), the SQL type (numeric-type.ts).
 */
import { DbError } from '../../base/index.ts'

const safe = Number.MAX_SAFE_INTEGER
const bigSafe = BigInt(safe)
const small10 = Array.from({ length: 16 }, (_, i) => 10 ** i)
const big10: bigint[] = [1n]

/** Most digits before and after the decimal point, as in PostgreSQL's storage format. */
const maxIntegerDigits = 131072
export const maxScale = 16383

/** 10^n as a bigint, remembered while small. */
export function pow10(n: number): bigint {
  if (n > 400) return 10n ** BigInt(n)
  for (let i = big10.length; i <= n; i++) big10.push(big10[i - 1] * 10n)
  return big10[n]
}

export class Numeric {
  readonly coefficient: number | bigint
  readonly scale: number

  /** `coefficient` must be canonical: a bigint only when not a safe integer. */
  constructor(coefficient: number | bigint, scale: number) {
    this.coefficient = coefficient
    this.scale = scale
  }

  toString(): string {
    return formatNumeric(this)
  }
}

export const numericNaN = new Numeric(Number.NaN, 0)
export const numericInfinity = new Numeric(Number.POSITIVE_INFINITY, 0)
export const numericMinusInfinity = new Numeric(Number.NEGATIVE_INFINITY, 0)
export const numericZero = new Numeric(0, 0)
export const numericOne = new Numeric(1, 0)

export function numericOverflow(): DbError {
  return new DbError('numeric_value_out_of_range', 'value overflows numeric format')
}

export function divisionByZero(): DbError {
  return new DbError('division_by_zero', 'division by zero')
}

/** From any integer and a scale. */
export function numericOf(coefficient: number | bigint, scale: number): Numeric {
  if (typeof coefficient === 'number') return new Numeric(coefficient + 0, scale)
  if (coefficient <= bigSafe && coefficient >= -bigSafe) return new Numeric(Number(coefficient), scale)
  return new Numeric(coefficient, scale)
}

export function isFiniteNumeric(a: Numeric): boolean {
  return typeof a.coefficient === 'bigint' || Number.isFinite(a.coefficient)
}

export function isNumericNaN(a: Numeric): boolean {
  return Number.isNaN(a.coefficient)
}

/** The coefficient as a bigint; finite values only. */
export function big(a: Numeric): bigint {
  return typeof a.coefficient === 'bigint' ? a.coefficient : BigInt(a.coefficient)
}

/** The coefficient that the value has at a scale not below its own. */
export function bigAt(a: Numeric, scale: number): bigint {
  return scale === a.scale ? big(a) : big(a) * pow10(scale - a.scale)
}

/** The coefficient at a higher scale as a safe number, or NaN. */
function numberAt(a: Numeric, scale: number): number {
  if (typeof a.coefficient !== 'number') return Number.NaN
  const shift = scale - a.scale
  if (shift > 15) return a.coefficient === 0 ? 0 : Number.NaN
  const value = a.coefficient * small10[shift]
  return value <= safe && value >= -safe ? value : Number.NaN
}

export function signOf(a: Numeric): number {
  return a.coefficient > 0 ? 1 : a.coefficient < 0 ? -1 : 0
}

export function compareNumeric(a: Numeric, b: Numeric): number {
  const x = a.coefficient
  const y = b.coefficient
  if (a.scale === b.scale) {
    if (x < y) return -1
    if (x > y) return 1
    if (x === y) return 0
  }
  if (Number.isNaN(x)) return Number.isNaN(y) ? 0 : 1
  if (Number.isNaN(y)) return -1
  if (!isFiniteNumeric(a) || !isFiniteNumeric(b)) return x < y ? -1 : x > y ? 1 : 0
  const scale = Math.max(a.scale, b.scale)
  const p = numberAt(a, scale)
  const q = numberAt(b, scale)
  if (!Number.isNaN(p) && !Number.isNaN(q)) return p - q
  const u = bigAt(a, scale)
  const v = bigAt(b, scale)
  return u < v ? -1 : u > v ? 1 : 0
}

export function add(a: Numeric, b: Numeric): Numeric {
  const x = a.coefficient
  const y = b.coefficient
  if (a.scale === b.scale && typeof x === 'number' && typeof y === 'number') {
    const sum = x + y
    if (sum <= safe && sum >= -safe) return new Numeric(sum, a.scale)
  }
  if (!isFiniteNumeric(a) || !isFiniteNumeric(b)) {
    const special = (isFiniteNumeric(a) ? 0 : (x as number)) + (isFiniteNumeric(b) ? 0 : (y as number))
    return new Numeric(special, 0)
  }
  const scale = Math.max(a.scale, b.scale)
  const sum = numberAt(a, scale) + numberAt(b, scale)
  if (sum <= safe && sum >= -safe) return new Numeric(sum, scale)
  return checked(numericOf(bigAt(a, scale) + bigAt(b, scale), scale))
}

export function negate(a: Numeric): Numeric {
  const c = a.coefficient
  return new Numeric(typeof c === 'number' ? 0 - c : -c, a.scale)
}

export function subtract(a: Numeric, b: Numeric): Numeric {
  const x = a.coefficient
  const y = b.coefficient
  if (a.scale === b.scale && typeof x === 'number' && typeof y === 'number') {
    const difference = x - y
    if (difference <= safe && difference >= -safe) return new Numeric(difference, a.scale)
  }
  return add(a, negate(b))
}

export function multiply(a: Numeric, b: Numeric): Numeric {
  const x = a.coefficient
  const y = b.coefficient
  const scale = a.scale + b.scale
  if (typeof x === 'number' && typeof y === 'number') {
    const product = x * y
    if (product <= safe && product >= -safe && scale <= maxScale) return new Numeric(product + 0, scale)
  }
  if (!isFiniteNumeric(a) || !isFiniteNumeric(b)) return new Numeric(toFloat(a) * toFloat(b), 0)
  const product = numericOf(big(a) * big(b), scale)
  return checked(scale > maxScale ? round(product, maxScale) : product)
}

/** Quotient of integers, rounded half away from zero. */
export function divideRounded(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator
  const rest = numerator - quotient * denominator
  const twice = 2n * (rest < 0n ? -rest : rest)
  if (twice < (denominator < 0n ? -denominator : denominator)) return quotient
  return numerator < 0n === denominator < 0n ? quotient + 1n : quotient - 1n
}

/** Weight in base-10000 digits and the first such digit, as PostgreSQL's variable-length format has them. */
export function leadingGroup(a: Numeric): { weight: number; first: number } {
  if (a.coefficient === 0) return { weight: 0, first: 0 }
  const digits = digitsOf(a)
  const exponent = digits.length - a.scale
  const weight = Math.ceil(exponent / 4) - 1
  const take = exponent - weight * 4
  return { weight, first: Number(digits.slice(0, take).padEnd(take, '0')) }
}

/** Decimal digits of the coefficient, without sign. */
export function digitsOf(a: Numeric): string {
  const c = a.coefficient
  return String(c < 0 ? -c : c)
}

/** PostgreSQL's scale for a quotient: at least 16 significant digits, and no fewer decimals than either operand. */
export function quotientScale(a: Numeric, b: Numeric): number {
  const x = leadingGroup(a)
  const y = leadingGroup(b)
  let weight = x.weight - y.weight
  if (x.first <= y.first) weight--
  return Math.min(Math.max(16 - weight * 4, a.scale, b.scale, 0), 1000)
}

export function divide(a: Numeric, b: Numeric): Numeric {
  if (!isFiniteNumeric(a) || !isFiniteNumeric(b)) return divideSpecial(a, b)
  if (b.coefficient === 0) throw divisionByZero()
  return divideAt(a, b, quotientScale(a, b))
}

function divideSpecial(a: Numeric, b: Numeric): Numeric {
  if (isNumericNaN(a) || isNumericNaN(b)) return numericNaN
  if (!isFiniteNumeric(a)) {
    if (!isFiniteNumeric(b)) return numericNaN
    if (b.coefficient === 0) throw divisionByZero()
    return signOf(a) * signOf(b) > 0 ? numericInfinity : numericMinusInfinity
  }
  return numericZero
}

/** The quotient rounded to a scale. */
export function divideAt(a: Numeric, b: Numeric, scale: number): Numeric {
  const shift = scale - a.scale + b.scale
  const numerator = shift >= 0 ? big(a) * pow10(shift) : big(a)
  const denominator = shift >= 0 ? big(b) : big(b) * pow10(-shift)
  return checked(numericOf(divideRounded(numerator, denominator), scale))
}

/** div(): the integer quotient, truncated. */
export function divideInteger(a: Numeric, b: Numeric): Numeric {
  if (!isFiniteNumeric(a) || !isFiniteNumeric(b)) return divideSpecial(a, b)
  if (b.coefficient === 0) throw divisionByZero()
  const scale = Math.max(a.scale, b.scale)
  return numericOf(bigAt(a, scale) / bigAt(b, scale), 0)
}

export function remainder(a: Numeric, b: Numeric): Numeric {
  if (isNumericNaN(a) || isNumericNaN(b)) return numericNaN
  if (!isFiniteNumeric(a)) {
    if (isFiniteNumeric(b) && b.coefficient === 0) throw divisionByZero()
    return numericNaN
  }
  if (!isFiniteNumeric(b)) return a
  if (b.coefficient === 0) throw divisionByZero()
  const scale = Math.max(a.scale, b.scale)
  const x = numberAt(a, scale)
  const y = numberAt(b, scale)
  if (!Number.isNaN(x) && !Number.isNaN(y)) return new Numeric((x % y) + 0, scale)
  return numericOf(bigAt(a, scale) % bigAt(b, scale), scale)
}

/** Rounds half away from zero; a scale above the value's own adds zeros, a negative one rounds to tens, hundreds, … */
export function round(a: Numeric, scale: number): Numeric {
  if (!isFiniteNumeric(a)) return a
  if (scale >= a.scale) return rescaleUp(a, scale)
  const drop = a.scale - scale
  const c = a.coefficient
  if (typeof c === 'number' && drop <= 15) {
    const unit = small10[drop]
    const rest = c % unit
    let value = (c - rest) / unit
    if (Math.abs(rest) * 2 >= unit) value += c < 0 ? -1 : 1
    return shiftBack(value + 0, scale)
  }
  if (drop > digitsOf(a).length) return new Numeric(0, Math.max(scale, 0))
  return shiftBack(divideRounded(big(a), pow10(drop)), scale)
}

export function truncate(a: Numeric, scale: number): Numeric {
  if (!isFiniteNumeric(a)) return a
  if (scale >= a.scale) return rescaleUp(a, scale)
  const drop = a.scale - scale
  const c = a.coefficient
  if (typeof c === 'number' && drop <= 15) return shiftBack((c - (c % small10[drop])) / small10[drop] + 0, scale)
  if (drop > digitsOf(a).length) return new Numeric(0, Math.max(scale, 0))
  return shiftBack(big(a) / pow10(drop), scale)
}

function rescaleUp(a: Numeric, scale: number): Numeric {
  if (scale === a.scale) return a
  const quick = numberAt(a, scale)
  return !Number.isNaN(quick) ? new Numeric(quick, scale) : numericOf(bigAt(a, scale), scale)
}

/** A negative scale shows no decimals: the zeros go back into the coefficient. */
function shiftBack(coefficient: number | bigint, scale: number): Numeric {
  if (scale >= 0) return numericOf(coefficient, scale)
  return checked(numericOf(BigInt(coefficient) * pow10(-scale), 0))
}

export function ceiling(a: Numeric): Numeric {
  const down = truncate(a, 0)
  return isFiniteNumeric(a) && compareNumeric(a, down) > 0 ? add(down, numericOne) : down
}

export function floor(a: Numeric): Numeric {
  const down = truncate(a, 0)
  return isFiniteNumeric(a) && compareNumeric(a, down) < 0 ? subtract(down, numericOne) : down
}

/** Removes trailing zero decimals. */
export function trimScale(a: Numeric): Numeric {
  if (!isFiniteNumeric(a) || a.scale === 0) return a
  if (a.coefficient === 0) return numericZero
  const zeros = Math.min(a.scale, /0*$/.exec(digitsOf(a))![0].length)
  return zeros === 0 ? a : truncate(a, a.scale - zeros)
}

/** Raises numeric_value_out_of_range when the value has more integer digits than numeric can hold. */
export function checked(a: Numeric): Numeric {
  if (typeof a.coefficient === 'bigint' && a.coefficient.toString(16).length > 100_000) {
    if (digitsOf(a).length - a.scale > maxIntegerDigits) throw numericOverflow()
  }
  return a
}

const pattern = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i

/** undefined when the text is no number. The scale is that of the digits written, less a positive exponent. */
export function parseNumeric(text: string): Numeric | undefined {
  const trimmed = text.trim()
  const match = pattern.exec(trimmed)
  if (match === null || (match[2] === '' && (match[3] ?? '') === '')) return parseSpecial(trimmed)
  const fraction = match[3] ?? ''
  const exponent = match[4] === undefined ? 0 : Number(match[4])
  if (Math.abs(exponent) > 0x3fffffff) throw numericOverflow()
  const digits = (match[2] + fraction).replace(/^0+(?=.)/, '')
  const scale = fraction.length - exponent
  if (digits.length - scale > maxIntegerDigits && digits !== '0') throw numericOverflow()
  let coefficient: number | bigint = digits.length <= 15 ? Number(digits) : BigInt(digits)
  if (match[1] === '-') coefficient = typeof coefficient === 'number' ? 0 - coefficient : -coefficient
  if (scale < 0) return digits === '0' ? numericZero : shiftBack(coefficient, scale)
  const value = numericOf(coefficient, scale)
  if (scale > maxScale) return round(value, maxScale)
  return value
}

function parseSpecial(text: string): Numeric | undefined {
  switch (text.toLowerCase()) {
    case 'nan':
      return numericNaN
    case 'inf':
    case 'infinity':
    case '+inf':
    case '+infinity':
      return numericInfinity
    case '-inf':
    case '-infinity':
      return numericMinusInfinity
    default:
      return undefined
  }
}

export function formatNumeric(a: Numeric): string {
  const c = a.coefficient
  if (a.scale === 0) return String(c)
  const negative = c < 0
  let digits = digitsOf(a)
  if (digits.length <= a.scale) digits = digits.padStart(a.scale + 1, '0')
  const point = digits.length - a.scale
  return `${negative ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}`
}

/** The nearest double. */
export function toFloat(a: Numeric): number {
  const c = a.coefficient
  if (typeof c === 'number' && a.scale <= 22) return a.scale === 0 ? c : c / 10 ** a.scale
  return Number(formatNumeric(a))
}

/** As PostgreSQL casts floats: through 15 (float8) or 6 (float4) significant digits. */
export function fromFloat(value: number, significant: number): Numeric {
  if (!Number.isFinite(value)) return new Numeric(value, 0)
  if (Number.isInteger(value) && Math.abs(value) < 10 ** significant) return new Numeric(value + 0, 0)
  const exponential = value.toExponential(significant - 1)
  const at = exponential.indexOf('e')
  const mantissa = exponential.slice(0, at).replace(/\.?0+$/, '')
  return parseNumeric(mantissa + exponential.slice(at))!
}

/** The value rounded to an integer, canonical; finite values only. */
export function toInteger(a: Numeric): number | bigint {
  return round(a, 0).coefficient
}

/** From an int2, int4 or int8 value. */
export function fromInteger(value: number | bigint): Numeric {
  return new Numeric(value, 0)
}
