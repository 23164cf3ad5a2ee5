/**
 * The transactional store of a node in a cluster: gateway of its sessions, leaseholder of its partitions.
 *
 * Beside what transactions ask for, it finishes what others left: prepared transactions whose gateway went away, commit
 * records whose participants were not told, locks of gateways that are gone.
 *
 * Not here: SQL, replicas (replication/partitions).
 */

import { DbError, type Timestamp } from '../../base/index.ts'
import { serviceEnded, serviceTableLocks } from '../../cluster/index.ts'
import { ByteReader, ByteWriter, type WriteSetBuilder, WriteSetReader } from '../../encoding/index.ts'
import type { Io } from '../../io/index.ts'
import type { Host, Route } from '../../replication/index.ts'
import { type Engine, type Span, visitAll } from '../../storage/index.ts'
import { keyText } from '../cursor.ts'
import { endWait, LockOwner } from '../lock-table.ts'
import { TransactionStore } from '../store.ts'
import type { Isolation } from '../transaction.ts'
import { ClusterTransaction } from './cluster-transaction.ts'
import { finish } from './coordinator.ts'
import { DeadlockDetector, type WaitSource } from './deadlocks.ts'
import { Leaseholder } from './leaseholder.ts'
import type { TransactionMachine } from './machine.ts'
import type { Prepared } from './partition-state.ts'
import { latestTimestamp, type OwnerId, type SpanCheck, undecided } from './requests.ts'
import { type Operation, outcomeOperation, Routing, readOperation } from './routing.ts'
import { scanEdge } from './scan-part.ts'

/** How often leftovers are looked for. */
const sweepMs = 500
/** A prepare that is older asks for its outcome; one much older makes it certain. */
const askAfterMicros = 1_000_000
const giveUpAfterMicros = 4_000_000
const tableLockMs = 60_000
/** Chunks of a transaction that has not gone on for so long are dropped, and with them its chance to commit. */
const chunksAfterMicros = 60_000_000
/** A proposal that no quorum has answered for so long is of unknown outcome. */
const unansweredMicros = 3_000_000

export interface ClusterStoreOptions {
  readonly io: Io
  readonly engine: Engine
  readonly host: Host
  readonly machine: TransactionMachine
  /** Unique in the cluster, over restarts too. */
  readonly newTransactionId: () => number
  /** Nodes that are known to be gone: dead, left, or in another incarnation. */
  readonly isGone: (node: number) => boolean
  /** The round trip to a node in milliseconds; undefined when it was not measured. */
  readonly roundTripMs: (node: number) => number | undefined
  /** Tells the other nodes of our oldest snapshot, if it is old; answers the oldest of theirs, Infinity when there is none. */
  readonly snapshots: (own: Timestamp | undefined) => Timestamp
}

export class ClusterStore extends TransactionStore {
  /** Transactions that write more go in chunks, which are a little smaller. Bytes. */
  largeBytes = 1024 * 1024
  readonly host: Host
  readonly machine: TransactionMachine
  readonly leaseholder: Leaseholder
  readonly routing: Routing
  readonly nodeId: number
  readonly newTransactionId: () => number
  readonly #snapshots: ClusterStoreOptions['snapshots']
  readonly #isGone: (node: number) => boolean
  /** What is being seen to: of which transaction, in which partition. */
  readonly #sweeping = new Set<string>()
  readonly #detector: DeadlockDetector
  readonly #tableOwners = new Map<string, { owner: LockOwner; tables: string[] }>()
  #sweep: { cancel(): void } | undefined
  #stopped = false

  constructor(options: ClusterStoreOptions) {
    super(options.io, options.engine, options.host.clock)
    this.host = options.host
    this.machine = options.machine
    this.nodeId = options.host.nodeId
    this.newTransactionId = options.newTransactionId
    this.#isGone = options.isGone
    this.#snapshots = options.snapshots
    this.leaseholder = new Leaseholder(options.host, options.machine, this.rows, options.roundTripMs)
    options.machine.events = this.leaseholder
    this.routing = new Routing(options.host, this.leaseholder)
    // Nothing is compared with it: there is no one timestamp up to which all is applied.
    this.visible = -1
    options.host.transport.onRequest(serviceTableLocks, (from, body) => this.#answerTableLock(from, body))
    options.host.transport.onRequest(serviceEnded, (_from, body) => this.#ended(body))
    this.#detector = new DeadlockDetector(options.host, this.#waitSource())
    this.#schedule()
  }

  #waitSource(): WaitSource {
    const nameOf = (owner: LockOwner) => {
      for (const [name, one] of this.leaseholder.owners) if (one === owner) return name
      for (const [name, one] of this.#tableOwners) if (one.owner === owner) return name
      return undefined
    }
    const ownersOf = (name: string) =>
      [this.leaseholder.owners.get(name), this.#tableOwners.get(name)?.owner].filter((o) => o !== undefined)
    return { tables: [this.rows, this.tables], nameOf, ownersOf }
  }

  stop(): void {
    this.#stopped = true
    this.#sweep?.cancel()
    this.#detector.stop()
  }

  override begin(owner: LockOwner, isolation: Isolation, readOnly = false): ClusterTransaction {
    const transaction = new ClusterTransaction(this, owner, this.newTransactionId(), isolation, readOnly)
    this.active.add(transaction)
    return transaction
  }

  /** Whether one node leads all partitions, as far as is known. */
  get oneLeader(): boolean {
    return this.host.router.oneLeader
  }

  // ---- where keys are

  /** An id of the partition that the key is believed to lie in; 0 when nothing is known. */
  partitionOf(key: Uint8Array): number {
    return this.host.router.find(key)?.partition.id ?? 0
  }

  /** The node that leads the key's partition, found by asking. Raises connection_failure. */
  async findLeader(key: Uint8Array): Promise<number> {
    const request = { key, at: latestTimestamp, uncertainTo: 0, chosenBy: 0 }
    return (await this.routing.ask(readOperation, key, request)).node
  }

  /** The partitions that spans lie in, as far as is known. */
  routesOver(spans: readonly Span[]): Set<Route> {
    const routes = new Set<Route>()
    for (const span of spans) {
      for (const { start } of this.splitSpan(span)) {
        const route = this.host.router.find(start)
        if (route !== undefined) routes.add(route)
      }
    }
    return routes
  }

  /** Asks the nearest node that can answer for a timestamp in the past, in the end the leaseholder. */
  async askNear<Q, A>(near: Operation<Q, A>, operation: Operation<Q, A>, key: Uint8Array, request: Q): Promise<A> {
    for (const node of this.leaseholder.followers.near(key)) {
      const answer = await this.routing.askOnce(near, node, request)
      if (answer !== undefined) return answer
    }
    return this.routing.ask(operation, key, request)
  }

  edge(span: Span, reverse: boolean): Uint8Array {
    return scanEdge(this.host.router, span, reverse) ?? span.start
  }

  /** The span cut where partitions are. */
  splitSpan(span: Span): Span[] {
    const out: Span[] = []
    let { start } = span
    for (;;) {
      const end = this.host.router.find(start)?.partition.end
      if (end === undefined || (span.end !== undefined && Buffer.compare(end, span.end) >= 0)) {
        out.push({ start, end: span.end })
        return out
      }
      out.push({ start, end })
      start = end
    }
  }

  /** Span checks by partition. */
  groupSpans(spans: readonly SpanCheck[]): SpanCheck[][] {
    const groups = new Map<number, SpanCheck[]>()
    for (const span of spans) {
      for (const part of this.splitSpan(span)) {
        const id = this.partitionOf(part.start)
        const group = groups.get(id) ?? []
        group.push({ ...part, at: span.at })
        groups.set(id, group)
      }
    }
    return [...groups.values()]
  }

  *keysOf(set: WriteSetBuilder): Iterable<string> {
    const bytes = set.finish(0)
    const read = new WriteSetReader(bytes)
    while (read.next()) yield keyText(bytes, read.keyStart, read.keyEnd)
  }

  // ---- waiting

  /** The promise, or the error that a cancelled or closed session aborts its wait with. */
  interruptible<T>(owner: LockOwner, promise: Promise<T>): Promise<T> {
    return new Promise((done, fail) => {
      const wait = { abort: (error: DbError) => fail(error) }
      owner.remote = wait
      const end = () => {
        if (owner.remote === wait) owner.remote = undefined
      }
      promise.then(
        (value) => {
          end()
          done(value)
        },
        (error) => {
          end()
          fail(error)
        },
      )
    })
  }

  // ---- reads and writes without a session

  override async scan(
    span: Span,
    visit: (key: Uint8Array, value: Uint8Array, timestamp: Timestamp) => void,
  ): Promise<Timestamp> {
    const transaction = this.begin(new LockOwner(0), 'repeatable read')
    try {
      transaction.startStatement()
      await visitAll(transaction.cursor(span), visit)
      return transaction.snapshot
    } finally {
      transaction.rollback()
    }
  }

  /** Writes that nobody else writes at the same time; `applied` runs when they are committed. */
  override commit(builder: WriteSetBuilder, _transactionId: number, applied: () => void): Timestamp {
    const bytes = new Uint8Array(builder.finish(0))
    this.#writeAll(bytes).then(applied, (error) => {
      if (!this.io.dead) this.io.log.warn('background-write-failed', { error: (error as Error).message })
    })
    return 0
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (;;) {
      const transaction = this.begin(new LockOwner(0), 'read committed')
      transaction.startStatement()
      const read = new WriteSetReader(bytes)
      while (read.next()) {
        const key = bytes.slice(read.keyStart, read.keyEnd)
        if (read.valueStart < 0) transaction.delete(key)
        else transaction.put(key, bytes, read.valueStart, read.valueEnd)
      }
      try {
        while (transaction.commit() === 2) await transaction.blocker!.ready()
        return
      } catch (error) {
        if (!(error instanceof DbError) || !error.retryable || this.#stopped) throw error
      }
    }
  }

  // ---- table locks

  /**
   * Takes the lock at every node that can be reached; the nodes where it was taken. Against the rest stand schema fences,
   * and the check of what was scanned (`cursorRelied`).
   */
  async lockTableEverywhere(owner: OwnerId, table: string, mode: number, wait: boolean): Promise<number[]> {
    const out = new ByteWriter(64)
    out.u8(1)
    out.i64(owner.session)
    out.u8(mode)
    out.u8(wait ? 1 : 0)
    out.text(table)
    const body = out.copy()
    const taken: number[] = []
    for (const node of [...this.host.peers()].sort((a, b) => a - b)) {
      try {
        await this.host.transport.request(node, serviceTableLocks, body, tableLockMs)
        taken.push(node)
      } catch (error) {
        if (!(error instanceof DbError) || error.code !== 'connection_failure') {
          this.releaseTables(taken, owner)
          throw error
        }
      }
    }
    return taken
  }

  releaseTables(nodes: Iterable<number>, owner: OwnerId): void {
    const out = new ByteWriter(16)
    out.u8(0)
    out.i64(owner.session)
    const body = out.copy()
    for (const node of nodes) this.host.transport.request(node, serviceTableLocks, body, tableLockMs).catch(() => {})
  }

  async #answerTableLock(from: number, body: Uint8Array): Promise<Uint8Array> {
    const read = new ByteReader(body)
    const take = read.u8() === 1
    const session = read.i64()
    const name = `${from}:${session}`
    if (!take) {
      this.#releaseTableOwner(name)
      return new Uint8Array(0)
    }
    const mode = read.u8()
    const wait = read.u8() === 1
    const table = read.text()
    let held = this.#tableOwners.get(name)
    if (held === undefined) this.#tableOwners.set(name, (held = { owner: new LockOwner(session), tables: [] }))
    const { owner } = held
    if (!wait) {
      if (!this.tables.tryAcquire(owner, table, mode))
        throw new DbError('lock_not_available', 'could not obtain lock on relation')
    } else {
      while (!this.tables.acquire(owner, table, mode)) {
        await owner.waiting!.promise
        // Released while it waited: a lock granted now would be nobody's.
        if (this.#tableOwners.get(name) !== held) throw new DbError('query_canceled', 'the transaction has ended')
      }
    }
    held.tables.push(table)
    return new Uint8Array(0)
  }

  #releaseTableOwner(name: string): void {
    const held = this.#tableOwners.get(name)
    if (held === undefined) return
    this.#tableOwners.delete(name)
    endWait(held.owner, new DbError('query_canceled', 'the transaction has ended'))
    for (const table of held.tables) this.tables.release(held.owner, table)
  }

  /** A node is gone: what its sessions held here is free. */
  forgetNode(node: number): void {
    this.leaseholder.forgetNode(node)
    for (const name of [...this.#tableOwners.keys()]) if (name.startsWith(`${node}:`)) this.#releaseTableOwner(name)
  }

  // ---- leftovers

  #schedule(): void {
    this.#sweep = this.io.tasks.after(sweepMs, () => {
      if (this.#stopped || this.io.dead) return
      this.#sweepOnce()
      this.#schedule()
    })
  }

  #sweepOnce(): void {
    this.leaseholder.expire(unansweredMicros)
    this.#once('ended', () => this.#releaseEnded())
    const now = this.host.now()
    for (const replica of this.host.replicas.values()) {
      if (!replica.serving) continue
      const state = this.machine.state(replica)
      const { id } = replica.partition
      for (const prepared of state.prepared.values()) {
        const age = now - prepared.sinceMicros
        const gone = this.#isGone(prepared.gateway)
        if (age < askAfterMicros && !gone) continue
        this.#once(`${prepared.transaction} in ${id}`, () => this.#recover(prepared, gone || age > giveUpAfterMicros))
      }
      for (const { transaction, gateway, first, sinceMicros } of state.chunks.values()) {
        const left = this.#isGone(gateway) || now - sinceMicros > chunksAfterMicros
        if (!left || this.leaseholder.large.commits(transaction)) continue
        this.#once(`${transaction} in ${id}`, () => this.leaseholder.resolve({ transaction, timestamp: 0, key: first }))
      }
      for (const record of state.records.values()) {
        if (this.clock.last - record.timestamp < giveUpAfterMicros) continue
        const { transaction, timestamp, anchor, participants } = record
        this.#once(`${transaction} of ${id}`, () => finish(this, transaction, timestamp, anchor, participants))
      }
    }
  }

  /** Releases what messages that were lost, or leases that moved, have left locked. */
  async #releaseEnded(): Promise<void> {
    const owners = this.leaseholder.transactions()
    for (const name of this.#tableOwners.keys()) {
      const [node, transaction] = name.split(':').map(Number)
      owners.set(node, [...(owners.get(node) ?? []), transaction])
    }
    for (const [node, transactions] of owners) {
      const out = new ByteWriter(8 * transactions.length)
      for (const t of transactions) out.i64(t)
      try {
        const read = new ByteReader(await this.host.transport.request(node, serviceEnded, out.copy(), sweepMs * 2))
        while (!read.done) {
          const session = read.i64()
          this.leaseholder.release({ owner: { node, session }, keys: undefined })
          this.#releaseTableOwner(`${node}:${session}`)
        }
      } catch (error) {
        if (!(error instanceof DbError)) throw error
        // Its locks may have come here with a lease after it had gone.
        if (this.#isGone(node)) this.forgetNode(node)
      }
    }
  }

  #ended(body: Uint8Array): Uint8Array {
    const active = new Set<number>()
    for (const transaction of this.active) active.add(transaction.id)
    const read = new ByteReader(body)
    const out = new ByteWriter(64)
    while (!read.done) {
      const id = read.i64()
      if (!active.has(id)) out.i64(id)
    }
    return out.copy()
  }

  #once(what: string, work: () => Promise<void>): void {
    if (this.#sweeping.has(what)) return
    this.#sweeping.add(what)
    work()
      .catch((error) => {
        if (!(error instanceof DbError) && !this.io.dead) this.io.fatal('recovering a transaction failed', error)
      })
      .finally(() => this.#sweeping.delete(what))
  }

  /** Asks for the outcome where the transaction is anchored, and applies it here. */
  async #recover(prepared: Prepared, fence: boolean): Promise<void> {
    const { transaction, anchor, firstKey } = prepared
    const outcome = await this.routing.ask(outcomeOperation, anchor, { transaction, key: anchor, fence })
    if (outcome === undecided) return
    await this.leaseholder.resolve({ transaction, timestamp: outcome, key: firstKey })
  }

  /** Behind the retention window and behind every snapshot in use, those that other nodes have told of too. */
  override collect(): void {
    const now = this.io.clock.wallMicros()
    let own = Number.POSITIVE_INFINITY
    for (const { snapshot } of this.active) if (snapshot > 0 && snapshot < own) own = snapshot
    // Long before it would be collected.
    const told = now - own > (this.retentionMs * 1000) / 4 ? own : undefined
    const oldest = Math.min(now - this.retentionMs * 1000, own, this.#snapshots(told))
    if (oldest > this.engine.collectedBefore) this.engine.collectBefore(oldest)
    this.host.reclaim()
  }
}
