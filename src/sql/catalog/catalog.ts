/**
 * The catalog in memory: an immutable snapshot of every descriptor of one database and the shared ones.
 *
 * A transaction that changes objects works on its own copy (`edit`), written to the store under its locks; when it
 * commits, its changes are laid over whatever is current by then. Caches hang on descriptors by identity: one that is
 * the same object means the same.
 *
 *   committed snapshot ──edit──► the transaction's own ──commit──► next committed snapshot
 *
 * Not here: names and search path (names.ts), storing (catalog-store.ts), pg_catalog (system/).
 */
import { DbError } from '../../base/index.ts'
import type {
  CommentDescriptor,
  DatabaseDescriptor,
  Descriptor,
  ExtensionDescriptor,
  FunctionDescriptor,
  Kind,
  RelationDescriptor,
  RoleDescriptor,
  SchemaDescriptor,
  SettingDescriptor,
  StatisticsDescriptor,
  TriggerDescriptor,
  TypeDescriptor,
} from './descriptors.ts'

export interface Change {
  readonly kind: Kind
  readonly oid: number
  readonly sub: number
  /** Undefined: dropped. */
  readonly descriptor: Descriptor | undefined
}

type Table = Map<string | number, any>

/** Objects by kind and id; comments and settings by "oid.sub". */
function identity(kind: Kind, oid: number, sub: number): string | number {
  return kind === 'comment' ? `${oid}.${sub}` : oid
}

export class Catalog {
  /** Grows with every change; equal versions mean equal catalogs. */
  readonly version: number
  readonly databaseOid: number
  readonly #tables: Readonly<Record<Kind, Table>>
  readonly #byName = new Map<Kind, Map<string, Descriptor>>()
  readonly #functions = new Map<string, FunctionDescriptor[]>()
  #functionsReady = false

  constructor(databaseOid: number, version: number, tables: Readonly<Record<Kind, Table>>) {
    this.databaseOid = databaseOid
    this.version = version
    this.#tables = tables
  }

  static empty(databaseOid: number): Catalog {
    return new Catalog(databaseOid, 1, {
      database: new Map(),
      role: new Map(),
      schema: new Map(),
      relation: new Map(),
      type: new Map(),
      function: new Map(),
      comment: new Map(),
      setting: new Map(),
      extension: new Map(),
      trigger: new Map(),
      statistics: new Map(),
    })
  }

  /** The next snapshot, with the changes laid over. Only the kinds that change are copied. */
  with(changes: Iterable<Change>): Catalog {
    const tables: Record<Kind, Table> = { ...this.#tables }
    const copied = new Set<Kind>()
    for (const change of changes) {
      if (!copied.has(change.kind)) {
        copied.add(change.kind)
        tables[change.kind] = new Map(tables[change.kind])
      }
      const id = identity(change.kind, change.oid, change.sub)
      if (change.descriptor === undefined) tables[change.kind].delete(id)
      else tables[change.kind].set(id, change.descriptor)
    }
    return new Catalog(this.databaseOid, this.version + 1, tables)
  }

  /** Whether the other snapshot has the same user functions and the same enums and domains. */
  sameRoutines(other: Catalog): boolean {
    return this.#tables.function === other.#tables.function && this.#valueTypes() === other.#valueTypes()
  }

  #valueTypesText: string | undefined

  /** Row and array types come and go with tables; they matter to those that name the table only. */
  #valueTypes(): string {
    if (this.#valueTypesText === undefined) {
      const parts: string[] = []
      for (const t of this.types()) if (t.form === 'enum' || t.form === 'domain') parts.push(JSON.stringify(t))
      this.#valueTypesText = parts.join('\n')
    }
    return this.#valueTypesText
  }

  databases(): Iterable<DatabaseDescriptor> {
    return this.#tables.database.values()
  }
  roles(): Iterable<RoleDescriptor> {
    return this.#tables.role.values()
  }
  schemas(): Iterable<SchemaDescriptor> {
    return this.#tables.schema.values()
  }
  relations(): Iterable<RelationDescriptor> {
    return this.#tables.relation.values()
  }
  types(): Iterable<TypeDescriptor> {
    return this.#tables.type.values()
  }
  functions(): Iterable<FunctionDescriptor> {
    return this.#tables.function.values()
  }
  comments(): Iterable<CommentDescriptor> {
    return this.#tables.comment.values()
  }
  settings(): Iterable<SettingDescriptor> {
    return this.#tables.setting.values()
  }
  extensions(): Iterable<ExtensionDescriptor> {
    return this.#tables.extension.values()
  }
  triggers(): Iterable<TriggerDescriptor> {
    return this.#tables.trigger.values()
  }

  relation(oid: number): RelationDescriptor | undefined {
    return this.#tables.relation.get(oid)
  }
  /** A relation that must be there: an object id taken from another descriptor. */
  relationOf(oid: number): RelationDescriptor {
    const relation = this.relation(oid)
    if (relation === undefined) throw new DbError('undefined_table', `relation with OID ${oid} does not exist`)
    return relation
  }
  schema(oid: number): SchemaDescriptor | undefined {
    return this.#tables.schema.get(oid)
  }
  type(oid: number): TypeDescriptor | undefined {
    return this.#tables.type.get(oid)
  }
  function(oid: number): FunctionDescriptor | undefined {
    return this.#tables.function.get(oid)
  }
  role(oid: number): RoleDescriptor | undefined {
    return this.#tables.role.get(oid)
  }
  database(oid: number): DatabaseDescriptor | undefined {
    return this.#tables.database.get(oid)
  }
  trigger(oid: number): TriggerDescriptor | undefined {
    return this.#tables.trigger.get(oid)
  }
  extension(oid: number): ExtensionDescriptor | undefined {
    return this.#tables.extension.get(oid)
  }
  comment(oid: number, sub = 0): CommentDescriptor | undefined {
    return this.#tables.comment.get(`${oid}.${sub}`)
  }
  setting(roleOid: number): SettingDescriptor | undefined {
    return this.#tables.setting.get(roleOid)
  }
  statistics(relation: number): StatisticsDescriptor | undefined {
    return this.#tables.statistics.get(relation)
  }

  relationNamed(schema: number, name: string): RelationDescriptor | undefined {
    return this.#named('relation', `${schema}.${name}`) as RelationDescriptor | undefined
  }
  typeNamed(schema: number, name: string): TypeDescriptor | undefined {
    return this.#named('type', `${schema}.${name}`) as TypeDescriptor | undefined
  }
  schemaNamed(name: string): SchemaDescriptor | undefined {
    return this.#named('schema', name) as SchemaDescriptor | undefined
  }
  roleNamed(name: string): RoleDescriptor | undefined {
    return this.#named('role', name) as RoleDescriptor | undefined
  }
  databaseNamed(name: string): DatabaseDescriptor | undefined {
    return this.#named('database', name) as DatabaseDescriptor | undefined
  }
  extensionNamed(name: string): ExtensionDescriptor | undefined {
    return this.#named('extension', name) as ExtensionDescriptor | undefined
  }
  functionsNamed(name: string): readonly FunctionDescriptor[] {
    if (!this.#functionsReady) {
      for (const f of this.functions()) {
        const list = this.#functions.get(f.name)
        if (list === undefined) this.#functions.set(f.name, [f])
        else list.push(f)
      }
      this.#functionsReady = true
    }
    return this.#functions.get(name) ?? []
  }
  triggersOf(table: number): TriggerDescriptor[] {
    const out: TriggerDescriptor[] = []
    for (const t of this.triggers()) if (t.table === table) out.push(t)
    return out.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  #named(kind: Kind, name: string): Descriptor | undefined {
    let names = this.#byName.get(kind)
    if (names === undefined) {
      names = new Map()
      for (const d of this.#tables[kind].values()) names.set('schema' in d ? `${d.schema}.${d.name}` : d.name, d)
      this.#byName.set(kind, names)
    }
    return names.get(name)
  }
}
