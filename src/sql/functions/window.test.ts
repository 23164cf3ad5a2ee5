/** Window functions over one small partition: ordered values with ties, the default frame (up to the last peer). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TypeContext, Value } from '../types/type.ts'
import type { WindowPartition } from './function.ts'
import { functionsByName, windowOf } from './registry.ts'

const context = {} as TypeContext
const keys = [10, 20, 20, 30, 30, 30]

class Partition implements WindowPartition {
  readonly rows = keys.length
  current = 0
  readonly #args: readonly ((row: number) => Value)[]

  constructor(args: readonly ((row: number) => Value)[]) {
    this.#args = args
  }

  get peersStart(): number {
    return keys.indexOf(keys[this.current])
  }

  get peersEnd(): number {
    return keys.lastIndexOf(keys[this.current]) + 1
  }

  get frameRows(): number {
    return this.peersEnd
  }

  frameRow(n: number): number {
    return n
  }

  argument(index: number, row: number): Value {
    return this.#args[index](row)
  }
}

function run(name: string, ...args: ((row: number) => Value)[]): Value[] {
  const row = functionsByName(name).find(
    (candidate) => candidate.kind === 'w' && candidate.args.length === args.length,
  )!
  const code = windowOf(row)!
  const partition = new Partition(args)
  const state = code.init({ argTypes: args.map(() => 23), resultType: 23, typmod: -1 }, context)
  return keys.map((_, i) => {
    partition.current = i
    return code.value(partition, state)
  })
}

const key = (row: number) => keys[row]
const number = (value: Value) => () => value

test('ranks', () => {
  assert.deepEqual(run('row_number'), [1, 2, 3, 4, 5, 6])
  assert.deepEqual(run('rank'), [1, 2, 2, 4, 4, 4])
  assert.deepEqual(run('dense_rank'), [1, 2, 2, 3, 3, 3])
  assert.deepEqual(run('percent_rank'), [0, 0.2, 0.2, 0.6, 0.6, 0.6])
  assert.deepEqual(run('cume_dist'), [1 / 6, 0.5, 0.5, 1, 1, 1])
})

test('ntile gives the first buckets the rows left over', () => {
  assert.deepEqual(run('ntile', number(4)), [1, 1, 2, 2, 3, 4])
  assert.deepEqual(run('ntile', number(10)), [1, 2, 3, 4, 5, 6])
  assert.deepEqual(run('ntile', number(null)), [null, null, null, null, null, null])
  assert.throws(() => run('ntile', number(0)), /argument of ntile must be greater than zero/)
})

test('lag, lead and the values of the frame', () => {
  assert.deepEqual(run('lag', key), [null, 10, 20, 20, 30, 30])
  assert.deepEqual(run('lead', key, number(2)), [20, 30, 30, 30, null, null])
  assert.deepEqual(run('lag', key, number(-1), number(0)), [20, 20, 30, 30, 30, 0])
  assert.deepEqual(run('lag', key, number(null)), [null, null, null, null, null, null])
  assert.deepEqual(run('first_value', key), [10, 10, 10, 10, 10, 10])
  assert.deepEqual(
    run('last_value', (row) => row),
    [0, 2, 2, 5, 5, 5],
  )
  assert.deepEqual(
    run('nth_value', (row) => row, number(3)),
    [null, 2, 2, 2, 2, 2],
  )
  assert.throws(() => run('nth_value', key, number(0)), /argument of nth_value must be greater than zero/)
})
