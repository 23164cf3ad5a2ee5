import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  ByteOutput,
  type Cell,
  cellHash,
  cellOf,
  compareBytes,
  hashRecord,
  headKeyAt,
  isRedaction,
  isRefused,
  joinCells,
  othersKept,
  recordHead,
  redactionOf,
  toHex,
  travelling,
  writeRecord,
} from './index.ts'

const key = new Uint8Array(16).fill(7)

function written(value: number, origin: number, sequence: number): Cell {
  const out = new ByteOutput()
  const head = recordHead(new Uint8Array(24).fill(origin))
  head.set(key, headKeyAt)
  writeRecord(out, head, sequence, 1_000 + origin, 'text/plain', Uint8Array.of(value))
  const record = out.bytes.slice()
  return cellOf({ record, hash: hashRecord(record) })
}

/** One of few values from one of few origins, now and then an erasure. */
const record = fc
  .record({
    value: fc.integer({ min: 0, max: 3 }),
    origin: fc.integer({ min: 0, max: 2 }),
    erased: fc.integer({ min: 0, max: 9 }),
  })
  .map(({ value, origin, erased }): Cell => {
    if (erased > 0) return written(value, origin, 1)
    const erasure = redactionOf(key)
    return cellOf({ record: erasure, hash: hashRecord(erasure) })
  })
const cells = fc.array(record, { minLength: 1, maxLength: 6 }).map((all) => all.reduce(joinCells))
const text = ({ standing, others }: Cell): string => [standing, ...others].map((h) => toHex(h.hash)).join(' ')

type Join = (a: Cell, b: Cell) => Cell

function laws(join: Join, cell: fc.Arbitrary<Cell> = cells, numRuns = 2_000): void {
  const options = { numRuns, seed: 4 }
  fc.assert(
    fc.property(cell, (a) => assert.equal(text(join(a, a)), text(a))),
    options,
  )
  fc.assert(
    fc.property(cell, cell, (a, b) => assert.equal(text(join(a, b)), text(join(b, a)))),
    options,
  )
  fc.assert(
    fc.property(cell, cell, cell, (a, b, c) => assert.equal(text(join(join(a, b), c)), text(join(a, join(b, c))))),
    options,
  )
}

test('joining cells is idempotent, commutative and associative', () => laws(joinCells))

/** So many values that not all of them are kept; some have been refused here. */
const many = fc
  .array(fc.record({ value: fc.nat(99), origin: fc.nat(1), refused: fc.nat(3) }), { minLength: 60, maxLength: 160 })
  .map((all) => {
    const cell = all.map(({ value, origin }) => written(value, origin, 1)).reduce(joinCells)
    const own = all
      .filter(({ refused }) => refused === 0)
      .map(({ value, origin }) => written(value, origin, 0).standing)
    return joinCells(cell, { standing: cell.standing, others: own })
  })

test('the laws hold for more values than are kept, and for refused ones', () => {
  laws(joinCells, many, 60)
  const keepsTheFirst: Join = (a, b) => ({
    ...joinCells(a, b),
    others: [...a.others, ...b.others].slice(0, othersKept),
  })
  assert.throws(() => laws(keepsTheFirst, many, 60), /Property failed/)
})

test('of the others events go before refused values; what travels, and its name, is the same with or without these', () => {
  fc.assert(
    fc.property(many, (cell) => {
      const { standing, others } = cell
      assert.ok(others.length <= othersKept)
      const refused = others.map(({ record }) => isRefused(record))
      assert.deepEqual(
        refused,
        refused.toSorted((a, b) => Number(a) - Number(b)),
      )
      const travels = travelling(cell)
      assert.equal(travels.length, refused.filter((is) => !is).length)
      assert.deepEqual(cellHash(cell), cellHash({ standing, others: travels }))
      if (travels.length > 0) assert.notDeepEqual(cellHash(cell), cellHash({ standing, others: travels.slice(1) }))
    }),
    { numRuns: 60, seed: 7 },
  )
})

test('joining what is new, in any order and repeated, is joining all that there is', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 8 }), fc.infiniteStream(fc.nat()), (records, draws) => {
      const full = records.reduce(joinCells)
      const again = [...records, ...records.slice(0, 2)]
        .map((r) => ({ r, at: draws.next().value as number }))
        .sort((a, b) => a.at - b.at)
        .map(({ r }) => r)
      assert.equal(text(again.reduce(joinCells)), text(full))
    }),
    { numRuns: 2_000, seed: 5 },
  )
})

test('an erasure takes all away; of values the smallest hash stands and the others are kept', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 8 }), (records) => {
      const { standing, others } = records.reduce(joinCells)
      if (records.some((r) => isRedaction(r.standing.record))) {
        assert.ok(isRedaction(standing.record) && others.length === 0)
        return
      }
      for (const r of records) assert.ok(compareBytes(standing.hash, r.standing.hash) <= 0)
      const values = new Set(records.map((r) => r.standing.record.at(-1)))
      assert.equal(others.length, values.size - 1)
    }),
    { numRuns: 1_000, seed: 6 },
  )
})

test('the laws find joins that are none', () => {
  const lastWins: Join = (_, b) => b
  const keepsAll: Join = (a, b) => ({ ...joinCells(a, b), others: [...a.others, ...b.others, b.standing] })
  const erasureIsAValue: Join = (a, b) => {
    const smaller = compareBytes(a.standing.hash, b.standing.hash) <= 0
    const standing = smaller ? a.standing : b.standing
    return { standing, others: isRedaction(standing.record) ? [] : joinCells(a, b).others }
  }
  for (const wrong of [lastWins, keepsAll, erasureIsAValue]) assert.throws(() => laws(wrong), /Property failed/)
})
