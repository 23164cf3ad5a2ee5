/**
 * Expressions: syntax to bound trees. Each node resolves names, chooses operators and functions and converts types.
 *
 * Not here: calls with their clauses (function-call.ts), sub-queries' insides (select.ts).
 */
import type { A_Expr, Node, SubLink as RawSubLink, TypeCast } from '@pgsql/types'
import { DbError } from '../../base/index.ts'
import type { Expr, RowCompare, SubLink } from '../query.ts'
import * as oid from '../types/oids.ts'
import { operatorCall } from './calls.ts'
import { baseType, coerce, coerceBoolean, commonType, tryCoerce, unify } from './coerce.ts'
import { bindColumnRef } from './column-ref.ts'
import { errorAt, typeOf } from './context.ts'
import { functionColumns, polymorphicColumn, systemRowColumns } from './from.ts'
import { bindFunctionCall } from './function-call.ts'
import { defaultOf } from './modify.ts'
import { forEachChild as forEach, type QueryScope } from './scope.ts'
import { bindSubselect, wrapWithTypes } from './select.ts'
import { formatType, nameParts, resolveTypeName } from './type-name.ts'

export const booleanType = { type: oid.boolOid, typmod: -1 } as const

export function bindExpr(scope: QueryScope, node: Node): Expr {
  const kind = Object.keys(node)[0]
  const bind = binders[kind]
  if (bind === undefined) throw new DbError('feature_not_supported', `${kind} is not supported in expressions`)
  return bind(scope, (node as any)[kind])
}

export function bindList(scope: QueryScope, nodes: readonly Node[] | undefined): Expr[] {
  return (nodes ?? []).map((n) => bindExpr(scope, n))
}

export function textConst(text: string | undefined, type: number, at?: number): Expr {
  return { kind: 'const', text, type, typmod: -1, at }
}

const binders: Record<string, (scope: QueryScope, node: any) => Expr> = {
  A_Const: bindConst,
  ColumnRef: bindColumnRef,
  ParamRef: (scope, node) => {
    const p = scope.context.parameters
    const number: number = node.number ?? 0
    if (!p.allowed || number < 1 || number > 65535) {
      throw errorAt(
        scope.context,
        node.location,
        new DbError('undefined_parameter', `there is no parameter $${number}`),
      )
    }
    return { kind: 'param', number, type: p.use(number), typmod: -1 }
  },
  A_Expr: bindOperator,
  BoolExpr: (scope, node) => {
    const what = node.boolop === 'AND_EXPR' ? 'AND' : node.boolop === 'OR_EXPR' ? 'OR' : 'NOT'
    const args = node.args.map((a: Node) => coerceBoolean(scope.context, bindExpr(scope, a), what, locationOf(a)))
    if (what === 'NOT') return { kind: 'not', arg: args[0], ...booleanType }
    return { kind: what === 'AND' ? 'and' : 'or', args, ...booleanType }
  },
  NullTest: (scope, node) => {
    const arg = bindExpr(scope, node.arg)
    const row = arg.kind === 'row' || typeOf(scope.context, arg.type).kind === 'c' || arg.type === oid.recordOid
    return {
      kind: 'isnull',
      arg: settleUnknown(scope, arg),
      negated: node.nulltesttype === 'IS_NOT_NULL',
      row,
      ...booleanType,
    }
  },
  BooleanTest: (scope, node) => {
    const name: string = node.booltesttype
    const arg = coerceBoolean(scope.context, bindExpr(scope, node.arg), name.replaceAll('_', ' '), locationOf(node.arg))
    const test = name.endsWith('TRUE') ? 'true' : name.endsWith('FALSE') ? 'false' : 'unknown'
    return { kind: 'booltest', arg, test, negated: name.startsWith('IS_NOT'), ...booleanType }
  },
  FuncCall: bindFunctionCall,
  CaseExpr: bindCase,
  CoalesceExpr: (scope, node) => {
    const { exprs, type, typmod } = unify(scope.context, bindList(scope, node.args), 'COALESCE', node.location)
    return { kind: 'coalesce', args: exprs, type, typmod }
  },
  MinMaxExpr: (scope, node) => {
    const greatest = node.op === 'IS_GREATEST'
    const { exprs, type, typmod } = unify(
      scope.context,
      bindList(scope, node.args),
      greatest ? 'GREATEST' : 'LEAST',
      node.location,
    )
    return { kind: 'minmax', greatest, args: exprs, type, typmod }
  },
  A_ArrayExpr: (scope, node) => bindArray(scope, node, undefined),
  RowExpr: (scope, node) => ({
    kind: 'row',
    items: bindList(scope, node.args).map((e) => settleUnknown(scope, e)),
    type: oid.recordOid,
    typmod: -1,
  }),
  SubLink: bindSubLink,
  TypeCast: bindCast,
  A_Indirection: bindIndirection,
  SQLValueFunction: bindSqlValue,
  CollateClause: (scope, node) => {
    const arg = settleUnknown(scope, bindExpr(scope, node.arg))
    const name = nameParts(node.collname).at(-1)!
    const collation = collationNamed(name)
    if (collation === undefined) {
      throw errorAt(
        scope.context,
        node.location,
        new DbError('undefined_object', `collation "${name}" for encoding "UTF8" does not exist`),
      )
    }
    const category = typeOf(scope.context, arg.type).category
    if (category !== 'S' && category !== 'A') {
      throw errorAt(
        scope.context,
        node.location,
        new DbError(
          'datatype_mismatch',
          `collations are not supported by type ${formatType(scope.context, arg.type, -1)}`,
        ),
      )
    }
    return { kind: 'collate', arg, collation, type: arg.type, typmod: arg.typmod }
  },
  GroupingFunc: (scope, node) => {
    const args = bindList(scope, node.args)
    return { kind: 'grouping', groups: args as any, type: oid.int4Oid, typmod: -1, up: 0 } as any
  },
  // DEFAULT in a list of several VALUES rows, put in by modify.ts.
  BoundDefault: (_scope, node) => defaultOf(node),
  SetToDefault: () => {
    throw new DbError('syntax_error', 'DEFAULT is not allowed in this context')
  },
  CurrentOfExpr: () => {
    throw new DbError('feature_not_supported', 'WHERE CURRENT OF is not supported')
  },
}

/** The collations there are: all order by code point. */
export function collationNamed(name: string): number | undefined {
  if (name === 'default') return 100
  if (name === 'C') return 950
  if (name === 'POSIX') return 951
  return name === 'ucs_basic' || name === 'C.UTF-8' || name === 'C.utf8' ? 950 : undefined
}

export function locationOf(node: Node | undefined): number | undefined {
  if (node === undefined) return undefined
  const inner = (node as any)[Object.keys(node)[0]]
  return inner?.location ?? 0
}

/** An untyped literal or parameter that nothing gave a type becomes text. */
export function settleUnknown(scope: QueryScope, expr: Expr): Expr {
  return expr.type === oid.unknownOid ? (tryCoerce(scope.context, expr, oid.textOid, -1, 'implicit') ?? expr) : expr
}

function bindConst(_scope: QueryScope, node: any): Expr {
  const at = node.location ?? 0
  if (node.isnull) return textConst(undefined, oid.unknownOid, at)
  if (node.ival !== undefined) return textConst(String(node.ival.ival ?? 0), oid.int4Oid, at)
  if (node.boolval !== undefined) return textConst(node.boolval.boolval ? 't' : 'f', oid.boolOid, at)
  if (node.sval !== undefined) return textConst(node.sval.sval ?? '', oid.unknownOid, at)
  if (node.fval !== undefined) {
    const text: string = node.fval.fval
    if (/^-?\d+$/.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text))
      return textConst(text, oid.int8Oid, at)
    if (/^0[xob]/i.test(text))
      return textConst(
        BigInt(text.replaceAll('_', '')).toString(),
        BigInt(text.replaceAll('_', '')) <= 0x7fffffffffffffffn ? oid.int8Oid : oid.numericOid,
        at,
      )
    return textConst(text.replaceAll('_', ''), oid.numericOid, at)
  }
  const bits: string = node.bsval.bsval
  const text = bits.startsWith('x')
    ? [...bits.slice(1)].map((d) => Number.parseInt(d, 16).toString(2).padStart(4, '0')).join('')
    : bits.slice(1)
  return textConst(text, 1560, at)
}

function bindOperator(scope: QueryScope, node: A_Expr): Expr {
  const at = node.location ?? 0
  const name = nameParts(node.name)
  switch (node.kind) {
    case 'AEXPR_OP':
      return bindPlainOperator(scope, node, name, at)
    case 'AEXPR_OP_ANY':
    case 'AEXPR_OP_ALL':
      return anyAll(
        scope,
        name,
        bindExpr(scope, node.lexpr!),
        bindExpr(scope, node.rexpr!),
        node.kind === 'AEXPR_OP_ANY',
        at,
      )
    case 'AEXPR_DISTINCT':
    case 'AEXPR_NOT_DISTINCT':
      return bindDistinct(scope, node, at)
    case 'AEXPR_NULLIF': {
      const call = operatorCall(scope.context, name, bindExpr(scope, node.lexpr!), bindExpr(scope, node.rexpr!), at)
      if (call.kind !== 'func' || call.operator === undefined)
        throw new DbError('datatype_mismatch', 'NULLIF requires = operator to yield boolean')
      const [left, right] = call.args
      return {
        kind: 'nullif',
        func: call.func,
        operator: call.operator,
        left,
        right,
        type: left.type,
        typmod: left.typmod,
      }
    }
    case 'AEXPR_IN':
      return bindIn(scope, node, name[0] === '<>', at)
    case 'AEXPR_LIKE':
    case 'AEXPR_ILIKE':
    case 'AEXPR_SIMILAR':
      return operatorCall(scope.context, name, bindExpr(scope, node.lexpr!), bindExpr(scope, node.rexpr!), at)
    default:
      return bindBetween(scope, node, at)
  }
}

function bindPlainOperator(scope: QueryScope, node: A_Expr, name: string[], at: number): Expr {
  const rawRight = node.rexpr as any
  const rawLeft = node.lexpr as any
  if (rawLeft?.RowExpr && rawRight?.SubLink?.subLinkType === 'EXPR_SUBLINK') {
    const link: RawSubLink = {
      ...rawRight.SubLink,
      subLinkType: 'ROWCOMPARE_SUBLINK',
      testexpr: node.lexpr,
      operName: node.name,
    }
    return bindSubLink(scope, link)
  }
  // Entries of rows are matched pair by pair while untyped literals among them have no type yet.
  if (rawLeft?.RowExpr && rawRight?.RowExpr) {
    return compareRows(
      scope,
      name[name.length - 1],
      bindList(scope, rawLeft.RowExpr.args),
      bindList(scope, rawRight.RowExpr.args),
      at,
    )
  }
  const left = node.lexpr === undefined ? undefined : bindExpr(scope, node.lexpr)
  const right = bindExpr(scope, node.rexpr!)
  if (left?.kind === 'row' && right.kind === 'row')
    return compareRows(scope, name[name.length - 1], left.items, right.items, at)
  return operatorCall(scope.context, name, left, right, at)
}

function isNullConst(e: Expr): boolean {
  return e.kind === 'const' && e.text === undefined
}

export function compareRows(
  scope: QueryScope,
  test: string,
  left: readonly Expr[],
  right: readonly Expr[],
  at?: number,
): Expr {
  if (left.length !== right.length)
    throw errorAt(scope.context, at, new DbError('syntax_error', 'unequal number of entries in row expressions'))
  if (left.length === 0)
    throw errorAt(scope.context, at, new DbError('feature_not_supported', 'cannot compare rows of zero length'))
  if (!['=', '<>', '<', '<=', '>', '>='].includes(test)) {
    throw errorAt(
      scope.context,
      at,
      new DbError('feature_not_supported', `could not determine interpretation of row comparison operator ${test}`),
    )
  }
  const calls = left.map((l, i) => operatorCall(scope.context, [test], l, right[i], at))
  for (const c of calls)
    if (c.type !== oid.boolOid)
      throw new DbError('datatype_mismatch', 'row comparison operator must yield type boolean')
  if (calls.length === 1) return calls[0]
  if (test === '=') return { kind: 'and', args: calls, ...booleanType }
  if (test === '<>') return { kind: 'or', args: calls, ...booleanType }
  return {
    kind: 'rowcompare',
    test: test as RowCompare['test'],
    funcs: calls.map((c: any) => c.func),
    operators: calls.map((c: any) => c.operator),
    left: calls.map((c: any) => c.args[0]),
    right: calls.map((c: any) => c.args[1]),
    ...booleanType,
  }
}

/** A row with its untyped literals left untyped, or any other expression. */
function bindOpenRow(scope: QueryScope, node: Node): Expr {
  const row = (node as any).RowExpr
  return row
    ? { kind: 'row', items: bindList(scope, row.args), type: oid.recordOid, typmod: -1 }
    : bindExpr(scope, node)
}

function bindDistinct(scope: QueryScope, node: A_Expr, at: number): Expr {
  const rows = (node.lexpr as any)?.RowExpr && (node.rexpr as any)?.RowExpr
  const left = rows ? bindOpenRow(scope, node.lexpr!) : bindExpr(scope, node.lexpr!)
  const right = rows ? bindOpenRow(scope, node.rexpr!) : bindExpr(scope, node.rexpr!)
  const negated = node.kind === 'AEXPR_NOT_DISTINCT'
  if (isNullConst(right))
    return { kind: 'isnull', arg: settleUnknown(scope, left), negated: !negated, row: false, ...booleanType }
  if (isNullConst(left))
    return { kind: 'isnull', arg: settleUnknown(scope, right), negated: !negated, row: false, ...booleanType }
  if (left.kind === 'row' && right.kind === 'row' && left.items.length === right.items.length) {
    const parts = left.items.map((l, i) => distinctOf(scope, l, right.items[i], negated, at))
    return { kind: negated ? 'and' : 'or', args: parts, ...booleanType }
  }
  return distinctOf(scope, left, right, negated, at)
}

function distinctOf(scope: QueryScope, left: Expr, right: Expr, negated: boolean, at: number): Expr {
  const call = operatorCall(scope.context, ['='], left, right, at) as any
  return {
    kind: 'distinct',
    func: call.func,
    operator: call.operator,
    left: call.args[0],
    right: call.args[1],
    negated,
    ...booleanType,
  }
}

function bindIn(scope: QueryScope, node: A_Expr, negated: boolean, at: number): Expr {
  const list = (node.rexpr as any).List.items as any[]
  const rows = (node.lexpr as any)?.RowExpr && list.every((n) => n.RowExpr)
  const left = rows ? bindOpenRow(scope, node.lexpr!) : bindExpr(scope, node.lexpr!)
  const items = list.map((n) => (rows ? bindOpenRow(scope, n) : bindExpr(scope, n)))
  const op = negated ? '<>' : '='
  // Items without variables become one array test; the others are compared one by one.
  const plain = items.filter((e) => e.kind !== 'row' && !containsVar(e))
  const others = items.filter((e) => e.kind === 'row' || containsVar(e))
  const parts: Expr[] = []
  if (left.kind !== 'row' && plain.length > 1) {
    const type = commonType(scope.context, [left.type, ...plain.map((e) => e.type)], undefined)
    const array = type === undefined ? 0 : typeOf(scope.context, type).array
    if (type !== undefined && array !== 0 && type !== oid.recordOid) {
      const converted = plain.map((e) => coerce(scope.context, e, type, -1, 'implicit', at))
      const list: Expr = { kind: 'array', element: type, items: converted, nested: false, type: array, typmod: -1 }
      const test = anyAll(scope, [op], left, list, !negated, at)
      parts.push(test.kind === 'anyall' ? { ...test, inList: true } : test)
    } else others.push(...plain)
  } else others.push(...plain)
  for (const item of others) {
    if (left.kind === 'row' && item.kind === 'row') parts.push(compareRows(scope, op, left.items, item.items, at))
    else parts.push(coerceBoolean(scope.context, operatorCall(scope.context, [op], left, item, at), 'IN', at))
  }
  if (parts.length === 1) return parts[0]
  return { kind: negated ? 'and' : 'or', args: parts, ...booleanType }
}

function containsVar(e: Expr): boolean {
  if (e.kind === 'var' || e.kind === 'sublink') return true
  let found = false
  const visit = (x: Expr): void => {
    if (x.kind === 'var' || x.kind === 'sublink') found = true
    else forEach(x, visit)
  }
  forEach(e, visit)
  return found
}

function bindBetween(scope: QueryScope, node: A_Expr, at: number): Expr {
  const value = bindExpr(scope, node.lexpr!)
  const [low, high] = ((node.rexpr as any).List.items as Node[]).map((n) => bindExpr(scope, n))
  const op = (symbol: string, a: Expr, b: Expr) => operatorCall(scope.context, [symbol], a, b, at)
  const inside = (a: Expr, b: Expr): Expr => ({
    kind: 'and',
    args: [op('>=', value, a), op('<=', value, b)],
    ...booleanType,
  })
  const outside = (a: Expr, b: Expr): Expr => ({
    kind: 'or',
    args: [op('<', value, a), op('>', value, b)],
    ...booleanType,
  })
  switch (node.kind) {
    case 'AEXPR_BETWEEN':
      return inside(low, high)
    case 'AEXPR_NOT_BETWEEN':
      return outside(low, high)
    case 'AEXPR_BETWEEN_SYM':
      return { kind: 'or', args: [inside(low, high), inside(high, low)], ...booleanType }
    default:
      return { kind: 'and', args: [outside(low, high), outside(high, low)], ...booleanType }
  }
}

export function anyAll(scope: QueryScope, name: string[], left: Expr, right: Expr, any: boolean, at: number): Expr {
  const c = scope.context
  let array = right
  if (right.type === oid.unknownOid) {
    const element = left.type === oid.unknownOid ? oid.textOid : baseType(c, left.type)
    array = coerce(c, right, typeOf(c, element).array, -1, 'implicit', at)
  }
  const element = typeOf(c, baseType(c, array.type)).element
  if (element === 0 || typeOf(c, baseType(c, array.type)).category !== 'A') {
    throw errorAt(c, at, new DbError('wrong_object_type', `op ANY/ALL (array) requires array on right side`))
  }
  const call = operatorCall(c, name, left, { kind: 'casevalue', type: element, typmod: -1 }, at) as any
  if (call.type !== oid.boolOid)
    throw errorAt(c, at, new DbError('wrong_object_type', 'op ANY/ALL (array) requires operator to yield boolean'))
  const wanted = call.args[1].type
  const converted =
    wanted === element ? array : coerce(c, array, typeOf(c, wanted).array || array.type, -1, 'implicit', at)
  return {
    kind: 'anyall',
    any,
    func: call.func,
    operator: call.operator,
    left: call.args[0],
    right: converted,
    ...booleanType,
  }
}

function bindCase(scope: QueryScope, node: any): Expr {
  const c = scope.context
  let arg: Expr | undefined
  let value: Expr | undefined
  if (node.arg) {
    arg = settleUnknown(scope, bindExpr(scope, node.arg))
    value = { kind: 'casevalue', type: arg.type, typmod: arg.typmod }
  }
  const whens = node.args.map((w: any) => {
    const raw = bindExpr(scope, w.CaseWhen.expr)
    const when = value === undefined ? raw : operatorCall(c, ['='], value, raw, w.CaseWhen.location)
    return { when: coerceBoolean(c, when, 'CASE/WHEN', w.CaseWhen.location), then: bindExpr(scope, w.CaseWhen.result) }
  })
  const otherwise = node.defresult ? bindExpr(scope, node.defresult) : undefined
  // ELSE leads when the common type is sought, as in PostgreSQL.
  const results = [otherwise ?? textConst(undefined, oid.unknownOid), ...whens.map((w: any) => w.then)]
  const { exprs, type, typmod } = unify(c, results, 'CASE', node.location)
  return {
    kind: 'case',
    arg,
    whens: whens.map((w: any, i: number) => ({ when: w.when, then: exprs[i + 1] })),
    otherwise: otherwise === undefined ? undefined : exprs[0],
    type,
    typmod,
  }
}

function bindArray(scope: QueryScope, node: any, target: number | undefined): Expr {
  const c = scope.context
  const elements: Node[] = node.elements ?? []
  const elementTarget = target === undefined ? undefined : typeOf(c, target).element
  const items = elements.map((e) => {
    const inner = (e as any).A_ArrayExpr
    return inner ? bindArray(scope, inner, target) : bindExpr(scope, e)
  })
  const nested =
    elements.some((e) => (e as any).A_ArrayExpr) || (items.length > 0 && items.every((i) => isArray(scope, i.type)))
  if (items.length === 0 && target === undefined) {
    throw errorAt(
      c,
      node.location,
      new DbError('indeterminate_datatype', 'cannot determine type of empty array', {
        hint: 'Explicitly cast to the desired type, for example ARRAY[]::integer[].',
      }),
    )
  }
  if (target !== undefined) {
    const to = nested ? target : elementTarget!
    return {
      kind: 'array',
      element: elementTarget!,
      nested,
      type: target,
      typmod: -1,
      items: items.map((e) => coerce(c, e, to, -1, 'explicit', node.location)),
    }
  }
  const { exprs, type } = unify(c, items, 'ARRAY', node.location)
  if (nested) return { kind: 'array', element: typeOf(c, type).element, items: exprs, nested, type, typmod: -1 }
  const array = typeOf(c, type).array
  if (array === 0) {
    throw errorAt(
      c,
      node.location,
      new DbError('undefined_object', `could not find array type for data type ${formatType(c, type, -1)}`),
    )
  }
  return { kind: 'array', element: type, items: exprs, nested: false, type: array, typmod: -1 }
}

function isArray(scope: QueryScope, type: number): boolean {
  const t = typeOf(scope.context, type)
  return t.category === 'A' && t.length === -1
}

function bindCast(scope: QueryScope, node: TypeCast): Expr {
  const c = scope.context
  const { type, typmod } = resolveTypeName(c, node.typeName!)
  const raw = node.arg as any
  if (raw.A_ArrayExpr) {
    const target = baseType(c, type)
    if (isArray(scope, target))
      return coerce(c, bindArray(scope, raw.A_ArrayExpr, target), type, typmod, 'explicit', node.location)
  }
  const arg = bindExpr(scope, node.arg!)
  if (type === oid.unknownOid) return arg
  return coerce(c, arg, type, typmod, 'explicit', node.location ?? locationOf(node.arg))
}

function bindIndirection(scope: QueryScope, node: any): Expr {
  let out = bindExpr(scope, node.arg)
  let subscripts: any[] = []
  const flush = () => {
    if (subscripts.length > 0) out = subscript(scope, out, subscripts, undefined)
    subscripts = []
  }
  for (const step of node.indirection as any[]) {
    if (step.A_Indices) subscripts.push(step.A_Indices)
    else if (step.String) {
      flush()
      out = selectField(scope, out, step.String.sval)
    } else throw new DbError('feature_not_supported', 'row expansion via "*" is not supported here')
  }
  flush()
  return out
}

export function subscript(scope: QueryScope, arg: Expr, steps: readonly any[], assign: Expr | undefined): Expr {
  const c = scope.context
  const container = baseType(c, arg.type)
  const t = typeOf(c, container)
  if (container === oid.jsonbOid) {
    const keys = steps.map((s) => settleSubscript(scope, bindExpr(scope, s.uidx)))
    return {
      kind: 'subscript',
      arg,
      slice: false,
      upper: keys,
      lower: keys.map(() => undefined),
      assign,
      type: oid.jsonbOid,
      typmod: -1,
    }
  }
  if (t.element === 0)
    throw new DbError(
      'datatype_mismatch',
      `cannot subscript type ${formatType(c, arg.type, -1)} because it does not support subscripting`,
    )
  const slice = steps.some((s) => s.is_slice)
  const index = (n: Node | undefined) =>
    n === undefined ? undefined : coerce(c, bindExpr(scope, n), oid.int4Oid, -1, 'assignment')
  const lower = steps.map((s) => index(s.lidx))
  const upper = steps.map((s) => (s.is_slice || s.uidx !== undefined ? index(s.uidx) : undefined))
  return {
    kind: 'subscript',
    arg,
    slice,
    upper,
    lower,
    assign,
    type: slice || assign !== undefined ? arg.type : t.element,
    typmod: slice ? -1 : arg.typmod,
  }
}

function settleSubscript(scope: QueryScope, e: Expr): Expr {
  if (e.type === oid.int4Oid) return e
  return (
    tryCoerce(scope.context, e, e.type === oid.unknownOid ? oid.textOid : oid.int4Oid, -1, 'implicit') ??
    coerce(scope.context, e, oid.textOid, -1, 'implicit')
  )
}

export function selectField(scope: QueryScope, arg: Expr, name: string): Expr {
  const c = scope.context
  // A field of a table's whole row is the table's column.
  if (arg.kind === 'var' && arg.column === 0) {
    const entry = scope.outer(arg.up).entries[arg.entry]
    const column = entry.kind === 'relation' ? entry.columns.findIndex((x) => !x.dropped && x.name === name) : -1
    if (column >= 0)
      return { ...arg, column: column + 1, type: entry.columns[column].type, typmod: entry.columns[column].typmod }
  }
  const composite = compositeColumns(scope, arg)
  const at = composite?.findIndex((f) => f.name === name) ?? -1
  if (composite === undefined || at < 0) {
    if (composite !== undefined && arg.type === oid.recordOid)
      throw new DbError('undefined_column', `could not identify column "${name}" in record data type`)
    throw new DbError(
      composite === undefined ? 'wrong_object_type' : 'undefined_column',
      composite === undefined
        ? `column notation .${name} applied to type ${formatType(c, arg.type, -1)}, which is not a composite type`
        : `column "${name}" not found in data type ${formatType(c, arg.type, -1)}`,
    )
  }
  return { kind: 'field', arg, field: at, name, type: composite[at].type, typmod: composite[at].typmod }
}

export interface FieldType {
  readonly name: string
  readonly type: number
  readonly typmod: number
}

/** The columns of a composite value, undefined when it is none or they are not known. */
export function compositeColumns(scope: QueryScope, arg: Expr): readonly FieldType[] | undefined {
  const c = scope.context
  if (arg.kind === 'var' && arg.column === 0) {
    const entry = scope.outer(arg.up).entries[arg.entry]
    return entry.columns.filter((x) => !x.dropped)
  }
  // A record out of a sub-query has the columns of the expression that makes it there.
  if (arg.kind === 'var' && arg.type === oid.recordOid) {
    const entry = scope.outer(arg.up).entries[arg.entry]
    const made =
      entry.kind === 'subquery' ? entry.query.targets.filter((t) => !t.junk)[arg.column - 1]?.expr : undefined
    if (made !== undefined && made.kind !== 'var') return compositeColumns(scope, made)
  }
  if (arg.kind === 'row')
    return arg.items.map((e, i) => ({ name: arg.names?.[i] ?? `f${i + 1}`, type: e.type, typmod: e.typmod }))
  if (arg.kind === 'func' || arg.kind === 'srf') {
    const columns = functionColumns(scope, arg.func)
    if (columns !== undefined) return columns.map((x) => polymorphicColumn(scope, x, arg))
  }
  const t = typeOf(c, baseType(c, arg.type))
  if (t.kind !== 'c') return undefined
  return c.names.catalog.relation(t.relation)?.columns.filter((x) => !x.dropped) ?? systemRowColumns(t.relation)
}

function bindSqlValue(_scope: QueryScope, node: any): Expr {
  const name = String(node.op)
    .replace(/^SVFOP_/, '')
    .toLowerCase()
  const precision: number = node.typmod ?? -1
  const types: Record<string, number> = {
    current_date: oid.dateOid,
    current_time: oid.timetzOid,
    current_time_n: oid.timetzOid,
    current_timestamp: oid.timestamptzOid,
    current_timestamp_n: oid.timestamptzOid,
    localtime: oid.timeOid,
    localtime_n: oid.timeOid,
    localtimestamp: oid.timestampOid,
    localtimestamp_n: oid.timestampOid,
  }
  return { kind: 'sqlvalue', name: name.replace(/_n$/, ''), type: types[name] ?? oid.nameOid, typmod: precision }
}

function bindSubLink(scope: QueryScope, node: RawSubLink): Expr {
  const at = node.location ?? 0
  const query = bindSubselect(scope, node.subselect!)
  const visible = query.targets.filter((t) => !t.junk)
  const kind = node.subLinkType
  if (kind === 'EXISTS_SUBLINK') return { kind: 'sublink', link: 'exists', query, ...booleanType }
  if (kind === 'EXPR_SUBLINK' || kind === 'ARRAY_SUBLINK') {
    if (visible.length !== 1)
      throw errorAt(scope.context, at, new DbError('syntax_error', 'subquery must return only one column'))
    const { type, typmod } = visible[0].expr
    if (kind === 'EXPR_SUBLINK') return { kind: 'sublink', link: 'scalar', query, type, typmod }
    const array = isArray(scope, type) ? type : typeOf(scope.context, type).array
    return { kind: 'sublink', link: 'array', query, type: array, typmod: -1 }
  }
  const raw = node.testexpr as any
  const left = raw.RowExpr ? bindList(scope, raw.RowExpr.args) : [bindExpr(scope, node.testexpr!)]
  if (left.length !== visible.length) {
    throw errorAt(
      scope.context,
      at,
      new DbError(
        'syntax_error',
        left.length < visible.length ? 'subquery has too many columns' : 'subquery has too few columns',
      ),
    )
  }
  const test = (node.operName ? nameParts(node.operName).at(-1)! : '=') as RowCompare['test']
  const calls = left.map((l, i) => {
    const column: Expr = { kind: 'casevalue', type: visible[i].expr.type, typmod: visible[i].expr.typmod }
    return operatorCall(scope.context, [test], l, column, at) as any
  })
  // The sub-query's columns are converted to what the operators take.
  const converted = convertTargets(
    scope,
    query,
    calls.map((call) => call.args[1].type),
  )
  const link: SubLink['link'] = kind === 'ALL_SUBLINK' ? 'all' : 'any'
  return {
    kind: 'sublink',
    link: kind === 'ROWCOMPARE_SUBLINK' ? 'row' : link,
    query: converted,
    left: calls.map((call) => call.args[0]),
    funcs: calls.map((call) => call.func),
    operators: calls.map((call) => call.operator),
    test,
    ...booleanType,
  }
}

function convertTargets(
  scope: QueryScope,
  query: import('../query.ts').Query,
  types: number[],
): import('../query.ts').Query {
  const visible = query.targets.filter((t) => !t.junk)
  if (visible.every((t, i) => t.expr.type === types[i])) return query
  return wrapWithTypes(scope.context, query, types)
}
