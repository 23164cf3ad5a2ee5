/**
 * The FROM clause as a join problem: leaves, conditions, outer joins planned inside out, and sub-queries opened up
 * where that cannot change the result.
 */
import { DbError } from '../../base/index.ts'
import { functionRow } from '../bind/calls.ts'
import { systemRelation } from '../catalog/system-schema.ts'
import { Filter, ValuesScan } from '../execute/basic.ts'
import type { Operator } from '../execute/execution.ts'
import { LateRegisters, Rename } from '../execute/rename.ts'
import { FunctionScan, SystemScan, type TableFunction } from '../execute/sources.ts'
import { operatorByOid, setCodeOf } from '../functions/registry.ts'
import { isLocal } from '../local/local-table.ts'
import type { Entry, EntryColumn, Expr, FromNode, Query } from '../query.ts'
import type { Value } from '../types/type.ts'
import { compileAll, isColumn, type Path, relationPaths, rowCost, type WantedOrdering } from './access-path.ts'
import { compile, typeOf } from './compile.ts'
import { relationRows, selectivity } from './estimate.ts'
import { cheapest, type Item, joinAll, joinWays, nestedLoop } from './join-order.ts'
import { localPaths } from './local-path.ts'
import { planQuery } from './plan-query.ts'
import { type Condition, condition, conjuncts, queryRels, Rel, relsOf, setRel, subset } from './rel.ts'
import { setRoutine } from './routine.ts'
import { PlanScope } from './scope.ts'
import { viewQuery } from './view.ts'

export interface Problem {
  readonly items: Item[]
  readonly conditions: Condition[]
}

let nextRel = 0

export function emptyProblem(): Problem {
  return { items: [], conditions: [] }
}

/** Adds a FROM tree to the problem. `nullable`: under the null-extended side of an outer join. */
export function addFrom(
  problem: Problem,
  scope: PlanScope,
  node: FromNode,
  nullable: boolean,
  order?: WantedOrdering,
): void {
  if (node.kind === 'entry') {
    addEntry(problem, scope, node.entry, nullable, order)
    return
  }
  if (node.join === 'inner') {
    addFrom(problem, scope, node.left, nullable)
    addFrom(problem, scope, node.right, nullable)
    for (const c of conjuncts(node.on)) problem.conditions.push(condition(scope, c))
    return
  }
  problem.items.push(outerJoin(scope, node, nullable))
}

function addEntry(problem: Problem, scope: PlanScope, index: number, nullable: boolean, order?: WantedOrdering): void {
  const entry = scope.entry(index)
  if (entry.kind === 'subquery' && openable(scope, entry.query, nullable)) {
    openUp(problem, scope, index, entry.query, nullable)
    return
  }
  if (entry.kind === 'relation') {
    const view = viewQuery(scope, entry.relation)
    if (view !== undefined) {
      if (openable(scope, view, nullable)) openUp(problem, scope, index, view, nullable)
      else problem.items.push(leaf(scope, index, (rel) => subqueryPaths(rel, view)))
      return
    }
    // A sequence is read like a system relation: its one row is not in the store.
    if (
      systemRelation(entry.relation) !== undefined ||
      scope.builder.context.names.catalog.relation(entry.relation)?.relkind === 'S'
    ) {
      problem.items.push(leaf(scope, index, systemPaths))
      return
    }
    if (isLocal(scope.builder.context.names.catalog.relation(entry.relation))) {
      const paths =
        (rel: Rel): Item['paths'] =>
        (available, conditions) =>
          localPaths(rel, conditions, available)
      problem.items.push(leaf(scope, index, paths))
      return
    }
    problem.items.push(
      leaf(scope, index, (rel) => (available, conditions) => relationPaths(rel, conditions, available, order)),
    )
    return
  }
  const common = entry.kind === 'cte' ? commonTable(scope, entry.name, entry.up) : undefined
  if (common?.inline !== undefined && openable(common.owner, common.inline, nullable)) {
    openUp(problem, scope, index, common.inline, nullable, common.owner)
    return
  }
  problem.items.push(leaf(scope, index, (rel) => entryPaths(rel, entry)))
}

type MakePaths = (rel: Rel) => Item['paths']

function leaf(scope: PlanScope, index: number, make: MakePaths): Item {
  const rel = new Rel(scope, index, nextRel++)
  setRel(scope, index, rel)
  const entry = scope.entry(index)
  const lateral = entryRels(scope, entry)
  for (const r of lateral) if (r !== rel) rel.needs.add(r)
  return { rels: new Set([rel]), needs: rel.needs, paths: make(rel), builder: scope.builder }
}

/** Relations that an entry's own expressions refer to. */
function entryRels(scope: PlanScope, entry: Entry): Set<Rel> {
  const out = new Set<Rel>()
  if (entry.kind === 'subquery') for (const r of queryRels(scope, entry.query)) out.add(r)
  if (entry.kind === 'function') for (const f of entry.functions) relsOf(scope, f.call, out)
  if (entry.kind === 'values') for (const row of entry.rows) for (const e of row) relsOf(scope, e, out)
  return out
}

// ---- opening sub-queries up

/** A query that selects, joins and renames only: its relations may be joined with the outer ones directly. */
function openable(scope: PlanScope, query: Query, nullable: boolean): boolean {
  if (query.command !== 'select' || query.setOperation !== undefined || query.hasAggregates || query.hasSrf)
    return false
  if (
    query.groupBy.length > 0 ||
    query.groupingSets ||
    query.having ||
    query.windows.length > 0 ||
    query.distinct !== undefined
  )
    return false
  if (query.limit || query.offset || query.ctes.length > 0 || query.marks.length > 0 || query.from.length === 0)
    return false
  // Under an outer join a computed column must become NULL with the row: only plain columns may be opened there.
  if (nullable && query.targets.some((t) => !t.junk && t.expr.kind !== 'var')) return false
  if (nullable && query.targets.some((t) => t.expr.kind === 'var' && t.expr.up > 0)) return false
  return !query.targets.some((t) => scope.isVolatile(t.expr))
}

function openUp(
  problem: Problem,
  scope: PlanScope,
  index: number,
  query: Query,
  nullable: boolean,
  parent: PlanScope = scope,
): void {
  const inner = new PlanScope(scope.builder, query, parent, scope.problem)
  scope.sources[index] = {
    kind: 'inlined',
    scope: inner,
    exprs: query.targets.filter((t) => !t.junk).map((t) => t.expr),
  }
  for (const node of query.from) addFrom(problem, inner, node, nullable)
  for (const c of conjuncts(query.where)) problem.conditions.push(condition(inner, c))
}

// ---- other entries

interface CommonTable {
  readonly owner: PlanScope
  readonly inline: Query | undefined
}

function commonTable(scope: PlanScope, name: string, up: number): CommonTable {
  const owner = scope.outer(up)
  const plan = owner.commonTables.find((c) => c.name === name)
  return { owner, inline: plan?.inline }
}

function entryPaths(rel: Rel, entry: Entry): Item['paths'] {
  switch (entry.kind) {
    case 'subquery':
      return subqueryPaths(rel, entry.query)
    case 'function':
      return functionPaths(rel, entry)
    case 'values':
      return valuesPaths(rel, entry)
    case 'cte':
      return ctePaths(rel, entry)
    default:
      throw new Error(`an entry of kind ${entry.kind} is not read`)
  }
}

/** Adds the conditions as a filter above; `make` builds what is below it. */
function filtered(
  rel: Rel,
  conditions: readonly Condition[],
  available: ReadonlySet<Rel>,
  rows: number,
  cost: number,
  make: () => Operator,
): Path {
  const usable = conditions.filter((c) => subset(c.rels, new Set([...available, rel])))
  return {
    rows: Math.max(
      1e-6,
      usable.reduce((n, c) => n * selectivity(c), rows),
    ),
    cost: cost + rows * rowCost * usable.length * 0.25,
    startup: 0,
    ordered: false,
    build: () => {
      const input = make()
      input.rows = rows
      return usable.length === 0 ? input : new Filter(input, compileAll(usable))
    },
  }
}

function subqueryPaths(rel: Rel, query: Query): Item['paths'] {
  return (available, conditions) => {
    const estimate = query.limit === undefined ? 1000 : 100
    return [
      filtered(rel, conditions, available, estimate, estimate * rowCost * 10, () => {
        const planned = planQuery(rel.scope.builder, query, rel.scope)
        return renamed(rel, planned)
      }),
    ]
  }
}

/** Gives a planned query's outputs as this entry's columns: the registers are the same, no row is copied. */
function renamed(rel: Rel, planned: { operator: Operator; outputs: readonly number[] }): Operator {
  const source = rel.scope.source(rel.entry)
  if (source.kind !== 'registers') throw new Error('an opened sub-query is not planned')
  return new Rename(planned.operator, source.byColumn, planned.outputs)
}

function ctePaths(rel: Rel, entry: Entry & { kind: 'cte' }): Item['paths'] {
  return (available, conditions) => [
    filtered(rel, conditions, available, 1000, 1000 * rowCost, () => {
      const owner = rel.scope.outer(entry.up)
      const plan = owner.commonTables.find((c) => c.name === entry.name)
      if (plan === undefined) throw new Error(`common table ${entry.name} is not planned`)
      const source = rel.scope.source(rel.entry)
      const byColumn = source.kind === 'registers' ? source.byColumn : new Map<number, number>()
      return plan.scan(rel.scope, byColumn)
    }),
  ]
}

function valuesPaths(rel: Rel, entry: Entry & { kind: 'values' }): Item['paths'] {
  return (available, conditions) => [
    filtered(rel, conditions, available, entry.rows.length, entry.rows.length * rowCost, () => {
      const source = rel.scope.source(rel.entry)
      const byColumn = source.kind === 'registers' ? source.byColumn : new Map<number, number>()
      const uses = new Set<number>()
      const rows = entry.rows.map((row) =>
        row.map((e) => {
          const c = compile(rel.scope, e)
          for (const u of c.uses) uses.add(u)
          return c.eval
        }),
      )
      return new LateRegisters(
        (registers) =>
          new ValuesScan(
            rows,
            entry.columns.map((_, i) => registers.get(i + 1) ?? -1),
            uses,
          ),
        byColumn,
      )
    }),
  ]
}

function functionPaths(rel: Rel, entry: Entry & { kind: 'function' }): Item['paths'] {
  return (available, conditions) => [
    filtered(rel, conditions, available, 100, 100 * rowCost, () => {
      const source = rel.scope.source(rel.entry)
      const byColumn = source.kind === 'registers' ? source.byColumn : new Map<number, number>()
      const compiled = entry.functions.map((f) => ({
        f,
        ...iterator(rel.scope, f.call, f.composite ? f.columns : undefined),
      }))
      return new LateRegisters((registers) => {
        let column = 1
        const functions = compiled.map(
          ({ f, iterate, uses }): TableFunction => ({
            iterate,
            uses,
            composite: f.composite,
            registers: f.columns.map(() => registers.get(column++) ?? -1),
          }),
        )
        const ordinality = entry.ordinality ? (registers.get(column) ?? -1) : -1
        return new FunctionScan(functions, ordinality, entry.alias)
      }, byColumn)
    }),
  ]
}

/** All rows of a set-returning call; any other expression is one row. `record` gives the columns of a record result. */
export function iterator(
  scope: PlanScope,
  call: Expr,
  record: readonly EntryColumn[] | undefined,
): { iterate: (x: import('../execute/execution.ts').Execution) => Iterable<Value>; uses: Set<number> } {
  if (call.kind !== 'srf') {
    const c = compile(scope, record !== undefined && call.kind === 'func' ? { ...call, columns: record } : call)
    // A row that is NULL as a whole is a row of NULLs.
    return { iterate: (x) => [c.eval(x)], uses: c.uses }
  }
  const { context } = scope.builder
  const row = functionRow(context, call.func)!
  const user = context.names.catalog.function(call.func)
  const args = call.args.map((a) => compile(scope, a))
  const uses = new Set(args.flatMap((a) => [...a.uses]))
  const types = record?.map((column) => typeOf(scope, column.type))
  const variadicArray = call.variadic === false ? true : undefined
  const site = {
    argTypes: call.args.map((a) => a.type),
    resultType: call.type,
    typmod: call.typmod,
    columns: record,
    variadicArray,
  }
  const code = user === undefined ? setCodeOf(row, site, context.types) : setRoutine(scope, user, types)
  if (code === undefined) throw notSupported(row.name)
  const evals = args.map((a) => a.eval)
  return {
    uses,
    iterate: (x) => {
      const values = evals.map((e) => e(x))
      if (row.strict && values.includes(null)) return []
      return code(...values, x.types, x)
    },
  }
}

function systemPaths(rel: Rel): Item['paths'] {
  return (available, conditions) => {
    const { scope } = rel
    const entry = scope.entry(rel.entry) as Entry & { kind: 'relation' }
    const rows = relationRows(scope, entry.relation)
    const usable = conditions.filter((c) => subset(c.rels, new Set([...available, rel])))
    const lookup = systemLookup(rel, usable)
    return [
      {
        rows:
          lookup === undefined
            ? Math.max(
                1e-6,
                usable.reduce((n, c) => n * selectivity(c), rows),
              )
            : 2,
        cost: lookup === undefined ? rows * rowCost : 2 * rowCost,
        startup: 0,
        ordered: false,
        build: () => {
          const source = scope.source(rel.entry)
          const byColumn = source.kind === 'registers' ? source.byColumn : new Map<number, number>()
          const filter = usable.length === 0 ? undefined : compileAll(usable)
          const value = lookup === undefined ? undefined : compile(lookup.scope, lookup.value)
          const by =
            lookup === undefined
              ? undefined
              : { column: lookup.column, value: value!.eval, type: typeOf(scope, lookup.type) }
          return new LateRegisters(
            (registers) => new SystemScan(entry.relation, entry.alias, registers, filter, by),
            byColumn,
          )
        },
      },
    ]
  }
}

/** An equality on a column of the same type: found by an index over the virtual rows. */
function systemLookup(
  rel: Rel,
  conditions: readonly Condition[],
): { column: number; value: Expr; scope: PlanScope; type: number } | undefined {
  const columns = rel.scope.entry(rel.entry).columns
  for (const c of conditions) {
    const e = c.expr
    if (e.kind !== 'func' || e.args.length !== 2 || e.operator === undefined || c.hasSublink || c.volatile) continue
    if (operatorByOid(e.operator)?.name !== '=') continue
    for (const side of [0, 1]) {
      const value = e.args[1 - side]
      if (relsOf(c.scope, value).has(rel)) continue
      for (let column = 1; column <= columns.length; column++) {
        const { type } = columns[column - 1]
        if (type === value.type && isColumn(rel, c.scope, e.args[side], column) && typeOf(rel.scope, type).hashable)
          return { column, value, scope: c.scope, type }
      }
    }
  }
  return undefined
}

// ---- outer joins

function outerJoin(scope: PlanScope, node: FromNode & { kind: 'join' }, nullable: boolean): Item {
  const swap = node.join === 'right'
  const type = swap ? 'left' : (node.join as 'left' | 'full')
  const leftProblem = emptyProblem()
  const rightProblem = emptyProblem()
  addFrom(leftProblem, scope, swap ? node.right : node.left, nullable || type === 'full')
  addFrom(rightProblem, scope, swap ? node.left : node.right, true)
  const leftRels = new Set(leftProblem.items.flatMap((i) => [...i.rels]))
  const rightRels = new Set(rightProblem.items.flatMap((i) => [...i.rels]))
  const rels = new Set([...leftRels, ...rightRels])
  const on = conjuncts(node.on).map((c) => condition(scope, c))
  const inside = [...leftProblem.conditions, ...rightProblem.conditions, ...on]
  const referred = [...leftProblem.items, ...rightProblem.items].flatMap((i) => [...i.needs])
  const needs = new Set([...referred, ...inside.flatMap((c) => [...c.rels])].filter((r) => !rels.has(r)))
  // A lateral sub-query that was opened up leaves its references to the left side in its conditions: they join.
  const lateral = type === 'full' ? [] : rightProblem.conditions.filter((c) => [...c.rels].some((r) => leftRels.has(r)))
  const rightOwn = rightProblem.conditions.filter((c) => !lateral.includes(c))
  const paths: Item['paths'] = (available, conditions) => {
    // Conditions on the preserved side alone may be applied before the join; the others only above it.
    const early =
      type === 'left'
        ? conditions.filter(
            (c) => subset(c.rels, new Set([...leftRels, ...available])) && [...c.rels].some((r) => leftRels.has(r)),
          )
        : []
    const late = conditions.filter((c) => !early.includes(c) && subset(c.rels, new Set([...rels, ...available])))
    const left = joinAll(leftProblem.items, [...leftProblem.conditions, ...early], available)
    const outer = new Set([...available, ...leftRels])
    const rightOnly = on.filter((c) => subset(c.rels, new Set([...rightRels, ...available])))
    const joining = [...lateral, ...on.filter((c) => type === 'full' || !rightOnly.includes(c))]
    const rightConditions = type === 'full' ? rightOwn : [...rightOwn, ...rightOnly]
    const needsLeft = rightProblem.items.some((i) => [...i.needs].some((r) => leftRels.has(r)))
    const ways: Path[] = []
    if (!needsLeft) {
      const right = joinAll(rightProblem.items, rightConditions, available)
      const matched = joining.reduce((n, c) => n * selectivity(c), left.rows * right.rows)
      const rows = Math.max(left.rows, type === 'full' ? Math.max(matched, right.rows) : matched)
      ways.push(...joinWays(type, left, right, leftRels, rightRels, joining, rows))
    }
    if (type === 'left') {
      const inner = joinAll(rightProblem.items, [...rightConditions, ...joining], outer)
      const rows = left.rows * Math.max(1, inner.rows)
      ways.push({
        rows,
        startup: left.startup,
        ordered: left.ordered,
        cost: scope.builder.penalty('nestloop') + left.cost + left.rows * inner.cost + rows * rowCost,
        build: () => nestedLoop('left', left.build(), () => inner.build(), [], scope.builder),
      })
    }
    const best = cheapest(ways)
    if (late.length === 0) return [best]
    return [
      {
        ...best,
        rows: Math.max(
          1e-6,
          late.reduce((n, c) => n * selectivity(c), best.rows),
        ),
        build: () => new Filter(best.build(), compileAll(late)),
      },
    ]
  }
  return { rels, needs, paths, builder: scope.builder }
}

function notSupported(name: string): DbError {
  return new DbError('feature_not_supported', `function ${name} is not supported`)
}
