/**
 * One transaction: a snapshot, buffered writes, locks, and the validated set that decides at commit.
 *
 *   READ COMMITTED    a new snapshot for every statement; written keys are validated
 *   REPEATABLE READ   one snapshot; a key that changed after it cannot be locked for writing (40001)
 *   SERIALIZABLE      the same, and all that was read must be unchanged up to the commit timestamp (40001)
 *
 * Not here: SQL, what keys mean; PROTOCOLS "Transactions" has the rules for several partitions.
 */
import { assert, DbError, END, maxTimestamp, ROW, type Step, type Timestamp, WAIT } from '../base/index.ts'
import type { WriteSetBuilder } from '../encoding/index.ts'
import type { EngineCursor, Found, Span } from '../storage/index.ts'
import { keyText, MergedCursor } from './cursor.ts'
import type { LockOwner } from './lock-table.ts'
import { Overlay, type OverlayVersion, storageId } from './overlay.ts'
import type { TransactionStore } from './store.ts'

export type Isolation = 'read committed' | 'repeatable read' | 'serializable'

/** Above this many entries the read set of a serializable transaction widens to whole storages. */
const maxReadSet = 10_000

export interface ReadSpan extends Span {
  readonly at: Timestamp
}

/**
 * Thrown out of a statement under READ COMMITTED that must be run again from its start with a newer snapshot: nothing of
 * it has been seen, its locks stay.
 */
export const rerunStatement = Symbol('rerun')

/** Makes what is sent along to nodes that scan for us, when it is needed; undefined: nothing. */
export type ScanProgram = () => Uint8Array | undefined

export interface Savepoint {
  readonly overlay: number
  readonly rowLocks: number
  readonly tableLocks: number
  readonly statement: number
  readonly hooks: number
}

/** Most transactions put nothing into most of their maps: these begin with one that stays empty. */
const none = new Map<any, any>()

/** The map to put something into. */
export function own<K, V>(map: Map<K, V>): Map<K, V> {
  return map === none ? new Map() : map
}

export class Transaction {
  readonly store: TransactionStore
  readonly owner: LockOwner
  readonly id: number
  isolation: Isolation
  readOnly: boolean
  /** What reads see; 0 before the first statement. */
  snapshot: Timestamp = 0
  /** Sequence number of the current statement, from 1. */
  statement = 0
  readonly overlay = new Overlay()
  /** Result of the last `get`; shared, overwritten by the next. */
  readonly found: Found
  readonly startMicros: number
  /** What the last WAIT waits for. */
  blocker: { ready(): Promise<void> } | undefined
  commitTimestamp: Timestamp = 0
  /** Whether whoever drives the current statement takes `rerunStatement`. */
  rerunnable = false
  readonly #probe: Found
  protected readonly rowLocks: string[] = []
  protected readonly rowKeys: Uint8Array[] = []
  protected readonly lockedAt: Timestamp[] = []
  protected rowModes: Map<string, number> = none
  protected readonly tableLocks: string[] = []
  protected reads: ReadSpan[] = []
  /** Spans that were empty when this transaction began to append to them. */
  protected tails: Map<number, ReadSpan> = none
  #readStorages: Map<number, Timestamp> = none
  readonly #onCommit: (() => void)[] = []
  readonly #onEnd: (() => void)[] = []
  protected state: 'active' | 'committing' | 'committed' | 'aborted' = 'active'
  #done: (() => void) | undefined
  #donePromise: Promise<void> | undefined

  constructor(store: TransactionStore, owner: LockOwner, id: number, isolation: Isolation, readOnly: boolean) {
    this.store = store
    this.owner = owner
    this.id = id
    this.isolation = isolation
    this.readOnly = readOnly
    this.found = store.engine.found()
    this.#probe = store.engine.found()
    this.startMicros = store.io.clock.wallMicros()
  }

  get ended(): boolean {
    return this.state === 'committed' || this.state === 'aborted'
  }

  /** Begins the next statement: under READ COMMITTED with a fresh snapshot. */
  startStatement(): void {
    this.statement++
    if (this.snapshot === 0 || this.isolation === 'read committed') this.snapshot = this.store.visible
  }

  /**
   * Lets the statement read at a snapshot in the past, not below `floor`, that near replicas of the spans can answer at,
   * and that holds what was acknowledged by a time of the wall clock.
   * For statements that only read, after `startStatement`; the transaction can write nothing afterwards. Without effect
   * once the transaction has written, or has a snapshot that lasts. In a store of one node nothing is nearer than the
   * newest.
   */
  boundStaleness(_sinceMicros: number, _floor: Timestamp, _spans: readonly Span[]): void {}

  /** Under READ COMMITTED, moves the statement's snapshot forward to see what a lock waited for. */
  refreshSnapshot(): void {
    assert(this.isolation === 'read committed', 'only a statement snapshot moves')
    this.snapshot = this.store.visible
  }

  /** Point read at the snapshot, own earlier statements included. ROW: the value is in `found`. */
  get(key: Uint8Array): Step {
    if (this.isolation === 'serializable') this.noteRead(key, undefined)
    return this.readAt(key, this.snapshot, this.statement)
  }

  /**
   * Point read of a row that the statement will lock in the mode if it is there. Where the row is elsewhere, READ
   * COMMITTED may lock it with the same request.
   */
  getLocked(key: Uint8Array, _mode: number): Step {
    return this.get(key)
  }

  /** Point read of the newest committed version, own writes of this statement included. */
  getLatest(key: Uint8Array): Step {
    if (this.isMade(key)) return this.readOwn(key, Number.POSITIVE_INFINITY) ?? END
    return this.readAt(key, maxTimestamp, Number.POSITIVE_INFINITY)
  }

  /**
   * A cursor over the span at the snapshot, merged with own earlier statements' writes. Where rows are asked of other
   * nodes, the program may leave out some that it says are of no use.
   */
  cursor(span: Span, reverse = false, _program?: ScanProgram): EngineCursor {
    if (this.isolation === 'serializable') this.noteRead(span.start, span.end)
    return this.cursorAt(span, this.snapshot, this.statement, reverse)
  }

  /** A cursor over the newest committed versions and all own writes: for constraint checks. */
  cursorLatest(span: Span): EngineCursor {
    return this.cursorAt(span, maxTimestamp, Number.POSITIVE_INFINITY, false)
  }

  /**
   * The same, for what is built of all that is found: the transaction commits only if nobody has changed the span since.
   * In a store of one node the table locks say so already.
   */
  cursorRelied(span: Span): EngineCursor {
    return this.cursorLatest(span)
  }

  put(key: Uint8Array, value: Uint8Array, valueStart = 0, valueEnd = value.length): void {
    this.overlay.set(key, this.text(key), value, valueStart, valueEnd, this.statement)
  }

  /**
   * Writes a row whose key nobody locks: the caller has seen, by `claimTail`, that no row has this key or a higher one.
   * False when keys do not ascend; then lock and `put`.
   */
  append(key: Uint8Array, keyLength: number, value: Uint8Array, valueLength: number): boolean {
    return this.overlay.append(key, keyLength, value, valueLength, this.statement)
  }

  /**
   * Looks whether a storage has no row at or above the key: ROW yes, END no, WAIT. The claim joins the validated set: at
   * commit, another transaction's row in the span is a conflict only when it has one of our keys.
   */
  claimTail(key: Uint8Array): Step {
    const storage = storageId(key)
    if (this.tails.has(storage)) return ROW
    const at = this.store.visible
    const end = storageEnd(storage)
    const cursor = this.cursorLatest({ start: key, end })
    const step = cursor.next(1)
    if (step === WAIT) {
      this.blocker = { ready: () => cursor.ready().finally(() => cursor.close()) }
      return WAIT
    }
    cursor.close()
    if (step === ROW) return END
    this.tails = own(this.tails).set(storage, { start: key.slice(), end, at })
    return ROW
  }

  delete(key: Uint8Array): void {
    this.overlay.set(key, this.text(key), undefined, 0, 0, this.statement)
  }

  /**
   * Locks a row key. ROW: granted; WAIT: another holds it. `policy` 'nowait' raises lock_not_available instead of
   * waiting, 'skip' answers END.
   */
  lockRow(key: Uint8Array, mode: number, policy: 'wait' | 'nowait' | 'skip' = 'wait'): Step {
    if (this.isMade(key)) return ROW
    const text = this.text(key)
    const held = this.rowModes.get(text)
    if (held !== undefined && held >= mode) return ROW
    const rows = this.store.rows
    if (policy !== 'wait') {
      if (!rows.tryAcquire(this.owner, text, mode)) {
        if (policy === 'skip') return END
        throw new DbError('lock_not_available', 'could not obtain lock on row', {
          hint: 'Another transaction holds the row; retry later.',
        })
      }
    } else if (!rows.acquire(this.owner, text, mode)) return this.wait()
    this.rowModes = own(this.rowModes).set(text, mode)
    if (held === undefined) {
      this.rowLocks.push(text)
      this.rowKeys.push(key.slice())
      this.lockedAt.push(this.store.visible)
    }
    return ROW
  }

  /** The newest committed timestamp of a key (deletions count), or WAIT as -1. */
  newest(key: Uint8Array): Timestamp {
    const probe = this.#probe
    probe.timestamp = 0
    if (this.store.engine.get(key, maxTimestamp, probe) === WAIT) {
      this.blocker = probe
      return -1
    }
    return probe.timestamp
  }

  /**
   * The transaction commits only if nobody has changed the key after the timestamp: how work relies on table definitions
   * that other nodes may change. In a store of one node the table locks say so already.
   */
  require(_key: Uint8Array, _at: Timestamp): void {}

  /** Locks a table for the transaction. ROW or WAIT; `wait` false raises lock_not_available. */
  lockTable(table: string, mode: number, wait = true): Step {
    const tables = this.store.tables
    // A wait that was granted is held already, but not yet ours to release.
    if (this.owner.waiting === undefined && tables.holds(this.owner, table, mode)) return ROW
    if (!wait) {
      if (!tables.tryAcquire(this.owner, table, mode))
        throw new DbError('lock_not_available', 'could not obtain lock on relation')
    } else if (!tables.acquire(this.owner, table, mode)) return this.wait()
    this.tableLocks.push(table)
    return ROW
  }

  savepoint(): Savepoint {
    return {
      overlay: this.overlay.mark,
      rowLocks: this.rowLocks.length,
      tableLocks: this.tableLocks.length,
      statement: this.statement,
      hooks: this.#onCommit.length,
    }
  }

  /** Undoes the writes since the savepoint, and releases the locks first taken since. */
  rollbackTo(savepoint: Savepoint): void {
    this.overlay.rollback(savepoint.overlay)
    while (this.rowLocks.length > savepoint.rowLocks) {
      const key = this.rowLocks.pop()!
      this.rowKeys.pop()
      this.lockedAt.pop()
      this.rowModes.delete(key)
      this.releaseRow(key)
    }
    while (this.tableLocks.length > savepoint.tableLocks) {
      const key = this.tableLocks.pop()!
      if (!this.tableLocks.includes(key)) this.store.tables.release(this.owner, key)
    }
    this.#onCommit.length = savepoint.hooks
  }

  protected releaseRow(key: string): void {
    this.store.rows.release(this.owner, key)
  }

  /** Runs when the commit is durable and visible, before the locks go. */
  onCommit(hook: () => void): void {
    this.#onCommit.push(hook)
  }

  /** A storage that this transaction has made: nobody else knows it, so its keys need neither locks nor look-ups. */
  makeStorage(storage: number): void {
    this.#made ??= new Set()
    this.#made.add(storage)
  }
  #made: Set<number> | undefined

  /** Whether the key lies in a storage that this transaction has made. */
  protected isMade(key: Uint8Array): boolean {
    return this.#made?.has(storageId(key)) === true
  }

  /** Runs when the commit is decided, before the locks go, which wait for it where transactions span nodes. */
  onPublish(hook: (at: Timestamp) => Promise<void>): void {
    this.publishing.push(hook)
  }
  protected readonly publishing: ((at: Timestamp) => Promise<void>)[] = []

  /** Runs when the transaction ends, either way. */
  onEnd(hook: () => void): void {
    this.#onEnd.push(hook)
  }

  /** END: committed. WAIT: await `blocker.ready()` and call again. Raises serialization_failure, having aborted. */
  commit(): Step {
    if (this.state === 'committed') return END
    if (this.state === 'committing') return WAIT
    assert(this.state === 'active', 'an aborted transaction cannot commit')
    if (this.overlay.empty) {
      this.finish('committed')
      return END
    }
    if (this.store.engine.stalled) {
      this.blocker = { ready: () => this.store.engine.unstalled() }
      return WAIT
    }
    let step: Step
    try {
      step = this.#validate()
    } catch (error) {
      this.rollback()
      throw error
    }
    if (step === WAIT) return WAIT
    const set = this.store.builder()
    this.overlay.writeTo(set)
    this.#propose(set)
    return this.ended ? END : WAIT
  }

  rollback(): void {
    if (this.ended) return
    assert(this.state === 'active', 'a transaction on its way to the log cannot be taken back')
    this.finish('aborted')
  }

  ready(): Promise<void> {
    return this.#donePromise ?? Promise.resolve()
  }

  #propose(set: WriteSetBuilder): void {
    this.state = 'committing'
    this.blocker = this
    this.#donePromise = new Promise((resolve) => {
      this.#done = resolve
    })
    this.store.inFlight.add(this)
    try {
      this.commitTimestamp = this.store.commit(set, this.id, () => {
        this.store.inFlight.delete(this)
        this.finish('committed')
        this.#done!()
      })
    } catch (error) {
      // The log has refused it: nothing of it will ever be there.
      this.store.inFlight.delete(this)
      this.finish('aborted')
      throw error
    }
  }

  protected finish(state: 'committed' | 'aborted'): void {
    this.state = state
    // What the node looks up for itself is nobody's transaction.
    const counts = this.owner.id !== 0
    if (state === 'committed') {
      if (counts) this.store.commits++
      for (const hook of this.#onCommit) hook()
    } else if (counts) this.store.rollbacks++
    this.releaseLocks()
    this.store.active.delete(this)
    for (const hook of this.#onEnd) hook()
  }

  protected releaseLocks(): void {
    const { rows, tables } = this.store
    for (const key of this.rowLocks) rows.release(this.owner, key)
    for (const key of this.tableLocks) tables.release(this.owner, key)
    this.rowLocks.length = 0
    this.tableLocks.length = 0
  }

  /** The version of a key that this transaction wrote last, in whatever statement. */
  own(key: Uint8Array): OverlayVersion | undefined {
    return this.overlay.empty ? undefined : this.overlay.get(key, this.text(key), Number.POSITIVE_INFINITY)
  }

  /** A key as text; the steps of one row's change ask for the same key object again and again. */
  protected text(key: Uint8Array): string {
    if (key !== this.lastKey) {
      this.lastKey = key
      this.lastText = keyText(key, 0, key.length)
    }
    return this.lastText
  }
  protected lastKey: Uint8Array | undefined
  protected lastText = ''

  protected wait(): Step {
    const wait = this.owner.waiting!
    this.blocker = { ready: () => wait.promise }
    return WAIT
  }

  /** What statements before `before` wrote to the key: ROW, END for a deletion, undefined for nothing. */
  protected readOwn(key: Uint8Array, before: number): Step | undefined {
    if (this.overlay.empty) return undefined
    const version = this.overlay.get(key, this.text(key), before)
    if (version === undefined) return undefined
    if (version.valueStart < 0) return END
    const found = this.found
    found.slab = version.slab
    found.valueStart = version.valueStart
    found.valueEnd = version.valueEnd
    found.timestamp = maxTimestamp
    return ROW
  }

  protected readAt(key: Uint8Array, at: Timestamp, before: number): Step {
    const own = this.readOwn(key, before)
    if (own !== undefined) return own
    const step = this.store.engine.get(key, at, this.found)
    if (step === WAIT) this.blocker = this.found
    return step
  }

  protected cursorAt(span: Span, at: Timestamp, before: number, reverse: boolean): EngineCursor {
    const cursor = this.store.engine.cursor(span, at, reverse ? { reverse: true } : undefined)
    if (this.overlay.empty) return cursor
    const storage = storageId(span.start)
    if (!this.overlay.hasStorage(storage)) return cursor
    const end = span.end === undefined ? undefined : keyText(span.end, 0, span.end.length)
    return new MergedCursor(
      cursor,
      this.overlay,
      storage,
      keyText(span.start, 0, span.start.length),
      end,
      before,
      reverse,
    )
  }

  protected noteRead(start: Uint8Array, end: Uint8Array | undefined): void {
    const storage = storageId(start)
    const whole = this.#readStorages.get(storage)
    if (whole !== undefined) return
    if (this.reads.length >= maxReadSet) {
      for (const read of this.reads) {
        const id = storageId(read.start)
        const before = this.#readStorages.get(id) ?? read.at
        this.#readStorages = own(this.#readStorages).set(id, Math.min(read.at, before))
      }
      this.reads = []
    }
    let upper = end
    if (upper === undefined) {
      // The first key after a single one: the key itself and a zero byte.
      upper = new Uint8Array(start.length + 1)
      upper.set(start)
    }
    this.reads.push({ start: start.slice(), end: upper.slice(), at: this.snapshot })
  }

  /** "No version in (read, now]" for the whole validated set; raises serialization_failure. ROW or WAIT. */
  #validate(): Step {
    for (let i = 0; i < this.rowKeys.length; i++) {
      if (this.store.visible === this.lockedAt[i]) continue
      const newest = this.newest(this.rowKeys[i])
      if (newest < 0) return WAIT
      if (newest > this.lockedAt[i]) throw conflict('a row that it locked was changed')
      this.lockedAt[i] = this.store.visible
    }
    for (const [storage, tail] of this.tails) {
      const step = this.#tailFree(storage, tail)
      if (step === WAIT) return WAIT
    }
    if (this.isolation !== 'serializable') return ROW
    for (const [storage, at] of this.#readStorages) {
      const start = new Uint8Array(4)
      new DataView(start.buffer).setUint32(0, storage)
      const end = new Uint8Array(4)
      new DataView(end.buffer).setUint32(0, storage + 1)
      const step = this.#unchanged({ start, end, at })
      if (step === WAIT) return WAIT
    }
    for (const read of this.reads) {
      const step = this.#unchanged(read)
      if (step === WAIT) return WAIT
    }
    return ROW
  }

  /** Rows that others put where we append: a conflict when a key is ours too. */
  #tailFree(storage: number, tail: ReadSpan): Step {
    let mayConflict = false
    if (this.store.visible > tail.at) {
      const step = this.store.engine.changed(tail, tail.at, maxTimestamp, this.#probe)
      if (step === WAIT) {
        this.blocker = this.#probe
        return WAIT
      }
      mayConflict = step === ROW
    }
    for (const other of this.store.inFlight) if (other.overlay.hasStorage(storage)) mayConflict = true
    if (!mayConflict) return ROW
    for (const key of this.overlay.keys(storage)) {
      const bytes = Buffer.from(key, 'latin1')
      const newest = this.newest(bytes)
      if (newest < 0) return WAIT
      if (newest > tail.at) throw conflict('a row that it added was added by another transaction too')
      for (const other of this.store.inFlight) {
        if (other.overlay.get(bytes, key, Number.POSITIVE_INFINITY) !== undefined)
          throw conflict('a row that it adds is being added by another transaction too')
      }
    }
    return ROW
  }

  #unchanged(read: ReadSpan): Step {
    if (this.store.visible > read.at) {
      const step = this.store.engine.changed(read, read.at, maxTimestamp, this.#probe)
      if (step === WAIT) {
        this.blocker = this.#probe
        return WAIT
      }
      if (step === ROW) throw conflict('what it read was changed by another transaction')
    }
    if (this.store.inFlight.size > 0) {
      const start = keyText(read.start, 0, read.start.length)
      const end = keyText(read.end!, 0, read.end!.length)
      const storage = storageId(read.start)
      for (const other of this.store.inFlight) {
        if (!other.overlay.hasStorage(storage)) continue
        for (const key of other.overlay.keys(storage)) {
          if (key >= start && key < end) throw conflict('what it read is being changed by another transaction')
        }
      }
    }
    return ROW
  }
}

/** The first key after a storage's. */
export function storageEnd(storage: number): Uint8Array {
  const end = new Uint8Array(4)
  new DataView(end.buffer).setUint32(0, storage + 1)
  return end
}

export function conflict(why: string): DbError {
  return new DbError(
    'serialization_failure',
    'could not serialize access due to read/write dependencies among transactions',
    {
      detail: `The transaction was given up because ${why}.`,
      hint: 'The transaction might succeed if retried.',
    },
  )
}
