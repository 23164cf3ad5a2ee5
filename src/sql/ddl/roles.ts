/** Roles, membership, grants, per-role settings. Only superusers connect by default, so privileges are recorded, not enforced per table. */
import { DbError } from '../../base/index.ts'
import { lookUpRelation } from '../bind/from.ts'
import type { RoleDescriptor } from '../catalog/descriptors.ts'
import { saved } from './constraints.ts'
import { type Command, type CommandTable, contextOf, type Session } from './context.ts'
import { makeVerifier } from './scram-verifier.ts'

export const roleCommands: CommandTable = {
  CreateRoleStmt: { transactional: 'inside', writes: true, run: create },
  AlterRoleStmt: { transactional: 'inside', writes: true, run: alter },
  DropRoleStmt: { transactional: 'inside', writes: true, run: drop },
  AlterRoleSetStmt: { transactional: 'inside', writes: true, run: setForRole },
  GrantRoleStmt: { transactional: 'inside', writes: true, run: grantRole },
  GrantStmt: { transactional: 'inside', writes: true, run: grant },
}

function requireAdmin(session: Session): void {
  const role = session.roleOf(session.role)
  if (!role.superuser && !role.createRole)
    throw new DbError('insufficient_privilege', 'permission denied to create role')
}

function roleOptions(session: Session, before: RoleDescriptor, options: readonly any[]): RoleDescriptor {
  let role = before
  for (const o of options) {
    const { defname, arg } = o.DefElem
    const on = arg?.Boolean === undefined ? true : arg.Boolean.boolval === true
    switch (defname) {
      case 'superuser':
        role = { ...role, superuser: on }
        break
      case 'inherit':
        role = { ...role, inherit: on }
        break
      case 'createrole':
        role = { ...role, createRole: on }
        break
      case 'createdb':
        role = { ...role, createDatabase: on }
        break
      case 'canlogin':
        role = { ...role, login: on }
        break
      case 'isreplication':
        role = { ...role, replication: on }
        break
      case 'bypassrls':
        role = { ...role, bypassRls: on }
        break
      case 'connectionlimit':
        role = { ...role, connectionLimit: arg.Integer.ival ?? 0 }
        break
      case 'password':
        role = {
          ...role,
          password: arg === undefined ? undefined : makeVerifier(arg.String.sval, session.database.io.random),
        }
        break
      case 'validUntil':
        role = { ...role, validUntil: arg.String.sval }
        break
      case 'rolemembers':
      case 'adminmembers':
      case 'addroleto':
      case 'sysid':
        break
      default:
        throw new DbError('feature_not_supported', `role option "${defname}" is not supported`)
    }
  }
  return role
}

function* create(session: Session, node: any): Command {
  requireAdmin(session)
  if (session.catalog.roleNamed(node.role) !== undefined)
    throw new DbError('duplicate_object', `role "${node.role}" already exists`)
  const oid = session.newOid()
  const fresh: RoleDescriptor = {
    kind: 'role',
    oid,
    name: node.role,
    owner: oid,
    superuser: false,
    inherit: true,
    createRole: false,
    createDatabase: false,
    login: node.stmt_type === 'ROLESTMT_USER',
    replication: false,
    bypassRls: false,
    connectionLimit: -1,
    password: undefined,
    validUntil: undefined,
    memberOf: [],
  }
  const options: any[] = node.options ?? []
  session.change('role', oid, roleOptions(session, fresh, options))
  const into = options.find((o) => o.DefElem.defname === 'addroleto')
  for (const r of (into?.DefElem.arg.List.items ?? []) as any[])
    addMember(session, session.catalog.role(oid)!, named(session, r.RoleSpec.rolename))
  return { tag: 'CREATE ROLE' }
}

function named(session: Session, name: string): RoleDescriptor {
  const role = session.catalog.roleNamed(name)
  if (role === undefined) throw new DbError('undefined_object', `role "${name}" does not exist`)
  return role
}

function roleOf(session: Session, spec: any): RoleDescriptor {
  if (spec.roletype === 'ROLESPEC_CURRENT_USER' || spec.roletype === 'ROLESPEC_CURRENT_ROLE')
    return session.roleOf(session.role)
  if (spec.roletype === 'ROLESPEC_SESSION_USER') return session.roleOf(session.sessionRole)
  return named(session, spec.rolename)
}

function addMember(session: Session, member: RoleDescriptor, of: RoleDescriptor): void {
  if (!member.memberOf.includes(of.oid))
    session.change('role', member.oid, { ...member, memberOf: [...member.memberOf, of.oid] })
}

function* alter(session: Session, node: any): Command {
  const role = roleOf(session, node.role)
  if (role.oid !== session.role) requireAdmin(session)
  session.change('role', role.oid, roleOptions(session, role, node.options ?? []))
  return { tag: 'ALTER ROLE' }
}

function* drop(session: Session, node: any): Command {
  requireAdmin(session)
  for (const r of node.roles as any[]) {
    const role = session.catalog.roleNamed(r.RoleSpec.rolename)
    if (role === undefined) {
      if (!node.missing_ok) throw new DbError('undefined_object', `role "${r.RoleSpec.rolename}" does not exist`)
      session.notice(`role "${r.RoleSpec.rolename}" does not exist, skipping`)
      continue
    }
    if (role.oid === session.role) throw new DbError('object_in_use', 'current user cannot be dropped')
    const owned = [...session.catalog.relations()].find((x) => x.owner === role.oid)
    if (owned !== undefined)
      throw new DbError(
        'dependent_objects_still_exist',
        `role "${role.name}" cannot be dropped because some objects depend on it`,
        { detail: `owner of table ${owned.name}` },
      )
    session.change('role', role.oid, undefined)
  }
  return { tag: 'DROP ROLE' }
}

function* setForRole(session: Session, node: any): Command {
  const role = node.role === undefined ? undefined : roleOf(session, node.role)
  const oid = role?.oid ?? 0
  const { name, args, kind } = node.setstmt
  const before = (session.catalog.setting(oid)?.values ?? []).filter((v) => !v.startsWith(`${name}=`))
  const value = ((args ?? []) as any[]).map((a) => a.A_Const?.sval?.sval ?? a.A_Const?.ival?.ival ?? '').join(', ')
  const values =
    kind === 'VAR_RESET_ALL'
      ? []
      : kind === 'VAR_RESET' || kind === 'VAR_SET_DEFAULT'
        ? before
        : [...before, `${name}=${value}`]
  session.change('setting', oid, values.length === 0 ? undefined : { kind: 'setting', oid, values })
  return { tag: 'ALTER ROLE' }
}

function* grantRole(session: Session, node: any): Command {
  for (const g of node.granted_roles as any[]) {
    const group = named(session, g.AccessPriv.priv_name)
    for (const r of node.grantee_roles as any[]) {
      const member = roleOf(session, r.RoleSpec)
      if (node.is_grant) addMember(session, session.catalog.role(member.oid)!, group)
      else session.change('role', member.oid, { ...member, memberOf: member.memberOf.filter((o) => o !== group.oid) })
    }
  }
  return { tag: node.is_grant ? 'GRANT ROLE' : 'REVOKE ROLE' }
}

const letters: Record<string, string> = {
  insert: 'a',
  select: 'r',
  update: 'w',
  delete: 'd',
  truncate: 'D',
  references: 'x',
  trigger: 't',
  execute: 'X',
  usage: 'U',
  create: 'C',
  connect: 'c',
  temporary: 'T',
  temp: 'T',
}
const allOf: Record<string, string> = { OBJECT_TABLE: 'arwdDxt', OBJECT_SEQUENCE: 'rwU', OBJECT_SCHEMA: 'UC' }

/** Access lists as PostgreSQL writes them: grantee=letters/grantor. */
function* grant(session: Session, node: any): Command {
  const tag = node.is_grant ? 'GRANT' : 'REVOKE'
  const privileges =
    node.privileges === undefined
      ? (allOf[node.objtype] ?? '')
      : (node.privileges as any[]).map((p) => letters[p.AccessPriv.priv_name] ?? '').join('')
  const grantees = (node.grantees as any[]).map((g) =>
    g.RoleSpec.roletype === 'ROLESPEC_PUBLIC' ? '' : roleOf(session, g.RoleSpec).name,
  )
  if (node.targtype === 'ACL_TARGET_DEFAULTS') return { tag: 'ALTER DEFAULT PRIVILEGES' }
  if (node.objtype === 'OBJECT_SCHEMA' && node.targtype === 'ACL_TARGET_OBJECT') {
    for (const o of node.objects as any[]) {
      const schema = session.catalog.schemaNamed(o.String.sval)
      if (schema === undefined) throw new DbError('invalid_schema_name', `schema "${o.String.sval}" does not exist`)
      session.change('schema', schema.oid, {
        ...schema,
        acl: changed(session, schema.acl, schema.owner, 'UC', grantees, privileges, node.is_grant),
      })
    }
    return { tag }
  }
  if (node.objtype !== 'OBJECT_TABLE' && node.objtype !== 'OBJECT_SEQUENCE') return { tag }
  const relations =
    node.targtype === 'ACL_TARGET_ALL_IN_SCHEMA'
      ? (node.objects as any[]).flatMap((o) => {
          const schema = session.catalog.schemaNamed(o.String.sval)?.oid
          const kinds = node.objtype === 'OBJECT_SEQUENCE' ? 'S' : 'rvm'
          return [...session.catalog.relations()].filter((r) => r.schema === schema && kinds.includes(r.relkind))
        })
      : (node.objects as any[]).map((o) => lookUpRelation(contextOf(session), o.RangeVar))
  for (const r of relations) {
    const own = r.relkind === 'S' ? 'rwU' : 'arwdDxt'
    saved(session, { ...r, acl: changed(session, r.acl, r.owner, own, grantees, privileges, node.is_grant) })
  }
  return { tag }
}

function changed(
  session: Session,
  acl: readonly string[] | undefined,
  owner: number,
  ownerRights: string,
  grantees: readonly string[],
  privileges: string,
  add: boolean,
): string[] {
  const grantor = session.roleOf(owner).name
  const entries = new Map(
    (acl ?? [`${grantor}=${ownerRights}/${grantor}`]).map((e) => [
      e.slice(0, e.indexOf('=')),
      e.slice(e.indexOf('=') + 1, e.indexOf('/')),
    ]),
  )
  for (const grantee of grantees) {
    const before = entries.get(grantee) ?? ''
    const set = new Set(before)
    for (const p of privileges) {
      if (add) set.add(p)
      else set.delete(p)
    }
    const order = 'arwdDxtXUCcT'
    const rights = [...order].filter((l) => set.has(l)).join('')
    if (rights === '') entries.delete(grantee)
    else entries.set(grantee, rights)
  }
  return [...entries].map(([grantee, rights]) => `${grantee}=${rights}/${grantor}`)
}
