/**
 * to_char of timestamps and intervals.
 *
 * Not here: templates (datetime-template.ts), numbers (to-char-number.ts).
 */
import { DbError } from '../../base/index.ts'
import { monthNames, weekdayNames } from '../types/abbreviations.ts'
import {
  civilOf,
  dayOf,
  daysOf,
  isInfinite,
  isoWeek,
  isoWeekStart,
  julianEpoch,
  type Micros,
  timeOf,
  weekday,
} from '../types/calendar.ts'
import { localTime } from '../types/datetime-output.ts'
import type { Interval } from '../types/interval.ts'
import { unixSecondsOf, zoneOf } from '../types/time-zone.ts'
import type { TypeContext } from '../types/type.ts'
import { dateTemplate, type LetterCase, ordinalSuffix, type PatternNode, romanMonths } from './datetime-template.ts'
import type { FunctionCode } from './function.ts'

/** What patterns show. `day` is undefined for intervals. */
interface Fields {
  readonly year: number
  readonly month: number
  readonly monthDay: number
  readonly hour: number
  readonly minute: number
  readonly second: number
  readonly micros: number
  readonly day: number | undefined
  readonly offset: number | undefined
  readonly zone: string
}

function timestampFields(local: Micros, offset: number | undefined, zone: string): Fields {
  const day = dayOf(local)
  const time = timeOf(local, day)
  const civil = civilOf(day)
  return {
    year: civil.year,
    month: civil.month,
    monthDay: civil.day,
    hour: Math.floor(time / 3600e6),
    minute: Math.floor(time / 60e6) % 60,
    second: Math.floor(time / 1e6) % 60,
    micros: time % 1e6,
    day,
    offset,
    zone,
  }
}

function intervalFields(value: Interval): Fields {
  const micros = Number(value.micros)
  return {
    year: Math.trunc(value.months / 12),
    month: value.months % 12,
    monthDay: value.days,
    hour: Math.trunc(micros / 3600e6),
    minute: Math.trunc(micros / 60e6) % 60,
    second: Math.trunc(micros / 1e6) % 60,
    micros: micros % 1e6,
    day: undefined,
    offset: undefined,
    zone: '',
  }
}

/** Zero-padded to `width`; a minus sign adds a place. */
function padded(value: number, width: number, node: PatternNode): string {
  const digits = String(Math.abs(value))
  const sign = value < 0 ? '-' : ''
  return sign + (node.fill ? digits : digits.padStart(width, '0'))
}

function inCase(text: string, letters: LetterCase): string {
  return letters === 'upper' ? text.toUpperCase() : letters === 'lower' ? text.toLowerCase() : text
}

function name(text: string, node: PatternNode, width: number): string {
  const shown = inCase(text, node.letters)
  return node.fill ? shown : shown.padEnd(width)
}

function notForIntervals(): DbError {
  return new DbError('invalid_datetime_format', 'invalid format specification for an interval value', {
    hint: 'Intervals are not tied to specific calendar dates.',
  })
}

function dayNeeded(fields: Fields): number {
  if (fields.day === undefined) throw notForIntervals()
  return fields.day
}

/** A year as it is called: no year 0, BC counted up. */
function calledYear(fields: Fields): number {
  if (fields.day === undefined) return fields.year
  return fields.year > 0 ? fields.year : 1 - fields.year
}

function isoYearOf(fields: Fields): number {
  const year = isoWeek(dayNeeded(fields)).year
  return year > 0 ? year : 1 - year
}

function timePattern(node: PatternNode, f: Fields): string | undefined {
  switch (node.pattern) {
    case 'HH':
    case 'HH12':
      return padded(f.hour % 12 === 0 ? 12 : f.hour % 12, 2, node)
    case 'HH24':
      return padded(f.hour, 2, node)
    case 'MI':
      return padded(f.minute, 2, node)
    case 'SS':
      return padded(f.second, 2, node)
    case 'MS':
      return padded(Math.trunc(f.micros / 1000), 3, node)
    case 'US':
      return padded(f.micros, 6, node)
    case 'FF':
      return String(Math.trunc(Math.abs(f.micros) / 10 ** (6 - node.digits))).padStart(node.digits, '0')
    case 'SSSS':
      return String(f.hour * 3600 + f.minute * 60 + f.second)
    case 'AM':
      return inCase(f.hour % 24 >= 12 ? 'PM' : 'AM', node.letters)
    case 'A.M.':
      return inCase(f.hour % 24 >= 12 ? 'P.M.' : 'A.M.', node.letters)
    case 'TZ':
      if (f.day === undefined) throw notForIntervals()
      return inCase(f.zone, node.letters)
    case 'TZH':
    case 'TZM':
    case 'OF':
      return zonePattern(node, f)
    default:
      return undefined
  }
}

function zonePattern(node: PatternNode, f: Fields): string {
  if (f.day === undefined) throw notForIntervals()
  const offset = f.offset ?? 0
  const size = Math.abs(offset)
  const sign = offset < 0 ? '-' : '+'
  const hours = String(Math.floor(size / 3600)).padStart(2, '0')
  const minutes = String(Math.floor(size / 60) % 60).padStart(2, '0')
  if (node.pattern === 'TZH') return sign + hours
  if (node.pattern === 'TZM') return minutes
  const shown = node.fill ? String(Math.floor(size / 3600)) : hours
  return sign + shown + (minutes === '00' ? '' : `:${minutes}`)
}

function yearPattern(node: PatternNode, f: Fields): string | undefined {
  switch (node.pattern) {
    case 'BC':
    case 'B.C.': {
      dayNeeded(f)
      const dotted = node.pattern === 'B.C.'
      return inCase(f.year <= 0 ? (dotted ? 'B.C.' : 'BC') : dotted ? 'A.D.' : 'AD', node.letters)
    }
    case 'Y,YYY': {
      const year = calledYear(f)
      const rest = year % 1000
      const shown = rest < 0 ? `-${String(-rest).padStart(2, '0')}` : String(rest).padStart(3, '0')
      return `${Math.trunc(year / 1000) + 0},${shown}`
    }
    case 'YYYY':
      return padded(calledYear(f), 4, node)
    case 'YYY':
      return padded(calledYear(f) % 1000, 3, node)
    case 'YY':
      return padded(calledYear(f) % 100, 2, node)
    case 'Y':
      return String(calledYear(f) % 10)
    case 'IYYY':
      return padded(isoYearOf(f), 4, node)
    case 'IYY':
      return padded(isoYearOf(f) % 1000, 3, node)
    case 'IY':
      return padded(isoYearOf(f) % 100, 2, node)
    case 'I':
      return String(isoYearOf(f) % 10)
    case 'CC': {
      if (f.day === undefined) return padded(Math.trunc(f.year / 100), 2, node)
      const century = f.year > 0 ? Math.floor((f.year - 1) / 100) + 1 : Math.trunc(f.year / 100) - 1
      return century >= -99 && century <= 99 ? padded(century, 2, node) : String(century)
    }
    default:
      return undefined
  }
}

function datePattern(node: PatternNode, f: Fields): string | undefined {
  switch (node.pattern) {
    case 'MONTH':
      dayNeeded(f)
      return name(monthNames[f.month - 1], node, 9)
    case 'MON':
      dayNeeded(f)
      return inCase(monthNames[f.month - 1].slice(0, 3), node.letters)
    case 'MM':
      return padded(f.month, 2, node)
    case 'RM': {
      if (f.month === 0 && f.year === 0) return ''
      const numeral =
        f.month === 0 ? (f.year >= 0 ? 'XII' : 'I') : romanMonths[f.month > 0 ? f.month - 1 : 12 + f.month]
      return name(numeral, node, 4)
    }
    case 'DAY':
      return name(weekdayNames[weekday(dayNeeded(f))], node, 9)
    case 'DY':
      return inCase(weekdayNames[weekday(dayNeeded(f))].slice(0, 3), node.letters)
    case 'DDD':
      return padded(
        f.day === undefined ? f.year * 360 + f.month * 30 + f.monthDay : f.day - daysOf(f.year, 1, 1) + 1,
        3,
        node,
      )
    case 'IDDD': {
      const day = dayNeeded(f)
      return padded(day - isoWeekStart(isoWeek(day).year, 1) + 1, 3, node)
    }
    case 'DD':
      return padded(f.monthDay, 2, node)
    case 'D':
      return String(weekday(dayNeeded(f)) + 1)
    case 'ID':
      return String(weekday(dayNeeded(f)) || 7)
    case 'W':
      return String(Math.trunc((f.monthDay - 1) / 7) + 1)
    case 'WW':
      return padded(Math.floor((dayNeeded(f) - daysOf(f.year, 1, 1)) / 7) + 1, 2, node)
    case 'IW':
      return padded(isoWeek(dayNeeded(f)).week, 2, node)
    case 'Q':
      return f.month === 0 ? '' : String(Math.floor((f.month - 1) / 3) + 1)
    case 'J':
      return String(f.day === undefined ? julianOf(f) : f.day + julianEpoch)
    default:
      return undefined
  }
}

/** The Julian day that an interval's fields would be, were they a date; months need not be in range. */
function julianOf(f: Fields): number {
  const late = f.month > 2
  const month = f.month + (late ? 1 : 13)
  const year = f.year + (late ? 4800 : 4799)
  const century = Math.trunc(year / 100)
  const leaps = Math.trunc(year / 4) - century + Math.trunc(century / 4)
  return year * 365 - 32167 + leaps + Math.trunc((7834 * month) / 256) + f.monthDay
}

const withoutOrdinal = new Set([
  'AM',
  'A.M.',
  'BC',
  'B.C.',
  'MONTH',
  'MON',
  'DAY',
  'DY',
  'TZ',
  'TZH',
  'TZM',
  'OF',
  'RM',
  'FX',
])

function write(template: string, fields: Fields): string {
  let out = ''
  for (const node of dateTemplate(template)) {
    if (node.kind === 'literal') {
      out += node.text
      continue
    }
    const text = timePattern(node, fields) ?? yearPattern(node, fields) ?? datePattern(node, fields) ?? ''
    out += text
    if (node.ordinal !== '' && !withoutOrdinal.has(node.pattern)) out += ordinalSuffix(text, node.ordinal)
  }
  return out
}

export const toCharCode: Record<string, FunctionCode> = {
  timestamp_to_char(value: Micros, template: string) {
    if (template === '' || isInfinite(value)) return null
    return write(template, timestampFields(value, undefined, ''))
  },
  timestamptz_to_char(value: Micros, template: string, context: TypeContext) {
    if (template === '' || isInfinite(value)) return null
    const zone = zoneOf(context.timeZone)
    const { local, offset } = localTime(value, zone)
    return write(template, timestampFields(local, offset, zone.abbreviation(unixSecondsOf(value))))
  },
  interval_to_char: (value: Interval, template: string) =>
    template === '' ? null : write(template, intervalFields(value)),
}
