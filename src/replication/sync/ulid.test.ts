import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import fc from 'fast-check'
import { DbError } from '../../base/index.ts'
import { SimRandom } from '../../testing/sim-random.ts'
import { compareBytes, formatUlid, maxUlidMs, parseUlid, putUlidTime, UlidSource, ulidTimeMs } from './index.ts'

const bytes16 = fc.uint8Array({ minLength: 16, maxLength: 16 })

test('text and bytes say the same, and sort alike', () => {
  fc.assert(
    fc.property(bytes16, bytes16, (a, b) => {
      const [x, y] = [formatUlid(a), formatUlid(b)]
      assert.deepEqual(parseUlid(x), a)
      assert.equal(Math.sign(compareBytes(a, b)), x < y ? -1 : x > y ? 1 : 0)
    }),
  )
  assert.equal(ulidTimeMs(parseUlid('01ARZ3NDEKTSV4RRFFQ69G5FAV')), 1_469_922_850_259)
  assert.equal(formatUlid(new Uint8Array(16).fill(255)), '7ZZZZZZZZZZZZZZZZZZZZZZZZZ')
})

test('lower case and letters that look like digits are read; all else is refused and named', () => {
  assert.equal(formatUlid(parseUlid('01arz3ndektsv4rrffq69g5fav')), '01ARZ3NDEKTSV4RRFFQ69G5FAV')
  assert.equal(formatUlid(parseUlid('oIlARZ3NDEKTSV4RRFFQ69G5FA')), '011ARZ3NDEKTSV4RRFFQ69G5FA')
  const malformed = ['', '01ARZ3NDEKTSV4RRFFQ69G5FA', '01ARZ3NDEKTSV4RRFFQ69G5FAVX', '81ARZ3NDEKTSV4RRFFQ69G5FAV']
  for (const text of [
    ...malformed,
    '01ARZ3NDEKTSV4RRFFQ69G5FAU',
    '01ARZ3NDEKTSV4RRFFQ69G5F-V',
    '01ARZ3NDEKTSV4RRFFQ69G5Fé0',
  ]) {
    assert.throws(
      () => parseUlid(text),
      (e) => e instanceof DbError && e.code === 'event_key_malformed' && e.hint !== undefined,
    )
  }
})

test('times up to 2^48 - 1 fit, others do not', () => {
  const bytes = new Uint8Array(16)
  for (const ms of [0, 1, 2 ** 32, maxUlidMs]) {
    putUlidTime(bytes, 0, ms)
    assert.equal(ulidTimeMs(bytes), ms)
  }
  for (const ms of [-1, maxUlidMs + 1, 0.5, Number.NaN]) assert.throws(() => putUlidTime(bytes, 0, ms), /no time/)
})

test('keys of now ascend whatever the clock does; keys of a past time are of that time', () => {
  const random = new SimRandom('keys')
  const source = new UlidSource(random)
  let last = ''
  let wall = 1_000_000
  for (let i = 0; i < 20_000; i++) {
    wall += random.between(-3, 3)
    const key = new Uint8Array(16)
    source.now(wall, key, 0)
    const text = formatUlid(key)
    assert.ok(text > last)
    last = text
    source.past(5, key, 0)
    assert.equal(ulidTimeMs(key), 5)
  }
})

test('a life that begins behind another does not count on from its last key', () => {
  const [a, b] = [new Uint8Array(16), new Uint8Array(16)]
  const first = new UlidSource(new SimRandom('one'))
  first.now(1_000, a, 0)
  new UlidSource(new SimRandom('two'), first.nowMs).now(900, b, 0)
  assert.equal(ulidTimeMs(b), 1_001)
  assert.ok(compareBytes(b, a) > 0)
})
