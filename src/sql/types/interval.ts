/**
 * The value of interval: months, days and microseconds, which do not convert into each other until they are compared
 * (a month then counts 30 days, a day 24 hours).
 *
 * Not here: reading (interval-input.ts), writing (interval-output.ts), functions (functions/interval.ts).
 */
import { DbError } from '../../base/index.ts'
import { addMicros, canonicalMicros, dayMicros, type Micros, negateMicros } from './calendar.ts'

export class Interval {
  readonly months: number
  readonly days: number
  readonly micros: Micros

  constructor(months: number, days: number, micros: Micros) {
    this.months = months
    this.days = days
    this.micros = micros
  }
}

export function intervalRange(): DbError {
  return new DbError('datetime_field_overflow', 'interval out of range')
}

const mostMicros = 0x7fffffffffffffffn

/** Checks the fields' ranges: 32 bits for months and days, 64 for microseconds. */
export function intervalOf(months: number, days: number, micros: Micros): Interval {
  if (!(Math.abs(months) <= 0x7fffffff) || !(Math.abs(days) <= 0x7fffffff)) throw intervalRange()
  if (typeof micros === 'bigint' && (micros > mostMicros || micros < -mostMicros - 1n)) throw intervalRange()
  return new Interval(months + 0, days + 0, micros)
}

export function addIntervals(a: Interval, b: Interval): Interval {
  return intervalOf(a.months + b.months, a.days + b.days, addMicros(a.micros, b.micros))
}

export function negateInterval(a: Interval): Interval {
  return intervalOf(0 - a.months, 0 - a.days, negateMicros(a.micros))
}

/** The length in microseconds with months of 30 days; what order and equality go by. */
export function intervalSpan(a: Interval): Micros {
  const days = a.months * 30 + a.days
  const quick = days * dayMicros + Number(a.micros)
  if (typeof a.micros === 'number' && Number.isSafeInteger(quick)) return quick
  return canonicalMicros(BigInt(days) * BigInt(dayMicros) + BigInt(a.micros))
}

export function compareIntervals(a: Interval, b: Interval): number {
  const x = intervalSpan(a)
  const y = intervalSpan(b)
  return x < y ? -1 : x > y ? 1 : 0
}

/** A float number of microseconds as an integer, checked. */
export function microsFromFloat(value: number): Micros {
  if (!Number.isFinite(value) || Math.abs(value) >= 2 ** 63) throw intervalRange()
  return Number.isSafeInteger(value) ? value : canonicalMicros(BigInt(value))
}
