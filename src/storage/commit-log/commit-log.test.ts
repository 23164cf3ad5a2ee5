import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import type { Io } from '../../io/index.ts'
import { SimRandom, type SimSolo, simIo } from '../../testing/index.ts'
import { type CommitLog, openCommitLog } from '../index.ts'

const directory = '/data'
const open = (io: Io, options: { segmentBytes?: number; budgetBytes?: number } = {}) =>
  openCommitLog({ io, directory, segmentBytes: 16 * 1024, ...options })

const text = (payload: Uint8Array) => Buffer.from(payload).toString('latin1')

function append(log: CommitLog, stream: number, index: number, payload: string, term = 1, durable?: () => void): void {
  log.append({ stream, index, term, transactionId: index * 10, payload: Buffer.from(payload, 'latin1') }, durable)
}

async function contents(log: CommitLog, stream: number, from = log.firstIndex(stream)): Promise<string[]> {
  const out: string[] = []
  await log.read(stream, from, log.lastIndex(stream), (record) => {
    assert.equal(record.stream, stream)
    assert.equal(record.index, from + out.length)
    assert.equal(record.transactionId, record.index * 10)
    out.push(text(record.payload))
  })
  return out
}

async function reopen(sim: SimSolo, how: 'crash' | 'kill' = 'kill'): Promise<Io> {
  if (how === 'crash') sim.io.crash()
  else sim.io.kill()
  sim.disk.mounted?.kill()
  return sim.world.node(sim.disk)
}

const run = <T>(sim: SimSolo, main: () => Promise<T>): Promise<T> => sim.world.run(main) as Promise<T>

test('records of many streams come back, in memory, from disk and after a restart', async () => {
  const sim = simIo(1)
  const expected: string[][] = [[], [], []]
  await sim.run(async () => {
    const log = await open(sim.io)
    for (let i = 1; i <= 500; i++) {
      for (let stream = 0; stream < 3; stream++) {
        const payload = `${stream}/${i}/${'x'.repeat((i * 7) % 300)}`
        expected[stream].push(payload)
        append(log, stream, i, payload)
      }
      if (i === 250) assert.deepEqual(await contents(log, 1), expected[1], 'some are not yet on disk')
      if (i % 50 === 0) await log.sync()
    }
    log.saveHardState(2, { term: 9, vote: 3, commit: 400 }, undefined)
    await log.sync()
    for (let stream = 0; stream < 3; stream++) assert.deepEqual(await contents(log, stream), expected[stream])
    assert.ok(log.stats().segments > 5)
    assert.equal(log.stats().records, 1501 + (log.stats().segments - 1) * 3)
    await log.close()
  })
  const io = await reopen(sim)
  await run(sim, async () => {
    const log = await open(io)
    assert.deepEqual(log.streams(), [0, 1, 2])
    for (let stream = 0; stream < 3; stream++) assert.deepEqual(await contents(log, stream), expected[stream])
    assert.deepEqual(log.hardState(2), { term: 9, vote: 3, commit: 400 })
    assert.deepEqual(log.hardState(7), { term: 0, vote: 0, commit: 0 })
    assert.deepEqual([log.firstIndex(7), log.lastIndex(7)], [0, 0])
    append(log, 1, 501, 'after')
    await log.sync()
    assert.deepEqual(await contents(log, 1, 501), ['after'])
    assert.throws(() => append(log, 1, 503, 'gap'), /follows/)
    await log.close()
  })
})

test('callbacks run once, in order, after the sync of their group, and a turn of the loop makes one group', async () => {
  const sim = simIo(2)
  await sim.run(async () => {
    const log = await open(sim.io)
    const before = log.stats()
    const order: number[] = []
    for (let i = 1; i <= 100; i++) append(log, 1, i, 'p', 1, () => order.push(i))
    assert.equal(order.length, 0)
    await log.sync()
    assert.deepEqual(
      order,
      Array.from({ length: 100 }, (_, i) => i + 1),
    )
    assert.equal(log.stats().groups, before.groups + 1)
    await log.close()
  })
})

test('a failed sync stops the node and acknowledges nothing', async () => {
  const sim = simIo(3)
  let acknowledged = false
  await sim.world.run(
    async () => {
      const log = await open(sim.io)
      sim.disk.onOperation = ({ kind }) => (kind === 'sync' ? 'io_error' : undefined)
      append(log, 1, 1, 'p', 1, () => {
        acknowledged = true
      })
      await log.sync()
    },
    () => sim.io.dead,
  )
  await sim.world.runFor(1_000_000)
  assert.equal(acknowledged, false)
  assert.match(sim.io.fatalReason!, /commit log/)
})

test('a later record cancels what stood at its index and above, also after a restart', async () => {
  const sim = simIo(4)
  await sim.run(async () => {
    const log = await open(sim.io)
    for (let i = 1; i <= 10; i++) append(log, 5, i, `old${i}`, 1)
    await log.sync()
    append(log, 5, 7, 'new7', 2)
    append(log, 5, 8, 'new8', 2)
    await log.sync()
    assert.deepEqual(await contents(log, 5, 6), ['old6', 'new7', 'new8'])
    await log.close()
  })
  const io = await reopen(sim)
  await run(sim, async () => {
    const log = await open(io)
    assert.equal(log.lastIndex(5), 8)
    assert.deepEqual(await contents(log, 5, 6), ['old6', 'new7', 'new8'])
    await log.close()
  })
})

test('released segments are recycled, the log stays within bounds, and no ghost returns', async () => {
  const sim = simIo(5)
  await sim.run(async () => {
    const log = await open(sim.io)
    append(log, 2, 1, 'idle')
    log.saveHardState(2, { term: 4, vote: 2, commit: 1 }, undefined)
    log.release(2, 1)
    for (let i = 1; i <= 3000; i++) {
      append(log, 1, i, `payload ${i} ${'y'.repeat(100)}`)
      if (i % 20 === 0) {
        await log.sync()
        log.release(1, i - 10)
      }
    }
    await log.sync()
    assert.ok(log.stats().segments <= 3, `${log.stats().segments}`)
    assert.ok(sim.disk.paths().length <= 8, sim.disk.paths().join(' '))
    assert.equal(log.firstIndex(1), 2991)
    await log.close()
  })
  const io = await reopen(sim)
  await run(sim, async () => {
    const log = await open(io)
    assert.deepEqual(log.hardState(2), { term: 4, vote: 2, commit: 1 }, 'checkpoints carry it forward')
    assert.equal(log.lastIndex(2), 1)
    const seen = await contents(log, 1)
    assert.equal(seen.at(-1), `payload 3000 ${'y'.repeat(100)}`)
    assert.ok(seen.length >= 10 && log.firstIndex(1) <= 2991)
    log.release(1, 5000)
    assert.deepEqual([log.firstIndex(1), log.lastIndex(1)], [5001, 5000], 'a snapshot moved the stream on')
    append(log, 1, 5001, 'behind the snapshot')
    await log.close()
  })
  const again = await reopen(sim)
  await run(sim, async () => {
    const log = await open(again)
    assert.deepEqual([log.firstIndex(1), log.lastIndex(1)], [5001, 5001])
    assert.deepEqual(await contents(log, 1), ['behind the snapshot'])
    await log.close()
  })
})

test('above the budget idle streams are copied forward and busy ones are named', async () => {
  const sim = simIo(6)
  await sim.run(async () => {
    const log = await open(sim.io, { budgetBytes: 64 * 1024 })
    append(log, 2, 1, 'prepare')
    append(log, 2, 2, 'vote')
    for (let i = 1; i <= 2000; i++) {
      append(log, 1, i, 'z'.repeat(100))
      if (i % 20 === 0) await log.sync()
    }
    const [laggard] = log.laggards().filter(({ stream }) => stream === 1)
    assert.ok(laggard.index > 500 && laggard.index < 2000)
    const segments = log.stats().segments
    log.release(1, laggard.index)
    for (let i = 0; i < 20; i++) await sim.io.tasks.yield()
    await log.sync()
    await new Promise<void>((done) => sim.io.tasks.after(100, done))
    assert.ok(log.stats().segments < segments - 5, `${log.stats().segments} of ${segments}`)
    assert.deepEqual(await contents(log, 2), ['prepare', 'vote'])
    await log.close()
  })
  const io = await reopen(sim)
  await run(sim, async () => {
    const log = await open(io)
    assert.deepEqual(await contents(log, 2), ['prepare', 'vote'])
    await log.close()
  })
})

test('a full disk refuses appends and leaves what is there alone; with room again it goes on', async () => {
  const sim = simIo(7)
  await sim.run(async () => {
    const log = await open(sim.io)
    await log.sync()
    sim.disk.capacityBytes = sim.disk.usedBytes() + 20 * 1024
    let index = 0
    let acknowledged = 0
    await assert.rejects(
      async () => {
        for (;;) {
          append(log, 1, index + 1, 'w'.repeat(500), 1, () => acknowledged++)
          index++
          if (index % 5 === 0) await new Promise<void>((done) => sim.io.tasks.after(5, done))
        }
      },
      (e) => e instanceof DbError && e.code === 'disk_full',
    )
    assert.ok(index > 30)
    sim.disk.capacityBytes = Number.POSITIVE_INFINITY
    await new Promise<void>((done) => sim.io.tasks.after(1000, done))
    append(log, 1, index + 1, 'room again', 1, () => acknowledged++)
    await log.sync()
    assert.equal(acknowledged, index + 1)
    assert.equal((await contents(log, 1)).at(-1), 'room again')
    await log.close()
  })
})

test('a record larger than a segment and one larger than a read are stored whole', async () => {
  const sim = simIo(8)
  const large = 'L'.repeat(600_000)
  await sim.run(async () => {
    const log = await open(sim.io)
    append(log, 1, 1, 'before')
    append(log, 1, 2, large)
    append(log, 1, 3, 'after')
    await log.sync()
    assert.deepEqual(await contents(log, 1), ['before', large, 'after'])
    await log.close()
  })
  const io = await reopen(sim)
  await run(sim, async () => {
    const log = await open(io)
    assert.deepEqual(await contents(log, 1), ['before', large, 'after'])
    await log.close()
  })
})

test('an older, newer or unknown format is refused with both versions named', async () => {
  const sim = simIo(9)
  const refused = (how: RegExp) => (e: unknown) =>
    e instanceof DbError &&
    e.code === 'incompatible_format' &&
    e.message.includes(directory) &&
    how.test(`${e.message} ${e.detail}`)
  const rewrite = async (line: string) => {
    const file = await sim.io.disk.open(`${directory}/FORMAT`)
    await file.truncate(0)
    await file.write(Buffer.from(line), 0, line.length, 0)
    await file.close()
  }
  await sim.run(async () => {
    await (await open(sim.io)).close()
    await rewrite('latticedb data format 0\n')
    await assert.rejects(open(sim.io), refused(/format 0, not format 1/))
    await rewrite('hello')
    await assert.rejects(open(sim.io), refused(/unknown format, not format 1/))
    await sim.io.disk.remove(`${directory}/FORMAT`)
    await assert.rejects(open(sim.io), refused(/unknown format/))
  })
})

test('power cuts at random: what was acknowledged is there, in order, and nothing that was never appended', async () => {
  for (let seed = 0; seed < 60; seed++) {
    const sim = simIo(`cuts ${seed}`)
    const random = new SimRandom(`plan ${seed}`)
    const lasts = [0, 0]
    const durable = [0, 0]
    let io: Io = sim.io
    for (let life = 0; life < 4; life++) {
      const cutAt = sim.disk.operations + random.between(5, 120)
      sim.disk.onOperation = ({ number }) => (number === cutAt ? 'crash' : undefined)
      await sim.world.run(
        async () => {
          const log = await open(io, { segmentBytes: 4096 })
          for (const stream of [0, 1]) {
            const last = log.lastIndex(stream)
            assert.ok(last >= durable[stream], `seed ${seed}: ${last} of ${durable[stream]} acknowledged are there`)
            assert.ok(last <= lasts[stream], `seed ${seed}: no ghosts`)
            const seen = last === 0 ? [] : await contents(log, stream)
            for (let i = 0; i < seen.length; i++) {
              const index = log.firstIndex(stream) + i
              assert.ok(seen[i].startsWith(`${stream}:${index}:`), `seed ${seed}: entry ${index} is itself`)
            }
            lasts[stream] = last
            durable[stream] = last
          }
          for (;;) {
            const stream = random.below(2)
            const index = ++lasts[stream]
            append(log, stream, index, `${stream}:${index}:${'v'.repeat(random.below(400))}`, 1, () => {
              durable[stream] = index
            })
            if (random.chance(0.3)) await new Promise<void>((done) => io.tasks.after(random.below(3), done))
            if (random.chance(0.05)) log.release(stream, Math.max(0, durable[stream] - 5))
          }
        },
        () => io.dead,
      )
      sim.disk.onOperation = undefined
      io = sim.world.node(sim.disk)
    }
  }
})

test('every flipped bit of a durable log is reported, or lies where nothing is, or ends it at the last group', async () => {
  let reported = 0
  for (let seed = 0; seed < 150; seed++) {
    const sim = simIo(`flip ${seed}`)
    const random = new SimRandom(`where ${seed}`)
    await sim.run(async () => {
      const log = await open(sim.io, { segmentBytes: 4096 })
      for (let i = 1; i <= 60; i++) {
        append(log, 1, i, `entry ${i} ${'f'.repeat(i)}`)
        if (i % 3 === 0) await log.sync()
      }
      await log.close()
    })
    const path = random.pick(sim.disk.paths().filter((name) => name.endsWith('.log')))
    const position = random.below(sim.disk.file(path).length)
    sim.disk.flipBit(path, position, random.below(8))
    const io = await reopen(sim)
    await run(sim, async () => {
      try {
        const log = await open(io, { segmentBytes: 4096 })
        const seen = await contents(log, 1)
        assert.ok(seen.length >= 57, `seed ${seed}: ${path} ${position}: only the last group may be missing`)
        for (let i = 0; i < seen.length; i++) assert.equal(seen[i], `entry ${i + 1} ${'f'.repeat(i + 1)}`)
        await log.close()
      } catch (error) {
        assert.ok(error instanceof DbError && error.code === 'data_corrupted', String(error))
        assert.ok(error.detail?.includes(path), error.message)
        reported++
      }
    })
  }
  assert.ok(reported > 50, `${reported}`)
})
