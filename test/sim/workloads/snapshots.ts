/**
 * Clients that write at one gateway and then read two rows in one snapshot at another: what a client was told is done is in
 * every snapshot that begins later, however far the clock of whoever chose the snapshot is behind.
 *
 *   client ── own row ► gateway A ── acknowledged ──► any row, then own row ► gateway B, one transaction
 *                                                     └ its leaseholder chooses the snapshot
 *
 * Not here: the guarantees (checkers/monotonic.ts), reads of one row (sessions.ts).
 */
import { checkMonotonic, type VersionedOperation } from '../checkers/monotonic.ts'
import type { Violation } from '../history.ts'
import type { Bench, Turn, Workload } from './workload.ts'

const clients = 16

export class Snapshots implements Workload {
  readonly name = 'snapshots'
  readonly weight = 2
  readonly #bench: Bench
  readonly #history: VersionedOperation[] = []

  constructor(bench: Bench) {
    this.#bench = bench
  }

  get setup(): string {
    return `create table snapshot (k int primary key, v int not null);
      insert into snapshot select i, 0 from generate_series(1, ${clients}) i;`
  }

  async step({ client, node, random }: Turn): Promise<void> {
    const bench = this.#bench
    const own = 1 + (client % clients)
    const version = bench.value()
    const { times } = await bench.operate(this.name, node, () =>
      node.client!.query('update snapshot set v = $1 where k = $2', [version, own]),
    )
    this.#history.push({ client, ...times, kind: 'write', key: String(own), version })
    const there = await bench.gateway(random)
    await this.#read(client, there, [1 + random.below(clients), own])
  }

  async #read(client: number, node: Turn['node'], keys: readonly number[]): Promise<void> {
    const seen: number[] = []
    const { times } = await this.#bench.operate(this.name, node, () =>
      node.client!.transaction(
        async (tx) => {
          seen.length = 0
          for (const key of keys) {
            const { rows } = await tx.query<{ v: number }>('select v from snapshot where k = $1', [key])
            seen.push(rows[0].v)
          }
        },
        { isolation: 'repeatable read', retries: 0 },
      ),
    )
    for (const [i, key] of keys.entries())
      this.#history.push({ client, ...times, kind: 'read', key: String(key), version: seen[i] })
  }

  async judge(): Promise<Violation[]> {
    return checkMonotonic(this.#history)
  }
}
