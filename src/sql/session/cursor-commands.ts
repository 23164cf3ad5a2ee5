/** DECLARE, FETCH, MOVE, CLOSE: cursors are portals with a name. A scrolling one keeps the rows it has read. */
import { DbError, END, ROW, type Step } from '../../base/index.ts'
import type { Node } from '../parse/parser.ts'
import type { Field, Portal, RowSink } from '../session-api.ts'
import type { Value } from '../types/type.ts'
import type { Session } from './session.ts'
import type { CommandTable } from './utility.ts'
import type { Command } from './utility-portal.ts'

export const cursorCommands: CommandTable = {
  DeclareCursorStmt: { transactional: 'inside', writes: false, run: declare },
  ClosePortalStmt: { transactional: 'itself', writes: false, run: close },
}

const cursorHold = 0x20
const cursorNoScroll = 0x4

function* declare(session: Session, node: any, text: string): Command {
  const hold = (node.options & cursorHold) !== 0
  if (session.block === 'none' && !hold)
    throw new DbError('no_active_sql_transaction', 'DECLARE CURSOR can only be used in transaction blocks')
  if (session.portals.has(node.portalname))
    throw new DbError('duplicate_cursor', `cursor "${node.portalname}" already exists`)
  const body = text.replace(/^[\s\S]*?\bFOR\b\s*/i, '')
  const statement = session.statementCache.prepare(
    body,
    { node: node.query as Node, start: 0, length: body.length },
    [],
  )
  const inner = session.statementCache.bind(statement, [], false)
  const cursor = new Cursor(session, inner, (node.options & cursorNoScroll) === 0, hold, text)
  session.portals.set(node.portalname, cursor)
  // Rows of a cursor that outlives its transaction are all read now.
  if (hold) yield* cursor.readAll()
  return { tag: 'DECLARE CURSOR' }
}

function* close(session: Session, node: any): Command {
  session.requireLive()
  if (node.portalname === undefined) {
    session.closePortals(false)
    return { tag: 'CLOSE CURSOR ALL' }
  }
  const portal = session.portals.get(node.portalname)
  if (portal === undefined) throw new DbError('invalid_cursor_name', `cursor "${node.portalname}" does not exist`)
  portal.close()
  session.portals.delete(node.portalname)
  return { tag: 'CLOSE CURSOR' }
}

/** A portal whose rows are kept, so that it can move both ways. */
export class Cursor implements Portal {
  readonly fields: readonly Field[] | undefined
  readonly copy = undefined
  readonly held: boolean
  readonly scroll: boolean
  readonly text: string
  /** When it was declared, microseconds since 2000. */
  readonly declaredMicros: number
  tag = ''
  /** Rows read so far; `at` is the current one, 0 before the first. */
  readonly rows: Value[][] = []
  at = 0
  complete = false
  readonly #session: Session
  readonly #inner: Portal
  readonly #slots: number[]

  constructor(session: Session, inner: Portal, scroll: boolean, held: boolean, text: string) {
    this.#session = session
    this.#inner = inner
    this.scroll = scroll
    this.held = held
    this.text = text
    this.declaredMicros = session.types.statementMicros
    const fields = inner.fields ?? []
    this.#slots = fields.map((f) => f.slot)
    this.fields = fields.map((f, i) => ({ ...f, slot: i }))
  }

  /** Reads until `count` rows are kept: END when so or complete, else WAIT or YIELD. */
  fill(count: number): Step {
    while (!this.complete && this.rows.length < count) {
      const wanted = Math.min(count - this.rows.length, 1000)
      const step = this.#inner.run({ row: (r) => this.#keep(r), copyOut: () => true }, wanted)
      if (step === END) this.complete = true
      else if (step !== ROW) return step
    }
    return END
  }
  #keep(registers: readonly Value[]): boolean {
    this.rows.push(this.#slots.map((s) => registers[s]))
    return true
  }
  *readAll(): Generator<Step, void, void> {
    for (;;) {
      const step = this.fill(Number.POSITIVE_INFINITY)
      if (step === END) return
      yield step
    }
  }
  /** Execute on a cursor by the extended protocol: the next rows. */
  run(sink: RowSink, maxRows: number): Step {
    for (let n = 0; maxRows === 0 || n < maxRows; n++) {
      const step = this.fill(this.at + 1)
      if (step !== END) return step
      if (this.at >= this.rows.length) {
        this.tag = `SELECT ${this.rows.length}`
        return END
      }
      sink.row(this.rows[this.at++])
    }
    return ROW
  }
  ready(): Promise<void> {
    return this.#session.ready()
  }
  copyIn(): Step {
    throw new DbError('protocol_violation', 'unexpected copy data')
  }
  copyDone(): Step {
    throw new DbError('protocol_violation', 'unexpected end of copy')
  }
  copyFail(): void {}
  close(): void {
    this.#inner.close()
  }
}

const all = 0x7fffffff

export function fetchPortal(session: Session, node: any, last: boolean): Portal {
  session.requireLive()
  const cursor = session.portals.get(node.portalname)
  if (!(cursor instanceof Cursor))
    throw new DbError('invalid_cursor_name', `cursor "${node.portalname}" does not exist`)
  return new FetchPortal(session, cursor, node, last)
}

class FetchPortal implements Portal {
  readonly fields: readonly Field[] | undefined
  readonly copy = undefined
  tag = ''
  readonly #session: Session
  readonly #cursor: Cursor
  readonly #node: any
  readonly #last: boolean
  #rows: readonly Value[][] | undefined
  #at = 0

  constructor(session: Session, cursor: Cursor, node: any, last: boolean) {
    this.#session = session
    this.#cursor = cursor
    this.#node = node
    this.#last = last
    this.fields = node.ismove ? undefined : cursor.fields
  }

  run(sink: RowSink): Step {
    if (this.#rows === undefined) {
      const step = this.#move()
      if (step !== END) return step
    }
    const rows = this.#rows!
    if (!this.#node.ismove) while (this.#at < rows.length) sink.row(rows[this.#at++])
    this.tag = `${this.#node.ismove ? 'MOVE' : 'FETCH'} ${rows.length}`
    if (this.#last && this.#session.finishImplicit() !== END) return this.#session.finishImplicit()
    return END
  }

  /** Which rows are asked for; the cursor's new place. */
  #move(): Step {
    const c = this.#cursor
    const howMany = Number(this.#node.howMany ?? 0)
    let { direction } = this.#node
    let count = Math.abs(howMany)
    if (howMany < 0 && (direction === 'FETCH_FORWARD' || direction === 'FETCH_BACKWARD'))
      direction = direction === 'FETCH_FORWARD' ? 'FETCH_BACKWARD' : 'FETCH_FORWARD'
    if (count >= all) count = Number.POSITIVE_INFINITY
    if (direction === 'FETCH_FORWARD') {
      const step = c.fill(c.at + count)
      if (step !== END) return step
      if (count === 0) {
        this.#rows = c.at > 0 && c.at <= c.rows.length ? [c.rows[c.at - 1]] : []
        return END
      }
      this.#rows = c.rows.slice(c.at, c.at + count)
      c.at = this.#rows.length < count ? c.rows.length + 1 : c.at + count
      return END
    }
    if (direction === 'FETCH_BACKWARD') {
      this.#requireScroll()
      const from = Math.max(0, Math.min(c.at, c.rows.length + 1) - 1)
      const low = Math.max(0, from - count)
      this.#rows = c.rows.slice(low, from).reverse()
      c.at = this.#rows.length < count ? 0 : low + 1
      return END
    }
    return this.#place(direction, howMany)
  }

  #place(direction: string, howMany: number): Step {
    const c = this.#cursor
    let target = direction === 'FETCH_RELATIVE' ? c.at + howMany : howMany
    if (target < 0) {
      const step = c.fill(Number.POSITIVE_INFINITY)
      if (step !== END) return step
      target = c.rows.length + 1 + target
    } else {
      const step = c.fill(target)
      if (step !== END) return step
    }
    if (target < c.at) this.#requireScroll()
    this.#rows = target >= 1 && target <= c.rows.length ? [c.rows[target - 1]] : []
    c.at = Math.max(0, Math.min(target, c.rows.length + 1))
    return END
  }

  #requireScroll(): void {
    if (!this.#cursor.scroll) {
      throw new DbError('object_not_in_prerequisite_state', 'cursor can only scan forward', {
        hint: 'Declare it with SCROLL option to enable backward scan.',
      })
    }
  }

  ready(): Promise<void> {
    return this.#session.ready()
  }
  copyIn(): Step {
    throw new DbError('protocol_violation', 'unexpected copy data')
  }
  copyDone(): Step {
    throw new DbError('protocol_violation', 'unexpected end of copy')
  }
  copyFail(): void {}
  close(): void {}
}
