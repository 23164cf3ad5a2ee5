/**
 * A table in a level: a file and the range of keys of it that is visible.
 *
 * Not here: the file's contents (table-file.ts).
 */
import type { Span } from '../engine.ts'
import { compareKeys } from '../key-order.ts'
import { type BoundView, boundView } from './order.ts'
import type { TableFile } from './table-file.ts'
import type { TableMeta } from './table-meta.ts'

export class LevelTable {
  readonly meta: TableMeta
  readonly file: TableFile
  readonly start: BoundView
  readonly end: BoundView

  constructor(meta: TableMeta, file: TableFile) {
    this.meta = meta
    this.file = file
    this.start = boundView(meta.start)
    this.end = boundView(meta.end)
  }

  overlaps(span: Span): boolean {
    return (
      compareKeys(this.meta.end, span.start) > 0 &&
      (span.end === undefined || compareKeys(this.meta.start, span.end) < 0)
    )
  }
}
