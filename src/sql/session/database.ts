/**
 * The SQL side of a node: catalogs of all databases, sessions, notifications.
 *
 *   openDatabase: read the catalog, or make the first one → sessions connect
 */
import { assert, DbError, END, type Step, WAIT } from '../../base/index.ts'
import type { Io } from '../../io/index.ts'
import { type ClusterStore, LockOwner, type TransactionStore } from '../../transaction/index.ts'
import { Catalog, type Change } from '../catalog/catalog.ts'
import {
  descriptorKey,
  encodeDescriptor,
  isShared,
  readAll,
  readCatalog,
  type StoredChange,
} from '../catalog/catalog-store.ts'
import type { DatabaseDescriptor, Descriptor, RoleDescriptor, SchemaDescriptor } from '../catalog/descriptors.ts'
import { registerSystemCatalogs } from '../catalog/system/index.ts'
import { CatalogTypes } from '../catalog/type-lookup.ts'
import type { SqlCluster } from '../cluster-port.ts'
import { Sequences, sequenceKey, sequenceStorage } from '../execute/sequences.ts'
import { storageSpan } from '../execute/tables.ts'
import { LocalTables } from '../local/local-tables.ts'
import type { SqlEvents } from '../local-port.ts'
import { loadParser } from '../parse/parser.ts'
import type { ConnectOptions, SqlDatabase, SqlSession } from '../session-api.ts'
import type { Type } from '../types/type.ts'
import { Appliers } from './appliers.ts'
import { AutoAnalyze } from './auto-analyze.ts'
import { registerCatalogFunctions } from './catalog-functions.ts'
import { CatalogSync } from './catalog-sync.ts'
import { ContinuousViews } from './continuous-views.ts'
import { registerInformationFunctions } from './information-functions.ts'
import { registerPrivilegeFunctions } from './privilege-functions.ts'
import { ParseQueue } from './reading.ts'
import { RemotePrograms } from './remote-programs.ts'
import { Session } from './session.ts'
import { registerSessionFunctions } from './session-functions.ts'
import { clearTemporaryFiles } from './spill-files.ts'

export interface DatabaseOptions {
  readonly io: Io
  readonly store: TransactionStore
  /** Where statements put what their memory cannot hold; undefined: nowhere. */
  readonly temporaryDirectory?: string
  /** The cluster that the node belongs to; undefined: it is alone. */
  readonly cluster?: SqlCluster
  /** Where tables WITH (replication = local) are; undefined: there are none. */
  readonly events?: SqlEvents
}

/** Object ids of users' objects start here, as in PostgreSQL. */
const firstOid = 16384
/** How many object ids are set aside at a time. */
const oidStep = 200
/** How long dropped storages wait for others to be given back with. */
const reclaimMs = 5_000
/** Notifications of other nodes' sessions. */
export const notifyTopic = 'notify'
const firstProcess = 1000
/** Process ids tell which node a session is at. */
const processesPerNode = 0x10_0000
/** Where the counter of object ids is kept, among the sequences. */
const oidCounter = 1

export const superuser = 10
const secondSuperuser = 16383

/** `close` ends background work; the store is the caller's to close after it. */
export async function openDatabase(options: DatabaseOptions): Promise<SqlDatabase & { close(): Promise<void> }> {
  await loadParser()
  registerSessionFunctions()
  registerCatalogFunctions()
  registerPrivilegeFunctions()
  registerInformationFunctions()
  registerSystemCatalogs()
  if (options.temporaryDirectory !== undefined) await clearTemporaryFiles(options.io, options.temporaryDirectory)
  const database = new Database(options)
  await database.load()
  return database
}

export class Database implements SqlDatabase {
  readonly io: Io
  readonly store: TransactionStore
  readonly temporaryDirectory: string | undefined
  readonly cluster: SqlCluster | undefined
  /** Keeps this catalog like those of the cluster's other nodes. */
  readonly sync: CatalogSync | undefined
  /** See BindContext. */
  readonly fenceOf: ((table: number) => number) | undefined
  readonly sequences: Sequences
  readonly parses: ParseQueue
  readonly local: LocalTables | undefined
  readonly continuous: ContinuousViews | undefined
  readonly appliers: Appliers | undefined
  readonly sessions = new Map<number, Session>()
  /** Sessions that LISTEN to a channel of a database, by "database.channel". */
  readonly listeners = new Map<string, Set<Session>>()
  readonly startedMicros: number
  readonly #catalogs = new Map<number, Catalog>()
  #nextOid = firstOid
  #oidLimit = firstOid
  #nextProcess: number
  maxConnections = 1000
  readonly #dead: number[] = []
  #reclaiming: { cancel(): void } | undefined
  #analyze: AutoAnalyze | undefined

  constructor(options: DatabaseOptions) {
    this.io = options.io
    this.store = options.store
    this.temporaryDirectory = options.temporaryDirectory
    this.cluster = options.cluster
    this.sync = options.cluster && new CatalogSync(this, options.cluster)
    if (this.sync !== undefined) {
      const { sync } = this
      const programs = new RemotePrograms(this)
      this.fenceOf = (table) => sync.fenceOf(table)
      ;(this.store as ClusterStore).leaseholder.compileProgram = (bytes) => programs.compile(bytes)
    }
    this.parses = new ParseQueue(options.io.tasks)
    this.sequences = new Sequences(options.store, options.cluster)
    const node = options.cluster?.nodeId ?? 0
    this.local = options.events && new LocalTables(options.io, options.events, { store: options.store, node })
    this.continuous = this.local && new ContinuousViews(this, this.local)
    this.appliers = this.local && new Appliers(this, this.local)
    options.cluster?.onBroadcast(notifyTopic, ({ database, process, messages }) =>
      this.deliver(database, process, messages),
    )
    this.#nextProcess = firstProcess + (options.cluster?.nodeId ?? 0) * processesPerNode
    this.startedMicros = options.io.clock.wallMicros()
  }

  async load(): Promise<void> {
    await readAll(this.store, sequenceStorage, (key, value) => {
      const storage = new DataView(key.buffer, key.byteOffset).getUint32(4)
      const text = Buffer.from(value).toString()
      if (storage === oidCounter) this.#nextOid = Math.max(this.#nextOid, Number(text.split(' ')[0]) + 1)
      else this.sequences.load(storage, text)
    })
    this.#oidLimit = this.#nextOid
    let stored: readonly StoredChange[] = []
    while (stored.length === 0) {
      stored = this.sync === undefined ? await readCatalog(this.store) : await this.sync.load()
      if (stored.length === 0) await this.#bootstrap()
    }
    this.#build(stored)
    await this.#dropLeftovers(stored)
    this.#analyze = new AutoAnalyze(this)
    this.sync?.start()
    this.local?.start()
    this.continuous?.start()
    this.appliers?.start()
  }

  #build(stored: readonly StoredChange[]): void {
    const shared = stored.filter((s) => isShared(s.kind))
    for (const s of shared) {
      if (s.kind !== 'database') continue
      const own = stored.filter((o) => !isShared(o.kind) && o.database === s.oid)
      this.#catalogs.set(s.oid, Catalog.empty(s.oid).with([...shared, ...own]))
    }
  }

  /** Makes the objects that every new cluster has, unless another node is quicker. */
  async #bootstrap(): Promise<void> {
    const role: RoleDescriptor = {
      kind: 'role',
      oid: superuser,
      name: 'lattice',
      owner: superuser,
      superuser: true,
      inherit: true,
      createRole: true,
      createDatabase: true,
      login: true,
      replication: true,
      bypassRls: true,
      connectionLimit: -1,
      password: undefined,
      validUntil: undefined,
      memberOf: [],
    }
    // Scripts and tools of PostgreSQL expect its superuser by name.
    const alias: RoleDescriptor = { ...role, oid: secondSuperuser, name: 'postgres', owner: secondSuperuser }
    const out: StoredChange[] = [role, alias].map((r) => ({
      database: 0,
      kind: 'role',
      oid: r.oid,
      sub: 0,
      descriptor: r,
    }))
    const databases: [number, string, boolean][] = [
      [1, 'template1', true],
      [4, 'template0', true],
      [5, 'postgres', false],
      [6, 'lattice', false],
    ]
    for (const [oid, name, isTemplate] of databases) out.push(...newDatabase(oid, name, superuser, isTemplate))
    const tx = this.store.begin(new LockOwner(0), 'serializable')
    const settled = async (step: () => Step): Promise<Step> => {
      for (;;) {
        const answer = step()
        if (answer !== WAIT) return answer
        await tx.blocker!.ready()
      }
    }
    try {
      tx.startStatement()
      if ((await settled(() => tx.get(keyOf(out[0])))) !== END) {
        tx.rollback()
        return
      }
      for (const change of out) tx.put(keyOf(change), encodeDescriptor(change.descriptor!))
      await settled(() => tx.commit())
    } catch (error) {
      if (!tx.ended) tx.rollback()
      if (!(error instanceof DbError) || error.code !== 'serialization_failure') throw error
    }
  }

  /** Temporary relations of sessions that are gone: their node stopped before it could drop them. */
  async #dropLeftovers(stored: readonly StoredChange[]): Promise<void> {
    const temporary = stored.filter((s) => s.descriptor?.kind === 'schema' && this.#isOwnTemporary(s.descriptor.name))
    const schemas = new Set(temporary.map((s) => s.oid))
    const left = stored.filter(
      ({ descriptor: d }) => d?.kind === 'relation' && d.persistence === 't' && schemas.has(d.schema),
    )
    if (left.length + temporary.length === 0) return
    const gone = [...left, ...temporary].map((s) => ({ ...s, descriptor: undefined }))
    await this.#writeNow(gone)
    for (const database of new Set(gone.map((g) => g.database)))
      this.install(
        database,
        gone.filter((g) => g.database === database),
      )
  }

  /** Other nodes' sessions may live. */
  #isOwnTemporary(schema: string): boolean {
    const process = Number(/^pg_temp_(\d+)$/.exec(schema)?.[1] ?? -1)
    const first = this.cluster === undefined ? 0 : this.cluster.nodeId * processesPerNode
    return process >= first && (this.cluster === undefined || process < first + processesPerNode)
  }

  #writeNow(changes: readonly StoredChange[]): Promise<void> {
    const set = this.store.builder()
    for (const c of changes) {
      const key = keyOf(c)
      if (c.descriptor === undefined) set.delete(key)
      else set.put(key, encodeDescriptor(c.descriptor))
    }
    return new Promise((resolve) => this.store.commit(set, 0, resolve))
  }

  knows(database: number): boolean {
    return this.#catalogs.has(database)
  }

  anyDatabase(): number {
    return this.#catalogs.keys().next().value!
  }

  databases(): Iterable<DatabaseDescriptor> {
    return this.#catalogs.values().next().value!.databases()
  }

  catalog(database: number): Catalog {
    const catalog = this.#catalogs.get(database)
    assert(catalog !== undefined, 'a session is connected to a database')
    return catalog
  }

  /** Lays committed changes over the current snapshots. */
  install(database: number, changes: readonly Change[]): void {
    const shared = changes.filter((c) => isShared(c.kind))
    const own = changes.filter((c) => !isShared(c.kind))
    if (shared.length > 0) {
      for (const [oid, catalog] of this.#catalogs) this.#catalogs.set(oid, catalog.with(shared))
      for (const c of shared) {
        if (c.kind !== 'database') continue
        if (c.descriptor === undefined) this.#catalogs.delete(c.oid)
        else if (!this.#catalogs.has(c.oid)) this.#create(c.oid, database)
      }
    }
    if (own.length === 0) return
    const before = this.catalog(database)
    this.#catalogs.set(database, before.with(own))
    this.continuous?.changed(before, database, own)
    this.appliers?.changed(database, own)
  }

  /** The catalog of a database just created: the shared objects and its schema. */
  #create(oid: number, from: number): void {
    const template = this.catalog(from)
    const changes: Change[] = []
    for (const d of template.databases()) changes.push({ kind: 'database', oid: d.oid, sub: 0, descriptor: d })
    for (const r of template.roles()) changes.push({ kind: 'role', oid: r.oid, sub: 0, descriptor: r })
    for (const s of template.settings()) changes.push({ kind: 'setting', oid: s.oid, sub: 0, descriptor: s })
    changes.push({ kind: 'schema', oid: publicOid, sub: 0, descriptor: publicSchemaOf(superuser) })
    this.#catalogs.set(oid, Catalog.empty(oid).with(changes))
  }

  /** An object id, also used as storage id, that no object has had. */
  newOid(): number {
    if (this.cluster !== undefined) return this.cluster.newObjectId()
    if (this.#nextOid >= this.#oidLimit) {
      this.#oidLimit = this.#nextOid + oidStep
      const set = this.store.builder()
      set.put(sequenceKey(oidCounter), Buffer.from(`${this.#oidLimit} t`))
      this.store.commit(set, 0, () => {})
    }
    return this.#nextOid++
  }

  /** Gives the space of dropped storages back, several at a time. What a crash interrupts costs space only: their ids are not used again. */
  reclaim(storages: readonly number[]): void {
    for (const storage of storages) {
      this.sequences.forget(storage)
      this.#dead.push(storage)
    }
    if (this.#reclaiming !== undefined || this.#dead.length === 0) return
    this.#reclaiming = this.io.tasks.after(reclaimMs, () => {
      const spans = this.#dead.splice(0).map(storageSpan)
      this.store.engine.discard(spans).then(
        () => {
          this.#reclaiming = undefined
          if (this.#dead.length > 0) this.reclaim([])
        },
        (error) => this.io.fatal('giving back the space of dropped tables failed', error),
      )
    })
  }

  /** Stops background work; sessions end with their connections. */
  async close(): Promise<void> {
    this.#analyze?.stop()
    this.sync?.stop()
    this.#reclaiming?.cancel()
    await this.appliers?.close()
    await this.continuous?.close()
    await this.local?.close()
  }

  connect(options: ConnectOptions): SqlSession {
    if (this.sessions.size >= this.maxConnections)
      throw new DbError('too_many_connections', 'sorry, too many clients already')
    const any = this.#catalogs.values().next().value!
    const role = any.roleNamed(options.user)
    if (role === undefined)
      throw new DbError('invalid_authorization_specification', `role "${options.user}" does not exist`)
    if (!role.login)
      throw new DbError('invalid_authorization_specification', `role "${options.user}" is not permitted to log in`)
    const database = any.databaseNamed(options.database)
    if (database === undefined)
      throw new DbError('invalid_catalog_name', `database "${options.database}" does not exist`)
    if (!database.allowConnections)
      throw new DbError(
        'object_not_in_prerequisite_state',
        `database "${options.database}" is not currently accepting connections`,
      )
    const session = new Session(this, this.#nextProcess++, database.oid, role.oid, options)
    this.sessions.set(session.processId, session)
    return session
  }

  verifier(user: string): string | undefined {
    return this.#catalogs.values().next().value!.roleNamed(user)?.password
  }

  /** Hands a transaction's notifications to the sessions here that listen. */
  deliver(database: number, process: number, messages: readonly { channel: string; payload: string }[]): void {
    for (const { channel, payload } of messages)
      for (const listener of this.listeners.get(`${database}.${channel}`) ?? [])
        listener.receive(process, channel, payload)
  }

  cancel(processId: number, secretKey: number): void {
    const session = this.sessions.get(processId)
    if (session?.secretKey === secretKey) session.cancel()
  }

  type(oid: number): Type {
    return new CatalogTypes(() => this.#catalogs.values().next().value!).type(oid)
  }
}

export const publicOid = 2200

export function publicSchemaOf(owner: number): SchemaDescriptor {
  return { kind: 'schema', oid: publicOid, name: 'public', owner }
}

export function newDatabase(oid: number, name: string, owner: number, isTemplate = false): StoredChange[] {
  const descriptor: DatabaseDescriptor = {
    kind: 'database',
    oid,
    name,
    owner,
    isTemplate,
    allowConnections: name !== 'template0',
  }
  const schema: Descriptor = publicSchemaOf(owner)
  return [
    { database: 0, kind: 'database', oid, sub: 0, descriptor },
    { database: oid, kind: 'schema', oid: schema.oid, sub: 0, descriptor: schema },
  ]
}

function keyOf({ database, kind, oid, sub }: StoredChange): Uint8Array {
  return descriptorKey(database, kind, oid, sub)
}
