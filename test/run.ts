/**
 * Runs the test suites that fit a few minutes, in groups: unit tests beside their sources, tidy rules, golden scripts,
 * suites against real clients. What needs software that is not here is skipped by name.
 *
 *   node test/run.ts            everything
 *   node test/run.ts unit       one group
 */
import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname, '..')

const groups: Record<string, readonly string[]> = {
  tidy: ['test/tidy/*.test.ts'],
  unit: ['src/**/*.test.ts'],
  suites: ['test/{torture,sim,golden,conformance,sql,wire,clients,cluster,bad-input,events,pack}/**/*.test.ts'],
}

mkdirSync(join(root, '.tmp'), { recursive: true })
const asked = process.argv.slice(2)
let failed = false
for (const [name, patterns] of Object.entries(groups)) {
  if (asked.length > 0 && !asked.includes(name)) continue
  const files = patterns.flatMap((p) => globSync(p, { cwd: root, exclude: ['**/node_modules/**'] })).sort()
  if (files.length === 0) {
    console.error(`no test matches ${patterns.join(' ')}`)
    process.exit(1)
  }
  console.log(`\n── ${name}: ${files.length} files`)
  const run = spawnSync(
    process.execPath,
    [
      '--test',
      '--test-reporter=dot',
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter-destination=${join(root, '.tmp', `${name}.log`)}`,
      '--test-concurrency=2',
      // What hangs fails by its name.
      '--test-timeout=300000',
      ...files,
    ],
    {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, NODE_NO_WARNINGS: '1' },
    },
  )
  if (run.status !== 0) failed = true
}
process.exit(failed ? 1 : 0)
