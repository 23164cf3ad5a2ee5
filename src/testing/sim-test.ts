/**
 * A test of one body over many seeds:
 *
 *   test('no money is lost', sim({ nodes: 5, seeds: 20 }, async (cluster) => { … }))
 *
 * Seeds are 1, 2, 3, …, so that a run is the same everywhere; LATTICE_SEED=n runs one, LATTICE_SEEDS=n so many.
 *
 * Not here: the cluster (sim-cluster.ts), what a failure says (failure.ts).
 */
import { AssertionError } from '../base/index.ts'
import { told } from './failure.ts'
import { type SimCluster, type SimClusterOptions, simCluster } from './sim-cluster.ts'

export interface SimOptions extends Omit<SimClusterOptions, 'seed' | 'onWorld'> {
  /** How many seeds the body runs with, one after the other. Default 1. */
  readonly seeds?: number
  /** Runs every seed twice and fails when the two differ in any call of a port. Default false. */
  readonly checkTwin?: boolean
}

/** What a test does with its cluster. */
export type SimBody = (cluster: SimCluster) => Promise<void>

/**
 * The function to hand to `test` of node:test, vitest or jest. A failure of the body keeps its class, message and diff
 * and gains the seed, a command that replays it, and the newest entries of the nodes' logs.
 */
export function sim(options: SimOptions, body: SimBody): () => Promise<void>
export function sim(body: SimBody): () => Promise<void>
export function sim(first: SimOptions | SimBody, second?: SimBody): () => Promise<void> {
  const [options, body] = typeof first === 'function' ? [{}, first] : [first, second!]
  // No parameters: jest would take one for its callback.
  return async function simulation(this: unknown): Promise<void> {
    // biome-ignore lint/complexity/noArguments: see above; node:test and vitest hand their context over.
    const context: unknown = arguments[0]
    for (const seed of seedsOf(options)) await runSeed(seed, options, body, context)
  }
}

function seedsOf({ seeds = 1 }: SimOptions): (number | string)[] {
  const { LATTICE_SEED, LATTICE_SEEDS } = process.env
  if (LATTICE_SEED !== undefined) return [LATTICE_SEED]
  const count = LATTICE_SEEDS === undefined ? seeds : Number(LATTICE_SEEDS)
  return Array.from({ length: count }, (_, i) => i + 1)
}

async function runSeed(seed: number | string, options: SimOptions, body: SimBody, context: unknown): Promise<void> {
  const hash = await once(seed, options, body, context)
  if (options.checkTwin !== true || (await once(seed, options, body, context)) === hash) return
  const [one, two] = [await record(seed, options, body, context), await record(seed, options, body, context)]
  const at = one.findIndex((call, i) => call !== two[i])
  const where =
    at < 0 ? 'no longer when they are recorded' : `first in call ${at}: "${one[at]}" and then "${two[at] ?? 'the end'}"`
  throw told(new AssertionError(`two runs of seed ${seed} differ, ${where}`), String(seed), context, [])
}

async function once(seed: number | string, options: SimOptions, body: SimBody, context: unknown): Promise<string> {
  return await run(seed, options, body, context, (cluster) => cluster.traceHash)
}

/** All calls of ports, one a line. */
function record(seed: number | string, options: SimOptions, body: SimBody, context: unknown): Promise<string[]> {
  return run(seed, { ...options, record: true }, body, context, (cluster) => cluster.world.trace.lines ?? [])
}

async function run<T>(
  seed: number | string,
  options: SimOptions & { readonly record?: boolean },
  body: SimBody,
  context: unknown,
  result: (cluster: SimCluster) => T,
): Promise<T> {
  const { seeds: _, checkTwin: __, record, ...clusterOptions } = options
  let cluster: SimCluster | undefined
  try {
    cluster = await simCluster({ ...clusterOptions, seed, onWorld: (world) => record && world.trace.record() })
    await body(cluster)
    const value = result(cluster)
    await cluster[Symbol.asyncDispose]()
    return value
  } catch (error) {
    // What went wrong first is told; a bug that ended a node says more than the call that it made fail.
    const bug = await cluster?.[Symbol.asyncDispose]().then(
      () => undefined,
      (bug: unknown) => bug,
    )
    throw told(bug ?? error, String(seed), context, cluster?.log ?? [])
  }
}
