/**
 * Decides where replicas live. Every node runs one; only the one at the leader of the first partition acts.
 *
 *   routes, members ─► Placement (pure) ─► moves ─► the partitions' leaders carry them out (Changes)
 *
 * Leaders themselves cut their partitions when they have grown large.
 *
 * Not here: how replicas change (replication/partitions/changes.ts), the rules of placement (cluster/placement.ts).
 */
import { DbError, END, maxTimestamp, WAIT } from '../base/index.ts'
import {
  type Member,
  type Membership,
  type Move,
  type PlacedPartition,
  Placement,
  type PlacementNode,
} from '../cluster/index.ts'
import type { Io } from '../io/index.ts'
import { Changes, decodeRoute, type Host, type PartitionReplica, type Route } from '../replication/index.ts'

export interface ControllerOptions {
  readonly io: Io
  readonly host: Host
  readonly membership: Membership
  /** Copies of each partition. Default 3. */
  readonly replicas?: number
  readonly allowSameHost?: boolean
  /** Partitions above this are cut. Default 64 MiB. */
  readonly splitBytes?: number
}

/** The hint that a node, in the incarnation that is the value, is being taken out of the cluster. */
export function leavingKey(node: number): string {
  return `leaving ${node}`
}

/** The hint that a node's disk is full. */
function fullKey(node: number): string {
  return `full ${node}`
}

const tickMs = 500
/** Changes of replicas under way at once, in the whole cluster. */
const maxMoves = 2
/** Replicas of a node that is dead, or is being stopped, are made anew elsewhere after so long. */
const replaceAfterMicros = 30_000_000
/** How often leaders look at the sizes of what they lead, in ticks. */
const sizeTicks = 4
/** How often leaders look for learners that nobody promotes, in ticks. */
const learnerTicks = 20

export class Controller {
  readonly changes: Changes
  readonly #options: ControllerOptions
  readonly #moving = new Set<number>()
  /** Since when nodes are dead or stopping. */
  readonly #awaySince = new Map<number, number>()
  #timer: { cancel(): void } | undefined
  #ticks = 0
  #stopped = false

  constructor(options: ControllerOptions) {
    this.#options = options
    this.changes = new Changes(options.host)
    this.#later()
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  #later(): void {
    this.#timer = this.#options.io.tasks.after(tickMs, () => {
      if (this.#stopped || this.#options.io.dead) return
      this.#tick()
      this.#later()
    })
  }

  #tick(): void {
    const { host, membership } = this.#options
    const now = host.now()
    for (const { nodeId, state } of membership.members) {
      if (state !== 'dead' && state !== 'draining') this.#awaySince.delete(nodeId)
      else if (!this.#awaySince.has(nodeId)) this.#awaySince.set(nodeId, now)
    }
    if (++this.#ticks % sizeTicks === 0) {
      host.publishSizes()
      this.#splitLarge()
    }
    this.#noteFullDisk()
    if (this.#ticks % learnerTicks === 0) this.#dropLearners()
    const first = host.router.routes[0]
    if (first === undefined || host.replicas.get(first.partition.id)?.serving !== true) return
    this.#remindLeaders()
    for (const move of this.plan()) this.#start(move)
  }

  /** A leader that a request did not find was forgotten and says nothing new of itself: take what it said last. */
  #remindLeaders(): void {
    const { host, membership } = this.#options
    for (const { partition, leader } of host.router.routes) {
      const said = leader === 0 ? membership.info(`partition ${partition.id}`) : undefined
      if (typeof said === 'string') host.learn(decodeRoute(Buffer.from(said, 'base64')))
    }
  }

  /** The moves that the cluster needs now. */
  plan(): Move[] {
    const { host, allowSameHost } = this.#options
    const limit = maxMoves - this.#moving.size
    if (limit <= 0) return []
    const placement = new Placement(this.nodes(), { allowSameHost })
    const partitions = this.partitions().filter((p) => !this.#moving.has(p.id))
    const known = new Map(host.router.routes.map((r) => [r.partition.id, r]))
    const led = partitions.filter((p) => known.get(p.id)!.leader !== 0)
    const repairs = placement.repairs(led, limit)
    return repairs.length > 0 ? repairs : placement.rebalance(led, Math.min(1, limit))
  }

  nodes(): PlacementNode[] {
    const { host, membership } = this.#options
    const counts = new Map<number, number>()
    for (const { nodes } of host.router.routes) for (const n of nodes) counts.set(n, (counts.get(n) ?? 0) + 1)
    return membership.members.map((m) => ({
      nodeId: m.nodeId,
      state: this.#effective(m),
      host: m.host,
      locality: m.locality,
      replicas: counts.get(m.nodeId) ?? 0,
      load: 0,
      unreliability: membership.unreliability(m.nodeId),
      full: membership.info(fullKey(m.nodeId)) === true,
    }))
  }

  partitions(): PlacedPartition[] {
    const { host, membership, replicas = 3 } = this.#options
    const count = membership.members.filter((m) => m.state !== 'left').length
    // An even number of copies survives no more failures than one less.
    const possible = Math.min(replicas, count)
    const wanted = possible % 2 === 0 ? possible - 1 : possible
    return host.router.routes.map((r: Route) => ({ id: r.partition.id, replicas: r.nodes, wanted }))
  }

  /**
   * A node that has only just died, or drains for a restart, may come back: its replicas are kept for a while. One that is
   * being taken out of the cluster loses them at once.
   */
  #effective({ nodeId, state, incarnation }: Member): Member['state'] {
    if (state !== 'dead' && state !== 'draining') return state
    if (this.#options.membership.info(leavingKey(nodeId)) === incarnation) return state
    const since = this.#awaySince.get(nodeId) ?? this.#options.host.now()
    return this.#options.host.now() - since < replaceAfterMicros ? 'suspect' : state
  }

  #start({ partition, add, remove }: Move): void {
    const { host, io } = this.#options
    const leader = host.router.routes.find((r) => r.partition.id === partition)?.leader
    if (leader === undefined || leader === 0) return
    this.#moving.add(partition)
    io.log.info('replica-move', { partition, add, remove })
    this.changes
      .ask(leader, { kind: 'replicas', partition, add, remove })
      .catch((error) => {
        if (!(error instanceof DbError)) io.fatal('changing replicas failed', error)
        else io.log.info('replica-move-failed', { partition, error: error.message })
      })
      .finally(() => this.#moving.delete(partition))
  }

  #dropLearners(): void {
    for (const replica of this.#options.host.replicas.values()) {
      if (!replica.serving || replica.raft.configuration.learners.length === 0) continue
      this.changes.dropLearners(replica).catch((error) => {
        if (!(error instanceof DbError)) this.#options.io.fatal('taking learners out failed', error)
      })
    }
  }

  // ---- full disks

  /** A node without room says so and hands over what it leads, to nodes that have some. */
  #noteFullDisk(): void {
    const { host, membership } = this.#options
    const { full } = host.log
    const said = membership.info(fullKey(host.nodeId)) === true
    if (full !== said) membership.publish(fullKey(host.nodeId), full ? true : null)
    if (!full) return
    for (const replica of host.replicas.values()) {
      if (!replica.serving || replica.frozen) continue
      const to = replica.voterNodes().filter((node) => {
        return (
          membership.get(node)?.state === 'alive' && node !== host.nodeId && membership.info(fullKey(node)) !== true
        )
      })
      if (to.length > 0) this.#handOver(replica, to[this.#ticks % to.length])
    }
  }

  #handOver(replica: PartitionReplica, to: number): void {
    const { io } = this.#options
    const { id } = replica.partition
    this.changes.run({ kind: 'transfer', partition: id, to }).then(
      () => io.log.info('leadership-left-full-disk', { partition: id, to }),
      (error) => {
        if (!(error instanceof DbError) && !io.dead) io.fatal('handing a leadership over failed', error)
      },
    )
  }

  // ---- sizes

  #splitLarge(): void {
    const { host, splitBytes = 64 * 1024 * 1024 } = this.#options
    for (const replica of host.replicas.values()) {
      if (!replica.serving || replica.frozen) continue
      const { start, end } = replica.partition
      const { bytes } = host.engine.estimate({ start, end })
      if (bytes > splitBytes) this.#split(replica)
    }
  }

  #split(replica: PartitionReplica): void {
    const { io } = this.#options
    this.#middle(replica)
      .then(async (key) => {
        if (key === undefined || !replica.serving) return
        const { id } = replica.partition
        io.log.info('partition-split', { partition: id })
        await this.changes.run({ kind: 'split', partition: id, key: Buffer.from(key).toString('base64') })
      })
      .catch((error) => {
        if (!(error instanceof DbError) && !io.dead) io.fatal('cutting a partition failed', error)
      })
  }

  /** A key with about half of the bytes on each side; where a table begins, if one does near the middle. */
  async #middle(replica: PartitionReplica): Promise<Uint8Array | undefined> {
    const { engine } = this.#options.host
    const { start, end } = replica.partition
    const total = engine.estimate({ start, end }).bytes
    const cursor = engine.cursor({ start, end }, maxTimestamp)
    const cumulative: { key: Uint8Array; bytes: number }[] = []
    let seen = 0
    try {
      for (;;) {
        const step = cursor.next()
        if (step === WAIT) {
          await cursor.ready()
          continue
        }
        if (step === END) break
        const b = cursor.batch
        for (let i = 0; i < b.count; i++) {
          const { bytes } = b.slabs[b.slab[i]]
          seen += b.valueEnd[i] - b.valueStart[i] + b.keyEnd[i] - b.keyStart[i]
          const last = cumulative[cumulative.length - 1]
          const key = bytes.subarray(b.keyStart[i], b.keyEnd[i])
          const table = last === undefined || Buffer.compare(last.key.subarray(0, 4), key.subarray(0, 4)) !== 0
          if (table) cumulative.push({ key: key.slice(0, 4), bytes: seen })
          else if (seen - last.bytes > total / 64) cumulative.push({ key: key.slice(), bytes: seen })
        }
        await this.#options.io.tasks.yield()
      }
    } finally {
      cursor.close()
    }
    const inside = cumulative.filter(({ key }) => Buffer.compare(key, start) > 0)
    const distance = (at: number) => Math.abs(at / seen - 0.5)
    const tables = inside.filter(({ key, bytes }) => key.length === 4 && distance(bytes) < 0.3)
    const candidates = tables.length > 0 ? tables : inside
    candidates.sort((a, b) => distance(a.bytes) - distance(b.bytes))
    return candidates[0]?.key
  }
}
