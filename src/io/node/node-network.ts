/**
 * TCP. Nagle's delay is off: callers write whole answers.
 *
 * Not here: protocols, TLS handshakes (tls.ts, loaded when first needed).
 */
import { createServer, type Socket as NetSocket, connect as netConnect } from 'node:net'
import { assert } from '../../base/index.ts'
import type { Listener, Network, SecureSocket, Socket, TlsClientOptions, TlsServerOptions } from '../ports.ts'
import { systemError } from './system-error.ts'

/** A peer that vanished without a word is found out after this long without traffic, then some probes. */
const keepAliveMs = 60_000

export class NodeNetwork implements Network {
  listen(host: string, port: number, accept: (socket: Socket) => void): Promise<Listener> {
    return new Promise((done, fail) => {
      const open = new Set<NetSocket>()
      const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs }, (socket) => {
        open.add(socket)
        socket.once('close', () => open.delete(socket))
        accept(new TcpSocket(socket))
      })
      const failed = (error: Error) => fail(systemError(error, `listen on ${host}:${port}`))
      server.once('error', failed)
      server.listen(port, host, () => {
        server.off('error', failed)
        const address = server.address()
        done({
          port: typeof address === 'object' && address ? address.port : port,
          close: () => new Promise((closed) => server.close(() => closed())),
        })
      })
    })
  }

  connect(host: string, port: number): Promise<Socket> {
    return new Promise((done, fail) => {
      const socket = netConnect({ host, port, noDelay: true })
      const failed = (error: Error) => fail(systemError(error, `connect to ${host}:${port}`, 'connection_failure'))
      socket.once('error', failed)
      socket.once('connect', () => {
        socket.off('error', failed)
        done(new TcpSocket(socket))
      })
    })
  }

  async secure(socket: Socket, options: TlsServerOptions | TlsClientOptions): Promise<SecureSocket> {
    assert(socket instanceof TcpSocket, 'a socket of this network')
    const stream = socket.release()
    const { secureSocket } = await import('./tls.ts')
    return secureSocket(stream, options)
  }
}

export class TcpSocket implements Socket {
  readonly #socket: NetSocket
  #error: Error | undefined

  constructor(socket: NetSocket) {
    this.#socket = socket
    socket.on('error', (error) => {
      this.#error = error
    })
  }

  /** The stream below, for a layer that takes over; what comes in before it listens is held back. */
  release(): NetSocket {
    this.#socket.pause()
    this.#socket.removeAllListeners('data')
    return this.#socket
  }

  get remoteAddress(): string {
    return `${this.#socket.remoteAddress ?? ''}:${this.#socket.remotePort ?? 0}`
  }

  write(bytes: Uint8Array): boolean {
    return this.#socket.write(bytes)
  }

  onData(handler: (chunk: Uint8Array) => void): void {
    this.#socket.on('data', handler)
  }

  onDrain(handler: () => void): void {
    this.#socket.on('drain', handler)
  }

  onClose(handler: (error: Error | undefined) => void): void {
    this.#socket.once('close', () => handler(this.#error))
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}
