/**
 * Expressions with the answers that PostgreSQL 15 gave (golden/*.json, written by tools/golden-functions.ts): each is
 * taken apart here, its function or operator found in the catalog's rows, its literals read by their types, and our
 * code's answer compared, errors included.
 *
 *   f('x'::type, …)      pg_catalog."f"('x'::type, …)      'x'::type OP 'y'::type      OP 'x'::type      NULL::type is NULL
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import { arrayTypeOf, enumType, type SqlArray } from '../types/index.ts'
import { builtinType, builtinTypeNamed, builtinTypes } from '../types/registry.ts'
import type { Type, TypeContext, Value } from '../types/type.ts'
import type { CallSite, FunctionRow } from './function.ts'
import { aggregateOf, codeOf, functionByOid, functionsByName, operatorsByName, setCodeOf } from './registry.ts'

const mood = enumType({ oid: 20000, name: 'mood', array: 20001 }, [
  { oid: 1, order: 1, label: 'sad' },
  { oid: 2, order: 2, label: 'ok' },
  { oid: 3, order: 3, label: 'happy' },
])

const moods = arrayTypeOf({ oid: mood.array, name: '_mood' }, mood)

const context: TypeContext = {
  timeZone: 'America/New_York',
  dateOrder: 'MDY',
  intervalStyle: 'postgres',
  extraFloatDigits: 1,
  byteaOutput: 'hex',
  transactionMicros: 0,
  statementMicros: 0,
  clockMicros: () => 0,
  random: () => 0.5,
  randomBytes: (length) => new Uint8Array(length),
  names: { lookup: () => 0, display: (_kind, oid) => String(oid) },
  types: { type: (oid) => (oid === mood.oid ? mood : oid === mood.array ? moods : builtinType(oid)) },
}

interface Argument {
  readonly type: Type
  readonly value: Value
}

const aliases: Record<string, string> = {
  int: 'int4',
  integer: 'int4',
  bigint: 'int8',
  smallint: 'int2',
  float: 'float8',
  boolean: 'bool',
  varchar: 'varchar',
  char: 'bpchar',
  decimal: 'numeric',
  real: 'float4',
}

function typeNamed(written: string): Type {
  if (written === 'mood') return mood
  const array = written.endsWith('[]')
  const base = array ? written.slice(0, -2) : written
  const oid = builtinTypeNamed((array ? '_' : '') + (aliases[base] ?? base))
  assert(oid !== undefined, `type ${written}`)
  return builtinType(oid)
}

const literalPattern = /\s*(?:(E)?'((?:[^']|'')*)'|NULL)::([a-z0-9_]+(?:\[\])?)\s*/y

class Reader {
  readonly text: string
  at = 0

  constructor(text: string) {
    this.text = text
  }

  literal(): Argument | undefined {
    literalPattern.lastIndex = this.at
    const match = literalPattern.exec(this.text)
    if (match === null) return undefined
    this.at = literalPattern.lastIndex
    const type = typeNamed(match[3])
    if (match[2] === undefined) return { type, value: null }
    let body = match[2].replaceAll("''", "'")
    if (match[1] !== undefined)
      body = body.replace(/\\([ntr\\])/g, (_, c: string) => ({ n: '\n', t: '\t', r: '\r', '\\': '\\' })[c]!)
    return { type, value: type.parse(body, -1, context) }
  }
}

const polymorphic = new Set([2276, 2277, 2283, 2776, 3500, 5077, 5078, 5079])

function fits(declared: number, type: Type): boolean {
  if (declared === type.oid) return true
  if (declared === 25 && (type.oid === 1043 || type.oid === 1042)) return true
  if (declared === 2277 || declared === 5078) return type.category === 'A'
  if (declared === 3500) return type.kind === 'e'
  if (declared === 2776 || declared === 5079) return type.category !== 'A'
  return polymorphic.has(declared)
}

function matches(row: FunctionRow, args: readonly Argument[]): boolean {
  if (row.variadic === 2276) {
    const fixed = row.args.length - 1
    return args.length >= fixed && row.args.slice(0, fixed).every((oid, i) => fits(oid, args[i].type))
  }
  if (args.length > row.args.length || args.length < row.args.length - row.defaults) return false
  return args.every((arg, i) => fits(row.args[i], arg.type))
}

function choose(rows: readonly FunctionRow[], args: readonly Argument[]): FunctionRow {
  const found = rows.filter((row) => matches(row, args))
  const score = (oid: number, type: Type | undefined) => {
    if (oid === type?.oid) return 2
    return (oid === 2277 || oid === 5078) === (type?.category === 'A') ? 1 : 0
  }
  const exact = (row: FunctionRow) => row.args.reduce((sum, oid, i) => sum + score(oid, args[i]?.type), 0)
  found.sort((a, b) => exact(b) - exact(a))
  assert(found.length > 0, 'no such function')
  return found[0]
}

function resultType(row: FunctionRow, args: readonly Argument[]): number {
  if (!polymorphic.has(row.result)) return row.result
  const arrayAt = row.args.findIndex((oid) => oid === 2277 || oid === 5078)
  const plainAt = row.args.findIndex((oid) => polymorphic.has(oid) && oid !== 2277 && oid !== 5078)
  const wantsArray = row.result === 2277 || row.result === 5078
  if (wantsArray) return arrayAt >= 0 ? args[arrayAt].type.oid : args[plainAt].type.array
  return plainAt >= 0 ? args[plainAt].type.oid : args[arrayAt].type.element
}

function show(value: Value, oid: number): string {
  return value === null ? 'NULL' : context.types.type(oid).format(value, context)
}

/** What a type's send function answers: our binary form, which must also read back. */
function sent({ type, value }: Argument): string {
  const out = new ByteWriter(64)
  type.encode(value, out)
  const bytes = out.copy()
  assert.equal(type.format(type.decode(bytes, 0, bytes.length), context), type.format(value, context))
  return show(bytes, 17)
}

function call(row: FunctionRow, args: readonly Argument[]): string {
  const result = resultType(row, args)
  const site: CallSite = { argTypes: args.map((arg) => arg.type.oid), resultType: result, typmod: -1 }
  const values = args.map((arg) => arg.value)
  if (row.strict && values.includes(null)) return 'NULL'
  if (row.returnsSet) {
    const code = setCodeOf(row, site, context)
    assert(code !== undefined, `${row.source} is not implemented`)
    const shown = [...(code(...values, context) as Iterable<Value>)].map((value) => show(value, result))
    return shown.length === 0 ? 'NULL' : shown.join(' ; ')
  }
  if (row.result === 17 && row.source.endsWith('send')) return sent(args[0])
  const code = codeOf(row, site, context)
  assert(code !== undefined, `${row.source} is not implemented`)
  return show(code(...values, context), result)
}

function evaluate(expression: string): string {
  const reader = new Reader(expression)
  const first = reader.literal()
  if (first !== undefined) {
    if (reader.at === expression.length) return show(first.value, first.type.oid)
    const symbol = /[-+*/<>=~!@#%^&|`?]+/y
    symbol.lastIndex = reader.at
    const name = symbol.exec(expression)![0]
    reader.at = symbol.lastIndex
    const args = [first, reader.literal()!]
    return call(choose(operatorRows(name, 'b'), args), args)
  }
  const named = /^(?:pg_catalog\.)?"?([a-z_0-9]+)"?\(/.exec(expression)
  if (named === null) {
    const name = /^[-+*/<>=~!@#%^&|`?]+/.exec(expression)![0]
    reader.at = name.length
    const args = [reader.literal()!]
    return call(choose(operatorRows(name, 'l'), args), args)
  }
  reader.at = named[0].length
  const args: Argument[] = []
  while (expression[reader.at] !== ')') {
    args.push(reader.literal()!)
    if (expression[reader.at] === ',') reader.at++
  }
  return call(choose(functionsByName(named[1]), args), args)
}

function operatorRows(name: string, kind: string): FunctionRow[] {
  return operatorsByName(name)
    .filter((row) => row.kind === kind && row.code !== 0)
    .map((row) => functionByOid(row.code)!)
}

/** (select f(x) from unnest('…'::type[], …) u(x, y)), with or without WITHIN GROUP (order by x). */
const aggregatePattern =
  /^\(select ([a-z_0-9]+)\((.*?)\)( within group \(order by x\))? from unnest\((.*)\) u\(([xy, ]+)\)\)$/

function aggregate(expression: string): string {
  const [, name, written, within, arrays] = aggregatePattern.exec(expression)!
  const reader = new Reader(arrays)
  const columns: Argument[] = []
  while (reader.at < arrays.length) {
    columns.push(reader.literal()!)
    if (arrays[reader.at] === ',') reader.at++
  }
  const elements = columns.map(({ type }) => context.types.type(type.element))
  const lists = columns.map(({ value }) => (value as SqlArray).items)
  const own = written === '' || written === '*' ? undefined : new Reader(written).literal()
  // Direct arguments, then columns.
  const direct = within === undefined ? undefined : own
  const types = direct === undefined ? (written === '*' ? [] : elements) : [direct.type, ...elements]
  const separator =
    direct === undefined && /,\s*(?:'|NULL)/.test(written)
      ? new Reader(written.slice(written.indexOf(',') + 1)).literal()
      : undefined
  if (separator !== undefined) types.push(separator.type)
  const args = types.map((type): Argument => ({ type, value: null }))
  const row = choose(
    functionsByName(name).filter((candidate) => candidate.kind === 'a'),
    args,
  )
  const code = aggregateOf(row)
  assert(code !== undefined, `aggregate ${name} is not implemented`)
  const result =
    row.result === 2283 ? elements[0].oid : row.result === 2277 ? arrayResult(row, args, elements[0]) : row.result
  const site: CallSite = { argTypes: types.map((type) => type.oid), resultType: result, typmod: -1 }
  let state = code.init(site, context)
  let rows = lists[0].map((_, i) => [
    ...lists.map((list) => list[i]),
    ...(separator === undefined ? [] : [separator.value]),
  ])
  if (direct !== undefined) {
    rows = rows.filter(([x]) => x !== null).sort(([a], [b]) => elements[0].compare(a, b))
  }
  for (const values of rows) {
    if (written === '*') state = code.step(state)
    else if (!code.strict || !values.includes(null)) state = code.step(state, ...values)
  }
  return show(code.finish(state, context, ...(direct === undefined ? [] : [direct.value])), result)
}

function arrayResult(row: FunctionRow, args: readonly Argument[], element: Type): number {
  return row.args.includes(2277) ? args[row.args.indexOf(2277)].type.oid : element.array
}

/** Settings that an expression may begin with, as the context has them. */
const settings: Record<string, keyof TypeContext> = {
  intervalstyle: 'intervalStyle',
  datestyle: 'dateOrder',
  extra_float_digits: 'extraFloatDigits',
  bytea_output: 'byteaOutput',
  timezone: 'timeZone',
}

function outcome(expression: string): string {
  const setting = /^\{(\w+)=([^}]*)\} /.exec(expression)
  if (setting === null) return plainOutcome(expression)
  const key = settings[setting[1]]
  const mutable = context as unknown as Record<string, unknown>
  const before = mutable[key]
  mutable[key] = typeof before === 'number' ? Number(setting[2]) : setting[2].replace('ISO, ', '')
  try {
    return plainOutcome(expression.slice(setting[0].length))
  } finally {
    mutable[key] = before
  }
}

function plainOutcome(expression: string): string {
  try {
    return expression.startsWith('(select') ? aggregate(expression) : evaluate(expression)
  } catch (error) {
    if (!(error instanceof DbError)) throw new Error(`${expression}: ${(error as Error).message}`, { cause: error })
    const { detail = '', hint = '' } = error
    return `!${error.sqlstate} ${error.message}${detail !== '' || hint !== '' ? `|${detail}|${hint}` : ''}`
  }
}

const directory = join(import.meta.dirname, 'golden')
for (const file of readdirSync(directory)) {
  test(`PostgreSQL's answers: ${file}`, () => {
    const expected = JSON.parse(readFileSync(join(directory, file), 'utf8')) as Record<string, string>
    const wrong: string[] = []
    for (const [expression, wanted] of Object.entries(expected)) {
      let got: string
      try {
        got = outcome(expression)
      } catch (error) {
        got = `(${(error as Error).message})`
      }
      if (got !== wanted) wrong.push(`${expression}\n    postgres ${wanted}\n    ours     ${got}`)
    }
    assert(builtinTypes.size > 0)
    assert.equal(wrong.length, 0, `${wrong.length} of ${Object.keys(expected).length} differ:\n  ${wrong.join('\n  ')}`)
  })
}
