/**
 * Randomness from the operating system, drawn in batches so that a number costs no system call.
 *
 * Not here: repeatable randomness (testing/).
 */
import { randomBytes, randomFillSync } from 'node:crypto'
import { assert } from '../../base/index.ts'
import type { Random } from '../ports.ts'

const batch = 256

export class NodeRandom implements Random {
  readonly #words = new Uint32Array(batch)
  #next = batch

  below(bound: number): number {
    assert(bound >= 1 && bound <= 0x1_0000_0000, 'the bound of a random integer is in [1, 2^32]')
    // Values above the largest multiple of the bound would favour small results: draw again.
    const limit = 0x1_0000_0000 - (0x1_0000_0000 % bound)
    for (;;) {
      if (this.#next === batch) {
        randomFillSync(this.#words)
        this.#next = 0
      }
      const word = this.#words[this.#next++]
      if (word < limit) return word % bound
    }
  }

  bytes(length: number): Uint8Array {
    return randomBytes(length)
  }
}
