/**
 * What a replica knows of transactions beside rows: prepares that wait for an outcome, chunks of large ones, commit
 * records that others may still ask for, and the outcomes of recent transactions.
 *
 * Prepares, chunks and records are kept in the store under addressed keys. Recent outcomes are not: they are what the last
 * `keptOutcomes` entries of the log say, so that every replica gives the same answer, restarted or not.
 *
 * Not here: deciding (machine.ts), waiting for outcomes (leaseholder.ts).
 */
import type { Timestamp } from '../../base/index.ts'
import { ByteReader, ByteWriter, WriteSetReader } from '../../encoding/index.ts'
import { addressedKey } from '../../replication/index.ts'
import { keyText } from '../cursor.ts'
import { type Chunked, chunkMark } from './chunks.ts'
import type { PrepareEntry, RecordEntry } from './entry.ts'

/** Entries back in the log within which a transaction's outcome is known. */
export const keptOutcomes = 20_000

const prepareMark = 0x50
const recordMark = 0x52

/** A prepared transaction's writes in one partition. */
export class Prepared {
  readonly transaction: number
  readonly gateway: number
  readonly anchor: Uint8Array
  /** A write set, or what names chunks; its timestamp is the prepare's. */
  readonly writes: Uint8Array
  /** The chunks that hold the writes, if any do. */
  readonly chunked: Chunked | undefined
  readonly timestamp: Timestamp
  readonly firstKey: Uint8Array
  /** Without those in chunks. */
  readonly keys: readonly string[]
  /** When this node learnt of it; monotonic. */
  readonly sinceMicros: number
  resolved = false
  readonly #waiters: (() => void)[] = []

  constructor(
    { transaction, gateway, anchor, writes }: Omit<PrepareEntry, 'generation'>,
    chunked: Chunked | undefined,
    sinceMicros: number,
  ) {
    this.transaction = transaction
    this.gateway = gateway
    this.anchor = anchor.slice()
    this.writes = writes.slice()
    this.chunked = chunked
    this.sinceMicros = sinceMicros
    const read = new WriteSetReader(writes)
    this.timestamp = read.timestamp
    const keys: string[] = []
    let first: Uint8Array | undefined = chunked?.first
    while (read.next()) {
      first ??= writes.slice(read.keyStart, read.keyEnd)
      keys.push(keyText(writes, read.keyStart, read.keyEnd))
    }
    this.firstKey = first!
    this.keys = keys
  }

  /** Resolves once the outcome is applied here. */
  ready(): Promise<void> {
    if (this.resolved) return Promise.resolve()
    return new Promise((done) => this.#waiters.push(done))
  }

  resolve(): void {
    this.resolved = true
    this.wake()
  }

  /** Those who wait look again: the lease is lost, the outcome will be known elsewhere. */
  wake(): void {
    for (const done of this.#waiters.splice(0)) done()
  }
}

export type TransactionRecord = Omit<RecordEntry, 'generation'>

export class PartitionState {
  readonly prepared = new Map<number, Prepared>()
  readonly records = new Map<number, TransactionRecord>()
  /** Chunks of transactions that are neither prepared nor committed yet. */
  readonly chunks = new Map<number, Chunked>()
  /** Commit timestamps (0: aborted) of transactions that recent entries decided, oldest first, with the entry's index. */
  readonly #recent = new Map<number, { readonly timestamp: Timestamp; readonly index: number }>()

  note(transaction: number, timestamp: Timestamp, index: number): void {
    this.#recent.delete(transaction)
    this.#recent.set(transaction, { timestamp, index })
    for (const [old, at] of this.#recent) {
      if (index - at.index <= keptOutcomes) break
      this.#recent.delete(old)
    }
  }

  /** The commit timestamp, 0 when aborted, undefined when the last entries say nothing of it. */
  outcome(transaction: number): Timestamp | undefined {
    return this.records.get(transaction)?.timestamp ?? this.#recent.get(transaction)?.timestamp
  }

  /** Outcomes and their indexes for a snapshot, or for the right side of a split. */
  exportRecent(): Uint8Array {
    const out = new ByteWriter(this.#recent.size * 24 + 4)
    out.u32(this.#recent.size)
    for (const [transaction, { timestamp, index }] of this.#recent) {
      out.i64(transaction)
      out.i64(timestamp)
      out.i64(index)
    }
    return out.copy()
  }

  importRecent(bytes: Uint8Array): void {
    this.#recent.clear()
    const read = new ByteReader(bytes)
    for (let n = read.u32(); n > 0; n--) {
      const transaction = read.i64()
      const timestamp = read.i64()
      this.#recent.set(transaction, { timestamp, index: read.i64() })
    }
  }

  /** What another partition's state knows of outcomes, as if the entry `index` of ours had said so. */
  inherit(from: PartitionState, index: number): void {
    for (const [transaction, { timestamp }] of from.#recent) this.#recent.set(transaction, { timestamp, index })
  }
}

export function prepareKey(prepared: Prepared): Uint8Array {
  return addressedKey(prepared.firstKey, suffix(prepareMark, prepared.transaction))
}

export function recordKey(anchor: Uint8Array, transaction: number): Uint8Array {
  return addressedKey(anchor, suffix(recordMark, transaction))
}

function suffix(mark: number, transaction: number): Uint8Array {
  const out = new ByteWriter(9)
  out.u8(mark)
  out.i64(transaction)
  return out.copy()
}

/** Which of them an addressed key is: its last nine bytes say. */
export function markOf(key: Uint8Array): 'prepare' | 'record' | 'chunk' {
  const mark = key[key.length - 9]
  return mark === prepareMark ? 'prepare' : mark === chunkMark ? 'chunk' : 'record'
}
