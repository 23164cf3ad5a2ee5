/**
 * Who is in the cluster: SWIM (Das, Gupta, Motivala 2002) as a pure core. Each period a node pings one other; without
 * an answer it asks a few others to try; without their answer either, the node is suspected, and dead when it has not
 * refuted that in time. News rides on these messages, each about 3·log2 n times, and spreads as an epidemic.
 *
 *   ping ──no ack──▶ probe × k ──no ack──▶ suspect ──time──▶ dead
 *                                             └──a higher version from the node itself──▶ alive
 *
 * Beyond the paper: news is also sent by itself between pings; whole states are compared at first contact and now and
 * then; the dead are pinged now and then, so that two halves of a healed network find each other; after a stall of our
 * own we blame nobody for it.
 *
 * Not here: the clock and the network (membership.ts), the messages' bytes (gossip-message.ts).
 */
import { assert } from '../base/index.ts'
import type { Random } from '../io/index.ts'
import { type Coordinate, origin } from './coordinates.ts'
import type { GossipMessage, News } from './gossip-message.ts'
import { Info, type InfoEntry } from './info.ts'
import { isNewer, isPresent, type Member } from './member.ts'
import type { NodeId } from './transport.ts'

export interface GossipOptions {
  /** One ping per period. */
  readonly periodMs: number
  /** After so long without an ack others are asked to try. Below the period. */
  readonly pingTimeoutMs: number
  /** How many others are asked. */
  readonly probes: number
  /** A suspect has so many periods, times log2 of the members, to refute. */
  readonly suspicionPeriods: number
  /** Between rounds of news. */
  readonly gossipMs: number
  /** How many nodes a round of news goes to. */
  readonly fanout: number
  /** Between comparisons of whole states with a random node. */
  readonly syncMs: number
}

export const defaultGossip: GossipOptions = {
  periodMs: 500,
  pingTimeoutMs: 200,
  probes: 3,
  suspicionPeriods: 4,
  gossipMs: 100,
  fanout: 3,
  syncMs: 10_000,
}

export type MemberEvent =
  /** A record is new or changed. */
  | { readonly kind: 'member'; readonly member: Member; readonly previous: Member | undefined }
  | { readonly kind: 'info'; readonly entry: InfoEntry }
  /** A ping was answered, directly when there is a round trip, or was not. */
  | {
      readonly kind: 'ping'
      readonly node: NodeId
      readonly answered: boolean
      readonly rttMicros: number | undefined
      readonly coordinate: Coordinate | undefined
    }
  /** Others thought us dead or dying, and are told otherwise. */
  | { readonly kind: 'refuted'; readonly by: NodeId }
  /** We were removed from the cluster, or a later start of this node is in it. */
  | { readonly kind: 'expelled'; readonly reason: 'left' | 'incarnation' }

export interface Effects {
  readonly messages: { readonly to: NodeId; readonly message: GossipMessage }[]
  readonly events: MemberEvent[]
}

/** News per message. */
const maxNews = 32

interface Ping {
  readonly sequence: number
  readonly target: NodeId
  readonly sentMicros: number
  probed: boolean
}

interface Spreading {
  readonly member: Member | undefined
  readonly entry: InfoEntry | undefined
  sends: number
}

export class Members {
  readonly info = new Info()
  /** Our own network coordinate, sent with acks. */
  coordinate: Coordinate = origin
  readonly #options: GossipOptions
  readonly #random: Pick<Random, 'below'>
  readonly #members = new Map<NodeId, Member>()
  readonly #news = new Map<string, Spreading>()
  /** When suspects are declared dead. */
  readonly #deadlines = new Map<NodeId, number>()
  /** Pings on behalf of others: our sequence → theirs. */
  readonly #behalf = new Map<number, { readonly origin: NodeId; readonly sequence: number }>()
  /** Unknown nodes that have been asked for their state, and when. */
  readonly #asked = new Map<NodeId, number>()
  #self: Member
  #order: NodeId[] = []
  #urgent: NodeId | undefined
  #ping: Ping | undefined
  #sequence = 0
  #lastTick = -1
  #nextPing = 0
  #nextGossip = 0
  #nextSync = 0
  #effects: Effects = { messages: [], events: [] }

  constructor(self: Member, options: GossipOptions, random: Pick<Random, 'below'>) {
    assert(options.pingTimeoutMs < options.periodMs, 'a ping times out within its period')
    this.#self = self
    this.#options = options
    this.#random = random
    this.#members.set(self.nodeId, self)
    this.#spreadMember(self)
  }

  get self(): Member {
    return this.#self
  }

  /** All that are known, ourselves, the dead and the departed included. */
  get all(): Iterable<Member> {
    return this.#members.values()
  }

  get(node: NodeId): Member | undefined {
    return this.#members.get(node)
  }

  /** Time has passed. To be called about every `gossipMs`. */
  tick(nowMicros: number): Effects {
    this.#excuse(nowMicros)
    this.#watch(nowMicros)
    if (nowMicros >= this.#nextPing) this.#startPing(nowMicros)
    for (const [node, deadline] of this.#deadlines) {
      if (nowMicros >= deadline) this.#blame(node, 'dead', nowMicros)
    }
    const { gossipMs, fanout, syncMs } = this.#options
    if (nowMicros >= this.#nextGossip) {
      this.#nextGossip = nowMicros + gossipMs * 1000
      if (this.#news.size > 0) {
        for (const to of this.#pick(fanout)) this.#send(to, { kind: 'gossip', ...this.#compose(to) })
      }
    }
    if (nowMicros >= this.#nextSync) {
      this.#nextSync = nowMicros + syncMs * 500 + this.#random.below(syncMs * 1000)
      for (const to of this.#pick(1)) this.#sync(to)
    }
    return this.#take()
  }

  receive(from: NodeId, message: GossipMessage, nowMicros: number): Effects {
    for (const record of message.members) this.#merge(record, from, nowMicros)
    for (const entry of message.info) this.#mergeInfo(entry)
    if (!this.#members.has(from) && nowMicros >= (this.#asked.get(from) ?? 0)) {
      this.#asked.set(from, nowMicros + this.#options.periodMs * 1000)
      this.#sync(from)
    }
    this.#answer(from, message, nowMicros)
    return this.#take()
  }

  /** A connection to a node was made: both compare all they know. */
  contact(node: NodeId): Effects {
    this.#sync(node)
    return this.#take()
  }

  /** The connection to a node was lost: it is the next to be pinged. */
  suspectSoon(node: NodeId): void {
    const known = this.#members.get(node)
    if (known !== undefined && isPresent(known)) this.#urgent = node
  }

  /** Takes records in from elsewhere: a sponsor's, those of an earlier start. */
  learn(members: readonly Member[], nowMicros: number): Effects {
    for (const member of members) this.#merge(member, member.nodeId, nowMicros)
    return this.#take()
  }

  /** Says something new of ourselves; the version is raised. */
  change(patch: Partial<Omit<Member, 'nodeId' | 'incarnation' | 'version'>>): Effects {
    this.#setSelf({ ...this.#self, ...patch, version: this.#self.version + 1 })
    return this.#take()
  }

  /** Records that another node has left for good, as an operator said. */
  remove(node: NodeId): Effects {
    const known = this.#members.get(node)
    if (known !== undefined && node !== this.#self.nodeId) this.#set({ ...known, state: 'left' })
    return this.#take()
  }

  publish(entry: InfoEntry): Effects {
    this.#mergeInfo(entry)
    return this.#take()
  }

  /** News to everybody at once, for a node that has no time to let it spread. */
  broadcast(): Effects {
    const news: News = { members: [this.#self], info: [] }
    for (const to of this.#pick(this.#members.size)) this.#send(to, { kind: 'gossip', ...news })
    return this.#take()
  }

  /** When no tick came for longer than a period, the silence was ours: every limit moves by as much. */
  #excuse(now: number): void {
    const { periodMs, gossipMs } = this.#options
    const gap = now - this.#lastTick
    if (this.#lastTick < 0) {
      this.#nextPing = now + this.#random.below(periodMs * 1000)
      this.#nextSync = now + this.#random.below(periodMs * 1000)
    } else if (gap > periodMs * 1000) {
      const shift = gap - gossipMs * 1000
      for (const [node, deadline] of this.#deadlines) this.#deadlines.set(node, deadline + shift)
      this.#ping = undefined
    }
    this.#lastTick = now
  }

  /** Follows the ping under way. */
  #watch(now: number): void {
    const ping = this.#ping
    if (ping === undefined) return
    const { periodMs, pingTimeoutMs, probes } = this.#options
    const age = now - ping.sentMicros
    if (!ping.probed && age >= pingTimeoutMs * 1000) {
      ping.probed = true
      for (const to of this.#pick(probes, ping.target)) {
        this.#send(to, { kind: 'probe', sequence: ping.sequence, target: ping.target, ...this.#compose(to) })
      }
    }
    if (age < periodMs * 1000) return
    this.#ping = undefined
    this.#pinged(ping.target, false)
    const target = this.#members.get(ping.target)!
    if (isPresent(target) && target.state !== 'suspect') this.#blame(ping.target, 'suspect', now)
  }

  #startPing(now: number): void {
    this.#nextPing = now + this.#options.periodMs * 1000
    const target = this.#nextTarget()
    if (target !== undefined) {
      this.#ping = { sequence: ++this.#sequence, target, sentMicros: now, probed: false }
      this.#send(target, { kind: 'ping', sequence: this.#sequence, ...this.#compose(target) })
    }
    if (this.#behalf.size > 1000) this.#behalf.clear()
    const dead = [...this.#members.values()].filter((member) => member.state === 'dead')
    if (dead.length > 0 && this.#random.below(4) === 0) {
      const { nodeId } = dead[this.#random.below(dead.length)]
      this.#send(nodeId, { kind: 'ping', sequence: ++this.#sequence, ...this.#compose(nodeId) })
    }
  }

  /** Round robin over an order that is shuffled anew each time round: everybody's turn comes within two rounds. */
  #nextTarget(): NodeId | undefined {
    const urgent = this.#urgent
    this.#urgent = undefined
    if (urgent !== undefined && this.#isPeer(urgent)) return urgent
    for (let round = 0; round < 2; round++) {
      while (this.#order.length > 0) {
        const node = this.#order.pop()!
        if (this.#isPeer(node)) return node
      }
      this.#order = this.#pick(this.#members.size)
    }
    return undefined
  }

  #isPeer(node: NodeId): boolean {
    const member = this.#members.get(node)
    return member !== undefined && node !== this.#self.nodeId && isPresent(member)
  }

  /** Up to `count` random others that are present. */
  #pick(count: number, except?: NodeId): NodeId[] {
    const nodes = [...this.#members.keys()].filter((node) => node !== except && this.#isPeer(node))
    for (let i = 0; i < Math.min(count, nodes.length - 1); i++) {
      const j = i + this.#random.below(nodes.length - i)
      const node = nodes[i]
      nodes[i] = nodes[j]
      nodes[j] = node
    }
    return nodes.slice(0, count)
  }

  #answer(from: NodeId, message: GossipMessage, now: number): void {
    switch (message.kind) {
      case 'ping':
        this.#send(from, {
          kind: 'ack',
          sequence: message.sequence,
          coordinate: this.coordinate,
          ...this.#compose(from),
        })
        break
      case 'ack':
        this.#acked(from, message.sequence, message.coordinate, now)
        break
      case 'probe':
        if (!this.#isPeer(message.target)) break
        this.#behalf.set(++this.#sequence, { origin: from, sequence: message.sequence })
        this.#send(message.target, { kind: 'ping', sequence: this.#sequence, ...this.#compose(message.target) })
        break
      case 'probed':
        if (this.#ping?.sequence !== message.sequence) break
        this.#pinged(this.#ping.target, true)
        this.#ping = undefined
        break
      case 'sync': {
        const { newer, wanted } = this.info.compare(message.digest)
        this.#send(from, { kind: 'state', wanted, members: [...this.#members.values()], info: newer })
        break
      }
      case 'state': {
        const info = message.wanted.flatMap((key) => this.info.get(key) ?? [])
        if (info.length > 0) this.#send(from, { kind: 'gossip', members: [], info })
        break
      }
    }
  }

  #acked(from: NodeId, sequence: number, coordinate: Coordinate, now: number): void {
    const behalf = this.#behalf.get(sequence)
    if (behalf !== undefined) {
      this.#behalf.delete(sequence)
      this.#send(behalf.origin, { kind: 'probed', sequence: behalf.sequence, ...this.#compose(behalf.origin) })
    } else if (this.#ping?.sequence === sequence && this.#ping.target === from) {
      this.#pinged(from, true, now - this.#ping.sentMicros, coordinate)
      this.#ping = undefined
    }
  }

  #pinged(node: NodeId, answered: boolean, rttMicros?: number, coordinate?: Coordinate): void {
    this.#effects.events.push({ kind: 'ping', node, answered, rttMicros, coordinate })
  }

  #merge(record: Member, from: NodeId, now: number): void {
    if (record.nodeId === this.#self.nodeId) {
      this.#mergeSelf(record, from)
      return
    }
    const known = this.#members.get(record.nodeId)
    if (known !== undefined && !isNewer(record, known)) return
    this.#set(record)
    if (record.state === 'suspect') this.#deadlines.set(record.nodeId, now + this.#suspicionMicros())
  }

  /** Others say something of us: what is not from us is refuted. */
  #mergeSelf(record: Member, from: NodeId): void {
    const self = this.#self
    if (self.state === 'left') return
    if (record.state === 'left') {
      this.#self = record
      this.#members.set(record.nodeId, record)
      this.#effects.events.push({ kind: 'expelled', reason: 'left' })
    } else if (record.incarnation > self.incarnation) {
      this.#effects.events.push({ kind: 'expelled', reason: 'incarnation' })
    } else if (record.incarnation === self.incarnation && isNewer(record, self)) {
      this.#setSelf({ ...self, version: record.version + 1 })
      this.#effects.events.push({ kind: 'refuted', by: from })
    }
  }

  #mergeInfo(entry: InfoEntry): void {
    if (!this.info.merge(entry)) return
    this.#news.set(`i ${entry.key}`, { member: undefined, entry, sends: 0 })
    this.#effects.events.push({ kind: 'info', entry })
  }

  #suspicionMicros(): number {
    const { periodMs, suspicionPeriods } = this.#options
    return periodMs * 1000 * suspicionPeriods * Math.max(1, Math.log2(this.#present()))
  }

  #present(): number {
    let count = 0
    for (const member of this.#members.values()) if (isPresent(member)) count++
    return count
  }

  #blame(node: NodeId, state: 'suspect' | 'dead', now: number): void {
    this.#set({ ...this.#members.get(node)!, state })
    if (state === 'suspect') this.#deadlines.set(node, now + this.#suspicionMicros())
  }

  #set(member: Member): void {
    const previous = this.#members.get(member.nodeId)
    this.#members.set(member.nodeId, member)
    this.#deadlines.delete(member.nodeId)
    this.#asked.delete(member.nodeId)
    this.#spreadMember(member)
    this.#effects.events.push({ kind: 'member', member, previous })
  }

  #setSelf(self: Member): void {
    this.#self = self
    this.#set(self)
  }

  #spreadMember(member: Member): void {
    this.#news.set(`m ${member.nodeId}`, { member, entry: undefined, sends: 0 })
  }

  /** The news that has been sent least; a node that we think badly of hears that first of all, so that it can refute. */
  #compose(to: NodeId): News {
    const limit = Math.ceil(3 * Math.log2(this.#present() + 1))
    const chosen = [...this.#news].sort((a, b) => a[1].sends - b[1].sends).slice(0, maxNews)
    const members: Member[] = []
    const info: InfoEntry[] = []
    for (const [key, news] of chosen) {
      if (news.member !== undefined) members.push(news.member)
      if (news.entry !== undefined) info.push(news.entry)
      if (++news.sends >= limit) this.#news.delete(key)
    }
    const theirs = this.#members.get(to)
    if (theirs !== undefined && !members.includes(theirs) && (theirs.state === 'suspect' || !isPresent(theirs))) {
      members.push(theirs)
    }
    return { members, info }
  }

  #sync(to: NodeId): void {
    this.#send(to, { kind: 'sync', digest: this.info.digest(), members: [...this.#members.values()], info: [] })
  }

  #send(to: NodeId, message: GossipMessage): void {
    this.#effects.messages.push({ to, message })
  }

  #take(): Effects {
    const effects = this.#effects
    this.#effects = { messages: [], events: [] }
    return effects
  }
}
