/**
 * What goes wrong in a simulation, drawn from the seed, in two lanes side by side:
 *
 *   machines and network   power lost, processes ended or stopped, cuts, slow ways and disks, clocks; one at a time
 *   structure              leaders hand over, partitions are cut, replicas move, nodes leave and join
 *
 * Each fault ends by itself before the next of its lane begins.
 *
 * Not here: what must hold afterwards.
 */
import { DbError } from '../../../src/base/index.ts'
import type { Changes, PartitionReplica } from '../../../src/replication/index.ts'
import type { Engine } from '../../../src/storage/index.ts'
import type { SimRandom } from '../../../src/testing/sim-random.ts'
import { CompoundFaults } from './compound-faults.ts'
import { NodeDied, type SimNode, type SimNodes } from './sim-nodes.ts'

const machineFaults = [
  'crash',
  'kill',
  'outage',
  'storm',
  'cut',
  'oneWay',
  'isolate',
  'pause',
  'skew',
  'drift',
  'slow',
  'slowDisk',
  'failSync',
  'fillDisk',
] as const
const structuralFaults = ['transfer', 'split', 'move', 'replace'] as const
/** Of the first lane, seldom: each makes a sequence that random ones hardly ever hit (compound-faults.ts). */
const compoundFaults = ['coma', 'relapse', 'amnesia', 'handover', 'brownout', 'heir', 'exile'] as const

export const faultNames = [...machineFaults, ...structuralFaults, ...compoundFaults]
export type FaultName = (typeof faultNames)[number]

export function isCompound(name: FaultName): boolean {
  return (compoundFaults as readonly FaultName[]).includes(name)
}

const pauseMs: readonly [number, number] = [150, 1_400]
const maxReplicasOnNode = 16
const replaceMs = 20_000
const farewellMs = 8_000

export class Nemesis {
  /** Faults done, by kind. */
  readonly counts = new Map<FaultName, number>()
  stopped = false
  readonly #nodes: SimNodes
  readonly #faults: readonly FaultName[]
  readonly #random: SimRandom
  readonly #compound: CompoundFaults

  constructor(nodes: SimNodes, faults: readonly FaultName[], random: SimRandom) {
    this.#nodes = nodes
    this.#faults = faults
    this.#random = random
    this.#compound = new CompoundFaults(nodes, random.fork('compound'))
  }

  get total(): number {
    let sum = 0
    for (const n of this.counts.values()) sum += n
    return sum
  }

  async run(): Promise<void> {
    await Promise.all([this.#lane([...machineFaults, ...compoundFaults]), this.#lane(structuralFaults)])
  }

  async #lane(all: readonly FaultName[]): Promise<void> {
    const kinds = all.filter((kind) => this.#faults.includes(kind))
    while (!this.stopped && kinds.length > 0) {
      await this.#nodes.sleep(this.#random.between(...pauseMs))
      if (this.stopped) return
      const kind = this.#random.pick(kinds)
      this.#nodes.note(0, `nemesis-${kind}`)
      if (await this[kind]()) this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
    }
  }

  /** What stands in the way of everything is taken away. */
  async heal(): Promise<void> {
    const { world, nodes } = this.#nodes
    world.internet.heal()
    for (const { io, disk } of nodes) {
      io.resume()
      disk.onOperation = undefined
      disk.capacityBytes = Number.POSITIVE_INFINITY
      disk.extraMicros = 0
    }
    await Promise.all(this.#nodes.members().map((node) => this.#nodes.restart(node)))
  }

  #any(): SimNode {
    return this.#random.pick(this.#nodes.members())
  }

  #while(low: number, high: number): Promise<void> {
    return this.#nodes.sleep(this.#random.between(low, high))
  }

  // ---- machines and network; each answers whether it did anything

  async crash(): Promise<boolean> {
    return await this.#down([this.#any()], true)
  }

  async kill(): Promise<boolean> {
    return await this.#down([this.#any()], false)
  }

  async outage(): Promise<boolean> {
    return await this.#down(this.#nodes.members(), true)
  }

  async #down(nodes: readonly SimNode[], power: boolean): Promise<boolean> {
    for (const node of nodes) this.#nodes.crash(node, power)
    await this.#while(0, 2_500)
    await Promise.all(nodes.map((node) => this.#nodes.restart(node)))
    return true
  }

  /** Nodes restart one after another, faster than promises of former lives run out. */
  async storm(): Promise<boolean> {
    for (let i = this.#random.between(3, 6); i > 0; i--) {
      const node = this.#any()
      this.#nodes.crash(node, this.#random.chance(0.5))
      await this.#while(1, 150)
      await this.#nodes.restart(node)
      await this.#while(1, 250)
    }
    return true
  }

  async cut(): Promise<boolean> {
    const { world } = this.#nodes
    const members = this.#nodes.members()
    const side = new Set(members.filter(() => this.#random.below(2) === 0))
    for (const a of members)
      for (const b of members) if (side.has(a) && !side.has(b)) world.internet.cut(a.host, b.host)
    await this.#while(200, 3_000)
    world.internet.heal()
    return side.size > 0 && side.size < members.length
  }

  async oneWay(): Promise<boolean> {
    const from = this.#any()
    const to = this.#any()
    if (from === to) return false
    const heal = this.#nodes.world.internet.block(from.host, to.host)
    await this.#while(200, 3_000)
    heal()
    return true
  }

  /** A node that leads something is cut off from all others. */
  async isolate(): Promise<boolean> {
    const leaders = this.#nodes.alive().filter((node) => replicasOf(node).some((r) => r.serving))
    if (leaders.length === 0 || this.#nodes.members().length === 1) return false
    const leader = this.#random.pick(leaders)
    const ends = this.#nodes.members().flatMap((other) => {
      if (other === leader) return []
      const { internet } = this.#nodes.world
      return [internet.block(leader.host, other.host), internet.block(other.host, leader.host)]
    })
    await this.#while(300, 3_000)
    for (const end of ends) end()
    return true
  }

  async pause(): Promise<boolean> {
    const node = this.#any()
    const { io } = node
    if (io.dead) return false
    io.pause()
    await this.#while(50, 3_000)
    io.resume()
    return true
  }

  async skew(): Promise<boolean> {
    const node = this.#any()
    node.skewMicros = this.#random.between(-200, 200) * 1_000
    node.io.clock.wallOffsetMicros = node.skewMicros
    return true
  }

  async drift(): Promise<boolean> {
    const node = this.#any()
    node.driftPpm = this.#random.between(-500, 500)
    node.io.clock.driftPpm = node.driftPpm
    return true
  }

  async slow(): Promise<boolean> {
    const { internet } = this.#nodes.world
    const before = internet.delayMicros
    internet.delayMicros = [5_000, 60_000]
    await this.#while(500, 2_500)
    internet.delayMicros = before
    return true
  }

  async slowDisk(): Promise<boolean> {
    const { disk } = this.#any()
    disk.extraMicros = this.#random.between(2_000, 50_000)
    await this.#while(500, 2_500)
    disk.extraMicros = 0
    return true
  }

  /** A sync fails: the node ends itself and comes back. */
  async failSync(): Promise<boolean> {
    const node = this.#any()
    if (node.io.dead) return false
    node.doomed = true
    node.disk.onOperation = ({ kind }) => (kind === 'sync' ? 'io_error' : undefined)
    await this.#while(100, 1_000)
    node.disk.onOperation = undefined
    await this.#nodes.restart(node)
    return true
  }

  async fillDisk(): Promise<boolean> {
    const node = this.#any()
    if (node.io.dead) return false
    node.doomed = true
    node.disk.capacityBytes = node.disk.usedBytes() + this.#random.below(64 * 1024)
    await this.#while(300, 3_000)
    node.disk.capacityBytes = Number.POSITIVE_INFINITY
    await this.#nodes.restart(node)
    return true
  }

  // ---- sequences

  async coma(): Promise<boolean> {
    return await this.#compound.coma()
  }

  async relapse(): Promise<boolean> {
    return await this.#compound.relapse()
  }

  async amnesia(): Promise<boolean> {
    return await this.#compound.amnesia()
  }

  async handover(): Promise<boolean> {
    return await this.#compound.handover()
  }

  async brownout(): Promise<boolean> {
    return await this.#compound.brownout()
  }

  async heir(): Promise<boolean> {
    return await this.#compound.heir()
  }

  async exile(): Promise<boolean> {
    return await this.#compound.exile()
  }

  // ---- structure

  async transfer(): Promise<boolean> {
    const found = this.#leading()
    if (found === undefined) return false
    const [node, { partition }] = found
    const to = this.#any().id
    if (to === node.id) return false
    return await this.#change(node, () => changesOf(node).run({ kind: 'transfer', partition: partition.id, to }))
  }

  async split(): Promise<boolean> {
    const found = this.#leading()
    if (found === undefined || replicasOf(found[0]).length > maxReplicasOnNode) return false
    const [node, { partition }] = found
    const key = someKey(node.opened!.opened.engine, partition, this.#random)
    if (key === undefined) return false
    const text = Buffer.from(key).toString('base64')
    return await this.#change(node, () => changesOf(node).run({ kind: 'split', partition: partition.id, key: text }))
  }

  async move(): Promise<boolean> {
    const found = this.#leading()
    if (found === undefined) return false
    const [node, replica] = found
    const has = replica.nodes()
    const others = this.#nodes.members().filter(({ id }) => !has.includes(id))
    const add = others.length > 0 ? this.#random.pick(others).id : undefined
    const gone = has.filter((id) => id !== node.id)
    const remove = gone.length > 0 && (add !== undefined || has.length > 3) ? this.#random.pick(gone) : undefined
    const partition = replica.partition.id
    if (add === undefined && remove === undefined) {
      // All have one already: one goes, and the controller makes another.
      if (gone.length < 2) return false
      const leaving = this.#random.pick(gone)
      return await this.#change(node, () => changesOf(node).run({ kind: 'replicas', partition, remove: leaving }))
    }
    return await this.#change(node, () => changesOf(node).run({ kind: 'replicas', partition, add, remove }))
  }

  /** A node joins, another one leaves for good. */
  async replace(): Promise<boolean> {
    const members = this.#nodes.members()
    if (members.length < 3 || this.#nodes.nodes.length > 8) return false
    const joined = await this.#nodes.join()
    if (joined.client === undefined) return false
    const leaving = this.#random.pick(members)
    const asked = this.#random.pick(this.#nodes.alive())
    leaving.leaving = true
    const begun = await this.#change(asked, async () => asked.decommissioning!.start(leaving.id))
    if (!begun) return true
    await this.#nodes.until(() => this.#hasLeft(leaving) || this.stopped, replaceMs)
    this.#part(leaving)
    return true
  }

  #hasLeft({ id }: SimNode): boolean {
    return this.#nodes.alive().some(({ opened }) => opened!.opened.membership.get(id)?.state === 'left')
  }

  #part(node: SimNode): void {
    if (!this.#hasLeft(node)) return
    node.left = true
    this.#nodes.crash(node, false)
  }

  /** Whoever is on its way out gets the time for it. What nobody sees through any more ends where it is. */
  async farewell(): Promise<void> {
    const going = this.#nodes.members().filter(({ leaving }) => leaving)
    await this.#nodes.until(() => going.every((node) => node.left || this.#hasLeft(node)), farewellMs)
    for (const node of going) this.#part(node)
  }

  /** A replica that serves, of any node. */
  #leading(): [SimNode, PartitionReplica] | undefined {
    const all = this.#nodes
      .alive()
      .flatMap((node) => replicasOf(node).map((replica): [SimNode, PartitionReplica] => [node, replica]))
      .filter(([node, replica]) => replica.serving && !node.io.paused)
    return all.length === 0 ? undefined : this.#random.pick(all)
  }

  /** A change that fails as an operating condition is fine; its node may die meanwhile. */
  async #change(node: SimNode, change: () => Promise<unknown>): Promise<boolean> {
    try {
      await Promise.race([change(), node.died])
      return true
    } catch (error) {
      if (error instanceof NodeDied || error instanceof DbError) return false
      throw error
    }
  }
}

function replicasOf(node: SimNode): PartitionReplica[] {
  return [...node.opened!.opened.host.replicas.values()]
}

function changesOf(node: SimNode): Changes {
  return node.opened!.opened.controller.changes
}

/** Storages below this one are the catalog and the machinery. */
const firstTable = 16_384

/** A key of a table inside the partition, from what is in memory; undefined when there is none. */
function someKey(
  engine: Engine,
  { start, end }: { start: Uint8Array; end: Uint8Array | undefined },
  random: SimRandom,
): Uint8Array | undefined {
  const cursor = engine.cursor({ start, end }, Number.MAX_SAFE_INTEGER)
  const keys: Uint8Array[] = []
  try {
    while (cursor.next() === 1) {
      const b = cursor.batch
      for (let i = 0; i < b.count; i++) {
        const key = b.slabs[b.slab[i]].bytes.subarray(b.keyStart[i], b.keyEnd[i])
        const storage = key[0] * 0x100_0000 + key[1] * 0x1_0000 + key[2] * 256 + key[3]
        if (storage > firstTable && Buffer.compare(key, start) > 0) keys.push(key.slice())
      }
    }
  } finally {
    cursor.close()
  }
  return keys.length === 0 ? undefined : random.pick(keys)
}
