/**
 * A session over the PostgreSQL protocol.
 *
 *   first time   Parse Describe Sync ► types of parameters      then   Bind Describe Execute Sync ► rows
 *   no values    Parse Bind Describe Execute Sync, all at once
 *   cursor       Bind Describe Execute(n) Flush ► rows, Execute(n) Flush ► …, Close Sync
 *
 * Statements with parameters stay prepared, the least recently used one is closed when there are too many.
 *
 * Not here: connecting (remote-socket.ts), reading results (exchange.ts).
 */
import { DbError } from '../base/index.ts'
import { ByteWriter } from '../encoding/index.ts'
import type { Io, Socket } from '../io/index.ts'
import * as wire from '../wire/index.ts'
import type { Channel, ChannelCopyIn, ChannelCursor, StatementResult } from './channel.ts'
import type { FieldInfo, Message } from './client.ts'
import type { RemoteAddress } from './connection-string.ts'
import { Exchange } from './exchange.ts'
import { Authenticator, openSocket, startupMessage } from './remote-socket.ts'
import type { RowManner } from './rows.ts'
import { formatValue } from './values.ts'

const { backend, frontend } = wire

/** Statements kept prepared on a connection. */
const preparedStatements = 200
/** Longest message taken from a server; bytes. */
const messageBytes = 0x7fffffff

/** After this long a cancel request that had no effect is repeated. */
const cancelAgainMs = 100
/** Pieces of COPY output that may wait for their reader before the server has to. */
const piecesAhead = 256

interface PreparedStatement {
  readonly name: string
  readonly parameterTypes: readonly number[]
}

/** Errors after which a prepared statement is made anew and tried once more. */
function isStale(error: unknown): boolean {
  if (!(error instanceof DbError)) return false
  if (error.code === 'invalid_sql_statement_name') return true
  return error.code === 'feature_not_supported' && error.message.includes('cached plan')
}

export class RemoteChannel implements Channel {
  readonly #io: Io
  readonly #address: RemoteAddress
  readonly #place: { host: string; port: number }
  readonly #frames = new wire.FrameReader()
  readonly #body = new wire.BodyReader()
  readonly #out = new ByteWriter(4096)
  readonly #prepared = new Map<string, PreparedStatement>()
  #socket!: Socket
  #authenticator: Authenticator | undefined
  #exchange: Exchange | undefined
  #processId = 0
  #secretKey = new Uint8Array(0)
  #nextStatement = 1
  #nextCursor = 1
  #drained: (() => void) | undefined
  #blocked = false
  #paused = false
  #closing = false
  status: 'I' | 'T' | 'E' = 'I'
  broken = false
  onMessage: (message: Message) => void = () => {}
  onBroken: (error: Error) => void = () => {}
  onNotice: (severity: string, notice: DbError) => void = () => {}
  /** What the server reports of its settings. */
  readonly settings = new Map<string, string>()

  private constructor(io: Io, address: RemoteAddress, place: { host: string; port: number }) {
    this.#io = io
    this.#address = address
    this.#place = place
    this.#frames.typed()
    this.#frames.limit = messageBytes
  }

  /** Connects to the first host that answers. Raises connection_failure and what the server says. */
  static async connect(io: Io, address: RemoteAddress): Promise<RemoteChannel> {
    let failure: unknown
    for (const place of address.hosts) {
      const channel = new RemoteChannel(io, address, place)
      try {
        await channel.#open()
        return channel
      } catch (error) {
        failure = error
        channel.#closing = true
        channel.#socket?.destroy()
        // Only a host that is not there, or is not ready, is passed over.
        if (!(error instanceof DbError) || !error.retryable) throw error
      }
    }
    throw failure
  }

  async #open(): Promise<void> {
    const { host, port } = this.#place
    const exchange = new Exchange('objects')
    this.#exchange = exchange
    const timer = this.#io.tasks.after(this.#address.connectTimeoutMs, () => {
      this.#lose(new DbError('connection_failure', `timeout while connecting to ${host}:${port}`))
      this.#socket?.destroy()
    })
    try {
      const opened = await openSocket(this.#io, this.#address, host, port)
      if (this.broken) {
        opened.socket.destroy()
        await exchange.next()
      }
      this.#socket = opened.socket
      this.#authenticator = new Authenticator(this.#io, this.#address, opened.binding)
      opened.socket.onClose((error) => this.#lose(error))
      opened.socket.onDrain(() => this.#drain())
      opened.socket.onData((chunk) => this.#receive(chunk))
      startupMessage(this.#out, this.#address)
      this.#flush()
      await exchange.toEnd()
    } finally {
      timer.cancel()
    }
  }

  #receive(chunk: Uint8Array): void {
    try {
      this.#frames.feed(chunk)
      while (this.#frames.next()) {
        this.#body.open(this.#frames)
        this.#message(this.#frames.type, this.#body)
      }
    } catch (error) {
      this.#lose(error as Error)
      this.#socket.destroy()
    }
  }

  #message(type: number, body: wire.BodyReader): void {
    const exchange = this.#exchange
    switch (type) {
      case backend.dataRow:
        exchange!.message(type, body)
        return
      case backend.readyForQuery:
        this.status = String.fromCharCode(body.u8()) as 'I' | 'T' | 'E'
        this.#exchange = undefined
        exchange?.mark('ready')
        return
      case backend.error:
        this.#error(wire.readReport(body))
        return
      case backend.notice: {
        const { severity, error } = wire.readReport(body)
        this.onNotice(severity, error)
        return
      }
      case backend.parameterStatus:
        this.settings.set(body.cstring(), body.cstring())
        return
      case backend.authentication:
        this.#authenticator!.take(body, this.#out)
        this.#flush()
        return
      case backend.backendKeyData:
        this.#processId = body.u32()
        this.#secretKey = Uint8Array.from(body.buffer.subarray(body.at, body.end))
        return
      case backend.notification: {
        const processId = body.u32()
        this.onMessage({ processId, channel: body.cstring(), payload: body.cstring() })
        return
      }
      case backend.portalSuspended:
        exchange?.mark('suspended')
        return
      case backend.copyIn:
        exchange?.mark('copyIn')
        return
      case backend.copyOut:
        exchange?.mark('copyOut')
        return
      case backend.copyData:
        this.#copied(exchange!, Uint8Array.from(body.buffer.subarray(body.at, body.end)))
        return
      default:
        exchange?.message(type, body)
    }
  }

  #copied(exchange: Exchange, piece: Uint8Array): void {
    exchange.copied.push(piece)
    exchange.mark('copied')
    if (exchange.copied.length < piecesAhead || this.#paused) return
    this.#paused = true
    this.#socket.pause()
  }

  #resume(): void {
    if (!this.#paused) return
    this.#paused = false
    this.#socket.resume()
  }

  #error(report: { severity: string; sqlstate: string; error: DbError }): void {
    this.#exchange?.fail(report.error)
    if (report.severity !== 'ERROR') this.#lose(report.error)
  }

  #lose(cause: Error | undefined): void {
    if (this.broken) return
    this.broken = true
    const error =
      cause instanceof DbError
        ? cause
        : new DbError('connection_failure', 'the connection to the server was lost', { cause })
    const exchange = this.#exchange
    this.#exchange = undefined
    exchange?.lost(error)
    this.#drain()
    if (!this.#closing) this.onBroken(error)
  }

  #flush(): void {
    const out = this.#out
    if (out.length === 0) return
    const bytes = out.copy()
    out.reset()
    if (!this.#socket.write(bytes)) this.#blocked = true
  }

  #drain(): void {
    this.#blocked = false
    const drained = this.#drained
    this.#drained = undefined
    drained?.()
  }

  /** Sends what was written; the exchange gets the answers. */
  #begin(manner: RowManner = 'objects'): Exchange {
    if (this.broken) {
      this.#out.reset()
      throw new DbError('connection_failure', 'the connection to the server is lost')
    }
    const exchange = new Exchange(manner)
    this.#exchange = exchange
    this.#flush()
    return exchange
  }

  async query(text: string, values: readonly unknown[], arrays: boolean): Promise<StatementResult> {
    const out = this.#out
    if (values.length === 0) {
      wire.writeParse(out, '', text, [])
      wire.writeBind(out, '', '', [], [])
    } else await this.#bind(text, values)
    wire.writeDescribe(out, 'P', '')
    wire.writeExecute(out, '', 0)
    wire.writeBare(out, frontend.sync)
    const exchange = this.#begin(arrays ? 'arrays' : 'objects')
    try {
      await this.#through(exchange)
    } catch (error) {
      if (!isStale(error) || values.length === 0 || !this.#forget(text) || this.status !== 'I') throw error
      return this.query(text, values, arrays)
    }
    return exchange.results[0] ?? { rows: [], fields: [], tag: '', returnsRows: false }
  }

  /** Runs an exchange to its end. A statement that turns out to be a COPY is refused: it has its own methods. */
  async #through(exchange: Exchange): Promise<void> {
    for (let mark = await exchange.next(); mark !== 'ready'; mark = await exchange.next()) {
      exchange.copied.length = 0
      this.#resume()
      if (mark === 'copyIn') {
        wire.writeCopyFail(this.#out, 'use copyIn for COPY FROM STDIN')
        wire.writeBare(this.#out, frontend.sync)
        this.#flush()
      }
    }
    if (exchange.error !== undefined) throw exchange.error
  }

  #forget(text: string): boolean {
    return this.#prepared.delete(text)
  }

  /** Writes a Bind, for which the statement's parameter types must be known. */
  async #bind(text: string, values: readonly unknown[], portal = ''): Promise<void> {
    let statement = this.#prepared.get(text)
    if (statement === undefined) statement = await this.#prepare(text)
    else {
      this.#prepared.delete(text)
      this.#prepared.set(text, statement)
    }
    const { name, parameterTypes } = statement
    const bound = values.map((value, i) => formatValue(value, parameterTypes[i] ?? 0))
    wire.writeBind(this.#out, portal, name, bound, [])
  }

  async #prepare(text: string): Promise<PreparedStatement> {
    const out = this.#out
    const name = `s${this.#nextStatement++}`
    if (this.#prepared.size >= preparedStatements) {
      const [oldest, { name: oldName }] = this.#prepared.entries().next().value!
      this.#prepared.delete(oldest)
      wire.writeClose(out, 'S', oldName)
    }
    wire.writeParse(out, name, text, [])
    wire.writeDescribe(out, 'S', name)
    wire.writeBare(out, frontend.sync)
    const exchange = this.#begin()
    await exchange.toEnd()
    const statement = { name, parameterTypes: exchange.parameterTypes }
    this.#prepared.set(text, statement)
    return statement
  }

  async script(text: string, manner: RowManner = 'objects'): Promise<StatementResult[]> {
    wire.writeQuery(this.#out, text)
    const exchange = this.#begin(manner)
    await this.#through(exchange)
    return exchange.results
  }

  async describe(text: string): Promise<FieldInfo[]> {
    wire.writeParse(this.#out, '', text, [])
    wire.writeDescribe(this.#out, 'S', '')
    wire.writeBare(this.#out, frontend.sync)
    const exchange = this.#begin()
    await exchange.toEnd()
    return exchange.fields
  }

  async cursor(text: string, values: readonly unknown[], arrays: boolean): Promise<ChannelCursor> {
    const detached = this.status === 'T'
    const portal = detached ? `c${this.#nextCursor++}` : ''
    if (values.length === 0) {
      wire.writeParse(this.#out, '', text, [])
      wire.writeBind(this.#out, portal, '', [], [])
    } else await this.#bind(text, values, portal)
    return detached ? this.#detachedCursor(portal, arrays) : this.#attachedCursor(arrays)
  }

  /** Outside of a transaction a portal ends at Sync: Flush is sent instead, and the channel stays busy. */
  #attachedCursor(arrays: boolean): ChannelCursor {
    const out = this.#out
    wire.writeDescribe(out, 'P', '')
    let exchange: Exchange | undefined
    let over = false
    return {
      detached: false,
      next: async (count) => {
        if (over) return []
        wire.writeExecute(out, '', count)
        wire.writeBare(out, frontend.flush)
        if (exchange === undefined) exchange = this.#begin(arrays ? 'arrays' : 'objects')
        else this.#flush()
        over = (await exchange.next()) !== 'suspended'
        if (exchange.error !== undefined) throw exchange.error
        const rows = over ? (exchange.results[0]?.rows ?? []) : exchange.rows
        exchange.rows = []
        return rows
      },
      close: async () => {
        if (exchange?.ended || this.broken) return
        wire.writeClose(out, 'P', '')
        wire.writeBare(out, frontend.sync)
        if (exchange === undefined) exchange = this.#begin()
        else this.#flush()
        while ((await exchange.next()) !== 'ready') {}
      },
    }
  }

  #detachedCursor(portal: string, arrays: boolean): ChannelCursor {
    const out = this.#out
    let over = false
    return {
      detached: true,
      next: async (count) => {
        if (over) return []
        wire.writeDescribe(out, 'P', portal)
        wire.writeExecute(out, portal, count)
        wire.writeBare(out, frontend.sync)
        const exchange = this.#begin(arrays ? 'arrays' : 'objects')
        over = true
        await exchange.toEnd()
        over = exchange.results.length > 0
        return over ? exchange.results[0].rows : exchange.rows
      },
      close: async () => {
        if (this.broken || this.status !== 'T') return
        wire.writeClose(out, 'P', portal)
        wire.writeBare(out, frontend.sync)
        await this.#begin().toEnd()
      },
    }
  }

  /** Runs a COPY up to its beginning. */
  async #beginCopy(text: string, direction: 'copyIn' | 'copyOut'): Promise<Exchange> {
    wire.writeQuery(this.#out, text)
    const exchange = this.#begin()
    const mark = await exchange.next()
    if (mark === direction) return exchange
    if (mark === 'copyIn') {
      wire.writeCopyFail(this.#out, 'not expected')
      this.#flush()
    }
    if (mark !== 'ready') await exchange.toEnd()
    throw new DbError(
      'wrong_object_type',
      `the statement is no COPY ${direction === 'copyIn' ? 'FROM STDIN' : 'TO STDOUT'}`,
    )
  }

  async copyIn(text: string): Promise<ChannelCopyIn> {
    const exchange = await this.#beginCopy(text, 'copyIn')
    return {
      write: async (chunk) => {
        if (exchange.error !== undefined) throw exchange.error
        wire.writeCopyData(this.#out, chunk)
        this.#flush()
        if (this.#blocked) await new Promise<void>((resolve) => (this.#drained = resolve))
        if (this.broken) throw new DbError('connection_failure', 'the connection to the server was lost')
      },
      finish: async () => {
        wire.writeBare(this.#out, frontend.copyDone)
        this.#flush()
        await exchange.toEnd()
        return exchange.results[0]?.tag ?? ''
      },
      abort: async (reason) => {
        if (exchange.ended) return
        wire.writeCopyFail(this.#out, reason)
        this.#flush()
        await exchange.toEnd().catch(() => {})
      },
    }
  }

  async copyOut(text: string): Promise<ChannelCursor> {
    const exchange = await this.#beginCopy(text, 'copyOut')
    return {
      detached: false,
      next: async () => {
        while (exchange.copied.length === 0 && !exchange.ended) await exchange.next()
        if (exchange.error !== undefined) throw exchange.error
        const pieces = exchange.copied
        exchange.copied = []
        this.#resume()
        return pieces
      },
      close: async () => {
        if (exchange.ended) return
        this.cancel()
        this.#resume()
        await this.#through(exchange).catch(() => {})
      },
    }
  }

  /** A request that comes before the server has begun the statement is lost, so it is repeated until the end. */
  cancel(): void {
    const exchange = this.#exchange
    if (exchange === undefined || this.broken) return
    void this.#requestCancel()
    this.#io.tasks.after(cancelAgainMs, () => {
      if (this.#exchange === exchange) this.cancel()
    })
  }

  async #requestCancel(): Promise<void> {
    const out = new ByteWriter(64)
    wire.writeCancelRequest(out, this.#processId, this.#secretKey)
    try {
      const { socket } = await openSocket(this.#io, this.#address, this.#place.host, this.#place.port)
      socket.write(out.copy())
      socket.end()
    } catch {
      // A server that is gone runs nothing either; the statement's own connection says so.
    }
  }

  async close(): Promise<void> {
    if (this.broken) return
    this.#closing = true
    const closed = new Promise<void>((resolve) => this.#socket.onClose(() => resolve()))
    wire.writeBare(this.#out, frontend.terminate)
    this.#flush()
    this.#socket.end()
    await closed
  }
}
