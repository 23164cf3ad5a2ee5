/**
 * Writing rows of one table: keys, uniqueness, constraints and index entries.
 *
 * Its methods are generators that yield WAIT when a lock or a block must be waited for, with `x.blocker` set. A key is
 * locked before it is looked up, and looked up in its newest version: so two inserts of one key meet at the lock.
 *
 * Not here: foreign keys (foreign-keys.ts), which rows to write (modify.ts).
 */
import { DbError, ROW, type Step, WAIT } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import { forUpdate } from '../../transaction/index.ts'
import type { Value } from '../types/type.ts'
import type { Eval, Execution } from './execution.ts'
import type { IndexAccess, TableAccess } from './tables.ts'

export type Writing<T = void> = Generator<Step, T, void>

export interface CompiledIndex {
  readonly access: IndexAccess
  /** One per key column; undefined for plain columns. */
  readonly exprs: readonly (Eval | undefined)[]
  readonly predicate: Eval | undefined
  readonly needsRegisters: boolean
}

export interface CompiledCheck {
  readonly name: string
  readonly test: Eval
}

export interface WriterOptions {
  readonly access: TableAccess
  /** Register of each column by attribute number − 1, for checks, generated columns and index expressions. */
  readonly registers: readonly number[]
  readonly indexes: readonly CompiledIndex[]
  readonly checks: readonly CompiledCheck[]
  /** Generated columns by attribute number. */
  readonly generated: readonly { readonly column: number; readonly value: Eval }[]
}

/** What stands in the way of an insert: the key of the row that is there, and the index that says so. */
export interface ConflictingRow {
  readonly key: Uint8Array
  readonly index: IndexAccess | undefined
}

export class RowWriter {
  readonly options: WriterOptions
  readonly #key = new ByteWriter(64)
  readonly #index = new ByteWriter(64)
  readonly #row = new ByteWriter(256)
  #packed: Value[] = []

  constructor(options: WriterOptions) {
    this.options = options
  }

  /** Rows are locked before they are changed. */
  get locks(): boolean {
    return true
  }

  /** True when the running statement itself has written the row already: a join found it twice. */
  wrote(x: Execution, key: Uint8Array): boolean {
    const own = x.tx.own(key)
    return own !== undefined && own.statement === x.tx.statement
  }

  /** Puts a row's values where compiled expressions read them. */
  load(x: Execution, values: readonly Value[]): void {
    const { registers } = this.options
    for (let i = 0; i < registers.length; i++) x.r[registers[i]] = values[i] ?? null
  }

  /** Computes generated columns, then tests NOT NULL and CHECK constraints. */
  complete(x: Execution, values: Value[]): void {
    const { generated, checks, access } = this.options
    if (generated.length > 0 || checks.length > 0) this.load(x, values)
    for (const g of generated) {
      values[g.column - 1] = g.value(x)
      x.r[this.options.registers[g.column - 1]] = values[g.column - 1]
    }
    const { columns } = access.descriptor
    for (let i = 0; i < columns.length; i++) {
      if (columns[i].notNull && (values[i] === null || values[i] === undefined) && !columns[i].dropped)
        throw this.#nullValue(x, values, columns[i].name)
    }
    for (const check of checks) {
      if (check.test(x) === false) {
        throw new DbError(
          'check_violation',
          `new row for relation "${access.descriptor.name}" violates check constraint "${check.name}"`,
          {
            detail: `Failing row contains ${this.describe(x, values)}.`,
            ...this.#where(x),
            constraint: check.name,
          },
        )
      }
    }
  }

  /** The row's key; a table without a primary key gives it a new id. */
  keyOf(x: Execution, values: readonly Value[]): Uint8Array {
    const { access } = this.options
    const key = this.#key
    access.key.start(key)
    const columns = access.keyColumns
    if (columns.length === 0) key.i64(x.session.sequences.nextRowId(access.descriptor.storage))
    else for (let i = 0; i < columns.length; i++) access.key.write(i, values[columns[i] - 1], key)
    return key.copy()
  }

  /**
   * Looks for a row in the way of the values, locking each unique key first. `indexes` limits the search to some.
   */
  *findConflict(
    x: Execution,
    values: readonly Value[],
    key: Uint8Array,
    only: ReadonlySet<number> | undefined,
  ): Writing<ConflictingRow | undefined> {
    const { access, indexes } = this.options
    if (access.primary !== undefined && (only === undefined || only.has(access.primary.descriptor.oid))) {
      if ((yield* this.#taken(x, key)) === ROW) return { key, index: access.primary }
    }
    for (const index of indexes) {
      if (!index.access.info.unique || (only !== undefined && !only.has(index.access.descriptor.oid))) continue
      const entry = this.#entry(x, index, values, key)
      if (entry === undefined || !entry.unique) continue
      if ((yield* this.#taken(x, entry.key)) === ROW) {
        const { found } = x.tx
        return { key: this.rowKey(found.slab.bytes, found.valueStart, found.valueEnd), index: index.access }
      }
    }
    return undefined
  }

  /** Locks a key and says whether its newest version is there. */
  *#taken(x: Execution, key: Uint8Array): Writing<Step> {
    while (x.tx.lockRow(key, forUpdate) === WAIT) {
      x.blocker = x.tx.blocker
      yield WAIT
    }
    for (;;) {
      const step = x.tx.getLatest(key)
      if (step !== WAIT) return step
      x.blocker = x.tx.blocker
      yield WAIT
    }
  }

  rowKey(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const key = this.#key
    key.reset()
    key.u32(this.options.access.descriptor.storage)
    key.range(bytes, start, end)
    return key.copy()
  }

  /** Inserts a complete row. Raises unique_violation. */
  *insert(x: Execution, values: readonly Value[], key: Uint8Array): Writing {
    // A row id is new: nobody else can have it.
    if (this.options.access.keyColumns.length === 0 && this.appendable && this.append(x, values, key)) return
    const conflict = yield* this.findConflict(x, values, key, undefined)
    if (conflict !== undefined) throw this.duplicate(x, values, conflict.index)
    this.put(x, values, key)
  }

  /**
   * Appends a row above all others of the table, without a lock: true when done. Only for tables without other unique
   * keys, whose tail the transaction has claimed (a table of row ids needs no claim).
   */
  append(x: Execution, values: readonly Value[], key: Uint8Array): boolean {
    const row = this.#encode(values)
    if (!x.tx.append(key, key.length, row.buffer, row.length)) return false
    for (const index of this.options.indexes) {
      const entry = this.#entry(x, index, values, key)
      if (entry !== undefined) x.tx.put(entry.key, key, 4, key.length)
    }
    return true
  }

  /** Whether `append` may be used at all. */
  get appendable(): boolean {
    return this.options.indexes.every((i) => !i.access.info.unique)
  }

  /** The row's key as a view that the next call overwrites. */
  keyView(x: Execution, values: readonly Value[]): Uint8Array {
    const { access } = this.options
    const key = this.#key
    access.key.start(key)
    const columns = access.keyColumns
    if (columns.length === 0) key.i64(x.session.sequences.nextRowId(access.descriptor.storage))
    else for (let i = 0; i < columns.length; i++) access.key.write(i, values[columns[i] - 1], key)
    return key.bytes
  }

  /** Writes the row and its index entries, unchecked. */
  put(x: Execution, values: readonly Value[], key: Uint8Array): void {
    this.#putRow(x, values, key)
    for (const index of this.options.indexes) {
      const entry = this.#entry(x, index, values, key)
      if (entry !== undefined) x.tx.put(entry.key, key, 4, key.length)
    }
  }

  *update(x: Execution, oldKey: Uint8Array, oldValues: readonly Value[], values: readonly Value[]): Writing {
    const { access, indexes } = this.options
    const keyChanged = access.keyColumns.some(
      (c) => access.types[c - 1].key(oldValues[c - 1]) !== access.types[c - 1].key(values[c - 1]),
    )
    const key = keyChanged ? this.keyOf(x, values) : oldKey
    if (keyChanged && (yield* this.#taken(x, key)) === ROW) throw this.duplicate(x, values, access.primary)
    for (const index of indexes) {
      const before = this.#entry(x, index, oldValues, oldKey)
      const after = this.#entry(x, index, values, key)
      const moved = before === undefined || after === undefined ? before !== after : !equalBytes(before.key, after.key)
      if (moved && after?.unique && (yield* this.#taken(x, after.key)) === ROW) {
        // The entry may be this row's own, when only its case or the like changed and back.
        const { found } = x.tx
        const owner = this.rowKey(found.slab.bytes, found.valueStart, found.valueEnd)
        if (!equalBytes(owner, oldKey)) throw this.duplicate(x, values, index.access)
      }
      if (moved && before !== undefined) x.tx.delete(before.key)
      if (after !== undefined && (moved || keyChanged)) x.tx.put(after.key, key, 4, key.length)
    }
    if (keyChanged) x.tx.delete(oldKey)
    this.#putRow(x, values, key)
  }

  delete(x: Execution, key: Uint8Array, values: readonly Value[]): void {
    for (const index of this.options.indexes) {
      const entry = this.#entry(x, index, values, key)
      if (entry !== undefined) x.tx.delete(entry.key)
    }
    x.tx.delete(key)
  }

  /** The entry of a row in an index, undefined when its predicate leaves the row out. */
  indexEntry(
    x: Execution,
    index: CompiledIndex,
    values: readonly Value[],
    key: Uint8Array,
  ): { key: Uint8Array; unique: boolean } | undefined {
    return this.#entry(x, index, values, key)
  }

  #putRow(x: Execution, values: readonly Value[], key: Uint8Array): void {
    const row = this.#encode(values)
    x.tx.put(key, row.buffer, 0, row.length)
  }

  #encode(values: readonly Value[]): ByteWriter {
    const { access } = this.options
    const row = this.#row
    row.reset()
    const columns = access.descriptor.layouts[access.current.id]
    const packed = this.#packed
    packed.length = columns.length
    for (let i = 0; i < columns.length; i++) packed[i] = values[columns[i] - 1]
    access.current.write(packed, row)
    return row
  }

  #entry(
    x: Execution,
    index: CompiledIndex,
    values: readonly Value[],
    key: Uint8Array,
  ): { key: Uint8Array; unique: boolean } | undefined {
    if (index.needsRegisters) this.load(x, values)
    if (index.predicate !== undefined && index.predicate(x) !== true) return undefined
    const { codec, info } = index.access
    const out = this.#index
    codec.start(out)
    let hasNull = false
    for (let i = 0; i < info.columns.length; i++) {
      const e = index.exprs[i]
      const value = e === undefined ? values[info.columns[i].column - 1] : e(x)
      if (codec.write(i, value, out)) hasNull = true
    }
    const unique = info.unique && (!hasNull || info.nullsNotDistinct)
    if (!unique) out.range(key, 4, key.length)
    return { key: out.copy(), unique }
  }

  duplicate(x: Execution, values: readonly Value[], index: IndexAccess | undefined): DbError {
    const name = index?.descriptor.name ?? this.options.access.descriptor.name
    const detail = index === undefined ? undefined : `Key ${this.describeKey(x, index, values)} already exists.`
    return new DbError('unique_violation', `duplicate key value violates unique constraint "${name}"`, {
      detail,
      ...this.#where(x),
      constraint: name,
    })
  }

  describeKey(x: Execution, index: IndexAccess, values: readonly Value[]): string {
    const { access } = this.options
    const compiled = this.options.indexes.find((i) => i.access === index)
    const names: string[] = []
    const cells: string[] = []
    index.info.columns.forEach((c, i) => {
      const value = c.column > 0 ? values[c.column - 1] : compiled?.exprs[i]?.(x)
      names.push(c.column > 0 ? access.descriptor.columns[c.column - 1].name : `expression ${i + 1}`)
      cells.push(value === null || value === undefined ? 'null' : index.codec.columns[i].type.format(value, x.types))
    })
    return `(${names.join(', ')})=(${cells.join(', ')})`
  }

  /** (1, abc, null): as error details show a row. */
  describe(x: Execution, values: readonly Value[]): string {
    const { access } = this.options
    const cells = access.descriptor.columns
      .map((c, i) => ({
        c,
        text: values[i] === null || values[i] === undefined ? 'null' : access.types[i].format(values[i], x.types),
      }))
      .filter((e) => !e.c.dropped)
      .map((e) => (e.text.length > 64 ? `${e.text.slice(0, 64)}...` : e.text))
    return `(${cells.join(', ')})`
  }

  #nullValue(x: Execution, values: readonly Value[], column: string): DbError {
    return new DbError(
      'not_null_violation',
      `null value in column "${column}" of relation "${this.options.access.descriptor.name}" violates not-null constraint`,
      {
        detail: `Failing row contains ${this.describe(x, values)}.`,
        ...this.#where(x),
        column,
      },
    )
  }

  #where(x: Execution): { schema: string | undefined; table: string } {
    const { descriptor } = this.options.access
    return { schema: x.session.catalog.schema(descriptor.schema)?.name, table: descriptor.name }
  }
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
