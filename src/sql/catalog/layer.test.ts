/** A layer against a plain map: random puts, renames and drops, many enough to be laid into new bases. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimRandom } from '../../testing/index.ts'
import type { Descriptor } from './descriptors.ts'
import { Layer } from './layer.ts'

const schema = (oid: number, name: string): Descriptor => ({ kind: 'schema', oid, name, owner: 10 })

test('a layer finds what a map finds, by id and by name, and older ones stay', () => {
  const seed = Number(process.env.LAYER_SEED ?? 1)
  const random = new SimRandom(seed)
  const model = new Map<number, Descriptor>()
  let layer = Layer.empty
  let old: { layer: Layer; values: string } | undefined
  for (let i = 0; i < 3000; i++) {
    const changes: [number, Descriptor | undefined][] = []
    for (let n = 1 + random.below(3); n > 0; n--) {
      const oid = random.below(400)
      // One name belongs to one object, as in a catalog.
      changes.push([oid, random.below(4) === 0 ? undefined : schema(oid, `${oid}.${random.below(3)}`)])
    }
    for (const [oid, d] of changes) {
      if (d === undefined) model.delete(oid)
      else model.set(oid, d)
    }
    layer = layer.with(changes)
    const oid = random.below(400)
    const expected = model.get(oid)
    assert.equal(layer.get(oid), expected, `LAYER_SEED=${seed}`)
    for (let n = 0; n < 3; n++) {
      const name = `${oid}.${n}`
      const named = expected !== undefined && (expected as { name: string }).name === name ? expected : undefined
      assert.equal(layer.named(name), named, `LAYER_SEED=${seed}`)
    }
    if (i % 500 === 250) old = { layer, values: JSON.stringify([...layer.values()]) }
    if (i % 500 === 499) assert.equal(JSON.stringify([...old!.layer.values()]), old!.values)
  }
  const key = (d: Descriptor) => (d as { oid: number }).oid
  assert.deepEqual(
    [...layer.values()].sort((a, b) => key(a) - key(b)),
    [...model.values()].sort((a, b) => key(a) - key(b)),
  )
})
