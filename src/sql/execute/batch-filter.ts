/**
 * Conditions of a scan tested for a batch at a time. Rows that the code cannot decide about are marked, and tested by the
 * row tier when their turn comes, so that an error is raised where it would be, or not at all behind a LIMIT.
 *
 * Not here: the loop (batch-kernel.ts).
 */
import { DbError } from '../../base/index.ts'
import type { EntryBatch } from '../../storage/index.ts'
import type { TypeContext } from '../types/type.ts'
import type { BatchExpr, BatchInputs } from './batch-expression.ts'
import { type FilterKernel, type FilterState, filterKernel } from './batch-kernel.ts'
import type { Execution } from './execution.ts'
import type { TableAccess } from './tables.ts'

export class BatchFilter {
  readonly access: TableAccess
  readonly inputs: BatchInputs
  readonly tests: readonly BatchExpr[]
  /** The tests are all of the scan's condition; else they are its first part, and rows that pass are tested again. */
  readonly whole: boolean
  /** After `select`: numbers of the rows that pass, ~number of those to be tested. */
  readonly rows = new Int32Array(1024)
  readonly #state: FilterState = { count: 0, at: 0 }
  readonly #kernels: (FilterKernel | undefined)[] = []

  constructor(access: TableAccess, inputs: BatchInputs, tests: readonly BatchExpr[], whole: boolean) {
    this.access = access
    this.inputs = inputs
    this.tests = tests
    this.whole = whole
  }

  /** False when this execution's parameters are none for the code: the row tier does it all. */
  open(x: Execution): boolean {
    return this.inputs.open(x)
  }

  /** Tests a batch; returns how many `rows` there are. */
  select(batch: EntryBatch, types: TypeContext): number {
    const state = this.#state
    state.count = 0
    for (let i = 0; i < batch.count; ) {
      const kernel = this.#kernel(layoutOf(batch, i))
      if (kernel === undefined) this.rows[state.count++] = ~i++
      else i = this.#run(kernel, batch, i, types)
    }
    return state.count
  }

  /** A row that a function raises an error for is left to the row tier, like any that the loop cannot decide about. */
  #run(kernel: FilterKernel, batch: EntryBatch, from: number, types: TypeContext): number {
    const state = this.#state
    try {
      return kernel(batch, from, batch.count, this.rows, state, types)
    } catch (error) {
      if (!(error instanceof DbError)) throw error
      this.rows[state.count++] = ~state.at
      return state.at + 1
    }
  }

  #kernel(layout: number): FilterKernel | undefined {
    if (layout >= this.access.layouts.length) return undefined
    this.#kernels[layout] ??= filterKernel(this.access, layout, this.inputs, this.tests)
    return this.#kernels[layout]
  }
}

/** The layout that a row was written with; a number that is none for what is no row. */
export function layoutOf(batch: EntryBatch, i: number): number {
  return batch.slabs[batch.slab[i]].view.getUint16(batch.valueStart[i])
}
