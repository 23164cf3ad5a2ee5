/**
 * Membership at work: the gossip core (members.ts) over a transport and a clock. It tells the transport where nodes
 * are, and the rest of the node who is there.
 *
 * Not here: the protocol (members.ts), what follows from a death (replication, placement).
 */
import type { Io, Timer } from '../io/index.ts'
import { type Coordinate, moved, origin, predictedMs, Unreliability } from './coordinates.ts'
import { decodeGossip, encodeGossip } from './gossip-message.ts'
import type { InfoEntry, Json } from './info.ts'
import { isPresent, type Member } from './member.ts'
import { defaultGossip, type Effects, type GossipOptions, type MemberEvent, Members } from './members.ts'
import { channelGossip, type NodeId, type Transport } from './transport.ts'

export interface MembershipOptions {
  readonly io: Io
  readonly transport: Transport
  /** Our own record; its version is 1 at the start of an incarnation. */
  readonly self: Member
  /** Whom we know already: from the sponsor, or kept from an earlier start. */
  readonly known?: readonly Member[]
  readonly gossip?: Partial<GossipOptions>
}

export type MemberHandler = (member: Member, previous: Member | undefined) => void

export class Membership {
  readonly #io: Io
  readonly #transport: Transport
  readonly #core: Members
  readonly #gossipMs: number
  readonly #onChange: MemberHandler[] = []
  readonly #onInfo: ((entry: InfoEntry) => void)[] = []
  readonly #onExpelled: ((reason: 'left' | 'incarnation') => void)[] = []
  readonly #coordinates = new Map<NodeId, Coordinate>()
  readonly #reliability = new Map<NodeId, Unreliability>()
  #timer: Timer | undefined
  #garbage = 0
  #closed = false

  private constructor(options: MembershipOptions) {
    this.#io = options.io
    this.#transport = options.transport
    const gossip = { ...defaultGossip, ...options.gossip }
    this.#gossipMs = gossip.gossipMs
    this.#core = new Members(options.self, gossip, options.io.random)
  }

  static start(options: MembershipOptions): Membership {
    const membership = new Membership(options)
    const { transport } = options
    transport.onMessage(channelGossip, (from, bytes) => membership.#receive(from, bytes))
    transport.onPeer((peer, event) => {
      if (event === 'up') membership.#act(membership.#core.contact(peer))
      else membership.#core.suspectSoon(peer)
    })
    membership.learn(options.known ?? [])
    membership.#tickLater()
    return membership
  }

  get self(): Member {
    return this.#core.self
  }

  /** Everybody known, by node id; the dead and the departed included. */
  get members(): readonly Member[] {
    return [...this.#core.all].sort((a, b) => a.nodeId - b.nodeId)
  }

  /** Those that are neither dead nor departed. */
  get present(): readonly Member[] {
    return this.members.filter(isPresent)
  }

  get(node: NodeId): Member | undefined {
    return this.#core.get(node)
  }

  /** Messages that could not be read. */
  get garbage(): number {
    return this.#garbage
  }

  /** Called for every record that is new or changed, our own included, in the same turn. */
  onChange(handler: MemberHandler): void {
    this.#onChange.push(handler)
  }

  /** The cluster does not know us any more, or a later start of this node took our place: the node has to stop. */
  onExpelled(handler: (reason: 'left' | 'incarnation') => void): void {
    this.#onExpelled.push(handler)
  }

  /** Says something new of ourselves: that we are alive now, that we drain, new addresses. */
  change(patch: Partial<Omit<Member, 'nodeId' | 'incarnation' | 'version'>>): void {
    this.#act(this.#core.change(patch))
  }

  /** Takes records in that a seed gave; newer ones are kept. */
  learn(members: readonly Member[]): void {
    this.#act(this.#core.learn(members, this.#now()))
  }

  /** Declares that another node has left for good; it cannot come back under its id. */
  remove(node: NodeId): void {
    this.#act(this.#core.remove(node))
  }

  /** Leaves for good and tells everybody within reach. */
  leave(): void {
    this.change({ state: 'left' })
    this.#act(this.#core.broadcast())
  }

  /** Spreads a hint; `null` removes it. Without a version it is above the one known and, roughly, the time. */
  publish(key: string, value: Json, version?: number): void {
    const known = this.#core.info.get(key)?.version ?? 0
    const chosen = version ?? Math.max(known + 1, this.#io.clock.wallMicros())
    this.#act(this.#core.publish({ key, value, version: chosen, node: this.self.nodeId }))
  }

  /** The newest value known; undefined when there is none or it was removed. */
  info(key: string): Json | undefined {
    return this.#core.info.get(key)?.value ?? undefined
  }

  infoEntries(prefix: string): InfoEntry[] {
    return [...this.#core.info.entries(prefix)]
  }

  /** Called for every entry that is new or newer, our own included. */
  onInfo(handler: (entry: InfoEntry) => void): void {
    this.#onInfo.push(handler)
  }

  /** The round trip to a node as its coordinate predicts it; undefined before it answered a ping. Milliseconds. */
  roundTripMs(node: NodeId): number | undefined {
    const there = this.#coordinates.get(node)
    return there && predictedMs(this.#core.coordinate, there)
  }

  /** From 0, all pings answered, towards 1. */
  unreliability(node: NodeId): number {
    return this.#reliability.get(node)?.score(this.#now()) ?? 0
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  #now(): number {
    return this.#io.clock.monotonicMicros()
  }

  #tickLater(): void {
    this.#timer = this.#io.tasks.after(this.#gossipMs, () => {
      if (this.#closed || this.#io.dead) return
      this.#act(this.#core.tick(this.#now()))
      this.#tickLater()
    })
  }

  #receive(from: NodeId, bytes: Uint8Array): void {
    if (this.#closed) return
    const message = decodeGossip(bytes)
    if (message === undefined) this.#garbage++
    else this.#act(this.#core.receive(from, message, this.#now()))
  }

  #act({ messages, events }: Effects): void {
    if (this.#closed) return
    // Addresses first: messages may go to nodes that are new.
    for (const event of events) if (event.kind === 'member') this.#located(event.member)
    for (const { to, message } of messages) this.#transport.send(to, channelGossip, encodeGossip(message))
    for (const event of events) this.#report(event)
  }

  #located(member: Member): void {
    if (member.nodeId !== this.self.nodeId && member.state !== 'left') {
      this.#transport.setAddress(member.nodeId, member.host, member.peerPort)
    }
  }

  #report(event: MemberEvent): void {
    const { log } = this.#io
    if (event.kind === 'member') {
      const { member, previous } = event
      if (member.state !== previous?.state) log.info('member', { node: member.nodeId, state: member.state })
      for (const handler of this.#onChange) handler(member, previous)
    } else if (event.kind === 'info') for (const handler of this.#onInfo) handler(event.entry)
    else if (event.kind === 'ping') this.#measured(event.node, event.answered, event.rttMicros, event.coordinate)
    else if (event.kind === 'refuted') log.warn('member-refuted', { by: event.by })
    else for (const handler of this.#onExpelled) handler(event.reason)
  }

  #measured(node: NodeId, answered: boolean, rttMicros: number | undefined, there: Coordinate | undefined): void {
    let reliability = this.#reliability.get(node)
    if (reliability === undefined) {
      reliability = new Unreliability()
      this.#reliability.set(node, reliability)
    }
    reliability.note(answered, this.#now())
    if (rttMicros === undefined || there === undefined) return
    this.#coordinates.set(node, there)
    this.#core.coordinate = moved(this.#core.coordinate ?? origin, there, rttMicros / 1000, this.#io.random)
  }
}
