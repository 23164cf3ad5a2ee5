/**
 * A cluster of real processes on this host, each node with ports that it keeps over restarts. Nodes say of themselves
 * that they are on hosts of their own.
 */
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { type NodeProcess, startNode, statusOf } from './node-process.ts'

export interface NodeOptions {
  readonly host?: string
  readonly under?: readonly string[]
  readonly args?: readonly string[]
  /** Port on this host at which the other nodes are to reach it, given the one that it listens on. */
  readonly advertise?: (listens: number) => Promise<number>
  readonly data?: string
}

const readyMs = 20_000

export class ProcessCluster {
  readonly directory: string
  /** By the number they were started under; a node that is not running keeps its last process. */
  readonly nodes = new Map<number, NodeProcess>()
  readonly #ports = new Map<number, { peer: number; pg: number }>()
  readonly #options = new Map<number, NodeOptions>()
  readonly #advertised = new Map<number, number | undefined>()
  readonly #started: NodeProcess[] = []

  constructor(directory: string) {
    this.directory = directory
  }

  /** Nodes 1 to `count`, everything copied to all of three. */
  async form(count = 3, options: (number: number) => NodeOptions = () => ({})): Promise<void> {
    for (let number = 1; number <= count; number++) {
      this.#options.set(number, options(number))
      await this.start(number, number === 1 ? [] : [1])
    }
    await this.replicated(Math.min(count, 3))
  }

  node(number: number): NodeProcess {
    return this.nodes.get(number)!
  }

  /** Where the others reach it. */
  peerAddress(number: number): string {
    const advertised = this.#advertised.get(number)
    return advertised === undefined ? this.#listenAddress(number) : `127.0.0.1:${advertised}`
  }

  #listenAddress(number: number): string {
    return `${this.#options.get(number)?.host ?? '127.0.0.1'}:${this.#ports.get(number)!.peer}`
  }

  dataOf(number: number): string {
    return this.#options.get(number)?.data ?? join(this.directory, `node-${number}`)
  }

  /** Starts a node, or starts it again; joins through others when its directory is empty. */
  async start(number: number, join: readonly number[] = [], more: NodeOptions = {}): Promise<NodeProcess> {
    const options = { ...this.#options.get(number), ...more }
    this.#options.set(number, options)
    if (!this.#ports.has(number)) this.#ports.set(number, { peer: await freePort(), pg: await freePort() })
    const { pg: pgPort } = this.#ports.get(number)!
    this.#advertised.set(
      number,
      this.#advertised.get(number) ?? (await options.advertise?.(this.#ports.get(number)!.peer)),
    )
    const advertised = this.#advertised.get(number)
    const advertise = advertised === undefined ? [] : ['--advertise', `127.0.0.1:${advertised}`]
    const joins = join.length === 0 ? [] : ['--join', join.map((n) => this.peerAddress(n)).join(',')]
    const node = await startNode(this.dataOf(number), {
      host: options.host,
      under: options.under,
      pgPort,
      args: [
        '--peer',
        this.#listenAddress(number),
        '--locality',
        `host=h${number}`,
        '--node-id',
        String(number),
        ...joins,
        ...advertise,
        ...(options.args ?? []),
      ],
    })
    this.nodes.set(number, node)
    this.#started.push(node)
    return node
  }

  /** Waits until every partition has so many replicas and a leader. */
  async replicated(count: number): Promise<void> {
    await until(`${count} replicas of everything`, readyMs, async () => {
      for (const node of this.nodes.values()) {
        if (node.child.exitCode !== null || node.child.signalCode !== null) continue
        const { partitions } = await statusOf(node)
        if (!partitions.every((p: any) => p.replicas.length >= count && p.leader !== 0)) return false
      }
      return true
    })
  }

  /** Which node leads the first partition, as a running node tells. */
  async leader(asked: number): Promise<number> {
    let leader = 0
    await until('a leader', readyMs, async () => {
      const { partitions } = await statusOf(this.node(asked))
      leader = partitions[0]?.leader ?? 0
      return leader !== 0
    })
    return leader
  }

  /** Kills all nodes. */
  async end(): Promise<void> {
    for (const node of this.#started) {
      if (node.child.exitCode === null && node.child.signalCode === null) signal(node, 'SIGCONT')
    }
    await Promise.all(this.#started.map((node) => node.end('SIGKILL')))
  }

  /** Kills all nodes and removes what they wrote. Writers that a failed test has left behind find no node any more, and end. */
  async close(): Promise<void> {
    await this.end()
    this.nodes.clear()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

export function signal(node: NodeProcess, name: NodeJS.Signals): void {
  process.kill(node.pid, name)
}

export async function connect(node: NodeProcess): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: node.url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {}) // the loss of an idle connection: whoever uses it notices
  await client.connect()
  return client
}

/** Asks again and again; an error counts as no. Raises when the time is over. */
export async function until(what: string, ms: number, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + ms
  let last: unknown
  while (performance.now() < end) {
    try {
      if (await holds()) return
      last = undefined
    } catch (error) {
      last = error
    }
    await new Promise((done) => setTimeout(done, 20))
  }
  throw new Error(`waited ${ms} ms in vain for ${what}`, { cause: last })
}

/** A port that stays free until a node takes it: below those that systems give to outgoing connections. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(false))
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)))
  })
}
