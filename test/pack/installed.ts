/** The package built and installed in a directory of its own, as a stranger would have it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Installed {
  /** Programs in it import 'latticedb'. */
  readonly directory: string
  /** node_modules/latticedb */
  readonly package: string
  /** Runs a command there and returns what it printed. Fails the test unless it succeeds. */
  run(command: string, ...args: string[]): string
}

/** Makes it below a parent directory; its dependencies are the checkout's, and nothing else of the checkout is seen. */
export function install(parent: string = tmpdir()): Installed {
  const directory = mkdtempSync(join(parent, 'lattice-pack-'))
  const target = join(directory, 'node_modules/latticedb')
  const run = (command: string, ...args: string[]): string => {
    const done = spawnSync(command, args, { cwd: directory, encoding: 'utf8' })
    assert.equal(done.status, 0, `${command} ${args.join(' ')}\n${done.stdout}\n${done.stderr}`)
    return done.stdout
  }
  run(process.execPath, join(root, 'tools/pack.ts'), target)
  const { dependencies } = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8'))
  mkdirSync(join(target, 'node_modules'))
  for (const name of Object.keys(dependencies)) {
    const link = join(target, 'node_modules', name)
    mkdirSync(join(link, '..'), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), link)
  }
  return { directory, package: target, run }
}
