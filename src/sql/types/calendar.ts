/**
 * The proleptic Gregorian calendar and microseconds: days and times since 2000-01-01, as PostgreSQL counts them.
 *
 *   date       days since 2000-01-01
 *   timestamp  microseconds since 2000-01-01 00:00:00; a number while safe (years 1715 to 2285), else a bigint
 *   years      astronomical: 0 is 1 BC
 *
 * Source: the civil-calendar algorithms by Howard Hinnant, moved to PostgreSQL's epoch.
 * Not here: text (datetime-input.ts, datetime-output.ts), zones (time-zone.ts).
 */
import { DbError } from '../../base/index.ts'

export const dayMicros = 86_400_000_000
/** Julian day of 2000-01-01. */
export const julianEpoch = 2451545
/** Seconds and days from 1970-01-01 to 2000-01-01. */
export const unixEpochSeconds = 946_684_800
export const unixEpochDays = 10957

const bigDay = BigInt(dayMicros)
const leastDay = -julianEpoch
const lastDay = 2145031948

/** First and last (exclusive) timestamps: 4714-11-24 BC and 294277-01-01. */
const leastMicros = -211813488000000000n
const endMicros = 9223371331200000000n

export type Micros = number | bigint

export interface Civil {
  year: number
  month: number
  day: number
}

/** Days since 2000-01-01 of a civil date; month 1-12, any day. */
export function daysOf(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146097 + dayOfEra - 730425
}

/** The civil date of a day number; fills and returns `into`. */
export function civilOf(days: number, into: Civil = { year: 0, month: 0, day: 0 }): Civil {
  const z = days + 730425
  const era = Math.floor(z / 146097)
  const dayOfEra = z - era * 146097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36524) - Math.floor(dayOfEra / 146096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shifted = Math.floor((5 * dayOfYear + 2) / 153)
  into.day = dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1
  into.month = shifted < 10 ? shifted + 3 : shifted - 9
  into.year = yearOfEra + era * 400 + (into.month <= 2 ? 1 : 0)
  return into
}

export function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
}

const monthLengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

export function daysInMonth(year: number, month: number): number {
  return month === 2 && isLeap(year) ? 29 : monthLengths[month - 1]
}

/** 0 Sunday … 6 Saturday. */
export function weekday(days: number): number {
  return (((days + 6) % 7) + 7) % 7
}

/** ISO 8601: the year that the week belongs to, and the week's number in it. */
export function isoWeek(days: number): { year: number; week: number } {
  const monday = days - ((weekday(days) + 6) % 7)
  const year = civilOf(monday + 3).year
  return { year, week: Math.floor((monday + 3 - daysOf(year, 1, 1)) / 7) + 1 }
}

/** The Monday that begins an ISO week. */
export function isoWeekStart(year: number, week: number): number {
  const fourth = daysOf(year, 1, 4)
  return fourth - ((weekday(fourth) + 6) % 7) + (week - 1) * 7
}

export function isInfinite(value: Micros): boolean {
  return value === Number.POSITIVE_INFINITY || value === Number.NEGATIVE_INFINITY
}

/** The day number that a finite timestamp falls on. */
export function dayOf(micros: Micros): number {
  if (typeof micros === 'bigint') {
    const quotient = micros / bigDay
    return Number(micros < 0n && quotient * bigDay !== micros ? quotient - 1n : quotient)
  }
  const days = Math.floor(micros / dayMicros)
  // The quotient may have been rounded up to the next day.
  return days * dayMicros > micros ? days - 1 : days
}

/** Microseconds since midnight of a finite timestamp on day `day`. */
export function timeOf(micros: Micros, day: number): number {
  return typeof micros === 'bigint' ? Number(micros - BigInt(day) * bigDay) : micros - day * dayMicros
}

/** Puts a timestamp together; `time` may lie outside one day. Not range-checked. */
export function microsOf(day: number, time: number): Micros {
  const quick = day * dayMicros + time
  return Number.isSafeInteger(quick) ? quick : canonicalMicros(BigInt(day) * bigDay + BigInt(time))
}

export function canonicalMicros(value: bigint): Micros {
  return value >= -0x1fffffffffffffn && value <= 0x1fffffffffffffn ? Number(value) : value
}

/** Sum of two finite amounts of microseconds. */
export function addMicros(a: Micros, b: Micros): Micros {
  if (typeof a === 'number' && typeof b === 'number') {
    const sum = a + b
    if (Number.isSafeInteger(sum)) return sum
  }
  return canonicalMicros(BigInt(a) + BigInt(b))
}

export function negateMicros(a: Micros): Micros {
  return typeof a === 'number' ? 0 - a : canonicalMicros(-a)
}

export function timestampRange(): DbError {
  return new DbError('datetime_field_overflow', 'timestamp out of range')
}

/** Raises datetime_field_overflow outside 4714 BC … 294276 AD; infinities pass. */
export function checkTimestamp(value: Micros): Micros {
  if (typeof value === 'bigint' && (value < leastMicros || value >= endMicros)) throw timestampRange()
  return value
}

export function isTimestamp(value: Micros): boolean {
  return typeof value === 'number' || (value >= leastMicros && value < endMicros)
}

/** Whether a finite day number is a date PostgreSQL knows: 4714-11-24 BC to 5874897-12-31. */
export function isDate(days: number): boolean {
  return days >= leastDay && days <= lastDay
}

/** A date as the timestamp of its midnight; infinities stay. */
export function midnight(days: number): Micros {
  if (!Number.isFinite(days)) return days
  const value = microsOf(days, 0)
  if (!isTimestamp(value)) throw new DbError('datetime_field_overflow', 'date out of range for timestamp')
  return value
}
