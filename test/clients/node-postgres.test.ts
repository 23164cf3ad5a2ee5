/** node-postgres (pg): pool, prepared statements, types, transactions, notices, LISTEN, errors. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { startTestServer, type TestServer } from './server.ts'

let server: TestServer
let pool: pg.Pool

before(async () => {
  server = await startTestServer('pg')
  pool = new pg.Pool({ connectionString: server.url, max: 4 })
})
after(async () => {
  await pool.end()
  await server.close()
})

test('schema, rows, RETURNING, row counts', async () => {
  await pool.query(
    `create table author (id serial primary key, name text not null unique, born date, extra jsonb default '{}')`,
  )
  await pool.query(`create table book (
    id bigint generated always as identity primary key, author_id int not null references author on delete cascade,
    title varchar(80) not null, price numeric(8,2) check (price >= 0), tags text[] default '{}', added timestamptz default now())`)
  const inserted = await pool.query(
    `insert into author (name, born, extra) values ($1, $2, $3), ($4, null, default) returning id, name`,
    ['Ada', '1815-12-10', { likes: ['numbers'] }, 'Grace'],
  ) // prettier-ignore
  assert.deepEqual(inserted.rows, [
    { id: 1, name: 'Ada' },
    { id: 2, name: 'Grace' },
  ]) // prettier-ignore
  assert.equal(inserted.rowCount, 2)
  assert.equal(inserted.command, 'INSERT')
  const book = await pool.query(
    'insert into book (author_id, title, price, tags) values ($1, $2, $3, $4) returning *',
    [1, 'Notes', '12.50', ['a', 'b c']],
  ) // prettier-ignore
  assert.equal(book.rows[0].id, '1')
  assert.equal(book.rows[0].price, '12.50')
  assert.deepEqual(book.rows[0].tags, ['a', 'b c'])
  assert.ok(book.rows[0].added instanceof Date)
  const joined = await pool.query(
    'select a.name, b.title, a.extra from author a left join book b on b.author_id = a.id order by a.id',
  )
  assert.deepEqual(joined.rows, [
    { name: 'Ada', title: 'Notes', extra: { likes: ['numbers'] } },
    { name: 'Grace', title: null, extra: {} },
  ])
  assert.equal(
    (await pool.query('update author set name = upper(name) where id = any($1::int[])', [[1, 2]])).rowCount,
    2,
  )
  assert.equal((await pool.query('delete from author where id = 1')).rowCount, 1)
  assert.equal((await pool.query('select count(*)::int as n from book')).rows[0].n, 0, 'cascaded')
})

test('types as node-postgres parses them', async () => {
  const { rows, fields } = await pool.query({
    text: `select 1::int2 a, 2::int8 b, 1.5::float4 c, true d, 'x'::char(3) e, '\\xdead'::bytea f, array[[1,2],[3,4]] g,
      '2024-01-02'::date h, '1 day 02:03:04'::interval i, 'NaN'::numeric j, '{"a":null}'::json k, null::text l,
      '00000000-0000-0000-0000-000000000001'::uuid m, '12:34:56.5'::time n, timestamp '2024-01-02 03:04:05.678' o`,
    rowMode: 'array',
  })
  const [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = rows[0]
  assert.deepEqual([a, b, c, d, e, l], [1, '2', 1.5, true, 'x  ', null])
  assert.deepEqual([...f], [0xde, 0xad])
  assert.deepEqual(g, [
    [1, 2],
    [3, 4],
  ]) // prettier-ignore
  assert.ok(h instanceof Date)
  assert.equal(i.days, 1)
  assert.equal(i.hours, 2)
  assert.deepEqual([j, k, m, n], ['NaN', { a: null }, '00000000-0000-0000-0000-000000000001', '12:34:56.5'])
  assert.equal(o.getMilliseconds(), 678)
  assert.deepEqual(
    fields.map((field) => field.dataTypeID),
    [21, 20, 700, 16, 1042, 17, 1007, 1082, 1186, 1700, 114, 25, 2950, 1083, 1114],
  ) // prettier-ignore
})

test('named statements, errors with fields, recovery inside a transaction', async () => {
  const client = await pool.connect()
  try {
    for (let i = 0; i < 5; i++) {
      const { rows } = await client.query({ name: 'twice', text: 'select $1::int * 2 as n', values: [i] })
      assert.deepEqual(rows, [{ n: i * 2 }])
    }
    await client.query('begin')
    await client.query(`insert into author (name) values ('Barbara')`)
    await client.query('savepoint s')
    await assert.rejects(client.query(`insert into author (name) values ('Barbara')`), {
      code: '23505',
      constraint: 'author_name_key',
      table: 'author',
      schema: 'public',
      severity: 'ERROR',
      detail: 'Key (name)=(Barbara) already exists.',
    }) // prettier-ignore
    await assert.rejects(client.query('select 1'), { code: '25P02' })
    await client.query('rollback to savepoint s')
    await assert.rejects(client.query('insert into book (author_id, title) values (999, $1)', ['x']), { code: '23503' })
    await client.query('rollback')
    assert.equal((await client.query(`select 1 from author where name = 'Barbara'`)).rowCount, 0)
    await assert.rejects(client.query('select * from nowhere'), { code: '42P01', position: '15' })
    await assert.rejects(client.query('selec 1'), { code: '42601', position: '1' })
    await assert.rejects(client.query(`select 1/0`), { code: '22012' })
  } finally {
    client.release()
  }
})

test('isolation: readers do not see what is not committed; SERIALIZABLE refuses write skew', async () => {
  await pool.query('create table doctor (id int primary key, on_call boolean not null)')
  await pool.query('insert into doctor values (1, true), (2, true)')
  const [a, b] = [await pool.connect(), await pool.connect()]
  try {
    for (const client of [a, b]) await client.query('begin isolation level serializable')
    for (const client of [a, b]) await client.query('select count(*) from doctor where on_call')
    await a.query('update doctor set on_call = false where id = 1')
    assert.equal((await pool.query('select count(*)::int as n from doctor where on_call')).rows[0].n, 2)
    await b.query('update doctor set on_call = false where id = 2').then(
      async () => {
        await a.query('commit')
        await assert.rejects(b.query('commit'), { code: '40001' })
      },
      (error) => assert.equal(error.code, '40001'),
    )
  } finally {
    for (const client of [a, b]) {
      await client.query('rollback')
      client.release()
    }
  }
})

test('LISTEN and NOTIFY, notices, several statements at once', async () => {
  const client = new pg.Client({ connectionString: server.url, application_name: 'suite' })
  await client.connect()
  const notices: string[] = []
  client.on('notice', (notice) => notices.push(notice.message ?? ''))
  const heard = new Promise<pg.Notification>((resolve) => client.once('notification', resolve))
  await client.query('listen news')
  await pool.query(`select pg_notify('news', 'extra')`)
  const { channel, payload } = await heard
  assert.deepEqual([channel, payload], ['news', 'extra'])
  await client.query('drop table if exists not_there_at_all')
  assert.deepEqual(notices, ['table "not_there_at_all" does not exist, skipping'])
  const results = (await client.query('select 1 as a; select 2 as b')) as unknown as pg.QueryResult[]
  assert.deepEqual(
    results.map((result) => result.rows),
    [[{ a: 1 }], [{ b: 2 }]],
  ) // prettier-ignore
  assert.equal((await client.query('show application_name')).rows[0].application_name, 'suite')
  await client.end()
})

test('introspection through information_schema and pg_catalog', async () => {
  const columns = await pool.query(
    `select column_name, data_type, is_nullable, column_default from information_schema.columns
      where table_schema = 'public' and table_name = $1 order by ordinal_position`,
    ['author'],
  )
  assert.deepEqual(columns.rows, [
    {
      column_name: 'id',
      data_type: 'integer',
      is_nullable: 'NO',
      column_default: `nextval('author_id_seq'::regclass)`,
    },
    { column_name: 'name', data_type: 'text', is_nullable: 'NO', column_default: null },
    { column_name: 'born', data_type: 'date', is_nullable: 'YES', column_default: null },
    { column_name: 'extra', data_type: 'jsonb', is_nullable: 'YES', column_default: `'{}'::jsonb` },
  ])
  const keys = await pool.query(`select conname, pg_get_constraintdef(oid) as def from pg_constraint
    where conrelid = 'book'::regclass order by conname`)
  assert.deepEqual(keys.rows, [
    { conname: 'book_author_id_fkey', def: 'FOREIGN KEY (author_id) REFERENCES author(id) ON DELETE CASCADE' },
    { conname: 'book_pkey', def: 'PRIMARY KEY (id)' },
    { conname: 'book_price_check', def: 'CHECK ((price >= (0)::numeric))' },
  ])
})
