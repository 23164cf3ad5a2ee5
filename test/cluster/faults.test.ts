/**
 * Clusters of real processes whose disks fill up, whose power goes, whose network is cut one way. They need root and
 * Linux's means (tmpfs, network namespaces, xfs in loop devices); where those are not to be had they are skipped by name
 * (test/skips.txt).
 *
 *   CUTS=10 node --test test/cluster/faults.test.ts      (power cuts and network cuts; one and two without it)
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { statusOf } from './node-process.ts'
import { connect, ProcessCluster, until } from './process-cluster.ts'
import { Writers } from './writers.ts'

const cuts = Number(process.env.CUTS ?? 0)
const undo: (() => void | Promise<void>)[] = []

after(async () => {
  const failures: unknown[] = []
  // All of them, whatever goes wrong: mounts and namespaces must not be left behind.
  for (const step of undo.toReversed()) {
    try {
      await step()
    } catch (error) {
      failures.push(error)
    }
  }
  assert.deepEqual(failures, [])
})

function run(...words: readonly string[]): boolean {
  return spawnSync(words[0], words.slice(1)).status === 0
}

function must(...words: readonly string[]): void {
  const { status, stderr, error } = spawnSync(words[0], words.slice(1), { encoding: 'utf8' })
  assert.equal(status, 0, `${words.join(' ')}: ${stderr ?? error}`)
}

const root = process.platform === 'linux' && process.getuid?.() === 0
const probe = mkdtempSync(join(tmpdir(), 'lattice-probe-'))
undo.push(() => rmSync(probe, { recursive: true, force: true }))
const tmpfs = root && run('mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', probe) && run('umount', probe)
const xfs = root && probeXfs()
const netns = root && run('ip', 'netns', 'add', 'lattice-probe') && run('ip', 'netns', 'del', 'lattice-probe')

function probeXfs(): boolean {
  const image = join(probe, 'image')
  const mount = join(probe, 'mount')
  mkdirSync(mount)
  const made = run('truncate', '-s', '320M', image) && run('mkfs.xfs', '-q', image)
  return (
    made &&
    run('mount', '-o', 'loop', image, mount) &&
    run('xfs_io', '-x', '-c', 'shutdown', mount) &&
    run('umount', mount)
  )
}

function newCluster(name: string): ProcessCluster {
  const cluster = new ProcessCluster(mkdtempSync(join(tmpdir(), `lattice-${name}-`)))
  undo.push(() => cluster.close())
  return cluster
}

async function grow(writers: Writers, by: number): Promise<void> {
  const due = writers.acknowledged + by
  await until(`${by} more acknowledged rows`, 20_000, async () => {
    assert.deepEqual(writers.failures, [])
    return writers.acknowledged >= due
  })
}

test('a full disk under the leader: writes are refused or go on, reads go on, nothing acknowledged is lost', {
  skip: tmpfs ? false : 'no tmpfs can be mounted here',
  timeout: 90_000,
}, async (t) => {
  const cluster = newCluster('full')
  const small = join(cluster.directory, 'small')
  mkdirSync(small)
  must('mount', '-t', 'tmpfs', '-o', 'size=96m', 'none', small)
  undo.push(() => void run('umount', '-l', small))
  undo.push(() => cluster.end())
  await cluster.form(3, (n) => (n === 1 ? { data: join(small, 'node') } : {}))
  const client = await connect(cluster.node(2))
  await client.query('create table written (n int primary key, filler text default repeat(md5(random()::text), 300))')
  assert.equal(await cluster.leader(2), 1)
  const { bavail, bsize } = statfsSync(small)
  const filler = join(small, 'filler')
  writeFileSync(filler, Buffer.alloc(bavail * bsize))
  const writers = new Writers('written', () => [cluster.node(2).url, cluster.node(3).url])
  writers.start(4)
  await until('the full disk to be noticed', 30_000, async () => {
    assert.deepEqual(writers.failures, [])
    const ended = cluster.node(1).child.exitCode !== null
    return writers.acknowledged > 4_000 || ended || writers.errors.some((e) => e.outcome === 'refused')
  })
  const { rows } = await client.query('select count(*)::int as n from written')
  assert.ok(rows[0].n > 0)
  rmSync(filler)
  const ended = cluster.node(1).child.exitCode !== null
  if (ended) await cluster.start(1)
  await grow(writers, 50)
  await writers.stop()
  await cluster.replicated(3)
  await writers.check(client)
  t.diagnostic(`${writers.acknowledged} rows, errors: ${summary(writers)}; the node ${ended ? 'ended' : 'went on'}`)
  await client.end()
})

function summary(writers: Writers): string {
  const counts = new Map<string, number>()
  for (const { outcome, message } of writers.errors)
    counts.set(`${outcome}: ${message}`, (counts.get(`${outcome}: ${message}`) ?? 0) + 1)
  return [...counts].map(([what, n]) => `${n} × ${what}`).join('; ') || 'none'
}

test('the power goes under all nodes at once: what was acknowledged is there', {
  skip: xfs ? false : 'no xfs in a loop device here',
  timeout: 60_000 + (cuts || 1) * 30_000,
}, async (t) => {
  const cluster = newCluster('power')
  const place = (n: number) => join(cluster.directory, `disk-${n}`)
  const image = (n: number) => join(cluster.directory, `image-${n}`)
  const mount = (n: number) => must('mount', '-o', 'loop', image(n), place(n))
  for (const n of [1, 2, 3]) {
    mkdirSync(place(n))
    must('truncate', '-s', '512M', image(n))
    must('mkfs.xfs', '-q', image(n))
    mount(n)
    undo.push(() => void run('umount', '-l', place(n)))
  }
  undo.push(() => cluster.end())
  await cluster.form(3, (n) => ({ data: join(place(n), 'node') }))
  const first = await connect(cluster.node(1))
  await first.query('create table written (n int primary key)')
  await first.end()
  let usable = [1, 2, 3]
  const writers = new Writers('written', () => usable.map((n) => cluster.node(n).url))
  writers.start(6)
  for (let cut = 0; cut < (cuts || 1); cut++) {
    await grow(writers, 300)
    usable = []
    for (const n of [1, 2, 3]) must('xfs_io', '-x', '-c', 'shutdown', place(n))
    await Promise.all([1, 2, 3].map((n) => cluster.node(n).end('SIGKILL')))
    for (const n of [1, 2, 3]) {
      must('umount', place(n))
      mount(n)
    }
    await Promise.all([1, 2, 3].map((n) => cluster.start(n)))
    usable = [1, 2, 3]
    const client = await connect(cluster.node(1 + (cut % 3)))
    await writers.check(client)
    await client.end()
  }
  await grow(writers, 50)
  await writers.stop()
  t.diagnostic(`${writers.acknowledged} rows, errors: ${summary(writers)}`)
})

const network = (n: number) => `10.231.77.${n}`

/** A namespace for each node, all on one bridge with this process. */
function buildNetwork(): void {
  // What a run that was killed has left behind.
  for (const n of [1, 2, 3]) {
    run('ip', 'link', 'del', `lattice-v${n}`)
    run('ip', 'netns', 'del', `lattice-${n}`)
  }
  run('ip', 'link', 'del', 'lattice-br')
  must('ip', 'link', 'add', 'lattice-br', 'type', 'bridge')
  undo.push(() => void run('ip', 'link', 'del', 'lattice-br'))
  must('ip', 'addr', 'add', `${network(254)}/24`, 'dev', 'lattice-br')
  must('ip', 'link', 'set', 'lattice-br', 'up')
  for (const n of [1, 2, 3]) {
    const space = `lattice-${n}`
    must('ip', 'netns', 'add', space)
    undo.push(() => void run('ip', 'netns', 'del', space))
    must('ip', 'link', 'add', `lattice-v${n}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space)
    must('ip', 'link', 'set', `lattice-v${n}`, 'master', 'lattice-br', 'up')
    must('ip', '-n', space, 'addr', 'add', `${network(n)}/24`, 'dev', 'eth0')
    must('ip', '-n', space, 'link', 'set', 'eth0', 'up')
    must('ip', '-n', space, 'link', 'set', 'lo', 'up')
  }
}

/** What one node sends to another is lost; the way back is open. */
const cutWay = (from: number, to: number) =>
  must('ip', '-n', `lattice-${from}`, 'route', 'add', 'blackhole', `${network(to)}/32`)
const openWay = (from: number, to: number) =>
  must('ip', '-n', `lattice-${from}`, 'route', 'del', 'blackhole', `${network(to)}/32`)

test('the leader cannot be heard, or cannot hear: others lead, and it serves nothing old', {
  skip: netns ? false : 'no network namespaces here',
  timeout: 60_000 + cuts * 30_000,
}, async (t) => {
  buildNetwork()
  const cluster = newCluster('cut')
  undo.push(() => cluster.end())
  await cluster.form(3, (n) => ({
    host: network(n),
    under: ['ip', 'netns', 'exec', `lattice-${n}`],
    args: ['--insecure'],
  }))
  const first = await connect(cluster.node(1))
  await first.query('create table counter (id int primary key, value int not null)')
  await first.query('insert into counter values (1, 0)')
  await first.end()
  for (let cut = 0; cut < (cuts || 2); cut++) {
    const leader = await cluster.leader(1)
    const others = [1, 2, 3].filter((n) => n !== leader)
    const ways = others.map((n) => (cut % 2 === 0 ? [leader, n] : [n, leader]))
    const reader = await connect(cluster.node(leader))
    await reader.query('select value from counter where id = 1')
    for (const [from, to] of ways) cutWay(from, to)
    const began = performance.now()
    const writer = await connect(cluster.node(others[0]))
    let value = 0
    await until('a write through the others', 10_000, async () => {
      const { rows } = await writer.query('update counter set value = value + 1 where id = 1 returning value')
      value = rows[0].value
      return true
    })
    const gap = performance.now() - began
    try {
      const { rows } = await reader.query('select value from counter where id = 1')
      assert.ok(rows[0].value >= value, `the old leader served ${rows[0].value} after ${value} was acknowledged`)
    } catch (error) {
      if (!/^08|^40/.test((error as { code: string }).code)) throw error
    }
    for (const [from, to] of ways) openWay(from, to)
    await until('all to be alive again', 20_000, async () => {
      for (const n of [1, 2, 3]) {
        const { members, ready } = await statusOf(cluster.node(n))
        if (!ready || members.some((m: any) => m.state !== 'alive')) return false
      }
      return true
    })
    await until('the old leader to see it all', 10_000, async () => {
      const { rows } = await reader.query('select value from counter where id = 1')
      return rows[0].value >= value
    })
    await reader.end()
    await writer.end()
    t.diagnostic(
      `node ${leader} ${cut % 2 === 0 ? 'was not heard' : 'did not hear'}: written again after ${Math.round(gap)} ms`,
    )
  }
})
