export {
  type IndexedDatabase,
  type IndexedFactory,
  type IndexedStore,
  indexedFactory,
  keyBounds,
} from './indexed-db.ts'
export { sharedTabs, type TabChannel, type Tabs } from './tabs.ts'
export { type LiveHandlers, type LiveSocket, type Web, type WebAnswer, type WebRequest, web } from './web.ts'
export { type WebIo, type WebTasks, webIo } from './web-io.ts'
