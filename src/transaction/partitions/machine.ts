/**
 * Applies what transactions replicate. Every replica does the same at the same index.
 *
 *   chunk     part of a large write under an addressed key; rows are untouched  ── write names chunks: their rows, and they go
 *   write     rows at the commit timestamp
 *   prepare   the writes, or what names chunks, under one addressed key       ─┐ resolve: rows at the commit timestamp,
 *   record    the commit record, and what the anchor's partition had prepared  ├─ or nothing; the addressed key goes
 *   fence     "aborted" for a transaction that nothing here knows             ─┘
 *
 * A record is accepted only while its anchor's prepare stands: whoever gave the transaction up has taken that away
 * first, in the same log. So commit and abort cannot both happen.
 *
 * Not here: who may propose what (leaseholder.ts).
 */
import { assert, type HybridClock, maxTimestamp, ROW, type Timestamp, WAIT } from '../../base/index.ts'
import { ByteReader, ByteWriter, WriteSetBuilder, WriteSetReader, writeSetHeader } from '../../encoding/index.ts'
import type { Io } from '../../io/index.ts'
import {
  addressedSpan,
  covers,
  firstMachineKind,
  kindSplit,
  type PartitionMachine,
  type PartitionReplica,
} from '../../replication/index.ts'
import { type Engine, visitAll } from '../../storage/index.ts'
import { Chunked, chunkHeader, chunkKey, decodePointer, isPointer, kindChunk, readChunk } from './chunks.ts'
import {
  decodeAnchor,
  decodePrepare,
  decodeRecord,
  decodeResolve,
  kindFence,
  kindForget,
  kindPrepare,
  kindRecord,
  kindResolve,
  kindWrite,
  type PrepareEntry,
  readRecord,
  stampSet,
  writeHeader,
  writeRecord,
} from './entry.ts'
import { markOf, PartitionState, Prepared, prepareKey, recordKey, type TransactionRecord } from './partition-state.ts'
import { PreparedKeys } from './prepared-keys.ts'

/** Write sets above this are applied over several turns of the loop. Bytes. */
const slicedBytes = 128 * 1024
/** What one turn takes of them: about 2 ms of work. */
const sliceEntries = 1024
const sliceBytes = 256 * 1024

/** What an entry came to. A timestamp, 0 for an aborted transaction, or that it was made for another generation. */
export type Applied = Timestamp | 'stale'

/** Told of what the leaseholder's side must know. */
export interface MachineEvents {
  leaseAcquired(replica: PartitionReplica): void
  leaseLost(replica: PartitionReplica): void
  quiescent(replica: PartitionReplica): boolean
  split(left: PartitionReplica, right: PartitionReplica): void
  exportLocks(replica: PartitionReplica): Uint8Array
  importLocks(replica: PartitionReplica, locks: Uint8Array): void
  /** Committed rows have been written; `set` is the write set. */
  applied(replica: PartitionReplica, set: Uint8Array): void
}

export class TransactionMachine implements PartitionMachine {
  readonly prepared = new PreparedKeys()
  readonly #engine: Engine
  readonly #clock: HybridClock
  readonly #io: Io
  readonly #states = new Map<PartitionReplica, PartitionState>()
  readonly #empty = new Uint8Array(12)
  events!: MachineEvents

  constructor(engine: Engine, clock: HybridClock, io: Io) {
    this.#engine = engine
    this.#clock = clock
    this.#io = io
  }

  #now(): number {
    return this.#io.clock.monotonicMicros()
  }

  state(replica: PartitionReplica): PartitionState {
    const state = this.#states.get(replica)
    assert(state !== undefined, 'a replica that is used was opened')
    return state
  }

  /** Those who wait for prepared transactions look again where the lease is now. */
  wakeWaiters(replica: PartitionReplica): void {
    for (const one of this.#states.get(replica)?.prepared.values() ?? []) one.wake()
  }

  async opened(replica: PartitionReplica): Promise<void> {
    const before = this.#states.get(replica)
    const state = new PartitionState()
    if (before !== undefined) {
      // A snapshot: outcomes came with it.
      state.importRecent(before.exportRecent())
      for (const prepared of before.prepared.values()) this.#drop(before, prepared)
    }
    await this.#readAddressed(replica, state)
    if (before === undefined) this.#readRecent(replica, state)
    this.#states.set(replica, state)
    for (const prepared of state.prepared.values()) this.prepared.add(prepared)
  }

  async #readAddressed(replica: PartitionReplica, state: PartitionState): Promise<void> {
    const prepares: Omit<PrepareEntry, 'generation'>[] = []
    await visitAll(this.#engine.cursor(addressedSpan(replica.partition), maxTimestamp), (key, value, timestamp) => {
      const mark = markOf(key)
      if (mark === 'chunk') this.#noteChunk(state, value, timestamp)
      else if (mark === 'prepare') prepares.push(readPrepared(value.slice()))
      else {
        const record = readRecord(new ByteReader(value))
        state.records.set(record.transaction, record)
      }
    })
    for (const entry of prepares) this.#prepare(state, entry)
  }

  /** Notes a prepare, to which its chunks belong from now on; undefined: they are not all here. */
  #prepare(state: PartitionState, entry: Omit<PrepareEntry, 'generation'>): Prepared | undefined {
    const { transaction, writes } = entry
    let chunked: Chunked | undefined
    if (isPointer(writes, 0)) {
      chunked = state.chunks.get(transaction)
      if (!chunked?.complete(decodePointer(writes).count)) return undefined
      state.chunks.delete(transaction)
    }
    const prepared = new Prepared(entry, chunked, this.#now())
    state.prepared.set(transaction, prepared)
    return prepared
  }

  /**
   * What the entries that are still in the log decided: as `apply` did, the first decision about a transaction stands,
   * entries of another generation than the partition then had say nothing, and a record counts only behind its prepare.
   */
  #readRecent(replica: PartitionReplica, state: PartitionState): void {
    const { window } = replica
    const first = window.firstIndex()
    const last = Math.min(replica.applied, window.lastIndex())
    const generations = generationsOf(replica, first, last)
    const prepared = new Set<number>()
    for (let index = first; index <= last; index++) {
      const entry = window.entry(index)
      if (entry === undefined || entry.transactionId === 0 || entry.payload.length === 0) continue
      const { payload, transactionId } = entry
      if (payload[0] < firstMachineKind || generationOf(payload) !== generations[index - first]) continue
      if (payload[0] === kindPrepare) prepared.add(transactionId)
      else if (state.outcome(transactionId) === undefined) {
        const timestamp = decisionOf(payload, prepared.has(transactionId))
        if (timestamp !== undefined) state.note(transactionId, timestamp, index)
      }
    }
  }

  apply(replica: PartitionReplica, payload: Uint8Array, transactionId: number, index: number): Applied {
    const { stream } = replica
    if (generationOf(payload) !== replica.partition.generation) {
      this.#engine.apply(this.#empty, stream, index)
      return 'stale'
    }
    switch (payload[0]) {
      case kindWrite:
        return this.#applyWrite(replica, payload, transactionId, index)
      case kindChunk:
        return this.#applyChunk(replica, payload, index)
      case kindPrepare:
        return this.#applyPrepare(replica, payload, index)
      case kindResolve: {
        const { transaction, timestamp } = decodeResolve(payload)
        return this.#resolve(replica, transaction, timestamp, undefined, index)
      }
      case kindRecord:
        return this.#applyRecord(replica, payload, index)
      case kindFence:
        return this.#applyFence(replica, payload, index)
      default:
        assert(payload[0] === kindForget, `entry kind ${payload[0]} is known`)
        return this.#applyForget(replica, payload, index)
    }
  }

  applySlices(
    replica: PartitionReplica,
    payload: Uint8Array,
    transactionId: number,
    index: number,
  ): Promise<Applied> | undefined {
    const kind = payload[0]
    if (kind === kindWrite) {
      const small = payload.length < slicedBytes && !isPointer(payload, writeHeader)
      if (small || generationOf(payload) !== replica.partition.generation) return undefined
      return this.#largeWrite(replica, payload, transactionId, index)
    }
    if (kind !== kindResolve && kind !== kindRecord) return undefined
    const prepared = this.state(replica).prepared.get(transactionId)
    if (prepared === undefined || (prepared.chunked === undefined && prepared.writes.length < slicedBytes))
      return undefined
    if (generationOf(payload) !== replica.partition.generation) return undefined
    const record = kind === kindRecord ? decodeRecord(payload) : undefined
    const { timestamp } = record ?? decodeResolve(payload)
    return timestamp === 0 ? undefined : this.#resolveSlices(replica, prepared, timestamp, record, index)
  }

  #largeWrite(
    replica: PartitionReplica,
    payload: Uint8Array,
    transaction: number,
    index: number,
  ): Promise<Applied> | undefined {
    const state = this.state(replica)
    const known = state.outcome(transaction)
    const set = payload.subarray(writeHeader)
    if (isPointer(set, 0)) {
      const chunked = state.chunks.get(transaction)
      if (known !== undefined || !chunked?.complete(decodePointer(set).count)) return undefined
      return this.#writeChunks(replica, chunked, setTimestamp(set), index)
    }
    if (transaction !== 0 && known === 0) return undefined
    return this.#writeSlices(replica, payload, transaction, index)
  }

  async #writeSlices(
    replica: PartitionReplica,
    payload: Uint8Array,
    transaction: number,
    index: number,
  ): Promise<Applied> {
    const set = payload.subarray(writeHeader)
    const timestamp = setTimestamp(set)
    this.#clock.observe(timestamp)
    if (!(await this.#applyInSlices(replica, set, 0, index))) return 0
    if (transaction !== 0) this.state(replica).note(transaction, timestamp, index)
    this.events.applied(replica, set)
    return timestamp
  }

  async #resolveSlices(
    replica: PartitionReplica,
    prepared: Prepared,
    timestamp: Timestamp,
    record: TransactionRecord | undefined,
    index: number,
  ): Promise<Applied> {
    const { transaction, chunked } = prepared
    const ends = this.#endsOf(prepared, record)
    const rows =
      chunked === undefined
        ? withRows(prepared.writes, ends, timestamp)
        : await this.#assemble(replica, chunked, ends, timestamp)
    this.#clock.observe(timestamp)
    if (rows === undefined || !(await this.#applyInSlices(replica, rows, ends.count, index))) return 0
    const state = this.state(replica)
    if (record !== undefined) state.records.set(transaction, record)
    state.note(transaction, timestamp, index)
    this.#drop(state, prepared)
    this.events.applied(replica, rows)
    return timestamp
  }

  /** Makes the rows of chunks visible, and drops the chunks together with the last step: a crash before repeats it all. */
  async #writeChunks(
    replica: PartitionReplica,
    chunked: Chunked,
    timestamp: Timestamp,
    index: number,
  ): Promise<Applied> {
    this.#clock.observe(timestamp)
    const ends = new WriteSetBuilder()
    chunked.deleteFrom(ends)
    const rows = await this.#assemble(replica, chunked, ends, timestamp)
    if (rows === undefined || !(await this.#applyInSlices(replica, rows, ends.count, index))) return 0
    const state = this.state(replica)
    state.chunks.delete(chunked.transaction)
    state.note(chunked.transaction, timestamp, index)
    this.events.applied(replica, rows)
    return timestamp
  }

  /** One write set of all chunks and of what ends them; undefined: the replica went. */
  async #assemble(
    replica: PartitionReplica,
    chunked: Chunked,
    ends: WriteSetBuilder,
    timestamp: Timestamp,
  ): Promise<Uint8Array | undefined> {
    const end = ends.finish(0).slice(writeSetHeader)
    let length = writeSetHeader + end.length
    let { count } = ends
    for (const { bytes, entries } of chunked.parts.values()) {
      length += bytes
      count += entries
    }
    const out = Buffer.allocUnsafeSlow(length)
    stampSet(new DataView(out.buffer), 0, timestamp)
    out.writeUInt32BE(count, 8)
    let at = writeSetHeader
    for (let number = 0; number < chunked.parts.size; number++) {
      const there = await this.readChunk(replica, chunked, number, (writes) => {
        out.set(writes.subarray(writeSetHeader), at)
        at += writes.length - writeSetHeader
      })
      if (!there) return undefined
      await this.#io.tasks.yield()
    }
    out.set(end, at)
    assert(at + end.length === length, 'chunks are as long as they were')
    return out
  }

  /** Visits a chunk's write set, which is valid during the call; false: the replica went. */
  async readChunk(
    replica: PartitionReplica,
    { first, transaction }: Chunked,
    number: number,
    visit: (writes: Uint8Array) => void,
  ): Promise<boolean> {
    const found = this.#engine.found()
    const key = chunkKey(first, transaction, number)
    for (;;) {
      if (this.#io.dead || replica.removed) return false
      const step = this.#engine.get(key, maxTimestamp, found)
      if (step === WAIT) {
        await found.ready()
        continue
      }
      assert(step === ROW, 'a chunk stays until its transaction ends')
      visit(readChunk(new ByteReader(found.slab.bytes.subarray(found.valueStart, found.valueEnd))).writes)
      return true
    }
  }

  /** Applies a write set a little at a time, its last `together` entries in one step with the index; false: the replica went. */
  async #applyInSlices(replica: PartitionReplica, set: Uint8Array, together: number, index: number): Promise<boolean> {
    const { count } = new WriteSetReader(set)
    const most = Math.max(1, Math.min(sliceEntries, Math.floor((count * sliceBytes) / set.length)))
    const task = this.#engine.beginApply(set, replica.stream, index)
    for (let left = count - together; ; left -= most) {
      if (task.step(left > 0 ? Math.min(most, left) : together)) return true
      if (this.#engine.stalled) await this.#engine.unstalled()
      else await this.#io.tasks.yield()
      if (this.#io.dead || replica.removed) return false
    }
  }

  #applyWrite(replica: PartitionReplica, payload: Uint8Array, transaction: number, index: number): Applied {
    const state = this.state(replica)
    if (transaction !== 0 && state.outcome(transaction) === 0) {
      this.#engine.apply(this.#empty, replica.stream, index)
      return 0
    }
    const set = payload.subarray(writeHeader)
    if (isPointer(set, 0)) return this.#applyPointer(replica, state, transaction, index)
    this.#engine.apply(set, replica.stream, index)
    const timestamp = setTimestamp(set)
    this.#clock.observe(timestamp)
    if (transaction !== 0) state.note(transaction, timestamp, index)
    this.events.applied(replica, set)
    return timestamp
  }

  /** It names chunks that are not all here, or not any more. */
  #applyPointer(replica: PartitionReplica, state: PartitionState, transaction: number, index: number): Applied {
    const known = state.outcome(transaction)
    if (known === undefined) return this.#dropChunks(replica, state, transaction, index)
    this.#engine.apply(this.#empty, replica.stream, index)
    return known
  }

  /** The transaction will not commit. */
  #dropChunks(replica: PartitionReplica, state: PartitionState, transaction: number, index: number): Applied {
    const chunked = state.chunks.get(transaction)
    const set = new WriteSetBuilder()
    chunked?.deleteFrom(set)
    this.#engine.apply(set.finish((chunked?.timestamp ?? 0) + 1), replica.stream, index)
    state.chunks.delete(transaction)
    state.note(transaction, 0, index)
    return 0
  }

  #applyChunk(replica: PartitionReplica, payload: Uint8Array, index: number): Applied {
    const state = this.state(replica)
    const fields = payload.subarray(chunkHeader)
    const { transaction, number, first, writes } = readChunk(new ByteReader(fields))
    const timestamp = setTimestamp(writes)
    const twice = state.chunks.get(transaction)?.parts.has(number) === true
    if (twice || state.outcome(transaction) !== undefined) {
      this.#engine.apply(this.#empty, replica.stream, index)
      return twice ? timestamp : 0
    }
    const set = new WriteSetBuilder()
    set.put(chunkKey(first, transaction, number), fields)
    this.#engine.apply(set.finish(timestamp), replica.stream, index)
    this.#clock.observe(timestamp)
    this.#noteChunk(state, fields, timestamp)
    return timestamp
  }

  #noteChunk(state: PartitionState, fields: Uint8Array, timestamp: Timestamp): void {
    const chunk = readChunk(new ByteReader(fields))
    const { transaction, gateway } = chunk
    let chunked = state.chunks.get(transaction)
    if (chunked === undefined) {
      chunked = new Chunked(transaction, gateway, chunk.first.slice())
      state.chunks.set(transaction, chunked)
    }
    chunked.add(chunk.number, chunk, timestamp, this.#now())
  }

  #applyPrepare(replica: PartitionReplica, payload: Uint8Array, index: number): Applied {
    const state = this.state(replica)
    const e = decodePrepare(payload)
    if (state.outcome(e.transaction) !== undefined) {
      this.#engine.apply(this.#empty, replica.stream, index)
      return 0
    }
    const prepared = this.#prepare(state, e)
    if (prepared === undefined) return this.#dropChunks(replica, state, e.transaction, index)
    const set = new WriteSetBuilder()
    set.put(prepareKey(prepared), encodePrepared(prepared))
    // Below the prepare's timestamp, so that the deletion at the commit timestamp is always above it.
    this.#engine.apply(set.finish(prepared.timestamp - 1), replica.stream, index)
    this.prepared.add(prepared)
    this.#clock.observe(prepared.timestamp)
    return prepared.timestamp
  }

  #applyRecord(replica: PartitionReplica, payload: Uint8Array, index: number): Applied {
    const { transaction, timestamp, anchor, participants } = decodeRecord(payload)
    return this.#resolve(replica, transaction, timestamp, { transaction, timestamp, anchor, participants }, index)
  }

  /** Ends a prepared transaction here; with `record`, its outcome becomes known to all. */
  #resolve(
    replica: PartitionReplica,
    transaction: number,
    timestamp: Timestamp,
    record: TransactionRecord | undefined,
    index: number,
  ): Applied {
    const state = this.state(replica)
    const prepared = state.prepared.get(transaction)
    if (prepared === undefined) {
      this.#engine.apply(this.#empty, replica.stream, index)
      const known = state.outcome(transaction)
      if (known === undefined) state.note(transaction, record === undefined ? timestamp : 0, index)
      return known ?? 0
    }
    assert(timestamp === 0 || prepared.chunked === undefined, 'what chunks hold is made visible in slices')
    const ends = this.#endsOf(prepared, record)
    if (record !== undefined) state.records.set(transaction, record)
    const at = timestamp > 0 ? timestamp : prepared.timestamp
    const bytes = timestamp > 0 ? withRows(prepared.writes, ends, at) : ends.finish(at)
    this.#engine.apply(bytes, replica.stream, index)
    this.#clock.observe(at)
    state.note(transaction, timestamp, index)
    this.#drop(state, prepared)
    if (timestamp > 0) this.events.applied(replica, bytes)
    return timestamp
  }

  /** What goes, and what stays to be asked, when a prepared transaction ends. */
  #endsOf(prepared: Prepared, record: TransactionRecord | undefined): WriteSetBuilder {
    const set = new WriteSetBuilder()
    if (record !== undefined) {
      const value = new ByteWriter(64)
      writeRecord(value, { generation: 0, ...record })
      set.put(recordKey(record.anchor, prepared.transaction), value.copy())
    }
    set.delete(prepareKey(prepared))
    prepared.chunked?.deleteFrom(set)
    return set
  }

  #applyFence(replica: PartitionReplica, payload: Uint8Array, index: number): Applied {
    const state = this.state(replica)
    const { transaction } = decodeAnchor(payload)
    const known = state.outcome(transaction)
    // A prepare whose coordinator was given up: it goes, and with it the chance to commit.
    if (known === undefined && state.prepared.has(transaction))
      return this.#resolve(replica, transaction, 0, undefined, index)
    if (known === undefined && state.chunks.has(transaction))
      return this.#dropChunks(replica, state, transaction, index)
    this.#engine.apply(this.#empty, replica.stream, index)
    if (known !== undefined) return known
    state.note(transaction, 0, index)
    return 0
  }

  #applyForget(replica: PartitionReplica, payload: Uint8Array, index: number): Applied {
    const state = this.state(replica)
    const { transaction } = decodeAnchor(payload)
    const record = state.records.get(transaction)
    if (record === undefined) {
      this.#engine.apply(this.#empty, replica.stream, index)
      return 0
    }
    const set = new WriteSetBuilder()
    set.delete(recordKey(record.anchor, transaction))
    this.#engine.apply(set.finish(record.timestamp + 1), replica.stream, index)
    state.records.delete(transaction)
    return record.timestamp
  }

  #drop(state: PartitionState, prepared: Prepared): void {
    state.prepared.delete(prepared.transaction)
    this.prepared.delete(prepared)
    prepared.resolve()
  }

  leaseAcquired(replica: PartitionReplica): void {
    this.events.leaseAcquired(replica)
  }

  leaseLost(replica: PartitionReplica): void {
    this.events.leaseLost(replica)
  }

  quiescent(replica: PartitionReplica): boolean {
    const { prepared, chunks } = this.state(replica)
    return prepared.size === 0 && chunks.size === 0 && this.events.quiescent(replica)
  }

  split(left: PartitionReplica, right: PartitionReplica | undefined): void {
    const from = this.state(left)
    assert(from.prepared.size + from.chunks.size === 0, 'a partition with unfinished transactions is not cut')
    const state = new PartitionState()
    for (const [transaction, record] of from.records) {
      if (covers(left.partition, record.anchor)) continue
      from.records.delete(transaction)
      state.records.set(transaction, record)
    }
    if (right === undefined) return
    state.inherit(from, right.applied)
    this.#states.set(right, state)
    this.events.split(left, right)
  }

  exportState(replica: PartitionReplica): Uint8Array {
    return this.state(replica).exportRecent()
  }

  importState(replica: PartitionReplica, bytes: Uint8Array): void {
    const state = this.#states.get(replica) ?? new PartitionState()
    state.importRecent(bytes)
    this.#states.set(replica, state)
  }

  exportLocks(replica: PartitionReplica): Uint8Array {
    return this.events.exportLocks(replica)
  }

  importLocks(replica: PartitionReplica, locks: Uint8Array): void {
    this.events.importLocks(replica, locks)
  }

  removed(replica: PartitionReplica): void {
    const state = this.#states.get(replica)
    if (state === undefined) return
    for (const prepared of state.prepared.values()) this.#drop(state, prepared)
    this.#states.delete(replica)
  }
}

/** The partition's generation when each entry of its log was applied: cuts that took effect raise it by one. */
function generationsOf(replica: PartitionReplica, first: number, last: number): Uint32Array {
  const out = new Uint32Array(Math.max(0, last - first + 1))
  let { generation } = replica.partition
  for (let index = last; index >= first; index--) {
    const payload = replica.window.entry(index)?.payload
    if (payload !== undefined && payload[0] === kindSplit && generationOf(payload) === generation - 1) generation--
    out[index - first] = generation
  }
  return out
}

/** What an entry decides of its transaction when nothing has before: a commit timestamp, 0, or undefined: nothing. */
function decisionOf(payload: Uint8Array, prepared: boolean): Timestamp | undefined {
  switch (payload[0]) {
    case kindWrite:
      return setTimestamp(payload.subarray(writeHeader))
    case kindResolve:
      return decodeResolve(payload).timestamp
    case kindRecord:
      return prepared ? decodeRecord(payload).timestamp : undefined
    case kindFence:
      return 0
    default:
      return undefined
  }
}

function generationOf(payload: Uint8Array): number {
  return ((payload[1] << 24) | (payload[2] << 16) | (payload[3] << 8) | payload[4]) >>> 0
}

function setTimestamp(set: Uint8Array): Timestamp {
  const view = new DataView(set.buffer, set.byteOffset, set.length)
  return view.getUint32(0) * 0x1_0000_0000 + view.getUint32(4)
}

/** The rows of one write set, then those of another. */
function withRows(rows: Uint8Array, ends: WriteSetBuilder, timestamp: Timestamp): Uint8Array {
  const end = ends.finish(0)
  const out = Buffer.allocUnsafeSlow(rows.length + end.length - writeSetHeader)
  out.set(rows)
  out.set(end.subarray(writeSetHeader), rows.length)
  stampSet(new DataView(out.buffer), 0, timestamp)
  out.writeUInt32BE(new WriteSetReader(rows).count + ends.count, 8)
  return out
}

function encodePrepared(p: Prepared): Uint8Array {
  const out = new ByteWriter(p.writes.length + p.anchor.length + 24)
  out.i64(p.transaction)
  out.u32(p.gateway)
  out.block(p.anchor)
  out.raw(p.writes)
  return out.copy()
}

function readPrepared(bytes: Uint8Array): Omit<PrepareEntry, 'generation'> {
  const read = new ByteReader(bytes)
  const transaction = read.i64()
  const gateway = read.u32()
  const anchor = read.block()
  return { transaction, gateway, anchor, writes: read.rest() }
}
