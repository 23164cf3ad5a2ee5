/**
 * Reads, writes and compare-and-set of single rows, each a statement of its own at any gateway: linearizable.
 *
 * Not here: the search for an order (checkers/register.ts).
 */
import { checkRegisters, type RegisterOperation } from '../checkers/register.ts'
import type { Violation } from '../history.ts'
import type { Bench, Turn, Workload } from './workload.ts'

const reading = 'select v from registers where k = $1'

export class Registers implements Workload {
  readonly name = 'registers'
  readonly weight = 3
  readonly #bench: Bench
  readonly #history: RegisterOperation[] = []

  constructor(bench: Bench) {
    this.#bench = bench
  }

  get setup(): string {
    return `create table registers (k int primary key, v int);
      insert into registers select i, null from generate_series(1, ${this.#bench.shape.keys}) i;`
  }

  async step(turn: Turn): Promise<void> {
    const key = 1 + turn.random.below(this.#bench.shape.keys)
    const pick = turn.random.below(3)
    if (pick === 0) await this.#read(turn, key)
    else if (pick === 1) await this.#write(turn, key)
    else await this.#swap(turn, key)
  }

  async #read({ client, node }: Turn, key: number): Promise<number | null | undefined> {
    const { times, result } = await this.#bench.operate(this.name, node, () =>
      node.client!.query<{ v: number | null }>(reading, [key]),
    )
    const value = times.status === 'ok' ? result!.rows[0].v : undefined
    this.#history.push({ client, ...times, key: String(key), kind: 'read', value } as RegisterOperation)
    return value
  }

  async #write({ client, node }: Turn, key: number): Promise<void> {
    const value = this.#bench.value()
    const { times } = await this.#bench.operate(this.name, node, () =>
      node.client!.query('update registers set v = $1 where k = $2', [value, key]),
    )
    this.#history.push({ client, ...times, key: String(key), kind: 'write', value })
  }

  async #swap(turn: Turn, key: number): Promise<void> {
    const { client, node } = turn
    const expected = await this.#read(turn, key)
    if (expected === undefined || node.client === undefined) return
    const value = this.#bench.value()
    const { times, result } = await this.#bench.operate(this.name, node, () =>
      node.client!.query('update registers set v = $1 where k = $2 and v is not distinct from $3', [
        value,
        key,
        expected,
      ]),
    )
    const swapped = times.status === 'ok' ? result!.rowCount === 1 : undefined
    this.#history.push({
      client,
      ...times,
      key: String(key),
      kind: 'cas',
      expected,
      value,
      swapped,
    } as unknown as RegisterOperation)
  }

  async judge(): Promise<Violation[]> {
    const rows = await this.#bench.read<{ k: number; v: number | null }>('select k, v from registers')
    const last = rows.map(
      ({ k, v }): RegisterOperation => ({
        ...this.#bench.final(),
        client: 1000 + k,
        key: String(k),
        kind: 'read',
        value: v,
      }),
    )
    return checkRegisters([...this.#history, ...last])
  }
}
