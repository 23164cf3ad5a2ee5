/**
 * Leaders that die or stand still under load: SQL goes on at the others, nothing that was acknowledged is lost, nothing
 * that was refused is there, and nobody reads what is no longer true.
 *
 *   KILLS=20 STALLS=10 node --test test/cluster/failover.test.ts      (three and two without it)
 */
import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type pg from 'pg'
import { connect, ProcessCluster, signal, until } from './process-cluster.ts'
import { Writers } from './writers.ts'

const kills = Number(process.env.KILLS ?? 3)
const stalls = Number(process.env.STALLS ?? 2)
const clusters: ProcessCluster[] = []

after(async () => {
  for (const cluster of clusters) await cluster.close()
})

function newCluster(): ProcessCluster {
  const cluster = new ProcessCluster(mkdtempSync(join(tmpdir(), 'lattice-failover-')))
  clusters.push(cluster)
  return cluster
}

const others = (number: number) => [1, 2, 3].filter((n) => n !== number)

async function grow(writers: Writers, by: number): Promise<void> {
  const due = writers.acknowledged + by
  await until(`${by} more acknowledged rows`, 15_000, async () => {
    assert.deepEqual(writers.failures, [])
    return writers.acknowledged >= due
  })
}

test('kill -9 of the leader: SQL goes on, nothing acknowledged is lost', {
  timeout: 60_000 + kills * 20_000,
}, async (t) => {
  const cluster = newCluster()
  await cluster.form()
  const first = await connect(cluster.node(1))
  await first.query('create table written (n int primary key)')
  await first.end()
  let usable = [1, 2, 3]
  const writers = new Writers('written', () => usable.map((n) => cluster.node(n).url))
  writers.start(6)
  const gaps: number[] = []
  for (let kill = 0; kill < kills; kill++) {
    await grow(writers, 100)
    const leader = await cluster.leader(1)
    usable = others(leader)
    const killed = performance.now()
    await cluster.node(leader).end('SIGKILL')
    await grow(writers, 100)
    gaps.push(writers.longestGap(killed, performance.now()))
    await cluster.start(leader)
    await cluster.replicated(3)
    usable = [1, 2, 3]
  }
  await writers.stop()
  for (const number of [1, 2, 3]) {
    const client = await connect(cluster.node(number))
    await writers.check(client)
    await client.end()
  }
  t.diagnostic(`longest gaps: ${gaps.map((ms) => `${Math.round(ms)} ms`).join(', ')}; ${writers.acknowledged} rows`)
  assert.ok(Math.max(...gaps) < 5_000, `a gap of ${Math.max(...gaps)} ms`)
})

/** Values that only grow: what a reader sees after an acknowledgement is not below it. */
test('a leader that stood still does not serve what was true before', {
  timeout: 60_000 + stalls * 20_000,
}, async (t) => {
  const cluster = newCluster()
  await cluster.form()
  const first = await connect(cluster.node(1))
  await first.query('create table counter (id int primary key, value int not null)')
  await first.query('insert into counter values (1, 0)')
  await first.end()
  const read = 'select value from counter where id = 1'
  for (let stall = 0; stall < stalls; stall++) {
    const leader = await cluster.leader(1)
    const [gateway] = others(leader)
    const reader = await connect(cluster.node(leader))
    await reader.query({ name: 'read', text: read })
    signal(cluster.node(leader), 'SIGSTOP')
    const writer = await connect(cluster.node(gateway))
    let value = 0
    await until('a write through the others', 10_000, async () => {
      const { rows } = await writer.query('update counter set value = value + 1 where id = 1 returning value')
      value = rows[0].value
      return true
    })
    // Asked while it stands still: it answers as soon as it goes on, before it has heard of anything.
    const early = reader.query({ name: 'read', text: read })
    await new Promise<void>((done) => setImmediate(done))
    signal(cluster.node(leader), 'SIGCONT')
    await atLeast(early, value, 'the read that waited')
    for (let i = 0; i < 50; i++) await atLeast(reader.query({ name: 'read', text: read }), value, `read ${i}`)
    await reader.end()
    await writer.end()
    await until('the old leader to be ready', 10_000, async () => {
      const { status } = await fetch(`http://127.0.0.1:${cluster.node(leader).httpPort}/readyz`)
      return status === 200
    })
    t.diagnostic(`node ${leader} stood still; the value is ${value}`)
  }
})

async function atLeast(query: Promise<pg.QueryResult>, value: number, what: string): Promise<void> {
  try {
    const { rows } = await query
    assert.ok(rows[0].value >= value, `${what} saw ${rows[0].value} after ${value} was acknowledged`)
  } catch (error) {
    // An error is an honest answer.
    const { code } = error as { code?: string }
    if (!['08006', '40001', '40003'].includes(String(code))) throw error
  }
}

test('a minority refuses within ten seconds and goes on when others are back', { timeout: 60_000 }, async () => {
  const cluster = newCluster()
  await cluster.form()
  const client = await connect(cluster.node(3))
  await client.query('create table written (n int primary key)')
  await client.query('insert into written values (1)')
  await Promise.all([1, 2].map((n) => cluster.node(n).end('SIGKILL')))
  for (const statement of ['insert into written values (2)', 'select * from written']) {
    const began = performance.now()
    await assert.rejects(client.query(statement), (error: any) => /^08|^40003$/.test(error.code))
    assert.ok(performance.now() - began < 10_000, statement)
  }
  await until('the node to say that it does not serve', 15_000, async () => {
    const { status } = await fetch(`http://127.0.0.1:${cluster.node(3).httpPort}/readyz`)
    return status === 503
  })
  await cluster.start(1)
  await until('a write', 10_000, async () => {
    await client.query('insert into written values (3)')
    return true
  })
  const { rows } = await client.query('select n from written order by n')
  const there = rows.map((row) => row.n)
  assert.ok(there.includes(1) && there.includes(3), String(there))
  await client.end()
})
