/**
 * Portals over commands that are not queries. A command is a generator: it yields WAIT with the session's `blocker`
 * set, and returns its tag and rows.
 */
import { DbError, END, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import type { Timer } from '../../io/index.ts'
import type { Node } from '../parse/parser.ts'
import type { Field, Portal, RowSink } from '../session-api.ts'
import type { Value } from '../types/type.ts'
import type { Session } from './session.ts'

export interface CommandResult {
  readonly tag: string
  readonly rows?: readonly (readonly Value[])[]
}

export type Command = Generator<Step, CommandResult, void>

/** How a command stands to transactions. */
export type Transactional =
  /** Runs in the session's transaction, like a query. */
  | 'inside'
  /** Handles transactions itself. */
  | 'itself'

abstract class PlainPortal implements Portal {
  readonly fields: readonly Field[] | undefined = undefined
  readonly copy: Portal['copy'] = undefined
  tag = ''
  abstract run(sink: RowSink, maxRows: number): Step
  ready(): Promise<void> {
    return Promise.resolve()
  }
  copyIn(_chunk: Uint8Array): Step {
    throw new DbError('protocol_violation', 'unexpected copy data')
  }
  copyDone(): Step {
    throw new DbError('protocol_violation', 'unexpected end of copy')
  }
  copyFail(_message: string): void {}
  close(): void {}
}

export class EmptyPortal extends PlainPortal {
  run(): Step {
    return END
  }
}

export class UtilityPortal extends PlainPortal {
  override readonly fields: readonly Field[] | undefined
  readonly node: Node
  readonly text: string
  readonly #session: Session
  readonly #last: boolean
  readonly #transactional: Transactional
  readonly #make: () => Command
  #command: Command | undefined
  #timer: Timer | undefined
  #running = false
  #result: CommandResult | undefined
  #at = 0

  constructor(
    session: Session,
    node: Node,
    text: string,
    last: boolean,
    transactional: Transactional,
    fields: readonly Field[] | undefined,
    make: () => Command,
  ) {
    super()
    this.#session = session
    this.node = node
    this.text = text
    this.#last = last
    this.#transactional = transactional
    this.fields = fields
    this.#make = make
  }

  run(sink: RowSink, maxRows: number): Step {
    const session = this.#session
    if (this.#result === undefined) {
      if (this.#command === undefined) {
        if (this.#transactional === 'inside') session.startStatement()
        this.#command = this.#make()
        this.#timer = session.limitStatement()
      }
      this.#running = true
      let next: ReturnType<Command['next']>
      try {
        next = this.#command.next()
      } catch (error) {
        this.#timer?.cancel()
        throw error
      } finally {
        this.#running = false
      }
      if (!next.done) {
        if (session.cancelled !== undefined) {
          this.#timer?.cancel()
          const error = session.cancelled
          session.cancelled = undefined
          throw error
        }
        return next.value
      }
      this.#timer?.cancel()
      this.#result = next.value
      this.tag = next.value.tag
    }
    const rows = this.#result.rows ?? []
    let count = 0
    while (this.#at < rows.length) {
      const room = sink.row(rows[this.#at++])
      if (maxRows > 0 && ++count >= maxRows && this.#at < rows.length) return ROW
      if (!room) return YIELD
    }
    if (this.#transactional === 'inside' && this.#last && session.finishImplicit() === WAIT) return WAIT
    return END
  }

  override ready(): Promise<void> {
    return this.#session.ready()
  }
  override close(): void {
    // COMMIT and ROLLBACK close all portals, this one among them: it goes on to its end.
    this.#timer?.cancel()
    if (!this.#running) this.#command?.return({ tag: '' })
  }
}

/** EXECUTE and FETCH: runs another portal. */
export class DelegatePortal extends PlainPortal {
  override readonly fields: readonly Field[] | undefined
  readonly #inner: Portal
  readonly #limit: number
  readonly #finish: (rows: number, complete: boolean) => string
  #rows = 0
  #session: Session
  readonly #last: boolean
  #done = false

  constructor(
    session: Session,
    inner: Portal,
    limit: number,
    last: boolean,
    finish: (rows: number, complete: boolean) => string,
  ) {
    super()
    this.#session = session
    this.#inner = inner
    this.fields = inner.fields
    this.#limit = limit
    this.#last = last
    this.#finish = finish
  }

  run(sink: RowSink, maxRows: number): Step {
    if (!this.#done) {
      const counting: RowSink = {
        row: (r) => {
          this.#rows++
          return sink.row(r)
        },
        copyOut: (b) => sink.copyOut(b),
      }
      const left = this.#limit === 0 ? 0 : this.#limit - this.#rows
      const most = maxRows > 0 && (left === 0 || maxRows < left) ? maxRows : left
      const step = this.#inner.run(counting, most)
      if (step === ROW && !(this.#limit > 0 && this.#rows >= this.#limit)) return ROW
      if (step !== END && step !== ROW) return step
      this.tag = this.#finish(this.#rows, step === END)
      this.#done = true
    }
    if (this.#last && this.#session.finishImplicit() === WAIT) return WAIT
    return END
  }

  override ready(): Promise<void> {
    return this.#session.ready()
  }
}
