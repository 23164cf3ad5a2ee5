/** The failpoint that keeps memtables in memory: nothing is flushed or stalled unasked, everything is read. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ROW } from '../../base/index.ts'
import { WriteSetBuilder } from '../../encoding/index.ts'
import { nodeIo } from '../../io/node/index.ts'
import { openEngine } from './lsm-engine.ts'

const key = (i: number) => Buffer.from(`key ${String(i).padStart(8, '0')}`)

test('with holdFlush full memtables pile up until a flush is asked for', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'lattice-hold-'))
  const io = nodeIo({ logLevel: 'silent' })
  const engine = await openEngine({ io, directory, memtableBytes: 64 << 10, holdFlush: true })
  try {
    const value = new Uint8Array(100)
    for (let i = 1; i <= 5000; i++) {
      const set = new WriteSetBuilder()
      set.put(key(i), value)
      engine.apply(set.finish(i), 1, i)
    }
    await io.tasks.yield()
    const { memtables, flushes } = engine.stats()
    assert.ok(memtables > 5, `${memtables} memtables`)
    assert.equal(flushes, 0)
    assert.equal(engine.stalled, false)
    const found = engine.found()
    assert.equal(engine.get(key(1), 5000, found), ROW)
    await engine.flush()
    assert.equal(engine.flushed(1), 5000)
  } finally {
    await engine.close()
    await io.stop()
    rmSync(directory, { recursive: true })
  }
})
