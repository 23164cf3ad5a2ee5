/** Target lists: expressions with their output names, and the expansion of *. */
import type { Node, ResTarget } from '@pgsql/types'
import { DbError } from '../../base/index.ts'
import type { Expr, Target } from '../query.ts'
import { errorAt } from './context.ts'
import { bindExpr, compositeColumns, settleUnknown } from './expression.ts'
import { columnVar, findAlias, type QueryScope } from './scope.ts'

export function bindTargets(scope: QueryScope, nodes: readonly Node[], settle: boolean): Target[] {
  const out: Target[] = []
  for (const node of nodes) {
    const res = (node as any).ResTarget as ResTarget
    const value = res.val as any
    const fields = value?.ColumnRef?.fields
    if (fields?.at(-1)?.A_Star !== undefined) {
      out.push(
        ...expandStar(
          scope,
          fields.slice(0, -1).map((f: any) => f.String.sval),
          value.ColumnRef.location,
        ),
      )
      continue
    }
    if (value?.A_Indirection?.indirection.at(-1).A_Star !== undefined) {
      out.push(...expandComposite(scope, value.A_Indirection))
      continue
    }
    const bound = bindExpr(scope, res.val!)
    const expr = settle ? settleUnknown(scope, bound) : bound
    out.push(target(scope, expr, res.name ?? figureName(value)))
  }
  return out
}

export function target(scope: QueryScope, expr: Expr, name: string): Target {
  if (expr.kind === 'var' && expr.up === 0 && expr.column > 0) {
    const entry = scope.entries[expr.entry]
    if (entry.kind === 'relation') return { expr, name, junk: false, table: entry.relation, column: expr.column }
    const inner = entry.kind === 'subquery' ? entry.query.targets.filter((t) => !t.junk)[expr.column - 1] : undefined
    if (inner?.table !== undefined) return { expr, name, junk: false, table: inner.table, column: inner.column }
  }
  return { expr, name, junk: false }
}

function expandStar(scope: QueryScope, qualifier: readonly string[], at: number | undefined): Target[] {
  if (qualifier.length === 0) {
    const items = scope.namespace.filter((i) => i.byColumn)
    if (items.length === 0 && scope.entries.length === 0) {
      throw errorAt(scope.context, at, new DbError('syntax_error', 'SELECT * with no tables specified is not valid'))
    }
    return items.flatMap((i) => entryTargets(scope, i.entry, scope, 0))
  }
  const table = findAlias(scope, qualifier.length > 1 ? qualifier.at(-2) : undefined, qualifier.at(-1)!, at)
  if (table === undefined) {
    throw errorAt(
      scope.context,
      at,
      new DbError('undefined_table', `missing FROM-clause entry for table "${qualifier.join('.')}"`),
    )
  }
  return entryTargets(scope, table.item.entry, table.scope, table.up)
}

function entryTargets(scope: QueryScope, entry: number, owner: QueryScope, up: number): Target[] {
  const out: Target[] = []
  owner.entries[entry].columns.forEach((c, i) => {
    if (c.dropped) return
    out.push(target(scope, columnVar(owner, entry, i + 1, up), c.name))
  })
  return out
}

function expandComposite(scope: QueryScope, node: any): Target[] {
  const inner =
    node.indirection.length === 1
      ? node.arg
      : { A_Indirection: { ...node, indirection: node.indirection.slice(0, -1) } }
  const arg = bindExpr(scope, inner)
  const columns = compositeColumns(scope, arg)
  if (columns === undefined) throw new DbError('wrong_object_type', 'type of the expression is not composite')
  return columns.map((c, i) =>
    target(scope, { kind: 'field', arg, field: i, name: c.name, type: c.type, typmod: c.typmod }, c.name),
  )
}

/** The name PostgreSQL gives an unnamed output column. */
export function figureName(node: any): string {
  return nameOf(node).name ?? '?column?'
}

/** `strong` names come from the expression itself; weak ones (a cast's type) only serve when nothing better is found. */
function nameOf(node: any): { name: string | undefined; strong: boolean } {
  const kind = Object.keys(node ?? {})[0]
  const n = node?.[kind]
  const strong = (name: string | undefined) => ({ name, strong: name !== undefined })
  switch (kind) {
    case 'ColumnRef': {
      const last = n.fields.filter((f: any) => f.String).at(-1)
      return strong(last?.String.sval)
    }
    case 'A_Indirection': {
      const last = n.indirection.filter((f: any) => f.String).at(-1)
      return last ? strong(last.String.sval) : nameOf(n.arg)
    }
    case 'FuncCall':
      return strong(n.funcname.at(-1).String.sval)
    case 'A_Expr':
      return n.kind === 'AEXPR_NULLIF' ? strong('nullif') : { name: undefined, strong: false }
    case 'TypeCast': {
      const inner = nameOf(n.arg)
      return inner.strong ? inner : { name: n.typeName.names.at(-1).String.sval, strong: false }
    }
    case 'CollateClause':
      return nameOf(n.arg)
    case 'GroupingFunc':
      return strong('grouping')
    case 'SubLink':
      if (n.subLinkType === 'EXISTS_SUBLINK') return strong('exists')
      if (n.subLinkType === 'ARRAY_SUBLINK') return strong('array')
      if (n.subLinkType === 'EXPR_SUBLINK') {
        const first = n.subselect.SelectStmt?.targetList?.[0]?.ResTarget
        if (first) return first.name ? strong(first.name) : nameOf(first.val)
      }
      return { name: undefined, strong: false }
    case 'CaseExpr': {
      const inner = n.defresult ? nameOf(n.defresult) : { name: undefined, strong: false }
      return inner.strong ? inner : { name: 'case', strong: false }
    }
    case 'A_ArrayExpr':
      return strong('array')
    case 'RowExpr':
      return strong('row')
    case 'CoalesceExpr':
      return strong('coalesce')
    case 'MinMaxExpr':
      return strong(n.op === 'IS_GREATEST' ? 'greatest' : 'least')
    case 'SQLValueFunction':
      return strong(
        String(n.op)
          .replace(/^SVFOP_/, '')
          .replace(/_N$/, '')
          .toLowerCase(),
      )
    default:
      return { name: undefined, strong: false }
  }
}
