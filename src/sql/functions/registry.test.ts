/**
 * The catalog's rows, the code behind them, and how much of the catalog has code (printed by subject).
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { builtinType, builtinTypeNamed } from '../types/registry.ts'
import type { TypeContext } from '../types/type.ts'
import type { FunctionRow } from './function.ts'
import {
  aggregateOf,
  aggregateRow,
  allFunctions,
  allOperators,
  castBetween,
  codeOf,
  defaultOperatorClass,
  familiesOf,
  familyOperator,
  functionByOid,
  functionsByName,
  inRangeFunction,
  isImplemented,
  operatorByOid,
  operatorClassNamed,
  operatorsByName,
  registerCode,
  registerSetCode,
  setCodeOf,
  supportFunction,
} from './registry.ts'

const context = { types: { type: builtinType } } as unknown as TypeContext
const int4 = 23
const btree = 403

test('functions are found by name and oid', () => {
  const sums = functionsByName('sum')
  assert.equal(sums.length, 8)
  assert.equal(functionByOid(1740)!.name, 'numeric')
  assert.equal(functionsByName('no such function').length, 0)
  const format = functionsByName('format').find((row) => row.variadic !== 0)!
  assert.equal(format.variadic, 2276)
  const each = functionsByName('jsonb_each')[0]
  assert.deepEqual(each.outNames, ['key', 'value'])
  assert.deepEqual(each.outTypes, [25, 3802])
  assert.equal(functionsByName('make_interval')[0].defaults, 7)
  assert.deepEqual(functionsByName('jsonb_set_lax')[0].defaultTexts, ['true', 'use_json_null'])
  assert.deepEqual(functionsByName('make_interval')[0].defaultTexts!.at(-1), '0.0')
  assert.deepEqual(functionsByName('make_interval')[0].argNames!.slice(0, 2), ['years', 'months'])
})

test('operators know their code, commutator, negator and estimators', () => {
  const less = operatorsByName('<').find((row) => row.left === int4 && row.right === int4)!
  assert.equal(functionByOid(less.code)!.source, 'int4lt')
  assert.equal(operatorByOid(less.commutator)!.name, '>')
  assert.equal(operatorByOid(less.negator)!.name, '>=')
  assert.equal(less.restrict, 'scalarltsel')
  const equal = operatorByOid(96)!
  assert.equal(equal.name, '=')
  assert.ok(equal.canMerge && equal.canHash)
  assert.ok([...allOperators()].every((row) => row.code === 0 || functionByOid(row.code) !== undefined))
})

test('casts say how and when', () => {
  assert.deepEqual(
    [castBetween(int4, 20)!.context, castBetween(int4, 20)!.method, castBetween(20, int4)!.context],
    ['i', 'f', 'a'],
  )
  assert.equal(castBetween(25, 1043)!.method, 'b')
  assert.equal(castBetween(25, int4), undefined)
})

test('operator classes lead to comparisons and strategies', () => {
  const ops = defaultOperatorClass(btree, int4)!
  assert.equal(ops.name, 'int4_ops')
  assert.equal(functionByOid(supportFunction(ops.family, int4, int4, 1)!)!.source, 'btint4cmp')
  assert.equal(operatorByOid(familyOperator(ops.family, int4, 20, 1)!)!.name, '<')
  assert.ok(familiesOf(96).some((row) => row.strategy === 3 && row.family === ops.family))
  assert.equal(operatorClassNamed(btree, 'text_pattern_ops')!.input, 25)
  assert.equal(functionByOid(inRangeFunction(1114, 1186)!)!.source, 'in_range_timestamp_interval')
})

test('code of the session layer is found like our own', () => {
  const row = functionsByName('version')[0]
  const site = { argTypes: [], resultType: 25, typmod: -1 }
  assert.equal(codeOf(row, site, context), undefined)
  registerCode(row.source, () => () => 'LatticeDB')
  assert.equal(codeOf(row, site, context)!(context), 'LatticeDB')
  const locks = functionsByName('pg_lock_status')[0]
  assert.equal(setCodeOf(locks, site, context), undefined)
  registerSetCode(locks.source, () => () => [])
  assert.deepEqual([...setCodeOf(locks, site, context)!(context)], [])
})

test('every aggregate of numbers, texts, times, arrays and JSON has code', () => {
  const unsupported = /money|xid8|tid|range|xmlagg|xml/
  const missing: string[] = []
  for (const row of allFunctions()) {
    if (row.kind !== 'a') continue
    assert.ok(aggregateRow(row.oid) !== undefined, row.name)
    const types = row.args.map((oid) => builtinType(oid).name).join(',')
    if (aggregateOf(row) === undefined && !unsupported.test(`${row.name}(${types})`))
      missing.push(`${row.name}(${types})`)
  }
  assert.deepEqual(missing, [])
})

/** A function's subject, by its types. */
function subject(row: FunctionRow): string {
  const names = [...row.args, row.result].map((oid) => builtinType(oid)?.name ?? '')
  const any = (pattern: RegExp) => names.some((name) => pattern.test(name))
  if (any(/range/)) return 'ranges'
  if (any(/^_?(box|circle|lseg|path|point|polygon|line)$/)) return 'geometry'
  if (any(/^(tsvector|tsquery|gtsvector|regconfig|regdictionary)$/)) return 'text search'
  if (any(/^(xml|_xml)$/)) return 'xml'
  if (any(/money/)) return 'money'
  if (any(/internal|handler|cstring|trigger|pg_ddl|brin|pg_n?d|mcv|snapshot/)) return 'internal'
  if (
    /^(pg_|has_|current|session|set_config|lo_|txid|to_reg|binary_upgrade|currval|nextval|setval|lastval|col_desc|obj_desc|shobj)/.test(
      row.source,
    )
  )
    return 'session and catalog'
  if (any(/json/)) return 'json'
  if (any(/^_?(date|time|timetz|timestamp|timestamptz|interval)$/)) return 'dates and times'
  if (any(/inet|cidr|macaddr/)) return 'network'
  if (any(/^any|^_/)) return 'arrays and polymorphic'
  if (any(/^_?(int2|int4|int8|float4|float8|numeric)$/) && !any(/text|bytea|name|bpchar/)) return 'numbers'
  if (any(/text|bytea|name|bpchar|char|bit/)) return 'text and bytes'
  return 'other'
}

test('coverage of implementations, by subject', () => {
  const counts = new Map<string, { have: Set<string>; all: Set<string> }>()
  for (const row of allFunctions()) {
    const name = subject(row)
    if (name === 'internal') continue
    const entry = counts.get(name) ?? { have: new Set(), all: new Set() }
    counts.set(name, entry)
    const source = row.kind === 'a' ? `${row.name} (aggregate)` : row.source
    if (/(send|recv|in|out)$/.test(source) && /_?(send|recv|in|out)$/.test(row.name) && row.args.length <= 1) continue
    entry.all.add(source)
    if (isImplemented(row)) entry.have.add(source)
  }
  for (const [name, { have, all }] of [...counts].sort())
    console.log(`${name}: ${have.size} of ${all.size} implementations`)
  for (const name of ['numbers', 'json', 'dates and times', 'text and bytes', 'arrays and polymorphic']) {
    const { have, all } = counts.get(name)!
    assert.ok(have.size / all.size > 0.6, name)
  }
  assert.equal(builtinTypeNamed('int4'), int4)
})
