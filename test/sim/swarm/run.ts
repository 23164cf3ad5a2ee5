/**
 * One seed of the swarm: it draws what there is and what goes wrong (draw.ts), then
 *
 *   chaos ─► heal a quorum: progress ─► heal all: calm work ─► stop: audit, judge
 *
 *   npm run sim -- --seed 7 [--verbose]       replays one seed
 *
 * Not here: many seeds at once (main.ts).
 */
import type { SimRandom } from '../../../src/testing/sim-random.ts'
import type { Violation } from '../history.ts'
import { Bench, makeWorkload, type Workload } from '../workloads/index.ts'
import { audit } from './audit.ts'
import { draw, type Plan, type Wishes } from './draw.ts'
import { Nemesis } from './nemesis.ts'
import { SimNodes } from './sim-nodes.ts'
import { Watch } from './watch.ts'

export interface RunOptions {
  readonly seed: string
  /** Simulated seconds of chaos. */
  readonly seconds: number
  readonly wishes?: Wishes
  /** Least numbers of committed operations and of faults; a seed with less proves too little and fails. */
  readonly leastCommitted?: number
  readonly leastFaults?: number
  /** Gives up as soon as something is wrong. */
  readonly hasty?: boolean
  /** Keeps a line for every call of every port: to find where two runs part. */
  readonly record?: boolean
}

export interface RunResult {
  readonly seed: string
  readonly violations: readonly Violation[]
  readonly committed: number
  readonly faults: number
  readonly simulatedMs: number
  readonly hash: string
  readonly summary: string
  readonly events: readonly string[]
  readonly trace: readonly string[] | undefined
}

/** A seed that has not done enough in its time goes on, for so many times as long. */
const longest = 5
const quorumMs = 10_000
/** Operations that prove progress. */
const progress = 20
/** How long healing, stopping and looking may take beyond the chaos. */
const patienceMs = 150_000

export async function runSeed(options: RunOptions): Promise<RunResult> {
  return await new Run(options).run()
}

class Run {
  readonly #options: RunOptions
  readonly #plan: Plan
  readonly #nodes: SimNodes
  readonly #bench: Bench
  readonly #workloads: readonly Workload[]
  readonly #nemesis: Nemesis
  readonly #watch: Watch
  readonly #violations: Violation[] = []
  readonly #random: SimRandom
  #stage = 'start'
  #stopped = false

  constructor(options: RunOptions) {
    this.#options = options
    const { seed, wishes = {} } = options
    // The plan has a generator of its own: the cluster's needs the plan.
    const drawing = new SimNodes(seed, { count: 0 }).world.random.fork('plan')
    this.#plan = draw(drawing, wishes)
    this.#nodes = new SimNodes(seed, this.#plan.nodes)
    if (options.record) this.#nodes.world.trace.record()
    this.#random = this.#nodes.world.random.fork('swarm')
    this.#bench = new Bench(this.#nodes, this.#plan.shape, this.#random.fork('workloads'))
    this.#workloads = this.#plan.workloads.map((name) => makeWorkload(name, this.#bench))
    this.#nemesis = new Nemesis(this.#nodes, this.#plan.faults, this.#random.fork('nemesis'))
    this.#watch = new Watch(this.#nodes)
  }

  async run(): Promise<RunResult> {
    const { world } = this.#nodes
    const { hasty } = this.#options
    const strays: unknown[] = []
    const onStray = (error: unknown) => {
      strays.push(error)
    }
    process.on('unhandledRejection', onStray)
    const installed = this.#watch.install()
    const limit = (this.#options.seconds * 1000 * longest + patienceMs) * 1000
    const wrong = () =>
      strays.length > 0 || (hasty === true && (this.#nodes.fatal.length > 0 || this.#watch.violations.length > 0))
    const enough = () => {
      this.#watch.tick()
      return world.nowMicros > limit || wrong()
    }
    try {
      await world.run(() => this.#main(), enough)
      if (world.nowMicros > limit) this.#say('stuck', `${this.#stage}: ${[...this.#bench.pending.values()].join('; ')}`)
    } catch (error) {
      this.#say('failure', `${this.#stage}: ${error instanceof Error ? error.stack : error}`)
    } finally {
      installed[Symbol.dispose]()
      process.off('unhandledRejection', onStray)
    }
    for (const error of strays) this.#say('stray-rejection', error instanceof Error ? error.stack! : String(error))
    for (const reason of this.#nodes.fatal) this.#say('fatal', reason)
    this.#violations.push(...this.#watch.violations)
    return this.#result()
  }

  #say(kind: string, message: string): void {
    this.#violations.push({ kind, message, operations: [] })
  }

  async #main(): Promise<void> {
    const { seconds, leastCommitted = 500, leastFaults = 10 } = this.#options
    const nodes = this.#nodes
    await nodes.start()
    await nodes.nodes[0].client!.script(this.#workloads.map((w) => w.setup).join('\n'))
    this.#enter('chaos')
    const { nowMicros } = nodes.world
    const over = () => {
      const passed = (nodes.world.nowMicros - nowMicros) / 1e6
      const enough = this.#bench.committed >= leastCommitted && this.#nemesis.total >= leastFaults
      return passed > seconds && (enough || passed > seconds * longest)
    }
    const workers = Array.from({ length: this.#plan.clients }, (_, i) => this.#worker(i + 1))
    const chaos = this.#nemesis.run()
    // Whichever of them fails, fails the run at once.
    const failing = Promise.all([...workers, chaos])
    while (!over()) await Promise.race([nodes.sleep(100), failing])
    this.#nemesis.stopped = true
    await chaos
    await this.#heal()
    this.#enter('stopping')
    this.#stopped = true
    await Promise.all(workers)
    this.#enter('calm')
    for (const workload of this.#workloads) this.#violations.push(...((await workload.calm?.()) ?? []))
    this.#enter('audit')
    const files = 'select relfilenode::int8 n from pg_class where relfilenode <> 0'
    const storages = new Set((await this.#bench.read<{ n: number }>(files)).map(({ n }) => Number(n)))
    this.#violations.push(...(await audit(nodes, storages)))
    this.#enter('judging')
    for (const workload of this.#workloads) {
      const found = await workload.judge()
      this.#violations.push(...found.map((v) => ({ ...v, message: `${workload.name}: ${v.message}` })))
    }
    const { committed } = this.#bench
    if (committed < leastCommitted) this.#say('weak', `${committed} operations committed`)
    if (this.#nemesis.total < leastFaults) this.#say('weak', `${this.#nemesis.total} faults`)
  }

  #enter(stage: string): void {
    this.#stage = stage
    this.#nodes.note(0, `stage-${stage}`)
  }

  /** With a quorum there is progress; with all nodes there is peace. */
  async #heal(): Promise<void> {
    this.#enter('a quorum')
    const nodes = this.#nodes
    await this.#nemesis.heal()
    await nodes.until(() => nodes.replicated(), quorumMs)
    const members = nodes.members()
    if (members.length >= 3) nodes.crash(this.#random.pick(members), false)
    const before = this.#bench.committed
    const moving = () => this.#bench.committed > before + progress
    if (!(await nodes.until(moving, quorumMs)))
      this.#say('no-progress', `a cluster with a quorum commits nothing\n${replicaStates(nodes)}`)
    this.#enter('all')
    await this.#nemesis.heal()
    await this.#nemesis.farewell()
    await nodes.until(() => nodes.replicated(), quorumMs)
  }

  async #worker(client: number): Promise<void> {
    const random = this.#random.fork(`worker ${client}`)
    const choices = this.#workloads.flatMap((w) => Array.from({ length: w.weight }, () => w))
    while (!this.#stopped) {
      const node = await this.#bench.gateway(random)
      await random.pick(choices).step({ client, node, random })
      await this.#nodes.sleep(random.below(this.#plan.pauseMs * 2))
    }
  }

  #result(): RunResult {
    const { world, events } = this.#nodes
    const { committed, errors, done } = this.#bench
    const { nodes, shape, clients } = this.#plan
    const list = (map: ReadonlyMap<string, number>) => [...map].map(([k, n]) => `${k} ${n}`).join(' ')
    const parts = [
      `${nodes.count} nodes × ${nodes.replicas}, ${clients} clients, ${shape.isolation}`,
      `committed ${committed} (${list(done)})`,
      `faults ${this.#nemesis.total} (${list(this.#nemesis.counts)})`,
      `refused ${list(errors) || 'none'}`,
    ]
    return {
      seed: this.#options.seed,
      violations: this.#violations,
      committed,
      faults: this.#nemesis.total,
      simulatedMs: world.nowMicros / 1000,
      hash: world.trace.hash,
      summary: parts.join('; '),
      events,
      trace: world.trace.lines,
    }
  }
}

/** How replication stands, for a run that makes no progress. */
function replicaStates(nodes: SimNodes): string {
  const lines: string[] = []
  for (const node of nodes.alive()) {
    for (const replica of node.opened?.opened.host.replicas.values() ?? []) {
      const { raft, partition, serving, frozen, installing, applied } = replica
      const flags = `serving ${serving} frozen ${frozen} installing ${installing} applied ${applied} lease ${raft.leaseHolds()} quiet ${raft.quiet}`
      lines.push(`node ${node.id} partition ${partition.id}: ${flags} ${raft.toString()}`)
    }
  }
  return lines.join('\n')
}
