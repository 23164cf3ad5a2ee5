/**
 * Runs sqllogictest files (the format of SQLite's suite) over the PostgreSQL protocol.
 *
 *   statement ok|error          must succeed or fail
 *   query <types> <sort> [label]  result compared with what follows ----, or with its hash
 *
 *   node test/conformance/sqllogictest.ts FILE… [--url postgres://…] [--no-cache] [--from N] [--share K/N]
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import pg from 'pg'

export interface Failure {
  readonly file: string
  readonly line: number
  readonly sql: string
  readonly why: string
}

interface Record {
  readonly line: number
  readonly kind: 'ok' | 'error' | 'query'
  readonly sql: string
  readonly types: string
  readonly sort: string
  readonly expected: readonly string[]
}

/** Records for PostgreSQL: those that are skipped for it, or only for others, are left out. */
export function parseFile(text: string): Record[] {
  const lines = text.split('\n')
  const out: Record[] = []
  let i = 0
  while (i < lines.length) {
    let skip = false
    while (i < lines.length && /^(#|$|skipif|onlyif|hash-threshold|halt)/.test(lines[i])) {
      if (/^skipif postgresql\b/.test(lines[i]) || /^onlyif (?!postgresql)/.test(lines[i])) skip = true
      i++
    }
    if (i >= lines.length) break
    const head = lines[i].split(/\s+/)
    const start = i++
    const sql: string[] = []
    while (i < lines.length && lines[i] !== '' && lines[i] !== '----') sql.push(lines[i++])
    const expected: string[] = []
    if (lines[i] === '----') {
      i++
      while (i < lines.length && lines[i] !== '') expected.push(lines[i++])
    }
    if (skip) continue
    if (head[0] === 'statement')
      out.push({
        line: start + 1,
        kind: head[1] as 'ok' | 'error',
        sql: sql.join('\n'),
        types: '',
        sort: '',
        expected: [],
      })
    else if (head[0] === 'query')
      out.push({
        line: start + 1,
        kind: 'query',
        sql: sql.join('\n'),
        types: head[1],
        sort: head[2] ?? 'nosort',
        expected,
      })
  }
  return out
}

function cell(value: string | null, type: string): string {
  if (value === null) return 'NULL'
  if (type === 'I') return String(Math.trunc(Number(value)))
  if (type === 'R') return Number(value).toFixed(3)
  return value === '' ? '(empty)' : value.replace(/[\x00-\x1f\x7f-\uffff]/g, '@')
}

function flatten(rows: readonly (string | null)[][], r: Record): string[] {
  const cells = rows.map((row) => row.map((v, i) => cell(v, r.types[i] ?? 'T')))
  if (r.sort === 'rowsort') cells.sort((a, b) => compare(a.join('\u0001'), b.join('\u0001')))
  const flat = cells.flat()
  return r.sort === 'valuesort' ? flat.sort(compare) : flat
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function matches(actual: readonly string[], expected: readonly string[]): boolean {
  const hash = expected.length === 1 ? /^(\d+) values hashing to ([0-9a-f]{32})$/.exec(expected[0]) : null
  if (hash === null) return actual.length === expected.length && actual.every((v, i) => v === expected[i])
  const md5 = createHash('md5')
  for (const v of actual) md5.update(`${v}\n`)
  return actual.length === Number(hash[1]) && md5.digest('hex') === hash[2]
}

export interface RunOptions {
  readonly url: string
  readonly cache?: boolean
  /** Runs every query whose number modulo `of` is `part`; all statements always run. */
  readonly share?: { readonly part: number; readonly of: number }
}

export interface Outcome {
  readonly passed: number
  readonly failures: readonly Failure[]
}

export async function runFile(path: string, options: RunOptions): Promise<Outcome> {
  const client = new pg.Client({ connectionString: options.url })
  await client.connect()
  const types = { getTypeParser: () => (v: unknown) => v }
  const name = basename(path)
  const schema = `slt_${name.replace(/\W/g, '_')}_${options.cache === false ? 'plain' : 'cached'}`
  let passed = 0
  const failures: Failure[] = []
  let queries = 0
  try {
    await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    await client.query(`CREATE SCHEMA ${schema}`)
    await client.query(`SET search_path = ${schema}`)
    if (options.cache === false) await client.query('SET lattice.plan_cache = off')
    for (const r of parseFile(readFileSync(path, 'utf8'))) {
      if (r.kind === 'query' && options.share !== undefined && queries++ % options.share.of !== options.share.part)
        continue
      const fail = (why: string) => failures.push({ file: name, line: r.line, sql: r.sql, why })
      try {
        const result = await client.query({ text: r.sql, rowMode: 'array', types: types as never })
        if (r.kind === 'error') fail('succeeded, but must fail')
        else if (r.kind === 'query') {
          const actual = flatten(result.rows as never, r)
          if (matches(actual, r.expected)) passed++
          else
            fail(
              `got ${actual.slice(0, 12).join(' ')}${actual.length > 12 ? ' …' : ''} (${actual.length} values), expected ${r.expected.slice(0, 12).join(' ')}`,
            )
        } else passed++
      } catch (error) {
        if (r.kind === 'error') passed++
        else fail(`${(error as { code?: string }).code ?? ''} ${(error as Error).message}`)
      }
    }
    await client.query(`DROP SCHEMA ${schema} CASCADE`)
  } finally {
    await client.end()
  }
  return { passed, failures }
}

if (process.argv[1] === import.meta.filename) {
  const args = process.argv.slice(2)
  const option = (flag: string): string | undefined => {
    const at = args.indexOf(flag)
    return at < 0 ? undefined : args.splice(at, 2)[1]
  }
  const url = option('--url') ?? 'postgres://lattice@127.0.0.1:7432/lattice'
  const share = option('--share')?.split('/').map(Number)
  const plain = args.indexOf('--no-cache')
  if (plain >= 0) args.splice(plain, 1)
  let failed = 0
  let passed = 0
  for (const file of args) {
    const started = performance.now()
    const outcome = await runFile(file, {
      url,
      cache: plain < 0 && !url.includes('postgres@'),
      share: share && { part: share[0], of: share[1] },
    })
    passed += outcome.passed
    failed += outcome.failures.length
    for (const f of outcome.failures.slice(0, 15))
      console.log(`${f.file}:${f.line}  ${f.why}\n    ${f.sql.slice(0, 300).replaceAll('\n', ' ')}`)
    console.log(
      `${basename(file)}: ${outcome.passed} passed, ${outcome.failures.length} failed, ${((performance.now() - started) / 1000).toFixed(1)} s`,
    )
  }
  console.log(`${passed} passed, ${failed} failed`)
  process.exit(failed === 0 ? 0 : 1)
}
