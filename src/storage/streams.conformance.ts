/**
 * What every engine must do for replicas that come and go on a node: hand over all versions of a span, take them over,
 * apply write sets in slices, forget streams; all of it while other streams go on.
 *
 * Not here: reads and writes (engine.conformance.ts), crashes (lsm/slices.test.ts, test/torture/).
 */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { END, WAIT } from '../base/index.ts'
import { WriteSetBuilder } from '../encoding/index.ts'
import { bytes, drain, get, type Settle, scan, settles, show, span, versions, write } from './engine.conformance.ts'
import type { Engine, Span, VersionWriter } from './engine.ts'

/** Writes `key=value@timestamp` and `key@timestamp` to tables. */
export async function buildVersions(engine: Engine, entries: readonly string[]) {
  const writer = engine.versionWriter()
  for (const entry of entries) {
    addVersion(writer, entry)
    if (writer.full) await writer.drain()
  }
  return writer.finish()
}

function addVersion(writer: VersionWriter, entry: string): void {
  const [, key, value, timestamp] = /^([^=@]*)(?:=([^@]*))?@([0-9]+)$/.exec(entry)!
  writer.add(bytes(key), Number(timestamp), value === undefined ? undefined : bytes(value))
}

/** A write set of so many keys `<prefix>00000`, …, every tenth a deletion. */
export function largeSet(prefix: string, count: number, timestamp: number): Uint8Array {
  const builder = new WriteSetBuilder()
  for (let i = 0; i < count; i++) {
    const key = bytes(`${prefix}${String(i).padStart(5, '0')}`)
    if (i % 10 === 0) builder.delete(key)
    else builder.put(key, bytes(`value ${i} at ${timestamp}`))
  }
  return new Uint8Array(builder.finish(timestamp))
}

export function streamsConformance(name: string, open: () => Promise<Engine>): void {
  for (const [where, settle] of settles) {
    versionsOf(`${name}, ${where}`, open, settle)
    movesOf(`${name}, ${where}`, open, settle)
    slicesOf(`${name}, ${where}`, open, settle)
  }
  streamsOf(name, open)
}

function versionsOf(name: string, open: () => Promise<Engine>, settle: Settle): void {
  test(`${name}: all versions of a span come in order, deletions too`, async () => {
    const engine = await open()
    write(engine, 10, { a: 'a10', b: 'b10', c: '' })
    write(engine, 20, { b: undefined, d: 'd20' })
    await settle(engine)
    write(engine, 30, { a: 'a30', b: 'b30', ab: 'ab30' })
    await settle(engine)
    write(engine, 40, { b: 'b40', d: undefined })
    const all = [
      'a=a30@30',
      'a=a10@10',
      'ab=ab30@30',
      'b=b40@40',
      'b=b30@30',
      'b@20',
      'b=b10@10',
      'c=@10',
      'd@40',
      'd=d20@20',
    ]
    for (const limit of [1, 2, 3, undefined]) assert.deepEqual(await versions(engine, span(''), limit), all)
    assert.deepEqual(await versions(engine, span('ab', 'c')), all.slice(2, 7))
    assert.deepEqual(await versions(engine, span('b\0', 'd')), ['c=@10'])
    assert.deepEqual(await versions(engine, span('x')), [])
    assert.deepEqual(await versions(engine, span('b', 'b')), [])
    const cursor = engine.versions(span('a', 'c'))
    cursor.seek(bytes('b'))
    assert.deepEqual(await drain(cursor, 2), all.slice(3, 7))
    await engine.close()
  })

  test(`${name}: the picture of all versions is that of the moment it was asked for`, async () => {
    const engine = await open()
    const keyOf = (i: number) => `k${String(i).padStart(4, '0')}`
    for (let round = 1; round <= 3; round++) {
      for (let i = 0; i < 2000; i += 100) {
        const entries: Record<string, string | undefined> = {}
        for (let n = i; n < i + 100; n++) entries[keyOf(n)] = n % 3 === round % 3 ? undefined : `${round}/${n}`
        write(engine, round * 100, entries)
      }
      if (round < 3) await settle(engine)
    }
    const expected = await versions(engine, span(''))
    assert.equal(expected.length, 6000)
    const cursor = engine.versions(span(''))
    const seen: string[] = []
    for (let round = 0; ; round++) {
      const step = cursor.next(300)
      if (step === END) break
      if (step === WAIT) {
        await cursor.ready()
        continue
      }
      show(cursor, seen)
      for (let i = 0; i < 80; i++) {
        const key = keyOf((round * 577 + i * 97) % 2000)
        // New versions, below and above what is there, also new keys; and the newest one of a key once more.
        write(engine, 400 + round, { [key]: 'newer', [`${key}x`]: 'between' })
        write(engine, 150, { [`${key}/${round}/${i}`]: 'an old timestamp, written late' })
      }
      if (round % 4 === 1) await engine.flush()
      if (round % 4 === 3) await engine.compact()
    }
    cursor.close()
    assert.deepEqual(seen, expected)
    await engine.close()
  })

  test(`${name}: a version that is written again comes once`, async () => {
    const engine = await open()
    write(engine, 10, { a: '1', b: '1' })
    write(engine, 20, { b: '2' })
    await settle(engine)
    const cursor = engine.versions(span(''))
    write(engine, 20, { b: '2', c: '2' })
    assert.deepEqual(await drain(cursor), ['a=1@10', 'b=2@20', 'b=1@10'])
    write(engine, 20, { b: '2', c: undefined })
    assert.deepEqual(await versions(engine, span('')), ['a=1@10', 'b=2@20', 'b=1@10', 'c@20'])
    await settle(engine)
    assert.deepEqual(await versions(engine, span('')), ['a=1@10', 'b=2@20', 'b=1@10', 'c@20'])
    assert.deepEqual(await scan(engine, span(''), 15), ['a=1@10', 'b=1@10'])
    await engine.close()
  })
}

function movesOf(name: string, open: () => Promise<Engine>, settle: Settle): void {
  test(`${name}: a span moves from one engine to another with its history`, async () => {
    const [from, to] = [await open(), await open()]
    for (let round = 1; round <= 40; round++) {
      const entries: Record<string, string | undefined> = {}
      for (let i = 0; i < 50; i++) {
        const n = (round * 31 + i * 17) % 400
        entries[`k${String(n).padStart(3, '0')}`] = (n + round) % 7 === 0 ? undefined : `${round} ${'.'.repeat(n % 60)}`
      }
      entries['k200'] = `${round}`
      write(from, round * 10, entries)
      if (round === 30) await settle(from)
    }
    write(to, 77, { k000: 'stays', k150: 'goes', k250: 'goes', k399: 'stays' })
    await settle(to)
    const moved = span('k100', 'k300')
    const picture = await versions(from, moved)
    const tables = await buildVersions(to, picture)
    assert.equal(
      tables.reduce((sum, { entries }) => sum + entries, 0),
      picture.length,
    )
    assert.deepEqual(
      await versions(to, moved),
      await versions(to, span('k150', 'k251')),
      'built tables are in no level',
    )
    await to.ingest(tables, [moved], { stream: 9, index: 1234 })
    assert.deepEqual([to.applied(9), to.flushed(9), to.applied(1)], [1234, 1234, 1])
    assert.deepEqual(await versions(to, moved), picture)
    for (const at of [5, 95, 200, 333, 400]) {
      assert.deepEqual(await scan(to, moved, at, { deletions: true }), await scan(from, moved, at, { deletions: true }))
    }
    assert.deepEqual(await versions(to, span('', 'k100')), ['k000=stays@77'])
    assert.deepEqual(await versions(to, span('k300')), ['k399=stays@77'])
    write(to, 1000, { k200: 'goes on' }, 9, 1235)
    await settle(to)
    assert.equal(await get(to, 'k200', 1000), 'goes on')
    assert.equal(await get(to, 'k200', 399), await get(from, 'k200', 399))
    await from.close()
    await to.close()
  })

  test(`${name}: several spans go in one step, whatever they cut`, async () => {
    const engine = await open()
    for (let i = 0; i < 10; i++) write(engine, 10 + i, { [`k${i}`]: 'old' })
    await settle(engine)
    write(engine, 30, { k1: 'in memory', k4: 'in memory', k8: 'in memory' })
    const tables = [
      ...(await buildVersions(engine, ['k1=new@25', 'k1@15', 'k2=new@25'])),
      ...(await buildVersions(engine, ['k7=new@5'])),
    ]
    const spans: Span[] = [span('k1', 'k3'), span('k4', 'k4\0'), span('k5', 'k5'), span('k7', 'k9')]
    await engine.ingest(tables, spans, { stream: 2, index: 7 })
    const expected = [
      'k0=old@10',
      'k1=new@25',
      'k1@15',
      'k2=new@25',
      'k3=old@13',
      'k5=old@15',
      'k6=old@16',
      'k7=new@5',
      'k9=old@19',
    ]
    assert.deepEqual(await versions(engine, span('')), expected)
    await settle(engine)
    assert.deepEqual(await versions(engine, span('')), expected)
    assert.deepEqual([engine.applied(2), engine.flushed(2)], [7, 7])
    await engine.ingest([], [], { stream: 2, index: 8 })
    await engine.ingest([], [span('')], { stream: 2, index: 9 })
    assert.deepEqual(await versions(engine, span('')), [])
    await assert.rejects(engine.ingest([], [], { stream: 2, index: 9 }), /once/)
    await engine.close()
  })

  test(`${name}: a writer refuses disorder, and what is abandoned is gone`, async () => {
    const engine = await open()
    write(engine, 10, { a: 'stays' })
    await settle(engine)
    for (const entries of [
      ['b=@1', 'a=@1'],
      ['a=@1', 'a=@1'],
      ['a=@1', 'a=@2'],
    ]) {
      const writer = engine.versionWriter()
      assert.throws(() => {
        for (const entry of entries) addVersion(writer, entry)
      }, /ascend/)
      await writer.abandon()
    }
    const empty = engine.versionWriter()
    assert.deepEqual(await empty.finish(), [])
    const writer = engine.versionWriter()
    addVersion(writer, 'a=never@99')
    const tables = await writer.finish()
    await writer.abandon()
    await assert.rejects(engine.ingest(tables, [], { stream: 2, index: 1 }), /not yet ingested/)
    const other = engine.versionWriter()
    addVersion(other, 'b=kept@99')
    await engine.ingest(await other.finish(), [], { stream: 2, index: 1 })
    await other.abandon()
    assert.deepEqual(await versions(engine, span('')), ['a=stays@10', 'b=kept@99'], 'what is ingested is not abandoned')
    await engine.close()
  })
}

function slicesOf(name: string, open: () => Promise<Engine>, settle: Settle): void {
  test(`${name}: a write set that is applied in slices counts with the last one`, async () => {
    const engine = await open()
    write(engine, 10, { k00001: 'before', k00500: 'before', other: 'before' })
    await settle(engine)
    const before = await scan(engine, span(''), 19)
    const set = largeSet('k', 3001, 20)
    const task = engine.beginApply(set, 1, 2)
    assert.throws(() => write(engine, 30, { x: '' }, 1, 3), /to its end first/)
    await assert.rejects(engine.ingest([], [], { stream: 1, index: 3 }), /to its end first/)
    for (let steps = 1; ; steps++) {
      const done = task.step(400)
      assert.equal(done, steps === 8)
      assert.deepEqual([engine.applied(1), engine.applied(2)], [done ? 2 : 1, Math.floor(steps / 2)])
      if (done) break
      assert.deepEqual(await scan(engine, span(''), 19), before, 'below its timestamp nothing shows')
      // Another stream goes on in between, and tables are written.
      if (steps % 2 === 1) write(engine, 20 + steps, { [`z${steps}`]: 'x' }, 2)
      if (steps === 3) await settle(engine)
    }
    assert.throws(() => task.step(1), /takes no step/)
    const expected = await open()
    write(expected, 10, { k00001: 'before', k00500: 'before' })
    expected.apply(set, 1, 2)
    assert.deepEqual(await versions(engine, span('k', 'l')), await versions(expected, span('k', 'l')))
    assert.deepEqual(await scan(engine, span('k', 'l'), 20), await scan(expected, span('k', 'l'), 20))
    await settle(engine)
    await settle(expected)
    assert.deepEqual(await versions(engine, span('k', 'l')), await versions(expected, span('k', 'l')))
    write(engine, 40, { k00001: 'after' }, 1, 3)
    assert.equal(engine.applied(1), 3)
    await engine.close()
    await expected.close()
  })

  test(`${name}: an entry of which a part was applied is applied again without harm`, async () => {
    const engine = await open()
    const set = largeSet('k', 2000, 20)
    const task = engine.beginApply(set, 1, 1)
    assert.equal(task.step(700), false)
    await settle(engine)
    assert.equal(task.step(500), false)
    engine.forget(1)
    assert.throws(() => task.step(1), /takes no step/)
    // As after a crash: the log has the entry for whoever applies it now.
    const again = engine.beginApply(set, 2, 1)
    while (!again.step(300)) await settle(engine)
    const expected = await open()
    expected.apply(set, 2, 1)
    assert.deepEqual(await versions(engine, span('')), await versions(expected, span('')))
    assert.deepEqual(
      await scan(engine, span(''), 20, { reverse: true }),
      await scan(expected, span(''), 20, { reverse: true }),
    )
    await settle(engine)
    assert.deepEqual(await versions(engine, span('')), await versions(expected, span('')))
    await engine.close()
    await expected.close()
  })
}

function streamsOf(name: string, open: () => Promise<Engine>): void {
  test(`${name}: other streams go on while one excises and ingests`, async () => {
    const engine = await open()
    const keyOf = (stream: number, i: number) => `s${stream}/${String(i).padStart(4, '0')}`
    for (let stream = 1; stream <= 4; stream++) {
      for (let i = 0; i < 50; i++) write(engine, 10 + i, { [keyOf(stream, i)]: `first ${i}` }, stream)
    }
    let clock = 100
    for (let round = 1; round <= 10; round++) {
      const picture = Array.from({ length: 30 }, (_, i) => `${keyOf(1, i)}=round ${round}@${clock + 1}`)
      const tables = await buildVersions(engine, picture)
      const index = engine.applied(1) + 1
      let done = false
      const ingesting = engine.ingest(tables, [span('s1/', 's10')], { stream: 1, index }).then(() => {
        done = true
      })
      for (let i = 0; !done; i++) {
        clock++
        for (let stream = 2; stream <= 4; stream++) {
          write(engine, clock, { [keyOf(stream, i % 50)]: `${clock} ${'.'.repeat(200)}` }, stream)
        }
        if (i % 7 === 3 && engine.stats().memtables < 3) void engine.flush()
        if (engine.stalled) await engine.unstalled()
        if (i % 3 === 0) await new Promise((next) => setImmediate(next))
      }
      await ingesting
      assert.deepEqual(await versions(engine, span('s1/', 's10')), picture)
      assert.equal(engine.applied(1), index)
      assert.ok(engine.flushed(1) === index)
      for (let stream = 2; stream <= 4; stream++) {
        assert.ok(engine.flushed(stream) <= engine.applied(stream))
        const newest = await scan(engine, span(`s${stream}/`, `s${stream}0`), clock)
        assert.equal(newest.length, 50)
      }
      clock++
    }
    // Each stream's entries are one version each: none is lost, none doubled.
    for (let stream = 2; stream <= 4; stream++) {
      const all = await versions(engine, span(`s${stream}/`, `s${stream}0`))
      assert.equal(all.length, engine.applied(stream))
    }
    await engine.flush()
    for (let stream = 1; stream <= 4; stream++) assert.equal(engine.flushed(stream), engine.applied(stream))
    await engine.close()
  })

  test(`${name}: a forgotten stream has no positions, and its data stays until it is excised`, async () => {
    const engine = await open()
    write(engine, 10, { a: '1' }, 5, 3)
    write(engine, 11, { b: '1' }, 6, 4)
    await engine.flush()
    write(engine, 12, { a: '2' }, 5, 4)
    write(engine, 13, { b: '2' }, 6, 5)
    engine.forget(5)
    assert.deepEqual([engine.applied(5), engine.flushed(5)], [0, 0])
    await engine.flush()
    assert.deepEqual([engine.applied(5), engine.flushed(5)], [0, 0])
    assert.deepEqual([engine.applied(6), engine.flushed(6)], [5, 5])
    assert.deepEqual(await scan(engine, span(''), 20), ['a=2@12', 'b=2@13'])
    assert.throws(() => write(engine, 20, { a: '3' }, 5, 5), /forgotten/)
    engine.forget(77)
    await engine.flush()
    await engine.close()
  })

  test(`${name}: the newest timestamp in tables`, async () => {
    const engine = await open()
    assert.equal(engine.newestInTables, 0)
    write(engine, 10, { a: '1', b: '1' })
    await engine.flush()
    assert.equal(engine.newestInTables, 10)
    await engine.ingest(await buildVersions(engine, ['c=@99', 'c=@5']), [], { stream: 1, index: 2 })
    assert.equal(engine.newestInTables, 99)
    await engine.close()
  })
}
