/**
 * An established connection to a peer: frames in both directions, and a probe for connections that died unseen.
 *
 * Not here: how it came about (acceptor.ts, dial.ts), which requests wait (pending.ts).
 */
import { AssertionError, DbError } from '../../base/index.ts'
import type { NodeId } from '../../cluster/index.ts'
import { Assembly } from './assembly.ts'
import { encodeFailure } from './failure.ts'
import {
  type FrameSink,
  flagPiece,
  kindAnswer,
  kindFailure,
  kindMessage,
  kindPing,
  kindPong,
  kindRequest,
  maxPayloadBytes,
  PeerFrameReader,
} from './frame.ts'
import type { Introduction } from './handshake.ts'
import type { Opening } from './opening.ts'
import { Outbox } from './outbox.ts'

/** Probes without any sign of life after which a connection counts as dead. */
const silentProbes = 4

export interface ConnectionOwner {
  message(from: NodeId, channel: number, bytes: Uint8Array): void
  request(connection: PeerConnection, service: number, id: number, body: Uint8Array): void
  answer(connection: PeerConnection, id: number, bytes: Uint8Array): void
  failure(connection: PeerConnection, id: number, bytes: Uint8Array): void
  closed(connection: PeerConnection, error: Error | undefined): void
  /** Runs something at the end of the loop's turn. */
  later(run: () => void): void
}

export class PeerConnection implements FrameSink {
  readonly peer: Introduction
  /** Whether the peer dialled it. */
  readonly incoming: boolean
  /** The number that its dialler gave it. */
  readonly number: number
  readonly outbox: Outbox
  readonly #opening: Opening
  readonly #owner: ConnectionOwner
  readonly #reader = new PeerFrameReader(this)
  readonly #assembly = new Assembly()
  #heard = true
  #silent = 0
  #closed = false

  constructor(opening: Opening, peer: Introduction, incoming: boolean, number: number, owner: ConnectionOwner) {
    this.peer = peer
    this.incoming = incoming
    this.number = number
    this.#opening = opening
    this.#owner = owner
    const { socket } = opening
    this.outbox = new Outbox(
      (bytes) => socket.write(bytes),
      (run) => owner.later(run),
    )
    socket.onDrain(() => this.outbox.drained())
  }

  /** Begins to deliver frames. */
  start(): void {
    const open = this.#opening.handOver(
      (chunk) => this.#data(chunk),
      (error) => this.#ended(error),
    )
    if (!open) this.#ended(undefined)
  }

  get closed(): boolean {
    return this.#closed
  }

  answer(id: number, bytes: Uint8Array): void {
    if (this.#closed) return
    if (bytes.length <= maxPayloadBytes) this.outbox.answer(id, bytes)
    else {
      const message = `an answer of ${bytes.length} bytes is longer than ${maxPayloadBytes}`
      this.fail(id, new DbError('program_limit_exceeded', message))
    }
  }

  fail(id: number, error: DbError): void {
    if (!this.#closed) this.outbox.failure(id, encodeFailure(error))
  }

  /** Called at even intervals; asks for a sign of life, and gives the connection up after some without any. */
  probe(): void {
    if (this.#heard) {
      this.#heard = false
      this.#silent = 0
      return
    }
    if (++this.#silent >= silentProbes) this.destroy(new DbError('connection_failure', 'the peer has gone silent'))
    else this.outbox.signal(kindPing)
  }

  /** Ends it without waiting for what is queued. */
  destroy(error: Error | undefined): void {
    if (this.#closed) return
    this.#opening.socket.destroy()
    this.#ended(error)
  }

  #data(chunk: Uint8Array): void {
    if (this.#closed) return
    this.#heard = true
    try {
      this.#reader.push(chunk)
    } catch (error) {
      if (!(error instanceof DbError)) throw error
      this.destroy(error)
    }
  }

  #ended(error: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#reader.stopped = true
    this.outbox.close()
    this.#owner.closed(this, error)
  }

  frame(kind: number, flags: number, service: number, id: number, payload: Uint8Array): void {
    if (flags !== 0) {
      if (flags !== flagPiece) throw new DbError('protocol_violation', `unknown flags of a frame: ${flags}`)
      const whole = this.#assembly.add(kind, id, payload)
      if (whole === undefined) return
      payload = whole
    }
    if (kind === kindMessage) this.#owner.message(this.peer.node, service, payload)
    else if (kind === kindRequest) this.#owner.request(this, service, id, payload)
    else if (kind === kindAnswer) this.#owner.answer(this, id, payload)
    else if (kind === kindFailure) this.#owner.failure(this, id, payload)
    else if (kind === kindPing) this.outbox.signal(kindPong)
    else if (kind !== kindPong) throw new DbError('protocol_violation', `unknown kind of frame: ${kind}`)
  }
}

/** What a handler raised, as the peer is told. */
export function reported(error: unknown): DbError {
  if (error instanceof DbError) return error
  const what = error instanceof AssertionError ? 'a broken invariant' : 'an internal error'
  return new DbError('internal_error', `${what} on the other node: ${(error as Error)?.message ?? String(error)}`)
}
