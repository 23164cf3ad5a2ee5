/**
 * SQL on top of the store: what an embedded client opens and what a server puts doors on.
 *
 * Not here: doors (node.ts).
 */
import type { SqlDatabase } from '../sql/session-api.ts'
import { type OpenedStore, openStore, type StoreOptions } from './store.ts'

export interface OpenedDatabase {
  readonly database: SqlDatabase
  readonly opened: OpenedStore
  close(): Promise<void>
}

interface SqlModule {
  openDatabase(options: { io: StoreOptions['io']; store: OpenedStore['store'] }): Promise<SqlDatabase>
}

/** Raises what `openStore` raises. */
export async function openDatabase(options: StoreOptions): Promise<OpenedDatabase> {
  const opened = await openStore(options)
  try {
    const module = '../sql/index.ts'
    const sql = (await import(module)) as SqlModule
    const database = await sql.openDatabase({ io: options.io, store: opened.store })
    return { database, opened, close: () => opened.close() }
  } catch (error) {
    await opened.close()
    throw error
  }
}
