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
}

/** What one call site knows: resolved types, for polymorphic functions. */
export interface CallSite {
  readonly argTypes: readonly number[]
  readonly resultType: number
  readonly typmod: number
}

/**
 * The code of a function. Strict ones are not called with null. `context` is passed last, after the arguments.
 * A set-returning one returns an iterable of values (of SqlRecord for several columns).
 */
export type FunctionCode = (...args: any[]) => Value

/** Makes the code of a call site once at plan time; for functions whose code depends on argument types. */
export type FunctionMaker = (site: CallSite, context: TypeContext) => FunctionCode

export interface AggregateCode<S = any> {
  init(site: CallSite, context: TypeContext): S
  /** Returns the new state (it may mutate and return the old one). Strict aggregates never see null. */
  step(state: S, ...args: Value[]): S
  finish(state: S, context: TypeContext): Value
  /** Undoes a step, for moving window frames; absent when it cannot. */
  unstep?(state: S, ...args: Value[]): S
  /** Whether null arguments are skipped by the caller. */
  readonly strict: boolean
}
