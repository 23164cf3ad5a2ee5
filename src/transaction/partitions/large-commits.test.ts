/** Transactions whose writes travel in chunks, in simulated clusters: all of them or nothing, whatever happens meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { type SimCluster, simCluster } from '../../testing/index.ts'

const filler = 'x'.repeat(100)

/** About 6 MB. */
function* lines(from: number, count: number): Iterable<Uint8Array> {
  for (let at = from; at < from + count; at += 1000) {
    let text = ''
    for (let id = at; id < Math.min(at + 1000, from + count); id++) text += `${id}\t${id % 7}\t${filler}\n`
    yield Buffer.from(text)
  }
}

async function prepared(seed: number): Promise<SimCluster> {
  const cluster = await simCluster({ nodes: 3, seed, callTimeout: '300s' })
  await cluster.connect(1).query('create table item (id int primary key, kind int, filler text)')
  return cluster
}

async function counts(cluster: SimCluster, node: number): Promise<{ n: number; odd: number }> {
  const { rows } = await cluster
    .connect(node)
    .query<{ n: number; odd: number }>('select count(*)::int as n, count(distinct kind)::int as odd from item')
  return rows[0]
}

test('a large COPY is there on every node, and small writes go on beside it', async () => {
  await using cluster = await prepared(1)
  const leader = await cluster.leaderOf('item')
  const other = cluster.nodes.find((n) => n !== leader)!
  await cluster.connect(other).query("insert into item values (0, 0, 'small')")
  const copied = cluster.connect(other).copyIn('copy item from stdin', lines(1000, 40_000))
  const small = (async () => {
    for (let id = 1; id <= 50; id++)
      await cluster.connect(leader).query("insert into item values ($1, 1, 'small')", [id])
  })()
  assert.equal(await copied, 40_000)
  await small
  for (const node of cluster.nodes) assert.deepEqual(await counts(cluster, node), { n: 40_051, odd: 7 })
  await cluster.connect(leader).query('update item set kind = kind + 1')
  await cluster.crash(leader)
  const { rows } = await cluster.connect(other).query('select sum(kind)::int as sum, count(*)::int as n from item')
  const expected = 40_051 + 50 + Array.from({ length: 40_000 }, (_, i) => (i + 1000) % 7).reduce((a, b) => a + b)
  assert.deepEqual(rows, [{ sum: expected, n: 40_051 }])
})

const lost = (error: unknown) => error instanceof DbError && /^(08|40|57)/.test(error.sqlstate)

test('a large change of a table that is cut in two is one transaction; small ones go on beside it', async () => {
  await using cluster = await prepared(2)
  await cluster.splitAt('item', 20_000)
  const [left, right] = await cluster.partitionsOf('item')
  await cluster.transferLeader('item', left.replicas.find((n) => n !== right.leader)!)
  const gateway = right.leader
  const db = cluster.connect(gateway)
  assert.equal(await db.copyIn('copy item from stdin', lines(1, 39_999)), 39_999)
  const before = await counts(cluster, 1)
  assert.deepEqual(before, { n: 39_999, odd: 7 })
  const updated = db.query('update item set kind = kind + 7 where id < 50000')
  const small = (async () => {
    for (let id = 1; id <= 30; id++)
      await cluster.connect(1).query("insert into item values ($1, 1, 'small')", [50_000 + id])
  })()
  assert.equal((await updated).rowCount, 39_999)
  await small
  const sums = 'select sum(kind)::int as sum, count(*)::int as n from item where id < 50000'
  for (const node of cluster.nodes) {
    const { rows } = await cluster.connect(node).query(sums)
    assert.deepEqual(rows, [{ sum: 39_999 * 7 + 119_995, n: 39_999 }])
  }
})

for (const across of [false, true])
  test(`a large COPY ${across ? 'over two partitions ' : ''}under crashes is there or is not, and what is left of it goes`, async (t) => {
    const outcomes: string[] = []
    for (let seed = 10; seed < 14; seed++) {
      await using cluster = await prepared(seed)
      if (across) await cluster.splitAt('item', 8_000)
      const leader = await cluster.leaderOf('item')
      const gateway = seed % 2 === 0 ? leader : cluster.nodes.find((n) => n !== leader)!
      const copied = cluster
        .connect(gateway)
        .copyIn('copy item from stdin', lines(1000, 15_000))
        .then(
          () => 'committed',
          (error: unknown) => {
            if (!lost(error)) throw error
            return 'lost'
          },
        )
      // Some time around its commit: chunks, their commit, its application.
      const victim = seed % 3 === 0 ? gateway : leader
      await cluster.advance(9_000 + (seed % 8) * 30)
      await cluster.crash(victim)
      const outcome = await copied
      outcomes.push(outcome)
      await cluster.restart(victim)
      const { n } = await counts(cluster, victim)
      if (outcome === 'committed') assert.equal(n, 15_000, `seed ${seed}`)
      else assert.ok(n === 0 || n === 15_000, `seed ${seed}: ${n} rows`)
      await cluster.connect(gateway).query('delete from item')
      assert.equal(await cluster.connect(gateway).copyIn('copy item from stdin', lines(1000, 15_000)), 15_000)
      for (const node of cluster.nodes) assert.equal((await counts(cluster, node)).n, 15_000, `seed ${seed}`)
    }
    t.diagnostic(outcomes.join(' '))
  })
