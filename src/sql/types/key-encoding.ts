/**
 * Order-preserving bytes: comparing two encodings byte by byte gives the order of the values, and each encoding says
 * where it ends, so that several follow one another in a composite key.
 *
 *   integers     big-endian two's complement with the sign bit flipped
 *   floats       IEEE bits, big-endian; sign bit flipped when positive, all bits flipped when negative
 *   text         UTF-8 and a 00 (text never contains NUL)
 *   bytes        each 00 written as 00 FF, then 00 01
 *
 * Source: the usual tricks, as in FoundationDB's tuple layer and SQLite4's key encoding.
 * Not here: NULLs and descending columns (the index writes a marker, or flips the bytes), numeric (numeric-type.ts).
 */
import type { ByteWriter } from '../../encoding/index.ts'

const two32 = 0x1_0000_0000

export function keyInt16(value: number, out: ByteWriter): void {
  out.u16((value ^ 0x8000) & 0xffff)
}

export function keyInt32(value: number, out: ByteWriter): void {
  out.u32(value ^ 0x80000000)
}

/** A safe integer or a bigint within 64 bits. */
export function keyInt64(value: number | bigint, out: ByteWriter): void {
  if (typeof value === 'number') {
    const high = Math.floor(value / two32)
    out.u32(high ^ 0x80000000)
    out.u32((value - high * two32) | 0)
  } else {
    out.bigint64(value ^ -0x8000000000000000n)
  }
}

/** A finite integer, or ±Infinity as the ends of the 64-bit range (no timestamp reaches them). */
export function keyMicros(value: number | bigint, out: ByteWriter): void {
  if (value === Number.POSITIVE_INFINITY) keyInt64(0x7fffffffffffffffn, out)
  else if (value === Number.NEGATIVE_INFINITY) keyInt64(-0x8000000000000000n, out)
  else keyInt64(value, out)
}

const scratch = new DataView(new ArrayBuffer(8))

export function keyFloat64(value: number, out: ByteWriter): void {
  if (Number.isNaN(value)) {
    out.u32(0xfff80000)
    out.u32(0)
    return
  }
  scratch.setFloat64(0, value === 0 ? 0 : value)
  const high = scratch.getUint32(0)
  const low = scratch.getUint32(4)
  if (high >= 0x80000000) {
    out.u32(~high)
    out.u32(~low)
  } else {
    out.u32(high | 0x80000000)
    out.u32(low)
  }
}

/** Text that holds no NUL. */
export function keyText(value: string, out: ByteWriter): void {
  out.utf8(value)
  out.u8(0)
}

export function skipKeyText(bytes: Uint8Array, start: number): number {
  let at = start
  while (bytes[at] !== 0) at++
  return at + 1
}

export function keyBytes(value: Uint8Array, out: ByteWriter): void {
  for (let i = 0; i < value.length; i++) {
    const byte = value[i]
    out.u8(byte)
    if (byte === 0) out.u8(0xff)
  }
  out.u8(0)
  out.u8(1)
}

export function skipKeyBytes(bytes: Uint8Array, start: number): number {
  let at = start
  for (;;) {
    if (bytes[at] === 0) {
      if (bytes[at + 1] === 1) return at + 2
      at++
    }
    at++
  }
}
