/**
 * Opens a connection to another node: connect, TLS, hello, and whatever comes back.
 *
 * Not here: when to try again (peer-link.ts), the other side (acceptor.ts).
 */
import { DbError } from '../../base/index.ts'
import type { Io } from '../../io/index.ts'
import { checkNodeCertificate } from '../../security/index.ts'
import { checkPeerExposure, type PeerTls } from './credentials.ts'
import {
  encodePacket,
  type Hello,
  highestProtocol,
  type Introduction,
  lowestProtocol,
  type Packet,
  packetHello,
  packetWelcome,
  readIntroduction,
  throwRefusal,
} from './handshake.ts'
import { Opening, within } from './opening.ts'

export interface DialOptions {
  readonly io: Io
  readonly tls: PeerTls | undefined
  readonly insecure: boolean
  /** For connecting, TLS and the answer, each. */
  readonly handshakeMs: number
}

/**
 * Sends a packet and waits for the answer. Raises connection_failure, config_file_error when the address is not to be
 * reached without TLS, and the `Refusal` that came back.
 */
export async function exchange(
  { io, tls, insecure, handshakeMs }: DialOptions,
  host: string,
  port: number,
  packet: Uint8Array,
): Promise<{ opening: Opening; answer: Packet }> {
  checkPeerExposure(host, tls !== undefined, insecure)
  const where = `${host}:${port}`
  const raw = await within(io, handshakeMs, io.network.connect(host, port), `connecting to ${where}`, (s) =>
    s.destroy(),
  )
  let opening: Opening
  try {
    const secured = Opening.start(io, raw, tls, 'client')
    opening = await within(io, handshakeMs, secured, `TLS with ${where}`, (o) => o.socket.destroy())
  } catch (error) {
    raw.destroy()
    throw error
  }
  try {
    opening.socket.write(packet)
    const answer = await within(io, handshakeMs, opening.packet(), `the handshake with ${where}`)
    throwRefusal(answer)
    if (answer.highest < lowestProtocol || answer.highest > highestProtocol) {
      throw new DbError('protocol_violation', `${where} chose version ${answer.highest} of the protocol between nodes`)
    }
    return { opening, answer }
  } catch (error) {
    opening.socket.destroy()
    throw error
  }
}

/** As `exchange`; also makes sure that it is the expected node of our cluster that answered. */
export async function dial(
  options: DialOptions,
  host: string,
  port: number,
  hello: Hello,
  expected: number,
): Promise<{ opening: Opening; peer: Introduction }> {
  const { opening, answer } = await exchange(options, host, port, encodePacket(packetHello, hello))
  try {
    if (answer.kind !== packetWelcome) throw new DbError('protocol_violation', 'the peer does not answer a hello')
    const peer = readIntroduction(answer.body)
    if (peer.cluster !== hello.cluster) {
      const message = `${host}:${port} belongs to cluster ${peer.cluster}, this node to ${hello.cluster}`
      throw new DbError('invalid_authorization_specification', message)
    }
    if (peer.node !== expected) {
      throw new DbError('connection_failure', `${host}:${port} is node ${peer.node}, not node ${expected}`)
    }
    if (opening.certificate !== undefined) checkNodeCertificate(opening.certificate, peer.node)
    return { opening, peer }
  } catch (error) {
    opening.socket.destroy()
    throw error
  }
}
