/**
 * Rows of a table as the JSON objects that its events hold, by column name.
 *
 * NULL is written by leaving the column out, or as null where older rows have something else there. What is read and does
 * not fit its column is NULL: events come from anywhere, and none must make a table unreadable.
 *
 * Not here: JSON of single values in general (functions/json-output.ts, json-record.ts).
 */
import { DbError } from '../../base/index.ts'
import type { Column, RelationDescriptor } from '../catalog/descriptors.ts'
import { type JsonForm, jsonForm } from '../functions/json-output.ts'
import { valueFromJson } from '../functions/json-record.ts'
import { parseJson } from '../types/json-parser.ts'
import { type Jsonb, JsonObject, quoteJson } from '../types/jsonb.ts'
import { plainContext, type Type, type TypeContext, type Value } from '../types/type.ts'

interface Member {
  readonly column: Column
  readonly type: Type
  readonly form: JsonForm
  readonly name: string
  readonly missing: Value
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** A row as it is found: its JSON text, or the object of which that would be the text. */
export type RowText = Uint8Array | { readonly [name: string]: unknown }

export class RowJson {
  readonly #members: (Member | undefined)[]
  readonly #context: TypeContext

  /** @param without the column that is no member: the key. */
  constructor(table: RelationDescriptor, types: TypeContext, without: Column | undefined) {
    this.#context = plainContext(types)
    this.#members = table.columns.map((column) => {
      if (column.dropped || column === without) return undefined
      const type = types.types.type(column.type)
      const missing = column.missing === undefined ? null : type.parse(column.missing, -1, this.#context)
      return { column, type, form: jsonForm(column.type, this.#context), name: quoteJson(column.name), missing }
    })
  }

  /** @param values by attribute number − 1. */
  encode(values: readonly Value[]): Uint8Array {
    return encoder.encode(this.text(values, this.#members))
  }

  /** The object of some columns. */
  encodeColumns(columns: readonly Column[], values: readonly Value[]): Uint8Array {
    return encoder.encode(
      this.text(
        values,
        columns.map((c) => this.#members[c.number - 1]),
      ),
    )
  }

  text(values: readonly Value[], members: readonly (Member | undefined)[]): string {
    const parts: string[] = []
    for (const m of members) {
      if (m === undefined) continue
      const value = values[m.column.number - 1] ?? null
      if (value !== null) parts.push(`${m.name}:${m.form.text(value)}`)
      else if (m.missing !== null) parts.push(`${m.name}:null`)
    }
    return `{${parts.join(',')}}`
  }

  /** The values of some columns, by attribute number − 1; others are left as they are. */
  decode(row: RowText, columns: readonly number[], into: Value[]): void {
    const object = row instanceof Uint8Array ? parsed(row) : row
    let exact: Jsonb | undefined
    const exactly = (): Jsonb => {
      exact ??= parseJson(row instanceof Uint8Array ? decoder.decode(row) : JSON.stringify(row))
      return exact
    }
    for (const number of columns) {
      const m = this.#members[number - 1]
      if (m === undefined) continue
      const { name } = m.column
      const value = object !== undefined && Object.hasOwn(object, name) ? object[name] : undefined
      into[number - 1] = value === undefined ? m.missing : value === null ? null : this.#value(value, m, exactly)
    }
  }

  #value(value: unknown, { type, column }: Member, exactly: () => Jsonb): Value {
    try {
      const text = plainText(value, type)
      if (text !== undefined) return type.parse(text, column.typmod, this.#context)
      const object = exactly()
      if (!(object instanceof JsonObject)) return null
      const at = object.indexOf(column.name)
      return at < 0 ? null : valueFromJson(object.values[at], type, column.typmod, this.#context)
    } catch (error) {
      if (error instanceof DbError) return null
      throw error
    }
  }
}

/** The text that the type reads, where that is plain to see; numbers that JavaScript cannot hold are not. */
function plainText(value: unknown, type: Type): string | undefined {
  if (type.kind !== 'b' || type.category === 'A' || type.name === 'json' || type.name === 'jsonb') return undefined
  if (typeof value === 'string') return value
  if (typeof value === 'boolean' || Number.isSafeInteger(value)) return String(value)
  return typeof value === 'number' && (type.name === 'float8' || type.name === 'float4') ? String(value) : undefined
}

function parsed(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(bytes))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
