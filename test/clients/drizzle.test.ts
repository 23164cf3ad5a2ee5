/** Drizzle ORM on node-postgres and on postgres.js: migrations from files' text, typed queries, relations, transactions. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { and, count, desc, eq, gt, inArray, relations, sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import {
  boolean,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgTable,
  serial,
  text,
  timestamp,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core'
import { drizzle as drizzleJs } from 'drizzle-orm/postgres-js'
import pg from 'pg'
import postgres from 'postgres'
import { startTestServer, type TestServer } from './server.ts'

const role = pgEnum('role', ['admin', 'member'])
const users = pgTable('users', {
  id: serial('id').primaryKey(),
  key: uuid('key').defaultRandom().notNull(),
  name: varchar('name', { length: 50 }).notNull().unique(),
  role: role('role').default('member').notNull(),
  settings: jsonb('settings').$type<{ theme: string }>(),
  createdAt: timestamp('created_at', { withTimezone: true }).defaultNow().notNull(),
})
const posts = pgTable('posts', {
  id: integer('id').primaryKey().generatedAlwaysAsIdentity(),
  userId: integer('user_id')
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' }), // prettier-ignore
  title: text('title').notNull(),
  score: numeric('score', { precision: 6, scale: 2 }),
  published: boolean('published').default(false).notNull(),
  tags: text('tags').array(),
})
const usersRelations = relations(users, ({ many }) => ({ posts: many(posts) }))
const postsRelations = relations(posts, ({ one }) => ({
  user: one(users, { fields: [posts.userId], references: [users.id] }),
}))
const schema = { users, posts, usersRelations, postsRelations }

/** What drizzle-kit generates for the schema above. */
const migration = `CREATE TYPE "public"."role" AS ENUM('admin', 'member');--> statement-breakpoint
CREATE TABLE "posts" (
	"id" integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "posts_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 2147483647 START WITH 1 CACHE 1),
	"user_id" integer NOT NULL,
	"title" text NOT NULL,
	"score" numeric(6, 2),
	"published" boolean DEFAULT false NOT NULL,
	"tags" text[]
);
--> statement-breakpoint
CREATE TABLE "users" (
	"id" serial PRIMARY KEY NOT NULL,
	"key" uuid DEFAULT gen_random_uuid() NOT NULL,
	"name" varchar(50) NOT NULL,
	"role" "role" DEFAULT 'member' NOT NULL,
	"settings" jsonb,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "users_name_unique" UNIQUE("name")
);
--> statement-breakpoint
ALTER TABLE "posts" ADD CONSTRAINT "posts_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "posts_title_index" ON "posts" USING btree ("title" DESC NULLS LAST);`

let server: TestServer
let pool: pg.Pool
let db: NodePgDatabase<typeof schema>
const folder = mkdtempSync(join(tmpdir(), 'lattice-drizzle-'))

before(async () => {
  server = await startTestServer('drizzle')
  pool = new pg.Pool({ connectionString: server.url })
  db = drizzle(pool, { schema })
  mkdirSync(join(folder, 'meta'))
  const entries = [{ idx: 0, version: '7', when: 1_700_000_000_000, tag: '0000_first', breakpoints: true }]
  writeFileSync(join(folder, 'meta', '_journal.json'), JSON.stringify({ version: '7', dialect: 'postgresql', entries }))
  writeFileSync(join(folder, '0000_first.sql'), migration)
})
after(async () => {
  await pool.end()
  await server.close()
  rmSync(folder, { recursive: true })
})

test('migrations run once', async () => {
  await migrate(db, { migrationsFolder: folder })
  await migrate(db, { migrationsFolder: folder })
  const { rows } = await pool.query('select count(*)::int as n from drizzle.__drizzle_migrations')
  assert.equal(rows[0].n, 1)
})

test('insert, upsert, select, aggregate, update, delete', async () => {
  const [ada, grace] = await db
    .insert(users)
    .values([{ name: 'Ada', role: 'admin', settings: { theme: 'dark' } }, { name: 'Grace' }])
    .returning() // prettier-ignore
  assert.equal(ada.role, 'admin')
  assert.equal(grace.role, 'member')
  assert.match(ada.key, /^[0-9a-f-]{36}$/)
  assert.ok(ada.createdAt instanceof Date)
  assert.deepEqual(ada.settings, { theme: 'dark' })
  await db
    .insert(users)
    .values({ name: 'Ada' })
    .onConflictDoUpdate({ target: users.name, set: { role: 'member' } })
  await db.insert(posts).values([
    { userId: ada.id, title: 'One', score: '1.50', tags: ['x', 'y z'], published: true },
    { userId: ada.id, title: 'Two', score: '2.25' },
    { userId: grace.id, title: 'Three' },
  ])
  const counted = await db
    .select({ name: users.name, posts: count(posts.id), best: sql<string>`max(${posts.score})` })
    .from(users)
    .leftJoin(posts, eq(posts.userId, users.id))
    .groupBy(users.id)
    .orderBy(desc(count(posts.id)))
  assert.deepEqual(counted, [
    { name: 'Ada', posts: 2, best: '2.25' },
    { name: 'Grace', posts: 1, best: null },
  ])
  const found = await db
    .select()
    .from(posts)
    .where(and(inArray(posts.title, ['One', 'Two']), gt(posts.score, '2')))
  assert.deepEqual(
    found.map((post) => post.title),
    ['Two'],
  ) // prettier-ignore
  const changed = await db
    .update(posts)
    .set({ published: true })
    .where(eq(posts.title, 'Two'))
    .returning({ id: posts.id })
  assert.equal(changed.length, 1)
  assert.equal((await db.delete(posts).where(eq(posts.title, 'Three'))).rowCount, 1)
})

test('relational queries', async () => {
  const all = await db.query.users.findMany({
    columns: { name: true },
    with: { posts: { columns: { title: true, tags: true }, orderBy: posts.title } },
    orderBy: users.name,
  })
  assert.deepEqual(all, [
    {
      name: 'Ada',
      posts: [
        { title: 'One', tags: ['x', 'y z'] },
        { title: 'Two', tags: null },
      ],
    },
    { name: 'Grace', posts: [] },
  ]) // prettier-ignore
  const one = await db.query.posts.findFirst({ where: eq(posts.title, 'One'), with: { user: true } })
  assert.equal(one?.user.name, 'Ada')
})

test('transactions and prepared queries', async () => {
  await assert.rejects(
    db.transaction(async (tx) => {
      await tx.insert(users).values({ name: 'Ghost' })
      await tx.transaction(async (inner) => {
        await inner.insert(users).values({ name: 'Inner' })
      })
      tx.rollback()
    }),
  )
  assert.equal((await db.select().from(users)).length, 2)
  const prepared = db
    .select()
    .from(users)
    .where(eq(users.name, sql.placeholder('name')))
    .prepare('by_name') // prettier-ignore
  for (const name of ['Ada', 'Grace', 'nobody'])
    assert.equal((await prepared.execute({ name })).length, name === 'nobody' ? 0 : 1)
})

test('on postgres.js', async () => {
  const client = postgres(server.url, { max: 2 })
  const other = drizzleJs(client, { schema })
  const rows = await other.select({ name: users.name }).from(users).orderBy(users.name)
  assert.deepEqual(rows, [{ name: 'Ada' }, { name: 'Grace' }])
  await other.transaction((tx) =>
    tx
      .update(users)
      .set({ settings: { theme: 'light' } })
      .where(eq(users.name, 'Grace')),
  )
  const [grace] = await other.select().from(users).where(eq(users.name, 'Grace'))
  assert.deepEqual(grace.settings, { theme: 'light' })
  await client.end()
})
