/**
 * A portal over a plan: begins the statement, runs the operators in slices, hands rows to the sink.
 *
 * READ COMMITTED starts over with a new snapshot when a join meets a changed row, as long as no row has left.
 */
import { DbError, END, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import { rerunStatement, type Savepoint } from '../../transaction/index.ts'
import { Execution, suspended } from '../execute/execution.ts'
import type { Field, Portal, RowSink } from '../session-api.ts'
import type { Value } from '../types/type.ts'
import { type Plan, relyOnWritten } from './plan.ts'
import type { Session } from './session.ts'
import { boundStaleness } from './staleness.ts'
import type { PreparedStatement } from './statements.ts'

type State = 'new' | 'locking' | 'running' | 'checking' | 'committing' | 'done'

export class QueryPortal implements Portal {
  readonly copy = undefined
  tag = ''
  readonly held: boolean = false
  #statement: PreparedStatement
  readonly #session: Session
  #values: readonly Value[]
  readonly #last: boolean
  readonly #text: string
  #plan: Plan | undefined
  /** As they were asked for first: whoever takes rows may have noted the slots. */
  #fields: readonly Field[] | undefined
  /** Slots of the plan that is run, when they are others. */
  #moved: readonly number[] | undefined
  #x: Execution | undefined
  #state: State = 'new'
  #rows = 0
  #lock = 0
  #waited = false
  #savepoint: Savepoint | undefined
  #localMark = 0
  #check: Generator<Step, void, void> | undefined
  #timer: { cancel(): void } | undefined

  constructor(session: Session, statement: PreparedStatement, values: readonly Value[], last: boolean, text: string) {
    this.#session = session
    this.#statement = statement
    this.#values = values
    this.#last = last
    this.#text = text
  }

  get fields(): readonly Field[] | undefined {
    if (this.#statement.fields === undefined) return undefined
    if (this.#fields === undefined) {
      const plan = this.#claim()
      this.#fields = plan.fields
    }
    return this.#fields
  }

  #claim(): Plan {
    if (this.#plan === undefined) {
      this.#plan = this.#session.statementCache.planOf(this.#statement, false)
      this.#plan.busy = true
    }
    return this.#plan
  }

  /** What the statement names may have changed since it was bound, or planned: it is run by what it means now. */
  #renew(): void {
    const { statementCache } = this.#session
    const statement = statementCache.renewed(this.#statement, this.#text)
    if (statement !== this.#statement) {
      this.#statement = statement
      this.#values = []
    }
    if (this.#plan !== undefined && !statementCache.current(this.#plan, statement)) {
      this.#plan.busy = false
      this.#plan = undefined
    }
    const { fields } = this.#claim()
    this.#moved =
      this.#fields !== undefined && fields?.some((f, i) => f.slot !== this.#fields![i].slot)
        ? fields.map((f) => f.slot)
        : undefined
  }

  /** A row as the sink was told that it comes. */
  #placed(registers: readonly Value[], moved: readonly number[]): Value[] {
    const out: Value[] = []
    this.#fields!.forEach((f, i) => {
      out[f.slot] = registers[moved[i]]
    })
    return out
  }

  run(sink: RowSink, maxRows: number): Step {
    const session = this.#session
    try {
      const step = this.#advance(sink, maxRows)
      if (step === END) this.#release()
      return step
    } catch (error) {
      this.#release()
      if (session.cancelled !== undefined && error === session.cancelled) session.cancelled = undefined
      throw error
    }
  }

  #advance(sink: RowSink, maxRows: number): Step {
    const session = this.#session
    if (this.#state === 'new') this.#begin()
    if (this.#state === 'locking') {
      for (;;) {
        const step = this.#lockTables()
        if (step !== ROW) return step
        if (!this.#waited) break
        // What was waited for may have changed the tables, and lead to others.
        this.#waited = false
        this.#lock = 0
        this.#renew()
      }
      this.#start()
    }
    if (this.#state === 'running') {
      const step = this.#pull(sink, maxRows)
      if (step !== END) return step
      this.#x!.startSlice()
      this.#state = 'checking'
    }
    if (this.#state === 'checking') {
      const step = this.#afterStatement()
      if (step !== END) return step
      this.#finish()
      this.#state = 'committing'
    }
    if (this.#state === 'committing') {
      if (this.#last) {
        const step = session.finishImplicit()
        if (step === WAIT) return WAIT
      }
      this.#state = 'done'
    }
    return END
  }

  #begin(): void {
    const session = this.#session
    this.#timer = session.limitStatement()
    session.transaction()
    this.#renew()
    this.#state = 'locking'
  }

  #lockTables(): Step {
    const session = this.#session
    const tx = session.transaction()
    const { locks, writes } = this.#plan!
    if (writes && tx.readOnly)
      throw new DbError(
        'read_only_sql_transaction',
        `cannot execute ${this.#plan!.command.toUpperCase()} in a read-only transaction`,
      )
    while (this.#lock < locks.length) {
      const lock = locks[this.#lock]
      const step = tx.lockTable(lock.key, lock.mode)
      if (step === WAIT) {
        session.blocker = tx.blocker
        this.#waited = true
        return WAIT
      }
      this.#lock++
    }
    return ROW
  }

  #start(): void {
    const session = this.#session
    const plan = this.#plan!
    session.startStatement()
    if (session.maxStaleness > 0 && !plan.writes) boundStaleness(session, plan.locks)
    session.refreshCache()
    const tx = session.transaction()
    relyOnWritten(session, plan)
    const x = new Execution(plan.registers, this.#values, tx, session)
    x.startSlice()
    plan.builder.running = x
    session.running = x
    this.#savepoint = plan.writes ? tx.savepoint() : undefined
    this.#localMark = session.local?.writes.mark ?? 0
    for (const reset of plan.resets) reset(x)
    this.#x = x
    this.#rows = 0
    plan.operator.open(x)
    this.#state = 'running'
  }

  #pull(sink: RowSink, maxRows: number): Step {
    const x = this.#x!
    const { operator, fields } = this.#plan!
    x.startSlice()
    this.#session.running = x
    let count = 0
    const started = this.#rows
    for (;;) {
      let step: Step
      x.tx.rerunnable = this.#rows === 0 && x.tx.isolation === 'read committed'
      try {
        step = operator.next(x)
        x.tx.rerunnable = false
      } catch (error) {
        x.tx.rerunnable = false
        if (error === suspended) step = x.suspendedStep
        else if (error === rerunStatement && this.#rows === 0) {
          this.#restart()
          return YIELD
        } else if (error === rerunStatement) {
          throw new DbError('serialization_failure', 'could not serialize access due to concurrent update', {
            hint: 'The transaction might succeed if retried.',
          })
        } else throw error
      }
      if (step === ROW) {
        if (fields === undefined) continue
        this.#rows++
        count++
        const room = sink.row(this.#moved === undefined ? x.r : this.#placed(x.r, this.#moved))
        if (maxRows > 0 && count >= maxRows) return ROW
        if (!room) return YIELD
        if ((this.#rows - started) % 4096 === 0 && x.spent) return YIELD
        continue
      }
      if (step === WAIT) this.#session.blocker = x.blocker
      return step
    }
  }

  /** Runs the statement again from the start: nothing of it has been seen, its locks stay. */
  #restart(): void {
    const session = this.#session
    const tx = session.transaction()
    const x = this.#x!
    this.#plan!.operator.close(x)
    if (this.#savepoint !== undefined) tx.overlay.rollback(this.#savepoint.overlay)
    session.local?.writes.rollbackTo(this.#localMark)
    tx.refreshSnapshot()
    x.affected = 0
    x.afterStatement.length = 0
    const fresh = new Execution(this.#plan!.registers, this.#values, tx, session)
    fresh.startSlice()
    for (const reset of this.#plan!.resets) reset(fresh)
    this.#plan!.builder.running = fresh
    session.running = fresh
    this.#x = fresh
    this.#plan!.operator.open(fresh)
  }

  #afterStatement(): Step {
    const x = this.#x!
    for (;;) {
      if (this.#check === undefined) {
        const next = x.afterStatement.shift()
        if (next === undefined) return END
        this.#check = next(x)
      }
      const result = this.#check.next()
      if (!result.done) {
        this.#session.blocker = x.blocker
        return result.value
      }
      this.#check = undefined
    }
  }

  #finish(): void {
    const x = this.#x!
    const plan = this.#plan!
    this.#session.noteSeen(x.tx.snapshot)
    plan.operator.close(x)
    switch (plan.command) {
      case 'select':
        this.tag = `SELECT ${this.#rows}`
        break
      case 'insert':
        this.tag = `INSERT 0 ${x.affected}`
        break
      default:
        this.tag = `${plan.command.toUpperCase()} ${x.affected}`
    }
  }

  #release(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#x !== undefined && this.#rows > 0) this.#session.noteSeen(this.#x.tx.snapshot)
    const plan = this.#plan
    if (plan !== undefined) {
      if (this.#x !== undefined && this.#state !== 'done' && this.#state !== 'committing') plan.operator.close(this.#x)
      plan.busy = false
      plan.builder.running = undefined
    }
    this.#state = 'done'
    this.#x = undefined
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
    if (this.#state !== 'done') this.#release()
    else if (this.#plan !== undefined) this.#plan.busy = false
  }
}
