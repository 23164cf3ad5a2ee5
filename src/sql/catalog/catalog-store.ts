/**
 * The catalog's place in the store: descriptors under keys of storage id 1, read once at start, written by the
 * transaction that changes them.
 */
import { DbError, type Timestamp } from '../../base/index.ts'
import { ByteWriter } from '../../encoding/index.ts'
import type { TransactionStore } from '../../transaction/index.ts'
import type { Change } from './catalog.ts'
import { type Descriptor, type Kind, kinds } from './descriptors.ts'

export const catalogStorage = 1

/** Kinds of objects that all databases share. */
const sharedKinds = new Set<Kind>(['database', 'role', 'setting'])

export function isShared(kind: Kind): boolean {
  return sharedKinds.has(kind)
}

export function descriptorKey(database: number, kind: Kind, oid: number, sub: number): Uint8Array {
  const out = new ByteWriter(20)
  out.u32(catalogStorage)
  out.u32(isShared(kind) ? 0 : database)
  out.u8(kinds.indexOf(kind))
  out.u32(oid)
  out.u32(sub)
  return out.copy()
}

export function encodeDescriptor(descriptor: Descriptor): Uint8Array {
  return Buffer.from(JSON.stringify(descriptor))
}

export interface StoredChange extends Change {
  readonly database: number
}

/** Every stored entry of one storage id, in key order. The timestamp that it was read at. */
export function readAll(
  store: TransactionStore,
  storage: number,
  visit: (key: Uint8Array, value: Uint8Array, timestamp: Timestamp) => void,
): Promise<Timestamp> {
  const start = new ByteWriter(4)
  start.u32(storage)
  const end = new ByteWriter(4)
  end.u32(storage + 1)
  return store.scan({ start: start.copy(), end: end.copy() }, visit)
}

export interface CatalogVersions {
  readonly at: Timestamp
  readonly entries: readonly { readonly change: StoredChange; readonly timestamp: Timestamp }[]
}

/** Every stored object with the commit that wrote it. */
export async function readCatalogVersions(store: TransactionStore): Promise<CatalogVersions> {
  const entries: { change: StoredChange; timestamp: Timestamp }[] = []
  const at = await readAll(store, catalogStorage, (key, value, timestamp) => {
    const view = new DataView(key.buffer, key.byteOffset, key.length)
    const kind = kinds[key[8]]
    if (kind === undefined) throw new DbError('data_corrupted', `the catalog holds an object of unknown kind ${key[8]}`)
    const descriptor = JSON.parse(Buffer.from(value).toString()) as Descriptor
    const change = { database: view.getUint32(4), kind, oid: view.getUint32(9), sub: view.getUint32(13), descriptor }
    entries.push({ change, timestamp })
  })
  return { at, entries }
}

export async function readCatalog(store: TransactionStore): Promise<StoredChange[]> {
  return (await readCatalogVersions(store)).entries.map((e) => e.change)
}
