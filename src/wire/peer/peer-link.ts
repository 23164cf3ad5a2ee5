/**
 * All there is about one peer: where it is, the connection to it, or the attempts to get one.
 *
 *   idle ──address, send, request──▶ dialling ──▶ connected ──lost──▶ dialling …
 *                                      │  ▲
 *                                failed▼  │after a pause that doubles, with jitter
 *                                     pausing          messages are dropped, requests refused at once
 *
 * Not here: incoming connections (acceptor.ts decides, `adopt` takes them).
 */
import { type NodeId, RemoteFailure } from '../../cluster/index.ts'
import type { Io, Timer } from '../../io/index.ts'
import { type DialOptions, dial } from './dial.ts'
import { decodeFailure } from './failure.ts'
import { maxPayloadBytes } from './frame.ts'
import { type Introduction, Refusal } from './handshake.ts'
import { maxQueuedBytes } from './outbox.ts'
import { type ConnectionOwner, PeerConnection } from './peer-connection.ts'
import { type Pending, PendingRequests } from './pending.ts'

const firstPauseMs = 50
const longestPauseMs = 2000
/** Requests to one peer at a time. */
const maxPending = 65_536

export interface LinkContext extends DialOptions {
  readonly io: Io
  readonly owner: ConnectionOwner
  introduction(): Introduction
  up(peer: NodeId, incarnation: number): void
  down(peer: NodeId, incarnation: number): void
  dropped(): void
}

interface Waiting {
  /** Of a request; a message has none. */
  readonly pending: Pending | undefined
  /** Channel or service. */
  readonly target: number
  readonly bytes: Uint8Array
}

export class PeerLink {
  readonly node: NodeId
  readonly #context: LinkContext
  readonly #pending: PendingRequests
  #host = ''
  #port = 0
  #connection: PeerConnection | undefined
  /** Number of the dial under way; 0 for none. */
  #dialling = 0
  #retry: Timer | undefined
  #pauseMs = firstPauseMs
  #duplicates = 0
  #failure = 'its address is not known'
  #waiting: Waiting[] = []
  #waitingBytes = 0
  /** The number of the last connection that was lost. */
  #lost = 0
  #closed = false

  constructor(context: LinkContext, node: NodeId) {
    this.#context = context
    this.node = node
    this.#pending = new PendingRequests(context.io, node)
  }

  get connection(): PeerConnection | undefined {
    return this.#connection
  }

  get dialling(): boolean {
    return this.#dialling !== 0
  }

  setAddress(host: string, port: number): void {
    if (host === this.#host && port === this.#port) return
    this.#host = host
    this.#port = port
    if (this.#connection !== undefined || this.#dialling !== 0) return
    this.#retry?.cancel()
    this.#retry = undefined
    this.#pauseMs = firstPauseMs
    this.#dial()
  }

  send(channel: number, bytes: Uint8Array): void {
    const connection = this.#connection
    if (bytes.length > maxPayloadBytes) this.#context.dropped()
    else if (connection !== undefined) {
      if (connection.outbox.full) this.#context.dropped()
      else connection.outbox.message(channel, bytes)
    } else if (!this.#reachable() || this.#waitingBytes + bytes.length > maxQueuedBytes) this.#context.dropped()
    else this.#wait(undefined, channel, bytes)
  }

  request(service: number, body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    return new Promise((done, fail) => {
      const refuse = (why: string) =>
        fail(new RemoteFailure('connection_failure', `node ${this.node} cannot be reached: ${why}`, false))
      const connection = this.#connection
      if (body.length > maxPayloadBytes) {
        fail(new RemoteFailure('program_limit_exceeded', `a request of ${body.length} bytes is too long`, false))
      } else if (connection !== undefined ? connection.outbox.full : this.#waitingBytes > maxQueuedBytes) {
        refuse('too much waits to be sent to it')
      } else if (this.#pending.size >= maxPending) refuse('too many requests wait for it')
      else if (connection !== undefined) {
        const pending = this.#pending.add(timeoutMs, done, fail)
        connection.outbox.request(service, pending.id, body, pending)
      } else if (!this.#reachable()) refuse(this.#failure)
      else this.#wait(this.#pending.add(timeoutMs, done, fail), service, body)
    })
  }

  answer(id: number, bytes: Uint8Array): void {
    this.#pending.take(id)?.done(bytes)
  }

  failure(id: number, bytes: Uint8Array): void {
    this.#pending.take(id)?.fail(decodeFailure(bytes))
  }

  /** Takes a connection into use in place of what there was. */
  adopt(connection: PeerConnection): void {
    this.#connection?.destroy(undefined)
    this.#dialling = 0
    this.#retry?.cancel()
    this.#retry = undefined
    this.#pauseMs = firstPauseMs
    this.#duplicates = 0
    this.#connection = connection
    // Until membership knows better, the node is where it says it is.
    if (this.#host === '') {
      this.#host = connection.peer.host
      this.#port = connection.peer.port
    }
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    for (const { pending, target, bytes } of waiting) {
      if (pending === undefined) connection.outbox.message(target, bytes)
      else if (!pending.cancelled) connection.outbox.request(target, pending.id, bytes, pending)
    }
    this.#context.up(this.node, connection.peer.incarnation)
    connection.start()
  }

  /** The connection ended. */
  lost(connection: PeerConnection, error: Error | undefined): void {
    if (connection !== this.#connection) return
    this.#connection = undefined
    this.#lost = connection.number
    this.#context.io.log.debug('peer-lost', { node: this.node, reason: error?.message })
    this.#failAll('its connection was lost')
    this.#context.down(this.node, connection.peer.incarnation)
    // A handler of `down` may have sent something, and so dialled already.
    if (this.#dialling === 0 && this.#connection === undefined) this.#pause()
  }

  close(): void {
    this.#closed = true
    this.#dialling = 0
    this.#retry?.cancel()
    this.#connection?.destroy(undefined)
    this.#failAll('this node is stopping')
  }

  #failAll(why: string): void {
    this.#failure = why
    this.#waiting = []
    this.#waitingBytes = 0
    this.#pending.failAll(
      `node ${this.node} cannot be reached: ${why}`,
      `the connection to node ${this.node} was lost before it answered`,
    )
  }

  /** Whether a connection can be had soon; dials when nothing stands against it. */
  #reachable(): boolean {
    if (this.#closed || this.#host === '') return false
    if (this.#dialling === 0 && this.#retry === undefined) this.#dial()
    return this.#dialling !== 0 || this.#duplicates > 0
  }

  #wait(pending: Pending | undefined, target: number, bytes: Uint8Array): void {
    this.#waiting.push({ pending, target, bytes })
    this.#waitingBytes += bytes.length
  }

  #pause(): void {
    if (this.#closed || this.#host === '') return
    const { io } = this.#context
    const pauseMs = this.#pauseMs / 2 + io.random.below(this.#pauseMs) / 2
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs)
    this.#retry = io.tasks.after(pauseMs, () => {
      this.#retry = undefined
      if (this.#connection === undefined && this.#dialling === 0) this.#dial()
    })
  }

  #dial(): void {
    const { io, owner } = this.#context
    const number = io.random.below(0xffff_fffe) + 1
    this.#dialling = number
    const hello = { ...this.#context.introduction(), connection: number, lost: this.#lost }
    dial(this.#context, this.#host, this.#port, hello, this.node).then(
      ({ opening, peer }) => {
        // Another connection was adopted meanwhile, or we are stopping.
        if (io.dead || this.#dialling !== number) opening.socket.destroy()
        else this.adopt(new PeerConnection(opening, peer, false, number, owner))
      },
      (error) => {
        if (!io.dead && this.#dialling === number) this.#dialFailed(error as Error)
      },
    )
  }

  #dialFailed(error: Error): void {
    this.#dialling = 0
    // The peer says that its own dial is under way: what waits can go on waiting for it, a few times.
    if (error instanceof Refusal && error.reason === 'duplicate' && ++this.#duplicates <= 3) {
      this.#pauseMs = firstPauseMs
      this.#pause()
      return
    }
    this.#duplicates = 0
    const { log } = this.#context.io
    const fields = { node: this.node, host: this.#host, port: this.#port, reason: error.message }
    if (error instanceof Refusal) log.warn('peer-refused-us', fields)
    else log.debug('peer-unreachable', fields)
    this.#pause()
    this.#failAll(error.message)
  }
}
