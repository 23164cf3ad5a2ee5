/** Conditions tested and aggregates begun where the rows are: answers are those of a plain scan, and fewer rows travel. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type SimCluster, simCluster } from './index.ts'

const columns = ['id', 'a', 'b', 'c', 'd', 'e', 'f'] as const

async function withTable(seed: number): Promise<{ cluster: SimCluster; remote: number; leader: number }> {
  const cluster = await simCluster({ nodes: 3, seed, callTimeout: '60s' })
  const db = cluster.connect(1)
  await db.query(`create table things (id int primary key, a int, b text, c numeric(12, 3), d timestamptz, e boolean,
    f double precision)`)
  await db.query(`insert into things select i, nullif(i % 17, 3), case when i % 11 = 0 then null else
    chr(97 + i % 7) || repeat('x', i % 5) end, (i * 37 % 1000) / 8.0, timestamptz '2026-01-01 00:00:00+00' +
    (i || ' hours')::interval, case when i % 3 = 0 then null else i % 2 = 0 end, i / 7.0
    from generate_series(1, 3000) i`)
  const leader = await cluster.leaderOf('things')
  return { cluster, leader, remote: leader === 1 ? 2 : 1 }
}

/** A random condition; every part may be NULL, some cannot be tested elsewhere. */
function condition(random: (below: number) => number, depth: number): string {
  const pick = <T>(items: readonly T[]) => items[random(items.length)]
  if (depth > 0 && random(2) === 0) {
    const parts = Array.from({ length: 2 + random(2) }, () => condition(random, depth - 1))
    return `(${parts.join(pick([' and ', ' or ']))})`
  }
  if (depth > 0 && random(4) === 0) return `not ${condition(random, depth - 1)}`
  const n = () => String(random(20) - 1)
  return pick([
    () => `a ${pick(['=', '<>', '<', '>='])} ${n()}`,
    () => `a + id % 5 > ${n()}`,
    () => `b like '${pick(['a%', '%x', '_x%', 'b'])}'`,
    () => `upper(b) = 'C' || repeat('X', ${random(5)})`,
    () => `c between ${random(60)} and ${40 + random(90)}.125`,
    () => `d < timestamptz '2026-0${1 + random(6)}-03 04:05:06+02'`,
    () => `${pick(columns)} is ${pick(['', 'not '])}null`,
    () => `e is ${pick(['true', 'not true', 'unknown', 'not false'])}`,
    () => `coalesce(a, ${n()}) in (${n()}, ${n()}, 5)`,
    () => `f * 2 <= ${random(900)}.5`,
    () => `a is distinct from ${pick(['null', n()])}`,
    () => `extract(hour from d) = ${random(24)}`,
    () => `d::text like '%0${random(9)}:00%'`,
    () => `greatest(a, ${n()}) = least(a, 9)`,
    () => 'random() >= 0',
  ])()
}

test('random conditions answer as where the rows are', async () => {
  const seed = Number(process.env.SEED ?? 1)
  const { cluster, leader, remote } = await withTable(seed)
  await using _cluster = cluster
  const random = (below: number) => cluster.random.below(below)
  const batches = cluster.connect(remote)
  await batches.query('set lattice.batch_rows = 0')
  let pushed = 0
  for (let i = 0; i < 120; i++) {
    if (i === 60) await cluster.splitAt('things', 1500)
    const where = condition(random, 2)
    const sql = `select count(*)::int as n, sum(id)::int as ids, min(b) as b from things where ${where}`
    const there = await cluster.connect(leader).query(sql)
    const here = await cluster.connect(remote).query(sql)
    assert.deepEqual(here.rows, there.rows, `SEED=${seed} node --test remote-program.test.ts: ${where}`)
    const batched = await batches.query(sql)
    assert.deepEqual(batched.rows, there.rows, `SEED=${seed} node --test remote-program.test.ts, in batches: ${where}`)
    const plan = await cluster.connect(remote).query(`explain ${sql}`)
    if (JSON.stringify(plan.rows).includes('Remote Filter')) pushed++
  }
  assert.ok(pushed > 60, `${pushed}`)
})

test('parameters, own writes, errors, and tables that change', async () => {
  const { cluster, remote, leader } = await withTable(7)
  await using _cluster = cluster
  const db = cluster.connect(remote)
  const count = async (where: string, values: unknown[] = []) =>
    (await db.query<{ n: number }>(`select count(*)::int as n from things where ${where}`, values)).rows[0].n
  for (const a of [1, 2, 2, null]) assert.equal(await count('a = $1', [a]), a === null ? 0 : 177)
  assert.equal(await count('b = any($1)', [['axxxx', 'b']]), await count("b = 'axxxx' or b = 'b'"))
  await using tx = await db.begin()
  await tx.query('update things set a = 99 where id <= 10')
  await tx.query('delete from things where id = 11')
  assert.equal((await tx.query<{ n: number }>('select count(*)::int as n from things where a = 99')).rows[0].n, 10)
  await tx.rollback()
  assert.equal(await count('a = 99'), 0)
  // An error counts when the row is reached, and only then.
  await assert.rejects(count('1 / (id - 2000) > 0'), /division by zero/)
  const { rows } = await db.query('select id from things where 100 / (id - 2000) <= 0 limit 2')
  assert.equal(rows.length, 2)
  const there = cluster.connect(leader)
  await there.query('alter table things add column g int default 7')
  assert.equal(await count('g = 7'), 3000)
  await there.query('alter table things alter column a type text')
  assert.equal(await count("a = '5'"), 177)
})

test('what a condition leaves out does not travel', async () => {
  const { cluster, remote, leader } = await withTable(9)
  await using _cluster = cluster
  cluster.slow(remote, leader, '20ms')
  // Round trips of other matters delay some of them.
  const took = async (sql: string) => {
    let best = Number.POSITIVE_INFINITY
    for (let i = 0; i < 5; i++) {
      const before = cluster.now
      await cluster.connect(remote).query(sql)
      best = Math.min(best, cluster.now - before)
    }
    return best
  }
  await took('select 1 from things where f < 0')
  // Three thousand rows are three answers and more; of these there is one.
  const filtered = await took('select id from things where f < 0')
  const plain = await took('select id from things where f + random() * 0 < 0')
  assert.ok(filtered < 60 && plain > 100, `${filtered} ms, ${plain} ms`)
})

/** A random query over groups; some aggregates and keys cannot be made elsewhere. */
function grouped(random: (below: number) => number): string {
  const pick = <T>(items: readonly T[]) => items[random(items.length)]
  const key = pick(['a', 'b', 'e', 'a % 4', 'upper(b)', 'd::date', 'c > 50', 'left(b, 1), e', 'coalesce(a, 0)', ''])
  const calls = Array.from({ length: 1 + random(4) }, () => {
    const call = pick([
      'count(*)',
      'count(a)',
      'sum(a)',
      'sum(id::int8 * 3000000000)',
      'sum(c)',
      'avg(a)',
      'avg(c)',
      'min(b)',
      'max(d)',
      'min(c)',
      'max(a)',
      'bool_and(e)',
      'bool_or(e)',
      'bit_or(id)',
      'bit_xor(a)',
      'sum(c * a)',
      'round(sum(f)::numeric, 3)',
      'count(distinct a)',
      "string_agg(b, ',' order by id)",
    ])
    const filtered = !/^round|order by/.test(call) && random(4) === 0
    return filtered ? `${call} filter (where ${condition(random, 1)})` : call
  })
  const columns = [...(key === '' ? [] : [key]), ...calls.map((c, i) => `${c} as r${i}`)].join(', ')
  const where = random(2) === 0 ? '' : ` where ${condition(random, 1)}`
  const having = random(4) === 0 ? ' having count(*) > 50' : ''
  const group = key === '' ? '' : ` group by ${key}`
  return `select ${columns} from things${where}${group}${having}`
}

test('random groups answer as where the rows are', async () => {
  const seed = Number(process.env.SEED ?? 3)
  const { cluster, leader, remote } = await withTable(seed)
  await using _cluster = cluster
  await cluster.connect(leader).query('analyze things')
  const random = (below: number) => cluster.random.below(below)
  const batches = cluster.connect(remote)
  await batches.query('set lattice.batch_rows = 0')
  let both = 0
  let gathered = 0
  for (let i = 0; i < 150; i++) {
    if (i === 75) await cluster.splitAt('things', 1500)
    const sql = grouped(random)
    const there = await cluster.connect(leader).query(sql)
    const here = await cluster.connect(remote).query(sql)
    const sorted = (rows: readonly unknown[]) => rows.map((r) => JSON.stringify(r)).sort()
    assert.deepEqual(sorted(here.rows), sorted(there.rows), `SEED=${seed} node --test remote-program.test.ts: ${sql}`)
    const plan = await cluster.connect(remote).query(`explain ${sql}`)
    if (JSON.stringify(plan.rows).includes('Remote Aggregate')) gathered++
    const batched = await batches.query(sql)
    assert.deepEqual(
      sorted(batched.rows),
      sorted(there.rows),
      `SEED=${seed} node --test remote-program.test.ts, in batches: ${sql}`,
    )
    if (/Batch Aggregate.*Remote Aggregate/.test(JSON.stringify((await batches.query(`explain ${sql}`)).rows))) both++
  }
  assert.ok(gathered > 30 && both > 20, `${gathered}, ${both}`)
})

test('groups: own writes, errors, parameters, tables that change, and what travels', async () => {
  const { cluster, remote, leader } = await withTable(11)
  await using _cluster = cluster
  const db = cluster.connect(remote)
  const sum = async (sql: string, values: unknown[] = []) => (await db.query<{ s: number }>(sql, values)).rows[0].s
  const total = 'select sum(id)::int as s from things'
  assert.equal(await sum(total), 4_501_500)
  for (const k of [1, 2, 3]) assert.equal((await sum(`${total} where a = $1`, [k])) > 0, k !== 3)
  assert.equal(await sum('select sum(id + $1)::int as s from things', [10]), 4_531_500)
  await using tx = await db.begin()
  await tx.query('delete from things where id <= 2000')
  assert.equal((await tx.query<{ s: number }>(total)).rows[0].s, 2_500_500)
  await tx.rollback()
  assert.equal(await sum(total), 4_501_500)
  // An error counts when the row is reached, and only then.
  await assert.rejects(sum('select sum(1 / (id - 2000))::int as s from things'), /division by zero/)
  assert.equal(await sum('select sum(1 / (id - 2000))::int as s from things where id > 2001'), 0)
  assert.equal(await sum('select count(*)::int as s from things where false'), 0)
  assert.deepEqual((await db.query('select a, count(*) from things where false group by a')).rows, [])
  const there = cluster.connect(leader)
  await there.query('alter table things add column g int default 7')
  assert.equal(await sum('select sum(g)::int as s from things'), 21_000)
  cluster.slow(remote, leader, '20ms')
  const took = async (sql: string) => {
    const times: number[] = []
    for (let i = 0; i < 5; i++) {
      const before = cluster.now
      await cluster.connect(remote).query(sql)
      times.push(cluster.now - before)
    }
    return Math.min(...times)
  }
  // Three thousand rows are three answers and more; of groups there is one.
  const gathered = await took('select a, count(*), sum(c) from things group by a')
  const plain = await took('select a, count(*), sum(c), count(distinct b) from things group by a')
  assert.ok(gathered < 60 && plain > 100, `${gathered} ms, ${plain} ms`)
})
