/** Replay: fast-check prints the seed and the path of what failed; FC_SEED and FC_PATH run it again. */
import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { DbError } from '../../base/index.ts'
import { decodeCellRow, encodeCellRow } from './cell-codec.ts'
import {
  type CellChange,
  type CellRow,
  deleteRow,
  insertRow,
  joinRows,
  newestTimestamp,
  refuseSkewed,
  updateRow,
} from './cell-row.ts'
import {
  type CellSet,
  type CellTime,
  type Counter,
  compareTimes,
  counterValue,
  type Register,
  setValue,
} from './cells.ts'

const replay = process.env.FC_SEED ? { seed: Number(process.env.FC_SEED), path: process.env.FC_PATH ?? '' } : {}

type Join = (a: CellRow, b: CellRow) => CellRow

/** A statement and what it was made of: the delta, and which statements its place had seen. */
interface Written {
  readonly at: CellTime
  readonly sql: 'insert' | 'update' | 'delete'
  readonly changes: ReadonlyMap<string, CellChange>
  readonly delta: CellRow
  readonly seen: ReadonlySet<Written>
}

/** A place: what it has joined, and of which statements that was. */
class Place {
  row: CellRow | undefined
  readonly seen = new Set<Written>()
  last = 0
  readonly origin: string
  readonly #join: Join
  constructor(origin: string, join: Join) {
    this.origin = origin
    this.#join = join
  }

  write(wall: number, kind: number, changes: ReadonlyMap<string, CellChange>): Written {
    this.last = Math.max(wall, this.last + 1, this.row === undefined ? 0 : newestTimestamp(this.row) + 1)
    const at = { timestamp: this.last, origin: this.origin }
    const { row } = this
    const seen = new Set(this.seen)
    const sql = row === undefined || !row.life.alive ? 'insert' : kind === 0 ? 'delete' : 'update'
    // Some updates leave counters and sets alone.
    if (sql === 'update' && kind === 1) changes = new Map([['name', changes.get('name')!]])
    const delta =
      sql === 'insert'
        ? insertRow(row, changes, at)
        : sql === 'update'
          ? updateRow(row!, changes, at)
          : deleteRow(row!, at)
    const written = { at, sql, changes: sql === 'delete' ? new Map() : changes, delta, seen } as const
    this.take(written)
    return written
  }

  take(written: Written): void {
    this.row = this.row === undefined ? written.delta : this.#join(this.row, written.delta)
    this.seen.add(written)
  }
}

const bytes = (text: string) => new TextEncoder().encode(text)
const element = fc.constantFrom('a', 'b', 'c')
const changes = fc
  .record({
    name: fc.constantFrom('x', 'y', 'z').map((v): CellChange => ({ kind: 'put', value: bytes(v) })),
    hits: fc.bigInt(-9n, 9n).map((amount): CellChange => ({ kind: 'add', amount })),
    tags: fc.record({ kind: fc.constantFrom('include', 'exclude'), elements: fc.array(element, { maxLength: 2 }) }),
  })
  .map((r) => new Map(Object.entries(r as Record<string, CellChange>)))

const places = ['p', 'q', 'r']
/** A statement at one of three places whose clocks differ, or a delta that comes to one of them, again or for the first time. */
const steps = fc.array(
  fc.oneof(
    fc.record({ at: fc.nat(2), wall: fc.nat(40), kind: fc.nat(3), changes }),
    fc.record({ to: fc.nat(2), which: fc.nat(100) }),
  ),
  { minLength: 1, maxLength: 24 },
)
type Steps = typeof steps extends fc.Arbitrary<infer T> ? T : never

function play(script: Steps, join: Join): { all: Written[]; at: Place[] } {
  const at = places.map((origin) => new Place(origin, join))
  const all: Written[] = []
  for (const step of script) {
    if ('wall' in step) all.push(at[step.at].write(step.wall, step.kind, step.changes))
    else if (all.length > 0) at[step.to].take(all[step.which % all.length])
  }
  return { all, at }
}

/** What a row is by definition: of all statements, without joining anything. */
function model(all: readonly Written[]) {
  const newest = (ws: readonly Written[]) => ws.reduce((a, b) => (compareTimes(a.at, b.at) > 0 ? a : b))
  const epochOf = (w: Written): string => {
    const before = [...w.seen]
    if (w.sql !== 'insert') return before.map(epochOf).sort().at(-1) ?? ''
    return before.length === 0 ? '' : `${String(w.at.timestamp).padStart(9, '0')}${w.at.origin}`
  }
  const writes = all.filter((w) => w.sql !== 'delete')
  const epoch = writes.map(epochOf).sort().at(-1)!
  const current = writes.filter((w) => epochOf(w) === epoch)
  const amount = (w: Written) => (w.changes.get('hits') as { amount: bigint } | undefined)?.amount ?? 0n
  const none = { kind: 'include', elements: [] as string[] }
  const tags = (w: Written) => (w.changes.get('tags') as typeof none | undefined) ?? none
  const present = ['a', 'b', 'c'].filter((e) =>
    places.some((origin) => {
      const adds = current.filter(
        (w) => w.at.origin === origin && tags(w).kind === 'include' && tags(w).elements.includes(e),
      )
      if (adds.length === 0) return false
      const last = newest(adds)
      return !current.some((w) => tags(w).kind === 'exclude' && tags(w).elements.includes(e) && w.seen.has(last))
    }),
  )
  return {
    alive: newest(all).sql !== 'delete',
    name: new TextDecoder().decode((newest(writes).changes.get('name') as { value: Uint8Array }).value),
    hits: current.reduce((sum, w) => sum + amount(w), 0n),
    tags: present,
  }
}

function shown({ life, cells }: CellRow) {
  return {
    alive: life.alive,
    name: new TextDecoder().decode((cells.get('name') as Register).value),
    hits: counterValue(cells.get('hits') as Counter),
    tags: setValue(cells.get('tags') as CellSet),
  }
}

function agree(join: Join, runs: number): void {
  fc.assert(
    fc.property(steps, fc.infiniteStream(fc.nat(1000)), (script, dice) => {
      const { all, at } = play(script, join)
      if (all.length === 0) return
      const joined = (ds: readonly CellRow[]) => ds.reduce((a, b) => join(a, b))
      const row = joined(all.map((w) => w.delta))
      const same = (other: CellRow, what: string) => assert.deepEqual(encodeCellRow(other), encodeCellRow(row), what)
      const order = all.map((w) => ({ w, at: dice.next().value! })).sort((a, b) => a.at - b.at)
      same(joined(order.map(({ w }) => w.delta)), 'in another order')
      same(joined([...order, ...order.slice(0, 3)].map(({ w }) => w.delta)), 'some twice')
      const states = at.flatMap(({ row }) => (row === undefined ? [] : [row]))
      same(joined([...all.map((w) => w.delta), ...states]), 'deltas and states')
      same(joined([...order.map(({ w }) => w.delta).reverse(), ...states.reverse()]), 'states last')
      same(decodeCellRow(encodeCellRow(row)), 'written and read')
      assert.deepEqual(shown(row), model(all))
    }),
    { numRuns: runs, ...replay },
  )
}

function laws(join: Join, runs: number): void {
  const row = steps.map((script) => {
    const { at } = play(script, joinRows)
    return at.map((p) => p.row)
  })
  const equal = (a: CellRow, b: CellRow, what: string) => assert.deepEqual(encodeCellRow(a), encodeCellRow(b), what)
  fc.assert(
    fc.property(row, ([a, b, c]) => {
      if (a === undefined || b === undefined) return
      equal(join(a, a), a, 'idempotent')
      equal(join(a, b), join(b, a), 'commutative')
      if (c !== undefined) equal(join(join(a, b), c), join(a, join(b, c)), 'associative')
      equal(join(join(a, b), b), join(a, b), 'what is in it changes nothing')
    }),
    { numRuns: runs, ...replay },
  )
}

test('joins are idempotent, commutative and associative', () => laws(joinRows, 1000))

test('deltas in any order, some twice, make the row that the statements mean', () => agree(joinRows, 1500))

/** @param last what p does to the row that began anew, and all that r hears of it. */
function heardOnly(last: 'delete' | 'update', forget: boolean): void {
  const [p, q, r] = places.map((origin) => new Place(origin, joinRows))
  const add = (amount: bigint, tag: string) =>
    new Map<string, CellChange>([
      ['name', { kind: 'put', value: bytes('x') }],
      ['hits', { kind: 'add', amount }],
      ['tags', { kind: 'include', elements: [tag] }],
    ])
  const first = p.write(1, 2, add(1n, 'a'))
  q.take(first)
  r.take(first)
  const elsewhere = q.write(40, 2, add(2n, 'b'))
  const anew = [p.write(2, 0, add(0n, 'a')), p.write(3, 2, add(4n, 'c'))]
  const heard = p.write(5, last === 'delete' ? 0 : 1, add(0n, 'a'))
  assert.equal(heard.sql, last)
  r.take(forget ? { ...heard, delta: { ...heard.delta, cells: new Map() } } : heard)
  r.take(elsewhere)
  const all = [first, elsewhere, ...anew, heard, r.write(50, 2, add(8n, 'b'))]
  const row = all.map((w) => w.delta).reduce(joinRows)
  assert.deepEqual(shown(row), { alive: true, name: 'x', hits: 12n, tags: ['b', 'c'] })
  assert.deepEqual(shown(row), model(all))
}

for (const last of ['delete', 'update'] as const) {
  test(`who has heard only of the ${last} of a row that began anew adds to that, not to what was before`, () => {
    heardOnly(last, false)
    assert.throws(() => heardOnly(last, true), assert.AssertionError)
  })
}

/** A join that differs in one kind of cell, or in the life. */
const withCells =
  (change: (a: any, b: any, right: any) => any): Join =>
  (a, b) => {
    const right = joinRows(a, b)
    const cells = new Map(right.cells)
    for (const [name, cell] of right.cells) {
      const x = a.cells.get(name)
      const y = b.cells.get(name)
      if (x !== undefined && y !== undefined) cells.set(name, change(x, y, cell))
    }
    return { ...right, cells }
  }

const planted: Record<string, Join> = {
  'the register that comes last wins': withCells((_, b, right) => (right.kind === 'register' ? b : right)),
  'ties of registers are not broken by origin': withCells((a, b, right) =>
    right.kind === 'register' && a.at.timestamp === b.at.timestamp ? a : right,
  ),
  'counters add up what they already have': withCells((a, b, right) => {
    if (right.kind !== 'counter' || compareTimes(a.epoch, b.epoch) !== 0) return right
    const counts = new Map(a.counts as Counter['counts'])
    for (const [o, c] of (b as Counter).counts) {
      const d = counts.get(o)
      counts.set(o, d === undefined ? c : { plus: c.plus + d.plus, minus: c.minus + d.minus })
    }
    return { ...right, counts }
  }),
  'counters forget epochs': withCells((a, b, right) =>
    right.kind === 'counter' ? { ...right, counts: new Map([...a.counts, ...b.counts]) } : right,
  ),
  'removing wins over adding': withCells((_a, _b, right) => {
    if (right.kind !== 'set') return right
    const elements = [...(right as CellSet).elements].map(([e, ps]): [string, typeof ps] => {
      const removed = [...ps.values()].some((p) => p.removed > 0)
      return [e, removed ? new Map([...ps].map(([o, p]) => [o, { added: p.added, removed: p.added }])) : ps]
    })
    return { ...right, elements: new Map(elements) }
  }),
  'the row that comes last lives or does not': (a, b) => ({ ...joinRows(a, b), life: b.life }),
  'a deleted row stays deleted': (a, b) => {
    const right = joinRows(a, b)
    return { ...right, life: { ...right.life, alive: a.life.alive && b.life.alive } }
  },
}

for (const [what, join] of Object.entries(planted)) {
  test(`a planted bug is found: ${what}`, () => {
    assert.throws(() => {
      laws(join, 1000)
      agree(join, 1500)
    })
  })
}

test('bytes that are no row are refused, and nothing else happens', () => {
  fc.assert(
    fc.property(steps, fc.nat(), fc.nat(255), (script, at, byte) => {
      const { all } = play(script, joinRows)
      if (all.length === 0) return
      const good = encodeCellRow(all.map((w) => w.delta).reduce(joinRows))
      const bad = good.slice()
      bad[at % bad.length] = byte
      for (const wrong of [bad, good.subarray(0, at % good.length), Uint8Array.of(...good, 0)]) {
        try {
          const written = encodeCellRow(decodeCellRow(wrong))
          assert.deepEqual(encodeCellRow(decodeCellRow(written)), written)
        } catch (error) {
          if (!(error instanceof DbError)) throw error
          assert.ok(['protocol_violation', 'incompatible_format'].includes(error.code))
        }
      }
    }),
    { numRuns: 500, ...replay },
  )
})

test('a row of a clock far ahead is refused', () => {
  const row = insertRow(undefined, new Map([['n', { kind: 'add', amount: 1n }]]), { timestamp: 5_000_000, origin: 'p' })
  refuseSkewed(row, 4_600_000, 500_000)
  assert.throws(
    () => refuseSkewed(row, 1_000_000, 500_000),
    (e: DbError) => e.code === 'clock_skewed' && /4 s ahead/.test(e.message),
  )
})
