/** Runs data-modifying common tables to their end, whether or not the main query reads all of their rows. */
import { END, ROW, type Step } from '../../base/index.ts'
import { type Execution, type NodeDescription, Operator } from './execution.ts'
import type { SharedRows } from './sources.ts'

export class RunFirst extends Operator {
  readonly input: Operator
  readonly tables: readonly SharedRows[]
  #at = 0
  #opened = false

  constructor(input: Operator, tables: readonly SharedRows[]) {
    super()
    this.input = input
    this.tables = tables
  }
  produces(): readonly number[] {
    return this.input.produces()
  }
  override inputs(): readonly Operator[] {
    return [this.input]
  }
  require(needed: ReadonlySet<number>): void {
    this.input.require(needed)
  }
  open(_x: Execution): void {
    this.#at = 0
    this.#opened = false
  }
  next(x: Execution): Step {
    while (this.#at < this.tables.length) {
      const table = this.tables[this.#at]
      // Only the main statement's rows count in its tag.
      const affected = x.affected
      const step = table.produce(x, Number.MAX_SAFE_INTEGER)
      x.affected = affected
      if (step !== END && step !== ROW) return step
      this.#at++
    }
    if (!this.#opened) {
      this.#opened = true
      this.input.open(x)
    }
    return this.input.next(x)
  }
  close(x: Execution): void {
    if (this.#opened) this.input.close(x)
    this.#opened = false
  }
  describe(): NodeDescription {
    return this.input.describe()
  }
}
