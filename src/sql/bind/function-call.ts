/**
 * Function calls with all that can hang on them: VARIADIC, DISTINCT, ORDER BY, FILTER, WITHIN GROUP and OVER.
 *
 * An aggregate belongs to the innermost level of the variables in it; where it may stand is checked here.
 */
import type { FuncCall, Node } from '@pgsql/types'
import { DbError } from '../../base/index.ts'
import type { FunctionRow } from '../functions/function.ts'
import type { Aggregate, Expr, SortItem, WindowCall } from '../query.ts'
import * as oid from '../types/oids.ts'
import { candidatesNamed, chooseFunction, type Resolution, signature } from './calls.ts'
import { coerce, coerceBoolean, tryCoerce } from './coerce.ts'
import { type BindContext, errorAt } from './context.ts'
import { bindExpr, locationOf, settleUnknown } from './expression.ts'
import { forEachChild, forEachQueryExpr, forEachSubquery, type QueryScope } from './scope.ts'
import { sortItem } from './select.ts'
import { findType, formatType, nameParts } from './type-name.ts'
import { windowIndex } from './window.ts'

export function bindFunctionCall(scope: QueryScope, node: FuncCall): Expr {
  const c = scope.context
  const parts = nameParts(node.funcname)
  const at = node.location ?? 0
  const aggregateLike =
    node.agg_star || node.agg_distinct || node.agg_filter || node.agg_order || node.agg_within_group || node.over
  const inner = aggregateLike || mayBeAggregate(c, parts)
  const wasIn = scope.inAggregate
  const args = bindArguments(scope, node, parts)
  const withinGroup = node.agg_within_group
    ? (node.agg_order ?? []).map((n: any) =>
        sortItem(scope, settleUnknown(scope, bindExpr(scope, n.SortBy.node)), n.SortBy),
      )
    : []
  scope.inAggregate = wasIn
  const all = [...args, ...withinGroup.map((s) => s.expr)]
  const chosen = chooseFunction(
    c,
    parts,
    all.map((a) => a.type),
    node.func_variadic === true,
  )
  if (chosen === undefined) return castLike(scope, parts, args, node, at)
  if (inner || chosen.row.kind !== 'f') return aggregateOrWindow(scope, node, chosen, args, withinGroup, parts, at)
  if (chosen.row.kind === 'f' && node.agg_star) throw notAggregate(c, parts, at)
  return plainCall(scope, chosen, args, at, node)
}

function notAggregate(c: BindContext, parts: readonly string[], at: number, what = '(*) specified, but'): DbError {
  return errorAt(
    c,
    at,
    new DbError('wrong_object_type', `${parts.join('.')}${what} ${parts.at(-1)} is not an aggregate function`),
  )
}

function mayBeAggregate(c: BindContext, parts: readonly string[]): boolean {
  return candidatesNamed(c, parts).some((f) => f.kind !== 'f' && f.kind !== 'p')
}

function bindArguments(scope: QueryScope, node: FuncCall, parts: readonly string[]): Expr[] {
  const raw = node.args ?? []
  if (!raw.some((a: any) => a.NamedArgExpr)) return raw.map((a) => bindExpr(scope, a))
  return namedArguments(scope, raw, parts)
}

/** name => value notation: put in the declared order; gaps before the last one given take their defaults. */
function namedArguments(scope: QueryScope, raw: readonly Node[], parts: readonly string[]): Expr[] {
  const c = scope.context
  const positional = raw.filter((a: any) => !a.NamedArgExpr).map((a) => bindExpr(scope, a))
  const named = new Map<string, Expr>()
  for (const a of raw as any[]) {
    const n = a.NamedArgExpr
    if (n === undefined) continue
    if (named.has(n.name))
      throw errorAt(c, n.location, new DbError('syntax_error', `argument name "${n.name}" used more than once`))
    named.set(n.name, bindExpr(scope, n.arg))
  }
  for (const row of candidatesNamed(c, parts)) {
    const inputs = namedInputs(c, row)
    if (inputs === undefined) continue
    const places = [...named.keys()].map((n) => inputs.findIndex((i) => i.name === n))
    if (places.some((p) => p < positional.length)) continue
    const rest = inputs.slice(positional.length, Math.max(...places) + 1)
    if (!rest.every((i) => named.has(i.name) || i.fallback !== undefined)) continue
    if (inputs.slice(positional.length + rest.length).some((i) => i.fallback === undefined)) continue
    return [...positional, ...rest.map((i) => named.get(i.name) ?? i.fallback!)]
  }
  const shown = [
    ...positional.map((e) => formatType(c, e.type, -1)),
    ...[...named].map(([name, e]) => `${name} => ${formatType(c, e.type, -1)}`),
  ]
  throw new DbError('undefined_function', `function ${parts.join('.')}(${shown.join(', ')}) does not exist`, {
    hint: 'No function matches the given name and argument types. You might need to add explicit type casts.',
  })
}

/** The input arguments by name, with what stands for one that is left out. */
function namedInputs(c: BindContext, row: FunctionRow): { name: string; fallback: Expr | undefined }[] | undefined {
  const user = c.names.catalog.function(row.oid)
  if (user !== undefined)
    return user.args.filter((a) => a.mode !== 'o' && a.mode !== 't').map((a) => ({ name: a.name, fallback: a.default }))
  return row.argNames?.map((name, i) => {
    const text = row.defaultTexts?.[i - (row.args.length - row.defaults)]
    return { name, fallback: text === undefined ? undefined : { kind: 'const', text, type: row.args[i], typmod: -1 } }
  })
}

/** Something(x) where no such function is: a cast written as a call, else the error. */
function castLike(
  scope: QueryScope,
  parts: readonly string[],
  args: readonly Expr[],
  node: FuncCall,
  at: number,
): Expr {
  const c = scope.context
  if (args.length === 1 && !node.agg_star && !node.over && !node.func_variadic) {
    const type = findType(c, parts)
    if (type !== undefined) {
      const cast = tryCoerce(c, args[0], type, -1, 'explicit')
      if (cast !== undefined) return cast
    }
  }
  throw errorAt(
    c,
    at,
    new DbError(
      'undefined_function',
      `function ${signature(
        c,
        parts,
        args.map((a) => a.type),
      )} does not exist`,
      {
        hint: 'No function matches the given name and argument types. You might need to add explicit type casts.',
      },
    ),
  )
}

function convertArguments(scope: QueryScope, chosen: Resolution, args: readonly Expr[], at: number): Expr[] {
  const fixed = chosen.expandVariadic ? chosen.row.args.length - 1 : args.length
  return args.map((a, i) => {
    const type = i < fixed ? chosen.argTypes[i] : chosen.argTypes[Math.min(i, chosen.argTypes.length - 1)]
    if (type === oid.anyOid) return settleUnknown(scope, a)
    return coerce(scope.context, a, type, -1, 'implicit', at)
  })
}

function plainCall(scope: QueryScope, chosen: Resolution, args: readonly Expr[], at: number, node: FuncCall): Expr {
  const c = scope.context
  const row = chosen.row
  if (row.kind === 'p') {
    throw errorAt(
      c,
      at,
      new DbError(
        'wrong_object_type',
        `${signature(
          c,
          [row.name],
          args.map((a) => a.type),
        )} is a procedure`,
        { hint: 'To call a procedure, use CALL.' },
      ),
    )
  }
  const converted = convertArguments(scope, chosen, args, at)
  const common = {
    func: row.oid,
    args: converted,
    type: chosen.result,
    typmod: -1,
    variadic: chosen.expandVariadic || undefined,
    at,
  }
  const spread = chosen.expandVariadic
    ? common
    : { ...common, variadic: node.func_variadic && row.variadic === oid.anyOid ? false : undefined }
  const complete = withDefaults(c, row, spread)
  if (row.returnsSet) {
    checkSrfPlace(scope, at)
    scope.hasSrf = true
    return { kind: 'srf', ...complete }
  }
  const form = node.funcformat === 'COERCE_SQL_SYNTAX' ? { form: 'sql' as const } : undefined
  return { kind: 'func', ...complete, ...form }
}

/** Fills a user function's omitted arguments in. Built-in code has its own defaults. */
function withDefaults<T extends { args: Expr[] }>(c: BindContext, row: FunctionRow, call: T): T {
  const user = c.names.catalog.function(row.oid)
  if (user === undefined || call.args.length >= row.args.length) return call
  const inputs = user.args.filter((a) => a.mode !== 'o' && a.mode !== 't')
  const missing = inputs.slice(call.args.length).map((a) => a.default!)
  return { ...call, args: [...call.args, ...missing] }
}

const srfPlaces = new Set([
  'select',
  'order by',
  'group by',
  'distinct on',
  'from function',
  'values',
  'insert',
  'returning',
  'execute',
  'call',
])

function checkSrfPlace(scope: QueryScope, at: number): void {
  if (srfPlaces.has(scope.clause)) return
  const where: Record<string, string> = {
    check: 'check constraints',
    default: 'DEFAULT expressions',
    index: 'index expressions',
    'index predicate': 'index predicates',
    generated: 'column generation expressions',
    join: 'JOIN conditions',
    update: 'UPDATE',
  }
  const place = where[scope.clause] ?? scope.clause.toUpperCase()
  throw errorAt(
    scope.context,
    at,
    new DbError('feature_not_supported', `set-returning functions are not allowed in ${place}`),
  )
}

function aggregateOrWindow(
  scope: QueryScope,
  node: FuncCall,
  chosen: Resolution,
  args: readonly Expr[],
  withinGroup: SortItem[],
  parts: readonly string[],
  at: number,
): Expr {
  const c = scope.context
  const row = chosen.row
  if (row.kind === 'f') {
    if (node.over)
      throw errorAt(
        c,
        at,
        new DbError(
          'wrong_object_type',
          `OVER specified, but ${parts.at(-1)} is not a window function nor an aggregate function`,
        ),
      )
    if (node.agg_distinct) throw notAggregate(c, parts, at, ': DISTINCT specified, but')
    if (node.agg_order) throw notAggregate(c, parts, at, ': ORDER BY specified, but')
    if (node.agg_filter) throw notAggregate(c, parts, at, ': FILTER specified, but')
    if (node.agg_star) throw notAggregate(c, parts, at)
    return plainCall(scope, chosen, args, at, node)
  }
  const filter = node.agg_filter
    ? coerceBoolean(c, bindExpr(scope, node.agg_filter), 'FILTER', locationOf(node.agg_filter))
    : undefined
  if (node.over) return windowCall(scope, node, chosen, args, filter, at)
  if (row.kind === 'w')
    throw errorAt(c, at, new DbError('wrong_object_type', `window function ${row.name} requires an OVER clause`))
  return aggregateCall(scope, node, chosen, args, withinGroup, filter, at)
}

function aggregateCall(
  scope: QueryScope,
  node: FuncCall,
  chosen: Resolution,
  args: readonly Expr[],
  withinGroup: SortItem[],
  filter: Expr | undefined,
  at: number,
): Expr {
  const c = scope.context
  const row = chosen.row
  const all = convertArguments(scope, chosen, [...args, ...withinGroup.map((s) => s.expr)], at)
  const direct = node.agg_within_group ? args.length : undefined
  const orderBy =
    direct !== undefined
      ? withinGroup.map((s, i) => ({ ...s, expr: all[args.length + i] }))
      : (node.agg_order ?? []).map((n: any) =>
          sortItem(scope, settleUnknown(scope, bindExpr(scope, n.SortBy.node)), n.SortBy),
        )
  const level = Math.max(0, lowestLevel([...all, ...orderBy.map((o) => o.expr), ...(filter ? [filter] : [])]))
  const owner = scope.outer(level)
  checkAggregatePlace(owner, scope, level, at)
  owner.hasAggregates = true
  const out: Aggregate = {
    kind: 'agg',
    func: row.oid,
    args: direct !== undefined ? all.slice(0, direct) : all,
    star: node.agg_star === true,
    distinct: node.agg_distinct === true,
    orderBy,
    filter,
    direct,
    variadic: chosen.expandVariadic || undefined,
    up: level,
    type: chosen.result,
    typmod: -1,
  }
  for (const e of all) rejectNested(c, e, level, at)
  return out
}

function rejectNested(c: BindContext, e: Expr, level: number, at: number): void {
  if (e.kind === 'agg' && e.up === level)
    throw errorAt(c, at, new DbError('grouping_error', 'aggregate function calls cannot be nested'))
  if (e.kind === 'window')
    throw errorAt(c, at, new DbError('grouping_error', 'aggregate function calls cannot contain window function calls'))
  if (e.kind === 'srf')
    throw errorAt(
      c,
      at,
      new DbError('feature_not_supported', 'aggregate function calls cannot contain set-returning function calls', {
        hint: 'You might be able to move the set-returning function into a LATERAL FROM item.',
      }),
    )
  forEachChild(e, (x) => rejectNested(c, x, level, at))
}

/** The innermost level that a variable of the expressions belongs to, -1 for none. */
function lowestLevel(exprs: readonly Expr[]): number {
  let lowest = Number.POSITIVE_INFINITY
  const visit = (e: Expr, depth: number): void => {
    if ((e.kind === 'var' || e.kind === 'agg') && e.up >= depth) lowest = Math.min(lowest, e.up - depth)
    if (e.kind === 'sublink') visitQuery(e.query, depth + 1)
    forEachChild(e, (x) => visit(x, depth))
  }
  const visitQuery = (q: import('../query.ts').Query, depth: number): void => {
    forEachQueryExpr(q, (e) => visit(e, depth))
    forEachSubquery(q, (s) => visitQuery(s, depth + 1))
  }
  for (const e of exprs) visit(e, 0)
  return lowest === Number.POSITIVE_INFINITY ? -1 : lowest
}

const aggregatePlaces = new Set(['select', 'having', 'order by', 'distinct on', 'window'])

function checkAggregatePlace(owner: QueryScope, scope: QueryScope, level: number, at: number): void {
  if (aggregatePlaces.has(owner.clause) || (level > 0 && owner.clause === 'from function')) return
  const where: Record<string, string> = {
    where: 'WHERE',
    'group by': 'GROUP BY',
    join: 'JOIN conditions',
    limit: 'LIMIT',
    offset: 'OFFSET',
    values: 'VALUES',
    'from function': 'functions in FROM',
    returning: 'RETURNING',
    update: 'UPDATE',
    insert: 'INSERT',
    check: 'check constraints',
    default: 'DEFAULT expressions',
    index: 'index expressions',
    'index predicate': 'index predicates',
    generated: 'column generation expressions',
    filter: 'FILTER',
    execute: 'EXECUTE parameters',
    call: 'CALL arguments',
    policy: 'policy expressions',
    trigger: 'trigger WHEN conditions',
    copy: 'COPY FROM WHERE conditions',
  }
  throw errorAt(
    scope.context,
    at,
    new DbError('grouping_error', `aggregate functions are not allowed in ${where[owner.clause]}`),
  )
}

const windowPlaces = new Set(['select', 'order by', 'distinct on'])

function windowCall(
  scope: QueryScope,
  node: FuncCall,
  chosen: Resolution,
  args: readonly Expr[],
  filter: Expr | undefined,
  at: number,
): Expr {
  const c = scope.context
  if (!windowPlaces.has(scope.clause)) {
    const place = scope.clause === 'join' ? 'JOIN conditions' : scope.clause.toUpperCase()
    throw errorAt(c, at, new DbError('windowing_error', `window functions are not allowed in ${place}`))
  }
  if (scope.inWindow) throw errorAt(c, at, new DbError('windowing_error', 'window function calls cannot be nested'))
  if (node.agg_distinct)
    throw errorAt(c, at, new DbError('feature_not_supported', 'DISTINCT is not implemented for window functions'))
  if (node.agg_order)
    throw errorAt(
      c,
      at,
      new DbError('feature_not_supported', 'aggregate ORDER BY is not implemented for window functions'),
    )
  if (filter && chosen.row.kind === 'w')
    throw errorAt(
      c,
      at,
      new DbError('feature_not_supported', 'FILTER is not implemented for non-aggregate window functions'),
    )
  const converted = convertArguments(scope, chosen, args, at)
  for (const a of converted)
    if (containsWindow(a))
      throw errorAt(c, at, new DbError('windowing_error', 'window function calls cannot be nested'))
  scope.hasWindows = true
  const out: WindowCall = {
    kind: 'window',
    func: chosen.row.oid,
    aggregate: chosen.row.kind === 'a',
    args: converted,
    star: node.agg_star === true,
    filter,
    window: windowIndex(scope, node.over!),
    type: chosen.result,
    typmod: -1,
  }
  return out
}

export function containsWindow(e: Expr): boolean {
  if (e.kind === 'window') return true
  let found = false
  forEachChild(e, (x) => {
    if (!found && containsWindow(x)) found = true
  })
  return found
}
