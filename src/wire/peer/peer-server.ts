/**
 * The peer port of a node, and the transport behind it: one connection per pair of nodes carries messages and requests
 * of all parts. Documented for other implementations in docs/formats/peer.md.
 *
 * Not here: membership (cluster/), what the messages mean.
 */
import { assert, DbError, microtask } from '../../base/index.ts'
import type { NodeId, NodeIdentity, Transport } from '../../cluster/index.ts'
import type { Io, Listener, Socket, Timer } from '../../io/index.ts'
import { type AcceptorContext, accept } from './acceptor.ts'
import { checkPeerExposure, type PeerCertificates, peerTls } from './credentials.ts'
import type { Hello, Introduction } from './handshake.ts'
import type { JoinHandler } from './join.ts'
import type { Opening } from './opening.ts'
import { type ConnectionOwner, PeerConnection, reported } from './peer-connection.ts'
import { type LinkContext, PeerLink } from './peer-link.ts'

export interface PeerServerOptions {
  readonly io: Io
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** Where other nodes reach this one, when that is not where it listens. */
  readonly advertise?: { readonly host: string; readonly port?: number }
  readonly identity: Pick<NodeIdentity, 'clusterId' | 'nodeId' | 'token' | 'incarnation'>
  /** With them all connections are mutual TLS. Without them only this host is talked to, unless `insecure`. */
  readonly certificates?: PeerCertificates
  readonly insecure?: boolean
  /** Takes new nodes in; absent, they are told to ask later. */
  readonly join?: JoinHandler
  /** For each step of a handshake. Default 5,000. */
  readonly handshakeMs?: number
}

export interface PeerStats {
  readonly connections: number
  /** Messages dropped because the peer was unreachable or its queue full. */
  readonly dropped: number
  /** Incoming connections that were not let in, by reason. */
  readonly refused: Readonly<Record<string, number>>
}

/** Connections in the middle of their handshake; more are closed at once. */
const maxOpening = 256
const probeMs = 3000

type MessageHandler = (from: NodeId, bytes: Uint8Array) => void
type RequestHandler = (from: NodeId, body: Uint8Array) => Uint8Array | Promise<Uint8Array>
type PeerHandler = (peer: NodeId, event: 'up' | 'down', incarnation: number) => void

export const PeerServer = {
  /**
   * Listens. Raises object_in_use when the port is taken, config_file_error when the address is open to others and
   * there are no certificates.
   */
  start(options: PeerServerOptions): Promise<PeerTransport> {
    return PeerTransport.start(options)
  },
}

export class PeerTransport implements Transport {
  readonly self: NodeId
  readonly #io: Io
  readonly #options: PeerServerOptions
  readonly #links = new Map<NodeId, PeerLink>()
  readonly #channels: (MessageHandler | undefined)[] = []
  readonly #services: (RequestHandler | undefined)[] = []
  readonly #peerHandlers: PeerHandler[] = []
  readonly #refused: Record<string, number> = {}
  readonly #run: string
  readonly #owner: ConnectionOwner
  readonly #context: LinkContext
  readonly #acceptor: AcceptorContext
  readonly #opening = new Set<Socket>()
  #join: JoinHandler | undefined
  #listener!: Listener
  #probe: Timer | undefined
  #dropped = 0
  #closed = false

  private constructor(options: PeerServerOptions) {
    this.#options = options
    this.#io = options.io
    this.#run = Buffer.from(options.io.random.bytes(8)).toString('hex')
    this.self = options.identity.nodeId
    this.#join = options.join
    const tls = options.certificates && peerTls(options.certificates)
    const shared = {
      io: options.io,
      tls,
      handshakeMs: options.handshakeMs ?? 5000,
      introduction: () => this.#introduction(),
    }
    this.#owner = {
      message: (from, channel, bytes) => this.#deliver(from, channel, bytes),
      request: (connection, service, id, body) => this.#serve(connection, service, id, body),
      answer: (connection, id, bytes) => this.#links.get(connection.peer.node)?.answer(id, bytes),
      failure: (connection, id, bytes) => this.#links.get(connection.peer.node)?.failure(id, bytes),
      closed: (connection, error) => this.#links.get(connection.peer.node)?.lost(connection, error),
      later: (run) => {
        this.#io.tasks.yield().then(run)
      },
    }
    this.#context = {
      ...shared,
      insecure: options.insecure === true,
      owner: this.#owner,
      up: (peer, incarnation) => this.#tell(peer, 'up', incarnation),
      down: (peer, incarnation) => this.#tell(peer, 'down', incarnation),
      dropped: () => {
        this.#dropped++
      },
    }
    const sponsor = () => this.#join
    this.#acceptor = {
      ...shared,
      get join() {
        return sponsor()
      },
      stateOf: (node) => this.#links.get(node) ?? { connection: undefined, dialling: false },
      accepted: (opening, hello) => this.#accepted(opening, hello),
      refused: (reason) => {
        this.#refused[reason] = (this.#refused[reason] ?? 0) + 1
      },
    }
  }

  static async start(options: PeerServerOptions): Promise<PeerTransport> {
    checkPeerExposure(options.host, options.certificates !== undefined, options.insecure === true)
    const transport = new PeerTransport(options)
    transport.#listener = await options.io.network.listen(options.host, options.port, (socket) =>
      transport.#incoming(socket),
    )
    transport.#probeLater()
    return transport
  }

  /** Where it listens. */
  get port(): number {
    return this.#listener.port
  }

  stats(): PeerStats {
    let connections = 0
    for (const link of this.#links.values()) if (link.connection !== undefined) connections++
    return { connections, dropped: this.#dropped, refused: { ...this.#refused } }
  }

  /** From now on new nodes are taken in by this handler. */
  sponsor(join: JoinHandler): void {
    this.#join = join
  }

  send(to: NodeId, channel: number, bytes: Uint8Array): void {
    if (this.#closed || this.#io.dead) return
    if (to === this.self) {
      microtask(() => this.#deliver(to, channel, bytes))
    } else this.#link(to).send(channel, bytes)
  }

  request(to: NodeId, service: number, body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return to === this.self ? this.#local(service, body) : this.#link(to).request(service, body, timeoutMs)
  }

  onMessage(channel: number, handler: MessageHandler): void {
    this.#channels[channel] = handler
  }

  onRequest(service: number, handler: RequestHandler): void {
    assert(this.#services[service] === undefined, `service ${service} has one handler`)
    this.#services[service] = handler
  }

  onPeer(handler: PeerHandler): void {
    this.#peerHandlers.push(handler)
  }

  setAddress(node: NodeId, host: string, port: number): void {
    if (node !== this.self && !this.#closed) this.#link(node).setAddress(host, port)
  }

  /** Gives up on a node that left or is dead for good: its connection is closed, it is not dialled any more. */
  forget(node: NodeId): void {
    this.#links.get(node)?.close()
    this.#links.delete(node)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#probe?.cancel()
    const closed = this.#listener.close()
    for (const socket of this.#opening) socket.destroy()
    for (const link of this.#links.values()) link.close()
    await closed
  }

  #link(node: NodeId): PeerLink {
    let link = this.#links.get(node)
    if (link === undefined) {
      link = new PeerLink(this.#context, node)
      this.#links.set(node, link)
    }
    return link
  }

  #introduction(): Introduction {
    const { identity, advertise, host } = this.#options
    return {
      cluster: identity.clusterId,
      node: identity.nodeId,
      token: identity.token,
      incarnation: identity.incarnation,
      run: this.#run,
      host: advertise?.host ?? host,
      port: advertise?.port ?? this.port,
    }
  }

  #incoming(socket: Socket): void {
    if (this.#closed || this.#opening.size >= maxOpening) {
      socket.destroy()
      return
    }
    this.#opening.add(socket)
    void accept(this.#acceptor, socket).then(() => this.#opening.delete(socket))
  }

  #accepted(opening: Opening, hello: Hello): void {
    if (this.#closed) opening.socket.destroy()
    else this.#link(hello.node).adopt(new PeerConnection(opening, hello, true, hello.connection, this.#owner))
  }

  #probeLater(): void {
    this.#probe = this.#io.tasks.after(probeMs, () => {
      for (const link of this.#links.values()) link.connection?.probe()
      this.#probeLater()
    })
  }

  #tell(peer: NodeId, event: 'up' | 'down', incarnation: number): void {
    if (this.#closed || this.#io.dead) return
    for (const handler of this.#peerHandlers) handler(peer, event, incarnation)
  }

  #deliver(from: NodeId, channel: number, bytes: Uint8Array): void {
    if (this.#closed || this.#io.dead) return
    try {
      this.#channels[channel]?.(from, bytes)
    } catch (error) {
      this.#io.fatal(`the handler of messages on channel ${channel} failed`, error)
    }
  }

  async #local(service: number, body: Uint8Array): Promise<Uint8Array> {
    return this.#service(service)(this.self, body)
  }

  #service(service: number): RequestHandler {
    const handler = this.#services[service]
    if (handler !== undefined) return handler
    throw new DbError('feature_not_supported', `node ${this.self} has no service ${service}`)
  }

  #serve(connection: PeerConnection, service: number, id: number, body: Uint8Array): void {
    if (this.#closed || this.#io.dead) return
    try {
      if (connection.outbox.full) throw new DbError('insufficient_resources', 'too many answers wait to be sent to you')
      const result = this.#service(service)(connection.peer.node, body)
      if (result instanceof Uint8Array) connection.answer(id, result)
      else {
        result.then(
          (bytes) => connection.answer(id, bytes),
          (error) => this.#serviceFailed(connection, service, id, error),
        )
      }
    } catch (error) {
      this.#serviceFailed(connection, service, id, error)
    }
  }

  #serviceFailed(connection: PeerConnection, service: number, id: number, error: unknown): void {
    if (!(error instanceof DbError)) this.#io.log.error('peer-service-failed', { service, error })
    connection.fail(id, reported(error))
  }
}
