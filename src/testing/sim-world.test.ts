import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../base/index.ts'
import type { CpuJob, Io, Socket } from '../io/index.ts'
import { SimWorld, simIo } from './index.ts'

const double: CpuJob<{ n: number }, number> = { module: 'unused', name: 'double', run: ({ n }) => n * 2 }

/** A bit of everything; `extra` makes one more port call. */
async function everything(io: Io, extra: boolean): Promise<void> {
  await io.disk.makeDirectory('/d')
  const file = await io.disk.open('/d/f', { create: true })
  await Promise.all(
    Array.from({ length: 20 }, async (_, i) => {
      await new Promise<void>((done) => io.tasks.after(io.random.below(10), done))
      await file.write(io.random.bytes(100), 0, 100, i * 100)
      await io.tasks.cpu(double, { n: i })
      if (i % 5 === 0) await file.sync()
    }),
  )
  if (extra) io.clock.wallMicros()
  const listener = await io.network.listen('127.0.0.1', 0, (socket) => socket.onData((chunk) => socket.write(chunk)))
  const socket = await io.network.connect('127.0.0.1', listener.port)
  const echoed = new Promise<void>((done) => {
    let left = 5000
    socket.onData((chunk) => {
      left -= chunk.length
      if (left === 0) done()
    })
  })
  socket.write(new Uint8Array(5000))
  await echoed
  socket.end()
  await file.close()
}

async function hashOf(seed: number, extra = false): Promise<string> {
  const sim = simIo(seed)
  await sim.run(() => everything(sim.io, extra))
  return sim.traceHash
}

test('one seed gives one trace, another seed or one more call another', async () => {
  const hash = await hashOf(1)
  assert.equal(await hashOf(1), hash)
  assert.notEqual(await hashOf(2), hash)
  assert.notEqual(await hashOf(1, true), hash)
})

test('a power cut loses, keeps and tears what was not synced, and nothing that was', async () => {
  const outcomes = new Set<string>()
  for (let seed = 0; seed < 60; seed++) {
    const sim = simIo(seed)
    const synced = new Uint8Array(4096).fill(1)
    await sim.run(async () => {
      await sim.io.disk.makeDirectory('/d')
      const file = await sim.io.disk.open('/d/f', { create: true })
      await file.write(synced, 0, 4096, 0)
      await file.sync()
      await sim.io.disk.syncDirectory('/d')
      await file.write(new Uint8Array(4096).fill(2), 0, 4096, 2048)
      const lost = await sim.io.disk.open('/d/g', { create: true })
      await lost.sync()
    })
    sim.io.crash()
    const file = sim.disk.file('/d/f')
    const bytes = new Uint8Array(8192)
    const length = file.read(bytes, 0, 8192, 0)
    assert.ok(length >= 4096)
    assert.ok(bytes.subarray(0, 2048).every((byte) => byte === 1))
    for (let sector = 2048; sector < 4096; sector += 512) {
      assert.ok(
        bytes.subarray(sector, sector + 512).every((byte) => byte === bytes[sector]),
        'sectors are whole',
      )
    }
    const kept = bytes.subarray(2048, 6144).filter((byte) => byte === 2).length
    outcomes.add(kept === 0 ? 'lost' : kept === 4096 ? 'kept' : 'torn')
    outcomes.add(sim.disk.paths().includes('/d/g') ? 'name kept' : 'name lost')
  }
  assert.deepEqual([...outcomes].sort(), ['kept', 'lost', 'name kept', 'name lost', 'torn'])
})

test('faults: errors on demand, a lying sync, a misdirected write, a full disk, a crash at the n-th call', async () => {
  const sim = simIo(5)
  await sim.run(async () => {
    const { disk } = sim.io
    await disk.makeDirectory('/d')
    const file = await disk.open('/d/f', { create: true })
    sim.disk.onOperation = ({ kind }) => (kind === 'write' ? 'io_error' : undefined)
    await assert.rejects(file.write(new Uint8Array(9), 0, 9, 0), (e) => e instanceof DbError && e.code === 'io_error')
    sim.disk.onOperation = undefined
    await file.write(new Uint8Array(2048).fill(7), 0, 2048, 0)
    sim.disk.onOperation = ({ kind }) => (kind === 'sync' ? 'skip' : undefined)
    await file.sync()
    assert.equal(sim.disk.file('/d/f').unsynced, 1)
    sim.disk.onOperation = ({ kind }) => (kind === 'write' ? 'misdirect' : undefined)
    await file.write(new Uint8Array(512).fill(9), 0, 512, 4096)
    assert.equal(await file.size(), 2048)
    sim.disk.onOperation = undefined
    sim.disk.capacityBytes = 4096
    await assert.rejects(file.write(new Uint8Array(4096), 0, 4096, 4096), (e) => {
      return e instanceof DbError && e.code === 'disk_full'
    })
    await file.write(new Uint8Array(1024), 0, 1024, 0)
    await assert.rejects(disk.open('/nowhere/f', { create: true }), /directory/)
  })
  sim.disk.onOperation = ({ number }) => (number === sim.disk.operations && number > 20 ? 'crash' : undefined)
  const outcome = await sim.world.run(
    async () => {
      for (;;) await sim.io.disk.list('/d')
    },
    () => sim.io.dead,
  )
  assert.equal(outcome, undefined)
  assert.equal(sim.io.dead, true)
})

test('a dead incarnation hears nothing more, its successor works on the same disk', async () => {
  const world = new SimWorld(3)
  const disk = world.disk()
  const first = world.node(disk)
  let woken = false
  first.tasks.after(1, () => {
    woken = true
  })
  first.crash()
  await world.runFor(10_000)
  assert.equal(woken, false)
  const second = world.node(disk)
  await world.run(async () => second.disk.makeDirectory('/d'))
  assert.equal(disk.directoryExists('/d'), true)
})

test('a cut stalls a connection, healing lets it go on, a dead host resets it', async () => {
  const world = new SimWorld(4)
  const a = world.node(world.disk('a'), 'a')
  const b = world.node(world.disk('b'), 'b')
  let got = 0
  let ended: Error | undefined
  await world.run(async () => {
    let server: Socket | undefined
    await b.network.listen('b', 1, (socket) => {
      server = socket
      socket.onData((chunk) => {
        got += chunk.length
      })
    })
    const client = await a.network.connect('b', 1)
    client.onClose((error) => {
      ended = error
    })
    world.internet.cut('a', 'b')
    client.write(new Uint8Array(100))
    await assert.rejects(a.network.connect('b', 1), /could not connect/)
    assert.ok(server)
  })
  await world.runFor(100_000)
  assert.equal(got, 0)
  world.internet.heal()
  await world.runFor(100_000)
  assert.equal(got, 100)
  b.crash()
  await world.runFor(100_000)
  assert.match(String(ended), /reset/)
})
