/**
 * The part of IndexedDB that is used here, as types: the compiler has none of browsers'.
 *
 * Source: w3.org/TR/IndexedDB. Not here: what is kept in it (model/events/indexed-db-map.ts).
 */
import { DbError } from '../../base/index.ts'

interface Request<T> {
  readonly result: T
  readonly error: Error | null
  onsuccess: (() => void) | null
  onerror: (() => void) | null
}

interface Cursor {
  readonly key: ArrayBuffer
  readonly value: ArrayBuffer
  continue(): void
}

export interface IndexedStore {
  get(key: Uint8Array): Request<ArrayBuffer | undefined>
  put(value: ArrayBuffer, key: Uint8Array): Request<unknown>
  delete(key: Uint8Array): Request<unknown>
  getAll(range: unknown, count: number): Request<ArrayBuffer[]>
  getAllKeys(range: unknown, count: number): Request<ArrayBuffer[]>
  openCursor(range: unknown, direction: 'prev'): Request<Cursor | null>
}

interface Transaction {
  objectStore(name: string): IndexedStore
  commit?(): void
  readonly error: Error | null
  oncomplete: (() => void) | null
  onabort: (() => void) | null
}

export interface IndexedDatabase {
  transaction(store: string, mode: 'readonly' | 'readwrite', options?: { durability: 'strict' }): Transaction
  createObjectStore(name: string): unknown
  close(): void
  onversionchange: (() => void) | null
  onclose: (() => void) | null
}

interface OpenRequest extends Request<IndexedDatabase> {
  onupgradeneeded: (() => void) | null
  onblocked: (() => void) | null
}

export interface IndexedFactory {
  open(name: string, version: number): OpenRequest
  deleteDatabase(name: string): Request<unknown>
}

interface Globals {
  readonly indexedDB?: IndexedFactory
  readonly IDBKeyRange?: { bound(from: Uint8Array, to: Uint8Array, fromOpen: boolean, toOpen: boolean): unknown }
}

/** The browser's. Raises feature_not_supported where there is none. */
export function indexedFactory(): IndexedFactory {
  const { indexedDB } = globalThis as Globals
  if (indexedDB !== undefined) return indexedDB
  throw new DbError('feature_not_supported', 'there is no IndexedDB here', {
    hint: 'Private windows of some browsers have none. In Node, give a directory: { at: "./data" }.',
  })
}

/** from ≤ key < to. */
export function keyBounds(from: Uint8Array, to: Uint8Array): unknown {
  return (globalThis as Globals).IDBKeyRange!.bound(from, to, false, true)
}
