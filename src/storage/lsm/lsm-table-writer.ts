/**
 * Writes sorted entries to table files that belong to no level yet: bulk loads, snapshots, index builds.
 *
 * Not here: adding them to the store (lsm-engine.ts, `ingest`).
 */
import { assert, type Timestamp } from '../../base/index.ts'
import type { BuiltTable, TableWriter } from '../engine.ts'
import { checkKeyLength, compareKeys } from '../key-order.ts'
import type { LsmSettings } from './lsm-options.ts'
import { TableBuilder } from './table-builder.ts'
import { metaOf, type TableMeta } from './table-meta.ts'
import type { TableSet } from './table-set.ts'

export class LsmTableWriter implements TableWriter {
  readonly #set: TableSet
  readonly #settings: LsmSettings
  readonly #timestamp: Timestamp
  readonly #register: (meta: TableMeta) => void
  #builder: TableBuilder | undefined
  #file = 0
  #lastKey: Uint8Array | undefined
  readonly #metas: TableMeta[] = []
  /** Finished tables that are not yet on disk. */
  readonly #unwritten: { meta: TableMeta; bytes: Uint8Array }[] = []

  constructor(set: TableSet, settings: LsmSettings, timestamp: Timestamp, register: (meta: TableMeta) => void) {
    this.#set = set
    this.#settings = settings
    this.#timestamp = timestamp
    this.#register = register
  }

  add(key: Uint8Array, value: Uint8Array): void {
    checkKeyLength(key.length)
    assert(this.#lastKey === undefined || compareKeys(this.#lastKey, key) < 0, 'the keys of a table ascend strictly')
    this.#lastKey = new Uint8Array(key)
    if (this.#builder === undefined) {
      this.#file = this.#set.newFile()
      const format = { codec: 'none' as const, blockBytes: this.#settings.blockBytes }
      this.#builder = new TableBuilder(this.#file, format, this.#settings.tableBytes)
    }
    this.#builder.addApart(key, value, this.#timestamp)
    if (this.#builder.bytes >= this.#settings.tableBytes) this.#endTable()
  }

  get full(): boolean {
    return this.#unwritten.length > 0
  }

  async drain(): Promise<void> {
    for (let table = this.#unwritten.shift(); table !== undefined; table = this.#unwritten.shift()) {
      await this.#set.write(table.meta.number, table.bytes)
      this.#metas.push(table.meta)
    }
  }

  async finish(): Promise<BuiltTable[]> {
    if (this.#builder !== undefined) this.#endTable()
    await this.drain()
    for (const meta of this.#metas) this.#register(meta)
    return this.#metas.map(({ number, entries, bytes }) => ({ fileNumber: number, entries, bytes }))
  }

  async abandon(): Promise<void> {
    this.#builder = undefined
    this.#unwritten.length = 0
    await this.#set.discard(this.#metas.map(({ number }) => number))
  }

  #endTable(): void {
    const { bytes, properties } = this.#builder!.finish()
    this.#unwritten.push({ meta: metaOf(this.#file, this.#file, bytes.length, properties), bytes })
    this.#builder = undefined
  }
}
