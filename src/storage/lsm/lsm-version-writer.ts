/**
 * Writes sorted versions to table files that belong to no level yet: snapshots, bulk loads, index builds.
 *
 *   add, add, … ─▶ builder ─full─▶ unwritten ─drain─▶ file          a table ends only between two keys
 *
 * Not here: adding them to the store (lsm-engine.ts, `ingest`).
 */
import { assert, type Timestamp } from '../../base/index.ts'
import type { BuiltTable, VersionWriter } from '../engine.ts'
import { checkKeyLength, compareKeys } from '../key-order.ts'
import type { LsmSettings } from './lsm-options.ts'
import { deletionBit, sameKeyBit } from './run.ts'
import { TableBuilder } from './table-builder.ts'
import { metaOf, type TableMeta } from './table-meta.ts'
import type { TableSet } from './table-set.ts'

const nothing = new Uint8Array(0)

export class LsmVersionWriter implements VersionWriter {
  readonly #set: TableSet
  readonly #settings: LsmSettings
  /** Tables that are finished and not yet ingested. */
  readonly #built: Map<number, TableMeta>
  #builder: TableBuilder | undefined
  #file = 0
  #lastKey: Uint8Array | undefined
  #lastTimestamp: Timestamp = 0
  readonly #metas: TableMeta[] = []
  /** Finished tables that are not yet on disk. */
  readonly #unwritten: { meta: TableMeta; bytes: Uint8Array }[] = []
  #finished = false

  /** @param built where `finish` puts the tables, for `ingest` to take them out. */
  constructor(set: TableSet, settings: LsmSettings, built: Map<number, TableMeta>) {
    this.#set = set
    this.#settings = settings
    this.#built = built
  }

  add(key: Uint8Array, timestamp: Timestamp, value: Uint8Array | undefined): void {
    checkKeyLength(key.length)
    const order = this.#lastKey === undefined ? -1 : compareKeys(this.#lastKey, key)
    const inOrder = order < 0 || (order === 0 && this.#lastTimestamp > timestamp)
    assert(inOrder, 'the keys of a table ascend, timestamps of one key descend')
    this.#lastTimestamp = timestamp
    let info = value === undefined ? key.length | deletionBit : key.length
    if (order === 0) {
      assert(this.#builder !== undefined, 'the versions of one key go into one table')
      info |= sameKeyBit
    } else {
      this.#lastKey = new Uint8Array(key)
      if (this.#builder !== undefined && this.#builder.bytes >= this.#settings.tableBytes) this.#endTable()
    }
    if (this.#builder === undefined) {
      this.#file = this.#set.newFile()
      const format = { codec: 'none' as const, blockBytes: this.#settings.blockBytes }
      this.#builder = new TableBuilder(this.#file, format)
    }
    this.#builder.addApart(key, value ?? nothing, info, timestamp)
  }

  cut(): void {
    if (this.#builder !== undefined) this.#endTable()
  }

  get full(): boolean {
    return this.#unwritten.length > 0
  }

  async drain(): Promise<void> {
    for (let table = this.#unwritten.shift(); table !== undefined; table = this.#unwritten.shift()) {
      this.#metas.push(table.meta)
      await this.#set.write(table.meta.number, table.bytes)
    }
  }

  async finish(): Promise<BuiltTable[]> {
    if (this.#builder !== undefined) this.#endTable()
    await this.drain()
    this.#finished = true
    for (const meta of this.#metas) this.#built.set(meta.number, meta)
    return this.#metas.map(({ number, entries, bytes }) => ({ fileNumber: number, entries, bytes }))
  }

  async abandon(): Promise<void> {
    this.#builder = undefined
    this.#unwritten.length = 0
    const numbers = this.#metas.map(({ number }) => number)
    await this.#set.discard(this.#finished ? numbers.filter((number) => this.#built.delete(number)) : numbers)
  }

  #endTable(): void {
    const { bytes, properties } = this.#builder!.finish()
    this.#unwritten.push({ meta: metaOf(this.#file, this.#file, bytes.length, properties), bytes })
    this.#builder = undefined
  }
}
