/**
 * to_timestamp and to_date: the fields that a template found, put together as a date and time.
 *
 * Not here: reading the fields (template-reader.ts), templates (datetime-template.ts), the other direction (to-char.ts).
 */
import { DbError } from '../../base/index.ts'
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
import { dateTemplate } from './datetime-template.ts'
import type { FunctionCode } from './function.ts'
import { type FieldName, invalidFormat, TemplateReader } from './template-reader.ts'

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
      throw invalidFormat(
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
    throw invalidFormat(
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
      throw invalidFormat('cannot calculate day of year without year information')
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
  return { day, time, offset }
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
  if (!hasTime) throw invalidFormat('datetime format is not dated and not timed')
  if (hasZone) return { kind: 'timetz', value: new TimeTz(time, 0 - offset), offset }
  return { kind: 'time', value: time, offset: 0 }
}

export const toTimestampCode: Record<string, FunctionCode> = {
  to_timestamp: toTimestamp,
  to_date: (text: string, template: string) => assemble(text, template).day,
}
