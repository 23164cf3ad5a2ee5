/**
 * Joining a cluster: a node without an id asks any member, its sponsor, which answers with the cluster, a node id, a
 * part of its own identifiers and the members it knows. The exchange has the same port and first packet as the
 * connections between nodes; the new node then connects like any other.
 *
 * A node that did not hear the answer asks again with the same token and is to be given the same id.
 *
 * Not here: how a sponsor decides (node/), what the joiner keeps (cluster/identity.ts).
 */
import { DbError } from '../../base/index.ts'
import type { IdentifierRange, Member } from '../../cluster/index.ts'
import type { Io } from '../../io/index.ts'
import type { NodeCertificate } from '../../security/index.ts'
import { type PeerCertificates, peerTls } from './credentials.ts'
import { exchange } from './dial.ts'
import { encodePacket, malformed, packetJoin, packetJoined, Refusal } from './handshake.ts'

export interface JoinRequest {
  /** 32 hex digits that the joiner drew and will keep. */
  readonly token: string
  /** Where its peers will reach it. */
  readonly host: string
  readonly port: number
  /** The id that its certificate demands, if it names one. */
  readonly certificateNode: number | undefined
  /** Whatever else the joiner says of itself: locality, other addresses, versions. */
  readonly attributes: Readonly<Record<string, unknown>>
}

export interface JoinReply {
  readonly clusterId: string
  readonly nodeId: number
  /** Absent for a node that asks again, having its part already. */
  readonly range?: IdentifierRange
  readonly members: readonly Member[]
}

/** A sponsor's answer; a DbError it raises reaches the joiner. */
export type JoinHandler = (request: JoinRequest) => Promise<JoinReply>

export interface JoinOptions {
  readonly token: string
  readonly host: string
  readonly port: number
  readonly attributes?: Readonly<Record<string, unknown>>
  readonly certificates?: PeerCertificates
  readonly insecure?: boolean
  /** All attempts together. Default 30,000. */
  readonly timeoutMs?: number
}

export interface SeedAddress {
  readonly host: string
  readonly port: number
}

/**
 * Asks the seeds in turn, again and again, until one takes us in. Raises what the last one said when the time is over,
 * and at once what no waiting changes: a certificate, a protocol version, an address that needs TLS.
 */
export async function joinCluster(io: Io, seeds: readonly SeedAddress[], options: JoinOptions): Promise<JoinReply> {
  const timeoutMs = options.timeoutMs ?? 30_000
  const endMicros = io.clock.monotonicMicros() + timeoutMs * 1000
  let last: unknown = new DbError('invalid_parameter_value', 'no node to join is given')
  for (let pauseMs = 100; seeds.length > 0; pauseMs = Math.min(pauseMs * 2, 2000)) {
    for (const seed of seeds) {
      try {
        return await askSeed(io, seed, options)
      } catch (error) {
        if (isFinal(error)) throw error
        last = error
        io.log.info('join-attempt-failed', { ...seed, reason: (error as Error).message })
      }
    }
    if (io.clock.monotonicMicros() >= endMicros) break
    await new Promise<void>((done) => io.tasks.after(pauseMs / 2 + io.random.below(pauseMs / 2), done))
  }
  throw last
}

/** Asks one seed, once. Raises what it refuses with, connection_failure when it cannot be reached. */
export async function askSeed(io: Io, seed: SeedAddress, options: JoinOptions): Promise<JoinReply> {
  const { token, host, port, attributes = {}, certificates, insecure } = options
  const context = { io, tls: certificates && peerTls(certificates), insecure: insecure === true, handshakeMs: 5000 }
  const packet = encodePacket(packetJoin, { token, host, port, attributes })
  const { opening, answer } = await exchange(context, seed.host, seed.port, packet)
  opening.socket.destroy()
  if (answer.kind !== packetJoined) throw new DbError('protocol_violation', 'the node does not answer a join')
  return checkReply(answer.body as unknown as JoinReply)
}

/** Whether neither time nor another seed helps. */
function isFinal(error: unknown): boolean {
  if (error instanceof Refusal) return error.reason !== 'unavailable' || !error.retryable
  return !(error instanceof DbError) || error.code === 'config_file_error'
}

function checkReply(reply: JoinReply): JoinReply {
  const { clusterId, nodeId, range, members } = reply
  const sound = /^[0-9a-f]{32}$/.test(clusterId) && Number.isSafeInteger(nodeId) && nodeId > 0 && Array.isArray(members)
  const ranged = range === undefined || (Number.isSafeInteger(range.first) && range.end > range.first)
  if (!sound || !ranged) {
    throw new DbError('protocol_violation', 'the sponsor answered something that is no place in a cluster')
  }
  return reply
}

/** Raises the refusal to send. */
export function readJoinRequest(body: Record<string, unknown>, certificate: NodeCertificate | undefined): JoinRequest {
  const { token, host, port, attributes } = body
  const sound = /^[0-9a-f]{32}$/.test(String(token)) && typeof host === 'string' && Number.isInteger(port)
  if (!sound || typeof attributes !== 'object' || attributes === null) throw malformed('who wants to join')
  return {
    token: token as string,
    host,
    port: port as number,
    certificateNode: certificate?.nodeId,
    attributes: attributes as Record<string, unknown>,
  }
}
