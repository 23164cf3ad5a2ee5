/**
 * The transactional store of a node: engine, locks, time and the replica that commits.
 *
 * Commits are appended in timestamp order and applied in the same order once durable, so `visible`, the timestamp of
 * the last applied one, is a snapshot without gaps: everything acknowledged is at or below it.
 *
 *   choose C, validate, register in flight, append      one synchronous step
 *   fsync … apply: visible = C, locks released, acknowledged
 */
import { assert, HybridClock, maxTimestamp, type Timestamp } from '../base/index.ts'
import { WriteSetBuilder, WriteSetReader } from '../encoding/index.ts'
import type { Io } from '../io/index.ts'
import type { Replica, StateMachine } from '../replication/index.ts'
import { type Engine, type Span, visitAll } from '../storage/index.ts'
import type { LockOwner } from './lock-table.ts'
import { advisoryConflicts, LockTable, rowConflicts, tableConflicts } from './lock-table.ts'
import type { Isolation } from './transaction.ts'
import { Transaction } from './transaction.ts'

/** How long superseded versions are kept for reads in the past. */
const defaultRetentionMs = 60_000

export class TransactionStore implements StateMachine {
  readonly io: Io
  readonly engine: Engine
  readonly clock: HybridClock
  readonly rows = new LockTable(rowConflicts, () => 'a row')
  readonly tables = new LockTable(tableConflicts, (key) => `relation ${key}`)
  readonly advisory = new LockTable(advisoryConflicts, (key) => `advisory lock [${key}]`)
  /** Everything committed at or below this is applied; reads start here. */
  visible: Timestamp = 0
  /** Committed but not yet applied, oldest first. */
  readonly inFlight = new Set<Transaction>()
  readonly active = new Set<Transaction>()
  retentionMs = defaultRetentionMs
  /** How many transactions committed and rolled back, for pg_stat_database and metrics. */
  commits = 0
  rollbacks = 0
  #replica: Replica | undefined
  #nextTransactionId: number
  readonly #builders: WriteSetBuilder[] = []

  constructor(io: Io, engine: Engine, clock = new HybridClock(() => io.clock.wallMicros())) {
    this.io = io
    this.engine = engine
    this.clock = clock
    this.#nextTransactionId = io.clock.wallMicros()
  }

  /** Wires the replica in once it has replayed the log into this store. */
  attach(replica: Replica): void {
    assert(this.#replica === undefined, 'one replica')
    this.#replica = replica
  }

  apply(payload: Uint8Array, stream: number, index: number): void {
    this.engine.apply(payload, stream, index)
    const timestamp = new WriteSetReader(payload).timestamp
    assert(timestamp > this.visible, 'commits apply in timestamp order')
    this.visible = timestamp
    this.clock.observe(timestamp)
  }

  begin(owner: LockOwner, isolation: Isolation, readOnly = false): Transaction {
    const transaction = new Transaction(this, owner, this.#nextTransactionId++, isolation, readOnly)
    this.active.add(transaction)
    return transaction
  }

  /** Visits the newest committed version of every key of a span, in order. */
  async scan(
    span: Span,
    visit: (key: Uint8Array, value: Uint8Array, timestamp: Timestamp) => void,
  ): Promise<Timestamp> {
    const at = this.visible
    await visitAll(this.engine.cursor(span, maxTimestamp), visit)
    return at
  }

  /** A write set to fill; give it back through `commit`. */
  builder(): WriteSetBuilder {
    const builder = this.#builders.pop() ?? new WriteSetBuilder()
    builder.reset()
    return builder
  }

  /**
   * Stamps and appends a write set; `applied` runs once it is durable and visible. The commit timestamp is above every
   * snapshot handed out and every commit before.
   */
  commit(builder: WriteSetBuilder, transactionId: number, applied: () => void): Timestamp {
    const timestamp = this.clock.next()
    this.#replica!.propose(builder.finish(timestamp), transactionId, () => {
      if (builder.writer.buffer.length <= 64 * 1024) this.#builders.push(builder)
      applied()
    })
    return timestamp
  }

  /** Moves the collection threshold: behind every snapshot in use and the retention window. */
  collect(): void {
    let oldest = Math.min(this.visible, this.io.clock.wallMicros() - this.retentionMs * 1000)
    for (const transaction of this.active) {
      if (transaction.snapshot > 0 && transaction.snapshot < oldest) oldest = transaction.snapshot
    }
    if (oldest > this.engine.collectedBefore) this.engine.collectBefore(oldest)
    this.#replica?.reclaim()
  }
}
