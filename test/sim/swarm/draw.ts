/**
 * What a seed draws: topology, sizes, clocks and network, isolation, workloads, faults. Every seed leaves most of the faults
 * out, so that those it has meet each other often (swarm testing: Groce et al., 2012).
 *
 * Not here: doing any of it.
 */
import type { SimRandom } from '../../../src/testing/sim-random.ts'
import { type Shape, type WorkloadName, workloadNames } from '../workloads/index.ts'
import { type FaultName, faultNames, isCompound } from './nemesis.ts'
import type { NodeOptions } from './sim-nodes.ts'

/** What the command line and planted bugs decide instead of the seed. */
export interface Wishes {
  readonly workloads?: readonly WorkloadName[]
  readonly faults?: readonly FaultName[]
  readonly isolation?: Shape['isolation']
  readonly nodes?: number
  readonly clients?: number
  readonly splitBytes?: number
  readonly segmentBytes?: number
  readonly memtableBytes?: number
  readonly logBudgetBytes?: number
  readonly keptEntries?: number
  readonly largeBytes?: number
  readonly retentionMs?: number
  readonly delayMicros?: NodeOptions['delayMicros']
  readonly keys?: number
  readonly bulkBytes?: number
  /** Of a client between two operations, on average. */
  readonly pauseMs?: number
}

export interface Plan {
  readonly nodes: NodeOptions
  readonly shape: Shape
  readonly workloads: readonly WorkloadName[]
  readonly faults: readonly FaultName[]
  readonly clients: number
  readonly pauseMs: number
}

const isolations = ['read committed', 'repeatable read', 'serializable'] as const
const delays: readonly (readonly [number, number])[] = [
  [50, 500],
  [50, 500],
  [200, 3_000],
  [1_000, 2_000],
  [50, 20_000],
]
/** Together the clients ask about so often, whatever their number. */
const operationMs = 20

export function draw(random: SimRandom, wishes: Wishes): Plan {
  // What came later is drawn apart, so that seeds keep what they draw.
  const more = random.fork('more')
  const count = wishes.nodes ?? random.pick([1, 3, 3, 3, 3, 3, 5, 5, 5, 4])
  const drawnDelay = random.pick(delays)
  const bulkBytes = wishes.bulkBytes ?? (more.chance(0.04) ? 3_000 : 120)
  const splitBytes = wishes.splitBytes ?? random.pick([undefined, 100_000, 200_000, 400_000])
  const nodes: NodeOptions = {
    count,
    replicas: count === 5 && random.chance(0.4) ? 5 : 3,
    zones: random.pick([0, 0, 2, 3]),
    splitBytes,
    delayMicros: wishes.delayMicros ?? drawnDelay,
    ...sizes(random, wishes, bulkBytes),
  }
  const isolation = random.pick(isolations)
  const keys = 4 + random.below(20)
  const accounts = 4 + random.below(8)
  const shape = {
    isolation: wishes.isolation ?? isolation,
    keys: wishes.keys ?? keys,
    accounts,
    bulkBytes,
  }
  const apart: Partial<Record<WorkloadName, SimRandom>> = { snapshots: more, past: random.fork('past') }
  const some = workloadNames.filter((name) => (apart[name] ?? random).chance(0.6))
  const workloads = wishes.workloads ?? (some.length > 1 ? some : [...some, 'lists', 'bank'])
  const drawn = faultNames.filter((name) => (isCompound(name) ? more.chance(0.2) : random.chance(0.5)))
  const faults = wishes.faults ?? (drawn.length > 2 ? drawn : ([...drawn, 'crash', 'cut', 'pause'] as const))
  const clients = wishes.clients ?? 4 + random.below(8)
  return { nodes, shape, workloads, faults, clients, pauseMs: wishes.pauseMs ?? clients * operationMs }
}

/** Planted bugs have their own wishes, and go by seeds that show them. */
function free(wishes: Wishes): boolean {
  return Object.keys(wishes).length === 0
}

/** Small ones, so that segments are recycled, memtables flushed and logs cut short within a run; big rows fill any. */
function sizes(random: SimRandom, wishes: Wishes, bulkBytes: number): Partial<NodeOptions> {
  const segmentBytes = random.pick([128, 256, 1024]) * 1024
  const memtableBytes = random.pick([64, 256, 1024]) * 1024
  const least = bulkBytes > 1_000 ? 1024 * 1024 : 0
  const more = random.fork('sizes')
  return {
    segmentBytes: wishes.segmentBytes ?? Math.max(segmentBytes, least),
    memtableBytes: wishes.memtableBytes ?? Math.max(memtableBytes, least),
    logBudgetBytes: wishes.logBudgetBytes ?? more.pick([undefined, 4 * Math.max(segmentBytes, least)]),
    keptEntries: wishes.keptEntries ?? more.pick([undefined, 200, 20]),
    retentionMs: wishes.retentionMs ?? more.pick([undefined, undefined, 5_000]),
    // Half of what a batch writes goes in chunks then, over several partitions where they are cut.
    largeBytes: wishes.largeBytes ?? (random.fork('large').chance(0.2) && free(wishes) ? 4_000 : undefined),
  }
}
