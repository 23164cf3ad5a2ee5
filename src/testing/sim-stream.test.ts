/** Drivers of PostgreSQL over in-memory streams, under fake timers and crashes too. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mock, test } from 'node:test'
import pg from 'pg'
import postgres from 'postgres'
import { type SimCluster, simCluster } from './index.ts'
import { PgActivity } from './pg-activity.ts'

const login = { user: 'lattice', database: 'lattice' }

function nodePostgres(cluster: SimCluster, node: number): pg.Client {
  return new pg.Client({ ...login, stream: () => cluster.socket(node) as any })
}

function postgresJs(cluster: SimCluster, node: number): postgres.Sql {
  return postgres({ ...login, max: 2, socket: () => cluster.socket(node) } as any)
}

test('node-postgres: clients, pools, transactions, errors, notifications', async () => {
  await using cluster = await simCluster({ nodes: 3, seed: 1 })
  const client = nodePostgres(cluster, 1)
  await client.connect()
  await client.query('create table item (id int primary key, name text)')
  const pool = new pg.Pool({ ...login, max: 3, stream: () => cluster.socket(2) } as any)
  await Promise.all([1, 2, 3, 4, 5].map((i) => pool.query('insert into item values ($1, $2)', [i, `n${i}`])))
  await client.query('begin')
  await client.query('delete from item where id = 5')
  await client.query('rollback')
  const { rows } = await client.query('select name from item where id = any($1) order by id', [[1, 5]])
  assert.deepEqual(rows, [{ name: 'n1' }, { name: 'n5' }])
  await assert.rejects(client.query('select * from nowhere'), { code: '42P01' })
  const heard = once(client, 'notification')
  await client.query('listen news')
  await pool.query("notify news, 'hello'")
  await cluster.advance('1s')
  assert.equal((await heard)[0].payload, 'hello')
  await pool.end()
  await client.end()
})

test('postgres.js: pipelining, transactions, cursors, COPY', async () => {
  await using cluster = await simCluster({ nodes: 3, seed: 2 })
  const sql = postgresJs(cluster, 3)
  await sql`create table item (id int primary key, name text)`
  await Promise.all([1, 2, 3].map((id) => sql`insert into item ${sql({ id, name: `n${id}` })}`))
  await sql.begin(async (tx) => {
    await tx`update item set name = 'x' where id = 1`
    await tx.savepoint((inner) => inner`delete from item where id = 2`)
  })
  let batches = 0
  for await (const rows of sql`select * from item order by id`.cursor(1)) batches += rows.length
  assert.equal(batches, 2)
  const writable = await sql`copy item from stdin`.writable()
  writable.end('7\tseven\n8\teight\n')
  await once(writable, 'finish')
  const readable = await sql`copy item to stdout`.readable()
  const chunks: Buffer[] = []
  for await (const chunk of readable) chunks.push(chunk)
  assert.equal(Buffer.concat(chunks).toString().trim().split('\n').length, 4)
  await sql.end()
})

test('much data in both directions', async () => {
  await using cluster = await simCluster({ nodes: 1, seed: 3 })
  const client = nodePostgres(cluster, 1)
  await client.connect()
  const big = 'x'.repeat(3_000_000)
  const { rows } = await client.query('select $1::text as big', [big])
  assert.equal(rows[0].big, big)
  await client.end()
})

test('a crash resets connections, a node that is down refuses them, drivers connect again', async () => {
  await using cluster = await simCluster({ nodes: 3, seed: 4 })
  const client = nodePostgres(cluster, 2)
  const ended = new Promise<Error>((done) => client.on('error', done))
  await client.connect()
  await client.query('create table item (id int primary key); insert into item values (1)')
  const holder = await cluster.connect(1).begin()
  await holder.sql`delete from item`
  const pending = assert.rejects(client.query('delete from item'), /ECONNRESET/)
  await cluster.advance('1s')
  await cluster.crash(2)
  await pending
  await ended
  await assert.rejects(nodePostgres(cluster, 2).connect(), { code: 'ECONNREFUSED' })
  await cluster.restart(2)
  const again = nodePostgres(cluster, 2)
  await again.connect()
  assert.equal((await again.query('select 1 as one')).rows[0].one, 1)
  await again.end()
})

test('a driver whose answer never comes is told so with the seed', async () => {
  await using cluster = await simCluster({ nodes: 1, seed: 5, callTimeout: '2s' })
  const client = nodePostgres(cluster, 1)
  client.on('error', () => {})
  await client.connect()
  await client.query('select pg_advisory_lock(7)')
  const other = nodePostgres(cluster, 1)
  other.on('error', () => {})
  await other.connect()
  await assert.rejects(
    other.query('select pg_advisory_lock(7)'),
    /seed 5: the driver on node 1 had not ended in its time/,
  )
})

test('fake timers do not stop node-postgres', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] })
  try {
    await using cluster = await simCluster({ nodes: 1, seed: 6 })
    const client = nodePostgres(cluster, 1)
    await client.connect()
    assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
    await client.end()
  } finally {
    mock.timers.reset()
  }
})

test('two runs with drivers give one trace', async () => {
  const run = async () => {
    await using cluster = await simCluster({ nodes: 3, seed: 7 })
    // postgres.js draws the names of prepared statements by itself.
    const sql = postgres({ ...login, max: 1, prepare: false, socket: () => cluster.socket(2) } as any)
    await sql`create table item (id int primary key)`
    for (let id = 0; id < 10; id++) await sql`insert into item values (${id})`
    await sql.end()
    return cluster.traceHash
  }
  assert.equal(await run(), await run())
})

test('what a client waits for is found out from the bytes, however they are cut', () => {
  const message = (type: string, body: string | Buffer = '') => {
    const bytes = Buffer.from(body)
    const out = Buffer.alloc(5 + bytes.length)
    out.write(type)
    out.writeInt32BE(4 + bytes.length, 1)
    bytes.copy(out, 5)
    return out
  }
  const startup = Buffer.from([0, 0, 0, 9, 0, 3, 0, 0, 0])
  const steps: [from: 'client' | 'server', bytes: Buffer, waiting: boolean][] = [
    ['client', startup, true],
    ['server', message('R', Buffer.alloc(4)), true],
    ['server', message('Z', 'I'), false],
    ['client', message('Q', 'select 1\0'), true],
    ['server', Buffer.concat([message('T'), message('D'), message('C', 'SELECT 1\0')]), true],
    ['server', message('Z', 'I'), false],
    ['client', Buffer.concat([message('P'), message('D')]), false],
    ['client', message('H'), true],
    ['server', message('1'), true],
    ['server', message('t'), true],
    ['server', message('n'), false],
    ['client', Buffer.concat([message('B'), message('E'), message('S')]), true],
    ['server', message('E', 'oh no'), true],
    ['server', message('Z', 'I'), false],
    ['client', message('Q', 'copy t from stdin\0'), true],
    ['server', message('G'), false],
    ['client', message('d', 'data'), false],
    ['client', message('c'), true],
    ['server', Buffer.concat([message('C', 'COPY 1\0'), message('Z', 'I')]), false],
    ['client', message('X'), true],
  ]
  for (const size of [1, 3, 1000]) {
    const activity = new PgActivity()
    for (const [from, bytes, waiting] of steps) {
      for (let at = 0; at < bytes.length; at += size) {
        const piece = bytes.subarray(at, at + size)
        if (from === 'client') activity.sent(piece)
        else activity.received(piece)
      }
      assert.equal(activity.waiting, waiting, `${from} ${bytes}`)
    }
  }
  const secure = new PgActivity()
  secure.sent(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
  assert.equal(secure.waiting, true)
  secure.received(Buffer.from('N'))
  assert.equal(secure.waiting, false)
})
