/**
 * What clients do in a simulation, and the history of it. One table per workload; each worker takes a gateway for every
 * operation and goes on when that gateway dies.
 *
 *   lists      transactions of appends and reads over several keys           → cycles (Elle)
 *   registers  reads, writes and compare-and-set of single keys              → linearizability
 *   bank       transfers between accounts, readings of all of them           → sums, no acknowledged transfer lost
 *   orders     children of parents, a unique number each, a sequence         → foreign keys, uniqueness
 *
 * Not here: faults (nemesis.ts), judging (checkers/).
 */
import { DbError } from '../../../src/base/index.ts'
import type { SimRandom } from '../../../src/testing/sim-random.ts'
import { type BankReading, checkBank } from '../checkers/bank.ts'
import { checkListAppend, type Level, type ListStep, type ListTransaction } from '../checkers/list-append.ts'
import { checkRegisters, type RegisterOperation } from '../checkers/register.ts'
import { checkWrites, type UniqueWrite } from '../checkers/writes.ts'
import type { Operation, Status, Violation } from '../history.ts'
import { NodeDied, type SimNode, type SimNodes } from './sim-nodes.ts'

export interface Shape {
  readonly isolation: 'read committed' | 'repeatable read' | 'serializable'
  readonly keys: number
  readonly accounts: number
  /** Clocks are off by so much that reads at different gateways may be out of real time, beyond what is promised. */
  readonly wild: boolean
}

export class Workloads {
  readonly lists: ListTransaction[] = []
  readonly registers: RegisterOperation[] = []
  readonly readings: BankReading[] = []
  readonly transfers: UniqueWrite[] = []
  readonly children: UniqueWrite[] = []
  /** By SQLSTATE: what clients were told. */
  readonly errors = new Map<string, number>()
  committed = 0
  stopped = false
  readonly #nodes: SimNodes
  readonly #shape: Shape
  readonly #random: SimRandom
  #index = 0
  #value = 0

  constructor(nodes: SimNodes, shape: Shape, random: SimRandom) {
    this.#nodes = nodes
    this.#shape = shape
    this.#random = random
  }

  async prepare(): Promise<void> {
    const { keys, accounts } = this.#shape
    await this.#nodes.nodes[0].client!.script(`
      create table lists (k int primary key, v int[] not null);
      create table registers (k int primary key, v int);
      create table account (id int primary key, balance int not null);
      create table transfer (id int primary key, amount int not null);
      create table parent (id int primary key);
      create table child (id serial primary key, mark int unique not null, parent int not null references parent (id));
      insert into lists select i, '{}' from generate_series(1, ${keys}) i;
      insert into registers select i, null from generate_series(1, ${keys}) i;
      insert into account select i, 100 from generate_series(1, ${accounts}) i;
      insert into parent select i from generate_series(1, ${accounts}) i;`)
  }

  async worker(client: number): Promise<void> {
    const random = this.#random.fork(`worker ${client}`)
    while (!this.stopped) {
      const alive = this.#nodes.alive()
      if (alive.length === 0) {
        await this.#nodes.sleep(20)
        continue
      }
      const node = alive[random.below(alive.length)]
      const pick = random.below(10)
      if (pick < 4) await this.#list(client, node, random)
      else if (pick < 7) await this.#register(client, node, random)
      else if (pick < 9) await this.#transfer(client, node, random)
      else await this.#child(client, node, random)
      await this.#nodes.sleep(random.below(30))
    }
  }

  /** Runs an operation; its status and times. */
  async #operate<T>(
    node: SimNode,
    work: () => Promise<T>,
  ): Promise<{ times: Omit<Operation, 'client'>; result: T | undefined; error: unknown }> {
    const invokedMicros = this.#nodes.world.nowMicros
    const index = this.#index++
    let status: Status = 'ok'
    let result: T | undefined
    let failure: unknown
    try {
      result = await Promise.race([work(), node.died])
      this.committed++
    } catch (error) {
      failure = error
      status = this.#statusOf(error)
    }
    const completedMicros = status === 'unknown' ? undefined : this.#nodes.world.nowMicros
    return { times: { index, invokedMicros, completedMicros, status }, result, error: failure }
  }

  #statusOf(error: unknown): Status {
    if (error instanceof NodeDied) return 'unknown'
    if (!(error instanceof DbError)) throw error
    this.errors.set(error.sqlstate, (this.errors.get(error.sqlstate) ?? 0) + 1)
    if (error.code === 'internal_error') throw error
    return error.code === 'statement_completion_unknown' ? 'unknown' : 'failed'
  }

  async #list(client: number, node: SimNode, random: SimRandom): Promise<void> {
    const plan: ListStep[] = []
    const count = 1 + random.below(4)
    for (let i = 0; i < count; i++) {
      const key = String(1 + random.below(this.#shape.keys))
      if (random.below(2) === 0) plan.push({ kind: 'read', key, values: undefined })
      else plan.push({ kind: 'append', key, value: ++this.#value })
    }
    const done: ListStep[] = []
    const { times } = await this.#operate(node, () =>
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
        { isolation: this.#shape.isolation, retries: 0 },
      ),
    )
    this.lists.push({ client, ...times, steps: [...done, ...plan.slice(done.length)] })
  }

  async #register(client: number, node: SimNode, random: SimRandom): Promise<void> {
    const key = 1 + random.below(this.#shape.keys)
    const pick = random.below(3)
    const db = node.client!
    if (pick === 0) {
      const { times, result } = await this.#operate(node, () =>
        db.query<{ v: number | null }>('select v from registers where k = $1', [key]),
      )
      this.registers.push({
        client,
        ...times,
        key: String(key),
        kind: 'read',
        value: times.status === 'ok' ? result!.rows[0].v : undefined,
      } as RegisterOperation)
    } else if (pick === 1) {
      const value = ++this.#value
      const { times } = await this.#operate(node, () =>
        db.query('update registers set v = $1 where k = $2', [value, key]),
      )
      this.registers.push({ client, ...times, key: String(key), kind: 'write', value } as RegisterOperation)
    } else {
      const known = await this.#operate(node, () =>
        db.query<{ v: number | null }>('select v from registers where k = $1', [key]),
      )
      const expected = known.times.status === 'ok' ? known.result!.rows[0].v : undefined
      this.registers.push({
        client,
        ...known.times,
        key: String(key),
        kind: 'read',
        value: expected,
      } as RegisterOperation)
      if (expected === undefined || node.io.dead) return
      const value = ++this.#value
      const { times, result } = await this.#operate(node, () =>
        db.query('update registers set v = $1 where k = $2 and v is not distinct from $3', [value, key, expected]),
      )
      const swapped = times.status === 'ok' ? result!.rowCount === 1 : undefined
      this.registers.push({
        client,
        ...times,
        key: String(key),
        kind: 'cas',
        expected,
        value,
        swapped,
      } as unknown as RegisterOperation)
    }
  }

  async #transfer(client: number, node: SimNode, random: SimRandom): Promise<void> {
    const { accounts, isolation } = this.#shape
    if (random.below(4) === 0) {
      const { times, result } = await this.#operate(node, () =>
        node.client!.query<{ id: number; balance: number }>('select id, balance from account'),
      )
      this.readings.push({ client, ...times, balances: result && balancesOf(result.rows) })
      return
    }
    const id = ++this.#value
    const from = 1 + random.below(accounts)
    const to = 1 + ((from + random.below(accounts - 1)) % accounts)
    const amount = 1 + random.below(20)
    const { times } = await this.#operate(node, () =>
      node.client!.transaction(
        async (tx) => {
          await tx.query('update account set balance = balance - $1 where id = $2', [amount, from])
          await tx.query('update account set balance = balance + $1 where id = $2', [amount, to])
          await tx.query('insert into transfer values ($1, $2)', [id, amount])
        },
        { isolation, retries: 0 },
      ),
    )
    this.transfers.push({ client, ...times, key: String(id), value: String(amount) })
  }

  async #child(client: number, node: SimNode, random: SimRandom): Promise<void> {
    const parent = 1 + random.below(this.#shape.accounts)
    const mark = ++this.#value
    const pick = random.below(6)
    if (pick === 0) {
      await this.#operate(node, () =>
        node.client!.query(
          'delete from parent where id = $1 and not exists (select 1 from child c where c.parent = parent.id)',
          [parent],
        ),
      )
      return
    }
    if (pick === 1) {
      await this.#operate(node, () =>
        node.client!.query('insert into parent values ($1) on conflict do nothing', [parent]),
      )
      return
    }
    const { times } = await this.#operate(node, () =>
      node.client!.query('insert into child (mark, parent) values ($1, $2)', [mark, parent]),
    )
    this.children.push({ client, ...times, key: String(mark), value: String(parent) })
  }

  /** Looks at everything once the cluster is whole again. */
  async judge(): Promise<Violation[]> {
    const { isolation, accounts } = this.#shape
    const out: Violation[] = []
    const db = this.#nodes.alive()[0].client!
    const level: Level = isolation
    // The lists as they are now count as one more transaction's reads.
    const last = await db.query<{ k: number; v: number[] }>('select k, v from lists order by k')
    const end = this.#nodes.world.nowMicros
    const final = { client: 999, index: this.#index++, invokedMicros: end, completedMicros: end, status: 'ok' as const }
    const steps = last.rows.map(({ k, v }): ListStep => ({ kind: 'read', key: String(k), values: v }))
    out.push(...checkListAppend([...this.lists, { ...final, steps }], level))
    out.push(...checkRegisters(this.registers))
    const balances = balancesOf(
      (await db.query<{ id: number; balance: number }>('select id, balance from account')).rows,
    )
    const names = Array.from({ length: accounts }, (_, i) => String(i + 1))
    const bank = { accounts: names, total: accounts * 100, mayBeNegative: true }
    out.push(...checkBank([...this.readings, { ...final, index: this.#index++, balances }], bank))
    const transfers = (await db.query<{ id: number; amount: number }>('select id, amount from transfer')).rows
    out.push(
      ...checkWrites(
        this.transfers,
        transfers.map((r) => [String(r.id), String(r.amount)] as const),
      ),
    )
    const children = (
      await db.query<{ id: number; mark: number; parent: number }>('select id, mark, parent from child')
    ).rows
    out.push(
      ...checkWrites(
        this.children,
        children.map((r) => [String(r.mark), String(r.parent)] as const),
      ),
    )
    if (new Set(children.map((r) => r.id)).size !== children.length)
      out.push({ kind: 'duplicate-key', message: 'two children have one id', operations: [] })
    const orphans = (
      await db.query<{ n: number }>(
        'select count(*)::int n from child c where not exists (select 1 from parent p where p.id = c.parent)',
      )
    ).rows[0].n
    if (orphans > 0) out.push({ kind: 'orphan', message: `${orphans} children have no parent`, operations: [] })
    return out
  }
}

function balancesOf(rows: readonly { id: number; balance: number }[]): Map<string, number> {
  return new Map(rows.map((r) => [String(r.id), r.balance]))
}
