/**
 * A directory of event stores for a program of its own: storage, and a space for each name.
 *
 * Not here: the stores of a server, which live in its node's storage (node/), browsers (indexed-db-map.ts).
 */
import type { Io } from '../../io/index.ts'
import { openStorage, type StorageOptions } from '../../storage/index.ts'
import { EngineMaps } from './engine-map.ts'
import type { OrderedMap } from './ordered-map.ts'

/** The directory's one stream of the log; all keys are the maps'. */
const stream = 1
const prefix = new Uint8Array(0)

export interface EventDirectory {
  /** The space of that name; the same name gives the same bytes, also after a restart. */
  openMap(name: string): Promise<OrderedMap>
  /** Closes the files and lets go of the directory. Stores are closed before. */
  close(): Promise<void>
}

/** Opens or makes the directory. Errors: lock_file_exists, incompatible_format, data_corrupted, what the disk reports. */
export async function openEventDirectory(
  io: Io,
  directory: string,
  engine?: StorageOptions['engine'],
): Promise<EventDirectory> {
  const storage = await openStorage({ io, directory, engine })
  try {
    const maps = await EngineMaps.open({ log: storage.log, engine: storage.engine, stream, prefix, tasks: io.tasks })
    return { openMap: (name) => maps.map(name), close: () => storage.close() }
  } catch (error) {
    await storage.close()
    throw error
  }
}
