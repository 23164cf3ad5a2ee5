/**
 * Snapshots: all versions of a partition's spans, streamed from the leader into sorted tables of the follower, which
 * then take the place of what it had, in one manifest edit.
 *
 *   follower ── open(partition) ──► leader       a consistent picture: cursors over both spans, applied index, state
 *            ◄─ token, head ──────
 *            ── next(token) ──────►              one chunk at a time: the follower's disk sets the pace
 *            ◄─ chunk, crc ───────
 *
 *   chunk   u8 last │ u32 crc of the rest │ entries: block key │ i64 timestamp │ varint value length + 1 (0: deletion) │ value
 *
 * The replica goes on in a new log stream, so that nothing of its former log can be taken for what follows the snapshot.
 *
 * Not here: when a follower needs one (raft).
 */

import { assert, DbError, END, ROW, WAIT } from '../../base/index.ts'
import { checksum, serviceSnapshot } from '../../cluster/index.ts'
import { ByteReader, ByteWriter } from '../../encoding/index.ts'
import type { EngineCursor } from '../../storage/index.ts'
import { decodeConfiguration, encodeConfiguration } from '../raft/index.ts'
import {
  addressedSpan,
  decodeDescriptor,
  encodeDescriptor,
  encodeReplicaState,
  nodeOfReplica,
  type ReplicaState,
  replicaStateKey,
  spanOf,
} from './descriptor.ts'
import type { Host } from './host.ts'
import type { PartitionReplica } from './partition-replica.ts'

const openOperation = 1
const nextOperation = 2
const chunkBytes = 512 * 1024
/** A follower that asks for nothing for so long has given up. */
const idleMs = 30_000
const requestMs = 10_000

interface Sending {
  readonly cursors: EngineCursor[]
  timer: { cancel(): void }
}

export class SnapshotSender {
  readonly #host: Host
  readonly #sending = new Map<number, Sending>()
  #token = 0

  constructor(host: Host) {
    this.#host = host
    host.transport.onRequest(serviceSnapshot, (from, body) => this.#answer(from, body))
  }

  close(): void {
    for (const token of [...this.#sending.keys()]) this.#end(token)
  }

  #answer(from: number, body: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const read = new ByteReader(body)
    const operation = read.u8()
    if (operation === openOperation) return this.#open(from, read.u32())
    return this.#next(read.u32())
  }

  async #open(from: number, partition: number): Promise<Uint8Array> {
    const host = this.#host
    const replica = host.replicas.get(partition)
    if (replica?.applyingSlowly) await replica.wholeEntries()
    if (replica === undefined || !replica.state.initialized || replica.raft.role !== 'leader')
      throw new DbError('object_not_in_prerequisite_state', `node ${host.nodeId} does not lead partition ${partition}`)
    const { state, applied } = replica
    const token = ++this.#token
    const cursors = [
      host.engine.versions(addressedSpan(state.partition)),
      host.engine.versions(spanOf(state.partition)),
    ]
    this.#sending.set(token, { cursors, timer: this.#timer(token) })
    const out = new ByteWriter(256)
    out.u32(token)
    out.i64(applied)
    out.i64(replica.window.term(applied)!)
    encodeDescriptor(out, state.partition)
    out.block(encodeConfiguration(state.configuration))
    out.block(host.machine.exportState(replica))
    host.io.log.info('snapshot-sending', { partition, to: from, index: applied })
    return out.copy()
  }

  #timer(token: number): { cancel(): void } {
    return this.#host.io.tasks.after(idleMs, () => this.#end(token))
  }

  #end(token: number): void {
    const sending = this.#sending.get(token)
    if (sending === undefined) return
    this.#sending.delete(token)
    sending.timer.cancel()
    for (const cursor of sending.cursors) cursor.close()
  }

  async #next(token: number): Promise<Uint8Array> {
    const sending = this.#sending.get(token)
    if (sending === undefined)
      throw new DbError('object_not_in_prerequisite_state', 'the snapshot is no longer offered')
    sending.timer.cancel()
    sending.timer = this.#timer(token)
    const out = new ByteWriter(chunkBytes + 64 * 1024)
    out.u8(0)
    out.u32(0)
    while (sending.cursors.length > 0 && out.length < chunkBytes) {
      const cursor = sending.cursors[0]
      const step = cursor.next(256)
      if (step === WAIT) {
        await cursor.ready()
        if (!this.#sending.has(token))
          throw new DbError('object_not_in_prerequisite_state', 'the snapshot is no longer offered')
        continue
      }
      if (step === END) {
        cursor.close()
        sending.cursors.shift()
        continue
      }
      assert(step === ROW, 'a cursor answers ROW, END or WAIT')
      writeEntries(out, cursor)
    }
    const last = sending.cursors.length === 0
    if (last) this.#end(token)
    const bytes = out.copy()
    bytes[0] = last ? 1 : 0
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(1, checksum(bytes.subarray(5)))
    return bytes
  }
}

function writeEntries(out: ByteWriter, cursor: EngineCursor): void {
  const b = cursor.batch
  for (let i = 0; i < b.count; i++) {
    const { bytes } = b.slabs[b.slab[i]]
    out.varint(b.keyEnd[i] - b.keyStart[i])
    out.range(bytes, b.keyStart[i], b.keyEnd[i])
    out.i64(b.timestamps[i])
    if (b.valueStart[i] < 0) out.varint(0)
    else {
      out.varint(b.valueEnd[i] - b.valueStart[i] + 1)
      out.range(bytes, b.valueStart[i], b.valueEnd[i])
    }
  }
}

export class SnapshotReceiver {
  readonly #host: Host
  /** One at a time: installing flushes and edits the manifest. */
  #queue: Promise<void> = Promise.resolve()
  readonly #fetching = new Set<PartitionReplica>()

  constructor(host: Host) {
    this.#host = host
  }

  receive(replica: PartitionReplica, offer: { from: number; index: number; term: number }): void {
    if (this.#fetching.has(replica)) return
    this.#fetching.add(replica)
    const { io } = this.#host
    this.#queue = this.#queue.then(async () => {
      try {
        if (!io.dead && !replica.removed) await this.#receive(replica, offer)
      } catch (error) {
        if (io.dead) return
        // The leader offers again. What is not an operating condition is a bug and ends the node.
        if (!(error instanceof DbError) || error.code === 'io_error')
          io.fatal('a snapshot could not be installed', error)
        else io.log.warn('snapshot-failed', { partition: replica.partition.id, error: error.message })
        replica.installing = false
      } finally {
        this.#fetching.delete(replica)
      }
    })
  }

  async #receive(replica: PartitionReplica, offer: { from: number; index: number; term: number }): Promise<void> {
    const host = this.#host
    const { transport, engine } = host
    const node = nodeOfReplica(offer.from)
    const ask = new ByteWriter(8)
    ask.u8(openOperation)
    ask.u32(replica.partition.id)
    const head = new ByteReader(await transport.request(node, serviceSnapshot, ask.copy(), requestMs))
    const token = head.u32()
    const index = head.i64()
    const term = head.i64()
    const partition = decodeDescriptor(head)
    const configuration = decodeConfiguration(head.block())
    const machineState = head.block().slice()
    if (index <= replica.applied) return
    if (host.overlaps(partition, replica)) {
      throw new DbError('object_not_in_prerequisite_state', 'a replica here still covers part of the span')
    }
    const stream = host.newStream()
    const state: ReplicaState = {
      partition,
      replica: replica.id,
      configuration,
      baseIndex: index,
      baseTerm: term,
      initialized: true,
    }
    const writer = engine.versionWriter()
    let installed = false
    try {
      writer.add(replicaStateKey(stream), host.clock.next(), encodeReplicaState(state))
      for (;;) {
        const next = new ByteWriter(8)
        next.u8(nextOperation)
        next.u32(token)
        const chunk = await transport.request(node, serviceSnapshot, next.copy(), requestMs)
        if (host.io.dead || replica.removed) return
        if (new DataView(chunk.buffer, chunk.byteOffset).getUint32(1) !== checksum(chunk.subarray(5)))
          throw new DbError('data_corrupted', 'a piece of a snapshot does not match its checksum')
        readEntries(chunk, (key, timestamp, value) => writer.add(key, timestamp, value))
        if (writer.full) await writer.drain()
        if (chunk[0] === 1) break
      }
      const tables = await writer.finish()
      if (host.io.dead || replica.removed) return
      await this.#install(replica, stream, state, tables, machineState)
      installed = true
    } finally {
      if (!installed && !host.io.dead) await writer.abandon()
    }
  }

  async #install(
    replica: PartitionReplica,
    stream: number,
    state: ReplicaState,
    tables: Awaited<ReturnType<ReturnType<Host['engine']['versionWriter']>['finish']>>,
    machineState: Uint8Array,
  ): Promise<void> {
    const host = this.#host
    const { log, engine } = host
    await replica.wholeEntries()
    if (host.io.dead || replica.removed) return
    if (!replica.raft.acceptsSnapshot(state.baseIndex, state.baseTerm) || host.overlaps(state.partition, replica))
      return
    replica.installing = true
    // The vote goes with the replica into its new stream, before anything depends on it.
    const old = replica.stream
    const { term, vote } = log.hardState(old)
    await new Promise<void>((done) => log.saveHardState(stream, { term, vote, commit: state.baseIndex }, done))
    if (host.io.dead || replica.removed) return
    log.release(stream, state.baseIndex)
    const former = replicaStateKey(old)
    const formerEnd = new Uint8Array(former.length + 1)
    formerEnd.set(former)
    const excised = [{ start: former, end: formerEnd }, addressedSpan(state.partition), spanOf(state.partition)]
    await engine.ingest(tables, excised, { stream, index: state.baseIndex })
    if (host.io.dead || replica.removed) return
    // What came may have been written by clocks that are ahead of ours.
    host.clock.observe(engine.newestInTables)
    replica.moved(stream, state)
    log.forget(old)
    engine.forget(old)
    host.machine.importState(replica, machineState)
    await host.machine.opened(replica)
    if (host.io.dead || replica.removed) return
    replica.restored(state.baseIndex, state.baseTerm, state.configuration)
    host.learnOwn(replica)
    host.io.log.info('snapshot-installed', { partition: state.partition.id, index: state.baseIndex })
  }
}

function readEntries(
  chunk: Uint8Array,
  add: (key: Uint8Array, timestamp: number, value: Uint8Array | undefined) => void,
): void {
  const read = new ByteReader(chunk, 5)
  while (!read.done) {
    const key = read.block()
    const timestamp = read.i64()
    const length = read.varint()
    add(key, timestamp, length === 0 ? undefined : read.raw(length - 1))
  }
}
