/** pg_sleep on simulated time: how long, in every place of a statement, and how it ends early. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sim } from '../../testing/index.ts'

test(
  'each call sleeps its time once per row; others are served; a sleep times out and is cancelled',
  sim({ nodes: 1, seeds: 1 }, async (cluster) => {
    const db = cluster.connect(1)
    /** Whole tenths of seconds that the statement takes, by its own clock. */
    const tenths = async (sql: string): Promise<number> => {
      const { rows } = await db.query('select extract(epoch from clock_timestamp()) * 10 as t')
      await db.query(sql)
      const after = await db.query('select extract(epoch from clock_timestamp()) * 10 as t')
      return Math.floor(Number(after.rows[0].t) - Number(rows[0].t))
    }
    assert.equal(await tenths('select pg_sleep(10)'), 100)
    assert.equal(await tenths('select pg_sleep(10), pg_sleep(20)'), 300)
    assert.equal(await tenths('select 1 where pg_sleep(10) is not null and pg_sleep(20) is not null'), 300)
    assert.equal(await tenths('select pg_sleep(10) from generate_series(1, 3)'), 300)
    assert.equal(await tenths('do $$ begin perform pg_sleep(10); perform pg_sleep(5); end $$'), 150)
    assert.equal(await tenths("select pg_sleep('nan'), pg_sleep(-1), pg_sleep(null)"), 0)
    await assert.rejects(
      db.transaction(async (tx) => {
        await tx.query("set local statement_timeout = '1s'")
        await tx.query('select pg_sleep(1e9)')
      }),
      { code: 'query_canceled' },
    )
    assert.equal(await tenths('select pg_sleep(10)'), 100)
  }),
)
