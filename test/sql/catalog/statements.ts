/**
 * The statements that psql, pg_dump and ten client libraries send, made ready to run against a database of ours: object
 * ids that were recorded in another database are replaced by those of the objects of the same name here, parameters get
 * values.
 */
import { readFileSync } from 'node:fs'
import type pg from 'pg'

export interface Recorded {
  readonly db: string
  readonly sql: string
}

/** What an object id recorded in a statement stood for, by name. */
const recorded: Record<string, { kind: 'class' | 'type' | 'proc'; name: string }> = {
  16488: { kind: 'class', name: 'customers' },
  16500: { kind: 'class', name: 'orders' },
  16515: { kind: 'class', name: 'rich' },
  16519: { kind: 'proc', name: 'f_add' },
  16522: { kind: 'type', name: 'mood' },
  16528: { kind: 'class', name: 'customers' },
  16540: { kind: 'class', name: 'orders' },
  16555: { kind: 'class', name: 'rich' },
  16559: { kind: 'proc', name: 'f_add' },
  16527: { kind: 'class', name: 'customers_id_seq' },
  16928: { kind: 'class', name: 'customers' },
  17048: { kind: 'class', name: 'customers' },
}

export function load(path: string): Recorded[] {
  return JSON.parse(readFileSync(path, 'utf8'))
}

export type Ids = ReadonlyMap<string, number>

export async function idsOf(client: pg.Client): Promise<Ids> {
  const ids = new Map<string, number>()
  for (const { kind, name } of Object.values(recorded)) {
    const table = { class: ['pg_class', 'relname'], type: ['pg_type', 'typname'], proc: ['pg_proc', 'proname'] }[kind]
    const found = await client.query(`select oid from ${table[0]} where ${table[1]} = $1 order by oid desc limit 1`, [
      name,
    ])
    ids.set(`${kind}.${name}`, found.rows[0]?.oid ?? 0)
  }
  return ids
}

export function localized(sql: string, ids: Ids): string {
  return sql.replace(/\b(1[67]\d{3})\b/g, (text) => {
    const object = recorded[text]
    return object === undefined ? text : String(ids.get(`${object.kind}.${object.name}`))
  })
}

/** Values for the parameters of a statement, by what it asks. */
export function valuesFor(sql: string, ids: Ids): unknown[] | undefined {
  const count = new Set(sql.match(/\$\d+/g) ?? []).size
  if (count === 0 || /^\s*PREPARE|\$func|AS \$\$/.test(sql)) return undefined
  if (/"c"\."relkind" in/.test(sql))
    return [
      'r',
      'v',
      'p',
      '^pg_',
      'information_schema',
      'crdb_internal',
      0,
      true,
      'kysely_migration',
      'kysely_migration_lock',
    ].slice(0, count)
  if (/pg_notify/.test(sql)) return ['ch', 'hello']
  if (/table_name = \$1 and column_name = \$2/.test(sql)) return ['customers', 'email']
  if (/table_name = \$1/.test(sql)) return ['customers']
  if (/"table_schema" = \$1/.test(sql)) return ['public', 'customers']
  if (/\$1::regtype/.test(sql)) return ['mood']
  if (/relkind = ANY\(\$1\)/.test(sql)) return [['r', 'v']]
  if (/oid = \$1|pg_type\.oid = \$1/.test(sql)) return [ids.get('type.mood')]
  if (/insert into customers\(email,doc,tags\)/.test(sql)) return ['c@x', '{"b": 2}', ['t']]
  if (/insert into customers/.test(sql)) return ['d@x', ['t']]
  if (/insert into "orders"/.test(sql)) return [1, 3]
  if (/kysely_migration_lock" \(/.test(sql)) return ['migration_lock', 0]
  if (/kysely_migration_lock"/.test(sql)) return ['migration_lock']
  if (/kysely_migration" \(/.test(sql)) return ['m1', 'now']
  if (/__drizzle_migrations/.test(sql)) return ['hash', 1]
  if (/knex_migrations_lock" \(/.test(sql)) return [0]
  if (/knex_migrations_lock" set "is_locked" = \$1 where/.test(sql)) return [1, 0]
  if (/knex_migrations_lock" set/.test(sql)) return [0]
  if (/knex_migrations" \(/.test(sql)) return [1, new Date(0), 'm1']
  if (/INSERT INTO "things"/.test(sql)) return ['x', 'a', new Date(0), new Date(0)]
  return Array(count).fill(1)
}
