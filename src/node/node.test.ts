/** Starting, serving, refusing and stopping, on free ports, with canned statements below the doors. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import pg from 'pg'
import { DbError } from '../base/index.ts'
import { type NodeIo, nodeIo } from '../io/node/index.ts'
import { issueAuthority, issueCertificate, makeVerifier } from '../security/index.ts'
import { FakeDatabase } from '../wire/pg/fake-database.fixture.ts'
import { checkConfig, readConfigFile } from './config.ts'
import type { OpenedDatabase } from './database.ts'
import { startNode } from './node.ts'
import { NodeSqlEvents } from './sql-events.ts'
import { openStore, type StoreOptions } from './store.ts'

const root = mkdtempSync(join(tmpdir(), 'lattice-node-'))
const quiet = { debug() {}, info() {}, warn() {}, error() {}, child: () => quiet }
const ios: NodeIo[] = []

function io(): NodeIo {
  const made = nodeIo({ log: quiet })
  ios.push(made)
  return made
}

after(async () => {
  for (const made of ios) await made.stop()
  rmSync(root, { recursive: true, force: true })
})

const database = new FakeDatabase()

async function open(options: StoreOptions): Promise<OpenedDatabase> {
  const opened = await openStore(options)
  const events = new NodeSqlEvents(options.io, opened)
  const close = async () => {
    await events.close()
    await opened.close()
  }
  return { database, opened, events: () => events.databases(), close }
}

let directories = 0
function config(extra: Record<string, unknown> = {}) {
  const data = join(root, `data-${++directories}`)
  return checkConfig({ data, pg: '127.0.0.1:0', http: '127.0.0.1:0', ...extra }, 'the test')
}

const get = (port: number, path: string) => fetch(`http://127.0.0.1:${port}${path}`)

test('a node serves, tells about itself and stops', async () => {
  const node = await startNode(config(), { io: io(), open })
  const client = new pg.Client({ host: '127.0.0.1', port: node.pgPort, user: 'u' })
  client.on('error', () => {})
  await client.connect()
  assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }])
  assert.equal((await get(node.httpPort, '/healthz')).status, 200)
  assert.equal((await get(node.httpPort, '/readyz')).status, 200)
  const metrics = await (await get(node.httpPort, '/metrics')).text()
  assert.match(metrics, /^lattice_connections 1$/m)
  assert.match(metrics, /^lattice_statements_total 1$/m)
  assert.match(metrics, /^process_resident_memory_bytes \d/m)
  const status = (await (await get(node.httpPort, '/status')).json()) as any
  assert.equal(status.ready, true)
  assert.equal(status.clients.connections, 1)
  assert.equal((await get(node.httpPort, '/nothing')).status, 404)
  const ended = new Promise<void>((resolve) => client.once('end', () => resolve()))
  await node.stop()
  await ended
  await assert.rejects(get(node.httpPort, '/healthz'))
})

test('while starting it says so; a failed start leaves nothing behind', async () => {
  let begun!: (ports: StoreOptions) => void
  const opening = new Promise<StoreOptions>((resolve) => (begun = resolve))
  let go!: (error: Error) => void
  const settings = config({ pg: '127.0.0.1:0' })
  const listening: number[] = []
  const own = io()
  const network = own.network
  const watched: NodeIo = {
    ...own,
    dead: false,
    network: {
      connect: (host, port) => network.connect(host, port),
      listen: async (host, port, accept) => {
        const listener = await network.listen(host, port, accept)
        listening.push(listener.port)
        return listener
      },
    },
  }
  const start = startNode(settings, {
    io: watched,
    open: (options) => {
      begun(options)
      return new Promise((_, reject) => (go = reject))
    },
  })
  const failed = assert.rejects(start, { code: 'data_corrupted' })
  await opening
  const early = new pg.Client({ host: '127.0.0.1', port: listening[0], user: 'u' })
  await assert.rejects(early.connect(), { code: '57P03' })
  go(new DbError('data_corrupted', 'a broken table'))
  await failed
  await assert.rejects(network.connect('127.0.0.1', listening[0]), { code: 'connection_failure' })
})

test('a taken port, a held directory and another format are told apart', async () => {
  const settings = config()
  const first = await startNode(settings, { io: io(), open })
  const again = (extra: object) => startNode({ ...settings, ...extra }, { io: io(), open })
  const pgTaken = { pg: { host: '127.0.0.1', port: first.pgPort } }
  await assert.rejects(again(pgTaken), { code: 'object_in_use', message: /the port is taken/ })
  const httpTaken = { http: { host: '127.0.0.1', port: first.httpPort } }
  await assert.rejects(again(httpTaken), { code: 'object_in_use', message: /for HTTP: the port is taken/ })
  await assert.rejects(again({}), { code: 'lock_file_exists' })
  await first.stop()
  writeFileSync(join(settings.data, 'FORMAT'), 'latticedb data format 999\n')
  await assert.rejects(again({}), { code: 'incompatible_format' })
})

test('addresses beyond this host need TLS, and clients then a password', async () => {
  await assert.rejects(startNode(config({ pg: '0.0.0.0:0' }), { io: io(), open }), {
    code: 'config_file_error',
    message: /without TLS/,
  })
  await assert.rejects(startNode(config({ http: '0.0.0.0:0' }), { io: io(), open }), { code: 'config_file_error' })
  const insecure = await startNode(config({ pg: '0.0.0.0:0', insecure: true }), { io: io(), open })
  await insecure.stop()

  const own = io()
  const authority = issueAuthority('Test', 1, own)
  const issued = issueCertificate({ name: 'n', kind: 'node', hosts: ['localhost'], days: 1 }, authority, own)
  const files = { certificate: join(root, 'node.crt'), key: join(root, 'node.key') }
  writeFileSync(files.certificate, issued.certificate)
  writeFileSync(files.key, issued.key)
  database.verifiers.set('ada', makeVerifier('secret', own.random))
  const node = await startNode(config({ pg: '0.0.0.0:0', tls: files, loopbackPasswords: true }), { io: own, open })
  const login = (password: string) =>
    new pg.Client({
      host: '127.0.0.1',
      port: node.pgPort,
      user: 'ada',
      password,
      ssl: { ca: authority.certificate, servername: 'localhost' },
    }) // prettier-ignore
  const client = login('secret')
  await client.connect()
  await client.end()
  await assert.rejects(login('guess').connect(), { code: '28P01' })
  await node.stop()
})

test('a Unix domain socket in a directory of the configuration, gone when the node stops', async () => {
  const socket = join(root, 'sockets')
  mkdirSync(socket)
  writeFileSync(join(root, 'socket.json'), '{ "data": "d", "socket": "sockets" }')
  assert.equal(checkConfig(await readConfigFile(io(), join(root, 'socket.json')), 'x').socket, socket)
  const node = await startNode(config({ socket }), { io: io(), open })
  const client = new pg.Client({ host: socket, port: node.pgPort, user: 'u' })
  await client.connect()
  assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }])
  await client.end()
  assert.deepEqual(readdirSync(socket), [`.s.PGSQL.${node.pgPort}`])
  await node.stop()
  assert.deepEqual(readdirSync(socket), [])
})

test('configuration of a node of a cluster', async () => {
  const alone = checkConfig({ data: 'd' }, 'x')
  assert.deepEqual([alone.peer, alone.join, alone.locality, alone.replicas], [undefined, [], {}, 3])
  const given = { data: 'd', peer: '10.0.0.1:7400', join: '10.0.0.2:1, 10.0.0.3:2', locality: 'region=eu,zone=a' }
  const member = checkConfig(given, 'x')
  assert.deepEqual(member.peer, { host: '10.0.0.1', port: 7400 })
  assert.deepEqual(member.join, [
    { host: '10.0.0.2', port: 1 },
    { host: '10.0.0.3', port: 2 },
  ])
  assert.deepEqual(Object.entries(member.locality), [
    ['region', 'eu'],
    ['zone', 'a'],
  ])
  const listed = checkConfig({ ...given, join: ['10.0.0.2:1'], locality: { zone: 'b' } }, 'x')
  assert.deepEqual([listed.join, listed.locality], [[{ host: '10.0.0.2', port: 1 }], { zone: 'b' }])
  assert.throws(() => checkConfig({ data: 'd', peer: '0.0.0.0:7400' }, 'x'), { code: 'invalid_parameter_value' })
  assert.throws(() => checkConfig({ data: 'd', locality: 'eu' }, 'x'), { code: 'invalid_parameter_value' })
  assert.throws(() => checkConfig({ data: 'd', replicas: 0, peerTls: { key: 'k' } }, 'x'), {
    code: 'config_file_error',
  })
  const path = join(root, 'member.json')
  writeFileSync(path, JSON.stringify({ peerTls: { certificate: 'a', key: '/b', authority: 'c' } }))
  assert.deepEqual(await readConfigFile(io(), path), {
    peerTls: { certificate: join(root, 'a'), key: '/b', authority: join(root, 'c') },
  })
})

test('decommissioning is refused where there is no cluster, and to web forms', async () => {
  const node = await startNode(config(), { io: io(), open })
  const post = (headers: Record<string, string>, body: string) =>
    fetch(`http://127.0.0.1:${node.httpPort}/decommission`, { method: 'POST', headers, body })
  const json = { 'content-type': 'application/json' }
  const refused = await post(json, '{"node":1}')
  assert.match(((await refused.json()) as { error: string }).error, /belongs to no cluster/)
  assert.ok(refused.status >= 400)
  assert.equal((await post(json, '{"node":"1"}')).status, 400)
  assert.equal((await post({ 'content-type': 'text/plain' }, '{"node":1}')).status, 415)
  await node.stop()
})

test('configuration: defaults, units, files, and every mistake named', async () => {
  const defaults = checkConfig({ data: 'd' }, 'x')
  assert.deepEqual(defaults.pg, { host: '127.0.0.1', port: 7432 })
  assert.equal(defaults.limits.messageBytes, 64 * 1024 * 1024)
  assert.equal(checkConfig({ data: 'd', memory: { cache: '1.5 GiB' } }, 'x').memory.cache, 1.5 * 1024 ** 3)
  assert.deepEqual(checkConfig({ data: 'd', pg: '[::1]:5' }, 'x').pg, { host: '::1', port: 5 })
  const path = join(root, 'lattice.json')
  writeFileSync(path, JSON.stringify({ data: 'sub', tls: { certificate: 'a', key: '/b' } }))
  const read = await readConfigFile(io(), path)
  assert.deepEqual(read, { data: join(root, 'sub'), tls: { certificate: join(root, 'a'), key: '/b' } })
  const wrong = { data: 5, portt: 1, limits: { connections: 0, messageBytes: 'much' } }
  assert.throws(
    () => checkConfig(wrong, 'lattice.json'),
    (error) => {
      assert.ok(error instanceof DbError)
      assert.equal(error.code, 'config_file_error')
      for (const name of ['data:', 'limits.connections:', 'limits.messageBytes:', 'portt']) {
        assert.ok(error.detail?.includes(name), name)
      }
      return true
    },
  )
  assert.throws(() => checkConfig({ data: 'd', pg: 'nowhere' }, 'x'), { code: 'invalid_parameter_value' })
  writeFileSync(path, '{')
  await assert.rejects(readConfigFile(io(), path), { code: 'config_file_error' })
  await assert.rejects(readConfigFile(io(), join(root, 'absent')), { code: 'undefined_file' })
})
