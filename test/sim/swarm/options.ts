/**
 * The command line of the suite, and the command that replays a seed: words in, wishes out, and back.
 */
import { parseArgs } from 'node:util'
import { type Shape, type WorkloadName, workloadNames } from '../workloads/index.ts'
import type { Wishes } from './draw.ts'
import { type FaultName, faultNames } from './nemesis.ts'

export interface SuiteOptions {
  readonly seeds: number
  readonly from: number
  /** One seed, replayed. */
  readonly seed: string | undefined
  readonly seconds: number
  readonly jobs: number | undefined
  readonly wishes: Wishes
  readonly verbose: boolean
}

/** Raises on words that it does not know. */
export function parseOptions(args: readonly string[]): SuiteOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: '60' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      seconds: { type: 'string', default: '30' },
      jobs: { type: 'string' },
      workload: { type: 'string' },
      faults: { type: 'string' },
      isolation: { type: 'string' },
      nodes: { type: 'string' },
      verbose: { type: 'boolean', default: false },
    },
  })
  const known = <T extends string>(text: string | undefined, names: readonly T[], what: string) => {
    const words = text?.split(',').filter((word) => word !== '')
    for (const word of words ?? [])
      if (!names.includes(word as T)) throw new Error(`there is no ${what} "${word}": ${names.join(', ')}`)
    return words as T[] | undefined
  }
  const isolations = ['read committed', 'repeatable read', 'serializable'] as const
  return {
    seeds: Number(values.seeds),
    from: Number(values.from),
    seed: values.seed,
    seconds: Number(values.seconds),
    jobs: values.jobs === undefined ? undefined : Number(values.jobs),
    verbose: values.verbose,
    wishes: {
      workloads: known<WorkloadName>(values.workload, workloadNames, 'workload'),
      faults: known<FaultName>(values.faults, faultNames, 'fault'),
      isolation: known<Shape['isolation']>(values.isolation, isolations, 'isolation')?.[0],
      nodes: values.nodes === undefined ? undefined : Number(values.nodes),
    },
  }
}

/** What replays a seed under the same options. */
export function replayCommand(seed: string, { seconds, wishes }: Pick<SuiteOptions, 'seconds' | 'wishes'>): string {
  const words = ['npm run sim --', `--seed ${seed}`]
  if (seconds !== 30) words.push(`--seconds ${seconds}`)
  if (wishes.workloads !== undefined) words.push(`--workload ${wishes.workloads.join(',')}`)
  if (wishes.faults !== undefined) words.push(`--faults ${wishes.faults.join(',')}`)
  if (wishes.isolation !== undefined) words.push(`--isolation '${wishes.isolation}'`)
  if (wishes.nodes !== undefined) words.push(`--nodes ${wishes.nodes}`)
  return words.join(' ')
}
