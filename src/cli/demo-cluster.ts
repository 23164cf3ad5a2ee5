/**
 * The nodes of a demo: processes of their own on this host, each in a directory below the demo's.
 *
 *   DIR/node-1/  node-1.log      DIR/node-2/  node-2.log      …
 *
 * Each node says host=demo-N of itself, so that they count as independent of each other. They are sessions of their own
 * (Ctrl-C at the terminal is the shell's) and end with this process, however it ends, by the channel between them.
 *
 * Not here: sample data (sample.ts), the shell's commands (demo-shell.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { DbError } from '../base/index.ts'
import type { Io } from '../io/index.ts'
import { formatAddress, type ListenAddress } from '../node/index.ts'
import { askJson } from './http-client.ts'

export interface DemoAddresses {
  readonly pg: ListenAddress
  readonly http: ListenAddress
  readonly peer: ListenAddress
}

export type DemoNodeState = 'running' | 'paused' | 'stopped'

interface DemoNode extends DemoAddresses {
  readonly number: number
  readonly directory: string
  child: ChildProcess | undefined
  ended: Promise<void>
  state: DemoNodeState
}

const readyMs = 60_000
const pollMs = 50
/** A node that does not stop by itself is stopped. */
const stopMs = 15_000

export class DemoCluster {
  readonly nodes: readonly DemoNode[]
  readonly #io: Io
  readonly #data: string

  private constructor(io: Io, data: string, nodes: readonly DemoNode[]) {
    this.#io = io
    this.#data = data
    this.nodes = nodes
  }

  /** Nodes that are there already run again, so that what they hold is within reach. `first` is where node 1 listens. */
  static async plan(io: Io, data: string, count: number, first: DemoAddresses): Promise<DemoCluster> {
    mkdirSync(data, { recursive: true })
    const known = readdirSync(data).map((name) => Number(/^node-(\d+)$/.exec(name)?.[1] ?? 0))
    const nodes: DemoNode[] = []
    for (let number = 1; number <= Math.max(count, ...known); number++) {
      const at = async ({ host, port }: ListenAddress) => ({
        host,
        port: port === 0 ? await freePort(io, host) : port + number - 1,
      })
      const places = { pg: await at(first.pg), http: await at(first.http), peer: await at(first.peer) }
      const directory = join(data, `node-${number}`)
      nodes.push({ ...places, number, directory, child: undefined, ended: Promise.resolve(), state: 'stopped' })
    }
    return new DemoCluster(io, data, nodes)
  }

  /** All nodes, so that a client goes on with another one when its own dies. */
  get url(): string {
    return `postgres://lattice@${this.nodes.map(({ pg }) => formatAddress(pg)).join(',')}/lattice`
  }

  /** Raises undefined_object. */
  node(number: number): DemoNode {
    const found = this.nodes[number - 1]
    if (found === undefined) throw new DbError('undefined_object', `there is no node ${number} in this demo`)
    return found
  }

  /** Starts a node's process; it is not ready yet. */
  launch(number: number): void {
    const node = this.node(number)
    if (node.state !== 'stopped') throw new DbError('object_in_use', `node ${number} is ${node.state} already`)
    const members = this.nodes.filter((other) => other !== node).map(({ peer }) => formatAddress(peer))
    // A new cluster begins with node 1; the others join it.
    const joins = number > 1 || existsSync(join(node.directory, 'NODE')) ? ['--join', members.join(',')] : []
    const places = (['pg', 'http', 'peer'] as const).flatMap((door) => [`--${door}`, formatAddress(node[door])])
    const words = ['start', '--data', node.directory, ...places, ...(members.length > 0 ? joins : [])]
    words.push('--locality', `host=demo-${number}`, '--node-id', String(number), '--log', 'info')
    const log = openSync(this.logFile(number), 'a')
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1], ...words], {
      stdio: ['ignore', 'ignore', log, 'ipc'],
      detached: true,
    })
    closeSync(log)
    child.channel?.unref()
    node.child = child
    node.state = 'running'
    node.ended = new Promise((done) => {
      child.once('exit', () => {
        if (node.child !== child) return
        node.child = undefined
        node.state = 'stopped'
        done()
      })
    })
  }

  logFile(number: number): string {
    return join(this.#data, `node-${number}.log`)
  }

  /** Raises connection_failure with the end of its log when the node ends or takes too long. */
  async ready(number: number): Promise<void> {
    const node = this.node(number)
    const deadline = this.#io.clock.monotonicMicros() + readyMs * 1000
    for (;;) {
      try {
        if ((await askJson(node.http, '/readyz')).ready === true) return
      } catch (error) {
        if (!(error instanceof DbError)) throw error
      }
      if (node.state === 'stopped' || this.#io.clock.monotonicMicros() > deadline) {
        const detail = readFileSync(this.logFile(number), 'utf8').trimEnd().split('\n').slice(-5).join('\n')
        throw new DbError('connection_failure', `node ${number} did not start`, { detail })
      }
      await this.#pause()
    }
  }

  /** Waits until everything has as many copies as it is to have, for a while. */
  async replicated(): Promise<void> {
    const deadline = this.#io.clock.monotonicMicros() + (readyMs / 3) * 1000
    const odd = this.nodes.length - ((this.nodes.length + 1) % 2)
    const wanted = Math.min(3, odd)
    while (this.#io.clock.monotonicMicros() < deadline) {
      const { partitions = [] } = await askJson(this.nodes[0].http, '/status')
      if (partitions.every((p: { replicas: unknown[] }) => p.replicas.length >= wanted)) return
      await this.#pause()
    }
  }

  /** As a crash of the node would: kill -9. */
  async kill(number: number): Promise<void> {
    const node = this.#running(number)
    node.child!.kill('SIGKILL')
    await node.ended
  }

  /** The process stands still: what others see as a node that does not answer. */
  pause(number: number): void {
    const node = this.#running(number)
    node.child!.kill('SIGSTOP')
    node.state = 'paused'
  }

  resume(number: number): void {
    const node = this.node(number)
    if (node.state !== 'paused')
      throw new DbError('object_not_in_prerequisite_state', `node ${number} is ${node.state}`)
    node.child!.kill('SIGCONT')
    node.state = 'running'
  }

  /** Stops all nodes, the last first, so that leaderships gather where they are looked for first at the next start. */
  async stop(): Promise<void> {
    const running = this.nodes.filter((node) => node.child !== undefined)
    for (const node of running.toReversed()) {
      node.child!.kill('SIGCONT')
      node.child!.kill('SIGTERM')
    }
    const late = this.#io.tasks.after(stopMs, () => {
      for (const node of running) node.child?.kill('SIGKILL')
    })
    await Promise.all(running.map((node) => node.ended))
    late.cancel()
  }

  #running(number: number): DemoNode {
    const node = this.node(number)
    if (node.state === 'stopped') throw new DbError('object_not_in_prerequisite_state', `node ${number} is not running`)
    return node
  }

  #pause(): Promise<void> {
    return new Promise((done) => this.#io.tasks.after(pollMs, done))
  }
}

/** A port that stays free until a node takes it: below those that systems give to outgoing connections. */
async function freePort(io: Io, host: string): Promise<number> {
  for (;;) {
    const port = 20_000 + io.random.below(12_000)
    if (await isFree(host, port)) return port
  }
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(false))
    server.listen(port, host, () => server.close(() => done(true)))
  })
}
