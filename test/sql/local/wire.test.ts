/** Local tables over the wire, through the node's HTTP port, across restarts, and at the nodes of a cluster. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import pg from 'pg'
import { nodeIo } from '../../../src/io/node/index.ts'
import { checkConfig } from '../../../src/node/config.ts'
import { startNode } from '../../../src/node/index.ts'
import { sim } from '../../../src/testing/index.ts'

const directory = mkdtempSync(join(tmpdir(), 'lattice-local-'))
test.after(() => rmSync(directory, { recursive: true, force: true }))

test('a node: PostgreSQL clients and HTTP see the same, also after a restart', async () => {
  const io = nodeIo({ logLevel: 'error' })
  const config = checkConfig({ data: join(directory, 'node'), pg: '127.0.0.1:0', http: '127.0.0.1:0' }, 'the test')
  const life = async (
    run: (client: pg.Client, http: (path: string, body?: unknown) => Promise<any>) => Promise<void>,
  ) => {
    const node = await startNode(config, { io })
    const client = new pg.Client({ host: '127.0.0.1', port: node.pgPort, user: 'lattice', database: 'lattice' })
    await client.connect()
    const http = async (path: string, body?: unknown) => {
      const init =
        body === undefined
          ? {}
          : { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
      const response = await fetch(`http://127.0.0.1:${node.httpPort}${path}`, init)
      assert.ok(response.ok, `${path}: ${response.status}`)
      return response.json()
    }
    await run(client, http)
    await client.end()
    await node.stop()
  }
  await life(async (client, http) => {
    await client.query(`create table orders (customer text, cents int) with (replication = 'local');
      create materialized view per_customer with (continuous) as select customer, count(*) n, sum(cents) cents from orders group by customer;
      create table todo (id text primary key, title text, votes int) with (replication = local, "merge.votes" = 'counter')`)
    const { rows } = await client.query(`insert into orders (customer, cents) values ('ada', 500) returning key`)
    const { keys } = await http('/db/orders/e', { customer: 'ada', cents: 100 })
    const page = await http('/db/orders/e?lc=0')
    assert.deepEqual(
      page.events.map((e: any) => e.key),
      [rows[0].key, keys[0]],
    )
    await client.query(`insert into todo values ('a', 'milk', 1)`)
    const notices: string[] = []
    client.on('notice', (n) => notices.push(n.message ?? ''))
    await client.query('refresh materialized view per_customer')
    assert.match(notices[0], /kept up to date/)
  })
  await life(async (client, http) => {
    await client.query(`update todo set votes = votes + 1 where id = 'a'`)
    assert.deepEqual((await client.query('select * from todo')).rows, [{ id: 'a', title: 'milk', votes: 2 }])
    assert.deepEqual((await client.query('select * from per_customer')).rows, [
      { customer: 'ada', n: '2', cents: '600' },
    ])
    const view = await http('/db/orders/v/per_customer?key=ada')
    assert.deepEqual(view.value ?? view, { customer: 'ada', n: 2, cents: 600 })
    const copied = await client.query('select count(*)::int as n from orders where key >= $1', ['0'])
    assert.deepEqual(copied.rows, [{ n: 2 }])
  })
  await io.stop()
})

test(
  'nodes of a cluster write each to its own store, alone too, and end with the same rows',
  sim({ nodes: 3, seeds: 2 }, async (cluster) => {
    const [a, b] = [cluster.connect(1), cluster.connect(2)]
    await a.query(
      `create table todo (id text primary key, votes int) with (replication = local, "merge.votes" = 'counter')`,
    )
    await a.query('create table done (id int primary key)')
    await a.query(`insert into todo values ('a', 1)`)
    const votes = async (node: typeof a) =>
      (await node.query<{ votes: number }>('select votes from todo')).rows[0]?.votes
    await cluster.until(async () => (await votes(b)) === 1)
    for (const [i, node] of [a, b].entries()) {
      await node.transaction(async (tx) => {
        await tx.sql`update todo set votes = votes + 10`
        await tx.sql`insert into done values (${i})`
      })
    }
    await a.query('create table sold (item text, n int) with (replication = local)')
    await a
      .query(
        `create materialized view per_item with (continuous) as select item, sum(n)::int as n from sold group by item`,
      )
      .then(
        () => assert.fail('an expression over an aggregate is none'),
        (error) => assert.equal(error.code, 'feature_not_supported'),
      )
    await a.query(
      'create materialized view per_item with (continuous) as select item, sum(n) as n from sold group by item',
    )
    for (const node of [a, b]) await node.query(`insert into sold (item, n) values ('tea', 2)`)
    const sold = async (node: typeof a) =>
      Number((await node.query<{ n: number }>('select n from per_item')).rows[0]?.n)
    await cluster.until(async () => (await sold(a)) === 4 && (await sold(b)) === 4)
    const cut = cluster.partition([1], [2, 3])
    await a.query('update todo set votes = votes + 100')
    assert.ok((await votes(a))! >= 111)
    cut.heal()
    await cluster.until(async () => (await votes(a)) === 121 && (await votes(b)) === 121)
  }),
)
