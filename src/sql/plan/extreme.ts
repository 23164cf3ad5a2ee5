/**
 * min(x) and max(x) over a table with an index that begins with x: the first entry from either end.
 *
 *   SELECT max(x) FROM t WHERE c   →   SELECT (SELECT x FROM t WHERE c AND x IS NOT NULL ORDER BY x DESC LIMIT 1)
 */
import { functionRow } from '../bind/calls.ts'
import { exprKey, forEachChild, mapChildren, queryUsesLevel } from '../bind/scope.ts'
import { emptyQuery } from '../bind/select.ts'
import { systemRelation } from '../catalog/system-schema.ts'
import type { Aggregate, Expr, Query } from '../query.ts'
import type { PlanBuilder } from './scope.ts'

/** The query over one-row sub-queries, undefined when it has another form or no index helps. */
export function extremeQuery(builder: PlanBuilder, query: Query): Query | undefined {
  if (
    builder.disabled('indexscan') ||
    !query.hasAggregates ||
    query.groupBy.length > 0 ||
    query.groupingSets ||
    query.having ||
    query.windows.length > 0
  )
    return undefined
  if (
    query.distinct ||
    query.hasSrf ||
    query.ctes.length > 0 ||
    query.from.length !== 1 ||
    query.from[0].kind !== 'entry'
  )
    return undefined
  const at = query.from[0].entry
  const entry = query.entries[at]
  if (entry.kind !== 'relation' || query.entries.length !== 1 || systemRelation(entry.relation) !== undefined)
    return undefined
  // References to outer queries would have to move a level out with the sub-query.
  if (queryUsesLevel(query, 1)) return undefined
  const relation = builder.context.names.catalog.relation(entry.relation)
  if (relation === undefined || relation.relkind !== 'r') return undefined
  const aggregates = new Map<string, Aggregate>()
  let plain = true
  const visit = (e: Expr): void => {
    if (e.kind === 'agg') aggregates.set(exprKey(e), e)
    else if (e.kind === 'sublink' || e.kind === 'var') plain = false
    else forEachChild(e, visit)
  }
  for (const t of query.targets) visit(t.expr)
  for (const o of query.orderBy) visit(o.expr)
  if (!plain || aggregates.size === 0) return undefined
  const replaced = new Map<string, Expr>()
  for (const [key, a] of aggregates) {
    const end = extreme(builder, query, a, relation.indexes)
    if (end === undefined) return undefined
    replaced.set(key, end)
  }
  const map = (e: Expr): Expr => (e.kind === 'agg' ? replaced.get(exprKey(e))! : mapChildren(e, map))
  return {
    ...emptyQuery(),
    targets: query.targets.map((t) => ({ ...t, expr: map(t.expr) })),
    limit: query.limit,
    offset: query.offset,
  }
}

function extreme(builder: PlanBuilder, query: Query, a: Aggregate, indexes: readonly number[]): Expr | undefined {
  const name = functionRow(builder.context, a.func)?.name
  if ((name !== 'min' && name !== 'max') || a.filter || a.distinct || a.orderBy.length > 0 || a.args.length !== 1)
    return undefined
  const arg = a.args[0]
  if (arg.kind !== 'var' || arg.up !== 0 || arg.column <= 0) return undefined
  const { catalog } = builder.context.names
  const indexed = indexes.some((oid) => {
    const info = catalog.relation(oid)?.index
    return info !== undefined && info.predicate === undefined && info.columns[0].column === arg.column
  })
  if (!indexed) return undefined
  const present: Expr = { kind: 'isnull', arg, negated: true, row: false, type: 16, typmod: -1 }
  const sub: Query = {
    ...emptyQuery(),
    entries: query.entries,
    from: query.from,
    where: query.where === undefined ? present : { kind: 'and', args: [query.where, present], type: 16, typmod: -1 },
    targets: [{ expr: arg, name: 'extreme', junk: false }],
    orderBy: [{ expr: arg, descending: name === 'max', nullsFirst: name === 'max' }],
    limit: { kind: 'const', text: '1', type: 20, typmod: -1 },
  }
  return { kind: 'sublink', link: 'scalar', query: sub, type: a.type, typmod: a.typmod }
}
