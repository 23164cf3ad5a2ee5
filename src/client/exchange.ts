/**
 * One exchange with a server: what was sent, and what comes back until the server is ready, a portal is suspended or a
 * COPY begins. The channel feeds it messages; whoever sent waits for `done`.
 *
 * Not here: the socket (remote-channel.ts).
 */
import type { DbError } from '../base/index.ts'
import { type BodyReader, backend } from '../wire/index.ts'
import type { StatementResult } from './channel.ts'
import type { FieldInfo } from './client.ts'
import { RowMaker, type RowManner } from './rows.ts'

/** Where an exchange stands still, or has come to: what waits for it may want to act. */
export type Mark = 'ready' | 'complete' | 'suspended' | 'error' | 'copyIn' | 'copyOut' | 'copied'

const noFields: FieldInfo[] = []

export class Exchange {
  readonly results: StatementResult[] = []
  /** Columns of the statement that was described, and its parameter types. */
  fields = noFields
  parameterTypes: number[] = []
  rows: any[] = []
  /** COPY output that nobody took yet. */
  copied: Uint8Array[] = []
  error: DbError | undefined
  /** ReadyForQuery came, or the connection is lost. */
  ended = false
  readonly #manner: RowManner
  readonly #marks: Mark[] = []
  #maker: RowMaker | undefined
  #waiting: { resolve: (mark: Mark) => void; reject: (error: Error) => void } | undefined
  #lost: Error | undefined

  constructor(manner: RowManner) {
    this.#manner = manner
  }

  /** The next mark, in order. Rejects when the connection is lost. */
  next(): Promise<Mark> {
    const mark = this.#marks.shift()
    if (mark !== undefined) return Promise.resolve(mark)
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    return new Promise((resolve, reject) => (this.#waiting = { resolve, reject }))
  }

  /** Waits for ReadyForQuery, then raises the error that came before it, if any. */
  async toEnd(): Promise<void> {
    while ((await this.next()) !== 'ready') {}
    if (this.error !== undefined) throw this.error
  }

  mark(mark: Mark): void {
    if (mark === 'ready') this.ended = true
    const waiting = this.#waiting
    if (waiting !== undefined) {
      this.#waiting = undefined
      waiting.resolve(mark)
    } else if (mark !== 'copied' || this.#marks.at(-1) !== 'copied') this.#marks.push(mark)
  }

  fail(error: DbError): void {
    this.error ??= error
    this.mark('error')
  }

  lost(error: Error): void {
    this.ended = true
    this.#lost = this.error ?? error
    const waiting = this.#waiting
    this.#waiting = undefined
    waiting?.reject(this.#lost)
  }

  /** A message about results. */
  message(type: number, body: BodyReader): void {
    switch (type) {
      case backend.dataRow:
        this.#row(body)
        return
      case backend.rowDescription:
        this.fields = readFields(body)
        this.#maker = new RowMaker(this.fields, this.#manner)
        return
      case backend.noData:
        this.fields = noFields
        return
      case backend.parameterDescription: {
        const count = body.u16()
        this.parameterTypes = Array.from({ length: count }, () => body.u32())
        return
      }
      case backend.commandComplete:
        this.#finish(body.cstring())
        return
      case backend.emptyQuery:
        this.#finish('')
    }
  }

  #finish(tag: string): void {
    this.results.push({ rows: this.rows, fields: this.fields, tag, returnsRows: this.#maker !== undefined })
    this.#maker = undefined
    this.rows = []
    this.fields = noFields
    this.mark('complete')
  }

  #row(body: BodyReader): void {
    const maker = this.#maker!
    const count = body.u16()
    const values = new Array<unknown>(count)
    for (let i = 0; i < count; i++) {
      const length = body.i32()
      if (length < 0) {
        values[i] = null
        continue
      }
      const at = body.skip(length)
      values[i] = maker.parsers[i](body.buffer.toString('utf8', at, at + length))
    }
    this.rows.push(maker.make(values))
  }
}

function readFields(body: BodyReader): FieldInfo[] {
  return Array.from({ length: body.u16() }, () => {
    const name = body.cstring()
    const tableID = body.u32()
    const columnID = body.i16()
    const dataTypeID = body.u32()
    const dataTypeSize = body.i16()
    const dataTypeModifier = body.i32()
    body.u16()
    return { name, tableID, columnID, dataTypeID, dataTypeSize, dataTypeModifier }
  })
}
