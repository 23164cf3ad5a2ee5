/**
 * date, time, timetz, timestamp, timestamptz and interval as types.
 *
 * Binary forms are PostgreSQL's: date 4 bytes of days, times and timestamps 8 bytes of microseconds, timetz adds 4 bytes
 * of seconds west of UTC, interval is microseconds (8), days (4), months (4); infinity is the end of the integer range.
 * Not here: the words of input (datetime-input.ts), arithmetic (functions/date*.ts).
 */
import { DbError } from '../../base/index.ts'
import type { ByteWriter } from '../../encoding/index.ts'
import { BaseType, expectLength, readI32, readI64, type TypeFacts, writeI64 } from './base-type.ts'
import {
  addMicros,
  checkTimestamp,
  dayMicros,
  dayOf,
  daysInMonth,
  daysOf,
  isDate,
  isInfinite,
  isTimestamp,
  type Micros,
  microsOf,
  timeOf,
  timestampRange,
} from './calendar.ts'
import { DateTimeReader, reading, refuse } from './datetime-input.ts'
import {
  formatDate,
  formatOffset,
  formatTime,
  formatTimestamp,
  formatTimestampTz,
  localTime,
  writeDate,
  writeTime,
  writeTimestamp,
} from './datetime-output.ts'
import { compareIntervals, Interval, intervalSpan } from './interval.ts'
import { fieldBits, parseInterval } from './interval-input.ts'
import { formatInterval } from './interval-output.ts'
import { keyInt32, keyInt64, keyMicros } from './key-encoding.ts'
import { unixSecondsOf, zoneOf } from './time-zone.ts'
import type { TypeContext } from './type.ts'

/** Rounds microseconds to `precision` decimals of a second, halves away from zero; infinities pass. */
export function roundMicros(value: Micros, precision: number): Micros {
  if (precision >= 6 || precision < 0 || isInfinite(value)) return value
  const unit = 10 ** (6 - precision)
  if (typeof value === 'number') {
    const rest = Math.abs(value % unit)
    const down = Math.abs(value) - rest
    const size = rest * 2 >= unit ? down + unit : down
    return value < 0 ? 0 - size : size
  }
  const big = BigInt(unit)
  const half = value < 0n ? -big / 2n : big / 2n
  const rounded = ((value + half) / big) * big
  return addMicros(0, Number.isSafeInteger(Number(rounded)) ? Number(rounded) : rounded)
}

/** Seconds east of UTC for a local time, by what the text said or the session's zone. */
function offsetFor(reader: DateTimeReader, local: Micros, context: TypeContext): number {
  if (reader.offset !== undefined) return reader.offset
  return (reader.zone ?? zoneOf(context.timeZone)).offsetOfLocal(unixSecondsOf(local))
}

/** Today's day number and time in the session's zone, at the start of the transaction. */
function localNow(context: TypeContext): { day: number; time: number } {
  const { local } = localTime(context.transactionMicros, zoneOf(context.timeZone))
  const day = dayOf(local)
  return { day, time: timeOf(local, day) }
}

/** The local day and time that a text means, special words resolved; time of day may be 24:00. */
function resolveLocal(reader: DateTimeReader, context: TypeContext): { day: number; time: number } {
  switch (reader.special) {
    case undefined:
      return { day: daysOf(reader.year, reader.month, reader.day), time: reader.time }
    case 'now':
      return localNow(context)
    case 'today':
      return { day: localNow(context).day, time: reader.time }
    case 'tomorrow':
      return { day: localNow(context).day + 1, time: reader.time }
    case 'yesterday':
      return { day: localNow(context).day - 1, time: reader.time }
    case 'epoch':
      return { day: -10957, time: 0 }
    default:
      return refuse('format')
  }
}

export class DateType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'date')
  }

  parse(text: string, _typmod: number, context: TypeContext): number {
    const quick = quickDate(text)
    if (!Number.isNaN(quick)) return quick
    return reading(text, 'date', () => {
      const reader = new DateTimeReader(context.dateOrder).read(text)
      if (reader.special === 'infinity') return Number.POSITIVE_INFINITY
      if (reader.special === '-infinity') return Number.NEGATIVE_INFINITY
      const { day } = resolveLocal(reader, context)
      if (!isDate(day)) throw new DbError('datetime_field_overflow', `date out of range: "${text}"`)
      return day
    })
  }

  format(value: number): string {
    return formatDate(value)
  }

  override writeText(value: number, out: ByteWriter): void {
    writeDate(value, out)
  }

  encode(value: number, out: ByteWriter): void {
    out.u32(dayInteger(value))
  }

  decode(bytes: Uint8Array, start: number, end: number): number {
    expectLength(start, end, 4)
    const value = readI32(bytes, start)
    if (value === 0x7fffffff) return Number.POSITIVE_INFINITY
    if (value === -0x80000000) return Number.NEGATIVE_INFINITY
    if (!isDate(value)) throw new DbError('datetime_field_overflow', 'date out of range')
    return value
  }

  override compare(a: number, b: number): number {
    return a < b ? -1 : a > b ? 1 : 0
  }

  override encodeKey(value: number, out: ByteWriter): void {
    keyInt32(dayInteger(value), out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 4
  }
}

function dayInteger(value: number): number {
  return Number.isFinite(value) ? value : value > 0 ? 0x7fffffff : -0x80000000
}

/** YYYY-MM-DD with plain years, or NaN. */
function quickDate(text: string): number {
  if (text.length !== 10 || text.charCodeAt(4) !== 0x2d || text.charCodeAt(7) !== 0x2d) return Number.NaN
  const year = digits(text, 0, 4)
  const month = digits(text, 5, 7)
  const day = digits(text, 8, 10)
  if (!(year >= 1 && month >= 1 && month <= 12 && day >= 1)) return Number.NaN
  if (day > 28 && day > daysInMonth(year, month)) return Number.NaN
  return daysOf(year, month, day)
}

/** YYYY-MM-DD hh:mm:ss[.ffffff] of years whose microseconds are safe, or NaN. */
function quickTimestamp(text: string): number {
  const length = text.length
  if (length < 19 || length > 26 || text.charCodeAt(13) !== 0x3a || text.charCodeAt(16) !== 0x3a) return Number.NaN
  const between = text.charCodeAt(10)
  if (between !== 0x20 && between !== 0x54) return Number.NaN
  const day = quickDate(text.slice(0, 10))
  const hour = digits(text, 11, 13)
  const minute = digits(text, 14, 16)
  const second = digits(text, 17, 19)
  if (!(hour <= 23 && minute <= 59 && second <= 59 && day > -104000 && day < 104000)) return Number.NaN
  let micros = 0
  if (length > 19) {
    if (text.charCodeAt(19) !== 0x2e) return Number.NaN
    micros = digits(text, 20, length) * 10 ** (26 - length)
  }
  return day * dayMicros + (hour * 3600 + minute * 60 + second) * 1e6 + micros
}

function digits(text: string, start: number, end: number): number {
  let value = 0
  for (let i = start; i < end; i++) {
    const digit = text.charCodeAt(i) - 0x30
    if (digit < 0 || digit > 9) return Number.NaN
    value = value * 10 + digit
  }
  return value
}

/** timestamp and timestamptz: the latter reads and writes through the session's zone. */
export class TimestampType extends BaseType {
  readonly #zoned: boolean

  constructor(facts: TypeFacts, zoned: boolean) {
    super(facts, 'timestamp')
    this.#zoned = zoned
  }

  parse(text: string, typmod: number, context: TypeContext): Micros {
    const quick = quickTimestamp(text)
    if (!Number.isNaN(quick)) {
      const own = this.#zoned ? quick - zoneOf(context.timeZone).offsetOfLocal(unixSecondsOf(quick)) * 1e6 : quick
      return typmod < 0 ? own : roundMicros(own, typmod)
    }
    const title = this.#zoned ? 'timestamp with time zone' : 'timestamp'
    const value = reading(text, title, (): Micros => {
      const reader = new DateTimeReader(context.dateOrder).read(text)
      if (reader.special === 'infinity') return Number.POSITIVE_INFINITY
      if (reader.special === '-infinity') return Number.NEGATIVE_INFINITY
      if (reader.special === 'now' && this.#zoned) return context.transactionMicros
      const { day, time } = resolveLocal(reader, context)
      if (!isDate(day)) refuse('field')
      const local = microsOf(day, time)
      if (!this.#zoned) return local
      if (reader.special === 'epoch') return local
      return addMicros(local, -offsetFor(reader, local, context) * 1e6)
    })
    if (!isInfinite(value) && !isTimestamp(value)) {
      throw new DbError('datetime_field_overflow', `timestamp out of range: "${text}"`)
    }
    return typmod < 0 ? value : checkTimestamp(roundMicros(value, typmod))
  }

  format(value: Micros, context: TypeContext): string {
    return this.#zoned ? formatTimestampTz(value, zoneOf(context.timeZone)) : formatTimestamp(value)
  }

  override writeText(value: Micros, out: ByteWriter, context: TypeContext): void {
    writeTimestamp(value, this.#zoned ? zoneOf(context.timeZone) : undefined, out)
  }

  encode(value: Micros, out: ByteWriter): void {
    writeMicros(value, out)
  }

  decode(bytes: Uint8Array, start: number, end: number): Micros {
    expectLength(start, end, 8)
    const value = readMicros(bytes, start)
    if (!isInfinite(value) && !isTimestamp(value)) throw timestampRange()
    return value
  }

  override coerce(value: Micros, typmod: number): Micros {
    return typmod < 0 ? value : checkTimestamp(roundMicros(value, typmod))
  }

  override compare(a: Micros, b: Micros): number {
    return a < b ? -1 : a > b ? 1 : 0
  }

  override encodeKey(value: Micros, out: ByteWriter): void {
    keyMicros(value, out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 8
  }
}

/** 8 bytes; infinities are the ends of the range. */
function writeMicros(value: Micros, out: ByteWriter): void {
  if (value === Number.POSITIVE_INFINITY) out.bigint64(0x7fffffffffffffffn)
  else if (value === Number.NEGATIVE_INFINITY) out.bigint64(-0x8000000000000000n)
  else writeI64(value, out)
}

function readMicros(bytes: Uint8Array, start: number): Micros {
  const value = readI64(bytes, start)
  if (typeof value === 'number') return value
  if (value === 0x7fffffffffffffffn) return Number.POSITIVE_INFINITY
  if (value === -0x8000000000000000n) return Number.NEGATIVE_INFINITY
  return value
}

export class TimeType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'i64')
  }

  parse(text: string, typmod: number, context: TypeContext): number {
    const value = reading(text, 'time', () => {
      const reader = new DateTimeReader(context.dateOrder).read(text, true)
      if (reader.special === undefined || reader.special === 'allballs') {
        if (reader.zone !== undefined && !reader.hasDate) refuse('format')
        return reader.time
      }
      return reader.special === 'now' ? localNow(context).time : refuse('format')
    })
    return typmod < 0 ? value : (roundMicros(value, typmod) as number)
  }

  format(value: number): string {
    return formatTime(value)
  }

  override writeText(value: number, out: ByteWriter): void {
    writeTime(value, out)
  }

  encode(value: number, out: ByteWriter): void {
    out.i64(value)
  }

  decode(bytes: Uint8Array, start: number, end: number): number {
    expectLength(start, end, 8)
    const value = readI64(bytes, start)
    if (value < 0 || value > dayMicros) throw new DbError('datetime_field_overflow', 'time out of range')
    return value as number
  }

  override coerce(value: number, typmod: number): number {
    return typmod < 0 ? value : (roundMicros(value, typmod) as number)
  }

  override compare(a: number, b: number): number {
    return a - b
  }

  override encodeKey(value: number, out: ByteWriter): void {
    keyInt64(value, out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 8
  }
}

/** A time of day in a zone: microseconds since local midnight, and seconds WEST of UTC. */
export class TimeTz {
  readonly micros: number
  readonly zone: number

  constructor(micros: number, zone: number) {
    this.micros = micros
    this.zone = zone
  }
}

export class TimeTzType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  parse(text: string, typmod: number, context: TypeContext): TimeTz {
    const value = reading(text, 'time with time zone', () => {
      const reader = new DateTimeReader(context.dateOrder).read(text, true)
      if (reader.special === 'now') {
        const { offset } = localTime(context.transactionMicros, zoneOf(context.timeZone))
        return new TimeTz(localNow(context).time, 0 - offset)
      }
      if (reader.special !== undefined && reader.special !== 'allballs') refuse('format')
      if (reader.zone !== undefined && !reader.hasDate) refuse('format')
      const day = reader.hasDate ? daysOf(reader.year, reader.month, reader.day) : localNow(context).day
      return new TimeTz(reader.time, 0 - offsetFor(reader, microsOf(day, reader.time), context))
    })
    return this.coerce(value, typmod)
  }

  format(value: TimeTz): string {
    return formatTime(value.micros) + formatOffset(0 - value.zone)
  }

  encode(value: TimeTz, out: ByteWriter): void {
    out.i64(value.micros)
    out.u32(value.zone)
  }

  decode(bytes: Uint8Array, start: number, end: number): TimeTz {
    expectLength(start, end, 12)
    return new TimeTz(readI64(bytes, start) as number, readI32(bytes, start + 8))
  }

  override coerce(value: TimeTz, typmod: number): TimeTz {
    return typmod < 0 ? value : new TimeTz(roundMicros(value.micros, typmod) as number, value.zone)
  }

  override compare(a: TimeTz, b: TimeTz): number {
    return a.micros + a.zone * 1e6 - (b.micros + b.zone * 1e6) || a.zone - b.zone
  }

  override key(value: TimeTz): string {
    return `${value.micros}/${value.zone}`
  }

  override encodeKey(value: TimeTz, out: ByteWriter): void {
    keyInt64(value.micros + value.zone * 1e6, out)
    keyInt32(value.zone, out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 12
  }
}

export class IntervalType extends BaseType {
  constructor(facts: TypeFacts) {
    super(facts, 'bytes')
  }

  parse(text: string, typmod: number, context: TypeContext): Interval {
    return this.coerce(parseInterval(text, typmod < 0 ? 0x7fff : (typmod >> 16) & 0x7fff, context), typmod)
  }

  format(value: Interval, context: TypeContext): string {
    return formatInterval(value, context.intervalStyle)
  }

  encode(value: Interval, out: ByteWriter): void {
    writeI64(value.micros, out)
    out.u32(value.days)
    out.u32(value.months)
  }

  decode(bytes: Uint8Array, start: number, end: number): Interval {
    expectLength(start, end, 16)
    return new Interval(readI32(bytes, start + 12), readI32(bytes, start + 8), readI64(bytes, start))
  }

  /** Drops fields below the modifier's last one, then rounds seconds to its precision. */
  override coerce(value: Interval, typmod: number): Interval {
    if (typmod < 0) return value
    const range = (typmod >> 16) & 0x7fff
    const precision = typmod & 0xffff
    const { year, month, day, hour, minute, second } = fieldBits
    let { months, days, micros } = value
    if (range !== 0x7fff && (range & second) === 0) {
      if ((range & minute) !== 0) micros = truncateMicros(micros, 60_000_000)
      else if ((range & hour) !== 0) micros = truncateMicros(micros, 3_600_000_000)
      else micros = 0
      if ((range & (day | hour | minute)) === 0) days = 0
      if ((range & (month | day | hour | minute)) === 0 && range === year) months = Math.trunc(months / 12) * 12
    }
    return new Interval(months, days, precision < 6 ? roundMicros(micros, precision) : micros)
  }

  override compare(a: Interval, b: Interval): number {
    return compareIntervals(a, b)
  }

  override key(value: Interval): number | bigint {
    return intervalSpan(value)
  }

  override encodeKey(value: Interval, out: ByteWriter): void {
    // The span needs up to 73 bits: whole days (sign flipped), then the rest of the day.
    const span = intervalSpan(value)
    const day = dayOf(span)
    keyInt64(day, out)
    keyInt64(timeOf(span, day), out)
  }

  override skipKey(_bytes: Uint8Array, start: number): number {
    return start + 16
  }
}

function truncateMicros(value: Micros, unit: number): Micros {
  if (typeof value === 'number') return value - (value % unit) + 0
  const big = BigInt(unit)
  return addMicros(0, (value / big) * big)
}
