/**
 * What the catalog stores of each object: plain data, one JSON value under one key, never changed in place.
 *
 *   key   u32 1 │ u32 database (0 = shared) │ u8 kind │ u32 oid │ u32 sub        value   JSON of the descriptor
 *
 * Expressions and views are bound queries (query.ts): they hold object ids, so renames leave them alone.
 *
 * Not here: look-ups (catalog.ts), the pg_catalog relations made from these.
 */
import type { Expr, Query } from '../query.ts'

export const kinds = [
  'database',
  'role',
  'schema',
  'relation',
  'type',
  'function',
  'comment',
  'setting',
  'extension',
  'trigger',
  'statistics',
] as const
export type Kind = (typeof kinds)[number]

interface Named {
  readonly oid: number
  readonly name: string
  readonly owner: number
}

export interface DatabaseDescriptor extends Named {
  readonly kind: 'database'
  readonly isTemplate: boolean
  readonly allowConnections: boolean
}

export interface RoleDescriptor extends Named {
  readonly kind: 'role'
  readonly superuser: boolean
  readonly inherit: boolean
  readonly createRole: boolean
  readonly createDatabase: boolean
  readonly login: boolean
  readonly replication: boolean
  readonly bypassRls: boolean
  readonly connectionLimit: number
  /** A SCRAM verifier, as pg_authid.rolpassword. */
  readonly password: string | undefined
  readonly validUntil: string | undefined
  readonly memberOf: readonly number[]
}

export interface SchemaDescriptor extends Named {
  readonly kind: 'schema'
  readonly acl?: readonly string[]
}

export interface Column {
  /** Attribute number, from 1; never reused. */
  readonly number: number
  readonly name: string
  readonly type: number
  readonly typmod: number
  readonly notNull: boolean
  readonly dropped: boolean
  readonly default?: Expr
  /** GENERATED ALWAYS AS (…) STORED. */
  readonly generated?: Expr
  /** 'a' always, 'd' by default. */
  readonly identity?: 'a' | 'd'
  readonly identitySequence?: number
  readonly collation: number
  /** What rows older than the column hold, in text form; absent = NULL. */
  readonly missing?: string
  readonly statisticsTarget?: number
  readonly storage?: string
}

export type ForeignAction = 'a' | 'r' | 'c' | 'n' | 'd'

export interface Constraint {
  readonly oid: number
  readonly name: string
  readonly type: 'p' | 'u' | 'c' | 'f'
  readonly columns: readonly number[]
  readonly deferrable: boolean
  readonly deferred: boolean
  readonly validated: boolean
  /** Primary and unique: the index that enforces it. Foreign: the referenced unique index. */
  readonly index?: number
  readonly check?: Expr
  readonly foreign?: {
    readonly table: number
    readonly columns: readonly number[]
    readonly onUpdate: ForeignAction
    readonly onDelete: ForeignAction
    readonly match: 's' | 'f'
    /** SET NULL/DEFAULT (columns) of ON DELETE. */
    readonly setColumns?: readonly number[]
  }
}

export interface IndexColumn {
  /** Attribute number of the table's column, or 0 for an expression. */
  readonly column: number
  readonly expr?: Expr
  readonly type: number
  readonly typmod: number
  readonly descending: boolean
  readonly nullsFirst: boolean
  readonly opclass: number
  readonly collation: number
}

export interface IndexInfo {
  readonly table: number
  readonly columns: readonly IndexColumn[]
  readonly include: readonly number[]
  readonly unique: boolean
  readonly nullsNotDistinct: boolean
  readonly primary: boolean
  readonly predicate?: Expr
  readonly method: string
  readonly constraint?: number
  readonly clustered?: boolean
}

export interface SequenceInfo {
  readonly type: number
  readonly start: string
  readonly increment: string
  readonly min: string
  readonly max: string
  readonly cache: string
  readonly cycle: boolean
  readonly ownedTable?: number
  readonly ownedColumn?: number
  /** Belongs to an identity column, rather than to a serial one. */
  readonly identity?: boolean
}

export interface RelationDescriptor extends Named {
  readonly kind: 'relation'
  readonly schema: number
  readonly relkind: 'r' | 'v' | 'm' | 'S' | 'i' | 'c'
  readonly persistence: 'p' | 't' | 'u'
  readonly columns: readonly Column[]
  /** First four bytes of its keys; tables, indexes, sequences and materialized views. */
  readonly storage: number
  /** Row layouts by id: the attribute numbers they hold. The last is current. */
  readonly layouts: readonly (readonly number[])[]
  readonly constraints: readonly Constraint[]
  readonly indexes: readonly number[]
  readonly rowType: number
  readonly index?: IndexInfo
  readonly sequence?: SequenceInfo
  readonly view?: Query
  readonly options?: readonly string[]
  /** Replication mode and its parameters, from WITH (…). */
  readonly acl?: readonly string[]
  readonly rowSecurity?: boolean
  readonly replicaIdentity?: string
  /** Session that owns a temporary relation. */
  readonly session?: number
  readonly onCommit?: 'preserve' | 'delete' | 'drop'
}

export interface TypeDescriptor extends Named {
  readonly kind: 'type'
  readonly schema: number
  readonly form: 'enum' | 'domain' | 'composite' | 'array'
  readonly array: number
  readonly labels?: readonly { readonly oid: number; readonly label: string; readonly order: number }[]
  readonly base?: number
  readonly typmod?: number
  readonly notNull?: boolean
  readonly default?: Expr
  readonly checks?: readonly {
    readonly oid: number
    readonly name: string
    readonly check: Expr
    readonly validated: boolean
  }[]
  readonly relation?: number
  readonly element?: number
}

export interface FunctionDescriptor extends Named {
  readonly kind: 'function'
  readonly schema: number
  readonly prokind: 'f' | 'p' | 'a'
  readonly language: string
  readonly args: readonly {
    readonly name: string
    readonly type: number
    readonly mode: 'i' | 'o' | 'b' | 'v' | 't'
    readonly default?: Expr
  }[]
  readonly result: number
  readonly returnsSet: boolean
  readonly strict: boolean
  readonly volatility: 'i' | 's' | 'v'
  readonly body: string
  readonly securityDefiner: boolean
  readonly parallel: string
  readonly cost?: number
  readonly rows?: number
  readonly settings?: readonly string[]
  /** Aggregates: state function and type, final function, initial value. */
  readonly aggregate?: {
    readonly step: number
    readonly state: number
    readonly final: number
    readonly initial: string | undefined
  }
}

export interface CommentDescriptor {
  readonly kind: 'comment'
  readonly oid: number
  /** Column number, else 0. */
  readonly sub: number
  /** The catalog the object is of, as pg_description.classoid. */
  readonly classOid: number
  readonly text: string
}

export interface SettingDescriptor {
  readonly kind: 'setting'
  /** Role, or 0. */
  readonly oid: number
  readonly values: readonly string[]
}

export interface ExtensionDescriptor extends Named {
  readonly kind: 'extension'
  readonly schema: number
  readonly version: string
}

export interface TriggerDescriptor extends Named {
  readonly kind: 'trigger'
  readonly table: number
  readonly timing: 'before' | 'after' | 'instead'
  readonly events: readonly ('insert' | 'update' | 'delete' | 'truncate')[]
  readonly perRow: boolean
  readonly func: number
  readonly args: readonly string[]
  readonly columns: readonly number[]
  readonly when?: Expr
  readonly enabled: string
}

export interface ColumnStatistics {
  readonly nullFraction: number
  readonly averageWidth: number
  /** As pg_statistic.stadistinct: > 0 a count, < 0 a share of the rows. */
  readonly distinct: number
  readonly commonValues: readonly string[]
  readonly commonFrequencies: readonly number[]
  readonly histogram: readonly string[]
  readonly correlation: number
}

export interface StatisticsDescriptor {
  readonly kind: 'statistics'
  readonly oid: number
  readonly rows: number
  readonly bytes: number
  readonly columns: Readonly<Record<number, ColumnStatistics>>
}

export type Descriptor =
  | DatabaseDescriptor
  | RoleDescriptor
  | SchemaDescriptor
  | RelationDescriptor
  | TypeDescriptor
  | FunctionDescriptor
  | CommentDescriptor
  | SettingDescriptor
  | ExtensionDescriptor
  | TriggerDescriptor
  | StatisticsDescriptor
