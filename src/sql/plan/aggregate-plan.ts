/**
 * GROUP BY: group keys and aggregates get registers, and the query's later expressions read those instead.
 */

import { DbError } from '../../base/index.ts'
import { functionRow } from '../bind/calls.ts'
import { exprKey, forEachChild, forEachQueryExpr, forEachSubquery } from '../bind/scope.ts'
import { type AggregateCall, Aggregation, type GroupingSet, type GroupKey } from '../execute/aggregate.ts'
import { type Computation, Project } from '../execute/basic.ts'
import { BatchAggregation } from '../execute/batch-aggregate.ts'
import type { Eval, Operator } from '../execute/execution.ts'
import { type BatchedScan, SeqScan } from '../execute/scan.ts'
import { Sort } from '../execute/sort.ts'
import { aggregateOf, aggregateRow } from '../functions/registry.ts'
import type { Aggregate, Expr, Grouping, Query } from '../query.ts'
import { int4Oid } from '../types/oids.ts'
import { aggregateProgram } from './batch-plan.ts'
import { compile, typeOf } from './compile.ts'
import { sortsGroups } from './distinct.ts'
import { columnOf, distinctCount } from './estimate.ts'
import { exprText } from './expr-text.ts'
import { registerTypes, sortKeys } from './plan-query.ts'
import { userAggregate } from './routine.ts'
import type { PlanScope } from './scope.ts'

export function planAggregation(scope: PlanScope, rowsIn: Operator, rows: number): Operator {
  const { query } = scope
  // Grouping sets have each their own order: they are hashed.
  const sorting = query.groupBy.length > 0 && query.groupingSets === undefined && sortsGroups(scope.builder)
  const input = sorting ? sortedByKeys(scope, rowsIn) : rowsIn
  const keys = query.groupBy.map((e): GroupKey => {
    const c = compile(scope, e)
    return {
      input: c.eval,
      output: scope.builder.allocate(typeOf(scope, e.type)),
      type: typeOf(scope, e.type),
      uses: c.uses,
      text: exprText(scope, e),
    }
  })
  const found = collect(query)
  const calls = found.aggregates.map((a) => planCall(scope, a))
  const groupings = found.groupings
  const groupingRegisters = groupings.map(() => scope.builder.allocate())
  const sets: GroupingSet[] = (query.groupingSets ?? [query.groupBy.map((_, i) => i)]).map((chosen) => ({
    keys: chosen,
    grouping: groupings.map((g) =>
      g.groups.reduce((bits, position) => bits * 2 + (chosen.includes(position) ? 0 : 1), 0),
    ),
  }))
  const groupedKeys = new Set(query.groupBy.map(exprKey))
  // Columns that follow from the grouped primary key are taken from a group's first row.
  const carried: number[] = []
  for (const v of found.vars) {
    if (groupedKeys.has(exprKey(v))) continue
    const c = compile(scope, v)
    if (c.register !== undefined && !carried.includes(c.register)) carried.push(c.register)
  }
  const simple = sets.length === 1 && sets[0].keys.length === keys.length && carried.length === 0
  const combinable = calls.every(({ code }) => code.partial !== undefined)
  // As many groups as rows: gathering them would save nothing.
  const few = keys.length === 0 || groupCount(scope) < rows / 4
  const gathering = simple && combinable && few && input instanceof SeqScan ? input : undefined
  const gathers = gathering?.options.remote?.gather({ keys: query.groupBy, calls: found.aggregates }) === true
  scope.substitutions = new Map()
  const program = simple ? aggregateProgram(scope, input, keys, found.aggregates, calls) : undefined
  query.groupBy.forEach((e, i) => {
    scope.substitute(e, keys[i].output)
  })
  found.aggregates.forEach((a, i) => {
    scope.substitute(a, calls[i].output)
  })
  groupings.forEach((g, i) => {
    scope.substitute(g, groupingRegisters[i])
  })
  const rowTier = new Aggregation(input, {
    keys,
    calls,
    sets,
    groupingRegisters,
    setKey: query.groupingSets === undefined ? undefined : setKey(scope),
    carried,
    sorted: sorting,
    gathering: gathers ? gathering : undefined,
    typeOfRegister: (r) => scope.builder.typeOfRegister(r),
  })
  const operator = program === undefined ? rowTier : new BatchAggregation(input as BatchedScan, rowTier, program)
  operator.rows = keys.length === 0 ? 1 : Math.min(rows, groupCount(scope))
  return operator
}

/** The keys in registers, where the aggregation finds them, and the rows in their order. */
function sortedByKeys(scope: PlanScope, input: Operator): Operator {
  const computations: Computation[] = []
  const items = scope.query.groupBy.map((expr) => ({ expr, descending: false, nullsFirst: false }))
  const keys = sortKeys(scope, items, computations)
  const below = computations.length === 0 ? input : new Project(input, computations)
  return new Sort(below, keys, registerTypes(scope))
}

function setKey(scope: PlanScope): GroupKey {
  const type = typeOf(scope, int4Oid)
  const output = scope.builder.allocate(type)
  return { input: (x) => x.r[output], output, type, uses: new Set(), text: '' }
}

/** About how many groups there are. */
function groupCount(scope: PlanScope): number {
  return scope.query.groupBy.reduce((n, e) => n * (columnOf(scope, e) === undefined ? 20 : distinctCount(scope, e)), 1)
}

interface Found {
  readonly aggregates: Aggregate[]
  readonly groupings: Grouping[]
  readonly vars: Expr[]
}

/** Aggregates and GROUPING calls of this level, wherever they stand, and columns outside of aggregates. */
function collect(query: Query): Found {
  const aggregates = new Map<string, Aggregate>()
  const groupings = new Map<string, Grouping>()
  const vars: Expr[] = []
  const keys = new Set(query.groupBy.map(exprKey))
  const visit = (e: Expr, depth: number): void => {
    if (depth === 0 && keys.has(exprKey(e))) return
    if (e.kind === 'agg' && e.up === depth) {
      const own: Aggregate = depth === 0 ? e : lowered(e, depth)
      aggregates.set(exprKey(own), own)
      return
    }
    if (e.kind === 'grouping' && e.up === depth) groupings.set(exprKey(e), e)
    if (e.kind === 'var' && e.up === depth) vars.push({ ...e, up: 0 })
    if (e.kind === 'sublink') visitQuery(e.query, depth + 1)
    forEachChild(e, (x) => visit(x, depth))
  }
  const visitQuery = (q: Query, depth: number): void => {
    forEachQueryExpr(q, (e) => visit(e, depth))
    forEachSubquery(q, (s) => visitQuery(s, depth + 1))
  }
  const top = (e: Expr | undefined): void => {
    if (e !== undefined) visit(e, 0)
  }
  for (const t of query.targets) top(t.expr)
  top(query.having)
  for (const o of query.orderBy) top(o.expr)
  query.distinct?.forEach(top)
  for (const w of query.windows) {
    w.partitionBy.forEach(top)
    for (const o of w.orderBy) top(o.expr)
    top(w.frame.start.offset)
    top(w.frame.end.offset)
  }
  return { aggregates: [...aggregates.values()], groupings: [...groupings.values()], vars }
}

/** An outer aggregate written inside a sub-query, as its own level sees it. */
function lowered(e: Aggregate, depth: number): Aggregate {
  return JSON.parse(JSON.stringify(e), (key, value) =>
    key === 'up' && typeof value === 'number' ? value - depth : value,
  )
}

export function planCall(scope: PlanScope, a: Aggregate): AggregateCall {
  const { context } = scope.builder
  const row = functionRow(context, a.func)!
  const user = context.names.catalog.function(a.func)
  const code = user === undefined ? aggregateOf(row) : userAggregate(scope, user)
  if (code === undefined) throw new DbError('feature_not_supported', `aggregate function ${row.name} is not supported`)
  const uses = new Set<number>()
  const evaluate = (e: Expr): Eval => {
    const c = compile(scope, e)
    for (const u of c.uses) uses.add(u)
    return c.eval
  }
  const order = a.orderBy.map((o, i) => ({
    register: i,
    type: typeOf(scope, o.expr.type),
    descending: o.descending,
    nullsFirst: o.nullsFirst,
    text: exprText(scope, o.expr),
  }))
  const argTypes =
    a.direct === undefined ? a.args.map((e) => e.type) : [...a.args, ...a.orderBy.map((o) => o.expr)].map((e) => e.type)
  return {
    code,
    site: { argTypes, resultType: a.type, typmod: a.typmod },
    args: a.args.map(evaluate),
    filter: a.filter === undefined ? undefined : evaluate(a.filter),
    distinct: a.distinct,
    argTypes: a.args.map((e) => typeOf(scope, e.type)),
    order,
    orderArgs: a.orderBy.map((o) => evaluate(o.expr)),
    direct: a.direct,
    output: scope.builder.allocate(typeOf(scope, a.type)),
    uses,
    strict: code.strict,
    hypothetical: aggregateRow(a.func)?.kind === 'h',
    text: exprText(scope, a),
  }
}
