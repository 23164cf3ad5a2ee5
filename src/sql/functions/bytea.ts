/**
 * Bytes as a sequence, and bit strings: length, substring, position, overlay, single bytes and bits, and, or, shifts.
 *
 * Not here: encode and decode (encoding.ts).
 */
import { DbError } from '../../base/index.ts'
import { builtinType } from '../types/registry.ts'
import type { FunctionCode } from './function.ts'
import { substring } from './text.ts'

function slice(bytes: Uint8Array, start: number, length?: number): Uint8Array {
  if (length !== undefined && length < 0) {
    throw new DbError('substring_error', 'negative substring length not allowed')
  }
  const end = length === undefined ? bytes.length : start - 1 + length
  return bytes.slice(Math.max(start - 1, 0), Math.max(end, 0))
}

function concatenate(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(a.length + b.length)
  out.set(a)
  out.set(b, a.length)
  return out
}

function overlay(a: Uint8Array, b: Uint8Array, start: number, length: number): Uint8Array {
  if (start <= 0) throw new DbError('substring_error', 'negative substring length not allowed')
  if (start + length > 0x7fffffff) throw new DbError('numeric_value_out_of_range', 'integer out of range')
  return concatenate(concatenate(slice(a, 1, start - 1), b), slice(a, start + length))
}

function positionOf(a: Uint8Array, part: Uint8Array): number {
  return Buffer.from(a.buffer, a.byteOffset, a.length).indexOf(part) + 1
}

function trim(a: Uint8Array, set: Uint8Array, start: boolean, end: boolean): Uint8Array {
  let from = 0
  let to = a.length
  while (start && from < to && set.includes(a[from])) from++
  while (end && to > from && set.includes(a[to - 1])) to--
  return a.slice(from, to)
}

function checkIndex(index: number, length: number): void {
  if (index >= 0 && index < length) return
  throw new DbError('array_subscript_error', `index ${index} out of valid range, 0..${length - 1}`)
}

function setByte(a: Uint8Array, index: number, value: number): Uint8Array {
  checkIndex(index, a.length)
  const out = new Uint8Array(a)
  out[index] = value
  return out
}

function setBit(a: Uint8Array, index: number, value: number): Uint8Array {
  checkIndex(index, a.length * 8)
  if (value !== 0 && value !== 1) throw new DbError('invalid_parameter_value', 'new bit must be 0 or 1')
  const out = new Uint8Array(a)
  const bit = 1 << (index % 8)
  out[index >> 3] = value === 1 ? out[index >> 3] | bit : out[index >> 3] & ~bit
  return out
}

function bitCount(byte: number): number {
  let count = 0
  for (let rest = byte; rest > 0; rest &= rest - 1) count++
  return count
}

type BitOperation = (a: string, b: string) => boolean

function bitwise(title: string, operation: BitOperation): FunctionCode {
  return (a: string, b: string) => {
    if (a.length !== b.length) {
      throw new DbError('string_data_length_mismatch', `cannot ${title} bit strings of different sizes`)
    }
    let out = ''
    for (let i = 0; i < a.length; i++) out += operation(a[i], b[i]) ? '1' : '0'
    return out
  }
}

function shift(a: string, count: number): string {
  const size = Math.min(Math.abs(count), a.length)
  return count >= 0 ? a.slice(size) + '0'.repeat(size) : '0'.repeat(size) + a.slice(0, a.length - size)
}

function overlayBits(a: string, b: string, start: number, length: number): string {
  if (start <= 0) throw new DbError('substring_error', 'negative substring length not allowed')
  return substring(a, 1, start - 1) + b + substring(a, start + length)
}

/** An integer in `size` bits, the last ones; wider results repeat the sign. */
function fromInteger(value: number | bigint, size: number): string {
  const bits = size < 1 ? 1 : size
  return BigInt.asUintN(bits, BigInt(value)).toString(2).padStart(bits, '0')
}

function toInteger(bits: string, size: 32 | 64): number | bigint {
  if (bits.length > size) {
    throw new DbError('numeric_value_out_of_range', size === 32 ? 'integer out of range' : 'bigint out of range')
  }
  const value = BigInt.asIntN(size, bits === '' ? 0n : BigInt(`0b${bits}`))
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}

const bitOid = 1560
const varbitOid = 1562

const bitStrings: Record<string, FunctionCode> = {
  bitcat: (a: string, b: string) => a + b,
  bit_and: bitwise('AND', (a, b) => a === '1' && b === '1'),
  bit_or: bitwise('OR', (a, b) => a === '1' || b === '1'),
  bitxor: bitwise('XOR', (a, b) => a !== b),
  bitnot: (a: string) => a.replace(/./g, (c) => (c === '1' ? '0' : '1')),
  bitshiftleft: shift,
  bitshiftright: (a: string, count: number) => shift(a, -count),
  bitlength: (a: string) => a.length,
  bitoctetlength: (a: string) => Math.ceil(a.length / 8),
  'bit_length(bit)': (a: string) => a.length,
  bitsubstr: (a: string, start: number, length: number) => substring(a, start, length),
  bitsubstr_no_len: (a: string, start: number) => substring(a, start),
  bitposition: (a: string, part: string) => (part === '' && a === '' ? 0 : a.indexOf(part) + 1),
  bitoverlay: overlayBits,
  bitoverlay_no_len: (a: string, b: string, start: number) => overlayBits(a, b, start, b.length),
  bit_bit_count: (a: string) => a.replaceAll('0', '').length,
  bitgetbit(a: string, index: number) {
    if (index < 0 || index >= a.length) throw bitIndex(index, a.length)
    return Number(a[index])
  },
  bitsetbit(a: string, index: number, value: number) {
    if (index < 0 || index >= a.length) throw bitIndex(index, a.length)
    if (value !== 0 && value !== 1) throw new DbError('invalid_parameter_value', 'new bit must be 0 or 1')
    return a.slice(0, index) + value + a.slice(index + 1)
  },
  bitfromint4: fromInteger,
  bitfromint8: fromInteger,
  bittoint4: (a: string) => toInteger(a, 32),
  bittoint8: (a: string) => toInteger(a, 64),
  bit: (a: string, typmod: number, explicit: boolean) => builtinType(bitOid).coerce(a, typmod, explicit),
  varbit: (a: string, typmod: number, explicit: boolean) => builtinType(varbitOid).coerce(a, typmod, explicit),
}

function bitIndex(index: number, length: number): DbError {
  return new DbError('array_subscript_error', `bit index ${index} out of valid range (0..${length - 1})`)
}

export const byteaCode: Record<string, FunctionCode> = {
  ...bitStrings,
  byteaoctetlen: (a: Uint8Array) => a.length,
  'bit_length(bytea)': (a: Uint8Array) => a.length * 8,
  byteacat: concatenate,
  bytea_substr: slice,
  bytea_substr_no_len: (a: Uint8Array, start: number) => slice(a, start),
  byteapos: positionOf,
  byteaoverlay: overlay,
  byteaoverlay_no_len: (a: Uint8Array, b: Uint8Array, start: number) => overlay(a, b, start, b.length),
  byteatrim: (a: Uint8Array, set: Uint8Array) => trim(a, set, true, true),
  bytealtrim: (a: Uint8Array, set: Uint8Array) => trim(a, set, true, false),
  byteartrim: (a: Uint8Array, set: Uint8Array) => trim(a, set, false, true),
  byteaGetByte(a: Uint8Array, index: number) {
    checkIndex(index, a.length)
    return a[index]
  },
  byteaGetBit(a: Uint8Array, index: number) {
    checkIndex(index, a.length * 8)
    return (a[index >> 3] >> (index % 8)) & 1
  },
  byteaSetByte: setByte,
  byteaSetBit: setBit,
  bytea_bit_count: (a: Uint8Array) => a.reduce((sum, byte) => sum + bitCount(byte), 0),
}
