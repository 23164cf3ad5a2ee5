/**
 * Which relations are kept in event databases, and how: tables WITH (replication = 'local') and continuous materialized
 * views over them. All of it is said by the options in the catalog.
 *
 *   grow-only   rows are events: never changed, merged by union
 *   merging     "merge.COLUMN" = 'lww' | 'counter' | 'set': events are deltas of rows, which a view joins
 *   continuous  groups of a grow-only table: a view of its events
 *
 * Not here: which tables may be such (definition.ts), reading and writing them.
 */
import type { Catalog } from '../catalog/catalog.ts'
import type { Column, RelationDescriptor } from '../catalog/descriptors.ts'

export type MergeKind = 'lww' | 'counter' | 'set'

export function optionOf(relation: RelationDescriptor, name: string): string | undefined {
  return relation.options?.find((o) => o.startsWith(`${name}=`))?.slice(name.length + 1)
}

export function isLocalTable(relation: RelationDescriptor | undefined): boolean {
  return relation?.relkind === 'r' && relation.options !== undefined && optionOf(relation, 'replication') === 'local'
}

/** WITH (continuous), as the catalog keeps it. */
export function isContinuous(options: readonly string[] | undefined): boolean {
  return options?.some((o) => /^continuous=(true|on|1)$/.test(o)) === true
}

export function isContinuousView(relation: RelationDescriptor | undefined): boolean {
  return relation?.relkind === 'm' && isContinuous(relation.options)
}

/** Rows of it are not in the transactional store. */
export function isLocal(relation: RelationDescriptor | undefined): boolean {
  return isLocalTable(relation) || isContinuousView(relation)
}

export function isMerging(relation: RelationDescriptor): boolean {
  return relation.options?.some((o) => o.startsWith('merge.')) === true
}

/** How a column of a merging table merges. */
export function mergeKind(relation: RelationDescriptor, column: Column): MergeKind {
  return (optionOf(relation, `merge.${column.name}`) as MergeKind | undefined) ?? 'lww'
}

/** The event database of a table: of its name, and of its schema where that is not public. */
export function storeName(catalog: Catalog, table: RelationDescriptor): string {
  const schema = catalog.schema(table.schema)?.name
  return schema === undefined || schema === 'public' ? table.name : `${schema}-${table.name}`
}

/** The column that is the event's key, or the row's in a merging table. */
export function keyColumn(table: RelationDescriptor): Column {
  const primary = table.constraints.find((c) => c.type === 'p')
  return table.columns[primary!.columns[0] - 1]
}

/** Columns of a merging table that are one register: those that a CHECK ties together, and each other one by itself. */
export function registerGroups(table: RelationDescriptor): Column[][] {
  const key = keyColumn(table)
  const groups = new Map<number, Set<number>>()
  for (const c of table.columns) {
    if (!c.dropped && c !== key && mergeKind(table, c) === 'lww') groups.set(c.number, new Set([c.number]))
  }
  for (const { type, columns } of table.constraints) {
    if (type !== 'c') continue
    const tied = columns.filter((n) => groups.has(n))
    const all = new Set(tied.flatMap((n) => [...groups.get(n)!]))
    for (const n of all) groups.set(n, all)
  }
  return [...new Set(groups.values())].map((g) => [...g].sort((a, b) => a - b).map((n) => table.columns[n - 1]))
}
