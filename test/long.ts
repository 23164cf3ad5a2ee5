/**
 * A share of the long suites, bounded in time: each suite's long form gets the seed and its part of the seconds.
 *
 *   node test/long.ts --seed 20260101 --seconds 120 [--share 2]      every second suite, others the next day
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const argument = (name: string, fallback: number): number => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? fallback : Number(process.argv[at + 1])
}
const seed = argument('seed', 1)
const seconds = argument('seconds', 120)
const share = argument('share', 1)

interface Suite {
  readonly file: string
  /** What makes it long, and other than yesterday. */
  readonly env: Record<string, string>
}

const all: readonly Suite[] = [
  { file: 'test/torture/storage.test.ts', env: { TORTURE_SEED: `storage ${seed}` } },
  { file: 'test/bad-input/sql-fuzz.test.ts', env: { SEED: String(seed), STATEMENTS: '100000' } },
  { file: 'test/cluster/kill.test.ts', env: { SEED: String(seed), KILLS: '20' } },
  { file: 'test/cluster/failover.test.ts', env: { KILLS: '20', STALLS: '10' } },
  { file: 'test/cluster/faults.test.ts', env: { CUTS: '6' } },
  { file: 'src/wire/pg/fuzz.test.ts', env: { SEED: String(seed), STREAMS: '60000' } },
  { file: 'src/storage/lsm/differential.test.ts', env: { STORAGE_SEED: String(seed), STORAGE_RUNS: '600' } },
  {
    file: 'test/sim/swarm.test.ts',
    env: { SEED: String(seed % 1_000_000), LONG_SECONDS: String(Math.floor(seconds / 3)) },
  },
  {
    file: 'test/sql/differential/differential.test.ts',
    env: { SEED: String(seed), LONG_SECONDS: String(Math.floor(seconds / 4)) },
  },
]
const suites = all.filter((s, i) => (i + seed) % share === 0 && existsSync(`${root}/${s.file}`))

let failed = 0
for (const suite of suites) {
  const words = Object.entries(suite.env).map(([k, v]) => `${k}='${v}'`)
  console.log(`${words.join(' ')} node --test ${suite.file}`)
  const run = spawnSync(process.execPath, ['--test', '--test-reporter=dot', `${root}/${suite.file}`], {
    cwd: root,
    stdio: 'inherit',
    timeout: (seconds + 180) * 1000,
    env: { ...process.env, ...suite.env, NODE_NO_WARNINGS: '1' },
  })
  if (run.status !== 0) failed++
}
console.log(`${suites.length - failed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
