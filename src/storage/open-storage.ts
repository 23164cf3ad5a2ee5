/**
 * Opens all of a data directory: the lock, the commit log, the engine.
 *
 * Not here: replaying the log into the engine, which replication does.
 */
import type { DirectoryLock, Io } from '../io/index.ts'
import type { CommitLog } from './commit-log/commit-log.ts'
import { openCommitLog } from './commit-log/segmented-commit-log.ts'
import { openDataDirectory } from './data-directory.ts'
import type { Engine } from './engine.ts'
import { openEngine } from './lsm/lsm-engine.ts'
import type { LsmOptions } from './lsm/lsm-options.ts'

export interface StorageOptions {
  readonly io: Io
  readonly directory: string
  readonly segmentBytes?: number
  readonly logBudgetBytes?: number
  readonly engine?: Omit<LsmOptions, 'io' | 'directory'>
}

export interface Storage {
  readonly log: CommitLog
  readonly engine: Engine
  /** Closes both and lets go of the directory. */
  close(): Promise<void>
}

/** Errors: lock_file_exists, incompatible_format, data_corrupted, what the disk reports. */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { io, directory, segmentBytes, logBudgetBytes } = options
  await openDataDirectory(io, directory)
  const lock = await io.disk.lock(directory)
  try {
    const log = await openCommitLog({ io, directory, segmentBytes, budgetBytes: logBudgetBytes })
    const engine = await openEngine({ ...options.engine, io, directory })
    return { log, engine, close: () => closeAll(log, engine, lock) }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function closeAll(log: CommitLog, engine: Engine, lock: DirectoryLock): Promise<void> {
  await log.close()
  await engine.close()
  await lock.release()
}
