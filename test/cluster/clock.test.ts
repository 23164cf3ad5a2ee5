/**
 * Real nodes whose wall clocks are set while they work: libfaketime stands between them and the system's clock, and reads
 * how far it is off from a file. Where it is not installed, this is skipped by name (test/skips.txt).
 */
import assert from 'node:assert/strict'
import { existsSync, globSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect, ProcessCluster, until } from './process-cluster.ts'
import { Writers } from './writers.ts'

const [library] = globSync('/usr/lib/*/faketime/libfaketimeMT.so.1')
const directory = mkdtempSync(join(tmpdir(), 'lattice-clock-'))
const cluster = new ProcessCluster(directory)
after(() => cluster.close())

const offsetOf = (number: number) => join(directory, `offset-${number}`)

function set(number: number, seconds: number): void {
  writeFileSync(offsetOf(number), `${seconds < 0 ? '' : '+'}${seconds}`)
}

const settings = ['FAKETIME_NO_CACHE=1', 'FAKETIME_DONT_FAKE_MONOTONIC=1', 'DONT_FAKE_MONOTONIC=1']

test('a node whose clock is set far stops; the others go on; nothing acknowledged is lost', {
  timeout: 120_000,
  skip: library !== undefined && existsSync(library) ? false : 'faketime: libfaketime is not installed',
}, async (t) => {
  await cluster.form(3, (number) => {
    set(number, 0)
    const under = ['env', `LD_PRELOAD=${library}`, `FAKETIME_TIMESTAMP_FILE=${offsetOf(number)}`, ...settings]
    return { under }
  })
  const first = await connect(cluster.node(1))
  await first.query('create table item (n int primary key)')
  await first.end()
  const up = new Set([1, 2, 3])
  const writers = new Writers('item', () => [...up].map((n) => cluster.node(n).url))
  writers.start(6)
  const more = async (count: number) => {
    const before = writers.acknowledged
    await until(`${count} more rows`, 20_000, async () => writers.acknowledged >= before + count)
  }
  await more(100)
  // Within what is tolerated between nodes.
  const leader = await cluster.leader(1)
  set(leader, 0.2)
  await more(200)
  assert.equal(cluster.node(leader).child.exitCode, null, cluster.node(leader).log())
  set(leader, 0)
  await more(200)
  for (const seconds of [5, -5]) {
    const [asked] = up
    const victim = await cluster.leader(asked)
    up.delete(victim)
    const node = cluster.node(victim)
    set(victim, seconds)
    assert.equal(await node.ended, 70, node.log())
    assert.match(node.log(), /the wall clock was set by -?[45]\d{3} ms/)
    await more(200)
    set(victim, 0)
    await cluster.start(victim, [...up])
    up.add(victim)
    await cluster.replicated(3)
    await more(100)
    t.diagnostic(`node ${victim}, clock set by ${seconds} s: it stopped and came back; ${writers.acknowledged} rows`)
  }
  await writers.stop()
  const reader = await connect(cluster.node(2))
  await writers.check(reader)
  await reader.end()
})
