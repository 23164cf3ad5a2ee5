/**
 * Operators and functions that read json and jsonb: fields, elements, paths, lengths, types, containment, casts.
 *
 * Not here: changes (jsonb-change.ts), sets (json-sets.ts), records (json-record.ts), building (json-output.ts).
 */
import { DbError } from '../../base/index.ts'
import type { SqlArray } from '../types/array.ts'
import {
  compareJsonb,
  formatJsonb,
  formatPretty,
  isContainer,
  type Jsonb,
  JsonNull,
  JsonObject,
  kindOf,
} from '../types/jsonb.ts'
import { Numeric } from '../types/numeric.ts'
import { castCode } from './casts.ts'
import type { FunctionCode } from './function.ts'
import { elementOf, type JsonNode, memberOf, readJsonText, sourceOf, textOf } from './json-text.ts'

export function notScalar(message: string): DbError {
  return new DbError('invalid_parameter_value', message)
}

/** A path element as an array index; undefined when it is no integer. */
export function indexOfText(text: string): number | undefined {
  return /^\s*[+-]?\d+$/.test(text) && Math.abs(Number(text)) <= 0x7fffffff ? Number(text) : undefined
}

// json: the text as written.

function member(text: string, key: string): JsonNode | undefined {
  return memberOf(readJsonText(text), key)
}

function element(text: string, index: number): JsonNode | undefined {
  return elementOf(readJsonText(text), index)
}

function nodeAtPath(text: string, path: SqlArray): JsonNode | undefined {
  let node: JsonNode | undefined = readJsonText(text)
  for (const step of path.items) {
    if (step === null || node === undefined) return undefined
    if (node.kind === 'object') {
      node = memberOf(node, step)
    } else {
      const index = indexOfText(step)
      node = index === undefined ? undefined : elementOf(node, index)
    }
  }
  return node
}

function asJson(text: string, node: JsonNode | undefined): string | null {
  return node === undefined ? null : sourceOf(text, node)
}

function asText(text: string, node: JsonNode | undefined): string | null {
  return node === undefined ? null : textOf(text, node)
}

function arrayLength(kind: string, count: number): number {
  if (kind === 'array') return count
  throw notScalar(kind === 'object' ? 'cannot get array length of a non-array' : 'cannot get array length of a scalar')
}

/** Rewrites without null members, and without blanks, as PostgreSQL does. */
function stripText(text: string, node: JsonNode): string {
  if (node.kind !== 'array' && node.kind !== 'object') return sourceOf(text, node)
  const parts: string[] = []
  for (let i = 0; i < node.items.length; i++) {
    const item = node.items[i]
    if (node.kind === 'array') parts.push(stripText(text, item))
    else if (item.kind !== 'null') parts.push(`${JSON.stringify(node.keys[i])}:${stripText(text, item)}`)
  }
  return node.kind === 'array' ? `[${parts.join(',')}]` : `{${parts.join(',')}}`
}

const jsonReads: Record<string, FunctionCode> = {
  json_object_field: (a: string, key: string) => asJson(a, member(a, key)),
  json_object_field_text: (a: string, key: string) => asText(a, member(a, key)),
  json_array_element: (a: string, index: number) => asJson(a, element(a, index)),
  json_array_element_text: (a: string, index: number) => asText(a, element(a, index)),
  json_extract_path: (a: string, path: SqlArray) => asJson(a, nodeAtPath(a, path)),
  json_extract_path_text: (a: string, path: SqlArray) => asText(a, nodeAtPath(a, path)),
  json_typeof: (a: string) => readJsonText(a).kind,
  json_array_length(a: string) {
    const node = readJsonText(a)
    return arrayLength(node.kind, node.items.length)
  },
  json_strip_nulls: (a: string) => stripText(a, readJsonText(a)),
}

// jsonb: the document.

function fieldOf(a: Jsonb, key: string): Jsonb | undefined {
  return a instanceof JsonObject ? a.get(key) : undefined
}

function itemOf(a: Jsonb, index: number): Jsonb | undefined {
  return Array.isArray(a) ? a.at(index) : undefined
}

/** a -> n: a bare scalar counts as an array of one. */
function topItem(a: Jsonb, index: number): Jsonb | undefined {
  return itemOf(isContainer(a) ? a : [a], index)
}

/** A document as SQL text: strings without quotes, JSON's null as NULL. */
export function jsonbText(a: Jsonb | undefined): string | null {
  if (a === undefined || a instanceof JsonNull) return null
  return typeof a === 'string' ? a : formatJsonb(a)
}

function atPath(a: Jsonb, path: SqlArray): Jsonb | undefined {
  let at: Jsonb | undefined = a
  for (const step of path.items) {
    if (step === null || at === undefined) return undefined
    if (at instanceof JsonObject) {
      at = at.get(step)
    } else {
      const index = indexOfText(step)
      at = index === undefined ? undefined : itemOf(at, index)
    }
  }
  return at
}

/** a @> b: every member of b is in a, containers deeply; an array also contains a bare scalar. */
function containsJsonb(a: Jsonb, b: Jsonb): boolean {
  if (Array.isArray(a) && !isContainer(b)) return a.some((item) => !isContainer(item) && compareJsonb(item, b) === 0)
  return containsInner(a, b)
}

function containsInner(a: Jsonb, b: Jsonb): boolean {
  if (b instanceof JsonObject) {
    if (!(a instanceof JsonObject) || a.keys.length < b.keys.length) return false
    for (let i = 0; i < b.keys.length; i++) {
      const value = a.get(b.keys[i])
      if (value === undefined || !containsInner(value, b.values[i])) return false
    }
    return true
  }
  if (Array.isArray(b)) {
    if (!Array.isArray(a)) return false
    wanted: for (const item of b) {
      for (const candidate of a) if (containsInner(candidate, item)) continue wanted
      return false
    }
    return true
  }
  return !isContainer(a) && compareJsonb(a, b) === 0
}

/** Whether a key of the object, or a string of the array (or the string itself), is this text. */
function exists(a: Jsonb, key: string): boolean {
  if (a instanceof JsonObject) return a.indexOf(key) >= 0
  if (Array.isArray(a)) return a.includes(key)
  return a === key
}

function castError(a: Jsonb, title: string): DbError {
  const kind = kindOf(a)
  return notScalar(`cannot cast jsonb ${kind === 'number' ? 'numeric' : kind} to type ${title}`)
}

function numberCast(title: string, code: FunctionCode): FunctionCode {
  return (a: Jsonb) => {
    if (!(a instanceof Numeric)) throw castError(a, title)
    return code(a)
  }
}

export const jsonCode: Record<string, FunctionCode> = {
  ...jsonReads,
  jsonb_object_field: (a: Jsonb, key: string) => fieldOf(a, key) ?? null,
  jsonb_object_field_text: (a: Jsonb, key: string) => jsonbText(fieldOf(a, key)),
  jsonb_array_element: (a: Jsonb, index: number) => topItem(a, index) ?? null,
  jsonb_array_element_text: (a: Jsonb, index: number) => jsonbText(topItem(a, index)),
  jsonb_extract_path: (a: Jsonb, path: SqlArray) => atPath(a, path) ?? null,
  jsonb_extract_path_text: (a: Jsonb, path: SqlArray) => jsonbText(atPath(a, path)),
  jsonb_typeof: kindOf,
  jsonb_array_length: (a: Jsonb) => arrayLength(kindOf(a), Array.isArray(a) ? a.length : 0),
  jsonb_pretty: (a: Jsonb) => formatPretty(a),
  jsonb_contains: containsJsonb,
  jsonb_contained: (a: Jsonb, b: Jsonb) => containsJsonb(b, a),
  jsonb_exists: exists,
  jsonb_exists_any: (a: Jsonb, keys: SqlArray) => keys.items.some((key) => key !== null && exists(a, key)),
  jsonb_exists_all: (a: Jsonb, keys: SqlArray) => keys.items.every((key) => key === null || exists(a, key)),
  jsonb_bool(a: Jsonb) {
    if (typeof a !== 'boolean') throw castError(a, 'boolean')
    return a
  },
  jsonb_numeric: numberCast('numeric', (a) => a),
  jsonb_int2: numberCast('smallint', castCode.numeric_int2),
  jsonb_int4: numberCast('integer', castCode.numeric_int4),
  jsonb_int8: numberCast('bigint', castCode.numeric_int8),
  jsonb_float4: numberCast('real', castCode.numeric_float4),
  jsonb_float8: numberCast('double precision', castCode.numeric_float8),
}
