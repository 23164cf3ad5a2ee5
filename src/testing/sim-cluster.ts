/**
 * A whole cluster in one process, one seed and one clock. The code of its nodes is the code that runs in production;
 * time, disks, network and randomness are simulated.
 *
 *   await using cluster = await simCluster({ nodes: 5, seed: 42 })
 *   const db = cluster.connect(1)                          // the ordinary client
 *   using cut = cluster.partition([1, 2], [3, 4, 5])
 *   await cluster.crash(await cluster.leaderOf('accounts'))
 *   await cluster.advance('3s')
 *
 * Simulated time goes on while the test awaits one of these promises, and stands still otherwise. So a test is over in
 * milliseconds whatever it waits for, one seed always gives one run, and fake timers or slow test code change nothing.
 *
 * Not here: repeating a test over seeds (sim-test.ts), the simulated world (sim-world.ts).
 */
import type { Duplex } from 'node:stream'
import { AssertionError, DbError } from '../base/index.ts'
import type { Client } from '../client/client.ts'
import { SessionClient } from '../client/session-client.ts'
import { type Locality, parseLocality } from '../cluster/index.ts'
import type { LogFields } from '../io/index.ts'
import { type Change, firstKey } from '../replication/index.ts'
import type { Span } from '../storage/index.ts'
import { NodeDisk } from './disk-faults.ts'
import { type Duration, formatMicros, microsOf } from './duration.ts'
import { type Fault, NetworkFaults } from './network-faults.ts'
import type { PartitionPlace } from './partition-place.ts'
import { Pump } from './pump.ts'
import { isSettled } from './settled.ts'
import type { SimChannel } from './sim-channel.ts'
import type { LogLevel, SimIo } from './sim-io.ts'
import { pgPort, SimNode } from './sim-node.ts'
import type { SimRandom } from './sim-random.ts'
import { SimStream } from './sim-stream.ts'
import { SimWorld } from './sim-world.ts'
import { keyInTable, partitionsOver, spanOfTable } from './table-places.ts'
import { TrackedClient } from './tracked-client.ts'

export interface SimClusterOptions {
  /** How many nodes there are from the start: 1 to 64, numbered from 1. Default 3. */
  readonly nodes?: number
  /** Draws everything that is random. Default: LATTICE_SEED, else 1. */
  readonly seed?: number | string
  /** Copies of each partition, an odd number. Default 3, or what the nodes suffice for. */
  readonly replicas?: number
  /** Partitions above so many bytes are cut in two by themselves. Default 64 MiB. */
  readonly splitBytes?: number
  /** Where each node is: 'region=eu,zone=a' or an object, the widest place first. Default: all alike. */
  readonly localities?: readonly (Locality | string)[]
  /** Whether to wait until every partition has its replicas before the test begins. Default true. */
  readonly settle?: boolean
  /** Simulated time that a call may take before it is rejected. Default '60s'. */
  readonly callTimeout?: Duration
  /** @internal Sees the world before anything happens in it. */
  readonly onWorld?: (world: SimWorld) => void
}

/** One line of the nodes' structured logs. */
export interface SimLogEntry {
  /** Simulated milliseconds since the cluster's world began. */
  readonly at: number
  readonly node: number
  readonly level: LogLevel
  /** A name in kebab-case. */
  readonly event: string
  readonly fields: LogFields
}

const keptLog = 1_000
const maxNodes = 64
const defaultCallMicros = 60_000_000
/** Between two looks at a condition. */
const pollMicros = 10_000
const leaderMicros = 30_000_000
/** How long a change of a partition is tried for. */
const changeMicros = 15_000_000
/** Sessions of all clients at a node; a test that holds more at once waits for itself. */
const maxSessions = 100

/** Boots a cluster and, unless `settle: false`, waits until every partition has its replicas. */
export async function simCluster(options: SimClusterOptions = {}): Promise<SimCluster> {
  const cluster = new SimCluster(options)
  try {
    await cluster.boot()
    return cluster
  } catch (error) {
    await cluster[Symbol.asyncDispose]()
    throw error
  }
}

export class SimCluster implements AsyncDisposable {
  readonly #world: SimWorld
  readonly #pump: Pump
  readonly #options: SimClusterOptions
  readonly #nodes: SimNode[] = []
  readonly #network: NetworkFaults
  readonly #clients: SimIo
  readonly #log: SimLogEntry[] = []
  readonly #streams = new Set<SimStream>()
  readonly #sessions = new Map<SimNode, SessionClient>()
  #bug: unknown
  #founder = 0
  #disposed = false
  /** Randomness for the test itself, out of the same seed: `cluster.random.below(10)`, `.pick([…])`, `.chance(0.5)`. */
  readonly random: SimRandom

  /** @internal Use `simCluster`. */
  constructor(options: SimClusterOptions) {
    const { nodes = 3, seed = process.env.LATTICE_SEED ?? 1, callTimeout } = options
    if (!Number.isInteger(nodes) || nodes < 1 || nodes > maxNodes)
      throw new DbError('invalid_parameter_value', `a simulated cluster has 1 to ${maxNodes} nodes, not ${nodes}`)
    this.#options = options
    this.#world = new SimWorld(seed)
    options.onWorld?.(this.#world)
    this.#pump = new Pump(this.#world, callTimeout === undefined ? defaultCallMicros : microsOf(callTimeout))
    this.#pump.onBug = (error) => {
      this.#bug ??= error
    }
    this.#network = new NetworkFaults(this.#world.internet)
    this.#clients = this.#world.node(this.#world.disk('clients'), 'clients')
    this.random = this.#world.random.fork('test')
    for (let n = 1; n <= nodes; n++) this.#make(options.localities?.[n - 1])
  }

  /** @internal Starts all nodes. */
  boot(): Promise<void> {
    return this.#pump.track('the start of the cluster', async () => {
      const [first, ...others] = this.#nodes
      await first.start()
      this.#founder = first.number
      await Promise.all(others.map((node) => node.start()))
      if (this.#options.settle !== false) await this.#settled()
    })
  }

  // ---- what there is

  /** What replays this very run: `simCluster({ seed })`, or LATTICE_SEED for a test made by `sim`. */
  get seed(): string {
    return this.#world.seed
  }

  /** Simulated milliseconds since the world began. */
  get now(): number {
    return this.#world.nowMicros / 1_000
  }

  /** A hash over every call of every port up to now; two runs of one seed have the same. */
  get traceHash(): string {
    return this.#world.trace.hash
  }

  /** The newest 1,000 log entries of all nodes, the oldest first. */
  get log(): readonly SimLogEntry[] {
    return this.#log
  }

  /** Numbers of all nodes, ascending. */
  get nodes(): number[] {
    return this.#nodes.map((node) => node.number)
  }

  /** Numbers of the nodes that are up; a paused one is. */
  get alive(): number[] {
    return this.#nodes.filter((node) => node.up).map((node) => node.number)
  }

  /** @internal */
  get world(): SimWorld {
    return this.#world
  }

  // ---- clients

  /**
   * A client at a node, with the interface of `open()`. It outlives the node: calls raise connection_failure while the
   * node is down, those under way when it goes down too, and work again after a restart.
   */
  connect(node: number): Client {
    const there = this.#node(node)
    let sessions = this.#sessions.get(there)
    if (sessions === undefined) {
      const connect = async () => there.connect()
      sessions = new SessionClient({ io: this.#clients, connect, maxSessions, onClose: async () => {} })
      this.#sessions.set(there, sessions)
    }
    return new TrackedClient(sessions, this.#pump, `on node ${node}`)
  }

  /**
   * A connection to a node's PostgreSQL port, for drivers that take a stream; no password is asked.
   *
   *   new pg.Client({ stream: () => cluster.socket(1), user: 'lattice', database: 'lattice' })
   *   postgres({ socket: () => cluster.socket(1), user: 'lattice', database: 'lattice' })
   *
   * Errors of the connection carry the codes of node:net: ECONNREFUSED, ECONNRESET.
   */
  socket(node: number): Duplex {
    const { host } = this.#node(node)
    const stream = new SimStream(this.#clients, this.#pump, host, pgPort, `on node ${node}`)
    this.#streams.add(stream)
    stream.once('close', () => this.#streams.delete(stream))
    return stream
  }

  // ---- time

  /** Lets so much simulated time pass. */
  advance(by: Duration): Promise<void> {
    return this.#sleep(microsOf(by), `advance(${JSON.stringify(by)})`)
  }

  /**
   * Waits until the condition holds, looking every 10 ms of simulated time. While it throws, it does not hold. Raises
   * query_canceled, with what it last threw as the cause, when it does not hold in time.
   */
  until(condition: () => boolean | Promise<boolean>, timeout: Duration = '30s'): Promise<void> {
    const micros = microsOf(timeout)
    return this.#pump.track(
      'until(…)',
      (outside) =>
        new Promise((done, fail) => {
          let last: unknown
          let over = false
          this.#world.schedule(micros, () => {
            over = true
            const message = `seed ${this.seed}: the condition did not hold within ${formatMicros(micros)}`
            fail(new DbError('query_canceled', message, { cause: last }))
          })
          const look = async () => {
            while (!over) {
              try {
                if (await outside(async () => condition())) return done()
              } catch (error) {
                last = error
              }
              await this.#pause(pollMicros)
            }
          }
          look().catch(fail)
        }),
      Number.POSITIVE_INFINITY,
    )
  }

  /** Waits until every partition has its replicas and a leader, and all nodes that are up know all of that. */
  settle(timeout: Duration = '60s'): Promise<void> {
    return this.#pump.track('settle()', () => this.#settled(), microsOf(timeout))
  }

  // ---- nodes come and go

  /** The power of a node goes: what it had not synced is lost, torn or reordered. */
  async crash(node: number): Promise<void> {
    this.#node(node).crash()
  }

  /** A node's process ends at once; its machine goes on, so its page cache survives. */
  async kill(node: number): Promise<void> {
    this.#node(node).kill()
  }

  /** Stops a node in an orderly way. */
  stop(node: number): Promise<void> {
    return this.#pump.track(`stop(${node})`, () => this.#node(node).stop())
  }

  /**
   * Starts a node again on its disk, after stopping it if it is up. Resolves when it serves, which takes a majority: to
   * start several after a blackout, `await Promise.all(cluster.nodes.map((n) => cluster.restart(n)))`. Raises what it
   * cannot start for: data_corrupted, io_error, …
   */
  restart(node: number): Promise<void> {
    const there = this.#node(node)
    return this.#pump.track(`restart(${node})`, async () => {
      if (there.paused) there.resume()
      if (there.up) await there.stop()
      else if (there.starting) there.kill()
      await there.start()
    })
  }

  /** Adds a node to the cluster and resolves to its number when it serves; replicas move to it later. */
  add(locality?: Locality | string): Promise<number> {
    const node = this.#make(locality)
    return this.#pump.track(`add() of node ${node.number}`, async () => {
      await node.start()
      return node.number
    })
  }

  /** Stops a node's process without ending it, as a long garbage collection does: it does nothing until `resume`. */
  pause(node: number): void {
    this.#node(node).pause()
  }

  /** Lets a paused node go on; to it, all that waited happens now. */
  resume(node: number): void {
    this.#node(node).resume()
  }

  /** Sets how far a node's wall clock is off, also after restarts; may be negative. Set by more than 500 ms at once, the node stops. */
  skew(node: number, by: Duration): void {
    const there = this.#node(node)
    there.skewMicros = microsOf(by, true)
    there.tune()
  }

  /** Makes a node's clocks gain so many parts per million from now on, also after restarts; negative: lose. */
  drift(node: number, ppm: number): void {
    if (!(ppm > -1e6 && ppm < 1e9)) throw new DbError('invalid_parameter_value', `a clock cannot drift by ${ppm} ppm`)
    const there = this.#node(node)
    there.driftPpm = ppm
    there.tune()
  }

  /** The disk of a node, to make it fail. Faults last until healed, over restarts. */
  disk(node: number): NodeDisk {
    return new NodeDisk(this.#node(node).disk)
  }

  // ---- network

  /**
   * Cuts the network between groups of nodes; inside a group, and for nodes in none, all goes on. Clients reach every
   * node. Ends with `heal()` of the cluster or of what it returns, or with `using`.
   */
  partition(...groups: readonly (readonly number[])[]): Fault {
    return this.#network.partition(groups.map((group) => this.#hosts(group)))
  }

  /** Nothing passes from these nodes to those; the other way everything does. */
  cutOneWay(from: number | readonly number[], to: number | readonly number[]): Fault {
    return this.#network.cutOneWay(this.#hosts(from), this.#hosts(to))
  }

  /** Makes every message take so long one way: one duration, or drawn between two. At the start 50us to 500us. */
  delay(low: Duration, high: Duration = low): Fault {
    return this.#network.delay(microsOf(low), microsOf(high))
  }

  /** Makes messages between two nodes take so much longer, both ways. */
  slow(a: number | readonly number[], b: number | readonly number[], by: Duration): Fault {
    return this.#network.slow(this.#hosts(a), this.#hosts(b), microsOf(by))
  }

  /** Ends all faults of the network, and pauses. Nodes that are down stay down, disks as they are. */
  heal(): void {
    this.#network.heal()
    for (const node of this.#nodes) if (node.paused) node.resume()
  }

  // ---- tables and partitions

  /**
   * The node that leads the partition in which a table begins, or the first partition. Waits for an election, if one is
   * under way. Raises undefined_table; query_canceled when none has a majority.
   */
  leaderOf(table?: string): Promise<number> {
    return this.#pump.track(
      `leaderOf(${table ?? ''})`,
      async () => {
        const span = await this.#spanOf(table)
        for (;;) {
          const [first] = partitionsOver(this.#nodes, span)
          if (first !== undefined && first.leader !== 0) return first.leader
          await this.#pause(pollMicros)
        }
      },
      leaderMicros,
    )
  }

  /** The nodes that hold the partition in which a table begins, ascending. Raises undefined_table. */
  async replicasOf(table?: string): Promise<number[]> {
    const [first] = await this.partitionsOf(table)
    return [...(first?.replicas ?? [])]
  }

  /** All partitions that hold rows of a table, in the order of keys; without a table, all there are. */
  partitionsOf(table?: string): Promise<PartitionPlace[]> {
    return this.#pump.track(`partitionsOf(${table ?? ''})`, async () =>
      partitionsOver(this.#nodes, await this.#spanOf(table)),
    )
  }

  /**
   * Cuts the partition where a table begins or, with values, at the row with that primary key (or its first columns).
   * Raises undefined_table; invalid_parameter_value when a partition begins there already; object_in_use while
   * transactions hold the partition.
   */
  splitAt(table: string, ...primaryKey: readonly unknown[]): Promise<void> {
    return this.#pump.track(`splitAt(${table})`, async () => {
      const node = this.#anyNode()
      const key = await this.#withChannel((channel) => keyInTable(channel, node, table, primaryKey))
      const end = new Uint8Array([...key, 0])
      await this.#ask({ start: key, end }, (partition) => ({
        kind: 'split',
        partition,
        key: Buffer.from(key).toString('base64'),
      }))
      await this.#settled()
    })
  }

  /** Hands the leadership of a table's partitions to another node that has replicas of them. */
  transferLeader(table: string, to: number): Promise<void> {
    return this.#pump.track(`transferLeader(${table}, ${to})`, async () => {
      this.#node(to)
      const span = await this.#spanOf(table)
      const placeAt = (at: number) => partitionsOver(this.#nodes, span)[at]
      for (let at = 0, place = placeAt(0); place !== undefined; place = placeAt(++at)) {
        if (place.leader === to) continue
        if (!place.replicas.includes(to))
          throw new DbError('object_not_in_prerequisite_state', `node ${to} has no replica of a partition of ${table}`)
        await this.#ask(span, (partition) => ({ kind: 'transfer', partition, to }), at)
        while (placeAt(at)?.leader !== to) await this.#pause(pollMicros)
      }
    })
  }

  /** Ends the cluster and everything that waits for it. Raises what broke an invariant inside of it, if anything did: a bug
   * of the database, not of the test. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return
    this.#disposed = true
    for (const stream of this.#streams) stream.destroy()
    this.#pump.close(new DbError('connection_does_not_exist', `seed ${this.seed}: the simulated cluster is gone`))
    for (const node of this.#nodes) if (node.up || node.starting) node.kill()
    if (this.#bug !== undefined) throw this.#bug
  }

  // ---- inside

  #make(locality: Locality | string | undefined): SimNode {
    const number = this.#nodes.length + 1
    const node = new SimNode(this.#world, {
      number,
      locality: typeof locality === 'string' ? parseLocality(locality) : (locality ?? {}),
      replicas: this.#options.replicas ?? 3,
      splitBytes: this.#options.splitBytes,
      seeds: () => (this.#founder === 0 ? [] : this.#nodes.filter((n) => n.up).map((n) => n.host)),
      log: (level, event, fields) => this.#note(number, level, event, fields),
    })
    this.#nodes.push(node)
    return node
  }

  #note(node: number, level: LogLevel, event: string, fields: LogFields): void {
    if (this.#disposed) return
    if (event === 'fatal' && fields.cause instanceof AssertionError) this.#bug ??= fields.cause
    this.#log.push({ at: this.now, node, level, event, fields })
    if (this.#log.length > keptLog) this.#log.shift()
  }

  #node(number: number): SimNode {
    const node = this.#nodes[number - 1]
    if (node === undefined)
      throw new DbError('invalid_parameter_value', `there is no node ${number}: nodes are 1 to ${this.#nodes.length}`)
    return node
  }

  #hosts(numbers: number | readonly number[]): string[] {
    return (typeof numbers === 'number' ? [numbers] : numbers).map((n) => this.#node(n).host)
  }

  /** A node that answers. */
  #anyNode(): SimNode {
    const node = this.#nodes.find((n) => n.up && !n.paused)
    if (node === undefined) throw new DbError('connection_failure', 'no node is up')
    return node
  }

  async #withChannel<T>(use: (channel: SimChannel) => Promise<T>): Promise<T> {
    const channel = this.#anyNode().connect()
    try {
      return await use(channel)
    } finally {
      await channel.close()
    }
  }

  async #spanOf(table: string | undefined): Promise<Span> {
    if (table === undefined) return { start: firstKey, end: undefined }
    return await this.#withChannel((channel) => spanOfTable(channel, table))
  }

  /** Asks the leader of the partition at that place of a span to change it; again while something else changes it. */
  async #ask(span: Span, change: (partition: number) => Change, at = 0): Promise<void> {
    const end = this.#world.nowMicros + changeMicros
    for (;;) {
      const place = partitionsOver(this.#nodes, span)[at]
      try {
        if (place === undefined || place.leader === 0)
          throw new DbError('object_not_in_prerequisite_state', 'the partition has no leader')
        await this.#node(place.leader).opened.opened.controller.changes.run(change(place.id))
        return
      } catch (error) {
        const passing =
          error instanceof DbError &&
          (error.code === 'object_in_use' || error.code === 'object_not_in_prerequisite_state')
        if (!passing || this.#world.nowMicros > end) throw error
      }
      await this.#pause(pollMicros)
    }
  }

  async #settled(): Promise<void> {
    while (!isSettled(this.#nodes, this.#options.replicas ?? 3)) await this.#pause(pollMicros)
  }

  #pause(micros: number): Promise<void> {
    return new Promise((done) => {
      this.#world.schedule(micros, done)
    })
  }

  #sleep(micros: number, what: string): Promise<void> {
    return this.#pump.track(what, () => this.#pause(micros), Number.POSITIVE_INFINITY)
  }
}
