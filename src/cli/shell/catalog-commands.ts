/**
 * The backslash commands that look into the catalog: each is a query, or a few.
 *
 * A pattern is a name with * and ? as wildcards, with a schema in front of a dot if need be.
 *
 * Not here: settings of the shell (commands.ts).
 */
import type { RawSession } from '../../client/index.ts'
import { formatTable, type TableStyle, type TextRow } from './table.ts'

function literal(text: string): string {
  return "'" + text.replaceAll("'", "''") + "'"
}

/** Conditions for a pattern on a relation. Without one, what is visible and not the system's is shown. */
function matching(pattern: string, schema = 'n.nspname', name = 'c.relname', oid = 'c.oid'): string {
  if (pattern === '') {
    return `${schema} not in ('pg_catalog', 'information_schema') and ${schema} not like 'pg_toast%' and pg_catalog.pg_table_is_visible(${oid})`
  }
  const dot = pattern.indexOf('.')
  const like = (column: string, part: string) => {
    const folded = part.startsWith('"') ? part.replaceAll('"', '') : part.toLowerCase()
    const escaped = folded
      .replace(/[\\%_]/g, '\\$&')
      .replaceAll('*', '%')
      .replaceAll('?', '_')
    return `${column} like ${literal(escaped)}`
  }
  if (dot < 0) return `${like(name, pattern)} and pg_catalog.pg_table_is_visible(${oid})`
  return `${like(schema, pattern.slice(0, dot))} and ${like(name, pattern.slice(dot + 1))}`
}

const kindNames = `case c.relkind when 'r' then 'table' when 'v' then 'view' when 'm' then 'materialized view'
  when 'i' then 'index' when 'S' then 'sequence' when 'p' then 'partitioned table' else c.relkind::text end`

function relations(kinds: string, pattern: string): string {
  const list = Array.from(kinds, (kind) => `'${kind}'`).join(', ')
  return `select n.nspname as "Schema", c.relname as "Name", ${kindNames} as "Type",
    pg_catalog.pg_get_userbyid(c.relowner) as "Owner"
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.relkind in (${list}) and ${matching(pattern)} order by 1, 2`
}

/** The query of a listing command, undefined when it is none. */
export function listingQuery(command: string, pattern: string): string | undefined {
  switch (command) {
    case '\\dt':
      return relations('rp', pattern)
    case '\\dv':
      return relations('vm', pattern)
    case '\\ds':
      return relations('S', pattern)
    case '\\d':
      return relations('rvmSp', pattern)
    case '\\di':
      return `select n.nspname as "Schema", c.relname as "Name", t.relname as "Table",
        pg_catalog.pg_get_indexdef(c.oid) as "Definition"
        from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
        join pg_catalog.pg_index i on i.indexrelid = c.oid join pg_catalog.pg_class t on t.oid = i.indrelid
        where c.relkind = 'i' and ${matching(pattern)} order by 1, 2`
    case '\\dn':
      return `select nspname as "Name", pg_catalog.pg_get_userbyid(nspowner) as "Owner" from pg_catalog.pg_namespace
        where nspname not like 'pg_%' and nspname <> 'information_schema' order by 1`
    case '\\du':
      return `select rolname as "Role", rolsuper as "Superuser", rolcanlogin as "Log in" from pg_catalog.pg_roles
        where rolname not like 'pg_%' order by 1`
    case '\\dT':
      return `select n.nspname as "Schema", pg_catalog.format_type(t.oid, null) as "Name" from pg_catalog.pg_type t
        join pg_catalog.pg_namespace n on n.oid = t.typnamespace where t.typtype in ('e', 'd', 'r')
        and n.nspname not in ('pg_catalog', 'information_schema') order by 1, 2`
    case '\\l':
      return `select d.datname as "Name", pg_catalog.pg_get_userbyid(d.datdba) as "Owner",
        pg_catalog.pg_encoding_to_char(d.encoding) as "Encoding", d.datcollate as "Collate"
        from pg_catalog.pg_database d order by 1`
    default:
      return undefined
  }
}

/** Everything about the relations that match. Answers the text to show. */
export async function describeRelations(session: RawSession, pattern: string, style: TableStyle): Promise<string> {
  const [found] = await session.script(
    `select c.oid, n.nspname, c.relname, c.relkind, ${kindNames} from pg_catalog.pg_class c
      join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where ${matching(pattern)} and c.relkind <> 't' order by 2, 3`,
  )
  if (found.rows.length === 0) return `Did not find any relation named "${pattern}".\n`
  const parts: string[] = []
  for (const row of found.rows) parts.push(await describeOne(session, row, style))
  return parts.join('\n')
}

async function describeOne(session: RawSession, relation: TextRow, style: TableStyle): Promise<string> {
  const [oid, schema, name, kind, kindName] = relation as string[]
  const [columns, indexes, constraints, referencing] = await session.script(
    `select a.attname as "Column", pg_catalog.format_type(a.atttypid, a.atttypmod) as "Type",
        case when a.attnotnull then 'not null' else '' end as "Nullable",
        case when a.attidentity = 'a' then 'generated always as identity'
          when a.attidentity = 'd' then 'generated by default as identity'
          when a.attgenerated = 's' then 'generated always as (' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ') stored'
          else coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') end as "Default"
      from pg_catalog.pg_attribute a
      left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = ${oid} and a.attnum > 0 and not a.attisdropped order by a.attnum;
    select c.relname, pg_catalog.pg_get_indexdef(c.oid), i.indisprimary from pg_catalog.pg_index i
      join pg_catalog.pg_class c on c.oid = i.indexrelid where i.indrelid = ${oid} order by 3 desc, 1;
    select conname, contype, pg_catalog.pg_get_constraintdef(oid) from pg_catalog.pg_constraint
      where conrelid = ${oid} and contype in ('c', 'f', 'x') order by 2, 1;
    select conrelid::pg_catalog.regclass, conname, pg_catalog.pg_get_constraintdef(oid) from pg_catalog.pg_constraint
      where confrelid = ${oid} and contype = 'f' order by 1, 2`,
  )
  const title = `${kindName[0].toUpperCase()}${kindName.slice(1)} "${schema}.${name}"`
  const out = [
    title +
      '\n' +
      formatTable(columns.fields!, columns.rows, { ...style, format: 'table' }).replace(/\(\d+ rows?\)\n$/, ''),
  ]
  const section = (heading: string, rows: readonly TextRow[], line: (row: TextRow) => string) => {
    if (rows.length > 0) out.push(`${heading}:\n` + rows.map((row) => `    ${line(row)}\n`).join(''))
  }
  section('Indexes', indexes.rows, ([index, definition, primary]) => {
    const method = definition!.replace(/^.* USING /, '')
    const unique = primary === 't' ? 'PRIMARY KEY, ' : definition!.startsWith('CREATE UNIQUE') ? 'UNIQUE, ' : ''
    return `"${index}" ${unique}${method}`
  })
  const ofKind = (wanted: string) => constraints.rows.filter((row) => row[1] === wanted)
  section('Check constraints', ofKind('c'), ([constraint, , definition]) => `"${constraint}" ${definition}`)
  section('Foreign-key constraints', ofKind('f'), ([constraint, , definition]) => `"${constraint}" ${definition}`)
  section('Exclusion constraints', ofKind('x'), ([constraint, , definition]) => `"${constraint}" ${definition}`)
  section('Referenced by', referencing.rows, ([table, constraint, definition]) => {
    return `TABLE "${table}" CONSTRAINT "${constraint}" ${definition}`
  })
  if (kind === 'v' || kind === 'm') {
    const [view] = await session.script(`select pg_catalog.pg_get_viewdef(${oid}::pg_catalog.oid, true)`)
    out.push(`View definition:\n${view.rows[0]?.[0] ?? ''}\n`)
  }
  return out.join('')
}
