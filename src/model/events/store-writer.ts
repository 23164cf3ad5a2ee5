/**
 * Carries out works: looks up what is there, joins, makes one durable write of it and then takes it over.
 *
 * Not here: bytes (layout.ts), reading (store-reader.ts), checks that need nothing of the store (mapped-event-store.ts).
 */
import { DbError, HybridClock } from '../../base/index.ts'
import type { Clock, Random } from '../../io/index.ts'
import {
  ByteOutput,
  beginning,
  formatUlid,
  type Hashed,
  hashRecord,
  incarnationBytes,
  isRedaction,
  type Mark,
  recordKey,
  redactionOf,
  sameBytes,
  sameLife,
  sameValue,
  stampBytes,
  UlidSource,
  ulidBytes,
  writeRecord,
} from '../../replication/sync/index.ts'
import { CommitGroup, type Loaded } from './commit-group.ts'
import type { NewEvent } from './event-store.ts'
import {
  eventHeader,
  eventKey,
  type Life,
  lifeKey,
  othersOfKey,
  readEventValue,
  receptionKey,
  receptionStamp,
  writeLife,
} from './layout.ts'
import type { OrderedMap } from './ordered-map.ts'
import { continues, type Peer, type Peers } from './peers.ts'
import { originOf } from './stored-event.ts'
import type { AppendWork, ReceiveWork, RedactWork, Work } from './works.ts'

/** What a record takes beside its value and content type, at most. */
const recordOverhead = 72
/** Others of one key that are kept; further ones are dropped. */
const othersKept = 64

export class StoreWriter {
  readonly #map: OrderedMap
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
  #origin: Uint8Array
  /** The wall clock, looked at once for a group. */
  #wallMicros = 0

  constructor(
    options: { map: OrderedMap; clock: Clock; random: Random; maxSkewMs: number },
    life: Life,
    peers: Peers,
    received: (group: CommitGroup) => void,
  ) {
    this.#map = options.map
    this.#clock = options.clock
    this.#random = options.random
    this.#received = received
    this.life = life
    this.peers = peers
    this.#origin = originOf(life.store, life.incarnation)
    this.#keys = new UlidSource(options.random, life.keyMs)
    // A clock that was once far ahead must not be so for ever.
    const sane = options.clock.wallMicros() + options.maxSkewMs * 1000
    this.#hybrid = new HybridClock(() => this.#wallMicros, life.timestamp > sane ? 0 : life.timestamp)
  }

  async commit(works: readonly Work[]): Promise<void> {
    this.#wallMicros = this.#clock.wallMicros()
    const group = new CommitGroup(this.life, this.#random.bytes(stampBytes))
    for (const loaded of await this.#look(works)) group.load(loaded)
    let incarnation = this.life.incarnation
    for (const work of works) {
      if (work.kind === 'append') this.#append(group, work)
      else if (work.kind === 'redact') redact(group, work)
      else if (work.kind === 'receive') this.#receive(group, work)
      else if (work.kind === 'renew') incarnation = this.#random.bytes(incarnationBytes)
    }
    for (const peer of this.#heard.splice(0)) if (group.peer(peer) === undefined) group.setPeer(this.peers.get(peer)!)
    group.flush()
    const renewed = incarnation !== this.life.incarnation
    if (group.changes.length === 0 && !renewed) return
    const life = this.#lifeAfter(group, incarnation)
    group.changes.push({ key: lifeKey, value: writeLife(life) })
    await this.#map.write(group.changes)
    this.life = life
    if (renewed) this.#origin = originOf(life.store, life.incarnation)
    for (const peer of group.peers.values()) this.peers.set(peer)
    if (group.moved) this.#received(group)
  }

  #lifeAfter(group: CommitGroup, incarnation: Uint8Array): Life {
    return {
      store: this.life.store,
      incarnation,
      position: group.position,
      stamp: group.moved ? group.stamp : this.life.stamp,
      count: group.count,
      // Each incarnation counts its own events.
      sequence: incarnation === this.life.incarnation ? group.sequence : 0,
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
    const found = await this.#map.get([...keys.values()].map((key) => eventKey(key)))
    const out: Loaded[] = []
    let i = 0
    for (const [text, key] of keys) {
      const value = found[i++]
      const stored = value === undefined ? undefined : readEventValue(value)
      const coming = hashes.get(text)
      if (stored === undefined || (coming !== undefined && sameBytes(coming, stored.hash))) {
        out.push({ key, stored, stamp: undefined, others: [] })
        continue
      }
      const [place] = await this.#map.get([receptionKey(stored.position)])
      out.push({ key, stored, stamp: receptionStamp(place!), others: await this.#others(key) })
    }
    return out
  }

  async #others(key: Uint8Array): Promise<Hashed[]> {
    const entries = await this.#map.scan({ ...othersOfKey(key), limit: othersKept })
    return entries.map((e) => ({ record: e.value, hash: e.key.subarray(1 + ulidBytes) }))
  }

  #append(group: CommitGroup, work: AppendWork): void {
    const { events, chosen } = work
    if (chosen !== undefined && !this.#admits(group, work, chosen)) return
    let capacity = 0
    for (const { value, contentType } of events)
      capacity += eventHeader + recordOverhead + value.length + contentType.length
    const out = new ByteOutput(capacity)
    const keys = new Uint8Array(events.length * ulidBytes)
    const wallMs = Math.floor(this.#clock.wallMicros() / 1000)
    for (let i = 0; i < events.length; i++) {
      const event = events[i]
      const at = i * ulidBytes
      const key = keys.subarray(at, at + ulidBytes)
      const own = chosen?.[i]
      if (own !== undefined) key.set(own)
      else if (event.atMs !== undefined) this.#keys.past(event.atMs, keys, at)
      else this.#keys.now(wallMs, keys, at)
      work.keys.push(formatUlid(keys, at))
      // The same key with the same value: it is here.
      if (own !== undefined && group.cell(work.keys[i]) !== undefined) continue
      const start = out.length
      out.length += eventHeader
      const timestamp = this.#hybrid.next()
      writeRecord(out, keys, at, this.#origin, ++group.sequence, timestamp, event.contentType, event.value)
      const value = out.buffer.subarray(start, out.length)
      if (own === undefined) group.addFresh(key, value)
      else {
        const record = value.subarray(eventHeader)
        group.join(record, hashRecord(record), 0)
      }
    }
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
      writeRecord(out, key, 0, this.#origin, 0, this.#hybrid.last, event.contentType, event.value)
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
    const peer = anew ? { ...known, number: this.peers.takeNumber() } : known
    this.#hybrid.observe(work.newest)
    for (const { record, hash } of work.records) {
      const text = formatUlid(recordKey(record))
      const before = group.cell(text)
      if (!group.join(record, hash, covered ? peer.number : 0)) continue
      work.added++
      if ((group.cell(text)?.others.length ?? 0) > (before?.others.length ?? 0)) work.conflicts++
    }
    if (!covered) return
    const { upTo } = claim
    if (sameLife(peer.received, upTo) && upTo.position <= peer.received.position) return
    const position = sameLife(peer.received, upTo) ? Math.max(peer.position, upTo.position) : upTo.position
    group.setPeer({ ...peer, received: upTo, position, metMs: this.#wallMs() })
  }

  /** Takes note of what a peer said; written with the next group. */
  meet(store: Uint8Array, position: Mark, acknowledged: Mark | undefined): void {
    const peer = this.peers.get(store) ?? this.#stranger(store)
    const known = sameLife(peer.received, position)
    this.peers.set({
      ...peer,
      // Of a life that is new to us nothing is here for certain.
      ...(known ? {} : { number: this.peers.takeNumber(), received: beginning(store, position.incarnation) }),
      position: position.position,
      acknowledged: acknowledged ?? peer.acknowledged,
      metMs: this.#wallMs(),
    })
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
    return { number: this.peers.takeNumber(), received, position: 0, acknowledged, metMs: this.#wallMs() }
  }

  #wallMs(): number {
    return Math.floor(this.#clock.wallMicros() / 1000)
  }
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
