/** Continuous materialized views: what a query over the table gives, as events come, late, erased, and after restarts. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { SimRandom, SimWorld } from '../../../src/testing/index.ts'
import { openHere, openOn, type TestDatabase } from './open.ts'

let db: TestDatabase

before(async () => {
  db = await openHere()
  await db.client.script(
    `create table orders (customer text, cents int, price numeric, paid bool, at timestamptz) with (replication = local)`,
  )
})
after(() => db.close())

const encoder = new TextEncoder()

test('groups are kept, read by SQL and as a view of the event database', async () => {
  await db.client.script(`insert into orders (customer, cents) values ('ada', 500), ('bob', 100);
    create materialized view per_customer with (continuous) as
      select customer, count(*) as n, sum(cents) as cents, avg(cents) as mean, max(price) as price, bool_and(paid) as paid
      from orders group by customer;
    insert into orders (customer, cents, price, paid) values ('ada', 100, 1.10, true), (null, 5, 2, false)`)
  const rows = await db.rows(
    'select customer, n, cents, mean::text, price::text, paid from per_customer order by customer',
  )
  assert.deepEqual(rows, [
    { customer: 'ada', n: 2, cents: 600, mean: '300.0000000000000000', price: '1.10', paid: true },
    { customer: 'bob', n: 1, cents: 100, mean: '100.0000000000000000', price: null, paid: null },
    { customer: null, n: 1, cents: 5, mean: '5.0000000000000000', price: '2', paid: false },
  ])
  const { views, store } = await db.store('orders')
  assert.deepEqual(await views.get('per_customer', 'ada'), {
    customer: 'ada',
    n: 2,
    cents: 600,
    mean: '300.0000000000000000',
    price: '1.10',
    paid: true,
  })
  const [key] = await store.append([
    { value: encoder.encode('{"customer":"bob","cents":1}'), contentType: 'application/json', atMs: 1000 },
  ])
  assert.deepEqual(await db.rows(`select n, cents from per_customer where customer = 'bob'`), [{ n: 2, cents: 101 }])
  await store.redact([key])
  assert.deepEqual(await db.rows(`select n, cents from per_customer where customer = 'bob'`), [{ n: 1, cents: 100 }])
})

test('WHERE, FILTER, several groups, expressions', async () => {
  await db.client.script(`create materialized view big with (continuous) as
    select customer, cents / 100 as hundreds, count(*) filter (where cents % 2 = 0) as even, min(key) as first
    from orders where cents >= 100 group by customer, cents / 100`)
  assert.deepEqual(await db.rows('select customer, hundreds, even from big order by 1, 2'), [
    { customer: 'ada', hundreds: 1, even: 1 },
    { customer: 'ada', hundreds: 5, even: 1 },
    { customer: 'bob', hundreds: 1, even: 1 },
  ])
  assert.deepEqual(
    await db.rows('select first from big where hundreds = 5'),
    await db.rows('select min(key) as first from orders where cents = 500'),
  )
})

test('an event that the query cannot be computed for is in no group', async () => {
  await db.client.script(`create materialized view per with (continuous) as
    select customer, sum(1000 / cents) as s from orders group by customer;
    insert into orders (customer, cents) values ('eve', 0), ('eve', 10)`)
  assert.deepEqual(await db.rows(`select s from per where customer = 'eve'`), [{ s: 100 }])
})

test('long keys of groups are groups of their own', async () => {
  const [a, b] = ['a', 'b'].map((c) => 'é'.repeat(900) + c)
  await db.rows('insert into orders (customer, cents) values ($1, 1), ($2, 2), ($1, 3)', [a, b])
  assert.deepEqual(await db.rows('select n from per_customer where customer = any($1) order by n', [[a, b]]), [
    { n: 1 },
    { n: 2 },
  ])
})

test('they join, are explained and described, refresh themselves, and go', async () => {
  assert.deepEqual(
    (await db.rows('explain (costs off) select * from per_customer p where n > 1')).map((r) => r['QUERY PLAN']),
    ['Local Scan on per_customer p', '  Filter: (n > 1)'],
  )
  assert.deepEqual(await db.rows(`select relkind, reloptions::text from pg_class where relname = 'per_customer'`), [
    { relkind: 'm', reloptions: '{continuous=true}' },
  ])
  await db.client.script('refresh materialized view per_customer')
  assert.equal(
    (await db.rows(`select count(*) as c from orders join per_customer using (customer) where customer = 'ada'`))[0].c,
    2,
  )
  assert.equal((await db.refusal('drop table orders')).state, '2BP01')
  await db.client.script('drop materialized view big')
  assert.equal((await db.refusal('select * from big')).state, '42P01')
  await db.client.script(
    `create materialized view big with (continuous) as select paid, count(*) as n from orders group by paid`,
  )
  assert.equal(
    (await db.rows('select sum(n)::int as n from big'))[0].n,
    (await db.rows('select count(*) as n from orders'))[0].n,
  )
})

test('what cannot be kept is refused', async () => {
  await db.client.script(
    `create table plain (a int); create table p (id text primary key, n int) with (replication = local, "merge.n" = counter)`,
  )
  const refused = [
    'select a, count(*) from plain group by a',
    'select n, count(*) from p group by n',
    'select count(*) from orders',
    'select customer from orders',
    'select customer, count(*) from orders group by customer having count(*) > 1',
    'select customer, count(*) from orders group by customer order by 1',
    'select customer, count(*) + 1 as x from orders group by customer',
    'select customer, count(distinct cents) from orders group by customer',
    'select customer, array_agg(cents) from orders group by customer',
    'select customer, sum(cents::float8) from orders group by customer',
    'select customer, count(*) from orders where at < now() group by customer',
    'select customer, count(*) from orders where cents in (select a from plain) group by customer',
    'select customer, count(*) from orders join plain on a = cents group by customer',
  ]
  for (const text of refused) {
    const { state, hint } = await db.refusal(`create materialized view x with (continuous) as ${text}`)
    assert.equal(state, '0A000', text)
    assert.ok(hint !== undefined, text)
  }
  assert.equal((await db.refusal('alter materialized view per_customer set (continuous = off)')).state, '0A000')
  assert.equal((await db.refusal('create index on per_customer (n)')).state, '0A000')
})

test('they equal the query, whatever was appended, erased, late or cut off', async () => {
  for (const seed of process.env.SEED === undefined ? [1, 2, 3] : [process.env.SEED]) {
    const replay = `replay: SEED=${seed} node --test test/sql/local/continuous.test.ts`
    const world = new SimWorld(seed)
    const disk = world.disk()
    const random = new SimRandom(`rows ${seed}`)
    const text = 'select g, count(*) as n, sum(v) as s, min(v) as low, max(v) as high from e where v <> 3 group by g'
    for (let life = 0; life < 4; life++) {
      const io = world.node(disk)
      let done = 0
      const until = 5 + random.below(40)
      await world.run(
        async () => {
          const node = await openOn(io, '/data')
          if (life === 0)
            await node.client.script(`create table e (g int, v int) with (replication = local);
              create materialized view m with (continuous) as ${text}`)
          const { store } = await node.store('e')
          for (; done < 60; done++) {
            const value = encoder.encode(JSON.stringify({ g: random.below(5), v: random.below(8) }))
            const atMs = random.below(4) === 0 ? random.below(1e9) * 1000 : undefined
            const [key] = await store.append([{ value, contentType: 'application/json', atMs }])
            if (random.below(8) === 0) await store.redact([key])
            if (done % 10 === 0)
              assert.deepEqual(
                await node.rows('select * from m order by g'),
                await node.rows(`${text} order by g`),
                replay,
              )
          }
        },
        () => done >= until,
      )
      io.crash()
    }
  }
})
