/**
 * Code by name: what runs a function, an aggregate or a window function of the catalog.
 *
 * Code is found by the name that pg_proc gives an implementation (prosrc). What this folder lacks because it needs the
 * catalog or the session (currval, pg_get_viewdef, current_user, …) the session layer adds with `registerCode`.
 * Not here: the catalogs' rows (catalog-rows.ts), the functions themselves (builtin-code.ts names their files).
 */
import type { TypeContext } from '../types/type.ts'
import { aggregateKey } from './aggregates.ts'
import { builtinAggregates, builtinCode, builtinMakers, builtinSetMakers, builtinWindows } from './builtin-code.ts'
import type { AggregateCode, CallSite, FunctionCode, FunctionMaker, FunctionRow, WindowCode } from './function.ts'

export * from './catalog-rows.ts'
export { setJsonbPath } from './jsonb-change.ts'

const plain = new Map<string, FunctionCode>(Object.entries(builtinCode))
const makers = new Map<string, FunctionMaker>(Object.entries(builtinMakers))
const setMakers = new Map<string, FunctionMaker>(Object.entries(builtinSetMakers))
const aggregates = new Map<string, AggregateCode>(Object.entries(builtinAggregates))
const windows = new Map<string, WindowCode>(Object.entries(builtinWindows))

/** Adds the code of functions of this prosrc; what is registered later replaces what was there. */
export function registerCode(source: string, maker: FunctionMaker): void {
  makers.set(source, maker)
}

/** Adds the code of set-returning functions of this prosrc. */
export function registerSetCode(source: string, maker: FunctionMaker): void {
  setMakers.set(source, maker)
}

/** The code for one call site, or undefined when the function is not implemented. */
export function codeOf(row: FunctionRow, site: CallSite, context: TypeContext): FunctionCode | undefined {
  const maker = makers.get(row.source)
  return maker === undefined ? plain.get(row.source) : maker(site, context)
}

/** The code of a set-returning function: it returns an iterable of values. */
export function setCodeOf(row: FunctionRow, site: CallSite, context: TypeContext): FunctionCode | undefined {
  return setMakers.get(row.source)?.(site, context)
}

/** Aggregates go by name and argument types ("sum(int4)"), or by name where all overloads share the code. */
export function aggregateOf(row: FunctionRow): AggregateCode | undefined {
  return aggregates.get(aggregateKey(row)) ?? aggregates.get(row.name)
}

export function windowOf(row: FunctionRow): WindowCode | undefined {
  return windows.get(row.source)
}

/** Whether anything runs this function. */
export function isImplemented(row: FunctionRow): boolean {
  if (row.kind === 'a') return aggregateOf(row) !== undefined
  if (row.kind === 'w') return windowOf(row) !== undefined
  if (row.returnsSet) return setMakers.has(row.source)
  return makers.has(row.source) || plain.has(row.source)
}
