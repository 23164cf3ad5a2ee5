/** The package as it is published, used as a stranger uses it: a program, its types, and the command line. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { version } from '../../src/base/index.ts'
import { type Installed, install, root } from './installed.ts'

let here: Installed
let directory: string
let installed: string
const run = (command: string, ...args: string[]) => here.run(command, ...args)

before(() => {
  here = install()
  directory = here.directory
  installed = here.package
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}')
})
after(() => rmSync(directory, { recursive: true }))

test('there is no TypeScript in it but declarations, and no test', () => {
  const files = readdirSync(installed, { recursive: true, encoding: 'utf8' }).filter(
    (f) => !f.startsWith('node_modules'),
  )
  assert.deepEqual(
    files.filter((f) => (/\.ts$/.test(f) && !/\.d\.ts$/.test(f)) || /\.(test|conformance|fixture|harness)\./.test(f)),
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

test('a CommonJS program has the client and the simulated cluster', () => {
  writeFileSync(
    join(directory, 'program.cjs'),
    `const { open, DbError } = require('latticedb')
     const { simCluster, DbError: same } = require('latticedb/testing')
     ;(async () => {
       const db = await open(':memory:')
       const cluster = await simCluster({ nodes: 3 })
       for (const client of [db, cluster.connect(2)])
         console.log((await client.query('select 1 + 1 as n')).rows[0].n, DbError === same)
       await cluster[Symbol.asyncDispose]()
       await db.close()
     })()`,
  )
  assert.equal(run(process.execPath, 'program.cjs'), '2 true\n2 true\n')
})

test('its declarations type a program', () => {
  writeFileSync(
    join(directory, 'typed.ts'),
    `import { open } from 'latticedb'
     const db = await open(':memory:')
     const { rows } = await db.query<{ n: number }>('select 1 as n')
     export const n: number = rows[0].n
     // @ts-expect-error a column that is not there
     export const m = rows[0].m
     import { sim, simCluster } from 'latticedb/testing'
     await using cluster = await simCluster({ nodes: 5, seed: 42 })
     using cut = cluster.partition([1], [2, 3])
     await cluster.advance('3s')
     // @ts-expect-error no duration
     await cluster.advance('soon')
     export const body: () => Promise<void> = sim({ nodes: 3, seeds: 2 }, async (c) => c.heal())`,
  )
  const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node']
  run(join(root, 'node_modules/.bin/tsc'), ...options, '--typeRoots', join(root, 'node_modules/@types'), 'typed.ts')
})

test('its command line says its version', () => {
  assert.equal(run(join(installed, 'bin/lattice'), '--version').trim(), version)
  assert.equal(JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')).version, version)
})

test('a program opens an event store', () => {
  writeFileSync(
    join(directory, 'events.js'),
    `import { EventStore, view } from 'latticedb/events'
     const total = view()({ name: 'total', version: 1, initial: 0, reduce: (sum, e) => sum + e.value })
     for (let i = 0; i < 2; i++) {
       await using store = await EventStore.open('numbers', { at: './events', schema: { type: 'integer' } })
       await store.append([1, 2])
       console.log(store.count, await (await store.view(total)).get())
     }`,
  )
  assert.equal(run(process.execPath, 'events.js'), '2 3\n4 6\n')
})
