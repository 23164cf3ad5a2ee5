/**
 * The part of a scan's work that may be done where the rows are, as plain data that another node understands.
 *
 *   program   JSON: database, table, fence (the commit that the table's definition is known as of),
 *             tests: bound expressions over entry 0 whose constants and parameters are $1, $2, …, values: [type, text],
 *             gather: group keys and aggregate calls, when partial aggregates are to be answered instead of rows
 *   gathered  JSON: [texts of the group's keys, saved states]: one entry per group and answer
 *
 * What is sent is immutable functions and operators of the system over columns of system types: whose results depend on no
 * setting, session or time. The node that asks tests the rows that it gets again, so what comes out is the same with and
 * without. Rows are gathered only where all conditions are tested there, and only by aggregates whose result does not
 * depend on how rows are divided (no sums of floats).
 *
 * Not here: running it (session/remote-programs.ts), sending it (transaction/partitions).
 */
import { functionRow } from '../bind/calls.ts'
import { mapChildren } from '../bind/scope.ts'
import type { Execution } from '../execute/execution.ts'
import type { TableAccess } from '../execute/tables.ts'
import type { Aggregate, Expr } from '../query.ts'
import { plainContext, type Value } from '../types/type.ts'
import { constantValue } from './compile.ts'
import { exprText } from './expr-text.ts'
import type { Condition, Rel } from './rel.ts'
import type { PlanScope } from './scope.ts'

/** Object ids below this are the system's, the same on all nodes. */
const firstUserOid = 16_384
/** Types whose text, written and read with the settings below, is their value, and arrays of them. */
export const plainTypes = new Set([
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
  readonly gather: Gathering | undefined
}

export interface Gathering {
  readonly keys: readonly Expr[]
  readonly calls: readonly Aggregate[]
}

/** What a scan sends along. Made while planning, complete before the first execution. */
export class RemoteWork {
  /** For EXPLAIN. */
  readonly text: string
  readonly #rel: Rel
  readonly #access: TableAccess
  readonly #tests: readonly Expr[]
  /** Every condition of the scan is among the tests. */
  readonly #whole: boolean
  readonly #sources: { readonly type: number; readonly value: (x: Execution) => Value }[] = []
  /** As of planning. */
  readonly #fence: number
  #gather: Gathering | undefined

  constructor(rel: Rel, access: TableAccess, conditions: readonly Condition[]) {
    const { scope } = rel
    this.#rel = rel
    this.#access = access
    this.#fence = scope.builder.context.fenceOf!(access.descriptor.oid)
    const usable = conditions.filter((c) => c.scope === scope && isPortable(scope, rel.entry, c.expr))
    this.#whole = usable.length === conditions.length
    this.#tests = usable.map((c) => this.#lift(c.expr))
    this.text = usable.map((c) => exprText(c.scope, c.expr)).join(' AND ')
  }

  get gathers(): boolean {
    return this.#gather !== undefined
  }

  /** Whether there is anything to send. */
  get empty(): boolean {
    return this.#tests.length === 0 && this.#gather === undefined
  }

  /** Asks for partial aggregates in place of rows; false when they cannot be made elsewhere. */
  gather({ keys, calls }: Gathering): boolean {
    const { scope, entry } = this.#rel
    const portable = (e: Expr) => isPortable(scope, entry, e)
    const fits =
      this.#whole &&
      keys.every((e) => portable(e) && plainTypes.has(e.type)) &&
      calls.every(
        ({ func, args, filter, distinct, orderBy, direct }) =>
          func < firstUserOid &&
          !distinct &&
          orderBy.length === 0 &&
          direct === undefined &&
          args.every((e) => portable(e) && plainTypes.has(e.type)) &&
          (filter === undefined || portable(filter)),
      )
    if (!fits) return false
    this.#gather = {
      keys: keys.map((e) => this.#lift(e)),
      calls: calls.map((c) => ({
        ...c,
        args: c.args.map((e) => this.#lift(e)),
        filter: c.filter === undefined ? undefined : this.#lift(c.filter),
      })),
    }
    return true
  }

  program(x: Execution): Uint8Array {
    const { context } = this.#rel.scope.builder
    const plain = plainContext(x.types)
    const values = this.#sources.map(({ type, value }): [number, string | null] => {
      const v = value(x)
      return [type, v === null ? null : x.types.types.type(type).format(v, plain)]
    })
    const program: RemoteProgram = {
      database: context.names.catalog.databaseOid,
      table: this.#access.descriptor.oid,
      fence: this.#fence,
      tests: this.#tests,
      values,
      gather: this.#gather,
    }
    return Buffer.from(JSON.stringify(program))
  }

  readonly #lift = (expr: Expr): Expr => {
    const { scope } = this.#rel
    if (expr.kind === 'var') return { ...expr, entry: 0 }
    if (expr.kind !== 'const' && expr.kind !== 'param') return mapChildren(expr, this.#lift)
    const value = expr.kind === 'const' ? () => constantValue(scope, expr) : (x: Execution) => x.p[expr.number - 1]
    this.#sources.push({ type: expr.type, value })
    return { kind: 'param', type: expr.type, typmod: expr.typmod, number: this.#sources.length }
  }
}

/** Undefined: there is no elsewhere. */
export function remoteWork(rel: Rel, access: TableAccess, conditions: readonly Condition[]): RemoteWork | undefined {
  return rel.scope.builder.context.fenceOf === undefined ? undefined : new RemoteWork(rel, access, conditions)
}

export function isPortable(scope: PlanScope, entry: number, expr: Expr): boolean {
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
