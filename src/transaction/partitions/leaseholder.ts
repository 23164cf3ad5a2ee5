/**
 * The leaseholder's side of transactions: reads that hold back later writes, row locks, validation, prepares.
 *
 * One clock per node does what a `maxReadTs` per partition would: a read at S first moves the clock to S, and commit
 * timestamps are taken from the same clock, so every commit that is not registered yet lies above every read served.
 *
 *   commit   validate, C = clock, register in flight, append     one synchronous step under a lease checked in it
 *   read     clock ≥ S, then wait for what is in flight or prepared at or below S on the keys read
 *
 * Not here: gateways (cluster-transaction.ts), applying (machine.ts), remote owners' lives (cluster-store.ts).
 */
import {
  assert,
  DbError,
  END,
  type HybridClock,
  maxSkewMicros,
  maxTimestamp,
  ROW,
  type Timestamp,
  WAIT,
} from '../../base/index.ts'
import { WriteSetReader } from '../../encoding/index.ts'
import {
  covers,
  coversSpan,
  type Host,
  type Outcome,
  type PartitionReplica,
  uncertaintyMicros,
} from '../../replication/index.ts'
import { type Engine, type Found, type Span, snapshotTooOld } from '../../storage/index.ts'
import { keyText } from '../cursor.ts'
import { endWait, LockOwner, type LockTable } from '../lock-table.ts'
import { type Chunked, isPointer } from './chunks.ts'
import {
  encodeAnchor,
  encodePrepare,
  encodeRecord,
  encodeResolve,
  kindFence,
  kindForget,
  stampSet,
  stampWrite,
  writeHeader,
} from './entry.ts'
import { FollowerReads } from './follower-reads.ts'
import { type Blocking, InFlight, mayWait } from './in-flight.ts'
import { LargeCommits } from './large-commits.ts'
import type { Applied, MachineEvents, TransactionMachine } from './machine.ts'
import { aborted, Misrouted, outcomeUnknown, Regroup } from './misrouted.ts'
import {
  type Checks,
  type CommitRequest,
  chooseTimestamp,
  type LockAnswer,
  type LockRequest,
  latestTimestamp,
  type OutcomeRequest,
  type OwnerId,
  type PrepareRequest,
  type ReadAnswer,
  type ReadRequest,
  type RecordRequest,
  type ReleaseRequest,
  type ResolveRequest,
  type RowProgram,
  type ScanAnswer,
  type ScanRequest,
  undecided,
  type ValidateRequest,
} from './requests.ts'
import { collect, intersect, rest, scanEdge } from './scan-part.ts'

const superseded = new DbError('query_canceled', 'the transaction asks for another lock')

export class Leaseholder implements MachineEvents {
  readonly host: Host
  readonly engine: Engine
  readonly clock: HybridClock
  readonly machine: TransactionMachine
  readonly rows: LockTable
  /** What this node's other replicas answer. */
  readonly followers: FollowerReads
  /** Told of committed write sets on partitions of this node, in apply order. */
  onApplied: ((set: Uint8Array) => void) | undefined
  /** Writes that came in chunks, on their way to their commit. */
  readonly large: LargeCommits
  /** Reads programs of scans; undefined: it cannot, so all rows are answered. */
  compileProgram: ((program: Uint8Array) => RowProgram | undefined) | undefined
  programOf(bytes: Uint8Array | undefined): RowProgram | undefined {
    return bytes === undefined ? undefined : this.compileProgram?.(bytes)
  }
  readonly #inFlightKeys = new Map<string, InFlight>()
  readonly #inFlight = new Set<InFlight>()
  /** When this node's newest lease began: timestamps chosen here before that say nothing about its partition. */
  #leasesSince: Timestamp = 0
  readonly #owners = new Map<string, LockOwner>()
  /** Row locks of every owner here. */
  readonly #held = new Map<LockOwner, Set<string>>()
  readonly #found: Found
  /** Prepares under way, by transaction. */
  readonly #preparing = new Map<number, { count: number; givenUp: boolean }>()

  constructor(
    host: Host,
    machine: TransactionMachine,
    rows: LockTable,
    distance: (node: number) => number | undefined,
  ) {
    this.host = host
    this.engine = host.engine
    this.clock = host.clock
    this.machine = machine
    this.rows = rows
    this.followers = new FollowerReads(host, machine, this, distance)
    this.large = new LargeCommits(this)
    this.#found = host.engine.found()
  }

  // ---- leases

  /** The replica that serves the key at the timestamp in this very step. Raises Misrouted. */
  serving(key: Uint8Array, at: Timestamp): PartitionReplica {
    const replica = this.host.replicaFor(key)
    if (replica === undefined || !covers(replica.partition, key)) throw new Misrouted(this.host.router.find(key))
    if (at > this.clock.last) this.#observe(at)
    if (!replica.holdsLease(this.clock.last)) throw new Misrouted(this.host.router.find(key))
    return replica
  }

  /** Like `serving`, without raising. */
  serves(key: Uint8Array, at: Timestamp): PartitionReplica | undefined {
    const replica = this.host.replicaFor(key)
    if (replica === undefined || !covers(replica.partition, key)) return undefined
    if (at > this.clock.last) this.#observe(at)
    return replica.holdsLease(this.clock.last) ? replica : undefined
  }

  #observe(at: Timestamp): void {
    if (at > this.host.io.clock.wallMicros() + uncertaintyMicros + maxSkewMicros) {
      throw new DbError('operator_intervention', 'a request is stamped too far ahead of this node’s clock', {
        hint: 'Check the clocks of the nodes (NTP).',
      })
    }
    this.clock.observe(at)
  }

  /** Whether a timestamp that this node chose still covers all that its partitions acknowledged before. */
  certainSince(at: Timestamp): boolean {
    return at > this.#leasesSince
  }

  leaseAcquired(_replica: PartitionReplica): void {
    this.#leasesSince = this.clock.next()
  }

  leaseLost(replica: PartitionReplica): void {
    const lost = new Misrouted(undefined)
    for (const [owner, keys] of this.#held) {
      for (const text of [...keys]) {
        if (!covers(replica.partition, Buffer.from(text, 'latin1'))) continue
        keys.delete(text)
        this.rows.release(owner, text)
      }
    }
    this.rows.abortWaits((text) => covers(replica.partition, Buffer.from(text, 'latin1')), lost)
    for (const one of this.#inFlight) if (one.replica === replica) one.wake()
    this.large.leaseLost(replica)
    this.machine.wakeWaiters(replica)
  }

  quiescent(replica: PartitionReplica): boolean {
    for (const one of this.#inFlight) if (one.replica === replica) return false
    return this.large.quiescent(replica)
  }

  split(): void {}

  applied(_replica: PartitionReplica, set: Uint8Array): void {
    this.onApplied?.(set)
  }

  // ---- what stands in the way

  /** A write to the key at or below the timestamp whose outcome is open; our own transaction's does not count. */
  blocking(text: string, at: Timestamp, transaction: number): Blocking | undefined {
    if (this.#inFlightKeys.size > 0) {
      const one = this.#inFlightKeys.get(text)
      if (one !== undefined && one.timestamp <= at && one.transaction !== transaction) return one
    }
    if (this.machine.prepared.size > 0) {
      const one = this.machine.prepared.blocking(text, at, transaction)
      if (one !== undefined) return one
    }
    return this.large.busy ? this.large.blocking(text, at, transaction) : undefined
  }

  /** Whether anything may stand in the way of a read at all. */
  get busy(): boolean {
    return this.#inFlightKeys.size > 0 || this.machine.prepared.size > 0 || this.large.busy
  }

  blockingSpan(span: Span, at: Timestamp, transaction: number): Blocking | undefined {
    if (this.#inFlight.size === 0 && this.machine.prepared.size === 0 && !this.large.busy) return undefined
    const start = keyText(span.start, 0, span.start.length)
    const end = span.end === undefined ? undefined : keyText(span.end, 0, span.end.length)
    const inside = (text: string) => text >= start && (end === undefined || text < end)
    for (const one of this.#inFlight)
      if (one.timestamp <= at && one.transaction !== transaction && one.keys.some(inside)) return one
    const prepared = this.machine.prepared.blockingSpan(start, end, at, transaction)
    if (prepared !== undefined) return prepared
    return this.large.blockingSpan(start, end, at, transaction)
  }

  /** A write of another transaction to one of the keys of chunks, in flight or prepared. */
  standing(chunked: Chunked): Blocking | undefined {
    for (const one of this.#inFlight)
      if (one.transaction !== chunked.transaction && one.keys.some((text) => chunked.has(text))) return one
    return this.machine.prepared.among(chunked)
  }

  // ---- reads

  chosen(at: Timestamp): Timestamp {
    return at === chooseTimestamp || at === latestTimestamp ? this.clock.next() : at
  }

  /** Up to where a version found may have been acknowledged before the reader began. */
  #uncertainTo(
    { at, uncertainTo, chosenBy }: { at: Timestamp; uncertainTo: Timestamp; chosenBy: number },
    now: Timestamp,
  ): Timestamp {
    const ours = at <= 0 || (chosenBy === this.host.nodeId && this.certainSince(at))
    return ours ? now : Math.max(now, uncertainTo)
  }

  /** Raises snapshot_too_old when versions that a reader at the timestamp has to see may be gone here. */
  requireKept(at: Timestamp): void {
    const { collectedBefore } = this.engine
    if (at > 0 && at < collectedBefore) throw snapshotTooOld(at, collectedBefore)
  }

  /** Whether what was found of a key may differ from what was read at the timestamp: a deletion since then may be gone. */
  keyChanged({ timestamp }: Found, at: Timestamp): boolean {
    return timestamp > at || (timestamp === 0 && at > 0 && at < this.engine.collectedBefore)
  }

  async read(request: ReadRequest): Promise<ReadAnswer> {
    const node = this.host.nodeId
    const found = this.engine.found()
    const text = keyText(request.key, 0, request.key.length)
    for (;;) {
      this.serving(request.key, request.at)
      this.requireKept(request.at)
      const at = this.chosen(request.at)
      const to = this.#uncertainTo(request, at)
      const blocking = this.blocking(text, at, 0)
      if (blocking !== undefined) {
        await blocking.ready()
        continue
      }
      const step = this.engine.get(request.key, to, found)
      if (step === WAIT) {
        await found.ready()
        continue
      }
      if (found.timestamp > at) return { at, node, uncertain: found.timestamp, timestamp: 0, value: undefined }
      const value = step === ROW ? found.slab.bytes.slice(found.valueStart, found.valueEnd) : undefined
      return { at, node, uncertain: 0, timestamp: found.timestamp, value }
    }
  }

  async scan(request: ScanRequest): Promise<ScanAnswer> {
    const { span, reverse } = request
    const node = this.host.nodeId
    for (;;) {
      const edge = scanEdge(this.host.router, span, reverse)
      if (edge === undefined) throw new Misrouted(undefined)
      const replica = this.serving(edge, request.at)
      this.requireKept(request.at)
      const part = intersect(span, replica.partition)
      const at = this.chosen(request.at)
      const to = this.#uncertainTo(request, at)
      const blocking = this.blockingSpan(part, at, 0)
      if (blocking !== undefined) {
        await blocking.ready()
        continue
      }
      if (to > at) {
        const step = this.engine.changed(part, at, to, this.#found)
        if (step === WAIT) {
          await this.#found.ready()
          continue
        }
        if (step === ROW)
          return { at, node, uncertain: this.#found.timestamp, keys: [], values: [], timestamps: [], resume: span }
      }
      const cursor = this.engine.cursor(part, at, reverse ? { reverse: true } : undefined)
      try {
        return await collect(cursor, request, part, at, node, this.programOf(request.program))
      } finally {
        cursor.close()
      }
    }
  }

  /** The first part of a scan, when this node leads it, and what is left. */
  localPart(span: Span, reverse: boolean, at: Timestamp): { span: Span; rest: Span | undefined } | undefined {
    const edge = scanEdge(this.host.router, span, reverse)
    const replica = edge === undefined ? undefined : this.serves(edge, at)
    if (replica === undefined) return undefined
    this.requireKept(at)
    const part = intersect(span, replica.partition)
    return { span: part, rest: rest(span, reverse, part, undefined) }
  }

  // ---- locks

  owner(id: OwnerId): LockOwner {
    const name = `${id.node}:${id.session}`
    let owner = this.#owners.get(name)
    if (owner === undefined) {
      owner = new LockOwner(id.session)
      this.#owners.set(name, owner)
    }
    return owner
  }

  /** Owners by "node:transaction". */
  get owners(): ReadonlyMap<string, LockOwner> {
    return this.#owners
  }

  /** Makes a session of this node known as the owner that its id names. */
  adopt(id: OwnerId, owner: LockOwner): void {
    this.#owners.set(`${id.node}:${id.session}`, owner)
  }

  /** The lock if it can be had in this step; undefined: wait for it by `lock`. */
  lockNow(request: LockRequest, owner: LockOwner): LockAnswer | undefined {
    const { key, mode } = request
    if (owner.waiting !== undefined) return undefined
    if (this.serves(key, 0) === undefined) return undefined
    const text = keyText(key, 0, key.length)
    if (this.blocking(text, maxTimestamp, request.transaction) !== undefined) return undefined
    if (!this.rows.tryAcquire(owner, text, mode)) return undefined
    this.#hold(owner, text)
    return this.#lockAnswer(key, this.#found)
  }

  /** Raises lock_not_available, deadlock_detected, Misrouted. */
  async lock(request: LockRequest): Promise<LockAnswer> {
    const owner = this.owner(request.owner)
    try {
      return await this.#lock(request, owner)
    } catch (error) {
      if (error !== superseded) this.rows.giveUp(owner)
      throw error
    }
  }

  async #lock(request: LockRequest, owner: LockOwner): Promise<LockAnswer> {
    const { key, mode, policy } = request
    const name = `${request.owner.node}:${request.owner.session}`
    const text = keyText(key, 0, key.length)
    for (;;) {
      // Released while it waited: a lock granted now would be nobody's.
      if (this.#owners.get(name) !== owner) throw new DbError('query_canceled', 'the transaction has ended')
      this.serving(key, 0)
      const blocking = this.blocking(text, maxTimestamp, request.transaction)
      if (blocking !== undefined) {
        if (policy === 'nowait') throw lockNotAvailable()
        if (policy === 'skip') return notGranted(this.host.nodeId)
        await blocking.ready()
        continue
      }
      // Its statement was cancelled, or an answer came too late: nobody waits for what it asked for before.
      const former = owner.waiting
      if (former !== undefined && former.lock.key !== text) endWait(owner, superseded)
      if (policy === 'wait') {
        if (!this.rows.acquire(owner, text, mode)) {
          const wait = owner.waiting!
          await wait.promise
          if (wait.error !== undefined && owner.waiting !== wait) throw wait.error
          continue
        }
      } else if (!this.rows.tryAcquire(owner, text, mode)) {
        if (policy === 'nowait') throw lockNotAvailable()
        return notGranted(this.host.nodeId)
      }
      this.#hold(owner, text)
      const found = this.engine.found()
      const answer = this.#lockAnswer(key, found)
      if (answer !== undefined) return answer
      await found.ready()
    }
  }

  #hold(owner: LockOwner, text: string): void {
    let keys = this.#held.get(owner)
    if (keys === undefined) this.#held.set(owner, (keys = new Set()))
    keys.add(text)
  }

  #lockAnswer(key: Uint8Array, found: Found): LockAnswer | undefined {
    const step = this.engine.get(key, maxTimestamp, found)
    if (step === WAIT) return undefined
    const value = step === ROW ? found.slab.bytes.slice(found.valueStart, found.valueEnd) : undefined
    return { granted: true, node: this.host.nodeId, at: this.clock.next(), timestamp: found.timestamp, value }
  }

  release({ owner: id, keys }: ReleaseRequest): void {
    const name = `${id.node}:${id.session}`
    const owner = this.#owners.get(name)
    if (owner === undefined) return
    if (keys === undefined) {
      endWait(owner, new DbError('query_canceled', 'the transaction has ended'))
      this.releaseAll(owner)
    } else {
      for (const key of keys) {
        const text = keyText(key, 0, key.length)
        if (this.#held.get(owner)?.delete(text)) this.rows.release(owner, text)
      }
    }
    if (keys === undefined) this.#owners.delete(name)
  }

  releaseAll(owner: LockOwner): void {
    const keys = this.#held.get(owner)
    if (keys === undefined) return
    this.#held.delete(owner)
    for (const text of keys) this.rows.release(owner, text)
  }

  /** Transactions that hold or wait for locks here, by node. */
  transactions(): Map<number, number[]> {
    const out = new Map<number, number[]>()
    for (const name of this.#owners.keys()) {
      const [node, session] = name.split(':').map(Number)
      const list = out.get(node)
      if (list === undefined) out.set(node, [session])
      else list.push(session)
    }
    return out
  }

  /** A gateway is gone: nobody will release what its sessions hold. */
  forgetNode(node: number): void {
    for (const [name, owner] of [...this.#owners]) {
      if (!name.startsWith(`${node}:`)) continue
      endWait(owner, new DbError('connection_failure', 'the gateway of the transaction is gone'))
      this.releaseAll(owner)
      this.#owners.delete(name)
    }
  }

  exportLocks(replica: PartitionReplica): Uint8Array {
    const out: [string, string, number][] = []
    for (const [name, owner] of this.#owners)
      for (const text of this.#held.get(owner) ?? [])
        if (covers(replica.partition, Buffer.from(text, 'latin1')))
          out.push([name, text, this.rows.modesOf(owner, text)])
    return Buffer.from(JSON.stringify(out))
  }

  importLocks(_replica: PartitionReplica, locks: Uint8Array): void {
    for (const [name, text, modes] of JSON.parse(Buffer.from(locks).toString()) as [string, string, number][]) {
      const [node, session] = name.split(':').map(Number)
      const owner = this.owner({ node, session })
      for (let mode = 0; mode < 4; mode++)
        if (modes & (1 << mode) && this.rows.tryAcquire(owner, text, mode)) this.#hold(owner, text)
    }
  }

  // ---- commit

  /** Commits a transaction whose writes and checks all lie in one partition: one Raft round. */
  async commit(request: CommitRequest): Promise<Timestamp> {
    const { payload, transaction } = request
    if (isPointer(payload, writeHeader)) return await this.large.commit(request)
    const { keys, first } = keysOf(payload, writeHeader)
    const owner = this.owner(request.owner)
    for (;;) {
      const replica = this.#writable(first, keys)
      this.inside(replica, request.checks)
      if (this.engine.stalled) {
        await this.engine.unstalled()
        continue
      }
      const wait = this.#check(request.checks, keys, maxTimestamp, transaction)
      if (wait !== undefined) {
        await wait
        continue
      }
      const timestamp = this.clock.next()
      stampWrite(payload, replica.partition.generation, timestamp)
      const applied = await this.propose(replica, payload, transaction, timestamp, keys)
      if (applied === 'stale') continue
      if (applied === 0) throw aborted('it was given up while its outcome was unknown')
      this.releaseAll(owner)
      return timestamp
    }
  }

  async prepare(request: PrepareRequest): Promise<Timestamp> {
    const { transaction } = request
    let turn = this.#preparing.get(transaction)
    if (turn === undefined) this.#preparing.set(transaction, (turn = { count: 0, givenUp: false }))
    turn.count++
    try {
      return await this.#prepare(request, turn)
    } finally {
      if (--turn.count === 0) this.#preparing.delete(transaction)
    }
  }

  async #prepare(request: PrepareRequest, turn: { readonly givenUp: boolean }): Promise<Timestamp> {
    const { transaction, writes } = request
    if (isPointer(writes, 0)) return await this.large.prepare(request, turn)
    const { keys, first } = keysOf(writes, 0)
    for (;;) {
      // Prepared now it would stand in the way of its own next attempt, until somebody asks what became of it.
      if (turn.givenUp) throw aborted('it was given up before it was prepared')
      const replica = this.#writable(first, keys)
      this.inside(replica, request.checks)
      if (this.engine.stalled) {
        await this.engine.unstalled()
        continue
      }
      const wait = this.#check(request.checks, keys, maxTimestamp, transaction)
      if (wait !== undefined) {
        await wait
        continue
      }
      const timestamp = this.clock.next()
      stampSet(new DataView(writes.buffer, writes.byteOffset, writes.length), 0, timestamp)
      const { generation } = replica.partition
      const entry = encodePrepare({
        generation,
        transaction,
        gateway: request.owner.node,
        anchor: request.anchor,
        writes,
      })
      const applied = await this.propose(replica, entry, transaction, timestamp, keys)
      if (applied === 'stale') continue
      if (applied === 0) throw aborted('it was given up before it was prepared everywhere')
      return timestamp
    }
  }

  /** Checks what the transaction relied on up to its commit timestamp; later commits here are above it. */
  async validate(request: ValidateRequest): Promise<void> {
    const { checks, upTo, transaction } = request
    const at = checks.keys[0]?.key ?? checks.spans[0]?.start ?? checks.tails[0].start
    for (;;) {
      this.inside(this.serving(at, upTo), checks)
      const wait = this.#check(checks, [], upTo, transaction, request.wait)
      if (wait === undefined) return
      await wait
    }
  }

  async record(request: RecordRequest): Promise<Timestamp> {
    for (;;) {
      const replica = this.serving(request.anchor, request.timestamp)
      const entry = encodeRecord({ generation: replica.partition.generation, ...request })
      const applied = await this.propose(replica, entry, request.transaction, request.timestamp, [])
      if (applied !== 'stale') return applied
    }
  }

  async resolve(request: ResolveRequest): Promise<void> {
    for (;;) {
      const replica = this.serving(request.key, request.timestamp)
      const { transaction, timestamp } = request
      const { prepared, chunks } = this.machine.state(replica)
      if (timestamp === 0 && !prepared.has(transaction) && chunks.has(transaction)) {
        await this.outcome({ transaction, key: request.key, fence: true })
        return
      }
      if (!prepared.has(transaction)) {
        const turn = timestamp === 0 ? this.#preparing.get(transaction) : undefined
        if (turn === undefined) return
        turn.givenUp = true
        const flight = [...this.#inFlight].find((one) => one.transaction === transaction && one.replica === replica)
        if (flight === undefined) return
        await flight.ready()
        continue
      }
      const entry = encodeResolve({ generation: replica.partition.generation, transaction, timestamp })
      if ((await this.propose(replica, entry, transaction, timestamp, [])) !== 'stale') return
    }
  }

  /** The commit timestamp, 0: aborted, `undecided`. */
  async outcome(request: OutcomeRequest): Promise<Timestamp> {
    const { transaction, key } = request
    for (;;) {
      const replica = this.serving(key, 0)
      const known = this.machine.state(replica).outcome(transaction)
      if (known !== undefined) return known
      if (!request.fence) return undecided
      const entry = encodeAnchor(kindFence, { generation: replica.partition.generation, transaction, anchor: key })
      const applied = await this.propose(replica, entry, transaction, 0, [])
      if (applied !== 'stale') return applied
    }
  }

  async forget(transaction: number, anchor: Uint8Array): Promise<void> {
    for (;;) {
      const replica = this.serving(anchor, 0)
      if (!this.machine.state(replica).records.has(transaction)) return
      const entry = encodeAnchor(kindForget, { generation: replica.partition.generation, transaction, anchor })
      if ((await this.propose(replica, entry, 0, 0, [])) !== 'stale') return
    }
  }

  #writable(first: Uint8Array, keys: readonly string[]): PartitionReplica {
    const replica = this.serving(first, 0)
    if (replica.frozen) throw new Misrouted(undefined)
    const { start, end } = replica.partition
    const low = keyText(start, 0, start.length)
    const high = end === undefined ? undefined : keyText(end, 0, end.length)
    for (const key of keys)
      if (key < low || (high !== undefined && key >= high)) throw new Regroup(this.host.routeOf(replica))
    return replica
  }

  /** Raises Regroup when a check reaches out of the partition. */
  inside(replica: PartitionReplica, { keys, spans, tails }: Checks): void {
    const { partition } = replica
    const inside =
      keys.every(({ key }) => covers(partition, key)) &&
      spans.every((span) => coversSpan(partition, span)) &&
      tails.every((span) => coversSpan(partition, span))
    if (!inside) throw new Regroup(this.host.routeOf(replica))
  }

  /** Raises disk_full when the log can take no more writes; what ends transactions still fits. */
  requireSpace(): void {
    if (!this.host.log.full) return
    throw new DbError('disk_full', `the disk of node ${this.host.nodeId} is full: it takes no writes`, {
      hint: 'Reads go on, and writes do once there is room or another node leads.',
    })
  }

  /** Replicates an entry; its keys are in flight until it is applied. Raises Misrouted, statement_completion_unknown. */
  propose(
    replica: PartitionReplica,
    payload: Uint8Array,
    transaction: number,
    timestamp: Timestamp,
    keys: readonly string[],
  ): Promise<Applied> {
    if (keys.length > 0) this.requireSpace()
    return new Promise((done, fail) => {
      const giveUp = () => fail(outcomeUnknown())
      const flight = new InFlight(transaction, timestamp, keys, replica, this.host.now(), giveUp)
      const end = (outcome: Outcome) => {
        this.#land(flight)
        if (outcome.kind === 'applied') done(outcome.result as Applied)
        else if (outcome.kind === 'dropped') fail(new Misrouted(undefined))
        else fail(outcomeUnknown())
      }
      if (!replica.propose(payload, transaction, end, keys.length === 0)) {
        fail(new Misrouted(undefined))
        return
      }
      flight.index = replica.raft.lastIndex
      this.#inFlight.add(flight)
      for (const key of keys) this.#inFlightKeys.set(key, flight)
    })
  }

  /** Proposals that a quorum has not answered for long: their outcome is not known here. */
  expire(afterMicros: number): void {
    const now = this.host.now()
    for (const one of this.#inFlight) {
      if (now - one.sinceMicros < afterMicros) return
      // What is committed will be applied, however long that takes.
      if (one.index > one.replica.raft.commit) one.giveUp()
    }
  }

  #land(flight: InFlight): void {
    this.#inFlight.delete(flight)
    for (const key of flight.keys) if (this.#inFlightKeys.get(key) === flight) this.#inFlightKeys.delete(key)
    flight.end()
  }

  /** Undefined: everything holds. A promise: check again after it. Raises serialization_failure. */
  #check(
    checks: Checks,
    own: readonly string[],
    upTo: Timestamp,
    transaction: number,
    wait = false,
  ): Promise<void> | undefined {
    for (const text of own) {
      const blocking = this.blocking(text, maxTimestamp, transaction)
      if (blocking === undefined) continue
      if (wait || mayWait(transaction, blocking)) return blocking.ready()
      throw aborted('a row that it changes is being changed by another transaction')
    }
    for (const { key, at } of checks.keys) {
      const blocking = this.blocking(keyText(key, 0, key.length), upTo, transaction)
      if (blocking !== undefined) {
        if (wait || mayWait(transaction, blocking)) return blocking.ready()
        throw aborted('a row that it relied on is being changed by another transaction')
      }
      if (this.engine.get(key, upTo, this.#found) === WAIT) return this.#found.ready()
      if (this.keyChanged(this.#found, at)) throw aborted('a row that it relied on was changed by another transaction')
    }
    for (const span of checks.spans) {
      const blocking = this.blockingSpan(span, upTo, transaction)
      if (blocking !== undefined) {
        if (wait || mayWait(transaction, blocking)) return blocking.ready()
        throw aborted('what it read is being changed by another transaction')
      }
      const step = this.engine.changed(span, span.at, upTo, this.#found)
      if (step === WAIT) return this.#found.ready()
      if (step === ROW || span.at < this.engine.collectedBefore)
        throw aborted('what it read was changed by another transaction')
    }
    for (const tail of checks.tails) {
      const pending = this.#checkTail(tail, own, upTo, transaction)
      if (pending !== undefined) return pending
    }
    return undefined
  }

  #checkTail(
    tail: Span & { at: Timestamp },
    own: readonly string[],
    upTo: Timestamp,
    transaction: number,
  ): Promise<void> | undefined {
    const step = this.engine.changed(tail, tail.at, upTo, this.#found)
    if (step === WAIT) return this.#found.ready()
    if (step === END && this.blockingSpan(tail, upTo, transaction) === undefined) return undefined
    const start = keyText(tail.start, 0, tail.start.length)
    const end = keyText(tail.end!, 0, tail.end!.length)
    for (const text of own) {
      if (text < start || text >= end) continue
      if (this.engine.get(Buffer.from(text, 'latin1'), upTo, this.#found) === WAIT) return this.#found.ready()
      if (this.#found.timestamp > tail.at) throw aborted('a row that it added was added by another transaction too')
    }
    return undefined
  }
}

function keysOf(bytes: Uint8Array, at: number): { keys: string[]; first: Uint8Array } {
  const set = bytes.subarray(at)
  const read = new WriteSetReader(set)
  const keys: string[] = []
  let first: Uint8Array | undefined
  while (read.next()) {
    first ??= set.subarray(read.keyStart, read.keyEnd)
    keys.push(keyText(set, read.keyStart, read.keyEnd))
  }
  assert(first !== undefined, 'a transaction that commits has written')
  return { keys, first }
}

function notGranted(node: number): LockAnswer {
  return { granted: false, node, at: 0, timestamp: 0, value: undefined }
}

function lockNotAvailable(): DbError {
  return new DbError('lock_not_available', 'could not obtain lock on row', {
    hint: 'Another transaction holds the row; retry later.',
  })
}
