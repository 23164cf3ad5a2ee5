/** Small tables of many types, full of NULLs and equal values, that the generated statements run over. */
import type { Draw } from './random.ts'

export interface Column {
  readonly name: string
  readonly type: string
}

export interface Table {
  readonly name: string
  readonly columns: readonly Column[]
}

const columns = (text: string): Column[] =>
  text.split(', ').map((c) => {
    const at = c.indexOf(' ')
    return { name: c.slice(0, at), type: c.slice(at + 1) }
  })

export const tables: readonly Table[] = [
  { name: 't1', columns: columns('id int4, a int4, b int8, c text, d numeric, e date, f bool, g float8') },
  { name: 't2', columns: columns('id int4, a int4, s int2, c varchar, ts timestamp, f bool, k _int4, d numeric') },
  { name: 't3', columns: columns('id int8, b int8, c text, tz timestamptz, iv interval, j jsonb, u uuid') },
  { name: 't4', columns: columns('id int4, a int4, c text') },
]

/** Texts of values that literals of a type are drawn from. */
export const pools: Record<string, readonly string[]> = {
  bool: ['t', 'f'],
  int2: ['0', '1', '-1', '2', '3', '7', '100', '32767', '-32768'],
  int4: ['0', '1', '2', '3', '4', '5', '-1', '-7', '10', '42', '1000', '2147483647', '-2147483648'],
  int8: [
    '0',
    '1',
    '2',
    '3',
    '5',
    '-4',
    '100',
    '3000000000',
    '9007199254740993',
    '9223372036854775807',
    '-9223372036854775808',
  ],
  numeric: [
    '0',
    '1',
    '1.0',
    '2.50',
    '-3.25',
    '0.001',
    '12345.678',
    '1e10',
    '-0.5',
    '99999999999999999999.5',
    'NaN',
    '3',
  ],
  float4: ['0', '1', '-1', '0.5', '2.25', '1e10', '-3.5', 'NaN', 'Infinity'],
  float8: ['0', '1', '-1', '0.5', '2.25', '1e10', '1e-5', '-3.5', 'NaN', 'Infinity', '-Infinity', '100', '-0'],
  text: [
    '',
    'a',
    'b',
    'abc',
    'ABC',
    'a%',
    '_b',
    'hello world',
    ' x ',
    'äöü',
    '12',
    '2020-01-01',
    "it''s",
    'a,b,c',
    'foo bar baz',
  ],
  varchar: ['', 'a', 'b', 'abc', 'xyz', 'äb', '7'],
  bpchar: ['', 'a', 'ab ', 'abc', 'b'],
  name: ['a', 'abc', 'pg_class', 'x y'],
  bytea: ['', '\\x00', '\\x616263', '\\xdeadbeef', 'abc'],
  date: ['2020-01-01', '2020-02-29', '1999-12-31', '2024-07-15', '0001-01-01', '2020-01-02', 'infinity', '1970-01-01'],
  time: ['00:00:00', '12:34:56.789', '23:59:59', '01:02:03', '24:00:00'],
  timetz: ['00:00:00+00', '12:34:56.789-05', '23:59:59+05:30'],
  timestamp: [
    '2020-01-01 00:00:00',
    '2020-02-29 12:34:56.789',
    '1999-12-31 23:59:59',
    '2024-07-15 06:00:00',
    '2020-01-02 00:00:00',
    'infinity',
  ],
  timestamptz: [
    '2020-01-01 00:00:00+00',
    '2020-03-08 02:30:00-05',
    '2020-11-01 01:30:00-04',
    '1999-12-31 23:59:59.5+09',
    '2024-07-15 06:00:00+00',
    '-infinity',
  ],
  interval: [
    '0',
    '1 day',
    '1 month',
    '1 year 2 mons 3 days 04:05:06',
    '-1 day',
    '36:00:00',
    '00:00:01.5',
    '30 days',
    '1 mon -1 day',
  ],
  uuid: [
    '00000000-0000-0000-0000-000000000000',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
  ],
  json: ['{}', '[]', '{"a":1,"b":[1,2,{"c":null}]}', '[1,"x",true,null]', '"s"', '1.50'],
  jsonb: [
    '{}',
    '[]',
    '{"a":1,"b":[1,2,{"c":null}]}',
    '[1,"x",true,null]',
    '"s"',
    '1.50',
    'null',
    '{"a":{"b":"c"}}',
    'true',
  ],
  _int4: ['{}', '{1,2,3}', '{NULL}', '{3,1,2,1}', '{{1,2},{3,4}}', '{5}'],
  _text: ['{}', '{a,b}', '{NULL,a}', '{"x y",abc}', '{a,b,a}'],
  _numeric: ['{}', '{1.5,2}', '{NULL,0}'],
  oid: ['0', '1', '23', '4294967295'],
  bit: ['0', '1'],
  varbit: ['', '1', '0101', '11110000'],
}

/** Small values, so that sums do not overflow and equal ones meet. */
const small: Record<string, readonly string[]> = {
  int2: ['0', '1', '2', '3', '-1'],
  int4: ['0', '1', '2', '3', '4', '5', '-1'],
  int8: ['0', '1', '2', '3', '4', '100', '-5'],
  numeric: ['0', '1', '4.0', '2.50', '-3.25', '3', '0.5'],
  float8: ['0', '1', '-1', '0.5', '2.25', '4', '-3.5'],
  date: ['2020-01-01', '2020-02-29', '1999-12-31', '2024-07-15', '2020-01-02'],
  timestamp: ['2020-01-01 00:00:00', '2020-02-29 12:34:56.789', '2024-07-15 06:00:00', '2020-01-02 00:00:00'],
  timestamptz: ['2020-01-01 00:00:00+00', '2020-03-08 02:30:00-05', '2024-07-15 06:00:00+00'],
  text: ['', 'a', 'b', 'abc', 'ABC', 'a%', 'hello world'],
}

export function smallText(draw: Draw, type: string): string {
  return draw.of(small[type] ?? pools[type])
}

/** The statements that make and fill the tables. */
export function schema(draw: Draw): string[] {
  const out: string[] = []
  for (const table of tables) {
    out.push(
      `create table ${table.name} (${table.columns.map((c) => `${c.name} ${c.type}${c.name === 'id' ? ' primary key' : ''}`).join(', ')})`,
    )
    const rows = draw.times(table.name === 't4' ? 0 : 8, 14, (i) =>
      table.columns
        .map((c) => (c.name === 'id' ? String(i + 1) : draw.chance(0.25) ? 'null' : `'${smallText(draw, c.type)}'`))
        .join(', '),
    )
    if (rows.length > 0) out.push(`insert into ${table.name} values ${rows.map((r) => `(${r})`).join(', ')}`)
  }
  out.push(
    'create index on t1 (a)',
    'create index on t2 (c, s desc)',
    'create unique index on t3 (id, b)',
    'create index on t1 (d) where f',
    'create index on t4 (a, c)',
  )
  return out
}
