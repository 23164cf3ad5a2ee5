/** The simple operators: one row, filter, projection, set-returning targets, limit, materialized rows, values, append. */
import { DbError, END, ROW, type Step, YIELD } from '../../base/index.ts'
import type { Value } from '../types/type.ts'
import { type Eval, type Execution, type NodeDescription, Operator } from './execution.ts'

/** One empty row: a query without FROM. */
export class OneRow extends Operator {
  #done = false

  produces(): readonly number[] {
    return []
  }
  require(): void {}
  open(): void {
    this.#done = false
  }
  next(): Step {
    if (this.#done) return END
    this.#done = true
    return ROW
  }
  close(): void {}
  describe(): NodeDescription {
    return { name: 'Result' }
  }
}

/** No rows at all: a condition that is never true. */
export class NoRows extends Operator {
  readonly #registers: readonly number[]

  constructor(registers: readonly number[]) {
    super()
    this.#registers = registers
  }
  produces(): readonly number[] {
    return this.#registers
  }
  require(): void {}
  open(): void {}
  next(): Step {
    return END
  }
  close(): void {}
  describe(): NodeDescription {
    return { name: 'Result', details: [['One-Time Filter', 'false']] }
  }
}

abstract class OneInput extends Operator {
  input: Operator

  constructor(input: Operator) {
    super()
    this.input = input
  }
  produces(): readonly number[] {
    return this.input.produces()
  }
  override inputs(): readonly Operator[] {
    return [this.input]
  }
  open(x: Execution): void {
    this.input.open(x)
  }
  close(x: Execution): void {
    this.input.close(x)
  }
}

export interface Condition {
  readonly eval: Eval
  readonly uses: ReadonlySet<number>
  readonly suspends: boolean
  readonly text: string
}

export class Filter extends OneInput {
  readonly condition: Condition
  #held = false

  constructor(input: Operator, condition: Condition) {
    super(input)
    this.condition = condition
  }
  require(needed: ReadonlySet<number>): void {
    this.input.require(union(needed, this.condition.uses))
  }
  override open(x: Execution): void {
    this.#held = false
    super.open(x)
  }
  next(x: Execution): Step {
    const { eval: test, suspends } = this.condition
    for (;;) {
      if (!this.#held) {
        const step = this.input.next(x)
        if (step !== ROW) return step
      }
      this.#held = suspends
      const pass = test(x)
      this.#held = false
      if (pass === true) return ROW
    }
  }
  describe(): NodeDescription {
    return { name: 'Result', details: [['Filter', this.condition.text]] }
  }
}

/** Tests a condition once, before its input is opened: one without variables. */
export class OneTimeFilter extends OneInput {
  readonly condition: Condition
  #state: 'new' | 'pass' | 'fail' = 'new'

  constructor(input: Operator, condition: Condition) {
    super(input)
    this.condition = condition
  }
  require(needed: ReadonlySet<number>): void {
    this.input.require(needed)
  }
  override open(): void {
    this.#state = 'new'
  }
  next(x: Execution): Step {
    if (this.#state === 'new') {
      const pass = this.condition.eval(x) === true
      this.#state = pass ? 'pass' : 'fail'
      if (pass) this.input.open(x)
    }
    return this.#state === 'pass' ? this.input.next(x) : END
  }
  override close(x: Execution): void {
    if (this.#state === 'pass') this.input.close(x)
    this.#state = 'new'
  }
  describe(): NodeDescription {
    return { name: 'Result', details: [['One-Time Filter', this.condition.text]] }
  }
}

export interface Computation {
  readonly eval: Eval
  readonly register: number
  readonly uses: ReadonlySet<number>
  readonly suspends: boolean
}

/** Computes expressions into registers. */
export class Project extends OneInput {
  readonly computations: readonly Computation[]
  readonly #evals: readonly Eval[]
  readonly #registers: readonly number[]
  readonly #suspends: boolean
  /** The computation that suspended; those before it have been made and do not begin again: they may have had effects. */
  #at = -1

  constructor(input: Operator, computations: readonly Computation[]) {
    super(input)
    this.computations = computations
    this.#evals = computations.map((c) => c.eval)
    this.#registers = computations.map((c) => c.register)
    this.#suspends = computations.some((c) => c.suspends)
  }
  override produces(): readonly number[] {
    return [...this.input.produces(), ...this.#registers]
  }
  require(needed: ReadonlySet<number>): void {
    const all = new Set(needed)
    for (const c of this.computations) for (const u of c.uses) all.add(u)
    this.input.require(all)
  }
  override open(x: Execution): void {
    this.#at = -1
    super.open(x)
  }
  next(x: Execution): Step {
    if (this.#at < 0) {
      const step = this.input.next(x)
      if (step !== ROW) return step
    }
    const evals = this.#evals
    const registers = this.#registers
    const r = x.r
    if (!this.#suspends) {
      for (let i = 0; i < evals.length; i++) r[registers[i]] = evals[i](x)
      return ROW
    }
    for (let i = Math.max(this.#at, 0); i < evals.length; i++) {
      this.#at = i
      r[registers[i]] = evals[i](x)
    }
    this.#at = -1
    return ROW
  }
  describe(): NodeDescription {
    return { name: 'Project' }
  }
}

/** A set-returning target: its rows appear side by side with other sets', NULL-padded to the longest. */
export interface SetComputation {
  readonly iterate: (x: Execution) => Iterable<Value>
  readonly register: number
  readonly uses: ReadonlySet<number>
}

export class ProjectSet extends OneInput {
  readonly sets: readonly SetComputation[]
  #iterators: (Iterator<Value> | undefined)[] | undefined
  #emitted = 0

  constructor(input: Operator, sets: readonly SetComputation[]) {
    super(input)
    this.sets = sets
  }
  override produces(): readonly number[] {
    return [...this.input.produces(), ...this.sets.map((s) => s.register)]
  }
  require(needed: ReadonlySet<number>): void {
    const all = new Set(needed)
    for (const s of this.sets) for (const u of s.uses) all.add(u)
    this.input.require(all)
  }
  override open(x: Execution): void {
    this.#iterators = undefined
    super.open(x)
  }
  next(x: Execution): Step {
    for (;;) {
      if (this.#iterators === undefined) {
        const step = this.input.next(x)
        if (step !== ROW) return step
        this.#iterators = this.sets.map((s) => s.iterate(x)[Symbol.iterator]())
      }
      if ((++this.#emitted & 1023) === 0 && x.spent) {
        return YIELD
      }
      let any = false
      this.#iterators.forEach((it, i) => {
        const result = it?.next()
        if (result === undefined || result.done) {
          this.#iterators![i] = undefined
          x.r[this.sets[i].register] = null
        } else {
          any = true
          x.r[this.sets[i].register] = result.value
        }
      })
      if (any) return ROW
      this.#iterators = undefined
    }
  }
  describe(): NodeDescription {
    return { name: 'ProjectSet' }
  }
}

export class Limit extends OneInput {
  readonly count: Eval | undefined
  readonly offset: Eval | undefined
  #left = 0
  #skip = 0
  #started = false

  constructor(input: Operator, count: Eval | undefined, offset: Eval | undefined) {
    super(input)
    this.count = count
    this.offset = offset
  }
  require(needed: ReadonlySet<number>): void {
    this.input.require(needed)
  }
  override open(x: Execution): void {
    this.#started = false
    super.open(x)
  }
  next(x: Execution): Step {
    if (!this.#started) {
      this.#left = limitOf(this.count, x, 'LIMIT') ?? Number.POSITIVE_INFINITY
      this.#skip = limitOf(this.offset, x, 'OFFSET') ?? 0
      this.#started = true
    }
    if (this.#left <= 0) return END
    while (this.#skip > 0) {
      const step = this.input.next(x)
      if (step !== ROW) return step
      this.#skip--
    }
    const step = this.input.next(x)
    if (step === ROW) this.#left--
    return step
  }
  describe(): NodeDescription {
    return { name: 'Limit' }
  }
}

/** The value of a LIMIT or OFFSET expression; undefined for NULL. */
export function limitOf(expr: Eval | undefined, x: Execution, what: 'LIMIT' | 'OFFSET'): number | undefined {
  const value = expr?.(x)
  if (value === undefined || value === null) return undefined
  if (value < 0) {
    throw new DbError(
      what === 'LIMIT' ? 'invalid_row_count_in_limit_clause' : 'invalid_row_count_in_result_offset_clause',
      `${what} must not be negative`,
    )
  }
  return Number(value)
}

/** LIMIT … WITH TIES: goes on while rows equal the last one in the sort order. */
export class LimitWithTies extends OneInput {
  readonly count: Eval
  readonly offset: Eval | undefined
  readonly keys: readonly number[]
  readonly same: (a: readonly Value[], b: readonly Value[]) => boolean
  #left = 0
  #skip = 0
  #started = false
  #last: Value[] = []

  constructor(
    input: Operator,
    count: Eval,
    offset: Eval | undefined,
    keys: readonly number[],
    same: (a: readonly Value[], b: readonly Value[]) => boolean,
  ) {
    super(input)
    this.count = count
    this.offset = offset
    this.keys = keys
    this.same = same
  }
  require(needed: ReadonlySet<number>): void {
    this.input.require(union(needed, new Set(this.keys)))
  }
  override open(x: Execution): void {
    this.#started = false
    super.open(x)
  }
  next(x: Execution): Step {
    if (!this.#started) {
      this.#left = limitOf(this.count, x, 'LIMIT') ?? Number.POSITIVE_INFINITY
      this.#skip = limitOf(this.offset, x, 'OFFSET') ?? 0
      this.#started = true
      if (this.#left <= 0) return END
    }
    for (;;) {
      const step = this.input.next(x)
      if (step !== ROW) return step
      if (this.#skip > 0) {
        this.#skip--
        continue
      }
      const key = this.keys.map((k) => x.r[k])
      if (this.#left > 0) {
        this.#left--
        this.#last = key
        return ROW
      }
      return this.same(key, this.#last) ? ROW : END
    }
  }
  describe(): NodeDescription {
    return { name: 'Limit' }
  }
}

/** Keeps its input's rows to be read again: the inner side of a nested loop. */
export class Materialize extends OneInput {
  #registers: number[] = []
  #rows: Value[][] = []
  #complete = false
  #filled = false
  #at = 0
  #bytes = 0
  /** Rows stay valid until `close`: opening again only starts over, unless outer values changed. */
  readonly dependsOnOuter: boolean

  constructor(input: Operator, dependsOnOuter = false) {
    super(input)
    this.dependsOnOuter = dependsOnOuter
  }
  require(needed: ReadonlySet<number>): void {
    const produced = new Set(this.input.produces())
    this.#registers = [...needed].filter((r) => produced.has(r))
    this.input.require(needed)
  }
  override open(x: Execution): void {
    this.#at = 0
    if (this.#filled && !this.dependsOnOuter) return
    this.close(x)
    this.#filled = true
    this.input.open(x)
  }
  next(x: Execution): Step {
    if (this.#at < this.#rows.length) {
      const row = this.#rows[this.#at++]
      for (let i = 0; i < row.length; i++) x.r[this.#registers[i]] = row[i]
      return ROW
    }
    if (this.#complete) return END
    const step = this.input.next(x)
    if (step === ROW) {
      this.#rows.push(this.#registers.map((r) => x.r[r]))
      this.#at++
      const bytes = 32 + 16 * this.#registers.length
      this.#bytes += bytes
      x.grow(bytes)
    } else if (step === END) this.#complete = true
    return step
  }
  override close(x: Execution): void {
    if (this.#filled) this.input.close(x)
    x.shrink(this.#bytes)
    this.#bytes = 0
    this.#rows = []
    this.#complete = false
    this.#filled = false
    this.#at = 0
  }
  describe(): NodeDescription {
    return { name: 'Materialize' }
  }
}

/** A VALUES list. */
export class ValuesScan extends Operator {
  readonly rowsOf: readonly (readonly Eval[])[]
  readonly registers: readonly number[]
  readonly uses: ReadonlySet<number>
  #at = 0

  constructor(rows: readonly (readonly Eval[])[], registers: readonly number[], uses: ReadonlySet<number>) {
    super()
    this.rowsOf = rows
    this.registers = registers
    this.uses = uses
  }
  produces(): readonly number[] {
    return this.registers.filter((r) => r >= 0)
  }
  require(): void {}
  open(): void {
    this.#at = 0
  }
  next(x: Execution): Step {
    if (this.#at >= this.rowsOf.length) return END
    const row = this.rowsOf[this.#at]
    for (let i = 0; i < row.length; i++) if (this.registers[i] >= 0) x.r[this.registers[i]] = row[i](x)
    this.#at++
    return ROW
  }
  close(): void {}
  describe(): NodeDescription {
    return { name: 'Values Scan', target: 'on "*VALUES*"' }
  }
}

/** Several inputs one after the other, each computing the same registers. */
export class Append extends Operator {
  readonly parts: readonly Operator[]
  readonly registers: readonly number[]
  #at = 0

  constructor(parts: readonly Operator[], registers: readonly number[]) {
    super()
    this.parts = parts
    this.registers = registers
  }
  produces(): readonly number[] {
    return this.registers
  }
  override inputs(): readonly Operator[] {
    return this.parts
  }
  require(needed: ReadonlySet<number>): void {
    for (const p of this.parts) p.require(needed)
  }
  open(x: Execution): void {
    this.#at = 0
    this.parts[0]?.open(x)
  }
  next(x: Execution): Step {
    while (this.#at < this.parts.length) {
      const step = this.parts[this.#at].next(x)
      if (step !== END) return step
      this.parts[this.#at].close(x)
      this.#at++
      if (this.#at < this.parts.length) this.parts[this.#at].open(x)
    }
    return END
  }
  close(x: Execution): void {
    if (this.#at < this.parts.length) this.parts[this.#at].close(x)
    this.#at = this.parts.length
  }
  describe(): NodeDescription {
    return { name: 'Append' }
  }
}

export function union(a: ReadonlySet<number>, b: ReadonlySet<number>): Set<number> {
  const out = new Set(a)
  for (const v of b) out.add(v)
  return out
}
