/**
 * Writes intervals in the four styles of IntervalStyle.
 *
 *   postgres           1 year 2 mons -3 days +04:05:06.7
 *   postgres_verbose   @ 1 year 2 mons -3 days 4 hours 5 mins 6.7 secs
 *   sql_standard       +1-2 -3 +4:05:06.7
 *   iso_8601           P1Y2M-3DT4H5M6.7S
 *
 * Not here: reading (interval-input.ts), to_char (functions).
 */
import type { Interval } from './interval.ts'
import type { TypeContext } from './type.ts'

interface Parts {
  readonly years: number
  readonly months: number
  readonly days: number
  readonly hours: number | bigint
  readonly minutes: number
  readonly seconds: number
  readonly micros: number
  readonly negativeTime: boolean
}

/** The fields, each truncated toward zero; times without sign. */
function partsOf(value: Interval): Parts {
  const negativeTime = value.micros < 0
  const size = value.micros < 0n ? -value.micros : value.micros
  let hours: number | bigint
  let rest: number
  if (typeof size === 'number') {
    hours = Math.floor(size / 3600e6)
    rest = size - hours * 3600e6
    if (rest < 0) {
      hours--
      rest += 3600e6
    }
  } else {
    hours = size / 3_600_000_000n
    rest = Number(size % 3_600_000_000n)
  }
  const years = Math.trunc(value.months / 12)
  return {
    years: years + 0,
    months: value.months - years * 12,
    days: value.days,
    hours,
    minutes: Math.floor(rest / 60e6),
    seconds: Math.floor((rest % 60e6) / 1e6),
    micros: rest % 1e6,
    negativeTime,
  }
}

function two(value: number | bigint): string {
  return value < 10 ? `0${value}` : String(value)
}

/** ".5" for half a second, nothing for none. */
function fraction(micros: number): string {
  return micros === 0 ? '' : `.${String(micros).padStart(6, '0').replace(/0+$/, '')}`
}

export function formatInterval(value: Interval, style: TypeContext['intervalStyle']): string {
  switch (style) {
    case 'postgres_verbose':
      return formatVerbose(partsOf(value))
    case 'sql_standard':
      return formatSqlStandard(partsOf(value))
    case 'iso_8601':
      return formatIso(partsOf(value))
    default:
      return formatPostgres(partsOf(value))
  }
}

function formatPostgres(p: Parts): string {
  let text = ''
  let before = false
  const add = (amount: number, unit: string) => {
    if (amount === 0) return
    text += `${text === '' ? '' : ' '}${before && amount > 0 ? '+' : ''}${amount} ${unit}${amount === 1 ? '' : 's'}`
    before = amount < 0
  }
  add(p.years, 'year')
  add(p.months, 'mon')
  add(p.days, 'day')
  if (text === '' || p.hours !== 0 || p.minutes !== 0 || p.seconds !== 0 || p.micros !== 0) {
    const sign = p.negativeTime ? '-' : before ? '+' : ''
    text += `${text === '' ? '' : ' '}${sign}${two(p.hours)}:${two(p.minutes)}:${two(p.seconds)}${fraction(p.micros)}`
  }
  return text
}

function formatVerbose(p: Parts): string {
  let text = '@'
  let zero = true
  let before = false
  const add = (amount: number | bigint, unit: string) => {
    if (amount === 0) return
    let shown = amount
    if (zero) {
      before = amount < 0
      shown = amount < 0n ? -amount : amount
    } else if (before) {
      shown = -amount
    }
    text += ` ${shown} ${unit}${shown === 1 ? '' : 's'}`
    zero = false
  }
  const sign = p.negativeTime ? -1 : 1
  add(p.years, 'year')
  add(p.months, 'mon')
  add(p.days, 'day')
  add(typeof p.hours === 'bigint' ? p.hours * BigInt(sign) : p.hours * sign, 'hour')
  add(p.minutes * sign, 'min')
  if (p.seconds !== 0 || p.micros !== 0) {
    let minus = ''
    if (p.negativeTime) {
      if (zero) before = true
      else if (!before) minus = '-'
    } else if (before) {
      minus = '-'
    }
    const shown = `${p.seconds}${fraction(p.micros)}`
    text += ` ${minus}${shown} sec${p.seconds !== 1 || p.micros !== 0 ? 's' : ''}`
    zero = false
  }
  if (zero) text += ' 0'
  return before ? `${text} ago` : text
}

function formatSqlStandard(p: Parts): string {
  const hasTime = p.hours !== 0 || p.minutes !== 0 || p.seconds !== 0 || p.micros !== 0
  const hasYearMonth = p.years !== 0 || p.months !== 0
  const timeNegative = p.negativeTime && hasTime
  const negative = p.years < 0 || p.months < 0 || p.days < 0 || timeNegative
  const positive = p.years > 0 || p.months > 0 || p.days > 0 || (hasTime && !p.negativeTime)
  if (!hasYearMonth && !hasTime && p.days === 0) return '0'
  const time = `${p.hours}:${two(p.minutes)}:${two(p.seconds)}${fraction(p.micros)}`
  if (!(negative && positive) && !(hasYearMonth && (hasTime || p.days !== 0))) {
    const sign = negative ? '-' : ''
    if (hasYearMonth) return `${sign}${Math.abs(p.years)}-${Math.abs(p.months)}`
    if (p.days !== 0) return `${sign}${Math.abs(p.days)} ${time}`
    return sign + time
  }
  const yearSign = p.years < 0 || p.months < 0 ? '-' : '+'
  const daySign = p.days < 0 ? '-' : '+'
  const timeSign = p.negativeTime ? '-' : '+'
  return `${yearSign}${Math.abs(p.years)}-${Math.abs(p.months)} ${daySign}${Math.abs(p.days)} ${timeSign}${time}`
}

function formatIso(p: Parts): string {
  const unit = (amount: number | bigint, letter: string) => (amount === 0 ? '' : `${amount}${letter}`)
  const sign = p.negativeTime ? -1 : 1
  const hours = typeof p.hours === 'bigint' ? p.hours * BigInt(sign) : p.hours * sign
  const date = unit(p.years, 'Y') + unit(p.months, 'M') + unit(p.days, 'D')
  let time = unit(hours, 'H') + unit(p.minutes * sign, 'M')
  if (p.seconds !== 0 || p.micros !== 0) time += `${p.negativeTime ? '-' : ''}${p.seconds}${fraction(p.micros)}S`
  if (date === '' && time === '') return 'PT0S'
  return `P${date}${time === '' ? '' : `T${time}`}`
}
