/**
 * The conversation after authentication: a client's messages in, a session driven, answers into the outbox.
 *
 * It is one step machine without a promise. `handle` takes a message and answers END when it is dealt with, WAIT or
 * YIELD when `resume` must be called again (after `ready()`, or after a turn of the loop). What is under way stands in
 * `#doing`; everything that a prepared statement's Bind, Execute and Sync need is done in straight calls.
 *
 *   handle ──► nothing under way ──► reading │ script │ execute │ sync │ copying │ feeding │ copyEnd
 *                   ▲                                │ error: ErrorResponse, session.fail(),
 *                   └────────────────────────────────┘        extended: skip to Sync; simple: sync at once
 *
 * Source: PostgreSQL manual, "Message Flow".
 *
 * Not here: the socket, startup and authentication (connection.ts), what a statement does (the session).
 */
import { type DbError, END, DbError as Failure, ROW, type Step, WAIT } from '../../base/index.ts'
import type { Log } from '../../io/index.ts'
import type { Notice, Portal, RowSink, Script, SessionEvents, SqlSession } from '../../sql/session-api.ts'
import type { Value } from '../../sql/types/type.ts'
import { BodyReader } from './body.ts'
import type { FrameReader } from './frames.ts'
import { flushBytes, type Outbox } from './outbox.ts'
import { readFormats, readParameters } from './parameters.ts'
import { noFormats, PortalFormats } from './portal-formats.ts'
import { backend, frontend } from './protocol.ts'
import { type RowShape, RowShapes } from './rows.ts'
import * as messages from './server-messages.ts'

const idle = 0
const script = 1
const execute = 2
const sync = 3
/** Between CopyInResponse and CopyDone: the client talks. */
const copying = 4
/** The session takes in a CopyData. */
const feeding = 5
const copyEnd = 6
/** A long text is being parsed; `#afterReading` goes on with it. */
const reading = 7

const noBytes = new Uint8Array(0)

/** Errors that end the session whatever it was doing. */
const fatal: ReadonlySet<string> = new Set([
  'admin_shutdown',
  'crash_shutdown',
  'database_dropped',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
])

export class Conversation implements RowSink, SessionEvents {
  readonly #session: SqlSession
  readonly #outbox: Outbox
  readonly #log: Log
  readonly #body = new BodyReader()
  readonly #shapes: RowShapes
  readonly #formats = new PortalFormats()

  #doing = idle
  /** The message under way belongs to the extended protocol: after an error all is skipped up to Sync. */
  #extended = false
  #skipping = false
  #text = ''
  #afterReading: () => Step = () => END
  #script: Script | undefined
  #statements = 0
  #portal: Portal | undefined
  #shape: RowShape | undefined
  #maxRows = 0
  /** Where the row that is being written starts in the outbox, else -1. */
  #rowStart = -1
  #ended = false
  #stopping = false
  /** Output that the client is entitled to see now, as PostgreSQL would send it. */
  #flushDue = false
  /** Statements begun since the start; a metric. */
  statements = 0
  /** Called when something is to be sent while no message is being handled. */
  onIdleOutput: () => void = () => {}

  constructor(session: SqlSession, outbox: Outbox, log: Log) {
    this.#session = session
    this.#outbox = outbox
    this.#log = log
    this.#shapes = new RowShapes(session.types.types)
    session.events = this
  }

  /** Tells the session's settings and key, and that it is ready. */
  greet(): void {
    const out = this.#outbox.writer
    for (const [name, value] of this.#session.reported()) messages.writeParameterStatus(out, name, value)
    messages.writeBackendKey(out, this.#session.processId, this.#session.secretKey)
    messages.writeReady(out, this.#session.status)
  }

  /** True after Terminate or a fatal error: flush and close. */
  get ended(): boolean {
    return this.#ended
  }

  /** True between statements. */
  get idle(): boolean {
    return this.#doing === idle
  }

  /** Whether output waits that must not be held back. Asking resets it. */
  takeFlushDue(): boolean {
    const due = this.#flushDue
    this.#flushDue = false
    return due
  }

  /** The node stops: what runs may end, nothing new begins. */
  stop(): void {
    this.#stopping = true
    if (this.#doing === idle && !this.#ended) this.#refuse()
  }

  #refuse(): void {
    this.#end(new Failure('admin_shutdown', 'terminating connection due to administrator command'))
  }

  /** What WAIT waits for. */
  ready(): Promise<void> {
    return this.#doing === sync || this.#doing === reading ? this.#session.ready() : this.#portal!.ready()
  }

  /** Deals with the frame's message. END: done. WAIT, YIELD: `resume` until END. */
  handle(frame: FrameReader): Step {
    try {
      return this.#doing === copying ? this.#duringCopy(frame) : this.#dispatch(frame)
    } catch (error) {
      return this.#failed(error)
    }
  }

  /** Goes on with what `handle` left under way. */
  resume(): Step {
    try {
      switch (this.#doing) {
        case reading:
          return this.#read()
        case script:
          return this.#runScript()
        case execute:
          return this.#runPortal()
        case sync:
          return this.#finishSync()
        case feeding:
          return this.#feed(noBytes)
        case copyEnd:
          return this.#endCopy()
        default:
          return END
      }
    } catch (error) {
      return this.#failed(error)
    }
  }

  /** An error that came out of `ready()`. */
  interrupted(error: unknown): Step {
    return this.#failed(error)
  }

  #dispatch(frame: FrameReader): Step {
    const type = frame.type
    if (type === frontend.terminate) {
      this.#ended = true
      return END
    }
    if (this.#skipping && type !== frontend.sync) return END
    const body = this.#body
    body.open(frame)
    if (this.#stopping) {
      this.#refuse()
      return END
    }
    switch (type) {
      case frontend.bind:
        this.#extended = true
        return this.#bind(body)
      case frontend.execute:
        this.#extended = true
        return this.#execute(body)
      case frontend.sync:
        this.#extended = false
        this.#skipping = false
        this.#doing = sync
        return this.#finishSync()
      case frontend.query:
        this.#extended = false
        return this.#query(body)
      case frontend.parse:
        this.#extended = true
        return this.#parse(body)
      case frontend.describe:
        this.#extended = true
        return this.#describe(body)
      case frontend.close:
        this.#extended = true
        return this.#close(body)
      case frontend.flush:
        this.#flushDue = true
        return END
      case frontend.copyData:
      case frontend.copyDone:
      case frontend.copyFail:
        // A COPY that failed leaves these behind; the client could not know yet.
        return END
      case frontend.functionCall:
        this.#extended = false
        throw new Failure('feature_not_supported', 'function calls of the fast-path interface are not supported', {
          hint: 'Call the function in a SELECT.',
        })
      default:
        this.#end(new Failure('protocol_violation', `invalid frontend message type ${type}`))
        return END
    }
  }

  #query(body: BodyReader): Step {
    const text = body.cstring()
    body.finish()
    this.statements++
    if (this.#session.parse(text) !== END) return this.#await(text, () => this.#startScript(text))
    return this.#startScript(text)
  }

  #startScript(text: string): Step {
    this.#doing = script
    this.#statements = 0
    this.#maxRows = 0
    this.#formats.clear()
    this.#dropUnnamed()
    this.#script = this.#session.script(text)
    return this.#runScript()
  }

  #await(text: string, then: () => Step): Step {
    this.#doing = reading
    this.#text = text
    this.#afterReading = then
    return WAIT
  }

  #read(): Step {
    const step = this.#session.parse(this.#text)
    if (step !== END) return step
    this.#text = ''
    this.#doing = idle
    return this.#afterReading()
  }

  /** A simple query does away with the unnamed statement and portal. */
  #dropUnnamed(): void {
    const { statements, portals } = this.#session
    if (statements.size > 0) statements.delete('')
    if (portals.size === 0) return
    portals.get('')?.close()
    portals.delete('')
  }

  #runScript(): Step {
    for (;;) {
      if (this.#portal === undefined) {
        const portal = this.#script!.next()
        if (portal === undefined) break
        this.#statements++
        this.#portal = portal
        this.#shape = portal.fields && this.#shapes.of(portal.fields, noFormats)
        if (this.#shape !== undefined) this.#outbox.writer.raw(this.#shape.description)
        if (this.#beginCopy(portal)) return END
      }
      const step = this.#portal.run(this, 0)
      if (step === END) this.#complete()
      else if (step !== ROW) return step
    }
    if (this.#statements === 0) this.#outbox.writer.raw(messages.emptyQueryResponse)
    this.#script = undefined
    this.#doing = sync
    return this.#finishSync()
  }

  /** The portal of a script is through. */
  #complete(): void {
    const portal = this.#portal!
    this.#portal = undefined
    this.#tag(portal)
    portal.close()
  }

  #tag(portal: Portal): void {
    const out = this.#outbox.writer
    if (portal.copy?.direction === 'out') out.raw(messages.copyDoneMessage)
    if (portal.tag === '') out.raw(messages.emptyQueryResponse)
    else messages.writeCommandComplete(out, portal.tag)
  }

  #parse(body: BodyReader): Step {
    const name = body.cstring()
    const text = body.cstring()
    const count = body.u16()
    const types = new Array<number>(count)
    for (let i = 0; i < count; i++) types[i] = body.u32()
    body.finish()
    const session = this.#session
    if (name !== '' && session.statements.has(name)) {
      throw new Failure('duplicate_prepared_statement', `prepared statement "${name}" already exists`)
    }
    if (name === '') session.statements.delete('')
    if (session.parse(text) !== END) return this.#await(text, () => this.#prepare(name, text, types))
    return this.#prepare(name, text, types)
  }

  #prepare(name: string, text: string, types: readonly number[]): Step {
    const session = this.#session
    session.statements.set(name, session.prepare(text, types))
    this.#outbox.writer.raw(messages.parseComplete)
    return END
  }

  #bind(body: BodyReader): Step {
    const session = this.#session
    const portalName = body.cstring()
    const name = body.cstring()
    const prepared = session.statements.get(name) ?? this.#noStatement(name)
    const values = readParameters(body, name, prepared, session.types)
    const formats = readFormats(body)
    body.finish()
    const old = session.portals.get(portalName)
    if (old !== undefined) {
      if (portalName !== '') throw new Failure('duplicate_cursor', `cursor "${portalName}" already exists`)
      old.close()
    }
    const portal = session.bind(prepared, values)
    if (formats.length > 1 && formats.length !== (portal.fields?.length ?? 0)) {
      throw new Failure(
        'protocol_violation',
        `bind message has ${formats.length} result formats but query has ${portal.fields?.length ?? 0} columns`,
      )
    }
    session.portals.set(portalName, portal)
    this.#formats.bound(portalName, portal, formats)
    this.#outbox.writer.raw(messages.bindComplete)
    return END
  }

  #noStatement(name: string): never {
    const which = name === '' ? 'unnamed prepared statement' : `prepared statement "${name}"`
    throw new Failure('invalid_sql_statement_name', `${which} does not exist`)
  }

  #noPortal(name: string): never {
    throw new Failure('invalid_cursor_name', `portal "${name}" does not exist`)
  }

  #describe(body: BodyReader): Step {
    const kind = body.u8()
    const name = body.cstring()
    body.finish()
    const out = this.#outbox.writer
    let fields: Portal['fields']
    let formats = noFormats
    if (kind === 0x53) {
      const prepared = this.#session.statements.get(name) ?? this.#noStatement(name)
      messages.writeParameterDescription(out, prepared.parameterTypes)
      fields = prepared.fields
    } else if (kind === 0x50) {
      const portal = this.#session.portals.get(name) ?? this.#noPortal(name)
      fields = portal.fields
      formats = this.#formats.of(name, portal)
    } else throw new Failure('protocol_violation', `invalid DESCRIBE message subtype ${kind}`)
    out.raw(fields === undefined ? messages.noData : this.#shapes.of(fields, formats).description)
    return END
  }

  #execute(body: BodyReader): Step {
    const name = body.cstring()
    const maxRows = body.i32()
    body.finish()
    const portal = this.#session.portals.get(name) ?? this.#noPortal(name)
    this.statements++
    this.#portal = portal
    this.#maxRows = maxRows > 0 ? maxRows : 0
    this.#shape = portal.fields && this.#shapes.of(portal.fields, this.#formats.of(name, portal))
    this.#doing = execute
    if (portal.copy !== undefined && this.#beginCopy(portal)) return END
    return this.#runPortal()
  }

  #runPortal(): Step {
    const step = this.#portal!.run(this, this.#maxRows)
    if (step === END) this.#tag(this.#portal!)
    else if (step === ROW) this.#outbox.writer.raw(messages.portalSuspended)
    else return step
    this.#doing = idle
    this.#portal = undefined
    return END
  }

  #close(body: BodyReader): Step {
    const kind = body.u8()
    const name = body.cstring()
    body.finish()
    if (kind === 0x53) this.#session.statements.delete(name)
    else if (kind === 0x50) {
      this.#session.portals.get(name)?.close()
      this.#session.portals.delete(name)
      this.#formats.closed(name)
    } else throw new Failure('protocol_violation', `invalid CLOSE message subtype ${kind}`)
    this.#outbox.writer.raw(messages.closeComplete)
    return END
  }

  #finishSync(): Step {
    const step = this.#session.sync()
    if (step !== END) return step
    this.#doing = idle
    const status = this.#session.status
    if (status === 'I') this.#formats.clear()
    messages.writeReady(this.#outbox.writer, status)
    this.#flushDue = true
    if (this.#stopping) this.#refuse()
    return END
  }

  /** Announces a COPY. True when the client speaks next. */
  #beginCopy(portal: Portal): boolean {
    const copy = portal.copy
    if (copy === undefined) return false
    messages.writeCopyResponse(this.#outbox.writer, copy.direction, copy.binary, copy.columns)
    if (copy.direction === 'out') return false
    this.#doing = copying
    this.#flushDue = true
    return true
  }

  #duringCopy(frame: FrameReader): Step {
    switch (frame.type) {
      case frontend.copyData:
        this.#doing = feeding
        return this.#feed(frame.buffer.subarray(frame.start, frame.end))
      case frontend.copyDone:
        this.#doing = copyEnd
        return this.#endCopy()
      case frontend.copyFail: {
        this.#body.open(frame)
        const reason = this.#body.cstring()
        this.#portal!.copyFail(reason)
        throw new Failure('query_canceled', `COPY from stdin failed: ${reason}`)
      }
      case frontend.flush:
      case frontend.sync:
        // Drivers that pipeline send them before they know that the statement is a COPY.
        return END
      case frontend.terminate:
        this.#ended = true
        return END
      default: {
        const type = '0x' + frame.type.toString(16).toUpperCase().padStart(2, '0')
        throw new Failure('protocol_violation', `unexpected message type ${type} during COPY from stdin`)
      }
    }
  }

  #feed(chunk: Uint8Array): Step {
    const step = this.#portal!.copyIn(chunk)
    if (step === END) this.#doing = copying
    return step
  }

  #endCopy(): Step {
    const step = this.#portal!.copyDone()
    if (step !== END) return step
    if (this.#extended) {
      this.#doing = execute
      return this.#runPortal()
    }
    this.#doing = script
    return this.#runScript()
  }

  /** An error reached the conversation: tell it, abort, and go to where the protocol continues. */
  #failed(thrown: unknown): Step {
    const error = messages.asDbError(thrown)
    if (error.code === 'internal_error')
      this.#log.error('statement-failed-internally', { stack: messages.stackOf(thrown) })
    const inSync = this.#doing === sync
    // An output function raised in the middle of a row: what is written of it must not go out.
    if (this.#rowStart >= 0) this.#outbox.writer.length = this.#rowStart
    this.#rowStart = -1
    this.#portal?.close()
    this.#portal = undefined
    this.#script = undefined
    this.#doing = idle
    if (fatal.has(error.code)) {
      this.#end(error)
      return END
    }
    messages.writeError(this.#outbox.writer, 'ERROR', error)
    // Not only at Sync: a client that sent Flush waits, and its Flush is skipped now.
    this.#flushDue = true
    try {
      this.#session.fail()
      if (this.#extended) {
        this.#skipping = true
        return END
      }
      this.#doing = sync
      return this.#finishSync()
    } catch (second) {
      // The session cannot even roll back: it is of no more use.
      this.#doing = idle
      this.#log.error('session-failed', { stack: messages.stackOf(second), inSync })
      this.#end(messages.asDbError(second))
      return END
    }
  }

  #end(error: DbError): void {
    messages.writeError(this.#outbox.writer, 'FATAL', error)
    this.#ended = true
  }

  // RowSink

  row(registers: readonly Value[]): boolean {
    const outbox = this.#outbox
    this.#rowStart = outbox.writer.length
    this.#shape!.write(registers, outbox.writer, this.#session.types)
    this.#rowStart = -1
    return outbox.writer.length < flushBytes || outbox.flush()
  }

  copyOut(bytes: Uint8Array): boolean {
    const outbox = this.#outbox
    const at = messages.begin(outbox.writer, backend.copyData)
    outbox.writer.raw(bytes)
    messages.end(outbox.writer, at)
    return outbox.writer.length < flushBytes || outbox.flush()
  }

  // SessionEvents

  notice(notice: Notice): void {
    messages.writeNotice(this.#outbox.writer, notice.severity, notice.error)
    this.#flushDue = true
    this.#afterEvent()
  }

  parameter(name: string, value: string): void {
    messages.writeParameterStatus(this.#outbox.writer, name, value)
    this.#afterEvent()
  }

  notification(processId: number, channel: string, payload: string): void {
    messages.writeNotification(this.#outbox.writer, processId, channel, payload)
    this.#afterEvent()
  }

  terminate(error: DbError): void {
    if (this.#ended) return
    this.#end(error)
    this.onIdleOutput()
  }

  #afterEvent(): void {
    if (this.#doing === idle) this.onIdleOutput()
  }
}
