/**
 * Promises between nodes, on which all leases rest (as CockroachDB's store liveness; leases after Gray and Cheriton, 1989).
 *
 *   leader's node L ── heartbeat(sent, ceiling) ──► S      S promises until its own now + lease not to help to elect
 *                   ◄── support(sent echoed) ──────        another leader in any group that it follows L in
 *   L counts on S until sent + lease − margin, by L's own monotonic clock: L's interval lies inside S's promise.
 *
 * One stream of heartbeats per pair of nodes serves all partitions, so quiet partitions cost nothing.
 *
 * The ceiling bounds what L may have served: L answers reads only at timestamps ≤ a ceiling that a quorum has heard of.
 * Whoever is elected after L collects the voters' ceilings and starts above the highest.
 *
 * S promises only to an L that hears S: a leader whose messages arrive but who hears nobody could otherwise neither lead
 * nor be replaced. To one that does not, it only says that it is there.
 *
 *   heartbeat   u8 1 │ f64 sent micros │ f64 ceiling │ f64 micros since L heard S, -1: never │ f64 incarnation
 *               │ f64 life │ f64 log
 *   support     u8 2 │ f64 sent micros │ f64 ceiling │ f64 incarnation of the supporter │ f64 log of L's former lives
 *   echo        u8 3 │ f64 sent micros │ f64 ceiling │ f64 incarnation │ f64 log of L's former lives
 *
 * `life` is drawn anew by every process: a copy of a directory may begin the same incarnation once more.
 * `log` counts what the node has made durable. Nodes remember it of each other over restarts: one that comes back with less
 * has lost acknowledged entries and votes, as a disk restored from a backup has, and must not take part.
 *
 * Behind them ride closed timestamps (closed-timestamps.ts): closings behind a heartbeat, what has come behind its answer.
 *
 * Not here: sending (host.ts), which partitions lean on which nodes (raft's quorum).
 */
import { DbError, type HybridClock, maxSkewMicros, type Timestamp } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'

/** How long a promise holds on the supporter's clock. */
export const leaseMicros = 500_000
/** How much less the leader counts on, for clocks that drift apart and for what runs between check and use. */
const marginMicros = 50_000
export const heartbeatMs = 100
/** How far above its clock a node may serve reads before the next heartbeat. */
const ceilingMicros = 700_000
/**
 * How far above a reader's snapshot a version may be that was acknowledged before the reader began: clocks are apart by
 * maxSkew, and a new leader starts above the ceiling of the former one, which may have been ahead as far again.
 */
export const uncertaintyMicros = ceilingMicros + 2 * maxSkewMicros
/** The same for a clock that runs ahead already: it goes on by a microsecond at a time. */
const leastCeilingMicros = 50_000

const heartbeatKind = 1
const supportKind = 2
const echoKind = 3
const heartbeatBytes = 49
const answerBytes = 33

export function isHeartbeat(bytes: Uint8Array): boolean {
  return bytes[0] === heartbeatKind
}

/** Where what rides behind a message begins. */
export function livenessBytes(bytes: Uint8Array): number {
  return isHeartbeat(bytes) ? heartbeatBytes : answerBytes
}

/** What a node has said of its log. */
interface KnownLog {
  incarnation: number
  life: number
  durable: number
  /** The same of its former lives. */
  before: number
}

export interface LivenessOptions {
  readonly self: number
  readonly incarnation: number
  /** Of this process: random. */
  readonly life: number
  readonly clock: HybridClock
  /** Monotonic microseconds. */
  readonly now: () => number
  /** The node never ran before: it has promised nothing that a restart could have forgotten. */
  readonly fresh: boolean
  /** Counts what our log has made durable. */
  readonly durable: () => number
  /** Others have seen more of our log than there is. */
  readonly lost: () => void
}

interface NodePromise {
  until: number
  ceiling: Timestamp
}

interface Support {
  until: number
  ceiling: Timestamp
  incarnation: number
}

export class NodeLiveness {
  readonly #self: number
  readonly #incarnation: number
  readonly #clock: HybridClock
  readonly #now: () => number
  readonly #started: number
  readonly #fresh: boolean
  readonly #life: number
  readonly #durable: () => number
  readonly #lost: () => void
  /** What was durable when this life began. */
  readonly #found: number
  readonly #logs = new Map<number, KnownLog>()
  /** What we promised to others. */
  readonly #promises = new Map<number, NodePromise>()
  /** When nodes last answered us. */
  readonly #heard = new Map<number, number>()
  /** Smoothed round trips. Microseconds. */
  readonly #roundTrips = new Map<number, number>()
  /** What others promised to us. */
  readonly #supports = new Map<number, Support>()

  constructor({ self, incarnation, life, clock, now, fresh, durable, lost }: LivenessOptions) {
    this.#self = self
    this.#incarnation = incarnation
    this.#clock = clock
    this.#now = now
    this.#started = now()
    this.#fresh = fresh
    this.#life = life
    this.#durable = durable
    this.#lost = lost
    this.#found = durable()
  }

  /** False for one lease duration after a restart: promises of the former life may still be counted on. */
  mayVote(): boolean {
    return this.#fresh || this.#now() - this.#started >= leaseMicros
  }

  /** Microseconds until `mayVote`. */
  get voteDelayMicros(): number {
    return this.#fresh ? 0 : Math.max(0, leaseMicros - (this.#now() - this.#started))
  }

  /** Whether we have promised the node not to help to elect another leader. */
  supporting(node: number): boolean {
    if (node === this.#self) return true
    const promise = this.#promises.get(node)
    return promise !== undefined && promise.until > this.#now()
  }

  /** Whether the node has answered us lately. */
  hears(node: number): boolean {
    return node === this.#self || this.#now() - (this.#heard.get(node) ?? Number.NEGATIVE_INFINITY) <= leaseMicros
  }

  /** Whether the node's promise to us holds now. */
  supportedBy(node: number): boolean {
    return this.supportedUntil(node) > this.#now()
  }

  /** Until when, by our monotonic clock, the node's promise to us holds; 0 when there is none. */
  supportedUntil(node: number): number {
    if (node === this.#self) return Number.POSITIVE_INFINITY
    return this.#supports.get(node)?.until ?? 0
  }

  /** The highest timestamp that we may serve reads at as far as this node is concerned. */
  ceilingAt(node: number): Timestamp {
    if (node === this.#self) return Number.POSITIVE_INFINITY
    return this.#supports.get(node)?.ceiling ?? 0
  }

  /** Above everything that any leader we promised to may have served: what a vote carries. */
  highestCeiling(): Timestamp {
    let highest = this.#clock.last
    for (const { ceiling } of this.#promises.values()) highest = Math.max(highest, ceiling)
    // What we promised before a restart is forgotten; it cannot have been further ahead than this.
    return this.#fresh ? highest : Math.max(highest, this.#restartCeiling)
  }

  get #restartCeiling(): Timestamp {
    this.#firstCeiling ??= this.#clock.next() + ceilingMicros + maxSkewMicros
    return this.#firstCeiling
  }
  #firstCeiling: Timestamp | undefined

  /** The slowest smoothed round trip to a node that answered; 0 when none has. Microseconds. */
  get roundTripMicros(): number {
    let slowest = 0
    for (const [node, micros] of this.#roundTrips) if (this.supportedBy(node)) slowest = Math.max(slowest, micros)
    return slowest
  }

  #measure(node: number, micros: number): void {
    // No lease could rest on such a node: a connection was broken, and what had waited in it comes now.
    if (micros > leaseMicros) return
    const known = this.#roundTrips.get(node)
    this.#roundTrips.set(node, known === undefined ? micros : known + (micros - known) / 4)
  }

  heartbeat(to: number): Uint8Array {
    const heard = this.#heard.get(to)
    const out = new ByteWriter(heartbeatBytes)
    out.u8(heartbeatKind)
    out.f64(this.#now())
    out.f64(this.#clock.next() + this.#room())
    out.f64(heard === undefined ? -1 : this.#now() - heard)
    out.f64(this.#incarnation)
    out.f64(this.#life)
    out.f64(this.#durable())
    return out.copy()
  }

  /** A new leader starts above the ceilings of the old one: measured from the wall clock, or elections would add up. */
  #room(): number {
    return Math.max(leastCeilingMicros, ceilingMicros - this.#clock.aheadMicros)
  }

  /**
   * Takes a message in and returns the answer to it, if it asks for one. `restarted` is told of a new incarnation, or
   * that a promise began anew.
   */
  receive(from: number, bytes: Uint8Array, restarted: (node: number) => void): Uint8Array | undefined {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    const kind = bytes[0]
    const sent = view.getFloat64(1)
    const ceiling = view.getFloat64(9)
    if (kind === heartbeatKind) {
      this.#noteLog(from, view.getFloat64(25), view.getFloat64(33), view.getFloat64(41))
      return this.#answer(from, sent, ceiling, view.getFloat64(17))
    }
    if (kind !== supportKind && kind !== echoKind)
      throw new DbError('protocol_violation', `liveness message of kind ${kind}`)
    const incarnation = view.getFloat64(17)
    if (view.getFloat64(25) > this.#found) this.#lost()
    this.#measure(from, this.#now() - sent)
    const silent = this.#now() - (this.#heard.get(from) ?? Number.NEGATIVE_INFINITY) > leaseMicros
    this.#heard.set(from, this.#now())
    if (kind === supportKind) this.#supported(from, sent, ceiling, incarnation, restarted)
    // Now that we hear it, it may promise: without waiting for the next turn.
    return silent ? this.heartbeat(from) : undefined
  }

  #noteLog(from: number, incarnation: number, life: number, durable: number): void {
    const known = this.#logs.get(from)
    if (known === undefined) this.#logs.set(from, { incarnation, life, durable, before: 0 })
    else if (incarnation > known.incarnation || (incarnation === known.incarnation && life !== known.life)) {
      known.incarnation = incarnation
      known.life = life
      known.before = Math.max(known.before, known.durable)
      known.durable = durable
    } else if (incarnation === known.incarnation) known.durable = Math.max(known.durable, durable)
  }

  #supported(
    from: number,
    sent: number,
    ceiling: Timestamp,
    incarnation: number,
    restarted: (node: number) => void,
  ): void {
    let known = this.#supports.get(from)
    if (known === undefined) this.#supports.set(from, (known = { until: 0, ceiling: 0, incarnation }))
    if (incarnation < known.incarnation) return
    // A promise that has lapsed and is given anew is another promise: what was acknowledged under the old one says nothing.
    const lapsed = known.until <= this.#now()
    if (incarnation > known.incarnation) {
      known.incarnation = incarnation
      known.until = 0
      known.ceiling = 0
    }
    if (lapsed || known.until === 0) restarted(from)
    known.until = Math.max(known.until, sent + leaseMicros - marginMicros)
    known.ceiling = Math.max(known.ceiling, ceiling)
  }

  #answer(from: number, sent: number, ceiling: Timestamp, sinceHeard: number): Uint8Array {
    const promises = this.mayVote() && sinceHeard >= 0 && sinceHeard <= leaseMicros
    if (promises) {
      const until = this.#now() + leaseMicros
      const promise = this.#promises.get(from)
      if (promise === undefined) this.#promises.set(from, { until, ceiling })
      else {
        promise.until = until
        promise.ceiling = Math.max(promise.ceiling, ceiling)
      }
    }
    const out = new ByteWriter(answerBytes)
    out.u8(promises ? supportKind : echoKind)
    out.f64(sent)
    out.f64(ceiling)
    out.f64(this.#incarnation)
    out.f64(this.#logs.get(from)?.before ?? 0)
    return out.copy()
  }

  /** Nodes whose promise from us has run out since it was last asked. */
  lapsed(): number[] {
    const now = this.#now()
    const out: number[] = []
    for (const [node, promise] of this.#promises) {
      if (promise.until === 0 || promise.until > now) continue
      promise.until = 0
      out.push(node)
    }
    return out
  }
}
