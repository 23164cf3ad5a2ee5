/**
 * The select files of SQLite's suite, over the wire, with the plan cache and without: a share of their queries drawn by
 * a seed, and all of them with LATTICE_LONG=1. The files lie beside the checkout (or where LATTICE_TEST_DATA says);
 * without them the suite is skipped.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { startTestServer, type TestServer } from '../clients/server.ts'
import { runFile } from './sqllogictest.ts'

const data = process.env.LATTICE_TEST_DATA ?? resolve(import.meta.dirname, '../../../shared/data')
const directory = join(data, 'sqllogictest')
const skip = existsSync(directory) ? false : `no files in ${directory}`
const long = process.env.LATTICE_LONG !== undefined
const seed = Number(process.env.SEED ?? Math.floor(Date.now() / 1000) % 1000)

let server: TestServer
before(async () => {
  if (skip === false) server = await startTestServer('sqllogictest')
})
after(async () => {
  if (skip === false) await server.close()
})

for (const cache of [true, false]) {
  for (const name of ['select1', 'select2', 'select3', 'select4', 'select5']) {
    const of = long ? 1 : name === 'select4' ? 6 : 3
    test(`${name}, plan cache ${cache ? 'on' : 'off'}`, { skip }, async (t) => {
      const share = { part: seed % of, of }
      t.diagnostic(`queries ${share.part}/${of}; replay with SEED=${seed}`)
      const { passed, failures } = await runFile(join(directory, `${name}.test`), { url: server.url, cache, share })
      const shown = failures.slice(0, 5).map((f) => `${f.file}:${f.line} ${f.why}\n  ${f.sql}`)
      assert.equal(
        failures.length,
        0,
        `SEED=${seed}: ${failures.length} of ${passed + failures.length} failed\n${shown.join('\n')}`,
      )
      assert.ok(passed > 100, `only ${passed} records ran`)
    })
  }
}
