/**
 * A schema of randomly named objects: quotes, blanks, mixed case, other scripts, reserved words, names of the greatest
 * length. The same seed makes the same schema on every server.
 */
import { SimRandom } from '../../../src/testing/index.ts'

const words = [
  'select',
  'Table',
  'user',
  'a b',
  'x"y',
  "it's",
  'ünï',
  '表',
  'Ω',
  'order',
  'UPPER',
  'lower',
  '1st',
  '$1',
  'a.b',
  '%I',
  'ﬀ',
  'null',
  '😀',
  'back\\slash',
  'tab\tname',
  '_',
  'pg',
  'end',
]

export interface Schema {
  readonly statements: readonly string[]
  readonly tables: readonly string[]
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

export function randomSchema(seed: number): Schema {
  const random = new SimRandom(seed)
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)]
  let serial = 0
  const name = (): string => {
    let text = `${pick(words)}${pick(words)}${serial++}`
    if (random.below(8) === 0) text = text.padEnd(70, 'z')
    while (Buffer.byteLength(text) > 63) text = text.slice(0, -1)
    return text.endsWith('\ud83d') ? text.slice(0, -1) : text
  }
  const statements: string[] = []
  const schema = name()
  const mood = name()
  statements.push(
    `create schema ${quoted(schema)}`,
    `create type ${quoted(schema)}.${quoted(mood)} as enum (${[name(), name()].map((l) => `'${l.replaceAll("'", "''")}'`).join(', ')})`,
  )
  const types = [
    'integer',
    'text',
    'varchar(20)',
    'numeric(8,2)',
    'timestamptz',
    'boolean',
    'jsonb',
    'text[]',
    'uuid',
    `${quoted(schema)}.${quoted(mood)}`,
  ]
  const tables: string[] = []
  const keys: { table: string; column: string }[] = []
  for (let t = 0; t < 4; t++) {
    const table = `${quoted(schema)}.${quoted(name())}`
    const key = name()
    const columns = Array.from({ length: 2 + random.below(5) }, () => ({
      name: name(),
      type: pick(types),
      notNull: random.below(3) === 0,
    }))
    const number = name()
    const parts = [
      `${quoted(key)} integer primary key`,
      ...columns.map((c) => `${quoted(c.name)} ${c.type}${c.notNull ? ' not null' : ''}`),
      `${quoted(number)} integer default ${random.below(99)}`,
    ]
    parts.push(
      `constraint ${quoted(name())} check (${quoted(number)} > ${random.below(9)} or ${quoted(number)} is null)`,
    )
    if (keys.length > 0) {
      const target = pick(keys)
      const column = name()
      parts.push(
        `${quoted(column)} integer`,
        `constraint ${quoted(name())} foreign key (${quoted(column)}) references ${target.table} (${quoted(target.column)})`,
      )
    }
    statements.push(`create table ${table} (${parts.join(', ')})`)
    statements.push(`create index ${quoted(name())} on ${table} (${quoted(number)}, (${quoted(number)} + 1))`)
    statements.push(
      `create view ${quoted(schema)}.${quoted(name())} as select ${quoted(key)}, ${quoted(number)} as ${quoted(name())} from ${table} where ${quoted(number)} > 1`,
    )
    statements.push(`comment on column ${table}.${quoted(number)} is '${name().replaceAll("'", "''")}'`)
    tables.push(table)
    keys.push({ table, column: key })
  }
  return { statements, tables }
}

/** What a client asks to know a schema, for every schema that is not the system's. */
export const introspection: readonly string[] = [
  "select nspname, relname, relkind::text, relnatts, relchecks, relhasindex from pg_class c join pg_namespace n on n.oid = relnamespace where nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'public')",
  "select c.oid::regclass::text, attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum), pg_get_expr(adbin, adrelid) from pg_attribute a join pg_class c on c.oid = attrelid join pg_namespace n on n.oid = relnamespace left join pg_attrdef on adrelid = attrelid and adnum = attnum where attnum > 0 and nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'public')",
  "select table_name, column_name, ordinal_position, column_default, is_nullable, data_type, udt_schema, udt_name, character_maximum_length, numeric_precision, numeric_scale from information_schema.columns where table_schema not in ('pg_catalog', 'information_schema')",
  'select conrelid::regclass::text, conname, pg_get_constraintdef(oid), pg_get_constraintdef(oid, true) from pg_constraint where conrelid >= 16384',
  "select tablename, indexname, indexdef from pg_indexes where schemaname <> 'pg_catalog'",
  "select viewname, definition from pg_views where schemaname not in ('pg_catalog', 'information_schema')",
  'select t.typname, e.enumlabel, enumsortorder from pg_enum e join pg_type t on t.oid = enumtypid',
  'select table_name, constraint_name, column_name, ordinal_position from information_schema.key_column_usage',
  'select constraint_name, table_name, column_name from information_schema.constraint_column_usage',
  'select oid::regclass::text, oid::regclass::text::regclass::oid = oid from pg_class where oid >= 16384 and relnamespace <> 99',
]
