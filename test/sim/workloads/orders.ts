/**
 * Children of parents that come and go, and seats that only one may have: foreign keys and unique keys, whose rows and
 * index entries lie in different partitions.
 *
 * Not here: writes against answers (checkers/writes.ts).
 */
import { checkWrites, type UniqueWrite } from '../checkers/writes.ts'
import type { Operation, Violation } from '../history.ts'
import type { Bench, Turn, Workload } from './workload.ts'

interface Claim extends Operation {
  readonly seat: number
  readonly holder: number
}

export class Orders implements Workload {
  readonly name = 'orders'
  readonly weight = 2
  readonly #bench: Bench
  readonly #children: UniqueWrite[] = []
  readonly #claims: Claim[] = []
  #seats = 3
  /** The newest parent there may be: they come, and go while they have no children, all the time. */
  #parents: number

  constructor(bench: Bench) {
    this.#bench = bench
    this.#parents = bench.shape.accounts
  }

  get setup(): string {
    return `create table parent (id int primary key);
      create table child (id serial primary key, mark int unique not null, parent int not null references parent (id));
      create table seat (holder int primary key, seat int unique not null);
      insert into parent select i from generate_series(1, ${this.#bench.shape.accounts}) i;`
  }

  async step({ client, node, random }: Turn): Promise<void> {
    const bench = this.#bench
    const parent = this.#parents - random.below(4)
    const db = node.client!
    const pick = random.below(9)
    if (pick === 0) {
      const text = 'delete from parent where id = $1 and not exists (select 1 from child c where c.parent = parent.id)'
      await bench.operate(this.name, node, () => db.query(text, [parent]))
    } else if (pick < 3) {
      const text = 'insert into parent values ($1) on conflict do nothing'
      await bench.operate(this.name, node, () => db.query(text, [parent]))
    } else if (pick < 6) {
      const seat = this.#seats - random.below(3)
      if (random.below(4) === 0) this.#seats++
      const holder = bench.value()
      const { times } = await bench.operate(this.name, node, () =>
        db.query('insert into seat values ($1, $2)', [holder, seat]),
      )
      this.#claims.push({ client, ...times, seat, holder })
    } else {
      if (random.below(4) === 0) this.#parents++
      const mark = bench.value()
      const { times } = await bench.operate(this.name, node, () =>
        db.query('insert into child (mark, parent) values ($1, $2)', [mark, parent]),
      )
      this.#children.push({ client, ...times, key: String(mark), value: String(parent) })
    }
  }

  async judge(): Promise<Violation[]> {
    const bench = this.#bench
    const out: Violation[] = []
    const say = (kind: string, message: string, operations: readonly number[] = []) =>
      out.push({ kind, message, operations })
    const children = await bench.read<{ id: number; mark: number; parent: number }>(
      'select id, mark, parent from child',
    )
    const found = children.map((r) => [String(r.mark), String(r.parent)] as const)
    out.push(...checkWrites(this.#children, found))
    if (new Set(children.map((r) => r.id)).size !== children.length) say('duplicate-key', 'two children have one id')
    const alone = 'select count(*)::int n from child c where not exists (select 1 from parent p where p.id = c.parent)'
    const orphans = (await bench.read<{ n: number }>(alone))[0].n
    if (orphans > 0) say('orphan', `${orphans} children have no parent`)
    const seats = await bench.read<{ holder: number; seat: number }>('select holder, seat from seat')
    const held = seats.map((r) => [String(r.holder), String(r.seat)] as const)
    const claims = this.#claims.map((c): UniqueWrite => ({ ...c, key: String(c.holder), value: String(c.seat) }))
    out.push(...checkWrites(claims, held))
    const taken = new Map<number, number>()
    for (const { seat, holder } of seats) {
      if (taken.has(seat)) say('duplicate-key', `seat ${seat} is held by ${taken.get(seat)} and by ${holder}`)
      taken.set(seat, holder)
      const rows = await bench.read<{ holder: number }>('select holder from seat where seat = $1', [seat])
      if (rows.length !== 1 || rows[0].holder !== holder)
        say('index-differs', `seat ${seat}: the table says ${holder}, the index ${JSON.stringify(rows)}`)
    }
    return out
  }
}
