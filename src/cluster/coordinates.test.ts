import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { SimRandom } from '../testing/index.ts'
import { isCoordinate, moved, origin, predictedMs, Unreliability } from './coordinates.ts'
import { distance, diversity, formatLocality, parseLocality } from './locality.ts'

test('coordinates learn to predict round trips they have not measured', () => {
  const random = new SimRandom(20_261_120)
  const places = Array.from({ length: 12 }, () => [random.below(80), random.below(80), 1 + random.below(5)])
  const rtt = (a: number, b: number) =>
    Math.hypot(places[a][0] - places[b][0], places[a][1] - places[b][1]) + places[a][2] + places[b][2]
  const points = places.map(() => origin)
  for (let round = 0; round < 4000; round++) {
    const a = random.below(12)
    // Each measures only some of the others.
    const b = (a + 1 + random.below(6)) % 12
    points[a] = moved(points[a], points[b], rtt(a, b) * (0.95 + random.below(100) / 1000), random)
  }
  const errors: number[] = []
  for (let a = 0; a < 12; a++) {
    for (let b = 0; b < a; b++) errors.push(Math.abs(predictedMs(points[a], points[b]) - rtt(a, b)) / rtt(a, b))
  }
  errors.sort((x, y) => x - y)
  assert.ok(errors[errors.length >> 1] < 0.12, `median error ${errors[errors.length >> 1]}`)
  for (const point of points) assert.ok(isCoordinate(point))
})

test('senseless round trips move nothing', () => {
  const random = new SimRandom(1)
  for (const rtt of [0, -1, Number.NaN, 1e9]) assert.equal(moved(origin, origin, rtt, random), origin)
  assert.ok(!isCoordinate({ x: 0, y: 0, z: 0, height: Number.NaN, error: 0 }))
  assert.ok(!isCoordinate(null))
})

test('unreliability rises with failures and is forgotten', () => {
  const score = new Unreliability()
  score.note(false, 0)
  assert.ok(score.score(0) < 0.25)
  for (let i = 1; i <= 40; i++) score.note(false, i * 500_000)
  assert.ok(score.score(20_000_000) > 0.8)
  for (let i = 41; i <= 400; i++) score.note(true, i * 500_000)
  assert.ok(score.score(200_000_000) < 0.1)
})

test('localities are parsed, compared and refused', () => {
  const eu = parseLocality(' region=eu, zone=a ,host=h1')
  assert.deepEqual(eu, { region: 'eu', zone: 'a', host: 'h1' })
  assert.equal(formatLocality(eu), 'region=eu,zone=a,host=h1')
  assert.deepEqual(parseLocality(''), {})
  for (const bad of ['region', 'region=', '=eu', 'a=1,,b=2', 'a=1,a=2', 'a=b=c', 'a b=1']) {
    assert.throws(() => parseLocality(bad), { code: 'invalid_parameter_value' }, bad)
  }
  assert.equal(distance(eu, parseLocality('region=eu,zone=a,host=h2')), 1 / 3)
  assert.equal(distance(eu, parseLocality('region=eu,zone=b,host=h1')), 2 / 3)
  assert.equal(distance(eu, parseLocality('zone=a')), 1)
  assert.equal(distance({}, {}), 0)
  assert.equal(diversity([eu]), 0)
  assert.equal(diversity([eu, eu, parseLocality('region=us,zone=c,host=h9')]), 2 / 3)
})
