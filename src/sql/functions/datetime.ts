/**
 * Arithmetic of dates, times and timestamps, their casts into each other, and the current time.
 *
 * An interval is added months first (the day clamped to the month's length), then days, then microseconds; for a
 * timestamptz months and days count in the session's zone.
 * Not here: fields and truncation (datetime-part.ts), comparison across types (datetime-compare.ts), text (to-char*.ts).
 */
import { DbError } from '../../base/index.ts'
import { zoneAbbreviation } from '../types/abbreviations.ts'
import {
  addMicros,
  checkTimestamp,
  civilOf,
  dayMicros,
  dayOf,
  daysInMonth,
  daysOf,
  isDate,
  isInfinite,
  isTimestamp,
  type Micros,
  microsOf,
  midnight,
  negateMicros,
  timeOf,
  timestampRange,
  unixEpochSeconds,
} from '../types/calendar.ts'
import { localTime } from '../types/datetime-output.ts'
import { roundMicros, TimeTz } from '../types/datetime-types.ts'
import { formatFloat8 } from '../types/floats.ts'
import { type Interval, intervalOf, negateInterval } from '../types/interval.ts'
import { roundEven } from '../types/interval-input.ts'
import { formatInterval } from '../types/interval-output.ts'
import { unixSecondsOf, type Zone, zoneOf } from '../types/time-zone.ts'
import type { TypeContext } from '../types/type.ts'
import type { FunctionCode } from './function.ts'
import { justifyHours } from './interval.ts'

function dateRange(): DbError {
  return new DbError('datetime_field_overflow', 'date out of range')
}

/** The day of a civil date moved by months, clamped to the month's last day. */
function addMonths(day: number, months: number): number {
  const civil = civilOf(day)
  const count = civil.year * 12 + civil.month - 1 + months
  const year = Math.floor(count / 12)
  const month = count - year * 12 + 1
  return daysOf(year, month, Math.min(civil.day, daysInMonth(year, month)))
}

export function addToTimestamp(value: Micros, interval: Interval): Micros {
  if (isInfinite(value)) return value
  let out = value
  if (interval.months !== 0 || interval.days !== 0) {
    const day = dayOf(value)
    const moved = (interval.months === 0 ? day : addMonths(day, interval.months)) + interval.days
    if (!isDate(moved)) throw timestampRange()
    out = microsOf(moved, timeOf(value, day))
  }
  return checkTimestamp(addMicros(out, interval.micros))
}

export function addToTimestamptz(value: Micros, interval: Interval, context: TypeContext): Micros {
  if (isInfinite(value)) return value
  let out = value
  if (interval.months !== 0 || interval.days !== 0) {
    const zone = zoneOf(context.timeZone)
    const { local } = localTime(value, zone)
    out = toUtc(addToTimestamp(local, intervalOf(interval.months, interval.days, 0)), zone)
  }
  return checkTimestamp(addMicros(out, interval.micros))
}

/** The instant that a local time in a zone is. */
export function toUtc(local: Micros, zone: Zone): Micros {
  if (isInfinite(local)) return local
  return checkTimestamp(addMicros(local, zone.offsetOfLocal(unixSecondsOf(local)) * -1e6))
}

/** The local time in a zone of an instant. */
export function toLocal(value: Micros, zone: Zone): Micros {
  return isInfinite(value) ? value : checkTimestamp(localTime(value, zone).local)
}

/** A zone by abbreviation or name, as AT TIME ZONE takes it. */
export function zoneNamed(name: string): Zone {
  const seconds = zoneAbbreviation(name)
  return seconds === undefined ? zoneOf(name) : fixedZone(seconds)
}

function fixedZone(seconds: number): Zone {
  const size = Math.abs(seconds)
  const two = (n: number) => String(n).padStart(2, '0')
  const text = `${two(Math.floor(size / 3600))}:${two(Math.floor(size / 60) % 60)}:${two(size % 60)}`
  return zoneOf(`<zone>${seconds > 0 ? '-' : ''}${text}`)
}

function intervalZone(interval: Interval, context: TypeContext): Zone {
  if (interval.months !== 0 || interval.days !== 0) {
    const text = formatInterval(interval, context.intervalStyle)
    throw new DbError('invalid_parameter_value', `interval time zone "${text}" must not include months or days`)
  }
  return fixedZone(Math.trunc(Number(interval.micros) / 1e6))
}

function sessionZone(context: TypeContext): Zone {
  return zoneOf(context.timeZone)
}

function subtractTimestamps(a: Micros, b: Micros): Interval {
  if (isInfinite(a) || isInfinite(b)) {
    throw new DbError('datetime_field_overflow', 'cannot subtract infinite timestamps')
  }
  return justifyHours(intervalOf(0, 0, addMicros(a, negateMicros(b))))
}

function timestampDate(value: Micros): number {
  if (isInfinite(value)) return value as number
  return dayOf(value)
}

function timestampTime(value: Micros): number | null {
  if (isInfinite(value)) return null
  return timeOf(value, dayOf(value))
}

function addDays(date: number, days: number): number {
  if (!Number.isFinite(date)) return date
  const out = date + days
  if (!isDate(out)) throw dateRange()
  return out
}

/** A time of day plus an interval's microseconds, round the clock. */
function addToTime(time: number, interval: Interval, sign: 1 | -1): number {
  const micros = typeof interval.micros === 'number' ? interval.micros : Number(interval.micros % BigInt(dayMicros))
  const sum = (time + ((sign * micros) % dayMicros)) % dayMicros
  return (sum + dayMicros) % dayMicros
}

function intervalTime(interval: Interval): number {
  const micros = typeof interval.micros === 'number' ? interval.micros : Number(interval.micros % BigInt(dayMicros))
  return ((micros % dayMicros) + dayMicros) % dayMicros
}

function timetzInZone(value: TimeTz, east: number): TimeTz {
  const micros = value.micros + value.zone * 1e6 + east * 1e6
  return new TimeTz(((micros % dayMicros) + dayMicros) % dayMicros, 0 - east)
}

function epochTimestamptz(seconds: number): Micros {
  if (Number.isNaN(seconds)) throw new DbError('datetime_field_overflow', 'timestamp cannot be NaN')
  if (!Number.isFinite(seconds)) return seconds
  const shifted = seconds - unixEpochSeconds
  if (shifted < -211813488000 || shifted >= 9223371331200) {
    throw new DbError('datetime_field_overflow', `timestamp out of range: "${formatFloat8(seconds)}"`)
  }
  const micros = roundEven(shifted * 1e6)
  return Number.isSafeInteger(micros) ? micros : addMicros(BigInt(micros), 0)
}

function dateAndTime(date: number, time: number): Micros {
  if (!Number.isFinite(date)) return date
  return checkTimestamp(microsOf(date, time))
}

function dateAndTimeTz(date: number, time: TimeTz): Micros {
  if (!Number.isFinite(date)) return date
  return checkTimestamp(microsOf(date, time.micros + time.zone * 1e6))
}

function currentTimeOfDay(context: TypeContext): string {
  const zone = sessionZone(context)
  const now = context.clockMicros()
  const { local } = localTime(now, zone)
  const day = dayOf(local)
  const civil = civilOf(day)
  const time = timeOf(local, day)
  const two = (n: number) => String(n).padStart(2, '0')
  const names = 'Sun Mon Tue Wed Thu Fri Sat'.split(' ')
  const months = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ')
  const clock = `${two(Math.floor(time / 3600e6))}:${two(Math.floor(time / 60e6) % 60)}:${two(Math.floor(time / 1e6) % 60)}`
  const fraction = String(time % 1e6).padStart(6, '0')
  const weekday = names[(((day + 6) % 7) + 7) % 7]
  const label = zone.abbreviation(unixSecondsOf(now))
  return `${weekday} ${months[civil.month - 1]} ${two(civil.day)} ${clock}.${fraction} ${civil.year} ${label}`
}

const arithmetic: Record<string, FunctionCode> = {
  timestamp_pl_interval: (a: Micros, b: Interval) => addToTimestamp(a, b),
  timestamp_mi_interval: (a: Micros, b: Interval) => addToTimestamp(a, negateInterval(b)),
  timestamptz_pl_interval: addToTimestamptz,
  timestamptz_mi_interval: (a: Micros, b: Interval, c: TypeContext) => addToTimestamptz(a, negateInterval(b), c),
  timestamp_mi: subtractTimestamps,
  date_pli: addDays,
  date_mii: (date: number, days: number) => addDays(date, -days),
  date_mi(a: number, b: number) {
    if (!Number.isFinite(a) || !Number.isFinite(b)) {
      throw new DbError('datetime_field_overflow', 'cannot subtract infinite dates')
    }
    return a - b
  },
  date_pl_interval: (a: number, b: Interval) => addToTimestamp(midnight(a), b),
  date_mi_interval: (a: number, b: Interval) => addToTimestamp(midnight(a), negateInterval(b)),
  time_pl_interval: (a: number, b: Interval) => addToTime(a, b, 1),
  time_mi_interval: (a: number, b: Interval) => addToTime(a, b, -1),
  time_mi_time: (a: number, b: number) => intervalOf(0, 0, a - b),
  timetz_pl_interval: (a: TimeTz, b: Interval) => new TimeTz(addToTime(a.micros, b, 1), a.zone),
  timetz_mi_interval: (a: TimeTz, b: Interval) => new TimeTz(addToTime(a.micros, b, -1), a.zone),
  datetime_timestamp: dateAndTime,
  datetimetz_timestamptz: dateAndTimeTz,
  'timedate_pl(time,date)': (time: number, date: number) => dateAndTime(date, time),
  'timetzdate_pl(timetz,date)': (time: TimeTz, date: number) => dateAndTimeTz(date, time),
  'interval_pl_time(interval,time)': (a: Interval, b: number) => addToTime(b, a, 1),
  'interval_pl_date(interval,date)': (a: Interval, b: number) => addToTimestamp(midnight(b), a),
  'interval_pl_timetz(interval,timetz)': (a: Interval, b: TimeTz) => new TimeTz(addToTime(b.micros, a, 1), b.zone),
  'interval_pl_timestamp(interval,timestamp)': (a: Interval, b: Micros) => addToTimestamp(b, a),
  'interval_pl_timestamptz(interval,timestamptz)': (a: Interval, b: Micros, c: TypeContext) =>
    addToTimestamptz(b, a, c),
  'integer_pl_date(int4,date)': (days: number, date: number) => addDays(date, days),
}

function scaleTimestamp(value: Micros, typmod: number): Micros {
  if ((typmod > 6 || typmod < 0) && !isInfinite(value)) {
    throw new DbError('invalid_parameter_value', `timestamp(${typmod}) precision must be between 0 and 6`)
  }
  return checkTimestamp(roundMicros(value, typmod))
}

const casts: Record<string, FunctionCode> = {
  timestamp_date: timestampDate,
  timestamp_time: timestampTime,
  date_timestamp: midnight,
  date_timestamptz: (a: number, c: TypeContext) => toUtc(midnight(a), sessionZone(c)),
  timestamp_timestamptz: (a: Micros, c: TypeContext) => toUtc(a, sessionZone(c)),
  timestamptz_timestamp: (a: Micros, c: TypeContext) => toLocal(a, sessionZone(c)),
  timestamptz_date: (a: Micros, c: TypeContext) => timestampDate(toLocal(a, sessionZone(c))),
  timestamptz_time: (a: Micros, c: TypeContext) => timestampTime(toLocal(a, sessionZone(c))),
  timestamptz_timetz(a: Micros, c: TypeContext) {
    if (isInfinite(a)) return null
    const { local, offset } = localTime(a, sessionZone(c))
    return new TimeTz(timeOf(local, dayOf(local)), 0 - offset)
  },
  time_timetz(a: number, c: TypeContext) {
    return new TimeTz(a, 0 - localTime(c.transactionMicros, sessionZone(c)).offset)
  },
  timetz_time: (a: TimeTz) => a.micros,
  time_interval: (a: number) => intervalOf(0, 0, a),
  interval_time: intervalTime,
  timestamp_scale: scaleTimestamp,
  timestamptz_scale: scaleTimestamp,
  time_scale: (a: number, typmod: number) => roundMicros(a, typmod),
  timetz_scale: (a: TimeTz, typmod: number) => new TimeTz(roundMicros(a.micros, typmod) as number, a.zone),
  float8_timestamptz: epochTimestamptz,
  'timestamptz(date,time)': (date: number, time: number, c: TypeContext) =>
    toUtc(dateAndTime(date, time), sessionZone(c)),
}

const zones: Record<string, FunctionCode> = {
  timestamp_zone: (zone: string, a: Micros) => (isInfinite(a) ? a : toUtc(a, zoneNamed(zone))),
  timestamptz_zone: (zone: string, a: Micros) => (isInfinite(a) ? a : toLocal(a, zoneNamed(zone))),
  timestamp_izone: (zone: Interval, a: Micros, c: TypeContext) => (isInfinite(a) ? a : toUtc(a, intervalZone(zone, c))),
  timestamptz_izone: (zone: Interval, a: Micros, c: TypeContext) =>
    isInfinite(a) ? a : toLocal(a, intervalZone(zone, c)),
  timetz_zone: (zone: string, a: TimeTz, c: TypeContext) =>
    timetzInZone(a, zoneNamed(zone).offsetAt(unixSecondsOf(c.transactionMicros))),
  timetz_izone: (zone: Interval, a: TimeTz, c: TypeContext) => timetzInZone(a, intervalZone(zone, c).offsetAt(0)),
}

const clocks: Record<string, FunctionCode> = {
  now: (c: TypeContext) => c.transactionMicros,
  statement_timestamp: (c: TypeContext) => c.statementMicros,
  clock_timestamp: (c: TypeContext) => c.clockMicros(),
  timeofday: currentTimeOfDay,
  date_finite: (a: number) => Number.isFinite(a),
  timestamp_finite: (a: Micros) => !isInfinite(a),
}

/** Raises datetime_field_overflow for fields that make no date; a negative year is BC. `shown` is the message's year. */
function makeDate(year: number, month: number, day: number, shown = year < 0 ? year + 1 : year): number {
  const real = year < 0 ? year + 1 : year
  const valid = year !== 0 && month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(real, month)
  const out = valid ? daysOf(real, month, day) : Number.NaN
  if (!valid || !isDate(out)) {
    const two = (n: number) => String(n).padStart(2, '0')
    const message = valid ? 'date out of range' : 'date field value out of range'
    throw new DbError('datetime_field_overflow', `${message}: ${shown}-${two(month)}-${two(day)}`)
  }
  return out
}

function makeTime(hour: number, minute: number, second: number): number {
  const valid =
    hour >= 0 &&
    hour <= 24 &&
    minute >= 0 &&
    minute < 60 &&
    second >= 0 &&
    second <= 60 &&
    !(hour === 24 && (minute > 0 || second > 0))
  if (!valid) {
    const two = (n: number) => String(n).padStart(2, '0')
    throw new DbError('datetime_field_overflow', `time field value out of range: ${hour}:${two(minute)}:${two(second)}`)
  }
  return (hour * 60 + minute) * 60e6 + roundEven(second * 1e6)
}

function makeTimestamp(y: number, m: number, d: number, hour: number, minute: number, second: number): Micros {
  const day = makeDate(y, m, d, y)
  const value = microsOf(day, makeTime(hour, minute, second))
  if (!isTimestamp(value)) throw timestampRange()
  return value
}

const makers: Record<string, FunctionCode> = {
  make_date: (y: number, m: number, d: number) => makeDate(y, m, d),
  make_time: makeTime,
  make_timestamp: makeTimestamp,
  make_timestamptz: (y, m, d, h, mi, s, c: TypeContext) => toUtc(makeTimestamp(y, m, d, h, mi, s), sessionZone(c)),
  make_timestamptz_at_timezone: (y, m, d, h, mi, s, zone: string) =>
    toUtc(makeTimestamp(y, m, d, h, mi, s), zoneForMake(zone)),
}

/** A zone argument: an offset counts east here, unlike in POSIX names. */
function zoneForMake(name: string): Zone {
  const offset = /^([+-])(\d{1,2})(?::?(\d{2}))?$/.exec(name)
  if (offset === null) return zoneNamed(name)
  const seconds = Number(offset[2]) * 3600 + Number(offset[3] ?? 0) * 60
  return fixedZone(offset[1] === '-' ? -seconds : seconds)
}

export const datetimeCode: Record<string, FunctionCode> = { ...arithmetic, ...casts, ...zones, ...clocks, ...makers }
