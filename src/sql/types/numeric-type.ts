/**
 * numeric(precision, scale) as a type: text, binary, modifier, order.
 *
 * Binary (also what a row stores), all 16-bit big-endian:
 *
 *   number of groups │ weight of the first │ sign │ scale │ groups of four decimal digits …
 *   sign: 0000 plus, 4000 minus, C000 NaN, D000 Infinity, F000 -Infinity
 *
 * Key: one byte of class (10 -Infinity, 20 negative, 30 zero, 40 positive, 50 Infinity, 60 NaN); for 20 and 40 the decimal
 * exponent and pairs of digits (each + 1) closed by 00, all complemented when negative. 1.0 and 1.00 have one key.
 *
 * Not here: arithmetic (numeric.ts, numeric-math.ts).
 */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import { BaseType, invalidBinary, invalidSyntax, type TypeFacts, writeInteger } from './base-type.ts'
import {
  checked,
  compareNumeric,
  digitsOf,
  formatNumeric,
  isFiniteNumeric,
  type Numeric,
  numericInfinity,
  numericMinusInfinity,
  numericNaN,
  numericOf,
  parseNumeric,
  pow10,
  round,
  trimScale,
} from './numeric.ts'

/** Precision and scale of a type modifier. */
export function numericTypmod(typmod: number): { precision: number; scale: number } {
  const packed = typmod - 4
  return { precision: (packed >> 16) & 0xffff, scale: ((packed & 0x7ff) ^ 1024) - 1024 }
}

/** Rounds to the modifier's scale; raises numeric_value_out_of_range when too many digits remain. */
export function applyNumericTypmod(value: Numeric, typmod: number): Numeric {
  if (typmod < 4) return value
  const { precision, scale } = numericTypmod(typmod)
  const limit = precision - scale
  if (!isFiniteNumeric(value)) {
    if (Number.isNaN(value.coefficient)) return value
    throw fieldOverflow(`A field with precision ${precision}, scale ${scale} cannot hold an infinite value.`)
  }
  const rounded = round(value, scale)
  if (rounded.coefficient !== 0) {
    const digits = digitsOf(rounded).length - rounded.scale
    if (digits > limit) {
      const bound = limit === 0 ? '1' : `10^${limit}`
      throw fieldOverflow(
        `A field with precision ${precision}, scale ${scale} must round to an absolute value less than ${bound}.`,
      )
    }
  }
  return rounded
}

function fieldOverflow(detail: string): DbError {
  return new DbError('numeric_value_out_of_range', 'numeric field overflow', { detail })
}

const infinityWord = 0xd000
const minusInfinityWord = 0xf000
const nanWord = 0xc000

export class NumericType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  parse(text: string, typmod: number): Numeric {
    const value = parseNumeric(text)
    if (value === undefined) throw invalidSyntax('numeric', text)
    return typmod < 4 ? value : applyNumericTypmod(value, typmod)
  }

  format(value: Numeric): string {
    return formatNumeric(value)
  }

  override writeText(value: Numeric, out: ByteWriter): void {
    if (value.scale === 0 && Number.isInteger(value.coefficient)) writeInteger(value.coefficient as number, out)
    else out.utf8(formatNumeric(value))
  }

  encode(value: Numeric, out: ByteWriter): void {
    const c = value.coefficient
    if (typeof c === 'number' && !Number.isInteger(c)) {
      out.u32(0)
      out.u16(Number.isNaN(c) ? nanWord : c > 0 ? infinityWord : minusInfinityWord)
      out.u16(Number.isNaN(c) ? 0 : 0x20)
      return
    }
    const digits = digitsOf(value)
    const padding = (4 - (value.scale % 4)) % 4
    let aligned = digits + '0'.repeat(padding)
    aligned = aligned.padStart(Math.ceil(aligned.length / 4) * 4, '0')
    let start = 0
    let end = aligned.length
    while (start < end && aligned.startsWith('0000', start)) start += 4
    while (start < end && aligned.startsWith('0000', end - 4)) end -= 4
    const groups = (end - start) / 4
    out.u16(groups)
    out.u16(groups === 0 ? 0 : ((aligned.length - start - value.scale - padding) / 4 - 1) & 0xffff)
    out.u16(c < 0 ? 0x4000 : 0)
    out.u16(value.scale)
    for (let i = start; i < end; i += 4) out.u16(Number(aligned.slice(i, i + 4)))
  }

  decode(bytes: Uint8Array, start: number, end: number): Numeric {
    const u16 = (at: number) => (bytes[at] << 8) | bytes[at + 1]
    if (end - start < 8) throw invalidBinary('numeric')
    const groups = u16(start)
    const weight = (u16(start + 2) << 16) >> 16
    const sign = u16(start + 4)
    const scale = u16(start + 6)
    if (sign === nanWord) return numericNaN
    if (sign === infinityWord) return numericInfinity
    if (sign === minusInfinityWord) return numericMinusInfinity
    if ((sign !== 0 && sign !== 0x4000) || end - start !== 8 + groups * 2) throw invalidBinary('numeric')
    let quick = 0
    for (let i = 0; i < groups; i++) {
      const group = u16(start + 8 + i * 2)
      if (group > 9999) throw new DbError('invalid_binary_representation', 'invalid digit in external "numeric" value')
      quick = quick * 10000 + group
    }
    const exponent = (weight + 1 - groups) * 4
    const shift = exponent + scale
    let coefficient: number | bigint
    if (quick <= Number.MAX_SAFE_INTEGER / 10 && shift <= 0 && shift > -4) {
      const unit = 10 ** -shift
      coefficient = (quick - (quick % unit)) / unit
    } else {
      let exact = 0n
      for (let i = 0; i < groups; i++) exact = exact * 10000n + BigInt(u16(start + 8 + i * 2))
      coefficient = shift >= 0 ? exact * pow10(shift) : exact / pow10(-shift)
    }
    return checked(
      numericOf(sign === 0 ? coefficient : typeof coefficient === 'number' ? 0 - coefficient : -coefficient, scale),
    )
  }

  override coerce(value: Numeric, typmod: number): Numeric {
    return applyNumericTypmod(value, typmod)
  }

  override compare(a: Numeric, b: Numeric): number {
    return compareNumeric(a, b)
  }

  override key(value: Numeric): string | number {
    if (value.scale === 0 && typeof value.coefficient === 'number') return value.coefficient
    const trimmed = trimScale(value)
    if (trimmed.scale === 0 && typeof trimmed.coefficient === 'number') return trimmed.coefficient
    return `${trimmed.coefficient}e${trimmed.scale}`
  }

  override encodeKey(value: Numeric, out: ByteWriter): void {
    const c = value.coefficient
    if (Number.isNaN(c)) return out.u8(0x60)
    if (c === Number.POSITIVE_INFINITY) return out.u8(0x50)
    if (c === Number.NEGATIVE_INFINITY) return out.u8(0x10)
    if (c === 0) return out.u8(0x30)
    const mask = c < 0 ? 0xff : 0
    const digits = digitsOf(value)
    out.u8(c < 0 ? 0x20 : 0x40)
    out.u32((digits.length - value.scale) ^ 0x80000000 ^ (mask === 0 ? 0 : -1))
    let end = digits.length
    while (digits.charCodeAt(end - 1) === 0x30) end--
    for (let i = 0; i < end; i += 2) {
      const pair = (digits.charCodeAt(i) - 0x30) * 10 + (i + 1 < end ? digits.charCodeAt(i + 1) - 0x30 : 0)
      out.u8((pair + 1) ^ mask)
    }
    out.u8(mask)
  }

  override skipKey(bytes: Uint8Array, start: number): number {
    const kind = bytes[start]
    if (kind !== 0x20 && kind !== 0x40) return start + 1
    const close = kind === 0x20 ? 0xff : 0
    let at = start + 5
    while (bytes[at] !== close) at++
    return at + 1
  }
}
