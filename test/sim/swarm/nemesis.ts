/**
 * What goes wrong in a simulation, drawn from the seed: machines that lose power, processes that end, networks cut in
 * two, clocks that jump, leaders that hand over, partitions that are cut, replicas that move.
 *
 * Not here: what must hold afterwards.
 */
import { DbError } from '../../../src/base/index.ts'
import type { SimRandom } from '../../../src/testing/sim-random.ts'
import type { SimNode, SimNodes } from './sim-nodes.ts'

export interface Faults {
  readonly crash: boolean
  readonly cut: boolean
  readonly skew: boolean
  readonly transfer: boolean
  readonly split: boolean
  readonly move: boolean
  readonly slow: boolean
}

export class Nemesis {
  /** Structural faults done, by kind. */
  readonly counts = new Map<string, number>()
  stopped = false
  readonly #nodes: SimNodes
  readonly #faults: Faults
  readonly #random: SimRandom

  constructor(nodes: SimNodes, faults: Faults, random: SimRandom) {
    this.#nodes = nodes
    this.#faults = faults
    this.#random = random
  }

  get total(): number {
    let sum = 0
    for (const n of this.counts.values()) sum += n
    return sum
  }

  async run(): Promise<void> {
    const kinds = (Object.keys(this.#faults) as (keyof Faults)[]).filter((kind) => this.#faults[kind])
    while (!this.stopped && kinds.length > 0) {
      await this.#nodes.sleep(300 + this.#random.below(1500))
      if (this.stopped) return
      const kind = kinds[this.#random.below(kinds.length)]
      this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1)
      this.#nodes.note(0, `nemesis-${kind}`)
      await this[kind]()
    }
  }

  #any(): SimNode {
    const { nodes } = this.#nodes
    return nodes[this.#random.below(nodes.length)]
  }

  async crash(): Promise<void> {
    const count = this.#random.below(4) === 0 ? this.#nodes.nodes.length : 1
    const down: SimNode[] = []
    for (let i = 0; i < count; i++) {
      const node = count === 1 ? this.#any() : this.#nodes.nodes[i]
      this.#nodes.crash(node, this.#random.below(3) > 0)
      down.push(node)
    }
    await this.#nodes.sleep(this.#random.below(3000))
    await Promise.all(down.map((node) => this.#nodes.restart(node)))
  }

  async cut(): Promise<void> {
    const { nodes, world } = this.#nodes
    const side = new Set(nodes.filter(() => this.#random.below(2) === 0))
    for (const a of nodes) for (const b of nodes) if (side.has(a) && !side.has(b)) world.internet.cut(a.host, b.host)
    await this.#nodes.sleep(200 + this.#random.below(3000))
    world.internet.heal()
  }

  async skew(): Promise<void> {
    const node = this.#any()
    node.io.clock.wallOffsetMicros = (this.#random.below(400) - 200) * 1000
  }

  async slow(): Promise<void> {
    const { internet } = this.#nodes.world
    const before = internet.delayMicros
    internet.delayMicros = [5_000, 60_000]
    await this.#nodes.sleep(500 + this.#random.below(2000))
    internet.delayMicros = before
  }

  async transfer(): Promise<void> {
    for (const node of this.#nodes.alive()) {
      for (const replica of node.opened!.opened.host.replicas.values()) {
        if (!replica.serving || this.#random.below(2) === 0) continue
        const to = this.#any().id
        if (to === node.id) continue
        await this.#tolerate(
          node,
          node.opened!.opened.controller.changes.run({ kind: 'transfer', partition: replica.partition.id, to }),
        )
        return
      }
    }
  }

  async split(): Promise<void> {
    for (const node of this.#nodes.alive()) {
      const { host, engine, controller } = node.opened!.opened
      for (const replica of host.replicas.values()) {
        if (!replica.serving || host.replicas.size > 12) continue
        const key = someKey(engine, replica.partition, this.#random)
        if (key === undefined) continue
        const change = {
          kind: 'split',
          partition: replica.partition.id,
          key: Buffer.from(key).toString('base64'),
        } as const
        await this.#tolerate(node, controller.changes.run(change))
        return
      }
    }
  }

  async move(): Promise<void> {
    for (const node of this.#nodes.alive()) {
      const { host, controller } = node.opened!.opened
      for (const replica of host.replicas.values()) {
        if (!replica.serving || this.#random.below(2) === 0) continue
        const has = replica.nodes()
        const others = this.#nodes.nodes.map((n) => n.id).filter((id) => !has.includes(id))
        const add = others.length > 0 ? others[this.#random.below(others.length)] : undefined
        const gone = has.filter((id) => id !== node.id)
        const remove = gone[this.#random.below(gone.length)]
        await this.#tolerate(
          node,
          controller.changes.run({ kind: 'replicas', partition: replica.partition.id, add, remove }),
        )
        return
      }
    }
  }

  /** A change that fails as an operating condition is fine; its node may die meanwhile. */
  async #tolerate(node: SimNode, change: Promise<unknown>): Promise<void> {
    try {
      await Promise.race([change, node.died])
    } catch (error) {
      if (error instanceof Error && error.constructor.name === 'NodeDied') return
      if (!(error instanceof DbError)) throw error
    }
  }
}

/** A key inside the partition, from what is in memory; undefined when there is none. */
function someKey(
  engine: { cursor(span: object, at: number): any },
  { start, end }: { start: Uint8Array; end: Uint8Array | undefined },
  random: SimRandom,
): Uint8Array | undefined {
  const cursor = engine.cursor({ start, end }, Number.MAX_SAFE_INTEGER)
  const keys: Uint8Array[] = []
  try {
    for (;;) {
      if (cursor.next() !== 1) break
      const b = cursor.batch
      for (let i = 0; i < b.count; i++) keys.push(b.slabs[b.slab[i]].bytes.slice(b.keyStart[i], b.keyEnd[i]))
    }
  } finally {
    cursor.close()
  }
  const inside = keys.filter(
    (key) => Buffer.compare(key, start) > 0 && key[0] * 0x100_0000 + key[1] * 0x1_0000 + key[2] * 256 + key[3] > 16_384,
  )
  return inside.length === 0 ? undefined : inside[random.below(inside.length)]
}
