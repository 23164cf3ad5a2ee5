/**
 * What must hold at every moment, looked at from outside while the cluster runs:
 *
 *   election safety       no two replicas lead a partition in one term
 *   lease exclusivity     no two replicas of a partition hold its lease at one simulated instant
 *   leader completeness   whoever holds a lease has applied all that earlier leaders have answered for
 *   votes                 a replica that has told others of its vote knows it, and its term, also in a later life, and gives
 *                         no other in that term
 *   state machine safety  whoever applies the entry at an index applies the same entry
 *
 * The first four are sampled between events, the last sees every entry.
 *
 * Not here: what must hold once all is calm (audit.ts).
 */
import { crc32 } from 'node:zlib'
import { Host, type PartitionReplica } from '../../../src/replication/index.ts'
import { messageVote, messageVoteReply } from '../../../src/replication/raft/index.ts'
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
  /** What the last two holders of a partition's lease were seen to have applied, and in which terms. */
  readonly #answered = new Map<number, readonly { readonly term: number; readonly index: number }[]>()
  /** The newest vote that a replica has told others of, by partition and replica: it was durable before. */
  readonly #votes = new Map<string, { readonly term: number; readonly vote: number }>()
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
    const { sendRaft } = Host.prototype
    const voted = (replica: PartitionReplica, term: number, vote: number) => this.#voted(replica, term, vote)
    Host.prototype.sendRaft = function (replica, message) {
      if (message.type === messageVote && !message.pre) voted(replica, message.term, message.from)
      if (message.type === messageVoteReply && !message.pre && message.granted) voted(replica, message.term, message.to)
      sendRaft.call(this, replica, message)
    }
    return {
      [Symbol.dispose]() {
        Host.prototype.sendRaft = sendRaft
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
        if (replica.removed) continue
        this.#remembers(replica)
        if (replica.raft.role !== 'leader') continue
        const { id } = replica.partition
        const reign = `${id} ${replica.raft.term}`
        const known = this.#leaders.get(reign)
        if (known === undefined) this.#leaders.set(reign, replica.id)
        else if (known !== replica.id)
          this.#say('two-leaders', `partition ${id} has two leaders in term ${replica.raft.term}`)
        if (!replica.holdsLease(host.clock.last)) continue
        this.#completes(replica)
        const other = holders.get(id)
        if (other !== undefined)
          this.#say('two-leases', `nodes ${other} and ${node.id} hold the lease of partition ${id}`)
        holders.set(id, node.id)
      }
    }
  }

  #completes({ partition, raft, applied }: PartitionReplica): void {
    const reigns = [...(this.#answered.get(partition.id) ?? [])]
    const earlier = reigns.findLast(({ term }) => term < raft.term)
    if (earlier !== undefined && applied < earlier.index) {
      const what = `has applied ${applied}, its forerunner in term ${earlier.term} ${earlier.index}`
      this.#say('incomplete-leader', `partition ${partition.id}: the leader of term ${raft.term} ${what}`)
    }
    const last = reigns.at(-1)
    if (last !== undefined && last.term > raft.term) return
    if (last?.term === raft.term) reigns.pop()
    this.#answered.set(partition.id, [...reigns.slice(-1), { term: raft.term, index: applied }])
  }

  #voted(replica: PartitionReplica, term: number, vote: number): void {
    const name = nameOf(replica)
    const told = this.#votes.get(name)
    if (told?.term === term && told.vote !== vote)
      this.#say('two-votes', `partition ${name}: votes for ${told.vote} and for ${vote} in term ${term}`)
    this.#votes.set(name, { term, vote })
  }

  #remembers(replica: PartitionReplica): void {
    const { partition, id, raft } = replica
    const told = this.#votes.get(nameOf(replica))
    if (told === undefined || raft.term > told.term || (raft.term === told.term && raft.vote === told.vote)) return
    const what = `voted for ${told.vote} in term ${told.term} and knows of ${raft.vote} in term ${raft.term}`
    this.#say('forgotten-vote', `partition ${partition.id}: replica ${id} has ${what}`)
  }

  #say(kind: string, message: string): void {
    if (this.#violations.has(message)) return
    const at = `${(this.#nodes.world.nowMicros / 1000).toFixed(1)} ms`
    this.#violations.set(message, { kind, message: `${message}; at ${at}`, operations: [] })
  }
}

function nameOf({ partition, id }: PartitionReplica): string {
  return `${partition.id} ${id}`
}
