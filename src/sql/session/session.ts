/**
 * A session: settings, the current transaction, prepared statements and portals, caches of plans.
 *
 *   block 'none'      no transaction, or an implicit one that ends with the statement (or at Sync)
 *   block 'explicit'  between BEGIN and COMMIT; `failed` after an error in it
 *
 * Not here: how a statement runs (query-portal.ts, utility-portal.ts), DDL (ddl/).
 */
import { DbError, END, type Step, WAIT } from '../../base/index.ts'
import type { Clock, Timer } from '../../io/index.ts'
import {
  type ClusterStore,
  endWait,
  type Isolation,
  LockOwner,
  type Savepoint as StoreSavepoint,
  type Transaction,
} from '../../transaction/index.ts'
import { type BindContext, ParameterTypes } from '../bind/context.ts'
import type { Catalog, Change } from '../catalog/catalog.ts'
import { descriptorKey, encodeDescriptor, isShared } from '../catalog/catalog-store.ts'
import type {
  Constraint,
  Descriptor,
  FunctionDescriptor,
  Kind,
  RelationDescriptor,
  RoleDescriptor,
} from '../catalog/descriptors.ts'
import { effectivePath, type NameScope, schemaName, splitPath } from '../catalog/names.ts'
import { CatalogTypes } from '../catalog/type-lookup.ts'
import type { Execution } from '../execute/execution.ts'
import type { Writing } from '../execute/row-writer.ts'
import type { Sequences } from '../execute/sequences.ts'
import type { ExecutionSession } from '../execute/session.ts'
import type { SpillSpace } from '../execute/spill.ts'
import { storageSpan, type TableAccess, Tables } from '../execute/tables.ts'
import { LocalSession } from '../local/local-session.ts'
import { isLocal, isLocalTable, storeName } from '../local/local-table.ts'
import { parse } from '../parse/parser.ts'
import { compileDefault, standaloneWriter } from '../plan/plan-modify.ts'
import { PlanBuilder } from '../plan/scope.ts'
import { callFunction } from '../plpgsql/interpreter.ts'
import type { ConnectOptions, Portal, Prepared, Script, SessionEvents, SqlSession } from '../session-api.ts'
import type { Type, TypeContext, Value } from '../types/type.ts'
import { fenceKey } from './catalog-sync.ts'
import { type Database, notifyTopic } from './database.ts'
import { DeferredChecks } from './deferred.ts'
import { OwnCatalog } from './own-catalog.ts'
import { Reading } from './reading.ts'
import { RegNames } from './reg-names.ts'
import { bindSession } from './session-functions.ts'
import { reportedSettings, Settings } from './settings.ts'
import type { Sleep } from './sleep.ts'
import { DiskSpill } from './spill-files.ts'
import { startupOptions } from './startup-options.ts'
import { type PreparedStatement, StatementCache } from './statements.ts'
import { SessionTimeouts } from './timeouts.ts'

export interface Savepoint {
  readonly name: string
  readonly store: StoreSavepoint
  readonly changes: number
  readonly settings: number
  readonly deferred: number
  readonly local: number
}

/** How long an estimate of a table's size is used again. */
const sizeMicros = 1_000_000
/** How long a command works before others have their turn. */
const commandSliceMicros = 5_000
const microsTo2000 = 946_684_800_000_000

export class Session implements SqlSession, ExecutionSession {
  readonly database: Database
  readonly processId: number
  readonly secretKey: number
  readonly databaseOid: number
  readonly options: ConnectOptions
  readonly types: TypeContext
  readonly settings: Settings
  readonly owner: LockOwner
  readonly statements = new Map<string, Prepared>()
  readonly portals = new Map<string, Portal>()
  readonly cache = new Map<number, readonly (readonly Value[])[]>()
  readonly tables: Tables
  readonly statementCache: StatementCache
  readonly spill: SpillSpace
  readonly deferred: DeferredChecks
  readonly timeouts: SessionTimeouts
  readonly local: LocalSession | undefined
  readonly reading = new Reading(this)
  events: SessionEvents = { notice: () => {}, parameter: () => {}, notification: () => {}, terminate: () => {} }
  tx: Transaction | undefined
  block: 'none' | 'explicit' = 'none'
  failed = false
  savepoints: Savepoint[] = []
  cancelled: DbError | undefined
  blocker: { ready(): Promise<void> } | undefined
  sessionRole: number
  role: number
  temporarySchema = 0
  /** What pg_stat_activity shows. */
  currentText = ''
  readonly startedMicros: number
  stateMicros = 0
  closed = false
  /** Isolation and mode of the next transaction, from BEGIN or SET TRANSACTION. */
  nextIsolation: Isolation | undefined
  nextReadOnly: boolean | undefined
  /** Channels listened to, and messages to send when the transaction commits. */
  readonly channels = new Set<string>()
  pendingNotifications: { channel: string; payload: string }[] = []
  pendingListens: { channel: string; listen: boolean }[] = []
  #incoming: { processId: number; channel: string; payload: string }[] = []
  readonly #own = new OwnCatalog(() => this.database.catalog(this.databaseOid))
  #droppedStorages: number[] = []
  #cachedVersion = -1
  #names: NameScope | undefined
  /** The execution whose expression is being evaluated, for functions that wait. */
  running: Execution | undefined
  readonly currentValues = new Map<number, number | bigint>()
  lastSequence: number | undefined
  readonly advisoryHeld: { key: string; mode: number }[] = []

  constructor(database: Database, processId: number, databaseOid: number, role: number, options: ConnectOptions) {
    this.database = database
    this.processId = processId
    this.databaseOid = databaseOid
    this.options = options
    this.sessionRole = role
    this.role = role
    const random = database.io.random.bytes(4)
    this.secretKey = new DataView(random.buffer, random.byteOffset).getInt32(0)
    this.owner = new LockOwner(processId)
    this.startedMicros = database.io.clock.wallMicros()
    this.settings = new Settings((name, value) => this.#settingChanged(name, value))
    this.types = this.#typeContext()
    this.tables = new Tables(
      () => this.types.types,
      (type: Type, text: string) => type.parse(text, -1, this.types),
    )
    this.statementCache = new StatementCache(this)
    this.spill = new DiskSpill(database.io, database.temporaryDirectory)
    this.timeouts = new SessionTimeouts(database.io.tasks, (error) => this.events.terminate(error))
    this.deferred = new DeferredChecks()
    const openView = (view: RelationDescriptor) => database.continuous!.open(databaseOid, view)
    this.local = database.local && new LocalSession(database.local, this, openView)
    bindSession(this.types, this)
    this.#readHotSettings()
    this.settings.initialize('session_authorization', options.user)
    for (const source of [this.catalog.setting(0), this.catalog.setting(role)]) {
      for (const text of source?.values ?? []) {
        const at = text.indexOf('=')
        this.settings.initialize(text.slice(0, at), text.slice(at + 1))
      }
    }
    for (const [name, value] of options.parameters) {
      for (const [n, v] of name === 'options' ? startupOptions(value) : [[name, value]]) this.settings.initialize(n, v)
    }
  }

  // ---- what running statements ask

  get clock(): Clock {
    return this.database.io.clock
  }
  get sequences(): Sequences {
    return this.database.sequences
  }
  get catalog(): Catalog {
    return this.#own.current
  }
  get names(): NameScope {
    const { catalog } = this
    if (this.#names?.catalog !== catalog) {
      this.#names = {
        catalog,
        searchPath: splitPath(this.settings.get('search_path')),
        user: this.currentUser,
        temporarySchema: this.temporarySchema,
      }
    }
    return this.#names
  }
  get databaseName(): string {
    return this.catalog.database(this.databaseOid)?.name ?? ''
  }
  get currentUser(): string {
    return this.roleOf(this.role).name
  }
  get sessionUser(): string {
    return this.roleOf(this.sessionRole).name
  }
  /** Settings that every statement or row asks for, kept as numbers. */
  statementMemory = 0
  workMemory = 0
  statementTimeout = 0
  planCache = true
  #defaultIsolation: Isolation = 'read committed'
  #defaultReadOnly = false
  /** How old what is read may be. Milliseconds. */
  maxStaleness = 0
  /** The newest timestamp that this session has read or committed at: it reads nothing older. */
  newestSeen = 0
  noteSeen(at: number): void {
    if (at > this.newestSeen) this.newestSeen = at
  }
  roleOf(oid: number): RoleDescriptor {
    const role = this.catalog.role(oid)
    if (role === undefined) throw new DbError('undefined_object', `role with OID ${oid} does not exist`)
    return role
  }
  currentSchema(): string | undefined {
    const path = effectivePath(this.names)
    for (const name of this.names.searchPath) {
      const schema = this.catalog.schemaNamed(name === '$user' ? this.currentUser : name)
      if (schema !== undefined && path.includes(schema.oid)) return schemaName(this.names, schema.oid)
    }
    return undefined
  }
  notice(message: string, severity = 'NOTICE'): void {
    const order = ['DEBUG', 'LOG', 'INFO', 'NOTICE', 'WARNING']
    const least = this.settings
      .get('client_min_messages')
      .toUpperCase()
      .replace(/^DEBUG.*/, 'DEBUG')
    if (severity !== 'INFO' && order.indexOf(severity) < (least === 'ERROR' ? 9 : order.indexOf(least))) return
    this.events.notice({
      severity,
      error: new DbError(severity === 'WARNING' ? 'warning' : 'successful_completion', message),
    })
  }
  noteSequence(sequence: number, value: number | bigint): void {
    this.currentValues.set(sequence, value)
    this.lastSequence = sequence
  }
  requireWritable(command: string): void {
    if (this.tx?.readOnly)
      throw new DbError('read_only_sql_transaction', `cannot execute ${command} in a read-only transaction`)
  }
  defaultValue(x: Execution, table: TableAccess, column: number): Value {
    const builder = this.planBuilder(this.bindContext('', new ParameterTypes([], false)))
    const { scope } = standaloneWriter(builder, table.descriptor)
    return compileDefault(scope, table, column)?.(x) ?? null
  }
  defer(constraint: Constraint, check: (x: Execution) => Writing): boolean {
    return this.deferred.defer(constraint, check)
  }

  readonly procedures = {
    call: (f: FunctionDescriptor, args: readonly Value[]) => callFunction(this, f, args),
    blocker: () => this.blocker,
  }

  /** True when commands that read much have used a slice; the next one begins then. Raises what cancels them. */
  get sliceSpent(): boolean {
    if (this.cancelled !== undefined) {
      const error = this.cancelled
      this.cancelled = undefined
      throw error
    }
    const now = this.clock.monotonicMicros()
    if (now < this.#sliceEnd) return false
    this.#sliceEnd = now + commandSliceMicros
    return true
  }
  #sliceEnd = 0

  /** Rows of a table, roughly, by the engine's metadata. */
  readonly tableRows = (oid: number): number | undefined => {
    const relation = this.catalog.relation(oid)
    if (relation === undefined || relation.storage === 0) return undefined
    if (isLocal(relation))
      return isLocalTable(relation) ? this.database.local?.countOf(storeName(this.catalog, relation)) : undefined
    const now = this.clock.monotonicMicros()
    const known = this.#sizes.get(relation.storage)
    if (known !== undefined && now - known.at < sizeMicros) return known.entries
    const { entries } = (this.database.cluster ?? this.database.store.engine).estimate(storageSpan(relation.storage))
    this.#sizes.set(relation.storage, { entries, at: now })
    return entries
  }
  readonly #sizes = new Map<number, { readonly entries: number; readonly at: number }>()

  planBuilder(context: BindContext, instrument = false): PlanBuilder {
    return new PlanBuilder(context, this.tables, this.tableRows, instrument)
  }

  bindContext(text: string, parameters: ParameterTypes): BindContext {
    return {
      names: this.names,
      types: this.types,
      text,
      parameters,
      dependencies: [],
      notice: (m, s) => this.notice(m, s),
      fenceOf: this.database.fenceOf,
      planning: this.settings.planning,
    }
  }

  #typeContext(): TypeContext {
    return {
      timeZone: 'UTC',
      dateOrder: 'MDY',
      intervalStyle: 'postgres',
      extraFloatDigits: 1,
      byteaOutput: 'hex',
      transactionMicros: 0,
      statementMicros: 0,
      clockMicros: () => this.clock.wallMicros() - microsTo2000,
      random: () => this.database.io.random.below(0x1_0000_0000) / 0x1_0000_0000,
      randomBytes: (n) => this.database.io.random.bytes(n),
      names: new RegNames(this),
      types: new CatalogTypes(() => this.catalog),
    }
  }

  #readHotSettings(): void {
    this.statementMemory = this.settings.number('lattice.statement_memory') * 1024
    this.workMemory = this.settings.number('work_mem') * 1024
    this.statementTimeout = this.settings.number('statement_timeout')
    this.timeouts.lock = this.settings.number('lock_timeout')
    this.timeouts.idleSession = this.settings.number('idle_session_timeout')
    this.timeouts.idleInTransaction = this.settings.number('idle_in_transaction_session_timeout')
    this.maxStaleness = this.settings.number('lattice.max_staleness')
    this.planCache = this.settings.on('lattice.plan_cache')
    const isolation = this.settings.get('default_transaction_isolation') as Isolation | 'read uncommitted'
    this.#defaultIsolation = isolation === 'read uncommitted' ? 'read committed' : isolation
    this.#defaultReadOnly = this.settings.on('default_transaction_read_only')
  }

  #settingChanged(name: string, value: string): void {
    if (this.settings !== undefined) this.#readHotSettings()
    const types = this.types as { -readonly [K in keyof TypeContext]: TypeContext[K] }
    if (types === undefined) return
    switch (name) {
      case 'TimeZone':
        types.timeZone = value
        break
      case 'DateStyle':
        types.dateOrder = value.split(', ')[1] as TypeContext['dateOrder']
        break
      case 'IntervalStyle':
        types.intervalStyle = value as TypeContext['intervalStyle']
        break
      case 'extra_float_digits':
        types.extraFloatDigits = Number(value)
        break
      case 'bytea_output':
        types.byteaOutput = value as TypeContext['byteaOutput']
        break
      case 'search_path':
        this.#names = undefined
        break
    }
    this.statementCache?.settingChanged(name)
    if (reportedSettings.includes(name)) this.events.parameter(name, value)
  }

  // ---- the front door

  *reported(): Iterable<readonly [string, string]> {
    for (const name of reportedSettings) {
      const value =
        name === 'is_superuser' ? (this.roleOf(this.sessionRole).superuser ? 'on' : 'off') : this.settings.get(name)
      yield [name, value]
    }
  }
  get status(): 'I' | 'T' | 'E' {
    return this.block === 'none' ? 'I' : this.failed ? 'E' : 'T'
  }
  readonly parse = (text: string): Step => this.reading.advance(text)
  script(text: string): Script {
    this.#called()
    this.noteText(text)
    return this.statementCache.script(text)
  }
  prepare(text: string, parameterTypes: readonly number[]): Prepared {
    this.#called()
    this.noteText(text)
    const raw = this.reading.take(text) ?? parse(text)
    if (raw.length > 1) throw new DbError('syntax_error', 'cannot insert multiple commands into a prepared statement')
    return this.statementCache.prepare(text, raw[0], parameterTypes)
  }
  bind(prepared: Prepared, values: readonly Value[]): Portal {
    this.#called()
    return this.statementCache.bind(prepared as PreparedStatement, values, false)
  }
  /** The client asks for something: it is idle no more, and a cancel that came while it was has nothing to cancel. */
  #called(): void {
    this.timeouts.busy()
    this.cancelled = undefined
  }
  sync(): Step {
    if (this.block !== 'explicit') {
      const step = this.finishImplicit()
      if (step !== END) return step
    }
    const step = this.#deliver()
    this.timeouts.idle(this.block === 'explicit')
    return step
  }
  /** Ends an implicit transaction, if there is one: END or WAIT. */
  finishImplicit(): Step {
    if (this.tx === undefined || this.block === 'explicit') return END
    return this.commit()
  }
  ready(): Promise<void> {
    const ready = this.blocker?.ready() ?? Promise.resolve()
    const limited = this.timeouts.lock > 0 && this.owner.waiting !== undefined
    return limited ? this.timeouts.lockWait(this.owner, ready) : ready
  }
  fail(): void {
    this.#endWaits(new DbError('query_canceled', 'canceling statement'))
    this.cancelled = undefined
    if (this.block === 'explicit') {
      this.failed = true
      this.#letGo()
      return
    }
    this.abort()
  }
  /** A failed transaction can only be rolled back: others need not wait for its locks until that is said. */
  #letGo(): void {
    const { tx } = this
    if (tx === undefined || tx.ended) return
    const last = this.savepoints.at(-1)
    if (last === undefined) tx.rollback()
    else tx.rollbackTo(last.store)
  }
  /** Begins a statement's time limit, if there is one; the statement cancels it at its end. */
  limitStatement(): Timer | undefined {
    if (this.statementTimeout === 0) return undefined
    return this.database.io.tasks.after(this.statementTimeout, () => {
      this.cancel(new DbError('query_canceled', 'canceling statement due to statement timeout'))
    })
  }
  cancel(error = new DbError('query_canceled', 'canceling statement due to user request')): void {
    this.cancelled = error
    this.#abortWaits(error)
  }
  #abortWaits(error: DbError): void {
    this.owner.waiting?.abort(error)
    this.owner.remote?.abort(error)
    this.reading.abort(error)
  }
  /** Nobody comes back for what was waited for. */
  #endWaits(error: DbError): void {
    endWait(this.owner, error)
    this.reading.abort(error)
    this.owner.remote?.abort(error)
  }
  close(): void {
    if (this.closed) return
    this.closed = true
    this.timeouts.busy()
    this.#endWaits(new DbError('query_canceled', 'session closed'))
    for (const portal of this.portals.values()) portal.close()
    if (this.tx !== undefined && !this.tx.ended) this.abort()
    this.local?.ended()
    this.releaseAdvisory()
    for (const channel of this.channels) this.database.listeners.get(`${this.databaseOid}.${channel}`)?.delete(this)
    this.database.sessions.delete(this.processId)
    this.dropTemporary()
  }
  noteText(text: string): void {
    this.currentText = text
    this.stateMicros = this.clock.wallMicros()
  }

  // ---- transactions

  /** The transaction that statements run in, begun when there is none. */
  transaction(): Transaction {
    if (this.tx === undefined) {
      const isolation = this.nextIsolation ?? this.#defaultIsolation
      this.tx = this.database.store.begin(this.owner, isolation, this.nextReadOnly ?? this.#defaultReadOnly)
      ;(this.types as { transactionMicros: number }).transactionMicros = this.clock.wallMicros() - microsTo2000
    }
    return this.tx
  }
  startStatement(): void {
    this.transaction().startStatement()
    ;(this.types as { statementMicros: number }).statementMicros = this.clock.wallMicros() - microsTo2000
  }
  /** Raises in_failed_sql_transaction. */
  requireLive(): void {
    if (this.failed) {
      throw new DbError(
        'in_failed_sql_transaction',
        'current transaction is aborted, commands ignored until end of transaction block',
      )
    }
  }

  commit(): Step {
    const { tx } = this
    if (tx === undefined) {
      this.#ended(true)
      return END
    }
    if (!this.deferred.empty) {
      const step = this.deferred.run(this)
      if (step === WAIT) return WAIT
    }
    let step = this.local?.prepare(tx) ?? END
    if (step === WAIT) return this.#wait(this.local)
    try {
      if (this.#own.changes.length > 0 && !this.#hooked) this.#hookInstall(tx)
      step = tx.commit()
    } catch (error) {
      // Perhaps another node has changed a table that this one does not know of yet.
      if (error instanceof DbError && error.code === 'serialization_failure') this.database.sync?.refreshSoon()
      if (tx.ended) this.#ended(false)
      throw error
    }
    if (step === WAIT) return this.#wait(tx)
    if (this.local?.deliver() === WAIT) return this.#wait(this.local)
    this.#ended(true)
    return END
  }
  #wait(on: Pick<Transaction, 'blocker'> | undefined): Step {
    this.blocker = on?.blocker
    return WAIT
  }
  abort(): void {
    if (this.tx !== undefined && !this.tx.ended) this.tx.rollback()
    this.#ended(false)
  }

  #hooked = false

  #hookInstall(tx: Transaction): void {
    this.#hooked = true
    const { changes } = this.#own
    const { databaseOid } = this
    const { sync } = this.database
    tx.onCommit(() => this.database.install(databaseOid, changes))
    if (sync === undefined) return
    const dropped = this.#droppedStorages
    tx.onPublish((at) => sync.publish(databaseOid, changes, dropped, at))
  }

  /** The transaction's work relies on the table's definition as this node knows it. */
  relyOn(table: number): void {
    const { sync } = this.database
    const storage = !sync || this.#own.changes.some((c) => c.oid === table) ? 0 : this.catalog.relation(table)?.storage
    if (storage) this.tx!.require(fenceKey(storage), sync!.fenceOf(table))
  }

  /** Work that others have planned on the former definition of the table must not commit; nor ours, if it is not that. */
  #fence(oid: number, next: Descriptor | undefined): void {
    for (const relation of [this.catalog.relation(oid), next as RelationDescriptor | undefined]) {
      const table = relation?.index === undefined ? relation : this.catalog.relation(relation.index.table)
      if (!table?.storage) continue
      this.relyOn(table.oid)
      this.tx!.put(fenceKey(table.storage), fenceMark)
    }
  }

  #ended(committed: boolean): void {
    const storages = this.#droppedStorages
    this.local?.ended()
    if (committed && this.tx !== undefined) this.noteSeen(Math.max(this.tx.snapshot, this.tx.commitTimestamp))
    this.tx = undefined
    this.block = 'none'
    this.failed = false
    if (this.savepoints.length > 0) this.savepoints = []
    this.deferred.clear()
    this.#own.clear()
    this.#hooked = false
    if (storages.length > 0) this.#droppedStorages = []
    this.nextIsolation = undefined
    this.nextReadOnly = undefined
    if (committed) {
      this.settings.commit()
      this.#applyListens()
      if (this.pendingNotifications.length > 0) this.#send()
      if (storages.length > 0) this.database.reclaim(storages)
    } else {
      this.settings.rollback()
      this.pendingNotifications = []
      this.pendingListens = []
    }
    this.closePortals(committed)
    this.releaseTransactionAdvisory()
  }

  /** Portals end with their transaction, but those WITH HOLD after a commit. */
  closePortals(committed: boolean): void {
    for (const [name, portal] of this.portals) {
      if (committed && (portal as { held?: boolean }).held) continue
      portal.close()
      this.portals.delete(name)
    }
  }

  savepoint(name: string): void {
    const tx = this.transaction()
    this.savepoints.push({
      name,
      store: tx.savepoint(),
      changes: this.#own.changes.length,
      settings: this.settings.mark,
      deferred: this.deferred.mark,
      local: this.local?.writes.mark ?? 0,
    })
  }
  rollbackTo(name: string): void {
    const at = this.savepoints.findLastIndex((s) => s.name === name)
    if (at < 0) throw new DbError('invalid_savepoint_specification', `savepoint "${name}" does not exist`)
    const s = this.savepoints[at]
    this.savepoints.length = at + 1
    this.tx!.rollbackTo(s.store)
    this.#own.cutTo(s.changes)
    this.settings.rollbackTo(s.settings)
    this.deferred.rollbackTo(s.deferred)
    this.local?.writes.rollbackTo(s.local)
    this.cache.clear()
    this.failed = false
  }
  releaseSavepoint(name: string): void {
    const at = this.savepoints.findLastIndex((s) => s.name === name)
    if (at < 0) throw new DbError('invalid_savepoint_specification', `savepoint "${name}" does not exist`)
    this.savepoints.length = at
  }

  // ---- catalog changes

  /** Changes objects for this transaction: written to the store, seen by its own statements at once. */
  change(kind: Kind, oid: number, descriptor: Descriptor | undefined, sub = 0): void {
    this.changeIn(this.databaseOid, kind, oid, descriptor, sub)
  }
  /** A change to another database is not seen here, but for shared objects. */
  changeIn(database: number, kind: Kind, oid: number, descriptor: Descriptor | undefined, sub = 0): void {
    const change: Change = { kind, oid, sub, descriptor }
    const tx = this.transaction()
    if (kind === 'relation') {
      const storage = (descriptor as RelationDescriptor | undefined)?.storage ?? 0
      if (storage !== 0 && storage !== this.catalog.relation(oid)?.storage) tx.makeStorage(storage)
      if (this.database.sync !== undefined) this.#fence(oid, descriptor)
    }
    const key = descriptorKey(database, kind, oid, sub)
    if (descriptor === undefined) tx.delete(key)
    else tx.put(key, encodeDescriptor(descriptor))
    if (database !== this.databaseOid && !isShared(kind)) return
    this.#own.add(change)
  }
  dropStorage(storage: number): void {
    if (storage !== 0) this.#droppedStorages.push(storage)
  }
  newOid(): number {
    return this.database.newOid()
  }
  /** Rows of virtual relations stay while the catalog does. */
  refreshCache(): void {
    const { version } = this.catalog
    const changed = this.#own.changes.length > 0
    if (version === this.#cachedVersion && !changed) return
    this.cache.clear()
    this.#cachedVersion = changed ? -1 : version
  }

  // ---- notifications

  #applyListens(): void {
    for (const { channel, listen } of this.pendingListens) {
      const key = `${this.databaseOid}.${channel}`
      if (listen) {
        this.channels.add(channel)
        const set = this.database.listeners.get(key) ?? new Set()
        set.add(this)
        this.database.listeners.set(key, set)
      } else {
        this.channels.delete(channel)
        this.database.listeners.get(key)?.delete(this)
      }
    }
    this.pendingListens = []
  }
  #send(): void {
    const messages = this.pendingNotifications
    this.pendingNotifications = []
    this.database.cluster?.broadcast(notifyTopic, { database: this.databaseOid, process: this.processId, messages })
    this.database.deliver(this.databaseOid, this.processId, messages)
  }
  /** Takes a message in that another session has sent. */
  receive(processId: number, channel: string, payload: string): void {
    this.#receive(processId, channel, payload)
  }
  #receive(processId: number, channel: string, payload: string): void {
    this.#incoming.push({ processId, channel, payload })
    // An idle session hears at once, a busy one when its statement is done.
    if (this.tx === undefined) this.#deliver()
  }
  #deliver(): Step {
    if (this.block === 'explicit' || this.#incoming.length === 0) return END
    const messages = this.#incoming
    this.#incoming = []
    for (const m of messages) this.events.notification(m.processId, m.channel, m.payload)
    return END
  }

  // ---- advisory locks and temporary objects

  /** In a cluster: suspends the running statement until the lock is granted, or is not. */
  waitForAdvisory(key: string, mode: number, wait: boolean): boolean {
    const name = `${key} ${mode} ${wait}`
    let asked = this.#advisoryAsked
    if (asked === undefined || asked.name !== name) {
      const one: AdvisoryRequest = { name, granted: undefined, error: undefined, promise: Promise.resolve() }
      const { cluster, store } = this.database
      const request = cluster!.lockAdvisory(this.processId, key, mode, wait)
      one.promise = (store as ClusterStore).interruptible(this.owner, request).then(
        (granted) => {
          one.granted = granted
        },
        (error) => {
          one.error = error
          // Given up here, it may still be granted there.
          request.then(
            (granted) => granted && cluster!.unlockAdvisory(this.processId, key, mode),
            () => {},
          )
        },
      )
      this.#advisoryAsked = one
      asked = one
    }
    if (asked.granted === undefined && asked.error === undefined) {
      const { promise } = asked
      this.running!.blocker = { ready: () => promise }
      this.running!.suspend(WAIT)
    }
    this.#advisoryAsked = undefined
    if (asked.error !== undefined) throw asked.error
    return asked.granted!
  }
  #advisoryAsked: AdvisoryRequest | undefined
  sleeping: Sleep | undefined

  releaseAdvisory(): void {
    for (const { key, mode } of this.advisoryHeld.splice(0)) this.releaseAdvisoryLock(key, mode)
  }
  releaseAdvisoryLock(key: string, mode: number): boolean {
    const { cluster, store } = this.database
    if (cluster === undefined) return store.advisory.releaseOnce(this.owner, key, mode)
    cluster.unlockAdvisory(this.processId, key, mode)
    return true
  }
  readonly transactionAdvisory: { key: string; mode: number }[] = []
  releaseTransactionAdvisory(): void {
    if (this.transactionAdvisory.length === 0) return
    for (const { key, mode } of this.transactionAdvisory.splice(0)) this.releaseAdvisoryLock(key, mode)
  }
  dropTemporary(): void {
    if (this.temporarySchema === 0) return
    const { catalog } = this
    const changes: Change[] = []
    const storages: number[] = []
    const set = this.database.store.builder()
    for (const f of catalog.functions())
      if (f.schema === this.temporarySchema)
        changes.push({ kind: 'function', oid: f.oid, sub: 0, descriptor: undefined })
    for (const r of catalog.relations()) {
      if (r.schema !== this.temporarySchema) continue
      changes.push({ kind: 'relation', oid: r.oid, sub: 0, descriptor: undefined })
      if (r.rowType !== 0) {
        changes.push({ kind: 'type', oid: r.rowType, sub: 0, descriptor: undefined })
        const array = catalog.type(r.rowType)?.array
        if (array) changes.push({ kind: 'type', oid: array, sub: 0, descriptor: undefined })
      }
      if (r.storage !== 0) storages.push(r.storage)
    }
    changes.push({ kind: 'schema', oid: this.temporarySchema, sub: 0, descriptor: undefined })
    for (const c of changes) set.delete(descriptorKey(this.databaseOid, c.kind, c.oid, c.sub))
    this.temporarySchema = 0
    const { databaseOid, database } = this
    database.store.commit(set, 0, () => {
      database.install(databaseOid, changes)
      database.reclaim(storages)
      database.sync?.refreshSoon()
    })
  }
}

interface AdvisoryRequest {
  readonly name: string
  granted: boolean | undefined
  error: unknown
  promise: Promise<void>
}

/** What a fence holds; only its timestamp means something. */
const fenceMark = Buffer.from('f')
