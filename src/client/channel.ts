/**
 * A channel is one database session, remote or embedded: what a transaction runs on. `SessionClient` (session-client.ts)
 * makes the whole client of a supply of them.
 *
 * One thing at a time: the caller starts nothing before the last thing ended. Errors are `DbError`s; after one the
 * channel is usable unless `broken`.
 *
 * Not here: pooling, transactions, parameter syntax.
 */
import type { FieldInfo, Message } from './client.ts'

/** A finished statement. Rows are what the row maker made. */
export interface StatementResult {
  readonly rows: any[]
  readonly fields: FieldInfo[]
  /** The whole command tag. */
  readonly tag: string
  /** False for a command that has no result columns at all. */
  readonly returnsRows: boolean
}

/** A query whose rows come in batches. Unless `detached`, the channel is busy until it is closed. */
export interface ChannelCursor {
  /** True when other statements may run between batches: inside a transaction. */
  readonly detached: boolean
  /** Up to `count` rows; an empty batch means the end. */
  next(count: number): Promise<any[]>
  /** Ends the query. Must be called, also after an error. */
  close(): Promise<void>
}

export interface ChannelCopyIn {
  write(chunk: Uint8Array): Promise<void>
  /** Ends the COPY and answers its tag. */
  finish(): Promise<string>
  /** Makes the COPY fail; answers when it has. */
  abort(reason: string): Promise<void>
}

export interface Channel {
  /** 'I' idle, 'T' in a transaction, 'E' in a failed one. */
  readonly status: 'I' | 'T' | 'E'
  /** The connection is lost: to be thrown away. */
  readonly broken: boolean
  onMessage: (message: Message) => void
  /** Called once when the connection is lost, with why. */
  onBroken: (error: Error) => void

  query(text: string, values: readonly unknown[], arrays: boolean): Promise<StatementResult>
  script(text: string): Promise<StatementResult[]>
  /** Result columns without running anything. */
  describe(text: string): Promise<FieldInfo[]>
  cursor(text: string, values: readonly unknown[], arrays: boolean): Promise<ChannelCursor>
  copyIn(text: string): Promise<ChannelCopyIn>
  /** `next` answers pieces of output; the count is ignored. */
  copyOut(text: string): Promise<ChannelCursor>
  /** Asks for the running statement to fail with query_canceled. Never throws. */
  cancel(): void
  close(): Promise<void>
}
