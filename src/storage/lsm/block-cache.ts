/**
 * Decoded blocks in memory, within a byte budget. Each table keeps its blocks in slots of its own, so that finding one
 * is an array access; the cache only decides which go, by CLOCK: a hand passes over all blocks, spares those used since
 * it last came by, and drops the first that was not.
 *
 *   ring  [ b ][ b ][ b ][ b ] …        b.used set by readers, cleared by the hand
 *
 * Not here: reading blocks (table-file.ts).
 */
import type { Run } from './run.ts'

export class CachedBlock {
  readonly run: Run
  readonly bytes: number
  readonly slots: (CachedBlock | undefined)[]
  readonly slot: number
  /** Set by readers. A block earns its second chance by being read again, not by having been loaded. */
  used = false

  constructor(run: Run, bytes: number, slots: (CachedBlock | undefined)[], slot: number) {
    this.run = run
    this.bytes = bytes
    this.slots = slots
    this.slot = slot
  }
}

/** Objects and typed arrays around a block's bytes. */
const overheadBytes = 600

export class BlockCache {
  readonly budgetBytes: number
  bytes = 0
  hits = 0
  misses = 0
  readonly #ring: CachedBlock[] = []
  #hand = 0

  constructor(budgetBytes: number) {
    this.budgetBytes = budgetBytes
  }

  add(run: Run, slots: (CachedBlock | undefined)[], slot: number): CachedBlock {
    const bytes = run.bytes.buffer.byteLength + (run.words?.byteLength ?? 0) + overheadBytes
    const block = new CachedBlock(run, bytes, slots, slot)
    slots[slot] = block
    this.bytes += block.bytes
    this.#ring.push(block)
    while (this.bytes > this.budgetBytes && this.#ring.length > 1) this.#evict(block)
    return block
  }

  /** Forgets all blocks of a table that is gone. */
  drop(slots: (CachedBlock | undefined)[]): void {
    for (let slot = 0; slot < slots.length; slot++) {
      const block = slots[slot]
      if (block === undefined) continue
      this.bytes -= block.bytes
      slots[slot] = undefined
    }
  }

  #evict(kept: CachedBlock): void {
    const ring = this.#ring
    for (;;) {
      if (this.#hand >= ring.length) this.#hand = 0
      const block = ring[this.#hand]
      const gone = block.slots[block.slot] !== block
      if (!gone && (block.used || block === kept)) {
        block.used = false
        this.#hand++
        continue
      }
      // The last one takes the place: order does not matter to a clock.
      const last = ring.pop()!
      if (last !== block) ring[this.#hand] = last
      if (gone) continue
      block.slots[block.slot] = undefined
      this.bytes -= block.bytes
      return
    }
  }
}
