/**
 * Which bound expressions can be computed for batches of a relation's rows, and from what: columns of the relation,
 * constants, parameters, and immutable strict functions of the system over them.
 *
 * Whatever is not understood here stays with the row tier, which has compiled all of it anyway.
 *
 * Not here: the code that is made (execute/batch-code.ts).
 */
import { functionRow } from '../bind/calls.ts'
import { mapChildren } from '../bind/scope.ts'
import type { AggregateCall, GroupKey } from '../execute/aggregate.ts'
import { formOf } from '../execute/batch-code.ts'
import { type BatchExpr, BatchInputs, type Form } from '../execute/batch-expression.ts'
import { BatchFilter } from '../execute/batch-filter.ts'
import { equalities, inlines } from '../execute/batch-inline.ts'
import type { AggregateProgram, BatchCall } from '../execute/batch-kernel.ts'
import type { Eval, Operator } from '../execute/execution.ts'
import { BatchedScan } from '../execute/scan.ts'
import type { TableAccess } from '../execute/tables.ts'
import { accumulatorOf } from '../functions/accumulators.ts'
import type { AggregateCode } from '../functions/function.ts'
import type { Aggregate, Expr, Func } from '../query.ts'
import { callable, compile } from './compile.ts'
import type { Condition, Rel } from './rel.ts'
import type { PlanScope } from './scope.ts'

/** Object ids below this are the system's. */
const firstUserOid = 16_384
const floats = new Set([700, 701])

/** The relation whose rows come in batches, by where its columns go. */
type Columns = ReadonlyMap<number, number>

/** What a scan can test in batches: its conditions up to the first that is not understood. */
export function batchFilter(rel: Rel, access: TableAccess, conditions: readonly Condition[]): BatchFilter | undefined {
  const source = rel.scope.source(rel.entry)
  // Rows without columns are too short for what loops read of every row.
  if (source.kind !== 'registers' || access.layouts.some((l) => l.kinds.length === 0)) return undefined
  const inputs = new BatchInputs()
  const tests: BatchExpr[] = []
  for (const c of conditions) {
    const test = understand(source.byColumn, inputs, c.scope, c.expr)
    if (test === undefined || test.form !== 'boolean') break
    tests.push(test)
  }
  const whole = tests.length === conditions.length
  return whole || tests.length > 0 ? new BatchFilter(access, inputs, tests, whole) : undefined
}

/** The grouping and aggregates over a scan's rows; undefined: they stay with the row tier. */
export function aggregateProgram(
  scope: PlanScope,
  input: Operator,
  keys: readonly GroupKey[],
  aggregates: readonly Aggregate[],
  calls: readonly AggregateCall[],
): AggregateProgram | undefined {
  if (!(input instanceof BatchedScan)) return undefined
  const { batch, access, registers, remote } = input.options
  if (batch === undefined || !batch.whole) return undefined
  const { inputs, tests } = batch
  const ownKeys = all(scope.query.groupBy.map((e) => understand(registers, inputs, scope, e)))
  // Equality of keys must be that of doubles or bytes: of floats there are two zeros.
  if (!ownKeys?.every((e, i) => e.form !== 'value' && !floats.has(keys[i].type.oid))) return undefined
  const ownCalls = all(aggregates.map((a, i) => batchCall(registers, inputs, scope, a, calls[i].code)))
  return ownCalls && { access, inputs, tests, keys: ownKeys, calls: ownCalls, gathers: remote !== undefined }
}

function batchCall(
  registers: Columns,
  inputs: BatchInputs,
  scope: PlanScope,
  a: Aggregate,
  code: AggregateCode,
): BatchCall | undefined {
  if (a.distinct || a.orderBy.length > 0 || a.direct !== undefined || a.func >= firstUserOid) return undefined
  const args = all(a.args.map((e) => understand(registers, inputs, scope, e)))
  const filter = a.filter && understand(registers, inputs, scope, a.filter)
  if (args === undefined || (a.filter !== undefined && filter?.form !== 'boolean')) return undefined
  const accumulator = accumulatorOf(functionRow(scope.builder.context, a.func)!)
  return { args, filter, strict: code.strict, accumulator, step: code.step.bind(code) }
}

function understand(registers: Columns, inputs: BatchInputs, scope: PlanScope, expr: Expr): BatchExpr | undefined {
  if (scope.substitutions.size > 0) return undefined
  const form = formOf(expr.type)
  const sub = (e: Expr) => understand(registers, inputs, scope, e)
  switch (expr.kind) {
    case 'const':
      return constant(inputs, scope, expr, form)
    case 'param': {
      const i = expr.number - 1
      return input(inputs, (x) => x.p[i], form, false)
    }
    case 'var': {
      const owner = scope.outer(expr.up)
      const source = owner.source(expr.entry)
      if (expr.column <= 0) return undefined
      if (source.kind === 'inlined') return understand(registers, inputs, source.scope, source.exprs[expr.column - 1])
      return source.byColumn === registers ? { kind: 'column', form, column: expr.column } : undefined
    }
    case 'func':
      return call(registers, inputs, scope, expr, form)
    case 'and':
    case 'or':
    case 'coalesce': {
      const args = all(expr.args.map(sub))
      return args === undefined || args.some((a) => a.form !== form) ? undefined : { kind: expr.kind, form, args }
    }
    case 'not': {
      const arg = sub(expr.arg)
      return arg?.form === 'boolean' ? { kind: 'not', form, arg } : undefined
    }
    case 'isnull': {
      const arg = expr.row ? undefined : sub(expr.arg)
      return arg && { kind: 'isnull', form, arg, negated: expr.negated }
    }
    case 'booltest': {
      const arg = sub(expr.arg)
      const wanted = expr.test === 'unknown' ? null : expr.test === 'true'
      return arg?.form === 'boolean' ? { kind: 'truth', form, arg, wanted, negated: expr.negated } : undefined
    }
    case 'case':
      return caseOf(expr, form, sub)
    case 'nullif': {
      const when = sub(equality(expr))
      const otherwise = sub(expr.left)
      if (when === undefined || otherwise?.form !== form) return undefined
      return { kind: 'case', form, whens: [{ when, then: input(inputs, () => null, form, false) }], otherwise }
    }
    case 'distinct':
      return distinctOf(inputs, expr, sub)
    case 'relabel': {
      const arg = expr.coerce === undefined || expr.typmod < 0 ? sub(expr.arg) : undefined
      const same = expr.type === expr.arg.type || (form === 'text' && arg?.form === 'text')
      return arg !== undefined && same ? arg : undefined
    }
    case 'anyall':
      return among(inputs, scope, expr, sub(expr.left))
    default:
      return undefined
  }
}

function all<T>(items: readonly (T | undefined)[]): T[] | undefined {
  return items.every((e): e is T => e !== undefined) ? [...items] : undefined
}

function input(inputs: BatchInputs, value: Eval, form: Form, present: boolean): BatchExpr {
  return { kind: 'input', form, input: inputs.inputs.push({ value, form, present }) - 1 }
}

/** A value that is known while planning. */
function constant(inputs: BatchInputs, scope: PlanScope, expr: Expr, form: Form): BatchExpr | undefined {
  const known = compile(scope, expr).constant
  return known && input(inputs, () => known.value, form, known.value !== null)
}

function isConstant(expr: Expr): boolean {
  if (expr.kind === 'const') return true
  return expr.kind === 'func' ? expr.args.every(isConstant) : expr.kind === 'relabel' && isConstant(expr.arg)
}

function call(
  registers: Columns,
  inputs: BatchInputs,
  scope: PlanScope,
  expr: Func,
  form: Form,
): BatchExpr | undefined {
  const row = expr.func < firstUserOid ? functionRow(scope.builder.context, expr.func) : undefined
  if (row?.volatility !== 'i' || !row.strict || row.returnsSet || expr.columns !== undefined) return undefined
  if (row.variadic !== 0 || expr.variadic !== undefined) return undefined
  if (isConstant(expr)) {
    const known = constant(inputs, scope, expr, form)
    if (known !== undefined) return known
  }
  const args = all(expr.args.map((e) => understand(registers, inputs, scope, e)))
  if (args === undefined) return undefined
  if (row.source === 'texteq' || row.source === 'textne')
    return { kind: 'sametext', form, left: args[0], right: args[1], negated: row.source === 'textne' }
  const inline = inlines.get(row.source)
  // int2 becomes an oid by way of int4.
  if (row.source === 'i2toi4' && expr.type !== 23) return undefined
  if (inline !== undefined && inline.form === form && args.every((a) => a.form === 'number' || a.form === 'boolean'))
    return { kind: 'inline', form, name: row.source, args }
  const types = expr.args.map((a) => a.type)
  const code = callable(scope, expr.func, types, expr.type, expr.typmod)
  return { kind: 'call', form, call: inputs.calls.push(code) - 1, args }
}

function caseOf(
  expr: Expr & { kind: 'case' },
  form: Form,
  sub: (e: Expr) => BatchExpr | undefined,
): BatchExpr | undefined {
  const { arg } = expr
  // It is computed for every WHEN.
  if (arg !== undefined && arg.kind !== 'var') return undefined
  const test = (e: Expr) => (arg === undefined ? e : withCaseValue(e, arg))
  const whens = expr.whens.map((w) => ({ when: sub(test(w.when)), then: sub(w.then) }))
  const otherwise = expr.otherwise === undefined ? undefined : sub(expr.otherwise)
  if (expr.otherwise !== undefined && otherwise?.form !== form) return undefined
  const known = whens.every((w): w is { when: BatchExpr; then: BatchExpr } => {
    return w.when?.form === 'boolean' && w.then?.form === form
  })
  return known ? { kind: 'case', form, whens, otherwise } : undefined
}

/** The test of a WHEN with what is compared in its place. */
function withCaseValue(e: Expr, value: Expr): Expr {
  if (e.kind === 'casevalue') return value
  // These have a value of their own.
  if (e.kind === 'case' || e.kind === 'arraycoerce' || e.kind === 'domain') return e
  return mapChildren(e, (child) => withCaseValue(child, value))
}

function equality(e: Expr & { kind: 'nullif' | 'distinct' }): Expr {
  return { kind: 'func', func: e.func, operator: e.operator, args: [e.left, e.right], type: 16, typmod: -1 }
}

/** IS [NOT] DISTINCT FROM. */
function distinctOf(
  inputs: BatchInputs,
  expr: Expr & { kind: 'distinct' },
  sub: (e: Expr) => BatchExpr | undefined,
): BatchExpr | undefined {
  const [left, right, equal] = [sub(expr.left), sub(expr.right), sub(equality(expr))]
  if (left === undefined || right === undefined || equal === undefined) return undefined
  const { negated } = expr
  const isNull = (arg: BatchExpr, not: boolean): BatchExpr => ({ kind: 'isnull', form: 'boolean', arg, negated: not })
  const whens = [
    { when: isNull(left, false), then: isNull(right, !negated) },
    { when: isNull(right, false), then: input(inputs, () => !negated, 'boolean', true) },
  ]
  const otherwise: BatchExpr = negated ? equal : { kind: 'not', form: 'boolean', arg: equal }
  return { kind: 'case', form: 'boolean', whens, otherwise }
}

/** x IN (a, b, …) over constants and parameters of x's own type. */
function among(
  inputs: BatchInputs,
  scope: PlanScope,
  expr: Expr & { kind: 'anyall' },
  arg: BatchExpr | undefined,
): BatchExpr | undefined {
  const { right } = expr
  const row = functionRow(scope.builder.context, expr.func)
  if (!expr.any || arg === undefined || row === undefined || right.kind !== 'array' || right.nested) return undefined
  const numbers = arg.form === 'number' && equalities.has(row.source)
  if (!numbers && !(arg.form === 'text' && row.source === 'texteq')) return undefined
  if (!right.items.every((e) => (e.kind === 'const' || e.kind === 'param') && formOf(e.type) === arg.form))
    return undefined
  const set = inputs.sets.push(compile(scope, right).eval) - 1
  return { kind: 'among', form: 'boolean', arg, set }
}
