/**
 * Values between JavaScript and PostgreSQL's text format.
 *
 *   '{1,NULL,"a \"b\""}'  ◄─►  [1, null, 'a "b"']         bounds such as '[0:1]={…}' are dropped
 *
 * Not here: which parameters a statement has (the channels).
 */
import { DbError } from '../base/index.ts'
import { dateOfMillis } from '../io/node/index.ts'

export type ValueParser = (text: string) => unknown

const identity: ValueParser = (text) => text

function parseInt8(text: string): number | bigint {
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : BigInt(text)
}

function parseBytes(text: string): Uint8Array {
  if (text.startsWith('\\x')) return Buffer.from(text.slice(2), 'hex')
  const raw = text.replace(/\\(\\|[0-7]{3})/g, (_, code: string) =>
    code === '\\' ? '\\' : String.fromCharCode(Number.parseInt(code, 8)),
  )
  return Buffer.from(raw, 'latin1')
}

/** '2024-02-29 12:34:56.789012+05:30', years of any length, ' BC'. Beyond what Date can hold stays text. */
export function parseTimestamptz(text: string): unknown {
  if (text === 'infinity') return Number.POSITIVE_INFINITY
  if (text === '-infinity') return Number.NEGATIVE_INFINITY
  const match =
    /^(\d+)-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d+))?([+-])(\d\d)(?::?(\d\d))?(?::?(\d\d))?( BC)?$/.exec(text)
  if (match === null) return text
  const [, year, month, day, hour, minute, second, fraction, sign, zh, zm, zs, bc] = match
  const y = bc === undefined ? Number(year) : 1 - Number(year)
  const days = daysFromCivil(y, Number(month), Number(day))
  const zone = (Number(zh) * 60 + Number(zm ?? 0)) * 60 + Number(zs ?? 0)
  const seconds = Number(hour) * 3600 + Number(minute) * 60 + Number(second) - (sign === '-' ? -zone : zone)
  const millis = Number((fraction ?? '').padEnd(3, '0').slice(0, 3))
  const total = (days * 86_400 + seconds) * 1000 + millis
  return Math.abs(total) > 8.64e15 ? text : dateOfMillis(total)
}

/** Days since 1970-01-01 of a proleptic Gregorian date (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms"). */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  return era * 146_097 + yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear - 719_468
}

const scalarParsers: [oid: number, arrayOid: number, parse: ValueParser][] = [
  [16, 1000, (text) => text === 't'],
  [17, 1001, parseBytes],
  [20, 1016, parseInt8],
  [21, 1005, Number],
  [23, 1007, Number],
  [26, 1028, Number],
  [114, 199, JSON.parse],
  [700, 1021, Number],
  [701, 1022, Number],
  [1184, 1185, parseTimestamptz],
  [3802, 3807, JSON.parse],
]

/** Array types whose elements stay strings: char, name, text, bpchar, varchar, date, time, timestamp, interval, … */
const textArrays = [
  1002, 1003, 1009, 1014, 1015, 1182, 1183, 1115, 1187, 1231, 1270, 2951, 1041, 651, 1040, 1008, 2207, 2208, 2210, 2211,
  4090, 4097, 3221, 1010, 1011, 1012, 1263, 2949,
]

const parsers = new Map<number, ValueParser>()
for (const [oid, arrayOid, parse] of scalarParsers) {
  parsers.set(oid, parse)
  parsers.set(arrayOid, (text) => parseArray(text, parse))
}
for (const oid of textArrays) parsers.set(oid, (text) => parseArray(text, identity))

/** How the text form of a type is read; a type not known here stays text. */
export function parserOf(oid: number): ValueParser {
  return parsers.get(oid) ?? identity
}

/** Reads an array in text form. Nested arrays nest. */
export function parseArray(text: string, parse: ValueParser): unknown[] {
  let at = text[0] === '[' ? text.indexOf('=') + 1 : 0
  const fail = () => new DbError('invalid_text_representation', `malformed array literal: "${text}"`)

  const quoted = (): string => {
    let out = ''
    for (at++; text[at] !== '"'; at++) {
      if (at >= text.length) throw fail()
      if (text[at] === '\\') at++
      out += text[at]
    }
    at++
    return out
  }

  const list = (): unknown[] => {
    const items: unknown[] = []
    if (text[at++] !== '{') throw fail()
    if (text[at] === '}') {
      at++
      return items
    }
    for (;;) {
      if (text[at] === '{') items.push(list())
      else if (text[at] === '"') items.push(parse(quoted()))
      else {
        const from = at
        while (at < text.length && text[at] !== ',' && text[at] !== '}') at++
        const word = text.slice(from, at)
        items.push(word === 'NULL' ? null : parse(word))
      }
      const separator = text[at++]
      if (separator === '}') return items
      if (separator !== ',') throw fail()
    }
  }
  return list()
}

const jsonTypes = new Set([114, 3802])

/** The text form of a parameter; bytes stay bytes, null and undefined are NULL. */
export function formatValue(value: unknown, oid: number): string | Uint8Array | null {
  if (value === null || value === undefined) return null
  switch (typeof value) {
    case 'string':
      return value
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value)
    case 'object':
      return formatObject(value, oid)
    default:
      throw new DbError('invalid_parameter_value', `a ${typeof value} cannot be a parameter`)
  }
}

function formatObject(value: object, oid: number): string | Uint8Array {
  if (value instanceof Uint8Array) return value
  if (jsonTypes.has(oid)) return JSON.stringify(value)
  if (Array.isArray(value)) return formatArray(value)
  if ('toISOString' in value && typeof value.toISOString === 'function') return value.toISOString()
  const tag = (value as { [Symbol.toStringTag]?: string })[Symbol.toStringTag]
  if (tag?.startsWith('Temporal.')) {
    // A zone in brackets is not understood; the instant with its offset is.
    return tag === 'Temporal.ZonedDateTime' ? String((value as Temporal.ZonedDateTime).toInstant()) : String(value)
  }
  return JSON.stringify(value)
}

function formatArray(items: readonly unknown[]): string {
  const parts = items.map((item) => {
    if (Array.isArray(item)) return formatArray(item)
    const formatted = formatValue(item, 0)
    if (formatted === null) return 'NULL'
    const text = typeof formatted === 'string' ? formatted : bytesAsText(formatted)
    return typeof item === 'number' || typeof item === 'bigint' || typeof item === 'boolean'
      ? text
      : '"' + text.replace(/[\\"]/g, '\\$&') + '"'
  })
  return '{' + parts.join(',') + '}'
}

/** bytea in its hex form. */
export function bytesAsText(bytes: Uint8Array): string {
  return '\\x' + Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}

/** One value in COPY's text format. */
export function formatCopyValue(value: unknown, oid: number): string {
  const formatted = formatValue(value, oid)
  if (formatted === null) return '\\N'
  const text = typeof formatted === 'string' ? formatted : bytesAsText(formatted)
  return /[\\\n\r\t]/.test(text) ? text.replace(/[\\\n\r\t]/g, (c) => copyEscapes[c]) : text
}

const copyEscapes: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** "name" with quotes doubled. */
export function quoteIdentifier(name: string): string {
  return '"' + name.replaceAll('"', '""') + '"'
}
