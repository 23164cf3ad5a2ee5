/**
 * Writing rows of a local table: checked as rows of any table, then kept by the session until the commit.
 *
 * Keys given by the statement are looked up when it ends, all at once; those that ulid() has just made need it not.
 *
 * Not here: which statements write (execute/modify.ts), commits (local-commit.ts).
 */
import { DbError, type Step } from '../../base/index.ts'
import { cellName, longestRowKey } from '../../model/local-tables/row-event.ts'
import type { RowStep } from '../../model/local-tables/row-step.ts'
import { type CellChange, formatUlid, parseUlid } from '../../replication/sync/index.ts'
import type { Column } from '../catalog/descriptors.ts'
import type { Execution } from '../execute/execution.ts'
import { type ConflictingRow, RowWriter, type WriterOptions, type Writing } from '../execute/row-writer.ts'
import { jsonForm } from '../functions/json-output.ts'
import type { SqlArray } from '../types/array.ts'
import { plainContext, type Type, type Value } from '../types/type.ts'
import { isMerging, keyColumn, mergeKind, registerGroups } from './local-table.ts'
import { RowJson } from './row-json.ts'
import { eventsByKey, mergedByKey } from './row-source.ts'
import { awaited, requireLocal } from './waiting.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class LocalRowWriter extends RowWriter {
  readonly #store: string
  readonly #merging: boolean
  readonly #key: Column
  readonly #keyType: Type
  readonly #groups: readonly { readonly cell: string; readonly columns: readonly Column[] }[]
  readonly #counted: readonly { readonly cell: string; readonly column: Column; readonly kind: 'counter' | 'set' }[]
  #json: RowJson | undefined
  /** Keys of the running statement that may be taken, and the execution that looks them up. */
  #given: string[] = []
  #checkedBy: Execution | undefined

  constructor(options: WriterOptions, store: string) {
    super(options)
    const table = options.access.descriptor
    this.#store = store
    this.#merging = isMerging(table)
    this.#key = keyColumn(table)
    this.#keyType = options.access.types[this.#key.number - 1]
    const groups = this.#merging ? registerGroups(table) : []
    this.#groups = groups.map((columns) => ({
      cell: cellName(
        'register',
        columns.map((c) => c.name),
      ),
      columns,
    }))
    this.#counted = table.columns.flatMap((column) => {
      const kind = column.dropped || column === this.#key || !this.#merging ? 'lww' : mergeKind(table, column)
      return kind === 'lww' ? [] : [{ cell: cellName(kind, [column.name]), column, kind }]
    })
  }

  override complete(x: Execution, values: Value[]): void {
    const at = this.#key.number - 1
    if (!this.#merging && typeof values[at] === 'string') values[at] = formatUlid(parseUlid(values[at]))
    // A counter begins at nothing, and a set with no elements, wherever a row is begun.
    for (const { column, kind } of this.#counted)
      if (kind === 'counter' && (values[column.number - 1] ?? null) === null) values[column.number - 1] = 0
    super.complete(x, values)
  }

  /** The text of the key. */
  override keyOf(x: Execution, values: readonly Value[]): Uint8Array {
    const text = this.#keyType.format(values[this.#key.number - 1], plainContext(x.types))
    if (text.length <= longestRowKey) return encoder.encode(text)
    throw new DbError('program_limit_exceeded', `a key of ${text.length} characters is too long for a local table`, {
      hint: `Use at most ${longestRowKey} characters.`,
    })
  }

  override get appendable(): boolean {
    return false
  }

  override *findConflict(
    x: Execution,
    _values: readonly Value[],
    key: Uint8Array,
    _only: ReadonlySet<number> | undefined,
  ): Writing<ConflictingRow | undefined> {
    const taken = yield* this.#taken(x, [decoder.decode(key)])
    return taken.length === 0 ? undefined : { key, index: this.options.access.primary }
  }

  override *insert(x: Execution, values: readonly Value[], key: Uint8Array): Generator<Step, void, void> {
    const text = decoder.decode(key)
    const { writes, tables } = requireLocal(x)
    const own = writes.find(this.#store, text)
    if (own !== undefined && own.values !== undefined) throw this.#duplicate(text)
    if (own === undefined && tables.newestKey !== text) this.#lookUp(x, text, values)
    this.put(x, values, key)
  }

  /** Writes the row, unchecked. */
  override put(x: Execution, values: readonly Value[], key: Uint8Array): void {
    const what = this.#merging ? this.#inserted(x, values) : this.#rows(x).encode(values)
    this.#write(x, decoder.decode(key), values, what)
  }

  override *update(
    x: Execution,
    key: Uint8Array,
    before: readonly Value[],
    values: readonly Value[],
  ): Generator<Step, void, void> {
    const text = decoder.decode(key)
    if (decoder.decode(this.keyOf(x, values)) !== text) {
      throw new DbError('feature_not_supported', `the key of a row of "${this.#table}" cannot be changed`, {
        hint: 'Delete the row and insert another one.',
      })
    }
    this.#write(x, text, values, this.#updated(x, before, values))
  }

  override delete(x: Execution, key: Uint8Array, _values: readonly Value[]): void {
    this.#write(x, decoder.decode(key), undefined, { kind: 'delete' })
  }

  /** What was changed elsewhere at the same time merges. */
  override get locks(): boolean {
    return false
  }

  override wrote(x: Execution, key: Uint8Array): boolean {
    return requireLocal(x).writes.find(this.#store, decoder.decode(key))?.statement === x.tx.statement
  }

  get #table(): string {
    return this.options.access.descriptor.name
  }

  #rows(x: Execution): RowJson {
    this.#json ??= new RowJson(this.options.access.descriptor, x.types, this.#key)
    return this.#json
  }

  #write(x: Execution, key: string, values: readonly Value[] | undefined, what: Uint8Array | RowStep): void {
    const { statement } = x.tx
    const kept = values && [...values]
    requireLocal(x).writes.add({ store: this.#store, key, statement, values: kept, what })
  }

  /** One look-up for all keys that the statement gives. */
  #lookUp(x: Execution, key: string, _values: readonly Value[]): void {
    if (this.#checkedBy === x && this.#given.length > 0) {
      this.#given.push(key)
      return
    }
    this.#checkedBy = x
    this.#given = [key]
    const given = this.#given
    const writer = this
    x.afterStatement.push(function* (y) {
      const keys = given.splice(0)
      writer.#checkedBy = undefined
      const taken = yield* writer.#inStore(y, keys)
      if (taken.length > 0) throw writer.#duplicate(taken[0])
    })
  }

  *#taken(x: Execution, keys: readonly string[]): Writing<string[]> {
    const { writes } = requireLocal(x)
    const own = new Map(keys.map((k) => [k, writes.find(this.#store, k)]))
    const mine = keys.filter((k) => own.get(k)?.values !== undefined)
    const others = keys.filter((k) => own.get(k) === undefined)
    return [...mine, ...(yield* this.#inStore(x, others))]
  }

  *#inStore(x: Execution, keys: readonly string[]): Writing<string[]> {
    if (keys.length === 0) return []
    requireLocal(x).checkCall(this.#table, x.depth)
    const table = yield* awaited(x, requireLocal(x).tables.open(this.#store, this.#merging))
    const pages = this.#merging ? mergedByKey(table, keys, undefined) : eventsByKey(table, keys, undefined)
    const found: string[] = []
    for (;;) {
      const page = yield* awaited(x, pages())
      if (page === undefined) return found
      for (const { key } of page) found.push(key)
    }
  }

  #duplicate(key: string): DbError {
    const { descriptor, primary } = this.options.access
    const name = primary?.descriptor.name ?? descriptor.name
    return new DbError('unique_violation', `duplicate key value violates unique constraint "${name}"`, {
      detail: `Key (${this.#key.name})=(${key}) already exists.`,
      table: descriptor.name,
      constraint: name,
    })
  }

  #inserted(x: Execution, values: readonly Value[]): RowStep {
    const cells = new Map<string, CellChange>()
    for (const { cell, columns } of this.#groups) {
      cells.set(cell, { kind: 'put', value: this.#rows(x).encodeColumns(columns, values) })
    }
    for (const { cell, column, kind } of this.#counted) {
      const value = values[column.number - 1] ?? null
      if (kind === 'counter') cells.set(cell, { kind: 'add', amount: BigInt(value ?? 0) })
      else cells.set(cell, { kind: 'include', elements: [...this.#elements(x, column, value)] })
    }
    return { kind: 'insert', cells }
  }

  #updated(x: Execution, before: readonly Value[], values: readonly Value[]): RowStep {
    const changes = new Map<string, CellChange>()
    const removals = new Map<string, CellChange>()
    const rows = this.#rows(x)
    for (const { cell, columns } of this.#groups) {
      const value = rows.encodeColumns(columns, values)
      if (decoder.decode(rows.encodeColumns(columns, before)) !== decoder.decode(value))
        changes.set(cell, { kind: 'put', value })
    }
    for (const { cell, column, kind } of this.#counted) {
      const [old, now] = [before[column.number - 1] ?? null, values[column.number - 1] ?? null]
      if (kind === 'counter') {
        const amount = BigInt(now ?? 0) - BigInt(old ?? 0)
        if (amount !== 0n) changes.set(cell, { kind: 'add', amount })
        continue
      }
      const [had, has] = [this.#elements(x, column, old), this.#elements(x, column, now)]
      const added = [...has].filter((e) => !had.has(e))
      const removed = [...had].filter((e) => !has.has(e))
      if (added.length > 0) changes.set(cell, { kind: 'include', elements: added })
      if (removed.length > 0) removals.set(cell, { kind: 'exclude', elements: removed })
    }
    return { kind: 'update', changes: removals.size === 0 ? [changes] : [changes, removals] }
  }

  #elements(x: Execution, column: Column, value: SqlArray | null): Set<string> {
    if (value === null) return new Set()
    const form = jsonForm(value.elementOid, plainContext(x.types))
    return new Set(value.items.map((item) => (item === null ? this.#nullElement(column) : form.text(item))))
  }

  #nullElement(column: Column): never {
    throw new DbError(
      'null_value_not_allowed',
      `NULL cannot be an element of "${column.name}", which merges as a set`,
      {
        hint: 'Leave it out of the array.',
      },
    )
  }
}
