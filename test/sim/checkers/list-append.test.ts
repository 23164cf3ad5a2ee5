/** Histories of a small executor are right for its level and, for some seeds, wrong for the next; planted anomalies are found. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describe } from '../history.ts'
import { type Mode, runLists } from './executor.fixture.ts'
import { anomaliesOf, checkListAppend, type Level, type ListStep, type ListTransaction } from './list-append.ts'

const a = (key: string, value: number): ListStep => ({ kind: 'append', key, value })
const r = (key: string, ...values: number[]): ListStep => ({ kind: 'read', key, values })

/** All at the same time, each by a client of its own, unless told otherwise. */
function history(...all: (ListStep[] | ({ steps: ListStep[] } & Partial<ListTransaction>))[]): ListTransaction[] {
  return all.map((given, index) => {
    const own = Array.isArray(given) ? { steps: given } : given
    return { client: index, index, invokedMicros: 0, completedMicros: 1000, status: 'ok' as const, ...own }
  })
}

const kinds = (transactions: ListTransaction[]) =>
  [...new Set(anomaliesOf(transactions).map(({ kind }) => kind))].sort()

const runs: [Mode, Level, Level | undefined][] = [
  ['serial', 'strict serializable', undefined],
  ['stale reads', 'serializable', 'strict serializable'],
  ['snapshot', 'repeatable read', 'serializable'],
  ['read committed', 'read committed', 'repeatable read'],
]

for (const [mode, level, next] of runs) {
  test(`${mode} histories are ${level}${next ? `, and some are not ${next}` : ''}`, () => {
    let wrong = 0
    for (let seed = 0; seed < 40; seed++) {
      const plan = {
        seed: `${mode} ${seed}`,
        mode,
        transactions: 120,
        clients: 6,
        keys: 4,
        unknown: seed % 2 === 0 ? 0 : 0.1,
      }
      const transactions = runLists(plan)
      const found = checkListAppend(transactions, level)
      assert.deepEqual(found, [], `seed ${plan.seed}: ${describe(found)}`)
      if (next !== undefined && checkListAppend(transactions, next).length > 0) wrong++
    }
    assert.ok(next === undefined || wrong >= 5, `${wrong} of 40 seeds`)
  })
}

test('two thousand transactions are checked within seconds', () => {
  const transactions = runLists({ seed: 'many', mode: 'serial', transactions: 2000, clients: 20, keys: 12 })
  assert.deepEqual(checkListAppend(transactions, 'strict serializable'), [])
})

test('G0: writes of two transactions interleave', () => {
  assert.deepEqual(kinds(history([a('x', 1), a('y', 1)], [a('x', 2), a('y', 2)], [r('x', 1, 2)], [r('y', 2, 1)])), [
    'G0',
  ])
})

test('G1a: what a failed transaction appended is read; of an unknown one it may be', () => {
  assert.deepEqual(kinds(history({ steps: [a('x', 1)], status: 'failed' }, [r('x', 1)])), ['G1a'])
  const unknown = { steps: [a('x', 1)], status: 'unknown' as const, completedMicros: undefined }
  assert.deepEqual(kinds(history(unknown, [r('x', 1)])), [])
  assert.deepEqual(kinds(history(unknown, [r('x')])), [])
})

test('G1b: half of what a transaction appended is read', () => {
  assert.deepEqual(kinds(history([a('x', 1), a('x', 2)], [r('x', 1)], [r('x', 1, 2)])), ['G-single', 'G1b'])
  assert.deepEqual(kinds(history([a('x', 1), a('x', 2)], [a('x', 3), r('x', 1, 3)])).includes('G1b'), true)
})

test('G1c: two transactions read each other', () => {
  assert.deepEqual(kinds(history([a('x', 1), r('y', 1)], [a('y', 1), r('x', 1)])), ['G1c'])
})

test('G-single: a read skew', () => {
  assert.deepEqual(kinds(history([a('x', 1), a('y', 1)], [r('x'), r('y', 1)], [r('x', 1)])), ['G-single'])
  assert.deepEqual(kinds(history([a('x', 1), a('y', 1)], [r('x'), r('y', 1)])), ['G-single'], 'nobody read x 1')
})

test('lost update: both read one version and put theirs behind it', () => {
  const both = history([r('x', 1), a('x', 2)], [r('x', 1), a('x', 3)], [a('x', 1)], [r('x', 1, 2, 3)])
  assert.deepEqual(kinds(both), ['lost-update'])
  assert.equal(checkListAppend(both, 'read committed').length, 0)
  assert.equal(checkListAppend(both, 'repeatable read').length, 1)
})

test('G2-item: a write skew; snapshots allow it, a serial order does not', () => {
  const skew = history([r('x'), r('y'), a('x', 1)], [r('x'), r('y'), a('y', 1)], [r('x', 1), r('y', 1)])
  assert.deepEqual(kinds(skew), ['G2-item'])
  assert.equal(checkListAppend(skew, 'repeatable read').length, 0)
  assert.equal(checkListAppend(skew, 'serializable').length, 1)
})

test('G-nonadjacent: a long fork; several rw edges, no two in a row', () => {
  const fork = history([a('x', 1)], [a('y', 1)], [r('x', 1), r('y')], [r('x'), r('y', 1)])
  assert.deepEqual(kinds(fork), ['G-nonadjacent', 'G2-item'])
  assert.equal(checkListAppend(fork, 'repeatable read').length, 1)
})

test('realtime: a later transaction reads what was before; only strict levels forbid it', () => {
  const late = { invokedMicros: 2000, completedMicros: 3000 }
  const stale = history([a('x', 1)], { steps: [r('x')], ...late }, { steps: [r('x', 1)], ...late })
  assert.deepEqual(kinds(stale), ['realtime'])
  assert.equal(checkListAppend(stale, 'serializable').length, 0)
  assert.equal(checkListAppend(stale, 'strict serializable').length, 1)
  const overlapping = history([a('x', 1)], { steps: [r('x')], invokedMicros: 900, completedMicros: 3000 })
  assert.deepEqual(kinds(overlapping), [])
})

test('session: a client does not read its own transaction of before', () => {
  const own = history({ steps: [a('x', 1)], client: 7 }, { steps: [r('x')], client: 7 }, [r('x', 1)])
  assert.deepEqual(kinds(own), ['session'])
})

test('internal: own appends are missing; reads are not repeated', () => {
  assert.deepEqual(kinds(history([a('x', 1), r('x')], [r('x', 1)])), ['internal'])
  assert.deepEqual(kinds(history([a('x', 1), a('x', 2), r('x', 2, 1)])).includes('internal'), true)
  const twice = history([r('x'), r('x', 1)], [a('x', 1)])
  assert.ok(kinds(twice).includes('non-repeatable-read'))
  assert.equal(checkListAppend(twice, 'read committed').length, 0)
  assert.deepEqual(kinds(history([a('x', 1)], [r('x', 1), a('x', 2), r('x', 1, 2), a('x', 3), r('x', 1, 2, 3)])), [])
})

test('lost appends, duplicates, inventions, orders that do not agree', () => {
  const later = { invokedMicros: 2000, completedMicros: 3000 }
  assert.ok(kinds(history([a('x', 1)], { steps: [a('x', 2), r('x', 2)], ...later })).includes('lost-append'))
  assert.deepEqual(kinds(history([a('x', 1)], [r('x')])), [], 'at the same time it may come later')
  assert.ok(kinds(history([a('x', 1)], [r('x', 1, 1)])).includes('duplicate'))
  assert.ok(kinds(history([r('x', 9)])).includes('invented'))
  assert.ok(kinds(history([a('x', 1)], [a('x', 2)], [r('x', 1, 2)], [r('x', 2)])).includes('incompatible-order'))
})

test('a value that is appended twice is a bug of the workload', () => {
  assert.throws(() => anomaliesOf(history([a('x', 1)], [a('x', 1)])), /twice/)
})
