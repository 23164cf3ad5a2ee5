/**
 * INSERT, UPDATE and DELETE. Entry 0 of the range table is the target; the query's targets are the written values, one
 * per column of `modify.columns`. Columns an INSERT leaves out get their defaults when it is planned.
 */
import type { DeleteStmt, InferClause, InsertStmt, Node, OnConflictClause, SelectStmt, UpdateStmt } from '@pgsql/types'
import { DbError } from '../../base/index.ts'
import type { Column, RelationDescriptor } from '../catalog/descriptors.ts'
import type { Conflict, Expr, FromNode, Modify, Query, Target } from '../query.ts'
import * as oid from '../types/oids.ts'
import { tryCoerce } from './coerce.ts'
import { type BindContext, errorAt } from './context.ts'
import { bindExpr, subscript } from './expression.ts'
import { bindFrom, lookUpRelation, relationColumns, relationEntry } from './from.ts'
import { exprKey, mapVars, QueryScope } from './scope.ts'
import { bindSelect, bindWhere, emptyQuery } from './select.ts'
import { bindTargets, target as makeTarget } from './target.ts'
import { formatType } from './type-name.ts'
import { bindWith } from './with.ts'

export function bindModifyNode(context: BindContext, parent: QueryScope | undefined, node: Node): Query {
  const n = node as any
  if (n.InsertStmt) return bindInsert(context, parent, n.InsertStmt)
  if (n.UpdateStmt) return bindUpdate(context, parent, n.UpdateStmt)
  if (n.DeleteStmt) return bindDelete(context, parent, n.DeleteStmt)
  throw new DbError('feature_not_supported', `${Object.keys(node)[0]} is not supported here`)
}

function targetRelation(context: BindContext, node: any, verb: string): RelationDescriptor {
  const relation = lookUpRelation(context, node)
  if (relation.oid < 16384) {
    throw errorAt(
      context,
      node.location,
      new DbError('insufficient_privilege', `permission denied: "${relation.name}" is a system catalog`),
    )
  }
  if (relation.relkind === 'v') {
    throw errorAt(
      context,
      node.location,
      new DbError('object_not_in_prerequisite_state', `cannot ${verb} view "${relation.name}"`, {
        hint: `To change data through a view, change its base table.`,
      }),
    )
  }
  if (relation.relkind !== 'r') {
    throw errorAt(
      context,
      node.location,
      new DbError(
        'wrong_object_type',
        `cannot change ${relation.relkind === 'S' ? 'sequence' : relation.relkind === 'm' ? 'materialized view' : 'relation'} "${relation.name}"`,
      ),
    )
  }
  return relation
}

function begin(
  context: BindContext,
  parent: QueryScope | undefined,
  withClause: any,
  node: any,
  verb: string,
): { scope: QueryScope; relation: RelationDescriptor } {
  const scope = new QueryScope(context, parent)
  if (withClause) bindWith(scope, withClause)
  const relation = targetRelation(context, node, verb)
  scope.addEntry(relationEntry(relation, node.alias?.aliasname))
  return { scope, relation }
}

// ---- INSERT

export function bindInsert(context: BindContext, parent: QueryScope | undefined, stmt: InsertStmt): Query {
  const { scope, relation } = begin(context, parent, stmt.withClause, stmt.relation, 'insert into')
  const columns = insertColumns(context, relation, stmt.cols)
  const explicit = stmt.cols !== undefined && stmt.cols.length > 0
  const overriding =
    stmt.override === 'OVERRIDING_USER_VALUE'
      ? 'user'
      : stmt.override === 'OVERRIDING_SYSTEM_VALUE'
        ? 'system'
        : undefined
  const source = (stmt.selectStmt as any)?.SelectStmt as SelectStmt | undefined
  let from: FromNode[] = []
  let values: (Expr | 'default')[] = []
  if (source !== undefined) {
    const bound =
      source.valuesLists?.length === 1 && plainValues(source)
        ? singleRow(scope, source)
        : sourceQuery(scope, source, columns)
    from = bound.from
    values = bound.values
  }
  if (values.length > columns.length)
    throw new DbError('syntax_error', 'INSERT has more expressions than target columns')
  if (explicit && values.length < columns.length && source !== undefined)
    throw new DbError('syntax_error', 'INSERT has more target columns than expressions')
  const used: number[] = []
  const targets: Target[] = []
  values.forEach((value, i) => {
    const column = columns[i]
    if (value === 'default' || alwaysDefault(source, i)) return
    checkAssignable(column, overriding)
    if (column.identity === 'a' && overriding === 'user') return
    used.push(column.number)
    targets.push({ expr: assign(context, column, value), name: column.name, junk: false })
  })
  scope.namespace = [{ entry: 0, byAlias: true, byColumn: true, lateralOnly: false, usable: true }]
  const conflict = stmt.onConflictClause ? bindConflict(scope, relation, stmt.onConflictClause) : undefined
  const modify: Modify = {
    target: 0,
    relation: relation.oid,
    columns: used,
    overriding,
    conflict,
    returning: bindReturning(scope, (stmt as any).returningClause),
  }
  return {
    ...emptyQuery(),
    command: 'insert',
    ctes: scope.ctes,
    entries: scope.entries,
    from,
    targets,
    modify,
    hasSrf: false,
  }
}

/** Whether every row of a VALUES list says DEFAULT for a column: then nothing is assigned to it. */
function alwaysDefault(source: SelectStmt | undefined, column: number): boolean {
  const rows = source?.valuesLists as any[] | undefined
  return (
    rows !== undefined && rows.length > 0 && rows.every((row) => row.List.items[column]?.SetToDefault !== undefined)
  )
}

function plainValues(stmt: SelectStmt): boolean {
  return !stmt.sortClause && !stmt.limitCount && !stmt.limitOffset && !stmt.withClause
}

export function insertColumns(
  context: BindContext,
  relation: RelationDescriptor,
  nodes: readonly Node[] | undefined,
): Column[] {
  const live = relation.columns.filter((c) => !c.dropped)
  if (nodes === undefined || nodes.length === 0) return live
  const out: Column[] = []
  for (const node of nodes as any[]) {
    const name = node.ResTarget?.name ?? node.String?.sval
    if (node.ResTarget?.indirection)
      throw new DbError('feature_not_supported', 'INSERT into array elements or fields is not supported')
    const column = live.find((c) => c.name === name)
    if (column === undefined) {
      throw errorAt(
        context,
        node.ResTarget?.location,
        new DbError('undefined_column', `column "${name}" of relation "${relation.name}" does not exist`),
      )
    }
    if (out.includes(column))
      throw errorAt(
        context,
        node.ResTarget?.location,
        new DbError('duplicate_column', `column "${name}" specified more than once`),
      )
    out.push(column)
  }
  return out
}

function singleRow(scope: QueryScope, stmt: SelectStmt): { from: FromNode[]; values: (Expr | 'default')[] } {
  scope.clause = 'insert'
  const items = (stmt.valuesLists![0] as any).List.items as any[]
  const values = items.map((n) => (n.SetToDefault ? 'default' : bindExpr(scope, n)))
  scope.clause = 'select'
  return { from: [], values }
}

/** A query or a list of rows as entry 1. */
function sourceQuery(
  scope: QueryScope,
  stmt: SelectStmt,
  columns: readonly Column[],
): { from: FromNode[]; values: Expr[] } {
  const query = bindSelect(scope.context, scope, stmt.valuesLists ? withDefaults(stmt, columns, scope) : stmt, false)
  const outputs = query.targets.filter((t) => !t.junk)
  const entry = scope.addEntry({
    kind: 'subquery',
    query,
    lateral: false,
    alias: '*SELECT*',
    explicitAlias: false,
    columns: outputs.map((t) => ({ name: t.name, type: t.expr.type, typmod: t.expr.typmod })),
  })
  const values = outputs.map((t, i): Expr => {
    // Untyped literals of VALUES and SELECT take the column's type where they stand.
    if (t.expr.type === oid.unknownOid && i < columns.length) retype(scope, entry, i, columns[i])
    const c = scope.entries[entry].columns[i]
    return { kind: 'var', up: 0, entry, column: i + 1, type: c.type, typmod: c.typmod }
  })
  return { from: [{ kind: 'entry', entry }], values }
}

function retype(scope: QueryScope, entry: number, index: number, column: Column): void {
  const e = scope.entries[entry]
  if (e.kind !== 'subquery') return
  const to = (expr: Expr): Expr => tryCoerce(scope.context, expr, column.type, column.typmod, 'assignment') ?? expr
  const inner = e.query
  const values = inner.entries.length === 1 && inner.entries[0].kind === 'values' ? inner.entries[0] : undefined
  let query: Query = inner
  const type = column.type
  const typed = { type, typmod: -1 }
  if (values !== undefined && values.kind === 'values') {
    const rows = values.rows.map((row) => row.map((cell, i) => (i === index ? to(cell) : cell)))
    const columns = values.columns.map((c, i) => (i === index ? { ...c, ...typed } : c))
    query = {
      ...inner,
      entries: [{ ...values, rows, columns }],
      targets: inner.targets.map((t, i) => (i === index ? { ...t, expr: { ...t.expr, ...typed } as Expr } : t)),
    }
  } else if (inner.setOperation === undefined) {
    let i = -1
    query = { ...inner, targets: inner.targets.map((t) => (t.junk || ++i !== index ? t : { ...t, expr: to(t.expr) })) }
  } else return
  scope.entries[entry] = { ...e, query, columns: e.columns.map((c, i) => (i === index ? { ...c, ...typed } : c)) }
}

/** Replaces DEFAULT in a list of several rows by the column's default expression. */
function withDefaults(stmt: SelectStmt, columns: readonly Column[], _scope: QueryScope): SelectStmt {
  const hasDefault = stmt.valuesLists!.some((row: any) => row.List.items.some((n: any) => n.SetToDefault))
  if (!hasDefault) return stmt
  return {
    ...stmt,
    valuesLists: stmt.valuesLists!.map((row: any) => ({
      List: { items: row.List.items.map((n: any, i: number) => (n.SetToDefault ? { BoundDefault: columns[i] } : n)) },
    })) as any,
  }
}

/** What a column without a value gets. */
export function defaultOf(column: Column): Expr {
  if (column.identitySequence !== undefined)
    return { kind: 'nextval', sequence: column.identitySequence, type: column.type, typmod: -1 }
  return column.default ?? { kind: 'const', text: undefined, type: column.type, typmod: -1 }
}

function checkAssignable(column: Column, overriding: Modify['overriding']): void {
  if (column.generated !== undefined) {
    throw new DbError('generated_always', `cannot insert a non-DEFAULT value into column "${column.name}"`, {
      detail: `Column "${column.name}" is a generated column.`,
    })
  }
  if (column.identity === 'a' && overriding === undefined) {
    throw new DbError('generated_always', `cannot insert a non-DEFAULT value into column "${column.name}"`, {
      detail: `Column "${column.name}" is an identity column defined as GENERATED ALWAYS.`,
      hint: 'Use OVERRIDING SYSTEM VALUE to override.',
    })
  }
}

function assign(context: BindContext, column: Column, value: Expr): Expr {
  const out = tryCoerce(context, value, column.type, column.typmod, 'assignment')
  if (out !== undefined) return out
  throw new DbError(
    'datatype_mismatch',
    `column "${column.name}" is of type ${formatType(context, column.type, -1)} but expression is of type ${formatType(context, value.type, -1)}`,
    {
      hint: 'You will need to rewrite or cast the expression.',
    },
  )
}

function bindReturning(scope: QueryScope, nodes: any): Target[] | undefined {
  const list = nodes?.exprs
  if (list === undefined || list.length === 0) return undefined
  scope.clause = 'returning'
  const out = bindTargets(scope, list, true)
  scope.clause = 'select'
  return out
}

// ---- ON CONFLICT

function bindConflict(scope: QueryScope, relation: RelationDescriptor, clause: OnConflictClause): Conflict {
  const action = clause.action === 'ONCONFLICT_UPDATE' ? 'update' : 'nothing'
  if (action === 'update' && clause.infer === undefined) {
    throw new DbError('syntax_error', 'ON CONFLICT DO UPDATE requires inference specification or constraint name', {
      hint: 'For example, ON CONFLICT (column_name).',
    })
  }
  const indexes = clause.infer === undefined ? [] : inferIndexes(scope, relation, clause.infer)
  const excluded = scope.addEntry({
    kind: 'excluded',
    alias: 'excluded',
    explicitAlias: true,
    columns: relationColumns(relation),
  })
  if (action === 'nothing') return { indexes, action, columns: [], values: [], where: undefined, excluded }
  const visible = scope.namespace
  scope.namespace = [...visible, { entry: excluded, byAlias: true, byColumn: false, lateralOnly: false, usable: true }]
  const assigned = bindAssignments(scope, relation, clause.targetList as Node[])
  const where = bindWhere(scope, clause.whereClause)
  scope.namespace = visible
  return { indexes, action, columns: assigned.columns, values: assigned.values, where, excluded }
}

function inferIndexes(scope: QueryScope, relation: RelationDescriptor, infer: InferClause): number[] {
  const catalog = scope.context.names.catalog
  if (infer.conname) {
    const constraint = relation.constraints.find((c) => c.name === infer.conname)
    if (constraint === undefined)
      throw new DbError('undefined_object', `constraint "${infer.conname}" for table "${relation.name}" does not exist`)
    if (constraint.index === undefined || constraint.type === 'f')
      throw new DbError('wrong_object_type', 'constraint in ON CONFLICT clause has no associated index')
    return [constraint.index]
  }
  const wanted = (infer.indexElems ?? []).map((n: any) => {
    const elem = n.IndexElem
    return elem.name
      ? bindExpr(scope, { ColumnRef: { fields: [{ String: { sval: elem.name } }] } } as Node)
      : bindExpr(scope, elem.expr)
  })
  const where = infer.whereClause ? bindWhere(scope, infer.whereClause) : undefined
  const keys = new Set(wanted.map(exprKey))
  const out = relation.indexes.filter((id) => {
    const index = catalog.relationOf(id).index!
    if (
      !index.unique ||
      (index.predicate !== undefined && (where === undefined || exprKey(onEntry(index.predicate)) !== exprKey(where)))
    )
      return false
    const own = new Set(
      index.columns.map((c) => exprKey(c.column > 0 ? columnExpr(relation, c.column) : onEntry(c.expr!))),
    )
    return own.size === keys.size && [...own].every((k) => keys.has(k))
  })
  if (out.length === 0)
    throw new DbError(
      'invalid_column_reference',
      'there is no unique or exclusion constraint matching the ON CONFLICT specification',
    )
  return out
}

function columnExpr(relation: RelationDescriptor, number: number): Expr {
  const c = relation.columns[number - 1]
  return { kind: 'var', up: 0, entry: 0, column: number, type: c.type, typmod: c.typmod }
}

/** Stored table expressions refer to entry 0, as the target is. */
function onEntry(expr: Expr): Expr {
  return mapVars(expr, (v) => v)
}

// ---- UPDATE and DELETE

interface Assigned {
  readonly columns: number[]
  readonly values: Expr[]
}

function bindAssignments(scope: QueryScope, relation: RelationDescriptor, nodes: readonly Node[]): Assigned {
  const columns: number[] = []
  const values: Expr[] = []
  scope.clause = 'update'
  const add = (res: any, value: Expr | 'default') => {
    const column = relation.columns.find((c) => !c.dropped && c.name === res.name)
    if (column === undefined) {
      throw errorAt(
        scope.context,
        res.location,
        new DbError('undefined_column', `column "${res.name}" of relation "${relation.name}" does not exist`),
      )
    }
    const at = columns.indexOf(column.number)
    if (at >= 0 && !res.indirection)
      throw errorAt(
        scope.context,
        res.location,
        new DbError('syntax_error', `multiple assignments to same column "${res.name}"`),
      )
    checkUpdatable(column, value === 'default')
    if (value === 'default') {
      if (column.generated !== undefined) return
      columns.push(column.number)
      values.push(defaultOf(column))
      return
    }
    if (res.indirection) {
      const base = at >= 0 ? values[at] : columnExpr(relation, column.number)
      const written = assignElement(scope, base, res.indirection, value, column)
      if (at >= 0) values[at] = written
      else {
        columns.push(column.number)
        values.push(written)
      }
      return
    }
    columns.push(column.number)
    values.push(assign(scope.context, column, value))
  }
  const multi = new Map<string, Expr[]>()
  for (const node of nodes as any[]) {
    const res = node.ResTarget
    const ref = res.val.MultiAssignRef
    if (ref === undefined) {
      add(res, res.val.SetToDefault ? 'default' : bindExpr(scope, res.val))
      continue
    }
    const source = ref.source
    if (source.RowExpr) {
      const item = source.RowExpr.args[ref.colno - 1]
      if (source.RowExpr.args.length !== ref.ncolumns)
        throw new DbError('syntax_error', 'number of columns does not match number of values')
      add(res, item.SetToDefault ? 'default' : bindExpr(scope, item))
      continue
    }
    // Each column's reference carries the same source.
    const key = JSON.stringify(source)
    let list = multi.get(key)
    if (list === undefined) {
      list = bindMultiSource(scope, source, ref.ncolumns)
      multi.set(key, list)
    }
    add(res, list[ref.colno - 1])
  }
  scope.clause = 'select'
  return { columns, values }
}

/** (a, b) = (SELECT …): one scalar sub-query per column, each of the same query. */
function bindMultiSource(scope: QueryScope, source: any, count: number): Expr[] {
  if (!source.SubLink)
    throw new DbError(
      'feature_not_supported',
      'source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression',
    )
  const bound = bindSelect(scope.context, scope, source.SubLink.subselect.SelectStmt, true)
  const outputs = bound.targets.filter((t) => !t.junk)
  if (outputs.length !== count) throw new DbError('syntax_error', 'number of columns does not match number of values')
  return outputs.map(
    (t): Expr => ({
      kind: 'sublink',
      link: 'scalar',
      type: t.expr.type,
      typmod: t.expr.typmod,
      query: { ...bound, targets: bound.targets.map((x) => (x === t || x.junk ? x : { ...x, junk: true })) },
    }),
  )
}

function assignElement(scope: QueryScope, base: Expr, indirection: any[], value: Expr, column: Column): Expr {
  if (indirection.some((i) => !i.A_Indices))
    throw new DbError('feature_not_supported', 'assignment to a field of a composite column is not supported')
  const steps = indirection.map((i) => i.A_Indices)
  const probe = subscript(scope, base, steps, undefined)
  const wanted = probe.kind === 'subscript' && probe.slice ? column.type : probe.type
  const converted = tryCoerce(scope.context, value, wanted, -1, 'assignment')
  if (converted === undefined) {
    throw new DbError(
      'datatype_mismatch',
      `subscripted assignment to "${column.name}" requires type ${formatType(scope.context, wanted, -1)} but expression is of type ${formatType(scope.context, value.type, -1)}`,
    )
  }
  return subscript(scope, base, steps, converted)
}

function checkUpdatable(column: Column, isDefault: boolean): void {
  if (isDefault) return
  if (column.generated !== undefined) {
    throw new DbError('generated_always', `column "${column.name}" can only be updated to DEFAULT`, {
      detail: `Column "${column.name}" is a generated column.`,
    })
  }
  if (column.identity === 'a') {
    throw new DbError('generated_always', `column "${column.name}" can only be updated to DEFAULT`, {
      detail: `Column "${column.name}" is an identity column defined as GENERATED ALWAYS.`,
    })
  }
}

export function bindUpdate(context: BindContext, parent: QueryScope | undefined, stmt: UpdateStmt): Query {
  const { scope, relation } = begin(context, parent, stmt.withClause, stmt.relation, 'update')
  openTarget(scope)
  const from = bindFrom(scope, stmt.fromClause)
  for (const item of scope.namespace) item.lateralOnly = false
  const assigned = bindAssignments(scope, relation, stmt.targetList as Node[])
  const where = bindWhere(scope, stmt.whereClause)
  const modify: Modify = {
    target: 0,
    relation: relation.oid,
    columns: assigned.columns,
    overriding: undefined,
    conflict: undefined,
    returning: bindReturning(scope, (stmt as any).returningClause),
  }
  const targets = assigned.values.map((expr, i) =>
    makeTarget(scope, expr, relation.columns[assigned.columns[i] - 1].name),
  )
  return {
    ...emptyQuery(),
    command: 'update',
    ctes: scope.ctes,
    entries: scope.entries,
    from: [{ kind: 'entry', entry: 0 }, ...from],
    where,
    targets,
    modify,
  }
}

export function bindDelete(context: BindContext, parent: QueryScope | undefined, stmt: DeleteStmt): Query {
  const { scope, relation } = begin(context, parent, stmt.withClause, stmt.relation, 'delete from')
  openTarget(scope)
  const from = bindFrom(scope, stmt.usingClause)
  for (const item of scope.namespace) item.lateralOnly = false
  const where = bindWhere(scope, stmt.whereClause)
  const modify: Modify = {
    target: 0,
    relation: relation.oid,
    columns: [],
    overriding: undefined,
    conflict: undefined,
    returning: bindReturning(scope, (stmt as any).returningClause),
  }
  return {
    ...emptyQuery(),
    command: 'delete',
    ctes: scope.ctes,
    entries: scope.entries,
    from: [{ kind: 'entry', entry: 0 }, ...from],
    where,
    modify,
  }
}

function openTarget(scope: QueryScope): void {
  scope.namespace = [{ entry: 0, byAlias: true, byColumn: true, lateralOnly: false, usable: true }]
}
