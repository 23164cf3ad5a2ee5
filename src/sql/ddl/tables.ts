/** CREATE TABLE, CREATE TABLE AS, DROP, TRUNCATE. */
import { DbError, type Step } from '../../base/index.ts'
import { lookUpRelation } from '../bind/from.ts'
import type { Column, RelationDescriptor } from '../catalog/descriptors.ts'
import { referencesTo } from '../execute/foreign-keys.ts'
import { applySource, checkBridged, isBridged, makeOrigin, publishTarget } from '../local/bridge.ts'
import { checkLocalTable, localElements, refuseLocal, replicationOf } from '../local/definition.ts'
import { isLocalTable, isMerging, storeName } from '../local/local-table.ts'
import { awaited, requireLocal } from '../local/waiting.ts'
import { bindGenerated, defineColumn, type Place } from './columns.ts'
import { addConstraint, ConstraintNames, saved, type WrittenConstraint } from './constraints.ts'
import {
  type Command,
  type CommandTable,
  contextOf,
  createRowType,
  lockRelation,
  openRelation,
  requireFree,
  type Session,
  targetSchema,
} from './context.ts'
import { restarted } from './sequences.ts'
import { checkParameters, optionsOf } from './storage-parameters.ts'

export const tableCommands: CommandTable = {
  CreateStmt: { transactional: 'inside', writes: true, run: create },
  TruncateStmt: { transactional: 'inside', writes: true, run: truncate },
}

const maxColumns = 1600

function* create(session: Session, node: any): Command {
  const { relation } = node
  const temporary = relation.relpersistence === 't'
  const schema = targetSchema(session, relation.schemaname, temporary)
  if (node.if_not_exists && session.catalog.relationNamed(schema.oid, relation.relname) !== undefined) {
    session.notice(`relation "${relation.relname}" already exists, skipping`)
    return { tag: 'CREATE TABLE' }
  }
  if (node.inhRelations || node.partspec)
    throw new DbError('feature_not_supported', 'table inheritance and partitioning are not supported')
  yield* createTable(session, node, schema.oid, temporary)
  return { tag: 'CREATE TABLE' }
}

function* createTable(
  session: Session,
  node: any,
  schema: number,
  temporary: boolean,
): Generator<Step, RelationDescriptor, void> {
  const name: string = node.relation.relname
  requireFree(session, schema, name)
  const oid = session.newOid()
  const place: Place = { table: oid, tableName: name, schema, temporary }
  const columns: Column[] = []
  const written: WrittenConstraint[] = []
  const generated: { column: Column; node: any }[] = []
  const options = optionsOf(node)
  checkParameters(options, 'table')
  const local = replicationOf(options) === 'local'
  const elements: any[] = node.tableElts ?? []
  for (const element of local ? localElements(elements, temporary) : elements) {
    if (element.Constraint) written.push({ node: element.Constraint, column: undefined })
    else if (element.TableLikeClause) copyColumns(session, element.TableLikeClause, columns)
    else if (element.ColumnDef) {
      const def = element.ColumnDef
      if (columns.some((c) => c.name === def.colname))
        throw new DbError('duplicate_column', `column "${def.colname}" specified more than once`)
      const column = defineColumn(session, place, def, columns.length + 1)
      columns.push(column)
      for (const c of ((def.constraints ?? []) as any[]).map((n) => n.Constraint)) {
        if (c.contype === 'CONSTR_GENERATED') generated.push({ column, node: c.raw_expr })
        else written.push({ node: c, column })
      }
    }
  }
  if (columns.length > maxColumns)
    throw new DbError('too_many_columns', `tables can have at most ${maxColumns} columns`)
  let table = newTable(session, oid, name, schema, columns, temporary, node)
  for (const g of generated) {
    const expr = bindGenerated(session, table, g.column, g.node)
    table = {
      ...table,
      columns: table.columns.map((c) => (c.number === g.column.number ? { ...c, generated: expr } : c)),
    }
  }
  table = saved(session, table)
  table = yield* addConstraints(session, table, written)
  if (isLocalTable(table)) yield* openLocal(session, table)
  yield* bridge(session, table)
  return table
}

/** Sees to the event databases of a table's options, which are there from now on. */
export function* bridge(session: Session, table: RelationDescriptor): Generator<Step, void, void> {
  if (!isBridged(table)) return
  checkBridged(table)
  const { tables } = requireLocal({ session })
  for (const name of new Set([publishTarget(table), applySource(table)])) {
    if (name === undefined) continue
    tables.checkName(name)
    yield* awaited(session, tables.open(name, false))
  }
  yield* makeOrigin(session, session.transaction(), session.database.io)
}

/** The event database is there from now on, whether the transaction commits or not: it may be older than the table. */
function* openLocal(session: Session, table: RelationDescriptor): Generator<Step, void, void> {
  checkLocalTable(table, session.types.types)
  const { tables } = requireLocal({ session })
  const name = storeName(session.catalog, table)
  tables.checkName(name)
  yield* awaited(session, tables.open(name, isMerging(table)))
}

/** Keys come first: foreign keys of the table may refer to them. Deferral clauses belong to the constraint before. */
export function* addConstraints(
  session: Session,
  relation: RelationDescriptor,
  written: readonly WrittenConstraint[],
): Generator<Step, RelationDescriptor, void> {
  const names = new ConstraintNames(session, relation)
  const merged = mergeAttributes(written)
  const order = (w: WrittenConstraint) =>
    ['CONSTR_PRIMARY', 'CONSTR_UNIQUE', 'CONSTR_CHECK', 'CONSTR_FOREIGN'].indexOf(w.node.contype)
  let table = relation
  for (const w of merged.filter((m) => order(m) >= 0).sort((a, b) => order(a) - order(b)))
    table = yield* addConstraint(session, table, w, names)
  return table
}

/** DEFERRABLE and INITIALLY DEFERRED after a column constraint are nodes of their own. */
function mergeAttributes(written: readonly WrittenConstraint[]): WrittenConstraint[] {
  const out: WrittenConstraint[] = []
  for (const w of written) {
    const last = out[out.length - 1]
    const attribute: Record<string, object> = {
      CONSTR_ATTR_DEFERRABLE: { deferrable: true },
      CONSTR_ATTR_NOT_DEFERRABLE: { deferrable: false },
      CONSTR_ATTR_DEFERRED: { deferrable: true, initdeferred: true },
      CONSTR_ATTR_IMMEDIATE: { initdeferred: false },
    }
    if (w.node.contype in attribute && last !== undefined)
      out[out.length - 1] = { ...last, node: { ...last.node, ...attribute[w.node.contype] } }
    else out.push(w)
  }
  return out
}

export function newTable(
  session: Session,
  oid: number,
  name: string,
  schema: number,
  columns: readonly Column[],
  temporary: boolean,
  node: any,
): RelationDescriptor {
  const rowType = createRowType(session, oid, schema, name)
  const options = optionsOf(node)
  const commit = { ONCOMMIT_DELETE_ROWS: 'delete', ONCOMMIT_DROP: 'drop' }[node.oncommit as string] as
    | 'delete'
    | 'drop'
    | undefined
  if (commit !== undefined)
    throw new DbError('feature_not_supported', `ON COMMIT ${commit.toUpperCase()} is not supported`)
  return {
    kind: 'relation',
    oid,
    name,
    owner: session.role,
    schema,
    relkind: 'r',
    persistence: temporary ? 't' : node.relation?.relpersistence === 'u' ? 'u' : 'p',
    columns,
    storage: oid,
    layouts: [columns.filter((c) => !c.dropped).map((c) => c.number)],
    constraints: [],
    indexes: [],
    rowType,
    options: options.length > 0 ? options : undefined,
    session: temporary ? session.processId : undefined,
  }
}

function copyColumns(session: Session, clause: any, columns: Column[]): void {
  const source = lookUpRelation(contextOf(session), clause.relation)
  const withDefaults = (clause.options & 0x10) !== 0 || clause.options === 0x7fffffff
  for (const c of source.columns) {
    if (c.dropped) continue
    if (columns.some((x) => x.name === c.name))
      throw new DbError('duplicate_column', `column "${c.name}" specified more than once`)
    columns.push({
      number: columns.length + 1,
      name: c.name,
      type: c.type,
      typmod: c.typmod,
      notNull: c.notNull,
      dropped: false,
      collation: c.collation,
      default: withDefaults ? c.default : undefined,
    })
  }
}

function* truncate(session: Session, node: any): Command {
  const tables: RelationDescriptor[] = []
  for (const n of node.relations as any[]) {
    const relation = yield* openRelation(session, n.RangeVar)
    if (relation.relkind !== 'r') throw new DbError('wrong_object_type', `"${relation.name}" is not a table`)
    refuseLocal(relation, 'TRUNCATE', 'DELETE its rows, or erase its events over HTTP.')
    tables.push(relation)
  }
  const cascade = node.behavior === 'DROP_CASCADE'
  for (let i = 0; i < tables.length; i++) {
    for (const ref of referencesTo(session.catalog, tables[i].oid)) {
      if (tables.some((t) => t.oid === ref.child.oid)) continue
      if (!cascade) {
        throw new DbError('feature_not_supported', 'cannot truncate a table referenced in a foreign key constraint', {
          detail: `Table "${ref.child.name}" references "${tables[i].name}".`,
          hint: `Truncate table "${ref.child.name}" at the same time, or use TRUNCATE ... CASCADE.`,
        })
      }
      session.notice(`truncate cascades to table "${ref.child.name}"`)
      yield* lockRelation(session, ref.child.oid)
      tables.push(session.catalog.relationOf(ref.child.oid))
    }
  }
  for (const table of tables) emptyTable(session, session.catalog.relationOf(table.oid), node.restart_seqs === true)
  return { tag: 'TRUNCATE TABLE' }
}

/** New storage for the table and its indexes: the old one is dropped at commit. */
export function emptyTable(session: Session, table: RelationDescriptor, restart: boolean): void {
  const storage = session.newOid()
  session.dropStorage(table.storage)
  for (const oid of table.indexes) {
    const index = session.catalog.relationOf(oid)
    const own = index.storage === table.storage
    if (!own) session.dropStorage(index.storage)
    session.change('relation', oid, { ...index, storage: own ? storage : session.newOid() })
  }
  saved(session, { ...table, storage })
  if (!restart) return
  for (const r of session.catalog.relations()) {
    if (r.sequence?.ownedTable === table.oid) saved(session, restarted(session, r, r.sequence.start))
  }
}
