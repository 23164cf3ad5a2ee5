/**
 * Carries out works: looks up what is there, joins, makes one write of it, and takes it over once that is durable.
 *
 *   life     what is durable, and readers know of
 *   #ahead   what was written: the next write builds on it
 *
 * Events with keys of our own need nothing of what is there, so they are written while others become durable; whatever looks
 * first waits for those.
 *
 * Not here: bytes (layout.ts), reading (store-reader.ts), checks that need nothing of the store (mapped-event-store.ts).
 */
import { DbError, HybridClock } from '../../base/index.ts'
import type { Clock, Random } from '../../io/index.ts'
import {
  ByteOutput,
  beginning,
  byRank,
  formatUlid,
  type Hashed,
  hashRecord,
  headKeyAt,
  incarnationBytes,
  isRedaction,
  type Mark,
  othersKept,
  recordHead,
  recordKey,
  redactionOf,
  sameBytes,
  sameLife,
  sameValue,
  stampBytes,
  travelling,
  UlidSource,
  ulidBytes,
  writeRecord,
} from '../../replication/sync/index.ts'
import { CommitGroup, type Loaded } from './commit-group.ts'
import type { NewEvent } from './event-store.ts'
import { EventFinder } from './finder.ts'
import { eventHeader, type Life, lifeKey, othersOfKey, type StoredCell, writeLife } from './layout.ts'
import type { OrderedMap } from './ordered-map.ts'
import { continues, type Peer, type Peers, withAcknowledged } from './peers.ts'
import type { ShrinkingRun } from './run.ts'
import { originOf } from './stored-event.ts'
import type { AppendWork, ReceiveWork, RedactWork, Work } from './works.ts'
import type { UnderWay } from './write-queue.ts'

/** What a record takes beside its value and content type, at most. */
const recordOverhead = 72
/** Of the memory for runs, at first, and when it is used again for the next ones. */
const firstBytes = 32 * 1024
const keptBytes = 512 * 1024

export class StoreWriter {
  readonly #map: OrderedMap
  readonly #finder: EventFinder
  readonly #clock: Clock
  readonly #random: Random
  readonly #keys: UlidSource
  readonly #hybrid: HybridClock
  /** Told of each event that got a position, once it can be read. */
  readonly #received: (group: CommitGroup) => void
  readonly peers: Peers
  /** Peers of which something is known that is not yet durable. */
  readonly #heard: Uint8Array[] = []
  life: Life
  #ahead: Life
  /** Until all that was written is durable. Never rejects. */
  #settled: Promise<void> = Promise.resolve()
  #origin: Uint8Array
  /** Where the next group's runs are put together. */
  #records = new ByteOutput(firstBytes)
  /** The wall clock, looked at once for a group. */
  #wallMicros = 0

  constructor(
    options: { map: OrderedMap; clock: Clock; random: Random; maxSkewMs: number },
    life: Life,
    peers: Peers,
    received: (group: CommitGroup) => void,
  ) {
    this.#map = options.map
    this.#finder = new EventFinder(options.map)
    this.#clock = options.clock
    this.#random = options.random
    this.#received = received
    this.life = life
    this.#ahead = life
    this.peers = peers
    this.#origin = originOf(life.store, life.incarnation)
    this.#keys = new UlidSource(options.random, life.keyMs)
    // A clock that was once far ahead must not be so for ever.
    const sane = options.clock.wallMicros() + options.maxSkewMs * 1000
    this.#hybrid = new HybridClock(() => this.#wallMicros, life.timestamp > sane ? 0 : life.timestamp)
  }

  /** Resolves when the next works may be prepared; rejects when nothing of these is done. */
  async prepare(works: readonly Work[]): Promise<UnderWay> {
    if (!works.every(isFresh)) await this.#settled
    this.#wallMicros = this.#clock.wallMicros()
    let events = 0
    for (const work of works) if (work.kind === 'append') events += work.events.length
    const group = new CommitGroup(this.#ahead, this.#random.bytes(stampBytes), this.#origin, this.#records, events)
    for (const loaded of await this.#look(works)) group.load(loaded)
    let { incarnation } = this.#ahead
    for (const work of works) {
      if (work.kind === 'append') this.#append(group, work)
      else if (work.kind === 'redact') redact(group, work)
      else if (work.kind === 'receive') this.#receive(group, work)
      else if (work.kind === 'renew') incarnation = this.#random.bytes(incarnationBytes)
    }
    const received = [...group.peers.keys()]
    for (const peer of this.#heard.splice(0)) if (group.peer(peer) === undefined) group.setPeer(this.peers.get(peer)!)
    group.flush()
    if (group.changes.length === 0 && incarnation === this.#ahead.incarnation) return { durable: this.#settled }
    const life = this.#lifeAfter(group, incarnation)
    group.changes.push({ key: lifeKey, value: writeLife(life) })
    return this.#write(
      group,
      life,
      received.map((store) => group.peers.get(store)!),
    )
  }

  async #write(group: CommitGroup, life: Life, received: readonly Peer[]): Promise<UnderWay> {
    let accept: () => void
    let copied = false
    const accepted = new Promise<void>((resolve) => {
      accept = () => {
        copied = true
        resolve()
      }
    })
    const durable = this.#map.write(group.changes, accept!).then(() => {
      this.life = life
      for (const peer of received) this.#takeOver(peer)
      if (group.moved) this.#received(group)
    })
    try {
      await Promise.race([accepted, durable])
    } finally {
      if (copied && this.#records.buffer.length <= keptBytes) this.#records.length = 0
      else this.#records = new ByteOutput(firstBytes)
    }
    if (life.incarnation !== this.#ahead.incarnation) this.#origin = originOf(life.store, life.incarnation)
    this.#ahead = life
    this.#settled = durable.catch(() => undefined)
    return { durable }
  }

  /** What was written of a peer. It may have said meanwhile that it has more of ours. */
  #takeOver(peer: Peer): void {
    const { acknowledged } = this.peers.get(peer.received.store) ?? peer
    const later = sameLife(acknowledged, peer.acknowledged) && acknowledged.position > peer.acknowledged.position
    this.peers.set(later ? withAcknowledged(peer, acknowledged) : peer)
  }

  #lifeAfter(group: CommitGroup, incarnation: Uint8Array): Life {
    const before = this.#ahead
    return {
      store: before.store,
      incarnation,
      position: group.position,
      stamp: group.moved ? group.stamp : before.stamp,
      count: group.count,
      // Each incarnation counts its own events.
      sequence: incarnation === before.incarnation ? group.sequence : 0,
      timestamp: this.#hybrid.last,
      keyMs: Math.max(0, this.#keys.nowMs),
    }
  }

  /** What is there of every key that a work names. */
  async #look(works: readonly Work[]): Promise<Loaded[]> {
    const keys = new Map<string, Uint8Array>()
    /** Hashes that come for a key; undefined: anything may become of it. */
    const hashes = new Map<string, Uint8Array | undefined>()
    const note = (key: Uint8Array, hash: Uint8Array | undefined) => {
      const text = formatUlid(key)
      const known = hashes.get(text)
      hashes.set(
        text,
        keys.has(text) && (known === undefined || hash === undefined || !sameBytes(known, hash)) ? undefined : hash,
      )
      keys.set(text, key)
    }
    for (const work of works) {
      if (work.kind === 'append') for (const key of work.chosen ?? []) key !== undefined && note(key, undefined)
      if (work.kind === 'redact') for (const key of work.keys) note(key, undefined)
      if (work.kind === 'receive') for (const { record, hash } of work.records) note(recordKey(record).slice(), hash)
    }
    if (keys.size === 0) return []
    const found = await this.#finder.cells([...keys.values()])
    const runs = new Map<number, ShrinkingRun>()
    const out: Loaded[] = []
    let i = 0
    for (const [text, key] of keys) {
      const stored = found[i++]
      const coming = hashes.get(text)
      const same = stored === undefined || (coming !== undefined && sameBytes(coming, stored.hash))
      out.push(
        same
          ? { key, stored, stamp: undefined, run: undefined, others: [] }
          : { key, stored, ...(await this.#placeOf(stored, runs)), others: await this.#others(key) },
      )
    }
    return out
  }

  /** @param runs those that were read so far. */
  async #placeOf({ position, run }: StoredCell, runs: Map<number, ShrinkingRun>) {
    const { stamp } = await this.#finder.slot(position)
    if (run === 0) return { stamp, run: undefined }
    const shrinking = runs.get(run) ?? (await this.#finder.shrinking(run))
    runs.set(run, shrinking)
    return { stamp, run: shrinking }
  }

  async #others(key: Uint8Array): Promise<Hashed[]> {
    const entries = await this.#map.scan({ ...othersOfKey(key), limit: othersKept })
    return entries.map((e) => ({ record: e.value, hash: e.key.subarray(1 + ulidBytes) })).sort(byRank)
  }

  #append(group: CommitGroup, work: AppendWork): void {
    const { events, chosen, keys } = work
    if (chosen !== undefined && !this.#admits(group, work, chosen)) return
    const wallMs = Math.floor(this.#wallMicros / 1000)
    const { head } = group.runs
    for (let i = 0; i < events.length; i++) {
      const { value, contentType, atMs } = events[i]
      const own = chosen?.[i]
      if (own === undefined && atMs === undefined) {
        this.#keys.now(wallMs, head, headKeyAt)
        keys.push(formatUlid(head, headKeyAt))
        group.addNow(this.#hybrid.next(), contentType, value)
        continue
      }
      const key = new Uint8Array(ulidBytes)
      if (own !== undefined) key.set(own)
      else this.#keys.past(atMs!, key, 0)
      keys.push(formatUlid(key))
      // The same key with the same value: it is here.
      if (own !== undefined && group.cell(keys[i]) !== undefined) continue
      this.#appendAlone(group, key, events[i], own === undefined)
    }
  }

  #appendAlone(group: CommitGroup, key: Uint8Array, { value, contentType }: NewEvent, fresh: boolean): void {
    const out = new ByteOutput(eventHeader + recordOverhead + value.length + contentType.length)
    out.length += eventHeader
    writeRecord(out, this.#headOf(key), ++group.sequence, this.#hybrid.next(), contentType, value)
    if (fresh) group.addFresh(key, out.bytes)
    else {
      const record = out.bytes.subarray(eventHeader)
      group.join(record, hashRecord(record), 0)
    }
  }

  #headOf(key: Uint8Array): Uint8Array {
    const head = recordHead(this.#origin)
    head.set(key, headKeyAt)
    return head
  }

  /** Whether no chosen key is here with another value; otherwise the work is refused and what differs is kept aside. */
  #admits(group: CommitGroup, work: AppendWork, chosen: readonly (Uint8Array | undefined)[]): boolean {
    const inBatch = new Map<string, NewEvent>()
    for (let i = 0; i < chosen.length; i++) {
      const key = chosen[i]
      if (key === undefined) continue
      const event = work.events[i]
      const text = formatUlid(key)
      const earlier = inBatch.get(text)
      inBatch.set(text, event)
      if (earlier !== undefined && !sameEvent(earlier, event)) {
        work.error ??= conflict(text, 'is twice among the events, with two values')
      }
      const cell = group.cell(text)
      if (cell === undefined) continue
      const { record } = cell.standing
      if (isRedaction(record)) {
        work.error ??= conflict(text, 'was erased, and stays so')
        continue
      }
      const out = new ByteOutput(recordOverhead + event.value.length + event.contentType.length)
      writeRecord(out, this.#headOf(key), 0, this.#hybrid.last, event.contentType, event.value)
      const refused = out.bytes
      if (sameValue(record, refused)) continue
      group.keepOther({ record: refused, hash: hashRecord(refused) })
      work.error ??= conflict(text, 'has another value here')
    }
    return work.error === undefined
  }

  #receive(group: CommitGroup, work: ReceiveWork): void {
    const { claim } = work
    const known = this.#peer(group, work.peer)
    const covered = claim !== undefined && continues(known.received, claim)
    const anew = covered && !sameLife(known.received, claim.upTo)
    const peer = anew ? { ...known, ...this.#numbered() } : known
    this.#hybrid.observe(work.newest)
    for (const { record, hash } of work.records) {
      const text = formatUlid(recordKey(record))
      if (!group.join(record, hash, covered ? peer.number : 0)) continue
      work.added++
      if (travelling(group.cell(text)!).length > 0) work.conflicts++
    }
    if (!covered) return
    const { upTo } = claim
    const metMs = this.#wallMs()
    if (!sameLife(peer.received, upTo)) group.setPeer({ ...peer, received: upTo, position: upTo.position, metMs })
    else if (upTo.position > peer.received.position) {
      group.setPeer({ ...peer, received: upTo, position: Math.max(peer.position, upTo.position), metMs })
    } else if (work.added > 0) group.setPeer({ ...peer, metMs })
  }

  /** Takes note of what a peer said; written with the next group. */
  meet(store: Uint8Array, position: Mark, acknowledged: Mark | undefined): void {
    const peer = this.peers.get(store) ?? this.#stranger(store)
    const known = sameLife(peer.received, position)
    // Of a life that is new to us nothing is here for certain.
    const life = known ? {} : { ...this.#numbered(), received: beginning(store, position.incarnation) }
    const heard = { ...peer, ...life, position: position.position, metMs: this.#wallMs() }
    this.peers.set(acknowledged === undefined ? heard : withAcknowledged(heard, acknowledged))
    this.#heard.push(store)
  }

  get unsaved(): boolean {
    return this.#heard.length > 0
  }

  #peer(group: CommitGroup, store: Uint8Array): Peer {
    return group.peer(store) ?? this.peers.get(store) ?? this.#stranger(store)
  }

  #stranger(store: Uint8Array): Peer {
    const received = beginning(store, new Uint8Array(incarnationBytes))
    const acknowledged = beginning(this.life.store, this.life.incarnation)
    return { ...this.#numbered(), received, position: 0, acknowledged, metMs: this.#wallMs() }
  }

  /** Of a life of a peer that begins for us: nothing is from it. */
  #numbered(): Pick<Peer, 'number' | 'echoes'> {
    return { number: this.peers.takeNumber(), echoes: [] }
  }

  #wallMs(): number {
    return Math.floor(this.#clock.wallMicros() / 1000)
  }
}

function isFresh(work: Work): boolean {
  return work.kind === 'append' && work.chosen === undefined
}

function redact(group: CommitGroup, work: RedactWork): void {
  for (const key of work.keys) {
    const record = redactionOf(key)
    group.join(record, hashRecord(record), 0)
  }
}

function sameEvent(a: NewEvent, b: NewEvent): boolean {
  return a.contentType === b.contentType && sameBytes(a.value, b.value)
}

function conflict(key: string, how: string): DbError {
  return new DbError('event_conflict', `the key ${key} ${how}`, {
    hint: 'Events do not change. Append it under another key; the refused value is listed among the conflicts.',
  })
}
