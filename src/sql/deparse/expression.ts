/**
 * Bound expressions back to SQL text, in the form PostgreSQL's pg_get_expr and pg_get_viewdef give: every operator in
 * parentheses, casts as ::type, literals of other types than integer, boolean and plain numeric with their type.
 *
 * Not here: whole queries (query.ts), DDL (definitions.ts).
 */
import { functionRow } from '../bind/calls.ts'
import { formatType, quoteIdentifier } from '../bind/type-name.ts'
import type { BindContext } from '../bind/context.ts'
import { effectivePath, pgCatalog, schemaName } from '../catalog/names.ts'
import { operatorByOid } from '../functions/registry.ts'
import type { Const, Expr, Frame, Query, SortItem, Window } from '../query.ts'
import * as oid from '../types/oids.ts'

export interface Deparser {
  readonly context: Pick<BindContext, 'names' | 'types'>
  /** How a column is written; `up` levels out. */
  column(v: Expr & { kind: 'var' }): string
  query(q: Query): string
  /** Windows of the query being written, for OVER. */
  readonly windows: readonly Window[]
  /** What GROUPING's positions mean. */
  readonly groups: readonly Expr[]
  /** Fewer parentheses, as pg_get_viewdef(…, true). */
  readonly pretty: boolean
  readonly caseValue?: string
}

export function deparse(d: Deparser, e: Expr): string {
  switch (e.kind) {
    case 'const':
      return constant(d, e)
    case 'param':
      return `$${e.number}`
    case 'var':
      return d.column(e)
    case 'func':
      return call(d, e)
    case 'and':
    case 'or':
      return paren(d, e.args.map((a) => operand(d, a)).join(e.kind === 'and' ? ' AND ' : ' OR '))
    case 'not':
      return paren(d, `NOT ${operand(d, e.arg)}`)
    case 'isnull':
      return paren(d, `${operand(d, e.arg)} IS ${e.negated ? 'NOT ' : ''}NULL`)
    case 'booltest':
      return paren(d, `${operand(d, e.arg)} IS ${e.negated ? 'NOT ' : ''}${e.test.toUpperCase()}`)
    case 'distinct':
      return e.negated
        ? paren(d, `NOT ${paren(d, `${operand(d, e.left)} IS DISTINCT FROM ${operand(d, e.right)}`)}`)
        : paren(d, `${operand(d, e.left)} IS DISTINCT FROM ${operand(d, e.right)}`)
    case 'case':
      return caseText(d, e)
    case 'casevalue':
      return d.caseValue ?? 'VALUE'
    case 'coalesce':
      return `COALESCE(${list(d, e.args)})`
    case 'nullif':
      return `NULLIF(${deparse(d, e.left)}, ${deparse(d, e.right)})`
    case 'minmax':
      return `${e.greatest ? 'GREATEST' : 'LEAST'}(${list(d, e.args)})`
    case 'array':
      return `ARRAY[${list(d, e.items)}]${e.items.length === 0 ? `::${typeName(d, e.type, -1)}` : ''}`
    case 'row':
      return `ROW(${list(d, e.items)})${e.type !== oid.recordOid ? `::${typeName(d, e.type, -1)}` : ''}`
    case 'rowcompare':
      return `(ROW(${list(d, e.left)}) ${e.test} ROW(${list(d, e.right)}))`
    case 'subscript':
      return `${bracketed(d, e.arg)}${e.upper.map((u, i) => `[${e.slice ? `${maybe(d, e.lower[i])}:` : ''}${maybe(d, u)}]`).join('')}`
    case 'field':
      return `(${deparse(d, e.arg)}).${quoteIdentifier(e.name)}`
    case 'relabel':
    case 'viatext':
    case 'arraycoerce':
    case 'domain':
      return e.form === 'implicit' ? deparse(d, e.arg) : cast(d, e.arg, e.type, e.typmod)
    case 'anyall':
      return paren(d, `${operand(d, e.left)} ${operatorName(e.operator)} ${e.any ? 'ANY' : 'ALL'} (${deparse(d, e.right)})`)
    case 'sublink':
      return sublink(d, e)
    case 'agg':
      return aggregate(d, e)
    case 'window':
      return `${functionName(d, e.func)}(${e.star ? '*' : list(d, e.args)})${filter(d, e.filter)} OVER ${over(d, e.window)}`
    case 'grouping':
      return `GROUPING(${e.groups.map((g) => deparse(d, d.groups[g])).join(', ')})`
    case 'sqlvalue':
      return `${e.name.toUpperCase()}${e.typmod >= 0 ? `(${e.typmod})` : ''}`
    case 'srf':
      return `${functionName(d, e.func)}(${list(d, e.args)})`
    case 'nextval':
      return `nextval('${relationName(d, e.sequence).replaceAll("'", "''")}'::regclass)`
    case 'collate':
      return paren(d, `${operand(d, e.arg)} COLLATE "${e.collation === 950 ? 'C' : e.collation === 951 ? 'POSIX' : 'default'}"`)
  }
}

function paren(_d: Deparser, text: string): string {
  return `(${text})`
}

function operand(d: Deparser, e: Expr): string {
  return deparse(d, e)
}

function maybe(d: Deparser, e: Expr | undefined): string {
  return e === undefined ? '' : deparse(d, e)
}

function bracketed(d: Deparser, e: Expr): string {
  return e.kind === 'var' || e.kind === 'param' ? deparse(d, e) : `(${deparse(d, e)})`
}

export function list(d: Deparser, items: readonly Expr[]): string {
  return items.map((e) => deparse(d, e)).join(', ')
}

export function typeName(d: Deparser, type: number, typmod: number): string {
  return formatType(d.context, type, typmod)
}

export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted
}

function constant(d: Deparser, e: Const): string {
  if (e.text === undefined) return `NULL::${typeName(d, e.type, e.typmod)}`
  switch (e.type) {
    case oid.int4Oid:
      return e.text.startsWith('-') ? `'${e.text}'::integer` : e.text
    case oid.boolOid:
      return /^(t|true|y|yes|on|1)$/i.test(e.text.trim()) ? 'true' : 'false'
    case oid.numericOid:
      return /^\d+\.\d+$/.test(e.text) || /^\d{10,}$/.test(e.text) ? e.text : `'${e.text}'::numeric`
    case oid.unknownOid:
      return quoteLiteral(e.text)
    default:
      return `${quoteLiteral(display(d, e))}::${typeName(d, e.type, e.typmod)}`
  }
}

/** The literal as its type prints it: '2020-1-1'::date becomes '2020-01-01'. */
function display(d: Deparser, e: Const): string {
  try {
    const type = d.context.types.types.type(e.type)
    return type.format(type.parse(e.text!, e.typmod, d.context.types), d.context.types)
  } catch {
    return e.text!
  }
}

function cast(d: Deparser, arg: Expr, type: number, typmod: number): string {
  if (arg.kind === 'const' && arg.text !== undefined && arg.type === type) return `${quoteLiteral(display(d, arg))}::${typeName(d, type, typmod)}`
  const inner = deparse(d, arg)
  const bare = arg.kind === 'func' && (arg.operator !== undefined || arg.form !== undefined) && inner.startsWith('(')
  return `${bare ? inner : `(${inner})`}::${typeName(d, type, typmod)}`
}

export function operatorName(operator: number): string {
  return operatorByOid(operator)?.name ?? '?'
}

function call(d: Deparser, e: Expr & { kind: 'func' }): string {
  if (e.operator !== undefined) {
    const name = operatorName(e.operator)
    if (e.args.length === 1) return paren(d, `${name} ${operand(d, e.args[0])}`)
    return paren(d, `${operand(d, e.args[0])} ${name} ${operand(d, e.args[1])}`)
  }
  if (e.form === 'implicit') return deparse(d, e.args[0])
  if (e.form === 'cast') return cast(d, e.args[0], e.type, e.typmod)
  if (e.form === 'sql') return sqlForm(d, e) ?? plain(d, e)
  return plain(d, e)
}

function plain(d: Deparser, e: Expr & { kind: 'func' }): string {
  return `${functionName(d, e.func)}(${list(d, e.args)})`
}

/** Functions that SQL gives a syntax of their own. */
function sqlForm(d: Deparser, e: Expr & { kind: 'func' }): string | undefined {
  const name = functionRow(d.context as BindContext, e.func)?.name
  const a = e.args.map((x) => deparse(d, x))
  switch (name) {
    case 'timezone':
      return a.length === 2 ? `(${a[1]} AT TIME ZONE ${a[0]})` : undefined
    case 'extract':
      return `EXTRACT(${e.args[0].kind === 'const' ? e.args[0].text : a[0]} FROM ${a[1]})`
    case 'position':
      return `POSITION((${a[1]}) IN (${a[0]}))`
    case 'substring':
      return a.length === 3 ? `SUBSTRING(${a[0]} FROM ${a[1]} FOR ${a[2]})` : `SUBSTRING(${a[0]} FROM ${a[1]})`
    case 'overlay':
      return a.length === 4 ? `OVERLAY(${a[0]} PLACING ${a[1]} FROM ${a[2]} FOR ${a[3]})` : `OVERLAY(${a[0]} PLACING ${a[1]} FROM ${a[2]})`
    case 'btrim':
    case 'ltrim':
    case 'rtrim': {
      const side = name === 'btrim' ? 'BOTH' : name === 'ltrim' ? 'LEADING' : 'TRAILING'
      return a.length === 2 ? `TRIM(${side} ${a[1]} FROM ${a[0]})` : `TRIM(${side} FROM ${a[0]})`
    }
    default:
      return undefined
  }
}

export function functionName(d: Deparser, func: number): string {
  const row = functionRow(d.context as BindContext, func)
  if (row === undefined) return `function_${func}`
  const user = d.context.names.catalog.function(func)
  const name = quoteIdentifier(row.name)
  if (user === undefined || effectivePath(d.context.names).includes(user.schema)) return name
  return `${quoteIdentifier(schemaName(d.context.names, user.schema))}.${name}`
}

export function relationName(d: { readonly context: Pick<BindContext, 'names'> }, relation: number): string {
  const { names } = d.context
  const r = names.catalog.relation(relation)
  if (r === undefined) return String(relation)
  for (const schema of effectivePath(names)) {
    if (schema === pgCatalog) continue
    const found = names.catalog.relationNamed(schema, r.name)
    if (found !== undefined) {
      if (found.oid === relation) return quoteIdentifier(r.name)
      break
    }
  }
  return `${quoteIdentifier(schemaName(names, r.schema))}.${quoteIdentifier(r.name)}`
}

function caseText(d: Deparser, e: Expr & { kind: 'case' }): string {
  const parts = ['CASE']
  if (e.arg !== undefined) parts[0] += ` ${deparse(d, e.arg)}`
  for (const w of e.whens) {
    // CASE x WHEN y holds x = y inside.
    const when = e.arg !== undefined && w.when.kind === 'func' && w.when.args.length === 2 ? w.when.args[1] : w.when
    parts.push(`    WHEN ${deparse(d, when)} THEN ${deparse(d, w.then)}`)
  }
  parts.push(`    ELSE ${e.otherwise === undefined ? `NULL::${typeName(d, e.type, e.typmod)}` : deparse(d, e.otherwise)}`)
  return `${parts.join('\n')}\nEND`
}

function sublink(d: Deparser, e: Expr & { kind: 'sublink' }): string {
  const text = d.query(e.query)
  switch (e.link) {
    case 'exists':
      return `(EXISTS (${text}))`
    case 'scalar':
      return `(${text})`
    case 'array':
      return `ARRAY(${text})`
    default: {
      const left = e.left!.length === 1 ? deparse(d, e.left![0]) : `(${list(d, e.left!)})`
      if (e.link === 'any' && e.test === '=') return `(${left} IN (${text}))`
      return `(${left} ${e.test} ${e.link === 'any' ? 'ANY' : 'ALL'} (${text}))`
    }
  }
}

export function sortText(d: Deparser, o: SortItem): string {
  const nulls = o.descending === o.nullsFirst ? '' : o.nullsFirst ? ' NULLS FIRST' : ' NULLS LAST'
  return `${deparse(d, o.expr)}${o.descending ? ' DESC' : ''}${nulls}`
}

function filter(d: Deparser, e: Expr | undefined): string {
  return e === undefined ? '' : ` FILTER (WHERE ${deparse(d, e)})`
}

function aggregate(d: Deparser, e: Expr & { kind: 'agg' }): string {
  const name = functionName(d, e.func)
  const order = e.orderBy.map((o) => sortText(d, o)).join(', ')
  if (e.direct !== undefined) return `${name}(${list(d, e.args)}) WITHIN GROUP (ORDER BY ${order})${filter(d, e.filter)}`
  const args = e.star ? '*' : `${e.distinct ? 'DISTINCT ' : ''}${list(d, e.args)}`
  return `${name}(${args}${order === '' ? '' : ` ORDER BY ${order}`})${filter(d, e.filter)}`
}

function over(d: Deparser, index: number): string {
  const window = d.windows[index]
  if (window?.name !== undefined) return quoteIdentifier(window.name)
  return window === undefined ? '(?)' : `(${windowText(d, window)})`
}

export function windowText(d: Deparser, w: Window): string {
  const parts: string[] = []
  if (w.partitionBy.length > 0) parts.push(`PARTITION BY ${list(d, w.partitionBy)}`)
  if (w.orderBy.length > 0) parts.push(`ORDER BY ${w.orderBy.map((o) => sortText(d, o)).join(', ')}`)
  if (w.frame.explicit) parts.push(frameText(d, w.frame))
  return parts.join(' ')
}

function frameText(d: Deparser, f: Frame): string {
  const bound = (b: Frame['start']): string => {
    switch (b.kind) {
      case 'current':
        return 'CURRENT ROW'
      case 'preceding':
        return `${deparse(d, b.offset!)} PRECEDING`
      case 'following':
        return `${deparse(d, b.offset!)} FOLLOWING`
      default:
        return b.kind.toUpperCase()
    }
  }
  const exclude = { none: '', current: ' EXCLUDE CURRENT ROW', group: ' EXCLUDE GROUP', ties: ' EXCLUDE TIES' }[f.exclude]
  return `${f.mode.toUpperCase()} BETWEEN ${bound(f.start)} AND ${bound(f.end)}${exclude}`
}
