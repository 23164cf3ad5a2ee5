/**
 * Keeps the catalogs of a cluster's nodes alike.
 *
 *   DDL commits ─► broadcast (changes, timestamp) ─► every node lays them over its catalog ─► locks are released
 *
 * A node that missed one finds out: it looks now and then whether the stored catalog has changed after what it knows,
 * and reads it again. Until then its writes are stopped by fences: the key of a table's storage id, which DDL writes and
 * every write to the table relies on.
 *
 * Not here: the catalog (catalog/), locks of tables (transaction/partitions).
 */
import { DbError, type Timestamp } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import { type ClusterTransaction, LockOwner } from '../../transaction/index.ts'
import type { Change } from '../catalog/catalog.ts'
import { catalogStorage, isShared, readCatalogVersions, type StoredChange } from '../catalog/catalog-store.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import type { SqlCluster } from '../cluster-port.ts'
import type { Database } from './database.ts'

const topic = 'catalog'
const checkMs = 2_000

interface Message {
  readonly database: number
  readonly changes: readonly Change[]
  readonly dropped: readonly number[]
  readonly at: Timestamp
}

export class CatalogSync {
  readonly #database: Database
  readonly #cluster: SqlCluster
  /** Every object and the commit that it was last changed by, dropped ones too. */
  readonly #versions = new Map<string, { readonly at: Timestamp; readonly change: StoredChange }>()
  /** By table: the commit that its definition is known as of. */
  readonly #fences = new Map<number, Timestamp>()
  /** Everything committed to the stored catalog up to this is known here. */
  #readAt: Timestamp = 0
  #refreshing: Promise<void> | undefined
  /** Until the catalogs are built there is nothing to lay changes over. */
  #loaded = false
  #missed = false
  #timer: { cancel(): void } | undefined
  #stopped = false

  constructor(database: Database, cluster: SqlCluster) {
    this.#database = database
    this.#cluster = cluster
    cluster.onBroadcast(topic, (message: Message) => this.#receive(message))
  }

  /** The catalogs are built. */
  start(): void {
    this.#loaded = true
    if (this.#missed) this.refreshSoon()
    this.#missed = false
    this.#later()
  }

  #later(): void {
    this.#timer = this.#database.io.tasks.after(checkMs, () => {
      if (this.#stopped || this.#database.io.dead) return
      this.#check().finally(() => this.#later())
    })
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** Reads what is stored and lays over what differs; the first time, everything. */
  async load(): Promise<StoredChange[]> {
    const read = await readCatalogVersions(this.#database.store)
    this.#readAt = read.at
    for (const { change, timestamp } of read.entries) this.#note(change.database, change, timestamp)
    return read.entries.map((e) => e.change)
  }

  /** Tells the others what a committed transaction has changed. */
  async publish(
    database: number,
    changes: readonly Change[],
    dropped: readonly number[],
    at: Timestamp,
  ): Promise<void> {
    const last = lastOf(changes)
    for (const change of last) this.#note(database, change, at)
    await this.#cluster.broadcast(topic, { database, changes: last, dropped, at } satisfies Message)
  }

  #receive({ database, changes, dropped, at }: Message): void {
    if (!this.#loaded) {
      this.#missed = true
      return
    }
    const news = changes.filter((change) => this.#note(database, change, at))
    this.#install(database, news)
    this.#database.reclaim(dropped)
  }

  #install(database: number, changes: readonly Change[]): void {
    if (changes.length === 0) return
    if (!this.#database.knows(database)) this.refreshSoon()
    else this.#database.install(database, changes)
  }

  /** Whether it is news. */
  #note(database: number, change: Change, at: Timestamp): boolean {
    const { kind, oid, sub, descriptor } = change
    const name = `${isShared(kind) ? 0 : database} ${kind} ${oid} ${sub}`
    if ((this.#versions.get(name)?.at ?? 0) >= at) return false
    this.#versions.set(name, { at, change: { ...change, database: isShared(kind) ? 0 : database } })
    if (kind === 'relation') {
      const relation = descriptor as RelationDescriptor | undefined
      const table = relation?.index?.table ?? oid
      this.#fences.set(table, Math.max(at, this.#fences.get(table) ?? 0))
    }
    return true
  }

  /** The commit that a table's definition is known as of. */
  fenceOf(table: number): Timestamp {
    return this.#fences.get(table) ?? this.#readAt
  }

  /** Something relied on a definition that others have changed: look what it is. */
  refreshSoon(): void {
    this.refresh().catch((error) => {
      if (!(error instanceof DbError)) throw error
    })
  }

  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  async #refresh(): Promise<void> {
    const read = await readCatalogVersions(this.#database.store)
    const byDatabase = new Map<number, Change[]>()
    const add = (database: number, change: Change) => {
      const list = byDatabase.get(database)
      if (list === undefined) byDatabase.set(database, [change])
      else list.push(change)
    }
    const stored = new Set<string>()
    for (const { change, timestamp } of read.entries) {
      stored.add(nameOf(change))
      if (this.#note(change.database, change, timestamp)) add(change.database, change)
    }
    for (const { change } of [...this.#versions.values()]) {
      if (change.descriptor === undefined || stored.has(nameOf(change))) continue
      const gone = { ...change, descriptor: undefined }
      if (this.#note(change.database, gone, read.at)) add(change.database, gone)
    }
    const any = [...byDatabase.keys()].find((d) => d !== 0) ?? this.#database.anyDatabase()
    // Databases first: what is in them is laid over their catalogs.
    const shared = byDatabase.get(0)
    if (shared !== undefined) this.#database.install(any, shared)
    for (const [database, changes] of byDatabase)
      if (database !== 0 && this.#database.knows(database)) this.#database.install(database, changes)
    this.#readAt = read.at
  }

  async #check(): Promise<void> {
    const tx = this.#database.store.begin(new LockOwner(0), 'serializable') as ClusterTransaction
    try {
      if (await tx.changedSince(catalogSpan(), this.#readAt)) await this.refresh()
    } catch (error) {
      if (!(error instanceof DbError)) throw error
    } finally {
      tx.rollback()
    }
  }
}

/** A transaction may change an object several times: what it comes to. */
function lastOf(changes: readonly Change[]): Change[] {
  const last = new Map<string, Change>()
  for (const change of changes) last.set(`${change.kind} ${change.oid} ${change.sub}`, change)
  return [...last.values()]
}

function nameOf({ database, kind, oid, sub }: StoredChange): string {
  return `${isShared(kind) ? 0 : database} ${kind} ${oid} ${sub}`
}

function catalogSpan(): { start: Uint8Array; end: Uint8Array } {
  const start = new ByteWriter(4)
  start.u32(catalogStorage)
  const end = new ByteWriter(4)
  end.u32(catalogStorage + 1)
  return { start: start.copy(), end: end.copy() }
}

/** The key that stands for a table's definition; rows of its storage come after it. */
export function fenceKey(storage: number): Uint8Array {
  const out = new ByteWriter(4)
  out.u32(storage)
  return out.copy()
}
