/**
 * Grouping, grouping sets, DISTINCT, UNION, sorts and windows give the same rows when their memory holds a small part of
 * them, and stay within it: the same statements without spilling are refused for their memory.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Client, open } from '../../src/client/index.ts'

const rows = 60_000
const queries = [
  'select k, count(*), sum(n), max(s), count(distinct s) from t group by k',
  'select k, array_agg(id order by s desc) from t group by k',
  'select s, k % 3 as m, count(*) filter (where id % 2 = 0), avg(n) from t group by s, m having count(*) > 1',
  'select nullif(k, 5), s, min(id) from t group by 1, 2',
  // In batches, until the row tier takes the groups over.
  'select k, s, count(*), sum(id), max(k), avg(k * 1000000007) from t group by k, s',
  'select distinct s, k % 2 from t',
  'select s from t union select k::text from t',
  'select distinct on (k) k, s from t order by k, s',
  'select id, s, n from t order by s desc, id offset 10',
  // Grouping sets: each of those that has no room.
  'select k, s, grouping(k, s) as g, count(*), sum(n) from t group by grouping sets ((k), (s), (k, s), ())',
  'select k % 7 as m, nullif(k, 9) as v, count(*) as c, max(id) from t group by rollup (1, 2)',
  'select k, id % 2 as p, array_agg(id order by s desc, id) from t group by grouping sets ((k), (k, id % 2))',
  // Windows: one partition larger than the memory, several, frames that move, that stand, that look ahead.
  'select id, row_number() over (order by s, id), rank() over w, percent_rank() over w, ntile(7) over (order by s, id) from t window w as (order by s)',
  'select id, sum(n) over (partition by id % 3 order by k, id), max(s) over (partition by id % 3) from t',
  'select id, count(*) filter (where k % 2 = 0) over (order by id rows between 5000 preceding and 3 following) from t',
  'select id, min(s) over (order by id rows between 3 preceding and 20 following) from t',
  'select id, lag(s, 20000, s) over w, lead(n, 30000) over w, first_value(s) over w from t window w as (order by k, id)',
  'select id, sum(k) over (order by k range between 100 preceding and 100 following exclude current row) from t where id < 50000',
  'select id, avg(n) over (order by k groups between 10 preceding and 2 preceding), nth_value(s, 3) over (order by k) from t',
  'select max(s) over () as m from t limit 5',
  'select id, sum(id) over (order by s desc, id rows between current row and unbounded following) from t',
]
let directory = ''
let db: Client

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lattice-spill-'))
  db = await open(directory)
  await db.query(
    `create table t as select g as id, (g::int8 * 7919) % 25013 as k, 'name ' || g % 30011 as s, g::numeric / 3 as n
       from generate_series(1, ${rows}) g`,
  )
})
after(async () => {
  await db.close()
  await rm(directory, { recursive: true })
})

for (const query of queries) {
  test(query, async () => {
    // The digest keeps little of its own: rows are folded into one number as they come.
    const digest = `select count(*)::int as c, sum(hashtext(r::text)::int8) as h from (${query}) r`
    await db.query("set work_mem = '1GB'")
    await db.query("set lattice.statement_memory = '1GB'")
    const { rows: expected } = await db.query(digest)
    await db.query("set lattice.statement_memory = '3MB'")
    await assert.rejects(db.query(digest), { code: 'out_of_memory' }, 'a memory that does not hold the rows')
    await db.query("set work_mem = '512kB'")
    assert.deepEqual((await db.query(digest)).rows, expected)
    // Files are removed behind the statement's answer.
    let left = await readdir(join(directory, 'temporary'))
    for (let tries = 0; tries < 1000 && left.length > 0; tries++) left = await readdir(join(directory, 'temporary'))
    assert.deepEqual(left, [], 'temporary files are removed')
  })
}
