/**
 * What makes a new jsonb out of another: ||, -, #-, jsonb_set, jsonb_insert, jsonb_strip_nulls, and subscripted
 * assignment.
 *
 * Not here: reading (json.ts).
 */
import { DbError } from '../../base/index.ts'
import type { SqlArray } from '../types/array.ts'
import { isContainer, type Jsonb, JsonNull, JsonObject, jsonNull, objectOf } from '../types/jsonb.ts'
import type { Value } from '../types/type.ts'
import type { FunctionCode, FunctionMaker } from './function.ts'
import { indexOfText, notScalar } from './json.ts'

function concatenate(a: Jsonb, b: Jsonb): Jsonb {
  if (a instanceof JsonObject && b instanceof JsonObject) {
    return objectOf([...a.keys, ...b.keys], [...a.values, ...b.values])
  }
  const list = (value: Jsonb) => (Array.isArray(value) ? value : [value])
  return [...list(a), ...list(b)]
}

function deleteKeys(a: Jsonb, keys: ReadonlySet<string>): Jsonb {
  if (a instanceof JsonObject) {
    const kept = a.keys.map((_, i) => i).filter((i) => !keys.has(a.keys[i]))
    return new JsonObject(
      kept.map((i) => a.keys[i]),
      kept.map((i) => a.values[i]),
    )
  }
  if (Array.isArray(a)) return a.filter((item) => typeof item !== 'string' || !keys.has(item))
  throw notScalar('cannot delete from scalar')
}

function deleteIndex(a: Jsonb, index: number): Jsonb {
  if (a instanceof JsonObject) throw notScalar('cannot delete from object using integer index')
  if (!Array.isArray(a)) throw notScalar('cannot delete from scalar')
  const at = index < 0 ? a.length + index : index
  return at < 0 || at >= a.length ? a : a.filter((_, i) => i !== at)
}

type Change = 'delete' | 'replace' | 'create' | 'before' | 'after'

class PathChange {
  readonly #path: readonly (string | null)[]
  readonly #change: Change
  readonly #value: Jsonb

  constructor(path: SqlArray, change: Change, value: Jsonb) {
    this.#path = path.items as (string | null)[]
    this.#change = change
    this.#value = value
  }

  /** The document with the change made below `level` steps of the path. */
  apply(a: Jsonb, level = 0): Jsonb {
    const step = this.#path[level]
    if (step === null) throw new DbError('null_value_not_allowed', `path element at position ${level + 1} is null`)
    if (!isContainer(a)) return a
    return a instanceof JsonObject ? this.#inObject(a, step, level) : this.#inArray(a, step, level)
  }

  #inObject(a: JsonObject, key: string, level: number): Jsonb {
    const last = level === this.#path.length - 1
    const at = a.indexOf(key)
    if (at < 0) {
      if (!last || this.#change === 'delete' || this.#change === 'replace') return a
      return objectOf([...a.keys, key], [...a.values, this.#value])
    }
    const values = a.values.slice()
    if (!last) {
      values[at] = this.apply(values[at], level + 1)
    } else if (this.#change === 'delete') {
      return new JsonObject(a.keys.toSpliced(at, 1), values.toSpliced(at, 1))
    } else if (this.#change === 'before' || this.#change === 'after') {
      throw new DbError('invalid_parameter_value', 'cannot replace existing key', {
        hint: 'Try using the function jsonb_set to replace key value.',
      })
    } else {
      values[at] = this.#value
    }
    return new JsonObject(a.keys, values)
  }

  #inArray(a: Jsonb[], step: string, level: number): Jsonb {
    const last = level === this.#path.length - 1
    const index = indexOfText(step)
    if (index === undefined) {
      const message = `path element at position ${level + 1} is not an integer: "${step}"`
      throw new DbError('invalid_text_representation', message)
    }
    const at = index < 0 ? index + a.length : index
    const inserting = this.#change === 'create' || this.#change === 'before' || this.#change === 'after'
    if (at < 0) return last && inserting ? [this.#value, ...a] : a
    if (at >= a.length) return last && inserting ? [...a, this.#value] : a
    if (!last) return a.with(at, this.apply(a[at], level + 1))
    switch (this.#change) {
      case 'delete':
        return a.toSpliced(at, 1)
      case 'before':
        return a.toSpliced(at, 0, this.#value)
      case 'after':
        return a.toSpliced(at + 1, 0, this.#value)
      default:
        return a.with(at, this.#value)
    }
  }
}

function checkFlat(path: SqlArray): void {
  if (path.dimensions.length > 1) throw new DbError('array_subscript_error', 'wrong number of array subscripts')
}

function deletePath(a: Jsonb, path: SqlArray): Jsonb {
  checkFlat(path)
  if (!isContainer(a)) throw notScalar('cannot delete path in scalar')
  return path.items.length === 0 || isEmpty(a) ? a : new PathChange(path, 'delete', jsonNull).apply(a)
}

function isEmpty(a: Jsonb): boolean {
  return a instanceof JsonObject ? a.keys.length === 0 : Array.isArray(a) && a.length === 0
}

function set(a: Jsonb, path: SqlArray, value: Jsonb, create: boolean): Jsonb {
  checkFlat(path)
  if (!isContainer(a)) throw notScalar('cannot set path in scalar')
  if ((isEmpty(a) && !create) || path.items.length === 0) return a
  return new PathChange(path, create ? 'create' : 'replace', value).apply(a)
}

function insert(a: Jsonb, path: SqlArray, value: Jsonb, after: boolean): Jsonb {
  checkFlat(path)
  if (!isContainer(a)) throw notScalar('cannot set path in scalar')
  return path.items.length === 0 ? a : new PathChange(path, after ? 'after' : 'before', value).apply(a)
}

/** jsonb_set with a say in what a NULL value does. */
function setLax(
  a: Jsonb | null,
  path: SqlArray | null,
  value: Jsonb | null,
  create: boolean | null,
  treatment: string | null,
) {
  if (a === null || path === null || create === null) return null
  if (treatment === null) {
    const message = 'null_value_treatment must be "delete_key", "return_target", "use_json_null", or "raise_exception"'
    throw new DbError('invalid_parameter_value', message)
  }
  if (value !== null) return set(a, path, value, create)
  switch (treatment) {
    case 'raise_exception':
      throw new DbError('null_value_not_allowed', 'JSON value must not be null', {
        detail: 'Exception was raised because null_value_treatment is "raise_exception".',
        hint: 'To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.',
      })
    case 'use_json_null':
      return set(a, path, jsonNull, create)
    case 'delete_key':
      return deletePath(a, path)
    case 'return_target':
      return a
    default: {
      const message =
        'null_value_treatment must be "delete_key", "return_target", "use_json_null", or "raise_exception"'
      throw new DbError('invalid_parameter_value', message)
    }
  }
}

function stripNulls(a: Jsonb): Jsonb {
  if (Array.isArray(a)) {
    const items: Jsonb[] = []
    for (const item of a) items.push(stripNulls(item))
    return items
  }
  if (!(a instanceof JsonObject)) return a
  const keys: string[] = []
  const values: Jsonb[] = []
  for (let i = 0; i < a.keys.length; i++) {
    if (a.values[i] instanceof JsonNull) continue
    keys.push(a.keys[i])
    values.push(stripNulls(a.values[i]))
  }
  return new JsonObject(keys, values)
}

/**
 * document[step][step]… = value, as UPDATE … SET j['a'][0] = x does: missing containers are made, gaps in arrays filled
 * with null. A NULL document (null) counts as empty.
 */
function assign(document: Jsonb | null, steps: readonly string[], value: Jsonb): Jsonb {
  if (steps.length === 0) return value
  const [step, ...rest] = steps
  const index = indexOfText(step)
  const base =
    document instanceof JsonNull || document === null ? (index === undefined ? objectOf([], []) : []) : document
  if (base instanceof JsonObject) {
    const at = base.indexOf(step)
    const inner = assign(at < 0 ? null : base.values[at], rest, value)
    return at < 0
      ? objectOf([...base.keys, step], [...base.values, inner])
      : new JsonObject(base.keys, base.values.toSpliced(at, 1, inner))
  }
  if (!Array.isArray(base)) {
    throw new DbError('invalid_parameter_value', 'cannot replace existing key', {
      detail: 'The path assumes key is a composite object, but it is a scalar value.',
    })
  }
  if (index === undefined) {
    throw new DbError('invalid_text_representation', `path element at position 1 is not an integer: "${step}"`)
  }
  const at = index < 0 ? base.length + index : index
  if (at < 0) throw new DbError('invalid_parameter_value', 'path element at position 1 is out of range: ' + index)
  const out = base.slice()
  while (out.length < at) out.push(jsonNull)
  out[at] = assign(out[at] ?? null, rest, value)
  return out
}

/** Subscripts of an assignment: texts and integers. Raises null_value_not_allowed for a NULL one. A NULL value is JSON's. */
export function setJsonbPath(document: Jsonb | null, subscripts: readonly Value[], value: Jsonb | null): Jsonb {
  const steps = subscripts.map((subscript) => {
    if (subscript === null) {
      throw new DbError('null_value_not_allowed', 'jsonb subscript in assignment must not be null')
    }
    return String(subscript)
  })
  return assign(document, steps, value ?? jsonNull)
}

export const jsonbChangeCode: Record<string, FunctionCode> = {
  jsonb_concat: concatenate,
  jsonb_delete: (a: Jsonb, key: string) => deleteKeys(a, new Set([key])),
  jsonb_delete_array: (a: Jsonb, keys: SqlArray) => deleteKeys(a, new Set(keys.items.filter((key) => key !== null))),
  jsonb_delete_idx: deleteIndex,
  jsonb_delete_path: deletePath,
  jsonb_strip_nulls: stripNulls,
}

/** Those whose last arguments may be left out. */
export const jsonbChangeMakers: Record<string, FunctionMaker> = {
  jsonb_set: (site) => (a, path, value, create) => set(a, path, value, site.argTypes.length > 3 ? create : true),
  jsonb_insert: (site) => (a, path, value, after) => insert(a, path, value, site.argTypes.length > 3 ? after : false),
  jsonb_set_lax: (site) => {
    const given = site.argTypes.length
    return (a, path, value, create, treatment) =>
      setLax(a, path, value, given > 3 ? create : true, given > 4 ? treatment : 'use_json_null')
  },
}
