/**
 * Writes what PostgreSQL answers to the expressions of src/sql/functions/golden/*.json beside them.
 *
 *   node tools/golden-functions.ts "postgres://postgres@127.0.0.1/postgres" [new-expressions.txt topic]
 *
 * A file is an object: expression to result, where a result is the output function's text, "NULL", or "!SQLSTATE message"
 * (with "|detail|hint" when there are any). With a text file, its lines are added to the topic first. Expressions are in
 * the small form that golden.test.ts reads: f('x'::type, …), 'x'::type OP 'y'::type, OP 'x'::type.
 *
 * Not here: running ours (src/sql/functions/golden.test.ts).
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const directory = join(import.meta.dirname, '../src/sql/functions/golden')
const [url, added, topic] = process.argv.slice(2)
if (url === undefined) throw new Error('usage: golden-functions.ts <connection URL> [expressions.txt topic]')

const evaluate = String.raw`set timezone = 'America/New_York';
create type pg_temp.mood as enum ('sad', 'ok', 'happy');
create function pg_temp.ev(e text, many bool) returns text language plpgsql as $f$
declare r text; d text; h text; m text[];
begin
  m := regexp_match(e, '^\{(\w+)=([^}]*)\} (.*)$');
  if m is not null then perform set_config(m[1], m[2], true); e := m[3]; end if;
  if many then execute 'select string_agg(case when x is null then ''NULL'' else format(''%s'', x) end, '' ; '') from (select ' || e || ' as x) s' into r;
  else execute 'select case when x is null then ''NULL'' else format(''%s'', x) end from (select ' || e || ' as x offset 0) s' into r; end if;
  return coalesce(r, 'NULL');
exception when others then
  get stacked diagnostics d = pg_exception_detail, h = pg_exception_hint;
  return '!' || sqlstate || ' ' || sqlerrm || case when d <> '' or h <> '' then '|' || d || '|' || h else '' end;
end $f$;`

function ask(expressions: readonly string[], setReturning: boolean): string[] {
  const list = expressions.map((e) => `'${e.replaceAll("'", "''")}'`).join(',\n')
  const sql = `${evaluate} select json_agg(pg_temp.ev(e, ${setReturning}) order by n) from unnest(array[${list}]) with ordinality u(e, n)`
  const out = execFileSync('psql', [url, '-qAtX', '-v', 'ON_ERROR_STOP=1'], {
    input: sql,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  })
  return JSON.parse(out) as string[]
}

for (const file of readdirSync(directory).concat(topic === undefined ? [] : `${topic}.json`)) {
  const path = join(directory, file)
  let expressions: string[] = []
  try {
    expressions = Object.keys(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  if (file === `${topic}.json`)
    expressions.push(
      ...readFileSync(added, 'utf8')
        .split('\n')
        .filter((line) => line !== ''),
    )
  else if (topic !== undefined) continue
  const unique = [...new Set(expressions)]
  const results = ask(unique, file.startsWith('sets'))
  const lines = unique.map((e, i) => `  ${JSON.stringify(e)}: ${JSON.stringify(results[i])}`)
  writeFileSync(path, `{\n${lines.join(',\n')}\n}\n`)
  console.log(`${file}: ${unique.length} expressions`)
}
