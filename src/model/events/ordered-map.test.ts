import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { SimWorld } from '../../testing/sim-world.ts'
import { openEventDirectory } from './directory.ts'
import { memoryMap } from './memory-map.ts'
import { orderedMapConformance } from './ordered-map.conformance.ts'
import type { OrderedMap } from './ordered-map.ts'

orderedMapConformance(test, 'memory', async () => memoryMap(), false)

// A memtable that is soon full, so that entries come from tables too.
const small = { memtableBytes: 256 * 1024, cacheBytes: 1 << 20 }

orderedMapConformance(
  (name, run) => {
    test(name, async () => {
      const world = new SimWorld(name)
      const io = world.node(world.disk())
      await world.run(async () => {
        const directory = await openEventDirectory(io, '/data', small)
        openMap = (space) => directory.openMap(space)
        await run()
        await directory.close()
      })
    })
  },
  'engine',
  (space) => openMap(space),
  true,
)
let openMap: (space: string) => Promise<OrderedMap>

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const everything = { from: new Uint8Array(0), to: Uint8Array.of(255), limit: 10_000 }

test('power cuts at random: a map keeps every batch that resolved, and of the last one all or nothing', async () => {
  for (let seed = 0; seed < 15; seed++) {
    const world = new SimWorld(`cuts ${seed}`)
    const disk = world.disk()
    let written = 0
    let resolved = 0
    for (let life = 0; life < 4; life++) {
      const io = world.node(disk)
      const cutAt = disk.operations + world.random.between(30, 250)
      disk.onOperation = ({ number }) => (number === cutAt ? 'crash' : undefined)
      await world.run(
        async () => {
          const directory = await openEventDirectory(io, '/data', small)
          const map = await directory.openMap('one')
          const found = (await map.scan(everything)).map((e) => e.key[0] * 256 + e.key[1])
          assert.ok(found.length % 3 === 0, `seed ${seed}: a batch is whole`)
          const last = found.length / 3
          assert.ok(last >= resolved && last <= written, `seed ${seed}: ${resolved} ≤ ${last} ≤ ${written}`)
          written = resolved = last
          for (;;) {
            const n = ++written
            const batch = [0, 1, 2].map((i) => ({
              key: Uint8Array.of(n >> 8, n, i),
              value: bytes('v'.repeat(n % 700)),
            }))
            void map.write(batch).then(() => {
              resolved = Math.max(resolved, n)
            })
            if (world.random.chance(0.3)) await new Promise<void>((done) => io.tasks.after(world.random.below(4), done))
          }
        },
        () => io.dead,
      )
      disk.onOperation = undefined
    }
    assert.ok(written > 0)
  }
})

test('a full disk refuses a write, which can be repeated when there is room', async () => {
  const world = new SimWorld('full')
  const disk = world.disk()
  const io = world.node(disk)
  await world.run(async () => {
    const directory = await openEventDirectory(io, '/data')
    const map = await directory.openMap('one')
    disk.capacityBytes = disk.usedBytes()
    let refused = 0
    let n = 0
    while (refused === 0 && n < 5_000) {
      try {
        await map.write([{ key: bytes(`k${n}`), value: new Uint8Array(8_000) }])
        n++
      } catch (error) {
        assert.ok(error instanceof DbError && error.code === 'disk_full', String(error))
        refused++
      }
    }
    assert.ok(refused > 0)
    disk.capacityBytes = Number.POSITIVE_INFINITY
    await new Promise<void>((done) => io.tasks.after(1_000, done))
    await map.write([{ key: bytes('room again'), value: bytes('x') }])
    assert.equal((await map.scan(everything)).length, n + 1)
    await directory.close()
  })
})
