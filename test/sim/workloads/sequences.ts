/**
 * Numbers out of one sequence at all gateways: none twice, and ascending within a session.
 */
import type { Violation } from '../history.ts'
import type { Bench, Turn, Workload } from './workload.ts'

export class Sequences implements Workload {
  readonly name = 'sequences'
  readonly weight = 1
  readonly #bench: Bench
  readonly #given = new Map<number, number>()
  readonly #violations: Violation[] = []

  constructor(bench: Bench) {
    this.#bench = bench
  }

  get setup(): string {
    return 'create sequence tickets;'
  }

  async step({ node }: Turn): Promise<void> {
    const text = "select nextval('tickets')::int8 n"
    const { times, result } = await this.#bench.operate(this.name, node, () =>
      node.client!.transaction(async (tx) => {
        const first = Number((await tx.query<{ n: number }>(text)).rows[0].n)
        return [first, Number((await tx.query<{ n: number }>(text)).rows[0].n)]
      }),
    )
    if (result === undefined) return
    const { index } = times
    const [first, second] = result
    if (second <= first) this.#say('sequence-went-back', `${first}, then ${second} in one session`, [index])
    for (const n of result) {
      const other = this.#given.get(n)
      if (other !== undefined) this.#say('sequence-repeats', `${n} was given twice`, [other, index])
      this.#given.set(n, index)
    }
  }

  #say(kind: string, message: string, operations: readonly number[]): void {
    this.#violations.push({ kind, message, operations })
  }

  async judge(): Promise<Violation[]> {
    return this.#violations
  }
}
