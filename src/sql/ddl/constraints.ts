/** Table constraints: primary and unique keys with their indexes, checks, foreign keys. */

import { DbError, type Step } from '../../base/index.ts'
import { shareRowExclusive } from '../../transaction/index.ts'
import { operatorCall } from '../bind/calls.ts'
import type { Column, Constraint, ForeignAction, RelationDescriptor } from '../catalog/descriptors.ts'
import { checkBridgedChange } from '../local/bridge.ts'
import { refuseLocal } from '../local/definition.ts'
import { stripped } from './columns.ts'
import { bindCondition, columnNamed, columnsOf, contextOf, freeName, openRelation, type Session } from './context.ts'
import { createIndex, indexColumn } from './indexes.ts'

/** What stands in the way of a constraint's name, and which names this command has given. */
export class ConstraintNames {
  readonly #session: Session
  readonly #relation: RelationDescriptor
  readonly used = new Set<string>()

  constructor(session: Session, relation: RelationDescriptor) {
    this.#session = session
    this.#relation = relation
    for (const c of relation.constraints) this.used.add(c.name)
  }

  take(given: string | undefined, parts: readonly string[], suffix: string, isIndex: boolean): string {
    if (given !== undefined) {
      // An index of the name is in the way before the constraint is.
      if (isIndex && this.#session.catalog.relationNamed(this.#relation.schema, given) !== undefined)
        throw new DbError('duplicate_table', `relation "${given}" already exists`)
      if (this.used.has(given))
        throw new DbError(
          'duplicate_object',
          `constraint "${given}" for relation "${this.#relation.name}" already exists`,
        )
      this.used.add(given)
      return given
    }
    let name: string
    if (isIndex) name = freeName(this.#session, this.#relation.schema, parts, suffix, this.used)
    else {
      const base = [...parts, suffix].join('_').slice(0, 63)
      name = base
      for (let n = 1; this.used.has(name); n++) name = `${base}${n}`
    }
    this.used.add(name)
    return name
  }
}

/** A parse node's constraint, with the column it stands at when written there. */
export interface WrittenConstraint {
  readonly node: any
  readonly column: Column | undefined
}

/** The table with the constraint added; indexes are created (and filled when the table has rows). */
export function* addConstraint(
  session: Session,
  relation: RelationDescriptor,
  written: WrittenConstraint,
  names: ConstraintNames,
): Generator<Step, RelationDescriptor, void> {
  const { node } = written
  switch (node.contype) {
    case 'CONSTR_PRIMARY':
    case 'CONSTR_UNIQUE':
      return yield* addKey(session, relation, written, names)
    case 'CONSTR_CHECK': {
      const context = contextOf(session)
      const check = stripped(bindCondition(context, relation, node.raw_expr, 'check', 'CHECK'))
      const columns = columnsOf(check)
      const parts = columns.length === 1 ? [relation.name, relation.columns[columns[0] - 1].name] : [relation.name]
      const constraint: Constraint = {
        oid: session.newOid(),
        name: names.take(node.conname, parts, 'check', false),
        type: 'c',
        columns,
        deferrable: false,
        deferred: false,
        validated: node.skip_validation !== true,
        check,
      }
      return saved(session, { ...relation, constraints: [...relation.constraints, constraint] })
    }
    case 'CONSTR_FOREIGN':
      return yield* addForeignKey(session, relation, written, names)
    case 'CONSTR_EXCLUSION':
      throw new DbError('feature_not_supported', 'exclusion constraints are not supported')
    default:
      return relation
  }
}

export function saved(session: Session, relation: RelationDescriptor): RelationDescriptor {
  const before = session.catalog.relation(relation.oid)
  if (before !== undefined) checkBridgedChange(before, relation)
  session.change('relation', relation.oid, relation)
  return relation
}

function* addKey(
  session: Session,
  relation: RelationDescriptor,
  written: WrittenConstraint,
  names: ConstraintNames,
): Generator<Step, RelationDescriptor, void> {
  const { node } = written
  const primary = node.contype === 'CONSTR_PRIMARY'
  if (primary && relation.constraints.some((c) => c.type === 'p')) {
    throw new DbError('invalid_table_definition', `multiple primary keys for table "${relation.name}" are not allowed`)
  }
  if (node.indexname) return adoptIndex(session, relation, node, names, primary)
  const columnNames: string[] =
    node.keys === undefined ? [written.column!.name] : node.keys.map((k: any) => k.String.sval)
  const columns = columnNames.map((n) => columnNamed(relation, n))
  const twice = columnNames.find((n, i) => columnNames.indexOf(n) !== i)
  if (twice !== undefined)
    throw new DbError(
      'duplicate_column',
      `column "${twice}" appears twice in ${primary ? 'primary key' : 'unique'} constraint`,
    )
  const include = ((node.including ?? []) as any[]).map((k) => columnNamed(relation, k.String.sval).number)
  const parts = primary ? [relation.name] : [relation.name, ...columnNames]
  const name = names.take(node.conname, parts, primary ? 'pkey' : 'key', true)
  let table = relation
  if (primary)
    table = {
      ...table,
      columns: table.columns.map((c) => (columns.some((k) => k.number === c.number) ? { ...c, notNull: true } : c)),
    }
  const constraintOid = session.newOid()
  const constraint: Constraint = {
    oid: constraintOid,
    name,
    type: primary ? 'p' : 'u',
    columns: columns.map((c) => c.number),
    deferrable: node.deferrable === true,
    deferred: node.initdeferred === true,
    validated: true,
  }
  const info = {
    table: relation.oid,
    columns: columns.map((c) => indexColumn(session, relation, { column: c.number })),
    include,
    unique: true,
    nullsNotDistinct: node.nulls_not_distinct === true,
    primary,
    method: 'btree',
    constraint: constraintOid,
  }
  const created = yield* createIndex(session, table, name, info)
  return saved(session, {
    ...created.table,
    constraints: [...created.table.constraints, { ...constraint, index: created.index }],
  })
}

/** The index that ADD CONSTRAINT … USING INDEX names. Raises what PostgreSQL does of one that cannot stand for a key. */
export function adoptable(session: Session, relation: RelationDescriptor, indexName: string): RelationDescriptor {
  const index = session.catalog.relationNamed(relation.schema, indexName)
  if (index?.index === undefined) throw new DbError('undefined_object', `index "${indexName}" does not exist`)
  const { index: info } = index
  const state = 'object_not_in_prerequisite_state'
  if (info.constraint !== undefined)
    throw new DbError(state, `index "${indexName}" is already associated with a constraint`)
  if (info.table !== relation.oid)
    throw new DbError(state, `index "${indexName}" does not belong to table "${relation.name}"`)
  const wrong = (message: string) =>
    new DbError('wrong_object_type', message, {
      detail: 'Cannot create a primary key or unique constraint using such an index.',
    })
  if (!info.unique) throw wrong(`"${indexName}" is not a unique index`)
  if (info.columns.some((c) => c.column === 0)) throw wrong(`index "${indexName}" contains expressions`)
  if (info.predicate !== undefined) throw wrong(`"${indexName}" is a partial index`)
  const odd = info.columns.findIndex((c) => c.descending || c.nullsFirst)
  if (odd >= 0) throw wrong(`index "${indexName}" column number ${odd + 1} does not have default sorting behavior`)
  return index
}

/** ADD CONSTRAINT … USING INDEX: the index takes the constraint's name. The caller has looked for NULLs. */
function adoptIndex(
  session: Session,
  relation: RelationDescriptor,
  node: any,
  names: ConstraintNames,
  primary: boolean,
): RelationDescriptor {
  const index = adoptable(session, relation, node.indexname)
  const info = index.index!
  const name = node.conname ?? node.indexname
  if (name !== index.name) {
    session.notice(`ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index "${index.name}" to "${name}"`)
    names.take(name, [], '', true)
  } else names.used.add(name)
  const oid = session.newOid()
  const columns = info.columns.map((c) => c.column)
  session.change('relation', index.oid, { ...index, name, index: { ...info, primary, constraint: oid } })
  const constraint: Constraint = {
    oid,
    name,
    type: primary ? 'p' : 'u',
    columns,
    deferrable: node.deferrable === true,
    deferred: node.initdeferred === true,
    validated: true,
    index: index.oid,
  }
  const withNotNull = primary
    ? relation.columns.map((c) => (columns.includes(c.number) ? { ...c, notNull: true } : c))
    : relation.columns
  return saved(session, { ...relation, columns: withNotNull, constraints: [...relation.constraints, constraint] })
}

function* addForeignKey(
  session: Session,
  relation: RelationDescriptor,
  written: WrittenConstraint,
  names: ConstraintNames,
): Generator<Step, RelationDescriptor, void> {
  const { node } = written
  const context = contextOf(session)
  const fkNames: string[] =
    node.fk_attrs === undefined ? [written.column!.name] : node.fk_attrs.map((k: any) => k.String.sval)
  const columns = fkNames.map((n) => columnNamed(relation, n))
  // A table may refer to itself while it is being created.
  const self =
    node.pktable.relname === relation.name &&
    (node.pktable.schemaname === undefined || session.catalog.schema(relation.schema)?.name === node.pktable.schemaname)
  // A statement that is deleting parents does not look for these children.
  const found = self ? relation : yield* openRelation(session, node.pktable, shareRowExclusive)
  const parent = found.oid === relation.oid ? relation : found
  if (parent.relkind !== 'r')
    throw new DbError('wrong_object_type', `referenced relation "${parent.name}" is not a table`)
  refuseLocal(parent, 'a foreign key', 'Stores that have not met cannot see to it.')
  const { referenced, index } = referencedKey(session, parent, node)
  if (referenced.length !== columns.length)
    throw new DbError('invalid_foreign_key', 'number of referencing and referenced columns for foreign key disagree')
  columns.forEach((c, i) => {
    const p = parent.columns[referenced[i] - 1]
    const variable = (col: Column, entry: number) =>
      ({ kind: 'var', up: 0, entry, column: col.number, type: col.type, typmod: -1 }) as const
    try {
      operatorCall(context, ['='], variable(p, 0), variable(c, 1))
    } catch {
      throw new DbError(
        'datatype_mismatch',
        `foreign key constraint "${node.conname ?? `${relation.name}_${fkNames.join('_')}_fkey`}" cannot be implemented`,
        {
          detail: `Key columns "${c.name}" and "${p.name}" are of incompatible types: ${context.types.types.type(c.type).name} and ${context.types.types.type(p.type).name}.`,
        },
      )
    }
  })
  const setColumns = ((node.fk_del_set_cols ?? []) as any[]).map((k) => columnNamed(relation, k.String.sval).number)
  const constraint: Constraint = {
    oid: session.newOid(),
    name: names.take(node.conname, [relation.name, ...fkNames], 'fkey', false),
    type: 'f',
    columns: columns.map((c) => c.number),
    deferrable: node.deferrable === true,
    deferred: node.initdeferred === true,
    validated: node.skip_validation !== true,
    index,
    foreign: {
      table: parent.oid,
      columns: referenced,
      onUpdate: (node.fk_upd_action ?? 'a') as ForeignAction,
      onDelete: (node.fk_del_action ?? 'a') as ForeignAction,
      match: node.fk_matchtype === 'f' ? 'f' : 's',
      setColumns: setColumns.length > 0 ? setColumns : undefined,
    },
  }
  if (node.fk_matchtype === 'p') throw new DbError('feature_not_supported', 'MATCH PARTIAL not yet implemented')
  // Nor does one of a node that has not heard of the key: the fence of the parents stops it.
  if (parent !== relation) session.change('relation', parent.oid, parent)
  return saved(session, { ...relation, constraints: [...relation.constraints, constraint] })
}

function referencedKey(
  session: Session,
  parent: RelationDescriptor,
  node: any,
): { referenced: number[]; index: number } {
  if (node.pk_attrs === undefined) {
    const primary = parent.constraints.find((c) => c.type === 'p')
    if (primary === undefined)
      throw new DbError('undefined_object', `there is no primary key for referenced table "${parent.name}"`)
    return { referenced: [...primary.columns], index: primary.index! }
  }
  const referenced: number[] = node.pk_attrs.map((k: any) => {
    const column = parent.columns.find((c) => !c.dropped && c.name === k.String.sval)
    if (column === undefined)
      throw new DbError(
        'undefined_column',
        `column "${k.String.sval}" referenced in foreign key constraint does not exist`,
      )
    return column.number
  })
  for (const oid of parent.indexes) {
    const index = session.catalog.relation(oid)?.index
    if (index === undefined || !index.unique || index.predicate !== undefined) continue
    const columns = index.columns.map((c) => c.column)
    if (columns.length === referenced.length && columns.every((c) => referenced.includes(c)))
      return { referenced, index: oid }
  }
  throw new DbError(
    'invalid_foreign_key',
    `there is no unique constraint matching given keys for referenced table "${parent.name}"`,
  )
}
