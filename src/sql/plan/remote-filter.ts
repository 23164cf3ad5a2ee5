/**
 * The part of a scan's condition that may be tested where the rows are, as plain data that another node understands.
 *
 *   program   JSON: database, table, fence (the commit that the table's definition is known as of),
 *             tests: bound expressions over entry 0 whose constants and parameters are $1, $2, …, values: [type, text]
 *
 * What is sent is immutable functions and operators of the system over columns of system types: whose results depend on no
 * setting, session or time. The node that asks tests the whole condition again, so what is answered is the same with and
 * without.
 *
 * Not here: running it (session/remote-filters.ts), sending it (transaction/partitions).
 */
import { functionRow } from '../bind/calls.ts'
import { mapChildren } from '../bind/scope.ts'
import type { Execution } from '../execute/execution.ts'
import type { TableAccess } from '../execute/tables.ts'
import type { Expr } from '../query.ts'
import type { TypeContext, Value } from '../types/type.ts'
import { constantValue } from './compile.ts'
import { exprText } from './expr-text.ts'
import type { Condition, Rel } from './rel.ts'
import type { PlanScope } from './scope.ts'

/** Object ids below this are the system's, the same on all nodes. */
const firstUserOid = 16_384
/** Types whose text, written and read with the settings below, is their value, and arrays of them. */
const plainTypes = new Set([
  16, 17, 20, 21, 23, 25, 26, 700, 701, 1042, 1043, 1082, 1083, 1114, 1184, 1700, 2950, 1000, 1005, 1007, 1016, 1009,
  1015, 1021, 1022, 1115, 1182, 1185, 1231, 2951,
])
const kinds = new Set([
  'const',
  'param',
  'var',
  'func',
  'and',
  'or',
  'not',
  'isnull',
  'booltest',
  'distinct',
  'coalesce',
  'nullif',
  'minmax',
  'relabel',
  'anyall',
])

export interface RemoteProgram {
  readonly database: number
  readonly table: number
  readonly fence: number
  readonly tests: readonly Expr[]
  /** The type of each value and its text; null: NULL. */
  readonly values: readonly (readonly [type: number, text: string | null])[]
}

export interface RemoteFilter {
  readonly text: string
  program(x: Execution): Uint8Array
}

/** The settings in which values are written as text and read again. */
export function plainContext(types: TypeContext): TypeContext {
  return {
    ...types,
    timeZone: 'UTC',
    dateOrder: 'YMD',
    intervalStyle: 'postgres',
    extraFloatDigits: 3,
    byteaOutput: 'hex',
  }
}

/** Undefined: nothing of the conditions can be tested elsewhere, or there is no elsewhere. */
export function remoteFilter(
  rel: Rel,
  access: TableAccess,
  conditions: readonly Condition[],
): RemoteFilter | undefined {
  const { scope } = rel
  const { context } = scope.builder
  if (context.fenceOf === undefined) return undefined
  const usable = conditions.filter((c) => c.scope === scope && isPortable(scope, rel.entry, c.expr))
  if (usable.length === 0) return undefined
  const sources: { readonly type: number; readonly value: (x: Execution) => Value }[] = []
  const lift = (expr: Expr): Expr => {
    if (expr.kind === 'var') return { ...expr, entry: 0 }
    if (expr.kind !== 'const' && expr.kind !== 'param') return mapChildren(expr, lift)
    const value = expr.kind === 'const' ? () => constantValue(scope, expr) : (x: Execution) => x.p[expr.number - 1]
    sources.push({ type: expr.type, value })
    return { kind: 'param', type: expr.type, typmod: expr.typmod, number: sources.length }
  }
  const tests = usable.map((c) => lift(c.expr))
  const database = context.names.catalog.databaseOid
  const table = access.descriptor.oid
  const fence = context.fenceOf(table)
  return {
    text: usable.map((c) => exprText(c.scope, c.expr)).join(' AND '),
    program(x) {
      const plain = plainContext(x.types)
      const values = sources.map(({ type, value }): [number, string | null] => {
        const v = value(x)
        return [type, v === null ? null : x.types.types.type(type).format(v, plain)]
      })
      const program: RemoteProgram = { database, table, fence, tests, values }
      return Buffer.from(JSON.stringify(program))
    },
  }
}

function isPortable(scope: PlanScope, entry: number, expr: Expr): boolean {
  if (!kinds.has(expr.kind) || expr.type >= firstUserOid) return false
  switch (expr.kind) {
    case 'const':
    case 'param':
      return plainTypes.has(expr.type)
    case 'var':
      return expr.up === 0 && expr.entry === entry && expr.column > 0
    case 'func': {
      const f = expr.func < firstUserOid ? functionRow(scope.builder.context, expr.func) : undefined
      if (f?.volatility !== 'i' || expr.columns !== undefined || expr.variadic) return false
      break
    }
    case 'distinct':
    case 'nullif':
    case 'anyall': {
      const f = expr.func < firstUserOid ? functionRow(scope.builder.context, expr.func) : undefined
      if (f?.volatility !== 'i') return false
      break
    }
    case 'isnull':
      if (expr.row) return false
  }
  let portable = true
  mapChildren(expr, (e) => {
    if (portable && !isPortable(scope, entry, e)) portable = false
    return e
  })
  return portable
}
