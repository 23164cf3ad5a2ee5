/**
 * What tabs that share a store say to each other.
 *
 *   any tab ──── hello, call ────►  the one that has the store (the leader)
 *           ◄─── news, done, failed, status ───
 *
 * Not here: who says it when (shared-events.ts).
 */
import { DbError, type ErrorCode } from '../../base/index.ts'
import type {
  ChangesPage,
  ConflictsPage,
  EventStore,
  NewEvent,
  PeerStatus,
  RangePage,
  StoredEvent,
  StoreIdentity,
  SyncReport,
} from '../../model/events/index.ts'
import type { LiveStatus } from '../../wire/sync/index.ts'

/** What every tab knows of the store. */
export interface News {
  readonly identity: StoreIdentity
  readonly position: number
  readonly count: number
  readonly peers: readonly PeerStatus[]
}

/** What is asked of the tab that has the store. */
export interface Calls {
  append(events: readonly NewEvent[]): Promise<string[]>
  redact(keys: readonly string[]): Promise<void>
  get(keys: readonly string[], maxBytes?: number): Promise<(StoredEvent | undefined)[]>
  changes(after: number, limit: number): Promise<ChangesPage>
  range(options: Parameters<EventStore['range']>[0]): Promise<RangePage>
  conflicts(limit: number, after?: string): Promise<ConflictsPage>
  renewIncarnation(): Promise<void>
  meet(url: string, token: string | undefined): Promise<SyncReport>
  live(id: string, url: string, token: string | undefined): Promise<void>
  unlive(id: string): Promise<void>
}

export type Failure = { code: ErrorCode; message: string; detail?: string; hint?: string }
export type TabMessage =
  | { readonly kind: 'hello' }
  /** From the tab that has the store: when it took it over, when somebody says hello, and after each change. */
  | { readonly kind: 'news'; readonly leader: string; readonly news: News }
  | {
      readonly kind: 'call'
      readonly tab: string
      readonly id: number
      readonly call: keyof Calls
      readonly args: unknown[]
    }
  | { readonly kind: 'done'; readonly tab: string; readonly id: number; readonly result: unknown; readonly news: News }
  | { readonly kind: 'failed'; readonly tab: string; readonly id: number; readonly failure: Failure }
  | {
      readonly kind: 'status'
      readonly live: string
      readonly status: Omit<LiveStatus, 'error'>
      readonly failure?: Failure
    }

export function newsOf(store: EventStore): News {
  return { identity: store.identity, position: store.position, count: store.count, peers: store.peers() }
}

export function failureOf(error: unknown): Failure {
  if (!(error instanceof DbError)) return { code: 'internal_error', message: String(error) }
  const { code, message, detail, hint } = error
  return { code, message, detail, hint }
}

export function errorOf({ code, message, detail, hint }: Failure): DbError {
  return new DbError(code, message, { detail, hint })
}
