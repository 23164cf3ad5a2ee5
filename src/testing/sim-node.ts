/**
 * One node of a simulated cluster: a host, a disk that outlives it, and one life after another.
 *
 *   down ──start──▶ starting ──▶ up ──crash, kill, stop, fatal──▶ down ──start──▶ …      up ⇄ paused
 *
 * Not here: the cluster (sim-cluster.ts), what a node consists of (node/).
 */
import { DbError } from '../base/index.ts'
import { EmbeddedChannel } from '../client/embedded-channel.ts'
import type { Locality } from '../cluster/index.ts'
import { type OpenedClusterDatabase, openClusterDatabase } from '../node/database.ts'
import { drain } from '../node/drain.ts'
import { PgServer } from '../wire/index.ts'
import { type Life, SimChannel } from './sim-channel.ts'
import type { SimDisk } from './sim-disk.ts'
import type { LogLevel, SimIo } from './sim-io.ts'
import type { SimWorld } from './sim-world.ts'

const directory = '/data'
const peerPort = 7400
export const pgPort = 7432
const httpPort = 7480
/** How long statements of drivers may go on when a node is stopped. */
const graceMs = 1_000
/** Small, since there are many nodes in a process; and so that segments and memtables turn over in short tests too. */
const sizes = { cacheBytes: 4 << 20, segmentBytes: 1 << 20, memtableBytes: 2 << 20 }

export interface SimNodeOptions {
  readonly number: number
  readonly locality: Locality
  readonly replicas: number
  readonly splitBytes: number | undefined
  /** Hosts of other nodes to join through; asked for at each start. */
  readonly seeds: () => readonly string[]
  readonly log: (level: LogLevel, event: string, fields: Record<string, unknown>) => void
}

class NodeLife implements Life {
  readonly io: SimIo
  readonly onOver = new Set<() => void>()
  over: string | undefined
  #resumed: (() => void)[] = []

  constructor(io: SimIo) {
    this.io = io
  }

  running(): Promise<void> | undefined {
    if (!this.io.paused) return undefined
    return new Promise((done) => this.#resumed.push(done))
  }

  resume(): void {
    this.io.resume()
    for (const done of this.#resumed.splice(0)) done()
  }

  end(why: string): void {
    if (this.over !== undefined) return
    this.over = why
    for (const over of this.onOver) over()
    this.onOver.clear()
  }
}

export class SimNode {
  readonly number: number
  readonly host: string
  readonly disk: SimDisk
  /** Wall clock error and drift outlive a restart. */
  skewMicros = 0
  driftPpm = 0
  readonly #world: SimWorld
  readonly #options: SimNodeOptions
  #life: NodeLife | undefined
  #opened: OpenedClusterDatabase | undefined
  #server: PgServer | undefined
  #ending = 'it crashed'

  constructor(world: SimWorld, options: SimNodeOptions) {
    this.#world = world
    this.#options = options
    this.number = options.number
    this.host = `node${options.number}`
    this.disk = world.disk(this.host)
  }

  /** True from the end of its start to the end of its life. */
  get up(): boolean {
    return this.#opened !== undefined
  }

  get starting(): boolean {
    return this.#life !== undefined && this.#opened === undefined
  }

  get paused(): boolean {
    return this.#life?.io.paused === true
  }

  get opened(): OpenedClusterDatabase {
    if (this.#opened === undefined) throw this.#down()
    return this.#opened
  }

  #down(): DbError {
    return new DbError('connection_failure', `node ${this.number} is down`)
  }

  /** Begins a life. Raises what opening the node raises; connection_failure when the life ends before it is up. */
  async start(): Promise<void> {
    const { log } = this.#options
    const io = this.#world.node(this.disk, this.host)
    const life = new NodeLife(io)
    this.#life = life
    this.#ending = 'it crashed'
    this.tune()
    io.onLog = log
    io.onFatal = (reason, cause) => log('error', 'fatal', { reason, cause })
    io.onEnd = () => this.#ended(life)
    const opening = this.#open(io)
    // A life that ended is awaited for ever.
    opening.catch(() => {})
    await new Promise<void>((done, fail) => {
      const lost = () => fail(new DbError('connection_failure', `node ${this.number} did not start: ${life.over}`))
      life.onOver.add(lost)
      opening.then(
        (opened) => {
          life.onOver.delete(lost)
          this.#opened = opened
          done()
        },
        (error) => {
          life.onOver.delete(lost)
          this.#ending = 'it did not start'
          io.kill()
          fail(error)
        },
      )
    })
    log('info', 'node-up', {})
  }

  async #open(io: SimIo): Promise<OpenedClusterDatabase> {
    const { number, locality, replicas, splitBytes, seeds } = this.#options
    const opened = await openClusterDatabase({
      io,
      directory,
      peer: { host: this.host, port: peerPort },
      seeds: seeds().map((host) => ({ host, port: peerPort })),
      locality,
      nodeId: number,
      pg: { host: this.host, port: pgPort },
      httpPort,
      ...sizes,
      insecure: true,
      replicas,
      splitBytes,
    })
    const { database } = opened
    this.#server = await PgServer.start({ io, database, host: this.host, port: pgPort, insecure: true })
    return opened
  }

  #ended(life: NodeLife): void {
    const { fatalReason } = life.io
    if (this.#life === life) {
      this.#life = undefined
      this.#opened = undefined
    }
    this.#options.log('info', 'node-down', { reason: fatalReason ?? this.#ending })
    life.end(`node ${this.number} is down: ${fatalReason ?? this.#ending}`)
  }

  /** A session for a client. Raises connection_failure. */
  connect(): SimChannel {
    const life = this.#life
    if (this.#opened === undefined || life === undefined) throw this.#down()
    const { database } = this.#opened
    return new SimChannel(new EmbeddedChannel(life.io, database, 'lattice', 'lattice', 'test'), life)
  }

  /** The power goes: what was not synced is lost, torn or reordered. */
  crash(): void {
    this.#alive().io.crash()
  }

  /** The process ends, its machine and page cache do not. */
  kill(): void {
    this.#ending = 'it was killed'
    this.#alive().io.kill()
  }

  /** An orderly end: leaderships are handed over, drivers' statements may end, files are closed. */
  async stop(): Promise<void> {
    const life = this.#alive()
    const { opened } = this
    const server = this.#server!
    this.#ending = 'it was stopped'
    const closing = async () => {
      await drain(opened.opened)
      await server.stop(graceMs)
      await opened.close()
    }
    // A life that ends otherwise meanwhile is awaited for ever.
    await new Promise<void>((done, fail) => {
      life.onOver.add(done)
      closing().then(done, fail)
    })
    if (!life.io.dead) life.io.kill()
  }

  pause(): void {
    this.#alive().io.pause()
  }

  resume(): void {
    this.#alive().resume()
  }

  /** Puts skew and drift into force. */
  tune(): void {
    const clock = this.#life?.io.clock
    if (clock === undefined) return
    clock.wallOffsetMicros = this.skewMicros
    if (clock.driftPpm !== this.driftPpm) clock.driftPpm = this.driftPpm
  }

  #alive(): NodeLife {
    if (this.#life === undefined) throw this.#down()
    return this.#life
  }
}
