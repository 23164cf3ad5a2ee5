/**
 * A simulated cluster for our own suite: nodes as they are shipped on simulated hosts, with everything within reach that
 * a nemesis breaks and a checker looks at.
 *
 * Not here: what is done to it (nemesis.ts), what it is asked (workloads/).
 */
import { AssertionError } from '../../../src/base/index.ts'
import { EmbeddedChannel } from '../../../src/client/embedded-channel.ts'
import { SessionClient } from '../../../src/client/session-client.ts'
import { type OpenedClusterDatabase, openClusterDatabase } from '../../../src/node/database.ts'
import type { SimDisk } from '../../../src/testing/sim-disk.ts'
import type { SimIo } from '../../../src/testing/sim-io.ts'
import { SimWorld } from '../../../src/testing/sim-world.ts'

export interface SimNode {
  readonly id: number
  readonly disk: SimDisk
  readonly host: string
  io: SimIo
  opened: OpenedClusterDatabase | undefined
  client: SessionClient | undefined
  /** Rejects when the node dies: what was asked of it is never answered. */
  died: Promise<never>
  kill: (reason: string) => void
}

export interface NodeOptions {
  readonly count: number
  readonly splitBytes?: number
  readonly replicas?: number
}

export class NodeDied extends Error {}

export class SimNodes {
  readonly world: SimWorld
  readonly nodes: SimNode[] = []
  /** Why nodes ended that nobody stopped. */
  readonly fatal: string[] = []
  /** Recent structured events, newest last. */
  readonly events: string[] = []
  readonly #options: NodeOptions

  constructor(seed: string, options: NodeOptions) {
    this.world = new SimWorld(seed)
    this.#options = options
  }

  async start(): Promise<void> {
    const { count } = this.#options
    for (let id = 1; id <= count; id++) {
      const host = `h${id}`
      const disk = this.world.disk(`disk ${id}`)
      const node = { id, disk, host, opened: undefined, client: undefined } as unknown as SimNode
      this.nodes.push(node)
    }
    await this.boot(this.nodes[0])
    await Promise.all(this.nodes.slice(1).map((node) => this.boot(node)))
    await this.until(() => this.nodes.every((n) => n.opened!.opened.host.replicas.size > 0) || count < 3, 20_000)
  }

  async boot(node: SimNode): Promise<void> {
    const io = this.world.node(node.disk, node.host)
    node.io = io
    this.#watch(node, io)
    const seeds =
      node.id === 1 && node.opened === undefined
        ? []
        : this.nodes.filter((n) => n !== node).map((n) => ({ host: n.host, port: 7400 }))
    const opened = await Promise.race([
      openClusterDatabase({
        io,
        directory: '/data',
        peer: { host: node.host, port: 7400 },
        seeds,
        locality: {},
        nodeId: node.id,
        pg: { host: node.host, port: 7432 },
        httpPort: 7480,
        insecure: true,
        replicas: this.#options.replicas,
        splitBytes: this.#options.splitBytes,
      }),
      node.died,
    ])
    node.opened = opened
    const connect = async () => new EmbeddedChannel(io, opened.database, 'lattice', 'lattice', '')
    node.client = new SessionClient({ io, connect, maxSessions: 64, onClose: async () => {} })
  }

  #watch(node: SimNode, io: SimIo): void {
    let kill!: (reason: string) => void
    node.died = new Promise<never>((_, fail) => {
      kill = (reason) => fail(new NodeDied(reason))
    })
    node.died.catch(() => {})
    node.kill = kill
    io.onFatal = (reason, cause) => {
      const why = `node ${node.id}: ${reason} ${cause instanceof Error ? cause.stack : (cause ?? '')}`
      if (cause instanceof AssertionError || !/disk|sync|log/.test(reason)) this.fatal.push(why)
      this.note(node.id, 'fatal', { reason })
      kill(reason)
    }
    const log = (event: string, fields?: object) => this.note(node.id, event, fields)
    const self = { debug() {}, info: log, warn: log, error: log, child: () => self }
    Object.defineProperty(io, 'log', { value: self })
  }

  note(node: number, event: string, fields: object = {}): void {
    this.events.push(`${(this.world.nowMicros / 1000).toFixed(1)} node ${node} ${event} ${JSON.stringify(fields)}`)
    if (this.events.length > 4000) this.events.splice(0, 1000)
  }

  alive(): SimNode[] {
    return this.nodes.filter((n) => n.client !== undefined && !n.io.dead)
  }

  /** The machine loses its power, or (page cache kept) only the process ends. */
  crash(node: SimNode, power: boolean): void {
    if (node.io.dead) return
    this.note(node.id, power ? 'power-lost' : 'killed')
    if (power) node.io.crash()
    else node.io.kill()
    node.client = undefined
    node.kill('crashed')
  }

  async restart(node: SimNode): Promise<void> {
    if (!node.io.dead) return
    node.io.kill()
    this.note(node.id, 'restarting')
    try {
      await this.boot(node)
    } catch (error) {
      if (!(error instanceof NodeDied)) throw error
    }
  }

  sleep(ms: number): Promise<void> {
    return new Promise((done) => this.world.schedule(ms * 1000, done))
  }

  async until(holds: () => boolean | Promise<boolean>, limitMs: number): Promise<boolean> {
    const end = this.world.nowMicros + limitMs * 1000
    while (this.world.nowMicros < end) {
      if (await holds()) return true
      await this.sleep(50)
    }
    return await holds()
  }
}
