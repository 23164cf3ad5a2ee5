/**
 * Bound expressions back to SQL text, in the form PostgreSQL's pg_get_expr and pg_get_viewdef give: every operator in
 * parentheses (or only where needed, in the pretty form), casts as ::type, literals with their type where it is not plain.
 *
 * Implicit casts are shown where an operator or function takes its argument, not at the top: that is what makes the text
 * resolve to the same operators when it is read again.
 *
 * Not here: whole queries (query.ts), DDL (definitions.ts), when parentheses can go (parentheses.ts).
 */

import { functionRow } from '../bind/calls.ts'
import type { BindContext } from '../bind/context.ts'
import { formatType, quoteIdentifier } from '../bind/type-name.ts'
import { effectivePath, pgCatalog, schemaName } from '../catalog/names.ts'
import { operatorByOid } from '../functions/registry.ts'
import type { Const, Expr, Frame, Query, SortItem, Window } from '../query.ts'
import * as oid from '../types/oids.ts'
import { isSimple } from './parentheses.ts'

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
  /** Columns that a line inside a CASE or a sub-query is moved right by; undefined: all on one line. */
  readonly layout?: { indent: number }
}

/** @param implicit whether a cast that nobody wrote is shown, where it is the outermost. */
export function deparse(d: Deparser, e: Expr, implicit = false): string {
  switch (e.kind) {
    case 'const':
      return constant(d, e)
    case 'param':
      return `$${e.number}`
    case 'var':
      return d.column(e)
    case 'func':
      return call(d, e, implicit)
    case 'and':
    case 'or':
      return around(d, e.args.map((a) => nested(d, a, e, false)).join(e.kind === 'and' ? ' AND ' : ' OR '))
    case 'not':
      return around(d, `NOT ${nested(d, e.arg, e, false)}`)
    case 'isnull':
      return around(d, `${nested(d, e.arg, e, true)} IS ${e.negated ? 'NOT ' : ''}NULL`)
    case 'booltest':
      return around(d, `${nested(d, e.arg, e, false)} IS ${e.negated ? 'NOT ' : ''}${e.test.toUpperCase()}`)
    case 'distinct': {
      const test = around(d, `${nested(d, e.left, e, true)} IS DISTINCT FROM ${nested(d, e.right, e, true)}`)
      return e.negated ? around(d, `NOT ${d.pretty ? `(${test})` : test}`) : test
    }
    case 'case':
      return caseText(d, e)
    case 'casevalue':
      return d.caseValue ?? 'VALUE'
    case 'coalesce':
      return `COALESCE(${list(d, e.args)})`
    case 'nullif':
      return `NULLIF(${deparse(d, e.left, true)}, ${deparse(d, e.right, true)})`
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
      return e.form === 'implicit' && !implicit ? nested(d, e.arg, e, false) : cast(d, e.arg, e.type, e.typmod, e)
    case 'anyall':
      return around(
        d,
        `${nested(d, e.left, e, true)} ${operatorName(e.operator)} ${e.any ? 'ANY' : 'ALL'} (${nested(d, e.right, e, true)})`,
      )
    case 'sublink':
      return sublink(d, e)
    case 'agg':
      return aggregate(d, e)
    case 'window':
      return `${functionName(d, e.func)}(${e.star ? '*' : list(d, e.args)})${filter(d, e.filter)} OVER ${over(d, e.window)}`
    case 'grouping':
      return `GROUPING(${e.groups.map((g) => deparse(d, d.groups[g], true)).join(', ')})`
    case 'sqlvalue':
      return `${e.name.toUpperCase()}${e.typmod >= 0 ? `(${e.typmod})` : ''}`
    case 'srf':
      return `${functionName(d, e.func)}(${list(d, e.args)})`
    case 'nextval':
      return `nextval('${relationName(d, e.sequence).replaceAll("'", "''")}'::regclass)`
    case 'collate':
      return around(
        d,
        `${nested(d, e.arg, e, true)} COLLATE "${e.collation === 950 ? 'C' : e.collation === 951 ? 'POSIX' : 'default'}"`,
      )
  }
}

/** Parentheses that the pretty form leaves to whoever takes the expression as an argument. */
function around(d: Deparser, text: string): string {
  return d.pretty ? text : `(${text})`
}

/** An expression as an argument of another. */
function nested(d: Deparser, e: Expr, parent: Expr, implicit: boolean): string {
  const text = deparse(d, e, implicit)
  return d.pretty && !isSimple(e, parent, implicit) ? `(${text})` : text
}

function maybe(d: Deparser, e: Expr | undefined): string {
  return e === undefined || e === null ? '' : deparse(d, e)
}

function bracketed(d: Deparser, e: Expr): string {
  return e.kind === 'var' || e.kind === 'param' ? deparse(d, e) : `(${deparse(d, e)})`
}

export function list(d: Deparser, items: readonly Expr[]): string {
  return items.map((e) => deparse(d, e, true)).join(', ')
}

export function typeName(d: Deparser, type: number, typmod: number): string {
  return formatType(d.context, type, typmod)
}

export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}

function constant(d: Deparser, e: Const): string {
  if (e.text === undefined) return `NULL::${typeName(d, e.type, e.typmod)}`
  const text = display(d, e)
  switch (e.type) {
    case oid.int4Oid:
      return text.startsWith('-') ? `'${text}'::integer` : text
    case oid.boolOid:
      return text === 't' || /^(true|yes|on|1)$/i.test(text) ? 'true' : 'false'
    case oid.numericOid: {
      const plain = /^\d/.test(text) && /[eE.]/.test(text)
      return plain && e.typmod < 0 ? text : `${plain ? text : `'${text}'`}::${typeName(d, e.type, e.typmod)}`
    }
    case oid.unknownOid:
      return quoteLiteral(text)
    default:
      return `${quoteLiteral(text)}::${typeName(d, e.type, e.typmod)}`
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

function cast(d: Deparser, arg: Expr, type: number, typmod: number, parent: Expr): string {
  const name = typeName(d, type, typmod)
  if (arg.kind === 'const' && arg.text !== undefined && arg.type === type && arg.typmod === -1) {
    const bare = constant(d, arg).replace(/::[^']*$/, '')
    return `${bare}::${name}`
  }
  return d.pretty ? `${nested(d, arg, parent, false)}::${name}` : `(${deparse(d, arg)})::${name}`
}

export function operatorName(operator: number): string {
  return operatorByOid(operator)?.name ?? '?'
}

function call(d: Deparser, e: Expr & { kind: 'func' }, implicit: boolean): string {
  if (e.operator !== undefined) {
    const name = operatorName(e.operator)
    if (e.args.length === 1) return around(d, `${name} ${nested(d, e.args[0], e, true)}`)
    return around(d, `${nested(d, e.args[0], e, true)} ${name} ${nested(d, e.args[1], e, true)}`)
  }
  if (e.form === 'implicit' && !implicit) return nested(d, e.args[0], e, false)
  if (e.form === 'cast' || e.form === 'implicit') return cast(d, e.args[0], e.type, e.typmod, e)
  if (e.form === 'sql') return sqlForm(d, e) ?? plain(d, e)
  return plain(d, e)
}

function plain(d: Deparser, e: Expr & { kind: 'func' }): string {
  const args = e.args.map((a) => deparse(d, a, true))
  if (e.variadic === true && args.length > 0) args[args.length - 1] = variadicArguments(d, e.args[e.args.length - 1])
  return `${functionName(d, e.func)}(${args.join(', ')})`
}

/** Arguments collected into an array are written apart again; one given as an array says VARIADIC. */
function variadicArguments(d: Deparser, e: Expr): string {
  return e.kind === 'array' ? list(d, e.items) : `VARIADIC ${deparse(d, e, true)}`
}

/** Functions that SQL gives a syntax of their own. */
function sqlForm(d: Deparser, e: Expr & { kind: 'func' }): string | undefined {
  const name = functionRow(d.context as BindContext, e.func)?.name
  const a = e.args.map((x) => deparse(d, x))
  switch (name) {
    case 'timezone':
      return a.length === 2
        ? `(${nested(d, e.args[1], e, false)} AT TIME ZONE ${nested(d, e.args[0], e, false)})`
        : undefined
    case 'extract':
      return `EXTRACT(${e.args[0].kind === 'const' ? e.args[0].text : a[0]} FROM ${a[1]})`
    case 'position':
      return `POSITION((${a[1]}) IN (${a[0]}))`
    case 'overlaps':
      return `((${a[0]}, ${a[1]}) OVERLAPS (${a[2]}, ${a[3]}))`
    case 'is_normalized':
      return `((${a[0]}) IS${a.length === 2 ? ` ${constText(e.args[1])}` : ''} NORMALIZED)`
    case 'normalize':
      return `NORMALIZE(${a[0]}${a.length === 2 ? `, ${constText(e.args[1])}` : ''})`
    case 'substring':
      return a.length === 3 ? `SUBSTRING(${a[0]} FROM ${a[1]} FOR ${a[2]})` : `SUBSTRING(${a[0]} FROM ${a[1]})`
    case 'overlay':
      return a.length === 4
        ? `OVERLAY(${a[0]} PLACING ${a[1]} FROM ${a[2]} FOR ${a[3]})`
        : `OVERLAY(${a[0]} PLACING ${a[1]} FROM ${a[2]})`
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

function constText(e: Expr): string {
  return e.kind === 'const' ? (e.text ?? '') : ''
}

export function functionName(d: { readonly context: Pick<BindContext, 'names' | 'types'> }, func: number): string {
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

function line(d: Deparser, extra: number): string {
  return d.layout === undefined ? ' ' : `\n${' '.repeat(Math.max(0, d.layout.indent + extra))}`
}

function caseText(d: Deparser, e: Expr & { kind: 'case' }): string {
  let out = `${d.layout === undefined ? '' : line(d, 0)}CASE`
  if (e.arg !== undefined) out += ` ${deparse(d, e.arg, true)}`
  const deeper = d.layout === undefined ? d : { ...d, layout: { indent: d.layout.indent + 4 } }
  for (const w of e.whens) {
    // CASE x WHEN y holds x = y inside.
    const when = e.arg !== undefined && w.when.kind === 'func' && w.when.args.length === 2 ? w.when.args[1] : w.when
    out += `${line(d, 4)}WHEN ${deparse(deeper, when)} THEN ${deparse(deeper, w.then, true)}`
  }
  out += `${line(d, 4)}ELSE ${e.otherwise === undefined ? `NULL::${typeName(d, e.type, e.typmod)}` : deparse(deeper, e.otherwise, true)}`
  return `${out}${line(d, 0)}END`
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
      const left = e.left!.length === 1 ? deparse(d, e.left![0], true) : `(${list(d, e.left!)})`
      if (e.link === 'row') return `(${left} ${e.test} (${text}))`
      if (e.link === 'any' && e.test === '=') return `(${left} IN (${text}))`
      return `(${left} ${e.test} ${e.link === 'any' ? 'ANY' : 'ALL'} (${text}))`
    }
  }
}

export function sortText(d: Deparser, o: SortItem): string {
  const nulls = o.descending === o.nullsFirst ? '' : o.nullsFirst ? ' NULLS FIRST' : ' NULLS LAST'
  return `${sortKey(d, o.expr)}${o.descending ? ' DESC' : ''}${nulls}`
}

/** What is sorted or grouped by. A bare literal would be read as a position, a bare call as something else in places. */
export function sortKey(d: Deparser, e: Expr): string {
  const text = deparse(d, e, true)
  if (e.kind === 'var') return text
  if (e.kind === 'const') return text.includes('::') ? text : `${text}::${typeName(d, e.type, e.typmod)}`
  const call = (e.kind === 'func' && e.operator === undefined) || e.kind === 'agg' || e.kind === 'window'
  return d.pretty || call ? `(${text})` : text
}

function filter(d: Deparser, e: Expr | undefined): string {
  return e === undefined ? '' : ` FILTER (WHERE ${deparse(d, e)})`
}

function aggregate(d: Deparser, e: Expr & { kind: 'agg' }): string {
  const name = functionName(d, e.func)
  const order = e.orderBy.map((o) => sortText(d, o)).join(', ')
  if (e.direct !== undefined)
    return `${name}(${list(d, e.args)}) WITHIN GROUP (ORDER BY ${order})${filter(d, e.filter)}`
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
  if (w.partitionBy.length > 0) parts.push(`PARTITION BY ${w.partitionBy.map((e) => sortKey(d, e)).join(', ')}`)
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
  const exclude = { none: '', current: ' EXCLUDE CURRENT ROW', group: ' EXCLUDE GROUP', ties: ' EXCLUDE TIES' }[
    f.exclude
  ]
  return `${f.mode.toUpperCase()} BETWEEN ${bound(f.start)} AND ${bound(f.end)}${exclude}`
}
