/** Real nodes as processes: start to ready, statements, restart, signals, demo. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { open } from '../../src/client/index.ts'

const launcher = fileURLToPath(new URL('../../bin/lattice', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'lattice-start-'))
const children: ChildProcess[] = []

after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})

interface Started {
  readonly child: ChildProcess
  readonly pgPort: number
  readonly httpPort: number
  readonly ended: Promise<number | null>
}

function launch(args: readonly string[]): { child: ChildProcess; ended: Promise<number | null> } {
  const child = spawn(launcher, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] })
  children.push(child)
  return { child, ended: new Promise((resolve) => child.once('close', (status) => resolve(status))) }
}

/** Starts a node on free ports; its log tells which. */
function start(data: string): Promise<Started> {
  const { child, ended } = launch(['start', '--data', data, '--pg', '127.0.0.1:0', '--http', '127.0.0.1:0'])
  return new Promise((resolve, reject) => {
    let log = ''
    child.stderr!.on('data', (chunk) => {
      log += chunk
      for (const line of log.split('\n')) {
        if (!line.includes('"event":"ready"')) continue
        const { pgPort, httpPort } = JSON.parse(line)
        resolve({ child, ended, pgPort, httpPort })
      }
    })
    void ended.then((status) => reject(new Error(`ended with ${status}: ${log}`)))
  })
}

const url = (node: Started) => `postgres://lattice@127.0.0.1:${node.pgPort}/lattice`

test('start, work, stop with status 0, start again and find it all', async () => {
  const first = await start('data')
  const db = await open(url(first))
  await db.script(
    `create table t (a int primary key, b text); insert into t select g, 'x' || g from generate_series(1, 1000) g`,
  )
  assert.equal((await fetch(`http://127.0.0.1:${first.httpPort}/readyz`)).status, 200)
  const status = launch(['status', '--http', `127.0.0.1:${first.httpPort}`])
  assert.equal(await status.ended, 0)
  first.child.kill('SIGTERM')
  assert.equal(await first.ended, 0)
  await db.close()

  const second = await start('data')
  const again = await open(url(second))
  assert.deepEqual((await again.query('select count(*) as n, max(b) as m from t')).rows, [{ n: 1000, m: 'x999' }])
  const holder = launch(['start', '--data', 'data', '--pg', '127.0.0.1:0', '--http', '127.0.0.1:0'])
  assert.equal(await holder.ended, 1)
  second.child.kill('SIGKILL')
  await second.ended
  await again.close()

  const third = await start('data')
  const last = await open(url(third))
  assert.deepEqual((await last.query('select count(*) as n from t')).rows, [{ n: 1000 }])
  await last.close()
  third.child.kill('SIGINT')
  assert.equal(await third.ended, 0)
})

test('storage tells a sound directory from a damaged one', async () => {
  const node = await start('checked')
  const db = await open(url(node))
  await db.script(
    `create table t (a int primary key, b text); insert into t select g, repeat('x', 100) from generate_series(1, 500) g`,
  )
  // A damaged last group could be a torn write; one that others follow cannot.
  for (let i = 0; i < 3; i++) await db.query('insert into t values ($1, null)', [1000 + i])
  await db.close()
  const run = async (...args: string[]) => {
    const { child, ended } = launch(['storage', '--data', ...args])
    let out = ''
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (chunk) => (out += chunk))
    return { status: await ended, out }
  }
  assert.match((await run('checked')).out, /lattice: .*checked/, 'a directory in use is left alone')
  node.child.kill('SIGTERM')
  assert.equal(await node.ended, 0)
  const sound = await run('checked')
  assert.equal(sound.status, 0, sound.out)
  assert.match(sound.out, /Every checksum holds/)
  const log = join(directory, 'checked', 'log')
  const segment = join(log, readdirSync(log).filter((name) => name.endsWith('.log'))[0])
  const bytes = readFileSync(segment)
  const at = bytes.indexOf('xxxxxxxxxx')
  bytes[at] ^= 1
  writeFileSync(segment, bytes)
  const damaged = await run('checked', '--json')
  assert.equal(damaged.status, 1, damaged.out)
  assert.ok(JSON.parse(damaged.out).problems.length > 0)
  assert.match((await run('nowhere')).out, /nowhere/)
})

/** Runs a demo until it serves, asks it for its tracks and ends it; answers what it printed. */
async function demo(...options: readonly string[]): Promise<string> {
  const { child, ended } = launch(['demo', '--pg', '127.0.0.1:0', '--http', '127.0.0.1:0', ...options])
  let out = ''
  const serving = new Promise<string>((resolve, reject) => {
    child.stdout!.on('data', (chunk) => {
      out += chunk
      const match = /postgres:\/\/\S+/.exec(out)
      if (match) resolve(match[0])
    })
    child.stderr!.on('data', (chunk) => (out += chunk))
    void ended.then(() => reject(new Error(out)))
  })
  const db = await open(await serving)
  assert.deepEqual(
    (await db.query('select count(*) as n from artist join album using (artist_id) join track using (album_id)')).rows,
    [{ n: 3503 }],
  )
  await db.close()
  child.kill('SIGTERM')
  assert.equal(await ended, 0)
  return out
}

test('demo loads its sample data once', { timeout: 60_000 }, async () => {
  assert.match(await demo('--nodes', '1', '--data', 'alone'), /Loading/)
  assert.doesNotMatch(await demo('--nodes', '1', '--data', 'alone'), /Loading/)
})

test('demo of three nodes: data is loaded once, all nodes end with it', { timeout: 60_000 }, async () => {
  assert.match(await demo('--peer', '127.0.0.1:0', '--data', 'three'), /Loading/)
  const again = await demo('--peer', '127.0.0.1:0', '--data', 'three')
  assert.doesNotMatch(again, /Loading/)
  assert.equal(again.match(/postgres:\S*/)![0].split(',').length, 3)
  for (const n of [1, 2, 3]) {
    const log = readFileSync(join(directory, 'three', `node-${n}.log`), 'utf8')
    assert.equal(log.match(/"event":"stopped"/g)?.length, 2, log)
  }
  const mixed = launch(['demo', '--nodes', '1', '--data', 'three'])
  assert.equal(await mixed.ended, 1)
})
