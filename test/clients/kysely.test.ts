/** Kysely: schema builder, migrations with their advisory lock, introspection, typed queries, transactions. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Generated, Kysely, Migrator, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { startTestServer, type TestServer } from './server.ts'

interface Tables {
  person: { id: Generated<number>; name: string; age: number | null; data: unknown }
  pet: { id: Generated<number>; owner_id: number; species: 'cat' | 'dog' }
}

let server: TestServer
let db: Kysely<Tables>

before(async () => {
  server = await startTestServer('kysely')
  db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: server.url }) }) })
})
after(async () => {
  await db.destroy()
  await server.close()
})

test('migrations', async () => {
  const migrator = new Migrator({
    db,
    provider: {
      getMigrations: async () => ({
        '001_person': {
          up: async (schema: Kysely<any>) => {
            await schema.schema
              .createTable('person')
              .addColumn('id', 'serial', (column) => column.primaryKey())
              .addColumn('name', 'varchar(100)', (column) => column.notNull())
              .addColumn('age', 'integer')
              .addColumn('data', 'jsonb')
              .addCheckConstraint('age_positive', sql`age >= 0`)
              .execute()
          },
          down: async (schema: Kysely<any>) => {
            await schema.schema.dropTable('person').execute()
          },
        },
        '002_pet': {
          up: async (schema: Kysely<any>) => {
            await schema.schema
              .createTable('pet')
              .addColumn('id', 'bigserial', (column) => column.primaryKey())
              .addColumn('owner_id', 'integer', (column) =>
                column.references('person.id').onDelete('cascade').notNull(),
              )
              .addColumn('species', 'text', (column) => column.notNull())
              .execute()
            await schema.schema
              .createIndex('pet_owner_index')
              .on('pet')
              .columns(['owner_id', 'species'])
              .unique()
              .execute()
          },
        },
      }),
    },
  })
  const { error, results } = await migrator.migrateToLatest()
  assert.equal(error, undefined)
  assert.deepEqual(
    results?.map((result) => result.status),
    ['Success', 'Success'],
  ) // prettier-ignore
  assert.deepEqual((await migrator.migrateToLatest()).results, [])
})

test('introspection', async () => {
  const tables = await db.introspection.getTables()
  const person = tables.find((table) => table.name === 'person')
  assert.deepEqual(
    person?.columns.map(({ name, dataType, isNullable, isAutoIncrementing, hasDefaultValue }) => [
      name,
      dataType,
      isNullable,
      isAutoIncrementing,
      hasDefaultValue,
    ]), // prettier-ignore
    [
      ['id', 'int4', false, true, true],
      ['name', 'varchar', false, false, false],
      ['age', 'int4', true, false, false],
      ['data', 'jsonb', true, false, false],
    ],
  )
  assert.ok((await db.introspection.getSchemas()).some((schema) => schema.name === 'public'))
})

test('insert, select, join, update, delete', async () => {
  const people = await db
    .insertInto('person')
    .values([
      { name: 'Ada', age: 36, data: JSON.stringify({ k: 1 }) },
      { name: 'Grace', age: 85, data: null },
      { name: 'Kid', age: null, data: null },
    ])
    .returning(['id', 'name'])
    .execute()
  assert.deepEqual(
    people.map((person) => person.name),
    ['Ada', 'Grace', 'Kid'],
  ) // prettier-ignore
  await db.insertInto('pet').values({ owner_id: people[0].id, species: 'cat' }).execute()
  const conflict = await db
    .insertInto('pet')
    .values({ owner_id: people[0].id, species: 'cat' })
    .onConflict((conflict) => conflict.columns(['owner_id', 'species']).doNothing())
    .executeTakeFirst()
  assert.equal(conflict.numInsertedOrUpdatedRows, 0n)
  const rows = await db
    .selectFrom('person')
    .leftJoin('pet', 'pet.owner_id', 'person.id')
    .select(({ fn, eb, selectFrom }) => [
      'person.name',
      fn.count<string>('pet.id').as('pets'),
      eb.case().when('person.age', '>', 50).then('old').else('young').end().as('kind'),
      selectFrom('pet')
        .select(({ fn }) => fn.countAll<string>().as('n'))
        .as('all'),
    ])
    .groupBy(['person.id', 'person.name', 'person.age'])
    .having(({ fn }) => fn.count('pet.id'), '>=', 0)
    .orderBy('person.name')
    .limit(10)
    .execute()
  assert.deepEqual(rows, [
    { name: 'Ada', pets: '1', kind: 'young', all: '1' },
    { name: 'Grace', pets: '0', kind: 'old', all: '1' },
    { name: 'Kid', pets: '0', kind: 'young', all: '1' },
  ])
  const updated = await db
    .updateTable('person')
    .set((eb) => ({ age: eb('age', '+', 1) }))
    .where('age', 'is not', null)
    .executeTakeFirst() // prettier-ignore
  assert.equal(updated.numUpdatedRows, 2n)
  const deleted = await db.deleteFrom('person').where('name', '=', 'Kid').returningAll().executeTakeFirstOrThrow()
  assert.equal(deleted.name, 'Kid')
  const withCte = await db
    .with('old', (cte) => cte.selectFrom('person').select('name').where('age', '>', 50))
    .selectFrom('old')
    .selectAll()
    .execute()
  assert.deepEqual(withCte, [{ name: 'Grace' }])
})

test('transactions', async () => {
  await assert.rejects(
    db
      .transaction()
      .setIsolationLevel('serializable')
      .execute(async (tx) => {
        await tx.insertInto('person').values({ name: 'Ghost', age: 1, data: null }).execute()
        throw new Error('back')
      }), // prettier-ignore
    /back/,
  )
  assert.equal(await db.selectFrom('person').where('name', '=', 'Ghost').selectAll().executeTakeFirst(), undefined)
  await db
    .transaction()
    .execute((tx) => tx.insertInto('person').values({ name: 'Solid', age: 1, data: null }).execute())
  assert.ok(await db.selectFrom('person').where('name', '=', 'Solid').selectAll().executeTakeFirst())
  await assert.rejects(db.insertInto('person').values({ name: 'x', age: -1, data: null }).execute(), {
    code: '23514',
    constraint: 'age_positive',
  }) // prettier-ignore
})
