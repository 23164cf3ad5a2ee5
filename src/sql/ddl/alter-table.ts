/** ALTER TABLE: columns and constraints of tables, in one pass over the written actions. */
import { DbError, type Step } from '../../base/index.ts'
import { coerce, tryCoerce } from '../bind/coerce.ts'
import { bindExpr } from '../bind/expression.ts'
import { formatType, resolveTypeName } from '../bind/type-name.ts'
import type { Column, Constraint, RelationDescriptor } from '../catalog/descriptors.ts'
import { findRelation } from '../catalog/names.ts'
import { type Eval, Execution } from '../execute/execution.ts'
import { checkParent, referencesTo } from '../execute/foreign-keys.ts'
import { changingDefault, checkLocalAlteration } from '../local/definition.ts'
import { isLocalTable } from '../local/local-table.ts'
import { compile } from '../plan/compile.ts'
import { retarget, standaloneWriter } from '../plan/plan-modify.ts'
import type { Expr } from '../query.ts'
import { evaluate } from '../session/prepare-commands.ts'
import type { StorageKind, Value } from '../types/type.ts'
import { bindDefault, bindGenerated, defineColumn, identityColumn, stripped } from './columns.ts'
import { addConstraint, adoptable, ConstraintNames, saved, type WrittenConstraint } from './constraints.ts'
import {
  type Command,
  type CommandTable,
  columnNamed,
  columnsOf,
  contextOf,
  openRelation,
  type Session,
  tableScope,
} from './context.ts'
import { describeRelation, dropIndex, dropRelation, viewsOver } from './drop.ts'
import { forEachRow, isEmpty, relay, rewriteTable } from './indexes.ts'
import { alterSequence } from './sequences.ts'
import { checkParameters, kindOf } from './storage-parameters.ts'
import { bridge } from './tables.ts'

export const alterTableCommands: CommandTable = {
  AlterTableStmt: { transactional: 'inside', writes: true, run: alter },
}

const tags: Record<string, string> = {
  OBJECT_TABLE: 'ALTER TABLE',
  OBJECT_INDEX: 'ALTER INDEX',
  OBJECT_SEQUENCE: 'ALTER SEQUENCE',
  OBJECT_VIEW: 'ALTER VIEW',
  OBJECT_MATVIEW: 'ALTER MATERIALIZED VIEW',
  OBJECT_TYPE: 'ALTER TYPE',
}

function* alter(session: Session, node: any): Command {
  const tag = tags[node.objtype] ?? 'ALTER TABLE'
  if (node.missing_ok && findRelation(session.names, node.relation.schemaname, node.relation.relname) === undefined) {
    session.notice(`relation "${node.relation.relname}" does not exist, skipping`)
    return { tag }
  }
  const relation = yield* openRelation(session, node.relation)
  for (const n of node.cmds as any[]) yield* action(session, relation.oid, n.AlterTableCmd)
  return { tag }
}

function* action(session: Session, oid: number, cmd: any): Generator<Step, void, void> {
  const table = session.catalog.relationOf(oid)
  checkLocalAlteration(table, cmd)
  const cascade = cmd.behavior === 'DROP_CASCADE'
  switch (cmd.subtype) {
    case 'AT_AddColumn':
      return yield* addColumn(session, table, cmd)
    case 'AT_DropColumn':
      if (cmd.missing_ok && !table.columns.some((c) => !c.dropped && c.name === cmd.name)) {
        session.notice(`column "${cmd.name}" of relation "${table.name}" does not exist, skipping`)
        return
      }
      return yield* dropColumn(session, table, cmd.name, cascade)
    case 'AT_AlterColumnType':
      return yield* alterType(session, table, cmd)
    case 'AT_ColumnDefault':
      return setDefault(session, table, cmd)
    case 'AT_SetNotNull':
      return yield* setNotNull(session, table, cmd.name)
    case 'AT_DropNotNull':
      return dropNotNull(session, table, cmd.name)
    case 'AT_AddConstraint':
    case 'AT_AddIndexConstraint':
      return yield* addAndCheck(session, table, { node: cmd.def.Constraint, column: undefined })
    case 'AT_DropConstraint':
      return yield* dropConstraint(session, table, cmd, cascade)
    case 'AT_ValidateConstraint':
      return yield* validate(session, table, cmd.name)
    case 'AT_AlterConstraint': {
      const { conname, deferrable, initdeferred } = cmd.def.ATAlterConstraint ?? cmd.def.Constraint
      const found = constraintNamed(table, conname)
      return void saved(
        session,
        replaceConstraint(table, { ...found, deferrable: deferrable === true, deferred: initdeferred === true }),
      )
    }
    case 'AT_AddIdentity': {
      const column = columnNamed(table, cmd.name)
      if (!column.notNull)
        throw new DbError(
          'object_not_in_prerequisite_state',
          `column "${column.name}" of relation "${table.name}" must be declared NOT NULL before identity can be added`,
        )
      const place = {
        table: table.oid,
        tableName: table.name,
        schema: table.schema,
        temporary: table.persistence === 't',
      }
      return replaceColumn(session, table.oid, identityColumn(session, place, column, cmd.def.Constraint))
    }
    case 'AT_SetIdentity':
      return setIdentity(session, table, cmd)
    case 'AT_DropIdentity':
      return dropIdentity(session, table, cmd)
    case 'AT_DropExpression':
      return replaceColumn(session, table.oid, { ...columnNamed(table, cmd.name), generated: undefined })
    case 'AT_ChangeOwner': {
      const role = session.catalog.roleNamed(cmd.newowner.rolename ?? session.currentUser)
      if (role === undefined) throw new DbError('undefined_object', `role "${cmd.newowner.rolename}" does not exist`)
      return void saved(session, { ...table, owner: role.oid })
    }
    case 'AT_SetStatistics':
      return replaceColumn(session, table.oid, {
        ...columnNamed(table, cmd.name),
        statisticsTarget: cmd.def?.Integer?.ival ?? 0,
      })
    case 'AT_SetStorage':
    case 'AT_SetCompression':
      return replaceColumn(session, table.oid, { ...columnNamed(table, cmd.name), storage: cmd.def.String.sval })
    case 'AT_SetRelOptions':
    case 'AT_ResetRelOptions':
      return yield* setOptions(session, table, cmd)
    case 'AT_EnableRowSecurity':
    case 'AT_ForceRowSecurity':
      throw new DbError('feature_not_supported', 'row-level security is not supported')
    case 'AT_DisableRowSecurity':
    case 'AT_NoForceRowSecurity':
    case 'AT_ClusterOn':
    case 'AT_DropCluster':
    case 'AT_SetLogged':
    case 'AT_EnableTrigAll':
    case 'AT_DisableTrigAll':
    case 'AT_EnableTrigUser':
    case 'AT_DisableTrigUser':
      return
    case 'AT_ReplicaIdentity':
      return void saved(session, { ...table, replicaIdentity: cmd.def.ReplicaIdentityStmt.identity_type })
    default:
      throw new DbError('feature_not_supported', `ALTER TABLE ${String(cmd.subtype).slice(3)} is not supported`)
  }
}

function replaceColumn(session: Session, oid: number, column: Column): void {
  const table = session.catalog.relationOf(oid)
  saved(session, { ...table, columns: table.columns.map((c) => (c.number === column.number ? column : c)) })
}

function replaceConstraint(table: RelationDescriptor, constraint: Constraint): RelationDescriptor {
  return { ...table, constraints: table.constraints.map((c) => (c.oid === constraint.oid ? constraint : c)) }
}

function constraintNamed(table: RelationDescriptor, name: string): Constraint {
  const found = table.constraints.find((c) => c.name === name)
  if (found === undefined)
    throw new DbError('undefined_object', `constraint "${name}" of relation "${table.name}" does not exist`)
  return found
}

// ---- columns

function* addColumn(session: Session, table: RelationDescriptor, cmd: any): Generator<Step, void, void> {
  const def = cmd.def.ColumnDef
  if (table.columns.some((c) => !c.dropped && c.name === def.colname)) {
    if (!cmd.missing_ok)
      throw new DbError('duplicate_column', `column "${def.colname}" of relation "${table.name}" already exists`)
    session.notice(`column "${def.colname}" of relation "${table.name}" already exists, skipping`)
    return
  }
  const place = { table: table.oid, tableName: table.name, schema: table.schema, temporary: table.persistence === 't' }
  let column = defineColumn(session, place, def, table.columns.length + 1)
  const written: WrittenConstraint[] = []
  let generated: any
  for (const c of ((def.constraints ?? []) as any[]).map((n) => n.Constraint)) {
    if (c.contype === 'CONSTR_GENERATED') generated = c.raw_expr
    else written.push({ node: c, column })
  }
  if (generated !== undefined)
    column = {
      ...column,
      generated: bindGenerated(session, { ...table, columns: [...table.columns, column] }, column, generated),
    }
  // Events may come from anywhere, also from before.
  const empty = !isLocalTable(table) && (yield* isEmpty(session, table))
  const value =
    column.generated ??
    column.default ??
    (column.identitySequence === undefined
      ? undefined
      : ({ kind: 'nextval', sequence: column.identitySequence, type: column.type, typmod: -1 } as Expr))
  if (!empty && value === undefined && column.notNull) throw containsNull(table, column.name)
  const columns = [...table.columns, column]
  const layouts = [...table.layouts, columns.filter((c) => !c.dropped).map((c) => c.number)]
  let next: RelationDescriptor = { ...table, columns, layouts }
  if (!empty && value !== undefined) {
    const constant = isConstant(session, value) ? evaluate(session, value) : undefined
    if (constant !== undefined) {
      // Rows that are there get the value when they are read: nothing is rewritten.
      if (constant !== null) {
        const missing = session.types.types.type(column.type).format(constant, session.types)
        next = { ...next, columns: columns.map((c) => (c.number === column.number ? { ...c, missing } : c)) }
      }
      saved(session, next)
    } else if (isLocalTable(table)) throw changingDefault(column.name)
    else yield* recompute(session, table, next, column.number, value)
  } else saved(session, next)
  const names = new ConstraintNames(session, session.catalog.relationOf(table.oid))
  for (const w of written) {
    if (['CONSTR_PRIMARY', 'CONSTR_UNIQUE', 'CONSTR_CHECK', 'CONSTR_FOREIGN'].includes(w.node.contype)) {
      yield* addAndCheck(session, session.catalog.relationOf(table.oid), w, names)
    }
  }
}

function containsNull(table: RelationDescriptor, column: string): DbError {
  return new DbError('not_null_violation', `column "${column}" of relation "${table.name}" contains null values`, {
    table: table.name,
    column,
  })
}

/** Whether every row gets the same value: no columns, nothing volatile. now() counts, as in PostgreSQL. */
function isConstant(session: Session, expr: Expr): boolean {
  if (columnsOf(expr).length > 0 || expr.kind === 'nextval') return false
  const builder = session.planBuilder(contextOf(session))
  const { scope } = standaloneWriter(builder, { ...[...session.catalog.relations()][0], constraints: [], indexes: [] })
  return !scope.isVolatile(expr)
}

/** Rewrites all rows with a column's value computed for each. */
function* recompute(
  session: Session,
  before: RelationDescriptor,
  after: RelationDescriptor,
  column: number,
  value: Expr,
): Generator<Step, void, void> {
  const plan = rowExpression(session, before, value)
  yield* rewriteWith(session, before, after, (values) => {
    const out = [...values]
    out[column - 1] = plan(values)
    return out
  })
}

/** Rows with new contents: a new storage for the table and its indexes. */
function* rewriteWith(
  session: Session,
  before: RelationDescriptor,
  after: RelationDescriptor,
  convert: (values: Value[]) => Value[],
): Generator<Step, void, void> {
  const storage = session.newOid()
  const indexes = after.indexes.map((oid) => session.catalog.relationOf(oid))
  for (const index of indexes) {
    const own = index.storage === before.storage
    if (!own) session.dropStorage(index.storage)
    session.change('relation', index.oid, { ...index, storage: own ? storage : session.newOid() })
  }
  // The old rows are read by the old form of the table, whose descriptor still has its own storage.
  yield* rewriteTable(session, before, { ...after, storage }, (values) => convert(values))
}

/** A function of a row's values for an expression over the table's columns. */
function rowExpression(session: Session, table: RelationDescriptor, expr: Expr): (values: readonly Value[]) => Value {
  const builder = session.planBuilder(contextOf(session))
  const bare = { ...table, constraints: [], indexes: [] }
  const { writer, scope } = standaloneWriter(builder, { ...bare })
  const compiled: Eval = compile(scope, retarget(expr, 0)).eval
  const x = new Execution(builder.registers + 64, [], session.transaction(), session)
  x.deadline = Number.POSITIVE_INFINITY
  builder.running = x
  return (values) => {
    writer.load(x, values)
    return compiled(x)
  }
}

export function* dropColumn(
  session: Session,
  table: RelationDescriptor,
  name: string,
  cascade: boolean,
): Generator<Step, void, void> {
  const column = columnNamed(table, name)
  const views = viewsOver(session, table.oid)
  const foreign = referencesTo(session.catalog, table.oid).filter((r) =>
    r.constraint.foreign!.columns.includes(column.number),
  )
  const generated = table.columns.filter(
    (c) =>
      !c.dropped &&
      c.generated !== undefined &&
      c.number !== column.number &&
      columnsOf(c.generated).includes(column.number),
  )
  const dependents = [
    ...views.map((v) => describeRelation(session, v)),
    ...foreign.map((f) => `constraint ${f.constraint.name} on ${describeRelation(session, f.child)}`),
    ...generated.map((g) => `column ${g.name} of ${describeRelation(session, table)}`),
  ]
  if (dependents.length > 0) {
    if (!cascade) {
      throw new DbError(
        'dependent_objects_still_exist',
        `cannot drop column ${name} of table ${table.name} because other objects depend on it`,
        {
          detail: dependents.map((d) => `${d} depends on column ${name} of table ${table.name}`).join('\n'),
          hint: 'Use DROP ... CASCADE to drop the dependent objects too.',
        },
      )
    }
    session.notice(
      dependents.length === 1
        ? `drop cascades to ${dependents[0]}`
        : `drop cascades to ${dependents.length} other objects`,
    )
  }
  for (const v of views) if (session.catalog.relation(v.oid) !== undefined) yield* dropRelation(session, v, true)
  for (const f of foreign) removeConstraint(session, f.child.oid, f.constraint.oid)
  for (const g of generated) yield* dropColumn(session, session.catalog.relationOf(table.oid), g.name, true)
  for (const c of table.constraints) {
    if (!c.columns.includes(column.number)) continue
    if (c.type === 'p') yield* dropPrimary(session, session.catalog.relationOf(table.oid), c)
    else removeConstraint(session, table.oid, c.oid)
  }
  for (const oid of session.catalog.relationOf(table.oid).indexes) {
    const index = session.catalog.relationOf(oid)
    const info = index.index!
    const uses =
      info.columns.some(
        (c) => c.column === column.number || (c.expr !== undefined && columnsOf(c.expr).includes(column.number)),
      ) ||
      info.include.includes(column.number) ||
      (info.predicate !== undefined && columnsOf(info.predicate).includes(column.number))
    if (uses) dropIndex(session, index, true)
  }
  for (const r of session.catalog.relations()) {
    if (r.sequence?.ownedTable === table.oid && r.sequence.ownedColumn === column.number) {
      session.dropStorage(r.storage)
      session.change('relation', r.oid, undefined)
    }
  }
  const now = session.catalog.relationOf(table.oid)
  const columns = now.columns.map(
    (c): Column =>
      c.number === column.number
        ? {
            ...c,
            dropped: true,
            type: lastingType(session, c.type),
            name: `........pg.dropped.${c.number}........`,
            notNull: false,
            default: undefined,
            generated: undefined,
            identity: undefined,
            identitySequence: undefined,
          }
        : c,
  )
  const layouts =
    now.relkind === 'c' ? now.layouts : [...now.layouts, columns.filter((c) => !c.dropped).map((c) => c.number)]
  saved(session, { ...now, columns, layouts })
}

/** A type of the system that is stored alike: rows keep the column longer than a user's type may be there. */
function lastingType(session: Session, type: number): number {
  return type < 16_384 ? type : storedAs[session.types.types.type(type).storage]
}
const storedAs: Record<StorageKind, number> = {
  bool: 16,
  i16: 21,
  i32: 23,
  i64: 20,
  u32: 26,
  f32: 700,
  f64: 701,
  date: 1082,
  timestamp: 1114,
  bytes: 25,
}

function removeConstraint(session: Session, table: number, constraint: number): void {
  const now = session.catalog.relationOf(table)
  const found = now.constraints.find((c) => c.oid === constraint)
  saved(session, { ...now, constraints: now.constraints.filter((c) => c.oid !== constraint) })
  if (found !== undefined && found.type === 'u' && found.index !== undefined)
    dropIndex(session, session.catalog.relationOf(found.index), true)
}

function* alterType(session: Session, table: RelationDescriptor, cmd: any): Generator<Step, void, void> {
  const column = columnNamed(table, cmd.name)
  const def = cmd.def.ColumnDef
  const context = contextOf(session)
  const target = resolveTypeName(context, def.typeName)
  const views = viewsOver(session, table.oid)
  if (views.length > 0) {
    throw new DbError('feature_not_supported', 'cannot alter type of a column used by a view or rule', {
      detail: `${describeRelation(session, views[0])} depends on column "${column.name}"`,
    })
  }
  const current: Expr = {
    kind: 'var',
    up: 0,
    entry: 0,
    column: column.number,
    type: column.type,
    typmod: column.typmod,
  }
  let expr: Expr | undefined
  if (def.raw_default)
    expr = tryCoerce(
      context,
      bindExpr(tableScope(context, table, 'generated'), def.raw_default),
      target.type,
      target.typmod,
      'assignment',
    )
  else expr = tryCoerce(context, current, target.type, target.typmod, 'assignment')
  if (expr === undefined) {
    throw new DbError(
      'datatype_mismatch',
      `column "${column.name}" cannot be cast automatically to type ${formatType(context, target.type, target.typmod)}`,
      {
        hint: `You might need to specify "USING ${column.name}::${formatType(context, target.type, target.typmod)}".`,
      },
    )
  }
  let defaultExpr = column.default
  if (defaultExpr !== undefined) {
    const converted = tryCoerce(context, defaultExpr, target.type, target.typmod, 'assignment')
    if (converted === undefined)
      throw new DbError(
        'datatype_mismatch',
        `default for column "${column.name}" cannot be cast automatically to type ${formatType(context, target.type, -1)}`,
      )
    defaultExpr = stripped(converted)
  }
  const type = session.types.types.type(target.type)
  const changed: Column = {
    ...column,
    type: target.type,
    typmod: target.typmod,
    default: defaultExpr,
    collation: type.category === 'S' ? column.collation || 100 : 0,
    missing: undefined,
  }
  const retyped = retypeDependents(session, table, changed)
  if (unchangedBytes(session, column, changed) && !def.raw_default) return void saved(session, retyped)
  if (yield* isEmpty(session, table)) return void saved(session, retyped)
  const value = rowExpression(session, table, stripped(expr))
  const layout = retyped.columns.filter((c) => !c.dropped).map((c) => c.number)
  yield* rewriteWith(session, table, { ...retyped, layouts: [layout] }, (values) => {
    const out = [...values]
    out[column.number - 1] = value(values)
    return out
  })
}

/** Widening a varchar and the like leaves the stored bytes as they are. */
function unchangedBytes(session: Session, before: Column, after: Column): boolean {
  const a = session.types.types.type(before.type)
  const b = session.types.types.type(after.type)
  const texts = [25, 1043]
  if (texts.includes(a.oid) && texts.includes(b.oid))
    return after.typmod === -1 || (before.typmod !== -1 && after.typmod >= before.typmod)
  return a.oid === b.oid && (before.typmod === after.typmod || after.typmod === -1)
}

/** Index columns and expressions carry the column's type. */
function retypeDependents(session: Session, table: RelationDescriptor, changed: Column): RelationDescriptor {
  for (const oid of table.indexes) {
    const index = session.catalog.relationOf(oid)
    const info = index.index!
    if (!info.columns.some((c) => c.column === changed.number)) continue
    const columns = info.columns.map((c) =>
      c.column === changed.number ? { ...c, type: changed.type, typmod: changed.typmod } : c,
    )
    const own = index.columns.map((c, i) =>
      info.columns[i].column === changed.number ? { ...c, type: changed.type, typmod: changed.typmod } : c,
    )
    session.change('relation', oid, { ...index, columns: own, index: { ...info, columns } })
  }
  const context = contextOf(session)
  const constraints = table.constraints.map((c) => {
    if (c.check === undefined || !columnsOf(c.check).includes(changed.number)) return c
    return { ...c, check: retyped(c.check, changed, context) }
  })
  return { ...table, constraints, columns: table.columns.map((c) => (c.number === changed.number ? changed : c)) }
}

function retyped(expr: Expr, changed: Column, context: ReturnType<typeof contextOf>): Expr {
  const replace = (e: any): any => {
    if (e === null || typeof e !== 'object') return e
    if (Array.isArray(e)) return e.map(replace)
    if (e.kind === 'var' && e.up === 0 && e.column === changed.number) {
      const v: Expr = { ...e, type: changed.type, typmod: changed.typmod }
      return tryCoerce(context, v, e.type, e.typmod, 'explicit') ?? coerce(context, v, e.type, -1, 'explicit')
    }
    return Object.fromEntries(Object.entries(e).map(([k, v]) => [k, replace(v)]))
  }
  return replace(expr)
}

function setDefault(session: Session, table: RelationDescriptor, cmd: any): void {
  const column = columnNamed(table, cmd.name)
  if (column.identity !== undefined)
    throw new DbError('syntax_error', `column "${column.name}" of relation "${table.name}" is an identity column`)
  if (column.generated !== undefined)
    throw new DbError('syntax_error', `column "${column.name}" of relation "${table.name}" is a generated column`)
  replaceColumn(session, table.oid, {
    ...column,
    default: cmd.def === undefined ? undefined : bindDefault(session, column, cmd.def),
  })
}

function* setNotNull(session: Session, table: RelationDescriptor, name: string): Generator<Step, void, void> {
  const column = columnNamed(table, name)
  if (column.notNull) return
  const access = session.tables.access(session.catalog, table)
  yield* forEachRow(session, access, (_key, values) => {
    if (values[column.number - 1] === null) throw containsNull(table, name)
    return undefined
  })
  replaceColumn(session, table.oid, { ...column, notNull: true })
}

function dropNotNull(session: Session, table: RelationDescriptor, name: string): void {
  const column = columnNamed(table, name)
  if (table.constraints.some((c) => c.type === 'p' && c.columns.includes(column.number))) {
    throw new DbError('invalid_table_definition', `column "${name}" is in a primary key`)
  }
  if (column.identity !== undefined)
    throw new DbError('syntax_error', `column "${name}" of relation "${table.name}" is an identity column`)
  replaceColumn(session, table.oid, { ...column, notNull: false })
}

function setIdentity(session: Session, table: RelationDescriptor, cmd: any): void {
  const column = columnNamed(table, cmd.name)
  if (column.identitySequence === undefined)
    throw new DbError(
      'object_not_in_prerequisite_state',
      `column "${column.name}" of relation "${table.name}" is not an identity column`,
    )
  const options = (cmd.def.List.items as any[]).filter((o) => o.DefElem.defname !== 'generated')
  const generated = (cmd.def.List.items as any[]).find((o) => o.DefElem.defname === 'generated')
  if (options.length > 0) alterSequence(session, session.catalog.relationOf(column.identitySequence), options)
  if (generated !== undefined) {
    const code = generated.DefElem.arg.Integer.ival
    replaceColumn(session, table.oid, { ...column, identity: String.fromCharCode(code) as 'a' | 'd' })
  }
}

function dropIdentity(session: Session, table: RelationDescriptor, cmd: any): void {
  const column = columnNamed(table, cmd.name)
  if (column.identitySequence === undefined) {
    if (!cmd.missing_ok)
      throw new DbError(
        'object_not_in_prerequisite_state',
        `column "${column.name}" of relation "${table.name}" is not an identity column`,
      )
    session.notice(`column "${column.name}" of relation "${table.name}" is not an identity column, skipping`)
    return
  }
  const sequence = session.catalog.relation(column.identitySequence)
  replaceColumn(session, table.oid, { ...column, identity: undefined, identitySequence: undefined })
  if (sequence !== undefined) {
    session.dropStorage(sequence.storage)
    session.change('relation', sequence.oid, undefined)
  }
}

function* setOptions(session: Session, table: RelationDescriptor, cmd: any): Generator<Step, void, void> {
  const given = (cmd.def.List.items as any[]).map((o) => o.DefElem)
  const kept = (table.options ?? []).filter((o) => !given.some((g) => o.startsWith(`${g.defname}=`)))
  const added =
    cmd.subtype === 'AT_SetRelOptions'
      ? given.map(
          (g) =>
            `${g.defnamespace ? `${g.defnamespace}.` : ''}${g.defname}=${g.arg?.String?.sval ?? g.arg?.Integer?.ival ?? g.arg?.Float?.fval ?? 'true'}`,
        )
      : []
  const options = [...kept, ...added]
  if (added.length > 0) checkParameters(options, kindOf(table))
  const next = saved(session, { ...table, options: options.length > 0 ? options : undefined })
  if (cmd.subtype === 'AT_SetRelOptions') yield* bridge(session, next)
}

// ---- constraints

export function* addAndCheck(
  session: Session,
  table: RelationDescriptor,
  written: WrittenConstraint,
  names = new ConstraintNames(session, table),
): Generator<Step, void, void> {
  const before = new Set(table.constraints.map((c) => c.oid))
  // A second primary key is refused before any row is read.
  if (written.node.contype === 'CONSTR_PRIMARY' && !table.constraints.some((c) => c.type === 'p'))
    yield* requireNoNulls(session, table, keyColumns(session, table, written))
  const after = yield* addConstraint(session, table, written, names)
  for (const c of after.constraints) if (!before.has(c.oid) && c.validated) yield* checkRows(session, after, c)
}

/** The columns of a key that is to be added: those listed, the one it stands at, or those of the index it adopts. */
function keyColumns(session: Session, table: RelationDescriptor, { node, column }: WrittenConstraint): Column[] {
  if (node.indexname)
    return adoptable(session, table, node.indexname).index!.columns.map((c) => table.columns[c.column - 1])
  const names: string[] = node.keys === undefined ? [column!.name] : node.keys.map((k: any) => k.String.sval)
  return names.map((n) => columnNamed(table, n))
}

function* requireNoNulls(
  session: Session,
  table: RelationDescriptor,
  key: readonly Column[],
): Generator<Step, void, void> {
  const columns = key.filter((c) => !c.notNull)
  if (columns.length === 0) return
  const access = session.tables.access(session.catalog, table)
  yield* forEachRow(session, access, (_key, values) => {
    for (const c of columns) if (values[c.number - 1] === null) throw containsNull(table, c.name)
    return undefined
  })
}

/** Every row must satisfy a new check or foreign key. */
function* checkRows(session: Session, table: RelationDescriptor, c: Constraint): Generator<Step, void, void> {
  if (c.type !== 'c' && c.type !== 'f') return
  const access = session.tables.access(session.catalog, table)
  if (c.type === 'c') {
    const test = rowExpression(session, table, c.check!)
    yield* forEachRow(session, access, (_key, values) => {
      if (test(values) === false) {
        throw new DbError(
          'check_violation',
          `check constraint "${c.name}" of relation "${table.name}" is violated by some row`,
          { table: table.name, constraint: c.name },
        )
      }
      return undefined
    })
    return
  }
  const x = new Execution(0, [], session.transaction(), session)
  yield* forEachRow(session, access, (_key, values) => relay(session, x, checkParent(x, table, c, values)))
}

function* validate(session: Session, table: RelationDescriptor, name: string): Generator<Step, void, void> {
  const c = constraintNamed(table, name)
  if (c.validated) return
  yield* checkRows(session, table, c)
  saved(session, replaceConstraint(table, { ...c, validated: true }))
}

function* dropConstraint(
  session: Session,
  table: RelationDescriptor,
  cmd: any,
  cascade: boolean,
): Generator<Step, void, void> {
  const c = table.constraints.find((x) => x.name === cmd.name)
  if (c === undefined) {
    if (!cmd.missing_ok) constraintNamed(table, cmd.name)
    session.notice(`constraint "${cmd.name}" of relation "${table.name}" does not exist, skipping`)
    return
  }
  if (c.type === 'p' || c.type === 'u') {
    const users = referencesTo(session.catalog, table.oid).filter((r) => r.constraint.index === c.index)
    if (users.length > 0 && !cascade) {
      throw new DbError(
        'dependent_objects_still_exist',
        `cannot drop constraint ${c.name} on table ${table.name} because other objects depend on it`,
        {
          detail: users
            .map(
              (u) =>
                `constraint ${u.constraint.name} on ${describeRelation(session, u.child)} depends on index ${c.name}`,
            )
            .join('\n'),
          hint: 'Use DROP ... CASCADE to drop the dependent objects too.',
        },
      )
    }
    for (const u of users) removeConstraint(session, u.child.oid, u.constraint.oid)
  }
  const now = session.catalog.relationOf(table.oid)
  if (c.type === 'p') yield* dropPrimary(session, now, c)
  else removeConstraint(session, table.oid, c.oid)
}

/** Without its primary key a table's rows are kept under row ids: they move to new storage. */
function* dropPrimary(session: Session, table: RelationDescriptor, c: Constraint): Generator<Step, void, void> {
  const index = session.catalog.relationOf(c.index!)
  const clustered = index.storage === table.storage
  const bare: RelationDescriptor = {
    ...table,
    constraints: table.constraints.filter((x) => x.oid !== c.oid),
    indexes: table.indexes.filter((i) => i !== index.oid),
  }
  session.change('relation', index.oid, undefined)
  if (!clustered) {
    session.dropStorage(index.storage)
    saved(session, bare)
    return
  }
  if (yield* isEmpty(session, table)) {
    saved(session, bare)
    return
  }
  session.change('relation', index.oid, index)
  const storage = session.newOid()
  for (const oid of bare.indexes) {
    const other = session.catalog.relationOf(oid)
    session.dropStorage(other.storage)
    session.change('relation', oid, { ...other, storage: session.newOid() })
  }
  const access = table
  yield* rewriteTable(session, access, { ...bare, storage }, (values) => values)
  session.change('relation', index.oid, undefined)
}
