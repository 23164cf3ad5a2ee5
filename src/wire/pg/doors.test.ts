/** Doors other than TCP in clear: Unix domain sockets, where libpq looks for them, and TLS from the first byte. */
import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import pg from 'pg'
import { open } from '../../client/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import { nodeIo } from '../../io/node/index.ts'
import { openDatabase } from '../../node/index.ts'
import { issueAuthority, issueCertificate, makeVerifier } from '../../security/index.ts'
import { writeStartup, writeTlsRequest } from './client-messages.ts'
import { FakeDatabase } from './fake-database.fixture.ts'
import { PgServer, socketPath } from './pg-server.ts'

const directory = mkdtempSync(join(tmpdir(), 'lattice-doors-'))
const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }
const io = nodeIo({ log: quiet })
const fake = new FakeDatabase()
const authority = issueAuthority('Test authority', 1, io)
const issued = issueCertificate({ name: 'n', kind: 'node', hosts: ['localhost'], days: 1 }, authority, io)
const tls = { role: 'server', certificate: issued.certificate, key: issued.key } as const
const cleanups: (() => Promise<void>)[] = []
let server: PgServer
let locked: PgServer

before(async () => {
  const { database, close } = await openDatabase({ io, directory: undefined })
  cleanups.push(close)
  fake.verifiers.set('ada', makeVerifier('secret', io.random))
  const common = { io, host: '127.0.0.1', port: 0, socket: directory, tls }
  server = await PgServer.start({ ...common, database })
  locked = await PgServer.start({ ...common, database: fake, loopbackPasswords: true })
})
after(async () => {
  await server.stop(0)
  await locked.stop(0)
  for (const cleanup of cleanups) await cleanup()
  await io.stop()
  rmSync(directory, { recursive: true })
})

test('our client, by a host part in percent-encoding and by a word', async () => {
  const { port } = server
  for (const target of [
    `postgres://lattice@${encodeURIComponent(directory)}:${port}/lattice`,
    `postgres://lattice@/lattice?host=${directory}&port=${port}`,
    `postgres://lattice@/lattice?host=${directory}&port=${port}&sslmode=require`,
  ]) {
    await using db = await open(target)
    assert.deepEqual((await db.query('select $1::int + 1 as n', [1])).rows, [{ n: 2 }])
    const { rows } = await db.query(
      'select client_addr, client_port from pg_stat_activity where pid = pg_backend_pid()',
    )
    assert.deepEqual(rows, [{ client_addr: null, client_port: -1 }])
  }
})

test('node-postgres', async () => {
  const client = new pg.Client({ host: directory, port: server.port, user: 'lattice', database: 'lattice' })
  await client.connect()
  assert.deepEqual((await client.query('select 1 as a')).rows, [{ a: 1 }])
  await client.end()
})

test('psql -h DIRECTORY', {
  skip: spawnSync('psql', ['--version']).error && 'psql, pgbench: not installed',
}, async () => {
  const { stdout } = await promisify(execFile)('psql', [
    ...['-h', directory, '-p', String(server.port), '-U', 'lattice', '-d', 'lattice', '-At'],
    ...['-c', 'select 6 * 7', '-c', '\\conninfo'],
  ])
  assert.match(stdout, /^42\n.*via socket in/)
})

test('passwords are asked for as on loopback, and TLS is not offered', async () => {
  const login = (password: string) =>
    new pg.Client({ host: directory, port: locked.port, user: 'ada', database: 'ada', password })
  const client = login('secret')
  await client.connect()
  await client.end()
  await assert.rejects(login('guess').connect(), { code: '28P01' })
  const socket = connectTcp(socketPath(directory, locked.port))
  const out = new ByteWriter(16)
  writeTlsRequest(out)
  socket.write(out.copy())
  assert.equal(String(await new Promise((resolve) => socket.once('data', resolve))), 'N')
  socket.destroy()
})

test('a socket in use is refused by name, and the port is given back', async () => {
  const { port } = server
  await assert.rejects(PgServer.start({ io, database: fake, host: '127.0.0.2', port, socket: directory }), {
    code: 'lock_file_exists',
    message: new RegExp(`${directory}/.s.PGSQL.${port}: another process`),
  })
  const again = await PgServer.start({ io, database: fake, host: '127.0.0.2', port })
  await again.stop(0)
})

/** What a server answers to a startup message over TLS from the first byte. */
async function direct(port: number, protocols: string[] | undefined): Promise<string> {
  const { socket, error } = await handshake(port, protocols)
  if (socket === undefined) return String(error)
  const out = new ByteWriter(64)
  writeStartup(out, new Map([['user', 'lattice']]))
  socket.write(out.copy())
  const first: Buffer = await new Promise((resolve) => socket.once('data', resolve))
  socket.destroy()
  const agreed = String(socket.alpnProtocol)
  return `${agreed} ${String.fromCharCode(first[0])} ${first.includes('ALPN') ? 'ALPN' : first[8]}`
}

function handshake(port: number, ALPNProtocols: string[] | undefined): Promise<{ socket?: TLSSocket; error?: Error }> {
  return new Promise((resolve) => {
    const raw = connectTcp(port, '127.0.0.1', () => {
      const socket = connectTls({ socket: raw, ca: authority.certificate, servername: 'localhost', ALPNProtocols })
      socket.once('secureConnect', () => resolve({ socket }))
      socket.once('error', (error) => resolve({ error }))
    })
    raw.once('error', (error) => resolve({ error }))
  })
}

test('TLS from the first byte: with its protocol named, and not without', async () => {
  assert.equal(await direct(server.port, ['postgresql']), 'postgresql R 0')
  assert.equal(await direct(server.port, ['h2', 'postgresql']), 'postgresql R 0')
  assert.equal(await direct(server.port, undefined), 'false E ALPN')
  assert.match(await direct(server.port, ['h2']), /alert/i)
  // Who asks first may name it too, or not.
  const client = new pg.Client({
    host: '127.0.0.1',
    port: server.port,
    user: 'lattice',
    ssl: { ca: authority.certificate, servername: 'localhost', ALPNProtocols: ['postgresql'] },
  })
  await client.connect()
  assert.deepEqual((await client.query('select 1 as a')).rows, [{ a: 1 }])
  await client.end()
})

test('TLS from the first byte: garbage, a broken handshake and a server without TLS', async () => {
  const plain = await PgServer.start({ io, database: fake, host: '127.0.0.1', port: 0 })
  const sent = (port: number, bytes: Uint8Array): Promise<string> =>
    new Promise((resolve) => {
      const socket = connectTcp(port, '127.0.0.1', () => socket.write(bytes))
      let answer = ''
      socket.on('data', (chunk) => {
        answer += chunk.toString('latin1')
      })
      socket.on('error', () => {})
      socket.once('close', () => resolve(answer))
    })
  assert.match(await sent(plain.port, Buffer.from('160301020001', 'hex')), /invalid message length/)
  assert.doesNotMatch(await sent(server.port, Buffer.from(`160301000a${'00'.repeat(10)}`, 'hex')), /SFATAL/)
  assert.equal(await direct(server.port, ['postgresql']), 'postgresql R 0')
  await plain.stop(0)
})
