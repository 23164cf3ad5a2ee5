/** Getting in: versions, TLS, passwords, limits. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ByteWriter } from '../../encoding/index.ts'
import { nodeIo } from '../../io/node/index.ts'
import {
  firstCertificate,
  issueAuthority,
  issueCertificate,
  makeVerifier,
  ScramClient,
  serverEndPoint,
} from '../../security/index.ts'
import { BodyReader } from './body.ts'
import { writeSasl, writeStartup, writeTlsRequest } from './client-messages.ts'
import { FakeDatabase } from './fake-database.fixture.ts'
import { FrameReader } from './frames.ts'
import { isLoopback, PgServer } from './pg-server.ts'
import { protocolVersion, requestCode } from './protocol.ts'
import { RawClient } from './raw-client.fixture.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }
const io = nodeIo({ log: quiet })
const database = new FakeDatabase()
const authority = issueAuthority('Test authority', 1, io)
const node = issueCertificate({ name: 'node', kind: 'node', hosts: ['localhost', '127.0.0.1'], days: 1 }, authority, io)
const tls = { role: 'server', certificate: node.certificate, key: node.key } as const
let open: PgServer
let locked: PgServer

before(async () => {
  database.verifiers.set('lattice', makeVerifier('correct horse', io.random))
  const common = { io, database, host: '127.0.0.1', port: 0 }
  open = await PgServer.start({ ...common, maxConnections: 3, authenticationTimeoutMs: 60_000 })
  locked = await PgServer.start({ ...common, tls, loopbackPasswords: true })
})
after(async () => {
  await open.stop(0)
  await locked.stop(0)
  await io.stop()
})

async function door(server: PgServer): Promise<RawClient> {
  return new RawClient(await io.network.connect('127.0.0.1', server.port))
}

function startup(client: RawClient, version: number, parameters: Record<string, string>): Promise<string[]> {
  writeStartup(client.out, new Map(Object.entries(parameters)), version)
  client.flush()
  return client.until((line) => /^(readyForQuery|error)/.test(line))
}

test('protocol 3.0 and 3.2, negotiation of newer ones, refusal of others', async () => {
  const greeting = [
    'authentication 0',
    'parameterStatus server_version 15.0',
    'parameterStatus server_encoding UTF8',
    'parameterStatus client_encoding UTF8',
    'parameterStatus DateStyle ISO, MDY',
    'parameterStatus integer_datetimes on',
    'parameterStatus standard_conforming_strings on',
    'backendKeyData',
    'readyForQuery I',
  ]
  const cases: [number, Record<string, string>, string[]][] = [
    [protocolVersion(3, 0), {}, greeting],
    [protocolVersion(3, 2), {}, greeting],
    [protocolVersion(3, 0), { '_pq_.new': '1' }, [`negotiateVersion ${protocolVersion(3, 0)} _pq_.new`, ...greeting]],
    [protocolVersion(3, 9999), {}, [`negotiateVersion ${protocolVersion(3, 2)}`, ...greeting]],
    [protocolVersion(2, 0), {}, ['error FATAL 0A000 unsupported frontend protocol 2.0: server supports 3.0 to 3.2']],
  ]
  for (const [version, extra, expected] of cases) {
    const client = await door(open)
    assert.deepEqual(await startup(client, version, { user: 'u', ...extra }), expected)
    client.close()
    await client.when(() => client.closed)
  }
})

test('bad first messages', async () => {
  const cases: [number[], RegExp][] = [
    [[0, 0, 0, 3], /FATAL 08P01 invalid message length/],
    [[0, 1, 0, 0], /FATAL 08P01 invalid message length/],
    [[0, 0, 0, 6, 1, 1], /FATAL 08P01 invalid length of startup packet/],
    [[0, 0, 0, 8, 0, 3, 0, 0], /FATAL 08P01 invalid startup packet layout/],
    [[0, 0, 0, 9, 0, 3, 0, 0, 0], /FATAL 28000 no PostgreSQL user name/],
    [[...Buffer.from('GET / HTTP/1.1\r\n\r\n')], /FATAL 08P01 invalid message length/],
  ]
  for (const [bytes, expected] of cases) {
    const client = await door(open)
    client.send(Uint8Array.from(bytes))
    assert.match((await client.until(() => false)).join('\n'), expected)
  }
  const refused = await door(open)
  assert.deepEqual(await startup(refused, protocolVersion(3, 0), { user: 'u', database: 'missing' }), [
    'error FATAL 3D000 database "missing" does not exist',
  ])
})

test('GSS encryption and TLS are declined when not to be had', async () => {
  const client = await door(open)
  let first = ''
  const socket = client.socket
  socket.onData((chunk) => (first += Buffer.from(chunk).toString('latin1')))
  client.out.u32(8)
  client.out.u32(requestCode.gssEncryption)
  client.flush()
  await client.when(() => false || client.bytes > 0)
  assert.equal(first, 'N')
  client.close()
})

test('connections are limited', async () => {
  const clients: RawClient[] = []
  for (let i = 0; i < 3; i++) clients.push(await RawClient.open(io.network, open.port))
  const fourth = await RawClient.open(io.network, open.port)
  assert.deepEqual(fourth.lines.length === 0 ? await fourth.until(() => false) : fourth.lines, [])
  assert.equal(open.stats().connections, 3)
  for (const client of clients) {
    client.close()
    await client.when(() => client.closed)
  }
})

test('a client that says nothing is sent away', async () => {
  const hasty = await PgServer.start({ io, database, host: '127.0.0.1', port: 0, authenticationTimeoutMs: 10 })
  const client = await door(hasty)
  assert.deepEqual(await client.until(() => false), ['error FATAL 57014 canceling authentication due to timeout'])
  await hasty.stop(0)
})

/** Logs in by hand. Answers the last line. */
async function logIn(user: string, password: string, secure: boolean, mechanism?: string): Promise<string> {
  let socket = await io.network.connect('127.0.0.1', locked.port)
  let binding: Uint8Array | undefined
  if (secure) {
    const request = new ByteWriter()
    writeTlsRequest(request)
    socket.write(request.copy())
    const yes = await new Promise<string>((done) => socket.onData((chunk) => done(Buffer.from(chunk).toString())))
    assert.equal(yes, 'S')
    const upgraded = await io.network.secure!(socket, {
      role: 'client',
      serverName: 'localhost',
      authority: authority.certificate,
      verify: true,
    })
    binding = serverEndPoint(upgraded.peerCertificate!)
    assert.deepEqual(Buffer.from(upgraded.peerCertificate!), Buffer.from(firstCertificate(node.certificate)))
    socket = upgraded
  }
  const frames = new FrameReader()
  frames.typed()
  const body = new BodyReader()
  const scram = new ScramClient({ password, random: io.random, channelBinding: binding })
  return new Promise((done) => {
    const out = new ByteWriter()
    const send = () => {
      socket.write(out.copy())
      out.reset()
    }
    socket.onData((chunk) => {
      frames.feed(chunk)
      while (frames.next()) {
        body.open(frames)
        const type = String.fromCharCode(frames.type)
        if (type === 'E') done(body.buffer.toString('latin1', body.at, body.end).replaceAll('\0', ' '))
        if (type !== 'R') continue
        const kind = body.u32()
        if (kind === 10) {
          const offered: string[] = []
          while (body.left > 1) offered.push(body.cstring())
          const chosen = scram.choose(mechanism ? [mechanism] : offered)
          writeSasl(out, chosen, scram.first())
          send()
        } else if (kind === 11) {
          writeSasl(out, undefined, scram.final(body.buffer.toString('latin1', body.at, body.end)))
          send()
        } else if (kind === 12) scram.verify(body.buffer.toString('latin1', body.at, body.end))
        else if (kind === 0) {
          done(`in ${offeredShort(scram)}`)
          socket.destroy()
        }
      }
    })
    writeStartup(out, new Map([['user', user]]))
    send()
  })
}

function offeredShort(scram: ScramClient): string {
  return scram.choose(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'])
}

test('SCRAM over clear text and, bound to the certificate, over TLS', async () => {
  assert.equal(await logIn('lattice', 'correct horse', false), 'in SCRAM-SHA-256')
  assert.equal(await logIn('lattice', 'correct horse', true), 'in SCRAM-SHA-256-PLUS')
})

test('wrong passwords, unknown users and a stripped offer are refused alike', async () => {
  assert.match(await logIn('lattice', 'wrong', false), /C28P01 Mpassword authentication failed for user "lattice"/)
  assert.match(await logIn('lattice', 'wrong', true), /C28P01 Mpassword authentication failed for user "lattice"/)
  assert.match(await logIn('nobody', 'correct horse', true), /C28P01 Mpassword authentication failed for user "nobody"/)
  assert.match(await logIn('lattice', 'correct horse', true, 'SCRAM-SHA-256'), /channel binding negotiation error/)
})

test('clear bytes behind a TLS request are refused', async () => {
  const client = await door(locked)
  writeTlsRequest(client.out)
  writeStartup(client.out, new Map([['user', 'lattice']]))
  client.flush()
  assert.match((await client.until(() => false)).join(), /received unencrypted data after SSL request/)
})

test('which addresses are this host', () => {
  for (const yes of ['127.0.0.1:5', '127.1.2.3', '::1', '[::1]:7', '::1:7', '::ffff:127.0.0.1:88', 'localhost']) {
    assert.ok(isLoopback(yes), yes)
  }
  for (const no of ['10.0.0.1:5', '::', '::12', '0.0.0.0', '::ffff:10.0.0.1:5', 'example.org', '1270.0.0.1']) {
    assert.ok(!isLoopback(no), no)
  }
})
