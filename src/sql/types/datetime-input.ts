/**
 * Reads dates and times in all the ways PostgreSQL does: ISO 8601, run-together digits, month names, three orders of
 * day, month and year, Julian days, years with day numbers, special words, zones by name, abbreviation or offset.
 *
 * Two steps: `split` cuts the text into fields by their first character, `DateTimeReader` gives each field its meaning
 * from what is still missing. The rules of ambiguity are those of PostgreSQL's datetime.c (as facts).
 * Not here: which instant the fields mean (datetime-types.ts), intervals (interval-input.ts), to_date (functions).
 */
import { DbError } from '../../base/index.ts'
import { dateWord, isCoreWord } from './abbreviations.ts'
import { civilOf, daysInMonth, daysOf, isLeap, julianEpoch } from './calendar.ts'
import { findZone, type Zone } from './time-zone.ts'
import type { TypeContext } from './type.ts'

export type FieldKind = 'number' | 'date' | 'time' | 'zone' | 'string' | 'special'
export interface InputField {
  readonly kind: FieldKind
  readonly text: string
}

const space = /\s/
const digit = /[0-9]/
const letter = /[A-Za-z\u0080-\uffff]/

/** Cuts input into fields; undefined when some character fits nowhere. */
export function splitDateTime(text: string): InputField[] | undefined {
  const fields: InputField[] = []
  const lower = text.toLowerCase()
  let at = 0
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at
    const found = pattern.exec(lower)?.[0] ?? ''
    at += found.length
    return found
  }
  while (at < lower.length) {
    const c = lower[at]
    if (space.test(c)) {
      at++
    } else if (digit.test(c)) {
      const digits = take(/\d+/y)
      const next = lower[at]
      if (next === ':') {
        fields.push({ kind: 'time', text: digits + take(/[\d:.]*/y) })
      } else if (next === '-' || next === '/' || next === '.') {
        const start = at
        at++
        if (at < lower.length && digit.test(lower[at])) {
          take(/\d+/y)
          const again = lower[at] === next
          if (again) take(next === '.' ? /[\d.]*/y : next === '-' ? /[\d-]*/y : /[\d/]*/y)
          fields.push({ kind: again || next !== '.' ? 'date' : 'number', text: digits + lower.slice(start, at) })
        } else {
          take(next === '.' ? /[a-z0-9.]*/y : next === '-' ? /[a-z0-9-]*/y : /[a-z0-9/]*/y)
          fields.push({ kind: 'date', text: digits + lower.slice(start, at) })
        }
      } else {
        fields.push({ kind: 'number', text: digits })
      }
    } else if (c === '.') {
      fields.push({ kind: 'number', text: take(/\.\d*/y) })
    } else if (letter.test(c)) {
      const word = take(/[a-z\u0080-\uffff]+/y)
      const next = lower[at]
      const joined =
        next === '-' || next === '/' || next === '.' || ((next === '+' || digit.test(next ?? '')) && !isCoreWord(word))
      if (joined) fields.push({ kind: 'date', text: word + take(/[a-z0-9+\-/_.:]*/y) })
      else fields.push({ kind: 'string', text: word })
    } else if (c === '+' || c === '-') {
      at++
      take(/\s*/y)
      const next = lower[at] ?? ''
      if (digit.test(next)) fields.push({ kind: 'zone', text: c + take(/[\d:.-]*/y) })
      else if (letter.test(next)) fields.push({ kind: 'special', text: c + take(/[a-z]+/y) })
      else return undefined
    } else if (/[!-/:-@[-`{-~]/.test(c)) {
      at++
    } else {
      return undefined
    }
  }
  return fields
}

/** Why a field was refused; `fail` turns it into the error of PostgreSQL. */
export type Refusal = 'format' | 'field' | 'order' | 'displacement' | 'interval'

class Refused extends Error {
  readonly reason: Refusal
  constructor(reason: Refusal) {
    super(reason)
    this.reason = reason
  }
}

/** Gives up on the input being read. */
export function refuse(reason: Refusal): never {
  throw new Refused(reason)
}

/** The error that PostgreSQL reports for input `text` of a type. */
function inputError(reason: Refusal, text: string, typeName: string): DbError {
  switch (reason) {
    case 'field':
      return new DbError('datetime_field_overflow', `date/time field value out of range: "${text}"`)
    case 'order':
      return new DbError('datetime_field_overflow', `date/time field value out of range: "${text}"`, {
        hint: 'Perhaps you need a different "datestyle" setting.',
      })
    case 'interval':
      return new DbError('interval_field_overflow', `interval field value out of range: "${text}"`)
    case 'displacement':
      return new DbError('invalid_time_zone_displacement_value', `time zone displacement out of range: "${text}"`)
    default:
      return new DbError('invalid_datetime_format', `invalid input syntax for type ${typeName}: "${text}"`)
  }
}

/** Runs a reader, turning refusals into errors. */
export function reading<T>(text: string, typeName: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof Refused) {
      const reason = typeName === 'interval' && error.reason === 'field' ? 'interval' : error.reason
      throw inputError(reason, text, typeName)
    }
    throw error
  }
}

/** Microseconds of ".123456" (rounded to the nearest). */
function fractionMicros(text: string): number {
  if (text === '.') return 0
  return Math.round(Number(`0${text}`) * 1e6)
}

/** Reads [h]h:mm[:ss[.f]]; `loose` for intervals, where mm:ss.f is minutes and hours have no bound. */
export function readTime(text: string): { hour: number; minute: number; micros: number; short: boolean } {
  const match = /^(\d+):(\d*)(?::(\d+)?(\.\d*)?|(\.\d*))?$/.exec(text)
  if (match === null) return refuse('format')
  const [, first, second, third, fraction, shortFraction] = match
  if (shortFraction !== undefined) {
    // mm:ss.f
    checkSexagesimal(Number(first), Number(second))
    return { hour: 0, minute: Number(first), micros: Number(second) * 1e6 + fractionMicros(shortFraction), short: true }
  }
  const seconds = Number(third ?? 0)
  checkSexagesimal(Number(second), seconds)
  const micros = seconds * 1e6 + (fraction === undefined ? 0 : fractionMicros(fraction))
  return { hour: Number(first), minute: Number(second), micros, short: third === undefined }
}

function checkSexagesimal(minute: number, second: number): void {
  if (minute > 59 || second > 60) refuse('field')
}

/** Seconds east of UTC of "+hh[:mm[:ss]]" or "+hhmm". */
function readOffset(text: string): number {
  const match = /^([+-])(\d+)(?::(\d+)(?::(\d+))?)?$/.exec(text)
  if (match === null) return refuse('format')
  let hour = Number(match[2])
  let minute = Number(match[3] ?? 0)
  const second = Number(match[4] ?? 0)
  if (match[3] === undefined && match[2].length > 2) {
    minute = hour % 100
    hour = Math.floor(hour / 100)
  }
  if (hour > 15 || minute > 59 || second > 59) refuse('displacement')
  const total = hour * 3600 + minute * 60 + second
  return match[1] === '-' ? 0 - total : total
}

export type SpecialValue = 'now' | 'today' | 'tomorrow' | 'yesterday' | 'epoch' | 'infinity' | '-infinity' | 'allballs'

const yearBit = 1
const monthBit = 2
const dayBit = 4
const allDate = 7

/** The meaning of one input text. `year` is undefined when the text has no date. */
export class DateTimeReader {
  special: SpecialValue | undefined
  year = 0
  month = 0
  day = 0
  /** Microseconds since midnight; up to 24:00:00. */
  time = 0
  /** Seconds east of UTC, when an offset or abbreviation was given. */
  offset: number | undefined
  /** When a zone was given by name. */
  zone: Zone | undefined
  hasTime = false
  #have = 0
  #dayOfYear = 0
  #julian: number | undefined
  #shortYear = false
  #textMonth = false
  #bc = false
  #meridian: number | undefined
  #hour = 0
  #minute = 0
  #micros = 0
  #expectJulian = false
  #expectTime = false
  readonly #order: TypeContext['dateOrder']

  constructor(order: TypeContext['dateOrder']) {
    this.#order = order
  }

  get hasDate(): boolean {
    return this.#have === allDate || this.#julian !== undefined
  }

  get hasZone(): boolean {
    return this.offset !== undefined || this.zone !== undefined
  }

  /** `timeOnly`: the date may be missing, and a bare number is a time. */
  read(text: string, timeOnly = false): this {
    const fields = splitDateTime(text)
    if (fields === undefined || fields.length === 0) return refuse('format')
    for (const field of fields) this.#field(field, timeOnly)
    if (this.#expectJulian) refuse('format')
    this.#finishTime()
    if (this.special !== undefined && !(this.special === 'allballs')) return this
    if (!timeOnly || this.#have !== 0 || this.#julian !== undefined) this.#finishDate()
    if (timeOnly && !this.hasTime) refuse('format')
    return this
  }

  #field(field: InputField, timeOnly: boolean): void {
    const text = field.text
    switch (field.kind) {
      case 'date':
        return this.#dateField(text)
      case 'time':
        return this.#timeField(text)
      case 'zone':
        return this.#zoneField(text, timeOnly)
      case 'number':
        return this.#numberField(text, timeOnly)
      default:
        return this.#wordField(text)
    }
  }

  #dateField(text: string): void {
    if (this.#expectJulian) return this.#numberField(text, false)
    if (this.#have !== allDate && (digit.test(text[0]) || !this.#isZoneName(text))) return this.#splitDate(text)
    if (digit.test(text[0])) {
      // A run-together time with an offset: hhmmss-zz.
      const at = text.search(/[+-]/)
      if (at < 0) refuse('format')
      this.#setOffset(readOffset(text.slice(at)))
      return this.#digits(text.slice(0, at))
    }
    this.#nameField(text)
  }

  #isZoneName(text: string): boolean {
    return /[/_]/.test(text) && findZone(text) !== undefined
  }

  #nameField(text: string): void {
    if (this.hasZone) refuse('format')
    const zone = findZone(text) ?? findZone(text.toUpperCase())
    if (zone === undefined) throw new DbError('invalid_parameter_value', `time zone "${text}" not recognized`)
    this.zone = zone
  }

  #setOffset(offset: number): void {
    if (this.hasZone) refuse('format')
    this.offset = offset
  }

  #timeField(text: string): void {
    if (this.hasTime) refuse('format')
    const { hour, minute, micros } = readTime(text)
    this.#setTime(hour, minute, micros)
  }

  #setTime(hour: number, minute: number, micros: number): void {
    if (hour > 24 || (hour === 24 && (minute > 0 || micros > 0))) refuse('field')
    this.#hour = hour
    this.#minute = minute
    this.#micros = micros
    this.hasTime = true
    this.#expectTime = false
  }

  #zoneField(text: string, timeOnly: boolean): void {
    if (this.#expectJulian || (!this.hasTime && this.#have === 0 && !timeOnly)) refuse('format')
    this.#setOffset(readOffset(text))
  }

  #numberField(text: string, timeOnly: boolean): void {
    if (this.#expectJulian) {
      const [whole, fraction] = text.split('.')
      this.#julian = Number(whole)
      this.#have = allDate
      if (fraction !== undefined) this.#setDayFraction(Number(`0.${fraction}`))
      this.#expectJulian = false
      return
    }
    const point = text.indexOf('.')
    if (this.#expectTime || (timeOnly && this.#have === 0 && !this.hasTime)) {
      this.#expectTime = true
      return this.#digits(text)
    }
    if (point >= 0 && this.#have !== allDate) return this.#splitDate(text)
    if (point > 2) return this.#digits(text)
    if (text.length >= 6 && (this.#have !== allDate || !this.hasTime)) return this.#digits(text)
    this.#number(text)
  }

  #setDayFraction(fraction: number): void {
    const micros = Math.round(fraction * 86_400e6)
    this.#setTime(Math.floor(micros / 3600e6), Math.floor(micros / 60e6) % 60, micros % 60e6)
  }

  /** Digits run together: yyyymmdd, yymmdd, hhmmss, hhmm, hhmmss.f */
  #digits(text: string): void {
    const point = text.indexOf('.')
    const whole = point < 0 ? text : text.slice(0, point)
    const length = whole.length
    if (point < 0 && this.#have !== allDate && length >= 6 && !this.#expectTime) {
      this.day = Number(whole.slice(-2))
      this.month = Number(whole.slice(-4, -2))
      this.year = Number(whole.slice(0, -4))
      if (this.#have !== 0) refuse('format')
      this.#have = allDate
      this.#shortYear = length === 6
      return
    }
    const fraction = point < 0 ? 0 : fractionMicros(text.slice(point))
    if (this.hasTime || (length !== 6 && length !== 4)) refuse('format')
    const second = length === 6 ? Number(whole.slice(4)) : 0
    checkSexagesimal(Number(whole.slice(2, 4)), second)
    this.#setTime(Number(whole.slice(0, 2)), Number(whole.slice(2, 4)), second * 1e6 + fraction)
  }

  #wordField(text: string): void {
    const word = dateWord(text)
    if (word === undefined) return findZone(text) === undefined ? refuse('format') : this.#nameField(text)
    switch (word.kind) {
      case 'month':
        // "1 February 99": a number read as month before was the day.
        if (
          !this.#textMonth &&
          (this.#have & (monthBit | dayBit)) === monthBit &&
          this.month >= 1 &&
          this.month <= 31
        ) {
          this.day = this.month
          this.#have = (this.#have & yearBit) | dayBit
        }
        if ((this.#have & monthBit) !== 0) refuse('format')
        this.#textMonth = true
        this.month = word.value
        this.#have |= monthBit
        return
      case 'weekday':
      case 'ignored':
        return
      case 'zone':
        return this.#setOffset(word.value)
      case 'dst':
        if (this.offset === undefined) refuse('format')
        this.offset += 3600
        return
      case 'meridian':
        this.#meridian = word.value
        return
      case 'era':
        this.#bc = word.value < 0
        return
      case 'julian':
        this.#expectJulian = true
        return
      case 'iso-time':
        if (this.#have !== allDate && this.#have !== 0) refuse('format')
        this.#expectTime = true
        return
      default:
        if (this.special !== undefined || this.#have !== 0) refuse('format')
        return this.#specialWord(word.kind)
    }
  }

  /** Special values stand for a date, a time, or both. */
  #specialWord(kind: SpecialValue): void {
    this.special = kind
    if (kind !== 'allballs') this.#have = allDate
    if (kind === 'today' || kind === 'tomorrow' || kind === 'yesterday') return
    if (this.hasTime) refuse('format')
    this.hasTime = true
    if (kind === 'allballs') this.offset = 0
  }

  /** A date with separators: numbers and at most one month name. */
  #splitDate(text: string): void {
    const parts = text.split(/[^a-z0-9]+|(?<=[0-9])(?=[a-z])|(?<=[a-z])(?=[0-9])/).filter((part) => part !== '')
    if (/^\d+\.\d+$/.test(text) && parts.length === 2) {
      // yyyy.ddd
      this.#number(parts[0])
      this.#number(parts[1])
      if (this.#dayOfYear === 0) refuse('format')
      return
    }
    if (this.hasTime) refuse('format')
    for (const part of parts) if (!digit.test(part[0])) this.#dateWord(part)
    for (const part of parts) {
      if (!digit.test(part[0])) continue
      if (this.#have === allDate) refuse('format')
      this.#number(part)
    }
    if (this.#have !== allDate) refuse('format')
  }

  #dateWord(part: string): void {
    const word = dateWord(part)
    if (word?.kind === 'ignored') return
    if (word?.kind !== 'month' || (this.#have & monthBit) !== 0) refuse('format')
    this.#textMonth = true
    this.month = word.kind === 'month' ? word.value : 0
    this.#have |= monthBit
  }

  /** One number of a date: what it is follows from what is still missing, its length, and the field order. */
  #number(text: string): void {
    const value = Number(text)
    const length = text.length
    if (length === 3 && this.#have === yearBit && value >= 1 && value <= 366) {
      this.#dayOfYear = value
      this.#have = allDate
      return
    }
    switch (this.#have) {
      case 0:
        if (length >= 3 || this.#order === 'YMD') return this.#setYear(value, length)
        return this.#order === 'DMY' ? this.#setDay(value) : this.#setMonth(value)
      case yearBit:
        return this.#setMonth(value)
      case monthBit:
        if (this.#textMonth && (length >= 3 || this.#order === 'YMD')) return this.#setYear(value, length)
        return this.#setDay(value)
      case yearBit | monthBit:
        if (this.#textMonth && length >= 3 && this.#shortYear) {
          this.#setDay(this.year)
          return this.#setYear(value, length)
        }
        return this.#setDay(value)
      case dayBit:
        return this.#setMonth(value)
      case monthBit | dayBit:
        return this.#setYear(value, length)
      case allDate:
        return this.#digits(text)
      default:
        refuse('format')
    }
  }

  #setYear(value: number, length: number): void {
    this.year = value
    this.#shortYear = length <= 2
    this.#have |= yearBit
  }

  #setMonth(value: number): void {
    this.month = value
    this.#have |= monthBit
  }

  #setDay(value: number): void {
    this.day = value
    this.#have |= dayBit
  }

  #finishTime(): void {
    if (this.#meridian !== undefined) {
      if (this.#hour > 12) refuse('field')
      if (this.#meridian === 12 && this.#hour !== 12) this.#hour += 12
      else if (this.#meridian === 0 && this.#hour === 12) this.#hour = 0
    }
    this.time = this.#hour * 3600e6 + this.#minute * 60e6 + this.#micros
  }

  #finishDate(): void {
    if (this.#julian !== undefined) {
      if (this.#julian > 2145031948 + julianEpoch) refuse('field')
      const civil = civilOf(this.#julian - julianEpoch)
      this.year = civil.year
      this.month = civil.month
      this.day = civil.day
      return
    }
    if (this.#have !== allDate) refuse('format')
    if (this.#bc) {
      if (this.year <= 0) refuse('field')
      this.year = 1 - this.year
    } else if (this.#shortYear) {
      this.year += this.year < 70 ? 2000 : 1900
    } else if (this.year <= 0) {
      refuse('field')
    }
    if (this.#dayOfYear > 0) return this.#finishDayOfYear()
    if (this.month < 1 || this.month > 12 || this.day < 1 || this.day > 31) refuse('order')
    if (this.day > daysInMonth(this.year, this.month)) refuse('field')
  }

  #finishDayOfYear(): void {
    if (this.#dayOfYear > (isLeap(this.year) ? 366 : 365)) refuse('field')
    const civil = civilOf(daysOf(this.year, 1, this.#dayOfYear))
    this.month = civil.month
    this.day = civil.day
  }
}
