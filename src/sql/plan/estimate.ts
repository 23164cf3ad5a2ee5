/**
 * How many rows: table sizes, and the share of rows that a condition keeps, from ANALYZE's statistics where there are
 * some and from customary guesses (PostgreSQL's) where there are none.
 */

import type { ColumnStatistics } from '../catalog/descriptors.ts'
import { systemRelation } from '../catalog/system-schema.ts'
import { operatorByOid } from '../functions/registry.ts'
import type { Expr } from '../query.ts'
import type { Value } from '../types/type.ts'
import { constantValue, typeOf } from './compile.ts'
import type { Condition } from './rel.ts'
import type { PlanScope } from './scope.ts'

const equalGuess = 0.005
const rangeGuess = 1 / 3
const matchGuess = 0.005
const distinctGuess = 200

/** Rows of a relation, before conditions. */
export function relationRows(scope: PlanScope, oid: number): number {
  const { catalog } = scope.builder.context.names
  if (oid < 16384) return systemRelation(oid) === undefined ? 100 : 400
  const known = scope.builder.tableRows(oid)
  if (known !== undefined) return Math.max(1, known)
  return catalog.statistics(oid)?.rows ?? 1000
}

interface ColumnRef {
  readonly relation: number
  readonly column: number
  readonly statistics: ColumnStatistics | undefined
  readonly rows: number
}

/** The table column an expression is, through opened sub-queries and cosmetic casts. */
export function columnOf(scope: PlanScope, expr: Expr): ColumnRef | undefined {
  let e = expr
  while ((e.kind === 'relabel' && e.coerce === undefined) || e.kind === 'collate') e = e.arg
  if (e.kind !== 'var' || e.column <= 0) return undefined
  const owner = scope.outer(e.up)
  const source = owner.sources[e.entry]
  if (source?.kind === 'inlined') return columnOf(source.scope, source.exprs[e.column - 1])
  const entry = owner.entry(e.entry)
  if (entry.kind !== 'relation') return undefined
  const stats = scope.builder.context.names.catalog.statistics(entry.relation)
  return {
    relation: entry.relation,
    column: e.column,
    statistics: stats?.columns[e.column],
    rows: relationRows(scope, entry.relation),
  }
}

/** How many different values a column has. */
export function distinctCount(scope: PlanScope, expr: Expr): number {
  const column = columnOf(scope, expr)
  if (column === undefined) return distinctGuess
  const d = column.statistics?.distinct
  if (d !== undefined && d !== 0) return Math.max(1, d > 0 ? d : -d * column.rows)
  if (isUnique(scope, column.relation, column.column)) return Math.max(1, column.rows)
  return Math.max(1, Math.min(distinctGuess, column.rows))
}

function isUnique(scope: PlanScope, relation: number, column: number): boolean {
  const { catalog } = scope.builder.context.names
  const table = catalog.relation(relation)
  return (
    table?.indexes.some((i) => {
      const index = catalog.relation(i)?.index
      return index?.unique === true && index.columns.length === 1 && index.columns[0].column === column
    }) ?? false
  )
}

const selectivities = new WeakMap<Condition, number>()

/** The share of rows that a condition keeps; asked again and again while joins are ordered. */
export function selectivity(c: Condition): number {
  let share = selectivities.get(c)
  if (share === undefined) {
    share = Math.min(1, Math.max(1e-9, of(c.scope, c.expr)))
    selectivities.set(c, share)
  }
  return share
}

function of(scope: PlanScope, e: Expr): number {
  switch (e.kind) {
    case 'and':
      return e.args.reduce((s, a) => s * of(scope, a), 1)
    case 'or':
      return 1 - e.args.reduce((s, a) => s * (1 - of(scope, a)), 1)
    case 'not':
      return 1 - of(scope, e.arg)
    case 'const':
      return e.text === 't' ? 1 : 0
    case 'isnull': {
      const fraction = columnOf(scope, e.arg)?.statistics?.nullFraction ?? 0.005
      return e.negated ? 1 - fraction : fraction
    }
    case 'func':
      return ofCall(scope, e)
    case 'anyall': {
      const n = e.right.kind === 'array' ? e.right.items.length : 10
      return Math.min(1, n * equality(scope, e.left, undefined))
    }
    case 'booltest':
    case 'var':
      return 0.5
    case 'sublink':
      return 0.5
    case 'distinct':
      return 1 - equality(scope, e.left, e.right)
    default:
      return 0.5
  }
}

function ofCall(scope: PlanScope, e: Expr & { kind: 'func' }): number {
  const operator = e.operator === undefined ? undefined : operatorByOid(e.operator)
  if (operator === undefined || e.args.length !== 2) return rangeGuess
  const [left, right] = e.args
  switch (operator.restrict) {
    case 'eqsel':
      return columnOf(scope, left) === undefined && columnOf(scope, right) !== undefined
        ? equality(scope, right, left)
        : equality(scope, left, right)
    case 'neqsel':
      return 1 - equality(scope, left, right)
    case 'scalarltsel':
    case 'scalarlesel':
      return range(scope, left, right, true)
    case 'scalargtsel':
    case 'scalargesel':
      return range(scope, left, right, false)
    case 'likesel':
    case 'iclikesel':
    case 'regexeqsel':
    case 'contsel':
    case 'matchingsel':
      return matchGuess
    default:
      return rangeGuess
  }
}

function equality(scope: PlanScope, left: Expr, right: Expr | undefined): number {
  const column = columnOf(scope, left)
  const other = right === undefined ? undefined : columnOf(scope, right)
  if (column !== undefined && other !== undefined)
    return 1 / Math.max(distinctCount(scope, left), distinctCount(scope, right!))
  if (column === undefined) return equalGuess
  const s = column.statistics
  const distinct = distinctCount(scope, left)
  if (s !== undefined && right?.kind === 'const' && right.text !== undefined) {
    const value = literalOf(scope, right)
    const type = typeOf(scope, right.type)
    const at = s.commonValues.findIndex((text) => sameText(scope, type, text, value))
    if (at >= 0) return s.commonFrequencies[at]
    const common = s.commonFrequencies.reduce((a, b) => a + b, 0)
    return Math.max(0, 1 - common - s.nullFraction) / Math.max(1, distinct - s.commonValues.length)
  }
  return 1 / distinct
}

function literalOf(scope: PlanScope, e: Expr): Value {
  return e.kind === 'const' ? constantValue(scope, e) : undefined
}

function sameText(scope: PlanScope, type: ReturnType<typeof typeOf>, text: string, value: Value): boolean {
  if (value === null || !type.hashable) return false
  try {
    return type.key(type.parse(text, -1, scope.builder.context.types)) === type.key(value)
  } catch {
    return false
  }
}

function range(scope: PlanScope, left: Expr, right: Expr, less: boolean): number {
  const column = columnOf(scope, left)
  if (column === undefined) return columnOf(scope, right) === undefined ? rangeGuess : range(scope, right, left, !less)
  const s = column.statistics
  if (s === undefined || s.histogram.length < 2 || right.kind !== 'const' || right.text === undefined) return rangeGuess
  const type = typeOf(scope, right.type)
  const value = literalOf(scope, right)
  if (value === null) return 0
  const bounds = s.histogram
  let below = 0
  try {
    while (below < bounds.length && type.compare(type.parse(bounds[below], -1, scope.builder.context.types), value) < 0)
      below++
  } catch {
    return rangeGuess
  }
  const fraction = Math.min(1, Math.max(0, (below - 0.5) / (bounds.length - 1)))
  const rest = 1 - s.nullFraction
  return Math.max(0.0001, (less ? fraction : 1 - fraction) * rest)
}
