/**
 * Names in expressions: a, t.a, s.t.a, whole rows (t), fields of composite columns, and a SQL function's parameters.
 */
import { DbError } from '../../base/index.ts'
import type { Expr } from '../query.ts'
import { errorAt } from './context.ts'
import { compositeColumns, selectField } from './expression.ts'
import { columnNumber, columnVar, findAlias, findColumn, type QueryScope, systemColumns } from './scope.ts'

export function bindColumnRef(scope: QueryScope, node: any): Expr {
  const fields: any[] = node.fields
  const at: number = node.location ?? 0
  if (fields.some((f) => f.A_Star)) {
    // Inside an expression t.* is the whole row.
    const names: string[] = fields.slice(0, -1).map((f) => f.String.sval)
    const table =
      names.length > 0 && fields[fields.length - 1].A_Star
        ? findAlias(scope, names.at(-2), names[names.length - 1], at)
        : undefined
    if (table !== undefined) return wholeRow(table.scope, table.item.entry, table.up)
    throw errorAt(scope.context, at, new DbError('syntax_error', 'row expansion via "*" is not supported here'))
  }
  const names: string[] = fields.map((f) => f.String.sval)
  const found = resolve(scope, names, at)
  if (found !== undefined) return found
  throw unresolved(scope, names, at)
}

function resolve(scope: QueryScope, names: string[], at: number): Expr | undefined {
  if (names.length === 1) return bare(scope, names[0], at)
  // schema.table.column, then table.column, then a field of a composite column.
  if (names.length >= 3) {
    const table = findAlias(scope, names[names.length - 3], names[names.length - 2], at)
    if (table !== undefined) {
      const column = ofAlias(table, names[names.length - 1])
      if (column !== undefined) return column
    }
  }
  const table = findAlias(scope, undefined, names[0], at)
  if (table !== undefined) {
    const column = ofAlias(table, names[1])
    if (column !== undefined) return names.slice(2).reduce((e, n) => selectField(scope, e, n), column)
    if (names.length === 2) return undefined
  }
  if (names.length === 2 && table === undefined) {
    const column = findColumn(scope, names[0], at)
    if (column !== undefined) {
      const value = columnVar(column.scope, column.entry, column.column, column.up)
      if (compositeColumns(scope, value) !== undefined) return selectField(scope, value, names[1])
    }
  }
  return parameter(scope, names)
}

function bare(scope: QueryScope, name: string, at: number): Expr | undefined {
  const column = findColumn(scope, name, at)
  if (column !== undefined) return columnVar(column.scope, column.entry, column.column, column.up)
  const system = systemColumns[name]
  if (system !== undefined) {
    let up = 0
    for (let s: QueryScope | undefined = scope; s !== undefined; s = s.parent, up++) {
      const items = s.namespace.filter((i) => i.byColumn && s.entries[i.entry].kind === 'relation')
      if (items.length > 1)
        throw errorAt(scope.context, at, new DbError('ambiguous_column', `column reference "${name}" is ambiguous`))
      if (items.length === 1)
        return { kind: 'var', up, entry: items[0].entry, column: system.number, type: system.type, typmod: -1 }
    }
  }
  const table = findAlias(scope, undefined, name, at)
  if (table !== undefined) return wholeRow(table.scope, table.item.entry, table.up)
  return parameter(scope, [name])
}

function ofAlias(table: { scope: QueryScope; up: number; item: { entry: number } }, name: string): Expr | undefined {
  const entry = table.scope.entries[table.item.entry]
  const column = columnNumber(entry, name)
  if (column < 0) throw new DbError('ambiguous_column', `column reference "${name}" is ambiguous`)
  if (column > 0) return columnVar(table.scope, table.item.entry, column, table.up)
  const system = systemColumns[name]
  if (system !== undefined && entry.kind === 'relation') {
    return { kind: 'var', up: table.up, entry: table.item.entry, column: system.number, type: system.type, typmod: -1 }
  }
  return undefined
}

/** The row of an entry as one value: its type is the table's row type, else record. A one-column function is its value. */
export function wholeRow(scope: QueryScope, entry: number, up: number): Expr {
  const e = scope.entries[entry]
  if (e.kind === 'function' && e.functions.length === 1 && !e.functions[0].composite && !e.ordinality)
    return columnVar(scope, entry, 1, up)
  if (e.kind === 'join') {
    return {
      kind: 'row',
      items: e.vars.map((_, i) => columnVar(scope, entry, i + 1, up)),
      names: e.columns.map((c) => c.name),
      type: 2249,
      typmod: -1,
    }
  }
  let type = 2249
  if (e.kind === 'relation') type = scope.context.names.catalog.relation(e.relation)?.rowType || 2249
  return { kind: 'var', up, entry, column: 0, type, typmod: -1 }
}

function parameter(scope: QueryScope, names: readonly string[]): Expr | undefined {
  const p = scope.context.parameters
  const at = p.names.indexOf(names[names.length - 1])
  if (at < 0) return undefined
  return { kind: 'param', number: at + 1, type: p.use(at + 1), typmod: -1 }
}

function unresolved(scope: QueryScope, names: string[], at: number): DbError {
  const c = scope.context
  if (names.length === 1) {
    return errorAt(
      c,
      at,
      new DbError('undefined_column', `column "${names[0]}" does not exist`, { hint: similar(scope, names[0]) }),
    )
  }
  const table = names[names.length - 2]
  if (findAlias(scope, undefined, table) !== undefined) {
    return errorAt(
      c,
      at,
      new DbError('undefined_column', `column ${names.slice(-2).join('.')} does not exist`, {
        hint: similar(scope, names[names.length - 1]),
      }),
    )
  }
  // The entry is there, but hidden by an alias or out of reach.
  for (let s: QueryScope | undefined = scope; s !== undefined; s = s.parent) {
    for (const e of s.entries) {
      if (e.kind === 'relation' && e.explicitAlias && c.names.catalog.relation(e.relation)?.name === table) {
        return errorAt(
          c,
          at,
          new DbError('undefined_table', `invalid reference to FROM-clause entry for table "${table}"`, {
            hint: `Perhaps you meant to reference the table alias "${e.alias}".`,
          }),
        )
      }
      if (e.alias === table && e.kind !== 'join') {
        return errorAt(
          c,
          at,
          new DbError('undefined_table', `invalid reference to FROM-clause entry for table "${table}"`, {
            detail: `There is an entry for table "${table}", but it cannot be referenced from this part of the query.`,
          }),
        )
      }
    }
  }
  return errorAt(
    c,
    at,
    new DbError('undefined_table', `missing FROM-clause entry for table "${names.slice(0, -1).join('.')}"`),
  )
}

/** A hint when one visible column's name is nearly the same. */
function similar(scope: QueryScope, name: string): string | undefined {
  let best: string | undefined
  let distance = Math.max(1, Math.floor(name.length / 3)) + 1
  for (const item of scope.namespace) {
    const e = scope.entries[item.entry]
    if (!item.byAlias) continue
    for (const column of e.columns) {
      const d = editDistance(column.name, name, distance)
      if (d < distance) {
        distance = d
        best = `Perhaps you meant to reference the column "${e.alias}.${column.name}".`
      }
    }
  }
  return best
}

function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[b.length]
}
