/**
 * Aggregates that can undo a step must answer as if the value had never come: random windows over random values.
 * A failure prints fast-check's seed and path; `fc.assert(…, { seed, path })` replays it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { builtinType } from '../types/registry.ts'
import type { TypeContext, Value } from '../types/type.ts'
import { aggregateOf, functionsByName } from './registry.ts'

const context = {
  types: { type: builtinType },
  intervalStyle: 'postgres',
  extraFloatDigits: 1,
} as unknown as TypeContext
const int8 = fc
  .bigInt({ min: -(2n ** 62n), max: 2n ** 62n })
  .map((n) => (Number.isSafeInteger(Number(n)) ? Number(n) : n))
const cases: [name: string, type: number, value: fc.Arbitrary<Value>][] = [
  ['count', 2276, fc.integer()],
  ['sum', 23, fc.integer()],
  ['sum', 20, int8],
  ['avg', 23, fc.integer()],
  ['avg', 20, int8],
  ['bool_and', 16, fc.boolean()],
  ['bool_or', 16, fc.boolean()],
]

for (const [name, type, value] of cases) {
  test(`${name}(${builtinType(type).name}) forgets what left the frame`, () => {
    const row = functionsByName(name).find((candidate) => candidate.args[0] === type)!
    const code = aggregateOf(row)!
    const result = builtinType(row.result)
    const site = { argTypes: [type], resultType: row.result, typmod: -1 }
    const answer = (values: readonly Value[]) => {
      const state = values.reduce((s, v) => code.step(s, v), code.init(site, context))
      const out = code.finish(state, context)
      return out === null ? null : result.format(out, context)
    }
    fc.assert(
      fc.property(fc.array(value, { maxLength: 12 }), fc.nat(12), (values, leave) => {
        const gone = Math.min(leave, values.length)
        let state = values.reduce((s, v) => code.step(s, v), code.init(site, context))
        for (let i = 0; i < gone; i++) state = code.unstep!(state, values[i])
        const out = code.finish(state, context)
        assert.equal(out === null ? null : result.format(out, context), answer(values.slice(gone)))
      }),
      { numRuns: 200 },
    )
  })
}
