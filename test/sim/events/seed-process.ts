/**
 * A process that runs the seeds it is told, one after another: `{ seed, twice }` in, a report out.
 *
 * Not here: which seeds (main.ts).
 */
import { runEvents } from './run.ts'

export interface EventsSeed {
  readonly seed: string
  /** Runs it again: the same must happen. */
  readonly twice: boolean
}

export interface EventsReport {
  readonly seed: string
  readonly violations: readonly string[]
  readonly steps: readonly string[]
  readonly events: number
  readonly syncs: number
  readonly faults: number
}

export async function runSeed({ seed, twice }: EventsSeed): Promise<EventsReport> {
  const { hash, ...result } = await runEvents({ seed, on: seed.startsWith('memory-') ? 'memory' : 'disk' })
  if (!twice) return { seed, ...result }
  const second = await runEvents({ seed, on: 'disk' })
  const differs = second.hash === hash ? [] : [`not repeatable: ${hash} and then ${second.hash}`]
  return { seed, ...result, violations: [...result.violations, ...differs] }
}

if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  process.on('message', async (order: EventsSeed) => {
    process.send!(await runSeed(order))
  })
}
