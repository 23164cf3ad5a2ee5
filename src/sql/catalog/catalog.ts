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
import { kinds } from './descriptors.ts'
import { type Identity, Layer } from './layer.ts'

export interface Change {
  readonly kind: Kind
  readonly oid: number
  readonly sub: number
  /** Undefined: dropped. */
  readonly descriptor: Descriptor | undefined
}

/** Objects by kind and id; comments and settings by "oid.sub". */
function identity(kind: Kind, oid: number, sub: number): Identity {
  return kind === 'comment' ? `${oid}.${sub}` : oid
}

export class Catalog {
  /** Grows with every change; equal versions mean equal catalogs. */
  readonly version: number
  readonly databaseOid: number
  readonly #tables: Readonly<Record<Kind, Layer>>
  readonly #functions = new Map<string, FunctionDescriptor[]>()
  #functionsReady = false

  constructor(databaseOid: number, version: number, tables: Readonly<Record<Kind, Layer>>) {
    this.databaseOid = databaseOid
    this.version = version
    this.#tables = tables
  }

  static empty(databaseOid: number): Catalog {
    const tables = Object.fromEntries(kinds.map((kind) => [kind, Layer.empty])) as Record<Kind, Layer>
    return new Catalog(databaseOid, 1, tables)
  }

  /** The next snapshot, with the changes laid over. What does not change is shared. */
  with(changes: Iterable<Change>): Catalog {
    const byKind = new Map<Kind, [Identity, Descriptor | undefined][]>()
    for (const change of changes) {
      const entry: [Identity, Descriptor | undefined] = [
        identity(change.kind, change.oid, change.sub),
        change.descriptor,
      ]
      const list = byKind.get(change.kind)
      if (list === undefined) byKind.set(change.kind, [entry])
      else list.push(entry)
    }
    const tables: Record<Kind, Layer> = { ...this.#tables }
    for (const [kind, list] of byKind) tables[kind] = tables[kind].with(list)
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
    return this.#tables.database.values() as Iterable<DatabaseDescriptor>
  }
  roles(): Iterable<RoleDescriptor> {
    return this.#tables.role.values() as Iterable<RoleDescriptor>
  }
  schemas(): Iterable<SchemaDescriptor> {
    return this.#tables.schema.values() as Iterable<SchemaDescriptor>
  }
  relations(): Iterable<RelationDescriptor> {
    return this.#tables.relation.values() as Iterable<RelationDescriptor>
  }
  types(): Iterable<TypeDescriptor> {
    return this.#tables.type.values() as Iterable<TypeDescriptor>
  }
  functions(): Iterable<FunctionDescriptor> {
    return this.#tables.function.values() as Iterable<FunctionDescriptor>
  }
  comments(): Iterable<CommentDescriptor> {
    return this.#tables.comment.values() as Iterable<CommentDescriptor>
  }
  settings(): Iterable<SettingDescriptor> {
    return this.#tables.setting.values() as Iterable<SettingDescriptor>
  }
  extensions(): Iterable<ExtensionDescriptor> {
    return this.#tables.extension.values() as Iterable<ExtensionDescriptor>
  }
  triggers(): Iterable<TriggerDescriptor> {
    return this.#tables.trigger.values() as Iterable<TriggerDescriptor>
  }

  relation(oid: number): RelationDescriptor | undefined {
    return this.#tables.relation.get(oid) as RelationDescriptor | undefined
  }
  /** A relation that must be there: an object id taken from another descriptor. */
  relationOf(oid: number): RelationDescriptor {
    const relation = this.relation(oid)
    if (relation === undefined) throw new DbError('undefined_table', `relation with OID ${oid} does not exist`)
    return relation
  }
  schema(oid: number): SchemaDescriptor | undefined {
    return this.#tables.schema.get(oid) as SchemaDescriptor | undefined
  }
  type(oid: number): TypeDescriptor | undefined {
    return this.#tables.type.get(oid) as TypeDescriptor | undefined
  }
  function(oid: number): FunctionDescriptor | undefined {
    return this.#tables.function.get(oid) as FunctionDescriptor | undefined
  }
  role(oid: number): RoleDescriptor | undefined {
    return this.#tables.role.get(oid) as RoleDescriptor | undefined
  }
  database(oid: number): DatabaseDescriptor | undefined {
    return this.#tables.database.get(oid) as DatabaseDescriptor | undefined
  }
  trigger(oid: number): TriggerDescriptor | undefined {
    return this.#tables.trigger.get(oid) as TriggerDescriptor | undefined
  }
  extension(oid: number): ExtensionDescriptor | undefined {
    return this.#tables.extension.get(oid) as ExtensionDescriptor | undefined
  }
  comment(oid: number, sub = 0): CommentDescriptor | undefined {
    return this.#tables.comment.get(`${oid}.${sub}`) as CommentDescriptor | undefined
  }
  setting(roleOid: number): SettingDescriptor | undefined {
    return this.#tables.setting.get(roleOid) as SettingDescriptor | undefined
  }
  statistics(relation: number): StatisticsDescriptor | undefined {
    return this.#tables.statistics.get(relation) as StatisticsDescriptor | undefined
  }

  relationNamed(schema: number, name: string): RelationDescriptor | undefined {
    return this.#tables.relation.named(`${schema}.${name}`) as RelationDescriptor | undefined
  }
  typeNamed(schema: number, name: string): TypeDescriptor | undefined {
    return this.#tables.type.named(`${schema}.${name}`) as TypeDescriptor | undefined
  }
  schemaNamed(name: string): SchemaDescriptor | undefined {
    return this.#tables.schema.named(name) as SchemaDescriptor | undefined
  }
  roleNamed(name: string): RoleDescriptor | undefined {
    return this.#tables.role.named(name) as RoleDescriptor | undefined
  }
  databaseNamed(name: string): DatabaseDescriptor | undefined {
    return this.#tables.database.named(name) as DatabaseDescriptor | undefined
  }
  extensionNamed(name: string): ExtensionDescriptor | undefined {
    return this.#tables.extension.named(name) as ExtensionDescriptor | undefined
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
}
