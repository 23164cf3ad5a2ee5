/**
 * An ordered map in a browser: one IndexedDB database with one object store, binary keys, binary values. IndexedDB
 * compares binary keys as unsigned bytes, as an ordered map does.
 *
 *   database "latticedb/NAME" ─► object store "entries":  ArrayBuffer → ArrayBuffer
 *
 * A batch is one transaction with strict durability: it completes once the browser has asked the system to flush.
 * Transactions over one object store run in the order in which they were made.
 *
 * Not here: who of several tabs has the map (client/events/shared-events.ts).
 */
import { DbError } from '../../base/index.ts'
import { type IndexedDatabase, type IndexedFactory, type IndexedStore, keyBounds } from '../../io/browser/index.ts'
import type { Change, Entry, OrderedMap, ScanOptions } from './ordered-map.ts'

const entries = 'entries'
const layoutVersion = 1

/** Raises io_error, and object_in_use when another tab keeps an older version of the program open. */
export function openIndexedDbMap(factory: IndexedFactory, name: string): Promise<OrderedMap> {
  return new Promise((resolve, reject) => {
    const request = factory.open(`latticedb/${name}`, layoutVersion)
    request.onupgradeneeded = () => request.result.createObjectStore(entries)
    request.onsuccess = () => resolve(new IndexedDbMap(request.result))
    request.onerror = () => reject(failure('could not open', request.error))
    request.onblocked = () =>
      reject(
        new DbError('object_in_use', `the store "${name}" is open in another tab with another version of the program`),
      )
  })
}

/** Removes it from the browser for good. */
export function deleteIndexedDbMap(factory: IndexedFactory, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = factory.deleteDatabase(`latticedb/${name}`)
    request.onsuccess = () => resolve()
    request.onerror = () => reject(failure('could not delete', request.error))
  })
}

class IndexedDbMap implements OrderedMap {
  readonly #database: IndexedDatabase
  #closed: DbError | undefined

  constructor(database: IndexedDatabase) {
    this.#database = database
    database.onversionchange = () =>
      this.#close('the store was opened by a newer version of the program in another tab')
    database.onclose = () => this.#close('the browser took the storage of this page away')
  }

  #close(why: string): void {
    this.#closed ??= new DbError('store_closed', why)
    this.#database.close()
  }

  write(changes: readonly Change[]): Promise<void> {
    return this.#run('readwrite', (store) => {
      for (const { key, value } of changes) {
        if (value === undefined) store.delete(key)
        else store.put(owned(value), key)
      }
      return () => {}
    })
  }

  get(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.#run('readonly', (store) => {
      const requests = keys.map((key) => store.get(key))
      return () => requests.map(({ result }) => result && new Uint8Array(result))
    })
  }

  scan(options: ScanOptions): Promise<Entry[]> {
    const { from, to, limit, reverse } = options
    // A bound that ends before it begins is an error in IndexedDB, and nothing here.
    if (limit === 0 || compare(from, to) >= 0) return Promise.resolve([])
    const count = Math.min(limit, 0xffff_ffff)
    return this.#run('readonly', (store) => {
      if (reverse) return scanBack(store, options)
      const range = keyBounds(from, to)
      const keys = store.getAllKeys(range, count)
      const values = store.getAll(range, count)
      return () => keys.result.map((key, i) => ({ key: new Uint8Array(key), value: new Uint8Array(values.result[i]) }))
    })
  }

  async close(): Promise<void> {
    this.#close('the store is closed')
  }

  /** `act` makes requests and returns what reads their results once all are done. */
  #run<T>(mode: 'readonly' | 'readwrite', act: (store: IndexedStore) => () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed !== undefined) throw this.#closed
      const transaction = this.#database.transaction(
        entries,
        mode,
        mode === 'readwrite' ? { durability: 'strict' } : undefined,
      )
      const read = act(transaction.objectStore(entries))
      transaction.oncomplete = () => resolve(read())
      transaction.onabort = () => {
        const error = failure(mode === 'readwrite' ? 'could not write to' : 'could not read from', transaction.error)
        // What was written is unknown to whoever asked: nothing may build on it.
        if (mode === 'readwrite') this.#closed ??= error
        reject(error)
      }
      if (mode === 'readwrite') transaction.commit?.()
    })
  }
}

function scanBack(store: IndexedStore, { from, to, limit }: ScanOptions): () => Entry[] {
  const found: Entry[] = []
  const request = store.openCursor(keyBounds(from, to), 'prev')
  request.onsuccess = () => {
    const cursor = request.result
    if (cursor === null) return
    found.push({ key: new Uint8Array(cursor.key), value: new Uint8Array(cursor.value) })
    if (found.length < limit) cursor.continue()
  }
  return () => found
}

/** A buffer of its own: a view into a larger one would store all of that. */
function owned(bytes: Uint8Array): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = bytes
  if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) return buffer
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    if (a[i] !== b[i]) return a[i] - b[i]
  }
  return a.length - b.length
}

function failure(what: string, error: Error | null): DbError {
  const full = error?.name === 'QuotaExceededError'
  return new DbError(full ? 'disk_full' : 'io_error', `${what} IndexedDB: ${error?.message ?? 'aborted'}`, {
    cause: error,
    hint: full ? 'Free some space, or ask for persistent storage with navigator.storage.persist().' : undefined,
  })
}
