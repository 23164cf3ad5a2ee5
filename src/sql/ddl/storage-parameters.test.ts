/** Names in WITH (…): PostgreSQL's and ours are known, each where it belongs; others are refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkParameters } from './storage-parameters.ts'

test('parameters are known where they belong, and ways to merge in local tables only', () => {
  checkParameters(['replication=local', 'merge.title=lww', 'publish.to=x', 'toast.autovacuum_enabled=false'], 'table')
  checkParameters(['continuous=true'], 'materialized view')
  checkParameters(['deduplicate_items=off'], 'index')
  const unknown = { code: 'invalid_parameter_value', message: /^unrecognized parameter/ } as const
  assert.throws(() => checkParameters(['replicaton=local'], 'table'), { ...unknown, hint: /replication/ })
  assert.throws(() => checkParameters(['continuous=true'], 'table'), unknown)
  assert.throws(() => checkParameters(['fillfactor=70'], 'view'), unknown)
  assert.throws(() => checkParameters(['merge.title=lww'], 'table'), { message: /is for tables WITH/ })
})
