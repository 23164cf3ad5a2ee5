/**
 * User functions in SQL: each statement of the body is planned once per call site and run with the arguments as
 * parameters, in registers of its own. A set-returning one gives all rows of its last statement.
 *
 * Not here: procedural languages; CREATE FUNCTION refuses those it does not know.
 */
import { DbError, END, ROW, unreachable, WAIT } from '../../base/index.ts'
import { type BindContext, ParameterTypes } from '../bind/context.ts'
import { bindModifyNode } from '../bind/modify.ts'
import { bindSelectNode, wrapWithTypes } from '../bind/select.ts'
import type { FunctionDescriptor } from '../catalog/descriptors.ts'
import { Execution, type Operator } from '../execute/execution.ts'
import type { AggregateCode, FunctionCode } from '../functions/function.ts'
import { parse } from '../parse/parser.ts'
import type { Query } from '../query.ts'
import { SqlRecord } from '../types/record.ts'
import type { Type, Value } from '../types/type.ts'
import { callable } from './compile.ts'
import { planQuery } from './plan-query.ts'
import { PlanBuilder, type PlanScope } from './scope.ts'

const maxDepth = 100

interface Statement {
  readonly operator: Operator
  readonly outputs: readonly number[]
  readonly types: readonly Type[]
  readonly names: readonly string[]
  readonly registers: number
  readonly resets: readonly ((x: Execution) => void)[]
}

function planBody(scope: PlanScope, f: FunctionDescriptor, results: readonly number[] | undefined): () => Statement[] {
  let statements: Statement[] | undefined
  const { builder } = scope
  return () => {
    statements ??= parse(f.body).map((raw, i, all) =>
      planStatement(builder, f, raw.node, i === all.length - 1 ? results : undefined),
    )
    return statements
  }
}

function bodyContext(outer: BindContext, f: FunctionDescriptor): BindContext {
  const inputs = f.args.filter((a) => a.mode !== 'o' && a.mode !== 't')
  return {
    ...outer,
    text: f.body,
    parameters: new ParameterTypes(
      inputs.map((a) => a.type),
      true,
      inputs.map((a) => a.name),
    ),
  }
}

function planStatement(
  outer: PlanBuilder,
  f: FunctionDescriptor,
  node: any,
  results: readonly number[] | undefined,
): Statement {
  const context = bodyContext(outer.context, f)
  let query: Query = node.SelectStmt
    ? bindSelectNode(context, undefined, node, true)
    : bindModifyNode(context, undefined, node)
  const isVoid = results?.length === 1 && results[0] === 2278
  if (results !== undefined && !isVoid && query.modify === undefined) {
    const visible = query.targets.filter((t) => !t.junk)
    if (visible.length !== results.length) {
      throw new DbError(
        'invalid_function_definition',
        'return type mismatch in function declared to return other columns',
      )
    }
    if (visible.some((t, i) => t.expr.type !== results[i])) query = wrapWithTypes(context, query, results)
  }
  const builder = new PlanBuilder(context, outer.tables, outer.rows)
  const planned = planQuery(builder, query, undefined)
  planned.operator.require(new Set(planned.outputs))
  const targets = query.modify === undefined ? query.targets.filter((t) => !t.junk) : (query.modify.returning ?? [])
  return {
    operator: planned.operator,
    outputs: planned.outputs,
    registers: builder.registers,
    resets: builder.resets,
    types: targets.map((t) => context.types.types.type(t.expr.type)),
    names: targets.map((t) => t.name),
  }
}

/** Types of the columns a body must deliver: the OUT columns, the row type's, or the one result. */
function resultTypes(scope: PlanScope, f: FunctionDescriptor): number[] {
  const outs = f.args.filter((a) => a.mode === 'o' || a.mode === 'b' || a.mode === 't')
  if (outs.length > 0) return outs.map((a) => a.type)
  const type = scope.builder.context.types.types.type(f.result)
  if (type.kind === 'c') {
    return scope.builder.context.names.catalog
      .relationOf(type.relation)
      .columns.filter((c) => !c.dropped)
      .map((c) => c.type)
  }
  return [f.result]
}

/** Runs the body; calls `row` for each row of the last statement until it answers false. */
function run(
  x: Execution,
  statements: readonly Statement[],
  args: readonly Value[],
  row: (s: Statement, inner: Execution) => boolean,
): void {
  if (x.depth >= maxDepth) throw new DbError('statement_too_complex', 'stack depth limit exceeded')
  statements.forEach((s, i) => {
    const inner = new Execution(s.registers, args, x.tx, x.session, x.depth + 1)
    inner.deadline = Number.POSITIVE_INFINITY
    for (const reset of s.resets) reset(inner)
    s.operator.open(inner)
    for (;;) {
      const step = s.operator.next(inner)
      if (step === END) break
      if (step !== ROW) {
        // A body that must wait cannot be resumed half way: the caller runs it again when the wait is over.
        s.operator.close(inner)
        x.blocker = inner.blocker
        x.suspend(step)
      }
      if (i === statements.length - 1 && !row(s, inner)) break
    }
    s.operator.close(inner)
  })
}

/** The code of a scalar SQL function. `x` is the calling execution, passed after the type context. */
export function compileRoutine(
  scope: PlanScope,
  f: FunctionDescriptor,
  _argTypes: readonly number[],
  _result: number,
): FunctionCode {
  if (f.language === 'plpgsql') return procedural(f)
  if (f.language !== 'sql')
    throw new DbError('feature_not_supported', `functions in language ${f.language} are not supported`)
  const types = resultTypes(scope, f)
  const body = planBody(scope, f, types)
  const composite = types.length > 1
  return (...args: any[]) => {
    const x = args[args.length - 1] as Execution
    const values = args.slice(0, -2)
    let result: Value = null
    run(x, body(), values, (s, inner) => {
      if (s.outputs.length > 0) result = composite ? record(s, inner) : inner.r[s.outputs[0]]
      return false
    })
    return result
  }
}

function record(s: Statement, x: Execution): SqlRecord {
  return new SqlRecord(
    s.types,
    s.outputs.map((o) => x.r[o]),
    s.names,
  )
}

/**
 * A PL/pgSQL function. Its statements are the transaction's; when one must wait, what the call has written is taken
 * back and the call is made again later (its locks stay).
 */
function procedural(f: FunctionDescriptor): FunctionCode {
  return (...args: any[]) => {
    const x = args[args.length - 1] as Execution
    const session = x.session.procedures
    const { local } = x.session
    const mark = x.tx.overlay.mark
    const localMark = local?.writes.mark ?? 0
    const call = session.call(f, args.slice(0, -2))
    for (;;) {
      if (local !== undefined) local.callsMade++
      let result: ReturnType<typeof call.next>
      try {
        result = call.next()
      } finally {
        if (local !== undefined) local.callsMade--
      }
      if (result.done) return result.value
      if (result.value !== WAIT) continue
      call.return(null)
      x.tx.overlay.rollback(mark)
      local?.writes.rollbackTo(localMark)
      x.blocker = session.blocker()
      x.suspend(WAIT)
    }
  }
}

/** The code of a set-returning SQL function: an array of its rows. */
export function setRoutine(
  scope: PlanScope,
  f: FunctionDescriptor,
  columns: readonly Type[] | undefined,
): FunctionCode {
  if (f.language === 'plpgsql') return procedural(f)
  if (f.language !== 'sql')
    throw new DbError('feature_not_supported', `functions in language ${f.language} are not supported`)
  const types = columns === undefined ? resultTypes(scope, f) : columns.map((t) => t.oid)
  const body = planBody(scope, f, types)
  return (...args: any[]) => {
    const x = args[args.length - 1] as Execution
    const rows: Value[] = []
    run(x, body(), args.slice(0, -2), (s, inner) => {
      rows.push(s.outputs.length > 1 || columns !== undefined ? record(s, inner) : inner.r[s.outputs[0]])
      return true
    })
    return rows
  }
}

/** CREATE AGGREGATE: a state function folded over the rows. */
export function userAggregate(scope: PlanScope, f: FunctionDescriptor): AggregateCode {
  const a = f.aggregate
  if (a === undefined) return unreachable(f as never, 'an aggregate has its parts')
  const { types } = scope.builder.context
  const argTypes = f.args.map((p) => p.type)
  const step = callable(scope, a.step, [a.state, ...argTypes], a.state)
  const final = a.final === 0 ? undefined : callable(scope, a.final, [a.state], f.result)
  const strictStep = scope.builder.context.names.catalog.function(a.step)?.strict ?? false
  const initial = a.initial === undefined ? null : types.types.type(a.state).parse(a.initial, -1, types)
  return {
    strict: strictStep,
    init: () => ({ value: initial, started: a.initial !== undefined }),
    step: (state, ...args) => {
      const x = scope.builder.running
      if (strictStep && !state.started) return { value: args[0], started: true }
      if (strictStep && state.value === null) return state
      return { value: step(state.value, ...args, types, x), started: true }
    },
    finish: (state) =>
      final === undefined || state.value === null ? state.value : final(state.value, types, scope.builder.running),
  }
}
