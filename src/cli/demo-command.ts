/**
 * `lattice demo`: a cluster on this host with the Chinook sample data (a music shop), and a shell when there is somebody
 * at a terminal.
 *
 *   --nodes 1      a node of its own, in this process, its data in DIR
 *   otherwise      processes, their data in DIR/node-N; ports count up from those given
 *
 * Data is kept between runs; the sample is loaded into an empty database only.
 *
 * Not here: the processes (demo-cluster.ts), the shell (sql-command.ts), the node (node/).
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Listr } from 'listr2'
import { DbError } from '../base/index.ts'
import { type NodeIo, nodeIo } from '../io/node/index.ts'
import { checkConfig, formatAddress, parseAddress, startNode } from '../node/index.ts'
import { DemoCluster } from './demo-cluster.ts'
import { demoCommand } from './demo-shell.ts'
import { loadSample } from './sample.ts'
import { runSql } from './sql-command.ts'
import { stopSignal } from './start-command.ts'
import { processScreen } from './terminal.ts'

export interface DemoOptions {
  readonly nodes: number
  readonly data: string
  readonly pg: string
  readonly http: string
  readonly peer: string
  readonly empty?: boolean
  /** commander's way to say --no-shell. */
  readonly shell: boolean
}

const mostNodes = 9

export async function runDemo(options: DemoOptions): Promise<void> {
  const { nodes, data } = options
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > mostNodes)
    throw new DbError('invalid_parameter_value', `--nodes must be a whole number from 1 to ${mostNodes}`)
  if (nodes === 1 && existsSync(join(data, 'node-1'))) {
    throw new DbError('object_not_in_prerequisite_state', `${data} holds a demo of several nodes`, {
      hint: 'Leave --nodes out, or name another directory with --data.',
    })
  }
  const io = nodeIo({ logLevel: 'warn' })
  if (nodes === 1) await runOne(io, options)
  else await runSeveral(io, options)
  await io.stop()
}

async function runOne(io: NodeIo, { data, pg, http, empty, shell }: DemoOptions): Promise<void> {
  const config = checkConfig({ data, pg, http, log: 'warn' }, 'the command line')
  const node = await startNode(config, { io })
  const url = `postgres://lattice@127.0.0.1:${node.pgPort}/lattice`
  if (empty !== true) await new Listr([sampleTask(io, url)], { concurrent: false }).run()
  const { write } = processScreen()
  write(
    [
      `LatticeDB serves PostgreSQL clients at ${url}`,
      `Health and metrics: http://127.0.0.1:${node.httpPort}/readyz and /metrics. Data: ${data}`,
      `Try: psql ${url} -c 'select name, title from artist join album using (artist_id) limit 5'`,
      '',
    ].join('\n'),
  )
  if (isInteractive(shell)) await runSql(url, {})
  else await stopSignal()
  await node.stop()
}

async function runSeveral(io: NodeIo, options: DemoOptions): Promise<void> {
  const { data, empty, shell } = options
  const first = {
    pg: parseAddress(options.pg, '--pg'),
    http: parseAddress(options.http, '--http'),
    peer: parseAddress(options.peer, '--peer'),
  }
  const cluster = await DemoCluster.plan(io, data, options.nodes, first)
  const stopped = stopSignal()
  const { write } = processScreen()
  try {
    const ended = await Promise.race([raise(io, cluster, empty === true).then(() => false), stopped.then(() => true)])
    if (ended) return
    write(greeting(cluster, data))
    if (isInteractive(shell)) {
      const commands = new Map([['\\demo', demoCommand(cluster, write)]])
      await Promise.race([runSql(`${cluster.url}?connect_timeout=3`, {}, commands), stopped])
    } else await stopped
  } finally {
    await cluster.stop()
  }
}

/** Brings the cluster up, saying how far it is. */
async function raise(io: NodeIo, cluster: DemoCluster, empty: boolean): Promise<void> {
  const steps = new Listr([
    {
      title: `Starting ${cluster.nodes.length} nodes`,
      task: (_context, task) => {
        for (const { number } of cluster.nodes) cluster.launch(number)
        return task.newListr(
          cluster.nodes.map(({ number, pg }) => ({
            title: `Node ${number} at ${formatAddress(pg)}`,
            task: () => cluster.ready(number),
          })),
          { concurrent: true },
        )
      },
    },
    { title: 'Copying everything to as many nodes as it is to be on', task: () => cluster.replicated() },
  ])
  if (!empty) steps.add(sampleTask(io, cluster.url))
  await steps.run()
}

function sampleTask(io: NodeIo, url: string) {
  return {
    title: 'Looking for data',
    task: async (_context: unknown, task: { title: string; output: string }) => {
      const began = io.clock.monotonicMicros()
      const loaded = await loadSample(io, url, () => {
        task.title = 'Loading the sample data'
      })
      const seconds = ((io.clock.monotonicMicros() - began) / 1e6).toFixed(1)
      task.title = loaded ? `Loading the sample data took ${seconds} s` : 'The data is there'
    },
  }
}

function isInteractive(shell: boolean): boolean {
  return shell && process.stdin.isTTY === true
}

function greeting(cluster: DemoCluster, data: string): string {
  const [{ pg, http }] = cluster.nodes
  return [
    `LatticeDB serves PostgreSQL clients at ${cluster.url}`,
    `Each node serves all of it: psql -h ${pg.host} -p ${pg.port} -U lattice lattice`,
    `Health, metrics and status of node 1: http://${formatAddress(http)}/readyz, /metrics, /status. Data: ${data}`,
    `Try: \\demo kill 1, then select name, title from artist join album using (artist_id) limit 5;`,
    '',
  ].join('\n')
}
