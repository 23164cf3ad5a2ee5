import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { SimRandom } from '../../testing/sim-random.ts'
import {
  answerRanges,
  type ComparedMessage,
  type CompareMessage,
  Comparison,
  compareBytes,
  decodeMessage,
  encodeMessage,
  type KeyRange,
  type Mark,
  type RangeId,
  RangeIndex,
  toHex,
} from './index.ts'

const mark: Mark = { store: new Uint8Array(16), incarnation: new Uint8Array(8), position: 9, stamp: new Uint8Array(8) }
const show = (id: RangeId): string => `${toHex(id.key)} ${toHex(id.hash)}`

function idOf(random: SimRandom, crowded: boolean): RangeId {
  const key = random.bytes(16)
  // Keys of one moment have much in common.
  if (crowded) key.fill(3, 0, 12)
  return { key, hash: random.bytes(16) }
}

/** All that a comparison finds, over the bytes that would travel; and how many. */
function compare(
  ours: RangeIndex,
  theirs: RangeIndex,
): { only: string[]; there: string[]; bytes: number; rounds: number } {
  const comparison = new Comparison(ours)
  const here: RangeId[] = []
  const there: RangeId[] = []
  let bytes = 0
  let rounds = 0
  for (; !comparison.done; rounds++) {
    const ranges = comparison.question()
    const request = encodeMessage({ kind: 'compare', from: mark, to: mark, ranges })
    const asked = (decodeMessage(request) as CompareMessage).ranges
    const response = encodeMessage({ kind: 'compared', from: mark, answers: answerRanges(theirs, asked) })
    bytes += request.length + response.length
    comparison.learn(ranges, (decodeMessage(response) as ComparedMessage).answers, there, here)
  }
  return { only: here.map(show).sort(), there: there.map(show).sort(), bytes, rounds }
}

test('an index has counts and fingerprints as a plain list would', () => {
  const random = new SimRandom('index')
  const index = new RangeIndex()
  const model = new Map<string, RangeId>()
  for (let i = 0; i < 6_000; i++) {
    const known = random.chance(0.1) && model.size > 0 ? random.pick([...model.values()]).key : undefined
    const id = { key: known ?? idOf(random, i % 2 === 0).key, hash: random.bytes(16) }
    index.set(id.key, id.hash)
    model.set(toHex(id.key), id)
  }
  const sorted = [...model.values()].sort((a, b) => compareBytes(a.key, b.key))
  const all: string[] = []
  index.each((key, hash) => all.push(show({ key, hash })))
  assert.deepEqual(all, sorted.map(show))
  assert.equal(index.count, sorted.length)
  for (let i = 0; i < 200; i++) {
    const [a, b] = [random.pick(sorted).key, random.bytes(16)].sort(compareBytes)
    const range: KeyRange = {
      from: random.chance(0.2) ? undefined : a,
      to: random.chance(0.2) ? undefined : b.subarray(0, 3),
    }
    const fresh = new RangeIndex()
    index.each((key, hash) => fresh.set(key, hash), range)
    const [whole] = index.split(range, 1)
    const [expected] = fresh.split({ from: undefined, to: undefined }, 1)
    assert.deepEqual([whole.count, whole.fingerprint], [expected.count, expected.fingerprint])
    let { from } = range
    let sum = 0
    for (const part of index.split(range, random.between(1, 20))) {
      const [again] = index.split({ from, to: part.to }, 1)
      assert.deepEqual([again.count, again.fingerprint], [part.count, part.fingerprint])
      sum += part.count
      from = part.to
    }
    assert.equal(sum, whole.count)
  }
})

test('a comparison finds exactly what differs, whatever the sizes', () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = new SimRandom(`compare ${seed}`)
    const [ours, theirs] = [new RangeIndex(), new RangeIndex()]
    const [only, there]: string[][] = [[], []]
    const shares = [random.pick([0, 1, 10, 3_000]), random.pick([0, 1, 50, 900]), random.pick([0, 2, 40, 6_000])]
    const add = (n: number, to: (id: RangeId) => void) => {
      for (let i = 0; i < n; i++) to(idOf(random, seed % 3 === 0))
    }
    add(shares[0], ({ key, hash }) => {
      ours.set(key, hash)
      theirs.set(key, hash)
    })
    add(shares[1], (id) => {
      ours.set(id.key, id.hash)
      only.push(show(id))
    })
    add(shares[2], (id) => {
      theirs.set(id.key, id.hash)
      there.push(show(id))
    })
    // The same key with another hash.
    add(random.below(3), (id) => {
      const other = { key: id.key, hash: random.bytes(16) }
      ours.set(id.key, id.hash)
      theirs.set(other.key, other.hash)
      only.push(show(id))
      there.push(show(other))
    })
    const found = compare(ours, theirs)
    assert.deepEqual([found.only, found.there], [only.sort(), there.sort()], `seed ${seed}`)
  }
})

test('what travels grows with the difference, not with the store', () => {
  const cost = (size: number, differences: number): number => {
    const random = new SimRandom('cost')
    const [ours, theirs] = [new RangeIndex(), new RangeIndex()]
    for (let i = 0; i < size; i++) {
      const { key, hash } = idOf(random, false)
      if (i >= differences || i % 2 === 0) ours.set(key, hash)
      if (i >= differences || i % 2 === 1) theirs.set(key, hash)
    }
    return compare(ours, theirs).bytes
  }
  assert.ok(cost(100_000, 0) < 1_000)
  assert.ok(cost(100_000, 10) < 20_000, `${cost(100_000, 10)}`)
  assert.ok(cost(100_000, 100) < 1.4 * cost(25_000, 100))
})

test('an event takes 60 bytes of memory at most, however keys come', () => {
  for (const ascending of [true, false]) {
    const random = new SimRandom('memory')
    const index = new RangeIndex()
    const key = new Uint8Array(16)
    for (let i = 0; i < 200_000; i++) {
      if (ascending) new DataView(key.buffer).setUint32(0, i)
      index.set(ascending ? key : random.bytes(16), key)
    }
    assert.ok(index.bytes / index.count < (ascending ? 34 : 60), `${index.bytes / index.count}`)
  }
})
