/**
 * enable_… steers the planner as it does in PostgreSQL: a way that is off is taken only when there is no other, the answer
 * stays the same, and statements that were prepared before are planned again.
 *
 * Not here: which way is chosen with all of them on.
 */
import { strict as assert } from 'node:assert'
import { after, before, test } from 'node:test'
import { open } from '../../src/client/index.ts'

let db: Awaited<ReturnType<typeof open>>
before(async () => {
  db = await open(':memory:')
  await db.query('create table a (id int primary key, n int, t text)')
  await db.query('create table b (id int primary key, a int, v int)')
  await db.query("insert into a select i, i % 7, 'x' || i % 3 from generate_series(1, 500) i")
  await db.query('insert into b select i, i % 500 + 1, i % 11 from generate_series(1, 1000) i')
  await db.query('create index on a (n)')
  await db.query('create table c (n int, t text)')
  await db.query("insert into c values (0, 'x0'), (0, null), (null, 'x1'), (null, null), (2, 'x2'), (2, 'x2')")
  await db.query('analyze a, b, c')
})
after(() => db.close())

/** The plan's nodes from the top, and its rows in text order, with the ways off. */
async function run(sql: string, off: readonly string[]): Promise<{ nodes: string[]; rows: string[] }> {
  await using tx = await db.begin()
  for (const way of off) await tx.query(`set local enable_${way} = off`)
  const plan = await tx.query<{ 'QUERY PLAN': string }>(`explain (costs off) ${sql}`)
  const nodes = plan.rows
    .map((r) => r['QUERY PLAN'])
    .filter((l) => !/^\s*[A-Z][\w ]*: /.test(l))
    .map((l) => l.replace(/^[ \->]+/, '').trim())
  const rows = (await tx.query(sql)).rows.map((r) => JSON.stringify(r))
  await tx.rollback()
  return { nodes, rows: rows.sort() }
}

const join = 'select a.id, b.v from a join b on b.v + 0 = a.id % 50'
const cases: readonly { sql: string; off: readonly string[]; has: RegExp; not: RegExp }[] = [
  { sql: 'select * from a where id = 5', off: [], has: /^Index/, not: /^Seq/ },
  { sql: 'select * from a where id = 5', off: ['indexscan'], has: /^Seq/, not: /^Index/ },
  { sql: 'select * from a where id = 5', off: ['indexscan', 'seqscan'], has: /^Index/, not: /^Seq/ },
  { sql: 'select * from a where id > 5', off: ['seqscan'], has: /^Index/, not: /^Seq/ },
  { sql: 'select t from a where t > $$x$$', off: ['seqscan'], has: /^Seq/, not: /^Index/ },
  { sql: 'select min(n) from a', off: [], has: /^Index/, not: /^Seq/ },
  { sql: 'select min(n) from a', off: ['indexscan'], has: /^Seq/, not: /^Index/ },
  { sql: 'select * from a order by n limit 400', off: ['sort'], has: /^Index/, not: /^Sort/ },
  { sql: 'select * from a order by t', off: ['sort'], has: /^Sort/, not: /^Index/ },
  { sql: 'select * from a order by n limit 1', off: ['indexscan'], has: /^Sort/, not: /^Index/ },
  { sql: join, off: [], has: /^Hash Join/, not: /^(Merge Join|Nested Loop)/ },
  { sql: join, off: ['hashjoin'], has: /^Merge Join/, not: /^(Hash Join|Nested Loop)/ },
  { sql: join, off: ['hashjoin', 'mergejoin'], has: /^Nested Loop/, not: /^(Hash Join|Merge Join)/ },
  { sql: join, off: ['hashjoin', 'sort'], has: /^Nested Loop/, not: /^(Hash Join|Merge Join)/ },
  { sql: join, off: ['hashjoin', 'mergejoin', 'nestloop'], has: /^Hash Join/, not: /^(Merge Join|Nested Loop)/ },
  { sql: 'select * from a join b on b.id = a.n where a.id = 5', off: [], has: /^Nested Loop/, not: /^Hash/ },
  { sql: 'select * from a join b on b.id = a.n where a.id = 5', off: ['nestloop'], has: /^Hash Join/, not: /^Nested/ },
  { sql: 'select * from a left join b on b.a = a.n', off: ['hashjoin'], has: /^Merge/, not: /^(Hash|Nested)/ },
  {
    sql: 'select a.id, c.n from a join c on c.t = a.t',
    off: ['hashjoin', 'nestloop'],
    has: /^Merge/,
    not: /^(Hash|Nested)/,
  },
  {
    sql: 'select a.id, b.n from c a2 left join c b on b.n = a2.n and b.t = a2.t left join a on a.n = b.n',
    off: ['hashjoin', 'nestloop'],
    has: /^Merge/,
    not: /^(Hash|Nested)/,
  },
  { sql: 'select * from a, b where a.n < b.v and a.id < 9', off: ['nestloop'], has: /^Nested Loop/, not: /^Hash/ },
  { sql: 'select * from a where n in (select v from b)', off: ['nestloop'], has: /^Hash/, not: /^Nested/ },
  { sql: 'select * from a where n in (select v from b)', off: ['hashjoin'], has: /^Nested/, not: /^Hash/ },
  { sql: 'select t, sum(id) from a group by t', off: [], has: /^HashAgg/, not: /^Group/ },
  { sql: 'select t, sum(id), count(distinct n) from a group by t', off: ['hashagg'], has: /^Group/, not: /^Hash/ },
  { sql: 'select n % 2, id % 3 as m, max(t) from a group by n % 2, m', off: ['hashagg'], has: /^Group/, not: /^Hash/ },
  {
    sql: 'select a.*, count(*) from a join b on b.a = a.id group by a.id',
    off: ['hashagg'],
    has: /^Group/,
    not: /^HashA/,
  },
  { sql: 'select t, sum(id) from a group by t', off: ['hashagg', 'sort'], has: /^HashAgg/, not: /^Group/ },
  { sql: 'select n, t, count(*) from a group by cube (n, t)', off: ['hashagg'], has: /^Mixed/, not: /^Group/ },
  { sql: 'select count(*) from a', off: ['hashagg'], has: /^Aggregate/, not: /^(Group|Sort)/ },
  { sql: 'select distinct n, t from a', off: ['hashagg'], has: /^Unique/, not: /^Hash/ },
  { sql: 'select n from a union select v from b', off: ['hashagg'], has: /^Unique/, not: /^Hash/ },
]

for (const { sql, off, has, not } of cases) {
  test(`${sql} without ${off.join(', ') || 'nothing'}`, async () => {
    const plain = await run(sql, [])
    const { nodes, rows } = await run(sql, off)
    assert.ok(
      nodes.some((n) => has.test(n)),
      `${nodes.join('\n')} has ${has}`,
    )
    assert.ok(!nodes.some((n) => not.test(n)), `${nodes.join('\n')} has no ${not}`)
    if (/limit/.test(sql)) assert.equal(rows.length, plain.rows.length)
    else assert.deepEqual(rows, plain.rows)
  })
}

test('a prepared statement is planned again, as is one that was run before', async () => {
  await using tx = await db.begin()
  const sql = 'select n from a where n >= 0 limit 3'
  await tx.query(`prepare p as ${sql}`)
  const both = async () => {
    const rows = await Promise.all(['execute p', sql].map((s) => tx.query<{ n: number }>(s)))
    return rows.map((r) => r.rows.map(({ n }) => n))
  }
  const byIndex = [0, 0, 0]
  const byTable = [1, 2, 3]
  const off = 'set enable_seqscan = off'
  assert.deepEqual(await both(), [byTable, byTable])
  await tx.query(off)
  assert.deepEqual(await both(), [byIndex, byIndex])
  await tx.query('savepoint s')
  await tx.query('reset enable_seqscan')
  assert.deepEqual(await both(), [byTable, byTable])
  await tx.query('rollback to s')
  assert.deepEqual(await both(), [byIndex, byIndex])
  await tx.query('set enable_indexscan = off')
  assert.deepEqual(await both(), [byTable, byTable])
  const [{ 'QUERY PLAN': plan }] = (await tx.query<{ 'QUERY PLAN': string }>('explain select t from a')).rows
  assert.match(plan, /^Seq Scan on a {2}\(cost=0\.00\.\.1000000000\d\.\d\d /)
  await tx.rollback()
})
