/**
 * Keys compared and sought by what runs keep beside their entries sort as their bytes do: random keys of few different
 * bytes, so that prefixes of every length are shared. SEED=n draws others.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BlockBuilder, openBlock } from './block.ts'
import { MergeKey } from './merge-key.ts'
import { keyLengthMask, type Run } from './run.ts'

const seed = Number(process.env.SEED ?? 1)

/** A linear congruential generator: enough for drawing bytes. */
function draws(start: number): (n: number) => number {
  let state = start >>> 0
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 0x1_0000_0000) * n)
  }
}

function blockOf(keys: readonly Buffer[]): Run {
  const builder = new BlockBuilder()
  builder.reset()
  for (const key of keys) builder.addApart(key, Buffer.from('v'), key.length, 1)
  const raw = builder.finish()
  // Opened blocks begin at a multiple of eight.
  return openBlock(new Uint8Array(raw))
}

function keyAt(run: Run, i: number): Buffer {
  return Buffer.from(run.bytes.slice(run.start[i], run.start[i] + (run.info[i] & keyLengthMask)))
}

test('numbers of keys sort as keys', () => {
  const below = draws(seed)
  for (let round = 0; round < 3000; round++) {
    const shared = below(6)
    const head = Buffer.from(Array.from({ length: shared }, () => below(256)))
    const inner = below(11)
    const draw = () => {
      const tail = Array.from({ length: below(12) }, (_, i) =>
        i < inner ? [0, 7][below(8) === 0 ? 1 : 0] : [0, 1, 255, 128][below(4)],
      )
      return Buffer.concat([head, Buffer.from(tail)])
    }
    const sorted = () =>
      [...new Map(Array.from({ length: 1 + below(12) }, draw).map((k) => [k.toString('hex'), k])).values()].sort(
        Buffer.compare,
      )
    const runs = [blockOf(sorted()), blockOf(sorted())]
    if (below(4) === 0) runs[1].words = undefined
    const keys = [new MergeKey(), new MergeKey()]
    for (let i = 0; i < runs[0].count; i++) {
      for (let k = 0; k < runs[1].count; k++) {
        keys[0].note(runs[0], i, shared)
        keys[1].note(runs[1], k, shared)
        const [a, b] = [keyAt(runs[0], i), keyAt(runs[1], k)]
        const order = Buffer.compare(a, b)
        const where = `SEED=${seed}, round ${round}: ${a.toString('hex')} and ${b.toString('hex')}, ${shared} shared`
        assert.equal(Math.sign(keys[0].compare(keys[1])), order, where)
        if (order >= 0) continue
        const end = runs[0].count
        let found = i + 1
        while (found < end && Buffer.compare(keyAt(runs[0], found), b) < 0) found++
        assert.equal(keys[0].gallop(runs[0], i, end, keys[1]), found, where)
      }
    }
  }
})
