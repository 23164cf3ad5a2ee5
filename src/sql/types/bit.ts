/**
 * bit(n) and bit varying(n): a string of 0 and 1.
 *
 * Binary: number of bits (32), then the bits, the last byte filled up with zeros.
 * Not here: operators (functions/bit.ts).
 */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import { readI32 } from './base-type.ts'
import { TextType } from './text.ts'

export class BitType extends TextType {
  readonly #varying: boolean

  constructor(facts: ConstructorParameters<typeof TextType>[0], varying: boolean) {
    super(facts)
    this.#varying = varying
  }

  override parse(text: string, typmod: number): string {
    return this.coerce(readBits(text), typmod, false)
  }

  override encode(value: string, out: ByteWriter): void {
    out.u32(value.length)
    for (let i = 0; i < value.length; i += 8) out.u8(Number.parseInt(value.slice(i, i + 8).padEnd(8, '0'), 2))
  }

  override decode(bytes: Uint8Array, start: number, end: number): string {
    const length = readI32(bytes, start)
    if (length < 0 || start + 4 + Math.ceil(length / 8) !== end) {
      throw new DbError('invalid_binary_representation', 'invalid length in external bit string')
    }
    let value = ''
    for (let i = start + 4; i < end; i++) value += bytes[i].toString(2).padStart(8, '0')
    return value.slice(0, length)
  }

  override coerce(value: string, typmod: number, explicit: boolean): string {
    if (typmod <= 0 || value.length === typmod) return value
    if (this.#varying) {
      if (value.length <= typmod) return value
      if (explicit) return value.slice(0, typmod)
      throw new DbError('string_data_right_truncation', `bit string too long for type bit varying(${typmod})`)
    }
    if (explicit) return value.slice(0, typmod).padEnd(typmod, '0')
    const message = `bit string length ${value.length} does not match type bit(${typmod})`
    throw new DbError('string_data_length_mismatch', message)
  }
}

/** The bits of b'0101', x'5F' or plain 0101 text. */
function readBits(text: string): string {
  const hex = /^[xX]/.test(text)
  const digits = /^[xXbB]/.test(text) ? text.slice(1) : text
  const bad = (hex ? /[^0-9a-fA-F]/ : /[^01]/).exec(digits)
  if (bad !== null) {
    const title = hex ? 'hexadecimal' : 'binary'
    throw new DbError('invalid_text_representation', `"${bad[0]}" is not a valid ${title} digit`)
  }
  if (!hex) return digits
  return digits.replace(/./g, (c) => Number.parseInt(c, 16).toString(2).padStart(4, '0'))
}
