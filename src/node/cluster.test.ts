/** What a node is made of survives crashes while it is being made. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../base/index.ts'
import type { Io } from '../io/index.ts'
import { SimWorld } from '../testing/index.ts'
import { type OpenedClusterDatabase, openClusterDatabase } from './database.ts'

function open(io: Io): Promise<OpenedClusterDatabase> {
  return openClusterDatabase({
    io,
    directory: '/data',
    peer: { host: 'first', port: 7400 },
    seeds: [],
    locality: {},
    pg: { host: 'first', port: 7432 },
    httpPort: 7480,
    cacheBytes: 1 << 20,
    segmentBytes: 1 << 18,
    memtableBytes: 1 << 20,
    insecure: true,
    replicas: 3,
  })
}

/** The first node's first start loses its power at one operation of its disk; whether it had come so far. */
async function crashedAt(operation: number): Promise<boolean> {
  const world = new SimWorld(operation)
  const disk = world.disk('first')
  const io = world.node(disk, 'first')
  disk.onOperation = ({ number }) => (number === operation ? 'crash' : undefined)
  try {
    await world.run(
      () => open(io),
      () => io.dead,
    )
  } catch (error) {
    if (!(error instanceof DbError)) throw error
  }
  disk.onOperation = undefined
  if (!io.dead) return false
  const again = world.node(disk, 'first')
  const deadline = world.nowMicros + 30_000_000
  const main = async () => {
    const { opened } = await open(again)
    const { host, controller } = opened
    assert.equal(host.replicas.size, 1, `after a crash at operation ${operation} the node has its partition`)
    const [replica] = host.replicas.values()
    assert.ok(replica.serving)
    assert.equal(controller.partitions().length, 1)
    return true
  }
  const up = await world.run(main, () => world.nowMicros > deadline)
  assert.ok(up, `after a crash at operation ${operation} the node starts`)
  return true
}

test('a first node that crashes anywhere on its first start is a cluster after the next one', async () => {
  let operation = 1
  while (await crashedAt(operation)) operation++
  assert.ok(operation > 20, `${operation} operations`)
})
