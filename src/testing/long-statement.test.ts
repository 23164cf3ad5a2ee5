/** Long statements are parsed by simulated workers: other sessions go on meanwhile, and one seed gives one run. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simCluster } from './index.ts'

const rows = 8000
const values = `values ${Array.from({ length: rows }, (_, i) => `(${i}, 'name ${i}')`).join(', ')}`

async function run(seed: number) {
  await using cluster = await simCluster({ nodes: 3, seed })
  const [slow, quick] = [cluster.connect(1), cluster.connect(1)]
  await slow.script('create table t (id int primary key, name text)')
  const order: string[] = []
  const long = slow.query(values).then(() => order.push('long'))
  for (let i = 0; i < 3; i++) {
    await quick.query('select 1')
    order.push('short')
  }
  await long
  await slow.query(`insert into t ${values}`)
  assert.deepEqual(order, ['short', 'short', 'short', 'long'])
  assert.deepEqual(await quick.sql`select count(*)::int as n, max(name) as name from t`, [
    { n: rows, name: 'name 999' },
  ])
  return cluster.traceHash
}

test('a long statement in simulation: others first, its rows there, the same run twice', {
  timeout: 60_000,
}, async () => {
  const hash = await run(1)
  assert.equal(await run(1), hash)
})
