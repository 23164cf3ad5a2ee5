/**
 * Many rows at once, by COPY in text format.
 *
 *   rows ─► lines ─► 64 KiB pieces ─► COPY "table" ("a", "b") FROM STDIN
 *
 * Not here: COPY on the server.
 */
import { DbError } from '../base/index.ts'
import { ByteWriter } from '../encoding/index.ts'
import type { Channel } from './channel.ts'
import type { BulkInsertOptions, BulkRow } from './client.ts'
import { rowCountOf } from './rows.ts'
import { formatCopyValue, quoteIdentifier } from './values.ts'

const pieceBytes = 64 * 1024

/** "schema"."table" of a name as the catalog has it. */
export function namesOf(table: string): string {
  return table.split('.').map(quoteIdentifier).join('.')
}

/** Answers the number of rows. Raises what COPY raises; then nothing is inserted. */
export async function copyRows(
  channel: Channel,
  table: string,
  rows: Iterable<BulkRow> | AsyncIterable<BulkRow>,
  options: BulkInsertOptions,
): Promise<number> {
  const iterator = Symbol.asyncIterator in rows ? rows[Symbol.asyncIterator]() : rows[Symbol.iterator]()
  let item = await iterator.next()
  const columns = options.columns ?? (item.done ? [] : columnsOf(item.value))
  if (item.done) {
    options.progress?.({ rows: 0, bytes: 0 })
    return 0
  }
  const list = columns.map(quoteIdentifier).join(', ')
  const types = (await channel.describe(`select ${list} from ${table}`)).map((field) => field.dataTypeID)
  const copy = await channel.copyIn(`COPY ${table} (${list}) FROM STDIN`)
  const out = new ByteWriter(pieceBytes + 4096)
  let count = 0
  let bytes = 0
  const send = async () => {
    bytes += out.length
    await copy.write(out.copy())
    out.reset()
    options.progress?.({ rows: count, bytes })
  }
  try {
    for (; !item.done; item = await iterator.next()) {
      writeLine(out, item.value, columns, types)
      count++
      if (out.length >= pieceBytes) await send()
    }
    if (out.length > 0) await send()
  } catch (error) {
    await copy.abort(error instanceof Error ? error.message : String(error))
    await iterator.return?.()
    throw error
  }
  return rowCountOf(await copy.finish())
}

function columnsOf(row: BulkRow): readonly string[] {
  if (!Array.isArray(row)) return Object.keys(row)
  throw new DbError('invalid_parameter_value', 'rows that are arrays need the option "columns"')
}

function writeLine(out: ByteWriter, row: BulkRow, columns: readonly string[], types: readonly number[]): void {
  for (let i = 0; i < columns.length; i++) {
    if (i > 0) out.u8(0x09)
    const value = Array.isArray(row) ? row[i] : (row as Readonly<Record<string, unknown>>)[columns[i]]
    out.utf8(formatCopyValue(value, types[i]))
  }
  out.u8(0x0a)
}
