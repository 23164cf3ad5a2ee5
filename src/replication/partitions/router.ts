/**
 * Which partition a key lies in and who leads it, as far as this node has heard.
 *
 *   routes   [start ……… end) [start ……… end) …      ordered by start; a higher generation wins where they overlap
 *
 * Only a hint: the truth is each partition's own replicated state, and whoever is asked in vain answers with what it
 * knows. Routes come from own replicas, from gossip and from such answers.
 *
 * Not here: asking (the transaction layer's remote calls), gossip.
 */
import { ByteReader, ByteWriter } from '../../encoding/index.ts'
import { covers, decodeDescriptor, encodeDescriptor, type PartitionDescriptor } from './descriptor.ts'

export interface Route {
  readonly partition: PartitionDescriptor
  /** Orders what is said of leader and replicas within a generation: the term, then the applied index. */
  readonly term: number
  readonly index: number
  /** The leader's node, 0 when unknown. */
  readonly leader: number
  /** Where its voters and its learners are, as of that index. */
  readonly nodes: readonly number[]
  readonly learners: readonly number[]
  /** Approximate size, for estimates of planners and for placement. */
  readonly bytes: number
  readonly entries: number
}

export class Router {
  #routes: Route[] = []
  /** Whether one node leads all partitions, as far as is known. */
  oneLeader = true

  get routes(): readonly Route[] {
    return this.#routes
  }

  find(key: Uint8Array): Route | undefined {
    const routes = this.#routes
    let low = 0
    let high = routes.length
    while (low < high) {
      const mid = (low + high) >> 1
      if (Buffer.compare(routes[mid].partition.start, key) <= 0) low = mid + 1
      else high = mid
    }
    const route = routes[low - 1]
    return route !== undefined && covers(route.partition, key) ? route : undefined
  }

  /** The partition of the keys just below one. */
  before(key: Uint8Array): Route | undefined {
    let found: Route | undefined
    for (const route of this.#routes) if (Buffer.compare(route.partition.start, key) < 0) found = route
    return found
  }

  /** Takes news in; false when what is known is newer. */
  learn(route: Route): boolean {
    const { partition } = route
    const same = this.#routes.find((r) => r.partition.id === partition.id)
    if (same !== undefined && !newer(route, same)) return false
    const overlapping = this.#routes.filter((r) => r !== same && overlap(r.partition, partition))
    if (overlapping.some((r) => r.partition.generation > partition.generation)) return false
    this.#routes = this.#routes.filter((r) => r !== same && !overlapping.includes(r))
    this.#routes.push(route)
    this.#routes.sort((a, b) => Buffer.compare(a.partition.start, b.partition.start))
    this.#compareLeaders()
    return true
  }

  /** Notes that a node leads, or that nobody knows who does. */
  setLeader(id: number, leader: number): void {
    const at = this.#routes.findIndex((r) => r.partition.id === id)
    if (at < 0 || this.#routes[at].leader === leader) return
    this.#routes[at] = { ...this.#routes[at], leader }
    this.#compareLeaders()
  }

  /** Every read asks; routes change seldom. */
  #compareLeaders(): void {
    this.oneLeader = this.#routes.every((route) => route.leader === this.#routes[0].leader)
  }
}

function newer(a: Route, b: Route): boolean {
  if (a.partition.generation !== b.partition.generation) return a.partition.generation > b.partition.generation
  if (a.term !== b.term) return a.term > b.term
  return a.index >= b.index
}

export function overlap(a: PartitionDescriptor, b: PartitionDescriptor): boolean {
  const before = (x: Uint8Array, end: Uint8Array | undefined) => end === undefined || Buffer.compare(x, end) < 0
  return before(a.start, b.end) && before(b.start, a.end)
}

export function encodeRoute(route: Route): Uint8Array {
  const out = new ByteWriter(96)
  encodeDescriptor(out, route.partition)
  out.i64(route.term)
  out.i64(route.index)
  out.u32(route.leader)
  writeNodes(out, route.nodes)
  writeNodes(out, route.learners)
  out.i64(route.bytes)
  out.i64(route.entries)
  return out.copy()
}

function writeNodes(out: ByteWriter, nodes: readonly number[]): void {
  out.u16(nodes.length)
  for (const node of nodes) out.u32(node)
}

function readNodes(read: ByteReader): number[] {
  const nodes: number[] = []
  for (let n = read.u16(); n > 0; n--) nodes.push(read.u32())
  return nodes
}

export function decodeRoute(bytes: Uint8Array): Route {
  const read = new ByteReader(bytes)
  const partition = decodeDescriptor(read)
  const term = read.i64()
  const index = read.i64()
  const leader = read.u32()
  const nodes = readNodes(read)
  const learners = readNodes(read)
  return { partition, term, index, leader, nodes, learners, bytes: read.i64(), entries: read.i64() }
}
