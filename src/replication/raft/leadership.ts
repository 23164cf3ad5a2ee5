/**
 * One replica's reign over one term: what each follower has, what it is sent next, which reads wait for a confirmation, and
 * whether a lease stands.
 *
 * Sending is lazy: steps change what is owed, `send` (once per `ready`) pays it, so proposals of one turn share a message.
 *
 * A lease rests on promises (`Liveness`) of a quorum of nodes, and a promise counts only from a follower that has said,
 * after the promise was given, that we are its leader and that its log is ours. `round` orders that: appends carry it,
 * replies repeat it. The lease is given up for good when the group is told to elect another (`transferLeadership`), and
 * when we propose our own removal.
 *
 * Source: Ongaro and Ousterhout 2014, 5.3, 5.4 and figure 8; Ongaro 2014, chapters 3.10, 4 and 6.4.
 *
 * Not here: elections (raft.ts), how logs are compared (log.ts, progress.ts).
 */
import { assert } from '../../base/index.ts'
import { type Configuration, encodeConfiguration, isVoter, replicasOf, towards } from './configuration.ts'
import { type Entry, type EntryKind, entryBytes, entryConfiguration, entryNoop } from './entry.ts'
import {
  type AppendReplyMessage,
  messageAppend,
  messageSnapshotOffer,
  messageTimeoutNow,
  type SnapshotOfferMessage,
} from './message.ts'
import { Progress } from './progress.ts'
import { quorum } from './quorum.ts'
import type { State } from './state.ts'

export interface Proposal {
  readonly kind: EntryKind
  readonly transactionId: number
  readonly payload: Uint8Array
}

interface PendingRead {
  readonly token: number
  readonly index: number
  readonly round: number
}

const nothing: readonly Entry[] = []
const noBytes = new Uint8Array(0)

export class Leadership {
  /** Index of the first entry of this reign; committing it commits all before it. */
  readonly termStart: number
  readonly progress = new Map<number, Progress>()
  /** 0 when none is under way. */
  transferring = 0
  /** Something may be owed to somebody. */
  owes = true
  /** Appends may leave. A lone voter's own vote must be durable first, or a second reign of the same term could follow. */
  settled: boolean
  /** The other replica was told to stand for election: no lease any more in this term. */
  abdicated = false
  readonly #state: State
  #transferTicks = 0
  #leaselessTicks = 0
  readonly #patience: number
  #round = 1
  #roundUsed = false
  #reads: PendingRead[] = []
  /** Not yet committed proposals, for back-pressure. */
  #pending: { readonly last: number; readonly bytes: number }[] = []
  #pendingBytes = 0

  constructor(state: State, settled: boolean) {
    this.#state = state
    this.settled = settled
    this.#patience = state.electionTimeout()
    this.termStart = state.log.lastIndex + 1
    this.#meet()
    this.append([{ kind: entryNoop, transactionId: 0, payload: noBytes }])
  }

  // ---- proposals ----

  propose(proposals: readonly Proposal[]): number | undefined {
    if (this.transferring !== 0 || this.#pendingBytes > this.#state.maxUncommittedBytes) return undefined
    return this.append(proposals)
  }

  proposeConfiguration(next: {
    readonly voters: readonly number[]
    readonly learners: readonly number[]
  }): number | undefined {
    const s = this.#state
    // One at a time, and never before an entry of our own term is committed (Ongaro's correction of 2015).
    const busy = s.configurations.currentIndex > s.commit || s.configuration.outgoing.length > 0
    if (busy || this.transferring !== 0 || s.commit < this.termStart) return undefined
    return this.#configure(towards(s.configuration, next))
  }

  /** Returns the first one's index. */
  append(proposals: readonly Proposal[]): number {
    assert(proposals.length > 0, 'a proposal has an entry')
    const s = this.#state
    const first = s.log.lastIndex + 1
    const entries: Entry[] = []
    let bytes = 0
    for (const { kind, transactionId, payload } of proposals) {
      const entry: Entry = { index: first + entries.length, term: s.term, kind, transactionId, payload }
      entries.push(entry)
      bytes += entryBytes(entry)
    }
    s.append(entries)
    this.#pending.push({ last: s.log.lastIndex, bytes })
    this.#pendingBytes += bytes
    this.owes = true
    return first
  }

  #configure(c: Configuration): number {
    const index = this.append([{ kind: entryConfiguration, transactionId: 0, payload: encodeConfiguration(c) }])
    this.#meet()
    return index
  }

  /** Follows the configuration: newcomers get a progress, those who leave keep theirs until they know (`#dismissed`). */
  #meet(): void {
    const s = this.#state
    const c = s.configuration
    const ids = replicasOf(c)
    for (const pr of this.progress.values()) {
      pr.leaving = !ids.includes(pr.replica)
      pr.learner = !isVoter(c, pr.replica)
    }
    for (const id of ids) {
      if (id === s.id || this.progress.has(id)) continue
      this.progress.set(id, new Progress(id, s.log.lastIndex + 1, this.#round, !isVoter(c, id)))
    }
  }

  /** A removed replica is told of its removal, so that it does not stand for election, but nobody waits for it for long. */
  #dismissed(pr: Progress, silent: boolean): boolean {
    const { configurations, commit } = this.#state
    const removal = configurations.currentIndex
    if (!pr.leaving || commit < removal || !(silent || pr.commit >= removal)) return false
    this.progress.delete(pr.replica)
    return true
  }

  // ---- commitment ----

  /** What counts for the replica: of ourselves only what is durable, and only in a term that is. */
  matchOf(replica: number): number {
    const s = this.#state
    if (replica === s.id) return s.durableTerm === s.term ? s.durable : 0
    return this.progress.get(replica)?.match ?? 0
  }

  /** Counting replicas commits entries of our own term only, and with them all before (figure 8). */
  countable(index: number): boolean {
    return this.#state.log.term(index) === this.#state.term
  }

  /** Commits what a quorum has. False when that committed our own removal: the reign ends. */
  advance(): boolean {
    const s = this.#state
    const index = quorum.index(s.configuration, (replica) => this.matchOf(replica))
    if (index <= s.commit || !this.countable(index)) return true
    s.commitTo(index)
    this.owes = true
    let done = 0
    while (done < this.#pending.length && this.#pending[done].last <= index)
      this.#pendingBytes -= this.#pending[done++].bytes
    this.#pending.splice(0, done)
    this.#answerReads()
    this.#leaveJoint()
    return s.configurations.currentIndex > s.commit || isVoter(s.configuration, s.id)
  }

  #leaveJoint(): void {
    const s = this.#state
    const { voters, outgoing, learners } = s.configuration
    // A transfer's target must not fall behind by an entry that nobody asked for.
    if (outgoing.length === 0 || s.configurations.currentIndex > s.commit || this.transferring !== 0) return
    this.#configure({ voters, outgoing: [], learners })
  }

  // ---- replies ----

  /** False as `advance`. */
  replied(m: AppendReplyMessage): boolean {
    const pr = this.progress.get(m.from)
    if (pr === undefined) return true
    const { log } = this.#state
    pr.heard(m.round)
    pr.commit = Math.max(pr.commit, m.commit)
    if (this.#dismissed(pr, false)) return true
    this.owes = true
    if (m.reject) {
      const stale = m.index <= pr.match || (pr.state === 'probe' && m.index !== pr.next - 1)
      if (!stale && pr.state !== 'snapshot') pr.probe(log.agreement(m.hintIndex, m.hintTerm, pr.match) + 1)
    } else {
      assert(m.index <= log.lastIndex, 'nobody has more of this term than its leader')
      pr.acknowledged(m.index)
      if (pr.state === 'snapshot' && pr.match + 1 >= log.firstIndex) pr.probe(pr.match + 1)
      this.#abdicate()
    }
    const reigns = this.advance()
    this.#answerReads()
    return reigns
  }

  #answerReads(): void {
    const s = this.#state
    while (this.#reads.length > 0) {
      const { token, index, round } = this.#reads[0]
      if (s.commit < index) return
      const confirmed = (id: number) => id === s.id || (this.progress.get(id)?.ackedRound ?? 0) >= round
      if (!quorum.agrees(s.configuration, confirmed)) return
      this.#reads.shift()
      s.outbox.reads.push({ token, index })
    }
  }

  readIndex(token: number): void {
    const s = this.#state
    // What earlier leaders committed is known once an entry of our own is.
    this.#reads.push({ token, index: Math.max(s.commit, this.termStart), round: this.#newRound() })
    this.owes = true
    this.#answerReads()
  }

  // ---- lease ----

  leaseHolds(): boolean {
    const s = this.#state
    if (this.abdicated || !this.settled || !isVoter(s.configuration, s.id)) return false
    return quorum.agrees(s.configuration, (id) => {
      if (id === s.id) return true
      const pr = this.progress.get(id)
      if (pr === undefined || pr.ackedRound < pr.promiseRound || pr.match < this.termStart) return false
      return s.liveness.supportedBy(id)
    })
  }

  restarted(replica: number): void {
    const pr = this.progress.get(replica)
    if (pr === undefined) return
    pr.promiseRound = this.#newRound()
    if (pr.state === 'replicate') pr.probe(pr.match + 1)
    pr.waiting = false
    pr.hurry()
    this.owes = true
  }

  unreachable(replica: number): void {
    const pr = this.progress.get(replica)
    if (pr?.state !== 'replicate') return
    pr.probe(pr.match + 1)
    pr.waiting = true
  }

  snapshotSent(replica: number, ok: boolean, index: number): void {
    const pr = this.progress.get(replica)
    if (pr?.state !== 'snapshot') return
    pr.probe(Math.max(pr.match, ok ? index : 0) + 1)
    // After a failure the next offer waits for a pause.
    pr.waiting = !ok
    this.owes = true
  }

  /** It does not know that we lead: tell it. */
  remind(replica: number): void {
    const pr = this.progress.get(replica)
    if (pr === undefined) return
    pr.poked = true
    this.owes = true
  }

  // ---- transfer ----

  transfer(to: number): boolean {
    const s = this.#state
    if (this.transferring !== 0 || to === s.id || !s.configuration.voters.includes(to)) return false
    this.transferring = to
    this.#transferTicks = 0
    this.#abdicate()
    if (!this.abdicated) this.progress.get(to)?.hurry()
    this.owes = true
    return true
  }

  /** Tells the transfer's target, once it has everything. */
  #abdicate(): void {
    const s = this.#state
    if (this.transferring === 0 || this.abdicated) return
    if (this.progress.get(this.transferring)?.match !== s.log.lastIndex) return
    this.abdicated = true
    this.hurryElection(this.transferring)
  }

  hurryElection(to: number): void {
    const s = this.#state
    s.outbox.messages.push({ type: messageTimeoutNow, from: s.id, to, term: s.term, ceiling: s.ceiling() })
  }

  /** The voter that has most of the log. */
  heir(): number {
    let best: Progress | undefined
    for (const pr of this.progress.values()) if (!pr.learner && (best === undefined || pr.match > best.match)) best = pr
    return best?.replica ?? 0
  }

  // ---- time ----

  /**
   * 'lapsed' when no lease stood for an election timeout: whoever is out there may have elected another. 'undecided' when a
   * transfer was not taken up and the target was told already: only a new term makes sure that it comes to nothing.
   */
  tick(): 'reigns' | 'lapsed' | 'undecided' {
    this.#leaselessTicks = this.leaseHolds() ? 0 : this.#leaselessTicks + 1
    if (this.transferring !== 0 && ++this.#transferTicks >= this.#patience) {
      this.transferring = 0
      if (this.abdicated) return 'undecided'
      this.#leaveJoint()
    }
    if (this.#leaselessTicks >= this.#patience) return 'lapsed'
    for (const pr of this.progress.values()) {
      if (!this.#owedTo(pr) || !pr.pauseOver()) continue
      if (this.#dismissed(pr, true)) continue
      this.owes = true
      if (pr.state === 'snapshot') {
        this.#offer(pr)
        continue
      }
      if (pr.state === 'replicate' && pr.match < this.#state.log.lastIndex) pr.probe(pr.match + 1)
      pr.waiting = false
      pr.poked = true
    }
    return 'reigns'
  }

  /** Everybody has everything and knows it, and the lease stands. */
  get quiet(): boolean {
    const s = this.#state
    if (s.commit < s.log.lastIndex || this.#reads.length > 0 || this.transferring !== 0 || this.owes) return false
    for (const pr of this.progress.values()) if (this.#owedTo(pr)) return false
    return this.leaseHolds()
  }

  #owedTo(pr: Progress): boolean {
    const s = this.#state
    return pr.match < s.log.lastIndex || pr.commit < s.commit || pr.ackedRound < this.#owedRound(pr)
  }

  // ---- sending ----

  get due(): boolean {
    return this.owes && this.settled
  }

  send(): void {
    this.owes = false
    if (!this.settled) return
    for (const pr of this.progress.values()) this.#sendTo(pr)
  }

  /** A last word about the commit index, before the reign ends. */
  farewell(): void {
    for (const pr of this.progress.values())
      if (pr.state === 'replicate' && !this.#gone(pr)) this.#append(pr, pr.next - 1, nothing)
  }

  loaded(): void {
    for (const pr of this.progress.values()) pr.loading = false
    this.owes = true
  }

  #sendTo(pr: Progress): void {
    const s = this.#state
    const must = pr.poked || pr.sentRound < this.#owedRound(pr)
    pr.poked = false
    if (pr.state === 'snapshot') {
      if (must) this.#append(pr, s.log.lastIndex, nothing)
    } else if (pr.state === 'probe') {
      if (must || !pr.waiting) this.#probe(pr)
    } else {
      let sent = false
      while (this.#pipeline(pr)) sent = true
      const news = pr.sentCommit < s.commit && pr.inflightBytes === 0
      if (sent || pr.state !== 'replicate' || !(must || news)) return
      if (this.#gone(pr)) this.#offer(pr)
      else this.#append(pr, pr.next - 1, nothing)
    }
  }

  #probe(pr: Progress): void {
    if (this.#gone(pr)) return this.#offer(pr)
    this.#append(pr, pr.next - 1, pr.waiting ? nothing : (this.#entriesFor(pr) ?? nothing))
    pr.waiting = true
  }

  #pipeline(pr: Progress): boolean {
    if (pr.next > this.#state.log.lastIndex || pr.inflightBytes >= this.#state.maxInflightBytes) return false
    if (this.#gone(pr)) {
      this.#offer(pr)
      return false
    }
    const entries = this.#entriesFor(pr)
    if (entries === undefined) return false
    let bytes = 0
    for (const entry of entries) bytes += entryBytes(entry)
    this.#append(pr, pr.next - 1, entries)
    pr.sent(entries[entries.length - 1].index, bytes)
    return true
  }

  #gone(pr: Progress): boolean {
    const { log } = this.#state
    return pr.next < log.firstIndex || log.term(pr.next - 1) === undefined
  }

  /** From `next` on; undefined while the driver loads them. */
  #entriesFor(pr: Progress): readonly Entry[] | undefined {
    const { log, maxMessageBytes } = this.#state
    if (pr.loading) return undefined
    if (pr.next > log.lastIndex) return nothing
    const entries = log.entries(pr.next, log.lastIndex + 1, maxMessageBytes)
    if (entries === undefined) pr.loading = true
    return entries
  }

  #append(pr: Progress, prevIndex: number, entries: readonly Entry[]): void {
    const s = this.#state
    const prevTerm = s.log.term(prevIndex)
    assert(prevTerm !== undefined, 'appends follow an entry that is known')
    this.#roundUsed = true
    pr.sentRound = this.#round
    pr.sentCommit = s.commit
    s.outbox.messages.push({
      type: messageAppend,
      from: s.id,
      to: pr.replica,
      term: s.term,
      prevIndex,
      prevTerm,
      commit: s.commit,
      round: this.#round,
      entries,
    })
  }

  #offer(pr: Progress): void {
    const s = this.#state
    const indexTerm = s.log.term(s.applied)
    assert(indexTerm !== undefined, 'the log is cut at most up to what is applied')
    pr.offered()
    const offer: SnapshotOfferMessage = {
      type: messageSnapshotOffer,
      from: s.id,
      to: pr.replica,
      term: s.term,
      index: s.applied,
      indexTerm,
      configuration: s.configurations.at(s.applied),
    }
    s.outbox.messages.push(offer)
  }

  /** A round that nothing sent so far carries. */
  #newRound(): number {
    if (this.#roundUsed) {
      this.#round++
      this.#roundUsed = false
    }
    return this.#round
  }

  /** The round that the follower must have answered. */
  #owedRound(pr: Progress): number {
    const read = this.#reads.length === 0 || pr.learner ? 0 : this.#reads[this.#reads.length - 1].round
    return Math.max(pr.promiseRound, read)
  }
}
