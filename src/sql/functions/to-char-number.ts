/**
 * to_char of numbers, and to_number.
 *
 * The template is a row of places: 9 (a digit, blank when leading), 0 (a digit always), the point, group separators and
 * sign marks. The number is rounded to the places after the point; leading places that it does not fill are blank, and a
 * number with too many digits shows # everywhere. The sign stands before the first digit unless S, MI, PL, SG or PR say
 * where.
 *
 * Source: manual 9.8, table 9.29 and 9.30; the corner cases follow PostgreSQL's answers.
 * Not here: dates (to-char.ts).
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
  parseNumeric,
  pow10,
  round,
  signOf,
} from '../types/numeric.ts'
import { castCode } from './casts.ts'
import { ordinalSuffix } from './datetime-template.ts'
import type { FunctionCode } from './function.ts'

type Mark = '9' | '0' | '.' | ',' | 'L' | 'S' | 'MI' | 'PL' | 'SG' | 'TH' | 'th' | 'RN' | 'rn' | 'literal'
interface Place {
  readonly mark: Mark
  readonly text: string
}

interface NumberTemplate {
  readonly places: readonly Place[]
  /** Digits before and after the point. */
  pre: number
  post: number
  /** Positions (from 0, over digits) of the first and last 0. */
  zeroStart: number
  zeroEnd: number
  zero: boolean
  decimal: boolean
  fill: boolean
  /** S before the number, after it, or absent. */
  locked: '' | 'before' | 'after'
  /** Digits written before the S. */
  preAtSign: number
  plus: boolean
  minus: boolean
  bracket: boolean
  roman: boolean
  multiply: boolean
  shift: number
  scientific: boolean
}

const words = [
  'EEEE',
  'FM',
  'MI',
  'PL',
  'PR',
  'RN',
  'SG',
  'SP',
  'TH',
  'rn',
  'th',
  'eeee',
  'fm',
  'mi',
  'pl',
  'pr',
  'sg',
  'sp',
]

function syntax(message: string): DbError {
  return new DbError('syntax_error', message)
}

function parseTemplate(text: string): NumberTemplate {
  const places: Place[] = []
  const t: NumberTemplate = {
    places,
    pre: 0,
    post: 0,
    zeroStart: 0,
    zeroEnd: 0,
    zero: false,
    decimal: false,
    fill: false,
    locked: '',
    preAtSign: 0,
    plus: false,
    minus: false,
    bracket: false,
    roman: false,
    multiply: false,
    shift: 0,
    scientific: false,
  }
  let at = 0
  while (at < text.length) {
    if (text[at] === '"') {
      at++
      while (at < text.length && text[at] !== '"') {
        if (text[at] === '\\' && at + 1 < text.length) at++
        places.push({ mark: 'literal', text: text[at++] })
      }
      at++
      continue
    }
    if (text[at] === '\\' && text[at + 1] === '"') at++
    const word = words.find((candidate) => text.startsWith(candidate, at))
    const token = word ?? String.fromCodePoint(text.codePointAt(at)!)
    at += token.length
    note(t, places, token)
  }
  return t
}

/** Takes one token of a template in. */
function note(t: NumberTemplate, places: Place[], token: string): void {
  const lower = token.toLowerCase()
  if (t.scientific && lower !== 'eeee') throw syntax('"EEEE" must be the last pattern used')
  switch (lower) {
    case '9':
      if (t.bracket) throw syntax('"9" must be ahead of "PR"')
      if (t.multiply) t.shift++
      else if (t.decimal) t.post++
      else t.pre++
      break
    case '0':
      if (t.bracket) throw syntax('"0" must be ahead of "PR"')
      if (!t.zero && !t.decimal) {
        t.zero = true
        t.zeroStart = t.pre + 1
      }
      if (!t.decimal) t.pre++
      else t.post++
      t.zeroEnd = t.pre + t.post
      break
    case '.':
    case 'd':
      if (t.decimal) throw syntax('multiple decimal points')
      if (t.multiply) throw syntax('cannot use "V" and decimal point together')
      t.decimal = true
      places.push({ mark: '.', text: '.' })
      return
    case 'b':
    case 'c':
      return
    case 'fm':
      t.fill = true
      return
    case 's':
      if (t.locked !== '') throw syntax('cannot use "S" twice')
      if (t.plus || t.minus || t.bracket) throw syntax('cannot use "S" and "PL"/"MI"/"SG"/"PR" together')
      if (!t.decimal) {
        t.locked = 'before'
        t.preAtSign = t.pre
      } else {
        t.locked = 'after'
      }
      return
    case 'mi':
    case 'pl':
    case 'sg':
      if (t.locked !== '') throw syntax(`cannot use "S" and "${token.toUpperCase()}" together`)
      t.minus ||= lower !== 'pl'
      t.plus ||= lower !== 'mi'
      places.push({ mark: lower.toUpperCase() as Mark, text: '' })
      return
    case 'pr':
      if (t.locked !== '' || t.plus || t.minus) throw syntax('cannot use "PR" and "S"/"PL"/"MI"/"SG" together')
      t.bracket = true
      return
    case 'rn':
      t.roman = true
      places.push({ mark: token as Mark, text: '' })
      return
    case 'th':
      places.push({ mark: token as Mark, text: '' })
      return
    case 'l':
      places.push({ mark: 'L', text: '' })
      return
    case 'g':
    case ',':
      places.push({ mark: ',', text: ',' })
      return
    case 'v':
      if (t.decimal) throw syntax('cannot use "V" and decimal point together')
      t.multiply = true
      return
    case 'eeee':
      if (t.scientific) throw syntax('cannot use "EEEE" twice')
      if (t.fill || t.locked !== '' || t.bracket || t.minus || t.plus || t.roman || t.multiply) {
        throw new DbError('syntax_error', '"EEEE" is incompatible with other formats', {
          detail: '"EEEE" may only be used together with digit and decimal point patterns.',
        })
      }
      t.scientific = true
      return
    case 'sp':
      return
    default:
      places.push({ mark: 'literal', text: token })
      return
  }
  places.push({ mark: lower as Mark, text: lower })
}

const cache = new Map<string, NumberTemplate>()

function templateOf(text: string): NumberTemplate {
  let template = cache.get(text)
  if (template === undefined) {
    template = parseTemplate(text)
    if (cache.size >= 256) cache.delete(cache.keys().next().value!)
    cache.set(text, template)
  }
  return template
}

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
    const t = templateOf(text)
    if (t.roman) return write(t, fromInteger(Math.abs(value) < 10000 ? roundEven(value) : 0))
    if (t.scientific || !Number.isFinite(value)) return write(t, fromFloat(value, 17))
    const scaled = t.multiply ? value * 10 ** t.shift : value
    const preDigits = digitsOf(fixed(scaled, 0)).length
    const post = preDigits >= significant ? 0 : Math.min(t.post, significant - preDigits)
    const cut: NumberTemplate = { ...t, post, multiply: false, pre: t.pre + (t.multiply ? t.shift : 0) }
    return write(cut, fixed(scaled, post), value < 0 || Object.is(value, -0))
  }
}

/** Reads a number by a template: digits where it has places, everything else skipped as its marks say. */
function toNumber(text: string, template: string): Numeric | null {
  if (template === '') return null
  const t = templateOf(template)
  if (t.roman) throw new DbError('feature_not_supported', '"RN" not supported for input')
  if (t.scientific) throw new DbError('feature_not_supported', '"EEEE" not supported for input')
  let at = 0
  let digits = ''
  let point = false
  let negative = false
  let wholeDigits = 0
  let decimals = 0
  const takeSign = () => {
    if (text[at] === '-' || text[at] === '<') negative = true
    if (/[-+<>]/.test(text[at] ?? '')) at++
  }
  for (const { mark } of t.places) {
    if (at >= text.length) break
    if (mark === '9' || mark === '0' || mark === '.') {
      while (digits === '' && text[at] === ' ') at++
      if (digits === '') takeSign()
      while (digits === '' && text[at] === ' ') at++
      const c = text[at]
      if (c === undefined) break
      if (/[0-9]/.test(c)) {
        if (point ? decimals >= t.post : wholeDigits >= t.pre) break
        digits += c
        if (point) decimals++
        else wholeDigits++
        at++
      } else if (c === '.' && !point && t.decimal) {
        point = true
        at++
        if (mark !== '.' && /[0-9]/.test(text[at] ?? '') && decimals < t.post) {
          digits += text[at++]
          decimals++
        }
      } else if (mark === '9' || mark === '0') {
        if (c === ',' || c === ' ') continue
      }
    } else if (mark === ',') {
      if (text[at] === ',') at++
    } else if (mark === 'MI' || mark === 'PL' || mark === 'SG') {
      takeSign()
    } else if (mark === 'L') {
      while (at < text.length && !/[0-9.,+-]/.test(text[at])) at++
    } else if (mark === 'TH' || mark === 'th') {
      at += 2
    } else {
      at++
    }
  }
  if (/[-]/.test(text[at] ?? '') && (t.locked !== '' || t.minus)) negative = true
  if (digits === '') {
    throw new DbError('invalid_text_representation', `invalid input syntax for type numeric: "${negative ? '-' : ' '}"`)
  }
  const value = new Numeric(0, 0)
  const magnitude = parseNumeric(digits === '' ? '0' : digits) ?? value
  const scale = t.multiply ? t.shift : decimals
  const out = numericOf(magnitude.coefficient, scale)
  return negative ? negate(out) : out
}

export const toCharNumberCode: Record<string, FunctionCode> = {
  numeric_to_char: (value: Numeric, text: string) => (text === '' ? '' : write(templateOf(text), value)),
  int4_to_char: (value: number, text: string) => (text === '' ? '' : write(templateOf(text), fromInteger(value))),
  int8_to_char: (value: number | bigint, text: string) =>
    text === '' ? '' : write(templateOf(text), fromInteger(value)),
  float8_to_char: floatToChar(15),
  float4_to_char: floatToChar(6),
  numeric_to_number: toNumber,
}
