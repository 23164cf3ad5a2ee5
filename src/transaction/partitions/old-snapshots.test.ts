/** Snapshots that outlast the retention of versions: kept for those whom others know of, refused to the rest. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { type SimCluster, simCluster } from '../../testing/index.ts'

async function withItems(seed: number): Promise<SimCluster> {
  const cluster = await simCluster({ nodes: 3, seed, callTimeout: '300s' })
  await cluster.connect(1).query('create table item (id int primary key, n int)')
  await cluster.connect(1).query('insert into item select i, 0 from generate_series(1, 100) i')
  return cluster
}

const read = 'select count(*)::int as n, sum(n)::int as sum from item'

async function change(cluster: SimCluster, node: number): Promise<void> {
  for (let round = 0; round < 5; round++) {
    await cluster.advance('30s')
    await cluster.connect(node).query('update item set n = n + 1 where id % 2 = 0')
    await cluster.connect(node).query('delete from item where id = $1', [1 + 2 * round])
  }
}

test('a transaction of one node sees for minutes what it saw at first, whatever other nodes change', async () => {
  await using cluster = await withItems(1)
  const leader = await cluster.leaderOf('item')
  for (const gateway of cluster.nodes) {
    const other = cluster.nodes.find((n) => n !== gateway && n !== leader)!
    await using tx = await cluster.connect(gateway).begin({ isolation: 'repeatable read' })
    const before = (await tx.query(read)).rows
    await change(cluster, other)
    assert.deepEqual((await tx.query(read)).rows, before, `node ${gateway}`)
    await tx.commit()
  }
})

test('what nobody has heard of is refused, and not answered wrongly', async () => {
  await using cluster = await withItems(2)
  const leader = await cluster.leaderOf('item')
  const gateway = cluster.nodes.find((n) => n !== leader)!
  const others = cluster.nodes.filter((n) => n !== gateway)
  const tx = await cluster.connect(gateway).begin({ isolation: 'repeatable read' })
  const before = (await tx.query(read)).rows
  {
    using _cut = cluster.partition([gateway], others)
    await change(cluster, leader)
  }
  await cluster.advance('10s')
  await assert.rejects(
    async () => assert.deepEqual((await tx.query(read)).rows, before),
    (error) => error instanceof DbError && error.code === 'snapshot_too_old' && error.retryable,
  )
  await tx.rollback()
  assert.equal((await cluster.connect(gateway).query(read)).rows[0].n, 95)
})
