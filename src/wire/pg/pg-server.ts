/**
 * The PostgreSQL front door of a node: listens, counts connections, decides who needs TLS and a password, stops
 * gracefully.
 *
 *   peer            passwords          TLS
 *   loopback        as configured      optional
 *   Unix socket     as configured      never
 *   elsewhere       SCRAM              required        (both waived by `insecure`)
 *
 * Not here: the protocol (connection.ts, conversation.ts), SQL (sql/).
 */
import { DbError } from '../../base/index.ts'
import type { Io, Listener, Socket, TlsServerOptions } from '../../io/index.ts'
import type { SqlDatabase } from '../../sql/session-api.ts'
import { Connection, type ConnectionContext } from './connection.ts'
import { applicationProtocol, defaultMessageBytes, localAddress } from './protocol.ts'

export interface PgServerOptions {
  readonly io: Io
  /** Absent: clients are told that the node is starting (57P03) until `serve`. */
  readonly database?: SqlDatabase
  readonly host: string
  /** 0 picks a free port. */
  readonly port: number
  /** A directory: the server also listens at DIRECTORY/.s.PGSQL.PORT in it, where libpq looks. Absolute. */
  readonly socket?: string
  /** Clients at once; one more gets too_many_connections. Default 500. */
  readonly maxConnections?: number
  /** From accept to the end of authentication. Default 60,000. */
  readonly authenticationTimeoutMs?: number
  /** Longest message after authentication. Default 64 MiB. */
  readonly messageBytes?: number
  readonly tls?: TlsServerOptions
  /** Whether clients on this host must show a password too. Default false. */
  readonly loopbackPasswords?: boolean
  /** Neither passwords nor TLS are asked of anybody. Default false. */
  readonly insecure?: boolean
}

export interface PgServerStats {
  readonly connections: number
  readonly connectionsAccepted: number
  readonly statements: number
}

/** Where libpq looks for the socket of a server in a directory. */
export function socketPath(directory: string, port: number): string {
  return `${directory.replace(/\/+$/, '')}/.s.PGSQL.${port}`
}

/** Whether an address (with or without port) is of this host. */
export function isLoopback(address: string): boolean {
  if (address === localAddress) return true
  const bare = address.replace(/^\[/, '').replace(/^::ffff:/i, '')
  return bare === '' || /^(127\.|localhost($|:)|::1($|\]|:\d+$))/i.test(bare)
}

/** Connections that have not authenticated count too, so that nobody fills memory with half-open ones. */
const pendingConnections = 100

export class PgServer {
  readonly #options: PgServerOptions
  readonly #connections = new Set<Connection>()
  readonly #listeners: readonly Listener[]
  #database: SqlDatabase | undefined
  #accepted = 0
  #finishedStatements = 0
  #stopping = false
  #empty: (() => void) | undefined

  private constructor(options: PgServerOptions, listeners: readonly Listener[]) {
    this.#options = options
    this.#listeners = listeners
    this.#database = options.database
  }

  /** Listens. Raises object_in_use when the port is taken, lock_file_exists when the socket is. */
  static async start(options: PgServerOptions): Promise<PgServer> {
    const maxConnections = options.maxConnections ?? 500
    let server: PgServer | undefined
    const context: ConnectionContext = {
      io: options.io,
      get database() {
        return server!.#serving()
      },
      messageBytes: options.messageBytes ?? defaultMessageBytes,
      authenticationTimeoutMs: options.authenticationTimeoutMs ?? 60_000,
      tls: options.tls && { ...options.tls, protocol: applicationProtocol },
      needsPassword: (address) =>
        options.insecure !== true && (options.loopbackPasswords === true || !isLoopback(address)),
      needsTls: (address) => options.insecure !== true && !isLoopback(address),
      mockSecret: options.io.random.bytes(32),
      full: () => server!.#connections.size > maxConnections,
      closed: (connection) => server!.#closed(connection),
    }
    const accept = (socket: Socket) => {
      if (server === undefined || server.#stopping || server.#connections.size >= maxConnections + pendingConnections) {
        socket.destroy()
        return
      }
      server.#accepted++
      server.#connections.add(new Connection(context, socket))
    }
    const { network } = options.io
    const listeners = [await network.listen(options.host, options.port, accept)]
    try {
      const path = options.socket && socketPath(options.socket, listeners[0].port)
      if (path !== undefined) listeners.push(await network.listen(path, 0, accept))
    } catch (error) {
      await listeners[0].close()
      throw error
    }
    server = new PgServer(options, listeners)
    return server
  }

  /** From now on clients are served. */
  serve(database: SqlDatabase): void {
    this.#database = database
  }

  #serving(): SqlDatabase {
    if (this.#database !== undefined) return this.#database
    throw new DbError('cannot_connect_now', 'the database system is starting up')
  }

  get port(): number {
    return this.#listeners[0].port
  }

  stats(): PgServerStats {
    let statements = this.#finishedStatements
    for (const connection of this.#connections) statements += connection.statements
    return { connections: this.#connections.size, connectionsAccepted: this.#accepted, statements }
  }

  /**
   * Accepts nobody any more, closes idle connections, lets running statements end for up to `graceMs`, then cancels
   * them, and after one more second closes what is left.
   */
  async stop(graceMs: number): Promise<void> {
    if (this.#stopping) return
    this.#stopping = true
    const closed = Promise.all(this.#listeners.map((listener) => listener.close()))
    for (const connection of [...this.#connections]) connection.stop()
    const { tasks } = this.#options.io
    const cancel = tasks.after(graceMs, () => {
      for (const connection of this.#connections) connection.cancel()
    })
    const destroy = tasks.after(graceMs + 1000, () => {
      for (const connection of [...this.#connections]) connection.destroy()
    })
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        this.#empty = resolve
      })
    }
    cancel.cancel()
    destroy.cancel()
    await closed
  }

  #closed(connection: Connection): void {
    if (!this.#connections.delete(connection)) return
    this.#finishedStatements += connection.statements
    if (this.#connections.size === 0) this.#empty?.()
  }
}
