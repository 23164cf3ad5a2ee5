/**
 * Everything a `Queryable` does, on whatever channel it is given: the database takes one from its pool for each call, a
 * transaction has its own.
 *
 * Not here: transactions' beginning and end (transaction.ts), the pool (pool.ts).
 */
import { DbError } from '../base/index.ts'
import { copyRows, namesOf } from './bulk-insert.ts'
import type { Channel, ChannelCursor, StatementResult } from './channel.ts'
import type {
  AnyRow,
  BulkInsertOptions,
  BulkRow,
  CursorOptions,
  Queryable,
  QueryOptions,
  QueryResult,
} from './client.ts'
import { commandOf, rowCountOf } from './rows.ts'
import { renderTemplate } from './sql-template.ts'

const defaultBatchRows = 1000

function resultOf(result: StatementResult): QueryResult<any> {
  const { rows, fields, tag } = result
  return { rows, fields, rowCount: rowCountOf(tag), command: commandOf(tag) }
}

/** Cancels on the signal while the body runs. Raises the statement's query_canceled, or at once when already aborted. */
export async function withSignal<T>(
  channel: Channel,
  signal: AbortSignal | undefined,
  body: () => Promise<T>,
): Promise<T> {
  if (signal === undefined) return body()
  if (signal.aborted) throw new DbError('query_canceled', 'canceled before it began', { cause: signal.reason })
  const abort = () => channel.cancel()
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await body()
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

export abstract class Statements implements Queryable {
  /** A channel for one call, exclusively; `release` gives it back. */
  protected abstract lend(): Promise<Channel>
  protected abstract giveBack(channel: Channel): void

  async #with<T>(signal: AbortSignal | undefined, body: (channel: Channel) => Promise<T>): Promise<T> {
    const channel = await this.lend()
    try {
      return await withSignal(channel, signal, () => body(channel))
    } finally {
      this.giveBack(channel)
    }
  }

  async query<Row = AnyRow>(
    text: string,
    values: readonly unknown[] = [],
    options: QueryOptions = {},
  ): Promise<QueryResult<Row>> {
    return this.#with(options.signal, async (channel) =>
      resultOf(await channel.query(text, values, options.arrays === true)),
    )
  }

  async sql<Row = AnyRow>(strings: TemplateStringsArray, ...values: readonly unknown[]): Promise<Row[]> {
    const rendered = renderTemplate(strings, values)
    const { rows } = await this.query<Row>(rendered.text, rendered.values)
    return rows
  }

  async script(text: string): Promise<QueryResult<AnyRow>[]> {
    return this.#with(undefined, async (channel) => (await channel.script(text)).map(resultOf))
  }

  async *cursor<Row = AnyRow>(
    text: string,
    values: readonly unknown[] = [],
    options: CursorOptions = {},
  ): AsyncIterableIterator<Row> {
    const batchRows = options.batchRows ?? defaultBatchRows
    const open = (channel: Channel) => channel.cursor(text, values, options.arrays === true)
    for await (const rows of this.#batches(open, batchRows, options.signal)) yield* rows
  }

  async *copyOut(text: string): AsyncIterableIterator<Uint8Array> {
    for await (const pieces of this.#batches((channel) => channel.copyOut(text), 0, undefined)) yield* pieces
  }

  async *#batches(
    open: (channel: Channel) => Promise<ChannelCursor>,
    count: number,
    signal: AbortSignal | undefined,
  ): AsyncIterableIterator<any[]> {
    const channel = await this.lend()
    let held = true
    try {
      const cursor = await open(channel)
      try {
        for (;;) {
          if (!held) await this.lend()
          held = true
          const batch = await withSignal(channel, signal, () => cursor.next(count))
          if (batch.length === 0) return
          if (cursor.detached) {
            held = false
            this.giveBack(channel)
          }
          yield batch
        }
      } finally {
        if (!held) held = await this.#regain()
        if (held) await cursor.close()
      }
    } finally {
      if (held) this.giveBack(channel)
    }
  }

  /** The channel again, to close a cursor on it; false when its transaction is over, and the cursor with it. */
  async #regain(): Promise<boolean> {
    try {
      await this.lend()
      return true
    } catch {
      return false
    }
  }

  bulkInsert(
    table: string,
    rows: Iterable<BulkRow> | AsyncIterable<BulkRow>,
    options: BulkInsertOptions = {},
  ): Promise<number> {
    return this.#with(options.signal, (channel) => copyRows(channel, namesOf(table), rows, options))
  }

  copyIn(text: string, source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<number> {
    return this.#with(undefined, async (channel) => {
      const copy = await channel.copyIn(text)
      try {
        for await (const chunk of source) await copy.write(chunk)
      } catch (error) {
        await copy.abort(error instanceof Error ? error.message : String(error))
        throw error
      }
      return rowCountOf(await copy.finish())
    })
  }
}
