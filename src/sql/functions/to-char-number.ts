/**
 * to_char of numbers.
 *
 * The template is a row of places: 9 (a digit, blank when leading), 0 (a digit always), the point, group separators and
 * sign marks. The number is rounded to the places after the point; leading places that it does not fill are blank, and a
 * number with too many digits shows # everywhere. The sign stands before the first digit unless S, MI, PL, SG or PR say
 * where.
 *
 * Source: manual 9.8, table 9.29 and 9.30; the corner cases follow PostgreSQL's answers.
 * Not here: templates (number-template.ts), to_number (to-number.ts), dates (to-char.ts).
 */
import { DbError } from '../../base/index.ts'
import { roundEven } from '../types/interval-input.ts'
import {
  digitsOf,
  formatNumeric,
  fromFloat,
  fromInteger,
  isFiniteNumeric,
  isNumericNaN,
  multiply,
  Numeric,
  negate,
  numericOf,
  pow10,
  round,
  signOf,
} from '../types/numeric.ts'
import { castCode } from './casts.ts'
import { ordinalSuffix } from './datetime-template.ts'
import type { FunctionCode } from './function.ts'
import { type NumberTemplate, numberTemplate } from './number-template.ts'

/** Writes digits into places. One instance a number. */
class NumberWriter {
  readonly #t: NumberTemplate
  readonly #number: string
  readonly #negative: boolean
  readonly #blank: number
  #count: number
  #current = 0
  #at = 0
  #started = false
  #signWritten: boolean
  #locked: NumberTemplate['locked']
  #bracket: boolean
  /** Last digit that FM keeps, as an offset into the number; -1 without FM or point. */
  #lastRelevant = -1
  #out = ''

  constructor(t: NumberTemplate, number: string, negative: boolean, blank: number) {
    this.#t = t
    this.#number = number
    this.#negative = negative
    this.#blank = blank
    this.#locked = t.locked
    this.#bracket = t.bracket
    if (t.plus || t.minus) {
      this.#signWritten = !(t.plus && !t.minus)
    } else {
      if (!negative && t.fill) this.#bracket = false
      this.#signWritten = !negative && t.fill && t.locked === ''
      if (t.locked === 'before' && t.pre === t.preAtSign) this.#locked = 'after'
    }
    this.#count = t.post + t.pre - 1
    if (t.fill && t.decimal) this.#lastRelevant = this.#relevant()
    if (!this.#signWritten && blank === 0) this.#count++
  }

  #relevant(): number {
    const point = this.#number.indexOf('.')
    if (point < 0) return -1
    let last = this.#number.length - 1
    while (last > point && this.#number[last] === '0') last--
    if (this.#t.zeroEnd > this.#blank) {
      const kept = Math.min(this.#number.length - 1, this.#t.zeroEnd - this.#blank)
      if (last < kept) last = kept
    }
    return last
  }

  write(): string {
    for (const { mark, text } of this.#t.places) {
      switch (mark) {
        case '9':
        case '0':
        case '.':
          this.#place(mark)
          break
        case ',':
          if (this.#started) this.#out += ','
          else if (!this.#t.fill) this.#out += ' '
          break
        case 'L':
          if (!this.#t.fill) this.#out += ' '
          break
        case 'MI':
          if (this.#negative) this.#out += '-'
          else if (!this.#t.fill) this.#out += ' '
          break
        case 'PL':
          if (!this.#negative) this.#out += '+'
          else if (!this.#t.fill) this.#out += ' '
          break
        case 'SG':
          this.#out += this.#negative ? '-' : '+'
          break
        case 'TH':
        case 'th':
          if (this.#number[0] !== '#' && !this.#negative && !this.#t.decimal)
            this.#out += ordinalSuffix(this.#number, mark)
          break
        case 'S':
        case 'RN':
        case 'rn':
          break
        default:
          this.#out += text
      }
    }
    return this.#out
  }

  /** A leading "0" of 0.x that a template without zeros does not show. */
  #hiddenZero(): boolean {
    return !this.#t.zero && this.#at === 0 && this.#number[0] === '0' && this.#t.post !== 0
  }

  #endsAtPoint(): boolean {
    return this.#lastRelevant >= 0 && this.#number[this.#lastRelevant] === '.'
  }

  #sign(): void {
    const t = this.#t
    if (this.#signWritten) return
    const reached = this.#current >= this.#blank || (t.zero && t.zeroStart - 1 === this.#current)
    if (!reached || (this.#hiddenZero() && !this.#endsAtPoint())) return
    if (this.#locked !== '') {
      if (this.#locked !== 'before') return
      this.#out += this.#negative ? '-' : '+'
    } else if (this.#bracket) {
      this.#out += this.#negative ? '<' : ' '
    } else if (this.#negative) {
      this.#out += '-'
    } else if (!t.fill) {
      this.#out += ' '
    }
    this.#signWritten = true
  }

  #place(mark: '9' | '0' | '.'): void {
    const t = this.#t
    this.#started = false
    this.#sign()
    const zeroStart = t.zeroStart - 1
    if (this.#current < this.#blank && (!t.zero || zeroStart > this.#current)) {
      if (!t.fill) this.#out += ' '
    } else if (t.zero && this.#current < this.#blank) {
      this.#out += '0'
      this.#started = true
    } else {
      this.#digit(mark)
      if (this.#at < this.#number.length) this.#at++
    }
    let end = this.#count + (this.#blank > 0 ? 1 : 0) + (t.decimal ? 1 : 0)
    if (this.#lastRelevant >= 0 && this.#lastRelevant === this.#at) end = this.#current
    if (this.#current + 1 === end) this.#trailingSign()
    this.#current++
  }

  #trailingSign(): void {
    if (this.#signWritten && this.#bracket) this.#out += this.#negative ? '>' : ' '
    else if (this.#locked === 'after') this.#out += this.#negative ? '-' : '+'
  }

  #digit(mark: '9' | '0' | '.'): void {
    const c = this.#number[this.#at]
    if (c === '.') {
      if (!this.#endsAtPoint() || this.#t.fill) this.#out += '.'
      return
    }
    if (this.#lastRelevant >= 0 && this.#at > this.#lastRelevant && mark !== '0') return
    if (this.#hiddenZero()) {
      if (!this.#t.fill) this.#out += ' '
      else if (this.#endsAtPoint()) this.#out += '0'
      return
    }
    if (c !== undefined) {
      this.#out += c
      this.#started = true
    }
  }
}

function toRoman(value: number): string {
  if (value < 1 || value > 3999) return '#'.repeat(15)
  const numerals: readonly (readonly [number, string])[] = [
    [1000, 'M'],
    [900, 'CM'],
    [500, 'D'],
    [400, 'CD'],
    [100, 'C'],
    [90, 'XC'],
    [50, 'L'],
    [40, 'XL'],
    [10, 'X'],
    [9, 'IX'],
    [5, 'V'],
    [4, 'IV'],
    [1, 'I'],
  ]
  let rest = value
  let out = ''
  for (const [size, letters] of numerals) {
    while (rest >= size) {
      out += letters
      rest -= size
    }
  }
  return out
}

function writeRoman(t: NumberTemplate, value: Numeric): string {
  const roman = toRoman(castCode.numeric_int4(value) as number)
  let out = ''
  for (const { mark, text } of t.places) {
    if (mark === 'RN' || mark === 'rn') {
      const shown = mark === 'rn' ? roman.toLowerCase() : roman
      out += t.fill ? shown : shown.padStart(15)
    } else if (mark === 'literal') {
      out += text
    }
  }
  return out
}

/** d.ddde+xx with as many decimals as the template has. */
function writeScientific(t: NumberTemplate, value: Numeric): string {
  if (!isFiniteNumeric(value)) {
    return ` ${'#'.repeat(t.pre)}.${'#'.repeat(t.post + 4)}`
  }
  const magnitude = signOf(value) < 0 ? negate(value) : value
  const sign = signOf(value) < 0 ? '-' : ' '
  if (value.coefficient === 0) return `${sign}${formatNumeric(new Numeric(0, t.post))}e+00`
  const exponent = digitsOf(magnitude).length - magnitude.scale - 1
  const scaled = (e: number) => round(numericOf(magnitude.coefficient, magnitude.scale + e), t.post)
  const shift = (e: number) =>
    magnitude.scale + e >= 0
      ? scaled(e)
      : round(numericOf(BigInt(magnitude.coefficient) * pow10(-(magnitude.scale + e)), 0), t.post)
  // A mantissa that rounds up to 10 stays 10, as in PostgreSQL.
  const mantissa = shift(exponent)
  const size = Math.abs(exponent)
  return `${sign}${formatNumeric(mantissa)}e${exponent < 0 ? '-' : '+'}${size < 10 ? '0' : ''}${size}`
}

/** `minus`: show a minus sign even when nothing but zeros is left, as floats do. */
function write(t: NumberTemplate, value: Numeric, minus = false): string {
  if (t.roman) return writeRoman(t, value)
  if (t.scientific) return writeScientific(t, value)
  let pre = t.pre
  let scaled = value
  let counted = t
  if (t.multiply) {
    scaled = isFiniteNumeric(value) ? multiply(value, numericOf(pow10(t.shift), 0)) : value
    pre += t.shift
    counted = { ...t, pre }
  }
  let number: string
  let negative = false
  if (!isFiniteNumeric(scaled)) {
    number = isNumericNaN(scaled) ? 'NaN' : 'Infinity'
    negative = scaled.coefficient < 0
    if (number.length <= pre && t.places.some(({ mark }) => mark === 'TH' || mark === 'th')) {
      throw new DbError('invalid_text_representation', `"${number}" is not a number`)
    }
  } else {
    const rounded = round(scaled, t.post)
    negative = minus || signOf(rounded) < 0
    number = formatNumeric(signOf(rounded) < 0 ? negate(rounded) : rounded)
  }
  const length = number.includes('.') ? number.indexOf('.') : number.length
  if (length > pre) number = '#'.repeat(pre) + (t.post > 0 || t.decimal ? `.${'#'.repeat(t.post)}` : '')
  return new NumberWriter(counted, number, negative, Math.max(pre - length, 0)).write()
}

/** The exact value of a double rounded to decimals, halves to even: what C's printf does. */
function fixed(value: number, decimals: number): Numeric {
  if (Number.isInteger(value)) return numericOf(BigInt(value) * pow10(decimals), decimals)
  let exponent = 0
  let mantissa = Math.abs(value)
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2
    exponent++
  }
  const denominator = 1n << BigInt(exponent)
  const numerator = BigInt(mantissa) * pow10(decimals)
  let quotient = numerator / denominator
  const twice = 2n * (numerator - quotient * denominator)
  if (twice > denominator || (twice === denominator && quotient % 2n === 1n)) quotient++
  return numericOf(value < 0 ? -quotient : quotient, decimals)
}

/** Floats keep the digits they are sure of: 15 for float8, 6 for float4. */
function floatToChar(significant: number): FunctionCode {
  return (value: number, text: string) => {
    if (text === '') return ''
    const t = numberTemplate(text)
    if (t.roman) return write(t, fromInteger(Math.abs(value) < 10000 ? roundEven(value) : 0))
    if (t.scientific || !Number.isFinite(value)) return write(t, fromFloat(value, 17))
    const scaled = t.multiply ? value * 10 ** t.shift : value
    const preDigits = digitsOf(fixed(scaled, 0)).length
    const post = preDigits >= significant ? 0 : Math.min(t.post, significant - preDigits)
    const cut: NumberTemplate = { ...t, post, multiply: false, pre: t.pre + (t.multiply ? t.shift : 0) }
    return write(cut, fixed(scaled, post), value < 0 || Object.is(value, -0))
  }
}

export const toCharNumberCode: Record<string, FunctionCode> = {
  numeric_to_char: (value: Numeric, text: string) => (text === '' ? '' : write(numberTemplate(text), value)),
  int4_to_char: (value: number, text: string) => (text === '' ? '' : write(numberTemplate(text), fromInteger(value))),
  int8_to_char: (value: number | bigint, text: string) =>
    text === '' ? '' : write(numberTemplate(text), fromInteger(value)),
  float8_to_char: floatToChar(15),
  float4_to_char: floatToChar(6),
}
