/**
 * What must hold of a cluster that was healed and left alone:
 *
 *   convergence    every voter has applied what its leader has
 *   equality       replicas hold the same versions and the same log
 *   no leftovers   no prepared transaction, no commit record, no row lock, no open transaction
 *
 * Not here: what clients saw (checkers/), what must hold all along (watch.ts).
 */
import { crc32 } from 'node:zlib'
import { addressedSpan, nodeOfReplica, type PartitionReplica, spanOf } from '../../../src/replication/index.ts'
import type { Engine, Span } from '../../../src/storage/index.ts'
import type { TransactionMachine } from '../../../src/transaction/index.ts'
import { checkEquality, type DumpedVersion, type ReplicaDump } from '../checkers/equality.ts'
import type { Violation } from '../history.ts'
import type { SimNode, SimNodes } from './sim-nodes.ts'

const convergeMs = 20_000
/** Recovery gives transactions up after 4 s and tells their participants after as much again. */
const leftoversMs = 20_000

interface Copy {
  readonly node: SimNode
  readonly replica: PartitionReplica
}

/** @param storages those that the catalog knows: what is left of dropped ones each node sweeps up by itself */
export async function audit(nodes: SimNodes, storages: ReadonlySet<number>): Promise<Violation[]> {
  const out: Violation[] = []
  const say = (kind: string, messages: readonly string[]) => {
    for (const message of messages) out.push({ kind, message, operations: [] })
  }
  let late: string[] = []
  const clean = () => {
    late = leftovers(nodes)
    return late.length === 0
  }
  if (!(await nodes.until(clean, leftoversMs))) say('leftover', late)
  // Replicas go on moving: each partition has to be seen at rest once.
  const rested = new Set<number>()
  const together = () => {
    late = []
    for (const [id, copies] of partitions(nodes)) {
      const why = rested.has(id) ? [] : apart(id, copies)
      if (why.length === 0) rested.add(id)
      late.push(...why)
    }
    return late.length === 0
  }
  if (!(await nodes.until(together, convergeMs))) {
    say('not-converged', late)
    return out
  }
  const compared = new Set<number>()
  const equal = async () => {
    for (const [id, copies] of partitions(nodes)) {
      if (compared.has(id) || apart(id, copies).length > 0) continue
      const before = progressOf(copies)
      const differences = logsDiffer(copies)
      const dumps: ReplicaDump[] = []
      for (const copy of copies) dumps.push(await dump(copy, storages))
      // What is cut or written meanwhile is one thing here and another there.
      if (progressOf(copies) !== before) continue
      compared.add(id)
      say('logs-differ', differences)
      const threshold = Math.max(...copies.map(({ node }) => node.opened!.opened.engine.collectedBefore))
      const { generation } = copies[0].replica.partition
      for (const { kind, message } of checkEquality(dumps, threshold).slice(0, 3))
        say(kind, [`partition ${id} generation ${generation}: ${message}`])
    }
    return [...partitions(nodes).keys()].every((id) => compared.has(id))
  }
  await nodes.until(equal, convergeMs)
  return out
}

function progressOf(copies: readonly Copy[]): string {
  return copies.map(({ replica }) => `${replica.partition.generation} ${replica.applied}`).join()
}

/** All initialized replicas by partition. */
function partitions(nodes: SimNodes): Map<number, Copy[]> {
  const out = new Map<number, Copy[]>()
  for (const node of nodes.alive()) {
    for (const replica of node.opened!.opened.host.replicas.values()) {
      if (!replica.state.initialized || replica.removed) continue
      const copies = out.get(replica.partition.id)
      if (copies === undefined) out.set(replica.partition.id, [{ node, replica }])
      else copies.push({ node, replica })
    }
  }
  return out
}

/** What keeps a partition from being at rest. */
function apart(id: number, copies: readonly Copy[]): string[] {
  const out: string[] = []
  const leaders = copies.filter(({ replica }) => replica.serving)
  if (leaders.length !== 1) {
    const states = copies.map(({ node, replica }) => `node ${node.id}: ${replica.raft}`)
    out.push(`partition ${id} has ${leaders.length} leaders that serve\n${states.join('\n')}`)
    return out
  }
  const { replica: leader } = leaders[0]
  const { voters, outgoing } = leader.raft.configuration
  if (outgoing.length > 0) out.push(`partition ${id} is between two configurations`)
  for (const voter of voters) {
    const copy = copies.find(({ replica }) => replica.id === voter)
    if (copy === undefined) out.push(`partition ${id} has no replica on node ${nodeOfReplica(voter)}`)
    else if (copy.replica.applied !== leader.applied || leader.applied !== leader.raft.lastIndex)
      out.push(`partition ${id}: node ${copy.node.id} is at ${copy.replica.applied} of ${leader.raft.lastIndex}`)
  }
  const { learners } = leader.raft.configuration
  for (const { node, replica } of copies) {
    if (learners.includes(replica.id)) out.push(`partition ${id}: node ${node.id} has a learner that nobody promotes`)
    else if (!voters.includes(replica.id)) out.push(`partition ${id}: node ${node.id} keeps a replica that was removed`)
  }
  return out
}

function logsDiffer(copies: readonly Copy[]): string[] {
  const out: string[] = []
  const [first, ...others] = copies
  for (const { node, replica } of others) {
    const { window } = first.replica
    const low = Math.max(window.firstIndex(), replica.window.firstIndex())
    const high = Math.min(window.lastIndex(), replica.window.lastIndex())
    for (let index = low; index <= high; index++) {
      const a = window.entry(index)
      const b = replica.window.entry(index)
      if (a === undefined || b === undefined) continue
      if (a.term === b.term && a.kind === b.kind && crc32(a.payload) === crc32(b.payload)) continue
      const where = `partition ${replica.partition.id} index ${index}`
      out.push(`${where}: term ${a.term} on node ${first.node.id}, term ${b.term} on node ${node.id}`)
      break
    }
  }
  return out
}

/** Storages below this one are the catalog and the machinery. */
const firstTable = 16_384

async function dump({ node, replica }: Copy, storages: ReadonlySet<number>): Promise<ReplicaDump> {
  const { engine } = node.opened!.opened
  const versions: DumpedVersion[] = []
  for (const span of [spanOf(replica.partition), addressedSpan(replica.partition)])
    await versionsOf(engine, span, versions)
  const kept = versions.filter(({ key }) => {
    const storage = Number.parseInt(key.slice(0, 8), 16)
    return storage < firstTable || storages.has(storage)
  })
  return { name: `node ${node.id}`, versions: kept }
}

async function versionsOf(engine: Engine, span: Span, into: DumpedVersion[]): Promise<void> {
  const cursor = engine.versions(span)
  const text = (bytes: Uint8Array, from: number, to: number) => Buffer.from(bytes.subarray(from, to)).toString('hex')
  for (;;) {
    const step = cursor.next()
    if (step === 2) {
      await cursor.ready()
      continue
    }
    if (step !== 1) break
    const b = cursor.batch
    for (let i = 0; i < b.count; i++) {
      const { bytes } = b.slabs[b.slab[i]]
      const key = text(bytes, b.keyStart[i], b.keyEnd[i])
      const value = b.valueStart[i] < 0 ? undefined : text(bytes, b.valueStart[i], b.valueEnd[i])
      into.push({ key, timestamp: b.timestamps[i], value })
    }
  }
  cursor.close()
}

function leaderOf(nodes: SimNodes, partition: number): ReturnType<TransactionMachine['state']> | undefined {
  for (const { opened } of nodes.alive()) {
    const replica = opened!.opened.host.replicas.get(partition)
    if (replica?.serving) return opened!.opened.store.machine.state(replica)
  }
  return undefined
}

function leftovers(nodes: SimNodes): string[] {
  const out: string[] = []
  for (const node of nodes.alive()) {
    const { store, host } = node.opened!.opened
    const { machine, rows } = store
    for (const replica of host.replicas.values()) {
      if (!replica.serving) continue
      const { prepared, records } = machine.state(replica)
      const where = `node ${node.id} partition ${replica.partition.id}`
      for (const { transaction, gateway, anchor } of prepared.values()) {
        const route = host.router.find(anchor)
        const at = route && `partition ${route.partition.id} led by node ${route.leader}`
        const known = route && leaderOf(nodes, route.partition.id)?.outcome(transaction)
        out.push(
          `${where}: transaction ${transaction} of node ${gateway} is prepared; its anchor in ${at} says ${known}`,
        )
      }
      for (const one of records.keys()) out.push(`${where}: the record of transaction ${one} is kept`)
    }
    for (const { owner, granted } of rows.held())
      out.push(`node ${node.id}: transaction ${owner} ${granted ? 'holds' : 'waits for'} a row`)
    for (const one of store.active) out.push(`node ${node.id}: transaction ${one.id} has not ended`)
  }
  return out
}
