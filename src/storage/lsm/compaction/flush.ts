/**
 * Turns a memtable into a table: a pure job for a worker, which reads the arena where it is.
 *
 * Not here: writing the file and the manifest (../flusher.ts).
 */
import type { Timestamp } from '../../../base/index.ts'
import type { CpuJob } from '../../../io/index.ts'
import { lengthMask, slotsAt } from '../memtable.ts'
import { deletionBit } from '../run.ts'
import { TableBuilder, type TableFormat, type TableImage } from '../table-builder.ts'
import { Collector } from './collector.ts'

export interface FlushInput {
  readonly arena: SharedArrayBuffer
  readonly firstLeaf: number
  /** Where the table is put together. */
  readonly room: SharedArrayBuffer
  readonly file: number
  readonly format: TableFormat
  readonly threshold: Timestamp
}

/** The table, or undefined when nothing is worth keeping. */
export function flushJob(input: FlushInput): TableImage | undefined {
  const bytes = new Uint8Array(input.arena)
  const view = new DataView(input.arena)
  const words = new Uint32Array(input.arena)
  const doubles = new Float64Array(input.arena)
  const builder = new TableBuilder(input.file, input.format, Buffer.from(input.room))
  const collector = new Collector(builder, input.threshold, false)
  for (let leaf = input.firstLeaf; leaf !== 0; leaf = words[leaf + 2]) {
    const count = words[leaf]
    for (let i = 0; i < count; i++) {
      const header = words[leaf + slotsAt + i]
      const at32 = header >>> 2
      const start = words[at32 + 2]
      const mark = words[at32 + 3]
      const length = mark & lengthMask
      const value = words[at32 + 4]
      const end = start + length + (value === 0 ? 0 : value - 1)
      const info = length | (value === 0 ? deletionBit : 0)
      collector.add(bytes, view, start, end, info, doubles[header >>> 3], mark !== length)
    }
  }
  return builder.entries === 0 ? undefined : builder.finish()
}

export const flushMemtable: CpuJob<FlushInput, TableImage | undefined> = {
  module: import.meta.url,
  name: 'flushJob',
  run: flushJob,
}
