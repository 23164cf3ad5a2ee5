/**
 * A channel between two stores that loses requests and responses, delivers some twice and old ones again.
 *
 * Not here: what travels.
 */
import { DbError } from '../../../src/base/index.ts'
import { answerSync, type SyncExchange } from '../../../src/model/events/index.ts'
import type { SimRandom } from '../../../src/testing/sim-random.ts'
import type { LiveStore } from './live-store.ts'

export interface Faults {
  /** Of a message to be lost, which ends the sync. */
  readonly loss: number
  /** Of a request to be answered twice, or an earlier one of anybody again. */
  readonly again: number
}

export class Channel {
  readonly #random: SimRandom
  readonly #earlier: { to: LiveStore; request: Uint8Array }[] = []
  faults = 0
  /** Requests that are being answered; who asked may be dead. */
  underWay = 0
  bytes = 0

  constructor(random: SimRandom) {
    this.#random = random
  }

  to(target: LiveStore, { loss, again }: Faults): SyncExchange {
    return async (request) => {
      const random = this.#random
      const bytes = request.slice()
      this.bytes += bytes.length
      if (random.chance(loss)) throw this.#lost()
      if (random.chance(again)) {
        this.faults++
        this.#earlier.push({ to: target, request: bytes })
        const old = random.pick(this.#earlier)
        if (!old.to.down) await this.#answer(old.to, old.request.slice())
      }
      const response = await this.#answer(target, bytes)
      if (response === undefined || random.chance(loss)) throw this.#lost()
      this.bytes += response.length
      return response
    }
  }

  async #answer(target: LiveStore, request: Uint8Array): Promise<Uint8Array | undefined> {
    this.underWay++
    try {
      return await target.race(answerSync(target.store, request))
    } finally {
      this.underWay--
    }
  }

  #lost(): DbError {
    this.faults++
    return new DbError('connection_failure', 'the connection is gone')
  }
}
