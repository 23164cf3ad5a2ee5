/**
 * One client's connection from accept to close.
 *
 *   accept ─► (TLS at once) ─► first messages ─► (TLS) ─► (SCRAM) ─► conversation ─► closed
 *               │ cancel request: acted on, closed
 *
 * An input chunk is dealt with in one synchronous pass, and its answers leave in one write. Only when a statement must
 * wait, yields or outruns the reader does `#drive` take over; input that comes meanwhile is kept, up to a limit.
 *
 * Not here: what messages mean to SQL (conversation.ts), how many connections there may be (pg-server.ts).
 */
import { DbError, END, type Step, WAIT, YIELD } from '../../base/index.ts'
import type { Io, SecureSocket, Socket, TlsServerOptions } from '../../io/index.ts'
import { firstCertificate, parseVerifier, ScramServer, serverEndPoint } from '../../security/index.ts'
import type { SqlDatabase, SqlSession } from '../../sql/session-api.ts'
import { SaslExchange } from './authentication.ts'
import { Conversation } from './conversation.ts'
import { FrameReader } from './frames.ts'
import { flushBytes, Outbox } from './outbox.ts'
import { applicationProtocol, localAddress } from './protocol.ts'
import * as messages from './server-messages.ts'
import { readFirstMessage, type StartupMessage } from './startup.ts'

/** What a connection needs to know of its server. */
export interface ConnectionContext {
  readonly io: Io
  readonly database: SqlDatabase
  readonly messageBytes: number
  readonly authenticationTimeoutMs: number
  readonly tls: TlsServerOptions | undefined
  /** Whether this peer must show a password, and whether it must use TLS. */
  needsPassword(address: string): boolean
  needsTls(address: string): boolean
  readonly mockSecret: Uint8Array
  /** True when a client that has authenticated is one too many. */
  full(): boolean
  closed(connection: Connection): void
}

type Phase = 'first' | 'upgrading' | 'authenticating' | 'session' | 'closed'

/** Input kept while a statement runs before the socket is paused; bytes. */
const keptBytes = 1024 * 1024
/** Messages of one pass after which other connections get their turn. */
const turnMessages = 512
/** The first byte of a TLS handshake; in clear it would be that of a first message of 369 MB. */
const clientHello = 0x16

export class Connection {
  readonly #context: ConnectionContext
  readonly #address: string
  #socket: Socket
  #outbox: Outbox
  #frames = new FrameReader()
  #phase: Phase = 'first'
  #secure = false
  /** Nothing has come in yet. */
  #fresh = true
  #startup: StartupMessage | undefined
  #exchange: SaslExchange | undefined
  #session: SqlSession | undefined
  #conversation: Conversation | undefined
  #busy = false
  #handling = false
  #flushScheduled = false
  #paused = false
  #timer: { cancel(): void } | undefined

  constructor(context: ConnectionContext, socket: Socket) {
    this.#context = context
    this.#socket = socket
    this.#address = socket.remoteAddress
    this.#outbox = new Outbox(socket)
    this.#timer = context.io.tasks.after(context.authenticationTimeoutMs, () => {
      this.#fatal(new DbError('query_canceled', 'canceling authentication due to timeout'))
    })
    this.#attach(socket)
  }

  /** Statements begun on this connection. */
  get statements(): number {
    return this.#conversation?.statements ?? 0
  }

  /** Ends the connection as soon as what runs on it is through. */
  stop(): void {
    if (this.#phase === 'closed') return
    if (this.#conversation === undefined) {
      this.#fatal(new DbError('admin_shutdown', 'terminating connection due to administrator command'))
      return
    }
    this.#conversation.stop()
    if (this.#conversation.ended) this.#finish()
  }

  /** Makes what runs fail with query_canceled. */
  cancel(): void {
    this.#session?.cancel()
  }

  /** Ends the connection at once. */
  destroy(): void {
    this.#socket.destroy()
  }

  #attach(socket: Socket): void {
    socket.onData((chunk) => this.#receive(chunk))
    socket.onClose(() => {
      if (socket === this.#socket) this.#gone()
    })
  }

  #receive(chunk: Uint8Array): void {
    if (this.#phase === 'closed') return
    if (this.#fresh) {
      this.#fresh = false
      if (chunk[0] === clientHello && this.#canSecure) {
        this.#secureFirst(chunk)
        return
      }
    }
    this.#frames.feed(chunk)
    if (!this.#busy) {
      const step = this.#pass()
      if (step !== END) void this.#drive(step)
      return
    }
    this.#frames.keep()
    if (this.#frames.unread > keptBytes && !this.#paused) {
      this.#paused = true
      this.#socket.pause()
    }
  }

  /** Deals with the messages that are there. END: none left. WAIT, YIELD: something is under way. */
  #pass(): Step {
    this.#handling = true
    let handled = 0
    let step: Step = END
    try {
      for (;;) {
        const conversation = this.#conversation
        if (conversation?.ended) {
          this.#finish()
          return END
        }
        // In this order: an ended or upgrading connection takes no more messages.
        if (this.#phase === 'closed' || this.#phase === 'upgrading' || !this.#frames.next()) break
        if (conversation === undefined) this.#handshake()
        else {
          step = conversation.handle(this.#frames)
          if (step !== END) return step
          if (++handled >= turnMessages || this.#outbox.blocked) return YIELD
          if (this.#outbox.writer.length >= flushBytes) this.#outbox.flush()
        }
      }
      if (this.#conversation === undefined || this.#conversation.takeFlushDue()) this.#outbox.flush()
    } catch (error) {
      this.#fatal(messages.asDbError(error))
    } finally {
      this.#handling = false
    }
    return END
  }

  /** Sees to it that what is under way comes to its end, then deals with the input that came meanwhile. */
  async #drive(step: Step): Promise<void> {
    const conversation = this.#conversation!
    const outbox = this.#outbox
    this.#busy = true
    this.#frames.keep()
    while (step !== END) {
      if (conversation.takeFlushDue()) outbox.flush()
      try {
        if (step === WAIT) await conversation.ready()
        else if (outbox.blocked) await outbox.drained()
        else await this.#context.io.tasks.yield()
        if (this.#phase === 'closed') break
        step = conversation.resume()
      } catch (error) {
        step = conversation.interrupted(error)
      }
      if (step === END) step = this.#pass()
    }
    this.#busy = false
    if (this.#phase === 'closed') this.#closeSession()
    else if (this.#paused) {
      this.#paused = false
      this.#socket.resume()
    }
  }

  #handshake(): void {
    if (this.#phase === 'first') this.#firstMessage()
    else if (this.#exchange!.take(this.#frames, this.#outbox.writer)) this.#openSession()
  }

  #firstMessage(): void {
    const first = readFirstMessage(this.#frames)
    const out = this.#outbox.writer
    switch (first.kind) {
      case 'gss':
        out.u8(0x4e) // N
        return
      case 'tls':
        if (this.#secure) throw new DbError('protocol_violation', 'TLS requested on a TLS connection')
        if (this.#canSecure) this.#upgrade()
        else out.u8(0x4e)
        return
      case 'cancel':
        this.#context.database.cancel(first.processId, first.secretKey)
        this.#finish()
        return
      case 'startup':
        this.#frames.typed()
        this.#startup = first
        if (first.negotiation) messages.writeNegotiation(out, first.negotiation.version, first.negotiation.options)
        this.#authenticate(first)
    }
  }

  /** Nobody listens in on a Unix domain socket: PostgreSQL offers no TLS there. */
  get #canSecure(): boolean {
    return (
      this.#context.tls !== undefined && this.#context.io.network.secure !== undefined && this.#address !== localAddress
    )
  }

  #upgrade(): void {
    // What follows in clear would be taken for part of the encrypted stream (CVE-2021-23214).
    if (this.#frames.unread > 0) {
      throw new DbError('protocol_violation', 'received unencrypted data after SSL request')
    }
    this.#outbox.writer.u8(0x53) // S
    this.#outbox.flush()
    this.#handOver(undefined, () => {})
  }

  /** A client that spares itself the question (sslnegotiation=direct) must name the protocol that it wants. */
  #secureFirst(hello: Uint8Array): void {
    this.#handOver(Uint8Array.from(hello), ({ protocol }) => {
      if (protocol === applicationProtocol) return
      const message = 'received direct SSL connection request without ALPN protocol negotiation extension'
      this.#fatal(new DbError('protocol_violation', message))
    })
  }

  #handOver(begun: Uint8Array | undefined, then: (socket: SecureSocket) => void): void {
    const plain = this.#socket
    this.#phase = 'upgrading'
    this.#context.io.network.secure!(plain, this.#context.tls!, begun).then(
      (socket: SecureSocket) => {
        if (this.#phase !== 'upgrading') {
          socket.destroy()
          return
        }
        this.#phase = 'first'
        this.#secure = true
        this.#socket = socket
        this.#outbox = new Outbox(socket)
        this.#attach(socket)
        then(socket)
      },
      (error: unknown) => {
        this.#context.io.log.info('tls-handshake-failed', {
          client: this.#address,
          reason: messages.asDbError(error).message,
        })
        plain.destroy()
      },
    )
  }

  #authenticate(startup: StartupMessage): void {
    const context = this.#context
    if (!this.#secure && context.needsTls(this.#address)) {
      throw new DbError('invalid_authorization_specification', 'this server accepts TLS connections only', {
        hint: 'Connect with sslmode=require or stronger.',
      })
    }
    if (!context.needsPassword(this.#address)) {
      this.#openSession()
      return
    }
    const stored = context.database.verifier(startup.user)
    const scram = new ScramServer({
      verifier: stored === undefined ? undefined : parseVerifier(stored),
      user: startup.user,
      random: context.io.random,
      mockSecret: context.mockSecret,
      channelBinding: this.#secure ? serverEndPoint(firstCertificate(context.tls!.certificate)) : undefined,
    })
    this.#phase = 'authenticating'
    this.#exchange = new SaslExchange(scram)
    this.#exchange.offer(this.#outbox.writer)
  }

  #openSession(): void {
    const { user, database, parameters } = this.#startup!
    if (this.#context.full()) throw new DbError('too_many_connections', 'sorry, too many clients already')
    const session = this.#context.database.connect({ user, database, parameters, client: this.#address })
    this.#session = session
    this.#timer?.cancel()
    this.#exchange = undefined
    this.#frames.limit = this.#context.messageBytes
    const conversation = new Conversation(session, this.#outbox, this.#context.io.log)
    conversation.onIdleOutput = () => this.#idleOutput()
    this.#phase = 'session'
    this.#outbox.writer.raw(messages.authenticationOk)
    conversation.greet()
    this.#outbox.flush()
    this.#conversation = conversation
  }

  /** Notifications and the like that come while nothing is asked: one write for all of a turn. */
  #idleOutput(): void {
    if (this.#handling || this.#flushScheduled || this.#phase === 'closed') return
    this.#flushScheduled = true
    void this.#context.io.tasks.yield().then(() => {
      this.#flushScheduled = false
      if (this.#phase === 'closed') return
      if (this.#conversation?.ended) this.#finish()
      else this.#outbox.flush()
    })
  }

  /** Ends the connection with an error that it cannot survive. */
  #fatal(error: DbError): void {
    if (this.#phase === 'closed') return
    if (error.code === 'internal_error')
      this.#context.io.log.error('connection-failed-internally', { stack: messages.stackOf(error.cause ?? error) })
    else {
      const { sqlstate, message } = error
      this.#context.io.log.info('connection-refused', { client: this.#address, sqlstate, message })
    }
    messages.writeError(this.#outbox.writer, 'FATAL', error)
    this.#finish()
  }

  /** Sends what is left and closes. */
  #finish(): void {
    this.#outbox.flush()
    this.#socket.end()
    this.#gone()
  }

  /** The connection is over, whoever ended it. */
  #gone(): void {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#timer?.cancel()
    this.#outbox.close()
    if (this.#busy) this.#session?.cancel()
    else this.#closeSession()
    this.#context.closed(this)
  }

  #closeSession(): void {
    const session = this.#session
    this.#session = undefined
    try {
      session?.close()
    } catch (error) {
      this.#context.io.log.error('session-close-failed', { stack: messages.stackOf(error) })
    }
  }
}
