/**
 * Automatic ANALYZE: now and then the tables whose size has moved away from their statistics are read again, one at a
 * time and in slices with rests between them, by a session of the node's own.
 *
 * Not here: what statistics are (maintenance-commands.ts).
 */
import { END, type Step, WAIT } from '../../base/index.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import { storageSpan } from '../execute/tables.ts'
import type { Database } from './database.ts'
import { analyzeTable } from './maintenance-commands.ts'
import { Session } from './session.ts'

const periodMs = 15_000
/** Rest between slices, several times as long as they are: clients' statements come first. */
const restMs = 10
/** PostgreSQL's autovacuum_analyze_threshold and scale factor. */
const threshold = 50
const scale = 0.1

export class AutoAnalyze {
  readonly #database: Database
  #timer: { cancel(): void } | undefined
  #stopped = false
  /** Entries of tables, superseded versions among them, when they were read: rows alone would look outdated for ever. */
  readonly #entries = new Map<number, number>()

  constructor(database: Database) {
    this.#database = database
    this.#schedule()
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  #schedule(): void {
    if (this.#stopped || this.#database.io.dead) return
    this.#timer = this.#database.io.tasks.after(periodMs, () => {
      this.#round().then(
        () => this.#schedule(),
        (error) => {
          this.#database.io.log.warn('automatic-analyze-failed', { error: String(error) })
          this.#schedule()
        },
      )
    })
  }

  async #round(): Promise<void> {
    for (const { oid: databaseOid } of [...this.#database.databases()]) {
      for (const relation of [...this.#database.catalog(databaseOid).relations()]) {
        if (this.#stopped || this.#database.io.dead) return
        if (
          relation.relkind === 'r' &&
          relation.persistence !== 't' &&
          this.#ours(relation) &&
          this.#outdated(databaseOid, relation)
        )
          await this.#analyze(databaseOid, relation)
      }
    }
  }

  /** In a cluster, the node that leads a table's rows looks after its statistics. */
  #ours(relation: RelationDescriptor): boolean {
    return this.#database.cluster?.leads(storageSpan(relation.storage).start) ?? true
  }

  #outdated(databaseOid: number, relation: RelationDescriptor): boolean {
    const rows = this.#database.catalog(databaseOid).statistics(relation.oid)?.rows
    const entries = this.#entriesOf(relation)
    if (rows === undefined) return entries > threshold
    const known = Math.max(rows, this.#entries.get(relation.storage) ?? 0)
    return entries - known > threshold + scale * known
  }

  #entriesOf(relation: RelationDescriptor): number {
    return this.#database.store.engine.estimate(storageSpan(relation.storage)).entries
  }

  async #analyze(databaseOid: number, relation: RelationDescriptor): Promise<void> {
    const session = new Session(this.#database, 0, databaseOid, 10, {
      user: 'lattice',
      database: '',
      parameters: new Map(),
      client: '',
    })
    try {
      session.startStatement()
      const now = session.catalog.relation(relation.oid)
      if (now === undefined) return
      this.#entries.set(now.storage, this.#entriesOf(now))
      await drive(session, analyzeTable(session, now))
      while (session.commit() === WAIT) await session.ready()
    } finally {
      session.close()
    }
  }
}

async function drive(session: Session, work: Generator<Step, void, void>): Promise<void> {
  for (;;) {
    const result = work.next()
    if (result.done) return
    if (result.value === WAIT) await session.ready()
    else if (result.value !== END)
      await new Promise<void>((resolve) => session.database.io.tasks.after(restMs, resolve))
  }
}
