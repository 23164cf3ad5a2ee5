/**
 * What every engine must do, as one suite that each implementation's tests run.
 *
 * Not here: moving whole spans, slices, streams (streams.conformance.ts), speed, crashes (test/torture/), comparing two
 * engines on random runs (lsm/differential.test.ts).
 */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { END, ROW, WAIT } from '../base/index.ts'
import { WriteSetBuilder } from '../encoding/index.ts'
import type { BuiltTable, CursorOptions, Engine, EngineCursor, Span } from './engine.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const bytes = (text: string): Uint8Array => encoder.encode(text)
export const span = (start: string, end?: string): Span => ({
  start: bytes(start),
  end: end === undefined ? undefined : bytes(end),
})

/** Applies puts and, for undefined values, deletions at a timestamp. */
export function write(
  engine: Engine,
  timestamp: number,
  entries: Record<string, string | undefined>,
  stream = 1,
  index = engine.applied(stream) + 1,
): void {
  const builder = new WriteSetBuilder()
  for (const [key, value] of Object.entries(entries)) {
    if (value === undefined) builder.delete(bytes(key))
    else builder.put(bytes(key), bytes(value))
  }
  engine.apply(builder.finish(timestamp), stream, index)
}

export async function get(engine: Engine, key: string, at: number): Promise<string | undefined> {
  const found = engine.found()
  for (;;) {
    const step = engine.get(bytes(key), at, found)
    if (step === END) return undefined
    if (step === ROW) return decoder.decode(found.slab.bytes.slice(found.valueStart, found.valueEnd))
    assert.equal(step, WAIT)
    await found.ready()
  }
}

export async function changed(engine: Engine, where: Span, after: number, upTo: number): Promise<boolean> {
  const found = engine.found()
  for (;;) {
    const step = engine.changed(where, after, upTo, found)
    if (step !== WAIT) return step === ROW
    await found.ready()
  }
}

/** All of a span as `key=value@timestamp`, deletions as `key@timestamp`. */
export async function scan(
  engine: Engine,
  where: Span,
  at: number,
  options?: CursorOptions,
  limit?: number,
  seek?: string,
): Promise<string[]> {
  const cursor = engine.cursor(where, at, options)
  if (seek !== undefined) cursor.seek(bytes(seek))
  return drain(cursor, limit)
}

/** Every version of a span, as `scan` shows them. */
export function versions(engine: Engine, where: Span, limit?: number): Promise<string[]> {
  return drain(engine.versions(where), limit)
}

export async function drain(cursor: EngineCursor, limit?: number): Promise<string[]> {
  const out: string[] = []
  for (let step = cursor.next(limit); step !== END; step = cursor.next(limit)) {
    if (step === WAIT) await cursor.ready()
    else show(cursor, out)
  }
  cursor.close()
  cursor.close()
  return out
}

export function show(cursor: EngineCursor, out: string[]): void {
  const { batch } = cursor
  assert.ok(batch.count > 0)
  for (let i = 0; i < batch.count; i++) {
    const slab = batch.slabs[batch.slab[i]].bytes
    const key = decoder.decode(slab.slice(batch.keyStart[i], batch.keyEnd[i]))
    if (batch.valueStart[i] < 0) out.push(`${key}@${batch.timestamps[i]}`)
    else {
      const value = decoder.decode(slab.slice(batch.valueStart[i], batch.valueEnd[i]))
      out.push(`${key}=${value}@${batch.timestamps[i]}`)
    }
  }
}

export async function buildTables(engine: Engine, timestamp: number, entries: Record<string, string>) {
  const writer = engine.tableWriter(timestamp)
  for (const [key, value] of Object.entries(entries)) {
    writer.add(bytes(key), bytes(value))
    if (writer.full) await writer.drain()
  }
  return writer.finish()
}

/** Where data is put between writing and reading: nowhere, into tables, to the bottom. */
export type Settle = (engine: Engine) => Promise<void>

export const settles: readonly [string, Settle][] = [
  ['in memory', async () => undefined],
  ['flushed', (engine) => engine.flush()],
  [
    'compacted',
    async (engine) => {
      await engine.flush()
      await engine.compact()
    },
  ],
]

export function engineConformance(name: string, open: () => Promise<Engine>): void {
  for (const [where, settle] of settles) {
    readsOfVersions(`${name}, ${where}`, open, settle)
    scansOf(`${name}, ${where}`, open, settle)
    spansOf(`${name}, ${where}`, open, settle)
  }
  retentionOf(name, open)
}

function readsOfVersions(name: string, open: () => Promise<Engine>, settle: Settle): void {
  test(`${name}: a read sees the newest version at or below its timestamp`, async () => {
    const engine = await open()
    write(engine, 10, { a: 'a10', b: 'b10' })
    write(engine, 20, { a: 'a20', b: undefined, c: '' })
    await settle(engine)
    write(engine, 30, { a: undefined, b: 'b30' })
    const at = async (timestamp: number) => [
      await get(engine, 'a', timestamp),
      await get(engine, 'b', timestamp),
      await get(engine, 'c', timestamp),
    ]
    assert.deepEqual(await at(9), [undefined, undefined, undefined])
    assert.deepEqual(await at(10), ['a10', 'b10', undefined])
    assert.deepEqual(await at(25), ['a20', undefined, ''])
    assert.deepEqual(await at(30), [undefined, 'b30', ''])
    assert.equal(await get(engine, 'ab', 30), undefined)
    const found = engine.found()
    while (engine.get(bytes('b'), 25, found) === WAIT) await found.ready()
    assert.equal(found.timestamp, 20, 'the deletion is dated')
    while (engine.get(bytes('zzz'), 25, found) === WAIT) await found.ready()
    assert.equal(found.timestamp, 0, 'what never was is not')
    await engine.close()
  })

  test(`${name}: prefixes, the empty key, long keys and all bytes sort as unsigned bytes`, async () => {
    const engine = await open()
    const keys = ['', '\0', '\0\0', 'a', 'a\0', 'a\0\0\0\0\0', 'ab', 'abcdefgh', 'abcdefghi', 'é', '\u{10ffff}']
    keys.push('k'.repeat(8000), `${'k'.repeat(8000)}l`)
    const entries = Object.fromEntries(keys.map((key, i) => [key, `v${i}`]).reverse())
    write(engine, 5, entries)
    await settle(engine)
    const sorted = [...keys].sort((a, b) => Buffer.compare(bytes(a), bytes(b)))
    const expected = sorted.map((key) => `${key}=${entries[key]}@5`)
    assert.deepEqual(await scan(engine, span(''), 5), expected)
    assert.deepEqual(await scan(engine, span(''), 5, { reverse: true }), expected.toReversed())
    for (const key of keys) assert.equal(await get(engine, key, 5), entries[key])
    await engine.close()
  })

  test(`${name}: applied positions are remembered by stream`, async () => {
    const engine = await open()
    assert.equal(engine.applied(7), 0)
    write(engine, 1, { a: '1' }, 7, 3)
    write(engine, 2, { a: '2' }, 8, 1)
    write(engine, 3, {}, 7, 9)
    assert.equal(engine.applied(7), 9)
    assert.equal(engine.flushed(7), 0)
    await engine.flush()
    assert.deepEqual([engine.flushed(7), engine.flushed(8), engine.flushed(9)], [9, 1, 0])
    assert.throws(() => write(engine, 4, { a: '3' }, 7, 9), /once/)
    await engine.close()
  })

  test(`${name}: many versions of one key are all readable, and a value of a megabyte`, async () => {
    const engine = await open()
    for (let i = 1; i <= 3000; i++) write(engine, i, { counter: `value ${i}`, [`k${i % 10}`]: `${i}` })
    const large = 'x'.repeat(1 << 20)
    write(engine, 3001, { large })
    await settle(engine)
    for (const at of [1, 2, 999, 1500, 2999, 3000]) assert.equal(await get(engine, 'counter', at), `value ${at}`)
    assert.equal(await get(engine, 'large', 4000), large)
    assert.equal(await get(engine, 'large', 3000), undefined)
    const seen = await scan(engine, span('', 'l'), 2000, { reverse: true })
    assert.equal(seen.length, 11)
    assert.deepEqual([seen[0], seen[10]], ['k9=1999@1999', 'counter=value 2000@2000'])
    assert.deepEqual(seen.toReversed(), await scan(engine, span('', 'l'), 2000))
    await engine.close()
  })
}

function scansOf(name: string, open: () => Promise<Engine>, settle: Settle): void {
  test(`${name}: scans both ways, with limits, bounds, seeks and deletions`, async () => {
    const engine = await open()
    write(engine, 10, { a: '1', b: '1', c: '1', d: '1', e: '1' })
    await settle(engine)
    write(engine, 20, { b: undefined, d: '2', f: '2' })
    assert.deepEqual(await scan(engine, span('b', 'e'), 10), ['b=1@10', 'c=1@10', 'd=1@10'])
    assert.deepEqual(await scan(engine, span('b', 'e'), 20), ['c=1@10', 'd=2@20'])
    assert.deepEqual(await scan(engine, span('b', 'e'), 20, { deletions: true }), ['b@20', 'c=1@10', 'd=2@20'])
    const all = ['a=1@10', 'c=1@10', 'd=2@20', 'e=1@10', 'f=2@20']
    for (const limit of [1, 2, 3, undefined]) {
      assert.deepEqual(await scan(engine, span(''), 99, undefined, limit), all)
      assert.deepEqual(await scan(engine, span(''), 99, { reverse: true }, limit), all.toReversed())
    }
    assert.deepEqual(await scan(engine, span('c', 'c'), 99), [])
    assert.deepEqual(await scan(engine, span('x'), 99), [])
    assert.deepEqual(await scan(engine, span('', 'a'), 99, { reverse: true }), [])
    assert.deepEqual(await scan(engine, span('b', 'f'), 99, {}, 1, 'd'), ['d=2@20', 'e=1@10'])
    assert.deepEqual(await scan(engine, span('b', 'f'), 99, {}, 1, 'a'), ['c=1@10', 'd=2@20', 'e=1@10'])
    assert.deepEqual(await scan(engine, span('b', 'f'), 99, { reverse: true }, 1, 'e'), ['d=2@20', 'c=1@10'])
    assert.deepEqual(await scan(engine, span('b', 'e'), 99, { reverse: true }, 9, 'z'), ['d=2@20', 'c=1@10'])
    await engine.close()
  })

  test(`${name}: a cursor survives writes, flushes and compactions while it is open`, async () => {
    const engine = await open()
    const expected: string[] = []
    for (let i = 0; i < 5000; i++) {
      const key = `k${String(i).padStart(5, '0')}`
      write(engine, 10, { [key]: `${i}` })
      expected.push(`${key}=${i}@10`)
    }
    await settle(engine)
    for (const reverse of [false, true]) {
      const cursor = engine.cursor(span(''), 15, { reverse })
      const seen: string[] = []
      for (let round = 0; ; round++) {
        const step = cursor.next(500)
        if (step === END) break
        if (step === WAIT) {
          await cursor.ready()
          continue
        }
        const { batch } = cursor
        for (let i = 0; i < batch.count; i++) {
          const slab = batch.slabs[batch.slab[i]].bytes
          const key = decoder.decode(slab.slice(batch.keyStart[i], batch.keyEnd[i]))
          seen.push(
            `${key}=${decoder.decode(slab.slice(batch.valueStart[i], batch.valueEnd[i]))}@${batch.timestamps[i]}`,
          )
        }
        for (let i = 0; i < 50; i++) {
          const key = `k${String((round * 577 + i * 97) % 5000).padStart(5, '0')}`
          write(engine, 20 + round + (reverse ? 100 : 0), { [key]: 'newer', [`${key}x`]: 'between' })
        }
        if (round % 4 === 1) await engine.flush()
        if (round % 4 === 3) await engine.compact()
      }
      cursor.close()
      assert.deepEqual(seen, reverse ? expected.toReversed() : expected)
    }
    await engine.close()
  })
}

function spansOf(name: string, open: () => Promise<Engine>, settle: Settle): void {
  test(`${name}: changed tells whether a version lies between two timestamps`, async () => {
    const engine = await open()
    write(engine, 10, { a: '1', b: '1', m: '1' })
    write(engine, 20, { b: '2' })
    await settle(engine)
    write(engine, 30, { m: undefined })
    assert.equal(await changed(engine, span('a', 'b'), 10, 99), false)
    assert.equal(await changed(engine, span('a', 'b'), 9, 99), true)
    assert.equal(await changed(engine, span('a', 'c'), 10, 19), false)
    assert.equal(await changed(engine, span('a', 'c'), 10, 20), true)
    assert.equal(await changed(engine, span('b', 'b\0'), 5, 15), true)
    assert.equal(await changed(engine, span('b', 'b\0'), 20, 99), false)
    assert.equal(await changed(engine, span('c'), 20, 99), true)
    assert.equal(await changed(engine, span('c', 'm'), 0, 99), false)
    assert.equal(await changed(engine, span(''), 30, 99), false)
    await engine.close()
  })

  test(`${name}: excise removes a span without a trace`, async () => {
    const engine = await open()
    for (let i = 0; i < 300; i++) write(engine, 10 + i, { [`k${String(i).padStart(3, '0')}`]: 'x'.repeat(300) })
    await settle(engine)
    write(engine, 500, { k150: 'new', k200: 'new' })
    await engine.excise(span('k100', 'k200'), { stream: 1, index: 1000 })
    assert.deepEqual([engine.applied(1), engine.flushed(1)], [1000, 1000])
    const left = (await scan(engine, span(''), 600)).map((entry) => entry.slice(0, 4))
    assert.equal(left.length, 200)
    assert.deepEqual([left[99], left[100]], ['k099', 'k200'])
    assert.equal(await get(engine, 'k150', 600), undefined)
    assert.equal(await changed(engine, span('k100', 'k200'), 0, 600), false)
    write(engine, 5, { k150: 'born again' })
    await settle(engine)
    assert.equal(await get(engine, 'k150', 600), 'born again')
    assert.equal(await get(engine, 'k099', 600), 'x'.repeat(300))
    await engine.close()
  })

  test(`${name}: ingested tables replace a span in one step`, async () => {
    const engine = await open()
    write(engine, 10, { a: 'old', c: 'old', e: 'old' })
    await settle(engine)
    const tables = await buildTables(engine, 20, { b: 'new', c: 'new', d: 'new' })
    assert.equal(await get(engine, 'b', 99), undefined, 'a built table is in no level')
    assert.equal(
      tables.reduce((sum, table) => sum + table.entries, 0),
      3,
    )
    await engine.ingest(tables, [span('b', 'e')], { stream: 1, index: 50 })
    assert.equal(engine.applied(1), 50)
    assert.deepEqual(await scan(engine, span(''), 99), ['a=old@10', 'b=new@20', 'c=new@20', 'd=new@20', 'e=old@10'])
    assert.equal(await get(engine, 'c', 15), undefined, 'what was replaced is gone')
    const over: BuiltTable[] = await buildTables(engine, 30, { a: 'over', e: 'over' })
    await engine.ingest(over, [], { stream: 1, index: 51 })
    assert.deepEqual(await scan(engine, span('d'), 99), ['d=new@20', 'e=over@30'])
    assert.equal(await get(engine, 'a', 10), 'old', 'what lies beneath keeps its versions')
    await settle(engine)
    assert.equal(await get(engine, 'a', 30), 'over')
    const abandoned = engine.tableWriter(40)
    abandoned.add(bytes('a'), bytes('never'))
    await abandoned.abandon()
    assert.throws(() => {
      const disordered = engine.tableWriter(40)
      disordered.add(bytes('b'), bytes(''))
      disordered.add(bytes('b'), bytes(''))
    }, /ascend/)
    assert.equal(await get(engine, 'a', 99), 'over')
    await engine.close()
  })

  test(`${name}: an estimate grows with what is there`, async () => {
    const engine = await open()
    for (let i = 0; i < 2000; i++) write(engine, 10, { [`k${String(i).padStart(4, '0')}`]: 'x'.repeat(100) })
    await settle(engine)
    const whole = engine.estimate(span(''))
    const half = engine.estimate(span('k0000', 'k1000'))
    assert.ok(whole.entries >= 1000 && whole.entries <= 4000, `${whole.entries}`)
    assert.ok(whole.bytes >= 20_000 && whole.bytes <= 500_000, `${whole.bytes}`)
    assert.ok(half.entries >= whole.entries / 4 && half.entries <= (whole.entries * 3) / 4, `${half.entries}`)
    await engine.close()
  })
}

function retentionOf(name: string, open: () => Promise<Engine>): void {
  test(`${name}: superseded versions go once nobody may read them`, async () => {
    const engine = await open()
    for (let i = 1; i <= 100; i++) write(engine, i * 10, { row: `v${i}`, [`gone${i}`]: 'x' })
    for (let i = 1; i <= 100; i++) write(engine, 1000 + i, { [`gone${i}`]: undefined })
    const held = engine.protect(500)
    engine.collectBefore(2000)
    assert.equal(engine.collectedBefore, 500)
    await engine.flush()
    await engine.compact()
    assert.equal(await get(engine, 'row', 500), 'v50')
    assert.equal(await get(engine, 'gone7', 500), 'x')
    assert.throws(() => engine.protect(499), /too old/)
    held.release()
    held.release()
    assert.equal(engine.collectedBefore, 2000)
    await engine.flush()
    await engine.compact()
    assert.equal(await get(engine, 'row', 2000), 'v100')
    assert.deepEqual(await scan(engine, span(''), 3000, { deletions: true }), ['row=v100@1000'])
    assert.ok(engine.estimate(span('')).entries <= 4, 'the rest takes no room')
    engine.collectBefore(1500)
    assert.equal(engine.collectedBefore, 2000, 'never goes back')
    await engine.close()
  })
}
