/** A node's identity survives crashes, and is never believed when damaged. Replay: SEED=<n> node --test <this file>. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { Io } from '../io/index.ts'
import { SimRandom, SimWorld, simIo } from '../testing/index.ts'
import { IdentifierAllocator } from './identifier-allocator.ts'
import { allIdentifiers, type IdentifierRange, Identifiers } from './identifiers.ts'
import { drawToken, IdentityFile, readIdentity } from './identity.ts'

const seeds = process.env.SEED ? [process.env.SEED] : Array.from({ length: 40 }, (_, i) => String(i + 1))

const clusterId = 'c'.repeat(32)

async function make(io: Io, ranges: readonly IdentifierRange[] = [allIdentifiers]): Promise<IdentityFile> {
  await io.disk.makeDirectory('/d')
  return IdentityFile.create(io, '/d', { clusterId, nodeId: 3, token: drawToken(io), ranges })
}

test('an identity is kept, its incarnation rises with every start', async () => {
  const sim = simIo(1)
  await sim.run(async () => {
    await sim.io.disk.makeDirectory('/d')
    assert.equal(await IdentityFile.open(sim.io, '/d'), undefined)
    const { identity } = await make(sim.io)
    assert.match(identity.token, /^[0-9a-f]{32}$/)
    assert.equal(identity.incarnation, 1)
    assert.equal((await IdentityFile.open(sim.io, '/d'))!.identity.incarnation, 2)
    const third = (await IdentityFile.open(sim.io, '/d', clusterId))!
    assert.deepEqual(third.identity, { ...identity, incarnation: 3 })
    await assert.rejects(make(sim.io), { code: 'duplicate_object' })
    await assert.rejects(IdentityFile.open(sim.io, '/d', 'd'.repeat(32)), {
      code: 'object_not_in_prerequisite_state',
      message: `the directory /d belongs to cluster ${clusterId}, not to ${'d'.repeat(32)}`,
    })
    assert.equal((await readIdentity(sim.io, '/d'))!.incarnation, 3)
  })
})

test('a damaged file is found, whichever byte it is', async () => {
  const sim = simIo(2)
  await sim.run(async () => {
    await make(sim.io)
    const file = await sim.io.disk.open('/d/NODE')
    const size = await file.size()
    const bytes = new Uint8Array(size)
    await file.read(bytes, 0, size, 0)
    for (let at = 0; at < size; at++) {
      await file.write(Uint8Array.of(bytes[at] ^ 1), 0, 1, at)
      await assert.rejects(IdentityFile.open(sim.io, '/d'), { code: 'data_corrupted' }, `byte ${at}`)
      await file.write(bytes, at, 1, at)
    }
    await file.truncate(size - 1)
    await assert.rejects(IdentityFile.open(sim.io, '/d'), { code: 'data_corrupted' })
  })
})

test('crashes at any time: incarnations rise, no identifier is handed out twice', async (t) => {
  for (const seed of seeds) {
    t.diagnostic(`SEED=${seed}`)
    const world = new SimWorld(seed)
    const disk = world.disk()
    const random = world.random.fork('crashes')
    const used = new Set<number>()
    const given: IdentifierRange[] = []
    let incarnation = 0
    let first = true
    for (let start = 0; start < 8; start++) {
      const io = world.node(disk)
      let left = first ? Number.POSITIVE_INFINITY : random.below(40)
      await world.run(
        async () => {
          if (first) await make(io, [{ first: 20_000, end: 40_000 }])
          const file = (await IdentityFile.open(io, '/d'))!
          assert.ok(file.identity.incarnation > incarnation, `SEED=${seed}`)
          incarnation = file.identity.incarnation
          left = random.below(60)
          first = false
          const allocator = new IdentifierAllocator(file, 16)
          for (let i = 0; i < 200; i++, left--) {
            if (random.chance(0.02)) given.push(await allocator.split())
            const id = await allocator.take()
            assert.ok(!used.has(id), `SEED=${seed}: ${id} twice`)
            used.add(id)
          }
        },
        () => left-- <= 0,
      )
      io.crash()
    }
    for (const { first, end } of given) {
      for (const id of used) assert.ok(id < first || id >= end, `SEED=${seed}: ${id} was given away`)
    }
    assert.ok(used.size > 20)
  }
})

test('ranges divide without overlap until nothing is left', () => {
  for (const seed of seeds) {
    const random = new SimRandom(seed)
    const nodes = [new Identifiers([{ first: 100, end: 1100 }])]
    const seen = new Set<number>()
    let refused = 0
    for (let i = 0; i < 3000; i++) {
      const node = random.pick(nodes)
      if (random.chance(0.01)) {
        const range = node.split()
        if (range === undefined) refused++
        else nodes.push(new Identifiers([range]))
        continue
      }
      const range = node.take(1 + random.below(3))
      if (range === undefined) continue
      for (let id = range.first; id < range.end; id++) {
        assert.ok(id >= 100 && id < 1100 && !seen.has(id), `SEED=${seed}: ${id}`)
        seen.add(id)
      }
    }
    const left = nodes.reduce((sum, node) => sum + node.size, 0)
    assert.equal(seen.size + left, 1000, `SEED=${seed}, ${refused} refused`)
  }
})

test('an allocator refills before it runs dry, and says when there is nothing left', async () => {
  const sim = simIo(3)
  await sim.run(async () => {
    const allocator = new IdentifierAllocator(await make(sim.io, [{ first: 20_000, end: 20_100 }]), 10)
    assert.equal(allocator.next(), undefined)
    await allocator.ready()
    const ids: number[] = []
    for (let i = 0; i < 100; i++) ids.push(await allocator.take())
    assert.deepEqual(
      ids,
      Array.from({ length: 100 }, (_, i) => 20_000 + i),
    )
    await assert.rejects(allocator.take(), { code: 'program_limit_exceeded' })
    await assert.rejects(allocator.split(), { code: 'program_limit_exceeded' })
    await allocator.add({ first: 30_000, end: 30_010 })
    assert.deepEqual(await allocator.split(), { first: 30_005, end: 30_010 })
    assert.equal(await allocator.take(), 30_000)
    assert.throws(() => new Identifiers([{ first: 5, end: 5 }]), /no range/)
    assert.throws(
      () =>
        new Identifiers([
          { first: 5, end: 50 },
          { first: 40, end: 60 },
        ]),
      /overlap/,
    )
  })
})
