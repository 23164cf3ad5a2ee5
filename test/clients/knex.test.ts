/** Knex: schema builder and its alterations, migrations, queries, transactions, streams. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import knexModule, { type Knex } from 'knex'
import { startTestServer, type TestServer } from './server.ts'

let server: TestServer
let db: Knex

before(async () => {
  server = await startTestServer('knex')
  db = knexModule({ client: 'pg', connection: server.url, pool: { min: 0, max: 4 } })
})
after(async () => {
  await db.destroy()
  await server.close()
})

test('schema builder', async () => {
  await db.schema.createTable('account', (table) => {
    table.increments('id')
    table.string('email', 120).notNullable().unique()
    table.enu('state', ['open', 'closed']).defaultTo('open')
    table.decimal('balance', 12, 2).defaultTo(0)
    table.jsonb('meta')
    table.timestamps(true, true)
    table.index(['state', 'balance'], 'account_state_balance')
    table.comment('accounts')
  })
  await db.schema.createTable('entry', (table) => {
    table.bigIncrements('id')
    table.integer('account_id').unsigned().references('id').inTable('account').onDelete('CASCADE')
    table.text('note')
    table.uuid('token').defaultTo(db.raw('gen_random_uuid()'))
  })
  await db.schema.alterTable('entry', (table) => {
    table.date('day')
    table.renameColumn('note', 'remark')
    table.dropColumn('token')
  })
  await db.schema.alterTable('entry', (table) => {
    table.string('remark', 200).alter()
  })
  assert.ok(await db.schema.hasTable('account'))
  assert.ok(!(await db.schema.hasTable('nothing')))
  assert.ok(await db.schema.hasColumn('entry', 'remark'))
  assert.ok(!(await db.schema.hasColumn('entry', 'token')))
  const info = await db('account').columnInfo()
  assert.equal(info.email.type, 'character varying')
  assert.equal(Number(info.email.maxLength), 120)
  assert.equal(info.email.nullable, false)
  await db.schema.createView('open_account', (view) => view.as(db('account').where({ state: 'open' })))
})

test('migrations and seeds of the library itself', async () => {
  const source: Knex.MigrationSource<string> = {
    getMigrations: async () => ['1_first', '2_second'],
    getMigrationName: (name) => name,
    getMigration: async (name) => ({
      up: (knex) => knex.schema.createTable(`made_by_${name}`, (table) => void table.increments()),
      down: (knex) => knex.schema.dropTable(`made_by_${name}`),
    }),
  }
  const [, done] = await db.migrate.latest({ migrationSource: source })
  assert.deepEqual(done, ['1_first', '2_second'])
  const [, undone] = await db.migrate.rollback({ migrationSource: source })
  assert.deepEqual(undone, ['2_second', '1_first'])
})

test('queries', async () => {
  const ids = await db('account')
    .insert([{ email: 'a@x', balance: 10, meta: { k: [1] } }, { email: 'b@x' }])
    .returning('id') // prettier-ignore
  assert.deepEqual(ids, [{ id: 1 }, { id: 2 }])
  await db('account').insert({ email: 'a@x', balance: 5 }).onConflict('email').merge(['balance'])
  await db.batchInsert(
    'entry',
    Array.from({ length: 50 }, (_, i) => ({ account_id: 1 + (i % 2), remark: `r${i}` })),
    20,
  ) // prettier-ignore
  const rows = await db('account as a')
    .join('entry as e', 'e.account_id', 'a.id')
    .select('a.email', 'a.balance', 'a.meta')
    .count('e.id as n')
    .groupBy('a.id')
    .orderBy('a.email')
  assert.deepEqual(rows, [
    { email: 'a@x', balance: '5.00', meta: { k: [1] }, n: '25' },
    { email: 'b@x', balance: '0.00', meta: null, n: '25' },
  ])
  assert.equal(
    await db('entry')
      .whereIn('account_id', db('account').select('id').where('email', 'b@x'))
      .update({ day: '2024-01-01' }),
    25,
  ) // prettier-ignore
  assert.equal(await db('entry').where('remark', 'like', 'r4%').del(), 11)
  const [{ max }] = await db('open_account').max('balance')
  assert.equal(max, '5.00')
  const first = await db('account').where('email', 'a@x').andWhereRaw('balance > ?', [1]).first()
  assert.ok(first.created_at instanceof Date)
  assert.equal((await db.raw('select ?::int + ? as n', [1, 2])).rows[0].n, 3)
})

test('transactions, row locks, streams', async () => {
  await assert.rejects(
    db.transaction(async (tx) => {
      await tx('account').where({ id: 1 }).forUpdate().first()
      await tx('account').where({ id: 1 }).decrement('balance', 3)
      throw new Error('back')
    }),
    /back/,
  )
  assert.equal((await db('account').where({ id: 1 }).first()).balance, '5.00')
  await db.transaction(async (tx) => {
    await tx('account').where({ id: 1 }).decrement('balance', 3)
    await tx.transaction((inner) => inner('account').insert({ email: 'c@x' }))
  })
  assert.equal((await db('account').where({ id: 1 }).first()).balance, '2.00')
  await assert.rejects(db('account').insert({ email: 'c@x' }), { code: '23505' })
  await assert.rejects(db('account').insert({ email: 'd@x', state: 'ajar' }), { code: '23514' })
})

test('dropping', async () => {
  await db.schema.dropView('open_account')
  await db.schema.alterTable('account', (table) => {
    table.dropUnique(['email'])
    table.dropIndex([], 'account_state_balance')
  })
  await db.schema.dropTable('entry')
  await db.schema.dropTableIfExists('account')
  assert.ok(!(await db.schema.hasTable('account')))
})
