/**
 * Long texts are parsed by a worker while the session waits and the loop serves others.
 *
 *   session.parse(text)  short: END, and `script` or `prepare` parse it themselves, without a promise
 *                        long:  WAIT … END, and they take the statements that lie ready here
 *
 * A node parses one long text at a time, so that the other workers stay with storage. A statement that is cancelled or
 * out of time does not wait for the worker; its text leaves the queue, or the answer is thrown away.
 *
 * Not here: the job (parse/parse-job.ts).
 */
import { DbError, END, type Step, WAIT } from '../../base/index.ts'
import type { Tasks, Timer } from '../../io/index.ts'
import { parseJob, statementsOf } from '../parse/parse-job.ts'
import type { RawStatement } from '../parse/parser.ts'
import { tooManyTerms } from '../parse/tree-pieces.ts'
import type { Session } from './session.ts'

/** Texts above this many characters are parsed by a worker. */
const longText = 64 * 1024

/** A text on its way through the worker. */
class Parse {
  readonly text: string
  statements: RawStatement[] | undefined
  error: unknown
  readonly finished: Promise<void>
  #finish!: () => void

  constructor(text: string) {
    this.text = text
    this.finished = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  get over(): boolean {
    return this.statements !== undefined || this.error !== undefined
  }

  done(statements: RawStatement[]): void {
    if (this.over) return
    this.statements = statements
    this.#finish()
  }

  fail(error: unknown): void {
    if (this.over) return
    this.error = error
    this.#finish()
  }
}

/** A node's long texts, one after the other. */
export class ParseQueue {
  readonly #tasks: Tasks
  readonly #waiting: Parse[] = []
  #busy = false

  constructor(tasks: Tasks) {
    this.#tasks = tasks
  }

  add(parse: Parse): void {
    this.#waiting.push(parse)
    if (!this.#busy) void this.#work()
  }

  async #work(): Promise<void> {
    this.#busy = true
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (next.over) continue
      try {
        await this.#parse(next)
      } catch (error) {
        next.fail(error)
      }
    }
    this.#busy = false
  }

  async #parse(parse: Parse): Promise<void> {
    const steps = statementsOf(await this.#tasks.cpu(parseJob, parse.text).catch(tooLarge))
    while (!parse.over) {
      const step = steps.next()
      if (step.done) parse.done(step.value)
      else await this.#tasks.yield()
    }
  }
}

/** The worker did not survive the text, or the job found no memory. */
function tooLarge(cause: unknown): never {
  const lost = cause instanceof Error && /worker thread ended|out of memory/.test(cause.message)
  throw lost ? tooManyTerms(cause) : cause
}

/** What a session has sent to be parsed. */
export class Reading {
  readonly #session: Session
  #parse: Parse | undefined
  #timer: Timer | undefined

  constructor(session: Session) {
    this.#session = session
  }

  /** See SqlSession.parse. */
  advance(text: string): Step {
    if (text.length <= longText) return END
    const session = this.#session
    if (this.#parse?.text !== text) this.#begin(text)
    const parse = this.#parse!
    if (session.cancelled !== undefined) parse.fail(session.cancelled)
    if (!parse.over) {
      session.blocker = { ready: () => parse.finished }
      return WAIT
    }
    this.#timer?.cancel()
    const error = session.cancelled ?? parse.error
    if (error === undefined) return END
    session.cancelled = undefined
    this.#parse = undefined
    throw error
  }

  #begin(text: string): void {
    const session = this.#session
    this.abort(new DbError('query_canceled', 'canceling statement'))
    session.timeouts.busy()
    session.cancelled = undefined
    session.noteText(text)
    this.#timer = session.limitStatement()
    this.#parse = new Parse(text)
    session.database.parses.add(this.#parse)
  }

  /** The statements of a text that was parsed here, once. */
  take(text: string): RawStatement[] | undefined {
    const parse = this.#parse
    if (parse === undefined || parse.text !== text) return undefined
    this.#parse = undefined
    return parse.statements
  }

  /** Ends what is under way. */
  abort(error: DbError): void {
    this.#timer?.cancel()
    this.#parse?.fail(error)
  }
}
