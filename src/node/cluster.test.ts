/** What a node is made of survives crashes while it is being made. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../base/index.ts'
import type { Io } from '../io/index.ts'
import { type SimIo, SimWorld } from '../testing/index.ts'
import type { OpenedCluster } from './cluster.ts'
import { type OpenedClusterDatabase, openClusterDatabase } from './database.ts'

function open(io: Io, host = 'first', seeds: readonly string[] = []): Promise<OpenedClusterDatabase> {
  return openClusterDatabase({
    io,
    directory: '/data',
    peer: { host, port: 7400 },
    seeds: seeds.map((seed) => ({ host: seed, port: 7400 })),
    locality: { host },
    pg: { host, port: 7432 },
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

/** A cluster stops; then all come back elsewhere, each some seconds after the one before. */
async function moves(pauseMicros: number): Promise<void> {
  const world = new SimWorld(pauseMicros)
  const names = ['a', 'b', 'c']
  const disks = new Map(names.map((name) => [name, world.disk(name)]))
  const ios = new Map<string, SimIo>()
  const start = async (name: string, life: number, seeds: readonly string[]) => {
    const at = (host: string) => `${host}${life}`
    ios.set(name, world.node(disks.get(name)!, at(name)))
    return (await open(ios.get(name)!, at(name), seeds.map(at))).opened
  }
  const until = async (holds: () => boolean) => {
    while (!holds()) await new Promise<void>((done) => world.schedule(100_000, done))
  }
  const main = async () => {
    const first = await start('a', 1, [])
    const all = [first, await start('b', 1, ['a']), await start('c', 1, ['a'])]
    const pause = async (micros: number) => {
      const end = world.nowMicros + micros
      await until(() => world.nowMicros >= end)
    }
    // Until each has written down whom it knows.
    await pause(10_000_000)
    for (const { membership } of all) assert.equal(membership.present.length, 3)
    for (const opened of all) await opened.close()
    for (const io of ios.values()) io.crash()
    const others = (name: string) => names.filter((other) => other !== name)
    const starting: Promise<OpenedCluster>[] = []
    for (const name of names) {
      starting.push(start(name, 2, others(name)))
      await pause(pauseMicros)
    }
    const again = await Promise.all(starting)
    const found = ({ membership }: OpenedCluster) =>
      membership.members.every(({ state, host }) => state === 'alive' && host.endsWith('2'))
    await until(() => again.every(found))
    return true
  }
  assert.ok(await world.run(main, () => world.nowMicros > 60_000_000), 'all know where all are')
}

test('nodes that all come back at other addresses find each other through their seeds', async () => {
  await moves(0)
  await moves(5_000_000)
})
