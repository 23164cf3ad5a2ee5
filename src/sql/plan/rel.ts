/**
 * The join problem: relations to be joined, and the conditions between them, before any order is chosen.
 *
 * Sub-queries that only select and join are opened up: their relations and conditions take part in the outer problem,
 * seen through their own scope. So a condition is an expression with the scope it is to be read in.
 */
import { forEachChild, forEachQueryExpr, forEachSubquery } from '../bind/scope.ts'
import { operatorByOid } from '../functions/registry.ts'
import type { Expr, Query } from '../query.ts'
import type { PlanScope } from './scope.ts'

/** A leaf of the join problem. */
export class Rel {
  readonly scope: PlanScope
  readonly entry: number
  readonly id: number
  /** Relations of the same problem that must be to its left (LATERAL). */
  readonly needs = new Set<Rel>()

  constructor(scope: PlanScope, entry: number, id: number) {
    this.scope = scope
    this.entry = entry
    this.id = id
  }
}

export interface Condition {
  readonly scope: PlanScope
  readonly expr: Expr
  readonly rels: ReadonlySet<Rel>
  readonly hasSublink: boolean
  readonly volatile: boolean
}

const relOf = new WeakMap<PlanScope, Map<number, Rel>>()

export function setRel(scope: PlanScope, entry: number, rel: Rel): void {
  let map = relOf.get(scope)
  if (map === undefined) {
    map = new Map()
    relOf.set(scope, map)
  }
  map.set(entry, rel)
}

export function getRel(scope: PlanScope, entry: number): Rel | undefined {
  return relOf.get(scope)?.get(entry)
}

/** Leaves of the scope's own problem that the expression refers to, through opened sub-queries. */
export function relsOf(scope: PlanScope, expr: Expr, out: Set<Rel> = new Set()): Set<Rel> {
  const visit = (s: PlanScope, e: Expr, depth: number): void => {
    if (e.kind === 'var') {
      if (e.up < depth) return
      const owner = s.outer(e.up - depth)
      const source = owner.sources[e.entry]
      if (source?.kind === 'inlined') {
        if (e.column > 0) visit(source.scope, source.exprs[e.column - 1], 0)
        else for (const x of source.exprs) visit(source.scope, x, 0)
        return
      }
      const rel = getRel(owner, e.entry)
      if (rel !== undefined && rel.scope.problem === scope.problem) out.add(rel)
      return
    }
    if (e.kind === 'sublink') visitQuery(s, e.query, depth + 1)
    forEachChild(e, (x) => visit(s, x, depth))
  }
  const visitQuery = (s: PlanScope, q: Query, depth: number): void => {
    forEachQueryExpr(q, (e) => visit(s, e, depth))
    forEachSubquery(q, (sub) => visitQuery(s, sub, depth + 1))
  }
  visit(scope, expr, 0)
  return out
}

export function queryRels(scope: PlanScope, query: Query): Set<Rel> {
  return relsOf(scope, { kind: 'sublink', link: 'exists', query, type: 16, typmod: -1 })
}

export function containsSublink(expr: Expr): boolean {
  if (expr.kind === 'sublink') return true
  let found = false
  forEachChild(expr, (e) => {
    if (!found && containsSublink(e)) found = true
  })
  return found
}

export function condition(scope: PlanScope, expr: Expr): Condition {
  return { scope, expr, rels: relsOf(scope, expr), hasSublink: containsSublink(expr), volatile: scope.isVolatile(expr) }
}

/** The parts of a condition that must all hold. */
export function conjuncts(expr: Expr | undefined): Expr[] {
  if (expr === undefined) return []
  return expr.kind === 'and' ? expr.args.flatMap(conjuncts) : [expr]
}

export function subset(a: ReadonlySet<Rel>, b: ReadonlySet<Rel>): boolean {
  for (const r of a) if (!b.has(r)) return false
  return true
}

/** An equality between the sides of a join that a hash can serve. */
export interface EquiKey {
  readonly condition: Condition
  readonly left: Expr
  readonly right: Expr
}

/** Relations of the two sides of an equality that can be hashed; found once a condition. */
interface Sides {
  readonly a: ReadonlySet<Rel>
  readonly b: ReadonlySet<Rel>
}

const sidesOf = new WeakMap<Condition, Sides | null>()

function hashableSides(c: Condition): Sides | null {
  let sides = sidesOf.get(c)
  if (sides !== undefined) return sides
  sides = null
  const e = c.expr
  if (e.kind === 'func' && e.operator !== undefined && e.args.length === 2 && !c.hasSublink && !c.volatile) {
    const operator = operatorByOid(e.operator)
    if (operator?.name === '=' && operator.canHash) {
      const a = relsOf(c.scope, e.args[0])
      const b = relsOf(c.scope, e.args[1])
      if (a.size > 0 && b.size > 0) sides = { a, b }
    }
  }
  sidesOf.set(c, sides)
  return sides
}

export function equiKey(c: Condition, left: ReadonlySet<Rel>, right: ReadonlySet<Rel>): EquiKey | undefined {
  const sides = hashableSides(c)
  if (sides === null) return undefined
  const [first, second] = (c.expr as Expr & { kind: 'func' }).args
  if (inside(sides.a, left, right) && inside(sides.b, right, left)) return { condition: c, left: first, right: second }
  if (inside(sides.b, left, right) && inside(sides.a, right, left)) return { condition: c, left: second, right: first }
  return undefined
}

/** Whether a set touches the one side and not the other. */
function inside(rels: ReadonlySet<Rel>, side: ReadonlySet<Rel>, other: ReadonlySet<Rel>): boolean {
  let touches = false
  for (const r of rels) {
    if (other.has(r)) return false
    if (side.has(r)) touches = true
  }
  return touches
}
