/**
 * SELECT, VALUES and set operations: syntax to a bound query.
 *
 * Not here: FROM (from.ts), WITH (with.ts), GROUP BY and its checks (grouping.ts), target names (target.ts).
 */
import type { LockingClause, Node, SelectStmt, SortBy } from '@pgsql/types'
import { DbError } from '../../base/index.ts'
import type { EntryColumn, Expr, FromNode, Query, RowMark, SetOperation, SortItem, Target } from '../query.ts'
import * as oid from '../types/oids.ts'
import { coerce, coerceBoolean, coerceInteger, commonType, commonTypmod } from './coerce.ts'
import { type BindContext, errorAt, typeOf } from './context.ts'
import { bindExpr, locationOf, settleUnknown } from './expression.ts'
import { bindFrom } from './from.ts'
import { bindGroupBy, checkGrouping, resolveGrouping } from './grouping.ts'
import { QueryScope, sameExpr } from './scope.ts'
import { bindTargets } from './target.ts'
import { formatType } from './type-name.ts'
import { bindWindow } from './window.ts'
import { bindWith } from './with.ts'

/** A sub-query; its untyped literals become text. */
export function bindSubselect(outer: QueryScope, node: Node): Query {
  return bindSelectNode(outer.context, outer, node, true)
}

/** @param settle whether untyped output columns become text; set operations and INSERT give them a type themselves. */
export function bindSelectNode(
  context: BindContext,
  parent: QueryScope | undefined,
  node: Node,
  settle: boolean,
): Query {
  const stmt = (node as any).SelectStmt as SelectStmt | undefined
  if (stmt === undefined) throw new DbError('feature_not_supported', 'a data-modifying statement is not allowed here')
  return bindSelect(context, parent, stmt, settle)
}

export function bindSelect(
  context: BindContext,
  parent: QueryScope | undefined,
  stmt: SelectStmt,
  settle: boolean,
): Query {
  const scope = new QueryScope(context, parent)
  if (stmt.withClause) bindWith(scope, stmt.withClause)
  if (stmt.op !== undefined && stmt.op !== 'SETOP_NONE') return bindSetOperation(scope, stmt, settle)
  if (stmt.valuesLists && stmt.valuesLists.length > 0) return bindValues(scope, stmt, settle)
  return bindPlainSelect(scope, stmt, settle)
}

export function emptyQuery(): Query {
  return {
    command: 'select',
    ctes: [],
    entries: [],
    from: [],
    where: undefined,
    targets: [],
    groupBy: [],
    groupingSets: undefined,
    having: undefined,
    windows: [],
    distinct: undefined,
    orderBy: [],
    limit: undefined,
    offset: undefined,
    withTies: false,
    setOperation: undefined,
    marks: [],
    hasAggregates: false,
    hasSrf: false,
    modify: undefined,
  }
}

function bindPlainSelect(scope: QueryScope, stmt: SelectStmt, settle: boolean): Query {
  const c = scope.context
  const from = bindFrom(scope, stmt.fromClause)
  for (const item of scope.namespace) item.lateralOnly = false
  scope.windowNames = []
  for (const w of (stmt.windowClause ?? []) as any[]) {
    const name = w.WindowDef.name as string
    if (scope.windowNames.some((x) => x.name === name))
      throw new DbError('windowing_error', `window "${name}" is already defined`)
    scope.windowNames.push({ name, window: bindWindow(scope, w.WindowDef, name), refname: w.WindowDef.refname })
  }
  const targets = bindTargets(scope, stmt.targetList ?? [], settle)
  const where = bindCondition(scope, stmt.whereClause, 'where', 'WHERE')
  const having = bindCondition(scope, stmt.havingClause, 'having', 'HAVING')
  const orderBy = bindOrderBy(scope, stmt.sortClause, targets)
  const grouping = bindGroupBy(scope, stmt.groupClause, targets)
  const distinct = bindDistinctClause(scope, stmt.distinctClause, targets, orderBy, settle)
  const limits = bindLimits(scope, stmt)
  const query: Query = {
    ...emptyQuery(),
    ctes: scope.ctes,
    entries: scope.entries,
    from,
    where,
    targets,
    groupBy: grouping.exprs,
    groupingSets: grouping.sets,
    having,
    orderBy,
    distinct,
    ...limits,
    windows: scope.windowNames.map((w) => w.window),
    marks: bindLocking(scope, stmt.lockingClause, from),
    hasAggregates: scope.hasAggregates || having !== undefined,
    hasSrf: scope.hasSrf,
  }
  if (query.withTies && orderBy.length === 0)
    throw new DbError('syntax_error', 'WITH TIES cannot be specified without ORDER BY clause')
  checkLocking(query)
  const resolved = resolveGrouping(query)
  checkGrouping(c, scope, resolved)
  return resolved
}

function bindCondition(
  scope: QueryScope,
  node: Node | undefined,
  clause: QueryScope['clause'],
  what: string,
): Expr | undefined {
  if (node === undefined) return undefined
  scope.clause = clause
  const out = coerceBoolean(scope.context, bindExpr(scope, node), what, locationOf(node))
  scope.clause = 'select'
  return out
}

export function bindWhere(scope: QueryScope, node: Node | undefined): Expr | undefined {
  return bindCondition(scope, node, 'where', 'WHERE')
}

// ---- sorting

/** An ORDER BY or PARTITION BY expression that does not see output columns. */
export function bindSortExpr(scope: QueryScope, node: Node): Expr {
  return bindExpr(scope, node)
}

export function sortItem(scope: QueryScope, expr: Expr, by: SortBy): SortItem {
  const type = typeOf(scope.context, expr.type)
  if (!type.ordered) {
    throw errorAt(
      scope.context,
      by.location,
      new DbError(
        'undefined_function',
        `could not identify an ordering operator for type ${formatType(scope.context, expr.type, -1)}`,
        {
          hint: 'Use an explicit ordering operator or modify the query.',
        },
      ),
    )
  }
  let descending = by.sortby_dir === 'SORTBY_DESC'
  if (by.sortby_dir === 'SORTBY_USING') {
    const op = (by.useOp as any)?.at(-1)?.String?.sval
    if (op !== '<' && op !== '>')
      throw new DbError('wrong_object_type', `operator ${op} is not a valid ordering operator`)
    descending = op === '>'
  }
  const nullsFirst = by.sortby_nulls === 'SORTBY_NULLS_FIRST' || (by.sortby_nulls !== 'SORTBY_NULLS_LAST' && descending)
  return { expr, descending, nullsFirst }
}

function bindOrderBy(scope: QueryScope, nodes: readonly Node[] | undefined, targets: readonly Target[]): SortItem[] {
  return (nodes ?? []).map((n: any) =>
    sortItem(scope, outputExpr(scope, n.SortBy.node, targets, 'order by', 'ORDER BY'), n.SortBy),
  )
}

/** An expression of ORDER BY or DISTINCT ON: a position, an output column's name, or any expression. */
export function outputExpr(
  scope: QueryScope,
  node: any,
  targets: readonly Target[],
  clause: QueryScope['clause'],
  what: string,
): Expr {
  const visible = targets.filter((t) => !t.junk)
  const position = positionOf(scope, node, visible.length, what)
  if (position !== undefined) return visible[position].expr
  const fields = node.ColumnRef?.fields
  if (fields?.length === 1 && fields[0].String) {
    const name = fields[0].String.sval
    const named = visible.filter((t) => t.name === name)
    if (named.length > 0) {
      if (named.some((t) => !sameExpr(t.expr, named[0].expr))) {
        throw errorAt(
          scope.context,
          node.ColumnRef.location,
          new DbError('ambiguous_column', `${what} "${name}" is ambiguous`),
        )
      }
      return named[0].expr
    }
  }
  const before = scope.clause
  scope.clause = clause
  const out = settleUnknown(scope, bindExpr(scope, node))
  scope.clause = before
  return out
}

/** The index an integer literal means, undefined for anything else. */
export function positionOf(scope: QueryScope, node: any, count: number, what: string): number | undefined {
  const value = node.A_Const
  if (value === undefined) return undefined
  if (value.ival === undefined) {
    throw errorAt(scope.context, value.location, new DbError('syntax_error', `non-integer constant in ${what}`))
  }
  const position = value.ival.ival ?? 0
  if (position < 1 || position > count) {
    throw errorAt(
      scope.context,
      value.location,
      new DbError('invalid_column_reference', `${what} position ${position} is not in select list`),
    )
  }
  return position - 1
}

function bindDistinctClause(
  scope: QueryScope,
  nodes: readonly Node[] | undefined,
  targets: readonly Target[],
  orderBy: readonly SortItem[],
  _settle: boolean,
): Expr[] | undefined {
  if (nodes === undefined) return undefined
  const on = nodes.filter((n) => Object.keys(n).length > 0)
  if (on.length === 0) {
    for (const o of orderBy) {
      if (!targets.some((t) => !t.junk && sameExpr(t.expr, o.expr))) {
        throw new DbError(
          'invalid_column_reference',
          'for SELECT DISTINCT, ORDER BY expressions must appear in select list',
        )
      }
    }
    for (const t of targets) requireEquality(scope.context, t.expr.type)
    return []
  }
  const exprs = on.map((n) => outputExpr(scope, n, targets, 'distinct on', 'SELECT DISTINCT ON'))
  const rest = exprs.filter((e) => !orderBy.some((o) => sameExpr(o.expr, e)))
  for (let i = 0; i < orderBy.length; i++) {
    const inOn = exprs.some((e) => sameExpr(e, orderBy[i].expr))
    if (!inOn && orderBy.slice(i + 1).some((o) => exprs.some((e) => sameExpr(e, o.expr)))) {
      throw new DbError(
        'invalid_column_reference',
        'SELECT DISTINCT ON expressions must match initial ORDER BY expressions',
      )
    }
    if (!inOn && rest.length > 0 && i < exprs.length) {
      throw new DbError(
        'invalid_column_reference',
        'SELECT DISTINCT ON expressions must match initial ORDER BY expressions',
      )
    }
  }
  return exprs
}

export function requireEquality(context: BindContext, type: number): void {
  if (!typeOf(context, type).hashable) {
    throw new DbError(
      'undefined_function',
      `could not identify an equality operator for type ${formatType(context, type, -1)}`,
    )
  }
}

// ---- limits and locks

function bindLimits(
  scope: QueryScope,
  stmt: SelectStmt,
): { limit: Expr | undefined; offset: Expr | undefined; withTies: boolean } {
  const bind = (node: Node | undefined, clause: 'limit' | 'offset'): Expr | undefined => {
    if (node === undefined || (node as any).A_Const?.isnull) return undefined
    scope.clause = clause
    // Columns of this level are not visible in LIMIT.
    const hidden = scope.namespace
    scope.namespace = []
    let out: Expr
    try {
      out = coerceInteger(scope.context, bindExpr(scope, node), clause.toUpperCase())
    } catch (error) {
      if (error instanceof DbError && error.code === 'undefined_column')
        throw new DbError('invalid_column_reference', `argument of ${clause.toUpperCase()} must not contain variables`)
      throw error
    }
    scope.namespace = hidden
    scope.clause = 'select'
    return out
  }
  return {
    limit: bind(stmt.limitCount, 'limit'),
    offset: bind(stmt.limitOffset, 'offset'),
    withTies: stmt.limitOption === 'LIMIT_OPTION_WITH_TIES',
  }
}

const strengths: Record<string, number> = {
  LCS_FORKEYSHARE: 0,
  LCS_FORSHARE: 1,
  LCS_FORNOKEYUPDATE: 2,
  LCS_FORUPDATE: 3,
}
const strengthNames = ['FOR KEY SHARE', 'FOR SHARE', 'FOR NO KEY UPDATE', 'FOR UPDATE']

function bindLocking(scope: QueryScope, nodes: readonly Node[] | undefined, _from: readonly FromNode[]): RowMark[] {
  return (nodes ?? []).map((n: any): RowMark => {
    const clause = n.LockingClause as LockingClause
    const strength = strengths[clause.strength as string]
    const policy =
      clause.waitPolicy === 'LockWaitError' ? 'nowait' : clause.waitPolicy === 'LockWaitSkip' ? 'skip' : 'wait'
    const entries: number[] = []
    if (clause.lockedRels === undefined) {
      scope.entries.forEach((e, i) => {
        if (e.kind === 'relation' || e.kind === 'subquery') entries.push(i)
      })
    } else {
      for (const rel of clause.lockedRels as any[]) {
        const name = rel.RangeVar.relname
        const at = scope.entries.findIndex((e) => e.alias === name)
        if (at < 0)
          throw errorAt(
            scope.context,
            rel.RangeVar.location,
            new DbError(
              'undefined_table',
              `relation "${name}" in ${strengthNames[strength]} clause not found in FROM clause`,
            ),
          )
        const kind = scope.entries[at].kind
        if (kind !== 'relation' && kind !== 'subquery')
          throw new DbError(
            'feature_not_supported',
            `${strengthNames[strength]} cannot be applied to a ${kind === 'cte' ? 'WITH query' : kind}`,
          )
        entries.push(at)
      }
    }
    return { strength, entries, policy }
  })
}

function checkLocking(query: Query): void {
  if (query.marks.length === 0) return
  const name = strengthNames[query.marks[0].strength]
  const refuse = (what: string) => new DbError('feature_not_supported', `${name} is not allowed with ${what}`)
  if (query.distinct !== undefined) throw refuse('DISTINCT clause')
  if (query.groupBy.length > 0 || query.groupingSets) throw refuse('GROUP BY clause')
  if (query.having) throw refuse('HAVING clause')
  if (query.hasAggregates) throw refuse('aggregate functions')
  if (query.windows.length > 0) throw refuse('window functions')
  if (query.hasSrf) throw refuse('set-returning functions in the target list')
}

// ---- VALUES

function bindValues(scope: QueryScope, stmt: SelectStmt, settle: boolean): Query {
  const c = scope.context
  scope.clause = 'values'
  const lists = stmt.valuesLists!.map((row: any) => (row.List.items as Node[]).map((n) => bindExpr(scope, n)))
  const width = lists[0].length
  for (const row of lists)
    if (row.length !== width) throw new DbError('syntax_error', 'VALUES lists must all be the same length')
  const columns: EntryColumn[] = []
  for (let i = 0; i < width; i++) {
    const cells = lists.map((row) => row[i])
    const unknown = cells.every((e) => e.type === oid.unknownOid)
    if (unknown && !settle) {
      columns.push({ name: `column${i + 1}`, type: oid.unknownOid, typmod: -1 })
      continue
    }
    const type = commonType(
      c,
      cells.map((e) => e.type),
      'VALUES',
    )!
    for (const row of lists) row[i] = coerce(c, row[i], type, -1, 'implicit')
    columns.push({
      name: `column${i + 1}`,
      type,
      typmod: commonTypmod(
        lists.map((row) => row[i]),
        type,
      ),
    })
  }
  scope.clause = 'select'
  const entry = scope.addEntry({
    kind: 'values',
    rows: lists,
    lateral: false,
    alias: '*VALUES*',
    explicitAlias: false,
    columns,
  })
  scope.namespace = [{ entry, byAlias: true, byColumn: true, lateralOnly: false, usable: true }]
  const targets = columns.map(
    (col, i): Target => ({
      expr: { kind: 'var', up: 0, entry, column: i + 1, type: col.type, typmod: col.typmod },
      name: col.name,
      junk: false,
    }),
  )
  if (scope.hasSrf) throw new DbError('feature_not_supported', 'set-returning functions are not allowed in VALUES')
  const orderBy = bindOrderBy(scope, stmt.sortClause, targets)
  if (stmt.lockingClause?.length) throw new DbError('feature_not_supported', 'FOR UPDATE cannot be applied to VALUES')
  return {
    ...emptyQuery(),
    ctes: scope.ctes,
    entries: scope.entries,
    from: [{ kind: 'entry', entry }],
    targets,
    orderBy,
    ...bindLimits(scope, stmt),
  }
}

// ---- set operations

type Leaf = SetOperation | { readonly kind: 'query'; readonly entry: number }

function bindSetOperation(scope: QueryScope, stmt: SelectStmt, settle: boolean): Query {
  if (stmt.lockingClause?.length)
    throw new DbError('feature_not_supported', 'FOR UPDATE is not allowed with UNION/INTERSECT/EXCEPT')
  const top = setTree(scope, stmt, true) as SetOperation
  return finishSetOperation(scope, top, stmt, settle)
}

export function finishSetOperation(scope: QueryScope, top: SetOperation, stmt: SelectStmt, settle: boolean): Query {
  const c = scope.context
  const columns = top.columns.map((x) => (x.type === oid.unknownOid && settle ? { ...x, type: oid.textOid } : x))
  const typed = convertLeaves(scope, { ...top, columns })
  const result = scope.addEntry({ kind: 'result', alias: '*SELECT*', explicitAlias: false, columns })
  scope.namespace = [{ entry: result, byAlias: false, byColumn: true, lateralOnly: false, usable: true }]
  const targets = columns.map(
    (x, i): Target => ({
      expr: { kind: 'var', up: 0, entry: result, column: i + 1, type: x.type, typmod: x.typmod },
      name: x.name,
      junk: false,
    }),
  )
  if (!top.all) for (const x of columns) if (x.type !== oid.unknownOid) requireEquality(c, x.type)
  const orderBy = bindSetOrder(scope, stmt, targets)
  return {
    ...emptyQuery(),
    ctes: scope.ctes,
    entries: scope.entries,
    targets,
    setOperation: typed,
    orderBy,
    ...bindLimits(scope, stmt),
  }
}

function bindSetOrder(scope: QueryScope, stmt: SelectStmt, targets: readonly Target[]): SortItem[] {
  const items = bindOrderBy(scope, stmt.sortClause, targets)
  for (const i of items) {
    if (!targets.some((t) => sameExpr(t.expr, i.expr))) {
      throw new DbError('feature_not_supported', 'invalid UNION/INTERSECT/EXCEPT ORDER BY clause', {
        detail: 'Only result column names can be used, not expressions or functions.',
        hint: 'Add the expression/function to every SELECT, or move the UNION into a FROM clause.',
      })
    }
  }
  return items
}

const operations: Record<string, SetOperation['op']> = {
  SETOP_UNION: 'union',
  SETOP_INTERSECT: 'intersect',
  SETOP_EXCEPT: 'except',
}

/** The tree of operations; each leaf becomes a sub-query entry. An operand with its own clauses is a leaf too. */
function setTree(scope: QueryScope, stmt: SelectStmt, top: boolean): Leaf {
  const own =
    stmt.sortClause?.length || stmt.limitCount || stmt.limitOffset || stmt.withClause || stmt.lockingClause?.length
  if (stmt.op === undefined || stmt.op === 'SETOP_NONE' || (own && !top)) return setLeaf(scope, stmt)
  const left = setTree(scope, stmt.larg as SelectStmt, false)
  const right = setTree(scope, stmt.rarg as SelectStmt, false)
  return combine(scope, operations[stmt.op as string], stmt.all === true, left, right)
}

function setLeaf(scope: QueryScope, stmt: SelectStmt): Leaf {
  return addLeaf(scope, bindSelect(scope.context, scope, stmt, false))
}

export function addLeaf(scope: QueryScope, query: Query): Leaf {
  const columns = query.targets
    .filter((t) => !t.junk)
    .map((t) => ({ name: t.name, type: t.expr.type, typmod: t.expr.typmod }))
  const entry = scope.addEntry({
    kind: 'subquery',
    query,
    lateral: false,
    alias: `*SELECT* ${scope.entries.length + 1}`,
    explicitAlias: false,
    columns,
  })
  return { kind: 'query', entry }
}

export function leafColumns(scope: QueryScope, leaf: Leaf): readonly EntryColumn[] {
  return leaf.kind === 'setop' ? leaf.columns : scope.entries[leaf.entry].columns
}

export function combine(
  scope: QueryScope,
  op: SetOperation['op'],
  all: boolean,
  left: Leaf,
  right: Leaf,
): SetOperation {
  const a = leafColumns(scope, left)
  const b = leafColumns(scope, right)
  const name = op.toUpperCase()
  if (a.length !== b.length)
    throw new DbError('syntax_error', `each ${name} query must have the same number of columns`)
  const columns = a.map((x, i): EntryColumn => {
    const both = x.type === oid.unknownOid && b[i].type === oid.unknownOid
    const type = both ? oid.textOid : commonType(scope.context, [x.type, b[i].type], name)!
    return {
      name: x.name,
      type,
      typmod: x.type === type && b[i].type === type && x.typmod === b[i].typmod ? x.typmod : -1,
    }
  })
  return { kind: 'setop', op, all, left, right, columns }
}

/** Converts every operand to the columns' final types. */
function convertLeaves(scope: QueryScope, node: SetOperation): SetOperation {
  const side = (leaf: Leaf): Leaf => {
    if (leaf.kind === 'setop') {
      // An inner operation compares in its own types, then converts; equal types need nothing.
      const same = leaf.columns.every((x, i) => x.type === node.columns[i].type)
      if (same) return convertLeaves(scope, leaf)
      const inner = new QueryScope(scope.context, scope.parent)
      inner.entries.push(...scope.entries)
      const query = finishSetOperation(inner, leaf, {}, true)
      return addLeaf(
        scope,
        wrapWithTypes(
          scope.context,
          query,
          node.columns.map((x) => x.type),
        ),
      )
    }
    const entry = scope.entries[leaf.entry]
    if (entry.kind !== 'subquery') throw new DbError('internal_error', 'an operand is not a query')
    const types = node.columns.map((x) => x.type)
    if (entry.columns.every((x, i) => x.type === types[i])) return leaf
    const query = wrapWithTypes(scope.context, entry.query, types)
    scope.entries[leaf.entry] = {
      ...entry,
      query,
      columns: entry.columns.map((x, i) => ({ ...x, type: types[i], typmod: node.columns[i].typmod })),
    }
    return leaf
  }
  return { ...node, left: side(node.left), right: side(node.right) }
}

/** The query with its output columns converted to the types. */
export function wrapWithTypes(context: BindContext, query: Query, types: readonly number[]): Query {
  const plain = query.setOperation === undefined && query.distinct === undefined && query.modify === undefined
  const valuesEntry = query.entries.length === 1 && query.entries[0].kind === 'values' ? query.entries[0] : undefined
  if (valuesEntry !== undefined && valuesEntry.kind === 'values' && query.orderBy.length === 0) {
    const rows = valuesEntry.rows.map((row) => row.map((e, i) => coerce(context, e, types[i], -1, 'implicit')))
    const columns = valuesEntry.columns.map((x, i) => ({ ...x, type: types[i], typmod: -1 }))
    return {
      ...query,
      entries: [{ ...valuesEntry, rows, columns }],
      targets: query.targets.map((t, i) => ({ ...t, expr: { ...t.expr, type: types[i], typmod: -1 } as Expr })),
    }
  }
  if (plain) {
    let i = 0
    return {
      ...query,
      targets: query.targets.map((t) =>
        t.junk ? t : { ...t, expr: coerce(context, t.expr, types[i++], -1, 'implicit') },
      ),
    }
  }
  const columns = query.targets
    .filter((t) => !t.junk)
    .map((t) => ({ name: t.name, type: t.expr.type, typmod: t.expr.typmod }))
  return {
    ...emptyQuery(),
    entries: [
      { kind: 'subquery', query: deepen(query), lateral: false, alias: 'converted', explicitAlias: false, columns },
    ],
    from: [{ kind: 'entry', entry: 0 }],
    targets: columns.map((x, i) => ({
      expr: coerce(
        context,
        { kind: 'var', up: 0, entry: 0, column: i + 1, type: x.type, typmod: x.typmod },
        types[i],
        -1,
        'implicit',
      ),
      name: x.name,
      junk: false,
    })),
  }
}

/** The query with references out of it one level longer, for wrapping it in another. */
export function deepen(query: Query): Query {
  return shiftQuery(query, 1, 1)
}

function shiftQuery(query: Query, from: number, by: number): Query {
  const json = JSON.parse(JSON.stringify(query)) as Query
  shiftIn(json, from, by)
  return restore(json)
}

/** Adds `by` to every reference of at least `depth` levels out; `depth` grows with nesting. */
function shiftIn(node: any, depth: number, by: number): void {
  if (node === null || typeof node !== 'object') return
  if (Array.isArray(node)) {
    for (const item of node) shiftIn(item, depth, by)
    return
  }
  if (
    (node.kind === 'var' || node.kind === 'agg' || node.kind === 'grouping' || node.kind === 'cte') &&
    typeof node.up === 'number' &&
    node.up >= depth
  )
    node.up += by
  for (const key of Object.keys(node)) {
    const child = node[key]
    const nested = key === 'query' && child !== null && typeof child === 'object' && 'targets' in child
    shiftIn(child, nested ? depth + 1 : depth, by)
  }
}

/** JSON drops undefined members that code tests for: their absence reads the same, except in arrays. */
function restore(query: any): Query {
  const walk = (node: any): void => {
    if (node === null || typeof node !== 'object') return
    if (Array.isArray(node)) {
      for (let i = 0; i < node.length; i++) {
        if (node[i] === null) node[i] = undefined
        else walk(node[i])
      }
      return
    }
    for (const key of Object.keys(node)) walk(node[key])
  }
  walk(query)
  return query
}
