import assert from 'node:assert/strict'
import { test } from 'node:test'
import { END } from '../../base/index.ts'
import { GradualSort } from './gradual-sort.ts'

test('sorts as Array.sort does, stable, in slices', () => {
  let state = 12345
  const random = (bound: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state >>> 8) % bound
  }
  for (const length of [0, 1, 5, 8192, 8193, 16384, 16385, 50_000, 100_001]) {
    const rows = Array.from({ length }, (_, i) => [random(1000), i])
    const order = (a: number[], b: number[]) => a[0] - b[0]
    const expected = [...rows].sort(order)
    const sort = new GradualSort(rows, order)
    let steps = 1
    while (sort.step({ spent: true }) !== END) steps++
    assert.deepEqual(sort.rows, expected, `length ${length}`)
    assert.ok(length < 20_000 || steps > length / 8192, `${steps} steps`)
  }
})
