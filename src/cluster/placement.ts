/**
 * Where replicas go. Pure: the nodes, the replicas and the rules in, decisions out, the same for the same input.
 *
 *   never        two replicas of a partition on one host
 *   first        spread over places that fail independently (locality.ts)
 *   then         few replicas, little load, reliable nodes, low node ids
 *
 * Not here: carrying decisions out (replication/), measuring load (node/).
 */
import { diversity, type Locality } from './locality.ts'
import type { MemberState } from './member.ts'
import type { NodeId } from './transport.ts'

export interface PlacementNode {
  readonly nodeId: NodeId
  readonly state: MemberState
  /** Where its peers reach it; names the machine when the locality does not. */
  readonly host: string
  readonly locality: Locality
  /** How many replicas it has. */
  readonly replicas: number
  /** How busy it is, 0 to 1. */
  readonly load: number
  /** How often it has failed lately, 0 to 1. */
  readonly unreliability?: number
  /** True when its disk is too full for more. */
  readonly full?: boolean
}

export interface PlacedPartition {
  readonly id: number
  /** The nodes that have a replica. */
  readonly replicas: readonly NodeId[]
  /** How many replicas it is to have. */
  readonly wanted: number
}

export interface PlacementRules {
  /** Several nodes of one host count as independent: for demos and tests on one machine. */
  readonly allowSameHost?: boolean
}

export interface Move {
  readonly partition: number
  /** Gains a replica; undefined: nothing is added. */
  readonly add: NodeId | undefined
  /** Loses one; undefined: nothing is removed. */
  readonly remove: NodeId | undefined
}

/** Differences in the number of replicas below this part of the mean are left alone. */
const tolerance = 0.05

/** Whether a node may be given replicas. */
function takesReplicas(node: PlacementNode): boolean {
  return node.state === 'alive' && node.full !== true
}

/** Whether a replica on it will be there for long: it is not dead, gone or on its way out. */
function keepsReplicas(node: PlacementNode | undefined): boolean {
  return node !== undefined && (node.state === 'alive' || node.state === 'suspect' || node.state === 'joining')
}

/** The machine of a node. Nodes on loopback addresses share one unless their localities name different hosts. */
export function machineOf(node: Pick<PlacementNode, 'host' | 'locality'>): string {
  if (node.locality.host !== undefined) return `locality ${formatPlace(node.locality)}`
  return /^(127\.|localhost$|::1$)/i.test(node.host) ? 'loopback' : `address ${node.host.toLowerCase()}`
}

/** All tiers down to the host: the same host name in two zones is two hosts. */
function formatPlace(locality: Locality): string {
  const tiers = Object.entries(locality)
  const end = tiers.findIndex(([tier]) => tier === 'host') + 1
  return tiers
    .slice(0, end)
    .map(([tier, value]) => `${tier}=${value}`)
    .join(',')
}

export class Placement {
  readonly #nodes: ReadonlyMap<NodeId, PlacementNode>
  readonly #rules: PlacementRules
  /** Changes of the number of replicas by what was decided here already. */
  readonly #planned = new Map<NodeId, number>()

  constructor(nodes: readonly PlacementNode[], rules: PlacementRules = {}) {
    this.#nodes = new Map([...nodes].sort((a, b) => a.nodeId - b.nodeId).map((node) => [node.nodeId, node]))
    this.#rules = rules
  }

  /** The node, other than `except`, for one more replica beside those given; undefined when no node may have it. */
  chooseTarget(beside: readonly NodeId[], except?: NodeId): NodeId | undefined {
    const present = beside.flatMap((node) => this.#nodes.get(node) ?? [])
    const machines = new Set(present.map(machineOf))
    const free = [...this.#nodes.values()].filter(
      (node) =>
        takesReplicas(node) &&
        node.nodeId !== except &&
        !beside.includes(node.nodeId) &&
        (this.#rules.allowSameHost === true || !machines.has(machineOf(node))),
    )
    return this.#best(free, (node) => this.#spread([...present, node]))
  }

  /**
   * The replica to give up when there is one too many: first one on a node that is gone or going, then one that shares a
   * host, then the one whose loss leaves the rest spread best, on the node with the most to carry.
   */
  chooseRemoval(replicas: readonly NodeId[], keep: readonly NodeId[] = []): NodeId | undefined {
    const candidates = replicas.filter((node) => !keep.includes(node))
    const lost = candidates.find((node) => !keepsReplicas(this.#nodes.get(node)))
    if (lost !== undefined) return lost
    const nodes = candidates.map((node) => this.#nodes.get(node)!)
    const shared = this.#rules.allowSameHost === true ? [] : nodes.filter((node) => this.#sharesHost(node, replicas))
    const from = shared.length > 0 ? shared : nodes
    const rest = (node: PlacementNode) =>
      replicas.flatMap((other) => (other === node.nodeId ? [] : (this.#nodes.get(other) ?? [])))
    let worst: PlacementNode | undefined
    for (const node of from) {
      const gain = worst === undefined ? 1 : this.#spread(rest(node)) - this.#spread(rest(worst))
      if (gain > 1e-9 || (Math.abs(gain) <= 1e-9 && this.#lighter(worst!, node))) worst = node
    }
    return worst?.nodeId
  }

  /**
   * Replacements for replicas on nodes that are dead, gone or draining, replicas that are missing or too many. A replica
   * is removed only together with an addition or when enough others are left. At most `limit`, those partitions first
   * that have the fewest good replicas.
   */
  repairs(partitions: readonly PlacedPartition[], limit: number): Move[] {
    const urgent = partitions
      .map((partition) => ({ partition, good: this.#good(partition.replicas) }))
      .filter(({ partition, good }) => good.length !== partition.wanted || good.length !== partition.replicas.length)
      .sort((a, b) => a.good.length - b.good.length || a.partition.id - b.partition.id)
    const moves: Move[] = []
    for (const { partition, good } of urgent) {
      if (moves.length >= limit) break
      const move = this.#repair(partition, good)
      if (move !== undefined) moves.push(this.#plan(move))
    }
    return moves
  }

  /**
   * Moves that even the number of replicas out or spread a partition better, at most `limit`, at most one per
   * partition. Partitions that need repair are left alone.
   */
  rebalance(partitions: readonly PlacedPartition[], limit: number): Move[] {
    const moves: Move[] = []
    for (const partition of [...partitions].sort((a, b) => a.id - b.id)) {
      if (moves.length >= limit) break
      if (this.#good(partition.replicas).length !== partition.replicas.length) continue
      if (partition.replicas.length !== partition.wanted) continue
      const move = this.#improve(partition)
      if (move !== undefined) moves.push(this.#plan(move))
    }
    return moves
  }

  /**
   * What stands against taking a node out of the cluster for good, as sentences; none: it can go. It cannot while it
   * has the only copy of something, while others are so few that a majority would be lost, or while there is no other
   * node for a replica it has.
   */
  decommissionProblems(leaving: NodeId, partitions: readonly PlacedPartition[]): string[] {
    const problems: string[] = []
    for (const { id, replicas, wanted } of partitions) {
      if (!replicas.includes(leaving)) continue
      const others = replicas.filter((node) => node !== leaving)
      const live = others.filter((node) => keepsReplicas(this.#nodes.get(node)))
      const target = this.chooseTarget(others, leaving)
      const dead = !keepsReplicas(this.#nodes.get(leaving)) && this.#nodes.get(leaving)?.state !== 'draining'
      const voters = live.length + (dead ? 0 : 1)
      if (voters <= replicas.length / 2) {
        problems.push(`partition ${id} has lost its majority: ${voters} of ${replicas.length} replicas are live`)
      } else if (others.length === 0 && target === undefined) {
        problems.push(`partition ${id} has its only replica on node ${leaving}, and no other node can take it`)
      } else if (live.length < wanted && target === undefined) {
        problems.push(
          `partition ${id} is to have ${wanted} replicas, and no other node can take that of node ${leaving}`,
        )
      }
    }
    return problems
  }

  #good(replicas: readonly NodeId[]): NodeId[] {
    return replicas.filter((node) => keepsReplicas(this.#nodes.get(node)))
  }

  #repair({ id, replicas, wanted }: PlacedPartition, good: readonly NodeId[]): Move | undefined {
    const lost = replicas.find((node) => !good.includes(node))
    // A draining node still holds its copy and counts for the majority; a replacement comes before it goes.
    if (good.length < wanted) {
      const add = this.chooseTarget(good)
      if (add === undefined) return undefined
      return { partition: id, add, remove: replicas.length >= wanted ? lost : undefined }
    }
    const remove = lost ?? this.chooseRemoval(replicas)
    return replicas.length > wanted && remove !== undefined ? { partition: id, add: undefined, remove } : undefined
  }

  #improve({ id, replicas }: PlacedPartition): Move | undefined {
    const nodes = replicas.map((node) => this.#nodes.get(node)!)
    const now = this.#spread(nodes)
    const doubled = this.#rules.allowSameHost === true ? [] : nodes.filter((node) => this.#sharesHost(node, replicas))
    const mean = this.#meanReplicas()
    let best: { move: Move; gain: number; relief: number } | undefined
    for (const from of doubled.length > 0 ? doubled : nodes) {
      const rest = replicas.filter((node) => node !== from.nodeId)
      const add = this.chooseTarget(rest)
      if (add === undefined || add === from.nodeId || replicas.includes(add)) continue
      const to = this.#nodes.get(add)!
      const gain = this.#spread([...nodes.filter((node) => node !== from), to]) - now
      const relief = this.#count(from) - this.#count(to)
      // A move must leave the two more even than before, by more than it would take to move back.
      const uneven = relief >= 2 && Math.max(this.#count(from) - mean, mean - this.#count(to)) > mean * tolerance
      if (gain < -1e-9 || !(gain > 1e-9 || uneven || doubled.length > 0)) continue
      if (best === undefined || gain > best.gain + 1e-9 || (gain > best.gain - 1e-9 && relief > best.relief)) {
        best = { move: { partition: id, add, remove: from.nodeId }, gain, relief }
      }
    }
    return best?.move
  }

  #plan(move: Move): Move {
    if (move.add !== undefined) this.#planned.set(move.add, (this.#planned.get(move.add) ?? 0) + 1)
    if (move.remove !== undefined) this.#planned.set(move.remove, (this.#planned.get(move.remove) ?? 0) - 1)
    return move
  }

  #count(node: PlacementNode): number {
    return node.replicas + (this.#planned.get(node.nodeId) ?? 0)
  }

  #meanReplicas(): number {
    const nodes = [...this.#nodes.values()].filter(takesReplicas)
    return nodes.reduce((sum, node) => sum + this.#count(node), 0) / Math.max(1, nodes.length)
  }

  #sharesHost(node: PlacementNode, replicas: readonly NodeId[]): boolean {
    const machine = machineOf(node)
    return replicas.some((other) => {
      const there = this.#nodes.get(other)
      return other !== node.nodeId && there !== undefined && machineOf(there) === machine
    })
  }

  /** How independently the nodes fail. */
  #spread(nodes: readonly PlacementNode[]): number {
    return diversity(nodes.map((node) => node.locality))
  }

  #best(nodes: readonly PlacementNode[], score: (node: PlacementNode) => number): NodeId | undefined {
    let best: PlacementNode | undefined
    let bestScore = 0
    for (const node of nodes) {
      const own = score(node)
      if (best === undefined || own > bestScore + 1e-9 || (own > bestScore - 1e-9 && this.#lighter(node, best))) {
        best = node
        bestScore = own
      }
    }
    return best?.nodeId
  }

  /** Whether the first has less to carry than the second; unreliable nodes count as laden. */
  #lighter(a: PlacementNode, b: PlacementNode): boolean {
    return this.#burden(a) < this.#burden(b) - 1e-9
  }

  #burden(node: PlacementNode): number {
    return this.#count(node) * (1 + node.load + 2 * (node.unreliability ?? 0)) + node.load
  }
}
