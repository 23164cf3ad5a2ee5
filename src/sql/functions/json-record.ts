/**
 * Records out of JSON objects: json(b)_populate_record(set), json(b)_to_record(set).
 *
 * A member becomes a column by its type: rows from objects, arrays from arrays, json as it is, everything else through
 * the input function of the type, from the member's text.
 * Not here: the other way (json-output.ts).
 */
import { DbError } from '../../base/index.ts'
import { SqlArray } from '../types/array.ts'
import { parseJson } from '../types/json-parser.ts'
import { formatJsonb, type Jsonb, JsonNull, JsonObject } from '../types/jsonb.ts'
import { type CompositeField, CompositeType, SqlRecord } from '../types/record.ts'
import type { Type, TypeContext, Value } from '../types/type.ts'
import { DomainType } from '../types/user-types.ts'
import type { CallSite, FunctionMaker } from './function.ts'
import { jsonbText, notScalar } from './json.ts'

/** A JSON value as a value of a type; undefined and null are NULL. */
export function valueFromJson(json: Jsonb | undefined, type: Type, typmod: number, context: TypeContext): Value {
  if (type instanceof DomainType) {
    const value = valueFromJson(json, type.baseType, type.typmod, context)
    return value === null ? null : type.coerce(value, type.typmod, false)
  }
  if (type.name === 'jsonb' && json !== undefined) return json
  if (type.name === 'json' && json !== undefined) return formatJsonb(json)
  if (json === undefined || json instanceof JsonNull) return null
  if (type instanceof CompositeType) {
    if (typeof json === 'string') return type.parse(json, -1, context)
    if (!(json instanceof JsonObject)) throw notScalar('cannot call populate_composite on a scalar')
    return rowFromJson(json, type.fields, undefined, context)
  }
  if (type.category === 'A') return arrayFromJson(json, type, typmod, context)
  return type.parse(jsonbText(json)!, typmod, context)
}

function arrayFromJson(json: Jsonb, type: Type, typmod: number, context: TypeContext): Value {
  if (typeof json === 'string') return type.parse(json, typmod, context)
  if (!Array.isArray(json)) {
    throw new DbError('invalid_text_representation', 'expected JSON array')
  }
  const element = context.types.type(type.element)
  const depth = depthOf(json, element)
  const dimensions: number[] = []
  const items: Value[] = []
  const walk = (list: Jsonb, level: number) => {
    if (!Array.isArray(list)) throw new DbError('invalid_text_representation', 'expected JSON array')
    if (dimensions[level] === undefined) dimensions[level] = list.length
    if (dimensions[level] !== list.length) {
      throw new DbError('invalid_text_representation', 'malformed JSON array', {
        detail: 'Multidimensional arrays must have sub-arrays with matching dimensions.',
      })
    }
    for (const item of list) {
      if (level < depth - 1) walk(item, level + 1)
      else items.push(valueFromJson(item, element, typmod, context))
    }
  }
  walk(json, 0)
  if (items.length === 0) return new SqlArray(element.oid, [], [], [])
  return new SqlArray(
    element.oid,
    dimensions,
    dimensions.map(() => 1),
    items,
  )
}

/** Nested arrays are dimensions, unless the elements are json themselves. */
function depthOf(json: Jsonb, element: Type): number {
  if (element.name === 'json' || element.name === 'jsonb') return 1
  let depth = 0
  for (let at: Jsonb | undefined = json; Array.isArray(at); at = at[0]) depth++
  return depth
}

/** Columns that the object lacks are taken from `base`, else NULL. */
function rowFromJson(
  object: JsonObject,
  fields: readonly CompositeField[],
  base: SqlRecord | null | undefined,
  context: TypeContext,
): SqlRecord {
  const values = fields.map((field, i) => {
    const at = object.indexOf(field.name)
    if (at < 0 && base !== null && base !== undefined) return base.values[i]
    return valueFromJson(at < 0 ? undefined : object.values[at], field.type, field.typmod, context)
  })
  return new SqlRecord(
    fields.map((field) => field.type),
    values,
    fields.map((field) => field.name),
  )
}

function noRowType(name: string): DbError {
  return new DbError('feature_not_supported', `could not determine row type for result of ${name}`, {
    hint: 'Provide a non-null record argument, or call the function in the FROM clause using a column definition list.',
  })
}

/** The columns wanted: of the composite argument type, of the row given, or of the column definition list. */
function columnsFor(
  site: CallSite,
  context: TypeContext,
  base: SqlRecord | null | undefined,
  name: string,
): readonly CompositeField[] {
  if (site.columns !== undefined) return declaredColumns(site, context, name)
  let type = context.types.type(site.argTypes[0])
  while (type instanceof DomainType) type = type.baseType
  if (type instanceof CompositeType) return type.fields
  if (type.name !== 'record') {
    throw new DbError('datatype_mismatch', `first argument of ${name} must be a row type`)
  }
  if (base !== null && base !== undefined) {
    return base.types.map((column, i) => ({ name: base.names?.[i] ?? `f${i + 1}`, type: column, typmod: -1 }))
  }
  throw noRowType(name)
}

/** The column definition list, which the functions without a row argument need. */
function declaredColumns(site: CallSite, context: TypeContext, name: string): readonly CompositeField[] {
  if (site.columns === undefined) throw noRowType(name)
  return site.columns.map((column) => ({ ...column, type: context.types.type(column.type) }))
}

function objectFrom(json: Jsonb, name: string): JsonObject {
  if (json instanceof JsonObject) return json
  throw notScalar(`cannot call ${name} on ${Array.isArray(json) ? 'an array' : 'a scalar'}`)
}

function listFrom(json: Jsonb, name: string): JsonObject[] {
  if (!Array.isArray(json))
    throw notScalar(`cannot call ${name} on ${json instanceof JsonObject ? 'an object' : 'a non-array'}`)
  return json.map((item) => {
    if (item instanceof JsonObject) return item
    throw notScalar(`argument of ${name} must be an array of objects`)
  })
}

type Parse = (value: any) => Jsonb

function populate(name: string, parse: Parse): FunctionMaker {
  return (site, context) => (base: SqlRecord | null, json: Value) => {
    const fields = columnsFor(site, context, base, name)
    return json === null ? base : rowFromJson(objectFrom(parse(json), name), fields, base, context)
  }
}

function populateSet(name: string, parse: Parse): FunctionMaker {
  return (site, context) => (base: SqlRecord | null, json: Value) => {
    const fields = columnsFor(site, context, base, name)
    if (json === null) return []
    return listFrom(parse(json), name).map((item) => rowFromJson(item, fields, base, context))
  }
}

function toRecord(name: string, parse: Parse): FunctionMaker {
  return (site, context) => (json: Value) => {
    const fields = declaredColumns(site, context, name)
    return rowFromJson(objectFrom(parse(json), name), fields, undefined, context)
  }
}

function toRecordSet(name: string, parse: Parse): FunctionMaker {
  return (site, context) => (json: Value) => {
    const fields = declaredColumns(site, context, name)
    if (json === null) return []
    return listFrom(parse(json), name).map((item) => rowFromJson(item, fields, undefined, context))
  }
}

const same: Parse = (value) => value

export const jsonRecordMakers: Record<string, FunctionMaker> = {
  json_populate_record: populate('json_populate_record', parseJson),
  jsonb_populate_record: populate('jsonb_populate_record', same),
  json_to_record: toRecord('json_to_record', parseJson),
  jsonb_to_record: toRecord('jsonb_to_record', same),
}

export const jsonRecordSetMakers: Record<string, FunctionMaker> = {
  json_populate_recordset: populateSet('json_populate_recordset', parseJson),
  jsonb_populate_recordset: populateSet('jsonb_populate_recordset', same),
  json_to_recordset: toRecordSet('json_to_recordset', parseJson),
  jsonb_to_recordset: toRecordSet('jsonb_to_recordset', same),
}
