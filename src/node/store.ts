/**
 * Builds a node's transactional store from the ground: lock, log, engine, replica.
 *
 *   directory lock ─► commit log ─► engine ─► store ◄─ replica replays what the tables lack
 *
 * Not here: SQL on top (database.ts), doors (node.ts).
 */
import { DbError } from '../base/index.ts'
import { readIdentity } from '../cluster/index.ts'
import type { Io } from '../io/index.ts'
import { SoloReplica } from '../replication/index.ts'
import { type CommitLog, type Engine, MemoryEngine, openCommitLog, openEngine } from '../storage/index.ts'
import { TransactionStore } from '../transaction/index.ts'
import type { Failpoints } from './failpoints.ts'
import { VolatileReplica } from './volatile-replica.ts'

/** The stream of the node's one partition, and the node's number in its group of one. */
const stream = 1
const nodeId = 1
/** How often superseded versions and log segments are looked at. */
const housekeepingMs = 5_000

export interface StoreOptions {
  readonly io: Io
  /** undefined: in memory only. */
  readonly directory: string | undefined
  readonly cacheBytes?: number
  readonly failpoints?: Failpoints
}

export interface OpenedStore {
  readonly store: TransactionStore
  readonly engine: Engine
  /** undefined in memory. */
  readonly log: CommitLog | undefined
  /** Writes what is in flight, closes files, releases the directory. */
  close(): Promise<void>
}

/**
 * Raises lock_file_exists, incompatible_format, data_corrupted, insufficient_privilege, disk_full, and
 * object_not_in_prerequisite_state for the directory of a cluster's node.
 */
export async function openStore(options: StoreOptions): Promise<OpenedStore> {
  return options.directory === undefined ? openVolatile(options.io) : openDurable(options, options.directory)
}

async function openVolatile(io: Io): Promise<OpenedStore> {
  const engine = new MemoryEngine()
  const store = new TransactionStore(io, engine)
  store.attach(new VolatileReplica(stream, store))
  const stopHousekeeping = keepHouse(io, store, engine, undefined)
  const close = async () => {
    stopHousekeeping()
    await engine.close()
  }
  return { store, engine, log: undefined, close }
}

async function openDurable({ io, cacheBytes, failpoints }: StoreOptions, directory: string): Promise<OpenedStore> {
  const holdFlush = failpoints?.holdFlush === true
  await io.disk.makeDirectory(directory)
  const lock = await io.disk.lock(directory)
  const opened: (() => Promise<void>)[] = [() => lock.release()]
  try {
    await refuseMember(io, directory)
    const log = await openCommitLog({ io, directory })
    opened.push(() => log.close())
    const engine = await openEngine({ io, directory, cacheBytes, holdFlush })
    opened.push(() => engine.close())
    const store = new TransactionStore(io, engine)
    const replica = await SoloReplica.open({
      log,
      engine,
      machine: store,
      stream,
      nodeId,
      progress: (done, total) => io.log.info('replaying-log', { done, total }),
    })
    store.attach(replica)
    // With nothing left to replay, only the tables tell how far time had come.
    const { newestInTables } = engine
    store.clock.observe(newestInTables)
    store.visible = Math.max(store.visible, newestInTables)
    opened.push(() => replica.close())
    const stopHousekeeping = keepHouse(io, store, engine, holdFlush ? undefined : log)
    const close = async () => {
      stopHousekeeping()
      await closeAll(opened)
    }
    return { store, engine, log, close }
  } catch (error) {
    await closeAll(opened)
    throw error
  }
}

/** A node of a cluster has only some of the cluster's data, and others count on what it has. */
async function refuseMember(io: Io, directory: string): Promise<void> {
  const identity = await readIdentity(io, directory)
  if (identity === undefined) return
  const { nodeId, clusterId } = identity
  throw new DbError(
    'object_not_in_prerequisite_state',
    `the directory ${directory} is that of node ${nodeId} of cluster ${clusterId}`,
    { hint: 'Run it with lattice start, and connect to it with a connection string.' },
  )
}

/** The last opened first. */
async function closeAll(opened: readonly (() => Promise<void>)[]): Promise<void> {
  for (const close of opened.toReversed()) await close()
}

/** Collects garbage, and flushes when old entries keep the log above its budget. */
function keepHouse(io: Io, store: TransactionStore, engine: Engine, log: CommitLog | undefined): () => void {
  let stopped = false
  let flushing = false
  let timer = io.tasks.after(housekeepingMs, tick)
  function tick() {
    if (stopped || io.dead) return
    store.collect()
    if (log !== undefined && !flushing && log.laggards().length > 0) {
      flushing = true
      engine.flush().then(
        () => (flushing = false),
        (error) => io.fatal('flush failed', error),
      )
    }
    timer = io.tasks.after(housekeepingMs, tick)
  }
  return () => {
    stopped = true
    timer.cancel()
  }
}
