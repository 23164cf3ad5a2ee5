/** TypeORM: schema synchronisation (twice, changed), repositories, relations, query builder, migrations, transactions. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DataSource, EntitySchema, In, type MigrationInterface, MoreThan, type QueryRunner } from 'typeorm'
import { startTestServer, type TestServer } from './server.ts'

interface User {
  id: number
  name: string
  role: string
  profile: unknown
  scores: number[] | null
  createdAt: Date
  posts: Post[]
}
interface Post {
  id: string
  title: string
  rating: string | null
  user: User
  tags: Tag[]
}
interface Tag {
  id: number
  label: string
}

const columns = {
  id: { type: 'int', primary: true, generated: 'increment' },
  name: { type: 'varchar', length: 80, unique: true },
  role: { type: 'enum', enum: ['admin', 'guest'], default: 'guest' },
  profile: { type: 'jsonb', nullable: true },
  scores: { type: 'int', array: true, nullable: true },
  createdAt: { type: 'timestamptz', createDate: true },
} as const

const entities = (extra: Record<string, any> = {}) => [
  new EntitySchema<User>({
    name: 'User',
    columns: { ...columns, ...extra } as any,
    relations: { posts: { type: 'one-to-many', target: 'Post', inverseSide: 'user' } },
    checks: [{ expression: `"name" <> ''` }],
  }),
  new EntitySchema<Post>({
    name: 'Post',
    columns: {
      id: { type: 'uuid', primary: true, generated: 'uuid' },
      title: { type: 'text' },
      rating: { type: 'numeric', precision: 4, scale: 1, nullable: true },
    },
    relations: {
      user: { type: 'many-to-one', target: 'User', inverseSide: 'posts', onDelete: 'CASCADE', nullable: false },
      tags: { type: 'many-to-many', target: 'Tag', joinTable: true, cascade: true },
    },
    indices: [{ columns: ['title', 'rating'] }],
  }),
  new EntitySchema<Tag>({
    name: 'Tag',
    columns: { id: { type: 'int', primary: true, generated: true }, label: { type: 'text' } },
  }),
]

class AddNote1700000000000 implements MigrationInterface {
  name = 'AddNote1700000000000'
  async up(runner: QueryRunner): Promise<void> {
    await runner.query('create table note (id int primary key, body text)')
  }
  async down(runner: QueryRunner): Promise<void> {
    await runner.query('drop table note')
  }
}

let server: TestServer
let source: DataSource

function connect(extra: Record<string, any> = {}): Promise<DataSource> {
  return new DataSource({
    type: 'postgres',
    url: server.url,
    synchronize: true,
    entities: entities(extra),
    migrations: [AddNote1700000000000],
  }).initialize() // prettier-ignore
}

before(async () => {
  server = await startTestServer('typeorm')
})
after(async () => {
  if (source?.isInitialized) await source.destroy()
  await server.close()
})

test('synchronisation creates, finds nothing to do, and alters', async () => {
  await (await connect()).destroy()
  source = await connect()
  const pending = await source.driver.createSchemaBuilder().log()
  assert.deepEqual(
    pending.upQueries.map((query) => query.query),
    [],
  ) // prettier-ignore
  await source.destroy()
  source = await connect({ age: { type: 'int', nullable: true, default: 7 } })
  const table = await source.createQueryRunner().getTable('user')
  const age = table?.columns.find((column) => column.name === 'age')
  assert.deepEqual([age?.type, age?.default, age?.isNullable], ['integer', "'7'", true])
  assert.equal(table?.uniques.length, 1)
  assert.equal(table?.checks.length, 1)
  const posts = await source.createQueryRunner().getTable('post')
  assert.equal(posts?.foreignKeys[0].onDelete, 'CASCADE')
  assert.deepEqual(posts?.indices[0].columnNames.sort(), ['rating', 'title'])
})

test('repositories and relations', async () => {
  const users = source.getRepository<User>('User')
  const posts = source.getRepository<Post>('Post')
  const ada = await users.save({ name: 'Ada', role: 'admin', profile: { a: [1, { b: null }] }, scores: [3, 4] })
  assert.equal(ada.id, 1)
  assert.ok(ada.createdAt instanceof Date)
  const post = await posts.save({
    title: 'One',
    rating: '4.5',
    user: ada,
    tags: [{ label: 'x' }, { label: 'y' }],
  } as any)
  assert.match(post.id, /^[0-9a-f-]{36}$/)
  await posts.insert([
    { title: 'Two', user: { id: 1 } },
    { title: 'Three', rating: '1.0', user: { id: 1 } },
  ]) // prettier-ignore
  const loaded = await users.findOneOrFail({
    where: { name: 'Ada' },
    relations: { posts: { tags: true } },
    order: { posts: { title: 'ASC' } },
  })
  assert.deepEqual(loaded.profile, { a: [1, { b: null }] })
  assert.deepEqual(loaded.scores, [3, 4])
  assert.deepEqual(
    loaded.posts.map((p) => [p.title, p.rating, p.tags.length]),
    [
      ['One', '4.5', 2],
      ['Three', '1.0', 0],
      ['Two', null, 0],
    ],
  ) // prettier-ignore
  assert.equal(await posts.count({ where: { title: In(['One', 'Two']), rating: MoreThan('1') } as any }), 1)
  const [page, total] = await posts.findAndCount({ order: { title: 'ASC' }, skip: 1, take: 1 })
  assert.deepEqual([page[0].title, total], ['Three', 3])
  await posts.update({ title: 'Two' }, { rating: '2.0' })
  await users.upsert({ name: 'Ada', role: 'guest' }, ['name'])
  assert.equal((await users.findOneByOrFail({ id: 1 })).role, 'guest')
  await assert.rejects(users.insert({ name: 'Ada' }), { code: '23505' })
  await assert.rejects(users.insert({ name: '' }), { code: '23514' })
})

test('query builder', async () => {
  const rows = await source
    .getRepository<Post>('Post')
    .createQueryBuilder('p')
    .innerJoin('p.user', 'u')
    .select('u.name', 'name')
    .addSelect('count(*)', 'n')
    .addSelect('avg(p.rating)::numeric(4,2)', 'average')
    .where('p.rating is not null and u.id in (:...ids)', { ids: [1, 2] })
    .groupBy('u.name')
    .having('count(*) > :least', { least: 0 })
    .getRawMany()
  assert.deepEqual(rows, [{ name: 'Ada', n: '3', average: '2.50' }])
  const deleted = await source.createQueryBuilder().delete().from('Post').where('title = :t', { t: 'Three' }).execute()
  assert.equal(deleted.affected, 1)
  const many = await source
    .getRepository<User>('User')
    .createQueryBuilder('u')
    .leftJoinAndSelect('u.posts', 'p')
    .orderBy('p.title')
    .take(5)
    .getMany() // prettier-ignore
  assert.equal(many[0].posts.length, 2)
})

test('transactions and migrations', async () => {
  await assert.rejects(
    source.transaction('SERIALIZABLE', async (manager) => {
      await manager.insert('User', { name: 'Ghost' })
      throw new Error('back')
    }),
    /back/,
  )
  assert.equal(await source.getRepository('User').countBy({ name: 'Ghost' }), 0)
  const runner = source.createQueryRunner()
  await runner.startTransaction()
  await runner.manager.insert('User', { name: 'Kept' })
  await runner.startTransaction()
  await runner.manager.insert('User', { name: 'Dropped' })
  await runner.rollbackTransaction()
  await runner.commitTransaction()
  await runner.release()
  assert.equal(await source.getRepository('User').countBy({ name: In(['Kept', 'Dropped']) }), 1)
  assert.equal((await source.runMigrations()).length, 1)
  assert.equal((await source.runMigrations()).length, 0)
  await source.undoLastMigration()
})

test('dropping everything', async () => {
  await source.dropDatabase()
  const { length } = await source.query(`select 1 from information_schema.tables where table_schema = 'public'`)
  assert.equal(length, 0)
})
