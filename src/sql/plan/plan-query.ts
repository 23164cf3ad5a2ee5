/**
 * A bound query to an executable plan: common tables, joins, then what happens to the joined rows in SQL's order:
 *
 *   FROM/WHERE → semi-joins → GROUP BY → HAVING → windows → targets → DISTINCT → ORDER BY → LIMIT → locks
 *
 * Not here: INSERT, UPDATE, DELETE (plan-modify.ts).
 */

import { exprKey, forEachChild } from '../bind/scope.ts'
import { Unique } from '../execute/aggregate.ts'
import {
  type Computation,
  Filter,
  Limit,
  LimitWithTies,
  NoRows,
  OneRow,
  OneTimeFilter,
  Project,
  ProjectSet,
  type SetComputation,
} from '../execute/basic.ts'
import type { Eval, Operator } from '../execute/execution.ts'
import { rowOrder, Sort, type SortKey } from '../execute/sort.ts'
import type { Expr, FromNode, Query, SortItem, Target } from '../query.ts'
import type { Type } from '../types/type.ts'
import { compileAll, type WantedOrder, type WantedOrdering } from './access-path.ts'
import { planAggregation } from './aggregate-plan.ts'
import { compile, typeOf } from './compile.ts'
import { distinctRows } from './distinct.ts'
import { columnOf } from './estimate.ts'
import { exprText } from './expr-text.ts'
import { extremeQuery } from './extreme.ts'
import { addFrom, emptyProblem, iterator } from './from-problem.ts'
import { joinAll } from './join-order.ts'
import { planModify } from './plan-modify.ts'
import { type Condition, condition, conjuncts } from './rel.ts'
import { planRowLocks } from './row-locks.ts'
import { type PlanBuilder, PlanScope } from './scope.ts'
import { extractSemiJoins, type SemiJoin } from './semi-join.ts'
import { planSetOperation } from './set-operation-plan.ts'
import { planWindows } from './window-plan.ts'
import { planCommonTables } from './with-plan.ts'

export interface Planned {
  readonly operator: Operator
  /** Register of each visible output column. */
  readonly outputs: readonly number[]
  readonly rows: number
}

export function planQuery(builder: PlanBuilder, query: Query, parent: PlanScope | undefined): Planned {
  const scope = new PlanScope(builder, query, parent)
  const finish = planCommonTables(scope)
  const planned =
    query.modify !== undefined
      ? planModify(scope)
      : query.setOperation !== undefined
        ? planSetQuery(scope)
        : planSelect(scope)
  return finish(planned)
}

/** Rows of FROM and WHERE. `extra` conditions come from outside (a semi-join's). */
export function planFrom(
  scope: PlanScope,
  order?: WantedOrdering,
): { operator: Operator; rows: number; ordered: boolean } {
  const { query } = scope
  const problem = emptyProblem()
  for (const node of query.from) addFrom(problem, scope, node, false, query.from.length === 1 ? order : undefined)
  const semi: SemiJoin[] = []
  for (const c of conjuncts(query.where)) {
    const join = extractSemiJoins(scope, c)
    if (join !== undefined) semi.push(join)
    else problem.conditions.push(condition(scope, c))
  }
  return joinProblem(problem, semi)
}

export function joinProblem(
  problem: ReturnType<typeof emptyProblem>,
  semi: readonly SemiJoin[],
): { operator: Operator; rows: number; ordered: boolean } {
  const isConstant = (c: Condition) => c.rels.size === 0 && !c.volatile
  const once = problem.conditions.filter(isConstant)
  // Sub-plans are costly and volatile conditions run once a row: both after the joins.
  const late = problem.conditions.filter((c) => !isConstant(c) && (c.volatile || c.hasSublink))
  const early = problem.conditions.filter((c) => !isConstant(c) && !late.includes(c))
  let operator: Operator
  let rows = 1
  let ordered = true
  if (problem.items.length === 0) operator = new OneRow()
  else {
    const joined = joinAll(problem.items, early, new Set())
    operator = joined.build()
    operator.rows = joined.rows
    operator.totalCost = joined.cost
    rows = joined.rows
    ordered = joined.ordered
  }
  for (const s of semi) {
    const left = { operator, rows }
    const out = s.join(left)
    operator = out.operator
    rows = out.rows
  }
  if (late.length > 0) operator = new Filter(operator, compileAll(late))
  if (once.length > 0) operator = constantFilter(operator, once)
  return { operator, rows, ordered }
}

function constantFilter(input: Operator, conditions: readonly Condition[]): Operator {
  const compiled = conditions.map((c) => compile(c.scope, c.expr))
  if (compiled.some((c) => c.constant !== undefined && c.constant.value !== true)) return new NoRows(input.produces())
  if (compiled.every((c) => c.constant !== undefined)) return input
  return new OneTimeFilter(input, compileAll(conditions))
}

function planSelect(scope: PlanScope): Planned {
  const extreme = extremeQuery(scope.builder, scope.query)
  if (extreme !== undefined) return planSelect(new PlanScope(scope.builder, extreme, scope.parent))
  const { query } = scope
  const grouped = query.groupBy.length > 0 || query.groupingSets !== undefined || query.hasAggregates
  const wanted =
    grouped || query.windows.length > 0 || query.distinct !== undefined ? undefined : wantedOrder(scope, query)
  const from = planFrom(scope, wanted)
  let { operator } = from
  let sorted = wanted !== undefined && from.ordered && query.orderBy.length > 0
  if (grouped) {
    operator = planAggregation(scope, operator, from.rows)
    if (query.having !== undefined) operator = new Filter(operator, compileAll([havingCondition(scope)]))
    sorted = false
  }
  if (query.windows.length > 0) {
    operator = planWindows(scope, operator)
    sorted = false
  }
  const marked = query.marks.length > 0
  const keys = query.orderBy
  if (query.hasSrf) operator = planSets(scope, operator)
  if (query.distinct !== undefined) return finishDistinct(scope, operator, from.rows)
  let limited = false
  if (keys.length > 0 && !sorted) {
    const done = planSort(scope, operator, keys, marked || query.withTies ? undefined : limitOf(scope))
    operator = done
  }
  if (marked) operator = planRowLocks(scope, operator)
  if (query.limit !== undefined || query.offset !== undefined) {
    operator = planLimit(scope, operator, keys)
    limited = true
  }
  const targets = planTargets(scope, operator, query.targets)
  return { ...targets, rows: limited ? Math.min(from.rows, 100) : from.rows }
}

function havingCondition(scope: PlanScope): Condition {
  return { scope, expr: scope.query.having!, rels: new Set(), hasSublink: true, volatile: false }
}

/** The order an index could deliver: ORDER BY of plain columns of the only relation. */
function wantedOrder(scope: PlanScope, query: Query): WantedOrdering | undefined {
  if (query.orderBy.length === 0 || query.from.length !== 1 || query.hasSrf) return undefined
  const out: WantedOrder[] = []
  const single = onlyEntry(query.from[0])
  if (single === undefined) return undefined
  for (const o of query.orderBy) {
    const e = o.expr
    if (e.kind !== 'var' || e.up !== 0 || e.entry !== single || columnOf(scope, e) === undefined) return undefined
    out.push({ column: e.column, descending: o.descending, nullsFirst: o.nullsFirst })
  }
  return { keys: out, limit: limitGuess(query) }
}

/** How many rows LIMIT lets through: a parameter is taken for a page. */
function limitGuess(query: Query): number | undefined {
  const count = (e: Expr | undefined, guess: number): number => {
    if (e === undefined) return 0
    const inner = e.kind === 'func' && e.args.length === 1 ? e.args[0] : e
    return inner.kind === 'const' && inner.text !== undefined ? Number(inner.text) : guess
  }
  return query.limit === undefined ? undefined : count(query.limit, 100) + count(query.offset, 0)
}

function onlyEntry(node: FromNode): number | undefined {
  return node.kind === 'entry' ? node.entry : undefined
}

// ---- targets

/** Computes expressions that are not in registers yet. */
export function planTargets(
  scope: PlanScope,
  input: Operator,
  targets: readonly Target[],
): { operator: Operator; outputs: number[] } {
  const computations: Computation[] = []
  const outputs: number[] = []
  for (const t of targets) {
    if (t.junk) continue
    outputs.push(registerOf(scope, t.expr, computations))
  }
  return { operator: computations.length === 0 ? input : new Project(input, computations), outputs }
}

/** The register that holds the expression: its own, or one computed. */
export function registerOf(scope: PlanScope, expr: Expr, computations: Computation[]): number {
  const compiled = compile(scope, expr)
  if (compiled.register !== undefined) return compiled.register
  const register = scope.builder.allocate()
  scope.builder.noteType(register, typeOf(scope, expr.type))
  computations.push({ eval: compiled.eval, register, uses: compiled.uses, suspends: compiled.suspends })
  return register
}

/** Computes the expression below what follows, and lets equal ones above read it. */
export function computeOnce(scope: PlanScope, expr: Expr, computations: Computation[]): number {
  const register = registerOf(scope, expr, computations)
  if (expr.kind !== 'var' && expr.kind !== 'const') scope.substitute(expr, register)
  return register
}

/** Set-returning targets: each call becomes a register, filled row by row; nested ones from the inside out. */
function planSets(scope: PlanScope, input: Operator): Operator {
  let operator = input
  for (let level = 0; level < 10; level++) {
    const found: Expr[] = []
    const seen = new Set<string>()
    const visit = (e: Expr): void => {
      if (scope.substitutions.has(exprKey(e))) return
      if (e.kind === 'srf' && !contains(scope, e.args)) {
        const key = exprKey(e)
        if (!seen.has(key)) found.push(e)
        seen.add(key)
        return
      }
      forEachChild(e, visit)
    }
    for (const t of scope.query.targets) visit(t.expr)
    for (const o of scope.query.orderBy) visit(o.expr)
    if (found.length === 0) return operator
    const sets = found.map((e): SetComputation => {
      const { iterate, uses } = iterator(scope, e, undefined)
      return { iterate, uses, register: scope.builder.allocate(typeOf(scope, e.type)) }
    })
    found.forEach((e, i) => {
      scope.substitute(e, sets[i].register)
    })
    operator = new ProjectSet(operator, sets)
  }
  return operator
}

function contains(scope: PlanScope, args: readonly Expr[]): boolean {
  let found = false
  const visit = (e: Expr): void => {
    if (scope.substitutions.has(exprKey(e))) return
    if (e.kind === 'srf') found = true
    else forEachChild(e, visit)
  }
  args.forEach(visit)
  return found
}

// ---- order and limit

export function sortKeys(scope: PlanScope, items: readonly SortItem[], computations: Computation[]): SortKey[] {
  return items.map((o) => ({
    register: computeOnce(scope, o.expr, computations),
    type: typeOf(scope, o.expr.type),
    descending: o.descending,
    nullsFirst: o.nullsFirst,
    text: `${exprText(scope, o.expr)}${o.descending ? ' DESC' : ''}`,
  }))
}

export function planSort(
  scope: PlanScope,
  input: Operator,
  items: readonly SortItem[],
  limit: { count: Eval | undefined; offset: Eval | undefined } | undefined,
): Operator {
  const computations: Computation[] = []
  const constant = (o: SortItem) => o.expr.kind === 'const'
  const keys = sortKeys(
    scope,
    items.filter((o) => !constant(o)),
    computations,
  )
  // Volatile targets are computed once, before the sort, so that what is shown is what was sorted.
  const operator = computations.length === 0 ? input : new Project(input, computations)
  if (keys.length === 0) return operator
  return new Sort(operator, keys, registerTypes(scope), limit?.count, limit?.offset)
}

/** Types of registers that hold columns, for spilling rows. */
export function registerTypes(scope: PlanScope): (register: number) => Type | undefined {
  return (register) => scope.builder.typeOfRegister(register)
}

function limitOf(scope: PlanScope): { count: Eval | undefined; offset: Eval | undefined } | undefined {
  const { query } = scope
  if (query.limit === undefined) return undefined
  return {
    count: compile(scope, query.limit).eval,
    offset: query.offset === undefined ? undefined : compile(scope, query.offset).eval,
  }
}

export function planLimit(scope: PlanScope, input: Operator, order: readonly SortItem[]): Operator {
  const { query } = scope
  const count = query.limit === undefined ? undefined : compile(scope, query.limit).eval
  const offset = query.offset === undefined ? undefined : compile(scope, query.offset).eval
  if (!query.withTies || count === undefined) return new Limit(input, count, offset)
  const computations: Computation[] = []
  const keys = sortKeys(scope, order, computations)
  const compare = rowOrder(
    keys,
    keys.map((_, i) => i),
  )
  return new LimitWithTies(
    input,
    count,
    offset,
    keys.map((k) => k.register),
    (a, b) => compare(a, b) === 0,
  )
}

// ---- DISTINCT

function finishDistinct(scope: PlanScope, input: Operator, rows: number): Planned {
  const { query } = scope
  const computations: Computation[] = []
  const on = query.distinct!
  const visible = query.targets.filter((t) => !t.junk)
  const outputs = visible.map((t) => computeOnce(scope, t.expr, computations))
  if (on.length === 0) {
    const projected = computations.length === 0 ? input : new Project(input, computations)
    let operator = distinctRows(
      scope.builder,
      projected,
      outputs.map((register, i) => {
        const { expr } = visible[i]
        return { register, type: typeOf(scope, expr.type), text: exprText(scope, expr) }
      }),
    )
    if (query.orderBy.length > 0) operator = planSort(scope, operator, query.orderBy, limitOf(scope))
    if (query.limit !== undefined || query.offset !== undefined) operator = planLimit(scope, operator, query.orderBy)
    return { operator, outputs, rows }
  }
  // DISTINCT ON: sorted by its expressions first, the first row of each run stays.
  const missing = on.filter((e) => !query.orderBy.some((o) => exprKey(o.expr) === exprKey(e)))
  const order = [...query.orderBy, ...missing.map((expr): SortItem => ({ expr, descending: false, nullsFirst: false }))]
  const leading = query.orderBy.filter((o) => on.some((e) => exprKey(e) === exprKey(o.expr)))
  const rest = order.filter((o) => !leading.includes(o))
  const sorted = planSort(
    scope,
    computations.length === 0 ? input : new Project(input, computations),
    [...leading, ...rest],
    undefined,
  )
  const columns = on
    .map((e) => ({ register: compile(scope, e).register ?? -1, type: typeOf(scope, e.type) }))
    .filter((c) => c.register >= 0)
  let operator: Operator = new Unique(sorted, columns)
  if (query.limit !== undefined || query.offset !== undefined) operator = planLimit(scope, operator, query.orderBy)
  return { operator, outputs, rows }
}

// ---- set operations

function planSetQuery(scope: PlanScope): Planned {
  const { query } = scope
  const { operator: combined, rows } = planSetOperation(scope)
  let operator = combined
  if (query.orderBy.length > 0) operator = planSort(scope, operator, query.orderBy, limitOf(scope))
  if (query.limit !== undefined || query.offset !== undefined) operator = planLimit(scope, operator, query.orderBy)
  return { ...planTargets(scope, operator, query.targets), rows }
}
