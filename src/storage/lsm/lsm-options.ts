/**
 * The engine's settings and their defaults.
 *
 * Not here: settings of the commit log.
 */
import type { Io } from '../../io/index.ts'
import type { Codec } from './codec.ts'
import type { PickRules } from './compaction/pick.ts'

export interface LsmOptions {
  readonly io: Io
  /** The data directory; tables live in its `store/`. */
  readonly directory: string
  /** Decoded blocks kept in memory. Default 256 MiB, at least 1 MiB. */
  readonly cacheBytes?: number
  /** A memtable's arena; one that is full is flushed. Default 32 MiB. */
  readonly memtableBytes?: number
  /** Size at which compaction starts the next table. Default 8 MiB. */
  readonly tableBytes?: number
  /** Default 16 KiB. */
  readonly blockBytes?: number
  /** Codec per level, the last one for all below. Default: none down to level 2, LZ4 to level 5, zstd. */
  readonly codecs?: readonly Codec[]
  /** Tables of level 0 that start a compaction. Default 4. */
  readonly level0Tables?: number
  /** Limit of level 1, ten times more for each level below. Default 64 MiB. */
  readonly baseBytes?: number
  /** Memtables waiting to be flushed at which writes should wait. Default 3. */
  readonly stallMemtables?: number
  /** Tables of level 0 at which writes should wait. Default 20. */
  readonly stallTables?: number
  /** A failpoint: full memtables stay in memory until `flush` is called. Default false. */
  readonly holdFlush?: boolean
}

export interface LsmSettings {
  readonly cacheBytes: number
  readonly memtableBytes: number
  readonly tableBytes: number
  readonly blockBytes: number
  readonly codecs: readonly Codec[]
  readonly rules: PickRules
  readonly stallMemtables: number
  readonly stallTables: number
  readonly holdFlush: boolean
}

export function settingsOf(options: LsmOptions): LsmSettings {
  return {
    cacheBytes: Math.max(1 << 20, options.cacheBytes ?? 256 << 20),
    memtableBytes: options.memtableBytes ?? 32 << 20,
    tableBytes: options.tableBytes ?? 8 << 20,
    blockBytes: options.blockBytes ?? 16 << 10,
    codecs: options.codecs ?? ['none', 'none', 'none', 'lz4', 'lz4', 'lz4', 'zstd'],
    rules: { level0Tables: options.level0Tables ?? 4, baseBytes: options.baseBytes ?? 64 << 20, garbageShare: 0.25 },
    stallMemtables: options.stallMemtables ?? 3,
    stallTables: options.stallTables ?? 20,
    holdFlush: options.holdFlush ?? false,
  }
}

export function codecOf(settings: LsmSettings, level: number): Codec {
  const { codecs } = settings
  return codecs[Math.min(level, codecs.length - 1)]
}
