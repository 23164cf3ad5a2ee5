/**
 * EXISTS, NOT EXISTS and IN (sub-query) as conditions of a WHERE clause: semi- and anti-joins. The sub-query's own
 * relations are joined among themselves; conditions that mention outer columns become the join's.
 */
import { raise } from '../bind/scope.ts'
import { Materialize } from '../execute/basic.ts'
import type { Operator } from '../execute/execution.ts'
import type { Expr, Query, SubLink } from '../query.ts'
import { rowCost } from './access-path.ts'
import { addFrom, emptyProblem } from './from-problem.ts'
import { hashJoin, joinAll, nestedLoop } from './join-order.ts'
import {
  type Condition,
  condition,
  conjuncts,
  containsSublink,
  type EquiKey,
  equiKey,
  type Rel,
  relsOf,
  subset,
} from './rel.ts'
import { PlanScope } from './scope.ts'

export interface SemiJoin {
  join(left: { operator: Operator; rows: number }): { operator: Operator; rows: number }
}

/** A join for the condition, undefined when it has another form. */
export function extractSemiJoins(scope: PlanScope, expr: Expr): SemiJoin | undefined {
  if (expr.kind === 'sublink' && expr.link === 'exists') return make(scope, expr, 'semi')
  if (expr.kind === 'not' && expr.arg.kind === 'sublink' && expr.arg.link === 'exists')
    return make(scope, expr.arg, 'anti')
  if (expr.kind === 'sublink' && expr.link === 'any' && expr.test === '=') return make(scope, expr, 'semi')
  return undefined
}

function simple(query: Query): boolean {
  return (
    query.command === 'select' &&
    query.setOperation === undefined &&
    !query.hasAggregates &&
    !query.hasSrf &&
    query.groupBy.length === 0 &&
    !query.groupingSets &&
    !query.having &&
    query.windows.length === 0 &&
    query.limit === undefined &&
    query.offset === undefined &&
    query.ctes.length === 0 &&
    query.marks.length === 0 &&
    query.from.length > 0 &&
    (query.distinct === undefined || query.distinct.length === 0)
  )
}

function make(scope: PlanScope, link: SubLink, type: 'semi' | 'anti'): SemiJoin | undefined {
  const { query } = link
  if (!simple(query) || query.from.some(hasOuterJoin)) return undefined
  if (link.left?.some(containsSublink) || query.targets.some((t) => containsSublink(t.expr))) return undefined
  if (conjuncts(query.where).some(containsSublink)) return undefined
  return { join: (left) => plan(scope, link, type, left) }
}

function hasOuterJoin(node: Query['from'][number]): boolean {
  return node.kind === 'join' && (node.join !== 'inner' || hasOuterJoin(node.left) || hasOuterJoin(node.right))
}

function plan(
  scope: PlanScope,
  link: SubLink,
  type: 'semi' | 'anti',
  left: { operator: Operator; rows: number },
): { operator: Operator; rows: number } {
  const { query } = link
  const inner = new PlanScope(scope.builder, query, scope, scope.problem)
  const problem = emptyProblem()
  for (const node of query.from) addFrom(problem, inner, node, false)
  const innerRels = new Set(problem.items.flatMap((i) => [...i.rels]))
  const all = [
    ...problem.conditions,
    ...conjuncts(query.where).map((c) => condition(inner, c)),
    ...comparisons(scope, inner, link),
  ]
  const own = all.filter((c) => subset(c.rels, innerRels))
  const joining = all.filter((c) => !subset(c.rels, innerRels))
  const outerRels = new Set<Rel>()
  for (const c of joining) for (const r of c.rels) if (!innerRels.has(r)) outerRels.add(r)
  const rows = left.rows * 0.5
  const keys = joining.map((c) => equiKey(c, outerRels, innerRels)).filter((k): k is EquiKey => k !== undefined)
  const rest = joining.filter((c) => !keys.some((k) => k.condition === c))
  const parameterized = joinAll(problem.items, [...own, ...joining], outerRels)
  const alone = problem.items.every((i) => [...i.needs].every((r) => innerRels.has(r)))
    ? joinAll(problem.items, own, new Set())
    : undefined
  const hashCost =
    alone === undefined || keys.length === 0
      ? Number.POSITIVE_INFINITY
      : scope.builder.penalty('hashjoin') + alone.cost + alone.rows * rowCost * 1.8 + left.rows * rowCost
  const loopCost = scope.builder.penalty('nestloop') + left.rows * (parameterized.cost + rowCost)
  if (alone !== undefined && hashCost <= loopCost)
    return { operator: hashJoin(type, left.operator, alone.build(), keys, rest), rows }
  if (alone !== undefined && joining.length === 0)
    return { operator: nestedLoop(type, left.operator, () => new Materialize(alone.build()), [], undefined), rows }
  return { operator: nestedLoop(type, left.operator, () => parameterized.build(), [], scope.builder), rows }
}

/** x IN (SELECT y …) as x = y, read inside the sub-query. */
function comparisons(scope: PlanScope, inner: PlanScope, link: SubLink): Condition[] {
  if (link.left === undefined) return []
  const targets = link.query.targets.filter((t) => !t.junk)
  return link.left.map((l, i) => {
    const expr: Expr = {
      kind: 'func',
      func: link.funcs![i],
      operator: link.operators![i],
      args: [raise(l, 1), targets[i].expr],
      type: 16,
      typmod: -1,
    }
    return { scope: inner, expr, rels: relsOf(inner, expr), hasSublink: false, volatile: scope.isVolatile(l) }
  })
}
