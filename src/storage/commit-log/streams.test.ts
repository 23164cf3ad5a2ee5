/** Streams that come, begin anew, are cut back and go, over restarts and the rotation of segments. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { DbError } from '../../base/index.ts'
import type { Io } from '../../io/index.ts'
import { SimRandom, type SimSolo, simIo } from '../../testing/index.ts'
import { type CommitLog, openCommitLog } from '../index.ts'

const directory = '/data'
const open = (io: Io, options: { segmentBytes?: number; budgetBytes?: number } = {}) =>
  openCommitLog({ io, directory, segmentBytes: 16 * 1024, ...options })

function append(log: CommitLog, stream: number, index: number, payload: string, term = 1, durable?: () => void): void {
  log.append({ stream, index, term, transactionId: 0, payload: Buffer.from(payload, 'latin1') }, durable)
}

async function contents(log: CommitLog, stream: number, from = log.firstIndex(stream)): Promise<string[]> {
  const out: string[] = []
  await log.read(stream, from, log.lastIndex(stream), (record) => {
    assert.equal(record.term, log.term(stream, record.index))
    out.push(Buffer.from(record.payload).toString('latin1'))
  })
  return out
}

/** Runs on the log, then again on what is there after the process was killed. */
async function lives(
  sim: SimSolo,
  parts: ((log: CommitLog) => Promise<void>)[],
  options: { segmentBytes?: number; budgetBytes?: number } = {},
) {
  let { io } = sim as { io: Io }
  for (const part of parts) {
    await sim.world.run(async () => {
      const log = await open(io, options)
      await part(log)
      await log.close()
    })
    sim.disk.mounted?.kill()
    io = sim.world.node(sim.disk)
  }
}

const bounds = (log: CommitLog, stream: number) => [log.firstIndex(stream), log.lastIndex(stream)]

const nobody = () => assert.fail('no record is visited')

const notThere = (e: unknown) => e instanceof DbError && e.code === 'object_not_in_prerequisite_state'

/** Fills segments with another stream, so that they rotate. */
async function rotate(log: CommitLog, stream: number, segments: number): Promise<void> {
  const until = log.stats().segments + segments
  while (log.stats().segments < until) {
    append(log, stream, log.lastIndex(stream) + 1, 'r'.repeat(500))
    if (log.lastIndex(stream) % 10 === 0) await log.sync()
  }
}

test('a stream begins anew behind a position above its last, with or without an entry after it', async () => {
  await lives(simIo(1), [
    async (log) => {
      for (let i = 1; i <= 10; i++) append(log, 1, i, `old ${i}`)
      for (let i = 1; i <= 10; i++) append(log, 2, i, `old ${i}`)
      log.saveHardState(1, { term: 5, vote: 2, commit: 9 }, undefined)
      log.release(1, 500)
      log.release(2, 700)
      log.release(3, 900)
      assert.deepEqual(
        [bounds(log, 1), bounds(log, 2), bounds(log, 3)],
        [
          [501, 500],
          [701, 700],
          [901, 900],
        ],
      )
      append(log, 2, 701, 'new 701', 7)
      assert.throws(() => append(log, 1, 502, 'a gap'), /follows/)
    },
    async (log) => {
      assert.deepEqual(
        [bounds(log, 1), bounds(log, 2), bounds(log, 3)],
        [
          [501, 500],
          [701, 701],
          [901, 900],
        ],
      )
      assert.deepEqual(log.hardState(1), { term: 5, vote: 2, commit: 9 })
      assert.deepEqual(await contents(log, 2), ['new 701'])
      await assert.rejects(contents(log, 2, 700), notThere)
      await assert.rejects(log.read(1, 9, 9, nobody), notThere)
      await assert.rejects(log.read(1, 501, 501, nobody), notThere)
      await assert.rejects(log.read(77, 1, 1, nobody), notThere)
      append(log, 1, 501, 'new 501', 6)
      await rotate(log, 9, 3)
      log.release(9, log.lastIndex(9))
    },
    async (log) => {
      assert.deepEqual(
        [bounds(log, 1), bounds(log, 2), bounds(log, 3)],
        [
          [501, 501],
          [701, 701],
          [901, 900],
        ],
      )
      assert.deepEqual(await contents(log, 1), ['new 501'])
      assert.deepEqual(
        [log.term(1, 501), log.term(1, 500), log.term(2, 701), log.term(8, 1)],
        [6, undefined, 7, undefined],
      )
    },
  ])
})

test('restart cancels what lies before and behind it, durably', async () => {
  let told = false
  await lives(simIo(2), [
    async (log) => {
      for (let i = 1; i <= 30; i++) append(log, 1, i, `stale ${i}`, i < 20 ? 1 : 2)
      assert.deepEqual([log.term(1, 19), log.term(1, 20)], [1, 2])
      await log.sync()
      log.restart(1, 20, () => {
        told = true
      })
      assert.equal(told, false)
      assert.deepEqual(bounds(log, 1), [21, 20])
      assert.equal(log.term(1, 20), undefined)
      await log.sync()
      assert.equal(told, true)
    },
    async (log) => {
      assert.deepEqual(bounds(log, 1), [21, 20])
      append(log, 1, 21, 'fresh 21', 9)
      await log.sync()
    },
    async (log) => {
      assert.deepEqual(await contents(log, 1), ['fresh 21'])
      assert.equal(log.term(1, 21), 9)
    },
  ])
})

test('a read that is overtaken by a release, a restart or the end of its stream fails cleanly', async () => {
  const overtaking: ((log: CommitLog) => void)[] = [
    (log) => log.release(1, 150),
    (log) => log.restart(1, 150, undefined),
    (log) => log.forget(1),
  ]
  for (const [i, overtake] of overtaking.entries()) {
    await lives(simIo(`overtaken ${i}`), [
      async (log) => {
        for (let n = 1; n <= 200; n++) append(log, 1, n, 'p'.repeat(1000))
        await log.sync()
        const seen: number[] = []
        const reading = log.read(1, 1, 200, ({ index }) => seen.push(index))
        overtake(log)
        await assert.rejects(reading, notThere)
        assert.ok(seen.length < 150)
      },
    ])
  }
})

async function cutBack(streams: number, seed: string, options: { segmentBytes: number; budgetBytes: number }) {
  const random = new SimRandom(seed)
  /** Per stream the payloads and terms from index 1 on. */
  const model: { payload: string; term: number }[][] = Array.from({ length: streams }, () => [])
  let term = 1
  const work = async (log: CommitLog) => {
    for (let stream = 0; stream < streams; stream++) {
      const entries = model[stream]
      assert.equal(log.lastIndex(stream), entries.length, `stream ${stream}`)
      if (entries.length === 0) continue
      const first = log.firstIndex(stream)
      assert.deepEqual(
        await contents(log, stream),
        entries.slice(first - 1).map(({ payload }) => payload),
      )
      for (let i = first; i <= entries.length; i++) assert.equal(log.term(stream, i), entries[i - 1].term)
    }
    for (let round = 0; round < 1500; round++) {
      const stream = random.below(streams)
      const entries = model[stream]
      if (random.chance(0.05)) term++
      const lowest = Math.max(1, log.firstIndex(stream))
      if (random.chance(0.2) && entries.length >= lowest) entries.length = random.between(lowest, entries.length) - 1
      for (let i = random.between(1, 3); i > 0; i--) {
        const payload = `${stream}/${entries.length + 1}/${term}/${'x'.repeat(random.below(150))}`
        entries.push({ payload, term })
        append(log, stream, entries.length, payload, term)
      }
      if (random.chance(0.1)) log.release(stream, Math.max(0, entries.length - 5))
      if (random.chance(0.05)) await log.sync()
    }
    await log.sync()
  }
  await lives(simIo(seed), [work, work, work, work], options)
}

test('two hundred streams are cut back at random over rotations and restarts; each keeps its own last word', async () => {
  await cutBack(200, 'two hundred', { segmentBytes: 64 * 1024, budgetBytes: 1 << 30 })
})

test('streams that are cut back while they are copied forward keep their last word', async () => {
  for (let seed = 0; seed < 5; seed++)
    await cutBack(12, `copied ${seed}`, { segmentBytes: 8 * 1024, budgetBytes: 16 * 1024 })
})

test('what is cancelled, released or forgotten while it is copied forward does not come back', async () => {
  let copied = 0
  for (let delay = 0; delay < 60; delay++) {
    const sim = simIo(`delay ${delay}`)
    await sim.world.run(async () => {
      const log = await open(sim.io, { segmentBytes: 8 * 1024, budgetBytes: 16 * 1024 })
      // Entries in two segments are read in two steps: what the first one gave may be cancelled during the second.
      for (const stream of [2, 3, 4, 5]) for (let i = 1; i <= 2; i++) append(log, stream, i, `old ${i}`)
      await rotate(log, 1, 2)
      for (const stream of [2, 3, 4, 5]) append(log, stream, 3, 'old 3')
      await rotate(log, 1, 3)
      await log.sync()
      const before = log.stats().segments
      log.release(1, log.lastIndex(1))
      await new Promise<void>((done) => sim.world.schedule(delay * 8, done))
      append(log, 2, 2, 'new 2', 2)
      append(log, 2, 3, 'new 3', 2)
      log.release(3, 2)
      log.forget(4)
      log.restart(5, 2, undefined)
      for (let turn = 0; turn < 20; turn++) {
        append(log, 1, log.lastIndex(1) + 1, 'time passes')
        await log.sync()
        log.release(1, log.lastIndex(1) - 1)
      }
      assert.deepEqual(await contents(log, 2), ['old 1', 'new 2', 'new 3'], `delay ${delay}`)
      assert.deepEqual(await contents(log, 3), ['old 3'], `delay ${delay}`)
      assert.deepEqual(
        [log.streams(), bounds(log, 5)],
        [
          [1, 2, 3, 5],
          [3, 2],
        ],
        `delay ${delay}`,
      )
      if (log.stats().segments < before) copied++
      await log.close()
    })
    assert.equal(sim.io.fatalReason, undefined, `delay ${delay}`)
  }
  assert.ok(copied > 30, `${copied}`)
})

test('a forgotten stream is gone for good, its segments are free, and checkpoints do not carry it', async () => {
  await lives(simIo(4), [
    async (log) => {
      for (let i = 1; i <= 20; i++) append(log, 1, i, `one ${i}`)
      for (let i = 1; i <= 5; i++) append(log, 2, i, `two ${i}`)
      log.saveHardState(1, { term: 3, vote: 1, commit: 20 }, undefined)
      await rotate(log, 9, 3)
      log.release(9, log.lastIndex(9))
      log.release(2, 5)
      await log.sync()
      assert.ok(log.stats().segments >= 4, 'stream 1 pins them')
      let durable = false
      log.forget(1, () => {
        durable = true
      })
      assert.deepEqual(log.streams(), [2, 9])
      assert.deepEqual([bounds(log, 1), log.hardState(1).term], [[0, 0], 0])
      log.release(1, 20)
      assert.deepEqual(log.streams(), [2, 9])
      assert.throws(() => append(log, 1, 1, 'again'), /forgotten/)
      await log.sync()
      assert.equal(durable, true)
    },
    async (log) => {
      assert.deepEqual(log.streams(), [2, 9])
      assert.equal(log.lastIndex(2), 5)
      await rotate(log, 9, 3)
      log.release(9, log.lastIndex(9))
      for (let i = 0; i < 20; i++) {
        append(log, 9, log.lastIndex(9) + 1, 'time passes')
        await log.sync()
      }
    },
    async (log) => {
      assert.deepEqual(log.streams(), [2, 9])
      assert.deepEqual(bounds(log, 2), [6, 5])
      assert.ok(log.stats().segments <= 3, `${log.stats().segments} segments`)
    },
  ])
})

test('power cuts around beginning anew and forgetting: what was told durable holds, the rest is either way', async () => {
  for (let seed = 0; seed < 60; seed++) {
    const sim = simIo(`cut ${seed}`)
    const random = new SimRandom(`plan ${seed}`)
    let durableRestart = 0
    let savedRestart = 0
    let forgotten = false
    let forgetting = false
    const cut = random.between(5, 60)
    sim.disk.onOperation = ({ number }) => (number === cut ? 'crash' : undefined)
    await sim.world.run(
      async () => {
        const log = await open(sim.io, { segmentBytes: 4096 })
        for (let i = 1; ; i++) {
          append(log, 1, log.lastIndex(1) + 1, `e${i}`)
          append(log, 3, log.lastIndex(3) + 1, 'other'.repeat(10))
          if (!forgetting) append(log, 2, log.lastIndex(2) + 1, `f${i}`)
          if (random.chance(0.1)) {
            const at = (savedRestart = log.lastIndex(1) + 1000)
            log.restart(1, at, () => {
              durableRestart = at
            })
          }
          if (random.chance(0.03) && !forgetting) {
            forgetting = true
            log.forget(2, () => {
              forgotten = true
            })
          }
          if (random.chance(0.3)) await new Promise<void>((done) => sim.io.tasks.after(random.below(3), done))
          log.release(3, log.lastIndex(3) - 2)
        }
      },
      () => sim.io.dead,
    )
    sim.disk.onOperation = undefined
    const io = sim.world.node(sim.disk)
    await sim.world.run(async () => {
      const log = await open(io, { segmentBytes: 4096 })
      const what = `seed ${seed}`
      if (forgotten) assert.ok(!log.streams().includes(2), what)
      if (!forgetting && log.lastIndex(2) > 0) assert.ok((await contents(log, 2)).length > 0, what)
      assert.ok(log.lastIndex(1) >= durableRestart && log.lastIndex(1) <= savedRestart + 1000, what)
      if (log.lastIndex(1) >= 1000) assert.ok(log.firstIndex(1) > 1000, what)
      if (log.lastIndex(1) > 0) await contents(log, 1)
      await log.close()
    })
  }
})
