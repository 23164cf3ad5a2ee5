/**
 * Transactions of some hundred rows, enough to be cut over partitions, which they also cause to be made: all rows or none.
 */
import type { Operation, Violation } from '../history.ts'
import type { Bench, Turn, Workload } from './workload.ts'

interface Batch extends Operation {
  readonly batch: number
  readonly rows: number
}

export class Large implements Workload {
  readonly name = 'large'
  readonly weight = 1
  readonly #bench: Bench
  readonly #batches: Batch[] = []

  constructor(bench: Bench) {
    this.#bench = bench
  }

  get setup(): string {
    return 'create table bulk (batch int, n int, filler text, primary key (n, batch));'
  }

  async step({ client, node, random }: Turn): Promise<void> {
    const batch = this.#bench.value()
    const rows = 20 + random.below(100)
    const text = "insert into bulk select $1::int, i, repeat('x', $3::int) from generate_series(1, $2::int) i"
    const values = [batch, rows, this.#bench.shape.bulkBytes]
    const { times } = await this.#bench.operate(this.name, node, () => node.client!.query(text, values))
    this.#batches.push({ client, ...times, batch, rows })
  }

  async judge(): Promise<Violation[]> {
    const found = await this.#bench.read<{ batch: number; n: number }>(
      'select batch, count(*)::int n from bulk group by batch',
    )
    const counts = new Map(found.map((r) => [r.batch, r.n]))
    const out: Violation[] = []
    const say = (kind: string, message: string, index: number) => out.push({ kind, message, operations: [index] })
    for (const { batch, rows, status, index } of this.#batches) {
      const n = counts.get(batch) ?? 0
      counts.delete(batch)
      if (n !== 0 && n !== rows) say('torn-transaction', `batch ${batch} has ${n} of ${rows} rows`, index)
      if (n === 0 && status === 'ok') say('lost-write', `batch ${batch} was acknowledged`, index)
      if (n !== 0 && status === 'failed') say('failed-write-visible', `batch ${batch} failed`, index)
    }
    for (const batch of counts.keys()) say('invented', `batch ${batch}: nobody wrote it`, -1)
    return out
  }
}
