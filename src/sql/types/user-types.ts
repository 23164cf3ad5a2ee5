/**
 * Types that users make: enums and domains. Composite types are in record.ts, arrays in array.ts.
 *
 * An enum's value is its label; its place in the order is a number that stays when labels are added between others, and
 * that is what keys hold.
 * Not here: domain constraints' expressions (the executor checks them; `check` is where it hooks in).
 */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import { BaseType, type TypeFacts } from './base-type.ts'
import { decodeUtf8, utf8Length } from './code-points.ts'
import { keyFloat64 } from './key-encoding.ts'
import type { Type, TypeContext, Value } from './type.ts'

export interface EnumLabel {
  readonly oid: number
  /** pg_enum.enumsortorder. */
  readonly order: number
  readonly label: string
}

export class EnumType extends BaseType {
  /** In sort order. */
  readonly labels: readonly EnumLabel[]
  readonly #order = new Map<string, number>()

  constructor(facts: TypeFacts, labels: readonly EnumLabel[]) {
    super(facts, 'bytes')
    this.labels = [...labels].sort((a, b) => a.order - b.order)
    for (const { label, order } of labels) this.#order.set(label, order)
  }

  /** Raises invalid_text_representation for a label the enum does not have. */
  orderOf(label: string): number {
    const order = this.#order.get(label)
    if (order === undefined) {
      throw new DbError('invalid_text_representation', `invalid input value for enum ${this.name}: "${label}"`)
    }
    return order
  }

  parse(text: string): string {
    if (utf8Length(text) >= 64 || !this.#order.has(text)) this.orderOf(text)
    return text
  }

  format(value: string): string {
    return value
  }

  encode(value: string, out: ByteWriter): void {
    out.utf8(value)
  }

  decode(bytes: Uint8Array, start: number, end: number): string {
    return this.parse(decodeUtf8(bytes, start, end))
  }

  override compare(a: string, b: string): number {
    return a === b ? 0 : this.orderOf(a) - this.orderOf(b)
  }

  override encodeKey(value: string, out: ByteWriter): void {
    keyFloat64(this.orderOf(value), out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 8
  }
}

/** A domain: its base type with a modifier and, when given, a check of each value (null included). */
export class DomainType extends BaseType {
  readonly baseType: Type
  readonly typmod: number
  readonly #check: ((value: Value, context: TypeContext | undefined) => void) | undefined

  constructor(facts: TypeFacts, baseType: Type, typmod: number, check?: (value: Value, context?: TypeContext) => void) {
    super(facts, baseType.storage)
    this.baseType = baseType
    this.typmod = typmod
    this.#check = check
  }

  override get ordered(): boolean {
    return this.baseType.ordered
  }

  override get hashable(): boolean {
    return this.baseType.hashable
  }

  parse(text: string, _typmod: number, context: TypeContext): Value {
    const value = this.baseType.parse(text, this.typmod, context)
    this.#check?.(value, context)
    return value
  }

  format(value: Value, context: TypeContext): string {
    return this.baseType.format(value, context)
  }

  override writeText(value: Value, out: ByteWriter, context: TypeContext): void {
    this.baseType.writeText(value, out, context)
  }

  encode(value: Value, out: ByteWriter): void {
    this.baseType.encode(value, out)
  }

  decode(bytes: Uint8Array, start: number, end: number): Value {
    return this.baseType.decode(bytes, start, end)
  }

  override coerce(value: Value, _typmod: number, explicit: boolean): Value {
    return this.baseType.coerce(value, this.typmod, explicit)
  }

  override compare(a: Value, b: Value): number {
    return this.baseType.compare(a, b)
  }

  override key(value: Value): string | number | boolean | bigint {
    return this.baseType.key(value)
  }

  override encodeKey(value: Value, out: ByteWriter): void {
    this.baseType.encodeKey(value, out)
  }

  override skipKey(bytes: Uint8Array, start: number): number {
    return this.baseType.skipKey(bytes, start)
  }
}
