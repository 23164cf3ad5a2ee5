/**
 * What the types have in common: the facts of their pg_type row, and the behaviour that most share.
 *
 * A subclass gives parse, format, encode, decode and, when it has an order, compare and encodeKey.
 * Not here: which class serves which oid (registry.ts).
 */
import { DbError, unreachable } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import type { StorageKind, Type, TypeContext, Value } from './type.ts'

/** The columns of pg_type that a Type carries. */
export interface TypeFacts {
  readonly oid: number
  readonly name: string
  readonly length: number
  readonly kind: Type['kind']
  readonly category: string
  readonly preferred: boolean
  readonly delimiter: string
  readonly element: number
  readonly array: number
  readonly relation: number
  readonly base: number
}

export abstract class BaseType implements Type {
  readonly oid: number
  readonly name: string
  readonly length: number
  readonly kind: Type['kind']
  readonly category: string
  readonly preferred: boolean
  readonly delimiter: string
  readonly element: number
  readonly array: number
  readonly relation: number
  readonly base: number
  readonly storage: StorageKind

  constructor(facts: TypeFacts, storage: StorageKind) {
    this.oid = facts.oid
    this.name = facts.name
    this.length = facts.length
    this.kind = facts.kind
    this.category = facts.category
    this.preferred = facts.preferred
    this.delimiter = facts.delimiter
    this.element = facts.element
    this.array = facts.array
    this.relation = facts.relation
    this.base = facts.base
    this.storage = storage
  }

  get ordered(): boolean {
    return true
  }

  get hashable(): boolean {
    return true
  }

  abstract parse(text: string, typmod: number, context: TypeContext): Value
  abstract format(value: Value, context: TypeContext): string
  abstract encode(value: Value, out: ByteWriter): void
  abstract decode(bytes: Uint8Array, start: number, end: number): Value

  writeText(value: Value, out: ByteWriter, context: TypeContext): void {
    out.utf8(this.format(value, context))
  }

  coerce(value: Value, _typmod: number, _explicit: boolean): Value {
    return value
  }

  compare(_a: Value, _b: Value): number {
    throw new DbError('undefined_function', `could not identify a comparison function for type ${this.name}`)
  }

  key(value: Value): string | number | boolean | bigint {
    return value
  }

  encodeKey(_value: Value, _out: ByteWriter): void {
    throw new DbError('undefined_function', `could not identify a comparison function for type ${this.name}`)
  }

  skipKey(_bytes: Uint8Array, _start: number): number {
    return unreachable(undefined as never, `type ${this.name} has no key encoding`)
  }
}

/** The names that error messages use where they differ from pg_type.typname. */
export const displayNames: Record<string, string> = {
  bool: 'boolean',
  int2: 'smallint',
  int4: 'integer',
  int8: 'bigint',
  float4: 'real',
  float8: 'double precision',
  timestamptz: 'timestamp with time zone',
  timestamp: 'timestamp',
  timetz: 'time with time zone',
  bpchar: 'character',
  varchar: 'character varying',
}

export function invalidSyntax(typeName: string, text: string): DbError {
  return new DbError('invalid_text_representation', `invalid input syntax for type ${typeName}: "${text}"`)
}

export function invalidBinary(typeName: string): DbError {
  return new DbError('invalid_binary_representation', `incorrect binary data format for type ${typeName}`)
}

/** Checks the length of a fixed-size binary value. */
export function expectLength(start: number, end: number, length: number): void {
  if (end - start < length) throw new DbError('protocol_violation', 'insufficient data left in message')
  if (end - start > length) throw new DbError('invalid_binary_representation', 'incorrect binary data format')
}

export function readI32(b: Uint8Array, at: number): number {
  return (b[at] << 24) | (b[at + 1] << 16) | (b[at + 2] << 8) | b[at + 3]
}

/** A 64-bit integer: a number when safe, else a bigint. */
export function readI64(b: Uint8Array, at: number): number | bigint {
  const high = readI32(b, at)
  const low = readI32(b, at + 4) >>> 0
  if (high >= -0x200000 && high < 0x200000) {
    const value = high * 0x1_0000_0000 + low
    if (value !== -0x20000000000000) return value
  }
  return (BigInt(high) << 32n) | BigInt(low)
}

/** Writes a safe integer or bigint as 8 bytes. */
export function writeI64(value: number | bigint, out: ByteWriter): void {
  if (typeof value === 'number') out.i64(value)
  else out.bigint64(value)
}

/** The canonical form: a number when safe. */
export function canonical(value: bigint): number | bigint {
  return value >= -0x1fffffffffffffn && value <= 0x1fffffffffffffn ? Number(value) : value
}

/** Decimal digits of a safe integer, without a string. */
export function writeInteger(value: number, out: ByteWriter): void {
  if (value > 0x7fffffff || value < -0x7fffffff) {
    out.utf8(String(value))
    return
  }
  out.reserve(11)
  const b = out.buffer
  let at = out.length
  let rest = value
  if (rest < 0) {
    b[at++] = 0x2d
    rest = -rest
  }
  let digits = 1
  for (let bound = 10; rest >= bound && digits < 10; bound *= 10) digits++
  out.length = at + digits
  at += digits - 1
  do {
    const quotient = (rest / 10) | 0
    b[at--] = 0x30 + rest - quotient * 10
    rest = quotient
  } while (rest > 0)
}
