/**
 * Clients that write at one gateway and read at another: what a client was told is done, it sees wherever it asks, however
 * the gateways' clocks differ. A key has one writer, so its versions only grow.
 *
 * Not here: the guarantees (checkers/monotonic.ts).
 */
import { checkMonotonic, type VersionedOperation } from '../checkers/monotonic.ts'
import type { Violation } from '../history.ts'
import type { Bench, Turn, Workload } from './workload.ts'

const clients = 16

export class Sessions implements Workload {
  readonly name = 'sessions'
  readonly weight = 2
  readonly #bench: Bench
  readonly #history: VersionedOperation[] = []

  constructor(bench: Bench) {
    this.#bench = bench
  }

  get setup(): string {
    return `create table version (k int primary key, v int not null);
      insert into version select i, 0 from generate_series(1, ${clients}) i;`
  }

  async step({ client, node, random }: Turn): Promise<void> {
    const bench = this.#bench
    const own = 1 + (client % clients)
    if (random.below(3) > 0) {
      const version = bench.value()
      const { times } = await bench.operate(this.name, node, () =>
        node.client!.query('update version set v = $1 where k = $2', [version, own]),
      )
      this.#history.push({ client, ...times, kind: 'write', key: String(own), version })
    }
    const there = await bench.gateway(random)
    const key = random.below(3) === 0 ? 1 + random.below(clients) : own
    const { times, result } = await bench.operate(this.name, there, () =>
      there.client!.query<{ v: number }>('select v from version where k = $1', [key]),
    )
    this.#history.push({ client, ...times, kind: 'read', key: String(key), version: result?.rows[0].v })
  }

  async judge(): Promise<Violation[]> {
    return checkMonotonic(this.#history)
  }
}
