/**
 * Runs many seeds of the swarm over worker processes, one per core.
 *
 *   npm run sim -- --seeds 300 [--from 1] [--workload bank,lists] [--faults crash,cut] [--seconds 30] [--jobs 2]
 *   npm run sim -- --seed 7 [--verbose]                    replays one seed, with what its nodes said
 *   npm run sim -- --workload events --seeds 1000          event stores, which are no cluster: events/main.ts
 *
 * One in twenty seeds runs twice and must give the same trace. Ends with 1 when any seed has a violation, or committed too
 * little or suffered too little to prove anything.
 *
 * Not here: one seed (swarm/run.ts).
 */
import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { simulateEvents } from './events/main.ts'
import { describe } from './history.ts'
import { parseOptions, replayCommand, type SuiteOptions } from './swarm/options.ts'
import { runSeed } from './swarm/run.ts'
import type { SeedOrder, SeedReport } from './swarm/seed-process.ts'

/** Of thirty seconds. */
const leastCommitted = 500
const leastFaults = 10
const twinEvery = 20

const words = process.argv.slice(2)
if (words[words.indexOf('--workload') + 1] === 'events') {
  const rest = words.toSpliced(words.indexOf('--workload'), 2)
  process.exitCode = await simulateEvents(parseOptions(rest))
} else {
  const options = parseOptions(words)
  process.exitCode = options.seed === undefined ? await runMany(options) : await replay(options.seed, options)
}

/** Shorter runs than the usual owe proportionally less. */
function leastOf(seconds: number): { leastCommitted: number; leastFaults: number } {
  const share = Math.min(1, seconds / 30)
  return { leastCommitted: leastCommitted * share, leastFaults: Math.floor(leastFaults * share) }
}

async function replay(seed: string, { seconds, wishes, verbose }: SuiteOptions): Promise<number> {
  const started = process.hrtime.bigint()
  const result = await runSeed({ seed, seconds, wishes, ...leastOf(seconds) })
  const realMs = Number(process.hrtime.bigint() - started) / 1e6
  if (verbose) console.log(result.events.join('\n'))
  console.log(`seed ${seed}: ${result.summary}`)
  const speed = (result.simulatedMs / realMs).toFixed(1)
  console.log(`${Math.round(result.simulatedMs)} ms simulated, ${speed} times as fast as real; trace ${result.hash}`)
  if (result.violations.length === 0) return 0
  console.log(describe(result.violations))
  return 1
}

async function runMany(suite: SuiteOptions): Promise<number> {
  const orders = Array.from({ length: suite.seeds }, (_, i): SeedOrder => {
    const { seconds, wishes } = suite
    const twice = (suite.from + i) % twinEvery === 0
    return { seed: String(suite.from + i), seconds, wishes, twice, ...leastOf(seconds) }
  })
  const started = process.hrtime.bigint()
  const failed: SeedReport[] = []
  const sum = { committed: 0, faults: 0, simulatedMs: 0, seeds: 0, twins: 0 }
  const note = (report: SeedReport) => {
    sum.seeds++
    sum.committed += report.committed
    sum.faults += report.faults
    sum.simulatedMs += report.simulatedMs
    if (report.twice) sum.twins++
    if (report.violations.length > 0) failed.push(report)
    const kinds = [...new Set(report.violations.map((v) => v.kind))].join(', ')
    const time = `${(report.simulatedMs / 1000).toFixed(0)} s in ${(report.realMs / 1000).toFixed(1)} s`
    console.log(`[${sum.seeds}/${orders.length}] seed ${report.seed} ${kinds || 'ok'}; ${report.summary}; ${time}`)
  }
  await spread(orders, suite.jobs ?? availableParallelism(), note)
  const realMs = Number(process.hrtime.bigint() - started) / 1e6
  for (const { seed, violations } of failed.sort((a, b) => Number(a.seed) - Number(b.seed)))
    console.log(`\n${replayCommand(seed, suite)}\n${describe(violations, 5)}`)
  console.log(
    `\n${sum.seeds} seeds (${sum.twins} twice): ${sum.committed} operations committed, ${sum.faults} faults; ` +
      `${(sum.simulatedMs / 1000).toFixed(0)} s simulated in ${(realMs / 1000).toFixed(0)} s, ` +
      `${(sum.simulatedMs / realMs).toFixed(1)} times as fast as real; ${failed.length} seeds failed`,
  )
  return failed.length > 0 ? 1 : 0
}

/** Hands orders to processes as they become free. A process that ends early has failed its seed. */
async function spread(orders: SeedOrder[], jobs: number, note: (report: SeedReport) => void): Promise<void> {
  const left = orders.slice()
  const work = async () => {
    let child: ChildProcess | undefined
    for (let order = left.shift(); order !== undefined; order = left.shift()) {
      child ??= fork(join(import.meta.dirname, 'swarm/seed-process.ts'), { execArgv: ['--max-old-space-size=3000'] })
      const report = await ask(child, order)
      if (typeof report === 'object') note(report)
      else {
        child = undefined
        note({ ...nothing(order), violations: [{ kind: 'process-ended', message: report, operations: [] }] })
      }
    }
    child?.disconnect()
  }
  await Promise.all(Array.from({ length: Math.min(jobs, orders.length) }, work))
}

function nothing({ seed, twice }: SeedOrder): Omit<SeedReport, 'violations'> {
  return { seed, summary: '', committed: 0, faults: 0, simulatedMs: 0, realMs: 0, twice }
}

function ask(child: ChildProcess, order: SeedOrder): Promise<SeedReport | string> {
  return new Promise((done) => {
    const settle = (answer: SeedReport | string) => {
      child.off('message', settle as (message: unknown) => void)
      child.off('exit', ended)
      done(answer)
    }
    const ended = (code: number | null, signal: string | null) => settle(`the process ended with ${code ?? signal}`)
    child.on('message', settle as (message: unknown) => void)
    child.on('exit', ended)
    child.send(order)
  })
}
