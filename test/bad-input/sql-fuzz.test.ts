/**
 * Mutated statements. Whatever arrives, a session answers with rows or with an error that has a SQLSTATE, in time, and
 * serves the next statement: never an internal error (XX000).
 *
 *   replay:  SEED=<n> node --test test/bad-input/sql-fuzz.test.ts       longer:  STATEMENTS=100000 SEED=… node --test …
 */
import assert from 'node:assert/strict'
import { resolve } from 'node:path'
import { test } from 'node:test'
import { DbError, END, WAIT } from '../../src/base/index.ts'
import { nodeIo } from '../../src/io/node/index.ts'
import { openDatabase } from '../../src/node/index.ts'
import type { RowSink, SqlDatabase, SqlSession } from '../../src/sql/session-api.ts'
import { loadStatements } from './sql-corpus.ts'

const seed = Number(process.env.SEED ?? 20_261_120)
const statements = Number(process.env.STATEMENTS ?? 8000)
const root = resolve(import.meta.dirname, '../..')
/** A statement may take this long, its time limit included; milliseconds. */
const patience = 3000

/** A small generator with a period that is long enough (mulberry32). */
function generator(state: number): (bound: number) => number {
  return (bound) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % bound
  }
}

const tokenPattern = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\$[\s\S]*?\$\$|\$?\w+(?:\.\d+)?|\s+|::|[<>=!~*|&#@-]+|[\s\S]/g
const literals = [
  'null',
  '0',
  '-1',
  '1',
  '2147483647',
  '-2147483648',
  '9223372036854775807',
  '1e308',
  "''",
  "'x'",
  "'2024-02-30'",
  "'infinity'",
  "'NaN'",
  "'{}'",
  "'{1,null}'",
  "'[]'",
  '\'{"a":1}\'',
  "'\\x00'",
  'true',
  "interval '1 month'",
  "date '0001-01-01 BC'",
  'array[]::int[]',
  'array[1,2,null]',
  'row(1,2)',
  '(select 1)',
  '(select 1,2)',
  '$1',
  'default',
  '*',
  'current_date',
  '\'a\'::text collate "C"',
  '1.5::numeric',
  "'{}'::jsonb",
]
/** Values of types that functions take, at their edges. */
const values: Record<string, readonly string[]> = {
  integer: ['0', '-1', '1', '5', '2147483647', '-2147483648'],
  bigint: ['0', '-1', '9223372036854775807', '-9223372036854775808'],
  smallint: ['0', '-1', '32767'],
  numeric: ['0', '-1.5', '1e100', 'NaN', 'Infinity', '0.0000000001'],
  'double precision': ['0', '-0', '1e308', 'NaN', '-Infinity', '1e-320'],
  real: ['0', '1e38', 'NaN'],
  text: ['', 'a', 'ä€😀', '%', '\\\\', '(', '{1,2}', '2024-01-01', 'YYYY-MM-DD', 'hex', 'UTC', 'public', 'a,b'],
  name: ['', 'public', 't'],
  bytea: ['', '\\x00ff'],
  boolean: ['t', 'f'],
  date: ['2024-02-29', 'infinity', '4713-01-01 BC', '5874897-12-31'],
  'timestamp without time zone': ['2024-02-29 12:00', '-infinity', '294276-12-31'],
  'timestamp with time zone': ['2024-02-29 12:00+14', 'infinity', '4713-01-01 BC'],
  interval: ['1 month', '-1 day', '178000000 years', '00:00:00.000001'],
  time: ['00:00', '24:00'],
  uuid: ['00000000-0000-0000-0000-000000000000'],
  json: ['null', '[]', '{"a":[1,{"b":null}]}', '1e400'],
  jsonb: ['null', '[]', '{"a":[1,{"b":null}]}', '"x"'],
  jsonpath: ['$', '$.a[*] ? (@ > 1)', 'lax $.**', 'strict $.x'],
  'text[]': ['{}', '{a,NULL}', '{{a},{b}}'],
  oid: ['0', '16384', '4294967295'],
  regclass: ['t', 'pg_class'],
  anyarray: ['{1,2,NULL}', '{}'],
  inet: ['127.0.0.1/8', '::1'],
}

interface Signature {
  readonly name: string
  readonly types: readonly string[]
}

const words = [
  'select',
  'from',
  'where',
  'group by',
  'having',
  'order by 1',
  'limit 1',
  'distinct',
  'union all select',
  'except select',
  'with x as (select 1)',
  'lateral',
  'left join',
  'using (id)',
  'on true',
  'over ()',
  'filter (where true)',
  'within group (order by 1)',
  'returning *',
  'for update',
  'case when',
  'end',
  'is null',
  'is distinct from',
  'between',
  'in',
  'any',
  'all',
  'exists',
  'not',
  'and',
  'or',
  'as a',
  'cast',
  'array',
  'row',
  'grouping sets ((), (1))',
  'window w as ()',
  'on conflict do nothing',
  'offset 1',
  'values (1)',
  'collate "C"',
  'at time zone',
  'similar to',
  'like',
  '[1]',
  '[1:2]',
  '.*',
  '::int',
  '::text',
  '::jsonb',
  '::regclass',
  '::int[]',
  '::numeric(3,1)',
  '::timestamptz',
  '::interval',
  ',',
  '(',
  ')',
  ';',
]

class Mutator {
  readonly #random: (bound: number) => number
  readonly #corpus: readonly string[][]
  readonly #functions: readonly Signature[]

  constructor(random: (bound: number) => number, corpus: readonly string[][], functions: readonly Signature[]) {
    this.#random = random
    this.#corpus = corpus
    this.#functions = functions
  }

  statement(): string {
    if (this.#random(3) === 0) return this.#call()
    const tokens = [...this.#pick(this.#corpus)]
    for (let i = this.#random(3); i >= 0; i--) this.#mutate(tokens)
    return tokens.join('')
  }

  /** A function of random arguments. */
  #call(): string {
    const { name, types } = this.#pick(this.#functions)
    const given = types.map((type) => {
      const known = values[type]
      if (this.#random(12) === 0) return 'null'
      if (known === undefined) return this.#pick(literals)
      return `'${this.#pick(known)}'::${type.startsWith('any') ? 'int[]' : type}`
    })
    const from = this.#pick([
      '',
      '',
      ' from t',
      ' from account group by balance',
      ' from generate_series(1, 3) g',
      ' over (order by 1)',
    ])
    return `select ${name}(${given.join(', ')})${from}`
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random(list.length)]
  }

  #mutate(tokens: string[]): void {
    const at = this.#random(tokens.length)
    switch (this.#random(20)) {
      case 0:
        tokens.splice(at, 1 + this.#random(3))
        break
      case 1:
        tokens.splice(at, 0, ` ${this.#pick(words)} `)
        break
      case 2: {
        const other = this.#pick(this.#corpus)
        const from = this.#random(other.length)
        tokens.splice(at, this.#random(3), ...other.slice(from, from + 1 + this.#random(12)))
        break
      }
      case 3:
      case 9:
      case 10:
      case 11:
        this.#replace(tokens, at, /^['\d$]/, () => this.#pick(literals))
        break
      case 4:
        this.#replace(tokens, at, /^[a-z_"]\w*/i, () => this.#pick(this.#pick(this.#corpus)))
        break
      case 5:
      case 12:
      case 13:
      case 14:
        this.#replace(
          tokens,
          at,
          /^['\d$a-z_]/i,
          (t) => `${this.#pick(this.#functions).name}(${t}${this.#random(2) ? `, ${this.#pick(literals)}` : ''})`,
        )
        break
      case 6:
      case 15:
      case 16:
      case 17:
        this.#replace(
          tokens,
          at,
          /^['\d$]/,
          (t) =>
            `(${t}${this.#pick([' + ', ' || ', ' = ', ' -> ', ' @> ', ' ~ ', ' in (', ' is distinct from '])}${this.#pick(literals)})`,
        )
        break
      case 7:
        ;[tokens[at], tokens[this.#random(tokens.length)]] = [tokens[this.#random(tokens.length)], tokens[at]]
        break
      default:
        this.#replace(tokens, at, /^['\d$a-z]/i, () => `(${this.#pick(this.#corpus).join('')})`)
    }
    if (tokens.length === 0) tokens.push('select 1')
  }

  /** The next token from `at` on that the pattern knows. */
  #replace(tokens: string[], at: number, pattern: RegExp, by: (token: string) => string): void {
    for (let i = 0; i < tokens.length; i++) {
      const k = (at + i) % tokens.length
      if (!pattern.test(tokens[k])) continue
      tokens[k] = by(tokens[k])
      return
    }
  }
}

const sink: RowSink = { row: () => true, copyOut: () => true }

/** How often a statement ended how: SHOW=1 prints it. */
const outcomes = new Map<string, number>()

function count(outcome: string): void {
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
}

/** Runs a script as the wire does. Answers what is no proper error. */
async function run(io: ReturnType<typeof nodeIo>, session: SqlSession, text: string): Promise<unknown> {
  let wrong: unknown
  try {
    const script = session.script(text)
    for (let portal = script.next(); portal !== undefined; portal = script.next()) {
      void portal.fields
      if (portal.copy?.direction === 'in') throw new DbError('query_canceled', 'no data')
      for (let step = portal.run(sink, 0); step !== END; step = portal.run(sink, 0)) {
        if (step === WAIT) await portal.ready()
        else await io.tasks.yield()
      }
      portal.close()
    }
    count('done')
  } catch (error) {
    count(error instanceof DbError ? error.sqlstate : 'other')
    wrong = isProper(error) ? undefined : error
    session.fail()
  }
  for (let step = session.sync(); step !== END; step = session.sync()) await session.ready()
  return wrong
}

function isProper(error: unknown): boolean {
  if (error instanceof DbError) return error.code !== 'internal_error'
  return error instanceof RangeError && /call stack/i.test(error.message)
}

async function open(io: ReturnType<typeof nodeIo>, database: SqlDatabase): Promise<SqlSession> {
  const parameters = new Map([
    ['statement_timeout', '300'],
    ['lock_timeout', '50'],
    ['lattice.statement_memory', '64MB'],
  ])
  const session = database.connect({ user: 'lattice', database: 'lattice', parameters, client: 'fuzz' })
  await run(io, session, 'select 1')
  return session
}

test(`mutated statements have proper errors (SEED=${seed} STATEMENTS=${statements})`, {
  timeout: 60_000 + statements * 50,
}, async () => {
  const io = nodeIo({ logLevel: 'silent' })
  const opened = await openDatabase({ io, directory: undefined })
  const { schema, corpus } = loadStatements(root)
  let session = await open(io, opened.database)
  for (const text of schema) assert.equal(await run(io, session, text), undefined, text)
  const functions = await functionsOf(io, session)
  assert.ok(functions.length > 500, `${functions.length} functions`)
  const mutator = new Mutator(
    generator(seed),
    corpus.map((text) => text.match(tokenPattern) ?? [' ']),
    functions,
  )
  const found: string[] = []
  for (let i = 0; i < statements && found.length < 20; i++) {
    if (i % 200 === 199) {
      session.close()
      session = await open(io, opened.database)
    }
    const text = mutator.statement()
    const before = performance.now()
    const wrong = await run(io, session, text)
    const took = performance.now() - before
    if (wrong !== undefined)
      found.push(`${(wrong as Error).stack?.split('\n').slice(0, 4).join('\n')}\n  in: ${text.slice(0, 2000)}`)
    if (took > patience) found.push(`${took.toFixed()} ms\n  in: ${text.slice(0, 2000)}`)
    if (session.status !== 'I' && i % 7 === 0) await run(io, session, 'rollback')
  }
  if (process.env.SHOW !== undefined) console.log([...outcomes].sort((a, b) => b[1] - a[1]).slice(0, 25))
  session.close()
  await opened.close()
  await io.stop()
  assert.equal(
    found.length,
    0,
    `${found.join('\n\n')}\n\nreplay: SEED=${seed} STATEMENTS=${statements} node --test test/bad-input/sql-fuzz.test.ts`,
  )
})

/** Functions that there are, with their argument types; without those that reach beyond the session. */
async function functionsOf(io: ReturnType<typeof nodeIo>, session: SqlSession): Promise<Signature[]> {
  const out: Signature[] = []
  const portal = session
    .script(`select proname, array_to_string(array(select format_type(a, null) from unnest(proargtypes::oid[]) a), ',')
    from pg_proc where prokind <> 'p' and proname !~ 'sleep|terminate|cancel|reload|rotate|promote|advisory|^pg_(start|stop|switch|import|export|log)|^lo_'`)
    .next()!
  const [name, types] = portal.fields!.map((field) => field.slot)
  const collect: RowSink = {
    row: (r) => {
      out.push({
        name: String(r[name]),
        types: String(r[types])
          .split(',')
          .filter((t) => t !== ''),
      })
      return true
    },
    copyOut: () => true,
  }
  while (portal.run(collect, 0) !== END) await io.tasks.yield()
  session.sync()
  return out
}
