/**
 * One write of a store in the making: what several appends, redactions and receptions change, with the positions that they
 * get. Nothing of the store changes before the write is durable; then the store takes the group's counters over.
 *
 * Keys that this store has just made are new for certain and go straight into the write. Others pass through a cell: what
 * is there of the key, joined with what comes, so that later parts of the group see earlier ones.
 *
 *   fresh:   record ─────────────────────────────────┐
 *   others:  what is there ─► cell ─ join ─► flush ──┴─► changes
 *
 * Not here: waiting, reading (mapped-event-store.ts).
 */
import {
  type Cell,
  cellOf,
  formatUlid,
  type Hashed,
  hashRecord,
  joinCells,
  recordKey,
  sameBytes,
  sameValue,
  toHex,
} from '../../replication/sync/index.ts'
import {
  eventHeader,
  eventKey,
  eventKeyBytes,
  type Life,
  otherKey,
  peerKey,
  putEventHeader,
  receptionBytes,
  receptionKey,
  receptionKeyBytes,
  receptionValue,
  type StoredCell,
} from './layout.ts'
import type { Change } from './ordered-map.ts'
import { type Peer, writePeer } from './peers.ts'

const slabBytes = 8 * 1024

/** What is there of a key. */
export interface Loaded {
  readonly key: Uint8Array
  readonly stored: StoredCell | undefined
  /** Of the stored event's place in the order of reception; undefined with `stored`. */
  readonly stamp: Uint8Array | undefined
  readonly others: readonly Hashed[]
}

/** A key that the group works on. */
interface Staged extends Loaded {
  cell: Cell | undefined
  source: number
}

export class CommitGroup {
  readonly changes: Change[] = []
  readonly stamp: Uint8Array
  /** Keys and hashes of events that get positions, in their order. */
  readonly received: { key: Uint8Array; hash: Uint8Array }[] = []
  readonly peers = new Map<string, Peer>()
  position: number
  count: number
  sequence: number
  readonly #staged = new Map<string, Staged>()
  readonly #firstPosition: number
  #slab: Uint8Array = new Uint8Array(0)
  #slabUsed = 0

  constructor(life: Life, stamp: Uint8Array) {
    this.position = life.position
    this.#firstPosition = life.position
    this.count = life.count
    this.sequence = life.sequence
    this.stamp = stamp
  }

  get moved(): boolean {
    return this.position > this.#firstPosition
  }

  load(loaded: Loaded): void {
    const { key, stored, others } = loaded
    const cell = stored === undefined ? undefined : { standing: stored, others }
    this.#staged.set(formatUlid(key), { ...loaded, cell, source: 0 })
  }

  cell(key: string): Cell | undefined {
    return this.#staged.get(key)?.cell
  }

  /** An event whose key nobody has; `value` is its record with room for the header before it. */
  addFresh(key: Uint8Array, value: Uint8Array): void {
    this.count++
    this.#place(key, value, hashRecord(value.subarray(eventHeader)), 0)
  }

  /** A record of a key that was loaded. Answers whether anything changes. */
  join(record: Uint8Array, hash: Uint8Array, source: number): boolean {
    const staged = this.#staged.get(formatUlid(recordKey(record)))!
    const before = staged.cell
    const incoming = cellOf({ record, hash })
    staged.cell = before === undefined ? incoming : joinCells(before, incoming)
    const stands = before === undefined || !sameBytes(staged.cell.standing.hash, before.standing.hash)
    if (stands) staged.source = source
    return stands || staged.cell.others.length !== before?.others.length
  }

  /** A record that is kept to be looked at and changes nothing else; the key was loaded. */
  keepOther(other: Hashed): void {
    const staged = this.#staged.get(formatUlid(recordKey(other.record)))!
    const { standing, others } = staged.cell!
    if (others.some((kept) => sameValue(kept.record, other.record))) return
    staged.cell = { standing, others: [...others, other] }
  }

  peer(store: Uint8Array): Peer | undefined {
    return this.peers.get(toHex(store))
  }

  setPeer(peer: Peer): void {
    this.peers.set(toHex(peer.received.store), peer)
  }

  /** Turns cells and peers into changes; the group is complete then. */
  flush(): void {
    for (const staged of this.#staged.values()) this.#flushCell(staged)
    for (const peer of this.peers.values())
      this.changes.push({ key: peerKey(peer.received.store), value: writePeer(peer) })
  }

  #flushCell({ key, stored, stamp, others: before, cell, source }: Staged): void {
    if (cell === undefined) return
    const { standing, others } = cell
    for (const { hash } of before)
      if (!hasHash(others, hash)) this.changes.push({ key: otherKey(key, hash), value: undefined })
    for (const { record, hash } of others)
      if (!hasHash(before, hash)) this.changes.push({ key: otherKey(key, hash), value: record })
    if (stored !== undefined && sameBytes(stored.hash, standing.hash)) return
    if (stored === undefined) this.count++
    else this.changes.push({ key: receptionKey(stored.position), value: stamp })
    const value = new Uint8Array(eventHeader + standing.record.length)
    value.set(standing.record, eventHeader)
    this.#place(key, value, standing.hash, source)
  }

  #place(key: Uint8Array, value: Uint8Array, hash: Uint8Array, source: number): void {
    const position = ++this.position
    putEventHeader(value, position, hash)
    this.received.push({ key, hash })
    const place = receptionValue(this.stamp, key, hash, source, this.#piece(receptionBytes))
    this.changes.push({ key: eventKey(key, this.#piece(eventKeyBytes)), value })
    this.changes.push({ key: receptionKey(position, this.#piece(receptionKeyBytes)), value: place })
  }

  /** Small pieces of memory that live as long as each other. */
  #piece(bytes: number): Uint8Array {
    if (this.#slabUsed + bytes > this.#slab.length) {
      this.#slab = new Uint8Array(slabBytes)
      this.#slabUsed = 0
    }
    const at = this.#slabUsed
    this.#slabUsed = at + bytes
    return this.#slab.subarray(at, at + bytes)
  }
}

const hasHash = (records: readonly Hashed[], hash: Uint8Array): boolean => records.some((r) => sameBytes(r.hash, hash))
