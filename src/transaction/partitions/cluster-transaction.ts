/**
 * A transaction whose keys may lie anywhere in the cluster, at its gateway.
 *
 * What the base class does in this node's store is done at the leaseholders: at once where this node holds the lease,
 * else by a request that the statement WAITs for. Asked again, the same call finds the answer.
 *
 *   snapshot   chosen by the first leaseholder that a statement reads at; above all that this node acknowledged
 *   uncertain  a version a little above the snapshot at another node may be older in real time: the snapshot moves
 *              up to it, if nothing that was read has changed in between
 *
 * Not here: committing (coordinator.ts), the leaseholder's side (leaseholder.ts).
 */
import { assert, DbError, END, ROW, type Step, type Timestamp, WAIT } from '../../base/index.ts'
import { uncertaintyMicros } from '../../replication/index.ts'
import type { EngineCursor, Span } from '../../storage/index.ts'
import { keyText, MergedCursor } from '../cursor.ts'
import { type LockOwner, rowExclusive } from '../lock-table.ts'
import { storageId } from '../overlay.ts'
import {
  conflict,
  type Isolation,
  own,
  rerunStatement,
  type Savepoint,
  type ScanProgram,
  storageEnd,
  Transaction,
} from '../transaction.ts'
import { ClusterCursor, type ScanSource } from './cluster-cursor.ts'
import type { ClusterStore } from './cluster-store.ts'
import { commitAcross } from './coordinator.ts'
import {
  chooseTimestamp,
  type KeyCheck,
  type LockAnswer,
  latestTimestamp,
  type OwnerId,
  type ReadAnswer,
  type ReadRequest,
  type ScanAnswer,
  type SpanCheck,
} from './requests.ts'
import {
  lockOperation,
  nearReadOperation,
  nearScanOperation,
  readOperation,
  scanOperation,
  validateOperation,
} from './routing.ts'

/** Why a transaction that has read in the past takes no locks and writes nothing. */
function staleReader(): DbError {
  return new DbError(
    'read_only_sql_transaction',
    'a transaction that has read with lattice.max_staleness cannot write or lock rows',
    { hint: 'SET LOCAL lattice.max_staleness = 0 at the beginning of transactions that write.' },
  )
}

/** Above this many reads of a snapshot they are remembered as whole storages. */
const maxSeen = 10_000

/** Something that was asked for, until the statement comes back for it. */
interface Pending {
  settled: boolean
  value: unknown
  failed: boolean
  promise: Promise<void>
}

interface Latest {
  readonly timestamp: Timestamp
  readonly value: Uint8Array | undefined
}

export class ClusterTransaction extends Transaction {
  declare readonly store: ClusterStore
  readonly ownerId: OwnerId
  /** The node that chose the snapshot; 0 before. */
  #chosenBy = 0
  #uncertainTo: Timestamp = 0
  /** The snapshot lies in the past: replicas that do not lead may answer. */
  #stale = false
  /** Some statement has read in the past. */
  #hasReadStale = false
  /** What the snapshot has been read at; validated when it moves, and at a serializable commit. */
  #seen: SpanCheck[] = []
  #seenStorages: Map<number, Timestamp> | undefined
  /** Reads were not remembered: the snapshot cannot move. */
  #unseen = false
  /** Answers to point reads at the snapshot. */
  readonly #answers = new Map<string, ReadAnswer>()
  /** The newest versions of keys that we hold locked: nobody changes them. */
  readonly #latest = new Map<string, Latest>()
  readonly #pending = new Map<string, Pending>()
  /** Nodes where row locks of ours may be. */
  readonly #lockNodes = new Set<number>()
  readonly #tableNodes = new Set<number>()
  /** Keys that must not have changed since: schema fences. */
  readonly #required = new Map<string, KeyCheck>()
  /** Scans whose spans must not have changed since. */
  readonly #relied: { readonly start: Uint8Array; readonly end: Uint8Array; readonly source: Scan }[] = []

  constructor(store: ClusterStore, owner: LockOwner, id: number, isolation: Isolation, readOnly: boolean) {
    super(store, owner, id, isolation, readOnly)
    this.ownerId = { node: store.nodeId, session: id }
    store.leaseholder.adopt(this.ownerId, owner)
  }

  override startStatement(): void {
    this.statement++
    if (this.isolation === 'read committed' || this.#chosenBy === 0) this.#forgetSnapshot()
  }

  override refreshSnapshot(): void {
    assert(this.isolation === 'read committed', 'only a statement snapshot moves')
    this.#forgetSnapshot()
  }

  #forgetSnapshot(): void {
    this.snapshot = chooseTimestamp
    this.#chosenBy = 0
    this.#stale = false
    this.#unseen = false
    this.#answers.clear()
    // What was asked before, and not come back for, is of an earlier present.
    for (const name of this.#pending.keys()) if (/^(get|latest) /.test(name)) this.#pending.delete(name)
    if (this.isolation !== 'serializable') {
      this.#seen = []
      this.#seenStorages = undefined
    }
  }

  #choose(at: Timestamp, node: number): void {
    if (this.#chosenBy !== 0) return
    this.snapshot = at
    this.#chosenBy = node
    this.#uncertainTo = at + uncertaintyMicros
    this.store.clock.observe(at)
  }

  override boundStaleness(sinceMicros: number, floor: Timestamp, spans: readonly Span[]): void {
    if (this.#chosenBy !== 0 || !this.overlay.empty || this.rowKeys.length > 0) return
    const { store } = this
    this.snapshot = store.leaseholder.followers.snapshotFor(store.routesOver(spans), sinceMicros, floor)
    this.#chosenBy = store.nodeId
    this.#uncertainTo = this.snapshot
    this.#stale = true
    this.#hasReadStale = true
  }

  /** The transaction commits only if nobody has changed the key after the timestamp. */
  override require(key: Uint8Array, at: Timestamp): void {
    const text = keyText(key, 0, key.length)
    // Work that was done by an older definition is still of that one.
    if (!this.#required.has(text)) this.#required.set(text, { key, at })
  }

  // ---- waiting for answers

  /** The answer, or undefined: `blocker` says what to wait for before calling again. Raises what was raised there. */
  #get<T>(name: string, ask: () => Promise<T>, interruptible = true): { readonly value: T } | undefined {
    let pending = this.#pending.get(name)
    if (pending === undefined) {
      const one: Pending = { settled: false, value: undefined, failed: false, promise: Promise.resolve() }
      const asked = ask()
      one.promise = (interruptible ? this.store.interruptible(this.owner, asked) : asked).then(
        (value) => {
          one.settled = true
          one.value = value
        },
        (error) => {
          one.settled = true
          one.failed = true
          one.value = error
        },
      )
      this.#pending.set(name, one)
      pending = one
    }
    if (!pending.settled) {
      const { promise } = pending
      this.blocker = { ready: () => promise }
      return undefined
    }
    this.#pending.delete(name)
    if (pending.failed) throw pending.value
    return { value: pending.value as T }
  }

  // ---- point reads

  override get(key: Uint8Array): Step {
    const own = this.readOwn(key, this.statement)
    return own ?? this.#readSnapshot(key)
  }

  override getLocked(key: Uint8Array, mode: number): Step {
    const first = this.isolation === 'read committed' && this.#chosenBy === 0 && !this.rowModes.has(this.text(key))
    if (!first || this.store.leaseholder.serves(key, 0) !== undefined) return this.get(key)
    const own = this.readOwn(key, this.statement)
    if (own !== undefined) return own
    const copy = key.slice()
    if (this.lockRow(copy, mode) === WAIT) return WAIT
    // The lock's answer is a read at the leaseholder's present.
    const { at, node, value, timestamp } = this.#lastLock!
    this.#choose(at, node)
    if (value === undefined) this.#unlock(copy)
    return this.#give(value, timestamp)
  }

  /** Nothing is there to be locked. */
  #unlock(key: Uint8Array): void {
    const text = keyText(key, 0, key.length)
    const index = this.rowLocks.lastIndexOf(text)
    this.rowLocks.splice(index, 1)
    this.rowKeys.splice(index, 1)
    this.lockedAt.splice(index, 1)
    this.rowModes.delete(text)
    this.releaseRow(text)
  }
  #lastLock: LockAnswer | undefined

  override getLatest(key: Uint8Array): Step {
    const own = this.readOwn(key, Number.POSITIVE_INFINITY)
    if (own !== undefined) return own
    if (this.isMade(key)) return END
    const latest = this.#readLatest(key)
    return latest === undefined ? WAIT : this.#give(latest.value, latest.timestamp)
  }

  override newest(key: Uint8Array): Timestamp {
    return this.#readLatest(key)?.timestamp ?? -1
  }

  #readLatest(key: Uint8Array): Latest | undefined {
    const text = this.text(key)
    const locked = this.#latest.get(text)
    if (locked !== undefined) return locked
    return this.#get(`latest ${text}`, () =>
      this.store.routing.ask(readOperation, key, { key, at: latestTimestamp, uncertainTo: 0, chosenBy: 0 }),
    )?.value
  }

  #give(value: Uint8Array | undefined, timestamp: Timestamp): Step {
    const { found } = this
    found.timestamp = timestamp
    if (value === undefined) return END
    found.slab = { bytes: value, view: new DataView(value.buffer, value.byteOffset, value.length) }
    found.valueStart = 0
    found.valueEnd = value.length
    return ROW
  }

  #readSnapshot(key: Uint8Array): Step {
    const { store } = this
    const { leaseholder } = store
    if (leaseholder.serves(key, this.snapshot) !== undefined) {
      if (this.#chosenBy === 0) this.#choose(store.clock.next(), store.nodeId)
      return this.#readHere(key)
    }
    if (this.#stale && leaseholder.followers.serves(key, this.snapshot) !== undefined) return this.#readFollower(key)
    const text = this.text(key)
    const known = this.#answers.get(text)
    if (known !== undefined) return this.#give(known.value, known.timestamp)
    // One leaseholder chooses; reads begun beside it wait for its choice.
    if (this.#chosenBy === 0 && this.#pending.size > 0 && !this.#pending.has(`get ${text}`) && this.#waitForAny()) {
      return WAIT
    }
    const got = this.#get(`get ${text}`, () => this.#askRead(key, { key, ...this.#at() }))
    if (got === undefined) return WAIT
    const answer = got.value
    this.#choose(answer.at, answer.node)
    // Asked at another snapshot than the one that holds by now.
    if (answer.at !== this.snapshot) return this.#readSnapshot(key)
    if (answer.uncertain > 0) return this.#moveUp(answer.uncertain) ?? this.#readSnapshot(key)
    this.#see(key, undefined)
    this.#answers.set(text, answer)
    return this.#give(answer.value, answer.timestamp)
  }

  #askRead(key: Uint8Array, request: ReadRequest): Promise<ReadAnswer> {
    if (this.#stale) return this.store.askNear(nearReadOperation, readOperation, key, request)
    return this.store.routing.ask(readOperation, key, request)
  }

  #readFollower(key: Uint8Array): Step {
    const { leaseholder, engine } = this.store
    leaseholder.requireKept(this.snapshot)
    const blocking = leaseholder.followers.blocking(this.text(key), this.snapshot)
    const step = blocking !== undefined ? WAIT : engine.get(key, this.snapshot, this.found)
    if (step === WAIT) this.blocker = blocking ?? this.found
    return step
  }

  #readHere(key: Uint8Array): Step {
    const { leaseholder, engine, nodeId } = this.store
    const at = this.snapshot
    leaseholder.requireKept(at)
    if (leaseholder.busy) {
      const blocking = leaseholder.blocking(this.text(key), at, 0)
      if (blocking !== undefined) {
        this.blocker = blocking
        return WAIT
      }
    }
    const certain = this.#chosenBy === nodeId && leaseholder.certainSince(at)
    const step = engine.get(key, certain ? at : this.#uncertainTo, this.found)
    if (step === WAIT) {
      this.blocker = this.found
      return WAIT
    }
    if (!certain && this.found.timestamp > at) return this.#moveUp(this.found.timestamp) ?? this.#readSnapshot(key)
    this.#see(key, undefined)
    return step
  }

  #at(): { at: Timestamp; uncertainTo: Timestamp; chosenBy: number } {
    return { at: this.snapshot, uncertainTo: this.#uncertainTo, chosenBy: this.#chosenBy }
  }

  /** False when all have their answers: those that nobody has come back for choose nothing. */
  #waitForAny(): boolean {
    const all = [...this.#pending.values()].filter((p) => !p.settled).map((p) => p.promise)
    this.blocker = { ready: () => Promise.race(all) }
    return all.length > 0
  }

  // ---- the snapshot moves

  #see(start: Uint8Array, end: Uint8Array | undefined): void {
    // A snapshot in the past never moves, and nothing is written that could rely on it.
    if (this.#stale) return
    if (this.isolation !== 'serializable' && (this.store.oneLeader || this.#seen.length >= maxSeen)) {
      // Where one node leads everything, nothing it has chosen is uncertain.
      this.#unseen = true
      return
    }
    const storage = storageId(start)
    if (this.#seenStorages?.has(storage)) return
    if (this.#seen.length >= maxSeen) {
      const storages = (this.#seenStorages ??= new Map())
      for (const one of this.#seen) {
        const id = storageId(one.start)
        storages.set(id, Math.min(one.at, storages.get(id) ?? one.at))
      }
      this.#seen = []
      if (storages.has(storage)) return
    }
    let upper = end
    if (upper === undefined) {
      upper = new Uint8Array(start.length + 1)
      upper.set(start)
    } else upper = upper.slice()
    this.#seen.push({ start: start.slice(), end: upper, at: this.snapshot })
  }

  #allSeen(): SpanCheck[] {
    const out = [...this.#seen]
    for (const [id, at] of this.#seenStorages ?? []) {
      const start = new Uint8Array(4)
      new DataView(start.buffer).setUint32(0, id)
      out.push({ start, end: storageEnd(id), at })
    }
    return out
  }

  /**
   * Moves the snapshot to a version that may be older than the transaction in real time. Undefined: it has moved, read
   * again; WAIT. Raises rerunStatement or serialization_failure when something read before has changed.
   */
  #moveUp(to: Timestamp): Step | undefined {
    const { store } = this
    const seen = this.#allSeen()
    if (this.#unseen) return this.#giveUp()
    if (seen.length > 0) {
      try {
        const got = this.#get(`move ${to}`, () => this.#validateSeen(seen, to))
        if (got === undefined) return WAIT
      } catch (error) {
        if (error instanceof DbError && error.code === 'serialization_failure') return this.#giveUp()
        throw error
      }
    }
    this.snapshot = Math.max(this.snapshot, to)
    store.clock.observe(to)
    this.#answers.clear()
    this.#seen = seen.map((one) => ({ ...one, at: this.snapshot }))
    this.#seenStorages = undefined
    return undefined
  }

  async #validateSeen(seen: readonly SpanCheck[], upTo: Timestamp): Promise<void> {
    const { routing } = this.store
    const groups = this.store.groupSpans(seen)
    await Promise.all(
      groups.map((spans) => {
        const checks = { keys: [], spans, tails: [] }
        return routing.ask(validateOperation, spans[0].start, { transaction: this.id, upTo, checks, wait: true })
      }),
    )
  }

  #giveUp(): never {
    if (this.rerunnable) throw rerunStatement
    throw conflict('what it read may have been changed before it began, by a node with another clock')
  }

  // ---- scans

  override cursor(span: Span, reverse = false, program?: ScanProgram): EngineCursor {
    return this.#scan(span, this.statement, reverse, false, program).merged
  }

  override cursorLatest(span: Span): EngineCursor {
    return this.#scan(span, Number.POSITIVE_INFINITY, false, true).merged
  }

  /** Nodes that cannot be reached have not been locked out of the table: they may commit rows that the scan missed. */
  override cursorRelied(span: Span): EngineCursor {
    const { merged, source } = this.#scan(span, Number.POSITIVE_INFINITY, false, true)
    this.#relied.push({ start: span.start, end: span.end ?? storageEnd(storageId(span.start)), source })
    return merged
  }

  #scan(
    span: Span,
    before: number,
    reverse: boolean,
    latest: boolean,
    program?: ScanProgram,
  ): { merged: EngineCursor; source: Scan } {
    const storage = storageId(span.start)
    const plain = this.overlay.empty || !this.overlay.hasStorage(storage)
    const source = new Scan(this, latest, plain ? program : undefined)
    const cursor = new ClusterCursor(source, span, reverse)
    if (plain) return { merged: cursor, source }
    const end = span.end === undefined ? undefined : keyText(span.end, 0, span.end.length)
    const start = keyText(span.start, 0, span.start.length)
    return { merged: new MergedCursor(cursor, this.overlay, storage, start, end, before, reverse), source }
  }

  /** For a scan: see ScanSource. */
  openLocal(
    span: Span,
    reverse: boolean,
    latest: boolean,
  ): { cursor: EngineCursor; rest: Span | undefined; at: Timestamp } | undefined | typeof WAIT {
    const { store } = this
    const { leaseholder, engine } = store
    const part = leaseholder.localPart(span, reverse, latest ? 0 : this.snapshot)
    if (part === undefined) return this.#stale && !latest ? this.#openFollower(span, reverse) : undefined
    if (!latest && this.#chosenBy === 0) this.#choose(store.clock.next(), store.nodeId)
    const at = latest ? store.clock.next() : this.snapshot
    const blocking = leaseholder.blockingSpan(part.span, at, 0)
    if (blocking !== undefined) {
      this.blocker = blocking
      return WAIT
    }
    if (!latest && !(this.#chosenBy === store.nodeId && leaseholder.certainSince(at))) {
      const step = engine.changed(part.span, at, this.#uncertainTo, this.found)
      if (step === WAIT) {
        this.blocker = this.found
        return WAIT
      }
      if (step === ROW) {
        const moved = this.#moveUp(this.found.timestamp)
        return moved === undefined ? this.openLocal(span, reverse, latest) : WAIT
      }
    }
    if (!latest) this.#see(part.span.start, part.span.end ?? storageEnd(storageId(part.span.start)))
    return { cursor: engine.cursor(part.span, at, reverse ? { reverse: true } : undefined), rest: part.rest, at }
  }

  #openFollower(
    span: Span,
    reverse: boolean,
  ): { cursor: EngineCursor; rest: Span | undefined; at: Timestamp } | undefined | typeof WAIT {
    const { leaseholder, engine } = this.store
    const at = this.snapshot
    const part = leaseholder.followers.localPart(span, reverse, at)
    if (part === undefined) return undefined
    const blocking = leaseholder.followers.blockingSpan(part.span, at)
    if (blocking !== undefined) {
      this.blocker = blocking
      return WAIT
    }
    return { cursor: engine.cursor(part.span, at, reverse ? { reverse: true } : undefined), rest: part.rest, at }
  }

  async askScan(
    span: Span,
    reverse: boolean,
    limit: number,
    latest: boolean,
    program: Uint8Array | undefined,
  ): Promise<ScanAnswer> {
    const { store } = this
    while (!latest && this.#chosenBy === 0 && this.#choosing !== undefined) await this.#choosing
    const at = latest ? { at: latestTimestamp, uncertainTo: 0, chosenBy: 0 } : this.#at()
    const edge = store.edge(span, reverse)
    const request = { span, reverse, limit, program, ...at }
    const answer =
      this.#stale && !latest
        ? store.askNear(nearScanOperation, scanOperation, edge, request)
        : store.routing.ask(scanOperation, edge, request)
    const asked = store.interruptible(this.owner, answer)
    if (!latest && this.#chosenBy === 0) {
      const settled = asked.then(
        (answer) => this.#choose(answer.at, answer.node),
        () => {},
      )
      this.#choosing = settled
      await settled
      this.#choosing = undefined
    }
    return asked
  }
  #choosing: Promise<void> | undefined

  accept(answer: ScanAnswer, span: Span): boolean | Promise<void> {
    if (answer.at !== this.snapshot) return false
    if (answer.uncertain > 0) {
      const step = this.#moveUp(answer.uncertain)
      return step === undefined ? false : this.blocker!.ready()
    }
    const read = answered(span, answer.resume)
    this.#see(read.start, read.end ?? storageEnd(storageId(read.start)))
    return true
  }

  override put(key: Uint8Array, value: Uint8Array, valueStart = 0, valueEnd = value.length): void {
    if (this.#hasReadStale) throw staleReader()
    super.put(key, value, valueStart, valueEnd)
  }

  override delete(key: Uint8Array): void {
    if (this.#hasReadStale) throw staleReader()
    super.delete(key)
  }

  override claimTail(key: Uint8Array): Step {
    if (this.#hasReadStale) throw staleReader()
    const storage = storageId(key)
    if (this.tails.has(storage)) return ROW
    const end = storageEnd(storage)
    const name = `tail ${storage}`
    const start = key.slice()
    const got = this.#get(name, () => this.#tailEmpty({ start, end }))
    if (got === undefined) return WAIT
    if (got.value === 0) return END
    this.tails = own(this.tails).set(storage, { start, end, at: got.value })
    return ROW
  }

  /** The timestamp at which the span held nothing, ours included; 0 when it holds something. */
  async #tailEmpty(span: Span): Promise<Timestamp> {
    const { merged, source } = this.#scan(span, Number.POSITIVE_INFINITY, false, true)
    try {
      for (;;) {
        const step = merged.next(1)
        if (step === WAIT) await merged.ready()
        else return step === ROW ? 0 : source.oldest
      }
    } finally {
      merged.close()
    }
  }

  // ---- locks

  override lockRow(key: Uint8Array, mode: number, policy: 'wait' | 'nowait' | 'skip' = 'wait'): Step {
    if (this.isMade(key)) return ROW
    if (this.#hasReadStale) throw staleReader()
    const text = this.text(key)
    const held = this.rowModes.get(text)
    if (held !== undefined && held >= mode) return ROW
    const { leaseholder, routing } = this.store
    const request = { owner: this.ownerId, transaction: this.id, key, mode, policy }
    let answer: LockAnswer | undefined
    const name = `lock ${text}`
    if (!this.#pending.has(name)) answer = leaseholder.lockNow(request, this.owner)
    if (answer === undefined) {
      const copy = { ...request, key: key.slice() }
      const got = this.#get(name, () => routing.ask(lockOperation, copy.key, copy))
      if (got === undefined) return WAIT
      answer = got.value
    }
    this.#lockNodes.add(answer.node)
    this.#lastLock = answer
    if (!answer.granted) return END
    this.rowModes = own(this.rowModes).set(text, mode)
    this.#latest.set(text, { timestamp: answer.timestamp, value: answer.value })
    if (held === undefined) {
      this.rowLocks.push(text)
      this.rowKeys.push(key.slice())
      this.lockedAt.push(answer.at)
    }
    return ROW
  }

  override lockTable(table: string, mode: number, wait = true): Step {
    const name = `table ${table} ${mode}`
    if (!this.#pending.has(name)) {
      const step = super.lockTable(table, mode, wait)
      // Weak modes do not conflict with each other: who takes a strong one asks every node.
      if (step !== ROW || mode <= rowExclusive) return step
    }
    const got = this.#get(name, () => this.store.lockTableEverywhere(this.ownerId, table, mode, wait))
    if (got === undefined) return WAIT
    for (const node of got.value) this.#tableNodes.add(node)
    return ROW
  }

  protected override releaseRow(key: string): void {
    this.#latest.delete(key)
    this.store.routing.release(this.#lockNodes, { owner: this.ownerId, keys: [Buffer.from(key, 'latin1')] })
  }

  protected override releaseLocks(): void {
    const { store } = this
    for (const key of this.tableLocks) store.tables.release(this.owner, key)
    this.tableLocks.length = 0
    this.rowLocks.length = 0
    store.routing.release(new Set([...this.#lockNodes, store.nodeId]), { owner: this.ownerId, keys: undefined })
    store.releaseTables(this.#tableNodes, this.ownerId)
    this.#latest.clear()
    this.#pending.clear()
  }

  override rollbackTo(savepoint: Savepoint): void {
    super.rollbackTo(savepoint)
    this.#latest.clear()
  }

  // ---- the end

  override commit(): Step {
    if (this.state === 'committed') return END
    if (this.state === 'active') {
      if (this.overlay.empty) {
        this.finish('committed')
        return END
      }
      this.state = 'committing'
    }
    assert(this.state === 'committing', 'an aborted transaction cannot commit')
    try {
      const got = this.#get('commit', () => this.#commitAll(), false)
      if (got === undefined) return WAIT
      this.commitTimestamp = got.value
    } catch (error) {
      this.finish('aborted')
      throw error
    }
    this.finish('committed')
    return END
  }

  async #commitAll(): Promise<Timestamp> {
    const keys: KeyCheck[] = [...this.#required.values()]
    for (let i = 0; i < this.rowKeys.length; i++) keys.push({ key: this.rowKeys[i], at: this.lockedAt[i] })
    const spans = this.isolation === 'serializable' ? this.#allSeen() : []
    for (const { start, end, source } of this.#relied) spans.push({ start, end, at: source.oldest })
    const timestamp = await commitAcross(this.store, {
      owner: this.ownerId,
      overlay: this.overlay,
      checks: { keys, spans, tails: [...this.tails.values()] },
    })
    this.store.clock.observe(timestamp)
    for (const hook of this.publishing) await hook(timestamp)
    return timestamp
  }

  override rollback(): void {
    if (this.ended) return
    const committing = this.#pending.get('commit')
    if (committing === undefined) {
      this.finish('aborted')
      return
    }
    // On its way to the log it cannot be taken back: it ends as it ends, and nobody is told.
    committing.promise.then(() => {
      if (!this.ended) this.finish(committing.failed ? 'aborted' : 'committed')
    })
  }

  /** Whether something in the span was committed after the timestamp. */
  async changedSince(span: Span & { readonly end: Uint8Array }, at: Timestamp): Promise<boolean> {
    try {
      await this.#validateSeen([{ ...span, at }], this.store.clock.next())
      return false
    } catch (error) {
      if (error instanceof DbError && error.code === 'serialization_failure') return true
      throw error
    }
  }
}

/** What of a span an answer has covered. */
function answered(span: Span, resume: Span | undefined): Span {
  if (resume === undefined) return span
  const forward = Buffer.compare(resume.start, span.start) > 0
  return forward ? { start: span.start, end: resume.start } : { start: resume.end!, end: span.end }
}

/** A scan's view of its transaction. */
class Scan implements ScanSource {
  readonly #transaction: ClusterTransaction
  readonly #latest: boolean
  readonly #program: ScanProgram | undefined
  #bytes: Uint8Array | undefined
  /** The lowest timestamp that a part was read at. */
  oldest: Timestamp = Number.MAX_SAFE_INTEGER

  constructor(transaction: ClusterTransaction, latest: boolean, program: ScanProgram | undefined) {
    this.#transaction = transaction
    this.#latest = latest
    this.#program = program
  }

  get blocker(): { ready(): Promise<void> } | undefined {
    return this.#transaction.blocker
  }

  openLocal(span: Span, reverse: boolean): { cursor: EngineCursor; rest: Span | undefined } | undefined | typeof WAIT {
    const opened = this.#transaction.openLocal(span, reverse, this.#latest)
    if (opened !== undefined && opened !== WAIT) this.oldest = Math.min(this.oldest, opened.at)
    return opened
  }

  askScan(span: Span, reverse: boolean, limit: number): Promise<ScanAnswer> {
    this.#bytes ??= this.#program?.()
    return this.#transaction.askScan(span, reverse, limit, this.#latest, this.#bytes)
  }

  accept(answer: ScanAnswer, span: Span): boolean | Promise<void> {
    if (!this.#latest) return this.#transaction.accept(answer, span)
    this.oldest = Math.min(this.oldest, answer.at)
    return true
  }
}
