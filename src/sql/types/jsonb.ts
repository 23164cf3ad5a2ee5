/**
 * The value of jsonb, a JSON document taken apart:
 *
 *   null      jsonNull (SQL's NULL is JavaScript's null, so JSON's must be something else)
 *   boolean   boolean
 *   number    Numeric, with the scale it was written with
 *   string    string
 *   array     a JavaScript array of Jsonb
 *   object    JsonObject: keys ordered by length in bytes, then by bytes; one value a key, the last one wins
 *
 * Order (btree): Object > Array > Boolean > Number > String > Null; containers with more members are greater.
 * Not here: text to value (json-parser.ts), operators (functions/jsonb*.ts), paths (functions/jsonpath*.ts).
 */
import type { ByteWriter } from '../../encoding/index.ts'
import { compareText, utf8Length } from './code-points.ts'
import { keyText } from './key-encoding.ts'
import { compareNumeric, formatNumeric, Numeric } from './numeric.ts'
import { NumericType } from './numeric-type.ts'

export class JsonNull {
  toString(): string {
    return 'null'
  }
}
export const jsonNull = new JsonNull()

export type Jsonb = JsonNull | boolean | string | Numeric | Jsonb[] | JsonObject

/** The order of keys in an object. */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0
  return utf8Length(a) - utf8Length(b) || compareText(a, b)
}

export class JsonObject {
  readonly keys: readonly string[]
  readonly values: readonly Jsonb[]

  /** Keys must be ordered and distinct; `objectOf` takes them as they come. */
  constructor(keys: readonly string[], values: readonly Jsonb[]) {
    this.keys = keys
    this.values = values
  }

  /** The position of a key, or -1. */
  indexOf(key: string): number {
    const { keys } = this
    if (keys.length <= 8) return keys.indexOf(key)
    let low = 0
    let high = keys.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const order = compareKeys(keys[middle], key)
      if (order === 0) return middle
      if (order < 0) low = middle + 1
      else high = middle - 1
    }
    return -1
  }

  get(key: string): Jsonb | undefined {
    const index = this.indexOf(key)
    return index < 0 ? undefined : this.values[index]
  }
}

/** An object from pairs in any order; later ones replace earlier ones of the same key. */
export function objectOf(keys: readonly string[], values: readonly Jsonb[]): JsonObject {
  let ordered = true
  for (let i = 1; i < keys.length && ordered; i++) ordered = compareKeys(keys[i - 1], keys[i]) < 0
  if (ordered) return new JsonObject(keys, values)
  const last = new Map<string, Jsonb>()
  for (let i = 0; i < keys.length; i++) last.set(keys[i], values[i])
  const sorted = [...last.keys()].sort(compareKeys)
  return new JsonObject(
    sorted,
    sorted.map((key) => last.get(key)!),
  )
}

export type JsonKind = 'null' | 'string' | 'number' | 'boolean' | 'array' | 'object'

export function kindOf(value: Jsonb): JsonKind {
  if (typeof value === 'string') return 'string'
  if (typeof value === 'boolean') return 'boolean'
  if (value instanceof Numeric) return 'number'
  if (Array.isArray(value)) return 'array'
  return value instanceof JsonObject ? 'object' : 'null'
}

export function isContainer(value: Jsonb): value is Jsonb[] | JsonObject {
  return Array.isArray(value) || value instanceof JsonObject
}

export function formatJsonb(value: Jsonb): string {
  if (typeof value === 'string') return quoteJson(value)
  if (value instanceof Numeric) return formatNumeric(value)
  if (typeof value === 'boolean') return value ? 'true' : 'false'
  if (Array.isArray(value)) {
    let text = '['
    for (let i = 0; i < value.length; i++) text += (i > 0 ? ', ' : '') + formatJsonb(value[i])
    return `${text}]`
  }
  if (value instanceof JsonObject) {
    let text = '{'
    for (let i = 0; i < value.keys.length; i++) {
      text += `${i > 0 ? ', ' : ''}${quoteJson(value.keys[i])}: ${formatJsonb(value.values[i])}`
    }
    return `${text}}`
  }
  return 'null'
}

/** jsonb_pretty: four blanks a level. */
export function formatPretty(value: Jsonb, indent = ''): string {
  const inner = `${indent}    `
  const lines: string[] = []
  if (Array.isArray(value)) {
    for (const item of value) lines.push(inner + formatPretty(item, inner))
    return `[\n${lines.join(',\n')}${lines.length > 0 ? '\n' : ''}${indent}]`
  }
  if (value instanceof JsonObject) {
    for (let i = 0; i < value.keys.length; i++) {
      lines.push(`${inner}${quoteJson(value.keys[i])}: ${formatPretty(value.values[i], inner)}`)
    }
    return `{\n${lines.join(',\n')}${lines.length > 0 ? '\n' : ''}${indent}}`
  }
  return formatJsonb(value)
}

export function quoteJson(text: string): string {
  return JSON.stringify(text)
}

const rank: Record<JsonKind, number> = { null: 0, string: 1, number: 2, boolean: 3, array: 4, object: 5 }

/** At the top an empty array comes before every scalar; PostgreSQL kept that from its first version. */
export function compareJsonb(a: Jsonb, b: Jsonb): number {
  const emptyA = Array.isArray(a) && a.length === 0
  const emptyB = Array.isArray(b) && b.length === 0
  if (emptyA !== emptyB) {
    if (emptyA && !(b instanceof JsonObject)) return -1
    if (emptyB && !(a instanceof JsonObject)) return 1
  }
  return compareInner(a, b)
}

function compareInner(a: Jsonb, b: Jsonb): number {
  const kind = kindOf(a)
  const other = kindOf(b)
  if (kind !== other) return rank[kind] - rank[other]
  switch (kind) {
    case 'string':
      return compareText(a as string, b as string)
    case 'number':
      return compareNumeric(a as Numeric, b as Numeric)
    case 'boolean':
      return a === b ? 0 : a === true ? 1 : -1
    case 'array':
      return compareLists(a as Jsonb[], b as Jsonb[])
    case 'object':
      return compareObjects(a as JsonObject, b as JsonObject)
    default:
      return 0
  }
}

function compareLists(a: Jsonb[], b: Jsonb[]): number {
  if (a.length !== b.length) return a.length - b.length
  for (let i = 0; i < a.length; i++) {
    const order = compareInner(a[i], b[i])
    if (order !== 0) return order
  }
  return 0
}

function compareObjects(a: JsonObject, b: JsonObject): number {
  if (a.keys.length !== b.keys.length) return a.keys.length - b.keys.length
  for (let i = 0; i < a.keys.length; i++) {
    const order = compareText(a.keys[i], b.keys[i]) || compareInner(a.values[i], b.values[i])
    if (order !== 0) return order
  }
  return 0
}

const numbers = new NumericType({
  oid: 1700,
  name: 'numeric',
  length: -1,
  kind: 'b',
  category: 'N',
  preferred: false,
  delimiter: ',',
  element: 0,
  array: 1231,
  relation: 0,
  base: 0,
})

/** Key bytes: a byte of kind, then the member; containers their number of members (32 bits) first. */
export function encodeJsonbKey(value: Jsonb, out: ByteWriter, top = true): void {
  if (typeof value === 'string') {
    out.u8(2)
    keyText(value, out)
  } else if (value instanceof Numeric) {
    out.u8(3)
    numbers.encodeKey(value, out)
  } else if (typeof value === 'boolean') {
    out.u8(value ? 5 : 4)
  } else if (Array.isArray(value)) {
    out.u8(top && value.length === 0 ? 0 : 6)
    out.u32(value.length)
    for (const item of value) encodeJsonbKey(item, out, false)
  } else if (value instanceof JsonObject) {
    out.u8(7)
    out.u32(value.keys.length)
    for (let i = 0; i < value.keys.length; i++) {
      keyText(value.keys[i], out)
      encodeJsonbKey(value.values[i], out, false)
    }
  } else {
    out.u8(1)
  }
}

/** The end of a jsonb key. */
export function skipJsonbKey(bytes: Uint8Array, start: number): number {
  const kind = bytes[start]
  let at = start + 1
  const text = () => {
    while (bytes[at] !== 0) at++
    at++
  }
  switch (kind) {
    case 2:
      text()
      return at
    case 3:
      return numbers.skipKey(bytes, at)
    case 0:
    case 6:
    case 7: {
      const count = ((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]) >>> 0
      at += 4
      for (let i = 0; i < count; i++) {
        if (kind === 7) text()
        at = skipJsonbKey(bytes, at)
      }
      return at
    }
    default:
      return at
  }
}
