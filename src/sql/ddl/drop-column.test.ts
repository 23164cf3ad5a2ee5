/** Rows that were written before a column was dropped keep their other columns, whatever the width of the dropped one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open } from '../../client/index.ts'

const types = ['bool', 'int2', 'int4', 'int8', 'float8', 'date', 'timestamp', 'text', 'numeric', 'whole', 'mood']

for (const type of types) {
  test(`a dropped column of ${type}`, async () => {
    const db = await open(':memory:')
    try {
      await db.query('create domain whole as int4')
      await db.query("create type mood as enum ('fine')")
      const literal: Record<string, string> = { text: 'x', mood: 'fine', bool: 't', date: '2020-01-01' }
      const value = literal[type] ?? (type === 'timestamp' ? '2020-01-01' : '7')
      await db.query(`create table t (id int primary key, before text, gone ${type}, after text, n int8)`)
      await db.query(`insert into t values (1, 'b', '${value}', 'a', 5), (2, 'bb', null, 'aa', 6)`)
      await db.query('alter table t drop column gone')
      await db.query("insert into t values (3, 'bbb', 'aaa', 7)")
      if (type === 'whole' || type === 'mood') await db.query(type === 'whole' ? 'drop domain whole' : 'drop type mood')
      assert.deepEqual(
        (await db.query('select * from t order by id')).rows.map((r) => Object.values(r as object).join()),
        ['1,b,a,5', '2,bb,aa,6', '3,bbb,aaa,7'],
      )
    } finally {
      await db.close()
    }
  })
}
