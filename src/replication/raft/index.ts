export {
  type Configuration,
  decodeConfiguration,
  emptyConfiguration,
  encodeConfiguration,
  isVoter,
  replicasOf,
} from './configuration.ts'
export { type Entry, type EntryKind, entryConfiguration, entryData, entryNoop } from './entry.ts'
export type { Proposal } from './leadership.ts'
export type { LogView } from './log.ts'
export * from './message.ts'
export { decodeMessage, encodeMessage } from './message-codec.ts'
export type { ProgressState } from './progress.ts'
export { type ProgressView, Raft, type Role } from './raft.ts'
export type { HardState, Ready } from './ready.ts'
export type { Liveness, RaftOptions } from './state.ts'
