/**
 * Ways to read one relation: the whole table, or an index for conditions that bound its first columns. Values may come
 * from relations already joined (the inner side of a nested loop).
 */

import { exprKey } from '../bind/scope.ts'
import type { Eval, Operator } from '../execute/execution.ts'
import { type IndexRange, IndexScan } from '../execute/index-scan.ts'
import { SeqScan } from '../execute/scan.ts'
import type { IndexAccess, TableAccess } from '../execute/tables.ts'
import { familiesOf, operatorByOid } from '../functions/registry.ts'
import type { Expr } from '../query.ts'
import { textOid } from '../types/oids.ts'
import { batchFilter } from './batch-plan.ts'
import { compile, typeOf } from './compile.ts'
import { relationRows, selectivity } from './estimate.ts'
import { exprText } from './expr-text.ts'
import { likeOperator, likeRange } from './like-prefix.ts'
import { type Condition, getRel, type Rel, relsOf, subset } from './rel.ts'
import { remoteWork } from './remote-program.ts'
import type { PlanScope } from './scope.ts'

/** Cost units are those of PostgreSQL: one sequential page is 1. */
export const rowCost = 0.01
const lookupCost = 0.06
const fetchCost = 0.03

export interface Path {
  readonly rows: number
  readonly cost: number
  readonly startup: number
  /** Delivers rows in the wanted order. */
  readonly ordered: boolean
  build(): Operator
}

/** An order asked of a single relation, and how many rows of it will be read at most. */
export interface WantedOrdering {
  readonly keys: readonly WantedOrder[]
  readonly limit: number | undefined
}

export interface WantedOrder {
  readonly column: number
  readonly descending: boolean
  readonly nullsFirst: boolean
}

interface Bound {
  readonly strategy: number
  readonly value: Expr
  readonly scope: PlanScope
  readonly condition: Condition
  /** The condition says no more than the bound: it need not be tested again. */
  readonly exact: boolean
  readonly list: boolean
  readonly columnType: number
  /** Part of what the condition says, for EXPLAIN: the condition is tested as well. */
  readonly part?: string
}

/** @param available relations whose registers are set when this one is read. */
export function relationPaths(
  rel: Rel,
  conditions: readonly Condition[],
  available: ReadonlySet<Rel>,
  order: WantedOrdering | undefined,
): Path[] {
  const { scope } = rel
  const entry = scope.entry(rel.entry)
  if (entry.kind !== 'relation') throw new Error('not a relation')
  const access = scope.builder.tableAccess(entry.relation)
  const total = relationRows(scope, entry.relation)
  const usable = conditions.filter((c) => subset(c.rels, new Set([...available, rel])))
  const rows = Math.max(
    1e-6,
    usable.reduce((n, c) => n * selectivity(c), total),
  )
  const out: Path[] = []
  const penalty = scope.builder.penalty('seqscan')
  out.push({
    rows,
    startup: penalty,
    cost: penalty + total * rowCost * (1 + 0.25 * usable.length),
    ordered: false,
    build: () =>
      new SeqScan({
        ...scanOptions(rel, access, usable),
        remote: remoteWork(rel, access, usable),
        batch: total < scope.builder.batchRows ? undefined : batchFilter(rel, access, usable),
      }),
  })
  const ways: (IndexAccess | undefined)[] = [...(access.primary === undefined ? [] : [undefined]), ...access.indexes]
  for (const way of ways) {
    const index = way ?? access.primary!
    if (index.info.predicate !== undefined && !implied(scope, rel, index.info.predicate, usable)) continue
    const path = indexPath(rel, access, way, index, usable, total, rows, order?.keys)
    if (path !== undefined) out.push(path)
  }
  return order === undefined ? out : out.map((p) => withOrderCost(scope, p, order))
}

/** What a path costs for ordered output: the rest is not read behind a limit, or all is sorted. */
function withOrderCost(scope: PlanScope, path: Path, order: WantedOrdering): Path {
  if (path.ordered)
    return order.limit === undefined
      ? path
      : {
          ...path,
          cost:
            path.startup + (path.cost - path.startup) * Math.min(1, order.limit / Math.max(1, path.rows)) + lookupCost,
        }
  const penalty = scope.builder.penalty('sort')
  return { ...path, cost: penalty + path.cost + path.rows * Math.log2(Math.max(2, path.rows)) * rowCost * 0.5 }
}

function scanOptions(rel: Rel, access: TableAccess, conditions: readonly Condition[]) {
  const { scope } = rel
  const source = scope.source(rel.entry)
  if (source.kind !== 'registers') throw new Error('an opened sub-query is not scanned')
  const filter = conditions.length === 0 ? undefined : compileAll(conditions)
  return {
    access,
    alias: scope.entry(rel.entry).alias,
    registers: source.byColumn,
    filter: filter?.eval,
    filterText: filter?.text,
    filterUses: filter?.uses ?? new Set<number>(),
    filterSuspends: filter?.suspends ?? false,
    remote: undefined,
    batch: undefined,
  }
}

/** All conditions as one test. */
export function compileAll(conditions: readonly Condition[]): {
  eval: Eval
  uses: Set<number>
  suspends: boolean
  text: string
} {
  const parts = conditions.map((c) => compile(c.scope, c.expr))
  const uses = new Set<number>()
  for (const p of parts) for (const u of p.uses) uses.add(u)
  const evals = parts.map((p) => p.eval)
  const suspends = parts.some((p) => p.suspends)
  const text = conditions.map((c) => exprText(c.scope, c.expr)).join(' AND ')
  if (evals.length === 1) return { eval: evals[0], uses, suspends, text }
  if (evals.length === 2) {
    const [a, b] = evals
    return { eval: (x) => a(x) === true && b(x) === true, uses, suspends, text }
  }
  return {
    eval: (x) => {
      for (let i = 0; i < evals.length; i++) if (evals[i](x) !== true) return false
      return true
    },
    uses,
    suspends,
    text,
  }
}

/** A partial index serves when one of the conditions is its predicate, part by part. */
function implied(scope: PlanScope, rel: Rel, predicate: Expr, conditions: readonly Condition[]): boolean {
  const parts = predicate.kind === 'and' ? predicate.args : [predicate]
  const known = new Set(conditions.filter((c) => c.scope === scope).map((c) => exprKey(c.expr)))
  return parts.every((p) => {
    const local = JSON.stringify(p, (key, value) =>
      key === 'at' || key === 'form' ? undefined : key === 'entry' ? rel.entry : value,
    )
    if (known.has(local)) return true
    return (
      p.kind === 'isnull' &&
      p.negated &&
      conditions.some((c) => c.scope === scope && rejectsNull(c.expr, p.arg, rel.entry))
    )
  })
}

/** col = x and the like are never true for NULL. */
function rejectsNull(e: Expr, column: Expr, entry: number): boolean {
  if (e.kind !== 'func' || e.operator === undefined || column.kind !== 'var') return false
  return e.args.some((a) => a.kind === 'var' && a.up === 0 && a.entry === entry && a.column === column.column)
}

function indexPath(
  rel: Rel,
  access: TableAccess,
  way: IndexAccess | undefined,
  index: IndexAccess,
  conditions: readonly Condition[],
  total: number,
  rows: number,
  order: readonly WantedOrder[] | undefined,
): Path | undefined {
  const equals: Bound[] = []
  let lower: Bound | undefined
  let upper: Bound | undefined
  let isNull: Condition | undefined
  const columns = index.info.columns
  for (let i = 0; i < columns.length; i++) {
    const bounds = conditions.flatMap((c) => boundsOf(rel, c, columns[i].column, columns[i].expr))
    const equal =
      bounds.find((b) => b.strategy === 3 && !b.list) ??
      (equals.some((e) => e.list) ? undefined : bounds.find((b) => b.strategy === 3))
    if (equal !== undefined) {
      equals.push(equal)
      continue
    }
    isNull = conditions.find((c) => isNullTest(rel, c, columns[i].column))
    if (isNull !== undefined) break
    lower = bounds.find((b) => b.strategy >= 4 && b.exact)
    upper = bounds.find((b) => b.strategy <= 2 && b.exact)
    break
  }
  const ordered =
    order !== undefined &&
    isNull === undefined &&
    !equals.some((e) => e.list) &&
    orderMatches(index, equals.length, order)
  if (equals.length === 0 && lower === undefined && upper === undefined && isNull === undefined && ordered === false)
    return undefined
  const used = [...equals, lower, upper].filter((b): b is Bound => b !== undefined)
  const consumed = new Set(used.filter((b) => b.exact && b.part === undefined).map((b) => b.condition))
  if (isNull !== undefined) consumed.add(isNull)
  const unique = index.info.unique && equals.length === columns.length
  const selected = unique
    ? listSize(equals)
    : Math.max(
        1,
        [...new Set(used.map((b) => b.condition)), ...(isNull ? [isNull] : [])].reduce(
          (n, c) => n * selectivity(c),
          total,
        ),
      )
  const rest = conditions.filter((c) => !consumed.has(c))
  const { batchRows } = rel.scope.builder
  const penalty = rel.scope.builder.penalty('indexscan')
  const perRow = way === undefined ? rowCost * 1.2 : rowCost + fetchCost
  const cost = penalty + lookupCost * listSize(equals) + selected * perRow * (1 + 0.25 * rest.length)
  return {
    rows: unique ? Math.min(rows, listSize(equals)) : Math.min(rows, selected),
    cost,
    startup: penalty,
    ordered: ordered !== false,
    build: () =>
      new IndexScan({
        ...scanOptions(rel, access, rest),
        index: way,
        unique,
        // A key range of the table itself brings rows in batches.
        batch: way === undefined && !unique && selected >= batchRows ? batchFilter(rel, access, rest) : undefined,
        reverse: ordered === 'reverse',
        range: makeRange(rel, equals, lower, upper, isNull),
      }),
  }
}

function listSize(equals: readonly Bound[]): number {
  const list = equals.find((e) => e.list)
  if (list === undefined) return 1
  return list.value.kind === 'array' ? list.value.items.length : 10
}

function makeRange(
  rel: Rel,
  equals: readonly Bound[],
  lower: Bound | undefined,
  upper: Bound | undefined,
  isNull: Condition | undefined,
): IndexRange {
  const uses = new Set<number>()
  const texts: string[] = []
  const evalOf = (b: Bound): Eval => {
    const compiled = compile(b.scope, b.value)
    for (const u of compiled.uses) uses.add(u)
    texts.push(b.part ?? exprText(b.condition.scope, b.condition.expr))
    return b.exact ? compiled.eval : narrowed(rel.scope, b, compiled.eval)
  }
  const evals = equals.map(evalOf)
  const bound = (b: Bound | undefined) =>
    b === undefined ? undefined : { value: evalOf(b), inclusive: b.strategy === 2 || b.strategy === 4 }
  const low = bound(lower)
  const high = bound(upper)
  if (isNull !== undefined) texts.push(exprText(isNull.scope, isNull.expr))
  return {
    equals: evals,
    list: equals.findIndex((e) => e.list),
    lower: low,
    upper: high,
    isNull: isNull !== undefined,
    text: texts.length === 0 ? undefined : texts.join(' AND '),
    uses,
  }
}

const integerBounds: Record<number, number> = { 21: 32767, 23: 2147483647, 20: Number.POSITIVE_INFINITY }

/** An integer of another width: one that the column cannot hold matches nothing, as NULL does. */
function narrowed(_scope: PlanScope, b: Bound, eval_: Eval): Eval {
  const most = integerBounds[b.columnType]
  return (x) => {
    const v = eval_(x)
    return typeof v === 'number' && v <= most && v >= -most - 1
      ? v
      : typeof v === 'bigint' && b.columnType === 20
        ? v
        : null
  }
}

function isNullTest(rel: Rel, c: Condition, column: number): boolean {
  return c.expr.kind === 'isnull' && !c.expr.negated && isColumn(rel, c.scope, c.expr.arg, column)
}

/** Whether an expression, read in a scope, is this relation's column. */
export function isColumn(rel: Rel, scope: PlanScope, expr: Expr, column: number): boolean {
  let e = expr
  while (
    (e.kind === 'relabel' && e.coerce === undefined && e.form === 'implicit') ||
    (e.kind === 'relabel' && e.coerce === undefined && e.type === 25)
  )
    e = e.arg
  if (e.kind !== 'var' || column <= 0) return false
  const owner = scope.outer(e.up)
  const source = owner.sources[e.entry]
  if (source?.kind === 'inlined') return e.column > 0 && isColumn(rel, source.scope, source.exprs[e.column - 1], column)
  return e.column === column && getRel(owner, e.entry) === rel
}

function matchesKey(rel: Rel, scope: PlanScope, expr: Expr, column: number, keyExpr: Expr | undefined): boolean {
  if (column > 0) return isColumn(rel, scope, expr, column)
  if (keyExpr === undefined || scope !== rel.scope) return false
  const local = JSON.stringify(keyExpr, (key, value) =>
    key === 'at' || key === 'form' ? undefined : key === 'entry' ? rel.entry : value,
  )
  return exprKey(expr) === local
}

function boundsOf(rel: Rel, c: Condition, column: number, keyExpr: Expr | undefined): Bound[] {
  const e = c.expr
  if (c.hasSublink && e.kind !== 'func') return []
  if (e.kind === 'anyall' && e.any && matchesKey(rel, c.scope, e.left, column, keyExpr)) {
    const family = familiesOf(e.operator).find((f) => f.method === 403 && f.strategy === 3)
    const element = typeOf(c.scope, e.right.type).element
    if (
      family === undefined ||
      family.left !== family.right ||
      relsOf(c.scope, e.right).has(rel) ||
      !sameKeys(family.left, element)
    )
      return []
    const columnType = keyType(rel, column, keyExpr)
    if (!sameKeys(columnType, family.left)) return []
    return [
      { strategy: 3, value: e.right, scope: c.scope, condition: c, exact: true, list: true, columnType: family.left },
    ]
  }
  if (e.kind !== 'func' || e.operator === undefined || e.args.length !== 2 || c.volatile) return []
  const direct = matchesKey(rel, c.scope, e.args[0], column, keyExpr)
  const swapped = !direct && matchesKey(rel, c.scope, e.args[1], column, keyExpr)
  if (!direct && !swapped) return []
  const value = e.args[direct ? 1 : 0]
  if (relsOf(c.scope, value).has(rel)) return []
  if (direct && e.operator === likeOperator) return likeBounds(c, e.args[0], value, keyType(rel, column, keyExpr))
  const operator = direct ? e.operator : (operatorByOid(e.operator)?.commutator ?? 0)
  const family = familiesOf(operator).find((f) => f.method === 403)
  if (family === undefined) return []
  const columnType = keyType(rel, column, keyExpr)
  if (sameKeys(columnType, family.left) && sameKeys(family.left, family.right)) {
    return [{ strategy: family.strategy, value, scope: c.scope, condition: c, exact: true, list: false, columnType }]
  }
  if (family.strategy === 3 && columnType in integerBounds && family.right in integerBounds) {
    return [{ strategy: 3, value, scope: c.scope, condition: c, exact: false, list: false, columnType }]
  }
  return []
}

/** LIKE 'abc%' of a text or varchar: the texts that begin so. */
function likeBounds(condition: Condition, column: Expr, pattern: Expr, columnType: number): Bound[] {
  const { scope } = condition
  if (pattern.kind !== 'const' || pattern.text === undefined || !textLike.has(columnType)) return []
  const range = likeRange(pattern.text)
  if (range === undefined) return []
  const bound = (strategy: number, operator: string, text: string): Bound => {
    const value: Expr = { kind: 'const', text, type: textOid, typmod: -1 }
    const part = `(${exprText(scope, column)} ${operator} ${exprText(scope, value)})`
    return { strategy, value, scope, condition, exact: true, list: false, columnType, part }
  }
  const lower = bound(4, '>=', range.from)
  return range.to === undefined ? [lower] : [lower, bound(1, '<', range.to)]
}

function keyType(rel: Rel, column: number, keyExpr: Expr | undefined): number {
  return column > 0 ? rel.scope.entry(rel.entry).columns[column - 1].type : keyExpr!.type
}

const textLike = new Set([25, 1043])

/** Whether the two types' keys are encoded alike: the same type, or text and varchar, or generic families. */
function sameKeys(a: number, b: number): boolean {
  return a === b || (textLike.has(a) && textLike.has(b)) || b === 3500 || b === 2277 || (a >= 16384 && b >= 16384)
}

function orderMatches(
  index: IndexAccess,
  equals: number,
  order: readonly WantedOrder[],
): 'forward' | 'reverse' | false {
  const columns = index.info.columns
  let direction: 'forward' | 'reverse' | undefined
  let at = equals
  for (const wanted of order) {
    // A column fixed by equality may stand anywhere in the order.
    if (columns.slice(0, equals).some((c) => c.column === wanted.column)) continue
    const column = columns[at++]
    if (column === undefined || column.column !== wanted.column) return false
    const same = column.descending === wanted.descending && column.nullsFirst === wanted.nullsFirst
    const opposite = column.descending !== wanted.descending && column.nullsFirst !== wanted.nullsFirst
    const way = same ? 'forward' : opposite ? 'reverse' : undefined
    if (way === undefined || (direction !== undefined && direction !== way)) return false
    direction = way
  }
  return direction ?? 'forward'
}
