/**
 * Repeatable randomness: the sfc32 generator (Chris Doty-Humphrey's PractRand), seeded from text by a mixing hash.
 *
 * Not here: anything fit for keys and salts outside a simulation.
 */
import { assert } from '../base/index.ts'
import type { Random } from '../io/index.ts'
import type { Trace } from './trace.ts'

export class SimRandom implements Random {
  #a: number
  #b: number
  #c: number
  #counter = 1
  readonly #seed: string
  readonly #trace: Trace | undefined

  constructor(seed: string | number, trace?: Trace) {
    this.#seed = String(seed)
    this.#trace = trace
    this.#a = hashText(this.#seed, 0x9e3779b9)
    this.#b = hashText(this.#seed, 0x85ebca6b)
    this.#c = hashText(this.#seed, 0xc2b2ae35)
    for (let i = 0; i < 12; i++) this.#word()
  }

  /** An independent generator, so that draws in one part do not shift those of another. */
  fork(name: string, trace?: Trace): SimRandom {
    return new SimRandom(`${this.#seed}/${name}`, trace)
  }

  below(bound: number): number {
    assert(bound >= 1 && bound <= 0x1_0000_0000, 'the bound of a random integer is in [1, 2^32]')
    const value = Math.floor((this.#word() / 0x1_0000_0000) * bound)
    this.#trace?.note('random', bound, value)
    return value
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length)
    for (let i = 0; i < length; i++) out[i] = this.#word()
    this.#trace?.note('random-bytes', length, out[0] ?? 0)
    return out
  }

  /** True with a probability. */
  chance(probability: number): boolean {
    return this.#word() < probability * 0x1_0000_0000
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]
  }

  /** An integer in [low, high]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  #word(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum
    this.#c |= 0
    return sum >>> 0
  }
}

function hashText(text: string, seed: number): number {
  let h = seed | 0
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
    h ^= h >>> 15
  }
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
