/**
 * Runs generated statements on both sides and reports where they differ.
 *
 *   node test/sql/differential/runner.ts [--seed N] [--count N] [--kind expression|query|write] [--case I] [--all]
 *
 * A case is drawn from (seed, kind, number) alone: `--seed N --kind K --case I` replays it. `--all` goes on after
 * twenty differences, `--trace` writes every statement to stderr before it runs.
 */

import { writeSync } from 'node:fs'
import { difference } from './compare.ts'
import { type Answer, lattice, postgres, type Side } from './databases.ts'
import { counts } from './explained.ts'
import { Expressions, typeNames, type Vocabulary, vocabulary } from './expressions.ts'
import { Queries } from './queries.ts'
import { Draw } from './random.ts'
import { schema, tables } from './tables.ts'
import { Writes } from './writes.ts'

export interface Difference {
  readonly seed: number
  readonly kind: string
  readonly number: number
  readonly sql: string
  readonly why: string
}

export interface Report {
  readonly ran: number
  readonly failedOnBoth: number
  /** PGlite broke on them. */
  readonly unanswered: number
  readonly differences: readonly Difference[]
  readonly vocabulary: Vocabulary
}

type Make = (draw: Draw, words: Vocabulary) => string

export const kinds: Record<string, Make> = {
  expression: (draw, words) => {
    const over = draw.chance(0.5) ? draw.of(tables) : undefined
    const columns = over?.columns.map((c) => ({ sql: `x.${c.name}`, type: c.type })) ?? []
    const e = new Expressions(draw, words, columns)
    // Half of them are led by an operator or function drawn from all, so that each has its turn.
    const depth = 1 + draw.below(3)
    const expression = draw.chance(0.5) ? e.callOf(draw.of(words.all), depth) : e.of(draw.of(typeNames), depth)
    return `select ${expression}${over === undefined ? '' : ` from ${over.name} x`}`
  },
  query: (draw) => new Queries(draw).query(),
  write: (draw) => new Writes(draw).script(),
}

export interface RunOptions {
  readonly seed: number
  readonly count: number
  readonly kind: string
  readonly only?: number
  readonly enough?: number
  readonly said?: (d: Difference) => void
  /** Told before a statement is run. */
  readonly about?: (number: number, sql: string) => void
}

/** LatticeDB with settings that lead its statements another way: the answers must be the same. */
interface OtherWay {
  readonly name: string
  readonly side: Side
}

export class Comparison {
  readonly #ours: Side
  /** The same by other ways. */
  readonly #others: readonly OtherWay[]
  #theirs: Awaited<ReturnType<typeof postgres>>
  readonly #words: Vocabulary

  constructor(
    ours: Side,
    others: readonly OtherWay[],
    theirs: Awaited<ReturnType<typeof postgres>>,
    words: Vocabulary,
  ) {
    this.#ours = ours
    this.#others = others
    this.#theirs = theirs
    this.#words = words
  }

  static async open(seed: number): Promise<Comparison> {
    const [ours, theirs] = [await lattice(), await postgres()]
    const others = [
      { name: 'in batches', side: await lattice(['set lattice.batch_rows = 0']) },
      { name: 'sorting', side: await lattice(['set enable_hashjoin = off', 'set enable_hashagg = off']) },
    ]
    for (const sql of schema(new Draw(seed))) {
      for (const side of [ours, ...others.map((o) => o.side), theirs]) {
        const { error } = await side.ask(sql)
        if (error !== undefined) throw new Error(`${error.message} in ${sql}`)
      }
    }
    return new Comparison(ours, others, theirs, await vocabulary(theirs))
  }

  async run(o: RunOptions): Promise<Report> {
    const differences: Difference[] = []
    let ran = 0
    let failedOnBoth = 0
    let unanswered = 0
    const numbers = o.only === undefined ? Array.from({ length: o.count }, (_, i) => i) : [o.only]
    for (const number of numbers) {
      const draw = new Draw(o.seed * 1_000_003 + number * 31 + o.kind.length)
      const sql = kinds[o.kind](draw, this.#words)
      o.about?.(number, sql)
      const a = await this.#ours.ask(sql)
      const otherwise: Answer[] = []
      for (const { side } of this.#others) otherwise.push(await side.ask(sql))
      let b = await this.#theirs.ask(sql)
      if (broken(b)) {
        // Some errors leave PGlite unusable: a fresh one is asked, and one that breaks again is not.
        await this.#reopen(o.seed)
        b = await this.#theirs.ask(sql)
        if (broken(b)) {
          await this.#reopen(o.seed)
          unanswered++
          continue
        }
      }
      ran++
      if (a.error !== undefined && b.error !== undefined) failedOnBoth++
      if (o.only !== undefined) show(sql, a, b)
      let why = difference(sql, a, b)
      for (let i = 0; i < otherwise.length && why === undefined; i++) {
        const apart = difference(sql, otherwise[i], b)
        if (apart !== undefined) why = `${this.#others[i].name}: ${apart}`
      }
      if (why === undefined) continue
      const d = { seed: o.seed, kind: o.kind, number, sql, why }
      differences.push(d)
      o.said?.(d)
      if (differences.length >= (o.enough ?? 20)) break
    }
    return { ran, failedOnBoth, unanswered, differences, vocabulary: this.#words }
  }

  async #reopen(seed: number): Promise<void> {
    this.#theirs = await postgres()
    for (const sql of schema(new Draw(seed))) await this.#theirs.ask(sql)
  }

  async close(): Promise<void> {
    await this.#ours.close()
    for (const { side } of this.#others) await side.close()
    await this.#theirs.close()
  }
}

/** An internal error, or an answer without columns, is PGlite's end. */
function broken(b: Answer): boolean {
  return b.error === undefined
    ? b.types.length === 0
    : b.error.code === 'XX000' || b.error.message.includes('ERRORDATA')
}

function show(sql: string, ours: Answer, theirs: Answer): void {
  console.log(`${sql}\n  ours        ${JSON.stringify(ours)}\n  PostgreSQL  ${JSON.stringify(theirs)}`)
}

/** What share of the callables was drawn at least once, and the most wanted of those that were not. */
export function coverage(words: Vocabulary): string {
  const parts = (['operator', 'function'] as const).map((kind) => {
    const all = words.all.filter((c) => c.kind === kind)
    return `${all.filter((c) => words.drawn.has(c)).length} of ${all.length} ${kind}s`
  })
  const missing = words.all
    .filter((c) => !words.drawn.has(c))
    .slice(0, 12)
    .map((c) => `${c.name}(${c.args.join(',')})`)
  return `${parts.join(', ')}${missing.length > 0 ? `; not drawn: ${missing.join(' ')} …` : ''}`
}

if (process.argv[1] === import.meta.filename) {
  const args = process.argv.slice(2)
  const option = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined)
  const seed = Number(option('--seed') ?? Math.floor(Date.now() / 1000) % 1_000_000)
  const only = option('--case')
  const comparison = await Comparison.open(seed)
  let found = 0
  for (const kind of option('--kind')?.split(',') ?? Object.keys(kinds)) {
    const report = await comparison.run({
      seed,
      kind,
      count: Number(option('--count') ?? 5000),
      only: only === undefined ? undefined : Number(only),
      enough: args.includes('--all') ? Number.POSITIVE_INFINITY : 20,
      about: args.includes('--trace') ? (n, sql) => writeSync(2, `${n} ${sql}\n`) : undefined,
      said: (d) => console.log(`${d.why}\n    ${d.sql}\n    --seed ${d.seed} --kind ${d.kind} --case ${d.number}`),
    })
    found += report.differences.length
    console.log(
      `${kind}: ${report.ran} statements of seed ${seed}, ${report.failedOnBoth} refused by both, ${report.unanswered} unanswered by PGlite, ${report.differences.length} differences; ${coverage(report.vocabulary)}`,
    )
  }
  for (const [reason, n] of counts) console.log(`${n} explained: ${reason}`)
  await comparison.close()
  process.exit(found === 0 ? 0 : 1)
}
