/**
 * Built-in functions: what `pg_proc` says of one (from PostgreSQL's own catalog, kept as data) and the code that runs it.
 *
 * Code is registered by `prosrc`, the name that pg_proc gives an implementation ("int4pl", "textcat", …), so that
 * operators, casts and functions that share one in PostgreSQL share it here.
 */
import type { TypeContext, Value } from '../types/type.ts'

export interface FunctionRow {
  readonly oid: number
  readonly name: string
  /** Argument type oids; the last is the array's (or "any") for a variadic one. */
  readonly args: readonly number[]
  readonly result: number
  /** Element type of the variadic argument, 0 when not variadic. */
  readonly variadic: number
  readonly kind: 'f' | 'a' | 'w' | 'p'
  readonly strict: boolean
  readonly volatility: 'i' | 's' | 'v'
  readonly returnsSet: boolean
  /** How many trailing arguments have defaults. */
  readonly defaults: number
  readonly source: string
  /** Names and types of OUT columns, for functions in FROM. */
  readonly outNames: readonly string[] | undefined
  readonly outTypes: readonly number[] | undefined
  /** Names of the input arguments, for calls by name. */
  readonly argNames?: readonly string[] | undefined
  /** The defaults of the last arguments, as literals' texts in the arguments' types. Code also takes calls without them. */
  readonly defaultTexts?: readonly string[] | undefined
}

/** What one call site knows: resolved types, for polymorphic functions. */
export interface CallSite {
  readonly argTypes: readonly number[]
  readonly resultType: number
  readonly typmod: number
  /** The last argument is an array given with the word VARIADIC to a function of VARIADIC "any". */
  readonly variadicArray?: boolean
  /** The column definition list of a call that returns record: … AS t(a int, b text). */
  readonly columns?: readonly { readonly name: string; readonly type: number; readonly typmod: number }[]
}

/**
 * The code of a function. Strict ones are not called with null. `context` is passed last, after the arguments given at
 * the call (omitted ones that have defaults are not passed: the maker sees how many there are in `site.argTypes`).
 * A typed VARIADIC argument arrives as one SqlArray, VARIADIC "any" arguments arrive one by one.
 * A set-returning one returns an iterable of values (of SqlRecord for several columns).
 */
export type FunctionCode = (...args: any[]) => Value

/** Makes the code of a call site once at plan time; for functions whose code depends on argument types. */
export type FunctionMaker = (site: CallSite, context: TypeContext) => FunctionCode

/**
 * The code of an aggregate.
 *
 * Ordered-set aggregates (percentile_cont, mode, …) are stepped with the values of WITHIN GROUP in its order. Of
 * hypothetical-set ones (rank, …) `step` gets, row by row in that order, how the row compares with the hypothetical row
 * (negative: before it, 0: a peer) and whether it differs from the row before.
 */
export interface AggregateCode<S = any> {
  init(site: CallSite, context: TypeContext): S
  /** Returns the new state (it may mutate and return the old one). Strict aggregates never see null. */
  step(state: S, ...args: Value[]): S
  /** Ordered-set aggregates get their direct arguments here. The state stays as it was: windows finish again and again. */
  finish(state: S, context: TypeContext, ...direct: Value[]): Value
  /** Undoes a step, for moving window frames; absent when it cannot. */
  unstep?(state: S, ...args: Value[]): S
  /** Whether null arguments are skipped by the caller. */
  readonly strict: boolean
  /** How parts of a group that were gathered apart come together; absent when the result could depend on the parts. */
  readonly partial?: PartialAggregate<S>
}

/** A state on its way to another node, as what JSON holds. `plain`: the settings in which values are written as text. */
export interface PartialAggregate<S = any> {
  save(state: S, plain: TypeContext): unknown
  /** The state with a saved one added; it may change and return the old one. */
  merge(state: S, saved: any, plain: TypeContext): S
}

/** A partition as a window function sees it. Rows are numbered from 0 in the window's order. */
export interface WindowPartition {
  readonly rows: number
  /** The current row. */
  readonly current: number
  /** The first row and the row after the last one that are peers of the current row. */
  readonly peersStart: number
  readonly peersEnd: number
  /** How many rows the current frame has, and its n-th one (from 0) as a row of the partition. */
  readonly frameRows: number
  frameRow(n: number): number
  /** The value of argument `index` at a row of the partition. */
  argument(index: number, row: number): Value
}

/**
 * The code of a window function; `state` is made once a partition and may be changed. Rows are asked in order.
 */
export interface WindowCode<S = any> {
  init(site: CallSite, context: TypeContext): S
  value(partition: WindowPartition, state: S): Value
}
