/**
 * Definitions of objects as SQL: constraints, indexes, defaults, views, functions, triggers, rules; what the pg_get_*
 * functions answer.
 *
 * Not here: expressions (expression.ts), queries (query.ts), the functions' registration (session/catalog-functions.ts).
 */
import { DbError } from '../../base/index.ts'
import { ParameterTypes } from '../bind/context.ts'
import { quoteIdentifier } from '../bind/type-name.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type {
  Constraint,
  ForeignAction,
  FunctionDescriptor,
  IndexColumn,
  RelationDescriptor,
  TriggerDescriptor,
} from '../catalog/descriptors.ts'
import { effectivePath, schemaName } from '../catalog/names.ts'
import { defaultOperatorClass, operatorClasses } from '../functions/registry.ts'
import type { Expr } from '../query.ts'
import type { Session } from '../session/session.ts'
import { type Deparser, deparse, functionName, quoteLiteral, relationName, typeName } from './expression.ts'
import { queryText } from './query.ts'

/** Writes expressions over the columns of one relation; of none, when there is no relation. */
export function deparserOver(
  s: Session,
  relation: RelationDescriptor | undefined,
  pretty: boolean,
  qualifier = '',
): Deparser {
  const context = s.bindContext('', new ParameterTypes([], false))
  const d: Deparser = {
    context,
    pretty,
    windows: [],
    groups: [],
    layout: { indent: 0 },
    column: (v) =>
      `${qualifier}${v.column === 0 ? `${quoteIdentifier(relation?.name ?? '')}.*` : quoteIdentifier(relation?.columns[v.column - 1]?.name ?? '?')}`,
    query: (q) => queryText(context, q, { pretty, indent: 0, outer: [] }),
  }
  return d
}

/** An expression that reads no table: a domain's default or check. */
export function deparseAlone(s: Session, e: Expr): string {
  return deparse(deparserOver(s, undefined, false), e)
}

/** pg_get_expr: what is in a column of type pg_node_tree, one expression or several. */
export function expressionText(s: Session, tree: string, relation: number, pretty: boolean): string | null {
  let value: Expr | Expr[]
  try {
    value = JSON.parse(tree)
  } catch {
    return null
  }
  const r = relation === 0 ? undefined : s.catalog.relation(relation)
  const table = r?.index === undefined ? r : s.catalog.relation(r.index.table)
  const d = deparserOver(s, table, pretty)
  return Array.isArray(value) ? value.map((e) => deparse(d, e)).join(', ') : deparse(d, value)
}

function columnList(r: RelationDescriptor, columns: readonly number[]): string {
  return columns.map((n) => quoteIdentifier(r.columns[n - 1].name)).join(', ')
}

const actions: Record<ForeignAction, string> = { a: '', r: 'RESTRICT', c: 'CASCADE', n: 'SET NULL', d: 'SET DEFAULT' }

type Found =
  | { readonly relation: RelationDescriptor; readonly constraint: Constraint }
  | { readonly check: Expr; readonly validated: boolean }

const constraintsByOid = new WeakMap<Catalog, ReadonlyMap<number, Found>>()

/** Constraints of tables and domains by object id, for one catalog snapshot. */
function constraintsOf(catalog: Catalog): ReadonlyMap<number, Found> {
  let found = constraintsByOid.get(catalog)
  if (found === undefined) {
    const all = new Map<number, Found>()
    for (const relation of catalog.relations())
      for (const constraint of relation.constraints) all.set(constraint.oid, { relation, constraint })
    for (const t of catalog.types()) for (const c of t.checks ?? []) all.set(c.oid, c)
    found = all
    constraintsByOid.set(catalog, found)
  }
  return found
}

/** pg_get_constraintdef. Undefined for an object id that is no constraint's. */
export function constraintDefinition(s: Session, oid: number, pretty: boolean): string | undefined {
  const found = constraintsOf(s.catalog).get(oid)
  if (found === undefined) return undefined
  if ('constraint' in found) return constraintText(s, found.relation, found.constraint, pretty)
  return `CHECK (${deparse(deparserOver(s, undefined, pretty), found.check)})${found.validated ? '' : ' NOT VALID'}`
}

export function constraintText(s: Session, r: RelationDescriptor, c: Constraint, pretty: boolean): string {
  let out: string
  switch (c.type) {
    case 'c':
      out = `CHECK (${deparse(deparserOver(s, r, pretty), c.check!)})`
      break
    case 'f':
      out = foreignText(s, r, c)
      break
    default: {
      const index = c.index === undefined ? undefined : s.catalog.relation(c.index)?.index
      const distinct = index?.nullsNotDistinct && c.type === 'u' ? ' NULLS NOT DISTINCT' : ''
      out = `${c.type === 'p' ? 'PRIMARY KEY' : 'UNIQUE'}${distinct} (${columnList(r, c.columns)})`
      if (index !== undefined && index.include.length > 0) out += ` INCLUDE (${columnList(r, index.include)})`
    }
  }
  if (c.deferrable) out += ' DEFERRABLE'
  if (c.deferred) out += ' INITIALLY DEFERRED'
  return c.validated ? out : `${out} NOT VALID`
}

function foreignText(s: Session, r: RelationDescriptor, c: Constraint): string {
  const foreign = c.foreign!
  const target = s.catalog.relationOf(foreign.table)
  const context = s.bindContext('', new ParameterTypes([], false))
  let out = `FOREIGN KEY (${columnList(r, c.columns)}) REFERENCES ${relationName({ context }, target.oid)}(${columnList(target, foreign.columns)})`
  if (foreign.match === 'f') out += ' MATCH FULL'
  if (foreign.onUpdate !== 'a') out += ` ON UPDATE ${actions[foreign.onUpdate]}`
  if (foreign.onDelete !== 'a') out += ` ON DELETE ${actions[foreign.onDelete]}`
  return foreign.setColumns === undefined ? out : `${out} (${columnList(r, foreign.setColumns)})`
}

/** One column of an index, without its order. */
function indexColumn(s: Session, table: RelationDescriptor, c: IndexColumn, pretty: boolean): string {
  if (c.column > 0) return quoteIdentifier(table.columns[c.column - 1].name)
  const text = deparse(deparserOver(s, table, pretty), c.expr!)
  const e = c.expr!
  const call =
    (e.kind === 'func' && e.operator === undefined && e.form !== 'cast' && e.form !== 'implicit') ||
    ['coalesce', 'minmax', 'nullif', 'sqlvalue'].includes(e.kind)
  return call ? text : `(${text})`
}

/** pg_get_indexdef; `column` 0 is the whole statement, else that column alone. Undefined when there is no such index. */
export function indexDefinition(s: Session, oid: number, column: number, pretty: boolean): string | undefined {
  const r = s.catalog.relation(oid)
  if (r?.index === undefined) return undefined
  const { index } = r
  const table = s.catalog.relationOf(index.table)
  if (column > 0) {
    if (column <= index.columns.length) return indexColumn(s, table, index.columns[column - 1], pretty)
    const included = index.include[column - index.columns.length - 1]
    return included === undefined ? '' : quoteIdentifier(table.columns[included - 1].name)
  }
  const columns = index.columns.map((c) => {
    let out = indexColumn(s, table, c, pretty)
    const natural = c.column > 0 ? table.columns[c.column - 1].collation : c.collation
    if (c.collation !== 0 && c.collation !== natural)
      out += ` COLLATE "${c.collation === 950 ? 'C' : c.collation === 951 ? 'POSIX' : 'default'}"`
    out += operatorClassText(c, index.method)
    if (index.method !== 'btree') return out
    if (c.descending) out += ` DESC${c.nullsFirst ? '' : ' NULLS LAST'}`
    else if (c.nullsFirst) out += ' NULLS FIRST'
    return out
  })
  const context = s.bindContext('', new ParameterTypes([], false))
  const on = pretty ? relationName({ context }, table.oid) : qualifiedName(s, table)
  let out = `CREATE ${index.unique ? 'UNIQUE ' : ''}INDEX ${quoteIdentifier(r.name)} ON ${on} USING ${index.method} (${columns.join(', ')})`
  if (index.include.length > 0) out += ` INCLUDE (${columnList(table, index.include)})`
  if (index.nullsNotDistinct) out += ' NULLS NOT DISTINCT'
  if (r.options !== undefined && r.options.length > 0)
    out += ` WITH (${r.options.map((o) => o.replace(/=(.*)$/, "='$1'")).join(', ')})`
  if (index.predicate === undefined) return out
  return `${out} WHERE ${deparse(deparserOver(s, table, pretty), index.predicate)}`
}

function operatorClassText(c: IndexColumn, method: string): string {
  const row = operatorClasses.find((x) => x.oid === c.opclass)
  if (row === undefined || row.isDefault) return ''
  const natural = defaultOperatorClass(row.method, c.type)
  return natural?.oid === row.oid || method === '' ? '' : ` ${row.name}`
}

export function qualifiedName(s: Session, r: RelationDescriptor): string {
  return `${quoteIdentifier(schemaName(s.names, r.schema))}.${quoteIdentifier(r.name)}`
}

/** pg_get_viewdef. Undefined for what is no view. */
export function viewDefinition(s: Session, oid: number, pretty: boolean): string | undefined {
  const r = s.catalog.relation(oid)
  if (r?.view === undefined) return undefined
  const context = s.bindContext('', new ParameterTypes([], false))
  return `${queryText(context, r.view, { pretty, indent: 0, outer: [], names: r.columns.map((c) => c.name) })};`
}

/** pg_get_ruledef of a view's own rule. */
export function ruleDefinition(s: Session, view: RelationDescriptor, pretty: boolean): string {
  const context = s.bindContext('', new ParameterTypes([], false))
  const name = pretty ? relationName({ context }, view.oid) : qualifiedName(s, view)
  const text = queryText(context, view.view!, { pretty, indent: 0, outer: [], names: view.columns.map((c) => c.name) })
  return `CREATE RULE "_RETURN" AS\n    ON SELECT TO ${name} DO INSTEAD ${text};`
}

type Argument = FunctionDescriptor['args'][number]

function argumentText(s: Session, a: Argument, withDefault: boolean): string {
  const d = deparserOver(s, undefined, false)
  const mode = { i: '', o: 'OUT ', b: 'INOUT ', v: 'VARIADIC ', t: '' }[a.mode]
  const name = a.name === '' ? '' : `${quoteIdentifier(a.name)} `
  return `${mode}${name}${typeName(d, a.type, -2)}${withDefault && a.default !== undefined ? ` DEFAULT ${deparse(d, a.default)}` : ''}`
}

/** pg_get_function_arguments and _identity_arguments. */
export function functionArguments(s: Session, f: FunctionDescriptor, identity: boolean): string {
  const shown = f.args.filter((a) => a.mode !== 't')
  return shown.map((a) => argumentText(s, a, !identity)).join(', ')
}

export function functionResult(s: Session, f: FunctionDescriptor): string | null {
  if (f.prokind === 'p') return null
  const table = f.args.filter((a) => a.mode === 't')
  if (table.length > 0) return `TABLE(${table.map((a) => argumentText(s, a, false)).join(', ')})`
  return `${f.returnsSet ? 'SETOF ' : ''}${typeName(deparserOver(s, undefined, false), f.result, -2)}`
}

/** pg_get_functiondef. Raises wrong_object_type for an aggregate. */
export function functionDefinition(s: Session, f: FunctionDescriptor): string {
  if (f.prokind === 'a') throw new DbError('wrong_object_type', `"${f.name}" is an aggregate function`)
  const kind = f.prokind === 'p' ? 'PROCEDURE' : 'FUNCTION'
  const schema = quoteIdentifier(schemaName(s.names, f.schema))
  let out = `CREATE OR REPLACE ${kind} ${schema}.${quoteIdentifier(f.name)}(${functionArguments(s, f, false)})\n`
  const result = functionResult(s, f)
  if (result !== null) out += ` RETURNS ${result}\n`
  out += ` LANGUAGE ${quoteIdentifier(f.language)}\n`
  const marks: string[] = []
  if (f.volatility !== 'v') marks.push(f.volatility === 'i' ? 'IMMUTABLE' : 'STABLE')
  if (f.parallel[0] !== 'u') marks.push(f.parallel[0] === 's' ? 'PARALLEL SAFE' : 'PARALLEL RESTRICTED')
  if (f.strict) marks.push('STRICT')
  if (f.securityDefiner) marks.push('SECURITY DEFINER')
  if (f.cost !== undefined && f.cost !== 100) marks.push(`COST ${f.cost}`)
  if (f.returnsSet && f.rows !== undefined && f.rows !== 1000) marks.push(`ROWS ${f.rows}`)
  if (marks.length > 0) out += ` ${marks.join(' ')}\n`
  for (const setting of f.settings ?? []) {
    const at = setting.indexOf('=')
    out += ` SET ${quoteIdentifier(setting.slice(0, at))} TO ${quoteLiteral(setting.slice(at + 1))}\n`
  }
  let tag = f.prokind === 'p' ? '$procedure$' : '$function$'
  while (f.body.includes(tag)) tag = `${tag.slice(0, -1)}x$`
  return `${out}AS ${tag}${f.body}${tag}\n`
}

/** pg_get_triggerdef. */
export function triggerDefinition(s: Session, t: TriggerDescriptor, pretty: boolean): string {
  const table = s.catalog.relationOf(t.table)
  const context = s.bindContext('', new ParameterTypes([], false))
  const events = [...t.events]
    .sort((a, b) => order.indexOf(a) - order.indexOf(b))
    .map((e) => {
      if (e !== 'update' || t.columns.length === 0) return e.toUpperCase()
      return `UPDATE OF ${columnList(table, t.columns)}`
    })
  const timing = { before: 'BEFORE', after: 'AFTER', instead: 'INSTEAD OF' }[t.timing]
  const name = pretty ? relationName({ context }, table.oid) : qualifiedName(s, table)
  let out = `CREATE TRIGGER ${quoteIdentifier(t.name)} ${timing} ${events.join(' OR ')} ON ${name} FOR EACH ${t.perRow ? 'ROW' : 'STATEMENT'} `
  if (t.when !== undefined) {
    const base = deparserOver(s, table, pretty)
    const d: Deparser = {
      ...base,
      column: (v) => `${v.entry === 0 ? 'old' : 'new'}.${quoteIdentifier(table.columns[v.column - 1].name)}`,
    }
    out += `WHEN (${deparse(d, t.when)}) `
  }
  return `${out}EXECUTE FUNCTION ${functionName({ context }, t.func)}(${t.args.map((a) => quoteLiteral(a)).join(', ')})`
}

const order = ['insert', 'delete', 'update', 'truncate']

/** Whether a name without schema finds a function. */
export function functionVisible(s: Session, f: FunctionDescriptor): boolean {
  return effectivePath(s.names).includes(f.schema)
}
