/** Event databases of a cluster's nodes: all have all, whoever was away. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { viewFromDefinition } from '../model/events/views/index.ts'
import { SimWorld } from '../testing/index.ts'
import { openCluster } from './cluster.ts'
import { openEventDatabases } from './event-databases.ts'
import { EventMesh } from './event-mesh.ts'

test('what is appended at any node, or while nodes are apart, is at all of them in the end', async () => {
  const seed = Number(process.env.SEED ?? 1)
  const world = new SimWorld(seed)
  const start = async (host: string, seeds: readonly string[]) => {
    const io = world.node(world.disk(host), host)
    const opened = await openCluster({
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
    })
    const databases = await openEventDatabases(io, opened)
    const mesh = new EventMesh(databases, opened)
    return { databases, mesh, opened }
  }
  const value = (n: number) => ({ value: new TextEncoder().encode(String(n)), contentType: 'text/plain' })
  const main = async () => {
    const nodes = [await start('a', []), await start('b', ['a']), await start('c', ['a'])]
    const sleep = (micros: number) => new Promise<void>((done) => world.schedule(micros, done))
    const store = async (i: number) => {
      for (;;) {
        const database = await nodes[i].databases.open('orders')
        if (database !== undefined) return database.store
        await sleep(100_000)
      }
    }
    await nodes[1].databases.create('orders', {})
    let said = 0
    const append = async (i: number) => void (await (await store(i)).append([value(said++), value(said++)]))
    const alike = async (what: string) => {
      const end = world.nowMicros + 20_000_000
      for (;;) {
        const counts = await Promise.all([0, 1, 2].map(async (i) => (await store(i)).count))
        if (counts.every((count) => count === said)) return
        assert.ok(world.nowMicros < end, `SEED=${seed}: ${what}: ${counts} of ${said}`)
        await sleep(50_000)
      }
    }
    for (let i = 0; i < 9; i++) await append(i % 3)
    const began = world.nowMicros
    await alike('connected')
    assert.ok(world.nowMicros - began < 1_000_000, 'at once, not with a sweep')
    world.internet.cut('a', 'b')
    world.internet.cut('a', 'c')
    for (let i = 0; i < 9; i++) await append(i % 3)
    await sleep(8_000_000)
    assert.ok((await store(0)).count < said, 'a node that is alone has only its own')
    world.internet.heal()
    await alike('healed')
    const keys = await Promise.all(
      [0, 1, 2].map(async (i) => (await (await store(i)).range({ limit: 100 })).events.map((e) => e.key)),
    )
    assert.deepEqual(keys[1], keys[0])
    assert.deepEqual(keys[2], keys[0])
    const definition = (version: number) => viewFromDefinition({ name: 'many', version, aggregates: { n: 'count' } })
    const known = async (what: string, version: number | undefined) => {
      const end = world.nowMicros + 20_000_000
      for (;;) {
        const found = await Promise.all(
          [0, 1, 2].map(async (i) => {
            const database = await nodes[i].databases.open('orders')
            return database!.views.list().find(({ name }) => name === 'many')?.version
          }),
        )
        if (found.every((v) => v === version)) return
        assert.ok(world.nowMicros < end, `SEED=${seed}: ${what}: versions ${found} of a view`)
        await sleep(50_000)
      }
    }
    const viewsAt = async (i: number) => (await nodes[i].databases.open('orders'))!
    const first = await viewsAt(2)
    await first.views.add(definition(1))
    first.viewChanged('many')
    await known('added at one node', 1)
    world.internet.cut('a', 'b')
    world.internet.cut('a', 'c')
    const second = await viewsAt(1)
    await second.views.add(definition(2))
    second.viewChanged('many')
    await sleep(8_000_000)
    assert.equal((await viewsAt(0)).views.status('many').version, 1)
    world.internet.heal()
    await known('another version while a node was away', 2)
    assert.deepEqual(await (await viewsAt(0)).views.get('many'), { n: said })
    const third = await viewsAt(0)
    await third.views.remove('many')
    third.viewChanged('many')
    await known('removed at one node', undefined)
    for (const { mesh, databases, opened } of nodes) {
      mesh.stop()
      await databases.close()
      await opened.close()
    }
    return true
  }
  assert.ok(await world.run(main, () => world.nowMicros > 120_000_000))
})
