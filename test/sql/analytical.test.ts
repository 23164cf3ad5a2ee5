/**
 * Analytical queries over the Northwind and Chinook data, loaded by psql as their authors wrote them: joins, windows,
 * grouping sets, recursion, correlated sub-queries. Rows, types and column names are PostgreSQL's, kept beside this file.
 *
 *   PGURL=postgres://… UPDATE=1 node --test test/sql/analytical.test.ts     asks PostgreSQL again
 *
 * The data lie beside the checkout (or where LATTICE_TEST_DATA says); without them the suite is skipped.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { startTestServer, type TestServer } from '../clients/server.ts'

const data = process.env.LATTICE_TEST_DATA ?? resolve(import.meta.dirname, '../../../shared/data')
const expectedFile = join(import.meta.dirname, 'analytical.expected.json')
const psqlIsHere = spawnSync('psql', ['--version']).status === 0
const skip = !existsSync(join(data, 'northwind.sql'))
  ? `no northwind.sql in ${data}`
  : psqlIsHere
    ? false
    : 'psql is not installed'

interface Answer {
  readonly columns: readonly string[]
  readonly types: readonly number[]
  readonly rows: readonly (string | null)[][]
}

const expected: Record<string, Answer> = existsSync(expectedFile) ? JSON.parse(readFileSync(expectedFile, 'utf8')) : {}
const queries = readFileSync(join(import.meta.dirname, 'analytical.queries.sql'), 'utf8')
  .split(/^-- /m)
  .slice(1)
  .map((part) => {
    const end = part.indexOf('\n')
    const [database] = part.split(':', 1)
    return { name: part.slice(0, end), database, sql: part.slice(end + 1).trim() }
  })

let server: TestServer
before(async () => {
  if (skip === false) server = await startTestServer('analytical')
})
after(async () => {
  if (skip === false) await server.close()
})

const urlOf = (database: string): string => server.url.replace(/[^/]+$/, database)

/** Loads a script by psql; gives what it said of errors. */
async function load(file: string, database: string): Promise<string> {
  const psql = spawn('psql', ['-X', '-q', '-d', urlOf(database), '-f', join(data, file)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  psql.stderr.on('data', (chunk) => {
    said += chunk
  })
  await new Promise((done) => psql.on('close', done))
  return said
}

async function ask(client: pg.Client, sql: string): Promise<Answer> {
  const types = { getTypeParser: () => (v: unknown) => v }
  const result = await client.query({ text: sql, rowMode: 'array', types: types as never })
  return {
    columns: result.fields.map((f) => f.name),
    types: result.fields.map((f) => f.dataTypeID),
    rows: result.rows as never,
  }
}

test('northwind.sql and chinook.sql load through psql', { skip }, async () => {
  const client = new pg.Client(server.url)
  await client.connect()
  await client.query('drop database if exists northwind')
  await client.query('create database northwind')
  await client.end()
  assert.equal(await load('northwind.sql', 'northwind'), '')
  const said = await load('chinook.sql', server.database)
  assert.match(said, /^(|psql:.*NOTICE: {2}database "chinook" does not exist, skipping\n)$/)
})

for (const database of ['northwind', 'chinook']) {
  test(`queries over ${database}`, { skip }, async (t) => {
    const client = new pg.Client(urlOf(database))
    await client.connect()
    try {
      for (const q of queries.filter((x) => x.database === database)) {
        await t.test(q.name, async () => {
          const answer = await ask(client, q.sql)
          if (process.env.UPDATE !== undefined) expected[q.name] = answer
          else assert.deepEqual(answer, expected[q.name])
        })
      }
    } finally {
      await client.end()
    }
  })
}

after(() => {
  if (process.env.UPDATE !== undefined)
    writeFileSync(expectedFile, `${JSON.stringify(expected, null, 1).replaceAll(/\n {4,}/g, ' ')}\n`)
})
