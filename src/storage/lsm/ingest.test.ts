/**
 * A power cut at every I/O of an ingest, while another stream writes: afterwards the spans hold all that was there or all
 * that came, the stream's position says which, and of the other stream there is what its position says.
 *
 *   replay one: INGEST_CUT=<operation> node --test src/storage/lsm/ingest.test.ts
 */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { SimWorld } from '../../testing/index.ts'
import { span, versions, write } from '../engine.conformance.ts'
import { buildVersions } from '../streams.conformance.ts'
import { openEngine } from './lsm-engine.ts'

const options = { directory: '/data', memtableBytes: 16_000, tableBytes: 1500, blockBytes: 400, baseBytes: 6000 }
const keyOf = (prefix: string, i: number) => `${prefix}/${String(i).padStart(2, '0')}`
const spans = [span('a/10', 'a/20'), span('a/25', 'a/40')]
const came = Array.from({ length: 20 }, (_, i) => i + (i < 5 ? 12 : 20)).flatMap((i) => [
  `${keyOf('a', i)}=new ${'.'.repeat(i)}@900`,
  i % 3 === 0 ? `${keyOf('a', i)}@800` : `${keyOf('a', i)}=older@700`,
])

interface Outcome {
  readonly operations: number
  /** Whether the ingest is found done after the cut. */
  readonly done: boolean
}

async function run(cut: number | undefined): Promise<Outcome> {
  const world = new SimWorld(`ingest ${cut ?? 'whole'}`)
  const disk = world.disk()
  const io = world.node(disk)
  const before: string[] = []
  let resolved = false
  let first = 0
  await world.run(
    async () => {
      const engine = await openEngine({ io, ...options })
      for (let i = 0; i < 50; i++) {
        write(engine, 10 + i, { [keyOf('a', i)]: `old ${i}` }, 1)
        if (i === 30) await engine.flush()
      }
      // What is only in memory at the cut would come back from the log, which is not here.
      await engine.flush()
      before.push(...(await versions(engine, span('a', 'b'))))
      const tables = await buildVersions(engine, came)
      first = disk.operations
      disk.onOperation = ({ number }) => (cut !== undefined && number === first + cut ? 'crash' : undefined)
      const ingesting = engine.ingest(tables, spans, { stream: 1, index: 77 }).then(() => {
        resolved = true
      })
      for (let i = 1; i <= 80; i++) {
        write(engine, 1000 + i, { [keyOf('b', i % 20)]: `${i} ${'x'.repeat(150)}` }, 2, i)
        if (i % 3 === 0) await io.tasks.yield()
      }
      await ingesting
      await engine.flush()
      await engine.compact()
      await engine.close()
    },
    () => io.dead,
  )
  const operations = disk.operations - first
  disk.onOperation = undefined
  if (!io.dead) io.crash()
  const next = world.node(disk)
  const found = await world.run(async () => {
    const engine = await openEngine({ io: next, ...options })
    const inSpans = (entry: string) => spans.some((s) => entry >= text(s.start) && entry < text(s.end!))
    const after = [...before.filter((entry) => !inSpans(entry)), ...came].sort(byKey)
    const position = engine.applied(1)
    assert.ok(position === 77 || (position === 50 && !resolved), `position ${position}`)
    assert.deepEqual(await versions(engine, span('a', 'b')), position === 77 ? after : before)
    const others = await versions(engine, span('b', 'c'))
    assert.equal(others.length, engine.applied(2), 'each entry of the other stream is one version')
    await engine.close()
    return position === 77
  })
  return { operations, done: found! }
}

const text = (key: Uint8Array) => Buffer.from(key).toString()

/** By key; versions of a key keep their order. */
function byKey(a: string, b: string): number {
  const [x, y] = [a.split(/[=@]/)[0], b.split(/[=@]/)[0]]
  return x < y ? -1 : x > y ? 1 : 0
}

test('a power cut during an ingest leaves all of it or nothing', async () => {
  const { operations, done } = await run(undefined)
  assert.ok(done && operations > 20, `${operations} operations`)
  const seen = new Set<boolean>()
  for (let cut = 1; cut <= operations; cut++) {
    if (process.env.INGEST_CUT !== undefined && Number(process.env.INGEST_CUT) !== cut) continue
    try {
      seen.add((await run(cut)).done)
    } catch (error) {
      throw new Error(`INGEST_CUT=${cut}`, { cause: error })
    }
  }
  if (process.env.INGEST_CUT === undefined) assert.equal(seen.size, 2, 'some cuts come before it, some after')
})
