/**
 * Two databases that know nothing of each other but an address: a table of each publishes its changes and applies those of
 * the other, over HTTP between two processes, also when one of them is killed meanwhile.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import pg from 'pg'
import { type NodeProcess, startNode } from '../cluster/node-process.ts'
import { ask, post } from './port.ts'

const root = mkdtempSync(join(tmpdir(), 'lattice-event-bridge-'))
const running = new Set<NodeProcess>()
after(async () => {
  for (const node of running) await node.end('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

async function start(name: string): Promise<NodeProcess> {
  const node = await startNode(join(root, name))
  running.add(node)
  return node
}

async function kill(node: NodeProcess): Promise<void> {
  await node.end('SIGKILL')
  running.delete(node)
}

/** One statement, or several, on a connection of its own. */
async function sql(node: NodeProcess, text: string): Promise<any[]> {
  const client = new pg.Client({ connectionString: node.url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

const changesOf = (node: NodeProcess) => `http://127.0.0.1:${node.httpPort}/db/account_changes`
const accounts = (node: NodeProcess) => sql(node, 'select id, name, cents from account order by id')
const known = async (node: NodeProcess): Promise<number> => (await ask(changesOf(node))).body.count

/** Each look costs some round trips to both processes, so this ends when they do not come to it. */
async function alike(a: NodeProcess, b: NodeProcess, rows: unknown[]): Promise<void> {
  for (let i = 0; ; i++) {
    const [mine, theirs] = [await accounts(a), await accounts(b)]
    if (JSON.stringify(mine) === JSON.stringify(rows) && JSON.stringify(theirs) === JSON.stringify(rows)) return
    if (i === 3_000) assert.deepEqual([mine, theirs], [rows, rows])
  }
}

/** What would go round would be published again; each of these has a change behind it that both sides have applied. */
async function nothingWentRound(a: NodeProcess, b: NodeProcess, changes: number): Promise<void> {
  for (let i = 0; i < 3_000 && ((await known(a)) < changes || (await known(b)) < changes); i++);
  assert.deepEqual([await known(a), await known(b)], [changes, changes])
}

test('tables of two processes that meet over HTTP end alike, and nothing goes round, also after a kill', async () => {
  const table = `create table account (id int primary key, name text, cents bigint)
    with ("publish.to" = 'account_changes', "apply.from" = 'account_changes')`
  const a = await start('a')
  let b = await start('b')
  await sql(a, table)
  await sql(a, `insert into account values (1, 'ada', 9007199254740993), (2, 'bob', 2), (3, 'cy', 3)`)
  await sql(b, table)
  const linked = await post(`${changesOf(b)}/sync`, { peer: changesOf(a), live: true })
  assert.equal(linked.status, 202)
  const row = (id: number, name: string, cents: string) => ({ id, name, cents })
  await alike(a, b, [row(1, 'ada', '9007199254740993'), row(2, 'bob', '2'), row(3, 'cy', '3')])
  await nothingWentRound(a, b, 3)

  // Back, and both ways at once.
  await sql(b, `update account set name = 'of b' where id = 1`)
  await Promise.all([
    sql(a, `insert into account values (4, 'of a', 4)`),
    sql(b, `delete from account where id = 2; insert into account values (5, 'of b', 5)`),
  ])
  const both = [row(1, 'of b', '9007199254740993'), row(3, 'cy', '3'), row(4, 'of a', '4'), row(5, 'of b', '5')]
  await alike(a, b, both)
  await nothingWentRound(a, b, 7)

  // While one is down the other goes on; what was committed there is not lost, and the link is there again.
  await sql(b, `update account set cents = 55 where id = 5`)
  await kill(b)
  await sql(a, `update account set cents = 44 where id = 4; delete from account where id = 3`)
  b = await start('b')
  await alike(a, b, [row(1, 'of b', '9007199254740993'), row(4, 'of a', '44'), row(5, 'of b', '55')])
  await nothingWentRound(a, b, 10)
  await sql(b, `delete from account`)
  await alike(a, b, [])
  await nothingWentRound(a, b, 13)
})
