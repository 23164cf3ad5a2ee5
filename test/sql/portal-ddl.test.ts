/**
 * What was bound, planned or begun before the definition of a table changed, and is run after: it runs by the definition that
 * holds then, whoever changed it.
 *
 * Not here: nodes that have not heard of the change (src/testing/table-locks.test.ts).
 */
import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { DbError, END, WAIT } from '../../src/base/index.ts'
import { nodeIo } from '../../src/io/node/index.ts'
import { openDatabase } from '../../src/node/index.ts'
import type { Portal, SqlSession } from '../../src/sql/index.ts'

let opened: Awaited<ReturnType<typeof openDatabase>>
let ours: SqlSession
let theirs: SqlSession
before(async () => {
  opened = await openDatabase({ io: nodeIo({ logLevel: 'warn' }), directory: undefined })
})
after(() => opened.close())
beforeEach(async () => {
  ours = connect()
  theirs = connect()
  await run(
    theirs,
    `drop table if exists items, others; create table items (id int primary key, v int); create index items_v on items (v);
     insert into items select i, i * 10 from generate_series(1, 5) i; set enable_seqscan = off`,
  )
})

function connect(): SqlSession {
  const session = opened.database.connect({ user: 'lattice', database: 'lattice', parameters: new Map(), client: '' })
  session.events = { notice: () => {}, parameter: () => {}, notification: () => {}, terminate: () => {} }
  return session
}

/** Rows as a driver reads them: where the fields said before the portal ran. */
async function rowsOf(portal: Portal): Promise<unknown[][]> {
  const slots = (portal.fields ?? []).map((f) => f.slot)
  const rows: unknown[][] = []
  const row = (registers: readonly unknown[]) => rows.push(slots.map((s) => registers[s])) > 0
  for (;;) {
    const step = portal.run({ row, copyOut: () => true }, 0)
    if (step === END) return rows
    if (step === WAIT) await portal.ready()
  }
}

async function run(session: SqlSession, sql: string): Promise<unknown[][]> {
  let rows: unknown[][] = []
  const script = session.script(sql)
  for (let portal = script.next(); portal !== undefined; portal = script.next()) rows = await rowsOf(portal)
  await synced(session)
  return rows
}

async function synced(session: SqlSession): Promise<void> {
  while (session.sync() !== END) await session.ready()
}

/** Bound and described, then the table changes, then it is executed. */
async function boundBefore(sql: string, ddl: string): Promise<unknown[][]> {
  const prepared = ours.prepare(sql, [])
  const portal = ours.bind(prepared, [])
  assert.ok(portal.fields)
  await run(theirs, ddl)
  try {
    return await rowsOf(portal)
  } catch (error) {
    ours.fail()
    throw error
  } finally {
    await synced(ours)
  }
}

test('a bound insert makes entries in an index that came after', async () => {
  const sql = 'insert into items values (6, 60) returning v, id'
  assert.deepEqual(await boundBefore(sql, 'create index fresh on items (v); drop index items_v'), [[60, 6]])
  assert.deepEqual(await run(theirs, 'select id from items where v = 60'), [[6]])
})

test('a bound update and a bound insert go where the rows are now', async () => {
  const rewrite = 'alter table items alter v type bigint; alter table items alter v type int'
  assert.deepEqual(await boundBefore('update items set v = 11 where id = 1 returning id', rewrite), [[1]])
  assert.deepEqual(await boundBefore('insert into items values (7, 70) returning id', rewrite), [[7]])
  assert.deepEqual(await run(theirs, 'select id from items where v in (11, 70)'), [[1], [7]])
})

test('a bound select reads the rows that are there, and columns where they were said to be', async () => {
  const rewrite = `alter table items add w text default 'w' || (random() < 2)::text;
    update items set v = 31 where id = 3`
  assert.deepEqual(await boundBefore('select v, id from items where id = 3', rewrite), [[31, 3]])
  const another = 'drop table items; create table items (w int, v int, id int); insert into items values (1, 2, 3)'
  assert.deepEqual(await boundBefore('select v, id from items where id = 3', another), [[2, 3]])
})

test('columns that are not what the client was told', async () => {
  const change = 'alter table items alter v type text'
  const refused = (error: unknown) => error instanceof DbError && error.sqlstate === '0A000'
  await assert.rejects(boundBefore('select v from items where id = 3', change), refused)
})

test('a statement that shares its plan with other literals and waited for the table runs with its own', async () => {
  await run(ours, 'select v from items where id = 1')
  await run(ours, 'update items set v = 12 where id = 1')
  for (const [sql, expected] of [
    ['select v from items where id = 2', [[20]]],
    ['update items set v = 33 where id = 3', []],
  ] as const) {
    await run(theirs, 'begin; drop index items_v; create index items_v on items (v)')
    const waiting = run(ours, sql)
    await run(theirs, 'commit')
    assert.deepEqual(await waiting, expected)
  }
  assert.deepEqual(await run(ours, 'select v from items where id = 4'), [[40]])
  assert.deepEqual(await run(theirs, 'select * from items where v > 0 order by id'), [
    [1, 12],
    [2, 20],
    [3, 33],
    [4, 40],
    [5, 50],
  ])
})

test('a transaction that has changed another table writes by what others have committed meanwhile', async () => {
  await run(ours, 'begin; create table others (id int)')
  await run(theirs, 'create index fresh on items (v); drop index items_v')
  await run(ours, 'insert into items values (6, 60)')
  await run(theirs, 'create table another (id int)')
  await run(ours, 'insert into others values (1); savepoint s; alter table others add v int; rollback to s')
  assert.deepEqual(await run(ours, 'select * from others'), [[1]])
  await run(ours, 'drop table another')
  await run(ours, 'commit')
  assert.deepEqual(await run(theirs, 'select id from items where v = 60'), [[6]])
  assert.deepEqual(await run(theirs, 'select * from others'), [[1]])
})
