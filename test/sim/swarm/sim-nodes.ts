/**
 * A simulated cluster for our own suite: nodes as they are shipped on simulated hosts, with everything within reach that
 * a nemesis breaks and a checker looks at.
 *
 * Not here: what is done to it (nemesis.ts), what it is asked (workloads/), what must always hold in it (watch.ts).
 */
import { AssertionError, DbError } from '../../../src/base/index.ts'
import { EmbeddedChannel } from '../../../src/client/embedded-channel.ts'
import { SessionClient } from '../../../src/client/session-client.ts'
import { type OpenedClusterDatabase, openClusterDatabase } from '../../../src/node/database.ts'
import { Decommissioning } from '../../../src/node/decommission.ts'
import type { SimDisk } from '../../../src/testing/sim-disk.ts'
import type { SimIo } from '../../../src/testing/sim-io.ts'
import { SimWorld } from '../../../src/testing/sim-world.ts'

const cacheBytes = 2 * 1024 * 1024
const bootMs = 30_000

export interface SimNode {
  /** The id it asks for; a start that was cut short may have taken that one, and it has the next. */
  id: number
  readonly disk: SimDisk
  readonly host: string
  readonly locality: Readonly<Record<string, string>>
  io: SimIo
  opened: OpenedClusterDatabase | undefined
  decommissioning: Decommissioning | undefined
  client: SessionClient | undefined
  /** Rejects when the node dies: what was asked of it is never answered. */
  died: Promise<never>
  kill: (reason: string) => void
  /** Clocks are wrong beyond a restart. */
  skewMicros: number
  driftPpm: number
  /** Called when it has installed a snapshot. */
  onSnapshot: (() => void) | undefined
  /** Why its end is no surprise: a disk that was told to fail. */
  doomed: boolean
  /** It was asked to leave; it may be taken out of the cluster at any time. */
  leaving: boolean
  /** It was taken out of the cluster and never comes back. */
  left: boolean
}

export interface NodeOptions {
  readonly count: number
  readonly splitBytes?: number
  readonly segmentBytes?: number
  readonly memtableBytes?: number
  readonly logBudgetBytes?: number
  readonly keptEntries?: number
  /** How long superseded versions are kept. */
  readonly retentionMs?: number
  /** Transactions that write more go in chunks. */
  readonly largeBytes?: number
  readonly replicas?: number
  /** Localities of nodes in turn. */
  readonly zones?: number
  readonly delayMicros?: readonly [low: number, high: number]
}

export class NodeDied extends Error {}

export class SimNodes {
  readonly world: SimWorld
  readonly nodes: SimNode[] = []
  /** Why nodes ended that nobody stopped. */
  readonly fatal: string[] = []
  /** Recent structured events, newest last. */
  readonly events: string[] = []
  readonly options: NodeOptions

  constructor(seed: string, options: NodeOptions) {
    this.world = new SimWorld(seed)
    this.options = options
    if (options.delayMicros !== undefined) this.world.internet.delayMicros = options.delayMicros
  }

  async start(): Promise<void> {
    const { count } = this.options
    for (let i = 0; i < count; i++) this.#make()
    await this.boot(this.nodes[0])
    await Promise.all(this.nodes.slice(1).map((node) => this.boot(node)))
    await this.until(() => this.replicated(), 30_000)
  }

  /** Every partition has a leader that serves, and as many replicas as are wanted, all of them voters. */
  replicated(): boolean {
    const wanted = Math.min(this.options.replicas ?? 3, this.members().length)
    const odd = wanted % 2 === 0 ? wanted - 1 : wanted
    const partitions = new Set<number>()
    const served = new Set<number>()
    for (const { opened } of this.alive()) {
      for (const [id, replica] of opened!.opened.host.replicas) {
        partitions.add(id)
        if (!replica.serving) continue
        served.add(id)
        const { voters, outgoing } = replica.raft.configuration
        if (voters.length < odd || outgoing.length > 0) return false
      }
    }
    return served.size > 0 && served.size === partitions.size
  }

  #make(): SimNode {
    const id = Math.max(0, ...this.nodes.map((node) => node.id)) + 1
    const { zones = 0 } = this.options
    const node: SimNode = {
      id,
      host: `h${id}`,
      disk: this.world.disk(`disk ${id}`),
      locality: zones === 0 ? {} : { zone: `z${id % zones}` },
      io: undefined as unknown as SimIo,
      opened: undefined,
      decommissioning: undefined,
      client: undefined,
      died: Promise.race([]),
      kill: () => {},
      skewMicros: 0,
      driftPpm: 0,
      onSnapshot: undefined,
      doomed: false,
      leaving: false,
      left: false,
    }
    this.nodes.push(node)
    return node
  }

  /** A node more than there were. */
  async join(): Promise<SimNode> {
    const node = this.#make()
    this.note(node.id, 'joining')
    await this.#bootOr(node)
    return node
  }

  async boot(node: SimNode): Promise<void> {
    const io = this.world.node(node.disk, node.host)
    node.io = io
    node.doomed = false
    io.clock.wallOffsetMicros = node.skewMicros
    io.clock.driftPpm = node.driftPpm
    this.#watch(node, io)
    const first = node.id === 1 && node.opened === undefined
    const others = this.nodes.filter((n) => n !== node && !n.left)
    const seeds = first ? [] : others.map((n) => ({ host: n.host, port: 7400 }))
    const opened = await Promise.race([
      openClusterDatabase({
        io,
        directory: '/data',
        peer: { host: node.host, port: 7400 },
        seeds,
        locality: node.locality,
        nodeId: node.id,
        pg: { host: node.host, port: 7432 },
        httpPort: 7480,
        insecure: true,
        cacheBytes,
        replicas: this.options.replicas,
        splitBytes: this.options.splitBytes,
        segmentBytes: this.options.segmentBytes,
        memtableBytes: this.options.memtableBytes,
        logBudgetBytes: this.options.logBudgetBytes,
        keptEntries: this.options.keptEntries,
      }),
      node.died,
    ])
    node.opened = opened
    const { store } = opened.opened
    store.retentionMs = this.options.retentionMs ?? store.retentionMs
    store.largeBytes = this.options.largeBytes ?? store.largeBytes
    node.id = opened.opened.host.nodeId
    node.decommissioning = new Decommissioning(opened.opened)
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
      if (node.leaving && /removed/.test(reason)) node.left = true
      if (cause instanceof AssertionError || !(node.doomed || node.left)) this.fatal.push(why)
      this.note(node.id, 'fatal', { reason, cause: cause instanceof Error ? cause.message : undefined })
      node.client = undefined
      kill(reason)
    }
    io.onLog = (level, event, fields) => {
      if (event === 'snapshot-installed') node.onSnapshot?.()
      if (level !== 'debug') this.note(node.id, event, fields)
    }
  }

  note(node: number, event: string, fields: object = {}): void {
    this.events.push(`${(this.world.nowMicros / 1000).toFixed(1)} node ${node} ${event} ${JSON.stringify(fields)}`)
    if (this.events.length > 4000) this.events.splice(0, 1000)
  }

  /** Nodes that serve clients; a paused one does when it goes on. */
  alive(): SimNode[] {
    return this.nodes.filter((n) => n.client !== undefined && !n.io.dead)
  }

  /** Nodes that belong to the cluster, up or down. */
  members(): SimNode[] {
    return this.nodes.filter((n) => !n.left)
  }

  /** The machine loses its power, or (page cache kept) only the process ends. */
  crash(node: SimNode, power: boolean): void {
    if (node.io === undefined || node.io.dead) return
    this.note(node.id, power ? 'power-lost' : 'killed')
    if (power) node.io.crash()
    else node.io.kill()
    node.client = undefined
    node.kill('crashed')
  }

  async restart(node: SimNode): Promise<void> {
    if (node.left || !node.io.dead) return
    node.io.kill()
    this.note(node.id, 'restarting')
    await this.#bootOr(node)
  }

  /** A node that dies while it starts is none of the caller's business; one that does not come up says so. */
  async #bootOr(node: SimNode): Promise<void> {
    const boot = this.boot(node).catch((error) => {
      if (node.leaving && error instanceof DbError && /was removed/.test(error.message)) {
        node.left = true
        node.io.kill()
      } else if (!(error instanceof NodeDied)) throw error
    })
    await Promise.race([boot, this.sleep(bootMs)])
    if (node.client === undefined && !node.io.dead) this.note(node.id, 'slow-start')
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
