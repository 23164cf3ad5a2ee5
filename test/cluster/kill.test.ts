/**
 * kill -9 under load: the node starts again, every acknowledged transaction is there, the books balance, and nobody saw
 * an error but the loss of the connection.
 *
 *   KILLS=20 node --test test/cluster/kill.test.ts      (three kills without it)
 *
 * pgbench, where it is installed, plays its TPC-B transactions; its log has a line for each that was acknowledged.
 * Beside it connections of node-postgres insert numbered rows and move money, remembering what was acknowledged.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import pg from 'pg'
import { type NodeProcess, startNode, statusOf } from './node-process.ts'

const kills = Number(process.env.KILLS ?? 3)
const seed = Number(process.env.SEED ?? 1)
const directory = mkdtempSync(join(tmpdir(), 'lattice-kill-'))
const pgbench = spawnSync('pgbench', ['--version']).status === 0
const strace = spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0
const running: NodeProcess[] = []

after(async () => {
  for (const node of running) await node.end('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})

async function start(data: string, options = {}): Promise<NodeProcess> {
  const node = await startNode(join(directory, data), options)
  running.push(node)
  return node
}

async function connect(node: NodeProcess): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: node.url })
  client.on('error', () => {}) // the loss of an idle connection: the writers notice it themselves
  await client.connect()
  return client
}

const lost = (error: any) =>
  error.code === '57P01' || /Connection terminated|ECONNRESET|EPIPE|ECONNREFUSED|not queryable/.test(error.message)
const retry = new Set(['40001', '40P01'])

/** Rows (writer, n) that were acknowledged, and errors that nobody should see. */
class Ledger {
  readonly acknowledged: number[] = []
  readonly errors: unknown[] = []

  /** Numbered rows and transfers on one connection, until it is lost. */
  async write(node: NodeProcess, writer: number): Promise<void> {
    const client = await connect(node)
    try {
      for (;;) {
        const n = this.acknowledged[writer] ?? 0
        try {
          await client.query('begin')
          await client.query('insert into ledger values ($1, $2)', [writer, n])
          await client.query('update purse set amount = amount - 1 where id = $1', [(n * 7 + writer) % 20])
          await client.query('update purse set amount = amount + 1 where id = $1', [(n * 3 + seed) % 20])
          await client.query('commit')
          this.acknowledged[writer] = n + 1
        } catch (error) {
          if (lost(error)) return
          if (!retry.has((error as { code: string }).code)) throw error
          await client.query('rollback')
        }
      }
    } catch (error) {
      if (!lost(error)) this.errors.push(error)
    } finally {
      await client.end().catch(() => {})
    }
  }

  /** What was in flight at the kill may be there or not; the writer goes on behind it. */
  async check(client: pg.Client): Promise<void> {
    const { rows } = await client.query(
      'select writer, count(*)::int as count, max(n) as newest from ledger group by writer',
    )
    assert.deepEqual(this.errors, [])
    for (const { writer, count, newest } of rows) {
      const told = this.acknowledged[writer] ?? 0
      assert.equal(count, newest + 1, `no hole in the rows of writer ${writer}`)
      assert.ok(count === told || count === told + 1, `writer ${writer}: ${told} acknowledged, ${count} there`)
      this.acknowledged[writer] = count
    }
    for (const [writer, told] of this.acknowledged.entries()) {
      if (told > 0)
        assert.ok(
          rows.some((r) => r.writer === writer),
          `${told} rows of writer ${writer} are lost`,
        )
    }
    assert.equal((await client.query('select sum(amount)::int as sum from purse')).rows[0].sum, 20_000)
  }
}

/** A run of pgbench that ends when the node is killed: its output and how many transactions were acknowledged. */
function runPgbench(node: NodeProcess, clients: number): Promise<{ acknowledged: number; output: string }> {
  const prefix = join(directory, 'pgbench')
  const args = [
    '-h',
    '127.0.0.1',
    '-p',
    String(node.pgPort),
    '-U',
    'lattice',
    '-n',
    '-M',
    'prepared',
    '-c',
    String(clients),
    '-T',
    '600',
    '--max-tries=100',
    '-l',
    '--log-prefix',
    prefix,
    '--random-seed',
    String(seed),
    'lattice',
  ]
  const child = spawn('pgbench', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  return new Promise((done) => {
    child.once('close', () => {
      let acknowledged = 0
      for (const name of readdirSync(directory)) {
        if (!name.startsWith('pgbench.')) continue
        acknowledged += readFileSync(join(directory, name), 'utf8')
          .split('\n')
          .filter((l) => l !== '').length
        rmSync(join(directory, name))
      }
      done({ acknowledged, output })
    })
  })
}

async function checkBooks(client: pg.Client, least: number, most: number): Promise<number> {
  const { rows } = await client.query(`select (select sum(abalance) from pgbench_accounts) as accounts,
    (select sum(bbalance) from pgbench_branches) as branches, (select sum(tbalance) from pgbench_tellers) as tellers,
    (select coalesce(sum(delta), 0) from pgbench_history) as history, (select count(*) from pgbench_history)::int as count,
    (select count(*) from pgbench_accounts)::int as n`)
  const { accounts, branches, tellers, history, count, n } = rows[0]
  assert.equal(n, 100_000)
  assert.deepEqual([accounts, branches, tellers], [history, history, history])
  assert.ok(count >= least && count <= most, `${least} to ${most} transactions are due, ${count} are there`)
  return count
}

test('kill -9 loses nothing that was acknowledged', { timeout: 120_000 + kills * 20_000 }, async () => {
  let node = await start('killed')
  const clients = 8
  const first = await connect(node)
  await first.query('create table ledger (writer int, n int, primary key (writer, n))')
  await first.query('create table purse (id int primary key, amount int not null)')
  await first.query('insert into purse select i, 1000 from generate_series(0, 19) i')
  await first.end()
  if (pgbench) {
    const made = spawnSync(
      'pgbench',
      ['-h', '127.0.0.1', '-p', String(node.pgPort), '-U', 'lattice', '-i', '-s', '1', '-q', 'lattice'],
      { encoding: 'utf8' },
    )
    assert.equal(made.status, 0, made.stderr)
  }
  const ledger = new Ledger()
  let history = 0
  for (let kill = 0; kill < kills; kill++) {
    const bench = pgbench ? runPgbench(node, clients) : undefined
    const before = ledger.acknowledged.reduce((sum, n) => sum + n, 0)
    const commits = async () => Number((await statusOf(node)).transactions.commits)
    const due = 400 + 300 * (kill % 4) + (await commits())
    const writers = [0, 1, 2, 3].map((w) => ledger.write(node, w))
    while ((await commits()) < due || ledger.acknowledged.reduce((sum, n) => sum + n, 0) < before + 50) {
      assert.deepEqual(ledger.errors, [])
    }
    await node.end('SIGKILL')
    await Promise.all(writers)
    const result = await bench
    if (result !== undefined) assert.doesNotMatch(result.output, /ERROR|PANIC|XX\d\d\d/, result.output)
    node = await start('killed')
    const client = await connect(node)
    await ledger.check(client)
    if (result !== undefined)
      history = await checkBooks(client, history + result.acknowledged, history + result.acknowledged + clients)
    await client.end()
  }
  assert.equal(await node.end('SIGTERM'), 0)
})

test('one durable write for each group of commits', {
  skip: strace ? false : 'no strace here',
  timeout: 60_000,
}, async () => {
  const trace = join(directory, 'trace')
  const calls = 'trace=openat,pwrite64,fdatasync,fsync'
  const node = await start('traced', { under: ['strace', '-f', '-y', '-s', '1', '-e', calls, '-o', trace] })
  const clients = await Promise.all(Array.from({ length: 8 }, () => connect(node)))
  await clients[0].query('create table t (a int primary key)')
  const before = (await statusOf(node)).log
  for (let i = 0; i < 20; i++) await clients[0].query('insert into t values ($1)', [i])
  const alone = (await statusOf(node)).log
  assert.equal(alone.groups - before.groups, 20, 'each commit of a lone client is made durable by itself')
  await Promise.all(
    clients.map(async (client, c) => {
      for (let i = 0; i < 25; i++) await client.query('insert into t values ($1)', [1000 * (c + 1) + i])
    }),
  )
  const together = (await statusOf(node)).log
  assert.ok(
    together.groups - alone.groups < 200,
    `${together.groups - alone.groups} writes for 200 commits of eight clients`,
  )
  await Promise.all(clients.map((client) => client.end()))
  const last = (await statusOf(node)).log
  await node.end('SIGTERM')
  const lines = readFileSync(trace, 'utf8').split('\n')
  // Segments are filled through descriptors of their own; a header stands at their beginning.
  const writes = lines.flatMap((l) => [...l.matchAll(/pwrite64\(\d+<[^>]*\.log>, .*, (\d+), (\d+)(?:\)| <unfin)/g)])
  const groups = writes.filter(([, length, at]) => at !== '0' && length !== '1048576').length
  const durable = lines.filter((l) => /openat\(.*\.log".*O_DSYNC/.test(l)).length
  assert.ok(
    durable > 0 && durable === lines.filter((l) => /openat\(.*\.log".*O_RDWR\|O_(DSYNC|CLOEXEC)/.test(l)).length,
  )
  assert.ok(groups >= last.groups && groups <= last.groups + 2, `${groups} writes for ${last.groups} groups`)
})
