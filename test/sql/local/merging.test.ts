/** Tables whose rows are changed at places that do not see each other, and merge when they meet. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { rowEvent } from '../../../src/model/local-tables/row-event.ts'
import { insertRow } from '../../../src/replication/sync/index.ts'
import { SimRandom, SimWorld } from '../../../src/testing/index.ts'
import { meet, openHere, openOn, type TestDatabase } from './open.ts'

const todo = `create table todo (id text primary key, title text not null, done bool, votes int, tags text[])
  with (replication = 'local', "merge.title" = 'lww', "merge.done" = 'lww', "merge.votes" = 'counter', "merge.tags" = 'set')`

let here: TestDatabase
let there: TestDatabase

before(async () => {
  here = await openHere()
  there = await openHere()
  for (const db of [here, there]) await db.client.script(todo)
})
after(async () => {
  await here.close()
  await there.close()
})

const row = async (db: TestDatabase, id: string) =>
  (await db.rows('select title, done, votes, tags from todo where id = $1', [id]))[0]

async function both(name: string, id: string): Promise<unknown> {
  await meet(here, there, name)
  const [a, b] = [await row(here, id), await row(there, id)]
  assert.deepEqual(a, b)
  return a
}

test('columns merge each in its way', async () => {
  await here.rows(`insert into todo values ('a', 'milk', false, 1, '{x,y}')`)
  await both('todo', 'a')
  await here.rows(`update todo set votes = votes + 2, tags = array_append(tags, 'h') where id = 'a'`)
  await there.rows(`update todo set votes = votes + 3, done = true, tags = '{y,t}' where id = 'a'`)
  await here.rows(`update todo set title = 'tea' where id = 'a'`)
  assert.deepEqual(await both('todo', 'a'), { title: 'tea', done: true, votes: 6, tags: ['h', 't', 'y'] })
})

test('the later write of a register wins', async () => {
  await here.rows(`insert into todo (id, title) values ('l', 'one')`)
  await both('todo', 'l')
  await there.rows(`update todo set title = 'two' where id = 'l'`)
  await here.rows(`update todo set title = 'three' where id = 'l'`)
  assert.deepEqual(await both('todo', 'l'), { title: 'three', done: null, votes: 0, tags: [] })
})

test('a deleted row stays deleted, unless somebody changed it later', async () => {
  await here.rows(`insert into todo (id, title) values ('d', 'one'), ('e', 'one')`)
  await both('todo', 'd')
  await here.rows(`update todo set title = 'two' where id = 'd'`)
  await there.rows(`delete from todo where id = 'd'`)
  assert.equal(await both('todo', 'd'), undefined)
  await here.rows(`delete from todo where id = 'e'`)
  await there.rows(`update todo set votes = votes + 1 where id = 'e'`)
  assert.deepEqual(await both('todo', 'e'), { title: 'one', done: null, votes: 1, tags: [] })
})

test('a row that is inserted again begins anew', async () => {
  await here.rows(`insert into todo values ('n', 'one', true, 5, '{a}')`)
  await here.rows(`delete from todo where id = 'n'`)
  await here.rows(`insert into todo values ('n', 'two', null, 1, '{b}')`)
  assert.deepEqual(await both('todo', 'n'), { title: 'two', done: null, votes: 1, tags: ['b'] })
})

test('the same row inserted at both places is one', async () => {
  await here.rows(`insert into todo values ('s', 'one', true, 1, '{a}')`)
  await there.rows(`insert into todo values ('s', 'two', null, 2, '{b}')`)
  assert.deepEqual(await both('todo', 's'), { title: 'two', done: null, votes: 3, tags: ['a', 'b'] })
  assert.equal((await here.refusal(`insert into todo (id, title) values ('s', 'x')`)).state, '23505')
})

test('statements of one transaction see what those before did', async () => {
  await here.client.transaction(async (tx) => {
    await tx.sql`insert into todo (id, title, votes) values ('t', 'one', 1)`
    await tx.sql`update todo set votes = votes + 1, tags = '{p,q}' where id = 't'`
    await tx.sql`update todo set votes = votes * 10, tags = '{q,r}' where id = 't'`
    assert.deepEqual(
      [...(await tx.sql`select votes, tags from todo where id = 't'`)].map((r) => ({ ...r })),
      [{ votes: 20, tags: ['q', 'r'] }],
    )
    await tx.sql`insert into todo (id, title) values ('u', 'gone')`
    await tx.sql`delete from todo where id = 'u'`
    assert.equal((await tx.sql`select * from todo where id = 'u'`).length, 0)
  })
  assert.deepEqual(await both('todo', 't'), { title: 'one', done: null, votes: 20, tags: ['q', 'r'] })
  assert.equal(await both('todo', 'u'), undefined)
})

test('an UPDATE that finds a row twice changes it once', async () => {
  await here.rows(`insert into todo (id, title) values ('w', 'one')`)
  await here.rows(`update todo set votes = votes + 1 from generate_series(1, 3) where id = 'w'`)
  assert.equal((await row(here, 'w')).votes, 1)
})

test('constraints are checked, and columns of one CHECK go together', async () => {
  const text = `create table span (id int primary key, low int, high int, note text, check (low <= high))
    with (replication = local, "merge.note" = lww)`
  for (const db of [here, there]) await db.client.script(text)
  await here.rows(`insert into span values (1, 0, 10, 'n')`)
  await meet(here, there, 'span')
  await here.rows('update span set low = 8')
  await there.rows(`update span set high = 5, note = 'm'`)
  await meet(here, there, 'span')
  for (const db of [here, there]) {
    assert.deepEqual(await db.rows('select low, high, note from span'), [{ low: 0, high: 5, note: 'm' }])
  }
  assert.equal((await here.refusal('update span set low = 6')).state, '23514')
  assert.equal((await here.refusal(`insert into todo (id) values ('x')`)).state, '23502')
})

test('what cannot merge is refused', async () => {
  const make = (columns: string, options: string) =>
    here.refusal(`create table bad (id text primary key, ${columns}) with (replication = local, ${options})`)
  assert.equal((await make('n int check (n >= 0)', `"merge.n" = 'counter'`)).state, '0A000')
  assert.equal((await make('n text', `"merge.n" = 'counter'`)).state, '22023')
  assert.equal((await make('n text', `"merge.n" = 'set'`)).state, '22023')
  assert.equal((await make('n text', `"merge.n" = 'union'`)).state, '22023')
  assert.equal((await make('n text', `"merge.m" = 'lww'`)).state, '22023')
  assert.equal((await make('n text', `"merge.id" = 'lww'`)).state, '22023')
  assert.equal((await make('n int, m int generated always as (n + 1) stored', `"merge.n" = 'lww'`)).state, '0A000')
  assert.equal((await here.refusal(`update todo set id = 'z' where id = 'a'`)).state, '0A000')
  assert.equal((await here.refusal(`update todo set tags = '{null}' where id = 'a'`)).state, '22004')
  assert.equal(
    (await here.refusal(`insert into todo (id, title) values ('a', '') on conflict (id) do update set title = 'x'`))
      .state,
    '0A000',
  )
})

test('events that are no deltas, or that lie about the time, change nothing and stop nothing', async () => {
  const { store, views } = await here.store('todo')
  const encoder = new TextEncoder()
  const before = await here.rows('select * from todo order by id')
  const put = (title: string) => ({ kind: 'put' as const, value: encoder.encode(title) })
  const at = { timestamp: 8_000_000_000_000_000, origin: `${'f'.repeat(32)}.${'0'.repeat(16)}` }
  const cells = (name: string, value: string) => insertRow(undefined, new Map([[name, put(value)]]), at)
  const past = { ...at, timestamp: 1 }
  const events = [
    rowEvent('a', cells('r:title', '{"title":"the future"}')),
    rowEvent('a', insertRow(undefined, new Map([['r:title', put('no json')]]), past)),
    rowEvent('a', insertRow(undefined, new Map([['c:votes', put('{}')]]), past)),
    { $row: 'a', $cells: '????' },
    { $row: 'a', $cells: 'AAAA' },
    { $row: 7, $cells: '' },
    { $row: 'x'.repeat(2000), $cells: rowEvent('a', cells('r:title', '{}')).$cells },
    { id: 'a', title: 'plain' },
    null,
  ]
  for (const value of [...events.map((e) => JSON.stringify(e)), '{"$row":']) {
    await store.append([{ value: encoder.encode(value), contentType: 'application/json' }])
  }
  assert.deepEqual(await here.rows('select * from todo order by id'), before)
  assert.equal(views.status('rows').state, 'live')
})

test('to be later than what a clock ahead has written is refused until its time has come', async () => {
  const world = new SimWorld(1)
  const io = world.node(world.disk())
  await world.run(async () => {
    const node = await openOn(io, '/data')
    await node.client.script(`${todo}; insert into todo (id, title) values ('k', 'one')`)
    const { store } = await node.store('todo')
    const at = { timestamp: io.clock.wallMicros() + 900_000, origin: `${'a'.repeat(32)}.${'0'.repeat(16)}` }
    const value = new TextEncoder().encode('{"title":"soon"}')
    const delta = insertRow(undefined, new Map([['r:title', { kind: 'put', value }]]), at)
    await store.append([
      { value: new TextEncoder().encode(JSON.stringify(rowEvent('k', delta))), contentType: 'application/json' },
    ])
    assert.equal((await node.refusal(`update todo set title = 'mine'`)).state, 'LE008')
    assert.deepEqual(await node.rows('select title from todo'), [{ title: 'soon' }])
    await new Promise<void>((done) => io.tasks.after(1_000, done))
    await node.rows(`update todo set title = 'mine'`)
    assert.deepEqual(await node.rows('select title from todo'), [{ title: 'mine' }])
  })
  io.crash()
})

/** Statements at random on several databases, which meet in pairs; what they end with is what a fold by hand gives. */
test('whatever is done where, all end with the same rows, and no addition is lost', async (t) => {
  const seeds = process.env.SEED === undefined ? [1, 2, 3] : [Number(process.env.SEED)]
  for (const seed of seeds) {
    const random = new SimRandom(String(seed))
    const replay = `replay: SEED=${seed} node --test test/sql/local/merging.test.ts`
    const all = [await openHere(), await openHere(), await openHere()]
    try {
      for (const db of all) {
        await db.client.script(`create table p (id text primary key, r int, c bigint, s text[])
          with (replication = local, "merge.c" = counter, "merge.s" = 'set');
          insert into p (id, r, c, s) values ('k', 0, 0, '{}')`)
      }
      let added = 0
      const elements = new Set<string>()
      for (let i = 0; i < 60; i++) {
        const db = all[random.below(3)]
        const n = random.below(100) - 30
        switch (random.below(6)) {
          case 0:
            await db.rows('update p set r = $1 where id = $2', [n, 'k'])
            break
          case 1:
            await db.rows(`update p set c = c + $1 where id = 'k'`, [n])
            added += n
            break
          case 2: {
            const element = `e${i}`
            await db.rows(`update p set s = array_append(s, $1) where id = 'k'`, [element])
            elements.add(element)
            break
          }
          case 3:
            await db.rows(`insert into p (id, r, c) values ($1, $2, 1) on conflict do nothing`, [
              `x${random.below(4)}`,
              n,
            ])
            break
          case 4:
            await db.rows('delete from p where id = $1', [`x${random.below(4)}`])
            break
          default: {
            const other = all[random.below(3)]
            if (other !== db) await meet(db, other, 'p')
          }
        }
      }
      for (const [a, b] of [
        [0, 1],
        [1, 2],
        [0, 1],
        [0, 2],
      ])
        await meet(all[a], all[b], 'p')
      const states = await Promise.all(all.map((db) => db.rows('select * from p order by id')))
      assert.deepEqual(states[1], states[0], replay)
      assert.deepEqual(states[2], states[0], replay)
      const [k] = states[0].filter((r) => r.id === 'k')
      assert.equal(Number(k.c), added, replay)
      assert.deepEqual(k.s, [...elements].sort(), replay)
    } finally {
      for (const db of all) await db.close()
    }
    t.diagnostic(`seed ${seed}`)
  }
})
