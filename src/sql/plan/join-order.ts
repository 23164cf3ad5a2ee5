/**
 * Join order: dynamic programming over sets of relations while they are few (Selinger et al., 1979), a greedy choice of
 * the cheapest next join when they are many. Each join is a hash join on equalities or a nested loop, whose inner side
 * may look its rows up by index.
 */
import type { Operator } from '../execute/execution.ts'
import { Materialize } from '../execute/basic.ts'
import { HashJoin, type JoinType, NestedLoop } from '../execute/join.ts'
import { compileAll, type Path, rowCost } from './access-path.ts'
import { compile, typeOf } from './compile.ts'
import { selectivity } from './estimate.ts'
import { exprText } from './expr-text.ts'
import { type Condition, type EquiKey, equiKey, type Rel, subset } from './rel.ts'
import type { PlanBuilder } from './scope.ts'

const exhaustiveUpTo = 9

/** Something to be joined: a relation, or an outer join already planned. */
export interface Item {
  readonly rels: ReadonlySet<Rel>
  /** Ways to read it when the registers of `available` are set; conditions are those it may apply. */
  paths(available: ReadonlySet<Rel>, conditions: readonly Condition[]): Path[]
  /** Relations that must be to its left. */
  readonly needs: ReadonlySet<Rel>
  readonly builder: PlanBuilder
}

interface Joined extends Path {
  readonly rels: ReadonlySet<Rel>
}

/** The best plan that joins all items under all conditions that need no more than their relations. */
export function joinAll(items: readonly Item[], conditions: readonly Condition[], outer: ReadonlySet<Rel>): Joined {
  if (items.length === 1) {
    const all = new Set([...items[0].rels, ...outer])
    return single(items[0], conditions.filter((c) => subset(c.rels, all)), outer)
  }
  return items.length <= exhaustiveUpTo ? exhaustive(items, conditions, outer) : greedy(items, conditions, outer)
}

function single(item: Item, conditions: readonly Condition[], outer: ReadonlySet<Rel>): Joined {
  const own = conditions.filter((c) => subset(c.rels, new Set([...item.rels, ...outer])))
  return { ...cheapest(item.paths(outer, own)), rels: item.rels }
}

export function cheapest(paths: readonly Path[]): Path {
  let best = paths[0]
  for (const p of paths) if (p.cost < best.cost) best = p
  return best
}

function exhaustive(items: readonly Item[], conditions: readonly Condition[], outer: ReadonlySet<Rel>): Joined {
  const n = items.length
  const best = new Map<number, Joined>()
  items.forEach((item, i) => {
    if ([...item.needs].every((r) => outer.has(r))) best.set(1 << i, single(item, conditions, outer))
  })
  const relsOfMask = (mask: number): Set<Rel> => new Set(items.flatMap((item, i) => (mask & (1 << i) ? [...item.rels] : [])))
  const masks = Array.from({ length: (1 << n) - 1 }, (_, i) => i + 1).sort((a, b) => bits(a) - bits(b))
  for (const mask of masks) {
    if (bits(mask) < 2) continue
    const relaxed = [false, true]
    for (const crossProducts of relaxed) {
      if (best.has(mask)) break
      for (let right = (mask - 1) & mask; right > 0; right = (right - 1) & mask) {
        const left = mask ^ right
        const l = best.get(left)
        if (l === undefined) continue
        const index = bits(right) === 1 ? Math.log2(right) : -1
        const r = index >= 0 ? undefined : best.get(right)
        if (index < 0 && r === undefined) continue
        const leftRels = relsOfMask(left)
        const rightRels = relsOfMask(right)
        const between = joining(conditions, leftRels, rightRels, outer)
        if (between.length === 0 && !crossProducts && !(index >= 0 && items[index].needs.size > 0)) continue
        const joined = joinPair(l, index >= 0 ? items[index] : undefined, r ?? best.get(right), leftRels, rightRels, between, conditions, outer)
        if (joined === undefined) continue
        const known = best.get(mask)
        if (known === undefined || joined.cost < known.cost) best.set(mask, joined)
      }
    }
  }
  const result = best.get((1 << n) - 1)
  if (result === undefined) return greedy(items, conditions, outer)
  return result
}

function bits(mask: number): number {
  let n = 0
  for (let m = mask; m > 0; m &= m - 1) n++
  return n
}

/** Starts with the smallest relation and adds whichever costs least; joins without a condition come last. */
function greedy(items: readonly Item[], conditions: readonly Condition[], outer: ReadonlySet<Rel>): Joined {
  const free = items.filter((i) => [...i.needs].every((r) => outer.has(r)))
  let current: Joined | undefined
  let first: Item | undefined
  for (const item of free) {
    const path = single(item, conditions, outer)
    if (current === undefined || path.rows < current.rows) {
      current = path
      first = item
    }
  }
  if (current === undefined) throw new Error('no relation can be read first')
  const left = new Set(items.filter((i) => i !== first))
  while (left.size > 0) {
    let best: Joined | undefined
    let chosen: Item | undefined
    for (const connected of [true, false]) {
      for (const item of left) {
        if (![...item.needs].every((r) => current!.rels.has(r) || outer.has(r))) continue
        const between = joining(conditions, current.rels, item.rels, outer)
        if (connected && between.length === 0) continue
        const alone = item.needs.size > 0 ? undefined : single(item, conditions, outer)
        const joined = joinPair(current, item, alone, current.rels, item.rels, between, conditions, outer)
        if (joined !== undefined && (best === undefined || joined.cost + joined.rows * rowCost < best.cost + best.rows * rowCost)) {
          best = joined
          chosen = item
        }
      }
      if (best !== undefined) break
    }
    if (best === undefined) throw new Error('a relation depends on one that cannot be read before it')
    current = best
    left.delete(chosen!)
  }
  return current
}

/** Conditions that the join of the two sides makes testable. */
function joining(conditions: readonly Condition[], left: ReadonlySet<Rel>, right: ReadonlySet<Rel>, outer: ReadonlySet<Rel>): Condition[] {
  const all = new Set([...left, ...right, ...outer])
  const leftAll = new Set([...left, ...outer])
  const rightAll = new Set([...right, ...outer])
  return conditions.filter((c) => subset(c.rels, all) && !subset(c.rels, leftAll) && !subset(c.rels, rightAll))
}

function joinPair(left: Joined, rightItem: Item | undefined, rightAlone: Joined | undefined, leftRels: ReadonlySet<Rel>, rightRels: ReadonlySet<Rel>, between: readonly Condition[], conditions: readonly Condition[], outer: ReadonlySet<Rel>): Joined | undefined {
  const rels = new Set([...leftRels, ...rightRels])
  const ways: Joined[] = []
  if (rightAlone !== undefined) {
    const rows = Math.max(1e-6, between.reduce((n, c) => n * selectivity(c), left.rows * rightAlone.rows))
    for (const way of joinWays('inner', left, rightAlone, leftRels, rightRels, between, rows)) ways.push({ ...way, rels })
  }
  if (rightItem !== undefined) {
    const available = new Set([...leftRels, ...outer])
    const own = conditions.filter((c) => subset(c.rels, new Set([...rightRels, ...outer])))
    const inner = cheapest(rightItem.paths(available, [...own, ...between]))
    const rows = Math.max(1e-6, left.rows * inner.rows)
    ways.push({
      rows, rels, startup: left.startup, ordered: left.ordered, cost: left.cost + left.rows * inner.cost + rows * rowCost,
      build: () => nestedLoop('inner', left.build(), () => inner.build(), [], rightItem.builder),
    })
  }
  if (ways.length === 0) return undefined
  return cheapest(ways) as Joined
}

/** A join of two finished sides by hash or by comparing all pairs. */
export function joinWays(type: JoinType, left: Path, right: Path, leftRels: ReadonlySet<Rel>, rightRels: ReadonlySet<Rel>, conditions: readonly Condition[], rows: number): Path[] {
  const out: Path[] = []
  const keys = conditions.map((c) => equiKey(c, leftRels, rightRels)).filter((k): k is EquiKey => k !== undefined)
  const rest = conditions.filter((c) => !keys.some((k) => k.condition === c))
  if (keys.length > 0) {
    out.push({
      rows, startup: left.startup + right.cost, ordered: false,
      cost: left.cost + right.cost + right.rows * rowCost * 1.8 + left.rows * rowCost + rows * rowCost,
      build: () => hashJoin(type, left.build(), right.build(), keys, rest),
    })
  }
  if (type === 'inner' || type === 'left' || type === 'semi' || type === 'anti') {
    out.push({
      rows, startup: left.startup + right.cost, ordered: left.ordered,
      cost: left.cost + right.cost + left.rows * right.rows * rowCost * (0.3 + 0.25 * conditions.length) + rows * rowCost,
      build: () => nestedLoop(type, left.build(), () => new Materialize(right.build()), conditions, undefined),
    })
  } else if (keys.length === 0) {
    out.push({
      rows, startup: left.startup + right.cost, ordered: false, cost: left.cost + right.cost + left.rows * right.rows * rowCost,
      build: () => hashJoin(type, left.build(), right.build(), [], rest),
    })
  }
  return out
}

/** @param builder set when the right side reads registers of the left one: which ones is found while it is built. */
export function nestedLoop(type: 'inner' | 'left' | 'semi' | 'anti', left: Operator, right: () => Operator, conditions: readonly Condition[], builder: PlanBuilder | undefined): Operator {
  const uses = new Set<number>()
  const inner = builder === undefined ? right() : builder.recording(uses, right)
  const condition = conditions.length === 0 ? undefined : compileAll(conditions)
  const produced = new Set(left.produces())
  return new NestedLoop(type, left, inner, condition, new Set([...uses].filter((r) => produced.has(r))))
}

export function hashJoin(type: JoinType, left: Operator, right: Operator, keys: readonly EquiKey[], rest: readonly Condition[]): Operator {
  const joinKeys = keys.map((k) => {
    const { scope } = k.condition
    const l = compile(scope, k.left)
    const r = compile(scope, k.right)
    return { left: l.eval, right: r.eval, leftType: typeOf(scope, k.left.type), rightType: typeOf(scope, k.right.type), leftUses: l.uses, rightUses: r.uses }
  })
  const text = keys.map((k) => exprText(k.condition.scope, k.condition.expr)).join(' AND ')
  return new HashJoin(type, left, right, joinKeys, rest.length === 0 ? undefined : compileAll(rest), text)
}
