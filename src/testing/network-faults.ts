/**
 * What a test does to the network, each fault with an end of its own.
 *
 * Not here: the network (sim-network.ts).
 */
import { DbError } from '../base/index.ts'
import type { SimInternet } from './sim-network.ts'

/** A fault that lasts until it is healed, or until the end of the block when it is declared with `using`. */
export interface Fault extends Disposable {
  /** Ends the fault; more than once does nothing. */
  heal(): void
}

export class NetworkFaults {
  readonly #internet: SimInternet
  readonly #faults = new Set<Fault>()
  readonly #calm: readonly [low: number, high: number]
  #delays: Fault | undefined

  constructor(internet: SimInternet) {
    this.#internet = internet
    this.#calm = internet.delayMicros
  }

  partition(groups: readonly (readonly string[])[]): Fault {
    const all = groups.flat()
    if (groups.length < 2 || new Set(all).size !== all.length)
      throw new DbError('invalid_parameter_value', 'a network is cut between two or more groups that share no node')
    const ends: (() => void)[] = []
    for (const one of groups)
      for (const other of groups)
        if (one !== other) for (const from of one) for (const to of other) ends.push(this.#internet.block(from, to))
    return this.#fault(ends)
  }

  cutOneWay(from: readonly string[], to: readonly string[]): Fault {
    return this.#fault(pairs(from, to).map(([a, b]) => this.#internet.block(a, b)))
  }

  slow(a: readonly string[], b: readonly string[], micros: number): Fault {
    const ways = [...pairs(a, b), ...pairs(b, a)]
    return this.#fault(ways.map(([from, to]) => this.#internet.slow(from, to, micros)))
  }

  /** The latest one counts. */
  delay(lowMicros: number, highMicros: number): Fault {
    if (highMicros < lowMicros)
      throw new DbError('invalid_parameter_value', 'the shortest delay comes before the longest')
    this.#internet.delayMicros = [lowMicros, highMicros]
    const fault = this.#fault([
      () => {
        if (this.#delays === fault) this.#internet.delayMicros = this.#calm
      },
    ])
    this.#delays = fault
    return fault
  }

  heal(): void {
    for (const fault of [...this.#faults]) fault.heal()
  }

  #fault(ends: readonly (() => void)[]): Fault {
    const heal = () => {
      if (!this.#faults.delete(fault)) return
      for (const end of ends) end()
    }
    const fault: Fault = { heal, [Symbol.dispose]: heal }
    this.#faults.add(fault)
    return fault
  }
}

function pairs(from: readonly string[], to: readonly string[]): [string, string][] {
  return from.flatMap((a) => to.filter((b) => b !== a).map((b): [string, string] => [a, b]))
}
