/**
 * The first packet of each side on a connection between nodes. Its outer layout holds for all versions of the protocol,
 * so that versions that do not understand each other can say so. Big-endian.
 *
 *    0  magic      8 bytes "LATTICEP"
 *    8  lowest     u16   versions that the sender speaks; in an answer both are the chosen one
 *   10  highest    u16
 *   12  kind       u8    hello, join, welcome, refusal, joined
 *   13  zero       3 bytes
 *   16  length     u32   of the body
 *   20  checksum   u32   CRC-32 of the body
 *   24  body             JSON
 *
 * Not here: who is let in (acceptor.ts), joining (join.ts).
 */
import { DbError, type ErrorCode, isErrorCode } from '../../base/index.ts'
import { checksum } from '../../cluster/index.ts'
import { get32 } from './frame.ts'

/** Versions of the protocol between nodes that this program speaks. */
export const lowestProtocol = 1
export const highestProtocol = 1

export const packetHello = 1
export const packetJoin = 2
export const packetWelcome = 3
export const packetRefusal = 4
export const packetJoined = 5

const magic = Buffer.from('LATTICEP')
const headBytes = 24
/** Of what strangers may send, and of a sponsor's answer. */
const maxBodyBytes = 64 * 1024
const maxJoinedBytes = 4 * 1024 * 1024

export interface Packet {
  readonly lowest: number
  readonly highest: number
  readonly kind: number
  readonly body: Record<string, unknown>
}

/** A node says who it is: in a hello and, back, in a welcome. */
export interface Introduction {
  /** 32 hex digits. */
  readonly cluster: string
  readonly node: number
  /** 32 hex digits that the node drew at its first start. */
  readonly token: string
  readonly incarnation: number
  /** 16 hex digits that the process drew: tells two processes with copies of one directory apart. */
  readonly run: string
  /** Where the node can be reached by its peers. */
  readonly host: string
  readonly port: number
}

export interface Hello extends Introduction {
  /** Names this connection. */
  readonly connection: number
  /** The last connection to that peer that the dialler has lost; 0 for none. */
  readonly lost: number
}

/** Why a dialler is sent away. */
export type RefusalReason =
  | 'cluster'
  | 'protocol'
  | 'identity'
  | 'duplicate'
  | 'certificate'
  | 'malformed'
  | 'unavailable'

export class Refusal extends DbError {
  readonly reason: RefusalReason

  constructor(reason: RefusalReason, code: ErrorCode, message: string, detail?: string, hint?: string) {
    super(code, message, { detail, hint })
    this.reason = reason
  }
}

export function encodePacket(kind: number, body: object, lowest = lowestProtocol, highest = highestProtocol): Buffer {
  const text = Buffer.from(JSON.stringify(body))
  const out = Buffer.alloc(headBytes + text.length)
  magic.copy(out)
  out.writeUInt16BE(lowest, 8)
  out.writeUInt16BE(highest, 10)
  out[12] = kind
  out.writeUInt32BE(text.length, 16)
  out.writeUInt32BE(checksum(text), 20)
  text.copy(out, headBytes)
  return out
}

export function encodeRefusal(refusal: Refusal): Buffer {
  const { reason, code, message, detail, hint } = refusal
  return encodePacket(packetRefusal, { reason, code, message, detail, hint })
}

/** The highest version that both speak; raises the refusal to send when there is none. */
export function agreeOnProtocol(packet: Packet): number {
  const version = Math.min(packet.highest, highestProtocol)
  if (version >= Math.max(packet.lowest, lowestProtocol)) return version
  throw new Refusal(
    'protocol',
    'incompatible_format',
    `this node speaks versions ${lowestProtocol} to ${highestProtocol} of the protocol between nodes, you ${packet.lowest} to ${packet.highest}`,
    undefined,
    'Upgrade the nodes of a cluster one version at a time.',
  )
}

/** Raises what a refusal reports; other packets pass. */
export function throwRefusal(packet: Packet): void {
  if (packet.kind !== packetRefusal) return
  const { reason, code, message, detail, hint } = packet.body
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
  const known = isErrorCode(String(code)) ? (String(code) as ErrorCode) : 'connection_failure'
  throw new Refusal(String(reason) as RefusalReason, known, String(message), text(detail), text(hint))
}

/** Checks the shape of an introduction; raises the refusal to send. */
export function readIntroduction(body: Record<string, unknown>): Introduction {
  const { cluster, node, token, incarnation, run, host, port } = body
  const hex = /^[0-9a-f]{32}$/
  const sound =
    hex.test(String(cluster)) &&
    hex.test(String(token)) &&
    whole(node, 1, 0xffff_ffff) &&
    whole(incarnation, 1, Number.MAX_SAFE_INTEGER) &&
    /^[0-9a-f]{16}$/.test(String(run)) &&
    typeof host === 'string' &&
    whole(port, 0, 65535)
  if (!sound) throw malformed('who you are')
  return { cluster, node, token, incarnation, run, host, port } as Introduction
}

export function readHello(body: Record<string, unknown>): Hello {
  const { connection, lost } = body
  if (!whole(connection, 1, 0xffff_ffff) || !whole(lost, 0, 0xffff_ffff)) throw malformed('the connection')
  return { ...readIntroduction(body), connection: connection as number, lost: lost as number }
}

export function malformed(what: string): Refusal {
  return new Refusal('malformed', 'protocol_violation', `the handshake does not say properly: ${what}`)
}

function whole(value: unknown, low: number, high: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= low && (value as number) <= high
}

/** Collects the first packet of a stream. */
export class PacketReader {
  #bytes: Buffer = Buffer.alloc(0)

  /**
   * The packet once it is complete, with the bytes behind it. Raises protocol_violation as soon as it can be none of
   * ours.
   */
  push(chunk: Uint8Array): { packet: Packet; rest: Uint8Array } | undefined {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    const bytes = this.#bytes
    const known = Math.min(bytes.length, magic.length)
    if (bytes.compare(magic, 0, known, 0, known) !== 0) throw garbage()
    if (bytes.length < headBytes) return undefined
    const length = get32(bytes, 16)
    if (length > (bytes[12] === packetJoined ? maxJoinedBytes : maxBodyBytes)) throw garbage()
    const end = headBytes + length
    if (bytes.length < end) return undefined
    const text = bytes.subarray(headBytes, end)
    if (checksum(text) !== get32(bytes, 20)) throw garbage()
    const packet = {
      lowest: bytes.readUInt16BE(8),
      highest: bytes.readUInt16BE(10),
      kind: bytes[12],
      body: objectOf(text),
    }
    return { packet, rest: bytes.subarray(end) }
  }
}

function objectOf(text: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text.toString('utf8'))
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Reported below, as what is no object.
  }
  throw garbage()
}

function garbage(): DbError {
  return new DbError('protocol_violation', 'the other side does not speak the protocol between nodes')
}
