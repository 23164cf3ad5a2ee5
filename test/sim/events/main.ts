/**
 * Runs many seeds of event stores over processes, one per core; `npm run sim -- --workload events` comes here.
 *
 *   npm run sim -- --workload events --seeds 1000 [--from 1] [--jobs 2]
 *   npm run sim -- --workload events --seed 7                  replays one seed, and says what happened
 *
 * One in twenty seeds runs twice and must do the same. Ends with 1 when any seed has a violation, or when too little
 * happened to prove anything.
 *
 * Not here: one seed (run.ts), the simulated cluster (../swarm).
 */
import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type EventsReport, type EventsSeed, runSeed } from './seed-process.ts'

const twinEvery = 20
const replay = (seed: string) => `npm run sim -- --workload events --seed ${seed}`

export interface EventsSuite {
  readonly seeds: number
  readonly from: number
  readonly seed: string | undefined
  readonly jobs: number | undefined
}

/** The exit code. */
export async function simulateEvents(suite: EventsSuite): Promise<number> {
  if (suite.seed !== undefined) {
    const report = await runSeed({ seed: suite.seed, twice: false })
    console.log([...report.steps, ...report.violations].join('\n'))
    return report.violations.length > 0 ? 1 : 0
  }
  const started = process.hrtime.bigint()
  const seeds = Array.from({ length: suite.seeds }, (_, i) => suite.from + i)
  const orders = seeds.map((seed): EventsSeed => ({ seed: String(seed), twice: seed % twinEvery === 0 }))
  const twins = orders.filter((o) => o.twice).length
  const reports = await spread(orders, suite.jobs ?? availableParallelism())
  const failed = reports.filter((r) => r.violations.length > 0)
  for (const { seed, violations } of failed) console.log(`\n${replay(seed)}\n${violations.slice(0, 5).join('\n')}`)
  const sum = (of: (r: EventsReport) => number) => reports.reduce((total, r) => total + of(r), 0)
  const [events, syncs, faults] = [sum((r) => r.events), sum((r) => r.syncs), sum((r) => r.faults)]
  const seconds = Number(process.hrtime.bigint() - started) / 1e9
  console.log(
    `\n${reports.length} seeds (${twins} twice): ${events} events kept, ${syncs} syncs, ${faults} faults in ` +
      `${seconds.toFixed(0)} s; ${failed.length} seeds failed`,
  )
  const enough = events >= 20 * reports.length && syncs >= 3 * reports.length && faults >= reports.length
  if (!enough) console.log('too little happened to prove anything')
  return failed.length > 0 || !enough ? 1 : 0
}

/** Hands seeds to processes as they become free. A process that ends early has failed its seed. */
async function spread(orders: EventsSeed[], jobs: number): Promise<EventsReport[]> {
  const left = orders.slice()
  const reports: EventsReport[] = []
  const work = async () => {
    let child: ChildProcess | undefined
    for (let order = left.shift(); order !== undefined; order = left.shift()) {
      child ??= fork(join(import.meta.dirname, 'seed-process.ts'))
      const report = await ask(child, order)
      if (report !== null && typeof report === 'object') reports.push(report)
      else {
        child = undefined
        const violations = [`error: the process ended with ${report}`]
        reports.push({ seed: order.seed, violations, steps: [], events: 0, syncs: 0, faults: 0 })
      }
      if (reports.length % 50 === 0) console.log(`[${reports.length}/${orders.length}]`)
    }
    child?.disconnect()
  }
  await Promise.all(Array.from({ length: Math.min(jobs, orders.length) }, work))
  return reports
}

/** The report, or the code with which the process ended instead. */
function ask(child: ChildProcess, order: EventsSeed): Promise<EventsReport | number | null> {
  return new Promise((done) => {
    const settle = (answer: unknown) => {
      child.off('message', settle)
      child.off('exit', settle)
      done(answer as EventsReport | number | null)
    }
    child.on('message', settle)
    child.on('exit', settle)
    child.send(order)
  })
}
