/**
 * Looks at a data directory without changing it: what is in it, and whether every checksum holds. For `lattice storage`.
 *
 * Corruption is collected rather than thrown, each with file and offset, so that one run tells all there is to tell.
 *
 * Not here: repair; opening for use (open-storage.ts).
 */
import { DbError, type Timestamp } from '../base/index.ts'
import type { Io } from '../io/index.ts'
import { recoverLog } from './commit-log/recovery.ts'
import { checkFormat, formatVersion, logDirectory, storeDirectory } from './data-directory.ts'
import { compareKeys } from './key-order.ts'
import { openBlock } from './lsm/block.ts'
import { BlockCache } from './lsm/block-cache.ts'
import { type Codec, codecs, decodeSection, tableCorrupted } from './lsm/codec.ts'
import { foldEdits, readManifest, type TableChange } from './lsm/manifest.ts'
import { openTable, type TableFile } from './lsm/table-file.ts'

export interface StorageProblem {
  readonly message: string
  /** File and offset. */
  readonly detail: string | undefined
}

export interface SegmentReport {
  readonly path: string
  readonly number: number
  readonly fileBytes: number
  readonly usedBytes: number
  readonly groups: number
  readonly records: number
}

export interface StreamReport {
  readonly stream: number
  readonly firstIndex: number
  readonly lastIndex: number
  readonly term: number
  readonly vote: number
  readonly commit: number
  /** The last index whose effects are in tables. */
  readonly flushed: number
}

export interface TableReport {
  readonly path: string
  readonly number: number
  readonly level: number
  readonly bytes: number
  readonly blocks: number
  readonly entries: number
  readonly deletions: number
  readonly superseded: number
  readonly codec: Codec
  /** Keys in [start, end) are visible. */
  readonly start: Uint8Array
  readonly end: Uint8Array
  readonly oldest: Timestamp
  readonly newest: Timestamp
}

export interface StorageReport {
  readonly directory: string
  readonly formatVersion: number
  readonly segments: readonly SegmentReport[]
  readonly streams: readonly StreamReport[]
  readonly manifest: string | undefined
  readonly tables: readonly TableReport[]
  readonly levels: readonly { level: number; tables: number; bytes: number; entries: number }[]
  /** Versions superseded at or before this may be gone. */
  readonly collectedBefore: Timestamp
  readonly bytesVerified: number
  readonly problems: readonly StorageProblem[]
}

/** Errors: undefined_file when there is no data directory, incompatible_format; corruption is in the report. */
export async function inspectStorage(io: Io, directory: string): Promise<StorageReport> {
  await checkFormat(io, directory)
  const problems: StorageProblem[] = []
  const log = await collecting(problems, () => recoverLog(io, logDirectory(directory)))
  const store = storeDirectory(directory)
  const found = await collecting(problems, () => readManifest(io, store))
  const state = await collecting(problems, async () => found && foldEdits(found.path, found.edits))
  const segments = (log?.segments ?? []).map(({ path, number, fileBytes, end, groups, records }) => {
    return { path, number, fileBytes, usedBytes: end, groups, records }
  })
  let bytesVerified = segments.reduce((sum, segment) => sum + segment.usedBytes, 0)
  const tables: TableReport[] = []
  const verified = new Set<number>()
  for (const change of state?.tables ?? []) {
    const report = await collecting(problems, async () => {
      const file = await openTable(io, store, change.meta.number, new BlockCache(0))
      try {
        const codec = await verifyTable(file, verified.has(file.number))
        return reportOf(change, file, codec)
      } finally {
        await file.close()
      }
    })
    if (report === undefined) continue
    if (!verified.has(report.number)) bytesVerified += report.bytes
    verified.add(report.number)
    tables.push(report)
  }
  tables.sort((a, b) => a.level - b.level || compareKeys(a.start, b.start))
  const streams = [...(log?.streams ?? [])].map(([stream, { first, last, term, vote, commit }]) => {
    return {
      stream,
      firstIndex: first,
      lastIndex: last,
      term,
      vote,
      commit,
      flushed: state?.positions.get(stream) ?? 0,
    }
  })
  return {
    directory,
    formatVersion,
    segments,
    streams: streams.sort((a, b) => a.stream - b.stream),
    manifest: found?.path,
    tables,
    levels: levelsOf(tables),
    collectedBefore: state?.collected ?? 0,
    bytesVerified,
    problems,
  }
}

async function collecting<T>(problems: StorageProblem[], look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look()
  } catch (error) {
    if (!(error instanceof DbError) || error.code !== 'data_corrupted') throw error
    problems.push({ message: error.message, detail: error.detail })
    return undefined
  }
}

/** Checks every block's checksum and the order of all versions; answers with the first block's codec. */
async function verifyTable(file: TableFile, alreadyVerified: boolean): Promise<Codec> {
  const { index } = file
  let codec: Codec = 'none'
  let lastKey: Uint8Array | undefined
  let lastTimestamp = 0
  for (let block = 0; block < index.count; block++) {
    if (alreadyVerified && block > 0) break
    const stored = await file.readStored(block, block + 1)
    const run = openBlock(decodeSection(stored, 0, file.path, file.number, index.offset[block]))
    if (block === 0) codec = codecs[stored[4]]
    for (let i = 0; i < run.count; i++) {
      const key = run.bytes.subarray(run.start[i], run.start[i] + run.keyLength(i))
      const order = lastKey === undefined ? -1 : compareKeys(lastKey, key)
      if (order > 0 || (order === 0 && run.timestamp[i] >= lastTimestamp)) {
        throw tableCorrupted(file.path, index.offset[block], `entry ${i} of block ${block} is out of order`)
      }
      lastKey = key
      lastTimestamp = run.timestamp[i]
    }
  }
  return codec
}

function reportOf({ level, meta }: TableChange, file: TableFile, codec: Codec): TableReport {
  const { number, bytes, entries, deletions, superseded, oldest, newest, start, end } = meta
  const { path, index } = file
  return {
    path,
    number,
    level,
    bytes,
    blocks: index.count,
    entries,
    deletions,
    superseded,
    codec,
    start,
    end,
    oldest,
    newest,
  }
}

function levelsOf(tables: readonly TableReport[]): { level: number; tables: number; bytes: number; entries: number }[] {
  const levels = new Map<number, { level: number; tables: number; bytes: number; entries: number }>()
  for (const { level, bytes, entries } of tables) {
    const sum = levels.get(level) ?? { level, tables: 0, bytes: 0, entries: 0 }
    sum.tables++
    sum.bytes += bytes
    sum.entries += entries
    levels.set(level, sum)
  }
  return [...levels.values()].sort((a, b) => a.level - b.level)
}
