/**
 * `lattice storage`: what is in a data directory, and whether every checksum holds. Nothing is changed; a node may not
 * run on the directory meanwhile.
 *
 * Not here: reading the files (storage/inspect.ts).
 */
import { DbError } from '../base/index.ts'
import { nodeIo } from '../io/node/index.ts'
import { inspectStorage, type StorageReport, type TableReport } from '../storage/index.ts'
import { formatBytes } from './format-bytes.ts'
import { formatTable, type TableStyle } from './shell/table.ts'

/** Answers the exit status: 0 sound, 1 damaged. Raises undefined_file, incompatible_format, lock_file_exists. */
export async function runStorage(directory: string, asJson: boolean, write: (text: string) => void): Promise<number> {
  const io = nodeIo({ logLevel: 'silent' })
  const refuse = (cause: unknown): never => {
    throw notData(directory, cause)
  }
  const report = await inspect()
  write(asJson ? JSON.stringify(plain(report)) + '\n' : describe(report))
  await io.stop()
  return report.problems.length === 0 ? 0 : 1

  /** Under the lock: a running node changes files while they are read. A directory that is no data directory stays as it is. */
  async function inspect(): Promise<StorageReport> {
    await (await io.disk.open(`${directory}/FORMAT`, { readOnly: true }).catch(refuse)).close()
    const lock = await io.disk.lock(directory)
    try {
      return await inspectStorage(io, directory)
    } finally {
      await lock.release()
    }
  }
}

function notData(directory: string, cause: unknown): unknown {
  if (!(cause instanceof DbError) || (cause.code !== 'undefined_file' && cause.code !== 'io_error')) return cause
  return new DbError('undefined_file', `${directory} is not a data directory`, {
    cause,
    detail: 'It has no FORMAT file.',
    hint: 'Give the directory that `lattice start --data` was given; of a demo, .lattice/demo/node-1 and so on.',
  })
}

/** Keys as hex, shortened. */
function key(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.subarray(0, 12)).toString('hex')
  return bytes.length > 12 ? hex + '…' : hex
}

/** A timestamp as a time of day; 0 means none. */
function time(micros: number): string {
  if (micros === 0) return ''
  return new Date(Math.floor(micros / 1000)).toISOString()
}

function plain(report: StorageReport): unknown {
  const tables = report.tables.map((table) => ({ ...table, start: key(table.start), end: key(table.end) }))
  return { ...report, tables }
}

const number = 20
const text = 25
const style: TableStyle = { format: 'table', terminalWidth: 200, color: false }

type Column<T> = readonly [name: string, type: number, read: (row: T) => string | number]

function section<T>(title: string, rows: readonly T[], columns: readonly Column<T>[]): string {
  if (rows.length === 0) return ''
  const shown = rows.map((row) => columns.map(([, , read]) => String(read(row))))
  const table = formatTable(
    columns.map(([name, dataTypeID]) => ({ name, dataTypeID })),
    shown,
    style,
  ) // prettier-ignore
  return `${title}\n${table.replace(/\(\d+ rows?\)\n$/, '')}\n`
}

function describe(report: StorageReport): string {
  const { problems } = report
  const bytes = report.tables.reduce((sum, table) => sum + table.bytes, 0)
  const head =
    `${report.directory}: format ${report.formatVersion}, ${report.tables.length} tables with ${formatBytes(bytes)}, ` +
    `${report.segments.length} log segments\n\n`
  const streams: Column<StorageReport['streams'][number]>[] = [
    ['stream', number, (row) => row.stream],
    ['first', number, (row) => row.firstIndex],
    ['last', number, (row) => row.lastIndex],
    ['in tables to', number, (row) => row.flushed],
    ['term', number, (row) => row.term],
    ['commit', number, (row) => row.commit],
  ]
  const segments: Column<StorageReport['segments'][number]>[] = [
    ['segment', text, (row) => row.path.slice(row.path.lastIndexOf('/') + 1)],
    ['used', number, (row) => formatBytes(row.usedBytes)],
    ['file', number, (row) => formatBytes(row.fileBytes)],
    ['groups', number, (row) => row.groups],
    ['records', number, (row) => row.records],
  ]
  const levels: Column<StorageReport['levels'][number]>[] = [
    ['level', number, (row) => row.level],
    ['tables', number, (row) => row.tables],
    ['size', number, (row) => formatBytes(row.bytes)],
    ['entries', number, (row) => row.entries],
  ]
  const tables: Column<TableReport>[] = [
    ['table', text, (row) => row.path.slice(row.path.lastIndexOf('/') + 1)],
    ['level', number, (row) => row.level],
    ['size', number, (row) => formatBytes(row.bytes)],
    ['entries', number, (row) => row.entries],
    ['deletions', number, (row) => row.deletions],
    ['codec', text, (row) => row.codec],
    ['first key', text, (row) => key(row.start)],
    ['end key', text, (row) => key(row.end)],
    ['oldest', text, (row) => time(row.oldest)],
    ['newest', text, (row) => time(row.newest)],
  ]
  const verdict =
    problems.length === 0
      ? `Every checksum holds (${formatBytes(report.bytesVerified)} read).\n`
      : problems
          .map(({ message, detail }) => `DAMAGED: ${message}${detail === undefined ? '' : `\n  ${detail}`}\n`)
          .join('')
  return (
    head +
    section('Log streams', report.streams, streams) +
    section('Log segments', report.segments, segments) +
    section('Levels', report.levels, levels) +
    section('Tables', report.tables, tables) +
    verdict
  )
}
