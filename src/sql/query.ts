/**
 * The bound query: what a statement means once names, types, functions and operators are resolved.
 *
 * Plain data, made of object ids and literals in text form, so that the catalog can store it as JSON (views, defaults,
 * checks, index expressions) and renames need no rewriting. It is never changed after binding: the planner keeps its
 * own state beside it. The shape follows PostgreSQL's Query (range table, join tree, target list).
 *
 * Not here: how it is executed (plan/), how it came from syntax (bind/).
 */

export type Expr =
  | Const
  | Param
  | Var
  | Func
  | BoolExpr
  | Not
  | NullTest
  | BooleanTest
  | Distinct
  | Case
  | Coalesce
  | NullIf
  | MinMax
  | ArrayExpr
  | RowExpr
  | RowCompare
  | Subscript
  | FieldSelect
  | Relabel
  | ViaText
  | ArrayCoerce
  | DomainCoerce
  | AnyAll
  | SubLink
  | Aggregate
  | WindowCall
  | Grouping
  | SqlValue
  | CaseValue
  | SetReturning
  | NextValue
  | Collate

interface Typed {
  /** Result type oid, and modifier (-1 none). */
  readonly type: number
  readonly typmod: number
}

/** A literal, in the text form of its type; undefined text is NULL. */
export interface Const extends Typed {
  readonly kind: 'const'
  readonly text: string | undefined
  /** Where it stands in the statement, for errors and normalisation; absent in stored expressions. */
  readonly at?: number
}
/** $n, from 1. */
export interface Param extends Typed {
  readonly kind: 'param'
  readonly number: number
}
/** Column `column` (from 1; 0 = whole row; negative = system column) of range table entry `entry` of the query `up` levels out. */
export interface Var extends Typed {
  readonly kind: 'var'
  readonly up: number
  readonly entry: number
  readonly column: number
}
/** A function or operator call; `operator` is the pg_operator oid when it was written as one. */
export interface Func extends Typed {
  readonly kind: 'func'
  readonly func: number
  readonly operator?: number
  readonly args: readonly Expr[]
  /** The last argument collects VARIADIC arguments written separately. */
  readonly variadic?: boolean
  /** The columns that FROM declares for a function that returns a record. */
  readonly columns?: readonly EntryColumn[]
  /** 'cast' when a cast made it: displayed as x::type; 'implicit' is not displayed. */
  readonly form?: 'cast' | 'implicit' | 'sql'
  readonly at?: number
}
export interface BoolExpr extends Typed {
  readonly kind: 'and' | 'or'
  readonly args: readonly Expr[]
}
export interface Not extends Typed {
  readonly kind: 'not'
  readonly arg: Expr
}
export interface NullTest extends Typed {
  readonly kind: 'isnull'
  readonly arg: Expr
  readonly negated: boolean
  readonly row: boolean
}
export interface BooleanTest extends Typed {
  readonly kind: 'booltest'
  readonly arg: Expr
  readonly test: 'true' | 'false' | 'unknown'
  readonly negated: boolean
}
/** IS [NOT] DISTINCT FROM, with the equality function. */
export interface Distinct extends Typed {
  readonly kind: 'distinct'
  readonly func: number
  readonly operator: number
  readonly left: Expr
  readonly right: Expr
  readonly negated: boolean
}
export interface Case extends Typed {
  readonly kind: 'case'
  /** CASE arg WHEN …: conditions then hold 'casevalue' for it. */
  readonly arg: Expr | undefined
  readonly whens: readonly { readonly when: Expr; readonly then: Expr }[]
  readonly otherwise: Expr | undefined
}
export interface CaseValue extends Typed {
  readonly kind: 'casevalue'
}
export interface Coalesce extends Typed {
  readonly kind: 'coalesce'
  readonly args: readonly Expr[]
}
export interface NullIf extends Typed {
  readonly kind: 'nullif'
  readonly func: number
  readonly operator: number
  readonly left: Expr
  readonly right: Expr
}
export interface MinMax extends Typed {
  readonly kind: 'minmax'
  readonly greatest: boolean
  readonly args: readonly Expr[]
}
export interface ArrayExpr extends Typed {
  readonly kind: 'array'
  readonly element: number
  readonly items: readonly Expr[]
  readonly nested: boolean
}
export interface RowExpr extends Typed {
  readonly kind: 'row'
  readonly items: readonly Expr[]
  readonly names?: readonly string[]
}
/** (a, b) < (c, d): one comparison operator per column pair, all of one kind. */
export interface RowCompare extends Typed {
  readonly kind: 'rowcompare'
  readonly test: '=' | '<>' | '<' | '<=' | '>' | '>='
  readonly funcs: readonly number[]
  readonly operators: readonly number[]
  readonly left: readonly Expr[]
  readonly right: readonly Expr[]
}
export interface Subscript extends Typed {
  readonly kind: 'subscript'
  readonly arg: Expr
  /** One per dimension; `slice` true when any is a slice, then all are. */
  readonly slice: boolean
  readonly upper: readonly (Expr | undefined)[]
  readonly lower: readonly (Expr | undefined)[]
  /** Set in assignments: the new element or slice. */
  readonly assign?: Expr
}
export interface FieldSelect extends Typed {
  readonly kind: 'field'
  readonly arg: Expr
  readonly field: number
  readonly name: string
}
/** A cast that changes no bits (varchar to text), or applies a modifier when `typmod` ≥ 0 and `coerce` is set. */
export interface Relabel extends Typed {
  readonly kind: 'relabel'
  readonly arg: Expr
  readonly form: 'cast' | 'implicit'
  readonly coerce?: 'explicit' | 'assignment'
}
/** A cast through the output and input functions. */
export interface ViaText extends Typed {
  readonly kind: 'viatext'
  readonly arg: Expr
  readonly form: 'cast' | 'implicit'
}
/** A cast of each element; `each` reads 'casevalue'. */
export interface ArrayCoerce extends Typed {
  readonly kind: 'arraycoerce'
  readonly arg: Expr
  readonly each: Expr
  readonly form: 'cast' | 'implicit'
}
export interface DomainCoerce extends Typed {
  readonly kind: 'domain'
  readonly arg: Expr
  readonly form: 'cast' | 'implicit'
}
/** x op ANY (array), x op ALL (array). */
export interface AnyAll extends Typed {
  readonly kind: 'anyall'
  readonly any: boolean
  readonly func: number
  readonly operator: number
  readonly left: Expr
  readonly right: Expr
  readonly inList?: boolean
}
export interface SubLink extends Typed {
  readonly kind: 'sublink'
  readonly link: 'exists' | 'scalar' | 'array' | 'row' | 'any' | 'all'
  readonly query: Query
  /** row/any/all: the left side per column, the comparison function per column and how they combine ('=' and, '<>' or, else row order). */
  readonly left?: readonly Expr[]
  readonly funcs?: readonly number[]
  readonly operators?: readonly number[]
  readonly test?: RowCompare['test']
}
export interface Aggregate extends Typed {
  readonly kind: 'agg'
  readonly func: number
  readonly args: readonly Expr[]
  readonly star: boolean
  readonly distinct: boolean
  readonly orderBy: readonly SortItem[]
  readonly filter: Expr | undefined
  /** WITHIN GROUP: direct arguments come first in `args`, this many of them; `orderBy` holds the aggregated ones. */
  readonly direct: number | undefined
  readonly variadic?: boolean
  /** Levels out that the aggregate belongs to. */
  readonly up: number
}
export interface WindowCall extends Typed {
  readonly kind: 'window'
  readonly func: number
  readonly aggregate: boolean
  readonly args: readonly Expr[]
  readonly star: boolean
  readonly filter: Expr | undefined
  /** Index into the query's windows. */
  readonly window: number
}
/** GROUPING(a, b): positions in the query's groupBy. */
export interface Grouping extends Typed {
  readonly kind: 'grouping'
  readonly groups: readonly number[]
  readonly up: number
}
/** current_date and other parameterless SQL values. */
export interface SqlValue extends Typed {
  readonly kind: 'sqlvalue'
  readonly name: string
}
/** A set-returning function in a target list. */
export interface SetReturning extends Typed {
  readonly kind: 'srf'
  readonly func: number
  readonly args: readonly Expr[]
  readonly operator?: number
  readonly variadic?: boolean
}
/** nextval of an identity column's sequence. */
export interface NextValue extends Typed {
  readonly kind: 'nextval'
  readonly sequence: number
}
export interface Collate extends Typed {
  readonly kind: 'collate'
  readonly arg: Expr
  readonly collation: number
}

export interface SortItem {
  readonly expr: Expr
  readonly descending: boolean
  readonly nullsFirst: boolean
}

export interface Target {
  readonly expr: Expr
  readonly name: string
  /** Not part of the result: only sorted or grouped by. */
  readonly junk: boolean
  /** The table column it comes from unchanged, for RowDescription. */
  readonly table?: number
  readonly column?: number
}

export interface Window {
  readonly name: string | undefined
  readonly partitionBy: readonly Expr[]
  readonly orderBy: readonly SortItem[]
  readonly frame: Frame
}
export interface Frame {
  readonly mode: 'rows' | 'range' | 'groups'
  readonly start: FrameBound
  readonly end: FrameBound
  readonly exclude: 'none' | 'current' | 'group' | 'ties'
  /** Written by the user, so shown when displayed. */
  readonly explicit: boolean
}
export interface FrameBound {
  readonly kind: 'unbounded preceding' | 'preceding' | 'current' | 'following' | 'unbounded following'
  readonly offset?: Expr
  /** RANGE with an offset: the in_range arithmetic, order key ± offset. */
  readonly inRange?: number
}

/** One entry of the range table. `columns` are its output columns, in order. */
export type Entry = EntryCommon &
  (
    | { readonly kind: 'relation'; readonly relation: number; readonly lock?: boolean }
    | { readonly kind: 'subquery'; readonly query: Query; readonly lateral: boolean; readonly view?: number }
    | {
        readonly kind: 'function'
        readonly functions: readonly FromFunction[]
        readonly ordinality: boolean
        readonly lateral: boolean
      }
    | { readonly kind: 'values'; readonly rows: readonly (readonly Expr[])[]; readonly lateral: boolean }
    | { readonly kind: 'cte'; readonly name: string; readonly up: number; readonly self: boolean }
    | {
        readonly kind: 'join'
        readonly join: JoinKind
        readonly vars: readonly Expr[] /** Columns merged by USING, the first so many of `columns`. */
        readonly merged: number
      }
    | { readonly kind: 'excluded' }
    | { readonly kind: 'result' }
  )
interface EntryCommon {
  readonly alias: string
  /** Whether the user wrote an alias, and column aliases. */
  readonly explicitAlias: boolean
  readonly columns: readonly EntryColumn[]
  readonly columnAliases?: readonly string[]
}
export interface EntryColumn {
  readonly name: string
  readonly type: number
  readonly typmod: number
  /** A dropped column of a relation: keeps its place, is never named. */
  readonly dropped?: boolean
}
export interface FromFunction {
  /** A set-returning or plain function call, or any expression of SQL value kind. */
  readonly call: Expr
  readonly columns: readonly EntryColumn[]
  /** Whether the call's rows are records to be spread over the columns. */
  readonly composite: boolean
}
export type JoinKind = 'inner' | 'left' | 'right' | 'full'

export type FromNode =
  | { readonly kind: 'entry'; readonly entry: number }
  | {
      readonly kind: 'join'
      readonly join: JoinKind
      readonly left: FromNode
      readonly right: FromNode
      readonly on: Expr | undefined
      readonly entry: number
      readonly using?: readonly string[]
      readonly natural?: boolean
      readonly lateral?: boolean
    }

export interface CommonTable {
  readonly name: string
  readonly columns: readonly EntryColumn[]
  readonly query: Query
  readonly recursive: boolean
  readonly materialized: 'default' | 'always' | 'never'
  /** SEARCH and CYCLE are refused at binding. */
  readonly columnAliases?: readonly string[]
}

export interface SetOperation {
  readonly kind: 'setop'
  readonly op: 'union' | 'intersect' | 'except'
  readonly all: boolean
  readonly left: SetOperation | { readonly kind: 'query'; readonly entry: number }
  readonly right: SetOperation | { readonly kind: 'query'; readonly entry: number }
  readonly columns: readonly EntryColumn[]
}

export interface RowMark {
  /** 0 FOR KEY SHARE … 3 FOR UPDATE, the lock modes of transaction/lock-table.ts. */
  readonly strength: number
  readonly entries: readonly number[]
  readonly policy: 'wait' | 'nowait' | 'skip'
}

export interface Query {
  readonly command: 'select' | 'insert' | 'update' | 'delete'
  readonly ctes: readonly CommonTable[]
  readonly entries: readonly Entry[]
  readonly from: readonly FromNode[]
  readonly where: Expr | undefined
  readonly targets: readonly Target[]
  /** Expressions grouped by; `groupingSets` are lists of positions in it, undefined for plain GROUP BY. */
  readonly groupBy: readonly Expr[]
  readonly groupingSets: readonly (readonly number[])[] | undefined
  readonly having: Expr | undefined
  readonly windows: readonly Window[]
  /** Undefined: no; empty: DISTINCT; else DISTINCT ON these expressions. */
  readonly distinct: readonly Expr[] | undefined
  readonly orderBy: readonly SortItem[]
  readonly limit: Expr | undefined
  readonly offset: Expr | undefined
  readonly withTies: boolean
  readonly setOperation: SetOperation | undefined
  readonly marks: readonly RowMark[]
  readonly hasAggregates: boolean
  readonly hasSrf: boolean
  readonly modify: Modify | undefined
}

/** INSERT, UPDATE and DELETE: the target is entry `target`; the query's targets are what is written. */
export interface Modify {
  readonly target: number
  readonly relation: number
  /** INSERT: the column each target goes to (attribute numbers). UPDATE: likewise, for the assigned ones. */
  readonly columns: readonly number[]
  readonly overriding: 'user' | 'system' | undefined
  readonly conflict: Conflict | undefined
  readonly returning: readonly Target[] | undefined
}
export interface Conflict {
  /** Index oids that arbitrate; empty = any unique index. */
  readonly indexes: readonly number[]
  readonly action: 'nothing' | 'update'
  readonly columns: readonly number[]
  readonly values: readonly Expr[]
  readonly where: Expr | undefined
  /** The range table entry of EXCLUDED. */
  readonly excluded: number
}
