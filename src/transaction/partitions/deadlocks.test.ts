import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cyclesOf } from './deadlocks.ts'

test('cycles are found, chains and trees are none', () => {
  assert.deepEqual(cyclesOf([]), [])
  assert.deepEqual(
    cyclesOf([
      ['1:1', '1:2'],
      ['1:2', '2:3'],
      ['1:1', '2:3'],
    ]),
    [],
  )
  assert.deepEqual(
    cyclesOf([
      ['1:1', '2:2'],
      ['2:2', '1:1'],
    ]),
    [['1:1', '2:2']],
  )
  const two = cyclesOf([
    ['a:1', 'b:2'],
    ['b:2', 'c:3'],
    ['c:3', 'b:2'],
    ['d:4', 'e:5'],
    ['e:5', 'd:4'],
  ])
  assert.deepEqual(two.map((c) => c.toSorted()).toSorted(), [
    ['b:2', 'c:3'],
    ['d:4', 'e:5'],
  ])
})
