/**
 * Who is let in on the peer port. A dialler says first who it is; it is welcomed, or told by name why not:
 *
 *   stranger     another cluster, or a certificate that is none of ours
 *   protocol     no version in common
 *   identity     the node id is in use by another node, or by a later start of this one
 *   duplicate    both dialled at once: the dial of the lower id wins
 *   garbage      not our protocol: closed without a word, and counted
 *
 * Not here: packets (handshake.ts), joining as such (the `join` given).
 */
import { DbError } from '../../base/index.ts'
import type { Io, Socket } from '../../io/index.ts'
import { checkNodeCertificate } from '../../security/index.ts'
import type { PeerTls } from './credentials.ts'
import {
  agreeOnProtocol,
  encodePacket,
  encodeRefusal,
  type Hello,
  type Introduction,
  malformed,
  type Packet,
  packetHello,
  packetJoin,
  packetJoined,
  packetWelcome,
  Refusal,
  readHello,
} from './handshake.ts'
import { type JoinHandler, readJoinRequest } from './join.ts'
import { Opening, within } from './opening.ts'
import type { PeerConnection } from './peer-connection.ts'

/** What the acceptor knows of a peer. */
export interface PeerState {
  readonly connection: PeerConnection | undefined
  readonly dialling: boolean
}

export interface AcceptorContext {
  readonly io: Io
  readonly tls: PeerTls | undefined
  readonly handshakeMs: number
  readonly join: JoinHandler | undefined
  introduction(): Introduction
  stateOf(node: number): PeerState
  accepted(opening: Opening, hello: Hello): void
  /** Counts, by the reason of the refusal, or `garbage` or `tls`. */
  refused(reason: string): void
}

/** Sees a connection through its handshake, or to its end. Never raises. */
export async function accept(context: AcceptorContext, raw: Socket): Promise<void> {
  const { io, handshakeMs } = context
  const remote = raw.remoteAddress
  let opening: Opening | undefined
  try {
    const secured = Opening.start(io, raw, context.tls, 'server')
    opening = await within(io, handshakeMs, secured, 'TLS', (late) => late.socket.destroy())
    const packet = await within(io, handshakeMs, opening.packet(), 'the handshake')
    const version = agreeOnProtocol(packet)
    if (packet.kind === packetHello) welcome(context, opening, packet, version)
    else if (packet.kind === packetJoin) await sponsor(context, opening, packet, version)
    else throw malformed('what it is for')
  } catch (error) {
    if (io.dead) return
    if (opening !== undefined && error instanceof Refusal) {
      if (error.reason !== 'duplicate') io.log.warn('peer-refused', { remote, reason: error.message })
      context.refused(error.reason)
      await opening.part(io, encodeRefusal(error), handshakeMs)
      return
    }
    const garbage = error instanceof DbError && error.code === 'protocol_violation'
    context.refused(opening === undefined ? 'tls' : garbage ? 'garbage' : 'broken')
    io.log.debug('peer-handshake-failed', { remote, reason: (error as Error).message })
    const { socket } = opening ?? { socket: raw }
    socket.destroy()
  }
}

function welcome(context: AcceptorContext, opening: Opening, packet: Packet, version: number): void {
  const hello = readHello(packet.body)
  const self = context.introduction()
  checkStranger(opening, hello, self)
  checkIdentity(hello, self, context.stateOf(hello.node))
  opening.socket.write(encodePacket(packetWelcome, self, version, version))
  context.accepted(opening, hello)
}

function checkStranger(opening: Opening, hello: Hello, self: Introduction): void {
  if (hello.cluster !== self.cluster) {
    const message = `this node belongs to cluster ${self.cluster}, you to ${hello.cluster}`
    throw new Refusal('cluster', 'invalid_authorization_specification', message)
  }
  if (opening.certificate === undefined) return
  try {
    checkNodeCertificate(opening.certificate, hello.node)
  } catch (error) {
    const { message, hint } = error as DbError
    throw new Refusal('certificate', 'invalid_authorization_specification', message, undefined, hint)
  }
}

function checkIdentity(hello: Hello, self: Introduction, state: PeerState): void {
  const inUse = (by: string) => {
    const hint = 'A copy of a data directory cannot join: start with an empty directory.'
    return new Refusal('identity', 'object_in_use', `node id ${hello.node} is in use by ${by}`, undefined, hint)
  }
  if (hello.node === self.node) throw inUse('this node')
  const { connection, dialling } = state
  if (connection === undefined) {
    if (dialling && self.node < hello.node) throw duplicate()
    return
  }
  const { peer } = connection
  if (peer.token !== hello.token) throw inUse(`another node, at ${peer.host}:${peer.port}`)
  if (hello.incarnation < peer.incarnation) throw inUse(`a later start of it, at ${peer.host}:${peer.port}`)
  if (hello.incarnation > peer.incarnation) return
  if (hello.run !== peer.run) throw inUse(`another process with a copy of its directory, at ${peer.host}:${peer.port}`)
  // The peer has no use for the connection we know of, or it would not dial: unless both dialled at once.
  const raced = !connection.incoming && hello.lost !== connection.number
  if (raced && self.node < hello.node) throw duplicate()
}

function duplicate(): Refusal {
  return new Refusal('duplicate', 'object_in_use', 'both nodes dialled at once, the other connection is kept')
}

async function sponsor(context: AcceptorContext, opening: Opening, packet: Packet, version: number): Promise<void> {
  const request = readJoinRequest(packet.body, opening.certificate)
  if (context.join === undefined) {
    throw new Refusal('unavailable', 'cannot_connect_now', 'this node cannot take in others yet')
  }
  let reply: object
  try {
    reply = await context.join(request)
  } catch (error) {
    if (!(error instanceof DbError)) throw error
    throw new Refusal('unavailable', error.code, error.message, error.detail, error.hint)
  }
  if (context.io.dead) return
  await opening.part(context.io, encodePacket(packetJoined, reply, version, version), context.handshakeMs)
}
