/**
 * Random INSERT … ON CONFLICT, UPDATE … FROM, DELETE … USING and data-modifying WITH, all with RETURNING. Each runs in
 * a transaction that reads the tables afterwards and is rolled back. Joined rows are chosen by key, so that no target
 * row meets two sources.
 */

import { Queries } from './queries.ts'
import type { Draw } from './random.ts'
import { smallText, type Table, tables } from './tables.ts'

export class Writes {
  readonly draw: Draw
  readonly queries: Queries

  constructor(draw: Draw) {
    this.draw = draw
    this.queries = new Queries(draw)
  }

  script(): string {
    const table = this.draw.of(tables)
    const statement = this.draw.of([
      () => this.insert(table),
      () => this.update(table),
      () => this.delete(table),
      () => this.with(table),
    ])()
    return `begin; create temp table answer on commit drop as ${this.wrapped(statement, table)}; select 'answer' as which, answer::text as line from answer union all select 'after', x::text from ${table.name} x; rollback`
  }

  /** The statement's RETURNING as a query: data-modifying WITH is the only place for it. */
  wrapped(statement: string, table: Table): string {
    if (statement.startsWith('with')) return statement
    return `with changed as (${statement} returning ${this.returning(table)}) select * from changed`
  }

  returning(table: Table): string {
    const { draw } = this
    const columns = table.columns.map((c) => `t.${c.name}`)
    return draw.chance(0.3)
      ? 't.*'
      : `t.id as r0, ${draw.of(columns)} as r1, ${this.queries.scalar(
          'int4',
          table.columns.map((c) => ({ sql: `t.${c.name}`, type: c.type })),
        )} as r2`
  }

  scope(table: Table, alias: string) {
    return table.columns.map((c) => ({ sql: `${alias}.${c.name}`, type: c.type }))
  }

  insert(table: Table): string {
    const { draw } = this
    const columns = table.columns.filter((c) => c.name === 'id' || draw.chance(0.6))
    const ids = draw.times(1, 3, () => 1 + draw.below(25)).filter((v, i, all) => all.indexOf(v) === i)
    const rows = ids.map(
      (id) =>
        `(${columns.map((c) => (c.name === 'id' ? String(id) : draw.chance(0.2) ? 'null' : draw.chance(0.15) ? 'default' : `'${smallText(draw, c.type)}'`)).join(', ')})`,
    )
    const head = `insert into ${table.name} as t (${columns.map((c) => c.name).join(', ')}) values ${rows.join(', ')}`
    const kind = draw.below(4)
    if (kind === 0) return head
    if (kind === 1) return `${head} on conflict do nothing`
    const where = draw.chance(0.5)
      ? ` where ${this.queries.condition([...this.scope(table, 't'), ...this.scope(table, 'excluded')], 0)}`
      : ''
    return `${head} on conflict (id) do update set ${this.assignments(table, 'excluded')}${where}`
  }

  assignments(table: Table, source: string): string {
    const { draw } = this
    const targets = table.columns.filter((c) => c.name !== 'id')
    const chosen = draw.times(1, 2, () => draw.of(targets)).filter((c, i, all) => all.indexOf(c) === i)
    if (chosen.length === 2 && draw.chance(0.3))
      return `(${chosen.map((c) => c.name).join(', ')}) = (${chosen.map((c) => `${source}.${c.name}`).join(', ')})`
    return chosen
      .map(
        (c) =>
          `${c.name} = ${draw.chance(0.3) ? `${source}.${c.name}` : draw.chance(0.1) ? 'default' : this.queries.value(c.type, this.scope(table, 't'), 1)}`,
      )
      .join(', ')
  }

  update(table: Table): string {
    const { draw } = this
    if (draw.chance(0.4))
      return `update ${table.name} t set ${this.assignments(table, 't')} where ${this.queries.condition(this.scope(table, 't'), 2)}`
    return `update ${table.name} t set ${this.assignments(table, 's')} from ${table.name} s where s.id = t.id${draw.chance(0.3) ? ' + 1' : ''} and ${this.queries.condition([...this.scope(table, 't'), ...this.scope(table, 's')], 1)}`
  }

  delete(table: Table): string {
    const { draw } = this
    if (draw.chance(0.5))
      return `delete from ${table.name} t where ${this.queries.condition(this.scope(table, 't'), 2)}`
    const other = draw.of(tables)
    return `delete from ${table.name} t using ${other.name} s where s.id = t.id and ${this.queries.condition([...this.scope(table, 't'), ...this.scope(other, 's')], 1)}`
  }

  with(table: Table): string {
    const other = this.draw.of(tables)
    const first = `${this.update(table)} returning ${this.returning(table)}`
    return `with first as (${first}), second as (select count(*) as n from ${other.name}) select first.*, second.n from first, second`
  }
}
