/**
 * Disks and directories that refuse, and clients that may not: a full file system, one that is read-only, a directory
 * in use, another format, wrong passwords, silence instead of a password. Mounting needs root; what needs it is skipped
 * without.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import pg from 'pg'
import { type NodeProcess, startNode } from '../cluster/node-process.ts'

const directory = mkdtempSync(join(tmpdir(), 'lattice-disk-'))
const mounts: string[] = []
const nodes: NodeProcess[] = []

after(async () => {
  for (const node of nodes) await node.end('SIGKILL')
  for (const path of mounts) spawnSync('umount', [path])
  rmSync(directory, { recursive: true, force: true })
})

function mount(name: string, options: string): string | undefined {
  const path = join(directory, name)
  mkdirSync(path)
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path]).status !== 0) return undefined
  mounts.push(path)
  return path
}

async function start(data: string, args: readonly string[] = []): Promise<NodeProcess> {
  const node = await startNode(data, { args })
  nodes.push(node)
  return node
}

async function connect(node: NodeProcess, options: pg.ClientConfig = {}): Promise<pg.Client> {
  const { user = 'lattice', ...rest } = options
  const client = new pg.Client({ host: '127.0.0.1', port: node.pgPort, user, database: 'lattice', ...rest })
  client.on('error', () => {})
  await client.connect()
  return client
}

const failure = (data: string) =>
  startNode(data).then(
    async (node) => {
      await node.end('SIGKILL')
      return 'it started'
    },
    (error: Error) => error.message,
  )

test('a full disk: writes fail with 53100, reads go on, and with room again writes too', {
  timeout: 60_000,
}, async (t) => {
  const path = mount('full', 'size=96m')
  if (path === undefined) {
    t.skip('mounting needs root')
    return
  }
  const node = await start(join(path, 'data'))
  const client = await connect(node)
  const other = await connect(node)
  await client.query('create table t (n int primary key, filler text)')
  let told = 0
  let code = ''
  while (code === '' && told < 20_000) {
    try {
      await client.query(
        "insert into t select $1, string_agg(md5((i + $1)::text), '') from generate_series(1, 4000) i",
        [told],
      )
      told++
    } catch (error) {
      code = (error as { code: string }).code ?? (error as Error).message
    }
  }
  assert.equal(code, '53100', node.log().slice(-2000))
  const { rows } = await other.query('select count(*)::int as n from t')
  assert.ok(rows[0].n === told || rows[0].n === told + 1, `${told} acknowledged, ${rows[0].n} there`)
  assert.equal(spawnSync('mount', ['-o', 'remount,size=512m', path]).status, 0)
  // The log or a flush may find the room a moment later.
  for (let tries = 0; ; tries++) {
    const outcome = await other.query('insert into t values (-1, null)').then(
      () => 'done',
      (error) => error.code,
    )
    if (outcome === 'done') break
    assert.equal(outcome, '53100', node.log().slice(-3000))
    assert.ok(tries < 100_000)
  }
  await client.end()
  await other.end()
  await node.end('SIGKILL')
  const again = await start(join(path, 'data'))
  const last = await connect(again)
  const found = (await last.query('select count(*)::int as n from t where n >= 0')).rows[0].n
  assert.ok(found === told || found === told + 1, `${told} acknowledged, ${found} there after a kill`)
  await last.end()
  await again.end()
})

test('a directory that cannot be used keeps a node from starting, with the reason', { timeout: 30_000 }, async () => {
  const held = join(directory, 'held')
  const holder = await start(held)
  assert.match(await failure(held), /ended with 1: .*(in use|another process|lock)/s)
  await holder.end()
  writeFileSync(join(held, 'FORMAT'), 'latticedb data format 0\n')
  assert.match(await failure(held), /ended with 1: .*has format 0, not format 1/s)
  const readOnly = mount('read-only', 'ro,size=1m')
  if (readOnly !== undefined) assert.match(await failure(join(readOnly, 'data')), /ended with 1: .*(read-only|EROFS)/s)
  writeFileSync(join(directory, 'file'), '')
  assert.match(await failure(join(directory, 'file')), /ended with 1: .*(EEXIST|ENOTDIR|not a directory)/s)
})

test('passwords: wrong, missing, of nobody, and never sent', { timeout: 30_000 }, async () => {
  const config = join(directory, 'config.json')
  const data = join(directory, 'secret')
  const open = await start(data)
  const admin = await connect(open)
  await admin.query("create role alice login password 'right'")
  await admin.end()
  await open.end()
  writeFileSync(config, JSON.stringify({ data, loopbackPasswords: true, limits: { authenticationSeconds: 1 } }))
  const node = await start(data, ['--config', config])
  const codeOf = (options: pg.ClientConfig) =>
    connect(node, options).then(
      async (client) => {
        await client.end()
        return 'in'
      },
      (error) => error.code ?? error.message,
    )
  assert.equal(await codeOf({ user: 'alice', password: 'right' }), 'in')
  assert.equal(await codeOf({ user: 'alice', password: 'wrong' }), '28P01')
  assert.equal(await codeOf({ user: 'alice', password: 'right ' }), '28P01')
  // Nobody learns which users there are.
  assert.equal(await codeOf({ user: 'mallory', password: 'right' }), '28P01')
  assert.equal(await codeOf({ user: 'lattice', password: '' + 'x'.repeat(5000) }), '28P01')
  const silent = await new Promise<boolean>((done) =>
    connectTcp(node.pgPort, '127.0.0.1')
      .on('close', () => done(true))
      .resume(),
  )
  assert.ok(silent, 'who says nothing is shown out')
  assert.equal(await codeOf({ user: 'alice', password: 'right' }), 'in')
  await node.end()
})
