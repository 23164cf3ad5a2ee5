import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { planted } from './views-planted.harness.ts'

const here = import.meta.dirname

for (const [i, { breaks, file, find, test: which }] of planted.entries()) {
  test(`found: ${breaks}`, async () => {
    const places = readFileSync(join(here, file), 'utf8').split(find).length - 1
    assert.equal(places, 1, `${file} has ${places} times instead of once: ${find}`)
    const code = await new Promise<unknown>((resolve) => {
      const args = ['--import', join(here, 'views-planted.harness.ts'), join(here, `${which}.test.ts`)]
      const env = { ...process.env, PLANT: String(i), NODE_TEST_CONTEXT: undefined }
      execFile(process.execPath, args, { env, timeout: 60_000 }, (error) => resolve(error?.code ?? 0))
    })
    assert.equal(code, 1, 'the test fails')
  })
}
