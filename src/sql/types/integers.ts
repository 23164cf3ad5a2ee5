/**
 * int2, int4, int8, and the unsigned 32-bit oid, xid and cid. An int8 is a number while it is a safe integer, else a
 * bigint; relational operators compare the two exactly.
 *
 * Not here: arithmetic (functions/integer.ts), xid8 and pg_lsn (text-types.ts).
 */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import {
  BaseType,
  canonical,
  displayNames,
  expectLength,
  invalidSyntax,
  readI32,
  readI64,
  type TypeFacts,
  writeI64,
  writeInteger,
} from './base-type.ts'
import { keyInt16, keyInt32, keyInt64 } from './key-encoding.ts'

const integerPattern = /^[ \t\n\v\f\r]*([+-]?\d+)[ \t\n\v\f\r]*$/

function outOfRange(text: string, typeName: string): DbError {
  return new DbError('numeric_value_out_of_range', `value "${text}" is out of range for type ${typeName}`)
}

/** The integer that a text says, or undefined when it is none; a bigint only when not safe. */
function parseInteger(text: string): number | bigint | undefined {
  const length = text.length
  if (length > 0 && length < 10) {
    let value = 0
    let i = text.charCodeAt(0) === 0x2d && length > 1 ? 1 : 0
    for (; i < length; i++) {
      const digit = text.charCodeAt(i) - 0x30
      if (digit < 0 || digit > 9) break
      value = value * 10 + digit
    }
    if (i === length) return text.charCodeAt(0) === 0x2d ? -value + 0 : value
  }
  const match = integerPattern.exec(text)
  if (match === null) return undefined
  const value = Number(match[1])
  return Number.isSafeInteger(value) ? value + 0 : canonical(BigInt(match[1].replace('+', '')))
}

/** int2 and int4. */
export class SmallIntegerType extends BaseType {
  readonly #limit: number
  readonly #title: string
  readonly #bytes: number

  constructor(facts: TypeFacts, bytes: 2 | 4) {
    super(facts, bytes === 2 ? 'i16' : 'i32')
    this.#bytes = bytes
    this.#limit = bytes === 2 ? 0x8000 : 0x80000000
    this.#title = displayNames[facts.name] ?? facts.name
  }

  parse(text: string): number {
    const value = parseInteger(text)
    if (value === undefined) throw invalidSyntax(this.#title, text)
    if (value >= this.#limit || value < -this.#limit) throw outOfRange(text, this.#title)
    return value as number
  }

  format(value: number): string {
    return String(value)
  }

  override writeText(value: number, out: ByteWriter): void {
    writeInteger(value, out)
  }

  encode(value: number, out: ByteWriter): void {
    if (this.#bytes === 2) out.u16(value & 0xffff)
    else out.u32(value)
  }

  decode(bytes: Uint8Array, start: number, end: number): number {
    expectLength(start, end, this.#bytes)
    return this.#bytes === 2 ? ((bytes[start] << 24) >> 16) | bytes[start + 1] : readI32(bytes, start)
  }

  override compare(a: number, b: number): number {
    return a - b
  }

  override encodeKey(value: number, out: ByteWriter): void {
    if (this.#bytes === 2) keyInt16(value, out)
    else keyInt32(value, out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + this.#bytes
  }
}

export class Int8Type extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'i64')
  }

  parse(text: string): number | bigint {
    const value = parseInteger(text)
    if (value === undefined) throw invalidSyntax('bigint', text)
    if (typeof value === 'bigint' && BigInt.asIntN(64, value) !== value) throw outOfRange(text, 'bigint')
    return value
  }

  format(value: number | bigint): string {
    return String(value)
  }

  override writeText(value: number | bigint, out: ByteWriter): void {
    if (typeof value === 'number') writeInteger(value, out)
    else out.utf8(String(value))
  }

  encode(value: number | bigint, out: ByteWriter): void {
    writeI64(value, out)
  }

  decode(bytes: Uint8Array, start: number, end: number): number | bigint {
    expectLength(start, end, 8)
    return readI64(bytes, start)
  }

  override compare(a: number | bigint, b: number | bigint): number {
    return a < b ? -1 : a > b ? 1 : 0
  }

  override encodeKey(value: number | bigint, out: ByteWriter): void {
    keyInt64(value, out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 8
  }
}

/** oid, xid, cid: unsigned 32 bits. Input takes a leading minus, as PostgreSQL does: -1 is 4294967295. */
export class UnsignedType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'u32')
  }

  parse(text: string): number {
    const value = parseInteger(text)
    if (value === undefined) throw invalidSyntax(this.name, text)
    if (value > 0xffffffff || value < -0x80000000) throw outOfRange(text, this.name)
    return (value as number) >>> 0
  }

  format(value: number): string {
    return String(value)
  }

  override writeText(value: number, out: ByteWriter): void {
    writeInteger(value, out)
  }

  encode(value: number, out: ByteWriter): void {
    out.u32(value)
  }

  decode(bytes: Uint8Array, start: number, end: number): number {
    expectLength(start, end, 4)
    return readI32(bytes, start) >>> 0
  }

  override compare(a: number, b: number): number {
    return a - b
  }

  override encodeKey(value: number, out: ByteWriter): void {
    out.u32(value)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 4
  }
}
