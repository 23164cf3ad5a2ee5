/** Views, materialized views, CREATE TABLE AS and SELECT INTO. */
import { DbError, END, ROW, type Step } from '../../base/index.ts'
import { ParameterTypes } from '../bind/context.ts'
import { bindSelectNode } from '../bind/select.ts'
import { formatType } from '../bind/type-name.ts'
import type { Column, RelationDescriptor } from '../catalog/descriptors.ts'
import { Execution, suspended } from '../execute/execution.ts'
import { checkBridged } from '../local/bridge.ts'
import { replicationOf } from '../local/definition.ts'
import { isContinuous, isContinuousView, storeName } from '../local/local-table.ts'
import { awaited, requireLocal } from '../local/waiting.ts'
import type { Node } from '../parse/parser.ts'
import type { Query, Target } from '../query.ts'
import { makePlan } from '../session/plan.ts'
import { textOid, unknownOid } from '../types/oids.ts'
import type { Value } from '../types/type.ts'
import { stripped, withObjectIds } from './columns.ts'
import { saved } from './constraints.ts'
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
import { writerFor } from './indexes.ts'
import { checkParameters, optionsOf } from './storage-parameters.ts'
import { emptyTable, newTable } from './tables.ts'

export const viewCommands: CommandTable = {
  ViewStmt: { transactional: 'inside', writes: true, run: createView },
  CreateTableAsStmt: { transactional: 'inside', writes: true, run: createTableAs },
  RefreshMatViewStmt: { transactional: 'inside', writes: true, run: refresh },
}

function bindQuery(session: Session, node: Node, text: string): Query {
  const context = session.bindContext(text, new ParameterTypes([], false))
  return withObjectIds(session, stripped(bindSelectNode(context, undefined, node, true) as never)) as unknown as Query
}

function outputs(query: Query): Target[] {
  return query.targets.filter((t) => !t.junk)
}

/** Columns of the query's outputs, renamed as written. */
function columnsOf(session: Session, query: Query, names: readonly string[]): Column[] {
  const targets = outputs(query)
  if (names.length > targets.length)
    throw new DbError('syntax_error', 'CREATE VIEW specifies more column names than columns')
  const columns = targets.map((t, i): Column => {
    const type = t.expr.type === unknownOid ? textOid : t.expr.type
    const { category } = session.types.types.type(type)
    return {
      number: i + 1,
      name: names[i] ?? t.name,
      type,
      typmod: t.expr.typmod,
      notNull: false,
      dropped: false,
      collation: category === 'S' ? 100 : 0,
    }
  })
  const seen = new Set<string>()
  for (const c of columns) {
    if (seen.has(c.name)) throw new DbError('duplicate_column', `column "${c.name}" specified more than once`)
    seen.add(c.name)
  }
  return columns
}

function* createView(session: Session, node: any, text: string): Command {
  const tag = 'CREATE VIEW'
  const temporary = node.view.relpersistence === 't'
  const schema = targetSchema(session, node.view.schemaname, temporary)
  const name: string = node.view.relname
  const query = bindQuery(session, node.query, text)
  checkParameters(optionsOf(node), 'view')
  const aliases = ((node.aliases ?? []) as any[]).map((a) => a.String.sval)
  const columns = columnsOf(session, query, aliases)
  const before = session.catalog.relationNamed(schema.oid, name)
  if (before !== undefined) {
    if (!node.replace) throw new DbError('duplicate_table', `relation "${name}" already exists`)
    if (before.relkind !== 'v') throw new DbError('wrong_object_type', `"${name}" is not a view`)
    yield* lockRelation(session, before.oid)
    checkReplace(session, before, columns)
    saved(session, { ...before, columns, view: query })
    return { tag }
  }
  requireFree(session, schema.oid, name)
  const oid = session.newOid()
  const rowType = createRowType(session, oid, schema.oid, name)
  saved(session, {
    kind: 'relation',
    oid,
    name,
    owner: session.role,
    schema: schema.oid,
    relkind: 'v',
    persistence: temporary ? 't' : 'p',
    columns,
    storage: 0,
    layouts: [],
    constraints: [],
    indexes: [],
    rowType,
    view: query,
    session: temporary ? session.processId : undefined,
  })
  return { tag }
}

function checkReplace(session: Session, before: RelationDescriptor, columns: readonly Column[]): void {
  if (columns.length < before.columns.length)
    throw new DbError('invalid_table_definition', 'cannot drop columns from view')
  before.columns.forEach((c, i) => {
    if (columns[i].name !== c.name)
      throw new DbError(
        'invalid_table_definition',
        `cannot change name of view column "${c.name}" to "${columns[i].name}"`,
        { hint: 'Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead.' },
      )
    if (columns[i].type !== c.type) {
      const context = contextOf(session)
      throw new DbError(
        'invalid_table_definition',
        `cannot change data type of view column "${c.name}" from ${formatType(context, c.type, c.typmod)} to ${formatType(context, columns[i].type, columns[i].typmod)}`,
      )
    }
  })
}

function* createTableAs(session: Session, node: any, text: string): Command {
  const { into } = node
  const materialized = node.objtype === 'OBJECT_MATVIEW'
  const what = materialized ? 'CREATE MATERIALIZED VIEW' : 'CREATE TABLE AS'
  const temporary = into.rel.relpersistence === 't'
  const schema = targetSchema(session, into.rel.schemaname, temporary)
  const name: string = into.rel.relname
  if (session.catalog.relationNamed(schema.oid, name) !== undefined) {
    if (!node.if_not_exists) throw new DbError('duplicate_table', `relation "${name}" already exists`)
    session.notice(`relation "${name}" already exists, skipping`)
    return { tag: what }
  }
  requireFree(session, schema.oid, name)
  checkParameters(optionsOf(into), materialized ? 'materialized view' : 'table')
  if (replicationOf(optionsOf(into)) === 'local')
    throw new DbError('feature_not_supported', 'CREATE TABLE AS makes no table WITH (replication = local)', {
      hint: 'CREATE TABLE first, then INSERT … SELECT.',
    })
  if (!node.query.SelectStmt) throw new DbError('feature_not_supported', 'CREATE TABLE AS EXECUTE is not supported')
  const query = bindQuery(session, node.query, text)
  const columns = columnsOf(
    session,
    query,
    ((into.colNames ?? []) as any[]).map((c) => c.String.sval),
  )
  const continuous = materialized && isContinuous(optionsOf(into))
  if (continuous) yield* checkContinuous(session, schema.oid, name, query, temporary)
  const oid = session.newOid()
  let table = newTable(session, oid, name, schema.oid, columns, temporary, { ...into, relation: into.rel })
  if (materialized) table = { ...table, relkind: 'm', view: query }
  checkBridged(saved(session, table))
  if (continuous) return { tag: what }
  const rows = into.skipData ? 0 : yield* fill(session, table, query, text)
  return { tag: materialized ? (into.skipData ? what : `SELECT ${rows}`) : `SELECT ${rows}` }
}

/** Raises feature_not_supported for what cannot be kept as events come. */
function* checkContinuous(
  session: Session,
  schema: number,
  name: string,
  query: Query,
  temporary: boolean,
): Generator<Step, void, void> {
  if (temporary) throw new DbError('feature_not_supported', 'a continuous view cannot be temporary')
  requireLocal({ session })
  const viewName = storeName(session.catalog, { name, schema } as RelationDescriptor)
  const { continuous } = session.database
  yield* awaited(session, continuous!.check(session.databaseOid, viewName, query, session.catalog))
}

/** Runs the query and writes its rows to the table. */
function* fill(session: Session, table: RelationDescriptor, query: Query, text: string): Generator<Step, number, void> {
  const context = session.bindContext(text, new ParameterTypes([], false))
  const plan = makePlan(context, query, session.tables, session.tableRows)
  const tx = session.transaction()
  const x = new Execution(plan.registers, [], tx, session)
  plan.builder.running = x
  session.running = x
  session.refreshCache()
  for (const reset of plan.resets) reset(x)
  const { writer, x: writing } = writerFor(session, table)
  plan.operator.open(x)
  let rows = 0
  for (;;) {
    x.startSlice()
    let step: Step
    try {
      step = plan.operator.next(x)
    } catch (error) {
      if (error !== suspended) throw error
      step = x.suspendedStep
    }
    if (step === END) break
    if (step !== ROW) {
      session.blocker = x.blocker
      yield step
      continue
    }
    const values: Value[] = plan.outputs.map((o) => x.r[o])
    const key = writer.keyOf(writing, values)
    if (!writer.append(writing, values, key)) writer.put(writing, values, key)
    rows++
  }
  plan.operator.close(x)
  return rows
}

function* refresh(session: Session, node: any, text: string): Command {
  const view = yield* openRelation(session, node.relation)
  if (view.relkind !== 'm') throw new DbError('wrong_object_type', `"${view.name}" is not a materialized view`)
  if (isContinuousView(view)) {
    session.notice(`"${view.name}" is kept up to date as events come: there is nothing to refresh`)
    return { tag: 'REFRESH MATERIALIZED VIEW' }
  }
  emptyTable(session, view, false)
  if (!node.skipData) yield* fill(session, session.catalog.relationOf(view.oid), view.view!, text)
  return { tag: 'REFRESH MATERIALIZED VIEW' }
}
