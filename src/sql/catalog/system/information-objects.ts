/**
 * information_schema's relations about what is not a table: routines and their parameters, domains, types, triggers,
 * roles, grants, character sets and collations.
 *
 * Not here: tables, columns and constraints (information-schema.ts).
 */
import { deparseAlone } from '../../deparse/definitions.ts'
import type { FunctionRow } from '../../functions/function.ts'
import { allFunctions } from '../../functions/registry.ts'
import type { Session } from '../../session/session.ts'
import type { FunctionDescriptor, RelationDescriptor } from '../descriptors.ts'
import { schemaName } from '../names.ts'
import { predefinedRoles } from './cluster.ts'
import { factsOf } from './facts.ts'
import { named, visibleRelations, yes } from './information-schema.ts'
import { type Cells, define } from './relation.ts'
import { collationCells, dataType, typedCells, typeSchema } from './standard-types.ts'

// ---- routines

interface Routine {
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly owner: number
  readonly row: FunctionRow | undefined
  readonly user: FunctionDescriptor | undefined
}

function* routines(s: Session): Iterable<Routine> {
  for (const row of allFunctions())
    yield { oid: row.oid, schema: 'pg_catalog', name: row.name, owner: 10, row, user: undefined }
  for (const f of s.catalog.functions())
    yield { oid: f.oid, schema: schemaName(s.names, f.schema), name: f.name, owner: f.owner, row: undefined, user: f }
}

function specific(s: Session, r: Routine): Cells {
  return { specific_catalog: s.databaseName, specific_schema: r.schema, specific_name: `${r.name}_${r.oid}` }
}

const languages: Record<string, string> = { 12: 'INTERNAL', 13: 'C', 14: 'SQL' }

function routineRow(s: Session, r: Routine, facts: Readonly<Record<string, string | null>> | undefined): Cells {
  const kind = r.user?.prokind ?? r.row!.kind
  const result = r.user?.result ?? r.row!.result
  const language = r.user === undefined ? languages[facts?.prolang ?? '12'] : r.user.language.toUpperCase()
  const isSql = language === 'SQL'
  const cells = kind === 'p' ? {} : resultCells(s, result)
  return {
    ...specific(s, r),
    routine_catalog: s.databaseName,
    routine_schema: r.schema,
    routine_name: r.name,
    routine_type: kind === 'f' ? 'FUNCTION' : kind === 'p' ? 'PROCEDURE' : null,
    ...cells,
    type_udt_catalog: kind === 'p' ? null : s.databaseName,
    type_udt_schema: kind === 'p' ? null : typeSchema(s, result),
    type_udt_name: kind === 'p' ? null : s.types.types.type(result).name,
    dtd_identifier: kind === 'p' ? null : '0',
    routine_body: isSql ? 'SQL' : 'EXTERNAL',
    routine_definition: r.user?.body ?? (isSql ? facts?.prosrc : facts?.prosrc) ?? null,
    external_language: language,
    parameter_style: 'GENERAL',
    is_deterministic: yes((r.user?.volatility ?? r.row!.volatility) === 'i'),
    sql_data_access: 'MODIFIES',
    is_null_call: kind === 'p' ? null : yes(r.user?.strict ?? r.row!.strict),
    schema_level_routine: 'YES',
    max_dynamic_result_sets: 0,
    security_type: r.user?.securityDefiner === true ? 'DEFINER' : 'INVOKER',
    as_locator: 'NO',
    is_udt_dependent: 'NO',
  }
}

/** Of a result or a parameter only the name of the type is said, no lengths. */
function resultCells(s: Session, type: number): Cells {
  return { data_type: dataType(s, type) }
}

const modes: Record<string, string> = { i: 'IN', o: 'OUT', b: 'INOUT', v: 'IN', t: 'OUT' }

function* parameters(s: Session): Iterable<Cells> {
  for (const r of routines(s)) {
    const own = specific(s, r)
    const args = r.user?.args ?? [
      ...r.row!.args.map((type, i) => ({ type, mode: 'i', name: r.row!.argNames?.[i] ?? '', default: undefined })),
      ...(r.row!.outTypes ?? []).map((type, i) => ({
        type,
        mode: 'o',
        name: r.row!.outNames?.[i] ?? '',
        default: undefined,
      })),
    ]
    for (const [i, a] of args.entries()) {
      const type = s.types.types.type(a.type)
      yield {
        ...own,
        ordinal_position: i + 1,
        parameter_mode: modes[a.mode],
        is_result: 'NO',
        as_locator: 'NO',
        parameter_name: a.name === '' ? null : a.name,
        ...resultCells(s, a.type),
        udt_catalog: s.databaseName,
        udt_schema: typeSchema(s, a.type),
        udt_name: type.name,
        dtd_identifier: String(i + 1),
        parameter_default: a.default === undefined ? null : deparseAlone(s, a.default),
      }
    }
  }
}

// ---- domains and types

function* domains(s: Session): Iterable<Cells> {
  for (const t of s.catalog.types()) {
    if (t.form !== 'domain') continue
    yield {
      ...typedCells(s, t.oid, -1),
      domain_catalog: s.databaseName,
      domain_schema: schemaName(s.names, t.schema),
      domain_name: t.name,
      domain_default: t.default === undefined ? null : deparseAlone(s, t.default),
      dtd_identifier: '1',
    }
  }
}

function* elementTypes(s: Session): Iterable<Cells> {
  for (const r of visibleRelations(s)) {
    for (const c of r.columns) {
      const type = c.dropped ? undefined : s.types.types.type(c.type)
      if (type === undefined || type.category !== 'A' || type.length !== -1 || type.element === 0) continue
      const element = s.types.types.type(type.element)
      yield {
        object_catalog: s.databaseName,
        object_schema: schemaName(s.names, r.schema),
        object_name: r.name,
        object_type: r.relkind === 'v' ? 'VIEW' : 'TABLE',
        collection_type_identifier: String(c.number),
        data_type: dataType(s, type.element),
        ...collationCells(s, type.element === 19 ? 950 : 0),
        udt_catalog: s.databaseName,
        udt_schema: typeSchema(s, type.element),
        udt_name: element.name,
        dtd_identifier: `a${c.number}`,
      }
    }
  }
}

function defineTypesOfUsers(): void {
  define('information_schema.domains', domains)
  define('information_schema.domain_constraints', function* (s) {
    for (const t of s.catalog.types()) {
      for (const c of t.checks ?? []) {
        const schema = schemaName(s.names, t.schema)
        yield {
          constraint_catalog: s.databaseName,
          constraint_schema: schema,
          constraint_name: c.name,
          domain_catalog: s.databaseName,
          domain_schema: schema,
          domain_name: t.name,
          is_deferrable: 'NO',
          initially_deferred: 'NO',
        }
      }
    }
  })
  define('information_schema.domain_udt_usage', function* (s) {
    for (const d of domains(s)) {
      yield {
        udt_catalog: d.udt_catalog,
        udt_schema: d.udt_schema,
        udt_name: d.udt_name,
        domain_catalog: d.domain_catalog,
        domain_schema: d.domain_schema,
        domain_name: d.domain_name,
      }
    }
  })
  define('information_schema.element_types', elementTypes)
  define('information_schema.user_defined_types', function* (s) {
    for (const r of s.catalog.relations()) {
      if (r.relkind === 'c')
        yield { ...named(s, r, 'user_defined_type'), user_defined_type_category: 'STRUCTURED', is_instantiable: 'YES' }
    }
  })
  define('information_schema.attributes', function* (s) {
    for (const r of s.catalog.relations()) {
      if (r.relkind !== 'c') continue
      for (const c of r.columns) {
        const t = typedCells(s, c.type, c.typmod)
        yield {
          ...t,
          udt_catalog: s.databaseName,
          udt_schema: schemaName(s.names, r.schema),
          udt_name: r.name,
          attribute_name: c.name,
          ordinal_position: c.number,
          is_nullable: yes(!c.notNull),
          attribute_udt_catalog: t.udt_catalog,
          attribute_udt_schema: t.udt_schema,
          attribute_udt_name: t.udt_name,
          dtd_identifier: String(c.number),
          is_derived_reference_attribute: 'NO',
        }
      }
    }
  })
}

// ---- triggers

function* triggers(s: Session): Iterable<Cells> {
  for (const t of s.catalog.triggers()) {
    const table = s.catalog.relation(t.table)
    if (table === undefined) continue
    const schema = schemaName(s.names, table.schema)
    const place = { trigger_catalog: s.databaseName, trigger_schema: schema, trigger_name: t.name }
    const target = { event_object_catalog: s.databaseName, event_object_schema: schema, event_object_table: table.name }
    for (const event of t.events) {
      if (event === 'truncate') continue
      yield {
        ...place,
        ...target,
        event_manipulation: event.toUpperCase(),
        action_order: 1,
        action_condition: null,
        action_statement: `EXECUTE FUNCTION ${s.types.names.display('regproc', t.func)}(${t.args.map((a) => `'${a.replaceAll("'", "''")}'`).join(', ')})`,
        action_orientation: t.perRow ? 'ROW' : 'STATEMENT',
        action_timing: { before: 'BEFORE', after: 'AFTER', instead: 'INSTEAD OF' }[t.timing],
      }
    }
  }
}

// ---- roles and grants

const privilegeNames: Record<string, string> = {
  a: 'INSERT',
  r: 'SELECT',
  w: 'UPDATE',
  d: 'DELETE',
  D: 'TRUNCATE',
  x: 'REFERENCES',
  t: 'TRIGGER',
  U: 'USAGE',
  X: 'EXECUTE',
}

interface Grant {
  readonly grantor: string
  readonly grantee: string
  readonly letter: string
  readonly grantable: boolean
}

/** What an access control list says; without one, what its owner (and everybody) has. */
function grants(
  s: Session,
  owner: number,
  acl: readonly string[] | undefined,
  ownerRights: string,
  everybody = '',
): Grant[] {
  const name = s.catalog.role(owner)?.name ?? ''
  const list = acl ?? [`${name}=${ownerRights}/${name}`, ...(everybody === '' ? [] : [`=${everybody}/${name}`])]
  return list.flatMap((entry) => {
    const [, grantee, rights, grantor] = /^(.*)=([a-zA-Z*]*)\/(.*)$/.exec(entry) ?? ['', '', '', '']
    return [...rights.matchAll(/([a-zA-Z])(\*?)/g)].map(([, letter, star]) => ({
      grantor,
      grantee: grantee === '' ? 'PUBLIC' : grantee,
      letter,
      grantable: star === '*' || grantee === name,
    }))
  })
}

function grantCells(g: Grant): Cells {
  return {
    grantor: g.grantor,
    grantee: g.grantee,
    privilege_type: privilegeNames[g.letter],
    is_grantable: yes(g.grantable),
  }
}

const tableRights = 'arwdDxt'

function relationGrants(s: Session, r: RelationDescriptor): Grant[] {
  return grants(s, r.owner, r.acl, tableRights, r.oid < 16384 ? 'r' : '').filter((g) => tableRights.includes(g.letter))
}

function* tablePrivileges(s: Session): Iterable<Cells> {
  for (const r of visibleRelations(s)) {
    for (const g of relationGrants(s, r))
      yield { ...grantCells(g), ...named(s, r), with_hierarchy: yes(g.letter === 'r') }
  }
}

function* columnPrivileges(s: Session): Iterable<Cells> {
  for (const r of visibleRelations(s)) {
    const held = relationGrants(s, r).filter((g) => 'arwx'.includes(g.letter))
    for (const c of r.columns)
      if (!c.dropped) for (const g of held) yield { ...grantCells(g), ...named(s, r), column_name: c.name }
  }
}

function* routinePrivileges(s: Session): Iterable<Cells> {
  for (const r of routines(s)) {
    const place = { ...specific(s, r), routine_catalog: s.databaseName, routine_schema: r.schema, routine_name: r.name }
    for (const g of grants(s, r.owner, undefined, 'X', 'X')) yield { ...grantCells(g), ...place }
  }
}

function* udtPrivileges(s: Session): Iterable<Cells> {
  for (const t of s.catalog.types()) {
    const composite = t.form === 'composite' && s.catalog.relation(t.relation ?? 0)?.relkind === 'c'
    if (!composite) continue
    const place = { udt_catalog: s.databaseName, udt_schema: schemaName(s.names, t.schema), udt_name: t.name }
    for (const g of grants(s, t.owner, undefined, 'U', 'U'))
      yield { ...grantCells(g), privilege_type: 'TYPE USAGE', ...place }
  }
}

function* usagePrivileges(s: Session): Iterable<Cells> {
  const place = (schema: number, name: string, type: string) => ({
    object_catalog: s.databaseName,
    object_schema: schemaName(s.names, schema),
    object_name: name,
    object_type: type,
  })
  for (const f of factsOf('pg_collation')) {
    yield {
      grantor: s.catalog.role(10)?.name ?? '',
      grantee: 'PUBLIC',
      ...place(11, f.collname!, 'COLLATION'),
      privilege_type: 'USAGE',
      is_grantable: 'NO',
    }
  }
  for (const t of s.catalog.types()) {
    if (t.form !== 'domain') continue
    for (const g of grants(s, t.owner, undefined, 'U', 'U'))
      yield { ...grantCells(g), ...place(t.schema, t.name, 'DOMAIN') }
  }
  for (const r of visibleRelations(s, 'S')) {
    for (const g of grants(s, r.owner, r.acl, 'rwU'))
      if (g.letter === 'U') yield { ...grantCells(g), ...place(r.schema, r.name, 'SEQUENCE') }
  }
}

/** A relation of grants, and the one of those that a role of the session gave or was given. */
function defineGrants(name: string, roleName: string, rows: (s: Session) => Iterable<Cells>): void {
  define(`information_schema.${name}`, rows)
  define(`information_schema.${roleName}`, function* (s) {
    const enabled = new Set(enabledRoles(s))
    for (const row of rows(s)) if (enabled.has(row.grantor) || enabled.has(row.grantee)) yield row
  })
}

/** Roles that the current one may act as. */
function enabledRoles(s: Session): string[] {
  const current = s.roleOf(s.role)
  if (current.superuser) return [...[...s.catalog.roles()].map((r) => r.name), ...predefinedRoles.values()]
  const out = new Set([current.oid])
  for (const oid of out) for (const group of s.catalog.role(oid)?.memberOf ?? []) out.add(group)
  return [...out].map((oid) => s.catalog.role(oid)?.name ?? '')
}

function defineRoles(): void {
  define('information_schema.enabled_roles', (s) => enabledRoles(s).map((role_name) => ({ role_name })))
  const memberships = function* (s: Session, adminOnly: boolean): Iterable<Cells> {
    const enabled = new Set(enabledRoles(s))
    for (const r of s.catalog.roles()) {
      if (!enabled.has(r.name) || adminOnly) continue
      for (const group of r.memberOf)
        yield { grantee: r.name, role_name: s.catalog.role(group)?.name ?? null, is_grantable: 'NO' }
    }
  }
  define('information_schema.applicable_roles', (s) => memberships(s, false))
  define('information_schema.administrable_role_authorizations', (s) => memberships(s, true))
}

export function defineInformationObjects(): void {
  define('information_schema.routines', function* (s) {
    const facts = new Map(factsOf('pg_proc').map((f) => [f.oid, f]))
    for (const r of routines(s)) yield routineRow(s, r, facts.get(String(r.oid)))
  })
  define('information_schema.parameters', parameters)
  define('information_schema.triggers', triggers)
  define('information_schema.triggered_update_columns', function* (s) {
    for (const t of s.catalog.triggers()) {
      const table = s.catalog.relation(t.table)
      if (table === undefined) continue
      const schema = schemaName(s.names, table.schema)
      for (const n of t.columns) {
        yield {
          trigger_catalog: s.databaseName,
          trigger_schema: schema,
          trigger_name: t.name,
          event_object_catalog: s.databaseName,
          event_object_schema: schema,
          event_object_table: table.name,
          event_object_column: table.columns[n - 1].name,
        }
      }
    }
  })
  define('information_schema.character_sets', (s) => [
    {
      character_set_name: 'UTF8',
      character_repertoire: 'UCS',
      form_of_use: 'UTF8',
      default_collate_catalog: s.databaseName,
      default_collate_schema: 'pg_catalog',
      default_collate_name: 'C',
    },
  ])
  const collations = (s: Session) =>
    factsOf('pg_collation').map((f) => ({
      collation_catalog: s.databaseName,
      collation_schema: 'pg_catalog',
      collation_name: f.collname,
    }))
  define('information_schema.collations', (s) => collations(s).map((c) => ({ ...c, pad_attribute: 'NO PAD' })))
  define('information_schema.collation_character_set_applicability', (s) =>
    collations(s).map((c) => ({ ...c, character_set_name: 'UTF8' })),
  )
  defineTypesOfUsers()
  defineRoles()
  defineGrants('table_privileges', 'role_table_grants', tablePrivileges)
  defineGrants('column_privileges', 'role_column_grants', columnPrivileges)
  defineGrants('routine_privileges', 'role_routine_grants', routinePrivileges)
  defineGrants('udt_privileges', 'role_udt_grants', udtPrivileges)
  defineGrants('usage_privileges', 'role_usage_grants', usagePrivileges)
}
