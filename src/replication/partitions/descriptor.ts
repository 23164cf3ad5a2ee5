/**
 * What a partition is, and what a node keeps of its replica beside rows.
 *
 *   partition   id, [start, end) of the global keyspace, generation (one more with every split and merge)
 *   replica     id = node × 2³² + n, n above all earlier ones: says where it lives, and is never used twice in its group
 *
 * Keys of storage id 0 belong to the machinery, not to tables:
 *
 *   u32 0 │ u8 0 │ u32 stream                     state of the replica behind a log stream; this node's own
 *   u32 0 │ u8 1 │ escaped key, 0 0 │ suffix       replicated, addressed by a key, so that it follows splits
 *   u32 0 │ u8 2 │ …                              event stores; this node's own (node/event-databases.ts)
 *
 * Not here: who leads and leases (replica), where others' replicas are (router).
 */
import { ByteReader, ByteWriter } from '../../encoding/index.ts'
import type { Span } from '../../storage/index.ts'
import { type Configuration, decodeConfiguration, encodeConfiguration } from '../raft/index.ts'

export interface PartitionDescriptor {
  readonly id: number
  readonly start: Uint8Array
  /** undefined: to the end of the keyspace. */
  readonly end: Uint8Array | undefined
  readonly generation: number
}

export interface ReplicaState {
  readonly partition: PartitionDescriptor
  readonly replica: number
  readonly configuration: Configuration
  /** The log begins behind this entry. */
  readonly baseIndex: number
  readonly baseTerm: number
  /** False until the first snapshot has arrived: the span says nothing yet. */
  readonly initialized: boolean
}

const replicasPerNode = 0x1_0000_0000

export function nodeOfReplica(replica: number): number {
  return Math.floor(replica / replicasPerNode)
}

/** The index of the entry that a replica comes from. */
export function entryOfReplica(replica: number): number {
  return replica % replicasPerNode
}

/** The id of a replica on a node; `n` is the index of the entry that it comes from, so none is used twice. */
export function replicaOn(node: number, n: number): number {
  return node * replicasPerNode + n
}

/** All keys of tables lie above this. */
export const firstKey: Uint8Array = Uint8Array.of(0, 0, 0, 1)

export function replicaStateKey(stream: number): Uint8Array {
  const out = new ByteWriter(9)
  out.u32(0)
  out.u8(0)
  out.u32(stream)
  return out.copy()
}

export const replicaStates: Span = { start: Uint8Array.of(0, 0, 0, 0, 0), end: Uint8Array.of(0, 0, 0, 0, 1) }

/** Where the machinery keeps what it addresses by `key`. */
export function addressedKey(key: Uint8Array, suffix: Uint8Array): Uint8Array {
  const out = addressedStart(key)
  out.raw(suffix)
  return out.copy()
}

function addressedStart(key: Uint8Array): ByteWriter {
  const out = new ByteWriter(key.length + 24)
  out.u32(0)
  out.u8(1)
  for (const byte of key) {
    out.u8(byte)
    if (byte === 0) out.u8(0xff)
  }
  out.u16(0)
  return out
}

/** The addressed keys of all keys in a partition. */
export function addressedSpan(partition: PartitionDescriptor): Span {
  const end = partition.end === undefined ? Uint8Array.of(0, 0, 0, 0, 2) : addressedStart(partition.end).copy()
  return { start: addressedStart(partition.start).copy(), end }
}

export function spanOf(partition: PartitionDescriptor): Span {
  return { start: partition.start, end: partition.end }
}

export function covers(partition: PartitionDescriptor, key: Uint8Array): boolean {
  return (
    Buffer.compare(partition.start, key) <= 0 && (partition.end === undefined || Buffer.compare(key, partition.end) < 0)
  )
}

export function coversSpan(partition: PartitionDescriptor, span: Span): boolean {
  if (Buffer.compare(partition.start, span.start) > 0) return false
  if (partition.end === undefined) return true
  return span.end !== undefined && Buffer.compare(span.end, partition.end) <= 0
}

export function encodeDescriptor(out: ByteWriter, p: PartitionDescriptor): void {
  out.u32(p.id)
  out.u32(p.generation)
  out.block(p.start)
  out.u8(p.end === undefined ? 0 : 1)
  if (p.end !== undefined) out.block(p.end)
}

export function decodeDescriptor(read: ByteReader): PartitionDescriptor {
  const id = read.u32()
  const generation = read.u32()
  const start = read.block().slice()
  const end = read.u8() === 0 ? undefined : read.block().slice()
  return { id, generation, start, end }
}

export function encodeReplicaState(state: ReplicaState): Uint8Array {
  const out = new ByteWriter(128)
  encodeDescriptor(out, state.partition)
  out.i64(state.replica)
  out.block(encodeConfiguration(state.configuration))
  out.i64(state.baseIndex)
  out.i64(state.baseTerm)
  out.u8(state.initialized ? 1 : 0)
  return out.copy()
}

export function decodeReplicaState(bytes: Uint8Array): ReplicaState {
  const read = new ByteReader(bytes)
  const partition = decodeDescriptor(read)
  const replica = read.i64()
  const configuration = decodeConfiguration(read.block())
  const baseIndex = read.i64()
  const baseTerm = read.i64()
  return { partition, replica, configuration, baseIndex, baseTerm, initialized: read.u8() === 1 }
}
