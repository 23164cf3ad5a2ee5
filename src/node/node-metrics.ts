/**
 * What a node tells of itself.
 *
 * Not here: how it is written (metrics.ts).
 */
import type { PgServer } from '../wire/index.ts'
import type { Metrics } from './metrics.ts'
import type { OpenedStore } from './store.ts'

export function registerNodeMetrics(metrics: Metrics, opened: OpenedStore, server: PgServer): void {
  const { store, engine, log } = opened
  metrics.gauge('lattice_connections', 'Open client connections.', () => server.stats().connections)
  metrics.counter(
    'lattice_connections_accepted_total',
    'Client connections accepted.',
    () => server.stats().connectionsAccepted,
  )
  metrics.counter('lattice_statements_total', 'Statements begun.', () => server.stats().statements)
  metrics.counter('lattice_commits_total', 'Transactions committed.', () => store.commits)
  metrics.counter('lattice_rollbacks_total', 'Transactions rolled back.', () => store.rollbacks)
  metrics.gauge('lattice_transactions_active', 'Transactions open now.', () => store.active.size)
  metrics.gauge('lattice_memtable_bytes', 'Bytes in memtables.', () => engine.stats().memtableBytes)
  metrics.gauge('lattice_block_cache_bytes', 'Bytes of cached table blocks.', () => engine.stats().blockCacheBytes)
  metrics.counter('lattice_block_cache_hits_total', 'Blocks found in the cache.', () => engine.stats().blockCacheHits)
  metrics.counter('lattice_block_cache_misses_total', 'Blocks read from disk.', () => engine.stats().blockCacheMisses)
  metrics.counter('lattice_flushes_total', 'Memtables written to tables.', () => engine.stats().flushes)
  metrics.counter('lattice_compactions_total', 'Compactions done.', () => engine.stats().compactions)
  metrics.counter('lattice_compacted_bytes_total', 'Bytes written by compactions.', () => engine.stats().bytesCompacted)
  metrics.counter(
    'lattice_write_stall_seconds_total',
    'Time for which writes had to wait for flushes and compactions.',
    () => engine.stats().stallMicros / 1e6,
  )
  metrics.gauges('lattice_level_bytes', 'Bytes of tables by level.', 'level', () =>
    engine.stats().levels.map((level) => [String(level.level), level.bytes] as const),
  )
  if (log === undefined) return
  metrics.gauge('lattice_log_segments', 'Segments of the commit log.', () => log.stats().segments)
  metrics.gauge('lattice_log_bytes', 'Bytes of the commit log.', () => log.stats().bytes)
  metrics.counter('lattice_log_records_total', 'Records appended to the commit log.', () => log.stats().records)
  metrics.counter('lattice_log_groups_total', 'Groups of records, each one durable write.', () => log.stats().groups)
}
