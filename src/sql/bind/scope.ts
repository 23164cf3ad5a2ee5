/**
 * What names mean at one query level: the range table being built, which entries are visible, common table
 * expressions, and the level outside.
 */
import { DbError } from '../../base/index.ts'
import type { CommonTable, Entry, Expr, Query, Var } from '../query.ts'
import { type BindContext, errorAt } from './context.ts'

/** A visible range table entry. */
export interface NamespaceItem {
  readonly entry: number
  /** Reachable as alias.column; its columns reachable by name alone. */
  byAlias: boolean
  byColumn: boolean
  /** Visible only to LATERAL items; `usable` false for the wrong side of an outer join. */
  lateralOnly: boolean
  usable: boolean
}

/** Where an expression stands, for what it may contain and for error texts. */
export type Clause =
  | 'select'
  | 'where'
  | 'having'
  | 'group by'
  | 'order by'
  | 'distinct on'
  | 'limit'
  | 'offset'
  | 'values'
  | 'join'
  | 'from function'
  | 'returning'
  | 'update'
  | 'insert'
  | 'check'
  | 'default'
  | 'index'
  | 'index predicate'
  | 'generated'
  | 'window'
  | 'filter'
  | 'execute'
  | 'policy'
  | 'trigger'
  | 'call'
  | 'copy'

export interface CteBinding {
  readonly name: string
  readonly columns: CommonTable['columns']
  /** While its own recursive term is bound. */
  selfReferences: number
  recursing: boolean
  referenced: number
}

export class QueryScope {
  readonly context: BindContext
  readonly parent: QueryScope | undefined
  readonly entries: Entry[] = []
  namespace: NamespaceItem[] = []
  readonly ctes: CommonTable[] = []
  readonly cteBindings: CteBinding[] = []
  clause: Clause = 'select'
  hasAggregates = false
  hasSrf = false
  hasWindows = false
  /** Inside an aggregate's or a window function's arguments. */
  inAggregate = false
  inWindow = false
  windowNames: { name: string | undefined; window: import('../query.ts').Window; refname: string | undefined }[] = []
  groupBy: Expr[] = []
  /** Set while ORDER BY and others may add to the targets. */
  locked = false

  constructor(context: BindContext, parent: QueryScope | undefined) {
    this.context = context
    this.parent = parent
  }

  addEntry(entry: Entry): number {
    this.entries.push(entry)
    return this.entries.length - 1
  }

  /** The scope `up` levels out. */
  outer(up: number): QueryScope {
    let scope: QueryScope = this
    for (let i = 0; i < up; i++) scope = scope.parent!
    return scope
  }
}

/** A reference to column `column` (from 1) of an entry; join columns resolve to what they merge. */
export function columnVar(scope: QueryScope, entry: number, column: number, up: number): Expr {
  const e = scope.entries[entry]
  if (e.kind === 'join') return raise(e.vars[column - 1], up)
  const c = e.columns[column - 1]
  return { kind: 'var', up, entry, column, type: c.type, typmod: c.typmod }
}

/** The same expression seen from `by` levels further in. */
export function raise(expr: Expr, by: number): Expr {
  if (by === 0) return expr
  return mapVars(expr, (v) => ({ ...v, up: v.up + by }))
}

/** Rebuilds a sub-query-free expression with its variables mapped. */
export function mapVars(expr: Expr, map: (v: Var) => Expr): Expr {
  if (expr.kind === 'var') return map(expr)
  return mapChildren(expr, (e) => mapVars(e, map))
}

/** A copy of the expression with each direct sub-expression mapped; itself when none changed. */
export function mapChildren(expr: Expr, map: (e: Expr) => Expr): Expr {
  let changed = false
  const one = (e: Expr): Expr => {
    const out = map(e)
    if (out !== e) changed = true
    return out
  }
  const many = (list: readonly Expr[]): Expr[] => list.map(one)
  // What was stored as JSON has null for a bound that a slice leaves out.
  const maybe = (e: Expr | undefined): Expr | undefined => (e === undefined || e === null ? undefined : one(e))
  let out: Expr = expr
  switch (expr.kind) {
    case 'const':
    case 'param':
    case 'var':
    case 'casevalue':
    case 'sqlvalue':
    case 'nextval':
    case 'grouping':
      return expr
    case 'func':
    case 'srf':
    case 'and':
    case 'or':
    case 'coalesce':
    case 'minmax':
      out = { ...expr, args: many(expr.args) }
      break
    case 'not':
    case 'isnull':
    case 'booltest':
    case 'field':
    case 'relabel':
    case 'viatext':
    case 'domain':
    case 'collate':
      out = { ...expr, arg: one(expr.arg) }
      break
    case 'arraycoerce':
      out = { ...expr, arg: one(expr.arg), each: one(expr.each) }
      break
    case 'distinct':
    case 'nullif':
    case 'anyall':
      out = { ...expr, left: one(expr.left), right: one(expr.right) }
      break
    case 'case':
      out = {
        ...expr,
        arg: maybe(expr.arg),
        whens: expr.whens.map((w) => ({ when: one(w.when), then: one(w.then) })),
        otherwise: maybe(expr.otherwise),
      }
      break
    case 'array':
    case 'row':
      out = { ...expr, items: many(expr.items) }
      break
    case 'rowcompare':
      out = { ...expr, left: many(expr.left), right: many(expr.right) }
      break
    case 'subscript':
      out = {
        ...expr,
        arg: one(expr.arg),
        upper: expr.upper.map(maybe),
        lower: expr.lower.map(maybe),
        assign: maybe(expr.assign),
      }
      break
    case 'sublink':
      out = { ...expr, left: expr.left === undefined ? undefined : many(expr.left) }
      break
    case 'agg':
      out = {
        ...expr,
        args: many(expr.args),
        orderBy: expr.orderBy.map((o) => ({ ...o, expr: one(o.expr) })),
        filter: maybe(expr.filter),
      }
      break
    case 'window':
      out = { ...expr, args: many(expr.args), filter: maybe(expr.filter) }
      break
  }
  return changed ? out : expr
}

/** Calls `visit` for each direct sub-expression; sub-queries' own expressions are not entered. */
export function forEachChild(expr: Expr, visit: (e: Expr) => void): void {
  mapChildren(expr, (e) => {
    visit(e)
    return e
  })
}

/** Every expression that stands directly in the query, at its own level. */
export function forEachQueryExpr(query: Query, visit: (e: Expr) => void): void {
  for (const t of query.targets) visit(t.expr)
  if (query.where) visit(query.where)
  for (const g of query.groupBy) visit(g)
  if (query.having) visit(query.having)
  for (const w of query.windows) {
    w.partitionBy.forEach(visit)
    for (const o of w.orderBy) visit(o.expr)
    if (w.frame.start.offset) visit(w.frame.start.offset)
    if (w.frame.end.offset) visit(w.frame.end.offset)
  }
  query.distinct?.forEach(visit)
  for (const o of query.orderBy) visit(o.expr)
  if (query.limit) visit(query.limit)
  if (query.offset) visit(query.offset)
  const nodes = [...query.from]
  while (nodes.length > 0) {
    const node = nodes.pop()!
    if (node.kind !== 'join') continue
    if (node.on) visit(node.on)
    nodes.push(node.left, node.right)
  }
  for (const e of query.entries) {
    if (e.kind === 'function') for (const f of e.functions) visit(f.call)
    if (e.kind === 'values') for (const row of e.rows) row.forEach(visit)
  }
  const m = query.modify
  if (m?.returning) for (const t of m.returning) visit(t.expr)
  if (m?.conflict) {
    m.conflict.values.forEach(visit)
    if (m.conflict.where) visit(m.conflict.where)
  }
}

/** Queries nested directly in this one's range table and common tables; the second argument is how many levels in. */
export function forEachSubquery(query: Query, visit: (q: Query) => void): void {
  for (const e of query.entries) if (e.kind === 'subquery') visit(e.query)
  for (const c of query.ctes) visit(c.query)
}

/** Whether a variable of exactly `level` levels out (0 = this query) is used anywhere inside. */
export function usesLevel(expr: Expr, level: number): boolean {
  let found = false
  const visit = (e: Expr): void => {
    if (found) return
    if ((e.kind === 'var' || e.kind === 'agg' || e.kind === 'grouping') && e.up === level) {
      found = true
      return
    }
    if (e.kind === 'sublink' && queryUsesLevel(e.query, level + 1)) {
      found = true
      return
    }
    forEachChild(e, visit)
  }
  visit(expr)
  return found
}

export function queryUsesLevel(query: Query, level: number): boolean {
  let found = false
  forEachQueryExpr(query, (e) => {
    if (!found && usesLevel(e, level)) found = true
  })
  if (!found) {
    forEachSubquery(query, (q) => {
      if (!found && queryUsesLevel(q, level + 1)) found = true
    })
  }
  if (!found) for (const e of query.entries) if (e.kind === 'cte' && e.up === level && level > 0) found = true
  return found
}

/** Text that is equal exactly for expressions that mean the same. */
export function exprKey(expr: Expr): string {
  return JSON.stringify(expr, (key, value) => (key === 'at' || key === 'form' ? undefined : value))
}

export function sameExpr(a: Expr, b: Expr): boolean {
  return a === b || (a.kind === b.kind && a.type === b.type && exprKey(a) === exprKey(b))
}

interface Resolved {
  readonly scope: QueryScope
  readonly up: number
  readonly entry: number
  readonly column: number
}

/** A bare column name, from the innermost level that knows it. Raises ambiguous_column. */
export function findColumn(scope: QueryScope, name: string, at?: number): Resolved | undefined {
  let up = 0
  for (let s: QueryScope | undefined = scope; s !== undefined; s = s.parent, up++) {
    let found: Resolved | undefined
    for (const item of s.namespace) {
      if (!item.byColumn || (item.lateralOnly && up === 0)) continue
      const column = columnNumber(s.entries[item.entry], name)
      if (column === 0) continue
      if (column < 0 || found !== undefined) {
        throw errorAt(scope.context, at, new DbError('ambiguous_column', `column reference "${name}" is ambiguous`))
      }
      if (!item.usable) throw wrongSide(s, item, at)
      found = { scope: s, up, entry: item.entry, column }
    }
    if (found !== undefined) return found
  }
  return undefined
}

export function wrongSide(scope: QueryScope, item: NamespaceItem, at?: number): DbError {
  return errorAt(
    scope.context,
    at,
    new DbError(
      'invalid_column_reference',
      `invalid reference to FROM-clause entry for table "${scope.entries[item.entry].alias}"`,
      {
        detail: 'The combining JOIN type must be INNER or LEFT for a LATERAL reference.',
      },
    ),
  )
}

/** A visible entry by alias (and schema, when written). */
export function findAlias(
  scope: QueryScope,
  schema: string | undefined,
  alias: string,
  at?: number,
): { scope: QueryScope; up: number; item: NamespaceItem } | undefined {
  let up = 0
  for (let s: QueryScope | undefined = scope; s !== undefined; s = s.parent, up++) {
    let found: NamespaceItem | undefined
    for (const item of s.namespace) {
      const e = s.entries[item.entry]
      if (!item.byAlias || e.alias !== alias || (item.lateralOnly && up === 0)) continue
      if (schema !== undefined && !ofSchema(s, e, schema)) continue
      if (found !== undefined)
        throw errorAt(scope.context, at, new DbError('ambiguous_alias', `table reference "${alias}" is ambiguous`))
      found = item
    }
    if (found !== undefined) {
      if (!found.usable) throw wrongSide(s, found, at)
      return { scope: s, up, item: found }
    }
  }
  return undefined
}

function ofSchema(scope: QueryScope, entry: Entry, schema: string): boolean {
  if (entry.kind !== 'relation' || entry.explicitAlias) return false
  const relation = scope.context.names.catalog.relation(entry.relation)
  if (relation === undefined) return schema === 'pg_catalog' || schema === 'information_schema'
  return scope.context.names.catalog.schema(relation.schema)?.name === schema
}

/** From 1; 0 when absent, -1 when twice. */
export function columnNumber(entry: Entry, name: string): number {
  let found = 0
  for (let i = 0; i < entry.columns.length; i++) {
    const c = entry.columns[i]
    if (c.dropped || c.name !== name) continue
    if (found !== 0) return -1
    found = i + 1
  }
  return found
}

/** System columns of relations, by negative attribute number. */
export const systemColumns: Readonly<Record<string, { number: number; type: number }>> = {
  ctid: { number: -1, type: 27 },
  xmin: { number: -2, type: 28 },
  cmin: { number: -3, type: 29 },
  xmax: { number: -4, type: 28 },
  cmax: { number: -5, type: 29 },
  tableoid: { number: -6, type: 26 },
}
