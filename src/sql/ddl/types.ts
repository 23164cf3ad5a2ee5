/** CREATE TYPE (enum, composite), CREATE DOMAIN, and what alters them. */
import { DbError, type Step } from '../../base/index.ts'
import { shareRowExclusive } from '../../transaction/index.ts'
import { coerceBoolean, tryCoerce } from '../bind/coerce.ts'
import { bindExpr } from '../bind/expression.ts'
import { QueryScope } from '../bind/scope.ts'
import { findType, formatType, nameParts, resolveTypeName } from '../bind/type-name.ts'
import type { Column, RelationDescriptor, TypeDescriptor } from '../catalog/descriptors.ts'
import { creationSchema, requireSchema } from '../catalog/names.ts'
import { refuseLocal } from '../local/definition.ts'
import type { Node } from '../parse/parser.ts'
import type { Expr } from '../query.ts'
import { SqlArray } from '../types/array.ts'
import { SqlRecord } from '../types/record.ts'
import type { Value } from '../types/type.ts'
import { stripped } from './columns.ts'
import { saved } from './constraints.ts'
import {
  arrayType,
  type Command,
  type CommandTable,
  contextOf,
  createRowType,
  lockRelation,
  type Session,
  targetSchema,
} from './context.ts'
import { forEachRow } from './indexes.ts'

export const typeCommands: CommandTable = {
  CreateEnumStmt: { transactional: 'inside', writes: true, run: createEnum },
  AlterEnumStmt: { transactional: 'inside', writes: true, run: alterEnum },
  CompositeTypeStmt: { transactional: 'inside', writes: true, run: createComposite },
  CreateDomainStmt: { transactional: 'inside', writes: true, run: createDomain },
  AlterDomainStmt: { transactional: 'inside', writes: true, run: alterDomain },
}

export function placeOf(session: Session, parts: readonly string[]): { schema: number; name: string } {
  const schema = targetSchema(session, parts.length > 1 ? parts[parts.length - 2] : undefined, false).oid
  return { schema, name: parts[parts.length - 1] }
}

function requireFreeType(session: Session, schema: number, name: string): void {
  if (session.catalog.typeNamed(schema, name) !== undefined)
    throw new DbError('duplicate_object', `type "${name}" already exists`)
}

function addType(session: Session, make: (oid: number, array: number) => TypeDescriptor): TypeDescriptor {
  const oid = session.newOid()
  const array = session.newOid()
  const type = make(oid, array)
  session.change('type', oid, type)
  session.change('type', array, arrayType(session, array, type.schema, type.name, oid))
  return type
}

function* createEnum(session: Session, node: any): Command {
  const { schema, name } = placeOf(session, nameParts(node.typeName))
  requireFreeType(session, schema, name)
  const labels = ((node.vals ?? []) as any[]).map((v) => v.String?.sval ?? '')
  labels.forEach((label, i) => {
    checkLabel(label)
    if (labels.indexOf(label) !== i) throw new DbError('duplicate_object', `enum label "${label}" used more than once`)
  })
  addType(session, (oid, array) => ({
    kind: 'type',
    form: 'enum',
    oid,
    name,
    owner: session.role,
    schema,
    array,
    labels: labels.map((label, i) => ({ oid: session.newOid(), label, order: i + 1 })),
  }))
  return { tag: 'CREATE TYPE' }
}

function checkLabel(label: string): void {
  if (Buffer.byteLength(label) > 63)
    throw new DbError('invalid_name', `invalid enum label "${label}"`, { detail: 'Labels must be 63 bytes or less.' })
}

function* alterEnum(session: Session, node: any): Command {
  const context = contextOf(session)
  const parts = nameParts(node.typeName)
  const oid = findType(context, parts)
  const type = oid === undefined ? undefined : session.catalog.type(oid)
  if (type === undefined) throw new DbError('undefined_object', `type "${parts.join('.')}" does not exist`)
  if (type.form !== 'enum') throw new DbError('wrong_object_type', `"${type.name}" is not an enum`)
  const labels = [...type.labels!]
  if (node.oldVal !== undefined) {
    yield* renameLabel(session, type, node.oldVal, node.newVal)
    return { tag: 'ALTER TYPE' }
  }
  checkLabel(node.newVal)
  if (labels.some((l) => l.label === node.newVal)) {
    if (!node.skipIfNewValExists) throw new DbError('duplicate_object', `enum label "${node.newVal}" already exists`)
    session.notice(`enum label "${node.newVal}" already exists, skipping`)
    return { tag: 'ALTER TYPE' }
  }
  labels.sort((a, b) => a.order - b.order)
  let order = (labels.at(-1)?.order ?? 0) + 1
  if (node.newValNeighbor !== undefined) {
    const at = labels.findIndex((l) => l.label === node.newValNeighbor)
    if (at < 0) throw new DbError('invalid_parameter_value', `"${node.newValNeighbor}" is not an existing enum label`)
    const here = labels[at].order
    const next = node.newValIsAfter ? labels[at + 1]?.order : labels[at - 1]?.order
    order = next === undefined ? here + (node.newValIsAfter ? 1 : -1) : (here + next) / 2
  }
  session.change('type', type.oid, {
    ...type,
    labels: [...labels, { oid: session.newOid(), label: node.newVal, order }],
  })
  return { tag: 'ALTER TYPE' }
}

/**
 * Rows hold labels, so a renamed one would be lost to them: only unused labels can change. Nobody writes to the tables from
 * before they are read until the new label is known; on nodes that cannot be told, the tables' fences see to it.
 */
function* renameLabel(session: Session, type: TypeDescriptor, from: string, to: string): Generator<Step, void, void> {
  const labels = type.labels!
  if (!labels.some((l) => l.label === from))
    throw new DbError('invalid_parameter_value', `"${from}" is not an existing enum label`)
  if (labels.some((l) => l.label === to)) throw new DbError('duplicate_object', `enum label "${to}" already exists`)
  const holders = typesHolding(session, type)
  for (const { oid, relkind, columns } of [...session.catalog.relations()]) {
    if (relkind !== 'r' && relkind !== 'm') continue
    if (!columns.some((c) => !c.dropped && holders.has(c.type))) continue
    yield* lockRelation(session, oid, shareRowExclusive)
    const table = session.catalog.relation(oid)
    if (table === undefined) continue
    refuseLocal(table, 'renaming a label of its enum', 'Rows that hold it may still come from elsewhere.')
    yield* requireUnused(session, table, holders, from)
    session.change('relation', oid, table)
  }
  session.change('type', type.oid, { ...type, labels: labels.map((l) => (l.label === from ? { ...l, label: to } : l)) })
  for (const relation of [...session.catalog.relations()]) {
    const next = withLabel(relation, type.oid, from, to)
    if (next !== undefined) session.change('relation', relation.oid, next)
  }
}

/** The type, its arrays, domains over it, and rows with columns of any of these. */
function typesHolding(session: Session, type: TypeDescriptor): Set<number> {
  const found = new Set([type.oid])
  for (let before = 0; before < found.size; ) {
    before = found.size
    for (const t of session.catalog.types()) {
      const row = t.relation === undefined ? undefined : session.catalog.relation(t.relation)
      const parts = [t.element ?? 0, t.base ?? 0, ...(row?.columns ?? []).map((c) => (c.dropped ? 0 : c.type))]
      if (parts.some((oid) => found.has(oid))) found.add(t.oid)
    }
  }
  return found
}

function* requireUnused(
  session: Session,
  table: RelationDescriptor,
  holders: ReadonlySet<number>,
  label: string,
): Generator<Step, void, void> {
  const columns = table.columns.filter((c) => !c.dropped && holders.has(c.type))
  const access = session.tables.access(session.catalog, table)
  yield* forEachRow(session, access, (_key, values) => {
    if (columns.some((c) => holdsLabel(values[c.number - 1], label))) {
      throw new DbError(
        'feature_not_supported',
        `cannot rename enum label "${label}" because rows of table "${table.name}" hold it`,
        { hint: 'Add the new label, update the rows, then stop using the old one.' },
      )
    }
    return undefined
  })
}

function holdsLabel(value: Value, label: string): boolean {
  if (value instanceof SqlArray) return value.items.some((item) => holdsLabel(item, label))
  if (value instanceof SqlRecord) return value.values.some((part) => holdsLabel(part, label))
  return value === label
}

/** Defaults, checks, views and indexes that name the label; undefined when none does. */
function withLabel(
  relation: RelationDescriptor,
  type: number,
  from: string,
  to: string,
): RelationDescriptor | undefined {
  let found = false
  const next = JSON.parse(JSON.stringify(relation), (_key, value) => {
    if (value?.kind !== 'const' || value.type !== type || value.text !== from) return value
    found = true
    return { ...value, text: to }
  })
  return found ? next : undefined
}

function* createComposite(session: Session, node: any): Command {
  const { typevar } = node
  const schema = typevar.schemaname
    ? requireSchema(session.names, typevar.schemaname)
    : creationSchema(session.names).oid
  requireFreeType(session, schema, typevar.relname)
  const context = contextOf(session)
  const columns = ((node.coldeflist ?? []) as any[]).map((d, i): Column => {
    const t = resolveTypeName(context, d.ColumnDef.typeName)
    return {
      number: i + 1,
      name: d.ColumnDef.colname,
      type: t.type,
      typmod: t.typmod,
      notNull: false,
      dropped: false,
      collation: 0,
    }
  })
  const oid = session.newOid()
  const rowType = createRowType(session, oid, schema, typevar.relname)
  const relation: RelationDescriptor = {
    kind: 'relation',
    oid,
    name: typevar.relname,
    owner: session.role,
    schema,
    relkind: 'c',
    persistence: 'p',
    columns,
    storage: 0,
    layouts: [],
    constraints: [],
    indexes: [],
    rowType,
  }
  saved(session, relation)
  return { tag: 'CREATE TYPE' }
}

function* createDomain(session: Session, node: any): Command {
  const { schema, name } = placeOf(session, nameParts(node.domainname))
  requireFreeType(session, schema, name)
  const context = contextOf(session)
  const base = resolveTypeName(context, node.typeName)
  let notNull = false
  let defaultExpr: Expr | undefined
  const checks: NonNullable<TypeDescriptor['checks']>[number][] = []
  for (const c of ((node.constraints ?? []) as any[]).map((n) => n.Constraint)) {
    if (c.contype === 'CONSTR_NOTNULL') notNull = true
    else if (c.contype === 'CONSTR_DEFAULT') defaultExpr = domainDefault(session, c.raw_expr, base)
    else if (c.contype === 'CONSTR_CHECK') checks.push(domainCheck(session, c, base, name, checks.length))
  }
  addType(session, (oid, array) => ({
    kind: 'type',
    form: 'domain',
    oid,
    name,
    owner: session.role,
    schema,
    array,
    base: base.type,
    typmod: base.typmod,
    notNull,
    default: defaultExpr,
    checks,
  }))
  return { tag: 'CREATE DOMAIN' }
}

function domainDefault(session: Session, node: Node, base: { type: number; typmod: number }): Expr | undefined {
  const context = contextOf(session)
  const scope = new QueryScope(context, undefined)
  scope.clause = 'default'
  const raw = bindExpr(scope, node)
  const expr = tryCoerce(context, raw, base.type, base.typmod, 'assignment')
  if (expr === undefined)
    throw new DbError('datatype_mismatch', `default expression is of type ${formatType(context, raw.type, -1)}`)
  return stripped(expr)
}

/** VALUE stands for the value tested. */
function domainCheck(
  session: Session,
  c: any,
  base: { type: number; typmod: number },
  domain: string,
  n: number,
): NonNullable<TypeDescriptor['checks']>[number] {
  const context = contextOf(session)
  const scope = new QueryScope(context, undefined)
  scope.clause = 'check'
  const entry = scope.addEntry({
    kind: 'result',
    alias: '',
    explicitAlias: false,
    columns: [{ name: 'value', ...base }],
  })
  scope.namespace = [{ entry, byAlias: false, byColumn: true, lateralOnly: false, usable: true }]
  const bound = coerceBoolean(context, bindExpr(scope, c.raw_expr), 'CHECK')
  const check = JSON.parse(JSON.stringify(stripped(bound)), (_key, value) =>
    value !== null && typeof value === 'object' && value.kind === 'var'
      ? { kind: 'casevalue', type: value.type, typmod: value.typmod }
      : value,
  )
  return {
    oid: session.newOid(),
    name: c.conname ?? `${domain}_check${n === 0 ? '' : n}`,
    check,
    validated: c.skip_validation !== true,
  }
}

function* alterDomain(session: Session, node: any): Command {
  const context = contextOf(session)
  const parts = nameParts(node.typeName)
  const oid = findType(context, parts)
  const type = oid === undefined ? undefined : session.catalog.type(oid)
  if (type === undefined || type.form !== 'domain')
    throw new DbError('undefined_object', `type "${parts.join('.')}" does not exist`)
  const base = { type: type.base!, typmod: type.typmod ?? -1 }
  const change = (d: Partial<TypeDescriptor>) => session.change('type', type.oid, { ...type, ...d })
  switch (node.subtype) {
    case 'T':
      change({ default: node.def === undefined ? undefined : domainDefault(session, node.def, base) })
      break
    case 'N':
      change({ notNull: false })
      break
    case 'O':
      change({ notNull: true })
      break
    case 'C':
      change({
        checks: [
          ...(type.checks ?? []),
          domainCheck(session, node.def.Constraint, base, type.name, type.checks?.length ?? 0),
        ],
      })
      break
    case 'X': {
      const checks = (type.checks ?? []).filter((c) => c.name !== node.name)
      if (checks.length === (type.checks ?? []).length && !node.missing_ok)
        throw new DbError('undefined_object', `constraint "${node.name}" of domain "${type.name}" does not exist`)
      change({ checks })
      break
    }
    default:
      change({ checks: (type.checks ?? []).map((c) => (c.name === node.name ? { ...c, validated: true } : c)) })
  }
  return { tag: 'ALTER DOMAIN' }
}
