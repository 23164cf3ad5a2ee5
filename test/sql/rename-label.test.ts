/** ALTER TYPE … RENAME VALUE: rows hold labels, so none may slip in with the old one. */
import assert from 'node:assert/strict'
import { after, beforeEach, test } from 'node:test'
import { DbError } from '../../src/base/index.ts'
import { open } from '../../src/client/index.ts'
import { simCluster } from '../../src/testing/index.ts'

const db = await open(':memory:')
after(() => db.close())

const schema = `create type mood as enum ('bad', 'good');
  create table people (id int primary key, m mood default 'bad' check (m <> 'good' or id > 0))`
const rename = "alter type mood rename value 'bad' to 'sad'"
const code = (wanted: string) => (error: unknown) => error instanceof DbError && error.code === wanted

beforeEach(() => db.script(`drop table if exists people cascade; drop type if exists mood cascade; ${schema}`))

test('a row that another session is writing keeps the label', async () => {
  await using tx = await db.begin()
  await tx.query("insert into people values (1, 'bad')")
  const renamed = assert.rejects(db.query(rename), code('feature_not_supported'))
  await tx.commit()
  await renamed
  assert.deepEqual((await db.query('select * from people')).rows, [{ id: 1, m: 'bad' }])
})

test('rows hold it in arrays, domains and rows, too', async () => {
  for (const [type, value] of [
    ['mood[]', "'{good,bad}'"],
    ['gloom', "'bad'"],
    ['gloom[]', "'{bad}'"],
    ['pair', "'(1,bad)'"],
  ]) {
    await db.script(`create domain gloom as mood; create type pair as (n int, m gloom);
      create table held (x ${type}); insert into held values (${value})`)
    await assert.rejects(db.query(rename), code('feature_not_supported'), type)
    await db.script(`update held set x = null; ${rename}; alter type mood rename value 'sad' to 'bad';
      drop table held; drop type pair; drop domain gloom`)
  }
})

test('defaults, checks and views go on with the new label', async () => {
  await db.script(`create view glad as select id, m = 'bad' as is_bad from people where m <> 'good'; ${rename}`)
  await db.query('insert into people values (2)')
  assert.deepEqual((await db.query('select m from people')).rows, [{ m: 'sad' }])
  assert.deepEqual((await db.query('select * from glad')).rows, [{ id: 2, is_bad: true }])
})

test('a node that has not heard of the new label writes no row with the old one', async () => {
  await using cluster = await simCluster({ nodes: 3, seed: 31, callTimeout: '90s' })
  await cluster.connect(1).script(schema)
  const leader = await cluster.leaderOf('people')
  const [here, there] = [1, 2, 3].filter((n) => n !== leader)
  cluster.partition([here], [there])
  await using tx = await cluster.connect(there).begin()
  await tx.query("insert into people values (1, 'bad')")
  await cluster.connect(here).query(rename)
  await assert.rejects(tx.commit(), code('serialization_failure'))
  cluster.heal()
  await cluster.connect(here).query("insert into people values (2, 'sad')")
  await cluster.advance('5s')
  await assert.rejects(cluster.connect(there).query("insert into people values (1, 'bad')"))
  for (const node of [1, 2, 3])
    assert.deepEqual((await cluster.connect(node).query('select * from people')).rows, [{ id: 2, m: 'sad' }])
})
