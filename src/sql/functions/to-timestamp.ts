/**
 * to_timestamp and to_date: text read by a template.
 *
 * Blanks before a field are skipped; a separator in the template takes at most one in the text (exactly itself after
 * FX). Numbers take as many digits as the pattern has, or all there are when no digit follows in the template.
 * Not here: templates (datetime-template.ts), the other direction (to-char.ts).
 */
import { DbError } from '../../base/index.ts'
import { monthNames, weekdayNames, zoneAbbreviation } from '../types/abbreviations.ts'
import {
  checkTimestamp,
  daysInMonth,
  daysOf,
  isDate,
  isLeap,
  isoWeekStart,
  julianEpoch,
  type Micros,
  microsOf,
} from '../types/calendar.ts'
import { TimeTz } from '../types/datetime-types.ts'
import { zoneOf } from '../types/time-zone.ts'
import type { TypeContext, Value } from '../types/type.ts'
import { toUtc } from './datetime.ts'
import {
  type DatePattern,
  dateTemplate,
  type LiteralNode,
  type PatternNode,
  romanMonths,
  type TemplateNode,
} from './datetime-template.ts'
import type { FunctionCode } from './function.ts'

function invalid(message: string, detail?: string, hint?: string): DbError {
  return new DbError('invalid_datetime_format', message, { detail, hint })
}

/** Digits that a numeric pattern has. */
const widths: Partial<Record<DatePattern, number>> = {
  HH24: 2,
  HH12: 2,
  HH: 2,
  MI: 2,
  SS: 2,
  SSSS: 5,
  MS: 3,
  US: 6,
  YYYY: 4,
  YYY: 3,
  YY: 2,
  Y: 1,
  IYYY: 4,
  IYY: 3,
  IY: 2,
  I: 1,
  MM: 2,
  DDD: 3,
  IDDD: 3,
  DD: 2,
  D: 1,
  ID: 1,
  WW: 2,
  W: 1,
  IW: 2,
  CC: 2,
  J: 7,
  Q: 1,
  TZH: 2,
  TZM: 2,
}
const digitPatterns = new Set<string>([...Object.keys(widths), 'FF', 'Y,YYY'])

type FieldName =
  | 'hour'
  | 'minute'
  | 'second'
  | 'daySeconds'
  | 'year'
  | 'month'
  | 'day'
  | 'dayOfYear'
  | 'isoDay'
  | 'weekday'
  | 'week'
  | 'monthWeek'
  | 'isoWeek'
  | 'century'
  | 'julian'
  | 'zoneHour'
  | 'zoneMinute'
  | 'micros'

class TemplateReader {
  readonly #text: string
  readonly #nodes: readonly TemplateNode[]
  #at = 0
  #skipped = 0
  #fixed = false
  readonly fields = new Map<FieldName, number>()
  readonly seen = new Set<DatePattern>()
  yearDigits = 4
  iso = false
  gregorian = false
  afternoon: boolean | undefined
  bc = false
  twelveHours = false
  offset: number | undefined
  zoneSign = 1

  constructor(text: string, nodes: readonly TemplateNode[]) {
    this.#text = text
    this.#nodes = nodes
  }

  read(): this {
    for (let i = 0; i < this.#nodes.length; i++) {
      const node = this.#nodes[i]
      if (this.#at >= this.#text.length) break
      if (node.kind === 'literal') this.#literal(node)
      else this.#pattern(node, i)
    }
    return this
  }

  /** Whether text is left that no pattern read. */
  get rest(): string {
    return this.#text.slice(this.#at)
  }

  #literal(node: LiteralNode): void {
    const separator = !node.quoted && /[^A-Za-z0-9]/.test(node.text)
    if (this.#fixed) {
      this.#at += node.text.length
    } else if (separator) {
      this.#skipped--
      const c = this.#text[this.#at]
      if (/[^A-Za-z0-9]/.test(c) && c < '\u0080') {
        this.#at++
        this.#skipped++
      }
    } else {
      // A quoted or plain character takes one of the text, unless blanks skipped before made up for it.
      if (this.#skipped > 0) this.#skipped--
      else this.#at += String.fromCodePoint(this.#text.codePointAt(this.#at)!).length
    }
  }

  #pattern(node: PatternNode, index: number): void {
    if (node.pattern === 'FX') {
      this.#fixed = true
      return
    }
    if (!this.#fixed) {
      while (/\s/.test(this.#text[this.#at] ?? '')) {
        this.#at++
        this.#skipped++
      }
    }
    this.#skipped = 0
    this.#field(node, index)
    if (node.ordinal !== '') this.#at += 2
  }

  #field(node: PatternNode, index: number): void {
    const number = (name: FieldName) => this.#set(name, this.#number(node, index), node)
    switch (node.pattern) {
      case 'HH':
      case 'HH12':
        this.twelveHours = true
        return number('hour')
      case 'HH24':
        this.twelveHours = false
        return number('hour')
      case 'MI':
        return number('minute')
      case 'SS':
        return number('second')
      case 'SSSS':
        return number('daySeconds')
      case 'MS':
      case 'US':
      case 'FF':
        return this.#fraction(node)
      case 'AM':
      case 'A.M.':
        this.afternoon = this.#word(node.pattern === 'AM' ? ['AM', 'PM'] : ['A.M.', 'P.M.'], node) === 1
        this.twelveHours = true
        return
      case 'BC':
      case 'B.C.':
        this.bc = this.#word(node.pattern === 'BC' ? ['AD', 'BC'] : ['A.D.', 'B.C.'], node) === 1
        return
      case 'MONTH':
      case 'MON':
        this.gregorian = true
        return this.#set('month', this.#name(monthNames, node) + 1, node)
      case 'RM':
        this.gregorian = true
        return this.#set('month', this.#roman(node) + 1, node)
      case 'DAY':
      case 'DY':
        return this.#set('weekday', this.#name(weekdayNames, node), node)
      case 'TZ':
        return this.#zone(node)
      case 'TZH':
        return this.#zoneHour(node, index)
      case 'OF':
        throw new DbError('feature_not_supported', 'formatting field "OF" is only supported in to_char')
      default:
        this.#calendar(node, index)
    }
  }

  #calendar(node: PatternNode, index: number): void {
    const { pattern } = node
    if (pattern === 'TZM') return this.#set('zoneMinute', this.#number(node, index), node)
    if (pattern === 'Q') {
      this.#number(node, index)
      return
    }
    if (pattern === 'Y,YYY') return this.#commaYear(node)
    if (/^I?Y+$|^I$/.test(pattern)) return this.#year(node, index)
    const names: Partial<Record<DatePattern, FieldName>> = {
      MM: 'month',
      DDD: 'dayOfYear',
      IDDD: 'isoDay',
      DD: 'day',
      D: 'weekday',
      ID: 'weekday',
      W: 'monthWeek',
      WW: 'week',
      IW: 'isoWeek',
      CC: 'century',
      J: 'julian',
    }
    const value = this.#number(node, index)
    if (pattern === 'IDDD' || pattern === 'ID' || pattern === 'IW') this.iso = true
    else if (pattern === 'MM' || pattern === 'DD' || pattern === 'DDD' || pattern === 'WW' || pattern === 'D')
      this.gregorian = true
    if (pattern === 'D') return this.#set('weekday', value - 1, node)
    if (pattern === 'ID') return this.#set('weekday', value % 7, node)
    this.#set(names[pattern]!, value, node)
  }

  #year(node: PatternNode, index: number): void {
    const start = this.#at
    let year = this.#number(node, index)
    const digits = this.#at - start
    const width = widths[node.pattern]!
    if (width < 4 && digits < 4) year = fullYear(year)
    if (node.pattern.startsWith('I')) this.iso = true
    else this.gregorian = true
    this.yearDigits = width
    this.#set('year', year, node)
  }

  #commaYear(node: PatternNode): void {
    const match = /^(\d+),(\d{3})/.exec(this.rest)
    if (match === null) throw invalid('invalid input string for "Y,YYY"')
    this.#at += match[0].length
    this.gregorian = true
    this.#set('year', Number(match[1]) * 1000 + Number(match[2]), node)
  }

  #set(name: FieldName, value: number, node: PatternNode): void {
    const before = this.fields.get(name)
    if (before !== undefined && before !== value) {
      const detail = 'This value contradicts a previous setting for the same field type.'
      throw invalid(`conflicting values for "${node.written}" field in formatting string`, detail)
    }
    this.fields.set(name, value)
    this.seen.add(node.pattern)
  }

  /** Whether the node after `index` does not begin with digits, so that a number may be as long as it is. */
  #open(index: number): boolean {
    const next = this.#nodes[index + 1]
    if (next === undefined) return true
    if (next.kind === 'literal') return !/[0-9]/.test(next.text)
    return !digitPatterns.has(next.pattern)
  }

  #number(node: PatternNode, index: number): number {
    const width = widths[node.pattern]!
    const start = this.#at
    const open = node.fill || this.#open(index) || node.ordinal !== ''
    const source = open ? this.rest : this.rest.slice(0, width)
    const match = /^\s*[+-]?\d+/.exec(source)
    if (match === null) {
      const piece = this.rest.slice(0, width)
      const detail = piece.length < width && !open ? undefined : 'Value must be an integer.'
      if (piece.length < width && !open) {
        throw invalid(
          `source string too short for "${node.written}" formatting field`,
          `Field requires ${width} characters, but only ${piece.length} remain.`,
          'If your source string is not fixed-width, try using the "FM" modifier.',
        )
      }
      throw invalid(`invalid value "${piece}" for "${node.written}"`, detail)
    }
    if (!open && match[0].length < width && source.length >= width) {
      throw invalid(
        `invalid value "${source}" for "${node.written}"`,
        `Field requires ${width} characters, but only ${match[0].length} could be parsed.`,
        'If your source string is not fixed-width, try using the "FM" modifier.',
      )
    }
    this.#at = start + match[0].length
    const value = Number(match[0])
    if (Math.abs(value) > 0x7fffffff) {
      throw new DbError('datetime_field_overflow', `value for "${node.written}" in source string is out of range`, {
        detail: 'Value must be in the range -2147483648 to 2147483647.',
      })
    }
    return value
  }

  #fraction(node: PatternNode): void {
    const width = node.pattern === 'FF' ? node.digits : widths[node.pattern]!
    const match = /^\d+/.exec(this.rest.slice(0, width))
    if (match === null)
      throw invalid(`invalid value "${this.rest.slice(0, width)}" for "${node.written}"`, 'Value must be an integer.')
    this.#at += match[0].length
    const before = this.fields.get('micros') ?? 0
    this.fields.set('micros', before + Math.round(Number(`0.${match[0]}`) * 1e6))
  }

  #word(words: readonly string[], node: PatternNode): number {
    const text = this.rest.toUpperCase()
    const found = words.findIndex((word) => text.startsWith(word))
    if (found < 0) this.#notAllowed(node)
    this.#at += words[found].length
    return found
  }

  #notAllowed(node: PatternNode): never {
    const word = /^[^\s]*/.exec(this.rest)![0]
    throw invalid(
      `invalid value "${word}" for "${node.written}"`,
      'The given value did not match any of the allowed values for this field.',
    )
  }

  #name(names: readonly string[], node: PatternNode): number {
    const short = node.pattern === 'MON' || node.pattern === 'DY'
    const found = names.findIndex((full) => {
      const wanted = short ? full.slice(0, 3) : full
      return this.rest.slice(0, wanted.length).toLowerCase() === wanted.toLowerCase()
    })
    if (found < 0) this.#notAllowed(node)
    this.#at += short ? 3 : names[found].length
    return found
  }

  #roman(node: PatternNode): number {
    const word = /^[IVX]+/i.exec(this.rest)?.[0].toUpperCase()
    const found = word === undefined ? -1 : romanMonths.indexOf(word)
    if (found < 0) this.#notAllowed(node)
    this.#at += word!.length
    return found
  }

  #zone(node: PatternNode): void {
    const sign = /^[+-]\d/.test(this.rest)
    if (sign) {
      const match = /^([+-])(\d{1,2})(?::?(\d{2}))?/.exec(this.rest)!
      this.#at += match[0].length
      this.offset = (match[1] === '-' ? -1 : 1) * (Number(match[2]) * 3600 + Number(match[3] ?? 0) * 60)
      return
    }
    const word = /^[A-Za-z]+/.exec(this.rest)?.[0]
    const seconds = word === undefined ? undefined : zoneAbbreviation(word)
    if (seconds === undefined) {
      throw invalid(`invalid value "${this.rest}" for "${node.written}"`, 'Time zone abbreviation is not recognized.')
    }
    this.#at += word!.length
    this.offset = seconds
  }

  #zoneHour(node: PatternNode, index: number): void {
    const c = this.#text[this.#at]
    if (c === '+' || c === '-' || c === ' ') {
      this.zoneSign = c === '-' ? -1 : 1
      this.#at++
    }
    this.#set('zoneHour', this.#number(node, index), node)
  }
}

/** Two and three digits mean a year near 2020. */
function fullYear(year: number): number {
  if (year < 70) return year + 2000
  if (year < 100) return year + 1900
  if (year < 520) return year + 2000
  return year < 1000 ? year + 1000 : year
}

function outOfRange(text: string): DbError {
  return new DbError('datetime_field_overflow', `date/time field value out of range: "${text}"`)
}

export interface TemplateResult {
  readonly kind: 'date' | 'time' | 'timetz' | 'timestamp' | 'timestamptz'
  readonly value: Value
  /** Seconds east of UTC, for results with a zone. */
  readonly offset: number
}

interface Assembled {
  readonly day: number
  readonly time: number
  readonly offset: number | undefined
  readonly reader: TemplateReader
}

function timeOfReader(reader: TemplateReader, text: string): number {
  const get = (name: FieldName) => reader.fields.get(name) ?? 0
  let hour = get('hour')
  let minute = get('minute')
  let second = get('second')
  const daySeconds = reader.fields.get('daySeconds')
  if (daySeconds !== undefined) {
    hour = Math.floor(daySeconds / 3600)
    minute = Math.floor(daySeconds / 60) % 60
    second = daySeconds % 60
  }
  if (reader.twelveHours && reader.fields.has('hour')) {
    if (hour < 1 || hour > 12) {
      throw invalid(
        `hour "${hour}" is invalid for the 12-hour clock`,
        undefined,
        'Use the 24-hour clock, or give an hour between 1 and 12.',
      )
    }
    if (reader.afternoon === true && hour < 12) hour += 12
    else if (reader.afternoon !== true && hour === 12) hour = 0
  }
  if (minute < 0 || minute > 59 || second < 0 || second > 59 || hour < 0 || hour > 23) throw outOfRange(text)
  return (hour * 60 + minute) * 60e6 + second * 1e6 + get('micros')
}

function yearOf(reader: TemplateReader): number {
  const century = reader.fields.get('century')
  let year = reader.fields.get('year')
  if (year !== undefined) {
    // CC completes a year of one or two digits.
    if (century !== undefined && reader.yearDigits <= 2) {
      const rest = year % 100
      if (reader.bc) year = -century * 100 + 1 + rest
      else {
        year = century >= 0 ? (rest === 0 ? century * 100 : (century - 1) * 100 + rest) : (century + 1) * 100 - rest + 1
      }
      return year
    }
    if (reader.bc && year > 0) return 1 - year
    return year < 0 ? year + 1 : year
  }
  if (century === undefined) return 0
  const signed = reader.bc ? -century : century
  return signed >= 0 ? (signed - 1) * 100 + 1 : signed * 100 + 1
}

function dayOfReader(reader: TemplateReader, text: string): number {
  const { fields } = reader
  if (reader.iso && reader.gregorian) {
    throw invalid(
      'invalid combination of date conventions',
      undefined,
      'Do not mix Gregorian and ISO week date conventions in a formatting template.',
    )
  }
  const julian = fields.get('julian')
  if (julian !== undefined) return julian - julianEpoch
  const year = yearOf(reader)
  const isoWeek = fields.get('isoWeek')
  if (reader.iso) {
    if (isoWeek !== undefined) return isoWeekStart(year, isoWeek) + (((fields.get('weekday') ?? 1) + 6) % 7)
    const isoDay = fields.get('isoDay')
    if (isoDay !== undefined) return isoWeekStart(year, 1) + isoDay - 1
    return daysOf(year, 1, 1)
  }
  const week = fields.get('week')
  const dayOfYear = fields.get('dayOfYear') ?? (week === undefined ? undefined : (week - 1) * 7 + 1)
  let month = fields.get('month')
  let day = fields.get('day')
  const monthWeek = fields.get('monthWeek')
  if (monthWeek !== undefined) day ??= (monthWeek - 1) * 7 + 1
  if (dayOfYear !== undefined && (month === undefined || day === undefined)) {
    if (year === 0 && !reader.bc && !fields.has('year')) {
      throw invalid('cannot calculate day of year without year information')
    }
    if (dayOfYear < 1 || dayOfYear > (isLeap(year) ? 366 : 365)) throw outOfRange(text)
    return daysOf(year, 1, dayOfYear)
  }
  month ??= 1
  day ??= 1
  if (month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) throw outOfRange(text)
  return daysOf(year, month, day)
}

function assemble(text: string, template: string): Assembled {
  const reader = new TemplateReader(text, dateTemplate(template)).read()
  const time = timeOfReader(reader, text)
  const day = dayOfReader(reader, text)
  if (!isDate(day)) throw outOfRange(text)
  const zoneHour = reader.fields.get('zoneHour')
  const zoneMinute = reader.fields.get('zoneMinute')
  let offset = reader.offset
  if (zoneHour !== undefined || zoneMinute !== undefined) {
    offset = reader.zoneSign * ((zoneHour ?? 0) * 3600 + (zoneMinute ?? 0) * 60)
  }
  return { day, time, offset, reader }
}

function toTimestamp(text: string, template: string, context: TypeContext): Micros {
  const { day, time, offset } = assemble(text, template)
  const local = microsOf(day, time)
  if (offset !== undefined) return checkTimestamp(microsOf(day, time - offset * 1e6))
  return toUtc(local, zoneOf(context.timeZone))
}

const datePatterns = /^(Y|I|C|MON|MM|D|W|J|RM|BC|B\.C\.)/
const timePatterns = /^(HH|MI$|SS|MS$|US$|FF|AM|A\.M\.)/

/** For .datetime(template): what the template has decides the type. */
export function parseByTemplate(text: string, template: string): TemplateResult {
  const nodes = dateTemplate(template)
  const has = (pattern: RegExp) => nodes.some((node) => node.kind === 'pattern' && pattern.test(node.pattern))
  const hasDate = has(datePatterns)
  const hasTime = has(timePatterns)
  const hasZone = has(/^TZ/)
  const { day, time, offset = 0 } = assemble(text, template)
  if (hasDate && hasTime) {
    if (hasZone) return { kind: 'timestamptz', value: checkTimestamp(microsOf(day, time - offset * 1e6)), offset }
    return { kind: 'timestamp', value: microsOf(day, time), offset: 0 }
  }
  if (hasDate) return { kind: 'date', value: day, offset: 0 }
  if (!hasTime) throw invalid('datetime format is not dated and not timed')
  if (hasZone) return { kind: 'timetz', value: new TimeTz(time, 0 - offset), offset }
  return { kind: 'time', value: time, offset: 0 }
}

export const toTimestampCode: Record<string, FunctionCode> = {
  to_timestamp: toTimestamp,
  to_date: (text: string, template: string) => assemble(text, template).day,
}
