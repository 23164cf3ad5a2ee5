/**
 * SQL on top of the store: what an embedded client opens and what a server puts doors on.
 *
 * Not here: doors (node.ts).
 */
import { DbError } from '../base/index.ts'
import type { Io } from '../io/index.ts'
import { openDatabase as openSql, type SqlDatabase } from '../sql/index.ts'
import { type ClusterOptions, type OpenedCluster, openCluster } from './cluster.ts'
import type { NodeEventDatabases } from './event-databases.ts'
import { NodeSqlCluster } from './sql-cluster.ts'
import { NodeSqlEvents } from './sql-events.ts'
import { type OpenedStore, openStore, type StoreOptions } from './store.ts'

export interface OpenedDatabase {
  readonly database: SqlDatabase
  readonly opened: OpenedStore
  /** Opened when first asked for: most programs that open a directory have no events. */
  events(): Promise<NodeEventDatabases>
  close(): Promise<void>
}

/** Raises what `openStore` raises. */
export async function openDatabase(options: StoreOptions): Promise<OpenedDatabase> {
  const opened = await openStore(options)
  try {
    const { io, directory } = options
    const temporaryDirectory = directory === undefined ? undefined : `${directory}/temporary`
    const events = new NodeSqlEvents(io, opened)
    const database = await openSql({ io, store: opened.store, temporaryDirectory, events })
    const close = async () => {
      await database.close()
      await events.close()
      await opened.close()
    }
    return { database, opened, events: () => events.databases(), close }
  } catch (error) {
    await opened.close()
    throw error
  }
}

const pauseMs = 200

/** SQL needs the catalog: a node that starts before a majority of the others waits for them. */
async function openWhenReachable<T>(io: Io, open: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await open()
    } catch (error) {
      if (io.dead || !(error instanceof DbError) || !error.retryable) throw error
      io.log.info('waiting-for-cluster', { reason: error.message })
      await new Promise<void>((done) => io.tasks.after(pauseMs, done))
    }
  }
}

export interface OpenedClusterDatabase extends OpenedDatabase {
  readonly opened: OpenedCluster
}

/** The same on a node of a cluster. Raises what `openCluster` raises. */
export async function openClusterDatabase(options: ClusterOptions): Promise<OpenedClusterDatabase> {
  const opened = await openCluster(options)
  try {
    const { io, directory } = options
    const cluster = new NodeSqlCluster(opened)
    const temporaryDirectory = `${directory}/temporary`
    const events = new NodeSqlEvents(io, opened, opened)
    const database = await openWhenReachable(io, () =>
      openSql({ io, store: opened.store, temporaryDirectory, cluster, events }),
    )
    const close = async () => {
      await database.close()
      cluster.stop()
      await events.close()
      await opened.close()
    }
    return { database, opened, events: () => events.databases(), close }
  } catch (error) {
    await opened.close()
    throw error
  }
}
