/**
 * `npm run bench:pg`: this node against Debian's PostgreSQL 15 in one run, on the same two cores: pgbench, COPY, GROUP BY,
 * a five-table join, CREATE TABLE. Both sync every commit; PostgreSQL runs with the settings printed.
 *
 *   node bench/run.ts pg [--json] [--seconds N] [--scale N] [--only row,row]
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { Options, Report, startLattice } from './report.ts'

const root = resolve(import.meta.dirname, '..')
const bin = '/usr/lib/postgresql/15/bin'

interface Side {
  readonly name: string
  readonly port: number
  readonly user: string
  readonly database: string
}

const ours: Side = { name: 'latticedb', port: 7499, user: 'lattice', database: 'lattice' }
const theirs: Side = { name: 'postgresql-15', port: 7498, user: 'postgres', database: 'postgres' }

const peerSettings = [
  'shared_buffers=1GB',
  'max_wal_size=8GB',
  'checkpoint_timeout=30min',
  'work_mem=64MB',
  'effective_cache_size=8GB',
  'max_connections=100',
  'wal_compression=off',
  'jit=off',
  'listen_addresses=127.0.0.1',
  `port=${theirs.port}`,
  'fsync=on',
  'synchronous_commit=on',
  'autovacuum=on',
]

function asPostgres(command: string): void {
  if (process.getuid?.() === 0) execFileSync('su', ['postgres', '-s', '/bin/sh', '-c', command], { stdio: 'pipe' })
  else execFileSync('sh', ['-c', command], { stdio: 'pipe' })
}

function startPostgres(directory: string): () => void {
  mkdirSync(directory)
  if (process.getuid?.() === 0) {
    const uid = Number(execFileSync('id', ['-u', 'postgres']).toString())
    chownSync(directory, uid, uid)
  }
  asPostgres(`${bin}/initdb -D ${directory} --encoding=UTF8 --locale=C -A trust >/dev/null`)
  const options = peerSettings.map((s) => `-c ${s}`).join(' ')
  asPostgres(
    `taskset -c 0,1 ${bin}/pg_ctl -D ${directory} -w -l ${directory}/log -o "${options} -c unix_socket_directories=${directory}" start >/dev/null`,
  )
  return () => asPostgres(`${bin}/pg_ctl -D ${directory} -m immediate stop >/dev/null`)
}

function pgbench(side: Side, args: readonly string[]): string {
  return execFileSync(
    'taskset',
    ['-c', '0,1', 'pgbench', '-h', '127.0.0.1', '-p', String(side.port), '-U', side.user, ...args, side.database],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  ).toString()
}

function tps(side: Side, args: readonly string[]): number {
  const m = /tps = ([\d.]+) \(without/.exec(pgbench(side, ['-n', ...args]))
  if (m === null) throw new Error('pgbench printed no rate')
  return Number(m[1])
}

function psql(side: Side, args: readonly string[]): string {
  return execFileSync(
    'taskset',
    [
      '-c',
      '0,1',
      'psql',
      '-X',
      '-q',
      '-v',
      'ON_ERROR_STOP=1',
      '-h',
      '127.0.0.1',
      '-p',
      String(side.port),
      '-U',
      side.user,
      '-d',
      side.database,
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 28 },
  ).toString()
}

/** Neither side pays for what the other has left to write, vacuum or compact. */
function settle(report: Report): void {
  for (const side of [theirs, ours]) psql(side, ['-c', 'checkpoint'])
  execFileSync('sync')
  const ticks = () => readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/).slice(1).map(Number)
  for (let i = 0; i < 120; i++) {
    const before = ticks()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
    const spent = ticks().map((n, k) => n - before[k])
    // The fourth is idle, the fifth waits for disks.
    if (spent[3] + spent[4] > 0.9 * spent.reduce((sum, n) => sum + n, 0)) return
  }
  report.warn('the machine did not come to rest within a minute')
}

function millis(run: () => void): number {
  const before = performance.now()
  run()
  return performance.now() - before
}

async function connect(side: Side): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port: side.port, user: side.user, database: side.database })
  await client.connect()
  return client
}

async function queryMillis(side: Side, setup: string, sql: string): Promise<number> {
  const client = await connect(side)
  await client.query(setup)
  let out = Number.POSITIVE_INFINITY
  for (let i = 0; i < 5; i++) {
    const before = performance.now()
    await client.query(sql)
    out = Math.min(out, performance.now() - before)
  }
  await client.end()
  return out
}

const northwind = `
drop table if exists nw_order_details, nw_orders, nw_products, nw_customers, nw_categories;
create table nw_categories (category_id int primary key, category_name text not null);
create table nw_customers (customer_id int primary key, company_name text not null, country text not null);
create table nw_products (product_id int primary key, product_name text not null, category_id int not null, unit_price numeric(10,2) not null);
create table nw_orders (order_id int primary key, customer_id int not null, order_date date not null);
create table nw_order_details (order_id int not null, product_id int not null, unit_price numeric(10,2) not null, quantity int not null, primary key (order_id, product_id));
insert into nw_categories select i, 'category ' || i from generate_series(1, 8) i;
insert into nw_customers select i, 'company ' || i, 'country ' || i % 21 from generate_series(1, 9100) i;
insert into nw_products select i, 'product ' || i, i % 8 + 1, (i % 97) + 0.5 from generate_series(1, 7700) i;
insert into nw_orders select i, i % 9100 + 1, date '2020-01-01' + i % 700 from generate_series(1, 83000) i;
insert into nw_order_details select o, (o * 7 + k * 1009) % 7700 + 1, (o % 97) + 0.25, (o + k) % 50 + 1 from generate_series(1, 83000) o, generate_series(0, 2) k where o % 10 < 6 or k < 2;
analyze;`

const join5 = `select c.country, g.category_name, count(*), sum(d.unit_price * d.quantity) as revenue
from nw_order_details d join nw_orders o on o.order_id = d.order_id join nw_customers c on c.customer_id = o.customer_id
join nw_products p on p.product_id = d.product_id join nw_categories g on g.category_id = p.category_id
where o.order_date >= date '2020-06-01' group by c.country, g.category_name order by revenue desc`

const groupBy = 'select bid, count(*), sum(abalance), min(aid), max(aid) from pgbench_accounts group by bid'

function copyFile(path: string, rows: number): void {
  const filler = ' '.repeat(84)
  const parts: string[] = []
  for (let i = 1; i <= rows; i++) parts.push(`${i}\t${Math.floor((i - 1) / 100000) + 1}\t0\t${filler}\n`)
  writeFileSync(path, parts.join(''))
  chmodSync(path, 0o644)
}

async function createTables(side: Side): Promise<number> {
  const client = await connect(side)
  await client.query('drop schema if exists bench_ddl cascade')
  await client.query('create schema bench_ddl')
  for (let i = 0; i < 100; i++)
    await client.query(`create table bench_ddl.t${i} (id int primary key, a text not null, b int)`)
  const times: number[] = []
  for (let i = 100; i < 200; i++) {
    const before = performance.now()
    await client.query(`create table bench_ddl.t${i} (id int primary key, a text not null, b int)`)
    times.push(performance.now() - before)
  }
  await client.query('drop schema bench_ddl cascade')
  await client.end()
  return times.sort((a, b) => a - b)[50]
}

async function run(report: Report, options: Options): Promise<void> {
  if (!existsSync(`${bin}/postgres`)) {
    report.skip('pg', 'PostgreSQL 15 is not installed (apt-get install postgresql)')
    return
  }
  const directory = mkdtempSync('/tmp/bench-pg-')
  chmodSync(directory, 0o755)
  const node = await startLattice(root, join(directory, 'lattice'), ours.port)
  let stopPeer = () => {}
  const seconds = options.number('seconds', 15)
  const scale = options.number('scale', 10)
  const only = options.text('only')?.split(',')
  const wanted = (row: string) => only === undefined || only.includes(row)
  try {
    stopPeer = startPostgres(join(directory, 'pg'))
    const version = psql(theirs, ['-At', '-c', 'show server_version']).trim()
    report.note(`PostgreSQL ${version}: ${peerSettings.join(' ')}; read committed; fsync on`)
    report.note(
      `LatticeDB: defaults; read committed; every commit written with O_DSYNC before it is acknowledged; Node ${process.version}`,
    )
    report.note(`pgbench scale ${scale}, 32 clients, ${seconds} s a row; both pinned to cores 0,1 with their clients`)
    report.note(
      'before each side of rates and COPY (best of three, in turns) both make a checkpoint and the machine comes to rest',
    )
    for (const side of [theirs, ours]) pgbench(side, ['-i', '-q', '-s', String(scale)])
    const rate = (row: string, args: string[], floor: number | undefined) => {
      if (!wanted(row)) return
      const run = ['-c', '32', '-j', '2', '-T', String(seconds), ...args]
      for (const side of [theirs, ours]) tps(side, ['-c', '32', '-j', '2', '-T', '3', ...args])
      settle(report)
      const peer = tps(theirs, run)
      settle(report)
      const mine = tps(ours, run)
      if (floor !== undefined && peer < 0.8 * floor)
        report.warn(`${row}: PostgreSQL ran at ${peer.toFixed(0)}/s, below 80 % of its known ${floor}/s`)
      report.row({ bench: 'pg', row, ours: mine, peer, peerName: theirs.name, unit: 'tps', higherIsBetter: true })
    }
    rate('select-only-prepared', ['-S', '-M', 'prepared'], 38_000)
    rate('select-only-simple', ['-S', '-M', 'simple'], undefined)
    rate('tpcb-prepared', ['-M', 'prepared'], 4_400)
    if (wanted('copy')) {
      const file = join(directory, 'accounts.tsv')
      copyFile(file, 1_000_000)
      const load = (side: Side) => {
        psql(side, [
          '-c',
          'drop table if exists copied',
          '-c',
          'create table copied (aid int primary key, bid int, abalance int, filler char(84))',
        ])
        return millis(() => psql(side, ['-c', `\\copy copied from '${file}'`]))
      }
      let [peer, mine] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
      for (let i = 0; i < 3; i++) {
        settle(report)
        peer = Math.min(peer, load(theirs))
        settle(report)
        mine = Math.min(mine, load(ours))
      }
      report.row({
        bench: 'pg',
        row: 'copy-1m',
        ours: mine,
        peer,
        peerName: theirs.name,
        unit: 'ms',
        higherIsBetter: false,
      })
      for (const side of [theirs, ours]) psql(side, ['-c', 'drop table copied'])
    }
    if (wanted('group-by')) {
      for (const side of [theirs, ours]) psql(side, ['-c', 'analyze pgbench_accounts'])
      const mine = await queryMillis(ours, 'select 1', groupBy)
      const peer = await queryMillis(theirs, 'set max_parallel_workers_per_gather = 0', groupBy)
      const parallel = await queryMillis(theirs, 'set max_parallel_workers_per_gather = 2', groupBy)
      report.row({
        bench: 'pg',
        row: 'group-by-1m',
        ours: mine,
        peer,
        peerName: theirs.name,
        unit: 'ms',
        higherIsBetter: false,
      })
      report.row({
        bench: 'pg',
        row: 'group-by-1m-parallel',
        ours: mine,
        peer: parallel,
        peerName: `${theirs.name} (parallel)`,
        unit: 'ms',
        higherIsBetter: false,
      })
    }
    if (wanted('join')) {
      for (const side of [theirs, ours]) psql(side, ['-c', northwind])
      const peer = await queryMillis(theirs, 'set max_parallel_workers_per_gather = 0', join5)
      const mine = await queryMillis(ours, 'select 1', join5)
      report.row({
        bench: 'pg',
        row: 'join-5-tables',
        ours: mine,
        peer,
        peerName: theirs.name,
        unit: 'ms',
        higherIsBetter: false,
      })
    }
    if (wanted('create-table')) {
      const peer = await createTables(theirs)
      const mine = await createTables(ours)
      report.row({
        bench: 'pg',
        row: 'create-table-median',
        ours: mine,
        peer,
        peerName: theirs.name,
        unit: 'ms',
        higherIsBetter: false,
      })
    }
  } finally {
    await node.stop()
    stopPeer()
    rmSync(directory, { recursive: true, force: true })
  }
}

const options = new Options(process.argv.slice(2))
await run(new Report(options.has('json')), options)
