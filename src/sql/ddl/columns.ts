/** Column definitions: types, defaults, serial and identity, generated columns. */
import { DbError } from '../../base/index.ts'
import { coerce, tryCoerce } from '../bind/coerce.ts'
import { bindExpr, collationNamed } from '../bind/expression.ts'
import { QueryScope } from '../bind/scope.ts'
import { formatType, nameParts, resolveTypeName } from '../bind/type-name.ts'
import type { Column, RelationDescriptor, SequenceInfo } from '../catalog/descriptors.ts'
import type { Node } from '../parse/parser.ts'
import type { Expr } from '../query.ts'
import * as oid from '../types/oids.ts'
import { bindOver, contextOf, freeName, refuseSubqueries, type Session } from './context.ts'
import { createSequence, sequenceOptions } from './sequences.ts'

const serials: Record<string, number> = {
  serial: oid.int4Oid,
  serial4: oid.int4Oid,
  bigserial: oid.int8Oid,
  serial8: oid.int8Oid,
  smallserial: oid.int2Oid,
  serial2: oid.int2Oid,
}

/** Where a column is being defined. */
export interface Place {
  readonly table: number
  readonly tableName: string
  readonly schema: number
  readonly temporary: boolean
}

/** The column of a ColumnDef, without its table-level constraints. Its sequence, if any, is created. */
export function defineColumn(session: Session, place: Place, def: any, number: number): Column {
  const context = contextOf(session)
  const typeName = nameParts(def.typeName.names)
  const serial = typeName.length === 1 && !def.typeName.arrayBounds ? serials[typeName[0]] : undefined
  const resolved = serial === undefined ? resolveTypeName(context, def.typeName) : { type: serial, typmod: -1 }
  const type = context.types.types.type(resolved.type)
  if (type.kind === 'p')
    throw new DbError(
      'invalid_table_definition',
      `column "${def.colname}" has pseudo-type ${formatType(context, resolved.type, -1)}`,
    )
  const collation = def.collClause ? collationNamed(nameParts(def.collClause.collname).at(-1)!) : undefined
  let column: Column = {
    number,
    name: def.colname,
    type: resolved.type,
    typmod: resolved.typmod,
    notNull: def.is_not_null === true || serial !== undefined,
    dropped: false,
    collation: collation ?? (type.category === 'S' ? 100 : 0),
  }
  if (serial !== undefined) column = { ...column, default: serialDefault(session, place, column) }
  let nullSaid: boolean | undefined
  for (const c of ((def.constraints ?? []) as any[]).map((n) => n.Constraint)) {
    switch (c.contype) {
      case 'CONSTR_NOTNULL':
        if (nullSaid === false) throw conflicting(column, place)
        nullSaid = true
        column = { ...column, notNull: true }
        break
      case 'CONSTR_NULL':
        if (nullSaid === true || serial !== undefined) throw conflicting(column, place)
        nullSaid = false
        break
      case 'CONSTR_DEFAULT':
        if (column.default !== undefined)
          throw new DbError(
            'syntax_error',
            `multiple default values specified for column "${column.name}" of table "${place.tableName}"`,
          )
        column = { ...column, default: bindDefault(session, column, c.raw_expr) }
        break
      case 'CONSTR_IDENTITY':
        column = identityColumn(session, place, column, c)
        break
      case 'CONSTR_PRIMARY':
        column = { ...column, notNull: true }
        break
    }
  }
  return column
}

function conflicting(column: Column, place: Place): DbError {
  return new DbError(
    'syntax_error',
    `conflicting NULL/NOT NULL declarations for column "${column.name}" of table "${place.tableName}"`,
  )
}

/** A DEFAULT expression, converted to the column's type; undefined for DEFAULT NULL. */
export function bindDefault(session: Session, column: Column, node: Node): Expr | undefined {
  const context = contextOf(session)
  const scope = new QueryScope(context, undefined)
  scope.clause = 'default'
  let raw: Expr
  try {
    raw = bindExpr(scope, node)
  } catch (error) {
    if (error instanceof DbError && error.code === 'undefined_column')
      throw new DbError('feature_not_supported', 'cannot use column reference in DEFAULT expression')
    throw error
  }
  refuseSubqueries(raw, 'DEFAULT')
  const expr = tryCoerce(context, raw, column.type, column.typmod, 'assignment')
  if (expr === undefined) {
    throw new DbError(
      'datatype_mismatch',
      `column "${column.name}" is of type ${formatType(context, column.type, -1)} but default expression is of type ${formatType(context, raw.type, -1)}`,
      {
        hint: 'You will need to rewrite or cast the expression.',
      },
    )
  }
  if (expr.kind === 'const' && expr.text === undefined) return undefined
  if (expr.kind === 'const') validate(session, expr)
  return withObjectIds(session, stripped(expr))
}

function validate(session: Session, e: Expr & { kind: 'const' }): void {
  session.types.types.type(e.type).parse(e.text!, e.typmod, session.types)
}

/** Stored expressions carry no text positions. */
export function stripped<T extends Expr>(expr: T): T {
  return JSON.parse(JSON.stringify(expr, (key, value) => (key === 'at' ? undefined : value)))
}

/** Stored expressions name relations and the like by object id, so that they follow renames. */
export function withObjectIds<T extends Expr>(session: Session, expr: T): T {
  return JSON.parse(JSON.stringify(expr), (_key, value) => {
    if (value === null || typeof value !== 'object' || value.kind !== 'const' || typeof value.text !== 'string')
      return value
    const type = session.types.types.type(value.type)
    if (!type.name.startsWith('reg') || /^\d+$|^-$/.test(value.text)) return value
    return { ...value, text: String(type.parse(value.text, -1, session.types)) }
  })
}

/** Columns GENERATED ALWAYS AS (…) are bound when all columns are known. */
export function bindGenerated(session: Session, relation: RelationDescriptor, column: Column, node: Node): Expr {
  const context = contextOf(session)
  const raw = bindOver(context, relation, node, 'generated')
  refuseSubqueries(raw, 'GENERATED')
  return stripped(coerce(context, raw, column.type, column.typmod, 'assignment'))
}

function serialDefault(session: Session, place: Place, column: Column): Expr {
  const name = freeName(session, place.schema, [place.tableName, column.name], 'seq')
  const info: SequenceInfo = {
    ...sequenceOptions(session, [], column.type),
    ownedTable: place.table,
    ownedColumn: column.number,
  }
  const sequence = createSequence(session, place.schema, name, info, place.temporary)
  const reference: Expr = { kind: 'const', text: String(sequence), type: oid.regclassOid, typmod: -1 }
  const next: Expr = { kind: 'func', func: nextvalOid, args: [reference], type: oid.int8Oid, typmod: -1 }
  return coerce(contextOf(session), next, column.type, -1, 'assignment')
}

const nextvalOid = 1574

export function identityColumn(session: Session, place: Place, column: Column, constraint: any): Column {
  if (column.type !== oid.int2Oid && column.type !== oid.int4Oid && column.type !== oid.int8Oid) {
    throw new DbError('invalid_parameter_value', 'identity column type must be smallint, integer, or bigint')
  }
  if (column.default !== undefined)
    throw new DbError(
      'syntax_error',
      `both default and identity specified for column "${column.name}" of table "${place.tableName}"`,
    )
  const options = (constraint.options ?? []) as any[]
  const named = options.find((o) => o.DefElem.defname === 'sequence_name')?.DefElem.arg.List.items
  const name =
    named === undefined
      ? freeName(session, place.schema, [place.tableName, column.name], 'seq')
      : named.at(-1).String.sval
  const info: SequenceInfo = {
    ...sequenceOptions(
      session,
      options.filter((o) => o.DefElem.defname !== 'sequence_name'),
      column.type,
    ),
    ownedTable: place.table,
    ownedColumn: column.number,
    identity: true,
  }
  const sequence = createSequence(session, place.schema, name, info, place.temporary)
  return {
    ...column,
    notNull: true,
    identity: constraint.generated_when === 'a' ? 'a' : 'd',
    identitySequence: sequence,
  }
}
