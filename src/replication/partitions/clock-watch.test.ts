import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClockWatch } from './clock-watch.ts'

test('a wall clock that is set is told from one that goes, stands with its process, or is slewed', () => {
  let wall = 1_000_000_000
  let monotonic = 5_000
  let betweenReadings = 0
  const watch = new ClockWatch({
    wallMicros: () => wall,
    monotonicMicros: () => {
      const now = monotonic
      monotonic += betweenReadings
      wall += betweenReadings
      return now
    },
  })
  const pass = (micros: number, wallMicros = micros) => {
    monotonic += micros
    wall += wallMicros
    return watch.jumpMicros()
  }
  assert.equal(pass(0), undefined)
  assert.equal(pass(100_000), undefined)
  assert.equal(pass(60_000_000), undefined, 'the process stood still')
  for (let i = 0; i < 100; i++) assert.equal(pass(100_000, 150_000), undefined, 'slewed')
  assert.equal(pass(100_000, 700_000), 600_000)
  assert.equal(pass(100_000, -700_000), -800_000)
  assert.equal(pass(100_000), undefined)
  betweenReadings = 3_000_000
  assert.equal(pass(100_000), undefined, 'stopped between two readings')
  betweenReadings = 0
  assert.equal(pass(100_000), undefined)
})
