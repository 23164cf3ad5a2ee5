/** Indexes: CREATE INDEX, and the filling of a new index from the rows that are there. */
import { DbError, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import { bindExpr, collationNamed } from '../bind/expression.ts'
import { nameParts } from '../bind/type-name.ts'
import type { IndexColumn, IndexInfo, RelationDescriptor } from '../catalog/descriptors.ts'
import { Execution } from '../execute/execution.ts'
import type { RowWriter } from '../execute/row-writer.ts'
import { type IndexAccess, storageSpan, type TableAccess } from '../execute/tables.ts'
import { defaultOperatorClass, operatorClassNamed } from '../functions/registry.ts'
import { refuseLocal } from '../local/definition.ts'
import { standaloneWriter } from '../plan/plan-modify.ts'
import type { Expr } from '../query.ts'
import type { Value } from '../types/type.ts'
import { stripped } from './columns.ts'
import { saved } from './constraints.ts'
import {
  bindCondition,
  type Command,
  type CommandTable,
  columnNamed,
  contextOf,
  freeName,
  openRelation,
  refuseSubqueries,
  requireFree,
  type Session,
  tableScope,
} from './context.ts'
import { checkParameters, optionsOf } from './storage-parameters.ts'

const btree = 403
const maxKeyColumns = 32

export const indexCommands: CommandTable = {
  IndexStmt: { transactional: 'inside', writes: true, run: create },
}

/** An index column from what is written about it. */
export function indexColumn(
  session: Session,
  relation: RelationDescriptor,
  part: {
    column?: number
    expr?: Expr
    opclass?: string
    collation?: string
    descending?: boolean
    nullsFirst?: boolean
  },
): IndexColumn {
  const column = part.column === undefined ? undefined : relation.columns[part.column - 1]
  const type = column?.type ?? part.expr!.type
  const t = session.types.types.type(type)
  if (!t.ordered) {
    throw new DbError(
      'undefined_object',
      `data type ${t.name} has no default operator class for access method "btree"`,
      {
        hint: 'You must specify an operator class for the index or define a default operator class for the data type.',
      },
    )
  }
  let opclass = part.opclass === undefined ? undefined : operatorClassNamed(btree, part.opclass)
  if (part.opclass !== undefined && opclass === undefined)
    throw new DbError('undefined_object', `operator class "${part.opclass}" does not exist for access method "btree"`)
  opclass ??= defaultOperatorClass(
    btree,
    type === 1043
      ? 25
      : t.kind === 'e'
        ? 3500
        : t.category === 'A' && t.element !== 0
          ? 2277
          : t.kind === 'd'
            ? t.base
            : type,
  )
  const collation = part.collation === undefined ? undefined : collationNamed(part.collation)
  const descending = part.descending === true
  return {
    column: part.column ?? 0,
    expr: part.expr,
    type,
    typmod: column?.typmod ?? part.expr?.typmod ?? -1,
    descending,
    nullsFirst: part.nullsFirst ?? descending,
    opclass: opclass?.oid ?? 0,
    collation: collation ?? column?.collation ?? (t.category === 'S' ? 100 : 0),
  }
}

/** Creates an index and fills it. A primary key takes the table over: its rows are kept under the key from then on. */
export function* createIndex(
  session: Session,
  table: RelationDescriptor,
  name: string,
  info: IndexInfo,
): Generator<Step, { table: RelationDescriptor; index: number }, void> {
  requireFree(session, table.schema, name)
  const oid = session.newOid()
  const empty = yield* isEmpty(session, table)
  const clustered = info.primary && table.relkind === 'r'
  // The table's keys change form: with rows, they move to new storage.
  const storage = clustered ? (empty ? table.storage : session.newOid()) : session.newOid()
  const index: RelationDescriptor = {
    kind: 'relation',
    oid,
    name,
    owner: table.owner,
    schema: table.schema,
    relkind: 'i',
    persistence: table.persistence,
    storage,
    columns: info.columns.map((c, i) => ({
      number: i + 1,
      name: c.column > 0 ? table.columns[c.column - 1].name : 'expr',
      type: c.type,
      typmod: c.typmod,
      notNull: false,
      dropped: false,
      collation: c.collation,
    })),
    layouts: [],
    constraints: [],
    indexes: [],
    rowType: 0,
    index: info,
  }
  session.change('relation', oid, index)
  const next: RelationDescriptor = {
    ...table,
    storage: clustered ? storage : table.storage,
    indexes: [...table.indexes, oid],
  }
  if (!empty) {
    // Rows that move take their other indexes with them: entries hold the rows' keys.
    for (const other of clustered ? table.indexes : []) {
      const before = session.catalog.relationOf(other)
      session.dropStorage(before.storage)
      session.change('relation', other, { ...before, storage: session.newOid() })
    }
    if (clustered) yield* rewriteTable(session, table, next, (values) => values)
    else yield* fillIndex(session, table, saved(session, next), oid)
  }
  return { table: saved(session, next), index: oid }
}

export function* isEmpty(session: Session, table: RelationDescriptor): Generator<Step, boolean, void> {
  const tx = session.transaction()
  const cursor = tx.cursorRelied(storageSpan(table.storage))
  try {
    for (;;) {
      const step = cursor.next(1)
      if (step !== WAIT) return step !== ROW
      session.blocker = cursor
      yield WAIT
    }
  } finally {
    cursor.close()
  }
}

/** Calls `each` with every row of a table, newest versions, own writes included. */
export function* forEachRow(
  session: Session,
  access: TableAccess,
  each: (key: Uint8Array, values: Value[]) => Generator<Step, void, void> | undefined,
): Generator<Step, void, void> {
  const tx = session.transaction()
  const cursor = tx.cursorRelied(storageSpan(access.descriptor.storage))
  const { columns } = access.descriptor
  try {
    for (;;) {
      const step = cursor.next()
      if (step === WAIT) {
        session.blocker = cursor
        yield WAIT
        continue
      }
      if (step !== ROW) return
      const b = cursor.batch
      // The batch is only good until the next call: waiting inside `each` must not depend on it.
      const rows: { key: Uint8Array; values: Value[] }[] = []
      for (let i = 0; i < b.count; i++) {
        const slab = b.slabs[b.slab[i]]
        const values = columns.map((c) =>
          c.dropped ? null : access.read(c.number, slab.bytes, slab.view, b.valueStart[i]),
        )
        rows.push({ key: slab.bytes.slice(b.keyStart[i], b.keyEnd[i]), values })
      }
      for (const row of rows) {
        const wait = each(row.key, row.values)
        if (wait !== undefined) yield* wait
      }
      // Others have their turn while a large table is read.
      if (session.sliceSpent) yield YIELD
    }
  } finally {
    cursor.close()
  }
}

/** A writer of the table as this transaction sees it, with an execution to run it in. */
export function writerFor(session: Session, relation: RelationDescriptor): { writer: RowWriter; x: Execution } {
  const builder = session.planBuilder(contextOf(session))
  const { writer } = standaloneWriter(builder, relation)
  const x = new Execution(builder.registers, [], session.transaction(), session)
  x.deadline = Number.POSITIVE_INFINITY
  return { writer, x }
}

function* fillIndex(
  session: Session,
  before: RelationDescriptor,
  table: RelationDescriptor,
  oid: number,
): Generator<Step, void, void> {
  const { writer, x } = writerFor(session, table)
  const access = session.tables.access(session.catalog, before)
  const compiled = writer.options.indexes.find((i) => i.access.descriptor.oid === oid)!
  const tx = session.transaction()
  const entries: { readonly key: Uint8Array; readonly row: Uint8Array; readonly unique: boolean }[] = []
  yield* forEachRow(session, access, (key, values) => {
    const entry = writer.indexEntry(x, compiled, values, key)
    if (entry !== undefined) entries.push({ key: entry.key, row: key, unique: entry.unique })
    return undefined
  })
  // Sorted, the entries go in without look-ups, and equal keys stand side by side.
  entries.sort((a, b) => Buffer.compare(a.key, b.key))
  for (let i = 0; i < entries.length; i++) {
    const { key, row, unique } = entries[i]
    if (unique && i > 0 && Buffer.compare(key, entries[i - 1].key) === 0)
      yield* duplicated(session, writer, x, compiled.access, row)
    const tail = row.subarray(4)
    if (!tx.append(key, key.length, tail, tail.length)) tx.put(key, row, 4, row.length)
  }
}

/** Raises unique_violation for the row with a key. */
function* duplicated(
  session: Session,
  writer: RowWriter,
  x: Execution,
  index: IndexAccess,
  row: Uint8Array,
): Generator<Step, void, void> {
  const { access } = writer.options
  while (x.tx.getLatest(row) === WAIT) {
    session.blocker = x.tx.blocker
    yield WAIT
  }
  const { found } = x.tx
  const values = access.descriptor.columns.map((c) =>
    c.dropped ? null : access.read(c.number, found.slab.bytes, found.slab.view, found.valueStart),
  )
  throw new DbError('unique_violation', `could not create unique index "${index.descriptor.name}"`, {
    detail: `Key ${writer.describeKey(x, index, values)} is duplicated.`,
    table: access.descriptor.name,
    constraint: index.descriptor.name,
  })
}

/** Copies all rows to the new form of the table, with its own keys and indexes. Old storages are dropped at commit. */
export function* rewriteTable(
  session: Session,
  before: RelationDescriptor,
  after: RelationDescriptor,
  convert: (values: Value[], x: Execution) => Value[],
): Generator<Step, void, void> {
  const old = session.tables.access(session.catalog, before)
  const next = saved(session, after)
  const { writer, x } = writerFor(session, next)
  session.dropStorage(before.storage)
  const primary = writer.options.access.primary
  yield* forEachRow(session, old, (_key, row) => {
    const values = convert(row, x)
    if (primary !== undefined) {
      for (const c of writer.options.access.keyColumns) {
        if (values[c - 1] === null)
          throw new DbError(
            'not_null_violation',
            `column "${next.columns[c - 1].name}" of relation "${next.name}" contains null values`,
          )
      }
    }
    const key = writer.keyOf(x, values)
    // The new storage is ours alone: rows in key order need no look-ups.
    if (writer.appendable && writer.append(x, values, key)) return undefined
    return relay(session, x, insertRow(writer, x, values, key, primary?.descriptor.name))
  })
}

/** A check's waits as the command's. */
export function* relay(
  session: Session,
  x: Execution,
  check: Generator<Step, void, void>,
): Generator<Step, void, void> {
  for (;;) {
    const r = check.next()
    if (r.done) return
    session.blocker = x.blocker
    yield r.value
  }
}

function* insertRow(
  writer: RowWriter,
  x: Execution,
  values: readonly Value[],
  key: Uint8Array,
  primary: string | undefined,
): Generator<Step, void, void> {
  const conflict = yield* writer.findConflict(x, values, key, undefined)
  if (conflict !== undefined) {
    const name = conflict.index?.descriptor.name ?? primary ?? ''
    throw new DbError('unique_violation', `could not create unique index "${name}"`, {
      detail:
        conflict.index === undefined
          ? undefined
          : `Key ${writer.describeKey(x, conflict.index, values)} is duplicated.`,
      constraint: name,
    })
  }
  writer.put(x, values, key)
}

function* create(session: Session, node: any): Command {
  const table = yield* openRelation(session, node.relation, node.concurrent ? 3 : 4)
  if (table.relkind !== 'r' && table.relkind !== 'm')
    throw new DbError('wrong_object_type', `cannot create index on relation "${table.name}"`)
  refuseLocal(table, 'CREATE INDEX', 'Make a continuous materialized view, or INSERT … SELECT into another table.')
  checkParameters(optionsOf(node), 'index')
  const method = node.accessMethod ?? 'btree'
  if (!['btree', 'hash', 'gin', 'gist', 'brin', 'spgist'].includes(method))
    throw new DbError('undefined_object', `access method "${method}" does not exist`)
  if (method !== 'btree' && method !== 'hash')
    throw new DbError('feature_not_supported', `access method "${method}" is not supported`, { hint: 'Use btree.' })
  if (node.idxname && session.catalog.relationNamed(table.schema, node.idxname) !== undefined) {
    if (!node.if_not_exists) throw new DbError('duplicate_table', `relation "${node.idxname}" already exists`)
    session.notice(`relation "${node.idxname}" already exists, skipping`)
    return { tag: 'CREATE INDEX' }
  }
  const parts = (node.indexParams as any[]).map((p) => p.IndexElem)
  if (parts.length > maxKeyColumns)
    throw new DbError('too_many_columns', `cannot use more than ${maxKeyColumns} columns in an index`)
  const columns = parts.map((p) => written(session, table, p))
  const include = ((node.indexIncludingParams ?? []) as any[]).map((p) => columnNamed(table, p.IndexElem.name).number)
  const predicate = node.whereClause
    ? stripped(bindCondition(contextOf(session), table, node.whereClause, 'index predicate', 'WHERE'))
    : undefined
  const labels = columns.map((c) => (c.column > 0 ? table.columns[c.column - 1].name : 'expr'))
  const name = node.idxname ?? freeName(session, table.schema, [table.name, ...labels], 'idx')
  const info: IndexInfo = {
    table: table.oid,
    columns,
    include,
    unique: node.unique === true,
    nullsNotDistinct: node.nulls_not_distinct === true,
    primary: false,
    predicate,
    method,
  }
  yield* createIndex(session, table, name, info)
  return { tag: 'CREATE INDEX' }
}

function written(session: Session, table: RelationDescriptor, p: any): IndexColumn {
  const nulls =
    p.nulls_ordering === 'SORTBY_NULLS_FIRST' ? true : p.nulls_ordering === 'SORTBY_NULLS_LAST' ? false : undefined
  const common = {
    opclass: p.opclass === undefined ? undefined : nameParts(p.opclass).at(-1),
    collation: p.collation === undefined ? undefined : nameParts(p.collation).at(-1),
    descending: p.ordering === 'SORTBY_DESC',
    nullsFirst: nulls,
  }
  if (p.name) return indexColumn(session, table, { ...common, column: columnNamed(table, p.name, true).number })
  const expr = stripped(bindExpr(tableScope(contextOf(session), table, 'index'), p.expr))
  refuseSubqueries(expr, 'INDEX')
  if (expr.kind === 'var') return indexColumn(session, table, { ...common, column: expr.column })
  return indexColumn(session, table, { ...common, expr })
}
