/**
 * Where a table lives: its keys, the partitions that hold them, who leads those.
 *
 *   'accounts' ──catalog──▶ storage id ──key──▶ partition ──every node's replicas──▶ leader, replicas
 *
 * Not here: moving anything (sim-cluster.ts).
 */
import { DbError } from '../base/index.ts'
import { ByteWriter } from '../encoding/index.ts'
import { coversSpan, type PartitionDescriptor, type PartitionReplica } from '../replication/index.ts'
import type { Span } from '../storage/index.ts'
import type { PartitionPlace } from './partition-place.ts'
import type { SimChannel } from './sim-channel.ts'
import type { SimNode } from './sim-node.ts'

/** The span of all keys of a table's rows. Raises undefined_table. */
export async function spanOfTable(channel: SimChannel, table: string): Promise<Span> {
  const storage = await storageOf(channel, table)
  return { start: u32(storage), end: u32(storage + 1) }
}

async function storageOf(channel: SimChannel, table: string): Promise<number> {
  const { rows } = await channel.query('select relfilenode::int8 from pg_class where oid = $1::regclass', [table], true)
  return Number(rows[0][0])
}

function u32(value: number): Uint8Array {
  const out = new ByteWriter(4)
  out.u32(value)
  return out.copy()
}

/** Where in the keyspace a table, or the row with a primary key, begins. Raises undefined_table, datatype_mismatch, … */
export async function keyInTable(
  channel: SimChannel,
  node: SimNode,
  table: string,
  values: readonly unknown[],
): Promise<Uint8Array> {
  const out = new ByteWriter(64)
  out.u32(await storageOf(channel, table))
  if (values.length === 0) return out.copy()
  const columns = `select a.atttypid::int8 from pg_index i, unnest(i.indkey) with ordinality k (n, place)
    join pg_attribute a on a.attnum = k.n where i.indrelid = $1::regclass and i.indisprimary and a.attrelid = $1::regclass
    order by k.place`
  const { rows } = await channel.query(columns, [table], true)
  if (rows.length < values.length) {
    throw new DbError('invalid_parameter_value', `the primary key of ${table} has ${rows.length} columns`)
  }
  const { database } = node.opened
  const session = database.connect({ user: 'lattice', database: 'lattice', parameters: new Map(), client: '' })
  try {
    values.forEach((value, i) => {
      const type = database.type(Number(rows[i][0]))
      out.u8(1)
      type.encodeKey(type.parse(String(value), -1, session.types), out)
    })
  } finally {
    session.close()
  }
  return out.copy()
}

/** All partitions that hold part of a span, in the order of their keys. */
export function partitionsOver(nodes: readonly SimNode[], span: Span): PartitionPlace[] {
  const best = new Map<number, { partition: PartitionDescriptor; replica: PartitionReplica }>()
  for (const node of nodes) {
    if (!node.up) continue
    for (const replica of node.opened.opened.host.replicas.values()) {
      const { partition, initialized } = replica.state
      const known = best.get(partition.id)
      if (initialized && (known === undefined || isBetter(replica, known.replica)))
        best.set(partition.id, { partition, replica })
    }
  }
  return [...best.values()]
    .filter(({ partition }) => overlaps(partition, span))
    .sort((a, b) => Buffer.compare(a.partition.start, b.partition.start))
    .map(({ partition, replica }) => ({
      id: partition.id,
      leader: replica.serving && replica.raft.role === 'leader' ? replica.leaderNode : 0,
      replicas: replica.nodes(),
    }))
}

/** A later term knows better; within one, the leader does. */
function isBetter(a: PartitionReplica, b: PartitionReplica): boolean {
  if (a.raft.term !== b.raft.term) return a.raft.term > b.raft.term
  if (a.serving !== b.serving) return a.serving
  return a.applied > b.applied
}

function overlaps(partition: PartitionDescriptor, span: Span): boolean {
  if (coversSpan(partition, span)) return true
  const before = (x: Uint8Array, end: Uint8Array | undefined) => end === undefined || Buffer.compare(x, end) < 0
  return before(span.start, partition.end) && before(partition.start, span.end)
}
