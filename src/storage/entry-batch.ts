/**
 * The batch that every cursor fills: parallel arrays of ranges into slabs.
 *
 *   slabs   [ S0 ][ S1 ]
 *   slab      0    0    1    1   …      entry i: key   = slabs[slab[i]].bytes[keyStart[i] .. keyEnd[i])
 *   keyStart  …    …    …    …          value = the same with valueStart, valueEnd; valueStart -1 = deletion
 *
 * Batches are pooled: a short scan must not pay for 28 KiB of arrays.
 *
 * Not here: who fills it.
 */
import type { EntryBatch, Slab } from './engine.ts'

export const batchCapacity = 1024

export class SlabBatch implements EntryBatch {
  count = 0
  readonly slabs: Slab[] = []
  readonly slab = new Uint16Array(batchCapacity)
  readonly keyStart = new Int32Array(batchCapacity)
  readonly keyEnd = new Int32Array(batchCapacity)
  readonly valueStart = new Int32Array(batchCapacity)
  readonly valueEnd = new Int32Array(batchCapacity)
  readonly timestamps = new Float64Array(batchCapacity)

  clear(): void {
    this.count = 0
    this.slabs.length = 0
  }

  /** The number of a slab within this batch; entries come in runs, so it is nearly always the last one. */
  slabNumber(slab: Slab): number {
    const { slabs } = this
    const last = slabs.length - 1
    if (last >= 0 && slabs[last] === slab) return last
    const index = slabs.indexOf(slab)
    if (index >= 0) return index
    slabs.push(slab)
    return slabs.length - 1
  }
}

const pool: SlabBatch[] = []
const poolLimit = 64

export function takeBatch(): SlabBatch {
  return pool.pop() ?? new SlabBatch()
}

export function returnBatch(batch: SlabBatch): void {
  batch.clear()
  if (pool.length < poolLimit) pool.push(batch)
}
