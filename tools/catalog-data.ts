/**
 * Dumps the facts of a running PostgreSQL's system catalogs into src/sql/catalog/data/: what types, functions,
 * operators, casts, … there are and what they are called, so that our catalog answers with the same oids and names.
 *
 *   node tools/catalog-data.ts "postgres://postgres@127.0.0.1/postgres"
 *
 * Each file is {"columns": [...], "rows": ["tab-separated values, \\N for null, as COPY writes them", …]}: one row a
 * line, so that differences between versions read well, and one string a row, so that loading is one JSON.parse.
 * Only built-in rows (oid below 16384) are kept; descriptions and view definitions are not.
 *
 * Not here: how the rows are used (src/sql/functions/registry.ts, src/sql/types/registry.ts, src/sql/catalog).
 */
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const builtin = 'oid < 16384'

/** File name to query. `*` never: a new column of a new version must not slip in unseen. */
const queries: Record<string, string> = {
  pg_type: `select oid, typname, typnamespace, typlen, typbyval, typtype, typcategory, typispreferred, typdelim, typrelid,
    typsubscript::text, typelem, typarray, typinput::text, typoutput::text, typreceive::text, typsend::text, typmodin::text,
    typmodout::text, typanalyze::text, typalign, typstorage, typnotnull, typbasetype, typtypmod, typndims, typcollation
    from pg_type where ${builtin} order by oid`,
  pg_proc: `select oid, proname, pronamespace, prolang, procost, prorows, provariadic, prosupport::text, prokind, prosecdef,
    proleakproof, proisstrict, proretset, provolatile, proparallel, pronargs, pronargdefaults, prorettype,
    array_to_string(proargtypes::oid[], ' ') as proargtypes, array_to_string(proallargtypes, ' ') as proallargtypes,
    array_to_string(proargmodes, ' ') as proargmodes, array_to_string(proargnames, ' ', '') as proargnames,
    pg_get_expr(proargdefaults, 0) as proargdefaults, prosrc from pg_proc where ${builtin} order by oid`,
  pg_operator: `select oid, oprname, oprnamespace, oprkind, oprcanmerge, oprcanhash, oprleft, oprright, oprresult, oprcom,
    oprnegate, oprcode::oid, case when oprrest = 0 then '-' else oprrest::text end as oprrest,
    case when oprjoin = 0 then '-' else oprjoin::text end as oprjoin from pg_operator where ${builtin} order by oid`,
  pg_cast: `select oid, castsource, casttarget, castfunc, castcontext, castmethod from pg_cast where ${builtin} order by oid`,
  pg_aggregate: `select aggfnoid::oid, aggkind, aggnumdirectargs, aggtransfn::text, aggfinalfn::text, aggcombinefn::text,
    aggserialfn::text, aggdeserialfn::text, aggmtransfn::text, aggminvtransfn::text, aggmfinalfn::text, aggfinalextra,
    aggmfinalextra, aggfinalmodify, aggmfinalmodify, aggsortop, aggtranstype, aggtransspace, aggmtranstype, aggmtransspace,
    agginitval, aggminitval from pg_aggregate where aggfnoid < 16384 order by 1`,
  pg_am: `select oid, amname, amhandler::text, amtype from pg_am where ${builtin} order by oid`,
  pg_opfamily: `select oid, opfmethod, opfname, opfnamespace from pg_opfamily where ${builtin} order by oid`,
  pg_opclass: `select oid, opcmethod, opcname, opcnamespace, opcfamily, opcintype, opcdefault, opckeytype from pg_opclass
    where ${builtin} order by oid`,
  pg_amop: `select oid, amopfamily, amoplefttype, amoprighttype, amopstrategy, amoppurpose, amopopr, amopmethod,
    amopsortfamily from pg_amop where ${builtin} order by oid`,
  pg_amproc: `select oid, amprocfamily, amproclefttype, amprocrighttype, amprocnum, amproc::oid from pg_amproc
    where ${builtin} order by oid`,
  pg_collation: `select oid, collname, collnamespace, collprovider, collisdeterministic, collencoding, collcollate,
    collctype, colliculocale, collversion from pg_collation where oid < 10000 order by oid`,
  pg_language: `select oid, lanname, lanispl, lanpltrusted, lanplcallfoid, laninline, lanvalidator from pg_language
    where oid < 10000 order by oid`,
  pg_conversion: `select oid, conname, connamespace, conforencoding, contoencoding, conproc::text, condefault
    from pg_conversion where ${builtin} order by oid`,
  pg_range: `select rngtypid, rngsubtype, rngmultitypid, rngcollation, rngsubopc, rngcanonical::text, rngsubdiff::text
    from pg_range where rngtypid < 16384 order by 1`,
  pg_ts_config: `select oid, cfgname, cfgnamespace, cfgparser from pg_ts_config where ${builtin} order by oid`,
  pg_ts_config_map: `select mapcfg, maptokentype, mapseqno, mapdict from pg_ts_config_map where mapcfg < 16384 order by 1, 2, 3`,
  pg_ts_dict: `select oid, dictname, dictnamespace, dicttemplate, dictinitoption from pg_ts_dict where ${builtin} order by oid`,
  pg_ts_parser: `select oid, prsname, prsnamespace, prsstart::text, prstoken::text, prsend::text, prsheadline::text,
    prslextype::text from pg_ts_parser where ${builtin} order by oid`,
  pg_ts_template: `select oid, tmplname, tmplnamespace, tmplinit::text, tmpllexize::text from pg_ts_template
    where ${builtin} order by oid`,
  pg_namespace: `select oid, nspname from pg_namespace where ${builtin} and nspname !~ '^pg_(toast|temp)' order by oid`,
  pg_class: `select oid, relname, relnamespace, reltype, relam, relisshared, relkind, relnatts, relreplident
    from pg_class where ${builtin} and relkind in ('r', 'v') order by oid`,
  pg_index: `select indexrelid, c.relname, indrelid, indisunique, indisprimary, indkey::text,
    array_to_string(indclass::oid[], ' ') as indclass, array_to_string(indcollation::oid[], ' ') as indcollation
    from pg_index i join pg_class c on c.oid = indexrelid join pg_class t on t.oid = indrelid
    where indexrelid < 16384 and t.relnamespace = 11 order by 1`,
  pg_attribute: `select attrelid, attname, atttypid, attlen, attnum, attndims, atttypmod, attbyval, attalign, attstorage,
    attnotnull, attcollation from pg_attribute a join pg_class c on c.oid = attrelid where attrelid < 16384
    and relkind in ('r', 'v') and attnum > 0 order by attrelid, attnum`,
  pg_settings: `select name, boot_val as setting, unit, category, context, vartype, min_val, max_val,
    array_to_string(enumvals, ' ') as enumvals, boot_val from pg_settings order by name`,
  pg_keywords: `select word, catcode, barelabel from pg_get_keywords() order by word`,
  pg_timezone_abbrevs: `select abbrev, extract(epoch from utc_offset)::int as seconds, is_dst from pg_timezone_abbrevs order by 1`,
}

/** Functions that PostgreSQL has not, as lines of COPY. */
const own: Readonly<Record<string, readonly string[]>> = {
  pg_proc: ['15001\tulid\t11\t12\t1\t0\t0\t-\tf\tf\tt\tt\tf\tv\ts\t0\t0\t25\t\t\\N\t\\N\t\\N\t\\N\tulid'],
}

function run(url: string, sql: string): string {
  const options = { encoding: 'utf8', maxBuffer: 1 << 28 } as const
  return execFileSync('psql', [url, '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-c', sql], options)
}

const url = process.argv[2]
if (url === undefined) throw new Error('usage: catalog-data.ts <connection URL of a PostgreSQL>')
for (const [name, sql] of Object.entries(queries)) {
  const [header, ...rows] = run(url, `copy (${sql}) to stdout (format text, header)`).trimEnd().split('\n')
  const lines = [...rows, ...(own[name] ?? [])].map((row) => '    ' + JSON.stringify(row)).join(',\n')
  const text = `{\n  "columns": ${JSON.stringify(header.split('\t'))},\n  "rows": [\n${lines}\n  ]\n}\n`
  writeFileSync(join(import.meta.dirname, '../src/sql/catalog/data', `${name}.json`), text)
  console.log(`${name}: ${rows.length} rows`)
}
