import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFailpoints } from './failpoints.ts'

test('failpoints are read by name', () => {
  assert.equal(readFailpoints(undefined), undefined)
  assert.equal(readFailpoints(''), undefined)
  assert.deepEqual(readFailpoints('hold-flush'), { holdFlush: true })
  assert.throws(() => readFailpoints('hold-flush,hold-flash'), /no failpoint "hold-flash"/)
})
