/**
 * Any SQL value as JSON: to_json, to_jsonb, row_to_json, array_to_json, and the building functions.
 *
 * Booleans and numbers stay themselves (NaN and infinities become strings), dates and times are written in ISO 8601,
 * arrays and rows become arrays and objects, json is put in as it is, everything else is its text.
 * Not here: aggregates (aggregates-json.ts).
 */
import { DbError } from '../../base/index.ts'
import type { SqlArray } from '../types/array.ts'
import { isInfinite, type Micros } from '../types/calendar.ts'
import { formatTimestamp, localTime } from '../types/datetime-output.ts'
import { formatFloat4, formatFloat8 } from '../types/floats.ts'
import { parseJson } from '../types/json-parser.ts'
import { formatJsonb, type Jsonb, jsonNull, objectOf, quoteJson } from '../types/jsonb.ts'
import { fromInteger, isFiniteNumeric, type Numeric, parseNumeric } from '../types/numeric.ts'
import { type CompositeField, CompositeType, type SqlRecord } from '../types/record.ts'
import { zoneOf } from '../types/time-zone.ts'
import type { Type, TypeContext, Value } from '../types/type.ts'
import { DomainType } from '../types/user-types.ts'
import type { CallSite, FunctionCode, FunctionMaker } from './function.ts'

/** How values of one type become JSON, both ways. */
export interface JsonForm {
  /** Arrays, rows and json cannot be keys. */
  readonly scalar: boolean
  /** Rows and arrays: json_agg puts each on a line of its own. */
  readonly structured: boolean
  text(value: Value): string
  tree(value: Value): Jsonb
}

const boolOid = 16
const jsonOid = 114
const jsonbOid = 3802

/** 2024-02-29T12:34:56+00:00 */
function isoTimestamp(value: Micros, context: TypeContext | undefined): string {
  if (isInfinite(value)) return value > 0 ? 'infinity' : '-infinity'
  if (context === undefined) return formatTimestamp(value).replace(' ', 'T')
  const { local, offset } = localTime(value, zoneOf(context.timeZone))
  const text = formatTimestamp(local).replace(' ', 'T')
  const size = Math.abs(offset)
  const two = (n: number) => String(n).padStart(2, '0')
  const seconds = size % 60 === 0 ? '' : `:${two(size % 60)}`
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(size / 3600))}:${two(Math.floor(size / 60) % 60)}${seconds}`
  return text.endsWith(' BC') ? `${text.slice(0, -3)}${zone} BC` : text + zone
}

function ofString(show: (value: Value) => string): JsonForm {
  return { scalar: true, structured: false, text: (value) => quoteJson(show(value)), tree: (value) => show(value) }
}

function ofNumber(toNumeric: (value: Value) => Numeric, show: (value: Value) => string): JsonForm {
  return {
    scalar: true,
    structured: false,
    text(value) {
      const text = show(value)
      return /[a-z]{3}/i.test(text) ? quoteJson(text) : text
    },
    tree(value) {
      const numeric = toNumeric(value)
      return isFiniteNumeric(numeric) ? numeric : show(value)
    },
  }
}

/** The form of a type; array and row forms hold those of their members. */
export function jsonForm(oid: number, context: TypeContext): JsonForm {
  let type = context.types.type(oid)
  while (type instanceof DomainType) type = type.baseType
  switch (type.oid) {
    case boolOid:
      return { scalar: true, structured: false, text: (value) => (value ? 'true' : 'false'), tree: (value) => value }
    case 20:
    case 21:
    case 23:
      return ofNumber((value) => fromInteger(value), String)
    case 700:
      return ofNumber(
        (value) => parseNumeric(formatFloat4(value))!,
        (value) => formatFloat4(value, context.extraFloatDigits),
      )
    case 701:
      return ofNumber(
        (value) => parseNumeric(formatFloat8(value))!,
        (value) => formatFloat8(value, context.extraFloatDigits),
      )
    case 1700:
      return ofNumber((value) => value, String)
    case 1082:
      return ofString((value) =>
        Number.isFinite(value) ? type.format(value, context) : value > 0 ? 'infinity' : '-infinity',
      )
    case 1114:
      return ofString((value) => isoTimestamp(value, undefined))
    case 1184:
      return ofString((value) => isoTimestamp(value, context))
    case jsonOid:
      return { scalar: false, structured: false, text: (value) => value, tree: parseJson }
    case jsonbOid:
      return { scalar: false, structured: false, text: formatJsonb, tree: (value) => value }
    default:
      return compoundForm(type, context)
  }
}

function compoundForm(type: Type, context: TypeContext): JsonForm {
  if (type.category === 'A') return arrayForm(context)
  if (type.kind === 'c' || type.name === 'record') return rowForm(type, context)
  return ofString((value) => type.format(value, context))
}

function arrayForm(context: TypeContext): JsonForm {
  return {
    scalar: false,
    structured: true,
    text: (value: SqlArray) => arrayText(value, jsonForm(value.elementOid, context), ','),
    tree: (value: SqlArray) => arrayTree(value, jsonForm(value.elementOid, context)),
  }
}

function arrayText(array: SqlArray, element: JsonForm, separator: string): string {
  let at = 0
  const level = (depth: number): string => {
    const parts: string[] = []
    for (let i = 0; i < (array.dimensions[depth] ?? 0); i++) {
      if (depth < array.dimensions.length - 1) {
        parts.push(level(depth + 1))
      } else {
        const item = array.items[at++]
        parts.push(item === null ? 'null' : element.text(item))
      }
    }
    return `[${parts.join(depth === 0 ? separator : ',')}]`
  }
  return level(0)
}

function arrayTree(array: SqlArray, element: JsonForm): Jsonb {
  let at = 0
  const level = (depth: number): Jsonb[] => {
    const out: Jsonb[] = []
    for (let i = 0; i < (array.dimensions[depth] ?? 0); i++) {
      if (depth < array.dimensions.length - 1) {
        out.push(level(depth + 1))
      } else {
        const item = array.items[at++]
        out.push(item === null ? jsonNull : element.tree(item))
      }
    }
    return out
  }
  return level(0)
}

/** Column names: the value's own, those of the composite type, or f1, f2, … */
function columnsOf(row: SqlRecord, type: Type): readonly string[] {
  if (row.names !== undefined) return row.names
  if (type instanceof CompositeType) return type.fields.map((field: CompositeField) => field.name)
  return row.values.map((_, i) => `f${i + 1}`)
}

function rowForm(type: Type, context: TypeContext): JsonForm {
  const forms = new Map<number, JsonForm>()
  const formOf = (oid: number) => {
    let form = forms.get(oid)
    if (form === undefined) {
      form = jsonForm(oid, context)
      forms.set(oid, form)
    }
    return form
  }
  return {
    scalar: false,
    structured: true,
    text: (row: SqlRecord) => rowText(row, columnsOf(row, type), formOf, ','),
    tree(row: SqlRecord) {
      const values = row.values.map((item, i) => (item === null ? jsonNull : formOf(row.types[i].oid).tree(item)))
      return objectOf(columnsOf(row, type), values)
    },
  }
}

function rowText(
  row: SqlRecord,
  names: readonly string[],
  formOf: (oid: number) => JsonForm,
  separator: string,
): string {
  const parts = row.values.map((item, i) => {
    const text = item === null ? 'null' : formOf(row.types[i].oid).text(item)
    return `${quoteJson(names[i])}:${text}`
  })
  return `{${parts.join(separator)}}`
}

/** A key's text, the JSON form without quotes; raises for what is no scalar. */
export function keyText(value: Value, form: JsonForm): string {
  if (!form.scalar) {
    throw new DbError('invalid_parameter_value', 'key value must be scalar, not array, composite, or json')
  }
  const tree = form.tree(value)
  return typeof tree === 'string' ? tree : form.text(value)
}

interface Argument {
  readonly value: Value
  readonly form: JsonForm
}

/** The arguments of a VARIADIC "any" call; undefined when the array given with VARIADIC is NULL. */
function argumentsOf(site: CallSite, context: TypeContext): (args: Value[]) => Argument[] | undefined {
  if (site.variadicArray === true) {
    return (args) => {
      const array = args[0] as SqlArray | null
      if (array === null) return undefined
      const form = jsonForm(array.elementOid, context)
      return array.items.map((value) => ({ value, form }))
    }
  }
  const forms = site.argTypes.map((oid) => jsonForm(oid, context))
  return (args) => forms.map((form, i) => ({ value: args[i], form }))
}

function checkEven(list: readonly Argument[], name: string): void {
  if (list.length % 2 === 0) return
  throw new DbError('invalid_parameter_value', 'argument list must have even number of elements', {
    hint: `The arguments of ${name} must consist of alternating keys and values.`,
  })
}

const buildObject: FunctionMaker = (site, context) => {
  const list = argumentsOf(site, context)
  return (...args) => {
    const items = list(args)
    if (items === undefined) return null
    checkEven(items, 'json_build_object()')
    const parts: string[] = []
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i]
      if (key.value === null) {
        throw new DbError('invalid_parameter_value', `argument ${i + 1} cannot be null`, {
          hint: 'Object keys should be text.',
        })
      }
      const { value, form } = items[i + 1]
      parts.push(`${quoteJson(keyText(key.value, key.form))} : ${value === null ? 'null' : form.text(value)}`)
    }
    return `{${parts.join(', ')}}`
  }
}

const buildObjectTree: FunctionMaker = (site, context) => {
  const list = argumentsOf(site, context)
  return (...args) => {
    const items = list(args)
    if (items === undefined) return null
    checkEven(items, 'jsonb_build_object()')
    const keys: string[] = []
    const values: Jsonb[] = []
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i]
      if (key.value === null) throw new DbError('invalid_parameter_value', `argument ${i + 1}: key must not be null`)
      keys.push(keyText(key.value, key.form))
      const { value, form } = items[i + 1]
      values.push(value === null ? jsonNull : form.tree(value))
    }
    return objectOf(keys, values)
  }
}

const buildArray: FunctionMaker = (site, context) => {
  const list = argumentsOf(site, context)
  return (...args) => {
    const items = list(args)
    if (items === undefined) return null
    return `[${items.map(({ value, form }) => (value === null ? 'null' : form.text(value))).join(', ')}]`
  }
}

const buildArrayTree: FunctionMaker = (site, context) => {
  const list = argumentsOf(site, context)
  return (...args) => list(args)?.map(({ value, form }) => (value === null ? jsonNull : form.tree(value))) ?? null
}

export const jsonOutputMakers: Record<string, FunctionMaker> = {
  to_json: (site, context) => jsonForm(site.argTypes[0], context).text,
  to_jsonb: (site, context) => jsonForm(site.argTypes[0], context).tree,
  array_to_json: (site, context) => jsonForm(site.argTypes[0], context).text,
  array_to_json_pretty: (_site, context) => (array: SqlArray, pretty: boolean) =>
    arrayText(array, jsonForm(array.elementOid, context), pretty ? ',\n ' : ','),
  row_to_json: (site, context) => jsonForm(site.argTypes[0], context).text,
  row_to_json_pretty: (site, context) => {
    const type = context.types.type(site.argTypes[0])
    return (row: SqlRecord, pretty: boolean) =>
      rowText(row, columnsOf(row, type), (oid) => jsonForm(oid, context), pretty ? ',\n ' : ',')
  },
  json_build_object: buildObject,
  json_build_array: buildArray,
  jsonb_build_object: buildObjectTree,
  jsonb_build_array: buildArrayTree,
}

/** json_object(text[]) and (text[], text[]): pairs of keys and values. */
function pairsOf(first: SqlArray, second: SqlArray | undefined): [key: string, value: string | null][] {
  if (second === undefined) {
    const depth = first.dimensions.length
    if (depth > 2) throw new DbError('array_subscript_error', 'wrong number of array subscripts')
    if (depth === 1 && first.items.length % 2 !== 0) {
      throw new DbError('array_subscript_error', 'array must have even number of elements')
    }
    if (depth === 2 && first.dimensions[1] !== 2) {
      throw new DbError('array_subscript_error', 'array must have two columns')
    }
    const pairs: [string, string | null][] = []
    for (let i = 0; i < first.items.length; i += 2) pairs.push([checkKey(first.items[i]), first.items[i + 1]])
    return pairs
  }
  if (first.dimensions.length > 1 || first.dimensions.length !== second.dimensions.length) {
    throw new DbError('array_subscript_error', 'wrong number of array subscripts')
  }
  if (first.items.length !== second.items.length) {
    throw new DbError('array_subscript_error', 'mismatched array dimensions')
  }
  return first.items.map((key, i) => [checkKey(key), second.items[i]])
}

function checkKey(key: string | null): string {
  if (key === null) throw new DbError('null_value_not_allowed', 'null value not allowed for object key')
  return key
}

function objectText(first: SqlArray, second?: SqlArray): string {
  const parts = pairsOf(first, second).map(
    ([key, value]) => `${quoteJson(key)} : ${value === null ? 'null' : quoteJson(value)}`,
  )
  return `{${parts.join(', ')}}`
}

function objectTree(first: SqlArray, second?: SqlArray): Jsonb {
  const pairs = pairsOf(first, second)
  return objectOf(
    pairs.map(([key]) => key),
    pairs.map(([, value]) => value ?? jsonNull),
  )
}

export const jsonOutputCode: Record<string, FunctionCode> = {
  json_build_object_noargs: () => '{}',
  json_build_array_noargs: () => '[]',
  jsonb_build_object_noargs: () => objectOf([], []),
  jsonb_build_array_noargs: () => [],
  json_object: (pairs: SqlArray) => objectText(pairs),
  json_object_two_arg: objectText,
  jsonb_object: (pairs: SqlArray) => objectTree(pairs),
  jsonb_object_two_arg: objectTree,
}
