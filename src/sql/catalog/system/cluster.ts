/**
 * What databases share and what names belong to: roles, databases, schemas, settings of roles, tablespaces, extensions,
 * comments.
 *
 * Not here: sessions and their activity (activity.ts).
 */

import type { Session } from '../../session/session.ts'
import { arrayOf } from '../../types/array.ts'
import { builtinType } from '../../types/registry.ts'
import type { RoleDescriptor } from '../descriptors.ts'
import { factsOf } from './facts.ts'
import { aclArray, type Cells, define, textArray } from './relation.ts'

/** Roles that PostgreSQL has from the start; nobody logs in as one, and here they grant nothing. */
export const predefinedRoles: ReadonlyMap<number, string> = new Map([
  [6171, 'pg_database_owner'],
  [6181, 'pg_read_all_data'],
  [6182, 'pg_write_all_data'],
  [3373, 'pg_monitor'],
  [3374, 'pg_read_all_settings'],
  [3375, 'pg_read_all_stats'],
  [3377, 'pg_stat_scan_tables'],
  [4569, 'pg_read_server_files'],
  [4570, 'pg_write_server_files'],
  [4571, 'pg_execute_server_program'],
  [4200, 'pg_signal_backend'],
  [4544, 'pg_checkpoint'],
])

/** The classes whose comments go to pg_shdescription: databases, tablespaces, roles. */
const sharedClasses = new Set([1262, 1213, 1260])

function validUntil(s: Session, r: RoleDescriptor): unknown {
  return r.validUntil === undefined ? null : builtinType(1184).parse(r.validUntil, -1, s.types)
}

function* authid(s: Session): Iterable<Cells> {
  for (const r of s.catalog.roles()) {
    yield {
      oid: r.oid,
      rolname: r.name,
      rolsuper: r.superuser,
      rolinherit: r.inherit,
      rolcreaterole: r.createRole,
      rolcreatedb: r.createDatabase,
      rolcanlogin: r.login,
      rolreplication: r.replication,
      rolbypassrls: r.bypassRls,
      rolconnlimit: r.connectionLimit,
      rolpassword: r.password ?? null,
      rolvaliduntil: validUntil(s, r),
    }
  }
}

const powerless: Cells = {
  rolsuper: false,
  rolinherit: true,
  rolcreaterole: false,
  rolcreatedb: false,
  rolcanlogin: false,
  rolreplication: false,
  rolbypassrls: false,
  rolconnlimit: -1,
  rolpassword: null,
  rolvaliduntil: null,
}

function* authidWithPredefined(s: Session): Iterable<Cells> {
  yield* authid(s)
  for (const [oid, rolname] of predefinedRoles) yield { ...powerless, oid, rolname }
}

function* roles(s: Session): Iterable<Cells> {
  for (const row of authidWithPredefined(s))
    yield { ...row, rolpassword: '********', rolconfig: textArray(s.catalog.setting(row.oid)?.values) }
}

function* users(s: Session): Iterable<Cells> {
  for (const r of roles(s)) {
    if (!r.rolcanlogin) continue
    yield {
      usename: r.rolname,
      usesysid: r.oid,
      usecreatedb: r.rolcreatedb,
      usesuper: r.rolsuper,
      userepl: r.rolreplication,
      usebypassrls: r.rolbypassrls,
      passwd: '********',
      valuntil: r.rolvaliduntil,
      useconfig: r.rolconfig,
    }
  }
}

const databaseOwner = 'pg_database_owner'

function* namespaces(s: Session): Iterable<Cells> {
  const owner = s.roleOf(10).name
  const everybody = aclArray([`${owner}=UC/${owner}`, `=U/${owner}`])
  yield { oid: 99, nspname: 'pg_toast', nspowner: 10 }
  yield { oid: 11, nspname: 'pg_catalog', nspowner: 10, nspacl: everybody }
  for (const n of s.catalog.schemas()) {
    // The schema public belongs to whoever owns the database.
    const isPublic = n.oid === 2200 && n.owner === 10
    const granted = n.acl?.map((e) => (isPublic && e.endsWith(`/${owner}`) ? e.replaceAll(owner, databaseOwner) : e))
    yield {
      oid: n.oid,
      nspname: n.name,
      nspowner: isPublic ? 6171 : n.owner,
      nspacl: aclArray(
        granted ?? (n.oid === 2200 ? [`${databaseOwner}=UC/${databaseOwner}`, `=U/${databaseOwner}`] : undefined),
      ),
    }
  }
  yield { oid: 13207, nspname: 'information_schema', nspowner: 10, nspacl: everybody }
}

/** Comments on objects that are there from the start. */
const builtinComments: readonly { oid: number; classOid: number; sub: number; text: string }[] = [
  { oid: 2200, classOid: 2615, sub: 0, text: 'standard public schema' },
  { oid: 13500, classOid: 3079, sub: 0, text: 'PL/pgSQL procedural language' },
  { oid: 13563, classOid: 2612, sub: 0, text: 'PL/pgSQL procedural language' },
]

/** The comment on an object, given by a user or from the start. */
export function commentOn(
  s: Session,
  oid: number,
  sub: number,
): { readonly classOid: number; readonly text: string } | undefined {
  return s.catalog.comment(oid, sub) ?? (sub === 0 ? builtinComments.find((c) => c.oid === oid) : undefined)
}

function* descriptions(s: Session, shared: boolean): Iterable<Cells> {
  for (const c of shared ? [] : builtinComments) {
    if (s.catalog.comment(c.oid) === undefined)
      yield { objoid: c.oid, classoid: c.classOid, objsubid: 0, description: c.text }
  }
  for (const c of s.catalog.comments()) {
    if (sharedClasses.has(c.classOid) !== shared) continue
    yield { objoid: c.oid, classoid: c.classOid, objsubid: c.sub, description: c.text }
  }
}

export function defineCluster(): void {
  define('pg_authid', authidWithPredefined)
  define('pg_roles', roles)
  define('pg_user', users)
  define('pg_shadow', function* (s) {
    for (const u of users(s)) yield { ...u, passwd: s.catalog.role(u.usesysid)?.password ?? null }
  })
  define('pg_group', function* (s) {
    for (const r of s.catalog.roles()) {
      if (r.login) continue
      const members = [...s.catalog.roles()].filter((m) => m.memberOf.includes(r.oid)).map((m) => m.oid)
      yield { groname: r.name, grosysid: r.oid, grolist: arrayOf(26, members) }
    }
  })
  define('pg_auth_members', function* (s) {
    for (const r of s.catalog.roles())
      for (const group of r.memberOf) yield { roleid: group, member: r.oid, grantor: 10 }
  })
  define('pg_namespace', namespaces)
  define('pg_database', function* (s) {
    for (const d of s.catalog.databases()) {
      yield {
        oid: d.oid,
        datname: d.name,
        datdba: d.owner,
        encoding: 6,
        datlocprovider: 'c',
        datistemplate: d.isTemplate,
        datallowconn: d.allowConnections,
        datconnlimit: -1,
        datfrozenxid: 3,
        datminmxid: 1,
        dattablespace: 1663,
        datcollate: 'C',
        datctype: 'C',
      }
    }
  })
  define('pg_tablespace', () => [
    { oid: 1663, spcname: 'pg_default', spcowner: 10 },
    { oid: 1664, spcname: 'pg_global', spcowner: 10 },
  ])
  define('pg_db_role_setting', function* (s) {
    for (const d of s.catalog.settings()) yield { setdatabase: 0, setrole: d.oid, setconfig: textArray(d.values) }
  })
  define('pg_extension', function* (s) {
    yield { oid: 13500, extname: 'plpgsql', extowner: 10, extnamespace: 11, extversion: '1.0' }
    for (const e of s.catalog.extensions())
      yield {
        oid: e.oid,
        extname: e.name,
        extowner: e.owner,
        extnamespace: e.schema,
        extrelocatable: true,
        extversion: e.version,
      }
  })
  // What was granted on the catalogs from the start, so that a dump leaves it out.
  define('pg_init_privs', function* (s) {
    const owner = s.roleOf(10).name
    for (const f of factsOf('pg_class'))
      yield {
        objoid: Number(f.oid),
        classoid: 1259,
        privtype: 'i',
        initprivs: arrayOf(1033, [`${owner}=arwdDxt/${owner}`, `=r/${owner}`]),
      }
    for (const oid of [11, 13207])
      yield {
        objoid: oid,
        classoid: 2615,
        privtype: 'i',
        initprivs: arrayOf(1033, [`${owner}=UC/${owner}`, `=U/${owner}`]),
      }
    yield {
      objoid: 2200,
      classoid: 2615,
      privtype: 'i',
      initprivs: arrayOf(1033, [`${databaseOwner}=UC/${databaseOwner}`, `=U/${databaseOwner}`]),
    }
  })
  define('pg_description', (s) => descriptions(s, false))
  define('pg_shdescription', (s) => descriptions(s, true))
}
