/**
 * Pairs of rows that are written together, read in the past at replicas that need not lead (lattice.max_staleness): both
 * rows of a pair are of one transaction, and what was acknowledged before the bound is there.
 *
 *   write pair n, version v ─ acknowledged ─┐
 *                                           ├─ longer ago than the bound, and clocks differ: v or newer is read
 *   read all pairs at any gateway ──────────┘
 *
 * A pair has one writer, so its versions only grow.
 */
import type { Operation, Violation } from '../history.ts'
import type { Bench, Turn, Workload } from './workload.ts'

const pairs = 16
const boundMs = 2_000
/** By how much gateways and leaders may misjudge when something was, beyond the bound. */
const clocksMs = 1_000

interface Write extends Operation {
  readonly pair: number
  readonly version: number
}

interface Reading extends Operation {
  /** By key; undefined when no answer came. */
  readonly versions: ReadonlyMap<number, number> | undefined
}

export class Past implements Workload {
  readonly name = 'past'
  readonly weight = 2
  readonly #bench: Bench
  readonly #writes: Write[] = []
  readonly #readings: Reading[] = []

  constructor(bench: Bench) {
    this.#bench = bench
  }

  get setup(): string {
    return `create table past (k int primary key, v int not null);
      insert into past select i, 0 from generate_series(0, ${2 * pairs - 1}) i;`
  }

  async step({ client, node, random }: Turn): Promise<void> {
    const bench = this.#bench
    if (random.below(2) === 0) {
      const pair = client % pairs
      const version = bench.value()
      const { times } = await bench.operate(this.name, node, () =>
        node.client!.query('update past set v = $1 where k in ($2, $3)', [version, pair, pair + pairs]),
      )
      this.#writes.push({ client, ...times, pair, version })
      return
    }
    const { times, result } = await bench.operate(this.name, node, () =>
      node.client!.transaction(
        async (tx) => {
          await tx.query(`set local lattice.max_staleness = '${boundMs}ms'`)
          return (await tx.query<{ k: number; v: number }>('select k, v from past')).rows
        },
        { retries: 0 },
      ),
    )
    const versions = result && new Map(result.map(({ k, v }) => [k, v]))
    this.#readings.push({ client, ...times, versions })
  }

  async judge(): Promise<Violation[]> {
    const out: Violation[] = []
    const say = (kind: string, message: string, index: number) => out.push({ kind, message, operations: [index] })
    for (const { versions, index, invokedMicros } of this.#readings) {
      if (versions === undefined) continue
      const due = invokedMicros - (boundMs + clocksMs) * 1000
      for (let pair = 0; pair < pairs; pair++) {
        const found = versions.get(pair)
        const other = versions.get(pair + pairs)
        if (found === undefined || found !== other)
          say('torn-snapshot', `reading ${index}: pair ${pair} has ${found} and ${other}`, index)
        else if (found < this.#dueOf(pair, due))
          say('too-stale', `reading ${index}: pair ${pair} has ${found} instead of ${this.#dueOf(pair, due)}`, index)
      }
    }
    return out
  }

  /** The newest version of the pair that was acknowledged by then. */
  #dueOf(of: number, atMicros: number): number {
    let due = 0
    for (const { pair, version, status, completedMicros } of this.#writes)
      if (pair === of && status === 'ok' && completedMicros! <= atMicros && version > due) due = version
    return due
  }
}
