/** Sequelize: sync, alter, query interface, associations, transactions. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DataTypes, type Model, type ModelStatic, Op, Sequelize, Transaction } from 'sequelize'
import { startTestServer, type TestServer } from './server.ts'

let server: TestServer
let sequelize: Sequelize
let Author: ModelStatic<Model<any, any> & any>
let Book: ModelStatic<Model<any, any> & any>

function define(extra: Record<string, any> = {}) {
  Author = sequelize.define('Author', {
    name: { type: DataTypes.STRING(60), allowNull: false, unique: true },
    born: DataTypes.DATEONLY,
    mood: { type: DataTypes.ENUM('calm', 'wild'), defaultValue: 'calm' },
    ...extra,
  })
  Book = sequelize.define(
    'Book',
    {
      id: { type: DataTypes.UUID, defaultValue: DataTypes.UUIDV4, primaryKey: true },
      title: { type: DataTypes.TEXT, allowNull: false },
      price: DataTypes.DECIMAL(8, 2),
      tags: DataTypes.ARRAY(DataTypes.STRING),
      data: DataTypes.JSONB,
      sold: { type: DataTypes.BIGINT, defaultValue: 0 },
    },
    { indexes: [{ fields: ['title'] }, { unique: true, fields: ['title', 'price'] }], paranoid: true },
  )
  Author.hasMany(Book, { foreignKey: { name: 'authorId', allowNull: false }, onDelete: 'CASCADE', as: 'books' })
  Book.belongsTo(Author, { foreignKey: 'authorId', as: 'author' })
}

before(async () => {
  server = await startTestServer('sequelize')
  sequelize = new Sequelize(server.database, server.user, undefined, {
    host: server.host,
    port: server.port,
    dialect: 'postgres',
    logging: false,
  }) // prettier-ignore
  define()
})
after(async () => {
  await sequelize.close()
  await server.close()
})

test('authenticate, sync, introspect, alter', async () => {
  await sequelize.authenticate()
  await sequelize.sync()
  await sequelize.sync()
  const columns = await sequelize.getQueryInterface().describeTable('Authors')
  assert.equal(columns.name.type, 'CHARACTER VARYING(60)')
  assert.equal(columns.name.allowNull, false)
  assert.equal(columns.id.primaryKey, true)
  assert.deepEqual((columns.mood as any).special, ['calm', 'wild'])
  const indexes = (await sequelize.getQueryInterface().showIndex('Books')) as any[]
  assert.deepEqual(indexes.map((index) => index.name).sort(), ['Books_pkey', 'books_title', 'books_title_price'])
  define({ country: { type: DataTypes.STRING, defaultValue: 'nowhere' } })
  await sequelize.sync({ alter: true })
  assert.ok('country' in (await sequelize.getQueryInterface().describeTable('Authors')))
  const tables = await sequelize.getQueryInterface().showAllTables()
  assert.deepEqual(tables.map((table: any) => table.tableName ?? table).sort(), ['Authors', 'Books'])
})

test('create, find, include, aggregate, update, destroy', async () => {
  const ada = await Author.create({ name: 'Ada', born: '1815-12-10' })
  assert.equal(ada.id, 1)
  assert.ok(ada.createdAt instanceof Date)
  await ada.createBook({ title: 'Notes', price: '10.50', tags: ['a', 'b'], data: { pages: 3, deep: { x: 'y' } } })
  await Book.bulkCreate([
    { title: 'Second', price: '20', authorId: 1 },
    { title: 'Third', price: null, authorId: 1 },
  ])
  const [found, created] = await Author.findOrCreate({ where: { name: 'Grace' }, defaults: { mood: 'wild' } })
  assert.deepEqual([found.mood, created], ['wild', true])
  const authors = await Author.findAll({
    include: { model: Book, as: 'books' },
    order: [
      ['name', 'ASC'],
      ['books', 'title', 'ASC'],
    ] as any,
  }) // prettier-ignore
  assert.deepEqual(
    authors.map((author) => [author.name, author.books.length]),
    [
      ['Ada', 3],
      ['Grace', 0],
    ],
  ) // prettier-ignore
  const [first] = authors[0].books
  assert.deepEqual(
    [first.title, first.price, first.tags, first.data],
    ['Notes', '10.50', ['a', 'b'], { pages: 3, deep: { x: 'y' } }],
  )
  assert.equal(await Book.count({ where: { price: { [Op.gte]: 10 } } }), 2)
  assert.equal(await Book.sum('price'), 30.5)
  assert.equal((await Book.findAll({ where: { data: { deep: { x: 'y' } } } })).length, 1)
  assert.equal((await Book.findAll({ where: { tags: { [Op.contains]: ['a'] } } })).length, 1)
  assert.equal((await Book.findAll({ where: { title: { [Op.iLike]: '%ECON%' } } })).length, 1)
  const { count, rows } = await Book.findAndCountAll({
    limit: 1,
    offset: 1,
    order: ['title'],
    include: { model: Author, as: 'author' },
  })
  assert.deepEqual([count, rows[0].title, rows[0].author.name], [3, 'Second', 'Ada'])
  await Book.increment('sold', { by: 5, where: { title: 'Second' } })
  const second = await Book.findOne({ where: { title: 'Second' } })
  assert.equal(second.sold, '5')
  await second.destroy()
  assert.equal(await Book.count(), 2)
  assert.equal(await Book.count({ paranoid: false }), 3)
  const [upserted] = await Author.upsert({ name: 'Ada', mood: 'wild' })
  assert.equal(upserted.mood, 'wild')
  await assert.rejects(Author.create({ name: 'Ada' }), { name: 'SequelizeUniqueConstraintError' })
  await assert.rejects(Book.create({ title: 'x', authorId: 999 }), { name: 'SequelizeForeignKeyConstraintError' })
})

test('transactions', async () => {
  await assert.rejects(
    sequelize.transaction({ isolationLevel: Transaction.ISOLATION_LEVELS.REPEATABLE_READ }, async (transaction) => {
      await Author.create({ name: 'Ghost' }, { transaction })
      throw new Error('back')
    }),
    /back/,
  )
  assert.equal(await Author.findOne({ where: { name: 'Ghost' } }), null)
  await sequelize.transaction(async (transaction) => {
    const ada = await Author.findOne({ where: { name: 'Ada' }, lock: true, transaction })
    await ada.update({ country: 'UK' }, { transaction })
  })
  assert.equal((await Author.findOne({ where: { name: 'Ada' } })).country, 'UK')
  await Author.destroy({ where: { name: 'Ada' } })
  assert.equal(await Book.count({ paranoid: false }), 0, 'cascaded')
})

test('raw queries and dropping', async () => {
  const rows = await sequelize.query('select $n::int + 1 as n', { bind: { n: 41 }, plain: true })
  assert.deepEqual(rows, { n: 42 })
  await sequelize.drop({})
  assert.deepEqual(await sequelize.getQueryInterface().showAllTables(), [])
})
