/**
 * The event store over an ordered map.
 *
 *   append ─┐                 ┌─ look up what is there of keys that others made
 *   redact ─┼─► WriteQueue ──►├─ CommitGroup: join, give out positions        ──► one durable write ──► life, readers
 *   receive ┘   (groups)      └─ counters, peers
 *
 * The newest counters are in memory and in the entry `life`, which every write carries, so that opening reads one entry.
 *
 * Not here: bytes (layout.ts), what a group changes (commit-group.ts), what waits for what (write-queue.ts), talking to
 * other stores (sync.ts, answer-sync.ts).
 */
import { DbError } from '../../base/index.ts'
import type { Clock, Random } from '../../io/index.ts'
import {
  checkContentType,
  compareBytes,
  formatUlid,
  type Hashed,
  hashRecord,
  incarnationBytes,
  isRedaction,
  isRefused,
  type Mark,
  malformed,
  noStamp,
  parseUlid,
  putUlidTime,
  RangeIndex,
  readRecord,
  recordKey,
  type Stretch,
  sameBytes,
  storeBytes,
  toHex,
  ulidBytes,
} from '../../replication/sync/index.ts'
import type { CommitGroup } from './commit-group.ts'
import type {
  ChangesPage,
  ConflictsPage,
  NewEvent,
  PeerStatus,
  RangePage,
  StoredEvent,
  StoreIdentity,
  StoreLimits,
} from './event-store.ts'
import { type Life, lifeKey, peersFrom, peersTo, readLife, writeLife } from './layout.ts'
import type { OrderedMap } from './ordered-map.ts'
import { type Peer, Peers, readPeer, toSend } from './peers.ts'
import { type RangeOptions, StoreReader } from './store-reader.ts'
import { StoreWriter } from './store-writer.ts'
import type { Id, IdPage, Received, RecordPage, SyncStore } from './sync-store.ts'
import type { AppendWork, ReceiveWork, Work } from './works.ts'
import { WriteQueue } from './write-queue.ts'

export interface EventStoreOptions {
  /** For messages and listings; stores of one name belong together. */
  readonly name: string
  /** The store's own place; closed with it. */
  readonly map: OrderedMap
  readonly clock: Clock
  readonly random: Random
  readonly limits?: Partial<StoreLimits>
}

const usualLimits: StoreLimits = {
  eventBytes: 1 << 20,
  batchEvents: 10_000,
  batchBytes: 16 << 20,
  maxSkewMs: 24 * 3_600_000,
  syncIds: 1_000,
  syncBytes: 256 * 1024,
  pageBytes: 4 << 20,
}
/** Hybrid timestamps of others move our clock when they are not further ahead than this; the rest is only kept. */
const followedSkewMs = 60_000
const peersKept = 100_000

/** Opens the store that is in the map, or makes a new one there. Errors: incompatible_format, what the map reports. */
export async function openEventStore(options: EventStoreOptions): Promise<SyncStore> {
  const { map, random } = options
  const [bytes] = await map.get([lifeKey])
  const peers = new Peers()
  if (bytes !== undefined) {
    // First: it says which format the rest has.
    const life = readLife(bytes)
    for (const { value } of await map.scan({ from: peersFrom, to: peersTo, limit: peersKept }))
      peers.set(readPeer(value))
    return new MappedEventStore(options, life, peers)
  }
  const store = random.bytes(storeBytes)
  const incarnation = random.bytes(incarnationBytes)
  const life: Life = { store, incarnation, position: 0, stamp: noStamp, count: 0, sequence: 0, timestamp: 0, keyMs: 0 }
  await map.write([{ key: lifeKey, value: writeLife(life) }])
  return new MappedEventStore(options, life, peers)
}

class MappedEventStore implements SyncStore {
  readonly name: string
  readonly limits: StoreLimits
  readonly #map: OrderedMap
  readonly #clock: Clock
  readonly #reader: StoreReader
  readonly #writer: StoreWriter
  readonly #queue: WriteQueue<Work>
  readonly #listeners = new Set<() => void>()
  #ranges: Promise<RangeIndex> | undefined
  /** The index once it is asked for; complete when `#ranges` has resolved. */
  #index: RangeIndex | undefined
  #closed = false

  constructor(options: EventStoreOptions, life: Life, peers: Peers) {
    this.name = options.name
    this.limits = { ...usualLimits, ...options.limits }
    this.#map = options.map
    this.#clock = options.clock
    this.#reader = new StoreReader(options.map)
    this.#writer = new StoreWriter({ ...options, maxSkewMs: this.limits.maxSkewMs }, life, peers, (group) =>
      this.#arrived(group),
    )
    this.#queue = new WriteQueue((works) => this.#writer.prepare(works))
  }

  get identity(): StoreIdentity {
    const { store, incarnation } = this.#writer.life
    return { store: toHex(store), incarnation: toHex(incarnation) }
  }

  get position(): number {
    return this.#writer.life.position
  }

  get count(): number {
    return this.#writer.life.count
  }

  async append(events: readonly NewEvent[]): Promise<string[]> {
    this.#check()
    if (events.length === 0) return []
    const bytes = this.#checkBatch(events)
    let chosen: (Uint8Array | undefined)[] | undefined
    if (events.some((e) => e.key !== undefined)) {
      chosen = events.map((e) => (e.key === undefined ? undefined : parseUlid(e.key)))
    }
    const work: AppendWork = { kind: 'append', events, chosen, keys: [], error: undefined }
    await this.#queue.add(work, bytes)
    if (work.error !== undefined) throw work.error
    return work.keys
  }

  async redact(keys: readonly string[]): Promise<void> {
    this.#check()
    if (keys.length === 0) return
    await this.#queue.add({ kind: 'redact', keys: keys.map((key) => parseUlid(key)) }, keys.length * 100)
  }

  async get(keys: readonly string[], maxBytes?: number): Promise<(StoredEvent | undefined)[]> {
    this.#check()
    const parsed = keys.map((key) => parseUlid(key))
    return maxBytes === undefined ? this.#reader.get(parsed) : this.#reader.firstOf(parsed, maxBytes)
  }

  async changes(after: number, limit: number): Promise<ChangesPage> {
    this.#check()
    const { position } = this
    if (!Number.isSafeInteger(after) || after < 0 || after > position) {
      throw new DbError(
        'position_unknown',
        `the store ${this.name} has no position ${after}: its newest is ${position}`,
        {
          hint: 'Positions belong to one store and one incarnation of it. Begin again after 0.',
        },
      )
    }
    checkLimit(limit)
    return this.#reader.changes(after, limit, position, this.limits.pageBytes)
  }

  async range(options: RangeOptions): Promise<RangePage> {
    this.#check()
    checkLimit(options.limit)
    return this.#reader.range(options, this.limits.pageBytes)
  }

  subscribe(listener: () => void): () => void {
    const own = () => listener()
    this.#listeners.add(own)
    return () => this.#listeners.delete(own)
  }

  async conflicts(limit: number, after?: string): Promise<ConflictsPage> {
    this.#check()
    checkLimit(limit)
    return this.#reader.conflicts(limit, after, this.limits.pageBytes)
  }

  peers(): PeerStatus[] {
    return this.#writer.peers.all().map((peer) => this.#status(peer))
  }

  async renewIncarnation(): Promise<void> {
    this.#check()
    await this.#queue.add({ kind: 'renew' }, 0)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    // A map that has failed takes nothing more, and what is lost then is not needed.
    if (this.#writer.unsaved) await this.#queue.add({ kind: 'save' }, 0).catch(() => undefined)
    await this.#queue.idle()
    this.#listeners.clear()
    await this.#map.close()
  }

  mark(): Mark {
    const { store, incarnation, position, stamp } = this.#writer.life
    return { store, incarnation, position, stamp }
  }

  markAt(position: number): Promise<Mark> {
    return this.#reader.markAt(this.#writer.life, position)
  }

  async knows(mark: Mark): Promise<boolean> {
    const { life } = this.#writer
    if (!sameBytes(mark.store, life.store) || !sameBytes(mark.incarnation, life.incarnation)) return false
    if (mark.position > life.position) return false
    return sameBytes((await this.markAt(mark.position)).stamp, mark.stamp)
  }

  peer(store: Uint8Array): Peer | undefined {
    return this.#writer.peers.get(store)
  }

  met(store: Uint8Array, { position, acknowledged }: { position: Mark; acknowledged: Mark | undefined }): void {
    this.#writer.meet(store, position, acknowledged)
  }

  idsAfter(position: number, limit: number, peer: Uint8Array | undefined): Promise<IdPage> {
    this.#check()
    const source = peer === undefined ? 0 : (this.peer(peer)?.number ?? 0)
    return this.#reader.idsAfter(this.#writer.life, position, limit, source)
  }

  lacking(ids: readonly Id[]): Promise<number[]> {
    this.#check()
    return this.#reader.lacking(ids)
  }

  records(keys: readonly Uint8Array[], maxBytes: number, cap: number, behind?: Uint8Array): Promise<RecordPage> {
    this.#check()
    return this.#reader.records(this.#writer.life, keys, { maxBytes, cap, behind })
  }

  async receive(
    peer: Uint8Array,
    records: readonly Uint8Array[],
    claim: Stretch | undefined,
    expected?: ReadonlyMap<string, Uint8Array | undefined>,
  ): Promise<Received> {
    this.#check()
    const wallMicros = this.#clock.wallMicros()
    const refusedAbove = wallMicros + this.limits.maxSkewMs * 1000
    const followedUpTo = wallMicros + followedSkewMs * 1000
    let newest = 0
    let bytes = 0
    let skewed: { key: Uint8Array; timestamp: number } | undefined
    const kept: Hashed[] = []
    if (expected !== undefined) checkExpected(records, expected)
    for (const record of records) {
      const { key, timestamp, value } = readRecord(record)
      if (isRefused(record)) throw malformed('it brings a value that was refused')
      if (value.length > this.limits.eventBytes) throw this.#tooLarge(formatUlid(key), value.length)
      if (timestamp > refusedAbove) {
        skewed ??= { key, timestamp }
        continue
      }
      if (timestamp <= followedUpTo && timestamp > newest) newest = timestamp
      bytes += record.length
      kept.push({ record, hash: hashRecord(record) })
    }
    const sound = skewed === undefined ? claim : undefined
    const work: ReceiveWork = { kind: 'receive', peer, records: kept, claim: sound, newest, added: 0, conflicts: 0 }
    await this.#queue.add(work, bytes)
    if (skewed !== undefined) throw skew(formatUlid(skewed.key), skewed.timestamp - wallMicros)
    return { added: work.added, conflicts: work.conflicts }
  }

  ranges(): Promise<RangeIndex> {
    this.#check()
    this.#ranges ??= this.#load()
    return this.#ranges
  }

  /** What arrives while it is loaded goes in at once, and again when the reader finds it: an index takes what comes last. */
  async #load(): Promise<RangeIndex> {
    const index = new RangeIndex()
    const newer = new RangeIndex()
    this.#index = newer
    await this.#reader.eachId(this.#writer.life, (key, hash) => index.set(key, hash))
    newer.each((key, hash) => index.set(key, hash))
    this.#index = index
    return index
  }

  #arrived(group: CommitGroup): void {
    const index = this.#index
    if (index !== undefined) group.eachReceived((key, hash) => index.set(key, hash))
    for (const listener of [...this.#listeners]) listener()
  }

  #status(peer: Peer): PeerStatus {
    const { received, position, acknowledged, metMs } = peer
    const ours = sameBytes(acknowledged.incarnation, this.#writer.life.incarnation) ? acknowledged.position : 0
    return {
      store: toHex(received.store),
      incarnation: toHex(received.incarnation),
      received: received.position,
      position,
      acknowledged: ours,
      lag: { toReceive: Math.max(0, position - received.position), toSend: toSend(peer, ours, this.position) },
      metMs,
    }
  }

  #check(): void {
    if (this.#closed)
      throw new DbError('store_closed', `the event store ${this.name} is closed`, { hint: 'Open it again.' })
  }

  #checkBatch(events: readonly NewEvent[]): number {
    const { eventBytes, batchEvents, batchBytes } = this.limits
    if (events.length > batchEvents) {
      throw new DbError(
        'event_too_large',
        `${events.length} events are too many for one append: at most ${batchEvents}`,
        {
          hint: 'Append them in several calls.',
        },
      )
    }
    let bytes = 0
    let last: string | undefined
    const time = new Uint8Array(ulidBytes)
    for (const { key, value, contentType, atMs } of events) {
      if (contentType !== last) checkContentType((last = contentType))
      if (value.length > eventBytes) throw this.#tooLarge(key, value.length)
      if (atMs !== undefined && key === undefined) putUlidTime(time, 0, atMs)
      bytes += value.length
    }
    if (bytes <= batchBytes) return bytes
    throw new DbError('event_too_large', `${bytes} bytes are too much for one append: at most ${batchBytes}`, {
      hint: 'Append the events in several calls.',
    })
  }

  #tooLarge(key: string | undefined, bytes: number): DbError {
    const which = key === undefined ? 'an event' : `the event ${key}`
    return new DbError('event_too_large', `${which} has ${bytes} bytes: at most ${this.limits.eventBytes} are taken`, {
      hint: 'Keep large things elsewhere and their address in the event, or raise the limit of all stores that sync.',
    })
  }
}

/** What was offered may have given way meanwhile, but only to what takes its place. Several of a key are of a conflict. */
function checkExpected(records: readonly Uint8Array[], expected: ReadonlyMap<string, Uint8Array | undefined>): void {
  const texts = records.map((record) => formatUlid(recordKey(record)))
  const seen = new Set<string>()
  const several = new Set(texts.filter((text) => seen.size === seen.add(text).size))
  for (let i = 0; i < records.length; i++) {
    const hash = expected.get(texts[i])
    const whole = hash !== undefined && !several.has(texts[i])
    const fits = whole
      ? isRedaction(records[i]) || compareBytes(hashRecord(records[i]), hash) <= 0
      : expected.has(texts[i])
    if (!fits) throw malformed('it brings another event than the one that was offered')
  }
}

function checkLimit(limit: number): void {
  if (Number.isSafeInteger(limit) && limit > 0) return
  throw new DbError('invalid_parameter_value', `${limit} is no limit: a page has at least one event`)
}

function skew(key: string, aheadMicros: number): DbError {
  const hours = Math.round(aheadMicros / 3_600_000_000)
  return new DbError('clock_skewed', `the event ${key} was stamped by a clock that is ${hours} hours ahead of ours`, {
    detail: 'Events that are not so far ahead were kept; this one comes again with the next sync.',
    hint: 'Set the clock of the machine that wrote it, or ours. The event is taken once its time is near.',
  })
}
