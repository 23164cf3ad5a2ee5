import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { SimRandom } from '../../testing/index.ts'
import { BlockBuilder, openBlock } from './block.ts'
import { BlockCache, type CachedBlock } from './block-cache.ts'
import { addToFilter, filterBytes, filterHas, hashKey } from './hash.ts'
import type { Run } from './run.ts'

function blockOf(entries: number): Run {
  const builder = new BlockBuilder()
  for (let i = 0; i < entries; i++) {
    builder.addApart(Buffer.from(`key${String(i).padStart(5, '0')}`), Buffer.alloc(20, i), 8, 7)
  }
  return openBlock(new Uint8Array(builder.finish()))
}

test('the cache stays within its budget, keeps what is used, and forgets dropped tables', () => {
  const size = blockOf(50).bytes.buffer.byteLength + 4 * 50 + 600
  const cache = new BlockCache(size * 10)
  const slots: (CachedBlock | undefined)[] = new Array(100).fill(undefined)
  cache.add(blockOf(50), slots, 0)
  for (let i = 1; i < 100; i++) {
    slots[0]!.used = true // read between any two additions
    cache.add(blockOf(50), slots, i)
    assert.ok(cache.bytes <= size * 10)
    assert.ok(slots[i] !== undefined, 'what was just added is there')
  }
  assert.ok(slots[0] !== undefined, 'what is used stays')
  assert.equal(slots.filter((block) => block !== undefined).length, 10)
  cache.drop(slots)
  assert.equal(cache.bytes, 0)
  const others: (CachedBlock | undefined)[] = new Array(30).fill(undefined)
  for (let i = 0; i < 30; i++) cache.add(blockOf(50), others, i)
  assert.equal(others.filter((block) => block !== undefined).length, 10)
})

test('a block larger than the budget is served all the same', () => {
  const cache = new BlockCache(100)
  const slots: (CachedBlock | undefined)[] = [undefined, undefined]
  cache.add(blockOf(500), slots, 0)
  cache.add(blockOf(500), slots, 1)
  assert.deepEqual(
    slots.map((block) => block !== undefined),
    [false, true],
  )
})

test('a run finds its lower bounds and gallops to them', () => {
  const run = blockOf(300)
  const random = new SimRandom('bounds')
  for (let n = 0; n < 2000; n++) {
    const number = random.below(320)
    const key = Buffer.from(`key${String(number).padStart(5, '0')}${random.chance(0.3) ? 'x' : ''}`)
    const view = new DataView(key.buffer, key.byteOffset, key.length)
    const expected = Math.min(300, key.length > 8 ? number + 1 : number)
    assert.equal(run.lowerBound(view, 0, key.length, Number.MAX_SAFE_INTEGER), expected)
    const from = random.below(Math.max(1, expected))
    if (from < expected) assert.equal(run.gallop(from, 300, view, 0, key.length), expected)
  }
})

test('the filter knows every key, and few that were not added', () => {
  const keyAt = (n: number) => {
    const key = Buffer.alloc(16)
    key.writeUInt32BE(n, 12)
    return hashKey(new DataView(key.buffer, key.byteOffset, 16), 0, 16)
  }
  const filter = new Uint8Array(filterBytes(20_000))
  for (let n = 0; n < 20_000; n++) addToFilter(filter, keyAt(n))
  for (let n = 0; n < 20_000; n++) assert.ok(filterHas(filter, keyAt(n)))
  let false_ = 0
  for (let n = 20_000; n < 120_000; n++) if (filterHas(filter, keyAt(n))) false_++
  assert.ok(false_ < 2000, `${false_} false positives in 100,000: at most 2 %`)
})
