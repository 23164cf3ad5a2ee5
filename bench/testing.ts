/**
 * How long a test with a simulated cluster takes: the start of five nodes, and a failover test as the README shows it.
 * Real time; the first run of a process pays for compiling, the median of the others is what every further test costs.
 *
 *   npm run bench:testing [-- --json] [-- --runs N]
 *
 * Not here: how fast the database is.
 */
import assert from 'node:assert/strict'
import { Options, Report } from './report.ts'

const importing = performance.now()
const { simCluster } = await import('../src/testing/index.ts')
const importMs = performance.now() - importing

async function boot(seed: number): Promise<void> {
  await using cluster = await simCluster({ nodes: 5, seed })
  assert.equal(cluster.alive.length, 5)
}

/** Five nodes; one is cut off, the leader crashes in the middle of a commit, all heals, and no money is lost. */
async function failover(seed: number): Promise<void> {
  await using cluster = await simCluster({ nodes: 5, seed })
  const leader = await cluster.leaderOf()
  const [a, b] = cluster.nodes.filter((n) => n !== leader)
  const db = cluster.connect(a)
  await db.query('create table account (id int primary key, balance int not null)')
  await db.query('insert into account select i, 100 from generate_series(1, 10) i')
  const cut = cluster.partition(
    [b],
    cluster.nodes.filter((n) => n !== b),
  )
  const transfer = db.transaction(async (tx) => {
    await tx.sql`update account set balance = balance - 10 where id = 1`
    await tx.sql`update account set balance = balance + 10 where id = 2`
  })
  await Promise.all([transfer.catch(() => {}), cluster.advance('2ms').then(() => cluster.crash(leader))])
  cut.heal()
  await cluster.restart(leader)
  await cluster.until(async () => {
    const { rows } = await db.query('select sum(balance)::int as sum from account')
    return rows[0].sum === 1000
  })
}

async function measure(
  runs: number,
  body: (seed: number) => Promise<void>,
): Promise<{ first: number; median: number }> {
  const times: number[] = []
  for (let seed = 1; seed <= runs; seed++) {
    const before = performance.now()
    await body(seed)
    times.push(performance.now() - before)
  }
  const [first, ...others] = times
  return { first, median: others.sort((x, y) => x - y)[others.length >> 1] }
}

const options = new Options(process.argv.slice(2))
const report = new Report(options.has('json'))
const runs = Math.max(2, options.number('runs', 15))
const bar = (row: string, ours: number, peer: number) =>
  report.row({ bench: 'testing', row, ours, peer, peerName: 'bar', unit: 'ms', higherIsBetter: false })
const started = await measure(runs, boot)
const failed = await measure(runs, failover)
report.note(`importing took ${Math.round(importMs)} ms`)
bar('boot-5-first', started.first, 150)
bar('boot-5', started.median, 150)
bar('failover-first', failed.first, 1000)
bar('failover', failed.median, 1000)
