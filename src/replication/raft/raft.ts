/**
 * One replica of one group as a step machine: messages, ticks and reports of the driver go in, `ready()` takes out what is to
 * be persisted, sent and applied. No clock, no randomness, no promise: the same steps give the same answers.
 *
 *               election timeout        a quorum would vote       a quorum has voted
 *    follower ────────────────▶ precandidate ────────────▶ candidate ────────────▶ leader
 *        ▲                          │                          │                     │
 *        └──────────────────────────┴──────────────────────────┴─────────────────────┘
 *              a leader of the term, or a higher term, or (leader) no lease for an election timeout
 *
 * Departures from the paper: pre-votes (Ongaro 2014, 9.6), and no heartbeats: nodes promise each other support (`Liveness`).
 * While ours supports the leader's, this replica neither campaigns nor helps another candidate nor follows a rumour of a
 * higher term, and its timer rests. But a leader may have stopped leading although its node lives. What tells: it asks for
 * votes itself; its removal stands in our log; or, when its node restarted or another asks for votes in vain (we "doubt"),
 * it answers our pre-vote as one that does not lead. One that leads answers with an append.
 *
 * Sources: Ongaro and Ousterhout, "In search of an understandable consensus algorithm", 2014; Ongaro, "Consensus: bridging
 * theory and practice", 2014; the shape of `ready` is etcd's.
 *
 * Not here: what a leader sends and counts (leadership.ts), the state under all roles (state.ts), I/O (the driver).
 */
import { assert } from '../../base/index.ts'
import { type Configuration, ConfigurationHistory, isVoter, replicasOf, showConfiguration } from './configuration.ts'
import { entryConfiguration } from './entry.ts'
import { Leadership, type Proposal } from './leadership.ts'
import {
  type AppendMessage,
  type AppendReplyMessage,
  type Message,
  messageAppend,
  messageAppendReply,
  messageSnapshotOffer,
  messageTimeoutNow,
  messageVote,
  messageVoteReply,
  type SnapshotOfferMessage,
  type TimeoutNowMessage,
  type VoteMessage,
  type VoteReplyMessage,
} from './message.ts'
import type { ProgressState } from './progress.ts'
import { quorum } from './quorum.ts'
import type { Ready } from './ready.ts'
import { type RaftOptions, State } from './state.ts'

export type Role = 'follower' | 'precandidate' | 'candidate' | 'leader'

export interface ProgressView {
  readonly replica: number
  readonly match: number
  readonly next: number
  readonly state: ProgressState
  readonly inflightBytes: number
  readonly learner: boolean
  readonly recentlyActive: boolean
}

export class Raft {
  readonly id: number
  readonly #state: State
  #role: Role = 'follower'
  #lead: Leadership | undefined
  #granted = new Set<number>()
  #ceiling = 0
  #elapsed = 0
  #timeout: number
  /** The leader's node has restarted, or somebody misses the leader: our promise stands, but the timer runs until it speaks. */
  #doubtful = false

  constructor(options: RaftOptions) {
    assert(Number.isSafeInteger(options.id) && options.id > 0, 'a replica id is a positive integer')
    this.id = options.id
    this.#state = new State(options)
    this.#timeout = options.electionTimeout()
  }

  get role(): Role {
    return this.#role
  }
  get term(): number {
    return this.#state.term
  }
  get vote(): number {
    return this.#state.vote
  }
  /** 0 while unknown. */
  get leader(): number {
    return this.#state.leader
  }
  get commit(): number {
    return this.#state.commit
  }
  get lastIndex(): number {
    return this.#state.log.lastIndex
  }
  /** The newest in the log, committed or not. */
  get configuration(): Configuration {
    return this.#state.configuration
  }
  /** The greatest ceiling among the granted votes of the latest candidacy, our own and that of the leader who handed over. */
  get electionCeiling(): number {
    return this.#ceiling
  }
  /** The replica that leadership is being transferred to, or 0. */
  get transferring(): number {
    return this.#lead?.transferring ?? 0
  }

  // ---- the driver's calls ----

  /** Takes a message that is addressed to this replica. */
  step(m: Message): void {
    const s = this.#state
    assert(m.to === this.id, 'a message reaches the replica it is for')
    if (m.type === messageVote) return this.#onVote(m)
    if (m.term > s.term) {
      const rumour = m.type === messageAppendReply || m.type === messageVoteReply
      if (!rumour) this.#becomeFollower(m.term, m.from)
      else if (this.#lead === undefined && m.from !== s.leader && this.#bound()) return
      else this.#becomeFollower(m.term, 0)
    } else if (m.term < s.term) {
      // A leader of the past learns so, even while nobody else has anything to tell it.
      if (m.type === messageAppend || m.type === messageSnapshotOffer) this.#reply(m.from, s.commit, 0)
      return
    }
    if (m.type === messageAppend) this.#onAppend(m)
    else if (m.type === messageAppendReply) this.#onAppendReply(m)
    else if (m.type === messageVoteReply) this.#onVoteReply(m)
    else if (m.type === messageTimeoutNow) this.#onTimeoutNow(m)
    else this.#onSnapshotOffer(m)
  }

  /** Time passes. A `quiet` replica needs none of it. */
  tick(): void {
    const s = this.#state
    if (this.#lead !== undefined) {
      const fate = this.#lead.tick()
      if (fate === 'reigns') return
      this.#becomeFollower(s.term, 0)
      if (fate === 'undecided' && s.promotable) this.#stand(true)
      return
    }
    if (this.#role !== 'candidate' && this.#content()) {
      this.#elapsed = 0
      this.#role = 'follower'
      return
    }
    if (this.#idle()) return
    if (++this.#elapsed >= this.#timeout || s.alone) this.campaign()
  }

  /**
   * Asks for pre-votes at once, as if the election timeout had passed. Nothing if this replica may not; while its node
   * supports the leader's, it only asks whether the leader still leads.
   */
  campaign(): void {
    const s = this.#state
    if (this.#lead !== undefined) return
    this.#elapsed = 0
    this.#timeout = s.electionTimeout()
    if (this.#bound()) return this.#ask(s.leader, true, false)
    if (!s.promotable) return
    if (s.alone) return this.#stand(false)
    if (!s.liveness.mayVote()) return
    this.#role = 'precandidate'
    this.#granted = new Set([this.id])
    if (this.#elected()) this.#stand(false)
    else this.#askAll(true, false)
  }

  /** The replica is removed for good (its node keeps a tombstone): it leads nothing any more. */
  reportGone(replica: number): void {
    const s = this.#state
    if (s.leader === replica && this.#lead === undefined) s.leader = 0
  }

  /**
   * Leader only. The index of the first entry; undefined when not leader, while transferring, or while too much is uncommitted.
   * Payloads stay as they are from now on.
   */
  propose(entries: readonly Proposal[]): number | undefined {
    for (const e of entries) assert(e.kind !== entryConfiguration, 'configurations go through proposeConfiguration')
    return this.#lead?.propose(entries)
  }

  /**
   * Leader only. Enters joint consensus when more than one voter changes and leaves it by a second entry. Undefined when not
   * leader, while transferring, before this term has committed an entry, or while another change is under way.
   */
  proposeConfiguration(next: {
    readonly voters: readonly number[]
    readonly learners: readonly number[]
  }): number | undefined {
    return this.#lead?.proposeConfiguration(next)
  }

  /**
   * Leader only. Waits until the voter has everything, then tells it to stand; proposals are refused meanwhile. Given up
   * after an election timeout: if the other was told already, by standing for election ourselves in a new term.
   */
  transferLeadership(to: number): boolean {
    return this.#lead?.transfer(to) ?? false
  }

  /** Leader only (else false). The token comes back in `Ready.reads` once a quorum has confirmed us after this call. */
  readIndex(token: number): boolean {
    this.#lead?.readIndex(token)
    return this.#lead !== undefined
  }

  /** The entry `index` of `term` and all before it are durable here, and so is the hard state handed out with it. */
  durable(index: number, term: number): void {
    const s = this.#state
    // Only of the current term: an older entry may have been cancelled and written again since.
    if (term !== s.term || !s.log.matches(index, term)) return
    s.durableTerm = term
    if (index > s.durable) s.durable = index
    if (this.#lead === undefined) return
    if (!this.#lead.settled) this.#lead.owes = true
    this.#lead.settled = true
    this.#continue(this.#lead.advance())
  }

  /** Everything up to `index` is applied; a snapshot that is taken from now on holds it. */
  appliedTo(index: number): void {
    const s = this.#state
    assert(index <= s.commit, 'only what is committed is applied')
    if (index <= s.applied) return
    s.applied = index
    s.configurations.settle(index)
  }

  /** Entries that the log view did not have at hand are there now. */
  loaded(): void {
    this.#lead?.loaded()
  }

  /** Messages to the replica were dropped. */
  reportUnreachable(replica: number): void {
    this.#lead?.unreachable(replica)
  }

  /** The replica has (or, not ok, failed to get) a snapshot at `index`. */
  reportSnapshot(replica: number, ok: boolean, index: number): void {
    this.#lead?.snapshotSent(replica, ok, index)
  }

  /** The replica's node has a new incarnation, or its support lapsed and began anew: its promises about this group are void. */
  peerRestarted(replica: number): void {
    this.#lead?.restarted(replica)
    if (this.#state.leader === replica && this.#lead === undefined) this.#doubtful = true
  }

  /**
   * Whether a snapshot at (index, term) is still wanted; asked in the same synchronous step in which installing it begins.
   * Otherwise the log has what it holds, and cutting the log there could drop entries that were acknowledged.
   */
  acceptsSnapshot(index: number, term: number): boolean {
    const s = this.#state
    return this.#lead === undefined && index > s.commit && !s.log.matches(index, term) && !s.log.hasTail
  }

  /** A snapshot is durably installed and the log view begins behind it; nothing was stepped since `acceptsSnapshot`. */
  restored(index: number, term: number, configuration: Configuration): void {
    const s = this.#state
    assert(this.#lead === undefined && index > s.commit && !s.log.hasTail, 'a snapshot is installed where it is wanted')
    s.log.reset(index)
    assert(s.log.matches(index, term), 'the log view knows the term at the snapshot')
    // Its node may have gone on to a later term than we have heard of.
    if (term > s.term) this.#becomeFollower(term, 0)
    s.commit = index
    s.applied = index
    s.durable = index
    s.configurations = new ConfigurationHistory(index, configuration)
    s.outbox.snapshot = undefined
    if (s.leader !== 0) this.#reply(s.leader, index, 0)
  }

  /**
   * Leader only, else false: a quorum (both majorities when joint) has acknowledged this term's log under promises that
   * its nodes gave before and that hold now. Ask again in the same synchronous step as what relies on it.
   */
  leaseHolds(): boolean {
    return this.#lead?.leaseHolds() ?? false
  }

  /** Nothing is outstanding: ticks do nothing. Asked again whenever liveness changes. */
  get quiet(): boolean {
    if (this.#lead !== undefined) return this.#lead.quiet
    return this.#role === 'follower' && (this.#idle() || this.#content())
  }

  hasReady(): boolean {
    const s = this.#state
    return s.log.hasTail || s.outbox.holds(s) || (this.#lead?.due ?? false)
  }

  /** Takes everything out; ready.ts says what the driver owes then. */
  ready(): Ready {
    const s = this.#state
    this.#lead?.send()
    return s.outbox.take(s, s.log.take())
  }

  /** What a leader knows of the other members; empty on everybody else. */
  progress(): readonly ProgressView[] {
    const out: ProgressView[] = []
    for (const pr of this.#lead?.progress.values() ?? []) {
      if (pr.leaving) continue
      const { replica, match, next, state, inflightBytes, learner, recentlyActive } = pr
      out.push({ replica, match, next, state, inflightBytes, learner, recentlyActive })
    }
    return out
  }

  toString(): string {
    const s = this.#state
    const { lastIndex, lastTerm } = s.log
    const lines = [
      `${this.id}: ${this.#role} term ${s.term} vote ${s.vote} leader ${s.leader}`,
      `log ${s.log.firstIndex}..${lastIndex} last term ${lastTerm} commit ${s.commit} applied ${s.applied}`,
      showConfiguration(s.configuration),
    ]
    if (this.transferring !== 0) lines.push(`transferring to ${this.transferring}`)
    if (this.#lead !== undefined) for (const pr of this.#lead.progress.values()) lines.push(`progress ${pr}`)
    return lines.join('\n  ')
  }

  // ---- roles ----

  /** Our node's promise forbids to help against the leader. Of a leader: it has such promises. */
  #bound(): boolean {
    if (this.#lead !== undefined) return this.#lead.leaseHolds()
    const { leader, configuration, liveness } = this.#state
    return leader !== 0 && leader !== this.id && isVoter(configuration, leader) && liveness.supporting(leader)
  }

  #content(): boolean {
    return !this.#doubtful && this.#bound()
  }

  /** It can never stand, and binds nobody by waiting for its leader. */
  #idle(): boolean {
    return !this.#state.promotable && !(this.#doubtful && this.#bound())
  }

  #becomeFollower(term: number, leader: number): void {
    const s = this.#state
    if (this.#lead !== undefined) s.outbox.lostLeadership = true
    this.#lead = undefined
    if (term > s.term) {
      s.term = term
      s.vote = 0
    }
    this.#role = 'follower'
    this.#follow(leader)
    this.#timeout = s.electionTimeout()
  }

  #follow(leader: number): void {
    this.#state.leader = leader
    this.#doubtful = false
    this.#elapsed = 0
  }

  /** Becomes a candidate of the next term. */
  #stand(transfer: boolean): void {
    const s = this.#state
    // Pre-votes may be had against a leader that only we doubt; our promise to it stands all the same.
    if (!transfer && this.#bound()) return
    s.term++
    s.vote = this.id
    this.#role = 'candidate'
    this.#follow(0)
    this.#timeout = s.electionTimeout()
    this.#granted = new Set([this.id])
    this.#ceiling = s.ceiling()
    // Replies can only come after our own vote is durable; alone, nothing leaves before (Leadership.settled).
    if (this.#elected()) this.#becomeLeader(false)
    else this.#askAll(false, transfer)
  }

  #elected(): boolean {
    return quorum.agrees(this.#state.configuration, (id) => this.#granted.has(id))
  }

  #becomeLeader(settled: boolean): void {
    const s = this.#state
    assert(this.#role === 'candidate' && s.vote === this.id, 'only a candidate becomes leader')
    this.#role = 'leader'
    this.#follow(this.id)
    this.#lead = new Leadership(s, settled)
    s.outbox.becameLeader = true
  }

  /** Goes on, or ends a reign that has just committed its own removal. */
  #continue(reigns: boolean): void {
    if (reigns || this.#lead === undefined) return
    this.#lead.farewell()
    const heir = this.#lead.heir()
    if (heir !== 0) this.#lead.hurryElection(heir)
    this.#becomeFollower(this.#state.term, 0)
  }

  // ---- elections ----

  #askAll(pre: boolean, transfer: boolean): void {
    const c = this.#state.configuration
    for (const to of replicasOf(c)) if (to !== this.id && isVoter(c, to)) this.#ask(to, pre, transfer)
  }

  #ask(to: number, pre: boolean, transfer: boolean): void {
    const s = this.#state
    const { lastIndex, lastTerm } = s.log
    const term = pre ? s.term + 1 : s.term
    const out = pre ? s.outbox.messages : s.outbox.afterDurable
    out.push({ type: messageVote, from: this.id, to, term, lastIndex, lastTerm, pre, transfer })
  }

  /** A learner answers too: it may be a voter already in the configuration that the candidate has. */
  #onVote(m: VoteMessage): void {
    const s = this.#state
    // Who asks for a later term does not lead this one and never will again.
    if (m.from === s.leader && m.pre && m.term > s.term) s.leader = 0
    const bound = !m.transfer && m.from !== s.leader && this.#bound()
    if (this.#lead !== undefined && (m.pre || bound || m.term <= s.term)) return this.#lead.remind(m.from)
    // Of an answer by a candidate it could not be said whether it still wins its term (see #onVoteReply).
    const known = m.pre ? m.term - 1 : m.term
    if (m.pre && this.#role === 'candidate' && known >= s.term) return
    const { lastIndex, lastTerm } = s.log
    const complete = m.lastTerm > lastTerm || (m.lastTerm === lastTerm && m.lastIndex >= lastIndex)
    // Somebody has heard nothing of our leader: we go and ask it. (Who was removed and does not know it is not listened to.)
    if (bound && known >= s.term && (complete || isVoter(s.configuration, m.from))) this.#doubtful = true
    if (bound || !s.liveness.mayVote()) return m.pre ? this.#answer(m, false) : undefined
    if (known > s.term) this.#becomeFollower(known, 0)
    if (known < s.term) return this.#answer(m, false)
    const free = m.pre || s.vote === m.from || (s.vote === 0 && s.leader === 0)
    const granted = complete && free
    if (granted && !m.pre) {
      assert(s.vote === 0 || s.vote === m.from, 'one vote a term')
      s.vote = m.from
      this.#elapsed = 0
    }
    this.#answer(m, granted)
  }

  #answer(m: VoteMessage, granted: boolean): void {
    const s = this.#state
    const binding = granted && !m.pre
    const out = binding ? s.outbox.afterDurable : s.outbox.messages
    const ceiling = binding ? s.ceiling() : 0
    out.push({ type: messageVoteReply, from: this.id, to: m.from, term: s.term, pre: m.pre, granted, ceiling })
  }

  #onVoteReply(m: VoteReplyMessage): void {
    const s = this.#state
    // In our term, and neither its leader nor its candidate: it leads this term no more.
    if (m.pre && m.from === s.leader) s.leader = 0
    if (!m.granted || this.#role !== (m.pre ? 'precandidate' : 'candidate')) return
    this.#granted.add(m.from)
    if (!m.pre) this.#ceiling = Math.max(this.#ceiling, m.ceiling)
    if (!this.#elected()) return
    if (m.pre) this.#stand(false)
    else this.#becomeLeader(true)
  }

  #onTimeoutNow(m: TimeoutNowMessage): void {
    const s = this.#state
    if (this.#role === 'leader' || this.#role === 'candidate') return
    if (!s.promotable || !s.liveness.mayVote()) return
    this.#stand(true)
    this.#ceiling = Math.max(this.#ceiling, m.ceiling)
  }

  // ---- the log ----

  #hear(from: number): void {
    const s = this.#state
    assert(this.#lead === undefined && (s.leader === 0 || s.leader === from), 'one leader a term')
    this.#role = 'follower'
    this.#follow(from)
  }

  #onAppend(m: AppendMessage): void {
    const s = this.#state
    this.#hear(m.from)
    const last = m.prevIndex + m.entries.length
    if (m.prevIndex > s.commit) {
      if (!s.log.matches(m.prevIndex, m.prevTerm)) return this.#reject(m)
    } else assert((s.log.term(m.prevIndex) ?? m.prevTerm) === m.prevTerm, 'a leader has every committed entry')
    let at = 0
    for (; at < m.entries.length; at++) {
      const { index, term } = m.entries[at]
      if (s.log.matches(index, term)) continue
      if (index > s.commit) break
      const own = s.log.term(index)
      assert(own === undefined, 'a leader has every committed entry')
    }
    if (at < m.entries.length) s.append(at === 0 ? m.entries : m.entries.slice(at))
    const match = Math.max(last, s.commit)
    s.commitTo(Math.min(m.commit, match))
    this.#reply(m.from, match, m.round)
  }

  #reject(m: AppendMessage): void {
    const s = this.#state
    const hintIndex = s.log.agreement(m.prevIndex, m.prevTerm, s.commit)
    s.outbox.messages.push({
      type: messageAppendReply,
      from: this.id,
      to: m.from,
      term: s.term,
      index: m.prevIndex,
      reject: true,
      hintIndex,
      hintTerm: s.log.term(hintIndex) ?? 0,
      commit: s.commit,
      round: m.round,
    })
  }

  /** Says that we have the leader's log up to `index`, once that and our term are durable. */
  #reply(to: number, index: number, round: number): void {
    const s = this.#state
    const out = index <= s.durable && s.durableTerm === s.term ? s.outbox.messages : s.outbox.afterDurable
    out.push({
      type: messageAppendReply,
      from: this.id,
      to,
      term: s.term,
      index,
      reject: false,
      hintIndex: 0,
      hintTerm: 0,
      commit: s.commit,
      round,
    })
  }

  #onAppendReply(m: AppendReplyMessage): void {
    if (this.#lead !== undefined) this.#continue(this.#lead.replied(m))
  }

  #onSnapshotOffer(m: SnapshotOfferMessage): void {
    const s = this.#state
    this.#hear(m.from)
    if (s.log.matches(m.index, m.indexTerm)) s.commitTo(m.index)
    if (m.index <= s.commit) return this.#reply(m.from, s.commit, 0)
    const { from, index, indexTerm: term, configuration } = m
    s.outbox.snapshot = { from, index, term, configuration }
  }
}
