/**
 * TLS over a socket that is already open, as PostgreSQL's protocol wants it: both sides first agree in clear.
 *
 * Not here: issuing certificates (security/certificates.ts), when to ask for TLS (wire/pg).
 */
import { isIP, type Socket as NetSocket } from 'node:net'
import { createServer, type Server, type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { SecureSocket, TlsClientOptions, TlsServerOptions } from '../ports.ts'
import { TcpSocket } from './node-network.ts'
import { systemError } from './system-error.ts'

class NodeSecureSocket extends TcpSocket implements SecureSocket {
  readonly peerCertificate: Uint8Array | undefined
  readonly protocol: string | undefined

  constructor(stream: TLSSocket) {
    super(stream)
    this.peerCertificate = stream.getPeerCertificate()?.raw
    this.protocol = stream.alpnProtocol || undefined
  }
}

/** Gives the stream's handlers up and does the handshake. Raises connection_failure. */
export function secureSocket(stream: NetSocket, options: TlsServerOptions | TlsClientOptions): Promise<SecureSocket> {
  stream.removeAllListeners('data')
  stream.removeAllListeners('drain')
  return new Promise((done, fail) => {
    const failed = (error: Error) => fail(systemError(error, 'establish a TLS connection', 'connection_failure'))
    const cut = () => failed(new Error('connection closed during the handshake'))
    const ready = (secure: TLSSocket) => {
      stream.off('close', cut)
      secure.off('error', failed)
      done(new NodeSecureSocket(secure))
    }
    stream.once('close', cut)
    if (options.role === 'server') serverOf(options).accept(stream, ready, failed)
    else {
      const secure = clientSide(stream, options)
      secure.once('error', failed)
      secure.once('secureConnect', () => ready(secure))
    }
  })
}

/**
 * A TLS server that listens nowhere: it is handed connections. One per set of certificates, which are parsed once; it
 * is the server, not the socket, that checks client certificates.
 */
class HandshakeServer {
  readonly #server: Server
  readonly #waiting = new Map<string, { ready: (secure: TLSSocket) => void; failed: (error: Error) => void }>()

  constructor(options: TlsServerOptions) {
    this.#server = createServer({
      cert: options.certificate,
      key: options.key,
      ca: options.clientAuthority,
      requestCert: options.clientAuthority !== undefined,
      rejectUnauthorized: options.requireClient === true,
      minVersion: 'TLSv1.2',
      ALPNProtocols: options.protocol === undefined ? undefined : [options.protocol],
    })
    this.#server.on('secureConnection', (secure) => this.#take(secure)?.ready(secure))
    this.#server.on('tlsClientError', (error, secure) => this.#take(secure)?.failed(error))
  }

  accept(stream: NetSocket, ready: (secure: TLSSocket) => void, failed: (error: Error) => void): void {
    const name = peerName(stream)
    this.#waiting.set(name, { ready, failed })
    stream.once('close', () => this.#waiting.delete(name))
    this.#server.emit('connection', stream)
  }

  #take(secure: TLSSocket) {
    const name = peerName(secure)
    const waiting = this.#waiting.get(name)
    this.#waiting.delete(name)
    return waiting
  }
}

function peerName(socket: NetSocket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localPort}`
}

const servers = new WeakMap<TlsServerOptions, HandshakeServer>()

function serverOf(options: TlsServerOptions): HandshakeServer {
  let server = servers.get(options)
  if (server === undefined) {
    server = new HandshakeServer(options)
    servers.set(options, server)
  }
  return server
}

function clientSide(stream: NetSocket, options: TlsClientOptions): TLSSocket {
  return tlsConnect({
    socket: stream,
    // Addresses are no server names (RFC 6066), but are compared with the certificate all the same.
    servername: isIP(options.serverName) ? '' : options.serverName,
    host: options.serverName,
    ca: options.authority,
    cert: options.certificate,
    key: options.key,
    rejectUnauthorized: options.verify,
    minVersion: 'TLSv1.2',
    ...(options.verifyName === false ? { checkServerIdentity: () => undefined } : {}),
  })
}
