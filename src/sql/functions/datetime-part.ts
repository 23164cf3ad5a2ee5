/**
 * Fields of dates and times: extract and date_part, date_trunc, date_bin, age.
 *
 * extract answers numerics, date_part the same as floats. Fields of infinity are infinite where the field grows without
 * end (year, epoch, …), else NULL.
 * Not here: arithmetic (datetime.ts).
 */
import { DbError } from '../../base/index.ts'
import {
  addMicros,
  checkTimestamp,
  civilOf,
  dayMicros,
  dayOf,
  daysInMonth,
  daysOf,
  isInfinite,
  isoWeek,
  isoWeekStart,
  julianEpoch,
  type Micros,
  microsOf,
  midnight,
  timeOf,
  unixEpochDays,
  unixEpochSeconds,
  weekday,
} from '../types/calendar.ts'
import { localTime } from '../types/datetime-output.ts'
import type { TimeTz } from '../types/datetime-types.ts'
import { type Interval, intervalOf, negateInterval } from '../types/interval.ts'
import { type IntervalUnit, intervalUnit } from '../types/interval-input.ts'
import {
  add,
  divide,
  fromInteger,
  Numeric,
  numericInfinity,
  numericMinusInfinity,
  numericOf,
  toFloat,
} from '../types/numeric.ts'
import { type Zone, zoneOf } from '../types/time-zone.ts'
import type { TypeContext } from '../types/type.ts'
import { toLocal, toUtc, zoneNamed } from './datetime.ts'
import type { FunctionCode } from './function.ts'

type Unit =
  | IntervalUnit
  | 'epoch'
  | 'dow'
  | 'isodow'
  | 'doy'
  | 'isoyear'
  | 'julian'
  | 'timezone'
  | 'timezone_hour'
  | 'timezone_minute'

const extraUnits: Record<string, Unit> = {
  epoch: 'epoch',
  dow: 'dow',
  isodow: 'isodow',
  doy: 'doy',
  isoyear: 'isoyear',
  julian: 'julian',
  j: 'julian',
  jd: 'julian',
  timezone: 'timezone',
  timezone_h: 'timezone_hour',
  timezone_m: 'timezone_minute',
}

function unitOf(name: string, typeName: string): Unit {
  const lower = name.toLowerCase()
  const unit = intervalUnit(lower) ?? extraUnits[lower.slice(0, 10)]
  if (unit === undefined) {
    throw new DbError('invalid_parameter_value', `unit "${lower}" not recognized for type ${typeName}`)
  }
  return unit
}

function unsupported(name: string, typeName: string, detail?: string): DbError {
  const message = `unit "${name.toLowerCase()}" not supported for type ${typeName}`
  return new DbError('feature_not_supported', message, detail === undefined ? undefined : { detail })
}

/** Fields of the time of day (microseconds), or undefined. */
function timePart(unit: Unit, time: number): Numeric | undefined {
  switch (unit) {
    case 'microsecond':
      return new Numeric(time % 60e6, 0)
    case 'millisecond':
      return new Numeric(time % 60e6, 3)
    case 'second':
      return new Numeric(time % 60e6, 6)
    case 'minute':
      return new Numeric(Math.floor(time / 60e6) % 60, 0)
    case 'hour':
      return new Numeric(Math.floor(time / 3600e6), 0)
    default:
      return undefined
  }
}

function century(year: number): number {
  return year > 0 ? Math.floor((year + 99) / 100) : -Math.floor((100 - year) / 100)
}

function millennium(year: number): number {
  return year > 0 ? Math.floor((year + 999) / 1000) : -Math.floor((1000 - year) / 1000)
}

function decade(year: number): number {
  return year >= 0 ? Math.floor(year / 10) : -Math.floor((9 - year) / 10)
}

/** Fields of the date, or undefined. */
function datePart(unit: Unit, day: number): number | undefined {
  const { year, month, day: monthDay } = civilOf(day)
  switch (unit) {
    case 'day':
      return monthDay
    case 'month':
      return month
    case 'quarter':
      return Math.floor((month - 1) / 3) + 1
    case 'week':
      return isoWeek(day).week
    case 'year':
      return year > 0 ? year : year - 1
    case 'decade':
      return decade(year)
    case 'century':
      return century(year)
    case 'millennium':
      return millennium(year)
    case 'isoyear': {
      const iso = isoWeek(day).year
      return iso > 0 ? iso : iso - 1
    }
    case 'dow':
      return weekday(day)
    case 'isodow':
      return weekday(day) === 0 ? 7 : weekday(day)
    case 'doy':
      return day - daysOf(year, 1, 1) + 1
    default:
      return undefined
  }
}

const endless = new Set<Unit>(['year', 'decade', 'century', 'millennium', 'julian', 'isoyear', 'epoch'])

/** A field of ±infinity. */
function infinitePart(unit: Unit, value: Micros): Numeric | null {
  if (!endless.has(unit)) return null
  return value > 0 ? numericInfinity : numericMinusInfinity
}

function epochOf(value: Micros): Numeric {
  const shifted = addMicros(value, unixEpochSeconds * 1e6)
  return numericOf(shifted, 6)
}

const dayLength = fromInteger(dayMicros)

function julianOf(day: number, time: number): Numeric {
  return add(fromInteger(day + julianEpoch), divide(fromInteger(time), dayLength))
}

function timestampPart(
  name: string,
  value: Micros,
  typeName: string,
  offset: number | undefined,
  local: Micros,
): Numeric | null {
  const unit = unitOf(name, typeName)
  const zoneUnit = unit === 'timezone' || unit === 'timezone_hour' || unit === 'timezone_minute'
  if (isInfinite(value)) return infinitePart(unit, value)
  if (zoneUnit && offset === undefined) throw unsupported(name, typeName)
  if (unit === 'epoch') return epochOf(value)
  const day = dayOf(local)
  const time = timeOf(local, day)
  if (unit === 'julian') return julianOf(day, time)
  if (zoneUnit) return zonePart(unit, offset!)
  const part = datePart(unit, day)
  return part === undefined ? timePart(unit, time)! : fromInteger(part)
}

function zonePart(unit: Unit, east: number): Numeric {
  if (unit === 'timezone') return fromInteger(east)
  if (unit === 'timezone_hour') return fromInteger(Math.trunc(east / 3600) + 0)
  return fromInteger((Math.trunc(east / 60) % 60) + 0)
}

const timestampName = 'timestamp without time zone'
const timestamptzName = 'timestamp with time zone'

function extractTimestamp(name: string, value: Micros): Numeric | null {
  return timestampPart(name, value, timestampName, undefined, value)
}

function extractTimestamptz(name: string, value: Micros, context: TypeContext): Numeric | null {
  if (isInfinite(value)) return timestampPart(name, value, timestamptzName, 0, value)
  const { local, offset } = localTime(value, zoneOf(context.timeZone))
  return timestampPart(name, value, timestamptzName, offset, local)
}

function extractDate(name: string, day: number): Numeric | null {
  const unit = unitOf(name, 'date')
  const known = unit === 'epoch' || unit === 'julian' || datePart(unit, 0) !== undefined
  if (!known) throw unsupported(name, 'date')
  if (!Number.isFinite(day)) return infinitePart(unit, day)
  if (unit === 'epoch') return fromInteger((day + unixEpochDays) * 86400)
  if (unit === 'julian') return fromInteger(day + julianEpoch)
  return fromInteger(datePart(unit, day)!)
}

function extractTime(name: string, time: number): Numeric {
  const typeName = 'time without time zone'
  const unit = unitOf(name, typeName)
  if (unit === 'epoch') return new Numeric(time, 6)
  const part = timePart(unit, time)
  if (part === undefined) throw unsupported(name, typeName)
  return part
}

function extractTimeTz(name: string, value: TimeTz): Numeric {
  const typeName = 'time with time zone'
  const unit = unitOf(name, typeName)
  if (unit === 'epoch') return numericOf(value.micros + value.zone * 1e6, 6)
  if (unit === 'timezone' || unit === 'timezone_hour' || unit === 'timezone_minute')
    return zonePart(unit, 0 - value.zone)
  const part = timePart(unit, value.micros)
  if (part === undefined) throw unsupported(name, typeName)
  return part
}

function extractInterval(name: string, value: Interval): Numeric {
  const unit = unitOf(name, 'interval')
  const years = Math.trunc(value.months / 12)
  const months = value.months % 12
  const rest = Number(BigInt(value.micros) % 3_600_000_000n)
  switch (unit) {
    case 'microsecond':
      return new Numeric((rest % 60e6) + 0, 0)
    case 'millisecond':
      return new Numeric((rest % 60e6) + 0, 3)
    case 'second':
      return new Numeric((rest % 60e6) + 0, 6)
    case 'minute':
      return fromInteger(Math.trunc(rest / 60e6) + 0)
    case 'hour':
      return numericOf(BigInt(value.micros) / 3_600_000_000n, 0)
    case 'day':
      return fromInteger(value.days)
    case 'month':
      return fromInteger(months + 0)
    case 'quarter':
      return fromInteger(Math.trunc(months / 3) + 1)
    case 'year':
      return fromInteger(years + 0)
    case 'decade':
      return fromInteger(Math.trunc(years / 10) + 0)
    case 'century':
      return fromInteger(Math.trunc(years / 100) + 0)
    case 'millennium':
      return fromInteger(Math.trunc(years / 1000) + 0)
    case 'epoch': {
      // A year counts 365.25 days, a month 30.
      const quarters = 1461 * years + 120 * months + 4 * value.days
      return numericOf(BigInt(quarters) * 21_600_000_000n + BigInt(value.micros), 6)
    }
    default:
      throw unsupported(name, 'interval')
  }
}

/** date_part: extract as a float. */
function asFloat(extract: (name: string, value: any, context: TypeContext) => Numeric | null): FunctionCode {
  return (name: string, value: any, context: TypeContext) => {
    const part = extract(name, value, context)
    return part === null ? null : toFloat(part)
  }
}

/** Truncates a local timestamp; `day` says whether the unit is a day or longer. */
function truncateLocal(unit: Unit, name: string, value: Micros, typeName: string): Micros {
  const day = dayOf(value)
  const time = timeOf(value, day)
  const { year, month } = civilOf(day)
  const yearStart = (first: number) => microsOf(daysOf(first, 1, 1), 0)
  switch (unit) {
    case 'microsecond':
      return value
    case 'millisecond':
      return microsOf(day, time - (time % 1000))
    case 'second':
      return microsOf(day, time - (time % 1e6))
    case 'minute':
      return microsOf(day, time - (time % 60e6))
    case 'hour':
      return microsOf(day, time - (time % 3600e6))
    case 'day':
      return microsOf(day, 0)
    case 'week': {
      const iso = isoWeek(day)
      return microsOf(isoWeekStart(iso.year, iso.week), 0)
    }
    case 'month':
      return microsOf(daysOf(year, month, 1), 0)
    case 'quarter':
      return microsOf(daysOf(year, Math.floor((month - 1) / 3) * 3 + 1, 1), 0)
    case 'year':
      return yearStart(year)
    case 'decade':
      return yearStart(year > 0 ? Math.floor(year / 10) * 10 : -Math.floor((9 - year) / 10) * 10)
    case 'century':
      return yearStart(year > 0 ? century(year) * 100 - 99 : century(year) * 100 + 1)
    case 'millennium':
      return yearStart(year > 0 ? millennium(year) * 1000 - 999 : millennium(year) * 1000 + 1)
    default:
      throw unsupported(name, typeName)
  }
}

function truncateTimestamp(name: string, value: Micros): Micros {
  if (isInfinite(value)) return value
  const unit = unitOf(name, timestampName)
  return checkTimestamp(truncateLocal(unit, name, value, timestampName))
}

const shortUnits = new Set<Unit>(['microsecond', 'millisecond', 'second', 'minute', 'hour'])

function truncateZoned(name: string, value: Micros, zone: Zone): Micros {
  if (isInfinite(value)) return value
  const unit = unitOf(name, timestamptzName)
  const { local, offset } = localTime(value, zone)
  const truncated = truncateLocal(unit, name, local, timestamptzName)
  if (shortUnits.has(unit)) return checkTimestamp(addMicros(truncated, -offset * 1e6))
  return toUtc(truncated, zone)
}

function truncateInterval(name: string, value: Interval): Interval {
  const unit = unitOf(name, 'interval')
  const months = (size: number) => intervalOf(Math.trunc(value.months / size) * size, 0, 0)
  const micros = (size: bigint) => {
    const big = BigInt(value.micros)
    return intervalOf(value.months, value.days, addMicros(0, big - (big % size)))
  }
  switch (unit) {
    case 'microsecond':
      return value
    case 'millisecond':
      return micros(1000n)
    case 'second':
      return micros(1_000_000n)
    case 'minute':
      return micros(60_000_000n)
    case 'hour':
      return micros(3_600_000_000n)
    case 'day':
      return intervalOf(value.months, value.days, 0)
    case 'month':
      return months(1)
    case 'quarter':
      return months(3)
    case 'year':
      return months(12)
    case 'decade':
      return months(120)
    case 'century':
      return months(1200)
    case 'millennium':
      return months(12000)
    case 'week':
      throw unsupported(name, 'interval', 'Months usually have fractional weeks.')
    default:
      throw unsupported(name, 'interval')
  }
}

/** The start of the bin of width `stride`, counted from `origin`, that a timestamp falls into. */
function bin(stride: Interval, value: Micros, origin: Micros): Micros {
  if (isInfinite(value)) return value
  if (isInfinite(origin)) throw new DbError('datetime_field_overflow', 'origin out of range')
  if (stride.months !== 0) {
    const message = 'timestamps cannot be binned into intervals containing months or years'
    throw new DbError('feature_not_supported', message)
  }
  const width = BigInt(stride.days) * BigInt(dayMicros) + BigInt(stride.micros)
  if (width <= 0n) throw new DbError('datetime_field_overflow', 'stride must be greater than zero')
  const difference = BigInt(value) - BigInt(origin)
  let start = difference - (difference % width)
  if (difference % width < 0n) start -= width
  return checkTimestamp(addMicros(origin, addMicros(0, start)))
}

/** The difference in years, months, days and time: fields subtracted one by one, borrowing from the next. */
function ageOf(a: Micros, b: Micros): Interval {
  if (isInfinite(a) || isInfinite(b)) throw new DbError('datetime_field_overflow', 'interval out of range')
  if (a < b) return negateInterval(positiveAge(b, a))
  return positiveAge(a, b)
}

function positiveAge(late: Micros, early: Micros): Interval {
  const lateDay = dayOf(late)
  const earlyDay = dayOf(early)
  const x = civilOf(lateDay)
  const y = civilOf(earlyDay)
  let micros = timeOf(late, lateDay) - timeOf(early, earlyDay)
  let days = x.day - y.day
  let months = x.month - y.month
  let years = x.year - y.year
  if (micros < 0) {
    micros += dayMicros
    days--
  }
  // What is borrowed is the length of the earlier date's month.
  while (days < 0) {
    days += daysInMonth(y.year, y.month)
    months--
  }
  while (months < 0) {
    months += 12
    years--
  }
  return intervalOf(years * 12 + months, days, micros)
}

function localAge(a: Micros, b: Micros, context: TypeContext): Interval {
  const zone = zoneOf(context.timeZone)
  return ageOf(toLocal(a, zone), toLocal(b, zone))
}

/** Midnight of the transaction's day in the session's zone. */
function today(context: TypeContext): Micros {
  return microsOf(dayOf(toLocal(context.transactionMicros, zoneOf(context.timeZone))), 0)
}

export const datetimePartCode: Record<string, FunctionCode> = {
  extract_timestamp: extractTimestamp,
  extract_timestamptz: extractTimestamptz,
  extract_date: extractDate,
  extract_time: extractTime,
  extract_timetz: extractTimeTz,
  extract_interval: extractInterval,
  timestamp_part: asFloat(extractTimestamp),
  timestamptz_part: asFloat(extractTimestamptz),
  'date_part(text,date)': asFloat((name, day: number) => extractTimestamp(name, midnight(day))),
  time_part: asFloat(extractTime),
  timetz_part: asFloat(extractTimeTz),
  interval_part: asFloat(extractInterval),
  timestamp_trunc: truncateTimestamp,
  timestamptz_trunc: (name: string, value: Micros, c: TypeContext) => truncateZoned(name, value, zoneOf(c.timeZone)),
  timestamptz_trunc_zone: (name: string, value: Micros, zone: string) =>
    isInfinite(value) ? value : truncateZoned(name, value, zoneNamed(zone)),
  interval_trunc: truncateInterval,
  timestamp_bin: bin,
  timestamptz_bin: bin,
  timestamp_age: ageOf,
  timestamptz_age: localAge,
  'age(timestamp)': (value: Micros, c: TypeContext) => ageOf(today(c), value),
  'age(timestamptz)': (value: Micros, c: TypeContext) => ageOf(today(c), toLocal(value, zoneOf(c.timeZone))),
}
