/** What the engine does when its disk fails: nothing acknowledged by a flush is lost, corruption is named, never skipped. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import { type SimSolo, simIo } from '../../testing/index.ts'
import { get, scan, span, write } from '../engine.conformance.ts'
import { openEngine } from './lsm-engine.ts'

const small = { directory: '/data', memtableBytes: 60_000, tableBytes: 4000, blockBytes: 600, baseBytes: 1 << 20 }

const keyOf = (n: number) => `key${String(n).padStart(4, '0')}`

async function fill(sim: SimSolo, from = 0, to = 300) {
  const engine = await openEngine({ io: sim.io, ...small })
  for (let n = from; n < to; n++) write(engine, n + 1, { [keyOf(n)]: `value ${n} ${'.'.repeat(50)}` }, 1, n + 1)
  await engine.flush()
  return engine
}

const corrupted = (path: string) => (e: unknown) =>
  e instanceof DbError && e.code === 'data_corrupted' && e.detail!.includes(path) && /offset [0-9]+/.test(e.detail!)

const tables = (sim: SimSolo) => sim.disk.paths().filter((path) => path.endsWith('.table'))

test('a full disk stalls writes, and flushing goes on when there is room', async () => {
  const sim = simIo(1)
  await sim.run(async () => {
    const engine = await fill(sim)
    sim.disk.capacityBytes = sim.disk.usedBytes() + 3000
    let index = 300
    while (!engine.stalled) {
      index++
      write(engine, index, { [keyOf(index)]: 'x'.repeat(500) }, 1, index)
    }
    const flushing = engine.flush()
    let flushed = false
    void flushing.then(() => {
      flushed = true
    })
    await new Promise<void>((done) => sim.io.tasks.after(10_000, done))
    assert.equal(flushed, false)
    assert.equal(engine.flushed(1), 300)
    assert.equal(await get(engine, keyOf(5), 9999), `value 5 ${'.'.repeat(50)}`, 'reads go on')
    sim.disk.capacityBytes = Number.POSITIVE_INFINITY
    await flushing
    await engine.unstalled()
    assert.equal(engine.flushed(1), index)
    assert.equal((await scan(engine, span(''), 9999)).length, index, 'key 300 alone was left out, key 0 counts')
    await engine.close()
    const again = await openEngine({ io: sim.io, ...small })
    assert.equal(again.applied(1), index)
    await again.close()
  })
  assert.equal(sim.io.fatalReason, undefined)
})

test('a failed sync of a table or of the manifest ends the node', async () => {
  for (const which of ['.table', 'MANIFEST']) {
    const sim = simIo(2)
    await sim.world.run(
      async () => {
        const engine = await fill(sim)
        sim.disk.onOperation = ({ kind, path }) => (kind === 'sync' && path.includes(which) ? 'io_error' : undefined)
        write(engine, 1000, { a: 'b' })
        await engine.flush()
      },
      () => sim.io.dead,
    )
    assert.match(sim.io.fatalReason!, /could not be synced/, which)
  }
})

test('a flipped bit is reported by file and offset, and other blocks are read all the same', async () => {
  const sim = simIo(3)
  await sim.run(async () => {
    await (await fill(sim)).close()
    const [path] = tables(sim)
    sim.disk.flipBit(path, 1000, 3)
    const engine = await openEngine({ io: sim.io, ...small })
    let failures = 0
    for (let n = 0; n < 300; n++) {
      try {
        assert.equal(await get(engine, keyOf(n), 9999), `value ${n} ${'.'.repeat(50)}`)
      } catch (error) {
        assert.ok(corrupted(path)(error), String(error))
        failures++
      }
    }
    assert.ok(failures > 0 && failures < 20, `${failures} keys of one block`)
    await assert.rejects(scan(engine, span(''), 9999), corrupted(path))
    for (let n = 0; n < 4; n++) {
      write(engine, 2000 + n, { [keyOf(n)]: 'again' })
      await engine.flush()
    }
    await engine.compact()
    assert.equal(await get(engine, keyOf(2), 9999), 'again', 'compaction gives up, the engine does not')
    assert.equal(await get(engine, keyOf(299), 9999), `value 299 ${'.'.repeat(50)}`)
    await engine.close()
  })
  assert.equal(sim.io.fatalReason, undefined)
})

test('a swapped file, a missing one and a cut one are found when the store is opened', async () => {
  const damages: [string, (sim: SimSolo, path: string) => Promise<void>][] = [
    ['missing', (sim, path) => sim.io.disk.remove(path)],
    ['swapped', (sim, path) => sim.io.disk.rename(tables(sim).at(-1)!, path)],
    [
      'cut',
      async (sim, path) => {
        const file = await sim.io.disk.open(path)
        await file.truncate((await file.size()) - 100)
        await file.close()
      },
    ],
  ]
  for (const [what, damage] of damages) {
    const sim = simIo(what)
    await sim.run(async () => {
      const engine = await fill(sim)
      write(engine, 1000, { z: 'second table' })
      await engine.flush()
      await engine.close()
      const [path] = tables(sim)
      await damage(sim, path)
      await assert.rejects(openEngine({ io: sim.io, ...small }), corrupted('.table'), what)
    })
  }
})

test('a sound block at the wrong place is not believed', async () => {
  const sim = simIo(4)
  await sim.run(async () => {
    await (await fill(sim)).close()
    const [path] = tables(sim)
    const file = sim.disk.file(path)
    const bytes = new Uint8Array(file.length)
    file.read(bytes, 0, bytes.length, 0)
    const first = 16 + new DataView(bytes.buffer).getUint32(8, true)
    const second = (first + 7) & ~7
    file.write(bytes.slice(second, second + first), 0)
    const engine = await openEngine({ io: sim.io, ...small })
    await assert.rejects(get(engine, keyOf(0), 9999), corrupted(path))
    assert.equal(await get(engine, keyOf(200), 9999), `value 200 ${'.'.repeat(50)}`)
    await engine.close()
  })
})

test('corruption in the middle of the manifest is told from a torn end', async () => {
  const sim = simIo(5)
  await sim.run(async () => {
    const engine = await fill(sim)
    for (let n = 0; n < 3; n++) {
      write(engine, 1000 + n, { [`z${n}`]: 'v' })
      await engine.flush()
    }
    await engine.close()
    const path = sim.disk.paths().find((name) => name.includes('MANIFEST'))!
    const { length } = sim.disk.file(path)
    sim.disk.flipBit(path, length - 30, 1)
    const shorter = await openEngine({ io: sim.io, ...small })
    assert.ok(shorter.applied(1) >= 300, 'an unsound last edit counts as never written')
    await shorter.close()
  })
  const other = simIo(6)
  await other.run(async () => {
    const engine = await fill(other)
    for (let n = 0; n < 3; n++) {
      write(engine, 1000 + n, { [`z${n}`]: 'v' })
      await engine.flush()
    }
    await engine.close()
    const path = other.disk.paths().find((name) => name.includes('MANIFEST'))!
    other.disk.flipBit(path, 100, 1)
    await assert.rejects(openEngine({ io: other.io, ...small }), corrupted('MANIFEST'))
  })
})
