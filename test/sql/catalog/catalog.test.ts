/**
 * The system catalogs against PostgreSQL: what clients ask, definitions as text, and schemas of randomly named objects.
 *
 * Answers are compared with stored ones of PostgreSQL 15 (record.ts writes them); where PGURL names a PostgreSQL server, the
 * random schemas are compared with that server too. CATALOG_SEED replays a random schema.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { startTestServer, type TestServer } from '../../clients/server.ts'
import { type Kept, kept, normalRows, same } from './compare.ts'
import { definitionsOf } from './definitions.ts'
import { introspection, randomSchema } from './names.ts'
import { answer, connect, runAll } from './run.ts'
import { load } from './statements.ts'

const here = import.meta.dirname
const stored = (file: string) => JSON.parse(readFileSync(join(here, file), 'utf8'))

/** Statements whose answers are meant to differ, and why: by their place in statements.json. */
const different: Record<number, string> = stored('different.json')

let server: TestServer
const postgres = process.env.PGURL

before(async () => {
  // The server is ours whatever PGURL says: that one is the other side.
  delete process.env.PGURL
  server = await startTestServer('catalog')
})

after(() => server.close())

test('what psql, pg_dump and client libraries ask is answered as PostgreSQL answers', async () => {
  const statements = load(join(here, 'statements.json'))
  const expected: Kept[] = stored('expected.json')
  const answers = await runAll(server.url, statements)
  const wrong: string[] = []
  answers.forEach((a, i) => {
    if (expected[i].error !== undefined) return
    const what = `#${i} (${statements[i].db}) ${statements[i].sql.replace(/\s+/g, ' ').slice(0, 120)}`
    if (a.error !== undefined) wrong.push(`${what}\n   ${a.error} ${a.message}`)
    else if (!same(kept(a), expected[i]) && different[i] === undefined)
      wrong.push(`${what}\n   ${JSON.stringify(kept(a))}\n   ${JSON.stringify(expected[i])}`)
    else if (same(kept(a), expected[i]) && different[i] !== undefined)
      wrong.push(`${what}\n   is listed as different (${different[i]}), but is the same`)
  })
  assert.equal(wrong.join('\n'), '')
})

test("definitions are PostgreSQL's words", async () => {
  const found = await definitionsOf(server.url)
  assert.deepEqual(found, stored('expected-definitions.json'))
})

test('a definition makes the same view again, in either form', async (t) => {
  await definitionsOf(server.url)
  const url = new URL(server.url)
  url.pathname = '/definitions'
  const client = new pg.Client({ connectionString: url.href })
  await client.connect()
  t.after(() => client.end())
  const views = (
    await client.query(
      "select relname, pg_get_viewdef(oid) as plain, pg_get_viewdef(oid, true) as pretty from pg_class where relkind = 'v' and relnamespace = 2200",
    )
  ).rows
  assert.ok(views.length > 25)
  for (const v of views) {
    for (const form of ['plain', 'pretty'] as const) {
      await client
        .query(`create view again as ${v[form]}`)
        .catch((e) => assert.fail(`${v.relname}: ${e.message}\n${v[form]}`))
      const [again] = (
        await client.query(
          "select pg_get_viewdef('again'::regclass) as plain, pg_get_viewdef('again'::regclass, true) as pretty",
        )
      ).rows
      assert.deepEqual({ plain: again.plain, pretty: again.pretty }, { plain: v.plain, pretty: v.pretty }, v.relname)
      await client.query('drop view again')
    }
  }
})

const seeds = process.env.CATALOG_SEED === undefined ? [1, 2, 3, 4] : [Number(process.env.CATALOG_SEED)]

for (const seed of seeds) {
  test(`randomly named objects are found by their names (CATALOG_SEED=${seed})`, async (t) => {
    const client = await connect(server.url, `names_${seed}`)
    const { statements, tables } = randomSchema(seed)
    t.after(() => client.end())
    for (const s of statements) await client.query(s)
    for (const table of tables) {
      const { rows } = await client.query(
        "select $1::text::regclass::oid as a, to_regclass($1)::oid as b, has_table_privilege($1, 'select') as c",
        [table],
      )
      assert.ok(rows[0].a > 0 && rows[0].a === rows[0].b && rows[0].c === true, table)
    }
    // What a definition says makes the same object again.
    const definitions =
      "select conrelid::regclass::text as t, quote_ident(conname) as n, pg_get_constraintdef(oid) as d from pg_constraint where conrelid >= 16384 and contype in ('c', 'f') order by oid"
    const first = (await client.query(definitions)).rows
    for (const c of first) await client.query(`alter table ${c.t} drop constraint ${c.n}`)
    for (const c of first) await client.query(`alter table ${c.t} add constraint ${c.n} ${c.d}`)
    assert.deepEqual((await client.query(definitions)).rows, first)
  })

  test(`randomly named objects against PostgreSQL (CATALOG_SEED=${seed})`, {
    skip: postgres === undefined && 'PGURL names no PostgreSQL server',
  }, async () => {
    const [ours, theirs] = await Promise.all([connect(server.url, `pair_${seed}`), connect(postgres!, `pair_${seed}`)])
    const { statements } = randomSchema(seed)
    try {
      for (const s of statements) {
        await ours.query(s)
        await theirs.query(s)
      }
      for (const question of introspection) {
        const [a, b] = [await answer(ours, question), await answer(theirs, question)]
        assert.equal(a.error, undefined, `${question}: ${a.message}`)
        assert.deepEqual(normalRows(a), normalRows(b), question)
      }
    } finally {
      await ours.end()
      await theirs.end()
    }
  })
}
