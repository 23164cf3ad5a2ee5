/** Constraint checks that wait for the commit (DEFERRABLE INITIALLY DEFERRED, SET CONSTRAINTS). */
import { END, type Step, WAIT } from '../../base/index.ts'
import type { Constraint } from '../catalog/descriptors.ts'
import { Execution } from '../execute/execution.ts'
import type { Writing } from '../execute/row-writer.ts'
import type { Session } from './session.ts'

type Check = (x: Execution) => Writing

export class DeferredChecks {
  #queue: Check[] = []
  #running: Writing | undefined
  #x: Execution | undefined
  /** SET CONSTRAINTS in this transaction, by constraint oid; 0 is ALL. */
  readonly #modes = new Map<number, boolean>()

  get empty(): boolean {
    return this.#queue.length === 0 && this.#running === undefined
  }
  get mark(): number {
    return this.#queue.length
  }

  defer(constraint: Constraint, check: Check): boolean {
    const deferred = this.#modes.get(constraint.oid) ?? this.#modes.get(0) ?? constraint.deferred
    if (!deferred) return false
    this.#queue.push(check)
    return true
  }
  setMode(constraint: number, deferred: boolean): void {
    if (constraint === 0) this.#modes.clear()
    this.#modes.set(constraint, deferred)
  }
  rollbackTo(mark: number): void {
    this.#queue.length = Math.min(this.#queue.length, mark)
  }
  clear(): void {
    if (this.#queue.length > 0) this.#queue = []
    this.#running = undefined
    this.#x = undefined
    if (this.#modes.size > 0) this.#modes.clear()
  }

  /** Runs all checks: END or WAIT. Raises the violation. Checks may write (cascades) and queue more. */
  run(session: Session): Step {
    if (this.#x === undefined) {
      session.startStatement()
      this.#x = new Execution(0, [], session.tx!, session)
    }
    const x = this.#x
    for (;;) {
      if (this.#running === undefined) {
        const check = this.#queue.shift() ?? x.afterStatement.shift()
        if (check === undefined) break
        this.#running = check(x)
      }
      const result = this.#running.next()
      if (!result.done) {
        session.blocker = x.blocker
        return WAIT
      }
      this.#running = undefined
    }
    this.#x = undefined
    return END
  }
}
