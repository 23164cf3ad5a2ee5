/**
 * Changes of a partition that its leader carries out step by step: replicas come and go, leadership moves, spans are cut.
 *
 *   add      learner ─► catches up (snapshot, log) ─► voter
 *   move     learner ─► catches up ─► voter in place of the other, in one joint change
 *   split    freeze ─► nothing prepared or in flight ─► one entry
 *
 * Whoever decides (the controller) asks the leader; each change ends within its time or is taken back.
 *
 * Not here: what should change (controller).
 */

import { DbError } from '../../base/index.ts'
import { serviceChanges } from '../../cluster/index.ts'
import type { Configuration } from '../raft/index.ts'
import { covers, nodeOfReplica, replicaOn } from './descriptor.ts'
import type { Host } from './host.ts'
import type { PartitionReplica } from './partition-replica.ts'

export type Change =
  | { readonly kind: 'replicas'; readonly partition: number; readonly add?: number; readonly remove?: number }
  | { readonly kind: 'transfer'; readonly partition: number; readonly to: number }
  | { readonly kind: 'split'; readonly partition: number; readonly key: string }
  | { readonly kind: 'locks'; readonly partition: number; readonly locks: string }

const pollMs = 20
const catchUpMs = 60_000
const configurationMs = 10_000
const quiescenceMs = 3_000
const transferMs = 2_000
/** A learner this close behind the leader may become a voter. */
const closeEntries = 500

export class Changes {
  readonly #host: Host
  readonly #running = new Set<number>()

  constructor(host: Host) {
    this.#host = host
    host.transport.onRequest(serviceChanges, async (_from, body) => {
      const change = JSON.parse(Buffer.from(body).toString()) as Change
      return Buffer.from(JSON.stringify((await this.run(change)) ?? null))
    })
  }

  /** Asks a partition's leader, here or elsewhere. */
  async ask(leader: number, change: Change): Promise<unknown> {
    if (leader === this.#host.nodeId) return await this.run(change)
    const body = Buffer.from(JSON.stringify(change))
    return JSON.parse(
      Buffer.from(
        await this.#host.transport.request(leader, serviceChanges, body, catchUpMs + configurationMs),
      ).toString(),
    )
  }

  /** Raises object_not_in_prerequisite_state when this node does not lead the partition or the change did not end. */
  async run(change: Change): Promise<unknown> {
    const replica = this.#host.replicas.get(change.partition)
    if (replica === undefined) throw notLeading(change.partition)
    if (change.kind === 'locks') {
      this.#host.machine.importLocks(replica, Buffer.from(change.locks, 'base64'))
      return undefined
    }
    if (!replica.serving) throw notLeading(change.partition)
    if (this.#running.has(change.partition))
      throw new DbError('object_in_use', `partition ${change.partition} is being changed already`)
    this.#running.add(change.partition)
    try {
      if (change.kind === 'replicas') await this.#changeReplicas(replica, change.add, change.remove)
      else if (change.kind === 'transfer') await this.#transfer(replica, change.to)
      else return await this.#split(replica, Buffer.from(change.key, 'base64'))
      return undefined
    } finally {
      this.#running.delete(change.partition)
    }
  }

  /** Takes learners out that a change which did not end has left behind. */
  async dropLearners(replica: PartitionReplica): Promise<void> {
    const { id } = replica.partition
    if (this.#running.has(id)) return
    this.#running.add(id)
    try {
      await this.#configure(replica, { voters: replica.raft.configuration.voters, learners: [] })
    } finally {
      this.#running.delete(id)
    }
  }

  async #changeReplicas(replica: PartitionReplica, add: number | undefined, remove: number | undefined): Promise<void> {
    const { raft } = replica
    const gone = remove === undefined ? [] : members(raft.configuration).filter((r) => nodeOfReplica(r) === remove)
    if (remove === this.#host.nodeId) {
      const heir = raft.configuration.voters.find((r) => nodeOfReplica(r) !== remove)
      if (heir !== undefined) await this.#transfer(replica, nodeOfReplica(heir))
      throw new DbError('object_in_use', 'the leader has handed over; ask the next one')
    }
    let fresh: number | undefined
    if (add !== undefined) {
      fresh = members(raft.configuration).find((r) => nodeOfReplica(r) === add)
      fresh ??= replicaOn(add, raft.lastIndex + 1)
      const learner = fresh
      if (!members(raft.configuration).includes(learner)) {
        const { voters, learners } = raft.configuration
        await this.#configure(replica, { voters, learners: [...learners, learner] })
      }
      const caughtUp = () => {
        const progress = raft.progress().find((p) => p.replica === learner)
        return (
          progress !== undefined && progress.state === 'replicate' && progress.match + closeEntries >= raft.lastIndex
        )
      }
      if (!(await this.#until(replica, caughtUp, catchUpMs))) {
        const { voters, learners } = raft.configuration
        await this.#configure(replica, { voters, learners: learners.filter((r) => r !== learner) })
        throw new DbError('object_not_in_prerequisite_state', `the replica on node ${add} did not catch up in time`)
      }
    }
    const { voters, learners } = raft.configuration
    const next = voters.filter((r) => !gone.includes(r))
    if (fresh !== undefined && !next.includes(fresh)) next.push(fresh)
    const rest = learners.filter((r) => r !== fresh && !gone.includes(r))
    await this.#configure(replica, { voters: next, learners: rest })
    this.#host.learnOwn(replica)
  }

  /** Proposes a configuration until it is taken, and waits until it holds by itself. */
  async #configure(
    replica: PartitionReplica,
    next: { voters: readonly number[]; learners: readonly number[] },
  ): Promise<void> {
    const { raft } = replica
    const same = (a: readonly number[], b: readonly number[]) => a.length === b.length && a.every((r) => b.includes(r))
    const holds = ({ voters, outgoing, learners }: Configuration) =>
      outgoing.length === 0 && same(voters, next.voters) && same(learners, next.learners)
    if (holds(replica.state.configuration)) return
    let proposed = false
    const done = await this.#until(
      replica,
      () => {
        if (!proposed) proposed = replica.proposeConfiguration(next)
        return holds(replica.state.configuration)
      },
      configurationMs,
    )
    if (!done || raft.role !== 'leader')
      throw new DbError('object_not_in_prerequisite_state', 'the replicas could not be changed in time')
  }

  /** The next leader is told of our locks, then leads. */
  async #transfer(replica: PartitionReplica, to: number): Promise<void> {
    const { machine, transport } = this.#host
    replica.frozen = true
    try {
      const locks = Buffer.from(machine.exportLocks(replica)).toString('base64')
      const body = Buffer.from(JSON.stringify({ kind: 'locks', partition: replica.partition.id, locks }))
      await transport.request(to, serviceChanges, body, transferMs)
      if (!replica.serving || !replica.transfer(to)) throw notLeading(replica.partition.id)
      await this.#until(replica, () => replica.raft.role !== 'leader' || !replica.transferring, transferMs)
      if (replica.raft.role === 'leader')
        throw new DbError('object_not_in_prerequisite_state', `node ${to} did not take the leadership`)
    } finally {
      replica.frozen = false
    }
  }

  async #split(replica: PartitionReplica, key: Uint8Array): Promise<unknown> {
    const { partition } = replica
    if (!covers(partition, key) || Buffer.compare(partition.start, key) === 0)
      throw new DbError('invalid_parameter_value', 'a partition is cut inside its span')
    replica.frozen = true
    const quiet = await this.#until(replica, () => this.#host.machine.quiescent(replica), quiescenceMs)
    if (!quiet || !replica.serving) {
      replica.frozen = false
      throw new DbError('object_in_use', 'transactions are under way in the partition')
    }
    return await new Promise((done, fail) => {
      const taken = this.#host.proposeSplit(replica, key, (outcome) => {
        if (outcome.kind === 'applied' && outcome.result !== undefined) done(outcome.result)
        else fail(new DbError('object_not_in_prerequisite_state', 'the partition was not cut'))
      })
      if (!taken) fail(notLeading(partition.id))
    })
  }

  /** Whether the condition held in time while the replica led. */
  async #until(replica: PartitionReplica, holds: () => boolean, ms: number): Promise<boolean> {
    const { io } = this.#host
    const end = this.#host.now() + ms * 1000
    for (;;) {
      if (holds()) return true
      if (this.#host.now() > end || replica.removed || replica.raft.role !== 'leader') return holds()
      await new Promise<void>((done) => io.tasks.after(pollMs, done))
    }
  }
}

function members({ voters, outgoing, learners }: Configuration): number[] {
  return [...new Set([...voters, ...outgoing, ...learners])]
}

function notLeading(partition: number): DbError {
  return new DbError('object_not_in_prerequisite_state', `this node does not lead partition ${partition}`)
}
