/** Bridged tables in a cluster: every gateway publishes what it commits, and one node applies what comes from elsewhere. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Outbox } from '../sql/local/outbox.ts'
import { simCluster } from './index.ts'

/** Every entry is delivered twice: as after a crash, by what is stored, and as after a commit. */
function deliverTwice(): Disposable {
  const { deliver } = Outbox.prototype
  Outbox.prototype.deliver = async function (entries, at) {
    await this.drain()
    return deliver.call(this, entries, at)
  }
  return { [Symbol.dispose]: () => void (Outbox.prototype.deliver = deliver) }
}

test('what is delivered twice is one event', async () => {
  using _ = deliverTwice()
  await using cluster = await simCluster({ nodes: 3, seed: Number(process.env.LATTICE_SEED ?? 9) })
  const dbs = [1, 2, 3].map((n) => cluster.connect(n))
  await dbs[0].query(
    `create table account_changes (id text primary key default ulid(), commit bigint) with (replication = 'local')`,
  )
  await dbs[0].query(`create table account (id int primary key, name text) with ("publish.to" = 'account_changes')`)
  for (const [i, db] of dbs.entries())
    await db.query('insert into account select n, $1 from generate_series($2::int, $3::int) n', [
      'x',
      i * 10 + 1,
      i * 10 + 10,
    ])
  const counted = async () => (await dbs[0].query('select count(*)::int as n from account_changes')).rows[0].n as number
  await cluster.until(async () => (await counted()) >= 30, '20s')
  await cluster.advance('5s')
  assert.equal(await counted(), 30)
})

test('changes of all gateways are published, those of others applied once, also after a crash', async () => {
  await using cluster = await simCluster({ nodes: 3, seed: Number(process.env.LATTICE_SEED ?? 7) })
  const [a, b, c] = [1, 2, 3].map((n) => cluster.connect(n))
  // The events as rows: what is inserted here is as if it had come from another cluster.
  await a.query(`create table account_changes (id text primary key default ulid(), op text, "table" text, key jsonb,
    "row" jsonb, origin text, commit bigint) with (replication = 'local')`)
  await a.query(`create table account (id int primary key, name text)
    with ("publish.to" = 'account_changes', "apply.from" = 'account_changes')`)
  const rows = async (db: typeof a, text: string) => (await db.query(text)).rows.map((r) => Object.values(r).join(' '))
  const accounts = (db: typeof a) => rows(db, 'select id, name from account order by id')
  const published = (db: typeof a) =>
    rows(db, `select op, key::text from account_changes where origin <> 'elsewhere' order by commit`)
  const foreign = (db: typeof a, op: string, id: number, name: string | null, commit: string) =>
    db.query(`insert into account_changes (op, "table", key, "row", origin, commit)
      values ('${op}', 'account', '{"id":${id}}', ${name === null ? 'null' : `'{"id":${id},"name":"${name}"}'`}, 'elsewhere', ${commit})`)
  await a.query(`insert into account values (1, 'of a')`)
  await b.query(`insert into account values (2, 'of b')`)
  await c.query(`update account set name = 'of c' where id = 1`)
  const own = ['insert {"id": 1}', 'insert {"id": 2}', 'update {"id": 1}']
  await cluster.until(async () => (await published(b)).join() === own.join(), '20s')
  const later = '(extract(epoch from clock_timestamp()) * 1000000)::bigint'
  await foreign(c, 'insert', 3, 'elsewhere', later)
  await foreign(a, 'update', 1, 'too old', '1')
  await foreign(b, 'update', 2, 'newer', later)
  const expected = ['1 of c', '2 newer', '3 elsewhere']
  await cluster.until(async () => (await accounts(a)).join() === expected.join(), '20s')
  await cluster.crash(1)
  await foreign(b, 'delete', 3, null, later)
  await cluster.until(async () => (await accounts(b)).join() === '1 of c,2 newer', '60s')
  await cluster.restart(1)
  await cluster.until(async () => (await accounts(a)).join() === '1 of c,2 newer', '60s')
  assert.deepEqual(await published(c), own)
})
