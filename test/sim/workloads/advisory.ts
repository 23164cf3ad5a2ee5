/**
 * Advisory locks at all gateways. They live in the memory of one node, so exclusion is promised while leaders stay; while
 * things go wrong, only the statements themselves must come to an end.
 */
import type { Violation } from '../history.ts'
import type { Bench, Turn, Workload } from './workload.ts'

const rounds = 4

export class Advisory implements Workload {
  readonly name = 'advisory'
  readonly weight = 1
  readonly #bench: Bench

  constructor(bench: Bench) {
    this.#bench = bench
  }

  get setup(): string {
    return ''
  }

  async step({ node, random }: Turn): Promise<void> {
    await this.#bench.operate(this.name, node, () =>
      node.client!.transaction(
        async (tx) => {
          await tx.query('select pg_try_advisory_xact_lock($1)', [random.below(4)])
        },
        { retries: 0 },
      ),
    )
  }

  async calm(): Promise<Violation[]> {
    const { nodes, random } = this.#bench
    const out: Violation[] = []
    let holder = 0
    const work = async (who: number) => {
      for (let i = 0; i < rounds; i++) {
        const node = await this.#bench.gateway(random)
        const { times } = await this.#bench.operate(this.name, node, () =>
          node.client!.transaction(
            async (tx) => {
              await tx.query('select pg_advisory_xact_lock($1)', [7])
              if (holder !== 0)
                out.push({ kind: 'advisory-lock-shared', message: `${who} got what ${holder} holds`, operations: [] })
              holder = who
              await nodes.sleep(random.below(30))
              if (holder === who) holder = 0
            },
            { retries: 0 },
          ),
        )
        if (times.status !== 'ok' && holder === who) holder = 0
      }
    }
    await Promise.all([1, 2, 3].map(work))
    return out
  }

  async judge(): Promise<Violation[]> {
    return []
  }
}
