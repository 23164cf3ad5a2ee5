/** LIKE with a fixed beginning reads a range of an index, and finds what it finds without one. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Client, open } from '../../client/index.ts'
import { likeRange } from './like-prefix.ts'

let db: Client
before(async () => {
  db = await open(':memory:')
  await db.query('create table t (id int primary key, a text, v varchar(20), d text)')
  const pieces = ['', 'a', 'ab', 'abc', 'b', '%', '_', '\\', 'é', '\ud7ff', '\u{1f600}', '\u{10ffff}', 'z']
  const values: string[] = []
  for (const x of pieces) for (const y of pieces) for (const z of ['', 'a', '\u{10ffff}']) values.push(x + y + z)
  for (const [i, v] of values.entries()) await db.query('insert into t values ($1, $2, $2, $2)', [i, v])
  await db.query('insert into t values (100000), (100001)')
  await db.query('create table plain as select * from t')
  for (const c of ['a', 'v', 'd desc']) await db.query(`create index on t (${c})`)
  await db.query('analyze')
})
after(() => db.close())

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`
const patterns = [
  'a%',
  'ab%',
  'a_c%',
  'abc',
  'ab%a',
  '\\%%',
  '\\_a%',
  '\\\\%',
  'é%',
  '\ud7ff%',
  '\u{1f600}%',
  '\u{10ffff}%',
  'z\u{10ffff}%',
  '%a',
  '_b%',
  '',
]

test('the same rows with an index and without', async () => {
  for (const c of ['a', 'v', 'd']) {
    for (const pattern of patterns) {
      for (const more of ['', ` and ${c} >= 'ab'`, ` and ${c} < 'abc'`]) {
        const where = `${c} like ${literal(pattern)}${more}`
        const of = async (table: string) =>
          (await db.query(`select id from ${table} where ${where} order by id`)).rows.map(
            (r) => (r as { id: number }).id,
          )
        assert.deepEqual(await of('t'), await of('plain'), where)
      }
    }
  }
})

test('EXPLAIN shows the range, and the condition that is tested', async () => {
  const explained = async (sql: string) =>
    (await db.query(`explain (costs off) ${sql}`)).rows.map((r) => Object.values(r as object)[0])
  assert.deepEqual(await explained("select id from t where a like 'ab%'"), [
    'Index Scan using t_a_idx on t',
    "  Index Cond: (a >= 'ab'::text) AND (a < 'ac'::text)",
    "  Filter: (a ~~ 'ab%'::text)",
  ])
  assert.deepEqual(await explained("select id from t where a like '%b'"), [
    'Seq Scan on t',
    "  Filter: (a ~~ '%b'::text)",
  ])
})

test('ranges', () => {
  assert.deepEqual(likeRange('ab\\%c_d'), { from: 'ab%c', to: 'ab%d' })
  assert.deepEqual(likeRange('a\u{10ffff}%'), { from: 'a\u{10ffff}', to: 'b' })
  assert.deepEqual(likeRange('\ud7ff%'), { from: '\ud7ff', to: '\ue000' })
  assert.deepEqual(likeRange('\u{10ffff}%'), { from: '\u{10ffff}', to: undefined })
  for (const open of ['', '%a', '_', 'a\\']) assert.equal(likeRange(open), undefined)
})
