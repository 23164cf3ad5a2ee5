import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startupOptions } from './startup-options.ts'

test('settings on the command line of a connection', () => {
  assert.deepEqual(startupOptions(''), [])
  assert.deepEqual(startupOptions('-c geqo=off  --work-mem=4MB -csearch_path=a\\ b,c'), [
    ['geqo', 'off'],
    ['work_mem', '4MB'],
    ['search_path', 'a b,c'],
  ])
  assert.throws(() => startupOptions('-x'), /invalid command-line argument/)
  assert.throws(() => startupOptions('-c geqo'), /requires a value/)
})
