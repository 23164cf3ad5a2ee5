/** What only a remote client has: TLS modes, passwords, several hosts, lost connections. Statements are canned. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { nodeIo } from '../io/node/index.ts'
import { issueAuthority, issueCertificate, makeVerifier } from '../security/index.ts'
import { PgServer } from '../wire/index.ts'
import { FakeDatabase } from '../wire/pg/fake-database.fixture.ts'
import { openRemote } from './open-remote.ts'
import { RawSession } from './raw-session.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }
const io = nodeIo({ log: quiet })
const database = new FakeDatabase()
const directory = mkdtempSync(join(tmpdir(), 'lattice-remote-'))
const authority = issueAuthority('Test', 1, io)
const other = issueAuthority('Other', 1, io)
const node = issueCertificate({ name: 'n', kind: 'node', hosts: ['localhost'], days: 1 }, authority, io)
let secure: PgServer
let plain: PgServer

before(async () => {
  database.verifiers.set('ada', makeVerifier('s3cret', io.random))
  const tls = { role: 'server', certificate: node.certificate, key: node.key } as const
  const common = { io, database, host: '127.0.0.1', port: 0 }
  secure = await PgServer.start({ ...common, tls, loopbackPasswords: true })
  plain = await PgServer.start(common)
  writeFileSync(join(directory, 'ca.crt'), authority.certificate)
  writeFileSync(join(directory, 'other.crt'), other.certificate)
})
after(async () => {
  await secure.stop(100)
  await plain.stop(100)
  await io.stop()
  rmSync(directory, { recursive: true })
})

async function one(url: string): Promise<unknown> {
  const db = await openRemote(url)
  try {
    return (await db.query('select 1 as one')).rows[0].one
  } finally {
    await db.close()
  }
}

test('TLS as sslmode demands, and SCRAM bound to it', async () => {
  const at = (host: string, search: string) => `postgres://ada:s3cret@${host}:${secure.port}/d?${search}`
  const ca = `sslrootcert=${join(directory, 'ca.crt')}`
  assert.equal(await one(at('127.0.0.1', 'sslmode=disable')), 1)
  assert.equal(await one(at('127.0.0.1', 'sslmode=require')), 1)
  assert.equal(await one(at('localhost', `sslmode=verify-full&${ca}`)), 1)
  assert.equal(await one(at('127.0.0.1', `sslmode=verify-ca&${ca}`)), 1)
  await assert.rejects(one(at('127.0.0.1', `sslmode=verify-full&${ca}`)), { code: 'connection_failure' })
  await assert.rejects(one(at('localhost', `sslmode=verify-full&sslrootcert=${join(directory, 'other.crt')}`)), {
    code: 'connection_failure',
  })
  const clear = `postgres://ada@127.0.0.1:${plain.port}/d?sslmode=require`
  await assert.rejects(one(clear), { code: 'connection_failure', message: /does not support TLS/ })
})

test('passwords', async () => {
  const at = (credentials: string) => `postgres://${credentials}@127.0.0.1:${secure.port}/d`
  await assert.rejects(one(at('ada:wrong')), { code: 'invalid_password', message: /authentication failed/ })
  await assert.rejects(one(at('ada')), { code: 'invalid_password', message: /asks for the password of user "ada"/ })
  const db = await openRemote(at('ada'), { password: 's3cret' })
  await db.close()
})

test('the first host that answers is taken; an unknown database is no reason to go on', async () => {
  assert.equal(await one(`postgres://u@127.0.0.1:1,127.0.0.1:${plain.port}/d`), 1)
  await assert.rejects(one(`postgres://u@127.0.0.1:${plain.port},127.0.0.1:1/missing`), {
    code: 'invalid_catalog_name',
  })
  await assert.rejects(one('postgres://u@127.0.0.1:1/d'), { code: 'connection_failure' })
})

test('a lost connection fails what runs on it, and the pool replaces it', async () => {
  const own = await PgServer.start({ io, database, host: '127.0.0.1', port: 0 })
  const db = await openRemote(`postgres://u@127.0.0.1:${own.port}/d`, { maxSessions: 1 })
  const endless = db.query('forever')
  const waiting = assert.rejects(db.query('select 2 as two'), { code: 'connection_failure' })
  const failed = assert.rejects(endless, (error: any) =>
    ['query_canceled', 'admin_shutdown', 'connection_failure'].includes(error.code),
  ) // prettier-ignore
  while (own.stats().statements < 2) await io.tasks.yield()
  const { port } = own
  await own.stop(0)
  await failed
  await waiting
  const again = await PgServer.start({ io, database, host: '127.0.0.1', port })
  assert.deepEqual((await db.query('select 3 as three')).rows, [{ three: 3 }])
  await db.close()
  await assert.rejects(db.query('select 1'), { code: 'connection_does_not_exist' })
  await again.stop(100)
})

test('a raw session shows text and notices', async () => {
  const session = await RawSession.open(`postgres://u@127.0.0.1:${plain.port}/d`)
  const notices: string[] = []
  session.onNotice = (severity, notice) => notices.push(`${severity} ${notice.message}`)
  const [row, notice] = await session.script('select 1 as one, null as none, true as yes; notice')
  assert.deepEqual(row.rows, [['1', null, 't']])
  assert.equal(notice.fields, undefined)
  assert.deepEqual(notices, ['NOTICE hear, hear'])
  assert.equal(session.setting('server_version'), '15.0')
  await session.close()
})
