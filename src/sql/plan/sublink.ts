/**
 * Sub-queries in expressions. One without outer references runs once per execution and is kept; IN over one becomes a
 * hash set. The others run again for each outer row, in the same registers.
 *
 * A sub-plan that must wait suspends the whole expression; when it is evaluated again the sub-plan goes on where it was.
 * Top-level EXISTS and IN conditions usually never get here: the planner makes semi-joins of them.
 */
import { DbError, END, ROW } from '../../base/index.ts'
import { queryUsesLevel } from '../bind/scope.ts'
import type { Eval, Execution, Operator } from '../execute/execution.ts'
import type { SubLink } from '../query.ts'
import { arrayOf } from '../types/array.ts'
import type { Type, Value } from '../types/type.ts'
import { type Build, callable, type Node, rowComparison, typeOf } from './compile.ts'
import { stack } from './compile-composite.ts'
import { planQuery } from './plan-query.ts'
import type { PlanScope } from './scope.ts'

interface Planned {
  readonly operator: Operator
  readonly outputs: readonly number[]
  readonly correlated: boolean
}

/** A sub-plan with its progress, so that a suspended evaluation goes on. */
class SubPlan {
  readonly operator: Operator
  running = false
  partial: Value

  constructor(operator: Operator) {
    this.operator = operator
  }

  /** Calls `row` for each row until it answers false. */
  run(x: Execution, start: () => void, row: () => boolean): void {
    if (!this.running) {
      this.operator.open(x)
      this.running = true
      start()
    }
    for (;;) {
      const step = this.operator.next(x)
      if (step === ROW) {
        if (row()) continue
        break
      }
      if (step === END) break
      x.suspend(step)
    }
    this.running = false
    this.operator.close(x)
  }

  reset(x: Execution): void {
    if (!this.running) return
    this.running = false
    this.operator.close(x)
  }
}

function planSub(scope: PlanScope, expr: SubLink, uses: Set<number>): Planned & { plan: SubPlan } {
  const planned = scope.builder.recording(uses, () => planQuery(scope.builder, expr.query, scope))
  const correlated = queryUsesLevel(expr.query, 1) || usesOuter(scope, expr)
  planned.operator.require(new Set(planned.outputs))
  const plan = new SubPlan(planned.operator)
  scope.builder.resets.push((x) => plan.reset(x))
  scope.builder.subplans.push({
    name: correlated ? `SubPlan ${scope.builder.subplans.length + 1}` : `InitPlan ${scope.builder.subplans.length + 1}`,
    plan: planned.operator,
  })
  return { operator: planned.operator, outputs: planned.outputs, correlated, plan }
}

/** References to any level outside count, not only to the next one. */
function usesOuter(scope: PlanScope, expr: SubLink): boolean {
  let level = 2
  for (let s = scope.parent; s !== undefined; s = s.parent, level++) if (queryUsesLevel(expr.query, level)) return true
  return false
}

export function compileSublink(scope: PlanScope, expr: SubLink, sub: Build, uses: Set<number>): Node {
  const { outputs, correlated, plan } = planSub(scope, expr, uses)
  const compute = computation(scope, expr, sub, outputs, plan, correlated)
  if (correlated || expr.left !== undefined) return { eval: compute }
  const kept = scope.builder.allocate()
  return {
    eval: (x) => {
      const known = x.r[kept]
      if (known !== undefined) return known
      const value = compute(x)
      x.r[kept] = value
      return value
    },
  }
}

function computation(
  scope: PlanScope,
  expr: SubLink,
  sub: Build,
  outputs: readonly number[],
  plan: SubPlan,
  correlated: boolean,
): Eval {
  switch (expr.link) {
    case 'exists':
      return (x) => {
        let found = false
        plan.run(
          x,
          () => {},
          () => {
            found = true
            return false
          },
        )
        return found
      }
    case 'scalar':
      return scalar(plan, outputs[0])
    case 'array':
      return array(scope, expr, plan, outputs[0])
    case 'row':
      return compared(scope, expr, sub, outputs, plan)
    default:
      return quantified(scope, expr, sub, outputs, plan, correlated)
  }
}

function scalar(plan: SubPlan, output: number): Eval {
  return (x) => {
    plan.run(
      x,
      () => {
        plan.partial = undefined
      },
      () => {
        if (plan.partial !== undefined) throw tooManyRows(x, plan)
        plan.partial = x.r[output]
        return true
      },
    )
    return plan.partial === undefined ? null : plan.partial
  }
}

function array(scope: PlanScope, expr: SubLink, plan: SubPlan, output: number): Eval {
  const type = typeOf(scope, expr.query.targets.find((t) => !t.junk)!.expr.type)
  const nested = type.category === 'A' && type.length === -1
  const element = typeOf(scope, expr.type).element
  return (x) => {
    plan.run(
      x,
      () => {
        plan.partial = []
      },
      () => {
        plan.partial.push(x.r[output])
        return true
      },
    )
    return nested ? stack(element, plan.partial) : arrayOf(element, plan.partial)
  }
}

function quantified(
  scope: PlanScope,
  expr: SubLink,
  sub: Build,
  outputs: readonly number[],
  plan: SubPlan,
  correlated: boolean,
): Eval {
  const left = expr.left!.map((e) => sub(e).eval)
  const leftTypes = expr.left!.map((e) => e.type)
  const visible = expr.query.targets.filter((t) => !t.junk)
  const rightTypes = visible.map((t) => t.expr.type)
  const any = expr.link === 'any'
  const hashable =
    !correlated &&
    any &&
    expr.test === '=' &&
    leftTypes.every((t, i) => t === rightTypes[i] && typeOf(scope, t).hashable)
  if (hashable)
    return hashed(
      leftTypes.map((t) => typeOf(scope, t)),
      left,
      outputs,
      plan,
      scope,
    )
  const test = comparison(scope, expr)
  return (x) => {
    const l = left.map((e) => e(x))
    plan.run(
      x,
      () => {
        plan.partial = !any
      },
      () => {
        const v = test(
          l,
          outputs.map((o) => x.r[o]),
          x,
        )
        if (v === any) {
          plan.partial = any
          return false
        }
        if (v === null) plan.partial = null
        return true
      },
    )
    return plan.partial
  }
}

/** A row against the one row of a sub-query: NULL when there is none. */
function compared(scope: PlanScope, expr: SubLink, sub: Build, outputs: readonly number[], plan: SubPlan): Eval {
  const left = expr.left!.map((e) => sub(e).eval)
  const test = comparison(scope, expr)
  return (x) => {
    const l = left.map((e) => e(x))
    plan.run(
      x,
      () => {
        plan.partial = undefined
      },
      () => {
        if (plan.partial !== undefined) throw tooManyRows(x, plan)
        plan.partial = test(
          l,
          outputs.map((o) => x.r[o]),
          x,
        )
        return true
      },
    )
    return plan.partial === undefined ? null : plan.partial
  }
}

function tooManyRows(x: Execution, plan: SubPlan): DbError {
  plan.reset(x)
  return new DbError('cardinality_violation', 'more than one row returned by a subquery used as an expression')
}

type RowTest = (l: readonly Value[], r: readonly Value[], x: Execution) => boolean | null

function comparison(scope: PlanScope, expr: SubLink): RowTest {
  const left = expr.left!.map((e) => e.type)
  const right = expr.query.targets.filter((t) => !t.junk).map((t) => t.expr.type)
  return left.length === 1
    ? single(scope, expr, left[0], right[0])
    : rowComparison(scope, expr.test!, expr.funcs!, left, right)
}

function single(
  scope: PlanScope,
  expr: SubLink,
  left: number,
  right: number,
): (l: readonly Value[], r: readonly Value[], x: Execution) => boolean | null {
  const code = callable(scope, expr.funcs![0], [left, right], 16)
  return (l, r, x) => (l[0] === null || r[0] === null ? null : code(l[0], r[0], x.types))
}

interface KeySet {
  readonly keys: Set<any>
  /** Some row had a NULL in it. */
  hasNull: boolean
  empty: boolean
  /** Rows of several columns, value by value: NULL matches nothing for certain, but unequal columns decide. */
  readonly rows: (readonly any[])[]
}

/** Whether some row equals the values as far as neither has a NULL. */
function mayEqual(set: KeySet, keys: readonly any[]): boolean {
  return set.rows.some((row) => row.every((k, i) => k === null || keys[i] === null || k === keys[i]))
}

function hashed(
  types: readonly Type[],
  left: readonly Eval[],
  outputs: readonly number[],
  plan: SubPlan,
  scope: PlanScope,
): Eval {
  const kept = scope.builder.allocate()
  const one = outputs.length === 1
  const keysOf = (values: readonly Value[]): any[] =>
    values.map((v, i) => (v === null ? null : String(types[i].key(v))))
  const keyOf = (values: readonly Value[]): any => (one ? types[0].key(values[0]) : JSON.stringify(keysOf(values)))
  const build = (x: Execution): KeySet => {
    plan.run(
      x,
      () => {
        plan.partial = { keys: new Set(), hasNull: false, empty: true, rows: [] }
      },
      () => {
        const set = plan.partial as KeySet
        set.empty = false
        const values = outputs.map((o) => x.r[o])
        if (values.includes(null)) set.hasNull = true
        else set.keys.add(keyOf(values))
        if (!one) set.rows.push(keysOf(values))
        return true
      },
    )
    return plan.partial
  }
  return (x) => {
    let set = x.r[kept] as KeySet | undefined
    if (set === undefined) {
      set = build(x)
      x.r[kept] = set
    }
    if (set.empty) return false
    const values = left.map((e) => e(x))
    if (values.includes(null)) return one || mayEqual(set, keysOf(values)) ? null : false
    if (set.keys.has(keyOf(values))) return true
    return set.hasNull && (one || mayEqual(set, keysOf(values))) ? null : false
  }
}
