/**
 * Tables as the executor uses them: row layouts, key codecs and index codecs, made once per descriptor.
 *
 * Row keys are `storage id │ primary key columns`, or `storage id │ row id` for a table without a primary key. Index
 * keys are `storage id │ index columns │ row key's tail (unless unique and without nulls)`, their value is that tail.
 * docs/formats/keys.md has the picture.
 */
import { assert } from '../../base/index.ts'
import { ByteWriter, RowLayout } from '../../encoding/index.ts'
import type { Catalog } from '../catalog/catalog.ts'
import type { IndexColumn, IndexInfo, RelationDescriptor } from '../catalog/descriptors.ts'
import { textOid } from '../types/oids.ts'
import type { Type, TypeLookup, Value } from '../types/type.ts'

/** Object ids below this are the system's: they are never dropped. */
const firstUserOid = 16_384

/** Markers before each key column; NULL sorts after values, or before them when the index says so. */
const nullFirst = 0
const present = 1
const nullLast = 2

export interface KeyColumn {
  readonly type: Type
  readonly descending: boolean
  readonly nullsFirst: boolean
}

export class KeyCodec {
  readonly storage: number
  readonly columns: readonly KeyColumn[]

  constructor(storage: number, columns: readonly KeyColumn[]) {
    this.storage = storage
    this.columns = columns
  }

  start(out: ByteWriter): void {
    out.reset()
    out.u32(this.storage)
  }

  /** Appends key column `i`. Returns whether it was NULL. */
  write(i: number, value: Value, out: ByteWriter): boolean {
    const column = this.columns[i]
    if (value === null || value === undefined) {
      out.u8(column.nullsFirst ? nullFirst : nullLast)
      return true
    }
    out.u8(present)
    const from = out.length
    column.type.encodeKey(value, out)
    if (column.descending) {
      const b = out.buffer
      for (let at = from; at < out.length; at++) b[at] ^= 0xff
    }
    return false
  }
}

export interface IndexAccess {
  readonly descriptor: RelationDescriptor
  readonly info: IndexInfo
  readonly codec: KeyCodec
}

export class TableAccess {
  readonly descriptor: RelationDescriptor
  readonly types: readonly Type[]
  /** By layout id. */
  readonly layouts: readonly RowLayout[]
  readonly current: RowLayout
  /** Position in the current layout by attribute number − 1; -1 for dropped columns. */
  readonly positions: Int32Array
  /** positionsOf[layout][attribute − 1]. */
  readonly positionsOf: readonly Int32Array[]
  /** What rows older than a column hold, by attribute number − 1. */
  readonly missing: readonly Value[]
  /** The primary key's codec and columns; without a primary key the codec has no columns and rows get ids. */
  readonly key: KeyCodec
  readonly keyColumns: readonly number[]
  readonly primary: IndexAccess | undefined
  /** Secondary indexes, in creation order. */
  readonly indexes: readonly IndexAccess[]

  constructor(
    catalog: Catalog,
    descriptor: RelationDescriptor,
    lookup: TypeLookup,
    context: { parse: (type: Type, text: string) => Value },
  ) {
    this.descriptor = descriptor
    // A dropped column is still in the rows of older layouts, and has its width there.
    this.types = descriptor.columns.map((c) => lookup.type(c.dropped && c.type >= firstUserOid ? textOid : c.type))
    this.layouts = descriptor.layouts.map((columns, id) => {
      const types = columns.map((n) => this.types[n - 1])
      return new RowLayout(
        id,
        types.map((t) => t.storage),
        types,
      )
    })
    this.current = this.layouts[this.layouts.length - 1]
    this.positionsOf = descriptor.layouts.map((columns) => {
      const out = new Int32Array(descriptor.columns.length).fill(-1)
      columns.forEach((n, i) => {
        out[n - 1] = i
      })
      return out
    })
    this.positions = this.positionsOf[this.positionsOf.length - 1]
    this.missing = descriptor.columns.map((c, i) =>
      c.missing === undefined ? null : context.parse(this.types[i], c.missing),
    )
    const indexes = descriptor.indexes.map((oid) => indexAccess(catalog.relationOf(oid), lookup))
    this.primary = indexes.find((i) => i.info.primary && i.descriptor.storage === descriptor.storage)
    this.indexes = indexes.filter((i) => i !== this.primary)
    this.keyColumns = this.primary?.info.columns.map((c) => c.column) ?? []
    this.key = this.primary?.codec ?? new KeyCodec(descriptor.storage, [])
  }

  /** Decodes the column of attribute number `n` from a row of any layout. */
  read(n: number, bytes: Uint8Array, view: DataView, start: number): Value {
    const id = (bytes[start] << 8) | bytes[start + 1]
    const position = this.positionsOf[id][n - 1]
    return position < 0 ? this.missing[n - 1] : this.layouts[id].read(position, bytes, view, start)
  }
}

function indexAccess(descriptor: RelationDescriptor, lookup: TypeLookup): IndexAccess {
  const info = descriptor.index
  assert(info !== undefined, 'an index has index information')
  return {
    descriptor,
    info,
    codec: new KeyCodec(
      descriptor.storage,
      info.columns.map((c) => keyColumn(c, lookup)),
    ),
  }
}

export function keyColumn(column: IndexColumn, lookup: TypeLookup): KeyColumn {
  return { type: lookup.type(column.type), descending: column.descending, nullsFirst: column.nullsFirst }
}

/** Table accesses of one catalog snapshot and its successors, by descriptor identity. */
export class Tables {
  readonly #made = new Map<number, TableAccess>()
  readonly #lookup: () => TypeLookup
  readonly #parse: (type: Type, text: string) => Value

  constructor(lookup: () => TypeLookup, parse: (type: Type, text: string) => Value) {
    this.#lookup = lookup
    this.#parse = parse
  }

  access(catalog: Catalog, descriptor: RelationDescriptor): TableAccess {
    const made = this.#made.get(descriptor.oid)
    if (made !== undefined && made.descriptor === descriptor && sameIndexes(catalog, made)) return made
    const access = new TableAccess(catalog, descriptor, this.#lookup(), { parse: this.#parse })
    this.#made.set(descriptor.oid, access)
    return access
  }
}

function sameIndexes(catalog: Catalog, access: TableAccess): boolean {
  if (access.primary !== undefined && catalog.relation(access.primary.descriptor.oid) !== access.primary.descriptor)
    return false
  for (const i of access.indexes) if (catalog.relation(i.descriptor.oid) !== i.descriptor) return false
  return true
}

/** The span of all keys that start with `prefix`. */
export function prefixSpan(prefix: Uint8Array): { start: Uint8Array; end: Uint8Array | undefined } {
  return { start: prefix, end: after(prefix) }
}

/** The first key after all that start with `prefix`; undefined when there is none. */
export function after(prefix: Uint8Array): Uint8Array | undefined {
  for (let i = prefix.length - 1; i >= 0; i--) {
    if (prefix[i] === 0xff) continue
    const out = prefix.slice(0, i + 1)
    out[i]++
    return out
  }
  return undefined
}

/** Where a storage's rows lie. The bare storage id below them is its fence (session/catalog-sync.ts). */
export function storageSpan(storage: number): { start: Uint8Array; end: Uint8Array | undefined } {
  const out = new ByteWriter(5)
  out.u32(storage)
  const end = after(out.copy())
  out.u8(0)
  return { start: out.copy(), end }
}

export { nullFirst, nullLast, present }
