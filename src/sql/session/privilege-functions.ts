/**
 * has_*_privilege and pg_has_role: what a role may do, by the access control lists of the catalog.
 *
 *   has_table_privilege(user, table, privilege)   user and object each by name or oid; the user may be left out
 *
 * A superuser and an object's owner may do all; others what the list grants them, their groups or everybody (PUBLIC).
 *
 * Not here: enforcing privileges when statements run.
 */
import { DbError } from '../../base/index.ts'
import type { RoleDescriptor } from '../catalog/descriptors.ts'
import { findRelation, schemaName } from '../catalog/names.ts'
import { holdsPrivilege, roleNamed, rolesOf, type Subject } from '../catalog/privileges.ts'
import { systemRelation } from '../catalog/system-schema.ts'
import { splitName } from './reg-names.ts'
import type { Session } from './session.ts'
import { sessionFunction } from './session-functions.ts'

type Finder = (s: Session, object: string | number) => Subject | undefined

function relationSubject(s: Session, object: string | number): Subject | undefined {
  if (typeof object === 'number') {
    const system = systemRelation(object)?.descriptor
    const r = s.catalog.relation(object) ?? system
    return r === undefined ? undefined : { owner: r.owner, acl: r.acl, everybody: system === undefined ? '' : 'r' }
  }
  const parts = splitName(object)
  const r = findRelation(s.names, parts.length > 1 ? parts[parts.length - 2] : undefined, parts[parts.length - 1])
  if (r === undefined) throw new DbError('undefined_table', `relation "${object}" does not exist`)
  return { owner: r.owner, acl: r.acl, everybody: systemRelation(r.oid) === undefined ? '' : 'r' }
}

function schemaSubject(s: Session, object: string | number): Subject | undefined {
  const schema = typeof object === 'number' ? s.catalog.schema(object) : s.catalog.schemaNamed(object)
  if (schema !== undefined) return { owner: schema.owner, acl: schema.acl, everybody: schema.oid === 2200 ? 'U' : '' }
  const name = typeof object === 'number' ? schemaName(s.names, object) : object
  if (['pg_catalog', 'information_schema', 'pg_toast'].includes(name))
    return { owner: 10, acl: undefined, everybody: name === 'pg_toast' ? '' : 'U' }
  if (typeof object === 'string') throw new DbError('invalid_schema_name', `schema "${object}" does not exist`)
  return undefined
}

function databaseSubject(s: Session, object: string | number): Subject | undefined {
  const d = typeof object === 'number' ? s.catalog.database(object) : s.catalog.databaseNamed(object)
  if (d === undefined && typeof object === 'string')
    throw new DbError('invalid_catalog_name', `database "${object}" does not exist`)
  return d === undefined ? undefined : { owner: d.owner, acl: undefined, everybody: 'Tc' }
}

/** Kinds whose objects everybody may use and nobody can be refused. */
const open: (everybody: string) => Finder = (everybody) => () => ({ owner: 10, acl: undefined, everybody })

const finders: Record<string, Finder> = {
  table: relationSubject,
  sequence: relationSubject,
  any_column: relationSubject,
  schema: schemaSubject,
  database: databaseSubject,
  function: (s, object) => {
    const oid = typeof object === 'number' ? object : s.types.names.lookup('regprocedure', object)
    return { owner: s.catalog.function(oid)?.owner ?? 10, acl: undefined, everybody: 'X' }
  },
  type: (s, object) => {
    const oid = typeof object === 'number' ? object : s.types.names.lookup('regtype', object)
    return { owner: s.catalog.type(oid)?.owner ?? 10, acl: undefined, everybody: 'U' }
  },
  language: open('U'),
  tablespace: open(''),
  server: open(''),
  foreign_data_wrapper: open(''),
}

export function registerPrivilegeFunctions(): void {
  const roleOf = (s: Session, user: string | number) => (typeof user === 'number' ? s.roleOf(user) : roleNamed(s, user))
  for (const [kind, find] of Object.entries(finders)) {
    for (const object of ['name', 'id']) {
      sessionFunction(`has_${kind}_privilege_${object}`, (s, o: string | number, privilege: string) =>
        holdsPrivilege(s, kind, s.roleOf(s.role), find(s, o), privilege),
      )
      for (const user of ['name', 'id']) {
        sessionFunction(
          `has_${kind}_privilege_${user}_${object}`,
          (s, u: string | number, o: string | number, privilege: string) =>
            holdsPrivilege(s, kind, roleOf(s, u), find(s, o), privilege),
        )
      }
    }
  }
  for (const object of ['name', 'id']) {
    for (const column of ['name', 'attnum']) {
      sessionFunction(
        `has_column_privilege_${object}_${column}`,
        (s, o: string | number, _c: unknown, privilege: string) =>
          holdsPrivilege(s, 'column', s.roleOf(s.role), relationSubject(s, o), privilege),
      )
      for (const user of ['name', 'id']) {
        sessionFunction(
          `has_column_privilege_${user}_${object}_${column}`,
          (s, u: string | number, o: string | number, _c: unknown, privilege: string) =>
            holdsPrivilege(s, 'column', roleOf(s, u), relationSubject(s, o), privilege),
        )
      }
    }
  }
  const parameter = { owner: 10, acl: undefined, everybody: '' }
  sessionFunction('has_parameter_privilege_name', (s, _name: string, privilege: string) =>
    holdsPrivilege(s, 'parameter', s.roleOf(s.role), parameter, privilege),
  )
  sessionFunction('has_parameter_privilege_name_name', (s, u: string, _name: string, privilege: string) =>
    holdsPrivilege(s, 'parameter', roleOf(s, u), parameter, privilege),
  )
  sessionFunction('has_parameter_privilege_id_name', (s, u: number, _name: string, privilege: string) =>
    holdsPrivilege(s, 'parameter', roleOf(s, u), parameter, privilege),
  )
  const member = (s: Session, user: RoleDescriptor, group: RoleDescriptor) =>
    user.superuser || rolesOf(s, user).has(group.oid)
  for (const group of ['name', 'id']) {
    sessionFunction(`pg_has_role_${group}`, (s, g: string | number) => member(s, s.roleOf(s.role), roleOf(s, g)))
    for (const user of ['name', 'id'])
      sessionFunction(`pg_has_role_${user}_${group}`, (s, u: string | number, g: string | number) =>
        member(s, roleOf(s, u), roleOf(s, g)),
      )
  }
  sessionFunction('row_security_active', () => false)
  sessionFunction('row_security_active_name', () => false)
}
