/**
 * Names to objects: the search path and the built-in schemas, for one catalog snapshot and one session's settings.
 *
 * Built-in objects (pg_catalog, information_schema) are facts in data files or virtual relations; the rest are
 * descriptors. pg_catalog is searched first unless the path names it.
 *
 * Not here: type names in syntax (bind/type-name.ts), function choice (bind/calls.ts).
 */
import { DbError } from '../../base/index.ts'
import type { Catalog } from './catalog.ts'
import type { RelationDescriptor, SchemaDescriptor } from './descriptors.ts'
import { systemRelationNamed, systemSchemaNamed } from './system-schema.ts'

export const pgCatalog = 11
export const pgToast = 99
export const publicSchema = 2200
/** The oid that information_schema has in the facts of catalog/data; it is not fixed in PostgreSQL. */
export const informationSchema = 13207

export interface NameScope {
  readonly catalog: Catalog
  /** Schema names as SET search_path has them, "$user" included. */
  readonly searchPath: readonly string[]
  readonly user: string
  /** The session's schema for temporary objects, 0 before the first. */
  readonly temporarySchema: number
}

/** Oids of the schemas searched, in order, with pg_catalog and the temporary schema where they belong. */
export function effectivePath(scope: NameScope): number[] {
  const out: number[] = []
  for (const name of scope.searchPath) {
    const schema = schemaNamed(scope, name === '$user' ? scope.user : name)
    if (schema !== undefined && !out.includes(schema)) out.push(schema)
  }
  if (!out.includes(pgCatalog)) out.unshift(pgCatalog)
  if (scope.temporarySchema !== 0 && !out.includes(scope.temporarySchema)) out.unshift(scope.temporarySchema)
  return out
}

export function schemaNamed(scope: NameScope, name: string): number | undefined {
  if (name === 'pg_temp') return scope.temporarySchema === 0 ? undefined : scope.temporarySchema
  return systemSchemaNamed(name) ?? scope.catalog.schemaNamed(name)?.oid
}

/** Raises invalid_schema_name. */
export function requireSchema(scope: NameScope, name: string): number {
  const oid = schemaNamed(scope, name)
  if (oid === undefined) throw new DbError('invalid_schema_name', `schema "${name}" does not exist`)
  return oid
}

/** Where a new object without a schema goes: the first schema of the path that is there. */
export function creationSchema(scope: NameScope): SchemaDescriptor {
  for (const name of scope.searchPath) {
    const schema = scope.catalog.schemaNamed(name === '$user' ? scope.user : name)
    if (schema !== undefined) return schema
  }
  throw new DbError('invalid_schema_name', 'no schema has been selected to create in')
}

export function findRelation(
  scope: NameScope,
  schema: string | undefined,
  name: string,
): RelationDescriptor | undefined {
  if (schema !== undefined) {
    const oid = schemaNamed(scope, schema)
    return oid === undefined ? undefined : relationIn(scope, oid, name)
  }
  for (const oid of effectivePath(scope)) {
    const relation = relationIn(scope, oid, name)
    if (relation !== undefined) return relation
  }
  return undefined
}

/** Raises undefined_table. */
export function requireRelation(scope: NameScope, schema: string | undefined, name: string): RelationDescriptor {
  const relation = findRelation(scope, schema, name)
  if (relation === undefined) {
    throw new DbError(
      'undefined_table',
      `relation "${schema === undefined ? name : `${schema}.${name}`}" does not exist`,
    )
  }
  return relation
}

function relationIn(scope: NameScope, schema: number, name: string): RelationDescriptor | undefined {
  if (schema === pgCatalog || schema === informationSchema) return systemRelationNamed(schema, name)
  return scope.catalog.relationNamed(schema, name)
}

/** Whether an unqualified name finds this relation. */
export function relationVisible(scope: NameScope, relation: RelationDescriptor): boolean {
  return findRelation(scope, undefined, relation.name)?.oid === relation.oid
}

export function schemaName(scope: NameScope, oid: number): string {
  if (oid === pgCatalog) return 'pg_catalog'
  if (oid === informationSchema) return 'information_schema'
  if (oid === pgToast) return 'pg_toast'
  return scope.catalog.schema(oid)?.name ?? String(oid)
}

/** The names of a search_path value. */
export function splitPath(text: string): string[] {
  const out: string[] = []
  for (const m of text.matchAll(/\s*(?:"((?:[^"]|"")*)"|([^",\s][^,]*?))\s*(?:,|$)/g)) {
    const name = m[1] !== undefined ? m[1].replaceAll('""', '"') : m[2].toLowerCase()
    if (name !== '') out.push(name)
  }
  return out
}
