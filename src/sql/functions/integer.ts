/**
 * Arithmetic and comparison of int2, int4 and int8, and the casts between them. Each is its own small function, so that
 * call sites stay monomorphic; int8 is a number while safe and falls to bigints at the edges.
 *
 * Not here: casts to other types (casts.ts), bit strings (bit.ts), aggregates (aggregates*.ts).
 */
import { DbError } from '../../base/index.ts'
import { canonical } from '../types/base-type.ts'
import { divisionByZero } from '../types/numeric.ts'
import type { FunctionCode } from './function.ts'

export type Int8 = number | bigint

export function int2Range(): DbError {
  return new DbError('numeric_value_out_of_range', 'smallint out of range')
}

export function int4Range(): DbError {
  return new DbError('numeric_value_out_of_range', 'integer out of range')
}

export function int8Range(): DbError {
  return new DbError('numeric_value_out_of_range', 'bigint out of range')
}

function toInt2(value: number): number {
  if (value > 32767 || value < -32768) throw int2Range()
  return value
}

function toInt4(value: number): number {
  if (value > 2147483647 || value < -2147483648) throw int4Range()
  return value
}

/** A bigint result as an int8 value. */
export function toInt8(value: bigint): Int8 {
  if (BigInt.asIntN(64, value) !== value) throw int8Range()
  return canonical(value)
}

export function addInt8(a: Int8, b: Int8): Int8 {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b
    if (Number.isSafeInteger(sum)) return sum
  }
  return toInt8(BigInt(a) + BigInt(b))
}

export function subtractInt8(a: Int8, b: Int8): Int8 {
  if (typeof a === 'number' && typeof b === 'number') {
    const difference = a - b
    if (Number.isSafeInteger(difference)) return difference
  }
  return toInt8(BigInt(a) - BigInt(b))
}

function multiplyInt8(a: Int8, b: Int8): Int8 {
  if (typeof a === 'number' && typeof b === 'number') {
    const product = a * b
    if (Number.isSafeInteger(product)) return product + 0
  }
  return toInt8(BigInt(a) * BigInt(b))
}

function divideInt8(a: Int8, b: Int8): Int8 {
  if (b === 0) throw divisionByZero()
  // a - a % b is a multiple of b, so that the division is exact.
  if (typeof a === 'number' && typeof b === 'number') return (a - (a % b)) / b + 0
  return toInt8(BigInt(a) / BigInt(b))
}

function moduloInt8(a: Int8, b: Int8): Int8 {
  if (b === 0) throw divisionByZero()
  if (typeof a === 'number' && typeof b === 'number') return (a % b) + 0
  return canonical(BigInt(a) % BigInt(b))
}

function negateInt8(a: Int8): Int8 {
  return typeof a === 'number' ? 0 - a : toInt8(-a)
}

function bits8(operation: (a: bigint, b: bigint) => bigint): (a: Int8, b: Int8) => Int8 {
  return (a, b) => canonical(BigInt.asIntN(64, operation(BigInt(a), BigInt(b))))
}

function gcd(a: number, b: number): number {
  let x = Math.abs(a)
  let y = Math.abs(b)
  while (y !== 0) [x, y] = [y, x % y]
  return x
}

function gcd8(a: Int8, b: Int8): bigint {
  let x = BigInt(a)
  let y = BigInt(b)
  while (y !== 0n) [x, y] = [y, x % y]
  return x < 0n ? -x : x
}

function lcm8(a: Int8, b: Int8): Int8 {
  const divisor = gcd8(a, b)
  if (divisor === 0n) return 0
  const product = (BigInt(a) / divisor) * BigInt(b)
  return toInt8(product < 0n ? -product : product)
}

const divide4 = (a: number, b: number): number => {
  if (b === 0) throw divisionByZero()
  if (b === -1) return toInt4(0 - a)
  return (a / b) | 0
}

const arithmetic: Record<string, FunctionCode> = {
  int4pl: (a: number, b: number) => {
    const sum = a + b
    if (sum > 2147483647 || sum < -2147483648) throw int4Range()
    return sum
  },
  int4mi: (a: number, b: number) => {
    const difference = a - b
    if (difference > 2147483647 || difference < -2147483648) throw int4Range()
    return difference
  },
  int4mul: (a: number, b: number) => {
    const product = a * b
    if (product > 2147483647 || product < -2147483648) throw int4Range()
    return product + 0
  },
  int4div: divide4,
  int4mod: (a: number, b: number) => {
    if (b === 0) throw divisionByZero()
    return (a % b) + 0
  },
  int24pl: (a: number, b: number) => toInt4(a + b),
  int24mi: (a: number, b: number) => toInt4(a - b),
  int24mul: (a: number, b: number) => toInt4(a * b + 0),
  int24div: divide4,
  int42pl: (a: number, b: number) => toInt4(a + b),
  int42mi: (a: number, b: number) => toInt4(a - b),
  int42mul: (a: number, b: number) => toInt4(a * b + 0),
  int42div: divide4,
  int2pl: (a: number, b: number) => toInt2(a + b),
  int2mi: (a: number, b: number) => toInt2(a - b),
  int2mul: (a: number, b: number) => toInt2(a * b + 0),
  int2div: (a: number, b: number) => {
    if (b === 0) throw divisionByZero()
    return toInt2((a / b) | 0)
  },
  int2mod: (a: number, b: number) => {
    if (b === 0) throw divisionByZero()
    return (a % b) + 0
  },
  int8pl: (a: Int8, b: Int8) => {
    if (typeof a === 'number' && typeof b === 'number') {
      const sum = a + b
      if (Number.isSafeInteger(sum)) return sum
    }
    return addInt8(a, b)
  },
  int8mi: subtractInt8,
  int8mul: multiplyInt8,
  int8div: divideInt8,
  int8mod: moduloInt8,
  int2um: (a: number) => toInt2(0 - a),
  int4um: (a: number) => toInt4(0 - a),
  int8um: negateInt8,
  int2up: (a: number) => a,
  int4up: (a: number) => a,
  int8up: (a: Int8) => a,
  int2abs: (a: number) => toInt2(Math.abs(a)),
  int4abs: (a: number) => toInt4(Math.abs(a)),
  int8abs: (a: Int8) => (a < 0 ? negateInt8(a) : a),
  int4inc: (a: number) => toInt4(a + 1),
  int8inc: (a: Int8) => addInt8(a, 1),
  int8dec: (a: Int8) => subtractInt8(a, 1),
  int4gcd: (a: number, b: number) => toInt4(gcd(a, b)),
  int8gcd: (a: Int8, b: Int8) => toInt8(gcd8(a, b)),
  int4lcm: (a: number, b: number) => {
    const divisor = gcd(a, b)
    return divisor === 0 ? 0 : toInt4(Math.abs((a / divisor) * b))
  },
  int8lcm: lcm8,
}
for (const mixed of ['int48', 'int84', 'int28', 'int82']) {
  arithmetic[`${mixed}pl`] = (a: Int8, b: Int8) => addInt8(a, b)
  arithmetic[`${mixed}mi`] = (a: Int8, b: Int8) => subtractInt8(a, b)
  arithmetic[`${mixed}mul`] = (a: Int8, b: Int8) => multiplyInt8(a, b)
  arithmetic[`${mixed}div`] = (a: Int8, b: Int8) => divideInt8(a, b)
}

const bitwise: Record<string, FunctionCode> = {
  int4and: (a: number, b: number) => a & b,
  int4or: (a: number, b: number) => a | b,
  int4xor: (a: number, b: number) => a ^ b,
  int4not: (a: number) => ~a,
  int4shl: (a: number, b: number) => a << b,
  int4shr: (a: number, b: number) => a >> b,
  int2and: (a: number, b: number) => a & b,
  int2or: (a: number, b: number) => a | b,
  int2xor: (a: number, b: number) => a ^ b,
  int2not: (a: number) => ~a,
  int2shl: (a: number, b: number) => ((a << b) << 16) >> 16,
  int2shr: (a: number, b: number) => a >> b,
  int8and: bits8((a, b) => a & b),
  int8or: bits8((a, b) => a | b),
  int8xor: bits8((a, b) => a ^ b),
  int8not: (a: Int8) => canonical(~BigInt(a)),
  int8shl: bits8((a, b) => a << (b & 63n)),
  int8shr: bits8((a, b) => a >> (b & 63n)),
}

/** Six comparisons and the btree order for one pair of types, each a fresh function. */
const comparisons: Record<string, FunctionCode> = {
  int4eq: (a: number, b: number) => a === b,
  int4ne: (a: number, b: number) => a !== b,
  int4lt: (a: number, b: number) => a < b,
  int4le: (a: number, b: number) => a <= b,
  int4gt: (a: number, b: number) => a > b,
  int4ge: (a: number, b: number) => a >= b,
  int8eq: (a: Int8, b: Int8) => a === b,
  int8ne: (a: Int8, b: Int8) => a !== b,
  int8lt: (a: Int8, b: Int8) => a < b,
  int8le: (a: Int8, b: Int8) => a <= b,
  int8gt: (a: Int8, b: Int8) => a > b,
  int8ge: (a: Int8, b: Int8) => a >= b,
}
for (const pair of ['2', '24', '42', '28', '82', '48', '84']) {
  comparisons[`int${pair}eq`] = (a: Int8, b: Int8) => a === b
  comparisons[`int${pair}ne`] = (a: Int8, b: Int8) => a !== b
  comparisons[`int${pair}lt`] = (a: Int8, b: Int8) => a < b
  comparisons[`int${pair}le`] = (a: Int8, b: Int8) => a <= b
  comparisons[`int${pair}gt`] = (a: Int8, b: Int8) => a > b
  comparisons[`int${pair}ge`] = (a: Int8, b: Int8) => a >= b
}
for (const pair of ['2', '4', '8', '24', '42', '28', '82', '48', '84']) {
  comparisons[`btint${pair}cmp`] = (a: Int8, b: Int8) => (a < b ? -1 : a > b ? 1 : 0)
}
for (const size of ['2', '4', '8']) {
  comparisons[`int${size}larger`] = (a: Int8, b: Int8) => (a > b ? a : b)
  comparisons[`int${size}smaller`] = (a: Int8, b: Int8) => (a < b ? a : b)
}

/** oid and other unsigned types compare as their numbers do. */
for (const prefix of ['oid', 'xid', 'xid8', 'cid', 'pg_lsn_']) {
  comparisons[`${prefix}eq`] = (a: Int8, b: Int8) => a === b
  comparisons[`${prefix}ne`] = (a: Int8, b: Int8) => a !== b
  comparisons[`${prefix}neq`] = (a: Int8, b: Int8) => a !== b
  comparisons[`${prefix}lt`] = (a: Int8, b: Int8) => a < b
  comparisons[`${prefix}le`] = (a: Int8, b: Int8) => a <= b
  comparisons[`${prefix}gt`] = (a: Int8, b: Int8) => a > b
  comparisons[`${prefix}ge`] = (a: Int8, b: Int8) => a >= b
  comparisons[`${prefix}larger`] = (a: Int8, b: Int8) => (a > b ? a : b)
  comparisons[`${prefix}smaller`] = (a: Int8, b: Int8) => (a < b ? a : b)
  comparisons[`${prefix}cmp`] = (a: Int8, b: Int8) => (a < b ? -1 : a > b ? 1 : 0)
}
comparisons.xid8_larger = comparisons.xid8larger
comparisons.xid8_smaller = comparisons.xid8smaller
comparisons.btoidcmp = (a: number, b: number) => a - b
comparisons.xideqint4 = (a: number, b: number) => a === b >>> 0
comparisons.xidneqint4 = (a: number, b: number) => a !== b >>> 0

function narrowInt8(a: Int8, limit: number, error: () => DbError): number {
  if (typeof a === 'bigint' || a >= limit || a < -limit) throw error()
  return a
}

const casts: Record<string, FunctionCode> = {
  i2toi4: (a: number) => a,
  i4toi2: toInt2,
  int48: (a: number) => a,
  int84: (a: Int8) => narrowInt8(a, 0x80000000, int4Range),
  int28: (a: number) => a,
  int82: (a: Int8) => narrowInt8(a, 0x8000, int2Range),
  i8tooid: (a: Int8) => {
    if (a < 0 || a > 0xffffffff) throw new DbError('numeric_value_out_of_range', 'OID out of range')
    return a
  },
  oidtoi8: (a: number) => a,
  xid8toxid: (a: Int8) => Number(BigInt.asUintN(32, BigInt(a))),
  int4_bool: (a: number) => a !== 0,
  bool_int4: (a: boolean) => (a ? 1 : 0),
  chartoi4: (a: string) => (a === '' ? 0 : (a.charCodeAt(0) << 24) >> 24),
  i4tochar: (a: number) => {
    if (a < -128 || a > 127) throw new DbError('numeric_value_out_of_range', '"char" out of range')
    return a === 0 ? '' : String.fromCharCode(a & 0xff)
  },
}

export const integerCode: Record<string, FunctionCode> = { ...arithmetic, ...bitwise, ...comparisons, ...casts }
