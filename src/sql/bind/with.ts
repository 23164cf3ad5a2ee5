/** WITH: common tables, recursive ones included, and data-modifying statements in them. */
import type { CommonTableExpr, Node, WithClause } from '@pgsql/types'
import { DbError } from '../../base/index.ts'
import type { CommonTable, EntryColumn, Query } from '../query.ts'
import { bindModifyNode } from './modify.ts'
import { QueryScope } from './scope.ts'
import { addLeaf, bindSelectNode, combine, finishSetOperation, leafColumns, wrapWithTypes } from './select.ts'

export function bindWith(scope: QueryScope, clause: WithClause): void {
  const tables = (clause.ctes ?? []).map((n: any) => n.CommonTableExpr as CommonTableExpr)
  const names = new Set<string>()
  for (const t of tables) {
    if (names.has(t.ctename!))
      throw new DbError('duplicate_alias', `WITH query name "${t.ctename}" specified more than once`)
    names.add(t.ctename!)
  }
  for (const table of tables) bindTable(scope, table, clause.recursive === true)
}

function bindTable(scope: QueryScope, node: CommonTableExpr, recursive: boolean): void {
  if (node.search_clause || node.cycle_clause)
    throw new DbError('feature_not_supported', 'SEARCH and CYCLE clauses are not supported')
  const aliases = (node.aliascolnames ?? []).map((n: any) => n.String.sval as string)
  const name = node.ctename!
  const statement = node.ctequery!
  const self = recursive && mentions(statement, name)
  const bound = self ? bindRecursive(scope, node, name, aliases) : bindPlain(scope, statement)
  const outputs = bound.modify === undefined ? bound.targets.filter((t) => !t.junk) : (bound.modify.returning ?? [])
  const columns = rename(
    name,
    outputs.map((t) => ({ name: t.name, type: t.expr.type, typmod: t.expr.typmod })),
    aliases,
  )
  const materialized =
    node.ctematerialized === 'CTEMaterializeAlways'
      ? 'always'
      : node.ctematerialized === 'CTEMaterializeNever'
        ? 'never'
        : 'default'
  const table: CommonTable = {
    name,
    columns,
    query: bound,
    recursive: self,
    materialized,
    columnAliases: aliases.length > 0 ? aliases : undefined,
  }
  scope.ctes.push(table)
  const binding = scope.cteBindings.find((b) => b.name === name && b.recursing)
  if (binding !== undefined) binding.recursing = false
  else scope.cteBindings.push({ name, columns, selfReferences: 0, recursing: false, referenced: 0 })
}

function rename(name: string, columns: readonly EntryColumn[], aliases: readonly string[]): EntryColumn[] {
  if (aliases.length > columns.length) {
    throw new DbError(
      'invalid_column_reference',
      `WITH query "${name}" has ${columns.length} columns available but ${aliases.length} columns specified`,
    )
  }
  return columns.map((c, i) => (i < aliases.length ? { ...c, name: aliases[i] } : c))
}

function bindPlain(scope: QueryScope, statement: Node): Query {
  const n = statement as any
  if (n.SelectStmt) return bindSelectNode(scope.context, scope, statement, true)
  if (scope.parent !== undefined)
    throw new DbError(
      'feature_not_supported',
      'WITH clause containing a data-modifying statement must be at the top level',
    )
  return bindModifyNode(scope.context, scope, statement)
}

function mentions(node: any, name: string): boolean {
  if (node === null || typeof node !== 'object') return false
  if (Array.isArray(node)) return node.some((n) => mentions(n, name))
  if (node.RangeVar && node.RangeVar.relname === name && !node.RangeVar.schemaname) return true
  return Object.values(node).some((v) => mentions(v, name))
}

/** non-recursive UNION [ALL] recursive: the first term gives the columns that the second one sees. */
function bindRecursive(outer: QueryScope, node: CommonTableExpr, name: string, aliases: readonly string[]): Query {
  const stmt = (node.ctequery as any).SelectStmt
  if (stmt?.op !== 'SETOP_UNION') {
    throw new DbError(
      'invalid_recursion',
      `recursive query "${name}" does not have the form non-recursive-term UNION [ALL] recursive-term`,
    )
  }
  if (mentions(stmt.larg, name)) {
    throw new DbError(
      'invalid_recursion',
      `recursive reference to query "${name}" must not appear within its non-recursive term`,
    )
  }
  const scope = new QueryScope(outer.context, outer)
  if (stmt.withClause) bindWith(scope, stmt.withClause)
  const first = bindSelectNode(outer.context, scope, { SelectStmt: stmt.larg } as Node, true)
  const left = addLeaf(scope, first)
  const columns = rename(name, leafColumns(scope, left), aliases)
  const binding = { name, columns, selfReferences: 0, recursing: true, referenced: 0 }
  outer.cteBindings.push(binding)
  let second = bindSelectNode(outer.context, scope, { SelectStmt: stmt.rarg } as Node, false)
  if (binding.selfReferences > 1) {
    throw new DbError('invalid_recursion', `recursive reference to query "${name}" must not appear more than once`)
  }
  checkRecursiveTerm(second, name)
  const types = columns.map((c) => c.type)
  const visible = second.targets.filter((t) => !t.junk)
  if (visible.length !== types.length)
    throw new DbError('syntax_error', 'each UNION query must have the same number of columns')
  checkTypes(second, columns, name)
  if (visible.some((t, i) => t.expr.type !== types[i])) second = wrapWithTypes(outer.context, second, types)
  const right = addLeaf(scope, second)
  const top = combine(scope, 'union', stmt.all === true, left, right)
  return finishSetOperation(scope, { ...top, columns: columns.map((c) => ({ ...c })) }, stmt, true)
}

function checkRecursiveTerm(query: Query, name: string): void {
  if (query.hasAggregates)
    throw new DbError('invalid_recursion', `aggregate functions are not allowed in a recursive query's recursive term`)
  if (query.orderBy.length > 0)
    throw new DbError('feature_not_supported', `ORDER BY in a recursive query is not implemented`)
  if (query.limit || query.offset)
    throw new DbError('feature_not_supported', 'LIMIT in a recursive query is not implemented')
  for (const node of query.from) checkOuterJoins(query, node, name, false)
}

function checkOuterJoins(query: Query, node: Query['from'][number], name: string, nullable: boolean): void {
  if (node.kind === 'entry') {
    const e = query.entries[node.entry]
    if (nullable && e.kind === 'cte' && e.self && e.name === name) {
      throw new DbError(
        'invalid_recursion',
        `recursive reference to query "${name}" must not appear within an outer join`,
      )
    }
    return
  }
  checkOuterJoins(query, node.left, name, nullable || node.join === 'right' || node.join === 'full')
  checkOuterJoins(query, node.right, name, nullable || node.join === 'left' || node.join === 'full')
}

function checkTypes(query: Query, columns: readonly EntryColumn[], name: string): void {
  query.targets
    .filter((t) => !t.junk)
    .forEach((t, i) => {
      const type = t.expr.type
      if (type === columns[i].type || type === 705) return
      // A wider type in the recursive term cannot be narrowed silently.
      const order = [21, 23, 20, 1700, 700, 701]
      if (order.includes(type) && order.indexOf(type) > order.indexOf(columns[i].type)) {
        throw new DbError(
          'datatype_mismatch',
          `recursive query "${name}" column ${i + 1} has type ${typeLabel(columns[i].type)} in non-recursive term but type ${typeLabel(type)} overall`,
          {
            hint: 'Cast the output of the non-recursive term to the correct type.',
          },
        )
      }
    })
}

function typeLabel(type: number): string {
  return (
    (
      { 21: 'smallint', 23: 'integer', 20: 'bigint', 1700: 'numeric', 700: 'real', 701: 'double precision' } as Record<
        number,
        string
      >
    )[type] ?? String(type)
  )
}
