/** Bad input that is deep or long gets an error of its own, never an overflow of the stack. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import { compileRegexp } from '../functions/regexp-match.ts'
import { codeOf, functionsByName } from '../functions/registry.ts'
import { builtinType } from './registry.ts'
import type { TypeContext } from './type.ts'

const context = {
  timeZone: 'UTC',
  dateOrder: 'MDY',
  intervalStyle: 'postgres',
  types: { type: builtinType },
} as unknown as TypeContext
const jsonb = builtinType(3802)
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)

/** Runs under as many frames as a statement's executor may have. */
function below<T>(frames: number, body: () => T): T {
  return frames === 0 ? body() : below(frames - 1, body)
}

function stateOf(body: () => unknown): string {
  try {
    body()
    return 'none'
  } catch (error) {
    assert(error instanceof DbError, String(error))
    return error.sqlstate
  }
}

test('JSON as deep as it may be is read, compared, written and keyed', () => {
  below(300, () => {
    const value = jsonb.parse(nested(2500), -1, context)
    assert.equal(jsonb.format(value, context), nested(2500))
    assert.equal(jsonb.compare(value, jsonb.parse(nested(2500), -1, context)), 0)
    jsonb.encodeKey(value, new ByteWriter())
    for (const name of ['jsonb_strip_nulls', 'jsonb_pretty', 'jsonb_typeof']) {
      const code = codeOf(functionsByName(name)[0], { argTypes: [3802], resultType: 25, typmod: -1 }, context)!
      code(value, context)
    }
  })
})

test('deeper input is refused', () => {
  assert.equal(
    stateOf(() => jsonb.parse(nested(2501), -1, context)),
    '54001',
  )
  assert.equal(
    stateOf(() => builtinType(114).parse('{"a":'.repeat(100_000), -1, context)),
    '54001',
  )
  assert.equal(
    stateOf(() => compileRegexp('('.repeat(10_000), '')),
    '2201B',
  )
  assert.equal(
    stateOf(() => builtinType(4072).parse('('.repeat(10_000), -1, context)),
    '54001',
  )
  assert.equal(
    stateOf(() => builtinType(4072).parse('-'.repeat(10_000), -1, context)),
    '54001',
  )
  assert.equal(
    stateOf(() => builtinType(4072).parse(`$${'+1'.repeat(10_000)}`, -1, context)),
    '54001',
  )
  assert.equal(
    stateOf(() => builtinType(1007).parse('{'.repeat(10_000), -1, context)),
    '54000',
  )
})

test('long input is refused or read', () => {
  assert.equal(
    stateOf(() => builtinType(1700).parse('9'.repeat(131_073), -1, context)),
    '22003',
  )
  assert.equal(
    stateOf(() => builtinType(1114).parse('1-'.repeat(100_000), -1, context)),
    '22007',
  )
  assert.equal(
    stateOf(() => builtinType(1186).parse('1 '.repeat(100_000), -1, context)),
    '22007',
  )
  const repeat = codeOf(functionsByName('repeat')[0], { argTypes: [25, 23], resultType: 25, typmod: -1 }, context)!
  assert.equal(
    stateOf(() => repeat('xxxx', 500_000_000, context)),
    '54000',
  )
})
