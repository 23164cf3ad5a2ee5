/**
 * The LSM engine against the model: the same random operations on both, all answers compared. The store is made of tiny
 * parts in a simulated world, so that every shape (straddling blocks, narrowed tables, evicted blocks) comes up.
 *
 * Not here: crashes (test/torture/).
 */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { END, WAIT } from '../../base/index.ts'
import { WriteSetBuilder } from '../../encoding/index.ts'
import { simIo } from '../../testing/index.ts'
import { buildTables, bytes, changed, get, scan, span, versions, write } from '../engine.conformance.ts'
import type { EngineCursor, Span } from '../engine.ts'
import { MemoryEngine } from '../memory.ts'
import { buildVersions } from '../streams.conformance.ts'
import { type LsmEngine, openEngine } from './lsm-engine.ts'

const keyOf = (n: number): string => (n % 7 === 0 ? `k${n}` : n % 5 === 0 ? `k${n}${'-'.repeat(n % 30)}` : `key/${n}`)
const key = fc.nat(60).map(keyOf)

export const operation = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      op: fc.constant('write' as const),
      keys: fc.array(fc.tuple(key, fc.option(fc.nat(200)))),
      repeat: fc.nat(20),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('flush' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('compact' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('reopen' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('excise' as const), a: key, b: key }) },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant('ingest' as const), keys: fc.uniqueArray(key), excise: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('move' as const),
      spans: fc.array(fc.tuple(key, key), { minLength: 1, maxLength: 3 }),
      drop: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('slices' as const),
      keys: fc.uniqueArray(key, { minLength: 1 }),
      step: fc.integer({ min: 1, max: 6 }),
      flush: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('versions' as const),
      a: key,
      b: key,
      limit: fc.constantFrom(1, 3, undefined),
    }),
  },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('collect' as const), back: fc.nat(30) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('get' as const), key, back: fc.nat(40) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('scan' as const),
      a: key,
      b: fc.option(key, { nil: undefined }),
      back: fc.nat(40),
      reverse: fc.boolean(),
      deletions: fc.boolean(),
      limit: fc.constantFrom(1, 3, 10, undefined),
      seek: fc.option(key, { nil: undefined }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('changed' as const), a: key, b: key, after: fc.nat(40), upTo: fc.nat(40) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('cursor' as const),
      reverse: fc.boolean(),
      step: fc.integer({ min: 1, max: 20 }),
    }),
  },
)
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never

interface OpenCursor {
  ours: EngineCursor
  expected: string[]
  seen: number
  step: number
}

async function advance(cursor: OpenCursor): Promise<void> {
  const { ours } = cursor
  for (;;) {
    const step = ours.next(cursor.step)
    if (step === WAIT) {
      await ours.ready()
      continue
    }
    if (step === END) {
      assert.equal(cursor.seen, cursor.expected.length, 'an open cursor ends where its snapshot does')
      return
    }
    const { batch } = ours
    for (let i = 0; i < batch.count; i++) {
      const slab = batch.slabs[batch.slab[i]].bytes
      const text = (from: number, to: number) => Buffer.from(slab.slice(from, to)).toString()
      const entry = `${text(batch.keyStart[i], batch.keyEnd[i])}=${text(batch.valueStart[i], batch.valueEnd[i])}@${batch.timestamps[i]}`
      assert.equal(entry, cursor.expected[cursor.seen++], 'an open cursor sees its snapshot')
    }
    return
  }
}

/** Spans of pairs of keys, in order, cut so that none overlaps the one before. */
function disjoint(pairs: readonly [string, string][]): Span[] {
  const keys = [...new Set(pairs.flat())].sort((a, b) => Buffer.compare(bytes(a), bytes(b)))
  const out: Span[] = []
  for (let i = 0; i + 1 < keys.length; i += 2) out.push(span(keys[i], keys[i + 1]))
  return out
}

export async function play(seed: number, operations: Operation[]): Promise<void> {
  const sim = simIo(seed)
  await sim.run(async () => {
    const options = {
      io: sim.io,
      directory: '/data',
      memtableBytes: 40_000,
      tableBytes: 2000,
      blockBytes: 300,
      baseBytes: 6000,
      level0Tables: 3,
      codecs: ['none', 'lz4', 'zstd'] as const,
    }
    let lsm: LsmEngine = await openEngine(options)
    const model = new MemoryEngine()
    let now = 10
    let index = 0
    let value = 0
    const cursors: OpenCursor[] = []
    const at = (back: number) => Math.max(now - back, model.collectedBefore)
    for (const o of operations) {
      if (o.op === 'write') {
        for (let i = 0; i <= o.repeat; i++) {
          now++
          const entries: Record<string, string | undefined> = {}
          for (const [k, length] of o.keys) entries[k] = length === null ? undefined : `${value++}${'.'.repeat(length)}`
          index++
          write(lsm, now, entries, 1, index)
          write(model, now, entries, 1, index)
        }
      } else if (o.op === 'flush') await lsm.flush()
      else if (o.op === 'compact') {
        await lsm.compact()
        await model.compact()
      } else if (o.op === 'reopen') {
        await lsm.flush()
        for (const cursor of cursors.splice(0)) cursor.ours.close()
        await lsm.close()
        lsm = await openEngine(options)
        assert.equal(lsm.applied(1), index)
      } else if (o.op === 'excise') {
        for (const cursor of cursors.splice(0)) cursor.ours.close()
        const [low, high] = [o.a, o.b].sort()
        index++
        await lsm.excise(span(low, high), { stream: 1, index })
        await model.excise(span(low, high), { stream: 1, index })
      } else if (o.op === 'ingest') {
        for (const cursor of cursors.splice(0)) cursor.ours.close()
        now++
        index++
        const keys = [...o.keys].sort((a, b) => Buffer.compare(bytes(a), bytes(b)))
        const entries = Object.fromEntries(keys.map((k) => [k, `ingested ${value++}`]))
        const where = o.excise && keys.length > 0 ? [span(keys[0], `${keys.at(-1)}\0`)] : []
        await lsm.ingest(await buildTables(lsm, now, entries), where, { stream: 1, index })
        await model.ingest(await buildTables(model, now, entries), where, { stream: 1, index })
      } else if (o.op === 'move') {
        for (const cursor of cursors.splice(0)) cursor.ours.close()
        // What is there is written to tables, cut out and put back, or only every second version of it.
        const spans = disjoint(o.spans)
        index++
        const all: string[] = []
        for (const where of spans) all.push(...(await versions(model, where)))
        const kept = all.filter((_, i) => !o.drop || i % 2 === 0)
        await lsm.ingest(await buildVersions(lsm, kept), spans, { stream: 1, index })
        await model.ingest(await buildVersions(model, kept), spans, { stream: 1, index })
      } else if (o.op === 'slices') {
        now++
        index++
        const builder = new WriteSetBuilder()
        for (const k of o.keys) builder.put(bytes(k), bytes(`slice ${value++}`))
        const set = new Uint8Array(builder.finish(now))
        const task = lsm.beginApply(set, 1, index)
        for (let steps = 0; !task.step(o.step); steps++) if (o.flush && steps % 2 === 0) await lsm.flush()
        model.apply(set, 1, index)
      } else if (o.op === 'versions') {
        const where = span(...([o.a, o.b].sort() as [string, string]))
        // Superseded versions below the threshold may or may not have gone.
        if (model.collectedBefore > 0) continue
        assert.deepEqual(await versions(lsm, where, o.limit), await versions(model, where))
      } else if (o.op === 'collect') {
        const before = now - o.back
        if (cursors.length > 0 || before <= model.collectedBefore) continue
        lsm.collectBefore(before)
        model.collectBefore(before)
      } else if (o.op === 'get') {
        assert.equal(await get(lsm, o.key, at(o.back)), await get(model, o.key, at(o.back)), `get ${o.key}`)
      } else if (o.op === 'scan') {
        const where = span(o.a, o.b)
        // Deletions may or may not have been collected: they are compared only above the threshold.
        const deletions = o.deletions && model.collectedBefore === 0
        const opts = { reverse: o.reverse, deletions }
        const ours = await scan(lsm, where, at(o.back), opts, o.limit, o.seek)
        assert.deepEqual(ours, await scan(model, where, at(o.back), opts, o.limit, o.seek))
      } else if (o.op === 'changed') {
        const [low, high] = [o.a, o.b].sort()
        const after = at(o.after)
        const upTo = at(o.upTo)
        if (after > upTo) continue
        assert.equal(
          await changed(lsm, span(low, high), after, upTo),
          await changed(model, span(low, high), after, upTo),
        )
      } else {
        const expected = await scan(model, span(''), now, { reverse: o.reverse })
        const held = lsm.protect(now)
        cursors.push({ ours: lsm.cursor(span(''), now, { reverse: o.reverse }), expected, seen: 0, step: o.step })
        held.release()
      }
      for (const cursor of cursors) await advance(cursor)
    }
    assert.deepEqual(await scan(lsm, span(''), now), await scan(model, span(''), now))
    for (const cursor of cursors) {
      while (cursor.seen < cursor.expected.length) await advance(cursor)
      cursor.ours.close()
    }
    await lsm.close()
  })
}

test('random operations have the same answers on the LSM engine and on the model', async () => {
  const runs = Number(process.env.STORAGE_RUNS ?? 150)
  await fc.assert(fc.asyncProperty(fc.nat(), fc.array(operation, { minLength: 5, maxLength: 60, size: 'max' }), play), {
    numRuns: runs,
    seed: Number(process.env.STORAGE_SEED ?? 42),
  })
})

test('what was put between two parts of a cut table is read', async () => {
  await play(0, [
    {
      op: 'write',
      keys: [
        ['key/6', 0],
        ['k0', 0],
      ],
      repeat: 7,
    },
    { op: 'ingest', keys: ['k49'], excise: true },
    { op: 'write', keys: [['k0', 0]], repeat: 0 },
    { op: 'excise', a: 'key/31', b: 'key/36' },
    { op: 'write', keys: [['k0', 0]], repeat: 0 },
    { op: 'reopen' },
    { op: 'scan', a: 'k0', b: 'key/1', back: 0, reverse: false, deletions: false, limit: 10, seek: undefined },
  ])
})
