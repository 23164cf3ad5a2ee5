/**
 * What a running statement is: a register file that every operator reads and writes, parameters, and its transaction.
 *
 *   scan writes r[3], r[4]  →  filter reads r[3]  →  project writes r[9]  →  the sink reads r[9]
 *
 * Rows are never copied between operators: each column of each plan node has its register. Operators that must keep
 * rows (sort, hash) save and restore the registers that are needed above them.
 *
 * Not here: planning, the client's row format.
 */
import { DbError, type Step, WAIT } from '../../base/index.ts'
import type { Transaction } from '../../transaction/index.ts'
import type { TypeContext, Value } from '../types/type.ts'
import type { ExecutionSession } from './session.ts'

export type Eval = (x: Execution) => Value

/** Thrown by expressions whose sub-plan must wait; the driver catches it and calls the plan again. */
export const suspended = Symbol('suspended')

/** A slice of work between turns of the loop. Microseconds. */
const sliceMicros = 5_000

export class Execution {
  readonly r: Value[]
  p: readonly Value[]
  readonly tx: Transaction
  readonly session: ExecutionSession
  readonly types: TypeContext
  /** What the last WAIT waits for. */
  blocker: { ready(): Promise<void> } | undefined
  /** The step behind a `suspended`. */
  suspendedStep: Step = WAIT
  /** Rows that a data-modifying statement changed, for its command tag. */
  affected = 0
  deadline = 0
  #memory = 0
  /** Common tables' rows and the like, made at most once per execution; keyed by plan objects. */
  readonly shared = new Map<object, any>()
  /** Functions of SQL and other nested executions. */
  readonly depth: number
  /** Checks to run when the statement ends (foreign keys, deferred by the statement). */
  readonly afterStatement: ((x: Execution) => Generator<Step, void, void>)[] = []

  constructor(registers: number, parameters: readonly Value[], tx: Transaction, session: ExecutionSession, depth = 0) {
    this.r = new Array(registers).fill(undefined)
    this.p = parameters
    this.tx = tx
    this.session = session
    this.types = session.types
    this.depth = depth
  }

  startSlice(): void {
    this.deadline = this.session.clock.monotonicMicros() + sliceMicros
  }

  /** True when the slice is used up; raises query_canceled. Called about every thousand rows. */
  get spent(): boolean {
    if (this.session.cancelled !== undefined) throw this.session.cancelled
    return this.session.clock.monotonicMicros() > this.deadline
  }

  /** Out of an expression, back to the driver. */
  suspend(step: Step): never {
    this.suspendedStep = step
    throw suspended
  }

  /** Accounts for kept rows. Raises out_of_memory above the statement's hard limit. */
  grow(bytes: number): void {
    this.#memory += bytes
    if (this.#memory > this.session.statementMemory) {
      throw new DbError('out_of_memory', 'the statement needs more memory than a statement may use', {
        detail: `Limit: ${this.session.statementMemory} bytes (lattice.statement_memory).`,
        hint: 'Add a condition or an index, or raise lattice.statement_memory.',
      })
    }
  }

  shrink(bytes: number): void {
    this.#memory -= bytes
  }
}

/** A node of an executable plan. One tree serves one execution at a time; `open` starts it afresh. */
export abstract class Operator {
  /** Registers this node and its inputs set. */
  abstract produces(): readonly number[]
  /** Tells which registers are read above; called once, from the root down, before the first `open`. */
  abstract require(needed: ReadonlySet<number>): void
  abstract open(x: Execution): void
  abstract next(x: Execution): Step
  abstract close(x: Execution): void
  /** Inputs, outermost first, for EXPLAIN. */
  inputs(): readonly Operator[] {
    return []
  }
  /** Estimates, for EXPLAIN and costs. */
  rows = 1
  startupCost = 0
  totalCost = 0
  width = 0
  /** The node's line and detail lines in EXPLAIN. */
  abstract describe(): NodeDescription
}

export interface NodeDescription {
  readonly name: string
  /** "on orders o", "using orders_pkey on orders". */
  readonly target?: string
  readonly details?: readonly (readonly [label: string, text: string])[]
  readonly properties?: Readonly<Record<string, unknown>>
}
