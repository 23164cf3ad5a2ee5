/**
 * Sets out of json and jsonb: members, elements, keys.
 *
 * Not here: records (json-record.ts).
 */
import { type Jsonb, JsonObject } from '../types/jsonb.ts'
import { SqlRecord } from '../types/record.ts'
import { builtinType } from '../types/registry.ts'
import type { Type, Value } from '../types/type.ts'
import type { FunctionMaker } from './function.ts'
import { jsonbText, notScalar } from './json.ts'
import { type JsonNode, readJsonText, sourceOf, textOf } from './json-text.ts'

const names = ['key', 'value']

function pairs(value: Type): (key: string, item: Value) => SqlRecord {
  const types = [builtinType(25), value]
  return (key, item) => new SqlRecord(types, [key, item], names)
}

function jsonObject(text: string, name: string): JsonNode {
  const node = readJsonText(text)
  if (node.kind === 'object') return node
  if (name === 'json_object_keys') {
    throw notScalar(`cannot call json_object_keys on ${node.kind === 'array' ? 'an array' : 'a scalar'}`)
  }
  throw notScalar(node.kind === 'array' ? 'cannot deconstruct an array as an object' : 'cannot deconstruct a scalar')
}

function jsonArray(text: string, name: string): JsonNode {
  const node = readJsonText(text)
  if (node.kind === 'array') return node
  throw notScalar(`cannot call ${name} on ${node.kind === 'object' ? 'a non-array' : 'a scalar'}`)
}

function jsonbObject(a: Jsonb, name: string): JsonObject {
  if (a instanceof JsonObject) return a
  if (name === 'jsonb_object_keys') {
    throw notScalar(`cannot call jsonb_object_keys on ${Array.isArray(a) ? 'an array' : 'a scalar'}`)
  }
  throw notScalar(`cannot call ${name} on a non-object`)
}

function jsonbArray(a: Jsonb): Jsonb[] {
  if (Array.isArray(a)) return a
  throw notScalar(
    a instanceof JsonObject ? 'cannot extract elements from an object' : 'cannot extract elements from a scalar',
  )
}

export const jsonSetMakers: Record<string, FunctionMaker> = {
  json_each: () => {
    const pair = pairs(builtinType(114))
    return (a: string) => {
      const node = jsonObject(a, 'json_each')
      return node.items.map((item, i) => pair(node.keys[i], sourceOf(a, item)))
    }
  },
  json_each_text: () => {
    const pair = pairs(builtinType(25))
    return (a: string) => {
      const node = jsonObject(a, 'json_each_text')
      return node.items.map((item, i) => pair(node.keys[i], textOf(a, item)))
    }
  },
  jsonb_each: () => {
    const pair = pairs(builtinType(3802))
    return (a: Jsonb) => {
      const object = jsonbObject(a, 'jsonb_each')
      return object.keys.map((key, i) => pair(key, object.values[i]))
    }
  },
  jsonb_each_text: () => {
    const pair = pairs(builtinType(25))
    return (a: Jsonb) => {
      const object = jsonbObject(a, 'jsonb_each_text')
      return object.keys.map((key, i) => pair(key, jsonbText(object.values[i])))
    }
  },
  json_array_elements: () => (a: string) => jsonArray(a, 'json_array_elements').items.map((item) => sourceOf(a, item)),
  json_array_elements_text: () => (a: string) =>
    jsonArray(a, 'json_array_elements_text').items.map((item) => textOf(a, item)),
  jsonb_array_elements: () => (a: Jsonb) => jsonbArray(a),
  jsonb_array_elements_text: () => (a: Jsonb) => jsonbArray(a).map(jsonbText),
  json_object_keys: () => (a: string) => jsonObject(a, 'json_object_keys').keys,
  jsonb_object_keys: () => (a: Jsonb) => jsonbObject(a, 'jsonb_object_keys').keys,
}
