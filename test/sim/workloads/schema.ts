/**
 * A table whose schema changes while it is written: columns and indexes come and go, now and then it is truncated. No
 * acknowledged row is lost, none comes back, and the index says what the table says.
 *
 * Not here: changing one schema in two places at once.
 */
import type { Operation, Violation } from '../history.ts'
import type { Bench, Turn, Workload } from './workload.ts'

interface Insert extends Operation {
  readonly id: number
  readonly v: number
}

export class Schema implements Workload {
  readonly name = 'schema'
  readonly weight = 2
  readonly #bench: Bench
  readonly #inserts: Insert[] = []
  readonly #truncations: Operation[] = []
  #columns = 0
  #changing = false

  constructor(bench: Bench) {
    this.#bench = bench
  }

  get setup(): string {
    return 'create table wide (id int primary key, v int not null); create index wide_v on wide (v);'
  }

  async step(turn: Turn): Promise<void> {
    if (!this.#changing && turn.random.below(8) === 0) {
      this.#changing = true
      try {
        await this.#change(turn)
      } finally {
        this.#changing = false
      }
      return
    }
    const { client, node, random } = turn
    const id = this.#bench.value()
    const v = random.below(50)
    const { times } = await this.#bench.operate(this.name, node, () =>
      node.client!.query('insert into wide (id, v) values ($1, $2)', [id, v]),
    )
    this.#inserts.push({ client, ...times, id, v })
  }

  async #change({ client, node, random }: Turn): Promise<void> {
    const run = (text: string) => this.#bench.operate(`${this.name}-change`, node, () => node.client!.query(text))
    const pick = random.below(6)
    if (pick < 2) await run(`alter table wide add column c${++this.#columns} int default ${this.#columns}`)
    else if (pick === 2) await run(`alter table wide drop column if exists c${this.#columns}`)
    else if (pick === 3) await run('drop index if exists wide_v')
    else if (pick === 4) await run('create index if not exists wide_v on wide (v)')
    else {
      const { times } = await run('truncate wide')
      this.#truncations.push({ client, ...times })
    }
  }

  async judge(): Promise<Violation[]> {
    const bench = this.#bench
    const out: Violation[] = []
    const say = (kind: string, message: string, operations: readonly number[] = []) =>
      out.push({ kind, message, operations })
    const rows = await bench.read<{ id: number; v: number }>('select id, v from wide')
    const found = new Map(rows.map((r) => [r.id, r.v]))
    if (found.size !== rows.length) say('duplicate-key', 'two rows of wide have one id')
    const done = this.#truncations.filter((t) => t.status !== 'failed')
    for (const { id, v, index, status, invokedMicros, completedMicros } of this.#inserts) {
      const there = found.get(id)
      found.delete(id)
      const gone = done.some((t) => t.status === 'ok' && (completedMicros ?? t.invokedMicros) < t.invokedMicros)
      const mayBeGone = done.some((t) => (t.completedMicros ?? Number.POSITIVE_INFINITY) >= invokedMicros)
      if (there === undefined && status === 'ok' && !mayBeGone) say('lost-write', `row ${id} was acknowledged`, [index])
      if (there !== undefined && status === 'failed') say('failed-write-visible', `row ${id}`, [index])
      if (there !== undefined && status === 'ok' && gone) say('truncated-row', `row ${id} came back`, [index])
      if (there !== undefined && there !== v) say('wrong-value', `row ${id}: ${there} instead of ${v}`, [index])
    }
    for (const id of found.keys()) say('invented', `row ${id}: nobody wrote it`)
    await bench.read('create index if not exists wide_v on wide (v)')
    for (let v = 0; v < 50; v++) {
      const text = 'select id from wide where v = $1 order by id'
      const byIndex = (await bench.read<{ id: number }>(text, [v])).map((r) => r.id)
      const byTable = rows.flatMap((r) => (r.v === v ? [r.id] : [])).sort((a, b) => a - b)
      if (byIndex.join() !== byTable.join())
        say('index-differs', `v = ${v}: the table has ${byTable}, the index ${byIndex}`)
    }
    return out
  }
}
