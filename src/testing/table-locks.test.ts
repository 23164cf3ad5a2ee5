/**
 * A node that cannot be reached is not locked out of a table: what a statement builds of the table's rows, and what it
 * says of all of them, does not hold when that node has added one meanwhile. Then the statement's transaction fails.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DbError } from '../base/index.ts'
import { type SimCluster, simCluster } from './index.ts'

/** Statements over `items`, and a row that must not slip in between. */
const cases: readonly { readonly ddl: string; readonly row: string; readonly refused?: string }[] = [
  { ddl: 'create index items_v on items (v)', row: '(301, 7)' },
  { ddl: 'create unique index items_v on items (v)', row: '(301, 10)', refused: 'unique_violation' },
  { ddl: 'alter table items add unique (v)', row: '(301, 10)', refused: 'unique_violation' },
  { ddl: 'alter table items add primary key (id)', row: '(300, 7)', refused: 'unique_violation' },
  { ddl: 'alter table items add primary key (id)', row: '(null, 7)', refused: 'not_null_violation' },
  { ddl: 'alter table items add check (v <> 7)', row: '(301, 7)', refused: 'check_violation' },
  {
    ddl: 'alter table items add foreign key (id) references parents',
    row: '(301, 7)',
    refused: 'foreign_key_violation',
  },
  { ddl: 'alter table items alter v set not null', row: '(301, null)', refused: 'not_null_violation' },
  { ddl: 'alter table items alter v type text using v::text', row: '(301, 7)' },
  { ddl: 'alter table items add w int default random() * 9', row: '(301, 7)' },
]

interface Items {
  readonly cluster: SimCluster
  readonly here: number
  readonly there: number
  /** Reached by both when they do not reach each other. */
  readonly leader: number
}

/** `items (id, v)` with ids from 1 and ten times as much beside them. */
async function withItems(seed: number, rows = 300): Promise<Items> {
  const cluster = await simCluster({ nodes: 3, seed, callTimeout: '90s' })
  await cluster.connect(1).script(`create table parents (id int primary key);
    insert into parents select generate_series(1, 300);
    create table items (id int, v int);
    insert into items select i, i * 10 from generate_series(1, ${rows}) i`)
  const leader = await cluster.leaderOf('items')
  const [here, there] = [1, 2, 3].filter((n) => n !== leader)
  return { cluster, here, there, leader }
}

function raises(code: string): (error: unknown) => boolean {
  return (error) => error instanceof DbError && error.code === code
}

async function count(cluster: SimCluster, node: number, from: string): Promise<number> {
  const { rows } = await cluster.connect(node).query<{ n: number }>(`select count(*)::int as n from ${from}`)
  return rows[0].n
}

/** How many rows the index on v says there are with a value. */
async function countByIndex(cluster: SimCluster, node: number, v: number): Promise<number> {
  const db = cluster.connect(node)
  const text = `select count(*)::int as n from items where v = ${v}`
  assert.match(JSON.stringify((await db.query(`explain ${text}`)).rows), /items_v/)
  return (await db.query<{ n: number }>(text)).rows[0].n
}

for (const [number, { ddl, row, refused }] of cases.entries()) {
  test(`${ddl}, and ${row} by a node that is not locked`, async () => {
    const { cluster, here, there } = await withItems(number)
    await using _cluster = cluster
    cluster.partition([here], [there])
    await using tx = await cluster.connect(here).begin()
    await tx.query(ddl)
    await cluster.connect(there).query(`insert into items values ${row}`)
    await assert.rejects(tx.commit(), raises('serialization_failure'))

    cluster.heal()
    await cluster.until(async () => (await count(cluster, here, 'items')) === 301)
    const again = cluster.connect(here).query(ddl)
    if (refused !== undefined) return await assert.rejects(again, raises(refused))
    await again
    // A node that was not told of it finds out.
    await cluster.advance('5s')
    for (const node of [1, 2, 3]) {
      assert.equal(await count(cluster, node, 'items where v::int = 7'), 1)
      if (ddl.startsWith('create index')) assert.equal(await countByIndex(cluster, node, 7), 1)
    }
  })
}

test('a table that was empty', async () => {
  const { cluster, here, there } = await withItems(20, 0)
  await using _cluster = cluster
  cluster.partition([here], [there])
  await using tx = await cluster.connect(here).begin()
  await tx.query('create index items_v on items (v)')
  await cluster.connect(there).query('insert into items values (301, 7)')
  await assert.rejects(tx.commit(), raises('serialization_failure'))
})

test('nothing changes: the statement and its own rows are committed, in several partitions too', async () => {
  const { cluster, here, there, leader } = await withItems(21)
  await using _cluster = cluster
  await cluster.connect(here).query('alter table items add primary key (id)')
  await cluster.splitAt('items', 150)
  await cluster.transferLeader('items', leader)
  cluster.partition([here], [there])
  await using tx = await cluster.connect(here).begin()
  await tx.query('insert into items values (301, 3010)')
  await tx.query('create index items_v on items (v)')
  await tx.query('insert into items values (302, 3020)')
  await tx.query('alter table items alter v set not null')
  await tx.commit()
  cluster.heal()
  await cluster.advance('5s')
  for (const v of [10, 1500, 3000, 3010, 3020]) assert.equal(await countByIndex(cluster, there, v), 1)
})

test('a row in another partition than the table begins in', async () => {
  const { cluster, here, there, leader } = await withItems(22)
  await using _cluster = cluster
  await cluster.connect(here).query('alter table items add primary key (id)')
  await cluster.splitAt('items', 150)
  await cluster.transferLeader('items', leader)
  cluster.partition([here], [there])
  await using tx = await cluster.connect(here).begin()
  await tx.query('create index items_v on items (v)')
  await cluster.connect(there).query('update items set v = 7 where id = 299')
  await assert.rejects(tx.commit(), raises('serialization_failure'))
})

test('a definition that is changed by a node that knows an older one: what others have added to it is not lost', async () => {
  const { cluster, here, there } = await withItems(23)
  await using _cluster = cluster
  cluster.partition([here], [there])
  await cluster.connect(there).query('alter table items add unique (v)')
  const add = () => cluster.connect(here).query('alter table items add column w int')
  await assert.rejects(add(), raises('serialization_failure'))
  cluster.heal()
  await cluster.advance('5s')
  await add()
  const twice = cluster.connect(here).query('insert into items values (301, 10)')
  await assert.rejects(twice, raises('unique_violation'))
})

test('a transaction that has written by an older definition does not commit by the newer one', async () => {
  const { cluster, here, there } = await withItems(24)
  await using _cluster = cluster
  cluster.partition([here], [there])
  await using tx = await cluster.connect(there).begin()
  await tx.query('insert into items values (301, 7)')
  await cluster.connect(here).query('create index items_v on items (v)')
  cluster.heal()
  await cluster.advance('5s')
  await tx.query('insert into items values (302, 8)')
  await assert.rejects(tx.commit(), raises('serialization_failure'))
})

test('a foreign key that a node does not know of yet: it deletes no parent', async () => {
  const { cluster, here, there } = await withItems(25)
  await using _cluster = cluster
  cluster.partition([here], [there])
  await cluster.connect(here).query('alter table items add foreign key (id) references parents')
  const remove = () => cluster.connect(there).query('delete from parents where id = 300')
  await assert.rejects(remove(), raises('serialization_failure'))
  cluster.heal()
  await cluster.advance('5s')
  await assert.rejects(remove(), raises('foreign_key_violation'))
})

test('a foreign key waits for who is deleting parents', async () => {
  const { cluster, here, there } = await withItems(26)
  await using _cluster = cluster
  await using tx = await cluster.connect(there).begin()
  await tx.query('delete from parents where id = 1')
  const added = cluster.connect(here).query('alter table items add foreign key (id) references parents')
  const refused = assert.rejects(added, raises('foreign_key_violation'))
  await cluster.advance('1s')
  await tx.query('delete from parents where id = 2')
  await tx.commit()
  await refused
})

for (const nodes of [1, 3]) {
  test(`cascades keep an index that was made after they were planned, and while they are open: ${nodes} nodes`, async () => {
    await using cluster = await simCluster({ nodes, seed: 27, callTimeout: '90s' })
    const db = cluster.connect(nodes)
    await db.script(`create table parents (id int primary key);
      insert into parents select generate_series(1, 300);
      create table items (id int references parents on update cascade on delete set null, v int);
      insert into items select i, i * 10 from generate_series(1, 300) i`)
    const move = (from: number, to: number) => db.query('update parents set id = $2 where id = $1', [from, to])
    await move(1, 1001)
    await db.query('create index items_id on items (id)')
    await move(2, 1002)
    const byIndex = async (id: number) => {
      const text = `select count(*)::int as n from items where id = ${id}`
      assert.match(JSON.stringify((await db.query(`explain ${text}`)).rows), /items_id/)
      return (await db.query<{ n: number }>(text)).rows[0].n
    }
    for (const id of [1001, 1002, 3]) assert.equal(await byIndex(id), 1)
    for (const id of [1, 2]) assert.equal(await byIndex(id), 0)

    await using tx = await db.begin()
    await tx.query('update parents set id = 1004 where id = 4')
    const made = cluster.connect(1).script('drop index items_id; create index items_id on items (id)')
    await cluster.advance('1s')
    await tx.commit()
    await made
    assert.equal(await byIndex(4), 0)
    assert.equal(await byIndex(1004), 1)
  })
}

test('what a function writes relies on the definition that it was planned with', async () => {
  const { cluster, here, there } = await withItems(28)
  await using _cluster = cluster
  await cluster.connect(here).query(`create function add(a int, b int) returns int language plpgsql as $$
    begin insert into items values (a, b); return a; end $$`)
  assert.deepEqual((await cluster.connect(there).query('select add(301, 1)')).rows, [{ add: 301 }])
  cluster.partition([here], [there])
  await cluster.connect(here).query('create index items_v on items (v)')
  const added = cluster.connect(there).query('select add(302, 2)')
  await assert.rejects(added, raises('serialization_failure'))
  const explained = cluster.connect(there).query('explain analyze insert into items values (302, 2)')
  await assert.rejects(explained, raises('serialization_failure'))
})

test('a function that waits for an index of the table writes to it', async () => {
  await using cluster = await simCluster({ nodes: 1, seed: 29, callTimeout: '90s' })
  const db = cluster.connect(1)
  await db.script(`create table items (id int, v int);
    insert into items select i, i * 10 from generate_series(1, 300) i;
    create function add(a int, b int) returns int language plpgsql as $$
      begin insert into items values (a, b); return a; end $$`)
  await using tx = await db.begin()
  await tx.query('create index items_v on items (v)')
  const added = cluster.connect(1).query('select add(301, 7)')
  const explained = cluster.connect(1).query('explain analyze insert into items values (302, 8)')
  await cluster.advance('1s')
  await tx.commit()
  await added
  await explained
  for (const v of [7, 8]) assert.equal(await countByIndex(cluster, 1, v), 1)
})

test('a foreign key is looked up in a table that has moved: not where its rows were before', async () => {
  const { cluster, here, there } = await withItems(30)
  await using _cluster = cluster
  await cluster.connect(here).query('alter table items add foreign key (id) references parents')
  await cluster.connect(there).query('insert into items values (300, 1)')
  cluster.partition([here], [there])
  await cluster.connect(here).script(`delete from items where id = 300;
    alter table parents add w int default random() * 9;
    delete from parents where id = 300`)
  const insert = () => cluster.connect(there).query('insert into items values (300, 1)')
  await assert.rejects(insert(), raises('serialization_failure'))
  cluster.heal()
  await cluster.advance('5s')
  await assert.rejects(insert(), raises('foreign_key_violation'))
})
