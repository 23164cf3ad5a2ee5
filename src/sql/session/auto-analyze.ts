/**
 * Automatic ANALYZE: now and then the tables whose size has moved away from their statistics are read again, one at a
 * time and in slices, by a session of the node's own.
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
/** PostgreSQL's autovacuum_analyze_threshold and scale factor. */
const threshold = 50
const scale = 0.1

export class AutoAnalyze {
  readonly #database: Database
  #timer: { cancel(): void } | undefined
  #stopped = false

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
        if (relation.relkind === 'r' && relation.persistence !== 't' && this.#outdated(databaseOid, relation))
          await this.#analyze(databaseOid, relation)
      }
    }
  }

  #outdated(databaseOid: number, relation: RelationDescriptor): boolean {
    const known = this.#database.catalog(databaseOid).statistics(relation.oid)?.rows
    // Superseded versions count as entries too, so the estimate errs to the high side.
    const { entries } = this.#database.store.engine.estimate(storageSpan(relation.storage))
    return known === undefined
      ? entries > threshold
      : Math.abs(entries - known) > threshold + scale * known && entries > known * (1 + scale)
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
    else if (result.value !== END) await session.database.io.tasks.yield()
  }
}
