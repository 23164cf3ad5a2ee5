/**
 * One session whose results are the text that the server wrote: what a shell shows.
 *
 * Not here: the shell (cli/).
 */
import type { DbError } from '../base/index.ts'
import { nodeIo } from '../io/node/index.ts'
import type { FieldInfo, Message } from './client.ts'
import { parseConnectionString } from './connection-string.ts'
import { RemoteChannel } from './remote-channel.ts'

export interface RawResult {
  /** undefined for a command without result columns. */
  readonly fields: readonly FieldInfo[] | undefined
  readonly rows: readonly (readonly (string | null)[])[]
  /** The command tag, such as 'SELECT 3'; '' for an empty statement. */
  readonly tag: string
}

export class RawSession {
  readonly #channel: RemoteChannel
  readonly #stop: () => Promise<void>
  readonly user: string
  readonly database: string

  private constructor(channel: RemoteChannel, user: string, database: string, stop: () => Promise<void>) {
    this.#channel = channel
    this.user = user
    this.database = database
    this.#stop = stop
  }

  /** Connects to a connection string. Raises connection_failure, invalid_password, … */
  static async open(target: string, password?: string): Promise<RawSession> {
    const parsed = parseConnectionString(target)
    const parameters = new Map([['application_name', 'lattice sql'], ...parsed.parameters])
    const address = { ...parsed, parameters, password: password ?? parsed.password }
    const io = nodeIo({ log: silent })
    try {
      const channel = await RemoteChannel.connect(io, address)
      return new RawSession(channel, address.user, address.database, () => io.stop())
    } catch (error) {
      await io.stop()
      throw error
    }
  }

  get status(): 'I' | 'T' | 'E' {
    return this.#channel.status
  }

  get broken(): boolean {
    return this.#channel.broken
  }

  /** What the server reports: server_version and others. */
  setting(name: string): string | undefined {
    return this.#channel.settings.get(name)
  }

  set onNotice(handler: (severity: string, notice: DbError) => void) {
    this.#channel.onNotice = handler
  }

  set onMessage(handler: (message: Message) => void) {
    this.#channel.onMessage = handler
  }

  /** Runs statements. Raises the first one's error. */
  async script(text: string): Promise<RawResult[]> {
    const results = await this.#channel.script(text, 'text')
    return results.map(({ fields, rows, tag, returnsRows }) => ({
      fields: returnsRows ? fields : undefined,
      rows,
      tag,
    }))
  }

  /** COPY … FROM STDIN. Answers the tag. */
  async copyIn(text: string, source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
    const copy = await this.#channel.copyIn(text)
    try {
      for await (const chunk of source) await copy.write(chunk)
    } catch (error) {
      await copy.abort(error instanceof Error ? error.message : String(error))
      throw error
    }
    return copy.finish()
  }

  /** COPY … TO STDOUT. */
  async *copyOut(text: string): AsyncIterableIterator<Uint8Array> {
    const cursor = await this.#channel.copyOut(text)
    try {
      for (let pieces = await cursor.next(0); pieces.length > 0; pieces = await cursor.next(0)) yield* pieces
    } finally {
      await cursor.close()
    }
  }

  /** Makes what runs fail with query_canceled. */
  cancel(): void {
    this.#channel.cancel()
  }

  async close(): Promise<void> {
    await this.#channel.close()
    await this.#stop()
  }
}

const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent }
