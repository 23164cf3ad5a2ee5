/**
 * Reads intervals: "1 year 2 mons -3 days 04:05:06", "1-2 3 4:05:06" (SQL standard), "P1Y2M3DT4H5M6S" (ISO 8601), units
 * with fractions, "ago". A modifier (INTERVAL '1' DAY) says what a bare number counts and which fields are kept.
 *
 * Fields are read from the last to the first, since a unit follows its number. Rules: PostgreSQL's datetime.c (as facts).
 * Not here: dates and times (datetime-input.ts).
 */

import { addMicros, canonicalMicros, type Micros } from './calendar.ts'
import { type InputField, reading, readTime, refuse, splitDateTime } from './datetime-input.ts'
import { type Interval, intervalOf } from './interval.ts'
import type { TypeContext } from './type.ts'

export type IntervalUnit =
  | 'microsecond'
  | 'millisecond'
  | 'second'
  | 'minute'
  | 'hour'
  | 'day'
  | 'week'
  | 'month'
  | 'quarter'
  | 'year'
  | 'decade'
  | 'century'
  | 'millennium'

const unitWords: Record<IntervalUnit, string> = {
  microsecond: 'microsecon us usec usecs useconds usecond',
  millisecond: 'millisecon ms msec msecs mseconds msecond',
  second: 's sec second seconds secs',
  minute: 'm min mins minute minutes',
  hour: 'h hour hours hr hrs',
  day: 'd day days',
  week: 'w week weeks',
  month: 'mon mons month months',
  quarter: 'qtr quarter',
  year: 'y year years yr yrs',
  decade: 'dec decade decades decs',
  century: 'c cent centuries century',
  millennium: 'mil millennia millennium mils',
}
const units = new Map<string, IntervalUnit>()
for (const [unit, words] of Object.entries(unitWords)) {
  for (const word of words.split(' ')) units.set(word, unit as IntervalUnit)
}

/** The unit that a word names; words are told apart by their first ten letters. */
export function intervalUnit(word: string): IntervalUnit | undefined {
  return units.get(word) ?? units.get(word.slice(0, 10))
}

/** Bits of the fields in a modifier, as PostgreSQL numbers them. */
export const fieldBits = { month: 1 << 1, year: 1 << 2, day: 1 << 3, hour: 1 << 10, minute: 1 << 11, second: 1 << 12 }
const fullRange = 0x7fff

/** The unit of a last number without one. */
function defaultUnit(range: number): IntervalUnit {
  const { year, month, day, hour, minute } = fieldBits
  if (range === year) return 'year'
  if (range === month || range === (year | month)) return 'month'
  if (range === day) return 'day'
  if (range === hour || range === (day | hour)) return 'hour'
  if (range === minute || range === (hour | minute) || range === (day | hour | minute)) return 'minute'
  return 'second'
}

/** Seconds with a fraction, and clock times, speak for all of these. */
const secondUnits = ['second', 'millisecond', 'microsecond']

class IntervalReader {
  months = 0
  days = 0
  micros: Micros = 0
  #seen = new Set<string>()
  #unit: IntervalUnit | undefined
  #pendingUnit = false
  /** "ago" was the field behind: a number before it needs a unit of its own. */
  #afterAgo = false
  readonly #range: number

  constructor(range: number) {
    this.#range = range
  }

  read(fields: readonly InputField[], sqlStandard: boolean): Interval {
    let ago = false
    for (let i = fields.length - 1; i >= 0; i--) {
      const { kind, text } = fields[i]
      if (kind === 'time') this.#time(text, 1)
      else if (kind === 'zone' && text.includes(':')) this.#time(text.slice(1), text[0] === '-' ? -1 : 1)
      else if (kind === 'zone' || kind === 'number' || kind === 'date') this.#number(text)
      else if (text === 'ago') {
        ago = true
        this.#afterAgo = true
      } else this.#word(text)
    }
    if (this.#seen.size === 0 || this.#pendingUnit) refuse('format')
    if (sqlStandard && fields[0].text[0] === '-') {
      // A leading minus without other signs makes every field negative.
      if (!fields.slice(1).some((field) => /^[+-]/.test(field.text))) {
        this.months = 0 - Math.abs(this.months)
        this.days = 0 - Math.abs(this.days)
        if (this.micros > 0) this.micros = scaled(this.micros, -1)
      }
    }
    const sign = ago ? -1 : 1
    return intervalOf(sign * this.months, sign * this.days, ago ? scaled(this.micros, -1) : this.micros)
  }

  #mark(name: string): void {
    if (this.#seen.has(name)) refuse('format')
    this.#seen.add(name)
  }

  #time(text: string, sign: number): void {
    const { hour, minute, micros, short } = readTime(text)
    for (const name of ['hour', 'minute', ...secondUnits]) this.#mark(name)
    let total = hour * 3600e6 + minute * 60e6 + micros
    if (short && this.#range === (fieldBits.minute | fieldBits.second)) total = hour * 60e6 + minute * 1e6
    if (!Number.isSafeInteger(total)) refuse('field')
    // A clock time replaces what fractions of days after it had added.
    this.micros = sign * total + 0
    this.#unit = 'day'
    this.#pendingUnit = false
    this.#afterAgo = false
  }

  #word(text: string): void {
    if (this.#pendingUnit) refuse('format')
    if (text === 'at' || text === 'on') return
    const unit = intervalUnit(text)
    if (unit === undefined) refuse('format')
    this.#afterAgo = false
    this.#unit = unit
    this.#pendingUnit = true
  }

  #number(text: string): void {
    const match = /^([+-]?)(\d*)(?:-(\d+)|(\.\d*))?$/.exec(text)
    if (match === null || (this.#afterAgo && match[3] === undefined)) return refuse('format')
    const negative = match[1] === '-'
    if (match[2].length > 18) refuse('interval')
    const whole = negative ? 0 - Number(match[2]) : Number(match[2])
    let unit = this.#unit ?? defaultUnit(this.#range)
    this.#pendingUnit = false
    if (match[3] !== undefined) {
      const rest = Number(match[3])
      if (rest >= 12) refuse('field')
      unit = 'month'
      this.#add(unit, whole * 12 + (negative ? -rest : rest), 0)
      this.#unit = unit
      return
    }
    const fraction = match[4] === undefined || match[4] === '.' ? 0 : Number(`0${match[4]}`)
    this.#add(unit, whole, negative ? -fraction : fraction)
    // "1 2:03:04" and "1 4" read from the right: before hours stand days.
    this.#unit = unit === 'hour' ? 'day' : unit
  }

  /** Adds `whole + fraction` of a unit; fractions of months go to days (30), of days to microseconds. */
  #add(unit: IntervalUnit, whole: number, fraction: number): void {
    if (unit === 'second' && fraction !== 0) for (const name of secondUnits) this.#mark(name)
    else this.#mark(unit)
    this.apply(unit, whole, fraction)
  }

  apply(unit: IntervalUnit, whole: number, fraction: number): void {
    switch (unit) {
      case 'microsecond':
        return this.#addMicros(whole + roundEven(fraction))
      case 'millisecond':
        this.#addMicros(whole * 1000)
        return this.#addMicros(roundEven(fraction * 1000))
      case 'second':
        return this.#addTime(whole, fraction, 1e6)
      case 'minute':
        return this.#addTime(whole, fraction, 60e6)
      case 'hour':
        return this.#addTime(whole, fraction, 3600e6)
      case 'day':
        this.#addDays(whole)
        return this.#addTime(0, fraction, 86400e6)
      case 'week':
        this.#addDays(whole * 7)
        return this.#addDayFraction(fraction * 7)
      case 'month':
        this.#addMonths(whole)
        return this.#addDayFraction(fraction * 30)
      case 'quarter':
        return refuse('format')
      default: {
        const years = unit === 'year' ? 1 : unit === 'decade' ? 10 : unit === 'century' ? 100 : 1000
        this.#addMonths(whole * years * 12)
        this.#addMonths(roundEven(fraction * years * 12))
      }
    }
  }

  #addTime(whole: number, fraction: number, unitMicros: number): void {
    this.#addMicros(whole * unitMicros)
    this.#addMicros(roundEven(fraction * unitMicros))
  }

  #addMicros(amount: number): void {
    if (Math.abs(amount) >= 2 ** 63) refuse('interval')
    const exact = Number.isSafeInteger(amount) ? amount : canonicalMicros(BigInt(amount))
    const sum = addMicros(this.micros, exact)
    if (typeof sum === 'bigint' && BigInt.asIntN(64, sum) !== sum) refuse('interval')
    this.micros = sum
  }

  #addDays(amount: number): void {
    this.days += amount
    if (Math.abs(this.days) > 0x7fffffff) refuse('interval')
  }

  #addDayFraction(days: number): void {
    const whole = Math.trunc(days)
    this.#addDays(whole)
    this.#addTime(0, days - whole, 86400e6)
  }

  #addMonths(amount: number): void {
    this.months += amount
    if (Math.abs(this.months) > 0x7fffffff) refuse('interval')
  }
}

function scaled(micros: Micros, factor: number): Micros {
  return typeof micros === 'number' ? micros * factor + 0 : canonicalMicros(micros * BigInt(factor))
}

/** Rounds to the nearest integer, halves to the even one, as C's rint. */
export function roundEven(value: number): number {
  const down = Math.floor(value)
  const rest = value - down
  if (rest < 0.5) return down
  if (rest > 0.5) return down + 1
  return down % 2 === 0 ? down : down + 1
}

const isoUnits: Record<string, IntervalUnit> = { Y: 'year', M: 'month', W: 'week', D: 'day' }
const isoTimeUnits: Record<string, IntervalUnit> = { H: 'hour', M: 'minute', S: 'second' }

/** P1Y2M3DT4H5M6S, P0001-02-03T04:05:06; undefined when it is not in this form. */
function readIso(text: string): Interval | undefined {
  if (text.length < 2 || text[0] !== 'P') return undefined
  const reader = new IntervalReader(fullRange)
  const alternative = /^P(?:(-?\d+)-(-?\d+)-(-?\d+))?(?:T(-?\d+):(-?\d+)(?::(-?\d+(?:\.\d*)?))?)?$/.exec(text)
  if (alternative !== null && text.length > 1) {
    const [, year, month, day, hour, minute, second] = alternative.map((part) => Number(part ?? 0))
    reader.apply('year', year, 0)
    reader.apply('month', month, 0)
    reader.apply('day', day, 0)
    reader.apply('hour', hour, 0)
    reader.apply('minute', minute, 0)
    reader.apply('second', Math.trunc(second), second - Math.trunc(second))
    return intervalOf(reader.months, reader.days, reader.micros)
  }
  let inTime = false
  let at = 1
  const part = /([+-]?)(\d*)(\.\d*)?([A-Z])/y
  while (at < text.length) {
    if (text[at] === 'T') {
      inTime = true
      at++
      continue
    }
    part.lastIndex = at
    const match = part.exec(text)
    if (match === null || (match[2] === '' && match[3] === undefined)) return undefined
    const unit = (inTime ? isoTimeUnits : isoUnits)[match[4]]
    if (unit === undefined) return undefined
    const sign = match[1] === '-' ? -1 : 1
    const fraction = match[3] === undefined || match[3] === '.' ? 0 : Number(`0${match[3]}`)
    reader.apply(unit, sign * Number(match[2]), sign * fraction)
    at = part.lastIndex
  }
  return intervalOf(reader.months, reader.days, reader.micros)
}

/** `range` is the modifier's field bits (0x7fff: all). */
export function parseInterval(text: string, range: number, context: TypeContext): Interval {
  return reading(text, 'interval', () => {
    const fields = splitDateTime(text)
    const iso = /^\s*P/.test(text) ? readIso(text.trim()) : undefined
    if (iso !== undefined) return iso
    if (fields === undefined || fields.length === 0) return refuse('format')
    return new IntervalReader(range).read(fields, context.intervalStyle === 'sql_standard')
  })
}
