/** Long statements are parsed by a worker: others are answered meanwhile; they can be cancelled and time out. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { type Client, open } from '../../client/index.ts'
import type { CpuJob, Io } from '../../io/index.ts'
import { type NodeIo, nodeIo } from '../../io/node/index.ts'
import { openDatabase } from '../../node/index.ts'
import { PgServer } from '../../wire/index.ts'

const cleanups: (() => Promise<void>)[] = []
after(async () => {
  for (const cleanup of cleanups.reverse()) await cleanup()
})

/** A database whose workers do nothing before they are let go. */
async function serve(held: (() => void)[] | undefined): Promise<() => Promise<Client>> {
  const real: NodeIo = nodeIo({ logLevel: 'error' })
  const cpu = async <I, O>(job: CpuJob<I, O>, input: I): Promise<O> => {
    await new Promise<void>((go) => held!.push(go))
    return real.tasks.cpu(job, input)
  }
  const { tasks } = real
  const after = tasks.after.bind(tasks)
  const yields = tasks.yield.bind(tasks)
  const io: Io = held === undefined ? real : { ...real, dead: false, tasks: { after, yield: yields, cpu } }
  const opened = await openDatabase({ io, directory: undefined })
  const server = await PgServer.start({ io, database: opened.database, host: '127.0.0.1', port: 0 })
  cleanups.push(async () => {
    await server.stop(1000)
    await opened.close()
    await real.stop()
  })
  return async () => {
    const client = await open(`postgres://lattice@127.0.0.1:${server.port}/lattice`, { maxSessions: 1 })
    cleanups.push(() => client.close())
    return client
  }
}

const ones = (count: number) => '1,'.repeat(count)
const long = `select cardinality(array[${ones(40_000)}1]) as n`

test('short statements are answered while a long one is parsed, in both protocols', { timeout: 60_000 }, async () => {
  const held: (() => void)[] = []
  const connect = await serve(held)
  const [slow, quick] = [await connect(), await connect()]
  for (const simple of [true, false]) {
    const order: string[] = []
    const answer = (simple ? slow.script(long) : slow.query(long)).then((result) => {
      order.push('long')
      return Array.isArray(result) ? result[0].rows : result.rows
    })
    for (let i = 0; i < 100; i++) {
      assert.deepEqual((await quick.query('select $1::int as i', [i])).rows, [{ i }])
      order.push('short')
    }
    while (held.length === 0 && !order.includes('long')) await quick.query('select 1')
    held.shift()?.()
    assert.deepEqual(await answer, [{ n: 40_001 }])
    assert.deepEqual(order, [...Array(100).fill('short'), 'long'])
  }
  assert.equal(held.length, 0)
})

test('a real worker parses while the loop answers', { timeout: 60_000 }, async () => {
  const connect = await serve(undefined)
  const [slow, quick] = [await connect(), await connect()]
  let over = false
  const answer = slow.query(`select cardinality(array[${ones(200_000)}1]) as n`).finally(() => {
    over = true
  })
  let answered = 0
  while (!over) {
    await quick.query('select 1')
    answered++
  }
  assert.deepEqual((await answer).rows, [{ n: 200_001 }])
  assert.ok(answered >= 10, `${answered} short statements beside it`)
})

test('a statement that waits for its parse is cancelled, times out, and leaves the session usable', {
  timeout: 60_000,
}, async () => {
  const held: (() => void)[] = []
  const connect = await serve(held)
  const [slow, other] = [await connect(), await connect()]
  const { rows } = await slow.query<{ pid: number }>('select pg_backend_pid() as pid')
  const cancelled = assert.rejects(slow.query(long), { code: 'query_canceled', message: /user request/ })
  while (held.length === 0) await other.query('select 1')
  assert.match(
    (
      await other.query<{ query: string }>('select query from pg_stat_activity where pid = $1', [rows[0].pid])
    ).rows[0].query.slice(0, 30),
    /^select cardinality/,
  )
  await other.query('select pg_cancel_backend($1)', [rows[0].pid])
  await cancelled
  await slow.query("set statement_timeout = '5ms'")
  await assert.rejects(slow.query(long), { code: 'query_canceled', message: /statement timeout/ })
  await slow.query('reset statement_timeout')
  // The worker still has the first one; the second left the queue; the third comes next.
  const third = slow.query(long)
  while (held.length > 0) held.shift()!()
  while (held.length === 0) await other.query('select 1')
  held.shift()!()
  assert.deepEqual((await third).rows, [{ n: 40_001 }])
  assert.equal(held.length, 0)
})

test('errors of long texts say where; in a transaction they fail it', { timeout: 60_000 }, async () => {
  const connect = await serve(undefined)
  const client = await connect()
  const wrong = `select ${ones(40_000)} from`
  await assert.rejects(client.query(wrong), { code: 'syntax_error', position: wrong.length - 3 })
  await client
    .transaction(async (tx) => {
      assert.deepEqual((await tx.query(long)).rows, [{ n: 40_001 }])
      await assert.rejects(tx.query(wrong), { code: 'syntax_error' })
      await assert.rejects(tx.query(long), { code: 'in_failed_sql_transaction' })
      throw new Error('undo')
    })
    .catch((error) => assert.equal(error.message, 'undo'))
  assert.deepEqual((await client.query(long)).rows, [{ n: 40_001 }])
})

test('a text that outgrows the memory to parse it is refused, and the next is parsed', {
  timeout: 120_000,
}, async () => {
  const connect = await serve(undefined)
  const client = await connect()
  const rows = (count: number) => `select count(*)::int as n from (values ${'(1),'.repeat(count)}(1)) v`
  // Its tree is larger than the grammar's memory: that worker ends.
  await assert.rejects(client.query(rows(4_000_000)), { code: 'program_limit_exceeded', message: /more terms/ })
  assert.deepEqual((await client.query(rows(20_000))).rows, [{ n: 20_001 }])
  // Texts that statements make are parsed where they run.
  await assert.rejects(client.query(`do $$ begin execute '${'x'.repeat(10)}' || repeat(' ', 2000000); end $$`), {
    code: 'program_limit_exceeded',
  })
  assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }])
})
