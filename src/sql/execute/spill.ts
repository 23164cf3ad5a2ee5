/**
 * Where sorts and hashes put rows that do not fit their memory: temporary files of one statement, read back in order.
 *
 *   run file   [u32 length │ row as JSON-free cells …]*      written in large blocks, read in blocks of 256 KiB
 *
 * Cells go through their type's binary form. Files are removed when the statement ends and at start-up.
 */
import type { ByteWriter } from '../../encoding/index.ts'
import type { File } from '../../io/index.ts'
import type { Type, Value } from '../types/type.ts'

export interface SpillSpace {
  /** False where there is no disk for it: nothing may be spilled. */
  readonly available: boolean
  /** A new temporary file; its name is unknown to others. */
  create(): Promise<File>
  remove(file: File): Promise<void>
}

/** Rows of fixed types to bytes and back. */
export class RowSerializer {
  readonly types: readonly Type[]

  constructor(types: readonly Type[]) {
    this.types = types
  }

  write(values: readonly Value[], out: ByteWriter): void {
    const at = out.length
    out.u32(0)
    for (let i = 0; i < values.length; i++) {
      const v = values[i]
      if (v === null || v === undefined) {
        out.u32(0xffffffff)
        continue
      }
      const cell = out.length
      out.u32(0)
      this.types[i].encode(v, out)
      out.u32At(cell, out.length - cell - 4)
    }
    out.u32At(at, out.length - at - 4)
  }

  /** The row whose length word stands at `start`; `end` of it in `next`. */
  read(bytes: Uint8Array, view: DataView, start: number): Value[] {
    let at = start + 4
    return this.types.map((type) => {
      const length = view.getUint32(at)
      at += 4
      if (length === 0xffffffff) return null
      const value = type.decode(bytes, at, at + length)
      at += length
      return value
    })
  }
}
