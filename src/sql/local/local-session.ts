/**
 * A session's side of local tables: what its transaction has written, and up to where it reads each event database.
 *
 *   READ COMMITTED    each statement sees what the store has received when the statement begins to read it
 *   REPEATABLE READ   what it had received when the transaction first read it
 *   SERIALIZABLE      refused: nothing orders these rows against those of other tables
 *
 * Not here: the commit (local-commit.ts), scans.
 */
import { DbError, END, type Step } from '../../base/index.ts'
import type { Transaction } from '../../transaction/index.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import { LocalCommit } from './local-commit.ts'
import type { LocalTables, OpenTable } from './local-tables.ts'
import { LocalWrites } from './local-writes.ts'
import { type PublishingSession, writesBridged } from './publishing.ts'

export class LocalSession {
  readonly tables: LocalTables
  readonly writes = new LocalWrites()
  readonly #bounds = new Map<string, number>()
  readonly #openView: (relation: RelationDescriptor) => Promise<OpenTable>
  readonly #session: PublishingSession
  #commit: LocalCommit | undefined
  /** Rows of bridged tables come from events: they are not published again. */
  applies = false

  constructor(
    tables: LocalTables,
    session: PublishingSession,
    openView: (relation: RelationDescriptor) => Promise<OpenTable>,
  ) {
    this.tables = tables
    this.#session = session
    this.#openView = openView
  }

  /** Calls of functions are made again, from their beginning, after a wait: waits for event databases would never end. */
  callsMade = 0

  /** Raises feature_not_supported in a serializable transaction, and in a function. @param depth of the execution */
  checkReading(tx: Transaction, table: string, depth: number): void {
    this.checkCall(table, depth)
    if (tx.isolation !== 'serializable') return
    throw new DbError('feature_not_supported', `a serializable transaction cannot read "${table}"`, {
      detail: 'Its rows are replicated locally: nothing orders them against those of other tables.',
      hint: 'Use REPEATABLE READ, or read it in a transaction of its own.',
    })
  }

  /** Raises feature_not_supported in a function. */
  checkCall(table: string, depth: number): void {
    if (depth === 0 && this.callsMade === 0) return
    throw new DbError('feature_not_supported', `a function that an expression calls cannot read "${table}"`, {
      detail: 'Its rows are replicated locally: reading them waits.',
      hint: 'Read them in the statement itself, or in a DO block.',
    })
  }

  /** The event database of a continuous view. */
  openView(relation: RelationDescriptor): Promise<OpenTable> {
    return this.#openView(relation)
  }

  /** The last position that the transaction may see; undefined: whatever there is. */
  boundOf(tx: Transaction, { name, store }: OpenTable): number | undefined {
    if (tx.isolation === 'read committed') return undefined
    const known = this.#bounds.get(name)
    if (known !== undefined) return known
    this.#bounds.set(name, store.position)
    return store.position
  }

  /** What the last WAIT waits for. */
  get blocker(): { ready(): Promise<void> } | undefined {
    return this.#commit?.blocker
  }

  /** Before the transaction commits; see LocalCommit. */
  prepare(tx: Transaction): Step {
    if (tx.ended) return END
    if (this.#commit === undefined) {
      const publishes = !this.applies && writesBridged(this.#session, tx)
      if (this.writes.mark === 0 && !publishes) return END
      this.#commit = new LocalCommit(this.tables, this.writes, tx, publishes ? this.#session : undefined)
    }
    return this.#commit.prepare()
  }

  /** After it has committed. */
  deliver(): Step {
    return this.#commit?.deliver() ?? END
  }

  ended(): void {
    this.#commit?.end()
    this.#commit = undefined
    this.writes.clear()
    this.#bounds.clear()
  }
}
