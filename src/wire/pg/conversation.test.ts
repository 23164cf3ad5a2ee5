/** The message flow of the PostgreSQL manual, over a real socket, against canned statements. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { nodeIo } from '../../io/node/index.ts'
import {
  writeBare,
  writeBind,
  writeCancelRequest,
  writeClose,
  writeCopyData,
  writeCopyFail,
  writeDescribe,
  writeExecute,
  writeParse,
  writeQuery,
} from './client-messages.ts'
import { FakeDatabase } from './fake-database.fixture.ts'
import { PgServer } from './pg-server.ts'
import { frontend } from './protocol.ts'
import { RawClient } from './raw-client.fixture.ts'

const lines: string[] = []
const quiet = { debug() {}, info() {}, warn() {}, error: (event: string) => void lines.push(event), child: () => quiet }
const io = nodeIo({ log: quiet })
const database = new FakeDatabase()
let server: PgServer

before(async () => {
  server = await PgServer.start({ io, database, host: '127.0.0.1', port: 0, messageBytes: 1 << 20 })
})
after(async () => {
  await server.stop(100)
  await io.stop()
})

async function withClient(body: (client: RawClient) => Promise<void>): Promise<void> {
  const client = await RawClient.open(io.network, server.port)
  client.lines.length = 0
  try {
    await body(client)
  } finally {
    client.close()
  }
}

function simple(client: RawClient, text: string): Promise<string[]> {
  writeQuery(client.out, text)
  return client.roundTrip()
}

test('simple query: several statements, an empty one, an error in the middle', () =>
  withClient(async (client) => {
    assert.deepEqual(await simple(client, "select 1 as a, 'x' as b; rows(2)"), [
      'rowDescription a:23 b:25',
      'dataRow 1 x',
      'commandComplete SELECT 1',
      'rowDescription id:23 label:25',
      'dataRow 0 row 1',
      'dataRow 1 row 2',
      'commandComplete SELECT 2',
      'readyForQuery I',
    ])
    assert.deepEqual(await simple(client, ' -- only a comment'), ['emptyQuery', 'readyForQuery I'])
    assert.deepEqual(await simple(client, 'begin; select 1; fail(unique_violation); select 2'), [
      'commandComplete BEGIN',
      'rowDescription ?column?:23',
      'dataRow 1',
      'commandComplete SELECT 1',
      'error ERROR 23505 made to fail',
      'readyForQuery E',
    ])
    assert.deepEqual(await simple(client, 'rollback'), ['commandComplete ROLLBACK', 'readyForQuery I'])
  }))

test('extended query: parse, describe before bind, bind in both formats, describe, execute', () =>
  withClient(async (client) => {
    const out = client.out
    writeParse(out, 's', 'select $1::int4 as n, $2 as t', [])
    writeDescribe(out, 'S', 's')
    writeBind(out, '', 's', ['-42', 'text'], [1])
    writeDescribe(out, 'P', '')
    writeExecute(out, '', 0)
    writeBind(out, '', 's', [Buffer.from([0, 0, 1, 0]), null], [])
    writeExecute(out, '', 0)
    writeExecute(out, '', 0)
    writeBare(out, frontend.sync)
    assert.deepEqual(await client.roundTrip(), [
      'parseComplete',
      'parameterDescription 23 25',
      'rowDescription n:23 t:25',
      'bindComplete',
      'rowDescription n:23:binary t:25:binary',
      'dataRow 0xffffffd6 text',
      'commandComplete SELECT 1',
      'bindComplete',
      'dataRow 256 NULL',
      'commandComplete SELECT 1',
      'commandComplete SELECT 0',
      'readyForQuery I',
    ])
  }))

test('portals suspend at a row limit, live side by side, and are closed', () =>
  withClient(async (client) => {
    const out = client.out
    writeParse(out, '', 'rows(3)', [])
    writeBind(out, 'a', '', [], [])
    writeBind(out, 'b', '', [], [1])
    writeExecute(out, 'a', 2)
    writeExecute(out, 'b', 1)
    writeExecute(out, 'a', 2)
    writeClose(out, 'P', 'b')
    writeExecute(out, 'b', 1)
    writeExecute(out, 'a', 1)
    writeBare(out, frontend.sync)
    assert.deepEqual(await client.roundTrip(), [
      'parseComplete',
      'bindComplete',
      'bindComplete',
      'dataRow 0 row 1',
      'dataRow 1 row 2',
      'portalSuspended',
      'dataRow 0x00000000 row 1',
      'portalSuspended',
      'dataRow 2 row 3',
      'commandComplete SELECT 3',
      'closeComplete',
      'error ERROR 34000 portal "b" does not exist',
      'readyForQuery I',
    ])
  }))

test('after an error everything is skipped up to Sync, and the next pipeline works', () =>
  withClient(async (client) => {
    const out = client.out
    writeBind(out, '', 'nobody', [], [])
    writeExecute(out, '', 0)
    writeQuery(out, 'select 1')
    writeBare(out, frontend.sync)
    writeParse(out, '', 'select 2', [])
    writeBind(out, '', '', ['surplus'], [])
    writeBare(out, frontend.sync)
    writeParse(out, 'twice', 'select 2', [])
    writeParse(out, 'twice', 'select 2', [])
    writeBare(out, frontend.sync)
    const first = await client.roundTrip()
    assert.deepEqual(first, ['error ERROR 26000 prepared statement "nobody" does not exist', 'readyForQuery I'])
    assert.deepEqual(await client.roundTrip(), [
      'parseComplete',
      'error ERROR 08P01 bind message supplies 1 parameters, but prepared statement "" requires 0',
      'readyForQuery I',
    ])
    assert.deepEqual(await client.roundTrip(), [
      'parseComplete',
      'error ERROR 42P05 prepared statement "twice" already exists',
      'readyForQuery I',
    ])
  }))

test('an error is sent though the Flush behind it is skipped', () =>
  withClient(async (client) => {
    writeParse(client.out, '', 'fail(unique_violation)', [])
    writeBind(client.out, '', '', [], [])
    writeExecute(client.out, '', 0)
    writeBare(client.out, frontend.flush)
    client.flush()
    const answer = await client.until((line) => line.startsWith('error'))
    assert.deepEqual(answer, ['parseComplete', 'bindComplete', 'error ERROR 23505 made to fail'])
    writeBare(client.out, frontend.sync)
    assert.deepEqual(await client.roundTrip(), ['readyForQuery I'])
  }))

test('text parameters: integers read in place, everything else by its type, bad ones refused', () =>
  withClient(async (client) => {
    for (const [given, shown] of [
      ['0', 'dataRow 0'],
      ['-0', 'dataRow 0'],
      ['2147483647', 'dataRow 2147483647'],
      ['-2147483648', 'dataRow -2147483648'],
      ['1x', 'error ERROR 22P02 invalid input syntax for type integer: "1x"'],
      ['', 'error ERROR 22P02 invalid input syntax for type integer: ""'],
      ['-', 'error ERROR 22P02 invalid input syntax for type integer: "-"'],
    ]) {
      writeParse(client.out, '', 'select $1::int4', [])
      writeBind(client.out, '', '', [given], [])
      writeExecute(client.out, '', 0)
      writeBare(client.out, frontend.sync)
      assert.ok((await client.roundTrip()).includes(shown), given)
    }
    writeParse(client.out, '', 'select $1::int4', [])
    writeBind(client.out, '', '', [Buffer.from([1, 2])], [])
    writeBare(client.out, frontend.sync)
    const answer = await client.roundTrip()
    assert.ok(answer.includes('error ERROR 22P03 incorrect binary data format in bind parameter 1'))
  }))

test('text that is not UTF-8, or holds NUL, is refused as PostgreSQL words it', () =>
  withClient(async (client) => {
    const raw = (bytes: number[]) => {
      const out = client.out
      const at = out.length + 1
      out.u8(frontend.query)
      out.u32(0)
      out.raw(Uint8Array.from(bytes))
      out.u8(0)
      out.u32At(at, out.length - at)
      return client.roundTrip()
    }
    const invalid = (hex: string) => `error ERROR 22021 invalid byte sequence for encoding "UTF8": ${hex}`
    assert.equal((await raw([0x73, 0xff]))[0], invalid('0xff'))
    assert.equal((await raw([0xc3, 0x28]))[0], invalid('0xc3 0x28'))
    assert.equal((await raw([0xed, 0xa0, 0x80]))[0], invalid('0xed 0xa0 0x80'))
    assert.equal((await raw([0x73, 0, 0x73]))[0], 'error ERROR 08P01 invalid message format')
    assert.equal((await simple(client, "select '\ufffd'"))[1], 'dataRow 0xefbfbd')
    writeParse(client.out, '', 'select $1', [])
    writeBind(client.out, '', '', ['a\0b'], [])
    writeBare(client.out, frontend.sync)
    assert.equal((await client.roundTrip())[1], invalid('0x00'))
  }))

test('copy in and out, simple and extended, done and failed', () =>
  withClient(async (client) => {
    assert.deepEqual(await simple(client, 'copyout 2; select 1'), [
      'copyOut 0 2',
      'copyData "1\\tline\\n"',
      'copyData "2\\tline\\n"',
      'copyDone',
      'commandComplete COPY 2',
      'rowDescription ?column?:23',
      'dataRow 1',
      'commandComplete SELECT 1',
      'readyForQuery I',
    ])
    writeQuery(client.out, 'copyin; select 2')
    client.flush()
    assert.deepEqual(await client.until((line) => line.startsWith('copyIn')), ['copyIn 0 2'])
    for (let i = 0; i < 100; i++) writeCopyData(client.out, Buffer.from(`${i}\tx\n`))
    writeBare(client.out, frontend.copyDone)
    const done = await client.roundTrip()
    assert.deepEqual(done.slice(0, 1), ['commandComplete COPY 100'])
    assert.equal(done.at(-1), 'readyForQuery I')
    assert.equal(database.lastCopy.length, 100)

    writeQuery(client.out, 'copyin')
    writeCopyData(client.out, Buffer.from('x'))
    writeCopyFail(client.out, 'no more')
    assert.deepEqual(await client.roundTrip(), [
      'copyIn 0 2',
      'error ERROR 57014 COPY from stdin failed: no more',
      'readyForQuery I',
    ])

    // A pipelining driver has sent Sync before it could know.
    writeParse(client.out, '', 'copyin', [])
    writeBind(client.out, '', '', [], [])
    writeExecute(client.out, '', 0)
    writeBare(client.out, frontend.sync)
    writeCopyData(client.out, Buffer.from('1\n2\n'))
    writeBare(client.out, frontend.copyDone)
    writeBare(client.out, frontend.sync)
    assert.deepEqual(await client.roundTrip(), [
      'parseComplete',
      'bindComplete',
      'copyIn 0 2',
      'commandComplete COPY 2',
      'readyForQuery I',
    ])

    writeQuery(client.out, 'copyin')
    writeQuery(client.out, 'select 1')
    const broken = await client.roundTrip()
    assert.deepEqual(broken, [
      'copyIn 0 2',
      'error ERROR 08P01 unexpected message type 0x51 during COPY from stdin',
      'readyForQuery I',
    ])
  }))

test('waiting statements, waiting commits and input that comes meanwhile', () =>
  withClient(async (client) => {
    writeQuery(client.out, 'slow(3)')
    writeQuery(client.out, 'select 1')
    assert.equal((await client.roundTrip()).filter((line) => line.startsWith('dataRow')).length, 3)
    assert.ok((await client.roundTrip()).includes('dataRow 1'))
    const session = database.sessions.get(client.processId)!
    session.slowSync = true
    writeParse(client.out, '', 'rows(1)', [])
    for (let i = 0; i < 3; i++) {
      writeBind(client.out, '', '', [], [])
      writeExecute(client.out, '', 0)
      writeBare(client.out, frontend.sync)
    }
    for (let i = 0; i < 3; i++) assert.equal((await client.roundTrip()).at(-1), 'readyForQuery I')
  }))

test('a result larger than the socket takes waits for its reader', () =>
  withClient(async (client) => {
    client.socket.pause()
    writeQuery(client.out, 'rows(200000)')
    client.flush()
    const other = await RawClient.open(io.network, server.port)
    assert.ok((await simple(other, 'select 7')).includes('dataRow 7'), 'others are served meanwhile')
    other.close()
    client.socket.resume()
    const all = await client.until((line) => line.startsWith('readyForQuery'))
    assert.equal(all.filter((line) => line.startsWith('dataRow')).length, 200_000)
  }))

test('cancel over its own connection, with the right key only', () =>
  withClient(async (client) => {
    writeQuery(client.out, 'forever')
    client.flush()
    for (const key of [Buffer.from([1, 2, 3, 4]), client.secretKey]) {
      const door = new RawClient(await io.network.connect('127.0.0.1', server.port))
      writeCancelRequest(door.out, client.processId, key)
      door.flush()
      await door.when(() => door.closed)
    }
    const answer = await client.until((line) => line.startsWith('readyForQuery'))
    assert.deepEqual(answer, ['error ERROR 57014 canceling statement due to user request', 'readyForQuery I'])
  }))

test('notices, settings and notifications, also to an idle connection', () =>
  withClient(async (client) => {
    assert.deepEqual(await simple(client, 'notice'), [
      'notice NOTICE 01000 hear, hear',
      'commandComplete NOTICE',
      'readyForQuery I',
    ])
    assert.deepEqual(await simple(client, 'set TimeZone UTC'), [
      'parameterStatus TimeZone UTC',
      'commandComplete SET',
      'readyForQuery I',
    ])
    await simple(client, 'listen news')
    const other = await RawClient.open(io.network, server.port)
    await simple(other, 'notify news hello')
    assert.deepEqual(await client.until(() => true), [`notification ${other.processId} news hello`])
    other.close()
  }))

test('bugs, function calls and unknown messages', () =>
  withClient(async (client) => {
    assert.match((await simple(client, 'bug'))[0], /^error ERROR XX000 Cannot read properties/)
    assert.ok(lines.includes('statement-failed-internally'))
    writeBare(client.out, frontend.functionCall)
    assert.match((await client.roundTrip())[0], /^error ERROR 0A000/)
    writeBare(client.out, 0x7a)
    client.flush()
    assert.deepEqual(await client.until(() => false), ['error FATAL 08P01 invalid frontend message type 122'])
    assert.ok(client.closed)
  }))

test('oversized and malformed messages end their connection only', () =>
  withClient(async (client) => {
    client.send(Uint8Array.from([frontend.query, 0x7f, 0xff, 0xff, 0xff]))
    const answer = await client.until(() => false)
    assert.match(answer[0], /^error FATAL 54000 message of 2147483647 bytes exceeds the limit of 1048576 bytes/)
    const other = await RawClient.open(io.network, server.port)
    other.lines.length = 0
    other.send(Uint8Array.from([frontend.query, 0, 0, 0, 3]))
    assert.deepEqual(await other.until(() => false), ['error FATAL 08P01 invalid message length'])
  }))

test('a message in single bytes, and two messages cut anywhere', () =>
  withClient(async (client) => {
    writeParse(client.out, '', "select 'abc' as x", [])
    writeBind(client.out, '', '', [], [])
    writeExecute(client.out, '', 0)
    writeBare(client.out, frontend.sync)
    const bytes = client.out.copy()
    client.out.reset()
    const expected = ['parseComplete', 'bindComplete', 'dataRow abc', 'commandComplete SELECT 1', 'readyForQuery I']
    for (let i = 0; i < bytes.length; i++) client.send(bytes.slice(i, i + 1))
    assert.deepEqual(await client.until((line) => line.startsWith('readyForQuery')), expected)
    for (let cut = 1; cut < bytes.length; cut++) {
      client.send(bytes.slice(0, cut))
      await io.tasks.yield()
      client.send(bytes.slice(cut))
      assert.deepEqual(await client.until((line) => line.startsWith('readyForQuery')), expected)
    }
  }))

const goodbye = 'error FATAL 57P01 terminating connection due to administrator command'

test('a stop closes idle connections with 57P01 and lets running ones end', async () => {
  const own = await PgServer.start({ io, database, host: '127.0.0.1', port: 0 })
  const idle = await RawClient.open(io.network, own.port)
  const running = await RawClient.open(io.network, own.port)
  for (const client of [idle, running]) client.lines.length = 0
  running.socket.pause()
  writeQuery(running.out, 'rows(200000)')
  running.flush()
  while (own.stats().statements < 1) await io.tasks.yield()
  const stopped = own.stop(60_000)
  assert.deepEqual(await idle.until(() => false), [goodbye])
  running.socket.resume()
  const rows = await running.until(() => false)
  assert.equal(rows.filter((line) => line.startsWith('dataRow')).length, 200_000)
  assert.equal(rows.at(-1), goodbye)
  await stopped
  await assert.rejects(io.network.connect('127.0.0.1', own.port), { code: 'connection_failure' })
})

test('a stop cancels what outlasts the grace period', async () => {
  const own = await PgServer.start({ io, database, host: '127.0.0.1', port: 0 })
  const endless = await RawClient.open(io.network, own.port)
  endless.lines.length = 0
  writeQuery(endless.out, 'forever')
  endless.flush()
  while (own.stats().statements < 1) await io.tasks.yield()
  const stopped = own.stop(1)
  assert.deepEqual(await endless.until(() => false), [
    'error ERROR 57014 canceling statement due to user request',
    'readyForQuery I',
    goodbye,
  ])
  await stopped
})
