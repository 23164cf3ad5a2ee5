/**
 * What a hash table that is full does with the rest of its input: rows that the table knows still go there; the others
 * are sorted, which spills to disk, and come back with equal keys side by side.
 *
 *   input ──► Unmatched ──(row of a group in the table)──► the table
 *                 └──────(any other row)──► Sort ──► a group at a time
 *
 * Grouping sets have a table each: a row goes on once for every table that does not take it.
 */
import { ROW, type Step } from '../../base/index.ts'
import type { Type } from '../types/type.ts'
import { type Execution, type NodeDescription, Operator } from './execution.ts'
import { Sort } from './sort.ts'

/** The rows of an input that is open already and that the table does not take. */
class Unmatched extends Operator {
  readonly input: Operator
  readonly keys: readonly number[]
  readonly tables: number
  readonly take: (x: Execution, table: number) => boolean
  /** A row of the input is in the registers, and which table it is for next. */
  #arrived = false
  #table = 0

  constructor(
    input: Operator,
    keys: readonly number[],
    tables: number,
    take: (x: Execution, table: number) => boolean,
  ) {
    super()
    this.input = input
    this.keys = keys
    this.tables = tables
    this.take = take
  }
  produces(): readonly number[] {
    return [...this.input.produces(), ...this.keys]
  }
  require(): void {
    // The input was told when the statement was planned.
  }
  open(): void {
    // The input is open, and some of it read.
  }
  next(x: Execution): Step {
    for (;;) {
      if (!this.#arrived) {
        const step = this.input.next(x)
        if (step !== ROW) return step
        this.#arrived = true
        this.#table = 0
      }
      while (this.#table < this.tables) {
        const taken = this.take(x, this.#table)
        this.#table++
        if (!taken) return ROW
      }
      this.#arrived = false
    }
  }
  close(x: Execution): void {
    this.input.close(x)
  }
  describe(): NodeDescription {
    return { name: 'Unmatched' }
  }
}

export interface OverflowOptions {
  readonly input: Operator
  /** Where the keys stand once `take` has returned false. */
  readonly keys: readonly { readonly register: number; readonly type: Type }[]
  /** Registers read of the rows that come back. */
  readonly needed: ReadonlySet<number>
  readonly typeOfRegister: (register: number) => Type | undefined
  /** How many tables there are; default 1. */
  readonly tables?: number
  /** True when the table has taken the row in the registers. */
  readonly take: (x: Execution, table: number) => boolean
}

/** The rows not taken, sorted by their keys; undefined where rows cannot be put on disk. */
export function overflow(x: Execution, options: OverflowOptions): Operator | undefined {
  const { input, keys, typeOfRegister } = options
  const rest = new Unmatched(
    input,
    keys.map((k) => k.register),
    options.tables ?? 1,
    options.take,
  )
  const needed = new Set([...options.needed, ...keys.map((k) => k.register)])
  const produced = rest.produces()
  const known = produced.every((r) => !needed.has(r) || typeOfRegister(r) !== undefined)
  if (!x.session.spill.available || !known) return undefined
  const order = keys.map((k) => ({ ...k, descending: false, nullsFirst: false, text: '' }))
  const sort = new Sort(rest, order, typeOfRegister)
  sort.require(needed)
  return sort
}
