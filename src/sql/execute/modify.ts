/**
 * INSERT, UPDATE and DELETE. Each input row is written by a generator that may wait for locks; the operator hands its
 * steps on. With RETURNING each written row comes out, else the rows are only counted.
 *
 * READ COMMITTED, as PostgreSQL: a row that changed while its lock was waited for is read again in its newest version
 * and the condition tested again; a join is run again as a whole (`rerunStatement`). Above that level it is 40001.
 */
import { DbError, END, ROW, type Step, WAIT, YIELD } from '../../base/index.ts'
import { forNoKeyUpdate, forUpdate, rerunStatement } from '../../transaction/index.ts'
import type { Constraint } from '../catalog/descriptors.ts'
import type { Value } from '../types/type.ts'
import type { Computation } from './basic.ts'
import type { RowDecoder } from './decoder.ts'
import { type Eval, type Execution, type NodeDescription, Operator, suspended } from './execution.ts'
import { checkParent, latest, lock, parentChanged, referencesTo, type WriterOf } from './foreign-keys.ts'
import { IndexScan } from './index-scan.ts'
import type { RowWriter, Writing } from './row-writer.ts'

export interface ModifyOptions {
  readonly writer: RowWriter
  readonly writerOf: WriterOf
  readonly returning: readonly Computation[] | undefined
  /** Registers of the written row's columns by attribute number − 1, for RETURNING. */
  readonly rowRegisters: readonly number[]
  /** Needed from the input. */
  readonly uses: ReadonlySet<number>
}

abstract class Modify extends Operator {
  readonly input: Operator
  readonly options: ModifyOptions
  #running: Writing<boolean> | undefined
  #count = 0
  /** The next RETURNING expression of a row that is written; past the last one when there is no such row. */
  #returned = Number.POSITIVE_INFINITY

  constructor(input: Operator, options: InsertOptions | ChangeOptions) {
    super()
    this.input = input
    this.options = options
  }
  produces(): readonly number[] {
    return [...this.options.rowRegisters, ...(this.options.returning ?? []).map((c) => c.register)]
  }
  override inputs(): readonly Operator[] {
    return [this.input]
  }
  require(_needed: ReadonlySet<number>): void {
    this.input.require(this.options.uses)
  }
  open(x: Execution): void {
    this.#running = undefined
    this.#returned = Number.POSITIVE_INFINITY
    this.input.open(x)
  }
  next(x: Execution): Step {
    const { returning } = this.options
    // A sub-query in RETURNING had to wait: the row is written, its answer is not finished.
    if (returning !== undefined && this.#returned < returning.length) return this.#answer(x, returning)
    for (;;) {
      if (this.#running === undefined) {
        const step = this.input.next(x)
        if (step !== ROW) return step
        if ((++this.#count & 255) === 0 && x.spent) {
          this.#running = this.write(x)
          return YIELD
        }
        this.#running = this.write(x)
      }
      const result = this.#running.next()
      if (!result.done) return result.value
      this.#running = undefined
      if (!result.value) continue
      x.affected++
      if (returning === undefined) continue
      this.#returned = 0
      return this.#answer(x, returning)
    }
  }
  #answer(x: Execution, returning: readonly Computation[]): Step {
    for (; this.#returned < returning.length; this.#returned++) {
      const c = returning[this.#returned]
      x.r[c.register] = c.eval(x)
    }
    return ROW
  }
  close(x: Execution): void {
    this.#running?.return(false)
    this.#running = undefined
    this.input.close(x)
  }
  /** Writes the row the registers describe; false when nothing was written. */
  protected abstract write(x: Execution): Writing<boolean>

  /** Checks of the row's own foreign keys, at the end of the statement or later. */
  protected checkForeignKeys(x: Execution, values: readonly Value[], before: readonly Value[] | undefined): void {
    const { descriptor, types } = this.options.writer.options.access
    for (const c of descriptor.constraints) {
      if (c.type !== 'f') continue
      if (
        before !== undefined &&
        c.columns.every((n) => keyOf(types[n - 1], before[n - 1]) === keyOf(types[n - 1], values[n - 1]))
      )
        continue
      const held = [...values]
      queue(x, c, (y) => checkParent(y, descriptor, c, held))
    }
  }
  protected checkReferences(x: Execution, before: readonly Value[], values: readonly Value[] | undefined): void {
    const { access } = this.options.writer.options
    const { writerOf } = this.options
    for (const ref of referencesTo(x.session.catalog, access.descriptor.oid)) {
      const { constraint } = ref
      const action = values === undefined ? constraint.foreign!.onDelete : constraint.foreign!.onUpdate
      const check = (y: Execution) => parentChanged(y, access, before, values, ref, writerOf)
      // Only NO ACTION may be put off to the commit.
      if (action === 'a') queue(x, constraint, check)
      else x.afterStatement.push(check)
    }
  }
}

function keyOf(type: { key(v: Value): unknown }, v: Value): unknown {
  return v === null || v === undefined ? null : type.key(v)
}

function queue(x: Execution, constraint: Constraint, check: (x: Execution) => Writing): void {
  if (constraint.deferrable && x.session.defer(constraint, check)) return
  x.afterStatement.push(check)
}

/** Values of expressions, each computed once: where one must wait, the write waits with it. */
function* evaluate(x: Execution, evals: readonly (Eval | undefined)[]): Writing<Value[]> {
  const out: Value[] = new Array(evals.length)
  for (let i = 0; i < evals.length; ) {
    try {
      for (; i < evals.length; i++) out[i] = evals[i]?.(x) ?? null
    } catch (error) {
      if (error !== suspended) throw error
      yield x.suspendedStep
    }
  }
  return out
}

/** Sets the registers of a row's columns. */
function show(x: Execution, registers: readonly number[], values: readonly Value[]): void {
  for (let i = 0; i < registers.length; i++) x.r[registers[i]] = values[i] ?? null
}

export interface InsertOptions extends ModifyOptions {
  /** How each column by attribute number − 1 gets its value; undefined for generated and dropped ones. */
  readonly values: readonly (Eval | undefined)[]
  readonly conflict: ConflictAction | undefined
}

export interface ConflictAction {
  readonly indexes: ReadonlySet<number> | undefined
  readonly update: boolean
  readonly columns: readonly number[]
  readonly values: readonly Eval[]
  readonly where: Eval | undefined
  /** Registers of EXCLUDED's columns. */
  readonly excluded: readonly number[]
}

export class Insert extends Modify {
  declare readonly options: InsertOptions

  protected *write(x: Execution): Writing<boolean> {
    const { writer, conflict, rowRegisters, returning } = this.options
    const values = yield* evaluate(x, this.options.values)
    writer.complete(x, values)
    const key = writer.keyOf(x, values)
    if (conflict === undefined) yield* writer.insert(x, values, key)
    else {
      const there = yield* writer.findConflict(x, values, key, conflict.indexes)
      if (there !== undefined) return conflict.update ? yield* this.#resolve(x, values, there.key) : false
      // Other unique indexes than the arbiters still refuse.
      if (conflict.indexes !== undefined) yield* writer.insert(x, values, key)
      else writer.put(x, values, key)
    }
    this.checkForeignKeys(x, values, undefined)
    if (returning !== undefined) show(x, rowRegisters, values)
    return true
  }

  *#resolve(x: Execution, proposed: readonly Value[], key: Uint8Array): Writing<boolean> {
    const { writer, rowRegisters, returning } = this.options
    const conflict = this.options.conflict!
    const { access } = writer.options
    yield* lock(x, key, forUpdate)
    if ((yield* latest(x, key)) !== ROW) return false
    if (x.tx.isolation !== 'read committed' && (yield* newest(x, key)) > x.tx.snapshot) throw concurrent('update')
    const own = x.tx.own(key)
    if (own !== undefined && own.statement === x.tx.statement) {
      throw new DbError('cardinality_violation', 'ON CONFLICT DO UPDATE command cannot affect row a second time', {
        hint: 'Ensure that no rows proposed for insertion within the same command have duplicate constrained values.',
      })
    }
    const { found } = x.tx
    const before = access.descriptor.columns.map((c) =>
      c.dropped ? null : access.read(c.number, found.slab.bytes, found.slab.view, found.valueStart),
    )
    show(x, rowRegisters, before)
    show(x, conflict.excluded, proposed)
    if (conflict.where !== undefined && (yield* evaluate(x, [conflict.where]))[0] !== true) return false
    const values = [...before]
    const written = yield* evaluate(x, conflict.values)
    conflict.columns.forEach((c, i) => {
      values[c - 1] = written[i]
    })
    writer.complete(x, values)
    yield* writer.update(x, key, before, values)
    this.checkForeignKeys(x, values, before)
    this.checkReferences(x, before, values)
    if (returning !== undefined) show(x, rowRegisters, values)
    return true
  }

  describe(): NodeDescription {
    return { name: 'Insert', target: `on ${this.options.writer.options.access.descriptor.name}` }
  }
}

function* newest(x: Execution, key: Uint8Array): Writing<number> {
  for (;;) {
    const at = x.tx.newest(key)
    if (at >= 0) return at
    x.blocker = x.tx.blocker
    yield WAIT
  }
}

export function concurrent(what: 'update' | 'delete'): DbError {
  return new DbError('serialization_failure', `could not serialize access due to concurrent ${what}`, {
    hint: 'The transaction might succeed if retried.',
  })
}

/** How a locked row is looked at again. */
export interface Recheck {
  /** Only one relation is read: its newest version can be tested by itself. */
  readonly single: boolean
  readonly decoder: () => RowDecoder
  readonly condition: Eval | undefined
}

/** Locks a row the statement found, and brings the registers up to date. False: the row no longer qualifies. */
export function* lockFound(
  x: Execution,
  key: Uint8Array,
  mode: number,
  recheck: Recheck,
  policy: 'wait' | 'nowait' | 'skip' = 'wait',
): Writing<boolean> {
  for (;;) {
    const step = x.tx.lockRow(key, mode, policy)
    if (step === ROW) break
    if (step === END) return false
    x.blocker = x.tx.blocker
    yield WAIT
  }
  if (x.tx.store.visible === x.tx.snapshot) return true
  const at = yield* newest(x, key)
  if (at <= x.tx.snapshot) return true
  if ((yield* latest(x, key)) !== ROW) {
    if (x.tx.isolation !== 'read committed') throw concurrent('delete')
    return false
  }
  if (x.tx.isolation !== 'read committed') throw concurrent('update')
  if (!recheck.single) throw rerunStatement
  const { found } = x.tx
  recheck.decoder().decode(x.r, found.slab.bytes, found.slab.view, found.valueStart)
  return recheck.condition === undefined || (yield* evaluate(x, [recheck.condition]))[0] === true
}

export interface ChangeOptions extends ModifyOptions {
  /** Register of the row's key. */
  readonly key: number
  readonly recheck: Recheck
  /** UPDATE: the columns assigned, and their values. */
  readonly columns: readonly number[]
  readonly values: readonly Eval[]
}

export class Update extends Modify {
  declare readonly options: ChangeOptions
  readonly #mode: number

  constructor(input: Operator, options: ChangeOptions) {
    super(input, options)
    const { keyColumns } = options.writer.options.access
    this.#mode = options.columns.some((c) => keyColumns.includes(c)) ? forUpdate : forNoKeyUpdate
    lockAsFound(input, this.#mode)
  }

  protected *write(x: Execution): Writing<boolean> {
    const { writer, key: keyRegister, recheck, columns, rowRegisters, returning } = this.options
    const key: Uint8Array = x.r[keyRegister]
    if (writer.locks && !(yield* lockFound(x, key, this.#mode, recheck))) return false
    if (writer.wrote(x, key)) return false
    const before: Value[] = new Array(rowRegisters.length)
    for (let i = 0; i < rowRegisters.length; i++) before[i] = x.r[rowRegisters[i]] ?? null
    const values = before.slice()
    const computed = yield* evaluate(x, this.options.values)
    for (let i = 0; i < columns.length; i++) values[columns[i] - 1] = computed[i]
    writer.complete(x, values)
    yield* writer.update(x, key, before, values)
    this.checkForeignKeys(x, values, before)
    this.checkReferences(x, before, values)
    if (returning !== undefined) show(x, rowRegisters, values)
    return true
  }
  describe(): NodeDescription {
    return { name: 'Update', target: `on ${this.options.writer.options.access.descriptor.name}` }
  }
}

/** A look-up by the whole primary key with nothing else to test: what it finds is locked, so it may be at once. */
function lockAsFound(input: Operator, mode: number): void {
  if (!(input instanceof IndexScan)) return
  const { unique, index, filter } = input.options
  if (unique && index === undefined && filter === undefined) input.lockMode = mode
}

export class Delete extends Modify {
  declare readonly options: ChangeOptions

  constructor(input: Operator, options: ChangeOptions) {
    super(input, options)
    lockAsFound(input, forUpdate)
  }

  protected *write(x: Execution): Writing<boolean> {
    const { writer, key: keyRegister, recheck, rowRegisters } = this.options
    const key: Uint8Array = x.r[keyRegister]
    if (writer.locks && !(yield* lockFound(x, key, forUpdate, recheck))) return false
    if (writer.wrote(x, key)) return false
    const before = rowRegisters.map((r) => x.r[r] ?? null)
    writer.delete(x, key, before)
    this.checkReferences(x, before, undefined)
    return true
  }
  describe(): NodeDescription {
    return { name: 'Delete', target: `on ${this.options.writer.options.access.descriptor.name}` }
  }
}

/** SELECT … FOR UPDATE and the weaker forms: rows go on once they are locked. */
export interface RowLock {
  readonly key: number
  readonly mode: number
  readonly policy: 'wait' | 'nowait' | 'skip'
  readonly recheck: Recheck
}

export class LockRows extends Operator {
  readonly input: Operator
  readonly locks: readonly RowLock[]
  #running: Writing<boolean> | undefined

  constructor(input: Operator, locks: readonly RowLock[]) {
    super()
    this.input = input
    this.locks = locks
  }
  produces(): readonly number[] {
    return this.input.produces()
  }
  override inputs(): readonly Operator[] {
    return [this.input]
  }
  require(needed: ReadonlySet<number>): void {
    this.input.require(new Set([...needed, ...this.locks.map((l) => l.key)]))
  }
  open(x: Execution): void {
    this.#running = undefined
    this.input.open(x)
  }
  next(x: Execution): Step {
    for (;;) {
      if (this.#running === undefined) {
        const step = this.input.next(x)
        if (step !== ROW) return step
        this.#running = this.#lock(x)
      }
      const result = this.#running.next()
      if (!result.done) return result.value
      this.#running = undefined
      if (result.value) return ROW
    }
  }
  *#lock(x: Execution): Writing<boolean> {
    for (const l of this.locks) {
      const key: Uint8Array | null = x.r[l.key]
      // The missing side of an outer join has no row to lock.
      if (key === null || key === undefined) continue
      if (!(yield* lockFound(x, key, l.mode, l.recheck, l.policy))) return false
    }
    return true
  }
  close(x: Execution): void {
    this.#running?.return(false)
    this.#running = undefined
    this.input.close(x)
  }
  describe(): NodeDescription {
    return { name: 'LockRows' }
  }
}
