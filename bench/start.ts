/**
 * `npm run bench:start`: start to ready on an empty directory, recovery of 300,000 rows that only the log holds, and
 * memory of an idle node.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import pg from 'pg'
import { Options, Report, startLattice } from './report.ts'

const root = resolve(import.meta.dirname, '..')
const port = 7497

/** Resident set in MiB. */
function resident(pid: number): number {
  const m = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(m?.[1] ?? 0) / 1024
}

async function run(report: Report, options: Options): Promise<void> {
  const rows = options.number('rows', 300_000)
  const directory = mkdtempSync('/tmp/bench-start-')
  try {
    const times: number[] = []
    for (let i = 0; i < 5; i++) {
      const node = await startLattice(root, join(directory, `empty${i}`), port)
      times.push(node.millis)
      await node.stop()
    }
    report.row({
      bench: 'start',
      row: 'empty-to-ready',
      ours: times.sort((a, b) => a - b)[2],
      peer: 700,
      peerName: 'bar',
      unit: 'ms',
      higherIsBetter: false,
    })
    const data = join(directory, 'recover')
    // The failpoint keeps memtables from being written to tables, so that all rows are in the log alone.
    const held = { LATTICE_FAILPOINTS: 'hold-flush' }
    let node = await startLattice(root, data, port, held)
    await fill(rows)
    await node.kill()
    node = await startLattice(root, data, port, held)
    const client = await connect()
    const count = Number((await client.query('select count(*) from recovered')).rows[0].count)
    await client.end()
    if (count !== rows) throw new Error(`${count} of ${rows} rows came back`)
    report.row({
      bench: 'start',
      row: 'recovery-300k-rows',
      ours: node.millis,
      peer: 3000,
      peerName: 'bar',
      unit: 'ms',
      higherIsBetter: false,
    })
    await node.stop()
    node = await startLattice(root, join(directory, 'idle'), port)
    await (await connect()).end()
    await new Promise((r) => setTimeout(r, 3000))
    report.row({
      bench: 'start',
      row: 'idle-memory',
      ours: resident(node.pid),
      peer: 180,
      peerName: 'bar',
      unit: 'MiB',
      higherIsBetter: false,
    })
    await node.stop()
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'lattice', database: 'lattice' })
  await client.connect()
  return client
}

async function fill(rows: number): Promise<void> {
  const client = await connect()
  await client.query('create table recovered (id int primary key, name text, value int)')
  for (let from = 1; from <= rows; from += 10_000) {
    await client.query(
      `insert into recovered select i, 'row number ' || i, i % 1000 from generate_series(${from}, ${Math.min(rows, from + 9_999)}) i`,
    )
  }
  await client.end()
}

const options = new Options(process.argv.slice(2))
await run(new Report(options.has('json')), options)
