/**
 * WITH (…) of tables, views and indexes: which names there are. A misspelled one would be ignored in silence, and a
 * table meant to be local would not be.
 *
 * PostgreSQL's own are kept for pg_dump and its clients to find; they change nothing here.
 *
 * Not here: what ours mean (sql/local), their values.
 */
import { DbError } from '../../base/index.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'

export type Parametrised = 'table' | 'materialized view' | 'view' | 'index'

const vacuum = [
  'autovacuum_enabled',
  'vacuum_index_cleanup',
  'vacuum_truncate',
  'autovacuum_vacuum_threshold',
  'autovacuum_vacuum_scale_factor',
  'autovacuum_vacuum_insert_threshold',
  'autovacuum_vacuum_insert_scale_factor',
  'autovacuum_vacuum_cost_delay',
  'autovacuum_vacuum_cost_limit',
  'autovacuum_freeze_min_age',
  'autovacuum_freeze_max_age',
  'autovacuum_freeze_table_age',
  'autovacuum_multixact_freeze_min_age',
  'autovacuum_multixact_freeze_max_age',
  'autovacuum_multixact_freeze_table_age',
  'log_autovacuum_min_duration',
]
const heap = [
  ...vacuum,
  ...vacuum.map((name) => `toast.${name}`),
  'fillfactor',
  'toast_tuple_target',
  'parallel_workers',
  'autovacuum_analyze_threshold',
  'autovacuum_analyze_scale_factor',
  'user_catalog_table',
]
const names: Record<Parametrised, ReadonlySet<string>> = {
  table: new Set([...heap, 'oids', 'replication', 'publish.to', 'apply.from']),
  'materialized view': new Set([...heap, 'continuous', 'replication']),
  view: new Set(['check_option', 'security_barrier', 'security_invoker']),
  index: new Set(['fillfactor', 'deduplicate_items']),
}
const ours: Partial<Record<Parametrised, string>> = {
  table: 'Of LatticeDB there are replication, "merge.COLUMN", "publish.to" and "apply.from".',
  'materialized view': 'Of LatticeDB there is continuous.',
}

/** WITH (…), as the catalog keeps it. */
export function optionsOf(node: any): string[] {
  return ((node.options ?? []) as any[]).map((o) => {
    const { defnamespace, defname, arg } = o.DefElem
    const value =
      arg?.String?.sval ??
      arg?.Integer?.ival ??
      arg?.Float?.fval ??
      arg?.TypeName?.names?.at(-1)?.String?.sval ??
      'true'
    return `${defnamespace ? `${defnamespace}.` : ''}${defname}=${value}`
  })
}

/**
 * @param options as the catalog keeps them: "name=value".
 *
 * Raises invalid_parameter_value for a name that there is not, and for ways to merge in a table that is not local.
 */
export function checkParameters(options: readonly string[], kind: Parametrised): void {
  for (const option of options) {
    const name = option.slice(0, option.indexOf('='))
    if (names[kind].has(name)) continue
    if (kind !== 'table' || !name.startsWith('merge.'))
      throw new DbError('invalid_parameter_value', `unrecognized parameter "${name}"`, { hint: ours[kind] })
    if (options.includes('replication=local')) continue
    throw new DbError('invalid_parameter_value', `"${name}" is for tables WITH (replication = local)`, {
      hint: 'Other tables are the same everywhere: there is nothing to merge.',
    })
  }
}

export function kindOf({ relkind }: RelationDescriptor): Parametrised {
  if (relkind === 'v') return 'view'
  if (relkind === 'i') return 'index'
  return relkind === 'm' ? 'materialized view' : 'table'
}
