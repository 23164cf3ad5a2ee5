/**
 * Join order: dynamic programming over sets of relations while they are few (Selinger et al., 1979), a greedy choice of
 * the cheapest next join when they are many. Each join is a hash join on equalities or a nested loop, whose inner side
 * may look its rows up by index.
 */

import { Materialize, Project } from '../execute/basic.ts'
import type { Execution, Operator } from '../execute/execution.ts'
import { HashJoin, type JoinType, MergeJoin, NestedLoop } from '../execute/join.ts'
import { Sort } from '../execute/sort.ts'
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
  const all = new Set(outer)
  for (const item of items) for (const r of item.rels) all.add(r)
  const usable = conditions.filter((c) => subset(c.rels, all))
  if (items.length === 1) return single(items[0], usable, outer)
  // Relations without a condition between them are only multiplied: each connected group is ordered by itself.
  const groups = connected(items, usable).map((members) => joinGroup(members, usable, outer))
  groups.sort((a, b) => a.rows - b.rows)
  return groups.reduce((left, right) => joinPair(left, undefined, right, left.rels, right.rels, [], usable, outer)!)
}

function joinGroup(items: readonly Item[], conditions: readonly Condition[], outer: ReadonlySet<Rel>): Joined {
  if (items.length === 1) return single(items[0], conditions, outer)
  const edges = edgesBetween(items, conditions)
  return (
    (items.length <= exhaustiveUpTo ? exhaustive(items, edges, conditions, outer) : undefined) ??
    greedy(items, edges, conditions, outer)
  )
}

/** The items in groups that conditions and lateral references hold together. */
function connected(items: readonly Item[], conditions: readonly Condition[]): Item[][] {
  const parent = items.map((_, i) => i)
  const root = (i: number): number => (parent[i] === i ? i : (parent[i] = root(parent[i])))
  const owner = new Map<Rel, number>()
  items.forEach((item, i) => {
    for (const r of item.rels) owner.set(r, i)
  })
  const unite = (rels: Iterable<Rel>, start: number) => {
    let first = start
    for (const r of rels) {
      const i = owner.get(r)
      if (i === undefined) continue
      if (first < 0) first = i
      else parent[root(i)] = root(first)
    }
  }
  for (const c of conditions) unite(c.rels, -1)
  items.forEach((item, i) => {
    unite(item.needs, i)
  })
  const groups = new Map<number, Item[]>()
  items.forEach((item, i) => {
    const group = groups.get(root(i))
    if (group === undefined) groups.set(root(i), [item])
    else group.push(item)
  })
  return [...groups.values()]
}

/** A condition between several of the items, which are given by their numbers. */
interface Edge {
  readonly condition: Condition
  readonly items: readonly number[]
  /** The same as bits, for the first 32 items. */
  readonly mask: number
}

function edgesBetween(items: readonly Item[], conditions: readonly Condition[]): Edge[] {
  const owner = new Map<Rel, number>()
  items.forEach((item, i) => {
    for (const r of item.rels) owner.set(r, i)
  })
  const out: Edge[] = []
  for (const c of conditions) {
    const touched = new Set<number>()
    for (const r of c.rels) {
      const i = owner.get(r)
      if (i !== undefined) touched.add(i)
    }
    if (touched.size > 1)
      out.push({ condition: c, items: [...touched], mask: [...touched].reduce((m, i) => m | (1 << i), 0) })
  }
  return out
}

function single(item: Item, conditions: readonly Condition[], outer: ReadonlySet<Rel>): Joined {
  return { ...cheapest(item.paths(outer, ownConditions(item.rels, conditions, outer))), rels: item.rels }
}

/** Conditions on these relations alone, and on what is known from outside. */
function ownConditions(rels: ReadonlySet<Rel>, conditions: readonly Condition[], outer: ReadonlySet<Rel>): Condition[] {
  return conditions.filter((c) => {
    for (const r of c.rels) if (!rels.has(r) && !outer.has(r)) return false
    return true
  })
}

export function cheapest(paths: readonly Path[]): Path {
  let best = paths[0]
  for (const p of paths) if (p.cost < best.cost) best = p
  return best
}

/** Every set of items from its best splits in two, small sets first; a cross product only where nothing connects. */
function exhaustive(
  items: readonly Item[],
  edges: readonly Edge[],
  conditions: readonly Condition[],
  outer: ReadonlySet<Rel>,
): Joined | undefined {
  const n = items.length
  const full = (1 << n) - 1
  const best: (Joined | undefined)[] = new Array(full + 1).fill(undefined)
  items.forEach((item, i) => {
    if (subset(item.needs, outer)) best[1 << i] = single(item, conditions, outer)
  })
  const rels: ReadonlySet<Rel>[] = Array.from({ length: full + 1 }, () => new Set<Rel>())
  for (let mask = 1; mask <= full; mask++)
    rels[mask] = new Set(items.flatMap((item, i) => (mask & (1 << i) ? [...item.rels] : [])))
  const masks = Array.from({ length: full }, (_, i) => i + 1).sort((a, b) => bits(a) - bits(b))
  for (const mask of masks) {
    if (bits(mask) < 2) continue
    const inside = edges.filter((e) => (e.mask & ~mask) === 0)
    for (const crossProducts of [false, true]) {
      if (best[mask] !== undefined) break
      for (let right = (mask - 1) & mask; right > 0; right = (right - 1) & mask) {
        const left = mask ^ right
        const l = best[left]
        const item = (right & (right - 1)) === 0 ? items[31 - Math.clz32(right)] : undefined
        if (l === undefined || (item === undefined && best[right] === undefined)) continue
        const between = inside.filter((e) => (e.mask & left) !== 0 && (e.mask & right) !== 0).map((e) => e.condition)
        // A lateral item must have what it refers to on its left.
        if (item !== undefined && !subset(item.needs, new Set([...rels[left], ...outer]))) continue
        if (between.length === 0 && !crossProducts && !(item !== undefined && item.needs.size > 0)) continue
        const joined = joinPair(l, item, best[right], rels[left], rels[right], between, conditions, outer)
        if (joined === undefined) continue
        const known: Joined | undefined = best[mask]
        if (known === undefined || joined.cost < known.cost) best[mask] = joined
      }
    }
  }
  return best[full]
}

function bits(mask: number): number {
  let n = 0
  for (let m = mask; m > 0; m &= m - 1) n++
  return n
}

/** Starts with the smallest relation and adds whichever costs least; joins without a condition come last. */
function greedy(
  items: readonly Item[],
  edges: readonly Edge[],
  conditions: readonly Condition[],
  outer: ReadonlySet<Rel>,
): Joined {
  const alone = items.map((item) => (subset(item.needs, outer) ? single(item, conditions, outer) : undefined))
  const left = new Set(items.keys())
  let current: Joined | undefined
  let first = -1
  alone.forEach((path, i) => {
    if (path === undefined || (current !== undefined && path.rows >= current.rows)) return
    current = path
    first = i
  })
  if (current === undefined) throw new Error('no relation can be read first')
  left.delete(first)
  while (left.size > 0) {
    const reachable = neighbours(edges, left)
    let next: { joined: Joined; item: number } | undefined
    for (const connectedOnly of [true, false]) {
      for (const i of connectedOnly ? reachable.keys() : left) {
        const item = items[i]
        if (!readable(item, current, outer)) continue
        const between = reachable.get(i) ?? []
        const joined = joinPair(current, item, alone[i], current.rels, item.rels, between, conditions, outer)
        if (joined === undefined) continue
        if (next === undefined || joined.cost + joined.rows * rowCost < next.joined.cost + next.joined.rows * rowCost)
          next = { joined, item: i }
      }
      if (next !== undefined) break
    }
    if (next === undefined) throw new Error('a relation depends on one that cannot be read before it')
    current = next.joined
    left.delete(next.item)
  }
  return current
}

function readable(item: Item, current: Joined, outer: ReadonlySet<Rel>): boolean {
  for (const r of item.needs) if (!current.rels.has(r) && !outer.has(r)) return false
  return true
}

/** Items that a condition connects with what is joined already, with all such conditions. */
function neighbours(edges: readonly Edge[], left: ReadonlySet<number>): Map<number, Condition[]> {
  const out = new Map<number, Condition[]>()
  for (const edge of edges) {
    let missing = -1
    let count = 0
    for (const i of edge.items) {
      if (!left.has(i)) continue
      missing = i
      count++
    }
    if (count !== 1) continue
    const known = out.get(missing)
    if (known === undefined) out.set(missing, [edge.condition])
    else known.push(edge.condition)
  }
  return out
}

function joinPair(
  left: Joined,
  rightItem: Item | undefined,
  rightAlone: Joined | undefined,
  leftRels: ReadonlySet<Rel>,
  rightRels: ReadonlySet<Rel>,
  between: readonly Condition[],
  conditions: readonly Condition[],
  outer: ReadonlySet<Rel>,
): Joined | undefined {
  const rels = new Set([...leftRels, ...rightRels])
  const ways: Joined[] = []
  if (rightAlone !== undefined) {
    const rows = Math.max(
      1e-6,
      between.reduce((n, c) => n * selectivity(c), left.rows * rightAlone.rows),
    )
    for (const way of joinWays('inner', left, rightAlone, leftRels, rightRels, between, rows))
      ways.push({ ...way, rels })
  }
  if (rightItem !== undefined) {
    const available = new Set([...leftRels, ...outer])
    const own = ownConditions(rightRels, conditions, outer)
    const inner = cheapest(rightItem.paths(available, [...own, ...between]))
    const rows = Math.max(1e-6, left.rows * inner.rows)
    ways.push({
      rows,
      rels,
      startup: left.startup,
      ordered: left.ordered,
      cost: rightItem.builder.penalty('nestloop') + left.cost + left.rows * inner.cost + rows * rowCost,
      build: () => nestedLoop('inner', left.build(), () => inner.build(), [], rightItem.builder),
    })
  }
  if (ways.length === 0) return undefined
  return cheapest(ways) as Joined
}

/** A join of two finished sides by hash or by comparing all pairs. */
export function joinWays(
  type: JoinType,
  left: Path,
  right: Path,
  leftRels: ReadonlySet<Rel>,
  rightRels: ReadonlySet<Rel>,
  conditions: readonly Condition[],
  rows: number,
): Path[] {
  const out: Path[] = []
  const builder = builderOf(leftRels)
  const keys = conditions.map((c) => equiKey(c, leftRels, rightRels)).filter((k): k is EquiKey => k !== undefined)
  const rest = conditions.filter((c) => !keys.some((k) => k.condition === c))
  if (keys.length > 0) {
    out.push({
      rows,
      startup: left.startup + right.cost,
      ordered: false,
      cost:
        builder.penalty('hashjoin') +
        left.cost +
        right.cost +
        right.rows * rowCost * 1.8 +
        left.rows * rowCost +
        rows * rowCost,
      build: () => hashJoin(type, left.build(), right.build(), keys, rest),
    })
  }
  // A hash table that would not fit is not built: both sides are sorted, which spills, and merged.
  const tooLarge = right.rows * keptRowBytes > mergeAboveBytes && !builder.disabled('mergejoin')
  if (keys.length > 0 && (type === 'inner' || type === 'left') && (tooLarge || builder.disabled('hashjoin'))) {
    const merged = mergeWay(type, left, right, keys, rest, rows)
    if (merged !== undefined && tooLarge) return [merged]
    if (merged !== undefined) out.push(merged)
  }
  if (type === 'inner' || type === 'left' || type === 'semi' || type === 'anti') {
    out.push({
      rows,
      startup: left.startup + right.cost,
      ordered: left.ordered,
      cost:
        builder.penalty('nestloop') +
        left.cost +
        right.cost +
        left.rows * right.rows * rowCost * (0.3 + 0.25 * conditions.length) +
        rows * rowCost,
      build: () => nestedLoop(type, left.build(), () => new Materialize(right.build()), conditions, undefined),
    })
  } else if (keys.length === 0) {
    out.push({
      rows,
      startup: left.startup + right.cost,
      ordered: false,
      cost: left.cost + right.cost + left.rows * right.rows * rowCost,
      build: () => hashJoin(type, left.build(), right.build(), [], rest),
    })
  }
  return out
}

function builderOf(rels: ReadonlySet<Rel>): PlanBuilder {
  for (const rel of rels) return rel.scope.builder
  throw new Error('a side of a join has no relation')
}

/** @param builder set when the right side reads registers of the left one: which ones is found while it is built. */
export function nestedLoop(
  type: 'inner' | 'left' | 'semi' | 'anti',
  left: Operator,
  right: () => Operator,
  conditions: readonly Condition[],
  builder: PlanBuilder | undefined,
): Operator {
  const uses = new Set<number>()
  const inner = builder === undefined ? right() : builder.recording(uses, right)
  const condition = conditions.length === 0 ? undefined : compileAll(conditions)
  const produced = new Set(left.produces())
  return new NestedLoop(type, left, inner, condition, new Set([...uses].filter((r) => produced.has(r))))
}

/** What a row kept in a hash table takes, and how large one may be expected to grow. */
const keptRowBytes = 120
const mergeAboveBytes = 512 * 1024 * 1024

function mergeWay(
  type: 'inner' | 'left',
  left: Path,
  right: Path,
  keys: readonly EquiKey[],
  rest: readonly Condition[],
  rows: number,
): Path | undefined {
  // Merging needs one order for both sides.
  if (keys.some((k) => k.left.type !== k.right.type)) return undefined
  const { builder } = keys[0].condition.scope
  const sort = (p: Path) => builder.penalty('sort') + p.cost + p.rows * Math.log2(Math.max(2, p.rows)) * rowCost
  return {
    rows,
    startup: left.cost + right.cost,
    ordered: false,
    cost: builder.penalty('mergejoin') + sort(left) + sort(right) + (left.rows + right.rows + rows) * rowCost,
    build: () => {
      const parts = keys.map((k) => {
        const { scope } = k.condition
        return {
          scope,
          left: compile(scope, k.left),
          right: compile(scope, k.right),
          type: typeOf(scope, k.left.type),
          text: exprText(scope, k.left),
        }
      })
      const sorted = (input: Operator, side: 'left' | 'right'): { operator: Operator; registers: number[] } => {
        const registers = parts.map((p) => p[side].register ?? builder.allocate())
        const computed = parts.flatMap((p, i) =>
          p[side].register === undefined
            ? [{ eval: p[side].eval, register: registers[i], uses: p[side].uses, suspends: p[side].suspends }]
            : [],
        )
        for (let i = 0; i < parts.length; i++) builder.noteType(registers[i], parts[i].type)
        const below = computed.length === 0 ? input : new Project(input, computed)
        const sortKeys = parts.map((p, i) => ({
          register: registers[i],
          type: p.type,
          descending: false,
          nullsFirst: false,
          text: p.text,
        }))
        return { operator: new Sort(below, sortKeys, (r) => builder.typeOfRegister(r)), registers }
      }
      const l = sorted(left.build(), 'left')
      const r = sorted(right.build(), 'right')
      const joinKeys = parts.map((p, i) => ({
        left: (x: Execution) => x.r[l.registers[i]],
        right: (x: Execution) => x.r[r.registers[i]],
        leftType: p.type,
        rightType: p.type,
        leftUses: new Set([l.registers[i]]),
        rightUses: new Set([r.registers[i]]),
      }))
      const text = keys.map((k) => exprText(k.condition.scope, k.condition.expr)).join(' AND ')
      return new MergeJoin(
        type,
        l.operator,
        r.operator,
        joinKeys,
        rest.length === 0 ? undefined : compileAll(rest),
        text,
      )
    },
  }
}

export function hashJoin(
  type: JoinType,
  left: Operator,
  right: Operator,
  keys: readonly EquiKey[],
  rest: readonly Condition[],
): Operator {
  const joinKeys = keys.map((k) => {
    const { scope } = k.condition
    const l = compile(scope, k.left)
    const r = compile(scope, k.right)
    return {
      left: l.eval,
      right: r.eval,
      leftType: typeOf(scope, k.left.type),
      rightType: typeOf(scope, k.right.type),
      leftUses: l.uses,
      rightUses: r.uses,
    }
  })
  const text = keys.map((k) => exprText(k.condition.scope, k.condition.expr)).join(' AND ')
  return new HashJoin(type, left, right, joinKeys, rest.length === 0 ? undefined : compileAll(rest), text)
}
