/**
 * The event databases that an HTTP port shows. Whoever builds the port brings them: a node has durable ones, a test keeps
 * its own in memory.
 *
 * Not here: routes (event-routes.ts and beside), where stores keep their bytes (model/events).
 */
import { DbError } from '../../base/index.ts'
import type { SyncReport, SyncStore } from '../../model/events/index.ts'
import type { Views } from '../../model/events/views/index.ts'

export interface DatabaseSettings {
  /** JSON Schema that JSON values must satisfy. */
  readonly schema?: object
}

export interface EventDatabase {
  readonly store: SyncStore
  readonly views: Views
  readonly settings: DatabaseSettings
  /** Raises event_schema_violation for a value that the schema refuses. Absent without a schema. */
  readonly check?: (value: unknown) => void
  links(): readonly EventLink[]
  /** To be told of every view that was added by its definition, or removed. */
  viewChanged(view: string): void
}

/** A store elsewhere that ours stays in touch with. */
export interface EventLink {
  readonly peer: string
  readonly state: 'connecting' | 'syncing' | 'synced' | 'offline'
  readonly error: string | undefined
}

export interface EventDatabases {
  /** Names in code point order. */
  list(): Promise<readonly string[]>
  /**
   * Makes it, or gives one that is there the settings; durable once resolved. True when it is new.
   * Errors: invalid_schema_definition.
   */
  create(name: string, settings: DatabaseSettings): Promise<boolean>
  open(name: string): Promise<EventDatabase | undefined>
  /** Syncs once. Errors: those of `meetOnce` (wire/sync). */
  meet(store: SyncStore, peer: string, options: { token?: string; signal: AbortSignal }): Promise<SyncReport>
  /** Stays in touch from now on; durable once resolved. Errors: invalid_parameter_value. */
  join(name: string, peer: string, token: string | undefined): Promise<void>
  /** Ends that. Errors: undefined_object. */
  part(name: string, peer: string): Promise<void>
}

/** First parts of other paths of the port: `/{name}/{view}` must never be one of them. */
const reserved = new Set(['db', 'decommission', 'healthz', 'metrics', 'readyz', 'status', 'openapi', 'console', 'sql'])
const pattern = /^[a-z][a-z0-9_-]{0,62}$/

/** Raises invalid_name or reserved_name. */
export function checkName(name: string, what: 'database' | 'view' = 'database'): void {
  if (!pattern.test(name)) {
    throw new DbError('invalid_name', `"${name.slice(0, 80)}" cannot be the name of a ${what}`, {
      hint: 'Use a letter a-z, then at most 62 letters a-z, digits, hyphens or underscores.',
    })
  }
  if (what === 'database' && reserved.has(name)) {
    throw new DbError('reserved_name', `the name "${name}" is reserved`, {
      detail: `Reserved are ${[...reserved].sort().join(', ')}.`,
    })
  }
}

/** Raises invalid_catalog_name (404). */
export async function mustOpen(databases: EventDatabases, name: string): Promise<EventDatabase> {
  const found = await databases.open(name)
  if (found !== undefined) return found
  throw new DbError('invalid_catalog_name', `there is no event database "${name.slice(0, 80)}"`, {
    hint: `PUT /db/${encodeURIComponent(name.slice(0, 80))} makes it, GET /db lists those that are there.`,
  })
}
