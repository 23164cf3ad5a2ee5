/** The drivers themselves against the wire, and whole streams mutated at random. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import postgres from 'postgres'
import { nodeIo } from '../../io/node/index.ts'
import { issueAuthority, issueCertificate, makeVerifier } from '../../security/index.ts'
import { FakeDatabase } from './fake-database.fixture.ts'
import { PgServer } from './pg-server.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }
const io = nodeIo({ log: quiet })
const database = new FakeDatabase()
const authority = issueAuthority('Test authority', 1, io)
const node = issueCertificate({ name: 'node', kind: 'node', hosts: ['localhost', '127.0.0.1'], days: 1 }, authority, io)
let server: PgServer

before(async () => {
  database.verifiers.set('ada', makeVerifier('pässword', io.random))
  const tls = { role: 'server', certificate: node.certificate, key: node.key } as const
  server = await PgServer.start({ io, database, host: '127.0.0.1', port: 0, tls, loopbackPasswords: true })
})
after(async () => {
  await server.stop(1000)
  await io.stop()
})

test('node-postgres: password, TLS, simple, prepared, errors, notices', async () => {
  for (const ssl of [false, { ca: authority.certificate, servername: 'localhost' }]) {
    const client = new pg.Client({ host: '127.0.0.1', port: server.port, user: 'ada', password: 'pässword', ssl })
    await client.connect()
    const notices: string[] = []
    client.on('notice', (notice) => notices.push(notice.message ?? ''))
    assert.deepEqual((await client.query("select 1 as a, 'x' as b, null as c")).rows, [{ a: 1, b: 'x', c: null }])
    for (let i = 0; i < 3; i++) {
      const { rows } = await client.query({ name: 's', text: 'select $1::int4 as n, $2 as t', values: [i, 'ü'] })
      assert.deepEqual(rows, [{ n: i, t: 'ü' }])
    }
    await client.query('notice')
    assert.deepEqual(notices, ['hear, hear'])
    await assert.rejects(client.query('fail(unique_violation)'), { code: '23505', constraint: 'k', detail: 'a detail' })
    assert.equal((await client.query('rows(1000)')).rows.length, 1000)
    await client.end()
  }
  const wrong = new pg.Client({ host: '127.0.0.1', port: server.port, user: 'ada', password: 'x', ssl: false })
  await assert.rejects(wrong.connect(), { code: '28P01' })
})

test('postgres.js: password, TLS, pipelined queries, cursors, listen', async () => {
  for (const ssl of [false as const, { ca: authority.certificate, servername: 'localhost' }]) {
    const sql = postgres({
      host: '127.0.0.1',
      port: server.port,
      user: 'ada',
      password: 'pässword',
      database: 'd',
      ssl,
      max: 2,
      fetch_types: false,
      onnotice: () => {},
    }) // prettier-ignore
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => sql`select ${i}::int4 as n`))
    assert.deepEqual(
      answers.map(([row]) => row.n),
      Array.from({ length: 50 }, (_, i) => i),
    ) // prettier-ignore
    let seen = 0
    for await (const rows of sql`rows(25)`.cursor(10)) seen += rows.length
    assert.equal(seen, 25)
    await assert.rejects(sql`fail(check_violation)`.simple(), { code: '23514' })
    await sql.end()
  }
})
