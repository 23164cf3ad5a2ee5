/**
 * Bound queries back to SQL text in the layout of pg_get_viewdef: clauses on lines of their own, moved right by the depth
 * of nesting.
 *
 *    SELECT a.x,
 *       b.y
 *      FROM (a
 *        JOIN b ON ((a.id = b.id)))
 *     WHERE (a.x > 1)
 *
 * Every column is written with its table's alias, since that is what makes the text stand for the same after renames.
 *
 * Not here: expressions (expression.ts), data-modifying statements (they are stored nowhere).
 */
import type { BindContext } from '../bind/context.ts'
import { quoteIdentifier } from '../bind/type-name.ts'
import { effectivePath, schemaName } from '../catalog/names.ts'
import { systemRelation } from '../catalog/system-schema.ts'
import type { CommonTable, Entry, Expr, FromNode, Query, SetOperation, Target } from '../query.ts'
import { type Deparser, deparse, relationName, sortKey, sortText, typeName, windowText } from './expression.ts'

type Context = Pick<BindContext, 'names' | 'types'>

export interface QueryStyle {
  readonly pretty: boolean
  /** Where the query stands: columns from the left. */
  readonly indent: number
  /** Queries around this one, the nearest first, and what their tables are called. */
  readonly outer: readonly Level[]
  /** Names of the result columns, where they differ from the query's own: a view's. */
  readonly names?: readonly string[]
  /** Result names do not matter (a sub-query in an expression): AS is left out where it says nothing. */
  readonly unnamed?: boolean
}

/** A query being written: each entry of its range table has a name that no entry of it or of those around it has. */
interface Level {
  readonly query: Query
  readonly aliases: readonly string[]
}

const step = 8

/** The text of a SELECT, without a semicolon. */
export function queryText(context: Context, query: Query, style: QueryStyle): string {
  return new QueryWriter(context, query, style).write().replace(/ +\n/g, '\n')
}

/** The names that entries go by: their alias, numbered where it is taken here or outside. */
function uniqueAliases(query: Query, outer: readonly Level[]): string[] {
  const taken = new Set(outer.flatMap((l) => l.aliases))
  return query.entries.map((e) => {
    if (e.alias === '' || (e.kind === 'join' && !e.explicitAlias)) return ''
    let name = e.alias
    for (let n = 1; taken.has(name); n++) name = `${e.alias}_${n}`
    taken.add(name)
    return name
  })
}

class QueryWriter {
  readonly #context: Context
  readonly #query: Query
  readonly #style: QueryStyle
  readonly #d: Deparser
  /** Columns that expressions of this query are moved right by. */
  readonly #indent: number
  readonly #levels: readonly Level[]

  constructor(context: Context, query: Query, style: QueryStyle) {
    this.#context = context
    this.#query = query
    this.#style = style
    this.#indent = style.indent + step
    const levels: readonly Level[] = [{ query, aliases: uniqueAliases(query, style.outer) }, ...style.outer]
    this.#levels = levels
    this.#d = {
      context,
      pretty: style.pretty,
      windows: query.windows,
      groups: query.groupBy,
      layout: { indent: this.#indent },
      column: (v) => this.#column(levels, v),
      query: (q) => queryText(context, q, { pretty: style.pretty, indent: this.#indent, outer: levels, unnamed: true }),
    }
  }

  /** A clause on a line of its own: `plus` more columns than the query itself. */
  #line(text: string, plus: number): string {
    return `\n${' '.repeat(this.#style.indent + plus)}${text}`
  }

  #column(levels: readonly Level[], v: Expr & { kind: 'var' }): string {
    const owner = levels[v.up]
    const entry = owner?.query.entries[v.entry]
    if (entry === undefined) return '?'
    if (entry.kind === 'join' && !entry.explicitAlias && v.column > 0) {
      const inner = entry.vars[v.column - 1]
      return deparse({ ...this.#d, column: (x) => this.#column(levels, { ...x, up: x.up + v.up }) }, inner)
    }
    const name = owner.aliases[v.entry]
    const alias = name === '' ? '' : `${quoteIdentifier(name)}.`
    if (v.column === 0) return `${quoteIdentifier(name)}.*`
    if (v.column < 0) return `${alias}${systemNames[v.column] ?? 'tableoid'}`
    return `${alias}${quoteIdentifier(this.#columnName(entry, v.column))}`
  }

  /** A table's column by its present name: what the query was bound with may have been renamed since. */
  #columnName(entry: Entry, column: number): string {
    if (entry.kind === 'relation' && (entry.columnAliases?.length ?? 0) < column) {
      const relation =
        this.#context.names.catalog.relation(entry.relation) ?? systemRelation(entry.relation)?.descriptor
      const present = relation?.columns[column - 1]
      if (present !== undefined && !present.dropped) return present.name
    }
    return entry.columns[column - 1].name
  }

  write(): string {
    const q = this.#query
    const out = q.ctes.length === 0 ? '' : this.#with(q.ctes)
    const body =
      q.setOperation !== undefined
        ? this.#setOperation(q.setOperation, this.#style.indent, this.#style.unnamed === true)
        : this.#select()
    return `${out}${body}${this.#tail()}`
  }

  #with(ctes: readonly CommonTable[]): string {
    const parts = ctes.map((c) => {
      const aliases =
        c.columnAliases !== undefined && c.columnAliases.length > 0
          ? `(${c.columnAliases.map(quoteIdentifier).join(', ')})`
          : ''
      const kept = { default: '', always: 'MATERIALIZED ', never: 'NOT MATERIALIZED ' }[c.materialized]
      const inner = queryText(this.#context, c.query, {
        pretty: this.#style.pretty,
        indent: this.#indent,
        outer: this.#levels,
      })
      return `${quoteIdentifier(c.name)}${aliases} AS ${kept}(${this.#line('', step)}${inner}${this.#line(')', step)}`
    })
    return ` WITH ${ctes.some((c) => c.recursive) ? 'RECURSIVE ' : ''}${parts.join(', ')}${this.#line('', 0)}`
  }

  #select(): string {
    const q = this.#query
    if (this.#isValues()) return this.#values(q.entries[0] as Entry & { kind: 'values' })
    let out = ' SELECT'
    if (q.distinct !== undefined)
      out +=
        q.distinct.length === 0
          ? ' DISTINCT'
          : ` DISTINCT ON (${q.distinct.map((e) => sortKey(this.#d, e)).join(', ')})`
    out += this.#targets(q.targets.filter((t) => !t.junk))
    if (q.from.length > 0) out += this.#from(q.from)
    if (q.where !== undefined) out += this.#line(` WHERE ${deparse(this.#d, q.where)}`, 1)
    if (q.groupBy.length > 0 || q.groupingSets !== undefined) out += this.#line(` GROUP BY ${this.#groups()}`, 1)
    if (q.having !== undefined) out += this.#line(` HAVING ${deparse(this.#d, q.having)}`, 0)
    const named = q.windows.filter((w) => w.name !== undefined)
    if (named.length > 0)
      out += this.#line(
        ` WINDOW ${named.map((w) => `${quoteIdentifier(w.name!)} AS (${windowText(this.#d, w)})`).join(', ')}`,
        1,
      )
    return out
  }

  #groups(): string {
    const q = this.#query
    const text = (i: number) => sortKey(this.#d, q.groupBy[i])
    if (q.groupingSets === undefined) return q.groupBy.map((_, i) => text(i)).join(', ')
    const sets = q.groupingSets.map((set) => `(${set.map(text).join(', ')})`)
    return sets.length === 1 && q.groupingSets[0].length === 0 ? '()' : `GROUPING SETS (${sets.join(', ')})`
  }

  #targets(targets: readonly Target[]): string {
    let out = ''
    targets.forEach((t, i) => {
      const isVar = t.expr.kind === 'var'
      const text = this.#targetText(t.expr)
      const name = this.#style.names?.[i] ?? t.name
      const own = isVar ? this.#ownName(t.expr as Expr & { kind: 'var' }) : this.#style.unnamed ? '?column?' : undefined
      const target = own === name ? text : `${text} AS ${quoteIdentifier(name)}`
      const fresh = target.startsWith('\n')
      out += i === 0 ? ' ' : fresh ? ',' : `,${this.#line('', 4)}`
      if (i === 0 && fresh) out = out.trimEnd()
      out += target
    })
    return out
  }

  /** A whole row alone would be read as all its columns; its type keeps it one. */
  #targetText(e: Expr): string {
    const text = deparse(this.#d, e, true)
    return e.kind === 'var' && e.column === 0 ? `${text}::${typeName(this.#d, e.type, -1)}` : text
  }

  #ownName(v: Expr & { kind: 'var' }): string | undefined {
    if (v.column <= 0) return undefined
    const text = deparse(this.#d, v)
    const m = /(?:^|\.)("(?:[^"]|"")*"|[^".]+)$/.exec(text)
    return m === null ? undefined : m[1].startsWith('"') ? m[1].slice(1, -1).replaceAll('""', '"') : m[1]
  }

  #from(items: readonly FromNode[]): string {
    let out = this.#line(' FROM ', 2)
    items.forEach((item, i) => {
      const text = this.#fromItem(item)
      if (i > 0) out += text.startsWith('\n') ? ',' : `,${this.#line('', 4)}`
      out += text
    })
    return out
  }

  #fromItem(node: FromNode): string {
    if (node.kind === 'entry') return this.#entry(this.#query.entries[node.entry], this.#levels[0].aliases[node.entry])
    const join = this.#query.entries[node.entry]
    const bare = this.#style.pretty && !join.explicitAlias
    const word = { inner: ' JOIN ', left: ' LEFT JOIN ', right: ' RIGHT JOIN ', full: ' FULL JOIN ' }[node.join]
    const cross = node.join === 'inner' && node.on === undefined && node.using === undefined
    const wrapRight =
      this.#style.pretty && node.right.kind === 'join' && !this.#query.entries[node.right.entry].explicitAlias
    const right = this.#fromItem(node.right)
    let out = `${this.#fromItem(node.left)}${this.#line(cross ? ' CROSS JOIN ' : word, 4)}${wrapRight ? `(${right})` : right}`
    if (node.using !== undefined && node.using.length > 0)
      out += ` USING (${node.using.map(quoteIdentifier).join(', ')})`
    else if (node.on !== undefined)
      out += this.#style.pretty ? ` ON ${deparse(this.#d, node.on)}` : ` ON (${deparse(this.#d, node.on)})`
    else if (!cross) out += ' ON TRUE'
    if (!bare) out = `(${out})`
    if (!join.explicitAlias) return out
    const aliases = join.columnAliases === undefined ? '' : `(${join.columnAliases.map(quoteIdentifier).join(', ')})`
    return `${out} ${quoteIdentifier(join.alias)}${aliases}`
  }

  #entry(entry: Entry, unique: string): string {
    const alias = quoteIdentifier(unique)
    const aliases =
      entry.columnAliases === undefined
        ? ''
        : `(${entry.columns
            .filter((c) => !c.dropped)
            .map((c) => quoteIdentifier(c.name))
            .join(', ')})`
    switch (entry.kind) {
      case 'relation': {
        const name = this.#relation(entry.relation)
        const own =
          this.#context.names.catalog.relation(entry.relation)?.name ?? systemRelation(entry.relation)?.descriptor.name
        return own === unique && aliases === '' ? name : `${name} ${alias}${aliases}`
      }
      case 'subquery': {
        const inner = queryText(this.#context, entry.query, {
          pretty: this.#style.pretty,
          indent: this.#indent,
          outer: this.#levels,
        })
        return `${entry.lateral ? 'LATERAL ' : ''}(${inner}) ${alias}${aliases}`
      }
      case 'function':
        return this.#functionEntry(entry, alias)
      case 'values':
        return `(${this.#values(entry)}) ${alias}(${entry.columns.map((c) => quoteIdentifier(c.name)).join(', ')})`
      case 'cte':
        return unique === entry.name && aliases === ''
          ? quoteIdentifier(entry.name)
          : `${quoteIdentifier(entry.name)} ${alias}${aliases}`
      default:
        return alias
    }
  }

  #functionEntry(entry: Entry & { kind: 'function' }, alias: string): string {
    const calls = entry.functions.map((f) => deparse(this.#d, f.call, true))
    const text = calls.length === 1 ? calls[0] : `ROWS FROM(${calls.join(', ')})`
    const [first] = entry.functions
    const record = entry.functions.length === 1 && first.composite && first.call.type === 2249
    const columns = record
      ? `(${entry.columns.map((c) => `${quoteIdentifier(c.name)} ${typeName(this.#d, c.type, c.typmod)}`).join(', ')})`
      : `(${entry.columns.map((c) => quoteIdentifier(c.name)).join(', ')})`
    return `${this.#needsLateral(entry) ? 'LATERAL ' : ''}${text}${entry.ordinality ? ' WITH ORDINALITY' : ''} ${alias}${columns}`
  }

  /** Whether a function reads its neighbours in FROM. */
  #needsLateral(entry: Entry & { kind: 'function' }): boolean {
    return JSON.stringify(entry.functions.map((f) => f.call)).includes('"kind":"var"')
  }

  /** A relation's name, with its schema where the search path does not find it. */
  #relation(oid: number): string {
    const system = systemRelation(oid)?.descriptor
    if (system === undefined) return relationName({ context: this.#context }, oid)
    const { names } = this.#context
    const visible = effectivePath(names).includes(system.schema)
    return visible
      ? quoteIdentifier(system.name)
      : `${quoteIdentifier(schemaName(names, system.schema))}.${quoteIdentifier(system.name)}`
  }

  #isValues(): boolean {
    const q = this.#query
    const [only] = q.entries
    return (
      q.entries.length === 1 &&
      only.kind === 'values' &&
      !only.explicitAlias &&
      q.where === undefined &&
      q.targets.every((t, i) => t.expr.kind === 'var' && t.expr.column === i + 1)
    )
  }

  #values(entry: Entry & { kind: 'values' }): string {
    return ` VALUES ${entry.rows.map((row) => `(${row.map((e) => deparse(this.#d, e)).join(',')})`).join(', ')}`
  }

  #setOperation(op: SetOperation | { kind: 'query'; entry: number }, indent: number, unnamed: boolean): string {
    if (op.kind === 'query') {
      const entry = this.#query.entries[op.entry] as Entry & { kind: 'subquery' }
      const q = entry.query
      const wrap =
        q.ctes.length > 0 ||
        q.orderBy.length > 0 ||
        q.limit !== undefined ||
        q.offset !== undefined ||
        q.marks.length > 0
      const text = queryText(this.#context, q, {
        pretty: this.#style.pretty,
        indent,
        outer: this.#levels,
        names: this.#style.names,
        unnamed,
      })
      return wrap ? `(${text})` : text
    }
    const same = op.left.kind === 'setop' && op.left.op === op.op && op.left.all === op.all
    const wrapLeft = op.left.kind === 'setop' && !same
    const wrapRight = op.right.kind === 'setop'
    const pad = (n: number) => `\n${' '.repeat(n)}`
    const left = this.#setOperation(op.left, wrapLeft ? indent + step : indent, unnamed)
    let out = wrapLeft ? `(${pad(indent + step)}${left}${pad(indent)}) ` : `${left}${pad(indent)}`
    out += `${op.op.toUpperCase()} ${op.all ? 'ALL ' : ''}`
    const inner = wrapRight ? indent + step : indent
    out += `${wrapRight ? '(' : ''}${pad(inner)}${this.#setOperation(op.right, inner, true)}`
    return wrapRight ? `${out}${pad(indent)})` : out
  }

  #tail(): string {
    const q = this.#query
    let out = ''
    if (q.orderBy.length > 0) out += this.#line(` ORDER BY ${q.orderBy.map((o) => this.#sort(o)).join(', ')}`, 1)
    if (q.offset !== undefined) out += this.#line(` OFFSET ${deparse(this.#d, q.offset)}`, 0)
    if (q.limit !== undefined) {
      out += q.withTies
        ? this.#line(` FETCH FIRST ${deparse(this.#d, q.limit)} ROWS WITH TIES`, 0)
        : this.#line(` LIMIT ${deparse(this.#d, q.limit)}`, 0)
    }
    for (const m of q.marks) {
      const strength = ['FOR KEY SHARE', 'FOR SHARE', 'FOR NO KEY UPDATE', 'FOR UPDATE'][m.strength]
      for (const e of m.entries)
        out += this.#line(
          ` ${strength} OF ${quoteIdentifier(this.#levels[0].aliases[e])}${{ wait: '', nowait: ' NOWAIT', skip: ' SKIP LOCKED' }[m.policy]}`,
          0,
        )
    }
    return out
  }

  /** Results of set operations are sorted by position: their columns have no table. */
  #sort(o: Query['orderBy'][number]): string {
    const { expr } = o
    if (this.#query.setOperation === undefined || expr.kind !== 'var') return sortText(this.#d, o)
    const at = this.#query.targets.findIndex(
      (t) => t.expr.kind === 'var' && t.expr.column === expr.column && t.expr.entry === expr.entry,
    )
    const nulls = o.descending === o.nullsFirst ? '' : o.nullsFirst ? ' NULLS FIRST' : ' NULLS LAST'
    return `${at + 1}${o.descending ? ' DESC' : ''}${nulls}`
  }
}

const systemNames: Record<number, string> = {
  [-1]: 'ctid',
  [-2]: 'xmin',
  [-3]: 'cmin',
  [-4]: 'xmax',
  [-5]: 'cmax',
  [-6]: 'tableoid',
}
