/**
 * The replica of a `:memory:` database: no log, an entry is committed when the loop's current task is done.
 *
 * Not here: durability, of which there is none.
 */
import { microtask } from '../base/index.ts'
import type { Replica, StateMachine } from '../replication/index.ts'

export class VolatileReplica implements Replica {
  readonly stream: number
  readonly #machine: StateMachine
  #index = 0

  constructor(stream: number, machine: StateMachine) {
    this.stream = stream
    this.#machine = machine
  }

  propose(payload: Uint8Array, _transactionId: number, applied: () => void): void {
    const index = ++this.#index
    microtask(() => {
      this.#machine.apply(payload, this.stream, index)
      applied()
    })
  }

  reclaim(): void {}

  async close(): Promise<void> {}
}
