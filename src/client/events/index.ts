/**
 * `latticedb/events` in Node: stores in a directory of the program's own, or in memory.
 *
 *   await using orders = await EventStore.open('orders', { at: './data', schema })
 *   const key = await orders.append({ item: 'tea' }, { at: Date.now() })
 *   for await (const e of orders.changes({ after: 0, signal })) …
 *   await orders.sync('http://127.0.0.1:7480/db/orders')
 *
 * Not here: what a store does (synced-store.ts), browsers (browser.ts).
 */
import { resolve } from 'node:path'
import { web } from '../../io/browser/index.ts'
import { type NodeIo, nodeIo } from '../../io/node/index.ts'
import { memoryMap, type OrderedMap, openEventStore } from '../../model/events/index.ts'
import type { InputOf, OutputOf, Schema } from '../../model/events/typed-schema.ts'
import { OwnEvents } from './opened-events.ts'
import { checkOf, type SchemaOption, SyncedStore } from './synced-store.ts'

export * from './exports.ts'

export interface OpenOptions extends SchemaOption {
  /** A directory, of one process at a time; several stores may be in it. ':memory:' (default): gone when closed. */
  readonly at?: string
}

interface Place {
  readonly io: NodeIo
  openMap(space: string): Promise<OrderedMap>
  close(): Promise<void>
}

interface Shared {
  readonly place: Promise<Place>
  users: number
}

/** Directories that this process has open: each is locked once, for all stores in it. */
const directories = new Map<string, Shared>()

async function openPlace(directory: string): Promise<Place> {
  // Loaded only here: a store in memory has no use for storage.
  const { openEventDirectory } = await import('../../model/events/directory.ts')
  const io = nodeIo({ logLevel: 'warn' })
  try {
    const opened = await openEventDirectory(io, directory)
    const close = async () => {
      await opened.close()
      await io.stop()
    }
    return { io, openMap: (space) => opened.openMap(space), close }
  } catch (error) {
    await io.stop()
    throw error
  }
}

async function openMemory(): Promise<Place> {
  const io = nodeIo({ logLevel: 'warn' })
  return { io, openMap: async () => memoryMap(), close: () => io.stop() }
}

async function enter(at: string): Promise<{ place: Place; leave: () => Promise<void> }> {
  if (at === ':memory:') {
    const place = await openMemory()
    return { place, leave: () => place.close() }
  }
  const directory = resolve(at)
  let shared = directories.get(directory)
  if (shared === undefined) {
    shared = { place: openPlace(directory), users: 0 }
    directories.set(directory, shared)
  }
  const { place } = shared
  const own = shared
  own.users++
  const leave = async () => {
    if (--own.users > 0) return
    directories.delete(directory)
    await (await place).close()
  }
  try {
    return { place: await place, leave }
  } catch (error) {
    if (--own.users === 0) directories.delete(directory)
    throw error
  }
}

export class EventStore<Out = unknown, In = Out> extends SyncedStore<Out, In> {
  /** Opens the store of that name, or makes it. Errors: lock_file_exists, incompatible_format, data_corrupted, … */
  static open<const S extends Schema>(
    name: string,
    options: OpenOptions & { readonly schema: S },
  ): Promise<EventStore<OutputOf<S>, InputOf<S>>>
  static open<T = unknown>(name: string, options?: OpenOptions): Promise<EventStore<T>>
  static async open(name: string, options: OpenOptions = {}): Promise<EventStore<any>> {
    const check = await checkOf(options)
    const { place, leave } = await enter(options.at ?? ':memory:')
    const { io } = place
    try {
      const map = await place.openMap(`events/${name}`)
      const store = await openEventStore({ name, map, clock: io.clock, random: io.random })
      const ports = { web, tasks: io.tasks, random: io.random }
      const opened = new OwnEvents(store, ports, () => place.openMap(`views/${name}`), leave)
      return new EventStore(opened, io, check)
    } catch (error) {
      await leave()
      throw error
    }
  }
}
