/**
 * Functions and operators of interval.
 *
 * Multiplying and dividing spill fractions downwards: of a month into days (30 to the month), of a day into
 * microseconds.
 * Not here: intervals added to dates and times (datetime.ts), extract (datetime-part.ts).
 */
import { addMicros, dayMicros, type Micros } from '../types/calendar.ts'
import {
  addIntervals,
  type Interval,
  intervalOf,
  intervalRange,
  microsFromFloat,
  negateInterval,
} from '../types/interval.ts'
import { roundEven } from '../types/interval-input.ts'
import { divisionByZero } from '../types/numeric.ts'
import { builtinType } from '../types/registry.ts'
import type { FunctionCode } from './function.ts'

/** Rounds away what floating point adds below a microsecond of a day or month. */
function roundTiny(value: number): number {
  return Math.round(value * 1e6) / 1e6
}

function int32(value: number): number {
  if (!(Math.abs(value) <= 2147483647.5)) throw intervalRange()
  return Math.trunc(value)
}

/** Shared by multiplication (factor) and division (1 / divisor computed field by field). */
function scale(a: Interval, apply: (field: number) => number): Interval {
  const months = int32(apply(a.months))
  const days = int32(apply(a.days))
  const monthRest = roundTiny((apply(a.months) - months) * 30)
  let daySeconds = roundTiny((apply(a.days) - days + monthRest - Math.trunc(monthRest)) * 86400)
  let wholeDays = days + Math.trunc(monthRest)
  // Sums of fractions can make a full day.
  if (Math.abs(daySeconds) >= 86400) {
    const extra = Math.trunc(daySeconds / 86400)
    wholeDays += extra
    daySeconds -= extra * 86400
  }
  const micros = roundEven(apply(Number(a.micros)) + daySeconds * 1e6)
  return intervalOf(months, wholeDays, microsFromFloat(micros))
}

export function multiplyInterval(a: Interval, factor: number): Interval {
  return scale(a, (field) => field * factor)
}

export function divideInterval(a: Interval, divisor: number): Interval {
  if (divisor === 0) throw divisionByZero()
  return scale(a, (field) => field / divisor)
}

/** Moves whole units up: full days out of microseconds. */
function splitDays(micros: Micros): { days: number; rest: Micros } {
  if (typeof micros === 'number') {
    const days = Math.trunc(micros / dayMicros)
    const rest = micros - days * dayMicros
    return { days: days + 0, rest: rest + 0 }
  }
  const big = BigInt(dayMicros)
  return { days: Number(micros / big), rest: addMicros(0, micros % big) }
}

export function justifyHours(a: Interval): Interval {
  const { days: whole, rest } = splitDays(a.micros)
  let days = a.days + whole
  let micros = rest
  if (days > 0 && micros < 0) {
    micros = addMicros(micros, dayMicros)
    days--
  } else if (days < 0 && micros > 0) {
    micros = addMicros(micros, -dayMicros)
    days++
  }
  return intervalOf(a.months, days, micros)
}

function justifyDays(a: Interval): Interval {
  const whole = Math.trunc(a.days / 30)
  let days = a.days - whole * 30
  let months = a.months + whole
  if (months > 0 && days < 0) {
    days += 30
    months--
  } else if (months < 0 && days > 0) {
    days -= 30
    months++
  }
  return intervalOf(months, days, a.micros)
}

function justifyInterval(a: Interval): Interval {
  const { days: whole, rest } = splitDays(a.micros)
  let days = a.days + whole
  let micros = rest
  const wholeMonths = Math.trunc(days / 30)
  let months = a.months + wholeMonths
  days -= wholeMonths * 30
  if (months > 0 && (days < 0 || (days === 0 && micros < 0))) {
    days += 30
    months--
  } else if (months < 0 && (days > 0 || (days === 0 && micros > 0))) {
    days -= 30
    months++
  }
  if (days > 0 && micros < 0) {
    micros = addMicros(micros, dayMicros)
    days--
  } else if (days < 0 && micros > 0) {
    micros = addMicros(micros, -dayMicros)
    days++
  }
  return intervalOf(months, days, micros)
}

/** make_interval(years, months, weeks, days, hours, mins, secs); all default to 0. */
function makeInterval(...args: any[]): Interval {
  const fields = args.slice(0, -1) as number[]
  const [years = 0, months = 0, weeks = 0, days = 0, hours = 0, minutes = 0, seconds = 0] = fields
  if (!Number.isFinite(seconds)) throw intervalRange()
  const micros = addMicros(hours * 3600e6 + minutes * 60e6, microsFromFloat(roundEven(seconds * 1e6)))
  return intervalOf(years * 12 + months, weeks * 7 + days, micros)
}

const intervalType = 1186

export const intervalCode: Record<string, FunctionCode> = {
  interval_pl: (a: Interval, b: Interval) => addIntervals(a, b),
  interval_mi: (a: Interval, b: Interval) => addIntervals(a, negateInterval(b)),
  interval_um: (a: Interval) => negateInterval(a),
  interval_mul: (a: Interval, b: number) => multiplyInterval(a, b),
  mul_d_interval: (a: number, b: Interval) => multiplyInterval(b, a),
  interval_div: (a: Interval, b: number) => divideInterval(a, b),
  interval_justify_hours: justifyHours,
  interval_justify_days: justifyDays,
  interval_justify_interval: justifyInterval,
  interval_finite: () => true,
  interval_scale: (a: Interval, typmod: number) => builtinType(intervalType).coerce(a, typmod, true),
  make_interval: makeInterval,
}
