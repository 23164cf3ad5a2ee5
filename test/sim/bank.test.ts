/**
 * A whole node on simulated ports: concurrent transfers over SQL, the power cut again and again, the books checked after
 * each recovery. Twin runs of one seed must give one trace; planted bugs must be found.
 *
 *   replay: SEED=<n> node --test test/sim/bank.test.ts      longer: SEEDS=<count>
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DbError } from '../../src/base/index.ts'
import { EmbeddedChannel } from '../../src/client/embedded-channel.ts'
import { SessionClient } from '../../src/client/session-client.ts'
import { openDatabase } from '../../src/node/database.ts'
import { SimWorld } from '../../src/testing/index.ts'
import { Transaction } from '../../src/transaction/index.ts'

const accounts = 8
const total = accounts * 100

interface Outcome {
  readonly hash: string
  readonly acknowledged: number
  readonly violations: string[]
}

interface Plan {
  readonly seed: number
  readonly lives: number
  /** The disk acknowledges syncs that it has not done. */
  readonly lyingSync?: boolean
  /** One more query in the first life. */
  readonly extra?: boolean
}

async function life(
  world: SimWorld,
  disk: ReturnType<SimWorld['disk']>,
  n: number,
  plan: Plan,
  acknowledged: Map<number, number>,
  violations: string[],
): Promise<void> {
  const io = world.node(disk)
  const random = world.random.fork(`life ${n}`)
  let cut = false
  const work = async () => {
    const opened = await openDatabase({ io, directory: '/data' })
    const connect = async () => new EmbeddedChannel(io, opened.database, 'lattice', 'lattice', '')
    const db = new SessionClient({ io, connect, maxSessions: 8, onClose: async () => {} })
    if (n === 0) {
      await db.script(`create table account (id int primary key, balance int not null check (balance >= 0)); create table done (id int primary key);
        insert into account select i, 100 from generate_series(1, ${accounts}) i`)
      if (plan.extra) await db.query('select 1')
    } else {
      const sum = Number((await db.query<{ s: number }>('select sum(balance) s from account')).rows[0].s)
      if (sum !== total) violations.push(`life ${n}: the accounts hold ${sum} instead of ${total}`)
      const kept = new Set((await db.query<{ id: number }>('select id from done')).rows.map((r) => r.id))
      for (const id of acknowledged.keys())
        if (!kept.has(id)) violations.push(`life ${n}: transfer ${id} was acknowledged and is gone`)
    }
    let next = n * 10_000
    const worker = async () => {
      for (let i = 0; i < 12; i++) {
        const id = next++
        const from = 1 + random.below(accounts)
        const to = 1 + random.below(accounts)
        const amount = random.below(30)
        try {
          await db.transaction(
            async (tx) => {
              const [a] = await tx.sql<{ balance: number }>`select balance from account where id = ${from}`
              if (a.balance < amount || from === to) return
              await tx.sql`update account set balance = ${a.balance - amount} where id = ${from}`
              await tx.sql`update account set balance = balance + ${amount} where id = ${to}`
              await tx.sql`insert into done values (${id})`
            },
            { isolation: random.below(2) === 0 ? 'serializable' : 'repeatable read', retries: 20 },
          )
          if ((await db.query('select 1 from done where id = $1', [id])).rows.length === 1) acknowledged.set(id, amount)
        } catch (error) {
          if (!(error instanceof DbError)) throw error
        }
      }
    }
    await Promise.all([worker(), worker(), worker(), worker()])
    const sum = Number((await db.query<{ s: number }>('select sum(balance) s from account')).rows[0].s)
    if (sum !== total) violations.push(`life ${n}, before the cut: the accounts hold ${sum} instead of ${total}`)
  }
  const at = 20_000 + random.below(400_000)
  world.schedule(at, () => {
    cut = true
  })
  await world.run(work, () => cut)
  io.crash()
}

async function run(plan: Plan): Promise<Outcome> {
  const world = new SimWorld(plan.seed)
  const disk = world.disk()
  if (plan.lyingSync) disk.onOperation = (operation) => (operation.kind === 'sync' ? 'skip' : undefined)
  const acknowledged = new Map<number, number>()
  const violations: string[] = []
  try {
    for (let n = 0; n < plan.lives; n++) await life(world, disk, n, plan, acknowledged, violations)
  } catch (error) {
    if (!plan.lyingSync) throw error
    violations.push(String(error))
  }
  return { hash: world.trace.hash, acknowledged: acknowledged.size, violations }
}

const first = Number(process.env.SEED ?? 1)
const count = Number(process.env.SEEDS ?? (process.env.SEED === undefined ? 12 : 1))

test('no money and no acknowledged transfer is lost over power cuts', async () => {
  let acknowledged = 0
  for (let seed = first; seed < first + count; seed++) {
    const outcome = await run({ seed, lives: 4 })
    assert.deepEqual(outcome.violations, [], `replay: SEED=${seed} node --test test/sim/bank.test.ts`)
    acknowledged += outcome.acknowledged
  }
  assert.ok(acknowledged > count * 5, `only ${acknowledged} transfers were acknowledged`)
})

test('twin runs give one trace, one more query another', async () => {
  const one = await run({ seed: first, lives: 2 })
  const two = await run({ seed: first, lives: 2 })
  const other = await run({ seed: first, lives: 2, extra: true })
  assert.equal(one.hash, two.hash)
  assert.notEqual(one.hash, other.hash)
})

test('planted: a disk that lies about syncs is found', async () => {
  for (let seed = first; seed < first + 20; seed++)
    if ((await run({ seed, lives: 3, lyingSync: true })).violations.length > 0) return
  assert.fail('twenty seeds saw nothing wrong')
})

test('planted: validation and conflict checks left out are found', async () => {
  const prototype = Transaction.prototype as unknown as { newest(key: Uint8Array): number }
  const { newest } = prototype
  // As if no row ever changed after a snapshot: updates are lost.
  prototype.newest = () => 0
  try {
    for (let seed = first; seed < first + 20; seed++) if ((await run({ seed, lives: 2 })).violations.length > 0) return
  } finally {
    prototype.newest = newest
  }
  assert.fail('twenty seeds saw nothing wrong')
})
