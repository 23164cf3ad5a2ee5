/** ALTER … RENAME, SET SCHEMA and OWNER TO for all kinds of objects. */

import { DbError } from '../../base/index.ts'
import { findType, nameParts, resolveTypeName } from '../bind/type-name.ts'
import type { FunctionDescriptor, RelationDescriptor, TypeDescriptor } from '../catalog/descriptors.ts'
import { findRelation, requireSchema } from '../catalog/names.ts'
import { checkLocalRename } from '../local/definition.ts'
import { saved } from './constraints.ts'
import {
  type Command,
  type CommandTable,
  columnNamed,
  contextOf,
  openRelation,
  requireFree,
  type Session,
} from './context.ts'

export const renameCommands: CommandTable = {
  RenameStmt: { transactional: 'inside', writes: true, run: rename },
  AlterObjectSchemaStmt: { transactional: 'inside', writes: true, run: setSchema },
  AlterOwnerStmt: { transactional: 'inside', writes: true, run: setOwner },
}

const relationTags: Record<string, string> = {
  OBJECT_TABLE: 'ALTER TABLE',
  OBJECT_INDEX: 'ALTER INDEX',
  OBJECT_SEQUENCE: 'ALTER SEQUENCE',
  OBJECT_VIEW: 'ALTER VIEW',
  OBJECT_MATVIEW: 'ALTER MATERIALIZED VIEW',
}

function* rename(session: Session, node: any): Command {
  const to: string = node.newname
  switch (node.renameType) {
    case 'OBJECT_TABLE':
    case 'OBJECT_INDEX':
    case 'OBJECT_SEQUENCE':
    case 'OBJECT_VIEW':
    case 'OBJECT_MATVIEW': {
      const tag = relationTags[node.renameType]
      if (
        node.missing_ok &&
        findRelation(session.names, node.relation.schemaname, node.relation.relname) === undefined
      ) {
        session.notice(`relation "${node.relation.relname}" does not exist, skipping`)
        return { tag }
      }
      const relation = yield* openRelation(session, node.relation)
      checkLocalRename(relation)
      renameRelation(session, relation, to)
      return { tag }
    }
    case 'OBJECT_COLUMN':
    case 'OBJECT_ATTRIBUTE': {
      const table = yield* openRelation(session, node.relation)
      checkLocalRename(table)
      const column = columnNamed(table, node.subname, true)
      if (table.columns.some((c) => !c.dropped && c.name === to))
        throw new DbError('duplicate_column', `column "${to}" of relation "${table.name}" already exists`)
      saved(session, {
        ...table,
        columns: table.columns.map((c) => (c.number === column.number ? { ...c, name: to } : c)),
      })
      renameIndexColumns(session, table, column.number, to)
      return { tag: node.relationType === 'OBJECT_VIEW' ? 'ALTER VIEW' : 'ALTER TABLE' }
    }
    case 'OBJECT_TABCONSTRAINT': {
      const table = yield* openRelation(session, node.relation)
      const constraint = table.constraints.find((c) => c.name === node.subname)
      if (constraint === undefined)
        throw new DbError('undefined_object', `constraint "${node.subname}" for table "${table.name}" does not exist`)
      if (table.constraints.some((c) => c.name === to))
        throw new DbError('duplicate_object', `constraint "${to}" for relation "${table.name}" already exists`)
      saved(session, {
        ...table,
        constraints: table.constraints.map((c) => (c === constraint ? { ...c, name: to } : c)),
      })
      if (constraint.index !== undefined && constraint.type !== 'f') {
        const index = session.catalog.relationOf(constraint.index)
        requireFree(session, index.schema, to)
        saved(session, { ...index, name: to })
      }
      return { tag: 'ALTER TABLE' }
    }
    case 'OBJECT_SCHEMA': {
      const schema = session.catalog.schemaNamed(node.subname)
      if (schema === undefined) throw new DbError('invalid_schema_name', `schema "${node.subname}" does not exist`)
      if (session.catalog.schemaNamed(to) !== undefined)
        throw new DbError('duplicate_schema', `schema "${to}" already exists`)
      session.change('schema', schema.oid, { ...schema, name: to })
      return { tag: 'ALTER SCHEMA' }
    }
    case 'OBJECT_TYPE':
    case 'OBJECT_DOMAIN': {
      const type = typeNamed(session, nameParts(node.object.List.items))
      if (session.catalog.typeNamed(type.schema, to) !== undefined)
        throw new DbError('duplicate_object', `type "${to}" already exists`)
      if (type.form === 'composite') renameRelation(session, session.catalog.relationOf(type.relation!), to)
      else session.change('type', type.oid, { ...type, name: to })
      return { tag: 'ALTER TYPE' }
    }
    case 'OBJECT_DOMCONSTRAINT': {
      const type = typeNamed(session, nameParts(node.object.List.items))
      session.change('type', type.oid, {
        ...type,
        checks: type.checks?.map((c) => (c.name === node.subname ? { ...c, name: to } : c)),
      })
      return { tag: 'ALTER DOMAIN' }
    }
    case 'OBJECT_DATABASE': {
      const database = session.catalog.databaseNamed(node.subname)
      if (database === undefined) throw new DbError('invalid_catalog_name', `database "${node.subname}" does not exist`)
      if (database.oid === session.databaseOid)
        throw new DbError('feature_not_supported', 'current database cannot be renamed')
      session.change('database', database.oid, { ...database, name: to })
      return { tag: 'ALTER DATABASE' }
    }
    case 'OBJECT_ROLE': {
      const role = session.catalog.roleNamed(node.subname)
      if (role === undefined) throw new DbError('undefined_object', `role "${node.subname}" does not exist`)
      session.change('role', role.oid, { ...role, name: to })
      return { tag: 'ALTER ROLE' }
    }
    case 'OBJECT_FUNCTION': {
      const f = functionOf(session, node.object.ObjectWithArgs)
      session.change('function', f.oid, { ...f, name: to })
      return { tag: 'ALTER FUNCTION' }
    }
    default:
      throw new DbError(
        'feature_not_supported',
        `renaming ${String(node.renameType).slice('OBJECT_'.length).toLowerCase()} is not supported`,
      )
  }
}

function renameRelation(session: Session, relation: RelationDescriptor, to: string): void {
  if (session.catalog.relationNamed(relation.schema, to) !== undefined)
    throw new DbError('duplicate_table', `relation "${to}" already exists`)
  saved(session, { ...relation, name: to })
  const type = relation.rowType === 0 ? undefined : session.catalog.type(relation.rowType)
  if (type !== undefined) {
    session.change('type', type.oid, { ...type, name: to })
    const array = session.catalog.type(type.array)
    if (array !== undefined) session.change('type', array.oid, { ...array, name: `_${to}`.slice(0, 63) })
  }
  // A constraint's index carries the constraint's name.
  const owner = relation.index?.constraint === undefined ? undefined : session.catalog.relation(relation.index.table)
  if (owner !== undefined)
    saved(session, {
      ...owner,
      constraints: owner.constraints.map((c) => (c.index === relation.oid && c.type !== 'f' ? { ...c, name: to } : c)),
    })
}

function renameIndexColumns(session: Session, table: RelationDescriptor, column: number, to: string): void {
  for (const oid of table.indexes) {
    const index = session.catalog.relationOf(oid)
    const at = index.index!.columns.findIndex((c) => c.column === column)
    if (at >= 0) saved(session, { ...index, columns: index.columns.map((c, i) => (i === at ? { ...c, name: to } : c)) })
  }
}

function typeNamed(session: Session, parts: readonly string[]): TypeDescriptor {
  const oid = findType(contextOf(session), parts)
  const type = oid === undefined ? undefined : session.catalog.type(oid)
  if (type === undefined) throw new DbError('undefined_object', `type "${parts.join('.')}" does not exist`)
  return type
}

export function functionOf(session: Session, node: any): FunctionDescriptor {
  const parts = nameParts(node.objname)
  const context = contextOf(session)
  const types = node.args_unspecified
    ? undefined
    : ((node.objargs ?? []) as any[]).map((a) => resolveTypeName(context, a.TypeName).type)
  const found = session.catalog.functionsNamed(parts[parts.length - 1]).find((f) => {
    const inputs = f.args.filter((a) => a.mode !== 'o' && a.mode !== 't')
    return types === undefined || (inputs.length === types.length && inputs.every((a, i) => a.type === types[i]))
  })
  if (found === undefined) throw new DbError('undefined_function', `function ${parts.join('.')} does not exist`)
  return found
}

function* setSchema(session: Session, node: any): Command {
  const schema = requireSchema(session.names, node.newschema)
  if (session.catalog.schema(schema) === undefined)
    throw new DbError('feature_not_supported', 'cannot move objects into system schemas')
  if (node.objectType in relationTags) {
    const relation = yield* openRelation(session, node.relation)
    checkLocalRename(relation)
    moveRelation(session, relation, schema)
    return { tag: relationTags[node.objectType] }
  }
  if (node.objectType === 'OBJECT_TYPE' || node.objectType === 'OBJECT_DOMAIN') {
    const type = typeNamed(session, nameParts(node.object.List.items))
    session.change('type', type.oid, { ...type, schema })
    const array = session.catalog.type(type.array)
    if (array !== undefined) session.change('type', array.oid, { ...array, schema })
    return { tag: 'ALTER TYPE' }
  }
  const f = functionOf(session, node.object.ObjectWithArgs)
  session.change('function', f.oid, { ...f, schema })
  return { tag: 'ALTER FUNCTION' }
}

function moveRelation(session: Session, relation: RelationDescriptor, schema: number): void {
  requireFree(session, schema, relation.name)
  const move = (r: RelationDescriptor): void => {
    saved(session, { ...r, schema })
    const type = r.rowType === 0 ? undefined : session.catalog.type(r.rowType)
    if (type === undefined) return
    session.change('type', type.oid, { ...type, schema })
    const array = session.catalog.type(type.array)
    if (array !== undefined) session.change('type', array.oid, { ...array, schema })
  }
  move(relation)
  for (const oid of relation.indexes) move(session.catalog.relationOf(oid))
  for (const r of session.catalog.relations()) if (r.sequence?.ownedTable === relation.oid) move(r)
}

function* setOwner(session: Session, node: any): Command {
  const name =
    node.newowner.roletype === 'ROLESPEC_CSTRING'
      ? node.newowner.rolename
      : node.newowner.roletype === 'ROLESPEC_SESSION_USER'
        ? session.sessionUser
        : session.currentUser
  const role = session.catalog.roleNamed(name)
  if (role === undefined) throw new DbError('undefined_object', `role "${name}" does not exist`)
  const owner = role.oid
  const label = String(node.objectType).slice('OBJECT_'.length)
  switch (node.objectType) {
    case 'OBJECT_SCHEMA': {
      const schema = session.catalog.schemaNamed(node.object.String.sval)
      if (schema === undefined)
        throw new DbError('invalid_schema_name', `schema "${node.object.String.sval}" does not exist`)
      session.change('schema', schema.oid, { ...schema, owner })
      break
    }
    case 'OBJECT_DATABASE': {
      const database = session.catalog.databaseNamed(node.object.String.sval)
      if (database === undefined)
        throw new DbError('invalid_catalog_name', `database "${node.object.String.sval}" does not exist`)
      session.change('database', database.oid, { ...database, owner })
      break
    }
    case 'OBJECT_TYPE':
    case 'OBJECT_DOMAIN': {
      const type = typeNamed(session, nameParts(node.object.List.items))
      session.change('type', type.oid, { ...type, owner })
      break
    }
    case 'OBJECT_FUNCTION':
    case 'OBJECT_PROCEDURE':
    case 'OBJECT_AGGREGATE': {
      const f = functionOf(session, node.object.ObjectWithArgs)
      session.change('function', f.oid, { ...f, owner })
      break
    }
    case 'OBJECT_LANGUAGE':
    case 'OBJECT_EXTENSION':
      break
    default: {
      if (node.relation === undefined)
        throw new DbError('feature_not_supported', `ALTER ${label} OWNER is not supported`)
      saved(session, { ...(yield* openRelation(session, node.relation)), owner })
    }
  }
  return { tag: `ALTER ${label}` }
}
