import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../base/index.ts'
import { SimRandom, type SimSolo, simIo } from '../testing/index.ts'
import { get, span, write } from './engine.conformance.ts'
import { inspectStorage, openStorage, type Storage } from './index.ts'

const directory = '/data'
const small = {
  memtableBytes: 64_000,
  tableBytes: 4000,
  blockBytes: 600,
  baseBytes: 10_000,
  codecs: ['none', 'lz4', 'zstd'] as const,
}

async function fill(sim: SimSolo): Promise<Storage> {
  const storage = await openStorage({ io: sim.io, directory, segmentBytes: 8192, engine: small })
  for (let i = 1; i <= 400; i++) {
    const key = `key${String((i * 37) % 200).padStart(3, '0')}`
    write(storage.engine, i, { [key]: `value ${i} ${'.'.repeat(60)}` }, 3, i)
    storage.log.append(
      { stream: 3, index: i, term: 2, transactionId: 0, payload: Buffer.from(`entry ${i}`) },
      undefined,
    )
    if (i === 200) await storage.engine.flush()
  }
  storage.log.saveHardState(3, { term: 2, vote: 1, commit: 400 }, undefined)
  await storage.log.sync()
  await storage.engine.compact()
  return storage
}

test('a sound directory is reported with its segments, streams, levels and ranges', async () => {
  const sim = simIo(1)
  await sim.run(async () => {
    const storage = await fill(sim)
    await assert.rejects(
      openStorage({ io: sim.io, directory }),
      (e) => e instanceof DbError && e.code === 'lock_file_exists',
    )
    await storage.engine.excise(span('key050', 'key060'), { stream: 3, index: 401 })
    await storage.close()
    const before = sim.disk.paths().map((path) => `${path} ${sim.disk.file(path).length}`)
    const report = await inspectStorage(sim.io, directory)
    assert.deepEqual(report.problems, [])
    assert.ok(report.segments.length >= 3)
    assert.deepEqual(report.streams, [
      { stream: 3, firstIndex: 1, lastIndex: 400, term: 2, vote: 1, commit: 400, flushed: 401 },
    ])
    assert.ok(report.tables.length > 3 && report.levels.length >= 1)
    assert.ok(report.tables.every((table) => table.oldest >= 1 && table.newest <= 400 && table.entries > 0))
    assert.ok(report.bytesVerified > 20_000)
    assert.ok(report.manifest?.includes('MANIFEST'))
    assert.deepEqual(
      sim.disk.paths().map((path) => `${path} ${sim.disk.file(path).length}`),
      before,
      'nothing was changed',
    )
    await assert.rejects(
      inspectStorage(sim.io, '/elsewhere'),
      (e) => e instanceof DbError && e.code === 'undefined_file',
    )
  })
})

test('every flipped bit of a table is found by inspection, and never answers a read', async () => {
  for (let seed = 0; seed < 60; seed++) {
    const sim = simIo(seed)
    const random = new SimRandom(`flip ${seed}`)
    await sim.run(async () => {
      await (await fill(sim)).close()
      const path = random.pick(sim.disk.paths().filter((name) => name.endsWith('.table')))
      const position = random.below(sim.disk.file(path).length)
      sim.disk.flipBit(path, position, random.below(8))
      const report = await inspectStorage(sim.io, directory)
      const padding = report.problems.length === 0
      if (!padding) assert.ok(report.problems[0].detail?.includes(path), `${path}: ${report.problems[0].detail}`)
      try {
        const storage = await openStorage({ io: sim.io, directory, segmentBytes: 8192, engine: small })
        for (let n = 0; n < 200; n++) {
          const value = await get(storage.engine, `key${String(n).padStart(3, '0')}`, 200)
          assert.ok(value === undefined || /^value [0-9]+ \.{60}$/.test(value), String(value))
        }
        await storage.close()
      } catch (error) {
        assert.ok(error instanceof DbError && error.code === 'data_corrupted', String(error))
        assert.ok(error.detail?.includes(path), error.message)
        assert.ok(!padding, 'what a read finds inspection finds')
      }
    })
  }
})
