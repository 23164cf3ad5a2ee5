/**
 * From an address to an authenticated socket: TLS as sslmode demands, startup, SCRAM.
 *
 *   connect ─► SSLRequest ─► 'S' TLS │ 'N' in clear when sslmode allows ─► StartupMessage ─► SCRAM ─► AuthenticationOk
 *
 * Not here: what is said after it (remote-channel.ts).
 */
import { createHash } from 'node:crypto'
import { DbError } from '../base/index.ts'
import { ByteWriter } from '../encoding/index.ts'
import { type Io, readText, type SecureSocket, type Socket } from '../io/index.ts'
import { ScramClient, serverEndPoint } from '../security/index.ts'
import {
  authentication,
  type BodyReader,
  frontend,
  isLoopback,
  socketPath,
  writeSasl,
  writeStartup,
  writeTlsRequest,
} from '../wire/index.ts'
import type { RemoteAddress } from './connection-string.ts'

export interface Opened {
  readonly socket: Socket
  /** The server's certificate's hash, over TLS. */
  readonly binding: Uint8Array | undefined
}

/** Connects, without saying who we are yet. Raises connection_failure. */
export async function openSocket(io: Io, address: RemoteAddress, host: string, port: number): Promise<Opened> {
  const local = host.startsWith('/')
  const socket = await io.network.connect(local ? socketPath(host, port) : host, port)
  const { sslMode } = address
  // On this host there is nobody to listen in.
  if (local || sslMode === 'disable' || (sslMode === 'prefer' && isLoopback(host)))
    return { socket, binding: undefined }
  const answer = await askForTls(socket)
  if (answer !== 'S') {
    if (sslMode === 'prefer') return { socket, binding: undefined }
    socket.destroy()
    throw new DbError('connection_failure', `the server at ${host}:${port} does not support TLS`)
  }
  if (io.network.secure === undefined) throw new DbError('feature_not_supported', 'TLS is not available here')
  const secure: SecureSocket = await io.network.secure(socket, {
    role: 'client',
    serverName: host,
    verify: sslMode === 'verify-ca' || sslMode === 'verify-full',
    verifyName: sslMode === 'verify-full',
    authority: await pem(io, address.authorityFile),
    certificate: await pem(io, address.certificateFile),
    key: await pem(io, address.keyFile),
  })
  const certificate = secure.peerCertificate
  return { socket: secure, binding: certificate && serverEndPoint(certificate) }
}

function askForTls(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.onClose(() => reject(new DbError('connection_failure', 'the server closed the connection')))
    socket.onData((chunk) => resolve(chunk.length === 1 ? String.fromCharCode(chunk[0]) : '?'))
    const out = new ByteWriter(16)
    writeTlsRequest(out)
    socket.write(out.copy())
  })
}

async function pem(io: Io, path: string | undefined): Promise<string | undefined> {
  return path === undefined ? undefined : readText(io, path)
}

export function startupMessage(out: ByteWriter, address: RemoteAddress): void {
  const parameters = new Map([
    ['user', address.user],
    ['database', address.database],
    ['client_encoding', 'UTF8'],
    ['DateStyle', 'ISO'],
    ...address.parameters,
  ])
  writeStartup(out, parameters)
}

/** The client's part of authentication. */
export class Authenticator {
  readonly #address: RemoteAddress
  readonly #scram: ScramClient
  done = false

  constructor(io: Io, address: RemoteAddress, binding: Uint8Array | undefined) {
    this.#address = address
    this.#scram = new ScramClient({ password: address.password ?? '', random: io.random, channelBinding: binding })
  }

  /** Takes an authentication message, writes what is to be answered. */
  take(body: BodyReader, out: ByteWriter): void {
    const kind = body.i32()
    switch (kind) {
      case authentication.ok:
        this.done = true
        return
      case authentication.sasl: {
        this.#password()
        const offered: string[] = []
        while (body.left > 1) offered.push(body.cstring())
        writeSasl(out, this.#scram.choose(offered), this.#scram.first())
        return
      }
      case authentication.saslContinue:
        writeSasl(out, undefined, this.#scram.final(rest(body)))
        return
      case authentication.saslFinal:
        this.#scram.verify(rest(body))
        return
      case authentication.md5: {
        const salt = Buffer.from(body.buffer.subarray(body.at, body.end))
        const inner = md5(Buffer.from(this.#password() + this.#address.user))
        this.#answer(out, 'md5' + md5(Buffer.concat([Buffer.from(inner), salt])))
        return
      }
      case authentication.cleartext:
        this.#answer(out, this.#password())
        return
      default:
        throw new DbError('feature_not_supported', `the server asks for authentication method ${kind}`)
    }
  }

  #password(): string {
    if (this.#address.password !== undefined) return this.#address.password
    throw new DbError('invalid_password', `the server asks for the password of user "${this.#address.user}"`)
  }

  #answer(out: ByteWriter, password: string): void {
    out.u8(frontend.password)
    const bytes = Buffer.from(password)
    out.u32(bytes.length + 5)
    out.raw(bytes)
    out.u8(0)
  }
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex')
}

function rest(body: BodyReader): string {
  return body.buffer.toString('latin1', body.at, body.end)
}
