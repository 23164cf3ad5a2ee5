/** Tests over seeds: what they run, and what a failure says. */
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { DbError } from '../base/index.ts'
import { replayCommand } from './failure.ts'
import { type SimCluster, sim } from './index.ts'

/** Runs with an environment of its own, and gives back what the console was told. */
async function running(t: TestContext, env: Record<string, string>, body: () => Promise<unknown>): Promise<string> {
  const before = { ...process.env }
  for (const name of ['LATTICE_SEED', 'LATTICE_SEEDS']) delete process.env[name]
  Object.assign(process.env, env)
  const log = t.mock.method(console, 'error', () => {})
  try {
    await body()
    return log.mock.calls.map((call) => call.arguments.join(' ')).join('\n')
  } finally {
    for (const name of Object.keys(env)) delete process.env[name]
    Object.assign(process.env, before)
    log.mock.restore()
  }
}

const quick = { nodes: 1, settle: false } as const

test('no money is lost', sim({ nodes: 3, seeds: 2, checkTwin: true }, transfer))

async function transfer(cluster: SimCluster): Promise<void> {
  const db = cluster.connect(1)
  await db.script(
    'create table accounts (id int primary key, balance int); insert into accounts values (1, 10), (2, 0)',
  )
  await db.transaction(async (tx) => {
    await tx.sql`update accounts set balance = balance - 5 where id = 1`
    await tx.sql`update accounts set balance = balance + 5 where id = 2`
  })
  await cluster.crash(await cluster.leaderOf('accounts'))
  const other = cluster.connect(cluster.alive[0])
  await cluster.until(async () => {
    const { rows } = await other.query('select sum(balance)::int as sum from accounts')
    return rows[0].sum === 10
  })
}

test('the seeds are 1, 2, 3, … or those of the environment', async (t) => {
  const seeds: string[] = []
  const note = async (cluster: SimCluster) => {
    seeds.push(cluster.seed)
  }
  await running(t, {}, sim(note))
  await running(t, {}, sim({ ...quick, seeds: 3 }, note))
  await running(t, { LATTICE_SEED: 'x7' }, sim({ ...quick, seeds: 3 }, note))
  await running(t, { LATTICE_SEEDS: '2' }, sim({ ...quick, seeds: 3 }, note))
  assert.deepEqual(seeds, ['1', '1', '2', '3', 'x7', '1', '2'])
  assert.equal(sim(note).length, 0)
})

test('a failed assertion keeps its class, message and diff and gains seed, command and log', async (t) => {
  let failure: any
  const failing = sim({ ...quick, seeds: 3 }, async (cluster) => {
    if (cluster.seed === '2') assert.deepEqual({ a: 1 }, { a: 2 })
  })
  const log = await running(t, {}, () => (failing as (t: unknown) => Promise<void>)(t).catch((e) => (failure = e)))
  assert.equal(failure.constructor, assert.AssertionError)
  assert.deepEqual([failure.actual, failure.expected, failure.code], [{ a: 1 }, { a: 2 }, 'ERR_ASSERTION'])
  assert.match(failure.message, /^Expected values to be strictly deep-equal/)
  assert.match(failure.message, /seed 2, replay: LATTICE_SEED=2 node --test --test-name-pattern='a failed assertion/)
  assert.match(failure.message, /src\/testing\/sim-test\.test\.ts\n$/)
  assert.ok(failure.stack.includes(failure.message))
  assert.match(failure.stack, /at .*sim-test\.test\.ts/)
  assert.match(log, /seed 2, the last of the log:\n[\s\S]* node 1 .*node-up/)
})

test('whatever is thrown, errors of calls and plain values too, tells its seed', async (t) => {
  for (const thrown of [new DbError('undefined_table', 'not there'), 'text', Object.freeze(new Error('frozen'))]) {
    let failure: any
    const failing = sim(quick, async () => {
      throw thrown
    })
    const log = await running(t, {}, () => failing().catch((error) => (failure = error)))
    if (thrown instanceof Error) assert.equal(failure, thrown)
    else assert.equal(failure.cause, thrown)
    assert.match(failure.message + log, /seed 1, replay: LATTICE_SEED=1 /)
  }
})

test('two runs of a seed that differ are found, and where', async (t) => {
  let runs = 0
  let failure: any
  const uneven = sim({ ...quick, checkTwin: true }, async (cluster) => {
    const db = cluster.connect(1)
    await db.query('create table item (id int primary key)')
    await db.query('insert into item values ($1)', [runs++])
  })
  await running(t, {}, () => uneven().catch((error) => (failure = error)))
  assert.match(failure.message, /two runs of seed 1 differ, first in call \d+: "bytes .*"/)
})

test('a cluster that failed is gone, and so is one whose test ended', async (t) => {
  let kept: SimCluster | undefined
  await running(
    t,
    {},
    sim(quick, async (cluster) => void (kept = cluster)),
  )
  await assert.rejects(kept!.connect(1).query('select 1'), /the simulated cluster is gone|is down/)
  assert.deepEqual(kept!.alive, [])
})

test('commands for all runners', () => {
  const file = 'test/a.test.ts'
  assert.equal(replayCommand('3', { runner: 'node', file, name: undefined }), `LATTICE_SEED=3 node --test ${file}`)
  assert.equal(
    replayCommand('a b', { runner: 'vitest', file, name: "it's (x)" }),
    `LATTICE_SEED='a b' npx vitest run ${file} -t 'it'\\''s \\(x\\)'`,
  )
  assert.equal(replayCommand('3', { runner: 'jest', file: undefined, name: 'one' }), 'LATTICE_SEED=3 npx jest -t one')
})
