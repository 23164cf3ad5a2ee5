/**
 * Comparison of dates with timestamps and of timestamps with timestamptz (through the session's zone), OVERLAPS, and the
 * in_range functions of RANGE frames.
 *
 * Not here: comparison within one type (comparisons.ts).
 */
import { DbError } from '../../base/index.ts'
import { addMicros, type Micros, microsOf, negateMicros } from '../types/calendar.ts'
import { TimeTz } from '../types/datetime-types.ts'
import { addIntervals, compareIntervals, type Interval, intervalSpan, negateInterval } from '../types/interval.ts'
import { add, compareNumeric, isFiniteNumeric, isNumericNaN, type Numeric, signOf, subtract } from '../types/numeric.ts'
import { builtinType } from '../types/registry.ts'
import { zoneOf } from '../types/time-zone.ts'
import type { TypeContext, Value } from '../types/type.ts'
import { addToTimestamp, addToTimestamptz, toUtc } from './datetime.ts'
import type { FunctionCode } from './function.ts'
import type { Int8 } from './integer.ts'

/** Midnight without a range check: a date may lie beyond all timestamps. */
function dayStart(date: number): Micros {
  return Number.isFinite(date) ? microsOf(date, 0) : date
}

function zoned(local: Micros, context: TypeContext): Micros {
  const zone = zoneOf(context.timeZone)
  try {
    return toUtc(local, zone)
  } catch (error) {
    // Beyond the range of timestamps: the few hours of a zone do not matter there.
    if (error instanceof DbError) return local
    throw error
  }
}

type Order = (a: any, b: any, context: TypeContext) => number

const order = (a: Micros, b: Micros) => (a < b ? -1 : a > b ? 1 : 0)
const crossOrders: Record<string, Order> = {
  'date_*_timestamp': (a, b) => order(dayStart(a), b),
  'timestamp_*_date': (a, b) => order(a, dayStart(b)),
  'date_*_timestamptz': (a, b, c) => order(zoned(dayStart(a), c), b),
  'timestamptz_*_date': (a, b, c) => order(a, zoned(dayStart(b), c)),
  'timestamp_*_timestamptz': (a, b, c) => order(zoned(a, c), b),
  'timestamptz_*_timestamp': (a, b, c) => order(a, zoned(b, c)),
}

export const datetimeCompareCode: Record<string, FunctionCode> = {}
for (const [name, compare] of Object.entries(crossOrders)) {
  const of = (suffix: string) => name.replace('*', suffix)
  datetimeCompareCode[of('eq')] = (a, b, c) => compare(a, b, c) === 0
  datetimeCompareCode[of('ne')] = (a, b, c) => compare(a, b, c) !== 0
  datetimeCompareCode[of('lt')] = (a, b, c) => compare(a, b, c) < 0
  datetimeCompareCode[of('le')] = (a, b, c) => compare(a, b, c) <= 0
  datetimeCompareCode[of('gt')] = (a, b, c) => compare(a, b, c) > 0
  datetimeCompareCode[of('ge')] = (a, b, c) => compare(a, b, c) >= 0
  datetimeCompareCode[of('cmp')] = (a, b, c) => compare(a, b, c)
}

/** SQL's OVERLAPS of [s1, e1) and [s2, e2) with NULLs: the ends may be given in either order. */
function overlaps(compare: (a: Value, b: Value) => number): FunctionCode {
  const normal = (start: Value, end: Value): [Value, Value] | undefined => {
    if (start === null && end === null) return undefined
    if (start === null) return [end, null]
    if (end === null) return [start, null]
    return compare(start, end) > 0 ? [end, start] : [start, end]
  }
  return (s1, e1, s2, e2) => {
    const first = normal(s1, e1)
    const second = normal(s2, e2)
    if (first === undefined || second === undefined) return null
    const which = compare(first[0], second[0])
    if (which === 0) {
      if (first[1] === null || second[1] === null) return null
      return true
    }
    const [early, late] = which > 0 ? [second, first] : [first, second]
    if (early[1] === null) return null
    if (compare(late[0], early[1]) < 0) return true
    return late[1] === null ? null : false
  }
}

const timestampOverlaps = overlaps(order)
const timeOverlaps = overlaps((a: number, b: number) => a - b)
datetimeCompareCode.overlaps_timestamp = timestampOverlaps
datetimeCompareCode.overlaps_time = timeOverlaps
datetimeCompareCode.overlaps_timetz = overlaps((a: TimeTz, b: TimeTz) => builtinType(1266).compare(a, b))

/** The forms that give a length instead of an end. */
function withLengths(type: string, compare: FunctionCode, plus: (a: any, b: Interval, c: TypeContext) => Value): void {
  const end = (start: Value, length: Value, c: TypeContext) =>
    start === null || length === null ? null : plus(start, length, c)
  const name = (a: string, b: string) => `overlaps(${type},${a},${type},${b})`
  datetimeCompareCode[name('interval', 'interval')] = (s1, l1, s2, l2, c) =>
    compare(s1, end(s1, l1, c), s2, end(s2, l2, c))
  datetimeCompareCode[name('interval', type)] = (s1, l1, s2, e2, c) => compare(s1, end(s1, l1, c), s2, e2)
  datetimeCompareCode[name(type, 'interval')] = (s1, e1, s2, l2, c) => compare(s1, e1, s2, end(s2, l2, c))
}
withLengths('timestamp', timestampOverlaps, addToTimestamp)
withLengths('timestamptz', timestampOverlaps, addToTimestamptz)
withLengths('time', timeOverlaps, (a: number, b: Interval) => {
  const sum = (a + Number(b.micros)) % 86_400e6
  return sum < 0 ? sum + 86_400e6 : sum
})

function negativeOffset(): DbError {
  return new DbError('invalid_preceding_or_following_size', 'invalid preceding or following size in window function')
}

/** in_range(value, base, offset, subtract, less): value ≤ (or ≥) base ± offset. */
function inRange(
  negative: (offset: any) => boolean,
  move: (base: any, offset: any, back: boolean, c: TypeContext) => any,
  compare: (a: any, b: any) => number,
): FunctionCode {
  return (value, base, offset, back: boolean, less: boolean, c: TypeContext) => {
    if (negative(offset)) throw negativeOffset()
    const bound = move(base, offset, back, c)
    return less ? compare(value, bound) <= 0 : compare(value, bound) >= 0
  }
}

/** Integers move without overflow: the sum of two numbers is exact enough, bigints carry the rest. */
const integerRange = inRange(
  (offset: Int8) => offset < 0,
  (base: Int8, offset: Int8, back) => addMicros(base, back ? negateMicros(offset) : offset),
  order,
)
for (const pair of ['int2_int2', 'int2_int4', 'int2_int8', 'int4_int2', 'int4_int4', 'int4_int8', 'int8_int8']) {
  datetimeCompareCode[`in_range_${pair}`] = integerRange
}

function floatRange(value: number, base: number, offset: number, back: boolean, less: boolean): boolean {
  if (Number.isNaN(offset) || offset < 0) throw negativeOffset()
  if (Number.isNaN(value)) return Number.isNaN(base) ? true : !less
  if (Number.isNaN(base)) return less
  if (!Number.isFinite(offset) && !Number.isFinite(base) && (back ? base > 0 : base < 0)) return true
  const bound = back ? base - offset : base + offset
  return less ? value <= bound : value >= bound
}
datetimeCompareCode.in_range_float4_float8 = floatRange
datetimeCompareCode.in_range_float8_float8 = floatRange

datetimeCompareCode.in_range_numeric_numeric = (
  value: Numeric,
  base: Numeric,
  offset: Numeric,
  back: boolean,
  less: boolean,
) => {
  if (isNumericNaN(offset) || signOf(offset) < 0) throw negativeOffset()
  if (isNumericNaN(value)) return isNumericNaN(base) ? true : !less
  if (isNumericNaN(base)) return less
  if (!isFiniteNumeric(offset) && !isFiniteNumeric(base) && (back ? signOf(base) > 0 : signOf(base) < 0)) return true
  const bound = back ? subtract(base, offset) : add(base, offset)
  return less ? compareNumeric(value, bound) <= 0 : compareNumeric(value, bound) >= 0
}

const negativeInterval = (offset: Interval) => intervalSpan(offset) < 0
const signed = (offset: Interval, back: boolean) => (back ? negateInterval(offset) : offset)

datetimeCompareCode.in_range_timestamp_interval = inRange(
  negativeInterval,
  (base: Micros, offset: Interval, back) => addToTimestamp(base, signed(offset, back)),
  order,
)
datetimeCompareCode.in_range_timestamptz_interval = inRange(
  negativeInterval,
  (base: Micros, offset: Interval, back, c) => addToTimestamptz(base, signed(offset, back), c),
  order,
)
datetimeCompareCode.in_range_date_interval = inRange(
  negativeInterval,
  (base: number, offset: Interval, back) => addToTimestamp(dayStart(base), signed(offset, back)),
  (value: number, bound: Micros) => order(dayStart(value), bound),
)
datetimeCompareCode.in_range_interval_interval = inRange(
  negativeInterval,
  (base: Interval, offset: Interval, back) => addIntervals(base, signed(offset, back)),
  compareIntervals,
)
datetimeCompareCode.in_range_timetz_interval = inRange(
  (offset: Interval) => offset.micros < 0,
  (base: TimeTz, offset: Interval, back) => new TimeTz(base.micros + Number(signed(offset, back).micros), base.zone),
  (a: TimeTz, b: TimeTz) => builtinType(1266).compare(a, b),
)
datetimeCompareCode.in_range_time_interval = inRange(
  (offset: Interval) => offset.micros < 0,
  (base: number, offset: Interval, back) => base + Number(signed(offset, back).micros),
  (a: number, b: number) => a - b,
)
