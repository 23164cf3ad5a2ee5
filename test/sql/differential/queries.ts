/**
 * Random queries: joins of every kind over tables, sub-queries, VALUES and functions, WHERE with sub-queries, grouping
 * and grouping sets, windows with frames, set operations, DISTINCT [ON], LIMIT. Where rows or values depend on an order,
 * the order is made total, so that there is one right answer; values are small, so that nothing raises.
 */
import type { Column } from './expressions.ts'
import type { Draw } from './random.ts'
import { smallText, tables } from './tables.ts'

const numbers = ['int2', 'int4', 'int8', 'numeric', 'float8']
const comparable = ['int4', 'int8', 'int2', 'numeric', 'float8', 'text', 'varchar', 'date', 'timestamp', 'bool']

export class Queries {
  readonly draw: Draw
  #alias = 0

  constructor(draw: Draw) {
    this.draw = draw
  }

  query(): string {
    const { draw } = this
    const kind = draw.next()
    if (kind < 0.12) return this.setOperation()
    if (kind < 0.34) return this.grouped()
    if (kind < 0.5) return this.windowed()
    if (kind < 0.58) return this.distinctOn()
    if (kind < 0.64) return this.recursive()
    const { sql, outputs } = this.plain([], 2)
    if (!draw.chance(0.3)) return sql
    return `${sql} order by ${ordinals(draw, outputs.length)} limit ${draw.below(6)}${draw.chance(0.5) ? ` offset ${draw.below(4)}` : ''}`
  }

  /** SELECT … FROM … WHERE …; gives the types of its outputs. */
  plain(
    outer: readonly Column[],
    depth: number,
    wanted?: readonly string[],
  ): { sql: string; outputs: readonly string[] } {
    const { draw } = this
    const from = this.from(depth, outer)
    const scope = [...from.columns, ...outer]
    const types = wanted ?? draw.times(1, 3, () => draw.of(from.columns).type)
    const list = types.map((t) => this.value(t, scope, depth))
    const where = draw.chance(0.75) ? ` where ${this.condition(scope, depth)}` : ''
    const distinct = draw.chance(0.12) && !types.includes('json') ? 'distinct ' : ''
    return {
      sql: `${this.#with(depth)}select ${distinct}${list.map((e, i) => `${e} as o${i}`).join(', ')} from ${from.sql}${where}`,
      outputs: types,
    }
  }

  #with(depth: number): string {
    if (depth < 2 || !this.draw.chance(0.1)) return ''
    return `with unused as ${this.draw.of(['', 'materialized ', 'not materialized '])}(select a from t4) `
  }

  from(depth: number, outer: readonly Column[]): { sql: string; columns: Column[] } {
    const { draw } = this
    let { sql, columns } = this.item(depth, outer)
    const joins = depth > 1 ? draw.of([0, 0, 1, 1, 1, 2, 2, 3]) : draw.of([0, 0, 0, 1, 1])
    for (let i = 0; i < joins; i++) {
      const kind = draw.of([
        'join',
        'join',
        'left join',
        'left join',
        'right join',
        'full join',
        'cross join',
        ',',
        'lateral',
        'using',
      ])
      if (kind === ',' || kind === 'cross join') {
        const right = this.item(depth, outer)
        sql =
          kind === ','
            ? `(${sql}) cross join ${right.sql}`.replace(/^\(([^ ]+ [^ ]+)\)/, '$1')
            : `${sql} cross join ${right.sql}`
        columns = [...columns, ...right.columns]
      } else if (kind === 'lateral' && depth > 0) {
        const alias = this.#name()
        const inner = this.plain([...columns, ...outer], 0)
        sql += ` ${draw.of(['cross join', 'left join'])} lateral (${inner.sql}) ${alias}`
        if (
          /left join lateral \(.*\) \w+$/s.test(sql) &&
          sql.lastIndexOf('left join lateral') > sql.lastIndexOf('cross join lateral')
        )
          sql += ' on true'
        columns = [...columns, ...inner.outputs.map((type, n) => ({ sql: `${alias}.o${n}`, type }))]
      } else if (kind === 'using' && i === 0 && joins === 1) {
        const right = this.item(depth, outer)
        if (
          / \w+$/.test(sql) &&
          columns.some((c) => c.sql.endsWith('.id')) &&
          right.columns.some((c) => c.sql.endsWith('.id'))
        ) {
          sql = `${sql} ${draw.of(['join', 'left join', 'full join', 'right join'])} ${right.sql} using (id)`
          columns = [
            ...columns,
            ...right.columns,
            {
              sql: 'id',
              type:
                columns.some((c) => c.sql.endsWith('.id') && c.type === 'int8') ||
                right.columns.some((c) => c.sql.endsWith('.id') && c.type === 'int8')
                  ? 'int8'
                  : 'int4',
            },
          ]
        }
      } else {
        const right = this.item(depth, outer)
        const join = kind === 'lateral' || kind === 'using' ? 'join' : kind
        sql = `${sql} ${join} ${right.sql} on ${this.joinCondition(columns, right.columns, join === 'full join', depth)}`
        columns = [...columns, ...right.columns]
      }
    }
    return { sql, columns }
  }

  #name(): string {
    return `q${this.#alias++}`
  }

  item(depth: number, outer: readonly Column[]): { sql: string; columns: Column[] } {
    const { draw } = this
    const alias = this.#name()
    const kind = draw.next()
    if (depth > 0 && kind < 0.15) {
      const inner = draw.chance(0.3) ? this.groupedPart() : this.plain([], depth - 1)
      return {
        sql: `(${inner.sql}) ${alias}`,
        columns: inner.outputs.map((type, i) => ({ sql: `${alias}.o${i}`, type })),
      }
    }
    if (kind < 0.2) {
      const rows = draw.times(1, 4, () => `(${this.literal('int4')}, ${this.literal('text')})`)
      return {
        sql: `(values ${rows.join(', ')}) ${alias}(v, w)`,
        columns: [
          { sql: `${alias}.v`, type: 'int4' },
          { sql: `${alias}.w`, type: 'text' },
        ],
      }
    }
    if (kind < 0.24)
      return {
        sql: `generate_series(1, ${1 + draw.below(4)}) ${alias}(n)`,
        columns: [{ sql: `${alias}.n`, type: 'int4' }],
      }
    if (kind < 0.26)
      return {
        sql: `unnest(array[1, null, 3], array['a', 'b']) with ordinality ${alias}(n, m, o)`,
        columns: [
          { sql: `${alias}.n`, type: 'int4' },
          { sql: `${alias}.m`, type: 'text' },
          { sql: `${alias}.o`, type: 'int8' },
        ],
      }
    void outer
    const table = draw.of(tables)
    return {
      sql: `${table.name} ${alias}`,
      columns: table.columns.map((c) => ({ sql: `${alias}.${c.name}`, type: c.type })),
    }
  }

  joinCondition(left: readonly Column[], right: readonly Column[], hashable: boolean, depth: number): string {
    const { draw } = this
    const pairs = left.flatMap((l) =>
      right.filter((r) => r.type === l.type && comparable.includes(l.type)).map((r) => [l, r]),
    )
    if (pairs.length === 0) return draw.of(['true', 'false'])
    const equal = () =>
      draw
        .of(pairs)
        .map((c) => c.sql)
        .join(' = ')
    if (hashable) return draw.chance(0.3) ? `${equal()} and ${equal()}` : equal()
    const kind = draw.next()
    if (kind < 0.6) return equal()
    if (kind < 0.8) return `${equal()} and ${this.condition([...left, ...right], Math.min(depth, 1))}`
    return `${draw
      .of(pairs)
      .map((c) => c.sql)
      .join(draw.of([' < ', ' <> ', ' >= ']))}`
  }

  literal(type: string): string {
    if (this.draw.chance(0.1)) return `null::${type}`
    return `'${smallText(this.draw, type)}'::${type}`
  }

  value(type: string, scope: readonly Column[], depth: number): string {
    const { draw } = this
    const own = scope.filter((c) => c.type === type)
    const kind = draw.next()
    if (own.length > 0 && kind < 0.7) return draw.of(own).sql
    if (numbers.includes(type) && type !== 'int2' && kind < 0.8)
      return `(${this.value(type, scope, 0)} ${draw.of(['+', '-', '*'])} ${this.literal(type)})`
    if (kind < 0.86) return `coalesce(${this.value(type, scope, 0)}, ${this.literal(type)})`
    if (kind < 0.92)
      return `case when ${this.condition(scope, 0)} then ${this.value(type, scope, 0)} else ${this.literal(type)} end`
    if (depth > 0 && comparable.includes(type) && type !== 'bool') return this.scalar(type, scope)
    return own.length > 0 ? draw.of(own).sql : this.literal(type)
  }

  /** A sub-query of one value. */
  scalar(type: string, scope: readonly Column[]): string {
    const table = this.draw.of(tables.filter((t) => t.columns.some((c) => c.type === type)))
    if (table === undefined) return this.literal(type)
    const alias = this.#name()
    const inner = table.columns.map((c) => ({ sql: `${alias}.${c.name}`, type: c.type }))
    const column = this.draw.of(inner.filter((c) => c.type === type))
    return `(select ${this.draw.of(['min', 'max'])}(${column.sql}) from ${table.name} ${alias} where ${this.correlated(inner, scope)})`
  }

  correlated(inner: readonly Column[], outer: readonly Column[]): string {
    const pairs = inner.flatMap((l) =>
      outer.filter((r) => r.type === l.type && comparable.includes(l.type)).map((r) => [l, r]),
    )
    if (pairs.length === 0 || this.draw.chance(0.3)) return this.condition(inner, 0)
    const pair = this.draw
      .of(pairs)
      .map((c) => c.sql)
      .join(this.draw.of([' = ', ' = ', ' < ', ' <> ', ' is distinct from ']))
    return this.draw.chance(0.4) ? `${pair} and ${this.condition([...inner, ...outer], 0)}` : pair
  }

  condition(scope: readonly Column[], depth: number): string {
    const { draw } = this
    const columns = scope.filter((c) => comparable.includes(c.type))
    if (columns.length === 0) return draw.of(['true', 'false', 'null::bool'])
    const column = draw.of(columns)
    const kind = draw.below(depth > 0 ? 16 : 9)
    const compare = () =>
      `${column.sql} ${draw.of(['=', '<>', '<', '<=', '>', '>='])} ${draw.chance(0.5) ? this.literal(column.type) : draw.of(columns.filter((c) => c.type === column.type)).sql}`
    switch (kind) {
      case 0:
        return `${column.sql} is ${draw.chance(0.5) ? 'not ' : ''}null`
      case 1:
        return `${column.sql} ${draw.of(['in', 'not in'])} (${draw.times(1, 4, () => this.literal(column.type)).join(', ')})`
      case 2:
        return `${column.sql} ${draw.chance(0.2) ? 'not ' : ''}between ${this.literal(column.type)} and ${this.literal(column.type)}`
      case 3:
        return `${column.sql} is ${draw.chance(0.5) ? 'not ' : ''}distinct from ${draw.of(columns.filter((c) => c.type === column.type)).sql}`
      case 4:
        return `(${this.condition(scope, depth - 1)} or ${this.condition(scope, depth - 1)})`
      case 5:
        return `(${this.condition(scope, depth - 1)} and ${this.condition(scope, depth - 1)})`
      case 6:
        return `not (${this.condition(scope, depth - 1)})`
      case 9:
      case 10:
      case 11:
        return this.quantified(column, scope)
      case 12:
      case 13: {
        const table = draw.of(tables)
        const alias = this.#name()
        const inner = table.columns.map((c) => ({ sql: `${alias}.${c.name}`, type: c.type }))
        return `${draw.of(['exists', 'not exists'])} (select 1 from ${table.name} ${alias} where ${this.correlated(inner, scope)})`
      }
      case 14:
        return column.type === 'bool'
          ? compare()
          : `${column.sql} ${draw.of(['=', '<', '>='])} ${this.scalar(column.type, scope)}`
      case 15: {
        const second = draw.of(columns)
        const inner = this.plain([], 0, [column.type, second.type])
        return `(${column.sql}, ${second.sql}) ${draw.of(['in', 'not in', 'in'])} (${inner.sql})`
      }
      default:
        return compare()
    }
  }

  quantified(column: Column, scope: readonly Column[]): string {
    const inner = this.plain(this.draw.chance(0.4) ? scope : [], 0, [column.type])
    return `${column.sql} ${this.draw.of(['in', 'not in', '= any', '<> all', '< any', '> all', '<= some'])} (${inner.sql})`
  }

  aggregate(scope: readonly Column[]): { sql: string; type: string } {
    const { draw } = this
    const filter = draw.chance(0.2) ? ` filter (where ${this.condition(scope, 0)})` : ''
    const number = scope.filter((c) => ['int2', 'int4', 'int8', 'numeric'].includes(c.type))
    const any = draw.of(scope.filter((c) => comparable.includes(c.type)))
    const distinct = draw.chance(0.3) ? 'distinct ' : ''
    const kind = draw.below(9)
    if (any === undefined || kind === 0) return { sql: `count(*)${filter}`, type: 'int8' }
    if (kind === 1) return { sql: `count(${distinct}${any.sql})${filter}`, type: 'int8' }
    if (kind === 2 && any.type !== 'bool')
      return { sql: `${draw.of(['min', 'max'])}(${any.sql})${filter}`, type: any.type }
    if (kind === 3)
      return {
        sql: `array_agg(${distinct}${any.sql} order by ${any.sql}${draw.of([' desc', '', ' nulls first'])})${filter}`,
        type: '?',
      }
    if (kind === 4)
      return { sql: `string_agg(${distinct}${any.sql}::text, ',' order by ${any.sql}::text)${filter}`, type: 'text' }
    if (kind === 5 && any.type === 'bool')
      return { sql: `${draw.of(['bool_and', 'bool_or', 'every'])}(${any.sql})${filter}`, type: 'bool' }
    if (kind === 6) return { sql: `percentile_disc(0.5) within group (order by ${any.sql})${filter}`, type: any.type }
    if (number.length === 0) return { sql: 'count(*)', type: 'int8' }
    return {
      sql: `${draw.of(['sum', 'avg', 'variance', 'stddev_pop', 'bit_and'].slice(0, any.type.startsWith('int') ? 4 : 4))}(${distinct}${draw.of(number).sql})${filter}`,
      type: '?',
    }
  }

  groupedPart(): { sql: string; outputs: readonly string[] } {
    const { draw } = this
    const from = this.from(1, [])
    const keys = draw
      .times(0, 2, () => draw.of(from.columns.filter((c) => comparable.includes(c.type))))
      .filter((c) => c !== undefined)
    const aggregates = draw.times(1, 2, () => ({ sql: 'count(*)', type: 'int8' }))
    const list = [...keys, ...aggregates]
    return {
      sql: `select ${list.map((e, i) => `${e.sql} as o${i}`).join(', ')} from ${from.sql}${keys.length > 0 ? ` group by ${keys.map((k) => k.sql).join(', ')}` : ''}`,
      outputs: list.map((e) => e.type),
    }
  }

  grouped(): string {
    const { draw } = this
    const from = this.from(1, [])
    const keys = [
      ...new Map(
        draw
          .times(0, 3, () => draw.of(from.columns.filter((c) => comparable.includes(c.type))))
          .filter((c) => c !== undefined)
          .map((c) => [c.sql, c]),
      ).values(),
    ]
    const names = keys.map((k) => k.sql)
    const aggregates = draw.times(1, 3, () => this.aggregate(from.columns).sql)
    const where = draw.chance(0.4) ? ` where ${this.condition(from.columns, 1)}` : ''
    const having = draw.chance(0.3)
      ? ` having ${draw.of(['count(*) > 1', 'count(*) is not null', keys.length > 0 ? `${this.condition(keys, 0)}` : 'count(*) >= 0', 'max(1) = 1'])}`
      : ''
    const sets = keys.length > 0 && draw.chance(0.4)
    const group = keys.length === 0 ? '' : ` group by ${sets ? this.groupingSets(names) : names.join(', ')}`
    const grouping = sets && names.length > 0 ? [`grouping(${names.join(', ')})`] : []
    return `select ${[...names, ...aggregates, ...grouping].map((e, i) => `${e} as o${i}`).join(', ')} from ${from.sql}${where}${group}${having}`
  }

  groupingSets(names: readonly string[]): string {
    const { draw } = this
    const kind = draw.below(4)
    if (kind === 0) return `rollup (${names.join(', ')})`
    if (kind === 1) return `cube (${names.join(', ')})`
    if (kind === 2) return `${names[0]}, rollup (${names.join(', ')})`
    return `grouping sets ((${names.join(', ')}), (${names[0]}), ()${draw.chance(0.3) ? `, (${names[0]})` : ''})`
  }

  windowed(): string {
    const { draw } = this
    const table = draw.of(tables.slice(0, 3))
    const columns = table.columns
      .map((c) => ({ sql: `x.${c.name}`, type: c.type }))
      .filter((c) => comparable.includes(c.type))
    const partition = draw.chance(0.6) ? `partition by ${draw.of(columns).sql} ` : ''
    const key = draw.of(columns)
    const total = draw.chance(0.5)
    const direction = draw.of(['', ' desc', ' nulls first', ' desc nulls last'])
    const order = total ? `order by ${key.sql}${direction}, x.id` : `order by ${key.sql}${direction}`
    const frame = this.frame(total, key.type)
    const argument = draw.of(columns)
    const number = draw.of(columns.filter((c) => ['int4', 'int8', 'int2', 'numeric'].includes(c.type)))
    const functions = total
      ? [
          'row_number()',
          'ntile(3)',
          `lag(${argument.sql})`,
          `lead(${argument.sql}, 2)`,
          `first_value(${argument.sql})`,
          `last_value(${argument.sql})`,
          `nth_value(${argument.sql}, 2)`,
          'rank()',
          `count(*)`,
          `sum(${number.sql})`,
          `array_agg(${argument.sql})`,
          `avg(${number.sql})`,
        ]
      : [
          'rank()',
          'dense_rank()',
          'percent_rank()',
          'cume_dist()',
          'count(*)',
          `sum(${number.sql})`,
          `max(${number.sql})`,
          `min(${number.sql})`,
          `count(${argument.sql})`,
        ]
    const calls = draw.times(1, 3, () => `${draw.of(functions)} over (${partition}${order}${frame})`)
    const plainSum = draw.chance(0.3)
      ? [`sum(${number.sql}) filter (where ${this.condition(columns, 0)}) over (${partition})`]
      : []
    return `select x.id, ${[...calls, ...plainSum].map((e, i) => `${e} as w${i}`).join(', ')} from ${table.name} x${draw.chance(0.3) ? ` where ${this.condition(columns, 1)}` : ''}`
  }

  frame(total: boolean, type: string): string {
    const { draw } = this
    if (draw.chance(0.35)) return ''
    const offset = () => String(draw.below(3))
    const unit = draw.of(total ? ['rows', 'groups'] : ['groups', 'range'])
    if (unit === 'range') {
      const step = numbers.includes(type)
        ? offset()
        : type === 'date' || type === 'timestamp'
          ? "interval '1 month'"
          : undefined
      const bounds =
        step === undefined
          ? ['unbounded preceding', 'current row']
          : ['unbounded preceding', `${step} preceding`, 'current row']
      const ends =
        step === undefined
          ? ['current row', 'unbounded following']
          : ['current row', `${step} following`, 'unbounded following']
      return ` range between ${draw.of(bounds)} and ${draw.of(ends)}${this.exclusion(false)}`
    }
    const start = draw.of(['unbounded preceding', `${offset()} preceding`, 'current row'])
    const end = draw.of(['current row', `${offset()} following`, 'unbounded following'])
    return ` ${unit} between ${start} and ${end}${this.exclusion(total)}`
  }

  exclusion(total: boolean): string {
    return this.draw.chance(0.75)
      ? ''
      : this.draw.of([' exclude ties', ' exclude group', total ? ' exclude current row' : ' exclude no others'])
  }

  distinctOn(): string {
    const { draw } = this
    const table = draw.of(tables)
    const columns = table.columns.filter((c) => comparable.includes(c.type)).map((c) => `x.${c.name}`)
    const key = draw.of(columns)
    return `select distinct on (${key}) ${[key, 'x.id', draw.of(columns)].join(', ')} from ${table.name} x order by ${key}${draw.of(['', ' desc', ' nulls first'])}, x.id${draw.of(['', ' desc'])}${draw.chance(0.3) ? ` limit ${draw.below(4)}` : ''}`
  }

  setOperation(): string {
    const { draw } = this
    const types = draw.times(1, 2, () => draw.of(['int4', 'text', 'int8', 'numeric', 'bool', 'date']))
    const parts = draw.times(2, 3, () => this.plain([], 1, types).sql)
    let sql = `(${parts[0]})`
    for (const p of parts.slice(1))
      sql = `${draw.chance(0.3) ? `(${sql})` : sql} ${draw.of(['union', 'union all', 'intersect', 'except', 'intersect all', 'except all'])} (${p})`
    return draw.chance(0.4) ? `${sql} order by ${ordinals(draw, types.length)} limit ${draw.below(8)}` : sql
  }

  recursive(): string {
    const { draw } = this
    const n = 2 + draw.below(5)
    const union = draw.of(['union all', 'union'])
    return `with recursive r(n, t) as (select a, c from t4 where ${this.condition(
      [
        { sql: 'a', type: 'int4' },
        { sql: 'c', type: 'text' },
      ],
      0,
    )} ${union} select r.n + 1, coalesce(x.c, r.t) from r left join t4 x on x.a = r.n where r.n < ${n}) select n, t, count(*) from r group by n, t`
  }
}

function ordinals(draw: Draw, n: number): string {
  return Array.from({ length: n }, (_, i) => `${i + 1}${draw.of(['', ' desc', ' nulls first'])}`).join(', ')
}
