/** Real nodes become a cluster, leave it and come back; what does not belong to it is refused by name. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync } from 'node:fs'
import { connect as dial } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, test } from 'node:test'
import { open } from '../../src/client/index.ts'
import { startNode, statusOf } from './node-process.ts'
import { connect, freePort, ProcessCluster, until } from './process-cluster.ts'

const launcher = resolve(import.meta.dirname, '../../bin/lattice')
const clusters: ProcessCluster[] = []

after(async () => {
  for (const cluster of clusters) await cluster.close()
})

function newCluster(): ProcessCluster {
  const cluster = new ProcessCluster(mkdtempSync(join(tmpdir(), 'lattice-form-')))
  clusters.push(cluster)
  return cluster
}

function lattice(...args: readonly string[]): Promise<{ status: number | null; out: string }> {
  const child = spawn(launcher, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (out += chunk))
  return new Promise((done) => child.once('close', (status) => done({ status, out })))
}

const http = (cluster: ProcessCluster, n: number) => `127.0.0.1:${cluster.node(n).httpPort}`

test('three nodes form; any gateway writes and reads; SIGTERM hands over and exits 0', {
  timeout: 60_000,
}, async () => {
  const cluster = newCluster()
  await cluster.form()
  const clients = await Promise.all([1, 2, 3].map((n) => connect(cluster.node(n))))
  await clients[1].query('create table t (id int primary key, by int not null)')
  for (const [i, client] of clients.entries()) await client.query('insert into t values ($1, $1)', [i + 1])
  for (const client of clients) {
    assert.deepEqual((await client.query('select id from t order by id')).rows, [{ id: 1 }, { id: 2 }, { id: 3 }])
  }
  await clients[2].query('begin')
  for (const id of [1, 2, 3]) await clients[2].query('update t set by = by + 10 where id = $1', [id])
  await clients[2].query('commit')
  assert.equal((await clients[0].query('select sum(by)::int as sum from t')).rows[0].sum, 36)
  for (const client of clients) await client.end()

  const shown = await lattice('status', '--http', http(cluster, 2))
  assert.equal(shown.status, 0)
  for (const n of [1, 2, 3]) assert.match(shown.out, new RegExp(`^ +${n} │ alive │ host=h${n} `, 'm'))
  const metrics = await (await fetch(`http://${http(cluster, 1)}/metrics`)).text()
  assert.match(metrics, /^lattice_raft_replicas 1$/m)
  assert.match(metrics, /^lattice_members\{state="alive"\} 3$/m)

  for (const n of [1, 2, 3]) {
    const leader = await cluster.leader(n)
    const other = [1, 2, 3].find((m) => m !== leader)!
    const client = await connect(cluster.node(other))
    const ended = cluster.node(leader).end('SIGTERM')
    const began = performance.now()
    await client.query('update t set by = by + 1 where id = 1')
    assert.ok(performance.now() - began < 2_000, 'an update while the leader hands over')
    assert.equal(await ended, 0)
    assert.match(cluster.node(leader).log(), /"partitions":1,"kept":0,"event":"leaderships-handed-over"/)
    await client.end()
    await cluster.start(leader)
  }
  const client = await connect(cluster.node(1))
  assert.equal((await client.query('select by from t where id = 1')).rows[0].by, 14)
  await client.end()
})

test('a node leaves for good; another comes with an empty directory and a new id', { timeout: 60_000 }, async () => {
  const cluster = newCluster()
  await cluster.form()
  const client = await connect(cluster.node(1))
  await client.query('create table t (id int primary key)')
  await client.query('insert into t select generate_series(1, 100)')
  const refused = await lattice('decommission', '3', '--http', http(cluster, 1))
  assert.equal(refused.status, 1)
  assert.match(refused.out, /node 3 cannot be taken out of the cluster\npartition \d+ is to have 3 replicas/)
  assert.match((await lattice('decommission', '9', '--http', http(cluster, 1))).out, /the cluster has no node 9/)
  await cluster.start(4, [2])
  const ended = cluster.node(3).ended
  // Asked itself: it passes the request on.
  const done = await lattice('decommission', '3', '--http', http(cluster, 3))
  const other = done.status === 0 ? done : await lattice('decommission', '3', '--http', http(cluster, 1))
  assert.equal(other.status, 0, done.out + other.out)
  assert.notEqual(await ended, null)
  assert.match(cluster.node(3).log(), /this node was removed from the cluster/)
  const { members, partitions } = await statusOf(cluster.node(2))
  assert.equal(members.find((m: any) => m.node === 3).state, 'left')
  for (const { replicas } of partitions) assert.deepEqual(replicas, [1, 2, 4])
  await assert.rejects(cluster.start(3, [1]), /node 3 was removed from the cluster/)
  const fresh = await cluster.start(5, [1], { args: [] })
  assert.equal((await statusOf(fresh)).node.id, 5)
  const there = await connect(fresh)
  assert.equal((await there.query('select count(*)::int as n from t')).rows[0].n, 100)
  await there.end()
  await client.end()
})

test('directories and nodes of others are refused', { timeout: 60_000 }, async () => {
  const ours = newCluster()
  const theirs = newCluster()
  await ours.form(1)
  await theirs.form(1)
  // The directory of a node of its own.
  const solo = join(ours.directory, 'solo')
  const alone = await startNode(solo)
  await alone.end('SIGTERM')
  const peer = `127.0.0.1:${await freePort()}`
  const join1 = ['--peer', peer, '--join', ours.peerAddress(1)]
  await assert.rejects(startNode(solo, { args: join1 }), /holds the data of a node of its own/)
  await startNode(solo).then((node) => node.end('SIGTERM'))
  // A directory of another cluster.
  await theirs.node(1).end('SIGTERM')
  await assert.rejects(
    startNode(theirs.dataOf(1), { args: join1 }),
    /its directory belongs to cluster [0-9a-f]{32}, this is/,
  )
  // A node of the cluster's directory, opened by itself.
  await assert.rejects(open(theirs.dataOf(1)), /is that of node 1 of cluster/)
  // Another cluster's node where one of ours was.
  await ours.start(2, [1])
  await ours.node(2).end('SIGKILL')
  const stranger = await startNode(theirs.dataOf(1), { args: ['--peer', ours.peerAddress(2)] })
  await until('the stranger to refuse us', 15_000, async () => /"event":"peer-refused"/.test(stranger.log()))
  assert.match(stranger.log(), /this node belongs to cluster [0-9a-f]{32}, you to/)
  const { members } = await statusOf(stranger)
  assert.deepEqual(
    members.map((m: any) => m.node),
    [1],
  )
  await stranger.end('SIGKILL')
})

test('garbage on the peer port harms nobody', { timeout: 60_000 }, async () => {
  const cluster = newCluster()
  await cluster.form(1)
  const port = Number(cluster.peerAddress(1).split(':')[1])
  const pieces = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.alloc(100_000, 0x41),
    Buffer.concat([Buffer.from('LATTICEP'), Buffer.alloc(64, 0xff)]),
    Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]),
  ]
  await Promise.all(
    pieces.map(
      (piece) =>
        new Promise<void>((done) => {
          const socket = dial(port, '127.0.0.1', () => socket.write(piece))
          socket.on('error', () => {})
          socket.setTimeout(500, () => socket.destroy())
          socket.on('data', () => {})
          socket.once('close', () => done())
        }),
    ),
  )
  const client = await connect(cluster.node(1))
  assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
  await client.end()
  await cluster.start(2, [1])
  const metrics = await (await fetch(`http://${http(cluster, 1)}/metrics`)).text()
  assert.match(metrics, /^lattice_peer_refused\{reason="garbage"\} [1-9]/m)
})

test('certificates: ours are let in, others are not', { timeout: 60_000 }, async () => {
  const cluster = newCluster()
  const ours = join(cluster.directory, 'ours')
  const theirs = join(cluster.directory, 'theirs')
  for (const dir of [ours, theirs]) {
    assert.equal((await lattice('cert', 'authority', '--dir', dir)).status, 0)
    for (const id of ['1', '2']) assert.equal((await lattice('cert', 'node', '--id', id, '--dir', dir)).status, 0)
  }
  assert.equal((await lattice('cert', 'client', 'ada', '--dir', ours)).status, 0)
  const with_ = (dir: string, name: string) => ({
    args: [
      '--peer-cert',
      join(dir, `${name}.crt`),
      '--peer-key',
      join(dir, `${name}.key`),
      '--peer-ca',
      join(dir, 'ca.crt'),
    ],
  })
  await cluster.start(1, [], with_(ours, 'node-1'))
  const peer = `127.0.0.1:${await freePort()}`
  const refusals = async () => {
    const metrics = await (await fetch(`http://${http(cluster, 1)}/metrics`)).text()
    return Number(/^lattice_peer_refused\{reason="tls"\} (\d+)$/m.exec(metrics)?.[1] ?? 0)
  }
  for (const [name, { args }] of [
    ['foreign', with_(theirs, 'node-2')],
    ['client', with_(ours, 'ada')],
    ['none', { args: [] }],
  ] as const) {
    const before = await refusals()
    const data = join(cluster.directory, name)
    const words = ['start', '--data', data, '--pg', '127.0.0.1:0', '--http', '127.0.0.1:0', '--peer', peer]
    const child = spawn(launcher, [...words, '--join', cluster.peerAddress(1), ...args], { stdio: 'ignore' })
    const ended = new Promise((done) => child.once('close', done))
    await until(`${name} to be refused`, 15_000, async () => (await refusals()) > before)
    child.kill('SIGKILL')
    await ended
    assert.ok(!readdirSync(data).includes('NODE'), `${name} has joined`)
  }
  assert.equal((await statusOf(cluster.node(1))).members.length, 1)
  await cluster.start(2, [1], with_(ours, 'node-2'))
  assert.equal((await statusOf(cluster.node(2))).node.id, 2)
})
