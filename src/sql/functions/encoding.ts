/**
 * encode and decode (hex, base64, escape), character set conversion, and digests.
 *
 * Not here: bytea's own text forms (types/bytea.ts), bytes as a sequence (bytea.ts).
 */
import { createHash } from 'node:crypto'
import { DbError } from '../../base/index.ts'
import { formatHex, parseEscape, parseHex } from '../types/bytea.ts'
import type { FunctionCode } from './function.ts'

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

function encode(bytes: Uint8Array, format: string): string {
  switch (format.toLowerCase()) {
    case 'hex':
      return formatHex(bytes)
    case 'base64':
      return viewOf(bytes).toString('base64').replace(/.{76}/g, '$&\n')
    case 'escape':
      return encodeEscape(bytes)
    default:
      throw new DbError('invalid_parameter_value', `unrecognized encoding: "${format}"`)
  }
}

/** The escape format of encode(): only NUL, high bytes and backslash are escaped. */
function encodeEscape(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    if (byte === 0 || byte > 127) text += `\\${byte.toString(8).padStart(3, '0')}`
    else text += byte === 0x5c ? '\\\\' : String.fromCharCode(byte)
  }
  return text
}

function decode(text: string, format: string): Uint8Array {
  switch (format.toLowerCase()) {
    case 'hex':
      return parseHex(text)
    case 'base64':
      return decodeBase64(text)
    case 'escape': {
      const bytes = parseEscape(text)
      if (bytes === undefined) throw new DbError('invalid_text_representation', 'invalid input syntax for type bytea')
      return bytes
    }
    default:
      throw new DbError('invalid_parameter_value', `unrecognized encoding: "${format}"`)
  }
}

function decodeBase64(text: string): Uint8Array {
  const packed = text.replace(/[ \t\n\r]/g, '')
  const bad = /[^A-Za-z0-9+/=]/u.exec(packed)
  if (bad !== null) {
    throw new DbError('invalid_parameter_value', `invalid symbol "${bad[0]}" found while decoding base64 sequence`)
  }
  const padding = /=*$/.exec(packed)![0].length
  if (packed.slice(0, packed.length - padding).includes('=')) {
    throw new DbError('invalid_parameter_value', 'unexpected "=" while decoding base64 sequence')
  }
  if (packed.length % 4 !== 0 || padding > 2) {
    throw new DbError('invalid_parameter_value', 'invalid base64 end sequence', {
      hint: 'Input data is missing padding, is truncated, or is otherwise corrupted.',
    })
  }
  return new Uint8Array(Buffer.from(packed, 'base64'))
}

/** PostgreSQL's names of character sets, without separators, to the runtime's. */
const charsets: Record<string, string> = {
  utf8: 'utf-8',
  unicode: 'utf-8',
  sqlascii: 'utf-8',
  latin1: 'latin1',
  iso88591: 'latin1',
  win1252: 'windows-1252',
  win1258: 'windows-1258',
  abc: 'windows-1258',
  win1250: 'windows-1250',
  win1251: 'windows-1251',
  win1253: 'windows-1253',
  win1254: 'windows-1254',
  latin2: 'iso-8859-2',
  latin9: 'iso-8859-15',
  koi8r: 'koi8-r',
  koi8u: 'koi8-u',
  sjis: 'shift_jis',
  eucjp: 'euc-jp',
  euckr: 'euc-kr',
  big5: 'big5',
  gbk: 'gbk',
  gb18030: 'gb18030',
  euccn: 'gb2312',
}

function charsetOf(name: string, role: string): string {
  const charset = charsets[name.toLowerCase().replace(/[^a-z0-9]/g, '')]
  if (charset === undefined) {
    throw new DbError('invalid_parameter_value', `invalid ${role}encoding name "${name}"`)
  }
  return charset
}

function fromCharset(bytes: Uint8Array, name: string, role = 'source '): string {
  const charset = charsetOf(name, role)
  if (charset === 'latin1') {
    if (!bytes.includes(0)) return viewOf(bytes).toString('latin1')
    throw new DbError('character_not_in_repertoire', 'invalid byte sequence for encoding "LATIN1": 0x00')
  }
  try {
    const text = new TextDecoder(charset, { fatal: true, ignoreBOM: true }).decode(bytes)
    if (!text.includes('\0')) return text
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
  }
  throw invalidSequence(bytes, charset === 'utf-8' ? 'UTF8' : name.toUpperCase())
}

/** The report of the first sequence that does not decode. */
function invalidSequence(bytes: Uint8Array, name: string): DbError {
  let at = 0
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const length = (first: number) => (first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4)
  while (name === 'UTF8' && at < bytes.length && bytes[at] !== 0) {
    try {
      decoder.decode(bytes.subarray(at, at + length(bytes[at])))
    } catch {
      break
    }
    at += length(bytes[at])
  }
  const shown = [...bytes.subarray(at, at + length(bytes[at] ?? 0))].map(
    (byte) => `0x${byte.toString(16).padStart(2, '0')}`,
  )
  return new DbError('character_not_in_repertoire', `invalid byte sequence for encoding "${name}": ${shown.join(' ')}`)
}

function toCharset(text: string, name: string): Uint8Array {
  const charset = charsetOf(name, 'destination ')
  if (charset === 'utf-8') return new Uint8Array(Buffer.from(text))
  if (charset !== 'latin1')
    throw new DbError('feature_not_supported', `conversion to encoding "${name}" is not supported`)
  for (const c of text) {
    if (c.codePointAt(0)! < 256) continue
    const bytes = [...Buffer.from(c)].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ')
    const message = `character with byte sequence ${bytes} in encoding "UTF8" has no equivalent in encoding "LATIN1"`
    throw new DbError('untranslatable_character', message)
  }
  return new Uint8Array(Buffer.from(text, 'latin1'))
}

function digest(algorithm: string): FunctionCode {
  return (bytes: Uint8Array) => new Uint8Array(createHash(algorithm).update(bytes).digest())
}

export const encodingCode: Record<string, FunctionCode> = {
  binary_encode: encode,
  binary_decode: decode,
  pg_convert_from: (bytes: Uint8Array, from: string) => fromCharset(bytes, from),
  pg_convert_to: toCharset,
  pg_convert: (bytes: Uint8Array, from: string, to: string) => toCharset(fromCharset(bytes, from), to),
  length_in_encoding: (bytes: Uint8Array, name: string) => [...fromCharset(bytes, name, '')].length,
  md5_text: (text: string) => createHash('md5').update(text).digest('hex'),
  md5_bytea: (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex'),
  sha224_bytea: digest('sha224'),
  sha256_bytea: digest('sha256'),
  sha384_bytea: digest('sha384'),
  sha512_bytea: digest('sha512'),
}
