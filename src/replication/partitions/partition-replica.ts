/**
 * One replica of a partition on this node: the shell around the Raft core.
 *
 *   propose, step, tick ─► raft ─► ready ─┬─ messages ───────────────────────────► other nodes
 *                                         ├─ entries, hard state ─► commit log ─► durable ─► raft, held-back messages
 *                                         └─ committed, durable here ─► machine ─► proposer
 *
 * The lease: this replica serves reads while it leads, has applied an entry of its own term, and a quorum of voters
 * that acknowledged its leadership keeps promising support (liveness.ts).
 *
 * Not here: consensus (raft), which replicas exist and how messages travel (host.ts), rows (machine.ts).
 */
import { assert, DbError, microtask, type Timestamp } from '../../base/index.ts'
import type { CommitLog } from '../../storage/index.ts'
import {
  type Configuration,
  type Entry,
  type EntryKind,
  entryConfiguration,
  entryData,
  entryNoop,
  type HardState,
  type Message,
  messageAppend,
  Raft,
} from '../raft/index.ts'
import { nodeOfReplica, type PartitionDescriptor, type ReplicaState } from './descriptor.ts'
import type { Host } from './host.ts'
import type { LogWindow } from './log-window.ts'
import { kindConfiguration, kindNoop, kindSplit } from './machine.ts'

/** Entries applied between two turns of the loop. */
const applySlice = 512

export type Outcome =
  | { readonly kind: 'applied'; readonly result: unknown }
  /** It will never be applied: try elsewhere. */
  | { readonly kind: 'dropped' }
  /** The replica went before it could be known. */
  | { readonly kind: 'unknown' }

interface Pending {
  readonly term: number
  readonly done: (outcome: Outcome) => void
}

interface Sync {
  readonly messages: Message[]
  /** The last entry it makes durable. */
  readonly last: Entry | undefined
  readonly sinceMicros: number
}

export class PartitionReplica {
  readonly id: number
  stream: number
  readonly raft: Raft
  readonly window: LogWindow
  /** As of the last applied entry. */
  state: ReplicaState
  applied: number
  /** Serves as soon as promises hold: an entry of its own term is applied. */
  serving = false
  /** No proposals are taken while the span is being changed. */
  frozen = false
  /** Bytes written since the host last looked, for its choice of splits. */
  writtenBytes = 0
  requests = 0
  readonly #host: Host
  readonly #log: CommitLog
  readonly #pending = new Map<number, Pending>()
  readonly #reads = new Map<number, (index: number | undefined) => void>()
  readonly #waiters: { readonly index: number; readonly done: () => void }[] = []
  #nextRead = 1
  #durable: number
  /** Syncs under way, oldest first, with what leaves when they are done. */
  readonly #syncs: Sync[] = []
  #applying = false
  /** An entry that is applied over several turns of the loop. */
  #slow: Promise<void> | undefined
  #scheduled = false
  #loading = false
  #leaseUntil = 0
  #ceiling: Timestamp = 0
  #removed = false
  #installing = false
  #installed: (() => void)[] = []

  constructor(host: Host, stream: number, state: ReplicaState, window: LogWindow, applied: number) {
    const { liveness, log } = host
    this.#host = host
    this.#log = log
    this.id = state.replica
    this.stream = stream
    this.state = state
    this.window = window
    this.applied = applied
    this.#durable = window.lastIndex()
    const hardState = log.hardState(stream)
    this.raft = new Raft({
      id: state.replica,
      log: window,
      liveness: {
        supporting: (replica) => liveness.supporting(nodeOfReplica(replica)),
        supportedBy: (replica) => liveness.supportedBy(nodeOfReplica(replica)),
        mayVote: () => liveness.mayVote(),
      },
      hardState: { ...hardState, commit: Math.max(applied, Math.min(hardState.commit, window.lastIndex())) },
      applied,
      configuration: state.configuration,
      electionTimeout: () => host.electionTicks(),
      ceiling: () => liveness.highestCeiling(),
    })
  }

  get partition(): PartitionDescriptor {
    return this.state.partition
  }

  /** A snapshot is taking the place of what is here: nothing is applied meanwhile. */
  get installing(): boolean {
    return this.#installing
  }

  set installing(under: boolean) {
    this.#installing = under
    if (!under) for (const done of this.#installed.splice(0)) done()
  }

  /** Resolves when no snapshot is being installed: until then what is stored of this replica has two places. */
  async settled(): Promise<void> {
    while (this.#installing) await new Promise<void>((done) => this.#installed.push(done))
  }

  get removed(): boolean {
    return this.#removed
  }

  /** Nodes with a replica, learners too. */
  nodes(): number[] {
    const { voters, outgoing, learners } = this.raft.configuration
    return [...new Set([...voters, ...outgoing, ...learners].map(nodeOfReplica))].sort((a, b) => a - b)
  }

  /** Nodes whose replica votes. */
  voterNodes(): number[] {
    const { voters, outgoing } = this.raft.configuration
    return [...new Set([...voters, ...outgoing].map(nodeOfReplica))].sort((a, b) => a - b)
  }

  /** The node that leads as far as is known here; 0 when unknown. */
  get leaderNode(): number {
    return nodeOfReplica(this.raft.leader)
  }

  /** Whether this replica may answer at a timestamp in this very step. */
  holdsLease(at: Timestamp): boolean {
    const { raft } = this
    if (raft.role !== 'leader' || !this.serving || raft.transferring !== 0) return false
    if (this.#host.now() < this.#leaseUntil && at <= this.#ceiling) return true
    if (!raft.leaseHolds()) return false
    this.#measureLease()
    return this.#host.now() < this.#leaseUntil && at <= this.#ceiling
  }

  #measureLease(): void {
    const { liveness, nodeId } = this.#host
    const acknowledged = new Set<number>([this.id])
    for (const p of this.raft.progress()) if (p.recentlyActive) acknowledged.add(p.replica)
    const { voters, outgoing } = this.raft.configuration
    let until = Number.POSITIVE_INFINITY
    let ceiling = Number.POSITIVE_INFINITY
    for (const side of [voters, outgoing]) {
      if (side.length === 0) continue
      const untils: number[] = []
      const ceilings: number[] = []
      for (const replica of side) {
        const node = nodeOfReplica(replica)
        const counts = acknowledged.has(replica)
        untils.push(node === nodeId ? Number.POSITIVE_INFINITY : counts ? liveness.supportedUntil(node) : 0)
        ceilings.push(node === nodeId ? Number.POSITIVE_INFINITY : counts ? liveness.ceilingAt(node) : 0)
      }
      const quorum = Math.floor(side.length / 2)
      until = Math.min(until, untils.sort((a, b) => b - a)[quorum])
      ceiling = Math.min(ceiling, ceilings.sort((a, b) => b - a)[quorum])
    }
    this.#leaseUntil = until
    this.#ceiling = ceiling
  }

  /** What was measured of the lease holds no more: a peer restarted, voters changed. */
  forgetLease(): void {
    this.#leaseUntil = 0
    this.#ceiling = 0
  }

  /**
   * Replicates an entry; `done` runs once it is applied here, or when it certainly never will be. False: not the leader,
   * frozen, or too much is under way.
   */
  propose(payload: Uint8Array, transactionId: number, done: (outcome: Outcome) => void, force = false): boolean {
    if (this.#removed || !this.serving || (this.frozen && !force)) return false
    const index = this.raft.propose([{ kind: entryData, transactionId, payload }])
    if (index === undefined) return false
    this.#host.proposals++
    // What was proposed there in an earlier term is in this log no more; elsewhere it may be, and be committed yet.
    this.#pending.get(index)?.done({ kind: 'unknown' })
    this.#pending.set(index, { term: this.raft.term, done })
    this.schedule()
    return true
  }

  /** The index at which a read is linearizable here, once a quorum has confirmed the leadership; undefined: no longer. */
  readIndex(): Promise<number | undefined> {
    const token = this.#nextRead++
    if (!this.raft.readIndex(token)) return Promise.resolve(undefined)
    this.schedule()
    return new Promise((done) => this.#reads.set(token, done))
  }

  /** Applies what is known to be committed, after opening. */
  replay(): Promise<void> {
    this.#apply()
    return this.appliedTo(Math.min(this.raft.commit, this.#durable))
  }

  /** Resolves once the entry is applied here. */
  appliedTo(index: number): Promise<void> {
    if (this.applied >= index) return Promise.resolve()
    return new Promise((done) => this.#waiters.push({ index, done }))
  }

  proposeConfiguration(next: { voters: readonly number[]; learners: readonly number[] }): boolean {
    if (this.frozen || this.raft.proposeConfiguration(next) === undefined) return false
    this.forgetLease()
    this.schedule()
    return true
  }

  /** Hands the leadership to another node's replica; the lease ends here at once. */
  transfer(node: number): boolean {
    const to = this.raft.configuration.voters.find((r) => nodeOfReplica(r) === node)
    if (to === undefined || !this.raft.transferLeadership(to)) return false
    // Even when the transfer comes to nothing: the next leader may have been asked to stand.
    this.forgetLease()
    this.schedule()
    return true
  }

  step(message: Message): void {
    // What arrives while a snapshot is installed would go into the log that it replaces; senders repeat.
    if (this.#removed || this.installing) return
    // On a full disk nothing more is taken in or acknowledged; leaders repeat.
    if (this.#log.full && message.type === messageAppend && message.entries.length > 0) return
    this.raft.step(message)
    this.schedule()
  }

  tick(): void {
    if (this.installing) return
    this.raft.tick()
    this.process()
  }

  /** Handles what the core has to say before the loop's current turn ends: proposals of one turn leave together. */
  schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#host.activate(this)
    microtask(() => {
      this.#scheduled = false
      if (!this.#host.io.dead) this.process()
    })
  }

  process(): void {
    if (this.installing) return
    while (!this.#removed && this.raft.hasReady()) this.#handleReady()
    if (!this.#removed) this.#loadWanted()
  }

  #handleReady(): void {
    const ready = this.raft.ready()
    try {
      this.#persist(ready.mustSync ? ready.hardState : undefined, ready.entries, ready.afterDurable)
    } catch (error) {
      if (!(error instanceof DbError) || error.code !== 'disk_full') throw error
      // Even what is held back for this is used up: Raft's own state cannot be kept any more.
      this.#host.io.fatal('the commit log has no room left', error)
      return
    }
    for (const message of ready.messages) this.#host.sendRaft(this, message)
    if (ready.lostLeadership) this.#loseLeadership()
    if (ready.becameLeader) this.#host.clock.observe(this.raft.electionCeiling)
    if (ready.snapshot !== undefined) this.#host.fetchSnapshot(this, ready.snapshot)
    for (const { token, index } of ready.reads) {
      this.#reads.get(token)?.(index)
      this.#reads.delete(token)
    }
    this.#apply()
  }

  #persist(hardState: HardState | undefined, entries: readonly Entry[], messages: readonly Message[]): void {
    if (hardState === undefined && entries.length === 0) {
      const last = this.#syncs[this.#syncs.length - 1]
      if (last !== undefined) last.messages.push(...messages)
      else for (const message of messages) this.#host.sendRaft(this, message)
      return
    }
    const sync: Sync = { messages: [...messages], last: entries[entries.length - 1], sinceMicros: this.#host.now() }
    this.#syncs.push(sync)
    const durable = () => this.#becameDurable(sync)
    if (hardState !== undefined)
      this.#log.saveHardState(this.stream, hardState, entries.length === 0 ? durable : undefined)
    if (entries.length > 0 && entries[0].index <= this.#durable) this.#durable = entries[0].index - 1
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]
      this.window.append(entry)
      const { index, term, transactionId } = entry
      const record = { stream: this.stream, index, term, transactionId, payload: toLog(entry) }
      this.#log.append(record, i === entries.length - 1 ? durable : undefined)
      this.writtenBytes += entry.payload.length
    }
  }

  #becameDurable(sync: Sync): void {
    if (this.#host.io.dead || this.#removed) return
    assert(this.#syncs[0] === sync, 'syncs end in their order')
    this.#syncs.shift()
    this.#host.noteSync(this.#host.now() - sync.sinceMicros)
    for (const message of sync.messages) this.#host.sendRaft(this, message)
    const { last } = sync
    if (last !== undefined && this.window.term(last.index) === last.term) {
      this.#durable = Math.max(this.#durable, last.index)
      if (!this.installing) this.raft.durable(last.index, last.term)
    }
    this.process()
    this.#apply()
  }

  /** Applies what is committed and durable here, in slices. */
  #apply(): void {
    if (this.#applying || this.installing) return
    const { engine, io } = this.#host
    let count = 0
    for (;;) {
      const to = Math.min(this.raft.commit, this.#durable)
      if (this.applied >= to || this.#removed) break
      if (engine.stalled || count++ >= applySlice) {
        this.#applying = true
        const rest = engine.stalled ? engine.unstalled() : io.tasks.yield()
        rest.then(() => {
          this.#applying = false
          if (!io.dead) this.#apply()
        })
        return
      }
      const entry = this.window.entry(this.applied + 1)
      assert(entry !== undefined, 'what is to be applied is in memory')
      if (this.#applyEntry(entry)) {
        if (count > 1) this.#noteApplied()
        return
      }
    }
    if (count > 0) this.#noteApplied()
  }

  #noteApplied(): void {
    this.raft.appliedTo(this.applied)
    this.window.trim(this.applied)
    this.#settleWaiters()
    this.#noteServing()
    if (this.raft.hasReady()) this.schedule()
  }

  /** True when the entry takes several turns: whatever follows waits for it. */
  #applyEntry(entry: Entry): boolean {
    const { index, payload, transactionId } = entry
    const { machine } = this.#host
    let result: unknown
    if (entry.kind === entryNoop) this.#host.applyNothing(this, index)
    else if (entry.kind === entryConfiguration) this.#host.applyConfiguration(this, payload, index)
    else if (payload[0] === kindSplit) result = this.#host.applySplit(this, payload, index)
    else {
      const slices = machine.applySlices(this, payload, transactionId, index)
      if (slices !== undefined) {
        this.#applySlowly(entry, slices)
        return true
      }
      result = machine.apply(this, payload, transactionId, index)
    }
    this.#entryApplied(entry, result)
    return false
  }

  #applySlowly(entry: Entry, slices: Promise<unknown>): void {
    const { io } = this.#host
    this.#applying = true
    this.#slow = slices.then(
      (result) => {
        this.#applying = false
        this.#slow = undefined
        if (io.dead || this.#removed) return
        this.#entryApplied(entry, result)
        this.#noteApplied()
        this.#apply()
      },
      (error) => {
        if (!io.dead) io.fatal('an entry could not be applied', error)
      },
    )
  }

  /** Waits while an entry is applied over several turns: what the engine holds of it meanwhile is no picture of anything. */
  async wholeEntries(): Promise<void> {
    while (this.#slow !== undefined) await this.#slow
  }

  /** Whether an entry is being applied over several turns. */
  get applyingSlowly(): boolean {
    return this.#slow !== undefined
  }

  #entryApplied(entry: Entry, result: unknown): void {
    const { index } = entry
    this.applied = index
    const pending = this.#pending.get(index)
    if (pending === undefined) return
    this.#pending.delete(index)
    pending.done(pending.term === entry.term ? { kind: 'applied', result } : { kind: 'dropped' })
  }

  #settleWaiters(): void {
    for (let i = this.#waiters.length - 1; i >= 0; i--) {
      if (this.#waiters[i].index > this.applied) continue
      this.#waiters.splice(i, 1)[0].done()
    }
  }

  #noteServing(): void {
    if (this.serving || this.raft.role !== 'leader' || this.window.term(this.applied) !== this.raft.term) return
    this.serving = true
    this.forgetLease()
    this.#host.leaseAcquired(this)
  }

  #loseLeadership(): void {
    this.forgetLease()
    for (const done of this.#reads.values()) done(undefined)
    this.#reads.clear()
    this.frozen = false
    if (!this.serving) return
    this.serving = false
    this.#host.leaseLost(this)
  }

  /** A cooperative transfer has ended without a new leader. */
  get transferring(): boolean {
    return this.raft.transferring !== 0
  }

  #loadWanted(): void {
    const { wanted } = this.window
    if (wanted === undefined || this.#loading) return
    this.#loading = true
    const { from, to } = wanted
    const entries: Entry[] = []
    let bytes = 0
    const stop = Math.min(to - 1, from + 2047, this.window.lastIndex())
    this.#log
      .read(this.stream, from, stop, (record) => {
        bytes += record.payload.length
        if (bytes <= 8 * 1024 * 1024 || entries.length === 0)
          entries.push(fromLog(record.index, record.term, record.transactionId, new Uint8Array(record.payload)))
      })
      .then(
        () => {
          this.#loading = false
          if (this.#host.io.dead || this.#removed) return
          this.window.load(entries)
          this.raft.loaded()
          this.process()
        },
        (error: unknown) => {
          this.#loading = false
          if (error instanceof DbError && error.code === 'object_not_in_prerequisite_state')
            this.window.wanted = undefined
          else if (!this.#host.io.dead) this.#host.io.fatal('the commit log could not be read', error)
        },
      )
  }

  /** The replica goes on in another log stream, with what a snapshot brought. */
  moved(stream: number, state: ReplicaState): void {
    this.stream = stream
    this.state = state
  }

  /** A snapshot has replaced everything up to `index`. */
  restored(index: number, term: number, configuration: Configuration): void {
    this.window.reset(index, term)
    this.applied = index
    this.#durable = index
    this.installing = false
    this.raft.restored(index, term, configuration)
    this.#settleWaiters()
    this.process()
  }

  /** Lets the log drop what tables hold and followers do not need. */
  reclaim(flushed: number): void {
    let index = Math.min(flushed, this.applied) - 1
    if (this.raft.role === 'leader') {
      for (const p of this.raft.progress())
        if (p.recentlyActive && p.state !== 'snapshot') index = Math.min(index, p.match)
    }
    index = Math.min(index, this.applied - this.#host.keptEntries)
    if (index < this.window.firstIndex()) return
    this.window.truncateTo(index)
    // The entry at the base stays in the log: it alone tells the base's term after a restart.
    this.#log.release(this.stream, index - 1)
  }

  /** Ends this replica; whoever waits for it is told that nothing more comes of it. */
  close(): void {
    if (this.#removed) return
    this.#loseLeadership()
    this.#removed = true
    for (const { done } of this.#pending.values()) done({ kind: 'unknown' })
    this.#pending.clear()
    for (const { done } of this.#waiters.splice(0)) done()
  }
}

function toLog(entry: Entry): Uint8Array {
  if (entry.kind === entryData) return entry.payload
  const out = new Uint8Array(entry.payload.length + 1)
  out[0] = entry.kind === entryNoop ? kindNoop : kindConfiguration
  out.set(entry.payload, 1)
  return out
}

export function fromLog(index: number, term: number, transactionId: number, payload: Uint8Array): Entry {
  const kind: EntryKind =
    payload[0] === kindNoop ? entryNoop : payload[0] === kindConfiguration ? entryConfiguration : entryData
  return { index, term, kind, transactionId, payload: kind === entryData ? payload : payload.subarray(1) }
}
