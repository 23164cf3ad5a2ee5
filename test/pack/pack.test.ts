/** The package as it is published, used as a stranger uses it: a program, its types, and the command line. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { version } from '../../src/base/index.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'lattice-pack-'))
const installed = join(directory, 'node_modules/latticedb')

function run(command: string, ...args: string[]): string {
  const done = spawnSync(command, args, { cwd: directory, encoding: 'utf8' })
  assert.equal(done.status, 0, `${command} ${args.join(' ')}\n${done.stdout}\n${done.stderr}`)
  return done.stdout
}

before(() => {
  run(process.execPath, join(root, 'tools/pack.ts'), installed)
  // Its dependencies, and nothing else of the checkout's.
  const { dependencies } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'))
  mkdirSync(join(installed, 'node_modules'))
  for (const name of Object.keys(dependencies)) {
    const target = join(installed, 'node_modules', name)
    mkdirSync(join(target, '..'), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), target)
  }
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
})
after(() => rmSync(directory, { recursive: true }))

test('there is no TypeScript in it but declarations, and no test', () => {
  const files = readdirSync(installed, { recursive: true, encoding: 'utf8' }).filter(
    (f) => !f.startsWith('node_modules'),
  )
  assert.deepEqual(
    files.filter((f) => (/\.ts$/.test(f) && !/\.d\.ts$/.test(f)) || /\.(test|conformance|fixture)\./.test(f)),
    [],
  )
})

test('a program opens a database in memory and on disk', () => {
  writeFileSync(
    join(directory, 'program.js'),
    `import { open } from 'latticedb'
     for (const where of [':memory:', './data', './data']) {
       const db = await open(where)
       await db.query('create table if not exists visit (id int primary key)')
       await db.sql\`insert into visit select count(*) + 1 from visit\`
       console.log((await db.query('select count(*)::int as n from visit')).rows[0].n)
       await db.close()
     }`,
  )
  assert.equal(run(process.execPath, 'program.js'), '1\n1\n2\n')
})

test('its declarations type a program', () => {
  writeFileSync(
    join(directory, 'typed.ts'),
    `import { open } from 'latticedb'
     const db = await open(':memory:')
     const { rows } = await db.query<{ n: number }>('select 1 as n')
     export const n: number = rows[0].n
     // @ts-expect-error a column that is not there
     export const m = rows[0].m`,
  )
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node']
  run(join(root, 'node_modules/.bin/tsc'), ...options, '--typeRoots', join(root, 'node_modules/@types'), 'typed.ts')
})

test('its command line says its version', () => {
  assert.equal(run(join(installed, 'bin/lattice'), '--version').trim(), version)
  assert.equal(JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')).version, version)
})
