/**
 * The catalog's place in the store: descriptors under keys of storage id 1, read once at start, written by the
 * transaction that changes them.
 */
import { DbError, maxTimestamp, ROW, WAIT } from '../../base/index.ts'
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

/** Every stored entry of one storage id, in key order. */
export async function readAll(
  store: TransactionStore,
  storage: number,
  visit: (key: Uint8Array, value: Uint8Array) => void,
): Promise<void> {
  const start = new ByteWriter(4)
  start.u32(storage)
  const end = new ByteWriter(4)
  end.u32(storage + 1)
  const cursor = store.engine.cursor({ start: start.copy(), end: end.copy() }, maxTimestamp)
  for (;;) {
    const step = cursor.next()
    if (step === WAIT) {
      await cursor.ready()
      continue
    }
    if (step !== ROW) break
    const b = cursor.batch
    for (let i = 0; i < b.count; i++) {
      const { bytes } = b.slabs[b.slab[i]]
      visit(bytes.slice(b.keyStart[i], b.keyEnd[i]), bytes.slice(b.valueStart[i], b.valueEnd[i]))
    }
  }
  cursor.close()
}

export async function readCatalog(store: TransactionStore): Promise<StoredChange[]> {
  const out: StoredChange[] = []
  await readAll(store, catalogStorage, (key, value) => {
    const view = new DataView(key.buffer, key.byteOffset, key.length)
    const kind = kinds[key[8]]
    if (kind === undefined) throw new DbError('data_corrupted', `the catalog holds an object of unknown kind ${key[8]}`)
    const descriptor = JSON.parse(Buffer.from(value).toString()) as Descriptor
    out.push({ database: view.getUint32(4), kind, oid: view.getUint32(9), sub: view.getUint32(13), descriptor })
  })
  return out
}
