/**
 * `latticedb/events` in a browser: stores in IndexedDB, which all tabs of an origin share.
 *
 * Not here: what a store does (synced-store.ts), which of the tabs has it open (shared-events.ts).
 */
import { indexedFactory, sharedTabs, web, webIo } from '../../io/browser/index.ts'
import { memoryMap, openEventStore } from '../../model/events/index.ts'
import { deleteIndexedDbMap, openIndexedDbMap } from '../../model/events/indexed-db-map.ts'
import type { InputOf, OutputOf, Schema } from '../../model/events/typed-schema.ts'
import { OwnEvents } from './opened-events.ts'
import { openSharedEvents } from './shared-events.ts'
import { checkOf, type SchemaOption, SyncedStore } from './synced-store.ts'

export * from './exports.ts'

export interface OpenOptions extends SchemaOption {
  /** 'indexeddb' (default), or ':memory:': gone with the tab. */
  readonly at?: string
}

const io = webIo()
const ports = { web, tasks: io.tasks, random: io.random }

async function openOwn(name: string, inMemory: boolean): Promise<OwnEvents> {
  const openMap = (part: string) =>
    inMemory ? Promise.resolve(memoryMap()) : openIndexedDbMap(indexedFactory(), `${name}/${part}`)
  const store = await openEventStore({ name, map: await openMap('events'), clock: io.clock, random: io.random })
  return new OwnEvents(store, ports, () => openMap('views'))
}

export class EventStore<Out = unknown, In = Out> extends SyncedStore<Out, In> {
  /** Opens the store of that name, or makes it. Errors: feature_not_supported, io_error, disk_full, object_in_use. */
  static open<const S extends Schema>(
    name: string,
    options: OpenOptions & { readonly schema: S },
  ): Promise<EventStore<OutputOf<S>, InputOf<S>>>
  static open<T = unknown>(name: string, options?: OpenOptions): Promise<EventStore<T>>
  static async open(name: string, options: OpenOptions = {}): Promise<EventStore<any>> {
    const inMemory = options.at === ':memory:'
    const check = await checkOf(options)
    const opened = inMemory
      ? await openOwn(name, true)
      : await openSharedEvents({ name, tabs: sharedTabs(), ports: io, openOwn: () => openOwn(name, false) })
    return new EventStore(opened, io, check)
  }

  /** Removes a store from this browser for good. It must not be open in any tab. */
  static async delete(name: string): Promise<void> {
    for (const part of ['events', 'views']) await deleteIndexedDbMap(indexedFactory(), `${name}/${part}`)
  }
}
