/**
 * Row tuples: the value of a table's key. Columns of fixed width sit at offsets that the layout knows, null or not,
 * so that a scan decodes one column with one load; the others follow, found by their end offsets.
 *
 *   0        2              2 + ⌈n/8⌉       F                      V
 *   ┌────────┬──────────────┬───────────────┬──────────────────────┬──────────────┐
 *   │ layout │ null bitmap  │ fixed columns │ end of each variable │ variable     │
 *   │ u16 BE │ 1 = null     │ BE, unaligned │ column, u32 BE       │ columns      │
 *   └────────┴──────────────┴───────────────┴──────────────────────┴──────────────┘
 *
 * Ends count from V. Adding or dropping a column makes a new layout; rows keep the one they were written with.
 *
 * Not here: which layout a table has (the catalog), what variable bytes mean (the column's type).
 */
import { assert } from '../base/index.ts'
import type { ByteWriter } from './byte-writer.ts'

/** 'date' and 'timestamp' are i32 and i64 whose extremes stand for ∓Infinity. */
export type ColumnKind = 'bool' | 'i16' | 'i32' | 'u32' | 'i64' | 'f32' | 'f64' | 'date' | 'timestamp' | 'bytes'

const widths: Record<ColumnKind, number> = {
  bool: 1,
  i16: 2,
  i32: 4,
  i64: 8,
  f32: 4,
  f64: 8,
  date: 4,
  timestamp: 8,
  u32: 4,
  bytes: 0,
}

export interface RowCodec {
  encode(value: any, out: ByteWriter): void
  decode(bytes: Uint8Array, start: number, end: number): any
}

export class RowLayout {
  /** Distinguishes the layouts of one table; the first two bytes of each of its rows. */
  readonly id: number
  readonly kinds: readonly ColumnKind[]
  readonly codecs: readonly RowCodec[]
  /** Offset of each fixed column from the row's start; for variable ones, the index among them. */
  readonly offsets: Int32Array
  readonly bitmapEnd: number
  readonly endsStart: number
  readonly variableStart: number
  readonly variableCount: number

  constructor(id: number, kinds: readonly ColumnKind[], codecs: readonly RowCodec[]) {
    this.id = id
    this.kinds = kinds
    this.codecs = codecs
    this.offsets = new Int32Array(kinds.length)
    this.bitmapEnd = 2 + ((kinds.length + 7) >> 3)
    let at = this.bitmapEnd
    let variable = 0
    for (let i = 0; i < kinds.length; i++) {
      if (kinds[i] === 'bytes') this.offsets[i] = variable++
      else {
        this.offsets[i] = at
        at += widths[kinds[i]]
      }
    }
    this.endsStart = at
    this.variableCount = variable
    this.variableStart = at + 4 * variable
  }

  /** Appends the tuple of `values`, one per column, null for NULL. */
  write(values: readonly any[], out: ByteWriter): void {
    const start = out.length
    out.reserve(this.variableStart)
    const end = start + this.variableStart
    // A fill costs more than the few bytes of most tables.
    for (let at = start; at < end; at++) out.buffer[at] = 0
    out.length = end
    out.buffer[start] = this.id >>> 8
    out.buffer[start + 1] = this.id
    const n = this.kinds.length
    for (let i = 0; i < n; i++) {
      const value = values[i]
      const kind = this.kinds[i]
      if (value === null || value === undefined) {
        out.buffer[start + 2 + (i >> 3)] |= 1 << (i & 7)
        if (kind === 'bytes')
          out.u32At(start + this.endsStart + 4 * this.offsets[i], out.length - start - this.variableStart)
        continue
      }
      if (kind === 'bytes') {
        this.codecs[i].encode(value, out)
        out.u32At(start + this.endsStart + 4 * this.offsets[i], out.length - start - this.variableStart)
      } else writeFixed(out.buffer, start + this.offsets[i], kind, value)
    }
  }

  /** One column of the tuple that starts at `start`. */
  read(column: number, bytes: Uint8Array, view: DataView, start: number): any {
    if ((bytes[start + 2 + (column >> 3)] & (1 << (column & 7))) !== 0) return null
    const offset = this.offsets[column]
    switch (this.kinds[column]) {
      case 'i32':
        return view.getInt32(start + offset)
      case 'bytes': {
        const ends = start + this.endsStart + 4 * offset
        const base = start + this.variableStart
        const from = offset === 0 ? base : base + view.getUint32(ends - 4)
        return this.codecs[column].decode(bytes, from, base + view.getUint32(ends))
      }
      case 'i64':
        return readInt64(view, start + offset)
      case 'bool':
        return bytes[start + offset] !== 0
      case 'i16':
        return view.getInt16(start + offset)
      case 'f64':
        return view.getFloat64(start + offset)
      case 'f32':
        return view.getFloat32(start + offset)
      case 'u32':
        return view.getUint32(start + offset)
      case 'timestamp': {
        const high = view.getInt32(start + offset)
        const low = view.getUint32(start + offset + 4)
        if (high === 0x7fffffff && low === 0xffffffff) return Number.POSITIVE_INFINITY
        if (high === -0x80000000 && low === 0) return Number.NEGATIVE_INFINITY
        return readInt64(view, start + offset)
      }
      case 'date': {
        const days = view.getInt32(start + offset)
        if (days === 0x7fffffff) return Number.POSITIVE_INFINITY
        return days === -0x80000000 ? Number.NEGATIVE_INFINITY : days
      }
    }
  }
}

/** A big-endian signed 64-bit integer: a number when it is safe, else a bigint. */
export function readInt64(view: DataView, at: number): number | bigint {
  const high = view.getInt32(at)
  if (high >= -0x200000 && high < 0x200000) return high * 0x1_0000_0000 + view.getUint32(at + 4)
  const big = view.getBigInt64(at)
  return big >= BigInt(Number.MIN_SAFE_INTEGER) && big <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(big) : big
}

function writeFixed(b: Buffer, at: number, kind: ColumnKind, value: any): void {
  switch (kind) {
    case 'bool':
      b[at] = value ? 1 : 0
      return
    case 'i16':
      b[at] = value >>> 8
      b[at + 1] = value
      return
    case 'i32':
    case 'u32':
      writeInt32(b, at, value)
      return
    case 'date':
      writeInt32(
        b,
        at,
        value === Number.POSITIVE_INFINITY ? 0x7fffffff : value === Number.NEGATIVE_INFINITY ? -0x80000000 : value,
      )
      return
    case 'i64':
      writeInt64(b, at, value)
      return
    case 'timestamp':
      if (value === Number.POSITIVE_INFINITY) b.writeBigInt64BE(0x7fffffffffffffffn, at)
      else if (value === Number.NEGATIVE_INFINITY) b.writeBigInt64BE(-0x8000000000000000n, at)
      else writeInt64(b, at, value)
      return
    case 'f64':
      b.writeDoubleBE(value, at)
      return
    case 'f32':
      b.writeFloatBE(value, at)
      return
    default:
      assert(false, 'a variable column has no fixed slot')
  }
}

function writeInt32(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 24
  b[at + 1] = value >>> 16
  b[at + 2] = value >>> 8
  b[at + 3] = value
}

function writeInt64(b: Buffer, at: number, value: number | bigint): void {
  if (typeof value === 'bigint') {
    b.writeBigInt64BE(value, at)
    return
  }
  const high = Math.floor(value / 0x1_0000_0000)
  writeInt32(b, at, high | 0)
  writeInt32(b, at + 4, (value - high * 0x1_0000_0000) | 0)
}
