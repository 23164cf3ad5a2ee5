/** Makes the objects of definitions.sql and reads their definitions back, in both forms. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { answer, connect, schema } from './run.ts'

const statements = readFileSync(join(import.meta.dirname, 'definitions.sql'), 'utf8')
  .split(';\n')
  .map((s) => s.trim())
  .filter((s) => s !== '')

const questions: Record<string, string> = {
  view: "select relname, pg_get_viewdef(oid) from pg_class where relkind in ('v', 'm') and relnamespace = 2200",
  'pretty view':
    "select relname, pg_get_viewdef(oid, true) from pg_class where relkind in ('v', 'm') and relnamespace = 2200",
  constraint: 'select conname, pg_get_constraintdef(oid) from pg_constraint where connamespace = 2200',
  'pretty constraint': 'select conname, pg_get_constraintdef(oid, true) from pg_constraint where connamespace = 2200',
  index: "select indexname, indexdef from pg_indexes where schemaname = 'public'",
  'index column':
    "select c.relname || '.' || a.attname, pg_get_indexdef(c.oid, attnum, true) from pg_class c join pg_attribute a on attrelid = c.oid where relkind = 'i' and relnamespace = 2200",
  default: "select adrelid::regclass::text || '.' || adnum::text, pg_get_expr(adbin, adrelid) from pg_attrdef",
  'pretty default':
    "select adrelid::regclass::text || '.' || adnum::text, pg_get_expr(adbin, adrelid, true) from pg_attrdef",
  dependency:
    "select pg_describe_object(classid, objid, objsubid) || ' on ' || pg_describe_object(refclassid, refobjid, refobjsubid), deptype::text from pg_depend where objid >= 16384 and refobjid >= 16384 and classid = 1259 and refclassid = 1259 and pg_describe_object(classid, objid, objsubid) !~ 'toast'",
}

/** Definitions by kind and object: "view v1". */
export async function definitionsOf(url: string): Promise<Record<string, string | null>> {
  const client = await connect(url, 'definitions')
  client.on('error', () => {})
  await client.query(schema)
  for (const s of statements) await client.query(s)
  const out: Record<string, string | null> = {}
  for (const [kind, text] of Object.entries(questions)) {
    const found = await answer(client, text)
    if (found.error !== undefined) throw new Error(`${kind}: ${found.message}`)
    for (const [name, definition] of found.rows!) out[`${kind} ${name}`] = definition
  }
  await client.end()
  return Object.fromEntries(Object.entries(out).sort(([a], [b]) => (a < b ? -1 : 1)))
}
