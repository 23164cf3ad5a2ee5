/**
 * What is going on: sessions, locks held for transactions, prepared statements, cursors, counters of tables. Made anew for
 * each scan.
 *
 * Counters that this database does not keep are zero; relations about features that it does not have (replication slots,
 * archiving, vacuum progress, …) have no rows.
 *
 * Not here: metrics for monitoring (node/metrics.ts).
 */

import { storageSpan } from '../../execute/tables.ts'
import type { Cursor } from '../../session/cursor-commands.ts'
import type { Session } from '../../session/session.ts'
import type { PreparedStatement } from '../../session/statements.ts'
import { arrayOf } from '../../types/array.ts'
import { availableExtensions } from '../extensions.ts'
import { type Cells, define } from './relation.ts'
import { relationsOf } from './views.ts'

const microsTo2000 = 946_684_800_000_000

function* activity(s: Session): Iterable<Cells> {
  for (const other of s.database.sessions.values()) {
    const database = s.catalog.database(other.databaseOid)
    const since = (micros: number) => (micros === 0 ? null : micros - microsTo2000)
    const running = other === s || other.running !== undefined
    const state =
      running && other.tx !== undefined
        ? 'active'
        : other.failed
          ? 'idle in transaction (aborted)'
          : other.block === 'explicit'
            ? 'idle in transaction'
            : 'idle'
    yield {
      datid: other.databaseOid,
      datname: database?.name ?? null,
      pid: other.processId,
      usesysid: other.sessionRole,
      usename: s.catalog.role(other.sessionRole)?.name ?? null,
      application_name: other.settings.get('application_name'),
      client_port: other.options.client === '' ? null : -1,
      backend_start: since(other.startedMicros),
      xact_start: other.tx === undefined ? null : other.types.transactionMicros,
      query_start: since(other.stateMicros),
      state_change: since(other.stateMicros),
      wait_event_type: other.owner.waiting === undefined ? (state === 'active' ? null : 'Client') : 'Lock',
      wait_event: other.owner.waiting === undefined ? (state === 'active' ? null : 'ClientRead') : 'transactionid',
      state,
      query: other.currentText,
      backend_type: 'client backend',
    }
  }
}

function* locks(s: Session): Iterable<Cells> {
  for (const other of s.database.sessions.values()) {
    for (const { key, mode } of [...other.advisoryHeld, ...other.transactionAdvisory]) {
      const [width, first, second] = key.split(':')
      const high = width === '64' ? Number(BigInt.asUintN(64, BigInt(first)) >> 32n) : Number(first) >>> 0
      const low = width === '64' ? Number(BigInt.asUintN(32, BigInt(first))) : Number(second) >>> 0
      yield {
        locktype: 'advisory',
        database: other.databaseOid,
        classid: high,
        objid: low,
        objsubid: width === '64' ? 1 : 2,
        virtualtransaction: `${other.processId}/1`,
        pid: other.processId,
        mode: mode === 1 ? 'ShareLock' : 'ExclusiveLock',
        granted: true,
        fastpath: false,
      }
    }
    if (other.tx === undefined) continue
    yield {
      locktype: 'virtualxid',
      virtualxid: `${other.processId}/1`,
      virtualtransaction: `${other.processId}/1`,
      pid: other.processId,
      mode: 'ExclusiveLock',
      granted: true,
      fastpath: true,
    }
  }
}

/** Live rows by the engine's metadata. */
function liveRows(s: Session, storage: number): number {
  return storage === 0 ? 0 : s.database.store.engine.estimate(storageSpan(storage)).entries
}

const tableCounters = [
  'seq_scan',
  'seq_tup_read',
  'idx_scan',
  'idx_tup_fetch',
  'n_tup_ins',
  'n_tup_upd',
  'n_tup_del',
  'n_tup_hot_upd',
  'n_dead_tup',
  'n_mod_since_analyze',
  'n_ins_since_vacuum',
  'vacuum_count',
  'autovacuum_count',
  'analyze_count',
  'autoanalyze_count',
  'heap_blks_read',
  'heap_blks_hit',
  'idx_blks_read',
  'idx_blks_hit',
  'blks_read',
  'blks_hit',
  'idx_tup_read',
]
const zeros: Cells = Object.fromEntries(tableCounters.map((c) => [c, 0]))

function* tables(s: Session): Iterable<Cells> {
  for (const { r, schema } of relationsOf(s, 'rm'))
    yield { ...zeros, relid: r.oid, schemaname: schema, relname: r.name, n_live_tup: liveRows(s, r.storage) }
}

function* indexes(s: Session): Iterable<Cells> {
  for (const { r, schema } of relationsOf(s, 'i')) {
    const table = s.catalog.relationOf(r.index!.table)
    yield {
      ...zeros,
      relid: table.oid,
      indexrelid: r.oid,
      schemaname: schema,
      relname: table.name,
      indexrelname: r.name,
    }
  }
}

function* databases(s: Session): Iterable<Cells> {
  const counters = [
    'xact_commit',
    'xact_rollback',
    'blks_read',
    'blks_hit',
    'tup_returned',
    'tup_fetched',
    'tup_inserted',
    'tup_updated',
    'tup_deleted',
    'conflicts',
    'temp_files',
    'temp_bytes',
    'deadlocks',
    'blk_read_time',
    'blk_write_time',
    'session_time',
    'active_time',
    'idle_in_transaction_time',
    'sessions',
    'sessions_abandoned',
    'sessions_fatal',
    'sessions_killed',
  ]
  const none = Object.fromEntries(counters.map((c) => [c, 0]))
  for (const d of s.catalog.databases()) {
    const connected = [...s.database.sessions.values()].filter((o) => o.databaseOid === d.oid).length
    yield { ...none, datid: d.oid, datname: d.name, numbackends: connected }
  }
}

/** Views of one row whose counters are not kept. */
function defineServerCounters(): void {
  const since = (s: Session) => s.database.startedMicros - microsTo2000
  define(
    'pg_stat_bgwriter',
    (s) => [
      {
        checkpoints_timed: 0,
        checkpoints_req: 0,
        checkpoint_write_time: 0,
        checkpoint_sync_time: 0,
        buffers_checkpoint: 0,
        buffers_clean: 0,
        maxwritten_clean: 0,
        buffers_backend: 0,
        buffers_backend_fsync: 0,
        buffers_alloc: 0,
        stats_reset: since(s),
      },
    ],
    'live',
  )
  define('pg_stat_archiver', (s) => [{ archived_count: 0, failed_count: 0, stats_reset: since(s) }], 'live')
  define(
    'pg_stat_wal',
    (s) => [
      {
        wal_records: 0,
        wal_fpi: 0,
        wal_buffers_full: 0,
        wal_write: 0,
        wal_sync: 0,
        wal_write_time: 0,
        wal_sync_time: 0,
        stats_reset: since(s),
      },
    ],
    'live',
  )
  define(
    'pg_stat_database_conflicts',
    function* (s) {
      for (const d of s.catalog.databases()) {
        yield {
          datid: d.oid,
          datname: d.name,
          confl_tablespace: 0,
          confl_lock: 0,
          confl_snapshot: 0,
          confl_bufferpin: 0,
          confl_deadlock: 0,
        }
      }
    },
    'live',
  )
  // The extensions that CREATE EXTENSION knows and has.
  define(
    'pg_available_extensions',
    function* (s) {
      for (const [name, version] of availableExtensions()) {
        const installed = name === 'plpgsql' ? version : (s.catalog.extensionNamed(name)?.version ?? null)
        yield { name, default_version: version, installed_version: installed, comment: null }
      }
    },
    'live',
  )
  define(
    'pg_available_extension_versions',
    function* (s) {
      for (const [name, version] of availableExtensions()) {
        yield {
          name,
          version,
          installed: name === 'plpgsql' || s.catalog.extensionNamed(name) !== undefined,
          superuser: false,
          trusted: true,
          relocatable: name !== 'plpgsql',
          schema: null,
          requires: null,
          comment: null,
        }
      }
    },
    'live',
  )
}

export function defineActivity(): void {
  defineServerCounters()
  define('pg_stat_activity', activity, 'live')
  define('pg_locks', locks, 'live')
  define('pg_stat_database', databases, 'live')
  for (const scope of ['all', 'user']) {
    define(`pg_stat_${scope}_tables`, tables, 'live')
    define(`pg_stat_xact_${scope}_tables`, tables, 'live')
    define(`pg_statio_${scope}_tables`, tables, 'live')
    define(`pg_stat_${scope}_indexes`, indexes, 'live')
    define(`pg_statio_${scope}_indexes`, indexes, 'live')
    define(
      `pg_statio_${scope}_sequences`,
      function* (s) {
        for (const { r, schema } of relationsOf(s, 'S'))
          yield { ...zeros, relid: r.oid, schemaname: schema, relname: r.name }
      },
      'live',
    )
  }
  define(
    'pg_prepared_statements',
    function* (s) {
      for (const [name, p] of s.statements) {
        if (name === '') continue
        const { source, preparedMicros } = p as PreparedStatement
        yield {
          name,
          statement: source ?? p.text,
          prepare_time: preparedMicros - microsTo2000,
          parameter_types: arrayOf(
            2206,
            p.parameterTypes.map((t) => t.oid),
          ),
          from_sql: source !== undefined,
          generic_plans: 0,
          custom_plans: 0,
        }
      }
    },
    'live',
  )
  define(
    'pg_cursors',
    function* (s) {
      for (const [name, portal] of s.portals) {
        const cursor = portal as Cursor
        if (cursor.declaredMicros === undefined) continue
        yield {
          name,
          statement: cursor.text,
          is_holdable: cursor.held,
          is_binary: false,
          is_scrollable: cursor.scroll,
          creation_time: cursor.declaredMicros,
        }
      }
    },
    'live',
  )
  define(
    'pg_stat_ssl',
    function* (s) {
      for (const other of s.database.sessions.values()) yield { pid: other.processId, ssl: false }
    },
    'live',
  )
  define(
    'pg_stat_gssapi',
    function* (s) {
      for (const other of s.database.sessions.values())
        yield { pid: other.processId, gss_authenticated: false, encrypted: false }
    },
    'live',
  )
}
