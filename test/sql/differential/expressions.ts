/**
 * Random typed expressions. Operators and functions are those that both sides' catalogs know and we implement, chosen
 * by the type they give; coverage counts how often each was drawn.
 */
import { functionByOid, isImplemented, operatorByOid } from '../../../src/sql/functions/index.ts'
import type { postgres } from './databases.ts'
import type { Draw } from './random.ts'
import { pools } from './tables.ts'

export interface Callable {
  readonly name: string
  readonly args: readonly string[]
  readonly result: string
  readonly kind: 'operator' | 'function'
}

export interface Column {
  readonly sql: string
  readonly type: string
}

export interface Vocabulary {
  readonly byResult: ReadonlyMap<string, readonly Callable[]>
  readonly casts: ReadonlyMap<string, readonly string[]>
  readonly drawn: Map<Callable, number>
  readonly all: readonly Callable[]
}

// Depend on the clock, the session or the server, or make values too large to print.
const left =
  /^(pg_|has_|to_reg|lo_|txid_|inet_|ts_|xml|current_|col_desc|obj_desc|shobj|row_security|set_|get|version|now$|statement_|transaction_|clock_|timeofday|random|gen_random|uuid|repeat$|lpad$|rpad$|format_type|database_to|schema_to|table_to|query_to|cursor_to|hash.*extended|hash|like_escape|json_in|cash|bt.*cmp|.*_(larger|smaller|accum|support|sortsupport|combine|inv|send|recv)$|interval_.*transform|.*_transform|nameconcat|unicode|normalize|is_normalized|date_part_common|satisfies|amvalidate|factorial|numeric_(fac|exp|pow)|numeric_power|power|pow|dpow|byteacmp|bpcharcmp|bitcmp|varbitcmp|bttext|name.*cmp|exp|dexp|gcd|lcm|crc|array_sample|array_shuffle|to_char|to_number|to_timestamp|to_date|mode_final)/

/** What both sides can do with the types of the pools. */
export async function vocabulary(db: Awaited<ReturnType<typeof postgres>>): Promise<Vocabulary> {
  const names = Object.keys(pools)
  const list = names.map((n) => `'${n}'`).join(',')
  const { rows: operators } = await db.query<any>(
    `select o.oid::int, oprname, l.typname as l, r.typname as r, t.typname as t from pg_operator o left join pg_type l on l.oid = oprleft join pg_type r on r.oid = oprright join pg_type t on t.oid = oprresult
     where o.oid < 16384 and (oprleft = 0 or l.typname in (${list})) and r.typname in (${list}) and t.typname in (${list}) order by o.oid`,
  )
  const { rows: functions } = await db.query<any>(
    `select p.oid::int, proname, t.typname as t, array(select typname::text from unnest(proargtypes) with ordinality x(o, n) join pg_type y on y.oid = x.o order by n) as args, proretset, prokind, provolatile
     from pg_proc p join pg_type t on t.oid = prorettype where p.oid < 16384 and t.typname in (${list}) and prokind = 'f' and not proretset and provolatile <> 'v' and provariadic = 0 order by p.oid`,
  )
  const all: Callable[] = []
  for (const o of operators) {
    const ours = operatorByOid(o.oid)
    const code = ours === undefined ? undefined : functionByOid(ours.code)
    if (code === undefined || !isImplemented(code) || o.oprname === '^') continue
    all.push({ kind: 'operator', name: o.oprname, args: o.l === null ? [o.r] : [o.l, o.r], result: o.t })
  }
  for (const f of functions) {
    const ours = functionByOid(f.oid)
    if (ours === undefined || !isImplemented(ours) || left.test(f.proname)) continue
    if (f.args.length === 0 || f.args.length > 4 || !f.args.every((a: string) => names.includes(a))) continue
    if (f.proname === 'age' && f.args.length === 1) continue
    // Length coercions take a type modifier, and the planner drops calls that change nothing.
    if (names.includes(f.proname) && f.args.length > 1) continue
    all.push({ kind: 'function', name: f.proname, args: f.args, result: f.t })
  }
  const byResult = new Map<string, Callable[]>()
  for (const c of all) byResult.set(c.result, [...(byResult.get(c.result) ?? []), c])
  const { rows: castRows } = await db.query<any>(
    `select s.typname as s, t.typname as t from pg_cast join pg_type s on s.oid = castsource join pg_type t on t.oid = casttarget where s.typname in (${list}) and t.typname in (${list}) and s.oid <> t.oid order by 1, 2`,
  )
  const casts = new Map<string, string[]>()
  for (const c of castRows) casts.set(c.t, [...(casts.get(c.t) ?? []), c.s])
  return { byResult, casts, drawn: new Map(), all }
}

export const typeNames = Object.keys(pools)

export class Expressions {
  readonly draw: Draw
  readonly words: Vocabulary
  readonly columns: readonly Column[]

  constructor(draw: Draw, words: Vocabulary, columns: readonly Column[]) {
    this.draw = draw
    this.words = words
    this.columns = columns
  }

  literal(type: string): string {
    const { draw } = this
    if (draw.chance(0.08)) return draw.chance(0.3) ? 'null' : `null::${type}`
    const text = draw.of(pools[type])
    if (/^(int4|int8|numeric)$/.test(type) && draw.chance(0.5) && /^\d+(\.\d+)?$/.test(text)) return text
    if (type === 'bool' && draw.chance(0.5)) return text === 't' ? 'true' : 'false'
    return draw.chance(0.2) ? `'${text}'` : `'${text}'::${type}`
  }

  leaf(type: string): string {
    const own = this.columns.filter((c) => c.type === type)
    return own.length > 0 && this.draw.chance(0.6) ? this.draw.of(own).sql : this.literal(type)
  }

  /** An expression of this type (where the sides resolve it otherwise, of another one). */
  of(type: string, depth: number): string {
    const { draw } = this
    if (depth <= 0 || draw.chance(0.15)) return this.leaf(type)
    const kind = draw.next()
    if (type === 'bool' && kind < 0.45) return this.condition(depth)
    if (kind < 0.08)
      return `case when ${this.of('bool', depth - 1)} then ${this.of(type, depth - 1)}${draw.chance(0.6) ? ` else ${this.of(type, depth - 1)}` : ''} end`
    if (kind < 0.12) {
      const subject = draw.of(typeNames)
      return `case ${this.of(subject, depth - 1)} when ${this.of(subject, depth - 1)} then ${this.of(type, depth - 1)} else ${this.of(type, depth - 1)} end`
    }
    if (kind < 0.16) return `coalesce(${this.of(type, depth - 1)}, ${this.of(type, depth - 1)})`
    if (kind < 0.19 && type !== 'json') return `nullif(${this.of(type, depth - 1)}, ${this.of(type, depth - 1)})`
    if (kind < 0.22 && type !== 'json')
      return `${draw.of(['greatest', 'least'])}(${this.of(type, depth - 1)}, ${this.of(type, depth - 1)})`
    if (kind < 0.28) return this.cast(type, depth)
    if (kind < 0.3 && type.startsWith('_'))
      return `array[${this.of(type.slice(1), depth - 1)}, ${this.of(type.slice(1), depth - 1)}]`
    if (kind < 0.32 && pools[`_${type}`] !== undefined)
      return `(${this.of(`_${type}`, depth - 1)})[${draw.of(['1', '2', '0', 'null'])}]`
    return this.call(type, depth)
  }

  cast(type: string, depth: number): string {
    const from = this.words.casts.get(type)
    const source = from === undefined || this.draw.chance(0.2) ? 'text' : this.draw.of(from)
    const target =
      type === 'numeric' && this.draw.chance(0.3)
        ? 'numeric(10,2)'
        : type === 'varchar' && this.draw.chance(0.3)
          ? 'varchar(2)'
          : type
    return `(${this.of(source, depth - 1)})::${target}`
  }

  call(type: string, depth: number): string {
    const options = this.words.byResult.get(type)
    if (options === undefined) return this.leaf(type)
    const operators = options.filter((o) => o.kind === 'operator')
    const chosen = operators.length > 0 && this.draw.chance(0.6) ? this.draw.of(operators) : this.draw.of(options)
    return this.callOf(chosen, depth)
  }

  /** A call of this operator or function. */
  callOf(chosen: Callable, depth: number): string {
    this.words.drawn.set(chosen, (this.words.drawn.get(chosen) ?? 0) + 1)
    const args = chosen.args.map((a) => this.of(a, depth - 1))
    if (chosen.kind === 'function') return `"${chosen.name}"(${args.join(', ')})`
    return args.length === 1 ? `(${chosen.name} (${args[0]}))` : `((${args[0]}) ${chosen.name} (${args[1]}))`
  }

  condition(depth: number): string {
    const { draw } = this
    const d = depth - 1
    const type = draw.of(typeNames.filter((t) => t !== 'json'))
    const kind = draw.below(11)
    switch (kind) {
      case 0:
        return `(${this.of('bool', d)} and ${this.of('bool', d)})`
      case 1:
        return `(${this.of('bool', d)} or ${this.of('bool', d)})`
      case 2:
        return `(not ${this.of('bool', d)})`
      case 3:
        return `((${this.of(type, d)}) is ${draw.chance(0.5) ? 'not ' : ''}null)`
      case 4:
        return `((${this.of('bool', d)}) is ${draw.of(['true', 'false', 'unknown', 'not true', 'not false', 'not unknown'])})`
      case 5:
        return `((${this.of(type, d)}) is ${draw.chance(0.5) ? 'not ' : ''}distinct from (${this.of(type, d)}))`
      case 6:
        return `((${this.of(type, d)}) ${draw.chance(0.3) ? 'not ' : ''}in (${draw.times(1, 4, () => this.of(type, d - 1)).join(', ')}))`
      case 7:
        return `((${this.of(type, d)}) ${draw.of(['', 'not '])}between ${draw.of(['', 'symmetric '])}(${this.of(type, d)}) and (${this.of(type, d)}))`
      case 8:
        return `((${this.of('text', d)}) ${draw.of(['like', 'not like', 'ilike', '~', '!~', '~*', 'similar to'])} (${this.of('text', 0)}))`
      case 9:
        return `((${this.of('int4', d)}) ${draw.of(['=', '<>', '<', '>='])} ${draw.of(['any', 'all'])} (${this.of('_int4', d)}))`
      default: {
        const other = draw.of(typeNames.filter((t) => t !== 'json'))
        return `((${this.of(type, d)}, ${this.of(other, d)}) ${draw.of(['=', '<>', '<', '<=', '>'])} (${this.of(type, d)}, ${this.of(other, d)}))`
      }
    }
  }
}
