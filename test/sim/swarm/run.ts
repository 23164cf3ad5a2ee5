/**
 * One seed of the swarm: it draws topology, isolation, faults; chaos; a healed cluster that must make progress; an audit.
 *
 *   node test/sim/swarm/run.ts --seed 7 [--verbose]       replays one seed
 *
 * Not here: many seeds at once (main.ts).
 */
import { fileURLToPath } from 'node:url'
import { describe, type Violation } from '../history.ts'
import { type Faults, Nemesis } from './nemesis.ts'
import { SimNodes } from './sim-nodes.ts'
import { type Shape, Workloads } from './workloads.ts'

export interface RunOptions {
  readonly seed: string
  /** Simulated seconds of chaos. */
  readonly seconds: number
  /** Draw only from these faults. */
  readonly only?: readonly (keyof Faults)[]
  readonly isolation?: Shape['isolation']
}

export interface RunResult {
  readonly seed: string
  readonly violations: readonly Violation[]
  readonly committed: number
  readonly faults: ReadonlyMap<string, number>
  readonly errors: ReadonlyMap<string, number>
  readonly simulatedMs: number
  readonly hash: string
  readonly summary: string
  readonly events: readonly string[]
}

const isolations = ['read committed', 'repeatable read', 'serializable'] as const

export async function runSeed(options: RunOptions): Promise<RunResult> {
  const { seed } = options
  const count = Number.parseInt(seed, 10) % 3 === 0 ? 5 : 3
  const nodes = new SimNodes(seed, { count })
  const { world } = nodes
  const random = world.random.fork('swarm')
  const faults = drawFaults(random, options.only)
  const shape: Shape = {
    isolation: options.isolation ?? isolations[random.below(3)],
    keys: 4 + random.below(20),
    accounts: 4 + random.below(8),
    wild: false,
  }
  const clients = 4 + random.below(8)
  const violations: Violation[] = []
  const workloads = new Workloads(nodes, shape, random.fork('workloads'))
  const nemesis = new Nemesis(nodes, faults, random.fork('nemesis'))
  let stage = 'start'
  const main = async () => {
    await nodes.start()
    await workloads.prepare()
    stage = 'chaos'
    const workers = Array.from({ length: clients }, (_, i) => workloads.worker(i + 1))
    const chaos = nemesis.run()
    await Promise.race([nodes.sleep(options.seconds * 1000), ...workers, chaos])
    await nodes.sleep(1)
    while (nodes.world.nowMicros < options.seconds * 1_000_000) await nodes.sleep(100)
    stage = 'healing'
    nemesis.stopped = true
    await chaos
    world.internet.heal()
    for (const node of nodes.nodes) await nodes.restart(node)
    const before = workloads.committed
    const progress = await nodes.until(() => workloads.committed > before + 20, 20_000)
    if (!progress) violations.push({ kind: 'no-progress', message: 'a healed cluster commits nothing', operations: [] })
    workloads.stopped = true
    stage = 'stopping'
    await Promise.all(workers)
    stage = 'audit'
    await nodes.sleep(3000)
    violations.push(...(await workloads.judge()))
    violations.push(...(await compareReplicas(nodes)))
  }
  try {
    await world.run(main)
  } catch (error) {
    violations.push({
      kind: 'failure',
      message: `${stage}: ${error instanceof Error ? error.stack : error}`,
      operations: [],
    })
  }
  for (const reason of nodes.fatal) violations.push({ kind: 'fatal', message: reason, operations: [] })
  const list = (map: ReadonlyMap<string, number>) => [...map].map(([k, n]) => `${k} ${n}`).join(', ')
  const summary = `${count} nodes, ${clients} clients, ${shape.isolation}; ${workloads.committed} committed; faults: ${list(nemesis.counts)}; errors: ${list(workloads.errors)}`
  return {
    seed,
    violations,
    committed: workloads.committed,
    faults: nemesis.counts,
    errors: workloads.errors,
    simulatedMs: world.nowMicros / 1000,
    hash: world.trace.hash,
    summary,
    events: nodes.events,
  }
}

function drawFaults(random: { below(n: number): number }, only: readonly (keyof Faults)[] | undefined): Faults {
  const draw = (kind: keyof Faults) => (only === undefined ? random.below(3) > 0 : only.includes(kind))
  return {
    crash: draw('crash'),
    cut: draw('cut'),
    skew: draw('skew'),
    transfer: draw('transfer'),
    split: draw('split'),
    move: draw('move'),
    slow: draw('slow'),
  }
}

/** Replicas of a partition that have applied the same have the same rows. */
async function compareReplicas(nodes: SimNodes): Promise<Violation[]> {
  const out: Violation[] = []
  const seen = new Map<string, { node: number; dump: string }>()
  for (const node of nodes.alive()) {
    const { host, engine } = node.opened!.opened
    for (const replica of host.replicas.values()) {
      if (!replica.state.initialized) continue
      const { start, end } = replica.partition
      const cursor = engine.cursor({ start, end }, Number.MAX_SAFE_INTEGER)
      const parts: string[] = []
      const name = `partition ${replica.partition.id} generation ${replica.partition.generation} at ${replica.applied}`
      for (;;) {
        const step = cursor.next()
        if (step === 2) {
          await cursor.ready()
          continue
        }
        if (step === 0) break
        const b = cursor.batch
        for (let i = 0; i < b.count; i++) {
          const { bytes } = b.slabs[b.slab[i]]
          parts.push(
            `${Buffer.from(bytes.subarray(b.keyStart[i], b.keyEnd[i])).toString('hex')}@${b.timestamps[i]}=${Buffer.from(bytes.subarray(b.valueStart[i], b.valueEnd[i])).toString('hex')}`,
          )
        }
      }
      cursor.close()
      const dump = parts.join('\n')
      const other = seen.get(name)
      if (other === undefined) seen.set(name, { node: node.id, dump })
      else if (other.dump !== dump) {
        const a = new Set(other.dump.split('\n'))
        const differing = parts.filter((p) => !a.has(p)).slice(0, 3)
        out.push({
          kind: 'replicas-differ',
          message: `${name}: nodes ${other.node} and ${node.id}: ${differing}`,
          operations: [],
        })
      }
    }
  }
  return out
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const argument = (name: string) => {
    const at = process.argv.indexOf(`--${name}`)
    return at < 0 ? undefined : process.argv[at + 1]
  }
  const started = process.hrtime.bigint()
  const result = await runSeed({
    seed: argument('seed') ?? '1',
    seconds: Number(argument('seconds') ?? 30),
    only: argument('only')?.split(',') as (keyof Faults)[] | undefined,
    isolation: argument('isolation') as Shape['isolation'] | undefined,
  })
  if (process.argv.includes('--verbose')) console.log(result.events.join('\n'))
  const realMs = Number(process.hrtime.bigint() - started) / 1e6
  console.log(`seed ${result.seed}: ${result.summary}`)
  console.log(
    `${Math.round(result.simulatedMs)} ms simulated in ${Math.round(realMs)} ms: ${(result.simulatedMs / realMs).toFixed(1)}×; trace ${result.hash}`,
  )
  if (result.violations.length > 0) {
    console.log(describe(result.violations))
    process.exitCode = 1
  }
}
