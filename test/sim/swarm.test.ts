/**
 * A few seeds of the swarm, for every change: other ones with another SEED. More: `npm run sim`.
 *
 *   replay: npm run sim -- --seed <n> --seconds 12      longer: SEED=<n> LONG_SECONDS=<s> node --test test/sim/swarm.test.ts
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describe } from './history.ts'
import { replayCommand } from './swarm/options.ts'
import { type RunResult, runSeed } from './swarm/run.ts'

const seconds = 12
const first = Number(process.env.SEED ?? 1) * 1000
const longSeconds = Number(process.env.LONG_SECONDS ?? 0)
const fewest = 5

async function run(seed: number): Promise<RunResult> {
  const result = await runSeed({ seed: String(seed), seconds, leastCommitted: 200, leastFaults: 4 })
  const replay = replayCommand(String(seed), { seconds, wishes: {} })
  assert.equal(result.violations.length, 0, `${replay}\n${result.summary}\n${describe(result.violations)}`)
  return result
}

test('simulated clusters keep their promises whatever goes wrong', async (t) => {
  const started = process.hrtime.bigint()
  const passed = () => Number(process.hrtime.bigint() - started) / 1e9
  for (let i = 0; i < fewest || passed() < longSeconds; i++) {
    const { summary } = await run(first + i)
    t.diagnostic(`seed ${first + i}: ${summary}`)
  }
})

test('one seed is one run', async () => {
  const one = await run(first + 1)
  const two = await run(first + 1)
  assert.equal(two.hash, one.hash, replayCommand(String(first + 1), { seconds, wishes: {} }))
})
