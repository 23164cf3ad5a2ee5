/**
 * DROP: objects and what depends on them. RESTRICT refuses and lists the dependents, CASCADE takes them along.
 */

import { DbError, type Step } from '../../base/index.ts'
import { forEachChild, forEachQueryExpr, forEachSubquery } from '../bind/scope.ts'
import { findType, nameParts, resolveTypeName } from '../bind/type-name.ts'
import type { RelationDescriptor, TypeDescriptor } from '../catalog/descriptors.ts'
import { extensionFunctions } from '../catalog/extensions.ts'
import { findRelation, requireSchema, schemaName } from '../catalog/names.ts'
import { referencesTo } from '../execute/foreign-keys.ts'
import { isLocalTable, storeName } from '../local/local-table.ts'
import type { Expr, Query } from '../query.ts'
import { dropColumn } from './alter-table.ts'
import { saved } from './constraints.ts'
import { type Command, type CommandTable, contextOf, lockRelation, requireUser, type Session } from './context.ts'

export const dropCommands: CommandTable = {
  DropStmt: { transactional: 'inside', writes: true, run: drop },
}

const relkinds: Record<string, { kinds: string; label: string; tag: string }> = {
  OBJECT_TABLE: { kinds: 'r', label: 'table', tag: 'DROP TABLE' },
  OBJECT_VIEW: { kinds: 'v', label: 'view', tag: 'DROP VIEW' },
  OBJECT_MATVIEW: { kinds: 'm', label: 'materialized view', tag: 'DROP MATERIALIZED VIEW' },
  OBJECT_SEQUENCE: { kinds: 'S', label: 'sequence', tag: 'DROP SEQUENCE' },
  OBJECT_INDEX: { kinds: 'i', label: 'index', tag: 'DROP INDEX' },
}

function* drop(session: Session, node: any): Command {
  const cascade = node.behavior === 'DROP_CASCADE'
  const relation = relkinds[node.removeType]
  if (relation !== undefined) return yield* dropRelations(session, node, relation, cascade)
  switch (node.removeType) {
    case 'OBJECT_SCHEMA':
      for (const o of node.objects as any[])
        yield* dropSchema(session, o.String.sval, cascade, node.missing_ok === true)
      return { tag: 'DROP SCHEMA' }
    case 'OBJECT_TYPE':
    case 'OBJECT_DOMAIN':
      for (const o of node.objects as any[])
        yield* dropType(session, o.TypeName, cascade, node.missing_ok === true, node.removeType === 'OBJECT_DOMAIN')
      return { tag: node.removeType === 'OBJECT_TYPE' ? 'DROP TYPE' : 'DROP DOMAIN' }
    case 'OBJECT_FUNCTION':
    case 'OBJECT_PROCEDURE':
    case 'OBJECT_ROUTINE':
    case 'OBJECT_AGGREGATE':
      for (const o of node.objects as any[]) dropFunction(session, o.ObjectWithArgs, node.missing_ok === true)
      return { tag: `DROP ${node.removeType.slice('OBJECT_'.length)}` }
    case 'OBJECT_EXTENSION':
      for (const o of node.objects as any[]) dropExtension(session, o.String.sval, node.missing_ok === true)
      return { tag: 'DROP EXTENSION' }
    default:
      throw new DbError(
        'feature_not_supported',
        `DROP ${String(node.removeType).slice('OBJECT_'.length).toLowerCase()} is not supported`,
      )
  }
}

function* dropRelations(
  session: Session,
  node: any,
  want: { kinds: string; label: string; tag: string },
  cascade: boolean,
): Command {
  const found: RelationDescriptor[] = []
  for (const o of node.objects as any[]) {
    const parts = nameParts(o.List.items)
    const name = parts[parts.length - 1]
    const schema = parts.length > 1 ? parts[parts.length - 2] : undefined
    const relation = findRelation(session.names, schema, name)
    if (relation === undefined) {
      if (!node.missing_ok)
        throw new DbError(
          want.kinds === 'i' ? 'undefined_object' : 'undefined_table',
          `${want.label} "${parts.join('.')}" does not exist`,
        )
      session.notice(`${want.label} "${parts.join('.')}" does not exist, skipping`)
      continue
    }
    requireUser(relation)
    if (!want.kinds.includes(relation.relkind)) {
      const actual = Object.values(relkinds).find((k) => k.kinds === relation.relkind)
      throw new DbError(
        'wrong_object_type',
        `"${relation.name}" is not a${/^[aeiou]/.test(want.label) ? 'n' : ''} ${want.label}`,
        {
          hint:
            actual === undefined
              ? undefined
              : `Use ${actual.tag} to remove a${/^[aeiou]/.test(actual.label) ? 'n' : ''} ${actual.label}.`,
        },
      )
    }
    yield* lockRelation(session, relation.index?.table ?? relation.oid)
    found.push(session.catalog.relationOf(relation.oid))
  }
  const dropped = new Set(found.map((r) => r.oid))
  for (const r of found)
    if (session.catalog.relation(r.oid) !== undefined) yield* dropRelation(session, r, cascade, dropped)
  return { tag: want.tag }
}

/** Relations a bound query reads. */
export function relationsOf(query: Query): Set<number> {
  const out = new Set<number>()
  const visit = (q: Query): void => {
    for (const e of q.entries) if (e.kind === 'relation') out.add(e.relation)
    forEachQueryExpr(q, expr)
    forEachSubquery(q, visit)
  }
  const expr = (e: Expr): void => {
    if (e.kind === 'sublink') visit(e.query)
    if (e.kind === 'nextval') out.add(e.sequence)
    if (e.kind === 'const' && e.type === 2205 && e.text !== undefined && /^\d+$/.test(e.text)) out.add(Number(e.text))
    forEachChild(e, expr)
  }
  visit(query)
  return out
}

export function usesRelation(expr: Expr | undefined, relation: number): boolean {
  if (expr === undefined) return false
  return relationsOf({
    entries: [],
    from: [],
    ctes: [],
    targets: [{ expr, name: '', junk: false }],
    groupBy: [],
    windows: [],
    orderBy: [],
  } as never).has(relation)
}

/** Views that read a relation. */
export function viewsOver(session: Session, relation: number): RelationDescriptor[] {
  return [...session.catalog.relations()].filter((r) => r.view !== undefined && relationsOf(r.view).has(relation))
}

const kindNames: Record<string, string> = {
  r: 'table',
  v: 'view',
  m: 'materialized view',
  S: 'sequence',
  i: 'index',
  c: 'type',
}

export function describeRelation(session: Session, r: RelationDescriptor): string {
  const visible = findRelation(session.names, undefined, r.name)?.oid === r.oid
  return `${kindNames[r.relkind]} ${visible ? r.name : `${schemaName(session.names, r.schema)}.${r.name}`}`
}

function refuse(what: string, dependents: readonly string[]): DbError {
  return new DbError('dependent_objects_still_exist', `cannot drop ${what} because other objects depend on it`, {
    detail: dependents.map((d) => `${d} depends on ${what}`).join('\n'),
    hint: 'Use DROP ... CASCADE to drop the dependent objects too.',
  })
}

/** @param going objects dropped by the same command: they do not stand in the way. */
export function* dropRelation(
  session: Session,
  relation: RelationDescriptor,
  cascade: boolean,
  going: ReadonlySet<number> = new Set(),
): Generator<Step, void, void> {
  const { catalog } = session
  if (relation.relkind === 'i') return dropIndex(session, relation)
  if (isLocalTable(relation))
    session.notice(`the events of "${relation.name}" stay in the event database "${storeName(catalog, relation)}"`)
  const views = viewsOver(session, relation.oid).filter((v) => v.oid !== relation.oid)
  const foreign = referencesTo(catalog, relation.oid).filter((r) => r.child.oid !== relation.oid)
  const users = relation.relkind === 'S' ? defaultsUsing(session, relation) : []
  const blocking = [
    ...views.filter((v) => !going.has(v.oid)).map((v) => describeRelation(session, v)),
    ...foreign
      .filter((f) => !going.has(f.child.oid))
      .map((f) => `constraint ${f.constraint.name} on ${describeRelation(session, f.child)}`),
    ...users
      .filter((u) => !going.has(u.table.oid))
      .map((u) => `default value for column ${u.column} of ${describeRelation(session, u.table)}`),
  ]
  if (blocking.length > 0) {
    if (!cascade) throw refuse(describeRelation(session, relation), blocking)
    session.notice(
      blocking.length === 1 ? `drop cascades to ${blocking[0]}` : `drop cascades to ${blocking.length} other objects`,
    )
  }
  for (const f of foreign) {
    const child = session.catalog.relation(f.child.oid)
    if (child === undefined) continue
    yield* lockRelation(session, child.oid)
    saved(session, { ...child, constraints: child.constraints.filter((c) => c.oid !== f.constraint.oid) })
  }
  for (const u of users) removeDefault(session, u.table.oid, u.number)
  for (const v of views)
    if (session.catalog.relation(v.oid) !== undefined)
      yield* dropRelation(session, session.catalog.relationOf(v.oid), true, going)
  removeRelation(session, relation)
}

function removeRelation(session: Session, relation: RelationDescriptor): void {
  for (const oid of relation.indexes) {
    const index = session.catalog.relation(oid)
    if (index === undefined) continue
    if (index.storage !== relation.storage) session.dropStorage(index.storage)
    forget(session, index)
  }
  for (const r of session.catalog.relations()) {
    if (r.sequence?.ownedTable === relation.oid) {
      session.dropStorage(r.storage)
      forget(session, r)
    }
  }
  for (const t of session.catalog.triggersOf(relation.oid)) session.change('trigger', t.oid, undefined)
  if (relation.relkind !== 'v') session.dropStorage(relation.storage)
  forget(session, relation)
  if (session.catalog.statistics(relation.oid) !== undefined) session.change('statistics', relation.oid, undefined)
  if (relation.rowType !== 0) forgetType(session, session.catalog.type(relation.rowType))
}

function forget(session: Session, relation: RelationDescriptor): void {
  for (const column of [{ number: 0 }, ...relation.columns]) {
    if (session.catalog.comment(relation.oid, column.number) !== undefined)
      session.change('comment', relation.oid, undefined, column.number)
  }
  session.change('relation', relation.oid, undefined)
}

function forgetType(session: Session, type: TypeDescriptor | undefined): void {
  if (type === undefined) return
  if (type.array !== 0) session.change('type', type.array, undefined)
  session.change('type', type.oid, undefined)
}

function defaultsUsing(
  session: Session,
  sequence: RelationDescriptor,
): { table: RelationDescriptor; column: string; number: number }[] {
  const out: { table: RelationDescriptor; column: string; number: number }[] = []
  for (const table of session.catalog.relations()) {
    for (const c of table.columns) {
      if (c.identitySequence === sequence.oid && sequence.sequence?.identity) {
        throw new DbError(
          'dependent_objects_still_exist',
          `cannot drop sequence ${sequence.name} because column ${c.name} of table ${table.name} requires it`,
          {
            hint: `You can drop column ${c.name} of table ${table.name} instead.`,
          },
        )
      }
      if (c.default !== undefined && usesRelation(c.default, sequence.oid))
        out.push({ table, column: c.name, number: c.number })
    }
  }
  return out
}

function removeDefault(session: Session, table: number, column: number): void {
  const relation = session.catalog.relation(table)
  if (relation === undefined) return
  saved(session, {
    ...relation,
    columns: relation.columns.map((c) => (c.number === column ? { ...c, default: undefined } : c)),
  })
}

export function dropIndex(session: Session, index: RelationDescriptor, byConstraint = false): void {
  const table = session.catalog.relationOf(index.index!.table)
  const owner = table.constraints.find((c) => c.index === index.oid && c.type !== 'f')
  if (owner !== undefined && !byConstraint) {
    throw new DbError(
      'dependent_objects_still_exist',
      `cannot drop index ${index.name} because constraint ${owner.name} on table ${table.name} requires it`,
      {
        hint: `You can drop constraint ${owner.name} on table ${table.name} instead.`,
      },
    )
  }
  if (index.storage !== table.storage) session.dropStorage(index.storage)
  forget(session, index)
  saved(session, { ...table, indexes: table.indexes.filter((i) => i !== index.oid) })
}

function* dropSchema(
  session: Session,
  name: string,
  cascade: boolean,
  missingOk: boolean,
): Generator<Step, void, void> {
  const schema = session.catalog.schemaNamed(name)
  if (schema === undefined) {
    if (!missingOk) requireSchema(session.names, name)
    if (!missingOk)
      throw new DbError(
        'insufficient_privilege',
        `cannot drop schema ${name} because it is required by the database system`,
      )
    session.notice(`schema "${name}" does not exist, skipping`)
    return
  }
  const { catalog } = session
  const relations = [...catalog.relations()].filter((r) => r.schema === schema.oid && r.relkind !== 'i')
  const types = [...catalog.types()].filter(
    (t) => t.schema === schema.oid && (t.form === 'enum' || t.form === 'domain'),
  )
  const functions = [...catalog.functions()].filter((f) => f.schema === schema.oid)
  const inside = [
    ...relations.map((r) => describeRelation(session, r)),
    ...types.map((t) => `type ${t.name}`),
    ...functions.map((f) => `function ${f.name}()`),
  ]
  if (inside.length > 0) {
    if (!cascade) throw refuse(`schema ${name}`, inside)
    session.notice(
      inside.length === 1 ? `drop cascades to ${inside[0]}` : `drop cascades to ${inside.length} other objects`,
    )
  }
  const going = new Set(relations.map((r) => r.oid))
  for (const r of relations) {
    const now = session.catalog.relation(r.oid)
    if (now === undefined) continue
    yield* lockRelation(session, r.oid)
    if (r.relkind === 'S' && r.sequence?.ownedTable !== undefined && going.has(r.sequence.ownedTable)) continue
    yield* dropRelation(session, now, true, going)
  }
  for (const f of functions) session.change('function', f.oid, undefined)
  for (const t of types) forgetType(session, session.catalog.type(t.oid))
  session.change('schema', schema.oid, undefined)
}

function* dropType(
  session: Session,
  node: any,
  cascade: boolean,
  missingOk: boolean,
  domain: boolean,
): Generator<Step, void, void> {
  const context = contextOf(session)
  const parts = nameParts(node.names)
  if (findType(context, parts) === undefined && missingOk) {
    session.notice(`type "${parts.join('.')}" does not exist, skipping`)
    return
  }
  const { type } = resolveTypeName(context, node)
  const descriptor = session.catalog.type(type)
  if (descriptor === undefined)
    throw new DbError(
      'dependent_objects_still_exist',
      `cannot drop type ${parts.join('.')} because it is required by the database system`,
    )
  if (domain !== (descriptor.form === 'domain') && domain)
    throw new DbError('wrong_object_type', `"${descriptor.name}" is not a domain`)
  if (descriptor.form === 'composite' && session.catalog.relation(descriptor.relation!)?.relkind !== 'c') {
    const table = session.catalog.relationOf(descriptor.relation!)
    throw new DbError(
      'dependent_objects_still_exist',
      `cannot drop type ${descriptor.name} because table ${table.name} requires it`,
      { hint: `You can drop table ${table.name} instead.` },
    )
  }
  const users = [...session.catalog.relations()].flatMap((r) =>
    r.relkind === 'i'
      ? []
      : r.columns.filter((c) => !c.dropped && (c.type === type || c.type === descriptor.array)).map((c) => ({ r, c })),
  )
  if (users.length > 0) {
    const names = users.map(({ r, c }) => `column ${c.name} of ${describeRelation(session, r)}`)
    if (!cascade) throw refuse(`type ${descriptor.name}`, names)
    session.notice(
      names.length === 1 ? `drop cascades to ${names[0]}` : `drop cascades to ${names.length} other objects`,
    )
    for (const { r, c } of users) {
      yield* lockRelation(session, r.oid)
      yield* dropColumn(session, session.catalog.relationOf(r.oid), c.name, true)
    }
  }
  if (descriptor.relation !== undefined && session.catalog.relation(descriptor.relation)?.relkind === 'c')
    session.change('relation', descriptor.relation, undefined)
  forgetType(session, descriptor)
}

function dropFunction(session: Session, node: any, missingOk: boolean): void {
  const parts = nameParts(node.objname)
  const context = contextOf(session)
  const name = parts[parts.length - 1]
  const types = node.args_unspecified
    ? undefined
    : ((node.objargs ?? []) as any[]).map((a) => resolveTypeName(context, a.TypeName).type)
  const found = session.catalog.functionsNamed(name).filter((f) => {
    const inputs = f.args.filter((a) => a.mode !== 'o' && a.mode !== 't')
    return types === undefined || (inputs.length === types.length && inputs.every((a, i) => a.type === types[i]))
  })
  if (found.length === 0) {
    if (!missingOk) throw new DbError('undefined_function', `function ${parts.join('.')}() does not exist`)
    session.notice(`function ${parts.join('.')}() does not exist, skipping`)
    return
  }
  if (found.length > 1)
    throw new DbError('ambiguous_function', `function name "${name}" is not unique`, {
      hint: 'Specify the argument list to select the function unambiguously.',
    })
  session.change('function', found[0].oid, undefined)
}

function dropExtension(session: Session, name: string, missingOk: boolean): void {
  const extension = session.catalog.extensionNamed(name)
  if (extension === undefined) {
    if (!missingOk) throw new DbError('undefined_object', `extension "${name}" does not exist`)
    session.notice(`extension "${name}" does not exist, skipping`)
    return
  }
  session.change('extension', extension.oid, undefined)
  for (const [member] of extensionFunctions[name] ?? []) {
    for (const f of session.catalog.functionsNamed(member))
      if (f.schema === extension.schema && f.args.length === 0) session.change('function', f.oid, undefined)
  }
}
