/**
 * What tables with "apply.from" take from their event databases: one applier a table, at the node that leads the table's
 * rows, from the position of its store up to which it has applied events.
 *
 *   events after the position ──► lock the row ──► newer than the row's newest change? ──► rows, stamps, position: one commit
 *
 * Of two changes of a row the one with the later commit counts, and of equal ones that with the greater origin, wherever
 * and in whatever order they arrive. So a node that begins anew, or leads after another, does no harm.
 *
 * An event that cannot be applied (a constraint is in its way) stops its table's applier alone: it says so in the log, and
 * tries again now and then.
 *
 * Not here: what is published (local/publishing.ts), how one change is applied (apply-change.ts).
 */
import type { Change } from '../catalog/catalog.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import { storageSpan } from '../execute/tables.ts'
import { applySource, entry, isBridged, positionKey, put } from '../local/bridge.ts'
import type { LocalTables, OpenTable } from '../local/local-tables.ts'
import { TableChanges } from './apply-change.ts'
import type { Database } from './database.ts'
import { Session } from './session.ts'

/** Events of one commit. */
const pageEvents = 100
/** How often an applier looks whether it leads, and tries again what failed. */
const periodMs = 2_000

export class Appliers {
  readonly #database: Database
  readonly #local: LocalTables
  readonly #running = new Map<number, Applier>()

  constructor(database: Database, local: LocalTables) {
    this.#database = database
    this.#local = local
  }

  start(): void {
    for (const { oid } of this.#database.databases()) {
      for (const relation of this.#database.catalog(oid).relations()) this.#see(oid, relation.oid, relation)
    }
  }

  changed(database: number, changes: readonly Change[]): void {
    for (const { kind, oid, descriptor } of changes)
      if (kind === 'relation') this.#see(database, oid, descriptor as RelationDescriptor | undefined)
  }

  #see(database: number, oid: number, table: RelationDescriptor | undefined): void {
    const source = table && isBridged(table) ? applySource(table) : undefined
    const running = this.#running.get(oid)
    if (running?.source === source) return running?.wake()
    running?.stop()
    this.#running.delete(oid)
    if (source !== undefined) this.#running.set(oid, new Applier(this.#database, this.#local, database, oid, source))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#running.values()].map((a) => a.stop()))
  }
}

class Applier {
  readonly source: string
  readonly #database: Database
  readonly #local: LocalTables
  readonly #databaseOid: number
  readonly #oid: number
  #going: Promise<void> | undefined
  #again = false
  #stopped = false
  #timer: { cancel(): void } | undefined
  #unsubscribe: (() => void) | undefined
  #opened: OpenTable | undefined
  /** Whose commit is being made. */
  #session: Session | undefined
  /** Key of the event that is being applied, and of the one that is said to be in the way. */
  #at = ''
  #failed = ''

  constructor(database: Database, local: LocalTables, databaseOid: number, oid: number, source: string) {
    this.source = source
    this.#database = database
    this.#local = local
    this.#databaseOid = databaseOid
    this.#oid = oid
    this.wake()
  }

  wake(): void {
    if (this.#stopped || this.#database.io.dead) return
    this.#again = true
    this.#going ??= this.#go()
  }

  /** Resolves when it does nothing any more. */
  stop(): Promise<void> {
    this.#stopped = true
    this.#session?.cancel()
    this.#timer?.cancel()
    this.#unsubscribe?.()
    return this.#going ?? Promise.resolve()
  }

  async #go(): Promise<void> {
    this.#timer?.cancel()
    try {
      while (this.#again && !this.#stopped && !this.#database.io.dead) {
        this.#again = false
        while (await this.#page(pageEvents));
      }
    } catch (error) {
      if (!this.#stopped && !this.#database.io.dead) this.#say(error)
    }
    this.#going = undefined
    if (this.#stopped || this.#database.io.dead || this.#table === undefined) return
    this.#timer = this.#database.io.tasks.after(periodMs, () => this.wake())
  }

  get #table(): RelationDescriptor | undefined {
    return this.#database.knows(this.#databaseOid)
      ? this.#database.catalog(this.#databaseOid).relation(this.#oid)
      : undefined
  }

  /** True when there may be more. Raises what keeps the next event from being applied. */
  async #page(limit: number): Promise<boolean> {
    const table = this.#table
    if (table === undefined || this.#stopped || this.#database.io.dead) return false
    if (this.#database.cluster?.leads(storageSpan(table.storage).start) === false) return false
    if (this.#opened === undefined) {
      this.#opened = await this.#local.open(this.source, false)
      this.#unsubscribe = this.#opened.store.subscribe(() => this.wake())
      if (this.#stopped) this.#unsubscribe()
    }
    try {
      return await this.#apply(this.#opened, table, limit)
    } catch (error) {
      // One after the other, up to the one that is in the way.
      if (limit > 1) return this.#page(1)
      throw error
    }
  }

  async #apply({ store }: OpenTable, table: RelationDescriptor, limit: number): Promise<boolean> {
    const options = { user: 'lattice', database: '', parameters: new Map<string, string>(), client: '' }
    const session = new Session(this.#database, 0, this.#databaseOid, 10, options)
    this.#session = session
    session.local!.applies = true
    try {
      const { identity } = store
      const at = positionKey(table, `${identity.store}.${identity.incarnation}`)
      session.nextIsolation = 'read committed'
      session.startStatement()
      const tx = session.transaction()
      const from = (await entry<number>(tx, at))?.value ?? 0
      const { events, next } = await store.changes(Math.min(from, store.position), limit)
      if (events.length === 0) return false
      this.#at = events[0].key
      const changes = await TableChanges.of(session, table)
      await changes.apply(events)
      put(tx, at, next)
      await changes.commit()
      this.#failed = ''
      return true
    } finally {
      this.#session = undefined
      session.close()
    }
  }

  #say(error: unknown): void {
    if (this.#failed === this.#at) return
    this.#failed = this.#at
    const { log } = this.#database.io
    log.warn('bridge-stopped', {
      table: this.#table?.name ?? '',
      source: this.source,
      event: this.#at,
      reason: String(error),
    })
  }
}
