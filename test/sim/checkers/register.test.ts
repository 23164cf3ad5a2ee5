/** Registers: linearizable histories of a simulated register pass, planted anomalies do not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimRandom } from '../../../src/testing/index.ts'
import { describe } from '../history.ts'
import { checkRegisters, type RegisterOperation, type RegisterValue } from './register.ts'

interface Given {
  readonly kind: 'read' | 'write' | 'cas'
  value: RegisterValue
  readonly expected?: RegisterValue
  swapped?: boolean
}
type Times = Partial<Pick<RegisterOperation, 'client' | 'status'>> & { from: number; to?: number }

const read = (value: RegisterValue): Given => ({ kind: 'read', value })
const put = (value: RegisterValue): Given => ({ kind: 'write', value })
const cas = (expected: RegisterValue, value: RegisterValue, swapped = true): Given => ({
  kind: 'cas',
  expected,
  value,
  swapped,
})

function history(...all: [Given, Times][]): RegisterOperation[] {
  return all.map(([given, { from, to, ...rest }], index) => {
    const times = { invokedMicros: from, completedMicros: to }
    return { client: index, index, status: 'ok', key: 'x', ...times, ...given, ...rest } as RegisterOperation
  })
}

const wrong = (operations: RegisterOperation[]) => checkRegisters(operations).map(({ kind }) => kind)
const linearizable = (operations: RegisterOperation[]) => assert.deepEqual(checkRegisters(operations), [])

interface Plan {
  readonly seed: string
  readonly operations: number
  readonly clients: number
  readonly keys?: number
  readonly unknown?: number
  /** Share of reads that answer with an older value. */
  readonly stale?: number
}

/** A register whose operations happen at a random moment between invocation and completion. */
function simulate({ seed, operations, clients, keys = 1, unknown = 0, stale = 0 }: Plan): RegisterOperation[] {
  const random = new SimRandom(seed)
  const values = new Map<string, RegisterValue[]>()
  const running = new Map<
    number,
    { given: Given; key: string; from: number; index: number; happened: boolean; late: boolean }
  >()
  const out: RegisterOperation[] = []
  const late: (() => void)[] = []
  let value = 0
  let next = 0
  for (let now = 0; next < operations || running.size > 0; now += random.between(1, 5)) {
    if (late.length > 0 && random.chance(0.1)) late.shift()!()
    const client = random.below(clients)
    const own = running.get(client)
    if (own === undefined) {
      if (next === operations) continue
      const key = `k${random.below(keys)}`
      const last = values.get(key)?.at(-1) ?? null
      const guess = random.chance(0.5) ? last : random.below(value + 1)
      const given = random.pick<Given>([read(null), read(null), put(++value), cas(guess, ++value)])
      running.set(client, {
        given: { ...given },
        key,
        from: now,
        index: next++,
        happened: false,
        late: random.chance(unknown),
      })
      continue
    }
    const { given, key, from, index } = own
    const happen = () => {
      const before = values.get(key) ?? [null]
      const state = before[before.length - 1]
      if (given.kind === 'read') given.value = random.chance(stale) ? before[Math.max(0, before.length - 4)] : state
      else if (given.kind === 'write') values.set(key, [...before, given.value])
      else {
        given.swapped = state === given.expected
        if (given.swapped) values.set(key, [...before, given.value])
      }
    }
    if (own.late) {
      // The answer is lost; it may happen much later, or never.
      if (random.chance(0.6)) late.push(happen)
      out.push({
        client,
        index,
        key,
        status: 'unknown',
        invokedMicros: from,
        completedMicros: undefined,
        ...given,
      } as RegisterOperation)
      running.delete(client)
    } else if (!own.happened) {
      happen()
      own.happened = true
    } else if (random.chance(0.5)) {
      out.push({
        client,
        index,
        key,
        status: 'ok',
        invokedMicros: from,
        completedMicros: now,
        ...given,
      } as RegisterOperation)
      running.delete(client)
    }
  }
  return out
}

test('histories of a register are linearizable, with lost answers too', () => {
  for (let seed = 0; seed < 60; seed++) {
    const plan = {
      seed: `right ${seed}`,
      operations: 200,
      clients: 8,
      keys: 1 + (seed % 3),
      unknown: seed % 2 === 0 ? 0 : 0.04,
    }
    const found = checkRegisters(simulate(plan))
    assert.deepEqual(found, [], `seed ${plan.seed}: ${describe(found)}`)
  }
})

test('stale reads are found', () => {
  let found = 0
  for (let seed = 0; seed < 40; seed++) {
    const operations = simulate({ seed: `stale ${seed}`, operations: 200, clients: 6, unknown: 0.02, stale: 0.2 })
    if (checkRegisters(operations).some(({ kind }) => kind === 'not-linearizable')) found++
  }
  assert.ok(found >= 38, `${found} of 40`)
})

test('five hundred operations of ten clients on one key are decided', () => {
  for (let seed = 0; seed < 5; seed++) {
    for (const stale of [0, 0.05]) {
      const operations = simulate({ seed: `large ${seed}`, operations: 500, clients: 10, unknown: 0.01, stale })
      assert.ok(!wrong(operations).includes('gave-up'), `seed ${seed}`)
    }
  }
})

test('a search beyond the budget is given up loudly', () => {
  const operations = simulate({ seed: 'budget', operations: 200, clients: 10 })
  assert.deepEqual(
    checkRegisters(operations, { budget: 3 }).map(({ kind }) => kind),
    ['gave-up'],
  )
})

test('a read after a write that was answered sees it', () => {
  linearizable(history([put(1), { from: 0, to: 10 }], [read(1), { from: 11, to: 20 }]))
  assert.deepEqual(wrong(history([put(1), { from: 0, to: 10 }], [read(null), { from: 11, to: 20 }])), [
    'not-linearizable',
  ])
  linearizable(history([put(1), { from: 0, to: 10 }], [read(null), { from: 5, to: 20 }]))
})

test('a read that goes back behind another one is found', () => {
  const write: [Given, Times] = [put(1), { from: 0, to: 100 }]
  linearizable(history(write, [read(null), { from: 10, to: 20 }], [read(1), { from: 30, to: 40 }]))
  assert.deepEqual(wrong(history(write, [read(1), { from: 10, to: 20 }], [read(null), { from: 30, to: 40 }])), [
    'not-linearizable',
  ])
})

test('a value that nobody wrote, or that failed, is found', () => {
  assert.deepEqual(wrong(history([read(7), { from: 0, to: 1 }])), ['not-linearizable'])
  const failed: [Given, Times] = [put(7), { from: 0, to: 1, status: 'failed' }]
  assert.deepEqual(wrong(history(failed, [read(7), { from: 2, to: 3 }])), ['not-linearizable'])
})

test('two that swap the same value, and a refusal without a reason, are found', () => {
  linearizable(history([cas(null, 1), { from: 0, to: 10 }], [cas(null, 2, false), { from: 0, to: 10 }]))
  assert.deepEqual(wrong(history([cas(null, 1), { from: 0, to: 10 }], [cas(null, 2), { from: 0, to: 10 }])), [
    'not-linearizable',
  ])
  assert.deepEqual(wrong(history([cas(null, 1, false), { from: 0, to: 10 }])), ['not-linearizable'])
})

test('an unknown write may happen late, once, or never', () => {
  const unknown: [Given, Times] = [put(1), { from: 0, status: 'unknown' }]
  linearizable(history(unknown, [read(null), { from: 10, to: 20 }], [read(1), { from: 30, to: 40 }]))
  linearizable(history(unknown, [read(null), { from: 10, to: 20 }]))
  linearizable(history(unknown, [cas(null, 5, false), { from: 10, to: 20 }], [read(1), { from: 30, to: 40 }]))
  const twice = history(
    unknown,
    [read(1), { from: 10, to: 20 }],
    [put(2), { from: 30, to: 40 }],
    [read(1), { from: 50, to: 60 }],
  )
  assert.deepEqual(wrong(twice), ['not-linearizable'])
  const early = history([read(1), { from: 0, to: 5 }], [put(1), { from: 10, status: 'unknown' }])
  assert.deepEqual(wrong(early), ['not-linearizable'])
  const swap: [Given, Times] = [cas(2, 3), { from: 0, status: 'unknown' }]
  linearizable(history(swap, [put(2), { from: 10, to: 20 }], [read(3), { from: 30, to: 40 }]))
  assert.deepEqual(wrong(history(swap, [put(4), { from: 10, to: 20 }], [read(3), { from: 30, to: 40 }])), [
    'not-linearizable',
  ])
})

test('a write of the value at hand may be needed later', () => {
  const operations = history(
    [put(1), { from: 0, to: 5 }],
    [put(1), { from: 10, to: 100 }],
    [put(2), { from: 20, to: 30 }],
    [read(1), { from: 40, to: 50 }],
  )
  linearizable(operations)
})

test('the order of one client counts, also where times are equal', () => {
  const same = { client: 1, from: 5, to: 5 }
  assert.deepEqual(wrong(history([put(1), same], [put(2), same], [read(1), same])), ['not-linearizable'])
  linearizable(history([put(1), same], [put(2), same], [read(2), same]))
})

/** Tries every order of what happened and of every choice of what may have. */
function bruteForce(operations: RegisterOperation[]): boolean {
  const precedes = (x: RegisterOperation, y: RegisterOperation) => {
    if (x.status !== 'ok') return false
    return x.completedMicros! < y.invokedMicros || (x.client === y.client && x.index < y.index)
  }
  const search = (left: RegisterOperation[], state: RegisterValue): boolean => {
    if (left.every(({ status }) => status !== 'ok')) return true
    return left.some((o) => {
      if (left.some((other) => other !== o && precedes(other, o))) return false
      const rest = left.filter((other) => other !== o)
      if (o.kind === 'write') return search(rest, o.value)
      if (o.kind === 'read') return (o.status !== 'ok' || o.value === state) && search(rest, state)
      const swaps = o.expected === state
      if (o.status === 'ok' && o.swapped !== swaps) return false
      return search(rest, swaps ? o.value : state)
    })
  }
  return search(
    operations.filter(({ status }) => status !== 'failed'),
    null,
  )
}

test('small histories at random are judged as by trying every order', () => {
  let right = 0
  for (let seed = 0; seed < 4000; seed++) {
    const random = new SimRandom(`small ${seed}`)
    const value = () => random.pick<RegisterValue>([null, 1, 2, 3])
    const free = new Map<number, number>()
    const operations: RegisterOperation[] = []
    for (let index = random.between(2, 6); index > 0; index--) {
      const client = random.below(3)
      const from = (free.get(client) ?? 0) + random.below(6)
      const to = from + random.below(12)
      free.set(client, to)
      const status = random.pick(['ok', 'ok', 'ok', 'ok', 'unknown', 'failed'] as const)
      const given = random.pick<Given>([read(value()), put(value()), cas(value(), value(), random.chance(0.5))])
      const times = { invokedMicros: from, completedMicros: status === 'ok' ? to : undefined }
      operations.push({ client, index: operations.length, status, key: 'x', ...times, ...given } as RegisterOperation)
    }
    const expected = bruteForce(operations)
    if (expected) right++
    assert.equal(checkRegisters(operations).length === 0, expected, `seed ${seed}: ${JSON.stringify(operations)}`)
  }
  assert.ok(right > 300 && right < 3700, `${right} of 4000 are linearizable`)
})
