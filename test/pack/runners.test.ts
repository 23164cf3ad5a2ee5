/**
 * The package in the test runners that users have, on the versions of Node that it supports: node:test, vitest, and jest
 * as it comes, which takes CommonJS only.
 *
 *   npm run test:runners         installs them first; without them these tests are skipped
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Installed, install } from './installed.ts'

const runners = join(import.meta.dirname, 'runners')
const modules = join(runners, 'node_modules')
const body = readFileSync(join(runners, 'body.js.txt'), 'utf8')
const versions = ['node-22-floor', 'node-22', 'node-24'].map((name) => ({
  name,
  path: join(modules, name, 'bin/node'),
}))

const files = {
  'node.test.mjs': `import { strict as assert } from 'node:assert'
    import { mock, test } from 'node:test'
    import { DbError, sim } from 'latticedb/testing'
    const equal = assert.deepEqual
    const fakeTimers = () => mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] })
    const realTimers = () => mock.timers.reset()
    ${body}`,
  'vitest.spec.ts': `import { expect, test, vi } from 'vitest'
    import { DbError, sim } from 'latticedb/testing'
    const equal = (a: unknown, b: unknown) => expect(a).toEqual(b)
    const fakeTimers = () => vi.useFakeTimers()
    const realTimers = () => vi.useRealTimers()
    ${body.replaceAll('(cluster)', '(cluster: any)').replaceAll('(e)', '(e: any)')}`,
  'jest.check.js': `const { DbError, sim } = require('latticedb/testing')
    const equal = (a, b) => expect(a).toEqual(b)
    const fakeTimers = () => jest.useFakeTimers()
    const realTimers = () => jest.useRealTimers()
    ${body}`,
  'jest.config.cjs': `module.exports = { testMatch: ['**/*.check.js'], testTimeout: 30000, haste: { enableSymlinks: false } }`,
  'vitest.config.mjs': `export default { test: { include: ['**/*.spec.ts'], testTimeout: 30000 } }`,
  'package.json': '{"private":true}',
}

const commands: Record<string, readonly string[]> = {
  'node:test': ['--test', 'node.test.mjs'],
  vitest: [join(modules, 'vitest/vitest.mjs'), 'run'],
  jest: [join(modules, 'jest/bin/jest.js'), '--ci'],
}

const absent = existsSync(modules) ? undefined : 'test runners: npm run test:runners brings them'
let here: Installed

before(() => {
  if (absent !== undefined) return
  here = install(runners)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(here.directory, name), text)
  symlinkSync(join(modules, 'vitest'), join(here.directory, 'node_modules/vitest'))
})
after(() => here && rmSync(here.directory, { recursive: true }))

function run(node: string, runner: string, env: Record<string, string> = {}): { status: number | null; out: string } {
  const inherited = Object.entries(process.env).filter(([name]) => !/^NODE_|^LATTICE_|^VITEST|^JEST/.test(name))
  const done = spawnSync(node, commands[runner] as string[], {
    cwd: here.directory,
    encoding: 'utf8',
    env: { ...Object.fromEntries(inherited), CI: '1', NO_COLOR: '1', ...env },
  })
  return { status: done.status, out: `${done.stdout}\n${done.stderr}` }
}

for (const runner of Object.keys(commands)) {
  for (const { name, path } of [...versions, { name: 'the Node that runs this', path: process.execPath }]) {
    const missing = absent ?? (existsSync(path) ? undefined : name)
    test(`${runner} on ${name}`, { skip: missing }, () => {
      const { status, out } = run(path, runner)
      assert.equal(status, 0, out)
    })
  }
  test(`a failure in ${runner} tells its seed and how to replay it`, { skip: absent }, () => {
    const { status, out } = run(process.execPath, runner, { PLANTED: '1' })
    assert.notEqual(status, 0)
    assert.match(out, /seed 2, replay: LATTICE_SEED=2 (node --test|npx vitest run|npx jest) .*a planted failure/)
    assert.match(out, /Expected|expected/)
  })
}
