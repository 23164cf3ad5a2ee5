/**
 * Plans that are used again, while what they were made from stays the same: time, sequences and names of objects are looked
 * at when a statement runs, whatever happened between two runs of it.
 *
 * Not here: plans that other nodes' DDL ends (src/testing).
 */
import { strict as assert } from 'node:assert'
import { after, before, test } from 'node:test'
import { open } from '../../src/client/index.ts'

let db: Awaited<ReturnType<typeof open>>
before(async () => {
  db = await open(':memory:')
})
after(() => db.close())

const first = async (sql: string, values: unknown[] = []): Promise<unknown> =>
  Object.values((await db.query<Record<string, unknown>>(sql, values)).rows[0])[0]

test('time goes on between two runs', async () => {
  for (const sql of ['select now()::text', 'select current_timestamp::text', "select 'now'::timestamptz::text"]) {
    const [one, two] = [await first(sql), await first(sql)]
    assert.notEqual(one, two, sql)
  }
  await using tx = await db.begin()
  const text = async () => (await tx.query<{ t: string }>('select now()::text as t')).rows[0].t
  assert.equal(await text(), await text())
  await tx.rollback()
})

test('a sequence that took the place of another is the one that is asked', async () => {
  const insert = 'insert into numbered values (default, $1) returning id'
  const next = "select nextval('numbers')::int"
  const make = async (start: number) => {
    await db.query(`create sequence numbers start ${start}`)
    await db.query("create table numbered (id int default nextval('numbers'), a text)")
  }
  await make(1)
  assert.deepEqual([await first(insert, ['a']), await first(insert, ['b']), await first(next)], [1, 2, 3])
  await db.query('drop table numbered')
  await db.query('drop sequence numbers')
  await assert.rejects(first(next), /relation "numbers" does not exist/)
  await make(100)
  assert.deepEqual([await first(insert, ['a']), await first(insert, ['b']), await first(next)], [100, 101, 102])
  await db.query('alter sequence numbers increment 10')
  assert.deepEqual([await first(insert, ['c']), await first(next)], [112, 122])
})

test('a name that means another object is looked up again', async () => {
  const oid = "select 'renamed'::regclass::oid::int"
  await db.query('create table renamed ()')
  const before = await first(oid)
  assert.equal(await first(oid), before)
  await db.query('alter table renamed rename to former')
  await db.query('create table renamed ()')
  assert.notEqual(await first(oid), before)
})

test('what was planned in a transaction that was rolled back is not used after it', async () => {
  await db.query('create table shown (a int)')
  const columns = "select count(*)::int from pg_attribute where attrelid = 'shown'::regclass and attnum > 0"
  assert.equal(await first(columns), 1)
  await using tx = await db.begin()
  await tx.query('drop table shown')
  await tx.query('create table shown (a int, b int)')
  assert.equal((await tx.query<{ count: number }>(columns)).rows[0].count, 2)
  await tx.rollback()
  assert.equal(await first(columns), 1)
})

test('functions of users are planned for each run', async () => {
  await db.query('create table counted (a int)')
  await db.query("create function how_many() returns bigint stable language sql as 'select count(*) from counted'")
  assert.equal(Number(await first('select how_many()')), 0)
  await db.query('insert into counted values (1)')
  assert.equal(Number(await first('select how_many()')), 1)
  await db.query('drop table counted')
  await db.query('create table counted (a int, b text)')
  assert.equal(Number(await first('select how_many()')), 0)
})
