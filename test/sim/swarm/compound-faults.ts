/**
 * Faults that are a sequence, each made for a moment that single ones hardly ever hit:
 *
 *   coma       a gateway stands still once a transaction of its own is prepared everywhere, and goes on in the moment in
 *              which the first participant has given it up
 *   relapse    a machine that was away loses its power again as soon as a snapshot has brought it up to date
 *   amnesia    of a leader's two followers one is cut off for so long that it wants to lead, then the leader is cut off
 *              as well and the other follower, whose promise still counts, restarts at once
 *   handover   leaders hand over to a node whose disk cannot keep up: it has what they committed and has not applied it
 *   brownout   disks lag, each by another time, and then the power goes everywhere: what some have kept others have not
 *   heir       a leader's answers do not reach a gateway until somebody else leads who was not there when it asked
 *   exile      a node is cut off until the others hold it for dead and go on without it: they change what it still goes by
 *
 * Not here: faults of one kind, and when there are any (nemesis.ts).
 */

import { DbError } from '../../../src/base/index.ts'
import { type Changes, covers, type PartitionReplica } from '../../../src/replication/index.ts'
import type { SimRandom } from '../../../src/testing/sim-random.ts'
import { NodeDied, type SimNode, type SimNodes } from './sim-nodes.ts'

/** How long a transaction to wait for is looked for, and how often. */
const lookMs = 2_000
const lookEveryMs = 0.5
/** Transactions are given up after four seconds, by sweeps every half second. */
const comaMs = 6_000
const snapshotMs = 3_000
const lagMs = 3_000
/** Entries. */
const lag = 8
/** Longer than a promise holds, and the timeout of an election. */
const waitingMs: readonly [number, number] = [700, 1_200]
/** Gossip suspects after half a second and buries three seconds later. */
const exileMs: readonly [number, number] = [4_500, 7_000]
const lagsMicros: readonly [number, number] = [5_000, 60_000]

interface Undecided {
  readonly transaction: number
  readonly gateway: number
  /** The partition that decides is among them. */
  anchored: boolean
  readonly partitions: Set<number>
  readonly leaders: Set<number>
}

export class CompoundFaults {
  readonly #nodes: SimNodes
  readonly #random: SimRandom

  constructor(nodes: SimNodes, random: SimRandom) {
    this.#nodes = nodes
    this.#random = random
  }

  async coma(): Promise<boolean> {
    const { world } = this.#nodes
    const wait = async (holds: () => boolean, limitMs: number) => {
      for (const end = world.nowMicros + limitMs * 1000; !holds() && world.nowMicros < end; )
        await this.#nodes.sleep(lookEveryMs)
    }
    let found: Undecided | undefined
    await wait(() => (found = [...this.#undecided().values()].find(isElsewhere)) !== undefined, lookMs)
    const io = this.#nodes.alive().find(({ id }) => id === found?.gateway)?.io
    if (found === undefined || io === undefined || io.paused) return false
    const { transaction, partitions } = found
    io.pause()
    await wait(() => this.#undecided().get(transaction)?.partitions.size !== partitions.size, comaMs)
    io.resume()
    return true
  }

  /** What is prepared where it is led, by transaction. */
  #undecided(): Map<number, Undecided> {
    const out = new Map<number, Undecided>()
    for (const node of this.#nodes.alive()) {
      const { machine } = node.opened!.opened.store
      for (const replica of served(node)) {
        for (const { transaction, gateway, anchor } of machine.state(replica).prepared.values()) {
          let one = out.get(transaction)
          if (one === undefined)
            out.set(
              transaction,
              (one = { transaction, gateway, anchored: false, partitions: new Set(), leaders: new Set() }),
            )
          one.partitions.add(replica.partition.id)
          one.leaders.add(node.id)
          one.anchored ||= covers(replica.partition, anchor)
        }
      }
    }
    return out
  }

  async relapse(): Promise<boolean> {
    const node = this.#random.pick(this.#nodes.members())
    this.#nodes.crash(node, true)
    await this.#while([500, 2_500])
    await this.#cutLogs()
    // In an event of its own, before anything that follows the snapshot can be there.
    node.onSnapshot = () => this.#nodes.world.schedule(0, () => this.#nodes.crash(node, true))
    await this.#nodes.restart(node)
    const again = await this.#nodes.until(() => node.io.dead, snapshotMs)
    node.onSnapshot = undefined
    if (!again) return false
    await this.#while([0, 200])
    await this.#nodes.restart(node)
    return true
  }

  /** Nodes keep no more of their logs than they have to, as a busy cluster does all the time. */
  async #cutLogs(): Promise<void> {
    for (const node of this.#nodes.alive()) {
      const { engine, host } = node.opened!.opened
      await Promise.race([engine.flush(), node.died]).catch((error) => {
        if (!(error instanceof NodeDied || error instanceof DbError)) throw error
      })
      if (!node.io.dead) host.reclaim()
    }
  }

  async amnesia(): Promise<boolean> {
    const found = this.#followed()
    if (found === undefined) return false
    const { internet } = this.#nodes.world
    const [leader, ...followers] = found
    const waits = this.#random.pick(followers)
    const forgets = followers.find((node) => node !== waits)!
    const ends = [internet.block(leader.host, waits.host), internet.block(waits.host, leader.host)]
    await this.#while(waitingMs)
    ends.push(internet.block(leader.host, forgets.host), internet.block(forgets.host, leader.host))
    this.#nodes.crash(forgets, false)
    await this.#nodes.restart(forgets)
    await this.#while([500, 1_000])
    for (const end of ends) end()
    return true
  }

  async brownout(): Promise<boolean> {
    const nodes = this.#nodes.members()
    for (const { disk } of nodes) disk.extraMicros = this.#random.chance(0.5) ? this.#random.between(...lagsMicros) : 0
    await this.#while([20, 300])
    for (const node of nodes) this.#nodes.crash(node, true)
    for (const { disk } of nodes) disk.extraMicros = 0
    await this.#while([0, 500])
    await Promise.all(nodes.map((node) => this.#nodes.restart(node)))
    return true
  }

  async exile(): Promise<boolean> {
    const { internet } = this.#nodes.world
    const exiled = this.#random.pick(this.#nodes.alive())
    const others = this.#nodes.members().filter((node) => node !== exiled)
    const ends = others.flatMap(({ host }) => [internet.block(exiled.host, host), internet.block(host, exiled.host)])
    await this.#while(exileMs)
    for (const end of ends) end()
    return others.length > 0
  }

  /** Of one partition, with a gateway that has no replica of it if there is one. */
  async heir(): Promise<boolean> {
    const alive = this.#nodes.alive().filter(({ io }) => !io.paused)
    const chosen: { node: SimNode; replica: PartitionReplica; newcomers: SimNode[] }[] = []
    for (const node of alive) {
      for (const replica of served(node)) {
        const newcomers = alive.filter(({ id }) => !replica.nodes().includes(id))
        if (newcomers.length > 0) chosen.push({ node, replica, newcomers })
      }
    }
    if (chosen.length === 0) return false
    const { node, replica, newcomers } = this.#random.pick(chosen)
    const heir = this.#random.pick(newcomers)
    const others = alive.filter((other) => other !== node && other !== heir)
    const strangers = others.filter(({ id }) => !replica.nodes().includes(id))
    if (others.length === 0) return false
    const gateway = this.#random.pick(strangers.length > 0 ? strangers : others)
    const end = this.#nodes.world.internet.block(node.host, gateway.host)
    const partition = replica.partition.id
    const remove = this.#random.pick(replica.nodes().filter((id) => id !== node.id))
    const done =
      (await this.#change(node, { kind: 'replicas', partition, add: heir.id, remove })) &&
      (await this.#change(node, { kind: 'transfer', partition, to: heir.id }))
    await this.#while([0, 500])
    end()
    return done
  }

  async handover(): Promise<boolean> {
    const leaders = this.#nodes.alive().filter((node) => !node.io.paused && served(node).length > 0)
    const slow = this.#random.pick(this.#nodes.alive())
    const from = leaders.filter((node) => node !== slow)
    if (from.length === 0) return false
    slow.disk.extraMicros = this.#random.between(5_000, 30_000)
    await this.#nodes.until(() => slow.io.dead || isBehind(slow), lagMs)
    await Promise.all(from.map((node) => this.#handOver(node, slow)))
    await this.#while([300, 1_500])
    slow.disk.extraMicros = 0
    return true
  }

  async #handOver(node: SimNode, to: SimNode): Promise<void> {
    if (node.io.dead) return
    for (const { partition } of served(node))
      await this.#change(node, { kind: 'transfer', partition: partition.id, to: to.id })
  }

  /** Some partitions may not be changed, and a node may die of it: then this was it. */
  async #change(node: SimNode, change: Parameters<Changes['run']>[0]): Promise<boolean> {
    try {
      await Promise.race([node.opened!.opened.controller.changes.run(change), node.died])
      return true
    } catch (error) {
      if (error instanceof NodeDied || error instanceof DbError) return false
      throw error
    }
  }

  /** A node that leads a partition of three voters, and the other two. */
  #followed(): readonly SimNode[] | undefined {
    const alive = this.#nodes.alive().filter(({ io }) => !io.paused)
    const found: SimNode[][] = []
    for (const node of alive) {
      for (const replica of served(node)) {
        const followers = alive.filter((other) => other !== node && replica.voterNodes().includes(other.id))
        if (replica.voterNodes().length === 3 && followers.length === 2) found.push([node, ...followers])
      }
    }
    return found.length === 0 ? undefined : this.#random.pick(found)
  }

  #while([low, high]: readonly [number, number]): Promise<void> {
    return this.#nodes.sleep(this.#random.between(low, high))
  }
}

/** Prepared in several partitions, none of which its gateway leads, and not decided. */
function isElsewhere({ gateway, anchored, partitions, leaders }: Undecided): boolean {
  return anchored && partitions.size > 1 && !leaders.has(gateway)
}

/** It takes in more than its disk can keep, and has entries in its log that it cannot apply yet. */
function isBehind(node: SimNode): boolean {
  const { engine, host } = node.opened!.opened
  return engine.stalled && [...host.replicas.values()].some(({ applied, raft }) => raft.commit > applied + lag)
}

function served(node: SimNode): PartitionReplica[] {
  return [...node.opened!.opened.host.replicas.values()].filter(({ serving }) => serving)
}
