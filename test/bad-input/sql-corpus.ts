/** Statements that real clients, scripts and tests send, as material for mutations. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What may not be mutated: it would reach beyond the database of the test. */
const excluded = /\bpg_sleep|pg_terminate|drop\s+(database|role)|alter\s+system/i

export function loadStatements(root: string): { schema: string[]; corpus: string[] } {
  const recorded = JSON.parse(readFileSync(join(root, 'test/sql/catalog/statements.json'), 'utf8')) as { sql: string }[]
  const corpus = recorded.map(({ sql }) => sql)
  const scripts = join(root, 'test/golden/scripts')
  for (const name of readdirSync(scripts)) {
    for (const [, sql] of readFileSync(join(scripts, name), 'utf8').matchAll(/^[a-z]+> (.*)$/gm))
      corpus.push(...sql.split('; '))
  }
  const analytical = readFileSync(join(root, 'test/sql/analytical.queries.sql'), 'utf8').replace(/^--.*$/gm, '')
  corpus.push(...analytical.split(';').filter((sql) => sql.trim() !== ''))
  const chinook = readFileSync(join(root, 'src/cli/data/chinook.sql'), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  const tables = chinook.split(/;\s*\n/).filter((sql) => /^\s*(create table|alter table|create index)/i.test(sql))
  const clients = readFileSync(join(root, 'test/sql/catalog/schema.sql'), 'utf8')
  const rows = `insert into artist (artist_id, name) select i, 'artist ' || i from generate_series(1, 50) i;
    insert into genre (genre_id, name) values (1, 'rock'), (2, null);
    insert into album (album_id, title, artist_id) select i, 'album ' || i, i % 50 + 1 from generate_series(1, 100) i`
  const own = `create table account (id int primary key, balance int);
    insert into account select i, i * 100 from generate_series(1, 20) i;
    create table t (id serial primary key, name text unique, n numeric(10,2), at timestamptz default now(), doc jsonb, tags text[]);
    insert into t (name, n, doc, tags) select 'n' || i, i / 3.0, jsonb_build_object('a', i, 'b', array[i]), array['x', i::text] from generate_series(1, 30) i`
  return {
    schema: [...tables, rows, own, clients],
    corpus: [...corpus, ...tables].filter((sql) => !excluded.test(sql) && sql.trim() !== ''),
  }
}
