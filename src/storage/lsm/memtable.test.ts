import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { WriteSetBuilder, WriteSetReader } from '../../encoding/index.ts'
import { SimRandom } from '../../testing/index.ts'
import { fanout, lengthMask, Memtable, slotsAt } from './memtable.ts'
import { SearchKey } from './order.ts'

function contents(memtable: Memtable): string[] {
  const { words, doubles, bytes } = memtable
  const out: string[] = []
  let previous = 0
  for (let leaf = memtable.firstLeaf; leaf !== 0; leaf = words[leaf + 2]) {
    assert.equal(words[leaf + 3], previous, 'leaves are linked both ways')
    assert.ok(words[leaf] <= fanout)
    previous = leaf
    for (let i = 0; i < words[leaf]; i++) {
      const header = words[leaf + slotsAt + i]
      const at = header >>> 2
      const length = words[at + 3] & lengthMask
      const key = Buffer.from(bytes.slice(words[at + 2], words[at + 2] + length)).toString('latin1')
      out.push(`${key}@${doubles[header >>> 3]}${words[at + 3] !== length ? '*' : ''}`)
    }
  }
  assert.equal(memtable.lastLeaf(), previous)
  return out
}

test('versions stay in order, are found, and older ones are marked, whatever the order of insertion', () => {
  const arena = new SharedArrayBuffer(16 << 20) // used again and again, as it is
  for (let seed = 0; seed < 30; seed++) {
    const random = new SimRandom(`memtable ${seed}`)
    const memtable = new Memtable(arena)
    const expected = new Map<string, number[]>()
    const style = seed % 4
    for (let n = 1; n <= 400; n++) {
      const builder = new WriteSetBuilder()
      const keys = new Set<string>()
      for (let i = 0; i < 30; i++) {
        const number =
          style === 0
            ? n * 30 + i
            : style === 3
              ? n < 200
                ? 50_000 + n * 30 + i
                : 50_000 - n * 30 - i
              : random.below(style === 1 ? 20_000 : 300)
        keys.add(
          random.chance(0.1) ? `k${number}${'x'.repeat(random.below(9))}` : `key${String(number).padStart(6, '0')}`,
        )
      }
      for (const key of keys) {
        builder.put(Buffer.from(key), Buffer.from(`value ${n}`))
        const versions = expected.get(key) ?? []
        versions.unshift(n)
        expected.set(key, versions)
      }
      const writeSet = builder.finish(n)
      assert.ok(memtable.fits(writeSet.length, keys.size))
      memtable.apply(new WriteSetReader(writeSet), writeSet.length, new WriteSetReader(writeSet).count)
    }
    const sorted = [...expected.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const lines = sorted.flatMap((key) =>
      expected.get(key)!.map((version, i) => `${key}@${version}${i > 0 ? '*' : ''}`),
    )
    assert.deepEqual(contents(memtable), lines, `seed ${seed}`)
    assert.equal(memtable.entries, lines.length)
    const wanted = new SearchKey()
    for (let i = 0; i < 2000; i++) {
      const key = random.pick(sorted)
      const at = random.below(420)
      wanted.set(Buffer.from(key))
      const header = memtable.find(wanted, at)
      const version = expected.get(key)!.find((candidate) => candidate <= at)
      assert.equal(header === 0 ? undefined : memtable.doubles[header >>> 3], version, `seed ${seed}: ${key} at ${at}`)
      wanted.set(Buffer.from(`${key}?`))
      assert.equal(memtable.find(wanted, 1e9), 0)
    }
  }
})

test('an equal timestamp replaces, an older one is refused', () => {
  const memtable = new Memtable(new SharedArrayBuffer(1 << 20))
  const put = (timestamp: number, value: string) => {
    const builder = new WriteSetBuilder()
    builder.put(Buffer.from('k'), Buffer.from(value))
    const writeSet = builder.finish(timestamp)
    memtable.apply(new WriteSetReader(writeSet), writeSet.length, new WriteSetReader(writeSet).count)
  }
  put(5, 'a')
  put(7, 'b')
  put(7, 'c')
  assert.deepEqual(contents(memtable), ['k@7', 'k@5*'])
  assert.throws(() => put(6, 'd'), /never go back/)
})
