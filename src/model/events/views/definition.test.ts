import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DbError } from '../../../base/index.ts'
import { aggregates } from './aggregate.ts'
import { viewFromDefinition } from './index.ts'
import { json, openBench } from './views.fixture.ts'

test('a definition groups and aggregates by pointers; what an aggregate cannot use is passed over', async () => {
  const { clock, store, views } = await openBench()
  await views.add(
    viewFromDefinition({
      name: 'per-customer',
      version: 1,
      key: '/customer/name',
      aggregates: {
        orders: 'count',
        priced: { count: '/cents' },
        cents: { sum: '/cents' },
        mean: { avg: '/cents' },
        cheapest: { min: '/cents' },
        newest: { max: '/at' },
        status: { last: '/status' },
        first: { first: '/status' },
        tags: { set: '/tags/0' },
        'a/b': { count: '/x~1y' },
      },
    }),
  )
  const now = clock.micros / 1000
  const order = (name: unknown, more: object, at = now) => json({ customer: { name }, ...more }, at)
  await store.append([
    order('ann', { cents: 0.1, at: '2026-01-02', status: 'paid', tags: ['b'] }),
    order('ann', { cents: 0.2, at: '2026-01-01', status: 'ordered', tags: ['a'], 'x/y': 1 }, now - 10),
    order('ann', { cents: 'much', tags: ['b'] }),
    order(7, { cents: null }),
    order(null, { cents: 5 }),
    json('no object'),
    { value: new TextEncoder().encode('{'), contentType: 'application/json' },
    { value: new Uint8Array([1, 2]), contentType: 'application/octet-stream' },
  ])
  assert.deepEqual(await views.entries('per-customer', { limit: 9 }), [
    {
      key: '7',
      value: {
        ...{ orders: 1, priced: 0, cents: 0, mean: null, cheapest: null, newest: null, status: null, first: null },
        ...{ tags: [], 'a/b': 0 },
      },
    },
    {
      key: 'ann',
      value: {
        ...{ orders: 3, priced: 3, cents: 0.3, mean: 0.15, cheapest: 0.1, newest: '2026-01-02', status: 'paid' },
        ...{ first: 'ordered', tags: ['a', 'b'], 'a/b': 1 },
      },
    },
  ])
})

test('aggregates do not depend on the order of values, and what is removed was never there', () => {
  const value = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.string(), fc.boolean())
  const list = fc.array(fc.record({ key: fc.nat(1000), value }), { maxLength: 12 })
  for (const [name, aggregate] of Object.entries(aggregates)) {
    const key = (n: number) => String(n).padStart(4, '0')
    const of = (values: { key: number; value: unknown }[]) =>
      values.reduce((state, v) => aggregate.add(state, v.value, key(v.key)), aggregate.empty())
    const unique = list.map((l) => [...new Map(l.map((v) => [v.key, v])).values()])
    const shuffled = unique.chain((l) => fc.tuple(fc.constant(l), fc.shuffledSubarray(l, { minLength: l.length })))
    fc.assert(
      fc.property(shuffled, fc.nat(12), ([values, others], at) => {
        assert.deepEqual(aggregate.result(of(values)), aggregate.result(of(others)), name)
        if (aggregate.remove === undefined || values.length === 0) return
        const gone = values[at % values.length]
        const left = aggregate.remove(of(values), gone.value, key(gone.key))
        assert.deepEqual(left, of(values.filter((v) => v !== gone)), name)
      }),
    )
  }
})

test('sums are exact: cents are no matter of luck', () => {
  const { add, empty, result } = aggregates.sum
  const sum = (...values: number[]) => result(values.reduce((state, v) => add(state, v, ''), empty()))
  assert.equal(sum(0.1, 0.2, 0.3), 0.6)
  assert.equal(sum(1e20, 1, -1e20), 1)
  assert.equal(sum(Number.MAX_VALUE, Number.MIN_VALUE, -Number.MAX_VALUE), Number.MIN_VALUE)
  assert.equal(sum(Number.MAX_VALUE, Number.MAX_VALUE), Number.MAX_VALUE, 'JSON has no infinity')
  assert.equal(sum(12.5, -0.25, 1000), 1012.25)
})

test('what is no definition is refused, and how', () => {
  const good = { name: 'x', version: 1, aggregates: { n: 'count' } }
  const bad: [unknown, RegExp][] = [
    [null, /no JSON object/],
    [[good], /no JSON object/],
    [{ ...good, reduce: 'code' }, /unknown member "reduce"/],
    [{ ...good, name: 5 }, /"name" is no string/],
    [{ ...good, name: '../x' }, /not a name/],
    [{ ...good, version: '1' }, /"version" is no number/],
    [{ ...good, version: 1.5 }, /version 1.5/],
    [{ ...good, store: 1 }, /"store"/],
    [{ ...good, key: 'customer' }, /"key" is no JSON pointer/],
    [{ ...good, key: '/a~2' }, /"key" is no JSON pointer/],
    [{ ...good, aggregates: {} }, /"aggregates"/],
    [{ ...good, aggregates: { n: 'sum' } }, /aggregate "n" is not one/],
    [{ ...good, aggregates: { n: { median: '/x' } } }, /aggregate "n" is not one/],
    [{ ...good, aggregates: { n: { toString: '/x' } } }, /aggregate "n" is not one/],
    [{ ...good, aggregates: { n: { sum: '/x', min: '/x' } } }, /aggregate "n" is not one/],
    [{ ...good, aggregates: { n: { sum: 'x' } } }, /"sum" of aggregate "n" is no JSON pointer/],
    [{ ...good, aggregates: JSON.parse('{ "__proto__": "count" }') }, /"__proto__"/],
  ]
  for (const [json, says] of bad) {
    assert.throws(
      () => viewFromDefinition(json),
      (e: DbError) => {
        assert.equal(e.code, 'invalid_parameter_value')
        assert.match(e.message, says)
        return e.hint !== undefined
      },
    )
  }
})
