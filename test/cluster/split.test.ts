/**
 * A table grows past the size at which partitions are cut, again and again, while clients that retry nothing write to it,
 * hold its rows and keep transactions open; a node on which nobody is connected is stopped and started meanwhile, so that
 * leaders hand over to others and back. Clients see no error.
 *
 *   CUTS=20 RESTARTS=5 node --test test/cluster/split.test.ts
 */
import assert from 'node:assert/strict'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type pg from 'pg'
import { statusOf } from './node-process.ts'
import { connect, ProcessCluster, until } from './process-cluster.ts'

const cuts = Number(process.env.CUTS ?? 5)
const restarts = Number(process.env.RESTARTS ?? 2)
const accounts = 200

const directory = mkdtempSync(join(tmpdir(), 'lattice-split-'))
const cluster = new ProcessCluster(directory)
after(() => cluster.close())

/** What clients do until they are told to stop; the first error ends them all. */
class Clients {
  written = 0
  held = 0
  stopping = false
  readonly #running: Promise<void>[] = []
  readonly #connections: pg.Client[] = []

  async start(work: (client: pg.Client, number: number) => Promise<void>, count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const client = await connect(cluster.node(2 + (i % 2)))
      this.#connections.push(client)
      const loop = async () => {
        while (!this.stopping) await work(client, i)
      }
      this.#running.push(
        loop().catch((error) => {
          this.stopping = true
          throw error
        }),
      )
    }
  }

  /** Raises the first error that a client has had. */
  async stop(): Promise<void> {
    this.stopping = true
    await Promise.all(this.#running).finally(() => Promise.all(this.#connections.map((c) => c.end())))
  }
}

async function partitions(): Promise<number> {
  return (await statusOf(cluster.node(2))).partitions.length
}

test('partitions are cut and handed over under load: clients that retry nothing see no error', {
  timeout: 120_000 + (cuts + restarts) * 20_000,
}, async (t) => {
  const config = join(directory, 'config.json')
  writeFileSync(config, JSON.stringify({ splitBytes: '1MiB' }))
  await cluster.form(3, () => ({ args: ['--config', config] }))
  const first = await connect(cluster.node(2))
  await first.query('create table account (id int primary key, balance int not null)')
  await first.query(`insert into account select i, 100 from generate_series(1, ${accounts}) i`)
  await first.query('create table entry (n int primary key, account int not null, note text not null)')
  const before = await partitions()
  const clients = new Clients()
  let next = 0
  const note = 'n'.repeat(2_000)
  await clients.start(async (client) => {
    // Anywhere in the table: each partition is written while it is cut.
    const n = (next++ * 7_919) % 10_000_019
    await client.query('insert into entry values ($1, $2, $3)', [n, n % accounts, note])
    clients.written++
  }, 6)
  await clients.start(async (client, number) => {
    // Every client has accounts of its own: whoever waits here waits for a cut or a hand-over, not for another client.
    const [from, to] = [1 + number * 10 + (next % 10), 101 + number * 10 + (next % 10)]
    await client.query('begin')
    await client.query('select * from account where id in ($1, $2) for update', [from, to])
    const open = clients.written
    await client.query('insert into entry values ($1, $2, $3)', [20_000_000 + next++, from, note])
    await until('others to write', 20_000, async () => clients.written >= open + 100 || clients.stopping)
    await client.query('update account set balance = balance - 1 where id = $1', [from])
    await client.query('update account set balance = balance + 1 where id = $1', [to])
    await client.query('commit')
    clients.held++
  }, 4)
  const cutsTo = (count: number) =>
    until(
      `${count} cuts`,
      30_000 + count * 5_000,
      async () => clients.stopping || (await partitions()) >= before + count,
    )
  let handedOver = 0
  for (let restart = 1; restart <= restarts && !clients.stopping; restart++) {
    await cutsTo(Math.ceil((cuts * restart) / (restarts + 1)))
    handedOver += await ledBy(1)
    assert.equal(await cluster.node(1).end('SIGTERM'), 0, cluster.node(1).log())
    await cluster.start(1, [2])
    await cluster.replicated(3)
  }
  await cutsTo(cuts)
  await clients.stop()
  const { rows } = await first.query('select sum(balance)::int as sum, count(*)::int as count from account')
  assert.deepEqual(rows, [{ sum: accounts * 100, count: accounts }])
  const entries = await first.query('select count(*)::int as count from entry')
  assert.equal(entries.rows[0].count, clients.written + clients.held)
  await first.end()
  const now = await partitions()
  assert.ok(handedOver > 0, 'the node that was restarted led something')
  t.diagnostic(
    `${clients.written} rows, ${clients.held} transactions held open; ${before} to ${now} partitions, ${handedOver} handed over; 0 errors`,
  )
})

async function ledBy(number: number): Promise<number> {
  return (await statusOf(cluster.node(2))).partitions.filter((p: { leader: number }) => p.leader === number).length
}
