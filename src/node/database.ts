/**
 * SQL on top of the store: what an embedded client opens and what a server puts doors on.
 *
 * Not here: doors (node.ts).
 */
import { openDatabase as openSql, type SqlDatabase } from '../sql/index.ts'
import { type OpenedStore, openStore, type StoreOptions } from './store.ts'

export interface OpenedDatabase {
  readonly database: SqlDatabase
  readonly opened: OpenedStore
  close(): Promise<void>
}

/** Raises what `openStore` raises. */
export async function openDatabase(options: StoreOptions): Promise<OpenedDatabase> {
  const opened = await openStore(options)
  try {
    const { io, directory } = options
    const temporaryDirectory = directory === undefined ? undefined : `${directory}/temporary`
    const database = await openSql({ io, store: opened.store, temporaryDirectory })
    const close = () => {
      database.close()
      return opened.close()
    }
    return { database, opened, close }
  } catch (error) {
    await opened.close()
    throw error
  }
}
