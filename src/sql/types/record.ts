/**
 * Rows as values: ROW(1, 'a'), and composite types with named columns.
 *
 *   text     (1,"a b",)          an empty place is NULL
 *   binary   number of columns │ (type oid, length or -1, value) …   32 bits each
 *
 * Not here: field selection and row comparison operators (the binder's and functions/record.ts).
 */
import { DbError } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import { BaseType, readI32, type TypeFacts } from './base-type.ts'
import type { Type, TypeContext, Value } from './type.ts'

export class SqlRecord {
  readonly types: readonly Type[]
  readonly values: readonly Value[]
  /** Column names for row_to_json and the like; f1, f2, … when absent. */
  readonly names: readonly string[] | undefined

  constructor(types: readonly Type[], values: readonly Value[], names?: readonly string[]) {
    this.types = types
    this.values = values
    this.names = names
  }
}

function quoted(text: string): string {
  if (text !== '' && !/[\s(),"\\]/.test(text)) return text
  return `"${text.replace(/["\\]/g, '$&$&')}"`
}

function formatRecord(value: SqlRecord, context: TypeContext): string {
  const parts = value.values.map((item, i) => (item === null ? '' : quoted(value.types[i].format(item, context))))
  return `(${parts.join(',')})`
}

function malformed(text: string, detail: string): DbError {
  return new DbError('invalid_text_representation', `malformed record literal: "${text}"`, { detail })
}

/** The column texts of a row's text form; null is NULL. */
function readRecord(text: string): (string | null)[] {
  let at = /^\s*/.exec(text)![0].length
  if (text[at] !== '(') throw malformed(text, 'Missing left parenthesis.')
  at++
  const fields: (string | null)[] = []
  for (;;) {
    let field: string | null = null
    let inQuotes = false
    for (; inQuotes || (text[at] !== ',' && text[at] !== ')'); at++) {
      const c = text[at]
      if (c === undefined) throw malformed(text, 'Unexpected end of input.')
      field ??= ''
      if (c === '\\') {
        at++
        if (at >= text.length) throw malformed(text, 'Unexpected end of input.')
        field += text[at]
      } else if (c === '"') {
        if (inQuotes && text[at + 1] === '"') field += text[at++]
        else inQuotes = !inQuotes
      } else {
        field += c
      }
    }
    fields.push(field)
    if (text[at++] === ')') break
  }
  if (text.slice(at).trim() !== '') throw malformed(text, 'Junk after right parenthesis.')
  return fields
}

/** Columns in order, NULL last in each; raises datatype_mismatch for rows of different shapes. */
function compareRecords(a: SqlRecord, b: SqlRecord): number {
  const count = Math.min(a.values.length, b.values.length)
  for (let i = 0; i < count; i++) {
    if (a.types[i].oid !== b.types[i].oid) {
      const message = `cannot compare dissimilar column types ${a.types[i].name} and ${b.types[i].name} at record column ${i + 1}`
      throw new DbError('datatype_mismatch', message)
    }
    const x = a.values[i]
    const y = b.values[i]
    if (x === null || y === null) {
      if (x !== y) return x === null ? 1 : -1
      continue
    }
    const order = a.types[i].compare(x, y)
    if (order !== 0) return order
  }
  if (a.values.length !== b.values.length) {
    throw new DbError('datatype_mismatch', 'cannot compare record types with different numbers of columns')
  }
  return 0
}

/** The pseudo type record: rows of any shape. */
export class RecordType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  parse(_text: string, _typmod: number, _context: TypeContext): SqlRecord {
    throw new DbError('feature_not_supported', 'input of anonymous composite types is not implemented')
  }

  format(value: SqlRecord, context: TypeContext): string {
    return formatRecord(value, context)
  }

  encode(value: SqlRecord, out: ByteWriter): void {
    out.u32(value.values.length)
    for (let i = 0; i < value.values.length; i++) {
      const item = value.values[i]
      out.u32(value.types[i].oid)
      if (item === null) {
        out.u32(-1)
        continue
      }
      const at = out.length
      out.u32(0)
      value.types[i].encode(item, out)
      out.u32At(at, out.length - at - 4)
    }
  }

  decode(_bytes: Uint8Array, _start: number, _end: number): SqlRecord {
    throw new DbError('feature_not_supported', 'input of anonymous composite types is not implemented')
  }

  override compare(a: SqlRecord, b: SqlRecord): number {
    return compareRecords(a, b)
  }

  override key(value: SqlRecord): string {
    const writer = new ByteWriter(64)
    this.encodeKey(value, writer)
    return writer.bytes.toString('latin1')
  }

  override encodeKey(value: SqlRecord, out: ByteWriter): void {
    for (let i = 0; i < value.values.length; i++) {
      const item = value.values[i]
      out.u8(item === null ? 2 : 1)
      if (item !== null) value.types[i].encodeKey(item, out)
    }
    out.u8(0)
  }
}

export interface CompositeField {
  readonly name: string
  readonly type: Type
  readonly typmod: number
}

/** A type with named columns: of CREATE TYPE … AS, or the row type of a table. */
export class CompositeType extends RecordType {
  readonly #fields: () => readonly CompositeField[]
  #resolved: readonly CompositeField[] | undefined
  #types: readonly Type[] = []
  #names: readonly string[] = []

  constructor(facts: TypeFacts, fields: () => readonly CompositeField[]) {
    super(facts)
    this.#fields = fields
  }

  get fields(): readonly CompositeField[] {
    if (this.#resolved === undefined) {
      this.#resolved = this.#fields()
      this.#types = this.#resolved.map((field) => field.type)
      this.#names = this.#resolved.map((field) => field.name)
    }
    return this.#resolved
  }

  /** A value of this type from its columns' values. */
  row(values: readonly Value[]): SqlRecord {
    this.fields
    return new SqlRecord(this.#types, values, this.#names)
  }

  override parse(text: string, _typmod: number, context: TypeContext): SqlRecord {
    const fields = this.fields
    const texts = readRecord(text)
    if (texts.length < fields.length && !(fields.length === 0 && texts.length === 1))
      throw malformed(text, 'Too few columns.')
    if (texts.length > fields.length && !(fields.length === 0 && texts[0] === null))
      throw malformed(text, 'Too many columns.')
    return this.row(
      fields.map((field, i) => {
        const item = texts[i]
        return item === null ? null : field.type.parse(item, field.typmod, context)
      }),
    )
  }

  override decode(bytes: Uint8Array, start: number, end: number): SqlRecord {
    const fields = this.fields
    if (end - start < 4) throw new DbError('protocol_violation', 'insufficient data left in message')
    const count = readI32(bytes, start)
    if (count !== fields.length) {
      throw new DbError('datatype_mismatch', `wrong number of columns: ${count}, expected ${fields.length}`)
    }
    let at = start + 4
    const values = fields.map((field, i) => {
      if (end - at < 8) throw new DbError('protocol_violation', 'insufficient data left in message')
      const oid = readI32(bytes, at) >>> 0
      if (oid !== field.type.oid) {
        const message = `binary data has type ${oid} instead of expected ${field.type.oid} in record column ${i + 1}`
        throw new DbError('datatype_mismatch', message)
      }
      const length = readI32(bytes, at + 4)
      at += 8
      if (length < 0) return null
      if (end - at < length) throw new DbError('protocol_violation', 'insufficient data left in message')
      at += length
      return field.type.decode(bytes, at - length, at)
    })
    return this.row(values)
  }

  override skipKey(bytes: Uint8Array, start: number): number {
    let at = start
    for (const field of this.fields) at = bytes[at] === 1 ? field.type.skipKey(bytes, at + 1) : at + 1
    return at + 1
  }
}
