/**
 * Type conversion, as chapter 10 of PostgreSQL's manual describes it: which casts apply implicitly, in assignments or
 * only explicitly, how an expression is converted, and which type several expressions have in common.
 *
 * Not here: the casts themselves (functions/registry.ts has pg_cast), choosing functions (calls.ts).
 */
import { DbError } from '../../base/index.ts'
import { castBetween } from '../functions/registry.ts'
import type { ArrayCoerce, Const, Expr } from '../query.ts'
import * as oid from '../types/oids.ts'
import { type BindContext, errorAt, typeOf } from './context.ts'
import { formatType } from './type-name.ts'

export type CastContext = 'implicit' | 'assignment' | 'explicit'

type Path =
  | { readonly kind: 'none' | 'relabel' | 'text' | 'record' }
  | { readonly kind: 'func'; readonly func: number }
  | { readonly kind: 'array'; readonly element: Path }

const polymorphic = new Set([
  oid.anyOid,
  oid.anyelementOid,
  oid.anyarrayOid,
  oid.anynonarrayOid,
  oid.anyenumOid,
  oid.anycompatibleOid,
  oid.anycompatiblearrayOid,
  oid.anycompatiblenonarrayOid,
  oid.anyrangeOid,
  oid.anymultirangeOid,
  oid.anycompatiblerangeOid,
  oid.anycompatiblemultirangeOid,
])

export function isPolymorphic(type: number): boolean {
  return polymorphic.has(type)
}

/** The base type under domains, with the modifier the domain adds. */
export function baseType(context: BindContext, type: number): number {
  let t = typeOf(context, type)
  while (t.kind === 'd') t = typeOf(context, t.base)
  return t.oid
}

const rank: Record<CastContext, number> = { implicit: 0, assignment: 1, explicit: 2 }
const castRank: Record<string, number> = { i: 0, a: 1, e: 2 }

/** How `source` becomes `target` in this context, undefined when it cannot. Domains and unknown are the caller's. */
function pathway(context: BindContext, source: number, target: number, cast: CastContext): Path | undefined {
  source = baseType(context, source)
  target = baseType(context, target)
  if (source === target) return { kind: 'none' }
  const row = castBetween(source, target)
  if (row !== undefined && castRank[row.context] <= rank[cast]) {
    if (row.method === 'f') return { kind: 'func', func: row.func }
    return { kind: row.method === 'b' ? 'relabel' : 'text' }
  }
  if (row !== undefined) return undefined
  const from = typeOf(context, source)
  const to = typeOf(context, target)
  // Nothing turns into oidvector or int2vector by its elements: they would capture what is meant for real arrays.
  if (isTrueArray(from) && isTrueArray(to) && target !== oid.oidvectorOid && target !== oid.int2vectorOid) {
    const element = pathway(context, from.element, to.element, cast)
    if (element === undefined) return undefined
    return element.kind === 'none' || element.kind === 'relabel' ? { kind: 'relabel' } : { kind: 'array', element }
  }
  if (source === oid.recordOid && to.kind === 'c') return { kind: 'record' }
  if (target === oid.recordOid && from.kind === 'c') return { kind: 'relabel' }
  if (from.kind === 'e' && target === oid.anyenumOid) return { kind: 'relabel' }
  // Casts to string types are assignment casts through the output function, from string types explicit ones.
  if (cast !== 'implicit' && to.category === 'S') return { kind: 'text' }
  if (cast === 'explicit' && from.category === 'S') return { kind: 'text' }
  return undefined
}

/** How an explicit cast between the types works: unchanged ('relabel'), through text, by a function, or not at all. */
export function castForm(context: BindContext, source: number, target: number): Path['kind'] | undefined {
  return pathway(context, source, target, 'explicit')?.kind
}

function isTrueArray(type: { category: string; element: number; length: number }): boolean {
  return type.category === 'A' && type.element !== 0 && type.length === -1
}

export function canCoerce(context: BindContext, source: number, target: number, cast: CastContext): boolean {
  if (source === target || source === oid.unknownOid) return true
  if (isPolymorphic(target)) return acceptsPolymorphic(context, source, target)
  return pathway(context, source, target, cast) !== undefined
}

/** Whether a value of the type is acceptable for a polymorphic argument at all. */
export function acceptsPolymorphic(context: BindContext, source: number, target: number): boolean {
  const type = typeOf(context, baseType(context, source))
  switch (target) {
    case oid.anyarrayOid:
    case oid.anycompatiblearrayOid:
      return (
        isTrueArray(type) ||
        type.oid === oid.anyarrayOid ||
        type.oid === oid.int2vectorOid ||
        type.oid === oid.oidvectorOid
      )
    case oid.anynonarrayOid:
    case oid.anycompatiblenonarrayOid:
      return !isTrueArray(type)
    case oid.anyenumOid:
      return type.kind === 'e'
    case oid.anyrangeOid:
    case oid.anycompatiblerangeOid:
      return type.kind === 'r'
    case oid.anymultirangeOid:
    case oid.anycompatiblemultirangeOid:
      return type.kind === 'm'
    default:
      return true
  }
}

/** Converts the expression; raises cannot_coerce or datatype_mismatch. */
export function coerce(
  context: BindContext,
  expr: Expr,
  target: number,
  typmod: number,
  cast: CastContext,
  at?: number,
): Expr {
  const out = tryCoerce(context, expr, target, typmod, cast)
  if (out !== undefined) return out
  throw errorAt(
    context,
    at,
    new DbError(
      'cannot_coerce',
      `cannot cast type ${formatType(context, expr.type, -1)} to ${formatType(context, target, -1)}`,
    ),
  )
}

export function tryCoerce(
  context: BindContext,
  expr: Expr,
  target: number,
  typmod: number,
  cast: CastContext,
): Expr | undefined {
  const form = cast === 'explicit' ? 'cast' : 'implicit'
  const to = typeOf(context, target)
  if (expr.kind === 'param' && expr.type === oid.unknownOid) {
    const settled = context.parameters.oids[expr.number - 1]
    if (settled === oid.unknownOid) {
      const base = isPolymorphic(target) ? oid.unknownOid : target
      if (base !== oid.unknownOid) context.parameters.settle(expr.number, base)
      return applyTypmod({ ...expr, type: base }, typmod, cast, context)
    }
    return tryCoerce(context, { ...expr, type: settled }, target, typmod, cast)
  }
  if (expr.type === target && to.kind !== 'd') return applyTypmod(expr, typmod, cast, context)
  if (expr.type === target) return expr
  if (isPolymorphic(target) || target === oid.anyOid) return expr
  if (to.kind === 'd') {
    const domain = context.names.catalog.type(target)
    const inner = tryCoerce(context, expr, to.base, domain?.typmod ?? -1, cast)
    return inner === undefined ? undefined : { kind: 'domain', arg: inner, type: target, typmod: -1, form }
  }
  if (expr.kind === 'const' && expr.type === oid.unknownOid) {
    // Interval qualifiers and the like need the modifier in the input function; the planner passes it.
    const literal: Const = { ...expr, type: target, typmod: target === oid.intervalOid ? typmod : -1 }
    return applyTypmod(literal, typmod, cast, context)
  }
  if (expr.kind === 'array' && expr.type === oid.unknownOid) return undefined
  if (expr.type === oid.unknownOid) return { kind: 'viatext', arg: expr, type: target, typmod, form }
  if (expr.kind === 'collate') {
    const inner = tryCoerce(context, expr.arg, target, typmod, cast)
    return inner === undefined ? undefined : { ...expr, arg: inner, type: inner.type, typmod: inner.typmod }
  }
  const path = pathway(context, expr.type, target, cast)
  if (path === undefined) return undefined
  return applyPath(context, expr, path, target, typmod, cast)
}

function applyPath(
  context: BindContext,
  expr: Expr,
  path: Path,
  target: number,
  typmod: number,
  cast: CastContext,
): Expr {
  const form = cast === 'explicit' ? 'cast' : 'implicit'
  switch (path.kind) {
    case 'none':
      return applyTypmod(
        expr.type === target ? expr : { kind: 'relabel', arg: expr, type: target, typmod: -1, form },
        typmod,
        cast,
        context,
      )
    case 'relabel':
      return applyTypmod({ kind: 'relabel', arg: expr, type: target, typmod: -1, form }, typmod, cast, context)
    case 'text':
      return { kind: 'viatext', arg: expr, type: target, typmod, form }
    case 'func':
      // An integer becomes as many of its low bits as the modifier says, so that cutting comes too late.
      if (target === 1560) {
        const bits: Expr = { kind: 'const', text: String(typmod), type: oid.int4Oid, typmod: -1 }
        return { kind: 'func', func: path.func, args: [expr, bits], type: target, typmod, form }
      }
      return applyTypmod(
        { kind: 'func', func: path.func, args: [expr], type: target, typmod: -1, form },
        typmod,
        cast,
        context,
      )
    case 'array': {
      const element = typeOf(context, baseType(context, target)).element
      const source = typeOf(context, baseType(context, expr.type)).element
      const each = applyPath(
        context,
        { kind: 'casevalue', type: source, typmod: -1 },
        path.element,
        element,
        typmod,
        cast,
      )
      const out: ArrayCoerce = { kind: 'arraycoerce', arg: expr, each, type: target, typmod, form }
      return out
    }
    case 'record':
      return coerceRecord(context, expr, target, cast)
  }
}

function coerceRecord(context: BindContext, expr: Expr, target: number, cast: CastContext): Expr {
  const relation = context.names.catalog.relationOf(typeOf(context, target).relation)
  const columns = relation.columns.filter((c) => !c.dropped)
  if (expr.kind !== 'row') return { kind: 'relabel', arg: expr, type: target, typmod: -1, form: 'cast' }
  if (columns.length !== expr.items.length) {
    throw new DbError('cannot_coerce', `cannot cast type record to ${formatType(context, target, -1)}`, {
      detail: expr.items.length < columns.length ? 'Input has too few columns.' : 'Input has too many columns.',
    })
  }
  const items = expr.items.map((item, i) => coerce(context, item, columns[i].type, columns[i].typmod, cast))
  return { ...expr, items, type: target, names: columns.map((c) => c.name) }
}

const withModifier = new Set([
  oid.bpcharOid,
  oid.varcharOid,
  oid.numericOid,
  oid.timeOid,
  oid.timetzOid,
  oid.timestampOid,
  oid.timestamptzOid,
  oid.intervalOid,
  1560,
  1562,
])

function applyTypmod(expr: Expr, typmod: number, cast: CastContext, context: BindContext): Expr {
  if (typmod < 0 || expr.typmod === typmod) return expr
  const type = typeOf(context, expr.type)
  const element = isTrueArray(type) ? type.element : expr.type
  if (!withModifier.has(element)) return expr
  const how = cast === 'explicit' ? 'explicit' : 'assignment'
  if (isTrueArray(type)) {
    const each: Expr = {
      kind: 'relabel',
      arg: { kind: 'casevalue', type: element, typmod: -1 },
      type: element,
      typmod,
      form: 'implicit',
      coerce: how,
    }
    return {
      kind: 'arraycoerce',
      arg: expr,
      each,
      type: expr.type,
      typmod,
      form: cast === 'explicit' ? 'cast' : 'implicit',
    }
  }
  if (expr.kind === 'relabel' && expr.coerce === undefined) return { ...expr, typmod, coerce: how }
  return {
    kind: 'relabel',
    arg: expr,
    type: expr.type,
    typmod,
    form: cast === 'explicit' ? 'cast' : 'implicit',
    coerce: how,
  }
}

/** To boolean, for conditions; `what` names the clause in the error. */
export function coerceBoolean(context: BindContext, expr: Expr, what: string, at?: number): Expr {
  const out = tryCoerce(context, expr, oid.boolOid, -1, 'assignment')
  if (out !== undefined) return out
  throw errorAt(
    context,
    at,
    new DbError(
      'datatype_mismatch',
      `argument of ${what} must be type boolean, not type ${formatType(context, expr.type, -1)}`,
    ),
  )
}

/** To bigint, for LIMIT and OFFSET. */
export function coerceInteger(context: BindContext, expr: Expr, what: string): Expr {
  const out = tryCoerce(context, expr, oid.int8Oid, -1, 'assignment')
  if (out !== undefined) return out
  throw new DbError(
    'datatype_mismatch',
    `argument of ${what} must be type bigint, not type ${formatType(context, expr.type, -1)}`,
  )
}

/**
 * The common type of UNION, CASE, VALUES, ARRAY, GREATEST (manual 10.5). Returns undefined when `quiet` and there is
 * none; raises datatype_mismatch otherwise.
 */
export function commonType(
  context: BindContext,
  types: readonly number[],
  what: string | undefined,
  at?: number,
): number | undefined {
  const first = types[0]
  if (first !== oid.unknownOid && types.every((t) => t === first)) return first
  let candidate = baseType(context, first)
  for (let i = 1; i < types.length; i++) {
    const next = baseType(context, types[i])
    if (next === candidate || next === oid.unknownOid) continue
    if (candidate === oid.unknownOid) {
      candidate = next
      continue
    }
    const a = typeOf(context, candidate)
    const b = typeOf(context, next)
    if (a.category !== b.category) {
      if (what === undefined) return undefined
      throw errorAt(
        context,
        at,
        new DbError(
          'datatype_mismatch',
          `${what} types ${formatType(context, candidate, -1)} and ${formatType(context, next, -1)} cannot be matched`,
        ),
      )
    }
    if (
      !a.preferred &&
      canCoerce(context, candidate, next, 'implicit') &&
      !canCoerce(context, next, candidate, 'implicit')
    )
      candidate = next
  }
  return candidate === oid.unknownOid ? oid.textOid : candidate
}

/** The common modifier: kept when all agree. */
export function commonTypmod(exprs: readonly { type: number; typmod: number }[], type: number): number {
  const typmod = exprs[0].typmod
  return exprs.every((e) => e.type === type && e.typmod === typmod) ? typmod : -1
}

/** Converts all to their common type. */
export function unify(
  context: BindContext,
  exprs: readonly Expr[],
  what: string,
  at?: number,
): { exprs: Expr[]; type: number; typmod: number } {
  const type = commonType(
    context,
    exprs.map((e) => e.type),
    what,
    at,
  )!
  const typmod = commonTypmod(exprs, type)
  return { exprs: exprs.map((e) => convertTo(context, e, type, what, at)), type, typmod }
}

export function convertTo(context: BindContext, expr: Expr, type: number, what: string, at?: number): Expr {
  const out = tryCoerce(context, expr, type, -1, 'implicit')
  if (out !== undefined) return out
  throw errorAt(
    context,
    at,
    new DbError(
      'cannot_coerce',
      `${what} could not convert type ${formatType(context, expr.type, -1)} to ${formatType(context, type, -1)}`,
    ),
  )
}
