/** A node without room on its disk, in simulated clusters: it refuses and follows no more, and lives; then it goes on by itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { type SimCluster, simCluster } from '../../testing/index.ts'

const filler = 'x'.repeat(4000)

/** Writes until something is refused or so much is written; how many were acknowledged, and the codes of the others. */
async function write(cluster: SimCluster, node: number, from: number, count: number) {
  const codes = new Set<string>()
  let acknowledged = 0
  for (let id = from; id < from + count; id++) {
    try {
      await cluster.connect(node).query('insert into item values ($1, $2)', [id, filler])
      acknowledged++
    } catch (error) {
      if (!(error instanceof DbError)) throw error
      codes.add(error.code)
    }
  }
  return { acknowledged, codes }
}

async function rows(cluster: SimCluster, node: number): Promise<number> {
  const { rows } = await cluster.connect(node).query<{ n: number }>('select count(*)::int as n from item')
  return rows[0].n
}

async function withItems(seed: number): Promise<SimCluster> {
  const cluster = await simCluster({ nodes: 3, seed, callTimeout: '120s' })
  await cluster.connect(1).query('create table item (id int primary key, filler text)')
  return cluster
}

test('the leader’s disk fills up: another leads, writes go on, and the node keeps up again when there is room', async () => {
  await using cluster = await withItems(1)
  const leader = await cluster.leaderOf('item')
  const other = cluster.nodes.find((n) => n !== leader)!
  cluster.disk(leader).fill()
  const during = await write(cluster, other, 1, 600)
  assert.ok(during.acknowledged > 400, `${during.acknowledged} acknowledged`)
  assert.notEqual(await cluster.leaderOf('item'), leader)
  assert.deepEqual(cluster.alive, cluster.nodes, 'nobody has died')
  assert.ok(
    [...during.codes].every((code) => ['disk_full', 'connection_failure'].includes(code)),
    [...during.codes].join(),
  )
  assert.equal(await rows(cluster, leader), during.acknowledged, 'reads go on at its gateway')
  cluster.disk(leader).heal()
  await cluster.advance('10s')
  await cluster.transferLeader('item', leader)
  assert.equal(await rows(cluster, leader), during.acknowledged)
  assert.equal((await write(cluster, leader, 1001, 50)).acknowledged, 50)
})

test('all disks fill up: writes are refused with 53100, reads go on, and writes do when there is room', async () => {
  // With this seed the leader is the first to notice. Where its followers are, they take in nothing more and say nothing: the
  // leader loses its lease, and reads and writes fail with 08006 until there is room.
  await using cluster = await withItems(4)
  for (const node of cluster.nodes) cluster.disk(node).fill()
  const during = await write(cluster, 1, 1, 600)
  assert.ok(during.codes.has('disk_full'), [...during.codes].join())
  assert.deepEqual(cluster.alive, cluster.nodes, 'nobody has died')
  const leader = await cluster.leaderOf('item')
  const there = await rows(cluster, leader)
  assert.ok(there >= during.acknowledged)
  for (const node of cluster.nodes) cluster.disk(node).heal()
  await cluster.advance('10s')
  const after = await write(cluster, 2, 1001, 50)
  assert.equal(after.acknowledged, 50, [...after.codes].join())
  for (const node of cluster.nodes) assert.equal(await rows(cluster, node), there + 50)
})
