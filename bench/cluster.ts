/**
 * `npm run bench:cluster`: three of our nodes beside three etcd nodes in one run, each client at a gateway drawn at
 * random: durable writes of one row by key, and linearizable reads of one. Then TPC-B by pgbench through three gateways
 * beside one node of its own, and where the time goes.
 *
 *   node bench/run.ts cluster [--clients 64] [--seconds 10] [--rows 10000] [--scale 3] [--only kv|tpcb] [--json]
 *
 * All nodes and all clients share this machine.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { type NodeProcess, startNode, statusOf } from '../test/cluster/node-process.ts'
import { connect, ProcessCluster, until } from '../test/cluster/process-cluster.ts'
import { etcdClient, startEtcd } from './etcd.ts'
import { Options, Report } from './report.ts'

const options = new Options(process.argv.slice(2))
const report = new Report(options.has('json'))
const clients = options.number('clients', 64)
const seconds = options.number('seconds', 10)
const rows = options.number('rows', 10_000)
const wanted = (part: string) => (options.text('only') ?? part) === part

/** CPU seconds that a process has used. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

interface Rate {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

/** Each worker calls again and again; answers what they reached together. */
async function measure(workers: readonly ((key: number) => Promise<unknown>)[], length = seconds): Promise<Rate> {
  const times: number[] = []
  const began = performance.now()
  const end = began + length * 1000
  await Promise.all(
    workers.map(async (work) => {
      for (;;) {
        const before = performance.now()
        if (before >= end) return
        await work(1 + Math.floor(Math.random() * rows))
        times.push(performance.now() - before)
      }
    }),
  )
  const perSecond = times.length / ((performance.now() - began) / 1000)
  times.sort((a, b) => a - b)
  return { perSecond, p50: times[times.length >> 1], p99: times[Math.floor(times.length * 0.99)] }
}

const any = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]

async function keyValue(cluster: ProcessCluster, directory: string): Promise<void> {
  const etcd = await startEtcd(directory, 3)
  if (etcd === undefined) return report.skip('cluster', 'etcd is not installed (apt-get install etcd-server)')
  try {
    await until('etcd to lead', 20_000, async () => {
      const one = await etcdClient(etcd.addresses[0])
      await one.put('ready', 'yes').finally(() => one.close())
      return true
    })
    report.note(`etcd ${etcd.version}, its defaults; ${clients} clients; keys of ${rows} rows; ${seconds} s a row`)
    const nodes = [1, 2, 3].map((n) => cluster.node(n))
    const ours = await Promise.all(Array.from({ length: clients }, () => connect(any(nodes))))
    const theirs = await Promise.all(Array.from({ length: clients }, () => etcdClient(any(etcd.addresses))))
    const filler = 'x'.repeat(64)
    await ours[0].query('create table kv (k int primary key, v text not null)')
    await ours[0].query('insert into kv select i, $1 from generate_series(1, $2::int) i', [filler, rows])
    await Promise.all(
      theirs.map(async (c, i) => {
        for (let k = 1 + i; k <= rows; k += theirs.length) await c.put(`k${k}`, filler)
      }),
    )
    const compare = async (
      row: string,
      mine: (client: pg.Client) => (key: number) => Promise<unknown>,
      other: (client: (typeof theirs)[number]) => (key: number) => Promise<unknown>,
    ) => {
      const ourWork = ours.map(mine)
      const theirWork = theirs.map(other)
      await measure(ourWork, 2)
      await measure(theirWork, 2)
      const peer = await measure(theirWork)
      const before = nodes.map(({ pid }) => cpuSeconds(pid))
      const own = process.cpuUsage()
      const rate = await measure(ourWork)
      const client = process.cpuUsage(own)
      report.row({
        bench: 'cluster',
        row,
        ours: rate.perSecond,
        peer: peer.perSecond,
        peerName: `etcd-${etcd.version}`,
        unit: '1/s',
        higherIsBetter: true,
      }) // prettier-ignore
      const used = nodes.map(({ pid }, i) => ((cpuSeconds(pid) - before[i]) / seconds).toFixed(2)).join(', ')
      const mineUsed = ((client.user + client.system) / 1e6 / seconds).toFixed(2)
      report.note(
        `ours p50 ${rate.p50.toFixed(1)} ms, p99 ${rate.p99.toFixed(1)} ms; etcd p50 ${peer.p50.toFixed(1)} ms, p99 ${peer.p99.toFixed(1)} ms`,
      ) // prettier-ignore
      report.note(`cores used: nodes ${used}; clients ${mineUsed}`)
    }
    const update = 'update kv set v = $2 where k = $1'
    await compare(
      'write-by-key',
      (c) => (k) => c.query({ name: 'write', text: update, values: [k, filler] }),
      (c) => (k) => c.put(`k${k}`, filler),
    )
    let fresh = rows
    await compare(
      'insert',
      (c) => () => c.query({ name: 'insert', text: 'insert into kv values ($1, $2)', values: [++fresh, filler] }),
      (c) => () => c.put(`k${++fresh}`, filler),
    )
    await compare(
      'linearizable-read',
      (c) => (k) => c.query({ name: 'read', text: 'select v from kv where k = $1', values: [k] }),
      (c) => (k) => c.range(`k${k}`),
    )
    for (const c of ours) await c.end()
    for (const c of theirs) c.close()
  } finally {
    await etcd.stop()
  }
}

function pgbench(node: NodeProcess, args: readonly string[]): Promise<string> {
  const words = ['-h', node.host, '-p', String(node.pgPort), '-U', 'lattice', ...args, 'lattice']
  const child = spawn('pgbench', words, { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (out += chunk))
  return new Promise((done, fail) => {
    child.once('error', fail)
    child.once('close', (status) => (status === 0 ? done(out) : fail(new Error(`pgbench: ${out}`))))
  })
}

interface Books {
  readonly tps: number
  readonly cores: readonly number[]
  readonly syncsPerCommit: number
}

/** pgbench's tables, filled in transactions of a few thousand rows. */
async function fill(node: NodeProcess, scale: number): Promise<void> {
  await pgbench(node, ['-i', '-q', '-I', 'dtp', '-s', String(scale)])
  const client = await connect(node)
  await client.query('insert into pgbench_branches select b, 0 from generate_series(1, $1::int) b', [scale])
  await client.query('insert into pgbench_tellers select t, (t - 1) / 10 + 1, 0 from generate_series(1, $1::int) t', [
    10 * scale,
  ])
  const accounts = `insert into pgbench_accounts select a, (a - 1) / 100000 + 1, 0, '' from generate_series($1::int, $2::int) a`
  for (let from = 1; from <= 100_000 * scale; from += 5_000) await client.query(accounts, [from, from + 4_999])
  await client.end()
}

/** TPC-B through all the nodes at once, the clients shared out among them. */
async function tpcb(nodes: readonly NodeProcess[]): Promise<Books> {
  await fill(nodes[0], options.number('scale', 3))
  const each = String(Math.max(1, Math.round(30 / nodes.length)))
  const run = (length: number) =>
    Promise.all(
      nodes.map((n) => pgbench(n, ['-n', '-M', 'prepared', '-c', each, '-T', String(length), '--max-tries=100'])),
    )
  await run(3)
  const before = nodes.map(({ pid }) => cpuSeconds(pid))
  const syncs = async () => {
    const all = await Promise.all(nodes.map((n) => statusOf(n)))
    return all.reduce((sum, s) => sum + s.log.groups, 0)
  }
  const syncsBefore = await syncs()
  const outs = await run(seconds)
  const tps = outs.reduce((sum, out) => sum + Number(/tps = ([\d.]+) \(without/.exec(out)?.[1] ?? 0), 0)
  const cores = nodes.map(({ pid }, i) => (cpuSeconds(pid) - before[i]) / seconds)
  return { tps, cores, syncsPerCommit: ((await syncs()) - syncsBefore) / (tps * seconds) }
}

async function books(cluster: ProcessCluster, directory: string): Promise<void> {
  const three = await tpcb([1, 2, 3].map((n) => cluster.node(n)))
  // Idle nodes still talk to each other: the single node has the machine to itself.
  await cluster.end()
  const alone = await startNode(join(directory, 'alone'))
  const one = await tpcb([alone])
  await alone.end('SIGTERM')
  report.row({
    bench: 'cluster',
    row: 'tpcb-3-nodes',
    ours: three.tps,
    peer: one.tps,
    peerName: 'one node',
    unit: 'tps',
    higherIsBetter: true,
  }) // prettier-ignore
  const shown = ({ cores, syncsPerCommit }: Books) =>
    `cores used ${cores.map((c) => c.toFixed(2)).join(', ')}; ${syncsPerCommit.toFixed(2)} syncs a commit`
  report.note(`three nodes: ${shown(three)}`)
  report.note(`one node: ${shown(one)}`)
}

const directory = mkdtempSync('/tmp/bench-cluster-')
const cluster = new ProcessCluster(join(directory, 'nodes'))
try {
  await cluster.form()
  if (wanted('kv')) await keyValue(cluster, directory)
  if (wanted('tpcb')) await books(cluster, directory)
} finally {
  await cluster.close()
  rmSync(directory, { recursive: true, force: true })
}
