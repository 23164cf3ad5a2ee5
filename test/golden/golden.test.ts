import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { check, play } from './runner.ts'

const scripts = globSync(join(import.meta.dirname, 'scripts/*.txt')).sort()

assert.ok(scripts.length > 0, 'there are golden scripts')

for (const path of scripts) {
  test(`golden: ${basename(path)}`, async () => {
    const difference = await check(path)
    if (difference !== undefined) assert.equal(difference.actual, difference.expected)
  })
}

test('a script whose output changed is told apart', async () => {
  const text = 'a> select 1\n  2\n'
  assert.notEqual(await play(text), text)
})
