/**
 * How the nodes of a cluster talk: ordered fire-and-forget messages on channels, and requests to services that are
 * answered once. Raft, liveness, gossip, remote reads and writes all go through this one interface, so that a test can
 * put another transport, or a simulated network, below them.
 *
 * Not here: the bytes on the wire (wire/peer), who the nodes are (members.ts).
 */
import { DbError, type ErrorCode, type ErrorFields } from '../base/index.ts'

export type NodeId = number

/** Fire-and-forget channels. */
export const channelRaft = 1
/** Its messages jump the queue: they are small and their delay costs leases. */
export const channelLiveness = 2
export const channelGossip = 3

/** Bytes given are not changed by the caller afterwards; bytes received stay valid after the handler returns. They may
 * be a view into what was read at once: who keeps a small part for long copies it. */
export interface Transport {
  readonly self: NodeId
  /**
   * Queued in order per peer and channel; dropped when the peer is unreachable or more than 64 MiB wait for it (Raft and
   * liveness retry by themselves). To `self` it is delivered in a later microtask. Never throws, never waits.
   */
  send(to: NodeId, channel: number, bytes: Uint8Array): void
  /**
   * One answer per request. Raises `RemoteFailure` connection_failure with `sent` false when the request certainly did
   * not reach the peer, `RemoteFailure` connection_failure with `sent` true (connection lost) or query_canceled (timeout)
   * when it may have; or the DbError that the peer's handler raised, with its code, message, detail, hint and names.
   * `self` is answered locally without encoding, and without a time limit.
   */
  request(to: NodeId, service: number, body: Uint8Array, timeoutMs: number): Promise<Uint8Array>
  /** One handler per channel. It must not throw: that is a bug and ends the node. */
  onMessage(channel: number, handler: (from: NodeId, bytes: Uint8Array) => void): void
  /**
   * One handler per service. A DbError it raises reaches the caller; anything else becomes internal_error there and is
   * logged here: a handler whose failed assertion must stop the node sees to that itself.
   */
  onRequest(service: number, handler: (from: NodeId, body: Uint8Array) => Uint8Array | Promise<Uint8Array>): void
  /** The peer's connection was lost (not a proof of death), or was established with this incarnation of it. */
  onPeer(handler: (peer: NodeId, event: 'up' | 'down', incarnation: number) => void): void
  /** Where to find a node; called when membership learns addresses. */
  setAddress(node: NodeId, host: string, port: number): void
  /** Waiting requests fail, handlers are not called any more. */
  close(): Promise<void>
}

/** A request without an answer: connection_failure or query_canceled. */
export class RemoteFailure extends DbError {
  /** False: the peer certainly has not seen the request, so that it can be repeated elsewhere. */
  readonly sent: boolean

  constructor(code: ErrorCode, message: string, sent: boolean, fields?: ErrorFields) {
    super(code, message, fields)
    this.sent = sent
  }
}
