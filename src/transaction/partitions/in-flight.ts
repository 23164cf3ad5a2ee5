/**
 * What stands in the way of reads and commits of the same keys: entries that were proposed and are not applied yet, and
 * prepared transactions whose outcome is open.
 *
 * Not here: who waits for whom (leaseholder.ts), what is prepared (partition-state.ts).
 */
import type { Timestamp } from '../../base/index.ts'
import type { PartitionReplica } from '../../replication/index.ts'

/** A write on its way to being applied, or a prepare that is. */
export interface Blocking {
  readonly transaction: number
  readonly timestamp: Timestamp
  readonly keys: readonly string[]
  /** Whoever meets it may wait for it. */
  readonly waitsForNobody?: boolean
  ready(): Promise<void>
}

export class InFlight implements Blocking {
  readonly transaction: number
  readonly timestamp: Timestamp
  readonly keys: readonly string[]
  readonly replica: PartitionReplica
  readonly sinceMicros: number
  /** Tells the proposer that nobody knows; the entry may still be applied. */
  readonly giveUp: () => void
  /** Its place in the log. */
  index = 0
  readonly #waiters: (() => void)[] = []
  done = false

  constructor(
    transaction: number,
    timestamp: Timestamp,
    keys: readonly string[],
    replica: PartitionReplica,
    sinceMicros: number,
    giveUp: () => void,
  ) {
    this.transaction = transaction
    this.timestamp = timestamp
    this.keys = keys
    this.replica = replica
    this.sinceMicros = sinceMicros
    this.giveUp = giveUp
  }

  ready(): Promise<void> {
    if (this.done) return Promise.resolve()
    return new Promise((done) => this.#waiters.push(done))
  }

  end(): void {
    this.done = true
    this.wake()
  }

  /** Those who wait look again: the lease is lost. */
  wake(): void {
    for (const done of this.#waiters.splice(0)) done()
  }
}

/** Only later ones wait, so that no two wait for each other. */
export function mayWait(transaction: number, blocking: Blocking): boolean {
  return transaction > blocking.transaction || blocking.waitsForNobody === true
}
