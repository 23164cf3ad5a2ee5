/**
 * Types that the catalogs use: reg* (an oid shown as the object's name), tid, pg_lsn, and the pseudo types.
 *
 * Not here: resolving names (the catalog behind TypeContext.names).
 */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import { formatArray, SqlArray } from './array.ts'
import {
  BaseType,
  canonical,
  expectLength,
  invalidSyntax,
  readI32,
  readI64,
  type TypeFacts,
  writeI64,
} from './base-type.ts'
import { UnsignedType } from './integers.ts'
import { TextType } from './text.ts'
import type { RegKind, TypeContext, Value } from './type.ts'

export class RegType extends UnsignedType {
  override parse(text: string, _typmod?: number, context?: TypeContext): number {
    if (text === '-') return 0
    if (/^\d+$/.test(text)) return super.parse(text)
    return context!.names.lookup(this.name as RegKind, text)
  }

  override format(value: number, context?: TypeContext): string {
    return value === 0 ? '-' : context!.names.display(this.name as RegKind, value)
  }

  override writeText(value: number, out: ByteWriter, context?: TypeContext): void {
    out.utf8(this.format(value, context))
  }
}

/** A row's place, "(block,offset)". */
export class TidType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  parse(text: string): string {
    const match = /^\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)\s*$/.exec(text)
    if (match === null || Number(match[1]) > 0xffffffff || Number(match[2]) > 0xffff) throw invalidSyntax('tid', text)
    return `(${Number(match[1])},${Number(match[2])})`
  }

  format(value: string): string {
    return value
  }

  encode(value: string, out: ByteWriter): void {
    const [block, offset] = value.slice(1, -1).split(',').map(Number)
    out.u32(block)
    out.u16(offset)
  }

  decode(bytes: Uint8Array, start: number, end: number): string {
    expectLength(start, end, 6)
    return `(${readI32(bytes, start) >>> 0},${(bytes[start + 4] << 8) | bytes[start + 5]})`
  }

  override compare(a: string, b: string): number {
    const [x, y] = [a, b].map((tid) => tid.slice(1, -1).split(',').map(Number))
    return x[0] - y[0] || x[1] - y[1]
  }

  override encodeKey(value: string, out: ByteWriter): void {
    this.encode(value, out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 6
  }
}

/** Unsigned 64 bits: pg_lsn ("16/B374D848") and xid8. A number while safe, else a bigint. */
export class Unsigned64Type extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  parse(text: string): number | bigint {
    if (this.name === 'pg_lsn') {
      const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text)
      if (match === null) throw invalidSyntax('pg_lsn', text)
      return canonical((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`))
    }
    if (!/^\s*\d+\s*$/.test(text)) throw invalidSyntax(this.name, text)
    return canonical(BigInt.asUintN(64, BigInt(text.trim())))
  }

  format(value: number | bigint): string {
    if (this.name !== 'pg_lsn') return String(value)
    const big = BigInt(value)
    return `${(big >> 32n).toString(16).toUpperCase()}/${(big & 0xffffffffn).toString(16).toUpperCase()}`
  }

  encode(value: number | bigint, out: ByteWriter): void {
    writeI64(value, out)
  }

  decode(bytes: Uint8Array, start: number, end: number): number | bigint {
    expectLength(start, end, 8)
    const value = readI64(bytes, start)
    return value < 0 ? canonical(BigInt.asUintN(64, BigInt(value))) : value
  }

  override compare(a: number | bigint, b: number | bigint): number {
    return a < b ? -1 : a > b ? 1 : 0
  }

  override encodeKey(value: number | bigint, out: ByteWriter): void {
    writeI64(value, out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 8
  }
}

/** Types whose text we keep as it is and never interpret (pg_node_tree, aclitem, …). */
export class OpaqueType extends TextType {}

/** Pseudo types: values of them may pass through, but nobody types them in. */
export class PseudoType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  parse(): Value {
    throw new DbError('feature_not_supported', `cannot accept a value of type ${this.name}`)
  }

  format(value: Value, context: TypeContext): string {
    if (value instanceof SqlArray) return formatArray(value, context.types.type(value.elementOid), context)
    throw new DbError('feature_not_supported', `cannot display a value of type ${this.name}`)
  }

  encode(): void {
    throw new DbError('feature_not_supported', `cannot display a value of type ${this.name}`)
  }

  decode(): Value {
    throw new DbError('feature_not_supported', `cannot accept a value of type ${this.name}`)
  }
}

export class VoidType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  override get ordered(): boolean {
    return false
  }

  parse(): string {
    return ''
  }

  format(): string {
    return ''
  }

  encode(): void {}

  decode(): string {
    return ''
  }
}

/** A type of the catalog that has no implementation here: known by name, but it takes no values. */
export class UnsupportedType extends PseudoType {
  override get ordered(): boolean {
    return false
  }

  override get hashable(): boolean {
    return false
  }

  override parse(): Value {
    throw new DbError('feature_not_supported', `type ${this.name} is not supported`)
  }
}
