/**
 * Write sets that are applied in slices, and streams that are forgotten, over power cuts: the power goes at every I/O of
 * a run; what the log has is applied again, and the store equals one that nothing happened to. Also: where tables go.
 */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { Io } from '../../io/index.ts'
import { SimRandom, SimWorld, simIo } from '../../testing/index.ts'
import { span, versions, write } from '../engine.conformance.ts'
import type { Engine } from '../engine.ts'
import { MemoryEngine } from '../memory.ts'
import { buildVersions, largeSet } from '../streams.conformance.ts'
import { openEngine } from './lsm-engine.ts'

const small = {
  directory: '/data',
  memtableBytes: 30_000,
  tableBytes: 3000,
  blockBytes: 600,
  baseBytes: 8000,
  level0Tables: 2,
}

/** Entries of two streams as a log would have them: stream 1 has large ones, stream 2 small ones. */
const large = Array.from({ length: 3 }, (_, i) => largeSet('big/', 100 + i * 40, 100 * (i + 1)))
const smallEntries = 25

function applySmall(engine: Engine, index: number): void {
  write(engine, 1000 + index, { [`small/${index % 7}`]: `value ${index}` }, 2, index)
}

/** Applies what is not applied, large sets in slices with I/O in between. */
async function replay(engine: Engine, random: SimRandom, io: Io): Promise<void> {
  while (engine.applied(1) < large.length || engine.applied(2) < smallEntries) {
    const index = engine.applied(1) + 1
    if (index <= large.length) {
      const task = engine.beginApply(large[index - 1], 1, index)
      while (!task.step(random.between(1, 50))) {
        if (engine.applied(2) < smallEntries) applySmall(engine, engine.applied(2) + 1)
        if (random.chance(0.4)) void engine.flush()
        if (random.chance(0.5)) await new Promise<void>((done) => io.tasks.after(random.below(4), done))
      }
    } else applySmall(engine, engine.applied(2) + 1)
  }
}

let whole: string[] | undefined

async function expected(): Promise<string[]> {
  if (whole !== undefined) return whole
  const model = new MemoryEngine()
  for (const [i, set] of large.entries()) model.apply(set, 1, i + 1)
  for (let index = 1; index <= smallEntries; index++) applySmall(model, index)
  whole = await versions(model, span(''))
  return whole
}

async function cutAt(seed: string, cut: number | undefined): Promise<number> {
  const world = new SimWorld(seed)
  const disk = world.disk()
  const random = new SimRandom(`work ${seed}`)
  for (let life = 0; life < 2; life++) {
    const io = world.node(disk)
    disk.onOperation = ({ number }) => (life === 0 && number === cut ? 'crash' : undefined)
    await world.run(
      async () => {
        const engine = await openEngine({ io, ...small })
        assert.ok(engine.applied(1) <= large.length && engine.applied(2) <= smallEntries)
        await replay(engine, random, io)
        assert.deepEqual(await versions(engine, span('')), await expected())
        await engine.flush()
        await engine.compact()
        assert.deepEqual(await versions(engine, span('')), await expected())
        await engine.close()
      },
      () => io.dead,
    )
    if (cut === undefined) break
  }
  return disk.operations
}

test('a power cut between slices leaves nothing that replaying the entry does not put right', async () => {
  const only = process.env.SLICES_CUT
  const total = await cutAt('slices', undefined)
  assert.ok(total > 60, `${total} operations`)
  for (let cut = 1; cut <= total; cut++) {
    if (only !== undefined && Number(only) !== cut) continue
    try {
      await cutAt('slices', cut)
    } catch (error) {
      throw new Error(`cut at ${cut}; replay: SLICES_CUT=${cut} node --test src/storage/lsm/slices.test.ts`, {
        cause: error,
      })
    }
  }
})

test('a memtable that holds only a part of an entry is flushed without a position', async () => {
  const sim = simIo(1)
  await sim.run(async () => {
    const engine = await openEngine({ io: sim.io, ...small })
    const task = engine.beginApply(large[0], 1, 1)
    task.step(50)
    await engine.flush()
    assert.equal(engine.flushed(1), 0)
    assert.equal((await versions(engine, span(''))).length, 50)
    assert.equal(engine.stats().memtableEntries, 0)
    await engine.close()
    const again = await openEngine({ io: sim.io, ...small })
    assert.equal(again.applied(1), 0)
    again.apply(large[0], 1, 1)
    assert.equal((await versions(again, span(''))).length, 100)
    await again.close()
  })
})

test('a large write set that comes in one step does not ask for a memtable of its size', async () => {
  const sim = simIo(2)
  await sim.run(async () => {
    const engine = await openEngine({ io: sim.io, directory: '/data', memtableBytes: 4 << 20 })
    const set = largeSet('k', 50_000, 10)
    engine.apply(set, 1, 1)
    const { memtables, memtableBytes } = engine.stats()
    assert.ok(memtables >= 2 && memtableBytes < 12 << 20, `${memtables} memtables, ${memtableBytes} bytes`)
    assert.equal((await versions(engine, span(''))).length, 50_000)
    assert.equal(engine.applied(1), 1)
    await engine.close()
  })
})

test('a forgotten stream is forgotten over restarts, also when its last entries were in memory or being flushed', async () => {
  for (const when of ['flushed', 'in memory', 'flushing', 'before an ingest'] as const) {
    const sim = simIo(when)
    await sim.run(async () => {
      const engine = await openEngine({ io: sim.io, ...small })
      write(engine, 1, { a: '1' }, 5, 4)
      write(engine, 2, { b: '1' }, 6, 4)
      if (when !== 'in memory') await engine.flush()
      if (when === 'flushing') {
        write(engine, 3, { a: '2' }, 5, 5)
        const flushing = engine.flush()
        for (let turn = 0; turn < 6; turn++) await sim.io.tasks.yield()
        engine.forget(5)
        await flushing
      } else engine.forget(5)
      if (when === 'before an ingest') {
        await engine.ingest(await buildVersions(engine, ['c=1@1']), [], { stream: 7, index: 1 })
      } else await engine.flush()
      await engine.close()
      const again = await openEngine({ io: sim.io, ...small })
      assert.deepEqual([again.applied(5), again.applied(6)], [0, 4], when)
      await again.close()
    })
  }
})

test('tables that are cut between spans go beneath what lies in between', async () => {
  const sim = simIo('cut')
  await sim.run(async () => {
    const engine = await openEngine({ io: sim.io, ...small, level0Tables: 100 })
    write(engine, 1, { m: 'between' })
    await engine.flush()
    for (const cut of [true, false]) {
      const writer = engine.versionWriter()
      writer.add(new Uint8Array([1]), 9, undefined)
      writer.add(new Uint8Array([1]), 8, new Uint8Array(3))
      if (cut) writer.cut()
      writer.add(new Uint8Array([255]), 9, new Uint8Array(3))
      const spans = [
        { start: new Uint8Array([1]), end: new Uint8Array([2]) },
        { start: new Uint8Array([255]), end: undefined },
      ]
      await engine.ingest(await writer.finish(), spans, { stream: 2, index: cut ? 1 : 2 })
      const [level0] = engine.stats().levels
      assert.equal(level0.tables, cut ? 1 : 2)
      assert.equal((await versions(engine, span(''))).length, 4)
    }
    const writer = engine.versionWriter()
    writer.add(new Uint8Array([1]), 9, undefined)
    writer.cut()
    assert.throws(() => writer.add(new Uint8Array([1]), 8, undefined), /one table/)
    await writer.abandon()
    await engine.close()
  })
})
