/**
 * The continuous materialized views of a node: each is a view of its table's event database, added when the node learns of
 * it (at its start, by a commit here or elsewhere) and removed when it is dropped.
 *
 * Not here: what such a view computes (local/group-view.ts).
 */
import { DbError } from '../../base/index.ts'
import { ParameterTypes } from '../bind/context.ts'
import type { Catalog, Change } from '../catalog/catalog.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import { Execution } from '../execute/execution.ts'
import { checkGroupQuery, groupedTable, groupView } from '../local/group-view.ts'
import { isContinuousView, storeName } from '../local/local-table.ts'
import type { LocalTables, OpenTable } from '../local/local-tables.ts'
import { PlanScope } from '../plan/scope.ts'
import type { Query } from '../query.ts'
import type { Database } from './database.ts'
import { Session } from './session.ts'

export class ContinuousViews {
  readonly #database: Database
  readonly #tables: LocalTables
  readonly #added = new Map<number, Promise<OpenTable>>()
  readonly #sessions = new Map<number, Session>()
  /** Adding and removing, one after the other. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(database: Database, tables: LocalTables) {
    this.#database = database
    this.#tables = tables
  }

  start(): void {
    for (const { oid } of this.#database.databases()) {
      for (const relation of this.#database.catalog(oid).relations())
        if (isContinuousView(relation)) this.#add(oid, relation).catch(() => {})
    }
  }

  /** @param before the catalog that the changes are laid over. */
  changed(before: Catalog, database: number, changes: readonly Change[]): void {
    for (const { kind, oid, descriptor } of changes) {
      if (kind !== 'relation') continue
      const old = before.relation(oid)
      const now = descriptor as RelationDescriptor | undefined
      if (now !== undefined && isContinuousView(now)) this.#add(database, now).catch(() => {})
      else if (now === undefined && old !== undefined && isContinuousView(old)) this.#remove(before, old)
    }
  }

  /** The event database of a view that is there. Raises object_not_in_prerequisite_state for one that is not committed. */
  async open(database: number, relation: RelationDescriptor): Promise<OpenTable> {
    if (this.#database.catalog(database).relation(relation.oid) !== undefined) return this.#add(database, relation)
    throw new DbError('object_not_in_prerequisite_state', `"${relation.name}" is being made by this transaction`, {
      hint: 'Read it after the commit.',
    })
  }

  /** Raises feature_not_supported for a query that cannot be kept, duplicate_object for a name that its store has. */
  check(database: number, name: string, query: Query, catalog: Catalog): Promise<void> {
    return this.#after(async () => {
      const table = groupedTable(query, catalog)
      checkGroupQuery(this.#scope(database, query))
      const { views } = await this.#tables.open(storeName(catalog, table), false)
      if (!views.list().some((v) => v.name === name)) return
      throw new DbError('duplicate_object', `the event database of "${table.name}" has a view "${name}" already`, {
        hint: 'Choose another name.',
      })
    })
  }

  #session(database: number): Session {
    let session = this.#sessions.get(database)
    if (session === undefined) {
      const options = { user: 'lattice', database: '', parameters: new Map<string, string>(), client: '' }
      session = new Session(this.#database, 0, database, 10, options)
      this.#sessions.set(database, session)
    }
    return session
  }

  #scope(database: number, query: Query): PlanScope {
    const session = this.#session(database)
    return new PlanScope(session.planBuilder(session.bindContext('', new ParameterTypes([], false))), query, undefined)
  }

  #add(database: number, relation: RelationDescriptor): Promise<OpenTable> {
    let added = this.#added.get(relation.oid)
    if (added === undefined) {
      added = this.#after(() => this.#make(database, relation))
      this.#added.set(relation.oid, added)
      added.catch((error) => {
        this.#added.delete(relation.oid)
        this.#database.io.log.error('continuous-view-failed', { view: relation.name, reason: String(error) })
      })
    }
    return added
  }

  async #make(database: number, relation: RelationDescriptor): Promise<OpenTable> {
    const catalog = this.#database.catalog(database)
    const query = relation.view!
    const table = groupedTable(query, catalog)
    const opened = await this.#tables.open(storeName(catalog, table), false)
    const scope = this.#scope(database, query)
    const session = this.#session(database)
    const run = () => {
      // Immutable functions ask nothing of a transaction: this one is over.
      const tx = session.transaction()
      session.abort()
      return new Execution(scope.builder.registers, [], tx, session)
    }
    const columns = relation.columns.map((c) => c.name)
    // Object ids are never used again: another view of the name has another version.
    await opened.views.add(groupView(storeName(catalog, relation), relation.oid, scope, table, columns, run))
    return opened
  }

  #remove(before: Catalog, relation: RelationDescriptor): void {
    const added = this.#added.get(relation.oid)
    if (added === undefined) return
    this.#added.delete(relation.oid)
    const name = storeName(before, relation)
    this.#after(async () => (await added).views.remove(name)).catch((error) => {
      this.#database.io.log.error('continuous-view-stays', { view: name, reason: String(error) })
    })
  }

  #after<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(run)
    this.#turn = result.catch(() => {})
    return result
  }

  /** Waits for what is being added or removed. */
  async close(): Promise<void> {
    await this.#turn
  }
}
