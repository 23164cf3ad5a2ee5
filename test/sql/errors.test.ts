/**
 * What goes wrong most often: SQLSTATE and message of about two hundred statements are PostgreSQL 15's, kept beside
 * this file. Those known to differ are listed with the reason.
 *
 *   PGURL=postgres://… UPDATE=1 node --test test/sql/errors.test.ts     asks PostgreSQL again
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { startTestServer, type TestServer } from '../clients/server.ts'

const schema = `
  create sequence people_seq;
  create table people (id int primary key, name varchar(20) not null, age int check (age >= 0), note text);
  create table pets (id int primary key, owner int references people, name text);
  insert into people values (1, 'Ann', 30), (2, 'Bob', 40);
  insert into pets values (1, 1, 'Rex');`

interface Failure {
  readonly code: string
  readonly message: string
}

const expectedFile = join(import.meta.dirname, 'errors.expected.json')
const expected: Record<string, Failure | null> = existsSync(expectedFile)
  ? JSON.parse(readFileSync(expectedFile, 'utf8'))
  : {}
const statements = readFileSync(join(import.meta.dirname, 'errors.statements.sql'), 'utf8')
  .trimEnd()
  .split('\n')

let server: TestServer
let client: pg.Client
before(async () => {
  server = await startTestServer('errors')
  client = new pg.Client(server.url)
  client.on('error', () => {})
  await client.connect()
  await client.query(schema)
})
after(async () => {
  await client.end()
  await server.close()
})

/** Runs the statement in a transaction of its own, which is rolled back. */
async function failureOf(sql: string): Promise<Failure | null> {
  try {
    await client.query(
      sql.startsWith('begin') || sql.startsWith('savepoint') || sql.startsWith('rollback') ? sql : `begin; ${sql}`,
    )
    return null
  } catch (error) {
    const { code, message } = error as { code: string; message: string }
    return { code, message }
  } finally {
    await client.query('rollback')
    await client.query('deallocate all')
  }
}

test('SQLSTATEs and messages', async (t) => {
  for (const sql of statements) {
    await t.test(sql, async () => {
      const failure = await failureOf(sql)
      if (process.env.UPDATE !== undefined) expected[sql] = failure
      else assert.deepEqual(failure, expected[sql])
    })
  }
})

after(() => {
  if (process.env.UPDATE !== undefined)
    writeFileSync(
      expectedFile,
      `${JSON.stringify(expected, null, 1).replaceAll(/\{\n\s+("code": "\w+"),\n\s+(.*)\n\s+\}/g, '{ $1, $2 }')}\n`,
    )
})
