/**
 * TCP and Unix domain sockets. Nagle's delay is off: callers write whole answers.
 *
 * Not here: protocols, TLS handshakes (tls.ts, loaded when first needed).
 */
import { createServer, type Socket as NetSocket, connect as netConnect } from 'node:net'
import { basename, dirname } from 'node:path'
import { assert, DbError } from '../../base/index.ts'
import type { Listener, Network, SecureSocket, Socket, TlsClientOptions, TlsServerOptions } from '../ports.ts'
import { systemError } from './system-error.ts'
import { listenAtName } from './unix-socket.ts'

/** A peer that vanished without a word is found out after this long without traffic, then some probes. */
const keepAliveMs = 60_000
/** The kernel's addresses of Unix domain sockets hold so many bytes on Linux; others have a few less. */
const longestPath = 103

export class NodeNetwork implements Network {
  listen(host: string, port: number, accept: (socket: Socket) => void): Promise<Listener> {
    if (host.startsWith('/')) return listenLocally(host, accept)
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
      const local = host.startsWith('/')
      const socket = netConnect(local ? { path: host } : { host, port, noDelay: true })
      const where = local ? host : `${host}:${port}`
      const failed = (error: Error) => fail(systemError(error, `connect to ${where}`, 'connection_failure'))
      socket.once('error', failed)
      socket.once('connect', () => {
        socket.off('error', failed)
        done(new TcpSocket(socket, local))
      })
    })
  }

  async secure(
    socket: Socket,
    options: TlsServerOptions | TlsClientOptions,
    begun?: Uint8Array,
  ): Promise<SecureSocket> {
    assert(socket instanceof TcpSocket, 'a socket of this network')
    const stream = socket.release()
    if (begun !== undefined) stream.unshift(begun)
    const { secureSocket } = await import('./tls.ts')
    return secureSocket(stream, options)
  }
}

async function listenLocally(path: string, accept: (socket: Socket) => void): Promise<Listener> {
  if (process.platform === 'win32')
    throw new DbError('feature_not_supported', 'Unix domain sockets are not available on this system')
  if (Buffer.byteLength(path) > longestPath)
    throw new DbError('invalid_parameter_value', `the path of a Unix domain socket is too long: ${path}`, {
      hint: `It may have ${longestPath} bytes. Choose a directory with a shorter path.`,
    })
  const server = createServer((socket) => accept(new TcpSocket(socket, true)))
  const taken = () =>
    new DbError('lock_file_exists', `could not listen on ${path}: another process listens there`, {
      hint: 'Stop that process, or choose another directory or another port.',
    })
  let release: () => void
  try {
    release = await listenAtName(server, dirname(path), basename(path), 0o700, taken)
  } catch (error) {
    throw systemError(error, `listen on ${path}`)
  }
  return {
    port: 0,
    close: () => {
      release()
      return new Promise((closed) => server.close(() => closed()))
    },
  }
}

export class TcpSocket implements Socket {
  readonly #socket: NetSocket
  readonly #local: boolean
  #error: Error | undefined

  constructor(socket: NetSocket, local = false) {
    this.#socket = socket
    this.#local = local
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
    if (this.#local) return '[local]'
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
