/** Bank, writes, sessions and replicas: a right history passes, each kind of wrong one is found. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimRandom } from '../../../src/testing/index.ts'
import type { Operation, Status, Violation } from '../history.ts'
import { type BankReading, checkBank } from './bank.ts'
import { checkEquality, type DumpedVersion } from './equality.ts'
import { checkMonotonic, type VersionedOperation } from './monotonic.ts'
import { checkWrites, type UniqueWrite } from './writes.ts'

const kinds = (violations: Violation[]) => [...new Set(violations.map(({ kind }) => kind))].sort()
const base = (index: number, status: Status = 'ok', client = 1): Operation => {
  return {
    client,
    index,
    invokedMicros: index * 10,
    completedMicros: status === 'unknown' ? undefined : index * 10 + 5,
    status,
  }
}

test('bank: any interleaving of transfers keeps the sum; what loses, makes or owes money is found', () => {
  const accounts = ['a', 'b', 'c']
  const rules = { accounts, total: 300, mayBeNegative: false }
  const reading = (...amounts: number[]): BankReading => {
    return { ...base(1), balances: new Map(amounts.map((amount, i) => [accounts[i] ?? `z${i}`, amount])) }
  }
  const random = new SimRandom('bank')
  const balances = new Map(accounts.map((account) => [account, 100]))
  const readings: BankReading[] = []
  for (let i = 0; i < 200; i++) {
    const [from, to] = [random.pick(accounts), random.pick(accounts)]
    const amount = random.below(balances.get(from)! + 1)
    balances.set(from, balances.get(from)! - amount)
    balances.set(to, balances.get(to)! + amount)
    readings.push({ ...base(i), balances: new Map(balances) })
  }
  assert.deepEqual(checkBank(readings, rules), [])
  assert.deepEqual(kinds(checkBank([reading(100, 100, 99)], rules)), ['wrong-total'])
  assert.deepEqual(kinds(checkBank([reading(-1, 201, 100)], rules)), ['negative-balance'])
  assert.deepEqual(checkBank([reading(-1, 201, 100)], { ...rules, mayBeNegative: true }), [])
  assert.deepEqual(kinds(checkBank([reading(200, 100)], rules)), ['missing-account'])
  assert.deepEqual(kinds(checkBank([reading(100, 100, 100, 0)], rules)), ['unknown-account'])
  assert.deepEqual(
    checkBank(
      [
        { ...base(1, 'failed'), balances: new Map() },
        { ...base(2), balances: undefined },
      ],
      rules,
    ),
    [],
  )
})

test('writes: unknown ones either way; lost, invented, failed, wrong and double ones are found', () => {
  const write = (index: number, status: Status = 'ok'): UniqueWrite => ({
    ...base(index, status),
    key: `k${index}`,
    value: `v${index}`,
  })
  const history = [write(1), write(2, 'unknown'), write(3, 'unknown'), write(4, 'failed'), write(5)]
  const found = (...keys: string[]) => keys.map((key) => [key, key.replace('k', 'v')] as const)
  assert.deepEqual(checkWrites(history, found('k1', 'k3', 'k5')), [])
  assert.deepEqual(kinds(checkWrites(history, found('k1', 'k3'))), ['lost-write'])
  assert.deepEqual(kinds(checkWrites(history, found('k1', 'k5', 'k6'))), ['invented'])
  assert.deepEqual(kinds(checkWrites(history, found('k1', 'k5', 'k4'))), ['failed-write-visible'])
  assert.deepEqual(kinds(checkWrites(history, found('k1', 'k5', 'k1'))), ['duplicate'])
  assert.deepEqual(kinds(checkWrites(history, [...found('k1'), ['k5', 'v1']])), ['wrong-value'])
  assert.throws(() => checkWrites([write(1), write(1)], []), /twice/)
})

test('monotonic: each way in which a session goes back is found', () => {
  let index = 0
  const at = (kind: 'read' | 'write', version: number | undefined, status: Status = 'ok', client = 1, key = 'x') => {
    return { ...base(index++, status, client), kind, key, version } as VersionedOperation
  }
  const right = [
    at('read', 0),
    at('write', 5),
    at('read', 5),
    at('read', 9),
    at('write', 10),
    at('read', 3, 'ok', 2),
    at('read', 0, 'ok', 1, 'y'),
  ]
  assert.deepEqual(checkMonotonic([...right, at('read', undefined, 'unknown'), at('write', 1, 'failed')]), [])
  assert.deepEqual(kinds(checkMonotonic([at('read', 5), at('read', 4)])), ['read-went-back'])
  assert.deepEqual(kinds(checkMonotonic([at('write', 5), at('read', 4)])), ['own-write-not-read'])
  assert.deepEqual(kinds(checkMonotonic([at('write', 5), at('write', 5)])), ['write-went-back'])
  assert.deepEqual(kinds(checkMonotonic([at('read', 5), at('write', 4)])), ['write-behind-read'])
  assert.deepEqual(
    kinds(checkMonotonic([at('read', 4), at('read', 5)].reverse())),
    [],
    'the index decides, not the place',
  )
})

test('equality: replicas may differ in what could be collected and in nothing else', () => {
  const v = (key: string, timestamp: number, value?: string): DumpedVersion => ({ key, timestamp, value })
  const dump = (name: string, ...versions: DumpedVersion[]) => ({ name, versions })
  const whole = [v('a', 9, 'a9'), v('a', 5, 'a5'), v('b', 4), v('b', 2, 'b2'), v('c', 1, 'c1')]
  assert.deepEqual(checkEquality([dump('1', ...whole), dump('2', ...whole.toReversed()), dump('3', ...whole)]), [])
  const collected = [v('a', 9, 'a9'), v('a', 5, 'a5'), v('c', 1, 'c1')]
  assert.deepEqual(checkEquality([dump('1', ...whole), dump('2', ...collected)], 6), [])
  assert.deepEqual(kinds(checkEquality([dump('1', ...whole), dump('2', ...collected)], 3)), ['missing-version'])
  assert.deepEqual(kinds(checkEquality([dump('1', ...collected), dump('2', ...whole)], 3)), ['missing-version'])
  const gone = [v('a', 9, 'a9'), v('c', 1, 'c1')]
  assert.deepEqual(
    kinds(checkEquality([dump('1', ...whole), dump('2', ...gone)], 6)),
    ['missing-version'],
    'a read at 6 sees a5',
  )
  const other = whole.map((version) => (version.timestamp === 9 ? v('a', 9, 'other') : version))
  assert.deepEqual(kinds(checkEquality([dump('1', ...whole), dump('2', ...other)])), ['different-value'])
  assert.deepEqual(kinds(checkEquality([dump('1', ...whole), dump('2', ...whole), dump('3', ...other)])), [
    'different-value',
  ])
  assert.deepEqual(checkEquality([]), [])
})
