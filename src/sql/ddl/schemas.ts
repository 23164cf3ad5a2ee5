/** Schemas, databases, extensions, comments. */
import { DbError, type Step } from '../../base/index.ts'
import { lookUpRelation } from '../bind/from.ts'
import { nameParts, resolveTypeName } from '../bind/type-name.ts'
import { available, extensionFunctions, extensions } from '../catalog/extensions.ts'
import { informationSchema, pgCatalog } from '../catalog/names.ts'
import { systemSchemaNamed } from '../catalog/system-schema.ts'
import { newDatabase } from '../session/database.ts'
import { utilityPortal } from '../session/utility.ts'
import { type Command, type CommandTable, columnNamed, contextOf, type Session } from './context.ts'

export const schemaCommands: CommandTable = {
  CreateSchemaStmt: { transactional: 'inside', writes: true, run: createSchema },
  CreatedbStmt: { transactional: 'inside', writes: true, run: createDatabase },
  DropdbStmt: { transactional: 'inside', writes: true, run: dropDatabase },
  AlterDatabaseStmt: { transactional: 'inside', writes: true, run: alterDatabase },
  CreateExtensionStmt: { transactional: 'inside', writes: true, run: createExtension },
  CommentStmt: { transactional: 'inside', writes: true, run: comment },
}

function* createSchema(session: Session, node: any, text: string): Command {
  const role =
    node.authrole === undefined ? undefined : session.catalog.roleNamed(node.authrole.rolename ?? session.currentUser)
  const name: string = node.schemaname ?? role?.name
  if (session.catalog.schemaNamed(name) !== undefined || systemSchemaNamed(name) !== undefined) {
    if (!node.if_not_exists) throw new DbError('duplicate_schema', `schema "${name}" already exists`)
    session.notice(`schema "${name}" already exists, skipping`)
    return { tag: 'CREATE SCHEMA' }
  }
  if (name.startsWith('pg_'))
    throw new DbError('reserved_name', `unacceptable schema name "${name}"`, {
      detail: 'The prefix "pg_" is reserved for system schemas.',
    })
  const oid = session.newOid()
  session.change('schema', oid, { kind: 'schema', oid, name, owner: role?.oid ?? session.role })
  for (const element of (node.schemaElts ?? []) as any[]) yield* inside(session, name, element, text)
  return { tag: 'CREATE SCHEMA' }
}

/** Objects written inside CREATE SCHEMA belong to it. */
function* inside(session: Session, schema: string, element: any, text: string): Generator<Step, void, void> {
  const kind = Object.keys(element)[0]
  const inner = element[kind]
  const field = kind === 'ViewStmt' ? 'view' : kind === 'CreateSeqStmt' ? 'sequence' : 'relation'
  const placed =
    inner[field] === undefined
      ? element
      : { [kind]: { ...inner, [field]: { ...inner[field], schemaname: inner[field].schemaname ?? schema } } }
  const portal = utilityPortal(session, placed, text, false, text)
  for (;;) {
    const step = portal.run({ row: () => true, copyOut: () => true }, 0)
    if (step === 0) return
    yield step
  }
}

function* createDatabase(session: Session, node: any): Command {
  if (session.block === 'explicit')
    throw new DbError('active_sql_transaction', 'CREATE DATABASE cannot run inside a transaction block')
  if (session.catalog.databaseNamed(node.dbname) !== undefined)
    throw new DbError('duplicate_database', `database "${node.dbname}" already exists`)
  const owner = ((node.options ?? []) as any[]).find((o) => o.DefElem.defname === 'owner')?.DefElem.arg?.String?.sval
  const role = owner === undefined ? undefined : session.catalog.roleNamed(owner)
  if (owner !== undefined && role === undefined) throw new DbError('undefined_object', `role "${owner}" does not exist`)
  for (const change of newDatabase(session.newOid(), node.dbname, role?.oid ?? session.role)) {
    session.changeIn(change.database, change.kind, change.oid, change.descriptor)
  }
  return { tag: 'CREATE DATABASE' }
}

function* dropDatabase(session: Session, node: any): Command {
  if (session.block === 'explicit')
    throw new DbError('active_sql_transaction', 'DROP DATABASE cannot run inside a transaction block')
  const database = session.catalog.databaseNamed(node.dbname)
  if (database === undefined) {
    if (!node.missing_ok) throw new DbError('invalid_catalog_name', `database "${node.dbname}" does not exist`)
    session.notice(`database "${node.dbname}" does not exist, skipping`)
    return { tag: 'DROP DATABASE' }
  }
  if (database.oid === session.databaseOid)
    throw new DbError('object_in_use', 'cannot drop the currently open database')
  if (database.isTemplate) throw new DbError('wrong_object_type', 'cannot drop a template database')
  const users = [...session.database.sessions.values()].filter((s) => s.databaseOid === database.oid)
  if (users.length > 0) {
    throw new DbError('object_in_use', `database "${node.dbname}" is being accessed by other users`, {
      detail:
        users.length === 1
          ? 'There is 1 other session using the database.'
          : `There are ${users.length} other sessions using the database.`,
    })
  }
  const inner = session.database.catalog(database.oid)
  for (const r of inner.relations()) {
    session.dropStorage(r.storage)
    session.changeIn(database.oid, 'relation', r.oid, undefined)
  }
  for (const t of inner.types()) session.changeIn(database.oid, 'type', t.oid, undefined)
  for (const f of inner.functions()) session.changeIn(database.oid, 'function', f.oid, undefined)
  for (const s of inner.schemas()) session.changeIn(database.oid, 'schema', s.oid, undefined)
  session.change('database', database.oid, undefined)
  return { tag: 'DROP DATABASE' }
}

function* alterDatabase(session: Session, node: any): Command {
  if (session.catalog.databaseNamed(node.dbname) === undefined)
    throw new DbError('invalid_catalog_name', `database "${node.dbname}" does not exist`)
  throw new DbError('feature_not_supported', 'ALTER DATABASE options are not supported')
}

function* createExtension(session: Session, node: any): Command {
  const name: string = node.extname
  if (session.catalog.extensionNamed(name) !== undefined || name === 'plpgsql') {
    if (!node.if_not_exists) throw new DbError('duplicate_object', `extension "${name}" already exists`)
    session.notice(`extension "${name}" already exists, skipping`)
    return { tag: 'CREATE EXTENSION' }
  }
  if (!available.has(name)) {
    throw new DbError('feature_not_supported', `extension "${name}" is not available`, {
      detail:
        name in extensions ? 'It is known, but this version does not have it.' : `Could not find extension "${name}".`,
      hint: 'gen_random_uuid() needs no extension.',
    })
  }
  const oid = session.newOid()
  session.change('extension', oid, {
    kind: 'extension',
    oid,
    name,
    owner: session.role,
    schema: 2200,
    version: extensions[name],
  })
  for (const [func, body] of extensionFunctions[name] ?? []) {
    const id = session.newOid()
    session.change('function', id, {
      kind: 'function',
      oid: id,
      name: func,
      owner: session.role,
      schema: 2200,
      prokind: 'f',
      language: 'sql',
      args: [],
      result: 2950,
      returnsSet: false,
      strict: true,
      volatility: func === 'uuid_generate_v4' ? 'v' : 'i',
      body,
      securityDefiner: false,
      parallel: 'safe',
    })
  }
  return { tag: 'CREATE EXTENSION' }
}

/** Which catalog holds an object of a kind, as pg_description.classoid. */
const classes = {
  relation: 1259,
  type: 1247,
  schema: 2615,
  function: 1255,
  constraint: 2606,
  database: 1262,
  role: 1260,
  extension: 3079,
  trigger: 2620,
}

function* comment(session: Session, node: any): Command {
  const { oid, sub, classOid } = commentTarget(session, node)
  const text: string | undefined = node.comment === '' ? undefined : node.comment
  session.change('comment', oid, text === undefined ? undefined : { kind: 'comment', oid, sub, classOid, text }, sub)
  return { tag: 'COMMENT' }
}

function commentTarget(session: Session, node: any): { oid: number; sub: number; classOid: number } {
  const context = contextOf(session)
  const parts = node.object?.List
    ? nameParts(node.object.List.items)
    : node.object?.String
      ? [node.object.String.sval as string]
      : []
  const range = (names: readonly string[]) =>
    ({ schemaname: names.length > 1 ? names[names.length - 2] : undefined, relname: names[names.length - 1] }) as never
  switch (node.objtype) {
    case 'OBJECT_TABLE':
    case 'OBJECT_VIEW':
    case 'OBJECT_INDEX':
    case 'OBJECT_SEQUENCE':
    case 'OBJECT_MATVIEW':
      return { oid: lookUpRelation(context, range(parts)).oid, sub: 0, classOid: classes.relation }
    case 'OBJECT_COLUMN': {
      const table = lookUpRelation(context, range(parts.slice(0, -1)))
      return { oid: table.oid, sub: columnNamed(table, parts[parts.length - 1]).number, classOid: classes.relation }
    }
    case 'OBJECT_TYPE':
    case 'OBJECT_DOMAIN':
      return { oid: resolveTypeName(context, node.object.TypeName).type, sub: 0, classOid: classes.type }
    case 'OBJECT_SCHEMA': {
      const oid = session.catalog.schemaNamed(parts[0])?.oid ?? systemSchemaNamed(parts[0])
      if (oid === undefined || oid === pgCatalog || oid === informationSchema)
        throw new DbError('invalid_schema_name', `schema "${parts[0]}" does not exist`)
      return { oid, sub: 0, classOid: classes.schema }
    }
    case 'OBJECT_DATABASE': {
      const database = session.catalog.databaseNamed(parts[0])
      if (database === undefined) throw new DbError('invalid_catalog_name', `database "${parts[0]}" does not exist`)
      return { oid: database.oid, sub: 0, classOid: classes.database }
    }
    case 'OBJECT_ROLE': {
      const role = session.catalog.roleNamed(parts[0])
      if (role === undefined) throw new DbError('undefined_object', `role "${parts[0]}" does not exist`)
      return { oid: role.oid, sub: 0, classOid: classes.role }
    }
    case 'OBJECT_EXTENSION': {
      const oid = parts[0] === 'plpgsql' ? 13000 + 500 : session.catalog.extensionNamed(parts[0])?.oid
      if (oid === undefined) throw new DbError('undefined_object', `extension "${parts[0]}" does not exist`)
      return { oid, sub: 0, classOid: classes.extension }
    }
    case 'OBJECT_TABCONSTRAINT': {
      const table = lookUpRelation(context, range(parts.slice(0, -1)))
      const constraint = table.constraints.find((c) => c.name === parts[parts.length - 1])
      if (constraint === undefined)
        throw new DbError(
          'undefined_object',
          `constraint "${parts[parts.length - 1]}" for table "${table.name}" does not exist`,
        )
      return { oid: constraint.oid, sub: 0, classOid: classes.constraint }
    }
    case 'OBJECT_FUNCTION':
    case 'OBJECT_PROCEDURE':
    case 'OBJECT_AGGREGATE': {
      const name = nameParts(node.object.ObjectWithArgs.objname).at(-1)!
      const types = ((node.object.ObjectWithArgs.objargs ?? []) as any[]).map(
        (a) => resolveTypeName(context, a.TypeName).type,
      )
      const found = session.catalog.functionsNamed(name).find((f) => {
        const inputs = f.args.filter((a) => a.mode !== 'o' && a.mode !== 't')
        return (
          node.object.ObjectWithArgs.args_unspecified ||
          (inputs.length === types.length && inputs.every((a, i) => a.type === types[i]))
        )
      })
      if (found === undefined) throw new DbError('undefined_function', `function ${name} does not exist`)
      return { oid: found.oid, sub: 0, classOid: classes.function }
    }
    default:
      throw new DbError(
        'feature_not_supported',
        `COMMENT ON ${String(node.objtype).slice('OBJECT_'.length)} is not supported`,
      )
  }
}
