/**
 * Tables of the memory engine: rows that wait outside the map until they are ingested.
 *
 * Not here: adding them (memory.ts).
 */
import { assert, type Timestamp } from '../base/index.ts'
import type { BuiltTable, VersionWriter } from './engine.ts'
import { compareKeys } from './key-order.ts'
import type { Row, Version } from './memory-map.ts'

export class MemoryVersionWriter implements VersionWriter {
  readonly full = false
  readonly #store: (key: Uint8Array, timestamp: Timestamp, value: Uint8Array | undefined) => Version
  readonly #register: (rows: Row[]) => number
  readonly #unregister: (fileNumber: number) => void
  #rows: Row[] = []
  #entries = 0
  #bytes = 0
  #registered = 0

  constructor(
    store: (key: Uint8Array, timestamp: Timestamp, value: Uint8Array | undefined) => Version,
    register: (rows: Row[]) => number,
    unregister: (fileNumber: number) => void,
  ) {
    this.#store = store
    this.#register = register
    this.#unregister = unregister
  }

  add(key: Uint8Array, timestamp: Timestamp, value: Uint8Array | undefined): void {
    const last = this.#rows.at(-1)
    const order = last === undefined ? -1 : compareKeys(last.key, key)
    const inOrder = order < 0 || (order === 0 && last!.versions.at(-1)!.timestamp > timestamp)
    assert(inOrder, 'the keys of a table ascend, timestamps of one key descend')
    const version = this.#store(key, timestamp, value)
    if (order < 0) {
      this.#rows.push({ key: version.slab.bytes.subarray(version.keyStart, version.keyEnd), versions: [version] })
    } else last!.versions.push(version)
    this.#entries++
    this.#bytes += key.length + (value?.length ?? 0)
  }

  /** There are no levels here. */
  cut(): void {}

  async drain(): Promise<void> {}

  async finish(): Promise<BuiltTable[]> {
    if (this.#entries === 0) return []
    this.#registered = this.#register(this.#rows)
    return [{ fileNumber: this.#registered, entries: this.#entries, bytes: this.#bytes }]
  }

  async abandon(): Promise<void> {
    this.#rows = []
    this.#entries = 0
    if (this.#registered > 0) this.#unregister(this.#registered)
  }
}
