/** COPY's options and row formats: text, CSV, binary (PostgreSQL manual, COPY "File Formats"). */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import type { Type, TypeContext, Value } from '../types/type.ts'

export interface CopyOptions {
  readonly format: 'text' | 'csv' | 'binary'
  readonly delimiter: string
  readonly null: string
  readonly header: boolean | 'match'
  readonly quote: string
  readonly escape: string
  readonly forceQuote: readonly string[] | '*'
  readonly forceNotNull: readonly string[]
  readonly forceNull: readonly string[]
}

function textOf(arg: any): string {
  return arg?.String?.sval ?? arg?.A_Const?.sval?.sval ?? String(arg?.Integer?.ival ?? arg?.Boolean?.boolval ?? 'true')
}

const known = [
  ...['format', 'freeze', 'delimiter', 'null', 'header', 'quote', 'escape', 'encoding'],
  ...['force_quote', 'force_not_null', 'force_null'],
]

/**
 * @param direction 'from' or 'to': some options are for one of the two.
 *
 * Raises what PostgreSQL raises for options that are unknown, given twice, malformed, or that do not go together.
 */
export function copyOptions(nodes: readonly any[], direction: 'from' | 'to' = 'from'): CopyOptions {
  const seen = new Map<string, any>()
  for (const { DefElem } of nodes) {
    const { defname, arg } = DefElem
    if (seen.has(defname)) throw new DbError('syntax_error', 'conflicting or redundant options')
    if (!known.includes(defname)) throw new DbError('syntax_error', `option "${defname}" not recognized`)
    seen.set(defname, arg)
  }
  const format = seen.has('format') ? textOf(seen.get('format')) : 'text'
  if (format !== 'text' && format !== 'csv' && format !== 'binary')
    throw invalid(`COPY format "${format}" not recognized`)
  const csv = format === 'csv'
  const one = (name: string, fallback: string): string => {
    const value = seen.has(name) ? textOf(seen.get(name)) : fallback
    if (value.length === 1 && value.charCodeAt(0) <= 127) return value
    throw unsupported(`COPY ${name} must be a single one-byte character`)
  }
  const header = seen.has('header') && headerOf(seen.get('header'))
  if (format === 'binary') refuseInBinary(seen, header)
  refuseOutsideCsv(seen, csv, direction)
  const encoding = seen.has('encoding') ? textOf(seen.get('encoding')) : 'UTF8'
  if (!/^(utf-?8|unicode|sql_ascii)$/i.test(encoding))
    throw invalid(`argument to option "encoding" must be a valid encoding name`)
  const quote = one('quote', '"')
  const names = (name: string) => ((seen.get(name)?.List?.items ?? []) as any[]).map((i) => i.String.sval as string)
  const options: CopyOptions = {
    format,
    delimiter: format === 'binary' ? '\t' : one('delimiter', csv ? ',' : '\t'),
    null: seen.has('null') ? textOf(seen.get('null')) : csv ? '' : '\\N',
    header,
    quote,
    escape: one('escape', quote),
    forceQuote: seen.get('force_quote')?.A_Star ? '*' : names('force_quote'),
    forceNotNull: names('force_not_null'),
    forceNull: names('force_null'),
  }
  checkCharacters(options)
  return options
}

function headerOf(arg: any): boolean | 'match' {
  const word = arg === undefined ? 'true' : textOf(arg).toLowerCase()
  if (word === 'match') return 'match'
  if (/^(true|on|1)$/.test(word)) return true
  if (/^(false|off|0)$/.test(word)) return false
  throw new DbError('syntax_error', 'header requires a Boolean value or "match"')
}

function refuseInBinary(seen: ReadonlyMap<string, unknown>, header: boolean | 'match'): void {
  for (const name of ['delimiter', 'null']) {
    if (!seen.has(name)) continue
    throw new DbError('syntax_error', `cannot specify ${name.toUpperCase()} in BINARY mode`)
  }
  if (header !== false) throw unsupported('cannot specify HEADER in BINARY mode')
}

function refuseOutsideCsv(seen: ReadonlyMap<string, unknown>, csv: boolean, direction: 'from' | 'to'): void {
  for (const name of ['quote', 'escape', 'force_quote', 'force_not_null', 'force_null']) {
    if (!seen.has(name)) continue
    const said = name.replaceAll('_', ' ')
    if (!csv) throw unsupported(`COPY ${said} available only in CSV mode`)
    const only = name === 'force_quote' ? 'to' : name.startsWith('force') ? 'from' : direction
    if (only !== direction) throw unsupported(`COPY ${said} only available using COPY ${only.toUpperCase()}`)
  }
}

/** Characters of which a reader could not tell what they stand for. */
function checkCharacters({ format, delimiter, null: absent, quote }: CopyOptions): void {
  if (format === 'binary') return
  if (/[\r\n]/.test(delimiter)) throw invalid('COPY delimiter cannot be newline or carriage return')
  if (/[\r\n]/.test(absent)) throw invalid('COPY null representation cannot use newline or carriage return')
  if (format === 'text' && /[\\.a-z0-9]/.test(delimiter)) throw invalid(`COPY delimiter cannot be "${delimiter}"`)
  if (format === 'csv' && delimiter === quote) throw invalid('COPY delimiter and quote must be different')
  if (absent.includes(delimiter)) throw unsupported('COPY delimiter must not appear in the NULL specification')
  if (format === 'csv' && absent.includes(quote))
    throw unsupported('CSV quote character must not appear in the NULL specification')
}

function invalid(message: string): DbError {
  return new DbError('invalid_parameter_value', message)
}

function unsupported(message: string): DbError {
  return new DbError('feature_not_supported', message)
}

// ---- out

const escapes: Record<number, string> = { 8: '\\b', 12: '\\f', 10: '\\n', 13: '\\r', 9: '\\t', 11: '\\v', 92: '\\\\' }

function escapeText(text: string, delimiter: number): string {
  let plain = true
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c < 32 || c === 92 || c === delimiter) {
      plain = false
      break
    }
  }
  if (plain) return text
  let out = ''
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    out += escapes[c] ?? (c === delimiter ? `\\${text[i]}` : text[i])
  }
  return out
}

export class RowWriterText {
  readonly #options: CopyOptions
  readonly #types: readonly Type[]
  readonly #context: TypeContext
  readonly #force: readonly boolean[]

  constructor(options: CopyOptions, types: readonly Type[], names: readonly string[], context: TypeContext) {
    this.#options = options
    this.#types = types
    this.#context = context
    this.#force = names.map((n) => options.forceQuote === '*' || options.forceQuote.includes(n))
  }

  header(names: readonly string[], out: ByteWriter): void {
    const o = this.#options
    out.utf8(
      names
        .map((n) =>
          o.format === 'csv' ? this.#csv(n, false, names.length === 1) : escapeText(n, o.delimiter.charCodeAt(0)),
        )
        .join(o.delimiter),
    )
    out.u8(10)
  }

  write(values: readonly Value[], out: ByteWriter): void {
    const o = this.#options
    if (o.format === 'binary') {
      this.#binary(values, out)
      return
    }
    for (let i = 0; i < values.length; i++) {
      if (i > 0) out.utf8(o.delimiter)
      const v = values[i]
      if (v === null) {
        out.utf8(o.null)
        continue
      }
      const text = this.#types[i].format(v, this.#context)
      out.utf8(
        o.format === 'csv'
          ? this.#csv(text, this.#force[i], values.length === 1)
          : escapeText(text, o.delimiter.charCodeAt(0)),
      )
    }
    out.u8(10)
  }

  #csv(text: string, force: boolean, single: boolean): string {
    const { delimiter, quote, escape: escapeWith } = this.#options
    const needs =
      force ||
      text === this.#options.null ||
      text.includes(delimiter) ||
      text.includes(quote) ||
      text.includes('\n') ||
      text.includes('\r') ||
      (single && text === '\\.')
    if (!needs) return text
    let body = text
    if (escapeWith !== quote) body = body.replaceAll(escapeWith, escapeWith + escapeWith)
    return quote + body.replaceAll(quote, escapeWith + quote) + quote
  }

  #binary(values: readonly Value[], out: ByteWriter): void {
    out.u16(values.length)
    for (let i = 0; i < values.length; i++) {
      const v = values[i]
      if (v === null) {
        out.u32(-1)
        continue
      }
      const at = out.length
      out.u32(0)
      this.#types[i].encode(v, out)
      out.u32At(at, out.length - at - 4)
    }
  }
}

export const binarySignature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')

// ---- in

/** Cuts input into records. `push` bytes, then `next` until undefined; `end` when there are no more bytes. */
export interface RecordReader {
  push(bytes: Uint8Array): void
  end(): void
  /** The cells of the next record, null for NULL; undefined when more bytes are needed or all is read. */
  next(): (string | null)[] | undefined
  /** Number of the record last returned, from 1. */
  readonly line: number
}

export class TextReader implements RecordReader {
  readonly #options: CopyOptions
  readonly #delimiter: number
  #buffer: Buffer = Buffer.alloc(0)
  #at = 0
  #ended = false
  #finished = false
  line = 0

  constructor(options: CopyOptions) {
    this.#options = options
    this.#delimiter = options.delimiter.charCodeAt(0)
  }
  push(bytes: Uint8Array): void {
    if (this.#finished) return
    this.#buffer = joined(this.#buffer, this.#at, bytes)
    this.#at = 0
  }
  end(): void {
    this.#ended = true
  }
  /** Bounds of the cells of the record that `scan` found, in `bytes`. */
  readonly starts = new Int32Array(1664)
  readonly ends = new Int32Array(1664)
  cells = 0

  get bytes(): Buffer {
    return this.#buffer
  }

  /**
   * Finds the next record when it is plain: ASCII without backslashes, so that its cells are what they look like. False
   * for any other; then `next` reads it, or says that there is none.
   */
  scan(): boolean {
    if (this.#finished) return false
    const b = this.#buffer
    const n = b.length
    const delimiter = this.#delimiter
    const { starts, ends } = this
    let count = 0
    let from = this.#at
    for (let i = from; i < n; i++) {
      const c = b[i]
      if (c === delimiter) {
        starts[count] = from
        ends[count++] = i
        from = i + 1
      } else if (c === 10) {
        starts[count] = from
        ends[count++] = i > from && b[i - 1] === 13 ? i - 1 : i
        this.cells = count
        this.#at = i + 1
        this.line++
        return true
      } else if (c === 92 || c > 127 || count >= 1663) return false
    }
    return false
  }

  next(): (string | null)[] | undefined {
    if (this.#finished) return undefined
    const b = this.#buffer
    let end = b.indexOf(10, this.#at)
    // A backslash before a line end makes it data.
    while (end > this.#at && oddBackslashes(b, this.#at, end)) end = b.indexOf(10, end + 1)
    if (end < 0) {
      if (!this.#ended || this.#at >= b.length) return undefined
      end = b.length
    }
    const start = this.#at
    this.#at = end + 1
    const stop = end > start && b[end - 1] === 13 ? end - 1 : end
    if (stop - start === 2 && b[start] === 92 && b[start + 1] === 46) {
      this.#finished = true
      return undefined
    }
    this.line++
    return this.#cells(b, start, stop)
  }
  #cells(b: Buffer, start: number, stop: number): (string | null)[] {
    const text = decode(b, start, stop)
    const { null: nullText } = this.#options
    if (!text.includes('\\')) {
      const cells: (string | null)[] = text.split(this.#options.delimiter)
      for (let i = 0; i < cells.length; i++) if (cells[i] === nullText) cells[i] = null
      return cells
    }
    const out: (string | null)[] = []
    let from = 0
    for (let i = 0; i <= text.length; i++) {
      const c = i === text.length ? -1 : text.charCodeAt(i)
      if (c === 92) {
        i++
        continue
      }
      if (c !== this.#delimiter && c !== -1) continue
      const raw = text.slice(from, i)
      out.push(raw === nullText ? null : unescaped(raw))
      from = i + 1
    }
    return out
  }
}

function oddBackslashes(b: Buffer, start: number, end: number): boolean {
  let n = 0
  for (let i = end - 1; i >= start && b[i] === 92; i--) n++
  return n % 2 === 1
}

function joined(rest: Buffer, at: number, bytes: Uint8Array): Buffer {
  if (at >= rest.length) return Buffer.from(bytes)
  return Buffer.concat([rest.subarray(at), bytes])
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

export function decode(b: Buffer, start: number, end: number): string {
  for (let i = start; i < end; i++) {
    if (b[i] > 127) {
      try {
        return utf8.decode(b.subarray(start, end))
      } catch {
        throw new DbError('character_not_in_repertoire', 'invalid byte sequence for encoding "UTF8"')
      }
    }
  }
  return b.toString('latin1', start, end)
}

const controls: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' }

function unescaped(raw: string): string {
  if (!raw.includes('\\')) return raw
  // A number names a byte: characters outside ASCII may be written as several of them.
  let bytes = false
  const byte = (value: number): string => {
    if (value > 127) bytes = true
    return String.fromCharCode(value)
  }
  const named = (text: string) =>
    text.replace(/\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|([\s\S]))/g, (_all, octal, hex, c) => {
      if (octal !== undefined) return byte(Number.parseInt(octal, 8) & 255)
      if (hex !== undefined) return byte(Number.parseInt(hex, 16))
      return controls[c] ?? c
    })
  const text = named(raw)
  if (!bytes) return text
  const latin = Buffer.from(named(Buffer.from(raw, 'utf8').toString('latin1')), 'latin1')
  return decode(latin, 0, latin.length)
}

export class CsvReader implements RecordReader {
  readonly #options: CopyOptions
  readonly #forceNotNull: readonly boolean[]
  readonly #forceNull: readonly boolean[]
  #buffer: Buffer = Buffer.alloc(0)
  #at = 0
  #ended = false
  #finished = false
  line = 0

  constructor(options: CopyOptions, names: readonly string[]) {
    this.#options = options
    this.#forceNotNull = names.map((n) => options.forceNotNull.includes(n))
    this.#forceNull = names.map((n) => options.forceNull.includes(n))
  }
  push(bytes: Uint8Array): void {
    if (this.#finished) return
    this.#buffer = joined(this.#buffer, this.#at, bytes)
    this.#at = 0
  }
  end(): void {
    this.#ended = true
  }
  next(): (string | null)[] | undefined {
    if (this.#finished || this.#at >= this.#buffer.length) return undefined
    const b = this.#buffer
    const end = this.#recordEnd(b)
    if (end < 0) return undefined
    const start = this.#at
    this.#at = end + 1
    const stop = end > start && b[end - 1] === 13 ? end - 1 : end
    if (stop - start === 2 && b[start] === 92 && b[start + 1] === 46) {
      this.#finished = true
      return undefined
    }
    this.line++
    return this.#cells(decode(b, start, stop))
  }
  /** The line end that is not inside quotes, or the end of input. */
  #recordEnd(b: Buffer): number {
    const quote = this.#options.quote.charCodeAt(0)
    const escapeWith = this.#options.escape.charCodeAt(0)
    let inside = false
    for (let i = this.#at; i < b.length; i++) {
      const c = b[i]
      if (inside && c === escapeWith && escapeWith !== quote) i++
      else if (c === quote) inside = !inside
      else if (c === 10 && !inside) return i
    }
    if (!this.#ended) return -1
    if (inside) throw new DbError('bad_copy_file_format', 'unterminated CSV quoted field')
    return b.length
  }
  #cells(text: string): (string | null)[] {
    const { delimiter, quote, escape: escapeWith } = this.#options
    const out: (string | null)[] = []
    let i = 0
    for (;;) {
      let cell = ''
      let quoted = false
      while (i < text.length && text[i] !== delimiter) {
        if (text[i] !== quote) {
          cell += text[i++]
          continue
        }
        quoted = true
        i++
        while (i < text.length) {
          if (text[i] === escapeWith && i + 1 < text.length && (text[i + 1] === quote || text[i + 1] === escapeWith)) {
            cell += text[i + 1]
            i += 2
          } else if (text[i] === quote) break
          else cell += text[i++]
        }
        i++
      }
      const n = out.length
      const isNull = cell === this.#options.null && (quoted ? this.#forceNull[n] : !this.#forceNotNull[n])
      out.push(isNull ? null : cell)
      if (i >= text.length) return out
      i++
    }
  }
}
