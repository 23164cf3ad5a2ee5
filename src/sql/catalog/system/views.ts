/**
 * The views of pg_catalog over tables, indexes, views, sequences, statistics and settings, made straight from descriptors.
 *
 * Not here: sessions, locks and counters (activity.ts), information_schema.
 */
import { indexDefinition, ruleDefinition, viewDefinition } from '../../deparse/definitions.ts'
import type { Session } from '../../session/session.ts'
import { settingFacts } from '../../session/settings.ts'
import { arrayOf } from '../../types/array.ts'
import { Interval } from '../../types/interval.ts'
import { builtinType } from '../../types/registry.ts'
import type { RelationDescriptor } from '../descriptors.ts'
import { schemaName } from '../names.ts'
import { factsOf } from './facts.ts'
import { type Cells, define } from './relation.ts'

/** Users' relations of some kinds with their schema's and owner's names. */
export function* relationsOf(
  s: Session,
  kinds: string,
): Iterable<{ r: RelationDescriptor; schema: string; owner: string }> {
  for (const r of s.catalog.relations()) {
    if (kinds.includes(r.relkind))
      yield { r, schema: schemaName(s.names, r.schema), owner: s.catalog.role(r.owner)?.name ?? '' }
  }
}

function* tables(s: Session): Iterable<Cells> {
  const indexed = new Set(factsOf('pg_index').map((f) => f.indrelid))
  for (const f of factsOf('pg_class')) {
    if (f.relkind !== 'r') continue
    yield {
      schemaname: schemaName(s.names, Number(f.relnamespace)),
      tablename: f.relname,
      tableowner: s.roleOf(10).name,
      tablespace: f.relisshared === 't' ? 'pg_global' : null,
      hasindexes: indexed.has(f.oid),
      hasrules: false,
      hastriggers: false,
      rowsecurity: false,
    }
  }
  const referenced = new Set<number>()
  for (const r of s.catalog.relations())
    for (const c of r.constraints) if (c.foreign !== undefined) referenced.add(c.foreign.table).add(r.oid)
  for (const { r, schema, owner } of relationsOf(s, 'r')) {
    yield {
      schemaname: schema,
      tablename: r.name,
      tableowner: owner,
      hasindexes: r.indexes.length > 0,
      hasrules: false,
      hastriggers: referenced.has(r.oid) || s.catalog.triggersOf(r.oid).length > 0,
      rowsecurity: r.rowSecurity === true,
    }
  }
}

function* indexes(s: Session): Iterable<Cells> {
  const names = new Map(factsOf('pg_class').map((f) => [f.oid, f.relname]))
  for (const f of factsOf('pg_index')) {
    const table = names.get(f.indrelid)
    const columns = factsOf('pg_attribute').filter((a) => a.attrelid === f.indrelid)
    const keys = f.indkey!.split(' ').map((k) => columns.find((a) => a.attnum === k)?.attname ?? '')
    yield {
      schemaname: 'pg_catalog',
      tablename: table,
      indexname: f.relname,
      indexdef: `CREATE ${f.indisunique === 't' ? 'UNIQUE ' : ''}INDEX ${f.relname} ON pg_catalog.${table} USING btree (${keys.join(', ')})`,
    }
  }
  for (const { r, schema } of relationsOf(s, 'i')) {
    const table = s.catalog.relationOf(r.index!.table)
    yield {
      schemaname: schema,
      tablename: table.name,
      indexname: r.name,
      indexdef: indexDefinition(s, r.oid, 0, false),
    }
  }
}

function* sequences(s: Session): Iterable<Cells> {
  const int8 = builtinType(20)
  for (const { r, schema, owner } of relationsOf(s, 'S')) {
    const q = r.sequence!
    const n = (text: string) => int8.parse(text, -1, s.types)
    const { last, called } = s.sequences.current(r)
    yield {
      schemaname: schema,
      sequencename: r.name,
      sequenceowner: owner,
      data_type: q.type,
      start_value: n(q.start),
      min_value: n(q.min),
      max_value: n(q.max),
      increment_by: n(q.increment),
      cycle: q.cycle,
      cache_size: n(q.cache),
      last_value: called ? last : null,
    }
  }
}

function* statistics(s: Session): Iterable<Cells> {
  for (const { r, schema } of relationsOf(s, 'rm')) {
    const found = s.catalog.statistics(r.oid)
    for (const [number, c] of Object.entries(found?.columns ?? {})) {
      const column = r.columns[Number(number) - 1]
      if (column === undefined || column.dropped) continue
      const type = s.types.types.type(column.type)
      const values = (texts: readonly string[]) =>
        texts.length === 0
          ? null
          : arrayOf(
              column.type,
              texts.map((t) => type.parse(t, -1, s.types)),
            )
      yield {
        schemaname: schema,
        tablename: r.name,
        attname: column.name,
        inherited: false,
        null_frac: c.nullFraction,
        avg_width: c.averageWidth,
        n_distinct: c.distinct,
        most_common_vals: values(c.commonValues),
        most_common_freqs: c.commonFrequencies.length === 0 ? null : arrayOf(700, c.commonFrequencies),
        histogram_bounds: values(c.histogram),
        correlation: c.correlation,
        most_common_elems: null,
        most_common_elem_freqs: null,
        elem_count_histogram: null,
      }
    }
  }
}

function* settings(s: Session): Iterable<Cells> {
  for (const { facts: f, value } of s.settings.all()) {
    const same = value === f.boot
    yield {
      name: f.name,
      setting: value,
      unit: f.unit,
      category: f.category,
      short_desc: f.description,
      context: f.context,
      vartype: f.type,
      source: same
        ? 'default'
        : settingFacts.has(f.name.toLowerCase()) && f.context !== 'user'
          ? 'override'
          : 'session',
      min_val: f.min,
      max_val: f.max,
      enumvals: f.type === 'enum' ? arrayOf(25, f.values) : null,
      boot_val: f.boot,
      reset_val: value,
      pending_restart: false,
    }
  }
}

function* timeZones(s: Session): Iterable<Cells> {
  const millis = s.clock.wallMicros() / 1000
  const names = ['UTC', 'GMT', ...Intl.supportedValuesOf('timeZone')]
  for (const name of new Set(names)) {
    const parts = (style: 'longOffset' | 'short', at: number) =>
      new Intl.DateTimeFormat('en', { timeZone: name, timeZoneName: style })
        .formatToParts(at)
        .find((p) => p.type === 'timeZoneName')?.value ?? ''
    const seconds = offsetSeconds(parts('longOffset', millis))
    const half = 182 * 86_400_000
    const other = offsetSeconds(parts('longOffset', millis + half))
    const short = parts('short', millis)
    const abbreviation = /^[A-Z]+$/.test(short)
      ? short
      : (/[+-].*/
          .exec(short)?.[0]
          .replace(':', '')
          .replace(/^([+-])(\d)$/, '$10$2') ?? short)
    yield { name, abbrev: abbreviation, utc_offset: new Interval(0, 0, seconds * 1_000_000), is_dst: seconds > other }
  }
}

function offsetSeconds(text: string): number {
  const m = /GMT([+-])(\d+):(\d+)(?::(\d+))?/.exec(text)
  if (m === null) return 0
  return (m[1] === '-' ? -1 : 1) * (Number(m[2]) * 3600 + Number(m[3]) * 60 + Number(m[4] ?? 0))
}

export function defineViews(): void {
  define('pg_tables', tables)
  define('pg_indexes', indexes)
  define('pg_sequences', sequences, 'live')
  define('pg_stats', statistics)
  define('pg_settings', settings, 'live')
  define('pg_views', function* (s) {
    for (const { r, schema, owner } of relationsOf(s, 'v'))
      yield { schemaname: schema, viewname: r.name, viewowner: owner, definition: viewDefinition(s, r.oid, false) }
  })
  define('pg_matviews', function* (s) {
    for (const { r, schema, owner } of relationsOf(s, 'm')) {
      yield {
        schemaname: schema,
        matviewname: r.name,
        matviewowner: owner,
        hasindexes: r.indexes.length > 0,
        ispopulated: true,
        definition: viewDefinition(s, r.oid, false),
      }
    }
  })
  define('pg_rules', function* (s) {
    for (const { r, schema } of relationsOf(s, 'vm'))
      if (r.relkind === 'm')
        yield { schemaname: schema, tablename: r.name, rulename: '_RETURN', definition: ruleDefinition(s, r, false) }
  })
  define('pg_timezone_names', timeZones, 'live')
  define('pg_timezone_abbrevs', () =>
    factsOf('pg_timezone_abbrevs').map((f) => ({
      abbrev: f.abbrev,
      utc_offset: new Interval(0, 0, Number(f.seconds) * 1_000_000),
      is_dst: f.is_dst === 't',
    })),
  )
}
