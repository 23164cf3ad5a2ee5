/** Tables of events that only grow: SQL and the event database of the same name see the same. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { meet, openHere, type TestDatabase } from './open.ts'

let db: TestDatabase

before(async () => {
  db = await openHere()
})
after(() => db.close())

const encoder = new TextEncoder()
const json = (value: unknown) => ({ value: encoder.encode(JSON.stringify(value)), contentType: 'application/json' })

test('rows are events: what either side appends, both see', async () => {
  await db.client.script(`create table orders (customer text, cents int, note text, at timestamptz, big bigint, price numeric, tags text[], doc jsonb)
    with (replication = 'local')`)
  const [{ key }] = await db.rows(`insert into orders (customer, cents, at, big, price, tags, doc) values
    ('ada', 500, '2026-01-02 03:04:05+00', 9007199254740993, 1.10, '{a,"b c"}', '{"n": 1.50}') returning key`)
  assert.match(String(key), /^[0-9A-HJKMNP-TV-Z]{26}$/)
  const { store } = await db.store('orders')
  const [event] = await store.get([String(key)])
  assert.equal(
    new TextDecoder().decode(event!.value),
    '{"customer":"ada","cents":500,"at":"2026-01-02T03:04:05+00:00","big":9007199254740993,"price":1.10,"tags":["a","b c"],"doc":{"n": 1.50}}',
  )
  const [second] = await store.append([json({ customer: 'bob', cents: 7, note: 'by hand', extra: true })])
  assert.deepEqual(await db.rows('select key, customer, cents, note from orders order by cents desc'), [
    { key, customer: 'ada', cents: 500, note: null },
    { key: second, customer: 'bob', cents: 7, note: 'by hand' },
  ])
  assert.deepEqual(
    await db.rows('select big::text, price::text, tags::text, doc::text, at::text from orders where key = $1', [key]),
    [
      {
        big: '9007199254740993',
        price: '1.10',
        tags: '{a,"b c"}',
        doc: '{"n": 1.50}',
        at: '2026-01-02 03:04:05+00',
      },
    ],
  )
})

test('what does not fit a column is NULL, whatever came', async () => {
  await db.client.script(`create table loose (a int, b bool, c timestamptz, d int[]) with (replication = local)`)
  const { store } = await db.store('loose')
  await store.append([
    json({ a: 'x', b: 3, c: 'never', d: 7 }),
    json({ a: 1e300, b: 'yes', c: 5, d: [1, 2] }),
    json([1, 2]),
    { value: encoder.encode('{"a":'), contentType: 'application/json' },
    { value: Uint8Array.of(0, 255), contentType: 'image/png' },
  ])
  assert.deepEqual(await db.rows('select a, b, c, d::text from loose order by key'), [
    { a: null, b: null, c: null, d: null },
    { a: null, b: true, c: null, d: '{1,2}' },
    { a: null, b: null, c: null, d: null },
    { a: null, b: null, c: null, d: null },
    { a: null, b: null, c: null, d: null },
  ])
})

test('erased events are no rows', async () => {
  await db.client.script(`create table secrets (word text) with (replication = local)`)
  const [{ key }] = await db.rows(`insert into secrets (word) values ('one'), ('two') returning key`)
  await (await db.store('secrets')).store.redact([String(key)])
  assert.deepEqual(await db.rows('select word from secrets'), [{ word: 'two' }])
  assert.deepEqual(await db.rows('select word from secrets where key = $1', [key]), [])
})

test('a table over an event database that is there; a dropped one leaves it', async () => {
  const events = await db.opened.events()
  await events.create('visits', {})
  await (await events.open('visits'))!.store.append([json({ page: '/' })])
  await db.client.script('create table visits (page text) with (replication = local)')
  assert.deepEqual(await db.rows('select page from visits'), [{ page: '/' }])
  await db.client.script('drop table visits; create table visits (page text, seconds int) with (replication = local)')
  assert.deepEqual(await db.rows('select page, seconds from visits'), [{ page: '/', seconds: null }])
})

test('they join with other tables, by key too', async () => {
  await db.client.script(`
    create table sale (customer text, cents int) with (replication = local);
    create table customer (customer text primary key, town text, last_sale text);
    insert into customer values ('ada', 'London'), ('bob', 'Paris');
    insert into sale (customer, cents) select c, n from unnest('{ada,bob,ada}'::text[]) with ordinality u(c, n);
    update customer set last_sale = (select max(key) from sale where sale.customer = customer.customer)`)
  assert.deepEqual(
    await db.rows('select town, sum(cents) from sale join customer using (customer) group by 1 order by 1'),
    [
      { town: 'London', sum: 4 },
      { town: 'Paris', sum: 2 },
    ],
  )
  assert.deepEqual(
    await db.rows('select customer.customer, cents from customer join sale on sale.key = last_sale order by 1'),
    [
      { customer: 'ada', cents: 3 },
      { customer: 'bob', cents: 2 },
    ],
  )
  assert.deepEqual(
    await db.rows('select c.customer, s.key is null as none from customer c left join sale s on s.key = c.town'),
    [
      { customer: 'ada', none: true },
      { customer: 'bob', none: true },
    ],
  )
})

test('a page is not a table: thousands of rows are read', async () => {
  await db.client.script(`create table many (n int) with (replication = local);
    insert into many (n) select n from generate_series(1, 5000) n`)
  assert.deepEqual(await db.rows('select count(*) as rows, sum(n) as sum, count(distinct key) as keys from many'), [
    { rows: 5000, sum: 12502500, keys: 5000 },
  ])
  const keys = (await db.rows('select key from many order by n limit 3')).map((r) => r.key)
  assert.deepEqual(await db.rows('select n from many where key = any($1) order by n', [keys]), [
    { n: 1 },
    { n: 2 },
    { n: 3 },
  ])
})

test('keys that are given are ULIDs, taken once', async () => {
  await db.client.script('create table keyed (key text primary key, n int check (n > 0)) with (replication = local)')
  const key = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
  await db.rows('insert into keyed values ($1, 1)', [key.toLowerCase()])
  assert.deepEqual(await db.rows('select key from keyed where key = $1', [key]), [{ key }])
  assert.equal((await db.refusal(`insert into keyed values ('${key}', 2)`)).state, '23505')
  assert.equal(
    (await db.refusal(`insert into keyed values ('${key.slice(1)}0', 2), ('${key.slice(1)}0', 3)`)).state,
    '23505',
  )
  assert.equal((await db.refusal(`insert into keyed values ('hello', 2)`)).state, 'LE001')
  assert.equal((await db.refusal(`insert into keyed values (ulid(), 0)`)).state, '23514')
  assert.equal((await db.refusal(`insert into keyed values (null, 1)`)).state, '23502')
  await db.rows(`insert into keyed values ('${key}', 2) on conflict do nothing`)
  assert.deepEqual(await db.rows('select n from keyed'), [{ n: 1 }])
})

test('many large rows are read by their keys in parts, none is left out', async () => {
  await db.client.script('create table large (key text primary key, body text) with (replication = local)')
  const rows = (body: string) =>
    `insert into large select '01ARZ3NDEKTSV4RRFFQ69G5FA' || c, ${body} from unnest('{A,B,C,D,E,F}'::text[]) c`
  await db.rows(rows(`repeat('x', 900000)`))
  const found = await db.rows(`select right(key, 1) as c, length(body) as n from large
    where key in (${[...'FABCDE'].map((c) => `'01ARZ3NDEKTSV4RRFFQ69G5FA${c}'`)}) order by key`)
  assert.deepEqual(
    found,
    [...'ABCDEF'].map((c) => ({ c, n: 900_000 })),
  )
  // All of them are found to be there.
  await db.rows(`${rows(`'y'`)} on conflict do nothing`)
  assert.deepEqual(await db.rows('select count(*)::int as n, min(length(body)) as shortest from large'), [
    { n: 6, shortest: 900_000 },
  ])
  assert.equal((await db.refusal(rows(`'y'`))).state, '23505')
})

test('EXPLAIN says what is scanned', async () => {
  const plan = async (text: string) => (await db.rows(`explain (costs off) ${text}`)).map((r) => r['QUERY PLAN'])
  assert.deepEqual(await plan('select * from sale'), ['Local Scan on sale'])
  assert.deepEqual(await plan(`select * from sale s where key in ('a', 'b')`), [
    'Local Scan on sale s',
    `  Key: (key = ANY (ARRAY['a'::text, 'b'::text]))`,
    `  Filter: (key = ANY (ARRAY['a'::text, 'b'::text]))`,
  ])
})

test('catalogs show a table', async () => {
  assert.deepEqual(await db.rows(`select relkind, reloptions::text from pg_class where relname = 'sale'`), [
    { relkind: 'r', reloptions: '{replication=local}' },
  ])
  assert.deepEqual(
    await db.rows(`select column_name, column_default, is_nullable from information_schema.columns
    where table_name = 'sale' order by ordinal_position`),
    [
      { column_name: 'customer', column_default: null, is_nullable: 'YES' },
      { column_name: 'cents', column_default: null, is_nullable: 'YES' },
      { column_name: 'key', column_default: 'ulid()', is_nullable: 'NO' },
    ],
  )
})

test('values without names of columns are those of the columns that were written, in their order', async () => {
  await db.rows('create table visit (who text, n int) with (replication = local)')
  await db.rows(`insert into visit values ('ann', 1), ('bob', 2)`)
  assert.deepEqual(await db.rows('select who, n, length(key) as digits from visit order by n'), [
    { who: 'ann', n: 1, digits: 26 },
    { who: 'bob', n: 2, digits: 26 },
  ])
})

test('what stores cannot see to is refused, and said what to do', async () => {
  const refused = [
    'create table r (a int unique) with (replication = local)',
    'create table r (a int references customer) with (replication = local)',
    'create table r (a int generated always as identity) with (replication = local)',
    'create table r (a bigserial) with (replication = local)',
    'create table r (a int primary key) with (replication = local)',
    'create table r (a text, b text, primary key (a, b)) with (replication = local)',
    'create temp table r (a int) with (replication = local)',
    'create table r with (replication = local) as select 1 as a',
    'create table r (a int) with (replication = stream)',
    'create table r (a text references sale)',
    'update sale set cents = 1',
    'delete from sale',
    'truncate sale',
    'create index on sale (cents)',
    'alter table sale rename to sales',
    'alter table sale rename column cents to c',
    'alter table sale alter cents type text',
    'alter table sale alter cents set not null',
    'alter table sale add constraint c check (cents > 0)',
    'alter table sale add unique (cents)',
    'alter table sale drop column key',
    'alter table customer set (replication = local)',
    'select * from sale for update',
    `insert into keyed values ('01ARZ3NDEKTSV4RRFFQ69G5FAV', 1) on conflict (key) do update set n = 2`,
  ]
  for (const text of refused) {
    const { state, hint } = await db.refusal(text)
    assert.equal(state, '0A000', text)
    assert.ok(hint !== undefined && hint.length > 10, text)
  }
  assert.equal(
    (await db.refusal('create table "Odd" (a int) with (replication = local)')).message,
    '"Odd" cannot be the name of a database',
  )
  assert.equal(
    (await db.refusal('create table metrics (a int) with (replication = local)')).message,
    'the name "metrics" is reserved',
  )
})

test('columns come and go', async () => {
  await db.client.script(`create table wide (a int) with (replication = local); insert into wide (a) values (1);
    alter table wide add column b int default 5; insert into wide (a, b) values (2, null), (3, 7);
    alter table wide alter b set default 9; insert into wide (a) values (4)`)
  assert.deepEqual(await db.rows('select a, b from wide order by a'), [
    { a: 1, b: 5 },
    { a: 2, b: null },
    { a: 3, b: 7 },
    { a: 4, b: 9 },
  ])
  await db.client.script('alter table wide drop column a')
  assert.deepEqual(await db.rows('select b from wide order by key'), [{ b: 5 }, { b: null }, { b: 7 }, { b: 9 }])
})

test('the schema of an event database holds for its table', async () => {
  const events = await db.opened.events()
  await events.create('strict', { schema: { type: 'object', required: ['n'], properties: { n: { minimum: 3 } } } })
  await db.client.script('create table strict (n int, t text) with (replication = local)')
  await db.rows('insert into strict (n) values (3)')
  assert.equal((await db.refusal('insert into strict (n) values (4), (2)')).state, 'LE004')
  assert.equal((await db.refusal(`insert into strict (t) values ('x')`)).state, 'LE004')
  assert.deepEqual(await db.rows('select n from strict'), [{ n: 3 }])
})

test('stores that meet have the same rows', async () => {
  const other = await openHere()
  try {
    for (const d of [db, other]) await d.client.script('create table shared (who text) with (replication = local)')
    await db.rows(`insert into shared (who) values ('here')`)
    await other.rows(`insert into shared (who) values ('there')`)
    await meet(db, other, 'shared')
    const all = 'select who, key from shared order by key'
    assert.deepEqual(await db.rows(all), await other.rows(all))
    assert.equal((await db.rows(all)).length, 2)
  } finally {
    await other.close()
  }
})

test('COPY, cursors, data-modifying CTEs, functions, EXPLAIN ANALYZE', async () => {
  await db.client.script(
    'create table line (n int not null, t text) with (replication = local); create table plain (n int)',
  )
  assert.equal(
    await db.client.bulkInsert(
      'line',
      Array.from({ length: 3000 }, (_, n) => ({ n, t: `t${n}` })),
    ),
    3000,
  )
  assert.deepEqual(await db.rows('select count(*) as c, max(n) as n from line'), [{ c: 3000, n: 2999 }])
  await db.rows(
    `with added as (insert into line (n, t) values (-1, 'x') returning n) insert into plain select n from added`,
  )
  assert.deepEqual(await db.rows('select n from plain'), [{ n: -1 }])
  const moved = await db.client.transaction(async (tx) => {
    await tx.sql`declare c cursor for select n from line order by n`
    await tx.sql`fetch 2 from c`
    return [...(await tx.sql<{ n: number }>`fetch 1 from c`)].map((r) => r.n)
  })
  assert.deepEqual(moved, [1])
  await db.client.script(`create function lines() returns bigint language sql as 'select count(*) from line';
    create function more() returns bigint language plpgsql as 'begin return (select count(*) from line); end';
    create function write(int) returns void language plpgsql as 'begin insert into line (n) values ($1); end';
    do 'begin if (select count(*) from line) <> 3001 then raise exception ''lost''; end if; end'`)
  for (const f of ['lines', 'more']) assert.equal((await db.refusal(`select ${f}()`)).state, '0A000')
  await db.rows('select write(-2)')
  await db.client.script(
    `create function take(text) returns void language plpgsql as 'begin insert into line (key, n) values ($1, 1); end'`,
  )
  assert.equal((await db.refusal(`select take('01ARZ3NDEKTSV4RRFFQ69G5FAV')`)).state, '0A000')
  assert.deepEqual(
    await db.rows('select n, (select count(*) from line l where l.n < plain.n + 3) as below from plain'),
    [{ n: -1, below: 4 }],
  )
  const plan = await db.rows('explain analyze select count(*) from line where n > 5')
  assert.match(String(plan[1]['QUERY PLAN']), /Local Scan on line.*actual.*rows=2994/)
})
