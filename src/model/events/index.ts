/** Event stores; all of it runs in browsers. What needs a disk has doors of its own: engine-map.ts, directory.ts. */
export { answerSync } from './answer-sync.ts'
export * from './event-store.ts'
export { type EventStoreOptions, openEventStore } from './mapped-event-store.ts'
export { memoryMap } from './memory-map.ts'
export * from './ordered-map.ts'
export * from './sync.ts'
export type { SyncStore } from './sync-store.ts'
