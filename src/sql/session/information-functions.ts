/**
 * Functions about the server and its parts that are no definitions: default privileges, sizes as text, partitions (there
 * are none), transaction ids, log positions, counters, key words.
 *
 * Not here: functions over the catalog's objects (catalog-functions.ts).
 */
import { DbError } from '../../base/index.ts'
import { predefinedRoles } from '../catalog/system/cluster.ts'
import { factsOf } from '../catalog/system/facts.ts'
import { registerCode, registerSetCode } from '../functions/registry.ts'
import { arrayOf, type SqlArray } from '../types/array.ts'
import type { Numeric } from '../types/numeric.ts'
import { SqlRecord } from '../types/record.ts'
import { builtinType } from '../types/registry.ts'
import type { TypeContext, Value } from '../types/type.ts'
import type { Session } from './session.ts'
import { sessionFunction, sessionOf } from './session-functions.ts'

export function registerInformationFunctions(): void {
  privileges()
  sizesAsText()
  partitions()
  properties()
  transactions()
  counters()
  backends()
  keywords()
}

/** The privileges of an object's owner, and of everybody, that hold when nothing was granted; by acldefault's letters. */
const defaults: Record<string, readonly [owner: string, everybody: string]> = {
  c: ['', ''],
  r: ['arwdDxt', ''],
  s: ['rwU', ''],
  d: ['CTc', 'Tc'],
  f: ['X', 'X'],
  l: ['U', 'U'],
  L: ['rw', ''],
  n: ['UC', ''],
  p: ['sA', ''],
  t: ['C', ''],
  F: ['U', ''],
  S: ['U', ''],
  T: ['U', 'U'],
}

function privileges(): void {
  sessionFunction('acldefault_sql', (s, kind: string, owner: number) => {
    const found = defaults[kind]
    if (found === undefined) throw new DbError('invalid_parameter_value', `unrecognized objtype abbreviation: ${kind}`)
    const name = s.catalog.role(owner)?.name ?? predefinedRoles.get(owner) ?? String(owner)
    const items: string[] = []
    if (found[1] !== '') items.push(`=${found[1]}/${name}`)
    if (found[0] !== '') items.push(`${name}=${found[0]}/${name}`)
    return arrayOf(1033, items)
  })
  const letters: Record<string, string> = {
    SELECT: 'r',
    INSERT: 'a',
    UPDATE: 'w',
    DELETE: 'd',
    TRUNCATE: 'D',
    REFERENCES: 'x',
    TRIGGER: 't',
    EXECUTE: 'X',
    USAGE: 'U',
    CREATE: 'C',
    TEMPORARY: 'T',
    TEMP: 'T',
    CONNECT: 'c',
  }
  sessionFunction('makeaclitem', (s, grantee: number, grantor: number, privileges: string, grantable: boolean) => {
    const rights = privileges.split(',').map((p) => {
      const letter = letters[p.trim().toUpperCase()]
      if (letter === undefined)
        throw new DbError('invalid_parameter_value', `unrecognized privilege type: "${p.trim()}"`)
      return `${letter}${grantable ? '*' : ''}`
    })
    const name = (oid: number) => (oid === 0 ? '' : (s.catalog.role(oid)?.name ?? String(oid)))
    return `${name(grantee)}=${rights.join('')}/${name(grantor)}`
  })
  const same = (a: string, b: string) => a === b
  registerCode('aclitem_eq', () => same)
  registerCode('aclcontains', () => (list: SqlArray, item: string) => list.items.includes(item))
}

const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB']

/** As pg_size_pretty: whole numbers of the largest unit below 10240, rounded half up at each step. */
export function prettySize(bytes: bigint): string {
  const negative = bytes < 0n
  let n = negative ? -bytes : bytes
  let unit = 0
  if (n >= 10240n) {
    // Halves are kept while dividing, so that the last step rounds.
    n >>= 9n
    unit = 1
    while (n >= 20479n && unit < units.length - 1) {
      n >>= 10n
      unit++
    }
    n = (n + 1n) / 2n
  }
  return `${negative ? '-' : ''}${n} ${units[unit]}`
}

function sizesAsText(): void {
  registerCode('pg_size_pretty', () => (bytes: number | bigint) => prettySize(BigInt(bytes)))
  registerCode('pg_size_pretty_numeric', (_site, context) => (bytes: Numeric) => {
    const text = builtinType(1700).format(bytes, context)
    if (!/^-?\d/.test(text)) return `${text} bytes`
    return prettySize(BigInt(text.split('.')[0]))
  })
  registerCode('pg_size_bytes', () => (text: string) => {
    const m = /^\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*([a-zA-Z]*)\s*$/i.exec(text)
    const unit =
      m === null
        ? -1
        : m[2] === ''
          ? 0
          : units.findIndex(
              (u) => u.toLowerCase() === m[2].toLowerCase() || (u === 'bytes' && m[2].toUpperCase() === 'B'),
            )
    if (m === null || unit < 0) throw new DbError('invalid_parameter_value', `invalid size: "${text}"`)
    return Math.round(Number(m[1]) * 1024 ** unit)
  })
}

/** No table has partitions: each is its own root. */
function partitions(): void {
  registerSetCode('pg_partition_ancestors', () => () => [])
  registerSetCode('pg_partition_tree', () => () => [])
  sessionFunction('pg_partition_root', () => null)
}

const methodProperties: Record<string, boolean> = {
  can_order: true,
  can_unique: true,
  can_multi_col: true,
  can_exclude: true,
  can_include: true,
}
const indexProperties: Record<string, boolean> = {
  clusterable: true,
  index_scan: true,
  bitmap_scan: true,
  backward_scan: true,
}

function properties(): void {
  const known = (table: Record<string, boolean>, name: string): Value => table[name.toLowerCase()] ?? null
  sessionFunction('pg_indexam_has_property', (_s, method: number, name: string) =>
    method === 403 ? known(methodProperties, name) : name.toLowerCase() in methodProperties ? false : null,
  )
  sessionFunction('pg_index_has_property', (s, oid: number, name: string) =>
    s.catalog.relation(oid)?.index === undefined ? null : known(indexProperties, name),
  )
  sessionFunction('pg_index_column_has_property', (s, oid: number, column: number, name: string) => {
    const index = s.catalog.relation(oid)?.index
    if (index === undefined || column < 1 || column > index.columns.length + index.include.length) return null
    const key = index.columns[column - 1]
    const property = name.toLowerCase()
    switch (property) {
      case 'asc':
      case 'desc':
      case 'nulls_first':
      case 'nulls_last':
        if (key === undefined) return null
        return { asc: !key.descending, desc: key.descending, nulls_first: key.nullsFirst, nulls_last: !key.nullsFirst }[
          property
        ]
      case 'orderable':
      case 'search_array':
      case 'search_nulls':
        return key !== undefined
      case 'distance_orderable':
        return false
      case 'returnable':
        return true
      default:
        return null
    }
  })
  registerSetCode('pg_options_to_table', () => {
    const types = [25, 25].map(builtinType)
    return (options: SqlArray) =>
      options.items.map((o: string | null) => {
        if (o === null) throw new DbError('null_value_not_allowed', 'an option may not be NULL')
        const at = o.indexOf('=')
        return new SqlRecord(types, at < 0 ? [o, null] : [o.slice(0, at), o.slice(at + 1)], [
          'option_name',
          'option_value',
        ])
      })
  })
  sessionFunction('pg_relation_is_updatable', (s, oid: number) => (s.catalog.relation(oid)?.relkind === 'r' ? 28 : 0))
  sessionFunction('pg_column_is_updatable', (s, oid: number, column: number) => {
    const r = s.catalog.relation(oid)
    const c = r?.columns[column - 1]
    return r?.relkind === 'r' && c !== undefined && !c.dropped && c.generated === undefined
  })
  registerCode('pg_collation_for', (site, context) => {
    const type = site.argTypes[0] === 705 ? builtinType(25) : context.types.type(site.argTypes[0])
    if (type.category !== 'S')
      throw new DbError('datatype_mismatch', `collations are not supported by type ${type.name}`)
    return () => '"default"'
  })
  sessionFunction('pg_column_compression', () => null)
  sessionFunction('pg_collation_actual_version', () => null)
  sessionFunction('pg_database_collation_actual_version', () => null)
  sessionFunction('pg_settings_get_flags', (s, name: string) =>
    s.settings.find(name) === undefined ? null : arrayOf(25, []),
  )
}

/** Transactions are numbered by their start: what matters to clients is that the number is theirs and grows. */
function transactionId(s: Session): number {
  return s.types.transactionMicros
}

/** The log's position, as far as a byte position says something: the clock, which no two commits share. */
function logPosition(s: Session): number {
  return s.clock.wallMicros()
}

function transactions(): void {
  sessionFunction('pg_current_xact_id', (s) => {
    s.transaction()
    return transactionId(s)
  })
  sessionFunction('pg_current_xact_id_if_assigned', (s) => (s.tx === undefined ? null : transactionId(s)))
  sessionFunction('pg_current_snapshot', (s) => `${transactionId(s)}:${transactionId(s)}:`)
  for (const source of ['pg_current_wal_lsn', 'pg_current_wal_insert_lsn', 'pg_current_wal_flush_lsn'])
    sessionFunction(source, logPosition)
  sessionFunction('pg_trigger_depth', () => 0)
  sessionFunction('pg_jit_available', () => false)
  sessionFunction('pg_notification_queue_usage', () => 0)
  sessionFunction('pg_stat_get_snapshot_timestamp', () => null)
  const nothing = () => ''
  for (const source of [
    'pg_stat_clear_snapshot',
    'pg_stat_force_next_flush',
    'pg_stat_reset',
    'pg_stat_reset_shared',
    'pg_stat_reset_single_table_counters',
    'pg_stat_reset_single_function_counters',
    'pg_stat_reset_slru',
  ]) {
    sessionFunction(source, nothing)
  }
  sessionFunction('pg_reload_conf', () => true)
}

/** Counters that are not kept answer zero, times that never were NULL. */
function counters(): void {
  for (const f of factsOf('pg_proc')) {
    const source = f.prosrc!
    if (!source.startsWith('pg_stat_get_') || f.proretset === 't' || f.proargtypes !== '26') continue
    const zero = ['20', '701', '23'].includes(f.prorettype!)
    sessionFunction(source, () => (zero ? 0 : null))
  }
  sessionFunction('pg_stat_get_live_tuples', (s, oid: number) => s.tableRows(oid) ?? 0)
  sessionFunction(
    'pg_stat_get_db_numbackends',
    (s, oid: number) => [...s.database.sessions.values()].filter((o) => o.databaseOid === oid).length,
  )
}

function backends(): void {
  registerSetCode('pg_stat_get_backend_idset', (_site, context) => () => [
    ...sessionOf(context).database.sessions.keys(),
  ])
  const ask = (source: string, of: (other: Session) => Value) => {
    sessionFunction(source, (s, id: number) => {
      const other = s.database.sessions.get(id)
      return other === undefined ? null : of(other)
    })
  }
  ask('pg_stat_get_backend_pid', (o) => o.processId)
  ask('pg_stat_get_backend_dbid', (o) => o.databaseOid)
  ask('pg_stat_get_backend_userid', (o) => o.sessionRole)
  ask('pg_stat_get_backend_activity', (o) => o.currentText)
  sessionFunction('pg_blocking_pids', () => arrayOf(23, []))
  sessionFunction('pg_safe_snapshot_blocking_pids', () => arrayOf(23, []))
  sessionFunction('pg_terminate_backend', (s, pid: number) => {
    const other = s.database.sessions.get(pid)
    other?.events.terminate(new DbError('admin_shutdown', 'terminating connection due to administrator command'))
    return other !== undefined
  })
}

const categories: Record<string, string> = {
  U: 'unreserved',
  C: 'unreserved (cannot be function or type name)',
  T: 'reserved (can be function or type name)',
  R: 'reserved',
}

function keywords(): void {
  registerSetCode('pg_get_keywords', () => {
    const types = [25, 18, 16, 25, 25].map(builtinType)
    const names = ['word', 'catcode', 'barelabel', 'catdesc', 'baredesc']
    return () =>
      factsOf('pg_keywords').map((f) => {
        const bare = f.barelabel === 't'
        return new SqlRecord(
          types,
          [f.word, f.catcode, bare, categories[f.catcode!], bare ? 'can be bare label' : 'requires AS'],
          names,
        )
      })
  })
  registerSetCode('pg_listening_channels', (_site, context: TypeContext) => () => [...sessionOf(context).channels])
}
