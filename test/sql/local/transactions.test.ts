/** What a transaction writes to local tables: seen by itself, undone with it, and atomic with what it writes elsewhere. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { LocalTables } from '../../../src/sql/local/local-tables.ts'
import { Outbox } from '../../../src/sql/local/outbox.ts'
import { SimWorld } from '../../../src/testing/index.ts'
import { openHere, openOn, type TestDatabase } from './open.ts'

let db: TestDatabase

before(async () => {
  db = await openHere()
  await db.client.script(`
    create table log (n int) with (replication = local);
    create table other (n int) with (replication = local);
    create table tally (id text primary key, n int) with (replication = local, "merge.n" = 'counter');
    create table account (id int primary key)`)
})
after(() => db.close())

const numbers = async (table = 'log') => (await db.rows(`select n from ${table} order by n`)).map((r) => r.n)

test('a transaction sees its own rows, others see them after the commit', async () => {
  await db.client.transaction(async (tx) => {
    await tx.sql`insert into log (n) values (1), (2)`
    assert.equal((await tx.sql`select n from log`).length, 2)
    assert.deepEqual(await numbers(), [])
    await tx.sql`insert into log (n) select n + 10 from log`
    const rows = await tx.sql<{ key: string; n: number }>`select key, n from log order by n`
    assert.deepEqual(
      rows.map((r) => r.n),
      [1, 2, 11, 12],
    )
    assert.equal((await tx.sql`select n from log where key = ${rows[3].key}`).length, 1)
  })
  assert.deepEqual(await numbers(), [1, 2, 11, 12])
})

test('rollback appends nothing, to a savepoint less', async () => {
  const before = await numbers()
  await assert.rejects(
    db.client.transaction(async (tx) => {
      await tx.sql`insert into log (n) values (100)`
      throw new Error('no')
    }),
  )
  assert.deepEqual(await numbers(), before)
  await db.client.script(`begin; insert into log (n) values (200); savepoint s; insert into log (n) values (201);
    update tally set n = 5; insert into tally values ('x', 1); rollback to s; insert into log (n) values (202); commit`)
  assert.deepEqual(await numbers(), [...before, 200, 202])
  assert.deepEqual(await db.rows('select * from tally'), [])
})

test('a statement that fails in an implicit transaction leaves nothing', async () => {
  const before = await numbers()
  assert.equal((await db.refusal('insert into log (n) select 1 / (3 - n) from generate_series(1, 5) n')).state, '22012')
  assert.deepEqual(await numbers(), before)
})

test('REPEATABLE READ sees what was there when it began to read', async () => {
  await db.client.script(`insert into tally values ('r', 1)`)
  await db.client.transaction(
    async (tx) => {
      const count = async () => (await tx.sql<{ c: number }>`select count(*)::int as c from log`)[0].c
      const tally = async () => (await tx.sql<{ n: number }>`select n from tally where id = 'r'`)[0]?.n
      const all = async () => (await tx.sql<{ n: number }>`select sum(n)::int as n from tally`)[0].n
      const seen = [await count(), await tally(), await all()]
      await db.client.script(
        `insert into log (n) values (300); update tally set n = n + 1; insert into tally values ('s', 7)`,
      )
      assert.deepEqual([await count(), await tally(), await all()], seen)
      await tx.sql`insert into log (n) values (301)`
      assert.equal(await count(), (seen[0] as number) + 1)
    },
    { isolation: 'repeatable read' },
  )
  assert.deepEqual((await numbers()).slice(-2), [300, 301])
  assert.deepEqual(await db.rows('select n from tally order by id'), [{ n: 2 }, { n: 7 }])
})

test('SERIALIZABLE cannot read them, but write', async () => {
  const serializable = (text: string) =>
    db.client.transaction((tx) => tx.query(text), { isolation: 'serializable', retries: 0 })
  await assert.rejects(serializable('select * from log'), { code: 'feature_not_supported' })
  await serializable('insert into log (n) values (400)')
  assert.equal((await numbers()).at(-1), 400)
})

test('with another table, and with several: all or none', async () => {
  await db.client.script(`begin; insert into account values (1); insert into log (n) values (500); insert into other (n) values (500);
    insert into tally values ('t', 1); commit`)
  assert.equal((await numbers()).at(-1), 500)
  assert.deepEqual(await numbers('other'), [500])
  await assert.rejects(
    db.client.script(`begin; insert into log (n) values (501); insert into account values (1); commit`),
    { code: 'unique_violation' },
  )
  assert.equal((await numbers()).at(-1), 500)
  assert.deepEqual(await db.rows(`select n from tally where id = 't'`), [{ n: 1 }])
})

/** What thirty additions at once count to. */
async function additions(): Promise<unknown> {
  const one = await openHere()
  try {
    await one.client.script(`create table account (id int primary key);
      create table tally (id text primary key, n int) with (replication = local, "merge.n" = 'counter');
      insert into tally values ('c', 0)`)
    const add = async (i: number) => {
      const text = `update tally set n = n + 1 where id = 'c'`
      await one.client.script(i % 3 === 0 ? `begin; insert into account values (${i}); ${text}; commit` : text)
    }
    await Promise.all(Array.from({ length: 30 }, (_, i) => add(i)))
    return (await one.rows('select n from tally'))[0].n
  } finally {
    await one.close()
  }
}

test('many rows and large ones', async () => {
  await db.client.script('create table much (n int, t text) with (replication = local)')
  await db.rows(`insert into much (n, t) select n, repeat('x', 100) from generate_series(1, 25000) n`)
  assert.deepEqual(await db.rows('select count(*)::int as c, sum(n)::int as s from much'), [{ c: 25000, s: 312512500 }])
  assert.equal((await db.refusal(`insert into much (t) values (repeat('é', 600000))`)).state, 'LE003')
  await db.rows(`insert into much (n, t) select -1, repeat('x', 900000) from generate_series(1, 5)`)
  assert.deepEqual(await db.rows('select count(*)::int as c from much where n = -1'), [{ c: 5 }])
})

test('concurrent commits count every addition', async () => {
  assert.equal(await additions(), 30)
})

test('when committed rows cannot be appended, nothing counts on without them', async () => {
  const one = await openHere()
  try {
    await one.client.script(`create table account (id int primary key);
      create table tally (id text primary key, n int) with (replication = local, "merge.n" = 'counter'); insert into tally values ('c', 0)`)
    const { store } = await one.store('tally')
    const { append } = store
    store.append = () => Promise.reject(new Error('planted'))
    await one.client.script(`begin; insert into account values (1); update tally set n = n + 1; commit`)
    store.append = append
    assert.deepEqual(await one.rows('select id from account'), [{ id: 1 }])
    assert.equal((await one.refusal('update tally set n = n + 1')).state, '55000')
  } finally {
    await one.close()
  }
})

test('commits that do not follow each other are found', async () => {
  const { takeTurn } = LocalTables.prototype
  LocalTables.prototype.takeTurn = async () => () => {}
  try {
    assert.notEqual(await additions(), 30)
  } finally {
    LocalTables.prototype.takeTurn = takeTurn
  }
})

/** One life of a node on a simulated disk: transfers until the power is cut. */
async function life(world: SimWorld, disk: ReturnType<SimWorld['disk']>, n: number, acknowledged: Set<number>) {
  const io = world.node(disk)
  const problems: string[] = []
  let cut = false
  const work = async () => {
    const node = await openOn(io, '/data')
    if (n === 0) {
      await node.client.script(`create table moved (id int primary key);
        create table entry (id int, side int) with (replication = local);
        create table sum (id text primary key, n int) with (replication = local, "merge.n" = 'counter');
        insert into sum values ('all', 0)`)
    }
    const ids = new Set((await node.rows('select id from moved')).map((r) => Number(r.id)))
    const sides = await node.rows(
      'select id, count(*)::int as c, count(distinct side)::int as d from entry group by id',
    )
    for (const id of acknowledged) if (!ids.has(id)) problems.push(`${id} was acknowledged and is gone`)
    for (const { id, c, d } of sides) {
      if (c !== 2 || d !== 2) problems.push(`${id} has ${c} events of ${d} sides`)
      if (!ids.delete(Number(id))) problems.push(`events of ${id}, which is not there`)
    }
    for (const id of ids) problems.push(`${id} has no events`)
    const [{ n: counted }] = await node.rows(`select n from sum where id = 'all'`)
    if (counted !== sides.length) problems.push(`${sides.length} transactions, ${counted} counted`)
    const worker = async (w: number) => {
      for (let i = 0; i < 30; i++) {
        const id = n * 1000 + w * 100 + i
        await node.client.script(`begin; insert into moved values (${id});
          insert into entry (id, side) values (${id}, 1), (${id}, 2); update sum set n = n + 1 where id = 'all'; commit`)
        acknowledged.add(id)
      }
    }
    await Promise.all([worker(0), worker(1), worker(2)])
  }
  world.schedule(5_000 + world.random.fork(`cut ${n}`).below(150_000), () => {
    cut = n > 0 || acknowledged.size > 0
  })
  await world.run(work, () => cut)
  io.crash()
  return problems
}

async function lives(seed: number | string): Promise<string[]> {
  const world = new SimWorld(seed)
  const disk = world.disk()
  const acknowledged = new Set<number>()
  const problems: string[] = []
  for (let n = 0; n < 6 && problems.length === 0; n++) {
    problems.push(...(await life(world, disk, n, acknowledged)).map((p) => `life ${n}: ${p}`))
  }
  assert.ok(acknowledged.size > 0)
  return problems
}

test('atomic through crashes: whatever was committed has its events, once', async () => {
  for (const seed of process.env.SEED === undefined ? [1, 2, 3, 4] : [process.env.SEED]) {
    assert.deepEqual(await lives(seed), [], `replay: SEED=${seed} node --test test/sql/local/transactions.test.ts`)
  }
})

test('an outbox that is forgotten at the start is found', async () => {
  const { drain } = Outbox.prototype
  Outbox.prototype.drain = async () => {}
  try {
    let found = 0
    for (let seed = 1; seed <= 4 && found === 0; seed++) found = (await lives(seed)).length
    assert.ok(found > 0)
  } finally {
    Outbox.prototype.drain = drain
  }
})
