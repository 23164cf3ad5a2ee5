/**
 * The leaseholder's side of large transactions, whose writes come ahead of their commit, in chunks.
 *
 *   chunk    replicated at once; nobody sees it
 *   commit   register: reads and other commits of these keys wait ─► validate, a little at a time ─► C, append: one step
 *   prepare  the same, when other partitions have their share of it
 *
 * What is validated behind the registration stays true until it ends: whoever would change it waits. It waits for nobody
 * itself; what it meets makes it let go and begin again, so that no two wait for each other.
 *
 * Not here: applying (machine.ts), chunks' bytes (chunks.ts), transactions of one entry (leaseholder.ts).
 */
import { maxTimestamp, ROW, type Timestamp, WAIT } from '../../base/index.ts'
import { WriteSetReader } from '../../encoding/index.ts'
import { covers, type PartitionReplica } from '../../replication/index.ts'
import type { Found, Span } from '../../storage/index.ts'
import { keyText } from '../cursor.ts'
import { type Chunk, type Chunked, decodePointer, encodeChunk, type Part, type Pointer } from './chunks.ts'
import { encodePrepare, stampSet, stampWrite, writeHeader } from './entry.ts'
import { type Blocking, mayWait } from './in-flight.ts'
import type { Leaseholder } from './leaseholder.ts'
import { aborted, Misrouted, Regroup } from './misrouted.ts'
import type { Checks, CommitRequest, PrepareRequest, SpanCheck } from './requests.ts'

/** Keys that are checked between two turns of the loop. */
const sliceKeys = 512

/** A large write between its registration and its end. */
class LargeFlight implements Blocking {
  readonly transaction: number
  readonly timestamp: Timestamp
  readonly keys: readonly string[] = []
  readonly waitsForNobody = true
  readonly chunked: Chunked
  readonly replica: PartitionReplica
  readonly #waiters: (() => void)[] = []
  done = false

  constructor(transaction: number, timestamp: Timestamp, chunked: Chunked, replica: PartitionReplica) {
    this.transaction = transaction
    this.timestamp = timestamp
    this.chunked = chunked
    this.replica = replica
  }

  ready(): Promise<void> {
    if (this.done) return Promise.resolve()
    return new Promise((done) => this.#waiters.push(done))
  }

  wake(): void {
    for (const done of this.#waiters.splice(0)) done()
  }
}

export class LargeCommits {
  readonly #at: Leaseholder
  readonly #flights = new Set<LargeFlight>()

  constructor(leaseholder: Leaseholder) {
    this.#at = leaseholder
  }

  get busy(): boolean {
    return this.#flights.size > 0
  }

  blocking(text: string, at: Timestamp, transaction: number): Blocking | undefined {
    for (const one of this.#flights)
      if (one.timestamp <= at && one.transaction !== transaction && one.chunked.has(text)) return one
    return undefined
  }

  blockingSpan(start: string, end: string | undefined, at: Timestamp, transaction: number): Blocking | undefined {
    for (const one of this.#flights)
      if (one.timestamp <= at && one.transaction !== transaction && one.chunked.overlaps(start, end)) return one
    return undefined
  }

  /** Whether the transaction is being committed in the replica's partition. */
  commits(transaction: number): boolean {
    for (const one of this.#flights) if (one.transaction === transaction) return true
    return false
  }

  quiescent(replica: PartitionReplica): boolean {
    for (const one of this.#flights) if (one.replica === replica) return false
    return true
  }

  leaseLost(replica: PartitionReplica): void {
    for (const one of this.#flights) if (one.replica === replica) one.wake()
  }

  async chunk(chunk: Chunk): Promise<Timestamp> {
    const { engine, clock, machine, host } = this.#at
    for (;;) {
      const replica = this.#at.serving(chunk.first, 0)
      // What has begun is let in: a cut waits for its end.
      if (replica.frozen && !machine.state(replica).chunks.has(chunk.transaction)) throw new Misrouted(undefined)
      if (!covers(replica.partition, chunk.low) || !covers(replica.partition, chunk.high))
        throw new Regroup(host.routeOf(replica))
      if (engine.stalled) {
        await engine.unstalled()
        continue
      }
      this.#at.requireSpace()
      const timestamp = clock.next()
      const entry = encodeChunk(replica.partition.generation, chunk)
      stampSet(new DataView(entry.buffer), entry.length - chunk.writes.length, timestamp)
      const applied = await this.#at.propose(replica, entry, chunk.transaction, timestamp, [])
      if (applied === 'stale') continue
      if (applied === 0) throw aborted('it was given up before all of it had come')
      return applied
    }
  }

  /** Commits what chunks have brought; `request.payload` names them. */
  async commit(request: CommitRequest): Promise<Timestamp> {
    const { payload } = request
    const owner = this.#at.owner(request.owner)
    const pointer = decodePointer(payload.subarray(writeHeader))
    const entry = ({ partition }: PartitionReplica, timestamp: Timestamp) => {
      stampWrite(payload, partition.generation, timestamp)
      return payload
    }
    for (;;) {
      const timestamp = await this.#attempt(request, pointer, entry, () => true)
      if (timestamp === undefined) continue
      if (timestamp === 0) throw aborted('it was given up while its outcome was unknown')
      this.#at.releaseAll(owner)
      return timestamp
    }
  }

  /**
   * Prepares what chunks have brought; `request.writes` names them. As with small ones only later transactions wait for
   * earlier ones: this one may be prepared in other partitions already.
   */
  async prepare(request: PrepareRequest, turn: { readonly givenUp: boolean }): Promise<Timestamp> {
    const { transaction, anchor, writes } = request
    const pointer = decodePointer(writes)
    const entry = ({ partition: { generation } }: PartitionReplica, timestamp: Timestamp) => {
      stampSet(new DataView(writes.buffer, writes.byteOffset, writes.length), 0, timestamp)
      return encodePrepare({ generation, transaction, gateway: request.owner.node, anchor, writes })
    }
    for (;;) {
      if (turn.givenUp) throw aborted('it was given up before it was prepared')
      const timestamp = await this.#attempt(request, pointer, entry, (met) => mayWait(transaction, met))
      if (timestamp === undefined) continue
      if (timestamp === 0) throw aborted('it was given up before it was prepared everywhere')
      return timestamp
    }
  }

  /** The timestamp at which the entry was applied, 0 when the transaction was given up, undefined: again. */
  async #attempt(
    { transaction, checks }: Pick<CommitRequest, 'transaction' | 'checks'>,
    { first, count }: Pointer,
    entry: (replica: PartitionReplica, timestamp: Timestamp) => Uint8Array,
    waitsFor: (met: Blocking) => boolean,
  ): Promise<Timestamp | undefined> {
    const { engine, clock, machine } = this.#at
    const replica = this.#at.serving(first, 0)
    const { term } = replica.raft
    const state = machine.state(replica)
    const known = state.outcome(transaction)
    if (known !== undefined) return known
    const chunked = state.chunks.get(transaction)
    if (!chunked?.complete(count)) throw aborted('not all of it has come')
    this.#at.inside(replica, checks)
    if (engine.stalled) {
      await engine.unstalled()
      return undefined
    }
    if (!(await this.#learnKeys(replica, chunked, checks.tails))) throw new Misrouted(undefined)
    this.#stillServing(replica, term, first)
    const standing = this.#standing(chunked)
    if (standing !== undefined) {
      // Perhaps it is only between our keys.
      const exact = [...chunked.parts.values()].every((part) => part.keys !== undefined)
      if (exact) await this.#wait(standing, waitsFor)
      else await this.#learnKeys(replica, chunked, [])
      return undefined
    }
    const flight = new LargeFlight(transaction, clock.next(), chunked, replica)
    this.#flights.add(flight)
    try {
      const met = await this.#validate(flight, checks)
      if (met !== undefined) {
        this.#end(flight)
        await this.#wait(met, waitsFor)
        return undefined
      }
      this.#stillServing(replica, term, first)
      const timestamp = clock.next()
      const applied = await this.#at.propose(replica, entry(replica, timestamp), transaction, timestamp, [])
      return applied === 'stale' ? undefined : applied
    } finally {
      this.#end(flight)
    }
  }

  async #wait(met: Blocking, waitsFor: (met: Blocking) => boolean): Promise<void> {
    if (!waitsFor(met)) throw aborted('a row that it changes or relied on is being changed by another transaction')
    await met.ready()
  }

  #end(flight: LargeFlight): void {
    this.#flights.delete(flight)
    flight.done = true
    flight.wake()
  }

  /** Raises Misrouted when another node may have led since the term. */
  #stillServing(replica: PartitionReplica, term: number, first: Uint8Array): void {
    if (replica.raft.term !== term || this.#at.serving(first, 0) !== replica) throw new Misrouted(undefined)
  }

  /** Reads which keys chunks hold, but of those that nobody else writes among: appended rows. */
  async #learnKeys(replica: PartitionReplica, chunked: Chunked, tails: readonly SpanCheck[]): Promise<boolean> {
    const { machine, host } = this.#at
    const bounds = tails.map(boundsOf)
    for (const [number, part] of chunked.parts) {
      if (part.keys !== undefined || bounds.some(({ start, end }) => part.low >= start && part.high < end)) continue
      const keys = new Set<string>()
      const there = await machine.readChunk(replica, chunked, number, (writes) => {
        const read = new WriteSetReader(writes)
        while (read.next()) keys.add(keyText(writes, read.keyStart, read.keyEnd))
      })
      if (!there) return false
      part.keys = keys
      await host.io.tasks.yield()
    }
    return !host.io.dead
  }

  /** A write of another transaction to one of the keys that has not ended. */
  #standing(chunked: Chunked): Blocking | undefined {
    for (const one of this.#flights)
      if (one.transaction !== chunked.transaction && chunked.meets(one.chunked)) return one
    return this.#at.standing(chunked)
  }

  /** Undefined: all holds. Raises serialization_failure; else what to wait for. */
  async #validate({ transaction, chunked, replica }: LargeFlight, checks: Checks): Promise<Blocking | undefined> {
    const { engine, host } = this.#at
    const { io } = host
    const found = engine.found()
    for (let i = 0; i < checks.keys.length; i++) {
      const { key, at } = checks.keys[i]
      const met = this.#at.blocking(keyText(key, 0, key.length), maxTimestamp, transaction)
      if (met !== undefined) return met
      while (engine.get(key, maxTimestamp, found) === WAIT) await found.ready()
      if (this.#at.keyChanged(found, at)) throw aborted('a row that it relied on was changed by another transaction')
      if (i % sliceKeys === sliceKeys - 1) await io.tasks.yield()
    }
    for (const span of checks.spans) {
      const met = this.#at.blockingSpan(span, maxTimestamp, transaction)
      if (met !== undefined) return met
      if (span.at < engine.collectedBefore || (await this.#changed(span, found)))
        throw aborted('what it read was changed by another transaction')
    }
    for (const tail of checks.tails) {
      const met = await this.#validateTail(tail, transaction, chunked, replica)
      if (met !== undefined) return met
    }
    return undefined
  }

  async #changed(span: SpanCheck, found: Found): Promise<boolean> {
    for (;;) {
      const step = this.#at.engine.changed(span, span.at, maxTimestamp, found)
      if (step !== WAIT) return step === ROW
      await found.ready()
    }
  }

  /** Others may have added rows behind where we began; only the same rows are a conflict. */
  async #validateTail(
    tail: SpanCheck,
    transaction: number,
    chunked: Chunked,
    replica: PartitionReplica,
  ): Promise<Blocking | undefined> {
    const { engine } = this.#at
    const changed = await this.#changed(tail, engine.found())
    if (!changed && this.#at.blockingSpan(tail, maxTimestamp, transaction) === undefined) return undefined
    const { start, end } = boundsOf(tail)
    for (const [number, part] of chunked.parts) {
      if (part.high < start || part.low >= end) continue
      const met = await this.#validateRows(tail, part, number, chunked, replica)
      if (met !== undefined) return met
    }
    return undefined
  }

  async #validateRows(
    tail: SpanCheck,
    part: Part,
    number: number,
    chunked: Chunked,
    replica: PartitionReplica,
  ): Promise<Blocking | undefined> {
    const { engine, machine, host } = this.#at
    const keys: Uint8Array[] = []
    const there = await machine.readChunk(replica, chunked, number, (writes) => {
      const read = new WriteSetReader(writes)
      while (read.next()) keys.push(writes.slice(read.keyStart, read.keyEnd))
    })
    if (!there) throw new Misrouted(undefined)
    const found = engine.found()
    const { start, end } = boundsOf(tail)
    for (let i = 0; i < part.entries; i++) {
      const text = keyText(keys[i], 0, keys[i].length)
      if (text < start || text >= end) continue
      while (engine.get(keys[i], maxTimestamp, found) === WAIT) await found.ready()
      if (found.timestamp > tail.at) throw aborted('a row that it added was added by another transaction too')
      if (i % sliceKeys === sliceKeys - 1) await host.io.tasks.yield()
    }
    return undefined
  }
}

function boundsOf(span: Span): { start: string; end: string } {
  return { start: keyText(span.start, 0, span.start.length), end: keyText(span.end!, 0, span.end!.length) }
}
