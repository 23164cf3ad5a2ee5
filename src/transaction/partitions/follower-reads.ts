/**
 * Reads in the past at replicas that do not lead (bounded staleness): no leader is asked, so they go on without one.
 *
 *   snapshot S   the newest timestamp that is closed in every partition that is to be read, as far as this node knows
 *   here         our replica has applied all that was closed with S: answer, once prepares ≤ S on the keys are decided
 *   elsewhere    the nearest node with a replica answers in the same way, the leaseholder by its lease
 *
 * Nothing is uncertain: S is no "now", so no clocks are compared.
 *
 * Not here: what closing means (replication/partitions/closed-timestamps.ts), how old S may be (sql/session).
 */
import { ROW, type Timestamp, WAIT } from '../../base/index.ts'
import { covers, type Host, type PartitionReplica, type Route } from '../../replication/index.ts'
import type { Span } from '../../storage/index.ts'
import { keyText } from '../cursor.ts'
import type { Leaseholder } from './leaseholder.ts'
import type { TransactionMachine } from './machine.ts'
import { Misrouted } from './misrouted.ts'
import type { Prepared } from './partition-state.ts'
import type { ReadAnswer, ReadRequest, ScanAnswer, ScanRequest } from './requests.ts'
import { collect, intersect, rest, scanEdge } from './scan-part.ts'

/** What we have heard to be closed, others have heard too when it is as old as this. */
const hearsayMicros = 100_000
/** Where only leaseholders can answer, the snapshot is so old: about as old as followers mostly are, which answer the next. */
const fallbackMicros = 600_000

export class FollowerReads {
  readonly #host: Host
  readonly #machine: TransactionMachine
  readonly #leaseholder: Leaseholder
  readonly #distance: (node: number) => number | undefined

  /** @param distance the round trip to a node, in milliseconds; undefined: not measured */
  constructor(
    host: Host,
    machine: TransactionMachine,
    leaseholder: Leaseholder,
    distance: (node: number) => number | undefined,
  ) {
    this.#host = host
    this.#machine = machine
    this.#leaseholder = leaseholder
    this.#distance = distance
  }

  // ---- where, and at which timestamp

  /**
   * A snapshot, not below `floor`, for reading the partitions, that holds all that was acknowledged by a time: the newest
   * that followers can answer at, of those that are recent enough; the others' leaseholders will have to.
   */
  snapshotFor(routes: Iterable<Route>, sinceMicros: number, floor: Timestamp): Timestamp {
    const oldest = Math.max(floor, this.#host.closed.acknowledgedBy(sinceMicros))
    let snapshot = Number.POSITIVE_INFINITY
    for (const route of routes) {
      if (this.#leaseholder.serves(route.partition.start, 0) !== undefined) continue
      const at = this.#readableAt(route)
      if (at >= oldest && at < snapshot) snapshot = at
    }
    if (snapshot < Number.POSITIVE_INFINITY) return snapshot
    return Math.max(oldest, this.#host.io.clock.wallMicros() - fallbackMicros)
  }

  #readableAt({ partition }: Route): Timestamp {
    const host = this.#host
    const here = host.closedHere(partition.id)
    if (here === undefined) return host.closed.closedAt(partition.id, Number.MAX_SAFE_INTEGER) - hearsayMicros
    let { at } = here
    // Below what is prepared nothing has to be waited for.
    for (const { timestamp } of this.#machine.state(here.replica).prepared.values()) at = Math.min(at, timestamp - 1)
    return at
  }

  /** Nodes that may answer for a key, the nearest first, those out of reach last. */
  near(key: Uint8Array): number[] {
    const host = this.#host
    const route = host.router.find(key)
    if (route === undefined) return []
    const { nodes, leader } = route
    const all = nodes.includes(leader) || leader === 0 ? nodes : [...nodes, leader]
    const far = (node: number) =>
      (host.liveness.supportedBy(node) ? 0 : 1e9) + (this.#distance(node) ?? (node === leader ? 0 : 1e6))
    return all.filter((node) => node !== host.nodeId).sort((a, b) => far(a) - far(b))
  }

  // ---- this node's replicas

  /** Our replica of the key's partition, if it may answer at the timestamp in this very step. */
  serves(key: Uint8Array, at: Timestamp): PartitionReplica | undefined {
    const route = this.#host.router.find(key)
    if (route === undefined) return undefined
    const here = this.#host.closedHere(route.partition.id)
    return here !== undefined && here.at >= at && covers(here.replica.partition, key) ? here.replica : undefined
  }

  /** A prepare of the key at or below the timestamp that is not decided here. */
  blocking(text: string, at: Timestamp): Prepared | undefined {
    return this.#machine.prepared.blocking(text, at, 0)
  }

  blockingSpan(span: Span, at: Timestamp): Prepared | undefined {
    const { prepared } = this.#machine
    if (prepared.size === 0) return undefined
    const start = keyText(span.start, 0, span.start.length)
    const end = span.end === undefined ? undefined : keyText(span.end, 0, span.end.length)
    return prepared.blockingSpan(start, end, at, 0)
  }

  /** The first part of a scan, when our replica may answer, and what is left. */
  localPart(span: Span, reverse: boolean, at: Timestamp): { span: Span; rest: Span | undefined } | undefined {
    const edge = scanEdge(this.#host.router, span, reverse)
    const replica = edge === undefined ? undefined : this.serves(edge, at)
    if (replica === undefined) return undefined
    this.#leaseholder.requireKept(at)
    const part = intersect(span, replica.partition)
    return { span: part, rest: rest(span, reverse, part, undefined) }
  }

  // ---- for other nodes

  /** Raises Misrouted when neither a lease nor a closed timestamp covers the request, or when it would have to wait. */
  async read(request: ReadRequest): Promise<ReadAnswer> {
    const { key, at } = request
    if (this.#leaseholder.serves(key, at) !== undefined) return this.#leaseholder.read(request)
    const found = this.#host.engine.found()
    const text = keyText(key, 0, key.length)
    for (;;) {
      if (this.serves(key, at) === undefined || this.blocking(text, at) !== undefined) throw new Misrouted(undefined)
      this.#leaseholder.requireKept(at)
      const step = this.#host.engine.get(key, at, found)
      if (step === WAIT) {
        await found.ready()
        continue
      }
      const value = step === ROW ? found.slab.bytes.slice(found.valueStart, found.valueEnd) : undefined
      return { at, node: this.#host.nodeId, uncertain: 0, timestamp: found.timestamp, value }
    }
  }

  async scan(request: ScanRequest): Promise<ScanAnswer> {
    const { span, reverse, at } = request
    const host = this.#host
    const edge = scanEdge(host.router, span, reverse)
    if (edge !== undefined && this.#leaseholder.serves(edge, at) !== undefined) return this.#leaseholder.scan(request)
    const part = this.localPart(span, reverse, at)?.span
    if (part === undefined || this.blockingSpan(part, at) !== undefined) throw new Misrouted(undefined)
    const cursor = host.engine.cursor(part, at, reverse ? { reverse: true } : undefined)
    try {
      return await collect(cursor, request, part, at, host.nodeId, this.#leaseholder.programOf(request.program))
    } finally {
      cursor.close()
    }
  }
}
