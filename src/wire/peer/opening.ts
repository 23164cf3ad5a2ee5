/**
 * A socket while its first packets are exchanged: at most one packet in each direction, within a time limit, in TLS
 * when there are certificates. Then the socket and what has arrived behind the packet are handed on.
 *
 * Not here: what the packets say (handshake.ts, acceptor.ts, dial.ts).
 */
import { DbError } from '../../base/index.ts'
import type { Io, Socket, Timer } from '../../io/index.ts'
import { type NodeCertificate, readNodeCertificate } from '../../security/index.ts'
import type { PeerTls } from './credentials.ts'
import { type Packet, PacketReader } from './handshake.ts'

export class Opening {
  readonly socket: Socket
  /** Of the other side, when TLS is used. */
  readonly certificate: NodeCertificate | undefined
  readonly #reader = new PacketReader()
  #packet: Packet | undefined
  #rest: Uint8Array[] = []
  #error: Error | undefined
  #closed = false
  #settle: (() => void) | undefined
  #onData: ((chunk: Uint8Array) => void) | undefined
  #onClose: ((error: Error | undefined) => void) | undefined

  private constructor(socket: Socket, certificate: NodeCertificate | undefined) {
    this.socket = socket
    this.certificate = certificate
    socket.onData((chunk) => this.#data(chunk))
    socket.onClose((error) => {
      this.#closed = true
      this.#error ??= error
      this.#settle?.()
      this.#onClose?.(error)
    })
  }

  /** Does the TLS handshake first, if there are certificates. Raises connection_failure, invalid_authorization_specification. */
  static async start(io: Io, raw: Socket, tls: PeerTls | undefined, role: 'client' | 'server'): Promise<Opening> {
    if (tls === undefined) return new Opening(raw, undefined)
    if (io.network.secure === undefined) throw new DbError('feature_not_supported', 'TLS cannot be had on this network')
    const socket = await io.network.secure(raw, role === 'client' ? tls.client : tls.server)
    try {
      return new Opening(socket, readNodeCertificate(socket.peerCertificate))
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  /** The other side's packet. Raises protocol_violation for garbage, connection_failure when it closes. */
  async packet(): Promise<Packet> {
    while (this.#packet === undefined) {
      if (this.#error instanceof DbError) throw this.#error
      if (this.#closed || this.#error) {
        throw new DbError('connection_failure', 'the connection was closed during the handshake', {
          cause: this.#error,
        })
      }
      await new Promise<void>((done) => {
        this.#settle = done
      })
    }
    return this.#packet
  }

  /** From now on bytes and the end go there; false when the connection is closed already. */
  handOver(onData: (chunk: Uint8Array) => void, onClose: (error: Error | undefined) => void): boolean {
    if (this.#closed) return false
    this.#onData = onData
    this.#onClose = onClose
    for (const chunk of this.#rest) if (chunk.length > 0) onData(chunk)
    this.#rest = []
    return true
  }

  /** Sends a last packet and waits until the other side has closed, not longer than `limitMs`. */
  async part(io: Io, packet: Uint8Array, limitMs: number): Promise<void> {
    this.socket.write(packet)
    this.socket.end()
    const timer = io.tasks.after(limitMs, () => this.socket.destroy())
    await new Promise<void>((done) => {
      const ended = () => done()
      if (!this.handOver(() => {}, ended)) done()
    })
    timer.cancel()
  }

  #data(chunk: Uint8Array): void {
    if (this.#onData !== undefined) this.#onData(chunk)
    else if (this.#packet !== undefined) this.#rest.push(chunk)
    else if (this.#error === undefined) {
      try {
        const complete = this.#reader.push(chunk)
        if (complete === undefined) return
        this.#packet = complete.packet
        this.#rest.push(complete.rest)
      } catch (error) {
        this.#error = error as Error
      }
      this.#settle?.()
    }
  }
}

/** Waits no longer than `limitMs`; what comes later is given to `late`. Raises connection_failure. */
export function within<T>(
  io: Io,
  limitMs: number,
  work: Promise<T>,
  what: string,
  late?: (value: T) => void,
): Promise<T> {
  return new Promise((done, fail) => {
    let over = false
    const timer: Timer = io.tasks.after(limitMs, () => {
      over = true
      fail(new DbError('connection_failure', `${what} took longer than ${limitMs} ms`))
    })
    work.then(
      (value) => {
        timer.cancel()
        if (over) late?.(value)
        else done(value)
      },
      (error) => {
        timer.cancel()
        if (!over) fail(error)
      },
    )
  })
}
