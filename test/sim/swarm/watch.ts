/**
 * What must hold at every moment, looked at from outside while the cluster runs:
 *
 *   election safety       no two replicas lead a partition in one term
 *   lease exclusivity     no two replicas of a partition hold its lease at one simulated instant
 *   state machine safety  whoever applies the entry at an index applies the same entry
 *
 * The first two are sampled between events, the third sees every entry.
 *
 * Not here: what must hold once all is calm (audit.ts).
 */
import { crc32 } from 'node:zlib'
import { TransactionMachine } from '../../../src/transaction/index.ts'
import type { Violation } from '../history.ts'
import type { SimNodes } from './sim-nodes.ts'

/** Events between two looks. */
const sampleEvery = 24

export class Watch {
  readonly #nodes: SimNodes
  readonly #violations = new Map<string, Violation>()
  /** Leading replica by partition and term. */
  readonly #leaders = new Map<string, number>()
  /** Checksums of applied entries by partition, then index. */
  readonly #applied = new Map<number, Map<number, number>>()
  #events = 0

  constructor(nodes: SimNodes) {
    this.#nodes = nodes
  }

  get violations(): Violation[] {
    return [...this.#violations.values()]
  }

  /** Sees every entry that any replica applies, until disposed. */
  install(): Disposable {
    const { apply, applySlices } = TransactionMachine.prototype
    const note = (partition: number, index: number, checksum: number) => this.#note(partition, index, checksum)
    TransactionMachine.prototype.apply = function (replica, payload, transactionId, index) {
      note(replica.partition.id, index, crc32(payload))
      return apply.call(this, replica, payload, transactionId, index)
    }
    TransactionMachine.prototype.applySlices = function (replica, payload, transactionId, index) {
      const { id } = replica.partition
      const slices = applySlices.call(this, replica, payload, transactionId, index)
      if (slices !== undefined) note(id, index, crc32(payload))
      return slices
    }
    return {
      [Symbol.dispose]() {
        TransactionMachine.prototype.apply = apply
        TransactionMachine.prototype.applySlices = applySlices
      },
    }
  }

  #note(partition: number, index: number, checksum: number): void {
    let entries = this.#applied.get(partition)
    if (entries === undefined) this.#applied.set(partition, (entries = new Map()))
    const known = entries.get(index)
    if (known === undefined) entries.set(index, checksum)
    else if (known !== checksum)
      this.#say('entries-differ', `partition ${partition}: replicas applied different entries at ${index}`)
  }

  /** Called between any two events. */
  tick(): void {
    if (++this.#events % sampleEvery !== 0) return
    const holders = new Map<number, number>()
    for (const node of this.#nodes.nodes) {
      if (node.opened === undefined || node.io.dead) continue
      const { host } = node.opened.opened
      // While a node starts again, what is left of its former life says nothing.
      if (host.io.dead) continue
      for (const replica of host.replicas.values()) {
        if (replica.removed || replica.raft.role !== 'leader') continue
        const { id } = replica.partition
        const reign = `${id} ${replica.raft.term}`
        const known = this.#leaders.get(reign)
        if (known === undefined) this.#leaders.set(reign, replica.id)
        else if (known !== replica.id)
          this.#say('two-leaders', `partition ${id} has two leaders in term ${replica.raft.term}`)
        if (!replica.holdsLease(host.clock.last)) continue
        const other = holders.get(id)
        if (other !== undefined)
          this.#say('two-leases', `nodes ${other} and ${node.id} hold the lease of partition ${id}`)
        holders.set(id, node.id)
      }
    }
  }

  #say(kind: string, message: string): void {
    if (this.#violations.has(message)) return
    const at = `${(this.#nodes.world.nowMicros / 1000).toFixed(1)} ms`
    this.#violations.set(message, { kind, message: `${message}; at ${at}`, operations: [] })
  }
}
