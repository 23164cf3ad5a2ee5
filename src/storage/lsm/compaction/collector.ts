/**
 * Decides which versions go into a new table. Versions arrive in order: keys ascending, newest first.
 *
 *   threshold T      v9  v8 │ v5  v3  v1        kept: all above T, and the newest at or below it (what a read at T sees)
 *                           T                   dropped: the rest; a deletion at or below T too, where nothing is beneath
 *
 * Not here: where versions come from (flush.ts, merge.ts).
 */
import type { Timestamp } from '../../../base/index.ts'
import { deletionBit, keyLengthMask, sameKeyBit } from '../run.ts'
import type { TableBuilder } from '../table-builder.ts'

export class Collector {
  readonly #builder: TableBuilder
  readonly #threshold: Timestamp
  readonly #bottom: boolean
  #covered = false
  #written = false
  #last: Timestamp = -1

  /** @param bottom nothing older of these keys exists in levels below. */
  constructor(builder: TableBuilder, threshold: Timestamp, bottom: boolean) {
    this.#builder = builder
    this.#threshold = threshold
    this.#bottom = bottom
  }

  /** @param same whether the key is that of the version before. */
  add(
    bytes: Uint8Array,
    view: DataView,
    start: number,
    end: number,
    info: number,
    timestamp: Timestamp,
    same: boolean,
  ): void {
    if (!same) {
      this.#covered = false
      this.#written = false
    } else if (this.#covered || timestamp === this.#last) return // an equal timestamp was replaced by what came first
    this.#last = timestamp
    if (timestamp <= this.#threshold) {
      this.#covered = true
      if (this.#bottom && (info & deletionBit) !== 0) return
    }
    const mark = (info & (keyLengthMask | deletionBit)) | (this.#written ? sameKeyBit : 0)
    this.#builder.add(bytes, view, start, end, mark, timestamp)
    this.#written = true
  }
}
