/**
 * Foreign keys: a child row's parent is locked (FOR KEY SHARE) and must be there; a parent's key may go only when no
 * child has it, or takes its children along (CASCADE, SET NULL, SET DEFAULT).
 *
 * Checks run when the statement ends, or at commit when deferred. They read newest versions, own writes included.
 */
import { DbError, ROW, type Step, WAIT } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import type { EngineCursor } from '../../storage/index.ts'
import { forKeyShare, forNoKeyUpdate, forUpdate } from '../../transaction/index.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { Constraint, RelationDescriptor } from '../catalog/descriptors.ts'
import type { Value } from '../types/type.ts'
import type { Execution } from './execution.ts'
import { equalBytes, type RowWriter, type Writing } from './row-writer.ts'
import { after, type IndexAccess, storageSpan, type TableAccess } from './tables.ts'

export interface Reference {
  readonly child: RelationDescriptor
  readonly constraint: Constraint
}

const referencing = new WeakMap<Catalog, Map<number, Reference[]>>()

/** Foreign keys that point at a table. */
export function referencesTo(catalog: Catalog, table: number): readonly Reference[] {
  let map = referencing.get(catalog)
  if (map === undefined) {
    map = new Map()
    for (const child of catalog.relations()) {
      for (const constraint of child.constraints) {
        if (constraint.type !== 'f') continue
        const list = map.get(constraint.foreign!.table)
        if (list === undefined) map.set(constraint.foreign!.table, [{ child, constraint }])
        else list.push({ child, constraint })
      }
    }
    referencing.set(catalog, map)
  }
  return map.get(table) ?? []
}

/** Makes a writer of a table other than the statement's own, for cascading. */
export type WriterOf = (table: number) => RowWriter

function keyValues(columns: readonly number[], values: readonly Value[]): Value[] {
  return columns.map((c) => values[c - 1] ?? null)
}

// ---- child side

/** The referenced row of a child's values must be there. */
export function* checkParent(
  x: Execution,
  child: RelationDescriptor,
  c: Constraint,
  values: readonly Value[],
): Writing {
  const foreign = c.foreign!
  const key = keyValues(c.columns, values)
  const nulls = key.filter((v) => v === null).length
  if (nulls === key.length || (nulls > 0 && foreign.match === 's')) return
  if (nulls > 0) {
    throw new DbError(
      'foreign_key_violation',
      `insert or update on table "${child.name}" violates foreign key constraint "${c.name}"`,
      {
        detail: 'MATCH FULL does not allow mixing of null and nonnull key values.',
        table: child.name,
        constraint: c.name,
      },
    )
  }
  x.session.relyOn(foreign.table)
  const parent = x.session.tables.access(x.session.catalog, x.session.catalog.relationOf(foreign.table))
  const found = yield* lockByIndex(x, parent, c.index!, foreign.columns, key)
  if (found) return
  throw new DbError(
    'foreign_key_violation',
    `insert or update on table "${child.name}" violates foreign key constraint "${c.name}"`,
    {
      detail: `Key ${describe(x, child, c.columns, key)} is not present in table "${parent.descriptor.name}".`,
      schema: x.session.catalog.schema(child.schema)?.name,
      table: child.name,
      constraint: c.name,
    },
  )
}

/** Locks the row that a unique index holds for the key; false when there is none. */
function* lockByIndex(
  x: Execution,
  table: TableAccess,
  indexOid: number,
  columns: readonly number[],
  key: readonly Value[],
): Writing<boolean> {
  const index = [table.primary, ...table.indexes].find((i) => i?.descriptor.oid === indexOid)
  if (index === undefined) throw new DbError('internal_error', `index ${indexOid} of a foreign key is gone`)
  const out = new ByteWriter(64)
  index.codec.start(out)
  index.info.columns.forEach((column, i) => {
    index.codec.write(i, key[columns.indexOf(column.column)], out)
  })
  const entry = out.copy()
  for (;;) {
    let rowKey = entry
    if (index !== table.primary) {
      const step = yield* latest(x, entry)
      if (step !== ROW) return false
      rowKey = tail(table, x)
    }
    const before = x.tx.newest(rowKey)
    if (before < 0) {
      x.blocker = x.tx.blocker
      yield WAIT
      continue
    }
    yield* lock(x, rowKey, forKeyShare)
    const step = yield* latest(x, entry)
    if (step !== ROW) return false
    if (index === table.primary || equalBytes(tail(table, x), rowKey)) return true
  }
}

function tail(table: TableAccess, x: Execution): Uint8Array {
  const { found } = x.tx
  const out = new ByteWriter(64)
  out.u32(table.descriptor.storage)
  out.range(found.slab.bytes, found.valueStart, found.valueEnd)
  return out.copy()
}

export function* lock(x: Execution, key: Uint8Array, mode: number): Writing {
  while (x.tx.lockRow(key, mode) === WAIT) {
    x.blocker = x.tx.blocker
    yield WAIT
  }
}

export function* latest(x: Execution, key: Uint8Array): Writing<Step> {
  for (;;) {
    const step = x.tx.getLatest(key)
    if (step !== WAIT) return step
    x.blocker = x.tx.blocker
    yield WAIT
  }
}

// ---- parent side

/** A parent row was deleted (`values` undefined) or its key changed: children must not be left behind. */
export function* parentChanged(
  x: Execution,
  parent: TableAccess,
  before: readonly Value[],
  values: readonly Value[] | undefined,
  ref: Reference,
  writerOf: WriterOf,
): Writing {
  const { constraint, child } = ref
  const foreign = constraint.foreign!
  const oldKey = keyValues(foreign.columns, before)
  if (oldKey.includes(null)) return
  if (
    values !== undefined &&
    foreign.columns.every((c) => parent.types[c - 1].key(before[c - 1]) === keyOrNull(parent, c, values))
  )
    return
  const action = values === undefined ? foreign.onDelete : foreign.onUpdate
  x.session.relyOn(child.oid)
  const table = x.session.tables.access(x.session.catalog, x.session.catalog.relationOf(child.oid))
  const writer = writerOf(child.oid)
  const scan = new ChildScan(x, table, constraint.columns, oldKey)
  try {
    for (;;) {
      const row = yield* scan.next()
      if (row === undefined) return
      if (action === 'a' || action === 'r') {
        // Another parent row with the key may have come in its place.
        if (action === 'a' && (yield* parentStillThere(x, parent, constraint, oldKey))) return
        throw stillReferenced(x, parent, ref, oldKey)
      }
      yield* lock(x, row.key, action === 'c' && values === undefined ? forUpdate : forNoKeyUpdate)
      const step = yield* latest(x, row.key)
      if (step !== ROW) continue
      yield* applyAction(x, table, writer, row.key, ref, action, values, writerOf)
    }
  } finally {
    scan.close()
  }
}

function keyOrNull(parent: TableAccess, column: number, values: readonly Value[]): Value {
  const v = values[column - 1]
  return v === null || v === undefined ? null : parent.types[column - 1].key(v)
}

function* parentStillThere(x: Execution, parent: TableAccess, c: Constraint, key: readonly Value[]): Writing<boolean> {
  return yield* lockByIndex(x, parent, c.index!, c.foreign!.columns, key)
}

function* applyAction(
  x: Execution,
  table: TableAccess,
  writer: RowWriter,
  key: Uint8Array,
  ref: Reference,
  action: string,
  parentValues: readonly Value[] | undefined,
  writerOf: WriterOf,
): Writing {
  const { constraint } = ref
  const foreign = constraint.foreign!
  const { found } = x.tx
  const before = table.descriptor.columns.map((c) =>
    c.dropped ? null : table.read(c.number, found.slab.bytes, found.slab.view, found.valueStart),
  )
  const refs = referencesTo(x.session.catalog, table.descriptor.oid)
  if (action === 'c' && parentValues === undefined) {
    writer.delete(x, key, before)
    for (const r of refs) yield* parentChanged(x, table, before, undefined, r, writerOf)
    return
  }
  const values = [...before]
  const setColumns = parentValues === undefined && foreign.setColumns?.length ? foreign.setColumns : constraint.columns
  constraint.columns.forEach((column, i) => {
    if (action === 'c') values[column - 1] = parentValues![foreign.columns[i] - 1]
    else if (setColumns.includes(column))
      values[column - 1] = action === 'n' ? null : x.session.defaultValue(x, table, column)
  })
  writer.complete(x, values)
  yield* writer.update(x, key, before, values)
  for (const r of refs) yield* parentChanged(x, table, before, values, r, writerOf)
  for (const c of table.descriptor.constraints) {
    if (c.type === 'f' && (c !== constraint || action === 'd') && c.columns.some((n) => constraint.columns.includes(n)))
      yield* checkParent(x, table.descriptor, c, values)
  }
}

function stillReferenced(x: Execution, parent: TableAccess, ref: Reference, key: readonly Value[]): DbError {
  const { constraint, child } = ref
  const foreign = constraint.foreign!
  return new DbError(
    'foreign_key_violation',
    `update or delete on table "${parent.descriptor.name}" violates foreign key constraint "${constraint.name}" on table "${child.name}"`,
    {
      detail: `Key ${describe(x, parent.descriptor, foreign.columns, key)} is still referenced from table "${child.name}".`,
      schema: x.session.catalog.schema(child.schema)?.name,
      table: child.name,
      constraint: constraint.name,
    },
  )
}

function describe(x: Execution, table: RelationDescriptor, columns: readonly number[], key: readonly Value[]): string {
  const names = columns.map((c) => table.columns[c - 1].name)
  const cells = columns.map((c, i) =>
    key[i] === null ? 'null' : x.types.types.type(table.columns[c - 1].type).format(key[i], x.types),
  )
  return `(${names.join(', ')})=(${cells.join(', ')})`
}

/** Child rows that have the key: by an index that begins with the columns, else by reading the table. */
class ChildScan {
  readonly #x: Execution
  readonly #table: TableAccess
  readonly #columns: readonly number[]
  readonly #key: readonly Value[]
  readonly #index: IndexAccess | undefined
  readonly #cursor: EngineCursor
  #at = 0
  #count = 0

  constructor(x: Execution, table: TableAccess, columns: readonly number[], key: readonly Value[]) {
    this.#x = x
    this.#table = table
    this.#columns = columns
    this.#key = key
    this.#index = [table.primary, ...table.indexes].find((i) => i !== undefined && covers(i, columns))
    this.#cursor = x.tx.cursorLatest(this.#span())
  }

  #span(): { start: Uint8Array; end: Uint8Array | undefined } {
    const index = this.#index
    if (index === undefined) return storageSpan(this.#table.descriptor.storage)
    const out = new ByteWriter(64)
    index.codec.start(out)
    for (let i = 0; i < this.#columns.length; i++)
      index.codec.write(i, this.#key[this.#columns.indexOf(index.info.columns[i].column)], out)
    const start = out.copy()
    return { start, end: after(start) }
  }

  *next(): Writing<{ key: Uint8Array } | undefined> {
    const x = this.#x
    const table = this.#table
    for (;;) {
      if (this.#at >= this.#count) {
        const step = this.#cursor.next()
        if (step === WAIT) {
          x.blocker = this.#cursor
          yield WAIT
          continue
        }
        if (step !== ROW) return undefined
        this.#at = 0
        this.#count = this.#cursor.batch.count
      }
      const batch = this.#cursor.batch
      const i = this.#at++
      const slab = batch.slabs[batch.slab[i]]
      if (this.#index !== undefined && this.#index !== table.primary) {
        const out = new ByteWriter(64)
        out.u32(table.descriptor.storage)
        out.range(slab.bytes, batch.valueStart[i], batch.valueEnd[i])
        const key = out.copy()
        // The entry may be older than an own write: the row decides.
        const step = yield* latest(x, key)
        if (step === ROW && this.#matches(x.tx.found.slab.bytes, x.tx.found.slab.view, x.tx.found.valueStart))
          return { key }
        continue
      }
      if (this.#matches(slab.bytes, slab.view, batch.valueStart[i]))
        return { key: slab.bytes.slice(batch.keyStart[i], batch.keyEnd[i]) }
    }
  }

  #matches(bytes: Uint8Array, view: DataView, start: number): boolean {
    return this.#columns.every((c, i) => {
      const v = this.#table.read(c, bytes, view, start)
      const type = this.#table.types[c - 1]
      return v !== null && type.key(v) === type.key(this.#key[i])
    })
  }

  close(): void {
    this.#cursor.close()
  }
}

function covers(index: IndexAccess, columns: readonly number[]): boolean {
  const { info } = index
  return (
    info.predicate === undefined &&
    info.columns.length >= columns.length &&
    info.columns.slice(0, columns.length).every((c) => columns.includes(c.column))
  )
}
