/** Reads in the past at replicas that do not lead: how old, how consistent, and that they go on without a leader. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DbError } from '../base/index.ts'
import { type SimCluster, simCluster } from './index.ts'

const code = (wanted: string) => (error: unknown) => error instanceof DbError && error.code === wanted

/** Runs a statement with a bound of staleness in a session of the node. */
async function stale<Row extends object>(cluster: SimCluster, node: number, bound: string, sql: string) {
  const answers = await cluster.connect(node).script(`set lattice.max_staleness = '${bound}'; ${sql}; reset all`)
  return answers[1].rows as Row[]
}

async function valueAt(cluster: SimCluster, node: number, bound: string): Promise<number> {
  return (await stale<{ v: number }>(cluster, node, bound, 'select v from counter'))[0].v
}

async function withCounter(seed: number, nodes = 3): Promise<SimCluster> {
  const cluster = await simCluster({ nodes, seed, callTimeout: '20s' })
  await cluster.connect(1).script('create table counter (id int primary key, v int); insert into counter values (1, 0)')
  // Tables of one's own definition are read as they were once that is old enough.
  await cluster.advance('1s')
  return cluster
}

test('a node that is cut off from everybody answers within the bound, and refuses beyond it', async () => {
  await using cluster = await withCounter(1)
  const leader = await cluster.leaderOf('counter')
  const others = cluster.nodes.filter((n) => n !== leader)
  await cluster.connect(leader).query('update counter set v = 1')
  await cluster.advance('1s')
  await cluster.connect(leader).query('update counter set v = 2')
  // Not closed yet: the newest that may be read here is the one before, and it is read.
  assert.equal(await valueAt(cluster, others[0], '5s'), 1)
  await cluster.advance('1s')
  using _cut = cluster.partition(...cluster.nodes.map((n) => [n]))
  await cluster.advance('2s')
  for (const node of others) {
    const before = cluster.now
    assert.equal(await valueAt(cluster, node, '5s'), 2)
    assert.ok(cluster.now - before < 5, `${cluster.now - before} ms`)
  }
  const refused = (call: Promise<unknown>) => assert.rejects(call, code('connection_failure'))
  await refused(cluster.connect(others[0]).query('select v from counter'))
  await Promise.all(others.map((node) => refused(valueAt(cluster, node, '5s'))))
  assert.equal(await valueAt(cluster, others[0], '30s'), 2)
})

test('reads at a follower ask nobody; a node without a replica asks the nearest one', async () => {
  await using cluster = await withCounter(2, 4)
  const holders = await cluster.replicasOf('counter')
  const outside = cluster.nodes.find((n) => !holders.includes(n))!
  const leader = await cluster.leaderOf('counter')
  const follower = holders.find((n) => n !== leader)!
  const took = async (node: number, bound: string) => {
    // What a session has seen of later times it does not unsee.
    await cluster.advance('3s')
    const before = cluster.now
    assert.equal(await valueAt(cluster, node, bound), 0)
    return cluster.now - before
  }
  cluster.slow(outside, [leader, ...holders.filter((n) => n !== leader && n !== follower)], '40ms')
  cluster.slow(follower, leader, '40ms')
  await cluster.advance('20s')
  assert.ok((await took(follower, '0')) >= 40)
  assert.ok((await took(follower, '2s')) < 5)
  assert.ok((await took(outside, '0')) >= 40)
  const near = await took(outside, '2s')
  assert.ok(near < 20, `${near} ms`)
  // A bound that no follower can keep: the leaseholder answers.
  assert.ok((await took(follower, '10ms')) >= 40)
})

test('a transaction that has read in the past writes and locks nothing', async () => {
  await using cluster = await withCounter(3)
  const db = cluster.connect(2)
  const inside = async (...statements: string[]) => {
    await using tx = await db.begin()
    await tx.query("set local lattice.max_staleness = '5s'")
    for (const sql of statements) await tx.query(sql)
    await tx.commit()
  }
  const refused = code('read_only_sql_transaction')
  for (const write of [
    'update counter set v = 9',
    'insert into counter values (2, 2)',
    'delete from counter',
    'create table other (x int)',
    'select v from counter for update',
  ])
    await assert.rejects(inside('select v from counter', write), refused, write)
  await assert.rejects(inside('select v from counter for share'), refused)
  // A bound permits, it does not oblige: whoever writes first reads what it wrote.
  await inside('update counter set v = 5', 'select v from counter')
  await using tx = await db.begin()
  await tx.query("set local lattice.max_staleness = '5s'")
  await tx.query('update counter set v = v + 1')
  assert.deepEqual((await tx.query('select v from counter')).rows, [{ v: 6 }])
  await tx.commit()
  assert.equal((await db.query('show lattice.max_staleness')).rows[0].lattice_max_staleness ?? '0', '0')
  await assert.rejects(db.query("set lattice.max_staleness = '1h'"), code('invalid_parameter_value'))
})

test('a session reads what it wrote, and tables as they are defined now', async () => {
  await using cluster = await withCounter(4)
  const leader = await cluster.leaderOf('counter')
  const db = cluster.connect(leader === 1 ? 2 : 1)
  await db.query("set lattice.max_staleness = '5s'")
  for (let i = 1; i <= 10; i++) {
    await db.query(`update counter set v = ${i}`)
    assert.deepEqual((await db.query('select v from counter')).rows, [{ v: i }])
    await cluster.advance('70ms')
  }
  await cluster.connect(leader).query('alter table counter alter column v type text')
  await cluster.connect(leader).query('create index on counter (v)')
  assert.deepEqual((await db.query("select v from counter where v = '10'")).rows, [{ v: '10' }])
})

/** Transfers over two partitions beside readers with a bound, under faults. */
async function bank(seed: number): Promise<void> {
  await using cluster = await simCluster({ nodes: 3, seed, callTimeout: '30s' })
  await cluster.connect(1).script(`create table accounts (id int primary key, balance int);
    insert into accounts select i, 100 from generate_series(1, 20) i; create table ticks (id int primary key, v int);
    insert into ticks values (1, 0)`)
  await cluster.splitAt('accounts')
  await cluster.splitAt('accounts', 11)
  await cluster.splitAt('ticks')
  await cluster.transferLeader('accounts', 1 + (seed % 3))
  await cluster.transferLeader('ticks', 1 + ((seed + 1) % 3))
  await cluster.advance('1s')
  const end = cluster.now + 8_000
  /** When ticks were acknowledged. */
  const ticks: { v: number; at: number }[] = [{ v: 0, at: cluster.now - 1_000 }]
  let read = 0
  const passing = (error: unknown) => {
    assert.ok(
      error instanceof DbError && (error.retryable || error.code === 'statement_completion_unknown'),
      String(error),
    )
  }
  const transfers = async () => {
    while (cluster.now < end) {
      const [from, to] = [1 + cluster.random.below(10), 11 + cluster.random.below(10)]
      await cluster
        .connect(1)
        .transaction(async (tx) => {
          await tx.query(`update accounts set balance = balance - 1 where id = ${from}`)
          await tx.query(`update accounts set balance = balance + 1 where id = ${to}`)
        })
        .catch(passing)
      await cluster.advance('3ms')
    }
  }
  const ticking = async () => {
    for (let v = 1; cluster.now < end; v++) {
      const done = await cluster
        .connect(1)
        .query(`update ticks set v = ${v}`)
        .then(
          () => true,
          (error) => passing(error),
        )
      if (done) ticks.push({ v, at: cluster.now })
      await cluster.advance('10ms')
    }
  }
  const reading = async (node: number) => {
    const bound = 400 + cluster.random.below(3_000)
    let newest = 0
    await cluster.connect(node).query(`set lattice.max_staleness = ${bound}`)
    while (cluster.now < end) {
      const began = cluster.now
      await cluster
        .connect(node)
        .query<{ sum: number; v: number }>(
          'select (select sum(balance)::int from accounts) as sum, (select v from ticks) as v',
        )
        .then(({ rows: [{ sum, v }] }) => {
          read++
          assert.equal(sum, 2_000, 'a transaction is seen whole or not at all')
          const least = ticks.findLast((t) => t.at <= began - bound)?.v ?? 0
          assert.ok(v >= least, `read ${v} with a bound of ${bound} ms, ${least} was older`)
          assert.ok(v >= newest, `read ${v} after ${newest}`)
          newest = v
        }, passing)
      await cluster.advance('7ms')
    }
  }
  const faults = async () => {
    while (cluster.now < end) {
      await cluster.advance('700ms')
      const node = 1 + cluster.random.below(3)
      if (cluster.random.below(3) === 0) await cluster.transferLeader('accounts', node).catch(() => {})
      else {
        const others = cluster.nodes.filter((n) => n !== node)
        using _cut =
          cluster.random.below(2) === 0 ? cluster.partition([node], others) : cluster.slow(node, others, '30ms')
        await cluster.advance('900ms')
      }
    }
  }
  await Promise.all([transfers(), ticking(), reading(2), reading(3), faults()])
  assert.ok(read > 50, `${read} reads`)
}

for (const seed of [1, 2, 3])
  test(`what is read in the past is whole, never too old and never goes backwards, seed ${seed}`, () => bank(seed))
