/** What DDL commands share: names, locks, new objects' ids, and expressions bound over a table's columns. */
import { DbError, type Step, WAIT } from '../../base/index.ts'
import { accessExclusive } from '../../transaction/index.ts'
import { coerceBoolean } from '../bind/coerce.ts'
import { type BindContext, ParameterTypes } from '../bind/context.ts'
import { bindExpr } from '../bind/expression.ts'
import { lookUpRelation, relationEntry } from '../bind/from.ts'
import type { Clause } from '../bind/scope.ts'
import { forEachChild, QueryScope } from '../bind/scope.ts'
import type { RelationDescriptor, SchemaDescriptor, TypeDescriptor } from '../catalog/descriptors.ts'
import { creationSchema, requireSchema } from '../catalog/names.ts'
import type { Node } from '../parse/parser.ts'
import type { Expr } from '../query.ts'
import type { Session } from '../session/session.ts'
import type { CommandTable } from '../session/utility.ts'
import type { Command } from '../session/utility-portal.ts'

export type { Command, CommandTable, Session }

export function contextOf(session: Session, text = ''): BindContext {
  return session.bindContext(text, new ParameterTypes([], false))
}

export function* lockRelation(session: Session, oid: number, mode = accessExclusive): Generator<Step, void, void> {
  const tx = session.transaction()
  while (tx.lockTable(String(oid), mode) === WAIT) {
    session.blocker = tx.blocker
    yield WAIT
  }
}

/** The relation a RangeVar means, locked; raises undefined_table and wrong_object_type. */
export function* openRelation(
  session: Session,
  node: any,
  mode = accessExclusive,
): Generator<Step, RelationDescriptor, void> {
  const relation = lookUpRelation(contextOf(session), node)
  requireUser(relation)
  yield* lockRelation(session, relation.oid, mode)
  // It may have changed or gone while the lock was waited for.
  return lookUpRelation(contextOf(session), node)
}

export function requireUser(relation: RelationDescriptor): void {
  if (relation.oid < 16384)
    throw new DbError('insufficient_privilege', `permission denied: "${relation.name}" is a system catalog`)
}

/** The schema a new object goes to; `temporary` ones to the session's own. */
export function targetSchema(session: Session, name: string | undefined, temporary: boolean): SchemaDescriptor {
  if (temporary || name === 'pg_temp') return temporarySchema(session)
  if (name === undefined) return creationSchema(session.names)
  const oid = requireSchema(session.names, name)
  const schema = session.catalog.schema(oid)
  if (schema === undefined)
    throw new DbError('insufficient_privilege', `permission denied to create objects in schema "${name}"`)
  return schema
}

function temporarySchema(session: Session): SchemaDescriptor {
  if (session.temporarySchema !== 0) {
    const known = session.catalog.schema(session.temporarySchema)
    if (known !== undefined) return known
  }
  const schema: SchemaDescriptor = {
    kind: 'schema',
    oid: session.newOid(),
    name: `pg_temp_${session.processId}`,
    owner: session.role,
  }
  session.change('schema', schema.oid, schema)
  session.temporarySchema = schema.oid
  session.settings.rollbackTo(session.settings.mark)
  return schema
}

/** Raises duplicate_table when the name is taken in the schema. */
export function requireFree(session: Session, schema: number, name: string): void {
  if (session.catalog.relationNamed(schema, name) !== undefined)
    throw new DbError('duplicate_table', `relation "${name}" already exists`)
  if (session.catalog.typeNamed(schema, name) !== undefined) {
    throw new DbError('duplicate_object', `type "${name}" already exists`, {
      hint: 'A relation has an associated type of the same name, so you must use a name that does not conflict with any existing type.',
    })
  }
}

/** name_column_suffix, shortened to 63 bytes and numbered until it is free. */
export function freeName(
  session: Session,
  schema: number,
  parts: readonly string[],
  suffix: string,
  taken: ReadonlySet<string> = new Set(),
): string {
  const base = [...parts, suffix].join('_')
  for (let n = 0; ; n++) {
    const tail = n === 0 ? suffix : `${suffix}${n}`
    let name = n === 0 ? base : [...parts, tail].join('_')
    while (Buffer.byteLength(name) > 63) {
      const longest = parts.reduce((a, b, i) => (b.length > parts[a].length ? i : a), 0)
      parts = parts.map((p, i) => (i === longest ? p.slice(0, -1) : p))
      name = [...parts, tail].join('_')
    }
    if (!taken.has(name) && session.catalog.relationNamed(schema, name) === undefined) return name
  }
}

/** The row type of a relation and its array type. */
export function createRowType(session: Session, relation: number, schema: number, name: string): number {
  const oid = session.newOid()
  const arrayOid = session.newOid()
  const row: TypeDescriptor = {
    kind: 'type',
    form: 'composite',
    oid,
    name,
    owner: session.role,
    schema,
    array: arrayOid,
    relation,
  }
  session.change('type', oid, row)
  session.change('type', arrayOid, arrayType(session, arrayOid, schema, name, oid))
  return oid
}

export function arrayType(
  session: Session,
  oid: number,
  schema: number,
  elementName: string,
  element: number,
): TypeDescriptor {
  let name = `_${elementName}`.slice(0, 63)
  while (session.catalog.typeNamed(schema, name) !== undefined) name = `_${name}`.slice(0, 63)
  return { kind: 'type', form: 'array', oid, name, owner: session.role, schema, array: 0, element }
}

/** Binds an expression over the columns of a table, which stands at entry 0. */
export function bindOver(context: BindContext, relation: RelationDescriptor, node: Node, clause: Clause): Expr {
  const scope = tableScope(context, relation, clause)
  return bindExpr(scope, node)
}

export function tableScope(context: BindContext, relation: RelationDescriptor, clause: Clause): QueryScope {
  const scope = new QueryScope(context, undefined)
  scope.clause = clause
  const entry = scope.addEntry(relationEntry(relation, undefined))
  scope.namespace = [{ entry, byAlias: true, byColumn: true, lateralOnly: false, usable: true }]
  return scope
}

export function bindCondition(
  context: BindContext,
  relation: RelationDescriptor,
  node: Node,
  clause: Clause,
  what: string,
): Expr {
  const expr = coerceBoolean(context, bindOver(context, relation, node, clause), what)
  refuseSubqueries(expr, what)
  return expr
}

const places: Record<string, string> = {
  CHECK: 'check constraint',
  DEFAULT: 'DEFAULT expression',
  INDEX: 'index expression',
  WHERE: 'index predicate',
  GENERATED: 'column generation expression',
}

export function refuseSubqueries(expr: Expr, what: string): void {
  if (expr.kind === 'sublink')
    throw new DbError('feature_not_supported', `cannot use subquery in ${places[what] ?? what}`)
  forEachChild(expr, (e) => refuseSubqueries(e, what))
}

/** Attribute numbers of entry 0 that the expression reads. */
export function columnsOf(expr: Expr): number[] {
  const out = new Set<number>()
  const visit = (e: Expr): void => {
    if (e.kind === 'var' && e.up === 0 && e.column > 0) out.add(e.column)
    forEachChild(e, visit)
  }
  visit(expr)
  return [...out]
}

export function columnNamed(
  relation: RelationDescriptor,
  name: string,
  brief = false,
): RelationDescriptor['columns'][number] {
  const column = relation.columns.find((c) => !c.dropped && c.name === name)
  // CREATE INDEX and RENAME name the column only.
  if (column === undefined)
    throw new DbError(
      'undefined_column',
      `column "${name}"${brief ? '' : ` of relation "${relation.name}"`} does not exist`,
    )
  return column
}
