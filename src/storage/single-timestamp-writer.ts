/**
 * Writes entries that all have one timestamp: bulk loads and index builds.
 *
 * Not here: the tables themselves (lsm/lsm-version-writer.ts, memory-table-writer.ts).
 */
import type { Timestamp } from '../base/index.ts'
import type { BuiltTable, TableWriter, VersionWriter } from './engine.ts'

export class SingleTimestampWriter implements TableWriter {
  readonly #timestamp: Timestamp
  readonly #versions: VersionWriter

  constructor(timestamp: Timestamp, versions: VersionWriter) {
    this.#timestamp = timestamp
    this.#versions = versions
  }

  get full(): boolean {
    return this.#versions.full
  }

  add(key: Uint8Array, value: Uint8Array): void {
    this.#versions.add(key, this.#timestamp, value)
  }

  drain(): Promise<void> {
    return this.#versions.drain()
  }

  finish(): Promise<BuiltTable[]> {
    return this.#versions.finish()
  }

  abandon(): Promise<void> {
    return this.#versions.abandon()
  }
}
