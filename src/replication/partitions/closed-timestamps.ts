/**
 * Closed timestamps: how replicas that do not lead know what they may serve (as CockroachDB's; the idea of a safe time
 * is Spanner's, Corbett et al., 2012).
 *
 *   closing (T, i) of a partition    whatever is committed to it at or below T lies at or below entry i of its log
 *
 * A leaseholder that says so has done what a read of the whole partition at T does: its lease covers T in the same step,
 * so that a quorum has heard of a ceiling above T and whoever leads next, of this partition or of one cut off it, starts
 * above T (liveness.ts); and its clock has seen T, from which all later commits and prepares take theirs. So a closing
 * stays true for ever, whatever becomes of the leader, and a replica that has applied entry i may answer at S ≤ T once
 * what it holds prepared at or below S is decided: a transaction commits at the largest of its prepares.
 *
 * Every heartbeat carries one T for all that its node leads, and the indexes that changed since the closing that the
 * receiver says it has:
 *
 *   closings       f64 incarnation │ f64 base │ f64 number │ f64 T │ f64 wall │ f64 clock │
 *                  u32 n │ n × (u32 partition │ f64 i) │ u32 m │ m × u32 no longer led
 *   acknowledged   f64 incarnation of the sender of closings │ f64 number
 *
 * A new leader's clock runs ahead of its wall for a while, and so do the timestamps of what it acknowledges. Both ride
 * along, so that others can tell which timestamp holds everything that was acknowledged before a time.
 *
 * Not here: whether a lease covers T (Host asks the replicas), prepares and reads (transaction/partitions/follower-reads.ts).
 */
import type { HybridClock, Timestamp } from '../../base/index.ts'
import { ByteReader, ByteWriter } from '../../encoding/index.ts'

/** How far behind its clock a node closes: what is under way at T has mostly ended, and clocks may disagree a little. */
export const closingLagMicros = 200_000

/** How far back it is known what clocks stood at. */
const keptSamplesMicros = 60_000_000

interface Led {
  index: number
  /** The closing in which the index was new. */
  changed: number
}

/** What this node closes in the partitions that it leads. */
export class Closings {
  readonly #incarnation: number
  readonly #clock: HybridClock
  readonly #wallMicros: () => number
  readonly #led = new Map<number, Led>()
  /** Partitions that are led no longer, and since which closing. */
  readonly #ended = new Map<number, number>()
  /** The last closing that other nodes have. */
  readonly #acknowledged = new Map<number, number>()
  #number = 0
  #at: Timestamp = 0
  /** Who has less than this closing gets everything: what ended up to it is forgotten. */
  #forgotten = 0

  constructor(incarnation: number, clock: HybridClock, wallMicros: () => number) {
    this.#incarnation = incarnation
    this.#clock = clock
    this.#wallMicros = wallMicros
  }

  /**
   * Closes anew. `lastIndex` answers, for a timestamp, the last log index of each partition whose lease covers it now;
   * called once, in this step.
   */
  close(lastIndex: (at: Timestamp) => Iterable<readonly [partition: number, index: number]>): void {
    const at = Math.max(this.#at, this.#wallMicros() - closingLagMicros)
    // The wall clock may step back: commits must not follow it below what was closed.
    this.#clock.observe(at)
    this.#at = at
    const number = ++this.#number
    const gone = new Set(this.#led.keys())
    for (const [partition, index] of lastIndex(at)) {
      gone.delete(partition)
      this.#ended.delete(partition)
      const led = this.#led.get(partition)
      if (led === undefined) this.#led.set(partition, { index, changed: number })
      else if (led.index !== index) {
        led.index = index
        led.changed = number
      }
    }
    for (const partition of gone) {
      this.#led.delete(partition)
      this.#ended.set(partition, number)
    }
  }

  /** The newest closing for a node: what has changed since the one that it has. */
  messageTo(node: number): Uint8Array {
    const known = this.#acknowledged.get(node) ?? 0
    const base = known < this.#forgotten ? 0 : known
    const changed = [...this.#led].filter(([, led]) => led.changed > base)
    const ended = base === 0 ? [] : [...this.#ended].filter(([, since]) => since > base)
    const out = new ByteWriter(56 + changed.length * 12 + ended.length * 4)
    out.f64(this.#incarnation)
    out.f64(base)
    out.f64(this.#number)
    out.f64(this.#at)
    out.f64(this.#wallMicros())
    out.f64(this.#clock.last)
    out.u32(changed.length)
    for (const [partition, { index }] of changed) {
      out.u32(partition)
      out.f64(index)
    }
    out.u32(ended.length)
    for (const [partition] of ended) out.u32(partition)
    return out.copy()
  }

  /** Another node says what it has. */
  acknowledge(node: number, bytes: Uint8Array): void {
    const read = new ByteReader(bytes)
    const incarnation = read.f64()
    const number = read.f64()
    this.#acknowledged.set(node, incarnation === this.#incarnation && number <= this.#number ? number : 0)
    const oldest = Math.min(...this.#acknowledged.values())
    for (const [partition, since] of this.#ended) {
      if (since > oldest) continue
      this.#ended.delete(partition)
      this.#forgotten = Math.max(this.#forgotten, since)
    }
  }
}

/** What a node's hybrid clock stood at. */
interface Sample {
  readonly wall: number
  readonly clock: Timestamp
}

interface Source {
  /** The oldest first. */
  readonly samples: Sample[]
  incarnation: number
  number: number
  at: Timestamp
  readonly indexes: Map<number, number>
}

/** What other nodes have closed. */
export class ClosedTimestamps {
  readonly #sources = new Map<number, Source>()
  /** What others are told of this node's clocks. */
  readonly #own: Sample[] = []
  /** By partition, a closing that a newer one has taken the place of: what holds until this replica has caught up. */
  readonly #former = new Map<number, { readonly at: Timestamp; readonly index: number }>()
  readonly #applied: (partition: number) => number

  /** @param applied how far this node's replica of a partition has applied its log; -1: it has none */
  constructor(applied: (partition: number) => number) {
    this.#applied = applied
  }

  /** Takes a message of `Closings` in and returns the acknowledgement. */
  receive(from: number, bytes: Uint8Array): Uint8Array {
    const read = new ByteReader(bytes)
    const incarnation = read.f64()
    const base = read.f64()
    const number = read.f64()
    const at = read.f64()
    const sample = { wall: read.f64(), clock: read.f64() }
    let source = this.#sources.get(from)
    if (source === undefined || source.incarnation < incarnation) {
      if (source !== undefined) this.#clear(source)
      source = { incarnation, number: 0, at: 0, indexes: new Map(), samples: source?.samples ?? [] }
      this.#sources.set(from, source)
    }
    if (source.incarnation === incarnation) keep(source.samples, sample)
    const usable = source.incarnation === incarnation && base <= source.number && number > source.number
    if (usable) {
      // From nothing: what it does not name is not led.
      if (base === 0) this.#clear(source)
      for (let n = read.u32(); n > 0; n--) {
        const partition = read.u32()
        this.#retire(source, partition)
        source.indexes.set(partition, read.f64())
      }
      for (let n = read.u32(); n > 0; n--) {
        const partition = read.u32()
        this.#retire(source, partition)
        source.indexes.delete(partition)
      }
      source.number = number
      source.at = at
    }
    const out = new ByteWriter(16)
    out.f64(source.incarnation)
    out.f64(source.number)
    return out.copy()
  }

  /** Notes how far this node's own clock is: it acknowledges too, and may run ahead of its wall clock. */
  note(sample: Sample): void {
    keep(this.#own, sample)
  }

  #clear(source: Source): void {
    for (const partition of source.indexes.keys()) this.#retire(source, partition)
    source.indexes.clear()
  }

  /** Keeps what a source has closed in a partition, if it is of use already, before something newer takes its place. */
  #retire({ at, indexes }: Source, partition: number): void {
    const index = indexes.get(partition)
    if (index === undefined || this.#applied(partition) < index) return
    if (at > (this.#former.get(partition)?.at ?? 0)) this.#former.set(partition, { at, index })
  }

  /** The highest timestamp closed in a partition at or below an applied index; 0: none is known. */
  closedAt(partition: number, applied: number): Timestamp {
    const former = this.#former.get(partition)
    let closed = former !== undefined && former.index <= applied ? former.at : 0
    for (const { at, indexes } of this.#sources.values()) {
      const index = indexes.get(partition)
      if (index !== undefined && index <= applied && at > closed) closed = at
    }
    return closed
  }

  /**
   * At or above the timestamps of all that this node and nodes heard of had acknowledged by a time of the wall clock: for a time of which
   * they were heard, the first they said at or after it; else the last.
   */
  acknowledgedBy(wallMicros: number): Timestamp {
    let highest = wallMicros
    for (const samples of [this.#own, ...[...this.#sources.values()].map((source) => source.samples)]) {
      let low = 0
      let high = samples.length - 1
      while (low < high) {
        const mid = (low + high) >> 1
        if (samples[mid].wall >= wallMicros) high = mid
        else low = mid + 1
      }
      if (low < samples.length) highest = Math.max(highest, samples[low].clock)
    }
    return highest
  }

  /** The replica of the partition is gone from this node. */
  forget(partition: number): void {
    this.#former.delete(partition)
  }
}

function keep(samples: Sample[], sample: Sample): void {
  // The wall may step back, and messages may be late: what is said of a later time holds for the earlier ones.
  while (samples.length > 0 && samples[samples.length - 1].wall >= sample.wall) {
    const { clock } = samples.pop()!
    if (clock > sample.clock) sample = { wall: sample.wall, clock }
  }
  samples.push(sample)
  let old = 0
  while (samples[old].wall < sample.wall - keptSamplesMicros) old++
  if (old > 100) samples.splice(0, old)
}
