/**
 * Arrays: their value, and the type that reads, writes, compares and stores them.
 *
 *   text     {1,2,NULL}   {{1,2},{3,4}}   [0:1]={7,8}   {"with, comma"}
 *   binary   dimensions │ has nulls │ element oid │ (size, lower bound) per dimension │ (length or -1, element) …   32 bits each
 *   key      01 element-key per item, 02 for NULL, 00 at the end, dimensions, sizes, lower bounds
 *
 * Not here: operators and functions (functions/array*.ts).
 */
import { DbError } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import { readArray } from './array-input.ts'
import { BaseType, readI32, type TypeFacts } from './base-type.ts'
import { keyInt32 } from './key-encoding.ts'
import type { Type, TypeContext, Value } from './type.ts'

export class SqlArray {
  readonly elementOid: number
  /** Sizes; empty for the empty array. */
  readonly dimensions: readonly number[]
  readonly lowerBounds: readonly number[]
  /** Row-major; null is NULL. */
  readonly items: readonly Value[]

  constructor(
    elementOid: number,
    dimensions: readonly number[],
    lowerBounds: readonly number[],
    items: readonly Value[],
  ) {
    this.elementOid = elementOid
    this.dimensions = dimensions
    this.lowerBounds = lowerBounds
    this.items = items
  }
}

/** A one-dimensional array from 1; the empty array when there are no items. */
export function arrayOf(elementOid: number, items: readonly Value[]): SqlArray {
  return items.length === 0
    ? new SqlArray(elementOid, [], [], [])
    : new SqlArray(elementOid, [items.length], [1], items)
}

/** Most items an array may have, and most dimensions. */
export const maxArrayItems = 134217727
export const maxDimensions = 6

/** Whether an item must be quoted: it is empty, the word NULL, or has a character that means something. */
function quoted(text: string, delimiter: string): string {
  if (text !== '' && !/[\s{}"\\]/.test(text) && !text.includes(delimiter) && !/^null$/i.test(text)) return text
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}

export function formatArray(value: SqlArray, element: Type, context: TypeContext): string {
  const { dimensions, lowerBounds, items } = value
  if (items.length === 0) return '{}'
  const delimiter = element.delimiter
  let at = 0
  const level = (depth: number): string => {
    const parts: string[] = []
    for (let i = 0; i < dimensions[depth]; i++) {
      if (depth < dimensions.length - 1) {
        parts.push(level(depth + 1))
      } else {
        const item = items[at++]
        parts.push(item === null ? 'NULL' : quoted(element.format(item, context), delimiter))
      }
    }
    return `{${parts.join(delimiter)}}`
  }
  const body = level(0)
  if (lowerBounds.every((bound) => bound === 1)) return body
  return `${dimensions.map((size, i) => `[${lowerBounds[i]}:${lowerBounds[i] + size - 1}]`).join('')}=${body}`
}

/** NULL items come last, a shorter array before its continuation; then dimensions, sizes and bounds decide. */
function compareArrays(a: SqlArray, b: SqlArray, element: Type): number {
  const count = Math.min(a.items.length, b.items.length)
  for (let i = 0; i < count; i++) {
    const x = a.items[i]
    const y = b.items[i]
    if (x === null || y === null) {
      if (x !== y) return x === null ? 1 : -1
      continue
    }
    const order = element.compare(x, y)
    if (order !== 0) return order
  }
  if (a.items.length !== b.items.length) return a.items.length - b.items.length
  if (a.dimensions.length !== b.dimensions.length) return a.dimensions.length - b.dimensions.length
  for (let i = 0; i < a.dimensions.length; i++) {
    if (a.dimensions[i] !== b.dimensions[i]) return a.dimensions[i] - b.dimensions[i]
  }
  for (let i = 0; i < a.lowerBounds.length; i++) {
    if (a.lowerBounds[i] !== b.lowerBounds[i]) return a.lowerBounds[i] - b.lowerBounds[i]
  }
  return 0
}

export class ArrayType extends BaseType {
  readonly #element: () => Type
  #resolved: Type | undefined

  /** @param element answers the element type; asked on first use, since types refer to each other. */
  constructor(facts: TypeFacts, element: () => Type) {
    super(facts, 'bytes')
    this.#element = element
  }

  get elementType(): Type {
    this.#resolved ??= this.#element()
    return this.#resolved
  }

  override get ordered(): boolean {
    return this.elementType.ordered
  }

  override get hashable(): boolean {
    return this.elementType.hashable
  }

  parse(text: string, typmod: number, context: TypeContext): SqlArray {
    const element = this.elementType
    const { dimensions, lowerBounds, items } = readArray(text, element.delimiter)
    const values = items.map((item) => (item === null ? null : element.parse(item, typmod, context)))
    return new SqlArray(element.oid, dimensions, lowerBounds, values)
  }

  format(value: SqlArray, context: TypeContext): string {
    return formatArray(value, this.elementType, context)
  }

  encode(value: SqlArray, out: ByteWriter): void {
    encodeArray(value, this.elementType, out)
  }

  decode(bytes: Uint8Array, start: number, end: number): SqlArray {
    return decodeArray(bytes, start, end, this.elementType)
  }

  override coerce(value: SqlArray, typmod: number, explicit: boolean): SqlArray {
    if (typmod < 0) return value
    const element = this.elementType
    const items = value.items.map((item) => (item === null ? null : element.coerce(item, typmod, explicit)))
    return new SqlArray(value.elementOid, value.dimensions, value.lowerBounds, items)
  }

  override compare(a: SqlArray, b: SqlArray): number {
    return compareArrays(a, b, this.elementType)
  }

  override key(value: SqlArray): string {
    const writer = new ByteWriter(64)
    this.encodeKey(value, writer)
    return writer.bytes.toString('latin1')
  }

  override encodeKey(value: SqlArray, out: ByteWriter): void {
    const element = this.elementType
    for (const item of value.items) {
      out.u8(item === null ? 2 : 1)
      if (item !== null) element.encodeKey(item, out)
    }
    out.u8(0)
    out.u8(value.dimensions.length)
    for (const size of value.dimensions) out.u32(size)
    for (const bound of value.lowerBounds) keyInt32(bound, out)
  }

  override skipKey(bytes: Uint8Array, start: number): number {
    let at = start
    while (bytes[at] !== 0) at = bytes[at] === 1 ? this.elementType.skipKey(bytes, at + 1) : at + 1
    return at + 2 + bytes[at + 1] * 8
  }
}

function encodeArray(value: SqlArray, element: Type, out: ByteWriter): void {
  out.u32(value.dimensions.length)
  out.u32(value.items.includes(null) ? 1 : 0)
  out.u32(element.oid)
  for (let i = 0; i < value.dimensions.length; i++) {
    out.u32(value.dimensions[i])
    out.u32(value.lowerBounds[i])
  }
  for (const item of value.items) {
    if (item === null) {
      out.u32(-1)
      continue
    }
    const at = out.length
    out.u32(0)
    element.encode(item, out)
    out.u32At(at, out.length - at - 4)
  }
}

function shortData(): DbError {
  return new DbError('protocol_violation', 'insufficient data left in message')
}

function decodeArray(bytes: Uint8Array, start: number, end: number, element: Type): SqlArray {
  if (end - start < 12) throw shortData()
  const depth = readI32(bytes, start)
  if (depth < 0 || depth > maxDimensions) {
    throw new DbError('invalid_binary_representation', `invalid number of dimensions: ${depth}`)
  }
  const sent = readI32(bytes, start + 8) >>> 0
  if (sent !== element.oid) {
    const message = `binary data has array element type ${sent} instead of expected ${element.oid}`
    throw new DbError('datatype_mismatch', message)
  }
  let at = start + 12
  const dimensions: number[] = []
  const lowerBounds: number[] = []
  let count = depth === 0 ? 0 : 1
  if (end - at < depth * 8) throw shortData()
  for (let i = 0; i < depth; i++) {
    dimensions.push(readI32(bytes, at))
    lowerBounds.push(readI32(bytes, at + 4))
    count *= dimensions[i]
    at += 8
  }
  if (count < 0 || count > maxArrayItems)
    throw new DbError('program_limit_exceeded', 'array size exceeds the maximum allowed')
  const items: Value[] = []
  for (let i = 0; i < count; i++) {
    if (end - at < 4) throw shortData()
    const length = readI32(bytes, at)
    at += 4
    if (length < 0) {
      items.push(null)
      continue
    }
    if (end - at < length) throw shortData()
    items.push(element.decode(bytes, at, at + length))
    at += length
  }
  return count === 0 ? new SqlArray(element.oid, [], [], []) : new SqlArray(element.oid, dimensions, lowerBounds, items)
}

/** int2vector and oidvector: numbers between blanks; an array whose first index is 0. */
export class VectorType extends ArrayType {
  override parse(text: string, _typmod: number, context: TypeContext): SqlArray {
    const words = text.trim() === '' ? [] : text.trim().split(/\s+/)
    const items = words.map((word) => this.elementType.parse(word, -1, context))
    return new SqlArray(this.elementType.oid, [items.length], [0], items)
  }

  override format(value: SqlArray): string {
    return value.items.join(' ')
  }

  override decode(bytes: Uint8Array, start: number, end: number): SqlArray {
    const value = super.decode(bytes, start, end)
    return value.items.length === 0 ? new SqlArray(value.elementOid, [0], [0], []) : value
  }
}
