/**
 * What a local table may be, and what may be done to it: only what stays true when stores that have not seen each other's
 * changes merge.
 *
 * Not here: continuous views (continuous-view.ts), CREATE TABLE itself (ddl/tables.ts).
 */
import { DbError } from '../../base/index.ts'
import type { RelationDescriptor } from '../catalog/descriptors.ts'
import { parse } from '../parse/parser.ts'
import type { Modify } from '../query.ts'
import { int2Oid, int4Oid, int8Oid, textOid } from '../types/oids.ts'
import type { TypeLookup } from '../types/type.ts'
import { isLocal, isLocalTable, isMerging, keyColumn, mergeKind } from './local-table.ts'

const mergeKinds = ['lww', 'counter', 'set']
const integers = [int2Oid, int4Oid, int8Oid]

function refused(what: string, hint: string): DbError {
  return new DbError('feature_not_supported', what, { hint })
}

/** The mode that the options of a CREATE say. Raises feature_not_supported for those that are not there. */
export function replicationOf(options: readonly string[]): 'consensus' | 'local' {
  const mode = options.find((o) => o.startsWith('replication='))?.slice('replication='.length) ?? 'consensus'
  if (mode === 'consensus' || mode === 'local') return mode
  throw refused(
    `replication mode "${mode}" is not available on this node`,
    'Leave the option out, or use replication = consensus or replication = local.',
  )
}

/**
 * The elements of a local table: with a key when none is written, the last, so that INSERT … VALUES without names means
 * the columns that were written. Raises feature_not_supported for what no store can see to by itself.
 */
export function localElements(elements: readonly any[], temporary: boolean): any[] {
  if (temporary) throw refused('a temporary table cannot be replicated', 'Leave TEMPORARY or the option out.')
  const constraints = checkElements(elements)
  if (constraints.some((c) => c.contype === 'CONSTR_PRIMARY')) return [...elements]
  return [...elements, ...keyElements()]
}

/** The constraints among the elements. */
function checkElements(elements: readonly any[]): any[] {
  const constraints = elements.flatMap((e) => [
    ...(e.Constraint === undefined ? [] : [e.Constraint]),
    ...((e.ColumnDef?.constraints ?? []) as any[]).map((c) => c.Constraint),
  ])
  for (const { contype } of constraints) {
    const what = beyondOneStore[contype]
    if (what !== undefined) {
      throw refused(
        `${what} cannot be kept in a table WITH (replication = local)`,
        'Stores that have not met cannot see to it. Leave it out, or use replication = consensus.',
      )
    }
  }
  for (const { ColumnDef: column } of elements) {
    const name = column?.typeName?.names.at(-1).String.sval
    if (/^(small|big)?serial\d?$/.test(name ?? '')) {
      throw refused(
        `column "${column.colname}" cannot count up in a table WITH (replication = local)`,
        'Use a key made by ulid(), or gen_random_uuid().',
      )
    }
  }
  return constraints
}

const beyondOneStore: Record<string, string | undefined> = {
  CONSTR_UNIQUE: 'UNIQUE',
  CONSTR_FOREIGN: 'a foreign key',
  CONSTR_EXCLUSION: 'an exclusion constraint',
  CONSTR_IDENTITY: 'an identity column',
}

function keyElements(): any[] {
  const [{ node }] = parse('CREATE TABLE t (key text PRIMARY KEY DEFAULT ulid())')
  return (node as any).CreateStmt.tableElts
}

/** Raises feature_not_supported or invalid_parameter_value for a finished table that cannot merge as its options say. */
export function checkLocalTable(table: RelationDescriptor, types: TypeLookup): void {
  const primary = table.constraints.find((c) => c.type === 'p')!
  if (primary.columns.length !== 1)
    throw refused('a local table has a key of one column', 'Make one text of the columns, or use a ulid() or a uuid.')
  const key = keyColumn(table)
  if (isMerging(table)) checkMerging(table, types)
  else if (key.type !== textOid || key.typmod !== -1) {
    throw refused(
      `the key "${key.name}" of a grow-only local table must be text`,
      'Its rows are events, whose keys are ULIDs: use key text PRIMARY KEY DEFAULT ulid(), or "merge.COLUMN" options.',
    )
  }
}

function checkMerging(table: RelationDescriptor, types: TypeLookup): void {
  const key = keyColumn(table)
  for (const option of table.options ?? []) {
    const [, name, kind] = /^merge\.([^=]*)=(.*)$/.exec(option) ?? []
    if (name === undefined) continue
    const wrong = (what: string, hint: string) => new DbError('invalid_parameter_value', what, { hint })
    const column = table.columns.find((c) => c.name === name && !c.dropped)
    if (column === undefined)
      throw wrong(`"merge.${name}": there is no column "${name}"`, 'Name a column of the table.')
    if (column === key) throw wrong(`"merge.${name}": the key does not change`, 'Leave the option out.')
    if (!mergeKinds.includes(kind))
      throw wrong(`"merge.${name}" = '${kind}' is no way to merge`, `Ways are ${mergeKinds.join(', ')}.`)
    const type = types.type(column.type)
    if (kind === 'counter' && !integers.includes(type.oid))
      throw wrong(
        `column "${name}" of type ${type.name} cannot be a counter`,
        'Counters are smallint, integer or bigint.',
      )
    if (kind === 'set' && type.category !== 'A')
      throw wrong(`column "${name}" of type ${type.name} cannot be a set`, 'Sets are arrays.')
  }
  const counted = table.columns.filter((c) => !c.dropped && c !== key && mergeKind(table, c) !== 'lww')
  for (const { name, type, columns } of table.constraints) {
    const column = type === 'c' ? counted.find((c) => columns.includes(c.number)) : undefined
    if (column === undefined) continue
    throw refused(
      `CHECK "${name}" cannot be kept: "${column.name}" merges as a ${mergeKind(table, column)}`,
      'What each store has checked may break it together. Check columns that merge as lww only.',
    )
  }
  const generated = table.columns.find((c) => !c.dropped && c.generated !== undefined)
  if (generated !== undefined)
    throw refused(`column "${generated.name}" cannot be generated where rows merge`, 'Compute it in a view.')
}

/** Raises feature_not_supported for statements that a local table cannot carry out. */
export function checkLocalChange(table: RelationDescriptor, command: string, { conflict }: Modify): void {
  if (!isLocalTable(table)) return
  if (conflict?.action === 'update')
    throw refused(
      `ON CONFLICT DO UPDATE is not available for the local table "${table.name}"`,
      'Use ON CONFLICT DO NOTHING, then UPDATE.',
    )
  if (isMerging(table) || command === 'insert') return
  throw refused(
    `rows of "${table.name}" cannot be ${command === 'delete' ? 'deleted' : 'updated'}: it only grows`,
    `Give columns a way to merge at CREATE TABLE ("merge.COLUMN" = 'lww'), append another row, or erase the event over HTTP.`,
  )
}

/** What ALTER TABLE may do to a table whose rows are in other stores as well. */
const alterations = ['AT_AddColumn', 'AT_DropColumn', 'AT_ColumnDefault', 'AT_DropNotNull', 'AT_ChangeOwner']

/** Raises feature_not_supported. @param command an AlterTableCmd, as parsed. */
export function checkLocalAlteration(table: RelationDescriptor, { subtype, def, name }: any): void {
  if (!isLocal(table)) {
    const options = subtype === 'AT_SetRelOptions' ? (def.List.items as any[]) : []
    if (!options.some((o) => ['replication', 'continuous'].includes(o.DefElem.defname))) return
    throw refused(
      `"${table.name}" keeps the way in which it is replicated`,
      'Make another table WITH (replication = …) and INSERT … SELECT.',
    )
  }
  const dropsKey = subtype === 'AT_DropColumn' && isLocalTable(table) && name === keyColumn(table).name
  if (alterations.includes(subtype) && !dropsKey) {
    const constraints = subtype === 'AT_AddColumn' ? checkElements([{ ColumnDef: def }]) : []
    if (!constraints.some((c) => c.contype === 'CONSTR_CHECK' || c.contype === 'CONSTR_PRIMARY')) return
  }
  throw refused(
    `this ALTER TABLE is not available for "${table.name}", which is replicated locally`,
    'Columns can be added and dropped, and their defaults changed. Else make another table and INSERT … SELECT.',
  )
}

export function changingDefault(column: string): DbError {
  return refused(
    `column "${column}" of a table that is replicated locally cannot begin with values that differ`,
    'Add it without a default, then ALTER COLUMN … SET DEFAULT.',
  )
}

/** Raises feature_not_supported: an event database has its name for ever, and events name their columns. */
export function checkLocalRename(relation: RelationDescriptor): void {
  if (isLocal(relation))
    throw refused(
      `"${relation.name}" is replicated locally: it and its columns keep their names`,
      'Make a view with the other names.',
    )
}

/** Raises feature_not_supported. */
export function refuseLocal(relation: RelationDescriptor, what: string, hint: string): void {
  if (isLocal(relation))
    throw refused(`${what} is not available for "${relation.name}", which is replicated locally`, hint)
}
