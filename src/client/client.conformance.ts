/**
 * What every client must do, whatever it talks to. Run by the tests of the embedded and of the remote client, and
 * against PostgreSQL itself to prove that the suite is right.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Client, DbError } from './client.ts'
import { fragment, identifier } from './sql-template.ts'

export function clientConformance(name: string, open: () => Promise<Client>): void {
  describe(name, () => suites(open))
}

function suites(open: () => Promise<Client>): void {
  let db: Client

  before(async () => {
    db = await open()
    await db.script('drop table if exists conformance; drop table if exists "Odd.Name"')
    await db.query('create table conformance (id int primary key, name text, data jsonb, tags text[])')
  })
  after(async () => {
    await db.script('drop table if exists conformance')
    await db.close()
  })

  test('values come back as documented', async () => {
    const { rows, fields, rowCount, command } = await db.query(
      `select true as b, 1::int2 as i2, 2 as i4, 3::int8 as i8, 9007199254740993::int8 as big, 1.50 as n, 0.5::float8 as f,
        'x' as t, '\\x00ff'::bytea as bytes, '{"a":[1]}'::jsonb as j, array[1,null,3] as ints, '{{a,"b c"},{NULL,"d\\"e"}}'::text[] as texts,
        '2024-02-29 12:34:56.789+02'::timestamptz at time zone 'UTC' as ts, '2024-02-29 12:34:56.789+02'::timestamptz as tz,
        '2024-02-29'::date as d, null as nothing, 'NaN'::float8 as nan, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid as u`,
    )
    const [row] = rows
    assert.ok(row.bytes instanceof Uint8Array)
    assert.ok(Number.isNaN(row.nan))
    assert.equal(row.tz.toISOString(), '2024-02-29T10:34:56.789Z')
    const { bytes, nan: _, tz: __, ...rest } = row
    assert.deepEqual([...bytes], [0, 255])
    assert.deepEqual(rest, {
      b: true,
      i2: 1,
      i4: 2,
      i8: 3,
      big: 9007199254740993n,
      n: '1.50',
      f: 0.5,
      t: 'x',
      j: { a: [1] },
      ints: [1, null, 3],
      texts: [
        ['a', 'b c'],
        [null, 'd"e'],
      ],
      ts: '2024-02-29 10:34:56.789',
      d: '2024-02-29',
      nothing: null,
      u: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    }) // prettier-ignore
    assert.equal(rowCount, 1)
    assert.equal(command, 'SELECT')
    assert.deepEqual(
      fields.slice(0, 3).map((field) => [field.name, field.dataTypeID]),
      [
        ['b', 16],
        ['i2', 21],
        ['i4', 23],
      ],
    ) // prettier-ignore
  })

  test('parameters of every kind', async () => {
    const when = (await db.query(`select '2020-01-02 03:04:05Z'::timestamptz as w`)).rows[0].w
    const { rows } = await db.query(
      `select $1::int4 as i, $2::text as t, $3::bool as b, $4::jsonb as j, $5::int4[] as a, $6::timestamptz as w,
        $7::bytea as y, $8::text as n, $9::int8 as big, $10::numeric as d, $11::text[] as s, $12::float8 as f`,
      [
        -7,
        'ü',
        false,
        { k: ['v'] },
        [1, 2],
        when,
        Buffer.from([1, 2]),
        undefined,
        2n ** 62n,
        '12.30',
        ['a"b', null, '\\'],
        1e300,
      ],
    )
    const { w, y, ...rest } = rows[0]
    assert.equal(w.getTime(), when.getTime())
    assert.deepEqual([...y], [1, 2])
    assert.deepEqual(rest, {
      i: -7,
      t: 'ü',
      b: false,
      j: { k: ['v'] },
      a: [1, 2],
      n: null,
      big: 2n ** 62n,
      d: '12.30',
      s: ['a"b', null, '\\'],
      f: 1e300,
    }) // prettier-ignore
    await assert.rejects(db.query('select $1::text', [() => 1]), { code: 'invalid_parameter_value' })
  })

  test('rows as arrays, templates with fragments', async () => {
    assert.deepEqual((await db.query('select 1 as a, 2 as a', [], { arrays: true })).rows, [[1, 2]])
    assert.deepEqual((await db.query('select 1 as a, 2 as a')).rows, [{ a: 2 }])
    const filter = fragment`where v > ${1}`
    const rows = await db.sql`select ${identifier('v')} from generate_series(1, 3) as g(v) ${filter} and v < ${10}`
    assert.deepEqual(rows, [{ v: 2 }, { v: 3 }])
  })

  test('scripts, commands, row counts', async () => {
    const results = await db.script(`
      insert into conformance (id, name) values (1, 'one'), (2, 'two');
      select name from conformance order by id; update conformance set name = upper(name) where id = 2`)
    assert.deepEqual(
      results.map(({ command, rowCount }) => [command, rowCount]),
      [
        ['INSERT', 2],
        ['SELECT', 2],
        ['UPDATE', 1],
      ],
    ) // prettier-ignore
    assert.deepEqual(results[1].rows, [{ name: 'one' }, { name: 'two' }])
    const gone = await db.query('delete from conformance where id = any($1) returning name', [[1, 2]])
    assert.deepEqual(gone.rows.map((row) => row.name).sort(), ['TWO', 'one'])
    assert.equal(gone.rowCount, 2)
    assert.equal((await db.query('')).rowCount, 0)
    assert.deepEqual(await db.script(' ; '), await db.script(''))
  })

  test('errors carry every field, and the client goes on', async () => {
    await db.query('insert into conformance (id) values (1)')
    await assert.rejects(db.query('insert into conformance (id) values ($1)', [1]), (error) => {
      assert.ok(error instanceof DbError)
      assert.equal(error.code, 'unique_violation')
      assert.equal(error.sqlstate, '23505')
      assert.equal(error.constraint, 'conformance_pkey')
      assert.equal(error.table, 'conformance')
      assert.match(error.detail ?? '', /\(id\)=\(1\)/)
      return true
    })
    await assert.rejects(db.query('select nothing_of_that_name'), { code: 'undefined_column', position: 8 })
    await assert.rejects(db.query('select $1::int4', ['x']), { code: 'invalid_text_representation' })
    await assert.rejects(db.query('select $1::int4', []), DbError)
    await assert.rejects(db.script('select 1; selec 2'), { code: 'syntax_error' })
    assert.deepEqual((await db.query('select count(*) as n from conformance')).rows, [{ n: 1 }])
    await db.query('delete from conformance')
  })

  test('many statements at once', async () => {
    const all = await Promise.all(Array.from({ length: 60 }, (_, i) => db.query('select $1::int4 as i', [i])))
    assert.deepEqual(
      all.map(({ rows }) => rows[0].i),
      Array.from({ length: 60 }, (_, i) => i),
    ) // prettier-ignore
  })

  test('transactions commit, roll back, nest and are disposed of', async () => {
    const count = async () => (await db.query('select count(*) as n from conformance')).rows[0].n
    await db.transaction(async (tx) => {
      await Promise.all([1, 2, 3].map((id) => tx.query('insert into conformance (id) values ($1)', [id])))
      assert.equal(await count(), 0, 'not seen before commit')
    })
    assert.equal(await count(), 3)
    const failure = new Error('mine')
    await assert.rejects(
      db.transaction(async (tx) => {
        await tx.sql`delete from conformance`
        throw failure
      }),
      (error) => error === failure,
    )
    assert.equal(await count(), 3)
    {
      await using tx = await db.begin()
      await tx.query('delete from conformance')
    }
    assert.equal(await count(), 3)
    const tx = await db.begin({ isolation: 'repeatable read', readOnly: true })
    assert.deepEqual((await tx.query('show transaction_isolation')).rows, [
      { transaction_isolation: 'repeatable read' },
    ])
    await assert.rejects(tx.query('delete from conformance'), { code: 'read_only_sql_transaction' })
    await assert.rejects(tx.query('select 1'), { code: 'in_failed_sql_transaction' })
    await assert.rejects(tx.commit(), { code: 'in_failed_sql_transaction' })
    assert.ok(!tx.open)
    await assert.rejects(tx.query('select 1'), { code: 'no_active_sql_transaction' })
    await db.transaction(async (outer) => {
      await outer.query('insert into conformance (id) values (4)')
      await assert.rejects(
        outer.savepoint((inner) => inner.query('insert into conformance (id) values (4)')),
        {
          code: 'unique_violation',
        },
      )
      await outer.savepoint((inner) => inner.query('insert into conformance (id) values (5)'))
    })
    assert.equal(await count(), 5)
    await db.query('delete from conformance')
  })

  test('a transaction that loses to another one runs again', async () => {
    await db.query('insert into conformance (id, name) values (1, $1)', ['0'])
    let attempts = 0
    await db.transaction(
      async (tx) => {
        attempts++
        const { rows } = await tx.query('select name from conformance where id = 1')
        if (attempts < 3) await db.query('update conformance set name = (name::int + 10)::text where id = 1')
        await tx.query('update conformance set name = $1 where id = 1', [String(Number(rows[0].name) + 1)])
      },
      { isolation: 'repeatable read', retries: 5 },
    )
    assert.equal(attempts, 3)
    assert.deepEqual((await db.query('select name from conformance')).rows, [{ name: '21' }])
    const hopeless = db.transaction(
      async (tx) => {
        await tx.query('select name from conformance where id = 1')
        await db.query('update conformance set name = (name::int + 1)::text where id = 1')
        await tx.query("update conformance set name = '0' where id = 1")
      },
      { isolation: 'repeatable read', retries: 1 },
    )
    await assert.rejects(hopeless, { code: 'serialization_failure' })
    await db.query('delete from conformance')
  })

  test('cursors fetch in batches, end early, run inside transactions', async () => {
    const text = 'select g as v from generate_series(1, $1::int4) as g'
    let sum = 0
    for await (const row of db.cursor<{ v: number }>(text, [2500], { batchRows: 100 })) sum += row.v
    assert.equal(sum, (2500 * 2501) / 2)
    for await (const row of db.cursor<{ v: number }>(text, [2500])) if (row.v === 7) break
    for await (const _ of db.cursor('select 1 where false')) assert.fail()
    await assert.rejects(
      async () => {
        for await (const row of db.cursor('select 10 / (5 - g) as q from generate_series(1, 9) as g', [], {
          batchRows: 2,
        })) {
          assert.ok(row.q > 0)
        }
      },
      { code: 'division_by_zero' },
    ) // prettier-ignore
    await db.transaction(async (tx) => {
      let rows = 0
      for await (const row of tx.cursor<{ v: number }>(text, [25], { batchRows: 10 })) {
        rows++
        await tx.query('insert into conformance (id) values ($1)', [row.v])
      }
      assert.equal(rows, 25)
      for await (const _ of tx.cursor(text, [25], { batchRows: 10 })) break
      assert.deepEqual((await tx.query('select count(*) as n from conformance')).rows, [{ n: 25 }])
    })
    await db.query('delete from conformance')
  })

  test('bulk insert with progress, all or nothing', async () => {
    function* rows(count: number) {
      for (let i = 0; i < count; i++) {
        yield { id: i, name: i % 3 === 0 ? null : `tab\there \\ ${i}\n`, data: { i }, tags: ['a b', `{${i}}`] }
      }
    }
    const seen: number[] = []
    const count = await db.bulkInsert('conformance', rows(5000), { progress: (p) => seen.push(p.rows) })
    assert.equal(count, 5000)
    assert.ok(seen.length > 2)
    assert.equal(seen.at(-1), 5000)
    assert.deepEqual((await db.query('select * from conformance where id = 4000')).rows, [
      { id: 4000, name: 'tab\there \\ 4000\n', data: { i: 4000 }, tags: ['a b', '{4000}'] },
    ])
    await assert.rejects(db.bulkInsert('public.conformance', rows(3)), { code: 'unique_violation' })
    async function* broken() {
      yield { id: -1 }
      throw new Error('source failed')
    }
    await assert.rejects(db.bulkInsert('conformance', broken()), /source failed/)
    assert.equal(await db.bulkInsert('conformance', []), 0)
    const arrays = [
      [-2, 'x'],
      [-3, null],
    ] as const // prettier-ignore
    assert.equal(await db.bulkInsert('conformance', arrays, { columns: ['id', 'name'] }), 2)
    assert.deepEqual((await db.query('select id, name from conformance where id < 0 order by id')).rows, [
      { id: -3, name: null },
      { id: -2, name: 'x' },
    ])
    await db.query('delete from conformance')
    await db.query('create table "Odd.Name" (a int)')
    await db.query('drop table "Odd.Name"')
  })

  test('COPY as bytes, both ways', async () => {
    const lines = ['1\tone\n2\tt', 'wo\n3\t\\N\n'].map((text) => Buffer.from(text))
    assert.equal(await db.copyIn('copy conformance (id, name) from stdin', lines), 3)
    const pieces: Uint8Array[] = []
    for await (const piece of db.copyOut('copy (select id, name from conformance order by id) to stdout'))
      pieces.push(piece)
    assert.equal(Buffer.concat(pieces).toString(), '1\tone\n2\ttwo\n3\t\\N\n')
    let first = 0
    for await (const _ of db.copyOut('copy (select g from generate_series(1, 200000) as g) to stdout')) {
      if (++first === 2) break
    }
    await assert.rejects(db.copyIn('copy conformance (id) from stdin', [Buffer.from('x\n')]), {
      code: 'invalid_text_representation',
    })
    await assert.rejects(db.copyIn('select 1', []), { code: 'wrong_object_type' })
    await db.query('delete from conformance')
  })

  test('LISTEN as an async iterator', async () => {
    await using news = await db.listen('Some news')
    await db.query(`notify "Some news", 'first'`)
    await db.transaction(async (tx) => {
      await tx.query("select pg_notify('Some news', $1)", ['second'])
    })
    const got: string[] = []
    for await (const message of news) if (got.push(message.payload) === 2) break
    assert.deepEqual(got, ['first', 'second'])
  })

  test('a signal cancels', async () => {
    const controller = new AbortController()
    const slow = db.query('select count(*) from generate_series(1, 100000) a, generate_series(1, 100000) b', [], {
      signal: controller.signal,
    })
    const failed = assert.rejects(slow, { code: 'query_canceled' })
    await db.query('select 1')
    controller.abort()
    await failed
    await assert.rejects(db.query('select 1', [], { signal: controller.signal }), { code: 'query_canceled' })
  })
}
