/** Closures for arrays, rows, fields and subscripts. */
import { DbError } from '../../base/index.ts'
import type { Eval } from '../execute/execution.ts'
import { setJsonbPath } from '../functions/registry.ts'
import type { Expr } from '../query.ts'
import { arrayOf, SqlArray } from '../types/array.ts'
import { JsonObject } from '../types/jsonb.ts'
import { SqlRecord } from '../types/record.ts'
import type { Type, Value } from '../types/type.ts'
import { type Build, type Node, typeOf } from './compile.ts'
import type { PlanScope } from './scope.ts'

export function compileArray(_scope: PlanScope, expr: Expr & { kind: 'array' }, sub: Build): Node {
  const nodes = expr.items.map(sub)
  const evals = nodes.map((n) => n.eval)
  const { element, nested } = expr
  const make = (values: Value[]): Value => (nested ? stack(element, values) : arrayOf(element, values))
  if (nodes.every((n) => n.constant !== undefined)) {
    const value = make(nodes.map((n) => n.constant!.value))
    return { eval: () => value, constant: { value } }
  }
  return { eval: (x) => make(evals.map((e) => e(x))) }
}

/** Arrays as the rows of one with a dimension more. */
export function stack(element: number, values: readonly Value[]): Value {
  const parts = values.map((v) => {
    if (v === null)
      throw new DbError(
        'array_subscript_error',
        'multidimensional arrays must have array expressions with matching dimensions',
      )
    return v as SqlArray
  })
  if (parts.length === 0 || parts.every((p) => p.items.length === 0)) return arrayOf(element, [])
  const first = parts[0]
  for (const p of parts) {
    if (p.dimensions.length !== first.dimensions.length || p.dimensions.some((d, i) => d !== first.dimensions[i])) {
      throw new DbError(
        'array_subscript_error',
        'multidimensional arrays must have array expressions with matching dimensions',
      )
    }
  }
  const dimensions = [parts.length, ...first.dimensions]
  return new SqlArray(
    element,
    dimensions,
    [1, ...first.lowerBounds],
    parts.flatMap((p) => p.items),
  )
}

export function compileRow(scope: PlanScope, expr: Expr & { kind: 'row' }, sub: Build): Node {
  const evals = expr.items.map((e) => sub(e).eval)
  const types = expr.items.map((e): Type => typeOf(scope, e.type))
  const names = expr.names
  return {
    eval: (x) =>
      new SqlRecord(
        types,
        evals.map((e) => e(x)),
        names,
      ),
  }
}

export function compileField(_scope: PlanScope, expr: Expr & { kind: 'field' }, sub: Build): Node {
  if (expr.arg.kind === 'row') return sub(expr.arg.items[expr.field])
  const a = sub(expr.arg).eval
  const { field } = expr
  return {
    eval: (x) => {
      const v = a(x)
      return v === null ? null : (v.values[field] ?? null)
    },
  }
}

export function compileSubscript(scope: PlanScope, expr: Expr & { kind: 'subscript' }, sub: Build): Node {
  const arg = sub(expr.arg).eval
  const upper = expr.upper.map((e) => (e === undefined || e === null ? undefined : sub(e).eval))
  const lower = expr.lower.map((e) => (e === undefined || e === null ? undefined : sub(e).eval))
  if (expr.arg.type === 3802) return jsonbSubscript(expr, arg, upper as Eval[], sub)
  const element = typeOf(scope, expr.arg.type).element
  if (expr.assign !== undefined) {
    const value = sub(expr.assign).eval
    if (expr.slice) throw new DbError('feature_not_supported', 'assignment to array slices is not supported')
    return {
      eval: (x) =>
        setElement(
          element,
          arg(x),
          upper.map((u) => u!(x)),
          value(x),
        ),
    }
  }
  if (expr.slice) {
    return {
      eval: (x) => {
        const v = arg(x)
        if (v === null) return null
        if (typeof v === 'string')
          throw new DbError('feature_not_supported', 'slices of fixed-length arrays not implemented')
        const lo = lower.map((l) => (l === undefined ? undefined : l(x)))
        const hi = upper.map((u) => (u === undefined ? undefined : u(x)))
        if (lo.includes(null) || hi.includes(null)) return null
        // a[2] in a slice of several dimensions means 1:2.
        return slice(
          v,
          lo.map((l, i) =>
            l === undefined && (expr.lower[i] ?? undefined) === undefined && !isRange(expr, i) ? 1 : l,
          ),
          hi,
        )
      },
    }
  }
  if (upper.length === 1) {
    const u = upper[0]!
    return {
      eval: (x) => {
        const v = arg(x) as SqlArray | string | null
        if (v === null) return null
        const i = u(x)
        // A name is an array of characters, counted from 0; so is a domain over it.
        if (typeof v === 'string') return v[i ?? -1] ?? null
        if (i === null || v.dimensions.length !== 1) return null
        return v.items[i - v.lowerBounds[0]] ?? null
      },
    }
  }
  return {
    eval: (x) => {
      const v = arg(x)
      return v === null
        ? null
        : element1(
            v,
            upper.map((u) => u!(x)),
          )
    },
  }
}

function isRange(expr: Expr & { kind: 'subscript' }, i: number): boolean {
  return (expr.lower[i] ?? undefined) !== undefined || (expr.upper[i] ?? undefined) === undefined
}

function element1(v: SqlArray, at: readonly Value[]): Value {
  if (typeof v === 'string' || at.includes(null) || at.length !== v.dimensions.length) return null
  let offset = 0
  for (let d = 0; d < at.length; d++) {
    const i = at[d] - v.lowerBounds[d]
    if (i < 0 || i >= v.dimensions[d]) return null
    offset = offset * v.dimensions[d] + i
  }
  return v.items[offset]
}

function slice(v: SqlArray, lower: readonly (number | undefined)[], upper: readonly (number | undefined)[]): Value {
  const n = v.dimensions.length
  if (n === 0 || lower.length > n) return arrayOf(v.elementOid, [])
  const from: number[] = []
  const to: number[] = []
  for (let d = 0; d < n; d++) {
    const first = v.lowerBounds[d]
    const last = first + v.dimensions[d] - 1
    from.push(Math.max(lower[d] ?? first, first) - first)
    to.push(Math.min(upper[d] ?? last, last) - first)
    if (from[d] > to[d]) return arrayOf(v.elementOid, [])
  }
  const items: Value[] = []
  const walk = (d: number, offset: number): void => {
    for (let i = from[d]; i <= to[d]; i++) {
      const at = offset * v.dimensions[d] + i
      if (d === n - 1) items.push(v.items[at])
      else walk(d + 1, at)
    }
  }
  walk(0, 0)
  return new SqlArray(
    v.elementOid,
    from.map((f, d) => to[d] - f + 1),
    from.map(() => 1),
    items,
  )
}

const maxItems = 134_217_727

function setElement(element: number, v: SqlArray | null, at: readonly Value[], value: Value): Value {
  if (at.includes(null)) throw new DbError('null_value_not_allowed', 'array subscript in assignment must not be null')
  if (v === null || v.dimensions.length === 0)
    return new SqlArray(
      element,
      at.map(() => 1),
      at as number[],
      [value],
    )
  if (at.length !== v.dimensions.length) throw new DbError('array_subscript_error', 'wrong number of array subscripts')
  if (at.length > 1) {
    const copy = [...v.items]
    let offset = 0
    for (let d = 0; d < at.length; d++) {
      const i = at[d] - v.lowerBounds[d]
      if (i < 0 || i >= v.dimensions[d]) throw new DbError('array_subscript_error', 'array subscript out of range')
      offset = offset * v.dimensions[d] + i
    }
    copy[offset] = value
    return new SqlArray(element, v.dimensions, v.lowerBounds, copy)
  }
  const low = Math.min(v.lowerBounds[0], at[0])
  const high = Math.max(v.lowerBounds[0] + v.dimensions[0] - 1, at[0])
  if (high - low + 1 > maxItems)
    throw new DbError('program_limit_exceeded', `array size exceeds the maximum allowed (${maxItems})`)
  const items: Value[] = new Array(high - low + 1).fill(null)
  v.items.forEach((item, i) => {
    items[v.lowerBounds[0] - low + i] = item
  })
  items[at[0] - low] = value
  return new SqlArray(element, [items.length], [low], items)
}

function jsonbSubscript(expr: Expr & { kind: 'subscript' }, arg: Eval, keys: readonly Eval[], sub: Build): Node {
  if (expr.assign !== undefined) {
    const value = sub(expr.assign).eval
    return {
      eval: (x) =>
        setJsonbPath(
          arg(x),
          keys.map((k) => k(x)),
          value(x),
        ),
    }
  }
  return {
    eval: (x) => {
      let v = arg(x)
      for (const k of keys) {
        if (v === null) return null
        const key = k(x)
        if (key === null) return null
        v = member(v, key)
      }
      return v
    },
  }
}

function member(v: Value, key: string | number): Value {
  if (v instanceof JsonObject) return v.get(String(key)) ?? null
  if (!Array.isArray(v)) return null
  const i = Number(key)
  if (!Number.isInteger(i)) return null
  return v[i < 0 ? v.length + i : i] ?? null
}
