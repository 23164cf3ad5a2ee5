/**
 * Mutated statements. Whatever arrives, a session answers with rows or with an error that has a SQLSTATE, in time, and
 * serves the next statement: never an internal error (XX000).
 *
 *   replay:  SEED=<n> node --test test/bad-input/sql-fuzz.test.ts       longer:  STATEMENTS=100000 SEED=… node --test …
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { test } from 'node:test'
import { DbError, END, WAIT } from '../../src/base/index.ts'
import { nodeIo } from '../../src/io/node/index.ts'
import { openDatabase } from '../../src/node/index.ts'
import type { RowSink, SqlDatabase, SqlSession } from '../../src/sql/session-api.ts'
import { loadStatements } from './sql-corpus.ts'

const seed = Number(process.env.SEED ?? 20_261_120)
const statements = Number(process.env.STATEMENTS ?? 4000)
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

const tokenPattern = /'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\$[^]*?\$\$|\$?\w+(?:\.\d+)?|\s+|::|[<>=!~*|&#@-]+|[^]/g
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
  readonly #functions: readonly string[]

  constructor(random: (bound: number) => number, corpus: readonly string[][], functions: readonly string[]) {
    this.#random = random
    this.#corpus = corpus
    this.#functions = functions
  }

  statement(): string {
    const tokens = [...this.#pick(this.#corpus)]
    for (let i = this.#random(4); i >= 0; i--) this.#mutate(tokens)
    return tokens.join('')
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#random(list.length)]
  }

  #mutate(tokens: string[]): void {
    const at = this.#random(tokens.length)
    switch (this.#random(9)) {
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
        this.#replace(tokens, at, /^['\d$]/, () => this.#pick(literals))
        break
      case 4:
        this.#replace(tokens, at, /^[a-z_"]\w*/i, () => this.#pick(this.#pick(this.#corpus)))
        break
      case 5:
        this.#replace(
          tokens,
          at,
          /^['\d$a-z_]/i,
          (t) => `${this.#pick(this.#functions)}(${t}${this.#random(2) ? `, ${this.#pick(literals)}` : ''})`,
        )
        break
      case 6:
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
  } catch (error) {
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
  const functions = functionNames(root)
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
  session.close()
  await opened.close()
  await io.stop()
  assert.equal(
    found.length,
    0,
    `${found.join('\n\n')}\n\nreplay: SEED=${seed} STATEMENTS=${statements} node --test test/bad-input/sql-fuzz.test.ts`,
  )
})

/** Names of PostgreSQL's functions, ours and others. */
function functionNames(root: string): string[] {
  const text = readFileSync(join(root, 'src/sql/catalog/data/pg_proc.json'), 'utf8')
  const names = new Set(Array.from(text.matchAll(/"([a-z][a-z0-9_]{2,40})"/g), (m) => m[1]))
  for (const name of ['pg_sleep', 'pg_terminate_backend', 'pg_reload_conf']) names.delete(name)
  return [...names]
}
