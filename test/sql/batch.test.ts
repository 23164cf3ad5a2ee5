/**
 * The batch tier answers as the row tier does, rows and errors alike: random conditions, groupings and aggregates over a
 * table of many types with NULLs, extremes, NaNs and infinities, whose rows are deleted, superseded, of older layouts, in
 * tables and in memory, committed and not. SEED=n draws others; a failure prints the statement and its seed.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Client, open, type Queryable } from '../../src/client/index.ts'
import { inlines } from '../../src/sql/execute/batch-inline.ts'
import { Draw } from './differential/random.ts'

const seed = Number(process.env.SEED ?? 1)
const statements = Number(process.env.COUNT ?? 500)

const pools: Record<string, readonly string[]> = {
  i2: ['0', '1', '-1', '3', '32767', '-32768', '100'],
  i4: ['0', '1', '-1', '7', '2147483647', '-2147483648', '46341', '1000', '12', '5'],
  i8: [
    '0',
    '1',
    '-1',
    '9007199254740991',
    '9007199254740993',
    '9223372036854775807',
    '-9223372036854775808',
    '42',
    '77',
  ],
  f4: ['0', '1.5', '-2.25', 'NaN', 'Infinity', '3e38', '-0'],
  f8: ['0', '1.5', '-2.25', 'NaN', 'Infinity', '-Infinity', '1e308', '1e-308', '-0', '0.1'],
  b: ['true', 'false'],
  d: ['2020-01-01', '1999-12-31', 'infinity', '-infinity', '2024-02-29', '0001-01-01'],
  ts: ['2020-01-01 00:00:00', '1999-12-31 23:59:59.123456', 'infinity', '-infinity', '290000-01-01 00:00:00'],
  tz: ['2020-01-01 00:00:00+00', '2024-07-15 06:00:00-05', 'infinity'],
  t: ['', 'a', 'b', 'abc', 'äöü', 'hello world', 'A', '😀'],
  vc: ['', 'a', 'x', 'yy'],
  n: ['0', '1.50', '1.5', '-3.25', 'NaN', '99999999999999999999.5'],
  added: ['5', '6', '2147483647'],
  extra: ['x', 'y'],
}
const types: Record<string, string> = {
  i2: 'int2',
  i4: 'int4',
  i8: 'int8',
  f4: 'float4',
  f8: 'float8',
  b: 'bool',
  d: 'date',
  ts: 'timestamp',
  tz: 'timestamptz',
  t: 'text',
  vc: 'varchar(5)',
  n: 'numeric',
  added: 'int4',
  extra: 'text',
}
const columns = Object.keys(types)
const ints = ['i2', 'i4', 'i8', 'added']
const floats = ['f4', 'f8']

/** Random expressions over the table's columns. */
class Expressions {
  readonly draw: Draw

  constructor(draw: Draw) {
    this.draw = draw
  }

  literal(column: string): string {
    return `'${this.draw.of(pools[column])}'::${types[column].replace(/\(.*/, '')}`
  }

  number(depth: number): string {
    const { draw } = this
    const kind = draw.next()
    if (depth === 0 || kind < 0.3) return draw.of(ints)
    if (kind < 0.4) return this.literal(draw.of(ints))
    if (kind < 0.75)
      return `(${this.number(depth - 1)} ${draw.of(['+', '-', '*', '/', '%'])} ${this.number(depth - 1)})`
    if (kind < 0.8) return `(- ${this.number(depth - 1)})`
    if (kind < 0.84) return `abs(${this.number(depth - 1)})`
    if (kind < 0.9) return `coalesce(${this.number(depth - 1)}, ${draw.below(9)})`
    if (kind < 0.91) return `nullif(${this.number(depth - 1)}, ${draw.of(ints)})`
    if (kind < 0.92) return `case t when 'a' then 1 when vc then ${draw.of(ints)} when null then 3 end`
    if (kind < 0.94) return `${this.number(depth - 1)}::${draw.of(['int8', 'int4', 'int2'])}`
    return `case when ${this.condition(depth - 1)} then ${this.number(depth - 1)} else ${draw.below(9)} end`
  }

  float(depth: number): string {
    const { draw } = this
    if (depth === 0 || draw.chance(0.4)) return draw.of(floats)
    if (draw.chance(0.2)) return `${this.number(depth - 1)}::float8`
    return `(${this.float(depth - 1)} ${draw.of(['+', '-', '*', '/'])} ${draw.chance(0.3) ? '2.5::float8' : this.float(depth - 1)})`
  }

  condition(depth: number): string {
    const { draw } = this
    const kind = draw.next()
    const compare = () => draw.of(['=', '<>', '<', '<=', '>', '>='])
    if (depth > 0 && kind < 0.3)
      return `(${this.condition(depth - 1)} ${draw.of(['and', 'or'])} ${this.condition(depth - 1)})`
    if (depth > 0 && kind < 0.36) return `(not ${this.condition(depth - 1)})`
    if (kind < 0.44) return `(${draw.of(columns)} is ${draw.chance(0.5) ? 'not ' : ''}null)`
    if (kind < 0.6) return `(${this.number(depth)} ${compare()} ${this.number(Math.max(0, depth - 1))})`
    if (kind < 0.66) return `(${this.float(depth)} ${compare()} ${this.float(0)})`
    if (kind < 0.7) return `(b is ${draw.of(['true', 'not true', 'false', 'unknown', 'not unknown'])})`
    if (kind < 0.74) return draw.of(['b', '(b = true)', '(not b)', 'coalesce(b, false)'])
    if (kind < 0.8)
      return `(i4 in (${draw.times(1, 4, () => draw.of(pools.i4)).join(', ')}${draw.chance(0.2) ? ', null' : ''}))`
    if (kind < 0.84) return `(t in ('a', 'abc', 'äöü'))`
    if (kind < 0.92)
      return `(${draw.of(['t', 'vc', 'extra'])} ${draw.of(['=', '<>'])} ${draw.of(['t', 'vc', this.literal('t')])})`
    if (kind < 0.93) return `(length(t) > ${draw.below(4)})`
    if (kind < 0.95) {
      const [a, b] = draw.of([
        ['i4', 'i8'],
        ['t', 'vc'],
        ['t', 'null'],
        ['b', 'true'],
        ['d', 'd'],
        ['f8', 'f4'],
        ['n', "'NaN'"],
      ])
      return `(${a} is ${draw.chance(0.5) ? 'not ' : ''}distinct from ${b})`
    }
    if (kind < 0.96) return `(n ${compare()} ${this.literal('n')})`
    const column = draw.of(['d', 'ts', 'tz'])
    return `(${column} ${compare()} ${this.literal(column)})`
  }

  aggregate(): string {
    const { draw } = this
    const filter = draw.chance(0.15) ? ` filter (where ${this.condition(1)})` : ''
    const kind = draw.next()
    if (kind < 0.15) return `count(*)${filter}`
    if (kind < 0.25) return `count(${draw.of(columns)})${filter}`
    if (kind < 0.5) return `${draw.of(['sum', 'avg'])}(${draw.chance(0.6) ? draw.of(ints) : this.number(2)})${filter}`
    if (kind < 0.6)
      return `${draw.of(['sum', 'avg', 'min', 'max'])}(${draw.chance(0.6) ? draw.of(floats) : this.float(1)})${filter}`
    if (kind < 0.7) return `${draw.of(['sum', 'avg', 'max'])}(n)${filter}`
    if (kind < 0.75) return `${draw.of(['bool_and', 'bool_or'])}(b)${filter}`
    if (kind < 0.78) return `string_agg(t, ',')${filter}`
    return `${draw.of(['min', 'max'])}(${draw.of(['i2', 'i4', 'i8', 'd', 'ts', 'tz', 't', 'added'])})${filter}`
  }

  key(): string {
    const { draw } = this
    return draw.of([
      ...columns,
      'i4 % 10',
      'i8 / 1000',
      'i2 + 1',
      'b',
      't',
      'upper(t)',
      "coalesce(vc, 'none')",
      'd',
      'i4 > 5',
    ])
  }

  statement(): string {
    const { draw } = this
    const low = draw.below(2500)
    const range = draw.of(['id >= ', 'id < ', `id between ${draw.below(low + 1)} and `, 'id in (5, 7, 900, 5, '])
    const within = `${range}${low}${range.includes('(') ? ')' : ''}`
    const conditions = [...(draw.chance(0.25) ? [within] : []), ...(draw.chance(0.7) ? [this.condition(2)] : [])]
    const where = conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`
    if (draw.chance(0.25))
      return `select id, ${draw.of(columns)} from t${where}${draw.chance(0.3) ? ` limit ${draw.below(20)}` : ''}`
    const keys = draw.times(0, 3, () => this.key())
    const calls = draw.times(keys.length === 0 ? 1 : 0, 4, () => this.aggregate())
    const having = draw.chance(0.1) ? ' having count(*) > 1' : ''
    return `select ${[...keys, ...calls].join(', ')} from t${where}${keys.length > 0 ? ` group by ${keys.map((_, i) => i + 1).join(', ')}` : ''}${having}`
  }
}

let directory = ''
let db: Client

function rows(draw: Draw, from: number, to: number, names: readonly string[]): string {
  const out: string[] = []
  for (let id = from; id < to; id++) {
    const values = names.map((c) => (draw.chance(0.2) ? 'null' : `'${value(draw, c)}'`))
    out.push(`(${[id, ...values].join(', ')})`)
  }
  return `insert into t (id, ${names.join(', ')}) values ${out.join(', ')}`
}

/** Mostly plain values, so that not every sum overflows. */
function value(draw: Draw, column: string): string {
  if (ints.includes(column) && draw.chance(0.9)) return String(draw.below(200) - 100)
  if (floats.includes(column) && draw.chance(0.9)) return String((draw.below(800) - 400) / 8)
  return draw.of(pools[column])
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'lattice-batch-'))
  db = await open(directory)
  const draw = new Draw(seed)
  const first = columns.filter((c) => c !== 'added' && c !== 'extra')
  await db.query(`create table t (id int primary key, gone int4, ${first.map((c) => `${c} ${types[c]}`).join(', ')})`)
  await db.query(rows(draw, 0, 700, first))
  await db.query('vacuum t')
  await db.query('alter table t add column added int4 default 5')
  await db.query(rows(draw, 700, 1400, [...first, 'added']))
  await db.query('alter table t drop column gone')
  await db.query('alter table t add column extra text')
  await db.query(rows(draw, 1400, 2500, columns))
  await db.query('delete from t where id % 11 = 3')
  await db.query('update t set i4 = id, t = $1 where id % 10 = 0', ['newer'])
})
after(async () => {
  await db.close()
  await rm(directory, { recursive: true })
})

async function answer(on: Queryable, sql: string, batchRows: number): Promise<string> {
  await on.query(`set lattice.batch_rows = ${batchRows}`)
  try {
    return JSON.stringify((await on.query(sql)).rows.map((r) => Object.values(r as object).map(shown)))
  } catch (error) {
    return `${(error as { code: string }).code} ${(error as Error).message}`
  }
}

function shown(v: unknown): string | null {
  if (v === null) return null
  return Object.is(v, -0) ? '-0' : v instanceof Date ? String(v.getTime()) : String(v)
}

const rowTier = 2_000_000_000
/** Thrown so that a savepoint is rolled back. */
const undone = new Error('undone')

async function compare(from: number, count: number): Promise<{ failed: number; differences: string[] }> {
  const differences: string[] = []
  let failed = 0
  for (let i = from; i < from + count; i++) {
    const sql = new Expressions(new Draw(seed * 1_000_003 + i)).statement()
    const batch = await answer(db, sql, 0)
    const row = await answer(db, sql, rowTier)
    if (row.startsWith('[') === false) failed++
    if (batch !== row)
      differences.push(
        `SEED=${seed}, statement ${i}: ${sql}\n  batch ${batch.slice(0, 400)}\n  row   ${row.slice(0, 400)}`,
      )
  }
  return { failed, differences }
}

test('random statements over committed rows', async (t) => {
  const { failed, differences } = await compare(0, statements)
  let batched = 0
  await db.query('set lattice.batch_rows = 0')
  for (let i = 0; i < 100; i++) {
    const plan = await db.query(`explain ${new Expressions(new Draw(seed * 1_000_003 + i)).statement()}`)
    if (JSON.stringify(plan.rows).includes('Batch')) batched++
  }
  t.diagnostic(`SEED=${seed}: ${statements} statements, ${failed} refused by both; ${batched} of 100 in batches`)
  assert.ok(batched > 50)
  assert.equal(differences.length, 0, differences.slice(0, 3).join('\n'))
})

test('random statements over rows that the transaction has written', async () => {
  const tx = await db.begin()
  try {
    await tx.query("update t set i4 = i4 / 2, t = 'own' where id % 7 = 0")
    await tx.query('delete from t where id % 13 = 0')
    await tx.query('insert into t (id, i4) select g, g from generate_series(5000, 5050) g')
    const differences: string[] = []
    for (let i = 0; i < statements / 5; i++) {
      const sql = new Expressions(new Draw(seed * 7_000_003 + i)).statement()
      const answers: string[] = []
      for (const batchRows of [0, rowTier]) {
        await tx
          .savepoint(async (inner) => {
            answers.push(await answer(inner, sql, batchRows))
            throw undone
          })
          .catch((error) => assert.equal(error, undone))
      }
      if (answers[0] !== answers[1])
        differences.push(`SEED=${seed}, ${i}: ${sql}\n  ${answers.join('\n  ').slice(0, 600)}`)
    }
    assert.equal(differences.length, 0, differences.slice(0, 3).join('\n'))
  } finally {
    await tx.rollback()
  }
})

test('additions that subtract are found', async () => {
  const right = [...inlines].filter(([name]) => /^int\d+pl$/.test(name))
  for (const [name, inline] of right) inlines.set(name, { ...inline, code: (a, b) => `${a} - ${b}` })
  try {
    const { differences } = await compare(1_000_000, 150)
    assert.ok(differences.length > 0)
  } finally {
    for (const [name, inline] of right) inlines.set(name, inline)
  }
})

test('EXPLAIN says what is done in batches', async () => {
  const explained = async (sql: string) =>
    (await db.query(`explain (costs off) ${sql}`)).rows.map((r) => Object.values(r as object)[0])
  await db.query('set lattice.batch_rows = 100')
  assert.deepEqual(await explained('select t, count(*) from t where i4 > 5 group by t'), [
    'Batch Aggregate on t',
    '  Group Key: t',
    '  Filter: (i4 > 5)',
  ])
  assert.deepEqual(await explained('select id from t where i4 > 5 and length(t) = 2'), [
    'Batch Seq Scan on t',
    '  Filter: (i4 > 5) AND (length(t) = 2)',
  ])
  assert.deepEqual(await explained('select count(*) from t where id > 5 and i4 > 5'), [
    'Batch Aggregate using t_pkey on t',
    '  Index Cond: (id > 5)',
    '  Filter: (i4 > 5)',
  ])
  assert.deepEqual(await explained('select t from t where id between 5 and 2000 and i4 > 5'), [
    'Batch Index Scan using t_pkey on t',
    '  Index Cond: (id >= 5) AND (id <= 2000)',
    '  Filter: (i4 > 5)',
  ])
  await db.query('set lattice.batch_rows = 1000000')
  assert.deepEqual(await explained('select t, count(*) from t group by t'), [
    'HashAggregate',
    '  Group Key: t',
    '  ->  Seq Scan on t',
  ])
})
