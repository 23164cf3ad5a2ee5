/**
 * Which function or operator a call means (PostgreSQL manual 10.2 and 10.3): candidates by name and number of
 * arguments, an exact match if there is one, else those reachable by implicit casts, narrowed by exact matches,
 * preferred types and type categories; then polymorphic types are settled.
 *
 * Not here: what functions do (functions/), aggregates' and windows' clauses (bind/aggregate-call.ts).
 */
import { DbError } from '../../base/index.ts'
import { effectivePath, informationSchema, pgCatalog, requireSchema } from '../catalog/names.ts'
import type { FunctionRow } from '../functions/function.ts'
import {
  functionByOid,
  functionsByName,
  type OperatorRow,
  operatorByOid,
  operatorsByName,
} from '../functions/registry.ts'
import type { Expr } from '../query.ts'
import * as oid from '../types/oids.ts'
import { acceptsPolymorphic, baseType, canCoerce, castForm, coerce, commonType, isPolymorphic } from './coerce.ts'
import { type BindContext, errorAt, typeOf } from './context.ts'
import { findType, formatType } from './type-name.ts'

export interface Resolution {
  readonly row: FunctionRow
  /** Declared types per written argument, polymorphic ones settled. */
  readonly argTypes: readonly number[]
  readonly result: number
  /** Arguments that a variadic parameter collects, as written separately. */
  readonly expandVariadic: boolean
}

interface Candidate {
  readonly row: FunctionRow
  readonly types: readonly number[]
  readonly expandVariadic: boolean
}

/** A user's function as a row, so that both kinds are chosen from together. */
export function userFunctionRow(context: BindContext, id: number): FunctionRow | undefined {
  const f = context.names.catalog.function(id)
  if (f === undefined) return undefined
  const inputs = f.args.filter((a) => a.mode === 'i' || a.mode === 'b' || a.mode === 'v')
  const outputs = f.args.filter((a) => a.mode === 'o' || a.mode === 'b' || a.mode === 't')
  const last = inputs[inputs.length - 1]
  return {
    oid: f.oid,
    name: f.name,
    args: inputs.map((a) => a.type),
    result: f.result,
    variadic: last?.mode === 'v' ? typeOf(context, last.type).element : 0,
    kind: f.prokind,
    strict: f.strict,
    volatility: f.volatility,
    returnsSet: f.returnsSet,
    defaults: inputs.filter((a) => a.default !== undefined).length,
    source: f.body,
    outNames: outputs.length > 0 ? outputs.map((a) => a.name) : undefined,
    outTypes: outputs.length > 0 ? outputs.map((a) => a.type) : undefined,
  }
}

export function functionRow(context: BindContext, id: number): FunctionRow | undefined {
  return functionByOid(id) ?? userFunctionRow(context, id)
}

export function candidatesNamed(context: BindContext, parts: readonly string[]): FunctionRow[] {
  const name = parts[parts.length - 1]
  const out: FunctionRow[] = []
  const add = (schema: number) => {
    if (schema === pgCatalog) out.push(...functionsByName(name))
    else {
      for (const f of context.names.catalog.functionsNamed(name)) {
        if (f.schema === schema) out.push(userFunctionRow(context, f.oid)!)
      }
    }
  }
  if (parts.length > 1) {
    const schema = requireSchema(context.names, parts[parts.length - 2])
    add(schema === informationSchema ? pgCatalog : schema)
  } else for (const schema of effectivePath(context.names)) add(schema)
  return out
}

/** Chooses a function; undefined when no candidate fits (the caller knows what else the name can be). */
export function chooseFunction(
  context: BindContext,
  parts: readonly string[],
  types: readonly number[],
  explicitVariadic: boolean,
): Resolution | undefined {
  const candidates: Candidate[] = []
  for (const row of candidatesNamed(context, parts)) {
    const n = row.args.length
    if (row.variadic !== 0 && !explicitVariadic && types.length >= n) {
      const element = row.variadic
      const expanded = [...row.args.slice(0, -1), ...Array<number>(types.length - n + 1).fill(element)]
      candidates.push({ row, types: expanded, expandVariadic: true })
      if (element !== oid.anyOid && types.length === n) candidates.push({ row, types: row.args, expandVariadic: false })
    } else if (types.length <= n && types.length >= n - row.defaults) {
      candidates.push({ row, types: row.args.slice(0, types.length), expandVariadic: false })
    }
  }
  if (meansCast(context, parts, candidates, types)) return undefined
  const chosen = choose(context, candidates, types)
  if (chosen === 'ambiguous') {
    throw new DbError('ambiguous_function', `function ${signature(context, parts, types)} is not unique`, {
      hint: 'Could not choose a best candidate function. You might need to add explicit type casts.',
    })
  }
  if (chosen === undefined) return undefined
  return settle(context, chosen, types)
}

/** A type's name called with one argument that no function takes exactly, but that becomes the type unchanged or through text: a cast. */
function meansCast(
  context: BindContext,
  parts: readonly string[],
  candidates: readonly Candidate[],
  types: readonly number[],
): boolean {
  if (types.length !== 1 || candidates.length === 0) return false
  if (candidates.some((c) => c.row.kind !== 'f' || c.types[0] === types[0])) return false
  const type = findType(context, parts)
  if (type === undefined) return false
  if (types[0] === oid.unknownOid) return true
  const form = castForm(context, types[0], type)
  return form === 'relabel' || form === 'text'
}

export function signature(context: BindContext, parts: readonly string[], types: readonly number[]): string {
  return `${parts.join('.')}(${types.map((t) => formatType(context, t, -1)).join(', ')})`
}

function choose<C extends { types: readonly number[]; expandVariadic?: boolean }>(
  context: BindContext,
  candidates: C[],
  types: readonly number[],
): C | 'ambiguous' | undefined {
  const exact = candidates.filter((c) => c.types.every((t, i) => t === types[i]))
  if (exact.length > 0) return exact.find((c) => !c.expandVariadic) ?? exact[0]
  let left = candidates.filter(
    (c) => types.every((t, i) => canCoerce(context, t, c.types[i], 'implicit')) && consistent(context, c.types, types),
  )
  if (left.length === 0) return undefined
  if (left.length === 1) return left[0]
  left = preferPlain(left)
  if (left.length === 1) return left[0]
  return narrow(context, left, types)
}

/** Drops variadic and repeated forms where a plain one takes the same types: earlier schemas win. */
/** Whether the actual types fit each other where the declared ones are polymorphic: text[] is no element of text[]. */
function consistent(context: BindContext, declared: readonly number[], actual: readonly number[]): boolean {
  const compatible = declared.flatMap((t, i) => {
    if (actual[i] === oid.unknownOid) return []
    if (t === oid.anycompatibleOid || t === oid.anycompatiblenonarrayOid) return [baseType(context, actual[i])]
    return t === oid.anycompatiblearrayOid
      ? [typeOf(context, baseType(context, actual[i])).element].filter((e) => e !== 0)
      : []
  })
  return compatible.length < 2 || commonType(context, compatible, undefined) !== undefined
}

function preferPlain<C extends { types: readonly number[]; expandVariadic?: boolean }>(candidates: C[]): C[] {
  const seen = new Map<string, C>()
  for (const c of candidates) {
    const key = c.types.join(',')
    const before = seen.get(key)
    if (before === undefined || (before.expandVariadic && !c.expandVariadic)) seen.set(key, c)
  }
  return [...seen.values()]
}

/** func_select_candidate: the heuristics of 10.3 steps 4c to 4f. */
function narrow<C extends { types: readonly number[] }>(
  context: BindContext,
  candidates: C[],
  given: readonly number[],
): C | 'ambiguous' | undefined {
  const types = given.map((t) => (t === oid.unknownOid ? t : baseType(context, t)))
  let left = mostOf(candidates, (c) => count(c.types, (t, i) => types[i] !== oid.unknownOid && t === types[i]))
  if (left.length === 1) return left[0]
  left = mostOf(left, (c) =>
    count(c.types, (t, i) => {
      if (types[i] === oid.unknownOid) return false
      return t === types[i] || isPreferred(context, categoryOf(context, types[i]), t)
    }),
  )
  if (left.length === 1) return left[0]
  const unknown = types.some((t) => t === oid.unknownOid)
  if (!unknown) return 'ambiguous'
  const byCategory = narrowUnknown(context, left, types)
  if (byCategory.length === 1) return byCategory[0]
  left = byCategory.length > 0 ? byCategory : left
  // Last resort: unknowns are taken as the one known type.
  const known = new Set(types.filter((t) => t !== oid.unknownOid))
  if (known.size === 1) {
    const only = [...known][0]
    const fit = left.filter(
      (c) =>
        c.types.every((t) => canCoerce(context, only, t, 'implicit')) &&
        consistent(
          context,
          c.types,
          types.map(() => only),
        ),
    )
    if (fit.length === 1) return fit[0]
  }
  return 'ambiguous'
}

function narrowUnknown<C extends { types: readonly number[] }>(
  context: BindContext,
  candidates: C[],
  types: readonly number[],
): C[] {
  const wanted: { category: string; preferred: boolean }[] = []
  for (let i = 0; i < types.length; i++) {
    if (types[i] !== oid.unknownOid) {
      wanted.push({ category: '', preferred: false })
      continue
    }
    const categories = candidates.map((c) => categoryOf(context, c.types[i]))
    let category = categories[0]
    if (categories.includes('S')) category = 'S'
    else if (categories.some((c) => c !== category)) return []
    const preferred = candidates.some(
      (c, k) => categories[k] === category && isPreferred(context, category, c.types[i]),
    )
    wanted.push({ category, preferred })
  }
  return candidates.filter((c) =>
    c.types.every((t, i) => {
      if (types[i] !== oid.unknownOid) return true
      if (categoryOf(context, t) !== wanted[i].category) return false
      return !wanted[i].preferred || isPreferred(context, wanted[i].category, t)
    }),
  )
}

function categoryOf(context: BindContext, type: number): string {
  return typeOf(context, type).category
}

function isPreferred(context: BindContext, category: string, type: number): boolean {
  const t = typeOf(context, type)
  return t.preferred && t.category === category
}

function count(types: readonly number[], test: (type: number, i: number) => boolean): number {
  let n = 0
  for (let i = 0; i < types.length; i++) if (test(types[i], i)) n++
  return n
}

function mostOf<C>(candidates: C[], score: (c: C) => number): C[] {
  let best = -1
  let out: C[] = []
  for (const c of candidates) {
    const s = score(c)
    if (s > best) {
      best = s
      out = [c]
    } else if (s === best) out.push(c)
  }
  return out
}

/** Settles polymorphic argument and result types from the actual ones. */
function settle(context: BindContext, chosen: Candidate, actual: readonly number[]): Resolution | undefined {
  const settled = settlePolymorphic(context, chosen.types, actual, chosen.row.result)
  if (settled === undefined) return undefined
  return { row: chosen.row, argTypes: settled.args, result: settled.result, expandVariadic: chosen.expandVariadic }
}

export function settlePolymorphic(
  context: BindContext,
  declared: readonly number[],
  actual: readonly number[],
  result: number,
): { args: number[]; result: number } | undefined {
  if (!declared.some(isPolymorphic) && !isPolymorphic(result)) return { args: [...declared], result }
  let element = 0
  let array = 0
  const compatible: number[] = []
  let range = 0
  for (let i = 0; i < declared.length; i++) {
    const a = actual[i] === oid.unknownOid ? 0 : baseType(context, actual[i])
    if (a === 0) continue
    if (!acceptsPolymorphic(context, a, declared[i])) return undefined
    switch (declared[i]) {
      case oid.anyelementOid:
      case oid.anynonarrayOid:
      case oid.anyenumOid:
        if (element !== 0 && element !== actual[i] && element !== a) return mismatch(context, element, a)
        element = actual[i]
        break
      case oid.anyarrayOid:
        if (array !== 0 && array !== a) return mismatch(context, array, a)
        array = a
        break
      case oid.anycompatibleOid:
      case oid.anycompatiblenonarrayOid:
        compatible.push(a)
        break
      case oid.anycompatiblearrayOid:
        if (typeOf(context, a).element !== 0) compatible.push(typeOf(context, a).element)
        break
      case oid.anyrangeOid:
      case oid.anymultirangeOid:
        range = a
        break
    }
  }
  if (array !== 0 && element === 0)
    element = array === oid.anyarrayOid ? oid.anyelementOid : typeOf(context, array).element
  if (element !== 0 && array === 0) array = typeOf(context, element).array
  else if (
    element !== 0 &&
    array !== 0 &&
    array !== oid.anyarrayOid &&
    baseType(context, typeOf(context, array).element) !== baseType(context, element)
  ) {
    throw new DbError(
      'datatype_mismatch',
      `argument declared anyarray is not consistent with argument declared anyelement`,
      {
        detail: `${formatType(context, array, -1)} versus ${formatType(context, element, -1)}`,
      },
    )
  }
  const common = compatible.length > 0 ? commonType(context, compatible, undefined) : undefined
  if (compatible.length > 0 && common === undefined) return undefined
  const needsElement = declared.some(
    (t) => t === oid.anyelementOid || t === oid.anyarrayOid || t === oid.anynonarrayOid || t === oid.anyenumOid,
  )
  if (needsElement && element === 0) {
    if (declared.includes(oid.anyarrayOid) && !declared.includes(oid.anyelementOid)) {
      throw new DbError('datatype_mismatch', 'could not determine polymorphic type because input has type unknown')
    }
    element = oid.textOid
    array = oid.textArrayOid
  }
  const base = common ?? oid.textOid
  const substitute = (t: number): number => {
    switch (t) {
      case oid.anyelementOid:
      case oid.anynonarrayOid:
      case oid.anyenumOid:
        return element
      case oid.anyarrayOid:
        return array
      case oid.anycompatibleOid:
      case oid.anycompatiblenonarrayOid:
        return base
      case oid.anycompatiblearrayOid:
        return typeOf(context, base).array
      case oid.anyrangeOid:
      case oid.anymultirangeOid:
        return range
      default:
        return t
    }
  }
  return { args: declared.map(substitute), result: substitute(result) }
}

function mismatch(context: BindContext, a: number, b: number): never {
  throw new DbError('datatype_mismatch', 'arguments declared "anyelement" are not all alike', {
    detail: `${formatType(context, a, -1)} versus ${formatType(context, b, -1)}`,
  })
}

/** The operator and its converted operands as a call. `left` undefined for a prefix operator. */
export function operatorCall(
  context: BindContext,
  name: readonly string[],
  left: Expr | undefined,
  right: Expr,
  at?: number,
): Expr {
  const { row, args } = chooseOperator(context, name, left?.type, right.type, at)
  const declared = row.left === 0 ? [row.right] : [row.left, row.right]
  const operands = left === undefined ? [right] : [left, right]
  const settled = settlePolymorphic(
    context,
    declared,
    operands.map((e) => e.type),
    row.result,
  )
  if (settled === undefined) throw undefinedOperator(context, name, left?.type, right.type, at)
  return {
    kind: 'func',
    func: row.code,
    operator: row.oid,
    args: operands.map((e, i) =>
      coerce(context, e, isPolymorphic(args[i]) ? settled.args[i] : args[i], -1, 'implicit', at),
    ),
    type: settled.result,
    typmod: -1,
    at,
  }
}

export function chooseOperator(
  context: BindContext,
  name: readonly string[],
  left: number | undefined,
  right: number,
  at?: number,
): { row: OperatorRow; args: readonly number[] } {
  const symbol = name[name.length - 1]
  const all = operatorsByName(symbol)
  if (left === undefined) {
    const prefix = all.filter((o) => o.left === 0).map((row) => ({ row, types: [row.right] }))
    const chosen = choose(context, prefix, [right])
    if (chosen === undefined) throw undefinedOperator(context, name, left, right, at)
    if (chosen === 'ambiguous') throw ambiguousOperator(context, name, left, right, at)
    return { row: chosen.row, args: chosen.types }
  }
  // Most often there is just the one; statements of many thousand terms feel what the rest costs.
  const exact = all.find((o) => o.left === left && o.right === right)
  if (exact !== undefined && left !== oid.unknownOid && right !== oid.unknownOid)
    return { row: exact, args: [left, right] }
  const binary = all.filter((o) => o.left !== 0).map((row) => ({ row, types: [row.left, row.right] }))
  // An unknown operand is first tried as the other's type.
  if (left === oid.unknownOid || right === oid.unknownOid) {
    const known = left === oid.unknownOid ? right : left
    const same = binary.find((c) => c.types[0] === known && c.types[1] === known)
    if (same !== undefined) return { row: same.row, args: same.types }
    const base = baseType(context, known)
    const sameBase = base === known ? undefined : binary.find((c) => c.types[0] === base && c.types[1] === base)
    if (sameBase !== undefined) return { row: sameBase.row, args: sameBase.types }
  }
  const chosen = choose(context, binary, [left, right])
  if (chosen === undefined) throw undefinedOperator(context, name, left, right, at)
  if (chosen === 'ambiguous') throw ambiguousOperator(context, name, left, right, at)
  return { row: chosen.row, args: chosen.types }
}

function describe(context: BindContext, name: readonly string[], left: number | undefined, right: number): string {
  return `${left === undefined ? '' : `${formatType(context, left, -1)} `}${name.join('.')} ${formatType(context, right, -1)}`
}

function undefinedOperator(
  context: BindContext,
  name: readonly string[],
  left: number | undefined,
  right: number,
  at?: number,
): DbError {
  return errorAt(
    context,
    at,
    new DbError('undefined_function', `operator does not exist: ${describe(context, name, left, right)}`, {
      hint:
        left === undefined
          ? 'No operator matches the given name and argument type. You might need to add an explicit type cast.'
          : 'No operator matches the given name and argument types. You might need to add explicit type casts.',
    }),
  )
}

function ambiguousOperator(
  context: BindContext,
  name: readonly string[],
  left: number | undefined,
  right: number,
  at?: number,
): DbError {
  return errorAt(
    context,
    at,
    new DbError('ambiguous_function', `operator is not unique: ${describe(context, name, left, right)}`, {
      hint: 'Could not choose a best candidate operator. You might need to add explicit type casts.',
    }),
  )
}

/** The default btree or hash equality operator between two types, for DISTINCT, GROUP BY, IN, NULLIF. */
export function equalityOperator(context: BindContext, left: number, right: number): OperatorRow {
  return chooseOperator(context, ['='], left, right).row
}

export { operatorByOid }
