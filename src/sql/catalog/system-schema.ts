/**
 * The registry of built-in relations: pg_catalog's and information_schema's, each with columns and a way to make rows.
 *
 * The relations register themselves (system/*.ts); this module is what names and the planner look them up by, so that
 * neither depends on how rows are made.
 */
import type { Value } from '../types/type.ts'
import type { RelationDescriptor } from './descriptors.ts'

/** Makes the rows of a virtual relation for a session: arrays of values in column order. */
export type RowSource = (session: SystemSession) => readonly (readonly Value[])[]

/** What row sources may look at; the session layer extends it (system/session.ts narrows it). */
export interface SystemSession {
  /** Rows made for this catalog version, by relation oid; cleared when the catalog changes. */
  readonly cache: Map<number, readonly (readonly Value[])[]>
}

export interface SystemRelation {
  readonly descriptor: RelationDescriptor
  /** Undefined for views, which are ordinary bound queries. */
  readonly rows: RowSource | undefined
  /** Whether rows depend on the catalog alone and may be kept until it changes. */
  readonly stable: boolean
}

const byName = new Map<string, SystemRelation>()
const byOid = new Map<number, SystemRelation>()
const lazy: (() => void)[] = []

/** Runs once before the first look-up, so that start-up does not pay for relations that nobody reads. */
export function whenFirstNeeded(register: () => void): void {
  lazy.push(register)
}

export function registerSystemRelation(relation: SystemRelation): void {
  byName.set(`${relation.descriptor.schema}.${relation.descriptor.name}`, relation)
  byOid.set(relation.descriptor.oid, relation)
}

function load(): void {
  while (lazy.length > 0) lazy.shift()!()
}

export function systemRelationNamed(schema: number, name: string): RelationDescriptor | undefined {
  load()
  return byName.get(`${schema}.${name}`)?.descriptor
}

export function systemRelation(oid: number): SystemRelation | undefined {
  load()
  return byOid.get(oid)
}

export function systemRelations(): Iterable<SystemRelation> {
  load()
  return byOid.values()
}

export function systemSchemaNamed(name: string): number | undefined {
  if (name === 'pg_catalog') return 11
  if (name === 'information_schema') return 13207
  return name === 'pg_toast' ? 99 : undefined
}
