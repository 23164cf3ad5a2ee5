/**
 * Nodes far apart: each is reached through a proxy that holds back what passes, so that every message between nodes takes
 * 50 ms and every round trip 100 ms. Leaders are killed all the same.
 */
import assert from 'node:assert/strict'
import { mkdtempSync } from 'node:fs'
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect, ProcessCluster, until } from './process-cluster.ts'
import { Writers } from './writers.ts'

const oneWayMs = 50
const cluster = new ProcessCluster(mkdtempSync(join(tmpdir(), 'lattice-delay-')))
const proxies: Server[] = []
after(async () => {
  await cluster.close()
  for (const proxy of proxies) proxy.close()
})

/** A port of this host behind which another one lies, 50 ms away. */
function farAway(port: number): Promise<number> {
  return new Promise((done) => {
    const proxy = createServer((near) => {
      const far = dial(port, '127.0.0.1')
      carry(near, far)
      carry(far, near)
    })
    proxies.push(proxy)
    proxy.listen(0, '127.0.0.1', () => done((proxy.address() as { port: number }).port))
  })
}

function carry(from: Socket, to: Socket): void {
  from.setNoDelay(true)
  const later = (run: () => void) => setTimeout(run, oneWayMs).unref()
  from.on('data', (chunk) => later(() => to.write(chunk)))
  from.on('close', () => later(() => to.destroy()))
  from.on('error', () => {})
}

test('with 100 ms between nodes: leaders die, SQL goes on, nothing acknowledged is lost', {
  timeout: 120_000,
}, async (t) => {
  await cluster.form(3, () => ({ advertise: farAway }))
  const first = await connect(cluster.node(1))
  await first.query('create table item (n int primary key)')
  const before = performance.now()
  for (let n = -1; n > -6; n--) await first.query('insert into item values ($1)', [n])
  const each = (performance.now() - before) / 5
  assert.ok(each > 2 * oneWayMs - 10, `a write in ${each} ms has asked nobody`)
  await first.query('delete from item')
  await first.end()
  const up = new Set([1, 2, 3])
  const writers = new Writers('item', () => [...up].map((n) => cluster.node(n).url))
  writers.start(12)
  const more = async (count: number) => {
    const start = writers.acknowledged
    await until(`${count} more rows`, 30_000, async () => writers.acknowledged >= start + count)
  }
  await more(50)
  const gaps: number[] = []
  for (let kill = 0; kill < 2; kill++) {
    const victim = await cluster.leader([...up][0])
    up.delete(victim)
    const killed = performance.now()
    await cluster.node(victim).end('SIGKILL')
    await more(50)
    gaps.push(Math.round(writers.longestGap(killed, performance.now())))
    await cluster.start(victim, [...up])
    up.add(victim)
    await cluster.replicated(3)
  }
  await writers.stop()
  const reader = await connect(cluster.node(1))
  await writers.check(reader)
  await reader.end()
  t.diagnostic(`${Math.round(each)} ms a write; longest gaps ${gaps.join(', ')} ms; ${writers.acknowledged} rows`)
})
