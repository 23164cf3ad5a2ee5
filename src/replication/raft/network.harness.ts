/**
 * A group in one process for tests: replicas with a disk each (what is durable and what is on its way), the messages between
 * them in one list, and liveness as a table. Every move is an explicit call, so that scripts and random runs share it.
 */
import { strict as assert } from 'node:assert'
import { ByteWriter } from '../../encoding/index.ts'
import { limitBytes } from './entry.ts'
import {
  type Configuration,
  decodeConfiguration,
  decodeMessage,
  type Entry,
  emptyConfiguration,
  encodeMessage,
  entryConfiguration,
  entryData,
  type HardState,
  type Liveness,
  type LogView,
  type Message,
  Raft,
  type RaftOptions,
  type Ready,
} from './index.ts'

/** A log cut at `base`; entry i stands at entries[i - base - 1]. */
export class MemoryLog implements LogView {
  base = 0
  baseTerm = 0
  list: Entry[] = []

  firstIndex(): number {
    return this.base + 1
  }
  lastIndex(): number {
    return this.base + this.list.length
  }
  term(index: number): number | undefined {
    return index === this.base ? this.baseTerm : this.list[index - this.base - 1]?.term
  }
  entries(from: number, to: number, maxBytes: number): readonly Entry[] | undefined {
    assert.ok(from > this.base && to <= this.lastIndex() + 1 && from < to, `entries ${from}..${to}`)
    return limitBytes(this.list.slice(from - this.base - 1, to - this.base - 1), maxBytes)
  }
  append(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    this.list.length = entries[0].index - this.base - 1
    this.list.push(...entries)
  }
  cut(index: number): void {
    const term = this.term(index)
    assert.ok(term !== undefined)
    this.list.splice(0, index - this.base)
    this.base = index
    this.baseTerm = term
  }
  reset(index: number, term: number): void {
    this.base = index
    this.baseTerm = term
    this.list = []
  }
  copy(): MemoryLog {
    const out = new MemoryLog()
    out.base = this.base
    out.baseTerm = this.baseTerm
    out.list = [...this.list]
    return out
  }
}

/** What a state machine was told: the payloads in order, and the configuration as of the last. */
export interface Applied {
  index: number
  texts: readonly string[]
  configuration: Configuration
}

interface Disk {
  hardState: HardState
  log: MemoryLog
  applied: Applied
}

export class Replica {
  readonly id: number
  readonly network: Network
  disk: Disk
  raft!: Raft
  log!: MemoryLog
  applied!: Applied
  /** Readys that are handed to the disk and not yet durable. */
  queue: { ready: Ready; applied: Applied }[] = []
  up = false
  /** Persists by itself; otherwise when told. */
  fast = true
  mayVote = true
  offer: NonNullable<Ready['snapshot']> | undefined
  events: string[] = []
  timeout = 10

  constructor(network: Network, id: number, disk: Partial<Disk> & { configuration: Configuration }) {
    this.network = network
    this.id = id
    this.disk = {
      hardState: disk.hardState ?? { term: 0, vote: 0, commit: 0 },
      log: disk.log ?? new MemoryLog(),
      applied: disk.applied ?? { index: 0, texts: [], configuration: disk.configuration },
    }
    this.start()
  }

  start(): void {
    const { network, id, disk } = this
    this.log = disk.log.copy()
    this.applied = disk.applied
    this.queue = []
    this.offer = undefined
    this.up = true
    this.raft = new Raft({
      id,
      log: this.log,
      hardState: disk.hardState,
      applied: disk.applied.index,
      configuration: disk.applied.configuration,
      electionTimeout: () => network.electionTimeout(this),
      ceiling: () => id * 100,
      liveness: network.liveness?.(id) ?? {
        supporting: (replica) => network.supports(id, replica),
        supportedBy: (replica) => replica === id || network.supports(replica, id),
        mayVote: () => this.mayVote,
      },
      ...network.options,
    })
    if (network.liveness === undefined)
      for (const other of network.replicas.values()) if (other.up && other !== this) other.raft.peerRestarted(id)
    this.drive()
  }

  crash(): void {
    this.up = false
  }

  /** Takes what is ready, applies, and persists when fast. */
  drive(): void {
    while (this.raft.hasReady()) {
      const ready = this.raft.ready()
      this.log.append(ready.entries)
      this.network.taken(this, ready)
      for (const m of ready.messages) this.network.send(m)
      if (ready.lostLeadership) this.events.push('lost leadership')
      if (ready.becameLeader) this.events.push(`leads term ${this.raft.term}, ceiling ${this.raft.electionCeiling}`)
      for (const { token, index } of ready.reads) this.events.push(`read ${token} at ${index}`)
      if (ready.snapshot !== undefined) {
        this.offer = ready.snapshot
        this.events.push(`offered a snapshot at ${ready.snapshot.index} from ${ready.snapshot.from}`)
      }
      this.apply(ready.committedTo)
      this.queue.push({ ready, applied: this.applied })
      if (this.fast) this.persist()
    }
  }

  private apply(to: number): void {
    while (this.applied.index < to) {
      const [entry] = this.log.entries(this.applied.index + 1, this.applied.index + 2, 0)!
      const texts = entry.kind === entryData ? [...this.applied.texts, text(entry)] : this.applied.texts
      const configuration =
        entry.kind === entryConfiguration ? decodeConfiguration(entry.payload) : this.applied.configuration
      this.applied = { index: entry.index, texts, configuration }
      this.network.applied(this, entry)
    }
    this.raft.appliedTo(this.applied.index)
  }

  /** The first `count` Readys of the queue become durable. */
  persist(count = this.queue.length): void {
    for (let i = 0; i < count && this.queue.length > 0; i++) {
      const { ready, applied } = this.queue.shift()!
      const { disk } = this
      if (ready.hardState !== undefined) disk.hardState = this.network.persisting(this, ready.hardState)
      disk.log.append(ready.entries)
      this.network.persisted(this, ready)
      // Tables may hold less than what is applied, never more than what the log has durable.
      if (applied.index <= disk.log.lastIndex()) disk.applied = applied
      for (const m of ready.afterDurable) this.network.send(m)
      const last = ready.entries.at(-1)
      if (last !== undefined) this.raft.durable(last.index, last.term)
    }
  }

  /** Gets the offered snapshot as the source has it now; false when it is no longer wanted. */
  install(): boolean {
    const { offer } = this
    this.offer = undefined
    if (offer === undefined) return false
    const source = this.network.replicas.get(offer.from)!
    if (!source.up) return false
    const { applied } = source
    const term = source.log.term(applied.index)!
    this.drive()
    this.persist()
    if (applied.index < offer.index || !this.raft.acceptsSnapshot(applied.index, term)) return false
    this.log.reset(applied.index, term)
    this.applied = applied
    this.disk.log.reset(applied.index, term)
    this.disk.applied = applied
    this.disk.hardState = { ...this.disk.hardState, commit: applied.index }
    this.raft.restored(applied.index, term, applied.configuration)
    this.drive()
    return true
  }

  /** Drops what the tables hold durably from the log. */
  cut(index: number): void {
    assert.ok(index <= this.disk.applied.index)
    if (index <= this.log.base) return
    this.log.cut(index)
    this.disk.log.cut(index)
  }
}

export function text(entry: Entry): string {
  return Buffer.from(entry.payload).toString()
}

export class Network {
  readonly replicas = new Map<number, Replica>()
  readonly options: Partial<RaftOptions>
  /** On the way, oldest first. */
  messages: Message[] = []
  /** Pairs 'a-b' that cannot talk (both ways, smaller id first), nor support each other. */
  readonly cuts = new Set<string>()
  /** 'a-b': a's node does not support b's although they can talk. */
  readonly withheld = new Set<string>()
  /** Instead of perfect knowledge. */
  liveness: ((id: number) => Liveness) | undefined
  electionTimeout: (replica: Replica) => number = (replica) => replica.timeout
  taken: (replica: Replica, ready: Ready) => void = () => {}
  applied: (replica: Replica, entry: Entry) => void = () => {}
  persisted: (replica: Replica, ready: Ready) => void = () => {}
  sending: (m: Message) => void = () => {}
  persisting: (replica: Replica, state: HardState) => HardState = (_, state) => state
  readonly #writer = new ByteWriter()

  constructor(options: Partial<RaftOptions> = {}) {
    this.options = options
  }

  add(id: number, configuration: Configuration = emptyConfiguration, disk: Partial<Disk> = {}): Replica {
    const replica = new Replica(this, id, { configuration, ...disk })
    this.replicas.set(id, replica)
    return replica
  }

  at(id: number): Replica {
    const replica = this.replicas.get(id)
    assert.ok(replica, `replica ${id}`)
    return replica
  }

  connected(a: number, b: number): boolean {
    return !this.cuts.has(a < b ? `${a}-${b}` : `${b}-${a}`)
  }

  /** Perfect knowledge: a supports b while b is up and they can talk. */
  supports(a: number, b: number): boolean {
    if (this.withheld.has(`${a}-${b}`)) return false
    return (this.replicas.get(a)?.up ?? false) && (this.replicas.get(b)?.up ?? false) && this.connected(a, b)
  }

  /** Messages travel as bytes. */
  send(m: Message): void {
    this.sending(m)
    this.#writer.reset()
    encodeMessage(this.#writer, m)
    this.messages.push(decodeMessage(this.#writer.copy()))
  }

  /** Hands a message that is on the way to its receiver; false when it does not get there. */
  deliver(m: Message): boolean {
    const to = this.replicas.get(m.to)
    if (to === undefined || !to.up || !this.connected(m.from, m.to)) return false
    to.raft.step(m)
    to.drive()
    return true
  }
}
