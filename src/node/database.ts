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
    const database = await openSql({ io: options.io, store: opened.store })
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
