/**
 * One write of a store in the making: what several appends, redactions and receptions change, with the positions that they
 * get. Nothing of the store changes before the write is durable; then the store takes the group's counters over.
 *
 * Keys that this store has just made are new for certain and go straight into the write: those of now, which ascend, as runs.
 * Others pass through a cell: what is there of the key, joined with what comes, so that later parts of the group see earlier ones.
 *
 *   fresh:   record ─────────────────────────► run ──┐
 *   others:  what is there ─► cell ─ join ─► flush ──┴─► changes
 *
 * Not here: waiting, reading (mapped-event-store.ts).
 */
import type { Timestamp } from '../../base/index.ts'
import {
  type ByteOutput,
  byRank,
  type Cell,
  cellHash,
  cellOf,
  formatUlid,
  type Hashed,
  hashRecord,
  joinCells,
  othersKept,
  recordKey,
  sameBytes,
  sameValue,
  toHex,
  travelling,
} from '../../replication/sync/index.ts'
import {
  eventHeader,
  eventKey,
  type Life,
  otherKey,
  peerKey,
  putEventHeader,
  receptionKey,
  receptionValue,
  type StoredCell,
} from './layout.ts'
import type { Change } from './ordered-map.ts'
import { type Peer, type Positions, withEchoes, writePeer } from './peers.ts'
import { RunWriter, type ShrinkingRun } from './run.ts'

/** What is there of a key. */
export interface Loaded {
  readonly key: Uint8Array
  readonly stored: StoredCell | undefined
  /** Of the stored event's place in the order of reception; undefined with `stored`. */
  readonly stamp: Uint8Array | undefined
  /** The run that the stored event is in, the same object for all of one run. */
  readonly run: ShrinkingRun | undefined
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
  /** Keys and hashes of cells of events that stand by themselves and get positions, in their order. */
  readonly #placed: { key: Uint8Array; hash: Uint8Array }[] = []
  readonly peers = new Map<string, Peer>()
  position: number
  count: number
  sequence: number
  readonly #staged = new Map<string, Staged>()
  readonly #firstPosition: number
  readonly #shrinking = new Set<ShrinkingRun>()
  /** Positions of events that came from peers, by the peer's number. */
  readonly #echoes = new Map<number, Positions[]>()
  readonly runs: RunWriter

  /** @param records, events see RunWriter. */
  constructor(life: Life, stamp: Uint8Array, origin: Uint8Array, records: ByteOutput, events: number) {
    this.position = life.position
    this.#firstPosition = life.position
    this.count = life.count
    this.sequence = life.sequence
    this.stamp = stamp
    this.runs = new RunWriter(this.changes, stamp, origin, records, events)
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

  /** An event of now, whose key is in the head of the runs. */
  addNow(timestamp: Timestamp, contentType: string, value: Uint8Array): void {
    this.count++
    this.runs.add(++this.position, ++this.sequence, timestamp, contentType, value)
  }

  /** An event whose key nobody has; `value` is its record with room for the header before it. */
  addFresh(key: Uint8Array, value: Uint8Array): void {
    this.count++
    const hash = hashRecord(value.subarray(eventHeader))
    putEventHeader(value, this.position + 1, hash, 0)
    this.#place(key, value, hash, 0)
  }

  /** A record of a key that was loaded. Answers whether anything changes. */
  join(record: Uint8Array, hash: Uint8Array, source: number): boolean {
    const staged = this.#staged.get(formatUlid(recordKey(record)))!
    const before = staged.cell
    const incoming = cellOf({ record, hash })
    staged.cell = before === undefined ? incoming : joinCells(before, incoming)
    const stands = before === undefined || !sameBytes(staged.cell.standing.hash, before.standing.hash)
    const changed = stands || !sameHashes(staged.cell.others, before.others)
    if (!changed) return false
    // Of a cell to which several gave something, each has yet to get the rest.
    const sole = before === undefined || (staged.stored === undefined && staged.source === source)
    if (sole) staged.source = source
    else if (staged.cell.others.length > 0) staged.source = 0
    else if (stands) staged.source = source
    return true
  }

  /** A record that is kept to be looked at and changes nothing else; the key was loaded. */
  keepOther(other: Hashed): void {
    const staged = this.#staged.get(formatUlid(recordKey(other.record)))!
    const { standing, others } = staged.cell!
    if (others.length === othersKept || others.some((kept) => sameValue(kept.record, other.record))) return
    staged.cell = { standing, others: [...others, other].sort(byRank) }
  }

  peer(store: Uint8Array): Peer | undefined {
    return this.peers.get(toHex(store))
  }

  setPeer(peer: Peer): void {
    this.peers.set(toHex(peer.received.store), peer)
  }

  /** Turns cells and peers into changes; the group is complete then. */
  flush(): void {
    this.runs.close()
    for (const staged of this.#staged.values()) this.#flushCell(staged)
    for (const run of this.#shrinking) run.flush(this.changes)
    for (const [store, peer] of this.peers) {
      const complete = withEchoes(peer, this.#echoes.get(peer.number) ?? [])
      this.peers.set(store, complete)
      this.changes.push({ key: peerKey(peer.received.store), value: writePeer(complete) })
    }
  }

  /** Keys and hashes of cells of events that got positions; one key may come twice, the later hash then counts. */
  eachReceived(visit: (key: Uint8Array, hash: Uint8Array) => void): void {
    this.runs.each(visit)
    for (const { key, hash } of this.#placed) visit(key, hash)
  }

  #flushCell({ key, stored, stamp, run, others: before, cell, source }: Staged): void {
    if (cell === undefined) return
    const { standing, others } = cell
    for (const { hash } of before)
      if (!hasHash(others, hash)) this.changes.push({ key: otherKey(key, hash), value: undefined })
    for (const { record, hash } of others)
      if (!hasHash(before, hash)) this.changes.push({ key: otherKey(key, hash), value: record })
    const hash = cellHash(cell)
    if (stored !== undefined && sameBytes(cellHash({ standing: stored, others: before }), hash)) return
    if (stored === undefined) this.count++
    else if (run === undefined) this.changes.push({ key: receptionKey(stored.position), value: stamp })
    else {
      run.drop(stored.position)
      this.#shrinking.add(run)
    }
    const value = new Uint8Array(eventHeader + standing.record.length)
    value.set(standing.record, eventHeader)
    putEventHeader(value, this.position + 1, standing.hash, travelling(cell).length)
    this.#place(key, value, hash, source)
  }

  /** @param value has its header, with the next position. @param hash of the cell. */
  #place(key: Uint8Array, value: Uint8Array, hash: Uint8Array, source: number): void {
    // Positions of a run follow each other.
    this.runs.close()
    const position = ++this.position
    if (source !== 0) this.#echo(source, position)
    this.#placed.push({ key, hash })
    this.changes.push({ key: eventKey(key), value })
    this.changes.push({ key: receptionKey(position), value: receptionValue(this.stamp, key, hash, source) })
  }

  #echo(source: number, position: number): void {
    const all = this.#echoes.get(source)
    const last = all?.at(-1)
    if (all === undefined) this.#echoes.set(source, [{ from: position, to: position }])
    else if (last?.to === position - 1) all[all.length - 1] = { from: last.from, to: position }
    else all.push({ from: position, to: position })
  }
}

function sameHashes(a: readonly Hashed[], b: readonly Hashed[]): boolean {
  return a.length === b.length && a.every(({ hash }, i) => sameBytes(hash, b[i].hash))
}

const hasHash = (records: readonly Hashed[], hash: Uint8Array): boolean => records.some((r) => sameBytes(r.hash, hash))
