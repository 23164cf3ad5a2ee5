/**
 * bytea: a Uint8Array, written as \x and hexadecimal digits, or in the older escape format.
 *
 * Not here: functions of bytes (functions/bytea.ts).
 */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import { BaseType, invalidSyntax, type TypeFacts } from './base-type.ts'
import { keyBytes, skipKeyBytes } from './key-encoding.ts'
import type { TypeContext } from './type.ts'

/** Decodes hexadecimal digits; blanks between pairs are allowed. */
export function parseHex(text: string): Uint8Array {
  const out = new Uint8Array(text.length >> 1)
  let length = 0
  for (let i = 0; i < text.length; ) {
    const unit = text[i]
    if (unit === ' ' || unit === '\n' || unit === '\t' || unit === '\r') {
      i++
      continue
    }
    const high = hexDigit(text, i)
    if (i + 1 >= text.length) {
      throw new DbError('invalid_parameter_value', 'invalid hexadecimal data: odd number of digits')
    }
    out[length++] = (high << 4) | hexDigit(text, i + 1)
    i += 2
  }
  return out.subarray(0, length)
}

function hexDigit(text: string, at: number): number {
  const c = text.charCodeAt(at)
  if (c >= 0x30 && c <= 0x39) return c - 0x30
  const lower = c | 0x20
  if (lower >= 0x61 && lower <= 0x66) return lower - 0x57
  const shown = String.fromCodePoint(text.codePointAt(at)!)
  throw new DbError('invalid_parameter_value', `invalid hexadecimal digit: "${shown}"`)
}

/** The escape format: \\ is a backslash, \ooo a byte, everything else itself. */
export function parseEscape(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text)
  const out = new Uint8Array(bytes.length)
  let length = 0
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] !== 0x5c) {
      out[length++] = bytes[i]
    } else if (bytes[i + 1] === 0x5c) {
      out[length++] = 0x5c
      i++
    } else {
      const octal = bytes.toString('latin1', i + 1, i + 4)
      if (!/^[0-3][0-7]{2}$/.test(octal)) return undefined
      out[length++] = Number.parseInt(octal, 8)
      i += 3
    }
  }
  return out.subarray(0, length)
}

export function formatHex(value: Uint8Array): string {
  return Buffer.prototype.hexSlice.call(value, 0, value.length)
}

function formatEscape(value: Uint8Array): string {
  let text = ''
  for (const byte of value) {
    if (byte === 0x5c) text += '\\\\'
    else if (byte < 0x20 || byte > 0x7e) text += `\\${byte.toString(8).padStart(3, '0')}`
    else text += String.fromCharCode(byte)
  }
  return text
}

export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = a.length < b.length ? a.length : b.length
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i] - b[i]
  return a.length - b.length
}

export class ByteaType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  parse(text: string): Uint8Array {
    if (text.startsWith('\\x')) return parseHex(text.slice(2))
    const value = parseEscape(text)
    if (value === undefined) throw new DbError('invalid_text_representation', 'invalid input syntax for type bytea')
    return value
  }

  format(value: Uint8Array, context: TypeContext): string {
    return context.byteaOutput === 'hex' ? `\\x${formatHex(value)}` : formatEscape(value)
  }

  encode(value: Uint8Array, out: ByteWriter): void {
    out.raw(value)
  }

  decode(bytes: Uint8Array, start: number, end: number): Uint8Array {
    return new Uint8Array(bytes.subarray(start, end))
  }

  override compare(a: Uint8Array, b: Uint8Array): number {
    return compareBytes(a, b)
  }

  override key(value: Uint8Array): string {
    return Buffer.prototype.latin1Slice.call(value, 0, value.length)
  }

  override encodeKey(value: Uint8Array, out: ByteWriter): void {
    keyBytes(value, out)
  }

  override skipKey(bytes: Uint8Array, start: number): number {
    return skipKeyBytes(bytes, start)
  }
}

/** uuid: 36 characters, lower case; 16 bytes when stored. */
export class UuidType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  parse(text: string): string {
    const lower = text.toLowerCase()
    if (/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(lower)) return lower
    const bare = /^\{(.*)\}$/.exec(lower)?.[1] ?? lower
    if (!/^[0-9a-f]{4}(-?[0-9a-f]{4}){7}$/.test(bare)) throw invalidSyntax('uuid', text)
    return formatUuid(bare.replaceAll('-', ''))
  }

  format(value: string): string {
    return value
  }

  encode(value: string, out: ByteWriter): void {
    out.reserve(16)
    for (let i = 0; i < 36; i += 2) {
      if (value.charCodeAt(i) === 0x2d) i++
      out.u8((hexDigit(value, i) << 4) | hexDigit(value, i + 1))
    }
  }

  decode(bytes: Uint8Array, start: number, end: number): string {
    if (end - start !== 16) throw new DbError('protocol_violation', 'insufficient data left in message')
    return formatUuid(Buffer.prototype.hexSlice.call(bytes, start, end))
  }

  override compare(a: string, b: string): number {
    return a < b ? -1 : a > b ? 1 : 0
  }

  override encodeKey(value: string, out: ByteWriter): void {
    this.encode(value, out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 16
  }
}

/** Puts the hyphens into 32 hexadecimal digits. */
export function formatUuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
