/**
 * Bad input to a real node: each gets its error with PostgreSQL's SQLSTATE, while a bystander's statements are served
 * and nothing that was acknowledged to it is lost.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { type NodeProcess, startNode } from '../cluster/node-process.ts'

const directory = mkdtempSync(join(tmpdir(), 'lattice-bad-'))
const data = join(directory, 'data')
let node: NodeProcess
let bystander: pg.Client
let acknowledged = 0

before(async () => {
  node = await startNode(data)
  bystander = await connect()
  await bystander.query('create table kept (n int primary key)')
})

after(async () => {
  await bystander.end().catch(() => {})
  await node.end('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})

async function connect(options: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: node.url, ...options })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** The bystander's work goes on, at a pace that shows that nobody holds the loop. */
async function stillServed(): Promise<void> {
  await bystander.query('insert into kept values ($1)', [acknowledged])
  acknowledged++
}

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error) => error.code ?? error.message,
  )

const i32 = (n: number) => {
  const b = Buffer.alloc(4)
  b.writeInt32BE(n)
  return b
}
const i16 = (n: number) => i32(n).subarray(2)
const text = (s: string | Buffer) => Buffer.concat([typeof s === 'string' ? Buffer.from(s) : s, Buffer.from([0])])
const message = (type: string, ...parts: Buffer[]) => {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(type), i32(body.length + 4), body])
}
const startup = (...words: (string | Buffer)[]) => {
  const body = Buffer.concat([i32(196608), ...words.map(text), Buffer.from([0])])
  return Buffer.concat([i32(body.length + 4), body])
}
const hello = startup('user', 'lattice', 'database', 'lattice')
const sync = message('S')
const bad = Buffer.from([0x61, 0xff, 0x62])

/** Everything the server answers, until it closes or is ready `ready` times. */
function exchange(port: number, bytes: Buffer, ready = 0): Promise<{ answer: Buffer; closed: boolean }> {
  return new Promise((done, fail) => {
    const socket = connectTcp(port, '127.0.0.1', () => socket.write(bytes))
    const chunks: Buffer[] = []
    const finish = (closed: boolean) => {
      socket.destroy()
      done({ answer: Buffer.concat(chunks), closed })
    }
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      const all = Buffer.concat(chunks)
      if (ready > 0 && all.toString('latin1').split('Z\0\0\0\x05').length - 1 >= ready) finish(false)
    })
    socket.on('close', () => finish(true))
    socket.on('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' || error.code === 'EPIPE' ? finish(true) : fail(error),
    )
  })
}

const sqlstates = (answer: Buffer) => [...answer.toString('latin1').matchAll(/\0C([0-9A-Z]{5})\0/g)].map((m) => m[1])

test('first messages that are none', { timeout: 20_000 }, async () => {
  const cases: [string, Buffer, string][] = [
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), '08P01'],
    ['a length of zero', Buffer.concat([i32(0), Buffer.alloc(8)]), '08P01'],
    ['a negative length', Buffer.concat([i32(-5), Buffer.alloc(8)]), '08P01'],
    ['a huge length', Buffer.concat([i32(0x7fffffff), Buffer.alloc(8)]), '08P01'],
    ['another protocol', Buffer.concat([i32(8), i32(2 << 16)]), '0A000'],
    ['no user', startup('database', 'lattice'), '28000'],
    ['no terminator', Buffer.concat([i32(16), i32(196608), Buffer.from('user\0abc')]), '08P01'],
    ['another user', startup('user', 'nobody'), '28000'],
    ['another database', startup('user', 'lattice', 'database', 'nowhere'), '3D000'],
    ['a user that is no text', startup('user', bad, 'database', 'lattice'), '22021'],
    ['a database that is no text', startup('user', 'lattice', 'database', bad), '22021'],
    ['a setting that does not exist', startup('user', 'lattice', 'database', 'lattice', 'no_such', '1'), '42704'],
    ['a setting that is wrong', startup('user', 'lattice', 'database', 'lattice', 'work_mem', 'much'), '22023'],
  ]
  for (const [name, bytes, code] of cases) {
    const { answer, closed } = await exchange(node.pgPort, bytes)
    assert.ok(closed, name)
    assert.deepEqual(sqlstates(answer), [code], name)
    await stillServed()
  }
})

test('messages that are malformed', { timeout: 20_000 }, async () => {
  const parse = (name: string | Buffer, sql: string | Buffer) => message('P', text(name), text(sql), i16(0))
  const bind = (...value: Buffer[]) => message('B', text(''), text(''), i16(0), i16(1), ...value, i16(0))
  const execute = message('E', text(''), i32(0))
  // [what, bytes, SQLSTATE, whether the connection lives]
  const cases: [string, Buffer, string, boolean][] = [
    ['an unknown type', message('?'), '08P01', false],
    ['a negative length', Buffer.concat([Buffer.from('Q'), i32(-1)]), '08P01', false],
    ['a length beyond the limit', Buffer.concat([Buffer.from('Q'), i32(1 << 30)]), '54000', false],
    ['a query without its end', Buffer.concat([message('Q', Buffer.from('select 1'))]), '08P01', true],
    ['a query with more behind', message('Q', text('select 1'), text('x')), '08P01', true],
    [
      'a query that is no text',
      message('Q', text(Buffer.concat([Buffer.from("select '"), bad, Buffer.from("'")]))),
      '22021',
      true,
    ],
    ['a statement that is no text', Buffer.concat([parse('', bad), sync]), '22021', true],
    ['a name that is no text', Buffer.concat([parse(bad, 'select 1'), sync]), '22021', true],
    [
      'a parameter that is no text',
      Buffer.concat([parse('', 'select $1::text'), bind(i32(3), bad), execute, sync]),
      '22021',
      true,
    ],
    [
      'a parameter with a NUL',
      Buffer.concat([parse('', 'select $1::text'), bind(i32(3), Buffer.from('a\0b')), execute, sync]),
      '22021',
      true,
    ],
    [
      'a parameter longer than its message',
      Buffer.concat([parse('', 'select $1::text'), bind(i32(500), bad), execute, sync]),
      '08P01',
      true,
    ],
    [
      'too few parameters',
      Buffer.concat([parse('', 'select $1::int'), message('B', text(''), text(''), i16(0), i16(0), i16(0)), sync]),
      '08P01',
      true,
    ],
    [
      'no such statement',
      Buffer.concat([message('B', text(''), text('no'), i16(0), i16(0), i16(0)), sync]),
      '26000',
      true,
    ],
    ['no such portal', Buffer.concat([message('E', text('no'), i32(0)), sync]), '34000', true],
    ['an unknown thing to describe', Buffer.concat([message('D', Buffer.from('X'), text('')), sync]), '08P01', true],
    [
      'copied data that is no text',
      Buffer.concat([
        message('Q', text('create temp table c (t text); copy c from stdin')),
        message('d', bad, Buffer.from('\n')),
        message('c'),
      ]),
      '22021',
      true,
    ],
  ]
  for (const [name, bytes, code, lives] of cases) {
    const { answer, closed } = await exchange(node.pgPort, Buffer.concat([hello, bytes]), lives ? 2 : 0)
    assert.deepEqual(sqlstates(answer), [code], name)
    assert.equal(closed, !lives, name)
    await stillServed()
  }
})

test('half a message, then silence or the end', { timeout: 20_000 }, async () => {
  const sockets = []
  for (const bytes of [
    Buffer.alloc(0),
    hello.subarray(0, 6),
    Buffer.concat([
      hello,
      message('Q', text('begin; insert into kept values (-1)')),
      message('Q', text('select 1')).subarray(0, 7),
    ]),
  ]) {
    for (let i = 0; i < 20; i++) {
      const socket = connectTcp(node.pgPort, '127.0.0.1', () => socket.write(bytes))
      socket.on('error', () => {})
      sockets.push(socket)
    }
  }
  await stillServed()
  for (const [i, socket] of sockets.entries()) {
    if (i % 2) socket.resetAndDestroy()
    else socket.end()
  }
  await stillServed()
  // What they had begun is undone, its locks are free.
  await bystander.query('insert into kept values (-1)')
  await bystander.query('delete from kept where n = -1')
})

test('statements too deep, too long, too much', { timeout: 60_000 }, async () => {
  const many = (s: string, n: number) => s.repeat(n)
  const cases: [string, string, string][] = [
    ['parentheses', `select ${many('(', 100_000)}1${many(')', 100_000)}`, '54001'],
    ['terms', `select ${many('1+', 100_000)}1`, '54001'],
    ['conditions', `select 1 where ${many('1=1 and ', 20_000)}true`, 'done'],
    ['a list', `select 1 where 1 in (${many('1,', 100_000)}2)`, 'done'],
    ['not', `select ${many('not ', 50_000)}true`, '54001'],
    ['casts', `select 1${many('::int', 20_000)}`, '54001'],
    ['calls', `select ${many('abs(', 20_000)}1${many(')', 20_000)}`, '54001'],
    ['cases', `select ${many('case when true then ', 20_000)}1${many(' end', 20_000)}`, '54001'],
    ['subqueries', `select ${many('(select ', 5000)}1${many(')', 5000)}`, '54001'],
    ['unions', `select 1${many(' union all select 1', 5000)}`, '54001'],
    ['columns', `select ${many('1,', 3000)}1`, 'done'],
    ['JSON', `select '${many('[', 100_000)}${many(']', 100_000)}'::jsonb`, '54001'],
    ['an array', `select '${many('{', 1000)}${many('}', 1000)}'::int[]`, '54000'],
    ['a statement', `select length('${many('x', 20_000_000)}')`, '54000'],
    ['a string', "select repeat('x', 2000000000)", '54000'],
    ['a number', "select ('1e'||'130000')::numeric * ('1e'||'130000')::numeric", '22003'],
    ['groups of an expression', `select 'a' ~ '${many('(', 5000)}a${many(')', 5000)}'`, '2201B'],
    ['backtracking', "select 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab' ~ '(a+)+$'", 'done'],
  ]
  const client = await connect()
  for (const [name, statement, expected] of cases) {
    assert.equal(await codeOf(client.query(statement)), expected, name)
    await stillServed()
  }
  await client.end()
})

test('the HTTP port survives garbage', { timeout: 20_000 }, async () => {
  const http = async (bytes: Buffer | string) =>
    (await exchange(node.httpPort, typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)).answer
      .toString('latin1')
      .split('\r\n')[0]
  assert.match(await http('\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03garbage\r\n\r\n'), /^HTTP\/1.1 400/)
  assert.match(await http(hello), /^(HTTP\/1.1 400|$)/)
  assert.match(await http(`GET / HTTP/1.1\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`), /^HTTP\/1.1 431/)
  assert.match(await http('GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 404/)
  assert.match(await http('GET /%ff%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'), /^HTTP\/1.1 (400|404)/)
  assert.match(
    await http('POST /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{'),
    /^HTTP\/1.1 4/,
  )
  assert.equal((await fetch(`http://127.0.0.1:${node.httpPort}/readyz`)).status, 200)
  await stillServed()
})

test('after all that the rows are there, also after a kill', { timeout: 20_000 }, async () => {
  await bystander.end()
  await node.end('SIGKILL')
  assert.doesNotMatch(node.log(), /statement-failed-internally|connection-failed-internally|fatal/)
  node = await startNode(data)
  bystander = await connect()
  const { rows } = await bystander.query('select count(*)::int as n, max(n) as newest from kept')
  assert.deepEqual(rows, [{ n: acknowledged, newest: acknowledged - 1 }])
})
