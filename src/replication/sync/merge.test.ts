import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  ByteOutput,
  type Cell,
  cellOf,
  compareBytes,
  hashRecord,
  headKeyAt,
  isRedaction,
  joinCells,
  recordHead,
  redactionOf,
  toHex,
  writeRecord,
} from './index.ts'

const key = new Uint8Array(16).fill(7)

/** One of few values from one of few origins, now and then an erasure. */
const record = fc
  .record({
    value: fc.integer({ min: 0, max: 3 }),
    origin: fc.integer({ min: 0, max: 2 }),
    erased: fc.integer({ min: 0, max: 9 }),
  })
  .map(({ value, origin, erased }): Cell => {
    let bytes = redactionOf(key)
    if (erased > 0) {
      const out = new ByteOutput()
      const head = recordHead(new Uint8Array(24).fill(origin))
      head.set(key, headKeyAt)
      writeRecord(out, head, 1, 1_000 + origin, 'text/plain', Uint8Array.of(value))
      bytes = out.bytes.slice() as Uint8Array<ArrayBuffer>
    }
    return cellOf({ record: bytes, hash: hashRecord(bytes) })
  })
const cell = fc.array(record, { minLength: 1, maxLength: 6 }).map((cells) => cells.reduce(joinCells))
const text = ({ standing, others }: Cell): string => [standing, ...others].map((h) => toHex(h.hash)).join(' ')

type Join = (a: Cell, b: Cell) => Cell

function laws(join: Join): void {
  const options = { numRuns: 2_000, seed: 4 }
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
