/**
 * A process that runs the seeds it is told, one after another.
 *
 *   parent ── { seed, seconds, wishes, twice } ──►
 *          ◄─ report ─────────────────────────────
 *
 * Not here: which seeds (main.ts).
 */
import type { Violation } from '../history.ts'
import type { Wishes } from './draw.ts'
import { runSeed } from './run.ts'

export interface SeedOrder {
  readonly seed: string
  readonly seconds: number
  readonly wishes: Wishes
  /** Runs it again: the trace must be the same. */
  readonly twice: boolean
  readonly leastCommitted: number
  readonly leastFaults: number
}

export interface SeedReport {
  readonly seed: string
  readonly summary: string
  readonly violations: readonly Violation[]
  readonly committed: number
  readonly faults: number
  /** Of all runs of the seed. */
  readonly simulatedMs: number
  readonly realMs: number
  readonly twice: boolean
}

async function carryOut(order: SeedOrder): Promise<SeedReport> {
  const started = process.hrtime.bigint()
  const { seed, summary, violations, committed, faults, simulatedMs, hash } = await runSeed(order)
  const all = [...violations]
  let simulated = simulatedMs
  if (order.twice) {
    const again = await runSeed(order)
    simulated += again.simulatedMs
    if (again.hash !== hash)
      all.push({ kind: 'not-repeatable', message: `one run has trace ${hash}, the next ${again.hash}`, operations: [] })
  }
  const realMs = Number(process.hrtime.bigint() - started) / 1e6
  return { seed, summary, violations: all, committed, faults, simulatedMs: simulated, realMs, twice: order.twice }
}

process.on('message', (order: SeedOrder) => {
  carryOut(order).then(
    (report) => process.send!(report),
    (error) => {
      console.error(error)
      process.exit(1)
    },
  )
})
