/**
 * The FROM clause: tables, sub-queries, functions, VALUES, common tables and joins become range table entries and a
 * join tree; which names each part sees is set on the way.
 */
import type { JoinExpr, Node, RangeFunction, RangeSubselect, RangeVar } from '@pgsql/types'
import { DbError } from '../../base/index.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import { findRelation } from '../catalog/names.ts'
import { systemRelation } from '../catalog/system-schema.ts'
import type { Entry, EntryColumn, Expr, FromFunction, FromNode, JoinKind } from '../query.ts'
import * as oid from '../types/oids.ts'
import { functionRow, operatorCall } from './calls.ts'
import { coerce, coerceBoolean, commonType } from './coerce.ts'
import { type BindContext, errorAt, typeOf } from './context.ts'
import { bindExpr, booleanType, type FieldType, locationOf, settleUnknown } from './expression.ts'
import { columnVar, type NamespaceItem, type QueryScope } from './scope.ts'
import { bindSubselect } from './select.ts'
import { resolveTypeName } from './type-name.ts'

/** Binds the FROM list and opens the scope's namespace. */
export function bindFrom(scope: QueryScope, nodes: readonly Node[] | undefined): FromNode[] {
  const out: FromNode[] = []
  for (const node of nodes ?? []) {
    const before = scope.namespace
    // What stands to the left is visible to LATERAL items only, until the clause is complete.
    scope.namespace = before.map((i) => ({ ...i, lateralOnly: true }))
    const { tree, items } = bindFromItem(scope, node)
    checkConflicts(scope, before, items)
    scope.namespace = [...before, ...items]
    out.push(tree)
  }
  return out
}

interface Item {
  readonly tree: FromNode
  readonly items: NamespaceItem[]
}

function checkConflicts(scope: QueryScope, left: readonly NamespaceItem[], right: readonly NamespaceItem[]): void {
  for (const a of left) {
    if (!a.byAlias) continue
    for (const b of right) {
      if (!b.byAlias) continue
      const x = scope.entries[a.entry]
      const y = scope.entries[b.entry]
      if (x.alias !== y.alias || x.alias === '') continue
      if (
        x.kind === 'relation' &&
        y.kind === 'relation' &&
        !x.explicitAlias &&
        !y.explicitAlias &&
        x.relation !== y.relation
      )
        continue
      throw new DbError('duplicate_alias', `table name "${x.alias}" specified more than once`)
    }
  }
}

function bindFromItem(scope: QueryScope, node: Node): Item {
  const n = node as any
  if (n.RangeVar) return single(scope, bindRangeVar(scope, n.RangeVar))
  if (n.RangeSubselect) return single(scope, bindRangeSubselect(scope, n.RangeSubselect))
  if (n.RangeFunction) return single(scope, bindRangeFunction(scope, n.RangeFunction))
  if (n.JoinExpr) return bindJoin(scope, n.JoinExpr)
  throw new DbError('feature_not_supported', `${Object.keys(node)[0]} is not supported in FROM`)
}

function single(scope: QueryScope, entry: Entry): Item {
  const at = scope.addEntry(entry)
  return {
    tree: { kind: 'entry', entry: at },
    items: [{ entry: at, byAlias: true, byColumn: true, lateralOnly: false, usable: true }],
  }
}

/** Renames the first columns as the alias says. Raises invalid_column_reference when there are too many. */
function aliased(alias: string, columns: readonly EntryColumn[], names: readonly string[]): EntryColumn[] {
  const visible = columns.filter((c) => !c.dropped).length
  if (names.length > visible) {
    throw new DbError(
      'invalid_column_reference',
      `table "${alias}" has ${visible} columns available but ${names.length} columns specified`,
    )
  }
  let i = 0
  return columns.map((c) => (c.dropped || i >= names.length ? c : { ...c, name: names[i++] }))
}

export function aliasNames(alias: any): string[] {
  return (alias?.colnames ?? []).map((c: any) => c.String.sval)
}

export function relationColumns(relation: RelationDescriptor): EntryColumn[] {
  return relation.columns.map((c) => ({
    name: c.name,
    type: c.type,
    typmod: c.typmod,
    dropped: c.dropped || undefined,
  }))
}

function bindRangeVar(scope: QueryScope, node: RangeVar): Entry {
  const names = aliasNames(node.alias)
  if (!node.schemaname) {
    const cte = findCte(scope, node.relname!)
    if (cte !== undefined) return cteEntry(scope, node, cte.scope, cte.index, cte.up, names)
  }
  const relation = lookUpRelation(scope.context, node)
  if (relation.relkind === 'i' || relation.relkind === 'c') {
    throw errorAt(
      scope.context,
      node.location,
      new DbError('wrong_object_type', `cannot open relation "${relation.name}"`, {
        detail: `This operation is not supported for ${relation.relkind === 'i' ? 'indexes' : 'composite types'}.`,
      }),
    )
  }
  return relationEntry(relation, node.alias?.aliasname, names)
}

export function relationEntry(
  relation: RelationDescriptor,
  alias: string | undefined,
  names: readonly string[] = [],
): Entry {
  const name = alias ?? relation.name
  return {
    kind: 'relation',
    relation: relation.oid,
    alias: name,
    explicitAlias: alias !== undefined,
    columns: aliased(name, relationColumns(relation), names),
    columnAliases: names.length > 0 ? names : undefined,
  }
}

/** Raises undefined_table, with the position. */
export function lookUpRelation(context: BindContext, node: RangeVar): RelationDescriptor {
  if (
    node.catalogname &&
    node.catalogname !== context.names.catalog.database(context.names.catalog.databaseOid)?.name
  ) {
    throw errorAt(
      context,
      node.location,
      new DbError(
        'feature_not_supported',
        `cross-database references are not implemented: "${node.catalogname}.${node.schemaname}.${node.relname}"`,
      ),
    )
  }
  const relation = findRelation(context.names, node.schemaname, node.relname!)
  if (relation === undefined) {
    const name = node.schemaname ? `${node.schemaname}.${node.relname}` : node.relname
    throw errorAt(context, node.location, new DbError('undefined_table', `relation "${name}" does not exist`))
  }
  context.dependencies.push({ schema: node.schemaname, name: node.relname!, oid: relation.oid })
  return relation
}

function findCte(scope: QueryScope, name: string): { scope: QueryScope; index: number; up: number } | undefined {
  let up = 0
  for (let s: QueryScope | undefined = scope; s !== undefined; s = s.parent, up++) {
    const index = s.cteBindings.findIndex((c) => c.name === name)
    if (index >= 0) return { scope: s, index, up }
  }
  return undefined
}

function cteEntry(
  _scope: QueryScope,
  node: RangeVar,
  owner: QueryScope,
  index: number,
  up: number,
  names: readonly string[],
): Entry {
  const binding = owner.cteBindings[index]
  if (binding.recursing) binding.selfReferences++
  binding.referenced++
  const alias = node.alias?.aliasname ?? binding.name
  return {
    kind: 'cte',
    name: binding.name,
    up,
    self: binding.recursing,
    alias,
    explicitAlias: node.alias !== undefined,
    columns: aliased(alias, binding.columns, names),
    columnAliases: names.length > 0 ? names : undefined,
  }
}

function bindRangeSubselect(scope: QueryScope, node: RangeSubselect): Entry {
  const alias = node.alias?.aliasname ?? 'unnamed_subquery'
  const names = aliasNames(node.alias)
  const query = bindSubselect(lateralScope(scope, node.lateral === true), node.subquery!)
  const columns = query.targets
    .filter((t) => !t.junk)
    .map((t) => ({ name: t.name, type: t.expr.type, typmod: t.expr.typmod }))
  return {
    kind: 'subquery',
    query,
    lateral: node.lateral === true,
    alias,
    explicitAlias: node.alias !== undefined,
    columns: aliased(alias, columns, names),
    columnAliases: names.length > 0 ? names : undefined,
  }
}

/** The scope a FROM item's insides have as their outer one: LATERAL items also see those to their left. */
function lateralScope(scope: QueryScope, lateral: boolean): QueryScope {
  const out = Object.create(scope) as QueryScope
  const hidden = scope.namespace
  Object.defineProperty(out, 'namespace', {
    value: lateral ? hidden.map((i) => ({ ...i, lateralOnly: false })) : hidden.filter((i) => !i.lateralOnly),
    writable: true,
  })
  return out
}

function bindRangeFunction(scope: QueryScope, node: RangeFunction): Entry {
  const inner = lateralScope(scope, true)
  const clause = inner.clause
  inner.clause = 'from function'
  const functions: FromFunction[] = []
  const raw = (node.functions ?? []).flatMap((f: any) => sideBySide(f.List.items))
  let name = ''
  for (const [call, definitions] of raw) {
    const bound = settleUnknown(inner, bindExpr(inner, call))
    const fallback = callName(call)
    if (name === '') name = fallback
    const defs = (definitions?.List?.items as any[]) ?? (node.coldeflist as any[]) ?? []
    functions.push(fromFunction(inner, bound, fallback, defs, raw.length === 1 ? node.alias : undefined))
  }
  inner.clause = clause
  const columns = functions.flatMap((f) => f.columns)
  if (node.ordinality) columns.push({ name: 'ordinality', type: oid.int8Oid, typmod: -1 })
  const alias = node.alias?.aliasname ?? name
  const names = aliasNames(node.alias)
  return {
    kind: 'function',
    functions,
    ordinality: node.ordinality === true,
    lateral: true,
    alias,
    explicitAlias: node.alias !== undefined,
    columns: aliased(alias, columns, names),
    columnAliases: names.length > 0 ? names : undefined,
  }
}

/** unnest(a, b) is unnest(a) and unnest(b) side by side. */
function sideBySide(items: any[]): any[][] {
  const call = items[0].FuncCall
  const name = call?.funcname.at(-1).String.sval
  if (name !== 'unnest' || (call.args?.length ?? 0) < 2) return [items]
  return call.args.map((arg: Node) => [{ FuncCall: { ...call, args: [arg] } }])
}

function callName(call: any): string {
  if (call.FuncCall) return call.FuncCall.funcname.at(-1).String.sval
  if (call.SQLValueFunction)
    return String(call.SQLValueFunction.op)
      .replace(/^SVFOP_/, '')
      .replace(/_N$/, '')
      .toLowerCase()
  if (call.CoalesceExpr) return 'coalesce'
  return call.TypeCast ? (call.TypeCast.typeName.names.at(-1).String.sval as string) : 'function'
}

function fromFunction(scope: QueryScope, call: Expr, name: string, definitions: any[], alias: any): FromFunction {
  const c = scope.context
  const defined = definitions.map((d: any): EntryColumn => {
    const def = d.ColumnDef
    const t = resolveTypeName(c, def.typeName)
    return { name: def.colname, type: t.type, typmod: t.typmod }
  })
  if (defined.length > 0) return { call, columns: defined, composite: true }
  if (call.kind === 'func' || call.kind === 'srf') {
    const columns = functionColumns(scope, call.func)
    if (columns !== undefined && columns.length > 1)
      return { call, columns: columns.map((x) => polymorphicColumn(scope, x, call)), composite: true }
    if (columns !== undefined)
      return { call, columns: [{ name: columns[0].name, type: call.type, typmod: call.typmod }], composite: false }
  }
  const type = typeOf(c, call.type)
  if (type.kind === 'c') {
    const columns =
      c.names.catalog.relation(type.relation)?.columns.filter((x) => !x.dropped) ?? systemRowColumns(type.relation)
    if (columns !== undefined)
      return { call, columns: columns.map((x) => ({ name: x.name, type: x.type, typmod: x.typmod })), composite: true }
  }
  if (call.type === oid.recordOid) {
    throw new DbError('syntax_error', 'a column definition list is required for functions returning "record"')
  }
  // The one column of a scalar function is named after the alias, when there is one.
  return { call, columns: [{ name: alias?.aliasname ?? name, type: call.type, typmod: call.typmod }], composite: false }
}

/** OUT columns of polymorphic types take the call's element or array type. */
export function polymorphicColumn(scope: QueryScope, column: FieldType, call: Expr): EntryColumn {
  if (column.type !== oid.anyelementOid && column.type !== oid.anyarrayOid) return column
  const args = call.kind === 'func' || call.kind === 'srf' ? call.args : []
  const array = args.map((a) => typeOf(scope.context, a.type)).find((t) => t.category === 'A')
  const type = array === undefined ? column.type : column.type === oid.anyelementOid ? array.element : array.oid
  return { ...column, type }
}

/** The OUT columns of a function, undefined when it has none. */
export function functionColumns(scope: QueryScope, func: number): readonly FieldType[] | undefined {
  const row = functionRow(scope.context, func)
  if (row?.outTypes === undefined) return undefined
  return row.outTypes.map((type, i) => ({ name: row.outNames?.[i] || `column${i + 1}`, type, typmod: -1 }))
}

/** The columns of a built-in relation's row type. */
export function systemRowColumns(relation: number): readonly FieldType[] | undefined {
  return systemRelation(relation)?.descriptor.columns
}

function bindJoin(scope: QueryScope, node: JoinExpr): Item {
  const kinds: Record<string, JoinKind> = {
    JOIN_INNER: 'inner',
    JOIN_LEFT: 'left',
    JOIN_RIGHT: 'right',
    JOIN_FULL: 'full',
  }
  const join = kinds[node.jointype as string]
  const left = bindFromItem(scope, node.larg!)
  const outer = scope.namespace
  // The right side sees the left one when LATERAL, unless rows may be missing there.
  const usable = join === 'inner' || join === 'left'
  scope.namespace = [...outer, ...left.items.map((i) => ({ ...i, lateralOnly: true, usable: i.usable && usable }))]
  const right = bindFromItem(scope, node.rarg!)
  scope.namespace = outer
  checkConflicts(scope, left.items, right.items)
  const using = usingColumns(scope, node, left.items, right.items)
  const merged = mergeColumns(scope, join, using, left.items, right.items, node)
  let on = merged.on
  if (node.quals) {
    const inner = scope.namespace
    const clause = scope.clause
    scope.namespace = [...outer, ...left.items, ...right.items].map((i, k) =>
      k < outer.length ? i : { ...i, lateralOnly: false, usable: true },
    )
    scope.clause = 'join'
    on = coerceBoolean(scope.context, bindExpr(scope, node.quals), 'JOIN/ON', locationOf(node.quals))
    scope.clause = clause
    scope.namespace = inner
  }
  const alias = node.alias?.aliasname
  const names = aliasNames(node.alias)
  const entry = scope.addEntry({
    kind: 'join',
    join,
    vars: merged.vars,
    merged: using.length,
    alias: alias ?? '',
    explicitAlias: alias !== undefined,
    columns: alias === undefined ? merged.columns : aliased(alias, merged.columns, names),
    columnAliases: names.length > 0 ? names : undefined,
  })
  const tree: FromNode = {
    kind: 'join',
    join,
    left: left.tree,
    right: right.tree,
    on,
    entry,
    using: using.length > 0 ? using : undefined,
    natural: node.isNatural || undefined,
  }
  const self: NamespaceItem = { entry, byAlias: alias !== undefined, byColumn: true, lateralOnly: false, usable: true }
  if (alias !== undefined) return { tree, items: [self] }
  const children = [...left.items, ...right.items].map((i) => ({ ...i, byColumn: false }))
  const usingAlias = (node as any).join_using_alias?.aliasname
  if (usingAlias !== undefined) {
    const only = scope.addEntry({
      kind: 'join',
      join,
      vars: merged.vars.slice(0, using.length),
      merged: using.length,
      alias: usingAlias,
      explicitAlias: true,
      columns: merged.columns.slice(0, using.length),
    })
    children.push({ entry: only, byAlias: true, byColumn: false, lateralOnly: false, usable: true })
  }
  return { tree, items: [...children, self] }
}

function usingColumns(
  scope: QueryScope,
  node: JoinExpr,
  left: readonly NamespaceItem[],
  right: readonly NamespaceItem[],
): string[] {
  if (!node.isNatural) return (node.usingClause ?? []).map((u: any) => u.String.sval)
  const rightNames = new Set(visibleColumns(scope, right).map((c) => c.name))
  return [...new Set(visibleColumns(scope, left).map((c) => c.name))].filter((n) => rightNames.has(n))
}

interface Visible {
  readonly name: string
  readonly expr: Expr
}

function visibleColumns(scope: QueryScope, items: readonly NamespaceItem[]): Visible[] {
  const out: Visible[] = []
  for (const item of items) {
    if (!item.byColumn) continue
    scope.entries[item.entry].columns.forEach((c, i) => {
      if (!c.dropped) out.push({ name: c.name, expr: columnVar(scope, item.entry, i + 1, 0) })
    })
  }
  return out
}

interface Merged {
  readonly vars: Expr[]
  readonly columns: EntryColumn[]
  readonly on: Expr | undefined
}

function mergeColumns(
  scope: QueryScope,
  join: JoinKind,
  using: readonly string[],
  left: readonly NamespaceItem[],
  right: readonly NamespaceItem[],
  node: JoinExpr,
): Merged {
  const leftColumns = visibleColumns(scope, left)
  const rightColumns = visibleColumns(scope, right)
  const merged: Visible[] = []
  const tests: Expr[] = []
  for (const name of using) {
    const l = only(leftColumns, name, 'left')
    const r = only(rightColumns, name, 'right')
    tests.push(operatorCall(scope.context, ['='], l, r, locationOf(node as any)))
    const type = commonType(scope.context, [l.type, r.type], 'JOIN/USING')!
    const a = coerce(scope.context, l, type, -1, 'implicit')
    const b = coerce(scope.context, r, type, -1, 'implicit')
    // Of an inner join's equal columns the one that needs no conversion stands for both.
    const takeRight = join === 'right' || (join === 'inner' && l.type !== type && r.type === type)
    const expr: Expr = takeRight ? b : join === 'full' ? { kind: 'coalesce', args: [a, b], type, typmod: -1 } : a
    merged.push({ name, expr })
  }
  const rest = [...leftColumns, ...rightColumns].filter((c) => !using.includes(c.name))
  const all = [...merged, ...rest]
  return {
    vars: all.map((c) => c.expr),
    columns: all.map((c) => ({ name: c.name, type: c.expr.type, typmod: c.expr.typmod })),
    on: tests.length === 0 ? undefined : tests.length === 1 ? tests[0] : { kind: 'and', args: tests, ...booleanType },
  }
}

function only(columns: readonly Visible[], name: string, side: string): Expr {
  const found = columns.filter((c) => c.name === name)
  if (found.length === 0)
    throw new DbError('undefined_column', `column "${name}" specified in USING clause does not exist in ${side} table`)
  if (found.length > 1)
    throw new DbError('ambiguous_column', `common column name "${name}" appears more than once in ${side} table`)
  return found[0].expr
}
