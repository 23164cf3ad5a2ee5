/** Rows from elsewhere than tables: functions in FROM, system relations, common tables, recursion, set operations. */
import { DbError, END, ROW, type Step, YIELD } from '../../base/index.ts'
import { systemRelation } from '../catalog/system-schema.ts'
import type { SqlRecord } from '../types/record.ts'
import type { Type, Value } from '../types/type.ts'
import { keyPart } from './aggregate.ts'
import type { Condition } from './basic.ts'
import { type Execution, type NodeDescription, Operator } from './execution.ts'

export interface TableFunction {
  /** All rows of one call: values, or arrays of column values for composite results. */
  readonly iterate: (x: Execution) => Iterable<Value>
  readonly composite: boolean
  /** Register of each column, -1 when unused. */
  readonly registers: readonly number[]
  readonly uses: ReadonlySet<number>
}

export class FunctionScan extends Operator {
  readonly functions: readonly TableFunction[]
  readonly ordinality: number
  readonly name: string
  #iterators: (Iterator<Value> | undefined)[] = []
  #ordinal = 0

  constructor(functions: readonly TableFunction[], ordinality: number, name: string) {
    super()
    this.functions = functions
    this.ordinality = ordinality
    this.name = name
  }
  produces(): readonly number[] {
    return [...this.functions.flatMap((f) => f.registers), this.ordinality].filter((r) => r >= 0)
  }
  require(): void {}
  open(_x: Execution): void {
    this.#iterators = []
    this.#ordinal = 0
  }
  next(x: Execution): Step {
    if (this.#iterators.length === 0) this.#iterators = this.functions.map((f) => f.iterate(x)[Symbol.iterator]())
    if ((this.#ordinal & 1023) === 1023 && x.spent) return YIELD
    let any = false
    this.functions.forEach((f, i) => {
      const result = this.#iterators[i]?.next()
      if (result === undefined || result.done) {
        this.#iterators[i] = undefined
        for (const r of f.registers) if (r >= 0) x.r[r] = null
        return
      }
      any = true
      if (!f.composite) {
        if (f.registers[0] >= 0) x.r[f.registers[0]] = result.value
        return
      }
      const record = result.value as SqlRecord | null
      f.registers.forEach((r, k) => {
        if (r >= 0) x.r[r] = record === null ? null : (record.values[k] ?? null)
      })
    })
    if (!any) return END
    this.#ordinal++
    if (this.ordinality >= 0) x.r[this.ordinality] = this.#ordinal
    return ROW
  }
  close(): void {
    for (const it of this.#iterators) it?.return?.()
    this.#iterators = []
  }
  describe(): NodeDescription {
    return { name: 'Function Scan', target: `on ${this.name}` }
  }
}

/** A virtual relation; an equality condition on one column goes through an index made once per catalog version. */
export class SystemScan extends Operator {
  readonly relation: number
  readonly columns: readonly number[]
  readonly registers: readonly number[]
  readonly name: string
  readonly filter: Condition | undefined
  #rows: readonly (readonly Value[])[] = []
  #at = 0
  #held = false
  readonly lookup: { readonly column: number; readonly value: (x: Execution) => Value; readonly type: Type } | undefined

  constructor(
    relation: number,
    name: string,
    byColumn: ReadonlyMap<number, number>,
    filter: Condition | undefined,
    lookup: SystemScan['lookup'],
  ) {
    super()
    this.relation = relation
    this.name = name
    this.columns = [...byColumn.keys()]
    this.registers = [...byColumn.values()]
    this.filter = filter
    this.lookup = lookup
  }
  produces(): readonly number[] {
    return this.registers
  }
  require(): void {}
  open(x: Execution): void {
    const all = systemRows(x, this.relation)
    this.#rows =
      this.lookup === undefined ? all : indexed(all, this.lookup.column, this.lookup.type, this.lookup.value(x))
    this.#at = 0
    this.#held = false
  }
  next(x: Execution): Step {
    for (;;) {
      if (!this.#held) {
        if (this.#at >= this.#rows.length) return END
        const row = this.#rows[this.#at++]
        for (let i = 0; i < this.columns.length; i++) {
          const c = this.columns[i]
          x.r[this.registers[i]] = c > 0 ? (row[c - 1] ?? null) : c === -6 ? this.relation : true
        }
      }
      if (this.filter === undefined) return ROW
      this.#held = this.filter.suspends
      const pass = this.filter.eval(x)
      this.#held = false
      if (pass === true) return ROW
    }
  }
  close(): void {
    this.#rows = []
  }
  describe(): NodeDescription {
    return {
      name: 'Seq Scan',
      target: `on ${this.name}`,
      details: this.filter === undefined ? [] : [['Filter', this.filter.text]],
    }
  }
}

function systemRows(x: Execution, oid: number): readonly (readonly Value[])[] {
  const cached = x.session.cache.get(oid)
  if (cached !== undefined) return cached
  const relation = systemRelation(oid)
  const sequence = relation === undefined ? x.session.catalog.relation(oid) : undefined
  if (sequence?.sequence !== undefined) {
    const { last, called } = x.session.sequences.current(sequence)
    return [[last, 0, called]]
  }
  if (relation?.rows === undefined) throw new DbError('undefined_table', `relation with OID ${oid} does not exist`)
  const rows = relation.rows(x.session)
  if (relation.stable) x.session.cache.set(oid, rows)
  return rows
}

const indexes = new WeakMap<readonly (readonly Value[])[], Map<number, Map<any, Value[][]>>>()

function indexed(
  rows: readonly (readonly Value[])[],
  column: number,
  type: Type,
  value: Value,
): readonly (readonly Value[])[] {
  if (value === null) return []
  let byColumn = indexes.get(rows)
  if (byColumn === undefined) {
    byColumn = new Map()
    indexes.set(rows, byColumn)
  }
  let index = byColumn.get(column)
  if (index === undefined) {
    index = new Map()
    for (const row of rows) {
      const v = row[column - 1]
      if (v === null || v === undefined) continue
      const key = type.key(v)
      const list = index.get(key)
      if (list === undefined) index.set(key, [row as Value[]])
      else list.push(row as Value[])
    }
    byColumn.set(column, index)
  }
  return index.get(type.key(value)) ?? []
}

/** Rows of a common table, computed as far as its readers need and kept for the others. */
export class SharedRows {
  readonly plan: Operator
  readonly outputs: readonly number[]

  constructor(plan: Operator, outputs: readonly number[]) {
    this.plan = plan
    this.outputs = outputs
  }
  state(x: Execution): { rows: Value[][]; complete: boolean; opened: boolean } {
    let state = x.shared.get(this)
    if (state === undefined) {
      state = { rows: [], complete: false, opened: false }
      x.shared.set(this, state)
    }
    return state
  }
  /** Makes row `at` available: ROW, END, or the plan's WAIT or YIELD. */
  produce(x: Execution, at: number): Step {
    const state = this.state(x)
    while (state.rows.length <= at) {
      if (state.complete) return END
      if (!state.opened) {
        state.opened = true
        this.plan.open(x)
      }
      const step = this.plan.next(x)
      if (step === END) {
        state.complete = true
        this.plan.close(x)
        return END
      }
      if (step !== ROW) return step
      state.rows.push(this.outputs.map((o) => x.r[o]))
      x.grow(48 + 16 * this.outputs.length)
    }
    return ROW
  }
}

export class CteScan extends Operator {
  readonly rowsOf: SharedRows
  readonly registers: readonly number[]
  readonly name: string
  #at = 0

  constructor(rows: SharedRows, registers: readonly number[], name: string) {
    super()
    this.rowsOf = rows
    this.registers = registers
    this.name = name
  }
  produces(): readonly number[] {
    return this.registers.filter((r) => r >= 0)
  }
  require(): void {}
  open(): void {
    this.#at = 0
  }
  next(x: Execution): Step {
    const step = this.rowsOf.produce(x, this.#at)
    if (step !== ROW) return step
    const row = this.rowsOf.state(x).rows[this.#at++]
    for (let i = 0; i < this.registers.length; i++) if (this.registers[i] >= 0) x.r[this.registers[i]] = row[i]
    return ROW
  }
  close(): void {}
  describe(): NodeDescription {
    return { name: 'CTE Scan', target: `on ${this.name}` }
  }
}

/** The rows of the last round of a recursive query, as its recursive term sees them. */
export class WorkTable {
  rows: Value[][] = []
}

export class WorkTableScan extends Operator {
  readonly table: WorkTable
  readonly registers: readonly number[]
  #rows: Value[][] = []
  #at = 0

  constructor(table: WorkTable, registers: readonly number[]) {
    super()
    this.table = table
    this.registers = registers
  }
  produces(): readonly number[] {
    return this.registers.filter((r) => r >= 0)
  }
  require(): void {}
  open(): void {
    this.#rows = this.table.rows
    this.#at = 0
  }
  next(x: Execution): Step {
    if (this.#at >= this.#rows.length) return END
    const row = this.#rows[this.#at++]
    for (let i = 0; i < this.registers.length; i++) if (this.registers[i] >= 0) x.r[this.registers[i]] = row[i]
    return ROW
  }
  close(): void {}
  describe(): NodeDescription {
    return { name: 'WorkTable Scan' }
  }
}

/** WITH RECURSIVE: the first term, then the second one over the last round's rows until a round is empty. */
export class RecursiveUnion extends Operator {
  readonly first: Operator
  readonly second: Operator
  readonly firstOutputs: readonly number[]
  readonly secondOutputs: readonly number[]
  readonly outputs: readonly number[]
  readonly types: readonly Type[]
  readonly all: boolean
  readonly table: WorkTable
  #seen = new Set<string>()
  #fresh: Value[][] = []
  #phase: 'first' | 'second' | 'end' = 'first'
  #opened = false

  constructor(
    first: Operator,
    second: Operator,
    firstOutputs: readonly number[],
    secondOutputs: readonly number[],
    outputs: readonly number[],
    types: readonly Type[],
    all: boolean,
    table: WorkTable,
  ) {
    super()
    this.first = first
    this.second = second
    this.firstOutputs = firstOutputs
    this.secondOutputs = secondOutputs
    this.outputs = outputs
    this.types = types
    this.all = all
    this.table = table
  }
  produces(): readonly number[] {
    return this.outputs
  }
  override inputs(): readonly Operator[] {
    return [this.first, this.second]
  }
  require(): void {
    this.first.require(new Set(this.firstOutputs))
    this.second.require(new Set(this.secondOutputs))
  }
  open(x: Execution): void {
    this.#seen = new Set()
    this.#fresh = []
    this.#phase = 'first'
    this.#opened = false
    this.first.open(x)
  }
  next(x: Execution): Step {
    for (;;) {
      if (this.#phase === 'end') return END
      const plan = this.#phase === 'first' ? this.first : this.second
      if (this.#phase === 'second' && !this.#opened) {
        plan.open(x)
        this.#opened = true
      }
      const step = plan.next(x)
      if (step === END) {
        plan.close(x)
        this.#opened = false
        this.table.rows = this.#fresh
        this.#fresh = []
        this.#phase = this.table.rows.length === 0 ? 'end' : 'second'
        if (x.spent) return YIELD
        continue
      }
      if (step !== ROW) return step
      const from = this.#phase === 'first' ? this.firstOutputs : this.secondOutputs
      const row = from.map((r) => x.r[r])
      if (!this.all) {
        const key = row.map((v, i) => keyPart(v, this.types[i])).join('')
        if (this.#seen.has(key)) continue
        this.#seen.add(key)
      }
      x.grow(64 + 16 * row.length)
      this.#fresh.push(row)
      for (let i = 0; i < row.length; i++) x.r[this.outputs[i]] = row[i]
      return ROW
    }
  }
  close(x: Execution): void {
    if (this.#phase === 'first') this.first.close(x)
    else if (this.#opened) this.second.close(x)
    this.#phase = 'end'
    this.#fresh = []
    this.table.rows = []
  }
  describe(): NodeDescription {
    return { name: 'Recursive Union' }
  }
}

/** INTERSECT and EXCEPT, with or without ALL, by counting equal rows of either side. */
export class SetOperationScan extends Operator {
  readonly op: 'intersect' | 'except'
  readonly all: boolean
  readonly left: Operator
  readonly right: Operator
  readonly leftOutputs: readonly number[]
  readonly rightOutputs: readonly number[]
  readonly outputs: readonly number[]
  readonly types: readonly Type[]
  #counts = new Map<string, { row: Value[]; left: number; right: number }>()
  #phase: 'left' | 'right' | 'emit' = 'left'
  #iterator: Iterator<{ row: Value[]; left: number; right: number }> | undefined
  #repeat = 0
  #row: Value[] = []

  constructor(
    op: 'intersect' | 'except',
    all: boolean,
    left: Operator,
    right: Operator,
    leftOutputs: readonly number[],
    rightOutputs: readonly number[],
    outputs: readonly number[],
    types: readonly Type[],
  ) {
    super()
    this.op = op
    this.all = all
    this.left = left
    this.right = right
    this.leftOutputs = leftOutputs
    this.rightOutputs = rightOutputs
    this.outputs = outputs
    this.types = types
  }
  produces(): readonly number[] {
    return this.outputs
  }
  override inputs(): readonly Operator[] {
    return [this.left, this.right]
  }
  require(): void {
    this.left.require(new Set(this.leftOutputs))
    this.right.require(new Set(this.rightOutputs))
  }
  open(x: Execution): void {
    this.#counts = new Map()
    this.#phase = 'left'
    this.#iterator = undefined
    this.#repeat = 0
    this.left.open(x)
  }
  next(x: Execution): Step {
    while (this.#phase !== 'emit') {
      const isLeft = this.#phase === 'left'
      const plan = isLeft ? this.left : this.right
      const step = plan.next(x)
      if (step === END) {
        plan.close(x)
        this.#phase = isLeft ? 'right' : 'emit'
        if (isLeft) this.right.open(x)
        continue
      }
      if (step !== ROW) return step
      const row = (isLeft ? this.leftOutputs : this.rightOutputs).map((r) => x.r[r])
      const key = row.map((v, i) => keyPart(v, this.types[i])).join('')
      let entry = this.#counts.get(key)
      if (entry === undefined) {
        if (!isLeft) continue
        entry = { row, left: 0, right: 0 }
        this.#counts.set(key, entry)
        x.grow(96 + key.length)
      }
      if (isLeft) entry.left++
      else entry.right++
    }
    this.#iterator ??= this.#counts.values()
    while (this.#repeat === 0) {
      const result = this.#iterator.next()
      if (result.done) return END
      const { row, left, right } = result.value
      this.#row = row
      if (this.op === 'intersect') this.#repeat = this.all ? Math.min(left, right) : right > 0 ? 1 : 0
      else this.#repeat = this.all ? Math.max(0, left - right) : right === 0 ? 1 : 0
    }
    this.#repeat--
    for (let i = 0; i < this.outputs.length; i++) x.r[this.outputs[i]] = this.#row[i]
    return ROW
  }
  close(x: Execution): void {
    if (this.#phase === 'left') this.left.close(x)
    else if (this.#phase === 'right') this.right.close(x)
    this.#counts = new Map()
    this.#phase = 'emit'
  }
  describe(): NodeDescription {
    return { name: `HashSetOp ${this.op === 'intersect' ? 'Intersect' : 'Except'}${this.all ? ' All' : ''}` }
  }
}
