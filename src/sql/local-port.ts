/**
 * What SQL asks of the event databases of its node, for tables WITH (replication = 'local'); absent where there are none.
 *
 * Not here: how tables become events (local/), who keeps the stores (node/event-databases.ts).
 */
import type { EventStore } from '../model/events/index.ts'
import type { Views } from '../model/events/views/index.ts'

export interface LocalStore {
  readonly store: EventStore
  readonly views: Views
  /** Of a database with a schema, as it is now: raises event_schema_violation. */
  check?(value: unknown): void
}

export interface SqlEvents {
  /** Raises invalid_name or reserved_name. */
  checkName(name: string): void
  /** The event database of that name, made when it is not there; the same one for as long as the node runs. */
  open(name: string): Promise<LocalStore>
}
