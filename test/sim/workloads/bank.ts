/**
 * Transfers between accounts, each with a receipt in another table, and readings of all accounts.
 *
 * Not here: sums (checkers/bank.ts), receipts against answers (checkers/writes.ts).
 */
import { type BankReading, checkBank } from '../checkers/bank.ts'
import { checkWrites, type UniqueWrite } from '../checkers/writes.ts'
import type { Violation } from '../history.ts'
import type { Bench, Turn, Workload } from './workload.ts'

interface Account {
  readonly id: number
  readonly balance: number
}

export class Bank implements Workload {
  readonly name = 'bank'
  readonly weight = 3
  readonly #bench: Bench
  readonly #readings: BankReading[] = []
  readonly #transfers: UniqueWrite[] = []

  constructor(bench: Bench) {
    this.#bench = bench
  }

  get setup(): string {
    return `create table account (id int primary key, balance int not null);
      create table transfer (id int primary key, amount int not null);
      insert into account select i, 100 from generate_series(1, ${this.#bench.shape.accounts}) i;`
  }

  async step({ client, node, random }: Turn): Promise<void> {
    const { accounts, isolation } = this.#bench.shape
    if (random.below(4) === 0) {
      const { times, result } = await this.#bench.operate(this.name, node, () =>
        node.client!.query<Account>('select id, balance from account'),
      )
      this.#readings.push({ client, ...times, balances: result && balancesOf(result.rows) })
      return
    }
    const id = this.#bench.value()
    const from = 1 + random.below(accounts)
    const to = 1 + ((from + random.below(accounts - 1)) % accounts)
    const amount = 1 + random.below(20)
    const { times } = await this.#bench.operate(this.name, node, () =>
      node.client!.transaction(
        async (tx) => {
          await tx.query('update account set balance = balance - $1 where id = $2', [amount, from])
          await tx.query('update account set balance = balance + $1 where id = $2', [amount, to])
          await tx.query('insert into transfer values ($1, $2)', [id, amount])
        },
        { isolation, retries: 0 },
      ),
    )
    this.#transfers.push({ client, ...times, key: String(id), value: String(amount) })
  }

  async judge(): Promise<Violation[]> {
    const { accounts } = this.#bench.shape
    const balances = balancesOf(await this.#bench.read<Account>('select id, balance from account'))
    const names = Array.from({ length: accounts }, (_, i) => String(i + 1))
    const bank = { accounts: names, total: accounts * 100, mayBeNegative: true }
    const receipts = await this.#bench.read<{ id: number; amount: number }>('select id, amount from transfer')
    return [
      ...checkBank([...this.#readings, { ...this.#bench.final(), balances }], bank),
      ...checkWrites(
        this.#transfers,
        receipts.map((r) => [String(r.id), String(r.amount)] as const),
      ),
    ]
  }
}

function balancesOf(rows: readonly Account[]): Map<string, number> {
  return new Map(rows.map((r) => [String(r.id), r.balance]))
}
