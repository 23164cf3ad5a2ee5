/** What both entries of `latticedb/events` have besides the store itself. */
export { DbError } from '../../base/index.ts'
export type { PeerStatus, StoreIdentity, SyncReport } from '../../model/events/index.ts'
export type { InputOf, JsonSchema, OutputOf, Schema, StandardSchema } from '../../model/events/typed-schema.ts'
export type {
  AppendOptions,
  ChangesOptions,
  Instant,
  RangeOptions,
  TypedConflict,
  TypedEvent,
} from '../../model/events/typed-store.ts'
export {
  type AsOf,
  join,
  type View,
  type ViewChange,
  type ViewDefinition,
  type ViewEvent,
  type ViewStatus,
  type Views,
  view,
  viewFromDefinition,
} from '../../model/events/views/index.ts'
export type { LiveStatus } from '../../wire/sync/index.ts'
export { type LiveCallOptions, type OnceOptions, SyncedStore, ViewHandle } from './synced-store.ts'
