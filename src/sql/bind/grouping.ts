/**
 * GROUP BY, grouping sets, and the rule that what is not grouped stands inside an aggregate.
 */
import type { GroupingSet, Node } from '@pgsql/types'
import { DbError } from '../../base/index.ts'
import type { Aggregate, Expr, Query, Target, Var } from '../query.ts'
import type { BindContext } from './context.ts'
import { bindExpr, settleUnknown } from './expression.ts'
import {
  exprKey,
  findColumn,
  forEachChild,
  forEachQueryExpr,
  forEachSubquery,
  mapChildren,
  type QueryScope,
  sameExpr,
} from './scope.ts'
import { positionOf, requireEquality } from './select.ts'

interface Grouping {
  readonly exprs: Expr[]
  readonly sets: number[][] | undefined
}

const maxGroupingSets = 4096

export function bindGroupBy(
  scope: QueryScope,
  nodes: readonly Node[] | undefined,
  targets: readonly Target[],
): Grouping {
  const exprs: Expr[] = []
  if (nodes === undefined || nodes.length === 0) return { exprs, sets: undefined }
  scope.clause = 'group by'
  const add = (node: any): number => {
    const expr = groupExpr(scope, node, targets)
    requireEquality(scope.context, expr.type)
    const same = exprs.findIndex((e) => sameExpr(e, expr))
    if (same >= 0) return same
    exprs.push(expr)
    return exprs.length - 1
  }
  const hasSets = nodes.some((n: any) => n.GroupingSet)
  let sets: number[][] = [[]]
  for (const node of nodes as any[]) {
    const alternatives = node.GroupingSet ? expand(node.GroupingSet, add) : [oneGroup(node, add)]
    sets = sets.flatMap((s) => alternatives.map((a) => [...new Set([...s, ...a])]))
    if (sets.length > maxGroupingSets)
      throw new DbError('program_limit_exceeded', `too many grouping sets present (maximum ${maxGroupingSets})`)
  }
  scope.clause = 'select'
  return { exprs, sets: hasSets ? sets : undefined }
}

/** A plain item; (a, b) is both of its columns. */
function oneGroup(node: any, add: (n: any) => number): number[] {
  if (node.RowExpr && node.RowExpr.row_format === 'COERCE_IMPLICIT_CAST') return node.RowExpr.args.map(add)
  return [add(node)]
}

function expand(set: GroupingSet, add: (n: any) => number): number[][] {
  const content = (set.content ?? []) as any[]
  switch (set.kind) {
    case 'GROUPING_SET_EMPTY':
      return [[]]
    case 'GROUPING_SET_ROLLUP': {
      const parts = content.map((n) => oneGroup(n, add))
      return Array.from({ length: parts.length + 1 }, (_, i) => parts.slice(0, parts.length - i).flat())
    }
    case 'GROUPING_SET_CUBE': {
      const parts = content.map((n) => oneGroup(n, add))
      if (parts.length > 12) throw new DbError('program_limit_exceeded', 'CUBE is limited to 12 elements')
      const out: number[][] = []
      for (let bits = (1 << parts.length) - 1; bits >= 0; bits--)
        out.push(parts.filter((_, i) => bits & (1 << (parts.length - 1 - i))).flat())
      return out
    }
    case 'GROUPING_SET_SETS':
      return content.flatMap((n) => (n.GroupingSet ? expand(n.GroupingSet, add) : [oneGroup(n, add)]))
    default:
      return [content.flatMap((n) => oneGroup(n, add))]
  }
}

/** A bare name is an input column first, an output column second. */
function groupExpr(scope: QueryScope, node: any, targets: readonly Target[]): Expr {
  const visible = targets.filter((t) => !t.junk)
  const position = positionOf(scope, node, visible.length, 'GROUP BY')
  if (position !== undefined) return checkGroupable(visible[position].expr)
  const fields = node.ColumnRef?.fields
  if (fields?.length === 1 && fields[0].String) {
    const name = fields[0].String.sval
    const own = findColumn(scope, name)
    if (own === undefined || own.up > 0) {
      const named = visible.find((t) => t.name === name)
      if (named !== undefined) return checkGroupable(named.expr)
    }
  }
  return settleUnknown(scope, bindExpr(scope, node))
}

function checkGroupable(expr: Expr): Expr {
  const visit = (e: Expr): void => {
    if (e.kind === 'agg' && e.up === 0)
      throw new DbError('grouping_error', 'aggregate functions are not allowed in GROUP BY')
    if (e.kind === 'window') throw new DbError('windowing_error', 'window functions are not allowed in GROUP BY')
    forEachChild(e, visit)
  }
  visit(expr)
  return expr
}

/** Turns the arguments of GROUPING(…) into positions of the grouped expressions. */
export function resolveGrouping(query: Query): Query {
  const resolve = (e: Expr): Expr => {
    if (e.kind === 'grouping') {
      const groups = (e.groups as readonly (number | Expr)[]).map((g) => {
        if (typeof g === 'number') return g
        const at = query.groupBy.findIndex((x) => sameExpr(x, g))
        if (at < 0)
          throw new DbError(
            'grouping_error',
            'arguments to GROUPING must be grouping expressions of the associated query level',
          )
        return at
      })
      return { ...e, groups }
    }
    return mapChildren(e, resolve)
  }
  return {
    ...query,
    targets: query.targets.map((t) => ({ ...t, expr: resolve(t.expr) })),
    having: query.having === undefined ? undefined : resolve(query.having),
    orderBy: query.orderBy.map((o) => ({ ...o, expr: resolve(o.expr) })),
  }
}

/** Raises grouping_error for a column that is neither grouped nor aggregated. */
export function checkGrouping(context: BindContext, scope: QueryScope, query: Query): void {
  const grouped = query.groupBy.length > 0 || query.groupingSets !== undefined || query.hasAggregates
  if (!grouped) return
  const keys = new Set(query.groupBy.map(exprKey))
  const dependent = functionallyDependent(context, query)
  const visit = (e: Expr, depth: number): void => {
    if (depth === 0 && keys.has(exprKey(e))) return
    if (e.kind === 'agg' && e.up === depth) return
    if (e.kind === 'grouping') return
    if (e.kind === 'var' && e.up === depth) {
      if (depth > 0 && keys.has(exprKey({ ...e, up: 0 }))) return
      if (dependent.has(e.entry)) return
      throw ungrouped(scope, e, depth)
    }
    if (e.kind === 'sublink') visitQuery(e.query, depth + 1)
    forEachChild(e, (x) => visit(x, depth))
  }
  const visitQuery = (q: Query, depth: number): void => {
    forEachQueryExpr(q, (e) => visit(e, depth))
    forEachSubquery(q, (s) => visitQuery(s, depth + 1))
  }
  for (const t of query.targets) visit(t.expr, 0)
  if (query.having) visit(query.having, 0)
  for (const o of query.orderBy) visit(o.expr, 0)
  if (query.distinct) for (const d of query.distinct) visit(d, 0)
  for (const w of query.windows) {
    for (const p of w.partitionBy) visit(p, 0)
    for (const o of w.orderBy) visit(o.expr, 0)
  }
}

function ungrouped(scope: QueryScope, v: Var, depth: number): DbError {
  const entry = scope.entries[v.entry]
  const name = v.column > 0 ? `${entry.alias}.${entry.columns[v.column - 1].name}` : entry.alias
  if (depth > 0) return new DbError('grouping_error', `subquery uses ungrouped column "${name}" from outer query`)
  return new DbError(
    'grouping_error',
    `column "${name}" must appear in the GROUP BY clause or be used in an aggregate function`,
  )
}

/** Entries whose primary key is all among the grouped columns: their other columns follow from it. */
function functionallyDependent(context: BindContext, query: Query): Set<number> {
  const out = new Set<number>()
  if (query.groupingSets !== undefined) return out
  query.entries.forEach((entry, i) => {
    if (entry.kind !== 'relation') return
    const primary = context.names.catalog
      .relation(entry.relation)
      ?.constraints.find((c) => c.type === 'p' && !c.deferrable)
    if (primary === undefined) return
    const has = (column: number) =>
      query.groupBy.some((g) => g.kind === 'var' && g.up === 0 && g.entry === i && g.column === column)
    if (primary.columns.every(has)) out.add(i)
  })
  return out
}

export type { Aggregate }
