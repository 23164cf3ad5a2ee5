/** Window functions: one sort and one operator per window; results are read by the targets above. */
import { DbError } from '../../base/index.ts'
import { functionRow } from '../bind/calls.ts'
import { exprKey, forEachChild } from '../bind/scope.ts'
import { type Computation, Project } from '../execute/basic.ts'
import type { Eval, Operator } from '../execute/execution.ts'
import { type WindowFunction, WindowOperator } from '../execute/window.ts'
import { aggregateOf, windowOf } from '../functions/registry.ts'
import type { Expr, FrameBound, SortItem, WindowCall } from '../query.ts'
import { callable, compile, typeOf } from './compile.ts'
import { computeOnce, planSort, sortKeys } from './plan-query.ts'
import { userAggregate } from './routine.ts'
import type { PlanScope } from './scope.ts'

export function planWindows(scope: PlanScope, input: Operator): Operator {
  const calls = new Map<string, WindowCall>()
  const visit = (e: Expr): void => {
    if (e.kind === 'window') calls.set(exprKey(e), e)
    else forEachChild(e, visit)
  }
  for (const t of scope.query.targets) visit(t.expr)
  for (const o of scope.query.orderBy) visit(o.expr)
  scope.query.distinct?.forEach(visit)
  let operator = input
  scope.query.windows.forEach((_, index) => {
    const own = [...calls.values()].filter((c) => c.window === index)
    if (own.length > 0) operator = planWindow(scope, operator, index, own)
  })
  return operator
}

function planWindow(scope: PlanScope, input: Operator, index: number, calls: readonly WindowCall[]): Operator {
  const window = scope.query.windows[index]
  const computations: Computation[] = []
  const partition = window.partitionBy.map((e) => ({
    register: computeOnce(scope, e, computations),
    type: typeOf(scope, e.type),
  }))
  const order = sortKeys(scope, window.orderBy, computations)
  const sortBy: SortItem[] = [
    ...window.partitionBy.map((expr) => ({ expr, descending: false, nullsFirst: false })),
    ...window.orderBy,
  ]
  let operator = computations.length === 0 ? input : new Project(input, computations)
  if (sortBy.length > 0) operator = planSort(scope, operator, sortBy, undefined)
  const offsetUses = new Set<number>()
  const offset = (b: FrameBound): Eval | undefined => {
    if (b.offset === undefined) return undefined
    const c = compile(scope, b.offset)
    for (const u of c.uses) offsetUses.add(u)
    return c.eval
  }
  const inRange = (b: FrameBound): ((...args: any[]) => boolean) | undefined => {
    if (b.inRange === undefined) return undefined
    const key = window.orderBy[0].expr.type
    return callable(scope, b.inRange, [key, key, b.offset!.type, 16, 16], 16)
  }
  const functions = calls.map((c) => planFunction(scope, c))
  const out = new WindowOperator(operator, {
    partition,
    order,
    frame: window.frame,
    startOffset: offset(window.frame.start),
    endOffset: offset(window.frame.end),
    startInRange: inRange(window.frame.start),
    endInRange: inRange(window.frame.end),
    functions,
    offsetUses,
    typeOfRegister: (r) => scope.builder.typeOfRegister(r),
  })
  calls.forEach((c, i) => {
    scope.substitute(c, functions[i].output)
  })
  return out
}

function planFunction(scope: PlanScope, call: WindowCall): WindowFunction {
  const { context } = scope.builder
  const row = functionRow(context, call.func)!
  const user = context.names.catalog.function(call.func)
  const window = call.aggregate ? undefined : windowOf(row)
  const aggregate = call.aggregate ? (user === undefined ? aggregateOf(row) : userAggregate(scope, user)) : undefined
  if (window === undefined && aggregate === undefined)
    throw new DbError('feature_not_supported', `window function ${row.name} is not supported`)
  const uses = new Set<number>()
  const evaluate = (e: Expr): Eval => {
    const c = compile(scope, e)
    for (const u of c.uses) uses.add(u)
    return c.eval
  }
  return {
    window,
    aggregate,
    site: { argTypes: call.args.map((a) => a.type), resultType: call.type, typmod: call.typmod },
    args: call.args.map(evaluate),
    filter: call.filter === undefined ? undefined : evaluate(call.filter),
    output: scope.builder.allocate(typeOf(scope, call.type)),
    uses,
  }
}
