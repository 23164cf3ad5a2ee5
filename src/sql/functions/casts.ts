/**
 * Casts between the number types, and length coercions written as functions (varchar(text, int, bool), …).
 *
 * Not here: casts through text (the type's parse and format), date and time (datetime-casts.ts), jsonb (jsonb.ts).
 */
import { DbError } from '../../base/index.ts'
import { roundEven } from '../types/interval-input.ts'
import { formatNumeric, fromFloat, isNumericNaN, Numeric, toFloat, toInteger } from '../types/numeric.ts'
import { builtinType } from '../types/registry.ts'
import { byteChar, trimBlanks, truncateName } from '../types/text.ts'
import { toFloat4 } from './float.ts'
import type { FunctionCode } from './function.ts'
import { type Int8, int2Range, int4Range, int8Range, toInt8 } from './integer.ts'

function floatToInt(limit: number, error: () => DbError): FunctionCode {
  return (a: number) => {
    const rounded = roundEven(a)
    if (!(rounded < limit && rounded >= -limit)) throw error()
    return rounded + 0
  }
}

function floatToInt8(a: number): Int8 {
  const rounded = Number.isFinite(a) && Math.abs(a) < 2 ** 52 ? roundEven(a) : a
  if (!(rounded < 2 ** 63 && rounded >= -(2 ** 63))) throw int8Range()
  return Number.isSafeInteger(rounded) ? rounded + 0 : toInt8(BigInt(rounded))
}

function numericToInt(title: string, limit: number, error: () => DbError): FunctionCode {
  return (a: Numeric) => {
    checkNumber(a, title)
    const value = toInteger(a)
    if (typeof value === 'bigint' || value >= limit || value < -limit) throw error()
    return value
  }
}

/** Raises feature_not_supported for NaN and infinities, which integers lack. */
function checkNumber(a: Numeric, title: string): void {
  if (typeof a.coefficient === 'bigint' || Number.isFinite(a.coefficient)) return
  throw new DbError('feature_not_supported', `cannot convert ${isNumericNaN(a) ? 'NaN' : 'infinity'} to ${title}`)
}

function numericToInt8(a: Numeric): Int8 {
  checkNumber(a, 'bigint')
  const value = toInteger(a)
  return typeof value === 'number' ? value : toInt8(value)
}

function numericToFloat8(a: Numeric): number {
  const value = toFloat(a)
  if (!Number.isFinite(value) && typeof a.coefficient === 'bigint') {
    throw new DbError('numeric_value_out_of_range', `"${formatNumeric(a)}" is out of range for type double precision`)
  }
  return value
}

function numericToFloat4(a: Numeric): number {
  const value = Math.fround(toFloat(a))
  const finite = typeof a.coefficient === 'bigint' || Number.isFinite(a.coefficient)
  if (finite && (!Number.isFinite(value) || (value === 0 && a.coefficient !== 0))) {
    throw new DbError('numeric_value_out_of_range', `"${formatNumeric(a)}" is out of range for type real`)
  }
  return value
}

const limit2 = 0x8000
const limit4 = 0x80000000
const bpchar = 1042
const varchar = 1043

export const castCode: Record<string, FunctionCode> = {
  i2tod: (a: number) => a,
  i4tod: (a: number) => a,
  i8tod: (a: Int8) => Number(a),
  i2tof: (a: number) => a,
  i4tof: (a: number) => Math.fround(a),
  i8tof: (a: Int8) => Math.fround(Number(a)),
  dtoi2: floatToInt(limit2, int2Range),
  dtoi4: floatToInt(limit4, int4Range),
  dtoi8: floatToInt8,
  ftoi2: floatToInt(limit2, int2Range),
  ftoi4: floatToInt(limit4, int4Range),
  ftoi8: floatToInt8,
  int2_numeric: (a: number) => new Numeric(a, 0),
  int4_numeric: (a: number) => new Numeric(a, 0),
  int8_numeric: (a: Int8) => new Numeric(a, 0),
  float4_numeric: (a: number) => fromFloat(a, 6),
  float8_numeric: (a: number) => fromFloat(a, 15),
  numeric_int2: numericToInt('smallint', limit2, int2Range),
  numeric_int4: numericToInt('integer', limit4, int4Range),
  numeric_int8: numericToInt8,
  numeric_float8: numericToFloat8,
  numeric_float4: numericToFloat4,
  dtof: toFloat4,
  booltext: (a: boolean) => (a ? 'true' : 'false'),
  varchar: (a: string, typmod: number, explicit: boolean) => builtinType(varchar).coerce(a, typmod, explicit),
  bpchar: (a: string, typmod: number, explicit: boolean) => builtinType(bpchar).coerce(a, typmod, explicit),
  rtrim1: (a: string) => trimBlanks(a),
  text_name: (a: string) => truncateName(a),
  name_text: (a: string) => a,
  bpchar_name: (a: string) => truncateName(trimBlanks(a)),
  name_bpchar: (a: string) => a,
  text_char: (a: string) => byteChar(a),
  char_text: (a: string) => (a === '' ? '' : a.charCodeAt(0) > 127 ? builtinType(18).format(a, undefined as never) : a),
  char_bpchar: (a: string) => a,
}
