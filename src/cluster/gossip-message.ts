/**
 * What nodes gossip, as JSON: small, rare, and easy to read in a trace. Every message carries some news: records of
 * members and entries of the shared map that the sender has not spread enough yet.
 *
 *   ping, ack       are you there? yes          probe: asked on behalf of another node
 *   gossip          news only
 *   sync, state     all members, and what the maps differ in, both ways
 *
 * Not here: when they are sent (members.ts).
 */
import { type Coordinate, isCoordinate } from './coordinates.ts'
import { type InfoDigest, type InfoEntry, isInfoEntry } from './info.ts'
import { isMember, type Member } from './member.ts'
import type { NodeId } from './transport.ts'

export interface News {
  readonly members: readonly Member[]
  readonly info: readonly InfoEntry[]
}

export type GossipMessage = News &
  (
    | { readonly kind: 'ping'; readonly sequence: number }
    | { readonly kind: 'ack'; readonly sequence: number; readonly coordinate: Coordinate }
    | { readonly kind: 'probe'; readonly sequence: number; readonly target: NodeId }
    | { readonly kind: 'probed'; readonly sequence: number }
    | { readonly kind: 'gossip' }
    /** Asks for a `state`. */
    | { readonly kind: 'sync'; readonly digest: InfoDigest }
    | { readonly kind: 'state'; readonly wanted: readonly string[] }
  )

export function encodeGossip(message: GossipMessage): Uint8Array {
  return Buffer.from(JSON.stringify(message))
}

/** Undefined for what is no message of ours. */
export function decodeGossip(bytes: Uint8Array): GossipMessage | undefined {
  let message: GossipMessage
  try {
    message = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  } catch {
    return undefined
  }
  if (typeof message !== 'object' || message === null) return undefined
  if (!Array.isArray(message.members) || !message.members.every(isMember)) return undefined
  if (!Array.isArray(message.info) || !message.info.every(isInfoEntry)) return undefined
  return isSound(message) ? message : undefined
}

function isSound(message: GossipMessage): boolean {
  switch (message.kind) {
    case 'ping':
    case 'probed':
      return Number.isSafeInteger(message.sequence)
    case 'ack':
      return Number.isSafeInteger(message.sequence) && isCoordinate(message.coordinate)
    case 'probe':
      return Number.isSafeInteger(message.sequence) && Number.isSafeInteger(message.target)
    case 'gossip':
      return true
    case 'sync':
      return (
        Array.isArray(message.digest) &&
        message.digest.every(
          (item: unknown) =>
            Array.isArray(item) &&
            typeof item[0] === 'string' &&
            Number.isSafeInteger(item[1]) &&
            Number.isSafeInteger(item[2]),
        )
      )
    case 'state':
      return Array.isArray(message.wanted) && message.wanted.every((key: unknown) => typeof key === 'string')
    default:
      return false
  }
}
