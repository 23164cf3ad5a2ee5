/**
 * float4 and float8. The text form is the shortest that reads back as the same value, laid out as PostgreSQL does: plain
 * digits while the exponent is within -4 … 14 (5 for float4), else scientific with two exponent digits.
 *
 * Not here: arithmetic (functions/float.ts).
 */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import { BaseType, expectLength, invalidSyntax, type TypeFacts } from './base-type.ts'
import { keyFloat64 } from './key-encoding.ts'
import type { TypeContext } from './type.ts'

const floatPattern = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i
const hexPattern = /^([+-]?)0x([0-9a-f]+)(?:\.([0-9a-f]*))?(?:p([+-]?\d+))?$/i
const specials: Record<string, number> = {
  nan: Number.NaN,
  '+nan': Number.NaN,
  '-nan': Number.NaN,
  inf: Number.POSITIVE_INFINITY,
  '+inf': Number.POSITIVE_INFINITY,
  infinity: Number.POSITIVE_INFINITY,
  '+infinity': Number.POSITIVE_INFINITY,
  '-inf': Number.NEGATIVE_INFINITY,
  '-infinity': Number.NEGATIVE_INFINITY,
}

/** Reads a float; the finite text that overflows or underflows the type is an error. */
export function parseFloatText(text: string, single: boolean): number {
  const title = single ? 'real' : 'double precision'
  const trimmed = text.trim()
  if (floatPattern.test(trimmed)) {
    const value = single ? Math.fround(Number(trimmed)) : Number(trimmed)
    if (!Number.isFinite(value) || (value === 0 && /[1-9]/.test(trimmed.split(/e/i)[0]))) {
      throw new DbError('numeric_value_out_of_range', `"${single ? text : trimmed}" is out of range for type ${title}`)
    }
    return value
  }
  const special = specials[trimmed.toLowerCase()]
  if (special !== undefined) return special
  const hex = hexPattern.exec(trimmed)
  if (hex !== null) {
    const digits = hex[2] + (hex[3] ?? '')
    const value = Number.parseInt(digits, 16) * 2 ** (Number(hex[4] ?? 0) - 4 * (hex[3] ?? '').length)
    return hex[1] === '-' ? -value : value
  }
  throw invalidSyntax(title, text)
}

/** Lays out decimal digits `d.ddd` × 10^exponent. */
function layOut(negative: boolean, digits: string, exponent: number, limit: number): string {
  const sign = negative ? '-' : ''
  if (exponent < -4 || exponent >= limit) {
    const mantissa = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits
    const size = Math.abs(exponent)
    return `${sign}${mantissa}e${exponent < 0 ? '-' : '+'}${size < 10 ? '0' : ''}${size}`
  }
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
  if (digits.length <= exponent + 1) return sign + digits + '0'.repeat(exponent + 1 - digits.length)
  return `${sign}${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`
}

function formatSpecial(value: number): string {
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity'
}

function fromExponential(value: number, exponential: string, limit: number): string {
  const at = exponential.indexOf('e')
  const digits = exponential.slice(0, at).replace(/[.-]/g, '')
  return layOut(value < 0, digits, Number(exponential.slice(at + 1)), limit)
}

/** Rounds to a number of significant digits, as printf's %g does. */
function formatPrecision(value: number, precision: number): string {
  const exponential = value.toExponential(Math.max(precision, 1) - 1)
  const at = exponential.indexOf('e')
  const digits = exponential.slice(0, at).replace(/[.-]/g, '').replace(/0+$/, '')
  return layOut(value < 0, digits === '' ? '0' : digits, Number(exponential.slice(at + 1)), Math.max(precision, 1))
}

export function formatFloat8(value: number, extraFloatDigits = 1): string {
  if (Number.isInteger(value) && value < 1e15 && value > -1e15 && extraFloatDigits > 0) {
    return value === 0 && Object.is(value, -0) ? '-0' : String(value)
  }
  if (!Number.isFinite(value)) return formatSpecial(value)
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  if (extraFloatDigits <= 0) return formatPrecision(value, 15 + extraFloatDigits)
  const size = Math.abs(value)
  if (size >= 1e-4 && size < 1e15) return String(value)
  return fromExponential(value, value.toExponential(), 15)
}

export function formatFloat4(value: number, extraFloatDigits = 1): string {
  if (Number.isInteger(value) && value < 1e6 && value > -1e6 && extraFloatDigits > 0) {
    return value === 0 && Object.is(value, -0) ? '-0' : String(value)
  }
  if (!Number.isFinite(value)) return formatSpecial(value)
  if (value === 0) return Object.is(value, -0) ? '-0' : '0'
  if (extraFloatDigits <= 0) return formatPrecision(value, 6 + extraFloatDigits)
  for (let fraction = 0; fraction < 9; fraction++) {
    const text = value.toExponential(fraction)
    if (Math.fround(Number(text)) === value) return fromExponential(value, text, 6)
  }
  return fromExponential(value, value.toExponential(8), 6)
}

/** NaN equals NaN and is greater than everything else. */
export function compareFloat(a: number, b: number): number {
  if (a < b) return -1
  if (a > b) return 1
  if (a === b) return 0
  return !Number.isNaN(a) ? -1 : !Number.isNaN(b) ? 1 : 0
}

export class FloatType extends BaseType {
  readonly #single: boolean

  constructor(facts: TypeFacts, single: boolean) {
    super(facts, single ? 'f32' : 'f64')
    this.#single = single
  }

  parse(text: string): number {
    return parseFloatText(text, this.#single)
  }

  format(value: number, context: TypeContext): string {
    return this.#single ? formatFloat4(value, context.extraFloatDigits) : formatFloat8(value, context.extraFloatDigits)
  }

  encode(value: number, out: ByteWriter): void {
    if (this.#single) out.f32(value)
    else out.f64(value)
  }

  decode(bytes: Uint8Array, start: number, end: number): number {
    expectLength(start, end, this.#single ? 4 : 8)
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    return this.#single ? view.getFloat32(start) : view.getFloat64(start)
  }

  override compare(a: number, b: number): number {
    return compareFloat(a, b)
  }

  override key(value: number): number {
    return value === 0 ? 0 : value
  }

  override encodeKey(value: number, out: ByteWriter): void {
    keyFloat64(value, out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 8
  }
}
