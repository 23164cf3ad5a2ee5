/**
 * Bridges between numbering: a sub-query's outputs as an entry's columns, and sources whose columns are known only when
 * the whole plan is (a register is given to a column at its first use, which may be above).
 */
import { ROW, type Step } from '../../base/index.ts'
import { type Execution, type NodeDescription, Operator } from './execution.ts'

const presence = -100

/** Copies a sub-query's outputs to the registers of the entry's columns. */
export class Rename extends Operator {
  readonly input: Operator
  readonly #byColumn: ReadonlyMap<number, number>
  readonly #outputs: readonly number[]
  #from: number[] = []
  #to: number[] = []
  #presence = -1

  constructor(input: Operator, byColumn: ReadonlyMap<number, number>, outputs: readonly number[]) {
    super()
    this.input = input
    this.#byColumn = byColumn
    this.#outputs = outputs
  }
  produces(): readonly number[] {
    return [...this.#byColumn.values()]
  }
  override inputs(): readonly Operator[] {
    return [this.input]
  }
  require(_needed: ReadonlySet<number>): void {
    this.input.require(new Set(this.#outputs))
  }
  open(x: Execution): void {
    this.#from = []
    this.#to = []
    for (const [column, register] of this.#byColumn) {
      if (column > 0) {
        this.#from.push(this.#outputs[column - 1])
        this.#to.push(register)
      }
    }
    this.#presence = this.#byColumn.get(presence) ?? -1
    this.input.open(x)
  }
  next(x: Execution): Step {
    const step = this.input.next(x)
    if (step !== ROW) return step
    for (let i = 0; i < this.#from.length; i++) x.r[this.#to[i]] = x.r[this.#from[i]]
    if (this.#presence >= 0) x.r[this.#presence] = true
    return ROW
  }
  close(x: Execution): void {
    this.input.close(x)
  }
  describe(): NodeDescription {
    return { name: 'Subquery Scan' }
  }
}

/** A source made at its first opening, when every column that is read has its register. */
export class LateRegisters extends Operator {
  readonly #make: (byColumn: ReadonlyMap<number, number>) => Operator
  readonly #byColumn: ReadonlyMap<number, number>
  #source: Operator | undefined
  #presence = -1

  constructor(make: (byColumn: ReadonlyMap<number, number>) => Operator, byColumn: ReadonlyMap<number, number>) {
    super()
    this.#make = make
    this.#byColumn = byColumn
  }
  get source(): Operator {
    this.#source ??= this.#make(this.#byColumn)
    return this.#source
  }
  produces(): readonly number[] {
    return [...this.#byColumn.values()]
  }
  require(_needed: ReadonlySet<number>): void {}
  open(x: Execution): void {
    this.#presence = this.#byColumn.get(presence) ?? -1
    this.source.open(x)
  }
  next(x: Execution): Step {
    const step = this.#source!.next(x)
    if (step === ROW && this.#presence >= 0) x.r[this.#presence] = true
    return step
  }
  close(x: Execution): void {
    this.#source?.close(x)
  }
  describe(): NodeDescription {
    return this.source.describe()
  }
}
