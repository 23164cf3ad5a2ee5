/**
 * A running node: starts from the ground up, stops from the top down.
 *
 *   check configuration ─► PostgreSQL port (57P03) ─► HTTP (alive, not ready) ─► lock, log, tables, replay ─► SQL ─► ready
 *                                                       in a cluster ─► join, peers, replicas ─┘
 *   stop: not ready ─► hand over what it leads ─► drain clients ─► SQL ─► store ─► HTTP
 *
 * The ports are taken before the data is touched: whoever starts a second node by mistake learns it at once.
 *
 * Not here: signals and exit status (cli/).
 */
import { DbError } from '../base/index.ts'
import { type Io, readText, type TlsServerOptions } from '../io/index.ts'
import { type EventPort, PgServer } from '../wire/index.ts'
import { formatAddress } from './address.ts'
import { registerClusterMetrics } from './cluster-metrics.ts'
import { clusterStatus, lostMajority } from './cluster-status.ts'
import type { NodeConfig } from './config.ts'
import { type OpenedClusterDatabase, type OpenedDatabase, openClusterDatabase, openDatabase } from './database.ts'
import { Decommissioning } from './decommission.ts'
import { drain } from './drain.ts'
import type { NodeEventDatabases } from './event-databases.ts'
import { checkExposure } from './exposure.ts'
import type { Failpoints } from './failpoints.ts'
import { type HttpServer, startHttp } from './http-server.ts'
import { clusterOptions, isMember } from './membership-mode.ts'
import { registerNodeMetrics } from './node-metrics.ts'
import type { StoreOptions } from './store.ts'

export interface NodeOptions {
  readonly io: Io
  readonly failpoints?: Failpoints
  /** How the database is opened; tests put their own below the doors. */
  readonly open?: (options: StoreOptions) => Promise<OpenedDatabase>
}

export interface RunningNode {
  readonly pgPort: number
  readonly httpPort: number
  /** Absent on a node of its own. */
  readonly peerPort: number | undefined
  readonly opened: OpenedDatabase
  /** Drains and closes everything; resolves when the directory is released. Calling it again waits for the same. */
  stop(): Promise<void>
}

/** Raises config_file_error, object_in_use, lock_file_exists, incompatible_format, data_corrupted, …; nothing is left open then. */
export async function startNode(config: NodeConfig, options: NodeOptions): Promise<RunningNode> {
  checkExposure(config)
  const starting = new StartingNode(config, options)
  try {
    return await starting.start()
  } catch (error) {
    await starting.stop()
    throw error
  }
}

class StartingNode {
  readonly #config: NodeConfig
  readonly #options: NodeOptions
  readonly #startedMicros: number
  #unready: string | undefined = 'starting'
  #http: HttpServer | undefined
  #pg: PgServer | undefined
  #opened: OpenedDatabase | undefined
  /** The same, on a node of a cluster. */
  #member: OpenedClusterDatabase | undefined
  #decommissioning: Decommissioning | undefined
  #events: NodeEventDatabases | undefined
  #stopped: Promise<void> | undefined

  constructor(config: NodeConfig, options: NodeOptions) {
    this.#config = config
    this.#options = options
    this.#startedMicros = options.io.clock.monotonicMicros()
  }

  async start(): Promise<RunningNode> {
    const config = this.#config
    const { io } = this.#options
    const tls = await this.#tls()
    this.#pg = await this.#listen(tls)
    const { PrometheusMetrics } = await import('./metrics.ts')
    const metrics = new PrometheusMetrics(true)
    const pages = {
      unready: () => this.#unready ?? (this.#member && lostMajority(this.#member.opened)),
      metrics: () => metrics.exposition(),
      status: () => this.#status(),
      decommission: (node: number) => this.#decommission(node),
    }
    this.#http = await startHttp(config.http, pages, this.#eventPort())
    const opened = await this.#open()
    this.#opened = opened
    this.#events = await opened.events()
    registerNodeMetrics(metrics, opened.opened, this.#pg)
    if (this.#member !== undefined) registerClusterMetrics(metrics, this.#member.opened)
    this.#pg.serve(opened.database)
    this.#unready = undefined
    const millis = Math.round((io.clock.monotonicMicros() - this.#startedMicros) / 1000)
    const { port: pgPort } = this.#pg
    const { port: httpPort } = this.#http
    const cluster = this.#member?.opened
    const place = cluster && { node: cluster.host.nodeId, cluster: cluster.clusterId, peerPort: cluster.peerPort }
    io.log.info('ready', { pgPort, httpPort, ...place, data: config.data, millis })
    return { pgPort, httpPort, peerPort: cluster?.peerPort, opened, stop: () => this.stop() }
  }

  async #open(): Promise<OpenedDatabase> {
    const { data, memory } = this.#config
    const { io, failpoints, open } = this.#options
    if (open === undefined && (await isMember(io, this.#config))) {
      const ports = { pg: this.#pg!.port, http: this.#http!.port }
      this.#member = await openClusterDatabase(await clusterOptions(io, this.#config, ports))
      this.#decommissioning = new Decommissioning(this.#member.opened)
      return this.#member
    }
    return (open ?? openDatabase)({ io, directory: data, cacheBytes: memory.cache, failpoints })
  }

  #eventPort(): EventPort {
    const { tokens, cors, limits } = this.#config
    const { tasks, log } = this.#options.io
    const serving = () => {
      if (this.#events !== undefined && this.#unready !== 'stopping') return this.#events
      throw new DbError('cannot_connect_now', `the node is ${this.#unready ?? 'starting'}`)
    }
    return {
      get databases() {
        return serving()
      },
      tasks,
      log,
      tokens,
      origins: cors,
      maxBodyBytes: limits.messageBytes,
    }
  }

  async #decommission(node: number): Promise<void> {
    if (this.#decommissioning === undefined)
      throw new DbError('object_not_in_prerequisite_state', 'this node belongs to no cluster, or is starting')
    await this.#decommissioning.start(node)
  }

  async #listen(tls: TlsServerOptions | undefined): Promise<PgServer> {
    const { pg, socket, limits, insecure, loopbackPasswords } = this.#config
    try {
      return await PgServer.start({
        io: this.#options.io,
        host: pg.host,
        port: pg.port,
        socket,
        maxConnections: limits.connections,
        messageBytes: limits.messageBytes,
        authenticationTimeoutMs: limits.authenticationSeconds * 1000,
        tls,
        insecure,
        loopbackPasswords,
      })
    } catch (error) {
      if (!(error instanceof DbError) || error.code !== 'object_in_use') throw error
      throw new DbError('object_in_use', `could not listen on ${formatAddress(pg)}: the port is taken`, {
        cause: error,
        hint: 'Another node may be running here. Choose another port with --pg HOST:PORT.',
      })
    }
  }

  async #tls(): Promise<TlsServerOptions | undefined> {
    const files = this.#config.tls
    if (files === undefined) return undefined
    const { io } = this.#options
    return {
      role: 'server',
      certificate: await readText(io, files.certificate),
      key: await readText(io, files.key),
      clientAuthority: files.authority === undefined ? undefined : await readText(io, files.authority),
    }
  }

  #status(): Record<string, unknown> {
    const { io } = this.#options
    const opened = this.#opened?.opened
    const reason = this.#unready ?? (this.#member && lostMajority(this.#member.opened))
    return {
      ready: reason === undefined,
      reason,
      uptimeSeconds: Math.round((io.clock.monotonicMicros() - this.#startedMicros) / 1e6),
      data: this.#config.data,
      clients: this.#pg?.stats(),
      transactions:
        opened === undefined
          ? undefined
          : { active: opened.store.active.size, commits: opened.store.commits, rollbacks: opened.store.rollbacks },
      engine: opened?.engine.stats(),
      log: opened?.log?.stats(),
      ...(this.#member && clusterStatus(this.#member.opened)),
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    const { io } = this.#options
    this.#unready = 'stopping'
    if (this.#opened !== undefined) io.log.info('stopping', { clients: this.#pg?.stats().connections })
    this.#decommissioning?.stop()
    if (this.#member !== undefined) await drain(this.#member.opened)
    await this.#pg?.stop(this.#config.graceSeconds * 1000)
    await this.#opened?.close()
    await this.#http?.close()
    if (this.#opened !== undefined) io.log.info('stopped')
  }
}
