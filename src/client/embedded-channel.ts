/**
 * A session of a database in this process. The driver of its steps: END is the end, WAIT awaits, YIELD gives the loop a
 * turn.
 *
 * Not here: values' meaning (values.ts), opening the database (open.ts).
 */
import { DbError, END, ROW, type Step, WAIT } from '../base/index.ts'
import type { Io } from '../io/index.ts'
import type { Field, Portal, Prepared, RowSink, SqlDatabase, SqlSession } from '../sql/session-api.ts'
import type { Type, Value } from '../sql/types/type.ts'
import type { Channel, ChannelCopyIn, ChannelCursor, StatementResult } from './channel.ts'
import type { FieldInfo, Message } from './client.ts'
import { RowMaker } from './rows.ts'
import { formatValue, parserOf } from './values.ts'

/** Statements kept prepared in a session. */
const preparedStatements = 200
/** COPY output collected before it is handed out; bytes. */
const copyBytes = 64 * 1024

/** Texts up to this length never wait to be parsed. */
const shortText = 10_000

const nothing = new Uint8Array(0)

const plainNumbers = new Set([20, 21, 23, 26, 700, 701])
const plainStrings = new Set([25, 1043, 19, 705])

function fieldInfo(field: Field): FieldInfo {
  return {
    name: field.name,
    tableID: field.tableOid,
    columnID: field.columnNumber,
    dataTypeID: field.type.oid,
    dataTypeSize: field.type.length,
    dataTypeModifier: field.typmod,
  }
}

/** Takes rows out of registers as the caller wants them. */
class RowCollector implements RowSink {
  rows: any[] = []
  readonly copied: Uint8Array[] = []
  #copiedBytes = 0
  readonly fields: FieldInfo[]
  readonly #maker: RowMaker
  readonly #columns: { slot: number; read: (value: Value) => unknown }[]

  constructor(fields: readonly Field[], session: SqlSession, arrays: boolean) {
    this.fields = fields.map(fieldInfo)
    this.#maker = new RowMaker(this.fields, arrays ? 'arrays' : 'objects')
    this.#columns = fields.map((field) => ({ slot: field.slot, read: reader(field.type, session) }))
  }

  row(registers: readonly Value[]): boolean {
    const columns = this.#columns
    const values = new Array<unknown>(columns.length)
    for (let i = 0; i < columns.length; i++) {
      const value = registers[columns[i].slot]
      values[i] = value === null ? null : columns[i].read(value)
    }
    this.rows.push(this.#maker.make(values))
    return true
  }

  copyOut(bytes: Uint8Array): boolean {
    this.copied.push(Uint8Array.from(bytes))
    this.#copiedBytes += bytes.length
    return this.#copiedBytes < copyBytes
  }

  takeCopied(): Uint8Array[] {
    this.#copiedBytes = 0
    return this.copied.splice(0)
  }
}

/** What JavaScript shares with a type goes as it is; the rest through the text form, so that both clients agree. */
function reader(type: Type, session: SqlSession): (value: Value) => unknown {
  let base = type
  while (base.kind === 'd') base = session.types.types.type(base.base)
  if (plainNumbers.has(base.oid) || base.oid === 16) return (value) => value
  if (plainStrings.has(base.oid)) return (value) => value
  if (base.oid === 17) return (value: Uint8Array) => Buffer.from(value)
  const parse = parserOf(base.oid)
  return (value) => parse(type.format(value, session.types))
}

export class EmbeddedChannel implements Channel {
  readonly #io: Io
  readonly #session: SqlSession
  readonly #prepared = new Map<string, Prepared>()
  broken = false
  onMessage: (message: Message) => void = () => {}
  onBroken: (error: Error) => void = () => {}

  constructor(io: Io, database: SqlDatabase, user: string, databaseName: string, applicationName: string) {
    this.#io = io
    this.#session = database.connect({
      user,
      database: databaseName,
      parameters: new Map([['application_name', applicationName]]),
      client: '',
    })
    this.#session.events = {
      notice: () => {},
      parameter: () => {},
      notification: (processId, channel, payload) => this.onMessage({ processId, channel, payload }),
      terminate: (error) => {
        this.broken = true
        this.onBroken(error)
      },
    }
  }

  get status(): 'I' | 'T' | 'E' {
    return this.#session.status
  }

  /** Awaits what a step says. */
  async #settle(step: Step, ready: () => Promise<void>): Promise<void> {
    if (step === WAIT) await ready()
    else if (step !== END && step !== ROW) await this.#io.tasks.yield()
  }

  /** Runs a portal to its end, or to its row limit. */
  async #run(portal: Portal, sink: RowSink, maxRows: number): Promise<Step> {
    for (;;) {
      const step = portal.run(sink, maxRows)
      if (step === END || step === ROW) return step
      await this.#settle(step, () => portal.ready())
    }
  }

  async #sync(): Promise<void> {
    for (;;) {
      const step = this.#session.sync()
      if (step === END) return
      await this.#settle(step, () => this.#session.ready())
    }
  }

  /** Whatever fails aborts what the session was doing, as the protocol does. */
  async #guarded<T>(body: () => Promise<T>): Promise<T> {
    if (this.broken) throw new DbError('connection_does_not_exist', 'the session is over')
    let result: T
    try {
      result = await body()
    } catch (error) {
      this.#session.fail()
      await this.#sync()
      throw error
    }
    try {
      await this.#sync()
    } catch (error) {
      this.#session.fail()
      throw error
    }
    return result
  }

  #isLong(text: string): boolean {
    return text.length > shortText && !this.#prepared.has(text)
  }

  /** Long texts are parsed beside the loop. */
  async #parsed(text: string): Promise<void> {
    while (this.#session.parse(text) !== END) await this.#session.ready()
  }

  #prepare(text: string): Prepared {
    const known = this.#prepared.get(text)
    if (known !== undefined) {
      this.#prepared.delete(text)
      this.#prepared.set(text, known)
      return known
    }
    const made = this.#session.prepare(text, [])
    if (this.#prepared.size >= preparedStatements) this.#prepared.delete(this.#prepared.keys().next().value!)
    this.#prepared.set(text, made)
    return made
  }

  #bind(text: string, values: readonly unknown[]): Portal {
    const prepared = this.#prepare(text)
    const types = prepared.parameterTypes
    if (values.length !== types.length) {
      throw new DbError(
        'protocol_violation',
        `bind message supplies ${values.length} parameters, but prepared statement "" requires ${types.length}`,
      )
    }
    return this.#session.bind(
      prepared,
      values.map((value, i) => this.#value(value, types[i])),
    )
  }

  #value(value: unknown, type: Type): Value {
    const formatted = formatValue(value, type.oid)
    if (formatted === null) return null
    if (typeof formatted === 'string') return type.parse(formatted, -1, this.#session.types)
    return type.decode(formatted, 0, formatted.length)
  }

  #collector(portal: Portal, arrays: boolean): RowCollector {
    return new RowCollector(portal.fields ?? [], this.#session, arrays)
  }

  query(text: string, values: readonly unknown[], arrays: boolean): Promise<StatementResult> {
    return this.#guarded(async () => {
      if (this.#isLong(text)) await this.#parsed(text)
      const portal = this.#bind(text, values)
      try {
        return await this.#collect(portal, arrays)
      } finally {
        portal.close()
      }
    })
  }

  async #collect(portal: Portal, arrays: boolean): Promise<StatementResult> {
    if (portal.copy?.direction === 'in') {
      portal.copyFail('use copyIn for COPY FROM STDIN')
    }
    const collector = this.#collector(portal, arrays)
    await this.#run(portal, collector, 0)
    return { rows: collector.rows, fields: collector.fields, tag: portal.tag, returnsRows: portal.fields !== undefined }
  }

  script(text: string): Promise<StatementResult[]> {
    return this.#guarded(async () => {
      if (text.length > shortText) await this.#parsed(text)
      const script = this.#session.script(text)
      const results: StatementResult[] = []
      for (let portal = script.next(); portal !== undefined; portal = script.next()) {
        try {
          results.push(await this.#collect(portal, false))
        } finally {
          portal.close()
        }
      }
      return results
    })
  }

  describe(text: string): Promise<FieldInfo[]> {
    return this.#guarded(async () => {
      if (text.length > shortText) await this.#parsed(text)
      return (this.#session.prepare(text, []).fields ?? []).map(fieldInfo)
    })
  }

  async cursor(text: string, values: readonly unknown[], arrays: boolean): Promise<ChannelCursor> {
    let portal: Portal | undefined
    let collector: RowCollector | undefined
    let over = false
    const fail = async (error: unknown) => {
      over = true
      this.#session.fail()
      await this.#sync()
      throw error
    }
    return {
      detached: this.status === 'T',
      next: async (count) => {
        if (over) return []
        try {
          if (portal === undefined && this.#isLong(text)) await this.#parsed(text)
          portal ??= this.#bind(text, values)
          collector ??= this.#collector(portal, arrays)
          if ((await this.#run(portal, collector, count)) === END) over = true
        } catch (error) {
          return fail(error)
        }
        const rows = collector.rows
        collector.rows = []
        return rows
      },
      close: async () => {
        portal?.close()
        await this.#sync()
      },
    }
  }

  async #copy(text: string, direction: 'in' | 'out'): Promise<Portal> {
    const portal = this.#bind(text, [])
    if (portal.copy?.direction === direction) return portal
    portal.close()
    throw new DbError(
      'wrong_object_type',
      `the statement is no COPY ${direction === 'in' ? 'FROM STDIN' : 'TO STDOUT'}`,
    )
  }

  /** Starts a COPY; an error ends the implicit transaction as always. */
  async #startCopy(text: string, direction: 'in' | 'out'): Promise<Portal> {
    try {
      return await this.#copy(text, direction)
    } catch (error) {
      this.#session.fail()
      await this.#sync()
      throw error
    }
  }

  async copyIn(text: string): Promise<ChannelCopyIn> {
    const portal = await this.#startCopy(text, 'in')
    const feed = async (take: () => Step) => {
      for (let step = take(); step !== END; step = portal.copyIn(nothing)) {
        await this.#settle(step, () => portal.ready())
      }
    }
    let over = false
    const guarded = async <T>(body: () => Promise<T>): Promise<T> => {
      try {
        return await body()
      } catch (error) {
        over = true
        portal.close()
        this.#session.fail()
        await this.#sync()
        throw error
      }
    }
    return {
      write: (chunk) => guarded(() => feed(() => portal.copyIn(chunk))),
      finish: () =>
        guarded(async () => {
          for (let step = portal.copyDone(); step !== END; step = portal.copyDone()) {
            await this.#settle(step, () => portal.ready())
          }
          await this.#run(portal, new RowCollector([], this.#session, false), 0)
          await this.#sync()
          over = true
          return portal.tag
        }),
      abort: async (reason) => {
        if (!over) await guarded(async () => portal.copyFail(reason)).catch(() => {})
      },
    }
  }

  async copyOut(text: string): Promise<ChannelCursor> {
    const portal = await this.#startCopy(text, 'out')
    const collector = new RowCollector([], this.#session, false)
    let over = false
    return {
      detached: false,
      next: async () => {
        while (!over && collector.copied.length === 0) {
          try {
            const step = portal.run(collector, 0)
            if (step === END) over = true
            else await this.#settle(step, () => portal.ready())
          } catch (error) {
            over = true
            this.#session.fail()
            throw error
          }
        }
        return collector.takeCopied()
      },
      close: async () => {
        portal.close()
        await this.#sync()
      },
    }
  }

  cancel(): void {
    this.#session.cancel()
  }

  async close(): Promise<void> {
    if (this.broken) return
    this.broken = true
    this.#session.close()
  }
}
