/** The embedded channel as a driver of steps: waits, yields, limits, errors, COPY. Statements are canned. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { nodeIo } from '../io/node/index.ts'
import { FakeDatabase } from '../wire/pg/fake-database.fixture.ts'
import { EmbeddedChannel } from './embedded-channel.ts'
import { SessionClient } from './session-client.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }
const io = nodeIo({ log: quiet })
const database = new FakeDatabase()
let ended = false
const connect = async () => new EmbeddedChannel(io, database, 'ada', 'shop', 'test')
const db = new SessionClient({ io, connect, maxSessions: 3, onClose: async () => void (ended = true) })

after(async () => {
  await db.close()
  assert.ok(ended)
  assert.equal(database.sessions.size, 0)
  await io.stop()
})

test('values, parameters, names', async () => {
  const { rows, command, rowCount } = await db.query('select $1::int4 as n, $2 as t, null as z, true as b', [7, 'x'])
  assert.deepEqual(rows, [{ n: 7, t: 'x', z: null, b: true }])
  assert.deepEqual([command, rowCount], ['SELECT', 1])
  assert.deepEqual((await db.query('select user as u')).rows, [{ u: 'ada' }])
  await assert.rejects(db.query('select $1::int4', []), { code: 'protocol_violation' })
  await assert.rejects(db.query('select $1::int4', ['x']), { code: 'invalid_text_representation' })
})

test('statements that wait, and scripts', async () => {
  assert.equal((await db.query('slow(5)')).rows.length, 5)
  const results = await db.script('select 1 as a; slow(2); nothing')
  assert.deepEqual(
    results.map((result) => [result.command, result.rows.length]),
    [
      ['SELECT', 1],
      ['SELECT', 2],
      ['NOTHING', 0],
    ],
  ) // prettier-ignore
  await assert.rejects(db.script('select 1; fail(check_violation)'), { code: 'check_violation', constraint: 'k' })
  assert.equal((await db.query('select 1 as one')).rows[0].one, 1)
})

test('cursors', async () => {
  const seen: number[] = []
  for await (const { id } of db.cursor<{ id: number }>('slow(7)', [], { batchRows: 3 })) seen.push(id)
  assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6])
  for await (const _ of db.cursor('rows(1000)', [], { batchRows: 10 })) break
  await assert.rejects(async () => {
    for await (const _ of db.cursor('fail(check_violation)')) assert.fail()
  })
})

test('COPY both ways', async () => {
  assert.equal(await db.copyIn('copyin', [Buffer.from('1\tx\n'), Buffer.from('2\ty\n')]), 2)
  assert.equal(Buffer.concat(database.lastCopy).toString(), '1\tx\n2\ty\n')
  const pieces: Uint8Array[] = []
  for await (const piece of db.copyOut('copyout 3')) pieces.push(piece)
  assert.equal(Buffer.concat(pieces).toString(), '1\tline\n2\tline\n3\tline\n')
  await assert.rejects(db.copyIn('select 1', []), { code: 'wrong_object_type' })
  await assert.rejects(db.query('copyin'), { code: 'query_canceled' })
})

test('signals, transactions, notifications', async () => {
  const controller = new AbortController()
  const endless = assert.rejects(db.query('forever', [], { signal: controller.signal }), { code: 'query_canceled' })
  await io.tasks.yield()
  controller.abort()
  await endless
  const tx = await db.begin()
  await assert.rejects(tx.query('fail(check_violation)'))
  await assert.rejects(tx.commit(), { code: 'in_failed_sql_transaction' })
  await using news = await db.listen('news')
  await db.query('notify news hello')
  for await (const message of news) {
    assert.equal(message.payload, 'hello')
    break
  }
})

test('a body that loses is repeated with pauses, others are not', async () => {
  let attempts = 0
  const result = await db.transaction(
    async (tx) => {
      if (++attempts < 4) await tx.query('fail(serialization_failure)')
      return attempts
    },
    { retries: 3 },
  )
  assert.equal(result, 4)
  attempts = 0
  const body = async (tx: { query(text: string): Promise<unknown> }) => {
    attempts++
    await tx.query('fail(unique_violation)')
  }
  await assert.rejects(db.transaction(body), { code: 'unique_violation' })
  assert.equal(attempts, 1)
})

test('more callers than sessions take turns', async () => {
  const all = await Promise.all(Array.from({ length: 40 }, (_, i) => db.query('select $1::int4 as i', [i])))
  assert.deepEqual(
    all.map(({ rows }) => rows[0].i),
    Array.from({ length: 40 }, (_, i) => i),
  ) // prettier-ignore
  assert.ok(database.sessions.size <= 3)
})
