import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { elementsOf } from './json-slices.ts'

test('elements are cut as they were written', () => {
  assert.deepEqual(elementsOf(' [ {"a": [1, 2]} , 12345678901234567890,"x,]\\"[" ] '), [
    '{"a": [1, 2]}',
    '12345678901234567890',
    '"x,]\\"["',
  ])
  assert.deepEqual(elementsOf('[]'), [])
  assert.deepEqual(elementsOf('[ [] ]'), ['[]'])
})

test('any array, compact or spread out, is cut into its elements', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), fc.integer({ min: 0, max: 3 }), (values, indent) => {
      const cut = elementsOf(JSON.stringify(values, undefined, indent)).map((text) => JSON.parse(text))
      assert.deepEqual(cut, JSON.parse(JSON.stringify(values)))
    }),
  )
})
