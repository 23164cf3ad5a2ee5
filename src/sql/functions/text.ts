/**
 * Functions of text: length, substring, padding, trimming, replacing, case. Positions and lengths count code points.
 *
 * Not here: patterns (like.ts, regexp.ts), formatting (text-format.ts), bytes (bytea.ts).
 */
import { DbError } from '../../base/index.ts'
import { codePointLength, isPlain, slicePoints, unitIndex, utf8Length } from '../types/code-points.ts'
import { trimBlanks, truncateName } from '../types/text.ts'
import type { FunctionCode } from './function.ts'
import { quoteIdentifier, quoteLiteral } from './quote.ts'

/** The longest string of the runtime; PostgreSQL's limit is about twice that. */
const maxLength = 0x1fffffe8

function tooLong(): DbError {
  return new DbError('program_limit_exceeded', 'requested length too large')
}

function negativeLength(): DbError {
  return new DbError('substring_error', 'negative substring length not allowed')
}

/** Code points `start` to `start + length - 1`, from 1; places outside the text hold nothing. */
export function substring(text: string, start: number, length?: number): string {
  if (length === undefined) return slicePoints(text, start - 1, text.length)
  if (length < 0) throw negativeLength()
  const end = start - 1 + length
  return end <= 0 ? '' : slicePoints(text, start - 1, end)
}

/** The 1-based place of a text in another, 0 when it is not there. */
export function positionOf(text: string, part: string): number {
  const at = text.indexOf(part)
  if (at <= 0) return at + 1
  return codePointLength(text.slice(0, at)) + 1
}

function overlay(text: string, replacement: string, start: number, length: number): string {
  if (start <= 0) throw negativeLength()
  const end = start + length
  if (end > 0x7fffffff) throw new DbError('numeric_value_out_of_range', 'integer out of range')
  return substring(text, 1, start - 1) + replacement + substring(text, end)
}

function pad(text: string, length: number, fill: string, left: boolean): string {
  const wanted = Math.max(length, 0)
  if (wanted > maxLength) throw tooLong()
  const missing = wanted - codePointLength(text)
  if (missing <= 0) return slicePoints(text, 0, wanted)
  if (fill === '') return text
  let padding: string
  if (isPlain(fill)) {
    padding = fill.repeat(Math.ceil(missing / fill.length)).slice(0, missing)
  } else {
    const points = [...fill]
    padding = ''
    for (let i = 0; i < missing; i++) padding += points[i % points.length]
  }
  return left ? padding + text : text + padding
}

function trimStart(text: string, set: string): string {
  let at = 0
  while (at < text.length) {
    const c = String.fromCodePoint(text.codePointAt(at)!)
    if (!set.includes(c)) break
    at += c.length
  }
  return at === 0 ? text : text.slice(at)
}

function trimEnd(text: string, set: string): string {
  let end = text.length
  while (end > 0) {
    const low = (text.charCodeAt(end - 1) & 0xfc00) === 0xdc00 && end > 1
    const c = text.slice(low ? end - 2 : end - 1, end)
    if (!set.includes(c)) break
    end -= c.length
  }
  return end === text.length ? text : text.slice(0, end)
}

const ascii = /^[\u0000-\u007f]*$/

/** One letter at a time, as C's towupper: what would become two letters stays. */
function mapLetters(text: string, map: (letter: string) => string): string {
  let out = ''
  for (const letter of text) {
    const mapped = map(letter)
    out += mapped.length > letter.length && codePointLength(mapped) > 1 ? letter : mapped
  }
  return out
}

function upperCase(text: string): string {
  return ascii.test(text) ? text.toUpperCase() : mapLetters(text, (c) => c.toUpperCase())
}

export function lowerCase(text: string): string {
  return ascii.test(text) ? text.toLowerCase() : mapLetters(text, (c) => c.toLowerCase())
}

function initialCapitals(text: string): string {
  let out = ''
  let inside = false
  for (const letter of text) {
    out += inside ? lowerCase(letter) : upperCase(letter)
    inside = /[\p{L}\p{N}]/u.test(letter)
  }
  return out
}

function splitPart(text: string, delimiter: string, field: number): string {
  if (field === 0) throw new DbError('invalid_parameter_value', 'field position must not be zero')
  if (text === '') return ''
  if (delimiter === '') return field === 1 || field === -1 ? text : ''
  const parts = text.split(delimiter)
  return parts.at(field > 0 ? field - 1 : field) ?? ''
}

function translate(text: string, from: string, to: string): string {
  if (text === '' || from === '') return text
  const source = [...from]
  const target = [...to]
  const map = new Map<string, string>()
  source.forEach((c, i) => {
    if (!map.has(c)) map.set(c, target[i] ?? '')
  })
  let out = ''
  for (const c of text) out += map.get(c) ?? c
  return out
}

function repeat(text: string, count: number): string {
  if (count <= 0 || text === '') return ''
  if (text.length * count > maxLength) throw tooLong()
  return text.repeat(count)
}

function character(code: number): string {
  if (code < 0) throw new DbError('invalid_parameter_value', 'character number must be positive')
  if (code === 0) throw new DbError('program_limit_exceeded', 'null character not permitted')
  if (code > 0x10ffff) {
    throw new DbError('program_limit_exceeded', `requested character too large for encoding: ${code}`)
  }
  if (code >= 0xd800 && code < 0xe000) {
    throw new DbError('program_limit_exceeded', `requested character not valid for encoding: ${code}`)
  }
  return String.fromCodePoint(code)
}

/** The first n points, or all but the last -n. */
function left(text: string, n: number): string {
  return n >= 0 ? slicePoints(text, 0, n) : slicePoints(text, 0, codePointLength(text) + n)
}

function right(text: string, n: number): string {
  const length = codePointLength(text)
  return slicePoints(text, n >= 0 ? Math.max(length - n, 0) : -n, length)
}

function normalForm(name: string): string {
  const form = name.toUpperCase()
  if (!/^NFK?[CD]$/.test(form)) throw new DbError('invalid_parameter_value', `invalid normalization form: ${name}`)
  return form
}

/** Escapes \XXXX, \+XXXXXX, \uXXXX and \UXXXXXXXX. */
function unescapeUnicode(text: string): string {
  const pattern = /\\(?:(\\)|([0-9a-fA-F]{4})|\+([0-9a-fA-F]{6})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|)/g
  const out = text.replace(pattern, (_all, slash, four, six, small, large) => {
    if (slash !== undefined) return '\\'
    const digits = four ?? six ?? small ?? large
    if (digits === undefined) {
      throw new DbError('syntax_error', 'invalid Unicode escape', {
        hint: 'Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.',
      })
    }
    const code = Number.parseInt(digits, 16)
    if (code === 0 || code > 0x10ffff) throw new DbError('syntax_error', 'invalid Unicode code point')
    return code >= 0xd800 && code < 0xe000 ? String.fromCharCode(code) : String.fromCodePoint(code)
  })
  if (!out.isWellFormed()) throw new DbError('syntax_error', 'invalid Unicode surrogate pair')
  return out
}

function hexadecimal(value: number | bigint, bits: 32 | 64): string {
  if (typeof value === 'number' && value >= 0) return value.toString(16)
  return BigInt.asUintN(bits, BigInt(value)).toString(16)
}

/** Splits a qualified identifier into its parts, unquoting and folding. */
export function parseIdentifier(text: string, strict: boolean): string[] {
  const fail = (detail: string) =>
    new DbError('invalid_parameter_value', `string is not a valid identifier: "${text}"`, { detail })
  const parts: string[] = []
  const pattern = /\s*(?:"((?:[^"]|"")*)"|([\p{L}_\u0080-\uffff][\p{L}\p{N}_$\u0080-\uffff]*))\s*/uy
  let at = 0
  for (let first = true; ; first = false) {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match === null) {
      if (/^\s*"/.test(text.slice(at))) throw fail('String has unclosed double quotes.')
      if (text[at] === '.' || (!first && at < text.length)) {
        if (text[at] === '.') throw fail('No valid identifier before ".".')
        throw fail('No valid identifier after ".".')
      }
      if (!first) throw fail('No valid identifier after ".".')
      throw new DbError('invalid_parameter_value', `string is not a valid identifier: "${text}"`)
    }
    if (match[1] === '') throw fail('Quoted identifier must not be empty.')
    parts.push(match[1] === undefined ? lowerCase(match[2]) : match[1].replaceAll('""', '"'))
    at = pattern.lastIndex
    if (text[at] === '.') {
      at++
      continue
    }
    if (at < text.length && strict) {
      throw new DbError('invalid_parameter_value', `string is not a valid identifier: "${text}"`)
    }
    return parts
  }
}

export const textCode: Record<string, FunctionCode> = {
  textlen: (a: string) => codePointLength(a),
  bpcharlen: (a: string) => codePointLength(trimBlanks(a)),
  textoctetlen: (a: string) => utf8Length(a),
  bpcharoctetlen: (a: string) => utf8Length(a),
  'bit_length(text)': (a: string) => utf8Length(a) * 8,
  textcat(a: string, b: string) {
    if (a.length + b.length > maxLength) throw tooLong()
    return a + b
  },
  text_substr: (a: string, start: number, length: number) => substring(a, start, length),
  text_substr_no_len: (a: string, start: number) => substring(a, start),
  textpos: (a: string, part: string) => positionOf(a, part),
  textoverlay: (a: string, b: string, start: number, length: number) => overlay(a, b, start, length),
  textoverlay_no_len: (a: string, b: string, start: number) => overlay(a, b, start, codePointLength(b)),
  lpad: (a: string, length: number, fill: string) => pad(a, length, fill, true),
  rpad: (a: string, length: number, fill: string) => pad(a, length, fill, false),
  'lpad(text,int4)': (a: string, length: number) => pad(a, length, ' ', true),
  'rpad(text,int4)': (a: string, length: number) => pad(a, length, ' ', false),
  btrim: (a: string, set: string) => trimEnd(trimStart(a, set), set),
  btrim1: (a: string) => trimEnd(trimStart(a, ' '), ' '),
  ltrim: trimStart,
  ltrim1: (a: string) => trimStart(a, ' '),
  rtrim: trimEnd,
  upper: upperCase,
  lower: lowerCase,
  initcap: initialCapitals,
  split_part: splitPart,
  translate,
  repeat,
  replace_text: (a: string, from: string, to: string) => (from === '' ? a : a.replaceAll(from, () => to)),
  text_reverse: (a: string) => [...a].reverse().join(''),
  text_left: left,
  text_right: right,
  text_starts_with: (a: string, b: string) => a.startsWith(b),
  ascii: (a: string) => a.codePointAt(0) ?? 0,
  chr: character,
  unicode_normalize_func: (a: string, form: any) => a.normalize(typeof form === 'string' ? normalForm(form) : 'NFC'),
  unicode_is_normalized: (a: string, form: any) =>
    a === a.normalize(typeof form === 'string' ? normalForm(form) : 'NFC'),
  unistr: unescapeUnicode,
  to_hex32: (a: number) => hexadecimal(a, 32),
  to_hex64: (a: number | bigint) => hexadecimal(a, 64),
  nameconcatoid: (a: string, oid: number) => `${truncateName(a).slice(0, 63 - 1 - String(oid).length)}_${oid}`,
  quote_ident: quoteIdentifier,
  quote_literal: quoteLiteral,
  quote_nullable: (a: string | null) => (a === null ? 'NULL' : quoteLiteral(a)),
}

/** The unit offset of a 1-based character position; beyond the text when the position is. */
export function offsetOf(text: string, position: number): number {
  if (position - 1 > codePointLength(text)) return text.length + 1
  return isPlain(text) ? position - 1 : unitIndex(text, position - 1)
}
