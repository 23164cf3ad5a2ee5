/**
 * Transactions that append to lists and read them, over several keys: cycles among them show which isolation there was.
 *
 * Not here: finding cycles (checkers/list-append.ts).
 */
import { checkListAppend, type ListStep, type ListTransaction } from '../checkers/list-append.ts'
import type { Violation } from '../history.ts'
import type { Bench, Turn, Workload } from './workload.ts'

export class Lists implements Workload {
  readonly name = 'lists'
  readonly weight = 4
  readonly #bench: Bench
  readonly #history: ListTransaction[] = []

  constructor(bench: Bench) {
    this.#bench = bench
  }

  get setup(): string {
    return `create table lists (k int primary key, v int[] not null);
      insert into lists select i, '{}' from generate_series(1, ${this.#bench.shape.keys}) i;`
  }

  async step({ client, node, random }: Turn): Promise<void> {
    const { keys, isolation } = this.#bench.shape
    const plan: ListStep[] = []
    const count = 1 + random.below(4)
    for (let i = 0; i < count; i++) {
      const key = String(1 + random.below(keys))
      if (random.below(2) === 0) plan.push({ kind: 'read', key, values: undefined })
      else plan.push({ kind: 'append', key, value: this.#bench.value() })
    }
    const done: ListStep[] = []
    const { times } = await this.#bench.operate(this.name, node, () =>
      node.client!.transaction(
        async (tx) => {
          done.length = 0
          for (const step of plan) {
            if (step.kind === 'append') {
              await tx.query('update lists set v = v || $1::int where k = $2', [step.value, Number(step.key)])
              done.push(step)
            } else {
              const { rows } = await tx.query<{ v: number[] }>('select v from lists where k = $1', [Number(step.key)])
              done.push({ ...step, values: rows[0].v })
            }
          }
        },
        { isolation, retries: 0 },
      ),
    )
    this.#history.push({ client, ...times, steps: [...done, ...plan.slice(done.length)] })
  }

  /** The lists as they are now count as one more transaction's reads. */
  async judge(): Promise<Violation[]> {
    const rows = await this.#bench.read<{ k: number; v: number[] }>('select k, v from lists order by k')
    const steps = rows.map(({ k, v }): ListStep => ({ kind: 'read', key: String(k), values: v }))
    return checkListAppend([...this.#history, { ...this.#bench.final(), steps }], this.#bench.shape.isolation)
  }
}
