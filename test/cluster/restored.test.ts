/** A node whose disk was restored from a backup has forgotten what it acknowledged and voted: it may not take part. */
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { connect, ProcessCluster, until } from './process-cluster.ts'
import { Writers } from './writers.ts'

const directory = mkdtempSync(join(tmpdir(), 'lattice-restored-'))
const cluster = new ProcessCluster(directory)
after(() => cluster.close())

test('a node with an older copy of its directory is refused by the others, who go on', {
  timeout: 90_000,
}, async () => {
  await cluster.form(3)
  const client = await connect(cluster.node(1))
  await client.query('create table item (n int primary key)')
  const writers = new Writers('item', () => [cluster.node(1).url, cluster.node(2).url])
  writers.start(4)
  const more = async (count: number) => {
    const before = writers.acknowledged
    await until(`${count} more rows`, 20_000, async () => writers.acknowledged >= before + count)
  }
  await more(100)
  assert.equal(await cluster.node(3).end('SIGTERM'), 0)
  const backup = join(directory, 'backup')
  cpSync(cluster.dataOf(3), backup, { recursive: true })
  await cluster.start(3, [1])
  await cluster.replicated(3)
  await more(300)
  await cluster.node(3).end('SIGKILL')
  rmSync(cluster.dataOf(3), { recursive: true })
  cpSync(backup, cluster.dataOf(3), { recursive: true })
  const refused = await cluster.start(3, [1]).then(
    async (node) => {
      assert.equal(await node.ended, 70)
      return node.log()
    },
    (error: Error) => error.message,
  )
  assert.match(refused, /holds less than it had made durable/)
  assert.match(refused, /lattice decommission/)
  await more(100)
  await writers.stop()
  await writers.check(client)
  await client.end()
})
