/**
 * The text family: text, varchar(n), char(n), name, "char", and the pseudo types cstring and unknown. A value is a
 * JavaScript string; order is by code point (collation "C").
 *
 * A char(n) is kept padded with blanks, which neither comparison nor length count.
 * Not here: functions of text (functions/text*.ts).
 */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import { BaseType, type TypeFacts } from './base-type.ts'
import { codePointLength, compareText, decodeUtf8, slicePoints, utf8Length } from './code-points.ts'
import { keyText, skipKeyText } from './key-encoding.ts'

export class TextType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  parse(text: string, typmod: number): string {
    return typmod < 0 ? text : this.coerce(text, typmod, false)
  }

  format(value: string): string {
    return value
  }

  override writeText(value: string, out: ByteWriter): void {
    out.utf8(value)
  }

  encode(value: string, out: ByteWriter): void {
    out.utf8(value)
  }

  decode(bytes: Uint8Array, start: number, end: number): string {
    return decodeUtf8(bytes, start, end)
  }

  override coerce(value: string, _typmod: number, _explicit: boolean): string {
    return value
  }

  override compare(a: string, b: string): number {
    return compareText(a, b)
  }

  override encodeKey(value: string, out: ByteWriter): void {
    keyText(value, out)
  }

  override skipKey(bytes: Uint8Array, start: number): number {
    return skipKeyText(bytes, start)
  }
}

/** Cuts to `limit` characters; what is cut must be blank unless the cast is explicit. */
function cut(value: string, limit: number, explicit: boolean, title: string): string {
  if (!explicit && /[^ ]/.test(slicePoints(value, limit, value.length))) {
    throw new DbError('string_data_right_truncation', `value too long for type ${title}(${limit})`)
  }
  return slicePoints(value, 0, limit)
}

export class VarcharType extends TextType {
  override coerce(value: string, typmod: number, explicit: boolean): string {
    const limit = typmod - 4
    if (typmod < 4 || value.length <= limit || codePointLength(value) <= limit) return value
    return cut(value, limit, explicit, 'character varying')
  }
}

export function trimBlanks(value: string): string {
  let end = value.length
  while (end > 0 && value.charCodeAt(end - 1) === 0x20) end--
  return end === value.length ? value : value.slice(0, end)
}

export class CharType extends TextType {
  override coerce(value: string, typmod: number, explicit: boolean): string {
    if (typmod < 4) return value
    const limit = typmod - 4
    const length = codePointLength(value)
    if (length > limit) return cut(value, limit, explicit, 'character')
    if (limit > 0x3fffffff) throw new DbError('program_limit_exceeded', 'requested length too large')
    return length === limit ? value : value + ' '.repeat(limit - length)
  }

  override compare(a: string, b: string): number {
    return compareText(trimBlanks(a), trimBlanks(b))
  }

  override key(value: string): string {
    return trimBlanks(value)
  }

  override encodeKey(value: string, out: ByteWriter): void {
    keyText(trimBlanks(value), out)
  }
}

/** Cuts a name to the 63 bytes that identifiers have, at a character boundary. */
export function truncateName(text: string): string {
  if (text.length <= 63 && utf8Length(text) <= 63) return text
  let bytes = 0
  let end = 0
  for (const character of text) {
    bytes += utf8Length(character)
    if (bytes > 63) break
    end += character.length
  }
  return text.slice(0, end)
}

export class NameType extends TextType {
  override parse(text: string): string {
    return truncateName(text)
  }

  override coerce(value: string): string {
    return truncateName(value)
  }
}

/** "char": one byte; NUL is the empty string, bytes above 127 are written as backslash and three octal digits. */
export class ByteCharType extends TextType {
  override parse(text: string): string {
    return byteChar(text)
  }

  override format(value: string): string {
    const code = value === '' ? 0 : value.charCodeAt(0)
    return code > 127 ? `\\${code.toString(8).padStart(3, '0')}` : value
  }

  override writeText(value: string, out: ByteWriter): void {
    out.utf8(this.format(value))
  }

  override encode(value: string, out: ByteWriter): void {
    out.u8(value === '' ? 0 : value.charCodeAt(0))
  }

  override decode(bytes: Uint8Array, start: number, end: number): string {
    return start === end || bytes[start] === 0 ? '' : String.fromCharCode(bytes[start])
  }

  override encodeKey(value: string, out: ByteWriter): void {
    out.u8(value === '' ? 0 : value.charCodeAt(0))
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 1
  }
}

/** The value of "char" input: \ooo is a byte, else the first byte of the text counts. */
export function byteChar(text: string): string {
  const octal = /^\\([0-3][0-7]{2})$/.exec(text)
  const byte = octal ? Number.parseInt(octal[1], 8) : text === '' ? 0 : Buffer.from(text.slice(0, 2))[0]
  return byte === 0 ? '' : String.fromCharCode(byte)
}
